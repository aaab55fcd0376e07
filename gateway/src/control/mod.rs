//! The control loop: one single-threaded tokio runtime that starts the workers, watches links, keeps packet numbers
//! reserved, answers the API, and ends everything in order.
//!
//! Invariant: a worker gets a transmit SA only with packet numbers that are already on disk ([`crate::state`]).

mod hear;

use std::{collections::BTreeMap, net::IpAddr, path::Path, sync::Arc, thread::JoinHandle, time::Duration};

use anyhow::{Context, Result, bail};
use config::{Config, model::Io};
use crossbeam::channel::Sender;
use dataplane::{
    Board, ChannelId, ConnectionId, Dataplane, Depot, Fault, InterfaceId, Pool, PortId, Setup, WorkerId,
    bfd::BfdParams,
};
use macsec::{
    An,
    mka::{RekeyAnswer, SuspendAnswer},
};
use net::Instant;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::{
    assemble,
    bgp::{self, Bgp},
    clock,
    drain::Desk,
    events::{Chronicle, Log, Rates},
    key_agreement::KeyAgreements,
    link_monitor::{self, Link, Watched},
    pacemaker::Pacemaker,
    policer::Bandwidths,
    ports::{self, HandsOff, Taps},
    quality,
    received::Notes,
    reload::{Reloader, Reloads, Shared},
    rings,
    state::{LOW, PnStore, SaName},
    static_keys::StaticKeys,
    worker::{Command, Mailbox, News, Report, STOP_WITHIN, Worker},
};

/// How often beliefs about links are held against the kernel's.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// A link that comes back is used after this long: both ends, their queues and whatever is between them have come up then.
const SETTLE: Duration = Duration::from_millis(100);
/// How often the kernel's hands are looked at.
const HOLD: Duration = Duration::from_secs(1);
/// How long the API waits for a worker's report.
const REPORT_WITHIN: Duration = Duration::from_secs(2);

/// A running gateway.
pub struct Gateway {
    pub(crate) config: Config,
    pub(crate) setup: Arc<Setup>,
    store: Arc<Mutex<PnStore>>,
    pub(crate) workers: Vec<RunningWorker>,
    /// Transmit SAs whose numbers are extended while they run: by channel and AN, with the suite's last number.
    reserved: BTreeMap<(ChannelId, An), (SaName, u64)>,
    received: Arc<BTreeMap<(ChannelId, macsec::Sci, An), SaName>>,
    pub(crate) agreements: KeyAgreements,
    pub(crate) reloads: Reloads,
    links: Vec<Option<Link>>,
    monitor: Arc<link_monitor::Health>,
    /// Ports whose link came back, and when they may be used.
    settling: BTreeMap<usize, Instant>,
    /// What the paths of tunnels carry, as far as they told.
    paths: BTreeMap<PortId, u16>,
    pool: dataplane::PoolSizes,
    news: mpsc::UnboundedReceiver<(WorkerId, News)>,
    hands_off: Vec<HandsOff>,
    _pacemaker: Option<Pacemaker>,
    pub(crate) bgp: Option<Bgp>,
    taps: Taps,
    drains: Arc<Desk>,
    chronicle: Chronicle,
    bandwidths: Bandwidths,
    events: Arc<Log>,
    rates: Arc<Rates>,
}

pub(crate) struct RunningWorker {
    pub(crate) mailbox: Mailbox,
    thread: JoinHandle<()>,
}

/// The way to the workers, for the API.
#[derive(Clone)]
pub struct Workers(Vec<Mailbox>);

impl Workers {
    /// A report from each worker that answers in time.
    pub async fn reports(&self) -> Vec<Report> {
        self.ask(Command::Report).await
    }

    /// What the receive SAs of all channels have reached, see [`Dataplane::received`].
    pub async fn received(&self) -> Vec<(ChannelId, macsec::Sci, An, u64)> {
        self.ask(Command::Received).await.concat()
    }

