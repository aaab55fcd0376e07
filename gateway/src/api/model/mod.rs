//! The documents of the API, version 1. The server writes them, the CLI reads them back: one definition, no drift.
//!
//! Rules: `snake_case`; octets, frames and packet numbers as integers, as they are; times as RFC 3339 in UTC; words in
//! lower case; a thing that can be well or not has `state`, `reason` (a word, null when it is well) and, where it is
//! known, `since`. A field never changes its meaning within a version and is never taken away; new ones may come, so
//! readers ignore what they do not know.

mod bfd;
mod bgp;
mod channel;
mod connection;
mod drain;
mod event;
mod lag;
mod macsec;
mod mka;
mod port;
mod quality;
mod reload;
mod restart;
mod runtime;
mod status;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use bfd::{BfdDone, BfdSession, BfdTransition};
pub use bgp::{BgpDone, BgpDown, BgpFamily, BgpNeighbor, RouteExport, RoutePath, RouteStory, RouteWorker};
pub use channel::{Channel, ChannelMacsec, ChannelRx, ChannelState};
pub use connection::{
    Attachment, ClassCount, Connection, ConnectionState, Hop, Lan, Neighbor, RateDone, Redundancy, Route,
    RouteAction, RouteOrigin, RoutePage,
};
pub use drain::{ChannelDrain, DrainDone, DrainState, DrillDone, DrillShare};
pub use event::{Event, EventStep, Events};
pub use lag::{Lag, LagMember, LagPort};
pub use macsec::{MacsecChannel, ReceiveSa, ReceiveSc, TransmitSa, TransmitSc};
pub use mka::{
    MkaChannel, MkaDiagnosis, MkaKeyServer, MkaParticipant, MkaPeer, MkaSak, MkaWaiting, Rekey, RekeyAnswer,
    SuspendAnswer, Suspension,
};
pub use port::{Drop, Port, PortState, PortTunnel};
pub use quality::PathQuality;
pub use reload::{Reload, ReloadOutcome};
pub use restart::{BeganAnew, Restart, SessionReset};
pub use runtime::{RuntimeCalls, RuntimeSchedule, RuntimeStage, WorkerRuntime};
pub use status::{Health, Reason, Severity, Status, Version, Worker};

/// The name of this version of the API.
pub const API: &str = "v1";

/// Counts by name: drop reasons, or the standard's counters in `snake_case`.
pub type Counts = BTreeMap<String, u64>;

/// What every document begins with, and its content.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Document<T> {
    /// Version of the API.
    pub api: String,
    /// What it is, such as `ChannelList`.
    pub kind: String,
    /// When it was made.
    pub generated_at: Timestamp,
    /// The content's own fields.
    #[serde(flatten)]
    pub content: T,
}

/// The content of a list.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Items<T> {
    /// The things, in the order of the configuration unless said otherwise.
    pub items: Vec<T>,
    /// How many more there are; left out when these are all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unlisted: usize,
}

impl<T> Items<T> {
    /// A list that is complete.
    pub const fn all(items: Vec<T>) -> Self {
        Self { items, unlisted: 0 }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A list as a document.
pub type List<T> = Document<Items<T>>;

impl<T> Document<T> {
    /// A document of this kind.
    pub fn new(kind: &str, generated_at: Timestamp, content: T) -> Self {
        Self { api: API.to_owned(), kind: kind.to_owned(), generated_at, content }
    }
}

/// The running configuration, keys replaced by fingerprints.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RunningConfig {
    /// The file it was read from.
    pub file: String,
    /// In the words of the file.
    pub config: serde_json::Value,
}

/// An error, as RFC 9457 wants it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// What kind of problem: a URN that ends in the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words.
    pub title: String,
    /// The status code of HTTP.
    pub status: u16,
    /// What is wrong this time, and what to do.
    pub detail: String,
    /// A word for programs.
    pub code: String,
}
