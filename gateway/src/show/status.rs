//! One screen of truth.

use core::fmt::Write as _;

use super::{
    connections::word,
    links::{channels, ports},
    look::Look,
    table::{number, table, text},
    units::{count, octets, span},
};
use crate::api::model::{Connection, Drop, Health, Reason, Severity, Status};

/// The whole gateway: how it is, what it has, what is wrong.
pub fn status(look: &Look, status: &Status) -> String {
    let mut out = look.paint(&heading(status));
    let mut part = |text: String| {
        out.push('\n');
        out.push_str(&text);
    };
    part(connections(look, &status.connections));
    part(channels(look, &status.channels));
    part(ports(look, &status.ports));
    if !status.drops.is_empty() {
        part(drops(look, &status.drops));
    }
    if !status.reasons.is_empty() {
        part(look.paint(&reasons(&status.reasons)));
    }
    out
}

fn heading(status: &Status) -> String {
    let uptime = span(status.uptime_seconds);
    let health = match status.state {
        Health::Ok => "OK".to_owned(),
        Health::Degraded => {
            let is_bad = |reason: &&Reason| reason.severity == Severity::Degraded;
            let mut bad = status.reasons.iter().filter(is_bad);
            // The connections say best what it means to the customer.
            let connection = bad.clone().find(|reason| reason.subject.starts_with("connection/"));
            let worst = connection.or_else(|| bad.next());
            let text = worst.map(|Reason { subject, message, .. }| {
                let name = subject.strip_prefix("connection/").unwrap_or(subject);
                format!("DEGRADED: {name}: {message}")
            });
            text.unwrap_or_else(|| "DEGRADED".to_owned())
        }
    };
    format!("{}   up {uptime}   quadspan {}   {health}\n", status.site, status.version)
}

fn connections(look: &Look, connections: &[Connection]) -> String {
    let columns = [
        text("CONNECTION"),
        text("STATE"),
        number("LIVE"),
        text("MODE").rank(2),
        text("TO").rank(3),
        number("RX").rank(1),
        number("TX").rank(1),
    ];
    let row = |one: &Connection| {
        vec![
            one.name.clone(),
            word(one.state).to_owned(),
            format!("{}/{}", one.live, one.total),
            format!("{} {}", one.mode, one.protection),
            one.interconnect.clone(),
            octets(one.rx_octets),
            octets(one.tx_octets),
        ]
    };
    table(look, &columns, &connections.iter().map(row).collect::<Vec<_>>(), "no connections are configured")
}

fn drops(look: &Look, drops: &[Drop]) -> String {
    let columns = [text("DROPS"), text("WHERE"), number("FRAMES")];
    let row = |one: &Drop| vec![one.reason.clone(), format!("{}/{}", one.scope, one.name), count(one.count)];
    table(look, &columns, &drops.iter().map(row).collect::<Vec<_>>(), "nothing was dropped")
}

fn reasons(reasons: &[Reason]) -> String {
    let mut text = String::new();
    for reason in reasons {
        // Writing to a String does not fail.
        let _written = writeln!(text, "! {} {}", reason.subject, reason.message);
    }
    text
}
