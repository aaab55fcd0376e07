//! The keys that were given, and what was said about them: `HEX|@FILE[,NAME=VALUE]...`.
//!
//! The text of a key never gets into a message, however malformed it is: errors say which part of which option is
//! wrong, not what it holds. For the same reason the command line hands the option over as a [`KeyText`], which clap
//! cannot print.

use std::{collections::BTreeMap, fmt, path::Path, str::FromStr};

use config::SecretError;
use macsec::{
    An, CipherSuite, ConfidentialityOffset, Fingerprint, Sak, Salt, Sci, Ssci, mka::decode::FoundSak,
    offline::Key,
};
use zeroize::Zeroizing;

use super::cak::plain;
use crate::secrets;

/// The value of `--sak`, `--ckn` or `--cak`, as it was written.
#[derive(Clone)]
pub struct KeyText(Zeroizing<String>);

impl FromStr for KeyText {
    type Err = core::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(..)")
    }
}

/// A SAK, ready, and which frames it is for.
#[derive(Debug)]
pub struct GivenKey {
    pub(super) key: Key,
    pub(super) fingerprint: Fingerprint,
    /// Only frames of this SC.
    pub(super) sci: Option<Sci>,
    /// Only frames of this SA.
    pub(super) an: Option<An>,
    /// XPN.
    pub(super) salt: Salt,
    /// XPN; without it the first few are tried.
    pub(super) ssci: Option<Ssci>,
    /// Without it all three are tried.
    pub(super) offset: Option<ConfidentialityOffset>,
    /// XPN: upper half of the packet number of the first frame; without it the lowest are tried.
    pub(super) pn_high: Option<u32>,
    /// Where it is from, unless it was given.
    pub(super) found: Option<Found>,
}

/// A key that a key server distributed.
#[derive(Debug)]
pub(super) struct Found {
    /// Its place among the SAKs of the exchange.
    pub(super) place: usize,
    /// How many members share it.
    pub(super) sharers: u32,
    /// Whose frames it is for, with their short SCIs; `None` while a member has not been heard.
    pub(super) senders: Option<BTreeMap<Sci, Ssci>>,
}

impl GivenKey {
    /// The key that is in this place of the exchange.
    pub(super) fn distributed(place: usize, sak: &FoundSak) -> Option<Self> {
        let data = &sak.data;
        let sharers = u32::try_from(sak.sharers.len()).unwrap_or(u32::MAX);
        Some(Self {
            key: Key::new(data.suite, &data.sak)?,
            fingerprint: data.sak.fingerprint(),
            sci: None,
            an: Some(data.an),
            salt: data.salt,
            ssci: None,
            // Integrity only is in the SecTAG, and a member may encrypt all the same.
            offset: data.confidentiality.encrypts().then(|| data.confidentiality.offset()),
            pn_high: None,
            found: Some(Found { place, sharers, senders: None }),
        })
    }
}

/// What is wrong with a key option. Holds nothing of the key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// Not 32 or 64 hexadecimal digits.
    #[error("the key must be 32 or 64 hexadecimal digits, or @FILE with a file that holds them")]
    Malformed,
    /// The file cannot be used.
    #[error("the key file {path} {why}")]
    File {
        /// Which file.
        path: String,
        /// Why not.
        why: SecretError,
    },
    /// An unknown name.
    #[error("part {0} behind the key is not one of sci=, an=, salt=, ssci=, suite=, offset=, pn-high=")]
    UnknownPart(usize),
    /// A value that is not one.
    #[error("the value of {name}= must be {expected}")]
    Value {
        /// Which.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Suite and key length.
    #[error("{suite} takes a key of {} hexadecimal digits", .suite.key_len() * 2)]
    Length {
        /// The suite that was named.
        suite: CipherSuite,
    },
    /// XPN without salt.
    #[error("{0} needs salt= with 24 hexadecimal digits")]
    SaltNeeded(CipherSuite),
    /// Something that only XPN has.
    #[error("{name}= belongs to XPN suites, and {suite} is none")]
    OnlyXpn {
        /// Which part.
        name: &'static str,
        /// The suite that was named, or follows from the key's length without a salt.
        suite: CipherSuite,
    },
    /// An offset under XPN.
    #[error("XPN suites have no confidentiality offset")]
    OffsetWithXpn,
}

