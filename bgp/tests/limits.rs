//! Limits for prefixes, and for what fits into a message.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and counts small numbers"
)]

mod lab;
mod world;

use bgp::{
    Event, Family, FamilyConfig, InLimit, InLimitAction, LimitDirection, LimitLevel, NotSent, OutLimit,
    PeerConfig, RestartMode, SessionEnd, own_route,
    peer::{Standing, Unwelcome},
    wire::{
        capability::Capability,
        community::Community,
        emit::{self, EmitContext},
        notification::{Cause, Cease},
        refresh::RefreshKind,
    },
};
use lab::{Lab, capabilities, end_of_rib, refresh, restarts, update};
use world::{World, ms, net, pair, secs};

const ONE: &str = "10.1.0.0/16";
const TWO: &str = "10.2.0.0/16";
const THREE: &str = "10.3.0.0/16";
const FOUR: &str = "10.4.0.0/16";

fn limits(world: &World, node: usize) -> Vec<(LimitDirection, LimitLevel, u32, u32)> {
    let events = world.nodes[node].events.iter();
    let limit = |event: &Event| match event {
        Event::Limit { direction, level, used, max, .. } => Some((*direction, *level, *used, *max)),
        _ => None,
    };
    events.filter_map(|(_, event)| limit(event)).collect()
}

/// Two prefixes are taken and no more.
fn two(config: &mut PeerConfig) {
    let limit = InLimit { max: 2, warn_percent: 100, action: InLimitAction::Hold };
    config.families.ipv4 = Some(FamilyConfig { in_limit: Some(limit), ..FamilyConfig::default() });
    config.restart = RestartMode::Helper;
}

fn withdraw(prefix: &str) -> Vec<u8> {
    let context = EmitContext { four_octet_as: true, max_len: 4096 };
    emit::withdraw(Family::Ipv4, &[prefix.parse().unwrap()], context).concat()
}

fn requests(lab: &Lab) -> usize {
    lab.refreshes().iter().filter(|refresh| refresh.kind == RefreshKind::Request).count()
}

// RFC 4724: what a restarting neighbour does not announce any more is there until its End-of-RIB, but not by its will.
#[test]
fn stale_routes_leave_room_for_those_of_the_new_session() {
    let mut lab = Lab::established(65001, restarts(), two);
    lab.say(&[update(&[ONE, TWO]), end_of_rib()].concat());
    lab.hang_up();
    lab.come_back(65001, restarts());
    lab.say(&update(&[TWO, THREE]));
    assert_eq!((lab.ipv4().received, lab.ipv4().overflowed), (3, false));
    // Two it has announced now, one of them again.
    lab.say(&update(&[TWO, FOUR]));
    assert_eq!((lab.ipv4().received, lab.ipv4().overflowed), (3, true));
    lab.say(&end_of_rib());
    assert_eq!(lab.ipv4().received, 2);
    assert!(lab.uses(TWO) && lab.uses(THREE));
}

#[test]
fn what_was_left_out_is_asked_for_once_there_is_room() {
    let mut lab = Lab::established(65001, capabilities(true), two);
    lab.say(&update(&[ONE, TWO, THREE]));
    assert_eq!((lab.ipv4().received, lab.ipv4().overflowed), (2, true));
    lab.say(&withdraw(ONE));
    assert_eq!((requests(&lab), lab.ipv4().overflowed), (1, false));
    // The end of a refresh makes room as well.
    lab.say(&update(&[ONE, THREE]));
    assert!(lab.ipv4().overflowed);
    lab.say(&[refresh(Family::Ipv4, RefreshKind::Begin), update(&[TWO])].concat());
    assert_eq!(requests(&lab), 1);
    lab.say(&refresh(Family::Ipv4, RefreshKind::End));
    assert_eq!((requests(&lab), lab.ipv4().received, lab.ipv4().overflowed), (2, 1, false));
}

