//! The layer management interface: how SAs come and go (802.1AE-2018 §10.7), and what it refuses.

use core::time::Duration;

use macsec::{
    An, CipherSuite, Delivered, LmiError, PolicyError, ReceiveSaParams, RxDrop, RxVerdict, Sci, SecyPolicy,
    Ssci, TransmitSaParams, TxRefusal, secy::MAX_RECEIVE_SCS,
};
use net::{Instant, MacAddr};

use crate::support::{BOB, NOW, Wire, alice, an, dirty, frame, frames_counted, protected, sak};

const OK: RxVerdict = RxVerdict::Deliver(Delivered::Ok);

fn at(seconds: u64) -> Instant {
    NOW.after(Duration::from_secs(seconds))
}

// §10.7.13 to §10.7.24: two live SAs in the receive SC, the switch between two frames.
#[test]
fn rekeying_through_all_association_numbers_loses_no_frame() {
    let mut wire = Wire::new(CipherSuite::GcmAesXpn256);
    wire.policy.replay_window = 8;
    let (mut sender, mut bob) = wire.ends();
    let (mut old, mut delayed) = (an(0), Vec::new());
    for round in 1..=9u8 {
        let new = old.next();
        let key = sak(wire.suite, round);
        bob.create_receive_sa(alice(), new, &wire.receive_params(&key), at(1)).unwrap();
        bob.enable_receive_sa(alice(), new, at(1)).unwrap();
        sender.create_transmit_sa(new, &wire.transmit_params(&key), at(1)).unwrap();
        let before = protected(&mut sender, 60);
        delayed.push(protected(&mut sender, 70));
        sender.enable_transmit_sa(new, at(2)).unwrap();
        let after = protected(&mut sender, 80);
        assert_eq!(after[14] & 3, new.get());
        for received in [before, after, delayed.pop().unwrap()] {
            assert_eq!(bob.validate(&mut dirty(&received)), OK, "round {round}");
        }
        bob.delete_receive_sa(alice(), old, at(3)).unwrap();
        sender.delete_transmit_sa(old, at(3)).unwrap();
        old = new;
    }
    let (sent, received) = (sender.status(), bob.status());
    assert_eq!(sent.transmit.counters.out_pkts_encrypted, 27, "retired SAs stay in the total");
    assert_eq!(received.receive[0].counters.in_pkts_ok, 27, "retired SAs stay in the total");
    assert_eq!((sent.transmit.sas.len(), received.receive[0].sas.len()), (1, 1));
}

#[test]
fn an_sa_is_not_used_before_it_is_enabled_nor_after_it_is_disabled() {
    let (mut sender, mut bob) = Wire::new(CipherSuite::GcmAes128).ends();
    bob.disable_receive_sa(alice(), an(0), at(1)).unwrap();
    assert_eq!(bob.validate(&mut protected(&mut sender, 60)), RxVerdict::Drop(RxDrop::NoSaError));
    bob.enable_receive_sa(alice(), an(0), at(2)).unwrap();
    assert_eq!(bob.validate(&mut protected(&mut sender, 60)), OK);
    bob.delete_receive_sa(alice(), an(0), at(3)).unwrap();
    assert_eq!(bob.validate(&mut protected(&mut sender, 60)), RxVerdict::Drop(RxDrop::NoSaError));
    sender.delete_transmit_sa(an(0), at(3)).unwrap();
    assert_eq!(sender.protect(&mut frame(60)), Err(TxRefusal::NoTransmitSa));
    assert!(!sender.mac_operational());
}

// §10.7: creating an SA deletes the one there is.
#[test]
fn creating_an_sa_replaces_the_one_with_its_number() {
    let wire = Wire::new(CipherSuite::GcmAes256);
    let (mut sender, mut bob) = wire.ends();
    assert_eq!(bob.validate(&mut protected(&mut sender, 60)), OK);
    let key = sak(wire.suite, 0x77);
    sender.create_transmit_sa(an(0), &wire.transmit_params(&key), at(1)).unwrap();
    assert_eq!(sender.protect(&mut frame(60)), Err(TxRefusal::NoTransmitSa), "not enabled yet");
    sender.enable_transmit_sa(an(0), at(1)).unwrap();
    bob.create_receive_sa(alice(), an(0), &wire.receive_params(&key), at(1)).unwrap();
    assert_eq!(bob.validate(&mut protected(&mut sender, 60)), RxVerdict::Drop(RxDrop::NoSaError));
    bob.enable_receive_sa(alice(), an(0), at(1)).unwrap();
    assert_eq!(bob.validate(&mut protected(&mut sender, 60)), OK);
    let status = bob.status();
    assert_eq!((status.receive[0].counters.in_pkts_ok, status.receive[0].sas[0].counters.in_pkts_ok), (2, 1));
}

