//! How things are to look here and now.

use jiff::Timestamp;

/// Where the text goes.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Columns of the terminal; `None`: no terminal, nothing is shortened or wrapped.
    pub width: Option<usize>,
    /// Whether it may hold ANSI escapes.
    pub colour: bool,
    /// The moment that "ago" counts from.
    pub now: Timestamp,
}

const RED: &str = "\x1b[1;31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// States, and how they look. Longer ones first.
const WORDS: &[(&str, &str)] = &[
    ("CLEAR TEXT", RED),
    ("SHOULD-SECURE", YELLOW),
    ("DEGRADED", RED),
    ("FAIL", RED),
    ("warn", YELLOW),
    ("NOT SECURED", RED),
    ("degraded", YELLOW),
    ("secured", GREEN),
    ("unknown", YELLOW),
    ("invalid", RED),
    ("reserve", YELLOW),
    ("down", RED),
    ("live", GREEN),
    ("up", GREEN),
    ("OK", GREEN),
];

impl Look {
    /// How it looks where there is no terminal.
    pub const fn plain(now: Timestamp) -> Self {
        Self { width: None, colour: false, now }
    }

    /// The text with its states in colour, titles in bold, remarks in yellow.
    pub(crate) fn paint(&self, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let lines: Vec<_> = text.lines().map(line).collect();
        lines.join("\n") + if text.ends_with('\n') { "\n" } else { "" }
    }
}

fn line(line: &str) -> String {
    if line.starts_with("! ") {
        return format!("{YELLOW}{line}{PLAIN}");
    }
    if is_title(line) {
        return format!("{BOLD}{line}{PLAIN}");
    }
    let mut out = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let at_word = out.chars().next_back().is_none_or(|before| !before.is_alphanumeric() && before != '-');
        let found = WORDS.iter().find(|(word, _)| at_word && begins_with_word(rest, word));
        if let Some((word, colour)) = found {
            out.push_str(&format!("{colour}{word}{PLAIN}"));
            rest = rest.strip_prefix(word).unwrap_or_default();
        } else {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    out
}

fn begins_with_word(text: &str, word: &str) -> bool {
    let after = text.strip_prefix(word);
    after.is_some_and(|rest| {
        rest.chars().next().is_none_or(|next| !next.is_alphanumeric() && !"-._/".contains(next))
    })
}

/// A line of column titles has no small letter.
fn is_title(line: &str) -> bool {
    line.chars().any(|c| c.is_ascii_uppercase())
        && !line.chars().any(|c| c.is_lowercase() || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_coloured_and_names_are_not() {
        let look = Look { width: None, colour: true, now: Timestamp::UNIX_EPOCH };
        let painted = look.paint("CHANNEL  STATE\nup-1     down\n! something\n");
        assert_eq!(
            painted,
            "\x1b[1mCHANNEL  STATE\x1b[0m\nup-1     \x1b[1;31mdown\x1b[0m\n\x1b[33m! something\x1b[0m\n"
        );
        assert_eq!(Look::plain(Timestamp::UNIX_EPOCH).paint("down"), "down");
    }
}
