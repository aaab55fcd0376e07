//! Processes that do not outlive the measurement.

use std::{
    fs,
    process::{Child, Command},
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::ending;

/// Clock ticks per second in `/proc/PID/stat` (`USER_HZ`: 100 on every architecture that matters, proc(5)).
const TICKS: f64 = 100.0;

/// A process of ours. It is asked to end when dropped, and waited for.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// When the kernel does not.
    pub fn start(command: &mut Command) -> Result<Self> {
        let _may = ending::may_make();
        let started = command.spawn();
        Ok(Self(started.with_context(|| format!("cannot start {}", command.get_program().display()))?))
    }

    /// The process itself.
    pub const fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Seconds of CPU that all its threads have used, in user mode and in the kernel on its behalf.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).context("the process ended")?;
        // Fields count from behind the name, which may contain anything: utime and stime are the 12th and 13th.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
        Ok(ticks / TICKS)
    }

    /// Resident memory in MiB. The kernel counts the mapped rings of packet sockets out of it.
    pub fn resident_mib(&self) -> Result<f64> {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.0.id())).context("the process ended")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().context("VmRSS is no number")?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let id = self.0.id().try_into().unwrap_or(0);
        // It may have ended by itself; our child's number is not given to another before `wait`.
        if id > 0 && self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _asked = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        let _ended = self.0.wait();
    }
}

/// Runs a command to its end and gives what it said.
pub fn output(command: &mut Command) -> Result<String> {
    let name = format!("{command:?}");
    let done = command.output().with_context(|| format!("cannot run {name}"))?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    ensure!(done.status.success(), "{name}: {said}{}", String::from_utf8_lossy(&done.stderr));
    Ok(said)
}
