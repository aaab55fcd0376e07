//! A small world for speakers: virtual time, TCP connections as delayed byte pipes, and accidents.
//!
//! Everything is decided by a seed. Time jumps from one event to the next; nothing sleeps.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part of the world")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and counts small numbers"
)]

use bgp::{
    Asn, ConnectionId, Event, FamilyConfig, Io, PeerConfig, PeerId, PeerStatus, Restarting, RouteChange,
    RouterId, SessionEnd, Speaker, SpeakerConfig, decision::DecisionRules, fsm::State, own_route,
    policy::Policy, wire::attributes::NextHop,
};
use net::{Instant, IpNet};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

/// One speaker and what it has told the world.
pub struct Node {
    pub speaker: Speaker,
    pub events: Vec<(Instant, Event)>,
    /// The forwarding table, as route changes left it.
    pub fib: BTreeMap<IpNet, Vec<String>>,
    /// What an earlier life of the speaker put there and this one has not confirmed yet.
    pub restored: BTreeSet<IpNet>,
}

impl Node {
    fn forward(&mut self, change: RouteChange) {
        match change {
            RouteChange::Gone { prefix } => {
                self.fib.remove(&prefix);
            }
            RouteChange::Use { prefix, next_hops } => {
                let hops = next_hops.iter().map(|hop| hop.address.to_string()).collect();
                self.fib.insert(prefix, hops);
            }
        }
    }
}

/// A TCP connection, or an attempt at one.
struct Wire {
    peering: usize,
    ends: [End; 2],
    dead: bool,
}

#[derive(Clone)]
struct End {
    node: usize,
    connection: Option<ConnectionId>,
    /// Octets on their way to this end, with their time of arrival; `None` is the end of the stream.
    arriving: VecDeque<(Instant, Option<Vec<u8>>)>,
    /// What TCP will send again once the link is whole.
    held: Vec<Option<Vec<u8>>>,
}

#[derive(Clone, Copy)]
struct Peering {
    ends: [(usize, PeerId); 2],
    cut: bool,
}

