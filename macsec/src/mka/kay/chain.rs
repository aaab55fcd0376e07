//! The key chain: which CAKs can be used now, and which of them is principal.

use net::{Instant, earliest};

use super::Kay;
use crate::{
    key::Ckn,
    mka::{
        event::MkaEvent,
        params::{KeyEntry, KeyStart},
        participant::{Participant, Rank},
    },
};

/// The instant from which a key can be used.
const fn usable_from(entry: &KeyEntry) -> Instant {
    match entry.start {
        KeyStart::Always | KeyStart::Started(_) => Instant::ZERO,
        KeyStart::At(at) => at,
    }
}

impl Kay {
    /// Uses these keys from now on. What stays is not disturbed; a SAK that came under a key that is gone is used until
    /// another replaces it, if a peer is alive under another key.
    pub fn set_keys(&mut self, keys: Vec<KeyEntry>, now: Instant) {
        self.now = self.now.max(now);
        self.chain = keys;
        self.chain_at = self.now;
        self.chain_due = Some(self.now);
        self.advance();
    }

    /// When a key starts or ends next.
    fn next_change(&self) -> Option<Instant> {
        let starts = self.chain.iter().map(usable_from);
        let times = starts.chain(self.chain.iter().filter_map(|entry| entry.end));
        times.filter(|at| *at > self.now).fold(None, |first, at| earliest(first, Some(at)))
    }

    /// When the next key starts, if none can be used now.
    pub(super) fn next_start(&self) -> Option<Instant> {
        self.chain.iter().map(usable_from).filter(|at| *at > self.now).min()
    }

    /// Starts and ends participants with the clock.
    pub(super) fn follow_chain(&mut self) {
        let now = self.now;
        if self.chain_due.is_none_or(|due| due > now) {
            return;
        }
        self.chain_due = self.next_change();
        let usable = |entry: &&(usize, &KeyEntry)| {
            usable_from(entry.1) <= now && entry.1.end.is_none_or(|end| end > now)
        };
        let entries: Vec<_> = self.chain.iter().enumerate().collect();
        let entries: Vec<_> = entries.iter().filter(usable).collect();
        self.participants.retain(|participant| {
            entries
                .iter()
                .any(|(_, entry)| entry.ckn == participant.ckn && entry.cak.fingerprint() == participant.cak)
        });
        for (place, entry) in entries {
            let rank = Rank::new(entry, *place, self.chain_at);
            if let Some(known) = self.participants.iter_mut().find(|p| p.ckn == entry.ckn) {
                (known.rank, known.fallback) = (rank, entry.fallback);
                continue;
            }
            self.participants.extend(Participant::new(entry, rank, &self.params, &mut self.rng, now));
        }
        self.participants.sort_by_key(|participant| participant.rank);
    }

    /// Chooses the participant whose SAK is used (§9.1). A key server moves to a better key as soon as nobody who is live
    /// under the present one would be missing; other members wait for the SAK that comes of it.
    pub(super) fn choose_principal(&mut self) {
        let us = self.params.sci;
        let Some(best) = self.participants.iter().find(|p| p.has_live_peers()) else {
            self.principal = None;
            return;
        };
        let chosen = match self.principal().filter(|present| present.has_live_peers()) {
            None => best.ckn,
            Some(present) => {
                let mut better = self.participants.iter().filter(|p| p.rank < present.rank);
                let taken = better.find(|p| p.serves(us) && p.has_live_peers() && p.covers(present));
                taken.unwrap_or(present).ckn
            }
        };
        self.principal_is(chosen);
    }

    pub(super) fn principal_is(&mut self, ckn: Ckn) {
        if self.principal == Some(ckn) {
            return;
        }
        self.principal = Some(ckn);
        let fallback = self.principal().is_some_and(|principal| principal.fallback);
        self.events.push_back(MkaEvent::Principal { ckn, fallback });
        self.urge_principal();
    }
}
