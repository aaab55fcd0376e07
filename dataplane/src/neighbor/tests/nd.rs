//! Neighbor Discovery: RFC 4861 §7.

use net::{icmp::NeighborMessage, ipv6::solicited_node};
use pnet_packet::{
    Packet,
    ethernet::{EtherTypes, EthernetPacket},
    icmpv6::{self, Icmpv6Packet, ndp::NeighborAdvertPacket, ndp::NeighborSolicitPacket},
    ipv6::Ipv6Packet,
};

use super::*;

const SOURCE_OPTION: u8 = 1;
const TARGET_OPTION: u8 = 2;
const SOLICIT: u8 = 135;
const ADVERTISE: u8 = 136;

/// A message with the checksum that an independent implementation computes.
fn message(
    (source, destination): (Ipv6Addr, Ipv6Addr),
    kind: u8,
    flags: u32,
    target: Ipv6Addr,
    option: Option<(u8, MacAddr)>,
) -> Vec<u8> {
    let mut octets = [&[kind, 0, 0, 0][..], &flags.to_be_bytes(), &target.octets()].concat();
    if let Some((option, mac)) = option {
        octets.extend_from_slice(&[option, 1]);
        octets.extend_from_slice(&mac.0);
    }
    let sum = icmpv6::checksum(&Icmpv6Packet::new(&octets).unwrap(), &source, &destination);
    octets[2..4].copy_from_slice(&sum.to_be_bytes());
    octets
}

fn solicitation(source: Ipv6Addr, mac: Option<MacAddr>, target: Ipv6Addr) -> (Ipv6Addr, Vec<u8>) {
    let group = solicited_node(target);
    (group, message((source, group), SOLICIT, 0, target, mac.map(|mac| (SOURCE_OPTION, mac))))
}

impl Rig {
    fn nd(
        &mut self,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        octets: &[u8],
    ) -> Result<NdOutcome, BadNeighborMessage> {
        self.cache.handle_nd(source, destination, 255, octets, self.now)
    }

    fn solicited_by(
        &mut self,
        source: Ipv6Addr,
        mac: Option<MacAddr>,
    ) -> Result<NdOutcome, BadNeighborMessage> {
        let (group, octets) = solicitation(source, mac, OWN6);
        self.nd(source, group, &octets)
    }

    /// An advertisement of HOST6 to us.
    fn advertised(&mut self, flags: u32, mac: Option<MacAddr>) -> Result<NdOutcome, BadNeighborMessage> {
        let octets = message((HOST6, OWN6), ADVERTISE, flags, HOST6, mac.map(|mac| (TARGET_OPTION, mac)));
        self.nd(HOST6, OWN6, &octets)
    }

    /// HOST6 resolved to HOST_MAC, in this state.
    fn knowing(state: NeighborState) -> Self {
        let mut rig = Self::new();
        rig.hold(HOST6, 1).unwrap();
        if state == NeighborState::Incomplete {
            return rig;
        }
        rig.advertised(NeighborMessage::SOLICITED, Some(HOST_MAC)).unwrap();
        if state != NeighborState::Reachable {
            rig.wait(46);
        }
        if matches!(state, NeighborState::Delay | NeighborState::Probe) {
            rig.resolve(HOST6);
        }
        if state == NeighborState::Probe {
            rig.wait(5);
        }
        assert_eq!(rig.state(HOST6), Some(state));
        rig
    }
}

/// Ethernet destination, IPv6 source and destination, and the ICMPv6 message of a frame, all checked.
fn read(frame: &[u8]) -> (MacAddr, Ipv6Addr, Ipv6Addr, Vec<u8>) {
    let ethernet = EthernetPacket::new(frame).unwrap();
    assert_eq!((ethernet.get_ethertype(), ethernet.get_source().octets()), (EtherTypes::Ipv6, OWN_MAC.0));
    let ip = Ipv6Packet::new(ethernet.payload()).unwrap();
    assert_eq!((ip.get_hop_limit(), ip.get_next_header().0, ip.get_payload_length()), (255, 58, 32));
    let icmp = Icmpv6Packet::new(ip.payload()).unwrap();
    assert_eq!(icmp.get_checksum(), icmpv6::checksum(&icmp, &ip.get_source(), &ip.get_destination()));
    (
        MacAddr(ethernet.get_destination().octets()),
        ip.get_source(),
        ip.get_destination(),
        ip.payload().to_vec(),
    )
}

