//! One test for each trap of interworking that belongs to the data plane, numbered as in CONFORMANCE.md.

use macsec::{
    CipherSuite, ConfidentialityOffset, Delivered, KeyId, LmiError, Protected, ReceiveSaParams, RxDrop,
    RxVerdict, Salt, Sci, SecY, SecyPolicy, Ssci, TxRefusal, ValidateFrames, clear_tags,
};
use net::{EtherType, MacAddr, PacketBuf, VlanId, VlanTag};

use crate::support::{ALICE, BOB, NOW, Wire, alice, an, dirty, frame, frames_counted, protected, sak};

const OK: RxVerdict = RxVerdict::Deliver(Delivered::Ok);

fn bare(wire: Wire) -> Wire {
    Wire { policy: SecyPolicy { include_sci: false, ..wire.policy }, ..wire }
}

// §10.6.1: not made from the source address.
#[test]
fn trap_01_without_sci_es_or_scb_the_frame_is_from_the_one_peer() {
    let (mut alice_secy, mut bob) = bare(Wire::new(CipherSuite::GcmAes128)).ends();
    let other_source = MacAddr([2, 0xaa, 0xbb, 0xcc, 0xdd, 0xee]);
    let octets: Vec<u8> = [&BOB.0[..], &other_source.0, b"\x08\x00payload"].concat();
    let mut frame = dirty(&octets);
    alice_secy.protect(&mut frame).unwrap();
    assert_eq!(frame[14] & 0xf0, 0, "neither SC nor ES nor SCB");
    assert_eq!(bob.validate(&mut frame), OK);
    assert_eq!(*frame, *octets);
}

// §10.6.1: with a second peer nobody can tell whose it is.
#[test]
fn trap_01_with_two_peers_such_a_frame_has_no_sa() {
    let wire = bare(Wire::new(CipherSuite::GcmAes128));
    for (encrypt, validate, expected) in [
        (true, ValidateFrames::Strict, RxVerdict::Drop(RxDrop::NoSaError)),
        (true, ValidateFrames::Check, RxVerdict::Drop(RxDrop::NoSaError)),
        (false, ValidateFrames::Strict, RxVerdict::Drop(RxDrop::NoSaError)),
        (false, ValidateFrames::Check, RxVerdict::Deliver(Delivered::NoSa)),
    ] {
        let (mut sender, mut bob) = Wire { encrypt, ..wire.clone() }.validate(validate).ends();
        bob.create_receive_sc(Sci::from_u64(0x0200_0000_0000_0001), NOW).unwrap();
        let mut received = protected(&mut sender, 60);
        assert_eq!(bob.validate(&mut received), expected);
        if expected == RxVerdict::Deliver(Delivered::NoSa) {
            assert_eq!(*received, *frame(60));
        }
    }
}

// §9.9: ES and SCB stand for the source address with port 1 and 0.
#[test]
fn trap_01_es_and_scb_name_the_source() {
    for (es, scb, port, bits) in [(true, false, 1, 0x40), (false, true, 0, 0x10), (true, true, 0, 0x50)] {
        let mut wire = bare(Wire::new(CipherSuite::GcmAesXpn128));
        wire.policy = SecyPolicy { sci: Sci::new(ALICE, port), end_station: es, scb, ..wire.policy };
        let (mut sender, mut bob) = wire.ends();
        bob.create_receive_sc(Sci::from_u64(0x0200_0000_0000_0001), NOW).unwrap();
        let mut received = protected(&mut sender, 100);
        assert_eq!((received[14] & 0xf0, received.len()), (bits, 12 + 8 + 100 + 16));
        assert_eq!(bob.validate(&mut received), OK);
    }
}

// §9.5: ES would lie about a frame with another source, so it carries the SCI.
#[test]
fn trap_01_a_bridged_frame_of_an_end_station_carries_the_sci() {
    let mut wire = bare(Wire::new(CipherSuite::GcmAes256));
    wire.policy.end_station = true;
    let (mut sender, mut bob) = wire.ends();
    let octets: Vec<u8> = [&BOB.0[..], &[2, 9, 9, 9, 9, 9], b"\x08\x00payload"].concat();
    let mut bridged = dirty(&octets);
    sender.protect(&mut bridged).unwrap();
    assert_eq!(bridged[14] & 0xf0, 0x20);
    assert_eq!(bob.validate(&mut bridged), OK);
    assert_eq!(*bridged, *octets);
}

