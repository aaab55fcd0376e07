//! `explain`: what a word in a screen, a log or a message means, and what to do about it.

use config::Code;
use dataplane::DropReason;

use super::{
    args::Global,
    exit::{Exit, Failure},
    terminal,
};
use crate::{logging::EVENTS, metrics};

/// Something that can be explained.
struct Entry {
    name: String,
    meaning: &'static str,
}

fn entries() -> Vec<Entry> {
    let drops = DropReason::ALL
        .iter()
        .map(|reason| Entry { name: format!("drop:{}", reason.label()), meaning: reason.help() });
    let codes =
        Code::ALL.iter().map(|code| Entry { name: code.as_str().to_owned(), meaning: code.meaning() });
    let events = EVENTS.iter().map(|(name, meaning)| Entry { name: format!("event:{name}"), meaning });
    let metrics = metrics::ALL
        .iter()
        .map(|metric| Entry { name: format!("metric:{}", metric.name()), meaning: metric.help });
    drops.chain(codes).chain(events).chain(metrics).collect()
}

/// Explains `what`.
pub(super) fn explain(global: &Global, what: &str) -> Result<Exit, Failure> {
    let entries = entries();
    let is = |entry: &&Entry| {
        let bare = entry.name.split_once(':').map(|(_, bare)| bare);
        entry.name.eq_ignore_ascii_case(what) || bare == Some(what)
    };
    let Some(entry) = entries.iter().find(is) else {
        let failure = Failure::new(Exit::Failed, format_args!("nothing is called `{what}`"));
        return Err(match nearest(what, entries.iter().map(|entry| entry.name.as_str())) {
            Some(near) => failure.help(format!("did you mean `{near}`?")),
            None => failure.help(
                "give drop:REASON as in `show drops`, event:NAME as in the log, metric:NAME, or a code such as QS0102",
            ),
        });
    };
    let meaning = entry.meaning.trim();
    if global.json {
        terminal::print_json(&serde_json::json!({ "name": entry.name, "meaning": meaning }))?;
    } else {
        terminal::print(format!("{}\n  {meaning}\n", entry.name).as_bytes())?;
    }
    Ok(Exit::Done)
}

/// The name that was probably meant, if one is near enough.
pub(super) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let alike = |name: &str| {
        let bare = name.split_once(':').map_or(name, |(_, bare)| bare).to_lowercase();
        strsim::jaro_winkler(&given, &name.to_lowercase()).max(strsim::jaro_winkler(&given, &bare))
    };
    let best = known.map(|name| (alike(name), name)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.8).then_some(best.1)
}
