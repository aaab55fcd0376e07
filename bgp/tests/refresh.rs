//! ROUTE-REFRESH (RFC 2918, RFC 7313), from a neighbour that does what it likes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and counts small numbers"
)]

mod lab;

use bgp::{
    Asn, Family, FamilyConfig, PeerConfig, own_route,
    policy::Policy,
    wire::{
        attributes::NextHop,
        capability::Capability,
        header::{self, MessageType},
        refresh::{RefreshKind, RouteRefresh},
    },
};
use lab::Lab;
use net::{Instant, IpNet, Ipv4Net};
use std::net::Ipv4Addr;

fn capabilities(enhanced: bool) -> Vec<Capability> {
    let mut all = vec![
        Capability::Multiprotocol(Family::Ipv4.code()),
        Capability::Multiprotocol(Family::Ipv6.code()),
        Capability::RouteRefresh,
        Capability::FourOctetAs(Asn(65001)),
    ];
    all.extend(enhanced.then_some(Capability::EnhancedRouteRefresh));
    all
}

fn message(family: Family, kind: RefreshKind) -> Vec<u8> {
    header::emit(MessageType::RouteRefresh, &RouteRefresh { family: family.code(), kind }.emit())
}

fn tells(config: &mut PeerConfig) {
    config.export = Some(Policy::accept_all());
    let next_hop = Some(NextHop::V4(Ipv4Addr::new(10, 255, 0, 2)));
    config.families.ipv4 = Some(FamilyConfig { next_hop, ..FamilyConfig::default() });
}

/// A session on which `routes` were announced.
fn told(enhanced: bool, routes: u32) -> Lab {
    let mut lab = Lab::established(65001, capabilities(enhanced), tells);
    for n in 0..routes {
        let prefix = Ipv4Net::new(Ipv4Addr::from_bits(0x0a00_0000 | n << 8), 24).unwrap();
        lab.speaker.announce(IpNet::V4(prefix), own_route(), Instant::ZERO);
    }
    lab.listen();
    lab.forget();
    lab
}

fn kinds(lab: &Lab, family: Family) -> Vec<RefreshKind> {
    let of = |refresh: &RouteRefresh| (refresh.family == family.code()).then_some(refresh.kind);
    lab.refreshes().iter().filter_map(of).collect()
}

// RFC 2918 section 4: a request is answered with the routes; it says nothing of one answer to each.
#[test]
fn a_flood_of_requests_is_answered_once() {
    for enhanced in [true, false] {
        let mut lab = told(enhanced, 100);
        let flood =
            [message(Family::Ipv4, RefreshKind::Request), message(Family::Ipv6, RefreshKind::Request)];
        lab.shove(&flood.concat().repeat(10_000));
        lab.listen();
        let marks: &[_] = if enhanced { &[RefreshKind::Begin, RefreshKind::End] } else { &[] };
        for family in Family::ALL {
            let heard = kinds(&lab, family);
            assert!(heard == marks, "{family}: {} marks, not {}", heard.len(), marks.len());
        }
        let updates = lab.messages().iter().filter(|(kind, _)| *kind == MessageType::Update).count();
        assert_eq!(updates, 1, "a hundred routes with equal attributes, once");
    }
}

// What the neighbour has forgotten since the answer began is told again behind it.
#[test]
fn requests_while_one_is_answered_are_answered_once_more_behind_it() {
    let mut lab = told(true, 10_000);
    let request = message(Family::Ipv4, RefreshKind::Request);
    lab.shove(&request);
    assert!(lab.hear_some(), "the answer begins");
    assert_eq!(kinds(&lab, Family::Ipv4), [RefreshKind::Begin]);
    lab.shove(&request.repeat(10_000));
    lab.listen();
    use RefreshKind::{Begin, End};
    let heard = kinds(&lab, Family::Ipv4);
    assert!(heard == [Begin, End, Begin, End], "{} marks", heard.len());
}
