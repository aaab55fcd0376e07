//! BGP on real sockets: one thread with all speakers, their TCP connections, and the tables that come of it.
//!
//! A speaker (crate `bgp`) is octets and time; here are the sockets, the clock and the consequences. Each connection of
//! the configuration that speaks BGP has one speaker, and all of them live on one thread of their own, so that a
//! million routes hold up neither the API nor a worker.
//!
//! | file | what it does |
//! | --- | --- |
//! | `thread` | the loop: octets first, then timers, then what is to be written, then tables |
//! | `speaking` | one connection's speaker and its neighbours, as links, paths and people see them |
//! | `wires` | listeners and connections, over the TAP devices of the interfaces that neighbours are on |
//! | `own` | our own prefixes, and the LANs that they lead to |
//! | `routes` | what was learnt, beside what the configuration says, to forwarding tables |
//! | `refusals` | what the kernel's counters say of segments that it refuses: passwords that do not match, a TTL that is too low |
//! | `why` | why there is no session with a neighbour, in words |
//! | `tell` | events of the speakers to lines of the log |
//! | `report` | what the API asks |
//! | `reload` | another configuration for what runs |
//! | `memory` | what one life leaves to the next: graceful restart |
//! | `start` | how it begins, and what links mean to it |
//!
//! # Invariants
//! 1. Octets that have arrived are fed before a timer is judged: a KEEPALIVE that waits in the socket keeps its session,
//!    however late this thread is.
//! 2. Tables are built here and only handed to workers; their generations rise.
//! 3. A first change is in the workers' hands at once; while changes keep coming, building takes at most a third of
//!    the time, so that the sessions behind them stay alive.
//! 4. A listener takes connections from configured neighbours over their own device only.
//! 5. No password is logged or shown.

mod memory;
mod own;
mod refusals;
mod reload;
pub mod report;
mod routes;
mod speaking;
mod start;
mod tell;
mod thread;
mod why;
mod wires;

use std::{
    collections::BTreeMap, io, net::IpAddr, path::PathBuf, sync::Arc, thread::JoinHandle, time::Duration,
};

use config::Secret;
use crossbeam::channel::{Receiver, Sender};
use dataplane::{ConnectionTables, InterfaceId, Tables};
use sys::{Poller, Waker};

pub use memory::{Keeper, Past};
pub use start::start;

use crate::{assemble::Domain, clock};
use report::{Answer, Asked, Question, Reset};
use thread::Loop;

/// How long the API waits for an answer.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long the last words to the neighbours may take.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// The token by which the poller calls the waker.
const WAKE: u64 = u64::MAX - 1;

/// What others ask of the thread.
#[derive(Debug)]
pub(crate) enum Command {
    /// The link of an interface may be used, or not, and then why not.
    Link(InterfaceId, Result<(), &'static str>),
    /// BFD found a neighbour, or lost it.
    Path(PathNews),
    /// Move traffic away from the neighbours of an interface, or back.
    Drain(InterfaceId, bool),
    /// Somebody wants to know, or to have done, something.
    Ask(Asked),
    /// Sign with this password from now on, live connections included.
    Password { connection: usize, neighbor: usize, password: Option<Secret> },
    /// Run as these say from now on, with the names of their neighbours and the tables of all other connections.
    Reload(Vec<Domain>, Vec<Vec<String>>, Vec<(usize, Arc<ConnectionTables>)>),
    /// Say goodbye and end.
    Stop(Goodbye),
}

/// Why all sessions of this process end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Goodbye {
    /// The gateway ends.
    Ends,
    /// Another process goes on.
    HandsOver,
}

/// What BFD says of the path to a neighbour.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PathNews {
    /// Where the neighbour is.
    pub interface: InterfaceId,
    /// The neighbour.
    pub peer: IpAddr,
    /// Whether packets arrive.
    pub up: bool,
    /// The neighbour's BFD does not depend on its control plane (C bit): when it goes down, forwarding is dead, not
    /// merely a process that restarts (RFC 5882 §4.3.2).
    pub control_plane_independent: bool,
}

