//! The two sites on their wires, and an act from its first datagram to its numbers.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use net::Instant;

use super::super::detect::Noticed;
use super::super::flows::options;
use super::super::outcome::short;
use super::super::standing::Mode;
use super::super::story::{H_A4, H_A6, H_B4, H_B6};
use super::super::talk::Talk;
use super::super::timers::{TimerLog, TimerWatch};
use super::act::Act;
use super::budget;
use super::contender::Contender;
use super::measure::{Direction, Moments, direction, homes};
use super::outcome::Scene;
use super::plot::Plot;
use crate::clock;
use crate::lab::traffic::ping::{PingOptions, ping};
use crate::lab::traffic::udp::{UdpOptions, UdpReport, UdpRun};
use crate::lab::{Stop, WiredSites};

/// Two sites, joined by a contender that runs.
pub struct Stage<C> {
    mode: Mode,
    talk: Talk,
    stop: Stop,
    /// Before the sites, so that it ends while its namespaces are there.
    contender: C,
    sites: WiredSites,
}

/// Frames by length, channel by channel, that went from A to B and from B to A.
type Passed = [Vec<Vec<u64>>; 2];

/// What an act left behind.
struct Traces {
    hurt: Instant,
    mended: Instant,
    wall: SystemTime,
    timers: TimerLog,
    /// What passed before the failure.
    passed: Passed,
    /// How long it took until a drained channel was safe.
    drained: Option<Duration>,
    /// From mending until all was as before.
    back: Duration,
    noticed: Vec<(char, Vec<Noticed>)>,
    reports: [(UdpOptions, UdpReport); 2],
}

