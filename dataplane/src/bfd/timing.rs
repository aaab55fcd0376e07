//! Negotiated intervals and the Poll Sequence (RFC 5880 §6.8.2, §6.8.3, §6.5), and when the next packet is due (§6.8.7).

use core::{num::NonZeroU8, time::Duration};

use net::{
    Instant,
    carry::{Carry, Opened, Parcel},
};

use crate::neighbor::Dice;

/// While a session is not Up it must not send faster (§6.8.3).
pub(super) const SLOW: Duration = Duration::from_secs(1);

/// Desired Min TX Interval and Required Min RX Interval.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Intervals {
    pub(super) tx: Duration,
    pub(super) rx: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Poll {
    Idle,
    /// P is set until F comes. `sent`: a packet with P and the present intervals left.
    Asking {
        sent: bool,
    },
}

/// What we announce, and what is in use meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Negotiation {
    announced: Intervals,
    used: Intervals,
    poll: Poll,
}

impl Negotiation {
    pub(super) const fn new(first: Intervals) -> Self {
        Self { announced: first, used: first, poll: Poll::Idle }
    }

    pub(super) const fn announced(&self) -> Intervals {
        self.announced
    }

    pub(super) const fn used(&self) -> Intervals {
        self.used
    }

    pub(super) fn is_polling(&self) -> bool {
        self.poll != Poll::Idle
    }

    /// Announces other intervals, which takes a Poll Sequence. In state Up, slower sending and faster failing wait for its
    /// end (§6.8.3): the peer's detection time, or its sending, may not follow before it has heard of it.
    pub(super) fn announce(&mut self, new: Intervals, is_up: bool) {
        if new == self.announced {
            return;
        }
        self.announced = new;
        self.poll = Poll::Asking { sent: false };
        if !is_up || new.tx < self.used.tx {
            self.used.tx = new.tx;
        }
        if !is_up || new.rx > self.used.rx {
            self.used.rx = new.rx;
        }
    }

    /// A packet with P left.
    pub(super) const fn polled(&mut self) {
        if let Poll::Asking { sent } = &mut self.poll {
            *sent = true;
        }
    }

    /// A packet with F came. One that answers an older Poll ends nothing.
    pub(super) fn answered(&mut self) {
        if self.poll == (Poll::Asking { sent: true }) {
            self.poll = Poll::Idle;
            self.used = self.announced;
        }
    }
}

/// When periodic packets leave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    interval: Duration,
    last: Option<Instant>,
    next: Instant,
    dice: Dice,
}

impl Pace {
    /// The first packet is due at once.
    pub(super) const fn new(interval: Duration, now: Instant, seed: u64) -> Self {
        Self { interval, last: None, next: now, dice: Dice(seed) }
    }

    /// When the next periodic packet is due.
    pub(super) const fn next(&self) -> Instant {
        self.next
    }

    /// A packet leaves now; the next one is an interval, less jitter, away.
    pub(super) fn sent(&mut self, multiplier: NonZeroU8, now: Instant) {
        self.last = Some(now);
        self.next = now.after(self.jittered(multiplier));
    }

    /// The interval changed: the next packet is that much after the last one, or due now when that is over (§6.8.3).
    pub(super) fn set_interval(&mut self, interval: Duration, multiplier: NonZeroU8, now: Instant) {
        if interval == self.interval {
            return;
        }
        self.interval = interval;
        if let Some(last) = self.last {
            self.next = last.after(self.jittered(multiplier)).max(now);
        }
    }

    /// §6.8.7: 75 to 100 % of the interval; 75 to 90 % when a single missing packet is a failure.
    fn jittered(&mut self, multiplier: NonZeroU8) -> Duration {
        let nanos = u64::try_from(self.interval.as_nanos()).unwrap_or(u64::MAX);
        let (most, spread) =
            if multiplier.get() == 1 { (nanos - nanos / 10, nanos / 20 * 3) } else { (nanos, nanos / 4) };
        Duration::from_nanos(most - self.dice.roll(spread.saturating_add(1)))
    }
}

net::carry!(Intervals { tx, rx });
net::carry!(Negotiation { announced, used, poll });

impl Carry for Poll {
    fn pack(&self, out: &mut Parcel) {
        match self {
            Self::Idle => None,
            Self::Asking { sent } => Some(*sent),
        }
        .pack(out);
    }

    fn unpack(from: &mut Opened<'_>) -> Option<Self> {
        let sent: Option<bool> = Carry::unpack(from)?;
        Some(sent.map_or(Self::Idle, |sent| Self::Asking { sent }))
    }
}

/// When packets leave: to a successor, who has dice of its own.
impl Pace {
    pub(super) fn pack(&self, out: &mut Parcel) {
        (self.interval, (self.last, self.next)).pack(out);
    }

    pub(super) fn resume(&mut self, from: &mut Opened<'_>) -> Option<()> {
        (self.interval, (self.last, self.next)) = Carry::unpack(from)?;
        Some(())
    }
}
