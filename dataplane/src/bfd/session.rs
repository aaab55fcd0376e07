//! One session: RFC 5880 §6.8, with the state variables of §6.8.1 by name.

use core::time::Duration;
use std::collections::VecDeque;

use net::{
    Instant,
    carry::{Carry, Opened, Parcel},
    earliest,
};

use super::{
    BfdChange, BfdCounters, BfdEvent, BfdLoss, BfdMode, BfdParams, BfdState, BfdTimers, Control, Diagnostic,
    Discriminator, Guard, Received, Refusal,
    timing::{Intervals, Negotiation, Pace, SLOW},
};
use crate::icmp::RateLimiter;

/// Changes of state that are remembered.
const HISTORY: usize = 16;
/// Changes into Init and Up that are told before their time: per second, and at once. Without a limit packets that are
/// in flight twice (delayed, doubled) can chase each other through the states for ever, each making the next.
const HASTE_PER_SECOND: u32 = 1;
const HASTE_BURST: u32 = 4;
/// Events that wait to be fetched; the oldest is forgotten beyond.
const EVENTS: usize = 8;

/// A BFD session in asynchronous mode. See the [module](super) for the contract of its verbs.
#[derive(Clone, Debug)]
pub struct Session {
    /// bfd.LocalDiscr
    discriminator: Discriminator,
    timers: BfdTimers,
    mode: BfdMode,
    /// The C bit that we send.
    independent: bool,
    /// bfd.SessionState
    state: BfdState,
    since: Instant,
    /// bfd.LocalDiag
    diagnostic: Diagnostic,
    remote: Remote,
    negotiation: Negotiation,
    pace: Pace,
    /// Frames can leave: there is carrier, and a key.
    path_open: bool,
    haste: RateLimiter,
    /// A Poll waits for its Final.
    owes_final: bool,
    /// What the peer heard last is not true any more, or the time has come.
    owes_packet: bool,
    heard: Option<Instant>,
    longest_gap: Duration,
    guard: Guard,
    counters: BfdCounters,
    history: VecDeque<BfdChange>,
    events: VecDeque<BfdEvent>,
}

/// What the peer said last; the initial values of §6.8.1 when nothing is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remote {
    /// bfd.RemoteDiscr
    pub(super) discriminator: Option<Discriminator>,
    /// bfd.RemoteSessionState
    pub(super) state: BfdState,
    pub(super) diagnostic: Diagnostic,
    /// bfd.RemoteMinRxInterval
    pub(super) min_rx: Duration,
    pub(super) min_tx: Duration,
    /// 0: not known.
    pub(super) multiplier: u8,
    /// bfd.RemoteDemandMode
    pub(super) demand: bool,
    pub(super) independent: bool,
}

net::carry!(Remote { discriminator, state, diagnostic, min_rx, min_tx, multiplier, demand, independent });

impl Default for Remote {
    fn default() -> Self {
        Self {
            discriminator: None,
            state: BfdState::Down,
            diagnostic: Diagnostic::None,
            min_rx: Duration::from_micros(1),
            min_tx: Duration::ZERO,
            multiplier: 0,
            demand: false,
            independent: false,
        }
    }
}

impl Session {
    /// A session that begins at once to look for its peer. `discriminator` is this system's own and unique on it;
    /// `seed` decides the jitter.
    pub fn new(
        BfdParams { timers, mode, independent, .. }: BfdParams,
        discriminator: Discriminator,
        now: Instant,
        seed: u64,
    ) -> Self {
        let first = Intervals { tx: timers.min_tx.max(SLOW), rx: timers.min_rx };
        Self {
            discriminator,
            timers,
            mode,
            independent,
            state: BfdState::Down,
            since: now,
            diagnostic: Diagnostic::None,
            remote: Remote::default(),
            negotiation: Negotiation::new(first),
            pace: Pace::new(first.tx, now, seed),
            path_open: true,
            haste: RateLimiter::new(HASTE_PER_SECOND, HASTE_BURST),
            owes_final: false,
            owes_packet: false,
            heard: None,
            longest_gap: Duration::ZERO,
            guard: Guard::Waiting,
            counters: BfdCounters::default(),
            history: VecDeque::with_capacity(HISTORY),
            events: VecDeque::with_capacity(EVENTS),
        }
    }

