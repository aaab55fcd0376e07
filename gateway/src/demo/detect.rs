//! When a gateway noticed, by its own log: one JSON object per line, with a stamp in microseconds.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::Deserialize;

/// A line of the log, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Line {
    timestamp: Timestamp,
    event: String,
    #[serde(default)]
    attachment: String,
    #[serde(default)]
    why: String,
}

/// An attachment that was taken out of use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Noticed {
    /// How long after the failure.
    pub after: Duration,
    /// Which: `blue/ch1`.
    pub attachment: String,
    /// Why.
    pub why: String,
}

/// The attachments that the gateway with this log took out of use since `since`, first ones first.
pub(super) fn noticed(log: &Path, since: SystemTime) -> Vec<Noticed> {
    // A log that cannot be read says nothing.
    in_text(&fs::read_to_string(log).unwrap_or_default(), since)
}

fn in_text(text: &str, since: SystemTime) -> Vec<Noticed> {
    let one = |line: &str| {
        let line: Line = serde_json::from_str(line).ok()?;
        let after = SystemTime::from(line.timestamp).duration_since(since).ok()?;
        (line.event == DOWN).then_some(Noticed { after, attachment: line.attachment, why: line.why })
    };
    text.lines().filter_map(one).collect()
}

const DOWN: &str = "attachment.down";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_after_the_failure_counts() {
        let text = r#"{"timestamp":"2026-11-22T04:07:54.100000Z","event":"attachment.down","attachment":"blue/ch9","why":"x"}
not a line
{"timestamp":"2026-11-22T04:07:54.618958Z","level":"INFO","event":"port.link","port":"wan1"}
{"timestamp":"2026-11-22T04:07:54.619199Z","event":"attachment.down","attachment":"blue/ch1","why":"no_carrier"}"#;
        let since: Timestamp = "2026-11-22T04:07:54.618000Z".parse().unwrap();
        let found = in_text(text, SystemTime::from(since));
        let wanted = Noticed {
            after: Duration::from_micros(1199),
            attachment: "blue/ch1".to_owned(),
            why: "no_carrier".to_owned(),
        };
        assert_eq!(found, [wanted]);
    }
}
