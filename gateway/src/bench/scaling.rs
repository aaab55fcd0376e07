//! Whether workers get in each other's way: one of a gateway's workers alone, and several at the same time, each with a connection and a
//! processor of its own. What they share ([`super::memory`]) is what costs; the processors' caches and clock frequency are in it, too.
//!
//! By wall-clock, in turns (one, two, four, one, two, four ...). The kernel knows how long a thread waited for its processor; the third of all
//! turns whose threads waited least is what counts, and the waiting of the thread that waited most is a figure, too. What a hypervisor takes, nobody here
//! knows.

use std::{fs, thread, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use crossbeam::channel::{Receiver, Sender, bounded};
use dataplane::BATCH;
use serde::Serialize;

use super::{
    memory::{Road, Wish, roads},
    stopwatch::real,
};
use crate::{clock, policer, runtime::Schedule};

/// What workers of one gateway carry at the same time, beside what one of them carries alone: from LAN to LAN through both gateways.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ScalingFigures {
    /// Octets of a frame on the LAN, from the destination address on, without FCS.
    pub octets: usize,
    /// Workers of each gateway that worked at the same time.
    pub workers: u8,
    /// 10^6 frames a second of one worker alone.
    pub alone_mpps: f64,
    /// 10^6 frames a second of all of them together.
    pub together_mpps: f64,
    /// How many times what one carries all of them carry: the median of the third of all turns that waited least.
    pub times: f64,
    /// How long the thread that waited most waited for its processor in these turns, in per cent of the time: others used it meanwhile.
    pub waited_percent: f64,
}

impl ScalingFigures {
    /// Nobody else used the processors, to speak of.
    pub(super) fn is_quiet(&self) -> bool {
        self.waited_percent < 5.0
    }
}

/// What one number of workers did in a turn.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    /// Frames a second.
    rate: f64,
    /// How long the thread that waited most waited for its processor, as a part of the time.
    waited: f64,
}

/// The most workers that are tried.
const MOST: usize = 8;
/// In each, every number of workers has its turn.
const TURNS: usize = 45;
/// Those that count: the quietest.
const KEPT: usize = TURNS / 3;
/// How long a turn of one number of workers takes: short, so that some are quiet where others work, too.
const TURN: Duration = Duration::from_millis(10);
/// Batches between two looks at the clock.
const BATCHES: u32 = 16;

/// For each size, and each number of workers that this process has processors for.
///
/// # Errors
/// When it has only one; when threads cannot be made, given a processor each, or seen waiting for it; when a frame is lost.
pub(super) fn measure(sizes: &[usize]) -> Result<Vec<ScalingFigures>> {
    let processors = by_core(sys::process::processors().context("which processors there are")?);
    // A container may have many, and be given the time of few.
    let granted = thread::available_parallelism().map_or(1, usize::from);
    let counts = counts(processors.len().min(granted));
    ensure!(!counts.is_empty(), "this process may use one processor only");
    let mut all = Vec::new();
    for octets in sizes {
        all.extend(one(*octets, &counts, &processors, TURN)?);
    }
    Ok(all)
}

/// 2, 4 and 8, as far as there are processors.
fn counts(processors: usize) -> Vec<usize> {
    core::iter::successors(Some(2), |count| Some(count * 2))
        .take_while(|count| *count <= processors.min(MOST))
        .collect()
}

/// The first thread of each core, then the second ones: two workers on one core would show what cores share, not workers.
fn by_core(mut processors: Vec<usize>) -> Vec<usize> {
    processors.sort_by_key(|cpu| {
        let file = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        (place(&fs::read_to_string(file).unwrap_or_default(), *cpu), *cpu)
    });
    processors
}

/// How many threads of its core come before a processor, by the kernel's list of them: `0,64`, or `0-1`.
fn place(siblings: &str, cpu: usize) -> usize {
    let ends = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    let all = siblings.trim().split(',').filter_map(ends).flatten();
    all.filter(|other: &usize| *other < cpu).count()
}

