//! The vocabulary of the house: what every crate above needs in order to talk about frames.
//!
//! Addresses ([`MacAddr`], [`IpNet`]), code points ([`Dscp`]), headers that read like the figures of their standards
//! ([`ethernet`], [`arp`], [`ipv4`], [`ipv6`], [`udp`], [`tcp`], [`icmp`]), the Internet checksum
//! ([`checksum`]), a packet buffer with room at both ends ([`PacketBuf`]), a cursor for variable
//! messages ([`cursor`]), octets that a process leaves to its successor ([`mod@carry`]), the virtio-net header that super-frames carry ([`virtio`]), and time
//! ([`Instant`]), which here is a number that only `gateway::clock` may read from a clock.
//!
//! What is absent on purpose: I/O, clocks, state machines, allocation on any path that a frame takes.
//! Protocol messages with more than a header (MKPDUs, BGP messages) live with their protocol.
//!
//! Invariant: nothing here panics on any input. Parsing returns `None` or [`Malformed`]; a header
//! that was split off a slice was there in full.
#![forbid(unsafe_code)]

pub mod arp;
mod buffer;
pub mod carry;
pub mod checksum;
pub mod cursor;
mod dscp;
pub mod ethernet;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
mod mac;
pub mod tcp;
mod time;
pub mod udp;
pub mod virtio;

pub use buffer::PacketBuf;
pub use cursor::{Malformed, Reader, Writer};
pub use dscp::{Dscp, UnknownDscp};
pub use ethernet::{EtherType, Ethernet, VlanId, VlanTag};
pub use ipnet::{IpNet, Ipv4Net, Ipv6Net};
pub use mac::{MacAddr, ParseMacError};
pub use time::{Instant, earliest};
