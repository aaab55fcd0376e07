//! The speaker of one routed domain: peers and tables, joined.
//!
//! It has no clock, no sockets and no randomness of its own. The owner of the sockets feeds it
//! (`handle_*`), then drains it:
//! - [`Speaker::poll_io`]: connections to open and close;
//! - [`Speaker::writers`] and [`Speaker::poll_transmit`]: octets to write. UPDATEs are made when they are
//!   fetched, so a slow peer costs memory for prefixes to look at, never for messages, and changes that
//!   undo each other are never sent;
//! - [`Speaker::poll_route_change`]: what the forwarding table must know; changes to one prefix are told
//!   once, in the order of prefixes;
//! - [`Speaker::poll_event`]: what an operator would want to know;
//! - [`Speaker::poll_timeout`]: when to call [`Speaker::handle_timeout`]. Feed octets that have arrived
//!   first: a hold timer that expires while the peer's KEEPALIVE waits in the socket ends the session.
//!
//! Same calls, same results: everything that can be seen is ordered.
//!
//! | file | what it does |
//! | --- | --- |
//! | `config` | what it is told |
//! | `neighbor` | what it keeps for each peer |
//! | `inbound` | UPDATEs to tables, stale routes |
//! | `last_words` | the last NOTIFICATIONs of either side |
//! | `limits` | how many prefixes a peer may send |
//! | `refresh` | routes told again, when we or the peer ask for that |
//! | `import`, `export` | the checks and changes on the way in and out, with reasons |
//! | `outbound` | tables to UPDATEs |
//! | `status` | what it shows, and why each route is where it is |

mod config;
mod event;
mod export;
mod import;
mod inbound;
mod last_words;
mod limits;
mod neighbor;
mod outbound;
mod refresh;
mod status;

pub use config::{
    FamilyConfig, Impact, InLimit, InLimitAction, OutLimit, PeerConfig, RestartMode, Restarting,
    SpeakerConfig,
};
pub use event::{ConnectionId, Event, Io, LimitDirection, LimitLevel, RouteChange, RouteNextHop};
pub use export::NotSent;
pub use import::Refusal;
pub use last_words::LastWords;
pub use status::{Explanation, ExportStory, FamilyStatus, PathStory, PeerStatus};

use crate::{
    decision::PeerFacts,
    peer::{PathWatch, Peer, PeerEvent, Standing, Unwelcome},
    policy::Policy,
    rib::{Path, PeerId, PrefixMap, Rib},
    types::{Asn, Family, Jitter, PerFamily},
    wire::{
        attributes::{Attributes, NextHop},
        notification::{Cease, Notification},
    },
};
use core::net::Ipv4Addr;
use neighbor::{Neighbor, Refused};
use net::{Instant, IpNet, earliest};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// The speaker.
#[derive(Debug)]
pub struct Speaker {
    config: SpeakerConfig,
    rib: Rib,
    neighbors: BTreeMap<PeerId, Neighbor>,
    next_peer: u16,
    /// Prefixes the forwarding table has to hear about.
    changed: PrefixMap<()>,
    events: VecDeque<Event>,
    io: VecDeque<Io>,
    /// After a restart of ours: nothing is chosen before this time.
    deferred_until: Option<Instant>,
    jitter: Jitter,
}

/// There are as many peers as can be numbered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no more peers can be numbered")]
pub struct TooManyPeers;

impl Speaker {
    /// A speaker without peers. `seed` decides all its jitter.
    pub fn new(config: SpeakerConfig, seed: u64, now: Instant) -> Self {
        Self {
            rib: Rib::new(config.decision),
            neighbors: BTreeMap::new(),
            next_peer: 1,
            changed: PrefixMap::default(),
            events: VecDeque::new(),
            io: VecDeque::new(),
            deferred_until: config.restarting.map(|restart| now.after(restart.longest)),
            jitter: Jitter::new(seed),
            config,
        }
    }

