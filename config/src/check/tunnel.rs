//! Tunnels: addresses that make sense, sockets that do not meet, and who may use them.

use std::{collections::BTreeMap, net::IpAddr};

use super::names::Names;
use crate::{
    model::{Io, Underlay},
    problem::{Code, Report, Span},
    raw::{self, At, Document, items},
};

/// What can be said about tunnels without their port's other keys.
pub(super) fn check(document: &Document, names: &Names<'_>, report: &mut Report) {
    let mut seen: BTreeMap<(IpAddr, u16), Span> = BTreeMap::new();
    for (at, port) in items(&document.port).iter().enumerate() {
        let Some(underlay) = &port.value.underlay else { continue };
        addresses(&underlay.value, report);
        role(document, names, (at, &port.value), underlay.span, report);
        let Some(local) = &underlay.value.local else { continue };
        if underlay.value.is_wrong("port") {
            continue;
        }
        if let Some(first) = seen.insert((local.value, underlay.value.port()), local.span) {
            let socket = format!("{} and UDP port {}", local.value, underlay.value.port());
            report
                .add(Code::TunnelOverlap, local.span, format!("two tunnels wait at {socket}"))
                .label("again here")
                .also(first, "first here")
                .help("give each a local address or a UDP port of its own; the peer needs the same port");
        }
    }
}

/// The tunnel of a port; `None` when it is incomplete, which is a finding already.
pub(super) fn model(raw: &raw::Underlay) -> Option<Underlay> {
    Some(Underlay {
        kind: raw.kind.as_ref()?.value,
        local: raw.local.as_ref()?.value,
        remote: raw.remote.as_ref()?.value,
        vni: raw.vni.as_ref()?.value,
        port: raw.port(),
        source_ports: raw.source_ports(),
        accept_from: raw.accept_from(),
        dscp: raw.dscp(),
        mac: raw.mac.as_ref().map(|at| at.value),
    })
}

fn addresses(underlay: &raw::Underlay, report: &mut Report) {
    for address in [&underlay.local, &underlay.remote].into_iter().flatten() {
        if let Some(what) = no_station(address.value) {
            report
                .add(Code::TunnelAddress, address.span, format!("{} is {what}", address.value))
                .help("a tunnel joins two stations: write one address of each");
        }
    }
    let (Some(local), Some(remote)) = (&underlay.local, &underlay.remote) else { return };
    if local.value.is_ipv4() != remote.value.is_ipv4() {
        report
            .add(Code::TunnelAddress, remote.span, "the ends of a tunnel are of one address family")
            .also(local.span, "the other end")
            .help("write two IPv4 or two IPv6 addresses");
    } else if local.value == remote.value {
        report
            .add(Code::TunnelAddress, remote.span, "the tunnel leads to ourselves")
            .also(local.span, "our address")
            .help("remote is the peer's address");
    }
}

fn no_station(address: IpAddr) -> Option<&'static str> {
    let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    match address {
        _ if address.is_unspecified() => Some("no address of anybody"),
        _ if address.is_multicast() => Some("the address of a group"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("the address of everybody"),
        _ if link_local => Some("a link-local address, which no router forwards"),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

/// Only channels may use a tunnel, and how frames move is decided by it.
fn role(
    document: &Document,
    names: &Names<'_>,
    (at, port): (usize, &raw::Port),
    here: Span,
    report: &mut Report,
) {
    if let Some(io) = port.io.as_ref().filter(|io| io.value != Io::Auto) {
        report
            .add(
                Code::TunnelRole,
                io.span,
                format!("io = \"{}\" does not fit a port with an underlay", io.value),
            )
            .also(here, "the underlay")
            .help("leave `io` out: a tunnel's frames move by UDP sockets");
    }
    let lans = items(&document.connection).iter().flat_map(|connection| items(&connection.value.lan));
    let here_too = |name: &&At<String>| names.ports.place(&name.value) == Some(at);
    for lan in lans.filter_map(|lan| lan.value.port.as_ref()).filter(here_too) {
        report
            .add(
                Code::TunnelRole,
                lan.span,
                format!("port `{}` is a tunnel, and a LAN would cross it in clear", lan.value),
            )
            .also(here, "the tunnel")
            .help("use a port on a network interface for the LAN, and a channel for the tunnel");
    }
}
