//! What a failure did to the flows of one direction: pure arithmetic on what was sent and what arrived, and when.
//!
//! The gap of a flow is a silence beyond its own spacing: the time between two arrivals, minus the time between the
//! first of the two datagrams and the one that was sent next. So a sender that got no processor for a while makes no gap,
//! and neither does a flow that is slow by intention.

use std::collections::BTreeMap;
use std::time::Duration;

use net::Instant;
use serde::Serialize;

use crate::lab::traffic::udp::{Flow, UdpOptions, UdpReport};

/// The time that is measured, cut at what happened in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moments {
    /// The failure.
    pub hurt: Instant,
    /// It was mended.
    pub mended: Instant,
    /// Who sends into the channel had left it, where it was measured first.
    pub left: Option<Instant>,
}

/// What became of the flows of one direction.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Direction {
    /// `a -> b`.
    pub way: &'static str,
    /// Flows.
    pub flows: usize,
    /// Of these, over channels that were broken.
    pub flows_hurt: usize,
    /// Datagrams sent.
    pub sent: u64,
    /// Lost by the failure.
    pub lost: u64,
    /// Of these, sent when the channel had been left; `None` where nobody measured it.
    pub lost_left: Option<u64>,
    /// Lost after it was mended.
    pub lost_after: u64,
    /// Lost before, or in flows over channels that were not broken.
    pub lost_elsewhere: u64,
    /// Arrived twice.
    pub duplicated: u64,
    /// Arrived after a later one, in flows over broken channels.
    pub reordered: u64,
    /// The same in the other flows.
    pub reordered_elsewhere: u64,
    /// Arrived with wrong octets.
    pub damaged: u64,
    /// The longest gap of any flow while it was broken.
    #[serde(serialize_with = "seconds")]
    pub gap: Duration,
    /// The longest gap of any flow before: what this machine does to a flow by itself.
    #[serde(serialize_with = "seconds")]
    pub gap_before: Duration,
    /// The longest gap when it was mended.
    #[serde(serialize_with = "seconds")]
    pub gap_after: Duration,
}

/// A time in seconds, as in all our documents.
pub(super) fn seconds<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_secs_f64())
}

/// As [`seconds`], where there may be none.
#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
pub(super) fn maybe_seconds<S: serde::Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(to)
}

/// A silence of a flow, beyond its spacing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Silence {
    from: Instant,
    to: Instant,
    beyond: Duration,
}

/// Puts together what became of the flows. `homes` are their channels before the failure by place, `broken` says which
/// places were broken; without any, all were. A flow over two channels is hurt when one of them is.
pub(super) fn direction(
    way: &'static str,
    report: &UdpReport,
    homes: &[Home],
    broken: &[usize],
    at: Moments,
) -> Direction {
    let lost_left = at.left.map(|_| 0);
    let mut sum = Direction { way, flows: report.flows.len(), lost_left, ..Direction::default() };
    for (flow, home) in report.flows.iter().zip(homes) {
        let hurt = broken.is_empty() || home.iter().any(|home| broken.contains(home));
        add_counts(&mut sum, flow, hurt, at);
        for silence in silences(flow) {
            let longest = if silence.to <= at.hurt {
                &mut sum.gap_before
            } else if silence.from < at.mended {
                &mut sum.gap
            } else {
                &mut sum.gap_after
            };
            *longest = silence.beyond.max(*longest);
        }
    }
    sum
}

fn add_counts(sum: &mut Direction, flow: &Flow, hurt: bool, at: Moments) {
    sum.sent += flow.sent;
    sum.duplicated += flow.duplicated;
    sum.damaged += flow.damaged;
    sum.flows_hurt += usize::from(hurt);
    *(if hurt { &mut sum.reordered } else { &mut sum.reordered_elsewhere }) += flow.reordered;
    for &sent in &flow.lost {
        let place = if sent >= at.mended {
            &mut sum.lost_after
        } else if hurt && sent.after(ON_THE_WAY) >= at.hurt {
            if let Some(lost) = sum.lost_left.as_mut().filter(|_| at.left.is_some_and(|left| sent >= left)) {
                *lost += 1;
            }
            &mut sum.lost
        } else {
            &mut sum.lost_elsewhere
        };
        *place += 1;
    }
}

