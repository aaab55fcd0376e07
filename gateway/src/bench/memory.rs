//! Two gateways in memory, of as many workers as wanted, with a road for each worker: a connection from LAN to LAN by four channels,
//! which that worker alone owns at both ends. The gateways are what `run` would make of a configuration, and their workers share what
//! those of a gateway share: setup, board, depot, routes, and the connections' meters. Only their ports are missing, with all that the kernel does.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result, anyhow, ensure};
use config::{SecretError, SecretRef, SecretSource};
use dataplane::{
    BATCH, Batch, Board, ChannelId, ConnectionId, Crossing, Dataplane, Depot, Frame, Place, Pool, PoolSizes,
    PortId, Setup, WorkerId, meter::Meters,
};
use net::{EtherType, Ethernet, Instant, MacAddr, ipv4::Ipv4};
use zeroize::Zeroizing;

use crate::assemble::{self, Device, Plan};

/// Channels of each connection.
const CHANNELS: u8 = 4;
/// Buffers of each gateway for each worker.
const BUFFERS: usize = 1024;
/// Ethernet, IPv4 and UDP headers.
const HEADERS: usize = Ethernet::LEN + Ipv4::LEN + 8;

/// One connection, the worker of each gateway that carries it, and a batch of frames, each of a flow of its own.
pub(crate) struct Road {
    worker: WorkerId,
    workers: [Dataplane; 2],
    frames: Vec<Vec<u8>>,
    lan: PortId,
    wans: Vec<PortId>,
    /// Frames that came out of the far LAN.
    pub(super) arrived: usize,
}

/// What roads are for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wish {
    /// Of each frame.
    pub(crate) octets: usize,
    /// Of each connection, in Mbit/s.
    pub(crate) rate: Option<u32>,
    /// LANs take super-frames.
    pub(crate) offload: bool,
}

impl Wish {
    /// Frames of so many octets, and nothing else.
    pub(crate) const fn of(octets: usize) -> Self {
        Self { octets, rate: None, offload: false }
    }
}

/// A road for each of so many workers; the workers know their neighbours.
pub(crate) fn roads(workers: u8, wish: Wish, now: Instant) -> Result<Vec<Road>> {
    let [near, far] = [1, 2].map(|site| workers_of(site, workers, wish, now));
    let mut roads = Vec::new();
    for (lane, pair) in (0..).zip(near?.into_iter().zip(far?)) {
        roads.push(Road::new(lane, pair.into(), wish.octets)?);
    }
    ensure!(roads.len() == usize::from(workers), "{} roads for {workers} workers", roads.len());
    meet(&mut roads, now)?;
    Ok(roads)
}

/// Hosts make themselves known to all workers, and frames go until the gateways know each other on all channels.
fn meet(roads: &mut [Road], now: Instant) -> Result<()> {
    for (at, site) in [(0, 1), (1, 2)] {
        for (lane, road) in (0..).zip(&mut *roads) {
            let Some(one) = road.workers.get_mut(at) else { continue };
            let mut batch = Batch::new();
            push(one, &mut batch, &arp(site, lane));
            one.handle_batch(road.lan, &mut batch, now);
            drain(one, road.lan);
        }
        hand_over(roads, at, now);
    }
    for road in roads {
        (0..4).for_each(|_| road.pass(now));
        road.arrived = 0;
        ensure!(road.workers.iter().all(|one| one.generation() == 1), "no routes");
        ensure!(road.crossings() == 0, "what is on this road should stay on it");
    }
    Ok(())
}

/// What the workers of one gateway have for each other.
fn hand_over(roads: &mut [Road], at: usize, now: Instant) {
    let mut all: BTreeMap<WorkerId, Vec<Crossing>> = BTreeMap::new();
    for one in roads.iter_mut().filter_map(|road| road.workers.get_mut(at)) {
        one.crossings().0.drain(..).for_each(|(to, what)| all.entry(to).or_default().push(what));
    }
    for road in roads {
        if let (Some(mut inbox), Some(one)) = (all.remove(&road.worker), road.workers.get_mut(at)) {
            one.handle_crossings(&mut inbox, now);
        }
    }
}

