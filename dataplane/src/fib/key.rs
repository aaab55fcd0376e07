//! What the tables need to know of an address: it is an unsigned number, most significant octet first.

use core::{fmt, ops::BitXor};

/// An address as a number.
pub(crate) trait Key: Copy + Ord + fmt::Debug + BitXor<Output = Self> {
    /// The lowest address.
    const ZERO: Self;
    /// Width in bits.
    const BITS: u32;
    /// Prefixes of fewer bits than this are broad: they are few, and each is around a good part of all others. The trie does without them.
    const BROAD: u32;

    /// The first two octets.
    fn first_two(self) -> u16;
    /// The first octet.
    fn first(self) -> u8;
    /// The first 64 bits, zeros after them when there are fewer.
    fn front(self) -> u64;
    /// Whether nothing but zeros follows the first 64 bits.
    fn is_all_front(self) -> bool;
    /// All octets moved `octets` places to the front, zeros after them.
    fn skip(self, octets: u32) -> Self;
    /// This number, whose octets behind the first `octets` are zero, with those of `front` there: [`skip`](Self::skip) and
    /// [`front`](Self::front) undone.
    fn with_front(self, front: u64, octets: u32) -> Self;
    /// How many bits are zero before the first that is not.
    fn leading_zeros(self) -> u32;
    /// The number with the lowest `bits` bits zero: the first address of a prefix with that many host bits.
    fn floor(self, bits: u32) -> Self;
    /// The number with the lowest `bits` bits one: the last address of that prefix.
    fn ceil(self, bits: u32) -> Self;
    /// This prefix of `bits` host bits with `octet` as the highest eight of them.
    fn child(self, octet: u8, bits: u32) -> Self;
    /// The address after this one; `None` after the last.
    fn next(self) -> Option<Self>;
}

macro_rules! key {
    ($number:ty, $broad:literal, $front:expr, $back:expr, $from_front:expr) => {
        impl Key for $number {
            const ZERO: Self = 0;
            const BITS: u32 = <$number>::BITS;
            const BROAD: u32 = $broad;

            #[inline]
            fn first_two(self) -> u16 {
                let [a, b, ..] = self.to_be_bytes();
                u16::from_be_bytes([a, b])
            }

            #[inline]
            fn first(self) -> u8 {
                let [first, ..] = self.to_be_bytes();
                first
            }

            #[inline]
            fn front(self) -> u64 {
                $front(self.to_be_bytes())
            }

            fn is_all_front(self) -> bool {
                $back(self.to_be_bytes()) == 0
            }

            #[inline]
            fn skip(self, octets: u32) -> Self {
                self.checked_shl(octets * 8).unwrap_or(0)
            }

            fn with_front(self, front: u64, octets: u32) -> Self {
                let number: Self = $from_front(front.to_be_bytes());
                self | number.checked_shr(octets * 8).unwrap_or(0)
            }

            fn leading_zeros(self) -> u32 {
                self.leading_zeros()
            }

            fn floor(self, bits: u32) -> Self {
                self & Self::MAX.checked_shl(bits).unwrap_or(0)
            }

            fn ceil(self, bits: u32) -> Self {
                self | !Self::MAX.checked_shl(bits).unwrap_or(0)
            }

            fn child(self, octet: u8, bits: u32) -> Self {
                self | Self::from(octet).checked_shl(bits.saturating_sub(8)).unwrap_or(0)
            }

            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
        }
    };
}

key!(
    u32,
    8,
    |[a, b, c, d]: [u8; 4]| u64::from_be_bytes([a, b, c, d, 0, 0, 0, 0]),
    |_: [u8; 4]| 0,
    |[a, b, c, d, ..]: [u8; 8]| u32::from_be_bytes([a, b, c, d])
);
key!(
    u128,
    16,
    |[a, b, c, d, e, f, g, h, ..]: [u8; 16]| u64::from_be_bytes([a, b, c, d, e, f, g, h]),
    |[.., a, b, c, d, e, f, g, h]: [u8; 16]| u64::from_be_bytes([a, b, c, d, e, f, g, h]),
    |front: [u8; 8]| u128::from(u64::from_be_bytes(front)) << 64
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_start_and_end_where_they_should() {
        let address = 0x0a01_02ff_u32;
        assert_eq!((address.floor(8), address.ceil(8)), (0x0a01_0200, 0x0a01_02ff));
        assert_eq!((address.floor(32), address.ceil(32)), (0, u32::MAX));
        assert_eq!((address.floor(0), address.ceil(0)), (address, address));
        assert_eq!((1_u128.floor(128), 1_u128.ceil(128)), (0, u128::MAX));
        assert_eq!((address.first_two(), address.first(), address.skip(1)), (0x0a01, 0x0a, 0x0102_ff00));
        assert_eq!(0x0a00_0000_u32.with_front(0x0a01_0203_u32.skip(1).front(), 1), 0x0a01_0203);
        assert_eq!((7_u128 << 120).with_front(0x1234 << 48, 1), 7 << 120 | 0x1234 << 104);
        assert_eq!((0x0a00_0000_u32.child(7, 24), u32::MAX.next(), address.skip(4)), (0x0a07_0000, None, 0));
    }
}
