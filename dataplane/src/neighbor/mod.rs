//! Who is where on a link: ARP (RFC 826, RFC 1122 §2.3.2) and IPv6 Neighbor Discovery (RFC 4861), one cache for both.
//!
//! Each LAN interface and each attachment has one [`Neighbors`]. It knows the interface's own addresses, finds out
//! the MAC addresses of on-link neighbours when frames wait for them, answers when others ask for
//! ours, and probes neighbours that are in use so that a dead one is noticed. Redirects, router and prefix
//! discovery and address conflict detection (RFC 5227) are not a gateway's with a configuration.
//!
//! # How
//! Both protocols drive one state machine, that of RFC 4861 §7.3.2, which RFC 1122 §2.3.2.1 allows for ARP
//! (unicast poll). A frame asks [`Neighbors::resolve`] first: one hash lookup. On [`Resolve::Unknown`] it goes to
//! [`Neighbors::hold`], and comes out of [`Neighbors::poll_released`] or [`Neighbors::poll_failed`].
//! Rule for callers: one `handle_*`, `hold` or `learn`, then drain the polls, then the next.
//!
//! # Invariants
//! 1. Everything has a limit: entries, unanswered questions, waiting frames, new entries per second
//!    ([`NeighborLimits`]). An entry that carries traffic is never pushed out by new ones.
//! 2. Only a message that is addressed to us makes an entry. Others may update one that is there.
//! 3. Nothing is learned about an address outside the interface's subnets, a group, or an address of our own.
//! 4. No clock, no I/O; the seed decides all that is random.

mod arp;
mod build;
mod cache;
mod entry;
mod hash;
mod nd;
mod timers;

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use net::{Ipv4Net, Ipv6Net, MacAddr};

pub(crate) use self::hash::Dice;
pub use self::{cache::Neighbors, entry::NeighborState};

/// What bounds the cache of one interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NeighborLimits {
    /// Neighbours known or asked for. When full, the one that was idle longest makes room.
    pub entries: usize,
    /// Of these, neighbours that are asked for and have never answered.
    pub unresolved: usize,
    /// Frames that wait for one neighbour; a further one replaces the oldest (RFC 4861 §7.2.2).
    pub waiting_per_entry: usize,
    /// Frames that wait for any neighbour, or were not fetched since. A worker bounds all its interfaces together, too.
    pub waiting: usize,
    /// New entries per second for frames that wait, and as many again for neighbours that ask for us.
    pub new_per_second: u32,
    /// New entries at once.
    pub new_burst: u32,
    /// News for other workers that were not fetched yet; a further one replaces the oldest.
    pub learned: usize,
}

impl Default for NeighborLimits {
    /// For a LAN of some thousand hosts.
    fn default() -> Self {
        Self {
            entries: 4096,
            unresolved: 1024,
            waiting_per_entry: 64,
            waiting: 256,
            new_per_second: 512,
            new_burst: 512,
            learned: 1024,
        }
    }
}

/// What an interface's cache is made with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NeighborParams {
    /// The interface's own MAC address.
    pub own_mac: MacAddr,
    /// The interface's own IPv4 addresses, each with its subnet's prefix length.
    pub v4: Vec<Ipv4Net>,
    /// The interface's own IPv6 addresses, likewise. With any, and no link-local one among them, the link-local
    /// address of `own_mac` is added.
    pub v6: Vec<Ipv6Net>,
    /// Bounds.
    pub limits: NeighborLimits,
}

/// What is known of a neighbour when a frame wants to go there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resolve {
    /// Send it to this MAC address.
    Known(MacAddr),
    /// Nothing yet: [`Neighbors::hold`] the frame.
    Unknown,
}

/// One line of the cache, to be shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NeighborEntry {
    /// The neighbour's address.
    pub ip: IpAddr,
    /// Its MAC address, once known.
    pub mac: Option<MacAddr>,
    /// How sure that is.
    pub state: NeighborState,
    /// Since when it was last confirmed; while incomplete, since it is asked for.
    pub age: Duration,
}

/// A neighbour asked for one of our IPv4 addresses: to be answered with [`Neighbors::build_arp_reply`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ArpReply {
    /// Who asked.
    pub to: (MacAddr, Ipv4Addr),
    /// What for: an address of our own.
    pub own: Ipv4Addr,
}

/// A neighbour asked for one of our IPv6 addresses: to be answered with [`Neighbors::build_advertisement`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NdReply {
    /// Who asked; all nodes when it has no address yet (RFC 4861 §7.2.4).
    pub to: (MacAddr, Ipv6Addr),
    /// What for: an address of our own.
    pub own: Ipv6Addr,
    /// Whether the answer goes to who asked.
    pub solicited: bool,
}

/// What a valid ARP packet asks of the caller; what it told is already in the cache.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ArpOutcome {
    /// Nothing.
    Done,
    /// An answer.
    Reply(ArpReply),
    /// Another station uses our address: say so, it will break things.
    Conflict {
        /// The station.
        mac: MacAddr,
        /// Our address.
        own: Ipv4Addr,
    },
}

/// What a valid ND message asks of the caller; what it told is already in the cache.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NdOutcome {
    /// Nothing.
    Done,
    /// An answer.
    Reply(NdReply),
    /// Another station uses our address: say so, it will break things.
    Conflict {
        /// The station, when it told.
        mac: Option<MacAddr>,
        /// Our address.
        own: Ipv6Addr,
    },
}

/// Why an ARP or ND message was ignored.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadNeighborMessage {
    /// It is cut short, contradicts itself, or has a wrong checksum.
    #[error("the message is malformed")]
    Malformed,
    /// RFC 4861 §7.1: the hop limit is not 255, so it may come from beyond the link.
    #[error("the hop limit is not 255: the message may come from beyond the link")]
    FromBeyond,
    /// The sender is in none of the interface's subnets.
    #[error("the sender is in none of the interface's subnets")]
    OffLink,
    /// The sender's addresses are not those of a single station.
    #[error("the sender's address is not that of a single station")]
    NotAStation,
}

#[cfg(test)]
mod tests;
