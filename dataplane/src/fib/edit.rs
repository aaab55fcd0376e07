//! A trie that is being changed: only what a change touches is made anew.
//!
//! A change of a prefix changes answers nowhere but inside it. So the way there is walked from the root; slots that the prefix
//! covers as a whole are made from the routes inside it, and a leaf (or an answer) that it covers in part is taken apart, mended, and
//! put together again. Nothing outside is looked at: the cost is that of the routes inside the prefix, and of a node per
//! octet on the way.
//!
//! The result has the nodes and leaves that building from scratch would give: a node whose ranges fit into a leaf
//! becomes one.

use std::sync::Arc;

use arrayvec::ArrayVec;

use super::{
    build::{Cursor, Route, Span, flatten},
    key::Key,
    ranges::Ranges,
    slab::{Lives, Slab, Spans},
    trie::{LEAF, LEAF_RANGES, Leaf, LeafCell, NONE, Node, NodeCell, OWN_ENTRIES, POINTER, Trie},
};

/// The routes as they are now.
pub(super) trait Source<K> {
    /// How many routes there are, or a few more.
    fn len(&self) -> usize;
    /// All of them; of two for one prefix the later counts.
    fn all(&self) -> Vec<Route<K>>;
    /// Those whose prefixes are broad ([`Key::BROAD`]).
    fn broad(&self) -> Vec<Route<K>>;
    /// Those for this prefix and all inside it; of two for one prefix the later counts.
    fn inside(&self, span: Span<K>) -> Vec<Route<K>>;
    /// The answer of the longest prefix around this one that is not broad, or [`NONE`].
    fn around(&self, span: Span<K>) -> u32;
}

/// The maker's side of a [`Trie`].
#[derive(Debug)]
pub(super) struct Editor<K> {
    roots: Arc<[u32]>,
    is_flat: bool,
    nodes: Slab<NodeCell>,
    leaves: Slab<LeafCell>,
    spans: Spans,
    broad: Arc<Ranges<K>>,
    /// The tables that were handed out.
    lives: Lives,
}

/// The entries of a node, each run once.
type Runs = ArrayVec<u32, 256>;

impl<K: Key> Editor<K> {
    /// The trie of `ranges` and of the ranges of broad prefixes, with one flat root for the first two octets if `is_flat`.
    pub(super) fn build(ranges: &Ranges<K>, broad: Ranges<K>, is_flat: bool) -> Self {
        let mut editor = Self {
            roots: Arc::default(),
            is_flat,
            nodes: Slab::new(),
            leaves: Slab::new(),
            spans: Spans::new(),
            broad: Arc::new(broad),
            lives: Lives::default(),
        };
        let (mut cursor, bits) = (Cursor::new(ranges), editor.root_bits());
        let slots = if is_flat { 1 << 16 } else { 1 << 8 };
        let firsts = core::iter::successors(Some(K::ZERO), |first: &K| first.ceil(bits).next());
        editor.roots = firsts.take(slots).map(|first| cursor.entry(&mut editor, first, bits)).collect();
        editor
    }

    /// The table of now, for others to read.
    pub(super) fn share(&mut self) -> Trie<K> {
        let newest = self.lives.newest();
        self.nodes.follow(newest);
        self.leaves.follow(newest);
        self.spans.follow(newest);
        Trie {
            roots: Arc::clone(&self.roots),
            is_flat: self.is_flat,
            nodes: self.nodes.memory.share(),
            leaves: self.leaves.memory.share(),
            entries: self.spans.memory.share(),
            broad: Arc::clone(&self.broad),
            life: self.lives.begin(),
        }
    }

    pub(super) const fn is_flat(&self) -> bool {
        self.is_flat
    }

    pub(super) fn set_broad(&mut self, broad: Ranges<K>) {
        self.broad = Arc::new(broad);
    }

    /// Makes anew what lies inside `changed`: prefixes in address order, none inside another, none broad.
    pub(super) fn patch(&mut self, changed: &[Span<K>], source: &impl Source<K>) {
        if changed.is_empty() {
            return;
        }
        let oldest = self.lives.oldest();
        self.nodes.collect(oldest);
        self.leaves.collect(oldest);
        self.spans.collect(oldest);
        let mut roots = core::mem::take(&mut self.roots);
        let is_flat = self.is_flat;
        let place =
            |first: K| if is_flat { usize::from(first.first_two()) } else { usize::from(first.first()) };
        self.patch_slots(Arc::make_mut(&mut roots), place, self.root_bits(), changed, source);
        self.roots = roots;
    }

    /// Host bits of what a root stands for.
    const fn root_bits(&self) -> u32 {
        if self.is_flat { K::BITS - 16 } else { K::BITS - 8 }
    }

