//! All destinations, and what is needed to rank their paths.

use super::{AttributeTable, Destination, Path, PeerId, PrefixMap, Ranking};
use crate::{
    decision::{DecisionRules, PeerFacts},
    types::{Asn, Family},
    wire::attributes::Attributes,
};
use core::net::{IpAddr, Ipv4Addr};
use net::IpNet;
use std::sync::Arc;

/// The table of destinations.
#[derive(Debug)]
pub struct Rib {
    destinations: PrefixMap<Destination>,
    attributes: AttributeTable,
    facts: Vec<PeerFacts>,
    rules: DecisionRules,
}

/// What an operation did to a prefix.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Effect {
    /// Paths the peer has more now (or fewer, when negative).
    pub added: i8,
    /// The paths in use changed: others must hear of it.
    pub changed: bool,
}

impl Rib {
    /// An empty table.
    pub fn new(rules: DecisionRules) -> Self {
        Self {
            destinations: PrefixMap::default(),
            attributes: AttributeTable::default(),
            facts: vec![NOBODY],
            rules,
        }
    }

    /// How it chooses.
    pub const fn rules(&self) -> &DecisionRules {
        &self.rules
    }

    /// What is known of each peer, by number.
    pub fn facts(&self) -> &[PeerFacts] {
        &self.facts
    }

    /// Sets what is known of `peer`. A prefix is ranked by it the next time something happens to it.
    pub fn know(&mut self, peer: PeerId, facts: PeerFacts) {
        while self.facts.len() <= peer.index() {
            self.facts.push(NOBODY);
        }
        self.facts.iter_mut().skip(peer.index()).take(1).for_each(|slot| *slot = facts);
    }

    /// The shared copy of `attributes`.
    pub fn intern(&mut self, attributes: Attributes) -> Arc<Attributes> {
        self.attributes.intern(attributes)
    }

    /// The distinct attributes in memory.
    pub fn attribute_count(&self) -> usize {
        self.attributes.len()
    }

    /// Puts a path in.
    pub fn insert(&mut self, prefix: IpNet, path: Path) -> Effect {
        let ranking = Ranking { facts: &self.facts, rules: &self.rules };
        self.destinations.upsert(prefix, |destination| match destination {
            Some(destination) => {
                let added = i8::from(destination.of(path.peer).is_none());
                (Effect { added, changed: destination.insert(path, ranking) }, None)
            }
            None => (Effect { added: 1, changed: path.accepted.is_some() }, Some(Destination::new(path))),
        })
    }

    /// Takes the path of `peer` out.
    pub fn remove(&mut self, prefix: &IpNet, peer: PeerId) -> Effect {
        let ranking = Ranking { facts: &self.facts, rules: &self.rules };
        let effect = self.destinations.update(prefix, |destination| {
            let (count, changed) = destination.remove(|path| path.peer == peer, ranking);
            let added = if count > 0 { -1 } else { 0 };
            (Effect { added, changed }, !destination.is_empty())
        });
        effect.unwrap_or_default()
    }

    /// Takes every path of `peer` and `family` out that `condemned` names. Gives each prefix that lost
    /// one, and whether the paths in use changed.
    pub fn sweep(
        &mut self,
        family: Family,
        peer: PeerId,
        condemned: impl Fn(&Path) -> bool,
    ) -> Vec<(IpNet, bool)> {
        let ranking = Ranking { facts: &self.facts, rules: &self.rules };
        let mut swept = Vec::new();
        self.destinations.retain(family, |prefix, destination| {
            let (count, changed) = destination.remove(|path| path.peer == peer && condemned(path), ranking);
            if count > 0 {
                swept.push((prefix, changed));
            }
            !destination.is_empty()
        });
        swept
    }

    /// Imports every path of `peer` and `family` again. Gives the prefixes whose paths in use changed.
    pub fn reimport(
        &mut self,
        family: Family,
        peer: PeerId,
        mut import: impl FnMut(&IpNet, &Path, &mut AttributeTable) -> Option<Arc<Attributes>>,
    ) -> Vec<IpNet> {
        let ranking = Ranking { facts: &self.facts, rules: &self.rules };
        let (mut changed, attributes) = (Vec::new(), &mut self.attributes);
        self.destinations.retain(family, |prefix, destination| {
            if destination.reconsider(peer, |path| import(&prefix, path, attributes), ranking) {
                changed.push(prefix);
            }
            true
        });
        changed
    }

    /// Chooses anew everywhere, by other rules. Gives the prefixes whose paths in use changed.
    pub fn choose_by(&mut self, rules: DecisionRules) -> Vec<IpNet> {
        self.rules = rules;
        let ranking = Ranking { facts: &self.facts, rules: &self.rules };
        let mut changed = Vec::new();
        for family in Family::ALL {
            self.destinations.retain(family, |prefix, destination| {
                if destination.rerank(ranking) {
                    changed.push(prefix);
                }
                true
            });
        }
        changed
    }

    /// What is known about `prefix`.
    pub fn get(&self, prefix: &IpNet) -> Option<&Destination> {
        self.destinations.get(prefix)
    }

    /// The longest known prefix that holds `address`.
    pub fn lookup(&self, address: IpAddr) -> Option<(IpNet, &Destination)> {
        self.destinations.lookup(address)
    }

    /// All destinations, in order.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, &Destination)> {
        self.destinations.iter()
    }

    /// The destinations of one family, in order.
    pub fn of(&self, family: Family) -> impl Iterator<Item = (IpNet, &Destination)> {
        self.destinations.of(family)
    }

    /// How many prefixes of `family` are known.
    pub fn len(&self, family: Family) -> usize {
        self.destinations.len(family)
    }
}

/// Our own routes need no facts: they win by being ours.
const NOBODY: PeerFacts =
    PeerFacts { internal: false, router_id: 0, address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), asn: Asn(0) };
