//! The data loop: one pinned thread, one [`Dataplane`], some ports.
//!
//! A worker sleeps until a port has frames, another worker handed something over, the control plane has a command,
//! or a deadline came. Then it works in rounds, a batch from each busy port at a time, so that no port starves
//! another, and looks at its mailbox between rounds. It never waits for anybody: rings and mailbox are bounded, and
//! what does not fit is dropped and counted.
//!
//! When more comes than it can carry, control is not among what is lost ([`dataplane::Pressure`]): deadlines are looked at after each batch,
//! ports with channels come before LANs, and a port whose ring stays full although it is emptied ([`Backlog`]) is relieved of what is on its
//! way through, so that the ring has room for what was sent to the gateway itself. What a port has no room to send is dropped, but for control, which
//! is tried again ([`Port::send`]); between workers control has rings of its own.

mod handover;
mod orders;
mod paths;
mod rings;
mod sending;

use std::{net::IpAddr, sync::Arc, time::Duration};

use config::model::Poll;
use crossbeam::channel::{Receiver, Sender};
use dataplane::{
    Backlog, Batch, ChannelId, Crossing, Dataplane, Event, Fault, InterfaceId, LagId, Moved, PortId,
    Pressure, Snapshot, Tables,
    bfd::BfdParams,
    port::{Port, PortCounters, PortError, PortKind},
    stamp::WallClock,
};
use macsec::{
    An, Sci,
    mka::{KeyEntry, RekeyAnswer, SuspendAnswer},
};
use net::{Instant, earliest};
use sys::{Poller, Ready, Waker};

pub use self::handover::{Decision, Left, Step};
pub use self::rings::{RING, Rings, Way, rings};
use crate::{
    clock,
    pacemaker::Pulse,
    runtime::{Account, Keeper, Schedule, Stage},
};

/// Rounds over the busy ports before the mailbox is looked at again.
const ROUNDS: usize = 16;
/// The token by which the poller calls the waker; ports have their index, 0..=65535.
const WAKE: u64 = 1 << 32;

/// How long an adaptive worker looks for more frames before it sleeps. Being woken takes a few microseconds on both sides, and frames of
/// one flow come closer together than this.
const LINGER: Duration = Duration::from_micros(50);

/// When control frames are tried again that a port had no room for: some frames have left a queue of any speed by then.
const RETRY: Duration = Duration::from_millis(1);
/// Batches by which a port under pressure is relieved before other ports have their turn.
const RELIEF: usize = 16;

/// What the control plane asks of a worker.
pub enum Command {
    /// Use these routes.
    Tables(Arc<Tables>),
    /// A port's device lost or regained carrier, went down or came up.
    PortFault(PortId, Option<Fault>),
    /// Begin, or end, a drill on a channel.
    Rehearse(ChannelId, bool),
    /// Something speaks, or no longer speaks, against a channel.
    ChannelFault(ChannelId, Fault, bool),
    /// Something speaks, or no longer speaks, against all members of a LAG.
    LagFault(LagId, Fault, bool),
    /// What the path below a port carries, in octets behind the Ethernet header.
    Path(PortId, u16),
    /// Use this port from now on.
    ReplacePort(PortId, Box<dyn Port>),
    /// These packet numbers are reserved on disk.
    PnLimit {
        /// The channel.
        channel: ChannelId,
        /// The transmit SA.
        an: An,
        /// The last packet number that may be used.
        limit: u64,
        /// Ask for more when fewer than this are left.
        low: u64,
    },
    /// Somebody set the time of day.
    Wall(WallClock),
    /// Use these CAKs on this channel from now on.
    MkaKeys(ChannelId, Vec<KeyEntry>),
    /// Make a fresh SAK on this channel; `None` answers that it has no KaY here.
    Rekey(ChannelId, Sender<Option<RekeyAnswer>>),
    /// Suspend MKA on this channel for so long; `None` answers that it has no KaY here.
    Suspend(ChannelId, Duration, Sender<Option<SuspendAnswer>>),
    /// Switch the BFD session on this interface with this peer off (true) or on, if it runs here.
    SwitchBfd((InterfaceId, IpAddr), bool),
    /// Run the BFD session on this interface with this peer as it is configured now, if it runs here.
    SetBfd(InterfaceId, BfdParams),
    /// Report counters and states.
    Report(Sender<Report>),
    /// Report what was forwarded by each attachment, see [`Dataplane::transit`].
    Transit(Sender<Vec<(InterfaceId, u64)>>),
    /// Report what receive SAs have reached, see [`Dataplane::received`].
    Received(Sender<Vec<(ChannelId, Sci, An, u64)>>),
    /// A step towards a successor in another process.
    Handover(Step),
    /// Send what waits and end.
    Stop,
}

