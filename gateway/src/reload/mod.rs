//! Reloading: the configuration file is read again while the gateway runs (`quadspan reload`, SIGHUP).
//!
//! All or nothing. What can be changed under traffic is changed: static routes, what is announced, BGP neighbours
//! (added, removed, changed; sessions are reset only where the two ends would otherwise mean different things), policies,
//! limits, passwords, BFD timers, key chains of MKA, bandwidths, remarks. What cannot be (ports, channels, attachments, workers) is
//! named, and then nothing changes at all; so it is when the file has an error. [`compare`] says what would happen
//! without doing it; `quadspan reload --dry-run` shows that.
//!
//! | file | what it does |
//! | --- | --- |
//! | `compare` | two configurations to the steps between them, and what stands in the way |
//! | `paths` | the keys by which two values differ |
//! | `apply` | reading the file, and doing the steps |
//!
//! # Invariants
//! 1. A file that cannot be run changes nothing, and everybody is told: the log by code and line, `status` until a reload
//!    succeeds.
//! 2. What runs is always a configuration that was read as a whole; [`Current`] is it.
//! 3. Keys and passwords are compared, never shown.

mod apply;
mod compare;
mod paths;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use config::Config;
use dataplane::Setup;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::assemble::Device;
pub use compare::{Comparison, Step, compare};

/// What runs.
#[derive(Clone, Debug)]
pub struct Current {
    /// The configuration.
    pub config: Arc<Config>,
    /// What it is made of.
    pub setup: Arc<Setup>,
    /// Why the file is not what runs, since when: the last reload did not succeed.
    pub refused: Option<(Timestamp, String)>,
}

/// What runs, for everybody who asks.
pub type Shared = Arc<Mutex<Current>>;

/// How a reload ended, or would end.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The file has errors, or cannot be read: each in a line that begins with its place.
    Invalid(Vec<String>),
    /// The steps, which were done, or would be.
    Done(Vec<Step>),
    /// These things need a restart; nothing was done.
    NeedsRestart(Vec<String>, Vec<Step>),
}

/// A wish to reload.
#[derive(Debug)]
pub struct Order {
    /// Only say what would happen.
    pub dry_run: bool,
    /// Where the outcome goes.
    pub reply: oneshot::Sender<Outcome>,
}

/// The way to the control loop.
#[derive(Clone, Debug)]
pub struct Reloader(mpsc::UnboundedSender<Order>);

impl Reloader {
    /// A way, and its end.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Order>) {
        let (sender, orders) = mpsc::unbounded_channel();
        (Self(sender), orders)
    }

    /// Reads the file again. `None`: the gateway is ending.
    pub async fn reload(&self, dry_run: bool) -> Option<Outcome> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Order { dry_run, reply }).ok()?;
        answer.await.ok()
    }
}

/// What a gateway keeps for reloading.
#[derive(Debug)]
pub(crate) struct Reloads {
    /// Where the configuration comes from.
    file: PathBuf,
    /// What the devices were like when the gateway started.
    devices: BTreeMap<String, Device>,
    /// Of the newest tables, where BGP does not count them.
    generation: u64,
    pub(crate) current: Shared,
    pub(crate) reloader: Reloader,
    pub(crate) orders: mpsc::UnboundedReceiver<Order>,
}

impl Reloads {
    /// Where the configuration comes from.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// For a gateway that runs `config`, which was read from `file`.
    pub(crate) fn new(
        file: &Path,
        devices: BTreeMap<String, Device>,
        config: &Config,
        setup: &Arc<Setup>,
    ) -> Self {
        let (reloader, orders) = Reloader::new();
        let current = Current { config: Arc::new(config.clone()), setup: setup.clone(), refused: None };
        let current = Arc::new(Mutex::new(current));
        Self { file: file.to_owned(), devices, generation: 1, current, reloader, orders }
    }
}
