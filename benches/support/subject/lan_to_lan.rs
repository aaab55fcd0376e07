//! Frames from LAN to LAN, through two production dataplanes in memory.
//!
//! Left routes, protects (GCM-AES-XPN-256) and queues for one of four channels; Right validates, routes and queues for its LAN.
//! What ports and kernels do is not in it, but taking buffers from the pool, one copy into them (the port's), and
//! giving them back is. The frames of a batch belong to 64 flows, so all four channels are busy.

use std::{hint::black_box, time::Duration};

use dataplane::{
    BATCH, Batch, Clock, Frame, PoolSizes, PortCaps, PortId, TwiceSetup, frer::RecoveryParams,
    protection::ClassParams,
};
use world::{
    Plan,
    Side::{self, Left, Right},
    World, udp,
};

use crate::{Flow, timed};

/// A worker times one piece of work in so many.
const ONE_IN: u32 = 61;
const CHANNELS: u8 = 4;
/// Ethernet, IPv4 and UDP headers.
const HEADERS: usize = 14 + 20 + 8;
/// Trains of a batch.
pub const TRAINS: u32 = 8;
/// Octets of data of a train: 44 segments of 1460.
pub const TRAIN: usize = 44 * 1460;

/// Both gateways, and the frames of a batch.
pub struct LanToLan {
    world: World,
    templates: Vec<Frame>,
    delivered: u64,
    clock: Option<Clock>,
    passes: u32,
}

impl LanToLan {
    /// Gateways that know each other, and 64 UDP frames of `size` octets.
    pub fn frames(size: usize) -> Self {
        Self::new(frames(size), |_, _| None)
    }

    /// The same where all of them are of a class, by their destination: each leaves twice, and Right takes the first copy.
    pub fn duplicated(size: usize) -> Self {
        Self::new(frames(size), everything)
    }

    /// The same with [`TRAINS`] TCP trains of [`TRAIN`] octets, cut to an MTU of 1500 and joined again.
    pub fn trains() -> Self {
        Self::new(trains(), |_, _| None)
    }

    fn new(templates: Vec<Frame>, twice: fn(Side, u8) -> Option<TwiceSetup>) -> Self {
        let buffers = PoolSizes { small_count: 4096, big_count: 64, ..PoolSizes::default() };
        let lan = PortCaps { offload: true, ..PortCaps::default() };
        let mut world =
            World::of(Plan { channels: CHANNELS, mtu: 1500, lan, buffers, twice, ..Plan::default() });
        // Everybody meets everybody first.
        for port in 0..64 {
            assert_eq!(world.send(Left, vec![udp(Left, Right.host(), port, b"hello")]).len(), 1);
        }
        world.wire.iter_mut().for_each(Vec::clear);
        Self { world, templates, delivered: 0, clock: None, passes: 0 }
    }

    /// Lends this clock to both gateways for one batch in [`ONE_IN`], as workers do.
    #[must_use]
    pub fn by(self, clock: Clock) -> Self {
        Self { clock: Some(clock), ..self }
    }

    fn lend(&mut self) {
        self.passes += 1;
        if let Some(clock) = self.clock.filter(|_| self.passes.is_multiple_of(ONE_IN)) {
            self.world.gateways.iter_mut().for_each(|one| one.lend_clock(clock));
        }
    }

    /// One batch, all the way.
    pub fn pass(&mut self) {
        self.lend();
        let (lan, now) = (self.world.lan(), self.world.now);
        let left = self.world.at(Left);
        let mut batch = Batch::new();
        for template in &self.templates {
            let mut buf = left.pool().for_len(template.buf.len()).expect("buffers come back");
            assert!(buf.extend_from_slice(&template.buf));
            batch.push(Frame { offload: template.offload, ..Frame::new(buf) });
        }
        left.handle_batch(lan, &mut batch, now);
        for channel in 0..CHANNELS {
            self.cross(PortId(channel.into()));
        }
        let (frames, pool) = self.world.at(Right).transmit(lan).expect("the LAN port is there");
        for frame in frames.drain(..) {
            self.delivered += u64::try_from(frame.buf.len()).unwrap();
            pool.recycle(frame);
        }
        if self.clock.is_some() {
            for one in &mut self.world.gateways {
                black_box(one.return_clock());
            }
        }
    }

    /// Octets of the frames that came to Right's LAN.
    pub const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Moves what Left sends by `port` to Right.
    fn cross(&mut self, port: PortId) {
        let now = self.world.now;
        let [left, right] = &mut self.world.gateways;
        let (frames, _) = left.transmit(port).expect("the port is there");
        let mut frames = frames.drain(..).peekable();
        while frames.peek().is_some() {
            let mut batch: Batch = frames.by_ref().take(BATCH).collect();
            right.handle_batch(port, &mut batch, now);
        }
    }

    /// The time for `iters` frames. Panics when one was lost.
    pub fn run(&mut self, iters: u64, chunk: u32) -> Duration {
        self.delivered = 0;
        let took = timed(iters, chunk, self, |_| (), Self::pass);
        let least: usize = self.templates.iter().map(|frame| frame.buf.len()).sum();
        let batches = iters.div_ceil(u64::from(chunk));
        assert!(self.delivered >= batches * u64::try_from(least).unwrap(), "frames were lost");
        took
    }
}

/// One class, which all packets to the hosts are of.
fn everything(_: Side, channels: u8) -> Option<TwiceSetup> {
    let hosts = ["10.1.0.0/24", "10.2.0.0/24"].map(|net| net.parse().expect("a prefix"));
    Some(TwiceSetup {
        classes: vec![ClassParams { destinations: hosts.to_vec(), ..ClassParams::default() }],
        recovery: RecoveryParams::default(),
        preferences: vec![100; usize::from(channels)],
    })
}

fn frames(size: usize) -> Vec<Frame> {
    let frame = |port| udp(Left, Right.host(), port, &vec![0x5a; size - HEADERS]);
    (0..64).map(|port| Frame::new(net::PacketBuf::copy_of(&frame(port), 0, 0))).collect()
}

fn trains() -> Vec<Frame> {
    let flow = |port| {
        let (source, destination) = (Left.host(), Right.host());
        Flow { from: Side::host_mac(Left), to: Left.lan_mac(), source, destination, port }
    };
    (0..8).map(|port| flow(40_000 + port).train(TRAIN, 1460)).collect()
}
