//! pcapng: blocks of a type, a length, a body and the length again.

use std::io::Read;

use super::{CaptureError, LARGEST_PACKET, Order, Packet, Source, len};

/// The type of a section header block; the same in both byte orders.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// Octets of type and length in front of a body.
const HEAD: usize = 8;
/// Octets of the length behind a body.
const TAIL: usize = 4;
/// Octets of the largest block that is taken for one.
const LARGEST_BLOCK: u32 = 1 << 26;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OLD_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// What is known of the section that is being read.
#[derive(Debug)]
pub(super) struct Section {
    order: Order,
    interfaces: Vec<Interface>,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link_type: u16,
    fcs: Option<u8>,
    /// Octets kept of a packet at most; 0 = all.
    snap: u32,
    /// Time stamps count in this many to the second.
    per_second: u64,
    /// Seconds to add to time stamps.
    offset: i64,
}

/// Where in the record the packet's octets are, and what is known of them.
struct Found {
    interface: usize,
    stamp: u64,
    data: usize,
    kept: u32,
    whole: u32,
    /// Where options begin, if there are some.
    options: Option<usize>,
}

impl Section {
    /// Reads the rest of the first block, whose type was read.
    pub(super) fn read_first<R: Read>(source: &mut Source<R>) -> Result<Self, CaptureError> {
        source.extend(8)?;
        let order = byte_order(source)?;
        let section = Self { order, interfaces: Vec::new() };
        section.read_body(source, 12)?;
        Ok(section)
    }