#[test]
fn what_was_left_out_and_cannot_be_asked_for_is_missing_until_the_session_ends() {
    let mut able = capabilities(true);
    able.retain(|one| !matches!(one, Capability::RouteRefresh | Capability::EnhancedRouteRefresh));
    let mut lab = Lab::established(65001, able, two);
    lab.say(&[update(&[ONE, TWO, THREE]), withdraw(ONE)].concat());
    assert_eq!((requests(&lab), lab.ipv4().received, lab.ipv4().overflowed), (0, 1, true));
    lab.hang_up();
    assert_eq!((lab.ipv4().received, lab.ipv4().overflowed), (0, false));
}

fn limit_events(lab: &mut Lab) -> usize {
    lab.events().iter().filter(|event| matches!(event, Event::Limit { .. })).count()
}

/// UPDATEs for `many` prefixes from the front of an order, each by itself.
fn each(many: u8, message: impl Fn(&str) -> Vec<u8>) -> Vec<u8> {
    (0..many).flat_map(|n| message(&format!("10.{n}.0.0/16"))).collect()
}

#[test]
fn prefixes_that_flap_at_a_mark_are_no_news() {
    for at in [79, 99] {
        let mut lab = Lab::established(65001, capabilities(true), |config| {
            let limit = InLimit { max: 100, warn_percent: 80, action: InLimitAction::Warn };
            config.families.ipv4 = Some(FamilyConfig { in_limit: Some(limit), ..FamilyConfig::default() });
        });
        lab.say(&each(at, |prefix| update(&[prefix])));
        limit_events(&mut lab);
        let both = ["10.200.0.0/16", "10.201.0.0/16"];
        let flap = [update(&both), withdraw(both[0]), withdraw(both[1])].concat();
        lab.say(&flap.repeat(1000));
        assert_eq!(limit_events(&mut lab), 1, "at {at}");
        // Clearly below it, and back: that is news.
        lab.say(&each(20, withdraw));
        lab.say(&each(20, |prefix| update(&[prefix])));
        lab.say(&flap);
        assert_ne!(limit_events(&mut lab), 0, "at {at}");
    }
}

#[test]
fn an_in_limit_warns_and_goes_on_or_holds_the_rest_back() {
    let limit = |action| {
        move |node: usize, peer: &mut PeerConfig| {
            if node == 0 {
                let limit = InLimit { max: 10, warn_percent: 80, action };
                peer.families.ipv4.as_mut().unwrap().in_limit = Some(limit);
            }
        }
    };
    use {LimitDirection::In, LimitLevel::*};
    let (world, ab, _) = pair(2, 15, limit(InLimitAction::Warn));
    assert_eq!(world.status(0, ab).families.ipv4.received, 15);
    assert_eq!(limits(&world, 0), [(In, Near, 8, 10), (In, Exceeded, 11, 10)]);

    let (mut world, ab, _) = pair(3, 15, limit(InLimitAction::Hold));
    assert_eq!(world.status(0, ab).families.ipv4.received, 10);
    assert!(world.is_up(0, ab) && world.status(0, ab).families.ipv4.overflowed);
    // Room again: the rest is asked for, without a reset.
    for n in 0..6 {
        world.retract(1, &format!("10.0.{n}.0/24"));
    }
    world.run(secs(1));
    let now: Vec<_> = world.nodes[0].fib.keys().map(ToString::to_string).collect();
    assert_eq!(now.len(), 9, "{now:?}");
    assert_eq!(world.status(0, ab).sessions, 1);
}

