//! Whatever a member with the right CAK says, and whatever anybody else sends: no panic, no growth, no key that was not
//! distributed, and the channel comes back.

use macsec::{
    CipherSuite,
    mka::{
        MAX_PEERS, MemberId, MkpduFault, Standing,
        wire::{OtherSet, frame::MAX_FRAME},
    },
};
use proptest::prelude::*;

use crate::{
    puppet::{Puppet, Solo, in_use},
    world::{cak, ckn, key, ms, params, sci, secs},
};

/// One thing that a hostile or broken member does.
#[derive(Clone, Debug)]
enum Move {
    /// Says something well-formed.
    Greet,
    Distribute {
        number: u32,
        an: u8,
        suite: usize,
    },
    Report {
        number: u32,
        an: u8,
        tx: bool,
        rx: bool,
    },
    Restart(u8),
    Priority(u8),
    /// Says something with any octets in a parameter set, the ICV being right.
    Garble {
        kind: u8,
        flags: (u8, u8),
        body: Vec<u8>,
    },
    /// Changes octets of what it says, the ICV being right again.
    Bend {
        at: prop::sample::Index,
        with: u8,
    },
    /// Sends any octets.
    Noise(Vec<u8>),
    Pass(u64),
    Rekey,
}

fn moves() -> impl Strategy<Value = Move> {
    let body = || proptest::collection::vec(any::<u8>(), 0..64);
    prop_oneof![
        3 => Just(Move::Greet),
        3 => (0u32..6, 0u8..4, 0usize..4).prop_map(|(number, an, suite)| Move::Distribute { number, an, suite }),
        3 => (0u32..6, 0u8..4, any::<bool>(), any::<bool>())
            .prop_map(|(number, an, tx, rx)| Move::Report { number, an, tx, rx }),
        1 => any::<u8>().prop_map(Move::Restart),
        1 => any::<u8>().prop_map(Move::Priority),
        3 => (1u8..10, (any::<u8>(), any::<u8>()), body()).prop_map(|(kind, flags, body)| Move::Garble { kind, flags, body }),
        3 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, with)| Move::Bend { at, with }),
        1 => body().prop_map(Move::Noise),
        3 => (0u64..4_000).prop_map(Move::Pass),
        1 => Just(Move::Rekey),
    ]
}

