//! Memory that a table is changed in while older ones are read.
//!
//! All tables that were made one from the other lie in the same memory, and share what did not change. The maker never
//! writes where a table that somebody still has can look: what a newer table does without is in *limbo* until the last of
//! the older ones is gone, and only then used again. So a reader's table never changes, though its memory does; cells
//! are atomic, which costs a reader nothing, and keep the compiler's word where this promise would be broken: the worst
//! that comes of a mistake here is a wrong answer. Tables are handed to readers through channels and `Arc`s, which order
//! the writes before the reads.
//!
//! The memory is one piece, so that a reader computes where a cell is. When it is full it is copied to a larger one,
//! with an eighth to spare; tables that have the old one keep it.

use core::{
    fmt,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use super::wide;

/// What is stored, as readers see it.
pub(super) trait Cell {
    /// What is stored, as the maker sees it.
    type Plain: Copy + fmt::Debug;
    /// A cell with nothing that is of use.
    fn vacant() -> Self;
    fn write(&self, plain: Self::Plain);
    fn read(&self) -> Self::Plain;
}

impl Cell for AtomicU32 {
    type Plain = u32;

    fn vacant() -> Self {
        Self::new(0)
    }

    #[inline]
    fn write(&self, plain: u32) {
        self.store(plain, Relaxed);
    }

    #[inline]
    fn read(&self) -> u32 {
        self.load(Relaxed)
    }
}

impl Cell for AtomicU64 {
    type Plain = u64;

    fn vacant() -> Self {
        Self::new(0)
    }

    #[inline]
    fn write(&self, plain: u64) {
        self.store(plain, Relaxed);
    }

    #[inline]
    fn read(&self) -> u64 {
        self.load(Relaxed)
    }
}

/// Is there as long as a table is.
#[derive(Debug)]
pub(super) struct Life;

/// Which tables are there.
#[derive(Debug, Default)]
pub(super) struct Lives {
    /// How many tables there ever were: the number of the newest.
    newest: u64,
    /// Tables that may still be there, by number.
    tables: VecDeque<(u64, Weak<Life>)>,
}

impl Lives {
    /// A new table.
    pub(super) fn begin(&mut self) -> Arc<Life> {
        let life = Arc::new(Life);
        self.newest += 1;
        self.tables.push_back((self.newest, Arc::downgrade(&life)));
        life
    }

    pub(super) const fn newest(&self) -> u64 {
        self.newest
    }

    /// The oldest table that is there, or the next one.
    pub(super) fn oldest(&mut self) -> u64 {
        while self.tables.pop_front_if(|(_, life)| life.strong_count() == 0).is_some() {}
        self.tables.front().map_or(self.newest + 1, |(table, _)| *table)
    }
}

/// Cells by number, written where no reader looks.
#[derive(Debug)]
pub(super) struct Memory<C: Cell> {
    cells: Arc<[C]>,
    /// What found no room behind the cells; moves there before a reader sees it.
    young: Vec<C::Plain>,
    used: u32,
}

impl<C: Cell> Memory<C> {
    fn new() -> Self {
        Self { cells: Arc::new([]), young: Vec::new(), used: 0 }
    }

    /// The next `count` cells that nobody had.
    fn extend(&mut self, count: u32, fill: C::Plain) -> u32 {
        let at = self.used;
        self.used += count;
        let missing = wide(self.used).saturating_sub(self.cells.len() + self.young.len());
        self.young.extend(core::iter::repeat_n(fill, missing));
        at
    }

    /// What is stored in cell `at`.
    pub(super) fn read(&self, at: u32) -> Option<C::Plain> {
        let at = wide(at);
        let young = || self.young.get(at.checked_sub(self.cells.len())?).copied();
        self.cells.get(at).map(C::read).or_else(young)
    }

    fn write(&mut self, at: u32, plain: C::Plain) {
        let at = wide(at);
        match self.cells.get(at) {
            Some(cell) => cell.write(plain),
            None => {
                let young = at.checked_sub(self.cells.len()).and_then(|at| self.young.get_mut(at));
                young.into_iter().for_each(|slot| *slot = plain);
            }
        }
    }

    /// All cells, for readers.
    pub(super) fn share(&mut self) -> Arc<[C]> {
        if !self.young.is_empty() {
            let young = core::mem::take(&mut self.young);
            let spare = if self.cells.is_empty() && young.len() < 64 { 0 } else { wide(self.used) / 8 };
            let old = self.cells.iter().map(C::read).chain(young);
            let cell = |plain| {
                let cell = C::vacant();
                cell.write(plain);
                cell
            };
            self.cells = old.map(cell).chain(core::iter::repeat_with(C::vacant).take(spare)).collect();
        }
        Arc::clone(&self.cells)
    }
}

/// Numbers that are not in use.
#[derive(Debug)]
struct Spare {
    /// May be used.
    free: Vec<u32>,
    /// The newest table that was handed out has these; the next one does not.
    dropped: Vec<u32>,
    /// By table: it, and perhaps older ones, have these, newer ones do not.
    limbo: VecDeque<(u64, Vec<u32>)>,
}

impl Spare {
    const fn new() -> Self {
        Self { free: Vec::new(), dropped: Vec::new(), limbo: VecDeque::new() }
    }

    /// Table `newest` is followed by another.
    fn follow(&mut self, newest: u64) {
        if !self.dropped.is_empty() {
            self.limbo.push_back((newest, core::mem::take(&mut self.dropped)));
        }
    }

    /// No table before `oldest` is there any more.
    fn collect(&mut self, oldest: u64) {
        while let Some((_, mut gone)) = self.limbo.pop_front_if(|(table, _)| *table < oldest) {
            self.free.append(&mut gone);
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.free.len() + self.dropped.len() + self.limbo.iter().map(|(_, gone)| gone.len()).sum::<usize>()
    }
}

/// Single cells that are given out and taken back.
#[derive(Debug)]
pub(super) struct Slab<C: Cell> {
    pub(super) memory: Memory<C>,
    spare: Spare,
}

impl<C: Cell> Slab<C> {
    pub(super) fn new() -> Self {
        Self { memory: Memory::new(), spare: Spare::new() }
    }

    /// Puts `plain` into a free cell.
    pub(super) fn put(&mut self, plain: C::Plain) -> u32 {
        match self.spare.free.pop() {
            Some(at) => {
                self.memory.write(at, plain);
                at
            }
            None => {
                let at = self.memory.extend(1, plain);
                self.memory.write(at, plain);
                at
            }
        }
    }

    /// Takes a cell back.
    pub(super) fn release(&mut self, at: u32) {
        self.spare.dropped.push(at);
    }

    /// Table `newest` is followed by another: it, and perhaps older ones, have what was released since it was handed out.
    pub(super) fn follow(&mut self, newest: u64) {
        self.spare.follow(newest);
    }

    /// No table before `oldest` is there any more: what they alone had may be used again.
    pub(super) fn collect(&mut self, oldest: u64) {
        self.spare.collect(oldest);
    }

    /// Cells in use.
    #[cfg(test)]
    pub(super) fn live(&self) -> usize {
        wide(self.memory.used) - self.spare.len()
    }
}

/// Entries that spans are counted in.
const UNIT: usize = 4;
/// Sizes of spans, in units: a node has at most 256 entries.
const SIZES: usize = 256 / UNIT;

/// Runs of entries that lie together.
#[derive(Debug)]
pub(super) struct Spans {
    pub(super) memory: Memory<AtomicU32>,
    /// By size in units, less one.
    spare: [Spare; SIZES],
}

impl Spans {
    pub(super) fn new() -> Self {
        Self { memory: Memory::new(), spare: [const { Spare::new() }; SIZES] }
    }

    /// Where `entries`, at most 256, lie from now on.
    pub(super) fn put(&mut self, entries: &[u32]) -> u32 {
        let units = entries.len().div_ceil(UNIT);
        if units == 0 {
            return 0;
        }
        let at = self.take(units);
        (at..).zip(entries).for_each(|(at, entry)| self.memory.write(at, *entry));
        at
    }

    /// Takes the span of `len` entries at `at` back.
    pub(super) fn release(&mut self, at: u32, len: usize) {
        if let Some(spare) = self.spare_of(len.div_ceil(UNIT)) {
            spare.dropped.push(at);
        }
    }

    /// As [`Slab::follow`].
    pub(super) fn follow(&mut self, newest: u64) {
        self.spare.iter_mut().for_each(|spare| spare.follow(newest));
    }

    /// As [`Slab::collect`].
    pub(super) fn collect(&mut self, oldest: u64) {
        self.spare.iter_mut().for_each(|spare| spare.collect(oldest));
    }

    fn spare_of(&mut self, units: usize) -> Option<&mut Spare> {
        self.spare.get_mut(units.checked_sub(1)?)
    }

    /// A free span of this size, or part of a longer one, or fresh memory.
    fn take(&mut self, units: usize) -> u32 {
        let longer = self.spare.iter_mut().zip(1..).skip(units - 1);
        let found = longer.into_iter().find_map(|(spare, size)| Some((spare.free.pop()?, size)));
        let Some((at, size)) = found else { return self.memory.extend(entries(units), 0) };
        if let Some(rest) = self.spare_of(size - units) {
            rest.free.push(at + entries(units));
        }
        at
    }

    /// Entries in spans that are in use.
    #[cfg(test)]
    pub(super) fn live(&self) -> usize {
        let spare = self.spare.iter().zip(1..).map(|(spare, size)| spare.len() * size * UNIT);
        wide(self.memory.used) - spare.sum::<usize>()
    }
}

/// So many units in entries.
fn entries(units: usize) -> u32 {
    u32::try_from(units * UNIT).unwrap_or(u32::MAX)
}
