//! The machine itself: processor, memory, clock, timers.

use std::{fs, hint::black_box, time::Duration};

use serde::Serialize;

use super::stopwatch::{per_item, quantile};
use crate::clock;

/// What the machine is, and what it does without any gateway.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MachineFigures {
    /// The processor's name.
    pub processor: String,
    /// Processors that this process may use.
    pub processors: usize,
    /// Instructions for AES-GCM that the processor has: `aes`, `vaes`, `pclmulqdq`, `vpclmulqdq`, `avx2`, `avx512f`; on ARM `aes`, `pmull`.
    pub features: Vec<String>,
    /// It runs below a hypervisor, which may take processors away without a trace here.
    pub virtual_machine: bool,
    /// Copying within memory, beyond all caches: 10^9 octets a second.
    pub copy_gb_per_s: f64,
    /// Reading the clock, in nanoseconds.
    pub clock_ns: f64,
    /// How late a timer of one millisecond is: in the middle, 99 of 100, and at most, in microseconds.
    pub timer_late_us: [u64; 3],
}

/// What matters to AES-GCM.
const FEATURES: [&str; 7] = ["aes", "vaes", "pclmulqdq", "vpclmulqdq", "pmull", "avx2", "avx512f"];
/// Octets that are copied: more than caches hold.
const BLOCK: usize = 64 << 20;
/// Octets that are copied in one turn: less than a millisecond's work, so that on a busy machine some turns are not interrupted.
const SLICE: usize = 4 << 20;
/// How often a timer is waited for.
const TIMERS: usize = 200;

pub(super) fn measure() -> MachineFigures {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = flags(&text);
    let has = |name: &&&str| flags.contains(*name);
    MachineFigures {
        processor: processor(&text),
        processors: sys::process::processors().map_or(1, |all| all.len()),
        features: FEATURES.iter().filter(has).map(|name| (*name).to_owned()).collect(),
        virtual_machine: flags.contains(&"hypervisor"),
        copy_gb_per_s: copy(),
        clock_ns: per_item(
            Duration::from_millis(50),
            1000,
            &mut (),
            |()| (),
            |()| {
                (0..1000).for_each(|_| _ = black_box(clock::now()));
            },
        ),
        timer_late_us: timers(),
    }
}

fn flags(text: &str) -> Vec<&str> {
    let line = text.lines().find(|line| line.starts_with("flags") || line.starts_with("Features"));
    line.and_then(|line| line.split_once(':'))
        .map(|(_, all)| all.split_whitespace().collect())
        .unwrap_or_default()
}

fn processor(text: &str) -> String {
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':'))
        .map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

/// One slice after the other of blocks that no cache holds, round and round.
fn copy() -> f64 {
    let (from, mut to) = (vec![1_u8; BLOCK], vec![2_u8; BLOCK]);
    let mut slices = (0..BLOCK / SLICE).cycle();
    let ns = per_item(
        Duration::from_millis(300),
        SLICE,
        &mut to,
        |_| (),
        |to| {
            let at = slices.next().unwrap_or(0) * SLICE..;
            let pair = from.get(at.clone()).zip(to.get_mut(at));
            if let Some((from, to)) = pair.and_then(|(from, to)| from.get(..SLICE).zip(to.get_mut(..SLICE))) {
                to.copy_from_slice(black_box(from));
                let _last = black_box(to.last());
            }
        },
    );
    1.0 / ns
}

fn timers() -> [u64; 3] {
    let step = Duration::from_millis(1);
    let mut late: Vec<_> = (0..TIMERS)
        .map(|_| {
            let due = clock::now().after(step);
            sys::rest(step);
            clock::now().since(due)
        })
        .collect();
    [50, 99, 100].map(|percent| u64::try_from(quantile(&mut late, percent).as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_of_both_kinds_are_read() {
        let x86 = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu aes vaes hypervisor\n";
        assert_eq!((processor(x86).as_str(), flags(x86).contains(&"vaes")), ("AMD EPYC", true));
        let arm = "processor\t: 0\nFeatures\t: fp asimd aes pmull\n";
        assert_eq!((processor(arm).as_str(), flags(arm).contains(&"pmull")), ("unknown", true));
    }
}
