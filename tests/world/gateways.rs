//! The world of the tests: gateways `Left` and `Right` with `channels` channels between them and a host on each LAN.
//!
//! Left's LAN is 10.1.0.0/24 (fd00:1::/64), Right's 10.2.0.0/24 (fd00:2::/64); the gateways are .1, the hosts .10.
//! Attachment `i` is 169.254.i.0/30, Left .1, Right .2 (fd00:ff:i::/126).

use core::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};
use std::{collections::VecDeque, sync::Arc};

use macsec::{
    An, Cak, CipherSuite, Ckn, ConfidentialityOffset, KeyId, ReceiveSaParams, Sak, Salt, Sci, SecyPolicy,
    Ssci, TransmitSaParams,
    mka::{KayParams, KeyEntry},
};
use net::{
    EtherType, Ethernet, Instant, IpNet, MacAddr, VlanId, VlanTag,
    arp::{Arp, Operation},
    ipv4::Ipv4,
};
use zerocopy::IntoBytes as _;

use dataplane::{
    bfd::{BfdMode, BfdParams, BfdTimers, Hops},
    *,
};

use crate::{
    clock::{Nonces, Parcel, random},
    lane::{Dice, Lane},
};

/// Which gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    Left,
    Right,
}

use Side::{Left, Right};

impl Side {
    pub const fn other(self) -> Self {
        match self {
            Left => Right,
            Right => Left,
        }
    }

    pub const fn number(self) -> u8 {
        match self {
            Left => 1,
            Right => 2,
        }
    }

    /// The host on this side's LAN.
    pub const fn host(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.number(), 0, 10)
    }

    /// The gateway on this side's LAN.
    pub const fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.number(), 0, 1)
    }

    pub const fn host_mac(self) -> MacAddr {
        MacAddr([2, 0, 0, 0, self.number(), 10])
    }

    pub const fn lan_mac(self) -> MacAddr {
        MacAddr([2, 0, 0, 0, self.number(), 1])
    }

    pub const fn channel_mac(self, channel: u8) -> MacAddr {
        MacAddr([2, 0, 0, 1, self.number(), channel])
    }
}

/// What a world is like.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Channels between the gateways.
    pub channels: u8,
    /// Routed or transparent.
    pub kind: ConnectionKind,
    /// The channels have keys from the start.
    pub keys: bool,
    /// MTU of the attachments.
    pub mtu: u16,
    /// What the LAN ports can take over.
    pub lan: PortCaps,
    /// The buffers that both gateways share.
    pub buffers: PoolSizes,
    /// The channels have KaYs with [`key`]`(1)`, and these settings; `keys` does not count then.
    pub mka: Option<fn(Side, &mut KayParams)>,
    /// BFD sessions of each attachment, with the other side's IPv4 and IPv6 address.
    pub bfd: fn(Side) -> Option<(BfdTimers, BfdMode)>,
    /// VLANs in clear in front of the SecTAG.
    pub clear_tags: &'static [u16],
    /// The first channel has a second attachment, in VLAN 200, without addresses.
    pub second_attachment: bool,
    /// How the attachments share, or guard, the traffic: of that side, with so many channels.
    pub protection: fn(Side, u8) -> Protection,
    /// What leaves twice all the same, likewise.
    pub twice: fn(Side, u8) -> Option<TwiceSetup>,
}

impl Default for Plan {
    /// One routed channel with keys; its MTU, 1400, is smaller than the LANs', so that "too big" happens.
    fn default() -> Self {
        Self {
            channels: 1,
            kind: ConnectionKind::Routed,
            keys: true,
            mtu: 1400,
            lan: PortCaps::default(),
            buffers: PoolSizes { small_count: 1024, big_count: 8, ..PoolSizes::default() },
            mka: None,
            bfd: |_| None,
            clear_tags: &[],
            second_attachment: false,
            protection: |_, _| Protection::Ecmp,
            twice: |_, _| None,
        }
    }
}