    /// Of slots that stand for `bits` host bits each: those that changed prefixes cover, and those that they lie in.
    fn patch_slots(
        &mut self,
        slots: &mut [u32],
        place: impl Fn(K) -> usize,
        bits: u32,
        mut changed: &[Span<K>],
        source: &impl Source<K>,
    ) {
        while let Some((span, others)) = changed.split_first() {
            let at = place(span.first);
            if span.host_bits >= bits {
                let count = place(span.last()) - at + 1;
                let covered = slots.iter_mut().skip(at).take(count);
                self.replace(covered, *span, bits, source);
                changed = others;
                continue;
            }
            let region = span.first.floor(bits);
            let (inside, behind) =
                changed.split_at(changed.partition_point(|one| one.first.floor(bits) <= region));
            if let Some(slot) = slots.get_mut(at) {
                *slot = self.patch_entry(*slot, Span { first: region, host_bits: bits }, inside, source);
            }
            changed = behind;
        }
    }

    /// Makes the slots that `span` covers, of `bits` host bits each, from its routes.
    fn replace<'a>(
        &mut self,
        slots: impl Iterator<Item = &'a mut u32>,
        span: Span<K>,
        bits: u32,
        source: &impl Source<K>,
    ) {
        let ranges = ranges_of(span, source);
        let mut cursor = Cursor::new(&ranges);
        let mut first = Some(span.first);
        for slot in slots {
            let Some(here) = first else { return };
            self.release(*slot);
            *slot = cursor.entry(self, here, bits);
            first = here.ceil(bits).next();
        }
    }

    /// What the entry for `region` becomes when the prefixes `changed`, all smaller than it, have changed.
    fn patch_entry(
        &mut self,
        entry: u32,
        region: Span<K>,
        changed: &[Span<K>],
        source: &impl Source<K>,
    ) -> u32 {
        let Some((at, node)) = self.node_of(entry) else {
            let ranges = self.mend(entry, region, changed, source);
            self.release(entry);
            return Cursor::new(&ranges).entry(self, region.first, region.host_bits);
        };
        let mut slots = self.slots(&node);
        self.spans.release(node.base, node.outside());
        self.nodes.release(at);
        let (octets, bits) = ((K::BITS - region.host_bits) / 8, region.host_bits.saturating_sub(8));
        let place = |first: K| usize::from(first.skip(octets).first());
        self.patch_slots(&mut slots, place, bits, changed, source);
        if let Some(ranges) = self.ranges_of_a_leaf(&slots, region) {
            slots.iter().for_each(|slot| self.release(*slot));
            return Cursor::new(&ranges).entry(self, region.first, region.host_bits);
        }
        self.put_node(&slots)
    }

    /// The ranges inside `region`, by what `entry` (no node) says and, inside `changed`, by what the routes say now.
    fn mend(&self, entry: u32, region: Span<K>, changed: &[Span<K>], source: &impl Source<K>) -> Ranges<K> {
        let mut before = Ranges::new();
        self.unfold(entry, region, &mut before);
        let mut now = Ranges::new();
        let mut old = before.iter().peekable();
        let mut answer = NONE;
        for span in changed {
            while let Some((start, next)) = old.next_if(|(start, _)| *start < span.first) {
                now.begin(start, next);
                answer = next;
            }
            now.begin(span.first, NONE);
            let inside = ranges_of(*span, source);
            inside.iter().take_while(|(start, _)| *start <= span.last()).for_each(|(start, answer)| {
                now.begin(start, answer);
            });
            while let Some((_, next)) = old.next_if(|(start, _)| *start <= span.last()) {
                answer = next;
            }
            if let Some(behind) = span.last().next().filter(|behind| *behind <= region.last()) {
                now.begin(behind, answer);
            }
        }
        old.for_each(|(start, next)| now.begin(start, next));
        now
    }

    /// The ranges of the answer or leaf `entry`, which stands for `region`.
    fn unfold(&self, entry: u32, region: Span<K>, ranges: &mut Ranges<K>) {
        let leaf =
            (entry & POINTER != 0).then(|| self.leaves.memory.read(entry & !(POINTER | LEAF))).flatten();
        let Some(leaf) = leaf else { return ranges.begin(region.first, entry) };
        let octets = (K::BITS - region.host_bits) / 8;
        let [first, others @ ..] = leaf.answers;
        ranges.begin(region.first, first);
        for (start, answer) in leaf.starts.iter().zip(others) {
            // Where there is no range the answer is that of the range before: nothing begins.
            ranges.begin(region.first.with_front(*start, octets), answer);
        }
    }

    /// The ranges inside `region` when its slots are so simple that a leaf, or an answer, can hold them.
    fn ranges_of_a_leaf(&self, slots: &[u32; 256], region: Span<K>) -> Option<Ranges<K>> {
        let mut ranges = Ranges::new();
        let (bits, mut before) = (region.host_bits.saturating_sub(8), None);
        for (octet, &slot) in (0..=u8::MAX).zip(slots) {
            if slot & POINTER == 0 && before == Some(slot) {
                continue;
            }
            if slot & (POINTER | LEAF) == POINTER {
                return None;
            }
            before = Some(slot);
            let first = region.first.child(octet, region.host_bits);
            self.unfold(slot, Span { first, host_bits: bits }, &mut ranges);
            // The first range may start with the region, and is none of those a leaf looks for.
            if ranges.len() > LEAF_RANGES {
                return None;
            }
        }
        let octets = (K::BITS - region.host_bits) / 8;
        let inside = || ranges.iter().map(|(start, _)| start).filter(|start| *start != region.first);
        let fits = inside().count() < LEAF_RANGES && inside().all(|start| start.skip(octets).is_all_front());
        fits.then_some(ranges)
    }

    /// Takes back what `entry` points to.
    fn release(&mut self, entry: u32) {
        if entry & POINTER == 0 {
            return;
        }
        if entry & LEAF != 0 {
            return self.leaves.release(entry & !(POINTER | LEAF));
        }
        let Some((at, node)) = self.node_of(entry) else { return };
        for slot in self.runs(&node) {
            self.release(slot);
        }
        self.spans.release(node.base, node.outside());
        self.nodes.release(at);
    }

    fn node_of(&self, entry: u32) -> Option<(u32, Node)> {
        let at = entry & !POINTER;
        (entry & (POINTER | LEAF) == POINTER).then(|| Some((at, self.nodes.memory.read(at)?))).flatten()
    }

    /// The entries of a node, each run once. Runs of more than one slot are answers: what is pointed to stands in one slot.
    fn runs(&self, node: &Node) -> Runs {
        let outside = (node.base..).take(node.outside());
        let outside = outside.map(|at| self.spans.memory.read(at).unwrap_or(NONE));
        node.own.iter().copied().take(node.runs()).chain(outside).take(256).collect()
    }

    fn slots(&self, node: &Node) -> [u32; 256] {
        let (runs, mut slots) = (self.runs(node), [NONE; 256]);
        let (mut entries, mut entry) = (runs.iter(), NONE);
        let (words, _) = slots.as_chunks_mut::<64>();
        for (word, changes) in words.iter_mut().zip(node.changes) {
            for (bit, slot) in word.iter_mut().enumerate() {
                if changes >> bit & 1 == 1 {
                    entry = entries.next().copied().unwrap_or(NONE);
                }
                *slot = entry;
            }
        }
        slots
    }

    /// A leaf, and its entry.
    pub(super) fn put_leaf(&mut self, leaf: Leaf) -> u32 {
        self.leaves.put(leaf) | POINTER | LEAF
    }

    /// A node with these slots, and its entry.
    pub(super) fn put_node(&mut self, slots: &[u32; 256]) -> u32 {
        let node = self.compress(slots);
        self.nodes.put(node) | POINTER
    }

    fn compress(&mut self, slots: &[u32; 256]) -> Node {
        let (mut changes, mut counts, mut runs) = ([0; 4], [0; 4], Runs::new());
        let mut before = None;
        let (words, _) = slots.as_chunks::<64>();
        for ((word, changes), count) in words.iter().zip(&mut changes).zip(&mut counts) {
            // At most 192 runs begin before the last word.
            *count = u8::try_from(runs.len()).unwrap_or(u8::MAX);
            for (bit, &slot) in
                word.iter().enumerate().filter(|&(_, &slot)| before.replace(slot) != Some(slot))
            {
                *changes |= 1_u64 << bit;
                runs.push(slot);
            }
        }
        let mut own = [NONE; OWN_ENTRIES];
        own.iter_mut().zip(&runs).for_each(|(own, run)| *own = *run);
        let base = self.spans.put(runs.get(OWN_ENTRIES..).unwrap_or_default());
        Node { changes, own, base, counts }
    }

    /// Nodes, leaves and entries outside of nodes that are in use.
    #[cfg(test)]
    pub(super) fn live(&self) -> [usize; 3] {
        [self.nodes.live(), self.leaves.live(), self.spans.live()]
    }
}

/// What the routes say inside `span`.
fn ranges_of<K: Key>(span: Span<K>, source: &impl Source<K>) -> Ranges<K> {
    let inside = source.inside(span);
    let mut routes = Vec::with_capacity(inside.len() + 1);
    if inside.first().is_none_or(|route| route.span != span) {
        routes.push(Route { span, answer: source.around(span) });
    }
    routes.extend(inside);
    flatten(routes)
}
