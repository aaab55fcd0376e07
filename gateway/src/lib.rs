//! The gateway as a library: what the binary `quadspan` is made of, and what its tests call.
#![forbid(unsafe_code)]

pub mod clock;
pub mod demo;
pub mod lab;
