//! MAC addresses (IEEE 802-2014 §8.2): six octets, printed in lower-case hexadecimal with colons.

use core::{fmt, str::FromStr};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// An EUI-48 MAC address in wire order.
#[derive(
    Clone,
    Copy,
    Default,
    Eq,
    Hash,
    Ord,
    PartialEq,
    PartialOrd,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(transparent)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// All stations: `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// The unspecified address, used in ARP requests.
    pub const ZERO: Self = Self([0; 6]);
    /// Nearest non-TPMR bridge group address, the PAE group (802.1X Table 11-1), default for MKA.
    pub const PAE_GROUP: Self = Self([0x01, 0x80, 0xc2, 0x00, 0x00, 0x03]);

    /// Group bit (I/G): true for multicast and broadcast.
    pub const fn is_group(self) -> bool {
        let [first, ..] = self.0;
        first & 0x01 != 0
    }

    /// True for `01:80:c2:00:00:0X`, which no bridge forwards (802.1Q Table 8-1).
    pub const fn is_link_local_group(self) -> bool {
        matches!(self.0, [0x01, 0x80, 0xc2, 0x00, 0x00, last] if last <= 0x0f)
    }

    /// The Ethernet address of an IPv4 multicast group (RFC 1112 §6.4).
    pub const fn from_ipv4_group(group: core::net::Ipv4Addr) -> Self {
        let [_, b, c, d] = group.octets();
        Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
    }

    /// The Ethernet address of an IPv6 multicast group (RFC 2464 §7).
    pub const fn from_ipv6_group(group: core::net::Ipv6Addr) -> Self {
        let [.., a, b, c, d] = group.octets();
        Self([0x33, 0x33, a, b, c, d])
    }

    /// The IPv6 link-local address with the modified EUI-64 of this address (RFC 4291 Appendix A).
    pub const fn link_local(self) -> core::net::Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        core::net::Ipv6Addr::from_octets([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 0x02, b, c, 0xff, 0xfe, d, e, f])
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not six pairs of hexadecimal digits joined by `:` or `-`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a MAC address is six pairs of hexadecimal digits, such as 02:00:5e:10:00:01")]
pub struct ParseMacError;

impl FromStr for MacAddr {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let mut octets = [0u8; 6];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
            *octet = part.and_then(|p| u8::from_str_radix(p, 16).ok()).ok_or(ParseMacError)?;
        }
        if parts.next().is_some() { Err(ParseMacError) } else { Ok(Self(octets)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_nonsense_is_refused() {
        let mac: MacAddr = "02:00:5e:10:00:AB".parse().unwrap();
        assert_eq!(mac.to_string(), "02:00:5e:10:00:ab");
        for bad in [
            "",
            "02:00:5e:10:00",
            "02:00:5e:10:00:ab:cd",
            "2:0:5e:10:0:ab",
            "+2:00:5e:10:00:ab",
            "zz:00:5e:10:00:ab",
        ] {
            assert_eq!(bad.parse::<MacAddr>(), Err(ParseMacError), "{bad}");
        }
    }

    #[test]
    fn groups_map_to_their_ethernet_addresses() {
        // RFC 1112 §6.4 drops the ninth bit; RFC 2464 §7 keeps the last four octets.
        assert_eq!(MacAddr::from_ipv4_group([239, 129, 2, 3].into()).to_string(), "01:00:5e:01:02:03");
        let solicited = "ff02::1:ff28:9c5a".parse().unwrap();
        assert_eq!(MacAddr::from_ipv6_group(solicited).to_string(), "33:33:ff:28:9c:5a");
        assert!(MacAddr::PAE_GROUP.is_group() && MacAddr::PAE_GROUP.is_link_local_group());
        assert_eq!(
            "02:00:5e:10:00:01".parse::<MacAddr>().unwrap().link_local().to_string(),
            "fe80::5eff:fe10:1"
        );
    }
}
