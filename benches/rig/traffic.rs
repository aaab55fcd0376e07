//! Traffic from host a to host b.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use support::{
    lab::{Lab, Node},
    process::{Process, output},
};

const FAR: &str = "10.2.0.10";
/// Echo requests, each waiting up to a second, before a contender is given up.
const PATIENCE: usize = 20;

/// What one iperf3 run moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Rate as host b received it, in Gbit/s of TCP data.
    pub(crate) gbps: f64,
    /// TCP data received, in 10^9 octets.
    pub(crate) gigabytes: f64,
}

/// Waits until host b answers host a.
pub(crate) fn wait_for_answer(lab: &Lab) -> Result<()> {
    for _ in 0..PATIENCE {
        if output(lab.command(Node::HostA, "ping").args(["-c", "1", "-W", "1", FAR])).is_ok() {
            return Ok(());
        }
    }
    bail!("host b does not answer host a")
}

/// The median of echoes' round-trip times, in microseconds.
pub(crate) fn round_trip(lab: &Lab) -> Result<f64> {
    let times = round_trips(lab)?;
    times.get(times.len() / 2).copied().context("no echo came back")
}

/// The round-trip times of the echoes, of 200, that came back; shortest first, in microseconds.
pub(crate) fn round_trips(lab: &Lab) -> Result<Vec<f64>> {
    let said = output(lab.command(Node::HostA, "ping").args(["-c", "200", "-i", "0.005", FAR]))?;
    let time = |line: &str| line.split("time=").nth(1)?.split(' ').next()?.parse::<f64>().ok();
    let mut times: Vec<f64> = said.lines().filter_map(time).map(|millis| millis * 1000.0).collect();
    times.sort_by(f64::total_cmp);
    anyhow::ensure!(!times.is_empty(), "no echo came back");
    Ok(times)
}

/// TCP from host a to host b, with this congestion control or the machine's default.
pub(crate) fn tcp(lab: &Lab, streams: u32, seconds: u32, congestion: Option<&str>) -> Result<Run> {
    let mut server = lab.command(Node::HostB, "iperf3");
    let mut server = Process::start(server.args(["-s", "-1", "--forceflush"]).stdout(Stdio::piped()))?;
    let mut said = BufReader::new(server.child().stdout.take().context("iperf3 is mute")?).lines();
    said.by_ref()
        .find(|line| line.as_ref().is_ok_and(|line| line.contains("listening")))
        .context("iperf3 ended")??;
    let mut client = lab.command(Node::HostA, "iperf3");
    client.args(["-J", "-c", FAR, "-P", &streams.to_string(), "-t", &seconds.to_string()]);
    client.args(congestion.iter().flat_map(|name| ["-C", name]));
    let result: serde_json::Value =
        serde_json::from_str(&output(&mut client)?).context("iperf3 wrote no JSON")?;
    // The server must be able to say the rest.
    said.for_each(drop);
    let sum = |key: &str| {
        let pointer = format!("/end/sum_received/{key}");
        result.pointer(&pointer).and_then(serde_json::Value::as_f64).with_context(|| format!("no {pointer}"))
    };
    Ok(Run { gbps: sum("bits_per_second")? / 1e9, gigabytes: sum("bytes")? / 1e9 })
}
