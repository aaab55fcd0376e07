//! The rig: iperf3 through two gateways in a row, and through the kernel's own forwarding on the same links, in turns.
//!
//! ```text
//! host a --- gateway a === four channels === gateway b --- host b
//! ```
//!
//! Everything stands in network namespaces of this run and is joined by veth pairs; nothing outside them is touched,
//! and only processes that were started here are ended. A *contender* is a gateway program (more than one can be
//! given, to compare builds) or the kernel with `ip_forward` and addresses on the first channel link. In each
//! round every contender has its turn, so that what else the machine does hits all of them; medians and their
//! ratio to the kernel's are what counts, not single numbers.
//!
//! Needs root, `ip`, `iperf3` and `ping`.
#![forbid(unsafe_code)]

mod lab;
mod report;
mod site;
mod traffic;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;

use lab::Lab;
use report::{Report, Sample};
use site::{Gateways, Kernel, Plan, Underlay};

/// iperf3 through two gateways and through the kernel, in turns.
#[derive(Debug, Parser)]
struct Options {
    /// Turns of each contender
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each iperf3 run
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// MTU of the hosts and of the connection
    #[arg(long, value_delimiter = ',', default_values_t = [1500, 9000])]
    mtu: Vec<u32>,
    /// TCP streams at a time
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4])]
    streams: Vec<u32>,
    /// A gateway program; may be given several times. Without it, this workspace's is built
    #[arg(long)]
    gateway: Vec<PathBuf>,
    /// Workers of each gateway
    #[arg(long, default_value_t = 1)]
    workers: u16,
    /// Receive ring of all ports: auto, v2 or v3
    #[arg(long, default_value = "auto")]
    ring: String,
    /// Send past the queueing discipline on all ports
    #[arg(long)]
    qdisc_bypass: bool,
    /// What channels stand on: ethernet, vxlan. Each gateway program has a turn with each
    #[arg(long, value_delimiter = ',', default_values_t = [Underlay::Ethernet])]
    underlay: Vec<Underlay>,
    /// Leave the kernel out
    #[arg(long)]
    no_kernel: bool,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match measure(&options) {
        Ok(report) => {
            println!("{}", if options.json { report.json() } else { report.table() });
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("rig: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<Report> {
    requirements()?;
    let programs = if options.gateway.is_empty() { vec![build()?] } else { options.gateway.clone() };
    let mut report = Report::default();
    for &mtu in &options.mtu {
        let lab = Lab::build(mtu)?;
        let plan = |underlay| Plan {
            mtu,
            workers: options.workers,
            ring: options.ring.clone(),
            bypass: options.qdisc_bypass,
            underlay,
        };
        for round in 0..options.rounds {
            eprintln!("rig: MTU {mtu}, round {} of {}", round + 1, options.rounds);
            for (program, underlay) in
                programs.iter().flat_map(|p| options.underlay.iter().map(move |u| (p, u)))
            {
                turn(options, &lab, &plan(*underlay), Some(program), &mut report)?;
            }
            if !options.no_kernel {
                turn(options, &lab, &plan(Underlay::Ethernet), None, &mut report)?;
            }
        }
    }
    Ok(report)
}

/// One contender's turn: idle memory, round-trip time, then TCP.
fn turn(
    options: &Options,
    lab: &Lab,
    plan: &Plan,
    program: Option<&Path>,
    report: &mut Report,
) -> Result<()> {
    let (gateways, _kernel) = match program {
        Some(program) => (Some(Gateways::start(lab, plan, program)?), None),
        None => (None, Some(Kernel::start(lab)?)),
    };
    let name =
        program.map_or("kernel".to_owned(), |program| format!("{} {}", program.display(), plan.underlay));
    let mut add = |what: String, sample| report.add(&name, &what, sample);
    let gateways = gateways.as_ref();
    traffic::wait_for_answer(lab)?;
    if let Some(gateways) = gateways {
        add(format!("idle memory, MTU {}", plan.mtu), Sample::MiB(gateways.resident_mib()?));
    }
    add(format!("ping, MTU {}", plan.mtu), Sample::Microseconds(traffic::round_trip(lab)?));
    for &streams in &options.streams {
        let before = gateways.map(Gateways::cpu_seconds).transpose()?;
        let run = traffic::tcp(lab, streams, options.seconds)?;
        let what = format!("TCP x{streams}, MTU {}", plan.mtu);
        add(what.clone(), Sample::Gbps(run.gbps));
        if let (Some(gateways), Some(before)) = (gateways, before) {
            let after = gateways.cpu_seconds()?;
            for (side, (after, before)) in ["a", "b"].iter().zip(after.iter().zip(before)) {
                let per_gb = (after - before) / run.gigabytes;
                add(format!("{what}, gateway {side}"), Sample::CpuPerGb(per_gb));
            }
        }
    }
    Ok(())
}

fn requirements() -> Result<()> {
    ensure!(nix::unistd::geteuid().is_root(), "needs root: it makes network namespaces");
    for (program, argument) in [("ip", "-V"), ("iperf3", "-v"), ("ping", "-V")] {
        let found = Command::new(program).arg(argument).output();
        found.with_context(|| format!("needs the program {program}"))?;
    }
    Ok(())
}

/// Builds the gateway of this workspace, in release, as cargo would for its user.
fn build() -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build", "--release", "--package", "gateway"]).status();
    ensure!(built.context("cannot run cargo")?.success(), "the gateway does not build");
    let own = env::current_exe().context("where this program is")?;
    Ok(own.with_file_name("quadspan"))
}
