//! What happens in the demo, step by step: build, start, ping, stream, new keys (in [`roll`]), a cut (in [`cut`]), a cut
//! that no link tells of (in [`silent`]), look, end.

mod cut;
mod roll;
mod silent;

pub(super) use cut::speaks_utf8;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use net::{EtherType, Instant};

use super::gateway::Gateway;
use super::outcome::{
    CaptureLine, ChannelLine, Outcome, PingLine, StreamLine, channel_table, grouped, rate, short,
};
use super::site::{BFD_DETECTION, Plan, SiteFiles};
use super::standing::Mode;
use super::talk::Talk;
use super::timers::usual_lateness;
use super::verdict::Verdict;
use super::watch::{Watch, Watched};
use super::{Options, api};
use crate::clock;
use crate::lab::capture::{Capture, CaptureOptions};
use crate::lab::traffic::ping::{PingOptions, ping};
use crate::lab::traffic::tcp::TcpStreamRun;
use crate::lab::{Entered, Stop, WiredSites, in_words, way_in};

/// The two sites, and what tells their story.
#[derive(Debug)]
pub(super) struct Story {
    options: Options,
    talk: Talk,
    stop: Stop,
    /// Before the lab, so that they end in order while their namespaces are there.
    gateways: Vec<Gateway>,
    sites: WiredSites,
    entered: Entered,
    files: SiteFiles,
    channels: Vec<String>,
    lateness: Duration,
    /// Frames that MACsec refused before all channels were live: without a key nothing passes.
    refused_at_start: u64,
}

impl Story {
    /// Measures the machine's timers, builds the lab, writes the files.
    pub(super) fn begin(
        options: &Options,
        talk: Talk,
        stop: &Stop,
        entered: Entered,
    ) -> anyhow::Result<Self> {
        let lateness = usual_lateness();
        let budget = outage_budget(lateness, Duration::ZERO);
        talk.step(format_args!(
            "timers are up to {} late here (p99), so a cut may cost {}, and more when they are later just then",
            short(lateness),
            short(budget)
        ));
        let sites = WiredSites::build_at(PLAN.channels, PLAN.channel_mtu, &[silent::CHANNEL], SEED)?;
        let plan = Plan { next_key_after: Some(keys_start_after(options.total(), lateness)), ..PLAN };
        let files = SiteFiles::write(plan).context("writing the sites' files")?;
        talk.step(format_args!(
            "two sites in namespaces: h-a - gw-a = {} channels = gw-b - h-b; files in {}",
            PLAN.channels,
            files.directory().display()
        ));
        let channels = (1..=PLAN.channels).map(|channel| format!("ch{channel}")).collect();
        let (options, stop) = (options.clone(), stop.clone());
        let gateways = Vec::new();
        Ok(Self {
            options,
            talk,
            stop,
            gateways,
            sites,
            entered,
            files,
            channels,
            lateness,
            refused_at_start: 0,
        })
    }

    /// Plays it from the first frame to the verdict.
    pub(super) fn tell(&mut self, outcome: &mut Outcome) -> anyhow::Result<()> {
        outcome.timer_lateness = self.lateness.as_secs_f64();
        self.start_gateways(outcome)?;
        self.learn_routes(outcome)?;
        let watch = Watch::start(self.sites.lab(), &self.channels, self.options.capture.clone())?;
        self.ping(outcome)?;
        // On a machine so slow that the next keys would start before the flows do, this comes last.
        let early = self.time_to_keys() > self.options.total() / 6 + ENOUGH;
        if early {
            self.stream(outcome)?;
        }
        let measured = self.cuts(&watch, outcome)?;
        let watched = watch.stop()?;
        if !early {
            self.stream(outcome)?;
        }
        self.judge_cuts(measured, &watched, outcome);
        self.judge_channels(outcome)?;
        self.judge_captures(&watched, outcome);
        if !self.options.keep {
            self.end_gateways(&mut outcome.verdict)?;
        }
        Ok(())
    }

    /// The directory of the logs, which stays.
    pub(super) fn keep_logs(&mut self) -> &Path {
        self.files.keep_logs();
        self.files.directory()
    }

    /// What to type in another terminal.
    pub(super) fn how_to_look_around(&self) -> String {
        let program =
            std::env::current_exe().map_or_else(|_| "quadspan".to_owned(), |p| p.display().to_string());
        let mut text = "The two sites stay up. In another terminal:\n".to_owned();
        for gateway in &self.gateways {
            let socket = gateway.site().socket.display();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {program} -s {socket} status");
            let _ = writeln!(text, "  {program} -s {socket} show channels");
            let _ = writeln!(text, "  {program} -s {socket} show mka");
            let _ = writeln!(text, "  {program} -s {socket} show bgp");
            let _ = writeln!(text, "  {program} -s {socket} show bfd");
        }
        for node in ["h-a", "gw-a", "gw-b", "h-b"] {
            let pid = self.sites.lab().pid(node).unwrap_or_default();
            let _ = writeln!(text, "  {}    # a shell in {node}", way_in(self.entered, pid));
        }
        let _ = writeln!(text, "Cut a channel from within gw-a: ip link set ch2 down (and up again).");
        let _ = write!(text, "To end it: Ctrl-C here, or kill {}", std::process::id());
        text
    }

