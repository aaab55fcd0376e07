//! Trains that the kernel refused, and when the next one is tried.
//!
//! A device without checksum offload, or a policy of IPsec, has the kernel refuse trains (`EIO`); kernels before 6.14 also one whose segments a path that
//! shrank does not carry (`EINVAL`). None of these lasts for ever, and a datagram for each frame costs most of the speed. So after a while a
//! train is tried again: if it is refused, too, that cost one call, and the next while is twice as long.

/// Calls of `send` before the first new try, and before any.
const FIRST: u32 = 1024;
const MOST: u32 = 64 * FIRST;

/// For how many calls of `send` each frame is a datagram of its own.
#[derive(Debug)]
pub(super) struct Alone {
    left: u32,
    next: u32,
}

impl Default for Alone {
    fn default() -> Self {
        Self { left: 0, next: FIRST }
    }
}

impl Alone {
    /// A train was refused.
    pub(super) fn begin(&mut self) {
        (self.left, self.next) = (self.next, (self.next * 2).min(MOST));
    }

    /// Trains may be tried.
    pub(super) const fn is_over(&self) -> bool {
        self.left == 0
    }

    /// A call of `send` is done.
    pub(super) const fn sent(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_train_is_tried_again_after_twice_as_many_calls_each_time() {
        let mut alone = Alone::default();
        assert!(alone.is_over());
        let mut calls_until_over = || {
            alone.begin();
            let mut calls = 0;
            while !alone.is_over() {
                alone.sent();
                calls += 1;
            }
            calls
        };
        let whiles: Vec<u32> = (0..9).map(|_| calls_until_over()).collect();
        assert_eq!(whiles, [1, 2, 4, 8, 16, 32, 64, 64, 64].map(|times| times * FIRST));
    }
}
