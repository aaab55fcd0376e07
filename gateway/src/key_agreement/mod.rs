//! Key agreement seen from the control plane: starting it, the time of day, and telling people what happens.
//!
//! KaYs run on the workers that own their channels (`dataplane`). What they need from here is randomness and keys whose
//! start times are counted on the process's clock. The time of day can be set while the gateway runs; then the times
//! are counted anew ([`KeyAgreements::clock_stepped`]). Nothing is written to disk: after a start a KaY has a new
//! identity and agrees on a new SAK, so no packet number is ever used twice, and nothing waits for a disk.

mod remedy;
mod talk;

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use anyhow::{Context, Result};
use config::Config;
use dataplane::{ChannelId, Setup};
use macsec::mka::KeyEntry;
use net::Instant;

pub use remedy::{REMEDIES, remedy};

use crate::{assemble, clock, worker::Worker};

/// The time of day was set when it moved by more than this against the monotonic clock within a look.
const STEP: Duration = Duration::from_millis(500);

/// The key agreements of all channels.
#[derive(Debug, Default)]
pub struct KeyAgreements {
    /// The time of day at the process's start, by the last look at both clocks.
    epoch: Option<SystemTime>,
    /// What was said to be wrong with a channel and still is, by its code.
    told: BTreeMap<ChannelId, BTreeSet<&'static str>>,
}

impl KeyAgreements {
    /// Before KaYs start, or go on with what a predecessor left.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn prepare(config: &Config) -> Result<Self> {
        let mut this = Self::default();
        this.clock_stepped();
        for (id, _) in this.keys(config)? {
            // Asked here, so that a machine that has none says so now and not in the middle of an agreement.
            sys::random::fill(&mut [0; 32])
                .context("the kernel gives no random numbers: no key can be made")?;
            this.greet(config, id);
        }
        Ok(this)
    }

    /// Starts the KaYs of all channels that have one, before the workers run.
    ///
    /// # Errors
    /// When the kernel gives no random numbers, or a key cannot be used.
    pub fn start(config: &Config, setup: &Setup, workers: &mut [Worker]) -> Result<Self> {
        let this = Self::prepare(config)?;
        for (id, keys) in this.keys(config)? {
            let owner = setup.channels.get(id.index()).map(|channel| channel.owner.index());
            if let Some(worker) = owner.and_then(|owner| workers.get_mut(owner)) {
                worker.dataplane().start_mka(id, rng(), keys, clock::now());
            }
        }
        Ok(this)
    }

    /// The keys of each channel with MKA, their times counted on the process's clock.
    ///
    /// # Errors
    /// When a key cannot be used.
    pub fn keys(&self, config: &Config) -> Result<Vec<(ChannelId, Vec<KeyEntry>)>> {
        let (wall, now) = (clock::wall(), clock::now());
        let mut all = Vec::new();
        for (at, channel) in config.channels.iter().enumerate() {
            let Some(mka) = &channel.macsec.mka else { continue };
            let keys = assemble::key_entries(mka, wall, now)
                .with_context(|| format!("channel \"{}\"", channel.name))?;
            all.push((ChannelId::at(at), keys));
        }
        Ok(all)
    }

    /// Looks at both clocks. By how much the time of day was set since the last look, if it was: forward or back.
    pub fn clock_stepped(&mut self) -> Option<(Duration, &'static str)> {
        step(&mut self.epoch, clock::wall(), clock::now())
    }
}

fn step(epoch: &mut Option<SystemTime>, wall: SystemTime, now: Instant) -> Option<(Duration, &'static str)> {
    let found = wall.checked_sub(now.since(Instant::ZERO))?;
    let before = epoch.replace(found)?;
    let (by, way) = match found.duration_since(before) {
        Ok(by) => (by, "forward"),
        Err(back) => (back.duration(), "back"),
    };
    if by < STEP {
        // Slewed a little, as NTP does: many little ones are one step in the end.
        *epoch = Some(before);
        return None;
    }
    Some((by, way))
}

/// What a KaY makes SAKs and member identifiers of.
pub(crate) fn rng() -> macsec::mka::Rng {
    Box::new(random)
}

/// SAKs and member identifiers are made of this.
fn random(room: &mut [u8]) {
    #[expect(
        clippy::expect_used,
        reason = "it worked at the start, and a key that somebody can guess is worse than no gateway"
    )]
    sys::random::fill(room).expect("the kernel gives random numbers");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_noticed_and_one_that_drifts_is_when_it_has_come_far() {
        let (start, second) = (SystemTime::UNIX_EPOCH + Duration::from_hours(1000), Duration::from_secs(1));
        let at = |seconds: u32| Instant::ZERO.after(second * seconds);
        let mut epoch = None;
        assert_eq!(step(&mut epoch, start, at(0)), None);
        assert_eq!(step(&mut epoch, start + second * 10, at(10)), None);
        assert_eq!(step(&mut epoch, start + second * 80, at(20)), Some((second * 60, "forward")));
        assert_eq!(step(&mut epoch, start + second * 90, at(30)), None);
        assert_eq!(step(&mut epoch, start + second * 10, at(40)), Some((second * 90, "back")));
        let slow = (41..).find(|&at_second| {
            let wall = start + second * (at_second - 30) - Duration::from_millis(1) * (at_second - 40);
            step(&mut epoch, wall, at(at_second)).is_some()
        });
        assert_eq!(slow, Some(540));
    }
}
