//! The cuts: numbered flows and streams both ways, keys changed under them (in [`roll`](super::roll)), a channel taken down
//! in their middle, and up again, and another one silent for a while (in [`silent`](super::silent)).

use std::time::Duration;

use anyhow::Context;
use net::Instant;

use super::super::flows::{self, Broken, Moved, Period};
use super::super::gateway::Gateway;
use super::super::outcome::{DatagramLine, Outcome, StreamLine, chart, grouped, short};
use super::super::timers::{TimerLog, TimerWatch};
use super::super::watch::{Watch, Watched};
use super::roll::{Rolled, lost_in};
use super::{CONNECT, H_A4, H_A6, H_B4, H_B6, START_PATIENCE, Story, outage_budget};
use crate::clock;
use crate::lab::traffic::tcp::{TcpReport, TcpStreamRun};
use crate::lab::traffic::udp::{UdpOptions, UdpReport, UdpRun};

/// What the hosts measured.
pub(super) struct Measured {
    began: Instant,
    /// What was done to channels, in this order.
    acts: [Act; 2],
    /// When keys were changed.
    rolled: Rolled,
    /// Frames that queues in front of the gateways lost while channels were broken: a machine that is too slow, and no cut's fault.
    lost_in_queues: u64,
    /// How late timers were all the time.
    timers: TimerLog,
    there: (UdpOptions, UdpReport),
    back: (UdpOptions, UdpReport),
}

/// A channel that was broken under traffic.
pub(super) struct Act {
    /// The channel.
    pub(super) channel: String,
    /// `the cut`.
    pub(super) what: &'static str,
    /// The channel was this: `cut`.
    pub(super) state: &'static str,
    pub(super) broken: Broken,
    pub(super) broke_at: Instant,
    /// When the flows had settled after that.
    pub(super) settled_at: Instant,
    /// How long it takes to find out, on purpose.
    pub(super) silence: Duration,
}

impl Story {
    /// Changes keys and breaks channels under traffic, while `watch` looks.
    pub(super) fn cuts(&mut self, watch: &Watch, outcome: &mut Outcome) -> anyhow::Result<Measured> {
        let there = flows::options(&[H_B4, H_B6], FLOWS, RATE, 7000);
        let back = flows::options(&[H_A4, H_A6], FLOWS, RATE, 7000);
        let lab = self.sites.lab();
        let (a, b) = (lab.namespace("h-a")?, lab.namespace("h-b")?);
        let began = clock::now();
        let timers = TimerWatch::start().context("measuring timers")?;
        let there_run = UdpRun::start(a, b, &there).context("starting the flows from h-a")?;
        let back_run = UdpRun::start(b, a, &back).context("starting the flows from h-b")?;
        let streams = self.start_streams()?;
        self.talk.step(format_args!(
            "{FLOWS} flows of numbered UDP each way, {} datagrams/s each way, and {} TCP streams",
            grouped(RATE.into()),
            streams.len()
        ));
        watch.begin_period(Period::Before);
        let rolled = self.roll(outcome)?;
        self.pause(self.options.total() / 30)?;
        let lost_before = self.lost_in_queues()?;
        let acts = [self.cut(watch, outcome)?, self.silent_cut(watch, outcome)?];
        let lost_in_queues = self.lost_in_queues()?.saturating_sub(lost_before);
        let there = (there, there_run.stop().context("flows from h-a")?);
        let back = (back, back_run.stop().context("flows from h-b")?);
        stop_streams(streams, outcome)?;
        Ok(Measured { began, acts, rolled, lost_in_queues, timers: timers.stop(), there, back })
    }

