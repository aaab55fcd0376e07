//! What a router must do, seen from the hosts.

use std::collections::BTreeMap;
use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use net::{Ethernet, icmp::v4, ipv4::Ipv4};

use dataplane::{ConnectionKind, ConnectionTables, DropReason, Fault, Hop, InterfaceId, Tables, Target};
use world::{
    Plan,
    Side::{Left, Right},
    World, routes, setup, udp,
};

#[test]
fn a_packet_crosses_encrypted_and_comes_out_as_it_went_in_but_for_two_hops() {
    let mut world = World::routed(4);
    let out = world.send(Left, vec![udp(Left, Right.host(), 5000, b"a clear text that must not be seen")]);
    let [(side, frame)] = &out[..] else { panic!("{out:?}") };
    let (link, packet) = Ethernet::split(frame).unwrap();
    let (header, data) = Ipv4::parse(packet).unwrap();
    assert_eq!((*side, link.destination, link.source), (Right, Right.host_mac(), Right.lan_mac()));
    assert_eq!((header.source(), header.destination(), header.ttl), (Left.host(), Right.host(), 62));
    assert_eq!(&data[8..], b"a clear text that must not be seen");
    for frame in world.wire.iter().flatten() {
        assert_eq!(frame[12..14], [0x88, 0xe5], "only MACsec on the wire");
        assert!(!frame.windows(10).any(|window| window == b"clear text"));
    }
}

#[test]
fn flows_spread_over_all_channels_and_a_dead_one_moves_only_its_own() {
    let mut world = World::routed(4);
    // Neighbours first, so that only data frames count.
    for port in 0..64 {
        path_of(&mut world, port);
    }
    let before: BTreeMap<_, _> = (1000..1200).map(|port| (port, path_of(&mut world, port))).collect();
    for at in 0..4 {
        assert!(before.values().filter(|path| **path == Some(at)).count() > 20, "channel {at}: {before:?}");
    }
    world.carrier(2, false);
    for (&port, &path) in &before {
        let now = path_of(&mut world, port);
        assert!(
            if path == Some(2) { now != Some(2) } else { now == path },
            "port {port}: {path:?} became {now:?}"
        );
    }
    world.carrier(2, true);
    for (&port, &path) in &before {
        assert_eq!(path_of(&mut world, port), path, "port {port} is back");
    }
}

/// The channel of the flow with this source port.
fn path_of(world: &mut World, port: u16) -> Option<usize> {
    let before: Vec<_> = world.wire.iter().map(Vec::len).collect();
    let out = world.send(Left, vec![udp(Left, Right.host(), port, b"x")]);
    assert_eq!(out.len(), 1, "the packet of port {port} is there");
    (0..4).find(|&at| {
        world.wire[at].last().is_some_and(|frame| frame.len() > 40) && world.wire[at].len() > before[at]
    })
}

/// RFC 5882 §4.3: BGP takes the routes of a dead path back. That moves the path's own flows only, as its death does.
#[test]
fn a_route_that_goes_moves_only_the_flows_that_took_it() {
    let mut world = World::routed(4);
    for port in 0..64 {
        path_of(&mut world, port);
    }
    let before: BTreeMap<_, _> = (1000..1200).map(|port| (port, path_of(&mut world, port))).collect();
    let mut generation = 1;
    let mut carries = |world: &mut World, carries| {
        let setup = setup(Left, &Plan { channels: 4, ..Plan::default() });
        let mut routes = routes(Left, 4, &setup);
        for (_, target) in &mut routes {
            if let Target::Via(hops) = target {
                hops[1].carries = carries;
            }
        }
        generation += 1;
        let connections = vec![Arc::new(ConnectionTables::build(routes))];
        drop(world.at(Left).set_tables(Arc::new(Tables { generation, connections })));
    };
    carries(&mut world, false);
    for (&port, &path) in &before {
        let now = path_of(&mut world, port);
        assert!(
            if path == Some(1) { now != Some(1) } else { now == path },
            "port {port}: {path:?} became {now:?}"
        );
    }
    carries(&mut world, true);
    for (&port, &path) in &before {
        assert_eq!(path_of(&mut world, port), path, "port {port} is back");
    }
}

