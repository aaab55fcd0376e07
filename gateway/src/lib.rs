//! The gateway as a library: where clock, disk, sockets and threads meet the cores.
//!
//! [`assemble`] turns a configuration into what runs, [`worker`] drives a `Dataplane` on its thread, [`control`] starts
//! and watches everything, [`key_agreement`] gives KaYs their keys and tells what becomes of them, [`state`] keeps packet
//! numbers from being used twice, [`ports`] and [`link_monitor`] are the kernel's devices, [`clock`] is the only clock.
//! People and scripts meet it in [`cli`], which reads what runs through [`api`] and shows it with [`show`]; [`logging`]
//! tells what happens, [`secrets`] reads keys and [`keygen`] makes them, and [`decode`] reads captures without any
//! gateway. [`lab`] builds networks on this machine, and [`demo`] shows two gateways in one.
#![forbid(unsafe_code)]

pub mod api;
pub mod assemble;
pub mod cli;
pub mod clock;
pub mod control;
pub mod decode;
pub mod demo;
pub mod key_agreement;
pub mod keygen;
pub mod lab;
pub mod link_monitor;
pub mod logging;
pub mod names;
pub mod ports;
pub mod run;
pub mod secrets;
pub mod show;
pub mod state;
mod static_keys;
pub mod worker;
