//! Key derivation (802.1X-2020 §6.2.1, §9.3.3, §9.8.1): AES-CMAC in counter mode.
//!
//! A CAK of 16 octets uses AES-CMAC-128 throughout, one of 32 octets AES-CMAC-256; the length of the SAK
//! has nothing to do with it (trap 22). `tests/mka/vectors.rs` holds Annex G.

use aes::{Aes128, Aes256};
use cmac::{Cmac, KeyInit, Mac};
use zeroize::Zeroizing;

use crate::key::{Cak, Ckn};

/// AES-CMAC with a key of 16 or 32 octets, ready to use.
#[derive(Clone)]
pub enum Prf {
    /// AES-CMAC-128 (RFC 4493).
    Aes128(Box<Cmac<Aes128>>),
    /// AES-CMAC-256 (SP 800-38B).
    Aes256(Box<Cmac<Aes256>>),
}

impl Prf {
    /// With this key, or `None` unless it has 16 or 32 octets.
    pub fn new(key: &[u8]) -> Option<Self> {
        match key.len() {
            16 => Some(Self::Aes128(Box::new(Cmac::new_from_slice(key).ok()?))),
            32 => Some(Self::Aes256(Box::new(Cmac::new_from_slice(key).ok()?))),
            _ => None,
        }
    }

    /// The MAC over `parts`, one after the other.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 16] {
        match self {
            Self::Aes128(cmac) => chained(cmac.as_ref().clone(), parts).finalize().into_bytes().into(),
            Self::Aes256(cmac) => chained(cmac.as_ref().clone(), parts).finalize().into_bytes().into(),
        }
    }

    /// Whether `tag` is the MAC over `octets`, in constant time.
    pub fn verify(&self, octets: &[u8], tag: &[u8; 16]) -> bool {
        match self {
            Self::Aes128(cmac) => chained(cmac.as_ref().clone(), &[octets]).verify_slice(tag).is_ok(),
            Self::Aes256(cmac) => chained(cmac.as_ref().clone(), &[octets]).verify_slice(tag).is_ok(),
        }
    }
}

fn chained<M: Mac>(mut mac: M, parts: &[&[u8]]) -> M {
    for part in parts {
        mac.update(part);
    }
    mac
}

/// KDF(Key, Label, Context, Length) of §6.2.1: the first `len` octets of
/// MAC(i ‖ label ‖ 0 ‖ context ‖ bits) for i = 1, 2, ... Here `len` is 16 or 32, so i is 1 or 1 and 2.
pub fn kdf(prf: &Prf, label: &[u8], context: &[&[u8]], len: usize) -> Zeroizing<Vec<u8>> {
    let bits = u16::try_from(len.saturating_mul(8)).unwrap_or(u16::MAX).to_be_bytes();
    // Reserved once: growing would leave unwiped copies behind.
    let mut derived = Zeroizing::new(Vec::with_capacity(len.next_multiple_of(16)));
    for counter in 1..=u8::MAX {
        if derived.len() >= len {
            break;
        }
        let counter = [counter];
        let mut parts: Vec<&[u8]> = vec![&counter, label, &[0]];
        parts.extend_from_slice(context);
        parts.push(&bits);
        derived.extend_from_slice(Zeroizing::new(prf.mac(&parts)).as_slice());
    }
    derived.truncate(len);
    derived
}

/// What a participant does with its CAK: nothing but derive these two and SAKs (§9.3.3).
#[derive(Clone)]
pub struct CakKeys {
    kek: Zeroizing<Vec<u8>>,
    ick: Prf,
    cak: Prf,
}

impl CakKeys {
    /// KEK and ICK of this CAK. Their context is the first 16 octets of the CKN, zero-padded: two names that
    /// differ only after that give the same keys.
    ///
    /// `None` never happens: a [`Cak`] has 16 or 32 octets.
    pub fn derive(cak: &Cak, ckn: &Ckn) -> Option<Self> {
        let root = Prf::new(cak.octets())?;
        let len = cak.octets().len();
        let padded = ckn.padded();
        let context = padded.octets().first_chunk::<16>()?.as_slice();
        let ick = kdf(&root, b"IEEE8021 ICK", &[context], len);
        Some(Self { kek: kdf(&root, b"IEEE8021 KEK", &[context], len), ick: Prf::new(&ick)?, cak: root })
    }

    /// The key encrypting key, 16 or 32 octets.
    pub fn kek(&self) -> &[u8] {
        &self.kek
    }

    /// The ICV over an MKPDU, from its destination address on (§9.4.1).
    pub fn icv(&self, covered: &[u8]) -> [u8; 16] {
        self.ick.mac(&[covered])
    }

    /// Whether `icv` is the one over `covered`, in constant time.
    pub fn check_icv(&self, covered: &[u8], icv: &[u8; 16]) -> bool {
        self.ick.verify(covered, icv)
    }

    /// A fresh SAK of `len` octets (§9.8.1): KDF over the key server's nonce, the members' identifiers and
    /// the key number.
    pub fn generate_sak(&self, nonce: &[u8], members: &[u8], number: u32, len: usize) -> Zeroizing<Vec<u8>> {
        kdf(&self.cak, b"IEEE8021 SAK", &[nonce, members, &number.to_be_bytes()], len)
    }
}

impl core::fmt::Debug for CakKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "CakKeys({} bits)", self.kek.len() * 8)
    }
}