/// Ports 0..channels are channels, port `channels` is the LAN.
pub struct World {
    pub gateways: [Dataplane; 2],
    pub channels: u8,
    pub now: Instant,
    /// How long a frame is under way on a channel, for [`run`](World::run).
    pub delay: Duration,
    /// What is more on each channel, for [`run`](World::run): for frames from Left, for frames from Right.
    pub lanes: Vec<[Lane; 2]>,
    /// What lanes draw from.
    pub dice: Dice,
    /// Frames seen on each channel, either way.
    pub wire: Vec<Vec<Vec<u8>>>,
    /// [`run`](World::run) adds to `wire`, too.
    pub recording: bool,
    /// What the gateways told, while [`run`](World::run) ran.
    pub told: Vec<(Instant, Side, Event)>,
    pub(crate) plan: Plan,
    pub(crate) depot: Arc<Depot>,
    /// The wire is cut, and nobody notices.
    pub cut: Vec<bool>,
    pub(crate) dead: [bool; 2],
    pub(crate) flight: VecDeque<Parcel>,
    pub(crate) nonces: Nonces,
    pub(crate) lives: u64,
}

impl World {
    /// Two routed gateways with keys and routes, all channels up.
    pub fn routed(channels: u8) -> Self {
        Self::new(channels, ConnectionKind::Routed, true)
    }

    pub fn new(channels: u8, kind: ConnectionKind, keys: bool) -> Self {
        Self::of(Plan { channels, kind, keys, ..Plan::default() })
    }

    /// As planned.
    pub fn of(plan: Plan) -> Self {
        let channels = plan.channels;
        let depot = Depot::new(plan.buffers);
        let gateways = [Left, Right].map(|side| gateway(side, &plan, &depot, (0, Instant::ZERO)));
        let lists = usize::from(channels);
        let mut world = Self {
            gateways,
            channels,
            now: Instant::ZERO,
            delay: Duration::from_millis(1),
            lanes: vec![[Lane::default(); 2]; lists],
            dice: Dice::new(1),
            wire: vec![vec![]; lists],
            recording: false,
            told: vec![],
            plan,
            depot,
            cut: vec![false; lists],
            dead: [false; 2],
            flight: VecDeque::new(),
            nonces: Nonces::default(),
            lives: 0,
        };
        for channel in 0..channels {
            world.carrier(channel, true);
        }
        world
    }

    pub fn lan(&self) -> PortId {
        PortId(u16::from(self.channels))
    }

    pub fn at(&mut self, side: Side) -> &mut Dataplane {
        let [left, right] = &mut self.gateways;
        match side {
            Left => left,
            Right => right,
        }
    }

    /// Cuts or heals a channel, and both ends see it.
    pub fn carrier(&mut self, channel: u8, up: bool) {
        self.cut[usize::from(channel)] = !up;
        let (fault, now) = ((!up).then_some(Fault::NoCarrier), self.now);
        for gateway in &mut self.gateways {
            gateway.set_port_fault(PortId(u16::from(channel)), fault, now);
        }
    }

    /// Lets frames come in by `port` of `side`, and runs until nothing moves. Frames that left by a LAN port, by side.
    pub fn inject(&mut self, side: Side, port: PortId, frames: Vec<Vec<u8>>) -> Vec<(Side, Vec<u8>)> {
        let mut waiting: VecDeque<_> = frames.into_iter().map(|frame| (side, port, frame)).collect();
        let mut out = vec![];
        while let Some((side, port, octets)) = waiting.pop_front() {
            let now = self.now;
            let gateway = self.at(side);
            let Some(mut buf) = gateway.pool().for_len(octets.len()) else { panic!("the pool is dry") };
            assert!(buf.extend_from_slice(&octets));
            let mut batch = Batch::new();
            batch.push(Frame::new(buf));
            gateway.handle_batch(port, &mut batch, now);
            self.collect(side, &mut waiting, &mut out);
        }
        out
    }

    /// As `inject`, from the host on a side's LAN. The host on either side answers ARP.
    pub fn send(&mut self, side: Side, frames: Vec<Vec<u8>>) -> Vec<(Side, Vec<u8>)> {
        let lan = self.lan();
        let out = self.inject(side, lan, frames);
        self.answer(out)
    }

