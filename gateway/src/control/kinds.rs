//! Ports whose frames move in another way than before, without having been opened again.
//!
//! An AF_XDP port on veth sends in bulk as long as the far end takes frames so. When it does not any more, frames leave by the socket, one
//! by one: nothing is lost but half of the speed, and nobody would know why.

use std::collections::BTreeMap;

use config::Config;
use dataplane::{
    PortId, WorkerId,
    port::PortKind::{self, XdpBulk, XdpCopy},
};
use tracing::{info, warn};

use crate::worker::Report;

/// What each worker's ports were, when last looked.
#[derive(Debug, Default)]
pub(super) struct Kinds(BTreeMap<(WorkerId, PortId), PortKind>);

/// A port of a worker, what it was and what it is.
type Change = (WorkerId, PortId, PortKind, PortKind);

impl Kinds {
    /// Tells of what changed since it was last called.
    pub(super) fn look(&mut self, config: &Config, reports: &[Report]) {
        for (worker, port, was, is) in self.changes(reports) {
            let one = config.ports.get(port.index());
            let (port, device) = one.map_or(("?", "?"), |one| (&*one.name, &*one.device));
            let worker = worker.0;
            match (was, is) {
                (XdpBulk, XdpCopy) => warn!(
                    event = "port.io",
                    port,
                    device,
                    worker,
                    was = "bulk",
                    got = "copy",
                    "frames leave one by one, at about half the rate: no program of XDP is at the far end of the veth pair any more (`ip link` \
                     shows it there), or the kernel failed calls of ours, which `quadspan restart` begins anew"
                ),
                (XdpCopy, XdpBulk) => {
                    info!(event = "port.io", port, device, worker, was = "copy", got = "bulk");
                }
                _ => {}
            }
        }
    }

    fn changes(&mut self, reports: &[Report]) -> Vec<Change> {
        let mut changes = Vec::new();
        for report in reports {
            let worker = report.snapshot.worker;
            for (at, port) in report.ports.iter().enumerate() {
                let (id, Some((is, _))) = (PortId::at(at), port) else { continue };
                let was = self.0.insert((worker, id), *is).filter(|was| was != is);
                changes.extend(was.map(|was| (worker, id, was, *is)));
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testbed;

    #[test]
    fn a_port_that_sends_otherwise_is_told_of_each_time_and_once() {
        let (mut kinds, mut reports) = (Kinds::default(), testbed::facts().reports);
        let mut now = |kind| {
            let report = reports.first_mut().unwrap();
            report.ports.first_mut().unwrap().as_mut().unwrap().0 = kind;
            let worker = report.snapshot.worker;
            let changes = kinds.changes(&reports);
            assert!(changes.iter().all(|one| (one.0, one.1) == (worker, PortId(0))));
            changes.into_iter().map(|one| (one.2, one.3)).collect::<Vec<_>>()
        };
        assert_eq!(now(XdpBulk), []);
        assert_eq!(now(XdpBulk), []);
        assert_eq!(now(XdpCopy), [(XdpBulk, XdpCopy)]);
        assert_eq!(now(XdpCopy), []);
        assert_eq!(now(XdpBulk), [(XdpCopy, XdpBulk)]);
    }
}