    /// Takes a channel's link down, and up again.
    fn cut(&mut self, watch: &Watch, outcome: &mut Outcome) -> anyhow::Result<Act> {
        watch.begin_period(Period::Between);
        let broke_at = clock::now();
        self.sites.lab().cut("gw-a", CUT_CHANNEL)?;
        self.talk.step(format_args!("CUT: {CUT_CHANNEL} taken down at gw-a"));
        self.wait_noticed(|gateway| {
            let channels = gateway.channels().unwrap_or_default();
            channels.iter().any(|channel| channel.name == CUT_CHANNEL && !channel.is_live())
        });
        self.pause(SETTLE)?;
        let settled_at = clock::now();
        watch.begin_period(Period::Cut);
        self.look_at_cut(outcome)?;
        self.pause(self.options.total() / 8)?;
        watch.begin_period(Period::Between);
        let mended_at = clock::now();
        self.sites.lab().heal("gw-a", CUT_CHANNEL)?;
        let count = self.channels.len();
        for gateway in &mut self.gateways {
            gateway.wait_live(count, START_PATIENCE, &self.stop).context("after the cut was healed")?;
        }
        self.wait_healed(CUT_CHANNEL, mended_at)?;
        watch.begin_period(Period::Healed);
        self.pause(self.options.total() / 15)?;
        watch.begin_period(Period::Between);
        let place = self.channels.iter().position(|name| name == CUT_CHANNEL).unwrap_or_default();
        let periods = [Period::Before, Period::Cut, Period::Healed];
        let broken = Broken { place, periods, mended_at, from: broke_at };
        let channel = CUT_CHANNEL.to_owned();
        let silence = Duration::ZERO;
        Ok(Act { channel, what: "the cut", state: "cut", broken, broke_at, settled_at, silence })
    }

    /// Waits until both gateways have noticed what was broken; how long that may take is judged by what they say themselves. One that
    /// has not shows in the checks.
    pub(super) fn wait_noticed(&self, noticed: impl Fn(&Gateway) -> bool) {
        let _both = self.stop.poll(START_PATIENCE, STEP, || self.gateways.iter().all(&noticed));
    }

    fn start_streams(&self) -> anyhow::Result<Vec<(String, TcpStreamRun)>> {
        let mut streams = Vec::new();
        for (from, to, targets) in [("h-a", "h-b", [H_B4, H_B6]), ("h-b", "h-a", [H_A4, H_A6])] {
            let (sender, receiver) = (self.sites.lab().namespace(from)?, self.sites.lab().namespace(to)?);
            for target in targets.into_iter().cycle().take(STREAMS_EACH_WAY) {
                let run = TcpStreamRun::start(sender, receiver, target, Some(STREAM_RATE), CONNECT);
                let way = format!("{from} -> {target}");
                let run = run.with_context(|| format!("connecting {way}"))?;
                streams.push((way, run));
            }
        }
        Ok(streams)
    }

    /// What the gateways say about the cut channel while it is cut.
    fn look_at_cut(&self, outcome: &mut Outcome) -> anyhow::Result<()> {
        let mut said = Vec::new();
        let mut right = true;
        for gateway in &self.gateways {
            for channel in gateway.channels()? {
                right &= channel.is_live() == (channel.name != CUT_CHANNEL);
                if !channel.is_live() {
                    let reason = channel.reason.as_deref().unwrap_or("no reason given");
                    said.push(format!("{}: {} ({reason})", gateway.site().letter, channel.name));
                }
            }
        }
        let said = said.join(", ");
        self.talk.step(format_args!("the gateways report as down {said}"));
        outcome.verdict.check(
            "channels reported down in the cut",
            right,
            said,
            format!("{CUT_CHANNEL} at both sites, no other"),
        );
        Ok(())
    }

