//! What is broken in each act, how it is mended, and what it may cost.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::super::site::{BFD_DETECTION, QUALITY_DETECTION};
use super::super::standing::Mode;
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
    /// One channel is drained, its link is taken down, brought back, and it is undrained
    Drain,
    /// One gateway's process is killed and started again
    KillAndRestart,
    /// One gateway hands over to a successor, as with an upgrade
    PlannedRestart,
    /// Three channels' links go down at once
    ThreeOfFour,
    /// One channel loses one frame in twenty, and its link stays up
    Lossy,
}

impl Act {
    /// All, in the order in which they are played.
    pub const PROGRAMME: &[Self] = &[
        Self::LinkDown,
        Self::BlackHole,
        Self::Drain,
        Self::KillAndRestart,
        Self::PlannedRestart,
        Self::ThreeOfFour,
        Self::Lossy,
    ];

    /// What the audience reads.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::LinkDown => "link down",
            Self::BlackHole => "black hole",
            Self::Lossy => "5 % lost",
            Self::Drain => "drain, then down",
            Self::KillAndRestart => "kill -9, restart",
            Self::PlannedRestart => "planned restart",
            Self::ThreeOfFour => "three of four down",
        }
    }

    /// The channels that it breaks: some that carry traffic. Of three channels, `duplicate` keeps one of the two that
    /// carry copies: what both lose at once, nothing brings back.
    pub(super) const fn channels(self, mode: Mode) -> &'static [&'static str] {
        match (self, mode) {
            (Self::LinkDown | Self::BlackHole | Self::Lossy | Self::Drain, _) => &["ch1"],
            (Self::KillAndRestart | Self::PlannedRestart, _) => &[],
            (Self::ThreeOfFour, Mode::Ecmp | Mode::ActiveStandby) => &["ch1", "ch2", "ch3"],
            (Self::ThreeOfFour, Mode::Duplicate) => &["ch2", "ch3", "ch4"],
        }
    }

    /// The site whose gateway it kills.
    pub(super) const fn kills(self) -> Option<char> {
        match self {
            Self::KillAndRestart => Some('a'),
            Self::LinkDown
            | Self::BlackHole
            | Self::Lossy
            | Self::Drain
            | Self::PlannedRestart
            | Self::ThreeOfFour => None,
        }
    }

    /// The site whose gateway it has hand over to a successor.
    pub const fn hands_over(self) -> Option<char> {
        match self {
            Self::PlannedRestart => Some('a'),
            Self::LinkDown
            | Self::BlackHole
            | Self::Lossy
            | Self::Drain
            | Self::KillAndRestart
            | Self::ThreeOfFour => None,
        }
    }

    /// Breaks the channels.
    pub(super) fn hurt(self, mode: Mode, sites: &WiredSites) -> Result<(), LabError> {
        match self {
            Self::LinkDown | Self::Drain | Self::ThreeOfFour => sites.cut(self.channels(mode)),
            Self::BlackHole => self.impair(mode, sites, |impairment| impairment.blackhole = true),
            Self::Lossy => self.impair(mode, sites, |impairment| impairment.loss = Share::percent(5)),
            Self::KillAndRestart | Self::PlannedRestart => Ok(()),
        }
    }

    fn impair(
        self,
        mode: Mode,
        sites: &WiredSites,
        change: impl Fn(&mut Impairment),
    ) -> Result<(), LabError> {
        self.channels(mode).iter().try_for_each(|channel| sites.impair(channel, Way::Both, &change))
    }

    /// Mends the channels.
    pub(super) fn mend(self, mode: Mode, sites: &WiredSites) -> Result<(), LabError> {
        sites.heal(self.channels(mode))
    }

    /// How long traffic may be silent, on a machine whose timers are on time.
    pub(super) const fn longest_gap(self) -> Duration {
        match self {
            Self::LinkDown | Self::Drain | Self::ThreeOfFour => Duration::from_millis(5),
            // Loss makes many short silences; a longer one is a black hole.
            Self::BlackHole | Self::Lossy => BFD_DETECTION,
            // The process, its ports, its keys, its BFD and BGP sessions. None of them waits for a retry.
            Self::KillAndRestart => Duration::from_secs(1),
            // Frames wait in rings that both processes have.
            Self::PlannedRestart => Duration::from_millis(100),
        }
    }

    /// How long the gateways may take to find it, or, if it is planned, until the channel is safe to work on; `None` where
    /// nobody has to find anything.
    pub(super) const fn found_within(self) -> Option<Duration> {
        match self {
            Self::LinkDown | Self::BlackHole | Self::ThreeOfFour => Some(self.longest_gap()),
            Self::Lossy => Some(QUALITY_DETECTION),
            // Traffic moves at once, and a second without any shows that it has.
            Self::Drain => Some(Duration::from_secs(5)),
            Self::KillAndRestart | Self::PlannedRestart => None,
        }
    }

    /// How long it stays broken: long enough for the gateways to find it. Where that takes a measurement
    /// ([`is_measured`](Self::is_measured)): from there on.
    pub(super) const fn lasts(self) -> Duration {
        Duration::from_millis(1200)
    }

    /// Whether only a measured quality can find it, and not any silence.
    pub(super) const fn is_measured(self) -> bool {
        matches!(self, Self::Lossy)
    }

    /// Whether nothing may be lost at all: traffic has moved before, or a copy of everything goes over a channel that
    /// lives.
    pub(super) const fn loses_nothing(self, mode: Mode) -> bool {
        let planned = self.is_planned() || self.hands_over().is_some();
        planned || matches!(mode, Mode::Duplicate) && self.kills().is_none()
    }

    /// Whether the gateways are asked before, and have traffic move.
    pub(super) const fn is_planned(self) -> bool {
        matches!(self, Self::Drain)
    }

    /// Whether flows of the channels that it does not break must not notice anything.
    pub(super) const fn spares_others(self) -> bool {
        !matches!(self, Self::KillAndRestart | Self::PlannedRestart)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_breaks_channels_or_a_gateway_and_leaves_a_path() {
        for act in Act::value_variants() {
            for mode in Mode::value_variants() {
                let channels = act.channels(*mode);
                let gateway = act.kills().or_else(|| act.hands_over());
                assert_eq!(channels.is_empty(), gateway.is_some(), "{act:?}");
                assert!(channels.len() < 4 && !act.longest_gap().is_zero());
            }
            assert!(act.kills().is_some() || act.lasts() > act.longest_gap(), "it can be found in time");
            assert_eq!(act.found_within().is_none(), act.kills().or_else(|| act.hands_over()).is_some());
        }
        assert_eq!(Act::PROGRAMME, Act::value_variants(), "all are played");
    }
}
