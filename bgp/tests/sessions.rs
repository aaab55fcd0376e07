//! Stories about sessions: how they come up, collide, end and come back.
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

use ::net::Instant;
use bgp::{
    Asn, Event, Family, Io, RestartMode, Restarting, SessionEnd,
    fsm::State,
    peer::{PathWatch, Standing},
    wire::{
        capability::Role,
        notification::{Cause, Cease, Notification, OpenError},
    },
};
use bgp::{
    PeerConfig, RouterId, Speaker, own_route,
    wire::{
        header::{self, MessageType},
        open::Open,
    },
};
use world::{World, ms, net, secs};

/// Only the first node dials: no collisions in this story.
fn calm(node: usize, config: &mut PeerConfig) {
    config.timers.passive = node != 0;
}

#[test]
fn two_speakers_come_up_and_exchange_routes_of_both_families() {
    let mut world = World::new(1);
    let (a, b) = (world.node(65001, 1), world.node(65002, 2));
    let (ab, ba) = world.join(a, b, |_, _| {});
    world.announce(a, "10.1.0.0/16");
    world.announce(a, "2001:db8:1::/48");
    world.start();
    assert!(world.run_until(secs(1), |world| world.all_up()));
    world.announce(b, "10.2.0.0/16");
    world.run(ms(200));
    assert_eq!(world.fib(b, "10.1.0.0/16"), ["10.255.0.1"]);
    assert_eq!(world.fib(b, "2001:db8:1::/48"), ["fd00::1"]);
    assert_eq!(world.fib(a, "10.2.0.0/16"), ["10.255.0.2"]);
    assert_eq!(world.fib(a, "10.1.0.0/16"), Vec::<&str>::new(), "our own route is not ours to install");
    let path = world.nodes[b].speaker.rib().get(&net("10.1.0.0/16")).and_then(|d| d.best()).unwrap();
    assert_eq!(path.received.as_path.to_string(), "65001");
    world.retract(a, "10.1.0.0/16");
    world.run(ms(200));
    assert_eq!(world.fib(b, "10.1.0.0/16"), Vec::<&str>::new());
    for (node, peer) in [(a, ab), (b, ba)] {
        let status = world.status(node, peer);
        assert!(status.families.ipv4.end_of_rib && status.families.ipv6.end_of_rib);
    }
}

// RFC 4271 clause 6.8. Both dial at the same moment, over many delays: one session is left at once, and it
// stays.
#[test]
fn simultaneous_opens_leave_exactly_one_session() {
    let mut flaps = 0;
    for seed in 0..300 {
        let mut world = World::new(seed);
        world.max_delay = 1 + seed % 40;
        let (a, b) = (world.node(65001, 1), world.node(65002, 2));
        let (ab, ba) = world.join(a, b, |_, _| {});
        world.announce(a, "10.1.0.0/16");
        world.announce(b, "10.2.0.0/16");
        world.start();
        assert!(world.run_until(secs(60), |world| world.all_up()), "seed {seed}");
        world.run(secs(120));
        assert!(world.all_up(), "seed {seed}");
        let crossed = (world.fib(a, "10.2.0.0/16").len(), world.fib(b, "10.1.0.0/16").len());
        assert_eq!(crossed, (1, 1), "seed {seed}");
        for (node, peer) in [(a, ab), (b, ba)] {
            flaps += world.status(node, peer).sessions - 1;
        }
        let early = world.nodes[a]
            .events
            .iter()
            .any(|(at, event)| matches!(event, Event::Up { .. }) && *at <= Instant::ZERO.after(secs(2)));
        assert!(early, "seed {seed}: not even a first session within a second");
    }
    // A session is exchanged for the other one when the second connection completed between our OPEN and
    // their KEEPALIVE on the first: rare, and over within a round trip.
    assert!(flaps <= 30, "{flaps} sessions were given up after they had come up, in 600");
}

