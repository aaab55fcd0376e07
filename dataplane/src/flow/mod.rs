//! Which flow a packet belongs to, as a number: what ECMP chooses by.
//!
//! The hash covers what all packets of a flow share and what flows differ in: both addresses, the protocol,
//! and the ports of TCP, UDP, UDP-Lite, SCTP and DCCP or the identifier of an echo. Rules:
//!
//! - *Symmetric:* the two directions of a flow hash alike, because the lower endpoint always comes first.
//! - *Fragments stay together:* every fragment, the first included, hashes without ports, which later ones lack.
//! - *The IPv6 flow label does not count:* a host may change it within a connection (Linux does when it retransmits).
//! - *Segment trains are flows too:* a super-frame hashes like each of its segments.
//! - *It is the same everywhere:* no seed, so all workers agree, and a restart moves no flow.
//!
//! Two rounds of multiply-and-fold give an avalanche that flows with sequential ports spread evenly by.

use core::net::{Ipv4Addr, Ipv6Addr};

use net::{
    ethernet::{EtherType, Ethernet, VlanTag},
    icmp,
    ipv4::{Ipv4, protocol},
    ipv6::Ipv6,
};
use zerocopy::FromBytes;

/// Extension headers that are walked over before what follows counts as unknown.
const MAX_EXTENSIONS: usize = 8;
/// Octets of a packet that is not IP which count.
const OPAQUE_OCTETS: usize = 64;

const K0: u64 = 0x9e37_79b9_7f4a_7c15;
const K1: u64 = 0xd6e8_feb8_6659_fd93;
const K2: u64 = 0xa076_1d64_78bd_642f;

/// The 128-bit product of two numbers, its halves folded together.
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let (low, high) = a.carrying_mul(b, 0);
    low ^ high
}

/// Where a packet stands among the fragments of its datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fragment {
    /// It is not fragmented.
    Whole,
    /// The first fragment: the upper header is there.
    First,
    /// A later one.
    Later,
}

/// What an IP packet carries, behind options and extension headers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Upper<'a> {
    /// Protocol number of `octets`; meaningless when they belong to a later fragment of IPv6.
    pub(crate) protocol: u8,
    /// Whether it is a piece only.
    pub(crate) fragment: Fragment,
    /// From the upper header on; empty when the packet ends before.
    pub(crate) octets: &'a [u8],
}

impl<'a> Upper<'a> {
    /// What an IPv4 packet carries.
    pub(crate) fn of_v4(header: &Ipv4, packet: &'a [u8]) -> Self {
        let fragment = match (header.is_fragment(), header.fragment_offset()) {
            (false, _) => Fragment::Whole,
            (true, 0) => Fragment::First,
            (true, _) => Fragment::Later,
        };
        let octets = packet.get(header.header_len().max(Ipv4::LEN)..).unwrap_or_default();
        Self { protocol: header.protocol, fragment, octets }
    }

    /// What an IPv6 packet carries behind its extension headers (RFC 8200 §4, RFC 4302 for AH).
    pub(crate) fn of_v6(header: &Ipv6, packet: &'a [u8]) -> Self {
        let octets = packet.get(Ipv6::LEN..).unwrap_or_default();
        let mut upper = Self { protocol: header.next_header, fragment: Fragment::Whole, octets };
        for _ in 0..MAX_EXTENSIONS {
            if !upper.skip_extension() {
                break;
            }
        }
        upper
    }

    /// Steps over one extension header; false when there is none to step over.
    fn skip_extension(&mut self) -> bool {
        let &[next, units, high, low, ..] = self.octets else { return false };
        let len = match self.protocol {
            extension::HOP_BY_HOP | extension::ROUTING | extension::DESTINATION => {
                8 * (usize::from(units) + 1)
            }
            extension::AUTHENTICATION => 4 * (usize::from(units) + 2),
            extension::FRAGMENT => {
                let first = u16::from_be_bytes([high, low]) & 0xfff8 == 0;
                self.fragment = if first { Fragment::First } else { Fragment::Later };
                8
            }
            _ => return false,
        };
        self.protocol = next;
        self.octets = self.octets.get(len..).unwrap_or_default();
        self.fragment != Fragment::Later
    }

