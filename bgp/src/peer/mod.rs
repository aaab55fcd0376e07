//! One neighbour: its connections, collisions between them (RFC 4271 clause 6.8), and when to try again.
//!
//! There is one outgoing link, which dials and waits, and at most one incoming link beside it or beside an
//! established session. The links are [`Session`]s that do not know of each other; this module lets the
//! right one live:
//! - when an OPEN arrives while there is another connection, the one made by the side with the larger
//!   identifier stays. We know the peer by its address, so this counts for a connection in OpenSent too,
//!   and for a session that came up a moment ago: the two sides rarely see the same order of events, but
//!   they agree on the identifiers;
//! - an established session wins over a new connection, except where graceful restart was agreed on: then
//!   the peer has restarted, and the old session is the dead one (RFC 4724 section 5);
//! - when one link comes up, the others are given up, unless the peer is about to prefer them.
//!
//! A peer that breaks the protocol, or says we did, or ends one session after the other, is left alone for a while, twice as long each time, up
//! to a limit; a session that stays up for long enough clears the record (DampPeerOscillations, clause
//! 8.1.1). A peer that just goes away is tried again at the pace of the ConnectRetryTimer, and may call
//! us at any time.

mod collision;
mod model;

pub use model::{Direction, PathWatch, PeerEvent, PeerTimers, Standing, Unwelcome};

use crate::{
    error::SessionEnd,
    fsm::State,
    negotiate::{Negotiated, SessionParams},
    session::{MessageCounts, Session, SessionEvent},
    types::Jitter,
    wire::{
        header::MessageType,
        notification::{Cease, Notification},
    },
};
use core::time::Duration;
use net::{Instant, earliest};
use std::collections::VecDeque;

#[derive(Debug)]
struct Link {
    serial: u32,
    direction: Direction,
    session: Session,
}

/// One neighbour.
#[derive(Debug)]
pub struct Peer {
    params: SessionParams,
    timers: PeerTimers,
    standing: Standing,
    links: Vec<Link>,
    next_serial: u32,
    state: State,
    up_since: Option<Instant>,
    /// Faults in a row.
    faults: u32,
    /// Sessions in a row that the peer ended as soon as they were up.
    brief: u32,
    path_up: bool,
    link_up: bool,
    events: VecDeque<PeerEvent>,
    jitter: Jitter,
    /// Counts of links that are gone.
    past: (MessageCounts, MessageCounts),
}

impl Peer {
    /// A peer that is not started yet. `seed` decides its jitter.
    pub fn new(params: SessionParams, timers: PeerTimers, seed: u64) -> Self {
        Self {
            params,
            timers,
            standing: Standing::Stopped,
            links: Vec::new(),
            next_serial: 1,
            state: State::Idle,
            up_since: None,
            faults: 0,
            brief: 0,
            path_up: false,
            link_up: true,
            events: VecDeque::new(),
            jitter: Jitter::new(seed),
            past: Default::default(),
        }
    }

    /// The furthest state of any link.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether it may have a session.
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// What its sessions are made with. What two ends agree on counts from the next session on.
    pub fn set_params(&mut self, params: SessionParams) {
        self.links.iter_mut().for_each(|link| link.session.adopt(&params));
        self.params = params;
    }

    /// What its sessions are made with.
    pub const fn params(&self) -> &SessionParams {
        &self.params
    }

    /// Since when the session is up.
    pub const fn up_since(&self) -> Option<Instant> {
        self.up_since
    }

