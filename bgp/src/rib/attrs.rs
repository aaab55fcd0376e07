//! Interned attributes: routes with equal attributes share one copy of them.

use crate::wire::attributes::Attributes;
use std::{collections::HashSet, sync::Arc};

/// Octets of values that the table may hold, whatever is in use.
const FLOOR: usize = 128 * 1024;

/// The attributes of all routes, each value once.
///
/// Values that no route holds any more are dropped in sweeps, when the octets in the table have doubled since the
/// last one: the cost is constant per octet that came in, and what nobody holds is never more than what is held (or
/// [`FLOOR`]), however large one value is.
#[derive(Debug, Default)]
pub struct AttributeTable {
    all: HashSet<Arc<Attributes>>,
    /// Octets of all of them.
    octets: usize,
    sweep_at: usize,
}

impl AttributeTable {
    /// The shared copy of `attributes`.
    pub fn intern(&mut self, attributes: Attributes) -> Arc<Attributes> {
        if let Some(known) = self.all.get(&attributes) {
            return Arc::clone(known);
        }
        let octets = octets_of(&attributes);
        if self.octets.saturating_add(octets) > self.sweep_at {
            self.sweep();
        }
        let fresh = Arc::new(attributes);
        self.all.insert(Arc::clone(&fresh));
        self.octets = self.octets.saturating_add(octets);
        fresh
    }

    /// Drops what only this table still holds.
    pub fn sweep(&mut self) {
        let mut kept = 0_usize;
        self.all.retain(|attributes| {
            let used = Arc::strong_count(attributes) > 1;
            kept = kept.saturating_add(if used { octets_of(attributes) } else { 0 });
            used
        });
        self.octets = kept;
        self.sweep_at = kept.saturating_mul(2).max(FLOOR);
    }

    /// Values in the table, those that the next sweep will drop included.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// Octets that a value costs.
fn octets_of(attributes: &Attributes) -> usize {
    size_of::<Attributes>().saturating_add(attributes.heap_octets())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{attributes::NextHop, community::Community};

    fn with_med(med: u32) -> Attributes {
        let mut attributes = Attributes::local(NextHop::V4([10, 0, 0, 1].into()));
        attributes.med = Some(med);
        attributes
    }

    fn octets(table: &AttributeTable) -> usize {
        table.all.iter().map(|one| octets_of(one)).sum()
    }

    // One prefix that is told again and again, each time with other attributes of a whole message.
    #[test]
    fn large_values_that_nobody_holds_do_not_pile_up() {
        let mut table = AttributeTable::default();
        let live: Vec<_> = (0..10_000).map(|med| table.intern(with_med(med))).collect();
        let (alive, mut most) = (octets(&table), 0);
        for n in 0..10_000 {
            let mut large = with_med(0);
            large.communities = (n..n + 1000).map(Community).collect();
            table.intern(large);
            if n % 100 == 0 {
                most = most.max(octets(&table));
            }
        }
        assert!(most <= 3 * alive, "{most} octets beside {alive} that are in use");
        table.sweep();
        assert_eq!(table.len(), live.len());
    }

    #[test]
    fn equal_attributes_are_one_and_forgotten_ones_go() {
        let mut table = AttributeTable::default();
        let (one, two) = (table.intern(with_med(1)), table.intern(with_med(1)));
        assert!(Arc::ptr_eq(&one, &two));
        for med in 2..5000 {
            table.intern(with_med(med));
        }
        assert!(table.len() <= 2048, "{} kept", table.len());
        table.sweep();
        assert_eq!(table.len(), 1);
        drop((one, two));
        table.sweep();
        assert!(table.is_empty());
    }
}
