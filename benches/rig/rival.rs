//! What others do on the same links: tunnels of WireGuard in user space, between the kernels that forward into them.
//!
//! A rival takes part when its program is installed, and is named as missing otherwise. Its tunnel runs over the first channel
//! link; the kernel of each gateway routes the far LAN into it. The tunnel's MTU is what the link leaves, so hosts' packets are not cut.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use support::{
    lab::{Files, Lab},
    process::{Process, output},
};

use crate::{
    site::{Kernel, SIDES},
    testpmd,
};

/// Programs that take `-f NAME` (and more words) and are configured by `wg`.
const PROGRAMS: [(&str, &[&str]); 2] =
    [("wireguard-go", &[]), ("boringtun-cli", &["--disable-drop-privileges"])];
/// What WireGuard puts around a packet over IPv4: IPv4, UDP, its header and tag, padding.
const OVERHEAD: u32 = 80;
const PORT: &str = "51820";

/// Those that are installed; the others are named.
pub(crate) fn installed() -> Vec<&'static str> {
    let names = PROGRAMS.iter().map(|(name, _)| *name);
    let mut all: Vec<_> = names
        .filter(|name| {
            let there = found(name) && found("wg");
            if !there {
                eprintln!("rig: {name} is left out: it, or wg (wireguard-tools), is not installed");
            }
            there
        })
        .collect();
    if found(testpmd::NAME) {
        all.push(testpmd::NAME);
    } else {
        eprintln!("rig: {} is left out: it (dpdk-dev on Debian) is not installed", testpmd::NAME);
    }
    all
}

fn found(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

/// A rival between the hosts. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Tunnels<'a> {
    processes: Vec<Process>,
    _files: Files,
    _kernel: Kernel<'a>,
}

impl<'a> Tunnels<'a> {
    pub(crate) fn start(lab: &'a Lab, program: &str) -> Result<Self> {
        let (_, more) = PROGRAMS.iter().find(|(name, _)| *name == program).context("no such rival")?;
        let (kernel, files) = (Kernel::start(lab)?, Files::new()?);
        let mut processes = Vec::new();
        for (node, site) in SIDES {
            let mut command = lab.command(node, program);
            command.arg("-f").arg(device(site)).args(*more).env("LOG_LEVEL", "error");
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            processes.push(Process::start(&mut command)?);
            wait_for(Path::new(&format!("/var/run/wireguard/{}.sock", device(site))))?;
            fs::write(key(&files, site), output(Command::new("wg").arg("genkey"))?)?;
        }
        for (node, site) in SIDES {
            let (own, far) = (device(site), 3 - site);
            let public = Command::new("wg")
                .arg("pubkey")
                .stdin(fs::File::open(key(&files, far))?)
                .output()
                .context("cannot run wg")?;
            let public = String::from_utf8_lossy(&public.stdout).trim().to_owned();
            let mut set = lab.command(node, "wg");
            set.args(["set", &own, "listen-port", PORT, "private-key"]).arg(key(&files, site));
            set.args(["peer", &public, "allowed-ips", "0.0.0.0/0"]);
            set.args(["endpoint", &format!("169.254.1.{far}:{PORT}")]);
            output(&mut set)?;
            lab.ip(node, &format!("link set {own} mtu {} up", lab.channel_mtu - OVERHEAD))?;
            lab.ip(node, &format!("route replace 10.{far}.0.0/24 dev {own}"))?;
        }
        Ok(Self { processes, _files: files, _kernel: kernel })
    }

    /// Seconds of CPU used so far at gateway a and gateway b by its processes; the kernel's forwarding is in none.
    pub(crate) fn cpu_seconds(&self) -> Result<Vec<f64>> {
        self.processes.iter().map(Process::cpu_seconds).collect()
    }
}

fn device(site: u8) -> String {
    format!("rigwg{}s{site}", std::process::id() % 100_000)
}

fn key(files: &Files, site: u8) -> PathBuf {
    files.path().join(format!("wg{site}"))
}

fn wait_for(socket: &Path) -> Result<()> {
    let began = now();
    while now().duration_since(began) < Duration::from_secs(10) {
        if socket.exists() {
            return Ok(());
        }
        std::thread::yield_now();
    }
    bail!("{} does not come", socket.display())
}

#[expect(clippy::disallowed_methods, reason = "a patience has an end")]
fn now() -> Instant {
    Instant::now()
}
