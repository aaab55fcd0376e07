//! The only place of the workspace that reads a clock. Everything below takes `now` as an argument.

use std::sync::OnceLock;
use std::time::{Instant as Monotonic, SystemTime};

use net::Instant;
use nix::time::{ClockId, clock_gettime};

/// When this process first asked, and what time it was then.
static START: OnceLock<(Monotonic, Instant)> = OnceLock::new();

/// Now, on the monotonic clock: nanoseconds since the first call in this process, or in the one that it took over from.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> Instant {
    let (start, then) = START.get_or_init(|| (Monotonic::now(), Instant::ZERO));
    then.after(start.elapsed())
}

/// Goes on with the time of a predecessor, for whom it was `now` when [`monotonic`] was `then`. False when somebody has asked for the
/// time already.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn go_on_from(now: Instant, then: u64) -> bool {
    let since = std::time::Duration::from_nanos(monotonic().saturating_sub(then));
    START.set((Monotonic::now(), now.after(since))).is_ok()
}

/// The system's monotonic clock in nanoseconds: all processes read the same.
#[must_use]
pub fn monotonic() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map(std::time::Duration::from);
    time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// Now, on the wall clock, for stamps that people and other machines read.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}
