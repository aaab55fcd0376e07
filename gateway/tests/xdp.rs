//! Gateways whose ports are AF_XDP sockets: against each other, against packet sockets, through deletion and death.
//!
//! Needs root and the tools; skipped loudly without, and failed under `CI=true`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop; a JSON value that is not there is null"
)]

mod support;

use std::time::Duration;

use gateway::clock;
use gateway::lab::{End, Link, Stop, Topology};
use serde_json::Value;
use support::gateway::Gateway;
use support::shell::{iperf, must, ping, until};
use support::sites::{Plan, Sites};

const PATIENCE: Duration = Duration::from_secs(20);
const XDP: &str = "io = \"af_xdp\"";
const PACKET: &str = "io = \"af_packet\"";
const BOTH: Plan = Plan { channel_port: [XDP, XDP], ..Plan::DEFAULT };
const ONE: Plan = Plan { channels: 1, ..BOTH };

/// What `show ports` has about a port.
fn port(gateway: &Gateway, name: &str) -> Value {
    let all = gateway.api("ports");
    let list = all["items"].as_array().unwrap();
    list.iter().find(|port| port["name"] == name).unwrap().clone()
}

/// Whether a program is on the device.
fn has_program(sites: &Sites, node: &str, device: &str) -> bool {
    must(&sites.lab, node, &format!("ip link show dev {device}")).contains("xdp")
}

fn tcp_crosses(sites: &Sites) {
    for (client, server, address) in [("h-a", "h-b", "10.2.0.2"), ("h-b", "h-a", "fd00:1::2")] {
        let run = iperf(&sites.lab, client, server, address, "-t 1");
        assert!(run.rate > 10e6, "{client} to {address}: {run:?}");
    }
}

#[test]
fn tcp_crosses_between_xdp_and_either_kind_and_screens_say_which() {
    for plan in [BOTH, Plan { channel_port: [XDP, PACKET], workers: 2, ..Plan::DEFAULT }] {
        let Some(sites) = Sites::start("xdp::tcp_crosses", plan) else { return };
        // Where the far end has a program too, frames leave in bulk as soon as it is there.
        let (there, ring) =
            if plan.channel_port[1] == XDP { ("af_xdp", "bulk") } else { ("af_packet", "copy") };
        until("it sends as it can", PATIENCE, || (port(&sites.a, "p1")["ring"] == ring).then_some(()));
        let [a, b] = [&sites.a, &sites.b].map(|gateway| port(gateway, "p1"));
        assert_eq!((&a["io"], &a["wanted_io"], &b["io"]), (&"af_xdp".into(), &Value::Null, &there.into()));
        assert!(sites.a.says("show ports").contains(&format!("af_xdp {ring}")));
        tcp_crosses(&sites);
        ping(&sites.lab, "h-a", 3, "-M do -s 1472 10.2.0.2");
        let a = port(&sites.a, "p1");
        assert!(a["rx_frames"].as_u64() > Some(0) && a["tx_frames"].as_u64() > Some(0), "{a}");
        sites.assert_clean();
        sites.end();
    }
}

#[test]
fn mka_agrees_on_keys_through_xdp() {
    let plan = Plan { mka: Some(""), channel_port: [XDP, PACKET], ..Plan::DEFAULT };
    let Some(sites) = Sites::start("xdp::mka_agrees", plan) else { return };
    assert_eq!(port(&sites.a, "p2")["io"], "af_xdp");
    tcp_crosses(&sites);
    sites.assert_clean();
    sites.end();
}

// A queue has one socket: the successor has it when its predecessor is gone, and packet sockets until then.
#[test]
fn a_restart_under_traffic_comes_back_to_xdp() {
    let plan = Plan { mka: Some(""), ..BOTH };
    let Some(mut sites) = Sites::start("xdp::restart", plan) else { return };
    sites.a.restart();
    sites.wait_reachable();
    until("both ports are AF_XDP again", PATIENCE, || {
        (port(&sites.a, "p1")["io"] == "af_xdp" && port(&sites.a, "p2")["io"] == "af_xdp").then_some(())
    });
    assert!(sites.a.events("mka.lost").is_empty() && sites.b.events("mka.lost").is_empty());
    tcp_crosses(&sites);
    sites.assert_clean();
    sites.end();
}

