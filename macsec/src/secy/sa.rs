//! What transmit and receive SAs have in common: a key schedule, the nonce, and a place among four.

use crate::{
    aead::{Aead, Backend, NONCE_LEN},
    an::An,
    error::LmiError,
    key::{Fingerprint, KeyId, Sak, Salt},
    sci::{Sci, Ssci},
    suite::{CipherSuite, ConfidentialityOffset},
};

/// What a key is and how it is used: the parameters both directions share.
#[derive(Clone, Copy)]
pub(super) struct KeyUse<'a> {
    pub(super) sak: &'a Sak,
    pub(super) suite: CipherSuite,
    pub(super) offset: ConfidentialityOffset,
    pub(super) key_id: KeyId,
    pub(super) ssci: Ssci,
    pub(super) salt: Salt,
}

/// A SAK made ready for one SC.
pub(super) struct Keyed {
    pub(super) aead: Box<dyn Aead>,
    /// The nonce of packet number 0: its first four octets, then the other eight as a number.
    nonce_head: [u8; 4],
    nonce_tail: u64,
    pub(super) xpn: bool,
    /// Octets of user data in clear in encrypted frames.
    pub(super) clear: usize,
    pub(super) suite: CipherSuite,
    pub(super) offset: ConfidentialityOffset,
    pub(super) key_id: KeyId,
    pub(super) ssci: Ssci,
    pub(super) fingerprint: Fingerprint,
}

impl Keyed {
    pub(super) fn new(backend: Backend, sci: Sci, key: &KeyUse<'_>) -> Result<Self, LmiError> {
        // §14.7, §14.8, trap 29.
        if key.offset.octets() != 0 && !key.suite.allows_offsets() {
            return Err(LmiError::OffsetWithXpn);
        }
        let wrong = LmiError::KeyLength { expected: key.suite.key_len(), got: key.sak.octets().len() };
        let (nonce_head, nonce_tail) = nonce_base(key.suite, sci, key.ssci, key.salt);
        Ok(Self {
            aead: backend.schedule(key.suite, key.sak).ok_or(wrong)?,
            nonce_head,
            nonce_tail,
            xpn: key.suite.is_xpn(),
            clear: key.offset.octets(),
            suite: key.suite,
            offset: key.offset,
            key_id: key.key_id,
            ssci: key.ssci,
            fingerprint: key.sak.fingerprint(),
        })
    }

    /// The nonce of this packet number.
    #[inline]
    pub(super) const fn nonce(&self, pn: u64) -> [u8; NONCE_LEN] {
        let [a, b, c, d] = self.nonce_head;
        let [e, f, g, h, i, j, k, l] = (self.nonce_tail ^ pn).to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }

    /// Octets from the destination address on that are authenticated but not encrypted (§14.5).
    #[inline]
    pub(super) fn aad_len(&self, header_len: usize, user_len: usize, encrypted: bool) -> usize {
        header_len + if encrypted { user_len.min(self.clear) } else { user_len }
    }
}

/// 32-bit packet numbers: SCI, then PN (§14.5). XPN: SSCI, then PN, xored with the salt (§14.7). Either way
/// the packet number is xored into the last eight octets: the SCI's form has zeros under a 32-bit one.
const fn nonce_base(suite: CipherSuite, sci: Sci, ssci: Ssci, salt: Salt) -> ([u8; 4], u64) {
    if suite.is_xpn() {
        let [s0, s1, s2, s3, tail @ ..] = salt.0;
        let [i0, i1, i2, i3] = ssci.0.to_be_bytes();
        ([s0 ^ i0, s1 ^ i1, s2 ^ i2, s3 ^ i3], u64::from_be_bytes(tail))
    } else {
        let [a, b, c, d, e, f, g, h] = sci.octets();
        ([a, b, c, d], u64::from_be_bytes([e, f, g, h, 0, 0, 0, 0]))
    }
}

/// The nonce of one packet number, for whoever has no SA.
pub(crate) const fn nonce(suite: CipherSuite, sci: Sci, ssci: Ssci, salt: Salt, pn: u64) -> [u8; NONCE_LEN] {
    let ([a, b, c, d], tail) = nonce_base(suite, sci, ssci, salt);
    let [e, f, g, h, i, j, k, l] = (tail ^ pn).to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

/// Up to four SAs by their association number.
pub(super) struct PerAn<T>([Option<Box<T>>; 4]);

impl<T> PerAn<T> {
    pub(super) const EMPTY: Self = Self([const { None }; 4]);

    #[inline]
    pub(super) fn get(&self, an: An) -> Option<&T> {
        self.0.get(usize::from(an.get()))?.as_deref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, an: An) -> Option<&mut T> {
        self.0.get_mut(usize::from(an.get()))?.as_deref_mut()
    }

    /// Puts `sa` at `an` and returns what was there.
    pub(super) fn put(&mut self, an: An, sa: T) -> Option<Box<T>> {
        self.0.get_mut(usize::from(an.get()))?.replace(Box::new(sa))
    }

    pub(super) fn take(&mut self, an: An) -> Option<Box<T>> {
        self.0.get_mut(usize::from(an.get()))?.take()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (An, &T)> {
        An::ALL.into_iter().filter_map(|an| Some((an, self.get(an)?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().filter_map(Option::as_deref_mut)
    }
}
