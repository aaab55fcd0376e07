//! Stories about routes: policy, communities, multipath, and what the speaker says about them.
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

use bgp::{
    Asn, Impact, NotSent, PeerConfig, PeerId, Refusal, SessionEnd,
    decision::{Outcome, Rule},
    own_route,
    policy::{Changes, Conditions, MedChange, PathCondition, Policy, PrefixRule, Source, Statement},
    wire::{
        capability::Role,
        community::Community,
        notification::{Cause, Cease},
    },
};
use world::{World, ms, net, pair, secs};

fn line(name: &str, when: Conditions, set: Changes, accept: bool) -> Statement {
    Statement { name: name.to_owned(), when, set, accept }
}

/// A policy of one line that changes every route.
fn change(set: Changes) -> Option<Policy> {
    Some(Policy {
        statements: vec![line("change", Conditions::default(), set, true)],
        accept_otherwise: false,
    })
}

// RFC 8212.
#[test]
fn an_external_peer_without_policy_gives_and_gets_nothing() {
    let (world, ab, ba) = pair(1, 1, |node, peer| {
        if node == 0 {
            peer.import = None;
        }
    });
    assert!(world.is_up(0, ab));
    assert!(world.nodes[0].fib.is_empty());
    let story = world.nodes[0].speaker.explain(&net("10.0.0.0/24"));
    assert_eq!(story.paths[0].import, Err(Refusal::NoPolicy));
    let (world, ..) = pair(1, 1, |node, peer| {
        if node == 1 {
            peer.export = None;
        }
    });
    assert!(world.nodes[0].speaker.rib().get(&net("10.0.0.0/24")).is_none());
    let story = world.nodes[1].speaker.explain(&net("10.0.0.0/24"));
    assert_eq!((story.exports[0].peer, story.exports[0].export), (ba, Err(NotSent::NoPolicy)));
    assert!(story.exports[0].text.contains("RFC 8212"), "{}", story.exports[0].text);
}

#[test]
fn policy_is_changed_without_a_reset_and_says_which_line_decided() {
    let (mut world, ab, ba) = pair(6, 3, |_, _| {});
    let only = Conditions {
        prefixes: Some(vec![PrefixRule::exact(net("10.0.1.0/24"))]),
        source: Some(Source::External),
        ..Conditions::default()
    };
    let import = Policy {
        statements: vec![line("one", only, Changes { local_pref: Some(200), ..Changes::default() }, true)],
        accept_otherwise: false,
    };
    world.act(0, |speaker, _| speaker.set_policies(ab, Some(import), None));
    world.run(ms(100));
    assert_eq!(world.nodes[0].fib.keys().copied().collect::<Vec<_>>(), [net("10.0.1.0/24")]);
    let story = world.nodes[0].speaker.explain(&net("10.0.1.0/24"));
    assert_eq!(story.paths[0].import_text, "accepted by line 1 \"one\"");
    assert_eq!(story.paths[0].accepted.as_ref().unwrap().local_pref, Some(200));
    let story = world.nodes[0].speaker.explain(&net("10.0.2.0/24"));
    assert_eq!(story.paths[0].import_text, "refused by default, no line matched");
    // The other way: export policy with MED, prepending and communities.
    let set = Changes {
        med: Some(MedChange::Set(50)),
        prepend: 2,
        add_communities: vec![Community::new(7224, 7100)],
        ..Changes::default()
    };
    world.act(1, |speaker, _| speaker.set_policies(ba, None, change(set)));
    world.run(ms(100));
    let story = world.nodes[0].speaker.explain(&net("10.0.1.0/24"));
    let received = &story.paths[0].received;
    assert_eq!((received.as_path.to_string().as_str(), received.med), ("65002 65002 65002", Some(50)));
    assert_eq!(*received.communities, [Community::new(7224, 7100)]);
    assert_eq!(world.status(0, ab).sessions, 1);
    // Nothing matches: everything is withdrawn.
    world.act(1, |speaker, _| speaker.set_policies(ba, None, Some(Policy::default())));
    world.run(ms(100));
    assert_eq!(world.nodes[0].fib.len(), 0);
    assert_eq!(world.status(1, ba).families.ipv4.announced, 0);
}

