//! Coming up: how fast, with whom, and who is key server.

use macsec::{
    CipherSuite, ConfidentialityOffset,
    mka::{Confidentiality, KeyServerWhy, MacsecCapability, MkaEvent, NEVER_KEY_SERVER},
};

use crate::world::{World, key, ms, params, sci, secs};

// First encrypted frame within 300 ms of both ends being up.
#[test]
fn two_ends_are_secured_300_ms_after_both_are_up() {
    for head_start in [0, 1, 50, 99, 150, 500, 1_700, 3_000, 3_499, 10_000] {
        let mut world = World::new(head_start);
        world.weather.delay = (ms(5), ms(5));
        world.add(params(1), vec![key(1)]);
        world.run(ms(head_start));
        world.add(params(0), vec![key(1)]);
        let took = world.settle(ms(300));
        assert!(took <= ms(150), "{head_start}: {took:?}");
        world.ping();
        assert_eq!(world.refusals, Vec::<String>::new());
    }
}

#[test]
fn two_ends_with_a_lossy_start_need_no_second_hello() {
    let mut slow = 0;
    for seed in 0..100 {
        let mut world = World::new(seed);
        world.weather.loss = 20;
        world.add(params(0), vec![key(1)]);
        world.add(params(1), vec![key(1)]);
        slow += usize::from(world.settle(secs(12)) > ms(1000));
        world.ping();
    }
    assert!(slow <= 5, "{slow} of 100 took more than a second");
}

#[test]
fn groups_agree_on_one_key_and_all_hear_all() {
    for count in 2..=5 {
        let mut world = World::of(count);
        let took = world.settle(secs(2));
        assert!(took <= ms(1000), "{count}: {took:?}");
        world.run(secs(10));
        world.ping();
        for node in 0..count {
            let server = world.status(node).key_server.unwrap();
            assert_eq!((server.sci, server.ours), (sci(0), node == 0));
        }
        assert_eq!(world.refusals, Vec::<String>::new());
    }
}

#[test]
fn every_suite_and_offset_carries_frames() {
    for suite in CipherSuite::ALL {
        for octets in [0, 30, 50] {
            let offset = ConfidentialityOffset::new(octets).unwrap();
            let mut world = World::with(2, |_, params| {
                params.suites = vec![suite];
                params.confidentiality = Confidentiality::From(offset);
            });
            world.settle(secs(1));
            world.ping();
            let used = world.status(1).key.unwrap();
            assert_eq!(used.suite, suite);
            // Trap 29: with XPN there are no offsets, so the key server asks for none.
            let expected = if suite.is_xpn() { ConfidentialityOffset::Zero } else { offset };
            assert_eq!(used.confidentiality, Confidentiality::From(expected));
        }
    }
}

#[test]
fn integrity_only_is_for_those_who_ask_for_it() {
    let mut world = World::with(2, |_, params| params.confidentiality = Confidentiality::IntegrityOnly);
    world.settle(secs(1));
    world.ping();
    assert_eq!(world.status(1).key.unwrap().confidentiality, Confidentiality::IntegrityOnly);
    // The key server may be stricter than the member, not the other way round.
    let mut world = World::with(2, |node, params| {
        if node == 1 {
            params.confidentiality = Confidentiality::IntegrityOnly;
        }
    });
    world.settle(secs(1));
    assert!(world.status(1).key.unwrap().confidentiality.encrypts());
    let mut world = World::with(2, |node, params| {
        if node == 0 {
            params.confidentiality = Confidentiality::IntegrityOnly;
        }
    });
    world.run(secs(20));
    assert!(!world.nodes[1].secured);
    assert!(world.status(1).diagnoses.iter().any(|found| found.code() == "not_encrypted"));
}

#[test]
fn the_best_suite_that_all_have_is_taken() {
    use CipherSuite::{GcmAes128, GcmAes256, GcmAesXpn128, GcmAesXpn256};
    for (ours, theirs, expected) in [
        (vec![GcmAesXpn256, GcmAes128], vec![GcmAes128, GcmAesXpn256], GcmAesXpn256),
        (vec![GcmAesXpn256, GcmAes256, GcmAes128], vec![GcmAes128, GcmAes256], GcmAes256),
        (vec![GcmAesXpn128, GcmAes128], vec![GcmAes128], GcmAes128),
    ] {
        let mut world = World::with(2, |node, params| {
            params.suites = if node == 0 { ours.clone() } else { theirs.clone() };
        });
        world.settle(secs(1));
        assert_eq!(world.status(1).key.unwrap().suite, expected);
        world.ping();
    }
}

