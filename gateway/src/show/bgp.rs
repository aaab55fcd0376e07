//! BGP neighbours, and the stories of routes.

use core::fmt::Write as _;

use super::{
    connections::{hops, origin},
    look::Look,
    table::{number, table, text},
    units::{ago, count},
};
use crate::api::model::{BgpFamily, BgpNeighbor, RouteExport, RoutePath, RouteStory};

/// Neighbours in a table, and what is wrong with those that are not up.
pub fn bgp(look: &Look, neighbors: &[BgpNeighbor]) -> String {
    let columns = [
        text("CONNECTION").rank(2),
        text("NEIGHBOR"),
        number("AS"),
        text("STATE"),
        text("SINCE"),
        number("PFX IN"),
        number("PFX OUT"),
        number("MSG IN").rank(3),
        number("MSG OUT").rank(3),
        text("LAST DOWN").rank(1),
    ];
    let row = |one: &BgpNeighbor| {
        vec![
            one.connection.clone(),
            one.name.clone(),
            one.asn.to_string(),
            state(one),
            ago(Some(one.since), look.now),
            prefixes(one, |family| (family.received, family.received_max)),
            prefixes(one, |family| (family.announced, family.announced_max)),
            count(one.messages_in),
            count(one.messages_out),
            one.last_down.as_ref().map_or_else(|| "-".to_owned(), |down| ago(Some(down.at), look.now)),
        ]
    };
    let rows: Vec<_> = neighbors.iter().map(row).collect();
    let mut screen = table(look, &columns, &rows, "no BGP neighbours are configured");
    for one in neighbors {
        remarks(one, &mut screen, look);
    }
    screen
}

fn remarks(one: &BgpNeighbor, screen: &mut String, look: &Look) {
    let mut lines = String::new();
    if let Some(detail) = &one.detail {
        // Writing to a String does not fail.
        let _written = writeln!(lines, "! {}/{}: {detail}", one.connection, one.name);
    }
    for family in &one.families {
        if family.held_back > 0 {
            let (held, name, max) = (family.held_back, &family.family, family.announced_max.unwrap_or(0));
            let _written = writeln!(
                lines,
                "! {}/{}: {held} {name} prefixes are held back: it takes {max}; announce fewer, or raise max_out",
                one.connection, one.name
            );
        }
        if family.overflowed {
            let _written = writeln!(
                lines,
                "! {}/{}: it sends more than {} {} prefixes: the rest is not taken (max_in)",
                one.connection,
                one.name,
                family.received_max.unwrap_or(0),
                family.family
            );
        }
    }
    screen.push_str(&look.paint(&lines));
}

fn state(one: &BgpNeighbor) -> String {
    if one.state == "established" { "up".to_owned() } else { one.state.clone() }
}

/// All families together, with the limit where there is one family and a limit.
fn prefixes(one: &BgpNeighbor, of: impl Fn(&BgpFamily) -> (u64, Option<u64>)) -> String {
    if one.state != "established" {
        return "-".to_owned();
    }
    let sum = one.families.iter().map(|family| of(family).0).sum();
    match one.families.as_slice() {
        [family] => match of(family) {
            (used, Some(max)) => format!("{used}/{max}"),
            (used, None) => count(used),
        },
        _ => count(sum),
    }
}

/// Each neighbour on a page of its own.
pub fn bgp_pages(look: &Look, neighbors: &[BgpNeighbor]) -> String {
    let pages: Vec<_> = neighbors.iter().map(|one| page(look, one)).collect();
    pages.join("\n")
}

fn page(look: &Look, one: &BgpNeighbor) -> String {
    let mut page = format!("{}/{}   {}\n", one.connection, one.name, state(one));
    let mut line = |name: &str, value: String| {
        let _written = writeln!(page, "  {name:<18}{value}");
    };
    if let Some(description) = &one.description {
        line("description", description.clone());
    }
    line("address", format!("{} on {}", one.address, one.interface));
    line("AS", format!("{}, we are {}", one.asn, one.local_asn));
    line("since", ago(Some(one.since), look.now));
    if let Some(detail) = &one.detail {
        line("why not up", detail.clone());
    }
    if let Some(down) = &one.last_down {
        line("last down", format!("{}: {}", ago(Some(down.at), look.now), down.why));
    }
    for (name, last) in [
        ("last failure", &one.last_failure),
        ("it said last", &one.last_notification_in),
        ("we said last", &one.last_notification_out),
    ] {
        if let Some(last) = last {
            line(name, format!("{}: {}", ago(Some(last.at), look.now), last.why));
        }
    }
    line("sessions", one.sessions.to_string());
    if let Some(router_id) = &one.router_id {
        line("router id", router_id.clone());
    }
    if let (Some(hold), Some(keepalive)) = (one.hold_seconds, one.keepalive_seconds) {
        line("timers", format!("hold {hold} s, keepalive {keepalive} s"));
    }
    let signed = if one.password { "signed with MD5" } else { "not signed" };
    let hops = if one.ttl_security { "TTL 255 asked for" } else { "any TTL" };
    line("transport", format!("{signed}, {hops}"));
    line("BFD", one.bfd.clone());
    line("graceful restart", one.graceful_restart.clone());
    line("messages", format!("{} in, {} out", one.messages_in, one.messages_out));
    for family in &one.families {
        line(&family.family, family_line(look, family));
    }
    for (kind, count) in &one.faults {
        line("fault", format!("{kind}: {count}"));
    }
    look.paint(&page)
}

