//! Announcement (802.1X-2020 §11.12): type-length-values, of which MKA needs the cipher suites one.

use net::{Malformed, Reader, Writer};

use super::{MacsecCapability, RawSet, kind, put_set};
use crate::suite::CipherSuite;

/// The Announcement parameter set.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Announcement {
    /// Its TLVs, in the order they came.
    pub tlvs: Vec<Tlv>,
}

/// One TLV.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Tlv {
    /// MACsec Cipher Suites (type 112).
    CipherSuites(Vec<SuiteOffer>),
    /// Any other.
    Other {
        /// Its type, 0..=127.
        kind: u8,
        /// Its value, at most 511 octets.
        value: Vec<u8>,
    },
}

/// A cipher suite that a member has, and what it can do with it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SuiteOffer {
    /// Integrity, confidentiality, offsets.
    pub capability: MacsecCapability,
    /// The suite's identifier, which need not be one we know.
    pub id: u64,
}

/// TLV type of the cipher suites (Table 11-8).
const CIPHER_SUITES: u8 = 112;

impl Announcement {
    /// One that offers these suites, best first.
    pub fn offering(suites: &[CipherSuite], capability: MacsecCapability) -> Self {
        let offer = |suite: &CipherSuite| SuiteOffer {
            // Trap 29: the XPN suites have no offsets.
            capability: if suite.is_xpn() {
                capability.min(MacsecCapability::Confidentiality)
            } else {
                capability
            },
            id: suite.id(),
        };
        Self { tlvs: vec![Tlv::CipherSuites(suites.iter().map(offer).collect())] }
    }

    /// What is offered; `None` when the announcement is about something else.
    pub fn offers(&self) -> Option<&[SuiteOffer]> {
        self.tlvs.iter().find_map(|tlv| match tlv {
            Tlv::CipherSuites(offers) => Some(offers.as_slice()),
            Tlv::Other { .. } => None,
        })
    }

    pub(super) fn parse(set: &RawSet<'_>) -> Result<Self, Malformed> {
        let (mut body, mut tlvs) = (Reader::new(set.body), Vec::new());
        while !body.is_empty() {
            let head = body.u16()?;
            let [kind, _] = (head >> 1).to_be_bytes();
            let kind = kind & 0x7f;
            let value = body.take(usize::from(head & 0x01ff))?;
            tlvs.push(Tlv::parse(kind, value)?);
        }
        Ok(Self { tlvs })
    }

    pub(super) fn emit(&self, out: &mut Writer) {
        let mut body = Writer::new();
        for tlv in &self.tlvs {
            tlv.emit(&mut body);
        }
        put_set(out, kind::ANNOUNCEMENT, 0, 0, body.as_slice());
    }
}

impl Tlv {
    fn parse(kind: u8, value: &[u8]) -> Result<Self, Malformed> {
        if kind != CIPHER_SUITES {
            return Ok(Self::Other { kind, value: value.to_vec() });
        }
        let (mut value, mut offers) = (Reader::new(value), Vec::new());
        while !value.is_empty() {
            let [_, low] = value.array()?;
            offers.push(SuiteOffer { capability: MacsecCapability::from_bits(low), id: value.u64()? });
        }
        Ok(Self::CipherSuites(offers))
    }

    fn emit(&self, out: &mut Writer) {
        let (kind, value) = match self {
            Self::CipherSuites(offers) => {
                let mut value = Writer::new();
                for offer in offers {
                    value.put(&[0, offer.capability.bits()]);
                    value.u64(offer.id);
                }
                (CIPHER_SUITES, value.into_vec())
            }
            Self::Other { kind, value } => (*kind, value.clone()),
        };
        let value = value.get(..value.len().min(0x01ff)).unwrap_or_default();
        let len = u16::try_from(value.len()).unwrap_or_default();
        out.u16(u16::from(kind & 0x7f) << 9 | len);
        out.put(value);
    }
}

net::carry!(SuiteOffer { capability, id });
