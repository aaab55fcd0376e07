//! All ports at once, when a gateway starts.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use config::{
    Config,
    model::{Io, Port as PortConfig},
};
use dataplane::{InterfaceId, PoolSizes, PortId, Setup, WorkerId};
use tracing::warn;

use super::{HandsOff, Supplies, kernel_addresses, open, open_host, why_not_addresses};
use crate::{
    assemble::Plan,
    handover::{self, Inheritance},
    names,
    worker::Worker,
};

/// Takes a port's device away from the kernel's own stack; not a TAP, whose kernel end is who we talk to, and not that of a
/// tunnel, whose datagrams cross that stack.
pub fn take_over(port: &PortConfig) -> Option<HandsOff> {
    let device = &port.device;
    let ours = port.io != Io::Tap && port.underlay.is_none();
    let (hands_off, failed) = ours.then(|| HandsOff::of(device))?;
    for key in failed {
        // Without IPv6 in the kernel there is nothing to take IPv6 from.
        tracing::debug!(event = "port.sysctl", device, key, "not set");
    }
    if let Some(why) = why_not_addresses(device, &kernel_addresses(device)) {
        warn!(event = "port.kernel_address", port = port.name, "{why}");
    }
    Some(hands_off)
}

/// Opens every worker's part of every port.
///
/// # Errors
/// As [`open`](super::open).
pub fn open_all(
    config: &Config,
    setup: &Setup,
    pool: PoolSizes,
    workers: &mut [Worker],
    (supplies, mut heir): (&mut Supplies, Option<&mut Inheritance>),
) -> Result<()> {
    for (at, (port, plan)) in config.ports.iter().zip(&setup.ports).enumerate() {
        let key = handover::port_key(&port.name);
        let everybody =
            (0..workers.len()).map(WorkerId::at).filter(|id| plan.owner.is_none_or(|it| it == *id));
        let mut all: Vec<_> = everybody
            .map(|id| heir.as_mut().and_then(|heir| heir.port(&key, id.0)).map(|(left, _)| left))
            .collect();
        // Sockets that share a device's frames are gone on with together or not at all: new ones would be a group of their own beside
        // the old group, and both would get every frame.
        if all.iter().any(Option::is_none) && port.io != Io::Tap {
            all.fill_with(|| None);
        }
        let mut all = all.into_iter();
        for (worker_at, worker) in workers.iter_mut().enumerate() {
            let id = WorkerId::at(worker_at);
            if plan.owner.is_none_or(|owner| owner == id) {
                let left = all.next().flatten();
                let (opened, adopted) =
                    open(config, port, plan.caps.offload, id, setup.workers, pool, (&mut *supplies, left))?;
                if let Some(heir) = heir.as_mut().filter(|_| adopted) {
                    heir.adopted(&key, id.0);
                }
                worker.set_port(PortId::at(at), opened).with_context(|| format!("port \"{}\"", port.name))?;
            }
        }
    }
    Ok(())
}

/// Makes the TAPs of interfaces, and gives them to their workers; returns their names.
///
/// # Errors
/// When the kernel refuses.
pub async fn open_hosts(
    plan: &Plan,
    setup: &Setup,
    workers: &mut [Worker],
    (config, mut heir): (&Config, Option<&mut Inheritance>),
) -> Result<BTreeMap<InterfaceId, String>> {
    let mut devices = BTreeMap::new();
    for host in &plan.hosts {
        let owner = setup.ports.get(host.port.index()).and_then(|port| port.owner).unwrap_or_default();
        let key = handover::host_key(&names::interface(config, host.interface), host);
        let left = heir.as_mut().and_then(|heir| heir.port(&key, owner.0));
        let (name, opened, adopted) = open_host(host, left).await?;
        if let Some(heir) = heir.as_mut().filter(|_| adopted) {
            heir.adopted(&key, owner.0);
        }
        devices.insert(host.interface, name);
        if let Some(worker) = workers.get_mut(owner.index()) {
            worker.set_port(host.port, opened).with_context(|| format!("TAP {}", host.name))?;
        }
    }
    Ok(devices)
}
