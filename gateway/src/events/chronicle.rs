//! From what workers, links and people tell to records.

use core::net::IpAddr;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use dataplane::{
    Board, ChannelId, ConnectionId, Fault, InterfaceId, LagId, Moved, Place, PortId, Setup, bfd::BfdEvent,
};
use jiff::Timestamp;
use net::Instant;

use super::{Change, Log, Rates, Record, Step};

/// Causes older than this have nothing to do with a change.
const RELATED: Duration = Duration::from_secs(10);
/// News of a LAG's members that are remembered.
const MEMBERS_TOLD: usize = 4;

/// What happened lately, as far as it may be the cause of something.
#[derive(Debug)]
pub struct Chronicle {
    setup: Arc<Setup>,
    log: Arc<Log>,
    rates: Arc<Rates>,
    ports: BTreeMap<PortId, (Instant, String)>,
    bfd: BTreeMap<InterfaceId, (Instant, String)>,
    quality: BTreeMap<InterfaceId, (Instant, String)>,
    /// The last that was told of the members of each LAG, the oldest first.
    lacp: BTreeMap<LagId, VecDeque<(Instant, String)>>,
    left: BTreeMap<ConnectionId, (Instant, String)>,
    live: Vec<bool>,
}

impl Chronicle {
    /// Nothing has happened yet. What is live on the board was so before: a successor is not told of it again.
    pub fn new(setup: Arc<Setup>, (log, rates): (Arc<Log>, Arc<Rates>), board: &Board) -> Self {
        let live = (0..setup.interfaces.len()).map(|at| board.is_live(InterfaceId::at(at))).collect();
        Self {
            setup,
            log,
            rates,
            ports: BTreeMap::new(),
            bfd: BTreeMap::new(),
            quality: BTreeMap::new(),
            lacp: BTreeMap::new(),
            left: BTreeMap::new(),
            live,
        }
    }

    /// The link of a port went down with this fault, or came up.
    pub fn link(&mut self, port: PortId, name: &str, fault: Option<Fault>, now: Instant) {
        let what = format!("port {name}: {}", fault.map_or("up", Fault::label).replace('_', " "));
        self.ports.insert(port, (now, what));
    }

    /// What a BFD session of an interface told.
    pub fn bfd(&mut self, interface: InterfaceId, peer: IpAddr, event: BfdEvent, now: Instant) {
        let what = match event {
            BfdEvent::Up => format!("BFD with {peer}: up"),
            BfdEvent::Down { loss, .. } => format!("BFD with {peer}: {loss}"),
            BfdEvent::PeerAdminDown => return,
        };
        self.bfd.insert(interface, (now, what));
    }

    /// What the measurement of an attachment's path told.
    pub fn quality(&mut self, interface: InterfaceId, what: String, now: Instant) {
        self.quality.insert(interface, (now, what));
    }

    /// What LACP told of a member of a LAG.
    pub fn lacp(&mut self, lag: LagId, what: String, now: Instant) {
        let told = self.lacp.entry(lag).or_default();
        if told.len() == MEMBERS_TOLD {
            told.pop_front();
        }
        told.push_back((now, what));
    }

    /// Traffic left an attachment, or may use it again. `told`: when the worker had sent its next frames.
    pub fn moved(&mut self, moved: &Moved, name: &str, told: Instant, wall: Timestamp) {
        let Some(interface) = self.setup.interfaces.get(moved.interface.index()) else { return };
        let connection = interface.connection;
        let fault = moved.fault;
        if let Some(live) = self.live.get_mut(moved.interface.index()) {
            *live = fault.is_none();
        }
        let mut chain = self.causes(moved);
        let word = fault.map_or("live", Fault::label).replace('_', " ");
        chain.push(Step { before: Duration::ZERO, what: format!("attachment {name}: {word}") });
        self.left.insert(connection, (moved.at, format!("attachment {name}: {word}")));
        let rate = self.rates.of(moved.interface);
        let soft = [Fault::Drained, Fault::NarrowPath, Fault::Quality, Fault::Flapping, Fault::Drill];
        let failed = fault.filter(|fault| !soft.contains(fault));
        let detected = failed.and(moved.silent);
        let switched = fault.map(|_| told.since(moved.at));
        let lost = match (fault, detected.zip(switched)) {
            // A drill counts for itself, and nothing of ours is sent into it.
            (Some(Fault::Drained | Fault::Drill | Fault::Flapping), _) => Some(0),
            (_, Some((detected, switched))) => Some(product(rate, detected + switched)),
            (_, None) => None,
        };
        self.log.add(Record {
            id: 0,
            at: wall,
            change: fault.map_or(Change::Returned, Change::Left),
            connection,
            attachment: Some(moved.interface),
            to: None,
            chain,
            detected,
            switched,
            rate,
            lost,
            live: self.live_of(connection),
        });
    }

    /// `active-standby` chose another attachment.
    pub fn active_moved(
        &self,
        connection: ConnectionId,
        (from, to): (Option<InterfaceId>, Option<InterfaceId>),
        (now, wall): (Instant, Timestamp),
    ) {
        let chain = self.left.get(&connection).and_then(|(at, what)| step(*at, what, now));
        self.add(connection, Change::ActiveMoved, (from, to), chain.into_iter().collect(), wall);
    }

