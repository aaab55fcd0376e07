//! Packets here are made by `etherparse`, an implementation that knows nothing of ours.

use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, PacketBuilder};
use proptest::prelude::*;

use super::*;

type V4 = ([u8; 4], [u8; 4]);
type V6 = ([u8; 16], [u8; 16]);

fn udp4((source, destination): V4, (from, to): (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    PacketBuilder::ipv4(source, destination, 64).udp(from, to).write(&mut octets, payload).unwrap();
    octets
}

fn tcp4((source, destination): V4, (from, to): (u16, u16)) -> Vec<u8> {
    let mut octets = Vec::new();
    PacketBuilder::ipv4(source, destination, 9).tcp(from, to, 7, 1024).write(&mut octets, b"x").unwrap();
    octets
}

fn tcp6((source, destination): V6, (from, to): (u16, u16), label: u32) -> Vec<u8> {
    let mut octets = Vec::new();
    let flow_label = Ipv6FlowLabel::try_new(label).unwrap();
    let header = Ipv6Header { source, destination, hop_limit: 64, flow_label, ..Default::default() };
    PacketBuilder::ip(etherparse::IpHeaders::Ipv6(header, Default::default()))
        .tcp(from, to, 7, 1024)
        .write(&mut octets, b"x")
        .unwrap();
    octets
}

/// A fragment of a UDP datagram, `offset` in units of 8 octets.
fn fragment4((source, destination): V4, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap();
    let mut header = Ipv4Header::new(len, 64, IpNumber::UDP, source, destination).unwrap();
    header.dont_fragment = false;
    header.more_fragments = more;
    header.fragment_offset = IpFragOffset::try_new(offset).unwrap();
    header.header_checksum = header.calc_header_checksum();
    let mut octets = header.to_bytes().to_vec();
    octets.extend_from_slice(payload);
    octets
}

/// An IPv6 packet whose payload is given from its first extension header on.
fn raw6((source, destination): V6, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let header = Ipv6Header {
        source,
        destination,
        next_header: IpNumber(next_header),
        payload_length: u16::try_from(payload.len()).unwrap(),
        hop_limit: 64,
        ..Default::default()
    };
    [&header.to_bytes()[..], payload].concat()
}

const A4: V4 = ([10, 0, 0, 1], [10, 9, 0, 2]);
const A6: V6 = (
    [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    [0x20, 1, 0xd, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
);

proptest! {
    #[test]
    fn both_directions_hash_alike(a: [u8; 4], b: [u8; 4], x: [u8; 16], y: [u8; 16], from: u16, to: u16) {
        prop_assert_eq!(flow_hash(&udp4((a, b), (from, to), b"?")), flow_hash(&udp4((b, a), (to, from), b"answer")));
        prop_assert_eq!(flow_hash(&tcp4((a, a), (from, to))), flow_hash(&tcp4((a, a), (to, from))));
        prop_assert_eq!(flow_hash(&tcp6((x, y), (from, to), 0)), flow_hash(&tcp6((y, x), (to, from), 0)));
    }

    #[test]
    fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..200), first in prop_oneof![Just(0x45_u8), Just(0x4f), Just(0x60), any::<u8>()]) {
        let mut octets = octets;
        if let Some(octet) = octets.first_mut() {
            *octet = first;
        }
        let _hashes = (flow_hash(&octets), flow_hash_l2(&octets));
    }

    #[test]
    fn every_part_of_the_five_tuple_counts(a: [u8; 4], b: [u8; 4], from: u16, to: u16) {
        let hash = flow_hash(&udp4((a, b), (from, to), b""));
        prop_assert_ne!(hash, flow_hash(&udp4((a, b), (from.wrapping_add(1), to), b"")));
        prop_assert_ne!(hash, flow_hash(&udp4((a, b), (from, to.wrapping_add(1)), b"")));
        prop_assert_ne!(hash, flow_hash(&tcp4((a, b), (from, to))));
        let other = [a[0], a[1], a[2], a[3].wrapping_add(1)];
        prop_assert_ne!(hash, flow_hash(&udp4((other, b), (from, to), b"")));
    }
}

#[test]
fn ports_belong_to_their_addresses() {
    // a:1 -> b:2 is not a:2 -> b:1.
    assert_ne!(flow_hash(&udp4(A4, (1, 2), b"")), flow_hash(&udp4(A4, (2, 1), b"")));
    assert_ne!(flow_hash(&tcp6(A6, (1, 2), 0)), flow_hash(&tcp6(A6, (2, 1), 0)));
}

#[test]
fn what_changes_within_a_flow_does_not_count() {
    let hash = flow_hash(&udp4(A4, (5, 6), b""));
    let mut marked = udp4(A4, (5, 6), &[7; 900]);
    (marked[1], marked[4], marked[8]) = (0xb8, 99, 3); // DSCP, identification, time to live
    assert_eq!(flow_hash(&marked), hash);
    assert_eq!(flow_hash(&tcp6(A6, (5, 6), 0x12345)), flow_hash(&tcp6(A6, (5, 6), 0xfffff)));
    // With options the ports are further back.
    let plain = udp4(A4, (5, 6), b"");
    let mut options = [&plain[..20], &[1, 1, 1, 0], &plain[20..]].concat();
    options[0] = 0x46;
    assert_eq!(flow_hash(&options), hash);
}

#[test]
fn all_fragments_stay_together() {
    let ports = [0x12, 0x34, 0, 53, 0, 99, 0, 0];
    let first = flow_hash(&fragment4(A4, 0, true, &ports));
    assert_eq!(flow_hash(&fragment4(A4, 1, true, &[9; 8])), first);
    assert_eq!(flow_hash(&fragment4(A4, 2, false, &[7; 3])), first);
    // RFC 8200 §4.5, also when a further extension header follows the fragment header.
    for next in [17_u8, 60] {
        let first = flow_hash(&raw6(
            A6,
            44,
            &[&[next, 0, 0, 1, 0, 0, 0, 1], &[17, 0, 1, 4, 0, 0, 0, 0][..], &ports].concat(),
        ));
        let later = flow_hash(&raw6(A6, 44, &[next, 0, 0, 0x58, 0, 0, 0, 1, 5, 5, 5, 5]));
        assert_eq!(first, later, "behind it {next}");
    }
}

#[test]
fn ports_are_found_behind_extension_headers() {
    let udp = [0x12, 0x34, 0, 53, 0, 8, 0, 0];
    let bare = flow_hash(&raw6(A6, 17, &udp));
    for chain in [
        (0, &[17, 0, 5, 2, 0, 0, 1, 0][..]),                       // hop-by-hop
        (60, &[43, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0]), // destination, routing
        (51, &[17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]), // authentication
    ] {
        assert_eq!(flow_hash(&raw6(A6, chain.0, &[chain.1, &udp].concat())), bare, "{chain:?}");
    }
    // A chain without end is given up, not followed.
    assert_ne!(flow_hash(&raw6(A6, 0, &[[0, 0, 1, 4, 0, 0, 0, 0]; 100].concat())), bare);
}

#[test]
fn an_echo_and_its_reply_are_one_flow_told_by_their_identifier() {
    let echo = |kind: u8, id: u8| [kind, 0, 0, 0, 0, id, 0, 1];
    let v4 = |(source, destination): V4, message: [u8; 8]| {
        let header = Ipv4Header::new(8, 64, IpNumber::ICMP, source, destination).unwrap();
        [&header.to_bytes()[..], &message].concat()
    };
    let back4 = (A4.1, A4.0);
    assert_eq!(flow_hash(&v4(A4, echo(8, 1))), flow_hash(&v4(back4, echo(0, 1))));
    assert_ne!(flow_hash(&v4(A4, echo(8, 1))), flow_hash(&v4(A4, echo(8, 2))));
    assert_eq!(flow_hash(&v4(A4, echo(3, 1))), flow_hash(&v4(A4, echo(3, 2))), "an error has no identifier");
    let back6 = (A6.1, A6.0);
    assert_eq!(flow_hash(&raw6(A6, 58, &echo(128, 1))), flow_hash(&raw6(back6, 58, &echo(129, 1))));
    assert_ne!(flow_hash(&raw6(A6, 58, &echo(128, 1))), flow_hash(&raw6(A6, 58, &echo(128, 2))));
}

#[test]
fn frames_hash_as_the_packets_in_them() {
    let packet = udp4(A4, (5, 6), b"data");
    let macs = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    let frame = |between: &[u8], packet: &[u8]| [&macs[..], between, packet].concat();
    let hash = flow_hash(&packet);
    assert_eq!(flow_hash_l2(&frame(&[8, 0], &packet)), hash);
    assert_eq!(flow_hash_l2(&frame(&[0x81, 0, 0, 7, 8, 0], &packet)), hash);
    assert_eq!(flow_hash_l2(&frame(&[0x88, 0xa8, 0, 9, 0x81, 0, 0, 7, 8, 0], &packet)), hash);
    let six = tcp6(A6, (5, 6), 1);
    assert_eq!(flow_hash_l2(&frame(&[0x86, 0xdd], &six)), flow_hash(&six));
    // Three tags are one too many: by addresses, which are the same both ways.
    let deep = frame(&[0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3, 8, 0], &packet);
    let mut back = deep.clone();
    back[..12].rotate_left(6);
    assert_eq!(flow_hash_l2(&deep), flow_hash_l2(&back));
    assert_ne!(flow_hash_l2(&deep), hash);
    assert_ne!(flow_hash_l2(&frame(&[0x88, 0xcc], &packet)), flow_hash_l2(&frame(&[0x88, 0xcd], &packet)));
}

/// Chi-square of `hashes` over four members, by the same bits that a [`Group`](crate::group::Group) looks at.
fn chi_square(hashes: impl Iterator<Item = u32>) -> f64 {
    let group = {
        let mut group = crate::group::Group::new(&[core::num::NonZeroU8::MIN; 4]).unwrap();
        group.set_live(0b1111);
        group
    };
    let mut counts = [0_u32; 4];
    hashes.for_each(|hash| counts[group.choose(hash).unwrap().index()] += 1);
    let expected = f64::from(counts.iter().sum::<u32>()) / 4.0;
    counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum()
}

#[test]
fn flows_in_a_row_spread_evenly() {
    // 16.27 is the 99.9 % quantile with three degrees of freedom. Each of these is one fixed sample.
    const LIMIT: f64 = 16.27;
    let ports = chi_square((0..8192).map(|i| flow_hash(&udp4(A4, (32_768 + i, 443), b""))));
    let both = chi_square((0..8192).map(|i| flow_hash(&udp4(A4, (10_000 + i, 20_000 + i), b""))));
    let even = chi_square((0..8192).map(|i| flow_hash(&tcp4(A4, (32_768 + 2 * i, 80)))));
    let hosts = chi_square((0..8192_u16).map(|i| {
        let [high, low] = i.to_be_bytes();
        flow_hash(&udp4(([10, 1, high, low], A4.1), (443, 443), b""))
    }));
    let six = chi_square((0..8192).map(|i| flow_hash(&tcp6(A6, (32_768 + i, 443), 0))));
    for (what, chi) in [("ports", ports), ("both", both), ("even", even), ("hosts", hosts), ("v6", six)] {
        assert!(chi < LIMIT, "{what}: {chi}");
    }
}

#[test]
fn one_changed_bit_changes_half_of_the_hash() {
    let packet = udp4(A4, (0x1234, 443), b"");
    for bit in (12 * 8)..(24 * 8) {
        let changed: u32 = (0..64_u8)
            .map(|salt| {
                let mut base = packet.clone();
                base[15] ^= salt;
                let mut other = base.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                (flow_hash(&base) ^ flow_hash(&other)).count_ones()
            })
            .sum();
        assert!(
            (14 * 64..=18 * 64).contains(&changed),
            "bit {bit}: {} of 32 on average",
            f64::from(changed) / 64.0
        );
    }
}
