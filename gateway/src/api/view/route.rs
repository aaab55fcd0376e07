//! Routes: those of the configuration, those that follow from addresses, and those that BGP learnt.

use std::collections::BTreeMap;

use config::model as words;
use dataplane::{Hop as PlanHop, InterfaceId, Place, Target};
use net::IpNet;

use super::port;
use crate::{
    api::{
        model::{Hop, Route, RouteAction, RouteOrigin, RoutePage},
        source::Facts,
    },
    assemble,
    bgp::report::{Cursor, RoutesReport, Wanted},
    names,
};

/// The routes of all connections, by prefix, from a place on and as far as `learned` goes.
pub(crate) fn routes(facts: &Facts, from: Cursor, learned: &RoutesReport) -> RoutePage {
    let mut page = RoutePage { items: Vec::new(), unlisted: 0, next: None };
    page.unlisted = learned.connections.iter().map(|report| report.rest).sum();
    for (at, connection) in facts.config.connections.iter().enumerate().skip(from.connection) {
        let report = learned.connections.iter().find(|report| report.connection == at);
        let after = from.after.filter(|_| at == from.connection);
        let told = report.map_or(&[][..], |report| &report.routes);
        let is_cut = report.is_some_and(|report| report.rest > 0);
        // Where more were learnt, the next page goes on behind the last one, with those of the file too.
        let last = told.last().map(|(prefix, _)| *prefix).or(after);
        let is_here = |prefix: IpNet| {
            after.is_none_or(|after| prefix > after) && (!is_cut || last.is_some_and(|last| prefix <= last))
        };
        let mut routes: BTreeMap<IpNet, Route> = told
            .iter()
            .map(|(prefix, target)| (*prefix, self::learned(facts, connection, *prefix, target)))
            .collect();
        let own = Origins::of(facts, at, connection).0;
        let own = own.iter().filter(|(prefix, _)| is_here(**prefix));
        routes.extend(own.map(|(prefix, target)| (*prefix, route(facts, connection, *prefix, target))));
        page.items.extend(routes.into_values());
        if is_cut {
            let behind = last.map_or_else(String::new, |prefix| prefix.to_string());
            page.next = Some(format!("{}/{behind}", connection.name));
            break;
        }
    }
    page
}

/// The place that [`RoutePage::next`] names.
pub(crate) fn cursor(facts: &Facts, text: &str) -> Option<Cursor> {
    if text.is_empty() {
        return Some(Cursor::default());
    }
    let (name, prefix) = text.split_once('/')?;
    let connection = facts.config.connections.iter().position(|one| one.name == name)?;
    let after = if prefix.is_empty() { None } else { Some(prefix.parse().ok()?) };
    Some(Cursor { connection, after })
}

/// A connection's routes that BGP has nothing to do with.
pub(super) struct Origins(BTreeMap<IpNet, Target>);

impl Origins {
    pub(super) fn of(facts: &Facts, at: usize, connection: &words::Connection) -> Self {
        if connection.mode == words::Mode::Transparent {
            return Self(BTreeMap::new());
        }
        // Of two routes for one prefix the later one counts.
        Self(assemble::routes(&facts.config, (at, connection), &facts.setup.interfaces).into_iter().collect())
    }

    /// The prefix itself, if it is there, or the longest one that holds the address.
    pub(super) fn find(&self, wanted: Wanted) -> Option<IpNet> {
        match wanted {
            Wanted::Prefix(prefix) => self.0.contains_key(&prefix.trunc()).then(|| prefix.trunc()),
            Wanted::Address(address) => {
                self.0.keys().filter(|net| net.contains(&address)).max_by_key(|net| net.prefix_len()).copied()
            }
        }
    }

    /// What is done with packets to exactly this prefix.
    pub(super) fn route(
        &self,
        facts: &Facts,
        connection: &words::Connection,
        prefix: &IpNet,
    ) -> Option<Route> {
        self.0.get(prefix).map(|target| route(facts, connection, *prefix, target))
    }
}

/// A route that BGP learnt.
pub(super) fn learned(
    facts: &Facts,
    connection: &words::Connection,
    prefix: IpNet,
    target: &Target,
) -> Route {
    Route { origin: RouteOrigin::Bgp, ..route(facts, connection, prefix, target) }
}

fn route(facts: &Facts, connection: &words::Connection, prefix: IpNet, target: &Target) -> Route {
    let interface = |id: InterfaceId| Some(names::interface(&facts.config, id));
    let (action, at, hops) = match target {
        Target::Local(id) => (RouteAction::Local, interface(*id), Vec::new()),
        Target::OnLink(id) => (RouteAction::Connected, interface(*id), Vec::new()),
        Target::Via(hops) => (RouteAction::Via, None, seen(facts, hops)),
        Target::Blackhole => (RouteAction::Blackhole, None, Vec::new()),
        Target::Unreachable => (RouteAction::Unreachable, None, Vec::new()),
    };
    let configured = connection.routes.iter().any(|route| route.prefix == prefix);
    let origin = match target {
        Target::Local(_) => RouteOrigin::Local,
        Target::OnLink(_) => RouteOrigin::Connected,
        Target::Via(_) | Target::Blackhole | Target::Unreachable if configured => RouteOrigin::Static,
        // What is announced as a whole, and of which a part is nowhere.
        Target::Unreachable => RouteOrigin::Aggregate,
        Target::Via(_) | Target::Blackhole => RouteOrigin::Subnet,
    };
    let reason = reason(facts, target);
    Route { connection: connection.name.clone(), prefix, origin, action, interface: at, hops, reason }
}

/// What speaks against the LAN that an interface is.
fn lan_fault(facts: &Facts, interface: InterfaceId) -> Option<&'static str> {
    match facts.setup.interfaces.get(interface.index())?.place {
        Place::Lan { port, .. } => port::fault_of(facts, port),
        Place::Attachment { .. } => None,
    }
}

/// Why packets of a route get nowhere, although it is there: its LAN has no link.
fn reason(facts: &Facts, target: &Target) -> Option<String> {
    let mut lans = match target {
        Target::OnLink(lan) => vec![*lan],
        Target::Via(hops) => hops.iter().map(|hop| hop.interface).collect(),
        Target::Local(_) | Target::Blackhole | Target::Unreachable => Vec::new(),
    }
    .into_iter();
    let first = lan_fault(facts, lans.next()?)?;
    lans.all(|lan| lan_fault(facts, lan).is_some()).then(|| first.to_owned())
}

/// Those that carry something.
fn seen(facts: &Facts, hops: &[PlanHop]) -> Vec<Hop> {
    hops.iter().filter(|hop| hop.carries).map(|one| hop(facts, one)).collect()
}

fn hop(facts: &Facts, hop: &PlanHop) -> Hop {
    Hop {
        interface: names::interface(&facts.config, hop.interface),
        gateway: hop.gateway,
        weight: hop.weight,
        live: match facts.setup.interfaces.get(hop.interface.index()).map(|one| one.place) {
            Some(Place::Lan { .. }) | None => lan_fault(facts, hop.interface).is_none(),
            Some(Place::Attachment { .. }) => {
                facts.owned_interface(hop.interface).is_some_and(|seen| seen.faults.is_live())
            }
        },
    }
}
