//! Attachments that come and go: one that was lost again and again waits before it carries traffic, longer each time.
//!
//! Each time that an attachment is lost its flows move, and some frames may be lost; each time it returns they move back. Up to
//! [`FREE`] losses within [`MEMORY`] it returns at once, as ever. Beyond that it is held back for a second, doubled with each further loss, for
//! [`LONGEST`] at most ([`crate::Fault::Flapping`]). What is held back is a reserve: it carries what has no other way.

use core::time::Duration;
use std::collections::VecDeque;

use net::Instant;

/// Losses within [`MEMORY`] that are forgiven.
pub const FREE: usize = 5;
/// Losses longer ago than this do not count.
pub const MEMORY: Duration = Duration::from_secs(60);
/// The longest that an attachment is held back.
pub const LONGEST: Duration = Duration::from_secs(60);
/// Losses that are remembered: as many as it takes to be held back longest.
const REMEMBERED: usize = FREE + 7;

/// What an attachment went through lately.
#[derive(Clone, Debug)]
pub struct Damper {
    /// When it was lost, the oldest first.
    losses: VecDeque<Instant>,
    broken: bool,
    until: Option<Instant>,
}

impl Default for Damper {
    /// Of one that was not there yet: its first coming is no return.
    fn default() -> Self {
        Self { losses: VecDeque::with_capacity(REMEMBERED), broken: true, until: None }
    }
}

impl Damper {
    /// Takes note of whether the attachment is broken now. `Some` when it returns but is held back: for how long.
    pub fn note(&mut self, broken: bool, now: Instant) -> Option<Duration> {
        if core::mem::replace(&mut self.broken, broken) == broken {
            return None;
        }
        if broken {
            if self.losses.len() == REMEMBERED {
                self.losses.pop_front();
            }
            self.losses.push_back(now);
            self.until = None;
            return None;
        }
        while self.losses.front().is_some_and(|lost| now.since(*lost) > MEMORY) {
            self.losses.pop_front();
        }
        let times = u32::try_from(self.losses.len().checked_sub(FREE + 1)?).unwrap_or(u32::MAX);
        let hold = Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(times)).min(LONGEST);
        self.until = Some(now.after(hold));
        Some(hold)
    }

    /// Whether it is held back at `now`.
    pub fn holds(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Until when it is held back.
    pub const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Losses that count now.
    pub fn losses(&self) -> usize {
        self.losses.len()
    }

    /// Lets it go when its time is over. True when that is news.
    pub fn release(&mut self, now: Instant) -> bool {
        self.until.take_if(|until| *until <= now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lost and back once every other second: for how long it is held back each time.
    fn holds(damper: &mut Damper, times: u64, begin: u64) -> Vec<u64> {
        let each = (0..times).map(|at| {
            let lost = Instant::from_nanos((begin + 2 * at) * 1_000_000_000);
            assert_eq!(damper.note(true, lost), None);
            damper.note(false, lost.after(Duration::from_millis(100))).map_or(0, |hold| hold.as_secs())
        });
        each.collect()
    }

    #[test]
    fn who_is_lost_again_and_again_waits_longer_each_time_and_is_forgiven_after_a_minute() {
        let mut damper = Damper::default();
        assert_eq!(damper.note(false, Instant::ZERO), None, "the first coming is no return");
        assert_eq!(holds(&mut damper, 14, 10), [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(holds(&mut damper, 2, 200), [0, 0]);
    }

    #[test]
    fn its_time_ends_once_and_a_loss_ends_it_too() {
        let mut damper = Damper::default();
        damper.note(false, Instant::ZERO);
        holds(&mut damper, 6, 10);
        let until = damper.until().unwrap();
        assert!(damper.holds(Instant::ZERO) && !damper.holds(until));
        assert!(!damper.release(Instant::ZERO) && damper.release(until) && !damper.release(until));
        holds(&mut damper, 1, 30);
        damper.note(true, Instant::from_nanos(31_000_000_000));
        assert_eq!(damper.until(), None);
    }
}
