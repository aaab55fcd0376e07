//! Host b: it takes UDP frames, answers none, and counts them.
//!
//! Either its kernel does, for a UDP port whose socket is never read (`InErrors` and `InDatagrams` of `/proc/net/snmp`); or, where frames are
//! offered in bulk, an AF_XDP socket of this program, which takes all IPv4 and leaves ARP to the kernel. What this socket has no room for is
//! told, and counts as lost on the way.

use std::{
    io::{BufRead, BufReader, Lines, Write, stdin},
    net::{Ipv4Addr, UdpSocket},
    os::fd::AsFd,
    process::{ChildStdout, Stdio},
};

use anyhow::{Context, Result};
use net::EtherType;
use nix::poll::{PollFd, PollFlags, poll};
use support::{
    generator::{self, PORT},
    lab::{Lab, Node},
    process::Process,
};
use sys::{Claim, XdpDevice, XdpMode, XdpOptions, XdpSocket};

/// How frames come from host a and go in host b.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// By a packet socket, into host b's kernel.
    Kernel,
    /// In bulk, into an AF_XDP socket; the gateways' LANs must be AF_XDP ports.
    Bulk,
}

/// Host b's part. Frames are counted while it is there.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    lab: &'a Lab,
    way: Way,
    process: Process,
    said: Lines<BufReader<ChildStdout>>,
}

impl<'a> Sink<'a> {
    pub(crate) fn start(lab: &'a Lab, way: Way) -> Result<Self> {
        let mut sink = lab.this_program(Node::HostB)?;
        sink.arg("sink").args((way == Way::Bulk).then_some("--bulk"));
        let mut process = Process::start(sink.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let said = process.child().stdout.take().context("the sink is mute")?;
        let mut said = BufReader::new(said).lines();
        said.next().context("the sink ended")??;
        Ok(Self { lab, way, process, said })
    }

    /// How frames come.
    pub(crate) const fn way(&self) -> Way {
        self.way
    }

    /// Where.
    pub(crate) const fn lab(&self) -> &'a Lab {
        self.lab
    }

    /// Frames that have come since some time before it was there.
    pub(crate) fn heard(&mut self) -> Result<u64> {
        if self.way == Way::Kernel {
            return generator::heard(self.lab);
        }
        self.process.child().stdin.as_mut().context("the sink is deaf")?.write_all(b"?\n")?;
        self.said.next().context("the sink ended")??.parse().context("the sink said no number")
    }
}

impl Drop for Sink<'_> {
    fn drop(&mut self) {
        drop(self.process.child().stdin.take());
    }
}

/// What it does inside host b, until its input ends.
pub(crate) fn run(way: Way) -> Result<()> {
    match way {
        Way::Kernel => {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).context("cannot bind")?;
            println!("ready");
            stdin().lines().for_each(drop);
            drop(socket);
            Ok(())
        }
        Way::Bulk => count(),
    }
}

/// Says how many frames have come for each line that it is given. It looks at them now and then only: being woken for each few of them would
/// take a processor from those whom it measures.
fn count() -> Result<()> {
    let device = XdpDevice::attach(DEVICE, &Claim::Types(vec![EtherType::IPV4.get()]), XdpMode::Native, None);
    let device = device.with_context(|| format!("cannot use {DEVICE}"))?;
    let mut socket = XdpSocket::open(&device, 0, &XdpOptions { max_frame: 1522, octets: MEMORY })?;
    println!("ready");
    let (input, mut came, mut told) = (stdin(), 0_u64, 0);
    loop {
        let mut question = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        let asked = poll(&mut question, LOOK)? > 0;
        while socket.next_frame().is_some() {
            came += 1;
        }
        socket.release();
        if asked {
            let mut line = String::new();
            if input.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let full = socket.statistics().context("the socket")?.full;
            if full > told {
                eprintln!("rig: host b had no room for {} frames, and they count as lost", full - told);
                told = full;
            }
            println!("{came}");
        }
    }
}

const DEVICE: &str = "eth0";
/// Memory for the frames of some milliseconds: a sink that is kept from its processor must not be what loses them.
const MEMORY: usize = 32 << 20;
/// Between two looks, in milliseconds.
const LOOK: u8 = 1;
