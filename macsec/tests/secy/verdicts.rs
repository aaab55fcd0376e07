//! The algorithm of 802.1AE-2018 §10.6 as a table: what comes, under which validateFrames, what becomes of
//! it and which counter counts it. And what transmission refuses (§10.5).

use macsec::{
    CipherSuite, Delivered, Protected, RxDrop, RxVerdict, SecY, SecyPolicy, TxRefusal, ValidateFrames,
    secy::{ReceiveCounters, SecyCounters, SecyStatus},
};
use net::PacketBuf;

use crate::support::{NOW, Wire, alice, an, dirty, frame, frames_counted, protected};

#[derive(Clone, Copy, Debug)]
enum Comes {
    NoTag,
    BadTag,
    ForTheKay,
    NoSaInClear,
    NoSaEncrypted,
    WrongInClear,
    WrongEncrypted,
    Late,
    LateUnprotected,
    RightInClear,
    RightEncrypted,
}

use Comes::{
    BadTag, ForTheKay, Late, LateUnprotected, NoSaEncrypted, NoSaInClear, NoTag, RightEncrypted,
    RightInClear, WrongEncrypted, WrongInClear,
};

impl Comes {
    /// A receiver under this policy and the frame that comes to it.
    fn scene(self, validate: ValidateFrames) -> (SecY, PacketBuf) {
        let mut wire = Wire::new(CipherSuite::GcmAes128).validate(validate);
        wire.encrypt = matches!(self, NoSaEncrypted | WrongEncrypted | RightEncrypted | ForTheKay);
        wire.policy.replay_protect = !matches!(self, LateUnprotected);
        let (mut sender, mut bob) = wire.ends();
        let mut comes = protected(&mut sender, 60);
        match self {
            NoTag => comes = frame(60),
            BadTag => comes[14] |= 0x80,
            ForTheKay => comes[14] &= !0x04,
            NoSaInClear | NoSaEncrypted => bob.disable_receive_sa(alice(), an(0), NOW).unwrap(),
            WrongInClear | WrongEncrypted => comes[30] ^= 1,
            Late | LateUnprotected => bob.raise_lowest_pn(alice(), an(0), 100).unwrap(),
            RightInClear | RightEncrypted => {}
        }
        (bob, comes)
    }
}

/// The counter that is named, of a receiver with one SC.
fn counter(status: &SecyStatus, verdict: RxVerdict) -> u64 {
    let SecyCounters {
        in_pkts_untagged,
        in_pkts_no_tag,
        in_pkts_bad_tag,
        in_pkts_no_sa,
        in_pkts_no_sa_error,
        ..
    } = status.counters;
    let sc: ReceiveCounters = status.receive[0].counters;
    match verdict {
        RxVerdict::Deliver(Delivered::Ok) => sc.in_pkts_ok,
        RxVerdict::Deliver(Delivered::Unchecked) => sc.in_pkts_unchecked,
        RxVerdict::Deliver(Delivered::Invalid) => sc.in_pkts_invalid,
        RxVerdict::Deliver(Delivered::Delayed) => sc.in_pkts_delayed,
        RxVerdict::Deliver(Delivered::Untagged) => in_pkts_untagged,
        RxVerdict::Deliver(Delivered::NoSa) => in_pkts_no_sa,
        RxVerdict::Deliver(Delivered::Unmodified) | RxVerdict::Uncontrolled => 0,
        RxVerdict::Drop(RxDrop::NoTag) => in_pkts_no_tag,
        RxVerdict::Drop(RxDrop::BadTag) => in_pkts_bad_tag,
        RxVerdict::Drop(RxDrop::NoSaError) => in_pkts_no_sa_error,
        RxVerdict::Drop(RxDrop::Late) => sc.in_pkts_late,
        RxVerdict::Drop(RxDrop::NotValid) => sc.in_pkts_not_valid,
    }
}

const fn to(delivered: Delivered) -> RxVerdict {
    RxVerdict::Deliver(delivered)
}

const fn no(drop: RxDrop) -> RxVerdict {
    RxVerdict::Drop(drop)
}

