//! SequenceHistory of §7.4.3.2 as a ring of bits: which of the last numbers were seen.
//!
//! The standard shifts an array by one place for each number. Here a number has its place for good (its low bits), and moving
//! ahead only forgets the places that are used again. `tests.rs` holds both against each other.

use net::carry::{Carry as _, Parcel};

use super::HistoryLength;

/// One bit for each number of the history.
#[derive(Clone, Debug)]
pub(super) struct History {
    words: Box<[u64]>,
    /// Number of places less one: a power of two less one, so that places and numbers wrap together.
    mask: u16,
}

const WORD: u16 = 64;

impl History {
    pub(super) fn new(length: HistoryLength) -> Self {
        let places = length.get().max(WORD).next_power_of_two();
        Self { words: vec![0; usize::from(places / WORD)].into(), mask: places - 1 }
    }

    /// Leaves its words to a successor.
    pub(super) fn pack(&self, out: &mut Parcel) {
        self.words.len().pack(out);
        self.words.iter().for_each(|word| word.pack(out));
    }

    /// Has seen what these words say; false when that is another length.
    pub(super) fn resume(&mut self, words: &[u64]) -> bool {
        let fits = words.len() == self.words.len();
        if fits {
            self.words.copy_from_slice(words);
        }
        fits
    }

    /// Nothing was seen.
    pub(super) fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Notes a number as seen. True when it was already.
    pub(super) fn see(&mut self, number: u16) -> bool {
        let place = number & self.mask;
        let bit = 1_u64 << (place % WORD);
        let Some(word) = self.words.get_mut(usize::from(place / WORD)) else { return false };
        let seen = *word & bit != 0;
        *word |= bit;
        seen
    }

    /// How many of `count` numbers from `first` on were not seen.
    pub(super) fn unseen(&self, first: u16, count: u16) -> u64 {
        let zeros =
            |(at, bits): (usize, u64)| (!self.words.get(at).copied().unwrap_or(0) & bits).count_ones();
        self.places(first, count).map(zeros).map(u64::from).sum()
    }

    /// `count` numbers from `first` on are not seen.
    pub(super) fn forget(&mut self, first: u16, count: u16) {
        for (at, bits) in self.places(first, count) {
            if let Some(word) = self.words.get_mut(at) {
                *word &= !bits;
            }
        }
    }

    /// The words of a range of numbers, each with the bits that belong to it.
    fn places(&self, first: u16, count: u16) -> impl Iterator<Item = (usize, u64)> + use<> {
        let (mask, mut at, mut left) = (self.mask, first & self.mask, count);
        core::iter::from_fn(move || {
            let (word, from) = (at / WORD, at % WORD);
            let take = left.min(WORD - from);
            let bits = u64::MAX.checked_shr(u32::from(WORD - take))? << from;
            at = at.wrapping_add(take) & mask;
            left -= take;
            Some((usize::from(word), bits))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_each_of_its_numbers_once() {
        for length in [2, 64, 65, 200, 0x8000] {
            let mut history = History::new(HistoryLength::new(length).unwrap());
            for first in [0, 1, 63, 64, 100, 65_530] {
                for count in [0, 1, 2, 63, 64, 65, 127, 200].into_iter().filter(|&count| count <= length) {
                    history.clear();
                    assert_eq!(history.unseen(first, count), u64::from(count));
                    assert!((0..count).all(|at| !history.see(first.wrapping_add(at))));
                    assert_eq!(history.unseen(first, count), 0, "{length} {first} {count}");
                    assert!(history.see(first) || count == 0);
                    history.clear();
                    (0..length).for_each(|at| {
                        history.see(first.wrapping_add(at));
                    });
                    history.forget(first, count);
                    assert_eq!(history.unseen(first, length), u64::from(count));
                    assert_eq!(history.unseen(first, count), u64::from(count));
                }
            }
        }
    }
}
