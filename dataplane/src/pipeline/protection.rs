//! What a connection's protection makes of its live attachments.
//!
//! One worker decides for a connection: the one that owns its first attachment's channel. It alone runs the
//! `active-standby` machine, whose timers others may not see alike, and writes the choice to the board; it alone numbers
//! and recovers what is duplicated, all of a connection or its classes (see `redundancy`). All others read the board. Between the death of the active
//! attachment and the decision they take the best live one, so nobody waits for anybody.

use arrayvec::ArrayVec;
use net::{Instant, earliest};

use super::{Dataplane, Event, Interface};
use crate::{
    ConnectionId, ConnectionSetup, InterfaceId, Place, Protection, Setup, WorkerId,
    frer::{self, RecoveryParams, SequenceGeneration, SequenceRecovery},
    group::MAX_MEMBERS,
    liveness::Board,
    protection::{Classes, MAX_CLASSES, Preference, Standby, best, two_best},
};

/// A connection whose attachments do not simply share the flows.
#[derive(Debug)]
pub(super) struct Protected {
    /// Who decides, numbers and recovers.
    pub(super) owner: WorkerId,
    /// Its attachments, at most [`MAX_MEMBERS`], with how much each is preferred.
    attachments: Vec<(InterfaceId, Preference)>,
    mode: Mode,
    /// For what is duplicated: everything, or the packets of classes.
    pub(super) redundancy: Option<Box<Redundancy>>,
}

/// Who carries what is not of a class.
#[derive(Debug)]
enum Mode {
    Ecmp,
    Standby(Standby),
    /// There is nothing else.
    Duplicate,
}

/// Both directions of what is duplicated. Only the owner's is used.
#[derive(Debug)]
pub(super) struct Redundancy {
    pub(super) generation: SequenceGeneration,
    pub(super) recovery: SequenceRecovery,
    /// Which packets; `None`: all.
    pub(super) classes: Option<Classes>,
    /// Packets that were numbered, by class.
    pub(super) sent: [u64; MAX_CLASSES],
    /// At least one attachment was live when last looked at.
    alive: bool,
}

impl Redundancy {
    fn new(recovery: RecoveryParams, classes: Option<Classes>) -> Box<Self> {
        Box::new(Self {
            generation: SequenceGeneration::new(),
            recovery: SequenceRecovery::new(recovery, Instant::ZERO),
            classes,
            sent: [0; MAX_CLASSES],
            alive: false,
        })
    }
}

impl Protected {
    /// `None` for plain `ecmp`.
    pub(super) fn of(setup: &Setup, id: ConnectionId, connection: &ConnectionSetup) -> Option<Self> {
        let preferences = match (&connection.protection, &connection.twice) {
            (Protection::Ecmp, None) => return None,
            (Protection::Ecmp, Some(twice)) => &twice.preferences,
            (
                Protection::ActiveStandby { preferences, .. } | Protection::Duplicate { preferences, .. },
                _,
            ) => preferences,
        };
        let own = setup.interfaces.iter().enumerate();
        let own = own.filter(|(_, one)| one.connection == id && one.is_attachment());
        let preferences = preferences.iter().copied().chain(core::iter::repeat(0));
        let attachments: Vec<_> =
            own.map(|(at, _)| InterfaceId::at(at)).zip(preferences).take(MAX_MEMBERS).collect();
        let classes = connection.twice.as_ref();
        let classes = classes.map(|one| Redundancy::new(one.recovery, Some(Classes::new(&one.classes))));
        let (mode, redundancy) = match &connection.protection {
            Protection::Ecmp => (Mode::Ecmp, classes),
            Protection::ActiveStandby { standby, .. } => {
                let preferences = attachments.iter().map(|(_, preference)| *preference);
                (Mode::Standby(Standby::new(*standby, preferences)), classes)
            }
            Protection::Duplicate { recovery, .. } => {
                (Mode::Duplicate, Some(Redundancy::new(*recovery, None)))
            }
        };
        let owner = owner(setup, attachments.first().map(|(id, _)| *id));
        Some(Self { owner, attachments, mode, redundancy })
    }

