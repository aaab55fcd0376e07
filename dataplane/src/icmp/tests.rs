//! Packets are made by `etherparse`; answers are read and their checksums computed by `pnet_packet`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{IpFragOffset, IpNumber, Ipv4Header, PacketBuilder};
use net::PacketBuf;
use pnet_packet::{
    Packet,
    icmp::{IcmpPacket, checksum as icmp_checksum},
    icmpv6::{Icmpv6Packet, checksum as icmpv6_checksum},
    ipv4::{Ipv4Packet, checksum as ipv4_checksum},
    ipv6::Ipv6Packet,
};
use proptest::prelude::*;

use super::*;

const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);
const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const HOST6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 7);
const FAR6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const OWN6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const ALL: [IcmpError; 5] = [
    IcmpError::TimeExceeded,
    IcmpError::TooBig { mtu: 1400 },
    IcmpError::NoRoute,
    IcmpError::HostUnreachable,
    IcmpError::Prohibited,
];

fn udp4(source: Ipv4Addr, destination: Ipv4Addr, len: usize) -> Vec<u8> {
    let mut octets = Vec::new();
    let builder = PacketBuilder::ipv4(source.octets(), destination.octets(), 1).udp(1, 2);
    builder.write(&mut octets, &vec![0xab; len]).unwrap();
    octets
}

fn udp6(source: Ipv6Addr, destination: Ipv6Addr, len: usize) -> Vec<u8> {
    let mut octets = Vec::new();
    let builder = PacketBuilder::ipv6(source.octets(), destination.octets(), 1).udp(1, 2);
    builder.write(&mut octets, &vec![0xab; len]).unwrap();
    octets
}

fn ping4(source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    let builder = PacketBuilder::ipv4(source.octets(), destination.octets(), 3).icmpv4_echo_request(77, 5);
    builder.write(&mut octets, payload).unwrap();
    octets
}

fn ping6(source: Ipv6Addr, destination: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    let builder = PacketBuilder::ipv6(source.octets(), destination.octets(), 3).icmpv6_echo_request(77, 5);
    builder.write(&mut octets, payload).unwrap();
    octets
}

fn icmp4(kind: u8) -> Vec<u8> {
    let mut header = Ipv4Header::new(8, 64, IpNumber::ICMP, HOST.octets(), FAR.octets()).unwrap();
    header.header_checksum = header.calc_header_checksum();
    [&header.to_bytes()[..], &[kind, 0, 0, 0, 0, 0, 0, 0]].concat()
}

fn icmp6(kind: u8) -> Vec<u8> {
    let mut octets = udp6(HOST6, FAR6, 0);
    octets[6] = 58;
    octets[40] = kind;
    octets
}

/// The whole answer, checked: IPv4 header, checksums, addresses.
fn read4(octets: &[u8]) -> (u8, u8, Vec<u8>) {
    let ip = Ipv4Packet::new(octets).unwrap();
    assert_eq!(ip.get_checksum(), ipv4_checksum(&ip));
    assert_eq!(usize::from(ip.get_total_length()), octets.len());
    let icmp = IcmpPacket::new(ip.payload()).unwrap();
    assert_eq!(icmp.get_checksum(), icmp_checksum(&icmp));
    (icmp.get_icmp_type().0, icmp.get_icmp_code().0, icmp.payload().to_vec())
}

fn read6(octets: &[u8]) -> (u8, u8, Vec<u8>) {
    let ip = Ipv6Packet::new(octets).unwrap();
    assert_eq!(usize::from(ip.get_payload_length()) + 40, octets.len());
    let icmp = Icmpv6Packet::new(ip.payload()).unwrap();
    assert_eq!(icmp.get_checksum(), icmpv6_checksum(&icmp, &ip.get_source(), &ip.get_destination()));
    (icmp.get_icmpv6_type().0, icmp.get_icmpv6_code().0, icmp.payload().to_vec())
}

fn error(error: IcmpError, original: &[u8], source: IpAddr) -> Option<Vec<u8>> {
    let mut out = PacketBuf::with_capacity(2000, 128);
    build_error(error, original, source, &mut out).then(|| out.to_vec())
}

#[test]
fn each_error_has_its_type_and_code() {
    // RFC 792, RFC 1812 §5.2.7; RFC 4443 §3.
    let (v4, v6) = (udp4(HOST, FAR, 20), udp6(HOST6, FAR6, 20));
    let right = [((11, 0), (3, 0)), ((3, 4), (2, 0)), ((3, 0), (1, 0)), ((3, 1), (1, 3)), ((3, 13), (1, 1))];
    for (what, (in_v4, in_v6)) in ALL.into_iter().zip(right) {
        let (kind, code, rest) = read4(&error(what, &v4, OWN.into()).unwrap());
        assert_eq!((kind, code), in_v4, "{what:?}");
        assert_eq!(rest[4..], v4);
        let (kind, code, rest) = read6(&error(what, &v6, OWN6.into()).unwrap());
        assert_eq!((kind, code), in_v6, "{what:?}");
        assert_eq!(rest[4..], v6);
    }
}