// Another offset than the members can do is not used (§9.7).
#[test]
fn the_least_capability_decides() {
    let mut world = World::with(2, |node, params| {
        params.suites = vec![CipherSuite::GcmAes256];
        params.confidentiality = Confidentiality::From(ConfidentialityOffset::Fifty);
        if node == 1 {
            params.capability = MacsecCapability::Confidentiality;
        }
    });
    world.settle(secs(1));
    let zero = Confidentiality::From(ConfidentialityOffset::Zero);
    assert_eq!(world.status(0).key.unwrap().confidentiality, zero);
    world.ping();
}

#[test]
fn the_key_server_is_the_one_of_lowest_priority_and_says_why() {
    let mut world = World::with(3, |node, params| params.priority = [200, 16, 16][node]);
    world.settle(secs(2));
    let server = world.status(0).key_server.unwrap();
    assert_eq!((server.sci, server.why), (sci(1), KeyServerWhy::Sci { other: sci(2) }));
    let mut world = World::with(2, |node, params| params.priority = [40, 16][node]);
    world.settle(secs(1));
    let server = world.status(0).key_server.unwrap();
    assert_eq!((server.sci, server.why.to_string()), (sci(1), "priority 16 < 40".to_owned()));
}

#[test]
fn without_a_possible_key_server_nothing_is_secured() {
    let mut world = World::with(2, |_, params| params.priority = NEVER_KEY_SERVER);
    world.run(secs(10));
    assert!(!world.nodes[0].secured && !world.nodes[1].secured);
    assert!(world.status(0).diagnoses.iter().any(|found| found.code() == "no_key_server"));
}

// Trap 19: the key server dies in a group, the next one takes over, and between the others nothing is lost.
#[test]
fn a_key_server_is_replaced_without_loss() {
    let mut world = World::of(3);
    world.settle(secs(2));
    world.run(secs(7));
    world.start_traffic(ms(5));
    world.run(secs(1));
    world.kill(0);
    world.run(secs(20));
    assert!(world.agreed(), "{}", world.describe());
    assert_eq!(world.status(2).key_server.unwrap().sci, sci(1));
    assert!(world.losses.is_empty(), "{:?}", world.losses);
    assert!(world.carried > 5_000);
    // It comes back and takes over again.
    world.restart(0);
    assert!(world.settle(secs(1)) < secs(1));
    world.run(secs(10));
    assert_eq!(world.status(2).key_server.unwrap().sci, sci(0));
    world.ping();
    let between: Vec<_> = world.losses.iter().filter(|loss| loss.from != 0 && loss.to != 0).collect();
    assert!(between.is_empty(), "{between:?}");
}

// A better key server joins: a rollover, no gap.
#[test]
fn a_better_key_server_joins_without_loss_between_the_others() {
    let mut world = World::new(3);
    world.add(params(0), vec![key(1)]);
    world.add(params(1), vec![key(1)]);
    world.nodes[0].params.priority = 99;
    world.restart(0);
    world.settle(secs(1));
    world.run(secs(7));
    world.start_traffic(ms(5));
    let mut late = params(2);
    late.priority = 1;
    world.add(late, vec![key(1)]);
    world.run(secs(10));
    assert!(world.agreed(), "{}", world.describe());
    assert_eq!(world.status(0).key_server.unwrap().sci, sci(2));
    let between: Vec<_> = world.losses.iter().filter(|loss| loss.from != 2 && loss.to != 2).collect();
    assert!(between.is_empty(), "{between:?}");
}

#[test]
fn both_ends_tell_what_happened() {
    let mut world = World::of(2);
    world.settle(secs(1));
    for node in &world.nodes {
        let count = |test: fn(&MkaEvent) -> bool| node.events.iter().filter(|(_, event)| test(event)).count();
        assert_eq!(count(|event| matches!(event, MkaEvent::PeerUp { restarted: false, .. })), 1);
        assert_eq!(count(|event| matches!(event, MkaEvent::Secured { .. })), 1);
        assert_eq!(count(|event| matches!(event, MkaEvent::Principal { fallback: false, .. })), 1);
    }
    world.kill(1);
    world.run(secs(7));
    assert!(!world.nodes[0].secured, "fail closed");
    assert!(matches!(world.nodes[0].events.last(), Some((_, MkaEvent::Lost(_)))));
    assert!(world.nodes[0].secy.status().transmit.sas.is_empty());
    assert!(world.nodes[0].secy.status().receive.is_empty());
}
