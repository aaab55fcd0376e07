//! `explain`: what a word in a screen, a log or a message means, and what to do about it.
//!
//! Everything that can be explained stands in a closed list where it is made; of drops there is more to say than a screen has room for
//! (`drops`), and the reasons that screens give are explained in `words`.

mod drops;
mod words;

use config::Code;
use dataplane::{DropReason, Fault};

use super::{
    args::Global,
    exit::{Exit, Failure},
    terminal,
};
use crate::{key_agreement::REMEDIES, logging::EVENTS, metrics};

/// Something that can be explained.
struct Entry {
    name: String,
    meaning: &'static str,
    causes: Option<&'static str>,
    next: Option<&'static str>,
}

impl Entry {
    fn new(name: impl Into<String>, meaning: &'static str) -> Self {
        Self { name: name.into(), meaning, causes: None, next: None }
    }
}

fn entries() -> Vec<Entry> {
    let drops = DropReason::ALL.iter().map(|reason| Entry {
        causes: drops::hint(*reason).map(|hint| hint.causes),
        next: drops::hint(*reason).map(|hint| hint.next),
        ..Entry::new(format!("drop:{}", reason.label()), reason.help())
    });
    let codes = Code::ALL.iter().map(|code| Entry::new(code.as_str(), code.meaning()));
    let events = EVENTS.iter().map(|(name, meaning)| Entry::new(format!("event:{name}"), meaning));
    let metrics =
        metrics::ALL.iter().map(|metric| Entry::new(format!("metric:{}", metric.name()), metric.help));
    let faults = Fault::ALL.iter().map(|fault| {
        let (word, meaning, next) = words::fault(*fault);
        Entry { next: Some(next), ..Entry::new(format!("fault:{word}"), meaning) }
    });
    let mka = words::MKA.iter().map(|(code, meaning)| Entry {
        next: REMEDIES.iter().find(|(of, _)| of == code).map(|(_, next)| *next),
        ..Entry::new(format!("mka:{code}"), meaning)
    });
    drops.chain(faults).chain(mka).chain(codes).chain(events).chain(metrics).collect()
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
                "give a word of `status`, drop:REASON as in `show drops`, event:NAME as in the log, metric:NAME, or a code such as QS0102",
            ),
        });
    };
    let meaning = entry.meaning.trim();
    if global.json {
        let mut told = serde_json::json!({ "name": entry.name, "meaning": meaning });
        for (name, text) in [("causes", entry.causes), ("next", entry.next)] {
            if let (Some(text), Some(told)) = (text, told.as_object_mut()) {
                told.insert(name.to_owned(), text.into());
            }
        }
        terminal::print_json(&told)?;
    } else {
        let usually = entry.causes.map(|causes| format!("  usually: {causes}\n"));
        let more = usually
            .into_iter()
            .chain(entry.next.map(|next| format!("  look at: {next}\n")))
            .collect::<String>();
        terminal::print(format!("{}\n  {meaning}\n{more}", entry.name).as_bytes())?;
    }
    Ok(Exit::Done)
}

/// The name that was probably meant, if one is near enough: at most a third of its letters is wrong.
pub(super) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let far = |name: &str| {
        let bare = name.split_once(':').map_or(name, |(_, bare)| bare).to_lowercase();
        let whole = strsim::damerau_levenshtein(&given, &name.to_lowercase());
        whole.min(strsim::damerau_levenshtein(&given, &bare))
    };
    let best = known.map(|name| (far(name), name)).min_by_key(|(far, _)| *far)?;
    (best.0 * 3 <= given.chars().count()).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_status_gives_as_a_reason_can_be_explained() {
        let entries = entries();
        let words =
            Fault::ALL.iter().map(|fault| fault.label()).chain(macsec::mka::Diagnosis::CODES.iter().copied());
        for word in words {
            let found =
                entries.iter().find(|one| one.name.split_once(':').is_some_and(|(_, bare)| bare == word));
            assert!(found.is_some_and(|one| one.next.is_some() && one.meaning.len() > 20), "{word}");
        }
    }

    #[test]
    fn only_what_is_near_was_meant() {
        let near = |given| nearest(given, ["drop:not_secured_tx", "fault:bfd_down", "ch1"].into_iter());
        assert_eq!(near("bfd_donw"), Some("fault:bfd_down"));
        assert_eq!((near("sak_down"), near("not_there"), near("ch2")), (None, None, Some("ch1")));
    }
}
