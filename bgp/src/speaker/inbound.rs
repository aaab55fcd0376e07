//! From the peer into the tables: UPDATEs, sessions that come and go, stale routes.

use super::{
    Event, Speaker,
    import::ImportContext,
    neighbor::{Inbound, Neighbor, Stale},
    seconds,
};
use crate::{
    error::SessionEnd,
    negotiate::Negotiated,
    policy::Ruling,
    rib::{Path, PeerId},
    types::Family,
    wire::{
        attributes::Attributes,
        capability::Role,
        fault::Fault,
        update::{Announced, Group, Update},
    },
};
use core::time::Duration;
use net::{Instant, IpNet};
use std::sync::Arc;

impl Speaker {
    pub(super) fn session_up(&mut self, peer: PeerId, agreed: Box<Negotiated>, now: Instant) {
        let mut facts = self.rib.facts().get(peer.index()).copied();
        if let Some(facts) = &mut facts {
            facts.router_id = agreed.peer_id.bits();
            self.rib.know(peer, *facts);
        }
        for family in Family::ALL {
            self.settle_stale(peer, family, &agreed, now);
        }
        let Some(neighbor) = self.neighbors.get_mut(&peer) else { return };
        neighbor.forget_told();
        neighbor.sessions = neighbor.sessions.saturating_add(1);
        neighbor.has_been_up = true;
        neighbor.faults.clear();
        neighbor.agreed = Some(agreed.clone());
        for family in Family::ALL.into_iter().filter(|family| *agreed.families.of(*family)) {
            neighbor.inbound.of_mut(family).end_of_rib = false;
            neighbor.outbound.of_mut(family).end_of_rib_due = true;
            for (prefix, _) in self.rib.of(family).filter(|(_, destination)| destination.best().is_some()) {
                neighbor.mark(prefix);
            }
        }
        self.events.push_back(Event::Up { peer, agreed });
        self.check_deferral();
    }

    pub(super) fn session_end(
        &mut self,
        peer: PeerId,
        end: SessionEnd,
        was_up: Option<Box<Negotiated>>,
        now: Instant,
    ) {
        let (restarting, forwarding) = self.restart_bits(true);
        let Some(neighbor) = self.neighbors.get_mut(&peer) else { return };
        neighbor.last_words.note(&end, now);
        neighbor.last_end = Some((now, end.clone()));
        let mut routes_kept = false;
        if let Some(agreed) = &was_up {
            neighbor.agreed = None;
            neighbor.forget_told();
            // From now on we restart without having lost our forwarding state.
            neighbor.peer.set_params(neighbor.config.session(&self.config, restarting, forwarding));
            let keep = end.keeps_routes(agreed.restart_over_notification) && !neighbor.drop_routes;
            neighbor.drop_routes = false;
            let restart = agreed.graceful_restart.filter(|_| keep);
            for family in Family::ALL {
                let kept = restart.filter(|restart| restart.families.of(family).is_some());
                match kept {
                    Some(restart) => {
                        let time = Duration::from_secs(u64::from(restart.restart_time));
                        routes_kept |= self.keep_as_stale(peer, family, now.after(time));
                    }
                    None => {
                        self.drop_routes(peer, family, |_| true);
                        self.inbound(peer, family).into_iter().for_each(|inbound| inbound.stale = None);
                    }
                }
                self.inbound(peer, family).into_iter().for_each(Inbound::forget_limit);
            }
        }
        self.events.push_back(Event::Down { peer, end, was_up: was_up.is_some(), routes_kept });
        self.check_deferral();
    }

    /// RFC 4724 section 4.2: routes that were stale from an earlier loss go, the others become stale: those too that a
    /// refresh, which is over now, had not told again yet.
    fn keep_as_stale(&mut self, peer: PeerId, family: Family, until: Instant) -> bool {
        let Some(inbound) = self.inbound(peer, family) else { return false };
        let epoch = inbound.epoch;
        if matches!(inbound.stale, Some(Stale::Restart(_))) {
            self.drop_routes(peer, family, |path| path.epoch != epoch);
        }
        let Some(inbound) = self.inbound(peer, family) else { return false };
        let any = inbound.count > 0;
        inbound.left_over = inbound.count;
        inbound.epoch = inbound.epoch.wrapping_add(1);
        inbound.stale = any.then_some(Stale::Restart(until));
        any
    }

    /// RFC 4724 section 4.2: the session is back. Stale routes stay only if the peer says that it kept on
    /// forwarding.
    fn settle_stale(&mut self, peer: PeerId, family: Family, agreed: &Negotiated, now: Instant) {
        let Some(neighbor) = self.neighbors.get_mut(&peer) else { return };
        let longest = neighbor.config.stale_time;
        let inbound = neighbor.inbound.of_mut(family);
        if inbound.stale.is_none() {
            return;
        }
        let forwarded = agreed.graceful_restart.and_then(|restart| *restart.families.of(family));
        if forwarded == Some(true) && *agreed.families.of(family) {
            inbound.stale = Some(Stale::Restart(now.after(longest)));
        } else {
            self.sweep_stale(peer, family);
        }
    }

