//! After every change: who is still there, who is key server, which key is due, what the SecY has to do.

use core::time::Duration;

use super::Kay;
use crate::{
    key::Ckn,
    mka::{
        action::KeyAction,
        cp::Progress,
        election::Candidate,
        event::{LostWhy, MkaEvent},
        held_key::{Alive, Roster},
        peers::Peer,
        wire::MemberId,
    },
    sci::Sci,
};

/// Incidents are shown for this many life times after they were last seen.
const INCIDENT_LIVES: u32 = 3;

impl Kay {
    pub(super) fn advance(&mut self) {
        self.follow_chain();
        self.expire();
        self.elect();
        self.choose_principal();
        self.enroll();
        if self.principal.is_none() {
            let why = if self.participants.is_empty() { LostWhy::NoKey } else { LostWhy::NoPeer };
            self.lose(why);
            return;
        }
        if self.plain_by.is_some() {
            self.lose(LostWhy::NoMacsec);
        }
        self.serve();
        self.step();
        self.cp.follow(&self.roster, &mut self.installer);
        self.prune_scs();
        if self.cp.in_use().is_none() {
            self.set_secured(false, LostWhy::KeyLost);
        }
    }

    fn expire(&mut self) {
        let now = self.now;
        if self.suspended.take_if(|until| *until <= now).is_some() {
            self.suspends = false;
            self.events.push_back(MkaEvent::Resumed);
        }
        self.incidents.forget(now, self.params.life.saturating_mul(INCIDENT_LIVES));
        for participant in &mut self.participants {
            let gone = participant.peers.expire(now, self.params.life);
            // Whoever heard us all the time would not give us a key again: to it we never left.
            if !gone.is_empty() && participant.peers.live.is_empty() {
                participant.renew(&mut self.rng, now);
            }
            let ckn = participant.ckn;
            self.events.extend(gone.into_iter().map(|peer| MkaEvent::PeerDown { sci: peer.sci, ckn }));
        }
    }

    pub(super) fn elect(&mut self) {
        let us = Candidate { priority: self.params.priority, sci: self.params.sci };
        for participant in &mut self.participants {
            let changed = participant.elect(us);
            if changed && self.principal.is_none_or(|principal| principal == participant.ckn) {
                let sci = participant.server.map(|server| server.sci);
                self.events.push_back(MkaEvent::KeyServer { sci, ours: sci == Some(us.sci) });
            }
        }
        let server = self.principal().and_then(|principal| principal.server).map(|server| server.sci);
        self.plain_by = self.plain_by.filter(|by| server == Some(*by));
    }

    /// Collects the live peers of all participants.
    fn enroll(&mut self) {
        let mut roster = Roster::new();
        let mut newest = std::collections::BTreeMap::new();
        for (ckn, peer) in
            self.participants.iter().flat_map(|p| p.peers.live.iter().map(|peer| (p.ckn, peer)))
        {
            let alive = roster.entry(peer.sci).or_insert_with(|| Alive {
                members: Vec::new(),
                sak_use: None,
                lowest: Vec::new(),
            });
            alive.members.push((ckn, peer.member));
            let said = newest.entry(peer.sci).or_insert(None);
            if peer.sak_use.is_some() && said.is_none_or(|at| at <= peer.sak_use_at) {
                *said = Some(peer.sak_use_at);
                self.note_use(alive, peer);
            }
        }
        self.roster = roster;
    }

    fn note_use(&self, alive: &mut Alive, peer: &Peer) {
        alive.sak_use = peer.sak_use;
        let lowest = |key: &crate::mka::held_key::HeldKey| {
            Some((key.key_id(), peer.lowest_pn(key.key_id(), key.data.suite.is_xpn())?))
        };
        alive.lowest = self.cp.keys().filter_map(lowest).collect();
    }

    /// Nobody is left to share a key with.
    fn lose(&mut self, why: LostWhy) {
        if self.cp.newest().is_some() || !self.installer.scs.is_empty() {
            self.close(why);
        }
    }

    /// Runs the controlled port machine until it waits.
    fn step(&mut self) {
        let times = (self.now, self.patience());
        let server = self.key_server_self();
        while let Some(progress) = self.cp.step(&self.roster, times, server, &mut self.installer) {
            self.urge_principal();
            match progress {
                Progress::Receives | Progress::Retires => {}
                Progress::Overwritten => self.set_secured(false, LostWhy::KeyLost),
                Progress::Transmits { .. } => self.note_transmission(),
            }
        }
    }

    /// How long a rollover waits for peers that say nothing: a life time, and before that until they are expected to speak again.
    fn patience(&self) -> Duration {
        let silent = self.suspended.map_or(Duration::ZERO, |until| until.since(self.now));
        silent.saturating_add(self.params.life)
    }

    /// The key server by SCI and present member identifier.
    fn key_server_self(&self) -> Option<(Sci, MemberId)> {
        let principal = self.principal()?;
        let sci = principal.server?.sci;
        let member = if sci == self.params.sci {
            principal.identity.member()
        } else {
            principal.peers.live_by_sci(sci)?.member
        };
        Some((sci, member))
    }

    fn note_transmission(&mut self) {
        let Some(key) = self.cp.in_use() else { return };
        let (key_id, an, suite) = (key.key_id(), key.data.an, key.data.suite);
        self.rekeys += 1;
        if self.secured {
            self.events.push_back(MkaEvent::Rekeyed { key_id, an, suite });
        } else {
            self.set_secured(true, LostWhy::KeyLost);
            self.events.push_back(MkaEvent::Secured { key_id, an, suite });
        }
    }

    /// Deletes receive SCs of peers that are gone and share no key any more.
    fn prune_scs(&mut self) {
        let (cp, roster) = (&self.cp, &self.roster);
        let used = |sci| roster.contains_key(&sci) || cp.keys().any(|key| key.receive.contains_key(&sci));
        let unused: Vec<_> = self.installer.scs.iter().copied().filter(|sci| !used(*sci)).collect();
        for sci in unused {
            self.installer.scs.remove(&sci);
            self.installer.actions.push_back(KeyAction::DeleteReceiveSc { sci });
        }
    }

    /// Whether this participant is the principal one.
    pub(super) fn is_principal(&self, ckn: Ckn) -> bool {
        self.principal == Some(ckn)
    }
}
