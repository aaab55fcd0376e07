//! The receive ring of a packet socket: frames that the kernel wrote into memory we share with it.
//!
//! One type over two layouts (packet_mmap.rst):
//!
//! - **V2**: slots of one size, one frame each. The kernel wakes us for every frame, so it adds no latency. A frame
//!   that is longer than a slot can be had whole from the socket's queue (`PACKET_COPY_THRESH`): slots stay small and
//!   many, super-frames of 64 KiB do not cross the ring, and they are copied once instead of twice.
//! - **V3**: blocks with frames packed one behind the other. The kernel hands over a block when it is full or when
//!   its oldest frame has waited for the retire time; so a lone frame waits that long.
//!
//! Both are a ring of *cells* (slots or blocks) with one status word each: zero, the kernel owns the cell; bit
//! `TP_STATUS_USER`, we do. We read a cell only after loading that bit with acquire order, and give it back by
//! storing zero with release order; this is the only synchronisation there is, and the safety argument of every
//! slice made here.
//!
//! Offsets and lengths in the cells are checked against the mapping. A header that does not hold together is counted
//! in [`RxRing::malformed`] and skipped with the rest of its cell.
#![expect(unsafe_code, reason = "slices of ring cells that the kernel handed over")]

use std::cell::Cell;
use std::io::{self, IoSliceMut};
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::sys::uio::readv;
use socket2::Socket;

use crate::mmap::Mapping;
use crate::{VNET_HEADER_OCTETS, VnetHeader};

/// Which layout the kernel uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RingVersion {
    /// `TPACKET_V2`: a slot and a wake-up for each frame.
    V2,
    /// `TPACKET_V3`: blocks, handed over when full or when `retire` has passed (whole milliseconds, at least one).
    V3 {
        /// How long a frame may wait for its block to fill.
        retire: Duration,
    },
}

/// One received frame, still in the ring.
#[derive(Clone, Copy, Debug)]
pub struct RxFrame<'a> {
    /// The frame from its Ethernet header on, without the VLAN tag that the kernel took out. Only its beginning when
    /// `length` says more.
    pub data: &'a [u8],
    /// How long the whole frame is, in octets.
    pub length: usize,
    /// The VLAN tag that the kernel (or the NIC) took out: TPID and TCI. It belongs after the source address.
    pub vlan: Option<(u16, u16)>,
    /// The virtio-net header, when the socket was opened with `vnet_header`. Its offsets count from the start of
    /// `data`, so they do not count the tag in `vlan`.
    pub vnet: Option<VnetHeader>,
    /// Whom the frame was for, as the kernel saw it (`PACKET_HOST`, `PACKET_OTHERHOST`, ...).
    pub packet_type: u8,
    /// The kernel has dropped frames of this ring since the statistics were last read.
    pub losing: bool,
    /// Where the whole frame waits when it did not fit the ring.
    overflow: Option<&'a Overflow>,
}

impl RxFrame<'_> {
    /// Whether the frame was longer than the ring could hold and the rest is lost.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.length > self.data.len() && self.overflow.is_none()
    }

    /// Whether the frame did not fit the ring but can be taken with [`RxFrame::take_whole`].
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.overflow.is_some()
    }

    /// Takes a frame that is elsewhere whole, once: writes it to `buffer`, which should have [`RxFrame::length`] octets,
    /// and gives the octets written.
    ///
    /// # Errors
    /// `EAGAIN` when the frame is not elsewhere or was taken already.
    pub fn take_whole(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.overflow.map_or_else(|| Err(io::Error::from_raw_os_error(libc::EAGAIN)), |o| o.take(buffer))
    }
}

/// The socket's queue, where frames wait that were too long for a slot: one for each slot with `TP_STATUS_COPY`, in
/// the order of the slots (af_packet.c queues them under the lock that gives out slots). So exactly one must be taken
/// for each such slot, also for those that nobody wants.
#[derive(Debug)]
pub(crate) struct Overflow {
    socket: Arc<Socket>,
    vnet_header: bool,
    /// The frame that belongs to the slot we hold is still in the queue.
    owed: Cell<bool>,
}