    /// Until the first of the keys starts that come later.
    fn time_to_keys(&self) -> Duration {
        let first = self.files.next_keys.iter().map(|key| key.starts).min();
        first.map_or(Duration::ZERO, |first| first.since(clock::now()))
    }

    fn start_gateways(&mut self, outcome: &mut Outcome) -> anyhow::Result<()> {
        let looking = CaptureOptions::new(&self.channels);
        let look = |node: &str| Ok(Capture::start(self.sites.lab().namespace(node)?, &looking)?);
        let looking = ["gw-a", "gw-b"].map(look);
        let mut begin = clock::now();
        for site in &self.files.sites {
            begin = clock::now();
            self.gateways.push(Gateway::start(self.sites.lab(), site)?);
        }
        for gateway in &mut self.gateways {
            gateway.wait_live(self.channels.len(), START_PATIENCE, &self.stop)?;
        }
        let took = clock::now().since(begin);
        let mut secured = 0;
        for gateway in &self.gateways {
            let all = gateway.channels()?;
            self.refused_at_start += all.iter().map(api::Channel::refused).sum::<u64>();
            let safe = |c: &&api::Channel| {
                c.macsec.as_ref().is_some_and(|m| m.secured && m.suite.eq_ignore_ascii_case(SUITE))
            };
            secured += all.iter().filter(safe).count();
        }
        let wanted = self.channels.len() * 2;
        self.talk.step(format_args!(
            "both gateways run, MKA has agreed on keys, all channels live after {}",
            short(took)
        ));
        self.tell_first_frame(begin, looking, outcome)?;
        outcome.verdict.check(
            "channels live and secured at start",
            secured == wanted,
            format!("{secured} of {wanted} with {SUITE}"),
            format!("{wanted} of {wanted}"),
        );
        Ok(())
    }

    /// Until each site has learnt the way to the other by all attachments, and BFD watches them.
    fn learn_routes(&self, outcome: &mut Outcome) -> anyhow::Result<()> {
        let begin = clock::now();
        let wanted = self.channels.len();
        for gateway in &self.gateways {
            gateway.wait_ways(wanted, START_PATIENCE, &self.stop)?;
        }
        let took = clock::now().since(begin);
        outcome.routes_learnt = Some(took.as_secs_f64());
        self.talk.step(format_args!(
            "BGP: each site has learnt the other's prefixes by all {wanted} attachments {} later; BFD watches each, and \
             {} of silence are allowed",
            short(took),
            short(BFD_DETECTION)
        ));
        Ok(())
    }

    /// When the first frame was sent under a key that MKA agreed on.
    fn tell_first_frame(
        &self,
        begin: Instant,
        looking: [anyhow::Result<Capture>; 2],
        outcome: &mut Outcome,
    ) -> anyhow::Result<()> {
        let mut first = None;
        for capture in looking {
            let seen = capture?.stop().context("capturing the first frames")?;
            let frames =
                seen.iter().filter_map(|one| one.incoming.first.get(&EtherType::MACSEC.get()).copied());
            first = net::earliest(first, frames.min());
        }
        let took = first.map(|at| at.since(begin));
        outcome.first_encrypted = took.map(|took| took.as_secs_f64());
        if let Some(took) = took {
            self.talk.step(format_args!(
                "the first encrypted frame came {} after the second gateway's start",
                short(took)
            ));
        }
        Ok(())
    }

