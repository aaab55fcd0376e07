//! Corners of forwarding where a router's rules are easily missed.

use std::{net::Ipv6Addr, sync::Arc, time::Duration};

use dataplane::{
    Batch, Board, ChannelId, ChannelSetup, ConnectionId, ConnectionKind, ConnectionSetup, Crossing,
    Dataplane, Depot, DropReason, Event, Frame, InterfaceId, InterfaceSetup, MssClamp, Place, Pool,
    PoolSizes, PortCaps, PortId, PortSetup, Protection, Setup, WorkerId,
};
use macsec::{An, Sci, SecyPolicy};
use net::{
    Instant, MacAddr,
    checksum::{self, Sum},
    virtio::Checksum,
};
use world::{
    Side::{Left, Right},
    World, udp,
};

#[test]
fn rfc_1812_5_3_4_what_came_as_a_link_layer_broadcast_is_not_forwarded() {
    let mut world = World::routed(1);
    world.send(Left, vec![udp(Left, Right.host(), 1, b"x")]);
    for destination in [[0xff; 6], [0x01, 0, 0x5e, 0, 0, 9]] {
        let mut frame = udp(Left, Right.host(), 1, b"x");
        frame[..6].copy_from_slice(&destination);
        assert!(world.send(Left, vec![frame]).is_empty(), "{destination:x?}");
    }
    assert_eq!(world.drops(Left, DropReason::NotForwardable), 2);
}

#[test]
fn a_storm_of_address_conflicts_is_told_now_and_then_and_not_once_per_frame() {
    let mut world = World::routed(1);
    let (lan, mut told) = (world.lan(), 0);
    let [a, b, c, d] = Left.gateway().octets();
    let thief = [2, 9, 9, 9, 9, 9];
    let claim = [
        &[0xff; 6][..],
        &thief,
        &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2],
        &thief,
        &[a, b, c, d],
        &thief,
        &[a, b, c, d],
    ];
    for _ in 0..1000 {
        world.inject(Left, lan, vec![claim.concat()]);
        while let Some(event) = world.at(Left).poll_event() {
            told += u32::from(matches!(event, Event::AddressConflict(..)));
        }
    }
    assert!((1..=10).contains(&told), "{told}");
}

#[test]
fn a_channel_without_packet_numbers_loses_its_traffic_to_the_others_until_it_has_more() {
    // 802.1AE §10.5: MAC_Operational is false once the packet numbers are used up.
    let mut world = World::routed(2);
    world.send(Left, (0..50).map(|port| udp(Left, Right.host(), port, b"x")).collect());
    let an = An::new(0).unwrap();
    world.at(Left).set_pn_limit(ChannelId(0), an, 1, 0);
    world.send(Left, vec![udp(Left, Right.host(), 1, b"x")]);
    let secured = |world: &mut World| {
        let now = world.now;
        world.at(Left).snapshot(now).channels[0].faults.is_live()
    };
    assert!(!secured(&mut world));
    for port in 0..50 {
        assert_eq!(world.send(Left, vec![udp(Left, Right.host(), port, b"x")]).len(), 1, "port {port}");
    }
    world.at(Left).set_pn_limit(ChannelId(0), an, 1 << 20, 0);
    world.send(Left, vec![udp(Left, Right.host(), 1, b"x")]);
    assert!(secured(&mut world));
}

#[test]
fn rfc_4861_7_3_3_a_neighbour_that_is_used_again_is_probed_in_time() {
    let mut world = World::routed(1);
    world.send(Left, vec![udp(Left, Right.host(), 1, b"x")]);
    world.pass(Duration::from_secs(120));
    let lan = world.lan();
    // Nobody answers from here on.
    assert_eq!(world.inject(Left, lan, vec![udp(Left, Right.host(), 1, b"x")]).len(), 1);
    let soon = world.now.after(Duration::from_secs(6));
    for side in [Left, Right] {
        assert!(world.at(side).poll_timeout().is_some_and(|due| due <= soon), "{side:?}");
    }
}

