//! Packets longer than the way on: cut when they may be (RFC 791 §3.2, RFC 1812 §4.2.2.7), told of when not (RFC 1191).

use std::{collections::BTreeMap, net::Ipv6Addr, sync::Arc, time::Duration};

use dataplane::{
    Batch, Board, Dataplane, Depot, DropReason, Event, Fault, Frame, InterfaceId, Pool, PortId, WorkerId,
};
use net::{
    Instant, IpNet,
    checksum::{self, Sum},
    icmp::v4,
    ipv4::Ipv4,
    virtio::{Checksum, Gso, GsoKind},
};
use world::{
    Plan,
    Side::{Left, Right},
    World, udp,
};

/// No operation, router alert (copied, RFC 2113), end: twelve octets with the record route in front.
const OPTIONS: [u8; 12] = [7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 0];
const ALERT: [u8; 4] = [148, 4, 0, 0];

/// A UDP packet of `data` octets with [`OPTIONS`].
fn with_options(data: usize, dont_fragment: bool) -> Vec<u8> {
    let mut frame = udp(Left, Right.host(), 1, &vec![0x5a; data]);
    frame.splice(34..34, OPTIONS);
    frame[14] = 0x48;
    let len = u16::try_from(frame.len() - 14).unwrap();
    frame[16..18].copy_from_slice(&len.to_be_bytes());
    seal(&mut frame, 46, dont_fragment);
    frame
}

/// Sets or clears DF and makes the header's checksum right.
fn seal(frame: &mut [u8], header_end: usize, dont_fragment: bool) {
    frame[20] = if dont_fragment { 0x40 } else { 0 };
    frame[24..26].fill(0);
    let sum = checksum::checksum(&frame[14..header_end]).to_be_bytes();
    frame[24..26].copy_from_slice(&sum);
}

/// The packets that these frames are, or are fragments of: by identification, options of each piece and the data.
fn packets(frames: &[Vec<u8>], mtu: usize) -> BTreeMap<u16, (Vec<Vec<u8>>, Vec<u8>)> {
    let mut packets: BTreeMap<u16, (Vec<Vec<u8>>, Vec<u8>)> = BTreeMap::new();
    for frame in frames {
        let (header, rest) = Ipv4::parse(&frame[14..]).expect("a right header");
        assert!(usize::from(header.total_len()) <= mtu, "{header:?}");
        let (options, data) = rest.split_at(header.header_len() - 20);
        let packet = packets.entry(header.id.get()).or_default();
        assert_eq!(header.fragment_offset(), packet.1.len(), "in order");
        packet.0.push(options.to_vec());
        packet.1.extend_from_slice(data);
    }
    packets
}

#[test]
fn rfc_791_3_1_a_packet_with_options_is_cut_and_keeps_those_that_are_copied() {
    let mut world = World::routed(1);
    let out = world.send(Left, vec![with_options(1400, false)]);
    let frames: Vec<_> =
        out.into_iter().map(|(side, frame)| (side == Right).then_some(frame).unwrap()).collect();
    let (options, data) = packets(&frames, 1400).remove(&0).expect("it crossed");
    assert_eq!((options, data.len()), (vec![OPTIONS.to_vec(), ALERT.to_vec()], 1408));
    assert_eq!(world.all_drops(Left), 0);
}

#[test]
fn rfc_1191_4_a_packet_with_options_that_must_not_be_cut_is_told_of() {
    let mut world = World::routed(1);
    let out = world.send(Left, vec![with_options(1400, true)]);
    let [(Left, answer)] = &out[..] else { panic!("{out:?}") };
    let (_, message) = Ipv4::parse(&answer[14..]).unwrap();
    assert_eq!((message[0], message[1], &message[6..8]), (v4::UNREACHABLE, 4, &1400_u16.to_be_bytes()[..]));
    assert_eq!(world.drops(Left, DropReason::TooBig), 1);
}

