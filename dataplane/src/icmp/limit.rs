//! A token bucket without tokens: it remembers when the bucket would be full again (GCRA, ITU-T I.371).

use core::time::Duration;

use net::Instant;

/// Allows so many events per second, and a burst of some at once.
#[derive(Clone, Copy, Debug)]
pub struct RateLimiter {
    /// Time that one event takes to be paid back; `None` allows nothing.
    interval: Option<Duration>,
    /// How far ahead of time the debt may be and still allow one more.
    slack: Duration,
    /// When everything so far is paid back.
    full_at: Instant,
}

impl RateLimiter {
    /// At most `burst` events at once and `per_second` in the long run. With 0 for either nothing is ever allowed.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(per_second).filter(|_| burst > 0);
        let slack = interval.unwrap_or_default().saturating_mul(burst.saturating_sub(1));
        Self { interval, slack, full_at: Instant::ZERO }
    }

    /// Whether one more event may happen at `now`; if so it is counted.
    pub fn allow(&mut self, now: Instant) -> bool {
        self.allow_one_of(1, now)
    }

    /// The same for one that counts as `weight` events: once one may happen, it may, and what it is more is paid back after.
    pub fn allow_one_of(&mut self, weight: u32, now: Instant) -> bool {
        let Some(interval) = self.interval else { return false };
        let full_at = self.full_at.max(now);
        let allowed = full_at.since(now) <= self.slack;
        if allowed {
            self.full_at = full_at.after(interval.saturating_mul(weight));
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(limiter: &mut RateLimiter, tries: usize, now: Instant) -> usize {
        (0..tries).filter(|_| limiter.allow(now)).count()
    }

    #[test]
    fn a_burst_at_once_then_the_steady_rate() {
        let mut limiter = RateLimiter::new(100, 10);
        let start = Instant::from_nanos(5_000_000_000);
        assert_eq!(allowed(&mut limiter, 1000, start), 10);
        let later = start.after(Duration::from_millis(55));
        assert_eq!(allowed(&mut limiter, 1000, later), 5);
        let much_later = start.after(Duration::from_secs(60));
        assert_eq!(allowed(&mut limiter, 1000, much_later), 10);
    }

    #[test]
    fn over_a_long_time_the_rate_is_exact() {
        let mut limiter = RateLimiter::new(1000, 1);
        let step = |i: u64| Instant::from_nanos(i * 10_000);
        let count = (0..1_000_000).filter(|&i| limiter.allow(step(i))).count(); // ten seconds
        assert_eq!(count, 10_000);
    }

    #[test]
    fn what_weighs_more_is_paid_back_for_longer() {
        let mut limiter = RateLimiter::new(1000, 4);
        let step = |i: u64| Instant::from_nanos(i * 10_000);
        let count = (0..1_000_000).filter(|&i| limiter.allow_one_of(5, step(i))).count(); // ten seconds
        assert!((2000..=2001).contains(&count), "{count}");
    }

    #[test]
    fn zero_allows_nothing_and_time_that_stands_still_nothing_more() {
        assert!(!RateLimiter::new(0, 10).allow(Instant::ZERO));
        assert!(!RateLimiter::new(10, 0).allow(Instant::ZERO));
        let mut limiter = RateLimiter::new(10, 2);
        assert_eq!(allowed(&mut limiter, 10, Instant::ZERO), 2);
        assert!(!limiter.allow(Instant::ZERO));
    }
}
