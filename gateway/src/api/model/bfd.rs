//! `/v1/bfd`: BFD sessions (RFC 5880).

use core::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Counts;

/// A BFD session. Intervals are in microseconds, as on the wire.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BfdSession {
    /// The interface: `connection/channel` or `connection/port`.
    pub interface: String,
    /// Our address.
    pub own: IpAddr,
    /// The peer's.
    pub peer: IpAddr,
    /// The peer is on the link (RFC 5881), not behind routers (RFC 5883).
    pub single_hop: bool,
    /// `follow` or `strict`.
    pub mode: String,
    /// bfd.SessionState: `admin_down`, `down`, `init` or `up`.
    pub state: String,
    /// What is the matter, in words; null when it is up.
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// It speaks against its interface: no traffic goes there.
    pub fault: bool,
    /// What silence means: `waiting` (it never was up), `watching`, or `excused` (one side was switched off).
    pub guard: String,
    /// Our diagnostic, with the standard's name.
    pub diagnostic: String,
    /// bfd.RemoteSessionState.
    pub remote_state: String,
    /// The peer's diagnostic.
    pub remote_diagnostic: String,
    /// bfd.LocalDiscr.
    pub discriminator: u32,
    /// bfd.RemoteDiscr; 0: not known.
    pub remote_discriminator: u32,
    /// Desired Min TX Interval while up.
    pub min_tx_us: u64,
    /// Required Min RX Interval.
    pub min_rx_us: u64,
    /// Our Detect Mult.
    pub multiplier: u8,
    /// The peer's Desired Min TX Interval.
    pub remote_min_tx_us: u64,
    /// The peer's Required Min RX Interval.
    pub remote_min_rx_us: u64,
    /// The peer's Detect Mult; 0: not known.
    pub remote_multiplier: u8,
    /// The peer's C bit: its BFD survives a restart of its control plane.
    pub remote_control_plane_independent: bool,
    /// A packet leaves every so often, less up to a quarter of jitter; null: none leave now.
    pub tx_interval_us: Option<u64>,
    /// Silence for this long is a failure; null: nothing was heard yet.
    pub detection_us: Option<u64>,
    /// When the last valid packet came; null when the peer is not heard.
    pub heard: Option<Timestamp>,
    /// The longest time between two packets since it is up.
    pub longest_gap_us: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets accepted.
    pub rx_packets: u64,
    /// Packets refused, by reason; reasons without packets are left out.
    pub refused: Counts,
    /// How often it went up.
    pub ups: u64,
    /// How often it left up.
    pub downs: u64,
    /// The last changes of state, oldest first.
    pub history: Vec<BfdTransition>,
}

/// A change of state.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BfdTransition {
    /// When.
    pub at: Timestamp,
    /// From this state.
    pub from: String,
    /// To this one.
    pub to: String,
    /// Why, when it was a loss: `silence`, `peer_down`, `peer_admin_down` or `admin_down`.
    pub cause: Option<String>,
    /// The same in words.
    pub why: Option<String>,
}

/// What was done to BFD sessions.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BfdDone {
    /// The interfaces that they are on.
    pub interfaces: Vec<String>,
    /// What.
    pub message: String,
}