// RFC 4271 clause 6.8: one connection is the session already when OPEN and KEEPALIVE arrive in one piece on the one that stays. The
// end of the first must not be taken for the end of the second.
#[test]
fn a_session_that_takes_the_place_of_another_one_at_once_is_whole() {
    let now = Instant::ZERO.after(secs(1));
    let mut theirs = Speaker::new(world::speaker_config(65001, 1), 1, now);
    let far = theirs.add_peer(world::peer_config(1, 1, 2, Asn(65002))).expect("room");
    theirs.start_peer(far, now);
    let calling = theirs.accept(far, now).expect("welcome");
    let open = theirs.poll_transmit(calling, now).expect("an OPEN");
    let keepalive = header::emit(MessageType::Keepalive, &[]);

    // The larger identifier is ours: the connection that we made stays.
    let mut ours = Speaker::new(world::speaker_config(65002, 2), 1, now);
    let peer = ours.add_peer(world::peer_config(1, 2, 1, Asn(65001))).expect("room");
    ours.announce(net("10.2.0.0/16"), own_route(), now);
    ours.start_peer(peer, now);
    let dialled = core::iter::from_fn(|| ours.poll_io()).find_map(|io| match io {
        Io::Connect(id) => Some(id),
        Io::Close(..) => None,
    });
    let dialled = dialled.expect("it dials");
    let called = ours.accept(peer, now).expect("welcome");
    ours.handle_bytes(called, &open, now);
    assert!(ours.handle_connected(dialled, now));
    ours.handle_bytes(called, &keepalive, now);
    ours.handle_bytes(dialled, &[&open[..], &keepalive[..]].concat(), now);
    let told: Vec<_> = core::iter::from_fn(|| ours.poll_event())
        .filter_map(|event| match event {
            Event::Up { .. } => Some("up"),
            Event::Down { was_up: true, .. } => Some("down"),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["up", "down", "up"]);
    while ours.poll_transmit(dialled, now).is_some() {}
    let status = ours.status(peer).expect("it is there");
    assert_eq!((status.state, status.families.ipv4.announced), (State::Established, 1));
}

// RFC 4271 clause 6.5.
#[test]
fn silence_ends_the_session_at_the_hold_time() {
    let mut world = World::new(2);
    let (a, b) = (world.node(65001, 1), world.node(65002, 2));
    let (ab, _) = world.join(a, b, |node, config| {
        calm(node, config);
        config.hold_time = secs(if node == 0 { 9 } else { 90 });
    });
    world.announce(b, "10.2.0.0/16");
    world.start();
    world.run(secs(30));
    assert_eq!(world.fib(a, "10.2.0.0/16").len(), 1);
    world.cut(0, true);
    let cut_at = world.now;
    assert!(world.run_until(secs(20), |world| !world.is_up(a, ab)));
    let silence = world.now.since(cut_at);
    assert!(silence >= secs(6) && silence <= secs(9), "{silence:?}");
    assert_eq!(world.ends(a, ab), [SessionEnd::HoldTimer]);
    assert!(world.fib(a, "10.2.0.0/16").is_empty());
    world.cut(0, false);
    assert!(world.run_until(secs(40), |world| world.all_up()), "it comes back by itself");
}

#[test]
fn a_stable_session_lasts_without_a_word_from_anybody() {
    let mut world = World::new(3);
    let (a, b) = (world.node(65001, 1), world.node(65002, 2));
    let (ab, _) = world.join(a, b, |node, config| {
        calm(node, config);
        config.hold_time = secs(3);
    });
    world.start();
    world.run(secs(3600));
    assert_eq!((world.status(a, ab).sessions, world.ends(a, ab)), (1, vec![]));
}

// RFC 4271 clause 4.2: a hold time of zero means no KEEPALIVEs at all.
#[test]
fn hold_time_zero_switches_keepalives_off() {
    let mut world = World::new(4);
    let (a, b) = (world.node(65001, 1), world.node(65002, 2));
    let (ab, _) = world.join(a, b, |node, config| {
        calm(node, config);
        config.hold_time = secs(0);
    });
    world.start();
    world.run(secs(3600));
    let status = world.status(a, ab);
    assert_eq!((status.sessions, status.messages_out.keepalive), (1, 1));
}

// RFC 4271 clause 6.2, 8.1.1 DampPeerOscillations: a wrong AS is refused again and again, ever more slowly.
#[test]
fn a_peer_that_cannot_be_right_is_left_alone_longer_each_time() {
    let mut world = World::new(5);
    let (a, b) = (world.node(65001, 1), world.node(65002, 2));
    let (ab, ba) = world.join(a, b, |node, config| {
        if node == 0 {
            config.asn = Asn(65009);
        }
    });
    world.start();
    world.run(secs(600));
    let ends = world.ends(a, ab);
    let refusals = ends.iter().filter(
        |end| matches!(end, SessionEnd::PeerFault(note) if note.cause == Cause::Open(OpenError::PeerAs)),
    );
    let count = refusals.count();
    assert!((8..40).contains(&count), "{count} refusals in ten minutes");
    assert!(!world.is_up(b, ba));
}

// RFC 9003, RFC 4486.
#[test]
fn shutdown_carries_the_operators_words_and_lasts() {
    let mut world = World::new(6);
    let (a, b) = (world.node(65001, 1), world.node(65002, 2));
    let (ab, ba) = world.join(a, b, calm);
    world.start();
    world.run(secs(1));
    let note = Notification::cease_with_text(Cease::AdminShutdown, "fibre work until 04:00");
    world.act(a, |speaker, now| speaker.stop_peer(ab, note, now));
    world.run(secs(300));
    let SessionEnd::PeerSaid(said) = &world.ends(b, ba)[0] else { panic!("{:?}", world.ends(b, ba)) };
    assert_eq!(said.shutdown_text(), Some("fibre work until 04:00"));
    assert_eq!(world.status(a, ab).standing, Standing::Stopped);
    assert!(!world.is_up(a, ab) && !world.is_up(b, ba));
    // Five minutes of attempts later they can still be read, at both ends.
    let (heard, told) = (world.status(b, ba).last_words.heard, world.status(a, ab).last_words.told);
    let words = |note: &Option<(Instant, Notification)>| note.as_ref()?.1.shutdown_text().map(str::to_owned);
    assert_eq!((words(&heard).as_deref(), words(&told)), (Some("fibre work until 04:00"), words(&heard)));
    world.act(a, |speaker, now| speaker.start_peer(ab, now));
    assert!(world.run_until(secs(10), |world| world.all_up()));
    world.act(a, |speaker, now| speaker.reset_peer(ab, "new password", now));
    world.run(secs(10));
    assert!(world.all_up());
    assert_eq!(world.status(a, ab).sessions, 3);
}

// RFC 9687: the peer is alive and sends KEEPALIVEs, but does not read ours.
#[test]
fn a_peer_that_does_not_read_is_given_up() {
    let mut now = Instant::ZERO;
    let mut speaker = Speaker::new(world::speaker_config(65002, 2), 7, now);
    let mut config = world::peer_config(0, 2, 1, Asn(65001));
    (config.hold_time, config.send_hold, config.timers.passive) = (secs(3), Some(secs(20)), true);
    let peer = speaker.add_peer(config).unwrap();
    speaker.start_peer(peer, now);
    let connection = speaker.accept(peer, now).unwrap();
    assert!(speaker.poll_transmit(connection, now).is_some(), "our OPEN");
    let router_id = RouterId::new([192, 0, 2, 1].into()).unwrap();
    let open = Open { asn: Asn(65001), hold_time: 90, router_id, capabilities: vec![] };
    speaker.handle_bytes(connection, &header::emit(MessageType::Open, &open.emit()), now);
    let mut ended = None;
    for second in 0..60 {
        now = Instant::ZERO.after(secs(second));
        speaker.handle_bytes(connection, &header::emit(MessageType::Keepalive, &[]), now);
        speaker.handle_timeout(now);
        let events = core::iter::from_fn(|| speaker.poll_event());
        let down = events.filter(|event| matches!(event, Event::Down { .. })).last();
        if let Some(Event::Down { end, .. }) = down {
            ended = Some((second, end));
            break;
        }
    }
    assert_eq!(ended, Some((20, SessionEnd::SendHoldTimer)));
}

// RFC 9384, and strict mode: no session before the path is up.
#[test]
fn the_path_rules_the_session_as_configured() {
    let mut world = World::new(8);
    let (a, b) = (world.node(65001, 1), world.node(65002, 2));
    let (ab, ba) = world.join(a, b, |node, config| {
        if node == 0 {
            config.timers.path_watch = PathWatch::Strict;
        }
    });
    world.announce(b, "10.2.0.0/16");
    world.start();
    world.run(secs(30));
    assert_eq!(world.status(a, ab).standing, Standing::AwaitsPath);
    assert!(!world.is_up(b, ba));
    world.act(a, |speaker, now| speaker.handle_path(ab, true, false, now));
    assert!(world.run_until(secs(10), |world| world.all_up()));
    world.run(secs(1));
    assert_eq!(world.fib(a, "10.2.0.0/16").len(), 1);
    world.act(a, |speaker, now| speaker.handle_path(ab, false, false, now));
    assert!(world.fib(a, "10.2.0.0/16").is_empty(), "traffic moves in the same call");
    world.run(secs(30));
    assert_eq!(world.status(a, ab).standing, Standing::AwaitsPath);
    let down = Notification::cease(Cease::BfdDown);
    assert!(world.ends(b, ba).contains(&SessionEnd::PeerSaid(down)));
}

// RFC 9234 section 4.2.
#[test]
fn roles_that_do_not_fit_make_no_session() {
    for (ours, theirs, fits) in [
        (Role::Customer, Role::Provider, true),
        (Role::Peer, Role::Peer, true),
        (Role::Customer, Role::Customer, false),
        (Role::Provider, Role::Peer, false),
    ] {
        let mut world = World::new(9);
        let (a, b) = (world.node(65001, 1), world.node(65002, 2));
        world.join(a, b, |node, config| config.role = Some(if node == 0 { ours } else { theirs }));
        world.start();
        world.run(secs(5));
        assert_eq!(world.all_up(), fits, "{ours} and {theirs}");
    }
}

#[test]
fn internal_sessions_keep_preference_and_path_and_do_not_reflect() {
    let mut world = World::new(10);
    let (a, b, c) = (world.node(65001, 1), world.node(65001, 2), world.node(65001, 3));
    world.join(a, b, |_, _| {});
    world.join(b, c, |_, _| {});
    world.announce(a, "10.1.0.0/16");
    world.start();
    world.run(secs(5));
    assert!(world.all_up());
    let rib = world.nodes[b].speaker.rib();
    let path = rib.get(&net("10.1.0.0/16")).and_then(|d| d.best()).unwrap();
    assert_eq!((path.received.as_path.hops(), path.received.local_pref), (0, Some(100)));
    assert!(world.nodes[c].speaker.rib().get(&net("10.1.0.0/16")).is_none());
}

// RFC 4724 section 4.2, RFC 8538: which ends of a session keep the routes.
#[test]
fn graceful_restart_bridges_a_lost_connection_but_not_a_hard_reset() {
    for (notification, seed) in [(false, 11), (true, 12)] {
        let mut world = World::new(seed);
        let (a, b) = (world.node(65001, 1), world.node(65002, 2));
        let (ab, ba) = world.join(a, b, |_, config| {
            config.restart = RestartMode::Full(120);
            config.restart_over_notification = notification;
        });
        world.announce(b, "10.2.0.0/16");
        world.announce(b, "10.3.0.0/16");
        world.start();
        world.run(secs(10));
        world.reset(0);
        assert_eq!(world.fib(a, "10.2.0.0/16").len(), 1, "stale routes forward");
        assert!(world.nodes[a].speaker.explain(&net("10.2.0.0/16")).paths[0].stale);
        world.retract(b, "10.3.0.0/16");
        assert!(world.run_until(secs(30), |world| world.all_up()));
        world.run(secs(1));
        assert_eq!(world.fib(a, "10.2.0.0/16").len(), 1);
        assert!(world.fib(a, "10.3.0.0/16").is_empty(), "what did not come back is swept by End-of-RIB");
        assert!(!world.nodes[a].speaker.explain(&net("10.2.0.0/16")).paths[0].stale);
        // An administrative reset keeps routes with the N bit only; a shutdown never.
        world.act(b, |speaker, now| speaker.reset_peer(ba, "", now));
        world.run(ms(50));
        assert_eq!(world.fib(a, "10.2.0.0/16").len(), usize::from(notification));
        assert!(world.run_until(secs(30), |world| world.all_up()));
        world.run(secs(1));
        assert_eq!(world.fib(a, "10.2.0.0/16").len(), 1);
        let shutdown = Notification::cease(Cease::AdminShutdown);
        world.act(b, |speaker, now| speaker.stop_peer(ba, shutdown, now));
        world.run(ms(50));
        assert!(world.fib(a, "10.2.0.0/16").is_empty());
        let _ = ab;
    }
}

// RFC 4724 section 4.2: the restart time is the longest that a dead peer's routes live.
#[test]
fn stale_routes_die_with_the_restart_time() {
    let mut world = World::new(13);
    let (a, b) = (world.node(65001, 1), world.node(65002, 2));
    world.join(a, b, |_, config| config.restart = RestartMode::Full(20));
    world.announce(b, "10.2.0.0/16");
    world.start();
    world.run(secs(10));
    world.cut(0, true);
    world.reset(0);
    world.run(secs(19));
    assert_eq!(world.fib(a, "10.2.0.0/16").len(), 1);
    world.run(secs(2));
    assert!(world.fib(a, "10.2.0.0/16").is_empty());
}

// RFC 5882 section 4.3.2: BFD says that the path is dead, and the C bit says that it does not only mean
// the peer's control plane.
#[test]
fn a_dead_path_drops_stale_routes_unless_it_may_be_a_restart() {
    // BFD is the first to tell, or TCP is.
    for (may_live, tcp_first) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut world = World::new(14);
        let (a, b) = (world.node(65001, 1), world.node(65002, 2));
        let (ab, _) = world.join(a, b, |_, config| {
            config.restart = RestartMode::Full(60);
            config.timers.path_watch = PathWatch::Follow;
        });
        world.announce(b, "10.2.0.0/16");
        world.start();
        world.act(a, |speaker, now| speaker.handle_path(ab, true, false, now));
        world.run(secs(10));
        if tcp_first {
            world.cut(0, true);
            world.reset(0);
            world.run(ms(100));
            assert_eq!(world.fib(a, "10.2.0.0/16").len(), 1);
        }
        world.act(a, |speaker, now| speaker.handle_path(ab, false, !may_live, now));
        assert_eq!(world.fib(a, "10.2.0.0/16").len(), usize::from(may_live), "{may_live} {tcp_first}");
        let (_, end) = world.status(a, ab).last_end.unwrap();
        assert!(tcp_first || end.to_string().contains("BFD down"), "{end}");
    }
}

