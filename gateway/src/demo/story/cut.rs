//! The cut: numbered flows and streams both ways, keys changed under them (in [`roll`](super::roll)), a channel taken down
//! in their middle, and up again.

use std::time::Duration;

use anyhow::Context;
use net::Instant;

use super::super::flows::{self, Moved, Period};
use super::super::outcome::{DatagramLine, Outcome, StreamLine, chart, grouped, short};
use super::super::timers::{TimerLog, TimerWatch};
use super::super::watch::{Watch, Watched};
use super::roll::{Rolled, lost_in};
use super::{CONNECT, H_A4, H_A6, H_B4, H_B6, START_PATIENCE, Story, outage_budget};
use crate::clock;
use crate::lab::traffic::tcp::{TcpReport, TcpStreamRun};
use crate::lab::traffic::udp::{UdpOptions, UdpReport, UdpRun};

/// What the hosts measured.
pub(super) struct Cut {
    began: Instant,
    healed_at: Instant,
    /// When the channel was cut, and when the flows had settled after it.
    cut: (Instant, Instant),
    /// When keys were changed.
    rolled: Rolled,
    /// How late timers were all the time.
    timers: TimerLog,
    there: (UdpOptions, UdpReport),
    back: (UdpOptions, UdpReport),
}

impl Story {
    /// Plays the cut, while `watch` looks.
    pub(super) fn cut(&mut self, watch: &Watch, outcome: &mut Outcome) -> anyhow::Result<Cut> {
        let there = flows::options(&[H_B4, H_B6], FLOWS, RATE, 7000);
        let back = flows::options(&[H_A4, H_A6], FLOWS, RATE, 7000);
        let (a, b) = (self.lab.namespace("h-a")?, self.lab.namespace("h-b")?);
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
        let total = self.options.total();
        watch.begin_period(Period::Before);
        let rolled = self.roll(outcome)?;
        self.pause(total / 30)?;
        watch.begin_period(Period::Between);
        let cut_at = clock::now();
        self.lab.cut("gw-a", CUT_CHANNEL)?;
        self.talk.step(format_args!("CUT: {CUT_CHANNEL} taken down at gw-a"));
        self.pause(SETTLE)?;
        let settled_at = clock::now();
        watch.begin_period(Period::Cut);
        self.look_at_cut(outcome)?;
        self.pause(total / 5)?;
        watch.begin_period(Period::Between);
        let healed_at = clock::now();
        self.lab.heal("gw-a", CUT_CHANNEL)?;
        let count = self.channels.len();
        for gateway in &mut self.gateways {
            gateway.wait_live(count, START_PATIENCE, &self.stop).context("after the cut was healed")?;
        }
        let took = short(clock::now().since(healed_at));
        self.talk.step(format_args!("HEALED: {CUT_CHANNEL} up again, all channels live after {took}"));
        self.pause(SETTLE)?;
        watch.begin_period(Period::Healed);
        self.pause(total * 2 / 15)?;
        watch.begin_period(Period::Between);
        let there = (there, there_run.stop().context("flows from h-a")?);
        let back = (back, back_run.stop().context("flows from h-b")?);
        stop_streams(streams, outcome)?;
        Ok(Cut { began, healed_at, cut: (cut_at, settled_at), rolled, timers: timers.stop(), there, back })
    }

