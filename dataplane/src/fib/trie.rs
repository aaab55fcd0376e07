//! The lookup: down a tree by the octets of the address, one cache line or two at a time.
//!
//! An entry is an answer (a next hop, or "no route"), or points to one of two things:
//!
//! - A [`Node`] stands for 256 slots, one per value of the next octet. Slots that follow each other with the same
//!   entry are stored once: a bit is set at the first slot of each run, and the run of a slot is the number of
//!   bits set up to it. The counts at each 64th slot are stored, so one word is counted per step. (Degermark et
//!   al., "Small Forwarding Tables for Fast Routing Lookups", 1997.)
//! - A [`Leaf`] ends the search where few ranges are left: it is a list of up to six of them, compared all at once. It
//!   saves the long tails of IPv6, where a node per octet would lead to one lonely prefix.
//!
//! Where no prefix of the tree covers an address, the few very short ones, the default route above all, are asked
//! ([`Key::BROAD`]). In the tree each of them would stand in every gap, and a default route that changes would change it all.

use core::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::Arc;

use super::{
    key::Key,
    ranges::Ranges,
    slab::{Cell, Life},
    wide,
};

/// Marks an entry that points; without it the entry is an answer.
pub(super) const POINTER: u32 = 1 << 31;
/// Marks a pointer to a leaf.
pub(super) const LEAF: u32 = 1 << 30;
/// The answer "no route".
pub(super) const NONE: u32 = POINTER - 1;
/// Ranges in a leaf.
pub(super) const LEAF_RANGES: usize = 6;
/// Entries that a node holds itself; the others are in [`Trie::entries`].
pub(super) const OWN_ENTRIES: usize = 6;
/// 256 slots with their runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// Bit set: the entry of this slot differs from that of the slot before. Slot 0's is always set.
    pub(super) changes: [u64; 4],
    /// Entries of the first runs.
    pub(super) own: [u32; OWN_ENTRIES],
    /// Index of the entry of the first run that is not among `own`.
    pub(super) base: u32,
    /// Bits set in the words before each word: at most 192.
    pub(super) counts: [u8; 4],
}

/// Up to six ranges.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    /// Where all ranges but the first start, in the 64 bits of the address that are next; the largest number where there is no range.
    pub(super) starts: [u64; LEAF_RANGES - 1],
    /// The answers of the ranges, the last one repeated where there is no range.
    pub(super) answers: [u32; LEAF_RANGES],
}

/// A [`Node`] as it is stored: a cache line.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct NodeCell {
    changes: [AtomicU64; 4],
    own: [AtomicU32; OWN_ENTRIES],
    base: AtomicU32,
    counts: AtomicU32,
}
const _: () = assert!(size_of::<NodeCell>() == 64);

/// A [`Leaf`] as it is stored: a cache line.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct LeafCell {
    starts: [AtomicU64; LEAF_RANGES - 1],
    answers: [AtomicU32; LEAF_RANGES],
}
const _: () = assert!(size_of::<LeafCell>() == 64);

impl Cell for NodeCell {
    type Plain = Node;

    fn vacant() -> Self {
        Self {
            changes: [const { AtomicU64::new(1) }; 4],
            own: [const { AtomicU32::new(NONE) }; OWN_ENTRIES],
            base: AtomicU32::vacant(),
            counts: AtomicU32::vacant(),
        }
    }

    fn write(&self, plain: Node) {
        write_all(&self.changes, &plain.changes);
        write_all(&self.own, &plain.own);
        self.base.write(plain.base);
        self.counts.write(u32::from_le_bytes(plain.counts));
    }

    fn read(&self) -> Node {
        Node {
            changes: self.changes.each_ref().map(Cell::read),
            own: self.own.each_ref().map(Cell::read),
            base: self.base.read(),
            counts: self.counts.read().to_le_bytes(),
        }
    }
}

impl Cell for LeafCell {
    type Plain = Leaf;

    fn vacant() -> Self {
        Self {
            starts: [const { AtomicU64::new(0) }; LEAF_RANGES - 1],
            answers: [const { AtomicU32::new(NONE) }; LEAF_RANGES],
        }
    }

