//! Limits for prefixes, from a neighbour that comes and goes and asks for more.
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
    Family, FamilyConfig, InLimit, InLimitAction, PeerConfig, RestartMode,
    wire::{
        capability::Capability,
        emit::{self, EmitContext},
        refresh::RefreshKind,
    },
};
use lab::{Lab, capabilities, end_of_rib, refresh, restarts, update};

const ONE: &str = "10.1.0.0/16";
const TWO: &str = "10.2.0.0/16";
const THREE: &str = "10.3.0.0/16";
const FOUR: &str = "10.4.0.0/16";

/// Two prefixes are taken and no more.
fn two(config: &mut PeerConfig) {
    let limit = InLimit { max: 2, warn_percent: 100, action: InLimitAction::Hold };
    config.families.ipv4 = Some(FamilyConfig { in_limit: Some(limit), ..FamilyConfig::default() });
    config.restart = RestartMode::Helper;
}

fn withdraw(prefix: &str) -> Vec<u8> {
    let context = EmitContext { four_octet_as: true, max_len: 4096 };
    emit::withdraw(Family::Ipv4, &[prefix.parse().unwrap()], context).concat()
}

fn requests(lab: &Lab) -> usize {
    lab.refreshes().iter().filter(|refresh| refresh.kind == RefreshKind::Request).count()
}

// RFC 4724: what a restarting neighbour does not announce any more is there until its End-of-RIB, but not by its will.
#[test]
fn stale_routes_leave_room_for_those_of_the_new_session() {
    let mut lab = Lab::established(65001, restarts(), two);
    lab.say(&[update(&[ONE, TWO]), end_of_rib()].concat());
    lab.hang_up();
    lab.come_back(65001, restarts());
    lab.say(&update(&[TWO, THREE]));
    assert_eq!((lab.ipv4().received, lab.ipv4().overflowed), (3, false));
    // Two it has announced now, one of them again.
    lab.say(&update(&[TWO, FOUR]));
    assert_eq!((lab.ipv4().received, lab.ipv4().overflowed), (3, true));
    lab.say(&end_of_rib());
    assert_eq!(lab.ipv4().received, 2);
    assert!(lab.uses(TWO) && lab.uses(THREE));
}

#[test]
fn what_was_left_out_is_asked_for_once_there_is_room() {
    let mut lab = Lab::established(65001, capabilities(true), two);
    lab.say(&update(&[ONE, TWO, THREE]));
    assert_eq!((lab.ipv4().received, lab.ipv4().overflowed), (2, true));
    lab.say(&withdraw(ONE));
    assert_eq!((requests(&lab), lab.ipv4().overflowed), (1, false));
    // The end of a refresh makes room as well.
    lab.say(&update(&[ONE, THREE]));
    assert!(lab.ipv4().overflowed);
    lab.say(&[refresh(Family::Ipv4, RefreshKind::Begin), update(&[TWO])].concat());
    assert_eq!(requests(&lab), 1);
    lab.say(&refresh(Family::Ipv4, RefreshKind::End));
    assert_eq!((requests(&lab), lab.ipv4().received, lab.ipv4().overflowed), (2, 1, false));
}

#[test]
fn what_was_left_out_and_cannot_be_asked_for_is_missing_until_the_session_ends() {
    let mut able = capabilities(true);
    able.retain(|one| !matches!(one, Capability::RouteRefresh | Capability::EnhancedRouteRefresh));
    let mut lab = Lab::established(65001, able, two);
    lab.say(&[update(&[ONE, TWO, THREE]), withdraw(ONE)].concat());
    assert_eq!((requests(&lab), lab.ipv4().received, lab.ipv4().overflowed), (0, 1, true));
    lab.hang_up();
    assert_eq!((lab.ipv4().received, lab.ipv4().overflowed), (0, false));
}
