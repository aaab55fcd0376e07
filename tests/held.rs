//! Frames that wait for silent neighbours, and who has to make way when they are many.

use std::{net::Ipv4Addr, sync::Arc};

use dataplane::{
    Batch, Board, ConnectionId, ConnectionKind, ConnectionSetup, ConnectionTables, Dataplane, Depot,
    DropReason, Frame, InterfaceId, InterfaceSetup, MssClamp, Place, Pool, PoolSizes, PortCaps, PortId,
    PortSetup, Protection, Setup, Tables, Target, WorkerId,
};
use net::{
    EtherType, Ethernet, Instant, MacAddr, VlanId, VlanTag,
    arp::{Arp, Operation},
    ipv4::Ipv4,
};
use zerocopy::IntoBytes as _;

/// The LANs that are scanned, and the one whose tenant did nothing.
const SCANNED: u8 = 20;
const QUIET: u8 = SCANNED;
/// By this port the packets come in, by that one they would leave.
const NEAR: PortId = PortId(0);
const FAR: PortId = PortId(1);
const GATEWAY: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const HOST: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
/// What a worker of 4096 small buffers may hold.
const SHARE: u64 = 512;

#[test]
fn silent_neighbours_of_many_lans_do_not_take_the_buffers_of_all() {
    let mut tenants = Tenants::new();
    tenants.scan();
    assert!(tenants.worker.pool().small().is_some(), "a small buffer is to be had");
    assert_eq!(tenants.unresolved(), u64::from(SCANNED) * 4 * 64 - SHARE);
    // Who did nothing can still send to somebody who has to be asked for.
    assert_eq!(tenants.send(QUIET, 10), 0, "it waits");
    assert_eq!(tenants.answers(QUIET, 10), 1, "its packet passes");
    assert_eq!(tenants.send(QUIET, 10), 1);
}

#[test]
fn a_scan_that_goes_on_pushes_out_its_own_frames_and_no_others() {
    let mut tenants = Tenants::new();
    tenants.scan();
    assert_eq!(tenants.send(QUIET, 10), 0);
    tenants.scan();
    assert_eq!(tenants.answers(QUIET, 10), 1);
    // What was scanned has something left for those who answer after all: the newest.
    let passed = (0..SCANNED).map(|tenant| tenants.answers(tenant, 13)).sum::<usize>();
    assert!(passed > usize::from(SCANNED), "{passed}");
}

#[test]
fn one_lan_alone_holds_as_many_as_ever() {
    let mut tenants = Tenants::new();
    for host in 10..14 {
        (0..64).for_each(|_| assert_eq!(tenants.send(0, host), 0));
    }
    assert_eq!(tenants.unresolved(), 0);
    assert_eq!((10..14).map(|host| tenants.answers(0, host)).sum::<usize>(), 256);
}

#[test]
fn with_all_buffers_in_flight_the_gateway_still_answers_for_itself() {
    let mut tenants = Tenants::new();
    let worker = &mut tenants.worker;
    // The question finds one; then data has all the others.
    let mut question = Frame::new(worker.pool().small().unwrap());
    let in_flight: Vec<_> = core::iter::from_fn(|| worker.pool().small()).collect();
    assert!(in_flight.len() > 3900 && worker.pool().small().is_none());
    let asks = Arp::new(
        Operation::Request,
        (HOST, Ipv4Addr::new(10, 0, 0, 10)),
        (MacAddr::ZERO, Ipv4Addr::new(10, 0, 0, 1)),
    );
    let octets = [header(0, EtherType::ARP).as_slice(), asks.as_bytes()].concat();
    assert!(question.buf.extend_from_slice(&octets));
    let mut batch = Batch::new();
    batch.push(question);
    worker.handle_batch(FAR, &mut batch, Instant::ZERO);
    assert_eq!(tenants.left(FAR), 1);
}

/// A worker that alone has every buffer. Tenant `n` has `10.n.0.0/24` by one port and `10.n.1.0/24` by the other, in VLAN `100 + n`.
struct Tenants {
    worker: Dataplane,
}

