//! What `quadspan show` sees: a copy of a worker's counters and states, made between two batches when asked for.

use core::net::IpAddr;

use macsec::{An, Sci, SecyStatus, mka::MkaStatus};
use net::Instant;

use super::{Dataplane, InterfaceCounters, QualityStatus, Rehearsal, protection::Redundancy};
use crate::{
    ChannelId, ConnectionId, DropCounters, Faults, InterfaceId, LagId, PortId, WorkerId,
    bfd::{BfdStatus, RefusalCounters},
    channel::ChannelCounters,
    frer::RecoveryCounters,
    lacp::MemberStatus,
    neighbor::NeighborEntry,
    protection::MAX_CLASSES,
};

/// One worker's counters and states.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Whose.
    pub worker: WorkerId,
    /// Generation of the routes in use.
    pub generation: u64,
    /// Channels that this worker owns.
    pub channels: Vec<ChannelSnapshot>,
    /// LAGs that this worker owns.
    pub lags: Vec<LagSnapshot>,
    /// All interfaces, as far as this worker served them.
    pub interfaces: Vec<InterfaceSnapshot>,
    /// Connections that this worker decides for, those with plain `ecmp` left out.
    pub protections: Vec<ProtectionSnapshot>,
    /// All ports: what was dropped on frames from them.
    pub ports: Vec<PortSnapshot>,
    /// BFD packets that were for no session of this worker's.
    pub bfd_refused: RefusalCounters,
    /// Small and big buffers in this worker's hands and in none.
    pub buffers: ((usize, usize), (usize, usize)),
}

/// A channel.
#[derive(Clone, Debug)]
pub struct ChannelSnapshot {
    /// Which.
    pub channel: ChannelId,
    /// What speaks against using it.
    pub faults: Faults,
    /// Since when.
    pub since: Instant,
    /// Frames and octets.
    pub counters: ChannelCounters,
    /// Why frames were dropped.
    pub drops: DropCounters,
    /// Its SecY.
    pub secy: SecyStatus,
    /// The drill that lasts, or the last one.
    pub rehearsal: Option<Rehearsal>,
    /// Its KaY; `None` without MKA.
    pub mka: Option<MkaStatus>,
}

/// A LAG.
#[derive(Clone, Debug)]
pub struct LagSnapshot {
    /// Which.
    pub lag: LagId,
    /// What speaks against using it.
    pub faults: Faults,
    /// Since when, and since when its members carry what they do.
    pub since: Instant,
    /// Its members, in the order of the setup.
    pub members: Vec<MemberStatus>,
}

/// An interface.
#[derive(Clone, Debug)]
pub struct InterfaceSnapshot {
    /// Which.
    pub interface: InterfaceId,
    /// What speaks against using it (attachments whose channel this worker owns).
    pub faults: Faults,
    /// Since when.
    pub since: Instant,
    /// Frames and octets.
    pub counters: InterfaceCounters,
    /// Its neighbours.
    pub neighbors: Vec<NeighborEntry>,
    /// Who spoke ARP or ND last from beyond its subnets, and when.
    pub off_link: Option<(IpAddr, Instant)>,
    /// Its BFD sessions, as far as this worker runs them.
    pub bfd: Vec<BfdStatus>,
    /// How good its path is, when this worker measures it.
    pub quality: Option<QualityStatus>,
}

/// The protection of a connection.
#[derive(Clone, Copy, Debug)]
pub struct ProtectionSnapshot {
    /// Whose.
    pub connection: ConnectionId,
    /// `active-standby`: the attachment that carries everything.
    pub active: Option<InterfaceId>,
    /// `duplicate`, or classes: what became of the frames.
    pub redundancy: Option<RedundancySnapshot>,
}

/// What of a connection is duplicated.
#[derive(Clone, Copy, Debug)]
pub struct RedundancySnapshot {
    /// Frames numbered and sent.
    pub generated: u64,
    /// Of these the ones of each class, in the order of the setup; `None` when all of the connection is duplicated.
    pub by_class: Option<[u64; MAX_CLASSES]>,
    /// Frames received, by the counters of IEEE 802.1CB §10.8.
    pub recovery: RecoveryCounters,
    /// Second copies are missing.
    pub latent_error: bool,
}

