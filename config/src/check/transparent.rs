//! Transparent connections: a wire has two ends and nothing in between.

use crate::{
    problem::{Code, Report, Span},
    raw::{self, At, items},
};

/// Refuses what only routers have.
pub(super) fn check(connection: &raw::Connection, report: &mut Report) {
    let mut router_things: Vec<(Span, &str)> = Vec::new();
    let mut note = |span: Option<Span>, what| router_things.extend(span.map(|span| (span, what)));
    for At { value: attachment, .. } in items(&connection.attachment) {
        note(place(&attachment.address), "addresses");
        note(place(&attachment.peer), "peers");
        note(place(&attachment.mac), "a MAC address of its own");
        note(place(&attachment.bfd), "BFD");
        note(attachment.host.as_ref().filter(|at| at.value).map(|at| at.span), "a host device");
    }
    for At { value: lan, .. } in items(&connection.lan) {
        note(place(&lan.address), "addresses");
        note(place(&lan.mac), "a MAC address of its own");
        note(place(&lan.bfd), "BFD");
        note(lan.host.as_ref().filter(|at| at.value).map(|at| at.span), "a host device");
    }
    for route in items(&connection.route) {
        note(Some(route.span), "routes");
    }
    for at in items(&connection.neighbor) {
        note(Some(at.span), "BGP");
    }
    note(place(&connection.bgp), "BGP");
    note(place(&connection.mss_clamp), "an MSS clamp");
    for (span, what) in router_things {
        report
            .add(
                Code::Transparent,
                span,
                format!("a transparent connection is a wire and has no use for {what}"),
            )
            .help("remove it, or set mode = \"routed\"");
    }
    one_lan(connection, report);
}

fn place<T>(field: &Option<At<T>>) -> Option<Span> {
    field.as_ref().map(|at| at.span)
}

fn one_lan(connection: &raw::Connection, report: &mut Report) {
    let lans = items(&connection.lan);
    if lans.len() != 1 && !connection.is_wrong("lan") {
        let span = lans.get(1).map_or(connection.here, |second| second.span);
        report
            .add(
                Code::Transparent,
                span,
                format!("a transparent connection joins one LAN to the far one, not {}", lans.len()),
            )
            .help("give it exactly one [[connection.lan]]");
    }
}
