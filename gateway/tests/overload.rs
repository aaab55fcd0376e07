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
use support::shell::until;
use support::sites::{Plan, Sites};

const PATIENCE: Duration = Duration::from_secs(30);

const PLAN: Plan = Plan {
    mka: Some(""),
    bgp: true,
    neighbor: "hold = \"9s\"\n",
    attachment: "[connection.attachment.bfd]\nmin_tx = \"50ms\"\nmin_rx = \"50ms\"\nmultiplier = 3\n",
    ..Plan::DEFAULT
};

/// How often each session of a gateway was up and down so far, with its longest silence.
fn sessions(gateway: &Gateway) -> Vec<String> {
    let list = |what: &str| gateway.api(what)["items"].as_array().unwrap().clone();
    let bfd = list("bfd").into_iter().map(|one| format!("bfd {} {} up {} down {}", one["attachment"], one["peer"], one["ups"], one["downs"]));
    let bgp = list("bgp").into_iter().map(|one| format!("bgp {} {} {}", one["name"], one["state"], one["sessions"]));
    let lost = format!("mka lost {}, peers down {}", gateway.events("mka.lost").len(), gateway.events("mka.peer_down").len());
    bfd.chain(bgp).chain([lost]).collect()
}

fn longest_gap(gateway: &Gateway) -> Vec<Value> {
    gateway.api("bfd")["items"].as_array().unwrap().iter().map(|one| one["longest_gap_us"].clone()).collect()
}

fn all_up(sites: &Sites) {
    for gateway in [&sites.a, &sites.b] {
        until("all sessions are up", PATIENCE, || {
            let up = |what: &str, state: &str| {
                gateway.api(what)["items"].as_array().unwrap().iter().filter(|one| one["state"] == state).count()
            };
            (up("bfd", "up") == 4 && up("bgp", "established") == 4).then_some(())
        });
    }
}

/// Offers a rate for a while; how many frames a second were sent, and came.
fn trial(sites: &Sites, octets: usize, rate: u64, time: Duration) -> (u64, u64) {
    let before = heard(&sites.lab, "h-b");
    let flood = Flood::start(&sites.lab, 1, octets, rate);
    let begin = gateway::clock::now();
    Stop::new().wait(time);
    let (sent, came) = (flood.sent(), heard(&sites.lab, "h-b") - before);
    let millis = u64::try_from(gateway::clock::now().since(begin).as_millis()).unwrap();
    (sent * 1000 / millis, came * 1000 / millis)
}

/// The rate at which frames begin to be lost, in frames a second.
fn capacity(sites: &Sites, octets: usize) -> u64 {
    let mut rate = 4000;
    loop {
        let (sent, came) = trial(sites, octets, rate, Duration::from_millis(500));
        eprintln!("offered {rate}/s: sent {sent}, came {came}");
        if came * 100 < sent * 95 || sent * 100 < rate * 90 {
            return came;
        }
        rate = rate * 3 / 2;
    }
}

#[test]
fn no_session_notices_twice_the_load_that_the_gateways_carry() {
    let Some(sites) = Sites::start("overload", PLAN) else { return };
    let _sinks = [sink(&sites.lab, "h-a"), sink(&sites.lab, "h-b")];
    all_up(&sites);
    let seconds = std::env::var("QUADSPAN_TEST_OVERLOAD").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    for octets in [60, 1400] {
        let capacity = capacity(&sites, octets);
        all_up(&sites);
        let before = [sessions(&sites.a), sessions(&sites.b)];
        let back = Flood::start(&sites.lab, 2, octets, 2 * capacity);
        let (sent, came) = trial(&sites, octets, 2 * capacity, Duration::from_secs(seconds));
        drop(back);
        eprintln!("{octets} octets: capacity {capacity}/s; sent {sent}/s each way, came {came}/s");
        for gateway in [&sites.a, &sites.b] {
            eprintln!("  gaps {:?}\n  drops {}", longest_gap(gateway), gateway.drops());
            eprintln!("  {}", gateway.says("show ports"));
        }
        let after = [sessions(&sites.a), sessions(&sites.b)];
        assert_eq!(after, before, "{}\n{}", sites.a.log(), sites.b.log());
        assert!(came * 4 > capacity, "{came} of {capacity} frames a second still cross");
    }
    sites.end();
}
