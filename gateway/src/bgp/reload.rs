//! Another configuration for speakers that run: neighbours come, go and change, and only those sessions end that must.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use bgp::{
    Impact, PeerId,
    wire::notification::{Cease, Notification},
};
use config::Secret;
use dataplane::{ConnectionTables, InterfaceId};
use net::Instant;
use sys::{Poller, tcp::Hops};
use tracing::error;

use super::{
    PathNews,
    memory::Keeper,
    routes::Place,
    speaking::{Speaking, Watched, seats},
    thread::Loop,
    wires::{WireId, Wires},
};
use crate::{
    assemble::{Domain, PeerPlan},
    clock,
};

/// What is known of the places where neighbours are.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// The TAP device of each interface that a neighbour is on.
    pub(super) devices: BTreeMap<InterfaceId, String>,
    /// What was said last of the links of interfaces.
    pub(super) links: BTreeMap<InterfaceId, Result<(), &'static str>>,
    /// Interfaces that traffic is moved away from.
    pub(super) drained: BTreeSet<InterfaceId>,
    /// What BFD said last.
    pub(super) paths: BTreeMap<(InterfaceId, IpAddr), PathNews>,
}

impl Loop {
    /// Runs as `domains` say from now on; `others` are the tables of connections that do not speak BGP.
    pub(super) fn reload(
        &mut self,
        domains: Vec<Domain>,
        names: Vec<Vec<String>>,
        others: Vec<(usize, Arc<ConnectionTables>)>,
    ) {
        let now = clock::now();
        for (domain, names) in domains.into_iter().zip(names) {
            let Some(at) = self.speaking.iter().position(|one| one.connection == domain.connection) else {
                continue;
            };
            self.part(at, &domain, now);
            let Some(one) = self.speaking.get_mut(at) else { continue };
            let resigned = one.become_like(domain, names, &self.places, now);
            listen(&mut self.wires, &self.poller, &self.speaking);
            resigned.into_iter().for_each(|id| self.sign(at, id));
        }
        self.others = others;
        self.noteworthy = true;
        self.remember_if_asked();
        self.busy = true;
    }

    /// Says goodbye to those who are no neighbours any more.
    fn part(&mut self, at: usize, domain: &Domain, now: Instant) {
        let Some(one) = self.speaking.get_mut(at) else { return };
        let leaving: Vec<_> =
            one.peers.iter().filter(|peer| !domain.peers.iter().any(|plan| peer.is(plan))).collect();
        let ids: BTreeSet<PeerId> = leaving.iter().map(|peer| peer.id).collect();
        let places: Vec<_> = leaving.iter().map(|peer| (peer.interface, peer.address)).collect();
        for id in &ids {
            let note = Notification::cease(Cease::PeerDeconfigured);
            one.speaker.stop_peer(*id, note, now);
        }
        // While their names are known.
        self.tell_events(at, now);
        self.move_connections(at, now);
        let Some(one) = self.speaking.get_mut(at) else { return };
        for id in &ids {
            one.speaker.remove_peer(*id, now);
            one.routes.remove_peer(*id);
        }
        one.peers.retain(|peer| !ids.contains(&peer.id));
        for (interface, address) in places {
            // Nobody calls from there any more: a key that stays would only be in the way of another neighbour.
            let _gone = self.wires.set_password(interface, address, &[], |_| false);
        }
    }

    /// The first neighbour that keeps our routes, or the last one gone.
    fn remember_if_asked(&mut self) {
        let wanted = self.speaking.iter().flat_map(|one| &one.peers).any(|peer| peer.keeps_ours);
        match (wanted, self.keeper.take()) {
            (true, None) => match Keeper::start(&self.folder) {
                Ok(keeper) => self.keeper = Some(keeper),
                Err(why) => error!(event = "bgp.memory", why = %why, "a restart will not be a graceful one"),
            },
            (true, keeper) => self.keeper = keeper,
            (false, Some(keeper)) => keeper.end(None),
            (false, None) => {}
        }
    }

    /// Signs with the password that a neighbour has now, on its live connections too.
    pub(super) fn sign(&self, at: usize, id: PeerId) {
        let peer = self.speaking.get(at).and_then(|one| one.peers.iter().find(|peer| peer.id == id));
        let Some((peer, dial)) = peer.and_then(|peer| Some((peer, peer.dial.as_ref()?))) else { return };
        let key = dial.password.as_ref().map_or(&[][..], Secret::expose);
        let live = |(of, wire): WireId| of == at && wire.peer == id;
        if let Err(why) = self.wires.set_password(peer.interface, peer.address, key, live) {
            error!(event = "bgp.password", neighbor = peer.name, why = %why, "the old password stays");
        }
    }
}