#[test]
fn a_packet_whose_checksum_its_host_left_open_is_fragmented_as_any_other() {
    // RFC 1812 §4.2.2.7. Hosts on this machine leave every UDP checksum open.
    let mut world = World::routed(1);
    world.send(Left, vec![udp(Left, Right.host(), 1, b"x")]);
    let mut octets = udp(Left, Right.host(), 1, &[0x5a; 1400]);
    octets[20] = 0;
    octets[24..26].fill(0);
    let sum = checksum::checksum(&octets[14..34]).to_be_bytes();
    octets[24..26].copy_from_slice(&sum);
    let pseudo = |len| Sum::new().add_pseudo_v4(Left.host(), Right.host(), 17, len);
    octets[40..42].copy_from_slice(&pseudo(1408).folded().to_be_bytes());
    let (lan, now) = (world.lan(), world.now);
    let gateway = world.at(Left);
    let mut frame = Frame::new(gateway.pool().for_len(octets.len()).unwrap());
    assert!(frame.buf.extend_from_slice(&octets));
    frame.offload.checksum = Checksum::Partial { start: 34, offset: 6 };
    let mut batch = Batch::new();
    batch.push(frame);
    gateway.handle_batch(lan, &mut batch, now);
    let (frames, pool) = gateway.transmit(PortId(0)).unwrap();
    let mut sent = vec![];
    for frame in frames.drain(..) {
        sent.push(frame.buf.to_vec());
        pool.recycle(frame);
    }
    let out = world.inject(Right, PortId(0), sent);
    let datagram: Vec<u8> = out.iter().flat_map(|(_, frame)| &frame[34..]).copied().collect();
    assert_eq!((out.len(), datagram.len(), world.all_drops(Left)), (2, 1408, 0));
    assert_eq!(pseudo(1408).with(&datagram).finish(), 0, "the checksum is whole");
}

#[test]
fn a_checksum_begun_in_the_headers_changes_no_address_and_no_tag() {
    // VIRTIO 1.2 §5.1.6.2: a guest says where its checksum goes, and this gateway writes it, behind the reverse-path check and
    // inside the attachment's tag.
    let mut world = World::routed(1);
    world.send(Left, vec![udp(Left, Right.host(), 1, b"x")]);
    let (from, to): (Ipv6Addr, Ipv6Addr) = ("fd00:1::10".parse().unwrap(), "fd00:2::10".parse().unwrap());
    let v6 = v6_frame(Left.lan_mac(), (from, to), 64, vec![128, 0, 0, 0, 0, 1, 0, 1]);
    let v4 = udp(Left, Right.host(), 1, b"x");
    let attacks = [(&v6, 20, 2), (&v6, 22, 30), (&v4, 0, 10), (&v4, 0, 0), (&v4, 26, 4), (&v4, 34, 0)];
    for (octets, start, offset) in attacks {
        assert!(begun(&mut world, octets, start, offset).is_empty(), "{start} + {offset}");
    }
    assert_eq!(world.drops(Left, DropReason::BadOffload), 6);
    // Begun where it belongs, it leaves.
    assert_eq!(begun(&mut world, &v4, 34, 6).len(), 1);
    assert_eq!(begun(&mut world, &v6, 54, 2).len(), 1);
    assert_eq!(world.drops(Left, DropReason::BadOffload), 6);
}

/// A frame of Left's LAN with its checksum begun there; what leaves by the channel.
fn begun(world: &mut World, octets: &[u8], start: u16, offset: u16) -> Vec<Vec<u8>> {
    let (lan, now) = (world.lan(), world.now);
    let gateway = world.at(Left);
    let mut frame = Frame::new(gateway.pool().for_len(octets.len()).unwrap());
    assert!(frame.buf.extend_from_slice(octets));
    frame.offload.checksum = Checksum::Partial { start, offset };
    let mut batch = Batch::new();
    batch.push(frame);
    gateway.handle_batch(lan, &mut batch, now);
    let (frames, pool) = gateway.transmit(PortId(0)).unwrap();
    let sent = frames.iter().map(|frame| frame.buf.to_vec()).collect();
    frames.drain(..).for_each(|frame| pool.recycle(frame));
    sent
}

