//! TAP devices as ports: made when they are missing, attached to when they are there, made again when somebody deletes
//! them; on the LAN side and under a channel.
//!
//! Needs root and the tools; skipped loudly without, and failed under `CI=true`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop; a JSON value that is not there is null"
)]

mod support;

use std::time::Duration;

use support::shell::{iperf, must, overruns, ping, sh, until};
use support::sites::{Plan, Sites};

const PATIENCE: Duration = Duration::from_secs(20);
const LAN: Plan = Plan { channels: 1, lan_tap: true, ..Plan::DEFAULT };

/// Makes the kernel of `gw-a` the host on A's LAN, and waits until it reaches the far one.
fn settle(sites: &Sites) {
    let script = "ip address add 10.1.0.2/24 dev tap1; ip route add 10.2.0.0/24 via 10.1.0.1
                  ip address add fd00:1::2/64 dev tap1 nodad; ip route add fd00:2::/64 via fd00:1::1";
    must(&sites.lab, "gw-a", script);
    for (from, to) in [("gw-a", "10.2.0.2"), ("gw-a", "fd00:2::2"), ("h-b", "10.1.0.2"), ("h-b", "fd00:1::2")]
    {
        until(&format!("{from} reaches {to}: {} | {}", sites.a.drops(), sites.b.drops()), PATIENCE, || {
            (sh(&sites.lab, from, &format!("ping -n -c 1 -W 1 {to}")).status == Some(0)).then_some(())
        });
    }
}

/// Traffic as users have it, both ways.
fn assert_carries(sites: &Sites) {
    ping(&sites.lab, "gw-a", 3, "-M do -s 1372 10.2.0.2");
    ping(&sites.lab, "gw-a", 3, "10.1.0.1");
    for (client, server, address) in [
        ("gw-a", "h-b", "10.2.0.2"),
        ("gw-a", "h-b", "fd00:2::2"),
        ("h-b", "gw-a", "10.1.0.2"),
        ("h-b", "gw-a", "fd00:1::2"),
    ] {
        let run = iperf(&sites.lab, client, server, address, "-t 1");
        assert!(run.rate > 20e6, "{client} to {address}: {run:?}");
    }
    for (client, server, address) in [("gw-a", "h-b", "10.2.0.2"), ("h-b", "gw-a", "10.1.0.2")] {
        let before = overruns(&sites.lab, server);
        let run = iperf(&sites.lab, client, server, address, "-u -b 20M -l 1300 -t 1");
        let over = overruns(&sites.lab, server) - before;
        let drops = format!("{over} at the socket; {} | {}", sites.a.drops(), sites.b.drops());
        let lost = run.lost.saturating_sub(over);
        assert!(run.packets > 1000 && lost * 100 <= run.packets, "{client} to {address}: {run:?}: {drops}");
    }
}

/// The workers that have A's LAN, as `quadspan show ports` says.
fn workers_of_lan(sites: &Sites) -> Vec<u64> {
    let list = sites.a.api("ports");
    let lan = list["items"].as_array().unwrap().iter().find(|one| one["name"] == "lan").unwrap();
    assert_eq!((&lan["io"], &lan["ring"]), (&"tap".into(), &serde_json::Value::Null));
    lan["workers"].as_array().unwrap().iter().filter_map(serde_json::Value::as_u64).collect()
}

