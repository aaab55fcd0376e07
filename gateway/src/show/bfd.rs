//! BFD sessions: how they are and, in words, why; then the last losses of each.

use super::{
    look::Look,
    table::{number, table, text},
    units::{ago, count},
};
use crate::api::model::{BfdSession, Counts};

/// Losses shown of each session.
const LOSSES: usize = 3;

/// All sessions.
pub fn bfd(look: &Look, sessions: &[BfdSession]) -> String {
    let columns = [
        text("INTERFACE"),
        text("PEER"),
        text("STATE"),
        text("SINCE").rank(1),
        number("SEND").rank(2),
        number("DETECT"),
        number("WORST GAP").rank(2),
        number("LOST").rank(1),
        number("TX").rank(3),
        number("RX").rank(3),
        text("MODE").rank(4),
    ];
    let rows: Vec<_> = sessions.iter().map(|one| row(look, one)).collect();
    let notes: String = sessions.iter().filter_map(|one| note(look, one)).collect();
    let gap = if notes.is_empty() { "" } else { "\n" };
    table(look, &columns, &rows, "no BFD sessions are configured") + gap + &look.paint(&notes)
}

fn row(look: &Look, one: &BfdSession) -> Vec<String> {
    let longest = (one.longest_gap_us > 0).then_some(one.longest_gap_us);
    vec![
        one.interface.clone(),
        one.peer.to_string(),
        one.state.replace('_', "-") + if one.fault { " !" } else { "" },
        ago(Some(one.since), look.now),
        time(one.tx_interval_us),
        time(one.detection_us),
        time(longest),
        count(one.downs),
        count(one.tx_packets),
        count(one.rx_packets),
        one.mode.clone(),
    ]
}

/// What is the matter, which packets were refused, and when it was lost before.
fn note(look: &Look, one: &BfdSession) -> Option<String> {
    let mut lines = Vec::new();
    if let Some(reason) = &one.reason {
        let effect = if one.fault { "no traffic goes there" } else { "traffic does not depend on it" };
        lines.push(format!("{} {}: {reason}; {effect}", one.interface, one.peer));
    }
    if !one.refused.is_empty() {
        lines.push(format!("{} {}: packets refused: {}", one.interface, one.peer, list(&one.refused)));
    }
    let losses = one.history.iter().rev().filter(|change| change.from == "up");
    lines.extend(losses.take(LOSSES).map(|change| {
        let why = change.why.as_deref().unwrap_or("unknown");
        format!("{} {}: left up {}: {why}", one.interface, one.peer, ago(Some(change.at), look.now))
    }));
    (!lines.is_empty()).then(|| lines.join("\n") + "\n")
}

fn list(counts: &Counts) -> String {
    counts.iter().map(|(why, packets)| format!("{why} {}", count(*packets))).collect::<Vec<_>>().join(", ")
}

/// Microseconds as milliseconds, with a digit behind the point only below ten.
fn time(micros: Option<u64>) -> String {
    match micros {
        None => "-".to_owned(),
        Some(micros) if micros < 10_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        Some(micros) => format!("{} ms", micros / 1000),
    }
}