fn restarting(longest: u64) -> Option<Restarting> {
    Some(Restarting { longest: secs(longest), forwarding: true })
}

// RFC 4724 section 4.1: our own restart, with the data plane still forwarding.
#[test]
fn after_our_restart_nothing_is_chosen_before_all_have_spoken() {
    let mut world = World::new(15);
    let a = world.node_with(65001, 1, |config| config.restarting = restarting(60));
    let (b, c) = (world.node(65002, 2), world.node(65003, 3));
    world.join(a, b, |_, config| config.restart = RestartMode::Full(120));
    world.join(a, c, |_, config| config.restart = RestartMode::Full(120));
    world.announce(a, "10.1.0.0/16");
    world.announce(b, "10.2.0.0/16");
    world.announce(c, "10.3.0.0/16");
    world.cut(1, true);
    world.start();
    world.run(secs(10));
    assert!(world.nodes[a].fib.is_empty(), "c has not spoken yet");
    assert!(world.fib(b, "10.1.0.0/16").is_empty());
    world.cut(1, false);
    assert!(world.run_until(secs(20), |world| world.nodes[0].fib.len() == 2));
    world.run(secs(1));
    assert_eq!(world.fib(b, "10.1.0.0/16").len(), 1);
    // When one never speaks, the deferral timer ends the waiting.
    let mut lonely = World::new(16);
    let a = lonely.node_with(65001, 1, |config| config.restarting = restarting(30));
    let (b, c) = (lonely.node(65002, 2), lonely.node(65003, 3));
    lonely.join(a, b, |_, config| config.restart = RestartMode::Full(120));
    lonely.join(a, c, |_, config| config.restart = RestartMode::Full(120));
    lonely.announce(b, "10.2.0.0/16");
    lonely.cut(1, true);
    lonely.start();
    lonely.run(secs(29));
    assert!(lonely.nodes[a].fib.is_empty());
    lonely.run(secs(2));
    assert_eq!(lonely.fib(a, "10.2.0.0/16").len(), 1);
}

