//! Speakers under accidents: whatever happened, when it stops they agree with a plain model of BGP.
//!
//! Nodes in a ring with parallel links; routes come and go, connections are reset at any octet, links go
//! silent, sessions are reset by operators, dials collide. At the end the links heal, and each node must
//! forward exactly as a dozen lines of shortest-path search say. No speaker may ever accuse another of
//! breaking the protocol: all of them are ours.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and counts small numbers"
)]

mod world;

use bgp::{Event, PeerId, RestartMode, Restarting, SessionEnd, wire::notification::Cause};
use std::collections::{BTreeMap, BTreeSet};
use world::{World, ms, secs};

/// (node, node) of each link, in the order of their numbers.
type Links = Vec<(usize, usize)>;

struct Story {
    world: World,
    links: Links,
    peers: Vec<(PeerId, PeerId)>,
    routes: BTreeMap<String, BTreeSet<usize>>,
}

fn story(seed: u64) -> Story {
    let mut world = World::new(seed);
    world.max_delay = 1 + seed % 60;
    let nodes = 3 + usize::try_from(world.random(2)).unwrap();
    (0..nodes).for_each(|n| {
        world.node(65001 + u32::try_from(n).unwrap(), u8::try_from(n + 1).unwrap());
    });
    let ring = (0..nodes).map(|n| (n, (n + 1) % nodes));
    let links: Links = ring.clone().chain([(0, 1), (1, 2)]).collect();
    let restart = seed.is_multiple_of(2);
    let peers = links
        .iter()
        .map(|(a, b)| {
            world.join(*a, *b, |_, peer| {
                peer.hold_time = secs(9);
                peer.stale_time = secs(30);
                if restart {
                    peer.restart = RestartMode::Full(20);
                }
            })
        })
        .collect();
    Story { world, links, peers, routes: BTreeMap::new() }
}

impl Story {
    fn pick(&mut self, below: usize) -> usize {
        usize::try_from(self.world.random(below as u64)).unwrap()
    }

    /// Something happens.
    fn incident(&mut self) {
        let (node, link) = (self.pick(self.world.nodes.len()), self.pick(self.links.len()));
        let prefix = match self.pick(2) {
            0 => format!("10.{}.0.0/16", self.pick(6)),
            _ => format!("2001:db8:{}::/48", self.pick(6)),
        };
        match self.pick(12) {
            0..=3 => {
                self.world.announce(node, &prefix);
                self.routes.entry(prefix).or_default().insert(node);
            }
            4..=5 => {
                self.world.retract(node, &prefix);
                self.routes.entry(prefix).or_default().remove(&node);
            }
            6..=7 => self.world.accident(),
            8 => self.world.cut(link, true),
            9 => self.world.cut(link, false),
            10 => self.world.reset(link),
            _ => {
                let (peer, node) = (self.peers[link].0, self.links[link].0);
                self.world.act(node, |speaker, now| speaker.reset_peer(peer, "drill", now));
            }
        }
    }

    /// A speaker begins anew: as one that lost everything, or as one whose data plane went on.
    fn restart(&mut self) {
        let node = self.pick(self.world.nodes.len());
        let life = match self.pick(3) {
            0 => None,
            kept => Some(Restarting { longest: secs(15), forwarding: kept == 1 }),
        };
        let mine =
            |(prefix, origins): (&String, &BTreeSet<usize>)| origins.contains(&node).then(|| prefix.clone());
        let own: Vec<_> = self.routes.iter().filter_map(mine).collect();
        let silently = self.pick(2) == 0;
        self.world.restart(node, life, &own, silently);
    }

    fn check(&self, seed: u64) {
        for node in &self.world.nodes {
            for (at, event) in &node.events {
                let accused = match event {
                    Event::Fault { .. } => true,
                    Event::Down { end: SessionEnd::PeerFault(_), .. } => true,
                    Event::Down { end: SessionEnd::PeerSaid(note), .. } => {
                        !matches!(note.cause, Cause::Cease(_) | Cause::HoldTimer)
                    }
                    _ => false,
                };
                assert!(!accused, "seed {seed}, {at}: {event:?}");
            }
        }
        assert!(self.world.all_up(), "seed {seed}: not all sessions are up");
        for (prefix, origins) in &self.routes {
            let expected = model(self.world.nodes.len(), &self.links, origins, prefix.contains(':'));
            for (node, hops) in expected.into_iter().enumerate() {
                let got: BTreeSet<_> = self.world.fib(node, prefix).into_iter().map(str::to_owned).collect();
                assert_eq!(got, hops, "seed {seed}: node {node}, {prefix} from {origins:?}");
            }
        }
    }
}

