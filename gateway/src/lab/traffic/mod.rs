//! Real traffic through kernel sockets of the lab's nodes, and what arrived of it.
//!
//! [`ping`] asks and waits; [`tcp`] streams octets that are checked one by one at the far end; [`udp`] sends many flows
//! of numbered datagrams and says which were lost, came twice or out of order, and when. Streams and flows run on
//! threads behind a handle, so that something can happen to the network in the middle.
//!
//! Sockets are opened inside a node's namespace and belong to it from then on; the threads that use them stay where
//! they are. Every payload carries a [`mark`], which [`super::capture`] looks for: seen on a channel, it is a leak.

pub mod mark;
pub mod ping;
pub mod tcp;
pub mod udp;
