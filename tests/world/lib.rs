//! The world that tests live in.
//!
//! [`World`] is two gateways joined in memory, with a host on each LAN and a clock that only the test moves: the
//! production [`dataplane::Dataplane`], nothing of it simulated. [`house`] is the source of the workspace as text, for
//! the tests by which the house checks itself.
#![forbid(unsafe_code)]

mod clock;
pub mod fuzz;
mod gateways;
pub mod house;
mod lane;
mod tally;

pub use gateways::{Plan, Side, World, arp_reply, key, routes, setup, udp};
pub use lane::{Dice, Lane};
pub use tally::Tally;
