//! The failover record.

use super::{
    look::Look,
    table::{number, table, text},
    units::{ago, count},
};
use crate::api::model::{DrillDone, Event};

/// Events as a table.
pub fn events(look: &Look, events: &[Event]) -> String {
    let columns = [
        text("WHEN"),
        text("CHANGE"),
        text("CONNECTION").rank(2),
        text("CHANNEL"),
        text("LIVE").rank(3),
        number("DETECTED"),
        number("SWITCHED"),
        number("LOST"),
        text("WHY").rank(1),
    ];
    let row = |event: &Event| {
        vec![
            ago(Some(event.at), look.now),
            what(event),
            event.connection.clone(),
            channel(event),
            format!("{} of {}", event.live, event.total),
            time(event.detected_us),
            time(event.switched_us),
            lost(event),
            why(event),
        ]
    };
    table(
        look,
        &columns,
        &events.iter().map(row).collect::<Vec<_>>(),
        "forwarding has not changed since the start",
    )
}

/// Events as lines of a log.
pub fn event_lines(events: &[Event]) -> String {
    let line = |event: &Event| {
        format!(
            "{}  {}  {} {}  {} of {} live  detected {}  switched {}  lost {}  {}\n",
            event.at.strftime("%F %T%.3f"),
            what(event),
            event.connection,
            channel(event),
            event.live,
            event.total,
            time(event.detected_us),
            time(event.switched_us),
            lost(event),
            why(event)
        )
    };
    events.iter().map(line).collect()
}

fn what(event: &Event) -> String {
    let reason = event.reason.as_deref().map(|reason| format!(" {reason}"));
    event.change.replace('_', " ") + &reason.unwrap_or_default()
}

fn channel(event: &Event) -> String {
    let from = event.channel.as_deref().unwrap_or("-");
    event.to.as_deref().map_or_else(|| from.to_owned(), |to| format!("{from} to {to}"))
}

fn time(micros: Option<u64>) -> String {
    micros.map_or_else(|| "-".to_owned(), |micros| format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10))
}

fn lost(event: &Event) -> String {
    event.lost.map_or_else(
        || "-".to_owned(),
        |lost| if lost == 0 { "0".to_owned() } else { format!("~{}", count(lost)) },
    )
}

fn why(event: &Event) -> String {
    let steps: Vec<_> = event.chain.iter().map(|step| step.what.as_str()).collect();
    steps.join("; then ")
}

/// What a drill showed.
pub fn drill(done: &DrillDone) -> String {
    let DrillDone { channel, frames_per_second, lost, .. } = done;
    let carried: Vec<_> = done
        .carried_by
        .iter()
        .map(|share| format!("{} {}/s", share.channel, count(share.frames_per_second)))
        .collect();
    let far = match (done.far_end_moved_us, done.far_end_stayed) {
        (None, _) => "sent nothing by it".to_owned(),
        (Some(_), true) => {
            format!("DID NOT FIND OUT: it sent into the silence to the end, {} frames died", count(*lost))
        }
        (moved @ Some(_), false) => format!("had moved after {}, {} frames died", time(moved), count(*lost)),
    };
    let back = done.back_after_us.map_or_else(
        || "is not back yet: see quadspan status".to_owned(),
        |after| format!("was live again after {}", time(Some(after))),
    );
    format!(
        "{channel}\n  this gateway sent {}/s by it, and moved in {}\n  carried by: {}\n  the far end {far}\n  the channel {back}\n",
        count(*frames_per_second),
        time(done.switched_us),
        if carried.is_empty() { "nothing".to_owned() } else { carried.join(", ") },
    )
}