#[test]
fn a_frame_that_finds_the_ring_to_another_worker_full_is_counted() {
    let (me, other) = (WorkerId(0), WorkerId(1));
    let depot = Depot::new(PoolSizes { small_count: 4, big_count: 1, ..PoolSizes::default() });
    let mac = Left.lan_mac();
    let setup = Setup {
        lags: vec![],
        workers: 2,
        ports: vec![PortSetup { owner: Some(other), caps: PortCaps::default() }],
        channels: vec![ChannelSetup {
            port: PortId(0),
            owner: other,
            clear_tags: vec![],
            secy: SecyPolicy::new(Sci::new(mac, 1)),
            mka: None,
        }],
        interfaces: vec![InterfaceSetup {
            connection: ConnectionId(0),
            place: Place::Attachment { channel: ChannelId(0), vlan: None },
            mac,
            mtu: 1400,
            addresses: vec![],
            mss_clamp: MssClamp::Off,
            host: None,
            bfd: vec![],
        }],
        connections: vec![ConnectionSetup::new(ConnectionKind::Transparent, Protection::Ecmp)],
    };
    let mut worker = Dataplane::new(me, Arc::new(setup), Board::new(1), Pool::new(depot), 1).unwrap();
    let frame = Frame::new(worker.pool().small().unwrap());
    worker.count_ring_full(Crossing::Emit { interface: InterfaceId(0), frame });
    let snapshot = worker.snapshot(Instant::ZERO);
    let channels: u64 = snapshot.channels.iter().map(|one| one.drops.of(DropReason::RingFull)).sum();
    let ports: u64 = snapshot.ports.iter().map(|one| one.drops.of(DropReason::RingFull)).sum();
    assert_eq!(channels + ports, 1);
}

#[test]
fn the_host_hears_advertisements_to_its_global_address_too() {
    // RFC 4861 §7.2.2: a solicitation's source, and with it the answer's destination, may be any own address.
    let mac = Left.lan_mac();
    let depot = Depot::new(PoolSizes { small_count: 8, big_count: 1, ..PoolSizes::default() });
    let port = PortSetup { owner: Some(WorkerId(0)), caps: PortCaps::default() };
    let setup = Setup {
        lags: vec![],
        workers: 1,
        ports: vec![port; 2],
        channels: vec![],
        interfaces: vec![InterfaceSetup {
            connection: ConnectionId(0),
            place: Place::Lan { port: PortId(0), vlan: None },
            mac,
            mtu: 1500,
            addresses: vec!["fd00:1::1/64".parse().unwrap()],
            mss_clamp: MssClamp::Off,
            host: Some(PortId(1)),
            bfd: vec![],
        }],
        connections: vec![ConnectionSetup::new(ConnectionKind::Routed, Protection::Ecmp)],
    };
    let mut worker =
        Dataplane::new(WorkerId(0), Arc::new(setup), Board::new(1), Pool::new(depot), 1).unwrap();
    for own in ["fd00:1::1".parse().unwrap(), mac.link_local()] {
        let neighbor: Ipv6Addr = "fd00:1::10".parse().unwrap();
        let said =
            [&[136, 0, 0, 0, 0x60, 0, 0, 0][..], &neighbor.octets(), &[2, 1], &Left.host_mac().0].concat();
        let octets = v6_frame(mac, (neighbor, own), 255, said);
        let mut frame = Frame::new(worker.pool().small().unwrap());
        assert!(frame.buf.extend_from_slice(&octets));
        let mut batch = Batch::new();
        batch.push(frame);
        worker.handle_batch(PortId(0), &mut batch, Instant::ZERO);
        let (frames, pool) = worker.transmit(PortId(1)).unwrap();
        assert_eq!(frames.len(), 1, "{own}");
        frames.drain(..).for_each(|frame| pool.recycle(frame));
    }
}

/// An ICMPv6 message to the gateway's `mac`; its checksum is filled in.
fn v6_frame(mac: MacAddr, (from, to): (Ipv6Addr, Ipv6Addr), hops: u8, mut message: Vec<u8>) -> Vec<u8> {
    let len = u16::try_from(message.len()).unwrap();
    let sum = Sum::new().add_pseudo_v6(from, to, 58, u32::from(len)).with(&message).finish();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let head =
        [&mac.0[..], &Left.host_mac().0, &[0x86, 0xdd, 0x60, 0, 0, 0], &len.to_be_bytes(), &[58, hops]];
    [head.concat(), from.octets().to_vec(), to.octets().to_vec(), message].concat()
}

