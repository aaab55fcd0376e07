//! How good paths are.

use dataplane::QualityStatus;

use crate::{
    api::{model::PathQuality, source::Facts},
    names,
    quality::{label, micros},
};

/// All paths that are measured.
pub(crate) fn quality(facts: &Facts) -> Vec<PathQuality> {
    let all = facts.reports.iter().flat_map(|report| &report.snapshot.interfaces);
    let mut measured: Vec<_> = all.filter_map(|one| Some((one.interface, one.quality.as_ref()?))).collect();
    measured.sort_by_key(|(interface, _)| *interface);
    let each = measured.into_iter();
    each.map(|(interface, seen)| one(facts, names::interface(&facts.config, interface), seen)).collect()
}

fn one(facts: &Facts, attachment: String, seen: &QualityStatus) -> PathQuality {
    let last = seen.last.unwrap_or_default();
    let loss = (u64::from(last.lost()) * 1_000_000).checked_div(last.sent.into());
    let came = last.received > 0;
    PathQuality {
        attachment,
        peer: seen.peer,
        state: match (seen.open, seen.bad) {
            (false, _) => "closed",
            (true, Some(_)) => "bad",
            (true, None) => "good",
        }
        .to_owned(),
        reason: seen.bad.map(|why| label(why).to_owned()),
        since: facts.wall_of(seen.since),
        action: if seen.leave { "leave" } else { "report" }.to_owned(),
        sent: last.sent,
        lost: last.lost(),
        lost_out: last.lost_out,
        lost_back: last.lost_back,
        loss_ppm: loss.and_then(|loss| u32::try_from(loss).ok()),
        rtt_min_us: came.then(|| micros(last.rtt_min)),
        rtt_us: last.rtt().map(micros),
        rtt_max_us: came.then(|| micros(last.rtt_max)),
        jitter_us: last.jitter().map(micros),
        duplicates: last.duplicates,
        reordered: last.reordered,
        reflected: seen.reflected,
        refused: seen.refused,
    }
}