// §10.6, §10.7.8, §10.7.9.
#[test]
fn every_frame_gets_its_verdict_and_counts_once() {
    use Delivered::{Delayed, Invalid, NoSa, Ok, Unchecked, Untagged};
    use RxDrop::{NoSaError, NotValid};
    for (comes, strict, check, disabled) in [
        (NoTag, no(RxDrop::NoTag), to(Untagged), to(Untagged)),
        (BadTag, no(RxDrop::BadTag), no(RxDrop::BadTag), no(RxDrop::BadTag)),
        (ForTheKay, RxVerdict::Uncontrolled, RxVerdict::Uncontrolled, RxVerdict::Uncontrolled),
        (NoSaInClear, no(NoSaError), to(NoSa), to(NoSa)),
        (NoSaEncrypted, no(NoSaError), no(NoSaError), no(NoSaError)),
        (WrongInClear, no(NotValid), to(Invalid), to(Unchecked)),
        (WrongEncrypted, no(NotValid), no(NotValid), no(NotValid)),
        (Late, no(RxDrop::Late), no(RxDrop::Late), no(RxDrop::Late)),
        (LateUnprotected, to(Delayed), to(Delayed), to(Delayed)),
        (RightInClear, to(Ok), to(Ok), to(Unchecked)),
        (RightEncrypted, to(Ok), to(Ok), no(NotValid)),
    ] {
        for (validate, expected) in [
            (ValidateFrames::Strict, strict),
            (ValidateFrames::Check, check),
            (ValidateFrames::Disabled, disabled),
        ] {
            let (mut bob, mut received) = comes.scene(validate);
            let before = received.to_vec();
            let verdict = bob.validate(&mut received);
            assert_eq!(verdict, expected, "{comes:?} {validate:?}");
            let status = bob.status();
            let once = u64::from(verdict != RxVerdict::Uncontrolled);
            assert_eq!(
                (counter(&status, verdict), frames_counted(&status)),
                (once, once),
                "{comes:?} {validate:?}"
            );
            match verdict {
                RxVerdict::Uncontrolled => assert_eq!(*received, *before, "unmodified"),
                RxVerdict::Deliver(Invalid | Unchecked) if matches!(comes, WrongInClear) => {
                    assert_eq!(received.len(), frame(60).len(), "without SecTAG and ICV");
                }
                RxVerdict::Deliver(_) => assert_eq!(*received, *frame(60), "{comes:?} {validate:?}"),
                RxVerdict::Drop(_) => {}
            }
        }
    }
}

// §10.6: only valid frames move the window, whatever is delivered.
#[test]
fn frames_that_are_not_valid_do_not_move_the_window() {
    for validate in [ValidateFrames::Strict, ValidateFrames::Check, ValidateFrames::Disabled] {
        let wire = Wire { encrypt: false, ..Wire::new(CipherSuite::GcmAes128) }.validate(validate);
        let (mut sender, mut bob) = wire.ends();
        let first = protected(&mut sender, 60);
        sender.raise_next_pn(an(0), 0xffff_0000).unwrap();
        let mut forged = protected(&mut sender, 60);
        forged[40] ^= 1;
        bob.validate(&mut forged);
        assert_eq!(bob.lowest_pn(alice(), an(0)), Some(1), "{validate:?}");
        assert!(matches!(bob.validate(&mut dirty(&first)), RxVerdict::Deliver(_)));
    }
}

// §10.6.2: the preliminary check is there to save the work.
#[test]
fn a_late_frame_is_not_decrypted() {
    let (mut sender, mut bob) = Wire::new(CipherSuite::GcmAes256).ends();
    let mut late = protected(&mut sender, 60);
    let before = late.to_vec();
    bob.raise_lowest_pn(alice(), an(0), 100).unwrap();
    assert_eq!(bob.validate(&mut late), RxVerdict::Drop(RxDrop::Late));
    assert_eq!((&*late, bob.status().counters.in_octets_decrypted), (&*before, 0));
}

