//! What stands between the hosts: two gateways with their configurations, or the kernel.

use std::{
    fmt::{self, Write as _},
    fs::{self, File},
    path::Path,
    process::Stdio,
};

use anyhow::{Context, Result};
use clap::ValueEnum;

use support::{
    lab::{CHANNELS, Files, Lab, Node, channel_mac},
    process::{Process, output},
};

/// Both gateways, and the numbers of their sites.
pub(crate) const SIDES: [(Node, u8); 2] = [(Node::GatewayA, 1), (Node::GatewayB, 2)];

/// How gateways are configured.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) mtu: u32,
    pub(crate) workers: u16,
    pub(crate) ring: String,
    pub(crate) bypass: bool,
    pub(crate) underlay: Underlay,
    pub(crate) io: Io,
    pub(crate) poll: String,
    /// Memory for frames that wait at each port, in KiB; without it, the gateway's default.
    pub(crate) ring_kib: Option<u32>,
}

/// What tells one contender from another.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.underlay, self.io, self.poll)?;
        self.ring_kib.map_or(Ok(()), |kib| write!(f, " {kib} KiB"))
    }
}

/// How gateways move frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Io {
    /// As they choose.
    Auto,
    /// Packet sockets everywhere.
    Packet,
    /// AF_XDP on channels.
    Xdp,
    /// AF_XDP on LANs too. They then take no unfinished checksums, so only small frames are measured.
    XdpLan,
}

impl Io {
    /// Words of a `[[port]]`.
    fn words(self, lan: bool) -> &'static str {
        match (self, lan) {
            (Self::Auto, _) => "",
            (Self::XdpLan, true) => "io = \"af_xdp\"\noffload = false\n",
            (Self::Packet, _) | (Self::Xdp, true) => "io = \"af_packet\"\n",
            (Self::Xdp | Self::XdpLan, false) => "io = \"af_xdp\"\n",
        }
    }
}

impl fmt::Display for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Packet => "packet",
            Self::Xdp => "xdp",
            Self::XdpLan => "xdp-lan",
        })
    }
}

/// What a channel stands on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Underlay {
    /// The link itself.
    Ethernet,
    /// VXLAN in UDP over IPv4, across the link.
    Vxlan,
}

impl fmt::Display for Underlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ethernet => "ethernet",
            Self::Vxlan => "vxlan",
        })
    }
}

/// Two running gateways. Dropping them ends them and removes their files.
#[derive(Debug)]
pub(crate) struct Gateways<'a> {
    /// Before the files, so that they end first.
    processes: Vec<Process>,
    _files: Files,
    _addresses: Option<Addresses<'a>>,
}

impl<'a> Gateways<'a> {
    pub(crate) fn start(lab: &'a Lab, plan: &Plan, program: &Path) -> Result<Self> {
        let addresses = (plan.underlay == Underlay::Vxlan).then(|| Addresses::give(lab)).transpose()?;
        let strip = if plan.io == Io::XdpLan { "off" } else { "on" };
        for (node, _) in SIDES {
            let mut tags = lab.command(node, "ethtool");
            let set = output(tags.args(["-K", "lan", "rxvlan", strip]));
            if plan.io == Io::XdpLan {
                set?;
            }
        }
        let files = Files::new()?;
        let program =
            program.canonicalize().with_context(|| format!("{} is not there", program.display()))?;
        let mut processes = Vec::new();
        for (node, site) in SIDES {
            let config = files.path().join(format!("{site}.toml"));
            fs::write(&config, configuration(files.path(), lab, plan, site)).context("cannot write")?;
            let log = File::create(files.path().join(format!("{site}.log"))).context("cannot write a log")?;
            let mut command = lab.command(node, &program.to_string_lossy());
            command.arg("run").arg("-c").arg(config).env("RUST_LOG", "warn");
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            processes.push(Process::start(&mut command)?);
        }
        Ok(Self { processes, _files: files, _addresses: addresses })
    }

    /// Seconds of CPU used so far by gateway a and gateway b.
    pub(crate) fn cpu_seconds(&self) -> Result<Vec<f64>> {
        self.processes.iter().map(Process::cpu_seconds).collect()
    }

    /// The larger one's resident memory.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        let both: Result<Vec<f64>> = self.processes.iter().map(Process::resident_mib).collect();
        Ok(both?.into_iter().fold(0.0, f64::max))
    }
}

/// Addresses of the channel links, for what travels in UDP. Dropping it takes them away again.
#[derive(Debug)]
pub(crate) struct Addresses<'a>(&'a Lab);

impl<'a> Addresses<'a> {
    pub(crate) fn give(lab: &'a Lab) -> Result<Self> {
        let this = Self(lab);
        for (node, site) in SIDES {
            for channel in 1..=CHANNELS {
                lab.ip(node, &format!("addr add 198.18.{channel}.{site}/24 dev c{channel}"))?;
                // A gateway that ended without putting it back must not be held against this one.
                let setting = format!("net.ipv4.conf.c{channel}.arp_ignore=0");
                output(lab.command(node, "sysctl").args(["-q", "-w", &setting]))?;
            }
        }
        Ok(this)
    }
}

impl Drop for Addresses<'_> {
    fn drop(&mut self) {
        for (node, _) in SIDES {
            for channel in 1..=CHANNELS {
                let _flushed = self.0.ip(node, &format!("addr flush dev c{channel}"));
            }
        }
    }
}

