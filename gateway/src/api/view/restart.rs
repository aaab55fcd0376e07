//! What came of a restart.

use crate::{
    api::model::{BeganAnew, Restart, SessionReset},
    handover::Handed,
};

/// How it ended.
pub(crate) fn restart(outcome: Result<Handed, String>) -> Restart {
    match outcome {
        Ok(Handed { pid, version, still, took, anew, resets }) => {
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            let still_ms = still.as_secs_f64() * 1e3;
            let resets = resets.into_iter();
            let sessions_reset = resets
                .map(|one| SessionReset { neighbor: one.neighbor, message: one.message.to_owned() })
                .collect();
            let began_anew = anew
                .into_iter()
                .map(|one| BeganAnew { subject: one.subject, message: one.message })
                .collect();
            Restart {
                done: true,
                pid,
                version,
                still_ms,
                took_ms,
                sessions_reset,
                began_anew,
                why: String::new(),
            }
        }
        Err(why) => Restart {
            done: false,
            pid: 0,
            version: String::new(),
            still_ms: 0.0,
            took_ms: 0,
            sessions_reset: vec![],
            began_anew: vec![],
            why,
        },
    }
}
