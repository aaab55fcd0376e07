//! Routes: those of the configuration, and those that follow from addresses.

use std::collections::BTreeMap;

use config::model as words;
use dataplane::{Hop as PlanHop, InterfaceId, Target};
use net::IpNet;

use crate::{
    api::{
        model::{Hop, Route, RouteAction, RouteOrigin},
        source::Facts,
    },
    assemble, names,
};

/// The routes of all connections, by prefix.
pub(crate) fn routes(facts: &Facts) -> Vec<Route> {
    let each = facts.config.connections.iter().enumerate();
    each.flat_map(|(at, connection)| of_connection(facts, at, connection)).collect()
}

fn of_connection(facts: &Facts, at: usize, connection: &words::Connection) -> Vec<Route> {
    if connection.mode == words::Mode::Transparent {
        return Vec::new();
    }
    // Of two routes for one prefix the later one counts.
    let all = assemble::routes(&facts.config, (at, connection), &facts.setup.interfaces);
    let chosen: BTreeMap<IpNet, Target> = all.into_iter().collect();
    chosen.into_iter().map(|(prefix, target)| route(facts, connection, prefix, &target)).collect()
}

fn route(facts: &Facts, connection: &words::Connection, prefix: IpNet, target: &Target) -> Route {
    let interface = |id: InterfaceId| Some(names::interface(&facts.config, id));
    let (action, at, hops) = match target {
        Target::Local(id) => (RouteAction::Local, interface(*id), Vec::new()),
        Target::OnLink(id) => (RouteAction::Connected, interface(*id), Vec::new()),
        Target::Via(hops) => (RouteAction::Via, None, hops.iter().map(|one| hop(facts, one)).collect()),
        Target::Blackhole => (RouteAction::Blackhole, None, Vec::new()),
        Target::Unreachable => (RouteAction::Unreachable, None, Vec::new()),
    };
    let configured = connection.routes.iter().any(|route| route.prefix == prefix);
    let origin = match target {
        Target::Local(_) => RouteOrigin::Local,
        Target::OnLink(_) => RouteOrigin::Connected,
        Target::Via(_) | Target::Blackhole | Target::Unreachable if configured => RouteOrigin::Static,
        Target::Via(_) | Target::Blackhole | Target::Unreachable => RouteOrigin::Subnet,
    };
    Route { connection: connection.name.clone(), prefix, origin, action, interface: at, hops }
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
