//! From a gateway that starts to the thread that speaks BGP, and from what becomes of its links to what that means.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use bgp::{RestartMode, Restarting};
use config::Config;
use crossbeam::channel::Receiver;
use dataplane::{Fault, InterfaceId, Place, PortId, Setup, Tables};
use tracing::info;

use super::{
    Bgp, Handle, Start,
    memory::{self, Keeper, Lives, Past},
};
use crate::{
    assemble::{Domain, PeerPlan},
    clock, names,
    worker::{Command, Mailbox},
};

/// Starts BGP, when a connection speaks it. `devices` are the TAPs of interfaces, `tables` what all workers have. With a `gate` it
/// only gives them the routes of before until something comes out of that.
///
/// # Errors
/// When the kernel gives no more threads or descriptors.
pub fn start(
    config: &Config,
    mut domains: Vec<Domain>,
    devices: BTreeMap<InterfaceId, String>,
    tables: Arc<Tables>,
    (workers, gate): (Vec<Mailbox>, Option<Receiver<()>>),
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
    let names: Vec<_> = domains.iter().map(|domain| names::neighbors(config, domain.connection)).collect();
    let interfaces = names::interfaces(config);
    let folder = &config.runtime.state_dir;
    let (past, keeper) = remember(folder, &mut domains, &names, &interfaces)?;
    let seed = u64::from(std::process::id()) << 32 | u64::from(config.runtime.workers);
    let publish = Box::new(publish);
    let folder = folder.clone();
    let start =
        Start { domains, names, interfaces, past, keeper, folder, devices, tables, publish, gate, seed };
    Bgp::start(start).context("cannot start BGP").map(Some)
}

/// Goes on where the earlier life ended, as far as neighbours kept our routes meanwhile.
fn remember(
    folder: &Path,
    domains: &mut [Domain],
    names: &[Vec<String>],
    interfaces: &[String],
) -> Result<(Vec<Option<Past>>, Option<Keeper>)> {
    let found = memory::read(folder, clock::wall());
    let each = domains.iter_mut().zip(names);
    let past = each.map(|(domain, names)| resume(found.as_ref()?, domain, names, interfaces)).collect();
    if !domains.iter().flat_map(|domain| &domain.peers).any(|peer| keeps_ours(peer).is_some()) {
        return Ok((past, None));
    }
    let keeper = Keeper::start(folder).context("cannot start the memory of BGP")?;
    Ok((past, Some(keeper)))
}

/// For how long a neighbour keeps our routes when we are gone.
pub(super) fn keeps_ours(peer: &PeerPlan) -> Option<Duration> {
    match peer.config.restart {
        RestartMode::Full(seconds) => Some(Duration::from_secs(seconds.into())),
        RestartMode::Off | RestartMode::Helper => None,
    }
}

/// RFC 4724 §4.1: what a connection takes over from the earlier life; `None` when no neighbour has kept anything.
fn resume(
    (lives, age): &(Lives, Duration),
    domain: &mut Domain,
    names: &[String],
    interfaces: &[String],
) -> Option<Past> {
    let life = lives.connections.iter().find(|life| life.sessions.iter().any(|name| names.contains(name)))?;
    let kept = |(peer, name): (&PeerPlan, &String)| {
        let time = keeps_ours(peer).filter(|time| memory::is_fresh(*age, *time));
        time.filter(|_| life.sessions.contains(name))
    };
    let times: Vec<_> = domain.peers.iter().zip(names).map(kept).collect();
    let longest = times.iter().flatten().min()?.min(&memory::LONGEST);
    domain.speaker.restarting = Some(Restarting { longest: *longest, forwarding: life.complete });
    let awaited: Vec<_> = times.iter().map(Option::is_some).collect();
    let mut peers = domain.peers.iter().zip(&awaited);
    let usable = |id| peers.clone().any(|(peer, awaited)| *awaited && peer.interface == id);
    let routes = life.routes_over(interfaces, usable);
    info!(
        event = "bgp.restarted",
        connection = peers.next().and_then(|_| names.first()?.split('/').next()),
        neighbors = awaited.iter().filter(|awaited| **awaited).count(),
        routes = routes.len(),
        forwarding = life.complete,
        seconds_ago = age.as_secs(),
        "neighbours may have kept our routes: forwarding goes on by what was learnt before, until they have told theirs"
    );
    Some(Past { awaited, routes })
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
            | Fault::LacpDown
            | Fault::MkaDown => {
                self.link(interface, Err(fault.label()));
            }
            Fault::BfdDown | Fault::NarrowPath | Fault::Quality | Fault::Flapping | Fault::Drained => {
                self.link(interface, Ok(()))
            }
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
