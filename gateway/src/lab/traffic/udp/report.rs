//! What became of all flows of a run.

use std::time::Duration;

use net::Instant;

use super::receive::{Arrivals, Arrived};
use super::send::{Departed, Departures};

/// The unit of [`UdpReport::buckets`].
pub const BUCKET: Duration = Duration::from_millis(10);

/// What became of a run.
#[derive(Clone, Debug)]
pub struct UdpReport {
    /// When it started, on [`crate::clock`].
    pub started: Instant,
    /// Flow by flow, in the order of their numbers.
    pub flows: Vec<Flow>,
    /// Arrivals per [`BUCKET`] since the start.
    pub buckets: Vec<u32>,
    /// The longest time without an arrival of any flow.
    pub longest_gap: Duration,
    /// Times from sending to arrival, shortest first.
    pub delays: Vec<Duration>,
}

/// What became of one flow.
#[derive(Clone, Debug, Default)]
pub struct Flow {
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams that the sending host refused to send: full queue, no route.
    pub refused: u64,
    /// Different datagrams that arrived unharmed.
    pub received: u64,
    /// When those were sent that never arrived.
    pub lost: Vec<Instant>,
    /// Arrivals of a datagram that had arrived before.
    pub duplicated: u64,
    /// Arrivals after a datagram with a higher number (RFC 4737 §3.3).
    pub reordered: u64,
    /// Arrivals with wrong octets.
    pub damaged: u64,
    /// The longest time between two arrivals.
    pub longest_gap: Duration,
    /// When it began.
    pub gap_from: Instant,
    /// When each datagram was sent; its place is its number.
    pub sent_at: Vec<Instant>,
    /// When it arrived first, if it did.
    pub arrived_at: Vec<Option<Instant>>,
}

/// All flows together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// As [`Flow::sent`].
    pub sent: u64,
    /// As [`Flow::refused`].
    pub refused: u64,
    /// As [`Flow::received`].
    pub received: u64,
    /// How many were lost.
    pub lost: u64,
    /// As [`Flow::duplicated`].
    pub duplicated: u64,
    /// As [`Flow::reordered`].
    pub reordered: u64,
    /// As [`Flow::damaged`].
    pub damaged: u64,
}

impl UdpReport {
    pub(super) fn new(started: Instant, departures: Departures, mut arrivals: Arrivals) -> Self {
        arrivals.delays.sort_unstable();
        let flows =
            departures.0.into_iter().zip(arrivals.flows).map(|(gone, come)| flow(gone, come)).collect();
        Self {
            started,
            flows,
            buckets: arrivals.buckets,
            longest_gap: arrivals.longest_gap.lasted,
            delays: arrivals.delays,
        }
    }

    /// All flows added up.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        for flow in &self.flows {
            sum.sent += flow.sent;
            sum.refused += flow.refused;
            sum.received += flow.received;
            sum.lost += count(flow.lost.len());
            sum.duplicated += flow.duplicated;
            sum.reordered += flow.reordered;
            sum.damaged += flow.damaged;
        }
        sum
    }

    /// How many of those that were sent from `from` to `to` were lost.
    #[must_use]
    pub fn lost_between(&self, from: Instant, to: Instant) -> u64 {
        let within = |flow: &Flow| flow.lost.iter().filter(|&&at| at >= from && at < to).count();
        count(self.flows.iter().map(within).sum())
    }

    /// The delay that `percent` of the datagrams did not exceed; zero when none arrived.
    #[must_use]
    pub fn delay(&self, percent: usize) -> Duration {
        let last = self.delays.len().saturating_sub(1);
        self.delays.get(last.saturating_mul(percent.min(100)) / 100).copied().unwrap_or_default()
    }
}

fn flow(gone: Departed, mut come: Arrived) -> Flow {
    come.at.resize(gone.at.len(), None);
    let arrived = |number: usize| come.at.get(number).is_some_and(Option::is_some);
    let lost = gone.at.iter().enumerate().filter(|&(number, _)| !arrived(number));
    Flow {
        sent: count(gone.at.len()),
        refused: gone.refused,
        received: come.received,
        lost: lost.map(|(_, &at)| at).collect(),
        duplicated: come.duplicated,
        reordered: come.reordered,
        damaged: come.damaged,
        longest_gap: come.longest_gap.lasted,
        gap_from: come.longest_gap.from,
        sent_at: gone.at,
        arrived_at: come.at,
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