fn play(solo: &mut Solo, peer: &mut Puppet, step: Move) {
    match step {
        Move::Greet => peer.greet(solo),
        Move::Distribute { number, an, suite } => {
            let sak = peer.sak(number, an, CipherSuite::ALL[suite]);
            peer.distribute(solo, sak);
        }
        Move::Report { number, an, tx, rx } => {
            let used = in_use(peer.key_id(number), an, tx, rx);
            peer.report(solo, Some(used), None);
        }
        Move::Restart(name) => (peer.member, peer.message) = (MemberId([name; 12]), 0),
        Move::Priority(priority) => peer.priority = priority,
        Move::Garble { kind, flags: (second, third), body } => {
            let mut greeting = peer.greeting(solo);
            greeting.others = vec![OtherSet { kind, flags: (second, third & 0xf0), body }];
            let frame = peer.seal(&greeting);
            solo.hear(&frame);
        }
        Move::Bend { at, with } => {
            let greeting = peer.greeting(solo);
            let mut frame = peer.seal(&greeting);
            let covered = frame.len() - 16;
            frame[18 + at.index(covered - 18)] = with;
            let icv = peer.keys.icv(&frame[..covered]);
            frame[covered..].copy_from_slice(&icv);
            solo.hear(&frame);
        }
        Move::Noise(octets) => solo.hear(&octets),
        Move::Pass(millis) => solo.pass(ms(millis)),
        Move::Rekey => {
            let now = solo.now;
            let _ = solo.kay.rekey(now);
            solo.drain();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    // `Solo` applies every action to a SecY and insists that none is refused.
    #[test]
    fn a_member_can_say_anything_and_an_honest_one_is_served_afterwards(script in proptest::collection::vec(moves(), 1..60)) {
        let mut params = params(0);
        params.suspension_limit = secs(0);
        let (mut solo, mut peer) = (Solo::with(params, vec![key(1)]), Puppet::new());
        for step in script {
            play(&mut solo, &mut peer, step);
            let status = solo.status();
            prop_assert!(status.participants[0].live.len() <= MAX_PEERS);
            prop_assert!(status.secured == solo.secy.next_pn().is_some());
            prop_assert!(solo.kay.poll_timeout().is_some_and(|due| due > solo.now));
            solo.actions.clear();
        }
        // Two life times of silence, then somebody honest.
        solo.pass(secs(12));
        prop_assert!(!solo.status().secured);
        prop_assert!(solo.secy.status().receive.is_empty() && solo.secy.status().transmit.sas.is_empty());
        let mut honest = Puppet { member: MemberId(*b"honest peer!"), sci: sci(2), ..Puppet::server() };
        let sak = honest.sak(1, 2, CipherSuite::GcmAesXpn256);
        honest.distribute(&mut solo, sak);
        prop_assert!(solo.status().secured);
    }
}

#[test]
fn more_members_than_there_may_be_are_refused_and_an_mkpdu_always_fits() {
    let mut params = params(0);
    params.icv_indicator = macsec::mka::IcvIndicator::Always;
    let mut solo = Solo::with(params, vec![key(1)]);
    for node in 0..60 {
        let mut member = Puppet {
            sci: sci(node + 1),
            member: MemberId([node as u8 + 1; 12]),
            version: 3,
            ..Puppet::new()
        };
        member.greet(&mut solo);
        let mut stranger =
            Puppet { sci: sci(node + 100), member: MemberId([node as u8 + 100; 12]), ..Puppet::new() };
        let hello = stranger.hello();
        solo.hear(&hello);
    }
    let status = solo.status();
    assert_eq!(status.participants[0].live.len(), MAX_PEERS);
    assert_eq!(status.participants[0].potential.len(), MAX_PEERS);
    let refused = status.counters.faults[&MkpduFault::TooManyPeers];
    assert_eq!(refused, 2 * (60 - MAX_PEERS as u64));
    let longest = solo.frames.iter().map(Vec::len).max().unwrap();
    assert!(longest + 4 + 52 <= MAX_FRAME && longest > 1100, "{longest}");
    assert_eq!(status.counters.unsent, 0);
}

// Anything at all that is no MKPDU: counted by its reason, and nothing else.
#[test]
fn frames_that_are_no_mkpdus_are_counted_by_reason() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::new());
    let good = peer.hello();
    let changed = |at: usize, with: u8| {
        let mut frame = good.clone();
        frame[at] = with;
        frame
    };
    for (frame, fault) in [
        (good[..10].to_vec(), MkpduFault::Short),
        (good[..good.len() - 1].to_vec(), MkpduFault::Short),
        (changed(12, 0x08), MkpduFault::NotMka),
        (changed(14, 2), MkpduFault::NotMka),
        (changed(15, 0), MkpduFault::NotMka),
        (changed(0, 0x02), MkpduFault::IndividualDestination),
        (changed(17, 28), MkpduFault::Length),
        (changed(17, 54), MkpduFault::Length),
        (changed(17, 0), MkpduFault::Length),
        (changed(21, 200), MkpduFault::Basic),
        (changed(50, 0x99), MkpduFault::UnknownCkn),
        (changed(49, 0x02), MkpduFault::Agility),
        (changed(30, 0x02), MkpduFault::Icv),
    ] {
        let before = solo.status().counters.faults.get(&fault).copied().unwrap_or(0);
        let total = |solo: &Solo| solo.status().counters.faults.values().sum::<u64>();
        let all = total(&solo);
        solo.hear(&frame);
        let after = solo.status().counters.faults.get(&fault).copied().unwrap_or(0);
        assert_eq!(
            (after - before, total(&solo) - all),
            (1, 1),
            "{fault:?}: {:?}",
            solo.status().counters.faults
        );
    }
    assert!(solo.status().participants[0].potential.is_empty());
    assert_eq!(MkpduFault::ALL.len(), 13);
}

// §9.4.2, §9.4.3: who is known, or knows us, is a member before any ICV is checked; who repeats itself or has another CKN is idle.
#[test]
fn what_an_mkpdu_is_worth_is_told_before_its_icv_is_checked() {
    let (mut solo, mut peer) = (Solo::new(), Puppet::new());
    let worth = |solo: &Solo, frame: &[u8]| solo.kay.standing(frame, solo.now);
    let hello = peer.hello();
    assert_eq!(worth(&solo, &hello), Standing::Stranger);
    let naming = peer.greeting(&solo);
    assert_eq!(worth(&solo, &peer.seal(&naming)), Standing::Member, "it names us");
    let mut wrong = naming;
    wrong.live.as_mut().unwrap().peers[0].message += 1;
    assert_eq!(worth(&solo, &peer.seal(&wrong)), Standing::Stranger, "a message that we have not sent");
    wrong.live.as_mut().unwrap().peers[0].member.0[11] ^= 1;
    assert_eq!(worth(&solo, &peer.seal(&wrong)), Standing::Stranger, "somebody else");
    solo.hear(&hello);
    assert_eq!(worth(&solo, &hello), Standing::Idle, "said before");
    let mut next = peer.hello();
    *next.last_mut().unwrap() ^= 1;
    assert_eq!(worth(&solo, &next), Standing::Member, "known, as far as can be told");
    let (mut other, ours) = (Puppet::with(&ckn(2), &cak(1)), solo.frames[0].clone());
    assert_eq!([worth(&solo, &other.hello()), worth(&solo, &ours)], [Standing::Idle; 2]);
    assert_eq!(worth(&solo, &hello[..40]), Standing::Idle);
    // What it was listed with is too old to prove anything after a life time, and it is forgotten after two.
    solo.pass(secs(20));
    assert_eq!(worth(&solo, &next), Standing::Stranger);
}
