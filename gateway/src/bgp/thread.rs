//! The loop: octets first, then timers, then what is to be written, then tables.

use std::{net::TcpStream, path::PathBuf, sync::Arc, time::Duration};

use bgp::{
    Event, Family, Io, Speaker,
    fsm::State,
    peer::Standing,
    wire::notification::{Cease, Notification},
};
use config::Secret;
use crossbeam::channel::Receiver;
use dataplane::{ConnectionTables, Tables};
use net::{Instant, earliest};
use sys::{Poller, Ready, Waker};
use tracing::debug;

use super::{
    Command, Goodbye, Start, WAKE,
    memory::{self, Keeper, Lives},
    refusals::{self, Blame, Refusal, Refusals},
    reload::{Places, listen, sign},
    report::{Answer, Question, Reset, RoutesReport},
    speaking::{Speaking, Watched},
    wires::{Found, Lost, Wires},
};
use crate::clock;

/// Rounds over the sockets before timers are judged.
const ROUNDS: usize = 16;
/// Messages given to one connection before others get their turn.
const MESSAGES: usize = 64;
/// Route changes taken over before the sockets are looked at again.
const CHANGES: usize = 50_000;

/// Shortest time between two notes for the next life.
const NOTE: Duration = Duration::from_millis(200);

/// All that the thread has.
pub(super) struct Loop {
    pub(super) speaking: Vec<Speaking>,
    pub(super) wires: Wires,
    pub(super) poller: Poller,
    waker: Waker,
    commands: Receiver<Command>,
    publish: Box<dyn Fn(Arc<Tables>) + Send>,
    tables: Arc<Tables>,
    /// Older generations that a worker may still use: they are given up here, not on a worker's time.
    retired: Vec<Arc<Tables>>,
    next_build: Instant,
    refusals: Refusals,
    pub(super) places: Places,
    /// New tables of connections that do not speak BGP: the next ones that are published have them.
    pub(super) others: Vec<(usize, Arc<ConnectionTables>)>,
    interfaces: Vec<String>,
    pub(super) keeper: Option<Keeper>,
    /// Where it writes.
    pub(super) folder: PathBuf,
    /// Something changed that the next life should know; not written before this time.
    pub(super) noteworthy: bool,
    next_note: Instant,
    found: Vec<Found>,
    gate: Option<Receiver<()>>,
    /// There is more to do before waiting.
    pub(super) busy: bool,
    stop: Option<Goodbye>,
}

impl Loop {
    pub(super) fn new(
        start: Start,
        poller: Poller,
        waker: Waker,
        commands: Receiver<Command>,
        now: Instant,
    ) -> Self {
        let mut speaking = Vec::new();
        let domains = start.domains.into_iter().zip(start.names).zip(start.past);
        for (at, ((domain, names), past)) in domains.enumerate() {
            let seed = start.seed.wrapping_add(u64::try_from(at).unwrap_or(0));
            speaking.push(Speaking::new(domain, names, &start.devices, past, (seed, now)));
        }
        Self {
            speaking,
            wires: Wires::default(),
            poller,
            waker,
            commands,
            publish: start.publish,
            tables: start.tables,
            retired: Vec::new(),
            next_build: now,
            refusals: Refusals::default(),
            places: Places { devices: start.devices, ..Places::default() },
            others: Vec::new(),
            interfaces: start.interfaces,
            keeper: start.keeper,
            folder: start.folder,
            noteworthy: false,
            next_note: now,
            found: Vec::new(),
            gate: start.gate,
            busy: true,
            stop: None,
        }
    }

