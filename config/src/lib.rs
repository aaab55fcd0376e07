//! TOML in, one valid [`Config`] out, or every problem at once with its place and its remedy.
//!
//! Three steps, each in a module of its own. `raw` reads the text into sections whose values know
//! where they stand; a wrong one becomes a problem and an empty field, and reading goes on. `check`
//! holds the sections against each other: names, keys, addresses, MTUs, what a peer's profile refuses.
//! It collects problems too, so that one run of `quadspan check` shows all there is to mend. Only when
//! no error was found are the sections turned into the [`model`]: typed, names resolved, defaults
//! filled in. [`problem`] is what people and scripts see of the rest.
//!
//! # Invariants
//! - A [`Config`] can be run: nobody above checks it again, but for what depends on the machine.
//! - Unknown keys are never ignored, whatever the section.
//! - The keys that are accepted and the keys in [`schema`] come from one table (`raw::section`).
//! - No I/O and no clock: key material comes through the caller's [`SecretSource`] (see [`secret`]), the time as an
//!   argument.
//! - No key material in any message, snippet, `Debug` or serialised form; fingerprints instead.
//! - No input panics, whatever its size.
//!
//! # Clauses
//! Ranges and combinations of MACsec settings are those of IEEE 802.1AE-2018 (§9.5, §9.9, §10.5.3,
//! §10.7), those of key agreement of IEEE 802.1X-2020 (§9, Table 9-3); one key with one nonce twice breaks GCM (NIST SP 800-38D §8), so `check` looks for that across all
//! channels.
#![forbid(unsafe_code)]

mod check;
pub mod model;
pub mod problem;
mod raw;
pub mod secret;

use std::time::SystemTime;

pub use model::Config;
pub use problem::{Code, Problem, Problems, Severity};
pub use secret::{KeyKind, Secret, SecretError, SecretRef, SecretSource};

/// A configuration that can be run, and what should be known about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings only; often empty.
    pub warnings: Problems,
}

/// Reads and checks the configuration `text`, which problems call `source_name`. Keys are read
/// through `secrets`.
///
/// # Errors
/// Every problem that was found, warnings included, when at least one is an error.
pub fn load(source_name: &str, text: &str, secrets: &dyn SecretSource) -> Result<Loaded, Problems> {
    load_with(source_name, text, secrets, None)
}

/// Like [`load`], and also warns of what is true at `now` only: that no key of a channel has started yet.
///
/// # Errors
/// As those of [`load`].
pub fn load_at(
    source_name: &str,
    text: &str,
    secrets: &dyn SecretSource,
    now: SystemTime,
) -> Result<Loaded, Problems> {
    load_with(source_name, text, secrets, Some(now))
}

fn load_with(
    source_name: &str,
    text: &str,
    secrets: &dyn SecretSource,
    now: Option<SystemTime>,
) -> Result<Loaded, Problems> {
    let mut report = problem::Report::default();
    let outside = check::Outside { secrets, now };
    let config =
        raw::read(text, &mut report).and_then(|document| check::check(&document, &outside, &mut report));
    let failed = report.has_errors();
    let problems = report.into_problems(source_name, if text.len() > raw::MAX_TEXT { "" } else { text });
    match config {
        Some(config) if !failed => Ok(Loaded { config, warnings: problems }),
        _ => Err(problems),
    }
}

/// The JSON Schema (draft 2020-12) of the configuration, for editors.
pub fn schema() -> serde_json::Value {
    raw::schema()
}
