//! Drills: a failure is rehearsed on a channel that works, and what happened is told.
//!
//! While a drill lasts, the channel is silent in both directions, as if its carrier was lost; the far end has to find out by itself, as with
//! a cable that breaks far away. Key agreement goes on, so that the end of the drill is the end of it. A drill is short, it ends whatever
//! becomes of who asked for it, and a restart of the gateway ends it too.

use std::{sync::Arc, time::Duration};

use config::Config;
use dataplane::{ChannelId, InterfaceId, Setup};
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
        if let Some((lag, _)) = self.setup.lag_of(channel) {
            let name = self.config.lags.get(lag.index()).map(|one| one.name.clone());
            return Err(NoDrain::Member(name.unwrap_or_default()));
        }
        let reports = self.workers.reports().await;
        if !self.is_live(&reports, channel) {
            return Err(NoDrain::NotLive);
        }
        if !force {
            drain::allow(&self.config, &self.setup, &reports, &drains, channel)?;
        }
        let owner = self.setup.channels.get(channel.index()).map(|one| one.owner);
        let owner = owner.ok_or(NoDrain::UnknownChannel)?;
        let name = self.config.channels.get(channel.index()).map_or("?", |one| &one.name);
        let (_, known) = self.events.since(u64::MAX);
        info!(event = "channel.drill", channel = name, seconds = lasts.as_secs_f64());
        let began = clock::now();
        self.workers.rehearse(owner, channel, true);
        tokio::time::sleep(lasts.min(LONGEST)).await;
        let during = self.workers.reports().await;
        self.workers.rehearse(owner, channel, false);
        let ended = clock::now();
        let mut told = self.told(channel, (&reports, &during), known, ended.since(began));
        while told.back.is_none() && clock::now().since(ended) < BACK_WITHIN {
            tokio::time::sleep(LOOK).await;
            if self.is_live(&self.workers.reports().await, channel) {
                told.back = Some(clock::now().since(ended));
            }
        }
        info!(event = "channel.drilled", channel = name, lost = told.lost, back = told.back.is_some());
        Ok(told)
    }

    /// Every attachment on the channel.
    fn is_live(&self, reports: &[Report], channel: ChannelId) -> bool {
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
        let sent = |reports: &[Report], channel| {
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
