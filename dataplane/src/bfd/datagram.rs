//! IP and UDP around a control packet (RFC 5881 §4, §5; RFC 5883 §5).

use core::net::IpAddr;

use net::{
    EtherType, PacketBuf,
    checksum::Sum,
    ipv4::{Ipv4, protocol},
    ipv6::Ipv6,
    udp::Udp,
};
use zerocopy::{FromBytes as _, IntoBytes as _, byteorder::big_endian::U16};

use super::{Control, Refusal};

/// UDP port of sessions over one hop (RFC 5881 §4).
pub const SINGLE_HOP_PORT: u16 = 3784;
/// UDP port of sessions over several hops (RFC 5883 §5).
pub const MULTIHOP_PORT: u16 = 4784;
/// RFC 5881 §5: what leaves with 255 and arrives with 255 was forwarded by nobody.
pub(crate) const HOPS: u8 = 255;
/// DSCP CS6, network control (RFC 4594 §3.2), above two ECN bits.
const CS6: u8 = 48 << 2;

/// A control packet's datagram, its IP header stripped off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub source: IpAddr,
    /// To which of our addresses.
    pub destination: IpAddr,
    /// TTL or hop limit that was left.
    pub hops: u8,
    /// UDP port that it was sent from.
    pub source_port: u16,
    /// UDP port that it was sent to.
    pub port: u16,
    /// All that UDP delivered.
    pub payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// The UDP port that the packet `l3` (from its IP header on) is for, if it is one of BFD's. Cheap, and checks no more than that.
    pub fn port_of(l3: &[u8]) -> Option<u16> {
        Self::udp_port(l3).filter(|port| matches!(*port, SINGLE_HOP_PORT | MULTIHOP_PORT))
    }

    /// The UDP port that the packet `l3` is for. Cheap, and checks no more than that.
    pub(crate) fn udp_port(l3: &[u8]) -> Option<u16> {
        let (header, udp) = split(l3)?;
        let port = u16::from_be_bytes(*udp.get(2..)?.first_chunk()?);
        (header.fragment_offset == 0).then_some(port)
    }

    /// Who says to have sent the packet `l3`, and the TTL or hop limit that is left. As cheap.
    pub(crate) fn sender(l3: &[u8]) -> Option<(IpAddr, u8)> {
        split(l3).map(|(header, _)| (header.source, header.hops))
    }

    /// Takes the datagram out of `l3`.
    ///
    /// # Errors
    /// When it is a fragment, or its UDP header contradicts itself, or its checksum is wrong (0 means none, with IPv4).
    pub fn parse(l3: &'a [u8]) -> Result<Self, Refusal> {
        let (header, udp) = split(l3).ok_or(Refusal::Datagram)?;
        let (head, payload) = Udp::parse(udp).ok_or(Refusal::Datagram)?;
        let unsummed = head.checksum.get() == 0 && header.source.is_ipv4();
        let whole = udp.get(..usize::from(head.len.get())).unwrap_or_default();
        let right = unsummed
            || head.checksum.get() != 0 && sum(header.source, header.destination, whole).finish() == 0;
        if header.is_fragment || !right {
            return Err(Refusal::Datagram);
        }
        let IpHeader { source, destination, hops, .. } = header;
        let (source_port, port) = (head.source.get(), head.destination.get());
        Ok(Self { source, destination, hops, source_port, port, payload })
    }
}

/// Writes the whole packet, from its IP header on, into `buf`, which is empty. `None` when it does not fit, or the addresses are
/// of two families; otherwise the EtherType that it wants.
pub fn write(
    buf: &mut PacketBuf,
    from: (IpAddr, u16),
    to: (IpAddr, u16),
    control: &Control,
) -> Option<EtherType> {
    write_udp(buf, from, to, (HOPS, CS6), &control.encode())
}

/// As [`write`], any datagram, with these hops and this traffic class.
pub(crate) fn write_udp(
    buf: &mut PacketBuf,
    (source, source_port): (IpAddr, u16),
    (destination, port): (IpAddr, u16),
    (hops, class): (u8, u8),
    payload: &[u8],
) -> Option<EtherType> {
    let len = Udp::LEN + payload.len();
    let mut udp = Udp {
        source: U16::new(source_port),
        destination: U16::new(port),
        len: U16::new(u16::try_from(len).ok()?),
        checksum: U16::new(0),
    };
    let total = sum(source, destination, udp.as_bytes()).with(payload).finish();
    // RFC 768: 0 would say that there is none.
    udp.checksum = U16::new(if total == 0 { u16::MAX } else { total });
    let (written, ethertype) = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = Ipv4::new(source, destination, protocol::UDP, hops, len);
            header.set_tos(class);
            (buf.extend_from_slice(header.as_bytes()), EtherType::IPV4)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut header = Ipv6::new(source, destination, protocol::UDP, hops, len);
            header.set_traffic_class(class);
            (buf.extend_from_slice(header.as_bytes()), EtherType::IPV6)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
    };
    (written && buf.extend_from_slice(udp.as_bytes()) && buf.extend_from_slice(payload)).then_some(ethertype)
}

struct IpHeader {
    source: IpAddr,
    destination: IpAddr,
    hops: u8,
    is_fragment: bool,
    fragment_offset: usize,
}

/// The IP header of a UDP packet without extension headers, and what follows it.
fn split(l3: &[u8]) -> Option<(IpHeader, &[u8])> {
    match l3.first()? >> 4 {
        4 => {
            let (header, _) = Ipv4::parse(l3)?;
            let udp = l3.get(header.header_len()..usize::from(header.total_len()))?;
            let ip = IpHeader {
                source: header.source().into(),
                destination: header.destination().into(),
                hops: header.ttl,
                is_fragment: header.is_fragment(),
                fragment_offset: header.fragment_offset(),
            };
            (header.protocol == protocol::UDP).then_some((ip, udp))
        }
        6 => {
            let (header, udp) = Ipv6::parse(l3)?;
            let ip = IpHeader {
                source: header.source().into(),
                destination: header.destination().into(),
                hops: header.hop_limit,
                is_fragment: false,
                fragment_offset: 0,
            };
            (header.next_header == protocol::UDP).then_some((ip, udp))
        }
        _ => None,
    }
}

/// The sum over pseudo-header and `udp`.
fn sum(source: IpAddr, destination: IpAddr, udp: &[u8]) -> Sum {
    let pseudo = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            Sum::new().add_pseudo_v4(source, destination, protocol::UDP, udp_len(udp))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Sum::new().add_pseudo_v6(source, destination, protocol::UDP, u32::from(udp_len(udp)))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Sum::new(),
    };
    pseudo.with(udp)
}

/// The length field of the UDP header, which the pseudo-header repeats.
fn udp_len(udp: &[u8]) -> u16 {
    Udp::ref_from_prefix(udp).map_or(0, |(header, _)| header.len.get())
}
