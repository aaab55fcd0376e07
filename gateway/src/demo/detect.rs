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
pub struct Noticed {
    /// How long after the failure.
    pub after: Duration,
    /// Which: `blue/ch1`.
    pub attachment: String,
    /// Why.
    pub why: String,
    /// It works, but too badly: it was measured.
    pub measured: bool,
}

impl Noticed {
    /// Whether it is the attachment on this channel.
    pub(super) fn is_on(&self, channel: &str) -> bool {
        self.attachment.rsplit('/').next() == Some(channel)
    }
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
        let Line { attachment, why, .. } = line;
        match line.event.as_str() {
            // It was told before, with more reason.
            DOWN if why == QUALITY => None,
            DOWN => Some(Noticed { after, attachment, why, measured: false }),
            BAD => Some(Noticed { after, attachment, why, measured: true }),
            _ => None,
        }
    };
    text.lines().filter_map(one).collect()
}

const DOWN: &str = "attachment.down";
const BAD: &str = "quality.bad";
const QUALITY: &str = "quality";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_after_the_failure_counts() {
        let text = r#"{"timestamp":"2026-11-22T04:07:54.100000Z","event":"attachment.down","attachment":"blue/ch9","why":"x"}
not a line
{"timestamp":"2026-11-22T04:07:54.618958Z","level":"INFO","event":"port.link","port":"wan1"}
{"timestamp":"2026-11-22T04:07:54.619199Z","event":"attachment.down","attachment":"blue/ch1","why":"no_carrier"}
{"timestamp":"2026-11-22T04:07:54.620000Z","event":"attachment.up","attachment":"blue/ch1"}
{"timestamp":"2026-11-22T04:07:56.618000Z","event":"quality.bad","attachment":"blue/ch2","why":"loss","sent":100}
{"timestamp":"2026-11-22T04:07:56.619000Z","event":"attachment.down","attachment":"blue/ch2","why":"quality"}"#;
        let since: Timestamp = "2026-11-22T04:07:54.618000Z".parse().unwrap();
        let found = in_text(text, SystemTime::from(since));
        let noticed = |micros, attachment: &str, why: &str, measured| Noticed {
            after: Duration::from_micros(micros),
            attachment: attachment.to_owned(),
            why: why.to_owned(),
            measured,
        };
        let wanted =
            [noticed(1199, "blue/ch1", "no_carrier", false), noticed(2_000_000, "blue/ch2", "loss", true)];
        assert_eq!(found, wanted);
        assert!(found[0].is_on("ch1") && !found[0].is_on("h1") && !found[0].is_on("blue"));
    }
}