    pub(super) fn inbound(&mut self, peer: PeerId, family: Family) -> Option<&mut Inbound> {
        self.neighbors.get_mut(&peer).map(|neighbor| neighbor.inbound.of_mut(family))
    }

    /// Drops the stale routes of a family and reports how many there were.
    pub(super) fn sweep_stale(&mut self, peer: PeerId, family: Family) {
        let Some(inbound) = self.inbound(peer, family) else { return };
        inbound.stale = None;
        let (epoch, before) = (inbound.epoch, inbound.count);
        self.drop_routes(peer, family, |path| path.epoch != epoch);
        let after = self.inbound(peer, family).map_or(0, |inbound| inbound.count);
        let routes = usize::try_from(before.saturating_sub(after)).unwrap_or(0);
        if routes > 0 {
            self.events.push_back(Event::StaleDropped { peer, family, routes });
        }
    }

    pub(super) fn drop_stale(&mut self, peer: PeerId, now: Instant) {
        for family in Family::ALL {
            let due = self.inbound(peer, family).and_then(|inbound| inbound.stale_until());
            if due.is_some_and(|until| until <= now) {
                self.sweep_stale(peer, family);
            }
        }
    }

    /// Takes routes of a peer out of the table, and tells everybody.
    pub(super) fn drop_routes(&mut self, peer: PeerId, family: Family, condemned: impl Fn(&Path) -> bool) {
        // Looking through the whole table is for those who have something in it.
        if self.inbound(peer, family).is_none_or(|inbound| inbound.count == 0) {
            return;
        }
        let swept = self.rib.sweep(family, peer, condemned);
        if let Some(inbound) = self.inbound(peer, family) {
            inbound.count = inbound.count.saturating_sub(u32::try_from(swept.len()).unwrap_or(u32::MAX));
            // Either all went, or all that were stale.
            inbound.left_over = 0;
            if inbound.count == 0 {
                inbound.stale = None;
            }
        }
        self.make_room(peer, family);
        swept.into_iter().filter(|(_, changed)| *changed).for_each(|(prefix, _)| self.spread(prefix));
    }

    pub(super) fn note_faults(&mut self, peer: PeerId, faults: &[Fault]) {
        let Some(neighbor) = self.neighbors.get_mut(&peer) else { return };
        for fault in faults {
            let count = neighbor.faults.entry(fault.kind).or_insert(0);
            *count = count.saturating_add(1);
            if *count == 1 {
                self.events.push_back(Event::Fault { peer, fault: *fault });
            }
        }
    }

    pub(super) fn take_update(&mut self, peer: PeerId, update: Update, now: Instant) {
        self.note_faults(peer, &update.faults);
        for prefix in &update.withdrawn {
            self.withdraw(peer, prefix);
        }
        match update.announced {
            Announced::TreatAsWithdraw(prefixes) => {
                prefixes.iter().for_each(|prefix| self.withdraw(peer, prefix));
            }
            Announced::Routes(groups) => groups.into_iter().for_each(|group| self.learn(peer, group, now)),
        }
        if let Some(family) = update.end_of_rib {
            self.end_of_rib(peer, family);
        }
    }

    fn withdraw(&mut self, peer: PeerId, prefix: &IpNet) {
        let family = Family::of(prefix);
        let left_over = self.is_left_over(peer, prefix);
        let effect = self.rib.remove(prefix, peer);
        if effect.added == 0 {
            return;
        }
        if effect.changed {
            self.spread(*prefix);
        }
        if let Some(inbound) = self.inbound(peer, family) {
            inbound.count = inbound.count.saturating_sub(1);
            inbound.left_over = inbound.left_over.saturating_sub(u32::from(left_over));
        }
        self.make_room(peer, family);
    }

    fn learn(&mut self, peer: PeerId, group: Group, now: Instant) {
        let Some(neighbor) = self.neighbors.get(&peer) else { return };
        let config = Arc::clone(&neighbor.config);
        let (local_asn, draining) = (neighbor.local_asn, neighbor.draining);
        let context = ImportContext {
            config: &config,
            local_asn,
            speaker_asn: self.config.asn,
            router_id: self.config.router_id,
            peer_role: peer_role(neighbor),
            draining,
        };
        let received = self.rib.intern(group.attributes);
        let mut made: Vec<(Ruling, Arc<Attributes>)> = Vec::new();
        for prefix in group.prefixes {
            if !self.admit(peer, &prefix, now) {
                continue;
            }
            let accepted = match context.check(&prefix, &received) {
                Err(_) => None,
                Ok(ruling) => Some(self.accepted(&context, ruling, &received, &mut made)),
            };
            self.store(peer, prefix, &received, accepted, now);
        }
    }

