//! Distributed SAK (802.1X-2020 Figures 11-11 and 11-12): a SAK from the key server, wrapped under the KEK.
//!
//! Its body is empty (do without MACsec), 28 octets (GCM-AES-128 without saying so), or names the suite and has
//! 36 or 52 octets (trap 12).

use net::{Malformed, Reader, Writer};

use super::{RawSet, kind, put_set};
use crate::{
    an::An,
    suite::{CipherSuite, ConfidentialityOffset},
};

/// How much of a frame is encrypted.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Confidentiality {
    /// Nothing: integrity only.
    #[default]
    IntegrityOnly,
    /// User data from this offset on.
    From(ConfidentialityOffset),
}

impl Confidentiality {
    const fn from_bits(bits: u8) -> Self {
        match bits & 0x03 {
            0 => Self::IntegrityOnly,
            1 => Self::From(ConfidentialityOffset::Zero),
            2 => Self::From(ConfidentialityOffset::Thirty),
            _ => Self::From(ConfidentialityOffset::Fifty),
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::IntegrityOnly => 0,
            Self::From(ConfidentialityOffset::Zero) => 1,
            Self::From(ConfidentialityOffset::Thirty) => 2,
            Self::From(ConfidentialityOffset::Fifty) => 3,
        }
    }

    /// Whether anything is encrypted.
    pub const fn encrypts(self) -> bool {
        matches!(self, Self::From(_))
    }

    /// The offset, 0 for integrity only.
    pub const fn offset(self) -> ConfidentialityOffset {
        match self {
            Self::IntegrityOnly => ConfidentialityOffset::Zero,
            Self::From(offset) => offset,
        }
    }
}

/// The Distributed SAK parameter set.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DistributedSak {
    /// Association number for the SAs of this key.
    pub an: An,
    /// Confidentiality Offset.
    pub confidentiality: Confidentiality,
    /// The key; `None` when the key server says to do without MACsec.
    pub key: Option<DistributedKey>,
}

/// A wrapped SAK.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DistributedKey {
    /// Key number (KN).
    pub number: u32,
    /// Identifier of the cipher suite; `None` for GCM-AES-128 in the short form.
    pub suite: Option<u64>,
    /// The SAK under AES Key Wrap.
    pub wrapped: Vec<u8>,
}

impl DistributedKey {
    /// The suite, unless its identifier is not one of the four.
    pub fn cipher_suite(&self) -> Option<CipherSuite> {
        self.suite.map_or(Some(CipherSuite::GcmAes128), CipherSuite::from_id)
    }

    /// How the suite is named when we send: the default one not at all.
    pub(crate) fn suite_field(suite: CipherSuite) -> Option<u64> {
        (suite != CipherSuite::GcmAes128).then_some(suite.id())
    }
}

/// Octets of the short form's body, and of the least the long form can have.
const SHORT: usize = 4 + 24;
const LONG: usize = 4 + 8 + 24;

impl DistributedSak {
    pub(super) fn parse(set: &RawSet<'_>) -> Result<Self, Malformed> {
        let mut body = Reader::new(set.body);
        let key = match set.body.len() {
            0 => None,
            SHORT => Some(DistributedKey { number: body.u32()?, suite: None, wrapped: body.rest().to_vec() }),
            LONG.. => {
                let (number, suite) = (body.u32()?, Some(body.u64()?));
                Some(DistributedKey { number, suite, wrapped: body.rest().to_vec() })
            }
            _ => return Err(Malformed),
        };
        let confidentiality = Confidentiality::from_bits(set.second >> 4);
        Ok(Self { an: An::from_low_bits(set.second >> 6), confidentiality, key })
    }

    pub(super) fn emit(&self, out: &mut Writer) {
        let mut body = Writer::new();
        if let Some(key) = &self.key {
            body.u32(key.number);
            if let Some(suite) = key.suite {
                body.u64(suite);
            }
            body.put(&key.wrapped);
        }
        let bits = self.an.get() << 6 | self.confidentiality.bits() << 4;
        put_set(out, kind::DISTRIBUTED_SAK, bits, 0, body.as_slice());
    }
}

impl net::carry::Carry for Confidentiality {
    fn pack(&self, out: &mut net::carry::Parcel) {
        self.bits().pack(out);
    }

    fn unpack(from: &mut net::carry::Opened<'_>) -> Option<Self> {
        u8::unpack(from).map(Self::from_bits)
    }
}