/// All silences of a flow, and the one that the end of sending cut off.
fn silences(flow: &Flow) -> impl Iterator<Item = Silence> {
    let mut came: Vec<(Instant, usize)> =
        flow.arrived_at.iter().enumerate().filter_map(|(number, at)| at.map(|at| (at, number))).collect();
    came.sort_unstable();
    let spacing = |number: usize| {
        let next = flow.sent_at.get(number.saturating_add(1))?;
        Some(next.since(*flow.sent_at.get(number)?))
    };
    let last = came.last().copied().and_then(|(from, number)| {
        let sent = *flow.sent_at.last()?;
        let silent = sent.since(*flow.sent_at.get(number)?);
        let beyond = silent.saturating_sub(spacing(number)?);
        Some(Silence { from, to: from.after(silent), beyond })
    });
    let pairs: Vec<Silence> = came
        .windows(2)
        .filter_map(|pair| {
            let [(from, number), (to, _)] = *pair else { return None };
            Some(Silence { from, to, beyond: to.since(from).saturating_sub(spacing(number)?) })
        })
        .collect();
    pairs.into_iter().chain(last)
}

/// The channels that a flow goes over, by place: one, or two that carry the same, or none that is known.
pub(super) type Home = Vec<usize>;

/// The channels of each flow, from the lengths of frames that each channel passed: frames are encrypted, but encryption
/// keeps lengths, and each flow has its own. `passed` are frames by length, channel by channel.
///
/// What is around a packet is the same for all: the number of octets that explains the most frames.
pub(super) fn homes(options: &UdpOptions, passed: &[Vec<u64>]) -> Vec<Home> {
    let frames = |channel: &Vec<u64>, packet: u16, around: usize| {
        channel.get(usize::from(packet).saturating_add(around)).copied().unwrap_or(0)
    };
    let explained = |around: usize| -> u64 {
        let of_flow = |packet: u16| passed.iter().map(|c| frames(c, packet, around)).sum::<u64>();
        options.flows.iter().map(|flow| of_flow(flow.packet)).sum()
    };
    let around = (LEAST_AROUND..MOST_AROUND).max_by_key(|&around| explained(around)).unwrap_or_default();
    let home = |packet: u16| {
        let counts: Vec<u64> = passed.iter().map(|channel| frames(channel, packet, around)).collect();
        let most = counts.iter().max().copied().unwrap_or(0);
        let carries = |count: u64| count >= FEWEST && count > most / 2;
        counts.into_iter().enumerate().filter_map(|(at, count)| carries(count).then_some(at)).collect()
    };
    options.flows.iter().map(|flow| home(flow.packet)).collect()
}

/// Arrivals of the flows of each home, in pieces of `step` from `from` on; homes without flows are left out.
pub(super) fn arrivals(
    report: &UdpReport,
    homes: &[Home],
    from: Instant,
    step: Duration,
    pieces: usize,
) -> BTreeMap<Home, Vec<u64>> {
    let mut rows = BTreeMap::new();
    for (flow, home) in report.flows.iter().zip(homes).filter(|(_, home)| !home.is_empty()) {
        let row = rows.entry(home.clone()).or_insert_with(|| vec![0; pieces]);
        flow.arrived_at.iter().flatten().for_each(|&at| count_in(row, at, from, step));
    }
    rows
}

/// What was lost, in pieces of `step` from `from` on, by the time it was sent.
pub(super) fn losses(report: &UdpReport, from: Instant, step: Duration, pieces: usize) -> Vec<u64> {
    let mut row = vec![0; pieces];
    for &sent in report.flows.iter().flat_map(|flow| &flow.lost) {
        count_in(&mut row, sent, from, step);
    }
    row
}

fn count_in(row: &mut [u64], at: Instant, from: Instant, step: Duration) {
    let piece = at.since(from).as_nanos() / step.as_nanos().max(1);
    let place = usize::try_from(piece).ok().filter(|_| at >= from).and_then(|piece| row.get_mut(piece));
    if let Some(count) = place {
        *count += 1;
    }
}

/// A datagram that was sent so shortly before a failure may be lost by it.
const ON_THE_WAY: Duration = Duration::from_millis(20);
/// Fewer frames of a length could be somebody else's.
const FEWEST: u64 = 5;
/// Octets around a packet on a channel: at least Ethernet's header, at most all headers that there are.
const LEAST_AROUND: usize = 14;
const MOST_AROUND: usize = 160;

#[cfg(test)]
mod tests {
    use super::super::super::flows::options;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    /// A datagram each 2 ms from 0 on, a millisecond on its way, but those sent in `lost`.
    fn flow(datagrams: u64, lost: std::ops::Range<u64>) -> Flow {
        let sent_at: Vec<Instant> = (0..datagrams).map(|n| at(2 * n)).collect();
        let gone = |sent: &&Instant| lost.contains(&(sent.as_nanos() / 1_000_000));
        Flow {
            sent: datagrams,
            lost: sent_at.iter().filter(gone).copied().collect(),
            arrived_at: sent_at.iter().map(|s| (!gone(&s)).then_some(s.after(MS))).collect(),
            sent_at,
            ..Flow::default()
        }
    }

