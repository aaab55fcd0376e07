//! The traps of the control plane, each by its number and name.

use macsec::{
    Cak, CipherSuite, Ckn, KeyId, Salt, Ssci,
    mka::{
        DataKey, KeyAction, KeyEntry, MkpduFault, SAK_RETIRE, Standing,
        wire::{DistributedSak, OtherSet, SakUse},
    },
};

use crate::{
    puppet::{Puppet, Solo, in_use, list},
    world::{World, ckn, key, ms, params, sci, secs},
};

fn faults(solo: &Solo, fault: MkpduFault) -> u64 {
    solo.status().counters.faults.get(&fault).copied().unwrap_or(0)
}

fn live(solo: &Solo) -> usize {
    solo.status().participants[0].live.len()
}

fn installed(solo: &Solo) -> Vec<std::sync::Arc<DataKey>> {
    let keys = solo.actions.iter().filter_map(|action| {
        let KeyAction::InstallTransmitSa { key, .. } = action else { return None };
        Some(std::sync::Arc::clone(key))
    });
    keys.collect()
}

#[test]
fn trap_02_the_legacy_cipher_suite_identifier_is_understood_and_never_sent() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::server());
    let mut sak = peer.sak(1, 0, CipherSuite::GcmAes128);
    sak.key.as_mut().unwrap().suite = Some(0x0080_0200_0100_0001);
    peer.distribute(&mut solo, sak);
    assert_eq!(installed(&solo)[0].suite, CipherSuite::GcmAes128);
    for suite in CipherSuite::ALL {
        let mut params = params(0);
        params.suites = vec![suite];
        let (mut solo, mut peer) = (Solo::with(params, vec![key(1)]), Puppet::new());
        peer.greet(&mut solo);
        let sent = solo.said().distributed_sak.unwrap().key.unwrap().suite;
        assert_eq!(sent, (suite != CipherSuite::GcmAes128).then_some(suite.id()));
    }
}

#[test]
fn trap_09_ethernet_padding_after_the_mkpdu_is_not_looked_at() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::new());
    let mut frame = peer.hello();
    frame.extend_from_slice(&[0xa5; 46]);
    solo.hear(&frame);
    assert_eq!(solo.status().participants[0].potential.len(), 1);
}

#[test]
fn trap_10_an_icv_indicator_may_be_there_or_not_and_is_mirrored() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::new());
    assert!(!solo.said().icv_indicator);
    let mut greeting = peer.greeting(&solo);
    greeting.icv_indicator = true;
    let frame = peer.seal(&greeting);
    solo.hear(&frame);
    assert_eq!(live(&solo), 1);
    assert!(solo.said().icv_indicator);
}

// §11.11.2: the SAK comes before its use, wherever it stands, and each set counts once.
#[test]
fn trap_11_parameter_sets_come_in_any_order_and_count_once() {
    let (solo, mut peer) = (Solo::new(), Puppet::server());
    let mut greeting = peer.greeting(&solo);
    greeting.distributed_sak = Some(peer.sak(1, 2, CipherSuite::GcmAes256));
    greeting.others = vec![OtherSet { kind: 6, flags: (0, 0), body: b"kmd".to_vec() }];
    let sorted = peer.seal(&greeting);
    // Cut the sets apart and put them together backwards.
    let basic_len = 18 + 4 + 28 + 8;
    let (head, mut rest) = sorted[..sorted.len() - 16].split_at(basic_len);
    let mut sets = Vec::new();
    while !rest.is_empty() {
        let len = usize::from(u16::from_be_bytes([rest[2] & 0x0f, rest[3]])).next_multiple_of(4) + 4;
        sets.push(&rest[..len]);
        rest = &rest[len..];
    }
    assert!(sets.len() >= 3);
    let mut shuffled = head.to_vec();
    sets.iter().rev().for_each(|set| shuffled.extend_from_slice(set));
    // A second live peer list, naming nobody: ignored.
    shuffled.extend_from_slice(&[1, 0, 0, 0]);
    let len = u16::try_from(shuffled.len() - 18 + 16).unwrap();
    shuffled[16..18].copy_from_slice(&len.to_be_bytes());
    let icv = peer.keys.icv(&shuffled);
    shuffled.extend_from_slice(&icv);
    let mut solo = solo;
    solo.hear(&shuffled);
    assert_eq!((live(&solo), installed(&solo)[0].an.get()), (1, 2));
}

