//! Connections and their neighbours.

use std::collections::BTreeMap;

use config::model as words;
use dataplane::{
    ConnectionId, InterfaceCounters, InterfaceId, InterfaceSetup, Place, ProtectionSnapshot,
    RedundancySnapshot,
};

use super::{channel::state, word};
use crate::{
    api::{
        model::{
            Attachment, ChannelState, ClassCount, Connection, ConnectionState, Lan, Neighbor, Redundancy,
        },
        source::Facts,
    },
    names,
};

/// All connections.
pub(crate) fn connections(facts: &Facts) -> Vec<Connection> {
    let each = facts.config.connections.iter().enumerate();
    each.map(|(at, connection)| one(facts, at, connection)).collect()
}

fn one(facts: &Facts, at: usize, connection: &words::Connection) -> Connection {
    let attachments = connection.attachments.iter().enumerate();
    let attachments: Vec<_> =
        attachments.map(|(place, one)| attachment(facts, facts.interface_id(at, place), one)).collect();
    let first_lan = connection.attachments.len();
    let lans = connection.lans.iter().enumerate();
    let lans = lans.map(|(place, one)| lan(facts, facts.interface_id(at, first_lan + place), one)).collect();
    let live = attachments.iter().filter(|one| one.state == ChannelState::Live).count();
    let reserve = attachments.iter().any(|one| one.state == ChannelState::Reserve);
    let state = match live {
        0 if !reserve => ConnectionState::Down,
        all if all == attachments.len() => ConnectionState::Up,
        _ => ConnectionState::Degraded,
    };
    let id = ConnectionId::at(at);
    let mut guards = facts.reports.iter().flat_map(|report| &report.snapshot.protections);
    let guard = guards.find(|guard| guard.connection == id);
    let reason = attachments.iter().find_map(|one| one.reason.clone());
    Connection {
        name: connection.name.clone(),
        interconnect: connection.interconnect.name().to_owned(),
        mode: word(&connection.mode),
        protection: word(&connection.protection),
        state,
        reason,
        live,
        total: attachments.len(),
        rate_mbps: facts.rates.get(at).copied().flatten(),
        rx_octets: attachments.iter().map(|one| one.rx_octets).sum(),
        tx_octets: attachments.iter().map(|one| one.tx_octets).sum(),
        active: guard.and_then(|guard| active(facts, guard)),
        redundancy: guard.and_then(|guard| guard.redundancy).map(|seen| redundancy(connection, seen)),
        attachments,
        lans,
    }
}

/// The channel or LAG that carries everything.
fn active(facts: &Facts, guard: &ProtectionSnapshot) -> Option<String> {
    let id = guard.active?;
    let Place::Attachment { .. } = facts.setup.interfaces.get(id.index())?.place else { return None };
    names::link(&facts.config, id)
}

fn redundancy(connection: &words::Connection, seen: RedundancySnapshot) -> Redundancy {
    let names = connection.duplicate.iter().flat_map(|one| &one.classes).map(|class| class.name.clone());
    let classes = names.zip(seen.by_class.into_iter().flatten());
    let classes = classes.map(|(name, sent)| ClassCount { name, sent }).collect();
    let counters = seen.recovery.named().into_iter().map(|(name, count)| (name.to_owned(), count));
    Redundancy {
        sent: seen.generated,
        classes,
        counters: counters.collect(),
        latent_error: seen.latent_error,
    }
}

fn attachment(facts: &Facts, id: InterfaceId, one: &words::Attachment) -> Attachment {
    let (setup, counters) = (facts.setup.interfaces.get(id.index()), counters(facts, id));
    let owned = facts.owned_interface(id);
    let (state, reason) = state(owned.map(|owned| owned.faults));
    Attachment {
        channel: one.link.name().to_owned(),
        vlan: one.vlan.map(net::VlanId::get),
        state,
        reason,
        since: owned.map(|owned| facts.wall_of(owned.since)),
        mac: mac(setup),
        mtu: setup.map_or(0, |setup| setup.mtu),
        addresses: one.addresses.clone(),
        peers: one.peers.clone(),
        rx_frames: counters.rx_frames,
        rx_octets: counters.rx_octets,
        tx_frames: counters.tx_frames,
        tx_octets: counters.tx_octets,
        rx_transit: counters.rx_transit,
        tx_transit: counters.tx_transit,
    }
}

fn lan(facts: &Facts, id: InterfaceId, one: &words::Lan) -> Lan {
    let (setup, counters) = (facts.setup.interfaces.get(id.index()), counters(facts, id));
    Lan {
        port: one.port.name().to_owned(),
        vlan: one.vlan.map(net::VlanId::get),
        mac: mac(setup),
        mtu: setup.map_or(0, |setup| setup.mtu),
        addresses: one.addresses.clone(),
        rx_frames: counters.rx_frames,
        rx_octets: counters.rx_octets,
        tx_frames: counters.tx_frames,
        tx_octets: counters.tx_octets,
    }
}

fn mac(setup: Option<&InterfaceSetup>) -> String {
    setup.map(|setup| setup.mac.to_string()).unwrap_or_default()
}

/// Every worker counts what it moved itself.
fn counters(facts: &Facts, id: InterfaceId) -> InterfaceCounters {
    facts.interface(id).fold(InterfaceCounters::default(), |sum, (_, seen)| sum.plus(seen.counters))
}

/// All neighbours. Each worker has its own table; what one of them knows is known.
pub(crate) fn neighbors(facts: &Facts) -> Vec<Neighbor> {
    let mut known = BTreeMap::new();
    for interface in facts.reports.iter().flat_map(|report| &report.snapshot.interfaces) {
        for neighbor in &interface.neighbors {
            let entry = known.entry((interface.interface, neighbor.ip)).or_insert(*neighbor);
            if entry.mac.is_none() && neighbor.mac.is_some() {
                *entry = *neighbor;
            }
        }
    }
    let each = known.into_iter().map(|((interface, ip), neighbor)| Neighbor {
        interface: names::interface(&facts.config, interface),
        ip,
        mac: neighbor.mac.map(|mac| mac.to_string()),
        state: neighbor.state.label().to_owned(),
        since: facts.wall_before(neighbor.age),
    });
    each.collect()
}