    /// Holds what the hosts got against what the captures saw.
    pub(super) fn judge_cuts(&self, measured: Measured, watched: &Watched, outcome: &mut Outcome) {
        let starved = measured.timers.latest(measured.began, clock::now());
        self.judge_keys(&measured, outcome);
        let forgiven = loss_budget(starved).saturating_add(measured.lost_in_queues);
        self.talk.step(format_args!(
            "timers were up to {} late while the flows ran; full queues lost {} frames while channels were broken",
            short(starved),
            grouped(measured.lost_in_queues)
        ));
        let budgets = measured.acts.each_ref().map(|act| {
            let late = measured.timers.latest(act.broke_at, act.settled_at);
            act.silence.saturating_add(outage_budget(self.lateness, late))
        });
        let [_, silent] = budgets;
        self.judge_found(silent, outcome);
        let breaks = measured.acts.each_ref().map(|act| act.broken);
        for (way, (options, report), seen) in
            [("a -> b", measured.there, &watched.at_b), ("b -> a", measured.back, &watched.at_a)]
        {
            let moves = flows::judge(&options, seen, &report, &breaks);
            self.tell_direction(way, &report);
            check_direction(way, &report, &moves, outcome);
            for ((act, moved), outage) in measured.acts.iter().zip(&moves).zip(budgets) {
                self.tell_act(way, act, moved);
                check_act(way, act, moved, Budget { outage, lost: forgiven }, outcome);
            }
            outcome.datagrams.push(DatagramLine::new(way, &report, moves));
        }
        let (rows, each) = watched.over_time(measured.began, CHART_COLUMNS);
        let chart = chart(&rows, speaks_utf8());
        self.talk.block(format_args!("\nframes into site b, {} for each character:\n{chart}", short(each)));
        let longest = outcome.streams.iter().map(|s| s.longest_wait).fold(0.0, f64::max);
        let longest = Duration::from_secs_f64(longest);
        let patience = STREAM_BUDGET.saturating_add(starved.saturating_mul(4));
        outcome.verdict.check(
            "longest wait of a TCP stream through the cuts",
            longest <= patience,
            short(longest),
            format!("at most {}", short(patience)),
        );
    }

    fn judge_keys(&self, measured: &Measured, outcome: &mut Outcome) {
        let rolled = measured.rolled;
        let lost: u64 =
            [&measured.there, &measured.back].map(|(_, report)| lost_in(rolled, report)).iter().sum();
        let starved = measured.timers.latest(rolled.began, rolled.ended);
        let forgiven = loss_budget(starved).saturating_add(rolled.lost_in_queues);
        outcome.verdict.at_most("datagrams lost while keys changed", lost, forgiven);
        self.talk.step(format_args!(
            "{lost} datagrams lost while all SAKs and CAKs changed; full queues in front of the gateways lost {} frames then",
            grouped(rolled.lost_in_queues)
        ));
    }

    fn tell_direction(&self, way: &str, report: &UdpReport) {
        let totals = report.totals();
        self.talk.step(format_args!(
            "{way}: {} sent, {} lost, {} reordered, {} twice; delay {} median, {} p99",
            grouped(totals.sent),
            totals.lost,
            totals.reordered,
            totals.duplicated,
            short(report.delay(50)),
            short(report.delay(99))
        ));
    }

    fn tell_act(&self, way: &str, act: &Act, moved: &Moved) {
        let spread = |counts: &[usize]| counts.iter().map(ToString::to_string).collect::<Vec<_>>().join("/");
        self.talk.step(format_args!(
            "{way}: {} kept {} flows of {} from arriving for {} ({} lost) and moved them; flows per channel {} \
             before, {} in it, {} healed",
            act.what,
            moved.moved,
            act.channel,
            short(moved.outage),
            moved.lost,
            spread(&moved.before),
            spread(&moved.during),
            spread(&moved.after)
        ));
    }
}

/// What a direction promises, whatever is broken.
fn check_direction(way: &str, report: &UdpReport, moves: &[Moved], outcome: &mut Outcome) {
    let totals = report.totals();
    let verdict = &mut outcome.verdict;
    let name = |claim: &str| format!("{way}: {claim}");
    verdict.none(&name("datagrams damaged or duplicated"), totals.damaged + totals.duplicated);
    let Some(first) = moves.first() else { return };
    verdict.none(&name("reordered on channels that were not cut"), first.reordered_elsewhere);
    let used = first.before.iter().filter(|&&flows| flows > 0).count();
    let all = first.before.len();
    verdict.check(&name("channels that shared the flows"), used == all, used.to_string(), all.to_string());
}

