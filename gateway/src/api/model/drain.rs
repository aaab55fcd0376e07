//! `POST /v1/channels/NAME/{drain,undrain}`, and a channel's `drain` in `/v1/channels`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Planned work on a channel.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ChannelDrain {
    /// How far it has come.
    pub state: DrainState,
    /// The same in a sentence.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself; null: when somebody undrains the channel.
    pub until: Option<Timestamp>,
    /// It was forced.
    pub forced: bool,
    /// BGP neighbours on the channel, who were told.
    pub neighbors: usize,
    /// Frames on their way through the channel now, both directions together.
    pub frames_per_second: u64,
}

/// How far a drain has come.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainState {
    /// Traffic leaves.
    Moving,
    /// Nothing was on its way through the channel for a second.
    Safe,
    /// Traffic does not leave.
    Stays,
}

/// What was done.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DrainDone {
    /// The channel.
    pub channel: String,
    /// How it is now; null: it carries traffic as any other.
    pub drain: Option<ChannelDrain>,
}

/// What a drill showed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DrillDone {
    /// The channel.
    pub channel: String,
    /// Frames a second that this gateway had sent by it.
    pub frames_per_second: u64,
    /// From the decision until this gateway's frames went another way.
    pub switched_us: Option<u64>,
    /// When the far end's last frame on its way through came, since the drill began: how long it took to find out and to move. Null: it
    /// sent none.
    pub far_end_moved_us: Option<u64>,
    /// The far end still sent by the channel when the drill ended: it did not find out.
    pub far_end_stayed: bool,
    /// Frames of the far end that died.
    pub lost: u64,
    /// Channels that this gateway sent by during the drill.
    pub carried_by: Vec<DrillShare>,
    /// How long after the drill the channel was live again; null: not yet.
    pub back_after_us: Option<u64>,
}

/// What a channel carried during a drill.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DrillShare {
    /// The channel.
    pub channel: String,
    /// Frames a second.
    pub frames_per_second: u64,
}
