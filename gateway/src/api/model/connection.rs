//! `/v1/connections`, `/v1/routes`, `/v1/neighbors`.

use core::net::IpAddr;
use std::collections::BTreeMap;

use jiff::Timestamp;
use net::IpNet;
use serde::{Deserialize, Serialize};

use super::ChannelState;

/// One customer's domain across an interconnect.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Connection {
    /// Its name.
    pub name: String,
    /// The interconnect whose channels it uses.
    pub interconnect: String,
    /// `routed` or `transparent`.
    pub mode: String,
    /// How the attachments share the traffic.
    pub protection: String,
    /// How well it is.
    pub state: ConnectionState,
    /// Why it is not up, in a word.
    pub reason: Option<String>,
    /// Attachments that may carry traffic.
    pub live: usize,
    /// Attachments.
    pub total: usize,
    /// Bandwidth of each direction in Mbit/s; null: no limit.
    #[serde(default)]
    pub rate_mbps: Option<u32>,
    /// Octets received over all attachments, tags and SecTAGs not counted.
    pub rx_octets: u64,
    /// Octets sent over all attachments.
    pub tx_octets: u64,
    /// `active-standby`: the channel that carries everything; null: none, or another protection.
    pub active: Option<String>,
    /// `duplicate`, of all packets or of classes: what became of the frames.
    pub redundancy: Option<Redundancy>,
    /// Its attachments.
    pub attachments: Vec<Attachment>,
    /// Its LAN side.
    pub lans: Vec<Lan>,
}

/// The frames of a connection that are duplicated.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Redundancy {
    /// Frames numbered and sent, each by two attachments where two are live.
    pub sent: u64,
    /// Of these the ones of each class, in the order of the configuration; empty when all packets are duplicated.
    #[serde(default)]
    pub classes: Vec<ClassCount>,
    /// Frames received, of all classes together, by the names of IEEE 802.1CB §10.8.
    pub counters: BTreeMap<String, u64>,
    /// Second copies are missing: one path is broken.
    pub latent_error: bool,
}

/// A class of packets that are duplicated.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ClassCount {
    /// Its name.
    pub name: String,
    /// Frames numbered and sent.
    pub sent: u64,
}

/// How well a connection is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// Every attachment is live.
    Up,
    /// Some are.
    Degraded,
    /// None is.
    Down,
}

/// A connection on one channel.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Attachment {
    /// The channel.
    pub channel: String,
    /// VLAN inside the ciphertext; null: untagged.
    pub vlan: Option<u16>,
    /// Whether it may carry traffic.
    pub state: ChannelState,
    /// Why not, in a word.
    pub reason: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Our MAC address.
    pub mac: String,
    /// Largest IP packet in octets.
    pub mtu: u16,
    /// Our addresses with their subnets.
    pub addresses: Vec<IpNet>,
    /// The far end's addresses.
    pub peers: Vec<IpAddr>,
    /// Frames in.
    pub rx_frames: u64,
    /// Octets in.
    pub rx_octets: u64,
    /// Frames out; a super-frame is one.
    pub tx_frames: u64,
    /// Octets out.
    pub tx_octets: u64,
    /// Of the frames in, those on their way through the gateway: what a drain moves.
    #[serde(default)]
    pub rx_transit: u64,
    /// The same of the frames out.
    #[serde(default)]
    pub tx_transit: u64,
}

/// Where a connection meets the customer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lan {
    /// The port.
    pub port: String,
    /// VLAN; null: untagged.
    pub vlan: Option<u16>,
    /// Our MAC address.
    pub mac: String,
    /// Largest IP packet in octets.
    pub mtu: u16,
    /// Our addresses with their subnets.
    pub addresses: Vec<IpNet>,
    /// Frames in.
    pub rx_frames: u64,
    /// Octets in.
    pub rx_octets: u64,
    /// Frames out; a super-frame is one.
    pub tx_frames: u64,
    /// Octets out.
    pub tx_octets: u64,
}

/// Routes, as many as one answer has.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RoutePage {
    /// By connection, in the order of the configuration, and by prefix.
    pub items: Vec<Route>,
    /// How many more were learnt; left out when these are all.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub unlisted: usize,
    /// What the next answer goes on behind (`?after=`); left out when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A route of a connection.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Route {
    /// The connection.
    pub connection: String,
    /// Where to.
    pub prefix: IpNet,
    /// Where it comes from.
    pub origin: RouteOrigin,
    /// What is done with packets.
    pub action: RouteAction,
    /// For `connected` and `local`: the interface.
    pub interface: Option<String>,
    /// For `via`: the ways out.
    pub hops: Vec<Hop>,
    /// Why packets get nowhere although the route is there: its LAN has no link. BGP neighbours are not told of it meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Where a route comes from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteOrigin {
    /// The configuration.
    Static,
    /// The subnet of an interface.
    Connected,
    /// An address of the gateway.
    Local,
    /// The network or broadcast address of a subnet.
    Subnet,
    /// A BGP neighbour.
    Bgp,
    /// A prefix that is announced to BGP neighbours as a whole.
    Aggregate,
}

/// What is done with packets that match a route.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteAction {
    /// They are for the gateway.
    Local,
    /// The destination is a neighbour.
    Connected,
    /// They go to one of the hops, by flow.
    Via,
    /// They vanish.
    Blackhole,
    /// They are answered by an ICMP error.
    Unreachable,
}

/// A way out.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Hop {
    /// The interface: `connection/channel` or `connection/port`.
    pub interface: String,
    /// The neighbour.
    pub gateway: IpAddr,
    /// Share of the flows relative to the other hops.
    pub weight: u8,
    /// Whether it carries traffic now.
    pub live: bool,
}

/// A neighbour.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Neighbor {
    /// The interface: `connection/channel` or `connection/port`.
    pub interface: String,
    /// IP address.
    pub ip: IpAddr,
    /// MAC address, once known.
    pub mac: Option<String>,
    /// State of RFC 4861 §7.3.2, in lower case.
    pub state: String,
    /// When it was last confirmed; while `incomplete`, since when it is asked for.
    pub since: Timestamp,
}

/// The bandwidth of a connection from now on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RateDone {
    /// The connection.
    pub connection: String,
    /// Mbit/s each way; null: no limit.
    pub rate_mbps: Option<u32>,
}
