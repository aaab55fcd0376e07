//! Classes that are duplicated, by real gateways between ordinary Linux hosts: what happens to each kind of traffic when a
//! channel dies and nobody is told.
//!
//! Needs root and the tools; skipped loudly without, and failed under `CI=true`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod support;

use std::time::Duration;

use gateway::lab::Stop;
use gateway::lab::traffic::udp::{UdpFlow, UdpOptions, UdpReport, UdpRun};
use gateway::lab::wire::{Impairment, Way};
use serde_json::Value;
use support::gateway::Gateway;
use support::shell::{background, iperf, must, ping, until};
use support::sites::{Plan, Sites};

/// EF is a class, and so is whatever hosts say to each other over IPv6; BFD finds dead channels in a second.
const CLASSES: &str = "duplicate = { history = 4096, class = [\
    { name = \"voice\", dscp = [\"EF\"] }, \
    { name = \"six\", source = [\"fd00:1::/64\", \"fd00:2::/64\"], destination = [\"fd00::/16\"] } ] }\n";
const PLAN: Plan = Plan {
    wired: true,
    connection: CLASSES,
    attachment: "bfd = { min_tx = \"300ms\", min_rx = \"300ms\" }\n",
    ..Plan::DEFAULT
};
const PATIENCE: Duration = Duration::from_secs(20);
/// Pings that are expedited.
const PINGS: u64 = 400;

fn connection(gateway: &Gateway) -> Value {
    gateway.api("connections")["items"][0].clone()
}

/// Numbered packets from A to B, 1000 a second: eight flows over IPv4, eight over IPv6.
fn traffic(sites: &Sites) -> UdpRun {
    let flow = |number: u16| UdpFlow {
        to: if number < 8 { "10.2.0.2" } else { "fd00:2::2" }.parse().unwrap(),
        source_port: 41_000 + number,
        packet: 300,
    };
    let options = UdpOptions { flows: (0..16).map(flow).collect(), rate: 1000, port: 7000 };
    UdpRun::start(sites.lab.namespace("h-a").unwrap(), sites.lab.namespace("h-b").unwrap(), &options).unwrap()
}

/// Lost and repeated datagrams of some flows.
fn faults(report: &UdpReport, flows: std::ops::Range<usize>) -> (usize, u64) {
    let flows = &report.flows[flows];
    (flows.iter().map(|flow| flow.lost.len()).sum(), flows.iter().map(|flow| flow.duplicated).sum())
}

/// Both attachments are live, and both ends agree.
fn wait_live(sites: &Sites) {
    for gateway in [&sites.a, &sites.b] {
        until("both attachments are live", PATIENCE, || {
            (connection(gateway)["live"].as_u64() == Some(2)).then_some(())
        });
    }
}

/// A black hole in each channel in turn, while expedited pings and numbered datagrams cross.
fn silent_cuts(mode: &str, plan: Plan) {
    let Some(sites) = Sites::start(&format!("classes::{mode}"), plan) else { return };
    wait_live(&sites);
    for address in ["10.2.0.2", "fd00:2::2"] {
        ping(&sites.lab, "h-a", 5, &format!("-Q 0xb8 {address}"));
    }
    let file = sites.folder.path().join("pings");
    let script = format!("ping -n -q -Q 0xb8 -i 0.01 -W 5 -c {PINGS} 10.2.0.2 > {} 2>&1", file.display());
    let run = traffic(&sites);
    let mut pings = background(&sites.lab, "h-a", "sh", &["-c", &script]);
    for channel in [0, 1] {
        Stop::new().wait(Duration::from_millis(400));
        sites
            .wire()
            .set(channel, Way::Both, Impairment { blackhole: true, ..Impairment::default() })
            .unwrap();
        Stop::new().wait(Duration::from_millis(300));
        sites.wire().set(channel, Way::Both, Impairment::default()).unwrap();
        wait_live(&sites);
    }
    assert!(pings.wait(Duration::from_secs(60)).unwrap().success());
    let report = run.stop().unwrap();
    let said = std::fs::read_to_string(file).unwrap();
    eprintln!("{mode}: {said}{:?}", report.totals());
    assert!(said.contains(&format!("{PINGS} packets transmitted, {PINGS} received")), "{said}");
    assert!(!said.contains("duplicates"), "{said}");
    let (of_none, of_class) = (faults(&report, 0..8), faults(&report, 8..16));
    assert_eq!(of_class, (0, 0), "{mode}: {:?} {} | {}", report.totals(), sites.a.drops(), sites.b.drops());
    assert!(of_none.0 > 20 && of_none.1 == 0, "{mode}: {of_none:?}");
    screens(&sites, mode);
    sites.end();
}