    /// What the established session agreed on.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.established().and_then(|link| link.session.negotiated())
    }

    /// The connection of the established session.
    pub fn established_serial(&self) -> Option<u32> {
        self.established().map(|link| link.serial)
    }

    /// Messages received and sent on the links there are now.
    pub fn counts(&self) -> (MessageCounts, MessageCounts) {
        self.links
            .iter()
            .map(|link| link.session.counts())
            .fold(self.past, |(a, b), (c, d)| (a.plus(c), b.plus(d)))
    }

    /// How its connections are kept, to change; counts from the next decision on.
    pub const fn timers_mut(&mut self) -> &mut PeerTimers {
        &mut self.timers
    }

    /// Lets the peer run.
    pub fn start(&mut self, now: Instant) {
        (self.faults, self.brief) = (0, 0);
        self.resume(true, now);
    }

    /// Ends everything and stays down until [`Peer::start`].
    pub fn stop(&mut self, note: Notification, now: Instant) {
        self.standing = Standing::Stopped;
        self.stop_links(&note, now);
    }

    /// Ends everything and starts again at `until`.
    pub fn hold(&mut self, note: Notification, until: Instant, now: Instant) {
        self.standing = Standing::HeldUntil(until);
        self.stop_links(&note, now);
    }

    /// Ends the session and starts again at once.
    pub fn reset(&mut self, note: Notification, now: Instant) {
        self.stop_links(&note, now);
        if self.standing != Standing::Stopped {
            self.resume(false, now);
        }
    }

    /// Timers were changed: what was waited for may not be needed any more.
    pub fn reconsider(&mut self, now: Instant) {
        if self.standing == Standing::AwaitsPath {
            self.resume(true, now);
        }
    }

    /// The path to the peer came up or went down (BFD). Going down ends the session (RFC 9384) unless the
    /// path is not watched.
    pub fn handle_path(&mut self, up: bool, now: Instant) {
        let went_down = core::mem::replace(&mut self.path_up, up) && !up;
        if up && self.standing == Standing::AwaitsPath {
            self.resume(true, now);
        }
        if went_down && self.timers.path_watch != PathWatch::Off {
            self.stop_links(&Notification::cease(Cease::BfdDown), now);
            if self.standing == Standing::Runs {
                self.resume(false, now);
            }
        }
    }

    /// The link to the peer came up or went down. Going down ends all that there is as a failure of TCP would,
    /// at once and without a word, for none could arrive; coming up dials at once.
    pub fn handle_link(&mut self, up: bool, now: Instant) {
        let went_down = core::mem::replace(&mut self.link_up, up) && !up;
        if up && self.standing == Standing::AwaitsPath {
            self.resume(true, now);
        }
        if went_down {
            if self.standing == Standing::Runs {
                self.standing = Standing::AwaitsPath;
            }
            while !self.links.is_empty() {
                self.drop_link(0, SessionEnd::Closed, now);
            }
        }
    }

    /// BFD says that the path is gone, and it may be a restart: treats the session as if TCP had failed, so what graceful restart
    /// keeps, stays.
    pub fn lose(&mut self, now: Instant) {
        if let Some(at) = self.links.iter().position(|link| link.session.state() == State::Established) {
            self.drop_link(at, SessionEnd::PathLost, now);
        }
    }

    /// The peer has connected to us. Gives the number of the connection.
    ///
    /// # Errors
    /// [`Unwelcome`] when the connection is to be closed at once.
    pub fn accept(&mut self, now: Instant) -> Result<u32, Unwelcome> {
        match self.standing {
            Standing::Stopped => return Err(Unwelcome::Stopped),
            Standing::HeldUntil(_) => return Err(Unwelcome::Held),
            Standing::AwaitsPath => return Err(Unwelcome::NoPath),
            Standing::Runs => {}
        }
        // A peer that calls again has given up its last call.
        let stale = self.links.iter().position(|link| {
            link.direction == Direction::Incoming && link.session.state() != State::Established
        });
        if let Some(at) = stale {
            self.drop_link(at, SessionEnd::Closed, now);
        }
        let serial = self.take_serial();
        let session = Session::answer(self.params.clone(), self.jitter.next(), now);
        self.links.push(Link { serial, direction: Direction::Incoming, session });
        Ok(serial)
    }

    /// The dial with this number succeeded. False when it is no longer wanted.
    pub fn handle_connected(&mut self, serial: u32, now: Instant) -> bool {
        let params = self.params.clone();
        let link = self.links.iter_mut().find(|link| link.serial == serial);
        let Some(link) = link.filter(|link| link.session.state() == State::Connect) else { return false };
        // Our OPEN says what holds now, not what held when the dial began.
        link.session.renew(params);
        link.session.handle_connected(now);
        true
    }

    /// The connection failed or was closed by the peer.
    pub fn handle_closed(&mut self, serial: u32, now: Instant) {
        if let Some(link) = self.links.iter_mut().find(|link| link.serial == serial) {
            link.session.handle_closed(now);
        }
    }

    /// Octets from the peer.
    pub fn handle_bytes(&mut self, serial: u32, octets: &[u8]) {
        if let Some(link) = self.links.iter_mut().find(|link| link.serial == serial) {
            link.session.handle_bytes(octets);
        }
    }

    /// Lets what is due happen.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.links.iter_mut().for_each(|link| link.session.handle_timeout(now));
        if matches!(self.standing, Standing::HeldUntil(until) if until <= now) {
            self.resume(true, now);
        }
    }

    /// Octets to write on this connection.
    pub fn poll_transmit(&mut self, serial: u32, now: Instant) -> Option<Vec<u8>> {
        self.links.iter_mut().find(|link| link.serial == serial)?.session.poll_transmit(now)
    }

    /// The connections that have octets to write.
    pub fn writers(&self) -> impl Iterator<Item = u32> {
        self.links.iter().filter(|link| link.session.has_output()).map(|link| link.serial)
    }

    /// True when everything queued on the established session was fetched.
    pub fn is_drained(&self) -> bool {
        self.established().is_some_and(|link| !link.session.has_output())
    }

    /// Queues a message on the established session.
    pub fn send(&mut self, kind: MessageType, message: &[u8], now: Instant) {
        let up = self.links.iter_mut().find(|link| link.session.state() == State::Established);
        if let Some(link) = up {
            link.session.send(kind, message, now);
        }
    }

    /// What happened. Call until `None`.
    pub fn poll_event(&mut self, now: Instant) -> Option<PeerEvent> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let mut links = self.links.iter_mut().enumerate();
            let next = links.find_map(|(at, link)| link.session.poll_event(now).map(|event| (at, event)));
            let Some((at, event)) = next else {
                self.forget_dead_links();
                return None;
            };
            self.translate(at, event, now);
        }
    }

    /// When [`Peer::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let held = match self.standing {
            Standing::HeldUntil(until) => Some(until),
            Standing::Stopped | Standing::AwaitsPath | Standing::Runs => None,
        };
        self.links.iter().map(|link| link.session.poll_timeout()).fold(held, earliest)
    }

    fn established(&self) -> Option<&Link> {
        self.links.iter().find(|link| link.session.state() == State::Established)
    }

    fn take_serial(&mut self) -> u32 {
        let serial = self.next_serial;
        self.next_serial = self.next_serial.wrapping_add(1).max(1);
        serial
    }

    /// Runs, unless the link or the path has to come up first. `eager` dials at once instead of waiting for the
    /// ConnectRetryTimer.
    fn resume(&mut self, eager: bool, now: Instant) {
        let no_path = self.timers.path_watch == PathWatch::Strict && !self.path_up;
        if no_path || !self.link_up {
            self.standing = Standing::AwaitsPath;
            return;
        }
        self.standing = Standing::Runs;
        self.ensure_outgoing(eager, now);
    }

    /// Some link must be trying, unless another is already talking.
    fn ensure_outgoing(&mut self, eager: bool, now: Instant) {
        let talking = self.links.iter().any(|link| link.session.state().is_connected());
        if self.standing != Standing::Runs || talking {
            return;
        }
        let (params, seed) = (self.params.clone(), self.jitter.next());
        let at = self.links.iter().position(|link| link.direction == Direction::Outgoing);
        let link = match at.and_then(|at| self.links.get_mut(at)) {
            Some(link) if link.session.state() != State::Idle => return,
            Some(link) => link,
            None => self.links.push_mut(Link {
                serial: 0,
                direction: Direction::Outgoing,
                session: Session::new(params, seed),
            }),
        };
        if eager || self.timers.passive {
            link.session.start(self.timers.passive, now);
        } else {
            link.session.start_later(now);
        }
    }

    fn stop_links(&mut self, note: &Notification, now: Instant) {
        self.links.iter_mut().for_each(|link| link.session.stop(note.clone(), now));
    }

    /// Gives a link up as if its connection had failed, and has the connection closed.
    fn drop_link(&mut self, at: usize, end: SessionEnd, now: Instant) {
        let Some(link) = self.links.get_mut(at) else { return };
        self.events.push_back(PeerEvent::HangUp(link.serial, Vec::new()));
        link.session.handle_failed(end, now);
        self.settle_link(at, now);
        // Nothing above removes a link, so the index is still right.
        if at < self.links.len() {
            let link = self.links.remove(at);
            self.bury(&link);
        }
    }

    /// Translates everything that a link has to tell.
    fn settle_link(&mut self, at: usize, now: Instant) {
        while let Some(event) = self.links.get_mut(at).and_then(|link| link.session.poll_event(now)) {
            self.translate(at, event, now);
        }
    }

    fn forget_dead_links(&mut self) {
        let (kept, dead): (Vec<_>, Vec<_>) = core::mem::take(&mut self.links)
            .into_iter()
            .partition(|link| link.direction == Direction::Outgoing || link.session.state() != State::Idle);
        self.links = kept;
        dead.iter().for_each(|link| self.bury(link));
    }

    fn bury(&mut self, link: &Link) {
        let (received, sent) = link.session.counts();
        self.past = (self.past.0.plus(received), self.past.1.plus(sent));
    }

    fn translate(&mut self, at: usize, event: SessionEvent, now: Instant) {
        let serial = self.links.get(at).map_or(0, |link| link.serial);
        match event {
            SessionEvent::Dial => {
                let serial = self.take_serial();
                self.links.iter_mut().skip(at).take(1).for_each(|link| link.serial = serial);
                self.events.push_back(PeerEvent::Dial(serial));
            }
            SessionEvent::HangUp(last_words) => {
                self.events.push_back(PeerEvent::HangUp(serial, last_words));
            }
            SessionEvent::Moved(..) => self.note_state(),
            SessionEvent::Opened(peer_id) => self.collide(at, peer_id, now),
            SessionEvent::Up(agreed) => self.come_up(at, agreed, now),
            SessionEvent::Update(update) => self.events.push_back(PeerEvent::Update(update)),
            SessionEvent::Refresh(refresh) => self.events.push_back(PeerEvent::Refresh(refresh)),
            SessionEvent::Broken(fault) => self.events.push_back(PeerEvent::Broken(fault)),
            SessionEvent::Ended { end, was_up } => self.end(end, was_up, now),
        }
    }

    fn note_state(&mut self) {
        let state = self.links.iter().map(|link| link.session.state()).max().unwrap_or_default();
        let before = core::mem::replace(&mut self.state, state);
        if before != state {
            self.events.push_back(PeerEvent::Moved(before, state));
        }
    }

    fn end(&mut self, end: SessionEnd, was_up: Option<Box<Negotiated>>, now: Instant) {
        let mut is_fault = end.is_fault();
        if was_up.is_some() {
            let lasted = self.up_since.take().map_or(Duration::ZERO, |since| now.since(since));
            if lasted >= self.timers.stable_after {
                self.faults = 0;
            }
            is_fault |= self.is_restless(&end, lasted);
        }
        // Another connection does not excuse the end of the session.
        let talking = self.links.iter().any(|link| link.session.state().is_connected());
        if is_fault && (was_up.is_some() || !talking) && self.standing == Standing::Runs {
            self.back_off(now);
        } else {
            self.ensure_outgoing(false, now);
        }
        self.events.push_back(PeerEvent::Ended { end, was_up });
    }

    /// Each session costs us a look at the whole table: a peer that ends one after the other is slowed down.
    fn is_restless(&mut self, end: &SessionEnd, lasted: Duration) -> bool {
        if *end == SessionEnd::Collision {
            return false;
        }
        let brief = lasted < BRIEF && matches!(end, SessionEnd::Closed | SessionEnd::PeerSaid(_));
        self.brief = if brief { self.brief.saturating_add(1) } else { 0 };
        self.brief > BRIEF_SESSIONS
    }

    fn back_off(&mut self, now: Instant) {
        let doubled = self.timers.back_off.saturating_mul(1_u32.checked_shl(self.faults).unwrap_or(u32::MAX));
        self.faults = self.faults.saturating_add(1).min(30);
        let delay = self.jitter.shorten(doubled.min(self.timers.back_off_max));
        self.standing = Standing::HeldUntil(now.after(delay));
        self.stop_links(&Notification::cease(Cease::ConnectionRejected), now);
    }
}

/// A session that ends sooner was hardly one.
const BRIEF: Duration = Duration::from_secs(5);
/// So many of them in a row are an accident; the next one is a habit.
const BRIEF_SESSIONS: u32 = 8;
