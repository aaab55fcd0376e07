//! From a gateway that starts to the thread that speaks BGP, and from what becomes of its links to what that means.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result};
use config::Config;
use dataplane::{Fault, InterfaceId, Place, PortId, Setup, Tables};

use super::{Bgp, Handle, Start};
use crate::{
    assemble::Domain,
    names,
    worker::{Command, Mailbox},
};

/// Starts BGP, when a connection speaks it. `devices` are the TAPs of interfaces, `tables` what all workers have.
///
/// # Errors
/// When the kernel gives no more threads or descriptors.
pub fn start(
    config: &Config,
    domains: Vec<Domain>,
    devices: BTreeMap<InterfaceId, String>,
    tables: Arc<Tables>,
    workers: Vec<Mailbox>,
) -> Result<Option<Bgp>> {
    if domains.is_empty() {
        return Ok(None);
    }
    let publish = move |tables: Arc<Tables>| {
        for worker in &workers {
            // A worker that is gone ends the gateway.
            let _sent = worker.send(Command::Tables(Arc::clone(&tables)));
        }
    };
    let names = domains.iter().map(|domain| names::neighbors(config, domain.connection)).collect();
    let seed = u64::from(std::process::id()) << 32 | u64::from(config.runtime.workers);
    let start = Start { domains, names, devices, tables, publish: Box::new(publish), seed };
    Bgp::start(start).context("cannot start BGP").map(Some)
}

impl Handle {
    /// The dataplane says that an attachment may not carry traffic. What BFD, an operator or a measurement says of it is
    /// not about its link.
    pub fn attachment_down(&self, interface: InterfaceId, fault: Fault) {
        match fault {
            Fault::PortDown
            | Fault::NoCarrier
            | Fault::NoRoute
            | Fault::Drill
            | Fault::NotSecured
            | Fault::MkaDown => {
                self.link(interface, Err(fault.label()));
            }
            Fault::BfdDown | Fault::Quality | Fault::Drained => self.link(interface, Ok(())),
        }
    }

    /// The link of a port came up, or went down with this fault: what it means for the LANs on it.
    pub fn port(&self, setup: &Setup, port: PortId, fault: Option<Fault>) {
        for (at, interface) in setup.interfaces.iter().enumerate() {
            if matches!(interface.place, Place::Lan { port: on, .. } if on == port) {
                let id = InterfaceId::at(at);
                self.link(id, fault.map_or(Ok(()), |fault| Err(fault.label())));
            }
        }
    }
}