/// What a direction promises when a channel breaks.
fn check_act(way: &str, act: &Act, moved: &Moved, budget: Budget, outcome: &mut Outcome) {
    let verdict = &mut outcome.verdict;
    let Act { what, state, .. } = act;
    let name = |claim: &str| format!("{way}: {claim}");
    let elsewhere = name(&format!("lost on channels that were not {state}"));
    verdict.at_most(&elsewhere, moved.lost_elsewhere, budget.lost);
    verdict.at_most(&name(&format!("lost after {what} was healed")), moved.lost_after, budget.lost);
    verdict.check(
        &name(&format!("outage of the {state} channel's flows")),
        moved.outage <= budget.outage,
        short(moved.outage),
        format!("at most {}", short(budget.outage)),
    );
    let on_it = moved.before.get(act.broken.place).copied().unwrap_or_default();
    let whole = on_it > 0 && moved.moved == on_it && moved.returned == on_it;
    verdict.check(
        &name(&format!("flows of the {state} channel moved, and returned")),
        whole,
        format!("{} and {} of {on_it}", moved.moved, moved.returned),
        "all of some",
    );
    let stray = u64::try_from(moved.strayed + moved.unseen).unwrap_or(u64::MAX);
    verdict.none(&name(&format!("flows of other channels that moved in {what}")), stray);
}

/// What the flows of one direction may suffer.
#[derive(Clone, Copy, Debug)]
struct Budget {
    outage: Duration,
    lost: u64,
}

/// Datagrams that queues cannot hold when a thread gets no processor for `starved`: none, up to [`QUEUES_HOLD`].
fn loss_budget(starved: Duration) -> u64 {
    let beyond = starved.saturating_sub(QUEUES_HOLD).as_micros();
    u64::try_from(beyond.saturating_mul(u128::from(RATE)) / 1_000_000).unwrap_or(u64::MAX)
}

fn stop_streams(streams: Vec<(String, TcpStreamRun)>, outcome: &mut Outcome) -> anyhow::Result<()> {
    let mut reports: Vec<(String, TcpReport)> = Vec::new();
    for (way, run) in streams {
        let report = run.stop().with_context(|| format!("the stream {way} through the cuts"))?;
        reports.push((way, report));
    }
    let complete = reports.iter().filter(|(_, report)| report.is_complete()).count();
    outcome.verdict.check(
        "TCP streams through the cuts arrived as they were sent",
        complete == reports.len(),
        format!("{complete} of {}", reports.len()),
        "all",
    );
    let line = |(way, report): (String, TcpReport)| StreamLine::new(way, "through the cuts", &report);
    outcome.streams.extend(reports.into_iter().map(line));
    Ok(())
}

/// Whether the user's locale has the characters of the better chart (locale(7): the first of these that is set).
pub(in crate::demo) fn speaks_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    set.is_some_and(|locale| locale.to_ascii_lowercase().replace('-', "").contains("utf8"))
}

/// The channel that is cut.
const CUT_CHANNEL: &str = "ch1";
/// Flows each way; enough that every channel has some.
const FLOWS: u16 = 64;
/// Datagrams per second each way.
const RATE: u32 = 3200;
const STREAMS_EACH_WAY: usize = 4;
/// Bits per second of each stream: enough to notice, not so much that the machine is the limit.
const STREAM_RATE: u64 = 10_000_000;
/// A stream that lost its tail waits for a retransmission timer (RFC 6298 §2.4), which doubles each time.
const STREAM_BUDGET: Duration = Duration::from_secs(1);
/// How long a thread may get no processor before frames must be lost.
const QUEUES_HOLD: Duration = Duration::from_millis(30);
const STEP: Duration = Duration::from_millis(20);
/// How long flows may take to settle before they are counted again.
pub(super) const SETTLE: Duration = Duration::from_millis(300);
const CHART_COLUMNS: usize = 90;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_forgiven_only_to_a_starved_machine() {
        let ms = Duration::from_millis;
        assert_eq!([0, 30, 31, 130].map(|late| loss_budget(ms(late))), [0, 0, 3, 320]);
    }
}