// A batch comes before the worker looks at its deadlines: neighbours that new routes lead to are asked for all the same.
#[test]
fn new_routes_are_due_until_their_neighbours_are_asked_for_whatever_comes_before() {
    let mut world = World::routed(1);
    world.pass(Duration::from_millis(1));
    world.send(Left, vec![udp(Left, Right.host(), 1, b"x")]);
    let setup = setup(Left, &Plan { channels: 1, ..Plan::default() });
    let gateway = "fd00:ff:0::3".parse().unwrap();
    let hop = Hop { interface: InterfaceId(0), gateway, weight: 1, carries: true };
    let mut routes = routes(Left, 1, &setup);
    routes.push(("2001:db8::/32".parse().unwrap(), Target::Via(vec![hop])));
    let connections = vec![Arc::new(ConnectionTables::build(routes))];
    drop(world.at(Left).set_tables(Arc::new(Tables { generation: 2, connections })));
    // The host of a silent address is asked for, so the neighbour tables are looked at.
    world.send(Left, vec![udp(Right, Ipv4Addr::new(10, 1, 0, 77), 1, b"x")]);
    let now = world.now;
    assert!(world.at(Left).poll_timeout().is_some_and(|due| due <= now), "still due");
    let before = world.wire[0].len();
    world.pass(Duration::ZERO);
    assert_eq!(world.wire[0].len() - before, 1, "a solicitation");
    assert!(world.at(Left).poll_timeout().is_none_or(|due| due > now));
}

#[test]
fn many_flows_that_start_together_lose_nothing() {
    // Attachments ask for their peers when they come up, and a burst waits for the host's answer.
    let mut world = World::routed(4);
    world.pass(Duration::from_millis(1));
    let burst = (0..40).map(|port| udp(Left, Right.host(), port, b"first")).collect();
    assert_eq!(world.send(Left, burst).len(), 40);
    assert_eq!(
        world.drops(Left, DropReason::NeighborUnresolved)
            + world.drops(Right, DropReason::NeighborUnresolved),
        0
    );
}

#[test]
fn without_any_live_attachment_the_sender_is_told_and_nothing_leaves() {
    let mut world = World::routed(2);
    world.carrier(0, false);
    world.carrier(1, false);
    let out = world.send(Left, vec![udp(Left, Right.host(), 1, b"x")]);
    assert_eq!(error_of(&out), Some((v4::UNREACHABLE, v4::CODE_NET, 0)));
    assert_eq!(world.drops(Left, DropReason::NoLiveAttachment), 1);
}

#[test]
fn without_keys_nothing_leaves_by_a_channel() {
    // 802.1AE §10.5: MAC_Operational is false without a transmit SA.
    let mut world = World::new(2, ConnectionKind::Routed, false);
    world.send(Left, vec![udp(Left, Right.host(), 1, b"x")]);
    assert!(world.wire.iter().all(Vec::is_empty));
    let now = world.now;
    let snapshot = world.at(Left).snapshot(now);
    assert_eq!(snapshot.channels[0].faults.first(), Some(Fault::NotSecured));
}

#[test]
fn the_gateway_answers_echo_on_every_address() {
    let mut world = World::routed(1);
    for to in [Left.gateway(), Ipv4Addr::new(169, 254, 0, 1), Right.gateway(), Ipv4Addr::new(169, 254, 0, 2)]
    {
        let out = world.send(Left, vec![echo(to, 64)]);
        let [(side, frame)] = &out[..] else { panic!("{to}: {out:?}") };
        let (header, message) = Ipv4::parse(&frame[14..]).unwrap();
        assert_eq!((*side, header.source(), message[0]), (Left, to, v4::ECHO_REPLY), "{to}");
    }
}

#[test]
fn hop_limit_and_size_errors_come_from_the_gateway_that_refuses() {
    let mut world = World::routed(1);
    // RFC 1812 §5.3.1, traceroute: the first gateway, then the second.
    for (ttl, from) in [(1, Left.gateway()), (2, Ipv4Addr::new(169, 254, 0, 2))] {
        let out = world.send(Left, vec![echo(Right.host(), ttl)]);
        assert_eq!(error_of(&out), Some((v4::TIME_EXCEEDED, 0, 0)), "ttl {ttl}");
        assert_eq!(Ipv4::parse(&out[0].1[14..]).unwrap().0.source(), from);
    }
    // RFC 1191 §4: the next hop's MTU. The attachment carries 1400.
    let out = world.send(Left, vec![udp(Left, Right.host(), 1, &[0; 1400])]);
    assert_eq!(error_of(&out), Some((v4::UNREACHABLE, v4::CODE_FRAGMENTATION_NEEDED, 1400)));
    assert_eq!(world.drops(Left, DropReason::TooBig), 1);
}

