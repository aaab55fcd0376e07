//! The driver for network interfaces over AF_PACKET (packet(7)): works on every Linux interface, needs no support of
//! its driver.
//!
//! Frames come through a memory-mapped ring and are copied once into buffers of the worker's pool; super-frames skip
//! the ring and are copied once too (`sys::RxFrame::take_whole`). Frames go out up to 64 with one system call. A VLAN
//! tag that the kernel or the NIC took out is put back, so a frame looks as it did on the wire.
//!
//! Work that a sender on this machine left undone (VIRTIO 1.2 §5.1.6: a begun checksum, a super-frame to cut) comes
//! with the frame, on every port: whoever receives must know, or the frame is wrong. With `offload` it may also leave
//! with the frame. Without, frames that need work are refused: they would be wrong on the wire.
//!
//! An interface that goes down is reported once, and the same port works again when it is up. One that is deleted is
//! reported as gone.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use net::{
    EtherType, VlanTag,
    carry::{Carry, Opened, Parcel},
    virtio::Offload,
};
use sys::{
    Fanout, FanoutMode, Outgoing, PacketOptions, PacketSocket, RingPlace, RingVersion, RxFrame, RxRing,
    TxBatch,
};

use super::{Heirloom, LOOKS, Port, PortCaps, PortCounters, PortError, PortKind, kernel};
use crate::{BATCH_OCTETS, Batch, Frame, Pool, Pressure, Wanted, vlan};

/// Which layout the receive ring has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Ring {
    /// V2, which adds no latency.
    #[default]
    Auto,
    /// Frames packed in blocks: the least work per frame, but a frame waits up to a millisecond.
    V3,
    /// A slot and a wake-up for each frame.
    V2,
}

/// How to open an [`AfPacketPort`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// The interface's name in the network namespace of the calling thread.
    pub device: String,
    /// The layout of the receive ring.
    pub ring: Ring,
    /// About how much memory the receive ring takes, in octets.
    pub ring_octets: usize,
    /// Send super-frames and begun checksums as they are. They are received in any case.
    pub offload: bool,
    /// Send past the interface's queueing discipline. Without effect with `offload`: there the discipline is what
    /// cuts the super-frames that the device cannot.
    pub qdisc_bypass: bool,
    /// The largest frame that is not a super-frame, in octets from the destination address on, tags included.
    pub largest_frame: usize,
    /// Share the interface's frames by flow with other ports.
    pub fanout: Option<Share>,
}

/// Ports that share an interface's frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Share {
    /// A number that they all give.
    pub group: u16,
    /// How many they are.
    pub members: u16,
}

/// A network interface by AF_PACKET.
#[derive(Debug)]
pub struct AfPacketPort {
    socket: PacketSocket,
    ring: RxRing,
    tx: TxBatch,
    caps: PortCaps,
    kind: PortKind,
    facts: String,
    counters: PortCounters,
    /// The last look found nothing.
    idle: bool,
}

impl AfPacketPort {
    /// Opens the interface. It may be down; then the first [`Port::receive`] says so.
    ///
    /// # Errors
    /// The kernel's: `EPERM` without `CAP_NET_RAW`, `ENODEV` when there is no such interface.
    pub fn open(options: &Options) -> io::Result<Self> {
        Ok(Self::with(options, PacketSocket::open(&packet_options(options))?))
    }

    /// Goes on with what a predecessor in another process left, if it was opened with the same options. Nothing may be
    /// received before [`Port::resume`].
    ///
    /// # Errors
    /// `EINVAL` when it was opened with others; the kernel's: `ENODEV` when the device of this name is another one now.
    pub fn adopt(options: &Options, left: Heirloom) -> io::Result<Self> {
        let other = || io::Error::from(io::ErrorKind::InvalidInput);
        let socket = left.descriptors.into_iter().next().filter(|_| left.facts == facts(options));
        Ok(Self::with(options, PacketSocket::adopt(socket.ok_or_else(other)?, &packet_options(options))?))
    }

    fn with(options: &Options, (socket, ring): (PacketSocket, RxRing)) -> Self {
        let kind = match options.ring {
            Ring::Auto | Ring::V2 => PortKind::PacketV2,
            Ring::V3 => PortKind::PacketV3,
        };
        let caps = PortCaps {
            offload: options.offload,
            udp_segments: options.offload && udp_segments(),
            flows: false,
        };
        let (facts, counters) = (facts(options), PortCounters::default());
        Self { socket, ring, tx: TxBatch::new(true), caps, kind, facts, counters, idle: true }
    }

