//! Which worker owns which port.
//!
//! A port with channels has one owner, so that packet numbers and replay windows have one too; such ports are
//! dealt out in turn. Every worker opens every pure LAN port (fan-out by flow in the kernel, or a queue of a TAP). A TAP
//! that was made with one queue has one owner.

use std::collections::BTreeMap;

use config::{Config, model::PortRole};
use dataplane::WorkerId;

use super::Device;

/// The owner of each port; `None`: every worker opens it.
pub(super) fn share_out(config: &Config, devices: &BTreeMap<String, Device>) -> Vec<Option<WorkerId>> {
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
        .map(|port| match port.role {
            PortRole::Channel => deal(),
            PortRole::Lan | PortRole::Unused => {
                let shared = devices.get(&port.device).is_none_or(|device| device.shared);
                (!shared).then_some(WorkerId(0))
            }
        })
        .collect()
}