// A peer that the earlier life had no session with has nothing to bring back.
#[test]
fn peers_that_were_not_up_before_a_restart_are_not_waited_for() {
    let mut world = World::new(18);
    let a = world.node_with(65001, 1, |config| config.restarting = restarting(60));
    let (b, c) = (world.node(65002, 2), world.node(65003, 3));
    world.join(a, b, |_, config| config.restart = RestartMode::Full(120));
    let (ac, _) = world.join(a, c, |_, config| config.restart = RestartMode::Full(120));
    world.announce(b, "10.2.0.0/16");
    world.cut(1, true);
    world.act(a, |speaker, _| speaker.do_not_await(ac));
    world.start();
    assert!(world.run_until(secs(10), |world| !world.nodes[0].fib.is_empty()));
}

// RFC 4724 section 3: what the bits say at each turn of a life.
#[test]
fn a_restart_is_told_and_forwarding_is_claimed_only_where_it_is_true() {
    for (life, told) in [
        (None, (false, Some(false))),
        (Some(Restarting { longest: secs(60), forwarding: false }), (true, Some(false))),
        (restarting(60), (true, Some(true))),
    ] {
        let mut world = World::new(19);
        let a = world.node_with(65001, 1, |config| config.restarting = life);
        let b = world.node(65002, 2);
        let (_, ba) = world.join(a, b, |node, config| {
            calm(node, config);
            config.restart = RestartMode::Full(120);
        });
        world.start();
        let bits = |world: &World| {
            let restart =
                world.status(b, ba).agreed.and_then(|agreed| agreed.graceful_restart).expect("both can");
            (restart.restarting, restart.families.ipv4)
        };
        assert!(world.run_until(secs(10), World::all_up));
        assert_eq!(bits(&world), told, "{life:?}");
        // The next session of the same life: routes are complete, and forwarding went on meanwhile.
        world.run(secs(5));
        world.reset(0);
        assert!(world.run_until(secs(20), World::all_up));
        assert_eq!(bits(&world), (false, Some(true)), "{life:?}");
    }
}

