//! `POST /v1/reload`: the configuration file is read again.

use serde::{Deserialize, Serialize};

use crate::reload::Step;

/// What reloading did, or would do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reload {
    /// How it ended, or would.
    pub outcome: ReloadOutcome,
    /// Nothing was done because only that was asked.
    pub dry_run: bool,
    /// What changes.
    pub changes: Vec<Step>,
    /// What only a restart can change; nothing was done then.
    pub needs_restart: Vec<String>,
    /// What is wrong with the file; nothing was done then.
    pub problems: Vec<String>,
}

/// How a reload ends.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// The file is what runs.
    Done,
    /// Something in it needs a restart.
    NeedsRestart,
    /// It has errors, or cannot be read.
    Invalid,
}
