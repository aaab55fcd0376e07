//! Waiting for many descriptors at once, with a deadline and a way to be woken (epoll(7), eventfd(2)).
//!
//! The deadline has nanoseconds: `epoll_pwait2` where the kernel has it (5.11), a timer descriptor in the same epoll
//! set where not. `epoll_wait` alone would round up to a millisecond, which is too coarse for BFD.
#![expect(unsafe_code, reason = "epoll_pwait2 has no wrapper")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use libc::{c_int, c_long};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{ClockNanosleepFlags, clock_nanosleep};

/// One descriptor that has something for us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ready {
    /// What the descriptor was added with.
    pub token: u64,
    /// There is something to take.
    pub readable: bool,
    /// There is room to give.
    pub writable: bool,
    /// It has an error or was hung up; ask the descriptor which.
    pub failed: bool,
}

/// A set of descriptors to wait for.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
    events: Box<[EpollEvent]>,
    /// Only on kernels without `epoll_pwait2`.
    timer: Option<TimerFd>,
}

impl Poller {
    /// An empty set.
    ///
    /// # Errors
    /// `EMFILE` and the like.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll, events: vec![EpollEvent::empty(); EVENTS].into_boxed_slice(), timer: None })
    }

    /// Waits for `fd` to become readable from now on, and calls it `token`. Errors are always waited for.
    ///
    /// A closed descriptor leaves the set by itself once no copy of it is open.
    ///
    /// # Errors
    /// `EEXIST` when it is in the set, `EPERM` when it is a plain file, `EINVAL` for the token `u64::MAX`.
    pub fn add(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        if token == TIMER {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        Ok(self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token))?)
    }

    /// Waits for `fd`, which is in the set, to become writable as well (`true`), or for readable only.
    ///
    /// # Errors
    /// `ENOENT` when it is not in the set.
    pub fn set_writable(&self, fd: impl AsFd, token: u64, writable: bool) -> io::Result<()> {
        let more = if writable { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
        Ok(self.epoll.modify(fd, &mut EpollEvent::new(EpollFlags::EPOLLIN | more, token))?)
    }

    /// Takes `fd` out of the set.
    ///
    /// # Errors
    /// `ENOENT` when it is not in the set.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// Waits until a descriptor has something or `timeout` has passed (`None`: however long), and fills `ready`.
    ///
    /// `ready` is emptied first and stays empty on timeout and when a signal interrupts. It holds at most 64 at once;
    /// the others come with the next call. A timeout of zero only looks.
    ///
    /// # Errors
    /// Whatever the kernel answers; none is expected.
    pub fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        ready.clear();
        let count = match self.wait_for_events(timeout) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        };
        let events = self.events.iter().take(count).filter(|event| event.data() != TIMER);
        ready.extend(events.map(|event| {
            let flags = event.events();
            Ready {
                token: event.data(),
                readable: flags.contains(EpollFlags::EPOLLIN),
                writable: flags.contains(EpollFlags::EPOLLOUT),
                failed: flags.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP),
            }
        }));
        Ok(())
    }

    fn wait_for_events(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        if self.timer.is_none() {
            match self.pwait2(timeout) {
                Err(e) if e.raw_os_error() == Some(libc::ENOSYS) => self.use_timer()?,
                result => return result,
            }
        }
        self.wait_with_timer(timeout)
    }

    fn pwait2(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let limit = timeout.map(TimeSpec::from);
        let limit_pointer = limit.as_ref().map_or(std::ptr::null(), |l| std::ptr::from_ref(l.as_ref()));
        let room = c_int::try_from(self.events.len()).map_err(io::Error::other)?;
        let no_signals: *const libc::sigset_t = std::ptr::null();
        let events: *mut libc::epoll_event = self.events.as_mut_ptr().cast();
        // SAFETY: `EpollEvent` is a transparent epoll_event, and `room` of them are ours to be written; the time limit
        // is null or points to `limit`, which outlives the call; without a signal set its size is not looked at.
        let count: c_long = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.0.as_raw_fd(),
                events,
                room,
                limit_pointer,
                no_signals,
                0usize,
            )
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    fn use_timer(&mut self) -> io::Result<()> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        self.epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        self.timer = Some(timer);
        Ok(())
    }

    /// Arms the timer, which also clears an older expiry, and waits for it with everything else.
    fn wait_with_timer(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let mut coarse = EpollTimeout::NONE;
        if let Some(timer) = &self.timer {
            match timeout {
                Some(Duration::ZERO) => coarse = EpollTimeout::ZERO,
                Some(limit) => {
                    timer.set(Expiration::OneShot(TimeSpec::from(limit)), TimerSetTimeFlags::empty())?;
                }
                None => timer.unset()?,
            }
        }
        Ok(self.epoll.wait(&mut self.events, coarse)?)
    }
}

