//! One connection that speaks BGP: its speaker, its neighbours as links, paths and people see them, its routes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use bgp::{
    Asn, Event, Family, LimitDirection, LimitLevel, PeerId, PerFamily, Speaker, fsm::State, peer::PathWatch,
};
use dataplane::InterfaceId;
use net::{Instant, IpNet, earliest};
use sys::tcp::Hops;

use super::{
    PathNews,
    memory::{self, Life, Past},
    own::Own,
    refusals::{Guesses, Suspect},
    report::{Explained, LearnedRoutes, NeighborReport, Reset, Wanted},
    routes::{Place, Routes},
    start::keeps_ours,
    tell::{self, Talks},
    wires::{Dial, Dropped, Lost},
};
use crate::assemble::{Domain, PeerPlan};

/// How long a neighbour that kept our routes is left alone for BFD to be up.
const BFD_WITHIN: Duration = Duration::from_secs(5);

/// One connection of the configuration.
#[derive(Debug)]
pub(super) struct Speaking {
    pub(super) connection: usize,
    pub(super) speaker: Speaker,
    pub(super) peers: Vec<Watched>,
    pub(super) routes: Routes,
    /// Our own prefixes.
    pub(super) own: Own,
    /// What is forwarded as an earlier life of this gateway did.
    restored: Vec<IpNet>,
    /// Whose sessions that life had, until they have told all their routes.
    awaited: BTreeSet<PeerId>,
    /// The speaker chooses among what it has heard.
    selects: bool,
    /// So long at most.
    restored_until: Instant,
}

/// One neighbour, as the sockets see it.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) id: PeerId,
    pub(super) name: String,
    pub(super) interface: InterfaceId,
    pub(super) address: IpAddr,
    /// The AS that it must have.
    pub(super) asn: Asn,
    /// How to reach it; `None` when its TAP is not there.
    pub(super) dial: Option<Dial>,
    pub(super) link: Result<(), &'static str>,
    pub(super) since: Instant,
    /// Since when it is a neighbour of ours.
    pub(super) added: Instant,
    /// When the last attempt at a connection failed, and why; none since the session is up.
    pub(super) failure: Option<(Instant, Lost)>,
    /// What the kernel refuses of it, as far as anybody can tell.
    pub(super) refused: Guesses,
    pub(super) last_down: Option<(Instant, String)>,
    /// After a restart, until BFD is up, but not for longer: a peer that helps takes the end of our earlier BFD for a
    /// restart only while it has no new session (BIRD drops what it kept otherwise).
    pub(super) awaits_bfd: Option<Instant>,
    /// BFD said last that nothing arrives from it.
    pub(super) silent: bool,
    /// An operator shut it down, with these words.
    pub(super) shut: Option<String>,
    pub(super) talks: Talks,
    /// The family and the limit that it went beyond last.
    pub(super) over_limit: Option<(Family, u32)>,
    pub(super) watches_path: bool,
    /// It keeps our routes when we are gone without a word.
    pub(super) keeps_ours: bool,
    /// Closed without a word when the gateway is stopped.
    pub(super) silent_stop: bool,
}

impl Speaking {
    pub(super) fn new(
        domain: Domain,
        names: Vec<String>,
        devices: &BTreeMap<InterfaceId, String>,
        past: Option<Past>,
        (seed, now): (u64, Instant),
    ) -> Self {
        let longest = domain.speaker.restarting.map_or(Duration::ZERO, |restart| restart.longest);
        let mut speaker = Speaker::new(domain.speaker, seed, now);
        let mut routes = Routes::new(domain.base, domain.subnets, domain.capacities);
        let mut own = Own::default();
        own.replace(domain.announce, &mut speaker, now);
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
        let mut this = Self {
            connection: domain.connection,
            speaker,
            peers,
            routes,
            own,
            restored: Vec::new(),
            awaited: BTreeSet::new(),
            selects: false,
            restored_until: now.after(longest),
        };
        this.go_on(past.unwrap_or_default(), now);
        this
    }