/// The parts behind the key, read.
#[derive(Default)]
struct Parts {
    sci: Option<Sci>,
    an: Option<An>,
    salt: Option<Salt>,
    ssci: Option<Ssci>,
    suite: Option<CipherSuite>,
    offset: Option<ConfidentialityOffset>,
    pn_high: Option<u32>,
}

impl KeyText {
    /// What was written.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Reads the option, and the file if it names one.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(&self) -> Result<GivenKey, KeyError> {
        let mut texts = self.0.split(',');
        let sak = sak(texts.next().unwrap_or_default())?;
        let mut parts = Parts::default();
        for (at, text) in texts.enumerate() {
            parts.add(at + 1, text.trim())?;
        }
        parts.with(&sak)
    }
}

fn sak(text: &str) -> Result<Sak, KeyError> {
    let Some(path) = text.strip_prefix('@') else { return from_digits(text) };
    match secrets::read_file(Path::new(path)) {
        Ok(text) => from_digits(&text),
        Err(why) => Err(KeyError::File { path: path.to_owned(), why }),
    }
}

fn from_digits(text: &str) -> Result<Sak, KeyError> {
    Sak::from_hex(&plain(text)).map_err(|_| KeyError::Malformed)
}

impl Parts {
    fn add(&mut self, place: usize, text: &str) -> Result<(), KeyError> {
        let (name, value) = text.split_once('=').ok_or(KeyError::UnknownPart(place))?;
        match name {
            "sci" => self.sci = Some(parse(value, "sci", "an SCI such as 02:00:5e:10:00:01/0001")?),
            "an" => self.an = Some(some(value.parse().ok().and_then(An::new), "an", "0, 1, 2 or 3")?),
            "salt" => self.salt = Some(some(salt(value), "salt", "24 hexadecimal digits")?),
            "ssci" => {
                self.ssci = Some(Ssci(some(number(value), "ssci", "a number, in hexadecimal after 0x")?))
            }
            "suite" => {
                let names = "gcm-aes-128, gcm-aes-256, gcm-aes-xpn-128 or gcm-aes-xpn-256";
                self.suite = Some(parse(value, "suite", names)?);
            }
            "offset" => {
                let offset = value.parse().ok().and_then(ConfidentialityOffset::new);
                self.offset = Some(some(offset, "offset", "0, 30 or 50")?);
            }
            "pn-high" => {
                let expected = "the upper 32 bits of the first packet number, in hexadecimal after 0x";
                self.pn_high = Some(some(number(value), "pn-high", expected)?);
            }
            _ => return Err(KeyError::UnknownPart(place)),
        }
        Ok(())
    }

    fn with(self, sak: &Sak) -> Result<GivenKey, KeyError> {
        let suite = self.suite.unwrap_or_else(|| suite_of(sak.octets().len(), self.salt.is_some()));
        let key = Key::new(suite, sak).ok_or(KeyError::Length { suite })?;
        if suite.is_xpn() {
            self.salt.ok_or(KeyError::SaltNeeded(suite))?;
            if self.offset.is_some_and(|offset| offset.octets() != 0) {
                return Err(KeyError::OffsetWithXpn);
            }
        } else {
            let parts = [
                ("salt", self.salt.is_some()),
                ("ssci", self.ssci.is_some()),
                ("pn-high", self.pn_high.is_some()),
            ];
            if let Some((name, _)) = parts.into_iter().find(|(_, there)| *there) {
                return Err(KeyError::OnlyXpn { name, suite });
            }
        }
        Ok(GivenKey {
            key,
            fingerprint: sak.fingerprint(),
            sci: self.sci,
            an: self.an,
            salt: self.salt.unwrap_or_default(),
            ssci: self.ssci,
            offset: self.offset,
            pn_high: self.pn_high,
            found: None,
        })
    }
}