    /// Some packets, and not all, leave twice.
    pub(super) fn has_classes(&self) -> bool {
        self.redundancy.as_ref().is_some_and(|one| one.classes.is_some())
    }

    /// How much each member of a group is preferred; `None` when the group has others than our attachments.
    fn preferences(
        &self,
        members: impl Iterator<Item = InterfaceId>,
    ) -> Option<ArrayVec<Preference, MAX_MEMBERS>> {
        let preference = |member| self.attachments.iter().find(|(id, _)| *id == member).map(|(_, one)| *one);
        members.take(MAX_MEMBERS).map(preference).collect()
    }

    /// Which of a group's `live` members carry its traffic. Groups of other things than our attachments keep theirs.
    fn narrow(&self, board: &Board, live: u64, members: impl Iterator<Item = InterfaceId> + Clone) -> u64 {
        let Some(preferences) = self.preferences(members.clone()) else { return live };
        match &self.mode {
            Mode::Ecmp => live,
            Mode::Duplicate => two_best(&preferences, live),
            Mode::Standby(_) => {
                let chosen = members.take(MAX_MEMBERS).enumerate();
                let chosen = chosen.filter(|(_, member)| board.is_chosen(*member));
                let chosen = live & chosen.fold(0, |bits, (at, _)| bits | 1_u64 << at);
                let among = if chosen == 0 { live } else { chosen };
                best(&preferences, among).map_or(0, |at| 1_u64 << at)
            }
        }
    }

    /// The two best of a group's members that may carry traffic, for packets of classes. None where the group has others than our
    /// attachments: what leaves there leaves once.
    pub(super) fn carriers_of_classes(
        &self,
        board: &Board,
        interfaces: &[Interface],
        members: impl Iterator<Item = (InterfaceId, bool)> + Clone,
    ) -> u64 {
        let preferences = self.preferences(members.clone().map(|(member, _)| member));
        preferences.map_or(0, |preferences| two_best(&preferences, usable(board, interfaces, members)))
    }

    /// Those that may carry traffic: the live ones, or the reserve.
    fn live(&self, board: &Board) -> u64 {
        let among = |may: &dyn Fn(InterfaceId) -> bool| {
            let there = self.attachments.iter().enumerate().filter(|(_, (id, _))| may(*id));
            there.fold(0, |bits, (at, _)| bits | 1_u64 << at)
        };
        or_reserve(among(&|id| board.is_live(id)), || among(&|id| board.is_reserve(id)))
    }

    pub(super) fn active(&self) -> Option<InterfaceId> {
        self.attachments.get(self.standby()?.active()?).map(|(id, _)| *id)
    }

    /// The machine that chooses the active one.
    pub(super) const fn standby(&self) -> Option<&Standby> {
        match &self.mode {
            Mode::Standby(standby) => Some(standby),
            Mode::Ecmp | Mode::Duplicate => None,
        }
    }

    /// To work on it.
    pub(super) const fn standby_mut(&mut self) -> Option<&mut Standby> {
        match &mut self.mode {
            Mode::Standby(standby) => Some(standby),
            Mode::Ecmp | Mode::Duplicate => None,
        }
    }

    fn due(&self) -> Option<Instant> {
        let standby = self.standby().and_then(Standby::poll_timeout);
        let redundancy = self.redundancy.as_ref().and_then(|one| one.recovery.poll_timeout());
        earliest(standby, redundancy)
    }
}

impl Dataplane {
    /// When [`tend_protection`](Self::tend_protection) has something to do.
    pub(super) fn protection_deadline(&self) -> Option<Instant> {
        if !self.protects {
            return None;
        }
        self.own_protected().fold(None, |due, (_, one)| earliest(due, one.due()))
    }

    /// Reverts, reset timeouts and latent errors that are due.
    pub(super) fn tend_protection(&mut self, now: Instant) {
        self.refresh_liveness(now);
        if self.protection_deadline().is_none_or(|due| due > now) {
            return;
        }
        for at in 0..self.connections.len() {
            let Some(one) = self.protected(at) else { continue };
            if one.due().is_none_or(|due| due > now) {
                continue;
            }
            let before = one.active();
            let moved = one.standby_mut().is_some_and(|standby| standby.handle_timeout(now));
            let news = one.redundancy.as_mut().and_then(|redundancy| {
                redundancy.recovery.handle_timeout(now);
                redundancy.recovery.poll_event()
            });
            if moved {
                self.publish(at, before);
            }
            if let Some(event) = news {
                let missing = event == frer::Event::LatentError;
                self.tell(Event::RedundancyLost(ConnectionId::at(at), missing));
            }
        }
        self.refresh_liveness(now);
    }

