//! The packet numbers of one SA, as a capture shows them: first, last, seen twice, missing.
//!
//! Kept as the ranges that were seen, so that an hour of frames in order is one range. Only so many ranges are kept:
//! beyond that the lowest hole is counted as missing for good and forgotten, and a frame that should still come out
//! of it counts as a duplicate.

use std::collections::BTreeMap;

/// Ranges kept for one SA.
const MOST_RANGES: usize = 4096;

/// Packet numbers seen.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Numbers {
    /// First to last of each range, inclusive, never touching.
    ranges: BTreeMap<u64, u64>,
    /// In the order of the capture.
    first: Option<u64>,
    last: Option<u64>,
    duplicates: u64,
    reordered: u64,
    /// Numbers missing in holes that were forgotten.
    forgotten: u64,
}

impl Numbers {
    /// Notes one more frame.
    pub(super) fn note(&mut self, pn: u64) {
        self.first.get_or_insert(pn);
        self.last = Some(pn);
        let below = self.ranges.range(..=pn).next_back().map(|(&from, &to)| (from, to));
        if below.is_some_and(|(_, to)| pn <= to) {
            self.duplicates += 1;
            return;
        }
        let after = pn.checked_add(1).and_then(|next| self.ranges.remove(&next));
        self.reordered += u64::from(after.is_some() || self.highest().is_some_and(|highest| pn < highest));
        let from = match below {
            Some((from, to)) if to.checked_add(1) == Some(pn) => from,
            _ => pn,
        };
        self.ranges.insert(from, after.unwrap_or(pn));
        self.forget();
    }

    fn forget(&mut self) {
        if self.ranges.len() <= MOST_RANGES {
            return;
        }
        let (Some((from, to)), Some((next, end))) = (self.ranges.pop_first(), self.ranges.pop_first()) else {
            return;
        };
        self.forgotten = self.forgotten.saturating_add(next - to - 1);
        self.ranges.insert(from, end);
    }

    /// The first one in the capture.
    pub(super) const fn first(&self) -> Option<u64> {
        self.first
    }

    /// The last one in the capture.
    pub(super) const fn last(&self) -> Option<u64> {
        self.last
    }

    /// The highest.
    pub(super) fn highest(&self) -> Option<u64> {
        self.ranges.last_key_value().map(|(_, &to)| to)
    }

    /// Frames with a number that was there before.
    pub(super) const fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Frames that came after a higher number, and were not there before.
    pub(super) const fn reordered(&self) -> u64 {
        self.reordered
    }

    /// Numbers between the lowest and the highest that are not there.
    pub(super) fn missing(&self) -> u64 {
        let between = |((_, &to), (&next, _)): ((&u64, &u64), (&u64, &u64))| next - to - 1;
        let holes = self.ranges.iter().zip(self.ranges.iter().skip(1)).map(between);
        holes.fold(self.forgotten, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ends_of_the_number_space_are_numbers_too() {
        let mut numbers = Numbers::default();
        for pn in [u64::MAX, 0, u64::MAX, u64::MAX - 1] {
            numbers.note(pn);
        }
        assert_eq!((numbers.duplicates(), numbers.missing()), (1, u64::MAX - 2));
    }

    #[test]
    fn holes_beyond_the_limit_are_counted_and_forgotten() {
        let mut numbers = Numbers::default();
        for pn in 0..10_000 {
            numbers.note(pn * 3);
        }
        assert_eq!((numbers.ranges.len(), numbers.missing()), (MOST_RANGES, 9_999 * 2));
    }

    proptest! {
        // The plain definition: a set of all numbers.
        #[test]
        fn agrees_with_a_set(pns in prop::collection::vec(0_u64..60, 1..80)) {
            let mut numbers = Numbers::default();
            let (mut set, mut duplicates, mut reordered) = (BTreeSet::new(), 0, 0);
            for &pn in &pns {
                numbers.note(pn);
                let highest = set.last().copied();
                let news = set.insert(pn);
                duplicates += u64::from(!news);
                reordered += u64::from(news && highest.is_some_and(|highest| pn < highest));
            }
            let (low, high) = (set.first().unwrap(), set.last().unwrap());
            prop_assert_eq!(numbers.missing(), high - low + 1 - u64::try_from(set.len()).unwrap());
            prop_assert_eq!((numbers.duplicates(), numbers.reordered()), (duplicates, reordered));
            prop_assert_eq!((numbers.first(), numbers.last()), (pns.first().copied(), pns.last().copied()));
            prop_assert_eq!(numbers.highest(), Some(*high));
        }
    }
}
