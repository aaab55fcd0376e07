//! Frame Replication and Elimination for Reliability, IEEE 802.1CB-2017: every frame twice, delivered once.
//!
//! The near end numbers the frames of a connection ([`SequenceGeneration`], §7.4.1), writes the number into a
//! redundancy tag ([`rtag`], §7.8) and sends each frame by two attachments. The far end removes what it has seen
//! ([`SequenceRecovery`], the vector recovery algorithm of §7.4.3.4) and notices when the second copies
//! stop coming although nothing is lost yet (latent error detection, §7.4.4). The tag is inside the ciphertext and behind
//! the attachment's VLAN tag, so its numbers are authenticated: nobody outside can make a stream rogue.
//!
//! # What is here and what is not
//! The member streams of a connection are its attachments; a stream is identified by the tag itself. There is
//! no individual recovery (§7.5: MACsec's replay protection already does that for each channel) and no match recovery
//! algorithm (§7.4.3.5). Counters have the standard's names (§10.8), see [`RecoveryCounters::named`].
//!
//! # How long a history
//! A copy may be this many frames later than its twin: rate times difference in delay. 1,000,000 frames/s over paths
//! that differ by 10 ms want 10,000. Half of the 16-bit number space is the limit: 32,768.
//!
//! # Cost and invariants
//! 1. A sequence number passes at most once between two resets, as long as its copies are less than the history apart.
//! 2. One frame costs one bit, set and tested; a jump ahead costs one word for each 64 numbers that it skips.
//! 3. All memory is allocated in `new`: one bit for each number of the history, 4 KiB at most.
//! 4. A stream that restarts at another number is deaf for the reset timeout, then heard: rogues do not restart the timer.

mod generate;
mod history;
mod latent;
mod recover;
pub mod rtag;
#[cfg(test)]
mod tests;

use core::time::Duration;

pub use generate::SequenceGeneration;
pub use recover::SequenceRecovery;

/// frerSeqRcvyHistoryLength, §10.4.1.6: how many sequence numbers are remembered, 2..=32,768.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct HistoryLength(u16);

impl HistoryLength {
    /// The shortest that the standard allows.
    pub const MIN: Self = Self(2);
    /// Half of the number space: with more, ahead and behind could not be told apart.
    pub const MAX: Self = Self(0x8000);

    /// `None` outside of 2..=32,768.
    pub const fn new(length: u16) -> Option<Self> {
        if length >= Self::MIN.0 && length <= Self::MAX.0 { Some(Self(length)) } else { None }
    }

    /// As a number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// How a stream is recovered: the managed objects of §10.4.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecoveryParams {
    /// frerSeqRcvyHistoryLength, §10.4.1.6.
    pub history_length: HistoryLength,
    /// frerSeqRcvyResetMSec, §10.4.1.7: without an accepted frame for so long, any number is taken as the next one.
    pub reset: Duration,
    /// frerSeqRcvyTakeNoSequence, §10.4.1.9: frames without a tag pass.
    pub take_no_sequence: bool,
    /// frerSeqRcvyLatentErrorDetection, §10.4.1.11, with its parameters; `None`: off.
    pub latent: Option<LatentErrorParams>,
}

impl Default for RecoveryParams {
    /// 8,192 frames; the standard's 1000 ms; latent errors as below.
    fn default() -> Self {
        Self {
            history_length: HistoryLength(8192),
            reset: Duration::from_millis(1000),
            take_no_sequence: false,
            latent: Some(LatentErrorParams::default()),
        }
    }
}

/// When missing second copies are an error: the managed objects of §10.4.1.12.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LatentErrorParams {
    /// frerSeqRcvyLatentErrorDifference: more copies than this missing (or too many) since the last base.
    pub difference: u64,
    /// frerSeqRcvyLatentErrorPeriod: how often to test.
    pub period: Duration,
    /// frerSeqRcvyLatentErrorPaths: copies of each frame, 2 or more.
    pub paths: u8,
    /// frerSeqRcvyLatentResetPeriod: how often to take a new base, so that rare losses do not add up.
    pub reset_period: Duration,
}

impl Default for LatentErrorParams {
    /// The standard's 2 s, two paths and 30 s; a difference of 100 frames.
    fn default() -> Self {
        Self {
            difference: 100,
            period: Duration::from_secs(2),
            paths: 2,
            reset_period: Duration::from_secs(30),
        }
    }
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The first of its number: deliver it.
    Pass,
    /// Its number was seen: discard it.
    Duplicate,
    /// Its number is farther from the last than the history reaches: discard it.
    Rogue,
    /// It has no number, and those are not taken: discard it.
    Tagless,
}

/// Something that the owner of a stream should know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// SIGNAL_LATENT_ERROR, §7.4.4.1: copies are missing; one path has failed, and the stream has no redundancy left.
    LatentError,
    /// The copies come again.
    LatentErrorOver,
}

/// The counters of a recovery function, §10.8.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RecoveryCounters {
    /// Accepted, but not the next number (§10.8.3).
    pub out_of_order: u64,
    /// Farther off than the history (§10.8.4). Not in `discarded`, which would mislead latent error detection.
    pub rogue: u64,
    /// Accepted (§10.8.5).
    pub passed: u64,
    /// Duplicates, and frames without a number where those are not taken (§10.8.6).
    pub discarded: u64,
    /// Numbers that left the history unseen (§10.8.7), except those from before the last reset: see `recover.rs`.
    pub lost: u64,
    /// Frames without a number (§10.8.8).
    pub tagless: u64,
    /// Resets, the first one at the start (§10.8.9).
    pub resets: u64,
    /// New bases of latent error detection, the first one at the start (§10.8.10).
    pub latent_error_resets: u64,
}

impl RecoveryCounters {
    /// Each with the standard's name.
    pub const fn named(&self) -> [(&'static str, u64); 8] {
        [
            ("frerCpsSeqRcvyOutOfOrderPackets", self.out_of_order),
            ("frerCpsSeqRcvyRoguePackets", self.rogue),
            ("frerCpsSeqRcvyPassedPackets", self.passed),
            ("frerCpsSeqRcvyDiscardedPackets", self.discarded),
            ("frerCpsSeqRcvyLostPackets", self.lost),
            ("frerCpsSeqRcvyTaglessPackets", self.tagless),
            ("frerCpsSeqRcvyResets", self.resets),
            ("frerCpsSeqRcvyLatentErrorResets", self.latent_error_resets),
        ]
    }
}
