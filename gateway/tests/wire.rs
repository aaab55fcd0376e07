//! Wires between real hosts: what the hosts' kernels and sockets see of each impairment.
//!
//! Needs root (any user becomes it with `unshare -r`); skipped loudly without, and failed under `CI=true`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod support;

use std::net::IpAddr;
use std::time::Duration;

use gateway::lab::traffic::ping::{PingOptions, ping};
use gateway::lab::traffic::tcp::TcpStreamRun;
use gateway::lab::traffic::udp::{UdpFlow, UdpOptions, UdpReport, UdpRun};
use gateway::lab::wire::quantity::{Rate, Share};
use gateway::lab::wire::{Ends, Impairment, Queue, Way, Wire};
use gateway::lab::{End, Lab, Node, Stop, Topology, WiredSites};
use parking_lot::MutexGuard;
use support::{TURN, able};

/// Two hosts and one wire between them.
struct Bed {
    wire: Wire,
    lab: Lab,
    _turn: MutexGuard<'static, ()>,
}

impl Bed {
    fn build() -> Option<Self> {
        if !able("wire", &[]) {
            return None;
        }
        let turn = TURN.lock();
        let host = |node: &str, number: u8| {
            let address = |text: String| text.parse().unwrap();
            End::new(node, "eth0")
                .address(address(format!("10.0.0.{number}/24")))
                .address(address(format!("fd00::{number}/64")))
        };
        let topology = ["a", "b", "wire"].into_iter().map(Node::new).fold(Topology::new(), Topology::node);
        let topology = topology
            .link(host("a", 1), End::new("wire", "to-a").quiet())
            .link(host("b", 2), End::new("wire", "to-b").quiet());
        let lab = Lab::build(&topology).unwrap();
        let ends = Ends { a: "to-a".to_owned(), b: "to-b".to_owned() };
        let wire = Wire::start(lab.namespace("wire").unwrap(), &[ends], 1500, 1).unwrap();
        let bed = Self { wire, lab, _turn: turn };
        for target in [B4, B6] {
            let once = PingOptions { count: 1, ..PingOptions::new(target) };
            let answers = || ping(bed.lab.namespace("a").unwrap(), &once).unwrap().is_complete();
            assert!(Stop::new().poll(PATIENCE, Duration::from_millis(10), answers), "{target} answers");
        }
        Some(bed)
    }

    fn set(&self, way: Way, impairment: Impairment) {
        self.wire.set(0, way, impairment).unwrap();
    }

    /// Numbered datagrams from A to B for half a second.
    fn datagrams(&self, rate: u32) -> UdpReport {
        let flow = |to, source_port| UdpFlow { to, source_port, packet: 200 };
        let options = UdpOptions { flows: vec![flow(B4, 40_000), flow(B6, 40_001)], rate, port: 7000 };
        let (a, b) = (self.lab.namespace("a").unwrap(), self.lab.namespace("b").unwrap());
        let run = UdpRun::start(a, b, &options).unwrap();
        wait(500);
        run.stop().unwrap()
    }
}

#[test]
fn a_clear_wire_carries_datagrams_and_segment_trains_whole() {
    let Some(bed) = Bed::build() else { return };
    let totals = bed.datagrams(4000).totals();
    assert!(totals.sent > 1000, "{totals:?}");
    assert_eq!((totals.lost, totals.duplicated, totals.reordered, totals.damaged), (0, 0, 0, 0));
    let [there, back] = bed.wire.report().unwrap().remove(0);
    assert!(there.counters.passed >= totals.sent && there.counters.passed == there.counters.received);
    assert!(back.counters.passed > 0 && there.missed == 0);
    assert!(there.lengths.get(214).is_some_and(|&frames| frames == totals.sent), "200 and Ethernet's 14");
    // As fast as TCP can: what does not fit is lost now and then, and sent again.
    let (a, b) = (bed.lab.namespace("a").unwrap(), bed.lab.namespace("b").unwrap());
    let stream = TcpStreamRun::start(a, b, B4, None, PATIENCE).unwrap();
    wait(500);
    let report = stream.stop().unwrap();
    assert!(report.is_complete(), "{report:?}");
    println!("TCP over a wire: {} Mbit/s", report.bits_per_second() / 1_000_000);
    let [there, back] = bed.wire.report().unwrap().remove(0);
    assert_eq!(there.refused + back.refused, 0);
}

