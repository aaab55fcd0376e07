//! `explain`: what a word in a screen, a log or a message means, and what to do about it.
//!
//! Everything that can be explained stands in a closed list where it is made; of drops there is more to say than a screen has room for
//! (`drops`).

mod drops;

use config::Code;
use dataplane::DropReason;

use super::{
    args::Global,
    exit::{Exit, Failure},
    terminal,
};
use crate::{logging::EVENTS, metrics};

use drops::Hint;

/// Something that can be explained.
struct Entry {
    name: String,
    meaning: &'static str,
    hint: Option<&'static Hint>,
}

impl Entry {
    fn new(name: impl Into<String>, meaning: &'static str) -> Self {
        Self { name: name.into(), meaning, hint: None }
    }
}

fn entries() -> Vec<Entry> {
    let drops = DropReason::ALL.iter().map(|reason| Entry {
        hint: drops::hint(*reason),
        ..Entry::new(format!("drop:{}", reason.label()), reason.help())
    });
    let codes = Code::ALL.iter().map(|code| Entry::new(code.as_str(), code.meaning()));
    let events = EVENTS.iter().map(|(name, meaning)| Entry::new(format!("event:{name}"), meaning));
    let metrics =
        metrics::ALL.iter().map(|metric| Entry::new(format!("metric:{}", metric.name()), metric.help));
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
        let mut told = serde_json::json!({ "name": entry.name, "meaning": meaning });
        if let (Some(Hint { causes, next, .. }), Some(told)) = (entry.hint, told.as_object_mut()) {
            told.insert("causes".to_owned(), (*causes).into());
            told.insert("next".to_owned(), (*next).into());
        }
        terminal::print_json(&told)?;
    } else {
        let more = entry.hint.map(|hint| format!("  usually: {}\n  look at: {}\n", hint.causes, hint.next));
        let more = more.unwrap_or_default();
        terminal::print(format!("{}\n  {meaning}\n{more}", entry.name).as_bytes())?;
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
