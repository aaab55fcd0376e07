use net::{PacketBuf, VlanId};

use super::*;
use crate::{Frame, vlan};

fn frame(kind: u16, l3: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &kind.to_be_bytes(), l3].concat()
}

/// An IPv4 or IPv6 packet of this protocol with this class, and these ports behind its header.
fn packet(six: bool, next: u8, class: u8, ports: [u16; 2]) -> Vec<u8> {
    let mut l3 = vec![0; if six { 40 } else { 20 }];
    if six {
        (l3[0], l3[1], l3[6]) = (0x60 | class >> 4, class << 4, next);
    } else {
        (l3[0], l3[1], l3[9]) = (0x45, class, next);
    }
    l3.extend(ports.map(u16::to_be_bytes).concat());
    frame(if six { 0x86dd } else { 0x0800 }, &l3)
}

fn tagged(octets: &[u8]) -> Vec<u8> {
    let mut frame = Frame::new(PacketBuf::copy_of(octets, 64, 0));
    for id in [7, 9] {
        assert!(vlan::push(&mut frame, VlanTag::new(EtherType::VLAN, VlanId::new(id).unwrap())));
    }
    frame.buf.to_vec()
}

#[test]
fn what_neighbours_and_routers_say_may_be_control_under_any_tags() {
    let mut advertisement = packet(true, 58, 0, [0; 2]);
    advertisement[54] = 136;
    let mut control = vec![frame(0x0806, &[0; 28]), frame(0x8809, &[1]), advertisement];
    for six in [false, true] {
        control.extend([3784, 4784, 862].map(|port| packet(six, 17, 0, [50_000, port])));
        control.push(packet(six, 17, 0, [862, 49_862]));
        control.extend([[179, 50_000], [50_000, 179]].map(|ports| packet(six, 6, 0, ports)));
    }
    for octets in control {
        assert!(may_be_control(&octets) && may_be_control(&tagged(&octets)), "{octets:?}");
    }
}

#[test]
fn what_is_on_its_way_through_and_what_is_cut_short_is_none() {
    let mut fragment = packet(false, 17, 0, [50_000, 3784]);
    fragment[21] = 1;
    let mut echo = packet(true, 58, 0, [0; 2]);
    echo[54] = 128;
    let other = [
        frame(0x88b5, &[0; 46]),
        packet(false, 6, 0, [443, 50_000]),
        packet(true, 17, 0, [3784, 9]),
        fragment,
        echo,
    ];
    for octets in other {
        assert!(!may_be_control(&octets) && !may_be_control(&tagged(&octets)), "{octets:?}");
    }
    let whole = packet(false, 17, 0, [50_000, 3784]);
    for end in 0..whole.len() {
        assert!(!may_be_control(&whole[..end]) && !is_marked(&whole[..end.min(14)]), "{end}");
    }
}

/// RFC 4594 §3.1: CS6 is for routing, CS7 above it; everything else is users'.
#[test]
fn the_host_says_by_its_marks_what_is_control() {
    for six in [false, true] {
        for class in 0..64 {
            let octets = packet(six, 6, class << 2, [179, 50_000]);
            assert_eq!(is_marked(&octets), class >= 48, "{class}");
        }
    }
    assert!(is_marked(&frame(0x0806, &[0; 28])) && !is_marked(&frame(0x88b5, &[0xff; 46])));
}

#[test]
fn under_pressure_protected_frames_are_had_by_their_length_and_mka_always() {
    let wanted = Wanted { always: vec![EtherType::EAPOL], protected: true };
    let (mka, secret) = (frame(0x888e, &[3]), frame(0x88e5, &[0; 40]));
    for pressure in [Pressure::High, Pressure::Severe] {
        assert!(wanted.has(pressure, &mka, 1500) && wanted.has(pressure, &tagged(&mka), 1500));
        assert!(wanted.has(pressure, &secret, SHORT));
        assert_eq!(wanted.has(pressure, &secret, SHORT + 1), pressure == Pressure::High);
        assert!(!wanted.has(pressure, &packet(false, 6, 0, [443, 50_000]), 60));
        // A LAN protects nothing, and has no MKA.
        assert!(!Wanted::default().has(pressure, &secret, 60) && !Wanted::default().has(pressure, &mka, 60));
    }
}

#[test]
fn the_dscp_of_a_frame_is_that_of_its_packet_under_any_tags() {
    for (six, number) in [false, true].into_iter().flat_map(|six| (0..64).map(move |number| (six, number))) {
        let dscp = Dscp::new(number).unwrap();
        let octets = packet(six, 17, dscp.octet() | 0b11, [1, 2]);
        let mut numbered = Frame::new(PacketBuf::copy_of(&octets, 64, 0));
        assert!(rtag::push(&mut numbered, 7));
        for octets in [&octets[..], &tagged(&octets), &numbered.buf, &tagged(&numbered.buf)] {
            assert_eq!(dscp_of(octets), dscp, "{octets:?}");
            for len in 0..octets.len() {
                let _cut_short = dscp_of(&octets[..len]);
            }
        }
    }
    for other in [frame(0x0806, &[0xff; 28]), frame(0x0800, &[]), frame(0xf1c1, &[0; 4]), vec![]] {
        assert_eq!(dscp_of(&other), Dscp::BEST_EFFORT);
    }
}
