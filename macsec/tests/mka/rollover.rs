//! Rollovers under traffic, counted frame by frame: SAKs on demand, by the clock, by packet numbers; CAKs by adding and
//! removing, by start time, by fallback.

use macsec::{
    An,
    mka::{KeyEntry, KeyStart, MkaEvent, RekeyAnswer, RekeyWhy, SAK_RETIRE, SuspendAnswer},
};

use crate::world::{World, at, ckn, key, ms, params, sci, secs};

/// `count` nodes that carry traffic, a frame from each every 2 ms.
pub(crate) fn busy(count: usize) -> World {
    let mut world = World::of(count);
    world.settle(secs(2));
    world.run(secs(7));
    world.start_traffic(ms(2));
    world.run(ms(100));
    world
}

/// Nothing was lost so far, and so many frames came through.
pub(crate) fn assert_lossless(world: &mut World, carried_at_least: u64) {
    world.stop_traffic();
    world.run(ms(50));
    assert!(world.losses.is_empty(), "seed {}: {:?}\n{}", world.seed, world.losses, world.describe());
    assert!(world.carried >= carried_at_least, "{}", world.carried);
    assert_eq!(world.refusals, Vec::<String>::new());
}

fn made(world: &World, node: usize, why: RekeyWhy) -> usize {
    let events = world.nodes[node].events.iter();
    events.filter(|(_, event)| matches!(event, MkaEvent::SakMade { why: w, .. } if *w == why)).count()
}

/// How many rolls; `QUADSPAN_ROLLS=1000` for more.
fn rolls(default: usize) -> usize {
    std::env::var("QUADSPAN_ROLLS").map_or(default, |text| text.parse().unwrap())
}

#[test]
fn a_hundred_sak_rolls_lose_no_frame() {
    let mut world = busy(2);
    let count = rolls(100);
    for roll in 0..count {
        let before = world.status(1).key.unwrap();
        assert_eq!(world.tell(0, macsec::mka::Kay::rekey), RekeyAnswer::Started, "{roll}");
        world.run(SAK_RETIRE + ms(500));
        let after = world.status(1).key.unwrap();
        assert_eq!(after.an, before.an.next());
        assert!(after.key_id != before.key_id && world.agreed(), "{}", world.describe());
    }
    assert_eq!(made(&world, 0, RekeyWhy::Requested), count);
    assert_lossless(&mut world, count as u64 * 3_000);
}

#[test]
fn sak_rolls_in_a_group_lose_no_frame_even_when_mkpdus_do_not_arrive() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        for node in 0..3 {
            world.add(params(node), vec![key(1)]);
        }
        world.settle(secs(2));
        world.run(secs(7));
        world.weather.loss = 20;
        world.weather.delay = (ms(0), ms(40));
        world.start_traffic(ms(5));
        for _ in 0..5 {
            world.tell(0, macsec::mka::Kay::rekey);
            world.run(secs(8));
        }
        world.weather.loss = 0;
        world.run(secs(8));
        assert!(world.agreed(), "seed {seed}\n{}", world.describe());
        assert_lossless(&mut world, 40_000);
    }
}

// Only the key server makes SAKs; the member says who that is.
#[test]
fn a_member_sends_whoever_asks_to_the_key_server() {
    let mut world = World::of(2);
    assert_eq!(world.tell(0, macsec::mka::Kay::rekey), RekeyAnswer::NoPeer);
    world.settle(secs(1));
    assert_eq!(world.tell(1, macsec::mka::Kay::rekey), RekeyAnswer::NotKeyServer(sci(0)));
}

// Trap 14, and what others get wrong: a request within six seconds of the last SAK is kept, and one at a time.
#[test]
fn rekeying_asked_for_during_a_rollover_follows_it() {
    let mut world = busy(2);
    assert_eq!(world.tell(0, macsec::mka::Kay::rekey), RekeyAnswer::Started);
    let first = world.status(0).next_key.or_else(|| world.status(0).key).unwrap().key_id;
    for _ in 0..5 {
        assert_eq!(world.tell(0, macsec::mka::Kay::rekey), RekeyAnswer::Queued);
        world.run(ms(100));
    }
    assert_eq!(made(&world, 0, RekeyWhy::Requested), 1, "never two at once");
    world.run(secs(5));
    assert_eq!(made(&world, 0, RekeyWhy::Requested), 2, "never forgotten");
    assert_eq!(world.status(1).key.unwrap().key_id.number(), first.number() + 1);
    world.run(secs(20));
    assert_eq!(made(&world, 0, RekeyWhy::Requested), 2, "five requests that wait are one");
    assert_lossless(&mut world, 10_000);
}

