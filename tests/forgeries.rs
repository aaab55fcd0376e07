//! Floods of MKPDUs by somebody who can send to a channel's port, by a spoofed source address of a tunnel for one, and does not
//! see what passes: the channel stays up, and comes up, and the work is bounded (IEEE 802.1X-2020 §9.4, `SECURITY.md`).

use core::time::Duration;

use dataplane::{ChannelId, DropReason, Event};
use macsec::{
    Cak, Sci,
    mka::{
        MacsecCapability, MemberId, MkaEvent, MkaStatus, MkpduFault,
        kdf::CakKeys,
        wire::{Basic, Mkpdu, PeerId, PeerList, frame},
    },
};
use net::{EtherType, MacAddr, PacketBuf};
use world::{
    Dice, Plan,
    Side::{self, Left, Right},
    World, key,
};

const SIDES: [Side; 2] = [Left, Right];

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What a forger makes up: addresses, SCI and CKN are right, nothing else is.
struct Forger {
    dice: Dice,
    /// For each side, as from the other.
    frames: [Vec<u8>; 2],
}

/// Where a member identifier and its message number stand in a frame.
const MEMBER: core::ops::Range<usize> = 30..42;

impl Forger {
    /// `more` octets of parameter sets that nobody knows make the frames longer.
    fn new(more: usize) -> Self {
        Self { dice: Dice::new(7), frames: SIDES.map(|side| forged(side.other(), more)) }
    }

    /// As a member that nobody has met, another each time.
    fn stranger(&mut self, to: Side) -> Vec<u8> {
        let mut frame = self.frames[usize::from(to == Right)].clone();
        for place in frame[MEMBER].chunks_mut(4) {
            place.copy_from_slice(&self.dice.below(1 << 32).to_be_bytes()[4..]);
        }
        frame
    }
}

/// An MKPDU of `from`, but for its member identifier and its CAK.
fn forged(from: Side, more: usize) -> Vec<u8> {
    let mut mkpdu = Mkpdu::new(Basic {
        version: 3,
        priority: 0x10,
        key_server: true,
        macsec_desired: true,
        capability: MacsecCapability::Offsets,
        sci: Sci::new(from.channel_mac(0), 1),
        member: MemberId([0xfe; 12]),
        message: 1,
        agility: Basic::AGILITY,
        ckn: key(1).ckn,
    });
    let invented = |number| PeerId { member: MemberId([number; 12]), message: 1 };
    let peers = (0..u8::try_from(more / 16).unwrap()).map(invented).collect::<Vec<_>>();
    mkpdu.live = (!peers.is_empty()).then_some(PeerList { server_ssci: 0, peers });
    let wrong = CakKeys::derive(&Cak::new(&[0x66; 32]).unwrap(), &key(1).ckn).unwrap();
    let addresses = (MacAddr::PAE_GROUP, from.channel_mac(0), EtherType::EAPOL);
    let mut out = PacketBuf::with_capacity(1600, 0);
    assert!(frame::seal(&mkpdu, &wrong, addresses, &mut out));
    out.to_vec()
}

fn plan() -> Plan {
    Plan { mka: Some(|_, _| {}), ..Plan::default() }
}

fn status(world: &mut World, side: Side) -> MkaStatus {
    let now = world.now;
    world.at(side).snapshot(now).channels[0].mka.clone().unwrap()
}

fn is_secured(world: &mut World) -> bool {
    SIDES.into_iter().all(|side| status(world, side).secured)
}

/// MKPDUs whose ICV was checked and wrong.
fn checked(world: &mut World, side: Side) -> u64 {
    status(world, side).counters.faults.get(&MkpduFault::Icv).copied().unwrap_or_default()
}

/// Every peer that was ever lost.
fn losses(world: &World) -> Vec<&Event> {
    let lost = |event: &&Event| {
        matches!(event, Event::Mka(ChannelId(0), MkaEvent::Lost(_) | MkaEvent::PeerDown { .. }))
    };
    world.told.iter().map(|(_, _, event)| event).filter(lost).collect()
}

