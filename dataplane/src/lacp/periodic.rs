//! Periodic Transmission machine (§6.4.13, Figure 6-19) and Transmit machine (§6.4.16).

use net::{Instant, earliest};

use super::{FAST_PERIODIC, SLOW_PERIODIC, port::Port, state::PortState};

/// LACPDUs that may be sent in any [`FAST_PERIODIC`] (§6.4.16).
pub(super) const MOST: usize = 3;

/// A state of the Periodic Transmission machine. PERIODIC_TX is left at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PeriodicState {
    /// Nothing is sent: the port is not enabled, or both ends are passive.
    NoPeriodic,
    /// Every second.
    FastPeriodic,
    /// Every 30 seconds.
    SlowPeriodic,
}

impl PeriodicState {
    /// The name in tables and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoPeriodic => "no_periodic",
            Self::FastPeriodic => "fast_periodic",
            Self::SlowPeriodic => "slow_periodic",
        }
    }
}

impl Port {
    /// What the machine does now that something changed, or time passed. True when it moved.
    pub(super) fn step_periodic(&mut self, now: Instant) -> bool {
        let fast = self.partner.state.has(PortState::TIMEOUT);
        let silent = !self.enabled
            || !self.actor.state.has(PortState::ACTIVITY) && !self.partner.state.has(PortState::ACTIVITY);
        let expired = self.periodic_timer.is_some_and(|due| due <= now);
        let next = match self.periodic {
            _ if silent => PeriodicState::NoPeriodic,
            PeriodicState::NoPeriodic if fast => PeriodicState::FastPeriodic,
            PeriodicState::NoPeriodic => PeriodicState::SlowPeriodic,
            // PERIODIC_TX: the partner is to hear at once that it will be heard from often.
            PeriodicState::SlowPeriodic if fast || expired => {
                self.ntt = true;
                if fast { PeriodicState::FastPeriodic } else { PeriodicState::SlowPeriodic }
            }
            PeriodicState::FastPeriodic if expired => {
                self.ntt = true;
                if fast { PeriodicState::FastPeriodic } else { PeriodicState::SlowPeriodic }
            }
            PeriodicState::FastPeriodic if !fast => PeriodicState::SlowPeriodic,
            state @ (PeriodicState::FastPeriodic | PeriodicState::SlowPeriodic) => state,
        };
        let moved = next != self.periodic;
        if moved || expired {
            self.periodic_timer = match next {
                PeriodicState::NoPeriodic => None,
                PeriodicState::FastPeriodic => Some(now.after(FAST_PERIODIC)),
                PeriodicState::SlowPeriodic => Some(now.after(SLOW_PERIODIC)),
            };
        }
        self.periodic = next;
        moved
    }

    /// Whether a LACPDU leaves now: something is to be told (NTT), the machine is not in NO_PERIODIC, and fewer than three left within
    /// the last second.
    pub(super) fn takes_turn(&mut self, now: Instant) -> bool {
        if self.periodic == PeriodicState::NoPeriodic {
            self.ntt = false;
        }
        if !self.ntt || self.not_before().is_some_and(|at| at > now) {
            return false;
        }
        self.ntt = false;
        self.sent.rotate_left(1);
        if let Some(last) = self.sent.last_mut() {
            *last = Some(now);
        }
        true
    }

    /// When one more LACPDU may leave.
    fn not_before(&self) -> Option<Instant> {
        self.sent.first().copied().flatten().map(|sent| sent.after(FAST_PERIODIC))
    }

    /// When the two machines want to be looked at.
    pub(super) fn transmit_due(&self) -> Option<Instant> {
        let waiting = self.ntt && self.periodic != PeriodicState::NoPeriodic;
        earliest(self.periodic_timer, if waiting { self.not_before().or(Some(Instant::ZERO)) } else { None })
    }
}
