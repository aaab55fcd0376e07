//! How good a path is: the Simple Two-way Active Measurement Protocol, RFC 8762, and a judge of what it measures.
//!
//! A [`Sender`] sends a small probe every few milliseconds through an attachment; a [`Reflector`] at the far end (ours, or other
//! equipment's) sends it back with its own sequence number and two timestamps. From each second's probes the
//! sender makes a [`Report`]: loss each way, round-trip time, and how much the delay varies each way. [`Quality`] turns reports
//! into one bit, with hysteresis: is the path good enough to carry traffic.
//!
//! Probes travel inside the ciphertext, so nobody outside the two gateways can forge them; authenticated mode (§4.4) is for peers
//! whose reflector is somewhere behind the gateway.
//!
//! # What is measured how
//! - *Loss each way* needs a stateful reflector (§4.3), whose sequence number counts what arrived there: numbers that it
//!   skipped were lost on the way back. Of a stateless one only the sum is known.
//! - *Round-trip time* is ours alone minus the reflector's own residence: the two clocks need not agree.
//! - *Delay variation each way* is the mean difference between neighbours in time (RFC 3550 §6.4.1), in which a constant offset of
//!   the clocks cancels out.
//!
//! # What is tolerated
//! Extensions of RFC 8972: the session identifier is used; unknown TLVs are sent back with their U flag set, and ignored on
//! return. Not there: class of service, access report, follow-up telemetry.
//!
//! # Invariants
//! No clock, no socket: time is `now`, wall time an offset given with it. Nothing is allocated after `new`. A packet
//! from outside is a refusal with a reason, never a panic. A session has at most [`OUTSTANDING`] probes that count.

mod packet;
mod quality;
mod reflector;
mod sender;
#[cfg(test)]
mod tests;
mod time;

pub use packet::{AUTHENTICATED_LEN, BASE_LEN, HmacKey, Mode, Refusal, Reply, Request};
pub use quality::{Quality, Thresholds, Why};
pub use reflector::{Reflector, SessionKey};
pub use sender::{OUTSTANDING, Report, Sender, SenderParams};
pub use time::{ErrorEstimate, Ntp, WallClock};

/// The UDP port of the reflector, RFC 8762 §4.1.
pub const PORT: u16 = 862;
