//! How workers spend their time.

use std::time::Duration;

use dataplane::StageTime;

use super::word;
use crate::{
    api::{
        model::{RuntimeCalls, RuntimeSchedule, RuntimeStage, WorkerRuntime},
        source::Facts,
    },
    runtime::{Calls, ONE_IN, Sampled, Schedule},
    worker::Report,
};

/// All workers that answered.
pub(crate) fn runtime(facts: &Facts) -> Vec<WorkerRuntime> {
    facts.reports.iter().map(|report| one(facts, report)).collect()
}

fn one(facts: &Facts, report: &Report) -> WorkerRuntime {
    let account = &report.account;
    WorkerRuntime {
        worker: report.snapshot.worker.0,
        poll: word(&facts.config.runtime.poll),
        ran_ns: nanos(account.asleep + account.looking + account.working),
        asleep_ns: nanos(account.asleep),
        looking_ns: nanos(account.looking),
        working_ns: nanos(account.working),
        schedule: report.schedule.map(schedule),
        wakes: account.wakes,
        wakes_called: account.called,
        rounds: account.rounds,
        receive: calls(account.receive),
        send: calls(account.send),
        taken: calls(account.taken),
        handed: calls(account.handed),
        refused: account.refused,
        deadlines: account.deadlines,
        late_ns: nanos(account.late),
        latest_ns: nanos(account.latest),
        timed_one_in: ONE_IN,
        timed: account.sampled.pieces,
        stages: stages(&account.sampled),
    }
}

/// Forwarding is what is left of the dataplane's time.
fn stages(sampled: &Sampled) -> Vec<RuntimeStage> {
    let within = &sampled.stages;
    let time = sampled.handle.time.saturating_sub(within.time());
    let forward = StageTime { frames: sampled.handle.frames, time };
    let stage = |(name, one): (&str, StageTime)| RuntimeStage {
        stage: name.to_owned(),
        frames: one.frames,
        ns: nanos(one.time),
    };
    [
        ("receive", sampled.receive),
        ("validate", within.validate),
        ("forward", forward),
        ("cut", within.cut),
        ("protect", within.protect),
        ("send", sampled.send),
    ]
    .map(stage)
    .to_vec()
}

const fn calls(of: Calls) -> RuntimeCalls {
    RuntimeCalls { calls: of.calls, empty: of.empty, frames: of.frames }
}

fn schedule(of: Schedule) -> RuntimeSchedule {
    RuntimeSchedule { ran_ns: nanos(of.ran), waited_ns: nanos(of.waited), turns: of.turns }
}

/// Enough for 584 years.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
