//! The tables against an independent longest-prefix match, at every size and form.

use prefix_trie::PrefixMap;
use proptest::prelude::*;

use super::*;
use crate::flow::fold;

fn id(number: u32) -> NextHopId {
    NextHopId::new(number).unwrap()
}

fn v4(routes: &[(&str, u32)]) -> Fib4 {
    Fib4::build(routes.iter().map(|&(net, hop)| (net.parse().unwrap(), id(hop))))
}

fn v6(routes: &[(&str, u32)]) -> Fib6 {
    Fib6::build(routes.iter().map(|&(net, hop)| (net.parse().unwrap(), id(hop))))
}

#[test]
fn the_longest_prefix_wins_from_default_to_host_route() {
    // RFC 1812 §5.2.4.3 (2).
    let fib = v4(&[
        ("0.0.0.0/0", 1),
        ("10.0.0.0/8", 2),
        ("10.1.0.0/16", 3),
        ("10.1.2.0/24", 4),
        ("10.1.2.3/32", 5),
        ("255.255.255.255/32", 6),
        ("0.0.0.0/32", 7),
    ]);
    for (address, hop) in [
        ("9.255.255.255", 1),
        ("10.0.0.0", 2),
        ("10.1.0.0", 3),
        ("10.1.2.2", 4),
        ("10.1.2.3", 5),
        ("10.1.2.4", 4),
        ("10.1.3.0", 3),
        ("10.2.0.0", 2),
        ("11.0.0.0", 1),
        ("255.255.255.254", 1),
        ("255.255.255.255", 6),
        ("0.0.0.0", 7),
        ("0.0.0.1", 1),
    ] {
        assert_eq!(fib.lookup(address.parse().unwrap()), Some(id(hop)), "{address}");
    }
    let fib = v6(&[
        ("::/0", 1),
        ("2001:db8::/32", 2),
        ("2001:db8::1/128", 3),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 4),
    ]);
    for (address, hop) in [
        ("::", 1),
        ("2001:db8::", 2),
        ("2001:db8::1", 3),
        ("2001:db8::2", 2),
        ("2001:db9::", 1),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 4),
    ] {
        assert_eq!(fib.lookup(address.parse().unwrap()), Some(id(hop)), "{address}");
    }
}

#[test]
fn without_a_route_there_is_no_answer() {
    assert_eq!(Fib4::default().lookup(Ipv4Addr::new(10, 0, 0, 1)), None);
    assert_eq!(Fib6::default().lookup(Ipv6Addr::LOCALHOST), None);
    let fib = v4(&[("10.0.0.0/31", 1)]);
    assert_eq!(fib.lookup(Ipv4Addr::new(10, 0, 0, 2)), None);
    assert_eq!(fib.lookup(Ipv4Addr::new(9, 255, 255, 255)), None);
}

#[test]
fn the_later_of_two_routes_for_a_prefix_counts_and_host_bits_do_not() {
    let fib = v4(&[("10.0.0.7/24", 1), ("10.0.0.9/24", 2)]);
    assert_eq!(fib.lookup(Ipv4Addr::new(10, 0, 0, 200)), Some(id(2)));
}

#[test]
fn identifiers_stay_below_the_marks_of_an_entry() {
    assert_eq!(NextHopId::new(NextHopId::MAX).map(NextHopId::get), Some(0x7fff_fffe));
    assert_eq!(NextHopId::new(NextHopId::MAX + 1), None);
    let fib = v4(&[("0.0.0.0/0", NextHopId::MAX)]);
    assert_eq!(fib.lookup(Ipv4Addr::LOCALHOST), Some(id(NextHopId::MAX)));
}

#[test]
fn a_connection_with_a_few_routes_costs_next_to_nothing() {
    let routes =
        ["0.0.0.0/0", "10.0.0.0/8", "172.16.0.0/12", "192.168.7.0/24", "192.168.7.9/32"].map(|net| (net, 1));
    assert!(v4(&routes).memory_octets() < 512);
    let routes = ["::/0", "fd00::/8", "2001:db8::/32", "2001:db8:1::/64", "fd00::1/128"].map(|net| (net, 1));
    assert!(v6(&routes).memory_octets() < 1024);
}

/// Routes that crowd together, so that they overlap: few distinct octets.
fn crowded4() -> impl Strategy<Value = (Ipv4Net, u32)> {
    let octet = prop_oneof![Just(0_u8), Just(10), Just(255), any::<u8>()];
    (prop::array::uniform4(octet), 0_u8..=32, 0_u32..4)
        .prop_map(|(octets, len, hop)| (Ipv4Net::new_assert(octets.into(), len), hop))
}

fn crowded6() -> impl Strategy<Value = (Ipv6Net, u32)> {
    let octet = prop_oneof![4 => Just(0_u8), 1 => Just(255), 1 => any::<u8>()];
    (prop::array::uniform16(octet), 0_u8..=128, 0_u32..4)
        .prop_map(|(octets, len, hop)| (Ipv6Net::new_assert(octets.into(), len), hop))
}

