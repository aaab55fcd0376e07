//! Planned work: a channel is drained under traffic, and nothing is lost; other people's routers hear what they should.
//!
//! Every test builds its own network (`support/sites.rs`, `support/edge.rs`), one at a time. Needs root and the tools; skipped
//! loudly without, and failed under `CI=true`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod support;

use std::time::Duration;

use serde_json::Value;
use support::edge::{Edge, Setting};
use support::gateway::Gateway;
use support::peers::{Daemon, Peering};
use support::shell::{iperf, must, ping, until};
use support::sites::{Plan, Sites};

const PATIENCE: Duration = Duration::from_secs(30);
/// Microseconds that any machine has moved its traffic within; how fast it is on a good one is measured elsewhere.
const SOON_US: u64 = 1_000_000;
const BGP: Plan = Plan { channels: 3, bgp: true, ..Plan::DEFAULT };

fn attachment(gateway: &Gateway, channel: &str) -> Value {
    let list = gateway.api("connections");
    let all = list["items"][0]["attachments"].as_array().unwrap();
    all.iter().find(|one| one["channel"] == channel).unwrap().clone()
}

/// Packets on their way through a channel, both directions, as both gateways count them.
fn through(sites: &Sites, channel: &str) -> u64 {
    let of = |gateway| {
        let one = attachment(gateway, channel);
        one["rx_transit"].as_u64().unwrap() + one["tx_transit"].as_u64().unwrap()
    };
    of(&sites.a) + of(&sites.b)
}

fn wait_live(sites: &Sites, live: u64) {
    until(&format!("{live} attachments are live: {} {}", sites.a.log(), sites.b.log()), PATIENCE, || {
        let count = |one: &Gateway| one.api("connections")["items"][0]["live"].as_u64();
        (count(&sites.a) == Some(live) && count(&sites.b) == Some(live)).then_some(())
    });
}

/// Both know all the ways.
fn wait_routes(sites: &Sites) {
    let ways = |one: &Gateway, prefix: &str| {
        let list = one.api("routes");
        let found = list["items"].as_array().unwrap().iter().find(|route| route["prefix"] == prefix).cloned();
        found.and_then(|route| Some(route["hops"].as_array()?.len()))
    };
    until("each site has three ways to the other", PATIENCE, || {
        let a = ["10.2.0.0/24", "fd00:2::/64"].map(|prefix| ways(&sites.a, prefix));
        let b = ["10.1.0.0/24", "fd00:1::/64"].map(|prefix| ways(&sites.b, prefix));
        (a == [Some(3); 2] && b == [Some(3); 2]).then_some(())
    });
}

fn await_through(sites: &Sites, channel: &str) {
    let before = through(sites, channel);
    until(&format!("{channel} carries traffic"), PATIENCE, || {
        (through(sites, channel) > before + 50).then_some(())
    });
}

// RFC 8326: no packet needs to be lost by planned work.
#[test]
fn a_drained_channel_carries_nothing_and_nothing_is_lost_in_every_mode() {
    for (mode, workers) in [("ecmp", 1), ("ecmp", 2), ("active-standby", 1), ("duplicate", 2)] {
        let protection: &'static str = match mode {
            "ecmp" => "protection = \"ecmp\"",
            "duplicate" => "protection = \"duplicate\"",
            _ => {
                "protection = \"active-standby\"\nstandby = { hold_down = \"100ms\", revert_delay = \"100ms\" }"
            }
        };
        let plan = Plan { workers, connection: protection, ..BGP };
        let Some(sites) = Sites::start("drain::nothing_is_lost", plan) else { return };
        wait_live(&sites, 3);
        wait_routes(&sites);
        let runs = sites.traffic(12);
        await_through(&sites, "ch1");
        let told = sites.a.cli(&["drain", "ch1"]);
        assert_eq!(told.status, Some(0), "{mode}: {}\n{}", told.text, sites.a.log());
        assert!(told.text.contains("ch1: safe to work on"), "{}", told.text);
        let before = through(&sites, "ch1");
        await_through(&sites, "ch2");
        ping(&sites.lab, "h-a", 20, "-i 0.01 10.2.0.2");
        assert_eq!(through(&sites, "ch1"), before, "{mode}: it is drained");
        assert_eq!(attachment(&sites.a, "ch1")["state"], "reserve");
        let shown = sites.a.says("show channels");
        assert!(shown.contains("reserve drained") && shown.contains("! ch1 was drained"), "{shown}");
        let left = sites.a.says("show events ch1 --since 1m");
        assert!(left.contains("left drained") && left.contains("2 of 3"), "{left}");
        let done = sites.a.says("undrain ch1");
        assert!(done.contains("may carry traffic again"), "{done}");
        await_through(&sites, "ch1");
        for (run, way) in runs.into_iter().zip(["A to B", "B to A"]) {
            let totals = run.stop().unwrap().totals();
            println!("{mode}, {workers} workers, {way}: {totals:?}");
            let got = (totals.lost, totals.duplicated, totals.damaged, totals.refused);
            assert_eq!(
                got,
                (0, 0, 0, 0),
                "{mode} {way}: {totals:?} {} | {}",
                sites.a.drops(),
                sites.b.drops()
            );
            assert!(totals.received > 500, "{totals:?}");
        }
        let ended = [&sites.a, &sites.b].map(Gateway::bgp_ends);
        assert!(ended.iter().all(Vec::is_empty), "{ended:?}");
        sites.end();
    }
}

