//! Churn Detection machines (§6.4.17): a port that LACP cannot bring into step for a minute is told of.

use net::Instant;

use super::CHURN_DETECTION;

/// A state of one of the two machines.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ChurnState {
    /// In step.
    NoChurn,
    /// Not in step, and it is not late yet.
    #[default]
    Monitor,
    /// Not in step for a minute.
    Churn,
}

impl ChurnState {
    /// The name in tables and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoChurn => "none",
            Self::Monitor => "monitor",
            Self::Churn => "churn",
        }
    }
}

/// One machine: the Actor's, or the Partner's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Churn {
    pub(super) state: ChurnState,
    pub(super) due: Option<Instant>,
    /// How often it came to churn.
    pub(super) count: u64,
}

impl Churn {
    /// Looks at the Synchronization bit of its end. True when churn began or ended.
    pub(super) fn step(&mut self, enabled: bool, synchronized: bool, now: Instant) -> bool {
        let before = self.state;
        let late = self.due.is_some_and(|due| due <= now);
        self.state = match before {
            _ if !enabled => ChurnState::Monitor,
            _ if synchronized => ChurnState::NoChurn,
            ChurnState::NoChurn => ChurnState::Monitor,
            ChurnState::Monitor if late => ChurnState::Churn,
            state @ (ChurnState::Monitor | ChurnState::Churn) => state,
        };
        self.due = match self.state {
            ChurnState::Monitor if enabled => self
                .due
                .filter(|_| before == ChurnState::Monitor)
                .or_else(|| Some(now.after(CHURN_DETECTION))),
            ChurnState::Monitor | ChurnState::NoChurn | ChurnState::Churn => None,
        };
        let churns = |state| state == ChurnState::Churn;
        self.count += u64::from(churns(self.state) && !churns(before));
        churns(self.state) != churns(before)
    }
}
