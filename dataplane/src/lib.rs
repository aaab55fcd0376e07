//! Frames: from a port, through MACsec and the forwarding tables, to another port.
//!
//! # A frame's life
//! A worker thread (in `gateway`) asks a [`port::Port`] for a [`Batch`] of [`Frame`]s and hands it to
//! its [`Dataplane`]. Every frame belongs to one *interface* of one *connection*: a LAN interface (port,
//! perhaps a VLAN) or an attachment (a VLAN inside the ciphertext of a channel). Channel frames go through
//! the channel's SecY first. Then the connection's own FIB decides: deliver to the gateway itself, or send
//! out by an interface, perhaps one of an ECMP group. On the way out a super-frame is cut to what the
//! channel carries, each piece is protected in place, and the worker sends what the [`Dataplane`] collected
//! for each port.
//!
//! # Invariants
//! 1. The per-frame path allocates nothing, locks nothing, logs nothing. Buffers come from a [`Pool`].
//! 2. A channel and its SecY belong to exactly one worker, so packet numbers and replay windows are plain
//!    integers and packet number order is wire order.
//! 3. [`Tables`] never change once built; a newer generation replaces them between two batches. It shares with them what
//!    did not change, and is made from a [`RouteSet`] in the time that the change takes.
//! 4. A LAN frame leaves by a channel only through its SecY: fail closed.
//! 5. Each frame that is dropped has one [`DropReason`], counted once.
//! 6. No clock, no I/O outside [`port`]: time comes in as `now`.
#![forbid(unsafe_code)]

pub mod bfd;
#[cfg(test)]
mod chance;
mod channel;
mod closed_list;
mod crossing;
pub mod damping;
mod demux;
pub mod fib;
pub mod flow;
mod fragment;
mod frame;
pub mod frer;
pub mod group;
pub mod icmp;
mod ids;
mod key_agreement;
pub mod lacp;
pub mod liveness;
pub mod meter;
pub mod neighbor;
pub mod offload;
mod pipeline;
mod pool;
pub mod port;
mod precedence;
pub mod protection;
mod setup;
pub mod stamp;
mod tables;
pub mod underlay;
mod verdict;
mod vlan;

pub use self::pipeline::{
    ChannelSnapshot, Clock, Dataplane, Event, InterfaceCounters, InterfaceSnapshot, LagSnapshot, Moved,
    PortSnapshot, ProtectionSnapshot, QualityParams, QualityStatus, RedundancySnapshot, Rehearsal, Snapshot,
    StageTime, StageTimes,
};
pub use channel::ChannelCounters;
pub use crossing::{Crossing, Pair};
pub use frame::{BATCH, BATCH_OCTETS, Batch, Frame};
pub use ids::{ChannelId, ConnectionId, InterfaceId, LagId, PortId, WorkerId};
pub use liveness::{Board, Fault, Faults};
pub use pool::{Depot, HEADROOM, Pool, PoolSizes, TAILROOM};
pub use port::PortCaps;
pub use precedence::{Backlog, Pressure, Wanted};
pub use setup::{
    ChannelSetup, ConnectionKind, ConnectionSetup, InterfaceSetup, LagMember, LagSetup, MssClamp, Place,
    PortSetup, Protection, Setup, TwiceSetup,
};
pub use tables::{ConnectionTables, Hop, RouteSet, Tables, Target};
pub use verdict::{DropCounters, DropReason};