#[test]
fn trap_12_a_distributed_sak_has_0_or_28_or_36_or_52_octets() {
    for (suite, expected) in [
        (CipherSuite::GcmAes128, 28),
        (CipherSuite::GcmAesXpn128, 36),
        (CipherSuite::GcmAes256, 52),
        (CipherSuite::GcmAesXpn256, 52),
    ] {
        let (mut solo, mut peer) = (Solo::new(), Puppet::server());
        peer.greet(&mut solo);
        let with = |sak: Option<DistributedSak>, peer: &mut Puppet, solo: &Solo| {
            let mut greeting = peer.greeting(solo);
            greeting.distributed_sak = sak;
            peer.seal(&greeting)
        };
        let plain = with(None, &mut peer, &solo);
        let frame = with(Some(peer.sak(1, 0, suite)), &mut peer.clone(), &solo);
        assert_eq!(frame.len() - plain.len(), expected + 4, "{suite}");
        peer.message += 1;
        solo.hear(&frame);
        assert_eq!(installed(&solo)[0].suite, suite);
    }
    // No body: the key server says to do without. Not with us.
    let (mut solo, mut peer) = (Solo::new(), Puppet::server());
    peer.distribute(&mut solo, DistributedSak::default());
    assert!(installed(&solo).is_empty() && solo.is_diagnosed("no_macsec"));
    // Any other length is malformed, and the whole MKPDU is dropped.
    for len in [1, 4, 12, 24, 27, 29, 32, 35] {
        let (mut solo, mut peer) = (Solo::new(), Puppet::server());
        let mut greeting = peer.greeting(&solo);
        greeting.others = vec![OtherSet { kind: 4, flags: (0x10, 0), body: vec![7; len] }];
        let frame = peer.seal(&greeting);
        solo.hear(&frame);
        assert_eq!((live(&solo), faults(&solo, MkpduFault::Malformed)), (0, 1), "{len}");
        assert!(solo.is_diagnosed("malformed"));
    }
}

#[test]
fn trap_13_a_sak_that_comes_again_is_not_installed_again() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::server());
    let sak = peer.sak(1, 0, CipherSuite::GcmAes256);
    peer.distribute(&mut solo, sak.clone());
    let installs = solo.installs();
    assert_eq!(installs, 2);
    let mut frame = net::PacketBuf::copy_of(&[0; 60], 32, 32);
    solo.secy.protect(&mut frame).unwrap();
    for _ in 0..10 {
        peer.distribute(&mut solo, sak.clone());
    }
    assert_eq!(solo.installs(), installs);
    assert_eq!(solo.secy.next_pn().unwrap().1, 2, "packet numbers go on");
    assert!(solo.status().diagnoses.is_empty(), "{:?}", solo.status().diagnoses);
}

// Trap 14 under traffic is in rollover.rs; here the precondition of §9.8: a potential peer and a SAK less than a life time
// ago make the next one wait, not go away.
#[test]
fn trap_14_a_sak_that_must_wait_for_potential_peers_is_made_when_they_are_gone() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::new());
    peer.greet(&mut solo);
    let first = solo.status().next_key.unwrap().key_id;
    peer.report(&mut solo, Some(in_use(first, 0, true, true)), None);
    solo.pass(ms(100));
    let mut stranger = Puppet { sci: sci(7), member: macsec::mka::MemberId([7; 12]), ..Puppet::new() };
    let hello = stranger.hello();
    solo.hear(&hello);
    let now = solo.now;
    assert_eq!(solo.kay.rekey(now), macsec::mka::RekeyAnswer::Queued);
    for _ in 0..4 {
        solo.pass(secs(1));
        peer.report(&mut solo, None, Some(in_use(first, 0, true, true)));
        assert_eq!(installed(&solo).len(), 1);
    }
    // Six seconds after the first SAK the second is due, potential peers or not.
    solo.pass(secs(2));
    assert_eq!(installed(&solo).len(), 2);
}

