//! What a gateway is made of: the lists that every worker gets a copy of when it starts.
//!
//! `gateway::assemble` makes them from the configuration. Lists are indexed by the ids of [`crate::ids`].

use core::net::IpAddr;

use macsec::{SecyPolicy, mka::KayParams};
use net::{IpNet, MacAddr, VlanTag};

use crate::{
    ChannelId, ConnectionId, LagId, PortCaps, PortId, WorkerId,
    bfd::BfdParams,
    frer::RecoveryParams,
    lacp::{LacpParams, MemberParams},
    protection::{ClassParams, Preference, StandbyParams},
};

/// The whole gateway.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Setup {
    /// How many workers share the work, at least 1.
    pub workers: u16,
    /// By [`PortId`].
    pub ports: Vec<PortSetup>,
    /// By [`ChannelId`].
    pub channels: Vec<ChannelSetup>,
    /// By [`LagId`].
    pub lags: Vec<LagSetup>,
    /// By [`InterfaceId`](crate::InterfaceId).
    pub interfaces: Vec<InterfaceSetup>,
    /// By [`ConnectionId`].
    pub connections: Vec<ConnectionSetup>,
}

/// A port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PortSetup {
    /// The only worker that opens it (ports with channels, TAPs to the host), or `None`: every worker does.
    pub owner: Option<WorkerId>,
    /// What it can take over.
    pub caps: PortCaps,
}

/// A channel: a port, perhaps clear tags, and a SecY.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChannelSetup {
    /// Its port.
    pub port: PortId,
    /// The worker that owns port and channel.
    pub owner: WorkerId,
    /// Zero, one or two tags in clear in front of the SecTAG, outer first.
    pub clear_tags: Vec<VlanTag>,
    /// How its SecY works; with [`KayParams::plain`], once there is a key.
    pub secy: SecyPolicy,
    /// How its KaY agrees on keys; `None`: keys are static, or there are none.
    pub mka: Option<KayParams>,
}

/// Channels to one system that carry frames as one, agreed with LACP. One worker owns them all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LagSetup {
    /// Our end, as LACP tells it.
    pub lacp: LacpParams,
    /// With fewer members that distribute, its attachments are down; at least 1.
    pub min_links: u8,
    /// Its members, at most 64; the first one stands for the LAG in [`Place::Attachment`].
    pub members: Vec<LagMember>,
}

/// A member of a LAG.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LagMember {
    /// The channel; it is in no other LAG, and no attachment is on it alone.
    pub channel: ChannelId,
    /// Its port's own MAC address: the source of LACPDUs.
    pub mac: MacAddr,
    /// Its port, as LACP tells it.
    pub port: MemberParams,
}

/// An interface of a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InterfaceSetup {
    /// Whose it is.
    pub connection: ConnectionId,
    /// Where it is.
    pub place: Place,
    /// Its MAC address.
    pub mac: MacAddr,
    /// Largest IP packet, in octets: 68..=65535 (1280 or more when it has IPv6 addresses).
    pub mtu: u16,
    /// Its addresses with the subnets they are in. None on transparent connections.
    pub addresses: Vec<IpNet>,
    /// Lowers the MSS option of TCP handshakes that leave by it.
    pub mss_clamp: MssClamp,
    /// The TAP by which the host's own stack uses this interface.
    pub host: Option<PortId>,
    /// Its BFD sessions.
    pub bfd: Vec<BfdParams>,
}

/// Where an interface is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// On a LAN port, untagged or in a VLAN.
    Lan {
        /// The port.
        port: PortId,
        /// The tag that its frames carry, if any.
        vlan: Option<VlanTag>,
    },
    /// An attachment: inside the ciphertext of a channel, untagged or in a VLAN.
    Attachment {
        /// The channel, or the first member of a LAG, which stands for all of them.
        channel: ChannelId,
        /// The tag that its frames carry inside the ciphertext, if any.
        vlan: Option<VlanTag>,
    },
}

/// What to do about the MSS option of TCP handshakes (RFC 9293 §3.7.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum MssClamp {
    /// Leave it alone.
    #[default]
    Off,
    /// At most the MTU less the IP and TCP headers.
    Auto,
    /// At most this.
    Fixed(u16),
}

impl MssClamp {
    /// The MSS to clamp to, for packets of this address family on an interface with this MTU.
    pub const fn limit(self, mtu: u16, v6: bool) -> Option<u16> {
        match self {
            Self::Off => None,
            Self::Auto => Some(mtu.saturating_sub(if v6 { 60 } else { 40 })),
            Self::Fixed(mss) => Some(mss),
        }
    }
}