/// The thread with all speakers.
#[derive(Debug)]
pub struct Bgp {
    handle: Handle,
    thread: JoinHandle<Vec<Reset>>,
}

/// The way to the thread.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: Sender<Command>,
    waker: Waker,
}

/// What the thread works with.
pub struct Start {
    /// The connections that speak BGP.
    pub domains: Vec<Domain>,
    /// Names of domains and neighbours for people, as the log says them: by place in `domains`, by neighbour.
    pub names: Vec<Vec<String>>,
    /// Names of interfaces, by their ids.
    pub interfaces: Vec<String>,
    /// By place in `domains`: what the earlier life of this gateway left, if neighbours may have kept our routes.
    pub past: Vec<Option<Past>>,
    /// Writes down what the next life needs, when neighbours would keep our routes.
    pub keeper: Option<Keeper>,
    /// The state folder.
    pub folder: PathBuf,
    /// The TAP device of each interface that a neighbour is on.
    pub devices: BTreeMap<InterfaceId, String>,
    /// The tables that the workers have.
    pub tables: Arc<Tables>,
    /// Hands new tables to all workers; must not wait.
    pub publish: Box<dyn Fn(Arc<Tables>) + Send>,
    /// Until something comes out of it a predecessor has BGP's ports, and nobody is spoken to. When it closes instead, the
    /// predecessor goes on, and the thread ends without having touched anything.
    pub gate: Option<Receiver<()>>,
    /// Decides all jitter.
    pub seed: u64,
}

impl Bgp {
    /// Starts the thread, with sockets of the calling thread's network namespace. Neighbours on attachments wait until
    /// [`Handle::link`] says that they can be reached; those on LANs likewise. What the earlier life forwarded by has been
    /// published when this returns: workers that start now forward by it from their first frame on.
    ///
    /// # Errors
    /// When the kernel gives no more threads or descriptors.
    pub fn start(start: Start) -> io::Result<Self> {
        let poller = Poller::new()?;
        let waker = Waker::new(&poller, WAKE)?;
        let (sender, commands) = crossbeam::channel::unbounded();
        let handle = Handle { commands: sender, waker: waker.clone() };
        let mut work = Loop::new(start, poller, waker, commands, clock::now());
        work.renew_tables();
        let thread = std::thread::Builder::new().name("bgp".to_owned()).spawn(move || work.run())?;
        Ok(Self { handle, thread })
    }

    /// The way to the thread.
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// True when the thread ended by itself, which is a bug.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends all sessions, with a word to those who do not keep our routes, and waits for the thread, for a while. Gives the
    /// sessions that were up and whose routes go by that.
    pub fn stop(self, why: Goodbye) -> Vec<Reset> {
        self.handle.send(Command::Stop(why));
        let due = clock::now().after(STOP_WITHIN);
        while !self.thread.is_finished() && clock::now() < due {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        // One that panicked, or is stuck, knows of none.
        if self.thread.is_finished() { self.thread.join().unwrap_or_default() } else { vec![] }
    }
}

impl Handle {
    /// The link of an interface may be used (`Ok`), or not, for this reason.
    pub fn link(&self, interface: InterfaceId, link: Result<(), &'static str>) {
        self.send(Command::Link(interface, link));
    }

    /// Moves traffic away from the neighbours of an interface before planned work, or back (RFC 8326).
    pub fn drain(&self, interface: InterfaceId, draining: bool) {
        self.send(Command::Drain(interface, draining));
    }

    /// What BFD says of the path to a neighbour.
    pub fn bfd(&self, news: PathNews) {
        self.send(Command::Path(news));
    }

    /// Signs with another password from now on; sessions that are up stay, if the neighbour does the same in time.
    pub fn set_password(&self, connection: usize, neighbor: usize, password: Option<Secret>) {
        self.send(Command::Password { connection, neighbor, password });
    }

    /// Runs as `domains` say from now on, whose neighbours have these names; `others` are the tables of connections that do
    /// not speak BGP. Which connections speak it does not change.
    pub fn reload(
        &self,
        domains: Vec<Domain>,
        names: Vec<Vec<String>>,
        others: Vec<(usize, Arc<ConnectionTables>)>,
    ) {
        self.send(Command::Reload(domains, names, others));
    }

