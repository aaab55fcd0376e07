//! `duplicate` and `active-standby` seen from the hosts: numbered traffic both ways while channels die, seen or unseen.

use core::time::Duration;
use std::{collections::BTreeMap, sync::Arc};

use dataplane::{
    Batch, Board, ConnectionTables, Crossing, Dataplane, Depot, DropReason, Event, Frame, InterfaceId, Pool,
    PoolSizes, PortId, Protection, ProtectionSnapshot, Tables, TwiceSetup, WorkerId,
    frer::{HistoryLength, RecoveryParams},
    protection::{ClassParams, StandbyParams},
};
use macsec::ValidateFrames;
use net::Instant;
use world::{
    Plan,
    Side::{self, Left, Right},
    Tally, World, udp,
};

/// Preferences 100, 99, 98, ..
fn preferences(channels: u8) -> Vec<u32> {
    (0..u32::from(channels)).map(|at| 100 - at).collect()
}

fn duplicated(_: Side, channels: u8) -> Protection {
    Protection::Duplicate { recovery: RecoveryParams::default(), preferences: preferences(channels) }
}

fn standby(_: Side, channels: u8) -> Protection {
    let standby =
        StandbyParams { hold_down: Duration::from_secs(2), revert_delay: Some(Duration::from_secs(5)) };
    Protection::ActiveStandby { standby, preferences: preferences(channels) }
}

fn world(channels: u8, protection: fn(Side, u8) -> Protection) -> World {
    let mut world = World::of(Plan { channels, protection, ..Plan::default() });
    // Everybody meets everybody.
    world.pass(Duration::from_millis(1));
    for side in [Left, Right] {
        for port in 0..4 {
            world.send(side, vec![udp(side, side.other().host(), port, &[0xff; 8])]);
        }
    }
    world
}

/// Numbered traffic, and what became of it.
#[derive(Default)]
struct Traffic {
    next: u64,
    tally: Tally,
}

impl Traffic {
    /// One packet each way.
    fn step(&mut self, world: &mut World) {
        for side in [Left, Right] {
            let number = self.next;
            self.next += 1;
            let port = u16::try_from(number % 100).unwrap();
            let delivered =
                world.send(side, vec![udp(side, side.other().host(), port, &number.to_be_bytes())]);
            self.take(delivered);
        }
    }

    fn take(&mut self, delivered: Vec<(Side, Vec<u8>)>) {
        for (to, frame) in delivered {
            self.tally.take(to, &frame);
        }
    }

    fn lost(&self) -> u64 {
        self.tally.lost(self.next)
    }

    fn duplicated(&self) -> usize {
        self.tally.repeated()
    }
}

fn protection_of(world: &mut World, side: Side) -> ProtectionSnapshot {
    let now = world.now;
    world.at(side).snapshot(now).protections.first().copied().expect("the connection is protected")
}

/// Frames that went over each channel since the last look.
fn carried(world: &mut World) -> Vec<usize> {
    world.wire.iter_mut().map(|wire| std::mem::take(wire).len()).collect()
}

#[test]
fn duplicate_any_single_channel_dies_under_traffic_and_nothing_is_lost_or_repeated() {
    for victim in 0..4 {
        for seen in [false, true] {
            let (mut world, mut traffic) = (world(4, duplicated), Traffic::default());
            for step in 0..900 {
                match (step, seen) {
                    (300, true) => world.carrier(victim, false),
                    (600, true) => world.carrier(victim, true),
                    (300, false) => world.cut[usize::from(victim)] = true,
                    (600, false) => world.cut[usize::from(victim)] = false,
                    _ => {}
                }
                traffic.step(&mut world);
            }
            let result = (traffic.lost(), traffic.duplicated(), traffic.tally.reordered);
            assert_eq!(result, (0, 0, 0), "channel {victim}, seen: {seen}");
        }
    }
}

#[test]
fn duplicate_sends_each_frame_by_the_two_best_and_counts_by_the_standards_names() {
    let (mut world, mut traffic) = (world(4, duplicated), Traffic::default());
    carried(&mut world);
    let before = protection_of(&mut world, Right).redundancy.unwrap();
    (0..50).for_each(|_| traffic.step(&mut world));
    assert_eq!(carried(&mut world), [100, 100, 0, 0]);
    world.carrier(0, false);
    carried(&mut world);
    (0..50).for_each(|_| traffic.step(&mut world));
    let carried = carried(&mut world);
    // The third meets its neighbours first.
    assert!(carried[0] == 0 && carried[1] == 100 && carried[2] >= 100 && carried[3] == 0, "{carried:?}");
    let after = protection_of(&mut world, Right).redundancy.unwrap();
    assert_eq!(after.generated - before.generated, 100);
    let counted: BTreeMap<_, _> = after.recovery.named().into_iter().collect();
    let first: BTreeMap<_, _> = before.recovery.named().into_iter().collect();
    let more = |name: &str| counted[name] - first[name];
    assert_eq!(more("frerCpsSeqRcvyPassedPackets"), 100);
    assert_eq!(more("frerCpsSeqRcvyDiscardedPackets"), 100);
    assert_eq!(more("frerCpsSeqRcvyLostPackets") + more("frerCpsSeqRcvyRoguePackets"), 0);
    assert_eq!(world.drops(Right, DropReason::Duplicate), counted["frerCpsSeqRcvyDiscardedPackets"]);
}

