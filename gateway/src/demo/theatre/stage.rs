//! The two sites on their wires, and an act from its first datagram to its numbers.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use net::Instant;

use super::super::detect;
use super::super::flows::options;
use super::super::gateway::Gateway;
use super::super::outcome::short;
use super::super::routing::active;
use super::super::site::{Plan, SiteFiles};
use super::super::standing::Mode;
use super::super::story::{H_A4, H_A6, H_B4, H_B6};
use super::super::talk::Talk;
use super::super::timers::{TimerLog, TimerWatch};
use super::act::Act;
use super::budget;
use super::measure::{Direction, Home, Moments, arrivals, direction, homes};
use super::outcome::Scene;
use super::plot::Plot;
use crate::clock;
use crate::lab::traffic::ping::{PingOptions, ping};
use crate::lab::traffic::udp::{UdpOptions, UdpReport, UdpRun};
use crate::lab::{Stop, WiredSites};

/// Two sites, with their gateways running.
pub(super) struct Stage {
    mode: Mode,
    talk: Talk,
    stop: Stop,
    /// Before the sites, so that they end while their namespaces are there.
    gateways: Vec<Gateway>,
    sites: WiredSites,
    files: SiteFiles,
}

/// Frames by length, channel by channel, that went from A to B and from B to A.
type Passed = [Vec<Vec<u64>>; 2];

/// What an act left behind.
struct Traces {
    at: Moments,
    wall: SystemTime,
    timers: TimerLog,
    /// What passed before the failure.
    passed: Passed,
    /// How long it took until a drained channel was safe.
    drained: Option<Duration>,
    noticed: Vec<(char, Vec<detect::Noticed>)>,
    reports: [(UdpOptions, UdpReport); 2],
}

impl Stage {
    /// Builds the sites, starts the gateways, and waits until everybody reaches everybody.
    pub(super) fn build(mode: Mode, talk: Talk, stop: &Stop) -> anyhow::Result<Self> {
        let sites = WiredSites::build(CHANNELS, CHANNEL_MTU, SEED)?;
        let plan = Plan { mode, channels: CHANNELS, channel_mtu: CHANNEL_MTU, next_key_after: None };
        let files = SiteFiles::write(plan).context("writing the sites' files")?;
        let mut gateways = Vec::new();
        for site in &files.sites {
            gateways.push(Gateway::start(sites.lab(), site)?);
        }
        let mut stage = Self { mode, talk, stop: stop.clone(), gateways, sites, files };
        stage.wait_well()?;
        stage.wait_reachable()?;
        talk.step(format_args!("two sites, {CHANNELS} channels over our own wires, {}", mode.word()));
        Ok(stage)
    }

    /// The directory of the logs, which stays.
    pub(super) fn keep_logs(&mut self) -> &Path {
        self.files.keep_logs();
        self.files.directory()
    }

