//! One connection: framing, the state machine and its timers. Bytes in, bytes and events out.
//!
//! Messages are read one at a time and only when [`Session::poll_event`] is called: after an OPEN the
//! owner decides about collisions ([`SessionEvent::Opened`]) before the next message is looked at, and
//! routes are never piled up in memory.
//!
//! Invariants: the inbox is empty while there is no connection; every event that leaves a connected state
//! is followed by exactly one [`SessionEvent::Ended`]; a KEEPALIVE is never queued behind unsent octets.

use crate::{
    error::SessionEnd,
    fsm::{self, Action, Event, State},
    negotiate::{Negotiated, SessionParams},
    types::{Jitter, RouterId},
    wire::{
        fault::Fault,
        header::{self, Frame, HEADER_LEN, MAX_LEN, MessageType},
        notification::{Cause, Cease, FsmError, Notification, OpenError},
        open::Open,
        refresh::RouteRefresh,
        update::{self, Update},
    },
};
use core::time::Duration;
use net::{Instant, earliest};
use std::collections::VecDeque;

/// What a session tells its owner.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionEvent {
    /// Open a TCP connection to the peer.
    Dial,
    /// Close the connection, after these last octets if they can still be written.
    HangUp(Vec<u8>),
    /// The state changed.
    Moved(State, State),
    /// A good OPEN came from the peer with this identifier. Now is the time for
    /// [`Session::dump`], here or on the other connection; the next poll goes on.
    Opened(RouterId),
    /// The session is up.
    Up(Box<Negotiated>),
    /// Routes.
    Update(Update),
    /// A request for ours, or the begin or end of theirs.
    Refresh(RouteRefresh),
    /// An UPDATE was so broken that the session must end; [`SessionEvent::Ended`] follows.
    Broken(Fault),
    /// The connection is over.
    Ended {
        /// Why.
        end: SessionEnd,
        /// What had been agreed on, if the session was up.
        was_up: Option<Box<Negotiated>>,
    },
}

/// Messages by type.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MessageCounts {
    /// OPEN
    pub open: u64,
    /// UPDATE
    pub update: u64,
    /// NOTIFICATION
    pub notification: u64,
    /// KEEPALIVE
    pub keepalive: u64,
    /// ROUTE-REFRESH
    pub refresh: u64,
}