/// What a worker tells of itself when asked.
#[derive(Debug)]
pub struct Report {
    /// The dataplane's counters and states.
    pub snapshot: Snapshot,
    /// Kind and counters of the ports that this worker opened; `None` for those it has not (or that are gone).
    pub ports: Vec<Option<(PortKind, PortCounters)>>,
    /// How it spent its time.
    pub account: Account,
    /// What the kernel counted for its thread.
    pub schedule: Option<Schedule>,
}

/// What a worker tells the control plane unasked.
#[derive(Debug)]
pub enum News {
    /// The dataplane's own.
    Dataplane(Event),
    /// Traffic moved, and at this time the first frames had gone their new way.
    Moved(Moved, Instant),
    /// What the path of a tunnel carries changed: octets behind the Ethernet header of a frame.
    Path(PortId, u16),
    /// A port cannot be used any more. `Gone` ones were let go; a new one is welcome.
    Port(PortId, PortError),
    /// Routes that are not used any more: freeing them may take long, and is nothing for a worker.
    Retired(Arc<Tables>),
}

/// The way to one worker.
#[derive(Clone)]
pub struct Mailbox {
    commands: Sender<Command>,
    waker: Waker,
}

impl Mailbox {
    /// Hands the worker a command and wakes it. False when the worker is gone.
    pub fn send(&self, command: Command) -> bool {
        let sent = self.commands.send(command).is_ok();
        self.waker.wake();
        sent
    }
}

/// One worker, ready to run on its own thread.
pub struct Worker {
    dataplane: Dataplane,
    ports: Vec<Option<Box<dyn Port>>>,
    /// Of those, the few that may hold frames of which the poller does not know.
    holders: Vec<PortId>,
    poller: Poller,
    waker: Waker,
    commands: Receiver<Command>,
    rings: Rings,
    news: Box<dyn Fn(News) + Send>,
    inbox: Vec<Crossing>,
    refused: Vec<Crossing>,
    /// What was last said of each port, so that it is said once.
    lost: Vec<Option<PortError>>,
    /// Of each port's ring.
    backlogs: Vec<Backlog>,
    pulse: Arc<Pulse>,
    poll: Poll,
    /// It takes nothing from its ports.
    resting: bool,
    /// A successor has everything: not another frame is to be sent.
    given_up: bool,
    /// Until when an adaptive worker does not sleep.
    awake_until: Instant,
    /// Ports that had no room for control frames.
    held: Vec<PortId>,
    /// Ports whose frames wait for more, of these and of the others.
    gathering: Vec<PortId>,
    /// Tunnels whose path carries less than their attachments take, and when each is looked at again.
    narrowed: Vec<(PortId, Instant)>,
    keeper: Keeper,
    stop: bool,
}

impl Worker {
    /// A worker that is driven by the mailbox that comes with it. `news` is called from the worker's thread and must not wait.
    ///
    /// # Errors
    /// When the kernel gives no more file descriptors.
    pub fn new(mut dataplane: Dataplane, news: Box<dyn Fn(News) + Send>) -> std::io::Result<(Self, Mailbox)> {
        dataplane.keep_trains_open();
        let poller = Poller::new()?;
        let waker = Waker::new(&poller, WAKE)?;
        let (sender, commands) = crossbeam::channel::unbounded();
        let mailbox = Mailbox { commands: sender, waker: waker.clone() };
        let (rings, inbox, refused) = (Rings::default(), Vec::with_capacity(RING), Vec::with_capacity(RING));
        let (ports, lost, backlogs) = (Vec::new(), Vec::new(), Vec::new());
        let this = Self {
            dataplane,
            ports,
            holders: Vec::new(),
            poller,
            waker,
            commands,
            rings,
            news,
            inbox,
            refused,
            lost,
            backlogs,
            pulse: Arc::new(Pulse::default()),
            poll: Poll::Interrupt,
            resting: false,
            given_up: false,
            awake_until: clock::now(),
            held: Vec::new(),
            gathering: Vec::new(),
            narrowed: Vec::new(),
            keeper: Keeper::new(clock::now()),
            stop: false,
        };
        Ok((this, mailbox))
    }