    fn ping(&self, outcome: &mut Outcome) -> anyhow::Result<()> {
        let control = Capture::start(self.sites.lab().namespace("gw-a")?, &CaptureOptions::new(["lan1"]))?;
        let begin = clock::now();
        for (node, target) in FAR_HOSTS {
            let one =
                PingOptions { count: 1, patience: Duration::from_millis(200), ..PingOptions::new(target) };
            let from = self.sites.lab().namespace(node)?;
            let mut answered = Ok(false);
            let first = self.stop.poll(FIRST_ANSWER, Duration::ZERO, || {
                answered = ping(from, &one).map(|report| report.is_complete());
                !matches!(answered, Ok(false))
            });
            if !answered.with_context(|| format!("pinging {target}"))? || !first {
                bail!("{node} gets no answer from {target} within {}", short(FIRST_ANSWER));
            }
        }
        let first = clock::now().since(begin);
        let mut complete = 0;
        for (node, target) in FAR_HOSTS.into_iter().chain(OWN_GATEWAYS) {
            let report = ping(self.sites.lab().namespace(node)?, &PingOptions::new(target))?;
            complete += usize::from(report.is_complete());
            outcome.pings.push(PingLine::new(format!("{node} -> {target}"), &report));
            self.interrupted()?;
        }
        let wanted = FAR_HOSTS.len() + OWN_GATEWAYS.len();
        let slowest = outcome.pings.iter().filter_map(|p| p.median).fold(0.0, f64::max);
        self.talk.step(format_args!(
            "ping: first answers of all after {}; then 10 of 10 on {complete} of {wanted} ways, median {} or less",
            short(first),
            short(Duration::from_secs_f64(slowest))
        ));
        let wanted = format!("{wanted} of {wanted}");
        let verdict = &mut outcome.verdict;
        let found = format!("{complete} of {}", FAR_HOSTS.len() + OWN_GATEWAYS.len());
        verdict.check("ways on which every ping was answered", found == wanted, found, wanted);
        let on_lan: u64 = control.stop()?.iter().map(|seen| seen.incoming.clear()).sum();
        verdict.check(
            "clear text found where it should be: on the LAN",
            on_lan > 0,
            format!("{on_lan} frames"),
            "some",
        );
        Ok(())
    }

    fn stream(&self, outcome: &mut Outcome) -> anyhow::Result<()> {
        for (from, to, target) in STREAMS {
            let (sender, receiver) = (self.sites.lab().namespace(from)?, self.sites.lab().namespace(to)?);
            let run = TcpStreamRun::start(sender, receiver, target, None, CONNECT)
                .with_context(|| format!("connecting {from} to {target}"))?;
            self.pause(self.options.total() / 15)?;
            let report = run.stop().with_context(|| format!("streaming from {from} to {target}"))?;
            let way = format!("{from} -> {target}");
            self.talk.step(format_args!(
                "TCP {way}: {} octets, each checked, {}",
                grouped(report.verified),
                rate(report.bits_per_second())
            ));
            let found = format!("{} of {} octets", grouped(report.verified), grouped(report.sent));
            outcome.verdict.check(
                &format!("TCP {way} arrived as it was sent"),
                report.is_complete(),
                found,
                "all",
            );
            outcome.streams.push(StreamLine::new(way, "alone", &report));
        }
        Ok(())
    }

    /// The channels at the end: the table, and what the two sites must agree on.
    fn judge_channels(&self, outcome: &mut Outcome) -> anyhow::Result<()> {
        let mut apart = Vec::new();
        // BFD and BGP go on: a frame may just be on its way through the far gateway.
        self.stop.poll(Duration::from_secs(1), Duration::from_millis(10), || {
            apart = self.packet_numbers_apart().unwrap_or_else(|e| vec![format!("{e:#}")]);
            apart.is_empty()
        });
        for gateway in &self.gateways {
            let letter = gateway.site().letter;
            let lines = gateway.channels()?.into_iter().map(|channel| ChannelLine { site: letter, channel });
            outcome.channels.extend(lines);
        }
        self.talk.block(format_args!("\n{}\n", channel_table(&outcome.channels)));
        let found = if apart.is_empty() { "agree".to_owned() } else { apart.join(", ") };
        let verdict = &mut outcome.verdict;
        verdict.check("packet numbers sent and accepted, all channels", apart.is_empty(), found, "agree");
        let refused: u64 = outcome.channels.iter().map(|line| line.channel.refused()).sum();
        let since = refused.saturating_sub(self.refused_at_start);
        verdict.none("frames that MACsec refused once all channels were live", since);
        Ok(())
    }

    /// Channels on which one site accepted a packet number that the other had not sent, or has not yet accepted one that it
    /// had: frames go on, so each side is asked before the other and after it.
    fn packet_numbers_apart(&self) -> anyhow::Result<Vec<String>> {
        let [a, b] = self.gateways.as_slice() else { bail!("there are not two gateways") };
        let asked = [a.channels()?, b.channels()?, a.channels()?, b.channels()?];
        let [a_first, b_first, a_then, b_last] = &asked;
        let mut apart = Vec::new();
        for (way, before, senders, after) in
            [("a->b", b_first, a_then, b_last), ("b->a", a_first, b_first, a_then)]
        {
            for ((before, sender), after) in before.iter().zip(senders).zip(after) {
                let sent = sender.macsec.as_ref().and_then(|m| m.next_pn);
                let an = sender.macsec.as_ref().and_then(|m| m.encoding_an);
                let [before, after] = [before, after].map(|receiver| {
                    let mut all = receiver.macsec.iter().flat_map(|m| &m.rx);
                    all.find(|sa| Some(sa.an) == an).map(|sa| sa.next_pn)
                });
                if sent.is_none() || before.is_none() || before > sent || after < sent {
                    let name = &sender.name;
                    let shown = |pn: Option<u64>| pn.map_or_else(|| "none".to_owned(), |pn| pn.to_string());
                    apart.push(format!("{name} {way}: {} / {}", shown(sent), shown(after)));
                }
            }
        }
        Ok(apart)
    }