impl Road {
    fn new(lane: u8, workers: [Dataplane; 2], octets: usize) -> Result<Self> {
        let (worker, [near, far]) = (WorkerId(lane.into()), &workers);
        let (lan, wans) = ports(near.setup(), lane, worker)?;
        let there = ports(far.setup(), lane, worker)?;
        ensure!((lan, &wans) == (there.0, &there.1), "the gateways are not alike");
        let flow = |at| datagram(lane, u16::try_from(at).unwrap_or(0), octets);
        let frames = (0..BATCH).map(flow).collect();
        Ok(Self { worker, workers, frames, lan, wans, arrived: 0 })
    }

    /// One batch from LAN to LAN.
    pub(super) fn pass(&mut self, now: Instant) {
        let [near, far] = &mut self.workers;
        let mut batch = Batch::new();
        for frame in &self.frames {
            push(near, &mut batch, frame);
        }
        near.handle_batch(self.lan, &mut batch, now);
        for port in &self.wans {
            cross(near, far, *port, now);
            // Answers to questions for neighbours.
            cross(far, near, *port, now);
            cross(near, far, *port, now);
        }
        // Buffers go home, as those do that a port has sent.
        if let Some((frames, _)) = far.transmit(self.lan) {
            self.arrived += frames.len();
            frames.drain(..).for_each(|frame| near.pool().recycle(frame));
        }
        drain(near, self.lan);
    }

    /// What its workers have for others of their gateways.
    pub(super) fn crossings(&mut self) -> usize {
        self.workers.iter_mut().map(|one| one.crossings().0.len()).sum()
    }

    /// The near gateway's worker, its LAN's port and those of its channels, the frames, and a question of the host's, which is answered.
    #[cfg(test)]
    pub(crate) fn into_near(self) -> (Dataplane, PortId, Vec<PortId>, Vec<Vec<u8>>, Vec<u8>) {
        let Self { workers: [near, _], lan, wans, frames, worker, .. } = self;
        (near, lan, wans, frames, arp(1, u8::try_from(worker.0).unwrap_or(0)))
    }

    /// The far gateway's worker, its LAN's port, and that of a channel with so many frames of one flow that come in by it.
    #[cfg(test)]
    pub(crate) fn into_far(self, count: usize, now: Instant) -> (Dataplane, PortId, PortId, Vec<Vec<u8>>) {
        let Self { workers: [mut near, far], lan, wans, frames, .. } = self;
        let frame = with_checksum(frames.into_iter().next().unwrap_or_default());
        for _ in 0..count {
            let mut batch = Batch::new();
            push(&mut near, &mut batch, &frame);
            near.handle_batch(lan, &mut batch, now);
        }
        let mut take = |port: &PortId| {
            let (frames, _) = near.transmit(*port)?;
            let octets: Vec<_> = frames.drain(..).map(|frame| frame.buf.to_vec()).collect();
            (!octets.is_empty()).then_some((*port, octets))
        };
        let (wan, octets) = wans.iter().find_map(&mut take).unwrap_or((lan, Vec::new()));
        (far, lan, wan, octets)
    }

    /// The workers of both gateways.
    #[cfg(test)]
    pub(super) const fn workers(&self) -> &[Dataplane; 2] {
        &self.workers
    }
}

/// The LAN's port of a connection, and those of its channels, which all have to be this worker's.
fn ports(setup: &Setup, lane: u8, worker: WorkerId) -> Result<(PortId, Vec<PortId>)> {
    let (mut lan, mut wans) = (None, Vec::new());
    for one in setup.interfaces.iter().filter(|one| one.connection == ConnectionId::at(lane.into())) {
        match one.place {
            Place::Lan { port, .. } => lan = Some(port),
            Place::Attachment { channel, .. } => {
                let channel = setup.channels.get(channel.index()).context("no such channel")?;
                ensure!(channel.owner == worker, "a channel of this connection is another worker's");
                wans.push(channel.port);
            }
        }
    }
    ensure!(wans.len() == usize::from(CHANNELS), "{} channels", wans.len());
    Ok((lan.context("a connection without a LAN")?, wans))
}