    /// Says from now on that our silence is the death of forwarding, or that it may be a restart (C bit).
    pub const fn set_independent(&mut self, independent: bool) {
        self.independent = independent;
    }

    /// Hears a packet that names this session, or comes from its peer and names none (§6.8.6).
    ///
    /// # Errors
    /// When it was refused; that is counted.
    pub fn handle_packet(&mut self, received: &Received, now: Instant) -> Result<(), Refusal> {
        if received.authenticated {
            return Err(self.refuse(Refusal::Authentication));
        }
        let control = &received.control;
        let was_admin_down = self.remote.state == BfdState::AdminDown;
        self.learn(control);
        if control.is_final {
            self.negotiation.answered();
        }
        self.keep_pace(now);
        if self.state == BfdState::AdminDown {
            return Err(self.refuse(Refusal::AdminDown));
        }
        self.note_heard(now);
        if control.state == BfdState::AdminDown {
            self.guard = self.guard.on_remote_admin_down();
            if !was_admin_down && self.state != BfdState::Up {
                self.tell(BfdEvent::PeerAdminDown);
            }
        }
        self.enter(self.state.on_remote(control.state), Some(loss_by(control)), now);
        self.owes_final |= control.poll;
        Ok(())
    }

    /// Does what is due. **Everything that arrived before `now` must have been handed in**; what was handed in with a
    /// later instant counts too.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.expiry().is_some_and(|expiry| expiry <= now) {
            self.expire(now);
        }
        if self.sends_periodically() && self.pace.next() <= now {
            self.owes_packet = true;
            self.pace.sent(self.timers.multiplier, now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let send = self.sends_periodically().then(|| self.pace.next());
        earliest(send, self.expiry())
    }

    /// When [`handle_timeout`](Self::handle_timeout) will declare the peer dead, unless it is heard before.
    pub fn poll_judgement(&self) -> Option<Instant> {
        self.expiry().filter(|_| matches!(self.state, BfdState::Init | BfdState::Up))
    }

    /// The next packet to send, now.
    pub fn poll_transmit(&mut self) -> Option<Control> {
        let (answer, periodic) = (self.owes_final, self.owes_packet);
        if !self.path_open {
            (self.owes_final, self.owes_packet) = (false, false);
            return None;
        }
        if answer {
            // §6.5: never P and F in one packet; a Poll of our own goes with the next periodic one.
            self.owes_final = false;
        } else if periodic {
            self.owes_packet = false;
        } else {
            return None;
        }
        let poll = !answer && self.negotiation.is_polling();
        if poll {
            self.negotiation.polled();
        }
        self.counters.tx += 1;
        Some(self.packet(poll, answer))
    }

    /// The next thing that others should know.
    pub fn poll_event(&mut self) -> Option<BfdEvent> {
        self.events.pop_front()
    }

    /// Uses other timers and another mode from now on; the peer learns of it by a Poll Sequence (§6.8.3, §6.8.12).
    pub fn set_timers(&mut self, timers: BfdTimers, mode: BfdMode, now: Instant) {
        self.owes_packet |=
            timers.multiplier != self.timers.multiplier && self.remote.discriminator.is_some();
        (self.timers, self.mode) = (timers, mode);
        self.announce(now);
    }

    /// Switches the session off, or on again (§6.8.16). The peer is told, and goes on hearing of us once a second.
    pub fn set_admin_down(&mut self, down: bool, now: Instant) {
        match (down, self.state) {
            (true, BfdState::Down | BfdState::Init | BfdState::Up) => {
                self.guard = Guard::Excused;
                self.enter(BfdState::AdminDown, Some(BfdLoss::AdminDown), now);
            }
            (false, BfdState::AdminDown) => self.enter(BfdState::Down, None, now),
            (true, BfdState::AdminDown) | (false, BfdState::Down | BfdState::Init | BfdState::Up) => {}
        }
    }

    /// Says whether frames can leave at all. As long as they cannot, nothing is made only to be dropped; once they can,
    /// a packet leaves as soon as the interval since the last one that did leave allows.
    pub const fn set_path_open(&mut self, open: bool) {
        self.path_open = open;
    }

    /// The state.
    pub const fn state(&self) -> BfdState {
        self.state
    }

    /// Our name for the session.
    pub const fn discriminator(&self) -> Discriminator {
        self.discriminator
    }

    /// True when the path must not be used (RFC 5882 §4).
    pub fn is_fault(&self) -> bool {
        self.guard.is_fault(self.mode, self.state)
    }

    /// Counts a refused packet that was meant for this session.
    pub fn refuse(&mut self, why: Refusal) -> Refusal {
        self.counters.refused.count(why);
        why
    }

    const fn learn(&mut self, control: &Control) {
        self.remote = Remote {
            discriminator: Some(control.my_discriminator),
            state: control.state,
            diagnostic: control.diagnostic,
            min_rx: control.required_min_rx,
            min_tx: control.desired_min_tx,
            multiplier: control.multiplier.get(),
            demand: control.demand,
            independent: control.control_plane_independent,
        };
    }

    fn note_heard(&mut self, now: Instant) {
        if let Some(before) = self.heard
            && self.state == BfdState::Up
        {
            self.longest_gap = self.longest_gap.max(now.since(before));
        }
        self.counters.rx += 1;
        self.heard = Some(now);
    }

    /// The Detection Time has passed without a packet (§6.8.4); the peer is forgotten (bfd.RemoteDiscr in §6.8.1).
    fn expire(&mut self, now: Instant) {
        let heard_ago = self.heard.map_or(Duration::ZERO, |heard| now.since(heard));
        let loss = BfdLoss::Silence { heard_ago, detection: self.detection().unwrap_or_default() };
        let independent = self.remote.independent;
        self.heard = None;
        self.remote = Remote { independent, ..Remote::default() };
        if matches!(self.state, BfdState::Init | BfdState::Up) {
            self.enter(BfdState::Down, Some(loss), now);
        } else {
            self.keep_pace(now);
        }
    }

    /// Everything that a change of state brings with it. `loss` is why, if it is one.
    fn enter(&mut self, next: BfdState, loss: Option<BfdLoss>, now: Instant) {
        let from = core::mem::replace(&mut self.state, next);
        if from == next {
            return;
        }
        let loss = loss.filter(|_| next < from);
        self.since = now;
        self.diagnostic = match (loss, next) {
            (Some(BfdLoss::Silence { .. }), _) => Diagnostic::ControlDetectionTimeExpired,
            (Some(BfdLoss::PeerDown(_) | BfdLoss::PeerAdminDown), _) => {
                Diagnostic::NeighborSignaledSessionDown
            }
            (Some(BfdLoss::AdminDown), _) => Diagnostic::AdministrativelyDown,
            (None, BfdState::Up) => Diagnostic::None,
            (None, BfdState::AdminDown | BfdState::Down | BfdState::Init) => self.diagnostic,
        };
        self.remember(BfdChange { at: now, from, to: next, loss });
        if next == BfdState::Up {
            self.guard = self.guard.on_up();
            self.counters.ups += 1;
            self.longest_gap = Duration::ZERO;
            self.tell(BfdEvent::Up);
        } else if from == BfdState::Up {
            self.counters.downs += 1;
            let loss = loss.unwrap_or(BfdLoss::AdminDown);
            self.tell(BfdEvent::Down { loss, peer_independent: self.remote.independent });
        }
        self.announce(now);
        // §6.8.7: a changed state is told at once.
        if self.path_open && (from == BfdState::Up || self.haste.allow(now)) {
            self.owes_packet = true;
            self.pace.sent(self.timers.multiplier, now);
        }
    }

    /// Announces the intervals that state and configuration ask for.
    fn announce(&mut self, now: Instant) {
        let is_up = self.state == BfdState::Up;
        let tx = if is_up { self.timers.min_tx } else { self.timers.min_tx.max(SLOW) };
        self.negotiation.announce(Intervals { tx, rx: self.timers.min_rx }, is_up);
        self.keep_pace(now);
    }

    fn keep_pace(&mut self, now: Instant) {
        let interval = self.negotiation.used().tx.max(self.remote.min_rx);
        self.pace.set_interval(interval, self.timers.multiplier, now);
    }

    /// §6.8.7: not when the peer wants nothing, and not in its Demand mode unless we poll.
    fn sends_periodically(&self) -> bool {
        let both_up = self.state == BfdState::Up && self.remote.state == BfdState::Up;
        let demanded = self.remote.demand && both_up && !self.negotiation.is_polling();
        self.path_open && !self.remote.min_rx.is_zero() && !demanded
    }

    /// §6.8.4, in asynchronous mode.
    fn detection(&self) -> Option<Duration> {
        let slowest = self.negotiation.used().rx.max(self.remote.min_tx);
        (self.remote.multiplier > 0).then(|| slowest.saturating_mul(u32::from(self.remote.multiplier)))
    }

    fn expiry(&self) -> Option<Instant> {
        Some(self.heard?.after(self.detection()?))
    }

    fn packet(&self, poll: bool, is_final: bool) -> Control {
        let Intervals { tx, rx } = self.negotiation.announced();
        Control {
            diagnostic: self.diagnostic,
            state: self.state,
            poll,
            is_final,
            control_plane_independent: self.independent,
            demand: false,
            multiplier: self.timers.multiplier,
            my_discriminator: self.discriminator,
            your_discriminator: self.remote.discriminator,
            desired_min_tx: tx,
            required_min_rx: rx,
            required_min_echo_rx: Duration::ZERO,
        }
    }

    fn tell(&mut self, event: BfdEvent) {
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn remember(&mut self, change: BfdChange) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(change);
    }
}