// §10.6.2: frames around 2^32 in any order within the window, low word 0 included.
#[test]
fn trap_03_xpn_frames_cross_2_to_the_32_in_any_order() {
    let mut wire = Wire::new(CipherSuite::GcmAesXpn256);
    wire.first_pn = 0xffff_fffa;
    wire.policy.replay_window = 16;
    let (mut sender, mut bob) = wire.ends();
    let mut frames: Vec<PacketBuf> = (0..12).map(|n| protected(&mut sender, 50 + n)).collect();
    assert_eq!(frames[6][16..20], [0; 4], "the seventh has low word 0");
    for at in [1, 0, 9, 5, 6, 4, 7, 3, 11, 2, 10, 8] {
        assert_eq!(bob.validate(&mut frames[at]), OK, "frame {at}");
        assert_eq!(*frames[at], *frame(50 + at));
    }
    assert_eq!(bob.status().receive[0].sas[0].next_pn, 0x1_0000_0006);
}

// §10.6.2: what was lost may be anything up to 2^31 frames.
#[test]
fn trap_03_xpn_recovers_after_a_loss_of_2_to_the_31() {
    let (mut sender, mut bob) = Wire::new(CipherSuite::GcmAesXpn128).ends();
    let mut pn = 1;
    for _ in 0..5 {
        sender.raise_next_pn(an(0), pn).unwrap();
        assert_eq!(bob.validate(&mut protected(&mut sender, 60)), OK, "{pn:#x}");
        pn += 1 + (1 << 31);
    }
    assert!(pn > 2 << 32);
}

// By layering below the SecY: the AAD has no VLAN tag, and bridges may change its priority.
#[test]
fn trap_04_vlan_tags_in_clear_are_not_authenticated() {
    let (mut sender, mut bob) = Wire::new(CipherSuite::GcmAes256).ends();
    let tags = [(EtherType::SERVICE_VLAN, 100), (EtherType::VLAN, 7)]
        .map(|(tpid, id)| VlanTag::new(tpid, VlanId::new(id).unwrap()));
    for tags in [&tags[1..], &tags[..]] {
        let mut frame = protected(&mut sender, 80);
        assert!(clear_tags::push(&mut frame, tags));
        frame[14] |= 0xe0;
        clear_tags::strip(&mut frame, tags).unwrap();
        assert_eq!(bob.validate(&mut frame), OK);
    }
}

// §10.6.
#[test]
fn trap_05_octets_count_even_when_the_icv_is_wrong() {
    for encrypt in [true, false] {
        let (mut sender, mut bob) = Wire { encrypt, ..Wire::new(CipherSuite::GcmAes128) }.ends();
        let mut wrong = protected(&mut sender, 60);
        *wrong.last_mut().unwrap() ^= 1;
        assert_eq!(bob.validate(&mut wrong), RxVerdict::Drop(RxDrop::NotValid));
        assert_eq!(bob.validate(&mut protected(&mut sender, 70)), OK);
        let counters = bob.status().counters;
        let expected = if encrypt { (0, 130) } else { (130, 0) };
        assert_eq!((counters.in_octets_validated, counters.in_octets_decrypted), expected);
    }
}

// §10.6: there is no plain text to deliver.
#[test]
fn trap_06_encrypted_frames_that_fail_are_dropped_in_every_mode() {
    for validate in [ValidateFrames::Strict, ValidateFrames::Check, ValidateFrames::Disabled] {
        let (mut sender, mut bob) = Wire::new(CipherSuite::GcmAes256).validate(validate).ends();
        let mut wrong = protected(&mut sender, 60);
        wrong[40] ^= 1;
        assert_eq!(bob.validate(&mut wrong), RxVerdict::Drop(RxDrop::NotValid), "{validate:?}");
        bob.disable_receive_sa(alice(), an(0), NOW).unwrap();
        let mut unknown = protected(&mut sender, 60);
        assert_eq!(bob.validate(&mut unknown), RxVerdict::Drop(RxDrop::NoSaError), "{validate:?}");
    }
}

