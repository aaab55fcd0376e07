//! How a channel is protected: IEEE 802.1AE-2018 in the words of its clause 10.

use core::{fmt, str::FromStr};

use net::MacAddr;
use serde::{Serialize, Serializer};

use super::{Cipher, Mka, Policy, Validate};
use crate::secret::{Secret, SecretRef, hex, serialize_sak};

/// The SecY of a channel.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Macsec {
    /// What happens to traffic that MACsec does not protect.
    pub policy: Policy,
    /// The cipher suite; with MKA the one that is liked best.
    pub cipher: Cipher,
    /// Encrypt, or (false) protect the integrity only.
    pub encrypt: bool,
    /// 0, 30 or 50 octets; 0 with XPN suites and without encryption.
    pub confidentiality_offset: u8,
    /// validateFrames; always strict with [`Policy::MustSecure`].
    pub validate: Validate,
    /// replayProtect.
    pub replay_protect: bool,
    /// replayWindow: at most 2^30-1 with XPN suites.
    pub replay_window: u32,
    /// Also refuse duplicates inside the window.
    pub replay_strict: bool,
    /// alwaysIncludeSCI; false when one of the next two is true.
    pub include_sci: bool,
    /// useES.
    pub end_station: bool,
    /// useSCB.
    pub scb: bool,
    /// The SCI we send with.
    pub tx_sci: TxSci,
    /// Keys to send with, association numbers all different; the first one is the one to start with.
    /// Empty with MKA and when the policy is off.
    pub tx: Vec<Sa>,
    /// What is received: one per SCI, in the order of the file. Empty with MKA and when the policy is off.
    pub rx: Vec<RxSc>,
    /// Key agreement; `None` with keys that are set by hand and when the policy is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mka: Option<Mka>,
}

impl Macsec {
    /// Octets that protection adds to a frame: SecTAG (16 with the SCI, 8 without) and ICV (16); none when off.
    pub const fn overhead(&self) -> u16 {
        overhead(self.policy, self.include_sci)
    }
}

/// See [`Macsec::overhead`].
pub(crate) const fn overhead(policy: Policy, include_sci: bool) -> u16 {
    match (policy, include_sci) {
        (Policy::Off, _) => 0,
        (Policy::MustSecure | Policy::ShouldSecure, true) => 32,
        (Policy::MustSecure | Policy::ShouldSecure, false) => 24,
    }
}

/// The SCI that frames are sent with.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TxSci {
    /// The MAC address of the port's device and this port identifier (0 only with the SCB form).
    DeviceMac {
        /// Port identifier.
        port_id: u16,
    },
    /// This one.
    Given(Sci),
}

/// A receive secure channel.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct RxSc {
    /// Whose frames it receives.
    pub sci: Sci,
    /// Its keys, association numbers all different; never empty.
    #[serde(rename = "key")]
    pub sas: Vec<Sa>,
}

/// A key with its association number.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Sa {
    /// Association number, 0 to 3.
    pub an: u8,
    /// The key; its length is that of the suite.
    #[serde(serialize_with = "serialize_sak")]
    pub key: Secret,
    /// Where the key came from.
    pub from: SecretRef,
    /// Salt and SSCI: there with XPN suites, and only there.
    #[serde(flatten)]
    pub xpn: Option<Xpn>,
}

/// What XPN suites need besides the key (802.1AE §10.7.13, §10.7.28).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Xpn {
    /// Short SCI of the sender; unlike that of any other sender with this key.
    pub ssci: u32,
    /// The salt of the nonces. Not secret: with MKA it is made of the key server's member identifier.
    #[serde(serialize_with = "salt_text")]
    pub salt: [u8; 12],
}

fn salt_text<S: Serializer>(salt: &[u8; 12], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&salt.iter().map(|octet| format!("{octet:02x}")).collect::<String>())
}

/// A secure channel identifier (802.1AE §9.9): a MAC address and a port identifier.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Sci {
    /// Address of the system.
    pub mac: MacAddr,
    /// Which of its ports.
    pub port_id: u16,
}

impl Sci {
    /// The eight octets as they stand in a SecTAG.
    pub const fn octets(self) -> [u8; 8] {
        let [a, b, c, d, e, f] = self.mac.0;
        let [g, h] = self.port_id.to_be_bytes();
        [a, b, c, d, e, f, g, h]
    }
}

impl fmt::Display for Sci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mac.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        write!(f, ":{:04x}", self.port_id)
    }
}

impl Serialize for Sci {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text is not an SCI that may be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseSciError {
    /// Not sixteen digits.
    #[error("is not an SCI: 16 hexadecimal digits, the last four may stand behind a colon")]
    Digits,
    /// All ones means "no SCI" (§9.9).
    #[error("is the reserved SCI")]
    Reserved,
    /// The address part belongs to a group.
    #[error("does not begin with the MAC address of one station")]
    Group,
}

impl FromStr for Sci {
    type Err = ParseSciError;

    /// Reads `020000000001:0001`, `0200000000010001`, `02:00:00:00:00:01:00:01` and, as screens and the API write it,
    /// `02:00:00:00:00:01/0001`.
    fn from_str(text: &str) -> Result<Self, ParseSciError> {
        let octets = hex(&text.replacen('/', ":", 1)).ok_or(ParseSciError::Digits)?;
        let &[a, b, c, d, e, f, g, h] = octets.first_chunk::<8>().ok_or(ParseSciError::Digits)?;
        if octets.len() != 8 || text.contains(char::is_whitespace) {
            return Err(ParseSciError::Digits);
        }
        let sci = Self { mac: MacAddr([a, b, c, d, e, f]), port_id: u16::from_be_bytes([g, h]) };
        match sci {
            Self { mac: MacAddr::BROADCAST, port_id: u16::MAX } => Err(ParseSciError::Reserved),
            Self { mac, .. } if mac.is_group() || mac == MacAddr::ZERO => Err(ParseSciError::Group),
            sci => Ok(sci),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sci_is_read_in_four_spellings_and_written_in_one() {
        for text in
            ["0a0000000001:0102", "0A00000000010102", "0a:00:00:00:00:01:01:02", "0a:00:00:00:00:01/0102"]
        {
            let sci: Sci = text.parse().unwrap();
            assert_eq!(sci.to_string(), "0a0000000001:0102");
            assert_eq!(sci.octets(), [0x0a, 0, 0, 0, 0, 1, 1, 2]);
        }
    }

    #[test]
    fn what_is_no_sci_is_refused() {
        use ParseSciError::{Digits, Group, Reserved};
        for (text, why) in [
            ("", Digits),
            ("0a0000000001", Digits),
            ("0a000000000100010001", Digits),
            ("0a0000000001 0001", Digits),
            ("ffffffffffff:ffff", Reserved),
            ("010000000001:0001", Group),
            ("000000000000:0001", Group),
        ] {
            assert_eq!(text.parse::<Sci>(), Err(why), "{text}");
        }
    }
}
