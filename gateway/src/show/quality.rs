//! How good paths are.

use super::{
    look::Look,
    table::{number, table, text},
    units::{ago, count},
};
use crate::api::model::PathQuality;

/// Paths, with their last second.
pub fn quality(look: &Look, paths: &[PathQuality]) -> String {
    let columns = [
        text("ATTACHMENT"),
        text("STATE"),
        text("SINCE").rank(3),
        text("PEER").rank(4),
        number("LOSS"),
        number("OUT").rank(2),
        number("BACK").rank(2),
        number("RTT"),
        number("MAX").rank(1),
        number("JITTER"),
        number("REFLECTED").rank(5),
        text("ACTION").rank(3),
    ];
    let row = |path: &PathQuality| {
        let reason = path.reason.as_deref().map(|reason| format!(" {reason}"));
        vec![
            path.attachment.clone(),
            path.state.clone() + &reason.unwrap_or_default(),
            ago(Some(path.since), look.now),
            path.peer.to_string(),
            path.loss_ppm.map_or_else(
                || "-".to_owned(),
                |ppm| format!("{}.{:02} %", ppm / 10_000, ppm % 10_000 / 100),
            ),
            path.lost_out.to_string(),
            path.lost_back.to_string(),
            time(path.rtt_us),
            time(path.rtt_max_us),
            time(path.jitter_us),
            count(path.reflected),
            path.action.clone(),
        ]
    };
    let none = "no path is measured: add [connection.quality]";
    table(look, &columns, &paths.iter().map(row).collect::<Vec<_>>(), none)
}

fn time(micros: Option<u64>) -> String {
    micros.map_or_else(|| "-".to_owned(), |micros| format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10))
}
