//! What a frame costs in two gateways, in memory: route, protect, validate, route. The gateways are what `run` would make
//! of a configuration; only their ports are missing, with all that the kernel does.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use config::{SecretError, SecretRef, SecretSource};
use dataplane::{BATCH, Batch, Board, ChannelId, Dataplane, Depot, Frame, Pool, PoolSizes, PortId, WorkerId};
use net::{EtherType, Ethernet, Instant, MacAddr, ipv4::Ipv4};
use serde::Serialize;
use zeroize::Zeroizing;

use super::stopwatch::per_item;
use crate::assemble::{self, Device};

/// A frame of one size through a gateway, without what ports and kernel do.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ForwardFigures {
    /// Octets of the frame on the LAN, from the destination address on, without FCS.
    pub octets: usize,
    /// From LAN to LAN by both gateways, in nanoseconds; the copy into a buffer, which a port makes, is in it.
    pub both_ns: f64,
}

const BUDGET: Duration = Duration::from_millis(200);
const CHANNELS: u8 = 4;
/// The LAN's port; channels come behind it.
const LAN: PortId = PortId(0);
const NOW: Instant = Instant::ZERO;
/// Ethernet, IPv4 and UDP headers.
const HEADERS: usize = Ethernet::LEN + Ipv4::LEN + 8;

pub(super) fn measure(sizes: &[usize]) -> Result<Vec<ForwardFigures>> {
    sizes.iter().map(|size| one(*size)).collect()
}

fn one(octets: usize) -> Result<ForwardFigures> {
    let mut road = Road::new(octets)?;
    road.meet()?;
    road.pass();
    let once = road.arrived;
    ensure!(once == BATCH, "{once} of {BATCH} frames came through in memory");
    let both_ns = per_item(BUDGET, BATCH, &mut road, |road| road.arrived = 0, Road::pass);
    ensure!(road.arrived == BATCH, "frames were lost in memory");
    Ok(ForwardFigures { octets, both_ns })
}

/// Two gateways and a batch of frames, each of a flow of its own.
struct Road {
    gateways: [Dataplane; 2],
    frames: Vec<Vec<u8>>,
    arrived: usize,
}

impl Road {
    fn new(octets: usize) -> Result<Self> {
        let mtu = octets.saturating_sub(Ethernet::LEN).max(1500);
        let frames = (0..BATCH).map(|flow| datagram(u16::try_from(flow).unwrap_or(0), octets)).collect();
        // One depot: a buffer that goes from one gateway to the other comes back.
        let small_frame = mtu + 200;
        let depot =
            Depot::new(PoolSizes { small_frame, small_count: 1024, big_count: 4, ..PoolSizes::default() });
        let gateways = [gateway(1, mtu, &depot)?, gateway(2, mtu, &depot)?];
        Ok(Self { gateways, frames, arrived: 0 })
    }

    /// Hosts make themselves known, and frames go until the gateways know each other on all channels.
    fn meet(&mut self) -> Result<()> {
        for (at, site) in [(0, 1), (1, 2)] {
            let mut batch = Batch::new();
            if let Some(one) = self.gateways.get_mut(at) {
                push(one, &mut batch, &arp(site));
                one.handle_batch(LAN, &mut batch, NOW);
                drain(one, LAN);
            }
        }
        for _ in 0..4 {
            self.pass();
        }
        self.arrived = 0;
        ensure!(self.gateways.iter().all(|one| one.generation() == 1), "no routes");
        Ok(())
    }

    /// One batch from LAN to LAN.
    fn pass(&mut self) {
        let [near, far] = &mut self.gateways;
        let mut batch = Batch::new();
        for frame in &self.frames {
            push(near, &mut batch, frame);
        }
        near.handle_batch(LAN, &mut batch, NOW);
        for channel in 1..=CHANNELS {
            let port = PortId(channel.into());
            cross(near, far, port);
            // Answers to questions for neighbours.
            cross(far, near, port);
            cross(near, far, port);
        }
        self.arrived += drain(far, LAN);
        drain(near, LAN);
    }
}

/// Moves what one sends by a port to the other.
fn cross(from: &mut Dataplane, to: &mut Dataplane, port: PortId) {
    let Some((frames, _)) = from.transmit(port) else { return };
    let mut frames = frames.drain(..).peekable();
    while frames.peek().is_some() {
        let mut batch: Batch = frames.by_ref().take(BATCH).collect();
        to.handle_batch(port, &mut batch, NOW);
    }
}

/// Takes what waits for a port; how many frames.
fn drain(of: &mut Dataplane, port: PortId) -> usize {
    let Some((frames, pool)) = of.transmit(port) else { return 0 };
    let count = frames.len();
    frames.drain(..).for_each(|frame| pool.recycle(frame));
    count
}

fn push(into: &mut Dataplane, batch: &mut Batch, octets: &[u8]) {
    if let Some(mut buf) = into.pool().for_len(octets.len())
        && buf.extend_from_slice(octets)
    {
        batch.push(Frame::new(buf));
    }
}