#[test]
fn planned_work_has_rules_a_time_and_a_memory() {
    let plan = Plan { channels: 3, ..Plan::DEFAULT };
    let Some(mut sites) = Sites::start("drain::rules", plan) else { return };
    wait_live(&sites, 3);
    // Static routes: our side moves at once, and nobody tells the far end.
    let told = sites.a.cli(&["drain", "ch1", "--no-wait"]);
    assert_eq!(told.status, Some(0), "{}", told.text);
    let list = sites.a.api("channels");
    assert_eq!(list["items"][0]["drain"]["neighbors"], 0, "{list}");
    let refused = sites.a.cli(&["drain", "ch2"]);
    assert!(
        refused.status == Some(1)
            && refused.text.contains("`ch1` of the same interconnect is drained already")
    );
    assert_eq!(sites.a.cli(&["drain", "nobody"]).status, Some(1));
    // It outlives the process.
    sites.a.kill();
    sites.a.start(&sites.lab);
    until("it is remembered", PATIENCE, || {
        (attachment(&sites.a, "ch1")["reason"] == "drained").then_some(())
    });
    sites.wait_reachable();
    sites.a.says("undrain ch1");
    assert!(sites.a.cli(&["undrain", "ch1"]).text.contains("is not drained"));
    // Forced, all of them may be drained: nothing that works is cut.
    sites.a.says("drain ch1 --no-wait");
    sites.a.says("drain ch2 --no-wait --force");
    let last = sites.a.cli(&["drain", "ch3", "--no-wait"]);
    assert_eq!(last.status, Some(1), "{}", last.text);
    sites.a.says("drain ch3 --no-wait --force");
    assert_eq!(sites.a.api("connections")["items"][0]["state"], "degraded");
    ping(&sites.lab, "h-a", 5, "-i 0.05 10.2.0.2");
    // And end by themselves.
    for channel in ["ch1", "ch2", "ch3"] {
        sites.a.says(&format!("drain {channel} --for 1s --no-wait --force"));
    }
    wait_live(&sites, 3);
    assert_eq!(sites.a.events("channel.undrained").last().unwrap()["why"], "time");
    sites.end();
}

