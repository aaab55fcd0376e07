//! Transmission: one frame from user data to MPDU, in place (802.1AE-2018 §10.5).
//!
//! [`TransmitSa::prepare`] takes the packet number and writes the SecTAG, the AEAD seals, and
//! [`TransmitSa::conclude`] counts. Between the first two a batch collects its frames. A frame that is
//! refused before it has a SecTAG is unchanged.

use net::{MacAddr, PacketBuf};

use crate::{
    aead::{ICV_LEN, SealJob},
    an::An,
    pn::PacketNumbers,
    sci::Sci,
    wire::{ChannelForm, SecTag},
};

use super::{
    policy::SecyPolicy,
    sa::{Keyed, PerAn},
    status::{SecyCounters, Times, TransmitCounters, TransmitSaStatus, TransmitScStatus},
};

/// How a frame left [`SecY::protect`](super::SecY::protect).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Protected {
    /// As it came, because protectFrames is false.
    Untagged,
    /// With SecTAG and ICV, user data in clear.
    Protected,
    /// With SecTAG and ICV, user data encrypted (from the confidentiality offset on).
    Encrypted,
}

/// Why a frame must not be sent.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum TxRefusal {
    /// There is no encodingSA: MAC_Operational is false.
    #[error("no transmit association is in use")]
    NoTransmitSa,
    /// Its packet numbers are used up, or the limit set for them is reached: MAC_Operational is false.
    #[error("the packet numbers of the transmit association are used up")]
    PnExhausted,
    /// It would be longer than the channel carries. Its packet number is gone (§10.5).
    #[error("too long once protected")]
    TooLong,
    /// The buffer has not the room for SecTAG and ICV: its owner planned too little.
    #[error("no room in the buffer for SecTAG and ICV")]
    NoRoom,
    /// There is no user data after the addresses.
    #[error("no user data")]
    TooShort,
    /// The AEAD refused. The frame is spoilt.
    #[error("the cipher refused the frame")]
    Cipher,
}

pub(super) struct Transmit {
    pub(super) sas: PerAn<TransmitSa>,
    pub(super) encoding: Option<An>,
    /// How frames say whose they are, unless their source address does not fit that.
    pub(super) form: ChannelForm,
    /// Counters of SAs that are gone.
    pub(super) former: TransmitCounters,
    pub(super) times: Times,
}

impl Transmit {
    /// The encodingSA, and what goes into the SecTAG; `None` when frames are not protected or there is none.
    #[inline]
    pub(super) fn outgoing(&mut self, policy: &SecyPolicy) -> Option<(&mut TransmitSa, Outgoing)> {
        let an = self.encoding.filter(|_| policy.protects())?;
        let out = Outgoing { an, sci: policy.sci, form: self.form, max_frame: policy.max_frame };
        Some((self.sas.get_mut(an)?, out))
    }

    pub(super) fn status(&self, sci: Sci) -> TransmitScStatus {
        let mut counters = self.former;
        for (_, sa) in self.sas.iter() {
            counters.add(&sa.counters);
        }
        let sas = self.sas.iter().map(|(an, sa)| sa.status(an, self.encoding == Some(an))).collect();
        TransmitScStatus { sci, encoding_sa: self.encoding, counters, times: self.times, sas }
    }
}

pub(super) struct TransmitSa {
    pub(super) keyed: Keyed,
    pub(super) pns: PacketNumbers,
    pub(super) encrypt: bool,
    pub(super) counters: TransmitCounters,
    pub(super) times: Times,
}

/// A frame that has its SecTAG and room for its ICV.
pub(super) struct Ready {
    pn: u64,
    /// Octets that are authenticated but not encrypted.
    aad_len: usize,
    user_len: usize,
}

/// What is the same for all frames of a SecY.
#[derive(Clone, Copy)]
pub(super) struct Outgoing {
    pub(super) an: An,
    pub(super) sci: Sci,
    pub(super) form: ChannelForm,
    pub(super) max_frame: usize,
}

