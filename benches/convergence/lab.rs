//! Four network namespaces: the feed, the sink and the host, each on a link of its own to the contender.

use std::{fs::File, process::Command, thread};

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};

use support::process::output;

/// Where something runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Node {
    /// 10.255.0.2 to 10.255.0.11 on 10.255.0.0/24; all destinations are here.
    Feed,
    /// 10.255.1.2 on 10.255.1.0/24.
    Sink,
    /// 10.1.0.2 on 10.1.0.0/24.
    Host,
    /// The contender, with links `feed`, `sink` and `lan`, on which it has the address that ends in .1.
    Middle,
}

use Node::{Feed, Host, Middle, Sink};

/// The namespaces. They go when it is dropped.
#[derive(Debug)]
pub(crate) struct Lab(String);

impl Lab {
    /// Neighbours with addresses and routes. The middle has addresses if it is the kernel that forwards there.
    pub(crate) fn build(kernel: bool) -> Result<Self> {
        let lab = Self(format!("conv{}", std::process::id()));
        for node in [Feed, Sink, Host, Middle] {
            output(Command::new("ip").args(["netns", "add", &lab.name(node)]))?;
            lab.ip(node, "link set lo up")?;
        }
        for (node, device, net) in
            [(Feed, "feed", "10.255.0"), (Sink, "sink", "10.255.1"), (Host, "lan", "10.1.0")]
        {
            let (there, here) = (lab.name(node), lab.name(Middle));
            let mut add = Command::new("ip");
            add.args([
                "link", "add", "eth0", "netns", &there, "type", "veth", "peer", "name", device, "netns",
                &here,
            ]);
            output(&mut add)?;
            lab.ip(node, "link set eth0 up")?;
            lab.ip(Middle, &format!("link set {device} up"))?;
            let last = if node == Feed { 11 } else { 2 };
            (2..=last).try_for_each(|host| lab.ip(node, &format!("addr add {net}.{host}/24 dev eth0")))?;
            if kernel {
                lab.ip(Middle, &format!("addr add {net}.1/24 dev {device}"))?;
            }
        }
        lab.ip(Host, "route add default via 10.1.0.1")?;
        lab.ip(Feed, "route add local 32.0.0.0/3 dev lo")?;
        lab.ip(Feed, "route add 10.1.0.0/24 via 10.255.0.1")?;
        if kernel {
            output(lab.command(Middle, "sysctl").args(["-q", "-w", "net.ipv4.ip_forward=1"]))?;
        }
        Ok(lab)
    }

    /// `ip` inside a node, with these words.
    fn ip(&self, node: Node, words: &str) -> Result<()> {
        output(Command::new("ip").arg("-n").arg(self.name(node)).args(words.split(' '))).map(drop)
    }

    /// A command that runs inside a node. Its process is the program's own.
    pub(crate) fn command(&self, node: Node, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(node), program]);
        command
    }

    /// What `work` gives, run by a thread inside a node; the sockets that it makes stay there.
    pub(crate) fn inside<T: Send + 'static>(
        &self,
        node: Node,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let namespace = File::open(format!("/run/netns/{}", self.name(node))).context("no namespace")?;
        let enter = move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).context("cannot enter a namespace")?;
            work()
        };
        thread::spawn(enter).join().unwrap_or_else(|_| anyhow::bail!("a thread panicked"))
    }

    fn name(&self, node: Node) -> String {
        let node = match node {
            Feed => "feed",
            Sink => "sink",
            Host => "host",
            Middle => "mid",
        };
        format!("{}-{node}", self.0)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for node in [Feed, Sink, Host, Middle] {
            // What was not made cannot be deleted; the rest must be tried all the same.
            let _deleted = output(Command::new("ip").args(["netns", "del", &self.name(node)]));
        }
    }
}
