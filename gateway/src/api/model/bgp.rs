//! `/v1/bgp`, `/v1/routes/why`.

use core::net::IpAddr;

use jiff::Timestamp;
use net::IpNet;
use serde::{Deserialize, Serialize};

use super::{Counts, Route};

/// A BGP neighbour.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BgpNeighbor {
    /// The connection.
    pub connection: String,
    /// Its name.
    pub name: String,
    /// The interface it is on: `connection/channel` or `connection/port`.
    pub interface: String,
    /// Its address.
    pub address: IpAddr,
    /// A remark for people.
    pub description: Option<String>,
    /// Its AS number.
    pub asn: u32,
    /// Our AS number towards it.
    pub local_asn: u32,
    /// State of RFC 4271 §8.2.2: `idle`, `connect`, `active`, `open_sent`, `open_confirm`, `established`.
    pub state: String,
    /// Why it is not established, in a word: `link_down`, `awaits_bfd`, `bfd_down`, `no_connection`, `md5_wrong`, `ttl_too_low`, `max_prefixes`, `held`...
    pub reason: Option<String>,
    /// The same in a sentence.
    pub detail: Option<String>,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// Its BGP identifier, once it told.
    pub router_id: Option<String>,
    /// The hold time that was agreed on, in seconds; 0: none.
    pub hold_seconds: Option<u64>,
    /// Seconds between KEEPALIVEs.
    pub keepalive_seconds: Option<u64>,
    /// It is signed with TCP-MD5.
    pub password: bool,
    /// TTL 255 is sent and asked for (RFC 5082).
    pub ttl_security: bool,
    /// What BFD does to the session: `off`, `follow`, `strict`.
    pub bfd: String,
    /// Graceful restart, as agreed on: `off`, `helper` (we help it), `both`.
    pub graceful_restart: String,
    /// Sessions that came up so far.
    pub sessions: u64,
    /// The end of the last session.
    pub last_down: Option<BgpDown>,
    /// The last attempt at a connection that failed, since the session was up.
    #[serde(default)]
    pub last_failure: Option<BgpDown>,
    /// The last NOTIFICATION from it, with the words of its operator (RFC 9003); one that only says that a connection is not wanted
    /// does not displace another one.
    #[serde(default)]
    pub last_notification_in: Option<BgpDown>,
    /// The last one to it.
    #[serde(default)]
    pub last_notification_out: Option<BgpDown>,
    /// Messages received.
    pub messages_in: u64,
    /// Messages sent.
    pub messages_out: u64,
    /// UPDATEs among those received.
    #[serde(default)]
    pub updates_in: u64,
    /// UPDATEs among those sent.
    #[serde(default)]
    pub updates_out: u64,
    /// Prefixes, by family that is configured.
    pub families: Vec<BgpFamily>,
    /// Faults in UPDATEs of this session, by kind (RFC 7606).
    pub faults: Counts,
    /// Traffic is being moved away from it.
    pub draining: bool,
}

/// When and why something ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BgpDown {
    /// When.
    pub at: Timestamp,
    /// Why, in words.
    pub why: String,
}

/// Prefixes of one family.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BgpFamily {
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// The session carries it.
    pub agreed: bool,
    /// Received and kept, refused ones included.
    pub received: u64,
    /// Those among them that the policy accepted.
    #[serde(default)]
    pub accepted: u64,
    /// The limit for what is received.
    pub received_max: Option<u64>,
    /// Some were left out because of it.
    pub overflowed: bool,
    /// The neighbour has sent all its routes.
    pub end_of_rib: bool,
    /// When stale ones go (graceful restart).
    pub stale_until: Option<Timestamp>,
    /// Announced.
    pub announced: u64,
    /// The limit for them.
    pub announced_max: Option<u64>,
    /// Held back because of it.
    pub held_back: u64,
    /// To look at before the neighbour knows everything.
    pub pending: u64,
}

/// What was done for a wish about a neighbour.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BgpDone {
    /// The neighbour: `connection/name`.
    pub neighbor: String,
    /// What is being done, in words.
    pub message: String,
}

/// The story of one prefix in one connection: who told it, what was made of it, who hears of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RouteStory {
    /// The connection.
    pub connection: String,
    /// The prefix.
    pub prefix: IpNet,
    /// What is done with packets to exactly this prefix; null: no route of its own.
    pub route: Option<Route>,
    /// Which workers use it.
    pub workers: Vec<RouteWorker>,
    /// What neighbours told, those in use first.
    pub paths: Vec<RoutePath>,
    /// Whether neighbours hear of it.
    pub exports: Vec<RouteExport>,
}

/// A worker and the tables that it uses.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RouteWorker {
    /// Its number.
    pub worker: u16,
    /// The generation of its tables.
    pub generation: u64,
    /// These are the newest: the route is in use there.
    pub current: bool,
}

/// What one neighbour told of a prefix.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RoutePath {
    /// Who; `local`: our own.
    pub neighbor: String,
    /// When it came.
    pub since: Timestamp,
    /// AS path, as it came.
    pub as_path: String,
    /// Next hop.
    pub next_hop: IpAddr,
    /// LOCAL_PREF as it is used.
    pub local_pref: u32,
    /// MED as it is used.
    pub med: Option<u32>,
    /// ORIGIN: `igp`, `egp`, `incomplete`.
    pub origin: String,
    /// Communities as they are used.
    pub communities: Vec<String>,
    /// It may be used.
    pub accepted: bool,
    /// By which line of the policy it was accepted, or why it was refused.
    pub import: String,
    /// `best`, `multipath` (carries traffic beside the best), `lost`; null when it was refused.
    pub outcome: Option<String>,
    /// Why it is not the best.
    pub why: Option<String>,
    /// Its neighbour has not confirmed it since a restart.
    pub stale: bool,
}

/// Whether a neighbour hears of a prefix.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RouteExport {
    /// Who.
    pub neighbor: String,
    /// It was told.
    pub announced: bool,
    /// By which line of the policy, or why not.
    pub why: String,
}