    fn write(&self, plain: Leaf) {
        write_all(&self.starts, &plain.starts);
        write_all(&self.answers, &plain.answers);
    }

    fn read(&self) -> Leaf {
        Leaf {
            starts: self.starts.each_ref().map(Cell::read),
            answers: self.answers.each_ref().map(Cell::read),
        }
    }
}

fn write_all<C: Cell>(cells: &[C], plain: &[C::Plain]) {
    cells.iter().zip(plain).for_each(|(cell, plain)| cell.write(*plain));
}

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Trie<K> {
    /// One entry per value of the first octet, or of the first two if `is_flat`.
    pub(super) roots: Arc<[u32]>,
    pub(super) is_flat: bool,
    pub(super) nodes: Arc<[NodeCell]>,
    pub(super) leaves: Arc<[LeafCell]>,
    pub(super) entries: Arc<[AtomicU32]>,
    /// What the very short prefixes answer.
    pub(super) broad: Arc<Ranges<K>>,
    /// While this is there, nobody writes to what the table uses.
    #[expect(dead_code, reason = "it is there, and that is all it does")]
    pub(super) life: Arc<Life>,
}

impl<K: Key> Trie<K> {
    /// The answer for `key`: a next hop or [`NONE`].
    #[inline]
    pub(super) fn lookup(&self, key: K) -> u32 {
        match self.descend(key) {
            NONE => self.ask_the_broad(key),
            answer => answer,
        }
    }

    /// Apart, so that the way of most lookups stays short.
    #[inline(never)]
    fn ask_the_broad(&self, key: K) -> u32 {
        self.broad.lookup(key)
    }

    #[inline]
    fn descend(&self, key: K) -> u32 {
        let (root, octets) =
            if self.is_flat { (usize::from(key.first_two()), 2) } else { (usize::from(key.first()), 1) };
        let (mut entry, mut rest) = (self.roots.get(root).copied().unwrap_or(NONE), key.skip(octets));
        while entry & POINTER != 0 {
            if entry & LEAF != 0 {
                let leaf = self.leaves.get(wide(entry & !(POINTER | LEAF)));
                return leaf.map_or(NONE, |leaf| leaf.answer(rest.front()));
            }
            entry = self.step(entry & !POINTER, rest.first());
            rest = rest.skip(1);
        }
        entry
    }

    /// The entry of slot `octet` of a node.
    #[inline]
    fn step(&self, node: u32, octet: u8) -> u32 {
        let Some(node) = self.nodes.get(wide(node)) else { return NONE };
        let (word, bit) = (octet >> 6, octet & 63);
        let Some(changes) = node.changes.get(usize::from(word)) else { return NONE };
        let before = node.counts.read() >> (8 * word) & 0xff;
        // Slot 0 always begins a run, so this is at least 1 and the run's position one less.
        let runs = wide((changes.read() & (u64::MAX >> (63 - bit))).count_ones()) + wide(before);
        let run = runs.wrapping_sub(1);
        let outside = || self.entries.get(wide(node.base.read()) + run - OWN_ENTRIES);
        node.own.get(run).or_else(outside).map_or(NONE, Cell::read)
    }

    /// Octets of memory behind the structure itself.
    pub(super) fn memory_octets(&self) -> usize {
        size_of_val(&*self.roots)
            + size_of_val(&*self.nodes)
            + size_of_val(&*self.leaves)
            + size_of_val(&*self.entries)
            + size_of::<Ranges<K>>()
            + self.broad.memory_octets()
    }
}

impl Node {
    /// How many runs there are: 1..=256.
    pub(super) fn runs(&self) -> usize {
        self.changes.iter().map(|word| wide(word.count_ones())).sum()
    }

    /// Entries that are not in the node itself.
    pub(super) fn outside(&self) -> usize {
        self.runs().saturating_sub(OWN_ENTRIES)
    }
}

impl LeafCell {
    /// The answer for the address whose next 64 bits are `front`.
    #[inline]
    fn answer(&self, front: u64) -> u32 {
        // All compared, without a branch: there is nothing to mispredict.
        let range = self.starts.iter().fold(0, |range, start| range + usize::from(start.read() <= front));
        self.answers.get(range).map_or(NONE, Cell::read)
    }
}
