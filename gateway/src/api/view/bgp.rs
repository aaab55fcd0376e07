//! BGP neighbours, and the stories of routes.

use core::time::Duration;

use bgp::{
    Family, FamilyStatus, PathStory, PeerId,
    decision::Outcome,
    fsm::State,
    wire::attributes::{Attributes, Origin},
};
use config::model as words;
use dataplane::{Faults, InterfaceId};
use net::Instant;

use super::{
    route::{self, Origins},
    word,
};
use crate::{
    api::{
        model::{BgpDown, BgpFamily, BgpNeighbor, RouteExport, RoutePath, RouteStory, RouteWorker},
        source::Facts,
    },
    assemble,
    bgp::report::{Explained, NeighborReport, Wanted},
    names,
};

/// All neighbours that were asked for.
pub(crate) fn bgp(facts: &Facts, reports: &[NeighborReport]) -> Vec<BgpNeighbor> {
    reports.iter().filter_map(|report| neighbor(facts, report)).collect()
}

fn neighbor(facts: &Facts, report: &NeighborReport) -> Option<BgpNeighbor> {
    let connection = facts.config.connections.get(report.connection)?;
    let configured = connection.neighbors.get(report.neighbor)?;
    let (status, agreed) = (&report.status, report.status.agreed.as_ref());
    let interface = assemble::interface_id(&facts.config, report.connection, configured.on);
    let families = [(configured.ipv4, Family::Ipv4), (configured.ipv6, Family::Ipv6)];
    let families = families.into_iter().filter(|(wanted, _)| *wanted).map(|(_, family)| {
        let carried = agreed.is_some_and(|agreed| *agreed.families.of(family));
        self::family(facts, family, carried, status.families.of(family))
    });
    Some(BgpNeighbor {
        connection: connection.name.clone(),
        name: configured.name.clone(),
        interface: names::interface(&facts.config, interface),
        address: configured.address,
        description: configured.description.clone(),
        asn: configured.asn,
        local_asn: configured.local_asn.or_else(|| connection.bgp.as_ref().map(|bgp| bgp.asn)).unwrap_or(0),
        state: state(status.state).to_owned(),
        reason: report.reason.as_ref().map(|(word, _)| (*word).to_owned()),
        detail: report.reason.as_ref().map(|reason| detail(facts, interface, reason)),
        since: facts.wall_of(report.since),
        router_id: agreed.map(|agreed| agreed.peer_id.to_string()),
        hold_seconds: agreed.map(|agreed| agreed.hold_time.as_secs()),
        keepalive_seconds: agreed.map(|agreed| agreed.keepalive.as_secs()),
        password: configured.password.is_some(),
        ttl_security: configured.ttl_security,
        bfd: word(&configured.bfd),
        graceful_restart: restart(configured, agreed).to_owned(),
        sessions: status.sessions,
        last_down: moment(facts, report.last_down.as_ref()),
        last_failure: moment(facts, report.failure.as_ref()),
        last_notification_in: moment(facts, status.last_words.heard.as_ref()),
        last_notification_out: moment(facts, status.last_words.told.as_ref()),
        messages_in: status.messages_in.total(),
        messages_out: status.messages_out.total(),
        updates_in: status.messages_in.update,
        updates_out: status.messages_out.update,
        families: families.collect(),
        faults: status.faults.iter().map(|(kind, count)| (kind.to_string(), *count)).collect(),
        draining: status.draining,
    })
}

/// BGP hears when a link can be used, and when no more. What is wrong with one that never could, or what else is wrong with it since, the
/// dataplane knows.
fn detail(facts: &Facts, interface: InterfaceId, (word, text): &(&str, String)) -> String {
    let faults = facts.owned_interface(interface).map(|seen| seen.faults);
    let fault = faults.filter(|faults| *word == "link_down" && faults.is_cut()).and_then(Faults::first);
    fault.map_or_else(|| text.clone(), |fault| format!("the link is down: {}", fault.label()))
}

fn moment(facts: &Facts, known: Option<&(Instant, impl ToString)>) -> Option<BgpDown> {
    known.map(|(at, why)| BgpDown { at: facts.wall_of(*at), why: why.to_string() })
}

fn family(facts: &Facts, family: Family, agreed: bool, status: &FamilyStatus) -> BgpFamily {
    let number = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
    BgpFamily {
        family: family.to_string(),
        agreed,
        received: u64::from(status.received),
        accepted: u64::from(status.accepted),
        received_max: status.received_max.map(u64::from),
        overflowed: status.overflowed,
        end_of_rib: status.end_of_rib,
        stale_until: status.stale_until.map(|until| facts.wall_of(until)),
        announced: number(status.announced),
        announced_max: status.announced_max.map(u64::from),
        held_back: number(status.held_back),
        pending: number(status.pending),
    }
}