impl TransmitSa {
    /// Takes a packet number and puts the SecTAG on.
    #[inline]
    pub(super) fn prepare(
        &mut self,
        frame: &mut PacketBuf,
        out: &Outgoing,
        counters: &mut SecyCounters,
    ) -> Result<Ready, TxRefusal> {
        let &addresses = frame.first_chunk::<{ SecTag::OFFSET }>().ok_or(TxRefusal::TooShort)?;
        let user_len = frame.len() - SecTag::OFFSET;
        let channel = out.channel(addresses);
        let tag_len = channel.tag_len();
        if user_len == 0 {
            return Err(TxRefusal::TooShort);
        }
        if frame.headroom() < tag_len || frame.tailroom() < ICV_LEN {
            return Err(TxRefusal::NoRoom);
        }
        let pn = self.pns.take().ok_or(TxRefusal::PnExhausted)?;
        if frame.len() + tag_len + ICV_LEN > out.max_frame {
            counters.out_pkts_too_long += 1;
            return Err(TxRefusal::TooLong);
        }
        let tag = SecTag {
            channel,
            encrypted: self.encrypt,
            changed: self.encrypt,
            an: out.an,
            pn: low_half(pn),
            secure_len: user_len,
        };
        put_on(frame, addresses, &tag).ok_or(TxRefusal::NoRoom)?;
        let aad_len = self.keyed.aad_len(SecTag::OFFSET + tag_len, user_len, self.encrypt);
        Ok(Ready { pn, aad_len, user_len })
    }

    /// The prepared `frame` as work for the AEAD; `None` if it is another one.
    #[inline]
    pub(super) fn job<'a>(&self, frame: &'a mut PacketBuf, ready: &Ready) -> Option<SealJob<'a>> {
        let (head, icv) = frame.split_last_chunk_mut()?;
        let (aad, text) = head.split_at_mut_checked(ready.aad_len)?;
        Some(SealJob { nonce: self.keyed.nonce(ready.pn), aad, text, icv, sealed: false })
    }

    #[inline]
    pub(super) fn seal(&self, frame: &mut PacketBuf, ready: &Ready) -> bool {
        let Some(mut job) = self.job(frame, ready) else { return false };
        self.keyed.aead.seal(&mut job);
        job.sealed
    }

    /// Counts the frame: OutPktsEncrypted or OutPktsProtected, and its octets (§10.7).
    #[inline]
    pub(super) fn conclude(
        &mut self,
        ready: &Ready,
        sealed: bool,
        counters: &mut SecyCounters,
    ) -> Result<Protected, TxRefusal> {
        let octets = u64::try_from(ready.user_len).unwrap_or(u64::MAX);
        if !sealed {
            return Err(TxRefusal::Cipher);
        }
        if self.encrypt {
            self.counters.out_pkts_encrypted += 1;
            counters.out_octets_encrypted += octets;
            Ok(Protected::Encrypted)
        } else {
            self.counters.out_pkts_protected += 1;
            counters.out_octets_protected += octets;
            Ok(Protected::Protected)
        }
    }

    fn status(&self, an: An, in_use: bool) -> TransmitSaStatus {
        TransmitSaStatus {
            an,
            in_use,
            next_pn: self.pns.next_pn(),
            pns_left: self.pns.remaining(),
            suite: self.keyed.suite,
            backend: self.keyed.aead.name(),
            encrypt: self.encrypt,
            offset: self.keyed.offset,
            key_id: self.keyed.key_id,
            fingerprint: self.keyed.fingerprint,
            ssci: self.keyed.ssci,
            counters: self.counters,
            times: self.times,
        }
    }
}

impl Outgoing {
    /// ES and SCB say that the SCI is made of the source address. For a frame with another one (a bridged
    /// frame on an end-station channel) they would lie: it carries the SCI (§9.5, §10.5.3).
    #[inline]
    fn channel(&self, addresses: [u8; SecTag::OFFSET]) -> ChannelForm {
        let [_, _, _, _, _, _, a, b, c, d, e, f] = addresses;
        match self.form {
            ChannelForm::Explicit(_) | ChannelForm::Peer => self.form,
            ChannelForm::EndStation | ChannelForm::SingleCopyBroadcast { .. } => {
                if self.sci.mac() == MacAddr([a, b, c, d, e, f]) {
                    self.form
                } else {
                    ChannelForm::Explicit(self.sci)
                }
            }
        }
    }
}

/// Moves the addresses forward, writes the SecTAG behind them, makes room for the ICV.
#[inline]
fn put_on(frame: &mut PacketBuf, addresses: [u8; SecTag::OFFSET], tag: &SecTag) -> Option<()> {
    frame.push_back(ICV_LEN)?;
    let room = frame.push_front(tag.channel.tag_len())?;
    debug_assert_eq!(room.len(), tag.channel.tag_len());
    let (front, rest) = frame.split_first_chunk_mut()?;
    *front = addresses;
    tag.encode(rest).then_some(())
}

/// What of a packet number travels.
#[inline]
#[expect(clippy::as_conversions, reason = "the low half is meant; the receiver recovers the high one")]
const fn low_half(pn: u64) -> u32 {
    pn as u32
}