#[test]
fn several_peers_are_told_apart_by_their_sci() {
    let wire = Wire::new(CipherSuite::GcmAesXpn128);
    let mut bob = wire.receiver();
    let key = sak(wire.suite, wire.seed);
    let mut senders = vec![wire.sender()];
    for n in 1..8u32 {
        let sci = Sci::new(MacAddr([2, 0, 0, 0, 1, n as u8]), 1);
        let ssci = Ssci(2 + n);
        let params = ReceiveSaParams { ssci, ..wire.receive_params(&key) };
        bob.create_receive_sc(sci, NOW).unwrap();
        bob.create_receive_sa(sci, an(0), &params, NOW).unwrap();
        bob.enable_receive_sa(sci, an(0), NOW).unwrap();
        let policy = SecyPolicy::new(sci);
        let mut sender = macsec::SecY::new(policy, NOW).unwrap();
        let params = TransmitSaParams { ssci, ..wire.transmit_params(&key) };
        sender.create_transmit_sa(an(0), &params, NOW).unwrap();
        sender.enable_transmit_sa(an(0), NOW).unwrap();
        senders.push(sender);
    }
    for sender in &mut senders {
        assert_eq!(bob.validate(&mut protected(sender, 60)), OK);
    }
    let gone = alice();
    bob.delete_receive_sc(gone).unwrap();
    assert_eq!(bob.validate(&mut protected(&mut senders[0], 60)), RxVerdict::Drop(RxDrop::NoSaError));
    let status = bob.status();
    assert_eq!(
        (status.receive.len(), status.receive_totals().in_pkts_ok, frames_counted(&status)),
        (7, 8, 9)
    );
}

#[test]
fn receive_channels_have_a_limit_and_an_identity() {
    let mut bob = Wire::new(CipherSuite::GcmAes128).receiver();
    let own = Sci::new(BOB, 1);
    assert_eq!(bob.create_receive_sc(alice(), NOW), Err(LmiError::DuplicateSc(alice())));
    assert_eq!(bob.create_receive_sc(own, NOW), Err(LmiError::NotAPeer(own)));
    assert_eq!(bob.create_receive_sc(Sci::RESERVED, NOW), Err(LmiError::NotAPeer(Sci::RESERVED)));
    for n in 2..=MAX_RECEIVE_SCS {
        bob.create_receive_sc(Sci::from_u64(n as u64), NOW).unwrap();
    }
    assert_eq!(bob.create_receive_sc(Sci::from_u64(1), NOW), Err(LmiError::TooManyReceiveScs));
    bob.delete_receive_sc(alice()).unwrap();
    bob.create_receive_sc(Sci::from_u64(1), NOW).unwrap();
    assert_eq!(bob.delete_receive_sc(alice()), Err(LmiError::UnknownSc(alice())));
}

#[test]
fn calls_about_what_is_not_there_change_nothing() {
    let (mut sender, mut bob) = Wire::new(CipherSuite::GcmAes128).ends();
    let (nobody, nothing) = (Sci::from_u64(1), an(3));
    assert_eq!(bob.enable_receive_sa(nobody, an(0), NOW), Err(LmiError::UnknownSc(nobody)));
    assert_eq!(bob.enable_receive_sa(alice(), nothing, NOW), Err(LmiError::UnknownSa(nothing)));
    assert_eq!(bob.disable_receive_sa(alice(), nothing, NOW), Err(LmiError::UnknownSa(nothing)));
    assert_eq!(bob.delete_receive_sa(alice(), nothing, NOW), Err(LmiError::UnknownSa(nothing)));
    assert_eq!(bob.raise_lowest_pn(alice(), nothing, 5), Err(LmiError::UnknownSa(nothing)));
    assert_eq!(sender.enable_transmit_sa(nothing, NOW), Err(LmiError::UnknownSa(nothing)));
    assert_eq!(sender.delete_transmit_sa(nothing, NOW), Err(LmiError::UnknownSa(nothing)));
    assert_eq!(sender.raise_next_pn(nothing, 5), Err(LmiError::UnknownSa(nothing)));
    assert_eq!(sender.set_pn_limit(nothing, 5), Err(LmiError::UnknownSa(nothing)));
    assert_eq!(bob.validate(&mut protected(&mut sender, 60)), OK);
}

