//! The SecY from outside: published vectors, the traps of interworking, properties.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test that cannot go on should say so and stop"
)]

mod batch;
mod keys;
mod properties;
mod support;
mod traps;
mod vectors;
mod verdicts;
mod window;
