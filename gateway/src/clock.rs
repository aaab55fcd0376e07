//! The only place of the workspace that reads a clock. Everything below takes `now` as an argument.

use std::sync::OnceLock;
use std::time::{Instant as Monotonic, SystemTime};

use net::Instant;

/// Now, on the monotonic clock: nanoseconds since the first call in this process.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> Instant {
    static START: OnceLock<Monotonic> = OnceLock::new();
    let since = START.get_or_init(Monotonic::now).elapsed();
    Instant::ZERO.after(since)
}

/// Now, on the wall clock, for stamps that people and other machines read.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}
