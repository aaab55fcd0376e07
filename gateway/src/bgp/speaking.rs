//! One connection that speaks BGP: its speaker, its neighbours as links, paths and people see them, its routes.

use std::{collections::BTreeMap, net::IpAddr};

use bgp::{
    Event, PeerId, PeerStatus, PerFamily, RestartMode, SessionEnd, Speaker,
    fsm::State,
    peer::{PathWatch, Standing},
};
use dataplane::InterfaceId;
use net::Instant;
use sys::tcp::Hops;

use super::{
    PathNews,
    report::{Explained, LearnedRoutes, NeighborReport, Wanted},
    routes::{Place, Routes},
    signatures::Mismatch,
    tell,
    wires::Dial,
};
use crate::assemble::{Domain, PeerPlan};

/// One connection of the configuration.
#[derive(Debug)]
pub(super) struct Speaking {
    pub(super) connection: usize,
    pub(super) speaker: Speaker,
    pub(super) peers: Vec<Watched>,
    pub(super) routes: Routes,
}

/// One neighbour, as the sockets see it.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) id: PeerId,
    pub(super) name: String,
    pub(super) interface: InterfaceId,
    /// How to reach it; `None` when its TAP is not there.
    pub(super) dial: Option<Dial>,
    pub(super) link: Result<(), &'static str>,
    pub(super) since: Instant,
    /// Why the last attempt at a connection failed.
    pub(super) failure: Option<String>,
    pub(super) signatures: Option<Mismatch>,
    pub(super) last_down: Option<(Instant, String)>,
    pub(super) watches_path: bool,
    /// Asks for graceful restart: closed without a word when the gateway ends.
    pub(super) restarts: bool,
}

impl Speaking {
    pub(super) fn new(
        domain: Domain,
        names: Vec<String>,
        devices: &BTreeMap<InterfaceId, String>,
        seed: u64,
        now: Instant,
    ) -> Self {
        let mut speaker = Speaker::new(domain.speaker, seed, now);
        let mut routes = Routes::new(domain.base, domain.subnets, domain.capacities);
        for prefix in domain.announce {
            speaker.announce(prefix, bgp::own_route(), now);
        }
        let mut peers = Vec::new();
        for (plan, name) in domain.peers.into_iter().zip(names) {
            let place =
                Place { interface: plan.interface, address: plan.config.address, seats: seats(&plan) };
            let watched = Watched::new(&plan, name, devices.get(&plan.interface), now);
            // 65535 neighbours of one connection are not configured.
            let Ok(id) = speaker.add_peer(plan.config) else { break };
            routes.add_peer(id, place);
            speaker.handle_link(id, false, now);
            speaker.start_peer(id, now);
            peers.push(Watched { id, ..watched });
        }
        Self { connection: domain.connection, speaker, peers, routes }
    }

    pub(super) fn watched(&mut self, peer: PeerId) -> Option<&mut Watched> {
        self.peers.iter_mut().find(|one| one.id == peer)
    }

    pub(super) fn note(&mut self, event: &Event, now: Instant) {
        let link = |peers: &[Watched], peer: PeerId| {
            peers.iter().find(|one| one.id == peer).and_then(|one| one.link.err())
        };
        let of = peer_of(event).and_then(|peer| link(&self.peers, peer));
        let name = |peer: PeerId| {
            self.peers.iter().find(|one| one.id == peer).map_or_else(String::new, |one| one.name.clone())
        };
        tell::tell(event, name, of);
        match event {
            Event::State { peer, .. } => {
                if let Some(one) = self.watched(*peer) {
                    one.since = now;
                }
            }
            Event::Up { peer, .. } => {
                if let Some(one) = self.watched(*peer) {
                    (one.failure, one.signatures) = (None, None);
                }
            }
            Event::Down { peer, end, was_up: true, .. } => {
                if let Some(one) = self.watched(*peer) {
                    one.last_down = Some((now, tell::why(end, of)));
                }
            }
            Event::Down { .. }
            | Event::Fault { .. }
            | Event::Limit { .. }
            | Event::EndOfRib { .. }
            | Event::StaleDropped { .. }
            | Event::TooLarge { .. }
            | Event::SelectionDone => {}
        }
    }

    pub(super) fn set_link(&mut self, interface: InterfaceId, link: Result<(), &'static str>, now: Instant) {
        for peer in self.peers.iter_mut().filter(|peer| peer.interface == interface) {
            let was = core::mem::replace(&mut peer.link, link).is_ok();
            if was != link.is_ok() {
                self.speaker.handle_link(peer.id, link.is_ok(), now);
            }
        }
    }

    /// RFC 8326: before planned work on an interface.
    pub(super) fn drain(&mut self, interface: InterfaceId, draining: bool) {
        for peer in self.peers.iter().filter(|peer| peer.interface == interface) {
            self.speaker.drain_peer(peer.id, draining);
        }
    }

    /// RFC 5882 §4.3.2: with graceful restart, a path that went down together with the neighbour's control plane may
    /// still forward.
    pub(super) fn set_path(&mut self, news: PathNews, now: Instant) {
        let at = |peer: &&Watched| {
            peer.watches_path && peer.interface == news.interface && peer.calls_from(news.peer)
        };
        for peer in self.peers.iter().filter(at) {
            let restart = self.speaker.status(peer.id).and_then(|status| status.agreed);
            let restart = restart.is_some_and(|agreed| agreed.graceful_restart.is_some());
            let may_live = restart && !news.control_plane_independent;
            self.speaker.handle_path(peer.id, news.up, may_live, now);
        }
    }

