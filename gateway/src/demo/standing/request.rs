//! What is said between a `lab` command and the lab's process: a line of JSON each way.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::status::Status;
use crate::lab::wire::quantity::{Rate, Share};
use crate::lab::wire::{Impairment, Queue, Way};

/// How a lab is built.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Setup {
    /// How many channels, 1 to 16.
    pub channels: u8,
    /// How the connection uses them.
    pub mode: Mode,
    /// Write the configurations and build the network, but start no gateway.
    pub config_only: bool,
    /// What chances are drawn from.
    pub seed: u64,
}

/// How the connection of the lab uses its channels: `protection` in the configuration.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Flows over all live channels
    #[default]
    Ecmp,
    /// One channel, another when it fails
    ActiveStandby,
    /// Every frame over two channels
    Duplicate,
}

impl Mode {
    /// The word of the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ecmp => "ecmp",
            Self::ActiveStandby => "active-standby",
            Self::Duplicate => "duplicate",
        }
    }
}

/// What the lab is to do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// Tell how it is.
    Status,
    /// Take channels down.
    Cut {
        /// Which.
        channels: Vec<String>,
    },
    /// Make channels good again, or up again.
    Heal {
        /// Which; all when none is named.
        channels: Vec<String>,
    },
    /// Do something to the frames of channels.
    Impair {
        /// Which.
        channels: Vec<String>,
        /// In which direction.
        way: Way,
        /// What.
        change: Change,
    },
    /// Kill a gateway (`SIGKILL`).
    Kill {
        /// `a` or `b`.
        site: char,
    },
    /// Start a gateway that is not running.
    Start {
        /// `a` or `b`.
        site: char,
    },
    /// End.
    Down,
}

/// A change of what is done to frames; the rest stays as it was.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Swallow them all.
    Blackhole,
    /// Lose some.
    Loss(Share),
    /// Turn a bit of some.
    Corrupt(Share),
    /// Send some twice.
    Duplicate(Share),
    /// Send them later.
    Delay {
        /// By so much.
        time: Duration,
        /// And up to so much more or less.
        jitter: Duration,
        /// Even if that changes their order.
        reorder: bool,
    },
    /// Let no more pass than fit.
    Limit {
        /// So much.
        rate: Rate,
        /// While so much waits.
        queue: Queue,
    },
}

impl Change {
    /// Makes it.
    pub const fn apply(self, to: &mut Impairment) {
        match self {
            Self::Blackhole => to.blackhole = true,
            Self::Loss(share) => to.loss = share,
            Self::Corrupt(share) => to.corrupt = share,
            Self::Duplicate(share) => to.duplicate = share,
            Self::Delay { time, jitter, reorder } => {
                (to.delay, to.jitter, to.reorder) = (time, jitter, reorder);
            }
            Self::Limit { rate, queue } => (to.rate, to.queue) = (Some(rate), queue),
        }
    }
}

/// What the lab answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It did; this is how it is now.
    Done(Box<Status>),
    /// It did not.
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_travel_as_one_line() {
        let change = Change::Delay { time: Duration::from_millis(20), jitter: Duration::ZERO, reorder: true };
        for request in [
            Request::Status,
            Request::Heal { channels: Vec::new() },
            Request::Impair { channels: vec!["ch1".to_owned()], way: Way::AToB, change },
            Request::Kill { site: 'a' },
        ] {
            let line = serde_json::to_string(&request).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
        }
        let refused = r#"{"do":"impair","channels":[],"way":"both","change":{"loss":2000000}}"#;
        assert!(serde_json::from_str::<Request>(refused).is_err());
    }

    #[test]
    fn changes_add_up() {
        let mut all = Impairment::default();
        Change::Loss(Share::percent(5)).apply(&mut all);
        Change::Limit { rate: Rate::SLOWEST, queue: Queue(9) }.apply(&mut all);
        Change::Loss(Share::percent(1)).apply(&mut all);
        assert_eq!((all.loss, all.rate, all.queue), (Share::percent(1), Some(Rate::SLOWEST), Queue(9)));
    }
}
