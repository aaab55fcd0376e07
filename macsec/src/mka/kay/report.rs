//! Status and diagnosis: what there is to see, and what is wrong, computed when asked.

use net::Instant;

use super::Kay;
use crate::{
    key::KeyId,
    mka::{
        diagnosis::Diagnosis,
        election::Candidate,
        held_key::{Alive, HeldKey},
        params::{KeyStart, NEVER_KEY_SERVER},
        participant::Participant,
        peers::{Listing, Peer},
        status::{
            KeyServerStatus, KeyServerWhy, MkaCounters, MkaStatus, ParticipantStatus, PeerStatus, SakStatus,
        },
    },
    suite::CipherSuite,
};

impl Kay {
    /// Everything there is to see, copied.
    pub fn status(&self, now: Instant) -> MkaStatus {
        let in_use = self.cp.in_use();
        let next =
            self.cp.newest().filter(|newest| in_use.is_none_or(|used| used.key_id() != newest.key_id()));
        let key_id = in_use.map(HeldKey::key_id);
        let upcoming = self.chain.iter().filter_map(|entry| match entry.start {
            KeyStart::At(at) => Some((entry.ckn, at)).filter(|_| at > now),
            KeyStart::Always | KeyStart::Started(_) => None,
        });
        MkaStatus {
            sci: self.params.sci,
            secured: self.secured,
            since: self.secured_since,
            cp: self.cp.state(),
            principal: self.principal,
            key_server: self.key_server(),
            key: in_use.map(|key| self.sak_status(key)),
            next_key: next.map(|key| self.sak_status(key)),
            participants: self.participants.iter().map(|p| self.participant_status(p, key_id)).collect(),
            waiting: upcoming.collect(),
            suspended: self.suspended.map(|until| until.since(now)).filter(|left| !left.is_zero()),
            diagnoses: self.diagnoses(now),
            counters: MkaCounters { faults: self.faults.clone(), rekeys: self.rekeys, unsent: self.unsent },
        }
    }

    /// Traffic may flow under MACsec.
    pub const fn is_secured(&self) -> bool {
        self.secured
    }

    /// Some peer that is alive shares the key in use and does not yet say that it transmits with it.
    pub fn awaits_transmission(&self) -> bool {
        let Some(key) = self.cp.in_use() else { return false };
        let transmits = |alive: &Alive| alive.sak_use.is_some_and(|used| used.transmits(key.key_id()));
        key.shared_by(&self.roster).any(|(_, alive)| !transmits(alive))
    }

    fn candidate(&self) -> Candidate {
        Candidate { priority: self.params.priority, sci: self.params.sci }
    }

    fn key_server(&self) -> Option<KeyServerStatus> {
        let principal = self.principal()?;
        let winner = principal.server?;
        let members = principal.peers.live.iter().map(Peer::candidate).chain([self.candidate()]);
        let why = KeyServerWhy::new(winner, members);
        let ours = winner.sci == self.params.sci;
        Some(KeyServerStatus { sci: winner.sci, priority: winner.priority, ours, why })
    }

    fn sak_status(&self, key: &HeldKey) -> SakStatus {
        SakStatus {
            key_id: key.key_id(),
            fingerprint: key.data.sak.fingerprint(),
            an: key.data.an,
            suite: key.data.suite,
            confidentiality: key.data.confidentiality,
            ckn: key.ckn,
            since: key.since,
            replaced_at: self.params.rekey.filter(|_| key.mine).map(|interval| key.since.after(interval)),
            ssci: key.own_ssci,
            next_pn: key.numbers.next(),
        }
    }

    fn participant_status(&self, participant: &Participant, key: Option<KeyId>) -> ParticipantStatus {
        let peers = |peers: &[Peer]| peers.iter().map(|peer| peer_status(peer, key)).collect();
        ParticipantStatus {
            ckn: participant.ckn,
            cak: participant.cak,
            fallback: participant.fallback,
            principal: self.is_principal(participant.ckn),
            member: participant.identity.member(),
            message: participant.identity.message(),
            key_server: participant.server.map(|server| server.sci),
            live: peers(&participant.peers.live),
            potential: peers(&participant.peers.potential),
            counters: participant.counters,
        }
    }

