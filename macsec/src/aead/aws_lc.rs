//! AES-GCM by AWS-LC. It wipes its key schedules when it frees them.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::{Aead, OpenJob, SealJob};

pub(super) fn schedule(key: &[u8]) -> Option<Box<dyn Aead>> {
    let algorithm = match key.len() {
        16 => &AES_128_GCM,
        32 => &AES_256_GCM,
        _ => return None,
    };
    let key = UnboundKey::new(algorithm, key).ok()?;
    Some(Box::new(AwsLc(LessSafeKey::new(key))))
}

pub(super) const NAME: &str = "aws-lc";

struct AwsLc(LessSafeKey);

impl Aead for AwsLc {
    fn name(&self) -> &'static str {
        NAME
    }

    fn seal(&self, job: &mut SealJob<'_>) {
        let nonce = Nonce::assume_unique_for_key(job.nonce);
        let done = self.0.seal_in_place_scatter(nonce, Aad::from(job.aad), job.text, &[], job.icv);
        job.sealed = done.is_ok();
    }

    fn open(&self, job: &mut OpenJob<'_>) {
        let nonce = Nonce::assume_unique_for_key(job.nonce);
        let done = self.0.open_in_place_separate_tag(nonce, Aad::from(job.aad), job.icv, job.text);
        job.valid = done.is_ok();
    }
}