/// Moves what one sends by a port to the other.
fn cross(from: &mut Dataplane, to: &mut Dataplane, port: PortId, now: Instant) {
    let Some((frames, _)) = from.transmit(port) else { return };
    let mut frames = frames.drain(..).peekable();
    while frames.peek().is_some() {
        let mut batch: Batch = frames.by_ref().take(BATCH).collect();
        to.handle_batch(port, &mut batch, now);
    }
}

/// Takes what waits for a port.
fn drain(of: &mut Dataplane, port: PortId) {
    if let Some((frames, pool)) = of.transmit(port) {
        frames.drain(..).for_each(|frame| pool.recycle(frame));
    }
}

fn push(into: &mut Dataplane, batch: &mut Batch, octets: &[u8]) {
    if let Some(mut buf) = into.pool().for_len(octets.len())
        && buf.extend_from_slice(octets)
    {
        batch.push(Frame::new(buf));
    }
}

/// A gateway as `run` would make it of [`text`], with keys, routes and carriers.
fn workers_of(site: u8, workers: u8, wish: Wish, now: Instant) -> Result<Vec<Dataplane>> {
    let mtu = wish.octets.saturating_sub(Ethernet::LEN).max(1500);
    let plan = plan(site, workers, mtu, wish.offload)?;
    let setup = Arc::new(plan.setup);
    let board = Board::new(setup.interfaces.len());
    let count = usize::from(workers) * BUFFERS;
    let sizes =
        PoolSizes { small_frame: mtu + 200, small_count: count, big_count: 4, ..PoolSizes::default() };
    let depot = Depot::new(sizes);
    let mut tables = plan.tables;
    tables.generation = 1;
    let tables = Arc::new(tables);
    let meters: Vec<_> = setup.connections.iter().map(|_| Arc::<Meters>::default()).collect();
    meters.iter().for_each(|meters| meters.set(wish.rate));
    let mut all = Vec::new();
    for at in 0..setup.workers {
        let pool = Pool::new(depot.clone());
        let mut one = Dataplane::new(WorkerId(at), setup.clone(), board.clone(), pool, 1)?;
        for (at, meters) in meters.iter().enumerate() {
            one.police(ConnectionId::at(at), meters.clone());
        }
        install(&mut one, &plan.keys, now)?;
        (0..setup.ports.len()).for_each(|at| one.set_port_fault(PortId::at(at), None, now));
        drop(one.set_tables(tables.clone()));
        all.push(one);
    }
    Ok(all)
}

fn plan(site: u8, workers: u8, mtu: usize, offload: bool) -> Result<Plan> {
    let loaded = config::load("bench", &text(site, workers, mtu, offload), &Keys);
    let config = loaded.map_err(|_| anyhow!("the bench's own configuration is refused"))?.config;
    let device = |mac| Device {
        mac,
        mtu: u16::try_from(mtu + 100).unwrap_or(u16::MAX),
        shared: true,
        udp_segments: offload,
    };
    let mut devices = BTreeMap::new();
    for lane in 0..workers {
        devices.insert(format!("l{lane}"), device(lan_mac(site, lane)));
        for at in numbers(lane) {
            devices.insert(format!("d{at}"), device(channel_mac(site, at)));
        }
    }
    assemble::plan(&config, &devices)
}

/// Gives a worker the keys of those channels that are its own.
fn install(worker: &mut Dataplane, keys: &[assemble::StaticSas], now: Instant) -> Result<()> {
    for (at, sas) in keys.iter().enumerate() {
        let channel = ChannelId::at(at);
        let Some(secy) = worker.secy(channel) else { continue };
        for (sci, list) in &sas.receive {
            secy.create_receive_sc(*sci, now)?;
            for sa in list {
                secy.create_receive_sa(*sci, sa.an, &sa.params(1), now)?;
                secy.enable_receive_sa(*sci, sa.an, now)?;
            }
        }
        for sa in &sas.transmit {
            secy.create_transmit_sa(sa.an, &sa.params(1, None), now)?;
            secy.enable_transmit_sa(sa.an, now)?;
        }
        worker.secy_changed(channel, now);
    }
    Ok(())
}

