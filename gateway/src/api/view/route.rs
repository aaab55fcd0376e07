//! Routes: those of the configuration, those that follow from addresses, and those that BGP learnt.

use std::collections::BTreeMap;

use config::model as words;
use dataplane::{Hop as PlanHop, InterfaceId, Target};
use net::IpNet;

use crate::{
    api::{
        model::{Hop, Route, RouteAction, RouteOrigin},
        source::Facts,
    },
    assemble,
    bgp::report::{RoutesReport, Wanted},
    names,
};

/// The routes of all connections, by prefix; and how many more were learnt that are not among them.
pub(crate) fn routes(facts: &Facts, learned: &RoutesReport) -> (Vec<Route>, usize) {
    let mut unlisted = 0;
    let mut all = Vec::new();
    for (at, connection) in facts.config.connections.iter().enumerate() {
        let origins = Origins::of(facts, at, connection);
        let mut routes: BTreeMap<IpNet, Route> = BTreeMap::new();
        if let Some(report) = learned.connections.iter().find(|report| report.connection == at) {
            unlisted += report.total.saturating_sub(report.routes.len());
            let learned = report.routes.iter();
            routes.extend(
                learned.map(|(prefix, target)| (*prefix, self::learned(facts, connection, *prefix, target))),
            );
        }
        routes.extend(
            origins.0.iter().map(|(prefix, target)| (*prefix, route(facts, connection, *prefix, target))),
        );
        all.extend(routes.into_values());
    }
    (all, unlisted)
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
    Route { connection: connection.name.clone(), prefix, origin, action, interface: at, hops }
}

/// Those that carry something.
fn seen(facts: &Facts, hops: &[PlanHop]) -> Vec<Hop> {
    hops.iter().filter(|hop| hop.carries).map(|one| hop(facts, one)).collect()
}

fn hop(facts: &Facts, hop: &PlanHop) -> Hop {
    let attachment = facts.setup.interfaces.get(hop.interface.index()).is_some_and(|one| one.is_attachment());
    let live = facts.owned_interface(hop.interface).is_some_and(|seen| seen.faults.is_live());
    Hop {
        interface: names::interface(&facts.config, hop.interface),
        gateway: hop.gateway,
        weight: hop.weight,
        // Only attachments are watched.
        live: live || !attachment,
    }
}
