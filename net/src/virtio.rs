//! The virtio-net header (VIRTIO 1.2 §5.1.6) in front of each frame of a TAP device or of a packet socket with
//! `PACKET_VNET_HDR`: it says what is left to do on the frame (finish a checksum, cut it into segments).
//!
//! The fields are in the machine's own byte order, as Linux uses it on these sockets.

use crate::{Malformed, Reader};

/// Octets of the header without the number of merged buffers.
pub const LEN: usize = 10;

const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// What is known, and what is to do, about the transport checksum of a frame.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Checksum {
    /// The frame carries its checksum; nobody checked it.
    #[default]
    Unchecked,
    /// The checksum was checked, or never left this machine's memory: it need not be checked.
    Valid,
    /// The checksum field holds the folded sum of the pseudo-header. Sum from `start` (octets from the
    /// frame's first) to the end and write the complement at `start + offset`.
    Partial {
        /// Where the summed part starts, counted from the first octet of the frame.
        start: u16,
        /// Where the checksum field is, counted from `start`.
        offset: u16,
    },
}

/// What kind of segments a super-frame is cut into.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GsoKind {
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
    /// UDP datagrams of one flow (`UDP_SEGMENT`), either IP version.
    Udp,
}

/// A super-frame: the headers once, then the data of many segments.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gso {
    /// What to cut into.
    pub kind: GsoKind,
    /// Data octets of each segment but the last: 1..=65535.
    pub size: u16,
    /// TCP only: the first segment alone carries CWR (RFC 3168 §6.1.2).
    pub ecn: bool,
}

/// What a virtio-net header says of its frame.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Offload {
    /// The state of the transport checksum.
    pub checksum: Checksum,
    /// How to cut the frame, when it is a super-frame.
    pub gso: Option<Gso>,
}

impl Offload {
    /// True when something must be done before the frame can go on a wire.
    pub const fn is_pending(&self) -> bool {
        self.gso.is_some() || matches!(self.checksum, Checksum::Partial { .. })
    }

    /// Reads a header. An unknown segment type, or a segment size of 0, is malformed.
    pub fn decode(header: [u8; LEN]) -> Result<Self, Malformed> {
        let mut cursor = Reader::new(&header);
        let (flags, gso_type) = (cursor.u8()?, cursor.u8()?);
        let mut field = || cursor.array().map(u16::from_ne_bytes);
        let (_header_len, size, start, offset) = (field()?, field()?, field()?, field()?);
        let kind = match gso_type & !GSO_ECN {
            GSO_NONE => None,
            GSO_TCPV4 => Some(GsoKind::TcpV4),
            GSO_TCPV6 => Some(GsoKind::TcpV6),
            GSO_UDP_L4 => Some(GsoKind::Udp),
            _ => return Err(Malformed),
        };
        if kind.is_some() && size == 0 {
            return Err(Malformed);
        }
        let checksum = match flags & (NEEDS_CSUM | DATA_VALID) {
            0 => Checksum::Unchecked,
            DATA_VALID => Checksum::Valid,
            _ => Checksum::Partial { start, offset },
        };
        Ok(Self { checksum, gso: kind.map(|kind| Gso { kind, size, ecn: gso_type & GSO_ECN != 0 }) })
    }

    /// Writes a header; `header_len` is the length of all headers in front of the segments' data.
    pub fn encode(&self, header_len: u16) -> [u8; LEN] {
        let (gso_type, size) = match self.gso {
            None => (GSO_NONE, 0),
            Some(gso) => (gso_code(gso), gso.size),
        };
        let (flags, start, offset) = match self.checksum {
            Checksum::Unchecked => (0, 0, 0),
            Checksum::Valid => (DATA_VALID, 0, 0),
            Checksum::Partial { start, offset } => (NEEDS_CSUM, start, offset),
        };
        let header_len = if self.gso.is_some() { header_len } else { 0 };
        let ([h0, h1], [s0, s1]) = (header_len.to_ne_bytes(), size.to_ne_bytes());
        let ([c0, c1], [o0, o1]) = (start.to_ne_bytes(), offset.to_ne_bytes());
        [flags, gso_type, h0, h1, s0, s1, c0, c1, o0, o1]
    }
}

const fn gso_code(gso: Gso) -> u8 {
    let kind = match gso.kind {
        GsoKind::TcpV4 => GSO_TCPV4,
        GsoKind::TcpV6 => GSO_TCPV6,
        GsoKind::Udp => GSO_UDP_L4,
    };
    if gso.ecn { kind | GSO_ECN } else { kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_round_trips() {
        for kind in [GsoKind::TcpV4, GsoKind::TcpV6, GsoKind::Udp] {
            for ecn in [false, true] {
                let gso = Some(Gso { kind, size: 1448, ecn });
                let offload = Offload { checksum: Checksum::Partial { start: 34, offset: 16 }, gso };
                assert_eq!(Offload::decode(offload.encode(66)), Ok(offload));
            }
        }
        let plain = Offload { checksum: Checksum::Valid, gso: None };
        assert_eq!(Offload::decode(plain.encode(66)), Ok(plain));
        assert!(!plain.is_pending());
    }

    #[test]
    fn unknown_kinds_and_empty_segments_are_malformed() {
        let mut header = Offload::default().encode(0);
        header[1] = 3; // UDP fragmentation offload, long gone
        assert_eq!(Offload::decode(header), Err(Malformed));
        header[1] = 1;
        assert_eq!(Offload::decode(header), Err(Malformed));
    }
}
