//! The key server's work (802.1X-2020 §9.8): when to make a SAK, of which kind, and for whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use net::{Instant, earliest};
use zeroize::Zeroizing;

use super::Kay;
use crate::{
    an::An,
    key::{KeyId, Sak, Salt},
    mka::{
        action::DataKey,
        event::{MkaEvent, RekeyWhy},
        held_key::{HeldKey, Numbers},
        participant::Participant,
        peers::Peer,
        wire::{Confidentiality, MacsecCapability, MemberId},
    },
    sci::{Sci, Ssci},
    suite::{CipherSuite, ConfidentialityOffset},
};

/// What a SAK is made for.
type Kind = (CipherSuite, Confidentiality);

impl RekeyWhy {
    /// Whether traffic of somebody waits for it, so that a rollover under way need not be completed first.
    const fn urgent(self) -> bool {
        match self {
            Self::First
            | Self::PeerJoined
            | Self::ServerChanged
            | Self::CakChanged
            | Self::CipherChanged
            | Self::Refused => true,
            Self::PeerLeft | Self::PacketNumbers | Self::Timer | Self::Requested => false,
        }
    }
}

impl Kay {
    /// Makes a SAK if one is due and may be made now.
    pub(super) fn serve(&mut self) {
        if !self.serves() {
            // Only a key server rekeys; whoever asked can ask the new one.
            self.wanted = false;
            return;
        }
        let Some(kind) = self.choose_kind() else { return };
        let Some(why) = self.due(kind) else { return };
        let blocked = self.blocked_until().is_some_and(|until| until > self.now);
        if blocked || !self.cp.accepts(why.urgent(), &self.roster) {
            return;
        }
        if let Some(key) = self.make(kind) {
            self.announce_sak(key, why);
        }
    }

    fn announce_sak(&mut self, key: HeldKey, why: RekeyWhy) {
        self.events.push_back(MkaEvent::SakMade { key_id: key.key_id(), why });
        self.cp.offer(key);
        self.distributed_at = Some(self.now);
        (self.wanted, self.refused) = (false, false);
        self.plain_by = None;
        self.urge_principal();
    }

    /// Why a SAK is due, if one is. Derived from the state each time, so nothing that was due is forgotten.
    fn due(&self, kind: Kind) -> Option<RekeyWhy> {
        let principal = self.principal()?;
        let Some(key) = self.cp.newest() else {
            return Some(if self.refused { RekeyWhy::Refused } else { RekeyWhy::First });
        };
        if key.ckn != principal.ckn {
            return Some(RekeyWhy::CakChanged);
        }
        // As somebody else we cannot distribute what we made before.
        let other_self = key.key_id().member() != principal.identity.member().0;
        if !key.mine || other_self && !key.received_by_all(&self.roster) {
            return Some(RekeyWhy::ServerChanged);
        }
        if principal.live_members().any(|member| !key.sharers.contains_key(&member)) {
            return Some(RekeyWhy::PeerJoined);
        }
        if (key.data.suite, key.data.confidentiality) != kind {
            return Some(RekeyWhy::CipherChanged);
        }
        if self.refused {
            return Some(RekeyWhy::Refused);
        }
        if self.suspended.is_some() {
            // The suspension is there for traffic to go on, and without packet numbers it does not.
            return self.exhausting(key).then_some(RekeyWhy::PacketNumbers);
        }
        self.due_in_time(key, principal)
    }

    /// What can wait while MKA is suspended, but for packet numbers.
    fn due_in_time(&self, key: &HeldKey, principal: &Participant) -> Option<RekeyWhy> {
        let left = principal.peers.live.len() < key.sharers.len();
        // Who lacks the key could not tell who shared it any more.
        if left && (self.params.rekey_on_peer_loss || !key.received_by_all(&self.roster)) {
            return Some(RekeyWhy::PeerLeft);
        }
        if self.exhausting(key) {
            return Some(RekeyWhy::PacketNumbers);
        }
        if self.timer(key).is_some_and(|at| at <= self.now) {
            return Some(RekeyWhy::Timer);
        }
        self.wanted.then_some(RekeyWhy::Requested)
    }

    fn timer(&self, key: &HeldKey) -> Option<Instant> {
        Some(key.since.after(self.params.rekey?))
    }

    /// Three quarters of somebody's packet numbers are used (PendingPNExhaustion).
    fn exhausting(&self, key: &HeldKey) -> bool {
        let limit = key.data.suite.pending_exhaustion_pn();
        let reported = |pns: &[(KeyId, u64)]| pns.iter().any(|(id, pn)| *id == key.key_id() && *pn >= limit);
        key.numbers.next() >= limit || self.roster.values().any(|alive| reported(&alive.lowest))
    }

    /// §9.8: while there are potential peers, a life time passes between two SAKs, so that those who are about to become
    /// live share the next one. A key that was just refused waits a little too.
    fn blocked_until(&self) -> Option<Instant> {
        let potential = self.principal().is_some_and(|principal| !principal.peers.potential.is_empty());
        let spaced = self.distributed_at.filter(|_| potential).map(|at| at.after(self.params.life));
        spaced.max(Some(self.not_before)).filter(|until| *until > self.now)
    }

    /// When [`serve`](Self::serve) has something to do, if nothing happens before.
    pub(super) fn next_sak_deadline(&self) -> Option<Instant> {
        if !self.serves() {
            return None;
        }
        let timer = self.cp.newest().and_then(|key| self.timer(key)).filter(|at| *at > self.now);
        earliest(self.blocked_until(), timer)
    }