/// A port.
#[derive(Clone, Debug)]
pub struct PortSnapshot {
    /// Which.
    pub port: PortId,
    /// Why frames from it were dropped.
    pub drops: DropCounters,
    /// Tunnels: octets that the path carries behind the Ethernet header, when that was told.
    pub path: Option<u16>,
}

impl Dataplane {
    /// What the receive SAs of this worker's channels have reached: the lowest packet number that each still accepts.
    /// Allocates: not for every batch.
    pub fn received(&self) -> Vec<(ChannelId, Sci, An, u64)> {
        let mut received = Vec::new();
        for (at, channel) in self.channels.iter().enumerate() {
            let status = channel.as_ref().map(|channel| channel.secy.status());
            for sc in status.iter().flat_map(|status| &status.receive) {
                let sas = sc.sas.iter().map(|sa| (ChannelId::at(at), sc.sci, sa.an, sa.lowest_pn));
                received.extend(sas);
            }
        }
        received
    }

    /// Frames on their way through the gateway that this worker sent by each attachment. Allocates: not for every batch.
    pub fn transit(&self) -> Vec<(InterfaceId, u64)> {
        let attachment = |one: &&super::Interface| matches!(one.facts.place, crate::Place::Attachment { .. });
        let each = self.interfaces.iter().filter(attachment);
        each.map(|one| (one.facts.id, one.counters.tx_transit)).collect()
    }

    /// A copy of all counters and states. Allocates: not for every batch.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let channels = self.channels.iter().enumerate().filter_map(|(at, channel)| {
            let channel = channel.as_ref()?;
            Some(ChannelSnapshot {
                channel: ChannelId::at(at),
                faults: self.channel_faults(channel),
                since: channel.since,
                counters: channel.counters,
                drops: channel.drops,
                secy: channel.secy.status(),
                rehearsal: channel.rehearsal,
                mka: channel.mka.as_ref().map(|mka| mka.kay.status(now)),
            })
        });
        let lag = |(at, lag): (usize, &Option<super::lag::Lag>)| {
            let lag = lag.as_ref()?;
            let (faults, since) = (lag.faults, lag.since);
            Some(LagSnapshot { lag: LagId::at(at), faults, since, members: lag.aggregator.status() })
        };
        let interfaces = self.interfaces.iter().map(|one| InterfaceSnapshot {
            interface: one.facts.id,
            faults: self.faults_of(one.facts.id),
            since: one.since,
            counters: one.counters,
            neighbors: one.neighbors.entries(now).collect(),
            off_link: one.neighbors.off_link(),
            bfd: self.bfd.statuses(one.facts.id),
            quality: self.quality_of(one.facts.id),
        });
        let protections = self.own_protected().map(|(connection, one)| ProtectionSnapshot {
            connection,
            active: one.active(),
            redundancy: one.redundancy.as_deref().map(redundancy),
        });
        let port = |(at, port): (usize, &super::PortState)| PortSnapshot {
            port: PortId::at(at),
            drops: port.drops,
            path: port.path,
        };
        Snapshot {
            worker: self.me,
            generation: self.generation(),
            channels: channels.collect(),
            lags: self.lags.iter().enumerate().filter_map(lag).collect(),
            interfaces: interfaces.collect(),
            protections: protections.collect(),
            ports: self.ports.iter().enumerate().map(port).collect(),
            bfd_refused: *self.bfd.refused(),
            buffers: (self.pool.held(), self.pool.free()),
        }
    }
}

fn redundancy(one: &Redundancy) -> RedundancySnapshot {
    RedundancySnapshot {
        generated: one.generation.generated(),
        by_class: one.classes.is_some().then_some(one.sent),
        recovery: *one.recovery.counters(),
        latent_error: one.recovery.latent_error(),
    }
}
