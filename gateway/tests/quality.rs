//! Path quality by STAMP: a lossy path is left while its link is up and taken again when it is good; and another implementation at
//! the far end.
//!
//! Every test builds its own network (`support/sites.rs`, `support/edge.rs`), one at a time. Needs root and the tools; skipped
//! loudly without, and failed under `CI=true`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod support;

use std::time::Duration;

use gateway::clock;
use gateway::lab::wire::{Impairment, Way, quantity::Share};
use serde_json::Value;
use support::able;
use support::edge::{Edge, Setting};
use support::gateway::Gateway;
use support::shell::{background, ping, sh, until};
use support::sites::{Plan, Sites};

const PATIENCE: Duration = Duration::from_secs(40);
const MEASURED: Plan = Plan {
    wired: true,
    connection: "quality = { interval = \"20ms\", loss = \"2%\", leave_after = 2, return_after = 4 }",
    ..Plan::DEFAULT
};

fn attachment(gateway: &Gateway, channel: &str) -> Value {
    let list = gateway.api("connections");
    let all = list["items"][0]["attachments"].as_array().unwrap();
    all.iter().find(|one| one["channel"] == channel).unwrap().clone()
}

fn path(gateway: &Gateway, channel: &str) -> Value {
    let list = gateway.api("quality");
    let name = format!("blue/{channel}");
    list["items"].as_array().unwrap().iter().find(|one| one["attachment"] == name.as_str()).unwrap().clone()
}

fn await_state(sites: &Sites, channel: &str, state: &str) -> Duration {
    let began = clock::now();
    until(&format!("{channel} is {state} at both"), PATIENCE, || {
        [&sites.a, &sites.b].iter().all(|one| attachment(one, channel)["state"] == state).then_some(())
    });
    clock::now().since(began)
}

fn lossy(sites: &Sites, channel: usize, percent: u32) {
    let loss = Share::percent(percent);
    sites.wire().set(channel, Way::Both, Impairment { loss, ..Impairment::default() }).unwrap();
}

fn transit(gateway: &Gateway, channel: &str) -> u64 {
    attachment(gateway, channel)["tx_transit"].as_u64().unwrap()
}

#[test]
fn a_lossy_path_is_left_and_taken_again_and_the_last_one_is_kept() {
    let Some(sites) = Sites::start("quality::lossy", MEASURED) else { return };
    for channel in ["ch1", "ch2"] {
        await_state(&sites, channel, "live");
    }
    until("a second was measured", PATIENCE, || {
        (path(&sites.a, "ch1")["sent"].as_u64() > Some(30)).then_some(())
    });
    let seen = path(&sites.a, "ch1");
    assert_eq!(
        (&seen["state"], &seen["lost"], &seen["action"]),
        (&"good".into(), &0.into(), &"leave".into())
    );
    assert!(seen["rtt_us"].as_u64().is_some_and(|us| us < 1_000_000), "{seen}");
    assert!(seen["reflected"].as_u64() > Some(0), "{seen}");

    lossy(&sites, 0, 5);
    let left = await_state(&sites, "ch1", "reserve");
    assert!(left < Duration::from_secs(10), "{left:?}");
    let seen = path(&sites.b, "ch1");
    assert_eq!((&seen["state"], &seen["reason"]), (&"bad".into(), &"loss".into()));
    assert_eq!(attachment(&sites.a, "ch2")["state"], "live");
    assert_eq!(attachment(&sites.a, "ch1")["reason"], "quality");
    let before = transit(&sites.a, "ch1") + transit(&sites.b, "ch1");
    ping(&sites.lab, "h-a", 50, "-i 0.01 10.2.0.2");
    assert_eq!(transit(&sites.a, "ch1") + transit(&sites.b, "ch1"), before, "traffic left it, both ways");
    let record = sites.a.says("show events ch1");
    for name in ["ch1", "blue/ch1"] {
        let one = sites.a.says(&format!("show quality {name}"));
        assert!(one.contains("blue/ch1") && !one.contains("blue/ch2"), "{name}: {one}");
    }
    assert!(record.contains("left quality") && record.contains("path quality: loss"), "{record}");

    lossy(&sites, 0, 0);
    let back = await_state(&sites, "ch1", "live");
    println!("left after {left:?}, back after {back:?}");
    let first = |one: &&Value| one["attachment"] == "blue/ch1";
    let count = |one: &Gateway| one.events("quality.bad").iter().filter(first).count();
    assert_eq!((count(&sites.a), count(&sites.b)), (1, 1), "it does not flap");

    // Both are bad: whatever is measured, the last path is not left.
    lossy(&sites, 0, 30);
    lossy(&sites, 1, 30);
    await_state(&sites, "ch1", "reserve");
    await_state(&sites, "ch2", "reserve");
    assert_eq!(sites.a.api("connections")["items"][0]["state"], "degraded");
    sites.wait_reachable();
    lossy(&sites, 0, 0);
    await_state(&sites, "ch1", "live");
    sites.end();
}