impl Overflow {
    pub(crate) fn new(socket: Arc<Socket>, vnet_header: bool) -> Self {
        Self { socket, vnet_header, owed: Cell::new(false) }
    }

    fn take(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.owed.replace(false) {
            return Err(io::Error::from_raw_os_error(libc::EAGAIN));
        }
        let before = if self.vnet_header { VNET_HEADER_OCTETS } else { 0 };
        // The header here is the same as the one in the slot.
        let mut header = [0; VNET_HEADER_OCTETS];
        let header = header.get_mut(..before).unwrap_or_default();
        let octets = readv(&*self.socket, &mut [IoSliceMut::new(header), IoSliceMut::new(buffer)])?;
        Ok(octets.saturating_sub(before))
    }

    /// Throws away what nobody took.
    fn settle(&self) {
        if self.owed.get() {
            // A datagram that is read in part is gone as a whole.
            let _ = self.take(&mut []);
        }
    }
}

/// How the ring's memory is divided; what `PACKET_RX_RING` is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Geometry {
    pub(crate) version: RingVersion,
    /// Octets of one contiguous block, a multiple of the page size.
    pub(crate) block: usize,
    /// Number of blocks.
    pub(crate) blocks: usize,
    /// Octets of one frame slot (V2); V3 only needs a legal value.
    pub(crate) slot: usize,
}

impl Geometry {
    /// Divides about `ring` octets into cells that hold frames of `max_frame` octets (Ethernet header included).
    ///
    /// V2 packs as many slots as fit into blocks of up to 1 MiB, so that at most a slot per block is wasted. V3 takes
    /// blocks for at least four of the largest frames, so that one block is not one frame.
    pub(crate) fn new(version: RingVersion, max_frame: usize, ring: usize) -> Self {
        let slot = max_frame.saturating_add(CELL_OVERHEAD).next_multiple_of(libc::TPACKET_ALIGNMENT);
        let block = match version {
            RingVersion::V2 => {
                let enough = slot.saturating_mul(32).next_power_of_two();
                enough.clamp(slot.next_power_of_two().max(PAGE), BLOCK_MAX.max(slot.next_power_of_two()))
            }
            RingVersion::V3 { .. } => slot.saturating_mul(4).next_power_of_two().max(V3_BLOCK_MIN),
        };
        Self { version, block, blocks: ring.div_ceil(block).max(2), slot }
    }

    /// Octets of the whole ring.
    pub(crate) fn octets(self) -> usize {
        self.block.saturating_mul(self.blocks)
    }

    /// Frame slots in one block.
    pub(crate) fn slots_per_block(self) -> usize {
        self.block / self.slot
    }

    /// Cells (with a status word each) in one block.
    fn cells_per_block(self) -> usize {
        match self.version {
            RingVersion::V2 => self.slots_per_block(),
            RingVersion::V3 { .. } => 1,
        }
    }

    fn cells(self) -> usize {
        self.cells_per_block().saturating_mul(self.blocks)
    }

    /// Where in a cell its status word is.
    fn status_offset(self) -> usize {
        match self.version {
            RingVersion::V2 => offset_of!(libc::tpacket2_hdr, tp_status),
            RingVersion::V3 { .. } => BLOCK_HEADER + offset_of!(libc::tpacket_hdr_v1, block_status),
        }
    }

    /// Octets of a cell.
    fn cell_octets(self) -> usize {
        match self.version {
            RingVersion::V2 => self.slot,
            RingVersion::V3 { .. } => self.block,
        }
    }
}

/// Where the ring stands: a cell, kept as offsets so that no frame costs a division.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    /// Offset of the cell in the mapping.
    start: usize,
    /// Its number inside its block.
    in_block: usize,
    /// Its block.
    block: usize,
}

impl Cursor {
    /// The cell that comes so many later.
    fn ahead(self, cells: usize, geometry: &Geometry) -> Self {
        let each = geometry.cells_per_block().max(1);
        let number = (self.block * each + self.in_block + cells) % geometry.cells().max(1);
        let (block, in_block) = (number / each, number % each);
        Self { start: block * geometry.block + in_block * geometry.slot, in_block, block }
    }

