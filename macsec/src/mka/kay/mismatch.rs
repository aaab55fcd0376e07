//! What keeps members from agreeing on the kind of SAK, as either end sees it.
//!
//! The key server alone decides (802.1X-2020 §9.8), and where it finds nothing to decide for it just distributes no SAK. So a
//! member that only waited for one would not know why none comes. But all members say what they can, in the basic parameter set
//! and, where they announce, suite by suite (§11.12): whoever reads that knows as much as the key server.

use net::Instant;

use super::Kay;
use crate::{
    key::KeyId,
    mka::{
        diagnosis::Diagnosis,
        held_key::HeldKey,
        participant::Participant,
        peers::{Listing, Peer},
        wire::{Confidentiality, MacsecCapability},
    },
    suite::CipherSuite,
};

impl Kay {
    /// Why no SAK comes about with the live peers, as far as they tell.
    pub(super) fn diagnose_mismatch(
        &self,
        participant: &Participant,
        now: Instant,
        found: &mut Vec<Diagnosis>,
    ) {
        let newest = self.cp.newest().map(HeldKey::key_id);
        for peer in participant.peers.live.iter().filter(|peer| !agrees(peer, newest)) {
            if peer.desired {
                found.extend(self.mismatch(peer));
            } else {
                found.push(Diagnosis::NotDesired { peer: peer.sci });
            }
        }
        let silent = found.is_empty() && self.incidents.iter().next().is_none();
        if let Some(server) = participant.server.filter(|_| silent && newest.is_none())
            && participant.peers.live_by_sci(server.sci).is_some_and(|peer| {
                peer.listing == Listing::Live && now.since(peer.since) >= self.params.life
            })
        {
            found.push(Diagnosis::NoSak { server: server.sci });
        }
    }

    /// What a peer that wants MACsec cannot do of what we require.
    pub(super) fn mismatch(&self, peer: &Peer) -> Option<Diagnosis> {
        let required = self.required_capability();
        if peer.capability < required {
            let capability = peer.capability;
            return Some(Diagnosis::CapabilityTooLow { peer: peer.sci, capability, required });
        }
        let common = self.params.suites.iter().any(|suite| self.has(peer, *suite));
        (!common).then(|| self.no_common_suite(peer))
    }

    /// Members and we have no suite that all have, and this peer is one of those to blame.
    pub(super) fn no_common_suite(&self, peer: &Peer) -> Diagnosis {
        let offers = peer.offers.iter().flatten().map(|offer| offer.id);
        // One that says nothing of it, and has what all must have.
        let offered =
            if peer.offers.is_some() { offers.collect() } else { vec![CipherSuite::GcmAes128.id()] };
        Diagnosis::CipherNotSupported { peer: peer.sci, offered, ours: self.own_suites() }
    }

    pub(super) fn own_suites(&self) -> Vec<u64> {
        self.params.suites.iter().map(|suite| suite.id()).collect()
    }

    /// The least that a peer must be capable of: where encryption was asked for, nothing less will do.
    const fn required_capability(&self) -> MacsecCapability {
        match self.params.confidentiality {
            Confidentiality::IntegrityOnly => MacsecCapability::Integrity,
            Confidentiality::From(_) => MacsecCapability::Confidentiality,
        }
    }
}

/// It receives with the newest key that we have.
fn agrees(peer: &Peer, newest: Option<KeyId>) -> bool {
    newest.is_some_and(|key| peer.sak_use.is_some_and(|used| used.receives(key)))
}
