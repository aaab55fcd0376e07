//! [`Dataplane`]: everything that one worker knows, and the verbs by which it is driven.
//!
//! | file | what happens there |
//! | --- | --- |
//! | `ingress` | port to channel or interface; MACsec validation; MAC filter |
//! | `forward` | IP: checks, route, hop limit, MTU, group, neighbour |
//! | `held` | how many frames wait for neighbours |
//! | `local` | what the gateway answers itself: ARP, ND, echo, ICMP errors; what goes to the host |
//! | `wire` | transparent connections |
//! | `protection` | which live attachments carry a connection |
//! | `redundancy` | frames that leave twice and enter once |
//! | `ports` | ports as workers drive them: what waits to be sent, what is wanted under pressure |
//! | `egress` | tags, segmentation, MACsec protection, coalescing, transmit queues |
//! | `mka` | key agreement: MKPDUs in and out, keys to the SecY |
//! | `lag` | LAGs: LACP, and the member that a flow takes |
//! | `bfd` | BFD sessions: packets in and out, their verdict |
//! | `quality` | probes out and in, and their verdict |
//! | `rehearsal` | drills |
//! | `judge` | which attachments are live |
//! | `recent` | which routes were looked up last |
//! | `waiting` | which ports have frames to be sent |
//! | `underlay` | what tunnels need: flows for their ports, and what their paths carry |
//! | `build` | from a setup to all this |
//! | `snapshot` | what `quadspan show` sees |
//! | `stages` | what the steps of a batch take, when the worker lends a clock |
//!
//! One mutation, then drain: after [`handle_batch`](Dataplane::handle_batch) (or any other verb) the worker sends
//! what [`transmit`](Dataplane::transmit) holds for each port, moves the crossings, and drains the events.

mod bfd;
mod build;
mod egress;
mod forward;
mod handover;
mod held;
mod ingress;
mod judge;
mod lag;
mod local;
mod mka;
mod ports;
mod protection;
mod quality;
mod recent;
mod redundancy;
mod rehearsal;
mod snapshot;
mod stages;
mod underlay;
mod waiting;
mod wire;

use core::{net::IpAddr, time::Duration};
use std::{collections::VecDeque, sync::Arc};

use macsec::{An, SecY, mka::MkaEvent};
use net::{Instant, MacAddr, earliest};

use ports::PortState;
pub use quality::{QualityParams, QualityStatus};
pub use rehearsal::Rehearsal;
pub use snapshot::{
    ChannelSnapshot, InterfaceSnapshot, LagSnapshot, PortSnapshot, ProtectionSnapshot, RedundancySnapshot,
    Snapshot,
};
pub use stages::{Clock, StageTime, StageTimes};

use crate::{
    BATCH, ChannelId, ConnectionId, ConnectionKind, Crossing, DropReason, Fault, Faults, Frame, Hop,
    InterfaceId, LagId, Pair, Place, Pool, PortId, Setup, Tables, WorkerId,
    bfd::{BfdEvent, Sessions},
    channel::Channel,
    damping::Damper,
    group::Group,
    icmp::RateLimiter,
    lacp::LacpEvent,
    liveness::Board,
    meter::Meters,
    neighbor::Neighbors,
    stamp::{Report, WallClock, Why},
};

/// Frames that may wait on a port's transmit queue within one batch: a batch of super-frames, cut.
const TRANSMIT_QUEUE: usize = BATCH * 64;
/// ICMP errors per second, and in a burst, about packets from one interface, all workers together (RFC 1812 §4.3.2.8,
/// RFC 4443 §2.4(f)).
const ICMP_PER_SECOND: u32 = 1000;
const ICMP_BURST: u32 = 100;
/// Address conflicts told per second, and in a burst: anybody on a LAN can make as many as frames fit on it.
const CONFLICTS_PER_SECOND: u32 = 1;
const CONFLICTS_BURST: u32 = 5;
/// Events that wait for the control plane, and for each interface more; older ones are dropped beyond. The loss of one port may be news of
/// all interfaces, and BGP learns of links by nothing else.
const EVENTS: usize = 1024;
const EVENTS_EACH: usize = 16;

