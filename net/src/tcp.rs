//! The TCP header (RFC 9293 §3.1).

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    byteorder::big_endian::{U16, U32},
};

/// Flag bits of [`Tcp::flags`].
pub mod flag {
    /// No more data.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgment field counts.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer counts.
    pub const URG: u8 = 0x20;
    /// ECN echo.
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced.
    pub const CWR: u8 = 0x80;
}

/// The fixed 20 octets of a TCP header; options may follow.
#[derive(Clone, Copy, Debug, Eq, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Tcp {
    /// Source port.
    pub source: U16,
    /// Destination port.
    pub destination: U16,
    /// Sequence number of the first data octet.
    pub sequence: U32,
    /// Next sequence number expected from the other side.
    pub acknowledgment: U32,
    offset_reserved: u8,
    /// Flags: see [`flag`].
    pub flags: u8,
    /// Receive window, not scaled.
    pub window: U16,
    /// Checksum over pseudo-header, header and data.
    pub checksum: U16,
    /// Urgent pointer.
    pub urgent: U16,
}
const _: () = assert!(size_of::<Tcp>() == Tcp::LEN);

impl Tcp {
    /// Octets without options.
    pub const LEN: usize = 20;

    /// The fixed header and all that follows it; `None` when the header length is below 20 or beyond the segment.
    pub fn parse(segment: &[u8]) -> Option<(&Self, &[u8])> {
        let (header, rest) = Self::ref_from_prefix(segment).ok()?;
        let len = header.header_len();
        (len >= Self::LEN && len <= segment.len()).then_some((header, rest))
    }

    /// The fixed header, to be changed in place.
    pub fn from_mut(segment: &mut [u8]) -> Option<&mut Self> {
        Some(Self::mut_from_prefix(segment).ok()?.0)
    }

    /// Header length in octets, options included, as the header says: 0..=60.
    pub fn header_len(&self) -> usize {
        usize::from(self.offset_reserved >> 4) * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_offset_must_fit() {
        let mut octets = [0u8; 24];
        for (offset, fits) in [(0x40, false), (0x50, true), (0x60, true), (0x70, false)] {
            octets[12] = offset;
            assert_eq!(Tcp::parse(&octets).is_some(), fits, "{offset:#x}");
        }
    }
}