/// Why we leave our state when we hear `control`, if we do (§6.8.6).
const fn loss_by(control: &Control) -> BfdLoss {
    match control.state {
        BfdState::AdminDown => BfdLoss::PeerAdminDown,
        BfdState::Down | BfdState::Init | BfdState::Up => BfdLoss::PeerDown(control.diagnostic),
    }
}

/// From one process of a gateway to the next: to the peer it is the same session, which sends its next packet in time.
impl Session {
    /// Leaves what makes it this session.
    pub(super) fn pack(&self, out: &mut Parcel) {
        (self.discriminator, self.timers).pack(out);
        (self.state, self.since).pack(out);
        (self.diagnostic, self.remote).pack(out);
        self.negotiation.pack(out);
        self.pace.pack(out);
        (self.owes_final, self.owes_packet).pack(out);
        (self.heard, self.longest_gap).pack(out);
        self.guard.pack(out);
    }

    /// Becomes the session that a predecessor left; where this one is configured otherwise the peer learns it by a Poll Sequence.
    /// `None`, and it is of no use, when this is no session.
    pub(super) fn resume(&mut self, from: &mut Opened<'_>, now: Instant) -> Option<()> {
        let (timers, mode) = (self.timers, self.mode);
        (self.discriminator, self.timers) = Carry::unpack(from)?;
        (self.state, self.since) = Carry::unpack(from)?;
        (self.diagnostic, self.remote) = Carry::unpack(from)?;
        self.negotiation = Carry::unpack(from)?;
        self.pace.resume(from)?;
        (self.owes_final, self.owes_packet) = Carry::unpack(from)?;
        (self.heard, self.longest_gap) = Carry::unpack(from)?;
        self.guard = Carry::unpack(from)?;
        self.set_timers(timers, mode, now);
        if self.state == BfdState::Up {
            // Who waits for it in this process has not heard.
            self.tell(BfdEvent::Up);
        }
        Some(())
    }
}

/// What people see; the addresses are the table's.
impl Session {
    pub(super) fn status(
        &self,
        (own, peer): (core::net::IpAddr, core::net::IpAddr),
        hops: super::Hops,
    ) -> super::BfdStatus {
        super::BfdStatus {
            own,
            peer,
            hops,
            mode: self.mode,
            fault: self.is_fault(),
            guard: self.guard,
            state: self.state,
            since: self.since,
            diagnostic: self.diagnostic,
            remote_state: self.remote.state,
            remote_diagnostic: self.remote.diagnostic,
            discriminator: self.discriminator.get(),
            remote_discriminator: self.remote.discriminator.map_or(0, Discriminator::get),
            timers: self.timers,
            tx_interval: self
                .sends_periodically()
                .then(|| self.negotiation.used().tx.max(self.remote.min_rx)),
            detection: self.detection(),
            remote_min_tx: self.remote.min_tx,
            remote_min_rx: self.remote.min_rx,
            remote_multiplier: self.remote.multiplier,
            remote_independent: self.remote.independent,
            heard: self.heard,
            longest_gap: self.longest_gap,
            counters: self.counters,
            history: self.history.iter().copied().collect(),
        }
    }
}