    /// The hosts answer ARP, until nothing else moves. What else they got.
    fn answer(&mut self, mut round: Vec<(Side, Vec<u8>)>) -> Vec<(Side, Vec<u8>)> {
        let (lan, mut delivered) = (self.lan(), vec![]);
        while !round.is_empty() {
            let mut answers = vec![];
            for (side, frame) in round {
                match arp_reply(side, &frame) {
                    Some(reply) => answers.push((side, reply)),
                    None => delivered.push((side, frame)),
                }
            }
            round =
                answers.into_iter().flat_map(|(side, reply)| self.inject(side, lan, vec![reply])).collect();
        }
        delivered
    }

    /// Moves time on and lets both gateways do what is due.
    pub fn pass(&mut self, time: Duration) -> Vec<(Side, Vec<u8>)> {
        self.now = self.now.after(time);
        let mut out = vec![];
        for side in [Left, Right] {
            let now = self.now;
            self.at(side).handle_timeout(now);
            let mut waiting = VecDeque::new();
            self.collect(side, &mut waiting, &mut out);
            for (side, port, frame) in waiting {
                out.extend(self.inject(side, port, vec![frame]));
            }
        }
        self.answer(out)
    }

    fn collect(
        &mut self,
        side: Side,
        waiting: &mut VecDeque<(Side, PortId, Vec<u8>)>,
        out: &mut Vec<(Side, Vec<u8>)>,
    ) {
        for port in 0..=u16::from(self.channels) {
            let lan = self.lan();
            let Some((frames, pool)) = self.at(side).transmit(PortId(port)) else { continue };
            let sent: Vec<_> = frames
                .drain(..)
                .map(|frame| {
                    let octets = frame.buf.to_vec();
                    pool.recycle(frame);
                    octets
                })
                .collect();
            for octets in sent {
                if PortId(port) == lan {
                    out.push((side, octets));
                } else {
                    self.wire[usize::from(port)].push(octets.clone());
                    if !self.cut[usize::from(port)] {
                        waiting.push_back((side.other(), PortId(port), octets));
                    }
                }
            }
        }
    }

    /// Frames dropped at `side` for `reason`, wherever.
    pub fn drops(&mut self, side: Side, reason: DropReason) -> u64 {
        let now = self.now;
        let snapshot = self.at(side).snapshot(now);
        let ports: u64 = snapshot.ports.iter().map(|port| port.drops.of(reason)).sum();
        ports + snapshot.channels.iter().map(|channel| channel.drops.of(reason)).sum::<u64>()
    }

    /// All frames dropped at `side`.
    pub fn all_drops(&mut self, side: Side) -> u64 {
        DropReason::ALL.iter().map(|&reason| self.drops(side, reason)).sum()
    }

    /// Buffers in pools and depot: all of them, when nothing is in flight or held.
    pub fn buffers(&mut self) -> (usize, usize) {
        let held = self.gateways.iter_mut().map(|gateway| gateway.pool().held());
        held.fold(self.depot.free(), |(small, big), (s, b)| (small + s, big + b))
    }
}

/// `life` tells restarts apart: nothing random is the same in two of them.
pub(crate) fn gateway(side: Side, plan: &Plan, depot: &Arc<Depot>, (life, now): (u64, Instant)) -> Dataplane {
    let &Plan { channels, keys, .. } = plan;
    let setup = Arc::new(setup(side, plan));
    let board = Board::new(setup.interfaces.len());
    let pool = Pool::new(depot.clone());
    let mut gateway =
        Dataplane::new(WorkerId(0), setup.clone(), board, pool, u64::from(side.number())).unwrap();
    for channel in 0..channels {
        let id = ChannelId(u16::from(channel));
        if plan.mka.is_some() {
            let random = random(life << 16 | u64::from(side.number()) << 8 | u64::from(channel));
            assert!(gateway.start_mka(id, random, vec![key(1)], now));
            continue;
        }
        if keys {
            install(gateway.secy(id).unwrap(), side, channel);
        }
        gateway.secy_changed(id, Instant::ZERO);
    }
    let routes = ConnectionTables::build(routes(side, channels, &setup));
    drop(gateway.set_tables(Arc::new(Tables { generation: 1, connections: vec![Arc::new(routes)] })));
    gateway
}