/// A TCP train of three segments of 1460 octets and one of 100 from the host on Left, its checksum begun.
fn train(dont_fragment: bool) -> Vec<u8> {
    let data: Vec<u8> = (0..3 * 1460 + 100_u32).map(|at| at.to_le_bytes()[0]).collect();
    let mut tcp =
        [&[0x10, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0][..], &data].concat();
    let pseudo = Sum::new().add_pseudo_v4(Left.host(), Right.host(), 6, u16::try_from(tcp.len()).unwrap());
    tcp[16..18].copy_from_slice(&pseudo.folded().to_be_bytes());
    let header = Ipv4::new(Left.host(), Right.host(), 6, 64, tcp.len());
    let mut frame = [&udp(Left, Right.host(), 1, b"")[..14], header.as_octets(), &tcp].concat();
    seal(&mut frame, 34, dont_fragment);
    frame
}

/// Lets Left's host send a super-frame; what reaches Right's LAN.
fn send_train(world: &mut World, octets: &[u8]) -> Vec<Vec<u8>> {
    let (lan, now) = (world.lan(), world.now);
    let left = world.at(Left);
    let mut frame = Frame::new(left.pool().for_len(octets.len()).unwrap());
    assert!(frame.buf.extend_from_slice(octets));
    frame.offload.checksum = Checksum::Partial { start: 34, offset: 16 };
    frame.offload.gso = Some(Gso { kind: GsoKind::TcpV4, size: 1460, ecn: false });
    let mut batch = Batch::new();
    batch.push(frame);
    left.handle_batch(lan, &mut batch, now);
    let (frames, pool) = left.transmit(PortId(0)).unwrap();
    let mut sent = vec![];
    for frame in frames.drain(..) {
        sent.push(frame.buf.to_vec());
        pool.recycle(frame);
    }
    world.inject(Right, PortId(0), sent).into_iter().map(|(_, frame)| frame).collect()
}

#[test]
fn a_super_frame_that_may_be_fragmented_is_cut_to_segments_and_those_to_fragments() {
    // RFC 1812 §4.2.2.7. A host that does no path MTU discovery leaves DF clear on its trains, too.
    let mut world = World::routed(1);
    world.send(Left, vec![udp(Left, Right.host(), 1, b"x")]);
    let before = world.buffers();
    let octets = train(false);
    let frames = send_train(&mut world, &octets);
    let packets = packets(&frames, 1400);
    assert_eq!((frames.len(), packets.len(), world.all_drops(Left)), (7, 4, 0));
    let mut data = vec![];
    for (_, segment) in packets.values() {
        let len = u16::try_from(segment.len()).unwrap();
        let pseudo = Sum::new().add_pseudo_v4(Left.host(), Right.host(), 6, len);
        assert_eq!(pseudo.with(segment).finish(), 0, "each segment's checksum is whole");
        data.extend_from_slice(&segment[20..]);
    }
    assert!(data == octets[54..], "nothing is missing, and nothing twice");
    assert_eq!(world.buffers(), before);
}

#[test]
fn a_super_frame_that_must_not_be_fragmented_is_told_of() {
    let mut world = World::routed(1);
    world.send(Left, vec![udp(Left, Right.host(), 1, b"x")]);
    assert!(send_train(&mut world, &train(true)).is_empty());
    assert_eq!(world.drops(Left, DropReason::TooBig), 1);
}

/// A datagram over IPv6 from Left's host to Right's, of so many octets with its IP header.
fn v6(source_port: u8, octets: usize) -> Vec<u8> {
    let (from, to): (Ipv6Addr, Ipv6Addr) = ("fd00:1::10".parse().unwrap(), "fd00:2::10".parse().unwrap());
    let len = u16::try_from(octets - 40).unwrap().to_be_bytes();
    let link = [&Left.lan_mac().0[..], &Left.host_mac().0, &[0x86, 0xdd]].concat();
    let ip = [&[0x60, 0, 0, 0, len[0], len[1], 17, 64][..], &from.octets(), &to.octets()].concat();
    let udp = [&[0xc0, source_port, 0, 9, len[0], len[1], 0, 0][..], &vec![0x5a; octets - 48]].concat();
    [link, ip, udp].concat()
}