    /// The suite and the confidentiality that all live peers can do. `None`, and a diagnosis, when there is none.
    fn choose_kind(&mut self) -> Option<Kind> {
        let principal = self.principal()?;
        let able: Vec<_> = principal.peers.live.iter().filter(|peer| peer.desired).collect();
        let least = able.iter().map(|peer| peer.capability).chain([self.params.capability]).min();
        let suite = self.params.suites.iter().find(|suite| able.iter().all(|peer| self.has(peer, **suite)));
        let Some(&suite) = suite else {
            let odd = able.iter().find_map(|peer| self.mismatch(peer));
            let odd = odd.or_else(|| able.first().map(|peer| self.no_common_suite(peer)))?;
            self.diagnose(odd);
            return None;
        };
        let confidentiality = match (self.params.confidentiality, least?) {
            // Fail closed: encryption was asked for.
            (_, MacsecCapability::NotImplemented)
            | (Confidentiality::From(_), MacsecCapability::Integrity) => {
                let odd = able.iter().find_map(|peer| self.mismatch(peer))?;
                self.diagnose(odd);
                return None;
            }
            (Confidentiality::IntegrityOnly, _) => Confidentiality::IntegrityOnly,
            (Confidentiality::From(offset), MacsecCapability::Offsets) if suite.allows_offsets() => {
                Confidentiality::From(offset)
            }
            (Confidentiality::From(_), MacsecCapability::Confidentiality | MacsecCapability::Offsets) => {
                Confidentiality::From(ConfidentialityOffset::Zero)
            }
        };
        Some((suite, confidentiality))
    }

    /// Whether a peer can use a suite, as far as we know.
    pub(super) fn has(&self, peer: &Peer, suite: CipherSuite) -> bool {
        match &peer.offers {
            Some(offers) => offers.iter().any(|offer| CipherSuite::from_id(offer.id) == Some(suite)),
            // A peer that says nothing: a single suite is an order; of several, MKA version 1 gets the one that
            // everybody must have.
            None if peer.version < 2 && self.params.suites.contains(&CipherSuite::GcmAes128) => {
                suite == CipherSuite::GcmAes128
            }
            None => true,
        }
    }

    /// Makes a SAK for the live peers of the principal participant.
    fn make(&mut self, (suite, confidentiality): Kind) -> Option<HeldKey> {
        let an = self.choose_an();
        let mut nonce = Zeroizing::new(vec![0; suite.key_len()]);
        (self.rng)(&mut nonce);
        let (us, now, ckn) = (self.params.sci, self.now, self.principal?);
        let participant = self.participants.iter_mut().find(|participant| participant.ckn == ckn)?;
        // Key numbers do not wrap: another member identifier has all of them again.
        let Some(number) = participant.key_number.checked_add(1) else {
            participant.renew(&mut self.rng, now);
            return None;
        };
        participant.key_number = number;
        participant.counters.saks_made += 1;
        let member = participant.identity.member();
        let members: Vec<MemberId> = participant.live_members().chain([member]).collect();
        let octets: Vec<u8> = members.iter().flat_map(|member| member.0).collect();
        let sak = participant.keys.generate_sak(&nonce, &octets, number, suite.key_len());
        let key_id = KeyId::new(member.0, number);
        let salt = Salt::for_key(key_id);
        let sak = Sak::new(&sak).ok()?;
        let (own_ssci, sharers) = sscis(us, &participant.peers.live, suite.is_xpn())?;
        Some(HeldKey {
            data: Arc::new(DataKey { key_id, an, sak, suite, confidentiality, salt }),
            ckn,
            mine: true,
            server: us,
            sharers,
            own_ssci,
            receive: BTreeMap::new(),
            since: now,
            numbers: Numbers::default(),
        })
    }

    /// An association number that nobody uses: neither we nor, after a restart of ours, a peer with the key before it.
    fn choose_an(&self) -> An {
        let ours: BTreeSet<An> = self.cp.keys().map(|key| key.data.an).collect();
        let in_use = self.roster.values().filter_map(|alive| alive.sak_use?.keys);
        let theirs = in_use.flat_map(|keys| [keys.latest, keys.old]).filter(|used| used.is_set());
        let taken: BTreeSet<An> = ours.iter().copied().chain(theirs.map(|used| used.an)).collect();
        let last = self.cp.newest().map_or(An::ALL[3], |key| key.data.an);
        let round = || core::iter::successors(Some(last.next()), |an| Some(an.next())).take(An::ALL.len());
        let free = round().find(|an| !taken.contains(an));
        free.or_else(|| round().find(|an| !ours.contains(an))).unwrap_or_else(|| last.next())
    }
}

/// SSCIs of us and of those who share a SAK with us.
fn sscis(us: Sci, live: &[Peer], xpn: bool) -> Option<(Ssci, BTreeMap<MemberId, Ssci>)> {
    let scis: Vec<Sci> = live.iter().map(|peer| peer.sci).chain([us]).collect();
    let ssci = |sci| if xpn { Ssci::assign(sci, &scis) } else { Some(Ssci::default()) };
    let sharers = live.iter().map(|peer| Some((peer.member, ssci(peer.sci)?)));
    Some((ssci(us)?, sharers.collect::<Option<_>>()?))
}
