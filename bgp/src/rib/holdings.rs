//! What each peer has in the table, while that is little.
//!
//! Sweeping the paths of a peer means to look for them in the whole table. For a peer that has a good part of it that is
//! fair; one that has a handful could have a table of a million gone through for some octets, by a refresh that begins and
//! ends (RFC 7313). So the prefixes of a peer are kept while they are few. To make us forget them it must announce many, and
//! that costs it more than it costs us.

use crate::{rib::PeerId, types::Family};
use net::IpNet;
use std::collections::{BTreeMap, BTreeSet};

/// So many prefixes are few.
const FEW: usize = 16 * 1024;

/// By peer and family.
#[derive(Debug, Default)]
pub(super) struct Holdings(BTreeMap<(PeerId, Family), Holding>);

#[derive(Debug)]
struct Holding {
    count: usize,
    /// All of them; none once there were too many, until there are none at all.
    few: Option<BTreeSet<IpNet>>,
}

impl Default for Holding {
    fn default() -> Self {
        Self { count: 0, few: Some(BTreeSet::new()) }
    }
}

impl Holdings {
    /// The peer has a path to one prefix more.
    pub(super) fn add(&mut self, peer: PeerId, prefix: IpNet) {
        let holding = self.0.entry((peer, Family::of(&prefix))).or_default();
        holding.count = holding.count.saturating_add(1);
        if let Some(few) = &mut holding.few {
            few.insert(prefix);
            if few.len() > FEW {
                holding.few = None;
            }
        }
    }

    /// One less.
    pub(super) fn remove(&mut self, peer: PeerId, prefix: &IpNet) {
        let Some(holding) = self.0.get_mut(&(peer, Family::of(prefix))) else { return };
        holding.count = holding.count.saturating_sub(1);
        if let Some(few) = &mut holding.few {
            few.remove(prefix);
        }
        if holding.count == 0 {
            *holding = Holding::default();
        }
    }

    /// All prefixes of a peer, in order; `None` when they are not known.
    pub(super) fn of(&self, peer: PeerId, family: Family) -> Option<Vec<IpNet>> {
        match self.0.get(&(peer, family)) {
            None => Some(Vec::new()),
            Some(holding) => Some(holding.few.as_ref()?.iter().copied().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use net::Ipv4Net;

    fn prefix(at: usize) -> IpNet {
        let address = u32::try_from(at).unwrap() << 8;
        IpNet::V4(Ipv4Net::new(address.into(), 24).unwrap())
    }

    #[test]
    fn a_peer_with_many_prefixes_is_known_again_when_all_are_gone() {
        let (peer, other, v4) = (PeerId(1), PeerId(2), Family::Ipv4);
        let mut holdings = Holdings::default();
        holdings.add(other, prefix(7));
        (0..FEW).for_each(|at| holdings.add(peer, prefix(at)));
        assert_eq!(holdings.of(peer, v4).unwrap().len(), FEW);
        assert_eq!(holdings.of(peer, Family::Ipv6), Some(vec![]));
        holdings.add(peer, prefix(FEW));
        assert_eq!(holdings.of(peer, v4), None);
        (0..FEW).for_each(|at| holdings.remove(peer, &prefix(at)));
        assert_eq!(holdings.of(peer, v4), None, "one is there, and nobody knows which");
        holdings.remove(peer, &prefix(FEW));
        assert_eq!(holdings.of(peer, v4), Some(vec![]));
        holdings.add(peer, prefix(3));
        assert_eq!(
            (holdings.of(peer, v4), holdings.of(other, v4)),
            (Some(vec![prefix(3)]), Some(vec![prefix(7)]))
        );
    }
}
