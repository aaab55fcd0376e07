//! What is wrong with a configuration, where, and what to write instead.
//!
//! A load does not stop at the first problem: it collects them all in a `Report`, which knows only
//! offsets, and turns it into [`Problems`] at the end, sorted by their place in the file. A
//! [`Problem`] is plain data (for `--json`) and a `miette::Diagnostic` (for people).
//!
//! Invariant: no text in here holds key material. The source that snippets are cut from and every
//! message pass through `redact` before they are stored; the original text is not kept.

mod code;
mod redact;
mod render;

use std::sync::Arc;

use miette::NamedSource;
use serde::Serialize;

pub use code::{Code, Severity};

/// More problems than this help nobody; the rest is counted.
const SHOWN: usize = 100;

/// A place in the text, in octets.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl From<core::ops::Range<usize>> for Span {
    fn from(range: core::ops::Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

/// One problem: a code, a place, what is wrong, what to do.
#[derive(Clone, Debug, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    code: Code,
    severity: Severity,
    file: String,
    line: usize,
    column: usize,
    message: String,
    help: Option<String>,
    #[serde(skip)]
    labels: Vec<(Span, Option<String>)>,
    #[serde(skip)]
    source_text: Arc<NamedSource<String>>,
}

impl Problem {
    /// What kind of problem it is.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// Whether it keeps the configuration from running.
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// The source's name as given to `load`.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Line in the file, from 1.
    pub const fn line(&self) -> usize {
        self.line
    }

    /// Column in characters, from 1.
    pub const fn column(&self) -> usize {
        self.column
    }

    /// What is wrong, in one sentence. Never holds key material.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to write or do instead.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

/// All problems of one file, in the order of their places; at least one of them is an error when
/// `load` returns this as its error. Alone, it renders as a list with snippets.
#[derive(Clone, Debug, Serialize)]
pub struct Problems {
    file: String,
    list: Vec<Problem>,
    unlisted: usize,
}

impl Problems {
    /// The problems, in the order of their places in the file.
    pub fn iter(&self) -> core::slice::Iter<'_, Problem> {
        self.list.iter()
    }

    /// How many are listed.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many were found beyond the ones that are listed.
    pub const fn unlisted(&self) -> usize {
        self.unlisted
    }

    /// True when the configuration cannot be run.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    fn count(&self, severity: Severity) -> usize {
        self.iter().filter(|problem| problem.severity == severity).count()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = core::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A problem while only its offsets are known.
#[derive(Debug)]
pub(crate) struct Finding {
    code: Code,
    span: Span,
    message: String,
    label: Option<String>,
    help: Option<String>,
    also: Vec<(Span, String)>,
}

impl Finding {
    /// A few words at the caret.
    pub(crate) fn label(&mut self, text: impl Into<String>) -> &mut Self {
        self.label = Some(text.into());
        self
    }

    /// What to write or do instead.
    pub(crate) fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = Some(text.into());
        self
    }

    /// Another place that has to do with it.
    pub(crate) fn also(&mut self, span: Span, text: impl Into<String>) -> &mut Self {
        self.also.push((span, text.into()));
        self
    }
}

/// Collects findings while a file is read and checked.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Finding>);

impl Report {
    /// Adds a problem at `span`; details follow by the returned reference.
    pub(crate) fn add(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Finding {
        let finding =
            Finding { code, span, message: message.into(), label: None, help: None, also: Vec::new() };
        self.0.push_mut(finding)
    }

    /// True when one of the findings is an error.
    pub(crate) fn has_errors(&self) -> bool {
        self.0.iter().any(|finding| finding.code.severity() == Severity::Error)
    }

    /// Drops the findings with this code.
    pub(crate) fn forget(&mut self, code: Code) {
        self.0.retain(|finding| finding.code != code);
    }

    /// The findings with their places in `text`, which is called `name`.
    pub(crate) fn into_problems(mut self, name: &str, text: &str) -> Problems {
        // Stable, so that several findings at one place stay in the order in which they were found.
        self.0.sort_by_key(|finding| finding.span.start);
        let file = name.to_owned();
        let source = Arc::new(NamedSource::new(name, redact::redact(text)));
        let unlisted = self.0.len().saturating_sub(SHOWN);
        let list =
            self.0.into_iter().take(SHOWN).map(|finding| problem(finding, &file, &source, text)).collect();
        Problems { file, list, unlisted }
    }
}

fn problem(finding: Finding, file: &str, source: &Arc<NamedSource<String>>, text: &str) -> Problem {
    let (line, column) = place(text, finding.span.start);
    // A caret without words would be lost among the other places.
    let label = finding.label.or_else(|| (!finding.also.is_empty()).then(|| "here".to_owned()));
    let also = finding.also.into_iter().map(|(span, label)| (span, Some(redact::redact(&label))));
    Problem {
        code: finding.code,
        severity: finding.code.severity(),
        file: file.to_owned(),
        line,
        column,
        message: redact::redact(&finding.message),
        help: finding.help.map(|help| redact::redact(&help)),
        labels: core::iter::once((finding.span, label.map(|label| redact::redact(&label))))
            .chain(also)
            .collect(),
        source_text: Arc::clone(source),
    }
}

/// Line and column of an octet, both from 1, the column in characters.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..text.floor_char_boundary(offset)).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_from_one_in_characters() {
        let text = "a = 1\nü = \"x\"\n";
        for (offset, expected) in
            [(0, (1, 1)), (4, (1, 5)), (6, (2, 1)), (7, (2, 1)), (8, (2, 2)), (99, (3, 1))]
        {
            assert_eq!(place(text, offset), expected, "offset {offset}");
        }
    }

    #[test]
    fn a_flood_is_cut_and_counted() {
        let mut report = Report::default();
        for _ in 0..SHOWN + 7 {
            report.add(Code::Syntax, Span::default(), "bad");
        }
        let problems = report.into_problems("f", "");
        assert_eq!((problems.len(), problems.unlisted()), (SHOWN, 7));
    }
}
