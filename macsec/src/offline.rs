//! Frames read back without a SecY: what a capture holds, opened with keys that are known from elsewhere.
//!
//! A SecY protects a channel, so it has a replay window, counters, and one opinion on every parameter. Whoever
//! looks at a capture has none of that: frames of several channels, begun in the middle, with a key and
//! perhaps a guess at the rest. [`Key::open`] takes one frame and one [`Attempt`] and says whether the ICV
//! agrees, which proves key and attempt right together. It changes nothing, so any number of attempts may be
//! made.
//!
//! Clauses: nonces of 802.1AE-2018 §14.5 (SCI and PN) and §14.7 (SSCI and PN, xored with the salt); what is
//! authenticated and what is encrypted, §10.5.3 and §10.7.25.

use net::MacAddr;

use crate::{
    aead::{Aead, Backend, ICV_LEN, OpenJob},
    key::{Sak, Salt},
    sci::{Sci, Ssci},
    secy::nonce,
    suite::{CipherSuite, ConfidentialityOffset},
    wire::SecTag,
};

/// A SAK made ready to open frames of any channel.
pub struct Key {
    suite: CipherSuite,
    aead: Box<dyn Aead>,
}

/// All that the ICV depends on besides the key and the frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Attempt {
    /// The sender's SCI. Without meaning under XPN.
    pub sci: Sci,
    /// The whole packet number; its low half is the one in the SecTAG.
    pub pn: u64,
    /// The sender's short SCI. Only under XPN.
    pub ssci: Ssci,
    /// The salt. Only under XPN.
    pub salt: Salt,
    /// Octets of user data in clear in encrypted frames. Zero under XPN.
    pub offset: ConfidentialityOffset,
}

impl Key {
    /// The SAK under this suite; `None` when it has another length than the suite wants.
    pub fn new(suite: CipherSuite, sak: &Sak) -> Option<Self> {
        Some(Self { suite, aead: Backend::default().schedule(suite, sak)? })
    }

    /// The suite it was made for.
    pub const fn suite(&self) -> CipherSuite {
        self.suite
    }

    /// The user's frame (addresses and user data, without SecTAG, ICV and padding) when the ICV is right.
    ///
    /// `frame` goes from the destination address to the ICV or the padding after it, without FCS and without
    /// tags in front of the SecTAG; `tag` is what [`SecTag::decode`] made of it.
    pub fn open(&self, frame: &[u8], tag: &SecTag, attempt: &Attempt) -> Option<Vec<u8>> {
        let header_len = SecTag::OFFSET.checked_add(tag.channel.tag_len())?;
        let (secured, rest) = frame.split_at_checked(header_len.checked_add(tag.secure_len)?)?;
        let icv: &[u8; ICV_LEN] = rest.first_chunk()?;
        let clear = if tag.encrypted { attempt.offset.octets().min(tag.secure_len) } else { tag.secure_len };
        let mut text = secured.to_vec();
        let (aad, encrypted) = text.split_at_mut_checked(header_len.checked_add(clear)?)?;
        let nonce = nonce(self.suite, attempt.sci, attempt.ssci, attempt.salt, attempt.pn);
        let mut job = OpenJob { nonce, aad, text: encrypted, icv, valid: false };
        self.aead.open(&mut job);
        let _proof = job.proof()?;
        text.drain(SecTag::OFFSET..header_len);
        Some(text)
    }
}

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Key({})", self.suite)
    }
}

/// The source address of a frame; `None` when it is shorter than that.
pub fn source(frame: &[u8]) -> Option<MacAddr> {
    Some(MacAddr(*frame.get(6..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use net::{Instant, PacketBuf};

    use super::*;
    use crate::{An, KeyId, SecY, SecyPolicy, TransmitSaParams};

    const SOURCE: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const SALT: Salt = Salt([9; 12]);

    /// A frame of 100 octets as a SecY sends it, and what was sent.
    fn sent(suite: CipherSuite, offset: ConfidentialityOffset, encrypt: bool) -> (Vec<u8>, Vec<u8>, Sak) {
        let sak = Sak::new(&vec![7; suite.key_len()]).unwrap();
        let mut secy = SecY::new(SecyPolicy::new(Sci::new(SOURCE, 1)), Instant::ZERO).unwrap();
        let (key_id, next_pn, pn_limit) = (KeyId::default(), 0xffff_fffe, None);
        let params = TransmitSaParams {
            sak: &sak,
            suite,
            encrypt,
            offset,
            key_id,
            next_pn,
            pn_limit,
            ssci: Ssci(3),
            salt: SALT,
        };
        secy.create_transmit_sa(An::default(), &params, Instant::ZERO).unwrap();
        secy.enable_transmit_sa(An::default(), Instant::ZERO).unwrap();
        let mut plain = vec![0x33; 100];
        plain[6..12].copy_from_slice(&SOURCE.0);
        let mut frame = PacketBuf::copy_of(&plain, 64, 64);
        secy.protect(&mut frame).unwrap();
        (plain, frame.to_vec(), sak)
    }

    #[test]
    fn a_frame_opens_with_the_right_attempt_and_with_no_other() {
        for suite in CipherSuite::ALL {
            for (octets, encrypt) in [(0, true), (30, true), (0, false)] {
                let offset =
                    ConfidentialityOffset::new(octets).filter(|_| suite.allows_offsets()).unwrap_or_default();
                let (plain, frame, sak) = sent(suite, offset, encrypt);
                let key = Key::new(suite, &sak).unwrap();
                let tag = SecTag::decode(&frame).unwrap().unwrap();
                let right =
                    Attempt { sci: Sci::new(SOURCE, 1), pn: 0xffff_fffe, ssci: Ssci(3), salt: SALT, offset };
                assert_eq!(key.open(&frame, &tag, &right), Some(plain), "{suite} {offset:?}");
                let mut wrong = vec![Attempt { pn: 0xffff_fffd, ..right }];
                if suite.is_xpn() {
                    wrong.push(Attempt { ssci: Ssci(4), ..right });
                    wrong.push(Attempt { salt: Salt([8; 12]), ..right });
                } else {
                    wrong.push(Attempt { sci: Sci::new(SOURCE, 2), ..right });
                }
                if encrypt && suite.allows_offsets() {
                    wrong.push(Attempt { offset: ConfidentialityOffset::Fifty, ..right });
                }
                for wrong in wrong {
                    assert_eq!(key.open(&frame, &tag, &wrong), None, "{suite} {wrong:?}");
                }
                // A tag that does not belong to the frame finds no octets to open.
                for len in 0..frame.len() {
                    assert_eq!(key.open(&frame[..len], &tag, &right), None);
                }
            }
        }
        assert!(Key::new(CipherSuite::GcmAes256, &Sak::new(&[7; 16]).unwrap()).is_none());
        assert_eq!((source(&[1; 12]), source(&[1; 11])), (Some(MacAddr([1; 6])), None));
    }
}
