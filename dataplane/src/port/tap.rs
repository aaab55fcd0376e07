//! The driver for TAP devices (tuntap.rst): the host's own stack, or a virtual machine's, at the other end.
//!
//! Super-frames and open checksums cross in both directions (VIRTIO 1.2 §5.1.6). The length of a frame is known only
//! after it was read, so each read goes into a big buffer: a small frame is copied out of it into a small one, a
//! super-frame leaves in it. VLAN tags are always in the frame.
//!
//! A TAP that the host takes down refuses what is sent to it with [`PortError::Down`] and works again once it is up.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use net::{PacketBuf, virtio::Offload};
use sys::{Tap, TapOptions, VNET_HEADER_OCTETS, VnetHeader};

use super::{Heirloom, Port, PortCaps, PortCounters, PortError, PortKind, kernel};
use crate::{BATCH_OCTETS, Batch, Frame, Pool};

/// One queue of a TAP device.
#[derive(Debug)]
pub struct TapPort {
    tap: Tap,
    /// The device may have several queues.
    several: bool,
    counters: PortCounters,
}

impl TapPort {
    /// Opens the TAP device `name`, or makes it; it goes away with this port unless somebody made it persistent. An
    /// empty name, or a `%d` in it, lets the kernel choose. It is left as it is: down, when it is new.
    ///
    /// # Errors
    /// The kernel's: `EPERM` without `CAP_NET_ADMIN`, `EBUSY` when somebody else has it open, `EACCES` when
    /// `/dev/net/tun` may not be opened.
    pub fn open(name: &str) -> io::Result<Self> {
        Self::open_with(name, TapOptions::default())
    }

    /// Opens one more queue of the TAP device `name`, or makes the device with a first one. Frames of one flow stay
    /// on one queue. All its queues must be opened this way.
    ///
    /// # Errors
    /// As [`TapPort::open`]; `EINVAL` when the device is not one for several queues.
    pub fn open_queue(name: &str) -> io::Result<Self> {
        Self::open_with(name, TapOptions { multi_queue: true, ..TapOptions::default() })
    }

    /// Goes on with what a predecessor in another process left.
    ///
    /// # Errors
    /// `EINVAL` when that was no TAP device, `EBADFD` when its device is gone.
    pub fn adopt(left: Heirloom) -> io::Result<Self> {
        let queue = left.descriptors.into_iter().next();
        let several = left.facts == SEVERAL;
        let queue = queue.filter(|_| several || left.facts == SINGLE);
        let tap = Tap::adopt(queue.ok_or(io::ErrorKind::InvalidInput)?)?;
        Ok(Self { tap, several, counters: PortCounters::default() })
    }

    fn open_with(name: &str, options: TapOptions) -> io::Result<Self> {
        let several = options.multi_queue;
        Ok(Self { tap: Tap::open(name, options)?, several, counters: PortCounters::default() })
    }

    /// The device's name, as the kernel completed it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.tap.name()
    }

    /// What was read into `spare`, in a buffer of the right size; `spare` is a big buffer again, if there is one.
    fn take(&mut self, header: VnetHeader, spare: &mut Option<PacketBuf>, pool: &mut Pool) -> Option<Frame> {
        let Ok(offload) = Offload::decode(header) else {
            self.counters.rx_bad_offload += 1;
            return None;
        };
        let read = spare.as_ref()?;
        let buf = match pool.for_len(read.len()) {
            Some(mut small) if small.capacity() < read.capacity() => {
                small.extend_from_slice(read);
                small
            }
            other => core::mem::replace(spare, other)?,
        };
        let frame = Frame { offload, ..Frame::new(buf) };
        self.counters.rx_frames += 1;
        self.counters.rx_octets += kernel::octets(&frame);
        Some(frame)
    }

    /// Reads one frame into the batch.
    fn read(
        &mut self,
        batch: &mut Batch,
        spare: &mut Option<PacketBuf>,
        pool: &mut Pool,
    ) -> io::Result<usize> {
        if spare.is_none() {
            *spare = pool.big();
        }
        let Some(buf) = spare.as_mut() else { return self.discard() };
        buf.reset(crate::HEADROOM);
        let mut header = [0; VNET_HEADER_OCTETS];
        let octets = self.tap.receive(&mut header, buf.spare_mut())?;
        buf.set_len(octets);
        batch.extend(self.take(header, spare, pool));
        Ok(octets)
    }

    /// Reads a frame that there is no buffer for, so that the device does not stay readable.
    fn discard(&mut self) -> io::Result<usize> {
        let octets = self.tap.receive(&mut [0; VNET_HEADER_OCTETS], &mut [0; 64])?;
        self.counters.rx_no_buffer += 1;
        Ok(octets)
    }
}

impl Port for TapPort {
    fn receive(&mut self, batch: &mut Batch, pool: &mut Pool) -> Result<usize, PortError> {
        let before = batch.len();
        // The big buffer that the next frame is read into. It goes back with the last one: there are more TAPs than big buffers where each
        // attachment has one.
        let mut spare = None;
        let (mut failed, mut octets) = (None, 0);
        // As many reads as there are places, so that frames that are dropped here cannot keep us here.
        for _ in before..batch.capacity() {
            match self.read(batch, &mut spare, pool) {
                Ok(_) => octets += batch.last().map_or(0, Frame::share),
                Err(error) => {
                    failed = kernel::port_error(&error);
                    break;
                }
            }
            if octets >= BATCH_OCTETS {
                break;
            }
        }
        spare.into_iter().for_each(|spare| pool.give(spare));
        match failed {
            // What came before the failure is still good.
            Some(failed) if batch.len() == before => Err(failed),
            _ => Ok(batch.len() - before),
        }
    }

    fn send(&mut self, frames: &mut Vec<Frame>, pool: &mut Pool) -> Result<(), PortError> {
        let mut failed = None;
        for frame in frames.drain(..) {
            let sent = match failed {
                None => self.tap.send(&kernel::header(&frame), &frame.buf),
                Some(_) => Err(io::ErrorKind::Interrupted.into()),
            };
            match sent {
                Ok(()) => {
                    self.counters.tx_frames += 1;
                    self.counters.tx_octets += kernel::octets(&frame);
                }
                Err(error) => {
                    self.counters.tx_refused += 1;
                    // A refused frame is the frame's fault (`EINVAL`) unless it is the device's.
                    let lasting = |e: &PortError| matches!(e, PortError::Down | PortError::Gone);
                    failed = failed.or_else(|| kernel::port_error(&error).filter(lasting));
                }
            }
            pool.recycle(frame);
        }
        failed.map_or(Ok(()), Err)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.tap.as_fd())
    }

    fn caps(&self) -> PortCaps {
        PortCaps { offload: true, udp_segments: self.tap.takes_udp_trains(), flows: false }
    }

    fn kind(&self) -> PortKind {
        PortKind::Tap
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }

    fn heirloom(&self) -> io::Result<Option<Heirloom>> {
        let descriptors = vec![self.tap.as_fd().try_clone_to_owned()?];
        let facts = if self.several { SEVERAL } else { SINGLE };
        Ok(Some(Heirloom { descriptors, facts: facts.to_owned() }))
    }
}

/// What the [`Heirloom`] of a TAP with a single queue says; the device itself knows the rest.
pub const SINGLE: &str = "tap";
/// What that of one with several says.
pub const SEVERAL: &str = "tap with queues";
