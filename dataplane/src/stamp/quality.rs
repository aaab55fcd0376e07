//! Is a path good enough? Thresholds with hysteresis over the reports of its [`Sender`](super::Sender).
//!
//! A path becomes bad when the last `bad_windows` reports, taken together, exceed a threshold, and good again when the last
//! `good_windows` reports, together, stay within `recover_percent` of every threshold. Reports of seconds in which nothing was
//! sent say nothing. So one bad second among good ones does no harm, and a path at the threshold does not flap.

use core::time::Duration;

use arrayvec::ArrayVec;

use super::Report;

/// Reports that may be looked at together.
const WINDOWS: usize = 64;
const MILLION: u64 = 1_000_000;

/// What a path may be like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Thresholds {
    /// Lost probes, both ways together, in parts per million.
    pub loss_ppm: Option<u32>,
    /// Mean round trip.
    pub rtt: Option<Duration>,
    /// Mean delay variation of the worse direction.
    pub jitter: Option<Duration>,
    /// Seconds that make a path bad, 1..=64.
    pub bad_windows: u8,
    /// Seconds that make it good again, 1..=64.
    pub good_windows: u8,
    /// How much of each threshold it must stay within for that, 0..=100.
    pub recover_percent: u8,
}

impl Default for Thresholds {
    /// 2 % loss over 3 s; good again after 10 s within half of that.
    fn default() -> Self {
        Self {
            loss_ppm: Some(20_000),
            rtt: None,
            jitter: None,
            bad_windows: 3,
            good_windows: 10,
            recover_percent: 50,
        }
    }
}

/// What was exceeded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Why {
    /// Too many probes are lost.
    Loss,
    /// The round trip takes too long.
    Delay,
    /// The delay varies too much.
    Jitter,
}

/// The judge of one path; good at the start.
#[derive(Clone, Debug)]
pub struct Quality {
    thresholds: Thresholds,
    /// The last reports, newest last.
    reports: ArrayVec<Report, WINDOWS>,
    bad: Option<Why>,
}

net::carry!(Why = Loss 0, Delay 1, Jitter 2);

impl Quality {
    /// Nothing is known yet, which is good.
    pub const fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, reports: ArrayVec::new_const(), bad: None }
    }

    /// Why the path is bad; `None`: it is good.
    pub const fn bad(&self) -> Option<Why> {
        self.bad
    }

    /// Takes over the verdict of a predecessor.
    pub const fn resume(&mut self, bad: Option<Why>) {
        self.bad = bad;
    }

    /// The path was not there for a while: what was measured before says nothing about it. The verdict stays.
    pub fn forget(&mut self) {
        self.reports.clear();
    }

    /// Takes a report. True when the path turned from good to bad, or back.
    pub fn handle_report(&mut self, report: &Report) -> bool {
        if report.sent == 0 {
            return false;
        }
        if self.reports.is_full() {
            self.reports.remove(0);
        }
        self.reports.push(*report);
        let Thresholds { bad_windows, good_windows, recover_percent, .. } = self.thresholds;
        let before = self.bad;
        self.bad = match before {
            None => self.exceeded(bad_windows, 100),
            Some(why) => match self.last(good_windows) {
                Some(_) if self.exceeded(good_windows, recover_percent).is_none() => None,
                _ => Some(why),
            },
        };
        if before.is_some() != self.bad.is_some() {
            // Seconds count for one turn only.
            self.reports.clear();
            return true;
        }
        false
    }

    /// What the last `windows` reports exceed, at so much of each threshold. Nothing, when there are not so many.
    fn exceeded(&self, windows: u8, percent: u8) -> Option<Why> {
        let sum = self.last(windows)?;
        let Thresholds { loss_ppm, rtt, jitter, .. } = self.thresholds;
        let lost = u64::from(sum.lost()) * MILLION * 100;
        let allowed = |ppm: u32| u64::from(sum.sent) * u64::from(ppm) * u64::from(percent);
        let above = |value: Option<Duration>, limit: Option<Duration>| {
            value
                .zip(limit)
                .is_some_and(|(value, limit)| value.as_nanos() * 100 > limit.as_nanos() * u128::from(percent))
        };
        if loss_ppm.is_some_and(|ppm| lost > allowed(ppm)) {
            return Some(Why::Loss);
        }
        if above(sum.rtt(), rtt) {
            return Some(Why::Delay);
        }
        above(sum.jitter(), jitter).then_some(Why::Jitter)
    }

    fn last(&self, windows: u8) -> Option<Report> {
        let windows = usize::from(windows).clamp(1, WINDOWS);
        let from = self.reports.len().checked_sub(windows)?;
        let last = self.reports.get(from..)?;
        Some(last.iter().fold(Report::default(), |sum, report| sum.with(report)))
    }
}
