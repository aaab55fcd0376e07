//! The lab and its instruments, held against plain kernel forwarding: what they say about a network that is known.
//!
//! Needs root (any user becomes it with `unshare -r`); skipped loudly without, and failed under `CI=true`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod support;

use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use gateway::lab::capture::{Capture, CaptureOptions};
use gateway::lab::traffic::mark::Kind;
use gateway::lab::traffic::ping::{PingOptions, ping};
use gateway::lab::traffic::tcp::TcpStreamRun;
use gateway::lab::traffic::udp::{UdpFlow, UdpOptions, UdpRun};
use gateway::lab::{Lab, Node, Stop, Topology};
use net::{EtherType, IpNet};
use parking_lot::MutexGuard;
use support::{TURN, able};

#[test]
fn ping_tcp_and_udp_cross_a_forwarding_kernel_in_both_families_and_directions() {
    let Some((_turn, lab)) = routed_sites(2) else { return };
    let (a, b) = (lab.namespace("h-a").unwrap(), lab.namespace("h-b").unwrap());
    for (from, target) in [(a, H_B4), (a, H_B6), (b, H_A4), (b, H_A6)] {
        let report = ping(from, &PingOptions { count: 5, ..PingOptions::new(ip(target)) }).unwrap();
        assert!(report.is_complete(), "{target}: {report:?}");
        assert!(report.median().unwrap() < Duration::from_millis(100));
    }
    let there = TcpStreamRun::start(a, b, ip(H_B4), None, PATIENCE).unwrap();
    let back = TcpStreamRun::start(b, a, ip(H_A6), Some(8_000_000), PATIENCE).unwrap();
    wait(1000);
    let (there, back) = (there.stop().unwrap(), back.stop().unwrap());
    assert!(there.is_complete(), "{there:?}");
    assert!(back.is_complete(), "{back:?}");
    assert!(back.sent >= 200_000, "8 Mbit/s for a second: {back:?}");
    let run = UdpRun::start(a, b, &flows(16, 1600)).unwrap();
    wait(1000);
    let report = run.stop().unwrap();
    let totals = report.totals();
    assert!(totals.sent > 500, "{totals:?}");
    assert_eq!((totals.received, totals.lost, totals.damaged), (totals.sent, 0, 0));
    assert_eq!((totals.duplicated, totals.reordered), (0, 0));
    assert!(report.flows.iter().all(|flow| flow.received > 30), "each flow has its turn");
}

#[test]
fn a_capture_sees_clear_text_where_there_is_some_and_tells_flows_apart_by_length() {
    let Some((_turn, lab)) = routed_sites(2) else { return };
    let (a, b) = (lab.namespace("h-a").unwrap(), lab.namespace("h-b").unwrap());
    let file = std::env::temp_dir().join(format!("quadspan-lab-{}.pcapng", std::process::id()));
    let options = CaptureOptions { file: Some(file.clone()), ..CaptureOptions::new(["ch1", "ch2"]) };
    let capture = Capture::start(lab.namespace("gw-b").unwrap(), &options).unwrap();
    let run = UdpRun::start(a, b, &flows(16, 1600)).unwrap();
    wait(300);
    capture.begin_period(1);
    wait(200);
    let totals = run.stop().unwrap().totals();
    let echoed = ping(a, &PingOptions { count: 3, ..PingOptions::new(ip(H_B4)) }).unwrap();
    assert!(echoed.is_complete(), "{echoed:?}");
    let seen = capture.stop().unwrap();
    let sum = |kind| seen.iter().map(|s| s.incoming.marked.get(&kind).copied().unwrap_or(0)).sum::<u64>();
    assert_eq!((sum(Kind::Udp), sum(Kind::Ping)), (totals.sent, 3), "all that is in clear is found");
    let outgoing: u64 = seen.iter().map(|s| s.outgoing.clear()).sum();
    assert_eq!(outgoing, 3, "replies, seen where they are sent");
    assert!(seen.iter().all(|s| s.missed == 0 && s.incoming.of_type(EtherType::MACSEC) == 0));
    for flow in flows(16, 1).flows {
        let octets = usize::from(flow.packet) + 14;
        let used = seen.iter().filter(|s| s.lengths.get(&(0, octets)).is_some_and(|&n| n > 10)).count();
        let stayed = seen.iter().filter(|s| s.lengths.contains_key(&(1, octets))).count();
        assert_eq!((used, stayed), (1, 1), "flow of {octets} octets is on one link");
    }
    let kept = std::fs::metadata(&file).unwrap().len();
    std::fs::remove_file(&file).unwrap();
    assert!(kept > totals.sent * 100, "the file holds the frames: {kept} octets");
}

