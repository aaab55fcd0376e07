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

use super::{key::Key, wide};

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

/// 256 slots with their runs; a cache line.
#[derive(Debug)]
#[repr(C, align(64))]
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
const _: () = assert!(size_of::<Node>() == 64);

/// Up to six ranges; a cache line.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Leaf {
    /// Where all ranges but the first start, in the 64 bits of the address that are next; the largest number where there is no range.
    pub(super) starts: [u64; LEAF_RANGES - 1],
    /// The answers of the ranges, the last one repeated where there is no range.
    pub(super) answers: [u32; LEAF_RANGES],
}
const _: () = assert!(size_of::<Leaf>() == 64);

/// A table.
#[derive(Debug)]
pub(super) struct Trie {
    /// One entry per value of the first octet, or of the first two if `is_flat`.
    pub(super) roots: Box<[u32]>,
    pub(super) is_flat: bool,
    pub(super) nodes: Box<[Node]>,
    pub(super) leaves: Box<[Leaf]>,
    pub(super) entries: Box<[u32]>,
}

impl Trie {
    /// The answer for `key`: a next hop or [`NONE`].
    #[inline]
    pub(super) fn lookup<K: Key>(&self, key: K) -> u32 {
        let (root, octets) =
            if self.is_flat { (usize::from(key.first_two()), 2) } else { (usize::from(key.first()), 1) };
        let (mut entry, mut rest) = (self.roots.get(root).copied().unwrap_or(NONE), key.skip(octets));
        while entry & POINTER != 0 {
            if entry & LEAF != 0 {
                return self
                    .leaves
                    .get(wide(entry & !(POINTER | LEAF)))
                    .map_or(NONE, |leaf| leaf.answer(rest.front()));
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
        let (word, bit) = (usize::from(octet >> 6), octet & 63);
        let (Some(changes), Some(&count)) = (node.changes.get(word), node.counts.get(word)) else {
            return NONE;
        };
        // Slot 0 always begins a run, so this is at least 1 and the run's position one less.
        let runs = wide((changes & (u64::MAX >> (63 - bit))).count_ones()) + usize::from(count);
        let run = runs.wrapping_sub(1);
        node.own
            .get(run)
            .or_else(|| self.entries.get(wide(node.base) + run - OWN_ENTRIES))
            .copied()
            .unwrap_or(NONE)
    }

    /// Octets of memory behind the structure itself.
    pub(super) fn memory_octets(&self) -> usize {
        size_of_val(&*self.roots)
            + size_of_val(&*self.nodes)
            + size_of_val(&*self.leaves)
            + size_of_val(&*self.entries)
    }
}

impl Leaf {
    /// The answer for the address whose next 64 bits are `front`.
    #[inline]
    fn answer(&self, front: u64) -> u32 {
        // All compared, without a branch: there is nothing to mispredict.
        let range = self.starts.iter().fold(0, |range, &start| range + usize::from(start <= front));
        self.answers.get(range).copied().unwrap_or(NONE)
    }
}