    /// The accepted form of a route; made once for each line of the policy that decided about it.
    fn accepted(
        &mut self,
        context: &ImportContext<'_>,
        ruling: Ruling,
        received: &Arc<Attributes>,
        made: &mut Vec<(Ruling, Arc<Attributes>)>,
    ) -> Arc<Attributes> {
        if let Some((_, attributes)) = made.iter().find(|(known, _)| *known == ruling) {
            return Arc::clone(attributes);
        }
        let attributes = self.rib.intern(context.make(ruling, received));
        made.push((ruling, Arc::clone(&attributes)));
        attributes
    }

    fn store(
        &mut self,
        peer: PeerId,
        prefix: IpNet,
        received: &Arc<Attributes>,
        accepted: Option<Arc<Attributes>>,
        now: Instant,
    ) {
        let family = Family::of(&prefix);
        let Some(epoch) = self.inbound(peer, family).map(|inbound| inbound.epoch) else { return };
        let left_over = self.is_left_over(peer, &prefix);
        let path = Path { received: Arc::clone(received), accepted, since: seconds(now), peer, epoch };
        let effect = self.rib.insert(prefix, path);
        if let Some(inbound) = self.inbound(peer, family) {
            inbound.count = inbound.count.saturating_add(u32::from(effect.added > 0));
            inbound.left_over = inbound.left_over.saturating_sub(u32::from(left_over));
        }
        if effect.changed {
            self.spread(prefix);
        }
    }

    fn end_of_rib(&mut self, peer: PeerId, family: Family) {
        let Some(inbound) = self.inbound(peer, family) else { return };
        if !core::mem::replace(&mut inbound.end_of_rib, true) {
            self.events.push_back(Event::EndOfRib { peer, family });
        }
        if self.inbound(peer, family).is_some_and(|inbound| matches!(inbound.stale, Some(Stale::Restart(_))))
        {
            self.sweep_stale(peer, family);
        }
        self.check_deferral();
    }

    /// After a restart of ours: routes are complete when every peer that runs, and is not restarting
    /// itself, has sent its End-of-RIB (RFC 4724 section 4.1).
    pub(super) fn check_deferral(&mut self) {
        if self.deferred_until.is_none() {
            return;
        }
        let complete = |neighbor: &Neighbor| match (&neighbor.agreed, neighbor.peer.standing()) {
            (_, crate::peer::Standing::Stopped) => true,
            (None, _) => !neighbor.awaited,
            (Some(agreed), _) => {
                let waits = agreed.graceful_restart.is_some_and(|restart| !restart.restarting);
                let done = |family| !*agreed.families.of(family) || neighbor.inbound.of(family).end_of_rib;
                !waits || Family::ALL.into_iter().all(done)
            }
        };
        if self.neighbors.values().all(complete) {
            self.end_deferral();
        }
    }

    pub(super) fn end_deferral(&mut self) {
        if self.deferred_until.take().is_some() {
            let (restarting, preserved) = self.restart_bits(false);
            for neighbor in self.neighbors.values_mut() {
                let forwarding = preserved || neighbor.has_been_up;
                neighbor.peer.set_params(neighbor.config.session(&self.config, restarting, forwarding));
            }
            self.events.push_back(Event::SelectionDone);
        }
    }

    /// Policy or treatment of a peer changed: everything from it is imported again, everything to it is
    /// looked at again.
    pub(super) fn look_again(&mut self, peer: PeerId) {
        let Some(neighbor) = self.neighbors.get(&peer) else { return };
        let (config, role) = (Arc::clone(&neighbor.config), peer_role(neighbor));
        let context = ImportContext {
            config: &config,
            local_asn: neighbor.local_asn,
            speaker_asn: self.config.asn,
            router_id: self.config.router_id,
            peer_role: role,
            draining: neighbor.draining,
        };
        for family in Family::ALL {
            let changed = self.rib.reimport(family, peer, |prefix, path, table| {
                let ruling = context.check(prefix, &path.received).ok()?;
                Some(table.intern(context.make(ruling, &path.received)))
            });
            changed.into_iter().for_each(|prefix| self.spread(prefix));
            self.mark_all(peer, family);
        }
    }

    /// Everything in the table may have to be told to `peer` differently.
    fn mark_all(&mut self, peer: PeerId, family: Family) {
        let Some(neighbor) = self.neighbors.get_mut(&peer).filter(|neighbor| neighbor.carries(family)) else {
            return;
        };
        neighbor.too_large.clear(family);
        self.rib.of(family).for_each(|(prefix, _)| neighbor.mark(prefix));
    }
}

/// The role of an external peer, if we have one ourselves (RFC 9234).
pub(super) fn peer_role(neighbor: &Neighbor) -> Option<Role> {
    let external = neighbor.local_asn != neighbor.config.asn;
    neighbor.config.role.filter(|_| external).map(Role::counterpart)
}
