//! AES-GCM behind one small trait, so that the library doing it can be chosen when the gateway runs.
//!
//! A key schedule is made once per SA. Work comes as jobs: the nonce, the associated data, the text to
//! change in place, the ICV. The frame is contiguous in its buffer, so a job only borrows parts of it and
//! nothing is copied. A batch of jobs is one dynamic call; a backend that can work on several frames at
//! once overrides [`Aead::seal_batch`] and [`Aead::open_batch`].
//!
//! [`Backend::Auto`] is the default: our own for frames (`sys::gcm`), on processors that it is made for, and AWS-LC
//! on others. [`Backend::AesGcm`] is the portable one. Each is the others' oracle in the tests.
//!
//! Invariant: an [`IcvValid`] exists only for a job whose ICV a backend found right; state that an
//! attacker must not move (replay windows) asks for one.

mod aes_gcm;
mod aws_lc;
mod own;

use crate::{key::Sak, suite::CipherSuite};

/// Octets of the ICV, which is the whole GCM tag in all four suites (802.1AE-2018 §14.5 to §14.8).
pub const ICV_LEN: usize = 16;
/// Octets of the nonce (IV).
pub const NONCE_LEN: usize = 12;

/// What does AES-GCM.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Backend {
    /// Ours where the processor has AVX-512, VAES and VPCLMULQDQ, else AWS-LC.
    #[default]
    Auto,
    /// AWS-LC: assembly for every usual processor.
    AwsLc,
    /// RustCrypto `aes-gcm`: Rust, portable.
    AesGcm,
}

impl Backend {
    /// Every backend there is.
    pub const ALL: [Self; 3] = [Self::Auto, Self::AwsLc, Self::AesGcm];

    /// The key schedule of `sak` for `suite`; `None` when the SAK has another length than the suite wants.
    pub fn schedule(self, suite: CipherSuite, sak: &Sak) -> Option<Box<dyn Aead>> {
        let key = Some(sak.octets()).filter(|octets| octets.len() == suite.key_len())?;
        match self {
            Self::Auto => own::schedule(key).or_else(|| aws_lc::schedule(key)),
            Self::AwsLc => aws_lc::schedule(key),
            Self::AesGcm => aes_gcm::schedule(key),
        }
    }

    /// What works on this machine when this is asked for: `vaes`, `aws-lc` or `aes-gcm`.
    pub fn works_here(self) -> &'static str {
        match self {
            Self::Auto if own::is_here() => own::NAME,
            Self::Auto | Self::AwsLc => aws_lc::NAME,
            Self::AesGcm => aes_gcm::NAME,
        }
    }

    /// Whether a key is done by `used` although ours could do it here: it failed its trial.
    pub fn fell_back(self, used: &str) -> bool {
        self == Self::Auto && sys::gcm::is_supported() && used != own::NAME
    }
}

impl core::fmt::Display for Backend {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::AwsLc => aws_lc::NAME,
            Self::AesGcm => aes_gcm::NAME,
        })
    }
}

/// The text names no backend.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a crypto backend is one of auto, aws-lc, aes-gcm")]
pub struct ParseBackendError;

impl core::str::FromStr for Backend {
    type Err = ParseBackendError;

    fn from_str(text: &str) -> Result<Self, ParseBackendError> {
        Self::ALL.into_iter().find(|backend| backend.to_string() == text).ok_or(ParseBackendError)
    }
}

/// Text to encrypt in place and an ICV to write.
#[derive(Debug)]
pub struct SealJob<'frame> {
    /// Never used before under this key.
    pub nonce: [u8; NONCE_LEN],
    /// Authenticated, unchanged.
    pub aad: &'frame [u8],
    /// Plain text before, cipher text after; may be empty.
    pub text: &'frame mut [u8],
    /// Written.
    pub icv: &'frame mut [u8; ICV_LEN],
    /// Set by the backend when text and ICV are done; without it the frame must not be sent.
    pub sealed: bool,
}

/// Text to decrypt in place once its ICV is found right.
#[derive(Debug)]
pub struct OpenJob<'frame> {
    /// As the sender made it.
    pub nonce: [u8; NONCE_LEN],
    /// Authenticated, unchanged.
    pub aad: &'frame [u8],
    /// Cipher text before, plain text after; worthless after when the ICV was wrong. May be empty.
    pub text: &'frame mut [u8],
    /// As received.
    pub icv: &'frame [u8; ICV_LEN],
    /// Set by the backend when the ICV was right.
    pub valid: bool,
}

impl OpenJob<'_> {
    /// The proof that the ICV was right, if it was.
    pub fn proof(&self) -> Option<IcvValid> {
        self.valid.then_some(IcvValid(()))
    }
}

/// Proof that the ICV over a frame was right. Only [`OpenJob::proof`] makes one.
#[derive(Debug)]
#[must_use]
pub struct IcvValid(());

/// AES-GCM under one key.
pub trait Aead: Send + Sync {
    /// What does it: `vaes`, `aws-lc` or `aes-gcm`.
    fn name(&self) -> &'static str;

    /// Encrypts the text, writes the ICV, sets `sealed`.
    fn seal(&self, job: &mut SealJob<'_>);

    /// Decrypts the text and sets `valid` when the ICV is right; when it is not, nothing of the text is left.
    fn open(&self, job: &mut OpenJob<'_>);

    /// [`seal`](Self::seal) for each job; the results do not depend on the grouping.
    fn seal_batch(&self, jobs: &mut [SealJob<'_>]) {
        for job in jobs {
            self.seal(job);
        }
    }

    /// [`open`](Self::open) for each job; the results do not depend on the grouping.
    fn open_batch(&self, jobs: &mut [OpenJob<'_>]) {
        for job in jobs {
            self.open(job);
        }
    }
}
