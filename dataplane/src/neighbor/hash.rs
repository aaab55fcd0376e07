//! The hash of the cache: fast, and seeded, so that nobody outside can choose addresses that collide.

use core::hash::{BuildHasher, Hasher};

use crate::flow::fold;

/// Makes hashers that share a seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seeded(pub(super) u64);

impl BuildHasher for Seeded {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding(self.0)
    }
}

/// Multiplies and folds eight octets at a time.
pub(super) struct Folding(u64);

impl Hasher for Folding {
    fn write(&mut self, octets: &[u8]) {
        for chunk in octets.chunks(8) {
            let word = chunk.iter().fold(0, |word, &octet| word << 8 | u64::from(octet));
            self.write_u64(word);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = fold(self.0 ^ word, 0x9e37_79b9_7f4a_7c15).wrapping_add(0xa076_1d64_78bd_642f);
    }

    fn finish(&self) -> u64 {
        fold(self.0, 0xd6e8_feb8_6659_fd93)
    }
}

/// An address as the cache's key: hashes in one or two steps, whatever `IpAddr` would do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Key(pub(super) core::net::IpAddr);

impl core::hash::Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            core::net::IpAddr::V4(v4) => state.write_u64(u64::from(v4.to_bits())),
            core::net::IpAddr::V6(v6) => {
                let octets = v6.octets();
                let (halves, _) = octets.as_chunks::<8>();
                for half in halves {
                    state.write_u64(u64::from_be_bytes(*half));
                }
            }
        }
    }
}

/// Random numbers for timers (SplitMix64).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `sides`; 0 when that is 0.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = fold(self.0 ^ 0x2545_f491_4f6c_dd1d, 0xd6e8_feb8_6659_fd93);
        mixed.checked_rem(sides).unwrap_or(0)
    }
}