/// What a gateway of this plan is made of.
pub fn setup(side: Side, plan: &Plan) -> Setup {
    let &Plan { channels, kind, mtu, lan: caps, .. } = plan;
    let port = |caps| PortSetup { owner: Some(WorkerId(0)), caps };
    let tag = |id: &u16| VlanTag::new(EtherType::VLAN, VlanId::new(*id).unwrap());
    let channel = |channel: u8| {
        let sci = Sci::new(side.channel_mac(channel), 1);
        let mut mka = plan.mka.map(|tune| (tune, KayParams::new(sci)));
        if let Some((tune, params)) = &mut mka {
            tune(side, params);
        }
        ChannelSetup {
            port: PortId(u16::from(channel)),
            owner: WorkerId(0),
            clear_tags: plan.clear_tags.iter().map(tag).collect(),
            secy: SecyPolicy { max_frame: 1600, ..SecyPolicy::new(sci) },
            mka: mka.map(|(_, params)| params),
        }
    };
    let routed = kind == ConnectionKind::Routed;
    let nets =
        |texts: [String; 2]| if routed { texts.map(|text| text.parse().unwrap()).to_vec() } else { vec![] };
    let one = |place, mac, addresses: Vec<IpNet>, mtu| InterfaceSetup {
        connection: ConnectionId(0),
        place,
        mac,
        mtu,
        addresses,
        mss_clamp: MssClamp::Auto,
        host: None,
        bfd: vec![],
    };
    let me = side.number();
    let vlan = Some(VlanTag::new(EtherType::VLAN, VlanId::new(100).unwrap()));
    let mut interfaces: Vec<_> = (0..channels)
        .map(|at| {
            let place = Place::Attachment { channel: ChannelId(u16::from(at)), vlan };
            one(
                place,
                side.channel_mac(at),
                nets([format!("169.254.{at}.{me}/30"), format!("fd00:ff:{at}::{me}/126")]),
                mtu,
            )
        })
        .collect();
    if let Some((timers, mode)) = (plan.bfd)(side) {
        for (at, one) in interfaces.iter_mut().enumerate() {
            let you = side.other().number();
            let peers = [format!("169.254.{at}.{you}"), format!("fd00:ff:{at}::{you}")];
            let params = |peer: String| BfdParams {
                peer: peer.parse().unwrap(),
                timers,
                mode,
                hops: Hops::One,
                independent: true,
            };
            one.bfd = peers.map(params).to_vec();
        }
    }
    let lan = Place::Lan { port: PortId(u16::from(channels)), vlan: None };
    interfaces.push(one(
        lan,
        side.lan_mac(),
        nets([format!("10.{me}.0.1/24"), format!("fd00:{me}::1/64")]),
        1500,
    ));
    if plan.second_attachment {
        let vlan = Some(VlanTag::new(EtherType::VLAN, VlanId::new(200).unwrap()));
        let place = Place::Attachment { channel: ChannelId(0), vlan };
        interfaces.push(one(place, side.channel_mac(0), vec![], mtu));
    }
    let mut ports = vec![port(PortCaps::default()); usize::from(channels)];
    ports.push(port(caps));
    Setup {
        workers: 1,
        ports,
        channels: (0..channels).map(channel).collect(),
        lags: vec![],
        interfaces,
        connections: vec![ConnectionSetup {
            twice: (plan.twice)(side, channels),
            ..ConnectionSetup::new(kind, (plan.protection)(side, channels))
        }],
    }
}

/// A CAK by a number, under a CKN of that number.
pub fn key(number: u8) -> KeyEntry {
    KeyEntry::new(Ckn::new(&[number; 8]).unwrap(), Cak::new(&[number; 32]).unwrap())
}