    /// What was forwarded by each attachment, see [`Dataplane::transit`].
    pub async fn transit(&self) -> Vec<(InterfaceId, u64)> {
        self.ask(Command::Transit).await.concat()
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl Fn(Sender<T>) -> Command + Send + 'static,
    ) -> Vec<T> {
        let mailboxes = self.0.clone();
        let ask = move || {
            let waiting: Vec<_> = mailboxes
                .iter()
                .map(|mailbox| {
                    let (reply, answer) = crossbeam::channel::bounded(1);
                    mailbox.send(question(reply));
                    answer
                })
                .collect();
            waiting.into_iter().filter_map(|answer| answer.recv_timeout(REPORT_WITHIN).ok()).collect()
        };
        tokio::task::spawn_blocking(ask).await.unwrap_or_default()
    }

    /// Begins, or ends, a drill on a channel of the worker `owner`.
    pub fn rehearse(&self, owner: WorkerId, channel: ChannelId, active: bool) {
        if let Some(mailbox) = self.0.get(owner.index()) {
            mailbox.send(Command::Rehearse(channel, active));
        }
    }

    /// Switches a BFD session off or on, on whatever worker it runs.
    pub fn switch_bfd(&self, session: (InterfaceId, IpAddr), down: bool) {
        self.tell(|| Command::SwitchBfd(session, down));
    }

    /// Runs a BFD session as it is configured now, on whatever worker it is.
    pub fn set_bfd(&self, interface: InterfaceId, params: BfdParams) {
        self.tell(|| Command::SetBfd(interface, params));
    }

    fn tell(&self, command: impl Fn() -> Command) {
        for mailbox in &self.0 {
            // A worker that is gone ends the gateway.
            let _sent = mailbox.send(command());
        }
    }

    /// Says that something speaks, or no longer speaks, against a channel of the worker `owner`.
    pub fn set_fault(&self, owner: WorkerId, channel: ChannelId, fault: Fault, present: bool) {
        if let Some(mailbox) = self.0.get(owner.index()) {
            mailbox.send(Command::ChannelFault(channel, fault, present));
        }
    }

    /// Asks the worker `owner` for a fresh SAK on a channel. `None`: the channel has no key agreement, or the worker does
    /// not answer.
    pub async fn rekey(&self, owner: WorkerId, channel: ChannelId) -> Option<RekeyAnswer> {
        self.ask_one(owner, move |reply| Command::Rekey(channel, reply)).await.flatten()
    }

    /// Asks the worker `owner` to suspend MKA on a channel. `None` as for [`rekey`](Self::rekey).
    pub async fn suspend(
        &self,
        owner: WorkerId,
        channel: ChannelId,
        time: Duration,
    ) -> Option<SuspendAnswer> {
        self.ask_one(owner, move |reply| Command::Suspend(channel, time, reply)).await.flatten()
    }

    async fn ask_one<T: Send + 'static>(
        &self,
        worker: WorkerId,
        question: impl Fn(Sender<T>) -> Command + Send + 'static,
    ) -> Option<T> {
        Self(vec![self.0.get(worker.index())?.clone()]).ask(question).await.pop()
    }
}