#[test]
fn the_clock_rekeys() {
    let mut world = World::with(2, |_, params| params.rekey = Some(secs(60)));
    world.settle(secs(1));
    world.start_traffic(ms(20));
    world.run(secs(601));
    assert_eq!(made(&world, 0, RekeyWhy::Timer), 10);
    assert_lossless(&mut world, 50_000);
}

// Trap 20, and the XPN threshold that others never reach: whoever runs out first, the key server hears of it.
#[test]
fn packet_numbers_that_run_out_bring_a_fresh_sak() {
    for suite in macsec::CipherSuite::ALL {
        for node in 0..2 {
            let mut world = World::with(2, |_, params| params.suites = vec![suite]);
            world.settle(secs(1));
            world.run(secs(7));
            let before = world.status(0).key.unwrap();
            world.nodes[node].secy.raise_next_pn(before.an, suite.pending_exhaustion_pn() - 1).unwrap();
            world.run(secs(5));
            assert_eq!(made(&world, 0, RekeyWhy::PacketNumbers), 0);
            world.nodes[node].secy.raise_next_pn(before.an, suite.pending_exhaustion_pn()).unwrap();
            world.start_traffic(ms(10));
            world.run(secs(10));
            assert_eq!(made(&world, 0, RekeyWhy::PacketNumbers), 1, "{suite} {node}");
            assert_ne!(world.status(1).key.unwrap().key_id, before.key_id);
            assert_lossless(&mut world, 1_000);
        }
    }
}

// §9.18: what a suspension is for is that traffic goes on, and without packet numbers it does not. Whoever runs out, whether
// MKPDUs pass meanwhile or not: the old key is used until all have the new one.
#[test]
fn packet_numbers_that_run_out_while_mka_is_suspended_bring_a_fresh_sak_and_no_loss() {
    for (node, silent) in [(0, false), (1, false), (0, true)] {
        let mut world = World::with(2, |_, params| params.suites = vec![macsec::CipherSuite::GcmAes128]);
        world.settle(secs(1));
        world.run(secs(7));
        world.start_traffic(ms(10));
        let before = world.status(0).key.unwrap();
        assert_eq!(world.tell(0, |kay, now| kay.suspend(secs(60), now)), SuspendAnswer::Started);
        world.run(secs(1));
        if silent {
            world.cut.extend([(0, 1), (1, 0)]);
        }
        let limit = macsec::CipherSuite::GcmAes128.pending_exhaustion_pn();
        world.nodes[node].secy.raise_next_pn(before.an, limit).unwrap();
        world.run(secs(40));
        assert!(world.status(1).suspended.is_some(), "it goes on");
        assert_eq!(made(&world, 0, RekeyWhy::PacketNumbers), 1, "{node} {silent}");
        let waits = [0, 1].map(|node| world.status(node).key.unwrap().key_id == before.key_id);
        assert_eq!(waits, [silent; 2]);
        world.cut.clear();
        world.run(secs(10));
        assert!(world.agreed() && world.status(1).key.unwrap().key_id != before.key_id);
        assert_lossless(&mut world, 9_000);
    }
}

// Trap 20: without a fresh SAK nothing is sent any more.
#[test]
fn used_up_packet_numbers_stop_traffic() {
    let mut world = World::with(2, |_, params| params.suites = vec![macsec::CipherSuite::GcmAes128]);
    world.settle(secs(1));
    world.run(secs(7));
    world.cut.extend([(0, 1), (1, 0)]);
    let an = world.status(0).key.unwrap().an;
    world.nodes[1].secy.raise_next_pn(an, u64::from(u32::MAX)).unwrap();
    let mut frame = net::PacketBuf::copy_of(&[0; 60], 32, 32);
    world.nodes[1].secy.protect(&mut frame).unwrap();
    let mut frame = net::PacketBuf::copy_of(&[0; 60], 32, 32);
    assert!(world.nodes[1].secy.protect(&mut frame).is_err());
}

