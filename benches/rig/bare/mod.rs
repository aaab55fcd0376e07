//! Two gateways that do nothing: how fast user space could be at best.
//!
//! A bare gateway takes what a host sends (super-frames, by a packet socket with virtio-net headers), moves its octets across the first
//! channel link, and gives them to the other host as they were. It does not look at a packet, route, count, cut, join, sum or
//! encrypt. What is left is the kernel's price for the same system calls that the gateway makes, with the octets touched by nobody in between: by UDP
//! segment trains ([`udp`], as over VXLAN), or in Ethernet frames of the hosts' MTU ([`ethernet`], in bulk and by AF_XDP, as
//! over Ethernet channels). No gateway that moves frames so can be faster, whatever it does with them; how far it stays below is its own work.
//!
//! What was one super-frame is a *load* on the link: a [`Head`] with its length and its virtio-net header, and the octets. Loads do not
//! share trains or frames. One of which a part was lost is dropped.
//!
//! Nobody answers ARP here, so the hosts are told their neighbours' addresses ([`Neighbours`]).

mod ethernet;
mod udp;

use std::{os::fd::BorrowedFd, process::Stdio};

use anyhow::{Context, Result};
use dataplane::{
    Batch, Depot, Frame, Pool, PoolSizes,
    port::{
        Port,
        af_packet::{AfPacketPort, Options, Ring},
    },
};
use net::{EtherType, MacAddr, PacketBuf, virtio};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use support::{
    lab::{Lab, host_mac, lan_mac},
    process::Process,
};

use crate::{
    site::{Addresses, SIDES, Underlay},
    testpmd::Neighbours,
};

/// Octets of the longest super-frame: 64 KiB behind an Ethernet header.
const LONGEST: usize = 65_536 + 14;
/// Buffers for a load of which something is still to come, and for as much as may come instead.
const SIZES: PoolSizes =
    PoolSizes { small_frame: 1792, small_count: 512, big_frame: 2 * (LONGEST + Head::LEN), big_count: 160 };

/// Two of them. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Bare<'a> {
    processes: Vec<Process>,
    _neighbours: Neighbours<'a>,
    _addresses: Option<Addresses<'a>>,
}

impl<'a> Bare<'a> {
    /// Between the hosts, for frames or datagrams with as many octets of theirs as their MTU.
    pub(crate) fn start(lab: &'a Lab, underlay: Underlay, mtu: u32) -> Result<Self> {
        let addresses = (underlay == Underlay::Vxlan).then(|| Addresses::give(lab)).transpose()?;
        let neighbours = Neighbours::tell(lab)?;
        let mut processes = Vec::new();
        for (node, site) in SIDES {
            let mut command = lab.this_program(node)?;
            command.args(["bare", &site.to_string(), &underlay.to_string(), &mtu.to_string()]);
            processes.push(Process::start(command.stdin(Stdio::null()).stdout(Stdio::null()))?);
        }
        Ok(Self { processes, _neighbours: neighbours, _addresses: addresses })
    }

    /// Seconds of CPU used so far at gateway a and gateway b.
    pub(crate) fn cpu_seconds(&self) -> Result<Vec<f64>> {
        self.processes.iter().map(Process::cpu_seconds).collect()
    }
}

/// The link between the gateways.
trait Link {
    /// Sends a load, whose memory is free to be written over.
    fn send(&mut self, load: &mut PacketBuf) -> Result<()>;

    /// Sends what was kept to be sent together.
    fn flush(&mut self) {}

    /// Takes some of what waits.
    fn receive(&mut self, loads: &mut Loads<'_>) -> Result<()>;

    /// What is readable when something waits.
    fn fds(&self) -> Vec<BorrowedFd<'_>>;
}

/// What it does inside a gateway, until it is ended.
pub(crate) fn run(site: u8, underlay: Underlay, mtu: u32) -> Result<()> {
    let mtu = usize::try_from(mtu)?;
    match underlay {
        Underlay::Vxlan => forward(site, udp::Udp::open(site, mtu)?),
        Underlay::Ethernet => forward(site, ethernet::Ethernet::open(site, mtu)?),
    }
}

fn forward(site: u8, mut link: impl Link) -> Result<()> {
    let far = 3 - site;
    let (to, from) = (address(&host_mac(far))?, address(&lan_mac(far))?);
    let mut lan = open_lan()?;
    let mut pool = Pool::new(Depot::new(SIZES));
    let mut part = None;
    loop {
        wait(&lan, &link)?;
        let mut batch = Batch::new();
        lan.receive(&mut batch, &mut pool)?;
        for mut frame in batch.drain(..) {
            if let Some(load) = pack(&mut frame, to, from) {
                link.send(load)?;
            }
            pool.recycle(frame);
        }
        link.flush();
        let mut whole = Vec::new();
        link.receive(&mut Loads { pool: &mut pool, part: &mut part, whole: &mut whole })?;
        if !whole.is_empty() {
            lan.send(&mut whole, &mut pool)?;
        }
    }
}

fn open_lan() -> Result<AfPacketPort> {
    let options = Options {
        device: "lan".to_owned(),
        ring: Ring::V2,
        ring_octets: 4 << 20,
        offload: true,
        qdisc_bypass: false,
        largest_frame: 1522,
        fanout: None,
    };
    AfPacketPort::open(&options).context("cannot open lan")
}

fn wait(lan: &AfPacketPort, link: &impl Link) -> Result<()> {
    let mut all = link.fds();
    all.extend(lan.fd());
    let mut all: Vec<_> = all.into_iter().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    poll(&mut all, PollTimeout::NONE).context("cannot wait")?;
    Ok(())
}

/// A frame from a host becomes a load for the other one. `None` for what is not IPv4: nobody here has an answer to ARP.
fn pack(frame: &mut Frame, to: MacAddr, from: MacAddr) -> Option<&mut PacketBuf> {
    let (header, _) = net::Ethernet::split_mut(&mut frame.buf)?;
    if header.ethertype != EtherType::IPV4 {
        return None;
    }
    (header.destination, header.source) = (to, from);
    let head = Head { octets: frame.buf.len(), offload: frame.offload };
    frame.buf.push_front(Head::LEN)?.copy_from_slice(&head.encode());
    Some(&mut frame.buf)
}

fn address(text: &str) -> Result<MacAddr> {
    text.parse().ok().with_context(|| format!("{text} is no MAC address"))
}

/// What stands in front of a super-frame's octets on the link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Head {
    octets: usize,
    offload: virtio::Offload,
}

