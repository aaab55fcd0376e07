//! The keys: on every channel in turn a new SAK, then a new CAK, while the numbered flows run.
//!
//! A SAK is asked for through the API. A CAK comes by itself: both sites have it in the channel's key chain with a start
//! time, and at that time go over to it. Neither may cost a frame.

use std::io;
use std::time::Duration;

use anyhow::Context;
use net::Instant;

use super::super::api::{self, KeyAgreement};
use super::super::gateway::Gateway;
use super::super::outcome::{Outcome, RollLine, short};
use super::Story;
use crate::clock;
use crate::lab::traffic::udp::UdpReport;

/// When the keys were changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rolled {
    pub(super) began: Instant,
    pub(super) ended: Instant,
    /// Frames that queues in front of the gateways lost meanwhile: a machine that is too slow, and no key's fault.
    pub(super) lost_in_queues: u64,
}

impl Story {
    /// Changes all keys.
    pub(super) fn roll(&self, outcome: &mut Outcome) -> anyhow::Result<Rolled> {
        let (began, lost_before) = (clock::now(), self.lost_in_queues()?);
        let mut saks = Vec::new();
        for channel in &self.channels {
            saks.push(RollLine::new(channel, "sak", self.roll_sak(channel)?));
        }
        self.tell_rolls("SAK: a fresh one asked for on each channel in turn", &saks);
        let mut caks = Vec::new();
        let mut in_time = true;
        for (channel, next) in self.channels.iter().zip(&self.files.next_keys) {
            in_time &= began < next.starts;
            let left = next.starts.since(clock::now());
            self.pause(left)?;
            let took = self.wait_keys(channel, next.starts, |[a, b]| {
                let arrived = |one: &KeyAgreement| {
                    one.principal.as_ref() == Some(&next.ckn)
                        && one.key.as_ref().is_some_and(|key| key.ckn == next.ckn)
                };
                arrived(a) && arrived(b) && same_key(a, b)
            });
            caks.push(RollLine::new(channel, "cak", took));
        }
        self.tell_rolls("CAK: the next key of its chain started on each channel in turn", &caks);
        let all = self.channels.len();
        for (name, lines) in [("SAKs changed under traffic", &saks), ("CAKs changed under traffic", &caks)] {
            let done = lines.iter().filter(|line| line.took.is_some()).count();
            let found = if in_time { format!("{done} of {all}") } else { "began too late".to_owned() };
            outcome.verdict.check(name, in_time && done == all, found, format!("{all} of {all}"));
        }
        outcome.rolls.extend(saks.into_iter().chain(caks));
        let lost_in_queues = self.lost_in_queues()?.saturating_sub(lost_before);
        Ok(Rolled { began, ended: clock::now(), lost_in_queues })
    }

    pub(super) fn lost_in_queues(&self) -> anyhow::Result<u64> {
        let lost = |gateway: &Gateway| api::lost_in_queues(&gateway.site().socket);
        self.gateways.iter().map(lost).sum::<io::Result<u64>>().context("asking the gateways for their ports")
    }

    /// Has the key server of a channel make a SAK; how long it took until both ends sent under it.
    fn roll_sak(&self, channel: &str) -> anyhow::Result<Option<Duration>> {
        let mut before = None;
        for gateway in &self.gateways {
            let agreement = gateway.key_agreement(channel)?;
            if agreement.key_server.is_some_and(|server| server.ours) {
                before = agreement.key.map(|key| (gateway, key.key_id));
            }
        }
        let Some((server, before)) = before else { return Ok(None) };
        let asked = clock::now();
        server.rekey(channel)?;
        Ok(self.wait_keys(channel, asked, |[a, b]| {
            same_key(a, b) && a.key.as_ref().is_some_and(|key| key.key_id != before)
        }))
    }

    /// How long after `from` both sites' key agreements on a channel were as wanted; `None`: they were not in time.
    fn wait_keys(
        &self,
        channel: &str,
        from: Instant,
        wanted: impl Fn([&KeyAgreement; 2]) -> bool,
    ) -> Option<Duration> {
        let [a, b] = self.gateways.as_slice() else { return None };
        let there = self.stop.poll(PATIENCE, STEP, || {
            let both = a.key_agreement(channel).ok().zip(b.key_agreement(channel).ok());
            both.is_some_and(|(a, b)| wanted([&a, &b]))
        });
        there.then(|| clock::now().since(from))
    }

    fn tell_rolls(&self, what: &str, lines: &[RollLine]) {
        let slowest = lines.iter().filter_map(|line| line.took).fold(0.0, f64::max);
        let done = lines.iter().filter(|line| line.took.is_some()).count();
        self.talk.step(format_args!(
            "{what}; both ends send under it on {done} of {}, after {} or less",
            lines.len(),
            short(Duration::from_secs_f64(slowest))
        ));
    }
}

impl RollLine {
    fn new(channel: &str, key: &'static str, took: Option<Duration>) -> Self {
        Self { channel: channel.to_owned(), key, took: took.map(|took| took.as_secs_f64()) }
    }
}

/// Both send, and under the same SAK.
fn same_key(a: &KeyAgreement, b: &KeyAgreement) -> bool {
    a.key.is_some() && a.key.as_ref().map(|key| &key.key_id) == b.key.as_ref().map(|key| &key.key_id)
}

/// Datagrams that were sent while keys changed, or shortly after, and did not arrive.
pub(super) fn lost_in(rolled: Rolled, report: &UdpReport) -> u64 {
    let until = rolled.ended.after(AFTER);
    let lost = report.flows.iter().flat_map(|flow| &flow.lost);
    u64::try_from(lost.filter(|at| **at >= rolled.began && **at < until).count()).unwrap_or(u64::MAX)
}

/// How long a change of keys may take.
const PATIENCE: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_millis(20);
/// What was sent this long after a change still belongs to it.
const AFTER: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::super::super::api::Sak;
    use super::*;

    #[test]
    fn both_must_send_under_one_key() {
        let under = |key: Option<&str>| KeyAgreement {
            key: key.map(|id| Sak { key_id: id.to_owned(), ..Sak::default() }),
            ..KeyAgreement::default()
        };
        for (a, b, same) in [
            (None, None, false),
            (Some("1"), None, false),
            (Some("1"), Some("2"), false),
            (Some("1"), Some("1"), true),
        ] {
            assert_eq!(same_key(&under(a), &under(b)), same, "{a:?} {b:?}");
        }
    }
}