#[test]
fn shares_are_lost_doubled_and_damaged_as_asked_and_only_one_way() {
    let Some(bed) = Bed::build() else { return };
    let impairment = Impairment {
        loss: Share::percent(20),
        duplicate: Share::percent(10),
        corrupt: Share::percent(5),
        ..Impairment::default()
    };
    bed.set(Way::AToB, impairment);
    let totals = bed.datagrams(4000).totals();
    let share = |part: u64| part * 100 / totals.sent.max(1);
    // A frame with a wrong bit fails the kernel's checksum or ours, so it is lost, too: 20 % and 5 % of the rest.
    assert!((18..31).contains(&share(totals.lost)), "{totals:?}");
    assert!((4..14).contains(&share(totals.duplicated)), "{totals:?}");
    let counters = bed.wire.report().unwrap().remove(0).map(|lane| lane.counters);
    let [there, back] = counters;
    assert!(there.lost > 0 && there.duplicated > 0 && there.corrupted > 0, "{there:?}");
    assert_eq!((back.lost, back.duplicated, back.corrupted), (0, 0, 0));
}

#[test]
fn a_black_hole_keeps_the_carrier_and_healing_ends_it() {
    let Some(bed) = Bed::build() else { return };
    bed.set(Way::Both, Impairment { blackhole: true, ..Impairment::default() });
    let totals = bed.datagrams(1000).totals();
    assert!(totals.sent > 200 && totals.received == 0, "{totals:?}");
    for node in ["a", "b"] {
        assert!(bed.lab.in_node(node, || sys::interface::carrier("eth0").unwrap()).unwrap());
    }
    bed.set(Way::Both, Impairment::default());
    let totals = bed.datagrams(1000).totals();
    assert_eq!(totals.lost, 0, "{totals:?}");
}

#[test]
fn delay_adds_to_each_way_and_a_rate_limits() {
    let Some(bed) = Bed::build() else { return };
    // What this machine adds itself, with nobody asking for it.
    let base = bed.datagrams(1000).delay(50);
    bed.set(Way::Both, Impairment { delay: Duration::from_millis(20), ..Impairment::default() });
    let report = bed.datagrams(1000);
    let median = report.delay(50);
    let added = Duration::from_millis(20);
    assert!(median >= added && median < base + 2 * added, "{median:?}, without a delay {base:?}");
    assert_eq!((report.totals().lost, report.totals().reordered), (0, 0));
    let trip = ping(bed.lab.namespace("a").unwrap(), &PingOptions { count: 5, ..PingOptions::new(B4) });
    let trip = trip.unwrap().median().unwrap();
    assert!((40..160).contains(&trip.as_millis()), "there and back: {trip:?}");
    // 200 + 14 + 24 octets at 952 kbit/s: 500 datagrams per second, of 2000.
    let rate = Some(Rate::bits_per_second(952_000));
    bed.set(Way::Both, Impairment { rate, queue: Queue(10_000), ..Impairment::default() });
    let totals = bed.datagrams(2000).totals();
    let share = totals.received * 100 / totals.sent.max(1);
    assert!((15..36).contains(&share), "a quarter, and what the queue held: {totals:?}");
}

#[test]
fn wired_sites_lose_the_carrier_at_both_gateways_and_get_it_back() {
    if !able("wire::wired_sites_lose_the_carrier_at_both_gateways_and_get_it_back", &[]) {
        return;
    }
    let sites = WiredSites::build(2, 1600, 1).unwrap();
    let carrier = |node: &str, device: &str| {
        sites.lab().in_node(node, || sys::interface::carrier(device).unwrap()).unwrap()
    };
    sites.impair("ch1", Way::AToB, |impairment| impairment.blackhole = true).unwrap();
    sites.cut(&["ch1"]).unwrap();
    assert!(!carrier("gw-a", "ch1") && !carrier("gw-b", "ch1"));
    assert!(carrier("gw-a", "ch2") && carrier("gw-b", "ch2"));
    let state = sites.states().unwrap().remove(0);
    assert!(state.cut && state.a_to_b.blackhole && !state.b_to_a.blackhole, "{state:?}");
    sites.heal(&["ch1"]).unwrap();
    assert!(carrier("gw-a", "ch1") && carrier("gw-b", "ch1"));
    let state = sites.states().unwrap().remove(0);
    assert!(!state.cut && state.a_to_b.is_none(), "{state:?}");
    let refused = sites.cut(&["ch1", "ch7"]).unwrap_err().to_string();
    assert!(refused.contains("ch7") && refused.contains("ch1, ch2") && carrier("gw-a", "ch1"), "{refused}");
}

fn wait(millis: u64) {
    Stop::new().wait(Duration::from_millis(millis));
}

const B4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
const B6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));
const PATIENCE: Duration = Duration::from_secs(5);
