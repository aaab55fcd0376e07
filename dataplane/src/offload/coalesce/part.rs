//! Single frames: which flow each belongs to, whether it may be part of a train, and whether two of
//! them have the same headers.

use net::{
    EtherType,
    ipv4::Ipv4,
    tcp::{Tcp, flag},
    udp::Udp,
    virtio::Checksum,
};
use zerocopy::FromBytes;

use crate::{
    Frame,
    offload::{
        layout::{Family, Layout, Transport, network},
        sum::Common,
    },
};

/// A flow: IP version, addresses, protocol, ports. The Ethernet header does not belong to it, so that order is
/// kept when a flow's next hop changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Key {
    family: Family,
    transport: Transport,
    ports: u32,
    addresses: (u128, u128),
}

impl Key {
    pub(super) fn of(frame: &[u8], layout: &Layout) -> Option<Self> {
        let ports = u32::from_be_bytes(*frame.get(layout.l4..)?.first_chunk()?);
        let addresses = addresses(frame.get(layout.l3..)?, layout.family)?;
        Some(Self { family: layout.family, transport: layout.transport, ports, addresses })
    }
}

/// True when `frame`, whatever its IP header is followed by, goes between the same addresses as the flow.
pub(super) fn between_same(frame: &[u8], key: &Key) -> bool {
    let Some((ethertype, l3)) = network(frame) else { return false };
    let family = match ethertype {
        EtherType::IPV4 => Family::V4,
        EtherType::IPV6 => Family::V6,
        _ => return false,
    };
    let packet = frame.get(l3..).unwrap_or_default();
    addresses(packet, family) == Some(key.addresses)
}

/// Source and destination, as numbers.
fn addresses(packet: &[u8], family: Family) -> Option<(u128, u128)> {
    let both = packet.get(family.addresses())?;
    Some(match family {
        Family::V4 => {
            let (source, destination) = (both.first_chunk::<4>()?, both.last_chunk::<4>()?);
            (u32::from_be_bytes(*source).into(), u32::from_be_bytes(*destination).into())
        }
        Family::V6 => {
            let (source, destination) = (both.first_chunk::<16>()?, both.last_chunk::<16>()?);
            (u128::from_be_bytes(*source), u128::from_be_bytes(*destination))
        }
    })
}

/// What of a segment is its own: all that a train does not say for all its segments together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) layout: Layout,
    /// IPv4 identification.
    pub(super) id: u16,
    /// The identification means nothing: DF, or IPv6.
    atomic: bool,
    /// TCP sequence number.
    sequence: u32,
    /// TCP header length and flags.
    flags: u16,
    /// Transport checksum.
    checksum: u16,
}

impl Part {
    /// The frame as a part of a train; `None` when it can be neither its start nor its continuation.
    pub(super) fn of(frame: &Frame, layout: Layout) -> Option<Self> {
        let begun = matches!(frame.offload.checksum, Checksum::Partial { .. });
        if begun || frame.offload.gso.is_some() || layout.data_len() == 0 {
            return None;
        }
        let packet = frame.buf.get(layout.l3..)?;
        let (id, atomic) = match layout.family {
            Family::V4 if layout.l4 - layout.l3 != Ipv4::LEN => return None,
            Family::V4 => {
                let header = Ipv4::ref_from_prefix(packet).ok()?.0;
                (header.id.get(), header.dont_fragment())
            }
            Family::V6 => (0, true),
        };
        let transport = packet.get(layout.l4 - layout.l3..)?;
        let part = Self { layout, id, atomic, sequence: 0, flags: 0, checksum: 0 };
        match layout.transport {
            Transport::Tcp => part.with_tcp(transport),
            Transport::Udp => part.with_udp(transport),
        }
    }

    fn with_tcp(self, transport: &[u8]) -> Option<Self> {
        let header = Tcp::ref_from_prefix(transport).ok()?.0;
        let flags = u16::from_be_bytes(*transport.get(12..)?.first_chunk()?);
        // The reserved bits count as flags: one of them is AE (RFC 9768).
        let only_ack = flags & 0x0fff & !u16::from(flag::PSH) == u16::from(flag::ACK);
        let (sequence, checksum) = (header.sequence.get(), header.checksum.get());
        only_ack.then_some(Self { sequence, flags, checksum, ..self })
    }

