//! One Aggregation Port: the variables of §6.4.7 and §6.4.8, and its machines side by side.

use net::{Instant, earliest};

use super::{
    LacpEvent, LacpParams, MemberParams, MemberStatus,
    churn::{Churn, ChurnState},
    mux::MuxState,
    pdu::Lacpdu,
    periodic::{MOST, PeriodicState},
    receive::ReceiveState,
    selection::{Kept, Selected},
    state::{PortInfo, PortState},
    status::{Left, MemberCounters},
};
use crate::icmp::RateLimiter;

/// Answers to markers per second: what Slow Protocols may send in all (802.3 Annex 57A.3).
const RESPONSES: u32 = 10;

/// A member's port.
#[derive(Debug)]
pub(super) struct Port {
    /// port_enabled.
    pub(super) enabled: bool,
    /// An operator holds it back.
    pub(super) standby: bool,
    /// Actor_Oper parameters.
    pub(super) actor: PortInfo,
    /// Partner_Oper parameters.
    pub(super) partner: PortInfo,
    pub(super) selected: Selected,
    /// Need To Transmit.
    pub(super) ntt: bool,
    pub(super) receive: ReceiveState,
    pub(super) periodic: PeriodicState,
    pub(super) mux: MuxState,
    pub(super) actor_churn: Churn,
    pub(super) partner_churn: Churn,
    /// When current_while_timer expires, and so on (§6.4.10).
    pub(super) current_while: Option<Instant>,
    pub(super) periodic_timer: Option<Instant>,
    pub(super) wait_while: Option<Instant>,
    /// Until when it goes on collecting although it is on standby.
    pub(super) grace: Option<Instant>,
    /// When the last LACPDUs left, the oldest first.
    pub(super) sent: [Option<Instant>; MOST],
    pub(super) responses: RateLimiter,
    pub(super) counters: MemberCounters,
    heard: Option<Instant>,
    since: Instant,
    /// What was last told of it.
    told: Told,
}

/// What people know of a port.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Told {
    distributes: bool,
    partner: Option<((u16, net::MacAddr), u16)>,
    kept: Option<Kept>,
}

impl Port {
    /// BEGIN.
    pub(super) fn new(params: &LacpParams, member: &MemberParams) -> Self {
        let mut state = PortState::AGGREGATION;
        state.set(PortState::ACTIVITY, params.active);
        state.set(PortState::TIMEOUT, params.short_timeout);
        let actor = PortInfo {
            system_priority: params.system_priority,
            system: params.system,
            key: params.key,
            port_priority: member.priority,
            port: member.number,
            state,
        };
        let mut port = Self {
            enabled: false,
            standby: false,
            actor,
            partner: PortInfo::default(),
            selected: Selected::Unselected(Kept::Unheard),
            ntt: false,
            receive: ReceiveState::PortDisabled,
            periodic: PeriodicState::NoPeriodic,
            mux: MuxState::Detached,
            actor_churn: Churn::default(),
            partner_churn: Churn::default(),
            current_while: None,
            periodic_timer: None,
            wait_while: None,
            grace: None,
            sent: [None; MOST],
            responses: RateLimiter::new(RESPONSES, RESPONSES),
            counters: MemberCounters::default(),
            heard: None,
            since: Instant::ZERO,
            told: Told::default(),
        };
        port.initialize();
        port
    }

    /// A LACPDU came.
    pub(super) fn hear(&mut self, pdu: &Lacpdu, now: Instant) {
        self.counters.lacpdus_rx += 1;
        self.heard = Some(now);
        let synchronized = |port: &Self| port.partner.state.has(PortState::SYNCHRONIZATION);
        let before = synchronized(self);
        self.receive_pdu(pdu, now);
        self.counters.partner_syncs += u64::from(synchronized(self) && !before);
    }

    /// When it was heard, and since when it is as it is: for people.
    pub(super) const fn stands(&self) -> (Option<Instant>, Instant) {
        (self.heard, self.since)
    }