#[test]
fn duplicate_a_tag_of_six_octets_is_on_the_wire_and_a_whole_mtu_passes() {
    let mut plain = world(2, |_, _| Protection::Ecmp);
    let mut twice = world(2, duplicated);
    let packet = udp(Left, Right.host(), 1, &[7; 1400 - 28]);
    for world in [&mut plain, &mut twice] {
        carried(world);
        let got = world.send(Left, vec![packet.clone()]);
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].1.len(), packet.len(), "nobody behind the gateways sees a tag");
    }
    let len = |world: &World| world.wire.iter().flatten().map(Vec::len).max().unwrap();
    assert_eq!(len(&twice), len(&plain) + 6);
    let copies = twice.wire.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(copies, [1, 1]);
    assert_ne!(twice.wire[0], twice.wire[1], "each channel has its own keys");
}

#[test]
fn duplicate_packets_that_must_be_cut_leave_in_pieces_twice() {
    let mut world = world(2, duplicated);
    carried(&mut world);
    let mut packet = udp(Left, Right.host(), 1, &[7; 1440]);
    // May be fragmented: DF is not set in what hosts send here, unless it says so.
    packet[20] &= !0x40;
    let header = &mut packet[14..34];
    header[10..12].fill(0);
    let sum = net::checksum::checksum(header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    let got = world.send(Left, vec![packet]);
    assert_eq!(got.len(), 2, "two fragments, once each");
    assert_eq!(carried(&mut world), [2, 2]);
}

#[test]
fn duplicate_random_failures_that_leave_a_path_lose_and_repeat_nothing() {
    for seed in 1..80_u64 {
        let (mut world, mut traffic) = (world(4, duplicated), Traffic::default());
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut below = |limit: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % limit
        };
        let mut up = [true; 4];
        for _ in 0..60 {
            let channel = usize::try_from(below(4)).unwrap();
            match below(3) {
                // At most one is dead unseen, and another one lives.
                0 if up[channel] && up.iter().filter(|up| **up).count() > 1 => {
                    let unseen = below(2) == 0 && (0..4).all(|at| world.cut[at] != up[at]);
                    if unseen {
                        let second = (0..4).filter(|&at| up[at]).nth(1);
                        world.cut[channel] = second.is_some();
                    } else if (0..4).all(|at| world.cut[at] != up[at]) {
                        up[channel] = false;
                        world.carrier(u8::try_from(channel).unwrap(), false);
                    }
                }
                1 => {
                    up[channel] = true;
                    world.carrier(u8::try_from(channel).unwrap(), true);
                }
                _ => {
                    world.pass(Duration::from_millis(below(30)));
                }
            }
            (0..below(12)).for_each(|_| traffic.step(&mut world));
        }
        let result = (traffic.lost(), traffic.duplicated());
        assert_eq!(result, (0, 0), "seed {seed}: {} sent", traffic.next);
    }
}

/// A history so short, and a timeout so long, that only the loss of every path makes the far end forget.
fn forgetful(_: Side, channels: u8) -> Protection {
    let recovery = RecoveryParams {
        history_length: HistoryLength::MIN,
        reset: Duration::from_secs(3600),
        ..RecoveryParams::default()
    };
    Protection::Duplicate { recovery, preferences: preferences(channels) }
}

#[test]
fn duplicate_a_far_end_that_was_dead_may_count_from_zero_again() {
    let plan = Plan { channels: 2, mka: Some(|_, _| {}), protection: forgetful, ..Plan::default() };
    let mut world = World::of(plan);
    world.run(Duration::from_secs(10));
    let mut traffic = Traffic::default();
    (0..300).for_each(|_| traffic.step(&mut world));
    assert!(traffic.lost() < 10, "the hosts met");
    world.kill(Right);
    world.run(Duration::from_secs(30));
    world.restart(Right);
    world.run(Duration::from_secs(10));
    assert!(protection_of(&mut world, Left).redundancy.unwrap().recovery.passed > 290);
    (0..3).for_each(|_| traffic.step(&mut world));
    let (before, rogue) = (traffic.lost(), world.drops(Left, DropReason::RogueSequence));
    (0..100).for_each(|_| traffic.step(&mut world));
    assert_eq!((traffic.lost() - before, traffic.duplicated()), (0, 0));
    assert_eq!((world.drops(Left, DropReason::RogueSequence), rogue), (0, 0));
}

