//! The control packet and its datagram, held against `etherparse` and `pnet_packet`.

use core::num::NonZeroU8;

use etherparse::{IpDscp, NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use net::{EtherType, PacketBuf};
use pnet_packet::{Packet as _, udp as pnet_udp};
use proptest::prelude::*;

use super::*;

prop_compose! {
    fn any_control()(
        (diagnostic, state, flags, multiplier) in (0u8..32, 0u8..4, any::<[bool; 4]>(), 1u8..),
        (mine, yours) in (1u32.., any::<u32>()),
        times in any::<[u32; 3]>(),
    ) -> Control {
        let state = BfdState::from_code(state);
        let unnamed = matches!(state, BfdState::Down | BfdState::AdminDown);
        let yours = if unnamed { yours } else { yours.max(1) };
        let [poll, is_final, control_plane_independent, demand] = flags;
        let [desired_min_tx, required_min_rx, required_min_echo_rx] =
            times.map(|time| Duration::from_micros(time.into()));
        Control {
            diagnostic: Diagnostic::from_code(diagnostic), state, poll, is_final, control_plane_independent, demand,
            multiplier: NonZeroU8::new(multiplier).unwrap(), my_discriminator: name(mine),
            your_discriminator: NonZeroU32::new(yours), desired_min_tx, required_min_rx, required_min_echo_rx,
        }
    }
}

proptest! {
    /// RFC 5880 §4.1.
    #[test]
    fn what_is_encoded_decodes_to_the_same_control(control in any_control()) {
        let read = Control::decode(&control.encode());
        prop_assert_eq!(read, Ok(Received { control, authenticated: false }));
    }

    /// Whatever comes: a reason, or a packet that says all that the octets said.
    #[test]
    fn any_octets_are_refused_or_understood(octets in proptest::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(received) = Control::decode(&octets) {
            let again = received.control.encode();
            prop_assert_eq!(&again[4..], &octets[4..24]);
            prop_assert_eq!((again[0], again[2]), (octets[0], octets[2]));
            prop_assert_eq!(again[1] | u8::from(received.authenticated) << 2, octets[1]);
        }
        let _port = Datagram::port_of(&octets);
        let _datagram = Datagram::parse(&octets);
    }

    #[test]
    fn the_datagram_is_what_others_read(control in any_control(), v6: bool, port in 49_152u16..) {
        let octets = datagram(v6, port, &control);
        let sliced = SlicedPacket::from_ip(&octets).unwrap();
        match sliced.net.unwrap() {
            NetSlice::Ipv4(ip) => {
                prop_assert_eq!((ip.header().ttl(), ip.header().dcp()), (255, IpDscp::CS6));
                prop_assert_eq!(ip.header().header_checksum(), ip.header().to_header().calc_header_checksum());
            }
            NetSlice::Ipv6(ip) => {
                prop_assert_eq!((ip.header().hop_limit(), ip.header().traffic_class()), (255, 0xc0));
            }
            NetSlice::Arp(_) => prop_assert!(false, "not IP"),
        }
        let Some(TransportSlice::Udp(udp)) = sliced.transport else { panic!("no UDP in it") };
        prop_assert_eq!((udp.source_port(), udp.destination_port(), udp.length()), (port, 3784, 32));
        prop_assert_eq!(udp.payload(), &control.encode());
        let start = if v6 { 40 } else { 20 };
        let packet = pnet_udp::UdpPacket::new(&octets[start..]).unwrap();
        let right = match addresses(v6) {
            (IpAddr::V4(from), IpAddr::V4(to)) => pnet_udp::ipv4_checksum(&packet, &from, &to),
            (IpAddr::V6(from), IpAddr::V6(to)) => pnet_udp::ipv6_checksum(&packet, &from, &to),
            _ => unreachable!("both are of one family"),
        };
        // RFC 768: a sum of zero is sent as all ones, for zero says that there is none. The other library leaves that out.
        prop_assert_eq!(packet.get_checksum(), if right == 0 { 0xffff } else { right });
        prop_assert_eq!(packet.payload(), &control.encode());
    }

    #[test]
    fn what_others_write_is_read(control in any_control(), v6: bool, hops: u8, port: u16) {
        let builder = if v6 {
            PacketBuilder::ipv6([0xfd; 16], [0xfe; 16], hops)
        } else {
            PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], hops)
        };
        let mut octets = vec![];
        builder.udp(port, 4784).write(&mut octets, &control.encode()).unwrap();
        let read = Datagram::parse(&octets).unwrap();
        prop_assert_eq!((read.hops, read.port, read.payload), (hops, 4784, &control.encode()[..]));
        prop_assert_eq!(Datagram::port_of(&octets), Some(4784));
        let at = octets.len() - 1 - usize::from(port) % 32;
        octets[at] ^= 0x40;
        prop_assert_eq!(Datagram::parse(&octets), Err(Refusal::Datagram), "octet {} changed", at);
    }
}

fn addresses(v6: bool) -> (IpAddr, IpAddr) {
    let text = if v6 { ["fe80::1", "fd00::2"] } else { ["169.254.0.1", "169.254.0.2"] };
    (text[0].parse().unwrap(), text[1].parse().unwrap())
}