    /// How others wake it.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// By what the pacemaker sees whether it is late.
    pub fn pulse(&self) -> Arc<Pulse> {
        self.pulse.clone()
    }

    /// What it does while no frames come; it sleeps unless told otherwise.
    pub const fn set_poll(&mut self, poll: Poll) {
        self.poll = poll;
    }

    /// Its dataplane, for what is set up before it runs.
    pub const fn dataplane(&mut self) -> &mut Dataplane {
        &mut self.dataplane
    }

    /// Gives it the rings to the other workers.
    pub fn set_rings(&mut self, rings: Rings) {
        self.rings = rings;
    }

    /// Gives it a port.
    ///
    /// # Errors
    /// When the kernel does not let the port be waited for.
    pub fn set_port(&mut self, id: PortId, port: Box<dyn Port>) -> std::io::Result<()> {
        self.release(id);
        self.say(id, None);
        if let Some(fd) = port.fd() {
            self.poller.add(fd, u64::from(id.0))?;
        }
        if self.ports.len() <= id.index() {
            self.ports.resize_with(id.index() + 1, || None);
            self.backlogs.resize_with(id.index() + 1, Backlog::default);
        }
        if port.may_hold_frames() {
            self.holders.push(id);
        }
        if let Some(place) = self.ports.get_mut(id.index()) {
            *place = Some(port);
        }
        Ok(())
    }

    /// Works until told to stop, and gives itself back: to let go of hundreds of TAPs takes the kernel seconds.
    #[must_use]
    pub fn run(mut self) -> Self {
        let mut ready: Vec<Ready> = Vec::with_capacity(64);
        self.pulse.begin();
        self.keeper = Keeper::new(clock::now());
        while !self.stop {
            let wait = self.wait(self.keeper.rests_at());
            if self.resting {
                self.await_command();
            } else if self.poller.wait(&mut ready, wait).is_err() {
                // EBADF or ENOMEM: without a poller there is no work to be had. Wake-ups by time keep the rest alive.
                ready.clear();
            }
            self.keeper.wakes(wait, clock::now());
            if ready.iter().any(|ready| ready.token == WAKE) {
                self.waker.reset();
                self.keeper.counts().called += 1;
            }
            self.ready_again(&mut ready);
            self.take_commands();
            if self.given_up {
                break;
            }
            let worked = self.work(&mut ready);
            let now = clock::now();
            if worked {
                self.awake_until = now.after(LINGER);
            }
            self.pass_time(now);
            self.look_at_narrowed(now);
            self.settle();
            if !self.resting {
                self.pulse.beat(self.dataplane.bfd_deadline());
            }
            self.keeper.rests(worked, clock::now());
        }
        self
    }

    /// Does what is due, and judges whoever was silent for too long. While it rests it cannot look for what they said, and judges
    /// nobody: whoever takes over looks first, and so does this one when it goes on.
    fn pass_time(&mut self, now: Instant) {
        let judges = self.dataplane.is_judgement_due(now);
        if judges && self.resting {
            return;
        }
        if judges {
            self.look_everywhere();
        }
        self.dataplane.handle_timeout(now);
    }

    /// How long it may sleep now; `None`: until something comes.
    fn wait(&self, now: Instant) -> Option<Duration> {
        if self.resting {
            return Some(RETRY);
        }
        let awake = match self.poll {
            Poll::Interrupt => false,
            Poll::Adaptive => now < self.awake_until,
            Poll::Busy => true,
        };
        if awake || self.holders.iter().any(|&id| self.holds_frames(id)) {
            return Some(Duration::ZERO);
        }
        let due = earliest(self.dataplane.poll_timeout(), self.next_look()).map(|due| due.since(now));
        if !self.held.is_empty() { Some(due.unwrap_or(RETRY).min(RETRY)) } else { due }
    }