#[test]
fn a_configuration_says_what_it_will_do_to_the_session() {
    let (mut world, ab, _) = pair(7, 3, |_, _| {});
    let old = world.nodes[0].speaker.peer_config(ab).unwrap().clone();
    let same = world.act(0, |speaker, now| speaker.change_peer(ab, old.clone(), now));
    let soft = PeerConfig { allow_own_as: 1, stale_time: secs(10), ..old.clone() };
    let soft = world.act(0, |speaker, now| speaker.change_peer(ab, soft, now));
    assert_eq!((same, soft), (Impact::None, Impact::Soft));
    world.run(secs(1));
    assert_eq!((world.status(0, ab).sessions, world.is_up(0, ab)), (1, true));
    let reset = PeerConfig { hold_time: secs(30), ..old };
    assert_eq!(world.act(0, |speaker, now| speaker.change_peer(ab, reset, now)), Impact::Reset);
    world.run(secs(20));
    assert_eq!(world.status(0, ab).agreed.unwrap().hold_time, secs(30));
}

// What the other end is never told needs no other session.
#[test]
fn timers_of_our_own_change_without_a_reset() {
    let (mut world, ab, _) = pair(41, 3, |_, _| {});
    let old = world.nodes[0].speaker.peer_config(ab).unwrap().clone();
    let changes: [fn(&mut PeerConfig); 4] = [
        |config| config.connect_retry = secs(7),
        |config| config.open_wait = secs(7),
        |config| config.send_hold = Some(secs(700)),
        |config| config.keepalive = Some(secs(2)),
    ];
    let mut new = old;
    for change in changes {
        change(&mut new);
        let new = new.clone();
        assert_eq!(world.act(0, |speaker, now| speaker.change_peer(ab, new, now)), Impact::Soft);
    }
    assert_eq!(world.status(0, ab).agreed.unwrap().keepalive, secs(2));
    // A third of the hold time passes at most before the new time counts.
    world.run(secs(30));
    let before = world.status(0, ab).messages_out.keepalive;
    world.run(secs(20));
    let more = world.status(0, ab).messages_out.keepalive - before;
    assert!((9..=15).contains(&more), "{more} KEEPALIVEs in 20 s");
    assert_eq!((world.status(0, ab).sessions, world.is_up(0, ab)), (1, true));
}

/// Four attachments between the same two sites.
fn four_channels(seed: u64, config: impl Fn(usize, usize, &mut PeerConfig)) -> (World, Vec<PeerId>) {
    let mut world = World::new(seed);
    let (a, b) = (world.node(65001, 1), world.node(65002, 2));
    let mut peers = Vec::new();
    for channel in 0..4 {
        let (ab, _) = world.join(a, b, |node, peer| {
            peer.timers.passive = node != 0;
            config(channel, node, peer);
        });
        peers.push(ab);
    }
    world.announce(b, "10.2.0.0/16");
    world.start();
    world.run(secs(2));
    (world, peers)
}

#[test]
fn four_channels_are_used_together_and_a_lost_one_leaves_the_others() {
    let (mut world, peers) = four_channels(8, |_, _, _| {});
    let all = ["10.255.0.2", "10.255.1.2", "10.255.2.2", "10.255.3.2"];
    assert_eq!(world.fib(0, "10.2.0.0/16"), all);
    world.reset(1);
    assert_eq!(world.fib(0, "10.2.0.0/16"), [all[0], all[2], all[3]]);
    assert!(world.run_until(secs(30), |world| world.all_up()));
    world.run(secs(1));
    assert_eq!(world.fib(0, "10.2.0.0/16"), all);
    let story = world.nodes[0].speaker.explain(&net("10.2.0.0/16"));
    let outcomes: Vec<_> = story.paths.iter().map(|path| (path.peer, path.outcome.unwrap())).collect();
    let beside = Outcome::Multipath(Rule::PeerAddress);
    assert_eq!(outcomes[0], (peers[0], Outcome::Best));
    assert!(outcomes[1..].iter().all(|(_, outcome)| *outcome == beside), "{outcomes:?}");
}

