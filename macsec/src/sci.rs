//! Secure channel identifiers (802.1AE-2018 §7.1.2, §9.9) and their short form for XPN (§10.7.13).
//!
//! An [`Sci`] is a MAC address and a port number; it names one transmitter's secure channel. Under the
//! XPN suites a 32-bit [`Ssci`] stands for it in the nonce; everybody who shares a SAK derives the same
//! SSCIs from the same set of SCIs. The all-ones SCI is reserved and names nobody.

use core::{fmt, str::FromStr};

use net::MacAddr;

/// A secure channel identifier: the transmitter's MAC address, then a port number.
///
/// Text form: `02:00:5e:10:00:01/0001` (port in hexadecimal); parsing also takes `:` before the port and
/// the 16 hexadecimal digits alone, as Linux prints it.
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Sci(u64);

impl Sci {
    /// All ones: reserved, means "none" (§9.9).
    pub const RESERVED: Self = Self(u64::MAX);
    /// The port number an end station has without saying so: ES set, SCB clear (§9.9).
    pub const END_STATION_PORT: u16 = 0x0001;
    /// The port number of an EPON single-copy broadcast channel: SCB set (§9.9).
    pub const SCB_PORT: u16 = 0x0000;

    /// The SCI of this address and port number.
    pub const fn new(mac: MacAddr, port: u16) -> Self {
        let [a, b, c, d, e, f] = mac.0;
        let [g, h] = port.to_be_bytes();
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// The SCI whose eight octets, in wire order, are this number in big-endian order.
    pub const fn from_u64(value: u64) -> Self {
        Self(value)
    }

    /// The eight octets as a number; SSCIs are assigned by its order.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The SCI with these eight octets in wire order.
    pub const fn from_octets(octets: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(octets))
    }

    /// The eight octets in wire order.
    pub const fn octets(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// The MAC address in it.
    pub const fn mac(self) -> MacAddr {
        let [a, b, c, d, e, f, _, _] = self.octets();
        MacAddr([a, b, c, d, e, f])
    }

    /// The port number in it.
    pub const fn port(self) -> u16 {
        let [.., g, h] = self.octets();
        u16::from_be_bytes([g, h])
    }
}

impl From<u64> for Sci {
    fn from(value: u64) -> Self {
        Self(value)
    }
}

impl From<Sci> for u64 {
    fn from(sci: Sci) -> Self {
        sci.0
    }
}

impl fmt::Display for Sci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:04x}", self.mac(), self.port())
    }
}

impl fmt::Debug for Sci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an SCI.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an SCI is 16 hexadecimal digits, or a MAC address and four of them, such as 02:00:5e:10:00:01/0001")]
pub struct ParseSciError;

impl FromStr for Sci {
    type Err = ParseSciError;

    fn from_str(text: &str) -> Result<Self, ParseSciError> {
        if let Some(value) = hexadecimal(text, 16) {
            return Ok(Self(value));
        }
        let (mac, port) = text.rsplit_once(['/', ':']).ok_or(ParseSciError)?;
        let mac = mac.parse().map_err(|_| ParseSciError)?;
        let port = hexadecimal(port, 4).and_then(|port| u16::try_from(port).ok()).ok_or(ParseSciError)?;
        Ok(Self::new(mac, port))
    }
}

/// Exactly `digits` hexadecimal digits and nothing else (no sign, which `from_str_radix` would take).
fn hexadecimal(text: &str, digits: usize) -> Option<u64> {
    let plain = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    u64::from_str_radix(text, 16).ok().filter(|_| plain)
}

/// Short secure channel identifier: stands for the SCI in the nonce of the XPN suites (§14.7).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ssci(pub u32);

impl Ssci {
    /// The SSCI of `sci` among all the SCIs that share one SAK, itself included: the numerically greatest
    /// gets 1, the next 2 (§10.7.13). `None` when `sci` is not among them.
    ///
    /// Both ends must pass the same set, in any order; a repeated SCI counts once.
    pub fn assign(sci: Sci, sharing: &[Sci]) -> Option<Self> {
        let greater: std::collections::BTreeSet<Sci> =
            sharing.iter().copied().filter(|&other| other >= sci).collect();
        let rank = u32::try_from(greater.len()).ok()?;
        greater.contains(&sci).then_some(Self(rank))
    }
}

impl fmt::Display for Ssci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

net::carry!(Sci(_));
net::carry!(Ssci(_));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sci_reads_and_prints_its_two_forms() {
        let sci = Sci::new(MacAddr([2, 0, 0x5e, 0x10, 0, 1]), 0x002a);
        assert_eq!(sci.to_string(), "02:00:5e:10:00:01/002a");
        for text in ["02:00:5e:10:00:01/002a", "02:00:5e:10:00:01:002A", "02005e100001002a"] {
            assert_eq!(text.parse(), Ok(sci), "{text}");
        }
        assert_eq!((sci.mac(), sci.port()), (MacAddr([2, 0, 0x5e, 0x10, 0, 1]), 42));
        assert_eq!(Sci::from_octets(sci.octets()), sci);
    }

    #[test]
    fn text_that_is_no_sci_is_refused() {
        for bad in [
            "",
            "/",
            "02:00:5e:10:00:01",
            "02:00:5e:10:00:01/",
            "02:00:5e:10:00:01/1",
            "02:00:5e:10:00:01/00011",
            "02:00:5e:10:00:01/+001",
            "+2005e100001002a",
            "02005e100001002",
            "02005e100001002ag",
        ] {
            assert_eq!(bad.parse::<Sci>(), Err(ParseSciError), "{bad}");
        }
    }

    // 802.1AE-2018 §10.7.13; trap 28: the set is an argument, so it is whatever set shared the SAK.
    #[test]
    fn ssci_follows_the_set_that_shares_the_key() {
        let [a, b, c] = [1, 2, 3].map(Sci::from_u64);
        assert_eq!(Ssci::assign(a, &[a, b]), Some(Ssci(2)));
        assert_eq!(Ssci::assign(a, &[b, c, a]), Some(Ssci(3)));
        assert_eq!(Ssci::assign(c, &[a, c, b, c]), Some(Ssci(1)));
        assert_eq!(Ssci::assign(a, &[a, b, b]), Some(Ssci(2)));
        assert_eq!(Ssci::assign(a, &[b]), None);
    }
}
