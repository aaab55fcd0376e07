//! `quadspan doctor`: what this machine will do well and badly with a configuration, before traffic finds out.
//!
//! [`Machine`] is what was found, as plain values; [`examine`] judges it, without looking at anything itself. Nothing is
//! changed: no device is opened, no folder made; a small file is written where the gateway writes its own, and removed. What is wrong with the configuration itself is `check`'s.

mod beneath;
mod judge;
mod machine;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use beneath::Layer;
pub use judge::examine;
pub use machine::{Machine, Seat};

/// One thing that was looked at.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// What was looked at: `kernel`, `rights`, `clock`, `keys`, `port`...
    pub check: &'static str,
    /// Of which thing, such as `wan1`; empty where there is only one.
    pub subject: String,
    /// How it is.
    pub result: Verdict,
    /// That in a sentence.
    pub message: String,
    /// What to do about it; null when it is well.
    pub remedy: Option<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Well.
    Ok,
    /// It works, and somebody should know this.
    Warn,
    /// The gateway does not start like this, or carries nothing.
    Fail,
}

impl Verdict {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

impl Finding {
    /// It is well.
    pub fn ok(check: &'static str, subject: &str, message: String) -> Self {
        Self { check, subject: subject.to_owned(), result: Verdict::Ok, message, remedy: None }
    }

    /// It works, but.
    pub fn warn(check: &'static str, subject: &str, message: String, remedy: &str) -> Self {
        let remedy = Some(remedy.to_owned());
        Self { check, subject: subject.to_owned(), result: Verdict::Warn, message, remedy }
    }

    /// It will not do.
    pub fn fail(check: &'static str, subject: &str, message: String, remedy: &str) -> Self {
        Self { result: Verdict::Fail, ..Self::warn(check, subject, message, remedy) }
    }
}