/// How many frames leave by each channel when Left's host sends these.
fn by_channel(world: &mut World, frames: impl Iterator<Item = Vec<u8>>) -> [usize; 2] {
    let (lan, now) = (world.lan(), world.now);
    let left = world.at(Left);
    for octets in frames {
        let mut frame = Frame::new(left.pool().for_len(octets.len()).unwrap());
        assert!(frame.buf.extend_from_slice(&octets));
        let mut batch = Batch::new();
        batch.push(frame);
        left.handle_batch(lan, &mut batch, now);
    }
    [0, 1].map(|port| {
        let (frames, pool) = left.transmit(PortId(port)).unwrap();
        let count = frames.len();
        frames.drain(..).for_each(|frame| pool.recycle(frame));
        count
    })
}

fn faults(world: &mut World, attachment: usize) -> dataplane::Faults {
    let now = world.now;
    world.at(Left).snapshot(now).interfaces[attachment].faults
}

#[test]
fn rfc_8200_5_a_path_too_narrow_for_ipv6_is_left_while_a_wider_one_lives() {
    let mut world = World::routed(2);
    world.pass(Duration::from_millis(1));
    let flows = || (0..50).map(|port| v6(port, 1280));
    let [first, second] = by_channel(&mut world, flows());
    assert!(first > 0 && second > 0 && first + second == 50, "{first} {second}");
    while world.at(Left).poll_event().is_some() {}
    // 1244 octets are left behind the attachment's tag, SecTAG and ICV.
    world.at(Left).set_path(PortId(0), 1280);
    assert!(world.at(Left).poll_timeout().is_some_and(|due| due <= world.now), "it is judged at once");
    world.pass(Duration::from_millis(1));
    let now = faults(&mut world, 0);
    assert!(now.has(Fault::NarrowPath) && now.is_reserve() && faults(&mut world, 1).is_live());
    let told = world.at(Left).poll_event();
    assert_eq!(told, Some(Event::AttachmentDown(InterfaceId(0), Fault::NarrowPath)));
    assert_eq!(by_channel(&mut world, flows()), [0, 50]);
    assert_eq!(world.drops(Left, DropReason::TooBig), 0);
    // Where nothing better is left it carries what it can.
    world.carrier(1, false);
    let small = (0..50).map(|port| udp(Left, Right.host(), port, b"x"));
    assert_eq!(by_channel(&mut world, small), [50, 0]);
    assert_eq!((by_channel(&mut world, flows()), world.drops(Left, DropReason::TooBig)), ([0, 0], 50));
    // It carries enough again.
    world.at(Left).set_path(PortId(0), 1280 + 4 + 32);
    world.pass(Duration::from_millis(1));
    assert!(faults(&mut world, 0).is_live());
    assert_eq!(by_channel(&mut world, flows()), [50, 0]);
}

#[test]
fn a_narrow_path_is_no_fault_of_an_attachment_without_ipv6() {
    let plan = Plan { keys: false, ..Plan::default() };
    let mut setup = world::setup(Left, &plan);
    setup.channels[0].secy.protect_frames = false;
    setup.channels[0].secy.validate = macsec::ValidateFrames::Disabled;
    for one in &mut setup.interfaces {
        one.addresses.retain(|net| matches!(net, IpNet::V4(_)));
    }
    let pool = Pool::new(Depot::new(plan.buffers));
    let mut worker = Dataplane::new(WorkerId(0), Arc::new(setup), Board::new(2), pool, 1).unwrap();
    worker.set_port_fault(PortId(0), None, Instant::ZERO);
    worker.set_path(PortId(0), 1000);
    worker.handle_timeout(Instant::ZERO);
    assert!(worker.snapshot(Instant::ZERO).interfaces[0].faults.is_live());
}