#[test]
fn an_error_goes_back_to_the_source_with_the_right_header() {
    let octets = error(IcmpError::TimeExceeded, &udp4(HOST, FAR, 20), OWN.into()).unwrap();
    let ip = Ipv4Packet::new(&octets).unwrap();
    assert_eq!((ip.get_source(), ip.get_destination(), ip.get_ttl(), ip.get_dscp()), (OWN, HOST, 64, 48));
    let octets = error(IcmpError::TimeExceeded, &udp6(HOST6, FAR6, 20), OWN6.into()).unwrap();
    let ip = Ipv6Packet::new(&octets).unwrap();
    assert_eq!((ip.get_source(), ip.get_destination(), ip.get_hop_limit()), (OWN6, HOST6, 64));
}

#[test]
fn too_big_tells_the_mtu() {
    // RFC 1191 §4: 16 bits, the upper 16 unused; RFC 4443 §3.2: 32 bits, RFC 8200 §5: at least 1280.
    for (mtu, in_v4, in_v6) in [(1400, 1400, 1400_u32), (900, 900, 1280), (70_000, 65_535, 70_000)] {
        let what = IcmpError::TooBig { mtu };
        let (.., rest) = read4(&error(what, &udp4(HOST, FAR, 1400), OWN.into()).unwrap());
        assert_eq!(rest[..4], u32::to_be_bytes(in_v4));
        let (.., rest) = read6(&error(what, &udp6(HOST6, FAR6, 1400), OWN6.into()).unwrap());
        assert_eq!(rest[..4], in_v6.to_be_bytes());
    }
}

#[test]
fn quotes_as_much_as_may_be() {
    // RFC 1812 §4.3.2.3: 576 octets in all; RFC 4443 §2.4(c): 1280.
    let (v4, v6) = (udp4(HOST, FAR, 1400), udp6(HOST6, FAR6, 1400));
    assert_eq!(error(IcmpError::NoRoute, &v4, OWN.into()).unwrap().len(), 576);
    assert_eq!(error(IcmpError::NoRoute, &v6, OWN6.into()).unwrap().len(), 1280);
    // Ethernet padding is not part of the packet.
    let padded = [&udp4(HOST, FAR, 1)[..], &[0; 17]].concat();
    assert_eq!(error(IcmpError::NoRoute, &padded, OWN.into()).unwrap().len(), 28 + 29);
}

#[test]
fn nothing_is_built_from_nonsense_or_without_room() {
    let v4 = udp4(HOST, FAR, 100);
    for (original, source) in [(&v4[..], IpAddr::from(OWN6)), (&v4[..19], OWN.into()), (&[], OWN.into())] {
        assert_eq!(error(IcmpError::NoRoute, original, source), None);
    }
    assert_eq!(error(IcmpError::NoRoute, &udp6(HOST6, FAR6, 9), OWN.into()), None);
    let mut small = PacketBuf::with_capacity(47, 0);
    assert!(!build_error(IcmpError::NoRoute, &v4, OWN.into(), &mut small));
    assert!(small.is_empty());
    let mut enough = PacketBuf::with_capacity(48, 0);
    assert!(build_error(IcmpError::NoRoute, &v4, OWN.into(), &mut enough));
}

#[test]
fn ordinary_packets_may_be_answered() {
    for what in ALL {
        for packet in
            [udp4(HOST, FAR, 9), ping4(HOST, FAR, b""), udp6(HOST6, FAR6, 9), ping6(HOST6, FAR6, b"")]
        {
            assert!(may_answer(what, &packet), "{what:?} {packet:x?}");
        }
    }
}

#[test]
fn errors_groups_nobodies_and_later_fragments_are_not_answered() {
    // RFC 1122 §3.2.2, RFC 1812 §4.3.2.7.
    let mut later = udp4(HOST, FAR, 9);
    later[6..8].copy_from_slice(&IpFragOffset::try_new(185).unwrap().value().to_be_bytes());
    let mut never = vec![later, udp4(HOST, FAR, 9)[..19].to_vec(), vec![], vec![0x45]];
    never.extend([3, 4, 5, 11, 12].map(icmp4));
    never.push(icmp4(8)[..20].to_vec()); // nobody knows what it is
    for destination in [Ipv4Addr::BROADCAST, Ipv4Addr::new(224, 0, 0, 5)] {
        never.push(udp4(HOST, destination, 9));
    }
    for source in
        [Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, Ipv4Addr::LOCALHOST, Ipv4Addr::new(239, 1, 2, 3)]
    {
        never.push(udp4(source, FAR, 9));
    }
    // RFC 4443 §2.4(e).
    never.extend([1, 2, 3, 4, 100, 127, 137].map(icmp6));
    for source in [Ipv6Addr::UNSPECIFIED, Ipv6Addr::LOCALHOST, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)] {
        never.push(udp6(source, FAR6, 9));
    }
    for what in ALL {
        for packet in &never {
            assert!(!may_answer(what, packet), "{what:?} {packet:x?}");
        }
    }
}