#[test]
fn keys_and_packet_numbers_must_be_the_suites() {
    for suite in CipherSuite::ALL {
        let wire = Wire::new(suite);
        let (mut sender, mut bob) = wire.ends();
        let wrong = if suite.key_len() == 16 { CipherSuite::GcmAes256 } else { CipherSuite::GcmAes128 };
        let (right, wrong) = (sak(suite, 9), sak(wrong, 9));
        let length = LmiError::KeyLength { expected: suite.key_len(), got: 48 - suite.key_len() };
        let params = TransmitSaParams { sak: &wrong, ..wire.transmit_params(&right) };
        assert_eq!(sender.create_transmit_sa(an(1), &params, NOW), Err(length));
        let params = ReceiveSaParams { sak: &wrong, ..wire.receive_params(&right) };
        assert_eq!(bob.create_receive_sa(alice(), an(1), &params, NOW), Err(length));
        let beyond = if suite.is_xpn() { 0 } else { 1 << 32 };
        for pn in [0, beyond] {
            let params = TransmitSaParams { next_pn: pn, ..wire.transmit_params(&right) };
            assert_eq!(sender.create_transmit_sa(an(1), &params, NOW), Err(LmiError::PacketNumber(pn)));
        }
        let params = ReceiveSaParams { lowest_pn: 0, ..wire.receive_params(&right) };
        assert_eq!(bob.create_receive_sa(alice(), an(1), &params, NOW), Err(LmiError::PacketNumber(0)));
    }
}

// Beyond the standard: the association number is not in the nonce, nor is the time of installation.
#[test]
fn a_used_key_cannot_be_installed_again_below_its_packet_numbers() {
    let wire = Wire::new(CipherSuite::GcmAes128);
    let mut sender = wire.sender();
    let key = sak(wire.suite, wire.seed);
    for _ in 0..5 {
        protected(&mut sender, 60);
    }
    let with = |next_pn| TransmitSaParams { next_pn, ..wire.transmit_params(&key) };
    let refused = |next| Err(LmiError::NonceReuse { used: 5, next });
    assert_eq!(sender.create_transmit_sa(an(0), &with(1), NOW), refused(1), "same association number");
    assert_eq!(sender.create_transmit_sa(an(1), &with(5), NOW), refused(5), "another one");
    protected(&mut sender, 60);
    sender.delete_transmit_sa(an(0), NOW).unwrap();
    let refused = Err(LmiError::NonceReuse { used: 6, next: 1 });
    assert_eq!(sender.create_transmit_sa(an(2), &with(1), NOW), refused, "deleted meanwhile");
    assert_eq!(sender.create_transmit_sa(an(2), &with(7), NOW), Ok(()));
    let fresh = sak(wire.suite, 0x11);
    assert_eq!(sender.create_transmit_sa(an(3), &wire.transmit_params(&fresh), NOW), Ok(()));
}

// §14.7: SSCI, salt and packet number are the nonce.
#[test]
fn two_scis_never_share_an_ssci_under_one_key() {
    for suite in CipherSuite::ALL {
        let wire = Wire::new(suite);
        let mut bob = wire.receiver();
        let (key, other) = (sak(suite, wire.seed), sak(suite, 1));
        let clash = if suite.is_xpn() { Err(LmiError::DuplicateSsci(alice())) } else { Ok(()) };
        let third = Sci::from_u64(3);
        bob.create_receive_sc(third, NOW).unwrap();
        assert_eq!(bob.create_receive_sa(third, an(0), &wire.receive_params(&key), NOW), clash);
        assert_eq!(bob.create_transmit_sa(an(0), &wire.transmit_params(&key), NOW), clash);
        assert_eq!(bob.create_receive_sa(third, an(1), &wire.receive_params(&other), NOW), Ok(()));
        assert_eq!(bob.create_receive_sa(alice(), an(1), &wire.receive_params(&key), NOW), Ok(()));
    }
}