#[test]
fn a_cut_is_recorded_with_its_cause_its_times_and_its_cost() {
    let Some(sites) = Sites::start("drain::record", Plan { channels: 2, ..Plan::DEFAULT }) else { return };
    wait_live(&sites, 2);
    let runs = sites.traffic(12);
    await_through(&sites, "ch1");
    until("the rates of a second are known", PATIENCE, || (through(&sites, "ch1") > 3000).then_some(()));
    must(&sites.lab, "gw-b", "ip link set ch1 down");
    wait_live(&sites, 1);
    must(&sites.lab, "gw-b", "ip link set ch1 up");
    wait_live(&sites, 2);
    let reports = runs.map(|run| run.stop().unwrap());
    let lost: u64 = reports.iter().map(|report| report.totals().lost).sum();
    let mut estimated = 0;
    for gateway in [&sites.a, &sites.b] {
        let record = gateway.api("events");
        let all = record["items"].as_array().unwrap();
        assert_eq!(record["last"].as_u64(), all.last().unwrap()["id"].as_u64());
        let left: Vec<_> = all.iter().filter(|one| one["change"] == "left").collect();
        let [left] = left[..] else { panic!("{record:#}") };
        assert!(["no_carrier", "port_down"].contains(&left["reason"].as_str().unwrap()), "{left}");
        assert_eq!((&left["channel"], &left["live"], &left["total"]), (&"ch1".into(), &1.into(), &2.into()));
        assert!(left["frames_per_second"].as_u64() > Some(20), "{left}");
        assert!(left["switched_us"].as_u64().is_some_and(|us| us < SOON_US), "{left}");
        assert!(left["detected_us"].as_u64() < Some(1_000_000), "{left}");
        estimated += left["lost"].as_u64().unwrap();
        let last = all.last().unwrap();
        assert_eq!((&last["change"], &last["channel"]), (&"returned".into(), &"ch1".into()));
        let newer = gateway.api(&format!("events?after={}", last["id"]));
        assert_eq!(newer["items"].as_array().unwrap().len(), 0);
    }
    // Both ways together have 1000 packets a second: a host that was not served for a while sent fewer than the rate says, or
    // many at once. How long that was shows in the flows that lost nothing.
    let spared = reports.iter().flat_map(|report| &report.flows).filter(|flow| flow.lost.is_empty());
    let stalled = spared.map(|flow| flow.longest_gap).max().unwrap_or_default();
    let slack = u64::try_from(stalled.as_millis()).unwrap().max(50);
    println!("lost {lost}, estimated {estimated}, stalled {stalled:?}");
    assert!(estimated.abs_diff(lost) <= slack, "lost {lost}, estimated {estimated}, stalled {stalled:?}");
    sites.end();
}

#[test]
fn the_last_live_channel_is_refused() {
    let Some(sites) = Sites::start("drain::last", Plan { channels: 1, ..Plan::DEFAULT }) else { return };
    wait_live(&sites, 1);
    let refused = sites.a.cli(&["drain", "ch1"]);
    assert!(
        refused.status == Some(1) && refused.text.contains("last live channel of connection `blue`"),
        "{}",
        refused.text
    );
    sites.end();
}

/// What FRR hears of our prefix while the channel to it is drained, by the profile of the far end.
#[test]
fn other_peoples_routers_hear_graceful_shutdown_and_what_their_cloud_heeds() {
    for (profile, heard, not) in [
        ("quadspan", &["graceful-shutdown"][..], &["7224", "65001 65001"][..]),
        ("aws-dx", &["graceful-shutdown", "7224:7100", "65001 65001 65001 65001 65001"], &["7224:7200"]),
        ("gcp-cci", &["graceful-shutdown", "metric 1000000"], &["65001 65001"]),
        ("azure-er-direct", &["graceful-shutdown", "65001 65001 65001 65001 65001"], &["7224"]),
    ] {
        let bgp = "announce = [\"lans\"]\n[[connection.neighbor]]\non = \"ch1\"\nname = \"r1\"\nasn = 65002\n\
                   connect_retry = \"1s\"\nimport = \"accept\"\nexport = \"accept\"\n";
        let setting = Setting { profile, bgp, vlan: Some(100), ..Setting::PLAIN };
        let Some(edge) = Edge::start_with("drain::frr", setting) else { return };
        let prefixes = vec!["203.0.113.0/24".to_owned()];
        let peer = edge.peer(Daemon::Frr, &Peering { hold: 90, prefixes, ..Peering::default() });
        edge.await_up("r1");
        let told = || peer.ask(&edge.lab, "show bgp ipv4 unicast 10.1.0.0/24");
        let hears = |words: &[&str]| words.iter().all(|word| told().contains(word));
        edge.await_that("routes cross", || hears(&["65001"]) && edge.uses("203.0.113.0/24"));
        assert!(!told().contains("graceful-shutdown"), "{}", told());
        edge.gateway.says("drain ch1 --force --no-wait");
        edge.await_that(&format!("{profile}: {heard:?} is heard: {}", told()), || hears(heard));
        assert!(!not.iter().any(|word| told().contains(word)), "{profile}: {}", told());
        assert_eq!(edge.neighbor("r1")["draining"], true);
        // It is the only way, and goes on working.
        ping(&edge.lab, "host", 2, "203.0.113.1");
        edge.gateway.says("undrain ch1");
        edge.await_that("it is taken back", || !hears(&["graceful-shutdown"]) && hears(&["65001"]));
        let ended = edge.gateway.bgp_ends();
        assert!(ended.is_empty(), "{ended:?}");
        edge.end();
    }
}