#[test]
fn primary_and_backup_by_local_preference_and_by_med() {
    let (mut world, _) = four_channels(9, |channel, node, peer| {
        let local_pref = 100 + u32::from(channel == 2);
        if node == 0 {
            peer.import = change(Changes { local_pref: Some(local_pref), ..Changes::default() });
        }
    });
    assert_eq!(world.fib(0, "10.2.0.0/16"), ["10.255.2.2"]);
    let story = world.nodes[0].speaker.explain(&net("10.2.0.0/16"));
    assert_eq!(story.paths[1].outcome, Some(Outcome::Lost(Rule::LocalPref)));
    world.reset(2);
    assert_eq!(world.fib(0, "10.2.0.0/16").len(), 3);
    let (world, _) = four_channels(10, |channel, node, peer| {
        if node == 1 {
            let med = Some(MedChange::Set(if channel < 2 { 100 } else { 200 }));
            peer.export = change(Changes { med, ..Changes::default() });
        }
    });
    assert_eq!(world.fib(0, "10.2.0.0/16"), ["10.255.0.2", "10.255.1.2"]);
}

// RFC 8326: before maintenance, both sides move away from the channel, and no packet needs to be lost.
#[test]
fn draining_a_channel_moves_both_directions_away_from_it() {
    let (mut world, peers) = four_channels(11, |_, _, _| {});
    world.announce(0, "10.1.0.0/16");
    world.run(secs(1));
    world.act(0, |speaker, _| speaker.drain_peer(peers[3], true));
    world.run(secs(1));
    assert_eq!(world.fib(0, "10.2.0.0/16"), ["10.255.0.2", "10.255.1.2", "10.255.2.2"]);
    assert_eq!(world.fib(1, "10.1.0.0/16"), ["10.255.0.1", "10.255.1.1", "10.255.2.1"]);
    assert!(world.all_up());
    world.act(0, |speaker, _| speaker.drain_peer(peers[3], false));
    world.run(secs(1));
    assert_eq!((world.fib(0, "10.2.0.0/16").len(), world.fib(1, "10.1.0.0/16").len()), (4, 4));
}

/// Two sites of one AS with a cloud between them.
fn two_sites(seed: u64, config: impl Fn(usize, &mut PeerConfig)) -> (World, [usize; 3]) {
    let mut world = World::new(seed);
    let (left, cloud, right) = (world.node(65001, 1), world.node(64512, 2), world.node(65001, 3));
    world.join(left, cloud, &config);
    world.join(right, cloud, &config);
    world.announce(left, "10.1.0.0/16");
    world.start();
    world.run(secs(10));
    (world, [left, cloud, right])
}

#[test]
fn sites_of_one_as_need_allow_own_as_or_replace_as() {
    let (world, [_, _, right]) = two_sites(12, |_, _| {});
    assert!(world.fib(right, "10.1.0.0/16").is_empty());
    let story = world.nodes[right].speaker.explain(&net("10.1.0.0/16"));
    assert_eq!(story.paths[0].import, Err(Refusal::OwnAs(Asn(65001))));
    let (world, [_, _, right]) = two_sites(13, |node, peer| peer.allow_own_as = u8::from(node == 2));
    assert_eq!(world.fib(right, "10.1.0.0/16").len(), 1);
    let (world, [_, _, right]) = two_sites(14, |node, peer| peer.replace_as = node == 1);
    assert_eq!(world.fib(right, "10.1.0.0/16").len(), 1);
    let story = world.nodes[right].speaker.explain(&net("10.1.0.0/16"));
    assert_eq!(story.paths[0].received.as_path.to_string(), "64512 64512");
    let (world, [_, _, right]) = two_sites(15, |node, peer| peer.remove_private_as = node == 1);
    let story = world.nodes[right].speaker.explain(&net("10.1.0.0/16"));
    assert_eq!(story.paths[0].received.as_path.to_string(), "64512");
}

