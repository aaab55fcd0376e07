//! Sending many frames with one system call and no socket buffer: the kernel runs our program on frames of its own making, as many as
//! we say, and the program fills each one from memory that it shares with us and sends it by the driver's bulk transmit (kernel documentation,
//! bpf/bpf_prog_run, "live packet mode").
//!
//! On veth this costs a third to a fourth of what a socket's frame does: no buffer is made for each frame, and the other end
//! is woken once for 64 of them and not 64 times. A call has its price, though, so few frames are not sent so, and those of several devices
//! may share one ([`Bulk`]): each entry says by which device it leaves. The frames are memory of a pool that lives as long as the
//! call; so this is for devices that have delivered when they return. Where a NIC sends later, its pools would pile up.
//!
//! The program must be on a device already: the kernel then has it in the table that its calls go by. If it has not (there is
//! room for 48 in all, and a device that is deleted takes its program along), it would rewrite that table twice for each call, which takes tens of
//! milliseconds. So after a slow call it is the next device's program's turn; one that was slow again and again has no turn any more, and with the last
//! of them it ends.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::{
    BPF_F_MMAPABLE, BPF_F_TEST_XDP_LIVE_FRAMES, BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_DEVMAP, BPF_PROG_TEST_RUN,
    Request, assemble, create_map, pointer_to, raw, remove_entry, set_entry,
};
use crate::mmap::Mapping;

/// Frames of one call.
const AT_ONCE: u32 = 256;
/// Frames that are sent before the devices deliver. A veth's queue holds 256.
const BATCH: u32 = 64;
/// Octets of an entry: its head, and the frame.
const ENTRY: u32 = 2048;
/// Where the frame begins in it. In front of it stands a word: the frame's length, and above 16 bits the device.
pub(super) const TEXT: u8 = 4;
/// Octets of the longest frame, and of the shortest: an Ethernet header.
pub(super) const MOST: u16 = 2044;
pub(super) const LEAST: u8 = 14;
/// Devices that may share calls.
const DEVICES: usize = 64;
/// A call as slow as this is one that rewrote the kernel's table, or one that was interrupted; so many by one program, and none that was quick, are no
/// accident.
const SLOW: Duration = Duration::from_millis(4);
const SLOW_CALLS: u8 = 8;
/// Times that a signal may interrupt one call's work.
const PATIENCE: u32 = 64;

/// What devices share whose frames leave with the same calls: one for each thread that sends.
#[derive(Clone)]
pub struct Bulk(Arc<Mutex<Shared>>);

struct Shared {
    maps: [OwnedFd; 3],
    state: Mapping,
    frames: Mapping,
    /// The programs of the devices that are on it, by their place in the map of devices.
    programs: [Option<Runnable>; DEVICES],
    /// Places that were given out.
    taken: u64,
    /// Whose program is run.
    runs: usize,
    /// Entries that wait for a call.
    waiting: u32,
    /// Frames that no call has sent.
    lost: [u64; DEVICES],
    ended: bool,
}

/// A program that is on a device, and how many of its calls were slow in a row.
struct Runnable {
    program: OwnedFd,
    slow: u8,
}

impl Bulk {
    /// Memory and maps, of half a mebibyte.
    ///
    /// # Errors
    /// `EPERM` without `CAP_BPF`, `ENOMEM`, `EINVAL` on kernels before 5.5.
    pub fn new() -> io::Result<Self> {
        let map = |value, entries| create_map(BPF_MAP_TYPE_ARRAY, value, entries, BPF_F_MMAPABLE);
        let (state, frames) = (map(8, 1)?, map(ENTRY, AT_ONCE)?);
        let devices = create_map(BPF_MAP_TYPE_DEVMAP, 4, u32::try_from(DEVICES).unwrap_or(0), 0)?;
        let octets = usize::try_from(AT_ONCE * ENTRY).map_err(io::Error::other)?;
        Ok(Self(Arc::new(Mutex::new(Shared {
            state: Mapping::new(state.as_fd(), 8)?,
            frames: Mapping::new(frames.as_fd(), octets)?,
            maps: [state, frames, devices],
            programs: [const { None }; DEVICES],
            taken: 0,
            runs: 0,
            waiting: 0,
            lost: [0; DEVICES],
            ended: false,
        }))))
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Nothing in there is half done when somebody panics, but for frames that wait.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Bulk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulk").finish_non_exhaustive()
    }
}

/// What became of frames that were to be sent.
#[derive(Debug)]
#[must_use = "frames after `taken` were not sent"]
pub struct BulkSent {
    /// How many frames from the front were taken. What a device had no room for, or what was too long for the other end, it dropped, up
    /// to 15 others with it, and counts (`tx_dropped`, and `xdp_xmit_err` of `ethtool -S`). What was taken for a device that went away since, or whose
    /// other end takes it no more, nobody counts.
    pub taken: usize,
    /// Why a call failed: nothing is sent so any more, by none of the devices, until another one joins, and what still waited is
    /// [lost](BulkSender::lost).
    pub stopped: Option<io::Error>,
}