#[test]
fn a_raised_in_limit_brings_what_the_lower_one_left_out() {
    let limited = |max, action| {
        move |peer: &mut PeerConfig| {
            let limit = InLimit { max, warn_percent: 80, action };
            peer.families.ipv4.as_mut().unwrap().in_limit = Some(limit);
        }
    };
    let more: [&dyn Fn(&mut PeerConfig); 3] =
        [&limited(20, InLimitAction::Hold), &limited(10, InLimitAction::Warn), &|peer| {
            peer.families.ipv4.as_mut().unwrap().in_limit = None
        }];
    for (change, seed) in more.into_iter().zip(30..) {
        let (mut world, ab, _) = pair(seed, 15, |node, peer| {
            if node == 0 {
                limited(10, InLimitAction::Hold)(peer);
            }
        });
        assert_eq!(world.nodes[0].fib.len(), 10);
        let mut config = world.nodes[0].speaker.peer_config(ab).unwrap().clone();
        change(&mut config);
        world.act(0, |speaker, now| speaker.change_peer(ab, config, now));
        world.run(secs(1));
        let status = world.status(0, ab);
        assert_eq!((status.families.ipv4.received, status.families.ipv4.overflowed), (15, false));
        assert_eq!((world.nodes[0].fib.len(), status.sessions), (15, 1));
    }
}

#[test]
fn another_in_limit_is_reported_anew() {
    let limited = |peer: &mut PeerConfig, max| {
        let limit = InLimit { max, warn_percent: 80, action: InLimitAction::Hold };
        peer.families.ipv4.as_mut().unwrap().in_limit = Some(limit);
    };
    let (mut world, ab, _) = pair(42, 15, |node, peer| {
        if node == 0 {
            limited(peer, 10);
        }
    });
    let mut config = world.nodes[0].speaker.peer_config(ab).unwrap().clone();
    limited(&mut config, 12);
    world.act(0, |speaker, now| speaker.change_peer(ab, config, now));
    world.run(secs(1));
    use {LimitDirection::In, LimitLevel::*};
    let said = [(In, Near, 8, 10), (In, Exceeded, 11, 10), (In, Near, 10, 12), (In, Exceeded, 13, 12)];
    assert_eq!(limits(&world, 0), said);
    assert_eq!(world.status(0, ab).families.ipv4.received, 12);
}

#[test]
fn a_lowered_in_limit_acts_on_what_was_taken_before() {
    use {LimitDirection::In, LimitLevel::*};
    let limited = |peer: &mut PeerConfig, max, action| {
        let limit = InLimit { max, warn_percent: 80, action };
        peer.families.ipv4.as_mut().unwrap().in_limit = Some(limit);
    };
    let lower = |seed, max, action| {
        let (mut world, ab, _) = pair(seed, 15, |node, peer| {
            if node == 0 {
                limited(peer, 100, action);
            }
        });
        let mut config = world.nodes[0].speaker.peer_config(ab).unwrap().clone();
        limited(&mut config, max, action);
        world.act(0, |speaker, now| speaker.change_peer(ab, config, now));
        world.run(secs(1));
        (world, ab)
    };
    // Near, and exactly full, is not too much.
    for (seed, max, action) in [
        (50, 18, InLimitAction::Shut(None)),
        (51, 15, InLimitAction::Shut(None)),
        (52, 15, InLimitAction::Hold),
    ] {
        let (world, ab) = lower(seed, max, action);
        assert_eq!((limits(&world, 0), world.is_up(0, ab)), (vec![(In, Near, 15, max)], true), "{max}");
    }
    let (world, ab) = lower(53, 10, InLimitAction::Warn);
    assert_eq!((limits(&world, 0), world.is_up(0, ab)), (vec![(In, Exceeded, 15, 10)], true));

    // What is there stays, and nothing more comes in until there is room.
    let (mut world, ab) = lower(54, 10, InLimitAction::Hold);
    assert_eq!((limits(&world, 0), world.nodes[0].fib.len()), (vec![(In, Exceeded, 15, 10)], 15));
    world.announce(1, "10.0.200.0/24");
    world.run(secs(1));
    assert_eq!((world.nodes[0].fib.len(), world.status(0, ab).families.ipv4.overflowed), (15, true));
    for n in 0..6 {
        world.retract(1, &format!("10.0.{n}.0/24"));
    }
    world.run(secs(1));
    assert!(world.nodes[0].fib.contains_key(&net("10.0.200.0/24")), "asked for once there was room");
    assert_eq!((world.nodes[0].fib.len(), world.status(0, ab).sessions), (10, 1));

    let (mut world, ab) = lower(55, 10, InLimitAction::Shut(None));
    assert_eq!((limits(&world, 0), world.nodes[0].fib.len()), (vec![(In, Exceeded, 15, 10)], 0));
    assert_eq!(world.status(0, ab).standing, Standing::Stopped);
    let [SessionEnd::Local(note)] = &world.ends(0, ab)[..] else { panic!("{:?}", world.ends(0, ab)) };
    assert_eq!(note.cause, Cause::Cease(Cease::MaxPrefixes));
    // Raising it again is not yet the wish to begin again; that is heard, and what fits comes.
    let mut config = world.nodes[0].speaker.peer_config(ab).unwrap().clone();
    limited(&mut config, 20, InLimitAction::Shut(None));
    world.act(0, |speaker, now| speaker.change_peer(ab, config, now));
    world.run(secs(60));
    assert_eq!(world.status(0, ab).standing, Standing::Stopped);
    world.act(0, |speaker, now| speaker.start_peer(ab, now));
    world.run(secs(30));
    assert_eq!((world.nodes[0].fib.len(), world.is_up(0, ab)), (15, true));
    let (mut world, ab) = lower(56, 10, InLimitAction::Shut(Some(secs(60))));
    assert!(matches!(world.status(0, ab).standing, Standing::HeldUntil(_)));
    world.run(secs(65));
    assert_eq!(world.ends(0, ab).len(), 2, "it tried again, and had too many again");
}

