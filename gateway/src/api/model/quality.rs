//! `/v1/quality`: how good paths are, as STAMP (RFC 8762) measures them.

use core::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The path of an attachment. Numbers are of its last whole second.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PathQuality {
    /// The attachment: `connection/channel`.
    pub attachment: String,
    /// Who reflects.
    pub peer: IpAddr,
    /// `good`, `bad`, or `closed`: nothing can be sent.
    pub state: String,
    /// What is bad: `loss`, `delay` or `jitter`.
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// What follows when it is bad: `leave` or `report`.
    pub action: String,
    /// Probes sent.
    pub sent: u32,
    /// Probes that were not answered.
    pub lost: u32,
    /// Of these, lost on the way out; a reflector that keeps no state cannot tell.
    pub lost_out: u32,
    /// Lost on the way back.
    pub lost_back: u32,
    /// Lost ones, in parts per million; null: none were sent.
    pub loss_ppm: Option<u32>,
    /// The shortest round trip, without the time at the reflector.
    pub rtt_min_us: Option<u64>,
    /// Their mean.
    pub rtt_us: Option<u64>,
    /// The longest one.
    pub rtt_max_us: Option<u64>,
    /// Mean delay variation of the worse direction (RFC 3550 §6.4.1).
    pub jitter_us: Option<u64>,
    /// Replies that came twice.
    pub duplicates: u32,
    /// Replies that came out of order.
    pub reordered: u32,
    /// Probes of the far end that were reflected, since the start.
    pub reflected: u64,
    /// Probes and replies that were refused, since the start: another key, or not what they should be.
    pub refused: u64,
}