    /// Takes everything that arrived until now: a worker that was kept from its work looks at its sockets before it declares
    /// a peer dead. New frames may come all the time, but none is older than a whole ring of them. It stops as soon as nobody is
    /// to be declared dead any more.
    fn look_everywhere(&mut self) {
        for at in 0..self.ports.len() {
            let id = PortId::at(at);
            let depth = self.ports.get(at).and_then(Option::as_ref).map_or(0, |port| port.depth());
            let all = self.keeper.counts().receive.frames + u64::try_from(depth).unwrap_or(u64::MAX);
            while self.keeper.counts().receive.frames < all {
                let now = clock::now();
                if !self.take_batch(id, now) {
                    break;
                }
                if !self.dataplane.is_judgement_due(now) {
                    return;
                }
            }
            self.flush();
        }
        let _came = self.take_crossings(clock::now());
    }

    /// Does what is due, but judges nobody: that takes a look at all ports first.
    fn tend(&mut self, now: Instant) {
        let due = self.dataplane.poll_timeout().is_some_and(|due| due <= now);
        if due && !self.dataplane.is_judgement_due(now) {
            self.dataplane.handle_timeout(now);
            self.settle();
        }
    }

    /// Rounds over the ports that were ready, until all are empty or it is time for the mailbox or a deadline. A port that still
    /// has frames is ready again at once, so leaving early loses nothing; see `ready_again`. True when there were frames.
    fn work(&mut self, ready: &mut Vec<Ready>) -> bool {
        let (mut worked, mut gathered) = (false, 0);
        self.order(ready);
        for _ in 0..ROUNDS {
            let mut now = clock::now();
            self.keeper.counts().rounds += 1;
            let mut busy = self.take_crossings(now);
            for at in 0..ready.len() {
                let token = ready.get(at).map_or(WAKE, |ready| ready.token);
                let Ok(index) = u16::try_from(token) else { continue };
                busy |= self.take_batch(PortId(index), now);
                now = clock::now();
                self.tend(now);
            }
            worked |= busy;
            self.send_idle_trains();
            gathered = self.flush_unless_worth_waiting(gathered);
            if !busy || self.dataplane.poll_timeout().is_some_and(|due| due <= now) {
                break;
            }
        }
        // Trains that are still open leave with what else this wake left: `run` settles before it sleeps.
        self.flush();
        ready.clear();
        worked
    }

    fn holds_frames(&self, id: PortId) -> bool {
        matches!(self.ports.get(id.index()), Some(Some(port)) if port.holds_frames())
    }

    /// Ports that hold frames in their own memory are ready, whatever the poller says.
    fn ready_again(&self, ready: &mut Vec<Ready>) {
        for &id in &self.holders {
            let token = u64::from(id.0);
            if self.holds_frames(id) && !ready.iter().any(|ready| ready.token == token) {
                ready.push(Ready { token, readable: true, writable: false, failed: false });
            }
        }
    }

    /// Ports with channels before all others: who is at the far end of one waits for us.
    fn order(&self, ready: &mut [Ready]) {
        let others = |ready: &Ready| {
            u16::try_from(ready.token).map_or(true, |index| !self.dataplane.has_channels(PortId(index)))
        };
        ready.sort_unstable_by_key(|ready| (others(ready), ready.token));
    }

    /// True when the port may have more.
    fn take_batch(&mut self, id: PortId, now: Instant) -> bool {
        if !self.resting {
            self.relieve(id, now);
        } else if !self.holds_frames(id) {
            return false;
        }
        let Some(Some(port)) = self.ports.get_mut(id.index()) else { return false };
        let mut batch = Batch::new();
        self.keeper.begin();
        let received = port.receive(&mut batch, self.dataplane.pool());
        self.keeper.counts().receive.count(batch.len());
        self.keeper.lap(Stage::Receive, batch.len());
        if !batch.is_empty() {
            if let Some(backlog) = self.backlogs.get_mut(id.index()) {
                backlog.took(batch.len());
            }
            self.handle(id, &mut batch, now);
            self.settle_and_gather();
        }
        self.keeper.end();
        self.flush_when_enough();
        match received {
            Ok(count) => count > 0,
            Err(error) => {
                self.lose(id, error);
                false
            }
        }
    }

