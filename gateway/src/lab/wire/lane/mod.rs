//! One direction of a wire: frames go in, and come out when they are due, if at all.
//!
//! No sockets and no clock: `now` is an argument. Every chance is drawn from a seeded stream, so a run can be
//! repeated. What waits is bounded ([`WAITING`] frames), and the place for it is made once.
//!
//! Order: frames come out as they went in, also when the impairment changes while some wait. Only jitter with `reorder`
//! changes it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use dataplane::{Frame, Pool};
use net::Instant;
use serde::{Deserialize, Serialize};

use super::impairment::Impairment;
use super::random::Random;

/// The most frames that wait in one lane: what 20 ms of delay need at 200 000 frames per second.
pub const WAITING: usize = 4096;

/// What became of the frames of one lane.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct LaneCounters {
    /// Frames that went in.
    pub received: u64,
    /// Frames that came out, second copies included.
    pub passed: u64,
    /// Lost in the black hole.
    pub blackholed: u64,
    /// Lost by chance.
    pub lost: u64,
    /// One bit turned.
    pub corrupted: u64,
    /// Sent twice.
    pub duplicated: u64,
    /// Lost because the queue of the rate limit, or the lane itself, was full.
    pub queue_full: u64,
    /// Copies that were not made because no buffer was free.
    pub no_buffer: u64,
}

/// One direction of a wire.
#[derive(Debug)]
pub struct Lane {
    impairment: Impairment,
    random: Random,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// Tells frames apart that are due at the same instant.
    sequence: u64,
    /// No frame that keeps the order is due before this.
    last_due: Instant,
    /// When the last octet that fits the rate will have been sent.
    line_free: Instant,
    counters: LaneCounters,
    /// Frames that came out, by length in octets.
    lengths: Box<[u64]>,
}