pub struct World {
    pub now: Instant,
    pub nodes: Vec<Node>,
    peerings: Vec<Peering>,
    wires: Vec<Wire>,
    /// Dials on their way: (arrival, peering, index of the dialling end, its name).
    dials: Vec<(Instant, usize, usize, ConnectionId)>,
    rng: u64,
    /// Longest one-way delay, in milliseconds.
    pub max_delay: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            now: Instant::ZERO.after(secs(1)),
            nodes: Vec::new(),
            peerings: Vec::new(),
            wires: Vec::new(),
            dials: Vec::new(),
            rng: seed,
            max_delay: 5,
        }
    }

    pub fn random(&mut self, below: u64) -> u64 {
        self.rng = self.rng.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.rng;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }

    /// A speaker with AS number `asn` and identifier 192.0.2.`id`.
    pub fn node(&mut self, asn: u32, id: u8) -> usize {
        self.node_with(asn, id, |_| {})
    }

    pub fn node_with(&mut self, asn: u32, id: u8, change: impl FnOnce(&mut SpeakerConfig)) -> usize {
        let mut config = speaker_config(asn, id);
        change(&mut config);
        let seed = self.random(u64::MAX);
        let speaker = Speaker::new(config, seed, self.now);
        let (events, fib, restored) = Default::default();
        self.nodes.push(Node { speaker, events, fib, restored });
        self.nodes.len() - 1
    }

    /// Joins two nodes with policies that let everything through; `change` has the last word on both sides.
    pub fn join(&mut self, a: usize, b: usize, change: impl Fn(usize, &mut PeerConfig)) -> (PeerId, PeerId) {
        let link = u8::try_from(self.peerings.len()).expect("few links");
        let id = |world: &mut Self, me: usize, other: usize, own: u8, theirs: u8| {
            let asn = world.nodes[other].speaker.config().asn;
            let mut config = peer_config(link, own, theirs, asn);
            change(me, &mut config);
            world.nodes[me].speaker.add_peer(config).expect("room")
        };
        let (first, second) = (id(self, a, b, 1, 2), id(self, b, a, 2, 1));
        self.peerings.push(Peering { ends: [(a, first), (b, second)], cut: false });
        (first, second)
    }

    pub fn start(&mut self) {
        for node in 0..self.nodes.len() {
            for peer in self.nodes[node].speaker.peer_ids() {
                let now = self.now;
                self.nodes[node].speaker.start_peer(peer, now);
            }
            self.settle(node);
        }
    }

    /// Calls into a speaker, and lets the world see what follows.
    pub fn act<R>(&mut self, node: usize, act: impl FnOnce(&mut Speaker, Instant) -> R) -> R {
        let now = self.now;
        let result = act(&mut self.nodes[node].speaker, now);
        self.settle(node);
        result
    }

    pub fn announce(&mut self, node: usize, prefix: &str) {
        self.act(node, |speaker, now| speaker.announce(net(prefix), own_route(), now));
    }

    pub fn retract(&mut self, node: usize, prefix: &str) {
        self.act(node, |speaker, _| speaker.retract(&net(prefix)));
    }

    /// Frames vanish on peering `at`, or not any more; connections stay open, and TCP repeats what was lost.
    pub fn cut(&mut self, at: usize, cut: bool) {
        self.peerings[at].cut = cut;
        for wire in 0..self.wires.len() {
            for end in (0..2).filter(|_| !cut) {
                if self.wires[wire].peering != at {
                    continue;
                }
                for octets in core::mem::take(&mut self.wires[wire].ends[end].held) {
                    self.arrive(wire, end, octets);
                }
            }
        }
    }

    /// What a cut holds back on peering `at` is never repeated: a machine has forgotten it.
    pub fn forget(&mut self, at: usize) {
        let wires = self.wires.iter_mut().filter(|wire| wire.peering == at);
        wires.flat_map(|wire| &mut wire.ends).for_each(|end| end.held.clear());
    }

    /// Every connection on peering `at` is reset; what was on its way is lost.
    pub fn reset(&mut self, at: usize) {
        for wire in 0..self.wires.len() {
            if self.wires[wire].peering == at && !self.wires[wire].dead {
                self.kill(wire);
            }
        }
    }

    /// A node's speaker dies and another one begins in its place, with the same peers, announcing `own`. It forwards by
    /// what was learnt before, if it is to say so. Its connections end: the other sides hear of it, or (`silently`) do not
    /// before they write.
    pub fn restart(&mut self, node: usize, life: Option<Restarting>, own: &[String], silently: bool) {
        for wire in 0..self.wires.len() {
            let Some(end) = self.wires[wire].ends.iter().position(|end| end.node == node) else { continue };
            self.wires[wire].ends[end].connection = None;
            if !silently && !self.wires[wire].dead {
                self.arrive(wire, 1 - end, None);
            }
        }
        let mine = |peering: &Peering, end: usize| peering.ends[end].0 == node;
        let peerings = self.peerings.clone();
        self.dials.retain(|(_, at, end, _)| !mine(&peerings[*at], *end));
        let (now, seed) = (self.now, self.random(u64::MAX));
        let before = &self.nodes[node].speaker;
        let config = SpeakerConfig { restarting: life, ..before.config().clone() };
        let peers: Vec<_> =
            before.peer_ids().into_iter().filter_map(|id| before.peer_config(id).cloned()).collect();
        let mut speaker = Speaker::new(config, seed, now);
        for peer in peers {
            let id = speaker.add_peer(peer).expect("room");
            speaker.start_peer(id, now);
        }
        own.iter().for_each(|prefix| speaker.announce(net(prefix), own_route(), now));
        let place = &mut self.nodes[node];
        place.speaker = speaker;
        if life.is_none_or(|life| !life.forwarding) {
            place.fib.clear();
        }
        place.restored = place.fib.keys().copied().collect();
        self.settle(node);
    }

    fn kill(&mut self, wire: usize) {
        self.wires[wire].dead = true;
        for end in 0..2 {
            let End { node, connection, .. } = self.wires[wire].ends[end].clone();
            self.wires[wire].ends[end].arriving.clear();
            self.wires[wire].ends[end].held.clear();
            if let Some(connection) = connection {
                self.act(node, |speaker, now| speaker.handle_closed(connection, now));
            }
        }
    }

    /// Resets a random live connection, if there is one.
    pub fn accident(&mut self) {
        let live: Vec<_> = (0..self.wires.len()).filter(|wire| !self.wires[*wire].dead).collect();
        if !live.is_empty() {
            let pick = usize::try_from(self.random(live.len() as u64)).expect("small");
            self.kill(live[pick]);
        }
    }

    /// Runs for `span` of virtual time.
    pub fn run(&mut self, span: Duration) {
        let end = self.now.after(span);
        while let Some(next) = self.next_event().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
    }

    /// Runs until `done`, at most for `span`; false when it did not happen.
    pub fn run_until(&mut self, span: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now.after(span);
        while !done(self) {
            let Some(next) = self.next_event().filter(|next| *next <= end) else { return false };
            self.now = self.now.max(next);
            self.step();
        }
        true
    }

    fn next_event(&self) -> Option<Instant> {
        let arrivals = self.wires.iter().flat_map(|wire| &wire.ends).filter_map(|end| end.arriving.front());
        let arrivals = arrivals.map(|(at, _)| *at);
        let timers = self.nodes.iter().filter_map(|node| node.speaker.poll_timeout());
        arrivals.chain(timers).chain(self.dials.iter().map(|(at, ..)| *at)).min()
    }

    fn step(&mut self) {
        self.deliver_dials();
        self.deliver_octets();
        for node in 0..self.nodes.len() {
            if self.nodes[node].speaker.poll_timeout().is_some_and(|at| at <= self.now) {
                self.act(node, |speaker, now| speaker.handle_timeout(now));
            }
        }
        self.wires.retain(|wire| !wire.dead || wire.ends.iter().any(|end| !end.arriving.is_empty()));
    }

    fn deliver_dials(&mut self) {
        let now = self.now;
        let (due, later) = core::mem::take(&mut self.dials).into_iter().partition(|(at, ..)| *at <= now);
        self.dials = later;
        let due: Vec<(Instant, usize, usize, ConnectionId)> = due;
        for (_, peering, from, caller) in due {
            let Peering { ends, cut } = self.peerings[peering];
            let ((here, _), (there, peer)) = (ends[from], ends[1 - from]);
            let answer =
                if cut { None } else { self.act(there, |speaker, now| speaker.accept(peer, now)).ok() };
            let Some(answer) = answer else {
                self.act(here, |speaker, now| speaker.handle_closed(caller, now));
                continue;
            };
            let end = |node, connection| {
                let connection = Some(connection);
                End { node, connection, arriving: VecDeque::new(), held: Vec::new() }
            };
            self.wires.push(Wire { peering, ends: [end(here, caller), end(there, answer)], dead: false });
            let wanted = self.act(here, |speaker, now| speaker.handle_connected(caller, now));
            self.settle(there);
            if !wanted {
                let wire = self.wires.len() - 1;
                self.hang_up(wire, 0, Vec::new());
            }
        }
    }

    fn deliver_octets(&mut self) {
        for wire in 0..self.wires.len() {
            for end in 0..2 {
                while let Some((_, octets)) = self.pop_due(wire, end) {
                    let End { node, connection, .. } = self.wires[wire].ends[end].clone();
                    let Some(connection) = connection else {
                        // Nobody is there any more: who writes is told so (RFC 9293 §3.10.7.1).
                        if octets.is_some() && !self.wires[wire].dead {
                            self.arrive(wire, 1 - end, None);
                        }
                        continue;
                    };
                    match octets {
                        Some(octets) => {
                            self.act(node, |speaker, now| speaker.handle_bytes(connection, &octets, now));
                        }
                        None => {
                            self.wires[wire].ends[end].connection = None;
                            self.wires[wire].dead = true;
                            self.act(node, |speaker, now| speaker.handle_closed(connection, now));
                        }
                    }
                }
            }
        }
    }

    fn pop_due(&mut self, wire: usize, end: usize) -> Option<(Instant, Option<Vec<u8>>)> {
        let now = self.now;
        let arriving = &mut self.wires.get_mut(wire)?.ends[end].arriving;
        arriving.front().filter(|(at, _)| *at <= now)?;
        arriving.pop_front()
    }

    /// Sends octets, in random pieces with random delays, in order.
    fn send(&mut self, wire: usize, to: usize, octets: &[u8]) {
        let mut rest = octets;
        while !rest.is_empty() {
            let at = usize::try_from(self.random(rest.len() as u64)).expect("small") + 1;
            let (piece, behind) = rest.split_at(at.max(rest.len().min(64)));
            self.arrive(wire, to, Some(piece.to_vec()));
            rest = behind;
        }
    }

    fn arrive(&mut self, wire: usize, to: usize, octets: Option<Vec<u8>>) {
        if self.peerings[self.wires[wire].peering].cut {
            self.wires[wire].ends[to].held.push(octets);
            return;
        }
        let delay = ms(self.random(self.max_delay) + 1);
        let queue = &mut self.wires[wire].ends[to].arriving;
        let not_before = queue.back().map_or(Instant::ZERO, |(at, _)| *at);
        queue.push_back((self.now.after(delay).max(not_before), octets));
    }

    fn hang_up(&mut self, wire: usize, end: usize, last_words: Vec<u8>) {
        self.wires[wire].ends[end].connection = None;
        self.send(wire, 1 - end, &last_words);
        self.arrive(wire, 1 - end, None);
    }

    fn find(&self, node: usize, connection: ConnectionId) -> Option<(usize, usize)> {
        self.wires.iter().enumerate().find_map(|(at, wire)| {
            let end =
                wire.ends.iter().position(|end| end.node == node && end.connection == Some(connection))?;
            (!wire.dead).then_some((at, end))
        })
    }

    fn peering_of(&self, node: usize, peer: PeerId) -> (usize, usize) {
        let found =
            self.peerings.iter().enumerate().find_map(|(at, peering)| {
                Some((at, peering.ends.iter().position(|end| *end == (node, peer))?))
            });
        found.expect("every peer is at the end of a peering")
    }

    /// Drains a speaker into the world.
    fn settle(&mut self, node: usize) {
        self.transmit(node);
        while let Some(io) = self.nodes[node].speaker.poll_io() {
            match io {
                Io::Connect(connection) => {
                    let (peering, end) = self.peering_of(node, connection.peer);
                    let delay = ms(self.random(self.max_delay) + 1);
                    self.dials.push((self.now.after(delay), peering, end, connection));
                }
                Io::Close(connection, last_words) => {
                    self.dials.retain(|(.., caller)| {
                        !(*caller == connection
                            && self.peerings.iter().any(|p| p.ends.contains(&(node, connection.peer))))
                    });
                    if let Some((wire, end)) = self.find(node, connection) {
                        self.hang_up(wire, end, last_words);
                    }
                }
            }
        }
        self.note(node);
    }

    fn transmit(&mut self, node: usize) {
        for connection in self.nodes[node].speaker.writers() {
            let Some((wire, end)) = self.find(node, connection) else { continue };
            while let Some(octets) = self.nodes[node].speaker.poll_transmit(connection, self.now) {
                self.send(wire, 1 - end, &octets);
            }
        }
    }

    fn note(&mut self, node: usize) {
        let now = self.now;
        let node = &mut self.nodes[node];
        while let Some(event) = node.speaker.poll_event() {
            if event == Event::SelectionDone {
                let restored = core::mem::take(&mut node.restored);
                restored.iter().for_each(|prefix| node.forward(node.speaker.route(prefix)));
            }
            node.events.push((now, event));
        }
        while let Some(change) = node.speaker.poll_route_change() {
            node.forward(change);
        }
    }

    pub fn status(&self, node: usize, peer: PeerId) -> PeerStatus {
        self.nodes[node].speaker.status(peer).expect("the peer is there")
    }

    pub fn is_up(&self, node: usize, peer: PeerId) -> bool {
        self.status(node, peer).state == State::Established
    }

    pub fn all_up(&self) -> bool {
        self.peerings.iter().flat_map(|peering| peering.ends).all(|(node, peer)| self.is_up(node, peer))
    }

    /// Nothing is on its way and no speaker has anything to say.
    pub fn is_quiet(&self) -> bool {
        let wires = self.wires.iter().flat_map(|wire| &wire.ends).all(|end| end.arriving.is_empty());
        wires && self.dials.is_empty() && self.nodes.iter().all(|node| node.speaker.writers().is_empty())
    }

    /// Next hops of a prefix in a node's forwarding table.
    pub fn fib(&self, node: usize, prefix: &str) -> Vec<&str> {
        let hops = self.nodes[node].fib.get(&net(prefix));
        hops.map(|hops| hops.iter().map(String::as_str).collect()).unwrap_or_default()
    }

    /// How the sessions of a peer ended, in order.
    pub fn ends(&self, node: usize, of: PeerId) -> Vec<SessionEnd> {
        let down = |(_, event): &(Instant, Event)| match event {
            Event::Down { peer, end, .. } if *peer == of => Some(end.clone()),
            _ => None,
        };
        self.nodes[node].events.iter().filter_map(down).collect()
    }
}