#[test]
fn a_drill_tells_who_moves_and_who_does_not() {
    let bfd = "[connection.attachment.bfd]\nmin_tx = \"50ms\"\n";
    for attachment in [bfd, ""] {
        let plan = Plan { channels: 2, attachment, ..Plan::DEFAULT };
        let Some(sites) = Sites::start("drain::drill", plan) else { return };
        wait_live(&sites, 2);
        if !attachment.is_empty() {
            until("BFD is up", PATIENCE, || {
                [&sites.a, &sites.b].iter().all(|one| one.events("bfd.up").len() >= 4).then_some(())
            });
        }
        let runs = sites.traffic(12);
        until("the rates of a second are known", PATIENCE, || (through(&sites, "ch1") > 3000).then_some(()));
        let told = sites.a.cli(&["--json", "drill", "ch1", "--for", "2s"]);
        // What it says on standard error comes behind.
        let end = told.text.rfind(']').map_or(0, |at| at + 1);
        let json = &told.text[..end];
        let all: Value = serde_json::from_str(json).unwrap_or_else(|why| panic!("{why}: {}", told.text));
        let seen = &all[0];
        println!("{seen:#}");
        assert!(told.text.contains("ch1: silent for 2 s\n"), "{}", told.text);
        assert_eq!((&seen["channel"], &seen["carried_by"][0]["channel"]), (&"ch1".into(), &"ch2".into()));
        assert!(seen["switched_us"].as_u64().is_some_and(|us| us < SOON_US), "{seen}");
        assert!(seen["back_after_us"].as_u64().is_some(), "{seen}");
        let lost: u64 = runs.into_iter().map(|run| run.stop().unwrap().totals().lost).sum();
        let counted = seen["lost"].as_u64().unwrap();
        assert!(counted.abs_diff(lost) <= 5, "{counted} counted, {lost} lost");
        if attachment.is_empty() {
            // Nobody told the far end, and it has nothing to find out by.
            assert!(seen["far_end_stayed"] == true && told.status == Some(1) && counted > 50, "{seen}");
        } else {
            assert!(seen["far_end_stayed"] == false && told.status == Some(0), "{seen}");
            assert!(seen["far_end_moved_us"].as_u64().is_some_and(|us| us < SOON_US), "50 ms x 3: {seen}");
        }
        wait_live(&sites, 2);
        sites.end();
    }
}