    /// Second copies of a `duplicate` connection are missing, or come again.
    pub fn redundancy(&self, connection: ConnectionId, lost: bool, wall: Timestamp) {
        let change = if lost { Change::RedundancyLost } else { Change::RedundancyRestored };
        self.add(connection, change, (None, None), Vec::new(), wall);
    }

    fn add(
        &self,
        connection: ConnectionId,
        change: Change,
        (attachment, to): (Option<InterfaceId>, Option<InterfaceId>),
        chain: Vec<Step>,
        at: Timestamp,
    ) {
        let live = self.live_of(connection);
        self.log.add(Record {
            id: 0,
            at,
            change,
            connection,
            attachment,
            to,
            chain,
            detected: None,
            switched: None,
            rate: 0,
            lost: None,
            live,
        });
    }

    /// What was seen before, the oldest first: port, BFD or a measurement, as far as it fits the fault.
    fn causes(&self, moved: &Moved) -> Vec<Step> {
        let place = self.setup.interfaces.get(moved.interface.index()).map(|one| one.place);
        let Some(Place::Attachment { channel, .. }) = place else { return Vec::new() };
        let port = |channel: ChannelId| self.setup.channels.get(channel.index()).map(|one| one.port);
        let lag =
            self.setup.lag_of(channel).and_then(|(lag, _)| Some((lag, self.setup.lags.get(lag.index())?)));
        let members = lag.map_or(&[][..], |(_, lag)| &lag.members).iter().map(|member| member.channel);
        let ports = members.chain(lag.is_none().then_some(channel)).filter_map(port);
        // What it comes back by is the end of what spoke against it last.
        let by = moved.fault.or(moved.cleared);
        let (by_port, by_bfd, by_quality) = match by {
            Some(Fault::Flapping) if moved.fault.is_none() => (false, false, false),
            None | Some(Fault::Flapping) => (true, true, true),
            Some(Fault::PortDown | Fault::NoCarrier | Fault::NoRoute | Fault::LacpDown) => {
                (true, false, false)
            }
            Some(Fault::BfdDown) => (false, true, false),
            Some(Fault::Quality) => (false, false, true),
            // The fault says it all.
            Some(Fault::MkaDown | Fault::NotSecured | Fault::NarrowPath | Fault::Drained | Fault::Drill) => {
                (false, false, false)
            }
        };
        let by_lacp = lag.and_then(|(id, _)| self.lacp.get(&id)).filter(|_| by_port);
        let seen = [
            self.bfd.get(&moved.interface).filter(|_| by_bfd),
            self.quality.get(&moved.interface).filter(|_| by_quality),
        ];
        let by_port = ports.filter(|_| by_port).filter_map(|port| self.ports.get(&port));
        // Of several links those that came up did not make anything go.
        let speaks = |(_, what): &&(Instant, String)| {
            moved.fault.is_none() || !(what.ends_with(": up") || what.ends_with(" joined"))
        };
        let links = by_port.chain(by_lacp.into_iter().flatten()).filter(speaks);
        let seen = seen.into_iter().flatten().chain(links);
        let mut chain: Vec<_> = seen.filter_map(|(at, what)| step(*at, what, moved.at)).collect();
        let ended = moved.cleared.filter(|_| moved.fault.is_none()).and_then(ended);
        chain.extend(ended.map(|what| Step { before: Duration::ZERO, what: what.to_owned() }));
        chain.sort_by_key(|step| core::cmp::Reverse(step.before));
        chain
    }

    fn live_of(&self, connection: ConnectionId) -> (usize, usize) {
        let all = self.setup.interfaces.iter().zip(&self.live);
        let own = all.filter(|(one, _)| one.connection == connection && one.is_attachment());
        own.fold((0, 0), |(live, total), (_, is)| (live + usize::from(*is), total + 1))
    }
}

/// The end of a fault that nothing else tells of.
const fn ended(fault: Fault) -> Option<&'static str> {
    match fault {
        Fault::MkaDown => Some("MKA has agreed on a key"),
        Fault::NotSecured => Some("MACsec has a key to send with"),
        Fault::Drained => Some("undrained by an operator, or at the end of its time"),
        Fault::Drill => Some("the drill is over"),
        Fault::Flapping => Some("it was up for long enough"),
        Fault::NarrowPath => Some("the path carries what IPv6 needs again"),
        Fault::PortDown
        | Fault::NoCarrier
        | Fault::NoRoute
        | Fault::LacpDown
        | Fault::BfdDown
        | Fault::Quality => None,
    }
}

/// A cause, if it is a recent one. What was told a moment later than it was acted on came before.
fn step(at: Instant, what: &str, now: Instant) -> Option<Step> {
    let before = now.since(at);
    (before <= RELATED && at.since(now) <= RELATED).then(|| Step { before, what: what.to_owned() })
}

fn product(rate: u64, time: Duration) -> u64 {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    rate.saturating_mul(micros).div_ceil(1_000_000)
}