const fn state(state: State) -> &'static str {
    match state {
        State::Idle => "idle",
        State::Connect => "connect",
        State::Active => "active",
        State::OpenSent => "open_sent",
        State::OpenConfirm => "open_confirm",
        State::Established => "established",
    }
}

/// What both sides said; before that, what we would say.
fn restart(configured: &words::Neighbor, agreed: Option<&bgp::Negotiated>) -> &'static str {
    let helped = agreed.is_none_or(|agreed| agreed.graceful_restart.is_some());
    match configured.graceful_restart {
        words::GracefulRestart::Off => "off",
        _ if !helped => "off",
        words::GracefulRestart::Helper => "helper",
        words::GracefulRestart::Unplanned | words::GracefulRestart::Full => "both",
    }
}

/// The story of a prefix in one connection: what BGP told of it, if the connection speaks BGP, and what the
/// configuration says. `None` when neither knows it.
pub(crate) fn story(facts: &Facts, at: usize, wanted: Wanted, told: Option<Explained>) -> Option<RouteStory> {
    let connection = facts.config.connections.get(at)?;
    let origins = Origins::of(facts, at, connection);
    let Some(told) = told else {
        let prefix = origins.find(wanted)?;
        let route = origins.route(facts, connection, &prefix)?;
        let newest = facts.reports.iter().map(|report| report.snapshot.generation).max().unwrap_or(0);
        return Some(RouteStory {
            connection: connection.name.clone(),
            prefix,
            route: Some(route),
            workers: workers(facts, newest),
            paths: Vec::new(),
            exports: Vec::new(),
        });
    };
    let prefix = told.explanation.prefix;
    let learned = told.target.as_ref().filter(|_| told.counts);
    let learned = learned.map(|target| route::learned(facts, connection, prefix, target));
    let route = learned.or_else(|| origins.route(facts, connection, &prefix));
    if route.is_none() && told.explanation.paths.is_empty() {
        return None;
    }
    let name = |peer: PeerId| {
        let name = told.names.get(&peer).map_or("local", String::as_str);
        name.split_once('/').map_or(name, |(_, name)| name).to_owned()
    };
    // A change that is not in any table yet is in no worker's.
    let newest = told.generation + u64::from(told.pending);
    let exports = told.explanation.exports.iter().map(|export| RouteExport {
        neighbor: name(export.peer),
        announced: export.told.is_some(),
        why: export.text.clone(),
    });
    Some(RouteStory {
        connection: connection.name.clone(),
        prefix,
        route,
        workers: workers(facts, newest),
        paths: told.explanation.paths.iter().map(|one| path(facts, name(one.peer), one)).collect(),
        exports: exports.collect(),
    })
}

fn workers(facts: &Facts, newest: u64) -> Vec<RouteWorker> {
    let worker = |report: &crate::worker::Report| RouteWorker {
        worker: report.snapshot.worker.0,
        generation: report.snapshot.generation,
        current: report.snapshot.generation >= newest,
    };
    facts.reports.iter().map(worker).collect()
}

fn path(facts: &Facts, neighbor: String, path: &PathStory) -> RoutePath {
    let used: &Attributes = path.accepted.as_deref().unwrap_or(&path.received);
    let (outcome, why) = path.outcome.map_or((None, None), outcome);
    RoutePath {
        neighbor,
        since: facts.wall_of(Instant::ZERO.after(Duration::from_secs(path.since.into()))),
        as_path: path.received.as_path.to_string(),
        next_hop: path.received.next_hop.address(),
        local_pref: used.preference(),
        med: used.med,
        origin: origin(used.origin).to_owned(),
        communities: used.communities.iter().map(ToString::to_string).collect(),
        accepted: path.accepted.is_some(),
        import: path.import_text.clone(),
        outcome,
        why,
        stale: path.stale,
    }
}

fn outcome(outcome: Outcome) -> (Option<String>, Option<String>) {
    match outcome {
        Outcome::Best => (Some("best".to_owned()), None),
        Outcome::Multipath(rule) => (Some("multipath".to_owned()), Some(rule.to_string())),
        Outcome::Lost(rule) => (Some("lost".to_owned()), Some(rule.to_string())),
    }
}

const fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Igp => "igp",
        Origin::Egp => "egp",
        Origin::Incomplete => "incomplete",
    }
}
