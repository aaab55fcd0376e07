//! The Internet checksum: RFC 1071 (the sum), RFC 1624 (the incremental update), and the pseudo-headers
//! of RFC 9293 §3.1 (IPv4) and RFC 8200 §8.1 (IPv6).

use core::net::{Ipv4Addr, Ipv6Addr};

/// A one's-complement sum that is not folded yet. Parts may be added in any order as long as each
/// but the last has an even number of octets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sum(u64);

impl Sum {
    /// Nothing added yet.
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds `octets`, the last one padded with a zero when their number is odd.
    #[must_use]
    pub fn with(self, octets: &[u8]) -> Self {
        // Eight octets at a time as 32-bit halves: 2^32 such halves fit in the 64-bit sum, and no
        // packet is that long. Folding makes the result the same as 16-bit addition (RFC 1071 §2(C)).
        let (chunks, tail) = octets.as_chunks::<8>();
        let mut total = self.0;
        for chunk in chunks {
            let word = u64::from_be_bytes(*chunk);
            total = total.wrapping_add((word >> 32) + (word & 0xffff_ffff));
        }
        let (pairs, odd) = tail.as_chunks::<2>();
        for pair in pairs {
            total = total.wrapping_add(u64::from(u16::from_be_bytes(*pair)));
        }
        if let [last] = odd {
            total = total.wrapping_add(u64::from(*last) << 8);
        }
        Self(total)
    }

    /// Adds one 16-bit word.
    #[must_use]
    pub const fn add_u16(self, word: u16) -> Self {
        #[expect(clippy::as_conversions, reason = "u16 to u64 loses nothing; From is not const")]
        let wide = word as u64;
        Self(self.0.wrapping_add(wide))
    }

    /// Adds the IPv4 pseudo-header for `len` octets of `protocol`.
    #[must_use]
    pub fn add_pseudo_v4(self, src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, len: u16) -> Self {
        self.with(&src.octets()).with(&dst.octets()).add_u16(u16::from(protocol)).add_u16(len)
    }

    /// Adds the IPv6 pseudo-header for `len` octets of `protocol`.
    #[must_use]
    pub fn add_pseudo_v6(self, src: Ipv6Addr, dst: Ipv6Addr, protocol: u8, len: u32) -> Self {
        self.with(&src.octets()).with(&dst.octets()).with(&len.to_be_bytes()).add_u16(u16::from(protocol))
    }

    /// The sum folded to 16 bits, not complemented: what a pseudo-header checksum field holds when
    /// hardware (or the far end of a virtio-net header) finishes the job.
    pub fn folded(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        u16::try_from(sum).unwrap_or(u16::MAX)
    }

    /// The checksum: the complement of the folded sum. Over data that includes a right checksum it is 0.
    pub fn finish(self) -> u16 {
        !self.folded()
    }
}

/// The checksum of `octets` (RFC 1071).
pub fn checksum(octets: &[u8]) -> u16 {
    Sum::new().with(octets).finish()
}

/// The checksum after a 16-bit word that it covers changed from `old` to `new` (RFC 1624 §3, equation 3).
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    Sum::new().add_u16(!checksum).add_u16(!old).add_u16(new).finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rfc_1071_section_3_example() {
        assert_eq!(Sum::new().with(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]).folded(), 0xddf2);
    }

    #[test]
    fn rfc_1624_section_4_example() {
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    proptest! {
        #[test]
        fn agrees_with_an_independent_implementation(octets in proptest::collection::vec(any::<u8>(), 1..600)) {
            prop_assert_eq!(checksum(&octets), pnet_packet::util::checksum(&octets, usize::MAX));
        }

        #[test]
        fn an_update_equals_a_recomputation(mut octets in proptest::collection::vec(any::<u8>(), 4..64), new: u16) {
            // A header that is all zero has two representations of zero; real headers never are.
            octets[0] = 0x45;
            let before = checksum(&octets);
            let old = u16::from_be_bytes([octets[2], octets[3]]);
            octets[2..4].copy_from_slice(&new.to_be_bytes());
            prop_assert_eq!(update(before, old, new), checksum(&octets));
        }
    }
}
