//! A connection's routes as the control plane keeps them.

use core::net::IpAddr;
use std::{collections::BTreeMap, sync::Arc};

use net::{IpNet, Ipv4Net, Ipv6Net};

use super::{ConnectionTables, Target, targets::Targets};
use crate::fib::{Book, Fib4, Fib6, NextHopId};

/// The routes of one connection, and the tables that follow them.
///
/// A prefix may have a *fixed* target, from the configuration, and a *learnt* one, from a neighbour; the fixed one goes before. Host bits
/// of prefixes are ignored. What [`tables`](Self::tables) costs depends on what changed since the last call, and not on
/// how many routes there are: a prefix costs some microseconds, and some 100 ns more for each route inside it. The tables
/// handed out before stay as they are, and share what did not change.
#[derive(Debug)]
pub struct RouteSet {
    v4: Book<Ipv4Net>,
    v6: Book<Ipv6Net>,
    targets: Targets,
    newest: Arc<ConnectionTables>,
}

impl RouteSet {
    /// What is fixed; of two routes for one prefix the later counts.
    pub fn new(fixed: impl IntoIterator<Item = (IpNet, Target)>) -> Self {
        let mut set =
            Self { v4: Book::new(), v6: Book::new(), targets: Targets::default(), newest: Arc::default() };
        for (prefix, target) in fixed {
            set.fix(prefix.trunc(), Some(target));
        }
        set
    }

    /// Another configuration: this is fixed from now on, and nothing else. Of two routes for one prefix the later counts.
    pub fn rebase(&mut self, fixed: impl IntoIterator<Item = (IpNet, Target)>) {
        let fixed: BTreeMap<_, _> =
            fixed.into_iter().map(|(prefix, target)| (prefix.trunc(), target)).collect();
        let v4 = self.v4.all_fixed().map(IpNet::V4);
        let before: Vec<_> = v4.chain(self.v6.all_fixed().map(IpNet::V6)).collect();
        for prefix in before.into_iter().filter(|prefix| !fixed.contains_key(prefix)) {
            self.fix(prefix, None);
        }
        for (prefix, target) in fixed {
            self.fix(prefix, Some(target));
        }
    }

    fn fix(&mut self, prefix: IpNet, target: Option<Target>) {
        let id = target.map(|target| self.targets.take(target));
        let before = match prefix {
            IpNet::V4(prefix) => self.v4.fix(prefix, id),
            IpNet::V6(prefix) => self.v6.fix(prefix, id),
        };
        if let Some(before) = before {
            self.targets.release(before);
        }
    }

    /// A neighbour's routes lead packets to `prefix` there from now on. True when that is new.
    pub fn learn(&mut self, prefix: IpNet, target: Target) -> bool {
        let id = self.targets.take(target);
        self.set(prefix, Some(id))
    }

    /// No neighbour knows `prefix` any more. True when one did.
    pub fn forget(&mut self, prefix: IpNet) -> bool {
        self.set(prefix, None)
    }

    fn set(&mut self, prefix: IpNet, id: Option<NextHopId>) -> bool {
        let before = match prefix.trunc() {
            IpNet::V4(prefix) => self.v4.learn(prefix, id),
            IpNet::V6(prefix) => self.v6.learn(prefix, id),
        };
        if let Some(before) = before {
            self.targets.release(before);
        }
        before != id
    }

    /// True when the tables of now are others than those handed out last.
    pub const fn is_changed(&self) -> bool {
        self.v4.is_changed() || self.v6.is_changed() || self.targets.is_changed()
    }

    /// The tables of now.
    pub fn tables(&mut self) -> Arc<ConnectionTables> {
        if self.is_changed() {
            self.newest = Arc::new(self.make());
        }
        Arc::clone(&self.newest)
    }

    pub(super) fn make(&mut self) -> ConnectionTables {
        let before = &self.newest;
        ConnectionTables {
            fib4: if self.v4.is_changed() { Fib4::renew(&mut self.v4) } else { before.fib4.clone() },
            fib6: if self.v6.is_changed() { Fib6::renew(&mut self.v6) } else { before.fib6.clone() },
            compiled: self.targets.compile(&before.compiled),
        }
    }

    /// Where the learnt route for exactly this prefix leads, whether it counts or not.
    pub fn learned(&self, prefix: &IpNet) -> Option<&Target> {
        self.targets.of(match prefix.trunc() {
            IpNet::V4(prefix) => self.v4.learned(&prefix)?,
            IpNet::V6(prefix) => self.v6.learned(&prefix)?,
        })
    }

    /// Whether the configuration says what is done with packets to this prefix.
    pub fn is_fixed(&self, prefix: &IpNet) -> bool {
        match prefix.trunc() {
            IpNet::V4(prefix) => self.v4.is_fixed(&prefix),
            IpNet::V6(prefix) => self.v6.is_fixed(&prefix),
        }
    }

    /// The longest prefix that holds `address`, learnt or fixed.
    pub fn longest(&self, address: IpAddr) -> Option<IpNet> {
        match address {
            IpAddr::V4(address) => self.v4.longest(address.to_bits()).map(IpNet::V4),
            IpAddr::V6(address) => self.v6.longest(address.to_bits()).map(IpNet::V6),
        }
    }

    /// Everything that was learnt, in order: IPv4 first, by address, then by length.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, &Target)> {
        let v4 = self.v4.all_learned().map(|(prefix, id)| (IpNet::V4(prefix), id));
        let v6 = self.v6.all_learned().map(|(prefix, id)| (IpNet::V6(prefix), id));
        v4.chain(v6).filter_map(|(prefix, id)| Some((prefix, self.targets.of(id)?)))
    }

    /// How many prefixes were learnt.
    pub fn len(&self) -> usize {
        self.v4.learned_len() + self.v6.learned_len()
    }

    /// True when nothing was learnt.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