    /// Makes room where a port's ring runs full although it is emptied, and keeps what may be control.
    fn relieve(&mut self, id: PortId, now: Instant) {
        for _ in 0..RELIEF {
            let at = id.index();
            let (Some(Some(port)), Some(backlog), Some((wanted, pool))) =
                (self.ports.get_mut(at), self.backlogs.get_mut(at), self.dataplane.intake(id))
            else {
                return;
            };
            let pressure = backlog.judge(port.pressure(), port.depth(), now);
            if pressure == Pressure::None {
                return;
            }
            let mut batch = Batch::new();
            let looked = port.relieve(&mut batch, pool, wanted, pressure);
            if !batch.is_empty() {
                self.dataplane.handle_pressed(id, &mut batch, now);
                self.settle();
            }
            match looked {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => return self.lose(id, error),
            }
        }
    }

    /// Has a batch handled, and its stages timed now and then.
    fn handle(&mut self, id: PortId, batch: &mut Batch, now: Instant) {
        let frames = batch.len();
        let clock = self.keeper.clock();
        if let Some(clock) = clock {
            self.dataplane.lend_clock(clock);
        }
        self.dataplane.handle_batch(id, batch, now);
        if clock.is_some() {
            self.keeper.stages(&self.dataplane.return_clock());
        }
        self.keeper.lap(Stage::Handle, frames);
    }

    /// True when there were any.
    fn take_crossings(&mut self, now: Instant) -> bool {
        let mut inbox = core::mem::take(&mut self.inbox);
        for ring in self.rings.from.iter_mut().flatten() {
            if let Ok(chunk) = ring.read_chunk(ring.slots()) {
                inbox.extend(chunk);
            }
        }
        let came = inbox.len();
        if came > 0 {
            self.keeper.counts().taken.count(came);
            self.dataplane.handle_crossings(&mut inbox, now);
            self.settle_and_gather();
            self.flush_when_enough();
        }
        self.inbox = inbox;
        came > 0
    }

    fn hand_over(&mut self) {
        let (crossings, pool) = self.dataplane.crossings();
        if crossings.is_empty() {
            return;
        }
        self.keeper.counts().handed.count(crossings.len());
        let refused = &mut self.refused;
        let mut woken: u64 = 0;
        for (worker, crossing) in crossings.drain(..) {
            match self.rings.to.get_mut(worker.index()) {
                Some(Some(way)) => match way.push(crossing) {
                    Ok(()) => woken |= 1 << (worker.0 % 64),
                    Err(crossing) => refused.push(crossing),
                },
                _ => crossing.into_frame().into_iter().for_each(|frame| pool.recycle(frame)),
            }
        }
        for (at, ring) in self.rings.to.iter().enumerate() {
            if let Some(way) = ring
                && woken >> (at % 64) & 1 == 1
            {
                way.wake();
            }
        }
        while let Some(crossing) = self.refused.pop() {
            self.keeper.counts().refused += 1;
            self.dataplane.count_ring_full(crossing);
        }
    }

    /// A port failed. A device that is down keeps its socket, which works again once it is up; one that is gone does not.
    fn lose(&mut self, id: PortId, error: PortError) {
        let fault = match error {
            PortError::Down => Fault::NoCarrier,
            PortError::NoRoute => Fault::NoRoute,
            PortError::Gone | PortError::Os(_) => Fault::PortDown,
        };
        if !matches!(error, PortError::Down | PortError::NoRoute) {
            self.release(id);
        }
        self.dataplane.set_port_fault(id, Some(fault), clock::now());
        if self.say(id, Some(error)) {
            (self.news)(News::Port(id, error));
        }
    }

    /// Remembers what is said of a port. True when that is news.
    fn say(&mut self, id: PortId, lost: Option<PortError>) -> bool {
        if self.lost.len() <= id.index() {
            self.lost.resize(id.index() + 1, None);
        }
        self.lost.get_mut(id.index()).is_some_and(|said| core::mem::replace(said, lost) != lost)
    }

    fn release(&mut self, id: PortId) {
        self.holders.retain(|holder| *holder != id);
        self.narrowed.retain(|(port, _)| *port != id);
        let Some(mut port) = self.ports.get_mut(id.index()).and_then(Option::take) else { return };
        port.give_back(self.dataplane.pool());
        if let Some(fd) = port.fd() {
            // A closed descriptor leaves the poller by itself; this only says so early.
            let _removed = self.poller.remove(fd);
        }
    }
}

/// The longest that a worker may take to see that it shall stop.
pub const STOP_WITHIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
