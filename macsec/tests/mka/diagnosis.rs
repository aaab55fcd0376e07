//! Each cause by its name and in its words.

use macsec::{
    CipherSuite,
    mka::{KeyEntry, KeyStart, MacsecCapability, MkaEvent},
};

use crate::{
    puppet::{Puppet, Solo, in_use, list},
    world::{World, at, cak, ckn, key, params, sci, secs},
};

fn texts(world: &World, node: usize) -> String {
    world.status(node).diagnoses.iter().map(|found| format!("{}: {found}\n", found.code())).collect()
}

/// Both nodes with other keys or settings; what node 0 says after a while.
fn complaint(keys: [Vec<KeyEntry>; 2], suites: [Vec<CipherSuite>; 2]) -> (World, String) {
    let mut world = World::new(1);
    for (node, (keys, suites)) in keys.into_iter().zip(suites).enumerate() {
        let mut params = params(node);
        if !suites.is_empty() {
            params.suites = suites;
        }
        world.add(params, keys);
    }
    world.run(secs(13));
    let text = texts(&world, 0);
    (world, text)
}

#[test]
fn nobody_there() {
    let (world, text) = complaint([vec![key(1)], vec![]], [vec![], vec![]]);
    assert_eq!(text, "nothing_heard: no MKPDU seen for 13.0 s\n");
    assert!(texts(&world, 1).starts_with("no_key_started: the clock says that no key has started"));
}

#[test]
fn an_unknown_ckn_is_shown_with_what_was_offered_and_what_we_have() {
    let (world, text) = complaint([vec![key(1)], vec![key(2)]], [vec![], vec![]]);
    let expected =
        "unknown_ckn: unknown CKN 0202020202020202 from 02:00:00:00:00:02; ours: 0101010101010101\n";
    assert!(text.contains(expected), "{text}");
    // Told once, not with every hello.
    let told = world.nodes[0].events.iter().filter(|(_, event)| matches!(event, MkaEvent::Diagnosis(_)));
    assert_eq!(told.count(), 1);
}

// Anybody can invent names; that fills neither the log nor the memory.
#[test]
fn a_thousand_unknown_ckns_are_told_a_few_times() {
    let mut solo = Solo::new();
    for name in 0..1_000_u16 {
        let mut stranger = Puppet::with(&macsec::Ckn::new(&name.to_be_bytes()).unwrap(), &cak(3));
        let hello = stranger.hello();
        solo.hear(&hello);
    }
    let told = solo.events.iter().filter(|event| matches!(event, MkaEvent::Diagnosis(_))).count();
    assert!((1..=64).contains(&told), "{told}");
    assert!(solo.status().diagnoses.len() <= 40);
    assert_eq!(solo.status().counters.faults[&macsec::mka::MkpduFault::UnknownCkn], 1_000);
}

#[test]
fn a_cak_that_differs() {
    let (world, text) = complaint([vec![key(1)], vec![KeyEntry::new(ckn(1), cak(9))]], [vec![], vec![]]);
    assert!(text.contains("cak_differs: ICV failure for CKN 0101010101010101"), "{text}");
    assert!(text.contains("CAK differs"));
    assert!(world.status(0).participants[0].counters.icv_failures > 5);
}

#[test]
fn a_cipher_that_the_peer_has_not() {
    let suites = [vec![CipherSuite::GcmAesXpn256], vec![CipherSuite::GcmAes128]];
    let (world, text) = complaint([vec![key(1)], vec![key(1)]], suites);
    assert!(
        text.contains(
            "cipher_not_supported: cipher not supported by peer 02:00:00:00:00:02/0001: it offers gcm-aes-128; ours: gcm-aes-xpn-256"
        ),
        "{text}"
    );
    assert_eq!(text.matches("cipher_not_supported").count(), 1, "{text}");
    assert!(!world.nodes[0].secured && !world.nodes[1].secured);
    // The other end gets no SAK, and says why.
    let text = texts(&world, 1);
    assert_eq!(
        text,
        "cipher_not_supported: cipher not supported by peer 02:00:00:00:00:01/0001: it offers gcm-aes-xpn-256; ours: gcm-aes-128\n"
    );
}

// Table 11-6: what a SecY can do is in the basic parameter set, so either end sees it, whoever is key server.
#[test]
fn a_peer_that_cannot_do_what_is_required_and_one_that_wants_no_macsec() {
    for priority in [1, 0x20] {
        for (capability, code) in [
            (MacsecCapability::NotImplemented, "not protect frames at all"),
            (MacsecCapability::Integrity, "protect frames without encrypting them"),
        ] {
            let (mut solo, mut peer) = (Solo::new(), Puppet { priority, ..Puppet::new() });
            let mut greeting = peer.greeting(&solo);
            greeting.basic.capability = capability;
            let frame = peer.seal(&greeting);
            solo.hear(&frame);
            let texts: Vec<_> = solo.status().diagnoses.iter().map(ToString::to_string).collect();
            let who = "02:00:00:00:00:02/0001";
            assert_eq!(
                texts,
                [format!("{who} can {code}, and this channel requires encrypt all of a frame")]
            );
            assert_eq!(solo.status().diagnoses[0].code(), "capability_too_low");
        }
        let (mut solo, mut peer) = (Solo::new(), Puppet { priority, ..Puppet::new() });
        let mut greeting = peer.greeting(&solo);
        greeting.basic.macsec_desired = false;
        let frame = peer.seal(&greeting);
        solo.hear(&frame);
        assert!(solo.is_diagnosed("macsec_not_desired"), "{:?}", solo.status().diagnoses);
    }
}

