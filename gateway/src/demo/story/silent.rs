//! The silent cut: a channel swallows every frame, and its link stays up. Nothing tells of it but the silence, which BFD
//! hears (RFC 5880 §6.8.4); the attachment is left, its BGP session is ended (RFC 5882 §4.3), and traffic moves.

use std::time::{Duration, SystemTime};

use anyhow::Context;

use super::super::detect::{self, Noticed};
use super::super::flows::{Broken, Period};
use super::super::outcome::{FoundLine, Outcome, short};
use super::super::routing::{bfd_screen, bgp_screen};
use super::super::site::BFD_DETECTION;
use super::super::watch::Watch;
use super::cut::{Act, SETTLE};
use super::{START_PATIENCE, Story};
use crate::clock;
use crate::lab::wire::Way;

impl Story {
    /// Plays it while the flows run.
    pub(super) fn silent_cut(&self, watch: &Watch, outcome: &mut Outcome) -> anyhow::Result<Act> {
        let name = format!("ch{CHANNEL}");
        watch.begin_period(Period::Between);
        let (wall, broke_at) = (clock::wall(), clock::now());
        self.sites.impair(&name, Way::Both, |impairment| impairment.blackhole = true)?;
        self.talk.step(format_args!("SILENT CUT: {name} swallows every frame, and its link stays up"));
        let attachment = format!("{CONNECTION}/{name}");
        self.wait_noticed(|gateway| {
            detect::noticed(&gateway.site().log, wall).iter().any(|one| one.attachment == attachment)
        });
        self.pause(SETTLE)?;
        let settled_at = clock::now();
        watch.begin_period(Period::Silent);
        self.look_at_silence(&attachment, wall, outcome)?;
        self.pause(self.options.total() / 12)?;
        watch.begin_period(Period::Between);
        let mended_at = clock::now();
        self.sites.heal(&[&name])?;
        self.wait_healed(&name, mended_at)?;
        watch.begin_period(Period::Recovered);
        self.pause(self.options.total() / 15)?;
        watch.begin_period(Period::Between);
        let place = self.channels.iter().position(|channel| *channel == name).unwrap_or_default();
        let periods = [Period::Healed, Period::Silent, Period::Recovered];
        let broken = Broken { place, periods, mended_at, from: earlier(broke_at) };
        let silence = BFD_DETECTION;
        Ok(Act {
            channel: name,
            what: "the silent cut",
            state: "silent",
            broken,
            broke_at,
            settled_at,
            silence,
        })
    }

    /// What the gateways say while the channel is silent: who found it when and why, and what their links look like.
    fn look_at_silence(
        &self,
        attachment: &str,
        since: SystemTime,
        outcome: &mut Outcome,
    ) -> anyhow::Result<()> {
        let mut carriers = 0;
        for gateway in &self.gateways {
            let site = gateway.site();
            carriers += gateway.channels()?.iter().filter(|channel| channel.carrier).count();
            let noticed = detect::noticed(&site.log, since);
            let found = noticed.into_iter().find(|one| one.attachment == attachment);
            outcome.found.push(FoundLine::new(site.letter, attachment, found.as_ref()));
            self.tell_found(site.letter, found.as_ref());
        }
        let links = self.channels.len() * self.gateways.len();
        outcome.verdict.check(
            "links up in the silent cut",
            carriers == links,
            carriers.to_string(),
            format!("{links}: nobody is told"),
        );
        let [first, ..] = self.gateways.as_slice() else { return Ok(()) };
        let socket = &first.site().socket;
        let bgp = bgp_screen(socket).context("asking for the BGP neighbours")?;
        let bfd = bfd_screen(socket, attachment).context("asking for the BFD sessions")?;
        self.talk.block(format_args!(
            "\n$ quadspan show bgp                  (site a, in the silent cut)\n{bgp}\n\
             $ quadspan show bfd {attachment}\n{bfd}"
        ));
        Ok(())
    }

    fn tell_found(&self, letter: char, found: Option<&Noticed>) {
        match found {
            Some(Noticed { after, attachment, why, .. }) => {
                self.talk.step(format_args!("site {letter} left {attachment} after {}: {why}", short(*after)))
            }
            None => self.talk.step(format_args!("site {letter} has not noticed")),
        }
    }

    /// Until everything is as it was before `name` was broken.
    pub(super) fn wait_healed(&self, name: &str, mended_at: net::Instant) -> anyhow::Result<()> {
        for gateway in &self.gateways {
            let ways = gateway.wait_ways(self.channels.len(), START_PATIENCE, &self.stop);
            ways.with_context(|| format!("after {name} was mended"))?;
        }
        let took = short(clock::now().since(mended_at));
        self.talk.step(format_args!(
            "HEALED: {name} is well again; BFD is up, and BGP has brought its routes back after {took}"
        ));
        self.pause(SETTLE)
    }

    /// Holds when the silent cut was found against what was promised.
    pub(super) fn judge_found(&self, budget: Duration, outcome: &mut Outcome) {
        let slowest = outcome.found.iter().map(|line| line.after).collect::<Option<Vec<f64>>>();
        let slowest = slowest.map(|all| Duration::from_secs_f64(all.into_iter().fold(0.0, f64::max)));
        let by_bfd = outcome.found.iter().all(|line| line.why.as_deref() == Some(BY_BFD));
        let whys: Vec<&str> = outcome.found.iter().filter_map(|line| line.why.as_deref()).collect();
        outcome.verdict.check(
            "silent cut found by BFD, at both sites",
            by_bfd && slowest.is_some_and(|slowest| slowest <= budget),
            slowest.map_or_else(
                || "no".to_owned(),
                |slowest| format!("{} ({})", short(slowest), whys.join(", ")),
            ),
            format!("at most {}", short(budget)),
        );
    }
}

/// Shortly before: what was on its way when a channel broke is lost by that.
fn earlier(broke_at: net::Instant) -> net::Instant {
    let since_start = broke_at.since(net::Instant::ZERO);
    net::Instant::ZERO.after(since_start.saturating_sub(ON_THE_WAY))
}

/// The channel that falls silent: another one than the one that is cut.
pub(super) const CHANNEL: u8 = 2;
const CONNECTION: &str = "blue";
/// What the log says when BFD is the reason.
const BY_BFD: &str = "bfd_down";
const ON_THE_WAY: Duration = Duration::from_millis(20);
