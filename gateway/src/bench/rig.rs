//! Two gateways in namespaces of this process, between two hosts: what frames cost with all that the kernel does for them on
//! veth pairs. Built as the demo's sites are, with MKA, BGP and BFD; processors are shared with the hosts and their traffic.

use std::{net::IpAddr, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::stopwatch::real;
use crate::{
    api::model::WorkerRuntime,
    demo::{
        api::{List, get},
        gateway::Gateway,
        site::{Plan, SiteFiles},
        standing::Mode,
    },
    lab::{
        Lab, Stop, Topology,
        traffic::{
            tcp::TcpStreamRun,
            udp::{UdpFlow, UdpOptions, UdpRun},
        },
    },
    show,
};

/// What traffic through two gateways measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RigFigures {
    /// One TCP stream at MTU 1500, every octet checked: Gbit/s of its data.
    pub tcp_gbit_per_s: f64,
    /// CPU seconds of the sending and the receiving gateway for 10^9 octets of that.
    pub tcp_cpu_s_per_gb: [f64; 2],
    /// Small packets that were offered, a second.
    pub small_offered: f64,
    /// Of those, how many arrived, in per cent.
    pub small_arrived: f64,
    /// Octets of a small packet.
    pub small_octets: u16,
    /// CPU time of the sending and the receiving gateway for a small packet, in nanoseconds.
    pub small_cpu_ns: [f64; 2],
    /// From host to host through both gateways: in the middle, and 99 of 100, in microseconds.
    pub delay_us: [u64; 2],
    /// Nanoseconds per frame, by stage, of the sending gateway with small packets.
    pub stages: Vec<(String, u64)>,
}

const CHANNELS: u8 = 4;
const CHANNEL_MTU: u32 = 1600;
const PATIENCE: Duration = Duration::from_secs(20);
const FLOWS: u16 = 32;
/// Small packets a second: what two shared processors can offer and take.
const SMALL_RATE: u32 = 20_000;
const PORT: u16 = 5009;

/// Builds it all, measures for about twice `time`, and takes it down.
pub(super) fn measure(time: Duration, stop: &Stop) -> Result<RigFigures> {
    let lab = Lab::build(&Topology::two_sites(CHANNELS, CHANNEL_MTU))?;
    let plan = Plan {
        mode: Mode::Ecmp,
        channels: CHANNELS,
        channel_mtu: CHANNEL_MTU,
        next_key_after: None,
        measured: false,
    };
    let files = SiteFiles::write(plan).context("writing the sites' files")?;
    let mut gateways = Vec::new();
    for site in &files.sites {
        gateways.push(Gateway::start(&lab, site)?);
    }
    for gateway in &mut gateways {
        gateway.wait_live(CHANNELS.into(), PATIENCE, stop)?;
        gateway.wait_ways(CHANNELS.into(), PATIENCE, stop)?;
    }
    let sockets: Vec<_> = files.sites.iter().map(|site| site.socket.as_path()).collect();
    let mut figures = RigFigures::default();
    tcp(&lab, &sockets, time, stop, &mut figures)?;
    small(&lab, &sockets, time, stop, &mut figures)?;
    ensure!(!stop.is_requested(), "interrupted");
    Ok(figures)
}

fn far() -> IpAddr {
    [10, 2, 0, 2].into()
}

fn tcp(lab: &Lab, sockets: &[&Path], time: Duration, stop: &Stop, figures: &mut RigFigures) -> Result<()> {
    let run = TcpStreamRun::start(lab.namespace("h-a")?, lab.namespace("h-b")?, far(), None, PATIENCE)
        .context("a TCP connection through both gateways")?;
    // Congestion windows open first.
    stop.wait(Duration::from_millis(300));
    let before = accounts(sockets)?;
    stop.wait(time);
    let after = accounts(sockets)?;
    let report = run.stop().context("the TCP stream")?;
    ensure!(report.is_complete(), "the TCP stream did not arrive as it was sent");
    figures.tcp_gbit_per_s = real(report.bits_per_second()) / 1e9;
    let spent = spent(&before, &after);
    // Of the whole stream's octets, those of the watched time: by the rate.
    let gigabytes = figures.tcp_gbit_per_s / 8.0 * time.as_secs_f64();
    figures.tcp_cpu_s_per_gb = spent.map(|seconds| seconds / gigabytes.max(1e-9));
    Ok(())
}