    /// Adds a peer, stopped.
    ///
    /// # Errors
    /// [`TooManyPeers`] after 65535 of them.
    pub fn add_peer(&mut self, config: PeerConfig) -> Result<PeerId, TooManyPeers> {
        let id = PeerId(self.next_peer);
        self.next_peer = self.next_peer.checked_add(1).ok_or(TooManyPeers)?;
        let (restarting, forwarding) = self.restart_bits(false);
        let params = config.session(&self.config, restarting, forwarding);
        let local_asn = params.local_asn;
        let peer = Peer::new(params, config.timers, self.jitter.next());
        self.rib.know(id, facts_of(&config, local_asn));
        self.neighbors.insert(
            id,
            Neighbor {
                config: Arc::new(config),
                peer,
                local_asn,
                agreed: None,
                inbound: PerFamily::default(),
                outbound: PerFamily::default(),
                told: PrefixMap::default(),
                pending: PrefixMap::default(),
                held: PrefixMap::default(),
                too_large: PrefixMap::default(),
                refused: Refused::default(),
                draining: false,
                drop_routes: false,
                has_been_up: false,
                awaited: true,
                faults: BTreeMap::new(),
                last_end: None,
                last_words: LastWords::default(),
                sessions: 0,
            },
        );
        Ok(id)
    }

    /// The earlier life had no session with this peer: nothing waits for its routes now.
    pub fn do_not_await(&mut self, peer: PeerId) {
        if let Some(neighbor) = self.neighbors.get_mut(&peer) {
            neighbor.awaited = false;
        }
        self.check_deferral();
    }

    /// Ends the session and forgets the peer and its routes.
    pub fn remove_peer(&mut self, peer: PeerId, now: Instant) {
        self.stop_peer(peer, Notification::cease(Cease::PeerDeconfigured), now);
        self.neighbors.remove(&peer);
    }

    /// Lets the peer run; clears its record of faults.
    pub fn start_peer(&mut self, peer: PeerId, now: Instant) {
        self.with_peer(peer, now, |neighbor| neighbor.peer.start(now));
    }

    /// Ends the session with `note` and keeps the peer down until [`Speaker::start_peer`]. Its routes go.
    pub fn stop_peer(&mut self, peer: PeerId, note: Notification, now: Instant) {
        self.with_peer(peer, now, |neighbor| {
            neighbor.drop_routes = true;
            neighbor.peer.stop(note, now);
        });
        self.drop_everything(peer);
    }

    /// Ends the session with an administrative reset and lets it start again.
    pub fn reset_peer(&mut self, peer: PeerId, text: &str, now: Instant) {
        let note = Notification::cease_with_text(Cease::AdminReset, text);
        self.with_peer(peer, now, |neighbor| neighbor.peer.reset(note, now));
    }

    /// Changes a peer's configuration; gives what that did to its session.
    pub fn change_peer(&mut self, peer: PeerId, config: PeerConfig, now: Instant) -> Impact {
        let (speaker, bits) = (self.config.clone(), self.restart_bits(false));
        let Some(neighbor) = self.neighbors.get_mut(&peer) else { return Impact::None };
        let impact = neighbor.config.impact_of(&config, &speaker);
        if impact == Impact::None {
            return impact;
        }
        *neighbor.peer.timers_mut() = config.timers;
        let (restarting, forwarding) = bits;
        let params = config.session(&speaker, restarting, forwarding || neighbor.has_been_up);
        let read_otherwise = !params.reads_like(neighbor.peer.params());
        neighbor.set_params(params);
        neighbor.local_asn = neighbor.peer.params().local_asn;
        let router_id = self.rib.facts().get(peer.index()).map_or(0, |facts| facts.router_id);
        self.rib.know(peer, PeerFacts { router_id, ..facts_of(&config, neighbor.local_asn) });
        let before = core::mem::replace(&mut neighbor.config, Arc::new(config));
        Family::ALL.into_iter().for_each(|family| change_limits(neighbor, family, before.family(family)));
        if impact == Impact::Reset {
            let note = Notification::cease(Cease::ConfigurationChange);
            self.with_peer(peer, now, |neighbor| neighbor.peer.reset(note, now));
        }
        self.with_peer(peer, now, |neighbor| neighbor.peer.reconsider(now));
        self.look_again(peer);
        for family in Family::ALL {
            let limit = |config: &PeerConfig| config.family(family).in_limit;
            if self.peer_config(peer).is_some_and(|now| limit(now) != limit(&before)) {
                self.weigh_again(peer, family, now);
            }
            self.make_room(peer, family);
            if read_otherwise {
                // What was not taken is not kept anywhere. Without the capability it counts for what comes from now on.
                self.request_refresh(peer, family);
            }
        }
        impact
    }