impl AsFd for Poller {
    /// Readable while any descriptor of the set is: a set may be in another set.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

/// Sleeps for `pause`, whatever comes in.
///
/// A thread that waits in [`Poller::wait`] is woken for the first frame, and so for nearly each one when it is faster
/// than they come; waking costs both sides more than the frame. A worker that found frames and emptied its ports may
/// rest some tens of microseconds before it waits again: the next frames gather meanwhile, as with the interrupt
/// moderation of a NIC. `examples/packet_rates.rs` measures what that brings. Timers of a thread are late by up to
/// its slack, 50 us by default; see [`crate::process::set_timer_slack`].
pub fn rest(pause: Duration) {
    let flags = ClockNanosleepFlags::empty();
    // The only failures are a signal, which ends the rest early, and a pause too long for the kernel.
    let _ = clock_nanosleep(nix::time::ClockId::CLOCK_MONOTONIC, flags, &TimeSpec::from(pause));
}

/// Wakes a [`Poller`] from another thread. Clones wake the same one.
#[derive(Clone, Debug)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// A waker for `poller`, which will report `token` as readable until [`Waker::reset`].
    ///
    /// # Errors
    /// As [`Poller::add`].
    pub fn new(poller: &Poller, token: u64) -> io::Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        poller.add(&event, token)?;
        Ok(Self(Arc::new(event)))
    }

    /// Wakes the poller now, or lets its next wait return at once. Many calls before a reset are as one.
    pub fn wake(&self) {
        // The only failure is a counter that is full, and then the poller is being woken already.
        let _ = self.0.write(1);
    }

    /// Lets the poller sleep again. Call it before looking at what the waker stands for, so that no wake is lost.
    pub fn reset(&self) {
        // The only failure is that there was nothing to reset.
        let _ = self.0.read();
    }
}

/// How many events one wait takes from the kernel.
const EVENTS: usize = 64;
/// The token of the fallback timer.
const TIMER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "the claim under test is about real time")]
    fn elapsed(mut wait: impl FnMut()) -> Duration {
        let start = Instant::now();
        wait();
        start.elapsed()
    }

    fn both() -> [Poller; 2] {
        let mut with_timer = Poller::new().unwrap();
        with_timer.use_timer().unwrap();
        [Poller::new().unwrap(), with_timer]
    }

    #[test]
    fn a_timeout_is_kept_to_less_than_a_millisecond_too_early_never() {
        for mut poller in both() {
            let mut ready = Vec::new();
            let limit = Duration::from_micros(1300);
            let took = elapsed(|| poller.wait(&mut ready, Some(limit)).unwrap());
            assert!(took >= limit, "{took:?}");
            assert!(ready.is_empty(), "{ready:?}");
            let best =
                (0..20).map(|_| elapsed(|| poller.wait(&mut ready, Some(limit)).unwrap())).min().unwrap();
            assert!(best < Duration::from_millis(2), "rounded up to whole milliseconds: {best:?}");
            let looked = elapsed(|| poller.wait(&mut ready, Some(Duration::ZERO)).unwrap());
            assert!(looked < Duration::from_secs(1));
        }
    }

    #[test]
    fn a_rest_is_not_cut_short_and_with_little_slack_hardly_late() {
        crate::process::set_timer_slack(Duration::from_nanos(1)).unwrap();
        let pause = Duration::from_micros(40);
        let times: Vec<_> = (0..50).map(|_| elapsed(|| rest(pause))).collect();
        assert!(times.iter().all(|t| *t >= pause), "{times:?}");
        assert!(times.iter().min() < Some(&Duration::from_millis(1)), "{times:?}");
    }

    #[test]
    fn what_is_ready_is_named_by_its_token_until_it_is_taken_out() {
        for mut poller in both() {
            let (mut near, far) = UnixStream::pair().unwrap();
            let mut ready = Vec::new();
            poller.add(&far, 7).unwrap();
            poller.add(&far, 8).expect_err("twice");
            poller.add(&near, u64::MAX).expect_err("the timer's token");
            near.write_all(b"x").unwrap();
            poller.wait(&mut ready, None).unwrap();
            assert_eq!(ready, [Ready { token: 7, readable: true, writable: false, failed: false }]);
            poller.set_writable(&far, 9, true).unwrap();
            poller.wait(&mut ready, None).unwrap();
            assert_eq!(ready, [Ready { token: 9, readable: true, writable: true, failed: false }]);
            drop(near);
            poller.wait(&mut ready, None).unwrap();
            assert!(ready.iter().all(|r| r.failed), "{ready:?}");
            poller.remove(&far).unwrap();
            poller.wait(&mut ready, Some(Duration::ZERO)).unwrap();
            assert_eq!(ready, []);
        }
    }

    #[test]
    fn a_waker_wakes_from_another_thread_and_only_until_reset() {
        for mut poller in both() {
            let waker = Waker::new(&poller, 3).unwrap();
            let mut ready = Vec::new();
            let other = waker.clone();
            std::thread::scope(|s| {
                s.spawn(move || (0..3).for_each(|_| other.wake()));
                poller.wait(&mut ready, None).unwrap();
            });
            assert_eq!(ready, [Ready { token: 3, readable: true, writable: false, failed: false }]);
            waker.reset();
            poller.wait(&mut ready, Some(Duration::from_millis(1))).unwrap();
            assert_eq!(ready, []);
            waker.wake();
            poller.wait(&mut ready, None).unwrap();
            assert_eq!(ready.len(), 1, "woken before the wait began");
        }
    }
}
