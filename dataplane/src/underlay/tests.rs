use std::collections::BTreeSet;

use pnet_packet::{Packet, vlan::VlanPacket};
use proptest::prelude::*;

use super::*;

fn tunnel(vni: u32) -> Tunnel {
    let remote = "192.0.2.2".parse().unwrap();
    Tunnel { remote, vni: Vni::new(vni).unwrap(), any_source: false, source_ports: 16 }
}

#[test]
fn the_header_is_the_figure_of_rfc_7348_section_5() {
    assert_eq!(Vxlan::new(Vni::new(0x12_3456).unwrap()).as_bytes(), [8, 0, 0, 0, 0x12, 0x34, 0x56, 0]);
    assert!(Vni::new(1 << 24).is_none());
}

/// An oracle that knows nothing of VXLAN: the eight octets read as two 32-bit words.
fn oracle(header: &[u8]) -> Option<u32> {
    // Priority, drop eligible and the id of a tag are 16 bits in a row: any 16 bits can be read through one.
    let word = |at: usize| {
        let tag = VlanPacket::new(header.get(at..at + 4)?)?;
        let high = u32::from(tag.get_priority_code_point().0) << 13
            | u32::from(tag.get_drop_eligible_indicator()) << 12
            | u32::from(tag.get_vlan_identifier());
        Some(high << 16 | u32::from(tag.get_ethertype().0)).filter(|_| tag.packet().len() == 4)
    };
    let (flags, vni) = (word(0)?, word(4)?);
    (flags >> 27 & 1 == 1).then_some(vni >> 8)
}

proptest! {
    #[test]
    fn what_is_put_in_comes_out(vni in 0_u32..1 << 24, frame in proptest::collection::vec(any::<u8>(), 14..200)) {
        let mut datagram = Vxlan::new(Vni::new(vni).unwrap()).as_bytes().to_vec();
        prop_assert_eq!(oracle(&datagram), Some(vni));
        datagram.extend(&frame);
        prop_assert_eq!(tunnel(vni).open(&datagram), Ok(&frame[..]));
        let other = tunnel((vni + 1) % (1 << 24));
        prop_assert_eq!(other.open(&datagram), Err(DropReason::VxlanUnknownVni));
    }

    #[test]
    fn anything_at_all_is_a_frame_or_a_reason(datagram in proptest::collection::vec(any::<u8>(), 0..64)) {
        let expected = match oracle(&datagram) {
            None => Err(DropReason::VxlanBadHeader),
            Some(0x4242) if datagram.len() < 22 => Err(DropReason::Runt),
            Some(0x4242) => Ok(&datagram[8..]),
            Some(_) => Err(DropReason::VxlanUnknownVni),
        };
        prop_assert_eq!(tunnel(0x4242).open(&datagram), expected);
    }

    #[test]
    fn reserved_bits_are_ignored(flags in any::<u8>(), reserved in any::<[u8; 4]>()) {
        let [a, b, c, d] = reserved;
        let mut datagram = vec![flags | 8, a, b, c, 0, 0x42, 0x42, d];
        datagram.extend([0; 14]);
        prop_assert!(tunnel(0x4242).open(&datagram).is_ok());
    }

    #[test]
    fn a_flow_keeps_its_path_and_every_path_exists(flow in any::<u16>(), source_ports in 1_u8..=MAX_SOURCE_PORTS) {
        let tunnel = Tunnel { source_ports, ..tunnel(1) };
        prop_assert_eq!(tunnel.path_of(flow), tunnel.path_of(flow));
        prop_assert!(tunnel.path_of(flow) < usize::from(source_ports));
    }

    #[test]
    fn source_ports_are_of_the_dynamic_range(octets in any::<[u8; 4]>(), path in 0_u16..64, attempt in any::<u16>()) {
        // RFC 6335 §6.
        prop_assert!(source_port(octets.into(), Vni::new(7).unwrap(), path, attempt) >= FIRST_SOURCE_PORT);
    }
}

#[test]
fn flows_spread_over_all_paths() {
    let paths: BTreeSet<_> = (0..1000).map(|flow| tunnel(1).path_of(flow * 61)).collect();
    assert_eq!(paths.len(), 16);
}

#[test]
fn only_the_remote_is_the_peer_unless_configured() {
    let (peer, other) = ("192.0.2.2".parse().ok(), "192.0.2.3".parse().ok());
    assert!(tunnel(1).admits(peer) && !tunnel(1).admits(other) && !tunnel(1).admits(None));
    assert!(Tunnel { any_source: true, ..tunnel(1) }.admits(other));
}

#[test]
fn an_mtu_of_1500_carries_1450_octets_over_ipv4_and_1430_over_ipv6() {
    // RFC 7348 §4.3 and Figures 1, 2: 20 or 40 (IP), 8 (UDP), 8 (VXLAN), 14 (Ethernet).
    assert_eq!((carries(1500, false), carries(1500, true)), (1450, 1430));
    assert_eq!((carries(40, false), carries(u32::MAX, true)), (0, u16::MAX));
}

#[test]
fn a_tunnels_own_mac_address_is_a_local_station_and_lasts() {
    let mac = |local: &str, port, vni| Tunnel::mac_of(local.parse().unwrap(), port, vni);
    let all = [
        mac("192.0.2.1", 4789, 1),
        mac("192.0.2.1", 4789, 2),
        mac("192.0.2.1", 4790, 1),
        mac("2001:db8::1", 4789, 1),
    ];
    assert_eq!(BTreeSet::from(all).len(), 4);
    for MacAddr([first, ..]) in all {
        assert_eq!(first, 2, "locally administered, one station");
    }
    // An SCI of a configured peer is made of it: it must never change.
    assert_eq!(mac("192.0.2.1", 4789, 1), mac("192.0.2.1", 4789, 1));
}

/// RFC 2983 §4.1: the near end decides; RFC 4594 §3.1: what routers say to each other is CS6.
#[test]
fn the_outer_dscp_is_the_inner_one_or_a_fixed_one_and_that_of_control_is_its_own() {
    let (ef, fixed) = (Dscp::new(46).unwrap(), Dscp::new(10).unwrap());
    let mut frame = Frame::new(net::PacketBuf::copy_of(&[0; 60], 0, 0));
    let outer = |frame: &Frame| [Marking::Copy, Marking::Fixed(fixed)].map(|marking| marking.of(frame));
    assert_eq!(outer(&frame), [Dscp::BEST_EFFORT, fixed]);
    frame.dscp = ef;
    assert_eq!(outer(&frame), [ef, fixed]);
    // A probe waits for nobody here, and goes as what it measures for.
    frame.control = true;
    assert_eq!(outer(&frame), [ef, fixed]);
    frame.dscp = Dscp::new(56).unwrap();
    assert_eq!(outer(&frame), [Dscp::CS6; 2], "a host's routing program may say CS7");
    let own = Frame::of_control(net::PacketBuf::copy_of(&[0; 60], 0, 0));
    assert_eq!(outer(&own), [Dscp::CS6; 2]);
}
