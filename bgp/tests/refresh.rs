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
    Asn, Family, FamilyConfig, Impact, PeerConfig, RestartMode, own_route,
    policy::Policy,
    wire::{
        as_path::AsPath,
        attributes::NextHop,
        header::{self, MessageType},
        refresh::{RefreshKind, RouteRefresh},
    },
};
use lab::{Lab, capabilities, end_of_rib, refresh as message, restarts, update, update_by};
use net::{Instant, IpNet, Ipv4Net};
use std::net::Ipv4Addr;

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
    use RefreshKind::{Begin, End};
    let request = message(Family::Ipv4, RefreshKind::Request);
    lab.shove(&request);
    assert!(lab.hear_some(), "the answer begins");
    assert_eq!(kinds(&lab, Family::Ipv4), [Begin]);
    lab.shove(&request.repeat(10_000));
    lab.listen();
    let heard = kinds(&lab, Family::Ipv4);
    assert!(heard == [Begin, End, Begin, End], "{} marks", heard.len());
}

const ONE: &str = "10.1.0.0/16";
const TWO: &str = "10.2.0.0/16";

fn begin() -> Vec<u8> {
    message(Family::Ipv4, RefreshKind::Begin)
}

fn end() -> Vec<u8> {
    message(Family::Ipv4, RefreshKind::End)
}

fn used(lab: &Lab) -> [bool; 2] {
    [lab.uses(ONE), lab.uses(TWO)]
}

// RFC 7313 section 4.
#[test]
fn what_does_not_come_again_until_the_end_is_gone() {
    let mut lab = Lab::established(65001, capabilities(true), |_| {});
    lab.say(&[update(&[ONE, TWO]), end_of_rib(), begin(), update(&[ONE])].concat());
    assert_eq!(used(&lab), [true, true]);
    lab.say(&end());
    assert_eq!(used(&lab), [true, false]);
}

// RFC 4724 section 4.2: what was there when the session was lost is kept, told again a moment before or not.
#[test]
fn a_session_lost_in_the_middle_of_a_refresh_loses_no_route() {
    let mut lab = Lab::established(65001, restarts(), |config| config.restart = RestartMode::Helper);
    lab.say(&[update(&[ONE, TWO]), end_of_rib(), begin(), update(&[ONE])].concat());
    lab.hang_up();
    assert_eq!(used(&lab), [true, true]);
    lab.come_back(65001, restarts());
    lab.say(&update(&[TWO]));
    assert_eq!(used(&lab), [true, true]);
    lab.say(&end_of_rib());
    assert_eq!(used(&lab), [false, true]);
}

// RFC 7313 section 4: marks that come before the End-of-RIB of a restart mean nothing.
#[test]
fn the_end_of_a_refresh_does_not_end_a_restart() {
    let mut lab = Lab::established(65001, restarts(), |config| config.restart = RestartMode::Helper);
    lab.say(&[update(&[ONE, TWO]), end_of_rib()].concat());
    lab.hang_up();
    lab.come_back(65001, restarts());
    lab.say(&[begin(), update(&[ONE]), end()].concat());
    assert_eq!(used(&lab), [true, true]);
    // A begin before the End-of-RIB is none behind it either.
    lab.say(&[begin(), update(&[TWO]), end_of_rib(), end()].concat());
    assert_eq!(used(&lab), [true, true]);
}

// RFC 7313 section 4: only its own end ends a refresh.
#[test]
fn an_end_of_rib_does_not_end_a_refresh() {
    let mut lab = Lab::established(65001, capabilities(true), |_| {});
    lab.say(&[update(&[ONE, TWO]), begin(), update(&[ONE]), end_of_rib()].concat());
    assert_eq!(used(&lab), [true, true]);
    lab.say(&end());
    assert_eq!(used(&lab), [true, false]);
}

// RFC 4271 clause 6.3, RFC 9774: what is done with what comes in is ours alone, and needs no other session.
#[test]
fn routes_are_asked_for_again_when_they_are_to_be_read_otherwise() {
    let foreign = update_by(AsPath::sequence(&[Asn(65009)]), &[ONE]);
    // A sequence of one, and a set of two.
    let path = AsPath::parse(&lab::unhex("0201 0000fde9 0102 00000001 00000002"), true);
    let set = update_by(path.unwrap(), &[ONE]);
    let changes: [fn(&mut PeerConfig, bool); 2] =
        [|config, lax| config.enforce_first_as = !lax, |config, lax| config.accept_as_sets = lax];
    for (route, change) in [foreign, set].into_iter().zip(changes) {
        let mut lab = Lab::established(65001, capabilities(false), |_| {});
        lab.say(&route);
        for lax in [true, false] {
            assert_eq!(lab.uses(ONE), !lax);
            lab.forget();
            assert_eq!(lab.change(|config| change(config, lax)), Impact::Soft);
            for family in Family::ALL {
                assert_eq!(kinds(&lab, family), [RefreshKind::Request]);
            }
            lab.say(&route);
            assert_eq!(lab.uses(ONE), lax);
        }
        assert_eq!(lab.reset(), None);
    }
}

// RFC 7313 section 5: the data is the whole message; RFC 4271 section 4.1: a NOTIFICATION is no longer than any other message.
#[test]
fn a_long_refresh_that_is_wrong_is_answered_with_as_much_of_it_as_fits() {
    let mut lab = Lab::established(65001, capabilities(true), |_| {});
    let body: Vec<u8> = [0, 1, 1, 1].into_iter().chain([9; 4073]).collect();
    lab.say(&header::emit(MessageType::RouteRefresh, &body));
    let messages = lab.messages();
    let [.., (MessageType::Notification, told)] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!((told.len(), &told[..2]), (header::MAX_LEN - 19, &[7, 1][..]));
}

// RFC 8654 section 4: we have told that we take long messages, so we do, from a peer that takes none itself.
#[test]
fn a_peer_that_takes_no_long_messages_may_send_them_once_we_said_that_we_take_them() {
    let prefixes: Vec<_> = (0..1200).map(|n| format!("10.{}.{}.0/24", n / 250, n % 250)).collect();
    let prefixes: Vec<_> = prefixes.iter().map(String::as_str).collect();
    for (takes, reset) in [(true, None), (false, Some("reset 1/2".to_owned()))] {
        let mut lab = Lab::established(65001, capabilities(true), |config| config.extended_messages = takes);
        let short = update(&prefixes);
        // The lab writes messages of 4096 octets at most: their prefixes in one.
        let long = joined(&short);
        assert!(long.len() > header::MAX_LEN);
        lab.say(&long);
        assert_eq!(lab.reset(), reset);
        assert_eq!(lab.ipv4().received, if takes { 1200 } else { 0 });
    }
}

/// One UPDATE with the attributes of the first and the prefixes of all.
fn joined(mut messages: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(frame) = header::split(messages, header::MAX_LEN).unwrap() {
        let attributes = usize::from(u16::from_be_bytes([frame.body[2], frame.body[3]]));
        body.extend_from_slice(if body.is_empty() { frame.body } else { &frame.body[4 + attributes..] });
        messages = &messages[frame.len()..];
    }
    header::emit(MessageType::Update, &body)
}
