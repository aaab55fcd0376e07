//! Planned work: a channel is drained before somebody touches it, and nothing is lost.
//!
//! `drain` asks everybody to use other channels while this one still works: BGP neighbours on its attachments hear
//! GRACEFUL_SHUTDOWN (RFC 8326) and whatever else their cloud heeds (`assemble::bgp`), what they announce counts last here, and
//! our own groups take the attachment as a reserve only ([`dataplane::Faults::is_reserve`]). Then it waits: a channel is *safe* when no packet
//! crossed it on its way through, in either direction, for [`QUIET`]. What belongs to the channel itself (MKA, BFD, BGP) goes on.
//! A member of a LAG is drained by LACP: both ends take their flows to the other members, and its attachments stay where they are.
//! A whole LAG is drained as a channel is: LACP goes on, and the attachments on it are left.
//!
//! | file | what it does |
//! | --- | --- |
//! | `mod` | what may be drained, and how far a drain has come: pure |
//! | `desk` | asks workers and BGP, keeps time, remembers on disk |
//!
//! # Invariants
//! 1. Nothing that is drained is cut: it carries what has no other way, and that is told.
//! 2. Unless forced, no connection loses its last live channel to a drain, and no two channels of one interconnect are drained at
//!    once.
//! 3. A drain outlives the process: it is on disk before anybody is asked, and asked for again at the next start.

mod desk;
#[cfg(test)]
mod tests;

use std::time::Duration;

use config::{Config, model::Link};
use dataplane::{ChannelId, InterfaceCounters, InterfaceId, LagId, Place, Setup, lacp::MemberStatus};
use jiff::Timestamp;
use net::Instant;

pub use desk::Desk;

use crate::worker::Report;

/// A channel is safe when nothing was on its way through it for so long.
pub const QUIET: Duration = Duration::from_secs(1);
/// Traffic that is still there after so long stays, as far as anybody can tell.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// How far a drain has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Everybody was asked; traffic leaves.
    Moving,
    /// Nothing is on its way through the channel any more.
    Safe,
    /// Traffic has not left for [`PATIENCE`]: the far end knows no other way, or was not told.
    Stays,
}

/// What somebody wants.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Order {
    /// Undrain by itself after so long.
    pub lasts: Option<Duration>,
    /// Even if it is the last live channel, or another one is drained.
    pub force: bool,
}

/// Why a channel is not drained, or not undrained.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NoDrain {
    /// There is no such channel.
    UnknownChannel,
    /// It is a LAG of these members: a drill is on one of them.
    IsLag(Vec<String>),
    /// It is the last live channel of this connection.
    LastLive(String),
    /// This channel of the same interconnect is drained already.
    PlannedWork(String),
    /// The LAG of this name would have fewer members that carry frames than it needs.
    LastMember(String),
    /// It is a member of the LAG of this name, which is drained as a whole.
    Whole(String),
    /// It is not drained.
    NotDrained,
    /// It is not live: there is nothing to rehearse.
    NotLive,
    /// Another drill lasts.
    Drill,
    /// A worker does not answer.
    Silent,
    /// It cannot be remembered: why.
    Disk(String),
}

