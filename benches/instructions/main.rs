//! How many instructions things cost, held against what they cost before.
//!
//! Time on a shared machine tells little of a change of a few per cent; instructions hardly vary. Each case runs by itself
//! under callgrind, which counts only inside [`counted`]: what prepares it is left out. Callgrind shows every program the same
//! processor (AVX2 and AES-NI, no AVX-512 and no VAES), so libraries that choose code by processor choose alike on all x86-64 machines that
//! have these; the AEAD is counted as it is there. Counts say nothing about caches, branches or waiting: those are for `cargo bench` and the rig.
//!
//! `baseline.txt` beside this file has the counts that were accepted. More than 5 % above them is a failure; a change that is meant to cost
//! more accepts new ones in the same commit, so that its price can be seen:
//!
//! ```text
//! cargo run --release -p benches --bin instructions             # all cases beside the baseline
//! cargo run --release -p benches --bin instructions -- --check  # and fails, as ./test does
//! cargo run --release -p benches --bin instructions -- --accept # writes the baseline anew
//! ```
#![forbid(unsafe_code)]

mod baseline;
mod callgrind;
mod cases;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use baseline::Baseline;
use cases::CASES;

/// Instructions of what a frame goes through, beside what was accepted.
#[derive(Debug, Parser)]
struct Options {
    /// Only cases whose names contain this
    #[arg(default_value = "")]
    filter: String,
    /// Fail when a case costs over 5 % more than was accepted
    #[arg(long)]
    check: bool,
    /// Accept what cases cost now
    #[arg(long, conflicts_with = "check")]
    accept: bool,
    /// Run one case; for callgrind
    #[arg(long, hide = true)]
    run: Option<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match work(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("instructions: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// False when something costs too much.
fn work(options: &Options) -> Result<bool> {
    if let Some(name) = &options.run {
        let case = CASES.iter().find(|case| case.name == name).with_context(|| format!("no case {name}"))?;
        (case.run)();
        return Ok(true);
    }
    let mut baseline = Baseline::read()?;
    let mut fine = true;
    println!("{:<28} {:>12} {:>12}  {:>8}  unit", "case", "instructions", "accepted", "change");
    for case in CASES.iter().filter(|case| case.name.contains(&options.filter)) {
        let count = callgrind::count(case.name)? / case.units;
        let verdict = baseline.judge(case.name, count);
        println!("{:<28} {count:>12} {verdict}  {}", case.name, case.unit);
        fine &= !verdict.fails();
        baseline.set(case.name, count);
    }
    if options.accept {
        baseline.write()?;
        return Ok(true);
    }
    if options.check && !fine {
        eprintln!(
            "instructions: more than {} % above {}, or not in it: make it cheaper, or accept what it costs in the same commit with\n  \
             cargo run --release -p benches --bin instructions -- --accept",
            baseline::TOLERANCE,
            baseline::FILE,
        );
    }
    Ok(fine || !options.check)
}

/// What callgrind counts: everything inside.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
    // Something behind the call, so that it stays one.
    core::hint::black_box(());
}
