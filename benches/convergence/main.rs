//! Convergence: how long a BGP speaker takes from the first octet of a table until the far end has it all.
//!
//! ```text
//! feeds (1 or 10) ==== contender ---- sink
//!                          |
//!                        host
//! ```
//!
//! Everything stands in network namespaces of this run; contenders take turns with the same octets, made by one
//! generator. Feeds send whole tables over TCP as fast as they are taken. Measured from the first octet on: until the sink has
//! every prefix; until a datagram of the host has come through to each of 64 destinations, spread over the table and its
//! end (the forwarding table: the gateway's own, or the kernel's); then, at rest, memory. Then one route at a time goes and comes, and
//! datagrams tell when it is in the forwarding table. Then everything is withdrawn, until the sink has nothing.
//!
//! Needs root and `ip`; contenders that are not installed are left out, which is said.
#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock, and takes its time")]

mod contender;
mod feed;
mod lab;
mod probe;
mod session;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

use contender::{Contender, Running};
use feed::Sunk;
use lab::{Lab, Node};
use probe::Probe;
use session::Session;

/// Destinations that tell of the forwarding table.
const SAMPLES: u32 = 64;
/// How long a table may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Nothing came for so long: it is over.
const QUIET: Duration = Duration::from_secs(2);

/// Full tables through the gateway, BIRD and FRR, in turns.
#[derive(Debug, Parser)]
struct Options {
    /// Feeds and routes of each: 1x1000000
    #[arg(long, value_delimiter = ',', default_values_t = ["1x1000000".to_owned(), "10x100000".to_owned()])]
    shape: Vec<String>,
    /// A gateway program; may be given several times
    #[arg(long)]
    gateway: Vec<PathBuf>,
    /// Who else: bird, frr
    #[arg(long, value_delimiter = ',', default_values_t = ["bird".to_owned(), "frr".to_owned()])]
    beside: Vec<String>,
    /// Routes that go and come one at a time
    #[arg(long, default_value_t = 100)]
    changes: u32,
}

