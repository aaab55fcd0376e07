//! Random routes: lengths as in the Internet's tables (for IPv4 mostly /24, then /16 to /23; for IPv6 mostly /48, then /29 to
//! /47), addresses uniform, which is harder on caches than real tables. Destinations lie in random routes of the table, in
//! random order, so that most lookups go all the way down.

use core::net::{Ipv4Addr, Ipv6Addr};

use dataplane::fib::{Fib4, Fib6, NextHopId};
use net::{Ipv4Net, Ipv6Net};

use crate::Dice;

/// How many destinations are looked up in turn.
pub const DESTINATIONS: u32 = 4096;

/// A random route of IPv4.
pub fn v4_prefix(dice: &mut Dice) -> Ipv4Net {
    let bits = u32::try_from(dice.throw() >> 32).unwrap();
    let len = if dice.throw().is_multiple_of(5) { 16 + dice.throw() % 8 } else { 24 };
    Ipv4Net::new(Ipv4Addr::from_bits(bits), len.try_into().unwrap()).unwrap()
}

/// A random route of IPv6.
pub fn v6_prefix(dice: &mut Dice) -> Ipv6Net {
    // 2000::/3, as all that is allocated.
    let bits = wide(dice) >> 3 | 1 << 125;
    let len = if dice.throw().is_multiple_of(3) { 29 + dice.throw() % 19 } else { 48 };
    Ipv6Net::new(Ipv6Addr::from_bits(bits), len.try_into().unwrap()).unwrap()
}

fn wide(dice: &mut Dice) -> u128 {
    u128::from(dice.throw()) << 64 | u128::from(dice.throw())
}

/// A table of so many IPv4 routes, and [`DESTINATIONS`].
pub fn v4(size: usize, dice: &mut Dice) -> (Fib4, Vec<Ipv4Addr>) {
    let routes: Vec<_> = (0..size).map(|_| v4_prefix(dice)).collect();
    let keys = (0..DESTINATIONS).map(|_| {
        let net = routes[pick(dice, size)];
        let host = u32::try_from(dice.throw() >> 32).unwrap() & !u32::from(net.netmask());
        Ipv4Addr::from_bits(net.network().to_bits() | host)
    });
    let keys: Vec<_> = keys.collect();
    (Fib4::build(numbered(&routes)), keys)
}

/// The same for IPv6.
pub fn v6(size: usize, dice: &mut Dice) -> (Fib6, Vec<Ipv6Addr>) {
    let routes: Vec<_> = (0..size).map(|_| v6_prefix(dice)).collect();
    let keys = (0..DESTINATIONS).map(|_| {
        let net = routes[pick(dice, size)];
        Ipv6Addr::from_bits(net.network().to_bits() | wide(dice) & !u128::from(net.netmask()))
    });
    let keys: Vec<_> = keys.collect();
    (Fib6::build(numbered(&routes)), keys)
}

/// A random place below `size`.
pub fn pick(dice: &mut Dice, size: usize) -> usize {
    usize::try_from(dice.throw()).unwrap() % size
}

/// Sixteen next hops take turns.
fn numbered<N: Copy>(routes: &[N]) -> Vec<(N, NextHopId)> {
    let hop = |at: usize| NextHopId::new(u32::try_from(at % 16).unwrap()).unwrap();
    routes.iter().enumerate().map(|(at, net)| (*net, hop(at))).collect()
}
