//! The UDP header (RFC 768).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, byteorder::big_endian::U16};

/// A UDP header.
#[derive(Clone, Copy, Debug, Eq, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Udp {
    /// Source port.
    pub source: U16,
    /// Destination port.
    pub destination: U16,
    /// Octets of header and data.
    pub len: U16,
    /// Checksum over pseudo-header, header and data; 0 means none (IPv4 only).
    pub checksum: U16,
}
const _: () = assert!(size_of::<Udp>() == Udp::LEN);

impl Udp {
    /// Octets on the wire.
    pub const LEN: usize = 8;

    /// The header and the data that its length covers; `None` when that is less than a header or more than there is.
    pub fn parse(datagram: &[u8]) -> Option<(&Self, &[u8])> {
        let (header, _) = Self::ref_from_prefix(datagram).ok()?;
        let whole = datagram.get(..usize::from(header.len.get()))?;
        Some((header, whole.get(Self::LEN..)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_field_decides_where_the_data_ends() {
        let octets = [0, 1, 0, 2, 0, 9, 0, 0, 0xaa, 0xbb];
        let (header, data) = Udp::parse(&octets).unwrap();
        assert_eq!((header.source.get(), header.destination.get(), data), (1, 2, &[0xaa][..]));
        assert!(Udp::parse(&[0, 1, 0, 2, 0, 7, 0, 0]).is_none());
        assert!(Udp::parse(&[0, 1, 0, 2, 0, 11, 0, 0, 0, 0]).is_none());
    }
}