    fn with_udp(self, transport: &[u8]) -> Option<Self> {
        let header = Udp::ref_from_prefix(transport).ok()?.0;
        let checksum = header.checksum.get();
        let whole = usize::from(header.len.get()) == self.layout.end - self.layout.l4;
        // Cutting gives each datagram a checksum, so each must have had one.
        (whole && checksum != 0).then_some(Self { checksum, ..self })
    }

    /// Nothing may follow it in a train.
    pub(super) fn is_last(&self) -> bool {
        self.flags & u16::from(flag::PSH) != 0
    }

    /// True when `next` starts `octets` of data and `count` segments after this one.
    pub(super) fn is_followed_by(&self, next: &Self, octets: usize, count: usize) -> bool {
        // Modulo 2^16 and 2^32, as the numbers themselves.
        let id = u16::try_from(count & 0xffff).is_ok_and(|count| next.id == self.id.wrapping_add(count));
        (id || self.atomic)
            && match self.layout.transport {
                Transport::Udp => true,
                Transport::Tcp => u32::try_from(octets & 0xffff_ffff)
                    .is_ok_and(|octets| next.sequence == self.sequence.wrapping_add(octets)),
            }
    }

    /// Whether the transport checksum is right, given the sum of the data.
    pub(super) fn is_right(&self, common: Common, data: u16) -> bool {
        let Ok(len) = u16::try_from(self.layout.end - self.layout.l4) else { return false };
        let sum = match self.layout.transport {
            Transport::Tcp => common.tcp(self.sequence, self.flags, len, data),
            Transport::Udp => common.udp(len, data),
        };
        // The whole, checksum included, sums up to "minus zero"; a sum of 0 does not happen.
        let (whole, carry) = sum.overflowing_add(self.checksum);
        whole.wrapping_add(u16::from(carry)) == u16::MAX
    }
}

/// True when the headers of two frames are equal in all that a train says once for all its segments.
/// `layout` is that of `one`; headers that are equal are laid out the same.
pub(super) fn same_headers(one: &[u8], other: &[u8], layout: &Layout) -> bool {
    let same = |from: usize, to: usize| one.get(from..to) == other.get(from..to);
    let network = match layout.family {
        Family::V4 => same_under(&V4, one, other, layout.l3),
        Family::V6 => same_under(&V6, one, other, layout.l3),
    };
    let transport = match layout.transport {
        Transport::Tcp => {
            same_under(&TCP, one, other, layout.l4) && same(layout.l4 + Tcp::LEN, layout.payload)
        }
        Transport::Udp => same_under(&UDP, one, other, layout.l4),
    };
    same(0, layout.l3) && network && transport
}

/// Compares the bits that are set in `mask`, at `at` in both frames.
fn same_under<const N: usize>(mask: &[u8; N], one: &[u8], other: &[u8], at: usize) -> bool {
    let header = |frame: &[u8]| frame.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied();
    let (Some(one), Some(other)) = (header(one), header(other)) else { return false };
    one.iter().zip(&other).zip(mask).fold(0, |differ, ((a, b), mask)| differ | ((a ^ b) & mask)) == 0
}

/// RFC 791 §3.1, all but total length, identification and header checksum.
#[rustfmt::skip]
const V4: [u8; 20] = [
    0xff, 0xff, 0, 0, // version, header length, TOS; total length
    0, 0, 0xff, 0xff, // identification; flags and fragment offset
    0xff, 0xff, 0, 0, // TTL, protocol; header checksum
    0xff, 0xff, 0xff, 0xff, // source
    0xff, 0xff, 0xff, 0xff, // destination
];
/// RFC 8200 §3, all but the payload length.
#[rustfmt::skip]
const V6: [u8; 40] = [
    0xff, 0xff, 0xff, 0xff, // version, traffic class, flow label
    0, 0, 0xff, 0xff, // payload length; next header, hop limit
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // source
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // destination
];
/// RFC 9293 §3.1, all but sequence number, PSH and checksum.
#[rustfmt::skip]
const TCP: [u8; 20] = [
    0xff, 0xff, 0xff, 0xff, // ports
    0, 0, 0, 0, // sequence number
    0xff, 0xff, 0xff, 0xff, // acknowledgment
    0xff, !flag::PSH, 0xff, 0xff, // header length, flags, window
    0, 0, 0xff, 0xff, // checksum; urgent pointer
];
/// RFC 768: the ports.
const UDP: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
