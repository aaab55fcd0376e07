//! The driver for network interfaces over AF_XDP: frames leave the kernel before its stack sees them.
//!
//! A small program of ours on the device (`sys::XdpDevice`) gives each receive queue's frames to a socket with memory that the kernel and we share;
//! a frame is copied once, out of that memory into a buffer of the worker's pool. All queues are one port's, for a port has one worker;
//! what is sent leaves by the first queue, so that it stays in order.
//!
//! On veth, what is sent together in numbers leaves in bulk by the same program, without a socket, as long as the other end takes it so and no frame is a
//! jumbo frame (`sys::BulkSender`), and frames of several ports by one call ([`Port::gather`]); everything else by the first queue's socket.
//!
//! What runs where is tried from the best down: in the driver without copying, in the driver with, in the stack (`generic`). The
//! port says what it got ([`PortKind`]), and why not better ([`AfXdpPort::why_generic`]).
//!
//! Nothing comes with a frame here, so it must be complete: a checksum that a sender on this machine left open, a super-frame, or a VLAN tag that
//! was taken out could not be told from what they lack. So this is for channels (a protected frame is always complete), and for LAN
//! ports whose frames come from a wire.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use net::VlanTag;
use sys::{Bulk, BulkSender, BulkSent, Claim, Poller, XdpDevice, XdpFrame, XdpMode, XdpOptions, XdpSocket};

use super::{LOOKS, Port, PortCaps, PortCounters, PortError, PortKind, kernel};
use crate::{Batch, Frame, Pool, Pressure, Wanted};

/// How to open an [`AfXdpPort`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// The interface's name in the network namespace of the calling thread.
    pub device: String,
    /// Which of its frames are ours; the kernel keeps the others.
    pub claim: Claim,
    /// The largest frame, in octets from the destination address on, tags included.
    pub largest_frame: usize,
    /// About how much memory each queue's frames may take while they wait, in octets.
    pub ring_octets: usize,
}

/// A network interface by AF_XDP.
#[derive(Debug)]
pub struct AfXdpPort {
    device: XdpDevice,
    /// By receive queue; at least one.
    queues: Vec<XdpSocket>,
    /// The queue to look at first, so that none starves the others.
    first: usize,
    /// All of them, and the device itself.
    ready: Poller,
    /// The device's name.
    name: String,
    /// Octets of the longest untagged frame that the device sends, as far as is known.
    longest: usize,
    kind: PortKind,
    why_generic: Option<io::Error>,
    counters: PortCounters,
    /// The last look found nothing.
    idle: bool,
    /// The device went down, and no socket has sent since: only sockets are told.
    down: bool,
}

impl AfXdpPort {
    /// Opens the interface, which may be down. It sends in bulk, where it can, with the others that have the same `bulk`.
    ///
    /// # Errors
    /// Those of `sys::XdpDevice::attach` and `sys::XdpSocket::open`; those of the best way when no way works.
    pub fn open(options: &Options, bulk: Option<&Bulk>) -> io::Result<Self> {
        let native = match Self::open_as(options, XdpMode::Native, bulk) {
            Err(why) => why,
            opened => return opened,
        };
        match Self::open_as(options, XdpMode::Generic, bulk) {
            Ok(opened) => Ok(Self { why_generic: Some(native), ..opened }),
            Err(_) => Err(native),
        }
    }

