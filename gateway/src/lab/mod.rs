//! A laboratory on one machine: hosts, gateways and the links between them, each node in a network namespace.
//!
//! A [`Topology`] says what there is; [`Lab::build`] makes it real with the kernel's own means (namespaces, veth
//! pairs, netlink) and no other program; dropping the [`Lab`] takes everything away again. Nothing outlives this
//! process: each namespace is held by a process that dies with it, and links and sockets vanish with their namespaces.
//!
//! Around it stand the instruments: [`traffic`] sends real traffic through kernel sockets (ping, TCP streams checked
//! octet by octet, numbered UDP flows) and [`capture`] looks at what really crosses a link, above all whether it
//! is in clear. [`wire`] makes links that can be bad in every way, and [`WiredSites`] is two sites joined by such.
//!
//! Privileges. Root can call [`Lab::build`] at any time, from any thread, so an ordinary `#[test]` can. Anybody else
//! becomes root of a user namespace first, with [`enter`], which Linux allows only to a process that has one thread:
//! it is the first call of a `main`. [`missing_privilege`] says beforehand whether a lab can be built.
//!
//! Invariant: nothing here changes the namespace or a setting of the machine outside the lab.

mod build;
pub mod capture;
mod error;
mod netlink;
mod privilege;
mod process;
mod stop;
mod topology;
pub mod traffic;
pub mod wire;
mod wired;

pub use build::Lab;
pub use error::LabError;
pub use privilege::{Entered, enter, missing_privilege, way_in};
pub use process::{Process, in_words};
pub use stop::Stop;
pub use topology::{End, Link, Node, Route, Topology};
pub use wired::{ChannelState, WiredSites};
