//! Keys and what identifies them.
//!
//! Secrets ([`Sak`], [`Cak`]) live on the heap so that moving one copies nothing, wipe themselves, and
//! print only their [`Fingerprint`]: enough to see that two ends hold the same key, useless for anything else.
//! [`Ckn`] and [`KeyId`] are names, not secrets; they travel in clear in every MKPDU.

use core::fmt;

use zeroize::Zeroizing;

/// A key or key name could not be made from what was given.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// A SAK or CAK of another size.
    #[error("a key is 16 or 32 octets long, not {0}")]
    KeyLength(usize),
    /// A CKN of another size.
    #[error("a key name (CKN) is 1 to 32 octets long, not {0}")]
    NameLength(usize),
    /// Something that is not a hexadecimal digit, or half an octet.
    #[error("a key is written as pairs of hexadecimal digits")]
    NotHexadecimal,
}

/// A secure association key: 16 or 32 octets (802.1AE-2018 §7.1.3).
#[derive(Clone)]
pub struct Sak(Secret);

/// A connectivity association key: 16 or 32 octets (802.1X §9).
#[derive(Clone)]
pub struct Cak(Secret);

/// Octets that wipe themselves and stay where they are when their owner moves.
type Secret = Zeroizing<Box<[u8]>>;

macro_rules! secret_key {
    ($name:ident, $label:literal) => {
        impl $name {
            /// The key with these octets.
            ///
            /// # Errors
            /// [`KeyError::KeyLength`] unless they are 16 or 32.
            pub fn new(octets: &[u8]) -> Result<Self, KeyError> {
                match octets.len() {
                    16 | 32 => Ok(Self(Zeroizing::new(octets.into()))),
                    other => Err(KeyError::KeyLength(other)),
                }
            }

            /// The key written as 32 or 64 hexadecimal digits.
            ///
            /// # Errors
            /// [`KeyError`]; it never repeats what was given.
            pub fn from_hex(text: &str) -> Result<Self, KeyError> {
                Self::new(&hexadecimal(text)?)
            }

            /// The secret itself.
            pub fn octets(&self) -> &[u8] {
                &self.0
            }

            /// What may be shown of it.
            pub fn fingerprint(&self) -> Fingerprint {
                Fingerprint::of($label, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({} bits, {})"), self.0.len() * 8, self.fingerprint())
            }
        }
    };
}

secret_key!(Sak, b"quadspan sak");
secret_key!(Cak, b"quadspan cak");

/// Decodes pairs of hexadecimal digits into memory that wipes itself.
fn hexadecimal(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    if !text.len().is_multiple_of(2) {
        return Err(KeyError::NotHexadecimal);
    }
    // Reserved once: growing would leave unwiped copies behind.
    let mut octets = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    for &[high, low] in pairs {
        octets.push(digit(high)? << 4 | digit(low)?);
    }
    Ok(octets)
}

fn digit(ascii: u8) -> Result<u8, KeyError> {
    match ascii {
        b'0'..=b'9' => Ok(ascii - b'0'),
        b'a'..=b'f' => Ok(ascii - b'a' + 10),
        b'A'..=b'F' => Ok(ascii - b'A' + 10),
        _ => Err(KeyError::NotHexadecimal),
    }
}

/// The first eight octets of SHA-256 over a label and a key. Two ends compare it; nobody can turn it back.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    fn of(label: &[u8], key: &[u8]) -> Self {
        let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        hash.update(label);
        hash.update(key);
        Self(hash.finish().as_ref().first_chunk().copied().unwrap_or_default())
    }

    /// Its eight octets.
    pub const fn octets(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A connectivity association key name: 1 to 32 octets, compared exactly, never padded (802.1X §9).
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ckn {
    len: u8,
    /// Zero from `len` on, so that deriving equality and order is right.
    octets: [u8; 32],
}

impl Ckn {
    /// The name with these octets.
    ///
    /// # Errors
    /// [`KeyError::NameLength`] unless they are 1 to 32.
    pub fn new(name: &[u8]) -> Result<Self, KeyError> {
        let wrong = KeyError::NameLength(name.len());
        let len = u8::try_from(name.len()).map_err(|_| wrong)?;
        let mut octets = [0; 32];
        octets.get_mut(..name.len()).ok_or(wrong)?.copy_from_slice(name);
        if len == 0 { Err(wrong) } else { Ok(Self { len, octets }) }
    }

    /// The name written as pairs of hexadecimal digits.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        Self::new(&hexadecimal(text)?)
    }

    /// Its 1 to 32 octets.
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The same name filled up with zero octets to 32, as some peers need it on both sides.
    #[must_use]
    pub const fn padded(self) -> Self {
        Self { len: 32, octets: self.octets }
    }
}