    fn report(flows: Vec<Flow>) -> UdpReport {
        UdpReport {
            started: Instant::ZERO,
            flows,
            buckets: Vec::new(),
            longest_gap: Duration::ZERO,
            delays: Vec::new(),
        }
    }

    const MOMENTS: Moments = Moments {
        hurt: Instant::from_nanos(100_000_000),
        mended: Instant::from_nanos(300_000_000),
        left: None,
    };

    #[test]
    fn a_gap_is_what_is_beyond_the_spacing_and_belongs_to_its_time() {
        let report = report(vec![flow(200, 100..150), flow(200, 310..314)]);
        let seen = direction("a -> b", &report, &[vec![0], vec![1]], &[0], MOMENTS);
        assert_eq!((seen.gap, seen.gap_before, seen.gap_after), (MS * 50, Duration::ZERO, MS * 4));
        assert_eq!((seen.flows, seen.flows_hurt, seen.sent), (2, 1, 400));
        assert_eq!((seen.lost, seen.lost_after, seen.lost_elsewhere), (25, 2, 0));
    }

    #[test]
    fn losses_of_other_channels_are_told_apart_and_without_channels_all_are_hurt() {
        let report = report(vec![flow(200, 100..150), flow(200, 200..204)]);
        let one = direction("a -> b", &report, &[vec![0], vec![1]], &[0], MOMENTS);
        assert_eq!((one.lost, one.lost_elsewhere), (25, 2));
        let both = direction("a -> b", &report, &[vec![0], vec![0, 1]], &[1], MOMENTS);
        assert_eq!((both.flows_hurt, both.lost, both.lost_elsewhere), (1, 2, 25));
        let all = direction("a -> b", &report, &[vec![0], vec![]], &[], MOMENTS);
        assert_eq!((all.lost, all.lost_elsewhere, all.flows_hurt), (27, 0, 2));
    }

    #[test]
    fn what_is_lost_on_a_channel_that_was_left_counts_apart() {
        let report = report(vec![flow(200, 100..150), flow(200, 200..204)]);
        let homes = [vec![0], vec![1]];
        let seen = |left| direction("a -> b", &report, &homes, &[0], Moments { left, ..MOMENTS });
        assert_eq!(
            [None, Some(at(140)), Some(at(160))].map(|left| seen(left).lost_left),
            [None, Some(5), Some(0)]
        );
        assert_eq!((seen(Some(at(140))).lost, seen(Some(at(140))).lost_elsewhere), (25, 2));
    }

    #[test]
    fn losses_are_counted_in_pieces_of_the_time_they_were_sent_at() {
        let report = report(vec![flow(10, 4..8), flow(10, 6..7)]);
        assert_eq!(losses(&report, at(1), MS * 4, 3), [1, 2, 0]);
    }

    #[test]
    fn a_flow_that_never_comes_back_is_silent_to_the_end_and_a_slow_sender_is_not() {
        let dead = report(vec![flow(200, 100..1000)]);
        let seen = direction("a -> b", &dead, &[vec![0]], &[0], MOMENTS);
        assert_eq!(seen.gap, MS * (398 - 98 - 2));
        let mut slow = flow(4, 0..0);
        slow.sent_at = [0, 2, 200, 202].map(at).to_vec();
        slow.arrived_at = slow.sent_at.iter().map(|s| Some(s.after(MS))).collect();
        let seen = direction("a -> b", &report(vec![slow]), &[vec![0]], &[0], MOMENTS);
        assert_eq!(seen.gap, Duration::ZERO);
    }

    #[test]
    fn lengths_tell_the_channels_whatever_is_around_a_packet() {
        let options = options(&["10.2.0.2".parse().unwrap()], 4, 100, 7000);
        for around in [50, 54, 96] {
            let mut passed = vec![vec![0; 2048]; 2];
            for (flow, home) in options.flows.iter().zip([0, 1, 1]) {
                passed[home][usize::from(flow.packet) + around] = 100;
            }
            passed[0][60] = 1000;
            let one = [vec![0], vec![1], vec![1], vec![]];
            assert_eq!(homes(&options, &passed), one, "{around}");
            passed[0][usize::from(options.flows[1].packet) + around] = 98;
            let two = [vec![0], vec![0, 1], vec![1], vec![]];
            assert_eq!(homes(&options, &passed), two, "a flow over two channels, {around}");
        }
    }

    #[test]
    fn arrivals_are_counted_in_pieces_of_time_by_home() {
        let report = report(vec![flow(10, 4..8), flow(10, 0..0)]);
        let rows = arrivals(&report, &[vec![1], vec![]], at(1), MS * 4, 3);
        assert_eq!(rows, BTreeMap::from([(vec![1], vec![2, 0, 2])]));
    }
}
