//! Ethernet frames across a routed network: VXLAN (RFC 7348) in UDP.
//!
//! # What
//! A channel's frames, already protected by its SecY, travel inside UDP datagrams to one remote address. This module is
//! the part without sockets: the header ([`Vxlan`]), what is accepted ([`Tunnel::open`]), which source port a flow gets
//! ([`Tunnel::path_of`]), and what a path of a given MTU carries ([`carries`]). `port::udp` moves the datagrams.
//!
//! # Why
//! Two sites often have nothing between them but IP. MACsec inside VXLAN gives them the same channels as a wire would,
//! and Linux (`vxlan` under `macsec`) and switches can be the other end.
//!
//! # Invariants
//! 1. Whatever arrives, opening it never panics: a datagram becomes a frame or a [`DropReason`].
//! 2. All frames of one inner flow leave from one source port, so that routers with several ways keep them in order
//!    (RFC 7348 §5); the ports are of the dynamic range (RFC 6335 §6).
//! 3. The network between sees whose frames are urgent: the outer DSCP is that of the packet inside, or a fixed one, and what the
//!    gateway itself has to say is CS6 ([`Marking`]).
//! 4. The outer packet is never fragmented (RFC 7348 §4.3): DF is set, and what does not fit is dropped and told.
//!
//! The outer addresses are no secret and no proof: anybody can forge them. What a frame may do is decided by the SecY
//! that it then meets.

use core::net::IpAddr;

use net::{Dscp, Ethernet, MacAddr, ipv4::Ipv4, ipv6::Ipv6, udp::Udp};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{DropReason, Frame};

/// The UDP port of VXLAN (RFC 7348 §5).
pub const PORT: u16 = 4789;
/// The first port of the dynamic range; the last one is 65535 (RFC 6335 §6).
pub const FIRST_SOURCE_PORT: u16 = 49_152;
/// The most source ports of one tunnel.
pub const MAX_SOURCE_PORTS: u8 = 64;

/// A VXLAN network identifier: 24 bits.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Vni(u32);

impl Vni {
    /// The identifier with this number, 0 to 16,777,215.
    pub const fn new(number: u32) -> Option<Self> {
        if number < 1 << 24 { Some(Self(number)) } else { None }
    }

    /// Its number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// The VXLAN header, RFC 7348 §5.
#[derive(Clone, Copy, Debug, Eq, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Vxlan {
    flags: u8,
    reserved: [u8; 3],
    vni: [u8; 3],
    reserved_too: u8,
}
const _: () = assert!(size_of::<Vxlan>() == Vxlan::LEN);

impl Vxlan {
    /// Octets on the wire.
    pub const LEN: usize = 8;
    /// The VNI is valid; must be set.
    const I: u8 = 0x08;

    /// The header of a frame in this network.
    pub const fn new(vni: Vni) -> Self {
        let [_, a, b, c] = vni.0.to_be_bytes();
        Self { flags: Self::I, reserved: [0; 3], vni: [a, b, c], reserved_too: 0 }
    }

    /// The network, when the header says that it names one. Reserved bits are ignored (RFC 7348 §5).
    pub fn vni(&self) -> Option<Vni> {
        let [a, b, c] = self.vni;
        (self.flags & Self::I != 0).then_some(Vni(u32::from_be_bytes([0, a, b, c])))
    }
}

/// One tunnel: a remote address, a network, and how flows are spread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tunnel {
    /// Where frames go.
    pub remote: IpAddr,
    /// The network that they are in.
    pub vni: Vni,
    /// Accept frames from other addresses too, as from a peer with several or behind NAT.
    pub any_source: bool,
    /// How many source ports flows are spread over: 1 to [`MAX_SOURCE_PORTS`].
    pub source_ports: u8,
}

impl Tunnel {
    /// Whether a datagram (or a train) from `source` is from the peer at all.
    pub fn admits(&self, source: Option<IpAddr>) -> bool {
        self.any_source || source == Some(self.remote)
    }

