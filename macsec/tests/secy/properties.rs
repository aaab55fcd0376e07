//! What holds for all frames: identity, agreement of the backends, refusal of every change, no panic.

use macsec::{
    Backend, CipherSuite, ConfidentialityOffset, Delivered, RxVerdict, Sci, SecY, SecyPolicy, ValidateFrames,
};
use proptest::prelude::*;

use crate::support::{ALICE, Wire, alice, dirty, frame, frames_counted};

/// Every suite, mode, offset and form of the SCI, from any packet number.
fn wires() -> impl Strategy<Value = Wire> {
    let offsets = prop_oneof![
        Just(ConfidentialityOffset::Zero),
        Just(ConfidentialityOffset::Thirty),
        Just(ConfidentialityOffset::Fifty)
    ];
    (0..4usize, any::<bool>(), offsets, 0..5u8, 1u64.., any::<u8>()).prop_map(
        |(suite, encrypt, offset, form, pn, seed)| {
            let suite = CipherSuite::ALL[suite];
            let offset = if suite.allows_offsets() { offset } else { ConfidentialityOffset::Zero };
            let first_pn = if suite.is_xpn() { pn } else { (pn >> 32).max(1) };
            let (include_sci, end_station, scb) = [
                (true, false, false),
                (false, true, false),
                (false, false, true),
                (false, true, true),
                (false, false, false),
            ][usize::from(form)];
            let sci = Sci::new(ALICE, u16::from(!scb));
            let policy = SecyPolicy { include_sci, end_station, scb, ..SecyPolicy::new(sci) };
            Wire { suite, encrypt, offset, first_pn, seed, policy }
        },
    )
}

fn with(wire: &Wire, backend: Backend) -> Wire {
    Wire { policy: SecyPolicy { backend, ..wire.policy }, ..wire.clone() }
}

fn lens() -> impl Strategy<Value = usize> {
    prop_oneof![1..130usize, 1400..1520usize, 8900..9000usize]
}

proptest! {
    #[test]
    fn what_is_protected_validates_to_itself(wire in wires(), len in lens()) {
        let (mut sender, mut bob) = wire.ends();
        let mut travelling = frame(len);
        prop_assert!(sender.protect(&mut travelling).is_ok());
        let tag_len = if wire.policy.include_sci { 16 } else { 8 };
        prop_assert_eq!(travelling.len(), 12 + tag_len + len + 16);
        // What stays in clear is the user data up to the offset, or all of it.
        let clear = if wire.encrypt { wire.offset.octets().min(len) } else { len };
        prop_assert_eq!(&travelling[12 + tag_len..][..clear], &frame(len)[12..][..clear]);
        if wire.encrypt && len >= clear + 16 {
            prop_assert_ne!(&travelling[12 + tag_len + clear..][..16], &frame(len)[12 + clear..][..16]);
        }
        prop_assert_eq!(bob.validate(&mut travelling), RxVerdict::Deliver(Delivered::Ok));
        prop_assert_eq!(&*travelling, &*frame(len));
    }

    #[test]
    fn the_backends_agree_octet_by_octet(wire in wires(), len in lens()) {
        let sent = Backend::ALL.map(|backend| {
            let mut sent = frame(len);
            (with(&wire, backend).sender().protect(&mut sent), sent)
        });
        let [(how, a), ..] = &sent;
        for (other, b) in &sent {
            prop_assert_eq!(how, other);
            prop_assert_eq!(&**a, &**b);
        }
        for backend in Backend::ALL {
            let mut received = dirty(a);
            prop_assert_eq!(with(&wire, backend).receiver().validate(&mut received), RxVerdict::Deliver(Delivered::Ok));
            prop_assert_eq!(&*received, &*frame(len));
        }
    }

    #[test]
    fn a_frame_with_any_bit_changed_is_not_delivered(
        wire in wires(), len in 1..200usize, bit in any::<usize>(), backend in 0..Backend::ALL.len()
    ) {
        let (mut sender, mut bob) = with(&wire, Backend::ALL[backend]).ends();
        let mut travelling = frame(len);
        prop_assert!(sender.protect(&mut travelling).is_ok());
        let bit = bit % (8 * travelling.len());
        travelling[bit / 8] ^= 1 << (bit % 8);
        let verdict = bob.validate(&mut travelling);
        prop_assert!(!matches!(verdict, RxVerdict::Deliver(_)), "bit {}: {:?}", bit, verdict);
    }

    #[test]
    fn any_octets_get_one_verdict_and_count_once(
        wire in wires(),
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..150), 1..20),
        likeness in 0..6u8,
        mode in 0..4usize,
    ) {
        use ValidateFrames::{Check, Disabled, Null, Strict};
        let validate = [Strict, Check, Disabled, Null][mode];
        let mut bob = wire.clone().validate(validate).receiver();
        let mut uncounted = 0;
        for mut octets in frames.iter().cloned() {
            liken(&mut octets, likeness, wire.policy.sci);
            let verdict = bob.validate(&mut dirty(&octets));
            uncounted += u64::from(matches!(verdict, RxVerdict::Uncontrolled | RxVerdict::Deliver(Delivered::Unmodified)));
        }
        prop_assert_eq!(frames_counted(&bob.status()), frames.len() as u64 - uncounted);
    }
}

/// Makes random octets more and more like a frame from Alice.
fn liken(octets: &mut [u8], likeness: u8, sci: Sci) {
    let mut put = |at: usize, what: &[u8]| {
        if let Some(place) = octets.get_mut(at..at + what.len()) {
            place.copy_from_slice(what);
        }
    };
    if likeness >= 1 {
        put(12, &[0x88, 0xe5]);
    }
    if likeness >= 2 {
        put(6, &ALICE.0);
    }
    if likeness >= 3 {
        put(14, &[if likeness == 5 { 0x2c } else { 0x20 }]);
        put(20, &sci.octets());
    }
    if likeness >= 4 {
        put(15, &[0]);
    }
}

// §14.5: the IV has the SCI whether the frame carries it or not.
#[test]
fn the_sci_is_in_the_nonce_even_when_not_on_the_wire() {
    let mut bare = Wire::new(CipherSuite::GcmAes128);
    bare.policy.include_sci = false;
    let mut other = bare.clone();
    other.policy.sci = Sci::new(ALICE, 2);
    let [mut a, mut b] = [bare, other].map(|wire| wire.sender());
    let protect = |secy: &mut SecY| {
        let mut frame = frame(60);
        secy.protect(&mut frame).unwrap();
        frame.to_vec()
    };
    let (a, b) = (protect(&mut a), protect(&mut b));
    assert_eq!(a[..20], b[..20], "same tag");
    assert_ne!(a[20..], b[20..], "other nonce");
    assert_ne!(alice(), Sci::new(ALICE, 2));
}

// §10.7: a frame shorter than the offset is wholly in clear, and still E and C.
#[test]
fn a_frame_shorter_than_its_offset_stays_in_clear_but_authenticated() {
    for (offset, len) in [(ConfidentialityOffset::Thirty, 30), (ConfidentialityOffset::Fifty, 20)] {
        let (mut sender, mut bob) = Wire { offset, ..Wire::new(CipherSuite::GcmAes256) }.ends();
        let mut travelling = frame(len);
        sender.protect(&mut travelling).unwrap();
        assert_eq!((travelling[14] & 0x0c, &travelling[28..28 + len]), (0x0c, &frame(len)[12..]));
        assert_eq!(bob.validate(&mut travelling), RxVerdict::Deliver(Delivered::Ok));
    }
}