#[test]
fn a_frame_waits_for_the_advertisement_and_then_goes() {
    let mut rig = Rig::new();
    rig.hold(HOST6, 1).unwrap();
    let sent = rig.sent();
    let (mac, source, destination, octets) = read(&sent[0]);
    assert_eq!((sent.len(), mac), (1, MacAddr([0x33, 0x33, 0xff, 0, 0, 7])));
    assert_eq!((source, destination), (OWN6, solicited_node(HOST6)));
    let solicit = NeighborSolicitPacket::new(&octets).unwrap();
    assert_eq!((solicit.get_icmpv6_type().0, solicit.get_target_addr()), (135, HOST6));
    assert_eq!(solicit.get_options()[0].data, OWN_MAC.0);
    assert_eq!(
        rig.advertised(NeighborMessage::SOLICITED | NeighborMessage::OVERRIDE, Some(HOST_MAC)),
        Ok(NdOutcome::Done)
    );
    assert_eq!(rig.released(), [(HOST_MAC, 1)]);
    assert_eq!(
        (rig.state(HOST6), rig.learned()),
        (Some(NeighborState::Reachable), vec![(HOST6.into(), HOST_MAC)])
    );
}

#[test]
fn link_local_neighbours_are_asked_from_our_link_local_address() {
    let mut rig = Rig::new();
    let host = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
    rig.hold(host, 1).unwrap();
    assert_eq!(read(&rig.sent()[0]).1, OWN_MAC.link_local());
    assert!(rig.cache.is_own(OWN_MAC.link_local().into()));
    let chosen = vec!["fe80::77/64".parse().unwrap(), "fd00::1/64".parse().unwrap()];
    let rig = Rig::with(NeighborParams { v6: chosen.clone(), ..params() });
    assert_eq!(rig.cache.params().v6, chosen, "a given link-local address is enough");
    assert!(Rig::with(NeighborParams { v6: vec![], ..params() }).cache.params().v6.is_empty());
}

#[test]
fn who_solicits_us_is_answered_and_known() {
    let mut rig = Rig::new();
    let reply = NdReply { to: (HOST_MAC, HOST6), own: OWN6, solicited: true };
    assert_eq!(rig.solicited_by(HOST6, Some(HOST_MAC)), Ok(NdOutcome::Reply(reply)));
    assert_eq!(
        (rig.state(HOST6), rig.resolve(HOST6)),
        (Some(NeighborState::Stale), Resolve::Known(HOST_MAC))
    );
    let mut buf = PacketBuf::with_capacity(200, 100);
    assert!(rig.cache.build_advertisement(reply, &mut buf));
    let (mac, source, destination, octets) = read(&buf);
    assert_eq!((mac, source, destination), (HOST_MAC, OWN6, HOST6));
    let advert = NeighborAdvertPacket::new(&octets).unwrap();
    assert_eq!((advert.get_icmpv6_type().0, advert.get_flags(), advert.get_target_addr()), (136, 0xe0, OWN6));
    let option = &advert.get_options()[0];
    assert_eq!((option.option_type.0, &option.data[..]), (TARGET_OPTION, &OWN_MAC.0[..]));
    let mut small = PacketBuf::with_capacity(85, 0);
    assert!(!rig.cache.build_advertisement(reply, &mut small) && small.is_empty());
}

#[test]
fn our_link_local_address_is_answered_too() {
    let mut rig = Rig::new();
    let (group, octets) = solicitation(HOST6, Some(HOST_MAC), OWN_MAC.link_local());
    let reply = NdReply { to: (HOST_MAC, HOST6), own: OWN_MAC.link_local(), solicited: true };
    assert_eq!(rig.nd(HOST6, group, &octets), Ok(NdOutcome::Reply(reply)));
    let (group, octets) = solicitation(HOST6, Some(OTHER_MAC), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 99));
    assert_eq!(rig.nd(HOST6, group, &octets), Ok(NdOutcome::Done), "for somebody else");
    assert_eq!(rig.resolve(HOST6), Resolve::Known(HOST_MAC));
}

