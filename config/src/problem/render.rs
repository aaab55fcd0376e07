//! Problems for people: miette's view of them, and a rendering that is the same everywhere.

use core::fmt;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};

use super::{Problem, Problems, Severity, Span};

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| -> Box<dyn fmt::Display + 'a> { Box::new(help) })
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&*self.source_text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let limit = self.source_text.inner().len();
        Some(Box::new(self.labels.iter().enumerate().map(move |(at, (span, text))| {
            let Span { start, end } = *span;
            let (start, end) = (start.min(limit), end.min(limit));
            let span = (start, end.saturating_sub(start));
            let label = if at == 0 { LabeledSpan::new_primary_with_span } else { LabeledSpan::new_with_span };
            label(text.clone(), span)
        })))
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        write!(f, "{}: {}", self.file, counted(errors, "error"))?;
        if warnings > 0 {
            write!(f, ", {}", counted(warnings, "warning"))?;
        }
        if self.unlisted > 0 {
            write!(f, " and {} more problems", self.unlisted)?;
        }
        Ok(())
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

impl core::error::Error for Problems {}

impl Diagnostic for Problems {
    fn severity(&self) -> Option<miette::Severity> {
        Some(if self.has_errors() { miette::Severity::Error } else { miette::Severity::Warning })
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.iter().map(|problem| -> &dyn Diagnostic { problem })))
    }
}

impl Problems {
    /// Every problem with its snippet, wrapped to `width` columns, and a last line that counts them.
    /// With `colour` it holds ANSI escapes.
    pub fn render(&self, width: usize, colour: bool) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler =
            GraphicalReportHandler::new_themed(theme).with_width(width.max(40)).without_syntax_highlighting();
        let mut out = String::new();
        for problem in self {
            // Writing into a String fails only when a Display does, and then the rest is still worth showing.
            let _ = handler.render_report(&mut out, problem);
            out.push('\n');
        }
        out.push_str(&self.to_string());
        out.push('\n');
        out
    }
}