// §10.7.
#[test]
fn packet_numbers_are_only_ever_raised() {
    let (mut sender, mut bob) = Wire { first_pn: 50, ..Wire::new(CipherSuite::GcmAesXpn256) }.ends();
    for (pn, expected) in [(10, 50), (60, 60), (55, 60)] {
        sender.raise_next_pn(an(0), pn).unwrap();
        bob.raise_lowest_pn(alice(), an(0), pn).unwrap();
        assert_eq!(sender.next_pn(), Some((an(0), expected)));
        assert_eq!(bob.lowest_pn(alice(), an(0)), Some(expected));
    }
    assert_eq!(bob.status().receive[0].sas[0].next_pn, 60);
}

// §10.7: createdTime, startedTime, stoppedTime.
#[test]
fn sas_and_scs_know_their_times() {
    let (mut sender, mut bob) = Wire::new(CipherSuite::GcmAes128).ends();
    bob.disable_receive_sa(alice(), an(0), at(5)).unwrap();
    bob.enable_receive_sa(alice(), an(0), at(6)).unwrap();
    let times = bob.status().receive[0].sas[0].times;
    assert_eq!((times.created, times.started, times.stopped), (NOW, Some(at(6)), Some(at(5))));
    bob.delete_receive_sa(alice(), an(0), at(7)).unwrap();
    let sc = &bob.status().receive[0];
    assert_eq!((sc.receiving, sc.times.stopped), (false, Some(at(7))));
    let key = sak(CipherSuite::GcmAes128, 3);
    let params = Wire::new(CipherSuite::GcmAes128);
    sender.create_transmit_sa(an(1), &params.transmit_params(&key), at(8)).unwrap();
    sender.enable_transmit_sa(an(1), at(9)).unwrap();
    let status = sender.status().transmit;
    assert_eq!(status.encoding_sa, An::new(1));
    assert_eq!((status.sas[0].times.stopped, status.sas[0].in_use), (Some(at(9)), false));
    assert_eq!((status.sas[1].times.started, status.sas[1].in_use), (Some(at(9)), true));
}

#[test]
fn a_policy_change_keeps_keys_and_packet_numbers() {
    let mut wire = Wire::new(CipherSuite::GcmAes256);
    wire.policy.replay_window = 100;
    let (mut sender, mut bob) = wire.ends();
    let mut held: Vec<_> = (0..20).map(|_| protected(&mut sender, 60)).collect();
    let last = held.pop().unwrap();
    assert_eq!(bob.validate(&mut dirty(&last)), OK);
    assert_eq!(bob.validate(&mut dirty(&last)), OK, "inside the window the standard takes it twice");
    let strict = SecyPolicy { strict_replay: true, ..*bob.policy() };
    bob.set_policy(strict).unwrap();
    assert_eq!(bob.validate(&mut dirty(&last)), RxVerdict::Drop(RxDrop::Late));
    assert_eq!(bob.validate(&mut held[3]), RxVerdict::Drop(RxDrop::Late), "unknown whether seen: refused");
    assert_eq!(bob.validate(&mut protected(&mut sender, 60)), OK);
    assert_eq!(bob.set_policy(SecyPolicy { sci: Sci::from_u64(1), ..strict }), Err(PolicyError::SciFixed));
    assert_eq!(bob.policy(), &strict);
}

#[test]
fn nothing_that_is_printed_holds_a_key() {
    let sender = Wire::new(CipherSuite::GcmAes256).sender();
    let shown = format!("{sender:?}{:?}", sak(CipherSuite::GcmAes256, 0x5a));
    assert!(shown.contains(&sak(CipherSuite::GcmAes256, 0x5a).fingerprint().to_string()));
    let octets = format!("{:?}", sak(CipherSuite::GcmAes256, 0x5a).octets());
    assert!(!shown.contains(&octets[1..20]) && !shown.contains("5a5b58595e"), "{shown}");
}