    /// Plays one act.
    pub(super) fn play(&mut self, act: Act, usual: Duration) -> anyhow::Result<Scene> {
        let traces = self.perform(act)?;
        let names: Vec<&str> = self.sites.channels().iter().map(String::as_str).collect();
        let broken: Vec<usize> = names
            .iter()
            .enumerate()
            .filter_map(|(at, name)| act.channels(self.mode).contains(name).then_some(at))
            .collect();
        let mut directions = Vec::new();
        let mut plots = Vec::new();
        for ((way, passed), (options, report)) in
            ["a -> b", "b -> a"].into_iter().zip(&traces.passed).zip(&traces.reports)
        {
            let homes = homes(options, passed);
            let seen = direction(way, report, &homes, &broken, traces.at);
            plots.push(plot(way, &names, report, &homes, traces.at, seen.gap));
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
        self.pause(act.lasts())?;
        let noticed = self.noticed(wall);
        let mended = clock::now();
        self.mend(act)?;
        self.pause(AFTER)?;
        let there = (there, there_run.stop().context("flows from h-a")?);
        let back = (back, back_run.stop().context("flows from h-b")?);
        let at = Moments { hurt, mended };
        Ok(Traces { at, wall, timers: timers.stop(), passed, drained, noticed, reports: [there, back] })
    }

    /// Breaks what the act breaks. Where it asks before: how long it took until that was safe.
    fn hurt(&mut self, act: Act) -> anyhow::Result<Option<Duration>> {
        let mut drained = None;
        if let Some(gateway) = self.gateways.first().filter(|_| act.is_planned()) {
            for channel in act.channels(self.mode) {
                drained = Some(gateway.drain(channel, PATIENCE, &self.stop)?);
            }
        }
        act.hurt(self.mode, &self.sites)?;
        if let Some(site) = act.kills() {
            self.kill_and_start(site)?;
        }
        Ok(drained)
    }

    /// Mends it, and waits until all is as before.
    fn mend(&mut self, act: Act) -> anyhow::Result<()> {
        act.mend(self.mode, &self.sites)?;
        if let Some(gateway) = self.gateways.first().filter(|_| act.is_planned()) {
            act.channels(self.mode).iter().try_for_each(|channel| gateway.undrain(channel))?;
        }
        self.wait_well()
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
        let lives = |(site, _): &&(char, Vec<detect::Noticed>)| Some(*site) != act.kills();
        let first = |(_, all): &(char, Vec<detect::Noticed>)| all.first().map(|one| one.after);
        let all: Option<Vec<Duration>> = traces.noticed.iter().filter(lives).map(first).collect();
        let detected = traces.drained.or_else(|| all.and_then(|all| all.into_iter().max()));
        let reasons = traces.noticed.iter().flat_map(|(site, all)| {
            all.iter().map(move |one| format!("{site}/{}: {}", one.attachment, one.why))
        });
        // What is planned has no moment: all of it counts.
        let until = if act.is_planned() { traces.at.mended } else { traces.at.hurt.after(AFTERMATH) };
        let starved = traces.timers.latest(traces.at.hurt, until);
        let noise = directions.iter().map(|seen| seen.gap_before).max().unwrap_or_default();
        let ever = traces.timers.latest(Instant::ZERO, Instant::FAR_FUTURE);
        Scene {
            act,
            title: act.title(),
            mode: self.mode,
            at: jiff::Timestamp::try_from(traces.wall).unwrap_or_default().to_string(),
            detected,
            reasons: reasons.collect(),
            lateness: ever,
            gap_budget: budget::gap(act.longest_gap(), usual, starved, noise),
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
                "  {}: silent for {} (before: {}), {} lost of {}, {} twice, {} out of order",
                seen.way,
                short(seen.gap),
                short(seen.gap_before),
                seen.lost,
                seen.sent,
                seen.duplicated,
                seen.reordered
            ));
        }
        if let Some(plot) = scene.plots.first() {
            self.talk.block(plot.text());
        }
    }

    fn kill_and_start(&mut self, letter: char) -> anyhow::Result<()> {
        for gateway in self.gateways.iter_mut().filter(|gateway| gateway.site().letter == letter) {
            let site = gateway.site().clone();
            gateway.kill()?;
            *gateway = Gateway::start(self.sites.lab(), &site)?;
        }
        Ok(())
    }

    fn passed(&self) -> anyhow::Result<Passed> {
        let (there, back) = self.sites.lanes()?.into_iter().map(|[a, b]| (a.lengths, b.lengths)).unzip();
        Ok([there, back])
    }

    fn noticed(&self, since: SystemTime) -> Vec<(char, Vec<detect::Noticed>)> {
        let of = |gateway: &Gateway| {
            let site = gateway.site();
            (site.letter, detect::noticed(&site.log, since))
        };
        self.gateways.iter().map(of).collect()
    }

    /// Until everything is as at the beginning of an act.
    fn wait_well(&mut self) -> anyhow::Result<()> {
        for gateway in &mut self.gateways {
            gateway.wait_live(CHANNELS.into(), PATIENCE, &self.stop)?;
            gateway.wait_ways(CHANNELS.into(), PATIENCE, &self.stop)?;
        }
        for gateway in self.gateways.iter().filter(|_| self.mode == Mode::ActiveStandby) {
            let active = || active(&gateway.site().socket).is_ok_and(|active| active == MOST_PREFERRED);
            if !self.stop.poll(PATIENCE, STEP, active) {
                bail!("site {} does not go back to {MOST_PREFERRED}", gateway.site().letter);
            }
        }
        Ok(())
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

/// Arrivals around the failure, close enough that its gap can be seen.
fn plot(
    way: &'static str,
    names: &[&str],
    report: &UdpReport,
    homes: &[Home],
    at: Moments,
    gap: Duration,
) -> Plot {
    let span = gap.saturating_mul(4).clamp(SHORTEST_PLOT, LONGEST_PLOT);
    let step = (span / PIECES).max(Duration::from_nanos(1));
    let lead = span / 4;
    let from = Instant::ZERO.after(at.hurt.since(Instant::ZERO.after(lead)));
    let pieces = usize::try_from(PIECES).unwrap_or_default();
    let name =
        |home: Home| home.iter().filter_map(|place| names.get(*place).copied()).collect::<Vec<_>>().join("+");
    let rows = arrivals(report, homes, from, step, pieces);
    let rows = rows.into_iter().map(|(home, row)| (name(home), row)).collect();
    let mended = at.mended.since(from);
    Plot { way, step, hurt: at.hurt.since(from), mended: (mended < span).then_some(mended), rows }
}

const CHANNELS: u8 = 4;
/// As in the demo.
const CHANNEL_MTU: u32 = 1600;
const SEED: u64 = 1;
/// Flows each way; enough that every channel has some.
const FLOWS: u16 = 24;
/// Datagrams per second each way: a datagram of each flow every 3 ms.
const RATE: u32 = 8000;
const PORT: u16 = 7000;
/// With `active-standby`, the channel that carries everything as long as it can.
const MOST_PREFERRED: &str = "ch1";
const STEP: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(10);
const A_LITTLE: Duration = Duration::from_millis(200);
/// Until flows have found their way.
const WARM_UP: Duration = Duration::from_millis(300);
const BEFORE: Duration = Duration::from_millis(500);
const AFTER: Duration = Duration::from_millis(500);
/// Lateness in this time after a failure belongs to it.
const AFTERMATH: Duration = Duration::from_millis(300);
/// Columns of a plot.
const PIECES: u32 = 90;
/// The most time that a plot shows, and the least.
const LONGEST_PLOT: Duration = Duration::from_millis(1700);
const SHORTEST_PLOT: Duration = Duration::from_millis(90);
