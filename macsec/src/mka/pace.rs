//! When an MKPDU is due: hellos, quicker ones after a change, at once where a peer waits for the answer.
//!
//! After a start or a change of members or keys the next ones follow after 0.1, 0.2, 0.4 and 0.8 s, so that a lost
//! one costs little; then one every hello time. Answers come at once, but at least [`GAP`] apart and no more
//! than [`BURST`] in a row: a replayed MKPDU must not make us louder than its sender.

use core::time::Duration;

use net::Instant;

/// Shortest time between two MKPDUs of a participant.
pub(super) const GAP: Duration = Duration::from_millis(20);

/// How many MKPDUs may be sent ahead of time before they have to wait for the next hello.
pub(super) const BURST: u32 = 16;

/// One more may be sent ahead of time after each of these.
const REFILL: Duration = Duration::from_millis(200);

/// Waits between MKPDUs after a change.
const RAMP: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];

/// Decides when the next MKPDU is due.
#[derive(Debug)]
pub(super) struct Pace {
    hello: Duration,
    next: Instant,
    last: Option<Instant>,
    /// Index into [`RAMP`].
    step: usize,
    credit: u32,
    refilled: Instant,
}

impl Pace {
    /// The first is due now.
    pub(super) const fn new(hello: Duration, now: Instant) -> Self {
        Self { hello, next: now, last: None, step: 0, credit: BURST, refilled: now }
    }

    /// Something changed that peers should hear at once.
    pub(super) fn urge(&mut self, now: Instant) {
        let earned = now.since(self.refilled).as_nanos() / REFILL.as_nanos();
        if let Ok(earned @ 1..) = u32::try_from(earned) {
            self.credit = self.credit.saturating_add(earned).min(BURST);
            self.refilled = now;
        }
        let soon = self.last.map_or(now, |last| last.after(GAP).max(now));
        if soon < self.next && self.credit > 0 {
            self.credit -= 1;
            self.next = soon;
        }
        if self.credit > 0 {
            self.step = 0;
        }
    }

    /// Another hello time from now on.
    pub(super) fn set_hello(&mut self, hello: Duration, now: Instant) {
        self.hello = hello;
        self.next = self.next.min(now.after(hello));
    }

    /// When the next MKPDU is due.
    pub(super) const fn due(&self) -> Instant {
        self.next
    }

    /// One was sent.
    pub(super) fn sent(&mut self, now: Instant) {
        let wait = RAMP.get(self.step).map_or(self.hello, |wait| self.hello.min(*wait));
        self.step += usize::from(self.step < RAMP.len());
        self.last = Some(now);
        self.next = now.after(wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Instant {
        Instant::ZERO.after(Duration::from_millis(millis))
    }

    fn sends(pace: &mut Pace, until: Instant) -> Vec<u64> {
        let mut at = Vec::new();
        while pace.due() < until {
            let now = pace.due();
            pace.sent(now);
            at.push(now.as_nanos() / 1_000_000);
        }
        at
    }

    #[test]
    fn hellos_ramp_up_from_the_start() {
        let mut pace = Pace::new(Duration::from_secs(2), Instant::ZERO);
        assert_eq!(sends(&mut pace, ms(8000)), [0, 100, 300, 700, 1500, 3500, 5500, 7500]);
        let mut bounded = Pace::new(Duration::from_millis(500), Instant::ZERO);
        assert_eq!(sends(&mut bounded, ms(2000)), [0, 100, 300, 700, 1200, 1700]);
    }

    #[test]
    fn an_answer_is_immediate_but_not_sooner_than_the_gap() {
        let mut pace = Pace::new(Duration::from_secs(2), Instant::ZERO);
        sends(&mut pace, ms(4000));
        pace.urge(ms(4000));
        assert_eq!(pace.due(), ms(4000));
        pace.sent(ms(4000));
        pace.urge(ms(4001));
        assert_eq!(pace.due(), ms(4020));
    }

    #[test]
    fn urging_for_ever_does_not_send_for_ever() {
        let mut pace = Pace::new(Duration::from_secs(2), Instant::ZERO);
        let mut sent = 0;
        for tick in 0..10_000 {
            pace.urge(ms(tick));
            if pace.due() <= ms(tick) {
                pace.sent(ms(tick));
                sent += 1;
            }
        }
        // Ten seconds: the burst, one per refill, and at most as many of the ramp.
        assert!(sent <= 16 + 50 + 60, "{sent}");
        assert!(sent >= 50, "{sent}");
    }
}