/// A connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConnectionSetup {
    /// Routed, or a transparent wire.
    pub kind: ConnectionKind,
    /// How its attachments share, or guard, the traffic.
    pub protection: Protection,
    /// What leaves twice all the same, when the protection is another than [`Protection::Duplicate`]. Routed connections only.
    pub twice: Option<TwiceSetup>,
}

impl ConnectionSetup {
    /// Without anything that leaves twice beside its protection.
    pub const fn new(kind: ConnectionKind, protection: Protection) -> Self {
        Self { kind, protection, twice: None }
    }

    /// Whether frames of it may carry a redundancy tag.
    pub const fn tags(&self) -> bool {
        matches!(self.protection, Protection::Duplicate { .. }) || self.twice.is_some()
    }
}

/// Packets that leave by the two best live attachments, one sequence of numbers for all of them (IEEE 802.1CB).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TwiceSetup {
    /// Which these are; at most [`MAX_CLASSES`](crate::protection::MAX_CLASSES).
    pub classes: Vec<ClassParams>,
    /// How the far end's duplicates are removed.
    pub recovery: RecoveryParams,
    /// Of each attachment, in the order of the connection's.
    pub preferences: Vec<Preference>,
}

/// How a connection uses its attachments. Preferences are in the order of its attachments; the higher one is preferred.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Protection {
    /// All live ones share the flows.
    Ecmp,
    /// One carries everything.
    ActiveStandby {
        /// How patient the choice is.
        standby: StandbyParams,
        /// Of each attachment.
        preferences: Vec<Preference>,
    },
    /// The two best live ones carry each frame (IEEE 802.1CB). Routed connections only.
    Duplicate {
        /// How the far end's duplicates are removed.
        recovery: RecoveryParams,
        /// Of each attachment.
        preferences: Vec<Preference>,
    },
}

/// What a connection does with frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConnectionKind {
    /// It routes IP by its own FIB.
    Routed,
    /// An Ethernet wire between its LAN interface and the far end's.
    Transparent,
}

impl Setup {
    /// The LAG that a channel is a member of, and its place there.
    pub fn lag_of(&self, channel: ChannelId) -> Option<(LagId, usize)> {
        self.lags.iter().enumerate().find_map(|(at, lag)| {
            let member = lag.members.iter().position(|member| member.channel == channel)?;
            Some((LagId::at(at), member))
        })
    }

    /// Whether a channel is a member of this LAG.
    pub fn is_member(&self, channel: ChannelId, lag: LagId) -> bool {
        self.lag_of(channel).is_some_and(|(of, _)| of == lag)
    }

    /// Whether this place is an attachment on this LAG.
    pub fn is_on_lag(&self, place: Place, lag: LagId) -> bool {
        matches!(place, Place::Attachment { channel, .. } if self.is_member(channel, lag))
    }

    /// Whether frames of an attachment at this place may come and go by this channel.
    pub fn is_on(&self, place: Place, channel: ChannelId) -> bool {
        let Place::Attachment { channel: named, .. } = place else { return false };
        let lag = |one| self.lag_of(one).map(|(lag, _)| lag);
        named == channel || lag(channel).is_some_and(|of| lag(named) == Some(of))
    }

    /// The worker that alone sends by this interface; the first one, when all workers opened its port.
    pub fn runs_on(&self, interface: &InterfaceSetup) -> WorkerId {
        let owner = match interface.place {
            Place::Attachment { channel, .. } => self.channels.get(channel.index()).map(|one| one.owner),
            Place::Lan { port, .. } => self.ports.get(port.index()).and_then(|one| one.owner),
        };
        owner.unwrap_or_default()
    }
}

impl InterfaceSetup {
    /// True for an attachment.
    pub const fn is_attachment(&self) -> bool {
        matches!(self.place, Place::Attachment { .. })
    }

    /// The MSS to clamp to, for packets of this address family.
    pub fn mss_limit(&self, v6: bool) -> Option<u16> {
        self.mss_clamp.limit(self.mtu, v6)
    }

    /// Its own address for talking to `peer`: the one in the peer's subnet, else as [`address_towards`](Self::address_towards).
    pub fn address_for(&self, peer: IpAddr) -> Option<IpAddr> {
        let near = self.addresses.iter().find(|own| own.contains(&peer)).map(IpNet::addr);
        near.or_else(|| self.address_towards(peer))
    }

    /// Its own address in the family (and, for IPv6, of the scope) of `towards`.
    pub fn address_towards(&self, towards: IpAddr) -> Option<IpAddr> {
        match towards {
            IpAddr::V4(_) => self.addresses.iter().map(IpNet::addr).find(IpAddr::is_ipv4),
            IpAddr::V6(to) if to.is_unicast_link_local() => Some(self.mac.link_local().into()),
            IpAddr::V6(_) => self.addresses.iter().map(IpNet::addr).find(IpAddr::is_ipv6),
        }
    }
}
