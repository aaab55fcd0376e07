//! Where packets go: the immutable lookup state of one generation.
//!
//! The control plane builds a new [`Tables`] for every change and hands each worker an `Arc` of it; a worker
//! swaps it between two batches. Nothing in here knows which attachments are live: that changes faster
//! than routes do, and lives in [`crate::liveness`].
//!
//! All that is long is done where tables are built: what the buckets of a group prefer ([`Preferences`]), once for all groups of
//! the same weights, and the list of neighbours that routes lead to. A worker that swaps looks at the members of each
//! group, and at nothing else.

use core::net::IpAddr;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use net::{IpNet, Ipv4Net, Ipv6Net};

use crate::{
    InterfaceId,
    fib::{Fib4, Fib6, NextHopId},
    group::{MAX_MEMBERS, Preferences, Weight},
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
    pub(crate) groups: Vec<HopGroup>,
    /// All neighbours that groups lead to, each once, in the order of interfaces.
    pub(crate) neighbors: Vec<(InterfaceId, IpAddr)>,
}

/// Hops that share flows.
#[derive(Clone, Debug)]
pub(crate) struct HopGroup {
    /// At most [`MAX_MEMBERS`].
    pub(crate) hops: Vec<Hop>,
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
    /// Its share of the flows relative to the other hops of the group: 1..=255. 0: it carries nothing and keeps its seat,
    /// so that the others keep their flows when it gets a route, or loses it.
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
        let mut seen = HashMap::new();
        let mut shared = BTreeMap::new();
        let mut v4: Vec<(Ipv4Net, NextHopId)> = Vec::new();
        let mut v6: Vec<(Ipv6Net, NextHopId)> = Vec::new();
        for (prefix, target) in routes {
            let id = match seen.get(&target) {
                Some(&id) => id,
                None => {
                    let id = tables.push(&target, &mut shared);
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
        let hops = tables.groups.iter().flat_map(|group| &group.hops);
        let neighbors: BTreeSet<_> = hops.map(|hop| (hop.interface, hop.gateway)).collect();
        tables.neighbors = neighbors.into_iter().collect();
        tables
    }

    /// The neighbours on this interface that routes lead to.
    pub(crate) fn neighbors_on(&self, interface: InterfaceId) -> &[(InterfaceId, IpAddr)] {
        let from = self.neighbors.partition_point(|(at, _)| *at < interface);
        let to = self.neighbors.partition_point(|(at, _)| *at <= interface);
        self.neighbors.get(from..to).unwrap_or_default()
    }

    fn push(&mut self, target: &Target, shared: &mut BTreeMap<Vec<Weight>, Arc<Preferences>>) -> NextHopId {
        let next_hop = match target {
            Target::Local(interface) => NextHop::Local(*interface),
            Target::OnLink(interface) => NextHop::OnLink(*interface),
            Target::Blackhole => NextHop::Blackhole,
            Target::Unreachable => NextHop::Unreachable,
            Target::Via(hops) => {
                self.groups.push(group(hops, shared));
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

/// Members beyond the 64th are left out: more next hops than that have no use.
fn group(hops: &[Hop], shared: &mut BTreeMap<Vec<Weight>, Arc<Preferences>>) -> HopGroup {
    let hops: Vec<Hop> = hops.iter().take(MAX_MEMBERS).copied().collect();
    let weights: Vec<_> = hops.iter().map(|hop| Weight::new(hop.weight).unwrap_or(Weight::MIN)).collect();
    let preferences = shared.entry(weights).or_insert_with_key(|weights| {
        #[expect(clippy::expect_used, reason = "64 members are allowed, and no more were taken")]
        Arc::new(Preferences::new(weights).expect("64 members fit"))
    });
    HopGroup { preferences: preferences.clone(), hops }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 500 routes with a next-hop group each; all have four hops of equal weight.
    fn many_groups() -> ConnectionTables {
        ConnectionTables::build((0..500_u16).map(|at| {
            let [high, low] = at.to_be_bytes();
            let hop = |interface| Hop {
                interface: InterfaceId(interface),
                gateway: [10, high, low, u8::try_from(interface).unwrap()].into(),
                weight: 1,
            };
            let prefix = format!("172.{}.{low}.0/24", 16 + high).parse().unwrap();
            (prefix, Target::Via((0..4).map(hop).collect()))
        }))
    }

    #[test]
    fn groups_of_the_same_weights_share_what_is_long_to_compute() {
        let tables = many_groups();
        let first = &tables.groups[0].preferences;
        assert_eq!(tables.groups.len(), 500);
        assert!(tables.groups.iter().all(|group| Arc::ptr_eq(&group.preferences, first)));
        assert_eq!(tables.groups[7].choose(0b0100, 5), Some(tables.groups[7].hops[2]));
        assert_eq!(tables.groups[7].choose(0, 5), None);
    }

    #[test]
    fn neighbours_are_listed_once_and_found_by_their_interface() {
        let mut routes: Vec<_> = vec![];
        for (prefix, gateways) in [("10.1.0.0/16", [1, 2]), ("10.2.0.0/16", [2, 3]), ("10.3.0.0/16", [2, 1])]
        {
            let hop = |at: u8| Hop {
                interface: InterfaceId(u16::from(at % 2)),
                gateway: [192, 0, 2, at].into(),
                weight: at,
            };
            routes.push((prefix.parse().unwrap(), Target::Via(gateways.map(hop).to_vec())));
        }
        let tables = ConnectionTables::build(routes);
        let on = |at| {
            tables.neighbors_on(InterfaceId(at)).iter().map(|(_, ip)| ip.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            (on(0), on(1), on(2)),
            (vec!["192.0.2.2".to_owned()], vec!["192.0.2.1".into(), "192.0.2.3".into()], vec![])
        );
    }
}
