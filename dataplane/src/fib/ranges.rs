//! A table as the sorted list of addresses at which the answer changes. It is what every table is built from,
//! and what a small table stays.

use super::{key::Key, trie::NONE};

/// Ranges that are compared one after the other.
const WINDOW: usize = 16;

/// Answers by range: `answers[i]` holds from `starts[i]` to just before `starts[i + 1]`. Neighbouring ranges
/// have different answers. Addresses before the first start have no route.
#[derive(Debug)]
pub(super) struct Ranges<K> {
    starts: Vec<K>,
    answers: Vec<u32>,
}

impl<K: Key> Ranges<K> {
    /// No ranges yet.
    pub(super) const fn new() -> Self {
        Self { starts: Vec::new(), answers: Vec::new() }
    }

    /// From `start` on the answer is `answer`. Called with starts that never fall; a second call for one start replaces the first.
    pub(super) fn begin(&mut self, start: K, answer: u32) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.answers.pop();
        }
        if self.answers.last().copied().unwrap_or(NONE) != answer {
            self.starts.push(start);
            self.answers.push(answer);
        }
    }

    /// Gives memory back that the building left over.
    pub(super) fn shrink(&mut self) {
        self.starts.shrink_to_fit();
        self.answers.shrink_to_fit();
    }

    /// How many ranges there are.
    pub(super) const fn len(&self) -> usize {
        self.starts.len()
    }

    /// Where range `at` starts; `None` past the last.
    pub(super) fn start(&self, at: usize) -> Option<K> {
        self.starts.get(at).copied()
    }

    /// The answer of range `at`; [`NONE`] past the last.
    pub(super) fn answer(&self, at: usize) -> u32 {
        self.answers.get(at).copied().unwrap_or(NONE)
    }

    /// Each range's start and answer, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, u32)> {
        self.starts.iter().copied().zip(self.answers.iter().copied())
    }

    /// The answer for `key`: halving down to a window, then all of that compared, without a branch to mispredict.
    #[inline]
    pub(super) fn lookup(&self, key: K) -> u32 {
        let (mut before, mut window) = (0, self.starts.as_slice());
        while window.len() > WINDOW {
            let (low, high) = window.split_at(window.len() / 2);
            if high.first().is_some_and(|&start| start <= key) {
                before += low.len();
                window = high;
            } else {
                window = low;
            }
        }
        let begun = before + window.iter().fold(0, |count, &start| count + usize::from(start <= key));
        begun.checked_sub(1).map_or(NONE, |at| self.answer(at))
    }

    /// Octets of memory behind the structure itself.
    pub(super) const fn memory_octets(&self) -> usize {
        self.starts.capacity() * size_of::<K>() + self.answers.capacity() * size_of::<u32>()
    }
}