pub fn speaker_config(asn: u32, id: u8) -> SpeakerConfig {
    SpeakerConfig {
        asn: Asn(asn),
        router_id: RouterId::new(Ipv4Addr::new(192, 0, 2, id)).expect("not zero"),
        decision: DecisionRules::default(),
        restarting: None,
    }
}

/// The peer at the other end of link `link`: 10.255.`link`.`theirs` and fd00:`link`::`theirs`.
pub fn peer_config(link: u8, own: u8, theirs: u8, asn: Asn) -> PeerConfig {
    let v4 = |host| Ipv4Addr::new(10, 255, link, host);
    let v6 = |host: u8| Ipv6Addr::new(0xfd00, u16::from(link), 0, 0, 0, 0, 0, u16::from(host));
    let mut config = PeerConfig::new(&format!("link {link}"), v4(theirs).into(), asn);
    let family = |next_hop| Some(FamilyConfig { next_hop: Some(next_hop), ..FamilyConfig::default() });
    config.families.ipv4 = family(NextHop::V4(v4(own)));
    config.families.ipv6 = family(NextHop::V6 { global: v6(own), link_local: None });
    config.own_addresses = vec![v4(own).into(), v6(own).into()];
    config.import = Some(Policy::accept_all());
    config.export = Some(Policy::accept_all());
    config
}

/// Two nodes, joined and up; the second announces `count` prefixes 10.0.`n`.0/24.
pub fn pair(seed: u64, count: usize, config: impl Fn(usize, &mut PeerConfig)) -> (World, PeerId, PeerId) {
    let mut world = World::new(seed);
    let (a, b) = (world.node(65001, 1), world.node(65002, 2));
    let (ab, ba) = world.join(a, b, |node, peer| {
        peer.timers.passive = node != 0;
        config(node, peer);
    });
    for n in 0..count {
        world.announce(b, &format!("10.0.{n}.0/24"));
    }
    world.start();
    world.run(secs(2));
    (world, ab, ba)
}
