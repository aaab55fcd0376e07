//! Interned attributes: routes with equal attributes share one copy of them.

use crate::wire::attributes::Attributes;
use std::{collections::HashSet, sync::Arc};

/// The attributes of all routes, each value once.
///
/// Values that no route holds any more are dropped in sweeps, when the table has doubled since the last
/// one: the cost is constant per insertion.
#[derive(Debug, Default)]
pub struct AttributeTable {
    all: HashSet<Arc<Attributes>>,
    sweep_at: usize,
}

impl AttributeTable {
    /// The shared copy of `attributes`.
    pub fn intern(&mut self, attributes: Attributes) -> Arc<Attributes> {
        if let Some(known) = self.all.get(&attributes) {
            return Arc::clone(known);
        }
        if self.all.len() >= self.sweep_at {
            self.sweep();
        }
        let fresh = Arc::new(attributes);
        self.all.insert(Arc::clone(&fresh));
        fresh
    }

    /// Drops what only this table still holds.
    pub fn sweep(&mut self) {
        self.all.retain(|attributes| Arc::strong_count(attributes) > 1);
        self.sweep_at = self.all.len().saturating_mul(2).max(1024);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::attributes::NextHop;

    fn with_med(med: u32) -> Attributes {
        let mut attributes = Attributes::local(NextHop::V4([10, 0, 0, 1].into()));
        attributes.med = Some(med);
        attributes
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
