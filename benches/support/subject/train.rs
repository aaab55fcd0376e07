//! A segment train, cut and joined. Buffers come from and go back to a pool, as in the gateway.

use core::net::Ipv4Addr;

use dataplane::{
    Depot, Frame, Pool, PoolSizes, PortCaps,
    offload::{Coalescer, segment},
};
use net::MacAddr;

use crate::Flow;

const FLOW: Flow = Flow {
    from: MacAddr([2, 0, 0, 0, 0, 1]),
    to: MacAddr([2, 0, 0, 0, 0, 2]),
    source: Ipv4Addr::new(10, 1, 0, 10),
    destination: Ipv4Addr::new(10, 2, 0, 10),
    port: 40_000,
};

/// A train of 64 KiB, what it is cut to, and who joins it again.
pub struct Train {
    pool: Pool,
    train: Frame,
    out: Vec<Frame>,
    segments: Vec<Frame>,
    coalescer: Coalescer,
}

impl Train {
    /// To be cut every `size` octets of data.
    pub fn new(size: u16) -> Self {
        let sizes = PoolSizes { small_frame: 9216, small_count: 256, big_count: 4, ..PoolSizes::default() };
        let data = 65_000 / usize::from(size) * usize::from(size);
        Self {
            pool: Pool::new(Depot::new(sizes)),
            train: FLOW.train(data, size),
            out: Vec::with_capacity(64),
            segments: Vec::with_capacity(64),
            coalescer: Coalescer::new(PortCaps { offload: true, udp_segments: true, flows: false }),
        }
    }

    /// Octets of TCP data.
    pub fn data(&self) -> usize {
        self.train.buf.len() - 54
    }

    /// Nothing is left of what was done.
    pub fn empty(&mut self) {
        self.out.drain(..).for_each(|frame| self.pool.recycle(frame));
    }

    /// Cuts it.
    pub fn cut(&mut self) {
        let count = segment(&self.train, &mut self.pool, &mut self.out).unwrap();
        assert!(count > 1);
    }

    /// Its segments have come by a wire.
    pub fn arrive(&mut self) {
        self.empty();
        segment(&self.train, &mut self.pool, &mut self.segments).unwrap();
        // From a wire: nobody checked them.
        for frame in &mut self.segments {
            *frame = Frame::new(core::mem::replace(&mut frame.buf, net::PacketBuf::with_capacity(0, 0)));
        }
    }

    /// Joins them.
    pub fn join(&mut self) {
        for frame in self.segments.drain(..) {
            self.coalescer.push(frame, &mut self.pool, &mut self.out);
        }
        self.coalescer.flush(&mut self.out);
        assert_eq!(self.out.len(), 1);
    }
}
