//! `/v1/runtime`.

use serde::{Deserialize, Serialize};

/// How a worker spends its time. All counts and times are since it began; two documents make a rate. Times are in nanoseconds of the
/// wall's clock unless said otherwise, so what else had the processor is in them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct WorkerRuntime {
    /// Its number.
    pub worker: u16,
    /// What it does while no frames come: `interrupt`, `adaptive` or `busy`.
    pub poll: String,
    /// How long it has run: asleep, looking and working together.
    pub ran_ns: u64,
    /// Of that: waiting for frames, commands or a deadline.
    pub asleep_ns: u64,
    /// Of that: awake without any frames, for timers, commands, or polling.
    pub looking_ns: u64,
    /// Of that: awake with frames. This share of `ran_ns` is how busy it is.
    pub working_ns: u64,
    /// What the kernel's scheduler says of its thread; left out where that does not count.
    #[serde(default)]
    pub schedule: Option<RuntimeSchedule>,
    /// Ends of waiting.
    pub wakes: u64,
    /// Of those: by another thread, with frames or a command.
    pub wakes_called: u64,
    /// Rounds over the ports that were ready.
    pub rounds: u64,
    /// Looks at ports; a super-frame is one frame.
    pub receive: RuntimeCalls,
    /// Queues handed to ports; a super-frame is one frame.
    pub send: RuntimeCalls,
    /// Readings of the rings from other workers, and what came by them.
    pub taken: RuntimeCalls,
    /// Hand-overs to other workers, and what went by them.
    pub handed: RuntimeCalls,
    /// What a full ring to another worker refused; frames among it are counted as dropped (`ring_full`).
    pub refused: u64,
    /// How often it woke after the deadline that it had slept for.
    pub deadlines: u64,
    /// By how much, all together.
    pub late_ns: u64,
    /// By how much, at most.
    pub latest_ns: u64,
    /// One look at a port in so many is timed, with all that follows from it.
    pub timed_one_in: u32,
    /// How many were.
    pub timed: u64,
    /// What they consisted of. All but the last of a frame's stages are counted in what they were given.
    pub stages: Vec<RuntimeStage>,
}

/// What the kernel's scheduler says of a thread.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RuntimeSchedule {
    /// It had a processor.
    pub ran_ns: u64,
    /// It was ready, and had none: what others took.
    pub waited_ns: u64,
    /// How often it was given one.
    pub turns: u64,
}

/// Calls, and what they moved.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct RuntimeCalls {
    /// Calls that moved something.
    pub calls: u64,
    /// Calls that found nothing.
    pub empty: u64,
    /// What they moved.
    pub frames: u64,
}

/// A stage of the work, as far as it was timed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RuntimeStage {
    /// `receive`, `validate`, `forward`, `cut`, `protect` or `send`.
    pub stage: String,
    /// Frames in it: of `cut` those that super-frames became.
    pub frames: u64,
    /// What it took.
    pub ns: u64,
}
