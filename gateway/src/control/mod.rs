//! The control loop: one single-threaded tokio runtime that starts the workers, watches links, keeps packet numbers
//! reserved, answers the API, and ends everything in order.
//!
//! Invariant: a worker gets a transmit SA only with packet numbers that are already on disk ([`crate::state`]).

mod ciphers;
mod giving_way;
mod hear;
mod kinds;
mod links;
mod numbers;
mod seats;
mod start;
mod workers;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use config::{Config, model::Io};
use dataplane::{ChannelId, ConnectionId, InterfaceId, PortId, Setup, WorkerId};
use macsec::An;
use net::Instant;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use crate::{
    bgp::{self, Bgp},
    clock,
    drain::Desk,
    events::{Chronicle, Log, Rates},
    handover::{self, Restarter, SharedDoors},
    key_agreement::KeyAgreements,
    link_monitor::{self, Link, Watched},
    pacemaker::Pacemaker,
    policer::Bandwidths,
    ports::{self, HandsOff, Supplies},
    quality,
    received::Notes,
    reload::{Reloader, Reloads, Shared},
    state::{PnStore, SaName},
    talk::Talk,
    worker::{Command, News, STOP_WITHIN},
};

use ciphers::Ciphers;
pub(crate) use workers::RunningWorker;
pub use workers::Workers;
use workers::make_workers;

/// How often beliefs about links are held against the kernel's.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// A link that comes back is used after this long: both ends, their queues and whatever is between them have come up then.
const SETTLE: Duration = Duration::from_millis(100);
/// How often the kernel's hands are looked at.
const HOLD: Duration = Duration::from_secs(1);

/// How a gateway ended.
#[derive(Debug)]
pub enum Ended {
    /// Somebody asked for it.
    Stopped,
    /// A successor has everything.
    HandedOver,
}

/// A running gateway.
pub struct Gateway {
    pub(crate) config: Config,
    pub(crate) setup: Arc<Setup>,
    store: Arc<Mutex<PnStore>>,
    pub(crate) workers: Vec<RunningWorker>,
    /// Transmit SAs whose numbers are extended while they run: by channel and AN, with the suite's last number.
    reserved: BTreeMap<(ChannelId, An), (SaName, u64)>,
    overdue: numbers::Overdue,
    received: Arc<BTreeMap<(ChannelId, macsec::Sci, An), SaName>>,
    pub(crate) agreements: KeyAgreements,
    ciphers: Ciphers,
    kinds: kinds::Kinds,
    pub(crate) reloads: Reloads,
    links: Vec<Option<Link>>,
    monitor: Arc<link_monitor::Health>,
    /// Ports whose link came back, and when they may be used.
    settling: BTreeMap<usize, Instant>,
    link_talk: BTreeMap<usize, Talk<()>>,
    /// What the paths of tunnels carry, as far as they told.
    paths: BTreeMap<PortId, u16>,
    pool: dataplane::PoolSizes,
    news: mpsc::UnboundedReceiver<(WorkerId, News)>,
    hands_off: Vec<HandsOff>,
    _pacemaker: Option<Pacemaker>,
    pub(crate) bgp: Option<Bgp>,
    supplies: Supplies,
    drains: Arc<Desk>,
    chronicle: Chronicle,
    bandwidths: Bandwidths,
    events: Arc<Log>,
    rates: Arc<Rates>,
    /// What its ports are called from process to process, and their devices.
    called: BTreeMap<PortId, (String, String)>,
    doors: SharedDoors,
    restarts: mpsc::UnboundedReceiver<handover::Order>,
    restarter: Restarter,
    /// Told when that has ended.
    predecessor: Option<oneshot::Receiver<()>>,
}

impl Gateway {
    /// The way to the workers.
    pub fn workers(&self) -> Workers {
        Workers(self.workers.iter().map(|worker| worker.mailbox.clone()).collect())
    }

    /// The way to BGP, if any connection speaks it.
    pub fn bgp(&self) -> Option<bgp::Handle> {
        self.bgp.as_ref().map(|bgp| bgp.handle().clone())
    }

    /// Its planned work.
    pub fn drains(&self) -> Arc<Desk> {
        self.drains.clone()
    }

    /// The way to restart it.
    pub fn restarter(&self) -> Restarter {
        self.restarter.clone()
    }

    /// The sockets that people reach it by, for whoever opens them.
    pub fn doors(&self) -> SharedDoors {
        self.doors.clone()
    }