    fn after(self, geometry: &Geometry) -> Self {
        if self.in_block + 1 < geometry.cells_per_block() {
            return Self { start: self.start + geometry.slot, in_block: self.in_block + 1, ..self };
        }
        let block = if self.block + 1 < geometry.blocks { self.block + 1 } else { 0 };
        Self { start: block * geometry.block, in_block: 0, block }
    }
}

/// Where the reader of a ring stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RingPlace {
    /// The block of the cell to look at next.
    pub block: usize,
    /// The cell's number in it.
    pub in_block: usize,
    /// V3: frames of that cell which were not looked at yet, and where the next one is; `None`: the cell is the kernel's.
    pub held: Option<(u32, usize)>,
}

/// The ring. It stays valid when its socket is closed, but nothing comes in any more.
#[derive(Debug)]
pub struct RxRing {
    mapping: Mapping,
    geometry: Geometry,
    vnet_header: bool,
    skip_outgoing: bool,
    /// The cell to look at next.
    cell: Cursor,
    /// We own `cell` and have not given it back.
    held: bool,
    /// V3: frames of the held block not yet returned, and where the next one starts (in the mapping).
    left: u32,
    next_frame: usize,
    losing: bool,
    malformed: u64,
    overflow: Option<Overflow>,
}

impl RxRing {
    pub(crate) fn new(mapping: Mapping, geometry: Geometry, vnet_header: bool, skip_outgoing: bool) -> Self {
        Self {
            overflow: None,
            mapping,
            geometry,
            vnet_header,
            skip_outgoing,
            cell: Cursor::default(),
            held: false,
            left: 0,
            next_frame: 0,
            losing: false,
            malformed: 0,
        }
    }

    /// Has frames that are too long for a slot come through `overflow`.
    pub(crate) fn with_overflow(self, overflow: Overflow) -> Self {
        Self { overflow: Some(overflow), ..self }
    }

    /// Where its reader stands, for a successor that reads on in another process. Nothing of it may be read here any more.
    pub fn place(&mut self) -> RingPlace {
        self.release();
        let held = self.held.then_some((self.left, self.next_frame));
        RingPlace { block: self.cell.block, in_block: self.cell.in_block, held }
    }

    /// Reads on from where a predecessor stood. False when there is no such place in this ring.
    pub fn resume(&mut self, place: RingPlace) -> bool {
        let RingPlace { block, in_block, held } = place;
        if block >= self.geometry.blocks || in_block >= self.geometry.cells_per_block() {
            return false;
        }
        let start = block * self.geometry.block + in_block * self.geometry.slot;
        let cell = Cursor { start, in_block, block };
        // A cell is ours while its status word says so, whoever of us it was given to.
        if held.is_some() && self.status(cell) & libc::TP_STATUS_USER == 0 {
            return false;
        }
        self.cell = cell;
        (self.left, self.next_frame) = held.unwrap_or_default();
        self.held = held.is_some();
        true
    }

