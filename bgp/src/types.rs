//! The small vocabulary every other module speaks: AS numbers, identifiers, address families.

use core::{fmt, net::Ipv4Addr, num::NonZeroU32};
use net::IpNet;

/// An autonomous system number, always four octets wide here (RFC 6793).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Asn(pub u32);

impl Asn {
    /// What stands in two-octet fields for a number that does not fit (RFC 6793 section 3).
    pub const TRANS: Self = Self(23456);

    /// The number for a two-octet field: itself, or [`Asn::TRANS`] when it does not fit.
    pub fn two_octets(self) -> u16 {
        u16::try_from(self.0).unwrap_or(23456)
    }

    /// Reserved for private use (RFC 6996).
    pub const fn is_private(self) -> bool {
        matches!(self.0, 64512..=65534 | 4_200_000_000..=4_294_967_294)
    }

    /// Zero, which RFC 7607 forbids everywhere.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A BGP Identifier: four octets, not zero, unique within its AS (RFC 6286 section 2.1).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RouterId(NonZeroU32);

impl RouterId {
    /// `address` as an identifier; `None` for 0.0.0.0.
    pub fn new(address: Ipv4Addr) -> Option<Self> {
        NonZeroU32::new(address.to_bits()).map(Self)
    }

    /// The number that collision resolution and tie-breaking compare.
    pub const fn bits(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ipv4Addr::from_bits(self.0.get()).fmt(f)
    }
}

/// The address families this speaker exchanges: unicast of IPv4 and IPv6 (RFC 4760).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Family {
    /// AFI 1, SAFI 1.
    Ipv4,
    /// AFI 2, SAFI 1.
    Ipv6,
}

impl Family {
    /// Both, in the order in which everything is done.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The family of `prefix`.
    pub const fn of(prefix: &IpNet) -> Self {
        match prefix {
            IpNet::V4(_) => Self::Ipv4,
            IpNet::V6(_) => Self::Ipv6,
        }
    }

    /// The pair of numbers on the wire.
    pub const fn code(self) -> AfiSafi {
        match self {
            Self::Ipv4 => AfiSafi { afi: 1, safi: 1 },
            Self::Ipv6 => AfiSafi { afi: 2, safi: 1 },
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        })
    }
}

/// An address family as the wire names it, known to us or not.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AfiSafi {
    /// Address family identifier: 1 is IPv4, 2 is IPv6.
    pub afi: u16,
    /// Subsequent address family identifier: 1 is unicast.
    pub safi: u8,
}

impl AfiSafi {
    /// The family we know by these numbers.
    pub fn family(self) -> Option<Family> {
        Family::ALL.into_iter().find(|family| family.code() == self)
    }
}

/// One value for each family.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct PerFamily<T> {
    /// For IPv4 unicast.
    pub ipv4: T,
    /// For IPv6 unicast.
    pub ipv6: T,
}

impl<T> PerFamily<T> {
    /// The value of `family`.
    pub const fn of(&self, family: Family) -> &T {
        match family {
            Family::Ipv4 => &self.ipv4,
            Family::Ipv6 => &self.ipv6,
        }
    }

    /// The value of `family`, to change.
    pub const fn of_mut(&mut self, family: Family) -> &mut T {
        match family {
            Family::Ipv4 => &mut self.ipv4,
            Family::Ipv6 => &mut self.ipv6,
        }
    }

    /// The values in the order of [`Family::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Family, &T)> {
        [(Family::Ipv4, &self.ipv4), (Family::Ipv6, &self.ipv6)].into_iter()
    }
}

impl<T: Copy> PerFamily<T> {
    /// The same value for both.
    pub const fn both(value: T) -> Self {
        Self { ipv4: value, ipv6: value }
    }
}

/// A small deterministic source of jitter (SplitMix64): the same seed, the same run.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `base` times something between 0.75 and 1.0 (RFC 4271 section 10).
    pub(crate) fn shorten(&mut self, base: core::time::Duration) -> core::time::Duration {
        let quarter = u32::try_from(self.next() % 251).unwrap_or(0);
        base.saturating_mul(750_u32.saturating_add(quarter)) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn a_wide_number_becomes_as_trans_in_two_octets() {
        assert_eq!(Asn(65001).two_octets(), 65001);
        assert_eq!(u32::from(Asn(65536).two_octets()), Asn::TRANS.0);
    }

    #[test]
    fn an_identifier_is_never_zero() {
        assert_eq!(RouterId::new(Ipv4Addr::UNSPECIFIED), None);
        assert_eq!(RouterId::new(Ipv4Addr::new(192, 0, 2, 1)).unwrap().to_string(), "192.0.2.1");
    }

    // RFC 4271 section 10: jitter multiplies by a random factor between 0.75 and 1.0.
    #[test]
    fn jitter_only_shortens_and_by_a_quarter_at_most() {
        let mut jitter = Jitter::new(7);
        for _ in 0..1000 {
            let d = jitter.shorten(Duration::from_secs(4));
            assert!(d >= Duration::from_secs(3) && d <= Duration::from_secs(4), "{d:?}");
        }
    }
}
