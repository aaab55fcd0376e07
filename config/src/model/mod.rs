//! A configuration that can be run: every name resolved, every default filled in, every key read.
//!
//! Only [`load`](crate::load) makes a [`Config`], and only when it found no error, so whoever holds
//! one need not check anything again. What depends on the machine (does the device exist, what is its
//! MTU and MAC address) is left open as `None` or [`TxSci::DeviceMac`] and known at start.
//!
//! It serialises for `show config` with the words of the file; keys are shown by their fingerprints.

mod bgp;
mod connection;
mod lag;
mod macsec;
mod marking;
mod mka;
mod quality;
mod reference;

use core::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::Serialize;

pub use bgp::{
    Announce, Bfd, Bgp, Community, LargeCommunity, Limits, MaxIn, MaxOut, Neighbor, Password,
    Policy as RoutePolicy, PrefixRange, RouteFilter, Rule,
};
pub(crate) use connection::REDUNDANCY_TAG;
pub use connection::{
    Attachment, Connection, Duplicate, DuplicateClass, HostDevice, Interface, Lan, MssClamp, Route, Standby,
    Via,
};
pub use lag::{Lag, LagLink, Link};
pub(crate) use macsec::overhead;
pub use macsec::{Macsec, ParseSciError, RxSc, Sa, Sci, TxSci, Xpn};
pub use marking::Marking;
pub use mka::{Ckn, Mka, MkaKey};
pub use quality::Quality;
pub use reference::Ref;

pub use crate::raw::{
    AcceptFrom, Aead, BfdMode, Cipher, Family, GracefulRestart, IcvIndicator, Io, LagMode, LagTimers,
    LimitAction, LogFormat, Mode, Policy, Poll, Profile, Protection, QualityAction, Role, RouteOrigin,
    RouteSource, RxRing, TagType, UnderlayKind, Validate, Verdict,
};
use net::{MacAddr, VlanId};

/// One gateway's configuration.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Config {
    /// This gateway.
    pub site: Site,
    /// The process.
    pub runtime: Runtime,
    /// Where frames come in and go out.
    #[serde(rename = "port")]
    pub ports: Vec<Port>,
    /// Redundancy groups.
    #[serde(rename = "interconnect")]
    pub interconnects: Vec<Interconnect>,
    /// Protected links.
    #[serde(rename = "channel")]
    pub channels: Vec<Channel>,
    /// Channels that carry frames as one.
    #[serde(rename = "lag", skip_serializing_if = "Vec::is_empty")]
    pub lags: Vec<Lag>,
    /// Customers' domains.
    #[serde(rename = "connection")]
    pub connections: Vec<Connection>,
}

/// This gateway.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Site {
    /// Its name on screens, in logs and in metrics.
    pub name: String,
}

/// The process: threads, files, logs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Runtime {
    /// Worker threads, 1 to 64.
    pub workers: u8,
    /// One CPU per worker, all different; empty when the kernel chooses.
    pub pin: Vec<u16>,
    /// What a worker does while no frames come.
    pub poll: Poll,
    /// Directory for state that outlives the process; absolute.
    pub state_dir: PathBuf,
    /// Unix socket of the API; absolute.
    pub socket: PathBuf,
    /// Where metrics are served over TCP: one address of this machine and a port; `None`: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<SocketAddr>,
    /// A filter for `tracing`.
    pub log: String,
    /// How log events look.
    pub log_format: LogFormat,
    /// Which implementation of AES-GCM protects frames.
    pub aead: Aead,
}

/// Where frames come in and go out.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Port {
    /// Unique among ports.
    pub name: String,
    /// The network interface, or the TAP device to create; unique among ports, at most 15 octets.
    pub device: String,
    /// How frames are moved.
    pub io: Io,
    /// Version of the receive ring (AF_PACKET).
    pub rx_ring: RxRing,
    /// Super-frames with a virtio-net header. False on ports of channels whatever the file says.
    pub offload: bool,
    /// Size of the receive ring in KiB, 256 to 262144; of each queue's with AF_XDP.
    pub ring_kib: u32,
    /// Send past the queueing discipline (AF_PACKET).
    pub qdisc_bypass: bool,
    /// What uses the port; never both channels and LANs.
    pub role: PortRole,
    /// A tunnel through a routed network by the device, instead of the device itself.
    pub underlay: Option<Underlay>,
}

