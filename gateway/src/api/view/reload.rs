//! What a reload did.

use crate::{
    api::model::{Reload, ReloadOutcome},
    reload::Outcome,
};

/// How a reload ended.
pub(crate) fn reload(outcome: Outcome, dry_run: bool) -> Reload {
    let (outcome, changes, needs_restart, problems) = match outcome {
        Outcome::Done(steps) => (ReloadOutcome::Done, steps, vec![], vec![]),
        Outcome::NeedsRestart(what, steps) => (ReloadOutcome::NeedsRestart, steps, what, vec![]),
        Outcome::Invalid(problems) => (ReloadOutcome::Invalid, vec![], vec![], problems),
    };
    Reload { outcome, dry_run, changes, needs_restart, problems }
}
