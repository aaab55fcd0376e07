//! Sees to it that BFD packets leave in time on a machine whose processors are busy with other things.
//!
//! A worker is an ordinary thread: it shares the processors fairly, which lets frames gather to batches, and may have to
//! wait for its turn longer than a peer waits for its packets. A worker that were ahead of everybody all the time would
//! starve the rest of the machine under load. So a worker says when its next BFD packet is due ([`Pulse`]), and the pacemaker,
//! a thread of real-time priority that sleeps nearly always, lends its priority to a worker that is late, until that
//! has done what was due. A planned restart is in a hurry too: threads that are waited for while nobody forwards go first ([`Haste`],
//! [`Pulse::begin_hurried`]). Without the right to do so (`CAP_SYS_NICE`) everything works as before, and is said once.

use core::marker::PhantomData;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use dataplane::Setup;
use net::Instant;
use sys::process::{set_realtime, thread_id};
use tracing::info;

use crate::clock;

/// Priorities of a worker that is late, and of the pacemaker.
const HURRIED: u8 = 1;
const PACEMAKER: u8 = 2;
/// How long the pacemaker sleeps at least and at most.
const SHORTEST: Duration = Duration::from_micros(500);
const LONGEST: Duration = Duration::from_millis(50);

/// What a worker says of itself.
#[derive(Debug)]
pub struct Pulse {
    /// When its next BFD deadline is, in nanoseconds of the clock; the end of time: never.
    due: AtomicU64,
    /// The kernel's number of its thread; 0: it does not run yet.
    thread: AtomicI32,
    /// It was lent priority, and has not given it back.
    hurried: AtomicBool,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { due: AtomicU64::new(u64::MAX), thread: AtomicI32::new(0), hurried: AtomicBool::new(false) }
    }
}

impl Pulse {
    /// The calling thread is the worker.
    pub fn begin(&self) {
        self.thread.store(thread_id(), Ordering::Relaxed);
    }

    /// The calling thread is the worker, and goes before ordinary ones until it beats: it is waited for.
    pub fn begin_hurried(&self) {
        self.begin();
        let lent = set_realtime(self.thread.load(Ordering::Relaxed), Some(HURRIED)).is_ok();
        self.hurried.store(lent, Ordering::Relaxed);
    }

    /// The worker did what was due; next is `due`. Priority that was lent goes back.
    pub fn beat(&self, due: Option<Instant>) {
        self.due.store(due.map_or(u64::MAX, Instant::as_nanos), Ordering::Relaxed);
        if self.hurried.load(Ordering::Relaxed) && self.hurried.swap(false, Ordering::Relaxed) {
            // Giving up a priority is always allowed.
            let _given_back = set_realtime(self.thread.load(Ordering::Relaxed), None);
        }
    }

    fn due(&self) -> Instant {
        Instant::from_nanos(self.due.load(Ordering::Relaxed))
    }

    /// Lends the worker priority if it has been late for `grace`.
    fn hurry(&self, grace: Duration, now: Instant) {
        let thread = self.thread.load(Ordering::Relaxed);
        let late = self.due().after(grace) <= now;
        if late && thread != 0 && !self.hurried.load(Ordering::Relaxed) {
            // First the priority, then the note of it: a worker that beats in between gives it back the next time.
            let lent = set_realtime(thread, Some(HURRIED)).is_ok();
            self.hurried.store(lent, Ordering::Relaxed);
        }
    }
}

/// As long as there is one, the thread that made it goes before ordinary ones, if it may: nobody forwards until it is done. The threads
/// that it starts are ordinary ones.
#[derive(Debug)]
pub struct Haste(PhantomData<*const ()>);

impl Haste {
    /// The calling thread is waited for.
    pub fn begin() -> Self {
        // Without the right to it this takes as long as it takes.
        let _lent = set_realtime(thread_id(), Some(HURRIED));
        Self(PhantomData)
    }
}

impl Drop for Haste {
    fn drop(&mut self) {
        // Giving up a priority is always allowed.
        let _given_back = set_realtime(thread_id(), None);
    }
}

/// The pacemaker's thread; dropping this ends it.
#[derive(Debug)]
pub struct Pacemaker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pacemaker {
    /// Starts it when `setup` has BFD sessions; `None` when it has none.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(setup: &Setup, pulses: Vec<Arc<Pulse>>) -> std::io::Result<Option<Self>> {
        let sessions = setup.interfaces.iter().flat_map(|one| &one.bfd);
        let Some(shortest) = sessions.map(|one| one.timers.min_tx()).min() else { return Ok(None) };
        let step = (shortest / 4).clamp(SHORTEST, LONGEST);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let pace = move || {
            if let Err(why) = set_realtime(thread_id(), Some(PACEMAKER)) {
                info!(
                    event = "worker.no_realtime",
                    why = %why,
                    "BFD packets may be late when all processors are busy: run with CAP_SYS_NICE, or use longer intervals"
                );
                return;
            }
            while !stopped.load(Ordering::Relaxed) {
                pass(&pulses, step);
            }
        };
        let thread = std::thread::Builder::new().name("pacemaker".to_owned()).spawn(pace)?;
        Ok(Some(Self { stop, thread: Some(thread) }))
    }
}

impl Drop for Pacemaker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It cannot panic; and it sleeps for 50 ms at most.
            let _ended = thread.join();
        }
    }
}

/// Looks after all workers, and sleeps until the next of them may be late; not for long, as they change their minds.
fn pass(pulses: &[Arc<Pulse>], step: Duration) {
    let (now, grace) = (clock::now(), step / 2);
    pulses.iter().for_each(|pulse| pulse.hurry(grace, now));
    let next = pulses.iter().map(|pulse| pulse.due().after(grace)).filter(|due| *due > now).min();
    let pause = next.map_or(step, |next| next.since(now)).clamp(SHORTEST, step);
    sys::rest(pause);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// What the kernel says of the calling thread: 0 is the ordinary policy, 1 is SCHED_FIFO.
    fn policy() -> String {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        stat.rsplit(' ').nth(11).unwrap().to_owned()
    }

    #[test]
    fn a_worker_that_is_late_is_lent_priority_until_it_beats() {
        let (pulse, other) = (Arc::new(Pulse::default()), Arc::new(Pulse::default()));
        let (send, told) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let worker = pulse.clone();
        let thread = std::thread::spawn(move || {
            worker.begin();
            worker.beat(Some(clock::now()));
            send.send(policy()).unwrap();
            wait.recv().unwrap();
            send.send(policy()).unwrap();
            worker.beat(None);
            send.send(policy()).unwrap();
        });
        let before = told.recv().unwrap();
        let (step, now) = (Duration::from_millis(1), clock::now().after(Duration::from_secs(1)));
        [&pulse, &other].into_iter().for_each(|pulse| pulse.hurry(step, now));
        go.send(()).unwrap();
        let (during, after) = (told.recv().unwrap(), told.recv().unwrap());
        thread.join().unwrap();
        let lent = if set_realtime(0, Some(HURRIED)).is_ok() { "1" } else { "0" };
        assert_eq!((&*before, &*during, &*after), ("0", lent, "0"));
    }
}