    /// The next received frame, or `None` when the kernel has filled no more.
    ///
    /// The frame is valid until the next call of anything that takes the ring mutably; its memory goes back to the
    /// kernel then, at the latest when `next` finds nothing.
    #[expect(clippy::should_implement_trait, reason = "the frame borrows the ring; Iterator cannot say that")]
    pub fn next(&mut self) -> Option<RxFrame<'_>> {
        // At most once around the ring, so that a flood of skipped frames cannot keep us here.
        for _ in 0..self.geometry.cells() {
            match self.step() {
                Step::Frame(place) => return self.frame(place),
                Step::Skipped => {}
                Step::Empty => return None,
            }
        }
        None
    }

    /// Gives what [`RxRing::next`] returned last back to the kernel, without looking for more.
    ///
    /// A V3 block goes back when its last frame has been returned by `next`; before that this call changes nothing.
    pub fn release(&mut self) {
        if let Some(overflow) = &self.overflow {
            overflow.settle();
        }
        if self.held && self.left == 0 {
            self.give_back();
        }
    }

    /// Whether a frame is waiting.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let cell = if self.held && self.left == 0 { self.cell.after(&self.geometry) } else { self.cell };
        (self.held && self.left > 0) || self.status(cell) & libc::TP_STATUS_USER != 0
    }

    /// Whether at least `part` of `whole` of the ring waits for us. The kernel fills cells in their order, so one look tells.
    #[must_use]
    pub fn is_filled(&self, part: usize, whole: usize) -> bool {
        // A ring of two large cells is not half full while we look at one.
        let ahead = (self.geometry.cells().saturating_mul(part) / whole.max(1)).max(2) - 1;
        self.status(self.cell.ahead(ahead, &self.geometry)) & libc::TP_STATUS_USER != 0
    }

    /// Frames that the ring holds (V2), or blocks of them (V3).
    #[must_use]
    pub fn cells(&self) -> usize {
        self.geometry.cells()
    }

    /// Cells whose contents did not hold together, so far.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// The octets that the ring occupies.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.geometry.octets()
    }

    fn step(&mut self) -> Step {
        self.release();
        if !self.held {
            let status = self.status(self.cell);
            if status & libc::TP_STATUS_USER == 0 {
                return Step::Empty;
            }
            self.held = true;
            self.losing = status & libc::TP_STATUS_LOSING != 0;
            self.open_cell();
        }
        if self.left == 0 {
            return Step::Skipped; // an empty block
        }
        self.left -= 1;
        let place = match self.geometry.version {
            RingVersion::V2 => self.place_v2(),
            RingVersion::V3 { .. } => self.place_v3(),
        };
        match place.filter(|p| self.fits(p)) {
            Some(place) if self.skip_outgoing && place.packet_type == libc::PACKET_OUTGOING => Step::Skipped,
            Some(place) => Step::Frame(place),
            None => {
                self.malformed += 1;
                self.left = 0;
                Step::Skipped
            }
        }
    }

    /// Learns what a cell that just became ours holds.
    fn open_cell(&mut self) {
        let start = self.cell.start;
        self.next_frame = start;
        self.left = 1;
        if matches!(self.geometry.version, RingVersion::V3 { .. }) {
            let header = self.mapping.copy::<libc::tpacket_hdr_v1>(start + BLOCK_HEADER);
            let Some((header, first)) =
                header.and_then(|h| Some((h, usize::try_from(h.offset_to_first_pkt).ok()?)))
            else {
                self.left = 0;
                return;
            };
            self.left = header.num_pkts;
            self.next_frame = start.saturating_add(first);
        }
    }

    fn place_v2(&self) -> Option<Place> {
        let header = self.mapping.copy::<libc::tpacket2_hdr>(self.next_frame)?;
        if let Some(overflow) = &self.overflow {
            overflow.owed.set(header.tp_status & libc::TP_STATUS_COPY != 0);
        }
        Some(Place {
            start: self.next_frame.checked_add(usize::from(header.tp_mac))?,
            octets: usize::try_from(header.tp_snaplen).ok()?,
            vlan: vlan(header.tp_status, header.tp_vlan_tpid, header.tp_vlan_tci),
            packet_type: self.packet_type(libc::TPACKET2_HDRLEN)?,
            length: usize::try_from(header.tp_len).ok()?,
        })
    }

    fn place_v3(&mut self) -> Option<Place> {
        let header = self.mapping.copy::<libc::tpacket3_hdr>(self.next_frame)?;
        let tci = u16::try_from(header.hv1.tp_vlan_tci).unwrap_or_default();
        let place = Place {
            start: self.next_frame.checked_add(usize::from(header.tp_mac))?,
            octets: usize::try_from(header.tp_snaplen).ok()?,
            vlan: vlan(header.tp_status, header.hv1.tp_vlan_tpid, tci),
            packet_type: self.packet_type(libc::TPACKET3_HDRLEN)?,
            length: usize::try_from(header.tp_len).ok()?,
        };
        self.next_frame = self.next_frame.checked_add(usize::try_from(header.tp_next_offset).ok()?)?;
        Some(place)
    }

    /// `sll_pkttype` of the address that follows the header of the frame at `next_frame`; `header` is
    /// `TPACKETn_HDRLEN`, which counts that address.
    fn packet_type(&self, header: usize) -> Option<u8> {
        let address = header - size_of::<libc::sockaddr_ll>();
        self.mapping.copy(self.next_frame.checked_add(address + offset_of!(libc::sockaddr_ll, sll_pkttype))?)
    }

    /// Whether the frame, and the header before it, lie inside the cell we hold.
    fn fits(&self, place: &Place) -> bool {
        let cell = self.cell.start;
        let before = if self.vnet_header { VNET_HEADER_OCTETS } else { 0 };
        let starts = place.start.checked_sub(before).is_some_and(|start| start >= cell);
        let ends =
            place.start.checked_add(place.octets).is_some_and(|e| e <= cell + self.geometry.cell_octets());
        starts && ends
    }

    fn frame(&self, place: Place) -> Option<RxFrame<'_>> {
        // SAFETY: `fits` says that the range lies in the cell we hold; its status word gave it to us, and it goes
        // back only through `give_back`, which needs `&mut self` and so waits for this borrow to end.
        let data = unsafe { self.mapping.bytes(place.start, place.octets) }?;
        let vnet = if self.vnet_header {
            // SAFETY: as above; `fits` counted these octets too.
            let header = unsafe { self.mapping.bytes(place.start - VNET_HEADER_OCTETS, VNET_HEADER_OCTETS) }?;
            header.first_chunk().copied()
        } else {
            None
        };
        let Place { vlan, packet_type, length, .. } = place;
        let overflow = self.overflow.as_ref().filter(|o| o.owed.get());
        Some(RxFrame { data, length, vlan, vnet, packet_type, losing: self.losing, overflow })
    }

    fn give_back(&mut self) {
        let offset = self.cell.start + self.geometry.status_offset();
        if let Some(word) = self.mapping.word(offset) {
            word.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        }
        self.held = false;
        self.cell = self.cell.after(&self.geometry);
    }

    fn status(&self, cell: Cursor) -> u32 {
        let offset = cell.start + self.geometry.status_offset();
        self.mapping.word(offset).map_or(libc::TP_STATUS_KERNEL, |word| word.load(Ordering::Acquire))
    }
}

