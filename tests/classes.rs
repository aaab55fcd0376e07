//! Classes that are duplicated on a connection that is not, seen from the hosts.
//!
//! Left's and Right's host send numbered datagrams both ways, in turn expedited (EF) and best effort. Of what is expedited nothing may be
//! lost, repeated or overtaken by its like; for the rest the connection's own protection is all there is.

use core::time::Duration;

use dataplane::{
    DropReason, Event, InterfaceId, Protection, RedundancySnapshot, TwiceSetup,
    frer::RecoveryParams,
    protection::{ClassParams, StandbyParams},
};
use net::{Dscp, checksum::checksum};
use world::{
    Plan,
    Side::{self, Left, Right},
    Tally, World, udp,
};

const EF: Dscp = Dscp::new(46).unwrap();

/// Two classes: EF and CS6 to anywhere, and whatever goes to the far host's 10.x.0.200.
fn classes(_: Side, channels: u8) -> Option<TwiceSetup> {
    let voice = ClassParams { dscp: vec![EF, Dscp::CS6], ..ClassParams::default() };
    let to = ["10.1.0.200/32", "10.2.0.200/32"].map(|net| net.parse().unwrap());
    let pager = ClassParams { destinations: to.to_vec(), ..ClassParams::default() };
    Some(TwiceSetup {
        classes: vec![voice, pager],
        recovery: RecoveryParams::default(),
        preferences: vec![100; usize::from(channels)],
    })
}

fn world(plan: Plan) -> World {
    let mut world = World::of(plan);
    world.pass(Duration::from_millis(1));
    for side in [Left, Right] {
        for port in 0..64 {
            world.send(side, vec![udp(side, side.other().host(), port, &[0xff; 8])]);
            world.send(side, vec![marked(side, port, EF, 0, u64::MAX)]);
        }
    }
    world
}

