//! A process that hands over to its successor: the same member goes on, and nobody else notices.

use macsec::{
    Sci, SecY, SecyNumbers, SecyPolicy,
    mka::{Kay, LostWhy, MkaEvent, RekeyAnswer, SAK_RETIRE},
};
use net::carry::{Carry as _, Opened, Parcel};

use crate::rollover::{assert_lossless, busy};
use crate::world::{Dice, at, key, ms, sci, secs};

// 802.1X-2020 §9.4.2: identifier and message numbers go on, so to its peers it is the participant that it was.
#[test]
fn peers_notice_nothing_of_a_handover_and_no_frame_is_lost_and_no_packet_number_used_twice() {
    for node in 0..3 {
        let mut world = busy(3);
        let (key, members): (_, Vec<_>) =
            (world.status(node).key, (0..3).map(|at| world.status(at).participants[0].member).collect());
        let told: Vec<_> = world.nodes.iter().map(|one| one.events.len()).collect();
        for _ in 0..10 {
            world.hand_over(node);
            world.run(ms(700));
        }
        assert_eq!(world.status(node).key.map(|key| key.key_id), key.map(|key| key.key_id));
        for (at, member) in members.iter().enumerate() {
            assert_eq!(world.status(at).participants[0].member, *member);
            assert_eq!(&world.nodes[at].events[told[at]..], &[], "nothing to tell, nobody came or went");
        }
        // And it is no ghost: it hears, it is heard, and SAKs are made as before.
        world.run(secs(13));
        assert_eq!(world.tell(0, Kay::rekey), RekeyAnswer::Started);
        world.run(SAK_RETIRE + ms(500));
        assert!(world.agreed(), "{}", world.describe());
        assert_lossless(&mut world, 30_000);
    }
}

// At whatever step of a rollover: each of the two ends, one after the other, both, again and again.
#[test]
fn a_handover_in_the_middle_of_a_rollover_loses_no_frame() {
    for seed in 0..120 {
        let mut dice = Dice::new(seed);
        let mut world = busy(2);
        world.seed = seed;
        for _ in 0..4 {
            world.tell(0, Kay::rekey);
            for _ in 0..dice.below(4) {
                world.run(ms([0, 1, 2, 21, 500, 3_001][dice.below(6) as usize]));
                world.hand_over(dice.below(2) as usize);
            }
            world.run(SAK_RETIRE + ms(500));
        }
        assert!(world.agreed(), "seed {seed}\n{}", world.describe());
        let lost = |event: &MkaEvent| matches!(event, MkaEvent::Lost(_) | MkaEvent::PeerDown { .. });
        for node in &world.nodes {
            assert_eq!(node.events.iter().filter(|(_, event)| lost(event)).count(), 0, "seed {seed}");
        }
        assert_lossless(&mut world, 10_000);
    }
}

#[test]
fn a_handover_that_takes_another_key_chain_drops_what_came_by_the_key_that_is_gone() {
    let mut world = busy(2);
    world.nodes[1].keys = vec![key(2)];
    world.hand_over(1);
    let lost = |(_, event): &(_, MkaEvent)| matches!(event, MkaEvent::Lost(LostWhy::NoPeer));
    assert!(world.nodes[1].events.iter().any(lost), "{}", world.describe());
    world.stop_traffic();
    world.set_keys(0, vec![key(2)]);
    world.settle(secs(8));
    world.ping();
}

/// What node 0 of two leaves.
fn left() -> (Parcel, SecyNumbers) {
    let world = busy(2);
    let numbers = world.nodes[0].secy.numbers();
    let mut kept = Parcel::new();
    world.nodes[0].kay.pack(&mut kept);
    (kept, numbers)
}

fn resume(octets: &[u8], numbers: &SecyNumbers, own: Sci) -> bool {
    let mut secy = SecY::new(SecyPolicy::new(own), at(0)).unwrap();
    let settings = macsec::mka::KayParams::new(own);
    let left = (&mut Opened::new(octets), numbers);
    Kay::resume(settings, Dice::new(2).rng(), vec![key(1)], left, &mut secy, at(20_000)).is_some()
}

#[test]
fn what_was_cut_spoilt_or_left_by_another_sci_is_refused_and_nothing_panics() {
    let (kept, numbers) = left();
    let whole = kept.as_octets();
    assert!(resume(whole, &numbers, sci(0)));
    assert!(!resume(whole, &numbers, sci(1)), "it would use another one's packet numbers");
    for cut in 0..whole.len() {
        assert!(!resume(&whole[..cut], &numbers, sci(0)), "{cut}");
    }
    for at in 0..whole.len() {
        let mut spoilt = whole.to_vec();
        spoilt[at] ^= 0xff;
        // Something, or nothing.
        let _resumed = resume(&spoilt, &numbers, sci(0));
    }
    // Keys without their packet numbers: those of a SecY that never had them.
    let none = SecY::new(SecyPolicy::new(sci(0)), at(0)).unwrap().numbers();
    assert!(!resume(whole, &none, sci(0)), "under which packet numbers?");
    let mut parcel = Parcel::new();
    none.pack(&mut parcel);
    assert!(SecyNumbers::unpack(&mut Opened::new(parcel.as_octets())).is_some());
}