    /// Opens the interface in this way or not at all.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_as(options: &Options, mode: XdpMode, bulk: Option<&Bulk>) -> io::Result<Self> {
        let longest = longest(&options.device)?;
        let bulk = bulk.filter(|_| options.largest_frame <= BulkSender::LONGEST);
        let device = XdpDevice::attach(&options.device, &options.claim, mode, bulk)?;
        let memory = XdpOptions { max_frame: options.largest_frame, octets: options.ring_octets };
        let open = |queue| XdpSocket::open(&device, queue, &memory);
        let queues = (0..device.queues()).map(open).collect::<io::Result<Vec<_>>>()?;
        let ready = Poller::new()?;
        ready.add(&device, 0)?;
        queues.iter().try_for_each(|queue| ready.add(queue, 1))?;
        device.bulk_changes().map_or(Ok(()), |changes| ready.add(changes, 2))?;
        let kind = match mode {
            XdpMode::Generic => PortKind::XdpGeneric,
            XdpMode::Native if queues.iter().all(XdpSocket::is_zero_copy) => PortKind::XdpZeroCopy,
            XdpMode::Native => PortKind::XdpCopy,
        };
        Ok(Self {
            device,
            queues,
            first: 0,
            ready,
            name: options.device.clone(),
            longest,
            kind,
            why_generic: None,
            counters: PortCounters::default(),
            idle: true,
            down: false,
        })
    }

    /// Why the driver's own way was not to be had, when it was not.
    pub const fn why_generic(&self) -> Option<&io::Error> {
        self.why_generic.as_ref()
    }

    /// What must not leave: work that nobody would do, and what the device does not carry.
    fn refuse(&mut self, frames: &mut Vec<Frame>, pool: &mut Pool) {
        if frames.iter().any(|frame| is_longer(frame, self.longest)) {
            // The device may have another MTU by now: a new one of an old name gets its own after it was found. Asked once for all frames.
            self.longest = longest(&self.name).unwrap_or(self.longest);
        }
        let longest = self.longest;
        for frame in frames.extract_if(.., |frame| frame.offload.is_pending() || is_longer(frame, longest)) {
            self.counters.tx_refused += 1;
            pool.recycle(frame);
        }
    }

    /// Hands as many frames from the front as it takes to what sends in bulk: none while others wait in a socket.
    fn in_bulk(&mut self, frames: &[Frame], hand: impl FnOnce(&mut BulkSender) -> BulkSent) -> usize {
        if self.down || self.queues.first().is_some_and(XdpSocket::is_behind) {
            return 0;
        }
        // A port that always has frames to receive would not hear otherwise that the far end takes them no more.
        self.device.look_at_bulk();
        let Some(sender) = self.device.bulk() else { return 0 };
        let taken = hand(sender).taken;
        let octets: u64 = frames.iter().take(taken).map(kernel::octets).sum();
        self.counters.tx_frames += u64::try_from(taken).unwrap_or(0);
        self.counters.tx_octets += octets;
        taken
    }

    /// Sends as many frames from the front as leave in bulk: none when they are few.
    fn send_in_bulk(&mut self, frames: &[Frame]) -> usize {
        if frames.len() < BulkSender::WORTH {
            return 0;
        }
        self.in_bulk(frames, |sender| sender.send(frames.iter().map(|frame| &*frame.buf)))
    }
}

impl Port for AfXdpPort {
    fn receive(&mut self, batch: &mut Batch, pool: &mut Pool) -> Result<usize, PortError> {
        let before = batch.len();
        let count = self.queues.len();
        for at in 0..count {
            let Some(queue) = self.queues.get_mut((self.first + at) % count) else { continue };
            // As many looks as there are places, so that frames that are dropped here cannot keep us here.
            for _ in batch.len()..batch.capacity() {
                let Some(frame) = queue.next_frame() else { break };
                batch.extend(take(&frame, pool, &mut self.counters));
            }
            queue.release();
        }
        self.first = (self.first + 1) % count.max(1);
        let idle = batch.len() == before;
        if core::mem::replace(&mut self.idle, idle) && idle {
            // What else makes us readable: what the kernel has to say of the device. It stays so until asked for, hence a look that only
            // ends a series of frames need not ask.
            self.device.look_at_bulk();
            let failed = self.device.health().err().and_then(|error| kernel::port_error(&error));
            self.down |= failed.is_some();
            return failed.map_or(Ok(0), Err);
        }
        Ok(batch.len() - before)
    }

    fn send(&mut self, frames: &mut Vec<Frame>, pool: &mut Pool) -> Result<(), PortError> {
        self.refuse(frames, pool);
        let (mut at, mut failed) = (self.send_in_bulk(frames), None);
        while let (Some(rest), Some(queue)) = (frames.get(at..), self.queues.first_mut())
            && !rest.is_empty()
            && failed.is_none()
        {
            let sent = queue.send(rest.iter().map(|frame| &*frame.buf));
            let octets: u64 = rest.iter().take(sent.taken).map(kernel::octets).sum();
            self.counters.tx_frames += u64::try_from(sent.taken).unwrap_or(0).saturating_sub(sent.refused);
            self.counters.tx_refused += sent.refused;
            self.counters.tx_octets += octets;
            self.down &= sent.taken == 0 || sent.stopped.is_some();
            at += sent.taken;
            failed = sent.stopped.as_ref().and_then(kernel::port_error);
            if sent.taken == 0 || sent.stopped.is_some() {
                // No memory is free: the device is slower than we are, and later frames would find none either.
                break;
            }
        }
        frames.drain(..at).for_each(|frame| pool.recycle(frame));
        self.counters.tx_refused += match failed {
            Some(_) => kernel::discard(frames, pool),
            None => super::keep_control(frames, pool),
        };
        failed.map_or(Ok(()), Err)
    }