impl Tenants {
    fn new() -> Self {
        let tenants = 0..=QUIET;
        let interface = |tenant: u8, third: u8| InterfaceSetup {
            connection: ConnectionId(u16::from(tenant)),
            place: Place::Lan { port: if third == 0 { FAR } else { NEAR }, vlan: Some(tag(tenant)) },
            mac: GATEWAY,
            mtu: 1500,
            addresses: vec![format!("10.{tenant}.{third}.1/24").parse().unwrap()],
            mss_clamp: MssClamp::Off,
            host: None,
            bfd: vec![],
        };
        let setup = Setup {
            lags: vec![],
            workers: 1,
            ports: vec![PortSetup { owner: Some(WorkerId(0)), caps: PortCaps::default() }; 2],
            channels: vec![],
            interfaces: tenants.clone().flat_map(|one| [interface(one, 0), interface(one, 1)]).collect(),
            connections: tenants
                .clone()
                .map(|_| ConnectionSetup::new(ConnectionKind::Routed, Protection::Ecmp))
                .collect(),
        };
        let routes = |tenant: u8| {
            let id = |third: u8| InterfaceId(u16::from(tenant) * 2 + u16::from(third));
            let net =
                |third| (format!("10.{tenant}.{third}.0/24").parse().unwrap(), Target::OnLink(id(third)));
            Arc::new(ConnectionTables::build(vec![net(0), net(1)]))
        };
        let tables = Tables { generation: 1, connections: tenants.map(routes).collect() };
        let pool = Pool::new(Depot::new(PoolSizes { big_count: 1, ..PoolSizes::default() }));
        let board = Board::new(setup.interfaces.len());
        let mut worker = Dataplane::new(WorkerId(0), Arc::new(setup), board, pool, 1).unwrap();
        drop(worker.set_tables(Arc::new(tables)));
        Self { worker }
    }

    /// 64 datagrams to each of four silent hosts in each LAN, one LAN after the other.
    fn scan(&mut self) {
        for tenant in 0..SCANNED {
            for host in 10..14 {
                (0..64).for_each(|_| assert_eq!(self.send(tenant, host), 0));
            }
        }
    }

    /// How many packets leave when a tenant sends one to a host.
    fn send(&mut self, tenant: u8, host: u8) -> usize {
        let (from, to) = (Ipv4Addr::new(10, tenant, 1, 9), Ipv4Addr::new(10, tenant, 0, host));
        let packet = Ipv4::new(from, to, 17, 64, 9);
        let udp = [&[0, 1, 0, 9, 0, 9, 0, 0][..], b"x"].concat();
        self.take(NEAR, &[header(tenant, EtherType::IPV4), packet.as_octets().to_vec(), udp].concat())
    }

    /// How many packets leave when the host says where it is.
    fn answers(&mut self, tenant: u8, host: u8) -> usize {
        let says = Arp::new(
            Operation::Reply,
            (HOST, Ipv4Addr::new(10, tenant, 0, host)),
            (GATEWAY, Ipv4Addr::new(10, tenant, 0, 1)),
        );
        self.take(FAR, &[header(tenant, EtherType::ARP).as_slice(), says.as_bytes()].concat())
    }

    fn take(&mut self, port: PortId, octets: &[u8]) -> usize {
        let mut frame = Frame::new(self.worker.pool().small().expect("a small buffer is to be had"));
        assert!(frame.buf.extend_from_slice(octets));
        let mut batch = Batch::new();
        batch.push(frame);
        self.worker.handle_batch(port, &mut batch, Instant::ZERO);
        self.left(FAR)
    }

    /// Packets, and answers to ARP, that left by a port; questions do not count.
    fn left(&mut self, port: PortId) -> usize {
        let (frames, pool) = self.worker.transmit(port).unwrap();
        let asks =
            |frame: &Frame| frame.buf.get(16..18) == Some(&[8, 6]) && frame.buf.get(24..26) == Some(&[0, 1]);
        let count = frames.iter().filter(|frame| !asks(frame)).count();
        frames.drain(..).for_each(|frame| pool.recycle(frame));
        count
    }

    /// Frames that were dropped because their neighbour did not answer.
    fn unresolved(&self) -> u64 {
        let ports = self.worker.snapshot(Instant::ZERO).ports;
        ports.iter().map(|port| port.drops.of(DropReason::NeighborUnresolved)).sum()
    }
}

fn tag(tenant: u8) -> VlanTag {
    VlanTag::new(EtherType::VLAN, VlanId::new(100 + u16::from(tenant)).unwrap())
}

/// The Ethernet header of a frame of the tenant's to the gateway, with its tag.
fn header(tenant: u8, ethertype: EtherType) -> Vec<u8> {
    let plain = Ethernet { destination: GATEWAY, source: HOST, ethertype };
    let (macs, kind) = plain.as_bytes().split_at(12);
    [macs, tag(tenant).as_bytes(), kind].concat()
}
