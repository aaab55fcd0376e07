//! MKA from outside: published vectors, the traps of interworking, whole networks in virtual time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test that cannot go on should say so and stop"
)]

mod agreement;
mod bugs;
mod decode;
mod diagnosis;
mod handover;
mod hostile;
mod old_peer;
mod puppet;
mod rollover;
mod seeds;
mod settings;
mod traps;
mod vectors;
mod world;
