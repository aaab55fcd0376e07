//! Static routes: prefixes without stray bits, next hops that can be reached.

use core::net::IpAddr;
use std::collections::BTreeMap;

use net::IpNet;

use super::address::{Subnets, family, is_link_local, not_a_host};
use crate::{
    model::{Interface, Mode, Route, Via},
    problem::{Code, Report, Span},
    raw::{self, At, items, suggest},
};

pub(super) fn check(
    connection: &raw::Connection,
    subnets: &Subnets,
    report: &mut Report,
) -> Option<Vec<Route>> {
    if connection.mode() == Mode::Transparent {
        return Some(Vec::new());
    }
    let mut seen: BTreeMap<IpNet, Span> = BTreeMap::new();
    let build = |at: &At<raw::Route>| {
        let prefix = at.value.prefix.as_ref()?;
        stray_bits(prefix, report);
        if let Some(first) = seen.insert(prefix.value.trunc(), prefix.span) {
            report
                .add(Code::DuplicateRoute, prefix.span, format!("a second route to {}", prefix.value.trunc()))
                .also(first, "the first one")
                .help("one route per prefix: list several channels in one `via` instead");
        }
        let via = via(connection, prefix.value, at.value.via.as_ref()?, subnets, report)?;
        Some(Route { prefix: prefix.value, via })
    };
    items(&connection.route).iter().map(build).collect::<Vec<_>>().into_iter().collect()
}

pub(super) fn stray_bits(prefix: &At<IpNet>, report: &mut Report) {
    let right = prefix.value.trunc();
    if right != prefix.value {
        report
            .add(Code::HostBits, prefix.span, format!("{} has bits set behind its length", prefix.value))
            .help(format!("write {right}"));
    }
}

fn via(
    connection: &raw::Connection,
    prefix: IpNet,
    via: &At<raw::Via>,
    subnets: &Subnets,
    report: &mut Report,
) -> Option<Via> {
    match &via.value {
        raw::Via::Blackhole => Some(Via::Blackhole),
        raw::Via::Unreachable => Some(Via::Unreachable),
        raw::Via::Attachments => all_attachments(connection, prefix, via.span, report),
        raw::Via::Channels(names) => channels(connection, prefix, names, via.span, report),
        raw::Via::Neighbor(address) => neighbor(connection, prefix, *address, via.span, subnets, report),
    }
}

fn peer_of(attachment: &raw::Attachment, prefix: IpNet) -> Option<IpAddr> {
    let peers = items(&attachment.peer).iter().map(|at| at.value);
    peers.into_iter().find(|peer| peer.is_ipv4() == prefix.addr().is_ipv4())
}

fn all_attachments(
    connection: &raw::Connection,
    prefix: IpNet,
    span: Span,
    report: &mut Report,
) -> Option<Via> {
    let list = items(&connection.attachment).iter().enumerate();
    let able: Vec<_> =
        list.filter(|(_, at)| peer_of(&at.value, prefix).is_some()).map(|(at, _)| at).collect();
    if able.is_empty() {
        let family = family(prefix.addr());
        report
            .add(Code::NoPeer, span, format!("no attachment has an {family} peer for {prefix}"))
            .help(format!("add the far end's {family} address to the `peer` of the attachments"));
        return None;
    }
    Some(Via::Attachments(able))
}

fn channels(
    connection: &raw::Connection,
    prefix: IpNet,
    names: &[At<String>],
    span: Span,
    report: &mut Report,
) -> Option<Via> {
    if names.is_empty() {
        report
            .add(Code::Malformed, span, "the list of channels is empty")
            .help("use \"blackhole\" or \"unreachable\"");
        return None;
    }
    let mut places: Vec<usize> = Vec::new();
    let mut whole = true;
    for name in names {
        match channel(connection, prefix, name, report) {
            Some(at) if places.contains(&at) => {
                report
                    .add(
                        Code::DuplicateName,
                        name.span,
                        format!("channel `{}` stands twice in the list", name.value),
                    )
                    .help("flows are shared evenly; remove one");
                whole = false;
            }
            Some(at) => places.push(at),
            None => whole = false,
        }
    }
    whole.then_some(Via::Attachments(places))
}

/// The attachment on the named channel, if it has a peer for the prefix.
fn channel(
    connection: &raw::Connection,
    prefix: IpNet,
    name: &At<String>,
    report: &mut Report,
) -> Option<usize> {
    let list = items(&connection.attachment);
    let channel = |at: &At<raw::Attachment>| at.value.link().map(|at| at.value.clone());
    let Some(place) = list.iter().position(|at| channel(at).as_ref() == Some(&name.value)) else {
        let known: Vec<_> = list.iter().filter_map(channel).collect();
        let known: Vec<_> = known.iter().map(String::as_str).collect();
        let message = format!("the connection has no attachment on a channel or LAG `{}`", name.value);
        suggest(report.add(Code::UnknownReference, name.span, message), &name.value, &known, "it is on");
        return None;
    };
    let attachment = list.get(place)?;
    if peer_of(&attachment.value, prefix).is_none() {
        let family = family(prefix.addr());
        report
            .add(Code::NoPeer, name.span, format!("the attachment on `{}` has no {family} peer", name.value))
            .also(attachment.span, "the attachment")
            .help(format!("add the far end's {family} address to its `peer`"));
        return None;
    }
    Some(place)
}

fn neighbor(
    connection: &raw::Connection,
    prefix: IpNet,
    address: IpAddr,
    span: Span,
    subnets: &Subnets,
    report: &mut Report,
) -> Option<Via> {
    let found = interface(connection, address);
    let why = if address.is_ipv4() != prefix.addr().is_ipv4() {
        format!("{prefix} cannot have an {} next hop", family(address))
    } else if subnets.is_own(address) {
        format!("next hop {address} is our own address")
    } else if let Some((_, net)) = found {
        match net.and_then(|net| not_a_host(net, address)) {
            Some(why) => format!("next hop {address} {why}"),
            None => return found.map(|(interface, _)| Via::Neighbor { address, interface }),
        }
    } else if is_link_local(address) {
        format!("link-local next hop {address} could be on any interface")
    } else {
        format!("next hop {address} is in no subnet of this connection")
    };
    report
        .add(Code::NextHop, span, why)
        .help("use the address of a neighbour on a LAN or an attachment, or \"attachments\"");
    None
}

/// The interface whose subnet holds `address`, and that subnet; for a link-local address, the
/// attachment whose peer it is.
fn interface(connection: &raw::Connection, address: IpAddr) -> Option<(Interface, Option<IpNet>)> {
    let holds = |addresses: &Option<At<Vec<At<IpNet>>>>| {
        items(addresses)
            .iter()
            .map(|at| at.value)
            .find(|net| net.contains(&address) && !is_link_local(address))
    };
    for (at, attachment) in items(&connection.attachment).iter().enumerate() {
        let is_peer = items(&attachment.value.peer).iter().any(|peer| peer.value == address);
        let net = holds(&attachment.value.address);
        if is_peer || net.is_some() {
            return Some((Interface::Attachment(at), net));
        }
    }
    let lans = items(&connection.lan).iter().enumerate();
    lans.into_iter().find_map(|(at, lan)| Some((Interface::Lan(at), Some(holds(&lan.value.address)?))))
}