/// All three forms of one set of routes.
fn forms<K: Key>(routes: &[Route<K>]) -> [Fib<K>; 3] {
    let (broad, others): (Vec<_>, Vec<_>) = routes.iter().partition(|route| route.is_broad());
    let [tall, flat] = [false, true].map(|is_flat| {
        edit::Editor::build(&build::flatten(others.clone()), build::flatten(broad.clone()), is_flat).share()
    });
    [Fib::Small(Arc::new(build::flatten(routes.to_vec()))), Fib::Large(tall), Fib::Large(flat)]
}

proptest! {
    // The flat form alone costs 65,536 entries per case.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_form_agrees_with_the_oracle_v4(
        routes in prop::collection::vec(crowded4(), 0..40),
        strays in prop::collection::vec(any::<u32>(), 20),
    ) {
        let oracle: PrefixMap<Ipv4Net, u32> = routes.iter().map(|&(net, hop)| (net.trunc(), hop)).collect();
        let edges = routes.iter().flat_map(|(net, _)| {
            let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
            [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
        });
        let of = |&(net, hop): &(Ipv4Net, u32)| Route::new(net.addr().to_bits(), net.prefix_len(), id(hop));
        let forms = forms(&routes.iter().map(of).collect::<Vec<_>>());
        for address in edges.chain(strays) {
            let net = Ipv4Net::new_assert(Ipv4Addr::from_bits(address), 32);
            let right = oracle.get_lpm(&net).map(|(_, &hop)| id(hop));
            for fib in &forms {
                prop_assert_eq!(fib.lookup(address), right, "{} in {:?}", net, fib);
            }
        }
    }

    #[test]
    fn every_form_agrees_with_the_oracle_v6(
        routes in prop::collection::vec(crowded6(), 0..40),
        strays in prop::collection::vec(any::<u128>(), 20),
    ) {
        let oracle: PrefixMap<Ipv6Net, u32> = routes.iter().map(|&(net, hop)| (net.trunc(), hop)).collect();
        let edges = routes.iter().flat_map(|(net, _)| {
            let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
            [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
        });
        let of = |&(net, hop): &(Ipv6Net, u32)| Route::new(net.addr().to_bits(), net.prefix_len(), id(hop));
        let forms = forms(&routes.iter().map(of).collect::<Vec<_>>());
        for address in edges.chain(strays) {
            let net = Ipv6Net::new_assert(Ipv6Addr::from_bits(address), 128);
            let right = oracle.get_lpm(&net).map(|(_, &hop)| id(hop));
            for fib in &forms {
                prop_assert_eq!(fib.lookup(address), right, "{} in {:?}", net, fib);
            }
        }
    }
}

/// Pseudo-random numbers that are the same in every run.
fn numbers() -> impl Iterator<Item = u64> {
    (1_u64..).map(|i| fold(i.wrapping_mul(0x9e37_79b9_7f4a_7c15), 0xd6e8_feb8_6659_fd93))
}

#[test]
fn a_million_routes_agree_with_the_oracle() {
    // Lengths as in the Internet's table: most are /24, few are longer.
    let lengths =
        [8, 16, 16, 19, 20, 21, 22, 22, 22, 23, 23, 24, 24, 24, 24, 24, 24, 24, 24, 24, 25, 28, 30, 32];
    let mut random = numbers();
    let mut next = || random.next().unwrap();
    let routes: Vec<(Ipv4Net, u32)> = (0..1_000_000)
        .map(|_| {
            let number = next();
            let len = lengths[usize::try_from(number >> 40).unwrap() % lengths.len()];
            let address = Ipv4Addr::from_bits(u32::try_from(number & 0xffff_ffff).unwrap());
            (Ipv4Net::new_assert(address, len).trunc(), u32::try_from(number >> 56).unwrap())
        })
        .collect();
    let fib = Fib4::build(routes.iter().map(|&(net, hop)| (net, id(hop))));
    assert!(fib.memory_octets() < 32 << 20, "{} octets", fib.memory_octets());
    let oracle: PrefixMap<Ipv4Net, u32> = routes.iter().copied().collect();
    let inside = routes.iter().step_by(50).flat_map(|(net, _)| [net.network(), net.broadcast()]);
    let strays: Vec<_> =
        (0..20_000).map(|_| Ipv4Addr::from_bits(u32::try_from(next() >> 32).unwrap())).collect();
    for address in inside.chain(strays) {
        let right = oracle.get_lpm(&Ipv4Net::new_assert(address, 32)).map(|(_, &hop)| id(hop));
        assert_eq!(fib.lookup(address), right, "{address}");
    }
}

#[test]
fn the_same_routes_make_the_same_table() {
    let routes: Vec<_> = numbers()
        .take(3000)
        .map(|number| {
            let address = Ipv6Addr::from_bits(u128::from(number) << 64 | 0x2001 << 112);
            (Ipv6Net::new_assert(address, u8::try_from(20 + number % 100).unwrap()), id(7))
        })
        .collect();
    let (one, other) = (Fib6::build(routes.iter().copied()), Fib6::build(routes.iter().copied()));
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}
