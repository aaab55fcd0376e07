//! Where packets go: the immutable lookup state of one generation.
//!
//! The control plane builds a new [`Tables`] for every change and hands each worker an `Arc` of it; a worker
//! swaps it between two batches. Nothing in here knows which attachments are live: that changes faster
//! than routes do, and lives in [`crate::liveness`].

use core::net::IpAddr;
use std::sync::Arc;

use net::{IpNet, Ipv4Net, Ipv6Net};

use crate::{
    InterfaceId,
    fib::{Fib4, Fib6, NextHopId},
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
    pub(crate) next_hops: Vec<NextHop>,
    pub(crate) groups: Vec<Vec<Hop>>,
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
        let mut tables = Self::default();
        let mut seen = std::collections::HashMap::new();
        let mut v4: Vec<(Ipv4Net, NextHopId)> = Vec::new();
        let mut v6: Vec<(Ipv6Net, NextHopId)> = Vec::new();
        for (prefix, target) in routes {
            let id = match seen.get(&target) {
                Some(&id) => id,
                None => {
                    let id = tables.push(&target);
                    seen.insert(target, id);
                    id
                }
            };
            match prefix {
                IpNet::V4(prefix) => v4.push((prefix.trunc(), id)),
                IpNet::V6(prefix) => v6.push((prefix.trunc(), id)),
            }
        }
        tables.fib4 = Fib4::build(v4);
        tables.fib6 = Fib6::build(v6);
        tables
    }

    fn push(&mut self, target: &Target) -> NextHopId {
        let next_hop = match target {
            Target::Local(interface) => NextHop::Local(*interface),
            Target::OnLink(interface) => NextHop::OnLink(*interface),
            Target::Blackhole => NextHop::Blackhole,
            Target::Unreachable => NextHop::Unreachable,
            Target::Via(hops) => {
                self.groups.push(hops.clone());
                NextHop::Group(u32::try_from(self.groups.len() - 1).unwrap_or(u32::MAX))
            }
        };
        self.next_hops.push(next_hop);
        let last = u32::try_from(self.next_hops.len() - 1).ok();
        #[expect(clippy::expect_used, reason = "2^31 different targets do not fit in memory")]
        last.and_then(NextHopId::new).expect("fewer than 2^31 targets")
    }

    pub(crate) fn lookup(&self, destination: IpAddr) -> Option<NextHop> {
        let id = match destination {
            IpAddr::V4(address) => self.fib4.lookup(address)?,
            IpAddr::V6(address) => self.fib6.lookup(address)?,
        };
        self.next_hops.get(id.index()).copied()
    }
}
