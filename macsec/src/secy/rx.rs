//! Reception: one frame from MPDU to user data, in place (802.1AE-2018 §10.6).
//!
//! The order of the checks is the standard's. [`Receive::classify`] ends every frame that needs no
//! cryptography; [`ReceiveSa::admit`] is the preliminary replay check; [`ReceiveSa::conclude`] does what
//! follows the validation: second replay check, counters, the verdict, the window. Between the last two a
//! batch collects its frames.
//!
//! Invariant: every frame counts in exactly one packet counter, except where the standard has none
//! (validateFrames Null, and frames for the KaY).

use net::{MacAddr, PacketBuf};

use crate::{
    aead::{IcvValid, OpenJob},
    an::An,
    replay::ReplayWindow,
    sci::Sci,
    suite::CipherSuite,
    wire::SecTag,
};

use super::{
    policy::{SecyPolicy, ValidateFrames},
    sa::{Keyed, PerAn},
    status::{ReceiveCounters, ReceiveSaStatus, ReceiveScStatus, SecyCounters, Times},
};

/// What becomes of a received frame.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RxVerdict {
    /// To the Controlled Port. The frame has neither SecTAG nor ICV any more, except where
    /// [`Delivered`] says so.
    Deliver(Delivered),
    /// E set, C clear: for the KaY on the Uncontrolled Port only, unmodified (§9.5).
    Uncontrolled,
    /// To nobody. The frame's octets are undefined.
    Drop(RxDrop),
}

/// In which state a frame is delivered; the name of its counter.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Delivered {
    /// InPktsOK: valid, and in the window.
    Ok,
    /// InPktsUnchecked: not validated.
    Unchecked,
    /// InPktsInvalid: validated, and wrong.
    Invalid,
    /// InPktsDelayed: below lowestPN.
    Delayed,
    /// InPktsUntagged: it had no SecTAG, and is unmodified.
    Untagged,
    /// InPktsNoSA: there is no SA for it.
    NoSa,
    /// validateFrames is Null: whatever came, unmodified. Not counted.
    Unmodified,
}

/// Why a frame is dropped; the name of its counter.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum RxDrop {
    /// InPktsNoTag.
    #[error("no SecTAG")]
    NoTag,
    /// InPktsBadTag.
    #[error("invalid SecTAG")]
    BadTag,
    /// InPktsNoSAError.
    #[error("no association for it")]
    NoSaError,
    /// InPktsLate.
    #[error("packet number too low, or seen before")]
    Late,
    /// InPktsNotValid.
    #[error("integrity check failed")]
    NotValid,
}

pub(super) struct Receive {
    pub(super) scs: Vec<ReceiveSc>,
    /// Counters of SCs that are gone.
    pub(super) former: ReceiveCounters,
    /// The suite of the latest SA: decides about a packet number of 0 where there is no SA.
    pub(super) suite: CipherSuite,
}

pub(super) struct ReceiveSc {
    pub(super) sci: Sci,
    pub(super) sas: PerAn<ReceiveSa>,
    /// Counters of SAs that are gone.
    pub(super) former: ReceiveCounters,
    pub(super) times: Times,
    /// At least one SA is in use.
    pub(super) receiving: bool,
}

pub(super) struct ReceiveSa {
    pub(super) keyed: Keyed,
    pub(super) window: ReplayWindow,
    pub(super) in_use: bool,
    pub(super) counters: ReceiveCounters,
    pub(super) times: Times,
}

/// Which SA: the position of its SC, and its association number.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct Place {
    sc: usize,
    an: An,
}

impl Receive {
    /// The checks up to the SA (§10.6): a frame that has one, or the verdict on one that has not.
    #[inline]
    pub(super) fn classify(
        &self,
        frame: &mut PacketBuf,
        validate: ValidateFrames,
        counters: &mut SecyCounters,
    ) -> Result<(Place, SecTag), RxVerdict> {
        if validate == ValidateFrames::Null {
            return Err(RxVerdict::Deliver(Delivered::Unmodified));
        }
        let tag = match SecTag::decode(frame) {
            Some(Ok(tag)) => tag,
            Some(Err(_)) => return Err(bad_tag(counters)),
            None => return Err(untagged(validate, counters)),
        };
        if tag.encrypted && !tag.changed {
            return Err(RxVerdict::Uncontrolled);
        }
        let found = self.find(frame, &tag);
        // Packet numbers without XPN start at 1 (trap 7); which suite it is, the SA says.
        let xpn = found.map_or(self.suite, |(_, sa)| sa.keyed.suite).is_xpn();
        if tag.pn == 0 && !xpn {
            return Err(bad_tag(counters));
        }
        match found {
            Some((place, sa)) if sa.in_use => Ok((place, tag)),
            _ => Err(no_sa(frame, &tag, validate, counters)),
        }
    }

