//! The frames that the cache sends: whole Ethernet frames without VLAN tag, into empty buffers.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use net::{
    MacAddr, PacketBuf,
    arp::{Arp, Operation},
    checksum::Sum,
    ethernet::{EtherType, Ethernet},
    icmp::{Icmp, NeighborMessage, v6},
    ipv4::protocol,
    ipv6::{Ipv6, solicited_node},
};
use zerocopy::{
    IntoBytes,
    byteorder::big_endian::{U16, U32},
};

use super::{ArpReply, NdReply, Neighbors};

/// Hop limit of all ND messages: proof that no router forwarded them (RFC 4861 §3.1).
pub(super) const ND_HOPS: u8 = 255;
/// Source and target link-layer address options (RFC 4861 §4.6.1).
const SOURCE_OPTION: u8 = 1;
const TARGET_OPTION: u8 = 2;

impl Neighbors {
    /// Writes the answer to an ARP request into the empty `buf`. False, and `buf` empty, when it has no room for 42 octets.
    pub fn build_arp_reply(&self, reply: ArpReply, buf: &mut PacketBuf) -> bool {
        let packet = Arp::new(Operation::Reply, (self.params.own_mac, reply.own), reply.to);
        frame(reply.to.0, self.params.own_mac, EtherType::ARP, &[packet.as_bytes()], buf)
    }

    /// Writes the Neighbor Advertisement that answers a solicitation into the empty `buf`, as a router's (RFC 4861
    /// §7.2.4). False, and `buf` empty, when it has no room for 86 octets.
    pub fn build_advertisement(&self, reply: NdReply, buf: &mut PacketBuf) -> bool {
        let solicited = if reply.solicited { NeighborMessage::SOLICITED } else { 0 };
        let message = Nd {
            kind: v6::NEIGHBOR_ADVERTISEMENT,
            flags: NeighborMessage::ROUTER | NeighborMessage::OVERRIDE | solicited,
            target: reply.own,
            option: (TARGET_OPTION, self.params.own_mac),
        };
        message.write((self.params.own_mac, reply.own), reply.to, buf)
    }
}

/// Writes the question who has `target`: to everybody, or to `to` alone.
pub(super) fn arp_request(
    own: (MacAddr, Ipv4Addr),
    target: Ipv4Addr,
    to: Option<MacAddr>,
    buf: &mut PacketBuf,
) -> bool {
    let packet = Arp::new(Operation::Request, own, (MacAddr::ZERO, target));
    frame(to.unwrap_or(MacAddr::BROADCAST), own.0, EtherType::ARP, &[packet.as_bytes()], buf)
}

/// Writes a Neighbor Solicitation for `target`: to its solicited-node group, or to `to` alone (RFC 4861 §7.2.2, §7.3.3).
pub(super) fn solicitation(
    own: (MacAddr, Ipv6Addr),
    target: Ipv6Addr,
    to: Option<MacAddr>,
    buf: &mut PacketBuf,
) -> bool {
    let group = solicited_node(target);
    let to = to.map_or_else(|| (MacAddr::from_ipv6_group(group), group), |mac| (mac, target));
    let kind = v6::NEIGHBOR_SOLICITATION;
    Nd { kind, flags: 0, target, option: (SOURCE_OPTION, own.0) }.write(own, to, buf)
}

/// A Neighbor Solicitation or Advertisement with one link-layer address option.
struct Nd {
    kind: u8,
    flags: u32,
    target: Ipv6Addr,
    option: (u8, MacAddr),
}

impl Nd {
    const LEN: usize = Icmp::LEN + 16 + 8;

    fn write(&self, from: (MacAddr, Ipv6Addr), to: (MacAddr, Ipv6Addr), buf: &mut PacketBuf) -> bool {
        let MacAddr([a, b, c, d, e, f]) = self.option.1;
        let (target, option) = (self.target.octets(), [self.option.0, 1, a, b, c, d, e, f]);
        let mut icmp = Icmp { kind: self.kind, code: 0, checksum: U16::ZERO, rest: U32::new(self.flags) };
        let ip = Ipv6::new(from.1, to.1, protocol::ICMPV6, ND_HOPS, Self::LEN);
        let pseudo = Sum::new().add_pseudo_v6(from.1, to.1, protocol::ICMPV6, u32::from(ip.payload_len()));
        icmp.checksum = U16::new(pseudo.with(icmp.as_bytes()).with(&target).with(&option).finish());
        frame(to.0, from.0, EtherType::IPV6, &[ip.as_bytes(), icmp.as_bytes(), &target, &option], buf)
    }
}

/// Whether the checksum of an ICMPv6 message is right.
pub(super) fn is_sum_right(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> bool {
    u32::try_from(message.len()).is_ok_and(|len| {
        let pseudo = Sum::new().add_pseudo_v6(source, destination, protocol::ICMPV6, len);
        pseudo.with(message).finish() == 0
    })
}

/// Where an unsolicited advertisement goes: all nodes (RFC 4861 §7.2.4).
pub(super) const fn all_nodes() -> (MacAddr, Ipv6Addr) {
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    (MacAddr::from_ipv6_group(group), group)
}

/// A MAC address and an IP address that a station may have.
pub(super) const fn is_station(mac: MacAddr, ip: IpAddr) -> bool {
    let MacAddr(octets) = mac;
    let zero = matches!(octets, [0, 0, 0, 0, 0, 0]);
    !mac.is_group() && !zero && !ip.is_multicast() && !ip.is_loopback()
}

fn frame(to: MacAddr, from: MacAddr, ethertype: EtherType, parts: &[&[u8]], buf: &mut PacketBuf) -> bool {
    buf.truncate(0);
    let header = Ethernet { destination: to, source: from, ethertype };
    let mut all = core::iter::once(header.as_bytes()).chain(parts.iter().copied());
    let written = all.all(|part| buf.extend_from_slice(part));
    if !written {
        buf.truncate(0);
    }
    written
}
