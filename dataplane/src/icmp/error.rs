//! ICMP errors: RFC 792, RFC 1191, RFC 1812 §4.3 and §5.2.7; ICMPv6: RFC 4443 §2.4 and §3.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use net::{
    PacketBuf,
    checksum::{self, Sum},
    icmp::{Icmp, v4, v6},
    ipv4::{Ipv4, protocol},
    ipv6::Ipv6,
};
use zerocopy::{
    FromBytes, IntoBytes,
    byteorder::big_endian::{U16, U32},
};

use super::echo::HOPS;
use crate::flow::{Fragment, Upper};

/// Longest error about an IPv4 packet, its own header included (RFC 1812 §4.3.2.3).
const MAX_V4: usize = 576;
/// Longest error about an IPv6 packet: the smallest MTU there is (RFC 4443 §2.4(c)).
const MAX_V6: usize = Ipv6::MIN_MTU;
/// Precedence "internetwork control", which errors should have (RFC 1812 §4.3.2.5): DSCP CS6.
const INTERNETWORK_CONTROL: u8 = 0xc0;

/// Why a packet could not be forwarded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IcmpError {
    /// The hop limit ran out.
    TimeExceeded,
    /// It is longer than the way on carries.
    TooBig {
        /// What the way on carries, in octets from the IP header on. IPv6 never hears of less than 1280.
        mtu: u32,
    },
    /// There is no route.
    NoRoute,
    /// The last hop's neighbour does not answer.
    HostUnreachable,
    /// It is for us, and nothing here listens to it (RFC 1122 §3.2.2.1, RFC 4443 §3.1).
    PortUnreachable,
    /// A rule forbids it.
    Prohibited,
}

impl IcmpError {
    const fn v4(self) -> (u8, u8) {
        match self {
            Self::TimeExceeded => (v4::TIME_EXCEEDED, 0),
            Self::TooBig { .. } => (v4::UNREACHABLE, v4::CODE_FRAGMENTATION_NEEDED),
            Self::NoRoute => (v4::UNREACHABLE, v4::CODE_NET),
            Self::HostUnreachable => (v4::UNREACHABLE, v4::CODE_HOST),
            Self::PortUnreachable => (v4::UNREACHABLE, v4::CODE_PORT),
            Self::Prohibited => (v4::UNREACHABLE, v4::CODE_PROHIBITED),
        }
    }

    const fn v6(self) -> (u8, u8) {
        match self {
            Self::TimeExceeded => (v6::TIME_EXCEEDED, 0),
            Self::TooBig { .. } => (v6::TOO_BIG, 0),
            Self::NoRoute => (v6::UNREACHABLE, v6::CODE_NO_ROUTE),
            Self::HostUnreachable => (v6::UNREACHABLE, v6::CODE_ADDRESS),
            Self::PortUnreachable => (v6::UNREACHABLE, v6::CODE_PORT),
            Self::Prohibited => (v6::UNREACHABLE, v6::CODE_PROHIBITED),
        }
    }
}

/// Whether `error` may be sent about `l3` (from its IP header on): RFC 1122 §3.2.2, RFC 1812 §4.3.2.7,
/// RFC 4443 §2.4(e). Never about an ICMP error, about a packet to a group or broadcast address (except an IPv6 packet that is
/// too big), about a fragment but the first, or to a source that is not a single host. Two things only
/// the caller sees forbid it too: a link-layer destination that is a group, and a subnet's broadcast address.
pub fn may_answer(error: IcmpError, l3: &[u8]) -> bool {
    match l3.first().map(|first| first >> 4) {
        Some(4) => Ipv4::ref_from_prefix(l3).is_ok_and(|(header, _)| may_answer_v4(header, l3)),
        Some(6) => Ipv6::ref_from_prefix(l3).is_ok_and(|(header, _)| may_answer_v6(error, header, l3)),
        _ => false,
    }
}

fn may_answer_v4(header: &Ipv4, l3: &[u8]) -> bool {
    let (source, destination) = (header.source(), header.destination());
    let [class, ..] = source.octets();
    let single = !(class == 0 || class >= 224 || source.is_loopback());
    let group = destination.is_multicast() || destination.is_broadcast();
    let upper = Upper::of_v4(header, l3);
    // Destination unreachable, source quench, redirect, time exceeded, parameter problem.
    let about_error = upper.protocol == protocol::ICMP
        && upper.octets.first().is_none_or(|kind| matches!(kind, 3 | 4 | 5 | 11 | 12));
    single && !group && upper.fragment != Fragment::Later && !about_error
}

fn may_answer_v6(error: IcmpError, header: &Ipv6, l3: &[u8]) -> bool {
    let (source, destination) = (header.source(), header.destination());
    let single = !(source.is_unspecified() || source.is_multicast() || source.is_loopback());
    let group = destination.is_multicast() && !matches!(error, IcmpError::TooBig { .. });
    let upper = Upper::of_v6(header, l3);
    // Errors have the high bit clear (RFC 4443 §2.1).
    let about_error = upper.protocol == protocol::ICMPV6
        && upper.octets.first().is_none_or(|&kind| kind < 128 || kind == v6::REDIRECT);
    single && !group && upper.fragment != Fragment::Later && !about_error
}

