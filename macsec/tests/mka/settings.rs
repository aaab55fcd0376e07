//! Per-channel settings, and peers that are set otherwise.

use macsec::{
    CipherSuite, Ckn,
    mka::{IcvIndicator, KayParams, KeyEntry, MkpduFault, SuspendAnswer, wire::Announcement},
};
use net::{EtherType, MacAddr};

use crate::{
    puppet::{Puppet, Solo, in_use},
    world::{World, cak, key, mac, ms, params, sci, secs},
};

// Junos fills up short names with zeros; older NX-OS takes only names of 32 octets.
#[test]
fn a_padded_ckn_meets_a_padded_peer_and_an_unpadded_one() {
    let name = Ckn::new(&[7; 4]).unwrap();
    for padded in [[true, true], [true, false], [false, true]] {
        let mut world = World::new(1);
        for (node, padding) in padded.into_iter().enumerate() {
            let mut params = params(node);
            params.ckn_padding = padding;
            world.add(params, vec![KeyEntry::new(name, cak(1))]);
        }
        world.run(secs(3));
        // An unpadded end knows only the unpadded name (trap 21), so both must be set alike.
        assert_eq!(world.agreed(), padded[0] && padded[1], "{padded:?}");
    }
    let mut params = params(0);
    params.ckn_padding = true;
    let solo = Solo::with(params.clone(), vec![KeyEntry::new(name, cak(1))]);
    let sent = macsec::mka::wire::Envelope::open(&solo.frames[0], EtherType::EAPOL).unwrap();
    assert_eq!(sent.ckn().unwrap().0, name.padded());
    // It answers to both forms.
    let mut solo = Solo::with(params, vec![KeyEntry::new(name, cak(1))]);
    let mut peer = Puppet::with(&name, &cak(1));
    let hello = peer.hello();
    solo.hear(&hello);
    assert_eq!(solo.status().participants[0].potential.len(), 1);
}

#[test]
fn the_icv_indicator_is_a_setting() {
    for (ours, theirs) in [
        (IcvIndicator::Never, IcvIndicator::Always),
        (IcvIndicator::Auto, IcvIndicator::Always),
        (IcvIndicator::Auto, IcvIndicator::Auto),
    ] {
        let mut world = World::with(2, |node, params| params.icv_indicator = [ours, theirs][node]);
        world.settle(secs(1));
        world.ping();
    }
    let with = |icv_indicator| {
        let solo = Solo::with(KayParams { icv_indicator, ..params(0) }, vec![key(1)]);
        solo.said().icv_indicator
    };
    assert!(with(IcvIndicator::Always) && !with(IcvIndicator::Never) && !with(IcvIndicator::Auto));
}

// Carriers eat 888E and the PAE group address.
#[test]
fn destination_and_ethertype_are_settings() {
    let odd = |_: usize, params: &mut KayParams| {
        params.ethertype = EtherType::new(0x876f);
        params.destination = MacAddr::BROADCAST;
    };
    let mut world = World::with(2, odd);
    world.taping = true;
    world.settle(secs(1));
    assert_eq!(world.tape[0].2[..14], [&[0xff; 6][..], &mac(0).0, &[0x87, 0x6f]].concat()[..]);
    let mut world = World::with(2, |node, params| {
        if node == 0 {
            odd(node, params)
        }
    });
    world.run(secs(5));
    assert!(!world.agreed());
    // Any group address is taken, an individual one only if it is the channel's.
    for (destination, taken) in [
        (MacAddr([0x01, 0x80, 0xc2, 0, 0, 0]), true),
        (MacAddr([0x01, 0x80, 0xc2, 0, 0, 0x0e]), true),
        (MacAddr::BROADCAST, true),
        (mac(0), false),
    ] {
        let (mut solo, mut peer) = (Solo::new(), Puppet { destination, ..Puppet::new() });
        let hello = peer.hello();
        solo.hear(&hello);
        assert_eq!(solo.status().participants[0].potential.len(), usize::from(taken), "{destination}");
        let refused = solo.status().counters.faults.get(&MkpduFault::IndividualDestination).copied();
        assert_eq!(refused, (!taken).then_some(1));
    }
    let mut params = params(0);
    params.destination = mac(1);
    let (mut solo, mut peer) =
        (Solo::with(params, vec![key(1)]), Puppet { destination: mac(1), ..Puppet::new() });
    let hello = peer.hello();
    solo.hear(&hello);
    assert_eq!(solo.status().participants[0].potential.len(), 1);
}

#[test]
fn hello_and_life_times_are_settings() {
    // A peer with hellos every ten seconds, as some are by default, needs a life time to match.
    let mut world = World::with(2, |_, params| (params.hello, params.life) = (secs(10), secs(30)));
    world.settle(secs(1));
    world.run(secs(60));
    assert!(world.agreed());
    let before = world.nodes[0].sent_mkpdus;
    world.run(secs(100));
    assert_eq!(world.nodes[0].sent_mkpdus - before, 10);
    world.kill(1);
    world.run(secs(15));
    assert!(world.nodes[0].secured);
    world.run(secs(16));
    assert!(!world.nodes[0].secured);
}