/// The kernel as gateways. Dropping it takes the addresses away again.
#[derive(Debug)]
pub(crate) struct Kernel<'a>(&'a Lab);

impl<'a> Kernel<'a> {
    pub(crate) fn start(lab: &'a Lab) -> Result<Self> {
        let this = Self(lab);
        for (node, site) in SIDES {
            let far = 3 - site;
            lab.ip(node, &format!("addr add 10.{site}.0.1/24 dev lan"))?;
            lab.ip(node, &format!("addr add 169.254.1.{site}/30 dev c1"))?;
            lab.ip(node, &format!("route add 10.{far}.0.0/24 via 169.254.1.{far}"))?;
            // A gateway that ended without putting things back must not be held against the kernel.
            for (key, value) in [
                ("all.forwarding", 1),
                ("lan.forwarding", 1),
                ("c1.forwarding", 1),
                ("lan.arp_ignore", 0),
                ("c1.arp_ignore", 0),
            ] {
                let setting = format!("net.ipv4.conf.{key}={value}");
                output(lab.command(node, "sysctl").args(["-q", "-w", &setting]))?;
            }
        }
        Ok(this)
    }
}

impl Drop for Kernel<'_> {
    fn drop(&mut self) {
        for (node, _) in SIDES {
            for words in ["addr flush dev lan", "addr flush dev c1"] {
                let _flushed = self.0.ip(node, words);
            }
            let setting = "net.ipv4.conf.all.forwarding=0";
            let _set = output(self.0.command(node, "sysctl").args(["-q", "-w", setting]));
        }
    }
}

fn configuration(directory: &Path, lab: &Lab, plan: &Plan, site: u8) -> String {
    let (directory, Plan { workers, mtu, poll, .. }) = (directory.display(), plan);
    let mut text = format!(
        "schema = 1\n[site]\nname = \"site-{site}\"\n[runtime]\nworkers = {workers}\npoll = \"{poll}\"\n\
         state_dir = \"{directory}/state-{site}\"\nsocket = \"{directory}/{site}.sock\"\n\
         [[interconnect]]\nname = \"x\"\n"
    );
    text += &port("lan", plan, plan.io.words(true));
    for channel in 1..=CHANNELS {
        text += &channel_section(lab, plan, site, channel);
    }
    let far = 3 - site;
    text += &format!(
        "[[connection]]\nname = \"blue\"\ninterconnect = \"x\"\n\
         [[connection.lan]]\nport = \"lan\"\naddress = [\"10.{site}.0.1/24\"]\nmtu = {mtu}\n"
    );
    for channel in 1..=CHANNELS {
        // Writing to a String cannot fail.
        let _written = write!(
            text,
            "[[connection.attachment]]\nchannel = \"ch{channel}\"\nvlan = 100\nmtu = {mtu}\n\
             address = [\"169.254.{channel}.{site}/30\"]\npeer = [\"169.254.{channel}.{far}\"]\n"
        );
    }
    text + &format!("[[connection.route]]\nprefix = \"10.{far}.0.0/24\"\nvia = \"attachments\"\n")
}

fn port(device: &str, plan: &Plan, more: &str) -> String {
    let Plan { ring, bypass, .. } = plan;
    let ring_kib = plan.ring_kib.map_or_else(String::new, |kib| format!("ring_kib = {kib}\n"));
    format!(
        "[[port]]\nname = \"{device}\"\ndevice = \"{device}\"\nrx_ring = \"{ring}\"\nqdisc_bypass = {bypass}\n{ring_kib}{more}"
    )
}

fn channel_section(lab: &Lab, plan: &Plan, site: u8, channel: u8) -> String {
    let far = 3 - site;
    let (own, mac) = (channel_mac(site, channel), channel_mac(far, channel));
    let (mtu, window, underlay) = match plan.underlay {
        Underlay::Ethernet => (lab.channel_mtu, 0, String::new()),
        // 50 octets in front of the inner frame's payload (RFC 7348); the MAC address is what the far end knows us by.
        Underlay::Vxlan => (
            lab.channel_mtu - 50,
            1024,
            format!(
                "underlay = {{ kind = \"vxlan\", local = \"198.18.{channel}.{site}\", remote = \"198.18.{channel}.{far}\", \
                 vni = {channel}, mac = \"{own}\" }}\n"
            ),
        ),
    };
    // One salt for both ways: the keys and the SSCIs differ.
    let salt = format!("{channel:024x}");
    let more = if plan.underlay == Underlay::Vxlan { &underlay } else { plan.io.words(false) };
    port(&format!("c{channel}"), plan, more)
        + &format!(
            "[[channel]]\nname = \"ch{channel}\"\ninterconnect = \"x\"\nport = \"c{channel}\"\nmtu = {mtu}\n\
             [channel.macsec]\ncipher = \"gcm-aes-xpn-256\"\nreplay_window = {window}\n\
             [[channel.macsec.static.tx]]\nan = 0\nkey = {{ file = \"tx{site}-{channel}\" }}\nsalt = \"{salt}\"\nssci = {site}\n\
             [[channel.macsec.static.rx]]\nsci = \"{}:0001\"\nan = 0\nkey = {{ file = \"tx{far}-{channel}\" }}\nsalt = \"{salt}\"\nssci = {far}\n",
            mac.replace(':', "")
        )
}
