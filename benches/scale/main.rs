//! Many connections on one gateway, beside one: how fast it starts, what it holds, what a frame costs.
//!
//! ```text
//! host a --- gateway a === four channels === gateway b --- host b
//! ```
//!
//! Each connection has a VLAN on the LANs and an attachment on each channel, and so many routes of its own: static ones, or
//! (`--bgp`) learnt from gateway b on each attachment. Gateway b runs before the watch starts; then gateway a is started, while host a
//! sends to host b by the last connection every two milliseconds. The start ends with the first of these frames in host b. Afterwards the
//! frames of all connections take turns at a steady rate, and the gateway's CPU time is divided by what arrived.
//!
//! All sizes take turns in each round, in one run; what counts are the ratios to the first size. Host b is this program (`sink`), so no kernel needs to know VLANs. Needs root and `ip`.
#![forbid(unsafe_code)]

mod sink;
mod site;
mod traffic;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use support::{ending, lab::Lab};

use site::{Gateway, Plan};
use traffic::{Role, Sink};

/// Many connections on one gateway, beside one.
#[derive(Debug, Parser)]
struct Options {
    /// Connections, by turns
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100])]
    connections: Vec<u16>,
    /// Routes of each connection
    #[arg(long, default_value_t = 1000)]
    routes: u32,
    /// Routes are learnt by BGP on each attachment, not configured
    #[arg(long)]
    bgp: bool,
    /// Turns of each
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Frames a second while CPU time is taken
    #[arg(long, default_value_t = 20_000)]
    steady: u64,
    /// For how many milliseconds CPU time is taken, busy and idle
    #[arg(long, default_value_t = 4000)]
    millis: u64,
    /// Workers of the gateways
    #[arg(long, default_value_t = 1)]
    workers: u16,
    /// A gateway program; by default the one of this workspace, built as cargo would for its user
    #[arg(long)]
    gateway: Option<PathBuf>,
    #[command(subcommand)]
    role: Option<Role>,
}

/// One turn.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// From the process's start to the first frame through the last connection.
    start: Duration,
    /// CPU seconds of the gateway until then.
    start_cpu: f64,
    /// Resident, in MiB, when it is idle.
    memory: f64,
    /// CPU of the gateway without any traffic, in per cent of one processor.
    idle: f64,
    /// CPU nanoseconds of the gateway per frame.
    frame: f64,
    /// Of the frames that were sent, how many came, in per cent.
    came: f64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match options.role {
        Some(role) => role.play(),
        None => measure(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scale: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<()> {
    ensure!(nix::unistd::geteuid().is_root(), "needs root: it makes network namespaces");
    ending::clean_up_on_signals()?;
    let program = options.gateway.clone().map_or_else(build, Ok)?;
    let mut turns: Vec<Vec<Turn>> = vec![Vec::new(); options.connections.len()];
    for round in 0..options.rounds {
        for (&connections, turns) in options.connections.iter().zip(&mut turns) {
            eprintln!("scale: round {} of {}, {connections} connections", round + 1, options.rounds);
            let plan =
                Plan { connections, routes: options.routes, bgp: options.bgp, workers: options.workers };
            turns.push(turn(options, plan, &program)?);
        }
    }
    print(options, &turns);
    Ok(())
}

fn turn(options: &Options, plan: Plan, program: &Path) -> Result<Turn> {
    let lab = Lab::build(1500)?;
    let files = support::lab::Files::new()?;
    let mut b = Gateway::start(&lab, &files, plan, 2, program)?;
    b.wait_started()?;
    let mut sink = Sink::start(&lab)?;
    let knocking = traffic::knock(&lab, plan.connections)?;
    let began = now();
    let a = Gateway::start(&lab, &files, plan, 1, program)?;
    sink.wait_first().with_context(|| format!("nothing came through; gateway a says: {}", a.log()))?;
    let start = now().duration_since(began);
    let start_cpu = a.process().cpu_seconds()?;
    drop(knocking);
    let (idle, memory) = (idle(options, &a)?, a.process().resident_mib()?);
    // Neighbours of all connections are found first.
    traffic::send(&lab, plan.connections, u64::from(plan.connections) * 50, 2000)?;
    let (heard, before) = (sink.heard()?, a.process().cpu_seconds()?);
    let sent = traffic::send(&lab, plan.connections, options.steady, options.millis)?;
    let came = sink.heard_all(heard, sent)?;
    let spent = a.process().cpu_seconds()? - before;
    Ok(Turn {
        start,
        start_cpu,
        memory,
        idle,
        frame: spent * 1e9 / came.max(1) as f64,
        came: came as f64 * 100.0 / sent.max(1) as f64,
    })
}

/// The gateway's CPU without traffic, once it has settled.
fn idle(options: &Options, gateway: &Gateway) -> Result<f64> {
    let time = Duration::from_millis(options.millis);
    rest(Duration::from_secs(1));
    let before = gateway.process().cpu_seconds()?;
    rest(time);
    Ok((gateway.process().cpu_seconds()? - before) * 100.0 / time.as_secs_f64())
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch reads the clock")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "what happens while nothing happens is what is measured")]
fn rest(time: Duration) {
    std::thread::sleep(time);
}

fn print(options: &Options, turns: &[Vec<Turn>]) {
    println!(
        "{} routes a connection, {}, medians of {} (least to most)\n{:<13} {:>24} {:>12} {:>10} {:>8} {:>24} {:>8} {:>7}",
        options.routes,
        if options.bgp { "learnt by BGP on each attachment" } else { "static" },
        options.rounds,
        "connections",
        "start, s",
        "its CPU, s",
        "idle MiB",
        "idle %",
        "CPU ns per frame",
        "ratio",
        "came %",
    );
    let middle = |turns: &[Turn], of: fn(&Turn) -> f64| -> (f64, f64, f64) {
        let mut all: Vec<f64> = turns.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        (all[all.len() / 2], all[0], all[all.len() - 1])
    };
    let first = turns.first().map_or(f64::NAN, |one| middle(one, |turn| turn.frame).0);
    for (connections, turns) in options.connections.iter().zip(turns) {
        let (start, frame) =
            (middle(turns, |turn| turn.start.as_secs_f64()), middle(turns, |turn| turn.frame));
        println!(
            "{connections:<13} {:>24} {:>12.2} {:>10.1} {:>8.2} {:>24} {:>8.2} {:>7.2}",
            format!("{:.2} ({:.2} to {:.2})", start.0, start.1, start.2),
            middle(turns, |turn| turn.start_cpu).0,
            middle(turns, |turn| turn.memory).0,
            middle(turns, |turn| turn.idle).0,
            format!("{:.0} ({:.0} to {:.0})", frame.0, frame.1, frame.2),
            frame.0 / first,
            middle(turns, |turn| turn.came).0,
        );
    }
}

/// Builds the gateway of this workspace, in release, as cargo would for its user.
fn build() -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build", "--release", "--package", "gateway"]).status();
    ensure!(built.context("cannot run cargo")?.success(), "the gateway does not build");
    Ok(env::current_exe().context("where this program is")?.with_file_name("quadspan"))
}
