//! What a failure may cost on this machine.
//!
//! A thread that waits for its turn cannot move traffic. How long threads wait is measured by timers: before the first
//! act (the usual lateness), and all through each act (the lateness just then). A processor that is taken away from a
//! busy thread shows in no timer, but in the flows themselves: the longest silence before anything was broken.

use std::time::Duration;

/// A budget of silence: `base` on a machine whose timers are on time, more where they usually are late (`usual`) or
/// were late just then (`then`), and where flows fall silent by themselves (`noise`). A change goes through four threads: the worker that sees it, the one that takes traffic
/// over, and the sender's and the receiver's kernels.
pub(super) fn gap(base: Duration, usual: Duration, then: Duration, noise: Duration) -> Duration {
    let late = usual.saturating_add(then).saturating_mul(THREADS);
    base.saturating_add(late).saturating_add(noise)
}

/// Datagrams that queues cannot hold when a thread gets no processor for `starved`, at `rate` per second: none, up to
/// [`QUEUES_HOLD`].
pub(super) fn lost(rate: u32, starved: Duration) -> u64 {
    let beyond = starved.saturating_sub(QUEUES_HOLD).as_micros();
    u64::try_from(beyond.saturating_mul(u128::from(rate)) / 1_000_000).unwrap_or(u64::MAX)
}

const THREADS: u32 = 4;
const QUEUES_HOLD: Duration = Duration::from_millis(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_grow_with_lateness_only() {
        let ms = Duration::from_millis;
        assert_eq!(gap(ms(5), ms(0), ms(0), ms(0)), ms(5));
        assert_eq!(gap(ms(5), ms(1), ms(10), ms(3)), ms(52));
        assert_eq!([0, 30, 130].map(|late| lost(1000, ms(late))), [0, 0, 100]);
    }
}
