//! Where orders come in: workers and BGP are asked, time is kept, the disk remembers.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use config::Config;
use dataplane::{ChannelId, Fault, LagId, Setup};
use jiff::Timestamp;
use net::Instant;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tracing::{info, warn};

use super::{Drain, NoDrain, Order, Phase, allow, attachments_of, through};
use crate::{api::wall, bgp, clock, control::Workers, state::replace};

const FILE: &str = "drains.json";
/// How often traffic on drained channels is looked at while it moves.
const LOOK: Duration = Duration::from_millis(200);

/// After how long the end of a drain that could not be written down is tried again, at first and at last.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_LONGEST: Duration = Duration::from_secs(60);

/// All drains of a running gateway.
pub struct Desk {
    workers: Workers,
    bgp: Option<bgp::Handle>,
    config: Arc<Config>,
    setup: Arc<Setup>,
    folder: PathBuf,
    drains: Mutex<Vec<Drain>>,
    /// One order at a time.
    turn: tokio::sync::Mutex<()>,
    news: Notify,
}

/// A drain, as the disk remembers it.
#[derive(Debug, Deserialize, Serialize)]
struct Remembered {
    channel: String,
    since: Timestamp,
    until: Option<Timestamp>,
    forced: bool,
    /// With all members of this LAG.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lag: Option<String>,
}

/// When the end of a drain, which the disk refused to remember, is tried again.
#[derive(Debug, Default)]
struct Retry {
    /// How long after the last attempt, and when that is; nothing was refused without.
    next: Option<(Duration, Instant)>,
}

impl Retry {
    fn is_due(&self, now: Instant) -> bool {
        self.next.is_none_or(|(_, due)| due <= now)
    }

    /// True when that is news.
    fn failed(&mut self, now: Instant) -> bool {
        let wait = self.next.map_or(RETRY, |(wait, _)| wait.saturating_mul(2).min(RETRY_LONGEST));
        self.next.replace((wait, now.after(wait))).is_none()
    }

    fn worked(&mut self) {
        self.next = None;
    }
}

impl Desk {
    /// Takes up what an earlier process left: everybody is asked again.
    pub fn open(config: Arc<Config>, setup: Arc<Setup>, workers: Workers, bgp: Option<bgp::Handle>) -> Self {
        let folder = config.runtime.state_dir.clone();
        let this = Self {
            workers,
            bgp,
            config,
            setup,
            folder,
            drains: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            news: Notify::new(),
        };
        for one in read(&this.folder.join(FILE)) {
            // A channel that left the configuration needs nothing.
            let Some(channel) = this.channel(&one.channel) else { continue };
            // Of a LAG that is none any more, or has other members, each is drained for itself.
            let lag = one.lag.and_then(|name| this.lag(&name));
            let lag = lag.filter(|lag| this.setup.is_member(channel, *lag));
            let drain = Drain::new(channel, one.since, (one.until, one.forced), clock::now());
            let whole_is_known = lag.is_some() && this.drains.lock().iter().any(|other| other.lag == lag);
            this.drains.lock().push(drain.with_all_of(lag));
            if !whole_is_known {
                info!(event = "channel.drain", channel = this.called((channel, lag)), restored = true);
                this.tell((channel, lag), true);
            }
        }
        this.tell_undrained_lags();
        this
    }

    /// Whoever handed over may have left members on standby that nobody remembers any more.
    fn tell_undrained_lags(&self) {
        for (lag, setup) in self.setup.lags.iter().enumerate().map(|(at, setup)| (LagId::at(at), setup)) {
            let drained = self.drains.lock().iter().any(|one| self.setup.is_member(one.channel, lag));
            let first = setup.members.first().filter(|_| !drained);
            let owner = first.and_then(|first| self.setup.channels.get(first.channel.index()));
            if let Some(owner) = owner {
                self.workers.set_lag_fault(owner.owner, lag, Fault::Drained, false);
            }
        }
    }

    /// The drains of this moment.
    pub fn drains(&self) -> Vec<Drain> {
        self.drains.lock().clone()
    }