impl<C: Contender> Stage<C> {
    /// Waits until everybody reaches everybody.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn ready(
        mode: Mode,
        (contender, sites): (C, WiredSites),
        talk: Talk,
        stop: &Stop,
    ) -> anyhow::Result<Self> {
        let mut stage = Self { mode, talk, stop: stop.clone(), contender, sites };
        stage.contender.wait_well(mode, stage.sites.lab(), stop)?;
        stage.wait_reachable()?;
        talk.step(format_args!("two sites, {CHANNELS} channels over our own wires, {}", mode.word()));
        Ok(stage)
    }

    /// The directory of the logs, which stays.
    pub fn keep_logs(&mut self) -> PathBuf {
        self.contender.keep_logs()
    }

    /// An act cost more than it may: what the cast itself says of it, while it still can.
    pub(super) fn show_evidence(&mut self) {
        for line in self.contender.drops() {
            self.talk.step(format_args!("  {line}"));
        }
        let logs = self.keep_logs();
        self.talk.block(format_args!("the logs are in {}", logs.display()));
    }

    /// Plays one act. Timers `usual`ly are so late on this machine.
    ///
    /// # Errors
    /// When it cannot be played to its end.
    pub fn play(&mut self, act: Act, usual: Duration) -> anyhow::Result<Scene> {
        let traces = self.perform(act)?;
        let names: Vec<&str> = self.sites.channels().iter().map(String::as_str).collect();
        let broken: Vec<usize> = names
            .iter()
            .enumerate()
            .filter_map(|(at, name)| act.channels(self.mode).contains(name).then_some(at))
            .collect();
        let mut directions = Vec::new();
        let mut plots = Vec::new();
        for ((way, from), (passed, (options, report))) in
            [("a -> b", 'a'), ("b -> a", 'b')].into_iter().zip(traces.passed.iter().zip(&traces.reports))
        {
            let homes = homes(options, passed);
            let at = Moments {
                hurt: traces.hurt,
                mended: traces.mended,
                left: self.left(act, from, &traces.noticed).map(|after| traces.hurt.after(after)),
            };
            let seen = direction(way, report, &homes, &broken, at);
            plots.push(Plot::around(&seen, &names, (report, &homes), at));
            directions.push(seen);
        }
        let scene = self.scene(act, usual, &traces, directions, plots);
        self.tell(&scene);
        Ok(scene)
    }

    fn perform(&mut self, act: Act) -> anyhow::Result<Traces> {
        let timers = TimerWatch::start().context("measuring timers")?;
        let there = options(&[H_B4, H_B6], FLOWS, RATE, PORT);
        let back = options(&[H_A4, H_A6], FLOWS, RATE, PORT);
        let lab = self.sites.lab();
        let (a, b) = (lab.namespace("h-a")?, lab.namespace("h-b")?);
        let there_run = UdpRun::start(a, b, &there).context("starting the flows from h-a")?;
        let back_run = UdpRun::start(b, a, &back).context("starting the flows from h-b")?;
        self.pause(WARM_UP)?;
        let begin = self.passed()?;
        self.pause(BEFORE)?;
        let passed = since(self.passed()?, &begin);
        let wall = clock::wall();
        let hurt = clock::now();
        let drained = self.hurt(act)?;
        self.wait_left(act, wall)?;
        self.pause(act.lasts())?;
        let noticed = self.noticed(act, wall);
        let mended = clock::now();
        let well = self.mend(act);
        let mut took = clock::now().since(mended);
        self.pause(AFTER)?;
        let there = (there, there_run.stop().context("flows from h-a")?);
        let back = (back, back_run.stop().context("flows from h-b")?);
        if well.is_err() {
            // A machine that cannot carry the flows loses BFD packets too, and attachments come and go until the flows end.
            self.contender.wait_well(self.mode, self.sites.lab(), &self.stop)?;
            took = clock::now().since(mended);
        }
        Ok(Traces {
            hurt,
            mended,
            wall,
            timers: timers.stop(),
            passed,
            drained,
            back: took,
            noticed,
            reports: [there, back],
        })
    }

    /// Breaks what the act breaks. Where it asks before: how long it took until that was safe.
    fn hurt(&mut self, act: Act) -> anyhow::Result<Option<Duration>> {
        let mut drained = None;
        for channel in act.channels(self.mode).iter().filter(|_| act.is_planned()) {
            drained = Some(self.contender.drain(channel, self.sites.lab(), &self.stop)?);
        }
        act.hurt(self.mode, &self.sites)?;
        if let Some(site) = act.kills() {
            self.contender.kill_and_start(site, self.sites.lab())?;
        }
        if let Some(site) = act.hands_over() {
            self.contender.hand_over(site, self.sites.lab())?;
        }
        Ok(drained)
    }

    /// Where only a measurement finds what is broken: until it has, for as long as that may take at most.
    fn wait_left(&self, act: Act, since: SystemTime) -> anyhow::Result<()> {
        if !act.is_measured() {
            return Ok(());
        }
        if !self.contender.measures() {
            return self.pause(act.found_within().unwrap_or_default());
        }
        // What does not come shows in the numbers.
        let _found = self.stop.poll(PATIENCE, STEP, || {
            let noticed = self.noticed(act, since);
            noticed.iter().all(|(site, _)| self.left(act, *site, &noticed).is_some())
        });
        Ok(())
    }

    /// When a site had left the channel that it measured, after the failure.
    fn left(&self, act: Act, site: char, noticed: &[(char, Vec<Noticed>)]) -> Option<Duration> {
        let (_, all) = noticed.iter().find(|(one, _)| *one == site && act.is_measured())?;
        all.iter().rev().find(|one| one.measured).map(|one| one.after)
    }

    /// Mends it, and waits until all is as before.
    fn mend(&mut self, act: Act) -> anyhow::Result<()> {
        act.mend(self.mode, &self.sites)?;
        for channel in act.channels(self.mode).iter().filter(|_| act.is_planned()) {
            self.contender.undrain(channel, self.sites.lab())?;
        }
        self.contender.wait_well(self.mode, self.sites.lab(), &self.stop)
    }

    fn scene(
        &self,
        act: Act,
        usual: Duration,
        traces: &Traces,
        directions: Vec<Direction>,
        plots: Vec<Plot>,
    ) -> Scene {
        // The later of the gateways that live decides when both directions are moved.
        let lives = |(site, _): &&(char, Vec<Noticed>)| Some(*site) != act.kills();
        let first = |(_, all): &(char, Vec<Noticed>)| all.first().map(|one| one.after);
        let all: Option<Vec<Duration>> = traces.noticed.iter().filter(lives).map(first).collect();
        let detected = traces.drained.or_else(|| all.and_then(|all| all.into_iter().max()));
        let reasons = traces.noticed.iter().flat_map(|(site, all)| {
            all.iter().map(move |one| format!("{site}/{}: {}", one.attachment, one.why))
        });
        // What is planned or measured has no moment: all of it counts.
        let long = act.is_planned() || act.is_measured();
        let until = if long { traces.mended } else { traces.hurt.after(AFTERMATH) };
        let starved = traces.timers.latest(traces.hurt, until);
        let noise = directions.iter().map(|seen| seen.gap_before).max().unwrap_or_default();
        let ever = traces.timers.latest(Instant::ZERO, Instant::FAR_FUTURE);
        let allowed = |base| budget::gap(base, usual, starved, noise);
        Scene {
            run: 1,
            act,
            title: act.title(),
            mode: self.mode,
            at: jiff::Timestamp::try_from(traces.wall).unwrap_or_default().to_string(),
            detected,
            detection_budget: act.found_within().map(allowed),
            back: traces.back,
            reasons: reasons.collect(),
            lateness: ever,
            gap_budget: allowed(act.longest_gap()),
            lost_budget: budget::lost(RATE, ever),
            spacing: Duration::from_secs(1) * u32::from(FLOWS) / RATE,
            directions,
            plots,
        }
    }

    fn tell(&self, scene: &Scene) {
        let detected = scene.detected.map_or_else(|| "not measured".to_owned(), short);
        self.talk.step(format_args!(
            "{} ({}): detected after {detected}; timers up to {} late; silence may last {}",
            scene.title,
            self.mode.word(),
            short(scene.lateness),
            short(scene.gap_budget)
        ));
        for seen in &scene.directions {
            self.talk.step(format_args!(
                "  {}: silent for {} (before: {}), {} lost of {}, {} twice, {} out of order{}",
                seen.way,
                short(seen.gap),
                short(seen.gap_before),
                seen.lost,
                seen.sent,
                seen.duplicated,
                seen.reordered,
                seen.lost_left
                    .map_or_else(String::new, |lost| format!("; {lost} lost when it had been left"))
            ));
        }
        if let Some(plot) = scene.plots.first() {
            self.talk.block(plot.text());
        }
    }

    fn passed(&self) -> anyhow::Result<Passed> {
        let (there, back) = self.sites.lanes()?.into_iter().map(|[a, b]| (a.lengths, b.lengths)).unzip();
        Ok([there, back])
    }

    /// What the act's failure has to do with: a measurement that turns bad while something else is broken is not its story.
    fn noticed(&self, act: Act, since: SystemTime) -> Vec<(char, Vec<Noticed>)> {
        let mut noticed = self.contender.noticed(since);
        let channels = act.channels(self.mode);
        let counts = |one: &Noticed| {
            !one.measured || act.is_measured() && channels.iter().any(|channel| one.is_on(channel))
        };
        noticed.iter_mut().for_each(|(_, all)| all.retain(counts));
        noticed
    }

    /// Until all hosts have answers, so that no act begins with somebody looking for an address.
    fn wait_reachable(&self) -> anyhow::Result<()> {
        let ways: [(&str, IpAddr); 4] = [("h-a", H_B4), ("h-a", H_B6), ("h-b", H_A4), ("h-b", H_A6)];
        for (node, target) in ways {
            let once = PingOptions { count: 1, patience: A_LITTLE, ..PingOptions::new(target) };
            let from = self.sites.lab().namespace(node)?;
            let answers = || ping(from, &once).is_ok_and(|report| report.is_complete());
            if !self.stop.poll(PATIENCE, Duration::ZERO, answers) {
                bail!("{node} gets no answer from {target} within {}", short(PATIENCE));
            }
        }
        Ok(())
    }

    fn pause(&self, time: Duration) -> anyhow::Result<()> {
        if self.stop.wait(time) { bail!("interrupted") } else { Ok(()) }
    }
}