// §9.12, and a packet number of 0 without XPN; under XPN its low word may be 0.
#[test]
fn trap_07_invalid_tags_count_as_bad_tag() {
    type Spoil = fn(&mut PacketBuf);
    let broken: [(&str, Spoil); 8] = [
        ("version", |frame| frame[14] |= 0x80),
        ("ES with SC", |frame| frame[14] |= 0x40),
        ("SCB with SC", |frame| frame[14] |= 0x10),
        ("C without E", |frame| frame[14] &= !0x08),
        ("SL 48", |frame| frame[15] = 48),
        ("reserved bits", |frame| frame[15] |= 0x40),
        ("packet number 0", |frame| frame[16..20].fill(0)),
        ("too short", |frame| frame.truncate(12 + 16 + 47 + 16)),
    ];
    for (what, spoil) in broken {
        let (mut sender, mut bob) = Wire::new(CipherSuite::GcmAes128).ends();
        let mut frame = protected(&mut sender, 60);
        spoil(&mut frame);
        assert_eq!(bob.validate(&mut frame), RxVerdict::Drop(RxDrop::BadTag), "{what}");
        let status = bob.status();
        assert_eq!((status.counters.in_pkts_bad_tag, frames_counted(&status)), (1, 1), "{what}");
    }
    let wire = Wire { first_pn: 1 << 32, ..Wire::new(CipherSuite::GcmAesXpn128) };
    let (mut sender, mut bob) = wire.ends();
    assert_eq!(bob.validate(&mut protected(&mut sender, 60)), OK);
}

// §9.7: SL finds the ICV; what Ethernet added behind it is ignored.
#[test]
fn trap_08_padded_short_frames_validate() {
    for (user_len, include_sci, encrypt) in (1..48)
        .flat_map(|len| [(len, true, true), (len, false, true), (len, true, false), (len, false, false)])
    {
        let mut wire = Wire { encrypt, ..Wire::new(CipherSuite::GcmAes256) };
        wire.policy.include_sci = include_sci;
        let (mut sender, mut bob) = wire.ends();
        let short = protected(&mut sender, user_len);
        assert_eq!(usize::from(short[15]), user_len, "SL");
        let padding = 60usize.saturating_sub(short.len());
        let mut padded = dirty(&[&short[..], &vec![0xee; padding]].concat());
        assert_eq!(bob.validate(&mut padded), OK, "{user_len} {include_sci} {encrypt}");
        assert_eq!(*padded, *frame(user_len));
    }
}

// §10.5.2: fail closed, at 2^32 and at 2^64.
#[test]
fn trap_20_used_up_packet_numbers_stop_the_channel() {
    for suite in CipherSuite::ALL {
        let wire = Wire { first_pn: suite.last_pn() - 1, ..Wire::new(suite) };
        let (mut sender, mut bob) = wire.ends();
        assert_eq!(sender.pending_pn_exhaustion(), Some(an(0)));
        for _ in 0..2 {
            assert!(sender.mac_operational());
            assert_eq!(bob.validate(&mut protected(&mut sender, 60)), OK);
        }
        assert!(!sender.mac_operational());
        sender.set_pn_limit(an(0), u64::MAX).unwrap();
        sender.raise_next_pn(an(0), 1).unwrap();
        let mut refused = frame(60);
        for _ in 0..3 {
            assert_eq!(sender.protect(&mut refused), Err(TxRefusal::PnExhausted), "{suite}");
        }
        assert_eq!(*refused, *frame(60), "unchanged");
        let sa = &bob.status().receive[0].sas[0];
        let end = suite.last_pn().saturating_add(1);
        assert_eq!((sa.next_pn, sa.lowest_pn), (end, end));
    }
}

// The receiver's end of the number space: the last frame cannot be played again.
#[test]
fn trap_20_the_last_frame_of_all_is_accepted_once() {
    for suite in CipherSuite::ALL {
        let (mut sender, mut bob) = Wire { first_pn: suite.last_pn(), ..Wire::new(suite) }.ends();
        let last = protected(&mut sender, 60);
        assert_eq!(bob.validate(&mut dirty(&last)), OK);
        assert_eq!(bob.validate(&mut dirty(&last)), RxVerdict::Drop(RxDrop::Late));
    }
}

// Table on rekeying: three quarters.
#[test]
fn trap_20_a_fresh_key_is_asked_for_in_time() {
    for suite in CipherSuite::ALL {
        let threshold = suite.pending_exhaustion_pn();
        let mut sender = Wire { first_pn: threshold - 1, ..Wire::new(suite) }.sender();
        assert_eq!(sender.pending_pn_exhaustion(), None);
        protected(&mut sender, 60);
        assert_eq!(sender.pending_pn_exhaustion(), Some(an(0)));
    }
}

// §10.7.8.
#[test]
fn trap_25_null_validation_forces_protection_off() {
    let policy = SecyPolicy { validate: ValidateFrames::Null, ..SecyPolicy::new(alice()) };
    let mut secy = SecY::new(policy, NOW).unwrap();
    let mut sent = frame(60);
    assert_eq!(secy.protect(&mut sent), Ok(Protected::Untagged));
    assert_eq!(*sent, *frame(60));
    let mut received = protected(&mut Wire::new(CipherSuite::GcmAes128).sender(), 60);
    let before = received.to_vec();
    assert_eq!(secy.validate(&mut received), RxVerdict::Deliver(Delivered::Unmodified));
    assert_eq!(*received, *before);
    let status = secy.status();
    assert_eq!((frames_counted(&status), status.counters.out_pkts_untagged), (0, 1));
    assert!(status.mac_operational);
}