    /// Asks, and has the answer begun within this time. Without one, nothing was done, and nothing will be.
    pub async fn ask(&self, question: Question, within: Duration) -> Option<Answer> {
        let (asked, awaited) = Asked::new(question);
        self.send(Command::Ask(asked));
        tokio::task::spawn_blocking(move || awaited.wait(within)).await.ok().flatten()
    }

    fn send(&self, command: Command) {
        // A thread that is gone does nothing any more; `is_finished` tells.
        let _sent = self.commands.send(command);
        self.waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use dataplane::Hop;
    use parking_lot::Mutex;

    use super::*;
    use crate::{
        api::testbed::{config_with_bgp, devices},
        assemble, names,
    };

    /// Nobody to speak to, behind a gate.
    fn nothing(folder: &std::path::Path, gate: Receiver<()>) -> Start {
        Start {
            domains: vec![],
            names: vec![],
            interfaces: vec![],
            past: vec![],
            keeper: None,
            folder: folder.to_owned(),
            devices: BTreeMap::new(),
            tables: Arc::default(),
            publish: Box::new(drop),
            gate: Some(gate),
            seed: 1,
        }
    }

    /// BGP that starts behind a gate, without a neighbour that keeps our routes, in a folder where a predecessor has its memory.
    fn behind_a_gate(folder: &std::path::Path) -> (Bgp, Sender<()>) {
        std::fs::write(folder.join("bgp-routes.json"), "{}").unwrap();
        let (open, gate) = crossbeam::channel::bounded(1);
        (Bgp::start(nothing(folder, gate)).unwrap(), open)
    }

    fn until(is: impl Fn() -> bool) {
        let due = clock::now().after(Duration::from_secs(60));
        while !is() {
            assert!(clock::now() < due, "it does not come about");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    // A worker forwards what it has routes for, and its first frames have waited in its ports.
    #[test]
    fn workers_that_start_have_the_routes_of_the_earlier_life() {
        let config = config_with_bgp();
        let plan = assemble::plan(&config, &devices(&config)).unwrap();
        let (domain, prefix) = (plan.domains[0].clone(), "198.51.100.0/24".parse().unwrap());
        let (interface, peers) = (domain.peers[0].interface, domain.peers.len());
        let (connection, configured) = (domain.connection, plan.tables.connections.clone());
        let hop = Hop { interface, gateway: domain.peers[0].config.address, weight: 1, carries: true };
        let past = Past { awaited: vec![true; peers], routes: vec![(prefix, vec![hop])] };
        let published = Arc::<Mutex<Vec<Arc<Tables>>>>::default();
        let (open, gate) = crossbeam::channel::bounded(1);
        let start = Start {
            names: vec![names::neighbors(&config, domain.connection)],
            domains: vec![domain],
            interfaces: names::interfaces(&config),
            past: vec![Some(past)],
            tables: Arc::new(plan.tables),
            publish: Box::new({
                let published = published.clone();
                move |tables| published.lock().push(tables)
            }),
            ..nothing(&std::env::temp_dir(), gate)
        };
        let bgp = Bgp::start(start).unwrap();
        let tables = std::mem::take(&mut *published.lock());
        assert_eq!(tables.len(), 1);
        assert!(!Arc::ptr_eq(&tables[0].connections[connection], &configured[connection]));
        drop(open);
        until(|| bgp.is_finished());
    }

    // Invariant 2 of a handover: whoever has not heard `Go` has touched nothing.
    #[test]
    fn what_a_predecessor_remembers_is_its_own_until_it_gave_way() {
        let folder = std::env::temp_dir().join(format!("quadspan-bgp-gate-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let memory = folder.join("bgp-routes.json");
        let (bgp, open) = behind_a_gate(&folder);
        drop(open);
        until(|| bgp.is_finished());
        assert!(memory.exists(), "the handover failed");
        let (bgp, open) = behind_a_gate(&folder);
        assert!(memory.exists());
        open.send(()).unwrap();
        until(|| !memory.exists());
        assert!(!bgp.is_finished());
        assert_eq!(bgp.stop(Goodbye::Ends), []);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
