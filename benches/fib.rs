//! What a forwarding lookup costs, and what it costs to change a table.
//!
//! Unit of `fib`: one lookup. The routes are random: lengths as in the Internet's tables (for IPv4 mostly /24, then /16 to /23; for IPv6
//! mostly /48, then /29 to /47), addresses uniform, which is harder on caches than real tables. The 4,096
//! destinations lie in random routes of the table, in random order, so that most lookups go all the way down. They do
//! not depend on each other, so the processor may overlap them, as it does in a batch of frames.
//!
//! Unit of `routes/change`: one route that leads elsewhere and the tables that follow, beside tables of the same routes that a
//! worker still has. `routes/default` is the same for a default route. `routes/load` has one unit per route: all are learnt, then
//! the first tables are made.

use core::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use dataplane::{Hop, InterfaceId, RouteSet, Target};
use net::IpNet;
use support::{
    Dice,
    subject::tables::{DESTINATIONS, pick, v4, v4_prefix, v6, v6_prefix},
    timed,
};

const SIZES: [(usize, &str); 3] = [(1_000, "1k"), (10_000, "10k"), (1_000_000, "1M")];

fn fib(c: &mut Criterion) {
    let mut group = c.benchmark_group("fib");
    for (size, name) in SIZES {
        let mut dice = Dice(7);
        let (table, keys) = v4(size, &mut dice);
        group.bench_function(format!("v4/{name}"), |b| {
            let round = |_: &mut ()| {
                for key in &keys {
                    black_box(table.lookup(black_box(*key)));
                }
            };
            b.iter_custom(|iters| timed(iters, DESTINATIONS, &mut (), |()| (), round));
        });
        let (table, keys) = v6(size, &mut dice);
        group.bench_function(format!("v6/{name}"), |b| {
            let round = |_: &mut ()| {
                for key in &keys {
                    black_box(table.lookup(black_box(*key)));
                }
            };
            b.iter_custom(|iters| timed(iters, DESTINATIONS, &mut (), |()| (), round));
        });
    }
    group.finish();
}

fn routes(c: &mut Criterion) {
    let mut group = c.benchmark_group("routes");
    group.sample_size(10);
    for (size, name) in [(10_000, "10k"), (100_000, "100k"), (1_000_000, "1M")] {
        let mut dice = Dice(7);
        let v4: Vec<IpNet> = (0..size).map(|_| v4_prefix(&mut dice).into()).collect();
        let v6: Vec<IpNet> = (0..size).map(|_| v6_prefix(&mut dice).into()).collect();
        for (prefixes, family) in [(v4, "v4"), (v6, "v6")] {
            let mut set = loaded(&prefixes);
            let mut held = set.tables();
            let mut flip = |set: &mut RouteSet, prefix: IpNet| {
                let elsewhere = if set.learned(&prefix) == Some(&via(0)) { via(1) } else { via(0) };
                assert!(set.learn(prefix, elsewhere));
                held = set.tables();
            };
            group.bench_function(format!("change/{family}/{name}"), |b| {
                let mut round = |set: &mut RouteSet| flip(set, prefixes[pick(&mut dice, size)]);
                b.iter_custom(|iters| timed(iters, 1, &mut set, |_| (), &mut round));
            });
            let default: IpNet = if family == "v4" { "0.0.0.0/0" } else { "::/0" }.parse().unwrap();
            group.bench_function(format!("default/{family}/{name}"), |b| {
                b.iter_custom(|iters| {
                    timed(iters, 1, &mut set, |_| (), |set: &mut RouteSet| flip(set, default))
                });
            });
            group.bench_function(format!("load/{family}/{name}"), |b| {
                let round = |_: &mut ()| drop(black_box(loaded(&prefixes).tables()));
                let units = u32::try_from(size).unwrap();
                b.iter_custom(|iters| timed(iters, units, &mut (), |()| (), round));
            });
        }
    }
    group.finish();
}

fn loaded(prefixes: &[IpNet]) -> RouteSet {
    let mut set = RouteSet::new([]);
    for (at, prefix) in prefixes.iter().enumerate() {
        set.learn(*prefix, via(u8::try_from(at % 16).unwrap()));
    }
    set
}

/// One of several ways out.
fn via(gateway: u8) -> Target {
    Target::Via(vec![Hop {
        interface: InterfaceId(0),
        gateway: [192, 0, 2, gateway].into(),
        weight: 1,
        carries: true,
    }])
}

criterion_group!(benches, fib, routes);
criterion_main!(benches);
