//! The basic parameter set (802.1X-2020 Figure 11-8): who speaks, in which role, under which CAK.

use core::fmt;

use net::{Malformed, Reader, Writer};

use super::{HEADER_LEN, RawSet, put_set};
use crate::{key::Ckn, sci::Sci};

/// Member identifier (MI): 96 random bits, new at every start of a participant (§9.4.2).
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MemberId(pub [u8; 12]);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a member's SecY can do (Table 11-6). Each includes the ones before it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum MacsecCapability {
    /// No MACsec.
    NotImplemented,
    /// Integrity only.
    Integrity,
    /// Integrity, and confidentiality of all user data.
    Confidentiality,
    /// Also confidentiality with offsets 30 and 50.
    #[default]
    Offsets,
}

impl MacsecCapability {
    /// From two bits; upper bits do not matter.
    pub(crate) const fn from_bits(bits: u8) -> Self {
        match bits & 0x03 {
            0 => Self::NotImplemented,
            1 => Self::Integrity,
            2 => Self::Confidentiality,
            _ => Self::Offsets,
        }
    }

    /// Its two bits.
    pub(crate) const fn bits(self) -> u8 {
        match self {
            Self::NotImplemented => 0,
            Self::Integrity => 1,
            Self::Confidentiality => 2,
            Self::Offsets => 3,
        }
    }
}

/// The basic parameter set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Basic {
    /// MKA version the sender speaks; 1 to 3 are known.
    pub version: u8,
    /// Key Server Priority: 0 is the most eager, 255 never becomes key server.
    pub priority: u8,
    /// Key Server: the sender is, or may become, the key server.
    pub key_server: bool,
    /// MACsec Desired.
    pub macsec_desired: bool,
    /// MACsec Capability.
    pub capability: MacsecCapability,
    /// The sender's SCI.
    pub sci: Sci,
    /// The sender's member identifier.
    pub member: MemberId,
    /// Message number (MN): rises with every MKPDU of a member identifier.
    pub message: u32,
    /// Algorithm agility: which key hierarchy and ICV ([`Self::AGILITY`] is the only one there is).
    pub agility: u32,
    /// Name of the CAK.
    pub ckn: Ckn,
}

impl Basic {
    /// Table 9-1's only row.
    pub const AGILITY: u32 = 0x0080_c201;

    /// Octets of the body before the CKN.
    const FIXED_LEN: usize = 28;

    /// That of an MKPDU, without looking at anything else.
    pub(super) fn peek(sets: &[u8]) -> Result<Self, Malformed> {
        Self::parse(&RawSet::read(&mut Reader::new(sets))?)
    }

    pub(super) fn parse(set: &RawSet<'_>) -> Result<Self, Malformed> {
        let mut body = Reader::new(set.body);
        Ok(Self {
            version: set.kind,
            priority: set.second,
            key_server: set.third & 0x80 != 0,
            macsec_desired: set.third & 0x40 != 0,
            capability: MacsecCapability::from_bits(set.third >> 4),
            sci: Sci::from_octets(body.array()?),
            member: MemberId(body.array()?),
            message: body.u32()?,
            agility: body.u32()?,
            // Trap 21: none, or more than 32 octets, is no name.
            ckn: Ckn::new(body.rest()).map_err(|_| Malformed)?,
        })
    }

    pub(super) fn emit(&self, out: &mut Writer) {
        let mut body = Writer::new();
        body.put(&self.sci.octets());
        body.put(&self.member.0);
        body.u32(self.message);
        body.u32(self.agility);
        body.put(self.ckn.octets());
        let third =
            u8::from(self.key_server) << 7 | u8::from(self.macsec_desired) << 6 | self.capability.bits() << 4;
        put_set(out, self.version, self.priority, third, body.as_slice());
    }
}

const _: () = assert!(HEADER_LEN + Basic::FIXED_LEN == 32, "an MKPDU has at least 32 octets (§11.11.2)");

net::carry!(MemberId(_));
net::carry!(MacsecCapability = NotImplemented 0, Integrity 1, Confidentiality 2, Offsets 3);