#[test]
fn a_report_only_reports() {
    let connection = "quality = { interval = \"20ms\", leave_after = 1, action = \"report\" }";
    let Some(sites) = Sites::start("quality::report", Plan { connection, ..MEASURED }) else { return };
    await_state(&sites, "ch1", "live");
    lossy(&sites, 0, 20);
    until("it is told", PATIENCE, || (path(&sites.a, "ch1")["state"] == "bad").then_some(()));
    assert_eq!(attachment(&sites.a, "ch1")["state"], "live");
    assert!(!sites.a.events("quality.bad").is_empty());
    sites.end();
}

/// RFC 8762 with and without authentication, by a program that shares no line with ours.
#[test]
fn another_implementation_is_reflected_and_reflects() {
    if !able("quality::another_implementation", &["python3"]) {
        return;
    }
    for key in ["-", "correct-horse"] {
        let more = if key == "-" { "" } else { "key = { file = \"md5\" }\n" };
        let bgp = format!(
            "[connection.quality]\ninterval = \"20ms\"\nleave_after = 1\nreturn_after = 1\n{more}\
             [[connection.route]]\nprefix = \"203.0.113.0/24\"\nvia = \"attachments\"\n"
        );
        let Some(edge) =
            Edge::start_with("quality::another_implementation", Setting { bgp: &bgp, ..Setting::PLAIN })
        else {
            return;
        };
        let script = edge.folder.path().join("stamp.py");
        std::fs::write(&script, include_str!("support/stamp.py")).unwrap();
        let script = script.display().to_string();
        until("nobody reflects: all is lost", PATIENCE, || {
            (path(&edge.gateway, "ch1")["reason"] == "loss").then_some(())
        });
        let probed = sh(&edge.lab, "peer", &format!("python3 {script} probe 10.255.0.1 {key}"));
        assert_eq!(probed.text.trim(), "20 of 20", "{key}: {probed:?} {:#}", path(&edge.gateway, "ch1"));
        assert_eq!(path(&edge.gateway, "ch1")["reflected"], 20);
        let reflector = background(&edge.lab, "peer", "python3", &[&script, "reflect", "10.255.0.2", key]);
        until("it is measured against", PATIENCE, || {
            let seen = path(&edge.gateway, "ch1");
            (seen["state"] == "good" && seen["lost"] == 0 && seen["rtt_us"].as_u64() > Some(0)).then_some(())
        });
        // The wrong key, or none: refused, and counted.
        let wrong = if key == "-" { "" } else { "no-horse" };
        if !wrong.is_empty() {
            let refused = path(&edge.gateway, "ch1")["refused"].as_u64().unwrap();
            assert_ne!(
                sh(&edge.lab, "peer", &format!("python3 {script} probe 10.255.0.1 {wrong}")).status,
                Some(0)
            );
            assert!(path(&edge.gateway, "ch1")["refused"].as_u64() > Some(refused));
            assert!(edge.gateway.drops().contains("probe_refused"), "{}", edge.gateway.drops());
        }
        drop(reflector);
        edge.end();
    }
}