impl Gateway {
    /// Opens everything that `config`, which was read from `file`, names and starts the workers.
    ///
    /// # Errors
    /// When a device is missing or may not be opened, the state folder cannot be used, or the kernel refuses; each
    /// says what to do.
    pub async fn start(config: Config, file: &Path) -> Result<Self> {
        // The state folder first: who has no right to it must not touch devices that another gateway may have.
        let mut store = PnStore::open(&config.runtime.state_dir)?;
        let mut taps = Taps::prepare(&config)?;
        let devices = ports::devices(&config, &taps);
        let plan = assemble::plan(&config, &devices)?;
        let hands_off = config.ports.iter().filter_map(ports::take_over).collect::<Vec<_>>();
        let setup = Arc::new(plan.setup.clone());
        let board = Board::new(setup.interfaces.len());
        let depot = Depot::new(plan.pool);
        let (sender, news) = mpsc::unbounded_channel();
        let (mut workers, mailboxes) = make_workers(&config, &setup, (&board, &depot), &sender)?;
        let mut keys = StaticKeys::default();
        keys.install(&plan, &mut workers, &mut store)?;
        let agreements = KeyAgreements::start(&config, &setup, &mut workers)?;
        let bandwidths = Bandwidths::start(&config, &mut workers);
        quality::start(&config, &setup, &mut workers);
        ports::open_all(&config, &setup, plan.pool, &mut workers, &mut taps)?;
        let hosts = ports::open_hosts(&plan, &setup, &mut workers).await?;
        let tables = Arc::new(plan.tables);
        for worker in &mut workers {
            drop(worker.dataplane().set_tables(tables.clone()));
        }
        let pulses = workers.iter().map(Worker::pulse).collect();
        let pacemaker = Pacemaker::start(&setup, pulses).context("cannot start the pacemaker")?;
        let workers = spawn(workers, mailboxes, &config.runtime.pin)?;
        let mailboxes: Vec<_> = workers.iter().map(|worker| worker.mailbox.clone()).collect();
        let bgp = bgp::start(&config, plan.domains, hosts, tables, mailboxes.clone())?;
        let handle = bgp.as_ref().map(|bgp| bgp.handle().clone());
        let drains = Desk::open(Arc::new(config.clone()), setup.clone(), Workers(mailboxes), handle);
        let (events, rates) = (Arc::<Log>::default(), Arc::<Rates>::default());
        let chronicle = Chronicle::new(setup.clone(), events.clone(), rates.clone());
        let links = vec![None; config.ports.len()];
        let (reserved, received) = (keys.reserved, Arc::new(keys.received));
        let reloads = Reloads::new(file, devices, &config, &setup);
        Ok(Self {
            config,
            setup,
            store: Arc::new(Mutex::new(store)),
            workers,
            reserved,
            received,
            agreements,
            reloads,
            links,
            monitor: Arc::default(),
            settling: BTreeMap::new(),
            paths: BTreeMap::new(),
            pool: plan.pool,
            news,
            hands_off,
            _pacemaker: pacemaker,
            bgp,
            taps,
            drains: Arc::new(drains),
            chronicle,
            bandwidths,
            events,
            rates,
        })
    }

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

    /// Runs until `stop` is done, then ends in order.
    ///
    /// # Errors
    /// When a worker died.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<()> {
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
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some((worker, news)) = self.news.recv() => self.hear(worker, news),
                Some((port, link)) = changes.recv() => self.link_changed(port, link),
                Some(order) = self.reloads.orders.recv() => {
                    // Whoever asked may have given up.
                    let _sent = order.reply.send(self.reload(order.dry_run));
                }
                () = until(self.settling.values().min().copied()) => self.settled(),
                _ = hold.tick() => {
                    self.hold();
                    self.remake_taps();
                    self.follow_clock();
                }
                _ = look_again.tick() => {
                    self.look_again();
                    let reports = self.workers().reports().await;
                    self.agreements.look(&self.config, &reports);
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
        notes.note().await;
        self.stop();
        Ok(())
    }