    /// Forwards as the earlier life did, and waits for those who kept our routes.
    fn go_on(&mut self, past: Past, now: Instant) {
        let peer_on =
            |id: InterfaceId| self.peers.iter().find(|peer| peer.interface == id).map(|peer| peer.id);
        for (prefix, hops) in &past.routes {
            self.routes.apply(&memory::as_learnt(*prefix, hops, peer_on));
        }
        self.restored = past.routes.into_iter().map(|(prefix, _)| prefix).collect();
        for (peer, awaited) in self.peers.iter_mut().zip(past.awaited) {
            if awaited {
                peer.awaits_bfd = peer.watches_path.then(|| now.after(BFD_WITHIN));
                self.awaited.insert(peer.id);
            } else {
                self.speaker.do_not_await(peer.id);
            }
        }
    }

    /// Replaces what the earlier life left by what the speaker chose, once all whose routes were kept have told them
    /// again, or have had long enough. A speaker that waits for nobody (a neighbour that says that it restarts itself
    /// is not waited for, RFC 4724 §4.1) may choose before they have.
    pub(super) fn settle_restored(&mut self, now: Instant) {
        if self.selects && (self.awaited.is_empty() || self.restored_until <= now) {
            self.awaited.clear();
            for prefix in core::mem::take(&mut self.restored) {
                self.routes.apply(&self.speaker.route(&prefix));
            }
        }
    }

    /// Lets neighbours run that have waited for BFD for long enough.
    pub(super) fn wait_no_longer(&mut self, now: Instant) {
        let due = |peer: &Watched| peer.awaits_bfd.is_some_and(|until| until <= now);
        for at in 0..self.peers.len() {
            if self.peers.get(at).is_some_and(due) {
                self.let_run(at, now);
            }
        }
    }

    fn let_run(&mut self, at: usize, now: Instant) {
        if let Some(peer) = self.peers.get_mut(at)
            && peer.awaits_bfd.take().is_some()
        {
            self.speaker.handle_link(peer.id, peer.link.is_ok(), now);
        }
    }

    /// When [`settle_restored`](Self::settle_restored), [`wait_no_longer`](Self::wait_no_longer) or
    /// [`tell_rest`](Self::tell_rest) has something to do whatever is heard.
    pub(super) fn due(&self) -> Option<Instant> {
        let settle = (!self.restored.is_empty() && self.selects).then_some(self.restored_until);
        let settle = earliest(settle, self.own.due());
        self.peers.iter().flat_map(|peer| [peer.awaits_bfd, peer.talks.due()]).fold(settle, earliest)
    }

    fn note_end_of_rib(&mut self, peer: PeerId) {
        let Some(status) = self.speaker.status(peer) else { return };
        let Some(agreed) = status.agreed else { return };
        if Family::ALL.iter().all(|of| !*agreed.families.of(*of) || status.families.of(*of).end_of_rib) {
            self.awaited.remove(&peer);
        }
    }

    /// What the next life needs, of sessions with those neighbours of whom `is_kept` is true.
    pub(super) fn life(&self, interfaces: &[String], is_kept: impl Fn(&Watched) -> bool) -> Life {
        let is_up = |id| self.speaker.status(id).is_some_and(|status| status.state == State::Established);
        let up = |peer: &&Watched| is_kept(peer) && (self.awaited.contains(&peer.id) || is_up(peer.id));
        let sessions: BTreeSet<_> = self.peers.iter().filter(up).map(|peer| peer.name.clone()).collect();
        Life::of(sessions, self.routes.learned(), self.routes.iter(), interfaces)
    }

    /// The sessions that are up and whose routes go when this process ends.
    pub(super) fn resets(&self) -> Vec<Reset> {
        let of = |peer: &Watched| {
            let status = self.speaker.status(peer.id).filter(|one| one.state == State::Established)?;
            let helped = status.agreed.is_some_and(|agreed| agreed.graceful_restart.is_some());
            let message = lost_by(peer.silent_stop, helped)?;
            Some(Reset { neighbor: peer.name.clone(), message })
        };
        self.peers.iter().filter_map(of).collect()
    }

    pub(super) fn watched(&mut self, peer: PeerId) -> Option<&mut Watched> {
        self.peers.iter_mut().find(|one| one.id == peer)
    }

