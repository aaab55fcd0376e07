//! The lookup: one step per octet of the address, each with one count of bits.
//!
//! A node stands for 256 slots, one per value of the next octet. Slots that follow each other with the same
//! entry are stored once: a bit is set at the first slot of each run, and the run of a slot is the number of bits
//! set up to it. The counts at each 64th slot are stored, so one word is counted per step. An entry is a next hop, "no
//! route", or another node. (Degermark et al., "Small Forwarding Tables for Fast Routing Lookups", 1997.)

use super::{key::Key, wide};

/// Marks an entry that is a node's index; without it the entry is an answer.
pub(super) const NODE: u32 = 1 << 31;
/// The answer "no route".
pub(super) const NONE: u32 = NODE - 1;

/// 256 slots with their runs.
#[derive(Debug)]
pub(super) struct Node {
    /// Bit set: the entry of this slot differs from that of the slot before. Slot 0's is always set.
    pub(super) changes: [u64; 4],
    /// Index of the entry *before* the node's first one.
    pub(super) base: u32,
    /// Bits set in the words before each word: at most 192.
    pub(super) counts: [u8; 4],
}
const _: () = assert!(size_of::<Node>() == 40);

/// A table of many routes.
#[derive(Debug)]
pub(super) struct Trie {
    /// One entry for all addresses, or 65,536 for the values of their first two octets.
    pub(super) roots: Box<[u32]>,
    pub(super) nodes: Box<[Node]>,
    /// Entry 0 belongs to nobody: see [`Node::base`].
    pub(super) entries: Box<[u32]>,
}

impl Trie {
    /// The answer for `key`: a next hop or [`NONE`].
    #[inline]
    pub(super) fn lookup<K: Key>(&self, key: K) -> u32 {
        let (mut entry, mut rest) = match *self.roots {
            [only] => (only, key),
            _ => (self.roots.get(usize::from(key.first_two())).copied().unwrap_or(NONE), key.skip(2)),
        };
        while entry & NODE != 0 {
            entry = self.step(entry & !NODE, rest.first());
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
        let run = u32::from(count) + (changes & (u64::MAX >> (63 - bit))).count_ones();
        self.entries.get(wide(node.base + run)).copied().unwrap_or(NONE)
    }

    /// Octets of memory behind the structure itself.
    pub(super) fn memory_octets(&self) -> usize {
        size_of_val(&*self.roots) + size_of_val(&*self.nodes) + size_of_val(&*self.entries)
    }
}