/// Keys of nothing that is worth keeping, one for each sender and channel: an octet, again and again.
struct Keys;

impl SecretSource for Keys {
    fn read(&self, reference: &SecretRef) -> Result<Zeroizing<String>, SecretError> {
        let SecretRef::Env(octet) = reference else { return Err(SecretError::NotFound) };
        Ok(Zeroizing::new(octet.repeat(32)))
    }
}

/// The channels of a connection, from 1 on.
fn numbers(lane: u8) -> impl Iterator<Item = u8> {
    (1..=CHANNELS).map(move |at| lane * CHANNELS + at)
}

fn text(site: u8, workers: u8, mtu: usize, offload: bool) -> String {
    let mut text = format!(
        "schema = 1\n[site]\nname = \"bench-{site}\"\n[runtime]\nworkers = {workers}\n[[interconnect]]\nname = \"x\"\n"
    );
    // Ports with channels are dealt out in turn: the first of each connection, then the second of each.
    for at in 0..CHANNELS {
        for number in (0..workers).map(|lane| lane * CHANNELS + at + 1) {
            text += &format!("[[port]]\nname = \"wan{number}\"\ndevice = \"d{number}\"\n");
        }
    }
    (0..workers).for_each(|lane| text += &connection(site, lane, mtu, offload));
    text
}

fn connection(site: u8, lane: u8, mtu: usize, offload: bool) -> String {
    let (far, wide) = (3 - site, mtu + 60);
    let mut text = format!("[[port]]\nname = \"lan{lane}\"\ndevice = \"l{lane}\"\noffload = {offload}\n");
    for at in numbers(lane) {
        let (salt, sci) = (format!("{at:024x}"), channel_mac(far, at).to_string().replace(':', ""));
        let key = |site: u8| format!("{:02x}", site * 0x40 + at);
        text += &format!(
            "[[channel]]\nname = \"ch{at}\"\ninterconnect = \"x\"\nport = \"wan{at}\"\nmtu = {wide}\n\
             [channel.macsec]\ncipher = \"gcm-aes-xpn-256\"\n\
             [[channel.macsec.static.tx]]\nan = 0\nkey = {{ env = \"{}\" }}\nsalt = \"{salt}\"\nssci = {site}\n\
             [[channel.macsec.static.rx]]\nsci = \"{sci}:0001\"\nan = 0\nkey = {{ env = \"{}\" }}\nsalt = \"{salt}\"\nssci = {far}\n",
            key(site),
            key(far)
        );
    }
    text += &format!(
        "[[connection]]\nname = \"c{lane}\"\ninterconnect = \"x\"\n\
         [[connection.lan]]\nport = \"lan{lane}\"\naddress = [\"10.{site}.{lane}.1/24\"]\nmtu = {mtu}\n"
    );
    for at in numbers(lane) {
        text += &format!(
            "[[connection.attachment]]\nchannel = \"ch{at}\"\nvlan = 100\nmtu = {mtu}\n\
             address = [\"169.254.{at}.{site}/30\"]\npeer = [\"169.254.{at}.{far}\"]\n"
        );
    }
    text + &format!("[[connection.route]]\nprefix = \"10.{far}.{lane}.0/24\"\nvia = \"attachments\"\n")
}

const fn lan_mac(site: u8, lane: u8) -> MacAddr {
    MacAddr([2, 0, 0, lane, site, 1])
}

const fn host_mac(site: u8, lane: u8) -> MacAddr {
    MacAddr([2, 0, 0, lane, site, 10])
}

const fn channel_mac(site: u8, channel: u8) -> MacAddr {
    MacAddr([2, 0, 1, 0, site, channel])
}

/// A host asks for its gateway by ARP (RFC 826), which so learns of the host.
fn arp(site: u8, lane: u8) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, 1];
    let (host, gateway) = ([10, site, lane, 10], [10, site, lane, 1]);
    let question = [&head[..], &host_mac(site, lane).0, &host, &[0; 6], &gateway].concat();
    framed(MacAddr([0xff; 6]), host_mac(site, lane), EtherType::ARP, &question)
}

