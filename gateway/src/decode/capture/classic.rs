//! pcap: a header of 24 octets, then records of a header and a packet each.

use std::io::Read;

use super::{CaptureError, LARGEST_PACKET, Order, Packet, Source, len};

/// Octets of the file's header behind the magic number.
const HEADER: usize = 20;
/// LinkType: the upper half says how long the FCS is, when this bit is set (the P bit).
const FCS_PRESENT: u32 = 0x0400_0000;

/// What the magic number says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Dialect {
    order: Order,
    /// Nanoseconds in a unit of the fraction of a second.
    unit: u64,
    /// Octets of a record's header.
    record: usize,
}

impl Dialect {
    pub(super) const fn of(magic: [u8; 4]) -> Option<Self> {
        let (order, magic) = match u32::from_be_bytes(magic) {
            value @ (0xa1b2_c3d4 | 0xa1b2_3c4d | 0xa1b2_cd34) => (Order::Big, value),
            value => (Order::Little, value.swap_bytes()),
        };
        match magic {
            0xa1b2_c3d4 => Some(Self { order, unit: 1000, record: 16 }),
            0xa1b2_3c4d => Some(Self { order, unit: 1, record: 16 }),
            // Kuznetzov's patch of old Linux distributions: eight more octets in each record's header.
            0xa1b2_cd34 => Some(Self { order, unit: 1000, record: 24 }),
            _ => None,
        }
    }
}

/// The file's header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    dialect: Dialect,
    link_type: u16,
    fcs: Option<u8>,
}

impl Header {
    pub(super) fn read<R: Read>(dialect: Dialect, source: &mut Source<R>) -> Result<Self, CaptureError> {
        source.extend(HEADER)?;
        let link = dialect.order.u32(&source.record, 20).unwrap_or(0);
        let [high, _, low @ ..] = link.to_be_bytes();
        // The top four bits count 16-bit words.
        let fcs = (link & FCS_PRESENT != 0).then_some((high >> 4) * 2);
        Ok(Self { dialect, link_type: u16::from_be_bytes(low), fcs })
    }

    pub(super) fn next<'a, R: Read>(
        &self,
        source: &'a mut Source<R>,
    ) -> Result<Option<Packet<'a>>, CaptureError> {
        let Dialect { order, unit, record } = self.dialect;
        if !source.fill(record)? {
            return Ok(None);
        }
        let field = |at| order.u32(&source.record, at).unwrap_or(0);
        let (seconds, fraction, kept, whole) = (field(0), field(4), field(8), field(12));
        if kept > LARGEST_PACKET {
            return Err(source.damaged("a packet of more than a mebioctet"));
        }
        source.extend(len(kept))?;
        let nanoseconds = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * unit;
        let octets = source.record.get(record..).unwrap_or_default();
        Ok(Some(Packet { nanoseconds, link_type: self.link_type, fcs: self.fcs, cut: whole > kept, octets }))
    }
}