    /// What tells this flow from others between the same addresses: the same number in both directions of the
    /// ports, which are ordered as `swapped` says.
    fn discriminator(&self, swapped: Option<bool>) -> u64 {
        let (a, b) = match (self.fragment, self.protocol, self.octets) {
            (Fragment::First | Fragment::Later, ..) => (0, 0),
            (Fragment::Whole, protocol, &[a, b, c, d, ..]) if has_ports(protocol) => {
                (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
            }
            (Fragment::Whole, protocol, &[kind, _, _, _, a, b, ..]) if is_echo(protocol, kind) => {
                let id = u16::from_be_bytes([a, b]);
                (id, id)
            }
            _ => (0, 0),
        };
        let (low, high) = if swapped.unwrap_or(a > b) { (b, a) } else { (a, b) };
        u64::from(low) << 16 | u64::from(high)
    }
}

/// IPv6 extension header numbers.
mod extension {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION: u8 = 60;
}

const fn has_ports(number: u8) -> bool {
    const DCCP: u8 = 33;
    const SCTP: u8 = 132;
    const UDP_LITE: u8 = 136;
    matches!(number, protocol::TCP | protocol::UDP | DCCP | SCTP | UDP_LITE)
}

const fn is_echo(number: u8, kind: u8) -> bool {
    match number {
        protocol::ICMP => matches!(kind, icmp::v4::ECHO | icmp::v4::ECHO_REPLY),
        protocol::ICMPV6 => matches!(kind, icmp::v6::ECHO | icmp::v6::ECHO_REPLY),
        _ => false,
    }
}

/// The hash of the flow that an IP packet (from its IP header on) belongs to; of anything else, a hash of its
/// first 64 octets. All 32 bits are good.
pub fn flow_hash(l3: &[u8]) -> u32 {
    let hash = match l3.first().map(|first| first >> 4) {
        Some(4) => Ipv4::ref_from_prefix(l3).ok().map(|(header, _)| hash_v4(header, l3)),
        Some(6) => Ipv6::ref_from_prefix(l3).ok().map(|(header, _)| hash_v6(header, l3)),
        _ => None,
    };
    finish(hash.unwrap_or_else(|| hash_opaque(l3)))
}

/// The hash of the flow that an Ethernet frame (from the destination address on) belongs to: looks through up
/// to two VLAN tags for IP, and takes both MAC addresses and the EtherType when there is none.
pub fn flow_hash_l2(frame_from_da: &[u8]) -> u32 {
    let Some((header, mut rest)) = Ethernet::split(frame_from_da) else {
        return finish(hash_opaque(frame_from_da));
    };
    let mut ethertype = header.ethertype;
    for _ in 0..2 {
        if ethertype.is_vlan()
            && let Some((&[_, _, high, low], inner)) = rest.split_first_chunk::<{ VlanTag::LEN }>()
        {
            (ethertype, rest) = (EtherType::new(u16::from_be_bytes([high, low])), inner);
        }
    }
    if ethertype == EtherType::IPV4 || ethertype == EtherType::IPV6 {
        return flow_hash(rest);
    }
    let (a, b) = (header.source, header.destination);
    let (low, high) = (number(&a.min(b).0), number(&a.max(b).0));
    finish(fold(low ^ K0, high ^ K1) ^ u64::from(ethertype.get()))
}

fn hash_v4(header: &Ipv4, packet: &[u8]) -> u64 {
    let (a, b) = (Ipv4Addr::to_bits(header.source()), Ipv4Addr::to_bits(header.destination()));
    let swapped = (a != b).then_some(a > b);
    let addresses = u64::from(a.min(b)) << 32 | u64::from(a.max(b));
    let upper = Upper::of_v4(header, packet);
    fold(addresses ^ K0, K1 ^ (u64::from(upper.protocol) << 32 | upper.discriminator(swapped)))
}

fn hash_v6(header: &Ipv6, packet: &[u8]) -> u64 {
    let (a, b) = (Ipv6Addr::to_bits(header.source()), Ipv6Addr::to_bits(header.destination()));
    let swapped = (a != b).then_some(a > b);
    let upper = Upper::of_v6(header, packet);
    // What follows the fragment header is the same number in all fragments (RFC 8200 §4.5), but only the
    // first lets us look behind a further extension header: so none of it counts.
    let number = if upper.fragment == Fragment::Whole { upper.protocol } else { extension::FRAGMENT };
    let ([low_high, low_low], [high_high, high_low]) = (halves(a.min(b)), halves(a.max(b)));
    let addresses = fold(low_high ^ K0, low_low ^ K1) ^ fold(high_high ^ K1, high_low ^ K2).rotate_left(32);
    fold(addresses ^ K0, K1 ^ (u64::from(number) << 32 | upper.discriminator(swapped)))
}

fn hash_opaque(octets: &[u8]) -> u64 {
    let counted = octets.get(..OPAQUE_OCTETS).unwrap_or(octets);
    let mut hash = K0;
    for chunk in counted.chunks(8) {
        hash = fold(hash ^ number(chunk), K1);
    }
    hash
}

/// Up to eight octets as a big-endian number.
fn number(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |number, &octet| number << 8 | u64::from(octet))
}

fn halves(number: u128) -> [u64; 2] {
    let octets = number.to_be_bytes();
    let (halves, _) = octets.as_chunks::<8>();
    match *halves {
        [high, low] => [u64::from_be_bytes(high), u64::from_be_bytes(low)],
        _ => [0; 2],
    }
}

fn finish(hash: u64) -> u32 {
    let [a, b, c, d, ..] = fold(hash ^ K2, K0).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests;