    /// The SA of a frame (§10.6.1).
    #[inline]
    fn find(&self, frame: &[u8], tag: &SecTag) -> Option<(Place, &ReceiveSa)> {
        let &[_, _, _, _, _, _, a, b, c, d, e, f] = frame.first_chunk()?;
        let (sc, found) = match tag.channel.sci(MacAddr([a, b, c, d, e, f])) {
            Some(sci) => self.scs.iter().enumerate().find(|(_, sc)| sc.sci == sci)?,
            // The one peer of the KaY, whatever its source address; with several nobody can tell (trap 1).
            None => self.scs.iter().enumerate().next().filter(|_| self.scs.len() == 1)?,
        };
        Some((Place { sc, an: tag.an }, found.sas.get(tag.an)?))
    }

    #[inline]
    pub(super) fn sa_mut(&mut self, place: Place) -> Option<&mut ReceiveSa> {
        self.scs.get_mut(place.sc)?.sas.get_mut(place.an)
    }

    pub(super) fn sc_mut(&mut self, sci: Sci) -> Option<&mut ReceiveSc> {
        self.scs.iter_mut().find(|sc| sc.sci == sci)
    }
}

#[cold]
fn untagged(validate: ValidateFrames, counters: &mut SecyCounters) -> RxVerdict {
    if validate == ValidateFrames::Strict {
        counters.in_pkts_no_tag += 1;
        RxVerdict::Drop(RxDrop::NoTag)
    } else {
        counters.in_pkts_untagged += 1;
        RxVerdict::Deliver(Delivered::Untagged)
    }
}

#[cold]
fn bad_tag(counters: &mut SecyCounters) -> RxVerdict {
    counters.in_pkts_bad_tag += 1;
    RxVerdict::Drop(RxDrop::BadTag)
}

#[cold]
fn no_sa(
    frame: &mut PacketBuf,
    tag: &SecTag,
    validate: ValidateFrames,
    counters: &mut SecyCounters,
) -> RxVerdict {
    if validate == ValidateFrames::Strict || tag.changed {
        counters.in_pkts_no_sa_error += 1;
        RxVerdict::Drop(RxDrop::NoSaError)
    } else {
        counters.in_pkts_no_sa += 1;
        take_off(frame, SecTag::OFFSET + tag.channel.tag_len(), tag.secure_len);
        RxVerdict::Deliver(Delivered::NoSa)
    }
}

/// A frame that is to be validated: what of its SecTAG still matters. Small, for a batch keeps many.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    pub(super) pn: u64,
    /// Octets of addresses and SecTAG.
    header_len: usize,
    user_len: usize,
    /// Octets that are authenticated but not encrypted.
    aad_len: usize,
    encrypted: bool,
    changed: bool,
}

impl ReceiveSa {
    /// The packet number of a frame (§10.6.2).
    #[inline]
    pub(super) fn pn(&self, word: u32) -> u64 {
        if self.keyed.xpn { self.window.recover(word) } else { u64::from(word) }
    }

    /// The preliminary replay check (§10.6.2), and what is where in the frame.
    #[inline]
    pub(super) fn admit(
        &mut self,
        tag: &SecTag,
        pn: u64,
        policy: &SecyPolicy,
    ) -> Result<Candidate, RxVerdict> {
        if policy.replay_protect && self.window.refuses(pn) {
            return Err(self.late());
        }
        let &SecTag { channel, encrypted, changed, secure_len: user_len, .. } = tag;
        let header_len = SecTag::OFFSET + channel.tag_len();
        let aad_len = self.keyed.aad_len(header_len, user_len, encrypted);
        Ok(Candidate { pn, header_len, user_len, aad_len, encrypted, changed })
    }