    pub(super) fn note(&mut self, event: &Event, now: Instant) {
        let talks = peer_of(event).and_then(|peer| self.watched(peer)).map(|one| &mut one.talks);
        if let Some(changes) = talks.map_or(Some(1), |talks| talks.tell(event, now)) {
            self.tell(event, changes);
        }
        let lost = peer_of(event).and_then(|peer| self.watched(peer)?.way_lost());
        self.take_note(event, lost.as_deref(), now);
    }

    /// Tells how it ended of what neighbours did too often to tell each time.
    pub(super) fn tell_rest(&mut self, now: Instant) {
        let rest: Vec<_> = self.peers.iter_mut().flat_map(|peer| peer.talks.rest(now)).collect();
        rest.iter().for_each(|(event, changes)| self.tell(event, *changes));
    }

    fn tell(&mut self, event: &Event, changes: u64) {
        let of = peer_of(event).and_then(|peer| self.watched(peer)?.way_lost());
        let name = |peer: PeerId| {
            self.peers.iter().find(|one| one.id == peer).map_or_else(String::new, |one| one.name.clone())
        };
        tell::tell(event, name, of.as_deref(), changes);
    }

    fn take_note(&mut self, event: &Event, lost: Option<&str>, now: Instant) {
        match event {
            Event::State { peer, .. } => {
                if let Some(one) = self.watched(*peer) {
                    one.since = now;
                }
            }
            Event::Up { peer, .. } => {
                if let Some(one) = self.watched(*peer) {
                    (one.failure, one.refused) = (None, Guesses::default());
                    one.over_limit = None;
                }
            }
            Event::Down { peer, end, was_up: true, .. } => {
                // What was said at that end was said at the same time.
                let at =
                    self.speaker.status(*peer).and_then(|status| status.last_end).map_or(now, |(at, _)| at);
                if let Some(one) = self.watched(*peer) {
                    one.last_down = Some((at, tell::why(end, lost)));
                }
            }
            Event::Limit {
                peer,
                family,
                direction: LimitDirection::In,
                level: LimitLevel::Exceeded,
                max,
                ..
            } => {
                if let Some(one) = self.watched(*peer) {
                    one.over_limit = Some((*family, *max));
                }
            }
            Event::Down { .. }
            | Event::Fault { .. }
            | Event::Limit { .. }
            | Event::StaleDropped { .. }
            | Event::TooLarge { .. } => {}
            Event::EndOfRib { peer, .. } => self.note_end_of_rib(*peer),
            Event::SelectionDone => self.selects = true,
        }
    }

    pub(super) fn set_link(&mut self, interface: InterfaceId, link: Result<(), &'static str>, now: Instant) {
        self.own.set_link(interface, link, now);
        for peer in self.peers.iter_mut().filter(|peer| peer.interface == interface) {
            let was = core::mem::replace(&mut peer.link, link).is_ok();
            if was != link.is_ok() && peer.awaits_bfd.is_none() {
                self.speaker.handle_link(peer.id, link.is_ok(), now);
            }
        }
    }

    /// Announces our own prefixes, or takes them back, as the links of LANs are now. `names` are those of the interfaces.
    pub(super) fn settle_own(&mut self, names: &[String], now: Instant) {
        self.own.settle(&mut self.speaker, now);
        self.own.tell(names);
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
        let is = |peer: &Watched| {
            peer.watches_path && (peer.interface, peer.address) == (news.interface, news.peer)
        };
        for at in 0..self.peers.len() {
            let Some(peer) = self.peers.get_mut(at).filter(|peer| is(peer)) else { continue };
            peer.silent = !news.up;
            self.speaker.handle_path(peer.id, news.up, news.control_plane_independent, now);
            if news.up {
                self.let_run(at, now);
            }
        }
    }

    pub(super) fn reports(&self, now: Instant) -> Vec<NeighborReport> {
        let report = |(at, peer): (usize, &Watched)| {
            let status = self.speaker.status(peer.id)?;
            let reason = (status.state != State::Established).then(|| peer.reason(&status, now)).flatten();
            Some(NeighborReport {
                connection: self.connection,
                neighbor: at,
                status,
                since: peer.since,
                added: peer.added,
                reason,
                last_down: peer.last_down.clone(),
                failure: peer.failure.as_ref().map(|(at, lost)| (*at, lost.words.clone())),
            })
        };
        self.peers.iter().enumerate().filter_map(report).collect()
    }