// RFC 4271 clause 9.1.2: our AS is ours under whatever number a neighbour knows us.
#[test]
fn another_number_towards_a_neighbour_does_not_hide_our_own_as_in_a_path() {
    let through_a_cloud = |seed, config: &dyn Fn(&mut PeerConfig)| {
        let mut world = World::new(seed);
        let (left, cloud, right) = (world.node(65001, 1), world.node(64512, 2), world.node(65001, 3));
        world.join(left, cloud, |_, _| {});
        let (us, _) = world.join(right, cloud, |node, peer| {
            if node == right {
                peer.local_asn = Some(Asn(65010));
                config(peer);
            } else {
                peer.asn = Asn(65010);
            }
        });
        world.announce(left, "10.1.0.0/16");
        world.start();
        world.run(secs(10));
        assert!(world.is_up(right, us));
        let story = world.nodes[right].speaker.explain(&net("10.1.0.0/16"));
        story.paths[0].import
    };
    assert_eq!(through_a_cloud(38, &|_| {}), Err(Refusal::OwnAs(Asn(65001))));
    assert!(through_a_cloud(39, &|peer| peer.allow_own_as = 1).is_ok());
    // A neighbour in that AS itself, to which we are external by the other number: it is in every path of its.
    let mut world = World::new(40);
    let (a, b) = (world.node(65001, 1), world.node(65001, 2));
    world.join(a, b, |node, peer| match node == a {
        true => peer.local_asn = Some(Asn(65010)),
        false => peer.asn = Asn(65010),
    });
    world.announce(b, "10.2.0.0/16");
    world.start();
    world.run(secs(10));
    assert_eq!(world.fib(a, "10.2.0.0/16").len(), 1);
}

// RFC 4271 clause 5.1.4 and 5.1.5: a MED goes to the next AS and no further, a preference not even there.
#[test]
fn med_and_preference_stay_where_they_belong() {
    let (world, [_, cloud, right]) = two_sites(16, |node, peer| {
        peer.replace_as = node == 1;
        let set = Changes { med: Some(MedChange::Set(9)), local_pref: Some(300), ..Changes::default() };
        if node == 0 {
            peer.export = change(set);
        }
    });
    let at = |node: usize| {
        let story = world.nodes[node].speaker.explain(&net("10.1.0.0/16"));
        (story.paths[0].received.med, story.paths[0].received.local_pref)
    };
    assert_eq!((at(cloud), at(right)), ((Some(9), None), (None, None)));
}

// RFC 1997.
#[test]
fn well_known_communities_stop_routes() {
    for community in [Community::NO_EXPORT, Community::NO_ADVERTISE, Community::new(65001, 1)] {
        let mut world = World::new(17);
        let (a, b, c) = (world.node(65001, 1), world.node(65002, 2), world.node(65003, 3));
        world.join(a, b, |node, peer| {
            if node == 0 {
                peer.export = change(Changes { add_communities: vec![community], ..Changes::default() });
            }
        });
        let (bc, _) = world.join(b, c, |_, _| {});
        world.announce(a, "10.1.0.0/16");
        world.start();
        world.run(secs(10));
        assert!(!world.fib(b, "10.1.0.0/16").is_empty());
        let passes = community == Community::new(65001, 1);
        assert_eq!(!world.fib(c, "10.1.0.0/16").is_empty(), passes, "{community}");
        let story = world.nodes[b].speaker.explain(&net("10.1.0.0/16"));
        let to_c = story.exports.iter().find(|export| export.peer == bc).unwrap();
        assert_eq!(to_c.export == Err(NotSent::Community(community)), !passes);
    }
}

// RFC 9234 section 5: a customer that passes its provider's routes to another provider is a leak.
#[test]
fn roles_stop_a_leak_at_the_customer_and_behind_it() {
    for guarded in [true, false] {
        let mut world = World::new(18);
        let (up, us, other) = (world.node(65001, 1), world.node(65002, 2), world.node(65003, 3));
        let role = |ours: bool| if ours { Role::Customer } else { Role::Provider };
        world.join(up, us, |node, peer| peer.role = Some(role(node == 1)));
        let (to_other, from_us) = world.join(us, other, |node, peer| {
            peer.role = (guarded || node == 2).then_some(role(node == 1));
        });
        world.announce(up, "10.1.0.0/16");
        world.start();
        world.run(secs(10));
        assert_eq!(world.fib(us, "10.1.0.0/16").len(), 1);
        assert!(world.fib(other, "10.1.0.0/16").is_empty(), "leaked, guarded {guarded}");
        if guarded {
            let story = world.nodes[us].speaker.explain(&net("10.1.0.0/16"));
            let export = story.exports.iter().find(|export| export.peer == to_other).unwrap();
            assert_eq!(export.export, Err(NotSent::RouteLeak));
        } else {
            // We know no roles and pass it on: the other side sees the OTC mark.
            let story = world.nodes[other].speaker.explain(&net("10.1.0.0/16"));
            assert_eq!((story.paths[0].peer, story.paths[0].import), (from_us, Err(Refusal::RouteLeak)));
        }
    }
}

