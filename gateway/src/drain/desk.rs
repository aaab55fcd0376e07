//! Where orders come in: workers and BGP are asked, time is kept, the disk remembers.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use config::Config;
use dataplane::{ChannelId, Fault, Setup};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tracing::{info, warn};

use super::{Drain, NoDrain, Order, Phase, allow, attachments, through};
use crate::{api::wall, bgp, clock, control::Workers, state::replace};

const FILE: &str = "drains.json";
/// How often traffic on drained channels is looked at while it moves.
const LOOK: Duration = Duration::from_millis(200);

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
            info!(event = "channel.drain", channel = one.channel, restored = true);
            this.drains.lock().push(Drain::new(channel, one.since, (one.until, one.forced), clock::now()));
            this.tell(channel, true);
        }
        this
    }

    /// The drains of this moment.
    pub fn drains(&self) -> Vec<Drain> {
        self.drains.lock().clone()
    }

    /// Drains a channel. Of one that is drained, the time that it lasts is changed.
    ///
    /// # Errors
    /// [`NoDrain`].
    pub async fn drain(&self, name: &str, order: Order) -> Result<Drain, NoDrain> {
        let is_lag = self.config.lags.iter().any(|lag| lag.name == name);
        let unknown = if is_lag { NoDrain::Lag } else { NoDrain::UnknownChannel };
        let channel = self.channel(name).ok_or(unknown)?;
        let _turn = self.turn.lock().await;
        let mut drains = self.drains();
        let now = wall();
        let until = order.lasts.map(|lasts| now.saturating_add(lasts).unwrap_or(Timestamp::MAX));
        let known = drains.iter().position(|one| one.channel == channel);
        let drain = match known.and_then(|at| drains.get_mut(at)) {
            Some(drain) => {
                drain.until = until;
                drain.clone()
            }
            None => {
                let reports = self.workers.reports().await;
                if !order.force {
                    if reports.len() < usize::from(self.setup.workers) {
                        return Err(NoDrain::Silent);
                    }
                    allow(&self.config, &self.setup, &reports, &drains, channel)?;
                }
                let drain = Drain::new(channel, now, (until, order.force), clock::now());
                drains.push(drain.clone());
                drain
            }
        };
        self.remember(&drains)?;
        *self.drains.lock() = drains;
        if known.is_none() {
            info!(event = "channel.drain", channel = name, forced = order.force, until = ?until.map(|at| at.to_string()));
            self.tell(channel, true);
        }
        self.news.notify_one();
        Ok(drain)
    }

    /// Lets traffic use a channel again.
    ///
    /// # Errors
    /// [`NoDrain`].
    pub async fn undrain(&self, name: &str) -> Result<(), NoDrain> {
        let channel = self.channel(name).ok_or(NoDrain::UnknownChannel)?;
        self.end(channel, "asked").await
    }

    /// Watches traffic leave and time pass, for as long as it is polled.
    pub async fn keep(self: Arc<Self>) {
        loop {
            if self.drains.lock().is_empty() {
                self.news.notified().await;
            }
            tokio::time::sleep(LOOK).await;
            let reports = self.workers.reports().await;
            let now = clock::now();
            for drain in self.drains.lock().iter_mut() {
                let Some(frames) = through(&self.setup, &reports, drain.channel) else { continue };
                if drain.look(frames, now) {
                    self.tell_phase(drain);
                }
            }
            let wall = wall();
            let due: Vec<_> = self
                .drains()
                .iter()
                .filter(|one| one.until.is_some_and(|at| at <= wall))
                .map(|one| one.channel)
                .collect();
            for channel in due {
                if let Err(why) = self.end(channel, "time").await {
                    warn!(event = "channel.drain_failed", channel = self.name(channel), why = ?why);
                }
            }
        }
    }

    async fn end(&self, channel: ChannelId, why: &str) -> Result<(), NoDrain> {
        let _turn = self.turn.lock().await;
        let mut drains = self.drains();
        let before = drains.len();
        drains.retain(|one| one.channel != channel);
        if drains.len() == before {
            return Err(NoDrain::NotDrained);
        }
        self.remember(&drains)?;
        *self.drains.lock() = drains;
        info!(event = "channel.undrained", channel = self.name(channel), why);
        self.tell(channel, false);
        Ok(())
    }

    /// Asks everybody to keep away from a channel, or to use it again.
    fn tell(&self, channel: ChannelId, drained: bool) {
        let Some(owner) = self.setup.channels.get(channel.index()).map(|one| one.owner) else { return };
        self.workers.set_fault(owner, channel, Fault::Drained, drained);
        for interface in attachments(&self.setup, channel) {
            self.bgp.iter().for_each(|bgp| bgp.drain(interface, drained));
        }
    }

    fn tell_phase(&self, drain: &Drain) {
        let channel = self.name(drain.channel);
        match drain.phase {
            Phase::Moving => {
                info!(event = "channel.drain_moving", channel, "traffic is on a drained channel again")
            }
            Phase::Safe => info!(
                event = "channel.drained",
                channel, "safe to work on: no traffic is on its way through it"
            ),
            Phase::Stays => warn!(
                event = "channel.drain_stays",
                channel,
                frames_per_second = drain.rate,
                "traffic does not leave: the far end knows no other way, or does not heed"
            ),
        }
    }

    fn remember(&self, drains: &[Drain]) -> Result<(), NoDrain> {
        let remembered = |one: &Drain| Remembered {
            channel: self.name(one.channel).to_owned(),
            since: one.since,
            until: one.until,
            forced: one.forced,
        };
        let all: Vec<_> = drains.iter().map(remembered).collect();
        let disk = |why: io::Error| NoDrain::Disk(format!("{}: {why}", self.folder.join(FILE).display()));
        let text = serde_json::to_vec_pretty(&all).map_err(|why| disk(why.into()))?;
        replace(&self.folder, FILE, &text).map_err(disk)
    }

    fn channel(&self, name: &str) -> Option<ChannelId> {
        self.config.channels.iter().position(|one| one.name == name).map(ChannelId::at)
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
