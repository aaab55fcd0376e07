//! Differentiated services code points (RFC 2474 §3): six bits in which a packet says what it wants of the network.
//!
//! They share an octet with the two bits of ECN (RFC 3168 §5): the TOS of IPv4, the traffic class of IPv6. People know
//! the code points by names, which are those of the IANA registry "DSCP"; a number works for every one.

use core::{fmt, str::FromStr};

/// A code point, 0 to 63.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Dscp(u8);

impl Dscp {
    /// The default, best effort (RFC 2474 §4.1).
    pub const BEST_EFFORT: Self = Self(0);
    /// Class selector 6: network control, as routing protocols (RFC 4594 §3.1).
    pub const CS6: Self = Self(48);
    /// All that have a name, with it, by their number.
    pub const NAMED: [(&'static str, Self); 23] = [
        ("CS0", Self(0)),
        ("LE", Self(1)),
        ("CS1", Self(8)),
        ("AF11", Self(10)),
        ("AF12", Self(12)),
        ("AF13", Self(14)),
        ("CS2", Self(16)),
        ("AF21", Self(18)),
        ("AF22", Self(20)),
        ("AF23", Self(22)),
        ("CS3", Self(24)),
        ("AF31", Self(26)),
        ("AF32", Self(28)),
        ("AF33", Self(30)),
        ("CS4", Self(32)),
        ("AF41", Self(34)),
        ("AF42", Self(36)),
        ("AF43", Self(38)),
        ("CS5", Self(40)),
        ("VOICE-ADMIT", Self(44)),
        ("EF", Self(46)),
        ("CS6", Self::CS6),
        ("CS7", Self(56)),
    ];

    /// The code point with this number; `None` beyond 63.
    pub const fn new(number: u8) -> Option<Self> {
        if number < 64 { Some(Self(number)) } else { None }
    }

    /// Of the octet that it shares with ECN.
    pub const fn of_octet(octet: u8) -> Self {
        Self(octet >> 2)
    }

    /// Of an IP packet, from its IP header on; `None` when it is none.
    #[inline]
    pub fn of(packet: &[u8]) -> Option<Self> {
        match *packet {
            [first, second, ..] if first >> 4 == 4 => Some(Self::of_octet(second)),
            // RFC 8200 §3: four bits of the version, eight of the traffic class.
            [first, second, ..] if first >> 4 == 6 => Some(Self::of_octet(first << 4 | second >> 4)),
            _ => None,
        }
    }

    /// Its number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The octet that carries it, with the bits of ECN 0 (Not-ECT, RFC 3168 §5).
    pub const fn octet(self) -> u8 {
        self.0 << 2
    }

    /// Its name, if it has one.
    pub fn name(self) -> Option<&'static str> {
        Self::NAMED.iter().find(|(_, one)| *one == self).map(|(name, _)| *name)
    }
}

impl fmt::Display for Dscp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

/// The text is no name of a code point.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownDscp;

/// By name, in letters of any size.
impl FromStr for Dscp {
    type Err = UnknownDscp;

    fn from_str(text: &str) -> Result<Self, UnknownDscp> {
        let found = Self::NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        found.map(|(_, one)| *one).ok_or(UnknownDscp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_rfcs() {
        // RFC 2474 §4.2.2: class selector n is 8n. RFC 2597 §6: AFxy is 8x + 2y. RFC 3246, RFC 5865, RFC 8622: EF, VOICE-ADMIT, LE.
        for n in 0..8 {
            assert_eq!(format!("CS{n}").parse(), Ok(Dscp(8 * n)));
        }
        for (x, y) in (1..=4).flat_map(|x| (1..=3).map(move |y| (x, y))) {
            assert_eq!(format!("AF{x}{y}").parse(), Ok(Dscp(8 * x + 2 * y)));
        }
        for (name, number) in [("EF", 46), ("ef", 46), ("VOICE-ADMIT", 44), ("LE", 1)] {
            assert_eq!(name.parse(), Ok(Dscp(number)), "{name}");
        }
        for wrong in ["", "AF14", "AF51", "CS8", "EF ", "46"] {
            assert_eq!(wrong.parse::<Dscp>(), Err(UnknownDscp), "{wrong}");
        }
        assert!(Dscp::NAMED.is_sorted_by(|(_, a), (_, b)| a < b));
    }

    #[test]
    fn rfc_2474_3_six_bits_of_an_octet_in_either_family() {
        for number in 0..64 {
            let (dscp, ecn) = (Dscp::new(number).unwrap(), 0b11);
            let octet = dscp.octet() | ecn;
            assert_eq!(Dscp::of(&[0x45, octet, 0, 20]), Some(dscp));
            assert_eq!(Dscp::of(&[0x60 | octet >> 4, octet << 4 | 0xf, 0xff, 0xff]), Some(dscp));
            let shown = dscp.to_string();
            assert!(shown.parse() == Ok(dscp) || shown == number.to_string(), "{shown}");
        }
        assert_eq!(Dscp::new(64), None);
        for other in [&[][..], &[0x45], &[0x60], &[0x15, 0xff], &[0xf5, 0xff]] {
            assert_eq!(Dscp::of(other), None, "{other:?}");
        }
    }
}