fn small(lab: &Lab, sockets: &[&Path], time: Duration, stop: &Stop, figures: &mut RigFigures) -> Result<()> {
    let flow = |at| UdpFlow { to: far(), source_port: 20_000 + at, packet: UdpFlow::MIN_PACKET };
    let options = UdpOptions { flows: (0..FLOWS).map(flow).collect(), rate: SMALL_RATE, port: PORT };
    let before = accounts(sockets)?;
    let run = UdpRun::start(lab.namespace("h-a")?, lab.namespace("h-b")?, &options)
        .context("UDP through both gateways")?;
    stop.wait(time);
    let report = run.stop().context("the UDP flows")?;
    let after = accounts(sockets)?;
    let totals = report.totals();
    ensure!(totals.received > 0, "no small packet arrived");
    figures.small_octets = UdpFlow::MIN_PACKET;
    figures.small_offered = real(totals.sent) / time.as_secs_f64();
    figures.small_arrived = real(totals.received) * 100.0 / real(totals.sent.max(1));
    figures.small_cpu_ns = spent(&before, &after).map(|seconds| seconds * 1e9 / real(totals.received));
    let micros = |percent| u64::try_from(report.delay(percent).as_micros()).unwrap_or(u64::MAX);
    figures.delay_us = [micros(50), micros(99)];
    let sender = before.into_iter().zip(after).next();
    figures.stages = sender.map(|(was, now)| stages(&was, now)).unwrap_or_default();
    Ok(())
}

/// The workers' accounts of each gateway.
fn accounts(sockets: &[&Path]) -> Result<Vec<Vec<WorkerRuntime>>> {
    let ask = |socket: &&Path| get::<List<WorkerRuntime>>(socket, "/v1/runtime").map(|list| list.items);
    sockets.iter().map(ask).collect::<Result<_, _>>().context("asking a gateway how it spent its time")
}

/// Processor seconds of each gateway's workers; where the kernel does not count them, the time they were awake.
fn spent(before: &[Vec<WorkerRuntime>], after: &[Vec<WorkerRuntime>]) -> [f64; 2] {
    let seconds = |workers: &Vec<WorkerRuntime>| -> f64 {
        let one = |worker: &WorkerRuntime| worker.schedule.map_or(worker.working_ns, |kernel| kernel.ran_ns);
        real(workers.iter().map(one).sum()) / 1e9
    };
    let each = |at: usize| {
        let (was, now) = (before.get(at).map_or(0.0, seconds), after.get(at).map_or(0.0, seconds));
        (now - was).max(0.0)
    };
    [each(0), each(1)]
}

/// Nanoseconds per frame of all workers together, by stage.
fn stages(before: &[WorkerRuntime], after: Vec<WorkerRuntime>) -> Vec<(String, u64)> {
    let mut sums: Vec<(String, u64, u64)> = Vec::new();
    for stage in show::runtime_between(before, after).into_iter().flat_map(|worker| worker.stages) {
        match sums.iter_mut().find(|(name, ..)| *name == stage.stage) {
            Some((_, ns, frames)) => {
                *ns += stage.ns;
                *frames += stage.frames;
            }
            None => sums.push((stage.stage, stage.ns, stage.frames)),
        }
    }
    let each = |(name, ns, frames): (String, u64, u64)| Some((name, ns.checked_div(frames)?));
    sums.into_iter().filter_map(each).collect()
}
