//! The workers as the control loop has them: their threads, and the way to them.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result};
use config::Config;
use crossbeam::channel::Sender;
use dataplane::{
    Board, ChannelId, Dataplane, Depot, Fault, InterfaceId, LagId, Pool, Setup, WorkerId, bfd::BfdParams,
};
use macsec::{
    An,
    mka::{RekeyAnswer, SuspendAnswer},
};
use tokio::sync::mpsc;

use crate::worker::{Command, Mailbox, News, Report, Worker};

/// How long the API waits for a worker's report.
const REPORT_WITHIN: Duration = Duration::from_secs(2);

pub(crate) struct RunningWorker {
    pub(crate) mailbox: Mailbox,
    pub(super) thread: JoinHandle<()>,
    /// It works no more, and lets go of what it has.
    stopped: Arc<AtomicBool>,
}

impl RunningWorker {
    pub(super) const fn new(mailbox: Mailbox, thread: JoinHandle<()>, stopped: Arc<AtomicBool>) -> Self {
        Self { mailbox, thread, stopped }
    }

    /// It was told to stop, and goes on.
    pub(super) fn is_stuck(&self) -> bool {
        !self.stopped.load(Ordering::Acquire) && !self.thread.is_finished()
    }
}

/// The way to the workers, for the API.
#[derive(Clone)]
pub struct Workers(pub(super) Vec<Mailbox>);

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

    /// As [`set_fault`](Self::set_fault), against all members of a LAG.
    pub fn set_lag_fault(&self, owner: WorkerId, lag: LagId, fault: Fault, present: bool) {
        if let Some(mailbox) = self.0.get(owner.index()) {
            mailbox.send(Command::LagFault(lag, fault, present));
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

/// The workers, with their mailboxes, as `config` wants them; they do not run yet.
pub(super) fn make_workers(
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

#[cfg(test)]
mod tests {
    use dataplane::PoolSizes;

    use super::{super::seats::Seats, *};

    /// What a worker has, and the kernel takes its time to let go of.
    struct Heavy(crossbeam::channel::Receiver<()>);

    impl Drop for Heavy {
        fn drop(&mut self) {
            let _told = self.0.recv();
        }
    }

    #[test]
    fn a_worker_that_lets_go_of_what_it_has_is_not_stuck() {
        let (setup, board, depot) = (Arc::default(), Board::new(0), Depot::new(PoolSizes::default()));
        let dataplane = Dataplane::new(WorkerId(0), setup, board, Pool::new(depot), 1).unwrap();
        let (let_go, told) = crossbeam::channel::bounded(1);
        let heavy = Heavy(told);
        let news = move |_| {
            let _kept = &heavy;
        };
        let (worker, mailbox) = Worker::new(dataplane, Box::new(news)).unwrap();
        let workers = vec![worker];
        let mut running = Seats::prepare(&workers, &[]).unwrap().fill(workers, vec![mailbox]);
        let running = running.pop().unwrap();
        assert!(running.is_stuck(), "it works on");
        running.mailbox.send(Command::Stop);
        let stop = crate::lab::Stop::new();
        let seen = || !running.is_stuck();
        assert!(
            stop.poll(Duration::from_secs(20), Duration::from_millis(1), seen),
            "it saw that it shall stop"
        );
        assert!(!running.thread.is_finished(), "it is not gone yet");
        let_go.send(()).unwrap();
        running.thread.join().unwrap();
    }
}