fn screens(sites: &Sites, mode: &str) {
    let seen = connection(&sites.a)["redundancy"].clone();
    let sent = |at: usize| seen["classes"][at]["sent"].as_u64().unwrap();
    assert!(sent(0) >= PINGS && sent(1) > 500, "{seen}");
    assert_eq!(seen["sent"].as_u64(), Some(sent(0) + sent(1)), "{seen}");
    let text = sites.a.says("show connections");
    assert!(text.contains(&format!("routed, {mode}")) && text.contains(" of class voice\n"), "{text}");
    let (page, sample) =
        (sites.a.page(), "quadspan_redundancy_class_frames_total{connection=\"blue\",class=\"voice\"} ");
    assert!(page.contains(sample), "{page}");
    let removed = connection(&sites.b)["redundancy"]["counters"].clone();
    assert!(removed["frerCpsSeqRcvyDiscardedPackets"].as_u64() > Some(500), "{removed}");
    assert_eq!(removed["frerCpsSeqRcvyRoguePackets"], 0, "{removed}");
}

#[test]
fn ecmp_loses_in_a_silent_cut_and_its_classes_do_not() {
    silent_cuts("ecmp", PLAN);
}

#[test]
fn active_standby_loses_in_a_silent_cut_and_its_classes_do_not() {
    const BOTH: &str = "protection = \"active-standby\"\n\
        standby = { hold_down = \"0ms\", revert_delay = \"0ms\" }\n\
        duplicate = { class = [{ name = \"voice\", dscp = [46] }, { name = \"six\", source = [\"fd00::/16\"] }] }\n";
    silent_cuts("active_standby", Plan { connection: BOTH, workers: 2, ..PLAN });
}

/// Segment trains of a class are cut before they are numbered; a class's largest packet passes, with its tag.
#[test]
fn tcp_of_a_class_crosses_in_trains_and_a_whole_mtu_too() {
    // Without wires of our own in between: what those lose on a busy machine is not what is looked at.
    let Some(sites) = Sites::start("classes::tcp", Plan { wired: false, ..PLAN }) else { return };
    wait_live(&sites);
    for (client, server, more) in
        [("h-a", "h-b", "-S 0xb8"), ("h-b", "h-a", "-S 0xb8 -R"), ("h-a", "h-b", "")]
    {
        let address = if server == "h-b" { "10.2.0.2" } else { "10.1.0.2" };
        let run = iperf(&sites.lab, client, server, address, &format!("-t 1 {more}"));
        let redundancy = connection(&sites.b)["redundancy"].clone();
        eprintln!("{more}: {run:?} {redundancy}");
        assert!(run.rate > 20e6, "{more}: {run:?} {} | {} {redundancy}", sites.a.drops(), sites.b.drops());
    }
    for tos in ["0", "0xb8"] {
        ping(&sites.lab, "h-a", 2, &format!("-Q {tos} -M do -s 1472 10.2.0.2"));
        ping(&sites.lab, "h-a", 2, &format!("-Q {tos} -s 8000 10.2.0.2"));
    }
    assert!(connection(&sites.a)["redundancy"]["classes"][0]["sent"].as_u64() > Some(1000));
    sites.end();
}

#[test]
fn a_reload_with_other_classes_is_refused_and_says_what_it_takes() {
    let Some(sites) = Sites::start("classes::reload", PLAN) else { return };
    let file = sites.folder.path().join("a.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("dscp = [\"EF\"]", "dscp = [\"EF\", \"CS5\"]")).unwrap();
    let told = sites.a.cli(&["reload"]);
    assert!(told.status != Some(0), "{}", told.text);
    assert!(told.text.contains("connection blue: [connection.duplicate] and its classes"), "{}", told.text);
    must(&sites.lab, "h-a", "ping -n -c 1 -W 5 -Q 0xb8 10.2.0.2");
    sites.end();
}
