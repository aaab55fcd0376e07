//! A customer's domain: attachments on channels, LANs on ports, routes between them.

use core::{net::IpAddr, time::Duration};

use net::{Dscp, IpNet, MacAddr, VlanId};
use serde::{Serialize, Serializer};

use super::{
    Bfd, Bgp, Channel, Interconnect, Link, Mode, Neighbor, Port, Protection, Quality, Ref, RoutePolicy,
    marking::code_points, optional_text, optional_vlan,
};
use crate::raw::time::serialize_period;

/// One customer's domain across an interconnect, with a routing table of its own.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Connection {
    /// Unique among connections.
    pub name: String,
    /// The interconnect whose channels it uses.
    pub interconnect: Ref<Interconnect>,
    /// Routed or transparent.
    pub mode: Mode,
    /// How the attachments share the traffic.
    pub protection: Protection,
    /// With `active-standby`: how patient it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standby: Option<Standby>,
    /// With `duplicate`, for all packets or for classes: how copies are told from new frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<Duplicate>,
    /// Bandwidth of each direction in Mbit/s, 1 to 400,000; `None`: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// How the quality of its paths is measured; off when transparent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// Whether the MSS of TCP is lowered; off when transparent.
    pub mss_clamp: MssClamp,
    /// At least one, each on another channel of the interconnect.
    #[serde(rename = "attachment")]
    pub attachments: Vec<Attachment>,
    /// Exactly one when transparent.
    #[serde(rename = "lan")]
    pub lans: Vec<Lan>,
    /// Static routes with different prefixes; none when transparent.
    #[serde(rename = "route")]
    pub routes: Vec<Route>,
    /// BGP; there are no neighbours without.
    pub bgp: Option<Bgp>,
    /// BGP neighbours, each another one on its interface; none when transparent.
    #[serde(rename = "neighbor", skip_serializing_if = "Vec::is_empty")]
    pub neighbors: Vec<Neighbor>,
    /// Policies that neighbours name.
    #[serde(rename = "policy", skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<RoutePolicy>,
}

/// How patient `active-standby` is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Standby {
    /// How long an attachment that failed must be live before it is trusted again.
    #[serde(serialize_with = "serialize_period")]
    pub hold_down: Duration,
    /// How long a more preferred attachment must be live before traffic goes back to it.
    #[serde(serialize_with = "serialize_period")]
    pub revert_delay: Duration,
    /// Whether traffic goes back at all.
    pub revert: bool,
}

/// How the copies of `duplicate` are told from new frames: managed objects of IEEE 802.1CB §10.4.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Duplicate {
    /// frerSeqRcvyHistoryLength: 2..=32,768 frames.
    pub history: u16,
    /// frerSeqRcvyResetMSec.
    #[serde(serialize_with = "serialize_period")]
    pub reset: Duration,
    /// frerSeqRcvyLatentErrorDifference, in frames.
    pub latent_error_difference: u32,
    /// frerSeqRcvyLatentErrorPeriod.
    #[serde(serialize_with = "serialize_period")]
    pub latent_error_period: Duration,
    /// The packets that are duplicated; none: all are, by [`Protection::Duplicate`].
    #[serde(rename = "class", skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<DuplicateClass>,
}

/// Packets that are duplicated on a connection with another protection. Something is asked of them, and some fit.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct DuplicateClass {
    /// Unique among the connection's classes.
    pub name: String,
    /// They have one of these; none: it does not matter.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "code_points")]
    pub dscp: Vec<Dscp>,
    /// They come from one of these, none of which is part of another; none: it does not matter.
    #[serde(rename = "source", skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<IpNet>,
    /// They go to one of these, likewise.
    #[serde(rename = "destination", skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<IpNet>,
}

/// Octets of a redundancy tag (IEEE 802.1CB §7.8), which frames that are duplicated have inside the ciphertext.
pub(crate) const REDUNDANCY_TAG: u16 = 6;

