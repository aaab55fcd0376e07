//! Trains towards a LAN that outlive the batch they began in, as a gateway sees them that takes in what another one protected.

use net::Ethernet;

use dataplane::{Batch, Frame, PortCaps, PortId};
use world::{
    Plan,
    Side::{Left, Right},
    World, udp,
};

const CHANNEL: PortId = PortId(0);
/// Octets of data in each datagram.
const SIZE: usize = 1000;

/// Two gateways that know each other and their hosts; the one on the right keeps trains open.
fn world() -> World {
    let lan = PortCaps { offload: true, udp_segments: true, flows: false };
    let mut world = World::of(Plan { lan, ..Plan::default() });
    assert_eq!(world.send(Left, vec![udp(Left, Right.host(), 1, b"are you there")]).len(), 1);
    world.at(Right).keep_trains_open();
    world
}

/// So many datagrams of one flow cross, and arrive in one batch.
fn cross(world: &mut World, flow: u16, count: usize) {
    let (lan, now) = (world.lan(), world.now);
    let datagram = udp(Left, Right.host(), flow, &[7; SIZE]);
    let mut batch = Batch::new();
    for _ in 0..count {
        let mut buf = world.at(Left).pool().small().unwrap();
        assert!(buf.extend_from_slice(&datagram));
        // A checksum of zero is none, and such a datagram joins nothing.
        buf[40..42].copy_from_slice(&checksum(&datagram).to_be_bytes());
        batch.push(Frame::new(buf));
    }
    world.at(Left).handle_batch(lan, &mut batch, now);
    let frames: Vec<_> = world.at(Left).transmit(CHANNEL).unwrap().0.drain(..).collect();
    assert_eq!(frames.len(), count);
    let mut batch: Batch = frames.into_iter().collect();
    world.at(Right).handle_batch(CHANNEL, &mut batch, now);
}

/// RFC 768: over the pseudo header, the header and the data.
fn checksum(frame: &[u8]) -> u16 {
    let packet = &frame[Ethernet::LEN..];
    let (addresses, datagram) = (&packet[12..20], &packet[20..]);
    let length = u16::try_from(datagram.len()).unwrap().to_be_bytes();
    net::checksum::checksum(&[addresses, &[0, 17], &length, datagram].concat())
}

/// How many datagrams there are in each frame that is about to leave by the LAN on the right.
fn left(world: &mut World) -> Vec<usize> {
    let lan = world.lan();
    let (frames, pool) = world.at(Right).transmit(lan).unwrap();
    let counts = frames.iter().map(|frame| (frame.buf.len() - 42) / SIZE).collect();
    frames.drain(..).for_each(|frame| pool.recycle(frame));
    counts
}

#[test]
fn a_long_train_leaves_after_the_round_that_brought_nothing_for_it() {
    let mut world = world();
    let all = world.buffers();
    cross(&mut world, 5000, 20);
    assert!(left(&mut world).is_empty());
    assert!(!world.at(Right).close_idle_trains(), "it is new");
    cross(&mut world, 5000, 22);
    assert!(!world.at(Right).close_idle_trains(), "it grew");
    assert!(left(&mut world).is_empty());
    assert!(world.at(Right).close_idle_trains());
    assert_eq!(left(&mut world), [42]);
    assert!(!world.at(Right).close_idle_trains(), "nothing is left");
    assert_eq!((world.buffers(), world.all_drops(Right)), (all, 0));
}

#[test]
fn a_short_train_leaves_with_its_batch() {
    let mut world = world();
    cross(&mut world, 5000, 10);
    assert_eq!(left(&mut world), [10]);
    cross(&mut world, 5000, 1);
    assert_eq!(left(&mut world), [1]);
    assert!(!world.at(Right).close_trains());
}

#[test]
fn a_train_that_is_full_leaves_although_more_comes() {
    let mut world = world();
    for _ in 0..3 {
        cross(&mut world, 5000, 40);
    }
    assert_eq!(left(&mut world), [64], "as many as a train holds");
    assert!(world.at(Right).close_trains());
    assert_eq!(left(&mut world), [56]);
}

// What else the gateway does meanwhile neither loses it nor lets it go.
#[test]
fn trains_stay_through_other_verbs_and_all_leave_when_told_to() {
    let mut world = world();
    let all = world.buffers();
    for flow in [5000, 6000, 7000] {
        cross(&mut world, flow, 20);
    }
    let now = world.now;
    world.at(Right).handle_timeout(now);
    cross(&mut world, 8000, 3);
    assert_eq!(left(&mut world), [3]);
    assert!(world.at(Right).close_trains());
    let lan = world.lan();
    assert_eq!(
        core::iter::from_fn(|| world.at(Right).poll_transmit()).filter(|port| *port == lan).count(),
        1
    );
    assert_eq!(left(&mut world), [20; 3]);
    assert!(!world.at(Right).close_trains());
    assert_eq!(world.buffers(), all);
}

#[test]
fn without_being_told_so_no_train_outlives_its_batch() {
    let lan = PortCaps { offload: true, udp_segments: true, flows: false };
    let mut world = World::of(Plan { lan, ..Plan::default() });
    assert_eq!(world.send(Left, vec![udp(Left, Right.host(), 1, b"are you there")]).len(), 1);
    cross(&mut world, 5000, 20);
    assert_eq!(left(&mut world), [20]);
}