    fn stop(self) {
        // Its last words travel through the workers.
        if let Some(bgp) = self.bgp {
            bgp.stop();
        }
        for worker in &self.workers {
            worker.mailbox.send(Command::Stop);
        }
        let due = clock::now().after(STOP_WITHIN);
        for worker in self.workers {
            while !worker.thread.is_finished() && clock::now() < due {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            if !worker.thread.is_finished() {
                warn!(event = "worker.stuck", "a worker does not end; leaving without it");
            }
        }
    }

    fn connection_name(&self, connection: ConnectionId) -> &str {
        self.config.connections.get(connection.index()).map_or("?", |one| &one.name)
    }

    fn extend(&mut self, channel: ChannelId, an: An) {
        let Some((name, max)) = self.reserved.get(&(channel, an)) else { return };
        match self.store.lock().extend_transmit(name, *max) {
            Ok(limit) => {
                if let Some(worker) = self.owner(channel) {
                    worker.mailbox.send(Command::PnLimit { channel, an, limit, low: LOW });
                }
            }
            Err(why) => error!(
                event = "macsec.reservation_failed",
                channel = self.channel_name(channel),
                why = format!("{why:#}"),
                "the channel stops sending when its reserved packet numbers are used up: make room in the state folder and restart"
            ),
        }
    }

    fn link_changed(&mut self, at: usize, link: Link) {
        let before = self.links.get_mut(at).and_then(|known| known.replace(link));
        if before == Some(link) {
            return;
        }
        let (port, id) = (self.config.ports.get(at).cloned(), PortId::at(at));
        let Some(port) = port else { return };
        let another = before.is_some_and(|before| before.index() != link.index()) && link.index().is_some();
        if another && !self.reopen(id, &port) {
            return;
        }
        let fault = match link {
            Link::Up { .. } => None,
            Link::NoCarrier { .. } => Some(Fault::NoCarrier),
            Link::NoRoute { .. } => Some(Fault::NoRoute),
            Link::Gone => Some(Fault::PortDown),
        };
        info!(
            event = "port.link",
            port = port.name,
            device = port.device,
            state = fault.map_or("up", Fault::label)
        );
        self.settling.remove(&at);
        self.chronicle.link(id, &port.name, fault, clock::now());
        match fault {
            None if before.is_some() => drop(self.settling.insert(at, clock::now().after(SETTLE))),
            fault => self.tell_fault(id, fault),
        }
    }

    /// Lets ports be used whose links have been up for long enough.
    fn settled(&mut self) {
        let now = clock::now();
        let due: Vec<usize> =
            self.settling.iter().filter(|(_, due)| **due <= now).map(|(at, _)| *at).collect();
        for at in due {
            self.settling.remove(&at);
            self.tell_fault(PortId::at(at), None);
        }
    }

    fn tell_fault(&self, port: PortId, fault: Option<Fault>) {
        for worker in &self.workers {
            worker.mailbox.send(Command::PortFault(port, fault));
        }
        self.with_bgp(|bgp| bgp.port(&self.setup, port, fault));
    }

    fn with_bgp(&self, act: impl FnOnce(&bgp::Handle)) {
        if let Some(bgp) = &self.bgp {
            act(bgp.handle());
        }
    }

    /// What a worker said of a port and what the link monitor saw may cross: no wrong belief lasts.
    fn look_again(&mut self) {
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
                &mut self.taps,
            ) {
                Ok(opened) => drop(worker.mailbox.send(Command::ReplacePort(id, opened))),
                Err(why) => {
                    error!(event = "port.reopen_failed", port = port.name, why = format!("{why:#}"));
                    if let Some(known) = self.links.get_mut(id.index()) {
                        *known = Some(Link::Gone);
                    }
                    return false;
                }
            }
        }
        info!(event = "port.reopened", port = port.name, device = port.device);
        true
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

/// Done when `due` has come; never without one.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep(due.since(clock::now())).await,
        None => std::future::pending().await,
    }
}

/// The workers, with their mailboxes, as `config` wants them; they do not run yet.
fn make_workers(
    config: &Config,
    setup: &Arc<Setup>,
    (board, depot): (&Arc<Board>, &Arc<Depot>),
    sender: &mpsc::UnboundedSender<(WorkerId, News)>,
) -> Result<(Vec<Worker>, Vec<Mailbox>)> {
    let (mut workers, mut mailboxes) = (Vec::new(), Vec::new());
    for at in 0..setup.workers.max(1) {
        let id = WorkerId(at);
        let seed = u64::from(std::process::id()) << 16 | u64::from(at);
        let dataplane = Dataplane::new(id, setup.clone(), board.clone(), Pool::new(depot.clone()), seed)?;
        let sender = sender.clone();
        // A control loop that is gone needs no news.
        let tell = Box::new(move |news| drop(sender.send((id, news))));
        let (mut worker, mailbox) = Worker::new(dataplane, tell).context("cannot make a worker")?;
        worker.set_poll(config.runtime.poll);
        workers.push(worker);
        mailboxes.push(mailbox);
    }
    Ok((workers, mailboxes))
}

fn spawn(workers: Vec<Worker>, mailboxes: Vec<Mailbox>, pin: &[u16]) -> Result<Vec<RunningWorker>> {
    let wakers: Vec<_> = workers.iter().map(Worker::waker).collect();
    let mut running = Vec::new();
    let each = workers.into_iter().zip(rings::rings(&wakers)).zip(mailboxes).enumerate();
    for (at, ((mut worker, rings), mailbox)) in each {
        worker.set_rings(rings);
        let cpu = pin.get(at).map(|&cpu| usize::from(cpu));
        let work = move || {
            if let Some(cpu) = cpu
                && let Err(why) = sys::process::pin_thread(cpu)
            {
                warn!(event = "worker.not_pinned", cpu, why = %why);
            }
            worker.run();
        };
        let thread = std::thread::Builder::new()
            .name(format!("worker-{at}"))
            .spawn(work)
            .context("cannot start a worker")?;
        running.push(RunningWorker { mailbox, thread });
    }
    Ok(running)
}
