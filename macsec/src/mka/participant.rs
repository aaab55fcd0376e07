//! One CAK's conversation: who takes part in it, who of them is key server, and when we speak next.
//!
//! A KaY has a participant for every CAK that can be used now (802.1X-2020 §9.1). It knows nothing of the SecY: what
//! keys do there is the [`Kay`](super::Kay)'s affair, because the participants share one.

use core::{cmp::Reverse, time::Duration};

use net::{Instant, MacAddr};

use super::{
    election::{Candidate, elect},
    identity::{Identity, Rng},
    kdf::CakKeys,
    pace::Pace,
    params::{KayParams, KeyEntry, KeyStart},
    peers::{Heard, Peer, Peers},
    wire::{MemberId, Mkpdu, MkpduFault},
};
use crate::{
    key::{Ckn, Fingerprint},
    sci::Sci,
};

/// Which key is preferred; the least is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Rank {
    fallback: bool,
    /// Nanoseconds of the process's time; far in the past without a start time.
    newest: Reverse<i128>,
    /// Place in the list.
    place: usize,
}

impl Rank {
    pub(super) fn new(entry: &KeyEntry, place: usize, now: Instant) -> Self {
        let start = match entry.start {
            KeyStart::Always => i128::MIN,
            KeyStart::Started(ago) => {
                i128::from(now.as_nanos()) - i128::try_from(ago.as_nanos()).unwrap_or(i128::MAX)
            }
            KeyStart::At(at) => i128::from(at.as_nanos()),
        };
        Self { fallback: entry.fallback, newest: Reverse(start), place }
    }
}

/// MKPDUs of one participant.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ParticipantCounters {
    /// Received with a valid ICV and taken.
    pub in_mkpdu: u64,
    /// Sent.
    pub out_mkpdu: u64,
    /// Received with this CKN and a wrong ICV.
    pub icv_failures: u64,
    /// SAKs received that were accepted.
    pub saks_received: u64,
    /// SAKs made.
    pub saks_made: u64,
}

/// One CAK's conversation.
#[derive(Debug)]
pub(super) struct Participant {
    /// The name as configured.
    pub(super) ckn: Ckn,
    /// The name as it is sent.
    pub(super) wire_ckn: Ckn,
    pub(super) cak: Fingerprint,
    pub(super) keys: CakKeys,
    pub(super) fallback: bool,
    pub(super) rank: Rank,
    pub(super) identity: Identity,
    /// Key number of the last SAK made under this identity.
    pub(super) key_number: u32,
    pub(super) peers: Peers,
    pub(super) server: Option<Candidate>,
    pub(super) pace: Pace,
    pub(super) counters: ParticipantCounters,
}

impl Participant {
    /// `None` never happens: see [`CakKeys::derive`].
    pub(super) fn new(
        entry: &KeyEntry,
        rank: Rank,
        params: &KayParams,
        rng: &mut Rng,
        now: Instant,
    ) -> Option<Self> {
        Some(Self {
            ckn: entry.ckn,
            wire_ckn: params.wire_ckn(entry.ckn),
            cak: entry.cak.fingerprint(),
            keys: CakKeys::derive(&entry.cak, &entry.ckn)?,
            fallback: entry.fallback,
            rank,
            identity: Identity::new(rng),
            key_number: 0,
            peers: Peers::default(),
            server: None,
            pace: Pace::new(params.hello(), now),
            counters: ParticipantCounters::default(),
        })
    }

    /// Whether MKPDUs with this CKN are meant for it. Padding changes no key as long as the first 16 octets, zero
    /// filled, stay what they are, so with padding both forms are taken.
    pub(super) fn answers_to(&self, ckn: &Ckn) -> bool {
        *ckn == self.wire_ckn || *ckn == self.ckn
    }

    /// Takes in an MKPDU whose ICV is right. Answers at once where a peer waits for it.
    pub(super) fn hear(
        &mut self,
        mkpdu: &Mkpdu,
        source: MacAddr,
        (now, life): (Instant, Duration),
        rng: &mut Rng,
    ) -> Result<Heard, MkpduFault> {
        let heard = self.peers.hear(mkpdu, source, &self.identity, (now, life))?;
        self.counters.in_mkpdu += 1;
        match heard {
            Heard::Known => {}
            Heard::Stranger | Heard::Promoted { .. } => self.pace.urge(now),
            Heard::Collision => self.renew(rng, now),
        }
        Ok(heard)
    }

    /// Takes another member identifier: peers start anew with us.
    pub(super) fn renew(&mut self, rng: &mut Rng, now: Instant) {
        self.identity.renew(rng);
        self.key_number = 0;
        self.pace.urge(now);
    }

    /// Who is key server among us and the live peers; nobody while we are alone. True when that changed.
    pub(super) fn elect(&mut self, us: Candidate) -> bool {
        let server = if self.peers.live.is_empty() {
            None
        } else {
            elect(self.peers.live.iter().map(Peer::candidate).chain([us]))
        };
        let changed = server != self.server;
        self.server = server;
        changed
    }

    /// Whether we are key server.
    pub(super) fn serves(&self, us: Sci) -> bool {
        self.server.is_some_and(|server| server.sci == us)
    }

    pub(super) fn has_live_peers(&self) -> bool {
        !self.peers.live.is_empty()
    }

    /// Everybody who is alive under `other` is alive here too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        other.peers.live.iter().all(|peer| self.peers.live_by_sci(peer.sci).is_some())
    }

    /// Identifiers of the live peers.
    pub(super) fn live_members(&self) -> impl Iterator<Item = MemberId> {
        self.peers.live.iter().map(|peer| peer.member)
    }
}