    /// Drains a channel, or a LAG, which is all of its members. Of one that is drained, the time that it lasts is changed.
    ///
    /// # Errors
    /// [`NoDrain`].
    pub async fn drain(&self, name: &str, order: Order) -> Result<Drain, NoDrain> {
        let (channels, lag) = self.meant(name)?;
        let first = *channels.first().ok_or(NoDrain::UnknownChannel)?;
        let _turn = self.turn.lock().await;
        let mut drains = self.drains();
        let now = wall();
        let until = order.lasts.map(|lasts| now.saturating_add(lasts).unwrap_or(Timestamp::MAX));
        let same = |one: &Drain| one.lag == lag && channels.contains(&one.channel);
        let known = drains.iter().any(same);
        if known {
            drains.iter_mut().filter(|one| same(one)).for_each(|one| one.until = until);
        } else {
            self.check_whole(first, lag)?;
            if !order.force {
                let reports = self.workers.reports().await;
                if reports.len() < usize::from(self.setup.workers) {
                    return Err(NoDrain::Silent);
                }
                allow(&self.config, &self.setup, &reports, &drains, (first, lag))?;
            }
            // Members that were drained one by one are now drained with the others.
            drains.retain(|one| !channels.contains(&one.channel));
            let begin =
                |&channel| Drain::new(channel, now, (until, order.force), clock::now()).with_all_of(lag);
            drains.extend(channels.iter().map(begin));
        }
        let drain = drains.iter().find(|one| one.channel == first).cloned().ok_or(NoDrain::UnknownChannel)?;
        self.remember(&drains)?;
        *self.drains.lock() = drains;
        if !known {
            info!(event = "channel.drain", channel = name, forced = order.force, until = ?until.map(|at| at.to_string()));
            self.tell((first, lag), true);
        }
        self.news.notify_one();
        Ok(drain)
    }

    /// The channels that a name stands for, and the LAG, if it is one.
    fn meant(&self, name: &str) -> Result<(Vec<ChannelId>, Option<LagId>), NoDrain> {
        if let Some(channel) = self.channel(name) {
            return Ok((vec![channel], None));
        }
        let lag = self.lag(name).ok_or(NoDrain::UnknownChannel)?;
        let members = self.setup.lags.get(lag.index()).map_or(&[][..], |lag| &lag.members);
        Ok((members.iter().map(|member| member.channel).collect(), Some(lag)))
    }

    /// Whether a channel can be drained, or undrained, for itself: its LAG is not drained as a whole.
    fn check_whole(&self, channel: ChannelId, lag: Option<LagId>) -> Result<(), NoDrain> {
        let whole = self.drains.lock().iter().find(|one| one.channel == channel).and_then(|one| one.lag);
        match whole.filter(|whole| Some(*whole) != lag) {
            Some(whole) => Err(NoDrain::Whole(self.lag_name(whole).to_owned())),
            None => Ok(()),
        }
    }

    /// Lets traffic use a channel again.
    ///
    /// # Errors
    /// [`NoDrain`].
    pub async fn undrain(&self, name: &str) -> Result<(), NoDrain> {
        let (channels, lag) = self.meant(name)?;
        let first = *channels.first().ok_or(NoDrain::UnknownChannel)?;
        self.check_whole(first, lag)?;
        self.end((first, lag), "asked").await
    }

    /// Watches traffic leave and time pass, for as long as it is polled.
    pub async fn keep(self: Arc<Self>) {
        let mut retry = Retry::default();
        loop {
            if self.drains.lock().is_empty() {
                self.news.notified().await;
            }
            tokio::time::sleep(LOOK).await;
            let reports = self.workers.reports().await;
            let now = clock::now();
            let mut whole = Vec::new();
            for drain in self.drains.lock().iter_mut() {
                let Some(frames) = through(&self.setup, &reports, (drain.channel, drain.lag)) else {
                    continue;
                };
                // Its members see the same frames, so the first speaks for all.
                let speaks = drain.lag.is_none() || !whole.contains(&drain.lag);
                whole.push(drain.lag);
                if drain.look(frames, now) && speaks {
                    self.tell_phase(drain);
                }
            }
            let wall = wall();
            let mut due: Vec<_> = self
                .drains()
                .iter()
                .filter(|one| one.until.is_some_and(|at| at <= wall))
                .map(|one| (one.channel, one.lag))
                .collect();
            // All members of a LAG end as one.
            due.dedup_by_key(|(channel, lag)| lag.ok_or(*channel));
            for what in due {
                if retry.is_due(now) {
                    self.end_in_time(what, &mut retry, now).await;
                }
            }
        }
    }

    async fn end_in_time(&self, what: (ChannelId, Option<LagId>), retry: &mut Retry, now: Instant) {
        match self.end(what, "time").await {
            Ok(()) => retry.worked(),
            // Somebody was faster.
            Err(NoDrain::NotDrained) => {}
            Err(why) if retry.failed(now) => {
                warn!(event = "channel.drain_failed", channel = self.called(what), why = ?why, "its time is over and it stays drained until that can be written down: tried again, ever more rarely");
            }
            Err(_) => {}
        }
    }