// RFC 4724 section 5: the peer is back before we noticed that it was gone.
#[test]
fn a_restarted_peer_replaces_its_dead_session_and_keeps_its_routes() {
    let mut world = World::new(17);
    let (a, b) = (world.node(65001, 1), world.node(65002, 2));
    let (ab, ba) = world.join(a, b, |node, config| {
        config.timers.passive = node == 0;
        config.restart = RestartMode::Full(120);
    });
    world.announce(b, "10.2.0.0/16");
    world.start();
    world.run(secs(20));
    // b loses its side without a word reaching a, and dials again.
    world.cut(0, true);
    world.act(b, |speaker, now| speaker.reset_peer(ba, "", now));
    world.run(ms(10));
    world.forget(0);
    world.cut(0, false);
    assert!(world.is_up(a, ab), "a knows of nothing");
    assert!(world.run_until(secs(30), |world| world.status(0, ab).sessions == 2));
    assert_eq!(world.fib(a, "10.2.0.0/16").len(), 1);
    assert_eq!(world.ends(a, ab), [SessionEnd::Closed]);
    world.run(secs(2));
    assert!(world.all_up() && world.status(a, ab).state == State::Established);
}

// RFC 2918, RFC 7313.
#[test]
fn a_refresh_brings_everything_again_without_a_reset() {
    let mut world = World::new(18);
    let (a, b) = (world.node(65001, 1), world.node(65002, 2));
    let (ab, ba) = world.join(a, b, |_, _| {});
    for n in 0..20 {
        world.announce(b, &format!("10.{n}.0.0/16"));
    }
    world.start();
    world.run(secs(2));
    let before = world.status(b, ba).messages_out;
    assert!(world.act(a, |speaker, _| speaker.ask_again(ab, Family::Ipv4)));
    world.run(secs(2));
    let after = world.status(b, ba).messages_out;
    assert_eq!((after.refresh - before.refresh, after.update - before.update), (2, 1));
    assert_eq!(world.nodes[a].fib.len(), 20);
    assert_eq!(world.status(a, ab).families.ipv4.stale_until, None);
    assert_eq!(world.status(a, ab).sessions, 1);
}

