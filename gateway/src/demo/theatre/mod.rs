//! `quadspan demo --failover`: the same two sites, broken in one way after the other while numbered traffic flows, with
//! what each failure cost.
//!
//! Each [`Act`](act::Act) has its own traffic, so that its numbers are its own: flows each way, one thing broken in
//! their middle, mended after a while. What the receiving kernels stamped is held against what was sent
//! ([`measure`]): the longest silence of any flow beyond its own spacing, what was lost, came twice or out of order,
//! and whether flows of other channels were touched. When the gateways noticed is in their logs ([`detect`](super::detect)). Which flow
//! went over which channel is seen on the wires, by length, without any key.
//!
//! Budgets are for a machine whose timers are on time. They grow with the lateness that was measured before the first
//! act and that was seen during each, and with the silences before anything was broken ([`budget`]); all are printed.
//! The exit code is 0 only within budgets.
//!
//! To add an act: a name in [`act::Act`], what it breaks and mends, what it may cost. Acts that need what the gateways
//! cannot do yet are left out of the [`act::PROGRAMME`].

mod act;
mod budget;
mod measure;
mod outcome;
mod plot;
mod report;
mod stage;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;

pub use self::act::Act;
use self::outcome::Evening;
use self::stage::Stage;
use super::Options;
use super::outcome::{check_table, short};
use super::talk::Talk;
use super::timers::usual_lateness;
use crate::clock;
use crate::lab::Stop;

/// Plays all acts, once with each mode. To be called inside the process's own namespaces.
pub(super) fn run(options: &Options, talk: Talk, stop: &Stop) -> ExitCode {
    let mut evening = Evening::new(usual_lateness());
    talk.step(format_args!(
        "timers are up to {} late here (p99); budgets grow by four times that, by four times what an act sees, and by what flows suffer before it",
        short(evening.lateness())
    ));
    let played = play_all(options, talk, stop, &mut evening);
    if let Err(error) = &played {
        talk.block(format_args!("error: {error:#}"));
        evening.error = Some(format!("{error:#}"));
    }
    evening.conclude(clock::now().since(talk.started()));
    show(talk, &evening);
    match publish(options, talk, &evening) {
        Ok(()) if evening.ok => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            talk.block(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn play_all(options: &Options, talk: Talk, stop: &Stop, evening: &mut Evening) -> anyhow::Result<()> {
    let programme = if options.acts.is_empty() { act::PROGRAMME } else { &options.acts };
    for &mode in &options.mode {
        let mut stage = Stage::build(mode, talk, stop)?;
        for &act in programme {
            let scene = stage.play(act, evening.lateness());
            let scene = scene.with_context(|| format!("{} with {}", act.title(), mode.word()));
            match scene {
                Ok(scene) => evening.add(scene),
                Err(error) => {
                    talk.block(format_args!("the gateways' logs are in {}", stage.keep_logs().display()));
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

fn show(talk: Talk, evening: &Evening) {
    if evening.scenes.is_empty() {
        return;
    }
    talk.block(format_args!("\n{}\n", outcome::table(&evening.scenes)));
    talk.block(check_table(evening.verdict.checks(), |ok| talk.outcome(ok)));
    let checks = evening.verdict.checks().len();
    let failed: Vec<&str> = evening.verdict.failed().map(|check| check.name.as_str()).collect();
    if failed.is_empty() && evening.ok {
        talk.block(format_args!("\n{}: all {checks} checks held", talk.outcome(true)));
    } else {
        talk.block(format_args!("\n{}: {}", talk.outcome(false), failed.join("; ")));
    }
}

/// Writes the documents that were asked for.
fn publish(options: &Options, talk: Talk, evening: &Evening) -> anyhow::Result<()> {
    if let Some(file) = &options.report {
        let page = report::page(evening);
        std::fs::write(file, page).with_context(|| format!("writing {}", file.display()))?;
        talk.step(format_args!("the report is in {}", file.display()));
    }
    if options.json {
        let mut out = io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, evening)?;
        writeln!(out).and_then(|()| out.flush()).context("writing the document")?;
    }
    Ok(())
}
