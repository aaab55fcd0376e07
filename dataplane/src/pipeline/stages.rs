//! What the stages inside a batch take, for who wants to know.
//!
//! A dataplane has no clock. The worker lends it one for a batch now and then ([`Dataplane::lend_clock`]), and takes back what
//! the stages took; nothing that is done to a frame depends on it. Without one, a stage costs one look at a word that is
//! nil. The clock is read twice for each call of a stage, not for each frame: once a run is validated, a super-frame is cut, or
//! a queue is protected.

use core::time::Duration;

use net::Instant;

use super::Dataplane;

/// Where a stage's begin and end are read.
pub type Clock = fn() -> Instant;

/// What a stage did, and how long that took.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StageTime {
    /// Frames that went through it.
    pub frames: u64,
    /// The time of day that passed meanwhile; whoever else had the processor is in it.
    pub time: Duration,
}

impl StageTime {
    /// Adds what was done at another time.
    pub fn add(&mut self, frames: usize, time: Duration) {
        self.frames = self.frames.saturating_add(u64::try_from(frames).unwrap_or(u64::MAX));
        self.time = self.time.saturating_add(time);
    }
}

/// The stages of a batch that are timed by themselves. What is left of a batch is forwarding: tags, lookups, headers, joining.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StageTimes {
    /// MACsec validation: frames of channels.
    pub validate: StageTime,
    /// Cutting super-frames: frames that they became.
    pub cut: StageTime,
    /// MACsec protection: frames to channels.
    pub protect: StageTime,
}

impl StageTimes {
    /// The time of all of them.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.validate.time.saturating_add(self.cut.time).saturating_add(self.protect.time)
    }
}

/// The clock, while there is one, and what was seen by it.
#[derive(Debug, Default)]
pub(super) struct Stages {
    clock: Option<Clock>,
    pub(super) times: StageTimes,
}

impl Stages {
    /// A stage begins; `None` while nobody wants to know.
    pub(super) fn begin(&self) -> Option<Instant> {
        self.clock.map(|clock| clock())
    }

    /// How long it is since a stage began.
    pub(super) fn since(&self, began: Option<Instant>) -> Option<Duration> {
        Some(self.clock?().since(began?))
    }
}

impl Dataplane {
    /// Lends a clock, by which stages are timed until it is [given back](Self::return_clock).
    pub const fn lend_clock(&mut self, clock: Clock) {
        self.stages.clock = Some(clock);
    }

    /// Gives the clock back, and what was measured since it was lent.
    pub fn return_clock(&mut self) -> StageTimes {
        core::mem::take(&mut self.stages).times
    }
}