#[test]
fn an_error_behind_extension_headers_is_an_error_too() {
    let hidden = |kind: u8| {
        let mut packet = icmp6(kind);
        packet.splice(40..40, [58, 0, 1, 4, 0, 0, 0, 0]);
        (packet[5], packet[6]) = (16, 60);
        packet
    };
    assert!(!may_answer(IcmpError::NoRoute, &hidden(1)));
    assert!(may_answer(IcmpError::NoRoute, &hidden(128)));
}

#[test]
fn only_too_big_is_told_about_an_ipv6_group() {
    // RFC 4443 §2.4(e.3), for path MTU discovery of multicast.
    let packet = udp6(HOST6, Ipv6Addr::new(0xff0e, 0, 0, 0, 0, 0, 0, 9), 9);
    for what in ALL {
        assert_eq!(may_answer(what, &packet), matches!(what, IcmpError::TooBig { .. }), "{what:?}");
    }
}

#[test]
fn an_echo_request_becomes_its_reply() {
    let mut packet = ping4(HOST, OWN, b"0123456789abc");
    assert!(echo_reply_in_place(&mut packet));
    let ip = Ipv4Packet::new(&packet).unwrap();
    assert_eq!((ip.get_source(), ip.get_destination(), ip.get_ttl()), (OWN, HOST, 64));
    let (kind, code, rest) = read4(&packet);
    assert_eq!((kind, code, &rest[..]), (0, 0, &b"\0\x4d\0\x050123456789abc"[..]));
    let mut packet = ping6(HOST6, OWN6, b"0123456789abc");
    assert!(echo_reply_in_place(&mut packet));
    let ip = Ipv6Packet::new(&packet).unwrap();
    assert_eq!((ip.get_source(), ip.get_destination(), ip.get_hop_limit()), (OWN6, HOST6, 64));
    let (kind, code, rest) = read6(&packet);
    assert_eq!((kind, code, &rest[..]), (129, 0, &b"\0\x4d\0\x050123456789abc"[..]));
}

#[test]
fn ethernet_padding_survives_an_echo() {
    let mut packet = [&ping4(HOST, OWN, b"x")[..], &[0xee; 17]].concat();
    assert!(echo_reply_in_place(&mut packet));
    assert_eq!(packet[29..], [0xee; 17]);
    read4(&packet[..29]);
}

#[test]
fn what_is_no_echo_request_stays_as_it_is() {
    let group = Ipv4Addr::new(224, 0, 0, 1);
    let mut bad = vec![
        udp4(HOST, OWN, 9),
        udp6(HOST6, OWN6, 9),
        icmp4(0),
        ping4(HOST, group, b""),
        ping4(Ipv4Addr::UNSPECIFIED, OWN, b""),
        ping6(HOST6, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), b""),
        vec![],
    ];
    for ping in [ping4(HOST, OWN, b"data"), ping6(HOST6, OWN6, b"data")] {
        // A bit of the message wrong, and of the checksum; cut short; the header of IPv4 wrong.
        for at in [ping.len() - 1, ping.len() - 10] {
            bad.push(ping.clone());
            bad.last_mut().unwrap()[at] ^= 0x10;
        }
        bad.push(ping[..ping.len() - 1].to_vec());
    }
    bad.push(ping4(HOST, OWN, b"data"));
    bad.last_mut().unwrap()[8] ^= 1;
    for packet in bad {
        let mut same = packet.clone();
        assert!(!echo_reply_in_place(&mut same), "{packet:x?}");
        assert_eq!(same, packet);
    }
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(
        mut octets in prop::collection::vec(any::<u8>(), 0..120),
        first in prop_oneof![Just(0x45_u8), Just(0x4f), Just(0x60), any::<u8>()],
        room in 0_usize..200,
    ) {
        if let Some(octet) = octets.first_mut() {
            *octet = first;
        }
        for what in ALL {
            let _may = may_answer(what, &octets);
            for source in [IpAddr::from(OWN), OWN6.into()] {
                let mut out = PacketBuf::with_capacity(room, 0);
                let built = build_error(what, &octets, source, &mut out);
                prop_assert_eq!(built, !out.is_empty());
            }
        }
        let before = octets.clone();
        let replied = echo_reply_in_place(&mut octets);
        prop_assert!(replied || before == octets);
    }

    #[test]
    fn every_ping_is_answered_with_right_checksums(payload in prop::collection::vec(any::<u8>(), 0..1400), a: u32, b: u32) {
        let (mut four, mut six) = (ping4(HOST, OWN, &payload), ping6(HOST6, OWN6, &payload));
        prop_assert!(echo_reply_in_place(&mut four) && echo_reply_in_place(&mut six));
        prop_assert_eq!(&read4(&four).2[4..], &payload[..]);
        prop_assert_eq!(&read6(&six).2[4..], &payload[..]);
        // Any two hosts, as long as they are hosts.
        let mut any = ping4(Ipv4Addr::from_bits(a & 0x7fff_ffff | 1), Ipv4Addr::from_bits(b & 0x7fff_ffff | 1), &payload);
        prop_assert!(echo_reply_in_place(&mut any));
        read4(&any);
    }
}