    /// Gives the sessions whose routes went by the end.
    pub(super) fn run(mut self) -> Vec<Reset> {
        if let Some(gate) = self.gate.take() {
            // One that closes without a word: the predecessor goes on, and its ports and its memory are its own.
            if gate.recv().is_err() {
                return vec![];
            }
        }
        if self.keeper.is_none() {
            memory::forget(&self.folder);
        }
        listen(&mut self.wires, &self.poller, &self.speaking);
        sign(&self.wires, &self.speaking);
        let mut ready = Vec::with_capacity(64);
        let why = loop {
            if let Some(why) = self.stop {
                break why;
            }
            let wait = self.wait(clock::now());
            if self.poller.wait(&mut ready, wait).is_err() {
                // Without a poller there are no octets; timers and commands go on.
                ready.clear();
            }
            self.waker.reset();
            self.busy = false;
            self.take_commands();
            self.take_octets(&mut ready);
            let now = clock::now();
            for one in &mut self.speaking {
                if one.speaker.poll_timeout().is_some_and(|due| due <= now) {
                    one.speaker.handle_timeout(now);
                }
            }
            self.wires.sweep(&self.poller, now);
            self.settle_own(now);
            self.settle(now);
            self.look_at_refusals(now);
            self.renew_tables();
            self.note(now);
        };
        self.say_goodbye(why)
    }

    fn wait(&self, now: Instant) -> Option<Duration> {
        if self.busy {
            return Some(Duration::ZERO);
        }
        let speakers = self.speaking.iter().fold(None, |due, one| earliest(due, one.speaker.poll_timeout()));
        let changed = self.is_changed();
        let note = (self.noteworthy && self.keeper.is_some()).then_some(self.next_note);
        let speakers = self.speaking.iter().map(Speaking::due).fold(speakers, earliest);
        let own = [self.wires.due(), self.refusals.due(), changed.then_some(self.next_build), note];
        own.into_iter().fold(speakers, earliest).map(|due| due.since(now))
    }

    fn is_changed(&self) -> bool {
        !self.others.is_empty() || self.speaking.iter().any(|one| one.routes.is_changed())
    }

    /// Looks at the sockets until they have nothing more, or for long enough.
    fn take_octets(&mut self, ready: &mut Vec<Ready>) {
        for _ in 0..ROUNDS {
            let mut more = false;
            for one in ready.drain(..).filter(|one| one.token != WAKE) {
                more |= self.wires.look(&self.poller, one, &mut self.found);
            }
            let found = core::mem::take(&mut self.found);
            let now = clock::now();
            for one in found {
                self.take(one, now);
            }
            // What arrived meanwhile, on whatever socket, comes before any timer.
            if self.poller.wait(ready, Some(Duration::ZERO)).is_err() || !(more || has_wire(ready)) {
                ready.clear();
                return;
            }
        }
        self.busy = true;
    }

    fn take(&mut self, found: Found, now: Instant) {
        match found {
            Found::Caller(interface, from, stream) => {
                let who = self.speaking.iter_mut().enumerate().find_map(|(at, one)| {
                    let peer = one
                        .peers
                        .iter()
                        .position(|peer| peer.interface == interface && peer.calls_from(from))?;
                    Some((at, peer))
                });
                match who {
                    Some((at, peer)) => self.take_call(at, peer, stream, now),
                    None => debug!(event = "bgp.stranger", from = %from, "no such neighbour there"),
                }
            }
            Found::Connected((at, id)) => {
                let Some(one) = self.speaking.get_mut(at) else { return };
                if !one.speaker.handle_connected(id, now) {
                    let _unanswered = self.wires.hang_up((at, id), &[], now);
                }
            }
            Found::Octets((at, id), octets) => {
                if let Some(one) = self.speaking.get_mut(at) {
                    one.speaker.handle_bytes(id, &octets, now);
                }
            }
            Found::Room => self.busy = true,
            Found::Closed((at, id), why) => {
                let Some(one) = self.speaking.get_mut(at) else { return };
                if let Some(peer) = one.watched(id.peer) {
                    peer.failure = Some((now, why));
                }
                one.speaker.handle_closed(id, now);
            }
        }
    }

    fn take_call(&mut self, at: usize, peer: usize, stream: TcpStream, now: Instant) {
        let Some(one) = self.speaking.get_mut(at) else { return };
        let Some((id, dial)) = one.peers.get(peer).and_then(|peer| Some((peer.id, peer.dial.clone()?)))
        else {
            return;
        };
        match one.speaker.accept(id, now) {
            Ok(id) => {
                if let Err(why) = self.wires.adopt(&self.poller, (at, id), stream, &dial) {
                    debug!(event = "bgp.socket", why = %why);
                    one.speaker.handle_closed(id, now);
                }
            }
            Err(why) => debug!(event = "bgp.unwelcome", from = %dial.peer, why = %why),
        }
    }

