//! AES-GCM for short texts, on processors that work on four blocks at a time (AVX-512 with VAES and VPCLMULQDQ).
//!
//! A frame is short: a library's call costs as much as the 64 octets that it is made for. Here a frame of up to 256
//! octets is one pass without a loop, and all of its hash (associated data, cipher text, lengths) is reduced once; longer ones go
//! on in strides of 256 octets, encrypted and hashed in the same pass. Frames do not depend on each other, so a processor that works out of
//! order begins one before the one before it is done, and a batch needs no code of its own.
//!
//! - [`schedule`](schedule): the round keys, and the powers of the hash key by which the blocks of a stride are multiplied.
//! - `kernel`: counter mode and GHASH (NIST SP 800-38D, 6.4, 6.5, 7.1 and 7.2).
//!
//! Nothing in it branches on, or looks up by, a key or a text: AES and the products are instructions, so time says nothing of
//! either. It has no knowledge of MACsec: what is associated data and what a nonce may be is decided above (`macsec::aead`), and there
//! each key schedule has to agree with a library's before it is used.
//!
//! Invariant: a [`GcmKey`] exists only on a processor that has all that `kernel` needs.

#[cfg(target_arch = "x86_64")]
mod kernel;
#[cfg(target_arch = "x86_64")]
mod schedule;
#[cfg(test)]
mod tests;

/// Octets of the nonce: the length that needs no hash to become a counter (SP 800-38D, 7.1 step 2).
pub const NONCE_OCTETS: usize = 12;
/// Octets of the tag, which is not cut.
pub const TAG_OCTETS: usize = 16;

/// AES-GCM under one key of 16 or 32 octets. Its schedule is wiped when it is dropped.
pub struct GcmKey {
    #[cfg(target_arch = "x86_64")]
    schedule: Box<schedule::Schedule>,
    #[cfg(not(target_arch = "x86_64"))]
    none: core::convert::Infallible,
}

impl core::fmt::Debug for GcmKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("GcmKey(..)")
    }
}

/// Whether this processor can do it.
pub fn is_supported() -> bool {
    #[cfg(target_arch = "x86_64")]
    return kernel::is_supported();
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

#[cfg(target_arch = "x86_64")]
impl GcmKey {
    /// The schedule of `key`; `None` on other processors, and when it has neither 16 nor 32 octets.
    pub fn new(key: &[u8]) -> Option<Self> {
        if !is_supported() {
            return None;
        }
        schedule::Schedule::new(key).map(|schedule| Self { schedule })
    }

    /// Encrypts `text` in place and returns the tag over `aad` and it. A nonce must never come twice under one key.
    #[inline]
    pub fn seal(&self, nonce: &[u8; NONCE_OCTETS], aad: &[u8], text: &mut [u8]) -> [u8; TAG_OCTETS] {
        kernel::pass::<true>(&self.schedule, nonce, aad, text)
    }

    /// Decrypts `text` in place; true when `tag` was right. When it was not, `text` is zeros.
    #[inline]
    #[must_use]
    pub fn open(
        &self,
        nonce: &[u8; NONCE_OCTETS],
        aad: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_OCTETS],
    ) -> bool {
        let own = kernel::pass::<false>(&self.schedule, nonce, aad, text);
        // All octets at once: how many of them agree does not show in time (SP 800-38D, 7.2 step 8).
        let right = u128::from_ne_bytes(own) ^ u128::from_ne_bytes(*tag) == 0;
        if !right {
            text.fill(0);
        }
        right
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl GcmKey {
    /// `None`: this is another processor.
    pub fn new(_key: &[u8]) -> Option<Self> {
        None
    }

    /// There is no such key here.
    pub fn seal(&self, _nonce: &[u8; NONCE_OCTETS], _aad: &[u8], _text: &mut [u8]) -> [u8; TAG_OCTETS] {
        match self.none {}
    }

    /// There is no such key here.
    #[must_use]
    pub fn open(
        &self,
        _nonce: &[u8; NONCE_OCTETS],
        _aad: &[u8],
        _text: &mut [u8],
        _tag: &[u8; TAG_OCTETS],
    ) -> bool {
        match self.none {}
    }
}