    /// What is wrong now, and what was seen to be wrong lately.
    fn diagnoses(&self, now: Instant) -> Vec<Diagnosis> {
        let mut found = Vec::new();
        if self.participants.is_empty() {
            found.push(Diagnosis::NoKeyStarted { next: self.next_start().map(|at| at.since(now)) });
        } else if let Some(silence) = self.silence(now).filter(|_| !self.incidents.iter().any(is_mkpdu)) {
            found.push(Diagnosis::NothingHeard { silence });
        }
        for participant in &self.participants {
            self.diagnose_listing(participant, &mut found);
        }
        if let Some(principal) = self.principal() {
            self.diagnose_mismatch(principal, now, &mut found);
            self.diagnose_server(principal, &mut found);
            self.diagnose_key(principal, now, &mut found);
        }
        for incident in self.incidents.iter() {
            if !found.contains(incident) {
                found.push(incident.clone());
            }
        }
        found
    }

    /// Who hears us, and who does not.
    fn diagnose_listing(&self, participant: &Participant, found: &mut Vec<Diagnosis>) {
        let ages = |peer: &&Peer| self.now.since(peer.since) >= self.params.hello();
        for peer in participant.peers.potential.iter().filter(ages) {
            found.push(Diagnosis::NotListed { peer: peer.sci });
        }
        for peer in participant.peers.live.iter().filter(ages) {
            match peer.listing {
                Listing::No => found.push(Diagnosis::NotListed { peer: peer.sci }),
                Listing::Potential => found.push(Diagnosis::OnlyPotential { peer: peer.sci }),
                Listing::Live => {}
            }
        }
    }

    fn diagnose_server(&self, principal: &Participant, found: &mut Vec<Diagnosis>) {
        let us = self.candidate();
        let Some(winner) = principal.server else {
            if us.priority == NEVER_KEY_SERVER && principal.has_live_peers() {
                found.push(Diagnosis::NoKeyServer);
            }
            return;
        };
        // Whoever has just come may not know of the others yet.
        let settled = |peer: &&Peer| peer.claims_server && self.now.since(peer.since) >= self.params.hello();
        let claims = principal.peers.live.iter().filter(settled).map(Peer::candidate);
        let ours = (winner == us).then_some(us);
        let rivals = claims.chain(ours).filter(|rival| rival.priority == winner.priority);
        if rivals.count() > 1 {
            found.push(Diagnosis::TwoKeyServers { priority: winner.priority, winner: winner.sci });
        }
    }

    fn diagnose_key(&self, principal: &Participant, now: Instant, found: &mut Vec<Diagnosis>) {
        let Some(key) = self.cp.newest() else { return };
        let (id, xpn) = (key.key_id(), key.data.suite.is_xpn());
        for peer in &principal.peers.live {
            let low = peer.lowest_pn(id, xpn).is_some_and(|pn| pn >= key.data.suite.pending_exhaustion_pn());
            if low {
                found.push(Diagnosis::PacketNumbersLow { peer: peer.sci });
            }
            let takes = peer.sak_use.is_some_and(|used| used.receives(id));
            if key.mine && !takes && now.since(key.since) >= self.params.life {
                let (suite, confidentiality) = (key.data.suite, key.data.confidentiality);
                found.push(Diagnosis::SakNotTaken { peer: peer.sci, suite, confidentiality });
            }
        }
    }
}

/// It came of an MKPDU that was none of ours: then it would be wrong to say that none was seen.
const fn is_mkpdu(what: &Diagnosis) -> bool {
    matches!(
        what,
        Diagnosis::UnknownCkn { .. }
            | Diagnosis::CakDiffers { .. }
            | Diagnosis::KeyNotStarted { .. }
            | Diagnosis::Malformed { .. }
    )
}

fn peer_status(peer: &Peer, key: Option<KeyId>) -> PeerStatus {
    let uses = |test: fn(&crate::mka::wire::SakUse, KeyId) -> bool| {
        key.zip(peer.sak_use).is_some_and(|(key, used)| test(&used, key))
    };
    let suites = peer
        .offers
        .as_ref()
        .map(|offers| offers.iter().filter_map(|offer| CipherSuite::from_id(offer.id)).collect::<Vec<_>>());
    PeerStatus {
        sci: peer.sci,
        source: peer.source,
        member: peer.member,
        message: peer.message,
        version: peer.version,
        priority: peer.priority,
        capability: peer.capability,
        suites,
        listing: peer.listing,
        since: peer.since,
        heard: peer.heard,
        expires: peer.expires,
        receives: uses(crate::mka::wire::SakUse::receives),
        transmits: uses(crate::mka::wire::SakUse::transmits),
    }
}
