//! Commands in the nodes of a lab: what an engineer would type there, with a limit of time and the output kept.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use gateway::lab::{Lab, Process, Stop};

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Output {
    /// Exit status; 124: it took too long. `None`: killed.
    pub(crate) status: Option<i32>,
    /// Standard output and standard error, in the order written.
    pub(crate) text: String,
}

/// Seconds that a command may take. A loaded machine with two cores is slow; a hang is longer.
const LIMIT: &str = "60";

/// Runs a shell script inside a node and waits for it.
pub(crate) fn sh(lab: &Lab, node: &str, script: &str) -> Output {
    let mut command = Command::new("timeout");
    command.args(["-k", "2", LIMIT, "sh", "-ec", &format!("exec 2>&1; {script}")]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = lab.spawn(node, command).unwrap();
    let mut text = Vec::new();
    process.child().stdout.take().unwrap().read_to_end(&mut text).unwrap();
    let status = process.wait(Duration::from_secs(10)).unwrap().code();
    Output { status, text: String::from_utf8_lossy(&text).into_owned() }
}

/// [`sh`], and a script that fails is a failed test. Gives what it wrote.
pub(crate) fn must(lab: &Lab, node: &str, script: &str) -> String {
    let output = sh(lab, node, script);
    assert_eq!(output.status, Some(0), "at {node}: `{script}`:\n{}", output.text);
    output.text
}

/// Starts a program inside a node, in the background and silent.
pub(crate) fn background(lab: &Lab, node: &str, program: &str, arguments: &[&str]) -> Process {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    lab.spawn(node, command).unwrap()
}

/// Asks again and again until there is an answer, for `patience` at most.
///
/// # Panics
/// When there is none until then.
pub(crate) fn until<T>(what: &str, patience: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let mut answer = None;
    Stop::new().poll(patience, Duration::from_millis(20), || {
        answer = ask();
        answer.is_some()
    });
    answer.unwrap_or_else(|| panic!("{what}: not within {} s", patience.as_secs()))
}

/// Pings `count` times, one at a time: `what` is the target and options. Each has its reply, and only one, within 5 s.
///
/// One process each, because ping waits for the last reply of several only twice as long as the others took.
pub(crate) fn ping(lab: &Lab, from: &str, count: u32, what: &str) {
    for _ in 0..count {
        let text = must(lab, from, &format!("ping -n -c 1 -W 5 {what}"));
        assert!(
            text.contains("1 received") && !text.contains("DUP!") && !text.contains("Redirect"),
            "{text}"
        );
    }
}

/// The programs of `wanted` that this machine lacks.
pub(crate) fn missing(wanted: &[&str]) -> Vec<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin".into(), "/sbin".into()]);
    let found = |program: &&&str| !folders.iter().any(|folder| folder.join(program).exists());
    wanted.iter().filter(found).map(|program| (*program).to_owned()).collect()
}

/// What one run of iperf3 measured.
#[derive(Debug)]
pub(crate) struct Iperf {
    /// Octets that arrived.
    pub(crate) received: u64,
    /// Bits per second that arrived.
    pub(crate) rate: f64,
    /// UDP: datagrams lost, of the sender's count.
    pub(crate) lost: u64,
    /// UDP: datagrams sent.
    pub(crate) packets: u64,
}

/// Runs iperf3 from `client` to a one-shot server at `server`, which has `address`; `more` as in `-R -t 1`. The best of three where
/// one of TCP for a second is slow: who is disturbed then is not always.
pub(crate) fn iperf(lab: &Lab, client: &str, server: &str, address: &str, more: &str) -> Iperf {
    let mut best = iperf_once(lab, client, server, address, more);
    let short = more.contains("-t 1") && !more.contains("-u");
    for _ in (0..2).filter(|_| short) {
        if best.rate < SLOW {
            let again = iperf_once(lab, client, server, address, more);
            best = if again.rate > best.rate { again } else { best };
        }
    }
    best
}

/// Bits per second of TCP that any machine carries when nothing disturbs it.
const SLOW: f64 = 20e6;

fn iperf_once(lab: &Lab, client: &str, server: &str, address: &str, more: &str) -> Iperf {
    let _server = background(lab, server, "iperf3", &["-s", "-1", "-p", "5201"]);
    until("iperf3 -s listens", Duration::from_secs(10), || {
        let sockets = sh(lab, server, "ss -Hltn 'sport = :5201'").text;
        sockets.contains(":5201").then_some(())
    });
    let text = must(lab, client, &format!("iperf3 -J -p 5201 --connect-timeout 5000 -c {address} {more}"));
    measured(&text)
}

/// Reads `iperf3 -J`.
pub(crate) fn measured(text: &str) -> Iperf {
    let report: serde_json::Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let end = &report["end"];
    let udp = end["sum"]["packets"].is_u64();
    let sum = if udp { &end["sum"] } else { &end["sum_received"] };
    Iperf {
        received: sum["bytes"].as_u64().unwrap_or(0),
        rate: sum["bits_per_second"].as_f64().unwrap_or(0.0),
        lost: sum["lost_packets"].as_u64().unwrap_or(0),
        packets: sum["packets"].as_u64().unwrap_or(0),
    }
}

/// Datagrams that a node's kernel dropped because their socket was full: on a busy machine the receiver is late, and
/// that is no loss on the way.
pub(crate) fn overruns(lab: &Lab, node: &str) -> u64 {
    let counts = must(lab, node, "nstat -asz UdpRcvbufErrors Udp6RcvbufErrors");
    counts.lines().filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}
