//! The four cipher suites of 802.1AE-2018 §14: AES-GCM with 128 or 256-bit keys, with 32-bit packet
//! numbers or with extended ones (XPN, 64 bits).
//!
//! All four use a 12-octet nonce and a 16-octet ICV. The XPN suites have no confidentiality offset and a
//! smaller replay window, because the receiver guesses the upper half of the packet number (§10.6.2).

use core::{fmt, str::FromStr};

/// A cipher suite.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum CipherSuite {
    /// GCM-AES-128, the mandatory default (§14.5).
    #[default]
    GcmAes128,
    /// GCM-AES-256 (§14.6).
    GcmAes256,
    /// GCM-AES-XPN-128 (§14.7).
    GcmAesXpn128,
    /// GCM-AES-XPN-256 (§14.8).
    GcmAesXpn256,
}

impl CipherSuite {
    /// All four, weakest first.
    pub const ALL: [Self; 4] = [Self::GcmAes128, Self::GcmAes256, Self::GcmAesXpn128, Self::GcmAesXpn256];

    /// Its identifier, an EUI-64 (Table 14-1). This is what we send.
    pub const fn id(self) -> u64 {
        match self {
            Self::GcmAes128 => 0x0080_c200_0100_0001,
            Self::GcmAes256 => 0x0080_c200_0100_0002,
            Self::GcmAesXpn128 => 0x0080_c200_0100_0003,
            Self::GcmAesXpn256 => 0x0080_c200_0100_0004,
        }
    }

    /// The suite with this identifier. Takes the GCM-AES-128 identifier that 802.1AE-2006 misprinted and
    /// Linux and hostap still use; we never send it.
    pub const fn from_id(id: u64) -> Option<Self> {
        match id {
            0x0080_c200_0100_0001 | LEGACY_GCM_AES_128 => Some(Self::GcmAes128),
            0x0080_c200_0100_0002 => Some(Self::GcmAes256),
            0x0080_c200_0100_0003 => Some(Self::GcmAesXpn128),
            0x0080_c200_0100_0004 => Some(Self::GcmAesXpn256),
            _ => None,
        }
    }

    /// Octets of the SAK: 16 or 32.
    pub const fn key_len(self) -> usize {
        match self {
            Self::GcmAes128 | Self::GcmAesXpn128 => 16,
            Self::GcmAes256 | Self::GcmAesXpn256 => 32,
        }
    }

    /// True for the two suites with 64-bit packet numbers.
    pub const fn is_xpn(self) -> bool {
        match self {
            Self::GcmAes128 | Self::GcmAes256 => false,
            Self::GcmAesXpn128 | Self::GcmAesXpn256 => true,
        }
    }

    /// The last packet number that may be used under one SAK: 2^32 - 1 or 2^64 - 1 (§10.5.2).
    pub const fn last_pn(self) -> u64 {
        if self.is_xpn() { u64::MAX } else { 0xffff_ffff }
    }

    /// From this packet number on a fresh SAK is due: a quarter of the numbers is left (PendingPNExhaustion).
    pub const fn pending_exhaustion_pn(self) -> u64 {
        if self.is_xpn() { 0xc000_0000_0000_0000 } else { 0xc000_0000 }
    }

    /// The largest replay window in packet numbers: 2^30 - 1 under XPN, 2^32 - 1 otherwise (§10.7.8).
    pub const fn max_replay_window(self) -> u32 {
        if self.is_xpn() { (1 << 30) - 1 } else { u32::MAX }
    }

    /// Whether confidentiality may start 30 or 50 octets into the user data (§10.7, §14.7, §14.8).
    pub const fn allows_offsets(self) -> bool {
        !self.is_xpn()
    }
}

/// GCM-AES-128 as printed in 802.1AE-2006.
const LEGACY_GCM_AES_128: u64 = 0x0080_0200_0100_0001;

impl fmt::Display for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::GcmAes128 => "gcm-aes-128",
            Self::GcmAes256 => "gcm-aes-256",
            Self::GcmAesXpn128 => "gcm-aes-xpn-128",
            Self::GcmAesXpn256 => "gcm-aes-xpn-256",
        })
    }
}

/// The text names no cipher suite.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a cipher suite is one of gcm-aes-128, gcm-aes-256, gcm-aes-xpn-128, gcm-aes-xpn-256")]
pub struct ParseSuiteError;

impl FromStr for CipherSuite {
    type Err = ParseSuiteError;

    fn from_str(text: &str) -> Result<Self, ParseSuiteError> {
        let named = |suite: &Self| suite.to_string().eq_ignore_ascii_case(text);
        Self::ALL.into_iter().find(named).ok_or(ParseSuiteError)
    }
}

/// How many octets of user data stay in clear, though authenticated, before an encrypted part begins
/// (§10.7). Shorter frames stay wholly in clear.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ConfidentialityOffset {
    /// Everything is encrypted.
    #[default]
    Zero,
    /// IPv4 and the ports of TCP or UDP stay readable.
    Thirty,
    /// IPv6 and the ports of TCP or UDP stay readable.
    Fifty,
}

impl ConfidentialityOffset {
    /// The offset of this many octets, or `None` unless 0, 30 or 50.
    pub const fn new(octets: usize) -> Option<Self> {
        match octets {
            0 => Some(Self::Zero),
            30 => Some(Self::Thirty),
            50 => Some(Self::Fifty),
            _ => None,
        }
    }

    /// Octets in clear: 0, 30 or 50.
    pub const fn octets(self) -> usize {
        match self {
            Self::Zero => 0,
            Self::Thirty => 30,
            Self::Fifty => 50,
        }
    }
}

net::carry!(CipherSuite = GcmAes128 0, GcmAes256 1, GcmAesXpn128 2, GcmAesXpn256 3);

#[cfg(test)]
mod tests {
    use super::*;

    // §14, and the misprint of 802.1AE-2006.
    #[test]
    fn trap_02_the_legacy_identifier_is_understood_but_never_sent() {
        assert_eq!(CipherSuite::from_id(0x0080_0200_0100_0001), Some(CipherSuite::GcmAes128));
        for suite in CipherSuite::ALL {
            assert_ne!(suite.id(), LEGACY_GCM_AES_128);
            assert_eq!(CipherSuite::from_id(suite.id()), Some(suite));
        }
        assert_eq!(CipherSuite::from_id(0x0080_c200_0100_0005), None);
    }

    #[test]
    fn names_round_trip() {
        for suite in CipherSuite::ALL {
            assert_eq!(suite.to_string().parse(), Ok(suite));
            assert_eq!(suite.to_string().to_uppercase().parse(), Ok(suite));
        }
        assert_eq!("gcm-aes-192".parse::<CipherSuite>(), Err(ParseSuiteError));
    }

    #[test]
    fn offsets_are_0_30_50() {
        for octets in 0..=100 {
            let offset = ConfidentialityOffset::new(octets);
            assert_eq!(
                offset.map(ConfidentialityOffset::octets),
                [0, 30, 50].contains(&octets).then_some(octets)
            );
        }
    }
}