// §10.5: what may not be sent is not sent, and stays as it was.
#[test]
fn transmission_refuses_with_a_reason() {
    let wire = Wire::new(CipherSuite::GcmAes256);
    let mut bare = SecY::new(wire.policy, NOW).unwrap();
    let mut refused = frame(60);
    assert_eq!(bare.protect(&mut refused), Err(TxRefusal::NoTransmitSa));
    let mut sender = wire.sender();
    for len in 0..=12 {
        let mut short = dirty(&frame(60)[..len]);
        assert_eq!(sender.protect(&mut short), Err(TxRefusal::TooShort), "{len}");
    }
    for (head, tail) in [(15, 16), (16, 15), (0, 0)] {
        let mut tight = PacketBuf::copy_of(&frame(60), head, tail);
        assert_eq!(sender.protect(&mut tight), Err(TxRefusal::NoRoom));
        assert_eq!(*tight, *frame(60));
    }
    assert_eq!(sender.next_pn(), Some((an(0), 1)), "nothing of that took a packet number");
    assert_eq!(sender.protect(&mut PacketBuf::copy_of(&frame(60), 16, 16)), Ok(Protected::Encrypted));
}

// §10.5: too long for the channel; the packet number is gone.
#[test]
fn a_frame_too_long_once_protected_is_counted() {
    let mut wire = Wire::new(CipherSuite::GcmAes128);
    wire.policy.max_frame = 1514;
    let mut sender = wire.sender();
    let mut fits = frame(1514 - 12 - 32);
    assert_eq!(sender.protect(&mut fits), Ok(Protected::Encrypted));
    assert_eq!(fits.len(), 1514);
    let mut long = frame(1514 - 12 - 32 + 1);
    assert_eq!(sender.protect(&mut long), Err(TxRefusal::TooLong));
    assert_eq!(*long, *frame(1471), "unchanged");
    let status = sender.status();
    assert_eq!((status.counters.out_pkts_too_long, status.if_out_errors()), (1, 1));
    assert_eq!(status.transmit.sas[0].next_pn, 3);
}

// §10.5: protectFrames false.
#[test]
fn unprotected_frames_pass_and_count() {
    let policy = SecyPolicy { protect_frames: false, ..SecyPolicy::new(alice()) };
    let mut secy = SecY::new(policy, NOW).unwrap();
    let mut sent = frame(1);
    assert_eq!(secy.protect(&mut sent), Ok(Protected::Untagged));
    assert_eq!((&*sent, secy.status().counters.out_pkts_untagged), (&*frame(1), 1));
}

// §10.7.
#[test]
fn sent_frames_and_octets_count_by_kind() {
    for encrypt in [true, false] {
        let mut sender = Wire { encrypt, ..Wire::new(CipherSuite::GcmAesXpn128) }.sender();
        for len in [1, 47, 48, 1500] {
            let expected = if encrypt { Protected::Encrypted } else { Protected::Protected };
            assert_eq!(sender.protect(&mut frame(len)), Ok(expected));
        }
        let status = sender.status();
        let (sc, secy) = (status.transmit.counters, status.counters);
        let counted = [
            sc.out_pkts_protected,
            secy.out_octets_protected,
            sc.out_pkts_encrypted,
            secy.out_octets_encrypted,
        ];
        assert_eq!(counted, if encrypt { [0, 0, 4, 1596] } else { [4, 1596, 0, 0] });
    }
}

// §10.7.6.
#[test]
fn the_interface_counters_add_up() {
    let (mut sender, mut bob) = Wire::new(CipherSuite::GcmAes128).ends();
    let right = protected(&mut sender, 60);
    let mut wrong = protected(&mut sender, 60);
    wrong[40] ^= 1;
    let mut bad = dirty(&right);
    bad[14] |= 0x80;
    let mut unknown = dirty(&right);
    unknown[20] ^= 1;
    for received in [&right, &right, &wrong, &bad, &unknown, &frame(60)] {
        bob.validate(&mut dirty(received));
    }
    let status = bob.status();
    assert_eq!((status.if_in_discards(), status.if_in_errors(), frames_counted(&status)), (2, 3, 6));
}
