//! Communities: RFC 1997, RFC 8092 (large), RFC 4360 (extended), and the well-known ones we act on.

use core::{fmt, num::ParseIntError, str::FromStr};

/// A community (RFC 1997), usually read as `AS:value`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Community(pub u32);

impl Community {
    /// Must not leave this AS (RFC 1997).
    pub const NO_EXPORT: Self = Self(0xffff_ff01);
    /// Must not be told to anybody (RFC 1997).
    pub const NO_ADVERTISE: Self = Self(0xffff_ff02);
    /// Must not leave this member AS (RFC 1997).
    pub const NO_EXPORT_SUBCONFED: Self = Self(0xffff_ff03);
    /// The sender is about to go away: use something else (RFC 8326).
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xffff_0000);
    /// Drop traffic to this prefix (RFC 7999).
    pub const BLACKHOLE: Self = Self(0xffff_029a);

    /// `asn:value`.
    pub fn new(asn: u16, value: u16) -> Self {
        Self((u32::from(asn) << 16) | u32::from(value))
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NO_EXPORT => f.write_str("no-export"),
            Self::NO_ADVERTISE => f.write_str("no-advertise"),
            Self::NO_EXPORT_SUBCONFED => f.write_str("no-export-subconfed"),
            Self::GRACEFUL_SHUTDOWN => f.write_str("graceful-shutdown"),
            Self::BLACKHOLE => f.write_str("blackhole"),
            Self(bits) => write!(f, "{}:{}", bits >> 16, bits & 0xffff),
        }
    }
}

/// Text that is not a community.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a community: expected numbers joined by colons, or the name of a well-known community")]
pub struct ParseCommunityError;

impl From<ParseIntError> for ParseCommunityError {
    fn from(_: ParseIntError) -> Self {
        Self
    }
}

impl FromStr for Community {
    type Err = ParseCommunityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "no-export" => return Ok(Self::NO_EXPORT),
            "no-advertise" => return Ok(Self::NO_ADVERTISE),
            "no-export-subconfed" => return Ok(Self::NO_EXPORT_SUBCONFED),
            "graceful-shutdown" => return Ok(Self::GRACEFUL_SHUTDOWN),
            "blackhole" => return Ok(Self::BLACKHOLE),
            _ => {}
        }
        let (asn, value) = text.split_once(':').ok_or(ParseCommunityError)?;
        Ok(Self::new(asn.parse()?, value.parse()?))
    }
}

/// A large community (RFC 8092).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LargeCommunity {
    /// Who gives it a meaning: an AS number.
    pub global: u32,
    /// First operator-defined part.
    pub local1: u32,
    /// Second operator-defined part.
    pub local2: u32,
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.global, self.local1, self.local2)
    }
}

impl FromStr for LargeCommunity {
    type Err = ParseCommunityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, ':');
        let mut part = || parts.next().ok_or(ParseCommunityError)?.parse().map_err(ParseCommunityError::from);
        Ok(Self { global: part()?, local1: part()?, local2: part()? })
    }
}

/// An extended community (RFC 4360): eight octets, the first says how to read them.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ExtendedCommunity(pub [u8; 8]);

impl ExtendedCommunity {
    /// Crosses AS borders: the T bit is zero (RFC 4360 section 2).
    pub const fn is_transitive(self) -> bool {
        self.0[0] & 0x40 == 0
    }

    /// Octets per second that the sender can carry, when this is a link bandwidth community
    /// (draft-ietf-idr-link-bandwidth: type 0x40 or 0x00, subtype 4, an IEEE 754 single).
    pub fn link_bandwidth(self) -> Option<u64> {
        let [kind, subtype, _, _, a, b, c, d] = self.0;
        let bits = u32::from_be_bytes([a, b, c, d]);
        let negative = bits >> 31 == 1;
        let (exponent, mantissa) = ((bits >> 23) & 0xff, u64::from(bits & 0x7f_ffff | 0x80_0000));
        if !matches!((kind, subtype), (0x40 | 0x00, 4)) || negative || exponent == 0xff {
            return None;
        }
        // The value is mantissa times two to the power of (exponent - 127 - 23).
        match exponent.checked_sub(150) {
            Some(up) if up < 40 => Some(mantissa << up),
            Some(_) => None,
            None => Some(mantissa.checked_shr(150_u32.saturating_sub(exponent)).unwrap_or(0)),
        }
    }
}

impl fmt::Display for ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kind, subtype, a, b, c, d, e, g] = self.0;
        match (kind, subtype) {
            (0x00 | 0x40, sub) => {
                write!(f, "{}:{}:{}", name(sub), u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, g]))
            }
            // RFC 5668: four-octet AS specific.
            (0x02 | 0x42, sub) => {
                write!(f, "{}:{}:{}", name(sub), u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, g]))
            }
            _ => write!(f, "generic:{:016x}", u64::from_be_bytes(self.0)),
        }
    }
}

fn name(subtype: u8) -> &'static str {
    match subtype {
        2 => "target",
        3 => "origin",
        4 => "bandwidth",
        _ => "as",
    }
}

impl fmt::Debug for ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExtendedCommunity({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_value_agree() {
        for text in ["7224:7100", "65535:1", "no-export", "graceful-shutdown", "blackhole", "no-advertise"] {
            assert_eq!(text.parse::<Community>().unwrap().to_string(), text);
        }
        assert_eq!("4200000000:1:2".parse::<LargeCommunity>().unwrap().to_string(), "4200000000:1:2");
        for text in ["", "1", "1:2:3", "65536:1", "a:b", "1:-2"] {
            assert_eq!(text.parse::<Community>(), Err(ParseCommunityError), "{text}");
        }
        for text in ["1:2", "1:2:3:4", "4294967296:1:1"] {
            assert!(text.parse::<LargeCommunity>().is_err(), "{text}");
        }
    }

    // RFC 8326 section 4.1, RFC 7999 section 3.4, RFC 1997.
    #[test]
    fn well_known_values_are_the_registered_ones() {
        assert_eq!(Community::GRACEFUL_SHUTDOWN, Community::new(65535, 0));
        assert_eq!(Community::BLACKHOLE, Community::new(65535, 666));
        assert_eq!(Community::NO_EXPORT, Community::new(65535, 65281));
    }

    #[test]
    fn link_bandwidth_is_read_from_its_float() {
        let with = |value: f32| {
            let [a, b, c, d] = value.to_bits().to_be_bytes();
            ExtendedCommunity([0x40, 4, 0xfd, 0xe9, a, b, c, d]).link_bandwidth()
        };
        assert_eq!(with(125_000_000.0), Some(125_000_000)); // 1 Gbit/s
        assert_eq!(with(0.4), Some(0));
        assert_eq!(with(1.0), Some(1));
        assert_eq!(with(-1.0), None);
        assert_eq!(with(f32::INFINITY), None);
        assert_eq!(with(f32::MAX), None);
        assert_eq!(ExtendedCommunity([0, 2, 0, 1, 0, 0, 0, 1]).link_bandwidth(), None);
    }
}
