//! What the demo says while it works: one line per step with the time since the start, and a few blocks at the end.
//!
//! Talk goes to standard output, or to standard error when that is wanted for a document. Colour only on a terminal,
//! and not when `NO_COLOR` is set.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use net::Instant;

use crate::clock;

/// Says things.
#[derive(Clone, Copy, Debug)]
pub struct Talk {
    started: Instant,
    to: Channel,
    colour: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Channel {
    Output,
    Error,
}

impl Talk {
    /// Starts the clock. `document` leaves standard output alone; `colour` overrides what the terminal suggests.
    #[must_use]
    pub fn new(document: bool, colour: Option<bool>) -> Self {
        let to = if document { Channel::Error } else { Channel::Output };
        let terminal = match to {
            Channel::Output => io::stdout().is_terminal(),
            Channel::Error => io::stderr().is_terminal(),
        };
        let wanted = terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Self { started: clock::now(), to, colour: colour.unwrap_or(wanted) }
    }

    /// When the demo started.
    #[must_use]
    pub const fn started(&self) -> Instant {
        self.started
    }

    /// A step: its line begins with the time since the start.
    pub fn step(&self, text: impl Display) {
        let tenths = clock::now().since(self.started).as_millis() / 100;
        let stamp = format!("[{:>3}.{}s]", tenths / 10, tenths % 10);
        self.block(format_args!("{} {text}", self.paint(DIM, &stamp)));
    }

    /// A block of text, as it is.
    pub fn block(&self, text: impl Display) {
        // Whoever closed the pipe does not want to read; the demo's verdict is its exit code.
        let _ = match self.to {
            Channel::Output => writeln!(io::stdout().lock(), "{text}"),
            Channel::Error => writeln!(io::stderr().lock(), "{text}"),
        };
    }

    /// `ok` in green or `FAILED` in red.
    #[must_use]
    pub fn outcome(&self, ok: bool) -> String {
        if ok { self.paint(GREEN, "ok") } else { self.paint(RED, "FAILED") }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

const DIM: &str = "2";
const GREEN: &str = "32";
const RED: &str = "31;1";
