//! Small frames: the highest rate at which none (or so few) are lost, searched as RFC 2544 §26.1 has it.
//!
//! The generator is this program again, inside host a: it sends UDP frames of 64 flows in bursts at a given rate, by a packet socket past host a's
//! stack, or in bulk, as gateways send on veth. Host b counts them all and answers none ([`Sink`]). A trial offers one rate for some time; the search
//! halves the span between the highest rate that passed and the lowest that did not.
//!
//! A length is that of the frame with its FCS, which never crosses a veth: 64 means 60 octets here.

use std::{
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::{
    bare,
    sink::{self, Sink, Way},
    site::Underlay,
    traffic,
};
use support::{
    generator::{self, frame},
    lab::{Lab, Node},
    process::{Process, output},
};

/// What this program does inside a host.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Role {
    /// Sends UDP frames from host a to host b; says how many
    #[command(hide = true)]
    Offer {
        /// Octets of each frame, FCS included
        octets: usize,
        /// Frames a second
        rate: u64,
        /// For how long
        millis: u64,
        /// Many with one system call
        #[arg(long)]
        bulk: bool,
    },
    /// Takes UDP frames and answers none, until its input ends
    #[command(hide = true)]
    Sink {
        /// Past the kernel's stack
        #[arg(long)]
        bulk: bool,
    },
    /// A gateway that moves octets and does nothing else
    #[command(hide = true)]
    Bare {
        /// 1 or 2
        #[arg(value_parser = clap::value_parser!(u8).range(1..=2))]
        site: u8,
        underlay: Underlay,
        /// The hosts' MTU
        #[arg(value_parser = clap::value_parser!(u32).range(68..=9000))]
        mtu: u32,
    },
}

impl Role {
    pub(crate) fn play(self) -> Result<()> {
        match self {
            Self::Offer { octets, rate, millis, bulk } => {
                println!("{}", offer(octets, rate, Duration::from_millis(millis), way(bulk))?);
                Ok(())
            }
            Self::Sink { bulk } => sink::run(way(bulk)),
            Self::Bare { site, underlay, mtu } => bare::run(site, underlay, mtu),
        }
    }
}

const fn way(bulk: bool) -> Way {
    if bulk { Way::Bulk } else { Way::Kernel }
}

/// How to search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    /// Octets of a frame, FCS included.
    pub(crate) octets: usize,
    /// Of how many frames one may be lost.
    pub(crate) one_in: u64,
    /// The highest rate to try, in frames a second.
    pub(crate) most: u64,
    /// Milliseconds of a trial.
    pub(crate) millis: u64,
    /// Trials.
    pub(crate) trials: u32,
}

/// The highest rate that passes, in frames a second, within `most / 2^trials`.
pub(crate) fn search(sink: &mut Sink<'_>, search: &Search) -> Result<u64> {
    let (mut low, mut high, mut passed) = (0u64, search.most, 0);
    // Wakes everything up, and finds neighbours.
    trial(sink, search, 1000)?;
    for _ in 0..search.trials {
        let rate = low.midpoint(high);
        let Trial { sent, came, .. } = trial(sink, search, rate)?;
        let enough = sent * 1000 >= rate * search.millis * 95 / 100;
        if enough && sent.saturating_sub(came) <= sent / search.one_in {
            passed = passed.max(rate.min(sent * 1000 / search.millis));
            low = rate;
        } else {
            high = rate;
        }
    }
    Ok(passed)
}

/// The median and the 99th of 100 of the round-trip times of echoes while this rate is offered, in microseconds.
pub(crate) fn echoes_beside(lab: &Lab, octets: usize, rate: u64) -> Result<[f64; 2]> {
    let mut offer = generator(lab, octets, rate.max(1), 60_000)?;
    // It ends with this.
    let _offering = Process::start(offer.stdout(Stdio::null()))?;
    let times = traffic::round_trips(lab)?;
    let at =
        |percent: usize| times.get((times.len() - 1) * percent / 100).copied().context("no echo came back");
    Ok([at(50)?, at(99)?])
}

/// What became of a trial.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trial {
    /// Frames that were sent.
    pub(crate) sent: u64,
    /// Frames that had come when the generator had ended; the others still waited somewhere, or were lost.
    pub(crate) in_time: u64,
    /// Frames that came.
    pub(crate) came: u64,
}

/// Offers one rate.
pub(crate) fn trial(sink: &mut Sink<'_>, search: &Search, rate: u64) -> Result<Trial> {
    // What the last trial left on its way is not this one's.
    let before = settled(sink)?;
    let mut offer = generator(sink.lab(), search.octets, rate, search.millis)?;
    offer.args((sink.way() == Way::Bulk).then_some("--bulk"));
    let sent: u64 = output(&mut offer)?.trim().parse().context("the generator is mute")?;
    let in_time = sink.heard()?.saturating_sub(before);
    Ok(Trial { sent, in_time, came: settled(sink)?.saturating_sub(before) })
}

/// What has come when no more comes.
#[expect(clippy::disallowed_methods, reason = "what is on its way has no event to wait for")]
fn settled(sink: &mut Sink<'_>) -> Result<u64> {
    let (mut came, mut same) = (sink.heard()?, 0);
    for _ in 0..LOOKS {
        sleep(LOOK);
        let later = sink.heard()?;
        same = if later == came { same + 1 } else { 0 };
        came = later;
        if same == SAME {
            return Ok(came);
        }
    }
    eprintln!("rig: frames come to host b all the time, whoever sends them: its counts are too high");
    Ok(came)
}

/// The generator in host a, sending by a packet socket.
fn generator(lab: &Lab, octets: usize, rate: u64, millis: u64) -> Result<Command> {
    let mut offer = lab.this_program(Node::HostA)?;
    offer.args(["offer", &octets.to_string(), &rate.to_string(), &millis.to_string()]);
    Ok(offer)
}

/// 64 flows of UDP from host a, at `rate` for `time`.
fn offer(octets: usize, rate: u64, time: Duration, way: Way) -> Result<u64> {
    let flows: Vec<Vec<u8>> = (0..FLOWS).map(|flow| frame(octets, flow, None)).collect::<Result<_>>()?;
    if way == Way::Bulk {
        let (mut port, mut pool) = generator::open_xdp("eth0")?;
        generator::wait_for_bulk(&mut port, &mut pool)?;
        return generator::offer(&mut port, &mut pool, generator::IN_BULK, &flows, rate, time);
    }
    let (mut port, mut pool) = generator::open("eth0")?;
    generator::offer(&mut port, &mut pool, generator::ONE_BY_ONE, &flows, rate, time)
}

const FLOWS: u16 = 64;
/// How often to look whether more frames come, and how long to wait in between.
const LOOKS: usize = 200;
const LOOK: Duration = Duration::from_millis(10);
/// Looks in a row that find nothing new when nothing more comes.
const SAME: u32 = 3;
