//! From the TOML tree to values with places, and how to say what is wrong with them.

use schemars::JsonSchema;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::problem::{Code, Finding, Report, Span};

/// A value and the place where it is written.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// What a key takes: how it is read, and (by its supertrait) how the schema describes it.
pub(crate) trait Kind: JsonSchema {
    /// What reading gives.
    type Value;
    /// A value in TOML, for remedies.
    const EXAMPLE: &'static str;

    /// The value, or `None` after a finding.
    fn read(value: &Spanned<DeValue<'_>>, report: &mut Report) -> Option<Self::Value>;
}

/// A section being read: takes its keys one by one and complains about the rest.
pub(crate) struct Table<'a, 'i> {
    pub(crate) table: &'a DeTable<'i>,
    pub(crate) span: Span,
    pub(crate) what: &'static str,
    /// Keys that are there and could not be read.
    pub(crate) wrong: Vec<&'static str>,
    /// Keys that an unknown one was most likely meant to be: they are not missing as well.
    pub(crate) meant: Vec<&'static str>,
}

impl Table<'_, '_> {
    /// The value of `key`, or `None` when it is missing (a finding if `required`) or wrong (always one).
    pub(crate) fn field<K: Kind>(
        &mut self,
        key: &'static str,
        required: bool,
        report: &mut Report,
    ) -> Option<At<K::Value>> {
        let Some(value) = self.table.get(key) else {
            if self.meant.contains(&key) {
                self.wrong.push(key);
            } else if required {
                report
                    .add(Code::MissingKey, self.span, format!("`{key}` is missing in {}", self.what))
                    .help(example::<K>(key));
            }
            return None;
        };
        let span = value.span().into();
        let read = K::read(value, report).map(|value| At { value, span });
        if read.is_none() {
            self.wrong.push(key);
        }
        read
    }

    /// A finding for each key that is not `known`; those of `later` versions are told apart.
    pub(crate) fn refuse_unknown(
        &mut self,
        known: &[&'static str],
        later: &[(&str, &str)],
        report: &mut Report,
    ) {
        for key in self.table.keys() {
            let (name, span) = (key.get_ref().as_ref(), Span::from(key.span()));
            if let Some((_, why)) = later.iter().find(|(word, _)| *word == name) {
                report
                    .add(Code::NotYet, span, format!("`{name}` in {} is not part of this version", self.what))
                    .help(*why);
            } else if !known.contains(&name) {
                let found =
                    report.add(Code::UnknownKey, span, format!("{} has no key {}", self.what, quoted(name)));
                suggest(found, name, known, "its keys are");
                self.meant.extend(closest(name, known));
            }
        }
    }
}

fn example<K: Kind>(key: &str) -> String {
    if K::EXAMPLE.starts_with('[') {
        format!("add a section {}", K::EXAMPLE)
    } else {
        format!("add {key} = {}", K::EXAMPLE)
    }
}

/// A finding about a value of the wrong TOML type.
pub(crate) fn wrong_type<K: Kind>(value: &Spanned<DeValue<'_>>, expected: &str, report: &mut Report) {
    let found = value.get_ref().type_str();
    let article = if found.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    report
        .add(
            Code::WrongType,
            value.span().into(),
            format!("{expected} is needed here, not {article} {found}"),
        )
        .help(format!("for example {}", K::EXAMPLE));
}

/// What somebody wrote, fit for a message: short, on one line.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    let mut short: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().count() > SHOWN {
        short.push('…');
    }
    format!("`{short}`")
}

/// Adds "did you mean" when a word is close, the whole list otherwise.
pub(crate) fn suggest(found: &mut Finding, word: &str, known: &[&str], listing: &str) {
    match closest(word, known) {
        Some(near) => found.label("unknown").help(format!("did you mean `{near}`?")),
        None if known.is_empty() => found.label("unknown"),
        None => found.label("unknown").help(format!("{listing} {}", known.join(", "))),
    };
}

/// The known word that a person most likely meant, if any is near enough.
pub(crate) fn closest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // Long words may have more slips; "v2" and "v3" must not be offered for each other's neighbours at random.
    let slips = (word.chars().count() / 3).clamp(1, 3);
    if word.chars().count() > 64 {
        return None;
    }
    let near = known.iter().map(|known| {
        (strsim::damerau_levenshtein(&word.to_ascii_lowercase(), &known.to_ascii_lowercase()), *known)
    });
    near.min().filter(|(distance, _)| *distance <= slips).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_what_was_meant_and_nothing_far_fetched() {
        let known = ["device", "name", "io", "rx_ring"];
        for (word, near) in [
            ("devcie", Some("device")),
            ("Device", Some("device")),
            ("rxring", Some("rx_ring")),
            ("nam", Some("name")),
            ("mtu", None),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(closest(word, &known), near, "{word}");
        }
    }

    #[test]
    fn quotes_are_short_and_on_one_line() {
        assert_eq!(quoted("a\nb"), "`a\\nb`");
        assert_eq!(quoted(&"x".repeat(50)).chars().count(), 43);
    }
}
