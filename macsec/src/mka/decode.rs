//! Reading along: MKPDUs out of a capture, with CAKs given, and the SAKs that they carry.
//!
//! Unlike a [`Kay`](super::Kay) this takes part in nothing and trusts nobody's state: it says of each MKPDU what is in
//! it and whether its ICV is right, remembers which member identifier belongs to which SCI, and unwraps every SAK whose
//! MKPDU is authentic. With that the MACsec frames that follow can be decrypted, whoever made them.

use std::collections::BTreeMap;

use net::{EtherType, Instant, MacAddr};

use super::{
    action::DataKey,
    kdf::CakKeys,
    keywrap,
    wire::{Envelope, MemberId, Mkpdu, MkpduFault},
};
use crate::{
    key::{Cak, Ckn, KeyId, Sak, Salt},
    sci::{Sci, Ssci},
};

/// Whether an MKPDU's ICV is right.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum IcvCheck {
    /// It is.
    Valid,
    /// It is not, by the CAK that has this name.
    Invalid,
    /// No CAK with this name was given.
    UnknownCkn,
}

/// An MKPDU of a capture.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decoded {
    /// Destination address.
    pub destination: MacAddr,
    /// Source address.
    pub source: MacAddr,
    /// Its CKN.
    pub ckn: Ckn,
    /// Its ICV.
    pub icv: IcvCheck,
    /// Its parameter sets, unless they are malformed.
    pub mkpdu: Option<Mkpdu>,
    /// The identifier of a SAK that came to light.
    pub new_sak: Option<KeyId>,
}

/// A SAK of a capture.
#[derive(Clone, Debug)]
pub struct FoundSak {
    /// The key and how it is used.
    pub data: DataKey,
    /// Under which CAK.
    pub ckn: Ckn,
    /// When it was first distributed.
    pub distributed_at: Instant,
    /// SCI of its key server.
    pub server: Sci,
    /// Member identifiers of those who share it, its key server's among them.
    pub sharers: Vec<MemberId>,
}

/// A member of a capture.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Member {
    /// Its SCI.
    pub sci: Sci,
    /// Its address.
    pub source: MacAddr,
    /// Its CAK.
    pub ckn: Ckn,
    /// Its Key Server Priority, as last heard.
    pub priority: u8,
    /// The MKA version it speaks.
    pub version: u8,
    /// How many of its MKPDUs there were with a valid ICV.
    pub mkpdus: u64,
}

/// Follows a key exchange.
#[derive(Debug, Default)]
pub struct Follower {
    keys: BTreeMap<Ckn, CakKeys>,
    members: BTreeMap<MemberId, Member>,
    saks: Vec<FoundSak>,
}

impl Follower {
    /// With these CAKs. A CKN also stands for itself filled up with zero octets.
    pub fn new<'a>(keys: impl IntoIterator<Item = (Ckn, &'a Cak)>) -> Self {
        let mut follower = Self::default();
        for (ckn, cak) in keys {
            if let Some(derived) = CakKeys::derive(cak, &ckn) {
                follower.keys.insert(ckn.padded(), derived.clone());
                follower.keys.insert(ckn, derived);
            }
        }
        follower
    }

    /// Takes a frame, given from its destination address on without FCS and clear VLAN tags.
    ///
    /// # Errors
    /// [`MkpduFault`] when it is no MKPDU at all: [`NotMka`](MkpduFault::NotMka) for other frames.
    pub fn observe(
        &mut self,
        frame: &[u8],
        ethertype: EtherType,
        now: Instant,
    ) -> Result<Decoded, MkpduFault> {
        let envelope = Envelope::open(frame, ethertype)?;
        let (ckn, _) = envelope.ckn()?;
        let icv = match self.keys.get(&ckn) {
            None => IcvCheck::UnknownCkn,
            Some(keys) if envelope.authentic(keys) => IcvCheck::Valid,
            Some(_) => IcvCheck::Invalid,
        };
        let mkpdu = envelope.mkpdu().ok();
        let mut new_sak = None;
        if let (IcvCheck::Valid, Some(mkpdu)) = (icv, &mkpdu) {
            self.note_member(mkpdu, envelope.source);
            new_sak = self.note_sak(mkpdu, now);
        }
        Ok(Decoded { destination: envelope.destination, source: envelope.source, ckn, icv, mkpdu, new_sak })
    }

    /// The members whose MKPDUs were authentic.
    pub const fn members(&self) -> &BTreeMap<MemberId, Member> {
        &self.members
    }

    /// The SAKs that came to light, in the order in which they were first distributed.
    pub fn saks(&self) -> &[FoundSak] {
        &self.saks
    }

    /// SSCI of `sci` under this SAK, `None` while one of those who share it has not been heard.
    pub fn ssci(&self, sak: &FoundSak, sci: Sci) -> Option<Ssci> {
        let scis: Option<Vec<Sci>> =
            sak.sharers.iter().map(|member| self.members.get(member).map(|member| member.sci)).collect();
        Ssci::assign(sci, &scis?)
    }

    fn note_member(&mut self, mkpdu: &Mkpdu, source: MacAddr) {
        let basic = &mkpdu.basic;
        let mkpdus = self.members.get(&basic.member).map_or(0, |member| member.mkpdus) + 1;
        let member = Member {
            sci: basic.sci,
            source,
            ckn: basic.ckn,
            priority: basic.priority,
            version: basic.version,
            mkpdus,
        };
        self.members.insert(basic.member, member);
    }

    fn note_sak(&mut self, mkpdu: &Mkpdu, now: Instant) -> Option<KeyId> {
        let distributed = mkpdu.distributed_sak.as_ref()?;
        let key = distributed.key.as_ref()?;
        let key_id = KeyId::new(mkpdu.basic.member.0, key.number);
        if self.saks.iter().any(|sak| sak.data.key_id == key_id && sak.ckn == mkpdu.basic.ckn) {
            return None;
        }
        let kek = self.keys.get(&mkpdu.basic.ckn)?.kek();
        let suite = key.cipher_suite()?;
        let sak = keywrap::unwrap(kek, &key.wrapped).filter(|sak| sak.len() == suite.key_len())?;
        let data = DataKey {
            key_id,
            an: distributed.an,
            sak: Sak::new(&sak).ok()?,
            suite,
            confidentiality: distributed.confidentiality,
            salt: Salt::for_key(key_id),
        };
        let listed = mkpdu.live.iter().flat_map(|live| live.peers.iter().map(|peer| peer.member));
        self.saks.push(FoundSak {
            data,
            ckn: mkpdu.basic.ckn,
            distributed_at: now,
            server: mkpdu.basic.sci,
            sharers: listed.chain([mkpdu.basic.member]).collect(),
        });
        Some(key_id)
    }
}
