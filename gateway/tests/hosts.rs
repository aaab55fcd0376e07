//! Two real gateways between ordinary Linux hosts: what their users would try, with the tools they would use.
//!
//! Every test builds its own network (`support/sites.rs`), one at a time, and takes it down again. Needs root and the
//! tools; skipped loudly without, and failed under `CI=true`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop"
)]

mod support;

use support::shell::{iperf, must, ping, sh};
use support::sites::{Plan, Sites};

#[test]
fn tcp_with_offloads_on_crosses_in_both_directions_and_families() {
    let Some(sites) = Sites::start("hosts::tcp_with_offloads_on", Plan::DEFAULT) else { return };
    for host in ["h-a", "h-b"] {
        let features = must(&sites.lab, host, "ethtool -k eth0");
        assert!(
            features.contains("tcp-segmentation-offload: on"),
            "as a host has it by default:\n{features}"
        );
    }
    for (client, server, address) in both_ways() {
        let run = iperf(&sites.lab, client, server, address, "-t 1");
        // Without segments put together this would be far below; with every second one lost, too.
        assert!(run.rate > 20e6, "{client} to {address}: {run:?}");
    }
    sites.assert_clean();
    sites.end();
}

const fn both_ways() -> [(&'static str, &'static str, &'static str); 4] {
    [
        ("h-a", "h-b", "10.2.0.2"),
        ("h-b", "h-a", "10.1.0.2"),
        ("h-a", "h-b", "fd00:2::2"),
        ("h-b", "h-a", "fd00:1::2"),
    ]
}

#[test]
fn udp_crosses_without_loss() {
    let Some(sites) = Sites::start("hosts::udp_crosses", Plan::DEFAULT) else { return };
    for (client, server, address) in both_ways() {
        let run = iperf(&sites.lab, client, server, address, "-u -b 20M -l 1400 -t 1");
        assert!(run.packets > 1000, "{run:?}");
        assert!(
            run.lost * 100 <= run.packets,
            "{address}: {run:?}; {} | {}",
            sites.a.drops(),
            sites.b.drops()
        );
    }
    sites.assert_clean();
    sites.end();
}

#[test]
fn pings_of_every_size_up_to_the_mtu_cross_and_larger_ones_in_fragments() {
    let Some(sites) = Sites::start("hosts::pings_of_every_size", Plan::DEFAULT) else { return };
    for size in [0, 1, 17, 18, 46, 100, 512, 1399, 1471, 1472] {
        ping(&sites.lab, "h-a", 3, &format!("-M do -s {size} 10.2.0.2"));
    }
    for size in [0, 1, 17, 100, 1451, 1452, 5000] {
        ping(&sites.lab, "h-b", 3, &format!("-s {size} fd00:1::2"));
    }
    ping(&sites.lab, "h-a", 5, "-s 8000 10.2.0.2");
    sites.assert_clean();
    sites.end();
}

#[test]
fn a_1400_octet_channel_is_found_out_by_both_families() {
    let plan = Plan { attachment_mtu: 1400, ..Plan::DEFAULT };
    let Some(sites) = Sites::start("hosts::a_1400_octet_channel", plan) else { return };
    // TCP first, while no host knows: the sender has to learn from the gateway (RFC 1191, RFC 8201).
    for (client, server, address) in both_ways() {
        must(&sites.lab, server, "ip route flush cache; ip -6 route flush cache");
        let run = iperf(&sites.lab, client, server, address, "-t 1");
        assert!(run.rate > 10e6, "{client} to {address}: {run:?}");
        let route = must(&sites.lab, client, &format!("ip route get {address}"));
        assert!(route.contains("mtu 1400"), "{route}");
    }
    for host in ["h-a", "h-b"] {
        must(&sites.lab, host, "ip route flush cache; ip -6 route flush cache");
    }
    // RFC 792: the router says what fits.
    let refused = sh(&sites.lab, "h-a", "ping -n -c 1 -W 2 -M do -s 1472 10.2.0.2");
    let said = refused.text.to_lowercase();
    assert!(refused.status != Some(0) && said.contains("mtu") && said.contains("1400"), "{}", refused.text);
    ping(&sites.lab, "h-a", 1, "-M do -s 1372 10.2.0.2");
    let refused = sh(&sites.lab, "h-a", "ping -n -c 1 -W 2 -M do -s 1373 10.2.0.2");
    assert!(refused.status != Some(0), "1401 octets cannot pass: {}", refused.text);
    // After the first one too big, the host cuts to 1400.
    let _first = sh(&sites.lab, "h-a", "ping -n -c 1 -W 1 -s 1452 fd00:2::2");
    ping(&sites.lab, "h-a", 3, "-s 1452 fd00:2::2");
    // A packet that may be cut, and is not cut by its sender, is cut by the gateway (RFC 791 §3.2).
    must(&sites.lab, "h-a", "ip route flush cache");
    ping(&sites.lab, "h-a", 5, "-M dont -s 1472 10.2.0.2");
    sites.assert_clean();
    sites.end();
}

#[test]
fn traceroute_shows_both_gateways_and_they_answer_pings() {
    let Some(sites) = Sites::start("hosts::traceroute", Plan { channels: 1, ..Plan::DEFAULT }) else {
        return;
    };
    for (target, first, second) in
        [("10.2.0.2", "10.1.0.1", "169.254.1.2"), ("fd00:2::2", "fd00:1::1", "fd00:ff:1::2")]
    {
        let family = if target.contains(':') { "-6" } else { "-4" };
        let traced = must(&sites.lab, "h-a", &format!("traceroute {family} -n -q 1 -w 2 -N 1 {target}"));
        let hops: Vec<_> = traced.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(hops, [first, second, target], "{traced}");
    }
    for own in ["10.1.0.1", "fd00:1::1", "10.2.0.1", "fd00:2::1"] {
        ping(&sites.lab, "h-a", 3, own);
    }
    sites.assert_clean();
    sites.end();
}

#[test]
fn a_lan_on_a_vlan_works_like_one_without() {
    let plan = Plan { lan_vlan: Some(30), ..Plan::DEFAULT };
    let Some(sites) = Sites::start("hosts::a_lan_on_a_vlan", plan) else { return };
    for (client, server, address) in both_ways() {
        let run = iperf(&sites.lab, client, server, address, "-t 1");
        assert!(run.rate > 20e6, "{client} to {address}: {run:?}");
    }
    ping(&sites.lab, "h-a", 3, "-M do -s 1472 10.2.0.2");
    sites.assert_clean();
    sites.end();
}
