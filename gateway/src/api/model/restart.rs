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
    /// Why there is none: the gateway runs on as it was.
    pub why: String,
}
