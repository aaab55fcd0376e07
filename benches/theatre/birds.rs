//! BIRD at both gateways, and the kernels that route as it says.

use std::{
    fs::{self, DirBuilder, File},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, bail, ensure};
use gateway::{
    demo::{
        standing::Mode,
        theatre::{Act, CHANNEL_MTU, CHANNELS, Contender, Noticed, PATIENCE},
    },
    lab::{Lab, Process, Stop, WiredSites},
};
use jiff::{civil::DateTime, tz::TimeZone};
use support::process::output;

use crate::conf;

const SITES: [&str; 2] = ["a", "b"];
const PROGRAM: &str = "/usr/sbin/bird";
const STEP: Duration = Duration::from_millis(20);
/// A kernel that has another route may still hold frames for the old one.
const QUIET: Duration = Duration::from_secs(1);

/// Both, with their files.
pub(crate) struct Birds {
    mode: Mode,
    folder: PathBuf,
    keep: bool,
    drained: Vec<String>,
    processes: Vec<(char, Process)>,
}

impl Birds {
    /// Builds the sites and starts BIRD at both.
    pub(crate) fn start(mode: Mode, seed: u64) -> Result<(Self, WiredSites)> {
        ensure!(Path::new(PROGRAM).exists(), "there is no {PROGRAM}");
        let all: Vec<u8> = (1..=CHANNELS).collect();
        let sites = WiredSites::build_of(&conf::topology(CHANNEL_MTU), CHANNEL_MTU, &all, seed)?;
        let folder =
            std::env::temp_dir().join(format!("quadspan-theatre-{}-{}", std::process::id(), mode.word()));
        DirBuilder::new().mode(0o700).recursive(true).create(&folder)?;
        let mut this = Self { mode, folder, keep: false, drained: Vec::new(), processes: Vec::new() };
        for letter in SITES {
            this.configure(letter)?;
            this.run(letter, sites.lab())?;
        }
        Ok((this, sites))
    }

    fn at(&self, letter: &str, what: &str) -> PathBuf {
        self.folder.join(format!("{letter}.{what}"))
    }

    fn configure(&self, letter: &str) -> Result<()> {
        Ok(fs::write(self.at(letter, "conf"), conf::bird(letter, self.mode, &self.drained))?)
    }

    fn run(&mut self, letter: &str, lab: &Lab) -> Result<()> {
        let log = File::options().append(true).create(true).open(self.at(letter, "log"))?;
        let mut command = Command::new(PROGRAM);
        command.arg("-f").arg("-c").arg(self.at(letter, "conf"));
        command.arg("-s").arg(self.at(letter, "ctl")).arg("-P").arg(self.at(letter, "pid"));
        command.env("TZ", "UTC").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = lab.spawn(&format!("gw-{letter}"), command)?;
        self.processes.push((letter.chars().next().unwrap_or('?'), process));
        Ok(())
    }

    /// Both sites take another configuration; only one has another.
    fn drain_all(&mut self, drained: Vec<String>) -> Result<()> {
        self.drained = drained;
        self.configure("a")?;
        output(Command::new("birdc").arg("-s").arg(self.at("a", "ctl")).arg("configure")).map(drop)
    }

    /// The channels that a site's kernel uses for the other LAN, by both families.
    fn ways(letter: &str, lab: &Lab) -> Result<[Vec<String>; 2]> {
        let show = |(prefix, family): (String, &str)| -> Result<Vec<String>> {
            let mut command = Command::new("ip");
            command.args([family, "route", "show", &prefix]);
            let said = lab.in_node(&format!("gw-{letter}"), || output(&mut command))??;
            Ok(devices(&said))
        };
        let [four, six] = conf::far(letter);
        Ok([show((four, "-4"))?, show((six, "-6"))?])
    }

    /// Until both kernels use, for both families, what fits.
    fn until(lab: &Lab, stop: &Stop, fits: impl Fn(&[String]) -> bool) -> Result<()> {
        let mut last = Vec::new();
        let reached = stop.poll(PATIENCE, STEP, || {
            last = SITES.iter().filter_map(|letter| Self::ways(letter, lab).ok()).flatten().collect();
            last.len() == 4 && last.iter().all(|ways| fits(ways))
        });
        if reached { Ok(()) } else { bail!("the kernels use {last:?}") }
    }
}

/// The devices of `ip route show`, those without carrier left out.
fn devices(said: &str) -> Vec<String> {
    let alive = said.lines().filter(|line| !line.contains("linkdown") && !line.contains("dead"));
    let device =
        |line: &str| line.split_whitespace().skip_while(|word| *word != "dev").nth(1).map(str::to_owned);
    alive.filter_map(device).collect()
}