    /// It has been heard, and was so, before this process was.
    pub(super) const fn stand(&mut self, (heard, since): (Option<Instant>, Instant)) {
        (self.heard, self.since) = (heard, since);
    }

    /// One step of the Mux machine, with what is told about it. True when it moved.
    pub(super) fn advance(&mut self, ready: bool, now: Instant) -> bool {
        let attached = |port: &Self| port.actor.state.has(PortState::SYNCHRONIZATION);
        let before = attached(self);
        let moved = self.step_mux(ready, now);
        self.counters.actor_syncs += u64::from(attached(self) && !before);
        if moved {
            self.since = now;
        }
        moved
    }

    /// The machines that follow the others.
    pub(super) fn follow(&mut self, now: Instant) {
        self.step_periodic(now);
        self.step_grace(now);
    }

    /// What is to be told of the port since the last time.
    pub(super) fn news(&mut self, now: Instant, mut tell: impl FnMut(LacpEvent)) {
        let hears = self.receive == ReceiveState::Current;
        let partner = hears.then_some((self.partner.system_id(), self.partner.key)).or(self.told.partner);
        if partner != self.told.partner {
            tell(LacpEvent::Partner(self.partner));
        }
        let distributes = self.distributes();
        if distributes != self.told.distributes {
            tell(if distributes { LacpEvent::Joined } else { LacpEvent::Left(self.why_left()) });
        }
        let kept = match self.selected {
            Selected::Unselected(Kept::Unheard) if self.receive != ReceiveState::Defaulted => None,
            Selected::Unselected(why) => Some(why),
            Selected::Selected | Selected::Standby => None,
        };
        if let Some(why) = kept.filter(|_| kept != self.told.kept) {
            tell(LacpEvent::KeptOut(why));
        }
        self.told = Told { distributes, partner, kept };
        let (ours, theirs) = (self.actor.state, self.partner.state);
        if self.actor_churn.step(self.enabled, ours.has(PortState::SYNCHRONIZATION), now) {
            tell(LacpEvent::Churn { actor: true, begins: self.actor_churn.state == ChurnState::Churn });
        }
        if self.partner_churn.step(self.enabled, theirs.has(PortState::SYNCHRONIZATION), now) {
            tell(LacpEvent::Churn { actor: false, begins: self.partner_churn.state == ChurnState::Churn });
        }
    }

    /// Why it does not distribute any more.
    const fn why_left(&self) -> Left {
        match (self.receive, self.selected) {
            _ if !self.enabled => Left::Disabled,
            (ReceiveState::Expired | ReceiveState::Defaulted, _) => Left::Silence,
            (_, Selected::Standby) => Left::Standby,
            (_, Selected::Unselected(Kept::Unheard)) => Left::Partner,
            (_, Selected::Unselected(why)) => Left::Unselected(why),
            (_, Selected::Selected) => Left::Partner,
        }
    }

    /// When anything happens by itself.
    pub(super) fn due(&self) -> Option<Instant> {
        let timers =
            [self.current_while, self.wait_while, self.grace, self.actor_churn.due, self.partner_churn.due];
        timers.into_iter().fold(self.transmit_due(), earliest)
    }

    pub(super) const fn status(&self) -> MemberStatus {
        let mut counters = self.counters;
        counters.actor_churns = self.actor_churn.count;
        counters.partner_churns = self.partner_churn.count;
        MemberStatus {
            enabled: self.enabled,
            actor: self.actor,
            partner: self.partner,
            selected: self.selected,
            receive: self.receive,
            periodic: self.periodic,
            mux: self.mux,
            since: self.since,
            heard: self.heard,
            actor_churn: self.actor_churn.state,
            partner_churn: self.partner_churn.state,
            collects: self.collects(),
            distributes: self.distributes(),
            counters,
        }
    }
}
