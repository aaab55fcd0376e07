//! How late timers are on this machine. Budgets for times grow with it: a demo that fails because somebody compiles
//! something beside it shows nothing.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use net::Instant;

use crate::clock;
use crate::lab::Stop;

/// How late a timer of a millisecond is in 99 of 100 cases, measured for a tenth of a second.
#[must_use]
pub fn usual_lateness() -> Duration {
    let stop = Stop::new();
    let mut lates: Vec<Duration> = (0..100).map(|_| one(&stop).1).collect();
    lates.sort_unstable();
    lates.get(98).copied().unwrap_or_default()
}

/// Measures on a thread until it is told to stop.
#[derive(Debug)]
pub(super) struct TimerWatch {
    stop: Stop,
    thread: JoinHandle<Vec<(Instant, Duration)>>,
}

impl TimerWatch {
    /// Starts to measure.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn start() -> io::Result<Self> {
        let stop = Stop::new();
        let until = stop.clone();
        let measure = move || {
            let mut all = Vec::new();
            while !until.is_requested() {
                all.push(one(&until));
            }
            all
        };
        let thread = thread::Builder::new().name("timers".to_owned()).spawn(measure)?;
        Ok(Self { stop, thread })
    }

    /// Stops to measure.
    #[must_use]
    pub(super) fn stop(self) -> TimerLog {
        self.stop.request();
        // A thread that only waits and reads the clock does not panic.
        TimerLog(self.thread.join().unwrap_or_default())
    }
}

/// What was measured: when each timer was due, and how late it was.
#[derive(Debug)]
pub(super) struct TimerLog(Vec<(Instant, Duration)>);

impl TimerLog {
    /// The latest that a timer was between `from` and `to`. It counts when the time it was late for touches the window.
    #[must_use]
    pub(super) fn latest(&self, from: Instant, to: Instant) -> Duration {
        let touches = |(due, late): &&(Instant, Duration)| due.after(*late) >= from && *due <= to;
        self.0.iter().filter(touches).map(|(_, late)| *late).max().unwrap_or_default()
    }
}

/// One timer: when it was due, and how late it was.
fn one(stop: &Stop) -> (Instant, Duration) {
    let due = clock::now().after(Duration::from_millis(1));
    stop.wait_until(due);
    (due, clock::now().since(due))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_touches_the_window_counts() {
        let at = |ms: u64| Instant::from_nanos(ms * 1_000_000);
        let ms = Duration::from_millis;
        let log = TimerLog(vec![(at(1), ms(9)), (at(20), ms(2)), (at(30), ms(1)), (at(50), ms(40))]);
        assert_eq!(log.latest(at(15), at(40)), ms(2));
        assert_eq!(log.latest(at(10), at(40)), ms(9));
        assert_eq!(log.latest(at(15), at(50)), ms(40));
        assert_eq!(TimerLog(Vec::new()).latest(at(0), at(50)), ms(0));
    }
}
