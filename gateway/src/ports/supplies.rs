//! What ports are made of, beside their devices, and what several of them share.

use std::collections::BTreeMap;

use dataplane::WorkerId;
use sys::Bulk;

use super::Taps;

/// The TAP devices, and for each worker what its AF_XDP ports send in bulk with.
#[derive(Debug, Default)]
pub struct Supplies {
    pub(super) taps: Taps,
    bulk: BTreeMap<WorkerId, Option<Bulk>>,
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
        self.bulk.entry(worker).or_insert_with(|| Bulk::new().ok()).as_ref()
    }
}
