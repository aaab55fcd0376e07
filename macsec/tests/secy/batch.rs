//! Batches give what one by one gives: verdicts, octets, counters, packet numbers.

use macsec::{Backend, CipherSuite, RxDrop, RxVerdict, SecY, SecyPolicy, TxRefusal, ValidateFrames};
use net::PacketBuf;
use proptest::prelude::*;

use crate::support::{NOW, Wire, alice, an, dirty, frame, protected, sak};

const LATE: RxVerdict = RxVerdict::Drop(RxDrop::Late);

fn modes() -> impl Strategy<Value = ValidateFrames> {
    prop_oneof![
        6 => Just(ValidateFrames::Strict),
        2 => Just(ValidateFrames::Check),
        1 => Just(ValidateFrames::Disabled),
        1 => Just(ValidateFrames::Null),
    ]
}

fn wires() -> impl Strategy<Value = Wire> {
    let windows = prop_oneof![Just(0u32), 1..100u32, Just(1 << 29)];
    let firsts = prop_oneof![Just(1u64), Just(0xffff_ff00), Just(0x7fff_fff0)];
    let bools = (any::<bool>(), any::<bool>(), any::<bool>());
    (0..4usize, modes(), windows, firsts, bools, 0..Backend::ALL.len()).prop_map(
        |(suite, validate, window, first_pn, (encrypt, protect, strict), backend)| {
            let mut wire =
                Wire { encrypt, first_pn, ..Wire::new(CipherSuite::ALL[suite]) }.validate(validate);
            wire.policy.replay_window = window;
            wire.policy.replay_protect = protect;
            wire.policy.strict_replay = strict && protect && window <= 100;
            wire.policy.backend = Backend::ALL[backend];
            wire
        },
    )
}

/// What happens to a frame between the two ends.
#[derive(Clone, Debug)]
struct Trip {
    /// Packet numbers lost before it.
    lost: u64,
    user_len: usize,
    second_key: bool,
    /// Where it arrives, as a fraction of the whole.
    order: u32,
    fate: Fate,
}

#[derive(Clone, Debug)]
enum Fate {
    Arrives,
    Twice,
    Flipped(usize, u8),
    Cut(usize),
    InClear,
}

fn trips() -> impl Strategy<Value = Vec<Trip>> {
    let lost = prop_oneof![20 => 0..3u64, 1 => Just(1 << 30), 1 => Just((1 << 31) - 1), 1 => Just(1 << 31)];
    let fate = prop_oneof![
        12 => Just(Fate::Arrives),
        2 => Just(Fate::Twice),
        2 => (any::<usize>(), 0..8u8).prop_map(|(at, bit)| Fate::Flipped(at, bit)),
        1 => (0..100usize).prop_map(Fate::Cut),
        1 => Just(Fate::InClear),
    ];
    let second_key = prop::bool::weighted(0.1);
    let trip = (lost, 1..120usize, second_key, 0..1000u32, fate).prop_map(
        |(lost, user_len, second_key, order, fate)| Trip { lost, user_len, second_key, order, fate },
    );
    prop::collection::vec(trip, 0..150)
}

/// Alice with a second key on AN 1.
fn sender(wire: &Wire) -> SecY {
    let policy = SecyPolicy { validate: ValidateFrames::Strict, ..wire.policy };
    let mut secy = Wire { policy, ..wire.clone() }.sender();
    secy.create_transmit_sa(an(1), &wire.transmit_params(&sak(wire.suite, 0x99)), NOW).unwrap();
    secy
}

fn receiver(wire: &Wire) -> SecY {
    let mut secy = wire.receiver();
    secy.create_receive_sa(alice(), an(1), &wire.receive_params(&sak(wire.suite, 0x99)), NOW).unwrap();
    secy.enable_receive_sa(alice(), an(1), NOW).unwrap();
    secy
}

fn arrivals(wire: &Wire, trips: &[Trip]) -> Vec<Vec<u8>> {
    let mut secy = sender(wire);
    let mut arriving = Vec::new();
    for (n, trip) in trips.iter().enumerate() {
        secy.enable_transmit_sa(an(u8::from(trip.second_key)), NOW).unwrap();
        let (an, next) = secy.next_pn().unwrap();
        secy.raise_next_pn(an, next.saturating_add(trip.lost)).unwrap();
        let mut sent = frame(trip.user_len);
        if secy.protect(&mut sent).is_err() {
            continue;
        }
        let mut octets = sent.to_vec();
        // Mostly in order, some early or late by a few.
        let at = (n as u32 * 10 + trip.order % 50, n);
        match trip.fate {
            Fate::Arrives => {}
            Fate::Twice => arriving.push(((at.0 + 30, n), octets.clone())),
            Fate::Flipped(byte, bit) => {
                let byte = byte % octets.len();
                octets[byte] ^= 1 << bit;
            }
            Fate::Cut(len) => octets.truncate(len),
            Fate::InClear => octets = frame(trip.user_len).to_vec(),
        }
        arriving.push((at, octets));
    }
    arriving.sort();
    arriving.into_iter().map(|(_, octets)| octets).collect()
}

