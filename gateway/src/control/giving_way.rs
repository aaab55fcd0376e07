//! The control loop's part in a handover: it goes on until a successor is prepared, and then gives way.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock, atomic::Ordering},
};

use anyhow::{Context, Result};
use config::{Config, model::Io};
use dataplane::{InterfaceId, PortId};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use super::{Ended, Gateway};
use crate::{
    assemble::Plan,
    bgp::Goodbye,
    handover::{self, Facts, Giving, Handed, Order, Prepared},
    ports,
};

/// Whoever asked for a handover.
type Asked = oneshot::Sender<Result<Handed, String>>;
/// A successor that is prepared, and what it takes to give way to it.
pub(super) struct Found {
    giving: Giving,
    prepared: Prepared,
    asked: Asked,
}

/// A handover that was done.
pub(super) struct Done {
    handed: Handed,
    asked: Asked,
    /// As long as we have it, the successor waits for the ports of TCP.
    line: Prepared,
}

impl Gateway {
    /// Runs a successor, away from the control loop.
    pub(super) fn look_for_successor(&self, order: Order, found: &mpsc::UnboundedSender<Found>) {
        let Order { binary, reply: asked } = order;
        let giving = match self.giving().context("cannot pass the locks of devices on") {
            Ok(giving) => giving,
            Err(why) => return refuse(asked, &why),
        };
        let found = found.clone();
        info!(event = "gateway.restarting", binary = binary.as_ref().map(|path| path.display().to_string()));
        tokio::task::spawn_blocking(move || match giving.prepare(binary.as_deref()) {
            Ok(prepared) => drop(found.send(Found { giving, prepared, asked })),
            Err(why) => refuse(asked, &why),
        });
    }

    fn giving(&self) -> Result<Giving> {
        let (channels, interfaces, connections) = handover::names(&self.config);
        let facts = Facts {
            file: self.reloads.file().to_owned(),
            program: program().to_owned(),
            folder: self.config.runtime.state_dir.clone(),
            bound: handover::bound(),
            channels,
            interfaces,
            connections,
            ports: self.called.clone(),
        };
        let hands_off = self.hands_off.iter().map(|one| (one.device().to_owned(), one.before().to_vec()));
        Ok(Giving {
            facts: Arc::new(facts),
            mailboxes: self.workers.iter().map(|worker| worker.mailbox.clone()).collect(),
            store: self.store.clone(),
            doors: self.doors.clone(),
            locks: Arc::new(self.supplies.locks().again()?),
            hands_off: hands_off.collect(),
        })
    }

    /// Stands still, and lets the successor go on. `None`: it could not, and this gateway did.
    pub(super) async fn give_way(&mut self, found: Found) -> Option<Done> {
        let Found { giving, prepared, asked } = found;
        let given = tokio::task::spawn_blocking(move || giving.give_way(prepared)).await;
        match given.unwrap_or_else(|why| Err(why.into())) {
            Ok((handed, line)) => Some(Done { handed, asked, line }),
            Err(why) => {
                refuse(asked, &why);
                None
            }
        }
    }

    /// The end, when a successor has everything: nothing is put back, nothing is written.
    pub(super) fn step_back(mut self, done: Done) -> Ended {
        let Done { mut handed, asked, line } = done;
        if let Some((_, left, _)) = &self.doors.lock().api {
            left.store(true, Ordering::Relaxed);
        }
        std::mem::take(&mut self.hands_off).into_iter().for_each(ports::HandsOff::leave);
        info!(
            event = "gateway.handed_over",
            pid = handed.pid,
            version = handed.version,
            still_ms = handed.still.as_secs_f64() * 1e3,
            took_ms = handed.took.as_millis()
        );
        // The workers have ended; neighbours that shall not hear of it do not.
        if let Some(bgp) = self.bgp.take() {
            handed.resets = bgp.stop(Goodbye::HandsOver);
        }
        for one in &handed.resets {
            warn!(event = "bgp.not_kept", neighbor = one.neighbor, "{}", one.message);
        }
        drop(line);
        let _told = asked.send(Ok(handed));
        Ended::HandedOver
    }

    /// Ports that could not be opened as configured while the predecessor had them.
    pub(super) fn reopen_after_predecessor(&mut self) {
        for at in 0..self.config.ports.len() {
            let port = self.config.ports.get(at).filter(|port| port.io == Io::AfXdp).cloned();
            if let Some(port) = port {
                self.reopen(PortId::at(at), &port);
            }
        }
    }
}

fn refuse(asked: Asked, why: &anyhow::Error) {
    let why = format!("{why:#}");
    warn!(event = "gateway.not_handed_over", why, "this gateway goes on as it was");
    let _told = asked.send(Err(why));
}

/// The program that runs, by the name that it had when somebody first asked: an upgrade puts another file there.
pub(super) fn program() -> &'static std::path::Path {
    static PROGRAM: OnceLock<std::path::PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| std::env::current_exe().unwrap_or_else(|_| "quadspan".into()))
}

/// What ports are called from process to process, and the devices whose names the kernel chose.
pub(super) fn called(
    config: &Config,
    plan: &Plan,
    hosts: &BTreeMap<InterfaceId, String>,
) -> BTreeMap<PortId, (String, String)> {
    let ports = config.ports.iter().enumerate();
    let ports =
        ports.map(|(at, port)| (PortId::at(at), (handover::port_key(&port.name), port.device.clone())));
    let hosts = plan.hosts.iter().map(|host| {
        let key = handover::host_key(&crate::names::interface(config, host.interface), host);
        (host.port, (key, hosts.get(&host.interface).cloned().unwrap_or_default()))
    });
    ports.chain(hosts).collect()
}
