//! What routes lead to, each thing once, with a number that stays while a route leads there.

use core::net::IpAddr;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{Hop, HopGroup, NextHop, Target};
use crate::{
    InterfaceId,
    fib::NextHopId,
    group::{MAX_MEMBERS, Preferences, Weight},
};

/// Targets, each once, with a number and a count of its users.
#[derive(Debug, Default)]
pub(super) struct Targets {
    numbers: HashMap<Target, NextHopId>,
    slots: Vec<Option<Slot>>,
    free: Vec<NextHopId>,
    /// By weights: long to compute, and the same for all groups of the same weights.
    preferences: BTreeMap<Vec<Weight>, Arc<Preferences>>,
    changed: bool,
}

#[derive(Debug)]
struct Slot {
    target: Target,
    users: usize,
    /// What [`Target::Via`] is made into.
    group: Option<HopGroup>,
}

/// All targets, as workers read them; shared with the generation before when none came or went.
#[derive(Clone, Debug, Default)]
pub(crate) struct Compiled {
    /// By [`NextHopId`]. What no route leads to is unreachable.
    pub(crate) next_hops: Arc<[NextHop]>,
    pub(crate) groups: Arc<[HopGroup]>,
    /// All neighbours that groups lead to, each once, in the order of interfaces.
    pub(crate) neighbors: Arc<[(InterfaceId, IpAddr)]>,
}

impl Targets {
    /// The number of `target`, with one more user.
    pub(super) fn take(&mut self, target: Target) -> NextHopId {
        if let Some(&number) = self.numbers.get(&target) {
            if let Some(Some(slot)) = self.slots.get_mut(number.index()) {
                slot.users += 1;
            }
            return number;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            let last = u32::try_from(self.slots.len() - 1).ok();
            #[expect(clippy::expect_used, reason = "2^31 different targets do not fit in memory")]
            last.and_then(NextHopId::new).expect("fewer than 2^31 targets")
        });
        let group = match &target {
            Target::Via(hops) => Some(self.group(hops)),
            Target::Local(_) | Target::OnLink(_) | Target::Blackhole | Target::Unreachable => None,
        };
        self.numbers.insert(target.clone(), number);
        if let Some(slot) = self.slots.get_mut(number.index()) {
            *slot = Some(Slot { target, users: 1, group });
        }
        self.changed = true;
        number
    }

    /// One user less; a target without any is forgotten.
    pub(super) fn release(&mut self, number: NextHopId) {
        let Some(place) = self.slots.get_mut(number.index()) else { return };
        let Some(slot) = place else { return };
        slot.users -= 1;
        if slot.users > 0 {
            return;
        }
        self.numbers.remove(&slot.target);
        *place = None;
        self.free.push(number);
        self.changed = true;
    }

    pub(super) fn of(&self, number: NextHopId) -> Option<&Target> {
        self.slots.get(number.index())?.as_ref().map(|slot| &slot.target)
    }

    pub(super) const fn is_changed(&self) -> bool {
        self.changed
    }

    /// What workers read; `before` when nothing changed since.
    pub(super) fn compile(&mut self, before: &Compiled) -> Compiled {
        if !core::mem::take(&mut self.changed) {
            return before.clone();
        }
        let mut groups = Vec::new();
        let mut next_hop = |slot: &Slot| match (&slot.target, &slot.group) {
            (Target::Local(interface), _) => NextHop::Local(*interface),
            (Target::OnLink(interface), _) => NextHop::OnLink(*interface),
            (Target::Blackhole, _) => NextHop::Blackhole,
            (Target::Unreachable, _) | (Target::Via(_), None) => NextHop::Unreachable,
            (Target::Via(_), Some(group)) => {
                groups.push(group.clone());
                NextHop::Group(u32::try_from(groups.len() - 1).unwrap_or(u32::MAX))
            }
        };
        let slots = self.slots.iter();
        let next_hops = slots.map(|slot| slot.as_ref().map_or(NextHop::Unreachable, &mut next_hop)).collect();
        let hops = groups.iter().flat_map(|group| &*group.hops);
        let neighbors: BTreeSet<_> = hops.map(|hop| (hop.interface, hop.gateway)).collect();
        self.preferences.retain(|_, preferences| Arc::strong_count(preferences) > 1);
        Compiled { next_hops, groups: groups.into(), neighbors: neighbors.into_iter().collect() }
    }

    /// Members beyond the 64th are left out: more next hops than that have no use.
    fn group(&mut self, hops: &[Hop]) -> HopGroup {
        let hops: Arc<[Hop]> = hops.iter().take(MAX_MEMBERS).copied().collect();
        let weights: Vec<_> = hops.iter().map(|hop| Weight::new(hop.weight).unwrap_or(Weight::MIN)).collect();
        let preferences = self.preferences.entry(weights).or_insert_with_key(|weights| {
            #[expect(clippy::expect_used, reason = "64 members are allowed, and no more were taken")]
            Arc::new(Preferences::new(weights).expect("64 members fit"))
        });
        HopGroup { preferences: preferences.clone(), hops }
    }
}
