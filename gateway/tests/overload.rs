//! Twice what the gateways can carry: what routers and key servers say to each other gets through all the same.
//!
//! Two sites with MKA, BFD and BGP on both channels. First the rate is measured that they carry; then twice of that is offered for a good
//! while, from one side and from both. No session may notice, and traffic must go on. Needs root and the tools; skipped loudly without, and
//! failed under `CI=true`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop; a JSON value that is not there is null"
)]

mod support;

use std::time::Duration;

use gateway::lab::Stop;
use serde_json::Value;
use support::flood::{Flood, heard, sink};
use support::gateway::Gateway;
use support::shell::{background, must};
use support::sites::{Plan, Sites, sessions};

const PLAN: Plan = Plan {
    mka: Some(""),
    bgp: true,
    neighbor: "hold = \"9s\"\n",
    attachment: "[connection.attachment.bfd]\nmin_tx = \"50ms\"\nmin_rx = \"50ms\"\nmultiplier = 3\n",
    ..Plan::DEFAULT
};

/// How often each session of a gateway was up and down so far.
fn changes(gateway: &Gateway) -> Vec<String> {
    let mut all = sessions(gateway, |_| true);
    let count = |event: &str| gateway.events(event).len();
    all.push(format!("mka lost {}, peers down {}", count("mka.lost"), count("mka.peer_down")));
    all
}

fn longest_gap(gateway: &Gateway) -> Vec<Value> {
    gateway.api("bfd")["items"].as_array().unwrap().iter().map(|one| one["longest_gap_us"].clone()).collect()
}

/// Offers a rate for a while; how many frames a second were sent, and came.
fn trial(sites: &Sites, from: u8, (octets, rate): (usize, u64), time: Duration) -> (u64, u64) {
    let to = if from == 1 { "h-b" } else { "h-a" };
    let before = heard(&sites.lab, to);
    let flood = Flood::start(&sites.lab, from, octets, rate);
    let begin = gateway::clock::now();
    Stop::new().wait(time);
    let (sent, came) = (flood.sent(), heard(&sites.lab, to) - before);
    let millis = u64::try_from(gateway::clock::now().since(begin).as_millis()).unwrap();
    (sent * 1000 / millis, came * 1000 / millis)
}

/// The rate at which frames begin to be lost, in frames a second.
fn capacity(sites: &Sites, from: u8, octets: usize) -> u64 {
    if let Some(known) = std::env::var("QUADSPAN_TEST_CAPACITY").ok().and_then(|text| text.parse().ok()) {
        return known;
    }
    let mut rate = 4000;
    // The first one finds neighbours and wakes everybody up.
    trial(sites, from, (octets, rate), Duration::from_millis(500));
    loop {
        let (sent, came) = trial(sites, from, (octets, rate), Duration::from_millis(500));
        eprintln!("offered {rate}/s: sent {sent}, came {came}");
        if came * 100 < sent * 90 || sent * 100 < rate * 80 {
            return came;
        }
        rate = rate * 3 / 2;
    }
}

/// Offers so much for a while, from a side or from both, and no session may notice. How many frames a second were sent by the (second)
/// side, and came to the other.
fn endure(sites: &Sites, from: &[u8], octets: usize, rate: u64) -> (u64, u64) {
    sites.wait_sessions(4);
    let before = [changes(&sites.a), changes(&sites.b)];
    let seconds =
        std::env::var("QUADSPAN_TEST_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let others: Vec<_> =
        from.iter().skip(1).map(|site| Flood::start(&sites.lab, *site, octets, rate)).collect();
    let (sent, came) = trial(sites, from[0], (octets, rate), Duration::from_secs(seconds));
    drop(others);
    for (whose, gateway) in [("a", &sites.a), ("b", &sites.b)] {
        eprintln!("  {whose}: longest BFD gaps {:?} us; {}", longest_gap(gateway), gateway.drops());
    }
    let after = [changes(&sites.a), changes(&sites.b)];
    assert_eq!(after, before, "{}\n{}", sites.a.log(), sites.b.log());
    (sent, came)
}

#[test]
fn no_session_notices_twice_the_load_that_the_gateways_carry() {
    let Some(sites) = Sites::start("overload::processors", PLAN) else { return };
    let _sinks = [sink(&sites.lab, "h-a"), sink(&sites.lab, "h-b")];
    for octets in [60, 1400] {
        let before = capacity(&sites, 1, octets);
        let (sent, came) = endure(&sites, &[1, 2], octets, 2 * before);
        // The machine may have become a slower one meanwhile.
        let capacity = before.min(capacity(&sites, 1, octets));
        eprintln!("{octets} octets: capacity {capacity}/s; sent {sent}/s each way, came {came}/s");
        assert!(came * 8 > capacity, "{came} of {capacity} frames a second still cross");
    }
    sites.end();
}

/// What has no room in a queue below us is lost, unless it is control: that is tried until it has.
#[test]
fn no_session_notices_that_the_links_are_too_narrow_for_the_load() {
    // A port without a queueing discipline has the device's own queue, which a veth pair has not.
    let plan = Plan { channel_port: ["qdisc_bypass = false"; 2], ..PLAN };
    let Some(sites) = Sites::start("overload::links", plan) else { return };
    let _sinks = [sink(&sites.lab, "h-a"), sink(&sites.lab, "h-b")];
    for (node, channel) in [("gw-a", "ch1"), ("gw-a", "ch2"), ("gw-b", "ch1"), ("gw-b", "ch2")] {
        // Short frames must not slip into what room long ones leave: the queue counts frames.
        must(
            &sites.lab,
            node,
            &format!(
                "tc qdisc add dev {channel} root handle 1: tbf rate 4mbit burst 4kb latency 1s
                 tc qdisc add dev {channel} parent 1:1 pfifo limit 8"
            ),
        );
    }
    // Two links of 4 Mbit/s take some 690 frames of 1446 octets a second.
    let (sent, came) = endure(&sites, &[1, 2], 1400, 1400);
    eprintln!("links: sent {sent}/s, came {came}/s");
    let refused = sites.a.drops();
    assert!(refused.contains("port_refused"), "{refused}");
    assert!((300..800).contains(&came), "{came} frames a second crossed");
    sites.end();
}

/// The far end sends more than this gateway, which has little of the processors, can take: what it says itself is heard.
#[test]
fn no_session_notices_a_far_end_that_is_faster() {
    let Some(sites) = Sites::start("overload::far_end", PLAN) else { return };
    let _sinks = [sink(&sites.lab, "h-a"), sink(&sites.lab, "h-b")];
    let processors = std::thread::available_parallelism().unwrap().get();
    let _hogs: Vec<_> = (0..processors)
        .map(|_| background(&sites.lab, "h-a", "sh", &["-c", "while :; do :; done"]))
        .collect();
    sites.a.be_nice(15);
    for octets in [60, 1400] {
        let before = capacity(&sites, 2, octets);
        let (sent, came) = endure(&sites, &[2], octets, 2 * before);
        let capacity = before.min(capacity(&sites, 2, octets));
        eprintln!("{octets} octets from the far end: capacity {capacity}/s; sent {sent}/s, came {came}/s");
        assert!(came * 8 > capacity, "{came} of {capacity} frames a second still cross");
    }
    sites.end();
}
