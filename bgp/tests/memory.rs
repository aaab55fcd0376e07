//! What a route costs in memory: printed, and held to a bound that a careless field would break.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use bgp::{
    Asn, PeerId,
    decision::{DecisionRules, PeerFacts},
    rib::{Path, Rib},
    wire::{
        as_path::AsPath,
        attributes::{Attributes, NextHop},
        community::Community,
    },
};
use net::{IpNet, Ipv4Net};
use std::{net::Ipv4Addr, sync::Arc};

/// Resident octets of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Attributes of the usual size: five hops, two communities.
fn attributes(n: u32) -> Attributes {
    let mut attributes = Attributes::local(NextHop::V4(Ipv4Addr::new(10, 0, 0, 1)));
    attributes.as_path = AsPath::sequence(&[65001, n, n + 1, n + 2, n + 3].map(Asn));
    attributes.communities = [Community(n), Community(n + 1)].into();
    attributes
}

#[test]
fn a_path_costs_about_a_hundred_octets() {
    const ROUTES: u32 = 150_000;
    const SHARING: u32 = 6;
    let mut rib = Rib::new(DecisionRules::default());
    let address = Ipv4Addr::new(10, 0, 0, 1).into();
    rib.know(PeerId(1), PeerFacts { internal: false, router_id: 1, address, asn: Asn(65001) });
    let before = resident();
    for n in 0..ROUTES {
        let received = rib.intern(attributes(n / SHARING));
        let accepted = Some(Arc::clone(&received));
        let path = Path { received, accepted, since: 0, peer: PeerId(1), epoch: 0 };
        // In an order that is neither sorted nor repeated: the multiplier is odd.
        let bits = n.wrapping_mul(0x9e37_79b1) & 0x00ff_ffff;
        let prefix = IpNet::V4(Ipv4Net::new(Ipv4Addr::from_bits(bits << 8), 24).unwrap());
        rib.insert(prefix, path);
    }
    let per_path = resident().saturating_sub(before) / usize::try_from(ROUTES).unwrap();
    println!("{per_path} octets a path, attributes shared by {SHARING}");
    assert!((40..150).contains(&per_path), "{per_path} octets a path");
}

#[test]
fn a_speaker_can_move_to_another_thread() {
    fn can_move<T: Send>() {}
    can_move::<bgp::Speaker>();
}
