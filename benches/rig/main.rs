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

mod bare;
mod report;
mod rival;
mod sink;
mod site;
mod small;
mod testpmd;
mod traffic;
mod vpp;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;

use bare::Bare;
use report::{Report, Sample};
use rival::Tunnels;
use sink::{Sink, Way};
use site::{Gateways, Io, Kernel, Plan, Underlay};
use small::{Role, Search};
use support::{ending, lab::Lab};
use testpmd::Testpmd;
use vpp::Vpp;

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
    /// TCP's congestion control in the hosts, such as cubic; without it, the machine's default
    #[arg(long)]
    congestion: Option<String>,
    /// A gateway program; may be given several times. Without it, this workspace's is built
    #[arg(long)]
    gateway: Vec<PathBuf>,
    /// Workers of each gateway
    #[arg(long, default_value_t = 1)]
    workers: u16,
    /// Receive ring of all ports: auto, v2 or v3
    #[arg(long, default_value = "auto")]
    ring: String,
    /// Memory for frames that wait at each port of a gateway, in KiB
    #[arg(long)]
    ring_kib: Option<u32>,
    /// Send past the queueing discipline on all ports
    #[arg(long)]
    qdisc_bypass: bool,
    /// What channels stand on: ethernet, vxlan. Each gateway program has a turn with each
    #[arg(long, value_delimiter = ',', default_values_t = [Underlay::Ethernet])]
    underlay: Vec<Underlay>,
    /// How gateways move frames: auto, packet, xdp, xdp-lan. Each gateway program has a turn with each
    #[arg(long, value_delimiter = ',', default_values_t = [Io::Auto])]
    io: Vec<Io>,
    /// What gateways do while no frames come: interrupt, adaptive or busy. Each has a turn with each
    #[arg(long, value_delimiter = ',', default_values_t = ["interrupt".to_owned()])]
    poll: Vec<String>,
    /// Lengths of small frames, FCS included, whose highest rate without loss is searched
    #[arg(long, value_delimiter = ',', default_values_t = [64, 512])]
    frames: Vec<usize>,
    /// Of how many small frames one may be lost
    #[arg(long, default_value_t = 1000)]
    one_in: u64,
    /// The highest rate of small frames to try, in frames a second
    #[arg(long, default_value_t = 400_000)]
    most: u64,
    /// Milliseconds of one trial of small frames
    #[arg(long, default_value_t = 500)]
    trial: u64,
    /// The rate of small frames at which the gateways' CPU time is taken
    #[arg(long, default_value_t = 50_000)]
    steady: u64,
    /// No echoes and no memory, to save time
    #[arg(long)]
    no_idle: bool,
    /// Leave the kernel out
    #[arg(long)]
    no_kernel: bool,
    /// Leave out rivals that are installed
    #[arg(long)]
    no_rivals: bool,
    /// Gateways that only move octets take part, for TCP: how fast user space could be at best
    #[arg(long)]
    bare: bool,
    /// VPP's program: it takes part with IPsec over packet sockets
    #[arg(long)]
    vpp: Option<PathBuf>,
    /// Where VPP's plugins are. Without it, where VPP looks by itself: the library folder beside its program's
    #[arg(long, requires = "vpp")]
    vpp_plugins: Option<PathBuf>,
    /// Hosts send trains of TCP data to VPP, too. VPP has to be mended for that (see `benches/README.md`)
    #[arg(long, requires = "vpp")]
    vpp_trains: bool,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// The longest packets that leave in bulk.