impl Contender for Birds {
    fn wait_well(&mut self, mode: Mode, lab: &Lab, stop: &Stop) -> Result<()> {
        Self::until(lab, stop, |ways| match mode {
            Mode::ActiveStandby => ways == ["ch1"],
            Mode::Ecmp | Mode::Duplicate => ways.len() == usize::from(CHANNELS),
        })
    }

    fn drain(&mut self, channel: &str, lab: &Lab, stop: &Stop) -> Result<Duration> {
        #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
        let began = Instant::now();
        self.drain_all(vec![channel.to_owned()])?;
        Self::until(lab, stop, |ways| !ways.is_empty() && !ways.iter().any(|way| way == channel))?;
        ensure!(!stop.wait(QUIET), "interrupted");
        Ok(began.elapsed())
    }

    fn undrain(&mut self, _channel: &str, _lab: &Lab) -> Result<()> {
        self.drain_all(Vec::new())
    }

    fn kill_and_start(&mut self, site: char, lab: &Lab) -> Result<()> {
        let place = self.processes.iter().position(|(letter, _)| *letter == site);
        let (_, mut process) = self.processes.remove(place.context("no such site")?);
        process.kill()?;
        self.run(&site.to_string(), lab)
    }

    fn hand_over(&mut self, _site: char, _lab: &Lab) -> Result<()> {
        bail!("BIRD's successor is not what forwards")
    }

    /// The kernel forwards whatever becomes of BIRD's process: its restart is nothing that could be compared.
    fn plays(act: Act) -> bool {
        act.hands_over().is_none()
    }

    fn noticed(&self, since: SystemTime) -> Vec<(char, Vec<Noticed>)> {
        let of = |letter: &&str| {
            let log = fs::read_to_string(self.at(letter, "log")).unwrap_or_default();
            (letter.chars().next().unwrap_or('?'), noticed(&log, since))
        };
        SITES.iter().map(of).collect()
    }

    fn measures(&self) -> bool {
        false
    }

    fn keep_logs(&mut self) -> PathBuf {
        self.keep = true;
        self.folder.clone()
    }
}

impl Drop for Birds {
    fn drop(&mut self) {
        if !self.keep {
            // What stays is readable by root alone.
            let _removed = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Sessions that BIRD gave up, by its log: `2026-11-22 10:58:00.123456 <TRACE> ch1_4: BGP session closed`.
fn noticed(log: &str, since: SystemTime) -> Vec<Noticed> {
    let one = |line: &str| {
        let (stamp, rest) = line.split_at_checked(STAMP)?;
        let (session, what) = rest.split_once("> ")?.1.split_once(": ")?;
        let why = what.strip_prefix("State changed to ").filter(|state| GIVEN_UP.contains(state))?;
        let at = stamp.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?;
        let after = SystemTime::from(at.timestamp()).duration_since(since).ok()?;
        let attachment = session.split('_').next()?.to_owned();
        Some(Noticed { after, attachment, why: format!("session {why}"), measured: false })
    };
    log.lines().filter_map(one).collect()
}

/// `2026-11-22 10:58:00.123456`.
const STAMP: usize = 26;
/// Where a session goes that is not up any more.
const GIVEN_UP: [&str; 3] = ["stop", "flush", "down"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_without_carrier_do_not_count() {
        let said = "10.2.0.0/24 proto bird metric 32 \n\tnexthop via 169.254.1.2 dev ch1 weight 1 linkdown \n\
                    \tnexthop via 169.254.2.2 dev ch2 weight 1 \n";
        assert_eq!(devices(said), ["ch2"]);
        assert_eq!(devices("10.2.0.0/24 via 169.254.1.2 dev ch1 proto bird metric 32 \n"), ["ch1"]);
        assert!(devices("").is_empty());
    }

    #[test]
    fn a_session_that_goes_down_after_the_failure_was_noticed() {
        let log = "2026-11-22 10:58:00.000000 <TRACE> ch2_4: State changed to stop\n\
                   2026-11-22 10:58:01.150000 <TRACE> ch1_4: State changed to feed\n\
                   2026-11-22 10:58:01.250000 <TRACE> ch1_4: State changed to stop\n";
        let since: jiff::Timestamp = "2026-11-22T10:58:01Z".parse().unwrap();
        let seen = noticed(log, SystemTime::from(since));
        let [one] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!((one.after, one.attachment.as_str()), (Duration::from_millis(250), "ch1"));
    }
}
