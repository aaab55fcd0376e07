//! A program that runs in a node of the lab.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::error::{Doing, LabError};
use super::stop::Stop;

/// A running program. It is killed when this value is dropped, when its [`super::Lab`] is, and when this process dies; a successor
/// of its own making when this value is dropped, and a gateway's also when this process dies.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    successor: Option<Successor>,
}

/// A process that the program made, and that went on in its place. It is this process's child since the other one ended.
#[derive(Debug)]
struct Successor {
    pid: Pid,
    /// How it ended. Its number may be somebody else's then.
    ended: Option<ExitStatus>,
}

impl Successor {
    fn look(&mut self, how: Option<WaitPidFlag>) -> io::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            // The two forms that a wait status has (wait(2)).
            let raw = match waitpid(self.pid, how).map_err(io::Error::from)? {
                WaitStatus::Exited(_, code) => Some(code << 8),
                WaitStatus::Signaled(_, signal, _) => (1..)
                    .take_while(|number| *number < 0x7f)
                    .find(|number| Signal::try_from(*number) == Ok(signal)),
                WaitStatus::Stopped(..)
                | WaitStatus::PtraceEvent(..)
                | WaitStatus::PtraceSyscall(_)
                | WaitStatus::Continued(_)
                | WaitStatus::StillAlive => None,
            };
            self.ended = raw.map(ExitStatus::from_raw);
        }
        Ok(self.ended)
    }

    fn kill(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.look(Some(WaitPidFlag::WNOHANG))? {
            return Ok(status);
        }
        kill(self.pid, Signal::SIGKILL)?;
        self.look(None)?.ok_or_else(|| io::Error::from(io::ErrorKind::Interrupted))
    }
}

impl Process {
    pub(super) const fn new(name: String, child: Child) -> Self {
        Self { name, child, successor: None }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        let successor = self.successor.as_ref().and_then(|one| u32::try_from(one.pid.as_raw()).ok());
        successor.unwrap_or_else(|| self.child.id())
    }

    /// From now on this process is the parent of whoever loses one below it, and so of successors.
    ///
    /// # Errors
    /// Whatever the system answers; none is expected.
    pub fn adopt_successors() -> Result<(), LabError> {
        set_child_subreaper(true)
            .map_err(io::Error::from)
            .doing(|| "becoming the parent of successors".to_owned())
    }

    /// It ends, and a process that it made goes on in its place, of which all is said from now on.
    ///
    /// # Errors
    /// When it has not ended within `patience`; both are killed then, when this value is dropped.
    pub fn give_way(&mut self, successor: u32, patience: Duration) -> Result<(), LabError> {
        let pid = i32::try_from(successor).map_err(io::Error::other);
        let pid = Pid::from_raw(pid.doing(|| format!("following {}", self.name))?);
        let ended = self.wait(patience).map(drop);
        if let Some(mut before) = self.successor.replace(Successor { pid, ended: None }) {
            // It ended, or it is stuck.
            let _ = before.kill();
        }
        ended
    }

    /// Who went on in its place when it ended, where nobody told us: a child of ours by now, that runs and has `word` among its arguments.
    #[must_use]
    pub fn heir(&self, word: &Path) -> Option<u32> {
        let own = std::process::id().to_string();
        let known = self.id();
        let each = fs::read_dir("/proc").ok()?.flatten();
        let mut pids = each.filter_map(|one| one.file_name().to_str()?.parse::<u32>().ok());
        pids.find(|pid| {
            // proc(5): the state, and the parent, stand behind the name; who has ended has no arguments any more.
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
            let words = || fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let has =
                |words: &[u8]| words.split(|octet| *octet == 0).any(|one| one == word.as_os_str().as_bytes());
            *pid != known && parent == Some(&own) && has(&words())
        })
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
        let ended = match &mut self.successor {
            Some(successor) => successor.look(Some(WaitPidFlag::WNOHANG)),
            None => self.child.try_wait(),
        };
        ended.doing(|| format!("looking after {name}"))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// `ESRCH` when it ended and was waited for.
    pub fn signal(&self, signal: Signal) -> Result<(), LabError> {
        let pid = i32::try_from(self.id()).map_err(io::Error::other);
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
        if let Some(successor) = &mut self.successor {
            return successor.kill().doing(|| format!("killing {name}"));
        }
        self.child.kill().doing(|| format!("killing {name}"))?;
        self.child.wait().doing(|| format!("waiting for {name}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill and the status is there.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.successor.as_mut().map(Successor::kill);
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
