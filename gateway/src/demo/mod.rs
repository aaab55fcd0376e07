//! `quadspan demo`: two sites on this machine, four MACsec channels between them, real traffic, a cut, a silent one, and a verdict.
//!
//! The demo is a test that talks. It builds the lab of [`crate::lab`], writes the configuration files that a user would
//! write ([`site`]), runs two gateways as processes of their own ([`gateway`]), sends traffic between two ordinary
//! Linux hosts, watches the channels with a capture, changes every SAK and every CAK under that traffic, cuts a channel,
//! heals it, has another one fall silent without its link going down, which only BFD can find, and holds what it saw against what it promises ([`verdict`]). It knows about the gateways only what their API tells anybody ([`api`]).
//!
//! It needs no other program and no root: without privilege it becomes root of a user namespace of its own. For that it
//! must be called while the process has one thread.
//!
//! The exit code is 0 only when every check held, 1 when one did not or something failed, and 5 when the system does not
//! allow namespaces. Budgets for times grow with the lateness of timers, which is measured first.

pub(crate) mod api;
mod detect;
mod files;
mod flows;
pub(crate) mod gateway;
mod outcome;
mod routing;
pub mod site;
pub mod standing;
mod story;
mod talk;
pub mod theatre;
mod timers;
mod verdict;
mod watch;

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use self::outcome::{Outcome, check_table, short};
use self::story::Story;
use self::talk::Talk;
pub use self::theatre::Act;
use crate::clock;
use crate::lab::{self, Stop};

/// How to run the demo.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Leave the two sites up until Ctrl-C, and say how to look around
    #[arg(long)]
    pub keep: bool,
    /// Give the result as one JSON document on standard output; talk goes to standard error
    #[arg(long)]
    pub json: bool,
    /// About how many seconds it should take, 6 to 600
    #[arg(long, default_value_t = 20, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(6..=600))]
    pub duration: u16,
    /// Keep what crossed the channels into site B in this file (pcapng)
    #[arg(long, value_name = "FILE")]
    pub capture: Option<std::path::PathBuf>,
    /// Break things in one way after the other while numbered traffic flows, and measure what each costs
    #[arg(long, conflicts_with_all = ["keep", "capture", "duration"])]
    pub failover: bool,
    /// Write the measurements of --failover to this file (HTML, with plots)
    #[arg(long, value_name = "FILE", requires = "failover")]
    pub report: Option<std::path::PathBuf>,
    /// How the connection uses its channels in --failover; without it, all modes are played in turn
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_values = ["ecmp", "active-standby", "duplicate"],
        requires = "failover"
    )]
    pub mode: Vec<standing::Mode>,
    /// Play only these acts of --failover
    #[arg(long, value_enum, value_delimiter = ',', requires = "failover")]
    pub acts: Vec<Act>,
    /// Play --failover so many times, 1 to 50, and give the medians
    #[arg(long, default_value_t = 1, value_name = "N", requires = "failover", value_parser = clap::value_parser!(u16).range(1..=50))]
    pub runs: u16,
    /// Colour, if the caller knows better than the terminal
    #[arg(skip)]
    pub color: Option<bool>,
}

impl Options {
    fn total(&self) -> Duration {
        Duration::from_secs(self.duration.into())
    }
}

/// Runs the demo. To be called while the process has one thread.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    let talk = Talk::new(options.json, options.color);
    let mut outcome = Outcome::new();
    if let Err(error) = files::ensure_writable(options) {
        talk.block(format_args!("error: {error:#}"));
        outcome.error = Some(format!("{error:#}"));
        return publish(options, &outcome, 1);
    }
    let entered = match lab::enter() {
        Ok(entered) => entered,
        Err(error) => {
            talk.block(format_args!("error: {error}"));
            outcome.error = Some(error.to_string());
            return publish(options, &outcome, NOT_PERMITTED);
        }
    };
    let stop = Stop::new();
    let watched = stop_on_signals(stop.clone()).context("watching for signals");
    if options.failover && watched.is_ok() {
        return theatre::run(options, talk, &stop);
    }
    let begun = watched.and_then(|()| Story::begin(options, talk, &stop, entered));
    let (story, told) = match begun {
        Ok(mut story) => {
            let told = story.tell(&mut outcome);
            (Some(story), told)
        }
        Err(error) => (None, Err(error)),
    };
    if let Err(error) = told {
        talk.block(format_args!("error: {error:#}"));
        outcome.error = Some(format!("{error:#}"));
    }
    outcome.ok = outcome.error.is_none() && outcome.verdict.holds();
    outcome.elapsed = clock::now().since(talk.started()).as_secs_f64();
    end(options, talk, &stop, story, outcome)
}

/// Says how it went, writes the document, and waits when the sites are to be kept.
fn end(options: &Options, talk: Talk, stop: &Stop, story: Option<Story>, mut outcome: Outcome) -> ExitCode {
    if !outcome.verdict.checks().is_empty() {
        talk.block(format_args!("\n{}\n", check_table(outcome.verdict.checks(), |ok| talk.outcome(ok))));
    }
    let mut story = story;
    if let Some(story) = story.as_mut().filter(|_| !outcome.ok) {
        outcome.logs = Some(story.keep_logs().display().to_string());
    }
    talk.block(conclusion(talk, &outcome));
    let code = publish(options, &outcome, u8::from(!outcome.ok));
    if let Some(story) = story
        && options.keep
        && !stop.is_requested()
    {
        talk.block(story.how_to_look_around());
        while !stop.wait(Duration::from_secs(3600)) {}
        talk.step("taking the two sites down");
    }
    code
}

fn conclusion(talk: Talk, outcome: &Outcome) -> String {
    let checks = outcome.verdict.checks();
    let took = short(Duration::from_secs_f64(outcome.elapsed));
    let mut text =
        match (&outcome.error, outcome.verdict.failed().map(|c| c.name.as_str()).collect::<Vec<_>>()) {
            (None, failed) if failed.is_empty() => {
                format!("{}: all {} checks held, in {took}", talk.outcome(true), checks.len())
            }
            (None, failed) => format!("{}: {}", talk.outcome(false), failed.join("; ")),
            (Some(_), failed) if failed.is_empty() => {
                format!("{}: it could not be played to its end", talk.outcome(false))
            }
            (Some(_), failed) => {
                format!("{}: not played to its end, and: {}", talk.outcome(false), failed.join("; "))
            }
        };
    if let Some(logs) = &outcome.logs {
        text.push_str(&format!("\nthe gateways' logs and configurations are in {logs}"));
    }
    text
}

/// Writes the document, when there is to be one.
fn publish(options: &Options, outcome: &Outcome, code: u8) -> ExitCode {
    if options.json {
        let mut out = io::stdout().lock();
        let written = serde_json::to_writer_pretty(&mut out, outcome).map_err(io::Error::from);
        if written.and_then(|()| writeln!(out)).and_then(|()| out.flush()).is_err() {
            // A document that nobody got is no success.
            return ExitCode::FAILURE;
        }
    }
    ExitCode::from(code)
}

/// Requests the stop when the user or the system asks this process to end.
fn stop_on_signals(stop: Stop) -> io::Result<()> {
    on_signals(stop, || ())
}

/// Requests the stop when the user or the system asks this process to end, and then does `more`.
///
/// # Errors
/// When the system does not let signals be heard.
pub fn on_signals(stop: Stop, more: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    drop(guard);
    let wait = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        stop.request();
        more();
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}

/// Exit code: the system does not allow what the demo needs.
const NOT_PERMITTED: u8 = 5;