// A link without carrier carries nothing: no waiting for the hold timer, no stale routes, and back at once.
#[test]
fn a_link_that_goes_down_ends_the_session_at_once_and_one_that_comes_back_dials_at_once() {
    let mut world = World::new(8);
    let (a, b) = (world.node(65001, 1), world.node(65002, 2));
    let (ab, ba) = world.join(a, b, |node, config| {
        config.restart = RestartMode::Helper;
        config.connect_retry = secs(3600);
        calm(node, config);
    });
    world.announce(b, "10.2.0.0/16");
    world.start();
    assert!(world.run_until(secs(1), |world| world.all_up()));
    world.run(ms(200));
    world.act(a, |speaker, now| speaker.handle_link(ab, false, now));
    assert!(!world.is_up(a, ab));
    assert_eq!(world.status(a, ab).standing, Standing::AwaitsPath);
    assert_eq!(world.fib(a, "10.2.0.0/16"), Vec::<&str>::new());
    assert_eq!(world.ends(a, ab), [SessionEnd::Closed]);
    world.run(secs(30));
    assert!(!world.is_up(a, ab), "no dialling without a link");
    world.act(a, |speaker, now| speaker.handle_link(ab, true, now));
    assert!(world.run_until(secs(2), |world| world.is_up(a, ab) && world.is_up(b, ba)));
    world.run(ms(200));
    assert_eq!(world.fib(a, "10.2.0.0/16"), ["10.255.0.2"]);
    // A peer that is stopped stays so, whatever its link does.
    let note = Notification::cease(Cease::AdminShutdown);
    world.act(a, |speaker, now| speaker.stop_peer(ab, note, now));
    world.act(a, |speaker, now| speaker.handle_link(ab, false, now));
    world.act(a, |speaker, now| speaker.handle_link(ab, true, now));
    assert_eq!(world.status(a, ab).standing, Standing::Stopped);
}
