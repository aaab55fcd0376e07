//! What went wrong elsewhere, by its story: each must not go wrong here.

use macsec::mka::{CpState, Kay, LIFE, RekeyAnswer};

use crate::{
    puppet::{Puppet, Solo, in_use},
    world::{Weather, World, key, ms, params, secs},
};

// A key server that misses the one SAK Use in which a member says that it receives must not wait for ever.
#[test]
fn a_key_server_that_misses_sak_use_does_not_wait_for_ever() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::new());
    peer.greet(&mut solo);
    assert_eq!(solo.status().cp, CpState::Receiving);
    for _ in 0..4 {
        // The member is alive and never says that it has the key. It is offered with every MKPDU.
        solo.pass(ms(1_400));
        assert!(solo.said().distributed_sak.is_some());
        assert_eq!(solo.status().cp, CpState::Receiving);
        peer.greet(&mut solo);
    }
    solo.pass(ms(1_000));
    assert_eq!(solo.status().cp, CpState::Retired, "after a life time it goes on");
    assert!(solo.said().distributed_sak.is_some(), "and still offers the key");
    peer.greet(&mut solo);
    assert!(solo.is_diagnosed("sak_not_taken"));
    let id = solo.status().key.unwrap().key_id;
    peer.report(&mut solo, Some(in_use(id, 0, true, true)), None);
    peer.report(&mut solo, None, Some(in_use(id, 0, true, true)));
    solo.pass(secs(2));
    assert!(solo.said().distributed_sak.is_none());
}

// The other way round: every single MKPDU of the rollover may be the one that is lost.
#[test]
fn a_rollover_survives_the_loss_of_any_one_mkpdu() {
    for victim in 0..24 {
        let mut world = World::of(2);
        world.settle(secs(1));
        world.run(secs(7));
        world.start_traffic(ms(5));
        let mut count = 0;
        world.filter = Some(Box::new(move |_, _| {
            count += 1;
            count != victim + 1
        }));
        assert_eq!(world.tell(0, Kay::rekey), RekeyAnswer::Started);
        world.run(secs(12));
        assert!(world.agreed(), "{victim}\n{}", world.describe());
        assert!(world.losses.is_empty(), "{victim}: {:?}", world.losses);
    }
}

// And of any run of them, of either side: hellos are two seconds apart, so that is what a life time of six bears for sure.
#[test]
fn a_rollover_survives_two_seconds_of_silence_of_one_side() {
    for silent in 0..2 {
        for begin in [0, 3, 12, 25, 60, 150] {
            let mut world = World::of(2);
            world.settle(secs(1));
            world.run(secs(7));
            world.start_traffic(ms(5));
            world.tell(0, Kay::rekey);
            world.run(ms(begin));
            world.cut.insert((silent, 1 - silent));
            world.run(ms(1_950));
            world.cut.clear();
            world.run(secs(14));
            assert!(world.agreed(), "{silent} {begin}\n{}", world.describe());
            assert!(world.losses.is_empty(), "{silent} {begin}: {:?}", world.losses);
        }
    }
}

// A SAK that outlives its process: after SIGKILL nothing of before is used, on neither side, whatever is replayed.
#[test]
fn no_stale_sak_after_sigkill_even_when_everything_is_replayed() {
    for victim in 0..2 {
        let mut world = World::of(2);
        world.taping = true;
        world.settle(secs(1));
        world.run(secs(7));
        let old: Vec<_> = [0, 1].map(|node| world.status(node).key.unwrap().fingerprint).to_vec();
        let tape: Vec<_> = world.tape.drain(..).collect();
        world.kill(victim);
        world.run(ms(500));
        world.restart(victim);
        for (_, from, frame) in &tape {
            world.inject(1 - from, frame);
            world.run(ms(3));
        }
        world.run(secs(12));
        assert!(world.agreed(), "{}", world.describe());
        for node in 0..2 {
            assert!(!old.contains(&world.status(node).key.unwrap().fingerprint));
        }
        world.ping();
    }
}

// A request within six seconds of the last SAK was dropped by others. Also in rollover.rs, under traffic.
#[test]
fn a_rekey_request_right_after_the_first_sak_is_not_dropped() {
    for wait in [0, 1, 20, 100, 2_000, 5_900] {
        let mut world = World::of(2);
        world.settle(secs(1));
        let first = world.status(0).key.unwrap().key_id;
        world.run(ms(wait));
        world.tell(0, Kay::rekey);
        world.run(LIFE + secs(4));
        assert_eq!(world.status(1).key.unwrap().key_id.number(), first.number() + 1, "{wait}");
    }
}