#[test]
fn each_session_that_exceeds_its_limit_is_reported() {
    let (mut world, ab, _) = pair(33, 15, |node, peer| {
        if node == 0 {
            let limit = InLimit { max: 10, warn_percent: 80, action: InLimitAction::Hold };
            peer.families.ipv4.as_mut().unwrap().in_limit = Some(limit);
        }
    });
    use {LimitDirection::In, LimitLevel::*};
    let once = [(In, Near, 8, 10), (In, Exceeded, 11, 10)];
    assert_eq!(limits(&world, 0), once);
    world.act(0, |speaker, now| speaker.reset_peer(ab, "", now));
    let status = world.status(0, ab).families.ipv4;
    assert_eq!((status.received, status.overflowed), (0, false));
    assert!(world.run_until(secs(30), World::all_up));
    world.run(secs(1));
    assert_eq!(limits(&world, 0), [once, once].concat());
}

// RFC 4486 section 4.
#[test]
fn an_in_limit_can_shut_the_session_and_open_it_again_later() {
    let (mut world, ab, ba) = pair(4, 15, |node, peer| {
        if node == 0 {
            let action = InLimitAction::Shut(Some(secs(30)));
            let limit = InLimit { max: 10, warn_percent: 80, action };
            peer.families.ipv4.as_mut().unwrap().in_limit = Some(limit);
        }
    });
    assert!(!world.is_up(0, ab) && world.nodes[0].fib.is_empty());
    let SessionEnd::PeerSaid(said) = &world.ends(1, ba)[0] else { panic!("{:?}", world.ends(1, ba)) };
    assert_eq!(said.cause, Cause::Cease(Cease::MaxPrefixes));
    assert_eq!(said.data, [0, 1, 1, 0, 0, 0, 10]);
    assert!(matches!(world.status(0, ab).standing, Standing::HeldUntil(_)));
    for n in 0..8 {
        world.retract(1, &format!("10.0.{n}.0/24"));
    }
    world.run(secs(60));
    assert!(world.is_up(0, ab));
    assert_eq!(world.nodes[0].fib.len(), 7);
}

