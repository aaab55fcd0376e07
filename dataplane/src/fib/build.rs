//! From routes to ranges, from ranges to a trie. Linear after one sort.

use arrayvec::ArrayVec;

use super::{
    NextHopId,
    edit::Editor,
    key::Key,
    ranges::Ranges,
    trie::{LEAF_RANGES, Leaf, NONE},
};

/// A prefix.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Span<K> {
    pub(super) first: K,
    pub(super) host_bits: u32,
}

impl<K: Key> Span<K> {
    /// The prefix of `len` bits that `address` lies in.
    pub(super) fn new(address: K, len: u8) -> Self {
        let host_bits = K::BITS.saturating_sub(u32::from(len));
        Self { first: address.floor(host_bits), host_bits }
    }

    pub(super) fn last(self) -> K {
        self.first.ceil(self.host_bits)
    }
}

/// A prefix and its next hop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route<K> {
    pub(super) span: Span<K>,
    pub(super) answer: u32,
}

impl<K: Key> Route<K> {
    /// The route for the prefix of `len` bits that `address` lies in.
    pub(super) fn new(address: K, len: u8, id: NextHopId) -> Self {
        Self { span: Span::new(address, len), answer: id.get() }
    }

    /// Whether so few bits are fixed that the trie does without it, see [`Key::BROAD`].
    pub(super) fn is_broad(&self) -> bool {
        K::BITS - self.span.host_bits < K::BROAD
    }
}

/// The ranges of `routes`: a sweep over the prefixes in address order, shorter before longer, that keeps the
/// prefixes around the current address on a stack.
pub(super) fn flatten<K: Key>(mut routes: Vec<Route<K>>) -> Ranges<K> {
    // Stable: of two routes for one prefix the later comes second, and replaces the first.
    routes.sort_by_key(|route| (route.span.first, K::BITS - route.span.host_bits));
    let mut ranges = Ranges::new();
    let mut around: Vec<Route<K>> = Vec::new();
    for route in routes {
        while let Some(ended) = around.pop_if(|outer| outer.span.last() < route.span.first) {
            resume(&mut ranges, &around, ended.span.last());
        }
        ranges.begin(route.span.first, route.answer);
        around.push(route);
    }
    while let Some(ended) = around.pop() {
        resume(&mut ranges, &around, ended.span.last());
    }
    ranges
}

/// After `last` the answer is that of the innermost prefix that is still around.
fn resume<K: Key>(ranges: &mut Ranges<K>, around: &[Route<K>], last: K) {
    if let Some(start) = last.next() {
        ranges.begin(start, around.last().map_or(NONE, |outer| outer.answer));
    }
}

/// Goes once through ranges, from low addresses to high ones, and makes entries of them.
pub(super) struct Cursor<'a, K> {
    ranges: &'a Ranges<K>,
    /// The first range that starts after the addresses done so far.
    next: usize,
}

impl<'a, K: Key> Cursor<'a, K> {
    /// At the lowest of the ranges.
    pub(super) const fn new(ranges: &'a Ranges<K>) -> Self {
        Self { ranges, next: 0 }
    }

    /// The entry for all addresses from `first` on that differ from it in the lowest `bits` bits alone. Called in address order.
    pub(super) fn entry(&mut self, editor: &mut Editor<K>, first: K, bits: u32) -> u32 {
        if self.ranges.start(self.next) == Some(first) {
            self.next += 1;
        }
        let last = first.ceil(bits);
        let inside = (self.next..).map_while(|at| self.ranges.start(at)).take_while(|&start| start <= last);
        let inside: ArrayVec<K, LEAF_RANGES> = inside.take(LEAF_RANGES).collect();
        let octets = (K::BITS - bits) / 8;
        match inside.len() {
            0 => self.answer(),
            few if few < LEAF_RANGES && inside.iter().all(|start| start.skip(octets).is_all_front()) => {
                let leaf = self.leaf(&inside, octets);
                editor.put_leaf(leaf)
            }
            _ => {
                let mut slots = [NONE; 256];
                for (octet, slot) in (0..=u8::MAX).zip(&mut slots) {
                    *slot = self.entry(editor, first.child(octet, bits), bits.saturating_sub(8));
                }
                editor.put_node(&slots)
            }
        }
    }

    /// The answer of the range that the current address lies in.
    fn answer(&self) -> u32 {
        self.next.checked_sub(1).map_or(NONE, |at| self.ranges.answer(at))
    }

    /// A leaf for the current range and those that start at `starts`, which differ behind `octets` octets.
    fn leaf(&mut self, starts: &[K], octets: u32) -> Leaf {
        let mut leaf = Leaf { starts: [u64::MAX; LEAF_RANGES - 1], answers: [self.answer(); LEAF_RANGES] };
        for (at, start) in starts.iter().enumerate() {
            if let Some(slot) = leaf.starts.get_mut(at) {
                *slot = start.skip(octets).front();
            }
            self.next += 1;
            let answer = self.answer();
            leaf.answers.iter_mut().skip(at + 1).for_each(|slot| *slot = answer);
        }
        leaf
    }
}
