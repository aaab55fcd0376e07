//! What ports are made of, beside their devices, and what several of them share.

use std::collections::{BTreeMap, btree_map::Entry};

use dataplane::WorkerId;
use sys::Bulk;

use super::{Locks, Taps};

/// The TAP devices, the locks of all devices, and for each worker what its AF_XDP ports send in bulk with.
#[derive(Debug, Default)]
pub struct Supplies {
    pub(super) taps: Taps,
    pub(super) locks: Locks,
    bulk: BTreeMap<WorkerId, Bulk>,
    /// The largest MTU that each port's device had when it was opened.
    mtus: BTreeMap<String, u32>,
}

impl Supplies {
    /// With these TAPs and locks.
    pub fn new(taps: Taps, locks: Locks) -> Self {
        Self { taps, locks, bulk: BTreeMap::new(), mtus: BTreeMap::new() }
    }

    /// The TAPs.
    pub const fn taps(&mut self) -> &mut Taps {
        &mut self.taps
    }

    /// The locks of devices.
    pub const fn locks(&self) -> &Locks {
        &self.locks
    }

    /// The device of a port is there again, as another one.
    ///
    /// # Errors
    /// When another gateway has it.
    pub fn lock_again(&mut self, port: &config::model::Port) -> anyhow::Result<()> {
        self.locks.take_again(port)
    }

    /// What all AF_XDP ports of a worker share; nothing where the kernel has none of it, and they send by their sockets.
    pub(super) fn bulk(&mut self, worker: WorkerId) -> Option<&Bulk> {
        match self.bulk.entry(worker) {
            Entry::Occupied(one) => Some(one.into_mut()),
            Entry::Vacant(place) => Some(place.insert(Bulk::new().ok()?)),
        }
    }

    /// The largest MTU that the device of this port had since the start, now that it has this one. A card that was plugged in is found before it has the
    /// MTU of the one that it replaces, and sockets keep the size that they were opened with.
    pub(super) fn largest_mtu(&mut self, port: &str, now: u32) -> u32 {
        let largest = self.mtus.entry(port.to_owned()).or_default();
        *largest = now.max(*largest);
        *largest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_mtu_of_each_port_is_remembered() {
        let mut supplies = Supplies::default();
        for (port, now, largest) in
            [("a", 1500, 1500), ("a", 9000, 9000), ("a", 1500, 9000), ("b", 1500, 1500), ("a", 9100, 9100)]
        {
            assert_eq!(supplies.largest_mtu(port, now), largest, "{port} {now}");
        }
    }
}