const LONGEST_IN_BULK: u32 = 2000;

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(role) = options.role {
        return match role.play() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("rig: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
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
    ending::clean_up_on_signals()?;
    let programs = if options.gateway.is_empty() { vec![build()?] } else { options.gateway.clone() };
    let mut report = Report::default();
    let vpp = options.vpp.as_deref();
    let vpp = vpp
        .map(|path| vpp::Program::new(path, options.vpp_plugins.as_deref(), options.vpp_trains))
        .transpose()?;
    let rivals = if options.no_rivals { Vec::new() } else { rival::installed() };
    for &mtu in &options.mtu {
        let lab = Lab::build(mtu)?;
        let plan = |underlay, io, poll: &str| Plan {
            mtu,
            workers: options.workers,
            ring: options.ring.clone(),
            bypass: options.qdisc_bypass,
            underlay,
            io,
            poll: poll.to_owned(),
            ring_kib: options.ring_kib,
        };
        for round in 0..options.rounds {
            eprintln!("rig: MTU {mtu}, round {} of {}", round + 1, options.rounds);
            for program in &programs {
                for &underlay in &options.underlay {
                    for (&io, poll) in
                        options.io.iter().flat_map(|io| options.poll.iter().map(move |p| (io, p)))
                    {
                        let who = Contender::Quadspan(program);
                        turn(options, &lab, &plan(underlay, io, poll), who, &mut report)?;
                    }
                }
            }
            let plain = plan(Underlay::Ethernet, Io::Auto, "interrupt");
            for &rival in &rivals {
                // testpmd has its turn with small frames only.
                if rival != testpmd::NAME || measures_small(options, mtu) {
                    turn(options, &lab, &plain, Contender::Rival(rival), &mut report)?;
                }
            }
            if let Some(program) = &vpp {
                turn(options, &lab, &plain, Contender::Vpp(program), &mut report)?;
            }
            for &underlay in options.underlay.iter().filter(|_| options.bare) {
                if underlay == Underlay::Ethernet && mtu > LONGEST_IN_BULK {
                    eprintln!(
                        "rig: frames of {mtu} octets do not leave in bulk: no bare gateways over Ethernet"
                    );
                } else {
                    turn(options, &lab, &plain, Contender::Bare(underlay), &mut report)?;
                }
            }
            if !options.no_kernel {
                turn(options, &lab, &plain, Contender::Kernel, &mut report)?;
            }
        }
    }
    Ok(report)
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug)]
enum Contender<'a> {
    Quadspan(&'a Path),
    Rival(&'static str),
    Vpp(&'a vpp::Program),
    Bare(Underlay),
    Kernel,
}

/// Who stands between the hosts.
enum Between<'a> {
    Quadspan(Gateways<'a>),
    Rival(Tunnels<'a>),
    Testpmd(Testpmd<'a>),
    Vpp(Vpp<'a>),
    Bare(Bare<'a>),
    Kernel { _kernel: Kernel<'a> },
}

impl Between<'_> {
    /// What the processes at gateway a and gateway b have used; nothing where the kernel does it all.
    fn cpu_seconds(&self) -> Result<Option<Vec<f64>>> {
        match self {
            Self::Quadspan(gateways) => gateways.cpu_seconds().map(Some),
            Self::Rival(tunnels) => tunnels.cpu_seconds().map(Some),
            Self::Testpmd(both) => both.cpu_seconds().map(Some),
            Self::Vpp(both) => both.cpu_seconds().map(Some),
            Self::Bare(both) => both.cpu_seconds().map(Some),
            Self::Kernel { .. } => Ok(None),
        }
    }
}

/// One contender's turn: idle memory, round-trip time, then TCP.
fn turn(options: &Options, lab: &Lab, plan: &Plan, who: Contender<'_>, report: &mut Report) -> Result<()> {
    let (name, between) = match who {
        Contender::Quadspan(program) => {
            (format!("{} {plan}", program.display()), Between::Quadspan(Gateways::start(lab, plan, program)?))
        }
        Contender::Rival(testpmd::NAME) => (testpmd::NAME.to_owned(), Between::Testpmd(Testpmd::start(lab)?)),
        Contender::Rival(rival) => (rival.to_owned(), Between::Rival(Tunnels::start(lab, rival)?)),
        Contender::Vpp(program) => {
            (program.name().to_owned(), Between::Vpp(Vpp::start(lab, plan.mtu, program)?))
        }
        Contender::Bare(underlay) => {
            (format!("bare {underlay}"), Between::Bare(Bare::start(lab, underlay, plan.mtu)?))
        }
        Contender::Kernel => ("kernel".to_owned(), Between::Kernel { _kernel: Kernel::start(lab)? }),
    };
    let mut add = |what: String, sample| report.add(&name, &what, sample);
    traffic::wait_for_answer(lab)?;
    if let Between::Quadspan(gateways) = &between
        && !options.no_idle
    {
        add(format!("idle memory, MTU {}", plan.mtu), Sample::MiB(gateways.resident_mib()?));
    }
    if !options.no_idle {
        add(format!("ping, MTU {}", plan.mtu), Sample::Microseconds(traffic::round_trip(lab)?));
    }
    let finished = plan.io == Io::XdpLan || matches!(between, Between::Testpmd(_));
    for &streams in if finished { &[] } else { options.streams.as_slice() } {
        let before = between.cpu_seconds()?;
        let run = traffic::tcp(lab, streams, options.seconds, options.congestion.as_deref())?;
        let what = format!("TCP x{streams}, MTU {}", plan.mtu);
        add(what.clone(), Sample::Gbps(run.gbps));
        if let (Some(after), Some(before)) = (between.cpu_seconds()?, before) {
            for (side, (after, before)) in ["a", "b"].iter().zip(after.iter().zip(before)) {
                let per_gb = (after - before) / run.gigabytes;
                add(format!("{what}, gateway {side}"), Sample::CpuPerGb(per_gb));
            }
        }
    }
    if measures_small(options, plan.mtu) && !matches!(between, Between::Bare(_)) {
        small_frames(options, lab, &between, plan.io == Io::XdpLan, &mut add)
    } else {
        Ok(())
    }
}

/// Small frames are the same at every MTU, so they are measured at the least one.
fn measures_small(options: &Options, mtu: u32) -> bool {
    options.mtu.iter().min() == Some(&mtu)
}

/// Small frames of each length: the highest rate without loss, what crosses when too much is offered, how long an echo takes at half of
/// the former (the kernel's own time is its row), and what one costs at a steady rate; with `bulk` the rates again, offered in bulk.
fn small_frames(
    options: &Options,
    lab: &Lab,
    between: &Between<'_>,
    bulk: bool,
    add: &mut impl FnMut(String, Sample),
) -> Result<()> {
    for &octets in &options.frames {
        let what = format!("frames of {octets}");
        let mut sink = Sink::start(lab, Way::Kernel)?;
        let most_without = rates(options, &mut sink, octets, between, add)?;
        let [middle, late] = small::echoes_beside(lab, octets, most_without / 2)?;
        add(format!("{what}, echo at half, p50"), Sample::Microseconds(middle));
        add(format!("{what}, echo at half, p99"), Sample::Microseconds(late));
        drop(sink);
        if bulk {
            rates(options, &mut Sink::start(lab, Way::Bulk)?, octets, between, add)?;
        }
    }
    Ok(())
}

/// The highest rate without loss, which is answered, what crosses when too much is offered, and what one costs at a steady rate.
fn rates(
    options: &Options,
    sink: &mut Sink<'_>,
    octets: usize,
    between: &Between<'_>,
    add: &mut impl FnMut(String, Sample),
) -> Result<u64> {
    let what = match sink.way() {
        Way::Kernel => format!("frames of {octets}"),
        Way::Bulk => format!("frames of {octets} in bulk"),
    };
    let kilo = |frames: u64| Sample::KiloFrames(frames as f64 / 1e3);
    let (one_in, most, millis) = (options.one_in.max(1), options.most, options.trial);
    let search = Search { octets, one_in, most, millis, trials: 7 };
    let most_without = small::search(sink, &search)?;
    add(format!("{what}, no loss"), kilo(most_without));
    let crossed = small::trial(sink, &search, most)?.in_time;
    add(format!("{what}, too many"), kilo(crossed * 1000 / millis));
    let before = between.cpu_seconds()?;
    let came = small::trial(sink, &Search { millis: 4 * millis, ..search }, options.steady)?.came;
    if let (Some(after), Some(before)) = (between.cpu_seconds()?, before) {
        for (side, (after, before)) in ["a", "b"].iter().zip(after.iter().zip(before)) {
            let per_million = (after - before) * 1e6 / came.max(1) as f64;
            add(format!("{what}, gateway {side}"), Sample::CpuPerMillion(per_million));
        }
    }
    Ok(most_without)
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