impl MessageCounts {
    const fn count(&mut self, kind: MessageType) {
        let counter = match kind {
            MessageType::Open => &mut self.open,
            MessageType::Update => &mut self.update,
            MessageType::Notification => &mut self.notification,
            MessageType::Keepalive => &mut self.keepalive,
            MessageType::RouteRefresh => &mut self.refresh,
        };
        *counter = counter.saturating_add(1);
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            open: self.open.saturating_add(other.open),
            update: self.update.saturating_add(other.update),
            notification: self.notification.saturating_add(other.notification),
            keepalive: self.keepalive.saturating_add(other.keepalive),
            refresh: self.refresh.saturating_add(other.refresh),
        }
    }

    /// All of them.
    pub const fn total(&self) -> u64 {
        self.open
            .saturating_add(self.update)
            .saturating_add(self.notification)
            .saturating_add(self.keepalive)
            .saturating_add(self.refresh)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Timers {
    connect_retry: Option<Instant>,
    hold: Option<Instant>,
    keepalive: Option<Instant>,
    send_hold: Option<Instant>,
}

/// One connection to a peer, from dialling to the last word.
#[derive(Debug)]
pub struct Session {
    params: SessionParams,
    state: State,
    /// It lives as long as one connection that the peer made, and never dials.
    answers: bool,
    /// There is a TCP connection, or one is being opened.
    attached: bool,
    inbox: Vec<u8>,
    /// Octets at the front of the inbox that were read.
    read: usize,
    outbox: Vec<u8>,
    timers: Timers,
    /// The OPEN that waits for the owner's verdict on collisions.
    pending: Option<Box<Negotiated>>,
    negotiated: Option<Box<Negotiated>>,
    events: VecDeque<SessionEvent>,
    received: MessageCounts,
    sent: MessageCounts,
    jitter: Jitter,
}

impl Session {
    /// An idle session. `seed` decides its jitter.
    pub fn new(params: SessionParams, seed: u64) -> Self {
        Self {
            params,
            state: State::Idle,
            answers: false,
            attached: false,
            inbox: Vec::new(),
            read: 0,
            outbox: Vec::new(),
            timers: Timers::default(),
            pending: None,
            negotiated: None,
            events: VecDeque::new(),
            received: MessageCounts::default(),
            sent: MessageCounts::default(),
            jitter: Jitter::new(seed),
        }
    }

    /// A session on a connection that the peer has opened. It ends with the connection.
    pub fn answer(params: SessionParams, seed: u64, now: Instant) -> Self {
        let mut session = Self { answers: true, ..Self::new(params, seed) };
        session.start(true, now);
        session.handle_connected(now);
        session
    }

    /// Where it stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// What was agreed on, while OpenConfirm or Established.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.negotiated.as_deref()
    }

    /// What it was made with.
    pub const fn params(&self) -> &SessionParams {
        &self.params
    }

    /// Messages received and sent.
    pub const fn counts(&self) -> (MessageCounts, MessageCounts) {
        (self.received, self.sent)
    }

    /// New parameters for the next connection; ignored while there is one.
    pub fn renew(&mut self, params: SessionParams) {
        if !self.state.is_connected() {
            self.params = params;
        }
    }

    /// Takes over what of new parameters needs no agreement; timers that run go on to their end.
    pub fn adopt(&mut self, params: &SessionParams) {
        self.params = self.params.with_own_ways_of(params);
        for agreed in self.negotiated.iter_mut().chain(&mut self.pending) {
            agreed.keepalive = self.params.keepalive_for(agreed.hold_time);
        }
    }

    /// Begins: dials, or waits to be called when `passive`.
    pub fn start(&mut self, passive: bool, now: Instant) {
        self.step(if passive { Event::StartPassive } else { Event::Start }, SessionEnd::Closed, now);
    }

    /// Begins without dialling, but dials when the ConnectRetryTimer expires.
    pub fn start_later(&mut self, now: Instant) {
        self.step(Event::StartPassive, SessionEnd::Closed, now);
        self.act(Action::ArmConnectRetry, State::Active, &SessionEnd::Closed, now);
    }

    /// Ends it with `note`. Where the peer would otherwise keep our routes over a NOTIFICATION, and should
    /// not, the note goes inside a Hard Reset (RFC 8538 section 3).
    pub fn stop(&mut self, note: Notification, now: Instant) {
        let keeps = self.negotiated.as_ref().is_some_and(|agreed| agreed.restart_over_notification);
        let gone_for_good = matches!(
            note.cause,
            Cause::Cease(
                Cease::AdminShutdown | Cease::PeerDeconfigured | Cease::MaxPrefixes | Cease::BfdDown
            )
        );
        let note = if keeps && gone_for_good { note.hard_reset() } else { note };
        self.step(Event::Stop, SessionEnd::Local(note), now);
    }

    /// Ends it because the other connection to the same peer is kept (RFC 4271 clause 6.8).
    pub fn dump(&mut self, now: Instant) {
        self.step(Event::CollisionDump, SessionEnd::Collision, now);
    }

    /// The TCP connection is there.
    pub fn handle_connected(&mut self, now: Instant) {
        self.attached = true;
        self.step(Event::TcpOpen, SessionEnd::Closed, now);
    }

    /// The TCP connection failed, or was closed.
    pub fn handle_closed(&mut self, now: Instant) {
        self.handle_failed(SessionEnd::Closed, now);
    }

    /// The TCP connection is treated as failed, for this reason.
    pub fn handle_failed(&mut self, end: SessionEnd, now: Instant) {
        self.attached = false;
        self.step(Event::TcpFails, end, now);
    }

    /// Octets from the peer. They are read by [`Session::poll_event`].
    pub fn handle_bytes(&mut self, octets: &[u8]) {
        if self.state.is_connected() {
            self.inbox.extend_from_slice(octets);
        }
    }

    /// Lets the timers that are due expire.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if due(self.timers.send_hold) {
            self.timers.send_hold = None;
            self.step(Event::SendHoldExpires, SessionEnd::SendHoldTimer, now);
        }
        if due(self.timers.hold) {
            self.timers.hold = None;
            self.step(Event::HoldExpires, SessionEnd::HoldTimer, now);
        }
        if due(self.timers.connect_retry) {
            self.timers.connect_retry = None;
            self.step(Event::ConnectRetryExpires, SessionEnd::Closed, now);
        }
        if due(self.timers.keepalive) {
            self.timers.keepalive = None;
            self.step(Event::KeepaliveExpires, SessionEnd::Closed, now);
        }
    }

    /// Octets to write, all that are queued. Call it when the socket can take them: octets that nobody
    /// fetches for the send hold time end the session (RFC 9687).
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.outbox.is_empty() {
            return None;
        }
        self.timers.send_hold = None;
        if self.timers.keepalive.is_some() {
            // Clause 8.2.2: each KEEPALIVE or UPDATE sent restarts the timer.
            self.arm_keepalive(now);
        }
        Some(core::mem::take(&mut self.outbox))
    }

    /// True when there is something to write.
    pub const fn has_output(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// What happened; reads at most one message per call. Call until `None`.
    pub fn poll_event(&mut self, now: Instant) -> Option<SessionEvent> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if let Some(agreed) = self.pending.take() {
                self.negotiated = Some(agreed);
                self.step(Event::Open, SessionEnd::Closed, now);
            } else if !(self.state.is_connected() && self.read_message(now)) {
                return None;
            }
        }
    }

    /// When [`Session::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let Timers { connect_retry, hold, keepalive, send_hold } = self.timers;
        [connect_retry, hold, keepalive, send_hold].into_iter().fold(None, earliest)
    }

    /// Queues a message. Ignored without a connection.
    pub fn send(&mut self, kind: MessageType, message: &[u8], now: Instant) {
        if !self.state.is_connected() && kind != MessageType::Notification {
            return;
        }
        if self.outbox.is_empty() {
            self.timers.send_hold = Some(now.after(self.send_hold_time()));
        }
        self.sent.count(kind);
        self.outbox.extend_from_slice(message);
    }

    /// RFC 9687 section 3.1: at least eight minutes, or twice the hold time.
    fn send_hold_time(&self) -> Duration {
        let hold = self.negotiated.as_ref().map_or(self.params.hold_time, |agreed| agreed.hold_time);
        self.params.send_hold.unwrap_or_else(|| SEND_HOLD_MIN.max(hold.saturating_mul(2)))
    }

    /// Reads one message; false when there is no whole one.
    fn read_message(&mut self, now: Instant) -> bool {
        let inbox = core::mem::take(&mut self.inbox);
        let unread = inbox.get(self.read..).unwrap_or_default();
        let max_len = self.negotiated.as_ref().map_or(MAX_LEN, |agreed| agreed.max_read);
        let used = match header::split(unread, max_len) {
            Ok(None) => 0,
            Ok(Some(frame)) => {
                self.received.count(frame.kind);
                self.take_message(frame, now);
                frame.len()
            }
            Err(note) => {
                self.step(Event::HeaderError, SessionEnd::PeerFault(note), now);
                unread.len()
            }
        };
        if self.state.is_connected() {
            self.put_back(inbox, used);
        }
        used > 0
    }

    /// Keeps what was not read yet. Octets move only when everything, or a good deal, was read, so that
    /// many small messages do not each move the rest.
    fn put_back(&mut self, mut inbox: Vec<u8>, used: usize) {
        self.read = self.read.saturating_add(used);
        if self.read >= inbox.len() || self.read >= COMPACT_AT {
            inbox.drain(..self.read.min(inbox.len()));
            self.read = 0;
        }
        self.inbox = inbox;
    }

    fn take_message(&mut self, frame: Frame<'_>, now: Instant) {
        match (frame.kind, self.state) {
            (MessageType::Open, State::OpenSent) => self.take_open(frame.body, now),
            (MessageType::Update, State::Established) => self.take_update(frame.body, now),
            (MessageType::RouteRefresh, State::Established) => self.take_refresh(frame.body, now),
            (MessageType::Notification, _) => self.take_notification(frame.body, now),
            (MessageType::Keepalive, _) => self.step(Event::Keepalive, SessionEnd::Closed, now),
            (MessageType::Open, _) => self.step(Event::Open, SessionEnd::Closed, now),
            (MessageType::Update, _) => self.step(Event::Update, SessionEnd::Closed, now),
            (MessageType::RouteRefresh, _) => self.step(Event::Refresh, SessionEnd::Closed, now),
        }
    }

    fn take_open(&mut self, body: &[u8], now: Instant) {
        match Open::parse(body).and_then(|open| self.params.negotiate(&open)) {
            Ok(agreed) => {
                self.events.push_back(SessionEvent::Opened(agreed.peer_id));
                self.pending = Some(Box::new(agreed));
            }
            Err(note) => self.step(Event::OpenError, SessionEnd::PeerFault(note), now),
        }
    }

    fn take_update(&mut self, body: &[u8], now: Instant) {
        let Some(agreed) = self.negotiated.as_ref() else { return };
        match update::parse(body, &agreed.update_context(&self.params)) {
            Ok(update) => {
                self.step(Event::Update, SessionEnd::Closed, now);
                self.events.push_back(SessionEvent::Update(update));
            }
            Err(reset) => {
                self.events.push_back(SessionEvent::Broken(reset.fault));
                self.step(Event::UpdateError, SessionEnd::PeerFault(reset.notification), now);
            }
        }
    }

    fn take_refresh(&mut self, body: &[u8], now: Instant) {
        let enhanced = self.negotiated.as_ref().is_some_and(|agreed| agreed.enhanced_refresh);
        match RouteRefresh::parse(body, enhanced) {
            Ok(refresh) => {
                self.step(Event::Refresh, SessionEnd::Closed, now);
                self.events.push_back(SessionEvent::Refresh(refresh));
            }
            Err(note) => self.step(Event::UpdateError, SessionEnd::PeerFault(note), now),
        }
    }

    fn take_notification(&mut self, body: &[u8], now: Instant) {
        // Clause 6.4: one that cannot be read ends the session like any other, and is not answered.
        let note = Notification::parse(body).unwrap_or_else(|| Notification::new(Cause::Other(0, 0)));
        let version = note.cause == Cause::Open(OpenError::Version);
        let event = if version { Event::NotifyVersion } else { Event::Notification };
        self.step(event, SessionEnd::PeerSaid(note), now);
    }

    fn step(&mut self, event: Event, end: SessionEnd, now: Instant) {
        let from = self.state;
        let (to, actions) = fsm::step(from, event);
        let gone = from.is_connected() && !to.is_connected();
        let to = if gone && self.answers { State::Idle } else { to };
        let end = match unexpected(from).filter(|_| actions.contains(&Action::NotifyUnexpected)) {
            Some(note) => SessionEnd::PeerFault(note),
            None => end,
        };
        self.state = to;
        for action in actions {
            self.act(*action, from, &end, now);
        }
        if from != to {
            self.events.push_back(SessionEvent::Moved(from, to));
        }
        if gone {
            self.timers.connect_retry = self.timers.connect_retry.filter(|_| !self.answers);
            let was_up = self.negotiated.take().filter(|_| from == State::Established);
            self.pending = None;
            self.inbox = Vec::new();
            self.read = 0;
            self.outbox = Vec::new();
            self.events.push_back(SessionEvent::Ended { end, was_up });
        }
        if to == State::Established && from != to {
            self.events.extend(self.negotiated.clone().map(SessionEvent::Up));
        }
    }

    fn act(&mut self, action: Action, from: State, end: &SessionEnd, now: Instant) {
        match action {
            Action::Dial => {
                self.attached = true;
                self.events.push_back(SessionEvent::Dial);
            }
            Action::HangUp => {
                if core::mem::take(&mut self.attached) {
                    let last_words = core::mem::take(&mut self.outbox);
                    self.events.push_back(SessionEvent::HangUp(last_words));
                }
            }
            Action::SendOpen => {
                let open = header::emit(MessageType::Open, &self.params.open().emit());
                self.send(MessageType::Open, &open, now);
            }
            Action::SendKeepalive => {
                // Octets that wait already will tell the peer as much once they get through.
                if self.outbox.is_empty() || from == State::OpenSent {
                    self.send(MessageType::Keepalive, &header::emit(MessageType::Keepalive, &[]), now);
                }
                self.arm_keepalive(now);
            }
            Action::Notify | Action::NotifyUnexpected => {
                if let Some(note) = end.told() {
                    // The data may be a whole message of the peer's: no more of it than fits into one to it.
                    let longest = self.negotiated.as_ref().map_or(MAX_LEN, |agreed| agreed.max_len);
                    let mut body = note.emit();
                    body.truncate(longest.saturating_sub(HEADER_LEN));
                    self.send(
                        MessageType::Notification,
                        &header::emit(MessageType::Notification, &body),
                        now,
                    );
                }
            }
            Action::ArmConnectRetry => {
                let delay = self.jitter.shorten(self.params.connect_retry);
                self.timers.connect_retry = Some(now.after(delay));
            }
            Action::ArmOpenWait => self.timers.hold = Some(now.after(self.params.open_wait)),
            Action::ArmNegotiated => {
                // With a hold time of zero the OPEN exchange still has to end some time.
                if self.hold_time().is_zero() {
                    self.timers.hold = Some(now.after(self.params.open_wait));
                } else {
                    self.restart_hold(now);
                }
                self.arm_keepalive(now);
            }
            Action::RestartHold => self.restart_hold(now),
            Action::StopTimers => self.timers = Timers::default(),
            // The caller of `step` sees these by the states and pushes the events.
            Action::ComeUp | Action::GoDown | Action::Deliver => {}
        }
    }

    fn hold_time(&self) -> Duration {
        self.negotiated.as_ref().map_or(Duration::ZERO, |agreed| agreed.hold_time)
    }

    fn restart_hold(&mut self, now: Instant) {
        let hold = self.hold_time();
        self.timers.hold = (!hold.is_zero()).then(|| now.after(hold));
    }

    fn arm_keepalive(&mut self, now: Instant) {
        let every = self.negotiated.as_ref().map_or(Duration::ZERO, |agreed| agreed.keepalive);
        self.timers.keepalive = (!every.is_zero()).then(|| now.after(self.jitter.shorten(every)));
    }
}

/// Read octets that make it worth to move the rest to the front.
const COMPACT_AT: usize = 32 * 1024;

/// RFC 9687 section 3.1.
const SEND_HOLD_MIN: Duration = Duration::from_secs(480);

/// RFC 6608: the subcode names the state.
const fn unexpected(state: State) -> Option<Notification> {
    let subcode = match state {
        State::Idle | State::Connect | State::Active => return None,
        State::OpenSent => FsmError::OpenSent,
        State::OpenConfirm => FsmError::OpenConfirm,
        State::Established => FsmError::Established,
    };
    Some(Notification::new(Cause::Fsm(subcode)))
}