/// Its routes.
pub fn routes(side: Side, channels: u8, setup: &Setup) -> Vec<(IpNet, Target)> {
    let mut routes = vec![];
    for (at, one) in setup.interfaces.iter().enumerate() {
        for net in &one.addresses {
            routes.push((net.trunc(), Target::OnLink(InterfaceId::at(at))));
            routes.push((IpNet::from(net.addr()), Target::Local(InterfaceId::at(at))));
        }
    }
    let (far, you) = (side.other().number(), side.other().number());
    let hops = |gateway: &dyn Fn(u8) -> IpAddr| {
        (0..channels)
            .map(|at| Hop {
                interface: InterfaceId(u16::from(at)),
                gateway: gateway(at),
                weight: 1,
                carries: true,
            })
            .collect()
    };
    let v4 = |at: u8| format!("169.254.{at}.{you}").parse().unwrap();
    let v6 = |at: u8| format!("fd00:ff:{at}::{you}").parse().unwrap();
    routes.push((format!("10.{far}.0.0/24").parse().unwrap(), Target::Via(hops(&v4))));
    routes.push((format!("fd00:{far}::/64").parse().unwrap(), Target::Via(hops(&v6))));
    routes.push(("192.0.2.0/24".parse().unwrap(), Target::Blackhole));
    routes
}

fn install(secy: &mut macsec::SecY, side: Side, channel: u8) {
    let suite = CipherSuite::GcmAesXpn256;
    let an = An::new(0).unwrap();
    let sak = |from: Side| Sak::new(&[from.number() << 4 | channel; 32]).unwrap();
    let peer = Sci::new(side.other().channel_mac(channel), 1);
    secy.create_receive_sc(peer, Instant::ZERO).unwrap();
    let receive = ReceiveSaParams {
        sak: &sak(side.other()),
        suite,
        offset: ConfidentialityOffset::default(),
        key_id: KeyId::default(),
        lowest_pn: 1,
        ssci: Ssci(1),
        salt: Salt([7; 12]),
    };
    secy.create_receive_sa(peer, an, &receive, Instant::ZERO).unwrap();
    secy.enable_receive_sa(peer, an, Instant::ZERO).unwrap();
    let transmit = TransmitSaParams {
        sak: &sak(side),
        suite,
        encrypt: true,
        offset: ConfidentialityOffset::default(),
        key_id: KeyId::default(),
        next_pn: 1,
        pn_limit: None,
        ssci: Ssci(1),
        salt: Salt([7; 12]),
    };
    secy.create_transmit_sa(an, &transmit, Instant::ZERO).unwrap();
    secy.enable_transmit_sa(an, Instant::ZERO).unwrap();
}

/// A UDP packet from the host on `side` to `to`, addressed to the gateway on the LAN.
pub fn udp(side: Side, to: Ipv4Addr, source_port: u16, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len() + 8).unwrap();
    let header = Ipv4::new(side.host(), to, 17, 64, usize::from(len));
    let ethernet =
        Ethernet { destination: side.lan_mac(), source: side.host_mac(), ethertype: EtherType::IPV4 };
    let udp = [source_port.to_be_bytes(), 9u16.to_be_bytes(), len.to_be_bytes(), [0, 0]].concat();
    [ethernet.as_bytes(), header.as_bytes(), &udp, data].concat()
}

/// The answer of the host on `side`'s LAN to an ARP request for it.
pub fn arp_reply(side: Side, frame: &[u8]) -> Option<Vec<u8>> {
    let (header, rest) = Ethernet::split(frame)?;
    if header.ethertype != EtherType::ARP {
        return None;
    }
    let (operation, request) = Arp::parse(rest)?;
    if operation != Operation::Request || request.target_ip() != side.host() {
        return None;
    }
    let reply =
        Arp::new(Operation::Reply, (side.host_mac(), side.host()), (request.sender_mac, request.sender_ip()));
    let ethernet =
        Ethernet { destination: request.sender_mac, source: side.host_mac(), ethertype: EtherType::ARP };
    Some([ethernet.as_bytes(), reply.as_bytes()].concat())
}
