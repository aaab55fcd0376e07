//! How a gateway starts: everything is opened, then somebody who runs is taken over from, if there is one, then the workers run.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context, Result};
use config::Config;
use crossbeam::channel::{Receiver, Sender, bounded};
use dataplane::{Board, Depot, InterfaceId, PortId, Setup, WorkerId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::{Gateway, Workers, ciphers, giving_way::called, kinds, make_workers, seats::Seats};
use crate::{
    assemble::{self, Device, Plan},
    bgp,
    drain::Desk,
    events::{Chronicle, Log, Rates},
    handover::{Heir, Inheritance, Restarter, SharedDoors},
    key_agreement::KeyAgreements,
    link_monitor,
    pacemaker::{Haste, Pacemaker},
    policer::Bandwidths,
    ports::{self, HandsOff, Locks, Supplies, Taps},
    quality,
    reload::Reloads,
    state::PnStore,
    static_keys::StaticKeys,
    worker::{Mailbox, News, Worker},
};

/// What is there before anything runs.
struct Parts {
    store: PnStore,
    supplies: Supplies,
    devices: BTreeMap<String, Device>,
    plan: Plan,
    hands_off: Vec<HandsOff>,
    setup: Arc<Setup>,
    board: Arc<Board>,
    workers: Vec<Worker>,
    mailboxes: Vec<Mailbox>,
    news: mpsc::UnboundedReceiver<(WorkerId, News)>,
    keys: StaticKeys,
    agreements: KeyAgreements,
    bandwidths: Bandwidths,
    /// The devices of the host's ends of interfaces.
    hosts: BTreeMap<InterfaceId, String>,
    called: BTreeMap<PortId, (String, String)>,
}

impl Parts {
    async fn open(config: &Config, mut heir: Option<&mut Inheritance>) -> Result<Self> {
        // The state folder first: who has no right to it must not touch devices that another gateway may have.
        let folder = &config.runtime.state_dir;
        let mut store = heir.as_mut().map_or_else(|| PnStore::open(folder), |heir| heir.store(folder))?;
        let mut locks = Locks::default();
        locks.take(config, heir.as_deref_mut())?;
        let taps = Taps::prepare(config, heir.as_deref_mut())?;
        // Those of TAPs that are only made now.
        locks.take(config, None)?;
        let devices = ports::devices(config, &taps);
        let mut supplies = Supplies::new(taps, locks);
        let plan = assemble::plan(config, &devices)?;
        let hands_off = config.ports.iter().filter_map(ports::take_over).collect();
        let setup = Arc::new(plan.setup.clone());
        let (board, depot) = (Board::new(setup.interfaces.len()), Depot::new(plan.pool));
        let (sender, news) = mpsc::unbounded_channel();
        let (mut workers, mailboxes) = make_workers(config, &setup, (&board, &depot), &sender)?;
        let mut keys = StaticKeys::default();
        let agreements = if heir.is_some() {
            KeyAgreements::prepare(config)?
        } else {
            keys.install(&plan, &mut workers, &mut store, &BTreeMap::new())?;
            KeyAgreements::start(config, &setup, &mut workers)?
        };
        let bandwidths = Bandwidths::start(config, &mut workers);
        quality::start(config, &setup, &mut workers);
        ports::open_all(config, &setup, plan.pool, &mut workers, (&mut supplies, heir.as_deref_mut()))?;
        let hosts = ports::open_hosts(&plan, &setup, &mut workers, (config, heir)).await?;
        let called = called(config, &plan, &hosts);
        Ok(Self {
            store,
            supplies,
            devices,
            plan,
            hands_off,
            setup,
            board,
            workers,
            mailboxes,
            news,
            keys,
            agreements,
            bandwidths,
            hosts,
            called,
        })
    }

    /// Takes over from a gateway that runs. Gives what is told when that has ended; then `gate` is opened.
    fn take_over(
        &mut self,
        config: &Config,
        heir: Inheritance,
        gate: Sender<()>,
    ) -> Result<oneshot::Receiver<()>> {
        let before: Vec<_> = self.hands_off.iter().map(|one| heir.was_set(one.device())).collect();
        let put = Heir {
            config,
            plan: &self.plan,
            setup: &self.setup,
            workers: &mut self.workers,
            store: &mut self.store,
            static_keys: &mut self.keys,
            caks: self.agreements.keys(config)?,
            ports: &self.called,
        };
        let went = put.take_over(heir)?;
        self.supplies.locks().own();
        // Only now is it ours to put back.
        self.hands_off.iter_mut().zip(before).for_each(|(one, before)| one.inherit(before));
        let (ended, end) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            went.wait();
            // A thread that is gone ends the gateway.
            let _open = gate.send(());
            let _told = ended.send(());
        });
        Ok(end)
    }
}

