//! Latent error detection, §7.4.4: the copies that are discarded are counted against those that pass.
//!
//! With two paths each frame that passes has one copy that is discarded. When that stops, one path is broken, and nobody notices
//! because nothing is lost: until the other one breaks too.

use net::Instant;

use super::{LatentErrorParams, RecoveryCounters};

#[derive(Clone, Debug)]
pub(super) struct LatentErrorDetection {
    params: LatentErrorParams,
    /// CurBaseDifference, §7.4.4.2.1.
    base: i128,
    test_at: Instant,
    reset_at: Instant,
    failed: bool,
}

impl LatentErrorDetection {
    /// BEGIN, §7.4.4.1.
    pub(super) fn new(params: LatentErrorParams, counters: &mut RecoveryCounters, now: Instant) -> Self {
        let mut this = Self { params, base: 0, test_at: now, reset_at: now, failed: false };
        this.reset(counters, now);
        this.test_at = now.after(params.period);
        this
    }

    /// When something is due.
    pub(super) fn due(&self) -> Instant {
        self.test_at.min(self.reset_at)
    }

    /// True after a test failed, until one passes.
    pub(super) const fn failed(&self) -> bool {
        self.failed
    }

    /// Tests, and takes a new base, when due. True when the outcome is another than before.
    pub(super) fn handle_timeout(&mut self, counters: &mut RecoveryCounters, now: Instant) -> bool {
        let before = self.failed;
        if now >= self.test_at {
            self.failed = self.test(counters);
            self.test_at = now.after(self.params.period);
        }
        if now >= self.reset_at {
            self.reset(counters, now);
        }
        self.failed != before
    }

    /// LatentErrorReset, §7.4.4.3.
    fn reset(&mut self, counters: &mut RecoveryCounters, now: Instant) {
        self.base = self.difference(counters);
        self.reset_at = now.after(self.params.reset_period);
        counters.latent_error_resets += 1;
    }

    /// LatentErrorTest, §7.4.4.4.
    fn test(&self, counters: &RecoveryCounters) -> bool {
        let missing = (self.base - self.difference(counters)).unsigned_abs();
        missing > u128::from(self.params.difference)
    }

    fn difference(&self, counters: &RecoveryCounters) -> i128 {
        let copies = i128::from(self.params.paths.saturating_sub(1));
        i128::from(counters.passed) * copies - i128::from(counters.discarded)
    }
}
