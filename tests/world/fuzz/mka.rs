//! MKPDUs from anybody, and from somebody who has the CAK (IEEE 802.1X-2020 §11.11, §9).

use std::time::Duration;

use macsec::{
    Cak, Ckn, Sci, SecY, SecyPolicy,
    mka::{
        Kay, KayParams, KeyEntry, Standing,
        kdf::CakKeys,
        wire::{Basic, Envelope, Mkpdu, PeerId, frame},
    },
};
use net::{EtherType, Instant, MacAddr, PacketBuf};

use super::Choices;

const ADDRESSES: (MacAddr, MacAddr, EtherType) =
    (MacAddr::PAE_GROUP, MacAddr([2, 0, 0, 0, 0, 9]), EtherType::EAPOL);
/// More MKPDUs or actions at once than any state has reason for.
const PLENTY: usize = 64;

/// Parameter sets are refused, or mean the same once they were written and read again, and are then written alike.
pub fn mkpdu(sets: &[u8]) {
    let Ok(read) = Mkpdu::parse(sets) else { return };
    let Some(written) = sealed(&read) else { return };
    let envelope = Envelope::open(&written, EtherType::EAPOL).expect("what we write is a frame");
    assert!(envelope.authentic(&keys()));
    let again = envelope.mkpdu().expect("what we write can be read");
    assert_eq!(again, read);
    assert_eq!(sealed(&again).as_deref(), Some(&*written));
}

/// A KaY takes whatever comes, from strangers and from a member that lies, at any time: it answers with frames that are
/// right, in bounded number, and time does not stand still.
pub fn kay(octets: &[u8]) {
    let mut choices = Choices::new(octets);
    let mut now = Instant::ZERO;
    let sci = Sci::new(MacAddr([2, 0, 0, 0, 0, 1]), 1);
    let random = super::super::clock::random(u64::from(choices.octet()));
    let mut secy = SecY::new(SecyPolicy::new(sci), now).expect("the policy is the usual one");
    let mut kay = Kay::new(KayParams { priority: choices.octet(), ..KayParams::new(sci) }, random, now);
    kay.set_keys(vec![KeyEntry::new(ckn(), cak())], now);
    let mut heard: Option<PeerId> = None;
    while !choices.is_empty() {
        match choices.below(5) {
            0 => hear(&mut kay, choices.piece(), now),
            1 | 2 => {
                if let Some(frame) = lie(&mut choices, heard) {
                    hear(&mut kay, &frame, now);
                }
            }
            3 => {
                now = now.after(Duration::from_millis(u64::from(choices.word())));
                kay.handle_timeout(now);
            }
            _ => drop(kay.rekey(now)),
        }
        drain(&mut kay, &mut secy, &mut heard, now);
    }
}

/// What is taken was not said to be idle before.
fn hear(kay: &mut Kay, frame: &[u8], now: Instant) {
    let refused = |kay: &Kay| kay.status(now).counters.faults.values().sum::<u64>();
    let (standing, before) = (kay.standing(frame, now), refused(kay));
    kay.handle_mkpdu(frame, now);
    assert!(refused(kay) > before || standing != Standing::Idle, "{frame:02x?} {:?}", kay.status(now));
}

/// An MKPDU with a right ICV, whose contents are the fuzzer's; it may list the KaY as live.
fn lie(choices: &mut Choices<'_>, heard: Option<PeerId>) -> Option<Vec<u8>> {
    let lists_it = choices.flag();
    let mut mkpdu = Mkpdu::parse(choices.piece()).ok()?;
    mkpdu.basic = Basic { ckn: ckn(), agility: Basic::AGILITY, ..mkpdu.basic };
    if let (true, Some(heard)) = (lists_it, heard) {
        mkpdu.live.get_or_insert_default().peers.insert(0, heard);
    }
    sealed(&mkpdu)
}

/// What the KaY wants is done; what it sends is looked at.
fn drain(kay: &mut Kay, secy: &mut SecY, heard: &mut Option<PeerId>, now: Instant) {
    for round in 0.. {
        assert!(round < PLENTY, "the KaY never rests");
        let mut frame = PacketBuf::with_capacity(2048, 0);
        if !kay.poll_transmit(&mut frame) {
            break;
        }
        let envelope = Envelope::open(&frame, EtherType::EAPOL).expect("a frame");
        assert!(envelope.authentic(&keys()));
        let basic = envelope.mkpdu().expect("an MKPDU").basic;
        *heard = Some(PeerId { member: basic.member, message: basic.message });
    }
    for round in 0.. {
        assert!(round < PLENTY, "actions without end");
        let Some(action) = kay.poll_action() else { break };
        if action.apply(secy, now).is_err() {
            kay.handle_refusal(&action, now);
        }
    }
    while kay.poll_event().is_some() {}
    let _status = kay.status(now);
}

fn sealed(mkpdu: &Mkpdu) -> Option<Vec<u8>> {
    let mut frame = PacketBuf::with_capacity(9000, 0);
    frame::seal(mkpdu, &keys(), ADDRESSES, &mut frame).then(|| frame.to_vec())
}

fn ckn() -> Ckn {
    Ckn::new(b"fuzz").expect("a name of four octets")
}

fn cak() -> Cak {
    Cak::new(&[7; 16]).expect("a key of sixteen octets")
}

fn keys() -> CakKeys {
    CakKeys::derive(&cak(), &ckn()).expect("they fit together")
}
