//! How long a full table takes, and how much memory:
//! `cargo run --release -p bgp --example load -- PEERS ROUTES`, by default one peer with a million routes.
//!
//! Each peer sends the same prefixes with attributes of its own. They are loaded as octets, with the
//! forwarding table listening, announced to one more peer, and withdrawn by the end of the sessions. Path
//! lengths and the number of prefixes that share attributes (six, on average) are like those of the
//! Internet's table; prefixes come in thirteen ascending passes, which is unkind to the tree.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "a measurement for people to read: it prints, reads the clock, and may stop"
)]

use bgp::{
    Asn, ConnectionId, Family, FamilyConfig, PeerConfig, PeerId, RouteChange, RouterId, Speaker,
    SpeakerConfig,
    decision::DecisionRules,
    policy::Policy,
    wire::{
        as_path::AsPath,
        attributes::{Attributes, NextHop},
        capability::Capability,
        community::Community,
        emit::{self, EmitContext},
        header::{self, MAX_LEN, MessageType},
        notification::{Cease, Notification},
        open::Open,
    },
};
use net::{Instant, IpNet, Ipv4Net};
use std::{net::Ipv4Addr, time::Duration};

fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u32>().expect("a number"));
    let peers = numbers.next().map_or(1, |peers| u8::try_from(peers).expect("at most 199 peers"));
    measure(peers, numbers.next().unwrap_or(1_000_000));
}

struct Clock(std::time::Instant);

impl Clock {
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    fn lap(&mut self) -> Duration {
        let lap = self.0.elapsed();
        *self = Self::start();
        lap
    }
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("the second field") * 4096
}

fn measure(peers: u8, routes: u32) {
    let router_id = RouterId::new(Ipv4Addr::new(192, 0, 2, 255)).expect("not zero");
    let config =
        SpeakerConfig { asn: Asn(65000), router_id, decision: DecisionRules::default(), restarting: None };
    let now = Instant::ZERO;
    let mut speaker = Speaker::new(config, 1, now);
    let connections: Vec<_> = (1..=peers).map(|n| establish(&mut speaker, n, true, now)).collect();
    let feeds: Vec<Vec<u8>> = (1..=peers).map(|n| feed(n, routes)).collect();
    let octets: usize = feeds.iter().map(Vec::len).sum();
    let (before, mut clock) = (resident(), Clock::start());
    let mut changes = 0;
    for (connection, feed) in connections.iter().zip(&feeds) {
        for piece in feed.chunks(65536) {
            speaker.handle_bytes(*connection, piece, now);
            changes += drain(&mut speaker);
        }
    }
    let loaded = clock.lap();
    let paths = usize::from(peers) * routes as usize;
    let per_path = resident().saturating_sub(before) / paths;
    println!("{peers} peers with {routes} routes each, {} MB of UPDATEs:", octets / 1_000_000);
    println!("  loaded in {loaded:.2?}, with {changes} changes for the forwarding table");
    println!("  {per_path} octets a path, {} distinct attributes", speaker.rib().attribute_count());
    announce_all(&mut speaker, &mut clock, now);
    for n in 1..=peers {
        speaker.stop_peer(PeerId(u16::from(n)), Notification::cease(Cease::AdminShutdown), now);
    }
    let withdrawn = clock.lap();
    let changes = drain(&mut speaker);
    println!("  withdrawn in {withdrawn:.2?}, {changes} changes in {:.2?}", clock.lap());
    assert_eq!(speaker.rib().len(Family::Ipv4), 0);
}

fn announce_all(speaker: &mut Speaker, clock: &mut Clock, now: Instant) {
    clock.lap();
    let connection = establish(speaker, 200, false, now);
    let (mut octets, mut calls) = (0, 0);
    while let Some(out) = speaker.poll_transmit(connection, now) {
        octets += out.len();
        calls += 1;
    }
    println!(
        "  announced to one more peer in {:.2?}, {} MB in {calls} pieces",
        clock.lap(),
        octets / 1_000_000
    );
}

fn drain(speaker: &mut Speaker) -> usize {
    while speaker.poll_event().is_some() || speaker.poll_io().is_some() {}
    let mut changes = 0;
    while let Some(change) = speaker.poll_route_change() {
        assert!(matches!(change, RouteChange::Use { .. } | RouteChange::Gone { .. }));
        changes += 1;
    }
    changes
}

fn establish(speaker: &mut Speaker, n: u8, gives: bool, now: Instant) -> ConnectionId {
    let asn = Asn(65000 + u32::from(n));
    let mut config = PeerConfig::new("feed", Ipv4Addr::new(10, 0, n, 1).into(), asn);
    config.timers.passive = true;
    let next_hop = Some(NextHop::V4(Ipv4Addr::new(10, 0, n, 2)));
    config.families.ipv4 = Some(FamilyConfig { next_hop, ..FamilyConfig::default() });
    config.import = gives.then(Policy::accept_all);
    config.export = (!gives).then(Policy::accept_all);
    let peer = speaker.add_peer(config).expect("room");
    speaker.start_peer(peer, now);
    let connection = speaker.accept(peer, now).expect("welcome");
    let router_id = RouterId::new(Ipv4Addr::new(192, 0, 2, n)).expect("not zero");
    let open = Open { asn, hold_time: 90, router_id, capabilities: vec![Capability::FourOctetAs(asn)] };
    speaker.handle_bytes(connection, &header::emit(MessageType::Open, &open.emit()), now);
    speaker.handle_bytes(connection, &header::emit(MessageType::Keepalive, &[]), now);
    connection
}

/// UPDATEs for `routes` prefixes: /24 mostly, one to eleven sharing attributes.
fn feed(n: u8, routes: u32) -> Vec<u8> {
    let mut rng = u64::from(n);
    let mut random = |below: u64| {
        rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((rng >> 33) % below).expect("small")
    };
    let context = EmitContext { four_octet_as: true, max_len: MAX_LEN };
    let (mut out, mut next) = (Vec::new(), 0);
    while next < routes {
        let count = (1 + random(11)).min(routes - next);
        let mut attributes = Attributes::local(NextHop::V4(Ipv4Addr::new(10, 0, n, 1)));
        let hops = 2 + random(5);
        let tail = (0..hops).map(|_| Asn(1 + random(80_000)));
        attributes.as_path =
            AsPath::sequence(&[Asn(65000 + u32::from(n))].into_iter().chain(tail).collect::<Vec<_>>());
        attributes.communities = (0..random(5)).map(|_| Community(random(1 << 31))).collect();
        let prefixes: Vec<IpNet> = (next..next + count).map(prefix).collect();
        let messages = emit::announce(Family::Ipv4, &attributes, &prefixes, context).expect("room");
        messages.iter().for_each(|message| out.extend_from_slice(message));
        next += count;
    }
    out
}

fn prefix(n: u32) -> IpNet {
    // A walk through the unicast space in steps that leave gaps.
    let bits = 0x0100_0000_u32 + n.wrapping_mul(13) % 14_000_000 * 256;
    IpNet::V4(Ipv4Net::new(Ipv4Addr::from_bits(bits), 24).expect("24 bits").trunc())
}