    fn settle_own(&mut self, now: Instant) {
        for one in &mut self.speaking {
            one.settle_own(&self.interfaces, now);
        }
    }

    /// Everything that speakers want done: until nothing is left, or others must have their turn.
    fn settle(&mut self, now: Instant) {
        for at in 0..self.speaking.len() {
            // Writing can fail, and a failure gives the speaker something to say again.
            for _ in 0..4 {
                self.tell_events(at, now);
                self.move_connections(at, now);
                if !self.write(at, now) {
                    break;
                }
            }
            let Some(one) = self.speaking.get_mut(at) else { continue };
            one.wait_no_longer(now);
            one.tell_rest(now);
            one.settle_restored(now);
            let mut taken = 0;
            while let Some(change) = one.speaker.poll_route_change() {
                one.routes.apply(&change);
                taken += 1;
                if taken == CHANGES {
                    self.busy = true;
                    break;
                }
            }
        }
    }

    pub(super) fn tell_events(&mut self, at: usize, now: Instant) {
        let Some(one) = self.speaking.get_mut(at) else { return };
        while let Some(event) = one.speaker.poll_event() {
            self.noteworthy |= matches!(event, Event::Up { .. } | Event::Down { was_up: true, .. });
            one.note(&event, now);
        }
    }

    pub(super) fn move_connections(&mut self, at: usize, now: Instant) {
        loop {
            let Some(one) = self.speaking.get_mut(at) else { return };
            let Some(io) = one.speaker.poll_io() else { return };
            match io {
                Io::Close(id, last_words) => {
                    let unanswered = self.wires.hang_up((at, id), &last_words, now);
                    if let Some(peer) = one.watched(id.peer).filter(|_| unanswered) {
                        peer.failure = Some((now, Lost::to("no answer to attempts to connect")));
                    }
                }
                Io::Connect(id) => {
                    let dial = one.watched(id.peer).and_then(|peer| peer.dial.clone());
                    let dialled = match dial {
                        Some(dial) => self.wires.dial(&self.poller, (at, id), &dial, now).map_err(Lost::from),
                        None => Err(Lost::to("its interface has no TAP device")),
                    };
                    if let Err(why) = dialled {
                        if let Some(peer) = one.watched(id.peer) {
                            peer.failure = Some((now, why));
                        }
                        one.speaker.handle_closed(id, now);
                    }
                }
            }
        }
    }

    /// Gives every connection that can take it what it has to write. True when one failed.
    fn write(&mut self, at: usize, now: Instant) -> bool {
        let Some(one) = self.speaking.get_mut(at) else { return false };
        let mut failed = false;
        for id in one.speaker.writers() {
            let mut left = MESSAGES;
            while self.wires.is_free((at, id)) {
                if left == 0 {
                    self.busy = true;
                    break;
                }
                left -= 1;
                let Some(octets) = one.speaker.poll_transmit(id, now) else { break };
                if let Err(why) = self.wires.write(&self.poller, (at, id), &octets) {
                    if let Some(peer) = one.watched(id.peer) {
                        peer.failure = Some((now, why));
                    }
                    one.speaker.handle_closed(id, now);
                    failed = true;
                }
            }
        }
        failed
    }

    /// Builds and publishes tables, unless the last ones were just built.
    pub(super) fn renew_tables(&mut self) {
        self.retired.retain(|tables| Arc::strong_count(tables) > 1);
        let began = clock::now();
        if began < self.next_build || !self.is_changed() {
            return;
        }
        let mut connections = self.tables.connections.clone();
        for (at, tables) in self.others.drain(..) {
            if let Some(place) = connections.get_mut(at) {
                *place = tables;
            }
        }
        for one in &mut self.speaking {
            if one.routes.is_changed()
                && let Some(place) = connections.get_mut(one.connection)
            {
                *place = one.routes.tables();
            }
        }
        let tables = Arc::new(Tables { generation: self.tables.generation + 1, connections });
        self.noteworthy = true;
        self.retired.push(core::mem::replace(&mut self.tables, Arc::clone(&tables)));
        (self.publish)(tables);
        let took = clock::now().since(began);
        self.next_build = clock::now().after(took.saturating_mul(2));
        if took > Duration::from_millis(50) {
            debug!(event = "bgp.tables", generation = self.tables.generation, took_ms = took.as_millis());
        }
    }