/// A channel that is drained.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Drain {
    /// Which.
    pub channel: ChannelId,
    /// Together with all members of this LAG.
    pub lag: Option<LagId>,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None`: until somebody undrains it.
    pub until: Option<Timestamp>,
    /// It was forced.
    pub forced: bool,
    /// How far it has come.
    pub phase: Phase,
    /// Frames on their way through it in the last second or so, both directions together, per second.
    pub rate: u64,
    /// When watching began, or traffic came back.
    begun: Instant,
    /// Frames on their way through it so far, and when that number last grew.
    seen: Option<(u64, Instant)>,
    looked: Instant,
}

impl Drain {
    /// A drain that begins.
    pub const fn new(
        channel: ChannelId,
        since: Timestamp,
        order: (Option<Timestamp>, bool),
        now: Instant,
    ) -> Self {
        let (until, forced) = order;
        Self {
            channel,
            lag: None,
            since,
            until,
            forced,
            phase: Phase::Moving,
            rate: 0,
            begun: now,
            seen: None,
            looked: now,
        }
    }

    /// The same, of a member of a LAG that is drained as a whole.
    #[must_use]
    pub const fn with_all_of(self, lag: Option<LagId>) -> Self {
        Self { lag, ..self }
    }

    /// Takes the number of frames that were on their way through the channel so far. True when the phase changed.
    pub fn look(&mut self, frames: u64, now: Instant) -> bool {
        let (before, moved) = self.seen.unwrap_or((frames, now));
        let grew = frames.saturating_sub(before);
        let elapsed = u64::try_from(now.since(self.looked).as_millis()).unwrap_or(u64::MAX);
        self.rate = (grew * 1000).checked_div(elapsed).unwrap_or(0);
        self.looked = now;
        self.seen = Some((frames, if grew > 0 { now } else { moved }));
        let phase = match self.phase {
            _ if grew == 0 && now.since(moved) >= QUIET => Phase::Safe,
            Phase::Safe if grew > 0 => {
                self.begun = now;
                Phase::Moving
            }
            Phase::Moving if now.since(self.begun) >= PATIENCE => Phase::Stays,
            phase @ (Phase::Moving | Phase::Safe | Phase::Stays) => phase,
        };
        core::mem::replace(&mut self.phase, phase) != phase
    }
}

/// The attachments on a channel; none are on a member of a LAG alone.
pub fn attachments(setup: &Setup, channel: ChannelId) -> impl Iterator<Item = InterfaceId> {
    let alone = setup.lag_of(channel).is_none();
    let all = setup.interfaces.iter().enumerate().filter(move |_| alone);
    all.filter(move |(_, one)| matches!(one.place, Place::Attachment { channel: on, .. } if on == channel))
        .map(|(at, _)| InterfaceId::at(at))
}

/// The attachments on a LAG.
pub fn attachments_on_lag(setup: &Setup, lag: LagId) -> impl Iterator<Item = InterfaceId> {
    let interfaces = setup.interfaces.iter().enumerate();
    interfaces.filter(move |(_, one)| setup.is_on_lag(one.place, lag)).map(|(at, _)| InterfaceId::at(at))
}

/// The attachments that a drain is about.
fn attachments_of(setup: &Setup, (channel, lag): (ChannelId, Option<LagId>)) -> Vec<InterfaceId> {
    match lag {
        Some(lag) => attachments_on_lag(setup, lag).collect(),
        None => attachments(setup, channel).collect(),
    }
}

/// Frames that were on their way through a drained channel or LAG, in either direction; `None` when a worker does not tell.
pub fn through(
    setup: &Setup,
    reports: &[Report],
    (channel, whole): (ChannelId, Option<LagId>),
) -> Option<u64> {
    if reports.len() < usize::from(setup.workers) {
        return None;
    }
    if let Some((lag, member)) = setup.lag_of(channel).filter(|_| whole.is_none()) {
        return through_member(reports, channel, (lag, member));
    }
    let of = |id: InterfaceId| {
        let seen = reports
            .iter()
            .flat_map(|report| &report.snapshot.interfaces)
            .filter(move |one| one.interface == id);
        seen.fold(InterfaceCounters::default(), |sum, one| sum.plus(one.counters))
    };
    let sums = attachments_of(setup, (channel, whole)).into_iter().map(of);
    Some(sums.map(|sum| sum.rx_transit + sum.tx_transit).sum())
}

/// Frames that a member of a LAG carried, LACP's own aside: a flow may take any member, so the attachments' counters do not tell.
fn through_member(reports: &[Report], channel: ChannelId, (lag, member): (LagId, usize)) -> Option<u64> {
    let mut channels = reports.iter().flat_map(|report| &report.snapshot.channels);
    let counters = channels.find(|one| one.channel == channel)?.counters;
    let mut lags = reports.iter().flat_map(|report| &report.snapshot.lags);
    let pdus = lags.find(|one| one.lag == lag)?.members.get(member)?.counters;
    let (received, sent) =
        (pdus.lacpdus_rx + pdus.markers_rx + pdus.responses_rx, pdus.lacpdus_tx + pdus.responses_tx);
    Some(counters.rx_frames.saturating_sub(received) + counters.tx_frames.saturating_sub(sent))
}

/// Whether a LAG has enough members without this one.
fn spares(setup: &Setup, reports: &[Report], (lag, member): (LagId, usize)) -> bool {
    let seen = reports.iter().flat_map(|report| &report.snapshot.lags).find(|one| one.lag == lag);
    let least = setup.lags.get(lag.index()).map_or(1, |one| usize::from(one.min_links));
    let others = seen.iter().flat_map(|seen| seen.members.iter().enumerate());
    let carries = |(at, one): &(usize, &MemberStatus)| *at != member && one.distributes;
    others.filter(carries).count() >= least || seen.is_some_and(|seen| !seen.faults.is_live())
}

/// Why a channel should not be drained now, force aside.
///
/// # Errors
/// [`NoDrain::LastLive`], [`NoDrain::LastMember`] and [`NoDrain::PlannedWork`].
pub fn allow(
    config: &Config,
    setup: &Setup,
    reports: &[Report],
    drains: &[Drain],
    (channel, whole): (ChannelId, Option<LagId>),
) -> Result<(), NoDrain> {
    let interconnect = |id: ChannelId| config.channels.get(id.index()).map(|one| one.interconnect.index());
    // Members of a LAG that are drained already become part of its drain.
    let mine = |one: ChannelId| one == channel || whole.is_some_and(|lag| setup.is_member(one, lag));
    let same = |one: &&Drain| !mine(one.channel) && interconnect(one.channel) == interconnect(channel);
    if let Some(other) = drains.iter().find(same) {
        let name = config.channels.get(other.channel.index()).map(|one| one.name.clone());
        return Err(NoDrain::PlannedWork(name.unwrap_or_default()));
    }
    let member = setup.lag_of(channel).filter(|_| whole.is_none());
    if let Some(lag) = member.filter(|lag| !spares(setup, reports, *lag)) {
        let name = config.lags.get(lag.0.index()).map(|one| one.name.clone());
        return Err(NoDrain::LastMember(name.unwrap_or_default()));
    }
    for mine in attachments_of(setup, (channel, whole)) {
        if !is_live(setup, reports, mine) {
            continue;
        }
        let Some(connection) = setup.interfaces.get(mine.index()).map(|one| one.connection) else { continue };
        let others =
            setup.interfaces.iter().enumerate().filter(|(at, one)| {
                *at != mine.index() && one.connection == connection && one.is_attachment()
            });
        if !others.map(|(at, _)| InterfaceId::at(at)).any(|id| is_live(setup, reports, id)) {
            let name = config.connections.get(connection.index()).map(|one| one.name.clone());
            return Err(NoDrain::LastLive(name.unwrap_or_default()));
        }
    }
    Ok(())
}

/// As the owner of its channel sees it.
pub(crate) fn is_live(setup: &Setup, reports: &[Report], id: InterfaceId) -> bool {
    let place = setup.interfaces.get(id.index()).map(|one| one.place);
    let Some(Place::Attachment { channel, .. }) = place else { return false };
    let owner = setup.channels.get(channel.index()).map(|one| one.owner);
    let report = reports.iter().find(|report| Some(report.snapshot.worker) == owner);
    let seen = report.and_then(|report| report.snapshot.interfaces.iter().find(|one| one.interface == id));
    seen.is_some_and(|one| one.faults.is_live())
}

/// BGP neighbours on the attachments of a channel, or of a whole LAG: who is told.
pub fn neighbors(config: &Config, (channel, lag): (ChannelId, Option<LagId>)) -> usize {
    let on = |connection: &config::model::Connection| {
        let there = |at: usize| {
            connection.attachments.get(at).is_some_and(|one| match &one.link {
                Link::Channel(on) => on.index() == channel.index(),
                Link::Lag(on) => lag.is_some_and(|lag| on.lag.index() == lag.index()),
            })
        };
        let on = |place| matches!(place, config::model::Interface::Attachment(at) if there(at));
        connection.neighbors.iter().filter(|one| on(one.on)).count()
    };
    config.connections.iter().map(on).sum()
}