#[derive(Debug)]
struct Waiting {
    due: Instant,
    sequence: u64,
    frame: Frame,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Waiting {
    const fn key(&self) -> (Instant, u64) {
        (self.due, self.sequence)
    }
}

impl Lane {
    /// A lane that does nothing to its frames yet; chances come from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            impairment: Impairment::default(),
            random: Random::new(seed),
            waiting: BinaryHeap::with_capacity(WAITING),
            sequence: 0,
            last_due: Instant::ZERO,
            line_free: Instant::ZERO,
            counters: LaneCounters::default(),
            lengths: vec![0; LENGTHS].into_boxed_slice(),
        }
    }

    /// What it does from now on. A path that becomes a black hole loses what is on its way, too.
    pub fn set(&mut self, impairment: Impairment, pool: &mut Pool) {
        self.impairment = impairment;
        if impairment.blackhole {
            self.counters.blackholed += count(self.waiting.len());
            self.waiting.drain().for_each(|Reverse(waiting)| pool.recycle(waiting.frame));
        }
    }

    /// What it does.
    #[must_use]
    pub const fn impairment(&self) -> Impairment {
        self.impairment
    }

    /// What became of its frames.
    #[must_use]
    pub const fn counters(&self) -> LaneCounters {
        self.counters
    }

    /// Frames that came out, by length in octets; longer ones than there are places count as the last.
    #[must_use]
    pub const fn lengths(&self) -> &[u64] {
        &self.lengths
    }

    /// Takes frames in. What is due at once goes to `out`.
    pub fn handle_frames(
        &mut self,
        frames: impl Iterator<Item = Frame>,
        pool: &mut Pool,
        now: Instant,
        out: &mut Vec<Frame>,
    ) {
        let clear = self.impairment.is_none() && self.waiting.is_empty();
        for frame in frames {
            self.counters.received += 1;
            if clear {
                self.pass(frame, out);
            } else {
                self.impair(frame, pool, now);
            }
        }
        self.handle_timeout(now, out);
    }

    /// Lets out what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Frame>) {
        while self.waiting.peek().is_some_and(|Reverse(first)| first.due <= now) {
            if let Some(Reverse(first)) = self.waiting.pop() {
                self.pass(first.frame, out);
            }
        }
    }

    /// When the next frame is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.peek().map(|Reverse(first)| first.due)
    }

    fn pass(&mut self, frame: Frame, out: &mut Vec<Frame>) {
        self.counters.passed += 1;
        let last = self.lengths.len().saturating_sub(1);
        if let Some(number) = self.lengths.get_mut(frame.buf.len().min(last)) {
            *number += 1;
        }
        out.push(frame);
    }

    fn impair(&mut self, mut frame: Frame, pool: &mut Pool, now: Instant) {
        let Impairment { blackhole, loss, corrupt, duplicate, .. } = self.impairment;
        if blackhole {
            self.counters.blackholed += 1;
            return pool.recycle(frame);
        }
        if loss.takes(self.random.next()) {
            self.counters.lost += 1;
            return pool.recycle(frame);
        }
        if corrupt.takes(self.random.next()) {
            self.turn_a_bit(&mut frame);
        }
        let copy = duplicate.takes(self.random.next()).then(|| self.copy(&frame, pool)).flatten();
        self.enqueue(frame, pool, now);
        if let Some(copy) = copy {
            self.counters.duplicated += 1;
            self.enqueue(copy, pool, now);
        }
    }

    fn turn_a_bit(&mut self, frame: &mut Frame) {
        let octets = frame.buf.get_mut(ETHERNET_HEADER..).unwrap_or_default();
        let at = usize::try_from(self.random.below(count(octets.len()))).unwrap_or_default();
        let bit = self.random.below(8);
        if let Some(octet) = octets.get_mut(at) {
            *octet ^= 1 << bit;
            self.counters.corrupted += 1;
        }
    }

    fn copy(&mut self, frame: &Frame, pool: &mut Pool) -> Option<Frame> {
        let Some(mut buf) = pool.for_len(frame.buf.len()) else {
            self.counters.no_buffer += 1;
            return None;
        };
        buf.extend_from_slice(&frame.buf).then_some(Frame { offload: frame.offload, ..Frame::new(buf) })
    }

    fn enqueue(&mut self, frame: Frame, pool: &mut Pool, now: Instant) {
        let room = self.waiting.len() < WAITING;
        let Some(sent) = room.then(|| self.sent_at(frame.buf.len(), now)).flatten() else {
            self.counters.queue_full += 1;
            return pool.recycle(frame);
        };
        let mut due = sent.after(self.draw_delay());
        if !self.impairment.reorder {
            due = due.max(self.last_due);
            self.last_due = due;
        }
        self.sequence += 1;
        self.waiting.push(Reverse(Waiting { due, sequence: self.sequence, frame }));
    }

    /// When a frame has been sent at the limited rate; `None` when the queue has no room for it.
    fn sent_at(&mut self, octets: usize, now: Instant) -> Option<Instant> {
        let Some(rate) = self.impairment.rate else { return Some(now) };
        let begin = self.line_free.max(now);
        let octets = count(octets).saturating_add(AROUND);
        let wait = begin.since(now).saturating_add(rate.time_for(octets));
        // A queue shorter than a frame still sends one at a time.
        if wait > rate.time_for(u64::from(self.impairment.queue.0)) && begin > now {
            return None;
        }
        self.line_free = now.after(wait);
        Some(self.line_free)
    }

    fn draw_delay(&mut self) -> Duration {
        let Impairment { delay, jitter, .. } = self.impairment;
        if jitter.is_zero() {
            return delay;
        }
        let width = u64::try_from(jitter.as_nanos().saturating_mul(2)).unwrap_or(u64::MAX);
        let more = Duration::from_nanos(self.random.below(width.saturating_add(1)));
        delay.saturating_add(more).saturating_sub(jitter)
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Octets of addresses and EtherType: they are left alone, so that a corrupted frame arrives.
const ETHERNET_HEADER: usize = 14;
/// Octets that a frame takes on a wire around what we see of it: preamble, FCS, gap (802.3 §4.4.2).
const AROUND: u64 = 8 + 4 + 12;
/// Lengths that are counted one by one.
const LENGTHS: usize = 2048;

#[cfg(test)]
mod tests;