#[test]
fn duplicate_towards_a_gateway_that_does_not_is_told_apart() {
    let mut world = world(2, |side, channels| match side {
        Left => duplicated(side, channels),
        Right => Protection::Ecmp,
    });
    let before = world.drops(Right, DropReason::UnexpectedRedundancyTag);
    assert!(world.send(Left, vec![udp(Left, Right.host(), 1, &[0; 8])]).is_empty());
    assert_eq!(world.drops(Right, DropReason::UnexpectedRedundancyTag), before + 2);
    // What has no number is taken.
    assert_eq!(world.send(Right, vec![udp(Right, Left.host(), 1, &[0; 8])]).len(), 1);
}

#[test]
fn duplicate_latent_errors_are_told() {
    let (mut world, mut traffic) = (world(2, duplicated), Traffic::default());
    world.cut[1] = true;
    let mut told = vec![];
    for _ in 0..6 {
        (0..200).for_each(|_| traffic.step(&mut world));
        world.pass(Duration::from_secs(1));
        while let Some(event) = world.at(Right).poll_event() {
            told.extend(matches!(event, Event::RedundancyLost(_, true)).then_some(event));
        }
    }
    assert_eq!((told.len(), traffic.lost()), (1, 0));
    assert!(protection_of(&mut world, Right).redundancy.unwrap().latent_error);
}

#[test]
fn active_standby_moves_in_one_batch_and_goes_back_after_the_delay() {
    let (mut world, mut traffic) = (world(3, standby), Traffic::default());
    let active = |world: &mut World| protection_of(world, Left).active;
    carried(&mut world);
    (0..100).for_each(|_| traffic.step(&mut world));
    assert_eq!((carried(&mut world), active(&mut world)), (vec![200, 0, 0], Some(InterfaceId(0))));
    world.carrier(0, false);
    (0..100).for_each(|_| traffic.step(&mut world));
    let moved = carried(&mut world);
    assert!(moved[0] == 0 && moved[1] >= 200 && moved[2] < 10, "{moved:?}");
    assert_eq!(active(&mut world), Some(InterfaceId(1)));
    world.carrier(0, true);
    world.pass(Duration::from_millis(4900));
    (0..100).for_each(|_| traffic.step(&mut world));
    assert_eq!(active(&mut world), Some(InterfaceId(1)), "the revert delay is not over");
    world.pass(Duration::from_millis(200));
    carried(&mut world);
    (0..100).for_each(|_| traffic.step(&mut world));
    assert_eq!((carried(&mut world)[0], active(&mut world)), (200, Some(InterfaceId(0))));
    assert_eq!((traffic.lost(), traffic.duplicated(), traffic.tally.reordered), (0, 0, 0));
}

#[test]
fn active_standby_a_link_that_flaps_twenty_times_a_second_moves_traffic_once() {
    let (mut world, mut traffic) = (world(2, standby), Traffic::default());
    while world.at(Left).poll_event().is_some() {}
    let mut moves = 0;
    for step in 0..1200 {
        world.carrier(0, step % 2 == 1);
        world.pass(Duration::from_millis(25));
        traffic.step(&mut world);
        while let Some(event) = world.at(Left).poll_event() {
            moves += u32::from(matches!(event, Event::ActiveMoved { .. }));
        }
    }
    assert_eq!((moves, traffic.lost(), traffic.duplicated()), (1, 0, 0));
}

/// Two gateways of two workers each: worker `n` owns channel `n`, both serve the LAN. In clear: MACsec has its own tests.
struct Workers {
    gateways: [[Dataplane; 2]; 2],
    /// Crossings of each kind that were seen.
    twice: usize,
    recovered: usize,
}

impl Workers {
    fn new(protection: fn(Side, u8) -> Protection, twice: fn(Side, u8) -> Option<TwiceSetup>) -> Self {
        let plan = Plan { channels: 2, protection, twice, keys: false, ..Plan::default() };
        let depot = Depot::new(PoolSizes { small_count: 4096, ..plan.buffers });
        let side = |side| {
            let mut setup = world::setup(side, &plan);
            setup.workers = 2;
            for (at, channel) in (0..).zip(&mut setup.channels) {
                channel.owner = WorkerId(at);
                channel.secy.protect_frames = false;
                channel.secy.validate = ValidateFrames::Disabled;
                setup.ports[usize::from(at)].owner = Some(WorkerId(at));
            }
            setup.ports[2].owner = None;
            let (setup, board) = (Arc::new(setup), Board::new(setup_len()));
            [0, 1].map(|at| {
                let pool = Pool::new(depot.clone());
                let mut worker = Dataplane::new(WorkerId(at), setup.clone(), board.clone(), pool, 1).unwrap();
                let routes = ConnectionTables::build(world::routes(side, 2, &setup));
                let _before = worker
                    .set_tables(Arc::new(Tables { generation: 1, connections: vec![Arc::new(routes)] }));
                worker.set_port_fault(PortId(at), None, Instant::ZERO);
                worker
            })
        };
        Self { gateways: [Left, Right].map(side), twice: 0, recovered: 0 }
    }