#[test]
fn trap_15_a_key_identifier_names_one_sak_for_ever() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::server());
    peer.distribute(&mut solo, peer.sak(5, 0, CipherSuite::GcmAes256));
    // Another SAK by the name of the one in use.
    let mut other = peer.sak(6, 0, CipherSuite::GcmAes256);
    other.key.as_mut().unwrap().number = 5;
    peer.distribute(&mut solo, other);
    assert_eq!(installed(&solo).len(), 1);
    assert!(solo.is_diagnosed("key_reused"));
    // The same SAK with another association number would be installed with packet number 1 again.
    peer.distribute(&mut solo, peer.sak(5, 1, CipherSuite::GcmAes256));
    assert_eq!(installed(&solo).len(), 1);
    // A key number that is not above the last, though the key is long gone: refused, and a new member identifier asks for
    // a fresh one.
    let before = solo.said().basic.member;
    peer.distribute(&mut solo, peer.sak(4, 1, CipherSuite::GcmAes256));
    assert_eq!(installed(&solo).len(), 1);
    let after = solo.said().basic;
    assert!(after.member != before && after.message < 3);
    peer.distribute(&mut solo, peer.sak(6, 1, CipherSuite::GcmAes256));
    assert_eq!(installed(&solo).len(), 2);
}

#[test]
fn trap_16_a_message_number_that_does_not_rise_is_a_replay() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::new());
    peer.greet(&mut solo);
    let (old, new) = (peer.greeting(&solo), peer.greeting(&solo));
    for (mkpdu, replays) in [(&new, 0), (&new, 1), (&old, 2)] {
        let frame = peer.seal(mkpdu);
        solo.hear(&frame);
        assert_eq!(faults(&solo, MkpduFault::Replayed), replays);
    }
    // Nor does a replay keep a peer alive.
    let expires = solo.status().participants[0].live[0].expires;
    solo.pass(secs(1));
    let frame = peer.seal(&new);
    solo.hear(&frame);
    assert_eq!(solo.status().participants[0].live[0].expires, expires);
}

// §9.4.2: nor once its time is up. It may have been live, or only potential, or another self of it came in between.
#[test]
fn trap_16_what_a_peer_said_before_it_lapsed_stays_a_replay() {
    for (was_live, restarts) in [(true, false), (false, false), (false, true)] {
        let (mut solo, mut peer) = (Solo::new(), Puppet::new());
        let first = if was_live { peer.greeting(&solo) } else { peer.mkpdu() };
        let first = peer.seal(&first);
        solo.hear(&first);
        let until = if restarts { ms(100) } else { ms(5_500) };
        solo.pass(until);
        // It names a message of ours that is recent, and somebody keeps it back; of what comes after it, nothing lists us.
        let kept = peer.greeting(&solo);
        let (kept, hello) = (peer.seal(&kept), peer.hello());
        solo.hear(&hello);
        if restarts {
            let hello = Puppet { member: macsec::mka::MemberId([0xb1; 12]), ..peer.clone() }.hello();
            solo.hear(&hello);
        } else {
            solo.pass(ms(600));
            let status = solo.status();
            assert!(status.participants[0].live.is_empty() && status.participants[0].potential.is_empty());
        }
        assert_eq!(solo.kay.standing(&kept, solo.now), Standing::Idle, "{was_live} {restarts}");
        solo.hear(&kept);
        assert_eq!((live(&solo), faults(&solo, MkpduFault::Replayed)), (0, 1), "{was_live} {restarts}");
        // What it says next is heard, and counts from now.
        peer.greet(&mut solo);
        assert_eq!(live(&solo), 1);
    }
}

#[test]
fn trap_17_our_own_mkpdus_and_identifier_in_others_hands() {
    // A loop: our own frames come back.
    let mut solo = Solo::new();
    let own = solo.frames[0].clone();
    solo.hear(&own);
    assert_eq!(faults(&solo, MkpduFault::Loop), 1);
    assert!(solo.is_diagnosed("loop") && solo.status().participants[0].potential.is_empty());
    // Somebody else with our member identifier: we take another.
    let ours = solo.said().basic.member;
    let mut twin = Puppet { member: ours, ..Puppet::new() };
    let hello = twin.hello();
    solo.hear(&hello);
    let renewed = solo.said().basic;
    assert_ne!(renewed.member, ours);
    assert!(renewed.message <= 3, "message numbers start again");
    // Somebody lists a message of ours that we have not sent yet.
    let mut peer = Puppet::new();
    let mut mkpdu = peer.mkpdu();
    mkpdu.live = Some(list(&[(renewed.member, renewed.message + 1000)]));
    let frame = peer.seal(&mkpdu);
    solo.hear(&frame);
    assert_ne!(solo.said().basic.member, renewed.member);
    assert_eq!(live(&solo), 0);
}

