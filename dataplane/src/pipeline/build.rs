//! From a [`Setup`] to the parts of a [`Dataplane`](super::Dataplane).

use net::{Instant, IpNet};

use super::{ConnectionState, Facts, Interface, InterfaceCounters, PortState, TRANSMIT_QUEUE, Wire};
use crate::{
    ChannelId, ConnectionKind, DropCounters, Faults, InterfaceId, InterfaceSetup, Place, Setup,
    demux::{Demux, Owner},
    group::{Group, Weight},
    neighbor::{NeighborLimits, NeighborParams, Neighbors},
    offload::Coalescer,
};

pub(super) fn interface(setup: &Setup, at: usize, one: &InterfaceSetup, seed: u64) -> Interface {
    let kind = setup.connections.get(one.connection.index()).map_or(ConnectionKind::Routed, |c| c.kind);
    let facts = Facts {
        id: InterfaceId::at(at),
        connection: one.connection,
        kind,
        place: one.place,
        mac: one.mac,
        mtu: one.mtu,
        mss: [one.mss_limit(false), one.mss_limit(true)],
        host: one.host,
    };
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for address in &one.addresses {
        match address {
            IpNet::V4(net) => v4.push(*net),
            IpNet::V6(net) => v6.push(*net),
        }
    }
    let params = NeighborParams { own_mac: one.mac, v4, v6, limits: NeighborLimits::default() };
    let seed = seed ^ u64::try_from(at).unwrap_or(0);
    Interface {
        facts,
        neighbors: Neighbors::new(params, seed),
        counters: InterfaceCounters::default(),
        faults: Faults::NONE,
        since: Instant::ZERO,
    }
}

/// A group of these weights. Members beyond the 64th are left out: more attachments than that have no use.
pub(super) fn group(weights: impl Iterator<Item = u8>) -> Group {
    let weights: Vec<_> = weights.take(64).map(|weight| Weight::new(weight).unwrap_or(Weight::MIN)).collect();
    #[expect(clippy::expect_used, reason = "64 members are allowed, and no more were taken")]
    Group::new(&weights).expect("64 members fit")
}

/// The attachments inside one channel, by their tag.
pub(super) fn attachments(setup: &Setup, of: ChannelId) -> Demux {
    let mut demux = Demux::default();
    for (at, one) in setup.interfaces.iter().enumerate() {
        if let Place::Attachment { channel, vlan } = one.place
            && channel == of
        {
            let ids: Vec<_> = vlan.iter().map(|tag| tag.id()).collect();
            demux.add(&ids, Owner::Interface(InterfaceId::at(at)), is_wire(setup, one));
        }
    }
    demux
}

fn is_wire(setup: &Setup, one: &InterfaceSetup) -> bool {
    setup.connections.get(one.connection.index()).is_some_and(|c| c.kind == ConnectionKind::Transparent)
}

pub(super) fn ports(setup: &Setup) -> Vec<PortState> {
    let state = |port: &crate::PortSetup| PortState {
        demux: Demux::default(),
        caps: port.caps,
        transmit: Vec::with_capacity(TRANSMIT_QUEUE),
        drops: DropCounters::default(),
        coalescer: None,
        path: None,
        host_of: None,
    };
    let mut ports: Vec<_> = setup.ports.iter().map(state).collect();
    for (at, channel) in setup.channels.iter().enumerate() {
        let ids: Vec<_> = channel.clear_tags.iter().map(|tag| tag.id()).collect();
        if let Some(port) = ports.get_mut(channel.port.index()) {
            // In clear an attachment's tag stands where otherwise the SecTAG hides it.
            let clear = !channel.secy.protects() || channel.mka.as_ref().is_some_and(|mka| mka.plain);
            port.demux.add(&ids, Owner::Channel(ChannelId::at(at)), clear);
        }
    }
    for (at, one) in setup.interfaces.iter().enumerate() {
        let id = InterfaceId::at(at);
        if let Place::Lan { port, vlan } = one.place
            && let Some(port) = ports.get_mut(port.index())
        {
            let ids: Vec<_> = vlan.iter().map(|tag| tag.id()).collect();
            port.demux.add(&ids, Owner::Interface(id), is_wire(setup, one));
            port.coalescer = port.caps.offload.then(|| Coalescer::new(port.caps));
        }
        if let Some(host) = one.host
            && let Some(port) = ports.get_mut(host.index())
        {
            port.host_of = Some(id);
        }
    }
    ports
}

pub(super) fn connections(setup: &Setup) -> Vec<ConnectionState> {
    let members = |connection: usize, attachment: bool| {
        let here = setup.interfaces.iter().enumerate();
        here.filter(move |(_, one)| one.connection.index() == connection && one.is_attachment() == attachment)
            .map(|(at, _)| InterfaceId::at(at))
            .collect::<Vec<_>>()
    };
    let state = |(at, connection): (usize, &crate::ConnectionSetup)| {
        let wire = (connection.kind == ConnectionKind::Transparent).then(|| {
            let attachments = members(at, true);
            let group = group(attachments.iter().map(|_| 1));
            Wire { lan: members(at, false).first().copied(), attachments, group }
        });
        ConnectionState { groups: Vec::new(), wire }
    };
    setup.connections.iter().enumerate().map(state).collect()
}
