//! Standard output and standard error: who reads them, how wide they are, whether they have colour.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

use terminal_size::{Width, terminal_size_of};

use super::{
    args::Color,
    exit::{Exit, Failure},
};
use crate::{api::wall, show::Look};

/// Lines longer than this are hard to read, whatever the terminal.
const WIDEST: usize = 200;
/// Columns that messages are wrapped to where there is no terminal.
const STANDARD: usize = 100;

/// How documents are to look on standard output.
pub(super) fn look(color: Color) -> Look {
    Look { width: width_of_output(), colour: has_colour(color, &io::stdout()), now: wall() }
}

fn width_of_output() -> Option<usize> {
    io::stdout().is_terminal().then(|| {
        let told = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        told.or_else(|| terminal_size_of(io::stdout()).map(|(Width(width), _)| usize::from(width)))
            .unwrap_or(STANDARD)
    })
}

/// Columns and colour of messages on standard error.
pub(super) fn messages(color: Color) -> (usize, bool) {
    let width = terminal_size_of(io::stderr()).map_or(STANDARD, |(Width(width), _)| usize::from(width));
    (width.min(WIDEST), has_colour(color, &io::stderr()))
}

fn has_colour(color: Color, stream: &impl IsTerminal) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
            stream.is_terminal() && !unwanted && !dumb
        }
    }
}

/// Writes data.
///
/// # Errors
/// When it cannot be written. A reader that has seen enough (`| head`) is no failure, but the end.
pub(super) fn print(data: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(data).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => Err(Failure::silent(Exit::Done)),
        Err(why) => Err(Failure::new(Exit::Failed, format_args!("cannot write to standard output: {why}"))),
    }
}

/// Writes talk. Nobody may be listening.
pub(super) fn tell(text: &str) {
    let _written = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes a document of `--json`.
///
/// # Errors
/// As [`print`].
pub(super) fn print_json(document: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document);
    let text =
        text.map_err(|why| Failure::new(Exit::Failed, format_args!("cannot be shown as JSON: {why}")))?;
    print(format!("{text}\n").as_bytes())
}