#[test]
fn trap_18_a_peer_that_restarted_replaces_itself_once_it_has_proved_to_be_alive() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::new());
    peer.greet(&mut solo);
    let first = solo.status().next_key.unwrap().key_id;
    peer.report(&mut solo, Some(in_use(first, 0, true, true)), None);
    let mut reborn = Puppet { member: macsec::mka::MemberId([0xb1; 12]), message: 0, ..peer.clone() };
    // Its first MKPDU may be a replay of an old life: nothing happens to the live one.
    let hello = reborn.hello();
    solo.hear(&hello);
    let status = solo.status();
    assert_eq!(status.participants[0].live[0].member, peer.member);
    assert_eq!(status.participants[0].potential[0].member, reborn.member);
    // It names us with a message that we sent just now: it is alive, and gets a fresh SAK at once.
    reborn.greet(&mut solo);
    let status = solo.status();
    assert_eq!((live(&solo), status.participants[0].live[0].member), (1, reborn.member));
    assert_eq!(installed(&solo).len(), 2);
    assert_ne!(status.next_key.unwrap().key_id, first);
}

// What its former self said may arrive late, with a message number of ours that is still recent: it does not come back to life,
// unless its later self was the one that came late.
#[test]
fn trap_18_a_former_self_does_not_come_back() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::server());
    peer.distribute(&mut solo, peer.sak(1, 0, CipherSuite::GcmAes256));
    let mut late = peer.greeting(&solo);
    late.distributed_sak = Some(peer.sak(2, 1, CipherSuite::GcmAes256));
    let late = peer.seal(&late);
    let mut reborn = Puppet { member: macsec::mka::MemberId([0xb1; 12]), message: 0, ..peer.clone() };
    reborn.distribute(&mut solo, reborn.sak(1, 2, CipherSuite::GcmAes256));
    assert_eq!(installed(&solo).len(), 2);
    solo.hear(&late);
    assert_eq!((installed(&solo).len(), faults(&solo, MkpduFault::Replayed)), (2, 1));
    assert_eq!(solo.status().participants[0].live[0].member, reborn.member);
    solo.pass(ms(3_500));
    peer.greet(&mut solo);
    assert_eq!(solo.status().participants[0].live[0].member, peer.member);
}

// A key identifier is the sender's member identifier and a number: with another identifier a key server cannot go on
// distributing the SAK that it had begun with.
#[test]
fn trap_17_a_key_server_that_takes_another_identifier_makes_another_sak() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::new());
    peer.greet(&mut solo);
    let before = solo.said();
    assert!(before.distributed_sak.is_some());
    let mut twin = Puppet { member: before.basic.member, sci: sci(3), ..Puppet::new() };
    let hello = twin.hello();
    solo.hear(&hello);
    let after = solo.said();
    assert_ne!(after.basic.member, before.basic.member);
    let wrapped = |mkpdu: &macsec::mka::wire::Mkpdu| {
        mkpdu.distributed_sak.clone().and_then(|sak| sak.key).map(|key| key.wrapped).unwrap()
    };
    assert_ne!(wrapped(&after), wrapped(&before));
    let key = solo.status().next_key.unwrap().key_id;
    assert_eq!(key.member(), after.basic.member.0);
    peer.report(&mut solo, Some(in_use(key, 1, true, true)), None);
    assert!(solo.status().secured);
}