impl Speaking {
    /// Becomes what `domain` describes; those who are no neighbours any more have gone already. Gives the neighbours
    /// whose passwords are others now.
    fn become_like(
        &mut self,
        domain: Domain,
        names: Vec<String>,
        places: &Places,
        now: Instant,
    ) -> Vec<PeerId> {
        let mut resigned = Vec::new();
        self.routes.rebase(domain.base);
        self.own.replace(domain.announce, &mut self.speaker, now);
        let mut before = core::mem::take(&mut self.peers);
        for (plan, name) in domain.peers.into_iter().zip(names) {
            let known = before.iter().position(|peer| peer.is(&plan)).map(|at| before.remove(at));
            let mut watched = Watched::new(&plan, name, places.devices.get(&plan.interface), now);
            let password = |one: &Watched| one.dial.as_ref().and_then(|dial| dial.password.clone());
            let signed = known.as_ref().and_then(password);
            match known {
                Some(known) => self.change(known, &mut watched, plan, now),
                None if !self.add(&mut watched, plan, places, now) => continue,
                None => {}
            }
            resigned.extend((signed != password(&watched)).then_some(watched.id));
            let path = places.paths.get(&(watched.interface, watched.address)).filter(|news| news.up);
            if path.is_some() && watched.watches_path {
                self.speaker.handle_path(watched.id, true, false, now);
            }
            self.peers.push(watched);
        }
        resigned
    }

    fn change(&mut self, known: Watched, watched: &mut Watched, plan: PeerPlan, now: Instant) {
        let otherwise = known.is_reached_otherwise(watched);
        (watched.id, watched.link, watched.since) = (known.id, known.link, known.since);
        (watched.failure, watched.last_down, watched.shut) = (known.failure, known.last_down, known.shut);
        (watched.added, watched.talks, watched.over_limit) = (known.added, known.talks, known.over_limit);
        (watched.silent, watched.awaits_bfd) = (known.silent, known.awaits_bfd);
        let place = Place { interface: plan.interface, address: plan.config.address, seats: seats(&plan) };
        self.routes.add_peer(known.id, place);
        let impact = self.speaker.change_peer(known.id, plan.config, now);
        if otherwise && impact != Impact::Reset {
            self.speaker.reset_peer(known.id, "it is reached otherwise now", now);
        }
    }

    /// False when there are too many.
    fn add(&mut self, watched: &mut Watched, plan: PeerPlan, places: &Places, now: Instant) -> bool {
        let on = plan.interface;
        let place = Place { interface: on, address: plan.config.address, seats: seats(&plan) };
        let Ok(id) = self.speaker.add_peer(plan.config) else {
            let name = watched.name.as_str();
            error!(
                event = "bgp.too_many",
                neighbor = name,
                "65535 neighbours came and went: `quadspan restart`"
            );
            return false;
        };
        watched.id = id;
        watched.link = places.links.get(&on).copied().unwrap_or(watched.link);
        self.routes.add_peer(id, place);
        self.speaker.handle_link(id, watched.link.is_ok(), now);
        self.speaker.start_peer(id, now);
        self.speaker.drain_peer(id, places.drained.contains(&on));
        true
    }
}

impl Watched {
    /// Whether it is the neighbour that `plan` describes.
    fn is(&self, plan: &PeerPlan) -> bool {
        (self.interface, self.address) == (plan.interface, plan.config.address)
    }

    /// TTL security, or our own address: both are settled when a connection begins.
    fn is_reached_otherwise(&self, other: &Self) -> bool {
        let way = |one: &Self| one.dial.as_ref().map(|dial| (dial.local, dial.hops));
        way(self) != way(other)
    }
}

/// One listener for each device and family that a neighbour has. It answers with a TTL that every neighbour there takes, and takes what any
/// of them may send: a connection is held to its neighbour's own limit once it is accepted, and where all have the same one nobody from farther
/// away gets as far as that (RFC 5082 §3).
pub(super) fn listen(wires: &mut Wires, poller: &Poller, speaking: &[Speaking]) {
    let mut places: BTreeMap<(InterfaceId, bool), (String, Hops)> = BTreeMap::new();
    let peers = || speaking.iter().flat_map(|one| &one.peers);
    for (peer, dial) in peers().filter_map(|peer| Some((peer, peer.dial.as_ref()?))) {
        let place = places.entry((peer.interface, dial.peer.is_ipv6()));
        let (_, hops) = place.or_insert_with(|| (dial.device.clone(), dial.hops));
        *hops = Hops { ttl: hops.ttl.max(dial.hops.ttl), min_ttl: hops.min_ttl.min(dial.hops.min_ttl) };
    }
    for ((interface, v6), (device, hops)) in places {
        if let Err(why) = wires.listen(poller, (interface, &device), v6, hops) {
            error!(event = "bgp.listen_failed", device, why = %why, "neighbours there cannot call; they are called");
        }
    }
}

/// Listeners let neighbours with a password in only when they know it.
pub(super) fn sign(wires: &Wires, speaking: &[Speaking]) {
    let peers = speaking.iter().flat_map(|one| &one.peers);
    for (peer, dial) in peers.filter_map(|peer| Some((peer, peer.dial.as_ref()?))) {
        let Some(password) = &dial.password else { continue };
        let set = wires.set_password(peer.interface, dial.peer, password.expose(), |_| false);
        if let Err(why) = set {
            error!(event = "bgp.password", neighbor = peer.name, why = %why, "TCP-MD5 cannot be used: nobody is let in");
        }
    }
}