impl Head {
    /// Octets of it.
    const LEN: usize = 4 + 4 + virtio::LEN;
    /// It begins so, as hardly anything else does.
    const MARK: [u8; 4] = *b"bare";

    fn encode(self) -> [u8; Self::LEN] {
        let mut octets = [0; Self::LEN];
        let length = u32::try_from(self.octets).unwrap_or(0).to_be_bytes();
        // Ethernet, IPv4 and TCP with time stamps: only a hint how much the kernel is to keep in one piece.
        let offload = self.offload.encode(66);
        let all = Self::MARK.into_iter().chain(length).chain(offload);
        octets.iter_mut().zip(all).for_each(|(place, octet)| *place = octet);
        octets
    }

    /// The head that `octets` begin with, if they do.
    fn decode(octets: &[u8]) -> Option<Self> {
        let (mark, rest) = octets.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (offload, _) = rest.split_first_chunk()?;
        let octets = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let offload = virtio::Offload::decode(*offload).ok()?;
        (*mark == Self::MARK && octets <= LONGEST).then_some(Self { octets, offload })
    }
}

/// Where loads that come are put together.
struct Loads<'a> {
    pool: &'a mut Pool,
    /// The one of which more is to come.
    part: &'a mut Option<PacketBuf>,
    whole: &'a mut Vec<Frame>,
}

impl Loads<'_> {
    /// Has `fill` write the next octets into the room that it is given, and say how many. False when there was nothing to write, or no
    /// buffer.
    fn take(&mut self, fill: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        let Some(mut buf) = self.part.take().or_else(|| self.pool.big()) else { return false };
        let before = buf.len();
        let more = fill(buf.spare_mut().get_mut(before..).unwrap_or_default());
        buf.set_len(before + more.unwrap_or(0));
        // Where a load begins although another is not whole, the rest of that one was lost.
        let begins = before > 0 && buf.get(before..).is_some_and(|new| Head::decode(new).is_some());
        if begins {
            buf.copy_within(before.., 0);
            buf.truncate(buf.len() - before);
        }
        match Head::decode(&buf) {
            Some(head) if buf.len() < Head::LEN + head.octets => *self.part = Some(buf),
            Some(head) if buf.len() == Head::LEN + head.octets && buf.pull_front(Head::LEN) => {
                self.whole.push(Frame { offload: head.offload, ..Frame::new(buf) });
            }
            _ => self.pool.give(buf),
        }
        more.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(octets: usize) -> Vec<u8> {
        let head = Head { octets, offload: virtio::Offload::default() };
        head.encode().into_iter().chain((0..octets).map(|at| u8::try_from(at % 251).unwrap())).collect()
    }

    /// What comes whole of these pieces.
    fn put(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut pool = Pool::new(Depot::new(SIZES));
        let (mut part, mut whole) = (None, Vec::new());
        for piece in pieces {
            let mut loads = Loads { pool: &mut pool, part: &mut part, whole: &mut whole };
            assert!(loads.take(|room| {
                room[..piece.len()].copy_from_slice(piece);
                Some(piece.len())
            }));
        }
        whole.iter().map(|frame| frame.buf.to_vec()).collect()
    }

    #[test]
    fn a_load_is_whole_when_all_of_it_came_and_one_without_its_end_makes_way() {
        let (one, two) = (load(40_000), load(60));
        let octets = |load: &[u8]| load[Head::LEN..].to_vec();
        assert_eq!(put(&[&one[..30_000], &one[30_000..], &two]), [octets(&one), octets(&two)]);
        assert_eq!(put(&[&one[..30_000], &two, &one]), [octets(&two), octets(&one)]);
        // An end without its beginning, and more than was said.
        assert_eq!(
            put(&[&one[30_000..], &two, &[&two[..], b"!"].concat(), &two]),
            [octets(&two), octets(&two)]
        );
    }
}
