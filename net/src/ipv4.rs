//! The IPv4 header (RFC 791 §3.1, DSCP and ECN as in RFC 2474 and RFC 3168).

use core::net::Ipv4Addr;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, byteorder::big_endian::U16};

use crate::checksum;

/// IP protocol numbers shared by IPv4 and IPv6 that the gateway looks into.
pub mod protocol {
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
}

/// The fixed 20 octets of an IPv4 header; options may follow.
#[derive(Clone, Copy, Debug, Eq, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv4 {
    version_ihl: u8,
    /// DSCP and ECN.
    pub tos: u8,
    total_len: U16,
    /// Identification, for reassembly.
    pub id: U16,
    flags_fragment: U16,
    /// Time to live.
    pub ttl: u8,
    /// What follows: see [`protocol`].
    pub protocol: u8,
    checksum: U16,
    source: [u8; 4],
    destination: [u8; 4],
}
const _: () = assert!(size_of::<Ipv4>() == Ipv4::LEN);

impl Ipv4 {
    /// Octets without options.
    pub const LEN: usize = 20;
    /// The smallest MTU that every IPv4 link has (RFC 791 §3.2).
    pub const MIN_MTU: usize = 68;

    /// A header without options, DF set, checksum right, for `payload_len` octets; longer than fits becomes 65535.
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, ttl: u8, payload_len: usize) -> Self {
        let total = u16::try_from(payload_len.saturating_add(Self::LEN)).unwrap_or(u16::MAX);
        let mut header = Self {
            version_ihl: 0x45,
            tos: 0,
            total_len: U16::new(total),
            id: U16::new(0),
            flags_fragment: U16::new(0x4000),
            ttl,
            protocol,
            checksum: U16::new(0),
            source: source.octets(),
            destination: destination.octets(),
        };
        header.checksum = U16::new(checksum::checksum(header.as_bytes()));
        header
    }

    /// The header of a packet and all that follows its fixed part, after these checks of RFC 1812 §5.2.2:
    /// version 4, header length at least 20 and within the packet, total length at least the header and
    /// within the packet, header checksum right. Octets beyond the total length (Ethernet padding) are
    /// cut off. `None` when a check fails.
    pub fn parse(packet: &[u8]) -> Option<(&Self, &[u8])> {
        let header = Self::ref_from_prefix(packet).ok()?.0;
        let total = usize::from(header.total_len.get());
        let whole = packet.get(..total)?;
        let head = whole.get(..header.header_len())?;
        let right = header.version_ihl >> 4 == 4 && head.len() >= Self::LEN && checksum::checksum(head) == 0;
        right.then_some((header, whole.get(Self::LEN..)?))
    }

    /// The fixed part, to be changed in place.
    pub fn from_mut(packet: &mut [u8]) -> Option<&mut Self> {
        Some(Self::mut_from_prefix(packet).ok()?.0)
    }

    /// Header length in octets, options included, as the header says: 0..=60.
    pub fn header_len(&self) -> usize {
        usize::from(self.version_ihl & 0x0f) * 4
    }

    /// Length of header and payload as the header says.
    pub const fn total_len(&self) -> u16 {
        self.total_len.get()
    }

    /// Sets the total length and corrects the checksum.
    pub fn set_total_len(&mut self, len: u16) {
        let old = self.total_len.get();
        self.total_len = U16::new(len);
        self.checksum = U16::new(checksum::update(self.checksum.get(), old, len));
    }

    /// Sets DSCP and ECN and corrects the checksum.
    pub fn set_tos(&mut self, tos: u8) {
        let word = |tos: u8| u16::from_be_bytes([self.version_ihl, tos]);
        self.checksum = U16::new(checksum::update(self.checksum.get(), word(self.tos), word(tos)));
        self.tos = tos;
    }

    /// Sets the identification and corrects the checksum.
    pub fn set_id(&mut self, id: u16) {
        let old = self.id.get();
        self.id = U16::new(id);
        self.checksum = U16::new(checksum::update(self.checksum.get(), old, id));
    }

    /// Decrements the time to live and corrects the checksum (RFC 1141). False, and unchanged, when it would reach 0.
    #[must_use]
    pub fn hop(&mut self) -> bool {
        if self.ttl <= 1 {
            return false;
        }
        let old = u16::from_be_bytes([self.ttl, self.protocol]);
        self.ttl -= 1;
        let new = u16::from_be_bytes([self.ttl, self.protocol]);
        self.checksum = U16::new(checksum::update(self.checksum.get(), old, new));
        true
    }

    /// Header checksum as it stands.
    pub const fn checksum(&self) -> u16 {
        self.checksum.get()
    }

    /// Don't Fragment.
    pub const fn dont_fragment(&self) -> bool {
        self.flags_fragment.get() & 0x4000 != 0
    }

    /// True for every fragment of a fragmented packet, the first included.
    pub const fn is_fragment(&self) -> bool {
        self.flags_fragment.get() & 0x3fff != 0
    }

    /// True for every fragment but the last.
    pub const fn more_fragments(&self) -> bool {
        self.flags_fragment.get() & 0x2000 != 0
    }

    /// This header for a piece of its payload: `len` octets from `offset` (a multiple of 8, counted within this
    /// packet, which may itself be a fragment) on. `last` says that the payload ends with it. DF is cleared. `options`
    /// (whole words, at most 40 octets) are to follow the fixed part; length and checksum cover them.
    #[must_use]
    pub fn as_fragment(&self, options: &[u8], offset: usize, last: bool, len: usize) -> Self {
        let more = if last && !self.more_fragments() { 0 } else { 0x2000 };
        let units = u16::try_from((self.fragment_offset() + offset) / 8).unwrap_or(u16::MAX) & 0x1fff;
        let total = len.saturating_add(Self::LEN).saturating_add(options.len());
        let words = u8::try_from((Self::LEN + options.len()) / 4).unwrap_or(0x0f) & 0x0f;
        let mut header = *self;
        header.version_ihl = 0x40 | words;
        header.total_len = U16::new(u16::try_from(total).unwrap_or(u16::MAX));
        header.flags_fragment = U16::new(more | units);
        header.checksum = U16::new(0);
        header.checksum = U16::new(checksum::Sum::new().with(header.as_bytes()).with(options).finish());
        header
    }

    /// The fixed part as it stands on the wire.
    pub fn as_octets(&self) -> &[u8] {
        self.as_bytes()
    }

    /// Fragment offset in octets; 0 for the first fragment and for whole packets.
    pub fn fragment_offset(&self) -> usize {
        usize::from(self.flags_fragment.get() & 0x1fff) * 8
    }

    /// Source address.
    pub const fn source(&self) -> Ipv4Addr {
        Ipv4Addr::from_octets(self.source)
    }

    /// Destination address.
    pub const fn destination(&self) -> Ipv4Addr {
        Ipv4Addr::from_octets(self.destination)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Vec<u8> {
        let header = Ipv4::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), protocol::UDP, 64, 8);
        [header.as_bytes(), &[0u8; 8]].concat()
    }

    #[test]
    fn a_new_header_parses_and_padding_is_cut_off() {
        let mut octets = packet();
        octets.extend_from_slice(&[0xa5; 18]);
        let (header, rest) = Ipv4::parse(&octets).unwrap();
        assert_eq!((header.total_len(), rest.len(), header.dont_fragment()), (28, 8, true));
    }

    #[test]
    fn a_hop_keeps_the_checksum_right_until_the_time_is_over() {
        let mut octets = packet();
        for left in (1..64).rev() {
            assert!(Ipv4::from_mut(&mut octets).unwrap().hop());
            assert_eq!(Ipv4::parse(&octets).unwrap().0.ttl, left);
        }
        assert!(!Ipv4::from_mut(&mut octets).unwrap().hop());
    }

    #[test]
    fn headers_that_contradict_themselves_are_refused() {
        // RFC 1812 §5.2.2: version, header length, total length, checksum.
        for (at, value) in [(0, 0x65), (0, 0x44), (0, 0x4f), (3, 19), (3, 29), (10, 0xff)] {
            let mut octets = packet();
            octets[at] = value;
            assert!(Ipv4::parse(&octets).is_none(), "octet {at} = {value:#x}");
        }
        assert!(Ipv4::parse(&packet()[..19]).is_none());
    }
}