    /// Leaves word for the next life, when something changed.
    fn note(&mut self, now: Instant) {
        let Some(keeper) = self.keeper.as_ref().filter(|_| self.noteworthy && self.next_note <= now) else {
            return;
        };
        let lives = self.speaking.iter().map(|one| one.life(&self.interfaces, |peer| peer.keeps_ours));
        // One that still waits to be written is followed by this one later.
        self.noteworthy = !keeper.note(Lives { connections: lives.collect() });
        self.next_note = now.after(NOTE.max(clock::now().since(now).saturating_mul(8)));
    }

    fn look_at_refusals(&mut self, now: Instant) {
        let missing = |peer: &Watched, one: &Speaking| {
            peer.link.is_ok()
                && one.speaker.status(peer.id).is_some_and(|status| status.state != State::Established)
        };
        let any = self.speaking.iter().any(|one| one.peers.iter().any(|peer| missing(peer, one)));
        let Some(kinds) = self.refusals.look(any, now) else { return };
        self.blame(&kinds, now);
    }

    /// Says of those neighbours that these kinds of segments were refused who can have sent them.
    fn blame(&mut self, kinds: &[Refusal], now: Instant) {
        let dropped = self.wires.dropped();
        let all = self.speaking.iter().enumerate();
        let suspects: Vec<_> = all.flat_map(|(at, one)| one.suspects(at, dropped.as_ref(), now)).collect();
        let blamed = refusals::blame(kinds, &suspects, dropped.is_some());
        for peer in self.speaking.iter_mut().flat_map(|one| &mut one.peers) {
            peer.refused.forget(now);
        }
        for Blame { speaker, peer, kind, among } in blamed {
            let Some(peer) = self.speaking.get_mut(speaker).and_then(|one| one.watched(peer)) else {
                continue;
            };
            if peer.refused.add(kind, among.clone(), now) {
                kind.tell(&peer.name, &among);
            }
            if !peer.refused.is_sure() {
                self.refusals.look_closely(now);
            }
        }
    }

