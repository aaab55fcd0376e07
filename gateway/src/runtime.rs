//! How a worker spends its time, in plain integers of its own: nothing is shared, and nobody looks before somebody asks.
//!
//! Calls, frames and rounds are counted, once for each call or round. Where the time goes between wake-ups is read from clock
//! readings that the worker needs anyway. Only stages need readings of their own, so they are timed in one of [`ONE_IN`] pieces
//! of work: a look at one port, and all that follows from it, or the sending of what several looks gathered. That is a prime number, because
//! ports take turns.
//!
//! All times are of the wall's clock, in nanoseconds: what else had the processor meanwhile is in them. How long the worker was
//! ready and had no processor is the kernel's count ([`Schedule`]).

use std::{fs, time::Duration};

use dataplane::{Clock, StageTime, StageTimes};
use net::Instant;

use crate::clock;

/// One piece of work in so many is timed.
pub const ONE_IN: u32 = 61;

/// What a piece of work consists of, in its order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// From the kernel into the worker's buffers; looks that found nothing are in it.
    Receive,
    /// All the dataplane does.
    Handle,
    /// To the kernel.
    Send,
}

/// Calls, and the frames that they moved.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Calls {
    /// Calls that moved frames.
    pub calls: u64,
    /// Calls that found nothing to do.
    pub empty: u64,
    /// Frames; a super-frame is one.
    pub frames: u64,
}

impl Calls {
    /// Counts a call that moved so many.
    pub fn count(&mut self, frames: usize) {
        if frames == 0 {
            self.empty += 1;
        } else {
            self.calls += 1;
            self.frames += u64::try_from(frames).unwrap_or(0);
        }
    }
}

/// What was measured in the pieces of work that were timed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sampled {
    /// Pieces of work.
    pub pieces: u64,
    /// From the kernel.
    pub receive: StageTime,
    /// All the dataplane did, the stages below included.
    pub handle: StageTime,
    /// Of that: what has a time of its own.
    pub stages: StageTimes,
    /// To the kernel.
    pub send: StageTime,
}

/// A worker's account of its time, since it began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Account {
    /// Since when.
    pub since: Instant,
    /// Waiting for frames, commands or a deadline.
    pub asleep: Duration,
    /// Awake without any frames: polling, timers, commands.
    pub looking: Duration,
    /// Awake with frames.
    pub working: Duration,
    /// Ends of waiting.
    pub wakes: u64,
    /// Of those: by another thread, with frames or a command.
    pub called: u64,
    /// Rounds over the ports that were ready.
    pub rounds: u64,
    /// Looks at ports.
    pub receive: Calls,
    /// Queues handed to ports.
    pub send: Calls,
    /// Frames and news from other workers; calls are readings of the rings.
    pub taken: Calls,
    /// Frames and news to other workers.
    pub handed: Calls,
    /// Frames and news for which a ring to another worker had no room.
    pub refused: u64,
    /// How often it woke after the deadline that it had slept for: always a little.
    pub deadlines: u64,
    /// By how much, all together.
    pub late: Duration,
    /// By how much, at most.
    pub latest: Duration,
    /// Stages.
    pub sampled: Sampled,
}

/// Keeps a worker's account.
#[derive(Debug)]
pub struct Keeper {
    account: Account,
    /// When the last round ended, or the last wait.
    mark: Instant,
    /// Pieces of work until one is timed.
    countdown: u32,
    /// When the stage began that runs, in a piece of work that is timed.
    stage: Option<Instant>,
}

impl Keeper {
    /// An account that begins now.
    pub fn new(now: Instant) -> Self {
        let account = Account { since: now, ..Account::default() };
        Self { account, mark: now, countdown: ONE_IN, stage: None }
    }

    /// The account so far.
    pub const fn account(&self) -> Account {
        self.account
    }

    /// What it is counted in.
    pub const fn counts(&mut self) -> &mut Account {
        &mut self.account
    }

    /// The last round ended at this time: the worker is about to wait.
    pub const fn rests_at(&self) -> Instant {
        self.mark
    }

    /// It waited for so long at most, and is awake again.
    pub fn wakes(&mut self, wait: Option<Duration>, now: Instant) {
        let slept = now.since(self.mark);
        self.account.wakes += 1;
        if wait == Some(Duration::ZERO) {
            self.account.looking += slept;
        } else {
            self.account.asleep += slept;
        }
        if let Some(late) = wait.filter(|wait| !wait.is_zero()).and_then(|wait| slept.checked_sub(wait)) {
            self.account.deadlines += 1;
            self.account.late += late;
            self.account.latest = self.account.latest.max(late);
        }
        self.mark = now;
    }

    /// It did everything there was to do. `worked`: there were frames.
    pub fn rests(&mut self, worked: bool, now: Instant) {
        let took = now.since(self.mark);
        if worked {
            self.account.working += took;
        } else {
            self.account.looking += took;
        }
        self.mark = now;
    }