    fn gathers(&self) -> bool {
        self.device.sends_in_bulk()
    }

    fn gather(&mut self, frames: &mut Vec<Frame>, pool: &mut Pool) {
        self.refuse(frames, pool);
        let taken = self.in_bulk(frames, |sender| sender.put(frames.iter().map(|frame| &*frame.buf)));
        frames.drain(..taken).for_each(|frame| pool.recycle(frame));
    }

    fn send_gathered(&mut self) {
        self.device.flush_bulk();
    }

    fn pressure(&self) -> Pressure {
        Pressure::of(|eighths| self.queues.iter().any(|queue| queue.is_filled(eighths.into(), 8)))
    }

    fn relieve(
        &mut self,
        batch: &mut Batch,
        pool: &mut Pool,
        wanted: &Wanted,
        pressure: Pressure,
    ) -> Result<usize, PortError> {
        let mut looked = 0;
        for queue in &mut self.queues {
            while looked < LOOKS && !batch.is_full() {
                let Some(frame) = queue.next_frame() else { break };
                looked += 1;
                let begin = frame.pieces().next().flatten().unwrap_or_default();
                if wanted.has(pressure, begin, frame.length()) {
                    batch.extend(take(&frame, pool, &mut self.counters));
                } else {
                    self.counters.rx_shed += 1;
                }
            }
            queue.release();
        }
        Ok(looked)
    }

    fn depth(&self) -> usize {
        self.queues.iter().map(XdpSocket::depth).sum()
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.ready.as_fd())
    }

    fn caps(&self) -> PortCaps {
        PortCaps::default()
    }

    fn kind(&self) -> PortKind {
        if self.device.sends_in_bulk() { PortKind::XdpBulk } else { self.kind }
    }

    fn counters(&self) -> PortCounters {
        let kernel = self.queues.iter().filter_map(|queue| queue.statistics().ok());
        let (lost, own) = (self.device.lost_in_bulk(), self.counters);
        let own = PortCounters { tx_frames: own.tx_frames - lost, tx_refused: own.tx_refused + lost, ..own };
        kernel.fold(own, |sum, kernel| PortCounters {
            rx_ring_full: sum.rx_ring_full + kernel.full,
            rx_truncated: sum.rx_truncated + kernel.too_long,
            ..sum
        })
    }
}

/// Octets of the longest untagged frame that a device sends.
fn longest(device: &str) -> io::Result<usize> {
    let mtu = usize::try_from(sys::interface::mtu(device)?).map_err(io::Error::other)?;
    Ok(mtu.saturating_add(ETHERNET))
}

/// Whether a frame is longer than that; a tag in it is not counted.
fn is_longer(frame: &Frame, longest: usize) -> bool {
    let tag = |frame: &Frame| if VlanTag::outermost(&frame.buf).is_some() { VlanTag::LEN } else { 0 };
    frame.buf.len() > longest && frame.buf.len() > longest.saturating_add(tag(frame))
}

/// Copies a frame into a buffer with room around it. `None`, and counted, when that cannot be.
fn take(from: &XdpFrame<'_>, pool: &mut Pool, counters: &mut PortCounters) -> Option<Frame> {
    let Some(mut buf) = pool.for_len(from.length()) else {
        counters.rx_no_buffer += 1;
        return None;
    };
    let whole = from.pieces().all(|piece| piece.is_some_and(|piece| buf.extend_from_slice(piece)));
    let frame = Frame::new(buf);
    if !whole {
        counters.rx_truncated += 1;
        pool.recycle(frame);
        return None;
    }
    counters.rx_frames += 1;
    counters.rx_octets += kernel::octets(&frame);
    Some(frame)
}

/// Octets of an Ethernet header.
const ETHERNET: usize = 14;

#[cfg(test)]
mod tests;
