//! A program that runs in a node of the lab.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::error::{Doing, LabError};
use super::stop::Stop;

/// A running program. It is killed when this value is dropped, when its [`super::Lab`] is, and when this process dies.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
}

impl Process {
    pub(super) const fn new(name: String, child: Child) -> Self {
        Self { name, child }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it ended; `None` while it runs.
    ///
    /// # Errors
    /// Whatever the system answers; none is expected.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, LabError> {
        let name = &self.name;
        self.child.try_wait().doing(|| format!("looking after {name}"))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// `ESRCH` when it ended and was waited for.
    pub fn signal(&self, signal: Signal) -> Result<(), LabError> {
        let pid = i32::try_from(self.child.id()).map_err(io::Error::other);
        let sent = pid.and_then(|pid| kill(Pid::from_raw(pid), signal).map_err(io::Error::from));
        sent.doing(|| format!("sending {signal} to {}", self.name))
    }

    /// Waits until it ends by itself, at most `patience`.
    ///
    /// # Errors
    /// `TimedOut` when it still runs.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus, LabError> {
        let mut status = Ok(None);
        Stop::new().poll(patience, Duration::from_millis(2), || {
            status = self.ended();
            !matches!(status, Ok(None))
        });
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        status?.ok_or_else(late).doing(|| format!("waiting for {} to end", self.name))
    }

    /// Asks it to end (`SIGTERM`), and kills it when it has not within `patience`. Returns how it ended.
    ///
    /// # Errors
    /// Whatever the system answers; none is expected.
    pub fn terminate(&mut self, patience: Duration) -> Result<ExitStatus, LabError> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        self.signal(Signal::SIGTERM)?;
        if let Ok(status) = self.wait(patience) {
            return Ok(status);
        }
        self.kill()
    }

    /// Kills it (`SIGKILL`), if it still runs. Returns how it ended.
    ///
    /// # Errors
    /// Whatever the system answers; none is expected.
    pub fn kill(&mut self) -> Result<ExitStatus, LabError> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        let name = &self.name;
        self.child.kill().doing(|| format!("killing {name}"))?;
        self.child.wait().doing(|| format!("waiting for {name}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill and the status is there.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a program ended, in words: `exit code 1`, `killed by SIGTERM`.
#[must_use]
pub fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal().and_then(|s| Signal::try_from(s).ok())) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by {signal}"),
        (None, None) => status.to_string(),
    }
}
