//! The BFD sessions of an interface: on an attachment one with each of its peers (RFC 5881 §2: one for each address
//! family), on a LAN one with each BGP neighbour that wants it.

use std::net::IpAddr;

use config::model::{self as words, Connection, GracefulRestart, Interface};
use dataplane::bfd::{BfdMode, BfdParams, BfdTimers, Hops};

/// With the peers of an attachment (its place in the connection's list). None without `[connection.attachment.bfd]`, or
/// when that says `off`.
pub(super) fn of_attachment(connection: &Connection, at: usize) -> Vec<BfdParams> {
    let attachment = connection.attachments.get(at);
    let Some((attachment, bfd)) = attachment.and_then(|one| Some((one, one.bfd.as_ref()?))) else {
        return Vec::new();
    };
    let session = |&peer: &IpAddr| {
        // A peer that is to keep our routes while we restart must not take the end of our BFD for that of forwarding.
        let kept = neighbors(connection, Interface::Attachment(at))
            .any(|one| one.address == peer && keeps_ours(one.graceful_restart));
        session(peer, bfd, bfd.mode, !kept)
    };
    attachment.peers.iter().filter_map(session).collect()
}

/// With the BGP neighbours on a LAN.
pub(super) fn of_lan(connection: &Connection, at: usize) -> Vec<BfdParams> {
    let Some(bfd) = connection.lans.get(at).and_then(|lan| lan.bfd.as_ref()) else { return Vec::new() };
    neighbors(connection, Interface::Lan(at))
        .filter_map(|one| session(one.address, bfd, one.bfd, !keeps_ours(one.graceful_restart)))
        .collect()
}

fn neighbors(connection: &Connection, on: Interface) -> impl Iterator<Item = &words::Neighbor> {
    connection.neighbors.iter().filter(move |one| one.on == on)
}

const fn keeps_ours(mode: GracefulRestart) -> bool {
    matches!(mode, GracefulRestart::Unplanned | GracefulRestart::Full)
}

fn session(peer: IpAddr, bfd: &words::Bfd, mode: words::BfdMode, independent: bool) -> Option<BfdParams> {
    let mode = match mode {
        words::BfdMode::Off => return None,
        words::BfdMode::Follow => BfdMode::Follow,
        words::BfdMode::Strict => BfdMode::Strict,
    };
    // The configuration's check has the same limits.
    let timers = BfdTimers::new(bfd.min_tx, bfd.min_rx, bfd.multiplier).ok()?;
    Some(BfdParams { peer, timers, mode, hops: Hops::One, independent })
}
