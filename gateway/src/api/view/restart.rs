//! What came of a restart.

use crate::{api::model::Restart, handover::Handed};

/// How it ended.
pub(crate) fn restart(outcome: Result<Handed, String>) -> Restart {
    match outcome {
        Ok(Handed { pid, version, still, took }) => {
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            let still_ms = still.as_secs_f64() * 1e3;
            Restart { done: true, pid, version, still_ms, took_ms, why: String::new() }
        }
        Err(why) => Restart { done: false, pid: 0, version: String::new(), still_ms: 0.0, took_ms: 0, why },
    }
}
