//! What super-frames cost: cutting a train of 64 KiB, and joining it again.
//!
//! Unit: one train; throughput in octets of TCP data. `segment` cuts into complete frames with checksums
//! (`size` is the data of each); `coalesce` takes those frames, verifies every checksum and joins them. Buffers
//! come from and go back to a pool, as in the gateway; filling in the input is not counted.

use core::net::Ipv4Addr;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dataplane::{
    Depot, Frame, Pool, PoolSizes, PortCaps,
    offload::{Coalescer, segment},
};
use net::MacAddr;
use support::{Flow, timed};

const FLOW: Flow = Flow {
    from: MacAddr([2, 0, 0, 0, 0, 1]),
    to: MacAddr([2, 0, 0, 0, 0, 2]),
    source: Ipv4Addr::new(10, 1, 0, 10),
    destination: Ipv4Addr::new(10, 2, 0, 10),
    port: 40_000,
};

/// Octets of data per segment, for an MTU of 1500 and of 9000.
const SIZES: [u16; 2] = [1460, 8960];

struct Bench {
    pool: Pool,
    train: Frame,
    out: Vec<Frame>,
    segments: Vec<Frame>,
    coalescer: Coalescer,
}

impl Bench {
    fn new(size: u16) -> Self {
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

    fn empty(&mut self) {
        self.out.drain(..).for_each(|frame| self.pool.recycle(frame));
    }

    fn cut(&mut self) {
        let count = segment(&self.train, &mut self.pool, &mut self.out).unwrap();
        assert!(count > 1);
    }

    fn arrive(&mut self) {
        self.empty();
        segment(&self.train, &mut self.pool, &mut self.segments).unwrap();
        // From a wire: nobody checked them.
        for frame in &mut self.segments {
            *frame = Frame::new(core::mem::replace(&mut frame.buf, net::PacketBuf::with_capacity(0, 0)));
        }
    }

    fn join(&mut self) {
        for frame in self.segments.drain(..) {
            self.coalescer.push(frame, &mut self.pool, &mut self.out);
        }
        self.coalescer.flush(&mut self.out);
        assert_eq!(self.out.len(), 1);
    }
}

fn offload(c: &mut Criterion) {
    let mut group = c.benchmark_group("offload");
    for size in SIZES {
        let mut bench = Bench::new(size);
        let data = bench.train.buf.len() - 54;
        group.throughput(Throughput::Bytes(data.try_into().unwrap()));
        group.bench_function(format!("segment/{size}"), |b| {
            b.iter_custom(|iters| timed(iters, 1, &mut bench, Bench::empty, Bench::cut));
        });
        group.bench_function(format!("coalesce/{size}"), |b| {
            b.iter_custom(|iters| timed(iters, 1, &mut bench, Bench::arrive, Bench::join));
        });
    }
    group.finish();
}

criterion_group!(benches, offload);
criterion_main!(benches);
