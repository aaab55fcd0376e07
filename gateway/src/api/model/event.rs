//! `/v1/events`: the failover record.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One change of forwarding.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Event {
    /// Counts from 1 since the gateway started; give the last one as `?after=` to hear only of what is newer.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// `left`, `returned`, `active_moved`, `redundancy_lost` or `redundancy_restored`.
    pub change: String,
    /// The connection.
    pub connection: String,
    /// The channel whose attachment was left, or came back; with `active_moved`: carried everything before.
    pub channel: Option<String>,
    /// With `active_moved`: the channel that carries everything now.
    pub to: Option<String>,
    /// Why it was left, in a word; null otherwise.
    pub reason: Option<String>,
    /// What led to it, the first cause first.
    pub chain: Vec<EventStep>,
    /// How long nothing had been heard on the channel that failed.
    pub detected_us: Option<u64>,
    /// From the decision until frames went another way.
    pub switched_us: Option<u64>,
    /// Frames a second that this gateway had sent this way.
    pub frames_per_second: u64,
    /// Frames that this gateway sent into the dead path: an estimate, from the numbers above.
    pub lost: Option<u64>,
    /// Live attachments of the connection after it.
    pub live: usize,
    /// Attachments of the connection.
    pub total: usize,
}

/// One link of a chain of causes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct EventStep {
    /// How long before the change.
    pub before_us: u64,
    /// What happened.
    pub what: String,
}

/// The failover record.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Events {
    /// Oldest first.
    pub items: Vec<Event>,
    /// The number of the last one ever.
    pub last: u64,
}
