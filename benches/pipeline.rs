//! What a frame costs from LAN to LAN: through two production dataplanes, in memory.
//!
//! Unit: one frame as the LAN delivers it; throughput in frames, for trains in octets. Left routes, protects
//! (GCM-AES-XPN-256) and queues for one of four channels; Right validates, routes and queues for its LAN. What ports
//! and kernels do is not in it, but taking buffers from the pool, one copy into them (the port's), and giving
//! them back is. The frames of a batch belong to 64 flows, so all four channels are busy.
//!
//! `frames/64` and `frames/1460` are batches of 64 UDP frames of that many octets; `trains` are batches of 8 TCP trains of 64 KiB,
//! cut to an MTU of 1500 before protection and joined again for Right's LAN.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use support::subject::{LanToLan, TRAIN, TRAINS};

fn pipeline(c: &mut Criterion) {
    let mut group = c.benchmark_group("pipeline");
    for size in [64, 1460] {
        let mut bench = LanToLan::frames(size);
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("frames/{size}"), |b| b.iter_custom(|iters| bench.run(iters, 64)));
    }
    let mut bench = LanToLan::trains();
    group.throughput(Throughput::Bytes(TRAIN.try_into().unwrap()));
    group.bench_function("trains", |b| b.iter_custom(|iters| bench.run(iters, TRAINS)));
    group.finish();
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
