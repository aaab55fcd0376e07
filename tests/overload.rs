//! More frames than a gateway can carry, in virtual time: what it says itself, and what is said to it, gets through.
//!
//! Left sends twice what Right can take. Right's port is a ring of bounded length; Right has so much work in it per millisecond, a frame
//! that is forwarded costs eight times as much as one that is validated and dropped. The loop over the ring is the worker's.

use core::time::Duration;
use std::collections::VecDeque;

use dataplane::{
    BATCH, Backlog, Batch, DropReason, Event, Frame, PortId, Pressure,
    bfd::{BfdEvent, BfdMode, BfdState, BfdTimers},
};
use macsec::mka::MkaEvent;
use world::{
    Plan,
    Side::{self, Left, Right},
    World, udp,
};

const RING: usize = 256;
/// What Right can do in a millisecond, and what a frame costs that is forwarded; one that is dropped early costs 1.
const WORK: usize = 400;
const FORWARD: usize = 8;
/// How long it lasts: more than ten detection times.
const MILLIS: u64 = 2000;
const CHANNEL: PortId = PortId(0);

/// Right's side of the channel.
#[derive(Default)]
struct Ring {
    frames: VecDeque<Vec<u8>>,
    lost: u64,
    relieved: bool,
    backlog: Backlog,
}

impl Ring {
    fn pressure(&self) -> Pressure {
        match self.frames.len() * 8 / RING {
            0..4 => Pressure::None,
            4..7 => Pressure::High,
            _ => Pressure::Severe,
        }
    }

    fn push(&mut self, frame: Vec<u8>) {
        if self.frames.len() < RING {
            self.frames.push_back(frame);
        } else {
            self.lost += 1;
        }
    }
}

fn world() -> World {
    let bfd = |_: Side| {
        let interval = Duration::from_millis(50);
        Some((BfdTimers::new(interval, interval, 3).unwrap(), BfdMode::Follow))
    };
    let mut world = World::of(Plan { mka: Some(|_, _| {}), bfd, ..Plan::default() });
    let up = |world: &mut World| {
        let now = world.now;
        let sessions = world.at(Right).snapshot(now).interfaces.into_iter().flat_map(|one| one.bfd);
        sessions.map(|one| one.state).filter(|state| *state == BfdState::Up).count() == 2
    };
    world.run_until(Duration::from_secs(20), up);
    // Hosts meet.
    world.offer(Left, [udp(Left, Right.host(), 1, b"hello")]);
    assert_eq!(world.run(Duration::from_millis(100)).len(), 1);
    world
}

/// What a gateway wants to send by a port.
fn sent(world: &mut World, side: Side, port: PortId) -> Vec<Vec<u8>> {
    let Some((frames, pool)) = world.at(side).transmit(port) else { return vec![] };
    let take = |frame: Frame| {
        let octets = frame.buf.to_vec();
        pool.recycle(frame);
        octets
    };
    frames.drain(..).map(take).collect()
}

fn batch(world: &mut World, side: Side, frames: impl IntoIterator<Item = Vec<u8>>) -> Batch {
    let buffer = |octets: Vec<u8>| {
        let mut buf = world.at(side).pool().for_len(octets.len()).unwrap();
        assert!(buf.extend_from_slice(&octets));
        Frame::new(buf)
    };
    frames.into_iter().map(buffer).collect()
}

/// A millisecond of Right: its timers, then the ring for as long as there is time. Frames that it delivered.
fn right(world: &mut World, ring: &mut Ring) -> usize {
    let (now, lan) = (world.now, world.lan());
    let (mut left, mut delivered) = (WORK, 0);
    world.at(Right).handle_timeout(now);
    while left > 0 && !ring.frames.is_empty() {
        let pressure = ring.backlog.judge(ring.pressure(), RING, now);
        if ring.relieved && pressure > Pressure::None {
            let looked: Vec<_> = ring.frames.drain(..left.min(BATCH).min(ring.frames.len())).collect();
            left -= looked.len();
            let wanted = world.at(Right).intake(CHANNEL).unwrap().0.clone();
            let kept: Vec<_> =
                looked.into_iter().filter(|frame| wanted.has(pressure, frame, frame.len())).collect();
            let mut kept = batch(world, Right, kept);
            world.at(Right).handle_pressed(CHANNEL, &mut kept, now);
        } else {
            let count = left.div_ceil(FORWARD).min(BATCH).min(ring.frames.len());
            left = left.saturating_sub(count * FORWARD);
            ring.backlog.took(count);
            let frames: Vec<_> = ring.frames.drain(..count).collect();
            let mut frames = batch(world, Right, frames);
            world.at(Right).handle_batch(CHANNEL, &mut frames, now);
        }
        delivered += sent(world, Right, lan).len();
    }
    delivered
}

