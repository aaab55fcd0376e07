//! Threads for workers, that are there before the workers may run.
//!
//! A thread that is started on a busy machine waits some tens of milliseconds for its first turn, and so does one that is woken. While a
//! gateway hands over to its successor nobody forwards for as long. So the successor starts its threads before, and they wait for
//! their workers with the priority of one that is late (see [`pacemaker`](crate::pacemaker)), which a worker gives back after its first round.

use std::{
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    thread::JoinHandle,
};

use anyhow::{Context, Result};
use crossbeam::channel::{Receiver, Sender, bounded};
use tracing::warn;

use super::workers::RunningWorker;
use crate::{
    pacemaker::Pulse,
    worker::{self, Mailbox, Worker},
};

/// Threads that wait for workers. Those that get none end.
pub(super) struct Seats(Vec<Seat>);

struct Seat {
    thread: JoinHandle<()>,
    give: Sender<Worker>,
    stopped: Arc<AtomicBool>,
}

impl Seats {
    /// A thread for each of these, on the processors that `pin` names in turn. They all wait when this returns.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn prepare(workers: &[Worker], pin: &[u16]) -> Result<Self> {
        let (here, arrived) = bounded(workers.len());
        let mut seats = Vec::new();
        for (at, worker) in workers.iter().enumerate() {
            let (give, given) = bounded(1);
            let stopped = Arc::<AtomicBool>::default();
            let cpu = pin.get(at).map(|&cpu| usize::from(cpu));
            let (pulse, mark, here) = (worker.pulse(), stopped.clone(), here.clone());
            let wait = move || {
                sit(cpu, &pulse);
                let _seen = here.send(());
                drop(here);
                work(&given, &mark);
            };
            let thread = std::thread::Builder::new()
                .name(format!("worker-{at}"))
                .spawn(wait)
                .context("cannot start a worker")?;
            seats.push(Seat { thread, give, stopped });
        }
        drop(here);
        while arrived.recv().is_ok() {}
        Ok(Self(seats))
    }

    /// Has the workers run, connected with each other.
    pub(super) fn fill(self, workers: Vec<Worker>, mailboxes: Vec<Mailbox>) -> Vec<RunningWorker> {
        let wakers: Vec<_> = workers.iter().map(Worker::waker).collect();
        let each = workers.into_iter().zip(worker::rings(&wakers)).zip(mailboxes).zip(self.0);
        let run = |(((mut worker, rings), mailbox), seat): (((Worker, _), Mailbox), Seat)| {
            worker.set_rings(rings);
            let Seat { thread, give, stopped } = seat;
            // A thread that is gone ends the gateway.
            let _given = give.send(worker);
            RunningWorker::new(mailbox, thread, stopped)
        };
        each.map(run).collect()
    }
}

fn sit(cpu: Option<usize>, pulse: &Pulse) {
    if let Some(cpu) = cpu
        && let Err(why) = sys::process::pin_thread(cpu)
    {
        warn!(event = "worker.not_pinned", cpu, why = %why);
    }
    pulse.begin_hurried();
}

fn work(given: &Receiver<Worker>, mark: &AtomicBool) {
    if let Ok(worker) = given.recv() {
        let worker = worker.run();
        mark.store(true, Ordering::Release);
        drop(worker);
    }
}
