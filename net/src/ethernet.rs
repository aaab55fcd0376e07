//! Ethernet II framing (IEEE 802.3 §3) and VLAN tags (IEEE 802.1Q §9).

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, byteorder::big_endian::U16};

use crate::MacAddr;

/// What follows the header. Values below 0x0600 are lengths and never compare equal to a constant here.
#[derive(Clone, Copy, Eq, Hash, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub struct EtherType(U16);

impl EtherType {
    /// IPv4 (RFC 894).
    pub const IPV4: Self = Self::new(0x0800);
    /// ARP (RFC 826).
    pub const ARP: Self = Self::new(0x0806);
    /// IPv6 (RFC 2464).
    pub const IPV6: Self = Self::new(0x86dd);
    /// Customer VLAN tag, 802.1Q.
    pub const VLAN: Self = Self::new(0x8100);
    /// Service VLAN tag, 802.1ad.
    pub const SERVICE_VLAN: Self = Self::new(0x88a8);
    /// EAP over LANs, which carries MKA (802.1X §11.1.4).
    pub const EAPOL: Self = Self::new(0x888e);
    /// MACsec (802.1AE §9.8).
    pub const MACSEC: Self = Self::new(0x88e5);
    /// Link Aggregation and other slow protocols (802.3 Annex 57A).
    pub const SLOW: Self = Self::new(0x8809);
    /// Link Layer Discovery Protocol (802.1AB).
    pub const LLDP: Self = Self::new(0x88cc);

    /// The type with this number.
    pub const fn new(value: u16) -> Self {
        Self(U16::from_bytes(value.to_be_bytes()))
    }

    /// Its number.
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// True for the two VLAN tag types.
    pub fn is_vlan(self) -> bool {
        self == Self::VLAN || self == Self::SERVICE_VLAN
    }
}

impl fmt::Debug for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EtherType({:#06x})", self.get())
    }
}

/// Destination, source, type: the first 14 octets of a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ethernet {
    /// Who it is for.
    pub destination: MacAddr,
    /// Who sent it.
    pub source: MacAddr,
    /// What follows.
    pub ethertype: EtherType,
}
const _: () = assert!(size_of::<Ethernet>() == Ethernet::LEN);

impl Ethernet {
    /// Octets on the wire.
    pub const LEN: usize = 14;

    /// The header and what follows it; `None` when the frame is shorter than a header.
    pub fn split(frame: &[u8]) -> Option<(&Self, &[u8])> {
        Self::ref_from_prefix(frame).ok()
    }

    /// As [`split`](Self::split), to be changed in place.
    pub fn split_mut(frame: &mut [u8]) -> Option<(&mut Self, &mut [u8])> {
        Self::mut_from_prefix(frame).ok()
    }
}

/// A VLAN identifier that may name a VLAN: 1..=4094 (802.1Q Table 9-2).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct VlanId(u16);

impl VlanId {
    /// The identifier, or `None` outside 1..=4094.
    pub const fn new(id: u16) -> Option<Self> {
        if id >= 1 && id <= 4094 { Some(Self(id)) } else { None }
    }

    /// Its number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One VLAN tag as it stands after the source address: TPID, then priority, drop eligibility and identifier.
#[derive(Clone, Copy, Debug, Eq, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct VlanTag {
    /// [`EtherType::VLAN`] or [`EtherType::SERVICE_VLAN`].
    pub tpid: EtherType,
    tci: U16,
}
const _: () = assert!(size_of::<VlanTag>() == VlanTag::LEN);

impl VlanTag {
    /// Octets on the wire.
    pub const LEN: usize = 4;

    /// A tag with priority and drop eligibility 0.
    pub const fn new(tpid: EtherType, id: VlanId) -> Self {
        Self::with_tci(tpid, id.0)
    }

    /// A tag with all 16 bits of its tag control information given.
    pub const fn with_tci(tpid: EtherType, tci: u16) -> Self {
        Self { tpid, tci: U16::from_bytes(tci.to_be_bytes()) }
    }

    /// The VLAN identifier, 0..=4095; 0 is a priority tag.
    pub const fn id(self) -> u16 {
        self.tci.get() & 0x0fff
    }

    /// All 16 bits of the tag control information.
    pub const fn tci(self) -> u16 {
        self.tci.get()
    }

    /// The outermost tag of a frame, if it has one.
    pub fn outermost(frame: &[u8]) -> Option<Self> {
        let tag = Self::read_from_prefix(frame.get(12..)?).ok()?.0;
        tag.tpid.is_vlan().then_some(tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tagged_frame_shows_its_outermost_tag() {
        let frame = [
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x88, 0xa8, 0x60, 0x64, 0x81, 0x00, 0x00, 0xc8, 0x08, 0x00,
        ];
        let tag = VlanTag::outermost(&frame).unwrap();
        assert_eq!((tag.tpid, tag.id(), tag.tci()), (EtherType::SERVICE_VLAN, 100, 0x6064));
        let (header, rest) = Ethernet::split(&frame).unwrap();
        assert_eq!((header.source, rest.len()), (MacAddr([7, 8, 9, 10, 11, 12]), 8));
        assert!(VlanTag::outermost(&frame[..15]).is_none());
        assert!(Ethernet::split(&frame[..13]).is_none());
    }

    #[test]
    fn vlan_identifiers_stay_in_their_range() {
        assert!(VlanId::new(0).is_none() && VlanId::new(4095).is_none());
        assert_eq!(VlanId::new(4094).map(VlanId::get), Some(4094));
    }
}