// The controlled port never stays in TRANSMIT or RECEIVE: there is always a deadline while it waits.
#[test]
fn the_controlled_port_never_waits_without_a_deadline_of_its_own_or_the_peers() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::server());
    peer.distribute(&mut solo, peer.sak(1, 0, macsec::CipherSuite::GcmAes256));
    peer.distribute(&mut solo, peer.sak(2, 1, macsec::CipherSuite::GcmAes256));
    assert_eq!(solo.status().cp, CpState::Ready);
    // The key server goes away in the middle of it: a life time later the channel is closed, not half open.
    solo.pass(LIFE + ms(100));
    assert_eq!(solo.status().cp, CpState::Down);
    assert!(!solo.status().secured && solo.secy.status().transmit.sas.is_empty());
    // It comes back, with another identifier, and all is well.
    peer.member = macsec::mka::MemberId([0xb7; 12]);
    peer.distribute(&mut solo, peer.sak(1, 2, macsec::CipherSuite::GcmAes256));
    assert!(solo.status().secured);
}

// Elsewhere a late driver left the machine in TRANSMIT; here the SecY may even refuse, and another SAK follows.
#[test]
fn a_sak_that_the_secy_refuses_is_replaced() {
    let mut world = World::of(2);
    world.settle(secs(1));
    world.run(secs(7));
    for node in 0..2 {
        world.tell(0, Kay::rekey);
        let mut action = None;
        world.tell(node, |kay, _| {
            while let Some(next) = kay.poll_action() {
                if matches!(next, macsec::mka::KeyAction::InstallTransmitSa { .. }) {
                    action = Some(next);
                }
            }
        });
        world.run(secs(8));
        let before = world.status(1).key.unwrap().key_id;
        let key = macsec::mka::DataKey {
            key_id: before,
            an: world.status(1).key.unwrap().an,
            sak: macsec::Sak::new(&[1; 32]).unwrap(),
            suite: macsec::CipherSuite::GcmAes256,
            confidentiality: macsec::mka::Confidentiality::IntegrityOnly,
            salt: macsec::Salt::default(),
        };
        let refused = macsec::mka::KeyAction::InstallTransmitSa { key: key.into(), ssci: macsec::Ssci(1) };
        world.tell(node, |kay, now| kay.handle_refusal(&refused, now));
        assert!(world.status(node).diagnoses.iter().any(|found| found.code() == "sak_refused"));
        world.run(secs(4));
        assert!(world.agreed(), "{}", world.describe());
        assert_ne!(world.status(1).key.unwrap().key_id, before);
        world.ping();
    }
}

// One direction is gone for longer than a life time: the deaf side closes, and comes back with the path.
#[test]
fn a_path_that_is_deaf_one_way_recovers_with_the_first_hellos() {
    for (from, to) in [(0, 1), (1, 0)] {
        let mut world = World::of(2);
        world.settle(secs(1));
        world.run(secs(7));
        world.cut.insert((from, to));
        world.run(secs(30));
        assert!(!world.nodes[to].secured, "fail closed");
        let texts: Vec<_> = world.status(from).diagnoses.iter().map(ToString::to_string).collect();
        assert!(texts.iter().any(|text| text.contains("do not reach it")), "{texts:?}");
        world.cut.clear();
        let took = world.settle(secs(3));
        assert!(took <= ms(2_100), "{took:?}");
        world.run(secs(8));
        world.ping();
    }
}

// A flap of the link shorter than a life time costs nothing but what was on it.
#[test]
fn a_short_cut_keeps_the_key() {
    let mut world = World::of(2);
    world.settle(secs(1));
    world.run(secs(7));
    let key = world.status(0).key.unwrap().key_id;
    world.cut.extend([(0, 1), (1, 0)]);
    world.run(ms(3_900));
    world.cut.clear();
    world.run(secs(5));
    assert_eq!(world.status(0).key.unwrap().key_id, key);
    world.ping();
}

// Hello storms: what we send is bounded, whatever we hear.
#[test]
fn a_storm_of_replayed_mkpdus_does_not_make_us_loud() {
    let mut world = World::of(2);
    world.taping = true;
    for _ in 0..6 {
        world.restart(1);
        world.run(secs(1));
    }
    world.settle(secs(1));
    world.run(secs(20));
    let tape: Vec<_> =
        world.tape.iter().filter(|(_, from, _)| *from == 1).map(|(.., frame)| frame.clone()).collect();
    let key = world.status(0).key.unwrap().key_id;
    let before = world.nodes[0].sent_mkpdus;
    for _ in 0..200 {
        for frame in &tape {
            world.inject(0, frame);
        }
        world.run(ms(50));
    }
    let sent = world.nodes[0].sent_mkpdus - before;
    assert!(sent < 150, "{sent} MKPDUs in 10 s");
    assert_eq!(world.status(0).key.unwrap().key_id, key);
    world.ping();
}

// MKPDUs that take up to a second to arrive: slower than the ramp, still recent enough.
#[test]
fn a_group_of_late_starters_with_delays_settles() {
    let mut world = World::new(21);
    world.weather = Weather { delay: (ms(200), ms(900)), ..Weather::FAIR };
    for node in 0..4 {
        world.add(params(node), vec![key(1)]);
        world.run(ms(1_300));
    }
    world.run(secs(16));
    assert!(world.agreed(), "{}", world.describe());
    world.ping();
}