fn main() -> ExitCode {
    match measure(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("convergence: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<()> {
    let mut contenders: Vec<_> = options.gateway.iter().cloned().map(Contender::Quadspan).collect();
    for name in &options.beside {
        let (one, program) = match name.as_str() {
            "bird" => (Contender::Bird, "/usr/sbin/bird"),
            "frr" => (Contender::Frr, "/usr/lib/frr/bgpd"),
            _ => bail!("nobody knows {name}"),
        };
        if Path::new(program).exists() {
            contenders.push(one);
        } else {
            eprintln!("convergence: {name} is not installed, and left out");
        }
    }
    println!(
        "| | routes | sink has all, s | forwarding, s | CPU, s | memory, MiB | one change, ms: median / 99 % / most | withdrawn, s |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    for shape in &options.shape {
        let (feeds, routes) = shape.split_once('x').context("a shape is FEEDSxROUTES")?;
        for contender in &contenders {
            turn(contender, feeds.parse()?, routes.parse()?, options.changes)
                .with_context(|| format!("{} {shape}", contender.name()))?;
        }
    }
    Ok(())
}

fn turn(contender: &Contender, feeds: u8, routes: u32, changes: u32) -> Result<()> {
    ensure!((1..=10).contains(&feeds), "1 to 10 feeds");
    let tables: Vec<_> = (0..feeds).map(|n| feed::announcements(n, routes)).collect();
    let lab = Lab::build(contender.is_kernel())?;
    let running = Running::start(&lab, contender, feeds)?;
    let (sunk, probe) = (Arc::new(Sunk::new()), Probe::new(&lab)?);
    let hears = sunk.clone();
    let _sink = lab.inside(Node::Sink, move || {
        let (local, remote) = ("10.255.1.2".parse()?, "10.255.1.1".parse()?);
        Session::open(local, remote, 65_100, move |body| hears.hear(body))
    })?;
    let sessions = (0..feeds).map(|n| {
        let open = move || Session::open(feed::address(n), "10.255.0.1".parse()?, feed::asn(n), |_| ());
        lab.inside(Node::Feed, open)
    });
    let sessions = sessions.collect::<Result<Vec<_>>>()?;

    let spread = (0..SAMPLES).map(|at| feed::prefix(at * (routes / SAMPLES) + routes / SAMPLES - 1));
    let (watch, cpu, began) = (probe.watch(spread.collect())?, running.cpu_seconds()?, Instant::now());
    let senders: Vec<_> = sessions
        .iter()
        .cloned()
        .zip(tables)
        .map(|(session, table)| thread::spawn(move || session.send(&table)))
        .collect();
    let sunk_all = until(&sunk, routes)?.duration_since(began);
    let mut forwarding = Duration::ZERO;
    for _ in 0..SAMPLES {
        let (_, at) = watch.arrivals.recv_timeout(PATIENCE).context("not everything is forwarded")?;
        forwarding = forwarding.max(at.duration_since(began));
    }
    drop(watch);
    senders.into_iter().try_for_each(|one| one.join().unwrap())?;
    quiet(&sunk);
    let (cpu, memory) = (running.cpu_seconds()? - cpu, running.resident_mib()?);
    let one = one_at_a_time(&sessions, &probe, &sunk, routes, changes)?;
    let began = Instant::now();
    let all = feed::withdrawals((0..routes).map(feed::prefix));
    thread::scope(|scope| {
        for session in &sessions {
            scope.spawn(|| session.send(&all));
        }
        until(&sunk, 0)
    })?;
    println!(
        "| {} | {feeds} x {routes} | {:.2} | {:.2} | {cpu:.2} | {memory:.0} | {one} | {:.2} |",
        contender.name(),
        sunk_all.as_secs_f64(),
        forwarding.as_secs_f64(),
        sunk.last().duration_since(began).as_secs_f64()
    );
    sessions.iter().for_each(Session::close);
    Ok(())
}

/// Each route goes at all feeds, comes back at the first one, and is found by datagrams.
fn one_at_a_time(
    sessions: &[Session],
    probe: &Probe,
    sunk: &Sunk,
    routes: u32,
    changes: u32,
) -> Result<String> {
    let mut took = Vec::new();
    for at in 0..changes {
        let prefix = feed::prefix(at * (routes / changes.max(1)));
        let gone = feed::withdrawals([prefix].into_iter());
        sessions.iter().try_for_each(|session| session.send(&gone))?;
        until(sunk, routes - 1)?;
        // It is gone from the forwarding table as well before it comes back.
        while !probe.watch(vec![prefix])?.finds_nothing() {}
        let watch = probe.watch(vec![prefix])?;
        thread::sleep(Duration::from_millis(5));
        let began = Instant::now();
        sessions[0].send(&feed::announcement(0, prefix))?;
        let (_, arrived) =
            watch.arrivals.recv_timeout(Duration::from_secs(20)).context("a route did not return")?;
        took.push(arrived.duration_since(began));
        drop(watch);
        until(sunk, routes)?;
    }
    took.sort();
    let of = |part: usize| {
        let at = (took.len() * part / 100).min(took.len().saturating_sub(1));
        took.get(at).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    Ok(format!("{:.1} / {:.1} / {:.1}", of(50), of(99), of(100)))
}

/// When the sink had so many prefixes.
fn until(sunk: &Sunk, count: u32) -> Result<Instant> {
    let began = Instant::now();
    while sunk.count() != count {
        ensure!(began.elapsed() < PATIENCE, "the sink has {} prefixes, not {count}", sunk.count());
        thread::sleep(Duration::from_micros(500));
    }
    Ok(sunk.last())
}

fn quiet(sunk: &Sunk) {
    while sunk.last().elapsed() < QUIET {
        thread::sleep(QUIET / 10);
    }
}
