//! Mux machine with independent control of Collecting and Distributing (§6.4.15, Figure 6-21).
//!
//! Independent, because then a port takes frames before its partner sends any, and sends none before its partner takes them: no frame is
//! lost when a member joins. A partner with coupled control (Linux, most switches) goes along with either.

use net::Instant;

use super::{AGGREGATE_WAIT, GRACE, port::Port, selection::Selected, state::PortState};

/// A state of the machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MuxState {
    /// It belongs to no Aggregator.
    Detached,
    /// It waits for others that may join the Aggregator with it.
    Waiting,
    /// It belongs to the Aggregator.
    Attached,
    /// Frames from it are taken.
    Collecting,
    /// And frames are sent by it.
    Distributing,
}

impl MuxState {
    /// The name in tables and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Detached => "detached",
            Self::Waiting => "waiting",
            Self::Attached => "attached",
            Self::Collecting => "collecting",
            Self::Distributing => "distributing",
        }
    }
}

impl Port {
    /// One transition, if one is due. `ready`: every port that waits for the Aggregator has waited long enough (Ready).
    pub(super) fn step_mux(&mut self, ready: bool, now: Instant) -> bool {
        let selected = self.selected == Selected::Selected;
        let synchronized = selected && self.partner.state.has(PortState::SYNCHRONIZATION);
        let collected = synchronized && self.partner.state.has(PortState::COLLECTING);
        let next = match (self.mux, self.selected) {
            (MuxState::Detached, Selected::Selected) => MuxState::Waiting,
            // A port on standby stays where it costs nothing; the standard lets it wait, which is the same to the partner.
            (MuxState::Detached, Selected::Unselected(_) | Selected::Standby) => return false,
            (MuxState::Waiting, Selected::Unselected(_) | Selected::Standby) => MuxState::Detached,
            (MuxState::Waiting, Selected::Selected) if ready => MuxState::Attached,
            (MuxState::Waiting, Selected::Selected) => return false,
            (MuxState::Attached, _) if !selected => MuxState::Detached,
            (MuxState::Attached, _) if synchronized => MuxState::Collecting,
            (MuxState::Attached, _) => return false,
            (MuxState::Collecting, _) if !synchronized => MuxState::Attached,
            (MuxState::Collecting, _) if collected => MuxState::Distributing,
            (MuxState::Collecting, _) => return false,
            (MuxState::Distributing, _) if !collected => MuxState::Collecting,
            (MuxState::Distributing, _) => return false,
        };
        self.enter_mux(next, now);
        true
    }

    fn enter_mux(&mut self, next: MuxState, now: Instant) {
        let collected = matches!(self.mux, MuxState::Collecting | MuxState::Distributing);
        if collected && next == MuxState::Attached && self.selected == Selected::Standby && self.enabled {
            self.grace = Some(now.after(GRACE));
        }
        self.mux = next;
        let (attached, collecting, distributing) = match next {
            MuxState::Detached | MuxState::Waiting => (false, false, false),
            MuxState::Attached => (true, false, false),
            MuxState::Collecting => (true, true, false),
            MuxState::Distributing => (true, true, true),
        };
        self.wait_while = (next == MuxState::Waiting).then(|| now.after(AGGREGATE_WAIT));
        self.actor.state.set(PortState::SYNCHRONIZATION, attached);
        self.actor.state.set(PortState::COLLECTING, collecting);
        self.actor.state.set(PortState::DISTRIBUTING, distributing);
        self.ntt |= next != MuxState::Waiting;
    }

    /// wait_while_timer, when it has expired.
    pub(super) fn wait_timeout(&mut self, now: Instant) {
        if self.wait_while.is_some_and(|due| due <= now) {
            self.wait_while = None;
        }
    }

    /// Ready_N: it does not wait, or wait_while_timer has expired.
    pub(super) const fn is_ready(&self) -> bool {
        self.wait_while.is_none()
    }

    /// Whether frames from the port are taken.
    pub(super) const fn collects(&self) -> bool {
        self.actor.state.has(PortState::COLLECTING) || self.grace.is_some()
    }

    /// Whether frames are sent by the port.
    pub(super) const fn distributes(&self) -> bool {
        self.actor.state.has(PortState::DISTRIBUTING)
    }

    /// Ends the grace of a port on standby: time is up, or the partner sends no more.
    pub(super) fn step_grace(&mut self, now: Instant) {
        let over = |until: Instant| {
            until <= now || !self.enabled || !self.partner.state.has(PortState::DISTRIBUTING)
        };
        if self.grace.is_some_and(over) {
            self.grace = None;
        }
    }
}
