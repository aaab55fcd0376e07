//! Where packets go: the immutable lookup state of one generation.
//!
//! The control plane builds a new [`Tables`] for every change and hands each worker an `Arc` of it; a worker
//! swaps it between two batches. Nothing in here knows which attachments are live: that changes faster
//! than routes do, and lives in [`crate::liveness`].
//!
//! All that is long is done where tables are built: what the buckets of a group prefer ([`Preferences`]), once for all groups of
//! the same weights, and the list of neighbours that routes lead to. A worker that swaps looks at the members of each
//! group, and at nothing else, and not even at those when only prefixes changed. Whoever builds them keeps a [`RouteSet`]: the next tables then cost what changed.

mod route_set;
mod targets;

use core::net::IpAddr;
use std::sync::Arc;

use net::IpNet;

pub use self::route_set::RouteSet;
use self::targets::Compiled;
use crate::{
    InterfaceId,
    fib::{Fib4, Fib6},
    group::Preferences,
};

/// One generation of all forwarding tables.
#[derive(Debug, Default)]
pub struct Tables {
    /// Grows with every change.
    pub generation: u64,
    /// By [`ConnectionId`](crate::ConnectionId). Shared with the generation before where nothing changed.
    pub connections: Vec<Arc<ConnectionTables>>,
}

/// What one connection knows.
#[derive(Debug, Default)]
pub struct ConnectionTables {
    pub(crate) fib4: Fib4,
    pub(crate) fib6: Fib6,
    compiled: Compiled,
}

/// Hops that share flows.
#[derive(Clone, Debug)]
pub(crate) struct HopGroup {
    /// At most [`MAX_MEMBERS`](crate::group::MAX_MEMBERS).
    pub(crate) hops: Arc<[Hop]>,
    pub(crate) preferences: Arc<Preferences>,
}

impl HopGroup {
    /// The hop for flows with this hash, among those whose bit is set in `live`.
    #[inline]
    pub(crate) fn choose(&self, live: u64, hash: u32) -> Option<Hop> {
        self.hops.get(self.preferences.choose(live, hash)?.index()).copied()
    }
}

/// A way out: an interface and the neighbour to give the packet to.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Hop {
    /// Out by this interface.
    pub interface: InterfaceId,
    /// To this neighbour on it.
    pub gateway: IpAddr,
    /// Its share of the flows relative to the other hops of the group: 1..=255.
    pub weight: u8,
    /// Otherwise it carries nothing and keeps its seat, and its share with it: so the others keep their flows when it gets a
    /// route, or loses it.
    pub carries: bool,
}

/// What is done with packets that match a route.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Target {
    /// It is the gateway's own address, on this interface.
    Local(InterfaceId),
    /// The destination is a neighbour on this interface.
    OnLink(InterfaceId),
    /// Spread by flow over these hops; one hop is a plain gateway.
    Via(Vec<Hop>),
    /// Dropped without a word.
    Blackhole,
    /// Dropped; the sender is told.
    Unreachable,
}

/// The compiled form of a [`Target`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NextHop {
    Local(InterfaceId),
    OnLink(InterfaceId),
    /// The index of a group of this connection.
    Group(u32),
    Blackhole,
    Unreachable,
}

impl ConnectionTables {
    /// Compiles routes. Of two routes for one prefix the later one counts.
    pub fn build(routes: impl IntoIterator<Item = (IpNet, Target)>) -> Self {
        RouteSet::new(routes).make()
    }

    /// The groups that [`NextHop::Group`] speaks of.
    #[inline]
    pub(crate) fn groups(&self) -> &[HopGroup] {
        &self.compiled.groups
    }

    /// True when the groups are those of `other`: only which prefixes lead there may differ.
    pub(crate) fn leads_where(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.compiled.groups, &other.compiled.groups)
    }

    /// The neighbours on this interface that routes lead to.
    pub(crate) fn neighbors_on(&self, interface: InterfaceId) -> &[(InterfaceId, IpAddr)] {
        let neighbors = &self.compiled.neighbors;
        let from = neighbors.partition_point(|(at, _)| *at < interface);
        let to = neighbors.partition_point(|(at, _)| *at <= interface);
        neighbors.get(from..to).unwrap_or_default()
    }

    pub(crate) fn lookup(&self, destination: IpAddr) -> Option<NextHop> {
        let id = match destination {
            IpAddr::V4(address) => self.fib4.lookup(address)?,
            IpAddr::V6(address) => self.fib6.lookup(address)?,
        };
        self.compiled.next_hops.get(id.index()).copied()
    }
}

#[cfg(test)]
mod tests;
