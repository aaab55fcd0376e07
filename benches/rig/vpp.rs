//! VPP between the hosts: one process for each gateway, ESP with AES-GCM-256 between them over the first channel link.
//!
//! It takes part when its program is given (`--vpp`), because Debian has no package of it. It runs without DPDK and huge pages: its ports are
//! packet sockets (`af_packet`, version 3, offloads on), woken by the kernel when frames come, as VPP is used where the kernel has the
//! devices. Everything it writes, its sockets among them, is in the run's private folder, but for the memory of an API that nobody
//! uses, which has a name of this run's own.
//!
//! Trains of TCP data, as hosts send them, reach it only on request ([`Program::trains`]): its packet sockets do not tell its segmentation that a train
//! is IPv4 (since 24.06, up to 26.06 at least), so what is cut has no valid length. Without that, hosts cut for themselves while it has its turn, and pay for it.
//!
//! Each side has two static SAs with extended sequence numbers and protection against replay (RFC 4303 §2.2.1, §3.4.3), which is what XPN and the
//! replay window are in MACsec, on an IPIP tunnel to the other side; the far LAN is routed into it. The inner MTU is the hosts', as for all contenders.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{Read as _, Write as _},
    num::NonZero,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use support::{
    ending::{self, Made},
    lab::{Files, Lab, Node, lan_mac},
    process::{Process, output},
};

use crate::site::SIDES;

/// Buffers of each instance, as it is asked for them: those that would cross the border of a page are left out, a quarter of these.
/// Larger ones, for frames of 9000 octets in one, hardly fit any: frames in several buffers it is.
const BUFFERS: u32 = 16_384;
/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks whether it has started.
const LOOK: Duration = Duration::from_millis(20);
/// The plugin with packet sockets.
const PLUGIN: &str = "af_packet_plugin.so";
/// SAs by their numbers, and the salt of both ways: the keys differ.
const OUT: u8 = 10;
const IN: u8 = 20;
const SALT: &str = "0x71756164";
/// What a command line that VPP refuses is answered with.
const REFUSED: &str = "CLI line error";

/// Which one to run.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    path: PathBuf,
    plugins: Option<PathBuf>,
    /// Hosts may send trains.
    trains: bool,
}

impl Program {
    /// What was given, if it is there.
    ///
    /// # Errors
    /// When it is not, with the option to blame.
    pub(crate) fn new(path: &Path, plugins: Option<&Path>, trains: bool) -> Result<Self> {
        let there = |option: &str, path: &Path| {
            path.canonicalize().with_context(|| format!("--{option} {}: it is not there", path.display()))
        };
        let this = Self {
            path: there("vpp", path)?,
            plugins: plugins.map(|p| there("vpp-plugins", p)).transpose()?,
            trains,
        };
        ensure!(this.path.is_file(), "--vpp {}: it is no program", path.display());
        if let Some(plugins) = &this.plugins {
            ensure!(
                plugins.join(PLUGIN).exists(),
                "--vpp-plugins {}: there is no {PLUGIN} in it",
                plugins.display()
            );
        }
        Ok(this)
    }

    /// How it is called in reports.
    pub(crate) const fn name(&self) -> &'static str {
        if self.trains { "vpp, trains" } else { "vpp" }
    }
}

/// Two instances. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Vpp<'a> {
    /// Before the files, so that they end first.
    processes: Vec<Process>,
    _files: Files,
    _cutting: Option<Cutting<'a>>,
}

impl<'a> Vpp<'a> {
    pub(crate) fn start(lab: &'a Lab, mtu: u32, program: &Program) -> Result<Self> {
        let cutting = (!program.trains).then(|| Cutting::begin(lab)).transpose()?;
        let files = Files::new()?;
        let mut processes = Vec::new();
        for (node, site) in SIDES {
            let place = Place { folder: files.path(), site };
            for memory in ["global_vm", "vpe-api"] {
                ending::note(Made::File(format!("/dev/shm/{}-{memory}", place.prefix()).into()));
            }
            fs::write(place.file("conf"), startup(&place, program)).context("cannot write")?;
            let log = File::create(place.file("log")).context("cannot write a log")?;
            let mut command = lab.command(node, &program.path.to_string_lossy());
            command.arg("-c").arg(place.file("conf"));
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            processes.push(Process::start(&mut command)?);
        }
        for ((_, site), process) in SIDES.iter().zip(&mut processes) {
            let place = Place { folder: files.path(), site: *site };
            fs::write(place.file("cli"), commands(&place, lab, mtu)?).context("cannot write")?;
            let told = wait_for(&place, process).and_then(|mut socket| tell(&mut socket, &place));
            told.with_context(|| format!("--vpp {} ({})", program.path.display(), place.said()))?;
        }
        Ok(Self { processes, _files: files, _cutting: cutting })
    }

    /// Seconds of CPU used so far at gateway a and gateway b.
    pub(crate) fn cpu_seconds(&self) -> Result<Vec<f64>> {
        self.processes.iter().map(Process::cpu_seconds).collect()
    }
}

/// Where an instance has its files.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    folder: &'a Path,
    site: u8,
}

