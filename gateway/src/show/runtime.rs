//! How workers spend their time.

use super::{
    look::Look,
    table::{number, table, text},
    units::{count, span},
};
use crate::api::model::{RuntimeCalls, RuntimeSchedule, RuntimeStage, WorkerRuntime};

/// What happened between two documents of the same gateway. The worst stays the worst since the start.
pub fn runtime_between(before: &[WorkerRuntime], after: Vec<WorkerRuntime>) -> Vec<WorkerRuntime> {
    let known = |worker: u16| before.iter().find(|one| one.worker == worker);
    after
        .into_iter()
        .map(|one| known(one.worker).map_or_else(|| one.clone(), |was| since(was, &one)))
        .collect()
}

fn since(was: &WorkerRuntime, now: &WorkerRuntime) -> WorkerRuntime {
    let stages = now.stages.iter().zip(&was.stages).map(|(now, was)| RuntimeStage {
        stage: now.stage.clone(),
        frames: now.frames.saturating_sub(was.frames),
        ns: now.ns.saturating_sub(was.ns),
    });
    let schedule = now.schedule.zip(was.schedule).map(|(now, was)| RuntimeSchedule {
        ran_ns: now.ran_ns.saturating_sub(was.ran_ns),
        waited_ns: now.waited_ns.saturating_sub(was.waited_ns),
        turns: now.turns.saturating_sub(was.turns),
    });
    WorkerRuntime {
        worker: now.worker,
        poll: now.poll.clone(),
        ran_ns: now.ran_ns.saturating_sub(was.ran_ns),
        asleep_ns: now.asleep_ns.saturating_sub(was.asleep_ns),
        looking_ns: now.looking_ns.saturating_sub(was.looking_ns),
        working_ns: now.working_ns.saturating_sub(was.working_ns),
        schedule,
        wakes: now.wakes.saturating_sub(was.wakes),
        wakes_called: now.wakes_called.saturating_sub(was.wakes_called),
        rounds: now.rounds.saturating_sub(was.rounds),
        receive: between(was.receive, now.receive),
        send: between(was.send, now.send),
        taken: between(was.taken, now.taken),
        handed: between(was.handed, now.handed),
        refused: now.refused.saturating_sub(was.refused),
        deadlines: now.deadlines.saturating_sub(was.deadlines),
        late_ns: now.late_ns.saturating_sub(was.late_ns),
        latest_ns: now.latest_ns,
        timed_one_in: now.timed_one_in,
        timed: now.timed.saturating_sub(was.timed),
        stages: stages.collect(),
    }
}

const fn between(was: RuntimeCalls, now: RuntimeCalls) -> RuntimeCalls {
    RuntimeCalls {
        calls: now.calls.saturating_sub(was.calls),
        empty: now.empty.saturating_sub(was.empty),
        frames: now.frames.saturating_sub(was.frames),
    }
}

/// Workers, then their stages.
pub fn runtime(look: &Look, workers: &[WorkerRuntime]) -> String {
    let longest = workers.iter().map(|one| one.ran_ns).max().unwrap_or(0);
    let what = [workers_table(look, workers), stages_table(look, workers), legend(workers)].join("\n");
    format!("over {}\n\n{what}", length(longest))
}

fn workers_table(look: &Look, workers: &[WorkerRuntime]) -> String {
    let columns = [
        text("WORKER"),
        text("POLL").rank(5),
        number("BUSY"),
        number("LOOKING").rank(2),
        number("NO CPU"),
        number("WAKES/S").rank(1),
        number("ROUNDS/S").rank(6),
        number("RX/S"),
        number("PER CALL"),
        number("TX/S"),
        number("PER CALL"),
        number("FROM OTHERS/S").rank(4),
        number("TO OTHERS/S").rank(4),
        number("REFUSED").rank(2),
        number("LATE").rank(3),
        number("LATEST"),
    ];
    let row = |one: &WorkerRuntime| {
        let rate = |events: u64| count(per_second(events, one.ran_ns));
        vec![
            one.worker.to_string(),
            one.poll.clone(),
            share(one.working_ns, one.ran_ns),
            share(one.looking_ns, one.ran_ns),
            one.schedule.map_or_else(|| "-".to_owned(), |kernel| share(kernel.waited_ns, one.ran_ns)),
            rate(one.wakes),
            rate(one.rounds),
            rate(one.receive.frames),
            each(one.receive.frames, one.receive.calls),
            rate(one.send.frames),
            each(one.send.frames, one.send.calls),
            rate(one.taken.frames),
            rate(one.handed.frames),
            count(one.refused),
            one.late_ns.checked_div(one.deadlines).map_or_else(|| "-".to_owned(), length),
            length(one.latest_ns),
        ]
    };
    table(look, &columns, &workers.iter().map(row).collect::<Vec<_>>(), "no worker answered")
}

fn stages_table(look: &Look, workers: &[WorkerRuntime]) -> String {
    let columns =
        [text("WORKER"), text("STAGE"), number("NS/FRAME"), number("SHARE"), number("FRAMES TIMED").rank(1)];
    let rows = workers.iter().flat_map(|one| {
        let all: u64 = one.stages.iter().map(|stage| stage.ns).sum();
        let timed = one.stages.iter().filter(|stage| stage.ns > 0);
        timed.map(move |stage| {
            vec![
                one.worker.to_string(),
                stage.stage.clone(),
                stage.ns.checked_div(stage.frames).map_or_else(|| "-".to_owned(), |ns| ns.to_string()),
                share(stage.ns, all),
                count(stage.frames),
            ]
        })
    });
    table(look, &columns, &rows.collect::<Vec<_>>(), "no stage was timed: too little happened")
}

fn legend(workers: &[WorkerRuntime]) -> String {
    let one_in = workers.first().map_or(0, |one| one.timed_one_in);
    format!(
        "BUSY: awake with frames. NO CPU: ready, while others had the processors.\n\
         LATE: behind a deadline, on average; LATEST: at most, since the start.\n\
         Stages: one look at a port in {one_in} is timed, by the wall's clock. Cutting\n\
         counts what super-frames become; forwarding includes joining.\n"
    )
}

/// How many a second.
fn per_second(events: u64, over_ns: u64) -> u64 {
    let rate = u128::from(events) * 1_000_000_000 / u128::from(over_ns.max(1));
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// `12.3 %`, rounded.
fn share(part: u64, whole: u64) -> String {
    let tenths = (u128::from(part) * 1000 + u128::from(whole) / 2) / u128::from(whole.max(1));
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// How many each, with one digit behind the point.
fn each(frames: u64, calls: u64) -> String {
    let tenths = (u128::from(frames) * 10).checked_div(u128::from(calls));
    tenths.map_or_else(|| "-".to_owned(), |tenths| format!("{}.{}", tenths / 10, tenths % 10))
}

/// A time: `870 ns`, `12.3 us`, `4.56 ms`, `2 s`, `4h05m`.
fn length(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{}.{} us", ns / 1_000, ns % 1_000 / 100),
        1_000_000..1_000_000_000 => format!("{}.{:02} ms", ns / 1_000_000, ns % 1_000_000 / 10_000),
        1_000_000_000..60_000_000_000 => {
            format!("{}.{:02} s", ns / 1_000_000_000, ns % 1_000_000_000 / 10_000_000)
        }
        _ => span(ns / 1_000_000_000),
    }
}