/// So many datagrams from Left's host, onto the wire.
fn offer(world: &mut World, ring: &mut Ring, count: usize, octets: usize) {
    let (now, lan) = (world.now, world.lan());
    for at in (0..count).step_by(BATCH) {
        let flow = |at: usize| udp(Left, Right.host(), u16::try_from(at).unwrap(), &vec![7; octets]);
        let offered: Vec<_> = (at..count.min(at + BATCH)).map(flow).collect();
        let mut offered = batch(world, Left, offered);
        world.at(Left).handle_batch(lan, &mut offered, now);
        sent(world, Left, CHANNEL).into_iter().for_each(|frame| ring.push(frame));
    }
}

/// Twice Right's capacity for so many milliseconds; what was told of sessions that were lost, and how many frames came through.
fn flood(world: &mut World, ring: &mut Ring, millis: u64, octets: usize) -> (Vec<Event>, usize) {
    let (mut told, mut delivered) = (vec![], 0);
    for _ in 0..millis {
        world.now = world.now.after(Duration::from_millis(1));
        let now = world.now;
        for half in 0..2 {
            if half == 1 {
                // What Left has to say itself comes when the ring is as full as it gets.
                world.at(Left).handle_timeout(now);
            }
            offer(world, ring, WORK / FORWARD, octets);
        }
        delivered += right(world, ring);
        let back = sent(world, Right, CHANNEL);
        let mut back = batch(world, Left, back);
        world.at(Left).handle_batch(CHANNEL, &mut back, now);
        for side in [Left, Right] {
            while let Some(event) = world.at(side).poll_event() {
                let lost = matches!(
                    event,
                    Event::Bfd(_, _, BfdEvent::Down { .. })
                        | Event::Mka(_, MkaEvent::PeerDown { .. } | MkaEvent::Lost(_))
                );
                told.extend(lost.then_some(event));
            }
        }
    }
    (told, delivered)
}

#[test]
fn sessions_outlive_twice_the_load_and_traffic_goes_on() {
    for octets in [18, 1300] {
        let (mut world, mut ring) = (world(), Ring { relieved: true, ..Ring::default() });
        let (told, delivered) = flood(&mut world, &mut ring, MILLIS, octets);
        // Until it is seen to be no backlog that passes: what comes beyond what is taken in that time.
        assert_eq!(told, [], "{octets}");
        assert!(ring.lost <= 2 * RING as u64, "{octets}: {}", ring.lost);
        let capacity = usize::try_from(MILLIS).unwrap() * WORK / FORWARD;
        assert!(delivered * 2 > capacity, "{delivered} of {capacity}");
        let dropped = world.drops(Right, DropReason::Overload);
        assert!(dropped > 0 || octets > 256, "long ones are dropped unseen: {dropped}");
    }
}

/// A worker that did not look for a while, as at a planned restart, finds full rings. It can carry all that waits there, and does.
#[test]
fn after_a_pause_nothing_is_given_up_that_can_be_carried() {
    let (mut world, mut ring) = (world(), Ring { relieved: true, ..Ring::default() });
    let each = WORK / FORWARD / 2;
    // Soon enough for BFD, which nobody speaks here.
    for pause in 1..=5 {
        let mut delivered = 0;
        offer(&mut world, &mut ring, RING - each, 18);
        for _ in 0..20 {
            world.now = world.now.after(Duration::from_millis(1));
            offer(&mut world, &mut ring, each, 18);
            delivered += right(&mut world, &mut ring);
        }
        let offered = RING - each + 20 * each;
        let dropped = world.drops(Right, DropReason::Overload);
        assert_eq!((delivered, ring.lost, dropped), (offered, 0, 0), "pause {pause}");
    }
}

/// What the first test is worth: a ring that is left to run full takes the sessions with it.
#[test]
fn a_ring_that_runs_full_takes_sessions_with_it() {
    let (mut world, mut ring) = (world(), Ring::default());
    let (told, _) = flood(&mut world, &mut ring, MILLIS, 18);
    assert!(!told.is_empty() && ring.lost > 0);
}
