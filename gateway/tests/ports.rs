//! Links that go down and interfaces that are deleted and made again, while traffic flows: survived, reported, and
//! forgotten once it is over.
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
use gateway::lab::traffic::udp::{Totals, UdpFlow, UdpOptions, UdpRun};
use gateway::lab::{End, Link, Stop, Topology};
use support::gateway::Gateway;
use support::shell::{iperf, must, until};
use support::sites::{Plan, Sites};

const PATIENCE: Duration = Duration::from_secs(20);
const ONE: Plan = Plan { channels: 1, ..Plan::DEFAULT };

/// Datagrams both ways, all the time, in both families.
struct Traffic(UdpRun, UdpRun);

impl Traffic {
    fn start(sites: &Sites) -> Self {
        let flow = |to: &str, number: u16| UdpFlow {
            to: to.parse().unwrap(),
            source_port: 40_000 + number,
            packet: 400,
        };
        let run = |from, to, four, six| {
            let options = UdpOptions { flows: vec![flow(four, 1), flow(six, 2)], rate: 1000, port: 7000 };
            let (from, to) = (sites.lab.namespace(from).unwrap(), sites.lab.namespace(to).unwrap());
            UdpRun::start(from, to, &options).unwrap()
        };
        Self(run("h-a", "h-b", "10.2.0.2", "fd00:2::2"), run("h-b", "h-a", "10.1.0.2", "fd00:1::2"))
    }

    /// Stops, and holds both directions to it: nothing damaged, nothing twice, and something crossed.
    fn stop(self) -> [Totals; 2] {
        [self.0, self.1].map(|run| {
            let totals = run.stop().unwrap().totals();
            assert_eq!((totals.damaged, totals.duplicated), (0, 0), "{totals:?}");
            assert!(totals.received > 0, "{totals:?}");
            totals
        })
    }
}

/// Waits until `gateway` has logged `event` about `port`, after `from` octets of log.
fn logged(gateway: &Gateway, from: usize, event: &str, port: &str, state: Option<&str>) {
    until(&format!("{event} of {port} in:\n{}", gateway.log()), PATIENCE, || {
        let log = gateway.log();
        let lines =
            log.get(from..)?.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let mut about = lines.filter(|line| line["event"] == event && line["port"] == port);
        about.any(|line| state.is_none_or(|state| line["state"] == state)).then_some(())
    });
}

/// Afterwards everything works, at both, as before: pings, TCP, and counters of frames that were what they should be.
fn assert_well(sites: Sites) {
    sites.wait_reachable();
    for (client, server, address) in [("h-a", "h-b", "10.2.0.2"), ("h-b", "h-a", "fd00:1::2")] {
        let run = iperf(&sites.lab, client, server, address, "-t 1");
        assert!(run.rate > 10e6, "{run:?}");
    }
    sites.assert_clean();
    sites.end();
}

#[test]
fn a_channel_that_loses_its_link_is_down_and_comes_back() {
    let Some(sites) = Sites::start("ports::a_channel_that_loses_its_link", ONE) else { return };
    let traffic = Traffic::start(&sites);
    // Down at B's own end, which takes away A's carrier.
    for _ in 0..2 {
        let (a, b) = (sites.a.log().len(), sites.b.log().len());
        sites.lab.cut("gw-b", "ch1").unwrap();
        logged(&sites.a, a, "port.link", "p1", Some("no_carrier"));
        logged(&sites.b, b, "port.link", "p1", Some("no_carrier"));
        for gateway in [&sites.a, &sites.b] {
            until("the channel is down", PATIENCE, || (!gateway.counted("ch1").live).then_some(()));
        }
        let (a, b) = (sites.a.log().len(), sites.b.log().len());
        sites.lab.heal("gw-b", "ch1").unwrap();
        logged(&sites.a, a, "port.link", "p1", Some("up"));
        logged(&sites.b, b, "port.link", "p1", Some("up"));
        sites.wait_reachable();
    }
    for totals in traffic.stop() {
        assert!(totals.lost > 0, "the link was really down: {totals:?}");
    }
    assert_well(sites);
}

#[test]
fn ports_that_were_down_for_a_moment_only_come_back() {
    let Some(sites) = Sites::start("ports::ports_that_were_down_for_a_moment", ONE) else { return };
    let traffic = Traffic::start(&sites);
    for (node, device) in [("gw-a", "ch1"), ("gw-b", "lan1"), ("gw-b", "ch1")] {
        // Up again before anybody can have looked.
        for _ in 0..10 {
            sites.lab.cut(node, device).unwrap();
            sites.lab.heal(node, device).unwrap();
        }
        sites.wait_reachable();
        for gateway in [&sites.a, &sites.b] {
            until("the channel is live", PATIENCE, || gateway.counted("ch1").live.then_some(()));
        }
    }
    let _lossy = traffic.stop();
    assert_well(sites);
}

#[test]
fn flows_of_a_lost_link_move_to_the_other_one() {
    let Some(sites) = Sites::start("ports::flows_of_a_lost_link_move", Plan::DEFAULT) else { return };
    for channel in ["ch1", "ch2"] {
        sites.lab.cut("gw-a", channel).unwrap();
        until("the channel is down", PATIENCE, || (!sites.a.counted(channel).live).then_some(()));
        until("and at the far end", PATIENCE, || (!sites.b.counted(channel).live).then_some(()));
        let traffic = Traffic::start(&sites);
        Stop::new().wait(Duration::from_millis(500));
        // What is sent later may still be on its way at the end, on a busy machine.
        let until_then = clock::now();
        sites.wait_reachable();
        for run in [traffic.0, traffic.1] {
            let report = run.stop().unwrap();
            let (totals, lost) = (report.totals(), report.lost_between(report.started, until_then));
            let drops = format!("{} | {}", sites.a.drops(), sites.b.drops());
            assert_eq!((lost, totals.reordered), (0, 0), "the live one carries all: {totals:?}: {drops}");
            assert!(totals.received > 300, "{totals:?}");
        }
        sites.lab.heal("gw-a", channel).unwrap();
        until("the channel is live", PATIENCE, || sites.a.counted(channel).live.then_some(()));
        until("and at the far end", PATIENCE, || sites.b.counted(channel).live.then_some(()));
    }
    assert_well(sites);
}

