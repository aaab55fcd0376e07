//! The gateway as a library: where clock, disk, sockets and threads meet the cores.
//!
//! [`assemble`] turns a configuration into what runs, [`worker`] drives a `Dataplane` on its thread, and [`runtime`] keeps account of its time, [`control`] starts
//! and watches everything, [`key_agreement`] gives KaYs their keys and tells what becomes of them, [`state`] keeps packet
//! numbers from being used twice and [`received`] from being accepted twice, [`ports`] and [`link_monitor`] are the
//! kernel's devices, [`clock`] is the only clock, [`reload`] changes what runs, and [`handover`] restarts it under traffic. [`bgp`] speaks with routers, and [`pacemaker`] keeps BFD in time on a busy machine.
//! People and scripts meet it in [`cli`], which reads what runs through [`api`] and shows it with [`show`]; [`metrics`]
//! are the same as numbers; [`logging`] tells what happens, [`secrets`] reads keys and [`keygen`] makes them, and [`decode`] reads captures without any
//! gateway. [`doctor`] looks whether the machine is fit, [`bench`] measures what it can carry, [`lab`] builds networks on it, and [`demo`] shows two gateways in one.
#![forbid(unsafe_code)]

pub mod api;
pub mod assemble;
pub mod bench;
mod bfd;
pub mod bgp;
pub mod cli;
pub mod clock;
pub mod control;
pub mod decode;
pub mod demo;
pub mod doctor;
pub mod drain;
pub mod drill;
pub mod events;
pub mod handover;
pub mod key_agreement;
pub mod keygen;
pub mod lab;
mod lag;
pub mod link_monitor;
pub mod logging;
pub mod metrics;
pub mod names;
pub mod pacemaker;
pub mod policer;
pub mod ports;
mod quality;
pub mod received;
pub mod reload;
pub mod run;
pub mod runtime;
pub mod secrets;
pub mod show;
pub mod state;
mod static_keys;
mod talk;
pub mod worker;