// It may have reasons that no MKPDU tells.
#[test]
fn a_key_server_that_distributes_no_sak() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::server());
    for _ in 0..3 {
        assert!(!solo.is_diagnosed("no_sak"));
        peer.greet(&mut solo);
        solo.pass(secs(2));
    }
    assert!(solo.is_diagnosed("no_sak"), "{:?}", solo.status().diagnoses);
    peer.distribute(&mut solo, peer.sak(1, 0, CipherSuite::GcmAes256));
    assert!(solo.status().diagnoses.is_empty(), "{:?}", solo.status().diagnoses);
}

#[test]
fn a_cipher_that_the_key_server_insists_on() {
    let mut world = World::with(2, |node, params| {
        params.announce = false;
        params.suites = vec![[CipherSuite::GcmAes256, CipherSuite::GcmAes128][node]];
    });
    world.run(secs(13));
    let text = texts(&world, 1);
    assert!(
        text.contains("cipher_not_accepted: cipher suite gcm-aes-256 of 02:00:00:00:00:01/0001 is not among ours (gcm-aes-128)"),
        "{text}"
    );
    let text = texts(&world, 0);
    assert!(
        text.contains("sak_not_taken: 02:00:00:00:00:02/0001 does not install the SAK that it is offered (gcm-aes-256, confidentiality offset 0)"),
        "{text}"
    );
}

#[test]
fn a_peer_that_does_not_hear_us() {
    let mut world = World::of(2);
    world.cut.insert((0, 1));
    world.run(secs(5));
    assert!(
        texts(&world, 0).contains("not_listed: 02:00:00:00:00:02/0001 does not list us"),
        "{}",
        texts(&world, 0)
    );
    assert!(texts(&world, 1).contains("nothing_heard") || world.now.since(at(1000)) < secs(6));
}

#[test]
fn a_peer_that_lists_us_only_as_potential() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::new());
    for _ in 0..4 {
        let said = solo.said().basic;
        let mut mkpdu = peer.mkpdu();
        mkpdu.potential = Some(list(&[(said.member, said.message)]));
        let frame = peer.seal(&mkpdu);
        solo.hear(&frame);
        solo.pass(secs(1));
    }
    assert!(solo.is_diagnosed("only_potential"));
}

#[test]
fn two_key_servers_of_equal_priority() {
    let (mut solo, mut peer) = (Solo::new(), Puppet { priority: 16, ..Puppet::new() });
    peer.greet(&mut solo);
    // Who has just come may not have heard of us: no reason to say anything.
    assert!(!solo.is_diagnosed("two_key_servers"));
    for _ in 0..3 {
        solo.pass(secs(1));
        peer.greet(&mut solo);
    }
    let found = solo.status().diagnoses;
    let text = found[0].to_string();
    assert_eq!(text, "two key servers with priority 16; the lower SCI, 02:00:00:00:00:01/0001, won");
}

#[test]
fn packet_numbers_of_the_peer_near_their_end() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::server());
    peer.distribute(&mut solo, peer.sak(1, 0, CipherSuite::GcmAes256));
    let mut used = in_use(peer.key_id(1), 0, true, true);
    used.lowest_pn = 0xc000_0000;
    peer.report(&mut solo, None, Some(used));
    assert!(solo.is_diagnosed("packet_numbers_low"));
}

#[test]
fn a_key_that_has_not_started_by_our_clock() {
    let late = KeyEntry { start: KeyStart::At(at(100_000)), ..key(2) };
    let (world, text) = complaint([vec![late.clone()], vec![key(2)]], [vec![], vec![]]);
    assert!(
        text.contains("no_key_started: the clock says that no key has started; the next starts in 86.0 s"),
        "{text}"
    );
    assert!(text.contains("key_not_started: 02:00:00:00:00:02 uses CKN 0202020202020202"), "{text}");
    assert_eq!(world.status(0).waiting, [(ckn(2), at(100_000))]);
}

// A complaint goes when its cause does.
#[test]
fn what_was_wrong_is_forgotten_after_a_while() {
    let (mut world, text) = complaint([vec![key(1)], vec![key(2)]], [vec![], vec![]]);
    assert!(text.contains("unknown_ckn"));
    world.set_keys(1, vec![key(1)]);
    world.settle(secs(3));
    world.run(secs(20));
    assert_eq!(texts(&world, 0), "");
    assert_eq!(world.status(0).key_server.unwrap().sci, sci(0));
}