impl Place<'_> {
    fn file(&self, kind: &str) -> PathBuf {
        self.folder.join(format!("vpp{}.{kind}", self.site))
    }

    /// Under which name it shares memory.
    fn prefix(&self) -> String {
        format!("rig{}s{}", std::process::id(), self.site)
    }

    /// The end of what it said, for an error.
    fn said(&self) -> String {
        let log = fs::read_to_string(self.file("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join("; ");
        if last.is_empty() { "it said nothing".to_owned() } else { format!("it said: {last}") }
    }

    /// A key that one side sends with.
    fn key(&self, site: u8) -> Result<String> {
        fs::read_to_string(self.folder.join(format!("tx{site}-1"))).context("cannot read a key")
    }
}

/// The socket that it takes commands at, once it listens.
#[expect(clippy::disallowed_methods, reason = "another program's start has no event to wait for")]
fn wait_for(place: &Place<'_>, process: &mut Process) -> Result<UnixStream> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Ok(socket) = UnixStream::connect(place.file("sock")) {
            return Ok(socket);
        }
        if let Some(status) = process.child().try_wait().context("cannot look after it")? {
            bail!("it ended ({status}) before it took commands; is it VPP?");
        }
        thread::sleep(LOOK);
    }
    bail!("it takes no commands after {} s; is it VPP?", PATIENCE.as_secs());
}

/// Has it run its commands. It stops at the first that it refuses.
fn tell(socket: &mut UnixStream, place: &Place<'_>) -> Result<()> {
    socket.set_read_timeout(Some(PATIENCE)).context("its socket")?;
    writeln!(socket, "exec {}\nquit", place.file("cli").display()).context("it takes no commands")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).context("it does not answer its commands")?;
    ensure!(!answer.contains(REFUSED), "it refused a command: {}", answer.trim());
    Ok(())
}

/// What it is started with: no shared place, no huge pages, only the plugin that it needs. It keeps its only thread on one processor, so the
/// instances get one each.
fn startup(place: &Place<'_>, program: &Program) -> String {
    let (folder, site) = (place.folder.display(), place.site);
    let plugins =
        program.plugins.as_ref().map_or_else(String::new, |path| format!("path {} ", path.display()));
    format!(
        "unix {{ nodaemon nosyslog cli-line-mode cli-no-pager runtime-dir {folder}/vpp{site} cli-listen {socket} }}\n\
         memory {{ main-heap-size 256M main-heap-page-size default }}\n\
         buffers {{ buffers-per-numa {BUFFERS} page-size default default data-size 2048 }}\n\
         statseg {{ socket-name {folder}/vpp{site}.stats size 32M page-size default }}\n\
         api-segment {{ prefix {prefix} }}\n\
         cpu {{ main-core {core} }}\n\
         plugins {{ {plugins}plugin default {{ disable }} plugin {PLUGIN} {{ enable }} }}\n",
        socket = place.file("sock").display(),
        prefix = place.prefix(),
        core = usize::from(site) % thread::available_parallelism().map_or(1, NonZero::get),
    )
}

/// Ports, SAs, tunnel and routes.
fn commands(place: &Place<'_>, lab: &Lab, mtu: u32) -> Result<String> {
    let (own, far) = (place.site, 3 - place.site);
    let mut text = format!(
        "create host-interface name lan hw-addr {mac}\ncreate host-interface name c1\n\
         set interface ip address host-lan 10.{own}.0.1/24\nset interface ip address host-c1 169.254.1.{own}/30\n\
         set interface mtu packet {mtu} host-lan\nset interface mtu packet {channel} host-c1\n",
        mac = lan_mac(own),
        channel = lab.channel_mtu,
    );
    for (id, sender) in [(OUT, own), (IN, far)] {
        // Writing to a String cannot fail.
        let _written = writeln!(
            text,
            "ipsec sa add {id} spi {spi} esp crypto-alg aes-gcm-256 crypto-key {key} salt {SALT} use-esn use-anti-replay",
            spi = 1000 + u32::from(sender),
            key = place.key(sender)?,
        );
    }
    text += &format!(
        "create ipip tunnel src 169.254.1.{own} dst 169.254.1.{far}\nset interface unnumbered ipip0 use host-c1\n\
         set interface mtu packet {mtu} ipip0\nset interface feature gso ipip0 enable\n\
         ipsec tunnel protect ipip0 sa-in {IN} sa-out {OUT}\nip route add 10.{far}.0.0/24 via ipip0\n"
    );
    for port in ["host-lan", "host-c1", "ipip0"] {
        text += &format!("set interface state {port} up\n");
    }
    Ok(text)
}

/// Hosts that cut their own TCP data into frames. Dropping it ends that.
#[derive(Debug)]
struct Cutting<'a>(&'a Lab);

impl<'a> Cutting<'a> {
    fn begin(lab: &'a Lab) -> Result<Self> {
        let this = Self(lab);
        this.trains("off")?;
        Ok(this)
    }

    fn trains(&self, state: &str) -> Result<()> {
        for host in [Node::HostA, Node::HostB] {
            let mut set = self.0.command(host, "ethtool");
            output(set.args(["-K", "eth0", "tso", state, "gso", state]))?;
        }
        Ok(())
    }
}

impl Drop for Cutting<'_> {
    fn drop(&mut self) {
        let _set = self.trains("on");
    }
}