    pub(super) fn next<'a, R: Read>(
        &mut self,
        source: &'a mut Source<R>,
    ) -> Result<Option<Packet<'a>>, CaptureError> {
        while source.fill(HEAD)? {
            let kind = self.order.u32(&source.record, 0).unwrap_or(0);
            if kind == SECTION {
                // Its byte order may be another one, and stands in front of its body.
                source.extend(4)?;
                *self = Self { order: byte_order(source)?, interfaces: Vec::new() };
                self.read_body(source, 12)?;
                continue;
            }
            self.read_body(source, HEAD)?;
            let found = match kind {
                INTERFACE => {
                    self.interfaces.push(self.interface(source)?);
                    continue;
                }
                ENHANCED_PACKET => self.enhanced(&source.record),
                OLD_PACKET => self.old(&source.record),
                SIMPLE_PACKET => self.simple(&source.record),
                _ => continue,
            };
            let found = found.ok_or_else(|| source.damaged("a packet block that is too short"))?;
            return self.packet(&found, source).map(Some);
        }
        Ok(None)
    }

    /// Reads the rest of a block of which `read` octets were read, and checks its lengths.
    fn read_body<R: Read>(&self, source: &mut Source<R>, read: usize) -> Result<(), CaptureError> {
        let total = self.order.u32(&source.record, 4).unwrap_or(0);
        if total > LARGEST_BLOCK || !total.is_multiple_of(4) || len(total) < read + TAIL {
            return Err(source.damaged("a block of an impossible length"));
        }
        source.extend(len(total) - read)?;
        if self.order.u32(&source.record, len(total) - TAIL) != Some(total) {
            return Err(source.damaged("the two lengths of a block differ"));
        }
        Ok(())
    }

    fn interface<R>(&self, source: &Source<R>) -> Result<Interface, CaptureError>
    where
        R: Read,
    {
        let record = &source.record;
        let (Some(link_type), Some(snap)) = (self.order.u16(record, 8), self.order.u32(record, 12)) else {
            return Err(source.damaged("an interface block that is too short"));
        };
        let mut interface = Interface { link_type, snap, fcs: None, per_second: 1_000_000, offset: 0 };
        self.options(record, 16, |code, value| match (code, value) {
            (9, [resolution, ..]) => interface.per_second = per_second(*resolution),
            (13, [fcs, ..]) => interface.fcs = Some(*fcs),
            (14, _) => interface.offset = self.order.i64(value, 0).unwrap_or(0),
            _ => {}
        });
        Ok(interface)
    }

    fn enhanced(&self, record: &[u8]) -> Option<Found> {
        let field = |at| self.order.u32(record, at);
        let kept = field(20)?;
        Some(Found {
            interface: len(field(8)?),
            stamp: u64::from(field(12)?) << 32 | u64::from(field(16)?),
            data: 28,
            kept,
            whole: field(24)?,
            options: Some(len(kept.checked_next_multiple_of(4)?).checked_add(28)?),
        })
    }

    fn old(&self, record: &[u8]) -> Option<Found> {
        let field = |at| self.order.u32(record, at);
        Some(Found {
            interface: usize::from(self.order.u16(record, 8)?),
            stamp: u64::from(field(12)?) << 32 | u64::from(field(16)?),
            data: 28,
            kept: field(20)?,
            whole: field(24)?,
            options: None,
        })
    }

    /// It has no length of its own: what the interface keeps of the packet, at most what is there.
    fn simple(&self, record: &[u8]) -> Option<Found> {
        let whole = self.order.u32(record, 8)?;
        let snap = self.interfaces.first().map_or(0, |interface| interface.snap);
        let room = u32::try_from(record.len().checked_sub(12 + TAIL)?).ok()?;
        let kept = if snap == 0 { whole } else { whole.min(snap) };
        Some(Found { interface: 0, stamp: 0, data: 12, kept: kept.min(room), whole, options: None })
    }

    fn packet<'a, R: Read>(&self, found: &Found, source: &'a Source<R>) -> Result<Packet<'a>, CaptureError> {
        let interface = self.interfaces.get(found.interface);
        let interface =
            interface.ok_or_else(|| source.damaged("a packet of an interface that is not described"))?;
        let body = source.record.get(..source.record.len().saturating_sub(TAIL)).unwrap_or_default();
        let octets = body.get(found.data..).and_then(|data| data.get(..len(found.kept)));
        let octets = octets.filter(|_| found.kept <= LARGEST_PACKET);
        let octets = octets.ok_or_else(|| source.damaged("a packet longer than its block"))?;
        let mut fcs = interface.fcs;
        if let Some(start) = found.options {
            self.options(&source.record, start, |code, value| {
                // epb_flags: bits 5 to 8 are the length of the FCS, 0 for unknown.
                let bits = self.order.u32(value, 0).map_or(0, |flags| flags >> 5 & 0xf);
                if code == 2 && bits != 0 {
                    fcs = u8::try_from(bits).ok();
                }
            });
        }
        let nanoseconds = interface.nanoseconds(found.stamp);
        let cut = found.whole > found.kept;
        Ok(Packet { nanoseconds, link_type: interface.link_type, fcs, cut, octets })
    }

    /// Hands out each option from `start` to the end of the body. Malformed ones end the list: they are only remarks.
    fn options<'a>(&self, record: &'a [u8], start: usize, mut each: impl FnMut(u16, &'a [u8])) {
        let body = record.get(..record.len().saturating_sub(TAIL)).unwrap_or_default();
        let mut rest = body.get(start..).unwrap_or_default();
        while let (Some(code), Some(size)) = (self.order.u16(rest, 0), self.order.u16(rest, 2)) {
            let Some((value, after)) =
                rest.get(4..).and_then(|rest| rest.split_at_checked(usize::from(size)))
            else {
                return;
            };
            if code == 0 {
                return;
            }
            each(code, value);
            rest = after.get(usize::from(size.wrapping_neg() & 3)..).unwrap_or_default();
        }
    }
}

impl Interface {
    fn nanoseconds(&self, stamp: u64) -> u64 {
        let exact = u128::from(stamp) * 1_000_000_000 / u128::from(self.per_second.max(1));
        let shifted = i128::try_from(exact).unwrap_or(i128::MAX) + i128::from(self.offset) * 1_000_000_000;
        u64::try_from(shifted.max(0)).unwrap_or(u64::MAX)
    }
}

/// if_tsresol: a power of 2 when the top bit is set, of 10 otherwise.
fn per_second(resolution: u8) -> u64 {
    let power = u32::from(resolution & 0x7f);
    let base: u64 = if resolution & 0x80 != 0 { 2 } else { 10 };
    base.checked_pow(power).unwrap_or(u64::MAX)
}

fn byte_order<R: Read>(source: &Source<R>) -> Result<Order, CaptureError> {
    match (Order::Big.u32(&source.record, 8), Order::Little.u32(&source.record, 8)) {
        (Some(BYTE_ORDER), _) => Ok(Order::Big),
        (_, Some(BYTE_ORDER)) => Ok(Order::Little),
        _ => Err(source.damaged("a section without a byte order")),
    }
}
