//! The key exchange in a capture: MKPDUs, who sent them, and the SAKs that they carry (802.1X-2020 §9, §11.11).
//!
//! Equipment sends MKPDUs with VLAN tags in front of them, with other EtherTypes, with a filled-up CKN, with parameter
//! sets of its own. So tags are looked through; an EtherType other than EAPOL's counts when a frame that looks
//! like an MKPDU names a CKN that was given; the rest is `macsec::mka::decode`.

use std::collections::{BTreeMap, BTreeSet};

use macsec::{
    Cak, Ckn, Sci, Ssci,
    mka::{
        MkpduFault,
        decode::{Follower, FoundSak, IcvCheck},
    },
};
use net::{EtherType, Instant};
use serde::Serialize;

use super::keys::GivenKey;

/// Different CKNs that are told apart; further ones are counted as unknown without their name.
const MOST_CKNS: usize = 1000;

/// MKPDUs, by what their ICV says. `total` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct MkpduCounts {
    /// All of them.
    pub total: u64,
    /// The ICV is right.
    pub icv_valid: u64,
    /// It is wrong by the CAK of this CKN.
    pub icv_invalid: u64,
    /// No CAK was given for this CKN.
    pub unknown_ckn: u64,
    /// The frame breaks a rule of 802.1X §11.11.2, or the capture kept only a part of it: there is no ICV to check.
    pub malformed: u64,
}

/// MKPDUs of one CKN.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct CknCounts {
    pub(super) valid: u64,
    pub(super) invalid: u64,
    pub(super) unknown: u64,
}

/// What was learnt from a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Seen {
    /// It is no MKPDU.
    Other,
    /// It is one, and nothing came of it.
    Mkpdu,
    /// It is authentic: members may have become known.
    Authentic,
    /// A SAK came to light: its place in the list.
    Sak(usize),
}

/// What has been found of the key exchange.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    follower: Follower,
    given: BTreeSet<Ckn>,
    pub(super) counts: MkpduCounts,
    offered: BTreeMap<Ckn, CknCounts>,
}

impl Exchange {
    pub(super) fn new(caks: &[(Ckn, Cak)]) -> Self {
        Self {
            follower: Follower::new(caks.iter().map(|(ckn, cak)| (*ckn, cak))),
            given: caks.iter().map(|(ckn, _)| *ckn).collect(),
            ..Self::default()
        }
    }

    /// Whether a SAK may come to light.
    pub(super) fn is_following(&self) -> bool {
        !self.given.is_empty()
    }

    /// Takes a frame without tags in clear. `nanoseconds` is the time of its capture.
    pub(super) fn observe(&mut self, frame: &[u8], ethertype: EtherType, nanoseconds: u64) -> Seen {
        let eapol = ethertype == EtherType::EAPOL;
        let seen = match self.follower.observe(frame, ethertype, Instant::from_nanos(nanoseconds)) {
            Err(MkpduFault::NotMka) => return Seen::Other,
            Err(_) if !eapol => return Seen::Other,
            Err(_) => {
                self.counts.total += 1;
                self.counts.malformed += 1;
                return Seen::Mkpdu;
            }
            Ok(seen) => seen,
        };
        if !eapol && seen.icv == IcvCheck::UnknownCkn {
            return Seen::Other;
        }
        self.count(seen.ckn, seen.icv);
        let found = seen.new_sak.and_then(|key_id| {
            self.saks().iter().position(|sak| sak.data.key_id == key_id && sak.ckn == seen.ckn)
        });
        match (found, seen.icv) {
            (Some(place), _) => Seen::Sak(place),
            (None, IcvCheck::Valid) => Seen::Authentic,
            (None, IcvCheck::Invalid | IcvCheck::UnknownCkn) => Seen::Mkpdu,
        }
    }

    fn count(&mut self, ckn: Ckn, icv: IcvCheck) {
        let mut unlisted = CknCounts::default();
        let full = self.offered.len() >= MOST_CKNS && !self.offered.contains_key(&ckn);
        let offered = if full { &mut unlisted } else { self.offered.entry(ckn).or_default() };
        let (whole, one) = match icv {
            IcvCheck::Valid => (&mut self.counts.icv_valid, &mut offered.valid),
            IcvCheck::Invalid => (&mut self.counts.icv_invalid, &mut offered.invalid),
            IcvCheck::UnknownCkn => (&mut self.counts.unknown_ckn, &mut offered.unknown),
        };
        *whole += 1;
        *one += 1;
        self.counts.total += 1;
    }

    /// The SAKs, in the order in which they were first distributed.
    pub(super) fn saks(&self) -> &[FoundSak] {
        self.follower.saks()
    }

    pub(super) const fn follower(&self) -> &Follower {
        &self.follower
    }

    /// The key that opens frames under a SAK.
    pub(super) fn key(&self, place: usize) -> Option<GivenKey> {
        GivenKey::distributed(place, self.saks().get(place)?)
    }

    /// Whose frames may be under a SAK, each with its SSCI; `None` while a member that shares it has not been heard.
    pub(super) fn senders(&self, place: usize) -> Option<BTreeMap<Sci, Ssci>> {
        let sak = self.saks().get(place)?;
        let members = self.follower.members();
        let sender = |member| {
            let sci = members.get(member)?.sci;
            Some((sci, self.follower.ssci(sak, sci)?))
        };
        sak.sharers.iter().map(sender).collect()
    }

    /// The CKNs that MKPDUs named, and those that were given and not named, each with whether it was given.
    pub(super) fn ckns(&self) -> Vec<(Ckn, CknCounts, bool)> {
        let is_given = |ckn: &Ckn| self.given.iter().any(|given| given == ckn || given.padded() == *ckn);
        let named = self.offered.iter().map(|(ckn, counts)| (*ckn, *counts, is_given(ckn)));
        let is_named = |given: &&Ckn| self.offered.keys().any(|ckn| ckn == *given || *ckn == given.padded());
        let unnamed = self.given.iter().filter(|given| !is_named(given));
        named.chain(unnamed.map(|ckn| (*ckn, CknCounts::default(), true))).collect()
    }
}