    /// Replaces the policies of a peer. The session stays; routes are looked at again.
    pub fn set_policies(&mut self, peer: PeerId, import: Option<Policy>, export: Option<Policy>) {
        if let Some(neighbor) = self.neighbors.get_mut(&peer) {
            let config = Arc::make_mut(&mut neighbor.config);
            (config.import, config.export) = (import, export);
        }
        self.look_again(peer);
    }

    /// Moves traffic away from a peer before maintenance, or back (RFC 8326): what we announce to it gets
    /// the GRACEFUL_SHUTDOWN community, what it announces is used only when there is nothing else.
    pub fn drain_peer(&mut self, peer: PeerId, draining: bool) {
        let changed = self
            .neighbors
            .get_mut(&peer)
            .is_some_and(|neighbor| core::mem::replace(&mut neighbor.draining, draining) != draining);
        if changed {
            self.look_again(peer);
        }
    }

    /// Asks a peer for all its routes of `family` again (RFC 2918). False when it cannot do that.
    pub fn ask_again(&mut self, peer: PeerId, family: Family) -> bool {
        self.request_refresh(peer, family)
    }

    /// Announces a route of our own, in place of an earlier one to the same prefix.
    pub fn announce(&mut self, prefix: IpNet, attributes: Attributes, now: Instant) {
        let attributes = self.rib.intern(attributes);
        let path = Path {
            received: Arc::clone(&attributes),
            accepted: Some(attributes),
            since: seconds(now),
            peer: PeerId::LOCAL,
            epoch: 0,
        };
        if self.rib.insert(prefix.trunc(), path).changed {
            self.spread(prefix.trunc());
        }
    }

    /// Takes a route of our own back.
    pub fn retract(&mut self, prefix: &IpNet) {
        if self.rib.remove(&prefix.trunc(), PeerId::LOCAL).changed {
            self.spread(prefix.trunc());
        }
    }

    /// The path to a peer came up, or went down (BFD). When it goes down, the session ends (RFC 9384), if
    /// the peer's configuration says so, and its routes go at once, unless it may be a restart (RFC 5882 section
    /// 4.3.2.2): the peer's BFD is not `independent`, it shares fate with the peer's control plane (C bit clear),
    /// and graceful restart was agreed on, or is what its routes are kept for since TCP told of its end.
    pub fn handle_path(&mut self, peer: PeerId, up: bool, independent: bool, now: Instant) {
        let Some(neighbor) = self.neighbors.get(&peer) else { return };
        let forwarding_may_live = !independent && neighbor.may_restart();
        let dead = !up && neighbor.config.timers.path_watch != PathWatch::Off;
        self.with_peer(peer, now, |neighbor| {
            neighbor.drop_routes = dead && !forwarding_may_live;
            if dead && forwarding_may_live {
                neighbor.peer.lose(now);
            }
            neighbor.peer.handle_path(up, now);
        });
        if dead && !forwarding_may_live {
            self.drop_everything(peer);
        }
    }

    /// The link to a peer came up, or went down: its device lost carrier, or may not be used. Every peer starts
    /// with a link that is up. When it goes down, the session ends at once and its routes go, whatever graceful
    /// restart says: nothing could be forwarded there.
    pub fn handle_link(&mut self, peer: PeerId, up: bool, now: Instant) {
        self.with_peer(peer, now, |neighbor| {
            neighbor.drop_routes = !up;
            neighbor.peer.handle_link(up, now);
        });
        if !up {
            self.drop_everything(peer);
        }
    }

    /// A peer has connected to us.
    ///
    /// # Errors
    /// [`Unwelcome`]: close the connection at once.
    pub fn accept(&mut self, peer: PeerId, now: Instant) -> Result<ConnectionId, Unwelcome> {
        let neighbor = self.neighbors.get_mut(&peer).ok_or(Unwelcome::Unknown)?;
        let accepted = neighbor.peer.accept(now);
        self.drain(peer, now);
        accepted.map(|serial| ConnectionId { peer, serial })
    }

    /// A connection we asked for is there. False when it is no longer wanted: close it.
    pub fn handle_connected(&mut self, connection: ConnectionId, now: Instant) -> bool {
        let mut wanted = false;
        self.with_peer(connection.peer, now, |neighbor| {
            wanted = neighbor.peer.handle_connected(connection.serial, now);
        });
        wanted
    }