fn datagram(lane: u8, flow: u16, octets: usize) -> Vec<u8> {
    let data = octets.saturating_sub(HEADERS);
    let ip = Ipv4::new([10, 1, lane, 10].into(), [10, 2, lane, 10].into(), 17, 64, 8 + data);
    let length = u16::try_from(8 + data).unwrap_or(u16::MAX).to_be_bytes();
    let udp = [(20_000 + flow).to_be_bytes(), 9_u16.to_be_bytes(), length, [0; 2]].concat();
    let packet = [ip.as_octets(), &udp, &vec![0x5a; data]].concat();
    framed(lan_mac(1, lane), host_mac(1, lane), EtherType::IPV4, &packet)
}

/// With the checksum that [`datagram`] leaves out (RFC 768).
#[cfg(test)]
fn with_checksum(mut frame: Vec<u8>) -> Vec<u8> {
    let udp = Ethernet::LEN + Ipv4::LEN;
    let length = u16::try_from(frame.len() - udp).unwrap_or(u16::MAX).to_be_bytes();
    let sum = [&frame[udp - 8..udp], &[0, 17], &length, &frame[udp..]].concat();
    frame[udp + 6..udp + 8].copy_from_slice(&net::checksum::checksum(&sum).to_be_bytes());
    frame
}

fn framed(to: MacAddr, from: MacAddr, ethertype: EtherType, payload: &[u8]) -> Vec<u8> {
    [&to.0[..], &from.0, &ethertype.get().to_be_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const NOW: Instant = Instant::ZERO;

    #[test]
    fn frames_of_every_size_cross_both_gateways_encrypted() {
        for octets in [64, 1460, 8960] {
            let mut road = roads(1, Wish::of(octets), NOW).unwrap().pop().unwrap();
            for _ in 0..100 {
                road.arrived = 0;
                road.pass(NOW);
                assert_eq!(road.arrived, BATCH, "{octets}");
            }
            let [near, far] = road.workers();
            let sum = |one: &Dataplane, of: fn(&dataplane::ChannelSnapshot) -> u64| -> u64 {
                one.snapshot(NOW).channels.iter().map(of).sum()
            };
            let frames = u64::try_from(BATCH).unwrap();
            assert!(sum(near, |one| one.counters.tx_frames) >= frames);
            assert!(sum(far, |one| one.counters.rx_frames) >= frames);
        }
    }

    /// The channels of a worker that carried frames, by what its snapshot counts.
    fn carried(worker: &Dataplane) -> BTreeSet<ChannelId> {
        let all = worker.snapshot(NOW).channels;
        let busy = |one: &&dataplane::ChannelSnapshot| {
            one.counters.tx_frames + one.counters.rx_frames >= u64::try_from(BATCH).unwrap()
        };
        all.iter().filter(busy).map(|one| one.channel).collect()
    }

    #[test]
    fn each_worker_carries_a_connection_by_channels_of_its_own() {
        for workers in [2, 3, 8] {
            let mut roads = roads(workers, Wish { rate: Some(400_000), ..Wish::of(64) }, NOW).unwrap();
            for road in &mut roads {
                (0..50).for_each(|_| road.pass(NOW));
                assert_eq!((road.arrived, road.crossings()), (50 * BATCH, 0));
            }
            for at in 0..2 {
                let mut seen = BTreeSet::new();
                let setup = roads[0].workers()[at].setup().clone();
                for road in &roads {
                    let one = &road.workers()[at];
                    let worker = one.snapshot(NOW).worker;
                    assert!(Arc::ptr_eq(one.setup(), &setup), "workers of one gateway");
                    let carried = carried(one);
                    assert_eq!(carried.len(), usize::from(CHANNELS), "{carried:?}");
                    assert!(carried.iter().all(|id| setup.channels[id.index()].owner == worker));
                    seen.extend(carried);
                }
                assert_eq!(seen.len(), setup.channels.len(), "all channels, and none by two workers");
            }
        }
    }
}
