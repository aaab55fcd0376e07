//! AES-GCM of our own (`sys::gcm`), where the processor can do it.
//!
//! Each key has to agree with AWS-LC on texts of every kind that its code tells apart, and has to refuse a wrong ICV, before it is
//! used: a processor, a compiler or a mistake of ours that makes another cipher of it costs speed, and nothing else. What is sealed for
//! that is wiped.

use std::sync::OnceLock;

use sys::gcm::GcmKey;
use zeroize::Zeroizing;

use super::{Aead, ICV_LEN, NONCE_LEN, OpenJob, SealJob, aws_lc};

/// Octets of associated data and of text: each number of last vectors, both strides, long associated data, and that alone.
const TRIED: [(usize, usize); 8] =
    [(28, 5), (28, 52), (28, 100), (20, 250), (78, 300), (28, 700), (60, 0), (300, 0)];

/// Whether this processor can do it, and does it right.
pub(super) fn is_here() -> bool {
    static HERE: OnceLock<bool> = OnceLock::new();
    *HERE.get_or_init(|| [&[1; 16][..], &[2; 32]].iter().all(|key| schedule(key).is_some()))
}

/// `None` also when the processor cannot do it, or does something else.
pub(super) fn schedule(key: &[u8]) -> Option<Box<dyn Aead>> {
    tried(Box::new(Own(GcmKey::new(key)?)), key)
}

/// What is ours, if it does what AWS-LC does with this key.
fn tried(own: Box<dyn Aead>, key: &[u8]) -> Option<Box<dyn Aead>> {
    let library = aws_lc::schedule(key)?;
    TRIED.iter().all(|&lens| agree(own.as_ref(), library.as_ref(), lens)).then_some(own)
}

/// Whether both seal alike, and `one` opens what the other sealed, but not with another ICV.
fn agree(one: &dyn Aead, other: &dyn Aead, (aad, text): (usize, usize)) -> bool {
    let plain: Vec<u8> = (0..=u8::MAX).cycle().take(text).collect();
    let aad: Vec<u8> = (0..=u8::MAX).cycle().skip(7).take(aad).collect();
    let (mut ours, mut theirs) = (Zeroizing::new(plain.clone()), Zeroizing::new(plain.clone()));
    let [mut our_icv, mut their_icv] = [[0; ICV_LEN]; 2].map(Zeroizing::new);
    let sealed = seal(one, &aad, &mut ours, &mut our_icv) && seal(other, &aad, &mut theirs, &mut their_icv);
    let alike = sealed && *our_icv == *their_icv && *ours == *theirs;
    let opened = open(one, &aad, &mut ours, &their_icv) && *ours == plain;
    if let Some(octet) = their_icv.last_mut() {
        *octet ^= 1;
    }
    alike && opened && !open(one, &aad, &mut theirs, &their_icv)
}

/// Whatever frame may have it as well: nothing that is sealed with it here is kept or sent.
const NONCE: [u8; NONCE_LEN] = [0x3c; NONCE_LEN];

fn seal(aead: &dyn Aead, aad: &[u8], text: &mut [u8], icv: &mut [u8; ICV_LEN]) -> bool {
    let mut job = SealJob { nonce: NONCE, aad, text, icv, sealed: false };
    aead.seal(&mut job);
    job.sealed
}

fn open(aead: &dyn Aead, aad: &[u8], text: &mut [u8], icv: &[u8; ICV_LEN]) -> bool {
    let mut job = OpenJob { nonce: NONCE, aad, text, icv, valid: false };
    aead.open(&mut job);
    job.valid
}

pub(super) const NAME: &str = "vaes";

struct Own(GcmKey);

impl Aead for Own {
    fn name(&self) -> &'static str {
        NAME
    }

    #[inline]
    fn seal(&self, job: &mut SealJob<'_>) {
        *job.icv = self.0.seal(&job.nonce, job.aad, job.text);
        job.sealed = true;
    }

    #[inline]
    fn open(&self, job: &mut OpenJob<'_>) {
        job.valid = self.0.open(&job.nonce, job.aad, job.text, job.icv);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No cipher at all, which agrees with itself.
    struct Credulous;

    impl Aead for Credulous {
        fn name(&self) -> &'static str {
            "none"
        }

        fn seal(&self, job: &mut SealJob<'_>) {
            job.sealed = true;
        }

        fn open(&self, job: &mut OpenJob<'_>) {
            job.valid = true;
        }
    }

    #[test]
    fn a_key_that_is_another_cipher_is_not_used() {
        let [key, other] = [aws_lc::schedule(&[1; 32]), aws_lc::schedule(&[2; 32])].map(Option::unwrap);
        for lens in TRIED {
            assert!(agree(key.as_ref(), key.as_ref(), lens));
            assert!(!agree(key.as_ref(), other.as_ref(), lens));
            assert!(!agree(&Credulous, &Credulous, lens), "one that accepts every ICV");
        }
        assert!(tried(Box::new(Credulous), &[1; 32]).is_none());
        assert!(tried(aws_lc::schedule(&[2; 32]).unwrap(), &[1; 32]).is_none());
        assert!(tried(aws_lc::schedule(&[1; 32]).unwrap(), &[1; 32]).is_some());
        assert_eq!(schedule(&[1; 32]).is_some(), sys::gcm::is_supported());
        assert_eq!(is_here(), sys::gcm::is_supported());
        assert!(schedule(&[1; 24]).is_none());
    }
}