// §9.10: with delay protection hellos are bounded to half a second, and what is older than that is refused.
#[test]
fn delay_protection_refuses_frames_held_back_for_longer_than_two_hellos() {
    for suite in [CipherSuite::GcmAes256, CipherSuite::GcmAesXpn256] {
        let mut world = World::with(2, |_, params| {
            params.delay_protect = true;
            params.suites = vec![suite];
        });
        world.settle(secs(1));
        // A wide window, so that only the lowest packet number speaks against an old frame.
        let policy = macsec::SecyPolicy { replay_window: 1 << 29, ..macsec::SecyPolicy::new(sci(1)) };
        world.nodes[1].secy.set_policy(policy).unwrap();
        world.tell(0, macsec::mka::Kay::rekey);
        world.run(secs(8));
        let before = world.nodes[0].sent_mkpdus;
        world.run(secs(10));
        assert_eq!(world.nodes[0].sent_mkpdus - before, 20, "every half second");
        let mut held = net::PacketBuf::copy_of(&[0; 64], 32, 32);
        world.nodes[0].secy.protect(&mut held).unwrap();
        let held = held.to_vec();
        let valid = |world: &mut World| {
            let mut frame = net::PacketBuf::copy_of(&held, 32, 32);
            matches!(world.nodes[1].secy.validate(&mut frame), macsec::RxVerdict::Deliver(_))
        };
        world.start_traffic(ms(10));
        world.run(ms(400));
        assert!(valid(&mut world), "not late yet");
        world.run(secs(2));
        assert!(!valid(&mut world), "two seconds late");
        assert!(world.losses.is_empty(), "{:?}", world.losses);
        assert!(world.agreed());
    }
}

// A receiver that missed more than 2^31 frames under XPN finds its sender again by the XPN set.
#[test]
fn the_xpn_set_resynchronises_a_receiver_that_missed_four_billion_frames() {
    let mut world = World::of(2);
    world.settle(secs(1));
    world.run(secs(7));
    let an = world.status(0).key.unwrap().an;
    world.nodes[0].secy.raise_next_pn(an, (5 << 32) + 17).unwrap();
    world.run(secs(10));
    world.ping();
}

// MKA version 1 has no XPN set; version 3 says the key server's SSCI. They work together.
#[test]
fn versions_1_to_3_understand_each_other() {
    for versions in [[1, 1], [1, 3], [3, 1], [2, 3]] {
        let mut world = World::with(2, |node, params| params.version = versions[node]);
        world.settle(secs(1));
        world.ping();
    }
    let said = |version| Solo::with(KayParams { version, ..params(0) }, vec![key(1)]).said().basic.version;
    assert_eq!([said(1), said(2), said(3)], [1, 2, 3]);
    // A later version is understood as far as it goes.
    let (mut solo, mut peer) = (Solo::new(), Puppet { version: 9, ..Puppet::server() });
    peer.distribute(&mut solo, peer.sak(1, 0, CipherSuite::GcmAes256));
    assert!(solo.status().secured);
}

#[test]
fn suites_are_announced_or_not() {
    let solo = Solo::new();
    let announced = solo.said().announcement.unwrap();
    assert_eq!(announced, Announcement::offering(&params(0).suites, params(0).capability));
    let silent = Solo::with(KayParams { announce: false, ..params(0) }, vec![key(1)]);
    assert_eq!(silent.said().announcement, None);
    // A version 1 peer that announces nothing gets what everybody must have; with one suite configured, that one.
    for (suites, expected) in [
        (CipherSuite::ALL.to_vec(), CipherSuite::GcmAes128),
        (vec![CipherSuite::GcmAes256], CipherSuite::GcmAes256),
    ] {
        let params = KayParams { suites, ..params(0) };
        let (mut solo, mut peer) = (Solo::with(params, vec![key(1)]), Puppet { version: 1, ..Puppet::new() });
        peer.greet(&mut solo);
        assert_eq!(solo.status().next_key.unwrap().suite, expected);
    }
}

