//! Drills: a failure is rehearsed on a channel that works, and what happened is told.
//!
//! While a drill lasts, the channel is silent in both directions, as if its carrier was lost; the far end has to find out by itself, as with
//! a cable that breaks far away. Key agreement goes on, so that the end of the drill is the end of it. A drill is short, it ends whatever
//! becomes of who asked for it, and a restart of the gateway ends it too.
//!
//! On a member of a LAG it is LACP that moves flows to the others, here at once, and at the far end when it has heard nothing for
//! Short_Timeout_Time, three seconds (802.1AX-2014 §6.4.4); a drill that is shorter than that shows a far end that stayed.

use std::{sync::Arc, time::Duration};

use config::Config;
use dataplane::{ChannelId, InterfaceId, Setup, lacp::MemberStatus};
use tracing::info;

use crate::{
    clock,
    control::Workers,
    drain::{self, Drain, NoDrain, attachments},
    events::{Change, Log},
    worker::Report,
};

/// The longest drill.
pub const LONGEST: Duration = Duration::from_secs(30);
/// How long the channel may take to come back.
const BACK_WITHIN: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(100);
/// How long it is counted what a member of a LAG sends.
const SAMPLE: Duration = Duration::from_millis(500);

/// What happened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Drilled {
    /// Frames a second that this gateway had sent by the channel.
    pub rate: u64,
    /// From the decision until this gateway's frames went another way: the slowest attachment.
    pub switched: Option<Duration>,
    /// When the far end's last frame on its way through came, since the drill began; `None`: none did.
    pub far_moved: Option<Duration>,
    /// The far end still sent at the end of the drill.
    pub far_stayed: bool,
    /// Frames of the far end that died.
    pub lost: u64,
    /// Channels that this gateway sent more by, with frames a second during the drill.
    pub carried_by: Vec<(ChannelId, u64)>,
    /// How long after the drill the channel was live again; `None`: not yet.
    pub back: Option<Duration>,
}

/// Who rehearses.
#[derive(Clone)]
pub struct Drill {
    /// The way to the workers.
    pub workers: Workers,
    /// What runs.
    pub config: Arc<Config>,
    /// What it is made of.
    pub setup: Arc<Setup>,
    /// Where failovers are written.
    pub events: Arc<Log>,
}

impl Drill {
    /// Rehearses on a channel for so long, at most [`LONGEST`].
    ///
    /// # Errors
    /// [`NoDrain`]: what speaks against a drain speaks against a drill, unless it is forced.
    pub async fn run(
        self,
        channel: ChannelId,
        (lasts, force): (Duration, bool),
        drains: Vec<Drain>,
    ) -> Result<Drilled, NoDrain> {
        let mut reports = self.workers.reports().await;
        if !self.is_live(&reports, channel) {
            return Err(NoDrain::NotLive);
        }
        if !force {
            drain::allow(&self.config, &self.setup, &reports, &drains, (channel, None))?;
        }
        let owner = self.setup.channels.get(channel.index()).map(|one| one.owner);
        let owner = owner.ok_or(NoDrain::UnknownChannel)?;
        let name = self.config.channels.get(channel.index()).map_or("?", |one| &one.name);
        let (_, known) = self.events.since(u64::MAX);
        let rate = match self.setup.lag_of(channel) {
            Some(_) => Some(self.rate_of(channel, &mut reports).await),
            None => None,
        };
        info!(event = "channel.drill", channel = name, seconds = lasts.as_secs_f64());
        let began = clock::now();
        self.workers.rehearse(owner, channel, true);
        tokio::time::sleep(lasts.min(LONGEST)).await;
        let during = self.workers.reports().await;
        self.workers.rehearse(owner, channel, false);
        let ended = clock::now();
        let mut told = self.told(channel, (&reports, &during), known, ended.since(began));
        if let Some(rate) = rate {
            (told.rate, told.switched) = (rate, self.left_after(channel, &during));
        }
        while told.back.is_none() && clock::now().since(ended) < BACK_WITHIN {
            tokio::time::sleep(LOOK).await;
            if self.is_live(&self.workers.reports().await, channel) {
                told.back = Some(clock::now().since(ended));
            }
        }
        info!(event = "channel.drilled", channel = name, lost = told.lost, back = told.back.is_some());
        Ok(told)
    }

