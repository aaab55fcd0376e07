//! Which worker owns which port.
//!
//! A port with channels has one owner, so that packet numbers and replay windows have one too; such ports are
//! dealt out in turn. Every worker opens every pure LAN port (fan-out by flow in the kernel). TAP LAN ports have one
//! queue, hence one owner.

use config::{
    Config,
    model::{Io, PortRole},
};
use dataplane::WorkerId;

/// The owner of each port; `None`: every worker opens it.
pub(super) fn share_out(config: &Config) -> Vec<Option<WorkerId>> {
    let workers = u16::from(config.runtime.workers.max(1));
    let mut next = 0;
    let mut deal = || {
        let worker = WorkerId(next % workers);
        next += 1;
        Some(worker)
    };
    config
        .ports
        .iter()
        .map(|port| match (port.role, port.io) {
            (PortRole::Channel, _) => deal(),
            (PortRole::Lan, Io::Tap) => Some(WorkerId(0)),
            (PortRole::Lan | PortRole::Unused, _) => None,
        })
        .collect()
}
