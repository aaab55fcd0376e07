//! Frames from host a to host b, by all connections or by the last one.

use std::{
    io::{BufRead, BufReader, Write},
    process::{ChildStdout, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use support::{
    generator::{self, frame},
    lab::{Lab, Node},
    process::{Process, output},
};

use crate::site::vlans;

/// Octets of all frames, FCS included.
const OCTETS: usize = 64;
/// Flows of each connection: enough for all channels.
const FLOWS: u16 = 4;
/// Frames a second while host a waits for the gateway.
const KNOCKS: u64 = 500;

/// What this program does inside a host.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Role {
    /// Sends UDP frames from host a to host b; says how many
    #[command(hide = true)]
    Offer {
        /// The first VLAN and the last one
        first: u16,
        /// The last one
        last: u16,
        /// Frames a second
        rate: u64,
        /// For how long
        millis: u64,
    },
    /// Answers ARP, says when the first UDP frame comes, and counts them
    #[command(hide = true)]
    Sink,
}

impl Role {
    pub(crate) fn play(self) -> Result<()> {
        match self {
            Self::Offer { first, last, rate, millis } => {
                let each = (first..=last).flat_map(|vlan| (0..FLOWS).map(move |flow| (vlan, flow)));
                let frames = each.map(|(vlan, flow)| frame(OCTETS, flow, Some(vlan)));
                let frames: Vec<_> = frames.collect::<Result<_>>()?;
                let (mut port, mut pool) = generator::open("eth0")?;
                let (pace, time) = (generator::ONE_BY_ONE, Duration::from_millis(millis));
                println!("{}", generator::offer(&mut port, &mut pool, pace, &frames, rate, time)?);
                Ok(())
            }
            Self::Sink => crate::sink::run(),
        }
    }
}

/// Host b.
#[derive(Debug)]
pub(crate) struct Sink(Process, BufReader<ChildStdout>);

impl Sink {
    pub(crate) fn start(lab: &Lab) -> Result<Self> {
        let mut sink = lab.this_program(Node::HostB)?;
        let mut process = Process::start(sink.arg("sink").stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let said = BufReader::new(process.child().stdout.take().context("the sink is mute")?);
        let mut this = Self(process, said);
        this.wait_for("ready")?;
        Ok(this)
    }

    /// Waits for the first frame; a gateway that never starts lets host a give up, and this with it.
    pub(crate) fn wait_first(&mut self) -> Result<()> {
        self.wait_for("first")
    }

    fn wait_for(&mut self, word: &str) -> Result<()> {
        let line = self.line()?;
        ensure!(line == word, "the sink said `{line}`");
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.1.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// UDP frames so far.
    pub(crate) fn heard(&mut self) -> Result<u64> {
        let input = self.0.child().stdin.as_mut().context("the sink takes no questions")?;
        input.write_all(b"\n")?;
        self.line()?.parse().context("the sink gave no number")
    }

    /// How many of `sent` frames have come since `before`, once no more do.
    pub(crate) fn heard_all(&mut self, before: u64, sent: u64) -> Result<u64> {
        let mut came = 0;
        for _ in 0..20 {
            let later = self.heard()?.saturating_sub(before);
            if later == came || later >= sent {
                return Ok(later);
            }
            came = later;
            crate::rest(Duration::from_millis(20));
        }
        Ok(came)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.0.child().stdin.take());
    }
}

/// Host a sends by the last connection again and again, until this is dropped.
pub(crate) fn knock(lab: &Lab, connections: u16) -> Result<Process> {
    let last = vlans(connections).last().context("no connection")?;
    Process::start(offer(lab, (last, last), KNOCKS, 120_000)?.stdout(Stdio::null()))
}

/// Host a sends by all connections; how many frames.
pub(crate) fn send(lab: &Lab, connections: u16, rate: u64, millis: u64) -> Result<u64> {
    let (first, last) = vlans(connections).next().zip(vlans(connections).last()).context("no connection")?;
    output(&mut offer(lab, (first, last), rate, millis)?)?.trim().parse().context("the generator is mute")
}

fn offer(lab: &Lab, (first, last): (u16, u16), rate: u64, millis: u64) -> Result<std::process::Command> {
    let mut command = lab.this_program(Node::HostA)?;
    command.args(["offer", &first.to_string(), &last.to_string(), &rate.to_string(), &millis.to_string()]);
    Ok(command)
}