    /// The bandwidths of its connections.
    pub fn bandwidths(&self) -> Bandwidths {
        self.bandwidths.clone()
    }

    /// Its failover record.
    pub fn events(&self) -> Arc<Log> {
        self.events.clone()
    }

    /// The configuration that runs.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// What runs, as reloads change it.
    pub fn current(&self) -> Shared {
        self.reloads.current.clone()
    }

    /// The way to have the configuration file read again.
    pub fn reloader(&self) -> Reloader {
        self.reloads.reloader.clone()
    }

    /// How its link monitor does.
    pub fn links(&self) -> Arc<link_monitor::Health> {
        self.monitor.clone()
    }

    /// Runs until `stop` is done, then ends in order; or until a successor has taken over.
    ///
    /// # Errors
    /// When a worker died.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<Ended> {
        let devices = self.config.ports.iter().map(Watched::of).collect();
        let (sender, mut changes) = mpsc::unbounded_channel();
        let watch = tokio::spawn(link_monitor::watch(devices, sender, self.monitor.clone()));
        let notes =
            Notes { workers: self.workers(), store: self.store.clone(), names: self.received.clone() };
        let noting = tokio::spawn(notes.clone().keep());
        let rating = tokio::spawn(self.rates.clone().keep(self.workers()));
        let draining = tokio::spawn(self.drains.clone().keep());
        let mut look_again = tokio::time::interval(LOOK_AGAIN);
        let mut hold = tokio::time::interval(HOLD);
        let mut stop = std::pin::pin!(stop);
        let (sender, mut prepared) = mpsc::unbounded_channel();
        let mut handed = None;
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some((worker, news)) = self.news.recv() => self.hear(worker, news),
                Some((port, link)) = changes.recv() => self.link_changed(port, link),
                Some(order) = self.reloads.orders.recv() => {
                    // Whoever asked may have given up.
                    let _sent = order.reply.send(self.reload(order.dry_run));
                }
                Some(order) = self.restarts.recv() => self.look_for_successor(order, &sender),
                Some(found) = prepared.recv() => {
                    handed = self.give_way(found).await;
                    if handed.is_some() {
                        break;
                    }
                }
                () = end_of(&mut self.predecessor) => self.reopen_after_predecessor(),
                () = until(self.settling.values().min().copied()) => self.settled(),
                _ = hold.tick() => {
                    self.hold();
                    self.remake_taps();
                    self.tell_quiet_links();
                    self.follow_clock();
                    self.extend_overdue();
                }
                _ = look_again.tick() => {
                    self.look_again();
                    let reports = self.workers().reports().await;
                    self.agreements.look(&self.config, &reports);
                    self.ciphers.look(&self.config, &reports);
                    self.kinds.look(&self.config, &reports);
                }
            }
            if self.bgp.as_ref().is_some_and(Bgp::is_finished) {
                bail!("BGP ended by itself: this is a bug; what it printed says more");
            }
            if self.workers.iter().any(|worker| worker.thread.is_finished()) {
                bail!("a worker ended by itself: this is a bug; what it printed says more");
            }
        }
        watch.abort();
        noting.abort();
        draining.abort();
        rating.abort();
        if let Some(handed) = handed {
            return Ok(self.step_back(handed));
        }
        notes.note().await;
        self.stop();
        Ok(Ended::Stopped)
    }

    fn stop(self) {
        // Its last words travel through the workers.
        if let Some(bgp) = self.bgp {
            bgp.stop(bgp::Goodbye::Ends);
        }
        for worker in &self.workers {
            worker.mailbox.send(Command::Stop);
        }
        let due = clock::now().after(STOP_WITHIN);
        for worker in self.workers {
            while !worker.thread.is_finished() && clock::now() < due {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            if worker.is_stuck() {
                warn!(event = "worker.stuck", "a worker was told to stop and works on; leaving without it");
            }
        }
    }

    fn connection_name(&self, connection: ConnectionId) -> &str {
        self.config.connections.get(connection.index()).map_or("?", |one| &one.name)
    }

    fn with_bgp(&self, act: impl FnOnce(&bgp::Handle)) {
        if let Some(bgp) = &self.bgp {
            act(bgp.handle());
        }
    }

    /// What a worker said of a port and what the link monitor saw may cross: no wrong belief lasts.
    fn look_again(&mut self) {
        self.supplies.locks().hang_up();
        for at in 0..self.config.ports.len() {
            let link = self.config.ports.get(at).map_or(Link::Gone, |port| Watched::of(port).link());
            self.link_changed(at, link);
        }
    }

    /// TAPs that somebody deleted are made again.
    fn remake_taps(&mut self) {
        for at in 0..self.config.ports.len() {
            let gone = matches!(self.links.get(at), Some(Some(Link::Gone)));
            let tap = self.config.ports.get(at).filter(|port| gone && port.io == Io::Tap).cloned();
            let Some(port) = tap else { continue };
            if self.reopen(PortId::at(at), &port)
                && let (link, Some(known)) = (Link::read(&port.device), self.links.get_mut(at))
            {
                *known = link.index().map(|index| Link::NoCarrier { index });
                self.link_changed(at, link);
            }
        }
    }

    /// The device is back, as another one: every worker that had the port gets a new one.
    fn reopen(&mut self, id: PortId, port: &config::model::Port) -> bool {
        // What was set before belonged to the device that is gone: first that is let go, then the new one is taken.
        if port.underlay.is_none() {
            self.hands_off.retain(|one| one.device() != port.device);
        }
        if let Err(why) = self.supplies.lock_again(port) {
            return self.not_reopened(id, port, &why);
        }
        self.hands_off.extend(ports::take_over(port));
        let Some(setup) = self.setup.ports.get(id.index()) else { return false };
        for (at, worker) in self.workers.iter().enumerate() {
            if setup.owner.is_some_and(|owner| owner != WorkerId::at(at)) {
                continue;
            }
            let worker_id = WorkerId::at(at);
            let count = self.setup.workers;
            match ports::open(
                &self.config,
                port,
                setup.caps.offload,
                worker_id,
                count,
                self.pool,
                (&mut self.supplies, None),
            ) {
                Ok((opened, _)) => drop(worker.mailbox.send(Command::ReplacePort(id, opened))),
                Err(why) => return self.not_reopened(id, port, &why),
            }
        }
        // A TAP was not there before.
        if let Err(why) = self.supplies.lock_again(port) {
            return self.not_reopened(id, port, &why);
        }
        info!(event = "port.reopened", port = port.name, device = port.device);
        true
    }

    /// It is looked at again, as one that is gone.
    fn not_reopened(&mut self, id: PortId, port: &config::model::Port, why: &anyhow::Error) -> bool {
        error!(event = "port.reopen_failed", port = port.name, why = format!("{why:#}"));
        if let Some(known) = self.links.get_mut(id.index()) {
            *known = Some(Link::Gone);
        }
        false
    }

    /// The kernel's own stack stays off our devices, whatever others set.
    fn hold(&self) {
        for one in &self.hands_off {
            for key in one.hold() {
                warn!(event = "port.sysctl", device = one.device(), key, "somebody changed it; taken back");
            }
        }
    }

    /// Somebody set the time of day: keys start and end by it.
    fn follow_clock(&mut self) {
        let Some((by, way)) = self.agreements.clock_stepped() else { return };
        info!(event = "clock.stepped", seconds = by.as_secs_f64(), way);
        let wall = quality::wall(clock::now());
        for worker in &self.workers {
            worker.mailbox.send(Command::Wall(wall));
        }
        // They were good at the start.
        for (channel, keys) in self.agreements.keys(&self.config).unwrap_or_default() {
            if let Some(worker) = self.owner(channel) {
                worker.mailbox.send(Command::MkaKeys(channel, keys));
            }
        }
    }

    pub(crate) fn owner(&self, channel: ChannelId) -> Option<&RunningWorker> {
        self.workers.get(self.setup.channels.get(channel.index())?.owner.index())
    }

    fn channel_name(&self, channel: ChannelId) -> &str {
        self.config.channels.get(channel.index()).map_or("?", |channel| &channel.name)
    }

    /// `connection/channel` or `connection/port`: how people call an interface.
    fn attachment(&self, id: InterfaceId) -> String {
        crate::names::interface(&self.config, id)
    }
}

/// Done, once, when the predecessor has ended; never without one.
async fn end_of(predecessor: &mut Option<oneshot::Receiver<()>>) {
    match predecessor {
        Some(end) => drop(end.await),
        None => std::future::pending().await,
    }
    *predecessor = None;
}

/// Done when `due` has come; never without one.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep(due.since(clock::now())).await,
        None => std::future::pending().await,
    }
}