#[test]
fn a_lan_that_loses_its_link_comes_back() {
    let Some(sites) = Sites::start("ports::a_lan_that_loses_its_link", ONE) else { return };
    let traffic = Traffic::start(&sites);
    for node in ["gw-b", "h-b"] {
        let device = if node == "h-b" { "eth0" } else { "lan1" };
        let from = sites.b.log().len();
        sites.lab.cut(node, device).unwrap();
        logged(&sites.b, from, "port.link", "lan", Some("no_carrier"));
        let from = sites.b.log().len();
        sites.lab.heal(node, device).unwrap();
        // The kernel flushed the host's addresses only where its own end went down.
        sites.lab.heal("h-b", "eth0").unwrap();
        logged(&sites.b, from, "port.link", "lan", Some("up"));
        sites.wait_reachable();
    }
    let _lossy = traffic.stop();
    assert_well(sites);
}

#[test]
fn a_channels_interface_can_be_deleted_and_made_again() {
    for workers in [1, 2] {
        let plan = Plan { workers, ..ONE };
        let Some(sites) = Sites::start("ports::a_channels_interface_deleted", plan) else { return };
        let traffic = Traffic::start(&sites);
        for _ in 0..2 {
            let (a, b) = (sites.a.log().len(), sites.b.log().len());
            let link = link_of(plan, "gw-a", "ch1");
            sites.lab.delete_link("gw-a", "ch1").unwrap();
            for (gateway, from) in [(&sites.a, a), (&sites.b, b)] {
                logged(gateway, from, "port.link", "p1", Some("port_down"));
                until("the channel is down", PATIENCE, || (!gateway.counted("ch1").live).then_some(()));
            }
            sites.lab.add_link(&link).unwrap();
            for (gateway, from) in [(&sites.a, a), (&sites.b, b)] {
                logged(gateway, from, "port.reopened", "p1", None);
            }
            sites.wait_reachable();
        }
        let _lossy = traffic.stop();
        assert_well(sites);
    }
}

#[test]
fn a_lans_interface_can_be_deleted_and_made_again() {
    for workers in [1, 2] {
        let plan = Plan { workers, ..ONE };
        let Some(sites) = Sites::start("ports::a_lans_interface_deleted", plan) else { return };
        let traffic = Traffic::start(&sites);
        for _ in 0..2 {
            let from = sites.b.log().len();
            let link = link_of(plan, "gw-b", "lan1");
            sites.lab.delete_link("gw-b", "lan1").unwrap();
            logged(&sites.b, from, "port.link", "lan", Some("port_down"));
            sites.lab.add_link(&link).unwrap();
            sites.lab.heal("h-b", "eth0").unwrap();
            logged(&sites.b, from, "port.reopened", "lan", None);
            sites.wait_reachable();
        }
        let _lossy = traffic.stop();
        assert_well(sites);
    }
}

#[test]
fn a_lost_carrier_is_known_soon_whatever_the_kernel_does_with_the_news() {
    let plan = Plan { channels: 4, ..Plan::DEFAULT };
    let Some(sites) = Sites::start("ports::a_lost_carrier_is_known_soon", plan) else { return };
    let index = |node: &str, device: &str| {
        must(&sites.lab, node, &format!("ip -o link show {device}")).split(':').next().unwrap().to_owned()
    };
    // The kernel tells at once of an end of a pair whose other end has another number, and late where they are the
    // same: both kinds, all at once, so that it has something to be late with.
    let same = (1..=4).filter(|at| index("gw-a", &format!("ch{at}")) == index("gw-b", &format!("ch{at}")));
    let same = same.count();
    let channels = ["ch1", "ch2", "ch3", "ch4"];
    let mut took = [0; 3].map(|_| {
        let cut = clock::now();
        channels.iter().for_each(|channel| sites.lab.cut("gw-b", channel).unwrap());
        for channel in channels {
            until("the channel is down", PATIENCE, || (!sites.a.counted(channel).live).then_some(()));
        }
        let took = clock::now().since(cut);
        channels.iter().for_each(|channel| sites.lab.heal("gw-b", channel).unwrap());
        for channel in channels {
            until("the channel is live", PATIENCE, || sites.a.counted(channel).live.then_some(()));
        }
        took
    });
    took.sort_unstable();
    println!("known after {took:?}, {same} of 4 pairs have one number");
    // The middle one: a machine that is busy may hold up one of them.
    assert!(took[1] < Duration::from_millis(900), "{took:?}, {same} of 4 pairs have one number");
    sites.wait_reachable();
    assert_well(sites);
}

/// The link of the lab's plan that has this end.
fn link_of(plan: Plan, node: &str, device: &str) -> Link {
    let is_it = |end: &End| end.node == node && end.device == device;
    let links = Topology::two_sites(plan.channels, plan.channel_mtu).links;
    links.into_iter().find(|link| link.ends.iter().any(is_it)).unwrap()
}