    /// A piece of work begins; one in [`ONE_IN`] is timed.
    pub fn begin(&mut self) {
        self.countdown -= 1;
        if self.countdown == 0 {
            self.countdown = ONE_IN;
            self.account.sampled.pieces += 1;
            self.stage = Some(clock::now());
        }
    }

    /// The clock to lend to the dataplane, in a piece of work that is timed.
    pub fn clock(&self) -> Option<Clock> {
        self.stage.map(|_| -> Clock { clock::now })
    }

    /// A stage ended, and the next one begins.
    pub fn lap(&mut self, stage: Stage, frames: usize) {
        let Some(began) = self.stage else { return };
        let now = clock::now();
        let sampled = &mut self.account.sampled;
        let time = match stage {
            Stage::Receive => &mut sampled.receive,
            Stage::Handle => &mut sampled.handle,
            Stage::Send => &mut sampled.send,
        };
        time.add(frames, now.since(began));
        self.stage = Some(now);
    }

    /// What the dataplane measured meanwhile.
    pub fn stages(&mut self, times: &StageTimes) {
        let sum = &mut self.account.sampled.stages;
        for (sum, one) in [
            (&mut sum.validate, times.validate),
            (&mut sum.cut, times.cut),
            (&mut sum.protect, times.protect),
        ] {
            sum.frames += one.frames;
            sum.time += one.time;
        }
    }

    /// The piece of work is done.
    pub const fn end(&mut self) {
        self.stage = None;
    }
}

/// What the kernel's scheduler counted for a thread since it began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Schedule {
    /// Time on a processor.
    pub ran: Duration,
    /// Time ready to run, and no processor was free.
    pub waited: Duration,
    /// How often it was given a processor.
    pub turns: u64,
}

impl Schedule {
    /// Of a thread of this process. `None` where the kernel does not count (`CONFIG_SCHED_INFO`), or without such a thread.
    pub fn of(thread: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?)
    }

    /// Three numbers: nanoseconds that it ran, nanoseconds that it waited, turns (Documentation/scheduler/sched-stats).
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split_whitespace().map_while(|number| number.parse().ok());
        let (ran, waited, turns) = (numbers.next()?, numbers.next()?, numbers.next()?);
        Some(Self { ran: Duration::from_nanos(ran), waited: Duration::from_nanos(waited), turns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn millis(of: [Duration; 3]) -> [u128; 3] {
        of.map(|one| one.as_millis())
    }

    #[test]
    fn all_time_is_asleep_looking_or_working() {
        let mut keeper = Keeper::new(at(0));
        keeper.wakes(None, at(10));
        keeper.rests(true, at(13));
        // A poll that waits for nothing is no sleep.
        keeper.wakes(Some(Duration::ZERO), at(14));
        keeper.rests(false, at(16));
        keeper.wakes(Some(Duration::from_millis(4)), at(25));
        keeper.rests(false, at(26));
        let account = keeper.account();
        assert_eq!(millis([account.asleep, account.looking, account.working]), [19, 4, 3]);
        assert_eq!(account.asleep + account.looking + account.working, at(26).since(account.since));
        assert_eq!(account.wakes, 3);
    }

    #[test]
    fn late_is_what_it_slept_beyond_its_deadline() {
        let mut keeper = Keeper::new(at(0));
        keeper.wakes(Some(Duration::from_millis(4)), at(3));
        keeper.rests(true, at(3));
        keeper.wakes(Some(Duration::from_millis(4)), at(9));
        keeper.rests(true, at(9));
        keeper.wakes(Some(Duration::from_millis(1)), at(15));
        let account = keeper.account();
        assert_eq!(account.deadlines, 2, "one wake-up came before its deadline");
        assert_eq!((account.late.as_millis(), account.latest.as_millis()), (2 + 5, 5));
    }

    #[test]
    fn one_piece_in_so_many_is_timed() {
        let mut keeper = Keeper::new(at(0));
        let mut lent = 0;
        for _ in 0..ONE_IN * 3 {
            keeper.begin();
            lent += u32::from(keeper.clock().is_some());
            keeper.lap(Stage::Receive, 2);
            keeper.lap(Stage::Handle, 2);
            keeper.end();
            assert!(keeper.clock().is_none());
        }
        let sampled = keeper.account().sampled;
        assert_eq!((lent, sampled.pieces, sampled.receive.frames, sampled.handle.frames), (3, 3, 6, 6));
        assert_eq!(sampled.send, StageTime::default());
        assert!(sampled.receive.time > Duration::ZERO, "two readings of a clock of nanoseconds");
    }

    #[test]
    fn the_kernels_count_is_read() {
        let one = Schedule::parse("12000 500 7\n").unwrap();
        assert_eq!((one.ran.as_nanos(), one.waited.as_nanos(), one.turns), (12_000, 500, 7));
        assert_eq!(Schedule::parse(""), None);
        assert_eq!(Schedule::of(-1), None);
    }
}
