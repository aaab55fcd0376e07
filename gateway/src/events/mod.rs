//! The failover record: every change of forwarding, with what led to it and what it cost.
//!
//! Workers tell of each attachment that traffic leaves or comes back to ([`dataplane::Moved`]); the control loop knows what it saw before
//! that (a link, BFD, an operator) and makes one [`Record`] of it all. Nothing of it happens on the path of a frame.
//!
//! | file | what it does |
//! | --- | --- |
//! | `mod` | records, and the ring of the last [`KEPT`] |
//! | `chronicle` | from what is told to records: pure |
//! | `conflicts` | addresses that another station has, too, as long as that is fresh |
//! | `rates` | how much traffic each attachment carries, once a second |
//!
//! # What the numbers mean
//! - *detected*: how long nothing had been heard on the channel when traffic left. On a channel with traffic or BFD that is how long the
//!   failure lasted unnoticed; on a quiet one it is more than that.
//! - *switched*: from the decision until the worker that took it had sent its next frames another way. Other workers follow before
//!   their next frame.
//! - *lost*: an estimate of what this gateway sent into the dead path: detected and switched times the attachment's rate of the second
//!   before. The far end's record has the other direction.
//!
//! # Invariants
//! The ring and all that is remembered about causes are bounded by constants and the configuration.

mod chronicle;
mod conflicts;
mod rates;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

use dataplane::{ConnectionId, Fault, InterfaceId};
use jiff::Timestamp;
use net::Instant;
use parking_lot::Mutex;

pub use chronicle::Chronicle;
pub use conflicts::Conflict;
use conflicts::Conflicts;
pub use rates::Rates;

/// Records that are kept; older ones are forgotten.
pub const KEPT: usize = 1024;
/// Upper ends of the classes of [`Histogram`], in seconds.
pub const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// What changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// Traffic left an attachment for this reason.
    Left(Fault),
    /// An attachment is live again.
    Returned,
    /// `active-standby`: another attachment (or none) carries everything.
    ActiveMoved,
    /// `duplicate`: second copies are missing.
    RedundancyLost,
    /// They come again.
    RedundancyRestored,
}

impl Change {
    /// The word in tables and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Left(_) => "left",
            Self::Returned => "returned",
            Self::ActiveMoved => "active_moved",
            Self::RedundancyLost => "redundancy_lost",
            Self::RedundancyRestored => "redundancy_restored",
        }
    }
}

/// One link of the chain that led to a change, the first cause first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// How long before the change.
    pub before: Duration,
    /// What happened.
    pub what: String,
}

/// One change of forwarding.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Counts from 1, without gaps.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub change: Change,
    /// Of which connection.
    pub connection: ConnectionId,
    /// Which attachment was left, or came back; with `ActiveMoved`: carried everything before.
    pub attachment: Option<InterfaceId>,
    /// With `ActiveMoved`: carries everything now.
    pub to: Option<InterfaceId>,
    /// What led to it.
    pub chain: Vec<Step>,
    /// How long nothing had been heard on the channel. Only of what was left because it failed.
    pub detected: Option<Duration>,
    /// From the decision until frames went another way.
    pub switched: Option<Duration>,
    /// Frames a second that this gateway sent by the attachment before.
    pub rate: u64,
    /// Frames that this gateway sent into the dead path, about.
    pub lost: Option<u64>,
    /// Live attachments of the connection after it, and all.
    pub live: (usize, usize),
}

/// How long failovers took: from the last sign of life until frames went another way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Failovers within each of [`BOUNDS`] and no lower one; the last class has those above all.
    pub counts: [u64; BOUNDS.len() + 1],
    /// Seconds of all together.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
}

impl Histogram {
    fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let class = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        if let Some(count) = self.counts.get_mut(class) {
            *count += 1;
        }
        self.sum += seconds;
        self.count += 1;
    }
}

/// All changes since the start, added up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sums {
    /// How long failovers took: attachments that failed while packets were forwarded.
    pub failovers: Histogram,
    /// How often attachments were left, for each reason.
    pub left: Vec<(Fault, u64)>,
}

#[derive(Debug, Default)]
struct Kept {
    records: VecDeque<Record>,
    last: u64,
    failovers: Histogram,
    left: [u64; Fault::ALL.len()],
    conflicts: Conflicts,
}

/// The last records, for everybody who asks.
#[derive(Debug, Default)]
pub struct Log(Mutex<Kept>);

impl Log {
    /// Takes a record, and numbers it.
    pub fn add(&self, record: Record) {
        let mut kept = self.0.lock();
        kept.last += 1;
        if let Change::Left(fault) = record.change {
            let place = Fault::ALL.iter().position(|one| *one == fault);
            if let Some(count) = place.and_then(|at| kept.left.get_mut(at)) {
                *count += 1;
            }
        }
        if let (Some(detected), Some(switched)) = (record.detected, record.switched) {
            kept.failovers.add(detected + switched);
        }
        if kept.records.len() == KEPT {
            kept.records.pop_front();
        }
        let id = kept.last;
        kept.records.push_back(Record { id, ..record });
    }

    /// The records that are kept with numbers above `after`, oldest first, and the number of the last one ever.
    pub fn since(&self, after: u64) -> (Vec<Record>, u64) {
        let kept = self.0.lock();
        (kept.records.iter().filter(|one| one.id > after).cloned().collect(), kept.last)
    }

    /// Another station has an address of ours.
    pub fn conflict(&self, conflict: Conflict) {
        self.0.lock().conflicts.add(conflict);
    }

    /// Addresses that another station was heard to have lately.
    pub fn conflicts(&self, now: Instant) -> Vec<Conflict> {
        self.0.lock().conflicts.fresh(now)
    }

    /// All changes since the start.
    pub fn sums(&self) -> Sums {
        let kept = self.0.lock();
        let left = Fault::ALL.iter().copied().zip(kept.left).collect();
        Sums { failovers: kept.failovers.clone(), left }
    }
}
