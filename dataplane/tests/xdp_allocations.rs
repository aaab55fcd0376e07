//! AF_XDP ports allocate nothing per frame, however their frames leave: by a socket, in bulk, or in bulk together with another port's.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod namespace;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use dataplane::{
    Batch, Depot, Frame, Pool, PoolSizes,
    port::{
        Port as _, PortKind,
        af_xdp::{AfXdpPort, Options},
    },
};
use sys::{Bulk, Claim, CountingAllocator, XdpMode};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Frames of a batch, and rounds of batches.
const FRAMES: usize = 64;
const ROUNDS: usize = 120;

#[test]
fn ten_thousand_frames_cost_no_allocation() {
    namespace::in_new_namespace(cross);
}

fn cross() {
    for (near, far) in [("a1", "b1"), ("a2", "b2")] {
        ip(&format!("link add {near} type veth peer name {far}"));
        [near, far].iter().for_each(|name| ip(&format!("link set {name} up")));
    }
    let bulk = Bulk::new().unwrap();
    let mut near = ["a1", "a2"].map(|name| open(name, &bulk));
    let mut far = ["b1", "b2"].map(|name| open(name, &bulk));
    let mut pool = Pool::new(Depot::new(PoolSizes::default()));
    let mut batch = Batch::new();
    wait_for(|| {
        for port in near.iter_mut().chain(&mut far) {
            port.receive(&mut batch, &mut pool).unwrap();
        }
        near.iter().all(|port| port.kind() == PortKind::XdpBulk)
    });
    let (mut frames, mut came, mut sent, mut before) = (Vec::with_capacity(FRAMES), 0, 0, 0);
    for round in 0..ROUNDS {
        for port in &mut near {
            // Few leave by the socket, many in bulk, and every third round both ports' together.
            fill(&mut frames, &mut pool, if round % 3 == 0 { 5 } else { FRAMES });
            sent += frames.len();
            if round % 3 == 1 {
                assert!(port.gathers());
                port.gather(&mut frames, &mut pool);
            }
            port.send(&mut frames, &mut pool).unwrap();
        }
        near[0].send_gathered();
        // Before the next round, for the rings hold only so many. The kernel lets them arrive when it finds the time.
        wait_for(|| {
            for port in &mut far {
                while port.receive(&mut batch, &mut pool).unwrap() > 0 {
                    for frame in batch.drain(..) {
                        // The kernel at the other end has something to say now and then.
                        came += usize::from(frame.buf.starts_with(&[7; 12]));
                        pool.recycle(frame);
                    }
                }
            }
            came >= sent
        });
        // The first rounds fill the pool's stacks.
        if round == 5 {
            before = CountingAllocator::count();
        }
    }
    assert_eq!(CountingAllocator::count() - before, 0);
    assert_eq!(came, sent);
}

fn fill(frames: &mut Vec<Frame>, pool: &mut Pool, count: usize) {
    for number in 0..count {
        let mut buf = pool.small().unwrap();
        assert!(buf.extend_from_slice(&[7; 1400][..if number % 9 == 0 { 60 } else { 1400 }]));
        frames.push(Frame::new(buf));
    }
}

fn open(device: &str, bulk: &Bulk) -> AfXdpPort {
    let options = Options {
        device: device.to_owned(),
        claim: Claim::Everything,
        largest_frame: 1518,
        ring_octets: 2 << 20,
    };
    AfXdpPort::open_as(&options, XdpMode::Native, Some(bulk)).unwrap()
}

fn ip(words: &str) {
    assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "ip {words}");
}

#[expect(clippy::disallowed_methods, reason = "a test waits for the kernel")]
fn wait_for(mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(20), "it never came to be");
    }
}