fn since(now: Passed, begin: &Passed) -> Passed {
    let lane = |(now, begin): (Vec<u64>, &Vec<u64>)| {
        now.into_iter().zip(begin).map(|(now, begin)| now.saturating_sub(*begin)).collect()
    };
    let [there, back] = now;
    let [there_begin, back_begin] = begin;
    [
        there.into_iter().zip(there_begin).map(lane).collect(),
        back.into_iter().zip(back_begin).map(lane).collect(),
    ]
}

/// Channels between the sites.
pub const CHANNELS: u8 = 4;
/// Octets of payload in a frame on them; as in the demo.
pub const CHANNEL_MTU: u32 = 1600;
/// How long anything may take to become well: longer than an attachment that came and went is held back at most.
pub const PATIENCE: Duration = Duration::from_secs(75);
const _: () = assert!(PATIENCE.as_secs() > dataplane::damping::LONGEST.as_secs());
/// Flows each way; enough that every channel has some.
const FLOWS: u16 = 24;
/// Datagrams per second each way: a datagram of each flow every 3 ms.
const RATE: u32 = 8000;
const PORT: u16 = 7000;
const STEP: Duration = Duration::from_millis(20);
const A_LITTLE: Duration = Duration::from_millis(200);
/// Until flows have found their way.
const WARM_UP: Duration = Duration::from_millis(300);
const BEFORE: Duration = Duration::from_millis(500);
const AFTER: Duration = Duration::from_millis(500);
/// Lateness in this time after a failure belongs to it.
const AFTERMATH: Duration = Duration::from_millis(300);