impl Gateway {
    /// Opens everything that `config`, which was read from `file`, names and starts the workers; or takes over from a gateway that
    /// runs.
    ///
    /// # Errors
    /// When a device is missing or may not be opened, the state folder cannot be used, or the kernel refuses; each
    /// says what to do.
    pub async fn start(config: Config, file: &Path, mut heir: Option<Inheritance>) -> Result<Self> {
        let mut parts = Parts::open(&config, heir.as_mut()).await?;
        let tables = Arc::new(std::mem::take(&mut parts.plan.tables));
        for worker in &mut parts.workers {
            drop(worker.dataplane().set_tables(tables.clone()));
        }
        // While a predecessor has BGP's ports, only its routes are of use.
        let (open, gate): (Sender<()>, Receiver<()>) = bounded(1);
        let (hosts, gate) = (std::mem::take(&mut parts.hosts), heir.is_some().then_some(gate));
        let domains = std::mem::take(&mut parts.plan.domains);
        let bgp = bgp::start(&config, domains, hosts, tables, (parts.mailboxes.clone(), gate))?;
        let (handle, way) = (bgp.as_ref().map(|bgp| bgp.handle().clone()), Workers(parts.mailboxes.clone()));
        let pulses = parts.workers.iter().map(Worker::pulse).collect();
        let pacemaker = Pacemaker::start(&parts.setup, pulses).context("cannot start the pacemaker")?;
        let seats = Seats::prepare(&parts.workers, &config.runtime.pin)?;
        let haste = heir.is_some().then(Haste::begin);
        let predecessor = heir.map(|heir| parts.take_over(&config, heir, open)).transpose()?;
        // From here on a predecessor drains nothing any more.
        let drains = Desk::open(Arc::new(config.clone()), parts.setup.clone(), way, handle);
        let (events, rates) = (Arc::<Log>::default(), Arc::<Rates>::default());
        // Before workers run: what they tell from now on is told to it.
        let chronicle = Chronicle::new(parts.setup.clone(), (events.clone(), rates.clone()), &parts.board);
        let workers = seats.fill(parts.workers, parts.mailboxes);
        drop(haste);
        let reloads = Reloads::new(file, parts.devices, &config, &parts.setup);
        let (restarter, restarts) = Restarter::new();
        Ok(Self {
            setup: parts.setup,
            store: Arc::new(Mutex::new(parts.store)),
            workers,
            reserved: parts.keys.reserved,
            received: Arc::new(parts.keys.received),
            agreements: parts.agreements,
            ciphers: ciphers::Ciphers::default(),
            kinds: kinds::Kinds::default(),
            overdue: Default::default(),
            reloads,
            links: vec![None; config.ports.len()],
            monitor: Arc::<link_monitor::Health>::default(),
            settling: BTreeMap::new(),
            link_talk: BTreeMap::new(),
            paths: BTreeMap::new(),
            pool: parts.plan.pool,
            news: parts.news,
            hands_off: parts.hands_off,
            _pacemaker: pacemaker,
            bgp,
            supplies: parts.supplies,
            drains: Arc::new(drains),
            chronicle,
            bandwidths: parts.bandwidths,
            events,
            rates,
            called: parts.called,
            doors: SharedDoors::default(),
            restarts,
            restarter,
            predecessor,
            config,
        })
    }
}