    /// Frames a second that a member of a LAG sends just now: records of failovers tell of attachments only. The reports are the last ones then.
    async fn rate_of(&self, channel: ChannelId, reports: &mut Vec<Report>) -> u64 {
        let began = clock::now();
        tokio::time::sleep(SAMPLE).await;
        let later = self.workers.reports().await;
        let millis = u64::try_from(clock::now().since(began).as_millis()).unwrap_or(u64::MAX);
        let before = std::mem::replace(reports, later);
        let more = sent_by(reports, channel).saturating_sub(sent_by(&before, channel));
        more.saturating_mul(1000).checked_div(millis).unwrap_or(0)
    }

    /// From the decision until LACP had taken a member's flows to others.
    fn left_after(&self, channel: ChannelId, during: &[Report]) -> Option<Duration> {
        let seen = during.iter().flat_map(|one| &one.snapshot.channels).find(|one| one.channel == channel)?;
        let member = self.member(during, channel).filter(|one| !one.distributes)?;
        Some(member.since.since(seen.rehearsal?.began))
    }

    /// What LACP says of a channel that is a member of a LAG.
    fn member(&self, reports: &[Report], channel: ChannelId) -> Option<MemberStatus> {
        let (lag, member) = self.setup.lag_of(channel)?;
        let seen = reports.iter().flat_map(|one| &one.snapshot.lags).find(|one| one.lag == lag)?;
        seen.members.get(member).copied()
    }

    /// Every attachment on the channel; of a member of a LAG: it carries frames.
    fn is_live(&self, reports: &[Report], channel: ChannelId) -> bool {
        if self.setup.lag_of(channel).is_some() {
            return self.member(reports, channel).is_some_and(|one| one.distributes);
        }
        attachments(&self.setup, channel).all(|id| drain::is_live(&self.setup, reports, id))
    }

    fn told(
        &self,
        channel: ChannelId,
        (before, during): (&[Report], &[Report]),
        known: u64,
        lasted: Duration,
    ) -> Drilled {
        let seen =
            during.iter().flat_map(|report| &report.snapshot.channels).find(|one| one.channel == channel);
        let seen = seen.and_then(|one| one.rehearsal);
        let far_moved = seen.and_then(|seen| Some(seen.last?.since(seen.began)));
        let (records, _) = self.events.since(known);
        let mine: Vec<InterfaceId> = attachments(&self.setup, channel).collect();
        let left = records.iter().filter(|one| {
            matches!(one.change, Change::Left(_)) && one.attachment.is_some_and(|id| mine.contains(&id))
        });
        let (rate, switched) =
            left.fold((0, None), |(rate, switched), one| (rate + one.rate, one.switched.max(switched)));
        let millis = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
        let lag_of = |channel| self.setup.lag_of(channel).map(|(lag, _)| lag);
        let lag = lag_of(channel);
        let sent = |reports: &[Report], channel| {
            // A flow of a LAG may take any member.
            if lag.is_some() && lag_of(channel) == lag {
                return sent_by(reports, channel);
            }
            let ids: Vec<_> = attachments(&self.setup, channel).collect();
            let all = reports.iter().flat_map(|report| &report.snapshot.interfaces);
            all.filter(|one| ids.contains(&one.interface)).map(|one| one.counters.tx_transit).sum::<u64>()
        };
        let others = (0..self.setup.channels.len()).map(ChannelId::at).filter(|other| *other != channel);
        let carried = others.filter_map(|other| {
            let more = sent(during, other).saturating_sub(sent(before, other));
            let rate = more.saturating_mul(1000).checked_div(millis)?;
            (more > 0).then_some((other, rate))
        });
        Drilled {
            rate,
            switched,
            far_moved,
            // Who is silent for a fifth of the drill has moved.
            far_stayed: far_moved.is_some_and(|last| lasted.saturating_sub(last) < lasted / 5),
            lost: seen.map_or(0, |seen| seen.lost),
            carried_by: carried.collect(),
            back: None,
        }
    }
}

/// Frames that a channel sent, whoever they are from.
fn sent_by(reports: &[Report], channel: ChannelId) -> u64 {
    let mut channels = reports.iter().flat_map(|report| &report.snapshot.channels);
    channels.find(|one| one.channel == channel).map_or(0, |one| one.counters.tx_frames)
}
