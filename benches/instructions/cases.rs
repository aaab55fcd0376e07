//! What is counted.

use core::hint::black_box;
use std::{net::Ipv4Addr, sync::OnceLock};

use bgp::{
    Asn, Family, PerFamily,
    wire::{
        as_path::AsPath,
        attributes::{Attributes, NextHop},
        emit::{self, EmitContext},
        header::{HEADER_LEN, MAX_LEN},
        update::{self, UpdateContext},
    },
};
use dataplane::{BATCH, Hop, InterfaceId, RouteSet, Target, flow::flow_hash};
use macsec::Backend;
use net::{Instant, IpNet, Ipv4Net, MacAddr};
use support::{
    Dice, Flow,
    subject::{
        LanToLan, Link, TRAINS, Train,
        tables::{DESTINATIONS, v4, v4_prefix, v6},
    },
};

use crate::counted;

/// Something to be counted.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What one of its units is.
    pub(crate) unit: &'static str,
    /// How many units it does.
    pub(crate) units: u64,
    /// Prepares, does it once so that everything is in place, and does it once more to be counted.
    pub(crate) run: fn(),
}

/// Frames of a batch, as a number of units.
const FRAMES: u64 = BATCH as u64;
/// Prefixes of an UPDATE.
const PREFIXES: u32 = 100;
/// Batches of `pipeline`: enough for one that is timed.
const PASSES: u64 = 61;

/// All of them.
pub(crate) const CASES: &[Case] = &[
    Case { name: "fib/v4/10k", unit: "lookup", units: DESTINATIONS as u64, run: fib_v4 },
    Case { name: "fib/v6/10k", unit: "lookup", units: DESTINATIONS as u64, run: fib_v6 },
    Case { name: "routes/change/10k", unit: "route", units: 1, run: route_change },
    Case { name: "flow/hash", unit: "packet", units: FRAMES, run: flow },
    Case { name: "offload/segment/1460", unit: "train of 64 KiB", units: 1, run: cut },
    Case { name: "offload/coalesce/1460", unit: "train of 64 KiB", units: 1, run: join },
    Case { name: "secy/protect/64", unit: "frame", units: FRAMES, run: || protect(64) },
    Case { name: "secy/protect/1460", unit: "frame", units: FRAMES, run: || protect(1460) },
    Case { name: "secy/validate/64", unit: "frame", units: FRAMES, run: || validate(64) },
    Case { name: "secy/validate/1460", unit: "frame", units: FRAMES, run: || validate(1460) },
    Case {
        name: "pipeline/frames/64",
        unit: "frame",
        units: FRAMES * PASSES,
        run: || lan_to_lan(LanToLan::frames(64)),
    },
    Case {
        name: "pipeline/frames/64/timed",
        unit: "frame",
        units: FRAMES * PASSES,
        run: || lan_to_lan(LanToLan::frames(64).by(clock)),
    },
    Case {
        name: "pipeline/classes/64",
        unit: "frame, sent twice",
        units: FRAMES * PASSES,
        run: || lan_to_lan(LanToLan::duplicated(64)),
    },
    Case { name: "pipeline/trains", unit: "train of 64 KiB", units: TRAINS as u64, run: trains },
    Case { name: "bgp/update/100", unit: "prefix", units: PREFIXES as u64, run: bgp_update },
];

/// Does it twice, the second time to be counted.
fn twice(mut work: impl FnMut()) {
    work();
    counted(&mut work);
}

fn fib_v4() {
    let (table, keys) = v4(10_000, &mut Dice(7));
    twice(|| keys.iter().for_each(|key| _ = black_box(table.lookup(black_box(*key)))));
}

fn fib_v6() {
    let (table, keys) = v6(10_000, &mut Dice(7));
    twice(|| keys.iter().for_each(|key| _ = black_box(table.lookup(black_box(*key)))));
}

fn route_change() {
    let mut dice = Dice(7);
    let via = |gateway: u8| {
        Target::Via(vec![Hop {
            interface: InterfaceId(0),
            gateway: [192, 0, 2, gateway].into(),
            weight: 1,
            carries: true,
        }])
    };
    let prefixes: Vec<IpNet> = (0..10_000).map(|_| v4_prefix(&mut dice).into()).collect();
    let mut set = RouteSet::new([]);
    for prefix in &prefixes {
        set.learn(*prefix, via(1));
    }
    let mut held = set.tables();
    let mut gateway = 1;
    twice(|| {
        gateway += 1;
        set.learn(prefixes[4711], via(gateway));
        held = set.tables();
    });
}

fn flow() {
    let packets: Vec<Vec<u8>> = (0..64).map(|port| segment(40_000 + port)).collect();
    twice(|| packets.iter().for_each(|packet| _ = black_box(flow_hash(black_box(packet)))));
}

/// The IP packet of a small segment.
fn segment(port: u16) -> Vec<u8> {
    let (from, to) = (MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
    let (source, destination) = (Ipv4Addr::new(10, 1, 0, 10), Ipv4Addr::new(10, 2, 0, 10));
    Flow { from, to, source, destination, port }.segment(1, 6).split_off(14)
}

fn cut() {
    let mut train = Train::new(1460);
    train.cut();
    train.empty();
    counted(&mut || train.cut());
}

fn join() {
    let mut train = Train::new(1460);
    train.arrive();
    train.join();
    train.arrive();
    counted(&mut || train.join());
}

fn protect(size: usize) {
    let mut link = Link::new(Backend::AwsLc, size);
    link.refill();
    link.protect_batch();
    link.refill();
    counted(&mut || link.protect_batch());
}

fn validate(size: usize) {
    let mut link = Link::new(Backend::AwsLc, size);
    link.arrive();
    link.validate_batch();
    link.arrive();
    counted(&mut || link.validate_batch());
}

fn lan_to_lan(mut gateways: LanToLan) {
    twice(|| (0..PASSES).for_each(|_| gateways.pass()));
    assert_eq!(gateways.delivered(), 2 * PASSES * FRAMES * 64, "each frame once");
}

/// As workers read it.
#[expect(clippy::disallowed_methods, reason = "reading the clock is what is counted")]
fn clock() -> Instant {
    static BEGAN: OnceLock<std::time::Instant> = OnceLock::new();
    Instant::ZERO.after(BEGAN.get_or_init(std::time::Instant::now).elapsed())
}

fn trains() {
    let mut gateways = LanToLan::trains();
    twice(|| gateways.pass());
}

fn bgp_update() {
    let prefixes: Vec<IpNet> = (0..PREFIXES)
        .map(|n| Ipv4Net::new_assert(Ipv4Addr::from_bits(32 << 24 | n << 8), 24).into())
        .collect();
    let mut attributes = Attributes::local(NextHop::V4(Ipv4Addr::new(10, 255, 0, 2)));
    attributes.as_path = AsPath::sequence(&[Asn(65_010), Asn(4711), Asn(174)]);
    let to = EmitContext { four_octet_as: true, max_len: MAX_LEN };
    let messages = emit::announce(Family::Ipv4, &attributes, &prefixes, to).expect("they fit one message");
    let context = UpdateContext {
        internal: false,
        four_octet_as: true,
        families: PerFamily::both(true),
        ipv4_over_ipv6: false,
        first_as: None,
        accept_as_sets: false,
        discard: Vec::new(),
    };
    let body = &messages[0][HEADER_LEN..];
    twice(|| drop(black_box(update::parse(black_box(body), &context))));
}
