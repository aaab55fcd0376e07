//! Connections, their routes and neighbours.

use super::{
    links::state,
    look::Look,
    table::{number, table, text},
    units::{ago, octets},
};
use crate::api::model::{
    Attachment, ClassCount, Connection, ConnectionState, Hop, Lan, Neighbor, Route, RouteAction, RouteOrigin,
};

/// Connections with their attachments and LANs.
pub fn connections(look: &Look, connections: &[Connection]) -> String {
    let each: Vec<_> = connections.iter().map(|connection| one(look, connection)).collect();
    if each.is_empty() { "no connections are configured\n".to_owned() } else { each.join("\n") }
}

fn one(look: &Look, connection: &Connection) -> String {
    let Connection { name, mode, protection, interconnect, live, total, rate_mbps, .. } = connection;
    let rate = rate_mbps.map(|mbps| format!(", {mbps} Mbit/s")).unwrap_or_default();
    let heading = format!(
        "{name}   {}   {live} of {total} attachments live   {mode}, {protection}{rate}, to {interconnect}\n",
        word(connection.state)
    );
    let columns = [
        text("INTERFACE"),
        text("STATE"),
        text("SINCE").rank(4),
        text("ADDRESS"),
        text("PEER").rank(2),
        number("MTU").rank(3),
        text("MAC").rank(5),
        number("RX").rank(1),
        number("TX").rank(1),
    ];
    let mut rows: Vec<_> =
        connection.attachments.iter().map(|attachment| attached(look, attachment)).collect();
    rows.extend(connection.lans.iter().map(lan));
    look.paint(&heading) + &guard(connection) + &table(look, &columns, &rows, "it has no interfaces")
}

/// What its protection does now.
fn guard(connection: &Connection) -> String {
    let active = connection.active.as_ref().map(|channel| format!("  all traffic by {channel}\n"));
    let copies = connection.redundancy.as_ref().map(|seen| {
        let count =
            |name: &str| seen.counters.get(&format!("frerCpsSeqRcvy{name}Packets")).copied().unwrap_or(0);
        let class = |one: &ClassCount| format!("    {} of class {}\n", one.sent, one.name);
        let classes: String = seen.classes.iter().map(class).collect();
        let warning =
            if seen.latent_error { "! second copies are missing: one path is broken\n" } else { "" };
        format!(
            "  sent {} frames twice; received {}\n{classes}  {} second copies removed, {} lost, {} late, {} rogue\n{warning}",
            seen.sent,
            count("Passed"),
            count("Discarded"),
            count("Lost"),
            count("OutOfOrder"),
            count("Rogue"),
        )
    });
    active.unwrap_or_default() + &copies.unwrap_or_default()
}

/// A connection's state.
pub(super) const fn word(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Up => "up",
        ConnectionState::Degraded => "degraded",
        ConnectionState::Down => "down",
    }
}

fn attached(look: &Look, one: &Attachment) -> Vec<String> {
    vec![
        with_vlan(&one.channel, one.vlan),
        state(one.state, one.reason.as_deref()),
        ago(one.since, look.now),
        list(&one.addresses),
        list(&one.peers),
        one.mtu.to_string(),
        one.mac.clone(),
        octets(one.rx_octets),
        octets(one.tx_octets),
    ]
}

fn lan(one: &Lan) -> Vec<String> {
    vec![
        with_vlan(&one.port, one.vlan),
        "lan".to_owned(),
        "-".to_owned(),
        list(&one.addresses),
        "-".to_owned(),
        one.mtu.to_string(),
        one.mac.clone(),
        octets(one.rx_octets),
        octets(one.tx_octets),
    ]
}

fn with_vlan(name: &str, vlan: Option<u16>) -> String {
    vlan.map_or_else(|| name.to_owned(), |vlan| format!("{name}.{vlan}"))
}

fn list<T: ToString>(things: &[T]) -> String {
    if things.is_empty() {
        "-".to_owned()
    } else {
        things.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
    }
}

/// Routes, those of network and broadcast addresses left out.
pub fn routes(look: &Look, routes: &[Route]) -> String {
    let columns = [text("CONNECTION"), text("PREFIX"), text("ORIGIN").rank(1), text("TO")];
    let shown = routes.iter().filter(|route| route.origin != RouteOrigin::Subnet);
    let row = |route: &Route| {
        vec![route.connection.clone(), route.prefix.to_string(), origin(route.origin).to_owned(), hops(route)]
    };
    table(look, &columns, &shown.map(row).collect::<Vec<_>>(), "there are no routes")
}

/// Where a route comes from, in a word.
pub(super) const fn origin(origin: RouteOrigin) -> &'static str {
    match origin {
        RouteOrigin::Static => "static",
        RouteOrigin::Connected => "connected",
        RouteOrigin::Local => "local",
        RouteOrigin::Subnet => "subnet",
        RouteOrigin::Bgp => "bgp",
        RouteOrigin::Aggregate => "aggregate",
    }
}

/// Where packets go.
pub(super) fn hops(route: &Route) -> String {
    let interface = route.interface.as_deref().unwrap_or("-");
    let hop =
        |hop: &Hop| format!("{} on {}{}", hop.gateway, hop.interface, if hop.live { "" } else { " (down)" });
    let why = route.reason.as_ref().map(|why| format!(" (down: {why}, not announced)")).unwrap_or_default();
    match route.action {
        RouteAction::Local => format!("this gateway ({interface})"),
        RouteAction::Connected => format!("{interface}{why}"),
        RouteAction::Via => route.hops.iter().map(hop).collect::<Vec<_>>().join(", "),
        RouteAction::Blackhole => "blackhole".to_owned(),
        RouteAction::Unreachable => "unreachable".to_owned(),
    }
}

/// Neighbours.
pub fn neighbors(look: &Look, neighbors: &[Neighbor]) -> String {
    let columns = [text("INTERFACE"), text("ADDRESS"), text("MAC"), text("STATE"), text("CONFIRMED").rank(1)];
    let row = |one: &Neighbor| {
        let mac = one.mac.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            one.interface.clone(),
            one.ip.to_string(),
            mac,
            one.state.clone(),
            ago(Some(one.since), look.now),
        ]
    };
    table(look, &columns, &neighbors.iter().map(row).collect::<Vec<_>>(), "no neighbours are known")
}