#[test]
fn jumbo_frames_cross_whole() {
    let plan = Plan { channel_mtu: 9100, attachment_mtu: 9000, ..BOTH };
    let Some(mut sites) = Sites::build("xdp::jumbo_frames", plan) else { return };
    for (node, device) in [("h-a", "eth0"), ("gw-a", "lan1"), ("gw-b", "lan1"), ("h-b", "eth0")] {
        must(&sites.lab, node, &format!("ip link set dev {device} mtu 9000"));
    }
    sites.a.start(&sites.lab);
    sites.b.start(&sites.lab);
    sites.wait_reachable();
    for size in [8972, 4000, 3900, 56] {
        ping(&sites.lab, "h-a", 3, &format!("-M do -s {size} 10.2.0.2"));
    }
    tcp_crosses(&sites);
    assert_eq!(port(&sites.a, "p1")["io"], "af_xdp");
    sites.assert_clean();
    sites.end();
}

// A card that was plugged in is found before it has the MTU of the one that it replaces.
#[test]
fn a_device_that_is_given_its_mtu_later_needs_no_other_socket() {
    let plan = Plan { channel_mtu: 9100, attachment_mtu: 9000, ..ONE };
    let Some(mut sites) = Sites::build("xdp::a_device_that_is_given_its_mtu_later", plan) else { return };
    for (node, device) in [("h-a", "eth0"), ("gw-a", "lan1"), ("gw-b", "lan1"), ("h-b", "eth0")] {
        must(&sites.lab, node, &format!("ip link set dev {device} mtu 9000"));
    }
    sites.a.start(&sites.lab);
    sites.b.start(&sites.lab);
    sites.wait_reachable();
    sites.lab.delete_link("gw-a", "ch1").unwrap();
    until("the channel is down", PATIENCE, || (!sites.a.counted("ch1").live).then_some(()));
    sites.lab.add_link(&channel_link()).unwrap();
    for gateway in [&sites.a, &sites.b] {
        until("the port is open again", PATIENCE, || {
            (gateway.events("port.reopened").len() == 1).then_some(())
        });
    }
    sites.wait_reachable();
    for node in ["gw-a", "gw-b"] {
        must(&sites.lab, node, "ip link set dev ch1 mtu 9100");
    }
    ping(&sites.lab, "h-a", 3, "-M do -s 8972 10.2.0.2");
    assert_eq!(port(&sites.a, "p1")["io"], "af_xdp");
    for gateway in [&sites.a, &sites.b] {
        assert_eq!(port(gateway, "p1")["drops"]["truncated"].as_u64().unwrap_or(0), 0);
    }
    sites.end();
}

#[test]
fn a_killed_gateway_leaves_no_program_behind_and_starts_again() {
    let Some(mut sites) = Sites::start("xdp::a_killed_gateway", ONE) else { return };
    assert!(has_program(&sites, "gw-a", "ch1"));
    sites.a.kill();
    until("the program is gone", PATIENCE, || (!has_program(&sites, "gw-a", "ch1")).then_some(()));
    sites.a.start(&sites.lab);
    assert_eq!(port(&sites.a, "p1")["io"], "af_xdp");
    sites.wait_reachable();
    tcp_crosses(&sites);
    sites.a.end();
    until("the program is gone", PATIENCE, || (!has_program(&sites, "gw-a", "ch1")).then_some(()));
    sites.b.end();
}

#[test]
fn a_device_that_is_deleted_and_made_again_is_opened_the_same_way() {
    let Some(sites) = Sites::start("xdp::a_device_that_is_deleted", ONE) else { return };
    for round in 1..=2 {
        sites.lab.delete_link("gw-a", "ch1").unwrap();
        until("the channel is down", PATIENCE, || (!sites.a.counted("ch1").live).then_some(()));
        sites.lab.add_link(&channel_link()).unwrap();
        for gateway in [&sites.a, &sites.b] {
            until("the port is open again", PATIENCE, || {
                (gateway.events("port.reopened").len() == round).then_some(())
            });
        }
        sites.wait_reachable();
        assert_eq!(port(&sites.a, "p1")["io"], "af_xdp");
    }
    tcp_crosses(&sites);
    sites.end();
}

fn channel_link() -> Link {
    let mut topology = Topology::two_sites(ONE.channels, ONE.channel_mtu);
    let here = |end: &End| end.node == "gw-a" && end.device == "ch1";
    let at = topology.links.iter().position(|link| link.ends.iter().any(here)).unwrap();
    topology.links.swap_remove(at)
}