/// As `run` would make it of [`text`], with keys, routes and carriers.
fn gateway(site: u8, mtu: usize, depot: &Arc<Depot>) -> Result<Dataplane> {
    let loaded = config::load("bench", &text(site, mtu), &Keys);
    let config = loaded.map_err(|_| anyhow!("the bench's own configuration is refused"))?.config;
    let device = |at: u8| Device {
        mac: if at == 0 { lan_mac(site) } else { channel_mac(site, at) },
        mtu: u16::try_from(mtu + 100).unwrap_or(u16::MAX),
        shared: false,
        udp_segments: false,
    };
    let devices: BTreeMap<_, _> = (0..=CHANNELS).map(|at| (format!("d{at}"), device(at))).collect();
    let plan = assemble::plan(&config, &devices)?;
    let setup = Arc::new(plan.setup);
    let board = Board::new(setup.interfaces.len());
    let mut gateway = Dataplane::new(WorkerId(0), setup.clone(), board, Pool::new(depot.clone()), 1)?;
    for (at, sas) in plan.keys.iter().enumerate() {
        install(&mut gateway, ChannelId::at(at), sas)?;
        gateway.secy_changed(ChannelId::at(at), NOW);
    }
    for at in 0..setup.ports.len() {
        gateway.set_port_fault(PortId::at(at), None, NOW);
    }
    let mut tables = plan.tables;
    tables.generation = 1;
    drop(gateway.set_tables(Arc::new(tables)));
    Ok(gateway)
}

fn install(gateway: &mut Dataplane, channel: ChannelId, sas: &assemble::StaticSas) -> Result<()> {
    let secy = gateway.secy(channel).context("the channel is another worker's")?;
    for (sci, list) in &sas.receive {
        secy.create_receive_sc(*sci, NOW)?;
        for sa in list {
            secy.create_receive_sa(*sci, sa.an, &sa.params(1), NOW)?;
            secy.enable_receive_sa(*sci, sa.an, NOW)?;
        }
    }
    for sa in &sas.transmit {
        secy.create_transmit_sa(sa.an, &sa.params(1, None), NOW)?;
        secy.enable_transmit_sa(sa.an, NOW)?;
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

fn text(site: u8, mtu: usize) -> String {
    let (far, wide) = (3 - site, mtu + 60);
    let mut text = format!(
        "schema = 1\n[site]\nname = \"bench-{site}\"\n[[interconnect]]\nname = \"x\"\n\
         [[port]]\nname = \"lan\"\ndevice = \"d0\"\noffload = false\n"
    );
    for at in 1..=CHANNELS {
        let (salt, sci) = (format!("{at:024x}"), channel_mac(far, at).to_string().replace(':', ""));
        text += &format!(
            "[[port]]\nname = \"wan{at}\"\ndevice = \"d{at}\"\n\
             [[channel]]\nname = \"ch{at}\"\ninterconnect = \"x\"\nport = \"wan{at}\"\nmtu = {wide}\n\
             [channel.macsec]\ncipher = \"gcm-aes-xpn-256\"\n\
             [[channel.macsec.static.tx]]\nan = 0\nkey = {{ env = \"{site}{at}\" }}\nsalt = \"{salt}\"\nssci = {site}\n\
             [[channel.macsec.static.rx]]\nsci = \"{sci}:0001\"\nan = 0\nkey = {{ env = \"{far}{at}\" }}\nsalt = \"{salt}\"\nssci = {far}\n"
        );
    }
    text += &format!(
        "[[connection]]\nname = \"blue\"\ninterconnect = \"x\"\n\
         [[connection.lan]]\nport = \"lan\"\naddress = [\"10.{site}.0.1/24\"]\nmtu = {mtu}\n"
    );
    for at in 1..=CHANNELS {
        text += &format!(
            "[[connection.attachment]]\nchannel = \"ch{at}\"\nvlan = 100\nmtu = {mtu}\n\
             address = [\"169.254.{at}.{site}/30\"]\npeer = [\"169.254.{at}.{far}\"]\n"
        );
    }
    text + &format!("[[connection.route]]\nprefix = \"10.{far}.0.0/24\"\nvia = \"attachments\"\n")
}

const fn lan_mac(site: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, site, 1])
}

const fn host_mac(site: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, site, 10])
}

const fn channel_mac(site: u8, channel: u8) -> MacAddr {
    MacAddr([2, 0, 0, 1, site, channel])
}

/// A host asks for its gateway by ARP (RFC 826), which so learns of the host.
fn arp(site: u8) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, 1];
    let (host, gateway) = ([10, site, 0, 10], [10, site, 0, 1]);
    let question = [&head[..], &host_mac(site).0, &host, &[0; 6], &gateway].concat();
    framed(MacAddr([0xff; 6]), host_mac(site), EtherType::ARP, &question)
}

fn datagram(flow: u16, octets: usize) -> Vec<u8> {
    let data = octets.saturating_sub(HEADERS);
    let ip = Ipv4::new([10, 1, 0, 10].into(), [10, 2, 0, 10].into(), 17, 64, 8 + data);
    let length = u16::try_from(8 + data).unwrap_or(u16::MAX).to_be_bytes();
    let udp = [(20_000 + flow).to_be_bytes(), 9_u16.to_be_bytes(), length, [0; 2]].concat();
    framed(lan_mac(1), host_mac(1), EtherType::IPV4, &[ip.as_octets(), &udp, &vec![0x5a; data]].concat())
}

fn framed(to: MacAddr, from: MacAddr, ethertype: EtherType, payload: &[u8]) -> Vec<u8> {
    [&to.0[..], &from.0, &ethertype.get().to_be_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_size_cross_both_gateways_encrypted() {
        for octets in [64, 1460, 8960] {
            let mut road = Road::new(octets).unwrap();
            road.meet().unwrap();
            for _ in 0..100 {
                road.arrived = 0;
                road.pass();
                assert_eq!(road.arrived, BATCH, "{octets}");
            }
            let [near, far] = &road.gateways;
            let sum = |one: &Dataplane, of: fn(&dataplane::ChannelSnapshot) -> u64| -> u64 {
                one.snapshot(NOW).channels.iter().map(of).sum()
            };
            let frames = u64::try_from(BATCH).unwrap();
            assert!(sum(near, |one| one.counters.tx_frames) >= frames);
            assert!(sum(far, |one| one.counters.rx_frames) >= frames);
        }
    }
}
