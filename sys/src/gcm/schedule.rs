//! What is computed once per key.

use zeroize::Zeroize as _;

use super::kernel;

/// The highest power of the hash key that is kept: the blocks of a stride, three of associated data, and one to make whole lines
/// of a cache, with the zeros behind them.
pub(super) const POWERS: usize = 37;
/// Round keys of AES-256, the longest (FIPS 197, table 3).
const ROUND_KEYS: usize = 15;
/// The reflected polynomial of GHASH without its highest bit: x^127 + x^126 + x^121 + 1.
const POLYNOMIAL: u128 = 0xC200_0000_0000_0000_0000_0000_0000_0001;

/// Round keys and powers of the hash key.
#[repr(C, align(64))]
pub(super) struct Schedule {
    /// H^37 to H^1, then zeros: four that begin with H^n are the factors of the last n blocks, also when n is not a multiple of four.
    powers: [[u8; 16]; POWERS + 3],
    round_keys: [[u8; 16]; ROUND_KEYS],
    long: bool,
}

impl Schedule {
    /// The schedule of a key of 16 or 32 octets; the caller knows that the processor can do it.
    pub(super) fn new(key: &[u8]) -> Option<Box<Self>> {
        let long = match key.len() {
            16 => false,
            32 => true,
            _ => return None,
        };
        // It is filled where it stays: a move would leave a copy behind that nobody wipes.
        let mut this =
            Box::new(Self { powers: [[0; 16]; POWERS + 3], round_keys: [[0; 16]; ROUND_KEYS], long });
        expand(key, &mut this.round_keys);
        let mut first = hash_key(kernel::encrypt_block(&this, &[0; 16]));
        let mut power = first;
        let (powers, _zeros) = this.powers.split_at_mut(POWERS);
        for place in powers.iter_mut().rev() {
            *place = power;
            power = kernel::product(&power, &first);
        }
        first.zeroize();
        power.zeroize();
        Some(this)
    }

    /// Whether the key has 32 octets, which means 14 rounds and not 10 (FIPS 197, 5).
    #[inline]
    pub(super) const fn is_long(&self) -> bool {
        self.long
    }

    #[inline]
    pub(super) const fn round_keys(&self) -> &[[u8; 16]; ROUND_KEYS] {
        &self.round_keys
    }

    #[inline]
    pub(super) const fn powers(&self) -> &[[u8; 16]; POWERS + 3] {
        &self.powers
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.round_keys.zeroize();
        self.powers.zeroize();
    }
}

/// KeyExpansion (FIPS 197, 5.2). Words are as they lie in memory, the first octet lowest.
fn expand(key: &[u8], keys: &mut [[u8; 16]; ROUND_KEYS]) {
    let of_key = key.len() / 4;
    let mut words = [0_u32; 4 * ROUND_KEYS];
    for (word, octets) in words.iter_mut().zip(key.as_chunks().0) {
        *word = u32::from_le_bytes(*octets);
    }
    let mut round_constant = 1_u32;
    for at in of_key..words.len() {
        let [before, earlier] = [at - 1, at - of_key].map(|at| words.get(at).copied().unwrap_or_default());
        let changed = match at % of_key {
            0 => {
                let changed = kernel::substitute(before.rotate_right(8)) ^ round_constant;
                round_constant = double(round_constant);
                changed
            }
            4 if of_key > 6 => kernel::substitute(before),
            _ => before,
        };
        if let Some(word) = words.get_mut(at) {
            *word = earlier ^ changed;
        }
    }
    for (key, words) in keys.iter_mut().zip(words.as_chunks::<4>().0) {
        for (octets, word) in key.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *octets = word.to_le_bytes();
        }
    }
    words.zeroize();
}

/// Times x in the field of AES.
const fn double(octet: u32) -> u32 {
    let carry = octet >> 7;
    ((octet << 1) & 0xff) ^ (carry * 0x1b)
}

/// The hash key as `kernel` multiplies by it: its octets in the other order, and times x, so that a product of reflected
/// operands needs no shift.
fn hash_key(h: [u8; 16]) -> [u8; 16] {
    let h = u128::from_be_bytes(h);
    let carry = 0_u128.wrapping_sub(h >> 127);
    ((h << 1) ^ (carry & POLYNOMIAL)).to_le_bytes()
}