    /// Neighbours of this speaker, which is the one at `speaker`, whose segments the kernel may have refused at these sockets.
    pub(super) fn suspects<'a>(
        &'a self,
        speaker: usize,
        dropped: Option<&'a Dropped>,
        now: Instant,
    ) -> impl Iterator<Item = Suspect<'a>> {
        self.peers.iter().filter_map(move |peer| {
            let status = self.speaker.status(peer.id)?;
            let place = (peer.interface, peer.address.is_ipv6());
            let hit =
                |all: &Dropped| all.listeners.contains(&place) || all.peers.contains(&(speaker, peer.id));
            let may_be = dropped.is_none_or(hit) && peer.may_be_refused(&status, now);
            may_be.then(|| Suspect {
                speaker,
                peer: peer.id,
                name: &peer.name,
                place,
                password: peer.has_password(),
                ttl_security: peer.dial.as_ref().is_some_and(|dial| dial.hops == Hops::GTSM),
                connects: status.state < State::OpenSent,
            })
        })
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

    /// At most `limit` routes that were learnt, behind `after`.
    pub(super) fn learned(&self, after: Option<IpNet>, limit: usize) -> LearnedRoutes {
        let mut behind =
            self.routes.iter().skip_while(|(prefix, _)| after.is_some_and(|after| *prefix <= after));
        let routes = behind.by_ref().take(limit).map(|(prefix, target)| (prefix, target.clone())).collect();
        LearnedRoutes { connection: self.connection, rest: behind.count(), routes }
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
            address: plan.config.address,
            asn: plan.config.asn,
            dial,
            link: Err("not looked at yet"),
            since: now,
            added: now,
            failure: None,
            refused: Guesses::default(),
            last_down: None,
            awaits_bfd: None,
            silent: false,
            shut: None,
            talks: Talks::default(),
            over_limit: None,
            watches_path: plan.config.timers.path_watch != PathWatch::Off,
            keeps_ours: keeps_ours(plan).is_some(),
            silent_stop: plan.silent_stop,
        }
    }

    /// Why nothing reaches it, when its end was no more than that of a connection.
    fn way_lost(&self) -> Option<String> {
        let silent = "BFD lost it; its forwarding may live on while it restarts";
        let link = self.link.err().map(|why| format!("the link is down: {why}"));
        link.or_else(|| self.silent.then(|| silent.to_owned()))
    }

    pub(super) fn has_password(&self) -> bool {
        self.dial.as_ref().is_some_and(|dial| dial.password.is_some())
    }

    pub(super) fn calls_from(&self, address: IpAddr) -> bool {
        self.dial.as_ref().is_some_and(|dial| dial.peer == address)
    }
}

/// In which families it keeps a seat: those it can have routes of, by the kind of their next hops (RFC 8950).
pub(super) fn seats(plan: &PeerPlan) -> PerFamily<bool> {
    let config = &plan.config;
    let (ipv4, ipv6) = (config.families.ipv4.is_some(), config.families.ipv6.is_some());
    let ipv6 = ipv6 || ipv4 && config.ipv4_over_ipv6;
    PerFamily { ipv4: ipv4 && plan.on_attachment, ipv6: ipv6 && plan.on_attachment }
}

/// Why a neighbour does not keep our routes over a restart that was planned, and what to set; `None`: it does. `ours`:
/// `graceful_restart` is "full"; `helped`: both ends have the capability (RFC 4724 §3).
const fn lost_by(ours: bool, helped: bool) -> Option<&'static str> {
    match (ours, helped) {
        (true, true) => None,
        (true, false) => Some(
            "its end has no graceful restart: let it help (RFC 4724), of Quadspan by graceful_restart = \"helper\" or \"full\" there",
        ),
        (false, true) => Some(
            "it keeps no routes of ours: set graceful_restart = \"full\" for it (and at its end, for restarts there)",
        ),
        (false, false) => Some(
            "it keeps no routes of ours: set graceful_restart = \"full\" for it, and let its end help (RFC 4724)",
        ),
    }
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