// The clouds end the session at one prefix more than they allow: that one is never sent.
#[test]
fn an_out_limit_holds_back_what_would_end_the_session() {
    let (mut world, _, ba) = pair(5, 15, |node, peer| {
        if node == 1 {
            peer.families.ipv4.as_mut().unwrap().out_limit = Some(OutLimit { max: 10, warn_percent: 80 });
        }
    });
    let status = world.status(1, ba).families.ipv4;
    assert_eq!((status.announced, status.held_back), (10, 5));
    assert_eq!(world.nodes[0].fib.len(), 10);
    use {LimitDirection::Out, LimitLevel::*};
    assert_eq!(limits(&world, 1), [(Out, Near, 8, 10), (Out, Exceeded, 11, 10)]);
    let held = world.nodes[1].speaker.explain(&net("10.0.14.0/24"));
    assert_eq!(held.exports[0].export, Err(NotSent::OutLimit));
    // What is announced may change although the table is full; what is withdrawn makes room.
    let mut changed = own_route();
    changed.med = Some(7);
    world.act(1, |speaker, now| speaker.announce(net("10.0.1.0/24"), changed, now));
    world.retract(1, "10.0.0.0/24");
    world.retract(1, "10.0.13.0/24");
    world.run(secs(1));
    let status = world.status(1, ba).families.ipv4;
    assert_eq!((status.announced, status.held_back), (10, 3));
    let med = world.nodes[0].speaker.rib().get(&net("10.0.1.0/24")).and_then(|d| d.best()).unwrap();
    assert_eq!(med.received.med, Some(7));
    assert!(world.nodes[0].fib.contains_key(&net("10.0.10.0/24")));
}

#[test]
fn a_lowered_out_limit_takes_the_excess_back() {
    let limited = |peer: &mut PeerConfig, max| {
        peer.families.ipv4.as_mut().unwrap().out_limit = Some(OutLimit { max, warn_percent: 100 });
    };
    let (mut world, ab, ba) = pair(34, 15, |node, peer| {
        if node == 1 {
            limited(peer, 20);
        }
    });
    let announced = |world: &World| {
        let status = world.status(1, ba).families.ipv4;
        (world.nodes[0].fib.len(), status.announced, status.held_back)
    };
    assert_eq!(announced(&world), (15, 15, 0));
    let mut config = world.nodes[1].speaker.peer_config(ba).unwrap().clone();
    for (max, expected) in [(10, (10, 10, 5)), (3, (3, 3, 12)), (12, (12, 12, 3)), (20, (15, 15, 0))] {
        limited(&mut config, max);
        world.act(1, |speaker, now| speaker.change_peer(ba, config.clone(), now));
        world.run(secs(1));
        assert_eq!(announced(&world), expected, "limit {max}");
        // The last ones go: the default route and what was told first stay.
        assert!(world.nodes[0].fib.contains_key(&net("10.0.0.0/24")));
    }
    use {LimitDirection::Out, LimitLevel::*};
    let said =
        [(Out, Exceeded, 15, 10), (Out, Exceeded, 10, 3), (Out, Near, 12, 12), (Out, Exceeded, 13, 12)];
    assert_eq!(limits(&world, 1), said);
    assert_eq!((world.status(0, ab).sessions, world.is_up(0, ab)), (1, true));
}

#[test]
fn a_lowered_out_limit_lets_nothing_new_in_before_the_excess_is_gone() {
    let (mut world, _, ba) = pair(35, 15, |_, _| {});
    let mut config = world.nodes[1].speaker.peer_config(ba).unwrap().clone();
    config.families.ipv4.as_mut().unwrap().out_limit = Some(OutLimit { max: 14, warn_percent: 100 });
    let now = world.now;
    let speaker = &mut world.nodes[1].speaker;
    speaker.change_peer(ba, config, now);
    speaker.announce(net("10.0.0.0/16"), own_route(), now);
    speaker.retract(&net("10.0.3.0/24"));
    world.act(1, |_, _| {});
    world.run(secs(1));
    let status = world.status(1, ba).families.ipv4;
    assert_eq!((world.nodes[0].fib.len(), status.announced, status.held_back), (14, 14, 1));
    assert!(world.nodes[0].fib.contains_key(&net("10.0.14.0/24")), "told already, and fits again");
}

