//! AES-GCM by the RustCrypto crates, which wipe their key schedules when dropped.

use aes_gcm::{AeadInOut, Aes128Gcm, Aes256Gcm, KeyInit, Nonce, Tag};

use super::{Aead, OpenJob, SealJob};

pub(super) fn schedule(key: &[u8]) -> Option<Box<dyn Aead>> {
    match key.len() {
        16 => Some(Box::new(RustCrypto(Aes128Gcm::new_from_slice(key).ok()?))),
        32 => Some(Box::new(RustCrypto(Aes256Gcm::new_from_slice(key).ok()?))),
        _ => None,
    }
}

pub(super) const NAME: &str = "aes-gcm";

struct RustCrypto<A>(A);

impl<A> Aead for RustCrypto<A>
where
    A: AeadInOut<NonceSize = aes::cipher::consts::U12, TagSize = aes::cipher::consts::U16> + Send + Sync,
{
    fn name(&self) -> &'static str {
        NAME
    }

    fn seal(&self, job: &mut SealJob<'_>) {
        let nonce = Nonce::from(job.nonce);
        let done = self.0.encrypt_inout_detached(&nonce, job.aad, (&mut *job.text).into());
        job.sealed = done.is_ok();
        if let Ok(icv) = done {
            *job.icv = icv.into();
        }
    }

    fn open(&self, job: &mut OpenJob<'_>) {
        let (nonce, icv) = (Nonce::from(job.nonce), Tag::from(*job.icv));
        let done = self.0.decrypt_inout_detached(&nonce, job.aad, (&mut *job.text).into(), &icv);
        job.valid = done.is_ok();
    }
}
