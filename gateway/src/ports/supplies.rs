//! What ports are made of, beside their devices, and what several of them share.

use std::collections::{BTreeMap, btree_map::Entry};

use dataplane::WorkerId;
use sys::Bulk;

use super::Taps;

/// The TAP devices, and for each worker what its AF_XDP ports send in bulk with.
#[derive(Debug, Default)]
pub struct Supplies {
    pub(super) taps: Taps,
    bulk: BTreeMap<WorkerId, Bulk>,
}

impl Supplies {
    /// With these TAPs.
    pub fn new(taps: Taps) -> Self {
        Self { taps, bulk: BTreeMap::new() }
    }

    /// The TAPs.
    pub const fn taps(&mut self) -> &mut Taps {
        &mut self.taps
    }

    /// What all AF_XDP ports of a worker share; nothing where the kernel has none of it, and they send by their sockets.
    pub(super) fn bulk(&mut self, worker: WorkerId) -> Option<&Bulk> {
        match self.bulk.entry(worker) {
            Entry::Occupied(one) => Some(one.into_mut()),
            Entry::Vacant(place) => Some(place.insert(Bulk::new().ok()?)),
        }
    }
}
