//! `quadspan show runtime` beside what really happened: frames of hosts, load, sleep.
//!
//! Needs root and the tools; skipped loudly without, and failed under `CI=true`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod support;

use std::time::Duration;

use serde_json::Value;
use support::{
    shell::{must, until},
    sites::{Plan, Sites},
};

const PATIENCE: Duration = Duration::from_secs(20);

fn worker(sites: &Sites, at: usize) -> Value {
    let list = sites.a.api("runtime");
    list.pointer(&format!("/items/{at}")).cloned().unwrap_or_default()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// Of a stage: frames and nanoseconds.
fn stage(worker: &Value, name: &str) -> (u64, u64) {
    let stages = worker["stages"].as_array().unwrap();
    let one = stages.iter().find(|one| one["stage"] == name).unwrap();
    (number(&one["frames"]), number(&one["ns"]))
}

#[test]
fn the_account_of_a_worker_is_that_of_the_traffic() {
    let Some(sites) = Sites::start("runtime::account", Plan { workers: 2, ..Plan::DEFAULT }) else { return };
    let before = [worker(&sites, 0), worker(&sites, 1)];
    let sent = 400;
    must(&sites.lab, "h-a", &format!("ping -q -n -c {sent} -i 0.002 10.2.0.2"));
    let after = || [worker(&sites, 0), worker(&sites, 1)];
    let gained = |what: &str, part: &str| -> u64 {
        let sum = |of: &[Value; 2]| of.iter().map(|one| number(&one[what][part])).sum::<u64>();
        sum(&after()) - sum(&before)
    };
    // A request by the LAN and a channel, a reply back: two frames each way at this gateway.
    until("both ways are counted", PATIENCE, || (gained("receive", "frames") >= 2 * sent).then_some(()));
    assert!(gained("send", "frames") >= 2 * sent && gained("send", "calls") > 0);
    for (before, after) in before.iter().zip(after()) {
        let time = |of: &Value, what: &str| number(&of[what]);
        let parts = ["asleep_ns", "looking_ns", "working_ns"];
        assert_eq!(parts.iter().map(|part| time(&after, part)).sum::<u64>(), time(&after, "ran_ns"));
        assert!(time(&after, "ran_ns") > time(before, "ran_ns"));
        assert!(time(&after, "wakes") > time(before, "wakes"), "{after}");
        assert_eq!(after["poll"], "interrupt");
    }
    // Enough happened for stages to be timed, the AEAD among them.
    let timed =
        |name: &str| after().iter().map(|one| stage(one, name)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    for name in ["receive", "forward", "send"] {
        let (frames, nanos) = timed(name);
        assert!(frames > 0 && nanos > frames, "{name}: {frames} frames, {nanos} ns");
    }
    assert!(timed("validate").0 + timed("protect").0 > 0);
    let screen = sites.a.says("show runtime --over 300ms");
    assert!(screen.contains("WORKER") && screen.contains("LATEST"), "{screen}");
    let total = sites.a.says("show runtime --total");
    assert!(total.contains("protect") || total.contains("validate"), "{total}");
}
