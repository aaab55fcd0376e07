//! The base and vector recovery functions, §7.4.3.2 to §7.4.3.4.
//!
//! Two liberties, both without effect on which frames pass: the timer is a deadline instead of RemainingTicks, looked at when
//! a frame comes and when the owner is called, and numbers from before the last reset do not count as lost
//! (IEEE 802.1 maintenance request 376: ShiftSequenceHistory as printed counts the whole empty history as lost after each reset).

use net::{
    Instant,
    carry::{Carry, Opened, Parcel},
    earliest,
};

use super::{
    Event, RecoveryCounters, RecoveryParams, Verdict, history::History, latent::LatentErrorDetection,
};

/// Removes the duplicates of one stream.
#[derive(Clone, Debug)]
pub struct SequenceRecovery {
    params: RecoveryParams,
    /// RecovSeqNum, §7.4.3.2.2: the highest number accepted.
    newest: u16,
    history: History,
    /// How many numbers up to `newest` belong to this life of the stream, at most the history length.
    known: u16,
    /// TakeAny, §7.4.3.2.6: the next number is taken, whatever it is.
    take_any: bool,
    /// When RemainingTicks (§7.4.3.2.4) would reach 0.
    reset_at: Option<Instant>,
    latent: Option<LatentErrorDetection>,
    event: Option<Event>,
    counters: RecoveryCounters,
}

impl SequenceRecovery {
    /// BEGIN: nothing is known of the stream.
    pub fn new(params: RecoveryParams, now: Instant) -> Self {
        let mut counters = RecoveryCounters::default();
        let latent = params.latent.map(|params| LatentErrorDetection::new(params, &mut counters, now));
        let mut this = Self {
            params,
            newest: u16::MAX,
            history: History::new(params.history_length),
            known: 0,
            take_any: true,
            reset_at: None,
            latent,
            event: None,
            counters,
        };
        this.reset();
        this
    }

    /// SequenceRecoveryReset, §7.4.3.3: the next frame passes, whatever its number is.
    pub fn reset(&mut self) {
        self.newest = u16::MAX;
        self.history.clear();
        self.known = 0;
        self.take_any = true;
        self.reset_at = None;
        self.counters.resets += 1;
    }

    /// Leaves what it has seen to a successor in another process.
    pub fn pack(&self, out: &mut Parcel) {
        ((self.newest, self.known), (self.take_any, self.reset_at)).pack(out);
        self.history.pack(out);
    }

    /// Goes on with what a predecessor left: what it delivered is not delivered again. Where that has another history length, or is
    /// no such thing, the stream begins anew (SequenceRecoveryReset).
    pub fn resume(&mut self, from: &mut Opened<'_>) {
        type Left = ((u16, u16), (bool, Option<Instant>));
        let left = <(Left, Vec<u64>)>::unpack(from);
        let length = self.params.history_length.get();
        match left {
            Some((((newest, known), (take_any, reset_at)), words))
                if known <= length && self.history.resume(&words) =>
            {
                (self.newest, self.known) = (newest, known);
                (self.take_any, self.reset_at) = (take_any, reset_at);
            }
            _ => self.reset(),
        }
    }

    /// VectorRecoveryAlgorithm, §7.4.3.4: what to do with a frame with this number, or with none.
    pub fn recover(&mut self, sequence: Option<u16>, now: Instant) -> Verdict {
        self.expire(now);
        let Some(sequence) = sequence else { return self.recover_tagless(now) };
        if self.take_any {
            self.take_any = false;
            self.newest = sequence;
            self.known = 1;
            self.history.see(sequence);
            return self.pass(now);
        }
        let (ahead, behind) = (sequence.wrapping_sub(self.newest), self.newest.wrapping_sub(sequence));
        let length = self.params.history_length.get();
        if behind < length {
            self.recover_late(sequence, now)
        } else if ahead < length {
            self.move_ahead(ahead);
            self.counters.out_of_order += u64::from(ahead != 1);
            self.pass(now)
        } else {
            self.counters.rogue += 1;
            Verdict::Rogue
        }
    }

    /// Does what is due: the reset timeout (RECOVERY_TIMEOUT, §7.4.3.1), and latent error detection.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.expire(now);
        if let Some(latent) = &mut self.latent
            && latent.handle_timeout(&mut self.counters, now)
        {
            self.event = Some(if latent.failed() { Event::LatentError } else { Event::LatentErrorOver });
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.reset_at, self.latent.as_ref().map(LatentErrorDetection::due))
    }

    /// What the owner should know, the latest news only.
    pub const fn poll_event(&mut self) -> Option<Event> {
        self.event.take()
    }

    /// True while copies are missing.
    pub fn latent_error(&self) -> bool {
        self.latent.as_ref().is_some_and(LatentErrorDetection::failed)
    }

    /// The counters of §10.8.
    pub const fn counters(&self) -> &RecoveryCounters {
        &self.counters
    }

    fn recover_tagless(&mut self, now: Instant) -> Verdict {
        self.counters.tagless += 1;
        if self.params.take_no_sequence {
            return self.pass(now);
        }
        self.counters.discarded += 1;
        Verdict::Tagless
    }

    /// A number within the history, the newest one included.
    fn recover_late(&mut self, sequence: u16, now: Instant) -> Verdict {
        if self.history.see(sequence) {
            self.counters.discarded += 1;
            return Verdict::Duplicate;
        }
        self.counters.out_of_order += 1;
        self.pass(now)
    }

    /// ShiftSequenceHistory, §7.4.3.5, `ahead` times: what leaves the history unseen is lost.
    fn move_ahead(&mut self, ahead: u16) {
        let length = self.params.history_length.get();
        let leave = (u32::from(self.known) + u32::from(ahead)).saturating_sub(u32::from(length));
        let leave = u16::try_from(leave).unwrap_or(u16::MAX);
        let oldest = self.newest.wrapping_sub(self.known).wrapping_add(1);
        self.counters.lost += self.history.unseen(oldest, leave);
        self.history.forget(self.newest.wrapping_add(1), ahead);
        self.newest = self.newest.wrapping_add(ahead);
        self.known = self.known.saturating_add(ahead).min(length);
        self.history.see(self.newest);
    }

    fn pass(&mut self, now: Instant) -> Verdict {
        self.counters.passed += 1;
        self.reset_at = Some(now.after(self.params.reset));
        Verdict::Pass
    }

    fn expire(&mut self, now: Instant) {
        if self.reset_at.is_some_and(|due| due <= now) {
            self.reset();
        }
    }
}
