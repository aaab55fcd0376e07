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
//! The exit code is 0 only within budgets. Of several runs each is held to them, and the middle one is shown ([`median`]).
//!
//! Loss makes no silence, so it takes a measurement to find it: that act goes on until both gateways have left the channel
//! because of its quality, and shows what was lost before and after that.
//!
//! A planned restart breaks nothing: one gateway hands over to its successor, and nobody may notice more than a pause. Its BGP
//! sessions do begin anew, so both sites keep each other's routes meanwhile (RFC 4724), as they do when a gateway is killed.
//!
//! Who joins the sites is a [`Contender`]: our gateways here ([`Quadspans`]), and what other people use in
//! `benches/theatre`, with the same acts, wires, flows and arithmetic.
//!
//! To add an act: a name in [`act::Act`], what it breaks and mends, what it may cost.

mod act;
mod budget;
mod contender;
mod measure;
mod median;
mod outcome;
mod plot;
mod quadspans;
mod report;
mod stage;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;

pub use self::act::Act;
pub use self::contender::Contender;
pub use self::measure::Direction;
pub use self::median::{Counts, Median, Times, medians, table as median_table};
pub use self::outcome::{Evening, Scene, table};
pub use self::plot::Plot;
pub use self::quadspans::Quadspans;
pub use self::stage::{CHANNEL_MTU, CHANNELS, PATIENCE, Stage};
use super::Options;
pub use super::detect::Noticed;
use super::outcome::{check_table, short};
use super::standing::Mode;
pub use super::talk::Talk;
pub use super::timers::usual_lateness;
use crate::clock;
use crate::lab::{Stop, WiredSites};

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
    let program = std::env::current_exe().context("looking for this program")?;
    let acts = if options.acts.is_empty() { Act::PROGRAMME } else { &options.acts };
    for run in 1..=options.runs {
        if options.runs > 1 {
            talk.step(format_args!("run {run} of {}", options.runs));
        }
        for &mode in &options.mode {
            let cast = |measured| Quadspans::start(&program, mode, measured, run.into());
            play_acts((mode, run), acts, cast, (talk, stop), evening)?;
        }
    }
    Ok(())
}

/// Plays the acts with a cast that comes with its sites, and adds them to the evening. Those that need measured paths have a
/// cast of their own, so that the others do not also show what a measurement makes of a busy machine.
///
/// # Errors
/// When an act cannot be played to its end; the cast's logs stay then, as they do when a budget was not kept.
pub fn play_acts<C: Contender>(
    (mode, run): (Mode, u16),
    acts: &[Act],
    cast: impl Fn(bool) -> anyhow::Result<(C, WiredSites)>,
    (talk, stop): (Talk, &Stop),
    evening: &mut Evening,
) -> anyhow::Result<()> {
    for measured in [false, true] {
        let fits = |act: &Act| act.is_measured() == measured && C::plays(*act);
        let acts: Vec<Act> = acts.iter().copied().filter(fits).collect();
        if acts.is_empty() {
            continue;
        }
        let mut stage = Stage::ready(mode, cast(measured)?, talk, stop)?;
        for act in acts {
            let scene = stage.play(act, evening.lateness());
            let scene = scene.with_context(|| format!("{} with {}", act.title(), mode.word()));
            match scene {
                Ok(scene) => {
                    if !evening.add(Scene { run, ..scene }) {
                        stage.show_evidence();
                    }
                }
                Err(error) => {
                    talk.block(format_args!("the logs are in {}", stage.keep_logs().display()));
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
    talk.block(format_args!("\n{}\n", table(&evening.scenes)));
    if !evening.medians.is_empty() {
        let runs = evening.scenes.iter().map(|scene| scene.run).max().unwrap_or(1);
        talk.block(format_args!(
            "medians of {runs} runs, and in brackets the worst:\n\n{}\n",
            median_table(&evening.medians)
        ));
    }
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