/// One device's part of a [`Bulk`]. It leaves it when dropped.
#[derive(Debug)]
pub struct BulkSender {
    bulk: Bulk,
    place: usize,
}

impl BulkSender {
    /// Octets of the longest frame that it sends.
    pub const LONGEST: usize = 2044;
    /// Fewer frames than this in a call, all devices together, are cheaper by a socket: the kernel makes, prepares and frees 64 frames
    /// for each call, which takes as long as ten by a socket.
    pub const WORTH: usize = 12;

    /// A place in `bulk` for the device with this index in the calling thread's network namespace: wherever a thread is that has the
    /// program run, frames leave by this device.
    ///
    /// # Errors
    /// `ENOSPC` when there are 64 devices; `EINVAL` without that device.
    pub(crate) fn new(bulk: &Bulk, device: u32) -> io::Result<Self> {
        let mut shared = bulk.lock();
        let place = usize::try_from(shared.taken.trailing_ones()).unwrap_or(DEVICES);
        let Some(lost) = shared.lost.get_mut(place) else {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        };
        *lost = 0;
        let [_, _, devices] = &shared.maps;
        set_entry(devices.as_fd(), u32::try_from(place).map_err(io::Error::other)?, device)?;
        shared.taken |= 1 << place;
        drop(shared);
        Ok(Self { bulk: bulk.clone(), place })
    }

    /// What a program that sends needs to know.
    pub(super) fn maps(&self) -> assemble::Bulk {
        let shared = self.bulk.lock();
        let [state, frames, devices] = shared.maps.each_ref().map(|map| raw(map.as_fd()));
        assemble::Bulk { state, frames, devices }
    }

    /// From now on calls may run this device's program, which is on it. If calls failed before, that is forgotten.
    pub(crate) fn runs(&self, program: OwnedFd) {
        let mut shared = self.bulk.lock();
        shared.ended = false;
        if let Some(place) = shared.programs.get_mut(self.place) {
            *place = Some(Runnable { program, slow: 0 });
        }
    }

    /// Sends frames from the front, and all that waits, until there are too few left to be worth it, or one is longer than
    /// [`Self::LONGEST`] or shorter than an Ethernet header.
    pub fn send<'a>(&mut self, frames: impl ExactSizeIterator<Item = &'a [u8]>) -> BulkSent {
        let few = frames.len() % usize::try_from(AT_ONCE).unwrap_or(1);
        let worth = if few < Self::WORTH { frames.len() - few } else { frames.len() };
        let put = self.put(frames.take(worth));
        BulkSent { taken: put.taken, stopped: put.stopped.or_else(|| self.flush()) }
    }

    /// Has frames from the front wait for a call with those of the other devices, until one is longer than [`Self::LONGEST`] or shorter
    /// than an Ethernet header. Calls are made as the memory for them is full; the last of them with [`Self::flush`].
    pub fn put<'a>(&mut self, frames: impl Iterator<Item = &'a [u8]>) -> BulkSent {
        let mut shared = self.bulk.lock();
        let mut taken = 0;
        for frame in frames {
            if shared.ended || !(usize::from(LEAST)..=Self::LONGEST).contains(&frame.len()) {
                break;
            }
            shared.put(self.place, frame);
            taken += 1;
            if shared.waiting == AT_ONCE
                && let Some(stopped) = shared.run()
            {
                return BulkSent { taken, stopped: Some(stopped) };
            }
        }
        BulkSent { taken, stopped: None }
    }

    /// Sends all that waits, by whichever device. Why not, if so.
    pub fn flush(&mut self) -> Option<io::Error> {
        self.bulk.lock().run()
    }

    /// Frames of this device that were taken and not sent, because a call failed.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.bulk.lock().lost.get(self.place).copied().unwrap_or(0)
    }

    /// Whether calls failed: it takes nothing any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.bulk.lock().ended
    }
}

impl Drop for BulkSender {
    fn drop(&mut self) {
        let mut shared = self.bulk.lock();
        let own = shared.programs.get_mut(self.place).and_then(Option::take);
        // The device may be gone, and its program slow. It is the last resort.
        if shared.program().is_none()
            && let Some(place) = shared.programs.get_mut(self.place)
        {
            *place = own;
        }
        let _flushed = shared.run();
        if let Some(program) = shared.programs.get_mut(self.place) {
            *program = None;
        }
        shared.ended |= shared.program().is_none();
        let [_, _, devices] = &shared.maps;
        // A device that is gone has left the map by itself.
        let _removed = remove_entry(devices.as_fd(), u32::try_from(self.place).unwrap_or(u32::MAX));
        shared.taken &= !(1 << self.place);
    }
}

impl Shared {
    /// Copies a frame into the next entry; there is one.
    fn put(&mut self, place: usize, frame: &[u8]) {
        let at = usize::try_from(self.waiting * ENTRY).unwrap_or(usize::MAX);
        self.frames.put(at, libc::c_int::try_from(frame.len() | place << 16).unwrap_or(0));
        // SAFETY: the program reads entries only while `run` has it run, which needs `self` exclusively.
        if let Some(text) = unsafe { self.frames.bytes_mut(at + usize::from(TEXT), frame.len()) } {
            text.copy_from_slice(frame);
        }
        self.waiting += 1;
    }

