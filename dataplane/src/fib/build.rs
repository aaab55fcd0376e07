//! From routes to ranges, from ranges to a trie. Linear after one sort.

use super::{
    NextHopId,
    key::Key,
    ranges::Ranges,
    trie::{NODE, NONE, Node, Trie},
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

/// The trie of `ranges`, with a flat root for the first two octets if `flat`.
pub(super) fn trie<K: Key>(ranges: &Ranges<K>, flat: bool) -> Trie {
    let mut builder = Builder { ranges, next: 0, nodes: Vec::new(), entries: vec![NONE] };
    let roots = if flat {
        let bits = K::BITS - 16;
        let prefix = |octets: u16| {
            let [a, b] = octets.to_be_bytes();
            K::ZERO.child(a, K::BITS).child(b, K::BITS - 8)
        };
        (0..=u16::MAX).map(|octets| builder.entry(prefix(octets), bits)).collect()
    } else {
        vec![builder.entry(K::ZERO, K::BITS)]
    };
    Trie {
        roots: roots.into_boxed_slice(),
        nodes: builder.nodes.into_boxed_slice(),
        entries: builder.entries.into_boxed_slice(),
    }
}

/// Goes once through the ranges from the lowest address to the highest.
struct Builder<'a, K> {
    ranges: &'a Ranges<K>,
    /// The first range that starts after the addresses done so far.
    next: usize,
    nodes: Vec<Node>,
    entries: Vec<u32>,
}

impl<K: Key> Builder<'_, K> {
    /// The entry for all addresses from `first` on that differ from it in the lowest `bits` bits alone. Called in address order.
    fn entry(&mut self, first: K, bits: u32) -> u32 {
        if self.ranges.start(self.next) == Some(first) {
            self.next += 1;
        }
        let one_answer = self.ranges.start(self.next).is_none_or(|start| start > first.ceil(bits));
        if one_answer { self.answer() } else { self.node(first, bits) }
    }

    /// The answer of the range that the current address lies in.
    fn answer(&self) -> u32 {
        self.next.checked_sub(1).map_or(NONE, |at| self.ranges.answer(at))
    }

    /// A node for the next octet. Its subtrees come first, so its entries lie together.
    fn node(&mut self, first: K, bits: u32) -> u32 {
        let slots: [u32; 256] = {
            let mut slots = [NONE; 256];
            for (octet, slot) in (0..=u8::MAX).zip(&mut slots) {
                *slot = self.entry(first.child(octet, bits), bits - 8);
            }
            slots
        };
        let node = self.compress(&slots);
        let index = u32::try_from(self.nodes.len()).unwrap_or(NONE);
        self.nodes.push(node);
        index | NODE
    }

    fn compress(&mut self, slots: &[u32; 256]) -> Node {
        let base = u32::try_from(self.entries.len() - 1).unwrap_or(NONE);
        let (mut changes, mut counts) = ([0; 4], [0; 4]);
        let (mut before, mut count) = (None, 0_u8);
        let (words, _) = slots.as_chunks::<64>();
        for ((word, changes), count_before) in words.iter().zip(&mut changes).zip(&mut counts) {
            *count_before = count;
            for (bit, &slot) in word.iter().enumerate() {
                if before != Some(slot) {
                    *changes |= 1_u64 << bit;
                    // Wraps only after the last slot of the last word, where nobody reads it any more.
                    count = count.wrapping_add(1);
                    self.entries.push(slot);
                }
                before = Some(slot);
            }
        }
        Node { changes, base, counts }
    }
}