    fn judge_captures(&self, watched: &Watched, outcome: &mut Outcome) {
        let at = [("gw-a", &watched.at_a), ("gw-b", &watched.at_b)];
        for (node, seen) in at {
            outcome.captures.extend(seen.iter().map(|one| CaptureLine::new(node, one)));
        }
        let lines = &outcome.captures;
        let sum = |of: fn(&CaptureLine) -> u64| lines.iter().map(of).sum::<u64>();
        let (frames, missed) = (sum(|l| l.frames), sum(|l| l.missed));
        let mka = sum(|l| l.mka);
        let others = frames.saturating_sub(sum(|l| l.macsec)).saturating_sub(mka);
        let (ip, payload) = (sum(|l| l.ip_in_clear), sum(|l| l.payload_in_clear));
        self.talk.step(format_args!(
            "capture on the channels: {} frames looked at ({} missed), {} of them MKA, {} neither that nor MACsec \
             (0x{:04x}), {} with our payload",
            grouped(frames),
            grouped(missed),
            grouped(mka),
            others,
            EtherType::MACSEC.get(),
            payload
        ));
        let every = lines.iter().all(|line| line.macsec > 0);
        let verdict = &mut outcome.verdict;
        let seen = if every { "all" } else { "not all" };
        verdict.check("channels on which the capture saw MACsec, both ways", every, seen, "all");
        verdict.none("frames on the channels other than MACsec and MKA", others);
        verdict.none("frames on the channels with IP or ARP in clear", ip);
        verdict.none("frames on the channels with payload in clear", payload);
    }

    fn end_gateways(&mut self, verdict: &mut Verdict) -> anyhow::Result<()> {
        let mut ends = Vec::new();
        for gateway in &mut self.gateways {
            ends.push(gateway.end()?);
        }
        let found = ends.iter().map(|&status| in_words(status)).collect::<Vec<_>>().join(", ");
        verdict.check(
            "gateways ended in order when asked",
            ends.iter().all(|s| s.success()),
            found,
            "exit code 0",
        );
        self.talk.step("gateways ended");
        Ok(())
    }

    /// Lets time pass, unless the demo is to end.
    fn pause(&self, time: Duration) -> anyhow::Result<()> {
        self.stop.wait(time);
        self.interrupted()
    }

    fn interrupted(&self) -> anyhow::Result<()> {
        if self.stop.is_requested() { bail!("interrupted") } else { Ok(()) }
    }
}

/// How long a cut may keep the flows of its channel from arriving. A carrier loss is known at once, so this is the time
/// that threads need to be scheduled: more where timers are usually late, and when they are late just then.
fn outage_budget(usual: Duration, then: Duration) -> Duration {
    Duration::from_millis(10).saturating_add(usual.saturating_mul(20)).saturating_add(then.saturating_mul(4))
}

/// How long after the files are written the first key starts that comes later: once the gateways run, routes are learnt,
/// pings were answered, streams have run, and the flows do. A machine with late timers needs longer for all of that, and so do
/// gateways that were built without optimisation.
fn keys_start_after(total: Duration, lateness: Duration) -> Duration {
    let slow = lateness.saturating_mul(100).min(Duration::from_secs(10));
    let start = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 5 });
    start.saturating_add(total / 6).saturating_add(slow)
}

/// What rolling the SAKs and starting the flows takes.
const ENOUGH: Duration = Duration::from_millis(700);
const PLAN: Plan =
    Plan { mode: Mode::Ecmp, channels: 4, channel_mtu: 1600, next_key_after: None, measured: false };
/// The silent cut leaves nothing to chance, and nothing else does.
const SEED: u64 = 1;
const SUITE: &str = "gcm-aes-xpn-256";

pub(super) const H_A4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 0, 2));
pub(super) const H_B4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 2, 0, 2));
pub(super) const H_A6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 2));
pub(super) const H_B6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 2));
const GW_A4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 0, 1));
const GW_A6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1));

const FAR_HOSTS: [(&str, IpAddr); 4] = [("h-a", H_B4), ("h-a", H_B6), ("h-b", H_A4), ("h-b", H_A6)];
const OWN_GATEWAYS: [(&str, IpAddr); 2] = [("h-a", GW_A4), ("h-a", GW_A6)];
const STREAMS: [(&str, &str, IpAddr); 2] = [("h-a", "h-b", H_B4), ("h-b", "h-a", H_A6)];

/// How long the gateways may take until all channels are live.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// How long the first answer on each way may take: addresses are looked up all along it.
const FIRST_ANSWER: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(3);