#[test]
fn who_does_not_say_where_it_is_gets_asked_first() {
    let mut rig = Rig::new();
    let octets = message((HOST6, OWN6), SOLICIT, 0, OWN6, None);
    assert_eq!(rig.nd(HOST6, OWN6, &octets), Ok(NdOutcome::Done));
    assert_eq!(read(&rig.sent()[0]).2, solicited_node(HOST6));
    rig.advertised(NeighborMessage::SOLICITED, Some(HOST_MAC)).unwrap();
    let reply = NdReply { to: (HOST_MAC, HOST6), own: OWN6, solicited: true };
    assert_eq!(rig.nd(HOST6, OWN6, &octets), Ok(NdOutcome::Reply(reply)));
}

#[test]
fn our_address_is_defended_against_duplicate_address_detection() {
    // RFC 4862 §5.4.3, RFC 4861 §7.2.4: to all nodes, not solicited.
    let mut rig = Rig::new();
    let outcome = rig.solicited_by(Ipv6Addr::UNSPECIFIED, None);
    let to = (MacAddr([0x33, 0x33, 0, 0, 0, 1]), Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1));
    let reply = NdReply { to, own: OWN6, solicited: false };
    assert_eq!(outcome, Ok(NdOutcome::Reply(reply)));
    let mut buf = PacketBuf::with_capacity(200, 100);
    assert!(rig.cache.build_advertisement(reply, &mut buf));
    let (mac, _, destination, octets) = read(&buf);
    assert_eq!((mac, destination, octets[4]), (to.0, to.1, 0xa0));
    assert_eq!(rig.cache.entries(rig.now).count(), 0);
}

#[test]
fn rfc_4861_section_7_2_5_row_by_row() {
    use NeighborState::{Delay, Incomplete, Probe, Reachable, Stale};
    const S: u32 = NeighborMessage::SOLICITED;
    const O: u32 = NeighborMessage::OVERRIDE;
    let (same, other) = (Some(HOST_MAC), Some(OTHER_MAC));
    for (before, flags, mac, after, then) in [
        // No link-layer address yet.
        (Incomplete, S, None, Incomplete, None),
        (Incomplete, S, same, Reachable, same),
        (Incomplete, 0, same, Stale, same),
        (Incomplete, O, same, Stale, same),
        // Override clear, another address: trust is shaken, the address stays.
        (Reachable, S, other, Stale, same),
        (Reachable, 0, other, Stale, same),
        (Stale, S, other, Stale, same),
        (Probe, S, other, Probe, same),
        // The same address, or none, or leave to override.
        (Stale, S, same, Reachable, same),
        (Probe, S, None, Reachable, same),
        (Probe, 0, same, Probe, same),
        (Delay, S, same, Reachable, same),
        (Stale, S | O, other, Reachable, other),
        (Reachable, O, other, Stale, other),
        (Reachable, O, same, Reachable, same),
        (Probe, O, other, Stale, other),
    ] {
        let mut rig = Rig::knowing(before);
        rig.released();
        rig.advertised(flags, mac).unwrap();
        let entry = rig.cache.entries(rig.now).next().unwrap();
        // Frames that waited are a use: Stale becomes Delay at once.
        let after = if before == Incomplete && after == Stale { Delay } else { after };
        assert_eq!((entry.state, entry.mac), (after, then), "{before:?} {flags:#x} {mac:?}");
    }
}

#[test]
fn an_advertisement_makes_no_entry() {
    let mut rig = Rig::new();
    assert_eq!(
        rig.advertised(NeighborMessage::SOLICITED | NeighborMessage::OVERRIDE, Some(HOST_MAC)),
        Ok(NdOutcome::Done)
    );
    assert_eq!(rig.cache.entries(rig.now).count(), 0);
    assert_eq!(rig.learned(), [(HOST6.into(), HOST_MAC)], "another worker may have asked");
    let to_all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let octets = message((HOST6, to_all), ADVERTISE, 0, HOST6, Some((TARGET_OPTION, HOST_MAC)));
    assert_eq!(rig.nd(HOST6, to_all, &octets), Ok(NdOutcome::Done));
    assert_eq!(rig.learned(), []);
}

