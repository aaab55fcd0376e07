//! The captures at both ends of all channels.
//!
//! Both ends, because a gateway's transmit path goes past the place where its own kernel captures: what site A sends is
//! seen where site B receives it, and the other way round.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use net::Instant;

use super::flows::Period;
use crate::clock;
use crate::lab::Lab;
use crate::lab::capture::{Capture, CaptureOptions, SLICE, Seen};

/// Captures under way.
#[derive(Debug)]
pub(super) struct Watch {
    started: Instant,
    at_a: Capture,
    at_b: Capture,
}

/// What they saw, channel by channel.
#[derive(Debug)]
pub(super) struct Watched {
    started: Instant,
    /// Incoming: what B sent.
    pub(super) at_a: Vec<Seen>,
    /// Incoming: what A sent.
    pub(super) at_b: Vec<Seen>,
}

impl Watch {
    pub(super) fn start(lab: &Lab, channels: &[String], file: Option<PathBuf>) -> anyhow::Result<Self> {
        let options = CaptureOptions::new(channels);
        let begin = |node: &str, options: &CaptureOptions| -> anyhow::Result<Capture> {
            Capture::start(lab.namespace(node)?, options).with_context(|| format!("capturing at {node}"))
        };
        let started = clock::now();
        let at_a = begin("gw-a", &options)?;
        let at_b = begin("gw-b", &CaptureOptions { file, ..options })?;
        Ok(Self { started, at_a, at_b })
    }

    pub(super) fn begin_period(&self, period: Period) {
        self.at_a.begin_period(period.number());
        self.at_b.begin_period(period.number());
    }

    pub(super) fn stop(self) -> anyhow::Result<Watched> {
        let at_a = self.at_a.stop().context("capturing at gw-a")?;
        let at_b = self.at_b.stop().context("capturing at gw-b")?;
        Ok(Watched { started: self.started, at_a, at_b })
    }
}

impl Watched {
    /// Frames into site B over time from `from` on, a row for each channel of at most `columns` numbers, and the time
    /// that one number stands for.
    pub(super) fn over_time(&self, from: Instant, columns: usize) -> (Vec<(String, Vec<u64>)>, Duration) {
        let skip =
            usize::try_from(from.since(self.started).as_nanos() / SLICE.as_nanos()).unwrap_or(usize::MAX);
        let longest = self.at_b.iter().map(|seen| seen.over_time.len()).max().unwrap_or(0);
        let slices = longest.saturating_sub(skip);
        let together = slices.div_ceil(columns.max(1)).max(1);
        let row = |seen: &Seen| {
            let mut counts: Vec<u64> = seen.over_time.iter().skip(skip).copied().collect();
            counts.resize(slices, 0);
            (seen.interface.clone(), counts.chunks(together).map(|some| some.iter().sum()).collect())
        };
        let each = SLICE.saturating_mul(u32::try_from(together).unwrap_or(u32::MAX));
        (self.at_b.iter().map(row).collect(), each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_cut_to_the_columns_there_are() {
        let seen = |interface: &str, over_time: &[u64]| Seen {
            interface: interface.to_owned(),
            over_time: over_time.to_vec(),
            ..Seen::default()
        };
        let at_b = vec![seen("ch1", &[9, 9, 1, 2, 3, 4, 5]), seen("ch2", &[9, 9, 6])];
        let watched = Watched { started: Instant::ZERO, at_a: Vec::new(), at_b };
        let (rows, each) = watched.over_time(Instant::from_nanos(200_000_000), 3);
        assert_eq!(rows, [("ch1".to_owned(), vec![3, 7, 5]), ("ch2".to_owned(), vec![6, 0, 0])]);
        assert_eq!(each, SLICE * 2);
    }
}