// The key of before the restart is never used again, and it is quick: issue's "forwarding again in under 1 s".
#[test]
fn a_restarted_end_is_back_within_a_second_with_a_fresh_sak() {
    for (victim, gap) in [(0, 0), (1, 0), (0, 200), (1, 200), (0, 3_000), (1, 3_000), (0, 8_000), (1, 8_000)]
    {
        let mut world = busy(2);
        let before = world.status(1 - victim).key.unwrap().key_id;
        world.kill(victim);
        world.run(ms(gap));
        world.restart(victim);
        let took = world.settle(secs(1));
        assert!(took < ms(300), "{victim} {gap}: {took:?}");
        world.run(ms(20));
        assert_ne!(world.status(0).key.unwrap().key_id, before);
        world.losses.clear();
        world.run(secs(10));
        assert_lossless(&mut world, 1);
    }
}

#[test]
fn restarts_in_quick_succession_are_survived() {
    let mut world = busy(2);
    for round in 0..20 {
        world.kill(round % 2);
        world.run(ms(37));
        world.restart(round % 2);
        let took = world.settle(secs(1));
        assert!(took < ms(500), "{round}: {took:?}");
    }
    world.run(secs(10));
    world.losses.clear();
    world.run(secs(10));
    assert_lossless(&mut world, 1);
}

/// Rolls the CAK as an operator does: the new one on one side, on the other, then the old one off both.
fn roll_cak(world: &mut World, old: u8, new: u8, order: [usize; 2], pause: u64) {
    for node in order {
        world.set_keys(node, vec![key(new), key(old)]);
        world.run(ms(pause));
    }
    world.run(secs(1));
    for node in order {
        world.set_keys(node, vec![key(new)]);
        world.run(ms(pause));
    }
}

#[test]
fn cak_rolls_lose_no_frame_whoever_begins_and_however_fast() {
    for order in [[0, 1], [1, 0]] {
        for pause in [0, 30, 700, 5_000, 9_000] {
            let mut world = busy(2);
            world.start_traffic(ms(5));
            for roll in 0..4 {
                let (old, new) = (1 + roll % 2, 2 - roll % 2);
                roll_cak(&mut world, old, new, order, pause);
                world.run(secs(1));
                for node in 0..2 {
                    assert_eq!(world.status(node).principal, Some(ckn(new)), "{order:?} {pause} {roll}");
                    assert_eq!(world.status(node).key.unwrap().ckn, ckn(new), "{order:?} {pause} {roll}");
                }
                world.run(secs(6));
            }
            assert!(world.nodes.iter().all(|node| node.secured));
            assert_lossless(&mut world, 5_000);
        }
    }
}

#[test]
fn many_cak_rolls_in_a_row_lose_no_frame() {
    let mut world = busy(2);
    let count = rolls(10);
    for roll in 0..count {
        let (old, new) = (1 + (roll % 2) as u8, 2 - (roll % 2) as u8);
        roll_cak(&mut world, old, new, [roll / 2 % 2, 1 - roll / 2 % 2], 400);
        world.run(secs(4));
        assert_eq!(world.status(1).key.unwrap().ckn, ckn(new));
    }
    assert_eq!(made(&world, 0, RekeyWhy::CakChanged), count);
    assert_lossless(&mut world, count as u64 * 5_000);
}

// The old key goes at one side before the other has the new one: only what comes after is lost, and it recovers.
#[test]
fn a_cak_that_is_missing_on_one_side_is_no_loss_as_long_as_another_is_shared() {
    let mut world = World::new(7);
    world.add(params(0), vec![key(1), key(2)]);
    world.add(params(1), vec![key(1), key(2)]);
    world.settle(secs(1));
    world.run(secs(7));
    world.start_traffic(ms(2));
    // The member forgets the principal key; the key server finds out by silence alone.
    world.set_keys(1, vec![key(2)]);
    world.run(secs(20));
    assert!(world.agreed(), "{}", world.describe());
    assert_eq!(world.status(0).principal, Some(ckn(2)));
    assert_lossless(&mut world, 10_000);
}

fn starting(name: u8, millis: u64) -> KeyEntry {
    KeyEntry { start: KeyStart::At(at(millis)), ..key(name) }
}