// Trap 21, with keys.rs: the name is compared octet by octet, at its length.
#[test]
fn trap_21_key_names_of_every_length_work_and_33_octets_are_none() {
    let cak = Cak::new(&[9; 16]).unwrap();
    for len in [1, 2, 3, 4, 15, 16, 17, 31, 32] {
        let name = Ckn::new(&vec![0xc0; len]).unwrap();
        let mut solo = Solo::with(params(0), vec![KeyEntry::new(name, cak.clone())]);
        let mut peer = Puppet::with(&name, &cak);
        let hello = peer.hello();
        solo.hear(&hello);
        assert_eq!(solo.status().participants[0].potential.len(), 1, "{len}");
        // One octet of zero more is another name.
        if len < 32 {
            let longer = Ckn::new(&[&vec![0xc0; len][..], &[0]].concat()).unwrap();
            let mut peer = Puppet::with(&longer, &cak);
            let hello = peer.hello();
            solo.hear(&hello);
            assert_eq!(faults(&solo, MkpduFault::UnknownCkn), 1);
        }
    }
    let (mut solo, mut peer) = (Solo::new(), Puppet::new());
    let mut frame = peer.hello();
    // A basic parameter set that says 28 + 33 octets, and one with no name at all.
    for body in [61, 28, 27] {
        frame[21] = body;
        let covered = frame.len() - 16;
        let icv = peer.keys.icv(&frame[..covered]);
        frame[covered..].copy_from_slice(&icv);
        solo.hear(&frame);
    }
    assert_eq!(faults(&solo, MkpduFault::Basic), 3);
}

#[test]
fn trap_22_the_length_of_the_cak_says_nothing_about_the_sak() {
    for cak_len in [16, 32] {
        for suite in CipherSuite::ALL {
            let cak = Cak::new(&vec![5; cak_len]).unwrap();
            let mut world = World::new(2);
            for node in 0..2 {
                let mut params = params(node);
                params.suites = vec![suite];
                world.add(params, vec![KeyEntry::new(ckn(1), cak.clone())]);
            }
            world.settle(secs(1));
            world.ping();
        }
    }
}

#[test]
fn trap_23_after_retirement_the_key_in_use_is_the_old_one() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::server());
    let id = peer.key_id(1);
    peer.distribute(&mut solo, peer.sak(1, 3, CipherSuite::GcmAes256));
    let keys = solo.said().sak_use.unwrap().keys.unwrap();
    assert!(!keys.latest.is_set() && keys.old.key_id == id);
    assert!(keys.old.tx && keys.old.rx && keys.old.an.get() == 3);
    // And so it is read: a peer that transmits with its old key does transmit with it.
    let old = SakUse { keys: Some(keys), ..SakUse::default() };
    assert!(old.receives(id) && old.transmits(id));
    // During a rollover both stand there, and one of them transmits.
    peer.distribute(&mut solo, peer.sak(2, 0, CipherSuite::GcmAes256));
    let keys = solo.said().sak_use.unwrap().keys.unwrap();
    assert_eq!((keys.latest.key_id, keys.old.key_id), (peer.key_id(2), id));
    assert!(keys.latest.rx && !keys.latest.tx && keys.old.tx && keys.old.rx);
    peer.report(&mut solo, Some(in_use(peer.key_id(2), 0, true, true)), Some(in_use(id, 3, false, true)));
    let keys = solo.said().sak_use.unwrap().keys.unwrap();
    assert!(keys.latest.tx && !keys.old.tx && keys.old.rx);
    solo.pass(SAK_RETIRE);
    peer.greet(&mut solo);
    let keys = solo.said().sak_use.unwrap().keys.unwrap();
    assert!(!keys.latest.is_set() && keys.old.key_id == peer.key_id(2));
}

// Times are numbers that only rise: one that goes back changes nothing.
#[test]
fn trap_24_time_that_goes_back_is_not_believed() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::new());
    peer.greet(&mut solo);
    let due = solo.kay.poll_timeout();
    solo.kay.handle_timeout(net::Instant::ZERO);
    solo.drain();
    assert_eq!((live(&solo), solo.kay.poll_timeout()), (1, due));
}

// Trap 26: a control plane that starts again has a new member identifier, and with it none of the old keys.
#[test]
fn trap_26_a_restart_forces_a_fresh_sak() {
    let mut world = World::of(2);
    world.settle(secs(1));
    world.run(secs(7));
    let (before, members) = (world.status(1).key.unwrap(), world.status(1).participants[0].member);
    world.restart(1);
    world.settle(secs(1));
    let after = world.status(1).key.unwrap();
    assert_ne!(after.key_id, before.key_id);
    assert_ne!(after.fingerprint, before.fingerprint);
    assert_ne!(world.status(1).participants[0].member, members);
}

