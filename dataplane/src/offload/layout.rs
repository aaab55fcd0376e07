//! Where the headers of a frame are, found once: Ethernet, up to two VLAN tags, IPv4 or IPv6, TCP or UDP.
//!
//! What has no transport header right behind its IP header has no layout: fragments (RFC 791 §3.2) and
//! packets with IPv6 extension headers (RFC 8200 §4). They are never cut, joined or clamped.

use core::ops::Range;

use net::{
    EtherType, VlanTag,
    ethernet::Ethernet,
    ipv4::{Ipv4, protocol},
    ipv6::Ipv6,
    tcp::Tcp,
    udp::Udp,
};

/// The version of IP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Where source and destination address are in the IP header, one behind the other.
    pub(super) const fn addresses(self) -> Range<usize> {
        match self {
            Self::V4 => 12..20,
            Self::V6 => 8..40,
        }
    }
}

/// The transport protocols that can be cut and joined.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// Its protocol number.
    pub const fn protocol(self) -> u8 {
        match self {
            Self::Tcp => protocol::TCP,
            Self::Udp => protocol::UDP,
        }
    }

    /// Where the checksum field is in its header.
    pub const fn checksum_offset(self) -> u16 {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
        }
    }
}

/// Where the headers of a frame are. All positions are octets from the frame's first one, and
/// `l3 < l4 < payload <= end <= ` the frame's length.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Layout {
    /// Where the IP header starts.
    pub l3: usize,
    /// Where the TCP or UDP header starts.
    pub l4: usize,
    /// Where the data starts: the length of all headers.
    pub payload: usize,
    /// Where the data ends, as the IP header says. Ethernet padding may follow.
    pub end: usize,
    /// IPv4 or IPv6.
    pub family: Family,
    /// TCP or UDP.
    pub transport: Transport,
}

impl Layout {
    /// The layout of an Ethernet frame; `None` when it is not TCP or UDP over IP as described above, or
    /// malformed: too short for its headers, wrong IPv4 header checksum.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let (ethertype, l3) = network(frame)?;
        match ethertype {
            EtherType::IPV4 => Self::v4(frame, l3),
            EtherType::IPV6 => Self::v6(frame, l3),
            _ => None,
        }
    }

    /// The layout of an IP packet without Ethernet header: `l3` is 0.
    pub fn parse_l3(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::v4(packet, 0),
            6 => Self::v6(packet, 0),
            _ => None,
        }
    }

    /// Octets of data.
    pub const fn data_len(&self) -> usize {
        self.end - self.payload
    }

    fn v4(frame: &[u8], l3: usize) -> Option<Self> {
        let (header, _) = Ipv4::parse(frame.get(l3..)?)?;
        let end = l3 + usize::from(header.total_len());
        let whole = !header.is_fragment();
        whole
            .then(|| Self::transport(frame, Family::V4, l3, l3 + header.header_len(), end, header.protocol))?
    }

    fn v6(frame: &[u8], l3: usize) -> Option<Self> {
        let (header, payload) = Ipv6::parse(frame.get(l3..)?)?;
        let l4 = l3 + Ipv6::LEN;
        Self::transport(frame, Family::V6, l3, l4, l4 + payload.len(), header.next_header)
    }

    fn transport(frame: &[u8], family: Family, l3: usize, l4: usize, end: usize, number: u8) -> Option<Self> {
        let segment = frame.get(l4..end)?;
        let (transport, len) = match number {
            protocol::TCP => (Transport::Tcp, Tcp::parse(segment)?.0.header_len()),
            protocol::UDP => (Transport::Udp, Udp::LEN),
            _ => return None,
        };
        (len <= segment.len()).then_some(Self { l3, l4, payload: l4 + len, end, family, transport })
    }
}

/// What follows the Ethernet header and up to two VLAN tags, and where; `None` when the frame is too short.
pub(super) fn network(frame: &[u8]) -> Option<(EtherType, usize)> {
    behind_tags(frame, 2)
}

/// The same behind up to `most` tags.
#[inline]
pub(super) fn behind_tags(frame: &[u8], most: usize) -> Option<(EtherType, usize)> {
    let mut ethertype = Ethernet::split(frame)?.0.ethertype;
    let mut at = Ethernet::LEN;
    for _ in 0..most {
        if !ethertype.is_vlan() {
            break;
        }
        // The tag's TPID was the type so far; the type behind it takes its place.
        let field = frame.get(at + 2..)?.first_chunk::<2>()?;
        (ethertype, at) = (EtherType::new(u16::from_be_bytes(*field)), at + VlanTag::LEN);
    }
    Some((ethertype, at))
}

/// Octets of a frame's packet: as its IP header says when it has one, all behind its tags otherwise.
pub(super) fn l3_len(frame: &[u8]) -> usize {
    let Some((ethertype, l3)) = network(frame) else { return 0 };
    let packet = frame.get(l3..).unwrap_or_default();
    let field = |at: usize| {
        let field = packet.get(at..).and_then(|rest| rest.first_chunk::<2>());
        field.map_or(usize::MAX, |field| usize::from(u16::from_be_bytes(*field)))
    };
    let said = match ethertype {
        EtherType::IPV4 => field(2),
        EtherType::IPV6 => field(4).saturating_add(Ipv6::LEN),
        _ => usize::MAX,
    };
    said.min(packet.len())
}