    /// Counts what became of the first `taken` of `frames`.
    fn count(&mut self, frames: &[Frame], taken: usize, refused: u64) {
        for (at, frame) in frames.iter().take(taken).enumerate() {
            if refused >> at & 1 == 1 {
                self.counters.tx_refused += 1;
            } else {
                self.counters.tx_frames += 1;
                self.counters.tx_octets += kernel::octets(frame);
            }
        }
    }
}

impl Port for AfPacketPort {
    fn receive(&mut self, batch: &mut Batch, pool: &mut Pool) -> Result<usize, PortError> {
        let before = batch.len();
        let (mut empty, mut octets) = (false, 0);
        // As many looks as there are places, so that frames that are dropped here cannot keep us here.
        for _ in before..batch.capacity() {
            let Some(frame) = self.ring.next() else {
                empty = true;
                break;
            };
            let taken = take(&frame, pool, &mut self.counters);
            octets += taken.as_ref().map_or(0, Frame::share);
            batch.extend(taken);
            if octets >= BATCH_OCTETS {
                break;
            }
        }
        self.ring.release();
        let idle = empty && batch.len() == before;
        if core::mem::replace(&mut self.idle, idle) && idle {
            // An error that the kernel left for us is what else makes the descriptor readable. It stays so until asked for, hence a look
            // that only ends a series of frames need not ask: that would be a system call for each wake-up.
            let failed = self.socket.health().err().and_then(|error| kernel::port_error(&error));
            return failed.map_or(Ok(0), Err);
        }
        Ok(batch.len() - before)
    }

    fn send(&mut self, frames: &mut Vec<Frame>, pool: &mut Pool) -> Result<(), PortError> {
        if !self.caps.offload {
            for frame in frames.extract_if(.., |frame| frame.offload.is_pending()) {
                self.counters.tx_refused += 1;
                pool.recycle(frame);
            }
        }
        let (mut at, mut full, mut failed) = (0, 0, None);
        while let Some(rest) = frames.get(at..).filter(|rest| !rest.is_empty()) {
            let outgoing = |frame| Outgoing { vnet: Some(kernel::header(frame)), data: &frame.buf };
            let sent = self.tx.send(self.socket.as_fd(), rest.iter().map(outgoing));
            self.count(rest, sent.taken, sent.refused);
            at += sent.taken;
            let Some(error) = sent.stopped else { continue };
            failed = kernel::port_error(&error);
            full += 1;
            // ENOBUFS is one frame that found a queue full; the next one may find room. EAGAIN is our own limit of
            // what may wait in the kernel, which no later frame of this call will pass.
            let hopeless =
                failed.is_some() || error.kind() == io::ErrorKind::WouldBlock || full == FULL_QUEUES;
            // Behind a control frame nothing is tried: whatever gets the next room, it is not to be data.
            if hopeless || frames.get(at).is_some_and(|frame| frame.control) {
                break;
            }
            self.counters.tx_refused += 1;
            at += 1;
        }
        frames.drain(..at).for_each(|frame| pool.recycle(frame));
        self.counters.tx_refused += match failed {
            Some(_) => kernel::discard(frames, pool),
            None => super::keep_control(frames, pool),
        };
        failed.map_or(Ok(()), Err)
    }

    fn pressure(&self) -> Pressure {
        Pressure::of(|eighths| self.ring.is_filled(eighths.into(), 8))
    }

    fn relieve(
        &mut self,
        batch: &mut Batch,
        pool: &mut Pool,
        wanted: &Wanted,
        pressure: Pressure,
    ) -> Result<usize, PortError> {
        let mut looked = 0;
        while looked < LOOKS && !batch.is_full() {
            let Some(frame) = self.ring.next() else { break };
            looked += 1;
            if wanted.has(pressure, frame.data, frame.length) {
                batch.extend(take(&frame, pool, &mut self.counters));
            } else {
                self.counters.rx_shed += 1;
            }
        }
        self.ring.release();
        Ok(looked)
    }