#[test]
fn a_prefix_that_flaps_at_the_out_limit_is_no_news() {
    let (mut world, _, ba) = pair(36, 10, |node, peer| {
        if node == 1 {
            peer.families.ipv4.as_mut().unwrap().out_limit = Some(OutLimit { max: 10, warn_percent: 100 });
        }
    });
    use {LimitDirection::Out, LimitLevel::*};
    for _ in 0..1000 {
        world.announce(1, "10.0.200.0/24");
        world.run(ms(10));
        world.retract(1, "10.0.200.0/24");
        world.run(ms(10));
    }
    assert_eq!(limits(&world, 1), [(Out, Near, 10, 10), (Out, Exceeded, 11, 10)]);
    assert_eq!(world.status(1, ba).families.ipv4.announced, 10);
}

// They are counted, and told once a minute.
#[test]
fn routes_with_too_long_lists_are_told_together() {
    let (mut world, ..) = pair(37, 0, |_, _| {});
    let announce = |world: &mut World, med| {
        for n in 0..100 {
            let mut huge = own_route();
            huge.communities = (0..2000).map(Community).collect();
            huge.med = Some(med);
            world.act(1, |speaker, now| speaker.announce(net(&format!("10.{n}.0.0/16")), huge, now));
        }
    };
    let told = |world: &World| -> Vec<u64> {
        let too_large = |event: &Event| match event {
            Event::TooLarge { routes, .. } => Some(*routes),
            _ => None,
        };
        world.nodes[1].events.iter().filter_map(|(_, event)| too_large(event)).collect()
    };
    announce(&mut world, 1);
    world.run(secs(5));
    assert_eq!(told(&world), [100]);
    for med in 2..5 {
        announce(&mut world, med);
        world.run(secs(5));
    }
    assert_eq!(told(&world), [100]);
    world.run(secs(60));
    assert_eq!(told(&world), [100, 300]);
    world.run(secs(300));
    assert_eq!(told(&world), [100, 300]);
}

// RFC 4271 clause 8.1.1, DampPeerOscillations: each session costs us a look at the whole table.
#[test]
fn a_peer_that_ends_one_session_after_the_other_is_slowed_down() {
    let again = |lab: &mut Lab| lab.come_back(65001, capabilities(true));
    let mut lab = Lab::established(65001, capabilities(true), |_| {});
    for session in 1..=8 {
        lab.hang_up();
        assert_eq!(lab.call(), Ok(()), "after session {session}");
        again(&mut lab);
    }
    for held in [1, 2, 4] {
        lab.hang_up();
        assert_eq!(lab.call(), Err(Unwelcome::Held));
        lab.wait(ms(held * 700));
        assert_eq!(lab.call(), Err(Unwelcome::Held), "not for {held} s yet");
        lab.wait(ms(held * 300));
        again(&mut lab);
    }
    // One that stays is forgiven.
    lab.wait(secs(61));
    lab.hang_up();
    again(&mut lab);
    lab.hang_up();
    assert_eq!(lab.call(), Ok(()));
}

// What breaks the protocol on its session is left alone, whatever else it holds open.
#[test]
fn another_connection_does_not_excuse_a_broken_session() {
    let mut lab = Lab::established(65001, capabilities(true), |_| {});
    assert_eq!(lab.call(), Ok(()));
    lab.say(&[0; 19]);
    assert_eq!(lab.reset().as_deref(), Some("reset 1/1"));
    assert_eq!(lab.call(), Err(Unwelcome::Held));
}