    /// A connection failed, or was closed by the other side.
    pub fn handle_closed(&mut self, connection: ConnectionId, now: Instant) {
        self.with_peer(connection.peer, now, |neighbor| {
            neighbor.peer.handle_closed(connection.serial, now);
        });
    }

    /// Octets came in on a connection.
    pub fn handle_bytes(&mut self, connection: ConnectionId, octets: &[u8], now: Instant) {
        self.with_peer(connection.peer, now, |neighbor| {
            neighbor.peer.handle_bytes(connection.serial, octets);
        });
    }

    /// Lets everything happen that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        for peer in self.peer_ids() {
            self.with_peer(peer, now, |neighbor| neighbor.peer.handle_timeout(now));
            self.drop_stale(peer, now);
            let refused = self.neighbors.get_mut(&peer).and_then(|neighbor| neighbor.refused.take(now));
            self.events.extend(refused.map(|(prefix, routes)| Event::TooLarge { peer, prefix, routes }));
        }
        if self.deferred_until.is_some_and(|until| until <= now) {
            self.end_deferral();
        }
    }

    /// Connections to open and to close. Call until `None`.
    pub fn poll_io(&mut self) -> Option<Io> {
        self.io.pop_front()
    }

    /// What happened. Call until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The connections that have something to write.
    pub fn writers(&self) -> Vec<ConnectionId> {
        let may_speak = self.deferred_until.is_none();
        let mut all = Vec::new();
        for (peer, neighbor) in &self.neighbors {
            let news = neighbor.peer.established_serial().filter(|_| may_speak && neighbor.has_news());
            let serials = neighbor.peer.writers().filter(|serial| Some(*serial) != news).chain(news);
            all.extend(serials.map(|serial| ConnectionId { peer: *peer, serial }));
        }
        all
    }

    /// Octets to write on a connection. Call it when they can be written, until `None`.
    pub fn poll_transmit(&mut self, connection: ConnectionId, now: Instant) -> Option<Vec<u8>> {
        let neighbor = self.neighbors.get_mut(&connection.peer)?;
        let established = neighbor.peer.established_serial() == Some(connection.serial);
        if established && neighbor.peer.is_drained() && neighbor.has_news() && self.deferred_until.is_none() {
            self.tell(connection.peer, now);
        }
        self.neighbors.get_mut(&connection.peer)?.peer.poll_transmit(connection.serial, now)
    }

    /// What the forwarding table must know. Call until `None`. Gives nothing while routes are incomplete
    /// after a restart of ours.
    pub fn poll_route_change(&mut self) -> Option<RouteChange> {
        if self.deferred_until.is_some() {
            return None;
        }
        let (prefix, ()) = self.changed.pop_first()?;
        Some(self.route(&prefix))
    }

    /// What the forwarding table should do with `prefix` now.
    pub fn route(&self, prefix: &IpNet) -> RouteChange {
        let used = self.rib.get(prefix).map(|destination| destination.in_use()).unwrap_or_default();
        let next_hops: Vec<_> =
            used.iter().filter(|path| path.peer != PeerId::LOCAL).filter_map(next_hop_of).collect();
        if next_hops.is_empty() {
            RouteChange::Gone { prefix: *prefix }
        } else {
            RouteChange::Use { prefix: *prefix, next_hops }
        }
    }

    /// When [`Speaker::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let own = |neighbor: &Neighbor| {
            let inbound = &neighbor.inbound;
            let stale = earliest(inbound.ipv4.stale_until(), inbound.ipv6.stale_until());
            earliest(stale, neighbor.refused.due)
        };
        self.neighbors.values().fold(self.deferred_until, |soonest, neighbor| {
            earliest(soonest, earliest(neighbor.peer.poll_timeout(), own(neighbor)))
        })
    }

    /// The tables, to look at.
    pub const fn rib(&self) -> &Rib {
        &self.rib
    }

    /// How it was set up.
    pub const fn config(&self) -> &SpeakerConfig {
        &self.config
    }

    /// The peers, in the order they were added.
    pub fn peer_ids(&self) -> Vec<PeerId> {
        self.neighbors.keys().copied().collect()
    }

    /// The configuration of a peer.
    pub fn peer_config(&self, peer: PeerId) -> Option<&PeerConfig> {
        self.neighbors.get(&peer).map(|neighbor| &*neighbor.config)
    }

    /// Does something to a peer and lets everything follow from it.
    fn with_peer(&mut self, peer: PeerId, now: Instant, act: impl FnOnce(&mut Neighbor)) {
        if let Some(neighbor) = self.neighbors.get_mut(&peer) {
            act(neighbor);
            self.drain(peer, now);
        }
    }

    fn drain(&mut self, peer: PeerId, now: Instant) {
        while let Some(event) =
            self.neighbors.get_mut(&peer).and_then(|neighbor| neighbor.peer.poll_event(now))
        {
            self.take(peer, event, now);
        }
    }

    fn take(&mut self, peer: PeerId, event: PeerEvent, now: Instant) {
        match event {
            PeerEvent::Dial(serial) => self.io.push_back(Io::Connect(ConnectionId { peer, serial })),
            PeerEvent::HangUp(serial, last_words) => {
                self.io.push_back(Io::Close(ConnectionId { peer, serial }, last_words));
            }
            PeerEvent::Moved(from, to) => self.events.push_back(Event::State { peer, from, to }),
            PeerEvent::Up(agreed) => self.session_up(peer, agreed, now),
            PeerEvent::Update(update) => self.take_update(peer, update, now),
            PeerEvent::Refresh(refresh) => self.take_refresh(peer, refresh, now),
            PeerEvent::Broken(fault) => self.note_faults(peer, &[fault]),
            PeerEvent::Ended { end, was_up } => self.session_end(peer, end, was_up, now),
        }
    }

    /// Something changed for `prefix`: the forwarding table and every peer must look at it again.
    fn spread(&mut self, prefix: IpNet) {
        self.changed.insert(prefix, ());
        let best = self.rib.get(&prefix).and_then(|destination| destination.best()).map(|path| path.peer);
        let family = Family::of(&prefix);
        for (id, neighbor) in &mut self.neighbors {
            // The common case of a table from one peer: nothing to tell it back.
            let silent = best == Some(*id) && !neighbor.told.contains(&prefix);
            if neighbor.carries(family) && !silent {
                neighbor.mark(prefix);
            }
        }
    }

    /// No route of the peer stays, stale ones included.
    fn drop_everything(&mut self, peer: PeerId) {
        if let Some(neighbor) = self.neighbors.get_mut(&peer) {
            neighbor.drop_routes = false;
        }
        for family in Family::ALL {
            self.drop_routes(peer, family, |_| true);
        }
    }

    /// Restart State and Forwarding State (RFC 4724 section 3) towards a peer that `has_been_up` in this life: from
    /// then on the data plane forwards whatever happens to the session.
    fn restart_bits(&self, has_been_up: bool) -> (bool, bool) {
        let preserved = self.config.restarting.is_some_and(|restart| restart.forwarding);
        (self.deferred_until.is_some(), has_been_up || preserved)
    }

    fn standing(&self, peer: PeerId) -> Option<Standing> {
        self.neighbors.get(&peer).map(|neighbor| neighbor.peer.standing())
    }
}

