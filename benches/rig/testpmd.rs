//! DPDK's testpmd between the hosts: two ports each, frames from one to the other with new MAC addresses, in clear.
//!
//! It is what polling without a kernel costs and brings on the same links; it routes nothing, protects nothing and looks at nothing behind
//! the Ethernet header. Debian's DPDK has no driver for AF_XDP, so the ports are packet sockets (`net_af_packet`). That driver
//! takes no super-frames and no unfinished checksums, as hosts on veth send them, so only small frames are measured. Each instance polls
//! with a processor of its own, all the time: what it uses per frame says how long it waited, too.
//!
//! Hosts cannot ask it for its MAC address, so they are told.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use anyhow::{Context, Result};
use support::{
    ending::{self, Made},
    lab::{Lab, Node, channel_mac, host_mac, lan_mac},
    process::Process,
};

/// The program, and how it is called in reports.
pub(crate) const NAME: &str = "dpdk-testpmd";
/// What it says when it forwards.
const READY: &str = "Press enter to exit";
/// Memory of each instance, in MiB, and buffers in it.
const MEMORY: &str = "256";
const BUFFERS: &str = "--total-num-mbufs=16384";
const SIDES: [(Node, Node, u8); 2] = [(Node::GatewayA, Node::HostA, 1), (Node::GatewayB, Node::HostB, 2)];

/// Two instances. Dropping it ends them and has the hosts forget what they were told.
#[derive(Debug)]
pub(crate) struct Testpmd<'a> {
    processes: Vec<Process>,
    /// Removed behind the processes.
    _neighbours: Neighbours<'a>,
}

impl<'a> Testpmd<'a> {
    pub(crate) fn start(lab: &'a Lab) -> Result<Self> {
        let neighbours = Neighbours::tell(lab)?;
        let mut processes = Vec::new();
        for (node, _, site) in SIDES {
            let far = 3 - site;
            ending::note(Made::Folder(format!("/run/dpdk/{}", prefix(site)).into()));
            // It writes to a pipe by the block, and says that it is ready with less.
            let mut command = lab.command(node, "stdbuf");
            command.args(["-oL", NAME]);
            command.args([
                "--no-huge",
                "--no-shconf",
                "--no-pci",
                "-m",
                MEMORY,
                "--file-prefix",
                &prefix(site),
            ]);
            // The first thread, which only waits, beside the other instance's second one, which polls.
            command.args(["--lcores", &format!("0@{},1@{}", site % 2, far % 2)]);
            command.args(["--vdev", "net_af_packet0,iface=lan", "--vdev", "net_af_packet1,iface=c1", "--"]);
            command.args(["--forward-mode=mac", "--no-lsc-interrupt", BUFFERS]);
            command.arg(format!("--eth-peer=0,{}", host_mac(site)));
            command.arg(format!("--eth-peer=1,{}", channel_mac(far, 1)));
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
            let mut process = Process::start(&mut command)?;
            let said = process.child().stdout.take().context("testpmd is mute")?;
            let mut lines = BufReader::new(said).lines();
            lines
                .find(|line| line.as_ref().is_ok_and(|line| line.contains(READY)))
                .with_context(|| format!("{NAME} ended before it forwarded"))??;
            // It must be able to say the rest.
            std::thread::spawn(move || lines.for_each(drop));
            processes.push(process);
        }
        Ok(Self { processes, _neighbours: neighbours })
    }

    /// Seconds of CPU used so far at gateway a and gateway b.
    pub(crate) fn cpu_seconds(&self) -> Result<Vec<f64>> {
        self.processes.iter().map(Process::cpu_seconds).collect()
    }
}

impl Drop for Testpmd<'_> {
    fn drop(&mut self) {
        self.processes.clear();
        for (_, _, site) in SIDES {
            let _removed = fs::remove_dir_all(format!("/run/dpdk/{}", prefix(site)));
        }
    }
}

/// Under which name an instance keeps what it needs at run time.
fn prefix(site: u8) -> String {
    format!("rig{}s{site}", std::process::id())
}

/// What the hosts were told of the gateways.
#[derive(Debug)]
pub(crate) struct Neighbours<'a>(&'a Lab);

impl<'a> Neighbours<'a> {
    pub(crate) fn tell(lab: &'a Lab) -> Result<Self> {
        let this = Self(lab);
        for (_, host, site) in SIDES {
            lab.ip(host, &format!("neigh replace 10.{site}.0.1 lladdr {} dev eth0", lan_mac(site)))?;
        }
        Ok(this)
    }
}

impl Drop for Neighbours<'_> {
    fn drop(&mut self) {
        for (_, host, site) in SIDES {
            let _forgot = self.0.ip(host, &format!("neigh del 10.{site}.0.1 dev eth0"));
        }
    }
}
