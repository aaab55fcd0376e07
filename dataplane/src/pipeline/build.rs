//! From a [`Setup`] to the parts of a [`Dataplane`](super::Dataplane).

use macsec::SecY;
use net::{EtherType, Instant, IpNet};

use super::{
    ConnectionState, Facts, ICMP_BURST, ICMP_PER_SECOND, Interface, InterfaceCounters, PortState,
    TRANSMIT_QUEUE, Wire, protection::Protected,
};
use crate::{
    ChannelId, ChannelSetup, ConnectionId, ConnectionKind, DropCounters, Faults, InterfaceId, InterfaceSetup,
    Place, Setup, Wanted,
    channel::Channel,
    damping::Damper,
    demux::{Demux, Owner},
    group::{Group, MAX_MEMBERS, Weight},
    icmp::RateLimiter,
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
        open: false,
        against: None,
        damper: Damper::default(),
        since: Instant::ZERO,
        icmp_limit: icmp_limit(setup, one),
    }
}

/// This worker's share of the errors that may be sent about what comes in by an interface: of a LAN that all workers
/// serve each has as much as the others, and together they send no more than the limit.
fn icmp_limit(setup: &Setup, one: &InterfaceSetup) -> RateLimiter {
    let shared = match one.place {
        Place::Lan { port, .. } => setup.ports.get(port.index()).is_some_and(|port| port.owner.is_none()),
        Place::Attachment { .. } => false,
    };
    let workers = if shared { u32::from(setup.workers.max(1)) } else { 1 };
    RateLimiter::new(ICMP_PER_SECOND / workers, ICMP_BURST / workers)
}

/// A group of so many equal members. Those beyond the 64th are left out: more attachments than that have no use.
pub(super) fn group(members: usize) -> Group {
    let weights = vec![Weight::MIN; members.min(MAX_MEMBERS)];
    #[expect(clippy::expect_used, reason = "64 members are allowed, and no more were taken")]
    Group::new(&weights).expect("64 members fit")
}

/// A channel of this worker's.
pub(super) fn channel(setup: &Setup, (id, one): (ChannelId, &ChannelSetup), secy: SecY) -> Channel {
    let mut channel = Channel::new(one, secy, attachments(setup, id), TRANSMIT_QUEUE);
    channel.lag = setup.lag_of(id);
    channel
}

/// The attachments inside one channel, or inside the LAG that it is a member of, by their tag.
fn attachments(setup: &Setup, of: ChannelId) -> Demux {
    let mut demux = Demux::default();
    for (at, one) in setup.interfaces.iter().enumerate() {
        if let Place::Attachment { vlan, .. } = one.place
            && setup.is_on(one.place, of)
        {
            demux.add(vlan.as_slice(), Owner::Interface(InterfaceId::at(at)), is_wire(setup, one));
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
        wanted: Wanted::default(),
        path: None,
        host_of: None,
    };
    let mut ports: Vec<_> = setup.ports.iter().map(state).collect();
    for (at, channel) in setup.channels.iter().enumerate() {
        if let Some(port) = ports.get_mut(channel.port.index()) {
            // In clear an attachment's tag stands where otherwise the SecTAG hides it.
            let clear = !channel.secy.protects() || channel.mka.as_ref().is_some_and(|mka| mka.plain);
            port.demux.add(&channel.clear_tags, Owner::Channel(ChannelId::at(at)), clear);
            port.wanted.protected |= channel.secy.protects();
            port.wanted.always.push(channel.mka.as_ref().map_or(EtherType::EAPOL, |mka| mka.ethertype));
        }
    }
    for (at, one) in setup.interfaces.iter().enumerate() {
        let id = InterfaceId::at(at);
        if let Place::Lan { port, vlan } = one.place
            && let Some(port) = ports.get_mut(port.index())
        {
            port.demux.add(vlan.as_slice(), Owner::Interface(id), is_wire(setup, one));
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
            let group = group(attachments.len());
            Wire { lan: members(at, false).first().copied(), attachments, group }
        });
        let protected = Protected::of(setup, ConnectionId::at(at), connection);
        ConnectionState { wire, protected, ..ConnectionState::default() }
    };
    setup.connections.iter().enumerate().map(state).collect()
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use macsec::{Sci, SecyPolicy};
    use net::MacAddr;

    use super::*;
    use crate::{ConnectionId, MssClamp, PortCaps, PortId, PortSetup, WorkerId};

    /// A LAN that all of so many workers serve, and an attachment of the first one's.
    fn setup(workers: u16) -> Setup {
        let mac = MacAddr([2, 0, 0, 0, 0, 1]);
        let interface = |place| InterfaceSetup {
            connection: ConnectionId(0),
            place,
            mac,
            mtu: 1500,
            addresses: vec![],
            mss_clamp: MssClamp::Off,
            host: None,
            bfd: vec![],
        };
        let port = |owner| PortSetup { owner, caps: PortCaps::default() };
        Setup {
            workers,
            ports: vec![port(None), port(Some(WorkerId(0)))],
            channels: vec![ChannelSetup {
                port: PortId(1),
                owner: WorkerId(0),
                clear_tags: vec![],
                secy: SecyPolicy::new(Sci::new(mac, 1)),
                mka: None,
            }],
            lags: vec![],
            interfaces: vec![
                interface(Place::Lan { port: PortId(0), vlan: None }),
                interface(Place::Attachment { channel: ChannelId(0), vlan: None }),
            ],
            connections: vec![],
        }
    }

    #[test]
    fn rfc_4443_2_4_f_the_workers_shares_of_the_icmp_limit_add_up() {
        for workers in [1, 2, 3, 7] {
            let setup = setup(workers);
            let mut shares: Vec<_> = (0..workers).map(|_| icmp_limit(&setup, &setup.interfaces[0])).collect();
            let mut sent = 0;
            for millisecond in 0..10_000 {
                let now = Instant::ZERO.after(Duration::from_millis(millisecond));
                sent +=
                    shares.iter_mut().map(|one| (0..20).filter(|_| one.allow(now)).count()).sum::<usize>();
            }
            let most = 10 * usize::try_from(ICMP_PER_SECOND).unwrap() + usize::try_from(ICMP_BURST).unwrap();
            assert!((most * 9 / 10..=most).contains(&sent), "{workers} workers: {sent}");
            // An attachment has one worker, which has the whole limit.
            let mut whole = icmp_limit(&setup, &setup.interfaces[1]);
            assert_eq!((0..200).filter(|_| whole.allow(Instant::ZERO)).count(), 100, "{workers} workers");
        }
    }
}
