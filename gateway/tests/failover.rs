//! `quadspan demo --failover`: every act is measured, in numbers that fit together, and the report stands alone.
//!
//! Budgets of milliseconds are for a build with optimisation on a machine that has nothing else to do, so the exit code
//! is only held against the document here, and silences against what no failover may ever take. Skipped loudly where
//! namespaces are forbidden, and failed there under `CI=true`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::process::Command;

use serde_json::Value;

#[test]
fn every_act_is_measured_and_the_report_stands_alone() {
    let report = std::env::temp_dir().join(format!("quadspan-failover-{}.html", std::process::id()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_quadspan"));
    let output = command.args(["demo", "--failover", "--json", "--report"]).arg(&report).output().unwrap();
    let talk = String::from_utf8(output.stderr).unwrap();
    if output.status.code() == Some(NOT_PERMITTED) {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "under CI nothing is skipped: {talk}");
        eprintln!("SKIPPED: {talk}");
        return;
    }
    let page = std::fs::read_to_string(&report).unwrap_or_default();
    let _removed = std::fs::remove_file(&report);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["error"], Value::Null, "{talk}");
    assert_eq!(document["ok"], output.status.success(), "the exit code is the verdict: {talk}");
    let scenes = document["scenes"].as_array().unwrap();
    let names = |scene: &Value| ["mode", "act"].map(|key| scene[key].as_str().unwrap().to_owned());
    let played: Vec<_> = scenes.iter().map(names).collect();
    let acts =
        ["link-down", "black-hole", "drain", "kill-and-restart", "planned-restart", "three-of-four", "lossy"];
    let modes = ["ecmp", "active-standby", "duplicate"];
    let wanted = modes.iter().flat_map(|mode| acts.map(|act| [*mode, act].map(str::to_owned)));
    assert_eq!(played, wanted.collect::<Vec<_>>());
    scenes.iter().for_each(|scene| check(scene, &talk));
    assert_eq!(page.matches("<svg").count(), 2 * scenes.len());
    assert!(!page.contains("http") && page.trim_end().ends_with("</html>"), "nothing from elsewhere");
}

fn check(scene: &Value, talk: &str) {
    let act = scene["act"].as_str().unwrap();
    let (link, mode) = (act != "kill-and-restart", scene["mode"].as_str().unwrap());
    let late = scene["lateness"].as_f64().unwrap();
    let longest = longest(late);
    if act == "planned-restart" {
        return check_handover(scene, talk);
    }
    let detected = scene["detected"].as_f64();
    // A drain is safe after a second without traffic, and quality is measured by the second.
    let slow = ["drain", "lossy"].contains(&act);
    let soon = if slow { 10.0 * longest } else { longest };
    assert!(detected.is_some_and(|seconds| seconds < soon), "{act}: {detected:?}\n{talk}");
    let silent = act == "black-hole";
    let why = match act {
        "black-hole" | "kill-and-restart" => "bfd_down",
        "drain" => "drained",
        "lossy" => "loss",
        _ => "no_carrier",
    };
    assert!(scene["reasons"].to_string().contains(why), "{act}: {}", scene["reasons"]);
    for seen in scene["directions"].as_array().unwrap() {
        let number = |name: &str| seen[name].as_u64().unwrap();
        let gap = seen["gap"].as_f64().unwrap();
        let (hurt, flows) = (number("flows_hurt"), number("flows"));
        // Without optimisation both copies may wait for longer than their numbers are remembered.
        let twice = number("duplicated");
        assert!(
            number("damaged") == 0 && (twice == 0 || mode == "duplicate"),
            "{act} ({mode}): {seen}\n{talk}"
        );
        assert!(number("sent") > 10_000 && hurt > 0, "{act}: {seen}\n{talk}");
        if act == "lossy" {
            assert!(number("lost_left") <= number("lost"), "{act} ({mode}): {seen}\n{talk}");
            assert!(mode == "duplicate" || number("lost") > 0, "{act} ({mode}): {seen}\n{talk}");
        }
        if link {
            assert!(gap < longest, "{act} ({mode}), timers {late} s late: {seen}\n{talk}");
            // A machine that stood still for so long hurt flows of channels that were well.
            let spared = hurt < flows;
            assert!(late > STOOD_STILL || spared == (mode == "ecmp"), "{act} ({mode}): {seen}\n{talk}");
            // A black hole is found by silence: flows that went there, and there only, were silent, too.
            let only_there = silent && mode != "duplicate";
            assert!(!only_there || gap > 0.05, "{act} ({mode}): {seen}\n{talk}");
        } else {
            // A process cannot be started in no time, and while it is away every flow is silent.
            assert!(gap > 0.01 && hurt == flows && number("lost") > 0, "{act}: {seen}\n{talk}");
        }
    }
    let plots = scene["plots"].as_array().unwrap();
    let arrivals = |plot: &Value| {
        let rows = plot["rows"].as_array().unwrap().iter();
        rows.flat_map(|row| row[1].as_array().unwrap()).map(|n| n.as_u64().unwrap()).sum::<u64>()
    };
    assert!(plots.len() == 2 && plots.iter().all(|plot| arrivals(plot) > 100), "{act}: plots show traffic");
}

/// Nothing breaks, so there is nothing to find: who is starved here may call it a failure all the same.
fn check_handover(scene: &Value, talk: &str) {
    let late = scene["lateness"].as_f64().unwrap();
    // BFD found something where nothing broke: gateways were kept from working, and queues ran over.
    let starved = late > STOOD_STILL || !scene["detected"].is_null();
    for seen in scene["directions"].as_array().unwrap() {
        let number = |name: &str| seen[name].as_u64().unwrap();
        assert!(number("flows_hurt") == number("flows") && number("damaged") == 0, "{seen}\n{talk}");
        assert!(seen["gap"].as_f64().unwrap() < longest(late), "timers {late} s late: {seen}\n{talk}");
        let most = number("sent") / if starved { 2 } else { 10 };
        assert!(number("lost") < most, "{seen}, starved: {starved}, timers {late} s late\n{talk}");
    }
    assert_eq!(scene["plots"].as_array().unwrap().len(), 2);
}

/// Seconds that traffic may be silent when a link goes down, whatever the build, on a machine whose timers were so late.
fn longest(late: f64) -> f64 {
    LONGEST + 4.0 * late
}

/// The same where timers are in time.
const LONGEST: f64 = 1.0;
/// Timers so late, in seconds, mean that frames were lost for want of a processor.
const STOOD_STILL: f64 = 0.1;
/// Exit code: the system does not allow what it needs.
const NOT_PERMITTED: i32 = 5;