#[test]
fn a_tap_that_is_missing_is_made_and_made_again_when_it_is_deleted() {
    for workers in [1, 2] {
        let plan = Plan { workers, ..LAN };
        let Some(mut sites) = Sites::build("taps::a_tap_that_is_missing_is_made", plan) else { return };
        sites.a.start(&sites.lab);
        sites.b.start(&sites.lab);
        settle(&sites);
        assert_carries(&sites);
        let shown = must(&sites.lab, "gw-a", "ip -d link show tap1");
        assert_eq!(shown.contains("multi_queue"), workers == 2, "{shown}");
        assert_eq!(workers_of_lan(&sites), (0..u64::from(workers)).collect::<Vec<_>>());
        let mac =
            must(&sites.lab, "gw-a", "cat /sys/class/net/tap1/address 2>/dev/null || ip -br link show tap1");
        for _ in 0..2 {
            let before = sites.a.log().len();
            must(&sites.lab, "gw-a", "ip link delete tap1");
            until(&format!("the TAP comes back:\n{}", sites.a.log()), PATIENCE, || {
                sites.a.log().get(before..)?.contains("port.reopened").then_some(())
            });
            settle(&sites);
        }
        assert_carries(&sites);
        let again =
            must(&sites.lab, "gw-a", "cat /sys/class/net/tap1/address 2>/dev/null || ip -br link show tap1");
        assert_eq!(mac, again, "who knew it knows it still");
        sites.assert_clean();
        sites.a.end();
        let left = sh(&sites.lab, "gw-a", "ip link show tap1");
        assert_ne!(left.status, Some(0), "what the gateway made goes with it: {}", left.text);
        sites.b.end();
    }
}

#[test]
fn a_tap_that_is_there_is_attached_to_and_stays() {
    // The kind that it was made of counts, whatever the number of workers would like.
    for (workers, kind) in [(1, ""), (2, ""), (1, "multi_queue"), (2, "multi_queue")] {
        let plan = Plan { workers, ..LAN };
        let Some(mut sites) = Sites::build("taps::a_tap_that_is_there", plan) else { return };
        must(&sites.lab, "gw-a", &format!("ip tuntap add tap1 mode tap {kind}; ip link set tap1 mtu 1450"));
        sites.a.start(&sites.lab);
        sites.b.start(&sites.lab);
        settle(&sites);
        ping(&sites.lab, "gw-a", 3, "-M do -s 1372 10.2.0.2");
        let run = iperf(&sites.lab, "h-b", "gw-a", "10.1.0.2", "-P 4 -t 1");
        assert!(run.rate > 20e6, "{run:?}");
        let all = if kind.is_empty() { 1 } else { u64::from(workers) };
        assert_eq!(workers_of_lan(&sites), (0..all).collect::<Vec<_>>(), "{workers} {kind}");
        sites.assert_clean();
        sites.a.end();
        let left = must(&sites.lab, "gw-a", "ip link show tap1; ip address show tap1");
        assert!(left.contains("mtu 1450") && left.contains("10.1.0.2"), "{left}");
        // And the next gateway attaches to it again.
        sites.a.start(&sites.lab);
        until("it works again", PATIENCE, || {
            (sh(&sites.lab, "gw-a", "ping -n -c 1 -W 1 10.2.0.2").status == Some(0)).then_some(())
        });
        sites.end();
    }
}

#[test]
fn a_channel_on_a_tap_reaches_its_peer_through_a_bridge() {
    let plan = Plan { channels: 1, channel_tap: true, ..Plan::DEFAULT };
    let Some(mut sites) = Sites::build("taps::a_channel_on_a_tap", plan) else { return };
    sites.a.start(&sites.lab);
    sites.b.start(&sites.lab);
    let bridge = "ip link set tch1 master br1";
    must(
        &sites.lab,
        "gw-a",
        &format!("ip link add br1 type bridge; ip link set br1 up; ip link set ch1 master br1; {bridge}"),
    );
    sites.wait_reachable();
    for (client, server, address) in [("h-a", "h-b", "10.2.0.2"), ("h-b", "h-a", "fd00:1::2")] {
        let run = iperf(&sites.lab, client, server, address, "-t 1");
        assert!(run.rate > 20e6, "{client} to {address}: {run:?}");
    }
    let before = sites.a.log().len();
    must(&sites.lab, "gw-a", "ip link delete tch1");
    until("the TAP comes back", PATIENCE, || {
        sites.a.log().get(before..)?.contains("port.reopened").then_some(())
    });
    must(&sites.lab, "gw-a", bridge);
    sites.wait_reachable();
    ping(&sites.lab, "h-a", 3, "-M do -s 1472 10.2.0.2");
    sites.assert_clean();
    sites.end();
}
