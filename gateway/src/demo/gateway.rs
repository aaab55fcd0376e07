//! A real gateway as the demo runs it: this same program, `run -c FILE`, as a process of its own inside its node.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use super::api::{self, Channel, KeyAgreement};
use super::routing;
use super::site::Site;
use crate::clock;
use crate::lab::{Lab, LabError, Process, Stop, in_words};

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    site: Site,
    process: Process,
}

impl Gateway {
    /// Starts the gateway of `site` in node `gw-a` or `gw-b`.
    ///
    /// # Errors
    /// When the log cannot be made or the program cannot be started.
    pub(crate) fn start(lab: &Lab, site: &Site) -> anyhow::Result<Self> {
        Self::start_program(&std::env::current_exe().context("looking for this program")?, lab, site)
    }

    /// As [`start`](Self::start), another program.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub(crate) fn start_program(program: &Path, lab: &Lab, site: &Site) -> anyhow::Result<Self> {
        let log = File::create(&site.log).with_context(|| format!("making {}", site.log.display()))?;
        let mut command = Command::new(program);
        command.arg("run").arg("-c").arg(&site.config).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        // A group of its own: Ctrl-C at the terminal is for the demo, which ends its gateways in order.
        command.process_group(0);
        let process = lab.spawn(&format!("gw-{}", site.letter), command)?;
        Ok(Self { site: site.clone(), process })
    }

    /// Its site.
    #[must_use]
    pub(crate) const fn site(&self) -> &Site {
        &self.site
    }

    /// Its channels, as it reports them.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn channels(&self) -> anyhow::Result<Vec<Channel>> {
        api::channels(&self.site.socket)
            .with_context(|| format!("asking the gateway of site {}", self.site.letter))
    }

    /// The key agreement of one of its channels.
    ///
    /// # Errors
    /// When it does not answer, or has none there.
    pub(crate) fn key_agreement(&self, channel: &str) -> anyhow::Result<KeyAgreement> {
        let all = api::key_agreements(&self.site.socket)
            .with_context(|| format!("asking the gateway of site {} for its keys", self.site.letter))?;
        let one = all.into_iter().find(|one| one.channel == channel);
        one.with_context(|| format!("site {} has no key agreement on {channel}", self.site.letter))
    }

    /// Has it make a fresh SAK.
    ///
    /// # Errors
    /// When it does not answer or refuses.
    pub(crate) fn rekey(&self, channel: &str) -> anyhow::Result<()> {
        api::rekey(&self.site.socket, channel)
            .with_context(|| format!("asking the gateway of site {} to rekey {channel}", self.site.letter))
    }

    /// Has it drain one of its channels, and waits until that is safe to work on; returns how long that took.
    ///
    /// # Errors
    /// When it does not answer or refuses, when `patience` is over, or when `stop` was requested.
    pub(crate) fn drain(&self, channel: &str, patience: Duration, stop: &Stop) -> anyhow::Result<Duration> {
        let begin = clock::now();
        self.set_drained(channel, true)?;
        let safe =
            || self.channels().is_ok_and(|all| all.iter().any(|one| one.name == channel && one.is_safe()));
        if !stop.poll(patience, POLL, safe) {
            bail!("traffic does not leave {channel} of site {}", self.site.letter);
        }
        Ok(clock::now().since(begin))
    }

    /// Has it use a drained channel again.
    ///
    /// # Errors
    /// When it does not answer or refuses.
    pub(crate) fn undrain(&self, channel: &str) -> anyhow::Result<()> {
        self.set_drained(channel, false)
    }

    fn set_drained(&self, channel: &str, drained: bool) -> anyhow::Result<()> {
        api::drain(&self.site.socket, channel, !drained)
            .with_context(|| format!("draining or undraining {channel} at site {}", self.site.letter))
    }

    /// Waits until it answers and `wanted` channels are live; returns how long that took.
    ///
    /// # Errors
    /// When it ended, when `patience` is over, or when `stop` was requested; with the end of its log.
    pub(crate) fn wait_live(
        &mut self,
        wanted: usize,
        patience: Duration,
        stop: &Stop,
    ) -> anyhow::Result<Duration> {
        let begin = clock::now();
        let mut ended = None;
        let mut live = 0;
        let ready = stop.poll(patience, POLL, || {
            ended = self.process.ended().ok().flatten();
            live =
                api::channels(&self.site.socket).map_or(0, |all| all.iter().filter(|c| c.is_live()).count());
            ended.is_some() || live == wanted
        });
        if ended.is_none() && ready {
            return Ok(clock::now().since(begin));
        }
        let what = match ended {
            Some(status) => format!("ended with {}", in_words(status)),
            None if !api::answers(&self.site.socket) => "does not answer on its socket".to_owned(),
            None => format!("has {live} of {wanted} channels live"),
        };
        bail!("the gateway of site {} {what}; the end of its log:\n{}", self.site.letter, self.log_tail())
    }

    /// Waits until all its workers reach the other site by `wanted` live attachments; returns how long that took.
    ///
    /// # Errors
    /// When `patience` is over or `stop` was requested; with the end of its log.
    pub(crate) fn wait_ways(
        &self,
        wanted: usize,
        patience: Duration,
        stop: &Stop,
    ) -> anyhow::Result<Duration> {
        let begin = clock::now();
        let Site { letter, socket, .. } = &self.site;
        let mut ways = 0;
        let ready = stop.poll(patience, POLL, || {
            ways = routing::ways(socket, *letter).unwrap_or(0);
            ways == wanted
        });
        if ready {
            return Ok(clock::now().since(begin));
        }
        bail!(
            "the gateway of site {letter} has {ways} of {wanted} ways to the other site; the end of its log:\n{}",
            self.log_tail()
        )
    }

    /// Ends it in order (`SIGTERM`).
    ///
    /// # Errors
    /// Whatever the system answers; none is expected.
    pub(crate) fn end(&mut self) -> Result<ExitStatus, LabError> {
        let mut status = self.process.terminate(Duration::from_secs(5))?;
        while self.follow()? {
            status = self.process.terminate(Duration::from_secs(5))?;
        }
        Ok(status)
    }

    /// Kills it (`SIGKILL`).
    ///
    /// # Errors
    /// Whatever the system answers; none is expected.
    pub(crate) fn kill(&mut self) -> Result<ExitStatus, LabError> {
        let mut status = self.process.kill()?;
        while self.follow()? {
            status = self.process.kill()?;
        }
        Ok(status)
    }

    /// It has ended; where somebody had it hand over, its successor is this gateway from now on. That needs
    /// [`Process::adopt_successors`] beforehand.
    fn follow(&mut self) -> Result<bool, LabError> {
        let Some(heir) = self.process.heir(&self.site.config) else { return Ok(false) };
        self.process.give_way(heir, GIVES_WAY_WITHIN)?;
        Ok(true)
    }

    /// Has it hand over to a successor under traffic, which is this gateway from then on; gives how long nobody forwarded.
    ///
    /// # Errors
    /// When it does not answer, when it goes on itself, or when it does not end.
    pub(crate) fn restart(&mut self) -> anyhow::Result<Duration> {
        let letter = self.site.letter;
        Process::adopt_successors()?;
        let told = api::restart(&self.site.socket)
            .with_context(|| format!("asking the gateway of site {letter} to restart"))?;
        if !told.done {
            bail!("the gateway of site {letter} goes on as it was: {}", told.why);
        }
        self.process.give_way(told.pid, GIVES_WAY_WITHIN)?;
        Ok(Duration::from_secs_f64(told.still_ms.max(0.0) / 1e3))
    }

    /// How it ended; `None` while it runs.
    ///
    /// # Errors
    /// Whatever the system answers; none is expected.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>, LabError> {
        loop {
            let ended = self.process.ended()?;
            if ended.is_none() || !self.follow()? {
                return Ok(ended);
            }
        }
    }

    /// Its process id.
    #[must_use]
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The last lines of its log.
    #[must_use]
    pub(crate) fn log_tail(&self) -> String {
        let log = fs::read(&self.site.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
        tail.iter().map(|line| format!("    {line}\n")).collect()
    }
}

const POLL: Duration = Duration::from_millis(10);
const GIVES_WAY_WITHIN: Duration = Duration::from_secs(10);
const TAIL_LINES: usize = 12;
