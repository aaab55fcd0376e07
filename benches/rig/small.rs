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
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use dataplane::{
    Depot, Frame, Pool, PoolSizes,
    port::{
        Port,
        af_packet::{AfPacketPort, Options, Ring},
    },
};

use support::process::{Process, output};

use crate::lab::{Lab, Node, host_mac, lan_mac};

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
        let own = std::env::current_exe().context("where this program is")?;
        let mut sink = lab.command(Node::HostB, &own.to_string_lossy());
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

/// Offers one rate; how many were sent and how many came.
pub(crate) fn trial(lab: &Lab, search: &Search, rate: u64) -> Result<(u64, u64)> {
    let own = std::env::current_exe().context("where this program is")?;
    let before = heard(lab)?;
    let mut offer = lab.command(Node::HostA, &own.to_string_lossy());
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

/// UDP datagrams that host b's kernel has seen.
fn heard(lab: &Lab) -> Result<u64> {
    let said = output(lab.command(Node::HostB, "cat").arg("/proc/net/snmp"))?;
    let mut rows = said.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, numbers) = rows.next().zip(rows.next()).context("no UDP counters")?;
    let pairs = names.split(' ').zip(numbers.split(' '));
    let wanted = pairs.filter(|(name, _)| ["InDatagrams", "NoPorts", "InErrors"].contains(name));
    Ok(wanted.filter_map(|(_, number)| number.parse::<u64>().ok()).sum())
}

/// Sends at `rate` for `time`: what is due is sent at once, in bursts of up to 32.
#[expect(clippy::disallowed_methods, reason = "a generator reads the clock")]
fn offer(octets: usize, rate: u64, time: Duration) -> Result<u64> {
    let options = Options {
        device: "eth0".to_owned(),
        ring: Ring::V2,
        ring_octets: 1 << 18,
        offload: false,
        qdisc_bypass: true,
        largest_frame: 1518,
        fanout: None,
    };
    let mut port = AfPacketPort::open(&options).context("cannot open host a's device")?;
    let mut pool =
        Pool::new(Depot::new(PoolSizes { small_count: 256, big_count: 1, ..PoolSizes::default() }));
    let flows: Vec<Vec<u8>> = (0..FLOWS).map(|flow| frame(octets, flow)).collect::<Result<_>>()?;
    let mut frames: Vec<Frame> = Vec::with_capacity(BURST);
    let (begin, mut next) = (Instant::now(), flows.iter().cycle());
    let mut offered: u64 = 0;
    loop {
        let past = begin.elapsed();
        if past >= time {
            break;
        }
        let due = u64::try_from(past.as_micros()).unwrap_or(u64::MAX).saturating_mul(rate) / 1_000_000;
        for octets in next.by_ref().take(usize::try_from(due - offered).unwrap_or(0).min(BURST)) {
            let mut buf = pool.for_len(octets.len()).context("no buffer")?;
            ensure!(buf.extend_from_slice(octets), "a frame fits");
            frames.push(Frame::new(buf));
        }
        offered += u64::try_from(frames.len()).unwrap_or(0);
        if frames.is_empty() {
            std::thread::yield_now();
        } else {
            port.send(&mut frames, &mut pool).context("cannot send")?;
        }
    }
    Ok(port.counters().tx_frames)
}

/// One UDP frame from host a to host b by gateway a.
fn frame(octets: usize, flow: u16) -> Result<Vec<u8>> {
    let octets = octets.saturating_sub(4).max(60);
    let mut frame = Vec::with_capacity(octets);
    frame.extend(mac(&lan_mac(1))?);
    frame.extend(mac(&host_mac(1))?);
    frame.extend([0x08, 0x00]);
    let length = u16::try_from(octets - 14).context("too long")?;
    let mut ip = vec![0x45, 0];
    ip.extend(length.to_be_bytes());
    ip.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 10, 1, 0, 10, 10, 2, 0, 10]);
    let sum = net::checksum::checksum(&ip).to_be_bytes();
    frame.extend(ip.iter().take(10));
    frame.extend(sum);
    frame.extend(ip.iter().skip(12));
    frame.extend((20_000 + flow).to_be_bytes());
    frame.extend(PORT.to_be_bytes());
    frame.extend((length - 20).to_be_bytes());
    frame.resize(octets, 0);
    Ok(frame)
}

fn mac(text: &str) -> Result<Vec<u8>> {
    text.split(':').map(|octet| u8::from_str_radix(octet, 16).context("no MAC address")).collect()
}

/// The port of the sink (discard, RFC 863).
const PORT: u16 = 9;
const FLOWS: u16 = 64;
const BURST: usize = 32;
