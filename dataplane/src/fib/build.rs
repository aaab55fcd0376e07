//! From routes to ranges, from ranges to a trie. Linear after one sort.

use arrayvec::ArrayVec;

use super::{
    NextHopId,
    key::Key,
    ranges::Ranges,
    trie::{LEAF, LEAF_RANGES, Leaf, NONE, Node, OWN_ENTRIES, POINTER, Trie},
};

/// A prefix and its next hop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route<K> {
    first: K,
    host_bits: u32,
    answer: u32,
}

impl<K: Key> Route<K> {
    /// The route for the prefix of `len` bits that `address` lies in.
    pub(super) fn new(address: K, len: u8, id: NextHopId) -> Self {
        let host_bits = K::BITS.saturating_sub(u32::from(len));
        Self { first: address.floor(host_bits), host_bits, answer: id.get() }
    }

    fn last(&self) -> K {
        self.first.ceil(self.host_bits)
    }
}

/// The ranges of `routes`: a sweep over the prefixes in address order, shorter before longer, that keeps the
/// prefixes around the current address on a stack.
pub(super) fn flatten<K: Key>(mut routes: Vec<Route<K>>) -> Ranges<K> {
    // Stable: of two routes for one prefix the later comes second, and replaces the first.
    routes.sort_by_key(|route| (route.first, K::BITS - route.host_bits));
    let mut ranges = Ranges::new();
    let mut around: Vec<Route<K>> = Vec::new();
    for route in routes {
        while let Some(ended) = around.pop_if(|outer| outer.last() < route.first) {
            resume(&mut ranges, &around, ended.last());
        }
        ranges.begin(route.first, route.answer);
        around.push(route);
    }
    while let Some(ended) = around.pop() {
        resume(&mut ranges, &around, ended.last());
    }
    ranges.shrink();
    ranges
}

/// After `last` the answer is that of the innermost prefix that is still around.
fn resume<K: Key>(ranges: &mut Ranges<K>, around: &[Route<K>], last: K) {
    if let Some(start) = last.next() {
        ranges.begin(start, around.last().map_or(NONE, |outer| outer.answer));
    }
}

/// The trie of `ranges`, with one flat root for the first two octets if `is_flat`.
pub(super) fn trie<K: Key>(ranges: &Ranges<K>, is_flat: bool) -> Trie {
    let mut builder = Builder { ranges, next: 0, nodes: Vec::new(), leaves: Vec::new(), entries: Vec::new() };
    let octets = |first| K::ZERO.child(first, K::BITS);
    let roots: Vec<u32> = if is_flat {
        let pairs = (0..=u8::MAX).flat_map(|first| (0..=u8::MAX).map(move |second| (first, second)));
        pairs
            .map(|(first, second)| builder.entry(octets(first).child(second, K::BITS - 8), K::BITS - 16))
            .collect()
    } else {
        (0..=u8::MAX).map(|first| builder.entry(octets(first), K::BITS - 8)).collect()
    };
    Trie {
        roots: roots.into_boxed_slice(),
        is_flat,
        nodes: builder.nodes.into_boxed_slice(),
        leaves: builder.leaves.into_boxed_slice(),
        entries: builder.entries.into_boxed_slice(),
    }
}

/// Goes once through the ranges from the lowest address to the highest.
struct Builder<'a, K> {
    ranges: &'a Ranges<K>,
    /// The first range that starts after the addresses done so far.
    next: usize,
    nodes: Vec<Node>,
    leaves: Vec<Leaf>,
    entries: Vec<u32>,
}

impl<K: Key> Builder<'_, K> {
    /// The entry for all addresses from `first` on that differ from it in the lowest `bits` bits alone. Called in address order.
    fn entry(&mut self, first: K, bits: u32) -> u32 {
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
                self.leaf(&inside, octets)
            }
            _ => self.node(first, bits),
        }
    }

    /// The answer of the range that the current address lies in.
    fn answer(&self) -> u32 {
        self.next.checked_sub(1).map_or(NONE, |at| self.ranges.answer(at))
    }

    /// A leaf for the current range and those that start at `starts`, which differ behind `octets` octets.
    fn leaf(&mut self, starts: &[K], octets: u32) -> u32 {
        let mut leaf = Leaf { starts: [u64::MAX; LEAF_RANGES - 1], answers: [self.answer(); LEAF_RANGES] };
        for (at, start) in starts.iter().enumerate() {
            if let Some(slot) = leaf.starts.get_mut(at) {
                *slot = start.skip(octets).front();
            }
            self.next += 1;
            let answer = self.answer();
            leaf.answers.iter_mut().skip(at + 1).for_each(|slot| *slot = answer);
        }
        self.leaves.push(leaf);
        pointer(self.leaves.len()) | LEAF
    }

    /// A node for the next octet. Its subtrees come first, so its entries lie together.
    fn node(&mut self, first: K, bits: u32) -> u32 {
        let mut slots = [NONE; 256];
        for (octet, slot) in (0..=u8::MAX).zip(&mut slots) {
            *slot = self.entry(first.child(octet, bits), bits.saturating_sub(8));
        }
        let node = self.compress(&slots);
        self.nodes.push(node);
        pointer(self.nodes.len())
    }

    fn compress(&mut self, slots: &[u32; 256]) -> Node {
        let base = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let (mut changes, mut counts, mut own) = ([0; 4], [0; 4], [NONE; OWN_ENTRIES]);
        let (mut before, mut count) = (None, 0_u8);
        let (words, _) = slots.as_chunks::<64>();
        for ((word, changes), count_before) in words.iter().zip(&mut changes).zip(&mut counts) {
            *count_before = count;
            for (bit, &slot) in
                word.iter().enumerate().filter(|&(_, &slot)| before.replace(slot) != Some(slot))
            {
                *changes |= 1_u64 << bit;
                match own.get_mut(usize::from(count)) {
                    Some(own) => *own = slot,
                    None => self.entries.push(slot),
                }
                // Wraps only after the last slot of the last word, where nobody reads it any more.
                count = count.wrapping_add(1);
            }
        }
        Node { changes, own, base, counts }
    }
}

/// A pointer to the last of `len` nodes or leaves. There are fewer than 2^30: each has a range of its own, of which memory holds fewer.
fn pointer(len: usize) -> u32 {
    u32::try_from(len - 1).unwrap_or(NONE) | POINTER
}