    /// The frame of `candidate` as work for the AEAD; `None` if it is another one.
    #[inline]
    pub(super) fn job<'a>(&self, frame: &'a mut PacketBuf, candidate: &Candidate) -> Option<OpenJob<'a>> {
        let &Candidate { pn, header_len, user_len, aad_len, .. } = candidate;
        let (aad, rest) = frame.split_at_mut_checked(aad_len)?;
        let (text, rest) = rest.split_at_mut_checked((header_len + user_len).checked_sub(aad_len)?)?;
        Some(OpenJob { nonce: self.keyed.nonce(pn), aad, text, icv: rest.first_chunk()?, valid: false })
    }

    #[inline]
    pub(super) fn open(&self, frame: &mut PacketBuf, candidate: &Candidate) -> Option<IcvValid> {
        let mut job = self.job(frame, candidate)?;
        self.keyed.aead.open(&mut job);
        job.proof()
    }

    /// What follows the validation (§10.6). `proof` is missing when the ICV was wrong or not checked.
    #[inline]
    pub(super) fn conclude(
        &mut self,
        frame: &mut PacketBuf,
        candidate: &Candidate,
        proof: Option<IcvValid>,
        policy: &SecyPolicy,
        counters: &mut SecyCounters,
    ) -> RxVerdict {
        let &Candidate { pn, header_len, user_len, changed, .. } = candidate;
        // The second check: frames of the same batch may have moved the window.
        if policy.replay_protect && self.window.refuses(pn) {
            return self.late();
        }
        candidate.count_octets(policy.validate, counters);
        let (delivered, counter) = match proof {
            None if policy.validate == ValidateFrames::Strict || changed => {
                self.counters.in_pkts_not_valid += 1;
                return RxVerdict::Drop(RxDrop::NotValid);
            }
            None if policy.validate == ValidateFrames::Check => {
                (Delivered::Invalid, &mut self.counters.in_pkts_invalid)
            }
            _ if self.window.delays(pn) => (Delivered::Delayed, &mut self.counters.in_pkts_delayed),
            None => (Delivered::Unchecked, &mut self.counters.in_pkts_unchecked),
            Some(_) => (Delivered::Ok, &mut self.counters.in_pkts_ok),
        };
        *counter += 1;
        if let Some(proof) = proof {
            self.window.accept(pn, proof);
        }
        take_off(frame, header_len, user_len);
        RxVerdict::Deliver(delivered)
    }

    #[cold]
    fn late(&mut self) -> RxVerdict {
        self.counters.in_pkts_late += 1;
        RxVerdict::Drop(RxDrop::Late)
    }

    fn status(&self, an: An) -> ReceiveSaStatus {
        ReceiveSaStatus {
            an,
            in_use: self.in_use,
            next_pn: self.window.next_pn(),
            lowest_pn: self.window.lowest_pn(),
            suite: self.keyed.suite,
            backend: self.keyed.aead.name(),
            offset: self.keyed.offset,
            key_id: self.keyed.key_id,
            fingerprint: self.keyed.fingerprint,
            ssci: self.keyed.ssci,
            counters: self.counters,
            times: self.times,
        }
    }
}

impl Candidate {
    /// InOctetsDecrypted or InOctetsValidated, right or wrong (§10.6, trap 5).
    #[inline]
    fn count_octets(&self, validate: ValidateFrames, counters: &mut SecyCounters) {
        let octets = u64::try_from(self.user_len).unwrap_or(u64::MAX);
        match (validate, self.encrypted) {
            (ValidateFrames::Disabled | ValidateFrames::Null, _) => {}
            (ValidateFrames::Strict | ValidateFrames::Check, true) => counters.in_octets_decrypted += octets,
            (ValidateFrames::Strict | ValidateFrames::Check, false) => counters.in_octets_validated += octets,
        }
    }
}

impl ReceiveSc {
    pub(super) fn counters(&self) -> ReceiveCounters {
        let mut counters = self.former;
        for (_, sa) in self.sas.iter() {
            counters.add(&sa.counters);
        }
        counters
    }

    pub(super) fn status(&self) -> ReceiveScStatus {
        ReceiveScStatus {
            sci: self.sci,
            receiving: self.receiving,
            counters: self.counters(),
            times: self.times,
            sas: self.sas.iter().map(|(an, sa)| sa.status(an)).collect(),
        }
    }
}

/// Takes SecTAG, ICV and padding off.
#[inline]
fn take_off(frame: &mut PacketBuf, header_len: usize, user_len: usize) {
    if let Some(&addresses) = frame.first_chunk::<{ SecTag::OFFSET }>()
        && frame.pull_front(header_len - SecTag::OFFSET)
        && let Some(front) = frame.first_chunk_mut()
    {
        *front = addresses;
    }
    frame.truncate(SecTag::OFFSET + user_len);
}
