//! A tunnel's port allocates nothing per frame, in either direction.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod namespace;

use std::process::Command;

use dataplane::{
    Batch, Depot, Frame, Pool, PoolSizes,
    port::{
        Port as _,
        udp::{Options, UdpPort},
    },
    underlay::{Marking, Tunnel, Vni},
};
use net::Dscp;
use sys::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn ten_thousand_frames_cost_no_allocation() {
    namespace::in_new_namespace(cross);
}

fn cross() {
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    let mut pool = Pool::new(Depot::new(PoolSizes::default()));
    let (mut here, mut there) = (open("127.0.0.1", "127.0.0.2"), open("127.0.0.2", "127.0.0.1"));
    let (mut frames, mut batch, mut came) = (Vec::with_capacity(64), Batch::new(), 0);
    // The first round fills the pool's stacks.
    let mut before = 0;
    for round in 0..160_u16 {
        for number in 0..64_usize {
            let mut buf = pool.small().unwrap();
            assert!(buf.extend_from_slice(&[7; 1400][..if number % 9 == 0 { 60 } else { 1400 }]));
            let dscp = Dscp::new(if number % 7 == 0 { 46 } else { 0 }).unwrap();
            frames.push(Frame { flow: round, dscp, ..Frame::new(buf) });
        }
        here.send(&mut frames, &mut pool).unwrap();
        while there.receive(&mut batch, &mut pool).unwrap() > 0 {
            came += batch.len();
            batch.drain(..).for_each(|frame| pool.recycle(frame));
        }
        if round == 0 {
            before = CountingAllocator::count();
        }
    }
    assert_eq!(CountingAllocator::count() - before, 0);
    assert_eq!(came, 160 * 64);
}

fn open(local: &str, remote: &str) -> UdpPort {
    let tunnel = Tunnel {
        remote: remote.parse().unwrap(),
        vni: Vni::new(1).unwrap(),
        any_source: false,
        source_ports: 16,
    };
    let local = local.parse().unwrap();
    UdpPort::open(&Options { device: "lo".to_owned(), local, port: 4789, tunnel, marking: Marking::Copy })
        .unwrap()
}
