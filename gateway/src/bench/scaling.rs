//! Whether workers get in each other's way: one of a gateway's workers alone, and several at the same time, each with a connection and a
//! processor of its own. What they share ([`super::memory`]) is what costs; the processors' caches and clock frequency are in it, too.
//!
//! By wall-clock, in turns (one, two, four, one, two, four ...), so that an hour in which others use the processors falls on all alike.

use std::{fs, sync::Barrier, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use dataplane::BATCH;
use net::Instant;
use serde::Serialize;

use super::{
    memory::{Road, roads},
    stopwatch::real,
};
use crate::{clock, policer};

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
    /// How many times what one carries all of them carry: the median of all turns.
    pub times: f64,
}

/// The most workers that are tried.
const MOST: usize = 8;
/// In each, every number of workers has its turn.
const TURNS: usize = 15;
/// How long a turn of one number of workers takes.
const TURN: Duration = Duration::from_millis(30);
/// Batches between two looks at the clock.
const BATCHES: u32 = 16;

/// For each size, and each number of workers that this process has processors for; empty when it has only one.
pub(super) fn measure(sizes: &[usize]) -> Result<Vec<ScalingFigures>> {
    let processors = by_core(sys::process::processors().context("which processors there are")?);
    let counts = counts(processors.len());
    let mut all = Vec::new();
    for octets in sizes.iter().filter(|_| !counts.is_empty()) {
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
    let ends = siblings.trim().split([',', '-']).filter_map(|one| one.parse::<usize>().ok());
    ends.filter(|other| *other < cpu).count()
}

fn one(octets: usize, counts: &[usize], processors: &[usize], turn: Duration) -> Result<Vec<ScalingFigures>> {
    let most = u8::try_from(counts.iter().copied().max().unwrap_or(1))?;
    let mut roads = roads(most, octets, Some(policer::HIGHEST), clock::now())?;
    let (mut alone, mut together) = (Vec::new(), vec![Vec::new(); counts.len()]);
    for _ in 0..TURNS {
        alone.push(at_once(&mut roads, 1, processors, turn)?);
        for (rates, count) in together.iter_mut().zip(counts) {
            rates.push(at_once(&mut roads, *count, processors, turn)?);
        }
    }
    let figures = |(count, rates): (&usize, &Vec<f64>)| {
        Ok(ScalingFigures {
            octets,
            workers: u8::try_from(*count)?,
            alone_mpps: median(alone.clone()) / 1e6,
            together_mpps: median(rates.clone()) / 1e6,
            times: median(rates.iter().zip(&alone).map(|(all, one)| all / one).collect()),
        })
    };
    counts.iter().zip(&together).map(figures).collect()
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// Frames a second that the first so many workers carry at the same time, each on a thread and a processor of its own.
fn at_once(roads: &mut Vec<Road>, count: usize, processors: &[usize], time: Duration) -> Result<f64> {
    ensure!(count <= roads.len().min(processors.len()), "{count} workers are more than there can be");
    let start = Barrier::new(count);
    let rest = roads.split_off(count);
    let done = thread::scope(|scope| {
        // Each road moves to its thread's own stack, as a worker does.
        let each = roads.drain(..).zip(processors).map(|(road, cpu)| {
            let start = &start;
            scope.spawn(move || drive(road, *cpu, start, time))
        });
        let threads: Vec<_> = each.collect();
        threads.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let mut sum = 0.0;
    for one in done {
        let (road, rate) = one.ok().context("a thread ended before its time")?;
        roads.push(road);
        sum += rate?;
    }
    roads.extend(rest);
    Ok(sum)
}

/// Has a road busy for this long; how many frames a second came through. All threads begin together.
fn drive(mut road: Road, cpu: usize, start: &Barrier, time: Duration) -> (Road, Result<f64>) {
    let pinned = sys::process::pin_thread(cpu).with_context(|| format!("a thread for processor {cpu} alone"));
    (0..BATCHES).for_each(|_| road.pass(clock::now()));
    start.wait();
    road.arrived = 0;
    let (began, mut batches) = (clock::now(), 0);
    while batches == 0 || clock::now().since(began) < time {
        (0..BATCHES).for_each(|_| road.pass(clock::now()));
        batches += BATCHES;
    }
    let rate = pinned.and_then(|()| rate(&mut road, batches, began));
    (road, rate)
}

fn rate(road: &mut Road, batches: u32, began: Instant) -> Result<f64> {
    let took = clock::now().since(began).as_secs_f64();
    let sent = u64::from(batches) * u64::try_from(BATCH)?;
    ensure!(u64::try_from(road.arrived)? == sent, "{} of {sent} frames came through in memory", road.arrived);
    ensure!(road.crossings() == 0, "a worker had something for another one");
    Ok(real(sent) / took)
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
            [("0\n", 0, 0), ("0,64\n", 0, 0), ("0,64\n", 64, 1), ("2-3\n", 3, 1), ("", 5, 0)]
        {
            assert_eq!(place(siblings, cpu), expected, "{siblings:?} {cpu}");
        }
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
        let mut roads = roads(2, 64, None, clock::now()).unwrap();
        let error = at_once(&mut roads, 2, &[100_000, 100_001], Duration::ZERO).unwrap_err();
        assert!(format!("{error:#}").contains("processor 100000"), "{error:#}");
    }
}