#[test]
fn trap_27_the_salt_is_made_of_the_key_servers_identifier_and_the_key_number() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::server());
    peer.distribute(&mut solo, peer.sak(0x0102_0304, 0, CipherSuite::GcmAesXpn256));
    let expected = Salt::for_key(KeyId::new(peer.member.0, 0x0102_0304));
    assert_eq!(installed(&solo)[0].salt, expected);
    assert_eq!(expected.0[..4], [0xb0 ^ 0x03, 0xb0 ^ 0x04, 0xb0 ^ 0x01, 0xb0 ^ 0x02]);
}

// Trap 28, §10.7.13: the set is that of the MKPDU with the SAK; without all its SCIs the order cannot be known.
#[test]
fn trap_28_sscis_are_those_of_the_live_set_at_distribution() {
    let third = macsec::mka::MemberId([0xc0; 12]);
    let distribute = |server_ssci: u8, version: u8| {
        let mut params = params(0);
        params.sci = sci(4);
        params.source = sci(4).mac();
        let (mut solo, mut peer) = (Solo::with(params, vec![key(1)]), Puppet { version, ..Puppet::server() });
        peer.greet(&mut solo);
        let mut greeting = peer.greeting(&solo);
        let us = greeting.live.as_ref().unwrap().peers[0];
        // Highest SCI first: the third member (SCI 9), then us (SCI 4); the key server has SCI 1.
        let mut live = list(&[(third, 1), (us.member, us.message)]);
        live.server_ssci = server_ssci;
        greeting.live = Some(live);
        greeting.distributed_sak = Some(peer.sak(1, 0, CipherSuite::GcmAesXpn256));
        let frame = peer.seal(&greeting);
        solo.hear(&frame);
        (solo, peer)
    };
    let ours = |solo: &Solo| {
        solo.actions.iter().find_map(|action| {
            let KeyAction::InstallTransmitSa { ssci, .. } = action else { return None };
            Some(*ssci)
        })
    };
    // The third member was never heard, and the key server does not say: wait.
    let (mut solo, mut peer) = distribute(0, 2);
    assert_eq!(ours(&solo), None);
    assert!(solo.is_diagnosed("members_unknown"));
    // As soon as it is heard the same SAK is good.
    let mut other = Puppet { member: third, sci: sci(9), ..Puppet::new() };
    let hello = other.hello();
    solo.hear(&hello);
    let mut greeting = peer.greeting(&solo);
    let us = greeting.live.as_ref().unwrap().peers[0];
    greeting.live = Some(list(&[(third, 1), (us.member, us.message)]));
    greeting.distributed_sak = Some(peer.sak(1, 0, CipherSuite::GcmAesXpn256));
    let frame = peer.seal(&greeting);
    solo.hear(&frame);
    assert_eq!(ours(&solo), Some(Ssci(2)));
    // Version 3 says the key server's, 3, and keeps the order: we are second.
    let (solo, _) = distribute(3, 3);
    assert_eq!(ours(&solo), Some(Ssci(2)));
}

#[test]
fn trap_28_a_key_server_distributes_a_sak_only_to_those_it_was_made_for() {
    let mut params = params(0);
    params.priority = 1;
    let (mut solo, mut peer) = (Solo::with(params, vec![key(1)]), Puppet::new());
    peer.greet(&mut solo);
    let first = solo.said();
    assert!(first.distributed_sak.is_some());
    // Our SSCI: our SCI (of node 0) is the lower, so it is 2.
    assert_eq!(first.live.unwrap().server_ssci, 2);
    let mut other = Puppet { member: macsec::mka::MemberId([0xc0; 12]), sci: sci(9), ..Puppet::new() };
    other.greet(&mut solo);
    let second = solo.said();
    assert_eq!(second.distributed_sak.unwrap().key.unwrap().number, 2);
    let live = second.live.unwrap();
    assert_eq!((live.server_ssci, live.peers[0].member), (3, other.member));
}

#[test]
fn trap_29_an_xpn_suite_with_an_offset_is_refused() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::server());
    let mut sak = peer.sak(1, 0, CipherSuite::GcmAesXpn128);
    sak.confidentiality = macsec::mka::Confidentiality::From(macsec::ConfidentialityOffset::new(30).unwrap());
    peer.distribute(&mut solo, sak);
    assert!(installed(&solo).is_empty());
    assert!(solo.is_diagnosed("sak_unreadable"));
}