enum Step {
    Frame(Place),
    Skipped,
    Empty,
}

/// A frame as its header describes it; `start` counts from the start of the mapping.
#[derive(Clone, Copy)]
struct Place {
    start: usize,
    octets: usize,
    vlan: Option<(u16, u16)>,
    packet_type: u8,
    length: usize,
}

/// The tag that the kernel took out. Kernels before 3.14 do not say the TPID; then it is 802.1Q's.
fn vlan(status: u32, tpid: u16, tci: u16) -> Option<(u16, u16)> {
    let tpid = if status & libc::TP_STATUS_VLAN_TPID_VALID != 0 { tpid } else { 0x8100 };
    (status & libc::TP_STATUS_VLAN_VALID != 0).then_some((tpid, tci))
}

/// Where `tpacket_hdr_v1` starts in a block: behind version and private offset.
const BLOCK_HEADER: usize = offset_of!(libc::tpacket_block_desc, hdr);

/// Octets in a cell beside the frame: the header with its address (52 or 68), the virtio-net header, and the gap that
/// aligns the network header to 16.
const CELL_OVERHEAD: usize = 128;
const _: () = assert!(libc::TPACKET3_HDRLEN + 16 + VNET_HEADER_OCTETS + 16 <= CELL_OVERHEAD);

/// V2 blocks grow up to this, unless one slot is larger. The kernel asks for physically contiguous pages first.
const BLOCK_MAX: usize = 1 << 20;
/// V3 blocks are not smaller: 160 full-size Ethernet frames, three of the largest super-frames.
const V3_BLOCK_MIN: usize = 1 << 18;
/// The smallest unit of a block. Block sizes are powers of two, so they suit kernels with larger pages up to 64 KiB.
const PAGE: usize = 1 << 16;

#[cfg(test)]
mod tests;
