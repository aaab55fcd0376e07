//! What super-frames cost: cutting a train of 64 KiB, and joining it again.
//!
//! Unit: one train; throughput in octets of TCP data. `segment` cuts into complete frames with checksums
//! (`size` is the data of each); `coalesce` takes those frames, verifies every checksum and joins them. Buffers
//! come from and go back to a pool, as in the gateway; filling in the input is not counted.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use support::{subject::Train, timed};

/// Octets of data per segment, for an MTU of 1500 and of 9000.
const SIZES: [u16; 2] = [1460, 8960];

fn offload(c: &mut Criterion) {
    let mut group = c.benchmark_group("offload");
    for size in SIZES {
        let mut bench = Train::new(size);
        let data = bench.data();
        group.throughput(Throughput::Bytes(data.try_into().unwrap()));
        group.bench_function(format!("segment/{size}"), |b| {
            b.iter_custom(|iters| timed(iters, 1, &mut bench, Train::empty, Train::cut));
        });
        group.bench_function(format!("coalesce/{size}"), |b| {
            b.iter_custom(|iters| timed(iters, 1, &mut bench, Train::arrive, Train::join));
        });
    }
    group.finish();
}

criterion_group!(benches, offload);
criterion_main!(benches);