// A gateway with a static SAK reserves packet numbers on disk, and goes on above them after a restart.
#[test]
fn trap_26_a_restart_goes_on_above_the_reserved_packet_numbers() {
    let wire = Wire::new(CipherSuite::GcmAesXpn256);
    let (mut sender, mut bob) = wire.ends();
    sender.set_pn_limit(an(0), 3).unwrap();
    let used = (0..).take_while(|_| sender.protect(&mut frame(60)).is_ok()).count();
    assert_eq!((used, sender.pns_left(), sender.mac_operational()), (3, 0, false));
    sender.set_pn_limit(an(0), 10).unwrap();
    assert_eq!(sender.protect(&mut frame(60)), Ok(Protected::Encrypted));
    // Stopped here; the reservation of 10 was on disk.
    let mut restarted = Wire { first_pn: 11, ..wire }.sender();
    assert_eq!(bob.validate(&mut protected(&mut restarted, 60)), OK);
    assert_eq!(bob.status().receive[0].sas[0].next_pn, 12);
}

// §10.7.28: the key server's MI, not ours, with the low half of the key number first.
#[test]
fn trap_27_the_salt_is_made_of_the_key_servers_identifier() {
    let server = [0xe6, 0xb0, 0xe8, 0x1a, 0x48, 0xde, 0x86, 0xa2, 0x1c, 0x66, 0xfa, 0x6d];
    let salt = Salt::for_key(KeyId::new(server, 0x0102_0304));
    assert_eq!(salt.0[..4], [0xe6 ^ 0x03, 0xb0 ^ 0x04, 0xe8 ^ 0x01, 0x1a ^ 0x02]);
    assert_eq!(salt.0[4..], server[4..]);
    let wire = Wire::new(CipherSuite::GcmAesXpn256);
    let (mut sender, mut bob) = wire.ends();
    let key = sak(wire.suite, wire.seed);
    let other = ReceiveSaParams { salt, ..wire.receive_params(&key) };
    bob.create_receive_sa(alice(), an(0), &other, NOW).unwrap();
    bob.enable_receive_sa(alice(), an(0), NOW).unwrap();
    assert_eq!(bob.validate(&mut protected(&mut sender, 60)), RxVerdict::Drop(RxDrop::NotValid));
}

// §10.7.13: both ends number the same set, the one that shared the key.
#[test]
fn trap_28_another_set_of_members_means_another_ssci() {
    let (a, b, c) = (Sci::from_u64(10), Sci::from_u64(20), Sci::from_u64(30));
    let (two, three) = (Ssci::assign(a, &[a, b]).unwrap(), Ssci::assign(a, &[a, b, c]).unwrap());
    assert_eq!((two, three), (Ssci(2), Ssci(3)));
    let wire = Wire::new(CipherSuite::GcmAesXpn128);
    let key = sak(wire.suite, wire.seed);
    for (ssci, expected) in [(two, OK), (three, RxVerdict::Drop(RxDrop::NotValid))] {
        let (mut sender, mut bob) = wire.ends();
        let params = ReceiveSaParams { ssci, ..wire.receive_params(&key) };
        bob.create_receive_sa(alice(), an(0), &params, NOW).unwrap();
        bob.enable_receive_sa(alice(), an(0), NOW).unwrap();
        assert_eq!(bob.validate(&mut protected(&mut sender, 60)), expected);
    }
}

// §14.7, §14.8.
#[test]
fn trap_29_xpn_keys_take_no_offset() {
    for suite in CipherSuite::ALL {
        for offset in [ConfidentialityOffset::Thirty, ConfidentialityOffset::Fifty] {
            let wire = Wire { offset, ..Wire::new(suite) };
            let (mut sender, mut bob) = Wire::new(suite).ends();
            let sak = sak(suite, 1);
            let refused = suite.is_xpn().then_some(LmiError::OffsetWithXpn);
            assert_eq!(sender.create_transmit_sa(an(1), &wire.transmit_params(&sak), NOW).err(), refused);
            assert_eq!(bob.create_receive_sa(alice(), an(1), &wire.receive_params(&sak), NOW).err(), refused);
        }
    }
}