#[test]
fn what_xdp_cannot_be_is_a_packet_socket_and_said() {
    let plan = Plan { clear_tags: &[2100], ..ONE };
    let Some(sites) = Sites::start("xdp::what_xdp_cannot_be", plan) else { return };
    let told = port(&sites.a, "p1");
    assert_eq!((&told["io"], &told["wanted_io"]), (&"af_packet".into(), &"af_xdp".into()), "{told}");
    assert!(sites.a.says("show ports").contains("NOT NATIVE af_xdp"));
    let events = sites.a.events("port.io");
    assert!(events.iter().any(|event| event["why"].to_string().contains("rxvlan off")), "{events:?}");
    tcp_crosses(&sites);
    sites.end();
    // Once tags stay in frames, it works.
    let Some(mut sites) = Sites::build("xdp::what_xdp_cannot_be", plan) else { return };
    for node in ["gw-a", "gw-b"] {
        must(&sites.lab, node, "ethtool -K ch1 rxvlan off txvlan off");
    }
    sites.a.start(&sites.lab);
    // Somebody else's program was there first.
    let namespace = sites.lab.namespace("gw-b").unwrap();
    let attach = || sys::XdpDevice::attach("ch1", &sys::Claim::Everything, sys::XdpMode::Native, None);
    let others = namespace.within(attach).unwrap().unwrap();
    sites.b.start(&sites.lab);
    sites.wait_reachable();
    assert_eq!(port(&sites.a, "p1")["io"], "af_xdp");
    assert_eq!(port(&sites.b, "p1")["io"], "af_packet");
    let events = sites.b.events("port.io");
    assert!(
        events.iter().any(|event| event["why"].to_string().contains("another XDP program")),
        "{events:?}"
    );
    drop(others);
    sites.end();
}

#[test]
fn a_lan_without_offloads_works_by_xdp_also_with_two_workers() {
    let plan = Plan { lan_port: "io = \"af_xdp\"\noffload = false", workers: 2, ..BOTH };
    let Some(mut sites) = Sites::build("xdp::a_lan_without_offloads", plan) else { return };
    for (host, gateway) in [("h-a", "gw-a"), ("h-b", "gw-b")] {
        must(&sites.lab, host, "ethtool -K eth0 tx off txvlan off");
        must(&sites.lab, gateway, "ethtool -K lan1 rxvlan off");
    }
    sites.a.start(&sites.lab);
    sites.b.start(&sites.lab);
    sites.wait_reachable();
    assert_eq!(port(&sites.a, "lan")["io"], "af_xdp");
    tcp_crosses(&sites);
    sites.assert_clean();
    sites.end();
}

#[test]
fn a_wire_by_xdp_carries_frames_of_all_stations() {
    let plan = Plan { transparent: true, ..BOTH };
    let Some(sites) = Sites::start("xdp::a_wire", plan) else { return };
    assert_eq!(port(&sites.a, "p1")["io"], "af_xdp");
    ping(&sites.lab, "h-a", 2, "-M do -s 1472 10.9.0.2");
    let run = iperf(&sites.lab, "h-a", "h-b", "10.9.0.2", "-t 1");
    assert!(run.rate > 10e6, "{run:?}");
    sites.assert_clean();
    sites.end();
}

#[test]
fn a_worker_without_frames_sleeps_unless_it_is_told_to_look_all_the_time() {
    let mut used = Vec::new();
    for runtime in ["poll = \"interrupt\"", "poll = \"adaptive\"", "poll = \"busy\""] {
        let Some(sites) = Sites::start("xdp::a_worker_without_frames", Plan { runtime, ..ONE }) else {
            return;
        };
        tcp_crosses(&sites);
        used.push([0; 3].map(|_| share_of_a_processor(&sites.a)));
        sites.end();
    }
    println!("shares of a processor: {used:?}");
    // Of three looks the one that saw what it wants most clearly: whoever is disturbed in one is not in all.
    let least = |at: usize| used[at].iter().copied().fold(f64::MAX, f64::min);
    let most = |at: usize| used[at].iter().copied().fold(0.0, f64::max);
    // A clock tick is a hundredth of a second; the far gateway's neighbour checks and the link monitor are in it.
    assert!(least(0) < 0.03 && least(1) < 0.03, "{used:?}");
    // As much as others leave.
    assert!(most(2) > 4.0 * least(0).max(0.01), "{used:?}");
}

/// What a gateway uses of a processor, seen for two seconds.
fn share_of_a_processor(gateway: &Gateway) -> f64 {
    let (before, began) = (gateway.cpu_seconds(), clock::now());
    Stop::new().wait(Duration::from_secs(2));
    let used = gateway.cpu_seconds() - before;
    used / clock::now().since(began).as_secs_f64()
}