    /// How many entries the program has taken since the last call began.
    fn done(&self) -> u32 {
        self.state.word(0).map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Has a program run for the entries that wait, and says why not.
    fn run(&mut self) -> Option<io::Error> {
        let count = core::mem::take(&mut self.waiting);
        if count == 0 {
            return None;
        }
        self.state.word(0).inspect(|word| word.store(0, Ordering::Release));
        let began = now();
        let result = self.request(count);
        self.count_lost(count);
        self.took(now().saturating_sub(began));
        let why = result.err().or_else(|| self.program().is_none().then(|| io::ErrorKind::TimedOut.into()));
        self.ended |= why.is_some();
        why
    }

    /// Has a program run until it has taken `count` entries.
    fn request(&mut self, count: u32) -> io::Result<()> {
        let empty = [0_u8; 14];
        for _ in 0..PATIENCE {
            let left = count.saturating_sub(self.done());
            if left == 0 {
                break;
            }
            let program = self.program().ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
            let mut request = Request::new();
            request.put(0, &program.to_ne_bytes());
            request.put(8, &u32::from(LEAST).to_ne_bytes());
            request.put(16, &pointer_to(&empty));
            for (at, word) in [(32, left), (64, BPF_F_TEST_XDP_LIVE_FRAMES), (72, BATCH)] {
                request.put(at, &word.to_ne_bytes());
            }
            match request.call(BPF_PROG_TEST_RUN) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => drop(result?),
            }
        }
        Ok(())
    }

    /// The program to run: whose turn it is, or else the next one's behind it.
    fn program(&mut self) -> Option<i32> {
        let from = |at: &usize| (at + DEVICES - self.runs) % DEVICES;
        let there = self.programs.iter().enumerate().filter_map(|(at, one)| one.as_ref().map(|_| at));
        self.runs = there.min_by_key(from)?;
        self.programs.get(self.runs)?.as_ref().map(|one| raw(one.program.as_fd()))
    }

    /// What a call took decides whose turn is next.
    fn took(&mut self, time: Duration) {
        let Some(place) = self.programs.get_mut(self.runs) else { return };
        let Some(one) = place else { return };
        one.slow = if time > SLOW { one.slow + 1 } else { 0 };
        if one.slow >= SLOW_CALLS {
            *place = None;
        }
        if time > SLOW {
            self.runs = (self.runs + 1) % DEVICES;
        }
    }

    /// Counts what the program has not taken of `count` entries.
    fn count_lost(&mut self, count: u32) {
        for entry in self.done()..count {
            let head: Option<libc::c_int> =
                self.frames.copy(usize::try_from(entry * ENTRY).unwrap_or(usize::MAX));
            let place = head.and_then(|head| usize::try_from(head >> 16).ok());
            if let Some(lost) = place.and_then(|place| self.lost.get_mut(place)) {
                *lost += 1;
            }
        }
    }
}

fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface;
    use crate::testbed::in_new_namespace;

    const QUICK: Duration = Duration::from_micros(50);
    const TOO_SLOW: Duration = Duration::from_millis(30);

    #[test]
    fn after_a_slow_call_it_is_the_next_programs_turn_and_one_that_is_always_slow_has_none() {
        in_new_namespace(|bed| {
            bed.veth("a", "b");
            let bulk = Bulk::new().unwrap();
            // Whatever can be held stands for a program: none is run here.
            let program = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
            let join = |name| {
                let sender = BulkSender::new(&bulk, interface::index(name).unwrap()).unwrap();
                sender.runs(program());
                sender
            };
            let (first, second) = (join("a"), join("b"));
            let turn = |took| {
                let mut shared = bulk.lock();
                assert!(shared.program().is_some());
                shared.took(took);
                let _next = shared.program();
                shared.runs
            };
            assert_eq!([QUICK, QUICK, TOO_SLOW, QUICK, TOO_SLOW].map(turn), [0, 0, 1, 1, 0]);
            // One of them is always slow, the other never: soon it is always the other's turn.
            for _ in 0..3 * SLOW_CALLS {
                let at = bulk.lock().runs;
                turn(if at == 0 { TOO_SLOW } else { QUICK });
            }
            assert_eq!(bulk.lock().runs, 1);
            // When both always are, each has its turns, and then nobody has.
            let mut calls = 0;
            while bulk.lock().program().is_some() {
                turn(TOO_SLOW);
                calls += 1;
            }
            assert_eq!(calls, 2 * SLOW_CALLS - 2, "the first one was slow twice before");
            // Another one joins and leaves: the others have no program still, and nothing is taken that could not be sent.
            drop(join("a"));
            assert!(first.has_ended() && second.has_ended());
            let third = join("a");
            assert!(!first.has_ended() && !third.has_ended());
        });
    }
}
