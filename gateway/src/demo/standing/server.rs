//! The lab's process: builds the lab, says that it stands, and does what requests ask for until one asks for the end.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use sys::{Poller, Ready, Waker};

use super::hold::Held;
use super::place::Place;
use super::request::{Answer, Request, Setup};
use crate::lab::{self, Process, Stop};

/// Runs a lab in the folder of `place`, which was just made. To be called while the process has one thread. The first line on
/// standard output is the [`Answer`] that says how it went; nothing is written there after it.
#[must_use]
pub fn serve(place: &Place, setup: Setup) -> ExitCode {
    // A session of its own: what happens to the terminal is not for the lab. It fails only for who leads one already.
    let _led = nix::unistd::setsid();
    let served = run(place, setup);
    // Nobody else uses the folder; what cannot be removed is removed when the lab is built again.
    let _removed = place.remove();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            announce(&Answer::Failed(format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn run(place: &Place, setup: Setup) -> anyhow::Result<()> {
    let entered = lab::enter()?;
    let listener = UnixListener::bind(place.socket()).context("listening on the lab's socket")?;
    let stop = Stop::new();
    let mut door = Door::new(listener, &stop)?;
    // Anybody may restart a gateway of the lab (`quadspan restart`): its successor is ours, too.
    Process::adopt_successors()?;
    let mut held = Held::begin(place.clone(), setup, entered, &stop)?;
    announce(&Answer::Done(Box::new(held.status()?)));
    while let Some(stream) = door.next(&stop)? {
        if converse(&stream, &mut held).unwrap_or(false) {
            break;
        }
    }
    held.end();
    Ok(())
}

/// Where requests come in; opens no more once the process is asked to stop.
struct Door {
    listener: UnixListener,
    poller: Poller,
    waker: Waker,
    ready: Vec<Ready>,
}

impl Door {
    fn new(listener: UnixListener, stop: &Stop) -> anyhow::Result<Self> {
        listener.set_nonblocking(true)?;
        let poller = Poller::new()?;
        poller.add(&listener, LISTEN)?;
        let waker = Waker::new(&poller, WAKE)?;
        let wake = waker.clone();
        super::super::on_signals(stop.clone(), move || wake.wake()).context("watching for signals")?;
        Ok(Self { listener, poller, waker, ready: Vec::new() })
    }

    fn next(&mut self, stop: &Stop) -> io::Result<Option<UnixStream>> {
        while !stop.is_requested() {
            match self.listener.accept() {
                Ok((stream, _)) => return Ok(Some(stream)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.poller.wait(&mut self.ready, None)?,
                // The caller gave up, or descriptors ran short: later.
                Err(_) => self.poller.wait(&mut self.ready, Some(PAUSE))?,
            }
            self.waker.reset();
        }
        Ok(None)
    }
}

/// One request and its answer. True when the lab is to end.
fn converse(stream: &UnixStream, held: &mut Held) -> io::Result<bool> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_REQUEST)).read_line(&mut line)?;
    let request = serde_json::from_str::<Request>(&line);
    let answer = match &request {
        Ok(request) => match held.handle(request) {
            Ok(status) => Answer::Done(Box::new(status)),
            Err(error) => Answer::Failed(format!("{error:#}")),
        },
        Err(error) => Answer::Failed(format!("this is no request to a lab: {error}")),
    };
    write_line(stream, &answer)?;
    Ok(matches!(request, Ok(Request::Down)))
}

fn announce(answer: &Answer) {
    // Whoever started us may have given up; the lab stands all the same, and `lab status` finds it.
    let _told = write_line(io::stdout().lock(), answer);
}

fn write_line(mut to: impl Write, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

const LISTEN: u64 = 0;
const WAKE: u64 = 1;
/// How long somebody who connected may take to say what he wants.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
/// Octets of the longest request: a few channels' names.
const LONGEST_REQUEST: u64 = 16 << 10;
