//! The failover theatre with what people use today: kernel routing, BIRD, BGP and BFD, beside our gateways, in turns.
//!
//! ```text
//! host a --- gateway a === four wires === gateway b --- host b
//! ```
//!
//! `quadspan demo --failover` plays the acts; here the same code plays them with another [`Contender`] as well: the same
//! wires, numbered datagrams, moments and arithmetic. The kernel forwards in clear, because few kernels have MACsec in a
//! network namespace of a test machine; our gateways encrypt as always. BFD runs at 50 ms x 3 on both. What the
//! reference gets to be at its best: `check link` in BIRD and `ignore_routes_with_linkdown` in the kernel, so that a lost
//! carrier moves traffic at once; a flow hash over ports; a drain by GRACEFUL_SHUTDOWN (RFC 8326) on both sides' import.
//! It measures no path, so it cannot find a lossy one, and it has no mode that sends everything twice.
//!
//! In each round both have their turns, so what else the machine does hits both. Medians and the worst of all rounds are
//! printed as Markdown. Needs root, `bird` 2, `birdc` and `ip`.
#![forbid(unsafe_code)]

mod birds;
mod conf;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use gateway::{
    demo::{
        standing::Mode,
        theatre::{Act, Evening, Quadspans, Talk, medians, play_acts, usual_lateness},
    },
    lab::{Stop, enter},
};

use birds::Birds;

/// Every failure, with our gateways and with BIRD and the kernel.
#[derive(Debug, Parser)]
struct Options {
    /// Turns of each
    #[arg(long, default_value_t = 5)]
    rounds: u16,
    /// The gateway program
    #[arg(long, default_value = "target/release/quadspan")]
    gateway: PathBuf,
    /// How the connection uses its channels; the reference cannot duplicate
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["ecmp", "active-standby", "duplicate"])]
    mode: Vec<Mode>,
    /// Only these acts
    #[arg(long, value_enum, value_delimiter = ',')]
    acts: Vec<Act>,
}

fn main() -> ExitCode {
    match play(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("theatre: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn play(options: &Options) -> Result<()> {
    let program = options.gateway.canonicalize();
    let program = program.with_context(|| format!("{} is not there", options.gateway.display()))?;
    let _entered = enter()?;
    let stop = Stop::new();
    let acts = if options.acts.is_empty() { Act::PROGRAMME } else { &options.acts };
    let talk = Talk::new(true, None);
    let lateness = usual_lateness();
    let [mut ours, mut theirs] = [Evening::new(lateness), Evening::new(lateness)];
    for round in 1..=options.rounds {
        for &mode in &options.mode {
            talk.step(format_args!("round {round}, {}: Quadspan", mode.word()));
            let cast = |measured| Quadspans::start(&program, mode, measured, round.into());
            play_acts((mode, round), acts, cast, (talk, &stop), &mut ours)?;
            if mode != Mode::Duplicate {
                talk.step(format_args!("round {round}, {}: the kernel and BIRD", mode.word()));
                let cast = |_| Birds::start(mode, round.into());
                play_acts((mode, round), acts, cast, (talk, &stop), &mut theirs)?;
            }
        }
    }
    print(&ours, &theirs);
    Ok(())
}

fn print(ours: &Evening, theirs: &Evening) {
    println!(
        "load {}; timers up to {:.1} ms late (p99)\n\n\
         | act | found: Quadspan | kernel + BIRD | silent: Quadspan | kernel + BIRD | lost: Quadspan | kernel + BIRD | \
         elsewhere: Quadspan | kernel + BIRD |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
        ours.lateness().as_secs_f64() * 1000.0
    );
    let theirs = medians(&theirs.scenes);
    for one in medians(&ours.scenes) {
        let other = theirs.iter().find(|other| (other.act, other.mode) == (one.act, one.mode));
        let other = other.map_or([const { String::new() }; 4], |other| other.numbers());
        let pairs: Vec<String> =
            one.numbers().into_iter().zip(other).map(|(ours, theirs)| format!("{ours} | {theirs}")).collect();
        println!("| {} ({}) | {} |", one.title, one.mode.word(), pairs.join(" | "));
    }
}