    /// Attachments came or went: the connections that this worker decides for.
    pub(super) fn decide(&mut self, now: Instant) {
        for at in 0..self.connections.len() {
            let board = self.board.clone();
            let Some(one) = self.protected(at) else { continue };
            let (live, before) = (one.live(&board), one.active());
            if let Some(redundancy) = &mut one.redundancy {
                let alive = live != 0;
                // The far end may be another one when it comes back, and count from 0.
                if core::mem::replace(&mut redundancy.alive, alive) && !alive {
                    redundancy.recovery.reset();
                }
            }
            if one.standby_mut().is_some_and(|standby| standby.set_live(live, now)) {
                self.publish(at, before);
            }
        }
    }

    /// Writes the choice of a connection to the board, and tells it.
    pub(super) fn publish(&mut self, at: usize, before: Option<InterfaceId>) {
        let Some(active) = self.protected(at).map(|one| one.active()) else { return };
        if let Some(before) = before {
            self.board.choose(before, false);
        }
        if let Some(active) = active {
            self.board.choose(active, true);
        }
        self.tell(Event::ActiveMoved { connection: ConnectionId::at(at), from: before, to: active });
    }

    /// A protected connection that this worker decides for.
    pub(super) fn protected(&mut self, at: usize) -> Option<&mut Protected> {
        let me = self.me;
        self.connections.get_mut(at)?.protected.as_mut().filter(|one| one.owner == me)
    }

    /// All of them.
    pub(super) fn own_protected(&self) -> impl Iterator<Item = (ConnectionId, &Protected)> {
        let each = self.connections.iter().enumerate();
        let each = each.filter_map(|(at, one)| Some((ConnectionId::at(at), one.protected.as_ref()?)));
        each.filter(|(_, one)| one.owner == self.me)
    }
}

/// What is drained or of bad quality carries what nothing else can.
fn or_reserve(live: u64, reserve: impl FnOnce() -> u64) -> u64 {
    if live == 0 { reserve() } else { live }
}

/// The members of a group that carry its traffic: the live ones (or else the reserve), as far as the protection wants them. LAN interfaces are
/// always live; attachments are when the board says so. Each member comes with whether it takes part at all.
pub(super) fn carriers(
    protected: Option<&Protected>,
    board: &Board,
    interfaces: &[Interface],
    members: impl Iterator<Item = (InterfaceId, bool)> + Clone,
) -> u64 {
    let live = usable(board, interfaces, members.clone());
    protected.map_or(live, |one| one.narrow(board, live, members.map(|(member, _)| member)))
}

/// The members of a group that are live, or else the reserve.
fn usable(
    board: &Board,
    interfaces: &[Interface],
    members: impl Iterator<Item = (InterfaceId, bool)> + Clone,
) -> u64 {
    let lan = |one: &Interface| matches!(one.facts.place, Place::Lan { .. });
    let among = |may: &dyn Fn(InterfaceId) -> bool| {
        members.clone().take(MAX_MEMBERS).enumerate().fold(0, |bits, (at, (member, takes_part))| {
            let live = interfaces.get(member.index()).is_some_and(|one| lan(one) || may(member));
            bits | u64::from(live && takes_part) << at
        })
    };
    or_reserve(among(&|id| board.is_live(id)), || among(&|id| board.is_reserve(id)))
}

fn owner(setup: &Setup, attachment: Option<InterfaceId>) -> WorkerId {
    let place = attachment.and_then(|id| setup.interfaces.get(id.index())).map(|one| one.place);
    match place {
        Some(Place::Attachment { channel, .. }) => {
            setup.channels.get(channel.index()).map_or(WorkerId(0), |channel| channel.owner)
        }
        Some(Place::Lan { .. }) | None => WorkerId(0),
    }
}