/// Something that the control plane should know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// The attachment may carry traffic again.
    AttachmentUp(InterfaceId),
    /// The attachment must not carry traffic, for this reason.
    AttachmentDown(InterfaceId, Fault),
    /// Frames can leave by it again, or no more, but this speaks against it still.
    AttachmentStays(InterfaceId, Fault),
    /// What [`AttachmentUp`](Self::AttachmentUp) and [`AttachmentDown`](Self::AttachmentDown) mean for traffic; follows each of them.
    Moved(Moved),
    /// The packet numbers reserved for the transmit SA with this AN run low.
    PnReservationLow(ChannelId, An),
    /// The SAK's packet numbers are three quarters used (802.1X PendingPNExhaustion).
    PnExhaustionPending(ChannelId, An),
    /// What a channel's KaY has to tell.
    Mka(ChannelId, MkaEvent),
    /// What LACP has to tell of a member of a LAG.
    Lacp(LagId, ChannelId, LacpEvent),
    /// What a BFD session of an interface, with this peer, has to tell.
    Bfd(InterfaceId, IpAddr, BfdEvent),
    /// An `active-standby` connection's traffic goes another way from now on; `None`: by none.
    ActiveMoved {
        /// The connection.
        connection: ConnectionId,
        /// The attachment that carried it.
        from: Option<InterfaceId>,
        /// The attachment that carries it.
        to: Option<InterfaceId>,
    },
    /// The attachment is up again, but was lost this many times lately: it is held back for so long.
    Flapping(InterfaceId, usize, Duration),
    /// An attachment's path turned bad, for this reason, or good again; and its last second.
    Quality {
        /// The attachment.
        interface: InterfaceId,
        /// Why it is bad.
        bad: Option<Why>,
        /// What was measured.
        report: Report,
    },
    /// Second copies of a `duplicate` connection's frames are missing (true), or come again (false): latent error
    /// detection, IEEE 802.1CB §7.4.4.
    RedundancyLost(ConnectionId, bool),
    /// Another station, with this MAC address when it told, uses an address of this interface. Told at a
    /// limited rate.
    AddressConflict(InterfaceId, IpAddr, Option<MacAddr>),
}

/// Traffic leaves an attachment, or may come back to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Moved {
    /// When that was decided.
    pub at: Instant,
    /// The attachment.
    pub interface: InterfaceId,
    /// Why it is left; `None`: it is live.
    pub fault: Option<Fault>,
    /// What spoke against it last, when it comes back.
    pub cleared: Option<Fault>,
    /// How long no frame had been accepted on its channel; `None`: never was one.
    pub silent: Option<Duration>,
}

/// One worker's part of the gateway. No clock, no I/O, no locks.
#[derive(Debug)]
pub struct Dataplane {
    me: WorkerId,
    setup: Arc<Setup>,
    tables: Arc<Tables>,
    bfd: Sessions,
    board: Arc<Board>,
    epoch: u64,
    pool: Pool,
    ports: Vec<PortState>,
    channels: Vec<Option<Channel>>,
    lags: Vec<Option<lag::Lag>>,
    interfaces: Vec<Interface>,
    connections: Vec<ConnectionState>,
    /// This worker decides for some connection. With hundreds that have nothing to decide, the question would cost each round.
    protects: bool,
    /// Attachments whose paths are measured.
    probing: Vec<quality::Probing>,
    probe_due: Option<Instant>,
    wall: WallClock,
    /// A drill lasts on one of this worker's channels.
    rehearsing: bool,
    crossings: Vec<(WorkerId, Crossing)>,
    events: VecDeque<Event>,
    conflict_limit: RateLimiter,
    /// Frames that wait for neighbours.
    held: held::Held,
    /// Interfaces whose neighbour table has something to say.
    stirred: Vec<InterfaceId>,
    /// Ports that got something in this batch, so that coalescers are flushed.
    coalescing: Vec<PortId>,
    /// Long trains outlive their batch.
    keeps_trains: bool,
    /// Segments on their way from a super-frame to a queue.
    segments: Vec<Frame>,
    /// Segments that get sequence numbers.
    numbered: Vec<Frame>,
    /// Fragments on their way from a packet to their neighbour.
    pieces: Vec<Frame>,
    /// A run of frames of one channel.
    run: Vec<Frame>,
    neighbor_deadline: Option<Instant>,
    /// Routes are new: their neighbours are to be asked for.
    meet: bool,
    /// More comes than can be carried: of this batch only control goes on.
    pressed: bool,
    /// What a tunnel's path carries is new: its attachments are to be judged by it.
    path_moved: bool,
    /// Until when an attachment is held back, the next of them.
    damped: Option<Instant>,
    /// The last source and the last destination of this batch.
    recent: [recent::Recent; 2],
    /// Ports that have frames to be sent.
    waiting: waiting::Waiting,
    /// What the steps of a batch take, while a clock is lent.
    stages: stages::Stages,
}

