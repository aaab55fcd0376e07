//! Sending many frames with one system call and no socket buffer: the kernel runs our program on frames of its own making, as many as
//! we say, and the program fills each one from memory that it shares with us and sends it by the driver's bulk transmit (kernel documentation,
//! bpf/bpf_prog_run, "live packet mode").
//!
//! On veth this costs a third to a fourth of what a socket's frame does: no buffer is made for each frame, and the other end
//! is woken once for 64 of them and not 64 times. A call has its price, though, so few frames are not sent so. The frames are memory of a pool that lives as long as the
//! call; so this is for devices that have delivered when they return. Where a NIC sends later, its pools would pile up.
//!
//! The program must be on a device already: the kernel then has it in the table that its calls go by. If it has not (there is
//! room for 48 in all), it would rewrite that table twice for each call, which takes tens of milliseconds: calls that are slow again and
//! again end it ([`BulkSent::stopped`]).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::{
    BPF_F_MMAPABLE, BPF_F_TEST_XDP_LIVE_FRAMES, BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_DEVMAP, BPF_PROG_TEST_RUN,
    Request, assemble, create_map, pointer_to, raw, set_entry,
};
use crate::mmap::Mapping;

/// Frames of one call.
const AT_ONCE: u32 = 128;
/// Frames that are sent before the device delivers. A veth's queue holds 256.
const BATCH: u32 = 64;
/// Octets of an entry: the length, and the frame.
const ENTRY: u32 = 2048;
/// Where the frame begins in it.
pub(super) const TEXT: u8 = 4;
/// Octets of the longest frame, and of the shortest: an Ethernet header.
pub(super) const MOST: u16 = 2044;
pub(super) const LEAST: u8 = 14;
/// A call as slow as this is one that rewrote the kernel's table, or one that was interrupted; so many in a row are no accident.
const SLOW: Duration = Duration::from_millis(4);
const SLOW_CALLS: u32 = 8;
/// Times that a signal may interrupt one call's work.
const PATIENCE: u32 = 64;

/// Memory that the program and we share.
#[derive(Debug)]
pub(crate) struct BulkMaps {
    state: OwnedFd,
    frames: OwnedFd,
    /// The device to send by: the one of this number here and now, wherever the thread is that has the program run.
    device: OwnedFd,
}

impl BulkMaps {
    /// To send by the device with this index in the calling thread's network namespace.
    ///
    /// # Errors
    /// `EPERM` without `CAP_BPF`, `ENOMEM`, `EINVAL` on kernels before 5.5 or without that device.
    pub(crate) fn new(device: u32) -> io::Result<Self> {
        let map = |value, entries| create_map(BPF_MAP_TYPE_ARRAY, value, entries, BPF_F_MMAPABLE);
        let devices = create_map(BPF_MAP_TYPE_DEVMAP, 4, 1, 0)?;
        set_entry(devices.as_fd(), 0, device)?;
        Ok(Self { state: map(8, 1)?, frames: map(ENTRY, AT_ONCE)?, device: devices })
    }

    pub(super) fn bulk(&self) -> assemble::Bulk {
        let [state, frames, device] = [&self.state, &self.frames, &self.device].map(|map| raw(map.as_fd()));
        assemble::Bulk { state, frames, device }
    }
}

/// What became of frames that were to be sent.
#[derive(Debug)]
#[must_use = "frames after `taken` were not sent"]
pub struct BulkSent {
    /// How many frames from the front the device was given. What it had no room for, or what was too long for the other end, it dropped, up
    /// to 15 others with it, and counts (`tx_dropped`, and `xdp_xmit_err` of `ethtool -S`).
    pub taken: usize,
    /// Why no more; whoever is told should send otherwise from now on.
    pub stopped: Option<io::Error>,
}

/// Sends by a program that is on a device.
#[derive(Debug)]
pub struct BulkSender {
    program: OwnedFd,
    state: Mapping,
    frames: Mapping,
    slow: u32,
}

impl BulkSender {
    /// Octets of the longest frame that it sends.
    pub const LONGEST: usize = 2044;
    /// Fewer frames than this are cheaper by a socket: the kernel makes, prepares and frees 64 frames for each call, which takes as long as
    /// ten by a socket.
    pub const WORTH: usize = 12;

    /// With the maps that `program` was made with.
    ///
    /// # Errors
    /// Whatever `mmap` answers.
    pub(crate) fn new(program: OwnedFd, maps: &BulkMaps) -> io::Result<Self> {
        let octets = usize::try_from(AT_ONCE * ENTRY).map_err(io::Error::other)?;
        let (state, frames) =
            (Mapping::new(maps.state.as_fd(), 8)?, Mapping::new(maps.frames.as_fd(), octets)?);
        Ok(Self { program, state, frames, slow: 0 })
    }

    /// Sends frames from the front, until there are too few left to be worth it, or one is longer than [`Self::LONGEST`] or shorter than an
    /// Ethernet header.
    pub fn send<'a>(&mut self, frames: impl ExactSizeIterator<Item = &'a [u8]>) -> BulkSent {
        let fits = |frame: &&[u8]| (usize::from(LEAST)..=Self::LONGEST).contains(&frame.len());
        let (all, mut frames, mut taken) = (frames.len(), frames.take_while(fits), 0);
        while all - taken >= Self::WORTH {
            let count = self.put(&mut frames);
            if count == 0 {
                break;
            }
            let stopped = self.run(count).err();
            let done = self.done().min(count);
            taken += usize::try_from(done).unwrap_or(0);
            if stopped.is_some() || done < count {
                return BulkSent { taken, stopped };
            }
        }
        BulkSent { taken, stopped: None }
    }

    /// Copies as many frames as one call sends.
    fn put<'a>(&mut self, frames: &mut impl Iterator<Item = &'a [u8]>) -> u32 {
        let mut count = 0;
        while count < AT_ONCE
            && let Some(frame) = frames.next()
        {
            let at = usize::try_from(count * ENTRY).unwrap_or(usize::MAX);
            self.frames.put(at, libc::c_int::try_from(frame.len()).unwrap_or(0));
            // SAFETY: the program reads entries only while `run` has it run, which is not now.
            if let Some(text) = unsafe { self.frames.bytes_mut(at + usize::from(TEXT), frame.len()) } {
                text.copy_from_slice(frame);
            }
            count += 1;
        }
        count
    }

    /// How many entries the program has taken since the last call began.
    fn done(&self) -> u32 {
        self.state.word(0).map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Has the program run for the first `count` entries.
    fn run(&mut self, count: u32) -> io::Result<()> {
        self.state.word(0).inspect(|word| word.store(0, Ordering::Release));
        let began = now();
        for _ in 0..PATIENCE {
            let left = count.saturating_sub(self.done());
            if left == 0 {
                break;
            }
            match self.request(left) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => result?,
            }
        }
        self.slow = if now().saturating_sub(began) > SLOW { self.slow + 1 } else { 0 };
        if self.slow >= SLOW_CALLS {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        Ok(())
    }

    fn request(&self, count: u32) -> io::Result<()> {
        let empty = [0_u8; 14];
        let mut request = Request::new();
        request.put(0, &raw(self.program.as_fd()).to_ne_bytes());
        request.put(8, &u32::from(LEAST).to_ne_bytes());
        request.put(16, &pointer_to(&empty));
        for (at, word) in [(32, count), (64, BPF_F_TEST_XDP_LIVE_FRAMES), (72, BATCH)] {
            request.put(at, &word.to_ne_bytes());
        }
        request.call(BPF_PROG_TEST_RUN).map(drop)
    }
}

fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}