fn family_line(look: &Look, family: &BgpFamily) -> String {
    if !family.agreed {
        return "not exchanged".to_owned();
    }
    let limit = |max: Option<u64>| max.map_or_else(String::new, |max| format!(" of {max}"));
    let mut text = format!(
        "{}{} in, {}{} out",
        family.received,
        limit(family.received_max),
        family.announced,
        limit(family.announced_max)
    );
    let mut add = |words: String| text.push_str(&words);
    if family.held_back > 0 {
        add(format!(", {} held back", family.held_back));
    }
    if family.overflowed {
        add(", more were not taken".to_owned());
    }
    if !family.end_of_rib {
        add(", not all there yet".to_owned());
    }
    if let Some(until) = family.stale_until {
        let seconds = u64::try_from(until.duration_since(look.now).as_secs()).unwrap_or(0);
        add(format!(", stale ones go in {}", super::units::span(seconds)));
    }
    text
}

/// The stories of one prefix, by connection.
pub fn route_stories(look: &Look, stories: &[RouteStory]) -> String {
    if stories.is_empty() {
        return "there is no such route\n".to_owned();
    }
    let each: Vec<_> = stories.iter().map(|story| one_story(look, story)).collect();
    each.join("\n")
}

fn one_story(look: &Look, story: &RouteStory) -> String {
    let mut text = format!("{} in {}\n", story.prefix, story.connection);
    let _written = match &story.route {
        Some(route) => writeln!(text, "  {} route: {}", origin(route.origin), hops(route)),
        None => writeln!(text, "  no route: packets to it take a shorter prefix, or none"),
    };
    let current: Vec<_> =
        story.workers.iter().filter(|one| one.current).map(|one| one.worker.to_string()).collect();
    let late: Vec<_> =
        story.workers.iter().filter(|one| !one.current).map(|one| one.worker.to_string()).collect();
    let mut tables = String::new();
    if !current.is_empty() {
        let _written = write!(tables, "in use by workers {}", current.join(", "));
    }
    if !late.is_empty() {
        let _written = write!(
            tables,
            "{}not yet by workers {}",
            if tables.is_empty() { "" } else { "; " },
            late.join(", ")
        );
    }
    let _written = writeln!(text, "  {tables}");
    for path in &story.paths {
        tell_path(look, path, &mut text);
    }
    for export in &story.exports {
        tell_export(export, &mut text);
    }
    look.paint(&text)
}

fn tell_path(look: &Look, path: &RoutePath, text: &mut String) {
    let outcome = match (path.outcome.as_deref(), &path.why) {
        (Some("best"), _) => "best".to_owned(),
        (Some("multipath"), Some(why)) => format!("used too ({why})"),
        (Some(_), Some(why)) => format!("not used: {why}"),
        _ => format!("refused: {}", path.import),
    };
    let stale = if path.stale { ", stale" } else { "" };
    let _written =
        writeln!(text, "  from {}, {}{stale}: {outcome}", path.neighbor, ago(Some(path.since), look.now));
    let as_path = if path.as_path.is_empty() { "empty" } else { &path.as_path };
    let med = path.med.map_or_else(String::new, |med| format!(", MED {med}"));
    let communities = if path.communities.is_empty() {
        String::new()
    } else {
        format!(", communities {}", path.communities.join(" "))
    };
    // A route of our own has no next hop yet: each neighbour is told an address of ours on its own link.
    let next_hop = if path.next_hop.is_unspecified() { "ours".to_owned() } else { path.next_hop.to_string() };
    let _written = writeln!(
        text,
        "    next hop {next_hop}, AS path {as_path}, {}, local preference {}{med}{communities}",
        path.origin, path.local_pref
    );
    if path.accepted {
        let _written = writeln!(text, "    {}", path.import);
    }
}

fn tell_export(export: &RouteExport, text: &mut String) {
    let verdict = if export.announced { "announced to" } else { "not announced to" };
    let _written = writeln!(text, "  {verdict} {}: {}", export.neighbor, export.why);
}