/// A numbered datagram to the other side's host, with this DSCP and ECN.
fn marked(side: Side, port: u16, dscp: Dscp, ecn: u8, number: u64) -> Vec<u8> {
    let mut frame = udp(side, side.other().host(), port, &number.to_be_bytes());
    frame[15] = dscp.octet() | ecn;
    frame[24..26].fill(0);
    let sum = checksum(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// The datagrams of one kind.
#[derive(Default)]
struct Kind {
    sent: u64,
    tally: Tally,
}

impl Kind {
    fn lost(&self) -> u64 {
        self.tally.lost(self.sent)
    }

    fn faults(&self) -> (u64, usize, u32) {
        (self.lost(), self.tally.repeated(), self.tally.reordered)
    }
}

/// Of both kinds, expedited ones first.
#[derive(Default)]
struct Traffic([Kind; 2]);

impl Traffic {
    /// One of each kind each way, all in one flow for each port.
    fn step(&mut self, world: &mut World) {
        let delivered: Vec<_> =
            self.packets().into_iter().flat_map(|(side, one)| world.send(side, vec![one])).collect();
        self.take(delivered);
    }

    /// The packets of one step.
    fn packets(&mut self) -> Vec<(Side, Vec<u8>)> {
        let mut packets = vec![];
        for side in [Left, Right] {
            for (kind, dscp) in self.0.iter_mut().zip([EF, Dscp::BEST_EFFORT]) {
                let port = u16::try_from(kind.sent / 2 % 60).unwrap();
                packets.push((side, marked(side, port, dscp, 0, kind.sent)));
                kind.sent += 1;
            }
        }
        packets
    }

    fn take(&mut self, delivered: Vec<(Side, Vec<u8>)>) {
        for (to, frame) in delivered {
            self.0[usize::from(Dscp::of_octet(frame[15]) != EF)].tally.take(to, &frame);
        }
    }

    const fn expedited(&self) -> &Kind {
        &self.0[0]
    }

    const fn others(&self) -> &Kind {
        &self.0[1]
    }
}

fn redundancy(world: &mut World, side: Side) -> RedundancySnapshot {
    let now = world.now;
    let all = world.at(side).snapshot(now).protections;
    all.first().and_then(|one| one.redundancy).expect("something is duplicated")
}

fn carried(world: &mut World) -> Vec<usize> {
    world.wire.iter_mut().map(|wire| std::mem::take(wire).len()).collect()
}

fn standby(_: Side, channels: u8) -> Protection {
    Protection::ActiveStandby {
        standby: StandbyParams { hold_down: Duration::from_secs(2), revert_delay: None },
        preferences: (0..u32::from(channels)).map(|at| 100 - at).collect(),
    }
}

fn ecmp() -> Plan {
    Plan { channels: 2, twice: classes, ..Plan::default() }
}

#[test]
fn one_of_two_channels_is_a_black_hole_and_of_the_class_nothing_is_lost_or_repeated() {
    for victim in 0..2 {
        let (mut world, mut traffic) = (world(ecmp()), Traffic::default());
        for step in 0..600 {
            world.cut[victim] = (200..400).contains(&step);
            traffic.step(&mut world);
        }
        assert_eq!(traffic.expedited().faults(), (0, 0, 0), "channel {victim}");
        // Of the others those flows were lost that took the channel, and no other: about half.
        let others = traffic.others();
        assert!((100..300).contains(&others.lost()) && others.tally.repeated() == 0, "{}", others.lost());
        let seen = redundancy(&mut world, Right);
        assert_eq!(seen.by_class.unwrap()[..3], [seen.generated, 0, 0]);
        assert!(seen.generated >= 600 && seen.recovery.passed >= 600 && seen.recovery.rogue == 0);
    }
}

#[test]
fn with_active_standby_the_class_takes_two_ways_and_the_rest_one() {
    let plan = Plan { channels: 3, protection: standby, ..ecmp() };
    let (mut world, mut traffic) = (world(plan), Traffic::default());
    carried(&mut world);
    (0..50).for_each(|_| traffic.step(&mut world));
    // 50 expedited each way on the first two by the order of the file; 50 others on the active one.
    assert_eq!(carried(&mut world), [200, 100, 0]);
    world.carrier(0, false);
    (0..50).for_each(|_| traffic.step(&mut world));
    let moved = carried(&mut world);
    assert!(moved[0] == 0 && moved[1] >= 200 && moved[2] >= 100, "{moved:?}");
    let now = world.now;
    let guard = world.at(Left).snapshot(now).protections[0];
    assert_eq!(guard.active, Some(InterfaceId(1)));
    assert_eq!((traffic.expedited().faults(), traffic.others().faults()), ((0, 0, 0), (0, 0, 0)));
}

#[test]
fn a_prefix_is_a_class_too_and_the_first_class_that_fits_counts() {
    let mut world = world(ecmp());
    let before = redundancy(&mut world, Left).by_class.unwrap();
    let far = "10.2.0.200".parse().unwrap();
    let to_pager = |dscp: Dscp| {
        let mut frame = udp(Left, far, 1, &[0; 8]);
        frame[15] = dscp.octet();
        frame[24..26].fill(0);
        let sum = checksum(&frame[14..34]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        frame
    };
    carried(&mut world);
    world.send(Left, vec![to_pager(Dscp::BEST_EFFORT), to_pager(EF)]);
    world.send(Left, vec![udp(Left, Right.host(), 1, &[0; 8])]);
    assert_eq!(carried(&mut world).iter().sum::<usize>(), 2 + 2 + 1);
    let after = redundancy(&mut world, Left).by_class.unwrap();
    assert_eq!([after[0] - before[0], after[1] - before[1]], [1, 1]);
}

#[test]
fn a_packet_of_the_class_with_one_way_left_goes_alone_with_its_number() {
    let (mut world, mut traffic) = (world(ecmp()), Traffic::default());
    world.carrier(1, false);
    carried(&mut world);
    (0..20).for_each(|_| traffic.step(&mut world));
    assert_eq!(carried(&mut world), [80, 0]);
    world.carrier(1, true);
    (0..20).for_each(|_| traffic.step(&mut world));
    assert_eq!((traffic.expedited().faults(), traffic.others().lost()), ((0, 0, 0), 0));
}

/// What the far end must be: anything that removes copies, whatever its own classes are.
#[test]
fn the_far_end_removes_copies_when_it_duplicates_anything_itself() {
    fn only_right(side: Side, channels: u8) -> Protection {
        let preferences = vec![100; usize::from(channels)];
        match side {
            Left => Protection::Ecmp,
            Right => Protection::Duplicate { recovery: RecoveryParams::default(), preferences },
        }
    }
    fn others(side: Side, channels: u8) -> Option<TwiceSetup> {
        let setup = classes(side, channels)?;
        let other = ClassParams { dscp: vec![Dscp::new(1)?], ..ClassParams::default() };
        Some(match side {
            Left => setup,
            Right => TwiceSetup { classes: vec![other], ..setup },
        })
    }
    fn left_only(side: Side, channels: u8) -> Option<TwiceSetup> {
        classes(side, channels).filter(|_| side == Left)
    }
    for plan in
        [Plan { protection: only_right, twice: left_only, ..ecmp() }, Plan { twice: others, ..ecmp() }]
    {
        let (mut world, mut traffic) = (world(plan), Traffic::default());
        (0..100).for_each(|_| traffic.step(&mut world));
        assert_eq!((traffic.expedited().faults(), traffic.others().faults()), ((0, 0, 0), (0, 0, 0)));
        assert_eq!(world.drops(Left, DropReason::UnexpectedRedundancyTag), 0);
    }
    let (mut world, mut traffic) = (world(Plan { twice: left_only, ..ecmp() }), Traffic::default());
    let before = world.drops(Right, DropReason::UnexpectedRedundancyTag);
    (0..100).for_each(|_| traffic.step(&mut world));
    // Right's own expedited datagrams are single ones; Left's are lost at a far end that knows nothing of this, and it says why.
    assert_eq!((traffic.expedited().lost(), traffic.others().lost()), (100, 0));
    assert_eq!(world.drops(Right, DropReason::UnexpectedRedundancyTag) - before, 200);
}

/// The promise of `dataplane::protection`: order among packets of classes, and among the others of a flow; none between them.
#[test]
fn ways_of_different_length_reorder_a_class_against_the_rest_and_neither_in_itself() {
    let mut overtakes = 0;
    for flow in 1_u16..6 {
        let (mut world, mut traffic) = (world(ecmp()), Traffic::default());
        world.lanes[1].iter_mut().for_each(|lane| lane.more = Duration::from_millis(7));
        let mut delivered = vec![];
        for _ in 0..200 {
            // All of one flow, EF and not.
            for (side, mut frame) in traffic.packets() {
                frame[34..36].copy_from_slice(&flow.to_be_bytes());
                world.offer(side, [frame]);
            }
            delivered.extend(world.run(Duration::from_millis(1)));
        }
        delivered.extend(world.run(Duration::from_millis(50)));
        for one in delivered.into_iter().filter(|(_, frame)| frame.len() == 50 && frame[42] != 0xff) {
            let number = u64::from_be_bytes(*one.1[42..].first_chunk().unwrap());
            let is_ahead = Dscp::of_octet(one.1[15]) == EF && number >= 4;
            overtakes += u32::from(is_ahead && !traffic.others().tally.came.contains_key(&(number - 4)));
            traffic.take(vec![one]);
        }
        let faults = (traffic.expedited().faults(), traffic.others().faults());
        assert_eq!(faults, ((0, 0, 0), (0, 0, 0)), "flow {flow}");
    }
    assert!(overtakes > 0, "some flow takes the longer way");
}

#[test]
fn copies_that_stop_coming_are_told_for_a_class_too() {
    let (mut world, mut traffic) = (world(ecmp()), Traffic::default());
    world.cut[1] = true;
    let mut told = 0;
    for _ in 0..6 {
        (0..200).for_each(|_| traffic.step(&mut world));
        world.pass(Duration::from_secs(1));
        while let Some(event) = world.at(Right).poll_event() {
            told += u32::from(matches!(event, Event::RedundancyLost(_, true)));
        }
    }
    assert_eq!((told, traffic.expedited().lost()), (1, 0));
    assert!(redundancy(&mut world, Right).latent_error);
}

#[test]
fn a_successor_goes_on_with_the_numbers_of_classes_and_with_the_choice() {
    for protection in [(|_, _| Protection::Ecmp) as fn(Side, u8) -> Protection, standby] {
        let plan = Plan { protection, ..ecmp() };
        let (mut before, mut traffic) = (world(plan), Traffic::default());
        (0..20).for_each(|_| traffic.step(&mut before));
        let left = |world: &mut World, side| {
            let mut parcel = net::carry::Parcel::new();
            assert!(world.at(side).leave_connection(dataplane::ConnectionId(0), &mut parcel));
            parcel.as_octets().to_vec()
        };
        let mut after = World::of(plan);
        for side in [Left, Right] {
            let parcel = left(&mut before, side);
            after.at(side).resume_connection(dataplane::ConnectionId(0), &parcel);
            assert_eq!(left(&mut after, side), parcel, "nothing of it is forgotten");
        }
    }
}

/// RFC 2474 §3 and RFC 3168 §5 for routers in between: neither of the octet's parts changes on the way, in either family.
#[test]
fn dscp_and_ecn_of_routed_packets_survive_the_channel() {
    for twice in [(|_, _| None) as fn(Side, u8) -> Option<TwiceSetup>, classes] {
        let mut world = world(Plan { twice, ..ecmp() });
        for number in 0..64 {
            for ecn in 0..4 {
                let dscp = Dscp::new(number).unwrap();
                let sent = marked(Left, u16::from(number), dscp, ecn, 7);
                let got = world.send(Left, vec![sent.clone()]);
                assert_eq!(got.len(), 1, "{dscp}");
                let (frame, header) = (&got[0].1, &got[0].1[14..34]);
                assert_eq!((frame[15], checksum(header)), (dscp.octet() | ecn, 0), "{dscp} {ecn}");
                assert_eq!(frame[34..], sent[34..]);
            }
        }
    }
}
