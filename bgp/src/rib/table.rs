//! All destinations, and what is needed to rank their paths.

use super::{AttributeTable, Destination, Path, PeerId, PrefixMap, Ranking, holdings::Holdings};
use crate::{
    decision::{DecisionRules, PeerFacts},
    types::{Asn, Family},
    wire::attributes::Attributes,
};
use core::net::{IpAddr, Ipv4Addr};
use net::IpNet;
use std::{collections::BTreeMap, sync::Arc};

/// The table of destinations.
#[derive(Debug)]
pub struct Rib {
    destinations: PrefixMap<Destination>,
    attributes: AttributeTable,
    facts: Vec<PeerFacts>,
    rules: DecisionRules,
    /// Accepted paths by peer and family.
    accepted: BTreeMap<(PeerId, Family), u32>,
    holdings: Holdings,
}

/// What an operation did to a prefix.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Effect {
    /// Paths the peer has more now (or fewer, when negative).
    pub added: i8,
    /// The same of those that were accepted.
    pub accepted: i8,
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
            accepted: BTreeMap::new(),
            holdings: Holdings::default(),
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
        let (peer, new) = (path.peer, path.accepted.is_some());
        let effect = self.destinations.upsert(prefix, |destination| match destination {
            Some(destination) => {
                let added = i8::from(destination.of(peer).is_none());
                let accepted = i8::from(new).saturating_sub(i8::from(is_accepted(destination, peer)));
                (Effect { added, accepted, changed: destination.insert(path, ranking) }, None)
            }
            None => {
                (Effect { added: 1, accepted: i8::from(new), changed: new }, Some(Destination::new(path)))
            }
        });
        self.note_accepted(peer, Family::of(&prefix), effect.accepted.into());
        if effect.added > 0 {
            self.holdings.add(peer, prefix);
        }
        effect
    }

    /// Takes the path of `peer` out.
    pub fn remove(&mut self, prefix: &IpNet, peer: PeerId) -> Effect {
        let ranking = Ranking { facts: &self.facts, rules: &self.rules };
        let effect = self.destinations.update(prefix, |destination| {
            let accepted = if is_accepted(destination, peer) { -1 } else { 0 };
            let (count, changed) = destination.remove(|path| path.peer == peer, ranking);
            let added = if count > 0 { -1 } else { 0 };
            (Effect { added, accepted, changed }, !destination.is_empty())
        });
        let effect = effect.unwrap_or_default();
        self.note_accepted(peer, Family::of(prefix), effect.accepted.into());
        if effect.added < 0 {
            self.holdings.remove(peer, prefix);
        }
        effect
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
        let (mut swept, mut accepted) = (Vec::new(), 0_i64);
        let mut look = |prefix: IpNet, destination: &mut Destination| {
            let was = is_accepted(destination, peer);
            let (count, changed) = destination.remove(|path| path.peer == peer && condemned(path), ranking);
            if count > 0 {
                swept.push((prefix, changed));
                accepted = accepted.saturating_sub(i64::from(was));
            }
            !destination.is_empty()
        };
        match self.holdings.of(peer, family) {
            Some(few) => few.into_iter().for_each(|prefix| {
                self.destinations.update(&prefix, |destination| ((), look(prefix, destination)));
            }),
            None => self.destinations.retain(family, look),
        }
        swept.iter().for_each(|(prefix, _)| self.holdings.remove(peer, prefix));
        self.note_accepted(peer, family, accepted);
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
        let (mut changed, mut accepted, attributes) = (Vec::new(), 0_i64, &mut self.attributes);
        self.destinations.retain(family, |prefix, destination| {
            let import = |path: &Path| {
                let now = import(&prefix, path, attributes);
                accepted = accepted
                    .saturating_add(i64::from(now.is_some()))
                    .saturating_sub(i64::from(path.accepted.is_some()));
                now
            };
            if destination.reconsider(peer, import, ranking) {
                changed.push(prefix);
            }
            true
        });
        self.note_accepted(peer, family, accepted);
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

    /// How many paths of `peer` and `family` are accepted.
    pub fn accepted(&self, peer: PeerId, family: Family) -> u32 {
        self.accepted.get(&(peer, family)).copied().unwrap_or(0)
    }

    fn note_accepted(&mut self, peer: PeerId, family: Family, more: i64) {
        if more != 0 {
            let known = self.accepted.entry((peer, family)).or_default();
            *known = u32::try_from(i64::from(*known).saturating_add(more)).unwrap_or(0);
        }
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

fn is_accepted(destination: &Destination, peer: PeerId) -> bool {
    destination.of(peer).is_some_and(|path| path.accepted.is_some())
}

/// Our own routes need no facts: they win by being ours.
const NOBODY: PeerFacts =
    PeerFacts { internal: false, router_id: 0, address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), asn: Asn(0) };
