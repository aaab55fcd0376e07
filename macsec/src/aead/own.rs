//! AES-GCM of our own (`sys::gcm`), where the processor can do it.
//!
//! Each key has to agree with AWS-LC on texts of three lengths before it is used: a processor, a compiler or a mistake of ours that
//! makes another cipher of it costs speed, and nothing else. What is sealed for that leaves nothing but the answer.

use sys::gcm::{self, GcmKey};

use super::{Aead, ICV_LEN, NONCE_LEN, OpenJob, SealJob, aws_lc};

/// Lengths of the texts that both must agree on: within a block, within the last stride, and of some strides.
const TRIED: [usize; 3] = [5, 52, 700];

/// Whether this processor can do it.
pub(super) fn is_here() -> bool {
    gcm::is_supported()
}

/// `None` also when the processor cannot do it, or does something else.
pub(super) fn schedule(key: &[u8]) -> Option<Box<dyn Aead>> {
    let own = Own(GcmKey::new(key)?);
    let library = aws_lc::schedule(key)?;
    if !TRIED.iter().all(|&len| agree(&own, library.as_ref(), len)) {
        return None;
    }
    Some(Box::new(own))
}

/// Whether both seal alike, and each opens what the other sealed.
fn agree(one: &dyn Aead, other: &dyn Aead, len: usize) -> bool {
    let [mut ours, mut theirs] = [[0x5a; 700]; 2];
    let (Some(ours), Some(theirs)) = (ours.get_mut(..len), theirs.get_mut(..len)) else { return false };
    let aad = [0xa5; 28];
    let [mut our_icv, mut their_icv] = [[0; ICV_LEN]; 2];
    let sealed = [seal(one, &aad, ours, &mut our_icv), seal(other, &aad, theirs, &mut their_icv)];
    let alike = sealed == [true; 2] && our_icv == their_icv && *ours == *theirs;
    let mut job = OpenJob { nonce: NONCE, aad: &aad, text: ours, icv: &their_icv, valid: false };
    one.open(&mut job);
    alike && job.valid && ours.iter().all(|&octet| octet == 0x5a)
}

/// Not one that a frame has: whatever it may be, nothing that is sealed with it is sent.
const NONCE: [u8; NONCE_LEN] = [0x3c; NONCE_LEN];

fn seal(aead: &dyn Aead, aad: &[u8], text: &mut [u8], icv: &mut [u8; ICV_LEN]) -> bool {
    let mut job = SealJob { nonce: NONCE, aad, text, icv, sealed: false };
    aead.seal(&mut job);
    job.sealed
}

struct Own(GcmKey);

impl Aead for Own {
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

    #[test]
    fn a_key_that_is_another_cipher_is_not_used() {
        let [key, other] = [aws_lc::schedule(&[1; 32]), aws_lc::schedule(&[2; 32])].map(Option::unwrap);
        for len in TRIED {
            assert!(agree(key.as_ref(), key.as_ref(), len));
            assert!(!agree(key.as_ref(), other.as_ref(), len));
        }
        assert_eq!(schedule(&[1; 32]).is_some(), is_here());
        assert!(schedule(&[1; 24]).is_none());
    }
}