proptest! {
    #[test]
    fn validation_in_batches_is_validation_one_by_one(wire in wires(), trips in trips(), size in 1..100usize) {
        let arriving = arrivals(&wire, &trips);
        let (mut single, mut batched) = (receiver(&wire), receiver(&wire));
        for chunk in arriving.chunks(size) {
            let mut ones: Vec<PacketBuf> = chunk.iter().map(|octets| dirty(octets)).collect();
            let mut many: Vec<PacketBuf> = chunk.iter().map(|octets| dirty(octets)).collect();
            let expected: Vec<RxVerdict> = ones.iter_mut().map(|frame| single.validate(frame)).collect();
            let mut verdicts = vec![RxVerdict::Uncontrolled; many.len()];
            batched.validate_batch(&mut many, &mut verdicts);
            prop_assert_eq!(&verdicts, &expected);
            for ((one, other), verdict) in ones.iter().zip(&many).zip(&expected) {
                if !matches!(verdict, RxVerdict::Drop(_)) {
                    prop_assert_eq!(&**one, &**other);
                }
            }
        }
        prop_assert_eq!(batched.status(), single.status());
    }

    #[test]
    fn protection_in_batches_is_protection_one_by_one(
        wire in wires(), lens in prop::collection::vec(0..200usize, 0..200), limit in 0..300u64, cut in 0..40usize
    ) {
        let mut wire = wire;
        wire.policy.max_frame = 12 + 32 + 150;
        let make = || {
            let mut secy = wire.sender();
            secy.set_pn_limit(an(0), wire.first_pn + limit).unwrap();
            secy.set_policy(wire.policy).unwrap();
            secy
        };
        let (mut single, mut batched) = (make(), make());
        // Some without room, some without user data.
        let frames = || -> Vec<PacketBuf> {
            lens.iter().map(|&len| match len % 20 {
                0 => PacketBuf::copy_of(&frame(len), cut, cut),
                1 => dirty(&frame(0)),
                _ => frame(len),
            }).collect()
        };
        let (mut ones, mut many) = (frames(), frames());
        let expected: Vec<_> = ones.iter_mut().map(|frame| single.protect(frame)).collect();
        let mut verdicts = vec![Err(TxRefusal::Cipher); many.len()];
        batched.protect_batch(&mut many, &mut verdicts);
        prop_assert_eq!(verdicts, expected);
        for (one, other) in ones.iter().zip(&many) {
            prop_assert_eq!(&**one, &**other);
        }
        prop_assert_eq!(batched.status(), single.status());
    }
}

// §10.6: the second replay check, after frames of the same batch moved the window.
#[test]
fn a_frame_made_late_by_its_own_batch_is_dropped() {
    let (mut sender, mut bob) = Wire::new(CipherSuite::GcmAes128).ends();
    let mut frames = [protected(&mut sender, 60), protected(&mut sender, 60), protected(&mut sender, 60)];
    frames.swap(0, 1);
    let mut verdicts = [RxVerdict::Uncontrolled; 3];
    bob.validate_batch(&mut frames, &mut verdicts);
    let ok = RxVerdict::Deliver(macsec::Delivered::Ok);
    assert_eq!(verdicts, [ok, LATE, ok]);
    assert_eq!(bob.status().receive[0].counters.in_pkts_late, 1);
}

#[test]
fn duplicates_within_one_batch_are_refused_in_strict_mode() {
    let mut wire = Wire::new(CipherSuite::GcmAesXpn256);
    wire.policy = SecyPolicy { replay_window: 64, strict_replay: true, ..wire.policy };
    let (mut sender, mut bob) = wire.ends();
    let sent = protected(&mut sender, 60);
    let mut frames = [dirty(&sent), dirty(&sent)];
    let mut verdicts = [RxVerdict::Uncontrolled; 2];
    bob.validate_batch(&mut frames, &mut verdicts);
    assert_eq!(verdicts, [RxVerdict::Deliver(macsec::Delivered::Ok), LATE]);
}

#[test]
fn without_a_transmit_sa_a_batch_refuses_every_frame() {
    let mut secy = SecY::new(SecyPolicy::new(alice()), NOW).unwrap();
    let mut frames: Vec<PacketBuf> = (0..100).map(|_| frame(60)).collect();
    let mut verdicts = vec![Ok(macsec::Protected::Untagged); 100];
    secy.protect_batch(&mut frames, &mut verdicts);
    assert!(verdicts.iter().all(|verdict| *verdict == Err(TxRefusal::NoTransmitSa)));
}
