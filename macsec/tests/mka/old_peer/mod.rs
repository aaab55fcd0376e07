//! A peer of MKA version 1 as it is widely deployed (wpa_supplicant 2.10 and what derives from it), modelled by its observed
//! behaviour: it speaks every two seconds and at few other times, counts in whole seconds, believes only its last two message
//! numbers, drops a live peer's MKPDUs when SAK Use stays away, takes another member identifier when SAK Use comes too early,
//! holds off a restarted peer until the old one has expired, deletes all SAs when the key server changes, and forgets a rekey
//! request within six seconds of the last SAK.
//!
//! The real one is tested against in a virtual machine; this one is quicker, and every minute of it takes milliseconds.

mod model;

use macsec::{
    CipherSuite, RxVerdict,
    mka::{Kay, KayParams},
};
use net::{Instant, PacketBuf};

use self::model::OldPeer;
use crate::{
    puppet::Solo,
    world::{Dice, at, key, mac, ms, params},
};

/// A KaY of ours and an old peer, a millisecond apart, with traffic whenever both are secured.
struct Pair {
    ours: Solo,
    theirs: OldPeer,
    now: Instant,
    heard: usize,
    lost: u32,
    carried: u32,
}

/// Millisecond for millisecond.
impl Pair {
    fn new(our_priority: u8, seed: u64) -> Self {
        let now = at(1000);
        let ours = Solo::with(ours(our_priority), vec![key(1)]);
        Self { ours, theirs: OldPeer::new(32, now, seed), now, heard: 0, lost: 0, carried: 0 }
    }

    fn run(&mut self, millis: u64) {
        for _ in 0..millis {
            self.now = self.now.after(ms(1));
            for frame in core::mem::take(&mut self.theirs.out) {
                self.ours.kay.handle_mkpdu(&frame, self.now);
                self.ours.drain();
            }
            let sent: Vec<_> = self.ours.frames[self.heard..].to_vec();
            self.heard = self.ours.frames.len();
            self.ours.pass(self.now.since(self.ours.now));
            self.theirs.pass_to(self.now);
            for frame in &sent {
                self.theirs.handle(frame);
            }
            if (self.now.as_nanos() / 1_000_000).is_multiple_of(5) {
                self.traffic();
            }
        }
    }

    fn secured(&self) -> bool {
        self.ours.status().secured && self.theirs.port && !self.theirs.live.is_empty()
    }

    fn traffic(&mut self) {
        if !self.secured() {
            return;
        }
        self.carried += 2;
        for source in [mac(0), mac(1)] {
            let (ours, theirs) = (&mut self.ours.secy, &mut self.theirs.secy);
            let (from, to) = if source == mac(0) { (ours, theirs) } else { (theirs, ours) };
            let octets = [&[0xff; 6][..], &source.0, &[8, 0], &[0x5a; 60]].concat();
            let mut frame = PacketBuf::copy_of(&octets, 32, 32);
            let sent = from.protect(&mut frame).is_ok();
            self.lost += u32::from(!sent || !matches!(to.validate(&mut frame), RxVerdict::Deliver(_)));
        }
    }

    fn until_secured(&mut self, limit: u64) -> u64 {
        for millis in 0..limit {
            if self.secured() {
                return millis;
            }
            self.run(1);
        }
        panic!(
            "not in {limit} ms: {:?}\n{:?} {:?}",
            self.ours.status(),
            self.theirs.state,
            self.theirs.drops
        );
    }
}

fn ours(priority: u8) -> KayParams {
    KayParams { priority, ..params(0) }
}

#[test]
fn an_old_peer_is_secured_within_three_of_its_hellos_whoever_is_key_server() {
    for (priority, limit) in [(16, 1_500), (48, 5_000)] {
        for seed in 0..5 {
            let mut pair = Pair::new(priority, seed);
            let took = pair.until_secured(limit);
            pair.run(60_000);
            assert!(pair.secured(), "{priority} {seed}");
            assert_eq!(pair.ours.status().key_server.unwrap().ours, priority == 16);
            assert_eq!(pair.ours.status().key.unwrap().suite, CipherSuite::GcmAes128);
            assert!(pair.carried > 10_000 && pair.lost == 0, "{priority} {seed}: {} lost", pair.lost);
            assert_eq!((pair.theirs.resets, pair.theirs.drops.as_slice()), (0, &[][..]), "after {took} ms");
        }
    }
}

#[test]
fn our_rekeying_loses_no_frame_with_an_old_peer() {
    let mut pair = Pair::new(16, 1);
    pair.until_secured(1_500);
    for _ in 0..10 {
        pair.run(9_000);
        pair.ours.kay.rekey(pair.now);
        pair.ours.drain();
    }
    pair.run(9_000);
    assert_eq!(pair.ours.status().counters.rekeys, 11);
    assert!(pair.carried > 30_000 && pair.lost == 0, "{} lost", pair.lost);
    assert_eq!((pair.theirs.resets, pair.theirs.drops.as_slice()), (0, &[][..]));
}

#[test]
fn an_old_key_servers_rekeying_loses_no_frame() {
    let mut pair = Pair::new(48, 1);
    pair.until_secured(5_000);
    for _ in 0..10 {
        pair.run(9_000);
        pair.theirs.new_sak = true;
    }
    pair.run(9_000);
    assert_eq!(pair.ours.status().counters.rekeys, 11);
    assert!(pair.carried > 30_000 && pair.lost == 0, "{} lost", pair.lost);
    assert_eq!((pair.theirs.resets, pair.theirs.drops.as_slice()), (0, &[][..]));
}

#[test]
fn either_side_may_be_killed_and_come_back() {
    for priority in [16, 48] {
        let mut pair = Pair::new(priority, 3);
        pair.until_secured(5_000);
        pair.run(20_000);
        // It restarts: with its first hello the new one is there, and gets a SAK.
        pair.theirs = OldPeer::new(32, pair.now, 99);
        pair.run(20);
        let took = pair.until_secured(7_000);
        assert!(took <= 6_000, "{priority}: {took} ms");
        pair.run(20_000);
        assert!(pair.secured());
        // We restart: it holds off until the one before has expired, at its next ticks.
        let frames = core::mem::take(&mut pair.ours.frames);
        pair.ours = Solo::with(ours(priority), vec![key(1)]);
        pair.ours.now = pair.now;
        let mut fresh = Solo::with(ours(priority), vec![key(1)]);
        fresh.pass(pair.now.since(fresh.now));
        fresh.frames.clear();
        pair.ours = fresh;
        // Not the identifier of before.
        pair.ours.kay = Kay::new(ours(priority), Dice::new(1234).rng(), pair.now);
        pair.ours.kay.set_keys(vec![key(1)], pair.now);
        pair.heard = 0;
        drop(frames);
        pair.run(20);
        let took = pair.until_secured(20_000);
        assert!(took <= 16_000, "{priority}: {took} ms");
        let lost = pair.lost;
        pair.run(30_000);
        assert!(pair.secured() && pair.lost == lost, "{priority}");
    }
}