    fn take_commands(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            let now = clock::now();
            match command {
                Command::Link(interface, link) => {
                    self.places.links.insert(interface, link);
                    for one in &mut self.speaking {
                        one.set_link(interface, link, now);
                    }
                }
                Command::Path(news) => {
                    self.places.paths.insert((news.interface, news.peer), news);
                    for one in &mut self.speaking {
                        one.set_path(news, now);
                    }
                }
                Command::Drain(interface, draining) => {
                    if draining {
                        self.places.drained.insert(interface);
                    } else {
                        self.places.drained.remove(&interface);
                    }
                    for one in &mut self.speaking {
                        one.drain(interface, draining);
                    }
                }
                Command::Ask(asked) => {
                    if let Some((question, reply)) = asked.begin() {
                        // Whoever asked may be gone.
                        let _sent = reply.send(self.answer(question, now));
                    }
                }
                Command::Password { connection, neighbor, password } => {
                    self.set_password(connection, neighbor, password);
                }
                Command::Reload(domains, names, others) => self.reload(domains, names, others),
                Command::Stop(why) => self.stop = Some(why),
            }
        }
    }

    fn of(&mut self, connection: usize) -> Option<(usize, &mut Speaking)> {
        self.speaking.iter_mut().enumerate().find(|(_, one)| one.connection == connection)
    }

    fn set_password(&mut self, connection: usize, neighbor: usize, password: Option<Secret>) {
        let Some((at, one)) = self.of(connection) else { return };
        let Some(peer) = one.peers.get_mut(neighbor) else { return };
        let Some(dial) = &mut peer.dial else { return };
        dial.password = password;
        let id = peer.id;
        self.sign(at, id);
    }

    fn answer(&mut self, question: Question, now: Instant) -> Answer {
        let generation = self.tables.generation;
        match question {
            Question::Neighbors => {
                Answer::Neighbors(self.speaking.iter().flat_map(|one| one.reports(now)).collect())
            }
            Question::Routes(from, limit) => {
                let mut left = limit;
                let page = |one: &Speaking| {
                    let after = from.after.filter(|_| one.connection == from.connection);
                    let page = one.learned(after, left);
                    left -= page.routes.len();
                    page
                };
                let asked = self.speaking.iter().filter(|one| one.connection >= from.connection);
                Answer::Routes(RoutesReport { generation, connections: asked.map(page).collect() })
            }
            Question::Explain(connection, wanted) => match self.of(connection) {
                Some((_, one)) => Answer::Explained(Box::new(one.explain(wanted, generation))),
                None => Answer::Done(Err("the connection does not speak BGP")),
            },
            Question::Clear(connection, neighbor) => {
                Answer::Done(self.wish(connection, neighbor, |speaker, peer| {
                    if peer.shut.is_some() {
                        return Err("it is shut down; `quadspan bgp enable` lets it run again");
                    }
                    speaker.reset_peer(peer.id, "cleared by the operator", now);
                    speaker.start_peer(peer.id, now);
                    Ok(())
                }))
            }
            Question::Refresh(connection, neighbor) => {
                Answer::Done(self.wish(connection, neighbor, |speaker, peer| {
                    let asked = Family::ALL.map(|family| speaker.ask_again(peer.id, family));
                    if asked.contains(&true) {
                        Ok(())
                    } else {
                        Err("no session, or it cannot refresh routes")
                    }
                }))
            }
            Question::Shutdown(connection, neighbor, text) => {
                Answer::Done(self.wish(connection, neighbor, |speaker, peer| {
                    let note = Notification::cease_with_text(Cease::AdminShutdown, &text);
                    speaker.stop_peer(peer.id, note, now);
                    peer.shut = Some(text);
                    Ok(())
                }))
            }
            Question::Enable(connection, neighbor) => {
                Answer::Done(self.wish(connection, neighbor, |speaker, peer| {
                    // By an operator, or by `max_in`, for good or for a while.
                    let stopped = |one: bgp::PeerStatus| match one.standing {
                        Standing::Stopped | Standing::HeldUntil(_) => true,
                        Standing::AwaitsPath | Standing::Runs => false,
                    };
                    let stopped = speaker.status(peer.id).is_some_and(stopped);
                    if peer.shut.take().is_none() && !stopped {
                        return Err("it is not shut down");
                    }
                    speaker.start_peer(peer.id, now);
                    Ok(())
                }))
            }
        }
    }

    fn wish(
        &mut self,
        connection: usize,
        neighbor: usize,
        act: impl FnOnce(&mut Speaker, &mut Watched) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        let (_, one) = self.of(connection).ok_or("the connection does not speak BGP")?;
        let peer = one.peers.get_mut(neighbor).ok_or("no such neighbour")?;
        act(&mut one.speaker, peer)
    }

    /// Neighbours that shall keep our routes while we restart must not hear that we go (RFC 4724 §4.1); the others hear why
    /// (RFC 9003).
    fn say_goodbye(&mut self, why: Goodbye) -> Vec<Reset> {
        let resets = self.speaking.iter().flat_map(Speaking::resets).collect();
        let now = clock::now();
        if let Some(keeper) = self.keeper.take() {
            let lives = self.speaking.iter().map(|one| one.life(&self.interfaces, |peer| peer.silent_stop));
            let connections: Vec<_> = lives.collect();
            let any = connections.iter().any(|life| !life.sessions.is_empty());
            keeper.end(any.then_some(Lives { connections }));
        }
        for one in &mut self.speaking {
            for peer in one.peers.iter().filter(|peer| !peer.silent_stop) {
                one.speaker.stop_peer(peer.id, last_words(why), now);
            }
        }
        for at in 0..self.speaking.len() {
            self.tell_events(at, now);
            self.move_connections(at, now);
        }
        resets
    }
}

/// RFC 4486 §4: who is restarted is back at once, and did not shut anything down; RFC 9003 has the words.
fn last_words(why: Goodbye) -> Notification {
    match why {
        Goodbye::Ends => Notification::cease_with_text(Cease::AdminShutdown, "gateway stopped"),
        Goodbye::HandsOver => Notification::cease_with_text(Cease::AdminReset, "the gateway restarts"),
    }
}

fn has_wire(ready: &[Ready]) -> bool {
    ready.iter().any(|one| one.token != WAKE)
}
