//! A million frames, LAN to channel to LAN, and not one allocation: with static keys, with MKA's, and each frame twice, of the whole connection or of a
//! class.

use core::time::Duration;

use dataplane::{
    BATCH, Batch, Frame, PortId, Protection, TwiceSetup, frer::RecoveryParams, protection::ClassParams,
};
use sys::CountingAllocator;
use world::{
    Plan,
    Side::{Left, Right},
    World, udp,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

// One test, as the allocator counts for the whole process.
#[test]
fn forwarding_a_million_frames_allocates_nothing_whoever_agreed_on_the_keys() {
    a_million_frames(World::routed(4));
    let mut agreed = World::of(Plan { channels: 4, mka: Some(|_, _| {}), ..Plan::default() });
    agreed.run(Duration::from_secs(10));
    a_million_frames(agreed);
    let protection = |_, channels| Protection::Duplicate {
        recovery: RecoveryParams::default(),
        preferences: vec![100; usize::from(channels)],
    };
    a_million_frames(World::of(Plan { channels: 4, protection, ..Plan::default() }));
    let twice = |_, channels| {
        let to = ClassParams { destinations: vec!["10.2.0.0/16".parse().ok()?], ..ClassParams::default() };
        Some(TwiceSetup {
            classes: vec![to],
            recovery: RecoveryParams::default(),
            preferences: vec![100; usize::from(channels)],
        })
    };
    many_frames(World::of(Plan { channels: 4, twice, ..Plan::default() }), 250_000);
}

fn a_million_frames(world: World) {
    many_frames(world, 1_000_000);
}

fn many_frames(mut world: World, frames: usize) {
    // Everybody meets everybody first.
    for port in 0..64 {
        assert_eq!(world.send(Left, vec![udp(Left, Right.host(), port, b"hello")]).len(), 1);
    }
    let templates: Vec<_> =
        (0..64u16).map(|port| udp(Left, Right.host(), port, &[port.to_le_bytes()[0]; 256])).collect();
    let (lan, now) = (world.lan(), world.now);
    let mut delivered = 0;
    let before = CountingAllocator::count();
    for _ in 0..frames / BATCH + 1 {
        let mut batch = Batch::new();
        for template in &templates {
            let mut buf = world.at(Left).pool().small().expect("buffers come back");
            assert!(buf.extend_from_slice(template));
            batch.push(Frame::new(buf));
        }
        world.at(Left).handle_batch(lan, &mut batch, now);
        for channel in 0..4 {
            cross(&mut world, PortId(channel));
        }
        let (frames, pool) = world.at(Right).transmit(lan).expect("the LAN port is there");
        for frame in frames.drain(..) {
            delivered += 1;
            pool.recycle(frame);
        }
    }
    assert_eq!(CountingAllocator::count() - before, 0, "allocations");
    assert!(delivered >= frames, "{delivered} frames came through");
}

/// Moves what Left sends by `port` to Right.
fn cross(world: &mut World, port: PortId) {
    let now = world.now;
    let [left, right] = &mut world.gateways;
    let (frames, _) = left.transmit(port).expect("the port is there");
    let mut frames = frames.drain(..).peekable();
    while frames.peek().is_some() {
        let mut batch: Batch = frames.by_ref().take(BATCH).collect();
        right.handle_batch(port, &mut batch, now);
    }
}
