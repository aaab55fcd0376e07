//! `/v1/lags`: LAGs and what LACP says of their members.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ChannelState, Counts};

/// Channels that carry frames as one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lag {
    /// Its name.
    pub name: String,
    /// Whether it may carry traffic.
    pub state: ChannelState,
    /// Why it may not: `lacp_down` when fewer than `min_links` members distribute, or what all members have in common.
    pub reason: Option<String>,
    /// Since when, and since when its members carry what they do.
    pub since: Option<Timestamp>,
    /// Members that frames are sent by.
    pub distributing: usize,
    /// With fewer it is down.
    pub min_links: u8,
    /// `active` or `passive`.
    pub mode: String,
    /// `fast` or `slow`.
    pub timers: String,
    /// LACP's name of this system, as `priority-MAC address`.
    pub system: String,
    /// LACP's key.
    pub key: u16,
    /// The partner that the members lead to, as `priority-MAC address`; null: nobody was heard.
    pub partner: Option<String>,
    /// The partner's key.
    pub partner_key: Option<u16>,
    /// Its members, in the order of the configuration.
    pub members: Vec<LagMember>,
}

/// A member.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LagMember {
    /// Its channel.
    pub channel: String,
    /// Its link is up and its SecY may send (port_enabled).
    pub enabled: bool,
    /// Frames from it are taken.
    pub collecting: bool,
    /// Frames are sent by it.
    pub distributing: bool,
    /// `selected`, `standby` (drained), or why it is kept out: `unheard`, `loopback`, `other_partner`.
    pub selected: String,
    /// State of the Mux machine: `detached`, `waiting`, `attached`, `collecting`, `distributing`.
    pub mux: String,
    /// Since when.
    pub since: Timestamp,
    /// State of the Receive machine: `port_disabled`, `expired`, `defaulted`, `current`.
    pub receive: String,
    /// State of the Periodic Transmission machine: `no_periodic`, `fast_periodic`, `slow_periodic`.
    pub periodic: String,
    /// What we say of our end.
    pub actor: LagPort,
    /// What the partner says of its end; null: nobody was heard.
    pub partner: Option<LagPort>,
    /// When the last LACPDU came.
    pub heard: Option<Timestamp>,
    /// Our end was not in step for a minute.
    pub actor_churn: bool,
    /// The partner's end was not.
    pub partner_churn: bool,
    /// PDUs and transitions, the standard's counters (802.1AX-2014 §7.3.3, §7.3.4) in `snake_case`.
    pub counters: Counts,
}

/// One end of a member, as its system describes it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LagPort {
    /// Its system, as `priority-MAC address`.
    pub system: String,
    /// Its key.
    pub key: u16,
    /// Its port number.
    pub port: u16,
    /// The port's priority.
    pub port_priority: u16,
    /// The bits that are set: `ACT`, `STO` (short timeout), `AGG`, `SYN`, `COL`, `DIS`, `DEF`, `EXP`.
    pub state: Vec<String>,
}