impl fmt::Display for Ckn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.octets().iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Ckn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ckn({self})")
    }
}

/// Key identifier of a SAK: the key server's member identifier, then the key number (802.1X §9).
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyId(pub [u8; 16]);

impl KeyId {
    /// The identifier of key number `number` of the key server with member identifier `member`.
    pub const fn new(member: [u8; 12], number: u32) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = member;
        let [w, x, y, z] = number.to_be_bytes();
        Self([a, b, c, d, e, f, g, h, i, j, k, l, w, x, y, z])
    }

    /// Member identifier (MI) of the key server.
    pub const fn member(self) -> [u8; 12] {
        let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = self.0;
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }

    /// Key number (KN).
    pub const fn number(self) -> u32 {
        let [.., w, x, y, z] = self.0;
        u32::from_be_bytes([w, x, y, z])
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// The 12 octets that the XPN suites mix into every nonce (802.1AE-2018 §14.7). Not a secret.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Salt(pub [u8; 12]);

impl Salt {
    /// The salt of this SAK (§10.7.28): the key server's MI with its first two octets xored with the low
    /// half of the key number and its next two with the high half.
    pub const fn for_key(key: KeyId) -> Self {
        let mut salt = key.member();
        let [high0, high1, low0, low1] = key.number().to_be_bytes();
        salt[0] ^= low0;
        salt[1] ^= low1;
        salt[2] ^= high0;
        salt[3] ^= high1;
        Self(salt)
    }
}

net::carry!(Fingerprint(_));
net::carry!(Ckn { len, octets });
net::carry!(KeyId(_));
net::carry!(Salt(_));

/// Only from one process of a gateway to the next, in memory that is wiped.
impl net::carry::Carry for Sak {
    fn pack(&self, out: &mut net::carry::Parcel) {
        out.counted(&self.0);
    }

    fn unpack(from: &mut net::carry::Opened<'_>) -> Option<Self> {
        Self::new(from.counted()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_two_sizes_and_never_show_themselves() {
        for len in 0..70 {
            let made = Sak::new(&vec![0xab; len]);
            assert_eq!(made.is_ok(), len == 16 || len == 32, "{len}");
        }
        let sak = Sak::from_hex("000102030405060708090a0b0c0d0e0F").unwrap();
        let cak = Cak::new(sak.octets()).unwrap();
        assert_eq!(sak.octets()[15], 0x0f);
        assert!(!format!("{sak:?}").contains("0405"), "{sak:?}");
        assert_ne!(sak.fingerprint().to_string(), cak.fingerprint().to_string(), "labels keep roles apart");
        assert_eq!(Sak::from_hex("0g").unwrap_err(), KeyError::NotHexadecimal);
        assert_eq!(Sak::from_hex("012").unwrap_err(), KeyError::NotHexadecimal);
        assert_eq!(Sak::from_hex("é0").unwrap_err(), KeyError::NotHexadecimal);
    }

    // Trap 21.
    #[test]
    fn key_names_are_1_to_32_octets_and_compare_exactly() {
        for len in [1, 15, 16, 17, 32] {
            assert_eq!(Ckn::new(&vec![7; len]).unwrap().octets(), vec![7; len]);
        }
        assert_eq!(Ckn::new(&[]), Err(KeyError::NameLength(0)));
        assert_eq!(Ckn::new(&[7; 33]), Err(KeyError::NameLength(33)));
        assert_eq!(Ckn::new(&[7; 300]), Err(KeyError::NameLength(300)));
        let short = Ckn::from_hex("0102").unwrap();
        assert_ne!(short, Ckn::from_hex("010200").unwrap());
        assert_eq!(short.padded(), Ckn::from_hex(&format!("0102{}", "00".repeat(30))).unwrap());
        assert_eq!(short.to_string(), "0102");
    }

    #[test]
    fn a_key_identifier_is_member_then_number() {
        let id = KeyId::new([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 0x0d0e_0f10);
        assert_eq!(id.to_string(), "0102030405060708090a0b0c0d0e0f10");
        assert_eq!((id.member()[11], id.number()), (12, 0x0d0e_0f10));
    }
}
