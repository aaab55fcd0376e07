//! What the tests that touch the real world share.
#![allow(dead_code, reason = "not every test uses every part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop; a JSON value that is not there is null"
)]

pub(crate) mod edge;
pub(crate) mod flood;
pub(crate) mod gateway;
pub(crate) mod guest;
pub(crate) mod peers;
pub(crate) mod shell;
pub(crate) mod sites;
pub(crate) mod vlan;
pub(crate) mod vm;

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write as _};

use ::gateway::lab::missing_privilege;
use parking_lot::Mutex;

/// Held while a network of a test runs, so that what is measured on two cores is not the other tests of the same file. The last
/// field of whoever holds it, and never twice by one test: it would wait for itself.
pub(crate) static TURN: Mutex<()> = Mutex::new(());

/// Says loudly that `test` could not run here and `why`: on standard error past the test harness's capture, and in
/// the file that `./test` names in `QUADSPAN_SKIPPED`, which it prints at the end.
///
/// # Panics
/// With `CI=true`: there a skipped test is a failed one.
pub(crate) fn skipped(test: &str, why: &str) {
    let line = format!("SKIPPED: {test}: {}\n", why.trim().replace('\n', "; "));
    let _ = io::stderr().write_all(line.as_bytes());
    if let Some(path) = env::var_os("QUADSPAN_SKIPPED")
        && let Ok(mut list) = OpenOptions::new().create(true).append(true).open(path)
    {
        let _ = list.write_all(line.as_bytes());
    }
    assert!(env::var("CI").as_deref() != Ok("true"), "{line}");
}

/// Whether this machine has the programs and the rights that `test` needs; if not, that is said loudly.
///
/// # Panics
/// As [`skipped`].
pub(crate) fn able(test: &str, tools: &[&str]) -> bool {
    let lacking = shell::missing(tools);
    let why = match missing_privilege() {
        _ if !lacking.is_empty() => format!("these programs are missing: {}", lacking.join(", ")),
        Some(privilege) => privilege.to_string(),
        None => return true,
    };
    skipped(test, &why);
    false
}
