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
