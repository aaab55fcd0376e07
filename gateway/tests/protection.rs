//! `duplicate` and `active-standby` by real gateways between ordinary Linux hosts.
//!
//! Every test builds its own network (`support/sites.rs`), one at a time, and takes it down again. Needs root and the
//! tools; skipped loudly without, and failed under `CI=true`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod support;

use std::time::Duration;

use gateway::clock;
use gateway::lab::traffic::udp::{Totals, UdpFlow, UdpOptions, UdpRun};
use serde_json::Value;
use support::gateway::Gateway;
use support::shell::{iperf, must, ping, until};
use support::sites::{Plan, Sites};

const DUPLICATE: Plan = Plan { channels: 3, connection: "protection = \"duplicate\"", ..Plan::DEFAULT };
const STANDBY: Plan = Plan {
    connection: "protection = \"active-standby\"\nstandby = { hold_down = \"1s\", revert_delay = \"2s\" }",
    ..Plan::DEFAULT
};
const PATIENCE: Duration = Duration::from_secs(20);

/// Numbered packets from A to B, 1000 a second in both families.
fn traffic(sites: &Sites) -> UdpRun {
    let flow = |number: u16| UdpFlow {
        to: if number.is_multiple_of(2) { "10.2.0.2" } else { "fd00:2::2" }.parse().unwrap(),
        source_port: 41_000 + number,
        packet: 300,
    };
    let options = UdpOptions { flows: (0..8).map(flow).collect(), rate: 1000, port: 7000 };
    UdpRun::start(sites.lab.namespace("h-a").unwrap(), sites.lab.namespace("h-b").unwrap(), &options).unwrap()
}

fn connection(gateway: &Gateway) -> Value {
    gateway.api("connections")["items"][0].clone()
}

fn wait_live(sites: &Sites, live: u64) {
    until(&format!("{live} attachments are live at both"), PATIENCE, || {
        let both = [&sites.a, &sites.b].map(|one| connection(one)["live"].as_u64());
        (both == [Some(live); 2]).then_some(())
    });
}

/// Takes each channel's link down under traffic, and up again.
fn cut_each(sites: &Sites, channels: u8) -> Totals {
    let run = traffic(sites);
    for channel in 1..=channels {
        until("the traffic is under way", PATIENCE, || {
            (connection(&sites.b)["rx_octets"].as_u64() > Some(50_000 * u64::from(channel))).then_some(())
        });
        must(&sites.lab, "gw-b", &format!("ip link set ch{channel} down"));
        wait_live(sites, u64::from(channels) - 1);
        ping(&sites.lab, "h-a", 10, "-i 0.01 10.2.0.2");
        must(&sites.lab, "gw-b", &format!("ip link set ch{channel} up"));
        wait_live(sites, u64::from(channels));
        ping(&sites.lab, "h-a", 10, "-i 0.01 10.2.0.2");
    }
    run.stop().unwrap().totals()
}

#[test]
fn duplicate_each_link_goes_down_under_traffic_and_nothing_is_lost_or_repeated() {
    for workers in [1, 2] {
        let plan = Plan { workers, ..DUPLICATE };
        let Some(sites) = Sites::start("protection::duplicate_each_link", plan) else { return };
        let totals = cut_each(&sites, plan.channels);
        println!("{workers} workers: {totals:?}");
        let got = (totals.lost, totals.duplicated, totals.damaged);
        assert_eq!(
            got,
            (0, 0, 0),
            "{workers} workers: {totals:?}; {} | {}",
            sites.a.drops(),
            sites.b.drops()
        );
        assert!(totals.received > 500, "{totals:?}");
        let redundancy = connection(&sites.b)["redundancy"].clone();
        let count = |name: &str| redundancy["counters"][name].as_u64().unwrap();
        assert!(count("frerCpsSeqRcvyDiscardedPackets") > totals.received / 2, "{redundancy}");
        assert_eq!(count("frerCpsSeqRcvyRoguePackets"), 0, "{redundancy}");
        sites.end();
    }
}

#[test]
fn duplicate_carries_tcp_in_segment_trains_and_every_size() {
    let Some(sites) = Sites::start("protection::duplicate_carries", DUPLICATE) else { return };
    for (client, server, address) in [("h-a", "h-b", "10.2.0.2"), ("h-b", "h-a", "fd00:1::2")] {
        let run = iperf(&sites.lab, client, server, address, "-t 1");
        println!("{run:?}");
        assert!(run.rate > 20e6, "{client} to {address}: {run:?}");
    }
    for size in [0, 1, 46, 1399, 1472] {
        ping(&sites.lab, "h-a", 3, &format!("-M do -s {size} 10.2.0.2"));
    }
    ping(&sites.lab, "h-b", 3, "-s 8000 10.1.0.2");
    let redundancy = connection(&sites.a)["redundancy"].clone();
    assert_eq!(redundancy["counters"]["frerCpsSeqRcvyRoguePackets"], 0, "{redundancy}");
    sites.end();
}

#[test]
fn active_standby_uses_one_link_leaves_it_at_once_and_goes_back() {
    let Some(sites) = Sites::start("protection::active_standby", STANDBY) else { return };
    wait_live(&sites, 2);
    let active = |name: &str| {
        until(&format!("{name} is active"), PATIENCE, || {
            [&sites.a, &sites.b].iter().all(|one| connection(one)["active"] == name).then_some(())
        });
    };
    active("ch1");
    let run = traffic(&sites);
    // What is sent shortly before may still be under way in the cut.
    let began = clock::now();
    ping(&sites.lab, "h-a", 20, "-i 0.01 10.2.0.2");
    must(&sites.lab, "gw-b", "ip link set ch1 down");
    active("ch2");
    let moved = clock::now();
    ping(&sites.lab, "h-a", 20, "-i 0.01 10.2.0.2");
    must(&sites.lab, "gw-b", "ip link set ch1 up");
    active("ch1");
    ping(&sites.lab, "h-a", 20, "-i 0.01 10.2.0.2");
    let report = run.stop().unwrap();
    let totals = report.totals();
    println!("{totals:?}, longest gap {:?}", report.longest_gap);
    // What was under way on the link that died is lost; nothing else is.
    let in_the_cut = report.lost_between(began, moved);
    assert!(totals.lost == in_the_cut && totals.duplicated == 0, "{totals:?}, {in_the_cut} lost in the cut");
    // Half a second, on any machine.
    assert!(totals.lost < 500, "{totals:?}");
    assert!(sites.a.log().contains("connection.active_moved"), "{}", sites.a.log());
    sites.end();
}