/// An interface as the pipeline sees it.
#[derive(Debug)]
struct Interface {
    facts: Facts,
    neighbors: Neighbors,
    counters: InterfaceCounters,
    /// Faults of the attachment alone, on top of its channel's.
    faults: Faults,
    /// Frames could leave when it was judged last.
    open: bool,
    /// What spoke against it when it was judged last.
    against: Option<Fault>,
    /// How often it was lost lately.
    damper: Damper,
    since: Instant,
    /// For ICMP errors about packets that came in by it.
    icmp_limit: RateLimiter,
}

/// What never changes about an interface, small enough to copy.
#[derive(Clone, Copy, Debug)]
struct Facts {
    id: InterfaceId,
    connection: ConnectionId,
    kind: ConnectionKind,
    place: Place,
    mac: MacAddr,
    mtu: u16,
    mss: [Option<u16>; 2],
    host: Option<PortId>,
}

impl Facts {
    /// Octets of the tag that its frames carry on the wire.
    const fn tag_len(&self) -> u64 {
        let (Place::Lan { vlan, .. } | Place::Attachment { vlan, .. }) = self.place;
        if vlan.is_some() { 4 } else { 0 }
    }
}

/// Frames and octets that crossed an interface.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct InterfaceCounters {
    /// Frames in.
    pub rx_frames: u64,
    /// Octets in.
    pub rx_octets: u64,
    /// Frames out: by a LAN a super-frame is one, by an attachment each frame that its SecY protected.
    pub tx_frames: u64,
    /// Their octets.
    pub tx_octets: u64,
    /// Of the frames in, those that were on their way through, neither for the gateway nor between it and its neighbours;
    /// second copies of a `duplicate` connection included.
    pub rx_transit: u64,
    /// Packets and super-frames that were sent this way through the gateway.
    pub tx_transit: u64,
}

impl InterfaceCounters {
    /// The frames of both.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            rx_frames: self.rx_frames + other.rx_frames,
            rx_octets: self.rx_octets + other.rx_octets,
            tx_frames: self.tx_frames + other.tx_frames,
            tx_octets: self.tx_octets + other.tx_octets,
            rx_transit: self.rx_transit + other.rx_transit,
            tx_transit: self.tx_transit + other.tx_transit,
        }
    }
}

/// A connection's groups with their members' state.
#[derive(Debug, Default)]
struct ConnectionState {
    /// The live members of each group of the tables, one bit each.
    live: Vec<u64>,
    /// The two of them that carry packets of classes, where there are any.
    twice: Vec<u64>,
    /// Transparent connections: the LAN interface, the attachments, and the choice among them.
    wire: Option<Wire>,
    /// Anything but plain `ecmp`.
    protected: Option<protection::Protected>,
    /// Its bandwidth, shared by all workers.
    meters: Arc<Meters>,
}

#[derive(Debug)]
struct Wire {
    lan: Option<InterfaceId>,
    attachments: Vec<InterfaceId>,
    group: Group,
}

/// Where a drop is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Blame {
    Port(PortId),
    Channel(ChannelId),
}

impl Dataplane {
    /// A worker's part of `setup`, with no keys and no routes yet. Attachments whose channel it owns start with
    /// the faults [`Fault::NoCarrier`] and, when protected, [`Fault::NotSecured`]. `seed` makes neighbour timers differ.
    ///
    /// # Errors
    /// When the policy of a SecY contradicts itself.
    pub fn new(
        me: WorkerId,
        setup: Arc<Setup>,
        board: Arc<Board>,
        pool: Pool,
        seed: u64,
    ) -> Result<Self, macsec::PolicyError> {
        let mut channels = Vec::new();
        for (at, channel) in setup.channels.iter().enumerate() {
            let mine = (channel.owner == me).then(|| SecY::new(channel.secy, Instant::ZERO)).transpose()?;
            channels.push(mine.map(|secy| build::channel(&setup, (ChannelId::at(at), channel), secy)));
        }
        let each = setup.interfaces.iter().enumerate();
        let interfaces = each.map(|(at, one)| build::interface(&setup, at, one, seed)).collect();
        let mut this = Self {
            me,
            tables: Arc::new(Tables::default()),
            bfd: Sessions::new(&setup, me, seed),
            epoch: 0,
            held: held::Held::of(&setup, &pool),
            pool,
            ports: build::ports(&setup),
            channels,
            lags: lag::own(&setup, me),
            interfaces,
            connections: build::connections(&setup),
            protects: false,
            probing: Vec::new(),
            probe_due: None,
            wall: quality::NO_WALL,
            rehearsing: false,
            crossings: Vec::with_capacity(TRANSMIT_QUEUE),
            events: VecDeque::with_capacity(EVENTS),
            conflict_limit: RateLimiter::new(CONFLICTS_PER_SECOND, CONFLICTS_BURST),
            stirred: Vec::with_capacity(setup.interfaces.len()),
            coalescing: Vec::with_capacity(setup.ports.len()),
            keeps_trains: false,
            segments: Vec::with_capacity(TRANSMIT_QUEUE),
            numbered: Vec::with_capacity(TRANSMIT_QUEUE),
            pieces: Vec::with_capacity(TRANSMIT_QUEUE),
            run: Vec::with_capacity(BATCH),
            neighbor_deadline: None,
            meet: false,
            pressed: false,
            path_moved: false,
            damped: None,
            recent: Default::default(),
            waiting: waiting::Waiting::none_of(setup.ports.len()),
            stages: stages::Stages::default(),
            board,
            setup,
        };
        let protects = this.own_protected().next().is_some();
        this.protects = protects;
        for at in 0..this.channels.len() {
            this.set_channel_fault(ChannelId::at(at), Fault::NoCarrier, true, Instant::ZERO);
            this.judge_security(ChannelId::at(at), Instant::ZERO);
        }
        this.serve_bfd(Instant::ZERO);
        this.events.clear();
        Ok(this)
    }