#[test]
fn a_key_chain_rolls_by_the_clock_and_clocks_may_differ() {
    for skew in [0, 40, 900, 4_000, 30_000] {
        let mut world = World::new(skew);
        world.add(params(0), vec![key(1), starting(2, 20_000), starting(3, 60_000)]);
        world.add(params(1), vec![key(1), starting(2, 20_000 + skew), starting(3, 60_000 + skew)]);
        world.settle(secs(1));
        world.run(secs(7));
        world.start_traffic(ms(5));
        world.run(secs(5));
        assert_eq!(world.status(0).waiting.len(), 2);
        world.run(ms(10_000 + skew));
        assert_eq!(world.status(1).principal, Some(ckn(2)), "{skew}");
        world.run(secs(50));
        assert_eq!(world.status(1).key.unwrap().ckn, ckn(3), "{skew}");
        assert_lossless(&mut world, 20_000);
    }
}

#[test]
fn keys_that_end_are_replaced_before_without_loss() {
    let mut world = World::new(5);
    for node in 0..2 {
        let first = KeyEntry { end: Some(at(40_000)), ..key(1) };
        world.add(params(node), vec![first, starting(2, 30_000)]);
    }
    world.settle(secs(1));
    world.start_traffic(ms(2));
    world.run(secs(60));
    assert_eq!(world.status(0).participants.len(), 1);
    assert_eq!(world.status(0).principal, Some(ckn(2)));
    assert_lossless(&mut world, 50_000);
}

#[test]
fn the_last_key_that_ends_closes_the_channel() {
    let mut world = World::new(5);
    for node in 0..2 {
        world.add(params(node), vec![KeyEntry { end: Some(at(10_000)), ..key(1) }]);
    }
    world.settle(secs(1));
    world.run(secs(12));
    assert!(world.nodes.iter().all(|node| !node.secured && node.secy.status().transmit.sas.is_empty()));
    assert_eq!(world.status(0).diagnoses[0].code(), "no_key_started");
}

fn fallback(name: u8) -> KeyEntry {
    KeyEntry { fallback: true, ..key(name) }
}

#[test]
fn a_fallback_key_carries_on_without_loss_and_hands_back() {
    let mut world = World::new(9);
    for node in 0..2 {
        world.add(params(node), vec![fallback(9), key(1)]);
    }
    world.settle(secs(1));
    world.run(secs(7));
    world.start_traffic(ms(2));
    assert_eq!(world.status(0).principal, Some(ckn(1)));
    // One side changes its primary key: they do not match any more, but the fallback does.
    world.set_keys(0, vec![fallback(9), key(2)]);
    world.run(secs(20));
    for node in 0..2 {
        assert_eq!(world.status(node).principal, Some(ckn(9)));
        assert!(world.status(node).participants.iter().any(|p| p.fallback && p.principal));
    }
    // The other side follows.
    world.set_keys(1, vec![fallback(9), key(2)]);
    world.run(secs(20));
    assert_eq!(world.status(1).principal, Some(ckn(2)));
    assert_lossless(&mut world, 20_000);
}

// Nobody is cut off by a key that not everybody has yet.
#[test]
fn a_group_moves_to_a_new_cak_when_the_last_one_has_it() {
    let mut world = World::new(4);
    for node in 0..3 {
        world.add(params(node), vec![key(1)]);
    }
    world.settle(secs(2));
    world.run(secs(7));
    world.start_traffic(ms(5));
    for node in 0..3 {
        assert_eq!(world.status(0).principal, Some(ckn(1)), "{node}");
        world.set_keys(node, vec![key(2), key(1)]);
        world.run(secs(10));
    }
    for node in 0..3 {
        assert_eq!(world.status(node).principal, Some(ckn(2)));
        world.set_keys(node, vec![key(2)]);
        world.run(secs(3));
    }
    world.run(secs(10));
    assert_lossless(&mut world, 20_000);
}

// A new SAK always takes an association number that nobody uses.
#[test]
fn association_numbers_go_round() {
    let mut world = busy(2);
    let mut seen = Vec::new();
    for _ in 0..8 {
        world.tell(0, macsec::mka::Kay::rekey);
        world.run(secs(4));
        seen.push(world.status(0).key.unwrap().an);
    }
    let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!(distinct.len(), An::ALL.len());
    assert_lossless(&mut world, 10_000);
}