#[test]
fn a_peer_is_heard_through_a_flood_from_its_own_address() {
    let mut world = World::of(plan());
    world.recording = true;
    world.run_until(secs(1), is_secured);
    world.recording = false;
    let told = world.wire[0].iter().filter(|frame| frame[12..14] == [0x88, 0x8e]);
    // What a member said before, its ICV altered: its identifier is right, and its number is old.
    let mut old: Vec<_> = told.cloned().collect();
    old.iter_mut().for_each(|frame| *frame.last_mut().unwrap() ^= 1);
    let mut forger = Forger::new(0);
    for milli in 0..30_000 {
        for side in SIDES {
            for number in 0..10 {
                let stranger = forger.stranger(side);
                world.forge(side, 0, stranger);
                world.forge(side, 0, old[(milli + number) % old.len()].clone());
            }
        }
        world.run(ms(1));
    }
    assert!(is_secured(&mut world));
    assert_eq!(losses(&world), Vec::<&Event>::new());
    for side in SIDES {
        assert!(world.drops(side, DropReason::MkaFlood) > 280_000, "what is old is not checked");
        assert!(checked(&mut world, side) >= 300_000, "what may be of anybody is, at this rate");
    }
}

#[test]
fn a_channel_comes_up_in_a_flood_that_was_there_before() {
    let mut world = World::of(plan());
    let mut forger = Forger::new(0);
    world.kill(Right);
    let mut flood = |world: &mut World, millis: u64| {
        for milli in 0..millis {
            for _ in 0..50 {
                for side in SIDES {
                    let stranger = forger.stranger(side);
                    world.forge(side, 0, stranger);
                }
            }
            world.run(ms(1));
            if is_secured(world) {
                return milli;
            }
        }
        millis
    };
    flood(&mut world, 500);
    world.restart(Right);
    let took = flood(&mut world, 2_000);
    assert!(took < 300, "not within 300 ms: {took}");
    let (took, _) = world.run_until(secs(1), is_secured);
    assert_eq!(took, ms(0));
}

// More than is ever checked, in long frames, and none of the peer's is ever the first of its millisecond: no stranger is heard.
// But the peer hears us, so it is none.
#[test]
fn a_peer_that_hears_us_needs_no_luck_however_large_the_flood() {
    let mut world = World::of(plan());
    let mut forger = Forger::new(1300);
    world.kill(Right);
    let mut flood = |world: &mut World, millis: u64| {
        for milli in 0..millis {
            for _ in 0..80 {
                let stranger = forger.stranger(Left);
                world.forge(Left, 0, stranger);
            }
            world.run(ms(1));
            if is_secured(world) {
                return milli;
            }
        }
        millis
    };
    flood(&mut world, 1_000);
    let checks = checked(&mut world, Left);
    assert!((15_000..18_500).contains(&checks), "100,000 shares of 256 octets: {checks}");
    assert!(world.drops(Left, DropReason::MkaFlood) > 60_000);
    world.restart(Right);
    let took = flood(&mut world, 3_000);
    assert!(took <= 2_100, "not with the next hello: {took}");
}

// §9.4.1: the CKN is sent in clear and says whose MKPDU it is. One that is not ours is no reason to check anything.
#[test]
fn a_flood_under_another_ckn_takes_nothing_from_strangers() {
    let mut world = World::of(plan());
    world.kill(Right);
    world.run(ms(10));
    let mut other = forged(Right, 0);
    other[50] ^= 1;
    for _ in 0..300 {
        (0..400).for_each(|_| world.forge(Left, 0, other.clone()));
        world.run(ms(1));
    }
    assert!(world.drops(Left, DropReason::MkaFlood) > 119_000);
    let faults = status(&mut world, Left).counters.faults;
    let unknown = faults.get(&MkpduFault::UnknownCkn).copied().unwrap_or_default();
    assert!((100..300).contains(&unknown) && !faults.contains_key(&MkpduFault::Icv), "{faults:?}");
    let diagnoses = status(&mut world, Left).diagnoses;
    assert!(diagnoses.iter().any(|found| found.code() == "unknown_ckn"), "{diagnoses:?}");
    world.restart(Right);
    for _ in 0..50 {
        (0..400).for_each(|_| world.forge(Left, 0, other.clone()));
        world.run(ms(1));
    }
    assert!(is_secured(&mut world));
}