    pub(super) fn reports(&self) -> Vec<NeighborReport> {
        let report = |(at, peer): (usize, &Watched)| {
            let status = self.speaker.status(peer.id)?;
            let reason = (status.state != State::Established).then(|| peer.reason(&status)).flatten();
            Some(NeighborReport {
                connection: self.connection,
                neighbor: at,
                status,
                since: peer.since,
                reason,
                last_down: peer.last_down.clone(),
            })
        };
        self.peers.iter().enumerate().filter_map(report).collect()
    }

    pub(super) fn explain(&self, wanted: Wanted, generation: u64) -> Explained {
        let prefix = match wanted {
            Wanted::Prefix(prefix) => prefix.trunc(),
            Wanted::Address(address) => {
                let heard = || self.speaker.rib().lookup(address).map(|(prefix, _)| prefix);
                self.routes.lookup(address).or_else(heard).unwrap_or_else(|| address.into())
            }
        };
        let found = self.routes.of(&prefix);
        Explained {
            explanation: self.speaker.explain(&prefix),
            target: found.map(|(target, _)| target.clone()),
            counts: found.is_some_and(|(_, counts)| counts),
            pending: self.routes.is_changed(),
            generation,
            names: self.peers.iter().map(|peer| (peer.id, peer.name.clone())).collect(),
        }
    }

    pub(super) fn learned(&self, limit: usize) -> LearnedRoutes {
        LearnedRoutes {
            connection: self.connection,
            total: self.routes.learned(),
            routes: self.routes.iter().take(limit).map(|(prefix, target)| (prefix, target.clone())).collect(),
        }
    }
}

impl Watched {
    pub(super) fn new(plan: &PeerPlan, name: String, device: Option<&String>, now: Instant) -> Self {
        let dial = device.map(|device| Dial {
            device: device.clone(),
            local: plan.local,
            peer: plan.config.address,
            hops: if plan.ttl_security { Hops::GTSM } else { Hops::ONE },
            password: plan.password.clone(),
            patience: plan.config.hold_time,
        });
        Self {
            id: PeerId::LOCAL,
            name,
            interface: plan.interface,
            dial,
            link: Err("not looked at yet"),
            since: now,
            failure: None,
            signatures: None,
            last_down: None,
            watches_path: plan.config.timers.path_watch != PathWatch::Off,
            restarts: matches!(plan.config.restart, RestartMode::Full(_)),
        }
    }

    pub(super) fn has_password(&self) -> bool {
        self.dial.as_ref().is_some_and(|dial| dial.password.is_some())
    }

    pub(super) fn calls_from(&self, address: IpAddr) -> bool {
        self.dial.as_ref().is_some_and(|dial| dial.peer == address)
    }

    /// Why there is no session, the most fundamental reason first.
    pub(super) fn reason(&self, status: &PeerStatus) -> Option<(&'static str, String)> {
        if let Err(link) = self.link {
            return Some(("link_down", format!("the link is down: {link}")));
        }
        match status.standing {
            Standing::Stopped => return Some(("stopped", "stopped".to_owned())),
            Standing::AwaitsPath => return Some(("awaits_bfd", "waits until BFD is up".to_owned())),
            Standing::HeldUntil(_) | Standing::Runs => {}
        }
        if let Some(kind) = self.signatures {
            return Some((kind.word(), kind.words().to_owned()));
        }
        let held = matches!(status.standing, Standing::HeldUntil(_));
        let ended = status.last_end.as_ref().map(|(_, end)| end);
        match (ended, &self.failure) {
            (Some(end), _) if held => Some(("held", format!("left alone for a while: {end}"))),
            (Some(SessionEnd::Closed) | None, Some(failure)) => Some(("no_connection", failure.clone())),
            (Some(end), _) => Some(("ended", end.to_string())),
            (None, None) => Some(("connecting", "no answer yet".to_owned())),
        }
    }
}

/// In which families it keeps a seat: those it can have routes of, by the kind of their next hops (RFC 8950).
fn seats(plan: &PeerPlan) -> PerFamily<bool> {
    let config = &plan.config;
    let (ipv4, ipv6) = (config.families.ipv4.is_some(), config.families.ipv6.is_some());
    let ipv6 = ipv6 || ipv4 && config.ipv4_over_ipv6;
    PerFamily { ipv4: ipv4 && plan.on_attachment, ipv6: ipv6 && plan.on_attachment }
}

/// The neighbour that an event is about.
const fn peer_of(event: &Event) -> Option<PeerId> {
    match event {
        Event::State { peer, .. }
        | Event::Up { peer, .. }
        | Event::Down { peer, .. }
        | Event::Fault { peer, .. }
        | Event::Limit { peer, .. }
        | Event::EndOfRib { peer, .. }
        | Event::StaleDropped { peer, .. }
        | Event::TooLarge { peer, .. } => Some(*peer),
        Event::SelectionDone => None,
    }
}
