//! Four network namespaces and the veth pairs between them: host a, gateway a, gateway b, host b.

use std::{
    env,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    ending::{self, Made},
    process::output,
};

/// Channels between the gateways.
pub const CHANNELS: u8 = 4;
/// Octets that a channel's frame has beyond the connection's IP packet: SecTAG with SCI, ICV and VLAN tag are 36.
const OVERHEAD: u32 = 100;

/// A place in the chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Node {
    HostA,
    GatewayA,
    GatewayB,
    HostB,
}

use Node::{GatewayA, GatewayB, HostA, HostB};

/// The namespaces. They go when it is dropped.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    /// MTU of the channel links.
    pub channel_mtu: u32,
}

impl Lab {
    /// Hosts with addresses and default routes; gateways with bare links.
    pub fn build(mtu: u32) -> Result<Self> {
        let lab = Self { prefix: format!("rig{}", std::process::id()), channel_mtu: mtu + OVERHEAD };
        let _may = ending::may_make();
        for node in [HostA, GatewayA, GatewayB, HostB] {
            ending::note(Made::Namespace(lab.name(node)));
            output(Command::new("ip").args(["netns", "add", &lab.name(node)]))?;
            lab.ip(node, "link set lo up")?;
        }
        for (host, gateway, number) in [(HostA, GatewayA, 1), (HostB, GatewayB, 2)] {
            let (ours, theirs) = (host_mac(number), lan_mac(number));
            lab.pair((host, "eth0", &ours), (gateway, "lan", &theirs), mtu)?;
            lab.ip(host, &format!("addr add 10.{number}.0.10/24 dev eth0"))?;
            lab.ip(host, &format!("route add default via 10.{number}.0.1"))?;
        }
        for channel in 1..=CHANNELS {
            let name = format!("c{channel}");
            let (a, b) = (channel_mac(1, channel), channel_mac(2, channel));
            lab.pair((GatewayA, &name, &a), (GatewayB, &name, &b), lab.channel_mtu)?;
        }
        Ok(lab)
    }

    fn pair(&self, one: (Node, &str, &str), other: (Node, &str, &str), mtu: u32) -> Result<()> {
        let mtu = mtu.to_string();
        let (one_name, other_name) = (self.name(one.0), self.name(other.0));
        let mut add = Command::new("ip");
        add.args(["link", "add", one.1, "netns", &one_name, "mtu", &mtu, "address", one.2, "type", "veth"]);
        add.args(["peer", "name", other.1, "netns", &other_name, "mtu", &mtu, "address", other.2]);
        output(&mut add)?;
        for (node, device, _) in [one, other] {
            self.ip(node, &format!("link set {device} up"))?;
        }
        Ok(())
    }

    /// `ip` inside a node, with these words.
    pub fn ip(&self, node: Node, words: &str) -> Result<()> {
        output(Command::new("ip").arg("-n").arg(self.name(node)).args(words.split(' '))).map(drop)
    }

    /// A command that runs inside a node. Its process is the program's own.
    pub fn command(&self, node: Node, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(node), program]);
        command
    }

    /// This very program inside a node, as [`command`](Self::command).
    ///
    /// # Errors
    /// When nobody knows where this program is.
    pub fn this_program(&self, node: Node) -> Result<Command> {
        let own = env::current_exe().context("where this program is")?;
        Ok(self.command(node, &own.to_string_lossy()))
    }

    fn name(&self, node: Node) -> String {
        let node = match node {
            HostA => "ha",
            GatewayA => "ga",
            GatewayB => "gb",
            HostB => "hb",
        };
        format!("{}-{node}", self.prefix)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _may = ending::may_make();
        for node in [HostA, GatewayA, GatewayB, HostB] {
            // What was not made cannot be deleted; the rest must be tried all the same.
            let _deleted = output(Command::new("ip").args(["netns", "del", &self.name(node)]));
        }
    }
}

/// A host's MAC address.
pub fn host_mac(site: u8) -> String {
    format!("02:00:00:00:{site:02x}:10")
}

/// A gateway's MAC address on its LAN.
pub fn lan_mac(site: u8) -> String {
    format!("02:00:00:00:{site:02x}:01")
}

/// A gateway's MAC address on a channel.
pub fn channel_mac(site: u8, channel: u8) -> String {
    format!("02:00:00:01:{site:02x}:{channel:02x}")
}

/// A private directory with keys, configurations, state and logs.
#[derive(Debug)]
pub struct Files(PathBuf);

impl Files {
    /// For sites 1 and 2: `tx1-1` to `tx2-4` are the keys that each sends with on each channel.
    pub fn new() -> Result<Self> {
        let directory = env::temp_dir().join(format!("quadspan-bench-{}", std::process::id()));
        let _may = ending::may_make();
        ending::note(Made::Folder(directory.clone()));
        DirBuilder::new().mode(0o700).create(&directory).context("cannot make a directory")?;
        let files = Self(directory);
        for (name, octets) in ["tx1", "tx2"]
            .iter()
            .flat_map(|way| (1..=CHANNELS).map(move |channel| (format!("{way}-{channel}"), 32)))
        {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(files.0.join(name))?;
            file.write_all(random_hex(octets)?.as_bytes())?;
        }
        Ok(files)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // What stays is readable by root alone.
        let _removed = fs::remove_dir_all(&self.0);
    }
}

fn random_hex(octets: usize) -> Result<String> {
    let mut random = vec![0; octets];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random.iter().fold(String::new(), |text, octet| text + &format!("{octet:02x}")))
}