#[test]
fn a_probe_is_unicast() {
    let mut rig = Rig::knowing(NeighborState::Probe);
    let sent = rig.sent();
    let (mac, _, destination, octets) = read(sent.last().unwrap());
    assert_eq!((mac, destination, octets[0]), (HOST_MAC, HOST6, SOLICIT));
}

#[test]
fn invalid_messages_change_nothing() {
    // RFC 4861 §7.1.1 and §7.1.2.
    use BadNeighborMessage::{FromBeyond, Malformed, NotAStation, OffLink};
    let mut rig = Rig::new();
    let (group, good) = solicitation(HOST6, Some(HOST_MAC), OWN6);
    let now = rig.now;
    for hops in [0, 64, 254] {
        assert_eq!(rig.cache.handle_nd(HOST6, group, hops, &good, now), Err(FromBeyond));
    }
    let spoiled = |at: usize, value: u8| {
        let mut octets = good.clone();
        octets[at] = value;
        octets
    };
    let to_all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let far = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
    let option = |mac| Some((SOURCE_OPTION, mac));
    let with = |source, destination, octets: Vec<u8>| (source, destination, octets);
    let nobody = Ipv6Addr::UNSPECIFIED;
    for ((source, destination, octets), why) in [
        (with(HOST6, group, spoiled(2, good[2] ^ 1)), Malformed),
        (with(HOST6, group, spoiled(1, 1)), Malformed),
        (with(HOST6, group, spoiled(25, 0)), Malformed),
        (with(HOST6, group, good[..23].to_vec()), Malformed),
        (with(HOST6, group, good[..7].to_vec()), Malformed),
        (with(far, group, solicitation(far, Some(HOST_MAC), OWN6).1), OffLink),
        (with(HOST6, group, message((HOST6, group), SOLICIT, 0, group, option(HOST_MAC))), Malformed),
        (
            with(HOST6, group, message((HOST6, group), SOLICIT, 0, OWN6, option(MacAddr::BROADCAST))),
            NotAStation,
        ),
        (with(HOST6, group, message((HOST6, group), SOLICIT, 0, OWN6, option(MacAddr::ZERO))), NotAStation),
        (with(to_all, group, message((to_all, group), SOLICIT, 0, OWN6, option(HOST_MAC))), NotAStation),
        // From the unspecified address: no option, and to the solicited-node group alone.
        (with(nobody, group, message((nobody, group), SOLICIT, 0, OWN6, option(HOST_MAC))), Malformed),
        (with(nobody, OWN6, message((nobody, OWN6), SOLICIT, 0, OWN6, None)), Malformed),
        // An answer to many is no answer.
        (
            with(HOST6, to_all, message((HOST6, to_all), ADVERTISE, NeighborMessage::SOLICITED, HOST6, None)),
            Malformed,
        ),
        (with(far, OWN6, message((far, OWN6), ADVERTISE, 0, far, Some((TARGET_OPTION, HOST_MAC)))), OffLink),
    ] {
        assert_eq!(rig.nd(source, destination, &octets), Err(why), "{octets:x?}");
    }
    assert_eq!((rig.cache.entries(now).count(), rig.learned()), (0, vec![]));
    assert!(matches!(rig.nd(HOST6, group, &good), Ok(NdOutcome::Reply(_))));
}

#[test]
fn another_station_with_our_address_is_a_conflict() {
    let mut rig = Rig::new();
    let to_all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    for (mac, outcome) in
        [(OTHER_MAC, NdOutcome::Conflict { mac: Some(OTHER_MAC), own: OWN6 }), (OWN_MAC, NdOutcome::Done)]
    {
        let octets = message((OWN6, to_all), ADVERTISE, 0, OWN6, Some((TARGET_OPTION, mac)));
        assert_eq!(rig.nd(OWN6, to_all, &octets), Ok(outcome));
        assert_eq!(rig.solicited_by(OWN6, Some(mac)), Ok(outcome));
    }
}

#[test]
fn other_kinds_of_icmpv6_are_left_alone() {
    let mut rig = Rig::new();
    for kind in [1_u8, 128, 133, 134, 137] {
        assert_eq!(rig.nd(HOST6, OWN6, &[kind, 0, 0, 0, 0, 0, 0, 0]), Ok(NdOutcome::Done));
    }
}
