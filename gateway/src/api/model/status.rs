//! `/v1/status` and `/v1/version`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Channel, Connection, Drop, Port};

/// The whole gateway on one screen.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// The gateway's name.
    pub site: String,
    /// The program's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// The configuration file.
    pub config_file: String,
    /// When it was started.
    pub started: Timestamp,
    /// Whole seconds since then.
    pub uptime_seconds: u64,
    /// How well it is.
    pub state: Health,
    /// Why it is not `ok`, and what else should be known.
    pub reasons: Vec<Reason>,
    /// Its threads.
    pub workers: Vec<Worker>,
    /// As in `/v1/connections`.
    pub connections: Vec<Connection>,
    /// As in `/v1/channels`.
    pub channels: Vec<Channel>,
    /// As in `/v1/ports`.
    pub ports: Vec<Port>,
    /// The first few of `/v1/drops`.
    pub drops: Vec<Drop>,
}

/// How well the gateway is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Everything that is configured works.
    Ok,
    /// Something does not.
    Degraded,
}

/// Something that should be known.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reason {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about, such as `channel/ch1`.
    pub subject: String,
    /// A word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It makes the gateway `degraded`.
    Degraded,
    /// It works as it was configured, and somebody should know.
    Warning,
}

/// A worker thread.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Worker {
    /// Its number.
    pub worker: u16,
    /// Generation of the routes that it uses.
    pub route_generation: u64,
    /// Small buffers in its hands.
    pub small_buffers_held: usize,
    /// Large buffers in its hands.
    pub big_buffers_held: usize,
}

/// What answers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Version {
    /// The program's name.
    pub program: String,
    /// Its version.
    pub version: String,
}