/// The next hops of every node towards a prefix: nodes learn the path of each neighbour that is not
/// through themselves; the shortest wins, then the lower identifier, which is the lower node; all links
/// to that neighbour are used. A node that originates the prefix uses nobody.
fn model(nodes: usize, links: &Links, origins: &BTreeSet<usize>, v6: bool) -> Vec<BTreeSet<String>> {
    let mut paths: Vec<Option<Vec<usize>>> =
        (0..nodes).map(|node| origins.contains(&node).then(|| vec![node])).collect();
    for _ in 0..nodes {
        let before = paths.clone();
        for node in (0..nodes).filter(|node| !origins.contains(node)) {
            let near = links.iter().filter_map(|(a, b)| match node {
                _ if node == *a => Some(*b),
                _ if node == *b => Some(*a),
                _ => None,
            });
            let usable = near.filter_map(|next| Some((next, before[next].clone()?)));
            let usable = usable.filter(|(_, path)| !path.contains(&node));
            let best = usable.min_by_key(|(next, path)| (path.len(), *next));
            paths[node] = best.map(|(_, path)| [vec![node], path].concat());
        }
    }
    let hops = |node: usize| {
        let Some([_, next, ..]) = paths[node].as_deref() else { return BTreeSet::new() };
        let ways = links.iter().enumerate().filter_map(|(at, ends)| match *ends {
            (a, b) if (a, b) == (node, *next) => Some((at, 2)),
            (a, b) if (b, a) == (node, *next) => Some((at, 1)),
            _ => None,
        });
        ways.map(|(at, host)| match (v6, at) {
            (true, 0) => format!("fd00::{host}"),
            (true, at) => format!("fd00:{at:x}::{host}"),
            (false, at) => format!("10.255.{at}.{host}"),
        })
        .collect()
    };
    (0..nodes).map(hops).collect()
}

#[test]
fn after_any_accidents_all_speakers_agree_with_the_model() {
    for seed in 0..30 {
        let mut story = story(seed);
        story.world.start();
        for _ in 0..60 {
            story.incident();
            let pause = story.world.random(2000);
            story.world.run(ms(pause));
        }
        (0..story.links.len()).for_each(|link| story.world.cut(link, false));
        story.world.run(secs(180));
        story.check(seed);
    }
}

// RFC 4724: restarts of any node, at any moment of any other's, with help and without.
#[test]
fn speakers_that_restart_amid_accidents_agree_with_the_model_in_the_end() {
    for seed in 100..130 {
        let mut story = story(seed);
        story.world.start();
        for _ in 0..60 {
            if story.pick(6) == 0 {
                story.restart();
            } else {
                story.incident();
            }
            let pause = story.world.random(2000);
            story.world.run(ms(pause));
        }
        (0..story.links.len()).for_each(|link| story.world.cut(link, false));
        story.world.run(secs(180));
        story.check(seed);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut story = story(7);
        story.world.start();
        for _ in 0..30 {
            story.incident();
            story.world.run(ms(500));
        }
        let logs = story.world.nodes.iter().map(|node| format!("{:?}{:?}", node.events, node.fib));
        logs.collect::<String>()
    };
    assert_eq!(run(), run());
}

// The model itself, on a ring of three with a second link between the first two.
#[test]
fn the_model_finds_the_short_way_and_both_links() {
    let links = vec![(0, 1), (1, 2), (2, 0), (0, 1)];
    let hops = model(3, &links, &BTreeSet::from([1]), false);
    assert_eq!(hops[0], BTreeSet::from(["10.255.0.2".to_owned(), "10.255.3.2".to_owned()]));
    assert_eq!(hops[1], BTreeSet::new());
    assert_eq!(hops[2], BTreeSet::from(["10.255.1.1".to_owned()]));
}