/// A VXLAN tunnel to one peer (RFC 7348).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Underlay {
    /// What kind of tunnel.
    pub kind: UnderlayKind,
    /// Our address; with `port`, unique among tunnels.
    pub local: IpAddr,
    /// The peer's address, of the same family.
    pub remote: IpAddr,
    /// Network identifier, 0 to 16,777,215.
    pub vni: u32,
    /// The UDP port of both ends.
    pub port: u16,
    /// UDP source ports that flows are spread over, 1 to 64.
    pub source_ports: u8,
    /// From where datagrams are accepted.
    pub accept_from: AcceptFrom,
    /// The DSCP of outer headers.
    pub dscp: Marking,
    /// The MAC address of our end; `None`: made of `local`, `port` and `vni` (see `dataplane::underlay`).
    #[serde(serialize_with = "optional_text")]
    pub mac: Option<MacAddr>,
}

/// What uses a port.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PortRole {
    /// It is the underlay of channels.
    Channel,
    /// It is the LAN side of connections.
    Lan,
    /// Nothing uses it.
    Unused,
}

/// Channels that form one redundancy group towards one peer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Interconnect {
    /// Unique among interconnects.
    pub name: String,
    /// What the peer accepts and does.
    pub profile: Profile,
}

/// One link to one peer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Channel {
    /// Unique among channels.
    pub name: String,
    /// The interconnect it belongs to.
    pub interconnect: Ref<Interconnect>,
    /// The port its frames use; no other channel uses it with the same tags.
    pub port: Ref<Port>,
    /// Tags in clear in front of the SecTAG, outer first, at most two.
    pub clear_tags: Vec<ClearTag>,
    /// Octets of underlay payload behind the MAC header and the tags in clear, SecTAG and ICV
    /// included; `None`: the MTU of the device (less its tags) at start.
    pub mtu: Option<u16>,
    /// What it carries in Mbit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// The peer's MAC address, if it is not to be learnt.
    #[serde(serialize_with = "optional_text")]
    pub peer_mac: Option<MacAddr>,
    /// How it is protected.
    pub macsec: Macsec,
}

impl Channel {
    /// Octets that MACsec and the VLAN tag of an attachment (if it is `tagged`) take from the channel's
    /// payload: what is left is the largest IP packet. SecTAG (8 or 16) + ICV (16) + tag (4); the
    /// EtherType inside takes the place of the one that the SecTAG's own EtherType displaced.
    pub fn overhead(&self, tagged: bool) -> u16 {
        self.macsec.overhead() + if tagged { VLAN_TAG } else { 0 }
    }
}

/// Octets of a VLAN tag (802.1Q §9).
pub(crate) const VLAN_TAG: u16 = 4;

/// A VLAN tag in clear in front of the SecTAG.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct ClearTag {
    /// Its type.
    #[serde(rename = "type")]
    pub tag_type: TagType,
    /// Its VLAN.
    #[serde(serialize_with = "vlan")]
    pub vlan: VlanId,
}

impl Config {
    /// The port that `reference` names.
    pub fn port(&self, reference: &Ref<Port>) -> Option<&Port> {
        self.ports.get(reference.index())
    }

    /// The channel that `reference` names.
    pub fn channel(&self, reference: &Ref<Channel>) -> Option<&Channel> {
        self.channels.get(reference.index())
    }

    /// The channels that an attachment is on: one, or the members of its LAG.
    pub fn channels_of(&self, attachment: &Attachment) -> Vec<&Channel> {
        let lag = attachment.link.lag().and_then(|lag| self.lags.get(lag.index()));
        let one = core::slice::from_ref(attachment.channel());
        lag.map_or(one, |lag| &lag.members).iter().filter_map(|member| self.channel(member)).collect()
    }

    /// What an attachment's channel, or the members of its LAG together, carry in Mbit/s; `None` when one does not say.
    pub fn capacity_of(&self, attachment: &Attachment) -> Option<u64> {
        self.channels_of(attachment).into_iter().map(|one| one.capacity.map(u64::from)).sum()
    }

    /// The interconnect that `reference` names.
    pub fn interconnect(&self, reference: &Ref<Interconnect>) -> Option<&Interconnect> {
        self.interconnects.get(reference.index())
    }
}

fn optional_text<T: core::fmt::Display, S: serde::Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

fn vlan<S: serde::Serializer>(vlan: &VlanId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(vlan.get())
}

fn optional_vlan<S: serde::Serializer>(vlan: &Option<VlanId>, serializer: S) -> Result<S::Ok, S::Error> {
    vlan.map(VlanId::get).serialize(serializer)
}