    fn start_streams(&self) -> anyhow::Result<Vec<(String, TcpStreamRun)>> {
        let mut streams = Vec::new();
        for (from, to, targets) in [("h-a", "h-b", [H_B4, H_B6]), ("h-b", "h-a", [H_A4, H_A6])] {
            let (sender, receiver) = (self.lab.namespace(from)?, self.lab.namespace(to)?);
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
    pub(super) fn judge_cut(&self, cut: Cut, watched: &Watched, outcome: &mut Outcome) {
        let place = self.channels.iter().position(|name| name == CUT_CHANNEL).unwrap_or_default();
        let starved = cut.timers.latest(cut.began, clock::now());
        let budget = Budget {
            outage: outage_budget(self.lateness, cut.timers.latest(cut.cut.0, cut.cut.1)),
            lost: loss_budget(starved),
        };
        let rolled = cut.rolled;
        let lost: u64 = [&cut.there, &cut.back].map(|(_, report)| lost_in(rolled, report)).iter().sum();
        let starved_then = cut.timers.latest(rolled.began, rolled.ended);
        let forgiven = loss_budget(starved_then).saturating_add(rolled.lost_in_queues);
        outcome.verdict.at_most("datagrams lost while keys changed", lost, forgiven);
        self.talk.step(format_args!(
            "{lost} datagrams lost while all SAKs and CAKs changed; full queues in front of the gateways lost {} frames then",
            grouped(rolled.lost_in_queues)
        ));
        self.talk.step(format_args!("timers were up to {} late while the flows ran", short(starved)));
        for (way, (options, report), seen) in
            [("a -> b", cut.there, &watched.at_b), ("b -> a", cut.back, &watched.at_a)]
        {
            let moved = flows::judge(&options, seen, &report, place, cut.healed_at);
            self.tell_direction(way, &report, &moved);
            check_direction(way, &report, &moved, place, budget, outcome);
            outcome.datagrams.push(DatagramLine::new(way, &report, moved));
        }
        let (rows, each) = watched.over_time(cut.began, CHART_COLUMNS);
        let chart = chart(&rows, speaks_utf8());
        self.talk.block(format_args!("\nframes into site b, {} for each character:\n{chart}", short(each)));
        let longest = outcome.streams.iter().map(|s| s.longest_wait).fold(0.0, f64::max);
        let longest = Duration::from_secs_f64(longest);
        let patience = STREAM_BUDGET.saturating_add(starved.saturating_mul(4));
        outcome.verdict.check(
            "longest wait of a TCP stream through the cut",
            longest <= patience,
            short(longest),
            format!("at most {}", short(patience)),
        );
    }

    fn tell_direction(&self, way: &str, report: &UdpReport, moved: &Moved) {
        let totals = report.totals();
        let spread = |counts: &[usize]| counts.iter().map(ToString::to_string).collect::<Vec<_>>().join("/");
        self.talk.step(format_args!(
            "{way}: {} sent, {} lost, {} reordered, {} twice; flows per channel {} before, {} in the cut, {} healed",
            grouped(totals.sent),
            totals.lost,
            totals.reordered,
            totals.duplicated,
            spread(&moved.before),
            spread(&moved.during),
            spread(&moved.after)
        ));
        self.talk.step(format_args!(
            "{way}: the cut kept {} flows of {CUT_CHANNEL} from arriving for {} ({} lost) and moved them; delay {} \
             median, {} p99",
            moved.moved,
            short(moved.outage),
            moved.lost,
            short(report.delay(50)),
            short(report.delay(99))
        ));
    }
}

/// What a direction promises; `cut` is the place of the cut channel.
fn check_direction(
    way: &str,
    report: &UdpReport,
    moved: &Moved,
    cut: usize,
    budget: Budget,
    outcome: &mut Outcome,
) {
    let totals = report.totals();
    let verdict = &mut outcome.verdict;
    let name = |claim: &str| format!("{way}: {claim}");
    verdict.none(&name("datagrams damaged or duplicated"), totals.damaged + totals.duplicated);
    verdict.at_most(&name("lost on channels that were not cut"), moved.lost_elsewhere, budget.lost);
    verdict.none(&name("reordered on channels that were not cut"), moved.reordered_elsewhere);
    verdict.at_most(&name("lost after the cut was healed"), moved.lost_after, budget.lost);
    verdict.check(
        &name("outage of the cut channel's flows"),
        moved.outage <= budget.outage,
        short(moved.outage),
        format!("at most {}", short(budget.outage)),
    );
    let on_cut = moved.before.get(cut).copied().unwrap_or_default();
    let whole = on_cut > 0 && moved.moved == on_cut && moved.returned == on_cut;
    verdict.check(
        &name("flows of the cut channel moved, and returned"),
        whole,
        format!("{} and {} of {on_cut}", moved.moved, moved.returned),
        "all of some",
    );
    let stray = moved.strayed + moved.unseen;
    verdict.none(&name("flows of other channels that moved"), u64::try_from(stray).unwrap_or(u64::MAX));
    let used = moved.before.iter().filter(|&&flows| flows > 0).count();
    let all = moved.before.len();
    verdict.check(&name("channels that shared the flows"), used == all, used.to_string(), all.to_string());
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
        let report = run.stop().with_context(|| format!("the stream {way} through the cut"))?;
        reports.push((way, report));
    }
    let complete = reports.iter().filter(|(_, report)| report.is_complete()).count();
    outcome.verdict.check(
        "TCP streams through the cut arrived as they were sent",
        complete == reports.len(),
        format!("{complete} of {}", reports.len()),
        "all",
    );
    let line = |(way, report): (String, TcpReport)| StreamLine::new(way, "through the cut", &report);
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
/// How long flows may take to settle before they are counted again.
const SETTLE: Duration = Duration::from_millis(300);
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