// What is refused has not begun, and a name that nothing has is told in the words of the command line.
#[test]
fn refusals_are_in_the_words_of_the_command_line() {
    let plan = Plan { mka: Some(""), bgp: true, ..Plan::DEFAULT };
    let Some(sites) = Sites::start("drain::refusals", plan) else { return };
    let neighbor = sites.a.api("bgp")["items"][0]["name"].as_str().unwrap().to_owned();
    let other = format!("{neighbor}x");
    for (line, near, lists) in [
        ("drain ch9", "ch1", "channels"),
        ("undrain ch9", "ch1", "channels"),
        ("drill ch9", "ch1", "channels"),
        ("rekey ch9", "ch1", "channels"),
        ("mka suspend ch9 --for 1s", "ch1", "channels"),
        ("rate bleu 5", "blue", "connections"),
        ("bfd disable blue/ch9", "blue/ch1", "bfd"),
        (&format!("bgp clear {other}"), &neighbor, "bgp"),
    ] {
        let told = sites.a.cli(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(told.status, Some(1), "{line}: {}", told.text);
        let help = format!("did you mean `{near}`? `quadspan show {lists}` lists them");
        assert!(told.text.contains(&help) && told.text.contains("there is no "), "{line}: {}", told.text);
        assert!(!told.text.contains("/v1") && !told.text.contains("silent"), "{line}: {}", told.text);
    }
    let told = sites.a.cli(&["bfd", "disable", "ch1"]);
    assert!(
        told.text.contains("no BFD session runs on `ch1`") && !told.text.contains("/v1"),
        "{}",
        told.text
    );
    sites.a.says("drain ch2 --force --no-wait");
    let told = sites.a.cli(&["drill", "ch1"]);
    assert!(told.status == Some(1) && !told.text.contains("silent for"), "{}", told.text);
    sites.end();
}

#[test]
fn a_rate_holds_and_changes_while_tcp_runs() {
    let Some(sites) = Sites::start("drain::rate", Plan { connection: "rate = 20", ..Plan::DEFAULT }) else {
        return;
    };
    let mbps =
        |seconds: u32| iperf(&sites.lab, "h-a", "h-b", "10.2.0.2", &format!("-t {seconds}")).rate / 1e6;
    let slow = mbps(4);
    println!("20 Mbit/s: {slow}");
    assert!((5.0..23.0).contains(&slow), "{slow}: {}", sites.a.drops());
    assert!(sites.a.drops().contains("policed"), "{}", sites.a.drops());
    let told = [&sites.a, &sites.b].map(|one| one.says("rate blue 60"));
    assert!(told[0].contains("60 Mbit/s each way"), "{told:?}");
    let faster = mbps(4);
    println!("60 Mbit/s: {faster}");
    assert!(faster > slow * 1.5, "{slow} to {faster}");
    assert!((15.0..69.0).contains(&faster), "{faster}: {}", sites.a.drops());
    assert_eq!(sites.a.api("connections")["items"][0]["rate_mbps"], 60);
    sites.a.says("rate blue off");
    assert!(sites.a.api("connections")["items"][0]["rate_mbps"].is_null());
    // A changed file does the same by a reload, and one that says what it said before leaves what was set.
    sites.a.rewrite("rate = 20", "rate = 80");
    assert!(sites.a.says("reload").contains("80 Mbit/s from now on (the file said 20 Mbit/s)"));
    assert_eq!(sites.a.api("connections")["items"][0]["rate_mbps"], 80);
    sites.a.says("rate blue 90");
    sites.a.says("reload");
    assert_eq!(sites.a.api("connections")["items"][0]["rate_mbps"], 90);
    sites.a.says("rate blue off");
    for wrong in [["rate", "blue", "0"], ["rate", "green", "5"], ["rate", "blue", "fast"]] {
        assert_ne!(sites.a.cli(&wrong).status, Some(0));
    }
    names_mean_something_or_are_wrong(&sites.a);
    ping(&sites.lab, "h-a", 10, "-i 0.01 10.2.0.2");
    sites.end();
}

/// Whatever is behind `show NOUN`: a name that nothing has is never answered with "there are none".
fn names_mean_something_or_are_wrong(gateway: &Gateway) {
    for (words, told) in [
        ("show quality ch1", "ch1: no paths that are measured"),
        ("show neighbors ch1", "blue/ch1"),
        ("show bfd blue/ch1", "blue/ch1: no BFD sessions"),
        ("show events ch1", ""),
        ("show events blue/ch1", ""),
        ("show routes blue", "10.2.0.0/24"),
        ("show drops channel/ch1", ""),
    ] {
        assert!(gateway.says(words).contains(told), "{words}: {}", gateway.says(words));
    }
    for (words, told) in [
        ("show quality nosuch", "there is no `nosuch` here"),
        ("show neighbors blue/nosuch", "there is no `blue/nosuch` here"),
        ("show bfd ch99", "there is no `ch99` here"),
        ("show events nosuch", "there is no `nosuch` here"),
        ("show drops nosuch", "there is: "),
        ("show routes nosuch", "there is: blue"),
        ("show routes nosuch 10.2.0.0/24", "there is no `nosuch` here"),
        ("show routes 10.2.0.0/33", "`10.2.0.0/33` is not a prefix"),
    ] {
        let ended = gateway.cli(&words.split(' ').collect::<Vec<_>>());
        assert!(ended.status == Some(1) && ended.text.contains(told), "{words}: {}", ended.text);
    }
}