#[test]
fn next_hops_must_be_on_the_shared_network_and_not_ourselves() {
    let (world, ..) = pair(19, 1, |node, peer| {
        if node == 0 {
            peer.connected = vec![net("10.254.0.0/24")];
        }
    });
    let story = world.nodes[0].speaker.explain(&net("10.0.0.0/24"));
    assert_eq!(story.paths[0].import, Err(Refusal::NextHopNotConnected));
    let (world, ..) = pair(20, 1, |node, peer| {
        if node == 0 {
            peer.own_addresses.push("10.255.0.2".parse().unwrap());
        }
    });
    let story = world.nodes[0].speaker.explain(&net("10.0.0.0/24"));
    assert_eq!(story.paths[0].import, Err(Refusal::NextHopIsOurs));
}

// RFC 8950: IPv4 routes on a link that has IPv6 addresses only.
#[test]
fn ipv4_routes_can_go_over_ipv6_next_hops_when_both_agree() {
    for agreed in [true, false] {
        let (world, ..) = pair(21, 1, |node, peer| {
            peer.ipv4_over_ipv6 = agreed || node == 0;
            let v6 = peer.families.ipv6.unwrap().next_hop;
            peer.families.ipv4.as_mut().unwrap().next_hop = v6;
        });
        let expected: &[&str] = if agreed { &["fd00::2"] } else { &[] };
        assert_eq!(world.fib(0, "10.0.0.0/24"), expected);
    }
}

#[test]
fn paths_with_long_lists_are_sent_in_long_messages_or_not_at_all() {
    for extended in [true, false] {
        let (mut world, _, ba) = pair(22, 0, |_, peer| peer.extended_messages = extended);
        let mut huge = own_route();
        huge.communities = (0..2000).map(Community).collect();
        world.act(1, |speaker, now| speaker.announce(net("10.9.0.0/16"), huge, now));
        world.run(secs(1));
        assert_eq!(world.fib(0, "10.9.0.0/16").len(), usize::from(extended));
        let story = world.nodes[1].speaker.explain(&net("10.9.0.0/16"));
        assert_eq!(story.exports[0].export == Err(NotSent::TooLarge), !extended);
        assert!(world.is_up(1, ba));
    }
}

#[test]
fn policy_by_path_works_on_what_was_received() {
    let (world, ..) = pair(23, 2, |node, peer| {
        if node == 0 {
            let when = Conditions { as_path: vec![PathCondition::From(Asn(65002))], ..Conditions::default() };
            let set = Changes { prepend: 3, ..Changes::default() };
            peer.import =
                Some(Policy { statements: vec![line("far", when, set, true)], accept_otherwise: false });
        }
    });
    let story = world.nodes[0].speaker.explain(&net("10.0.0.0/24"));
    let path = &story.paths[0];
    assert_eq!(path.received.as_path.to_string(), "65002");
    assert_eq!(path.accepted.as_ref().unwrap().as_path.to_string(), "65002 65002 65002 65002");
}

#[test]
fn removing_a_peer_removes_its_routes_and_says_so() {
    let (mut world, ab, ba) = pair(24, 2, |_, _| {});
    world.act(0, |speaker, now| speaker.remove_peer(ab, now));
    world.run(ms(50));
    assert!(world.nodes[0].fib.is_empty() && world.nodes[0].speaker.status(ab).is_none());
    let ends = world.ends(1, ba);
    let gone =
        matches!(&ends[0], SessionEnd::PeerSaid(note) if note.cause == Cause::Cease(Cease::PeerDeconfigured));
    assert!(gone, "{ends:?}");
}