    /// What other workers must go on with. The worker empties it.
    pub fn crossings(&mut self) -> (&mut Vec<(WorkerId, Crossing)>, &mut Pool) {
        (&mut self.crossings, &mut self.pool)
    }

    /// The buffers: ports receive into them.
    pub const fn pool(&mut self) -> &mut Pool {
        &mut self.pool
    }

    /// The next thing that the control plane should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let control = earliest(self.mka_deadline(), self.bfd.poll_timeout());
        let control = earliest(earliest(control, self.quality_deadline()), self.lacp_deadline());
        let held = earliest(self.protection_deadline(), self.damping_deadline());
        let neighbors = earliest(self.neighbor_deadline, self.meet.then_some(Instant::ZERO));
        earliest(earliest(control, held), earliest(neighbors, self.path_deadline()))
    }

    /// Does what is due: key agreement, LACP, BFD, neighbours that did not answer. What arrived before `now` should have been handed in:
    /// see [`is_judgement_due`](Self::is_judgement_due).
    pub fn handle_timeout(&mut self, now: Instant) {
        self.tend_mka(now);
        if self.tend_lacp(now) {
            self.finish(now);
        }
        if self.tend_quality(now) {
            self.finish(now);
        }
        if self.tend_bfd(now) {
            self.finish(now);
        }
        self.tend_paths(now);
        self.tend_damping(now);
        self.tend_protection(now);
        let meet = core::mem::take(&mut self.meet);
        if !meet && self.neighbor_deadline.is_none_or(|due| due > now) {
            return;
        }
        for at in 0..self.interfaces.len() {
            let id = InterfaceId::at(at);
            if meet
                && self.board.is_live(id)
                && self.facts(id).is_some_and(|one| self.foreign_owner(one.place).is_none())
            {
                self.meet_peers(id, now);
            }
            if let Some(one) = self.interfaces.get_mut(at) {
                one.neighbors.handle_timeout(now);
                self.stirred.push(id);
            }
        }
        self.finish(now);
    }

    /// Counts a frame that the worker could not place: a ring to another worker was full.
    pub fn count_ring_full(&mut self, crossing: Crossing) {
        let blame = match &crossing {
            Crossing::Route { interface, .. }
            | Crossing::Emit { interface, .. }
            | Crossing::Host { interface, .. }
            | Crossing::Bfd { interface, .. }
            | Crossing::Twice { pair: Pair { first: Hop { interface, .. }, .. }, .. }
            | Crossing::Recover { interface, .. } => {
                self.facts(*interface).map(|facts| blame_of(facts.place))
            }
            Crossing::Neighbor { .. } => None,
        };
        if let (Some(blame), Some(frame)) = (blame, crossing.into_frame()) {
            self.drop(blame, DropReason::RingFull, frame);
        }
    }

    /// Uses newer routes from the next batch on; older ones than those in use are refused. Gives back those that are not
    /// used: freeing the last copy of large tables takes long, and belongs on another thread.
    #[must_use = "freeing tables takes long: give them to another thread"]
    pub fn set_tables(&mut self, tables: Arc<Tables>) -> Arc<Tables> {
        if tables.generation < self.tables.generation {
            return tables;
        }
        let before = core::mem::replace(&mut self.tables, tables);
        let now = Arc::clone(&self.tables);
        let has_new_ways = |at: usize| match (now.connections.get(at), before.connections.get(at)) {
            (Some(now), Some(before)) => !now.leads_where(before),
            (now, before) => now.is_some() || before.is_some(),
        };
        self.choose_again(has_new_ways);
        if (0..now.connections.len().max(before.connections.len())).any(has_new_ways) {
            self.meet = true;
        }
        before
    }

    /// Generation of the routes in use.
    pub fn generation(&self) -> u64 {
        self.tables.generation
    }

    /// What it is made of.
    pub const fn setup(&self) -> &Arc<Setup> {
        &self.setup
    }

    /// The SecY of a channel that this worker owns, for static keys; with MKA its KaY sees to it. Call
    /// [`secy_changed`](Self::secy_changed) afterwards.
    pub fn secy(&mut self, channel: ChannelId) -> Option<&mut SecY> {
        Some(&mut self.channels.get_mut(channel.index())?.as_mut()?.secy)
    }

    /// Judges again whether the channel is secured, after SAs came or went.
    pub fn secy_changed(&mut self, channel: ChannelId, now: Instant) {
        if let Some(Some(state)) = self.channels.get_mut(channel.index()) {
            state.forget_exhaustion();
        }
        self.judge_security(channel, now);
        self.refresh_liveness(now);
    }

    /// Packet numbers up to and including `limit` are reserved on disk for the transmit SA; an
    /// [`Event::PnReservationLow`] comes when fewer than `low` of them are left. A channel that was out of numbers
    /// carries traffic again after the next verb.
    pub fn set_pn_limit(&mut self, channel: ChannelId, an: An, limit: u64, low: u64) {
        let Some(Some(channel)) = self.channels.get_mut(channel.index()) else { return };
        if channel.secy.set_pn_limit(an, limit).is_ok() {
            channel.reserved(low);
        }
    }

    fn tell(&mut self, event: Event) {
        if self.events.len() >= EVENTS + EVENTS_EACH * self.interfaces.len() {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn channel(&self, channel: ChannelId) -> Option<&Channel> {
        self.channels.get(channel.index())?.as_ref()
    }

    fn channel_mut(&mut self, channel: ChannelId) -> Option<&mut Channel> {
        self.channels.get_mut(channel.index())?.as_mut()
    }

    fn facts(&self, interface: InterfaceId) -> Option<Facts> {
        self.interfaces.get(interface.index()).map(|one| one.facts)
    }

    /// Gives a connection its bandwidth, which all workers share.
    pub fn police(&mut self, connection: ConnectionId, meters: Arc<Meters>) {
        if let Some(one) = self.connections.get_mut(connection.index()) {
            one.meters = meters;
        }
    }

    /// Counts a frame under one reason, and takes its buffer back.
    fn drop(&mut self, blame: Blame, reason: DropReason, frame: Frame) {
        self.pool.recycle(frame);
        self.count(blame, reason);
    }

    fn count(&mut self, blame: Blame, reason: DropReason) {
        let drops = match blame {
            Blame::Port(port) => self.ports.get_mut(port.index()).map(|port| &mut port.drops),
            Blame::Channel(id) => match self.channels.get_mut(id.index()) {
                Some(Some(channel)) => Some(&mut channel.drops),
                // Another worker's channel: every worker has counters for every port.
                _ => {
                    let port = self.setup.channels.get(id.index()).map(|channel| channel.port.index());
                    port.and_then(|port| self.ports.get_mut(port)).map(|port| &mut port.drops)
                }
            },
        };
        if let Some(drops) = drops {
            drops.count(reason);
        }
    }
}

impl Dataplane {
    /// The end of every verb: neighbour tables speak, coalescers let go, channels protect what waits,
    /// and one whose packet numbers ended with that is left.
    fn finish(&mut self, now: Instant) {
        // First the packets that waited for a neighbour, then newer ones: a session's states must arrive in their order.
        self.serve_neighbors(now);
        self.serve_bfd(now);
        self.serve_neighbors(now);
        self.flush_coalescers();
        self.protect_queues();
        self.watch_security(now);
    }

    fn refresh_deadline(&mut self) {
        self.neighbor_deadline =
            self.interfaces.iter().fold(None, |due, one| earliest(due, one.neighbors.poll_timeout()));
    }
}

const fn blame_of(place: Place) -> Blame {
    match place {
        Place::Lan { port, .. } => Blame::Port(port),
        Place::Attachment { channel, .. } => Blame::Channel(channel),
    }
}