#[test]
fn a_packet_that_may_be_fragmented_crosses_in_pieces() {
    let mut world = World::routed(1);
    let mut frame = udp(Left, Right.host(), 1, &[0; 1400]);
    clear_df(&mut frame);
    let out = world.send(Left, vec![frame]);
    assert_eq!(out.len(), 2);
    let lens: usize = out.iter().map(|(_, frame)| frame.len() - 34).sum();
    assert_eq!(lens, 1408);
}

#[test]
fn blackhole_noroute_and_spoofed_sources_are_dropped_under_their_own_reason() {
    let mut world = World::routed(1);
    assert!(world.send(Left, vec![udp(Left, Ipv4Addr::new(192, 0, 2, 1), 1, b"x")]).is_empty());
    assert_eq!(world.drops(Left, DropReason::Blackhole), 1);
    let out = world.send(Left, vec![udp(Left, Ipv4Addr::new(203, 0, 113, 1), 1, b"x")]);
    assert_eq!(
        (error_of(&out), world.drops(Left, DropReason::NoRoute)),
        (Some((v4::UNREACHABLE, v4::CODE_NET, 0)), 1)
    );
    // RFC 3704: a source of the far LAN does not come from this one.
    let mut spoofed = udp(Right, Right.host(), 1, b"x");
    spoofed[..6].copy_from_slice(&Left.lan_mac().0);
    assert!(world.send(Left, vec![spoofed]).is_empty());
    assert_eq!(world.drops(Left, DropReason::ReversePath), 1);
}

#[test]
fn a_neighbour_that_never_answers_is_reported_and_its_frames_are_freed() {
    let mut world = World::routed(1);
    let before = world.buffers();
    assert!(
        world
            .send(Left, vec![udp(Left, Ipv4Addr::new(10, 2, 0, 99), 1, b"x")])
            .iter()
            .all(|(side, _)| *side == Right)
    );
    let mut told = None;
    for _ in 0..20 {
        let out = world.pass(Duration::from_millis(500));
        told =
            told.or_else(|| error_of(&out.into_iter().filter(|(side, _)| *side == Left).collect::<Vec<_>>()));
    }
    assert_eq!(told, Some((v4::UNREACHABLE, v4::CODE_HOST, 0)));
    assert_eq!((world.drops(Right, DropReason::NeighborUnresolved), world.buffers()), (1, before));
}

#[test]
fn a_drained_attachment_carries_nothing() {
    let mut world = World::routed(2);
    // The gateways meet first: attachments that come up ask for their peers.
    world.pass(Duration::from_millis(1));
    world.wire.iter_mut().for_each(Vec::clear);
    let now = world.now;
    world.at(Left).set_attachment_fault(InterfaceId(0), Fault::Drained, true, now);
    for port in 0..50 {
        assert_eq!(world.send(Left, vec![udp(Left, Right.host(), port, b"x")]).len(), 1);
    }
    assert!(world.wire[0].is_empty());
}

/// Type, code and the last two octets of the header of the ICMP error that came back to Left's host.
fn error_of(out: &[(world::Side, Vec<u8>)]) -> Option<(u8, u8, u16)> {
    let [(Left, frame)] = out else { return None };
    let (header, message) = Ipv4::parse(frame.get(14..)?)?;
    (header.protocol == 1).then(|| (message[0], message[1], u16::from_be_bytes([message[6], message[7]])))
}

// RFC 1812 §4.3.2.7: many hosts may have got such a packet, and each of them would be told.
#[test]
fn nobody_is_told_of_a_packet_to_all_hosts_of_a_subnet() {
    let mut world = World::routed(1);
    world.send(Left, vec![udp(Left, Right.host(), 1, b"x")]);
    for (to, told) in [([10, 1, 0, 255], false), ([10, 1, 0, 0], false), ([10, 1, 0, 77], true)] {
        let out = world.send(Left, vec![echo(to.into(), 1)]);
        assert_eq!(error_of(&out), told.then_some((v4::TIME_EXCEEDED, 0, 0)), "{to:?}");
    }
}

fn echo(to: Ipv4Addr, ttl: u8) -> Vec<u8> {
    let mut message = vec![v4::ECHO, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3, 4];
    let sum = net::checksum::checksum(&message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    let header = Ipv4::new(Left.host(), to, 1, ttl, message.len());
    let mut frame = udp(Left, to, 0, b"");
    frame.truncate(14);
    frame.extend_from_slice(header.as_octets());
    frame.extend_from_slice(&message);
    frame
}

fn clear_df(frame: &mut [u8]) {
    frame[20] = 0;
    frame[24..26].fill(0);
    let sum = net::checksum::checksum(&frame[14..34]).to_be_bytes();
    frame[24..26].copy_from_slice(&sum);
}
