//! Which worker owns which port.
//!
//! A port with channels has one owner, so that packet numbers and replay windows have one too; such ports are
//! dealt out in turn. The ports of a LAG's members go together: a flow may change its member, and LACP runs in one place. Every worker
//! opens every pure LAN port (fan-out by flow in the kernel, or a queue of a TAP). A TAP that was made with one queue has
//! one owner.

use std::collections::BTreeMap;

use config::{Config, model::PortRole};
use dataplane::WorkerId;

use super::Device;

/// The owner of each port; `None`: every worker opens it.
pub(super) fn share_out(config: &Config, devices: &BTreeMap<String, Device>) -> Vec<Option<WorkerId>> {
    let workers = u16::from(config.runtime.workers.max(1));
    let (families, mut dealt, mut next) = (families(config), BTreeMap::new(), 0);
    let mut deal = |family: usize| {
        Some(*dealt.entry(family).or_insert_with(|| {
            let worker = WorkerId(next % workers);
            next += 1;
            worker
        }))
    };
    let owner = |(port, family): (&config::model::Port, usize)| match port.role {
        PortRole::Channel => deal(family),
        PortRole::Lan | PortRole::Unused => {
            let shared = devices.get(&port.device).is_none_or(|device| device.shared);
            (!shared).then_some(WorkerId(0))
        }
    };
    config.ports.iter().zip(families).map(owner).collect()
}

/// The first of the ports that each port must go together with: LAGs join ports, also by way of each other.
fn families(config: &Config) -> Vec<usize> {
    let mut families: Vec<_> = (0..config.ports.len()).collect();
    for lag in &config.lags {
        let channels = lag.members.iter().filter_map(|member| config.channel(member));
        let ports: Vec<_> = channels.map(|channel| channel.port.index()).collect();
        let joined: Vec<_> = ports.iter().filter_map(|port| families.get(*port).copied()).collect();
        let first = joined.iter().copied().min().unwrap_or(0);
        families.iter_mut().filter(|family| joined.contains(family)).for_each(|family| *family = first);
    }
    families
}
