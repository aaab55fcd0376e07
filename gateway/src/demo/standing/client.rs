//! The other end: starts a lab, asks one, ends one.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use thiserror::Error;

use super::place::{Place, PlaceError};
use super::request::{Answer, Request, Setup};
use super::status::Status;
use crate::lab::Stop;

/// Why a lab did not do what it was asked for.
#[derive(Debug, Error)]
pub enum AskError {
    /// There is no such lab.
    #[error("the lab {0} is not up")]
    NotUp(String),
    /// It said no.
    #[error("{0}")]
    Refused(String),
    /// It did not answer, or not in our language.
    #[error("the lab {name} does not answer: {why}")]
    Silent {
        /// Its name.
        name: String,
        /// What was found instead of an answer.
        why: String,
    },
    /// Its folder cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

/// Asks the lab at `place`.
///
/// # Errors
/// [`AskError`].
pub fn ask(place: &Place, request: &Request) -> Result<Status, AskError> {
    let silent = |why: String| AskError::Silent { name: place.name().to_owned(), why };
    let stream = UnixStream::connect(place.socket()).map_err(|e| {
        // A socket that nobody listens on is what a killed lab leaves.
        let nobody = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused].contains(&e.kind());
        if nobody { AskError::NotUp(place.name().to_owned()) } else { silent(e.to_string()) }
    })?;
    match converse(&stream, request) {
        Ok(Answer::Done(status)) => Ok(*status),
        Ok(Answer::Failed(why)) => Err(AskError::Refused(why)),
        Err(e) => Err(silent(e.to_string())),
    }
}

fn converse(mut stream: &UnixStream, request: &Request) -> io::Result<Answer> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    read_answer(stream)
}

fn read_answer(from: impl Read) -> io::Result<Answer> {
    let mut line = String::new();
    BufReader::new(from.take(LONGEST_ANSWER)).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&line)?)
}

/// Brings a lab up and waits until it stands. True when it was not up before.
///
/// # Errors
/// [`AskError::Refused`] with the reason and the remedy.
pub fn up(place: &Place, setup: Setup) -> Result<(Status, bool), AskError> {
    match ask(place, &Request::Status) {
        Err(AskError::NotUp(_)) => {}
        other => return other.map(|status| (status, false)),
    }
    place.make()?;
    let refused = |e: io::Error| AskError::Refused(format!("starting the lab's process: {e}"));
    let mut child = start(place, setup).map_err(refused)?;
    let answer = child.stdout.take().map(read_answer);
    match answer {
        Some(Ok(Answer::Done(status))) => Ok((*status, true)),
        Some(Ok(Answer::Failed(why))) => {
            // It is about to end by itself.
            let _ended = child.wait();
            Err(AskError::Refused(why))
        }
        _ => Err(AskError::Refused(format!("the lab's process ended; {}", last_words(place, &mut child)))),
    }
}

fn start(place: &Place, setup: Setup) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["lab", "serve", "--name", place.name()]);
    command.arg("--setup").arg(serde_json::to_string(&setup)?);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(place.log())?);
    command.spawn()
}

fn last_words(place: &Place, child: &mut Child) -> String {
    let status = child.wait().map_or_else(|e| e.to_string(), crate::lab::in_words);
    let log = fs::read_to_string(place.log()).unwrap_or_default();
    let last = log.lines().last().unwrap_or("it said nothing");
    format!("{status}: {last}")
}

/// Ends a lab, and waits until nothing is left of it. False when there was none.
///
/// # Errors
/// [`AskError::Silent`] when it does not end.
pub fn down(place: &Place) -> Result<bool, AskError> {
    let silent = |why: String| AskError::Silent { name: place.name().to_owned(), why };
    match ask(place, &Request::Down) {
        Err(AskError::NotUp(_)) => {
            // A lab that was killed could not clear up its files; everything else went with it.
            let left = place.exists();
            place.remove().map_err(|e| silent(e.to_string()))?;
            return Ok(left);
        }
        Err(e) => return Err(e),
        Ok(status) => {
            let gone = || !place.exists();
            if !Stop::new().poll(PATIENCE, Duration::from_millis(10), gone) {
                let pid = status.pid;
                return Err(silent(format!("it does not end\n  remedy: kill -9 {pid}; all goes with it")));
            }
        }
    }
    Ok(true)
}

/// How long a lab may take: starting is the longest.
const PATIENCE: Duration = Duration::from_secs(30);
/// Octets of the longest answer.
const LONGEST_ANSWER: u64 = 1 << 20;
