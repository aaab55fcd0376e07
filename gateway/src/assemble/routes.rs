//! Static routes, and those that follow from addresses, to forwarding tables.
//!
//! BGP's routes come behind these ([`crate::bgp`]): of two routes for one prefix, what the file says counts.

use std::{collections::BTreeSet, sync::Arc};

use config::{
    Config,
    model::{Announce, Connection, Interface, Mode, Via},
};
use dataplane::{
    ConnectionId, ConnectionTables, Hop, InterfaceId, InterfaceSetup, Tables, Target, group::Weight,
};
use net::{IpNet, Ipv4Net};

use super::{interface_id, protection};

/// The first generation of all tables.
pub(super) fn tables(config: &Config, interfaces: &[InterfaceSetup]) -> Tables {
    let connection = |(at, one): (usize, &Connection)| {
        Arc::new(match one.mode {
            Mode::Transparent => ConnectionTables::default(),
            Mode::Routed => ConnectionTables::build(routes(config, (at, one), interfaces)),
        })
    };
    Tables { generation: 1, connections: config.connections.iter().enumerate().map(connection).collect() }
}

/// All routes of a connection: its subnets, its own addresses, and what the configuration says.
pub(crate) fn routes(
    config: &Config,
    (at, connection): (usize, &Connection),
    interfaces: &[InterfaceSetup],
) -> Vec<(IpNet, Target)> {
    let own = interfaces.iter().enumerate().filter(|(_, one)| one.connection == ConnectionId::at(at));
    let mut routes: Vec<_> = own
        .clone()
        .flat_map(|(id, one)| one.addresses.iter().flat_map(move |net| subnet(InterfaceId::at(id), *net)))
        .collect();
    // What is announced as a whole, and of which a part is nowhere, must not go back where it came from.
    let announced = connection.bgp.iter().flat_map(|bgp| &bgp.announce).filter_map(|one| match one {
        Announce::Prefix(prefix) => Some(*prefix),
        Announce::Lans | Announce::Attachments | Announce::Static => None,
    });
    let known: BTreeSet<IpNet> = routes.iter().map(|(prefix, _)| *prefix).collect();
    routes.extend(
        announced.filter(|prefix| !known.contains(prefix)).map(|prefix| (prefix, Target::Unreachable)),
    );
    for route in &connection.routes {
        routes.push((route.prefix, target(config, (at, connection), &route.via, route.prefix)));
    }
    // Own addresses last: nothing may shadow them.
    routes.extend(own.flat_map(|(id, one)| {
        let local = Target::Local(InterfaceId::at(id));
        one.addresses.iter().map(move |net| (IpNet::from(net.addr()), local.clone()))
    }));
    routes
}

/// A subnet on an interface. Its network and broadcast addresses are nobody's (RFC 2644: no directed broadcast);
/// point-to-point subnets have none (RFC 3021).
fn subnet(interface: InterfaceId, net: IpNet) -> Vec<(IpNet, Target)> {
    let mut routes = vec![(net.trunc(), Target::OnLink(interface))];
    if let IpNet::V4(net) = net
        && net.prefix_len() <= 30
    {
        for address in [net.network(), net.broadcast()] {
            routes.push((IpNet::V4(Ipv4Net::from(address)), Target::Blackhole));
        }
    }
    routes
}

fn target(config: &Config, (at, connection): (usize, &Connection), via: &Via, prefix: IpNet) -> Target {
    match via {
        Via::Blackhole => Target::Blackhole,
        Via::Unreachable => Target::Unreachable,
        Via::Neighbor { address, interface } => Target::Via(vec![Hop {
            interface: interface_id(config, at, *interface),
            gateway: *address,
            weight: 1,
            carries: true,
        }]),
        Via::Attachments(places) => {
            let shares = protection::shares(config, connection, places);
            let hop = |(&place, share): (&usize, &Weight)| {
                let attachment = connection.attachments.get(place)?;
                let same_family = |peer: &&std::net::IpAddr| peer.is_ipv4() == matches!(prefix, IpNet::V4(_));
                let gateway = *attachment.peers.iter().find(same_family)?;
                Some(Hop {
                    interface: interface_id(config, at, Interface::Attachment(place)),
                    gateway,
                    weight: share.get(),
                    carries: true,
                })
            };
            Target::Via(places.iter().zip(&shares).filter_map(hop).collect())
        }
    }
}