fn one(octets: usize, counts: &[usize], processors: &[usize], turn: Duration) -> Result<Vec<ScalingFigures>> {
    let most = u8::try_from(counts.iter().copied().max().unwrap_or(1))?;
    let wish = Wish { rate: Some(policer::HIGHEST), ..Wish::of(octets) };
    let mut roads = roads(most, wish, clock::now())?;
    let (mut alone, mut together) = (Vec::new(), vec![Vec::new(); counts.len()]);
    for _ in 0..TURNS {
        alone.push(at_once(&mut roads, 1, processors, turn)?);
        for (turns, count) in together.iter_mut().zip(counts) {
            turns.push(at_once(&mut roads, *count, processors, turn)?);
        }
    }
    let each = counts.iter().zip(&together);
    each.map(|(count, together)| Ok(figures(octets, u8::try_from(*count)?, &alone, together))).collect()
}

/// What follows from turns of one worker and the turns of several that came right behind them.
fn figures(octets: usize, workers: u8, alone: &[Turn], together: &[Turn]) -> ScalingFigures {
    let mut pairs: Vec<_> = alone.iter().zip(together).collect();
    let waited = |(one, all): &(&Turn, &Turn)| one.waited.max(all.waited);
    pairs.sort_by(|a, b| waited(a).total_cmp(&waited(b)));
    pairs.truncate(KEPT);
    let of = |what: &dyn Fn(&(&Turn, &Turn)) -> f64| median(pairs.iter().map(what).collect());
    ScalingFigures {
        octets,
        workers,
        alone_mpps: of(&|(one, _)| one.rate / 1e6),
        together_mpps: of(&|(_, all)| all.rate / 1e6),
        times: of(&|(one, all)| all.rate / one.rate),
        waited_percent: of(&|pair| waited(pair) * 100.0),
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// What the first so many workers carry at the same time, each on a thread and a processor of its own.
fn at_once(roads: &mut Vec<Road>, count: usize, processors: &[usize], time: Duration) -> Result<Turn> {
    ensure!(count <= roads.len().min(processors.len()), "{count} workers are more than there can be");
    let (ready, all_ready) = bounded(count);
    let (go, start) = bounded(count);
    let rest = roads.split_off(count);
    let done = thread::scope(|scope| -> Result<Vec<_>> {
        let mut threads = Vec::new();
        // Each road moves to its thread's own stack, as a worker does.
        for (road, cpu) in roads.drain(..).zip(processors) {
            let (ready, start) = (ready.clone(), start.clone());
            let driving = move || drive(road, *cpu, ready, &start, time);
            threads.push(thread::Builder::new().spawn_scoped(scope, driving).context("no thread to be had")?);
        }
        drop(ready);
        // Whoever fails before does not say so, and the others do not wait for it: they hear that nobody starts them.
        let all = all_ready.iter().count() == count;
        for _ in 0..if all { count } else { 0 } {
            let _heard = go.send(());
        }
        drop(go);
        let ended =
            |thread: thread::ScopedJoinHandle<'_, _>| thread.join().map_err(|_| anyhow!("a thread panicked"));
        threads.into_iter().map(ended).collect()
    })?;
    let mut sum = Turn::default();
    for (road, turn) in done {
        roads.push(road);
        let turn = turn?;
        sum.rate += turn.rate;
        sum.waited = sum.waited.max(turn.waited);
    }
    roads.extend(rest);
    Ok(sum)
}

/// Has a road busy for this long. All threads begin together, or not at all.
fn drive(
    mut road: Road,
    cpu: usize,
    ready: Sender<()>,
    start: &Receiver<()>,
    time: Duration,
) -> (Road, Result<Turn>) {
    let turn = sys::process::pin_thread(cpu).with_context(|| format!("a thread for processor {cpu} alone"));
    let turn = turn.and_then(|()| {
        (0..BATCHES).for_each(|_| road.pass(clock::now()));
        let _known = ready.send(());
        drop(ready);
        start.recv().context("another thread could not begin")?;
        run(&mut road, time)
    });
    (road, turn)
}

fn run(road: &mut Road, time: Duration) -> Result<Turn> {
    road.arrived = 0;
    let (before, began, mut batches) = (schedule()?, clock::now(), 0);
    while batches == 0 || clock::now().since(began) < time {
        (0..BATCHES).for_each(|_| road.pass(clock::now()));
        batches += BATCHES;
    }
    let took = clock::now().since(began).as_secs_f64();
    let after = schedule()?;
    ensure!(after.ran > before.ran, "this kernel does not count how long threads run and wait");
    let waited = after.waited.saturating_sub(before.waited);
    Ok(Turn { rate: real(check(road, batches)?) / took, waited: waited.as_secs_f64() / took })
}

/// How long this thread ran, and waited for a processor.
fn schedule() -> Result<Schedule> {
    Schedule::of(sys::process::thread_id())
        .context("this kernel does not say how long threads wait for a processor")
}

/// The frames of so many batches, all of which came through, by nobody else's help.
fn check(road: &mut Road, batches: u32) -> Result<u64> {
    let (sent, arrived) = (u64::from(batches) * u64::try_from(BATCH)?, u64::try_from(road.arrived)?);
    ensure!(arrived == sent, "{arrived} of {sent} frames came through in memory");
    ensure!(road.crossings() == 0, "a worker had something for another one");
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_workers_double_as_far_as_there_are_processors() {
        for (processors, expected) in
            [(1, vec![]), (2, vec![2]), (7, vec![2, 4]), (8, vec![2, 4, 8]), (96, vec![2, 4, 8])]
        {
            assert_eq!(counts(processors), expected, "{processors}");
        }
    }

    #[test]
    fn the_second_thread_of_a_core_comes_last() {
        for (siblings, cpu, expected) in
            [("0\n", 0, 0), ("0,64\n", 0, 0), ("0,64\n", 64, 1), ("2-3\n", 3, 1), ("0-3\n", 2, 2), ("", 5, 0)]
        {
            assert_eq!(place(siblings, cpu), expected, "{siblings:?} {cpu}");
        }
    }

    #[test]
    fn the_quietest_turns_count() {
        let turn = |rate, waited| Turn { rate, waited };
        // Each third turn is quiet: then two carry 1.9 times what one does; else one of both has half a processor.
        let (mut alone, mut together) = (Vec::new(), Vec::new());
        for at in 0..TURNS {
            let quiet = at % 3 == 1;
            alone.push(if quiet { turn(1e6, 0.0) } else { turn(0.5e6, 0.5) });
            together.push(if quiet { turn(1.9e6, 0.02) } else { turn(1.4e6, 0.3) });
        }
        let figures = figures(64, 2, &alone, &together);
        let found = [figures.alone_mpps, figures.together_mpps, figures.times, figures.waited_percent];
        for (found, expected) in found.into_iter().zip([1.0, 1.9, 1.9, 2.0]) {
            assert!((found - expected).abs() < 1e-9, "{figures:?}");
        }
        assert!(figures.is_quiet());
        assert!(!self::figures(64, 2, &[turn(0.5e6, 0.5)], &[turn(1.4e6, 0.3)]).is_quiet());
    }

    #[test]
    fn two_on_one_processor_wait_for_each_other() {
        let cpu = sys::process::processors().unwrap()[0];
        let mut roads = roads(2, Wish::of(64), clock::now()).unwrap();
        let turn = at_once(&mut roads, 2, &[cpu, cpu], Duration::from_millis(200)).unwrap();
        assert!(turn.waited > 0.2, "{turn:?}");
    }

    /// Debug builds on a busy machine say nothing of speed, so only that all of them work at the same time.
    #[test]
    fn workers_run_at_once_and_all_of_their_frames_arrive() {
        let here = sys::process::processors().unwrap();
        // On a machine with one processor they share it.
        let processors: Vec<_> = here.iter().copied().cycle().take(2).collect();
        let all = one(64, &[2], &processors, Duration::from_millis(1)).unwrap();
        let [figures] = all[..] else { panic!("{all:?}") };
        assert_eq!((figures.octets, figures.workers), (64, 2));
        assert!(
            figures.alone_mpps > 0.0 && figures.together_mpps > 0.0 && figures.times > 0.0,
            "{figures:?}"
        );
    }

    #[test]
    fn a_processor_that_is_not_there_is_an_error_and_no_figure() {
        let mut roads = roads(2, Wish::of(64), clock::now()).unwrap();
        let error = at_once(&mut roads, 2, &[100_000, 100_001], Duration::ZERO).unwrap_err();
        assert!(format!("{error:#}").contains("processor 100000"), "{error:#}");
    }
}
