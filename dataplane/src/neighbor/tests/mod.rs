//! The cache driven as a worker drives it; time is a number that the tests move.

mod arp;
mod limits;
mod nd;

use core::time::Duration;

use net::{
    Instant, MacAddr, PacketBuf,
    arp::{Arp, Operation},
    ethernet::{EtherType, Ethernet},
};
use zerocopy::IntoBytes;

use super::*;
use crate::Frame;

const OWN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const HOST_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 7]);
const OTHER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 8]);
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);
const OWN6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const HOST6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 7);

fn params() -> NeighborParams {
    NeighborParams {
        own_mac: OWN_MAC,
        v4: vec!["10.0.0.1/24".parse().unwrap()],
        v6: vec!["fd00::1/64".parse().unwrap()],
        limits: NeighborLimits::default(),
    }
}

/// A cache and the time.
struct Rig {
    cache: Neighbors,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        Self::with(params())
    }

    fn with(params: NeighborParams) -> Self {
        Self { cache: Neighbors::new(params, 42), now: Instant::from_nanos(1_000_000_000) }
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
        self.cache.handle_timeout(self.now);
    }

    /// Moves time to the next deadline.
    fn next(&mut self) {
        self.now = self.cache.poll_timeout().expect("a deadline").max(self.now);
        self.cache.handle_timeout(self.now);
    }

    fn resolve(&mut self, ip: impl Into<IpAddr>) -> Resolve {
        self.cache.resolve(ip.into(), self.now)
    }

    fn hold(&mut self, ip: impl Into<IpAddr>, octet: u8) -> Result<(), u8> {
        let frame = Frame::new(PacketBuf::copy_of(&[octet], 0, 0));
        self.cache.hold(ip.into(), frame, self.now).map_err(|frame| frame.buf[0])
    }

    /// The frames that may go, each with where to.
    fn released(&mut self) -> Vec<(MacAddr, u8)> {
        core::iter::from_fn(|| self.cache.poll_released()).map(|(mac, frame)| (mac, frame.buf[0])).collect()
    }

    fn failed(&mut self) -> Vec<u8> {
        core::iter::from_fn(|| self.cache.poll_failed()).map(|frame| frame.buf[0]).collect()
    }

    fn learned(&mut self) -> Vec<(IpAddr, MacAddr)> {
        core::iter::from_fn(|| self.cache.poll_learned()).collect()
    }

    /// All questions that wait to be sent, as frames.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut buf = PacketBuf::with_capacity(256, 64);
        while self.cache.poll_transmit(&mut buf) {
            frames.push(buf.to_vec());
            buf.reset(64);
        }
        frames
    }

    fn state(&self, ip: impl Into<IpAddr>) -> Option<NeighborState> {
        let ip = ip.into();
        self.cache.entries(self.now).find(|entry| entry.ip == ip).map(|entry| entry.state)
    }

    fn arp(
        &mut self,
        operation: Operation,
        sender: (MacAddr, Ipv4Addr),
        target: Ipv4Addr,
    ) -> Result<ArpOutcome, BadNeighborMessage> {
        let packet = Arp::new(operation, sender, (MacAddr::ZERO, target));
        self.cache.handle_arp(packet.as_bytes(), self.now)
    }

    fn request(&mut self, sender: (MacAddr, Ipv4Addr)) -> Result<ArpOutcome, BadNeighborMessage> {
        self.arp(Operation::Request, sender, OWN)
    }

    fn reply(&mut self, sender: (MacAddr, Ipv4Addr)) -> Result<ArpOutcome, BadNeighborMessage> {
        self.arp(Operation::Reply, sender, OWN)
    }
}

#[test]
fn the_seed_decides_how_long_confirmations_last() {
    let run = |seed: u64| {
        let mut rig = Rig { cache: Neighbors::new(params(), seed), now: Instant::ZERO };
        for host in 2..50 {
            rig.request((MacAddr([2, 0, 0, 0, 1, host]), Ipv4Addr::new(10, 0, 0, host))).unwrap();
            rig.reply((MacAddr([2, 0, 0, 0, 1, host]), Ipv4Addr::new(10, 0, 0, host))).unwrap();
        }
        rig.wait(25);
        rig.cache.entries(rig.now).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    // RFC 4861 §6.3.2: confirmations last 15 to 45 s, at random.
    for seed in 1..5 {
        let stale = run(seed).iter().filter(|entry| entry.state == NeighborState::Stale).count();
        assert!((2..46).contains(&stale), "{stale} of 48");
    }
}