    /// The Ethernet frame inside a datagram's data.
    ///
    /// # Errors
    /// Why it is dropped.
    pub fn open<'a>(&self, data: &'a [u8]) -> Result<&'a [u8], DropReason> {
        let (header, frame) = Vxlan::ref_from_prefix(data).map_err(|_| DropReason::VxlanBadHeader)?;
        let vni = header.vni().ok_or(DropReason::VxlanBadHeader)?;
        if vni != self.vni {
            return Err(DropReason::VxlanUnknownVni);
        }
        if frame.len() < Ethernet::LEN { Err(DropReason::Runt) } else { Ok(frame) }
    }

    /// The number of the source port for a flow with this hash, below `source_ports`.
    pub fn path_of(&self, flow: u16) -> usize {
        usize::from(flow) % usize::from(self.source_ports.max(1))
    }

    /// A MAC address for our end when none is configured: locally administered, and the same after every restart, because
    /// an SCI is made of it (802.1AE-2018 §7.1.2).
    pub fn mac_of(local: IpAddr, port: u16, vni: u32) -> MacAddr {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325; // FNV-1a
        let mut mix = |octet: u8| hash = (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
        match local {
            IpAddr::V4(v4) => v4.octets().into_iter().for_each(&mut mix),
            IpAddr::V6(v6) => v6.octets().into_iter().for_each(&mut mix),
        }
        port.to_be_bytes().into_iter().chain(vni.to_be_bytes()).for_each(&mut mix);
        let [.., a, b, c, d, e] = (hash ^ hash >> 40).to_be_bytes();
        MacAddr([0x02, a, b, c, d, e])
    }
}

/// The DSCP of outer headers (RFC 2983 §4.1: what a tunnel's near end sets). The far end does not look at it: the packet inside has its own.
///
/// ECN is always Not-ECT, the *compatibility mode* of RFC 6040 §4.1: a router in between that is congested then drops. With the normal mode
/// it would mark the outer header instead, and a mark must not be lost (§4.2). But it is the SecY behind the tunnel that finds the packet
/// in which it would have to be written, and the far end may well be a kernel's `vxlan` with a `macsec` device on it, of which the one
/// knows no packet and the other no outer header. §4.3 asks for the compatibility mode where it is not known that the far end can.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Marking {
    /// That of the packet inside; best effort for what is no IP.
    #[default]
    Copy,
    /// This one.
    Fixed(Dscp),
}

impl Marking {
    /// Of a frame. What routers and key servers say to each other is network control (RFC 4594 §3.1), however others are marked; probes of
    /// the path are marked as what they measure for.
    pub const fn of(self, frame: &Frame) -> Dscp {
        match self {
            _ if frame.control && matches!(frame.dscp.get(), 48 | 56) => Dscp::CS6,
            Self::Copy => frame.dscp,
            Self::Fixed(dscp) => dscp,
        }
    }
}

/// Octets in front of the inner Ethernet frame, from the outer IP header on: 36 (IPv4) or 56 (IPv6).
pub const fn outer_len(v6: bool) -> usize {
    (if v6 { Ipv6::LEN } else { Ipv4::LEN }) + Udp::LEN + Vxlan::LEN
}

/// Octets behind the inner frame's Ethernet header that a path with this MTU carries: 50 (IPv4) or 70 (IPv6) less.
pub fn carries(path_mtu: u32, v6: bool) -> u16 {
    let path = usize::try_from(path_mtu).unwrap_or(usize::MAX);
    u16::try_from(path.saturating_sub(outer_len(v6) + Ethernet::LEN)).unwrap_or(u16::MAX)
}

/// The source port to try as number `attempt` for path number `path` of a tunnel: in the dynamic range, so far apart from
/// path to path that one that is taken makes no other move.
pub fn source_port(local: IpAddr, vni: Vni, path: u16, attempt: u16) -> u16 {
    let MacAddr([_, _, _, _, high, low]) = Tunnel::mac_of(local, path, vni.0);
    let range = u16::MAX - FIRST_SOURCE_PORT + 1;
    FIRST_SOURCE_PORT + (u16::from_be_bytes([high, low]).wrapping_add(attempt)) % range
}

#[cfg(test)]
mod tests;