/// Writes `error` about the packet `original_l3`, sent from `source`, into the empty buffer `out`: a complete IP
/// packet to the original's source that quotes as much as may be. False, and `out` empty, when `original_l3` is no IP
/// packet of `source`'s family or `out` is too small to quote its header.
pub fn build_error(error: IcmpError, original_l3: &[u8], source: IpAddr, out: &mut PacketBuf) -> bool {
    out.truncate(0);
    let written = match source {
        IpAddr::V4(source) => build_v4(error, original_l3, source, out),
        IpAddr::V6(source) => build_v6(error, original_l3, source, out),
    };
    if written.is_none() {
        out.truncate(0);
    }
    written.is_some()
}

fn build_v4(error: IcmpError, original: &[u8], source: Ipv4Addr, out: &mut PacketBuf) -> Option<()> {
    let (about, _) = Ipv4::ref_from_prefix(original).ok().filter(|_| is_version(original, 4))?;
    let packet = original.get(..usize::from(about.total_len())).unwrap_or(original);
    let quote =
        quote(packet, about.header_len().max(Ipv4::LEN), MAX_V4 - Ipv4::LEN - Icmp::LEN, Ipv4::LEN, out)?;
    let (kind, code) = error.v4();
    let rest = match error {
        IcmpError::TooBig { mtu } => mtu.min(0xffff),
        IcmpError::TimeExceeded
        | IcmpError::NoRoute
        | IcmpError::HostUnreachable
        | IcmpError::PortUnreachable
        | IcmpError::Prohibited => 0,
    };
    let mut icmp = Icmp { kind, code, checksum: U16::ZERO, rest: U32::new(rest) };
    icmp.checksum = U16::new(Sum::new().with(icmp.as_bytes()).with(quote).finish());
    let header = Ipv4::new(source, about.source(), protocol::ICMP, HOPS, Icmp::LEN + quote.len());
    let header = with_tos(&header, INTERNETWORK_CONTROL)?;
    append(out, &[&header, icmp.as_bytes(), quote])
}

fn build_v6(error: IcmpError, original: &[u8], source: Ipv6Addr, out: &mut PacketBuf) -> Option<()> {
    let (about, _) = Ipv6::ref_from_prefix(original).ok().filter(|_| is_version(original, 6))?;
    let packet = original.get(..Ipv6::LEN + usize::from(about.payload_len())).unwrap_or(original);
    let quote = quote(packet, Ipv6::LEN, MAX_V6 - Ipv6::LEN - Icmp::LEN, Ipv6::LEN, out)?;
    let (kind, code) = error.v6();
    let rest = match error {
        IcmpError::TooBig { mtu } => mtu.max(1280),
        IcmpError::TimeExceeded
        | IcmpError::NoRoute
        | IcmpError::HostUnreachable
        | IcmpError::PortUnreachable
        | IcmpError::Prohibited => 0,
    };
    let len = Icmp::LEN + quote.len();
    let mut icmp = Icmp { kind, code, checksum: U16::ZERO, rest: U32::new(rest) };
    let pseudo = Sum::new().add_pseudo_v6(source, about.source(), protocol::ICMPV6, u32::try_from(len).ok()?);
    icmp.checksum = U16::new(pseudo.with(icmp.as_bytes()).with(quote).finish());
    let header = Ipv6::new(source, about.source(), protocol::ICMPV6, HOPS, len);
    append(out, &[header.as_bytes(), icmp.as_bytes(), quote])
}

fn is_version(l3: &[u8], version: u8) -> bool {
    l3.first().is_some_and(|first| first >> 4 == version)
}

/// The front of `packet` that is quoted: at most `most` octets, what fits in `out` behind an IP header of
/// `ip_header` octets, but at least the `least` octets of the packet's own header.
fn quote<'a>(
    packet: &'a [u8],
    least: usize,
    most: usize,
    ip_header: usize,
    out: &PacketBuf,
) -> Option<&'a [u8]> {
    let room = out.tailroom().checked_sub(ip_header + Icmp::LEN)?;
    let len = packet.len().min(most).min(room);
    packet.get(..len).filter(|quote| quote.len() >= least)
}

/// The octets of `header` with another type of service, checksum corrected.
fn with_tos(header: &Ipv4, tos: u8) -> Option<[u8; Ipv4::LEN]> {
    let mut octets = [0; Ipv4::LEN];
    header.write_to(&mut octets).ok()?;
    *octets.get_mut(1)? = tos;
    octets.get_mut(10..12)?.fill(0);
    let sum = checksum::checksum(&octets).to_be_bytes();
    octets.get_mut(10..12)?.copy_from_slice(&sum);
    Some(octets)
}

fn append(out: &mut PacketBuf, parts: &[&[u8]]) -> Option<()> {
    parts.iter().all(|part| out.extend_from_slice(part)).then_some(())
}