fn datagram(v6: bool, port: u16, control: &Control) -> Vec<u8> {
    let (from, to) = addresses(v6);
    let mut buf = PacketBuf::with_capacity(128, 0);
    let kind = write_datagram(&mut buf, (from, port), (to, SINGLE_HOP_PORT), control).unwrap();
    assert_eq!(kind, if v6 { EtherType::IPV6 } else { EtherType::IPV4 });
    buf.to_vec()
}

/// RFC 5880 §6.8.6, the rules that need no session, in their order: each is broken alone, and then together with all
/// those after it.
#[test]
fn every_validity_rule_refuses_under_its_own_name_and_in_order() {
    type Break = fn(&mut Vec<u8>);
    let rules: [(Refusal, Break); 7] = [
        (Refusal::Version, |octets| octets[0] = 0x40 | octets[0] & 0x1f),
        (Refusal::Length, |octets| octets[3] = 23),
        (Refusal::Truncated, |octets| octets[3] = 25),
        (Refusal::Multiplier, |octets| octets[2] = 0),
        (Refusal::Multipoint, |octets| octets[1] |= 1),
        (Refusal::MyDiscriminator, |octets| octets[4..8].fill(0)),
        (Refusal::YourDiscriminator, |octets| octets[8..12].fill(0)),
    ];
    for (at, (refusal, broken)) in rules.iter().enumerate() {
        let mut alone = says(BfdState::Up).encode().to_vec();
        broken(&mut alone);
        assert_eq!(Control::decode(&alone), Err(*refusal));
        let mut together = says(BfdState::Up).encode().to_vec();
        rules[at..].iter().rev().for_each(|(_, broken)| broken(&mut together));
        assert_eq!(Control::decode(&together), Err(*refusal), "before those behind it");
    }
}

#[test]
fn lengths_are_held_to_the_octet() {
    let packet = says(BfdState::Down).encode();
    assert_eq!(Control::decode(&packet[..23]), Err(Refusal::Length));
    assert_eq!(Control::decode(&[&packet[..], &[0; 8]].concat()).unwrap().control, says(BfdState::Down));
    // With the A bit the shortest is 26.
    let mut longer = [&packet[..], &[1, 9, 1, 0, 0, 0, 0, 0, 0]].concat();
    longer[1] |= 4;
    for (len, result) in [(24, Some(Refusal::Length)), (25, Some(Refusal::Length)), (26, None), (33, None)] {
        longer[3] = len;
        assert_eq!(Control::decode(&longer).err(), result, "{len}");
    }
    assert!(Control::decode(&longer).unwrap().authenticated);
    longer[3] = 34;
    assert_eq!(Control::decode(&longer), Err(Refusal::Truncated));
}

/// The rule is about Init and Up only: a peer that does not know us yet says Down or AdminDown.
#[test]
fn without_your_discriminator_only_down_and_admin_down_are_said() {
    for state in BfdState::ALL {
        let packet = Control { your_discriminator: None, ..says(state) }.encode();
        let refused = matches!(state, BfdState::Init | BfdState::Up);
        assert_eq!(Control::decode(&packet).err(), refused.then_some(Refusal::YourDiscriminator), "{state}");
    }
}

#[test]
fn the_figure_of_rfc_5880_4_1() {
    let control = Control {
        diagnostic: Diagnostic::NeighborSignaledSessionDown,
        poll: true,
        demand: true,
        desired_min_tx: Duration::from_secs(1),
        required_min_rx: ms(300),
        ..says(BfdState::Init)
    };
    let figure = [
        0x23, 0xa2, 3, 24, 0x22, 0x22, 0, 2, 0x11, 0x11, 0, 1, 0, 0x0f, 0x42, 0x40, 0, 4, 0x93, 0xe0, 0, 0,
        0, 0,
    ];
    assert_eq!(control.encode(), figure);
}

#[test]
fn a_datagram_that_is_not_whole_is_refused() {
    for v6 in [false, true] {
        let octets = datagram(v6, 50_000, &says(BfdState::Up));
        assert!(Datagram::parse(&octets).is_ok());
        for len in 0..octets.len() {
            assert_eq!(Datagram::parse(&octets[..len]), Err(Refusal::Datagram), "{len} octets");
        }
    }
    // A first fragment shows its port, but the packet is not all there.
    let mut first = datagram(false, 50_000, &says(BfdState::Up));
    first[6] = 0x20;
    first[10..12].fill(0);
    let sum = net::checksum::checksum(&first[..20]).to_be_bytes();
    first[10..12].copy_from_slice(&sum);
    assert_eq!((Datagram::port_of(&first), Datagram::parse(&first)), (Some(3784), Err(Refusal::Datagram)));
}

/// RFC 768: a checksum of 0 says that there is none; RFC 8200 §8.1 does not allow that.
#[test]
fn a_missing_checksum_is_fine_with_ipv4_only() {
    for v6 in [false, true] {
        let mut octets = datagram(v6, 50_000, &says(BfdState::Up));
        let at = if v6 { 46 } else { 26 };
        octets[at..at + 2].fill(0);
        assert_eq!(Datagram::parse(&octets).is_ok(), !v6);
    }
}