#[test]
fn a_cut_is_seen_as_loss_and_gap_and_heals() {
    let Some((_turn, lab)) = routed_sites(1) else { return };
    let (a, b) = (lab.namespace("h-a").unwrap(), lab.namespace("h-b").unwrap());
    let carrier = |node: &str| lab.in_node(node, || sys::interface::carrier("ch1").unwrap()).unwrap();
    let run = UdpRun::start(a, b, &flows(8, 1600)).unwrap();
    let stream = TcpStreamRun::start(a, b, ip(H_B4), Some(8_000_000), PATIENCE).unwrap();
    wait(200);
    lab.cut("gw-b", "ch1").unwrap();
    assert!(!carrier("gw-a"), "the far end sees it");
    wait(250);
    lab.heal("gw-b", "ch1").unwrap();
    assert!(carrier("gw-a"));
    wait_reachable(&lab);
    wait(100);
    let report = run.stop().unwrap();
    let totals = report.totals();
    assert!(totals.lost + totals.refused >= 200, "a quarter of a second of 1600 datagrams: {totals:?}");
    assert!(report.longest_gap >= Duration::from_millis(200), "{:?}", report.longest_gap);
    let gaps: Vec<_> = report.flows.iter().map(|f| (f.received, f.longest_gap)).collect();
    assert!(gaps.iter().all(|&(n, gap)| n > 0 && gap >= Duration::from_millis(200)), "{gaps:?}");
    assert_eq!(totals.received + totals.lost, totals.sent);
    assert_eq!(report.lost_between(report.started, report.started.after(Duration::from_millis(100))), 0);
    let stream = stream.stop().unwrap();
    assert!(stream.is_complete() && stream.longest_wait >= Duration::from_millis(200), "{stream:?}");
}

#[test]
fn a_deleted_link_is_gone_at_both_ends_and_a_new_one_takes_its_place() {
    let Some(lab) = build(&Topology::two_sites(1, 1500)) else { return };
    let index = |node: &str| lab.in_node(node, || sys::interface::index("ch1")).unwrap();
    lab.delete_link("gw-a", "ch1").unwrap();
    assert!(index("gw-a").is_err() && index("gw-b").is_err());
    assert!(lab.delete_link("gw-a", "ch1").unwrap_err().to_string().contains("ch1"));
    assert!(lab.heal("gw-a", "ch1").unwrap_err().to_string().contains("ch1"));
    lab.add_link(&Topology::two_sites(1, 1500).links[2]).unwrap();
    let mac = lab.in_node("gw-b", || sys::interface::mac("ch1").unwrap()).unwrap();
    assert_eq!(mac, Topology::gateway_mac(2, 1).0);
    lab.heal("gw-a", "ch1").unwrap();
    assert!(lab.cut("gw-c", "ch1").unwrap_err().to_string().contains("gw-c"));
}

#[test]
fn a_quiet_interface_says_nothing_by_itself() {
    let Some(lab) = build(&Topology::two_sites(1, 1500)) else { return };
    lab.cut("gw-a", "ch1").unwrap();
    let capture = Capture::start(lab.namespace("gw-b").unwrap(), &CaptureOptions::new(["ch1"])).unwrap();
    lab.heal("gw-a", "ch1").unwrap();
    wait(1500);
    let seen = capture.stop().unwrap().remove(0);
    assert_eq!((seen.incoming.count, seen.outgoing.count), (0, 0), "{seen:?}");
}

