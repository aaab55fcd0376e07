//! `POST /v1/restart`: another process takes over.

use serde::{Deserialize, Serialize};

/// What came of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Restart {
    /// A successor has taken over; whoever asks next asks it.
    pub done: bool,
    /// The successor's process; 0 when there is none.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// For how long nothing was forwarded, in milliseconds.
    pub still_ms: f64,
    /// How long everything took, in milliseconds.
    pub took_ms: u64,
    /// BGP sessions that were reset by it: their neighbours keep no routes while the process changes.
    #[serde(default)]
    pub sessions_reset: Vec<SessionReset>,
    /// Channels and ports that did not go on where they stood.
    #[serde(default)]
    pub began_anew: Vec<BeganAnew>,
    /// Why there is none: the gateway runs on as it was.
    pub why: String,
}

/// A BGP session that was reset by a restart.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SessionReset {
    /// As `connection/neighbour`.
    pub neighbor: String,
    /// Why, and what to set.
    pub message: String,
}

/// A channel or a port that began anew with a restart.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BeganAnew {
    /// Such as `channel ch1`.
    pub subject: String,
    /// Why.
    pub message: String,
}