    async fn end(&self, what: (ChannelId, Option<LagId>), why: &str) -> Result<(), NoDrain> {
        let _turn = self.turn.lock().await;
        let mut drains = self.drains();
        let before = drains.len();
        let (channel, lag) = what;
        drains.retain(|one| one.lag != lag || lag.is_none() && one.channel != channel);
        if drains.len() == before {
            return Err(NoDrain::NotDrained);
        }
        self.remember(&drains)?;
        *self.drains.lock() = drains;
        info!(event = "channel.undrained", channel = self.called(what), why);
        self.tell(what, false);
        Ok(())
    }

    /// Asks everybody to keep away from a channel or a whole LAG, or to use it again.
    fn tell(&self, what: (ChannelId, Option<LagId>), drained: bool) {
        let (channel, lag) = what;
        let Some(owner) = self.setup.channels.get(channel.index()).map(|one| one.owner) else { return };
        match lag {
            Some(lag) => self.workers.set_lag_fault(owner, lag, Fault::Drained, drained),
            None => self.workers.set_fault(owner, channel, Fault::Drained, drained),
        }
        for interface in attachments_of(&self.setup, what) {
            self.bgp.iter().for_each(|bgp| bgp.drain(interface, drained));
        }
    }

    fn tell_phase(&self, drain: &Drain) {
        let channel = self.called((drain.channel, drain.lag));
        let lag = drain.lag.map(|lag| self.lag_name(lag));
        let members = drain.lag.map(|lag| self.members(lag).join(", "));
        match drain.phase {
            Phase::Moving => {
                info!(
                    event = "channel.drain_moving",
                    channel, lag, members, "traffic is on a drained channel again"
                )
            }
            Phase::Safe => info!(
                event = "channel.drained",
                channel, lag, members, "safe to work on: no traffic is on its way through it"
            ),
            Phase::Stays => warn!(
                event = "channel.drain_stays",
                channel,
                lag,
                members,
                frames_per_second = drain.rate,
                "traffic does not leave: the far end knows no other way, or does not heed"
            ),
        }
    }

    fn members(&self, lag: LagId) -> Vec<&str> {
        let members = self.setup.lags.get(lag.index()).map_or(&[][..], |lag| &lag.members);
        members.iter().map(|member| self.name(member.channel)).collect()
    }

    fn remember(&self, drains: &[Drain]) -> Result<(), NoDrain> {
        let remembered = |one: &Drain| Remembered {
            channel: self.name(one.channel).to_owned(),
            since: one.since,
            until: one.until,
            forced: one.forced,
            lag: one.lag.map(|lag| self.lag_name(lag).to_owned()),
        };
        let all: Vec<_> = drains.iter().map(remembered).collect();
        let disk = |why: io::Error| NoDrain::Disk(format!("{}: {why}", self.folder.join(FILE).display()));
        let text = serde_json::to_vec_pretty(&all).map_err(|why| disk(why.into()))?;
        replace(&self.folder, FILE, &text).map_err(disk)
    }

    fn channel(&self, name: &str) -> Option<ChannelId> {
        self.config.channels.iter().position(|one| one.name == name).map(ChannelId::at)
    }

    fn lag(&self, name: &str) -> Option<LagId> {
        self.config.lags.iter().position(|one| one.name == name).map(LagId::at)
    }

    fn lag_name(&self, lag: LagId) -> &str {
        self.config.lags.get(lag.index()).map_or("?", |one| &one.name)
    }

    /// What people call what is drained.
    fn called(&self, (channel, lag): (ChannelId, Option<LagId>)) -> &str {
        lag.map_or_else(|| self.name(channel), |lag| self.lag_name(lag))
    }

    fn name(&self, channel: ChannelId) -> &str {
        self.config.channels.get(channel.index()).map_or("?", |one| &one.name)
    }
}

/// What an earlier process wrote. What cannot be read is told and forgotten.
fn read(file: &Path) -> Vec<Remembered> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(why) => {
            warn!(event = "channel.drain_forgotten", file = %file.display(), why = %why, "drained channels carry traffic again");
            return Vec::new();
        }
    };
    serde_json::from_slice(&text).unwrap_or_else(|why| {
        warn!(event = "channel.drain_forgotten", file = %file.display(), why = %why, "drained channels carry traffic again");
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_disk_refuses_is_told_once_and_tried_ever_more_rarely() {
        let (mut retry, mut now, mut tries, mut told) = (Retry::default(), Instant::ZERO, 0, 0);
        // Ten minutes of looks.
        for _ in 0..3000 {
            if retry.is_due(now) {
                tries += 1;
                told += u32::from(retry.failed(now));
            }
            now = now.after(LOOK);
        }
        assert_eq!((tries, told), (15, 1));
        retry.worked();
        assert!(retry.is_due(now) && retry.failed(now), "the next trouble is news again");
    }
}