// In-service suspension: a peer that asked for it may be silent for longer than a life time.
#[test]
fn a_suspended_peer_is_waited_for() {
    for asker in 0..2 {
        let mut world = World::of(2);
        world.settle(secs(1));
        world.run(secs(7));
        world.start_traffic(ms(50));
        let key = world.status(0).key.unwrap().key_id;
        let answer = world.tell(asker, |kay, now| kay.suspend(secs(60), now));
        let server = world.status(0).key_server.unwrap();
        let expected = if world.status(asker).key_server.unwrap().ours {
            SuspendAnswer::Started
        } else {
            SuspendAnswer::Asked(server.sci)
        };
        assert_eq!(answer, expected);
        world.run(ms(200));
        assert!(world.status(1 - asker).suspended.unwrap() > secs(58));
        world.cut.extend([(0, 1), (1, 0)]);
        world.run(secs(55));
        world.cut.clear();
        world.run(secs(30));
        assert!(world.agreed());
        assert_eq!(world.status(0).key.unwrap().key_id, key);
        assert!(world.losses.is_empty() && world.carried > 1_000);
        assert_eq!(world.status(1 - asker).suspended, None);
        world.kill(asker);
        world.run(secs(7));
        assert!(!world.nodes[1 - asker].secured, "over is over");
    }
    // Not granted, or not known.
    let mut world = World::with(2, |_, params| params.suspension_limit = secs(0));
    world.settle(secs(1));
    world.tell(0, |kay, now| kay.rekey(now));
    assert_eq!(world.tell(0, |kay, now| kay.suspend(secs(60), now)), SuspendAnswer::Unsettled);
    world.run(secs(7));
    assert_eq!(world.tell(0, |kay, now| kay.suspend(secs(60), now)), SuspendAnswer::Started);
    world.run(secs(1));
    assert_eq!(world.status(1).suspended, None);
    let mut world = World::with(2, |node, params| params.version = [3, 1][node]);
    world.settle(secs(1));
    world.run(secs(7));
    let refused = [0, 1].map(|node| world.tell(node, |kay, now| kay.suspend(secs(60), now)));
    assert_eq!(refused, [SuspendAnswer::Unsupported(sci(1)); 2]);
    let mut alone = Solo::new();
    assert_eq!(alone.kay.suspend(secs(60), alone.now), SuspendAnswer::NoPeer);
}

// Its peer stays live meanwhile, and so must not hide that the other end came back with another CAK.
#[test]
fn another_cak_is_named_while_mka_is_suspended() {
    let mut world = World::of(2);
    world.settle(secs(1));
    world.run(secs(7));
    world.tell(0, |kay, now| kay.suspend(secs(60), now));
    world.run(ms(200));
    assert!(world.status(1).suspended.is_some());
    world.tell(0, |kay, now| kay.set_keys(vec![KeyEntry::new(key(1).ckn, cak(9))], now));
    world.run(secs(8));
    let status = world.status(1);
    assert!(status.suspended.is_some() && status.participants[0].live.len() == 1, "{status:?}");
    let codes: Vec<_> = status.diagnoses.iter().map(macsec::mka::Diagnosis::code).collect();
    assert!(codes.contains(&"cak_differs") && !codes.contains(&"nothing_heard"), "{codes:?}");
}

// What members repeat to each other in whole seconds must not keep a suspension up for ever.
#[test]
fn a_suspension_ends_also_where_members_speak_often() {
    for asker in 0..3 {
        let mut world = World::with(3, |_, params| params.delay_protect = true);
        world.settle(secs(1));
        world.run(secs(8));
        world.tell(asker, |kay, now| kay.suspend(secs(10), now));
        world.run(secs(5));
        assert!((0..3).all(|node| world.status(node).suspended.is_some()), "asked by {asker}");
        world.run(secs(8));
        assert!((0..3).all(|node| world.status(node).suspended.is_none()), "asked by {asker}");
    }
}

#[test]
fn settings_change_while_the_channel_runs() {
    let mut world = World::of(2);
    world.settle(secs(1));
    world.run(secs(7));
    world.start_traffic(ms(5));
    // Another preference is a rollover; another priority a change of key server; both without loss.
    let changed = KayParams { suites: vec![CipherSuite::GcmAes256], ..params(0) };
    world.tell(0, |kay, now| kay.set_params(changed.clone(), now));
    world.run(secs(6));
    assert_eq!(world.status(1).key.unwrap().suite, CipherSuite::GcmAes256);
    let changed = KayParams { priority: 99, ..changed };
    world.tell(0, |kay, now| kay.set_params(changed, now));
    world.run(secs(6));
    assert_eq!(world.status(0).key_server.unwrap().sci, sci(1));
    world.run(secs(6));
    assert!(world.agreed() && world.losses.is_empty(), "{:?}\n{}", world.losses, world.describe());
}

// Peers that say LTX and nothing of the old key, and peers that say OTX as long as they hold it.
#[test]
fn the_latest_key_that_transmits_decides_over_the_old_one() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::new());
    peer.greet(&mut solo);
    let first = solo.status().next_key.unwrap();
    peer.report(&mut solo, Some(in_use(first.key_id, first.an.get(), true, true)), None);
    peer.report(&mut solo, None, Some(in_use(first.key_id, first.an.get(), true, true)));
    solo.pass(ms(100));
    let now = solo.now;
    solo.kay.rekey(now);
    solo.drain();
    let second = solo.status().next_key.unwrap();
    let both = |latest_tx| {
        let latest = in_use(second.key_id, second.an.get(), latest_tx, true);
        (Some(latest), Some(in_use(first.key_id, first.an.get(), true, true)))
    };
    let (latest, old) = both(false);
    peer.report(&mut solo, latest, old);
    solo.pass(secs(2));
    peer.report(&mut solo, latest, old);
    solo.pass(secs(2));
    assert!(solo.secy.status().receive[0].sas.len() == 2, "the peer still transmits with the old key");
    let (latest, old) = both(true);
    peer.report(&mut solo, latest, old);
    solo.pass(ms(100));
    assert_eq!(solo.secy.status().receive[0].sas.len(), 1, "now it does not");
}
