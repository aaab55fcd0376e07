//! The IPv6 header (RFC 8200 §3).

use core::net::Ipv6Addr;

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    byteorder::big_endian::{U16, U32},
};

/// The fixed IPv6 header.
#[derive(Clone, Copy, Debug, Eq, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv6 {
    version_class_flow: U32,
    payload_len: U16,
    /// What follows: an extension header or a protocol of [`ipv4::protocol`](crate::ipv4::protocol).
    pub next_header: u8,
    /// Hops that are left.
    pub hop_limit: u8,
    source: [u8; 16],
    destination: [u8; 16],
}
const _: () = assert!(size_of::<Ipv6>() == Ipv6::LEN);

impl Ipv6 {
    /// Octets on the wire.
    pub const LEN: usize = 40;
    /// The smallest MTU that every IPv6 link has (RFC 8200 §5).
    pub const MIN_MTU: usize = 1280;

    /// A header for `payload_len` octets; longer than fits becomes 65535.
    pub fn new(
        source: Ipv6Addr,
        destination: Ipv6Addr,
        next_header: u8,
        hop_limit: u8,
        payload_len: usize,
    ) -> Self {
        Self {
            version_class_flow: U32::new(6 << 28),
            payload_len: U16::new(u16::try_from(payload_len).unwrap_or(u16::MAX)),
            next_header,
            hop_limit,
            source: source.octets(),
            destination: destination.octets(),
        }
    }

    /// The header and its payload, padding behind the payload cut off; `None` when the version is not 6
    /// or the packet is shorter than it says.
    pub fn parse(packet: &[u8]) -> Option<(&Self, &[u8])> {
        let (header, rest) = Self::ref_from_prefix(packet).ok()?;
        let payload = rest.get(..usize::from(header.payload_len.get()))?;
        (header.version_class_flow.get() >> 28 == 6).then_some((header, payload))
    }

    /// The header, to be changed in place.
    pub fn from_mut(packet: &mut [u8]) -> Option<&mut Self> {
        Some(Self::mut_from_prefix(packet).ok()?.0)
    }

    /// Decrements the hop limit. False, and unchanged, when it would reach 0.
    #[must_use]
    pub const fn hop(&mut self) -> bool {
        let lives = self.hop_limit > 1;
        if lives {
            self.hop_limit -= 1;
        }
        lives
    }

    /// Octets after this header.
    pub const fn payload_len(&self) -> u16 {
        self.payload_len.get()
    }

    /// Sets the number of octets after this header.
    pub fn set_payload_len(&mut self, len: u16) {
        self.payload_len = U16::new(len);
    }

    /// Traffic class: DSCP and ECN.
    pub fn traffic_class(&self) -> u8 {
        u8::try_from((self.version_class_flow.get() >> 20) & 0xff).unwrap_or(0)
    }

    /// Sets DSCP and ECN.
    pub fn set_traffic_class(&mut self, class: u8) {
        let rest = self.version_class_flow.get() & 0xf00f_ffff;
        self.version_class_flow = U32::new(rest | u32::from(class) << 20);
    }

    /// Flow label, 20 bits.
    pub const fn flow_label(&self) -> u32 {
        self.version_class_flow.get() & 0x000f_ffff
    }

    /// Source address.
    pub const fn source(&self) -> Ipv6Addr {
        Ipv6Addr::from_octets(self.source)
    }

    /// Destination address.
    pub const fn destination(&self) -> Ipv6Addr {
        Ipv6Addr::from_octets(self.destination)
    }
}

/// The solicited-node group of `address` (RFC 4291 §2.7.1).
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from_octets([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_it_makes_and_refuses_other_versions() {
        let header = Ipv6::new("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap(), 17, 2, 8);
        let mut octets = [header.as_bytes(), &[0u8; 10]].concat();
        let (parsed, payload) = Ipv6::parse(&octets).unwrap();
        assert_eq!((*parsed, payload.len()), (header, 8));
        assert!(Ipv6::from_mut(&mut octets).unwrap().hop());
        assert!(!Ipv6::from_mut(&mut octets).unwrap().hop());
        octets[0] = 0x45;
        assert!(Ipv6::parse(&octets).is_none());
        assert!(Ipv6::parse(&octets[..47]).is_none());
    }

    #[test]
    fn solicited_node_group_of_rfc_4291() {
        let group = solicited_node("4037::01:800:200e:8c6c".parse().unwrap());
        assert_eq!(group.to_string(), "ff02::1:ff0e:8c6c");
    }
}