    /// A frame comes in by a port of one worker; what the LANs get in the end. Hosts answer ARP to both workers.
    fn inject(&mut self, side: Side, worker: usize, port: u16, octets: &[u8]) -> Vec<(Side, Vec<u8>)> {
        let one = &mut self.gateways[usize::from(side == Right)][worker];
        let mut frame = Frame::new(one.pool().for_len(octets.len()).unwrap());
        assert!(frame.buf.extend_from_slice(octets));
        let mut batch = Batch::new();
        batch.push(frame);
        one.handle_batch(PortId(port), &mut batch, Instant::ZERO);
        let mut delivered = vec![];
        while let Some((side, worker, port, octets)) = self.next() {
            match (port, world::arp_reply(side, &octets)) {
                (2, Some(reply)) => delivered.extend(self.inject(side, worker, 2, &reply)),
                (2, None) => delivered.push((side, octets)),
                _ => delivered.extend(self.inject(side.other(), usize::from(port), port, &octets)),
            }
        }
        delivered
    }

    /// Moves crossings; the next frame that leaves by a port.
    fn next(&mut self) -> Option<(Side, usize, u16, Vec<u8>)> {
        for side in [Left, Right] {
            for worker in [0, 1, 0, 1] {
                let both = &mut self.gateways[usize::from(side == Right)];
                both[worker].handle_timeout(Instant::ZERO);
                let (crossings, _) = both[worker].crossings();
                let mut moved: Vec<_> = crossings.drain(..).map(|(_, crossing)| crossing).collect();
                let is_twice = |one: &&Crossing| matches!(one, Crossing::Twice { .. });
                let is_recover = |one: &&Crossing| matches!(one, Crossing::Recover { .. });
                self.twice += moved.iter().filter(is_twice).count();
                self.recovered += moved.iter().filter(is_recover).count();
                both[1 - worker].handle_crossings(&mut moved, Instant::ZERO);
            }
            for (worker, port) in [(0, 0), (1, 1), (0, 2), (1, 2)] {
                let one = &mut self.gateways[usize::from(side == Right)][worker];
                let (frames, pool) = one.transmit(PortId(port)).unwrap();
                if !frames.is_empty() {
                    let frame = frames.remove(0);
                    let octets = frame.buf.to_vec();
                    pool.recycle(frame);
                    return Some((side, worker, port, octets));
                }
            }
        }
        None
    }
}

/// Interfaces of each gateway: two attachments and a LAN.
const fn setup_len() -> usize {
    3
}

#[test]
fn duplicate_whatever_worker_a_frame_comes_to_one_numbers_and_one_recovers() {
    fn all(_: Side, _: u8) -> Option<TwiceSetup> {
        let (classes, recovery) = (vec![ClassParams::default()], RecoveryParams::default());
        Some(TwiceSetup { classes, recovery, preferences: vec![] })
    }
    one_numbers_and_one_recovers(Workers::new(duplicated, |_, _| None));
    one_numbers_and_one_recovers(Workers::new(|_, _| Protection::Ecmp, all));
}

fn one_numbers_and_one_recovers(mut workers: Workers) {
    let mut traffic = Traffic::default();
    for step in 0..400_usize {
        for side in [Left, Right] {
            let number = u64::try_from(step).unwrap() * 2 + u64::from(side == Right);
            let packet = udp(side, side.other().host(), 7, &number.to_be_bytes());
            let delivered = workers.inject(side, step / 2 % 2, 2, &packet);
            if step >= 4 {
                traffic.take(delivered);
            }
        }
    }
    assert_eq!((traffic.tally.came.len(), traffic.duplicated(), traffic.tally.reordered), (792, 0, 0));
    // Worker 1 hands over what it got from the LAN, and each copy that came by its channel.
    assert!(workers.twice > 390 && workers.recovered > 790, "{} {}", workers.twice, workers.recovered);
    let owner = workers.gateways[1][0].snapshot(Instant::ZERO).protections;
    let other = workers.gateways[1][1].snapshot(Instant::ZERO).protections;
    assert_eq!((owner.len(), other.len()), (1, 0));
}
