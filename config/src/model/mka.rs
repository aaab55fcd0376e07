//! Key agreement of a channel: IEEE 802.1X-2020 §9 with pre-shared keys.

use core::{fmt, time::Duration};
use std::time::SystemTime;

use net::{EtherType, MacAddr};
use serde::{Serialize, Serializer};

use super::{Cipher, IcvIndicator};
use crate::{
    raw::time::{serialize_moment, serialize_period},
    secret::{Secret, SecretRef, serialize_cak},
};

/// The KaY of a channel.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Mka {
    /// Key Server Priority; 255 never becomes key server.
    pub priority: u8,
    /// Highest version of MKA that is spoken, 1 to 3.
    pub version: u8,
    /// Time between MKPDUs when nothing happens, 100 ms to 1 min.
    #[serde(serialize_with = "serialize_period")]
    pub hello: Duration,
    /// Silence after which a peer is gone; at least three hellos.
    #[serde(serialize_with = "serialize_period")]
    pub life: Duration,
    /// Refuse frames that were delayed.
    pub delay_protect: bool,
    /// Destination address of MKPDUs.
    #[serde(serialize_with = "text")]
    pub destination: MacAddr,
    /// EtherType of MKPDUs.
    #[serde(serialize_with = "number")]
    pub ethertype: EtherType,
    /// Fill up short CKNs with zero octets to 32.
    pub ckn_padding: bool,
    /// Whether an ICV indicator is sent.
    pub icv_indicator: IcvIndicator,
    /// Announce our cipher suites.
    pub announce: bool,
    /// As key server, make a new SAK this often; `None`: only when one is needed.
    #[serde(serialize_with = "optional_period")]
    pub rekey: Option<Duration>,
    /// The longest suspension that a peer is granted; zero: none.
    #[serde(serialize_with = "serialize_period")]
    pub suspension_limit: Duration,
    /// Cipher suites that may be used, the one we like best first, all different; never empty.
    pub ciphers: Vec<Cipher>,
    /// The keys in the order of the file, CKNs all different, at most one fallback; never empty.
    #[serde(rename = "key")]
    pub keys: Vec<MkaKey>,
}

/// A CAK and its name.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct MkaKey {
    /// Its name.
    pub ckn: Ckn,
    /// The CAK, 16 or 32 octets.
    #[serde(serialize_with = "serialize_cak")]
    pub cak: Secret,
    /// Where the CAK came from.
    pub from: SecretRef,
    /// When it starts; `None`: before every key that has a start.
    #[serde(serialize_with = "serialize_moment")]
    pub start: Option<SystemTime>,
    /// When it ends, if it does; later than `start`.
    #[serde(serialize_with = "serialize_moment")]
    pub end: Option<SystemTime>,
    /// Used only when no other key has a peer.
    pub fallback: bool,
}

/// The name of a CAK: 1 to 32 octets, compared as they are. Not secret, it travels in clear.
#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ckn(Box<[u8]>);

impl Ckn {
    /// The name of these octets, 1 to 32 of them.
    pub(crate) fn new(octets: &[u8]) -> Self {
        Self(octets.into())
    }

    /// Its octets, 1 to 32.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Ckn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Ckn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ckn({self})")
    }
}

impl Serialize for Ckn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn text<S: Serializer>(address: &MacAddr, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(address)
}

fn number<S: Serializer>(ethertype: &EtherType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(ethertype.get())
}

fn optional_period<S: Serializer>(lasting: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match lasting {
        Some(lasting) => serialize_period(lasting, serializer),
        None => serializer.serialize_none(),
    }
}
