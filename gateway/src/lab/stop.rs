//! A request to stop that many threads can wait for.

use std::sync::Arc;
use std::time::Duration;

use net::Instant;
use parking_lot::{Condvar, Mutex};

use crate::clock;

/// Set once, seen by all clones. Also the way to wait here: whoever waits for time to pass waits for this not to happen.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Not yet requested.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests the stop and wakes whoever waits.
    pub fn request(&self) {
        let (requested, changed) = &*self.0;
        *requested.lock() = true;
        changed.notify_all();
    }

    /// Whether the stop was requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.0.lock()
    }

    /// Waits for the request, at most `patience`; returns whether it was made.
    pub fn wait(&self, patience: Duration) -> bool {
        self.wait_until(clock::now().after(patience))
    }

    /// Waits for the request until `deadline`; returns whether it was made.
    pub fn wait_until(&self, deadline: Instant) -> bool {
        let (requested, changed) = &*self.0;
        let mut requested = requested.lock();
        while !*requested {
            let left = deadline.since(clock::now());
            if left.is_zero() {
                break;
            }
            changed.wait_for(&mut requested, left);
        }
        *requested
    }

    /// Asks `done` every `step` until it says so, the stop is requested, or `patience` is over. Returns whether it was
    /// done.
    pub fn poll(&self, patience: Duration, step: Duration, mut done: impl FnMut() -> bool) -> bool {
        let deadline = clock::now().after(patience);
        loop {
            if done() {
                return true;
            }
            if clock::now() >= deadline || self.wait(step) {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_wakes_whoever_waits_and_stays() {
        let stop = Stop::new();
        assert!(!stop.wait(Duration::from_millis(1)));
        let other = stop.clone();
        let waiting = std::thread::spawn(move || other.wait(Duration::from_secs(60)));
        stop.request();
        assert!(waiting.join().unwrap());
        assert!(stop.is_requested() && stop.wait(Duration::from_secs(60)));
    }

    #[test]
    fn polling_ends_when_done_and_when_patience_does() {
        let stop = Stop::new();
        let mut calls = 0;
        assert!(stop.poll(Duration::from_secs(60), Duration::from_micros(10), || {
            calls += 1;
            calls == 3
        }));
        assert_eq!(calls, 3);
        assert!(!stop.poll(Duration::from_millis(2), Duration::from_millis(1), || false));
        stop.request();
        assert!(!stop.poll(Duration::from_secs(60), Duration::from_secs(60), || false));
    }
}
