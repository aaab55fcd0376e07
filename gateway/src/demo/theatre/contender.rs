//! Who joins the two sites: our gateways, or what the same acts are to be played with beside them.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::super::detect::Noticed;
use super::super::standing::Mode;
use super::act::Act;
use crate::lab::{Lab, Stop};

/// Two gateways that run in the nodes `gw-a` and `gw-b` of [`WiredSites`](crate::lab::WiredSites).
///
/// Whatever waits gives up when the stop is requested, and after a bounded time.
pub trait Contender {
    /// Waits until everything is as at the beginning of an act: all channels are used, or the preferred one.
    ///
    /// # Errors
    /// When it does not become so.
    fn wait_well(&mut self, mode: Mode, lab: &Lab, stop: &Stop) -> anyhow::Result<()>;

    /// Has site A take a channel out of use, and waits until nothing crosses it; returns how long that took.
    ///
    /// # Errors
    /// When that cannot be, or takes too long.
    fn drain(&mut self, channel: &str, lab: &Lab, stop: &Stop) -> anyhow::Result<Duration>;

    /// Has site A use the channel again.
    ///
    /// # Errors
    /// When that cannot be.
    fn undrain(&mut self, channel: &str, lab: &Lab) -> anyhow::Result<()>;

    /// Kills what runs at a site (`SIGKILL`), and starts it again.
    ///
    /// # Errors
    /// When that cannot be.
    fn kill_and_start(&mut self, site: char, lab: &Lab) -> anyhow::Result<()>;

    /// Has what runs at a site hand over to a successor under traffic; returns when that one runs.
    ///
    /// # Errors
    /// When that cannot be.
    fn hand_over(&mut self, site: char, lab: &Lab) -> anyhow::Result<()>;

    /// Whether it can play an act at all.
    fn plays(_act: Act) -> bool {
        true
    }

    /// What each site took out of use since then, first ones first.
    fn noticed(&self, since: SystemTime) -> Vec<(char, Vec<Noticed>)>;

    /// Whether it measures its channels, and so can find one that is lossy.
    fn measures(&self) -> bool;

    /// What each site dropped since it was started, a line each; nothing from who cannot tell.
    fn drops(&self) -> Vec<String> {
        Vec::new()
    }

    /// Leaves its logs where they are; where that is.
    fn keep_logs(&mut self) -> PathBuf;
}