    fn depth(&self) -> usize {
        self.ring.cells()
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    fn caps(&self) -> PortCaps {
        self.caps
    }

    fn kind(&self) -> PortKind {
        self.kind
    }

    fn counters(&self) -> PortCounters {
        let rx_ring_full = self.socket.statistics().map_or(0, |kernel| kernel.drops);
        PortCounters { rx_ring_full, ..self.counters }
    }

    fn heirloom(&self) -> io::Result<Option<Heirloom>> {
        let descriptors = vec![self.socket.as_fd().try_clone_to_owned()?];
        Ok(Some(Heirloom { descriptors, facts: self.facts.clone() }))
    }

    fn leave(&mut self, out: &mut Parcel) {
        let RingPlace { block, in_block, held } = self.ring.place();
        ((block, in_block), held).pack(out);
    }

    fn resume(&mut self, from: &mut Opened<'_>) -> bool {
        <Place as Carry>::unpack(from)
            .is_some_and(|((block, in_block), held)| self.ring.resume(RingPlace { block, in_block, held }))
    }
}

/// Block and cell, and what is left of a cell that is held: a [`RingPlace`].
type Place = ((usize, usize), Option<(u32, usize)>);

/// What must be the same for a socket to be gone on with: all options but the number of its group, which is made anew by each
/// process. With another number of members some would stay in the old group and others be in a new one, and each group gets every frame.
fn facts(options: &Options) -> String {
    let members = options.fanout.map_or(1, |share| share.members);
    format!("{:?} {members}", Options { fanout: None, ..options.clone() })
}

fn packet_options(options: &Options) -> PacketOptions {
    PacketOptions {
        ring: match options.ring {
            Ring::Auto | Ring::V2 => RingVersion::V2,
            Ring::V3 => RingVersion::V3 { retire: RETIRE },
        },
        max_frame: options.largest_frame,
        overflow: Some(OVERFLOW),
        ring_octets: options.ring_octets,
        vnet_header: true,
        fanout: options.fanout.map(|share| Fanout { group: share.group, mode: FanoutMode::Hash }),
        qdisc_bypass: options.qdisc_bypass && !options.offload,
        ..PacketOptions::new(options.device.as_str())
    }
}

/// Copies a frame out of the ring into a buffer with room around it. `None`, and counted, when that cannot be.
fn take(from: &RxFrame<'_>, pool: &mut Pool, counters: &mut PortCounters) -> Option<Frame> {
    if from.is_truncated() {
        counters.rx_truncated += 1;
        return None;
    }
    let Ok(work) = from.vnet.map(Offload::decode).transpose() else {
        counters.rx_bad_offload += 1;
        return None;
    };
    let Some(buf) = pool.for_len(from.length) else {
        counters.rx_no_buffer += 1;
        return None;
    };
    let mut frame = Frame { offload: work.unwrap_or_default(), ..Frame::new(buf) };
    if !(fill(&mut frame, from) && tag(&mut frame, from.vlan)) {
        counters.rx_truncated += 1;
        pool.recycle(frame);
        return None;
    }
    counters.rx_frames += 1;
    counters.rx_octets += kernel::octets(&frame);
    Some(frame)
}

/// False when the octets are not all to be had.
fn fill(frame: &mut Frame, from: &RxFrame<'_>) -> bool {
    if !from.is_elsewhere() {
        return frame.buf.extend_from_slice(from.data);
    }
    let taken = from.take_whole(frame.buf.spare_mut()).unwrap_or(0);
    frame.buf.set_len(taken);
    taken == from.length
}

/// Puts a tag back that the kernel took out. The begin of a checksum counts from the untagged frame's start and
/// moves along.
fn tag(frame: &mut Frame, tag: Option<(u16, u16)>) -> bool {
    tag.is_none_or(|(tpid, tci)| vlan::push(frame, VlanTag::with_tci(EtherType::new(tpid), tci)))
}

/// Whether packet sockets of this kernel take segment trains of UDP: Linux 6.2 taught them.
#[must_use]
pub fn udp_segments() -> bool {
    sys::process::kernel_version().is_ok_and(|version| version >= (6, 2))
}

/// How long a frame waits at most for a V3 block to fill; the kernel counts in milliseconds.
const RETIRE: std::time::Duration = std::time::Duration::from_millis(1);
/// Octets of super-frames that may wait beside the ring: what 3.5 Gbit/s bring in 10 ms.
const OVERFLOW: usize = 4 << 20;
/// Full queues met in one call before the rest of its frames is given up.
const FULL_QUEUES: u32 = 8;