const fn suite_of(key_len: usize, xpn: bool) -> CipherSuite {
    match (key_len, xpn) {
        (16, false) => CipherSuite::GcmAes128,
        (16, true) => CipherSuite::GcmAesXpn128,
        (_, false) => CipherSuite::GcmAes256,
        (_, true) => CipherSuite::GcmAesXpn256,
    }
}

fn parse<T: FromStr>(text: &str, name: &'static str, expected: &'static str) -> Result<T, KeyError> {
    some(text.parse().ok(), name, expected)
}

fn some<T>(value: Option<T>, name: &'static str, expected: &'static str) -> Result<T, KeyError> {
    value.ok_or(KeyError::Value { name, expected })
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn salt(text: &str) -> Option<Salt> {
    let plain = text.len() == 24 && text.bytes().all(|octet| octet.is_ascii_hexdigit());
    let [.., a, b, c, d, e, f, g, h, i, j, k, l] =
        u128::from_str_radix(text, 16).ok().filter(|_| plain)?.to_be_bytes();
    Some(Salt([a, b, c, d, e, f, g, h, i, j, k, l]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "000102030405060708090a0b0c0d0e0f";

    fn read(text: &str) -> Result<GivenKey, KeyError> {
        text.parse::<KeyText>().unwrap().read()
    }

    #[test]
    fn the_suite_follows_from_length_and_salt() {
        let salt = "salt=0102030405060708090a0b0c";
        for (text, suite) in [
            (KEY.to_owned(), CipherSuite::GcmAes128),
            (KEY.repeat(2), CipherSuite::GcmAes256),
            (format!("{KEY},{salt}"), CipherSuite::GcmAesXpn128),
            (format!("{KEY}{KEY},{salt}, ssci=0x10"), CipherSuite::GcmAesXpn256),
            ("00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f".to_owned(), CipherSuite::GcmAes128),
        ] {
            assert_eq!(read(&text).unwrap().key.suite(), suite, "{text}");
        }
        let key = read(&format!("{KEY},{salt},ssci=2,an=3,sci=0200000000010001,pn-high=0x7")).unwrap();
        assert_eq!((key.ssci, key.an, key.pn_high), (Some(Ssci(2)), An::new(3), Some(7)));
        assert_eq!(key.salt.0, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    }

    #[test]
    fn errors_say_what_is_wrong_and_nothing_of_the_key() {
        for (rest, expected) in [
            (",an=4", "0, 1, 2 or 3"),
            (",sci=1", "an SCI"),
            (",salt=12", "24 hexadecimal digits"),
            (",salt=+10203040506070809010a0b", "24 hexadecimal digits"),
            (",suite=gcm-aes-256", "64 hexadecimal digits"),
            (",suite=gcm-aes-xpn-128", "needs salt="),
            (",ssci=1", "belongs to XPN"),
            (",pn-high=1", "belongs to XPN"),
            (",salt=0102030405060708090a0b0c,offset=30", "no confidentiality offset"),
            (",deadbeef", "part 1"),
            (",an=1,deadbeef=1", "part 2"),
            ("0", "32 or 64"),
        ] {
            let message = read(&format!("{KEY}{rest}")).unwrap_err().to_string();
            assert!(message.contains(expected), "{rest}: {message}");
            assert!(!message.contains("0405") && !message.contains("deadbeef"), "{message}");
        }
        assert_eq!(format!("{:?}", KEY.parse::<KeyText>().unwrap()), "KeyText(..)");
        let missing = read("@/nonexistent/key").unwrap_err().to_string();
        assert_eq!(missing, "the key file /nonexistent/key does not exist");
    }
}
