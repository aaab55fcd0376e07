//! What is broken in each act, how it is mended, and what it may cost.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::lab::wire::quantity::Share;
use crate::lab::wire::{Impairment, Way};
use crate::lab::{LabError, WiredSites};

/// One way to break something.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// One channel's link goes down
    LinkDown,
    /// One channel swallows everything, and its link stays up
    BlackHole,
    /// One channel loses one frame in twenty, and its link stays up
    Lossy,
    /// One gateway's process is killed and started again
    KillAndRestart,
    /// Three channels' links go down at once
    ThreeOfFour,
}

/// The acts that today's gateways can stand, in order. A black hole needs BFD to be found, and a lossy channel needs
/// the measured quality of a path.
pub(super) const PROGRAMME: &[Act] = &[Act::LinkDown, Act::KillAndRestart, Act::ThreeOfFour];

impl Act {
    /// What the audience reads.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::LinkDown => "link down",
            Self::BlackHole => "black hole",
            Self::Lossy => "5 % lost",
            Self::KillAndRestart => "kill -9, restart",
            Self::ThreeOfFour => "three of four down",
        }
    }

    /// The channels that it breaks.
    pub(super) const fn channels(self) -> &'static [&'static str] {
        match self {
            Self::LinkDown | Self::BlackHole | Self::Lossy => &["ch1"],
            Self::KillAndRestart => &[],
            Self::ThreeOfFour => &["ch1", "ch2", "ch3"],
        }
    }

    /// The site whose gateway it kills.
    pub(super) const fn kills(self) -> Option<char> {
        match self {
            Self::KillAndRestart => Some('a'),
            Self::LinkDown | Self::BlackHole | Self::Lossy | Self::ThreeOfFour => None,
        }
    }

    /// Breaks the channels.
    pub(super) fn hurt(self, sites: &WiredSites) -> Result<(), LabError> {
        match self {
            Self::LinkDown | Self::ThreeOfFour => sites.cut(self.channels()),
            Self::BlackHole => self.impair(sites, |impairment| impairment.blackhole = true),
            Self::Lossy => self.impair(sites, |impairment| impairment.loss = Share::percent(5)),
            Self::KillAndRestart => Ok(()),
        }
    }

    fn impair(self, sites: &WiredSites, change: impl Fn(&mut Impairment)) -> Result<(), LabError> {
        self.channels().iter().try_for_each(|channel| sites.impair(channel, Way::Both, &change))
    }

    /// Mends the channels.
    pub(super) fn mend(self, sites: &WiredSites) -> Result<(), LabError> {
        sites.heal(self.channels())
    }

    /// How long traffic may be silent, on a machine whose timers are on time.
    pub(super) const fn longest_gap(self) -> Duration {
        match self {
            Self::LinkDown | Self::ThreeOfFour => Duration::from_millis(5),
            // BFD at 50 ms, three lost.
            Self::BlackHole => Duration::from_millis(150),
            // A second to measure, one more to be sure.
            Self::Lossy => Duration::from_millis(2500),
            // The process, its ports, its packet numbers, and its neighbours' addresses.
            Self::KillAndRestart => Duration::from_millis(1500),
        }
    }

    /// How long it stays broken: long enough for the gateways to find it.
    pub(super) const fn lasts(self) -> Duration {
        match self {
            Self::Lossy => Duration::from_secs(4),
            Self::LinkDown | Self::BlackHole | Self::KillAndRestart | Self::ThreeOfFour => {
                Duration::from_millis(1200)
            }
        }
    }

    /// Whether flows of the channels that it does not break must not notice anything.
    pub(super) const fn spares_others(self) -> bool {
        !matches!(self, Self::KillAndRestart)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_breaks_channels_or_a_gateway_and_leaves_a_path() {
        for act in Act::value_variants() {
            assert_ne!(act.channels().is_empty(), act.kills().is_none(), "{act:?}");
            assert!(act.channels().len() < 4 && !act.longest_gap().is_zero());
            assert!(act.kills().is_some() || act.lasts() > act.longest_gap(), "it can be found in time");
        }
        assert!(!PROGRAMME.contains(&Act::BlackHole), "until BFD finds it");
    }
}