impl Connection {
    /// Octets that the connection's protection takes from each frame, or keeps free for those of its classes.
    pub const fn overhead(&self) -> u16 {
        if self.duplicate.is_some() { REDUNDANCY_TAG } else { 0 }
    }
}

/// Whether and how the MSS of passing TCP connections is lowered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MssClamp {
    /// It is left alone.
    Off,
    /// To what fits the attachment.
    Auto,
    /// To at most this many octets.
    Limit(u16),
}

impl Serialize for MssClamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::Auto => serializer.serialize_str("auto"),
            Self::Limit(octets) => serializer.serialize_u16(*octets),
        }
    }
}

/// A connection on one channel or LAG.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Attachment {
    /// The channel or LAG.
    #[serde(flatten)]
    pub link: Link,
    /// VLAN inside the ciphertext, or untagged; no other attachment on the channel or LAG has the same.
    #[serde(serialize_with = "optional_vlan")]
    pub vlan: Option<VlanId>,
    /// Our addresses with their subnets; not empty when routed, empty when transparent.
    #[serde(rename = "address")]
    pub addresses: Vec<IpNet>,
    /// The far end's addresses, at most one of each family, each in one of our subnets (or link-local).
    #[serde(rename = "peer")]
    pub peers: Vec<IpAddr>,
    /// Largest IP packet in octets. Filled in where the channel's MTU is given; `None` when both
    /// depend on the device: then it is the channel's MTU less [`Channel::overhead`].
    pub mtu: Option<u16>,
    /// The higher one is preferred.
    pub preference: u32,
    /// Our MAC address, if it is not that of the channel's device.
    #[serde(serialize_with = "optional_text")]
    pub mac: Option<MacAddr>,
    /// The host's own stack gets this interface.
    pub host: Option<HostDevice>,
    /// BFD with each of the peers.
    pub bfd: Option<Bfd>,
}

impl Attachment {
    /// Its channel, or the first member of its LAG.
    pub const fn channel(&self) -> &Ref<Channel> {
        self.link.channel()
    }
}

/// Where a connection meets the customer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Lan {
    /// The port.
    pub port: Ref<Port>,
    /// VLAN on the port, or untagged; no other LAN on the port has the same.
    #[serde(serialize_with = "optional_vlan")]
    pub vlan: Option<VlanId>,
    /// Our addresses with their subnets; not empty when routed, empty when transparent.
    #[serde(rename = "address")]
    pub addresses: Vec<IpNet>,
    /// Largest IP packet in octets; `None`: the MTU of the device at start.
    pub mtu: Option<u16>,
    /// Our MAC address, if it is not that of the port's device.
    #[serde(serialize_with = "optional_text")]
    pub mac: Option<MacAddr>,
    /// The host's own stack gets this interface.
    pub host: Option<HostDevice>,
    /// BFD with the BGP neighbours there; it speaks to BGP only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfd: Option<Bfd>,
}

/// A TAP device through which the host's stack owns an interface's addresses.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct HostDevice {
    /// Its name; `None`: the gateway makes one up.
    pub name: Option<String>,
}

/// A static route.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Route {
    /// Where to; no bits behind its length.
    pub prefix: IpNet,
    /// Over what.
    pub via: Via,
}

/// What a route leads to.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The peers of these attachments (places in [`Connection::attachments`]), as far as they are
    /// live. Each has a peer of the prefix's family; never empty.
    Attachments(Vec<usize>),
    /// One neighbour.
    Neighbor {
        /// Its address, of the prefix's family.
        address: IpAddr,
        /// Where it is.
        interface: Interface,
    },
    /// Packets vanish.
    Blackhole,
    /// Packets are answered by an ICMP error.
    Unreachable,
}

/// An interface of a connection.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Interface {
    /// Place in [`Connection::attachments`].
    Attachment(usize),
    /// Place in [`Connection::lans`].
    Lan(usize),
}