/// Attributes for a route of our own, to change and [`Speaker::announce`]. The next hop is filled in for
/// each peer.
pub fn own_route() -> Attributes {
    Attributes::local(NextHop::V4(Ipv4Addr::UNSPECIFIED))
}

/// What was reported of a limit that is another one now is over; what is too much by it goes.
fn change_limits(neighbor: &mut Neighbor, family: Family, before: FamilyConfig) {
    let now = neighbor.config.family(family);
    if now.in_limit != before.in_limit {
        let inbound = neighbor.inbound.of_mut(family);
        (inbound.warned, inbound.exceeded) = (false, false);
    }
    if now.out_limit != before.out_limit {
        outbound::hold_excess(neighbor, family);
    }
}

fn facts_of(config: &PeerConfig, local_asn: Asn) -> PeerFacts {
    PeerFacts { internal: local_asn == config.asn, router_id: 0, address: config.address, asn: config.asn }
}

fn seconds(now: Instant) -> u32 {
    u32::try_from(now.since(Instant::ZERO).as_secs()).unwrap_or(u32::MAX)
}

fn next_hop_of(path: &Path) -> Option<RouteNextHop> {
    let attributes = path.accepted.as_ref()?;
    let bandwidth = attributes.rare().extended.iter().find_map(|community| community.link_bandwidth());
    Some(RouteNextHop { peer: path.peer, address: attributes.next_hop, bandwidth })
}