#[test]
fn rfc_4291_2_5_6_an_answer_from_the_link_local_address_stays_on_its_link() {
    let mut world = World::routed(1);
    let lan = world.lan();
    // The gateways meet first: attachments that come up ask for their peers.
    world.pass(std::time::Duration::from_millis(1));
    world.wire.iter_mut().for_each(Vec::clear);
    // A host on Left's LAN pings the gateway's link-local address in the name of a host behind Right.
    let (spoofed, own) = ("fd00:2::10".parse().unwrap(), Left.lan_mac().link_local());
    let ping = v6_frame(Left.lan_mac(), (spoofed, own), 64, vec![128, 0, 0, 0, 0, 1, 0, 1]);
    assert!(world.inject(Left, lan, vec![ping]).is_empty());
    assert!(world.wire[0].is_empty(), "neither the answer nor a question for its way left");
    assert_eq!(world.drops(Left, DropReason::ReversePath), 1);
    // In its own name it is answered.
    let (honest, host) = ("fd00:1::10".parse().unwrap(), Left.host_mac());
    let ping = v6_frame(Left.lan_mac(), (honest, own), 64, vec![128, 0, 0, 0, 0, 1, 0, 1]);
    let solicitation = [
        &[135, 0, 0, 0, 0, 0, 0, 0][..],
        &"fd00:1::1".parse::<Ipv6Addr>().unwrap().octets(),
        &[1, 1],
        &host.0,
    ]
    .concat();
    let known = v6_frame(Left.lan_mac(), (honest, "fd00:1::1".parse().unwrap()), 255, solicitation);
    assert_eq!(world.inject(Left, lan, vec![known, ping]).len(), 2);
}

#[test]
fn a_transparent_wire_keeps_priority_tags() {
    let mut world = World::new(1, ConnectionKind::Transparent, true);
    let lan = world.lan();
    // 802.1Q §6.9: VLAN identifier 0, priority 5.
    let tagged = [&[1; 6][..], &[2; 6], &[0x81, 0x00, 0xa0, 0x00, 0x08, 0x00], &[0x45; 50]].concat();
    assert_eq!(world.inject(Left, lan, vec![tagged.clone()]), vec![(Right, tagged)]);
}

#[test]
fn neighbour_messages_to_others_are_packets_as_any_other() {
    let mut world = World::routed(1);
    world.pass(Duration::from_millis(1));
    world.wire.iter_mut().for_each(Vec::clear);
    let (lan, asker): (_, Ipv6Addr) = (world.lan(), "fd00:1::10".parse().unwrap());
    let far: Ipv6Addr = "fd00:2::99".parse().unwrap();
    for kind in [135, 136] {
        let message = [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &far.octets()].concat();
        let crossed = world.wire[0].len();
        world.inject(Left, lan, vec![v6_frame(Left.lan_mac(), (asker, far), 255, message.clone())]);
        assert!(world.wire[0].len() > crossed, "{kind}: it is on its way");
        // RFC 4291 §2.5.6: to another's link-local address it is for nobody here, and says so.
        let dropped = world.drops(Left, DropReason::NotForwardable);
        let other = "fe80::99".parse().unwrap();
        world.inject(Left, lan, vec![v6_frame(Left.lan_mac(), (asker, other), 255, message)]);
        assert_eq!(world.drops(Left, DropReason::NotForwardable), dropped + 1, "{kind}");
    }
}

#[test]
fn what_a_secy_refuses_does_not_count_as_sent() {
    let mut world = World::routed(1);
    world.send(Left, vec![udp(Left, Right.host(), 1, b"x")]);
    world.at(Left).set_pn_limit(ChannelId(0), An::new(0).unwrap(), 1, 0);
    world.send(Left, vec![udp(Left, Right.host(), 1, b"x")]);
    assert_eq!(world.drops(Left, DropReason::MacsecPnExhausted), 1);
    let now = world.now;
    let snapshot = world.at(Left).snapshot(now);
    let (sent, channel) = (snapshot.interfaces[0].counters, snapshot.channels[0].counters);
    assert_eq!(sent.tx_frames, channel.tx_frames);
    // Its tag inside the channel is not the interface's.
    assert_eq!(sent.tx_octets + 4 * sent.tx_frames, channel.tx_octets);
}

#[test]
fn rfc_4443_2_4_f_errors_about_one_interface_do_not_silence_another() {
    let mut world = World::routed(1);
    world.send(Left, vec![udp(Left, Right.host(), 1, b"x")]);
    world.send(Right, vec![udp(Right, Left.host(), 1, b"x")]);
    let dying = |side: world::Side, hops| {
        let mut frame = udp(side, side.other().host(), 1, b"x");
        frame[22] = hops;
        frame[24..26].fill(0);
        let sum = checksum::checksum(&frame[14..34]).to_be_bytes();
        frame[24..26].copy_from_slice(&sum);
        frame
    };
    // More than the burst from Left's LAN: 100 of them are told.
    assert_eq!(world.send(Left, vec![dying(Left, 1); 300]).len(), 100);
    // A packet from the channel that ends at Left is told of all the same: its sender hears it.
    let told = world.send(Right, vec![dying(Right, 2)]);
    assert!(matches!(told[..], [(Right, _)]), "{told:?}");
}
