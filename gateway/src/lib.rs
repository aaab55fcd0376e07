//! The gateway as a library: where clock, disk, sockets and threads meet the cores.
//!
//! [`assemble`] turns a configuration into what runs, [`worker`] drives a `Dataplane` on its thread, [`control`] starts
//! and watches everything, [`state`] keeps packet numbers from being used twice, [`ports`] and [`link_monitor`] are the
//! kernel's devices, [`clock`] is the only clock. [`lab`] builds networks on this machine, [`demo`] shows a gateway in one.
#![forbid(unsafe_code)]

pub mod assemble;
pub mod clock;
pub mod control;
pub mod demo;
pub mod lab;
pub mod link_monitor;
pub mod names;
pub mod ports;
pub mod state;
pub mod worker;