#[test]
fn programs_run_in_their_node_and_end_with_the_lab() {
    let Some(lab) = build(&Topology::new().node(Node::new("one"))) else { return };
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "readlink /proc/self/ns/net; exec sleep 1000"]).stdout(Stdio::piped());
    let mut process = lab.spawn("one", command).unwrap();
    let mut line = String::new();
    let out = process.child().stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
    let namespace = std::fs::read_link(format!("/proc/{}/ns/net", lab.pid("one").unwrap())).unwrap();
    assert_eq!(line.trim(), namespace.to_str().unwrap());
    assert!(process.ended().unwrap().is_none());
    drop(lab);
    let status = process.wait(PATIENCE).unwrap();
    assert_eq!(gateway::lab::in_words(status), "killed by SIGKILL");
}

/// Two sites whose gateways are plain kernel routers, with `channels` links to share the flows over.
/// Their turn ends behind them: take both in this order.
fn routed_sites(channels: u8) -> Option<(MutexGuard<'static, ()>, Lab)> {
    let turn = TURN.lock();
    let mut topology = Topology::two_sites(channels, 1500);
    let between = |channel: u8, site: u8| -> [IpNet; 2] {
        [
            format!("169.254.{channel}.{site}/30").parse().unwrap(),
            format!("fd00:{channel}0::{site}/126").parse().unwrap(),
        ]
    };
    for end in topology.links.iter_mut().flat_map(|l| &mut l.ends).filter(|e| e.node.starts_with("gw")) {
        end.quiet = false;
        let site = if end.node == "gw-a" { 1 } else { 2 };
        end.addresses = match end.device.strip_prefix("ch") {
            Some(channel) => between(channel.parse().unwrap(), site).to_vec(),
            None => vec![
                format!("10.{site}.0.1/24").parse().unwrap(),
                format!("fd00:{site}::1/64").parse().unwrap(),
            ],
        };
    }
    for node in topology.nodes.iter_mut().filter(|n| n.name.starts_with("gw")) {
        let far = if node.name == "gw-a" { 2 } else { 1 };
        let via = |family: usize| (1..=channels).map(|c| between(c, far)[family].addr()).collect::<Vec<_>>();
        *node = Node::new(&node.name)
            .forwarding()
            .route(format!("10.{far}.0.0/24").parse().unwrap(), via(0))
            .route(format!("fd00:{far}::/64").parse().unwrap(), via(1));
    }
    let lab = build(&topology)?;
    wait_reachable(&lab);
    Some((turn, lab))
}

/// Waits until all kernels know each other's hardware addresses, which takes seconds when one asked too early.
fn wait_reachable(lab: &Lab) {
    for (from, target) in [("h-a", H_B4), ("h-a", H_B6), ("h-b", H_A4), ("h-b", H_A6)] {
        let once = PingOptions { count: 1, ..PingOptions::new(ip(target)) };
        let answers = || ping(lab.namespace(from).unwrap(), &once).unwrap().is_complete();
        assert!(Stop::new().poll(PATIENCE, Duration::from_millis(10), answers), "{from} reaches {target}");
    }
}

fn build(topology: &Topology) -> Option<Lab> {
    if !able("lab", &[]) {
        return None;
    }
    Some(Lab::build(topology).unwrap())
}

/// As many flows as asked, IPv4 and IPv6 in turn, each with its own port and length.
fn flows(count: u16, rate: u32) -> UdpOptions {
    let flow = |number: u16| UdpFlow {
        to: ip(if number.is_multiple_of(2) { H_B4 } else { H_B6 }),
        source_port: 40_000 + number,
        packet: 200 + 4 * number,
    };
    UdpOptions { flows: (0..count).map(flow).collect(), rate, port: 7000 }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn wait(millis: u64) {
    Stop::new().wait(Duration::from_millis(millis));
}

const H_A4: &str = "10.1.0.2";
const H_A6: &str = "fd00:1::2";
const H_B4: &str = "10.2.0.2";
const H_B6: &str = "fd00:2::2";
const PATIENCE: Duration = Duration::from_secs(5);
