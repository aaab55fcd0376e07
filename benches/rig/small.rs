//! Small frames: the highest rate at which none (or so few) are lost, searched as RFC 2544 §26.1 has it.
//!
//! The generator is this program again, inside host a: it sends UDP frames of 64 flows in bursts at a given rate, by a packet socket past host a's
//! stack. Host b's kernel counts what arrives for a UDP port whose socket is never read (`InErrors` and `InDatagrams` of
//! `/proc/net/snmp`), so every frame is counted and none is answered. A trial offers one rate for some time; the search
//! halves the span between the highest rate that passed and the lowest that did not.
//!
//! A length is that of the frame with its FCS, which never crosses a veth: 64 means 60 octets here.

use std::{
    net::{Ipv4Addr, UdpSocket},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::traffic;
use support::{
    generator::{self, PORT, frame, heard},
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
    },
    /// Takes UDP frames and never reads them, until its input ends
    #[command(hide = true)]
    Sink,
}

impl Role {
    pub(crate) fn play(self) -> Result<()> {
        match self {
            Self::Offer { octets, rate, millis } => {
                println!("{}", offer(octets, rate, Duration::from_millis(millis))?);
                Ok(())
            }
            Self::Sink => {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).context("cannot bind")?;
                println!("ready");
                std::io::stdin().lines().for_each(drop);
                drop(socket);
                Ok(())
            }
        }
    }
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

/// Host b's socket. Frames are counted while it is there.
#[derive(Debug)]
pub(crate) struct Sink(Process);

impl Sink {
    pub(crate) fn start(lab: &Lab) -> Result<Self> {
        let mut sink = lab.this_program(Node::HostB)?;
        let process = Process::start(sink.arg("sink").stdin(Stdio::piped()).stdout(Stdio::null()))?;
        Ok(Self(process))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.0.child().stdin.take());
    }
}

/// The highest rate that passes, in frames a second, within `most / 2^trials`.
pub(crate) fn search(lab: &Lab, search: &Search) -> Result<u64> {
    let (mut low, mut high) = (0u64, search.most);
    // Wakes everything up, and finds neighbours.
    trial(lab, search, 1000)?;
    for _ in 0..search.trials {
        let rate = low.midpoint(high);
        let (sent, came) = trial(lab, search, rate)?;
        let enough = sent * 1000 >= rate * search.millis * 95 / 100;
        if enough && sent.saturating_sub(came) <= sent / search.one_in {
            low = rate;
        } else {
            high = rate;
        }
    }
    Ok(low)
}

/// The median and the 99th of 100 of the round-trip times of echoes while this rate is offered, in microseconds.
pub(crate) fn echoes_beside(lab: &Lab, search: &Search, rate: u64) -> Result<[f64; 2]> {
    let mut offer = lab.this_program(Node::HostA)?;
    offer.args(["offer", &search.octets.to_string(), &rate.max(1).to_string(), "60000"]);
    // It ends with this.
    let _offering = Process::start(offer.stdout(Stdio::null()))?;
    let times = traffic::round_trips(lab)?;
    let at =
        |percent: usize| times.get((times.len() - 1) * percent / 100).copied().context("no echo came back");
    Ok([at(50)?, at(99)?])
}

/// Offers one rate; how many were sent and how many came.
pub(crate) fn trial(lab: &Lab, search: &Search, rate: u64) -> Result<(u64, u64)> {
    let before = heard(lab)?;
    let mut offer = lab.this_program(Node::HostA)?;
    offer.args(["offer", &search.octets.to_string(), &rate.to_string(), &search.millis.to_string()]);
    let sent: u64 = output(&mut offer)?.trim().parse().context("the generator is mute")?;
    // What is still on its way has a few milliseconds in any case: `heard` starts a process.
    let mut came = heard(lab)?.saturating_sub(before);
    for _ in 0..5 {
        let later = heard(lab)?.saturating_sub(before);
        if later == came || later >= sent {
            came = later;
            break;
        }
        came = later;
    }
    Ok((sent, came))
}

/// 64 flows of UDP from host a, at `rate` for `time`.
fn offer(octets: usize, rate: u64, time: Duration) -> Result<u64> {
    let flows: Vec<Vec<u8>> = (0..FLOWS).map(|flow| frame(octets, flow, None)).collect::<Result<_>>()?;
    generator::offer("eth0", &flows, rate, time)
}

const FLOWS: u16 = 64;
