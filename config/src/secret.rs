//! Key material: referenced by the configuration, read by whoever owns the disk, wiped on drop, never printed.
//!
//! This crate does no I/O. The caller of `load` passes a [`SecretSource`] that knows files, systemd
//! credentials and the environment; what it refuses ([`SecretError`]) becomes a problem at the place
//! of the reference. The way to see which key is in use is its [fingerprint](Secret::fingerprint).

use core::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
pub use zeroize::Zeroizing;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Where a key is, as the configuration says.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretRef {
    /// A file; a relative path starts at the directory of the configuration file.
    File(PathBuf),
    /// A credential that systemd passed (`$CREDENTIALS_DIRECTORY`).
    Credential(String),
    /// An environment variable.
    Env(String),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file `{}`", path.display()),
            Self::Credential(name) => write!(f, "credential `{name}`"),
            Self::Env(name) => write!(f, "environment variable `{name}`"),
        }
    }
}

/// Reads keys; implemented where files and the environment are known.
pub trait SecretSource {
    /// The text at `reference`, as it is there; white space around it does not matter.
    fn read(&self, reference: &SecretRef) -> Result<Zeroizing<String>, SecretError>;
}

/// Why a secret was not read. Holds no part of the secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SecretError {
    /// There is nothing at the reference.
    #[error("does not exist")]
    NotFound,
    /// Users other than the owner and the group may read it.
    #[error("can be read by every user (mode {mode:04o})")]
    WorldReadable {
        /// Its permission bits.
        mode: u32,
    },
    /// This process may not read it.
    #[error("may not be read by this user")]
    Denied,
    /// It is far too large for a key, a device, a directory or the like.
    #[error("is not a small file of text")]
    NotText,
    /// Reading failed in another way.
    #[error("cannot be read: {0}")]
    Failed(std::io::ErrorKind),
}

/// What a key is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyKind {
    /// It protects frames (802.1AE).
    Sak,
    /// It protects key agreement (802.1X).
    Cak,
}

impl KeyKind {
    const fn label(self) -> &'static str {
        match self {
            Self::Sak => "quadspan sak",
            Self::Cak => "quadspan cak",
        }
    }
}

/// A key. Wiped when dropped; `Debug` shows nothing; there is no `Serialize` and no `Display`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// A key of the given octets; they are wiped where they came from.
    pub fn new(octets: &mut [u8]) -> Self {
        let key = Self(Box::from(&*octets));
        octets.zeroize();
        key
    }

    /// The octets, for the cipher and for nobody else.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// What may be shown of the key: enough to compare two ends, useless to find it. The first sixteen hexadecimal digits
    /// of SHA-256 over a label, which keeps kinds apart, and the key: as the SecY and the KaY and every screen show it.
    pub fn fingerprint(&self, kind: KeyKind) -> String {
        let digest = Sha256::new_with_prefix(kind.label()).chain_update(&self.0).finalize();
        digest.iter().take(8).map(|octet| format!("{octet:02x}")).collect()
    }

    /// The whole SHA-256, to compare keys without copying them.
    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        // By digest, so that the time it takes says nothing about where two keys differ.
        self.digest() == other.digest()
    }
}

impl Eq for Secret {}

/// The longest password that TCP-MD5 takes on Linux, in octets.
pub const LONGEST_PASSWORD: usize = 80;

/// The password that stands in a text: all of it, but for the line end that an editor leaves.
///
/// # Errors
/// Why it cannot be one for TCP-MD5 (RFC 2385), in words.
pub fn password(text: &str) -> Result<Secret, &'static str> {
    let exact = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    match exact.len() {
        0 => Err("is empty"),
        len if len > LONGEST_PASSWORD => Err("has more than 80 octets, the most that TCP-MD5 takes here"),
        _ if exact.chars().any(char::is_control) => Err("has several lines or control characters"),
        _ => Ok(Secret::new(&mut exact.as_bytes().to_vec())),
    }
}

/// For `#[serde(serialize_with)]`: a SAK is shown by its fingerprint.
pub(crate) fn serialize_sak<S: Serializer>(key: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&key.fingerprint(KeyKind::Sak))
}

/// As [`serialize_sak`], for a CAK.
pub(crate) fn serialize_cak<S: Serializer>(key: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&key.fingerprint(KeyKind::Cak))
}

/// The octets that pairs of hexadecimal digits stand for; pairs may be joined by `:` or `-`, and white space
/// does not count. `None` for anything else and for nothing at all.
pub(crate) fn hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    // Never grows, so no copy of a key stays behind in freed memory.
    let mut octets = Zeroizing::new(Vec::with_capacity(text.len() / 2 + 1));
    let mut high = None;
    for c in text.chars() {
        match (c.to_digit(16), high.take()) {
            (Some(digit), None) => high = Some(digit),
            (Some(low), Some(high)) => octets.push(u8::try_from(high << 4 | low).ok()?),
            (None, None) if c.is_whitespace() || c == ':' || c == '-' => {}
            (None, _) => return None,
        }
    }
    (high.is_none() && !octets.is_empty()).then_some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_fingerprint_and_nothing_else() {
        let key = Secret::new(&mut b"abc".to_vec());
        // printf 'quadspan sakabc' | sha256sum
        assert_eq!(key.fingerprint(KeyKind::Sak), "10d1d9b1755cafb5");
        assert_ne!(key.fingerprint(KeyKind::Cak), key.fingerprint(KeyKind::Sak));
        assert_eq!(format!("{key:?}"), "Secret(..)");
    }

    #[test]
    fn the_octets_it_came_from_are_wiped() {
        let mut octets = [7; 16];
        let key = Secret::new(&mut octets);
        assert_eq!((octets, key.expose()), ([0; 16], &[7; 16][..]));
    }

    #[test]
    fn reads_pairs_of_digits_and_nothing_else() {
        for (text, expected) in [
            ("00fF", Some(vec![0, 255])),
            (" 00:ff\n", Some(vec![0, 255])),
            ("0 0", None),
            ("0", None),
            ("", None),
            (" ", None),
            ("0x00", None),
            ("zz", None),
            ("00é", None),
        ] {
            assert_eq!(hex(text).map(|octets| octets.to_vec()), expected, "{text:?}");
        }
    }
}
