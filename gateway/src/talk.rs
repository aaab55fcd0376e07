//! What is logged of something that may change as often as it likes: each change, unless they come too fast. Then a line stands for all
//! since the one before, and the last one is told once it is quiet.

use core::time::Duration;

use dataplane::icmp::RateLimiter;
use net::Instant;

/// Changes that are logged in a second, and at once.
const LINES: (u32, u32) = (1, 10);
/// After so long without another one the last is logged, if it was not.
const QUIET: Duration = Duration::from_secs(2);

/// Changes of one thing, each of which is a `T`.
#[derive(Debug)]
pub(crate) struct Talk<T> {
    limit: RateLimiter,
    unsaid: u64,
    /// The last one, and when it was, while it is not logged.
    last: Option<(Instant, T)>,
}

impl<T> Default for Talk<T> {
    fn default() -> Self {
        let (per_second, burst) = LINES;
        Self { limit: RateLimiter::new(per_second, burst), unsaid: 0, last: None }
    }
}

impl<T: Clone> Talk<T> {
    /// This happened. `Some` when it is to be logged: for how many the line stands.
    pub(crate) fn tell(&mut self, what: &T, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if self.limit.allow(now) {
            self.last = None;
            return Some(core::mem::take(&mut self.unsaid));
        }
        self.last = Some((now, what.clone()));
        None
    }

    /// When [`rest`](Self::rest) has something.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.last.as_ref().map(|(at, _)| at.after(QUIET))
    }

    /// What is to be logged now that nothing happened for a while, and for how many it stands.
    pub(crate) fn rest(&mut self, now: Instant) -> Option<(T, u64)> {
        let (_, what) = self.last.take_if(|(at, _)| at.after(QUIET) <= now)?;
        Some((what, core::mem::take(&mut self.unsaid)))
    }
}
