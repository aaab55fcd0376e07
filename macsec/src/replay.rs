//! The receive side of packet numbers: what is too late, and when the window moves.
//!
//! The standard keeps two numbers per receive SA, nextPN and lowestPN, and no record of what was received
//! between them: with a replay window a packet number inside it may be accepted again (802.1AE-2018 §10.6).
//! Our stricter option keeps one bit per number in the window and refuses duplicates as well.
//!
//! The two numbers are kept one lower, as `highest` (the highest packet number seen) and `floor` (the
//! highest one that is too late), so that both fit 64 bits when all 2^64 - 1 numbers are used up.
//!
//! Invariants: `floor <= highest`; `highest - floor` is at most the window; neither number ever falls; a
//! frame moves them only with an [`IcvValid`].

use net::carry::{Carry, Opened, Parcel};

use crate::{aead::IcvValid, pn};

/// The widest window for which duplicates can be refused: one bit each, 8 KiB per SA.
pub const MAX_STRICT_WINDOW: u32 = 1 << 16;

/// nextPN and lowestPN of one receive SA, and in strict mode which numbers between them were seen.
#[derive(Debug)]
pub struct ReplayWindow {
    /// nextPN - 1.
    highest: u64,
    /// lowestPN - 1.
    floor: u64,
    /// replayWindow: how far behind `highest` the floor stays.
    width: u32,
    seen: Option<Seen>,
}

impl ReplayWindow {
    /// A window of `width` numbers whose nextPN and lowestPN are both `lowest` (0 counts as 1). With
    /// `strict` duplicates in it are refused; `width` is then held to [`MAX_STRICT_WINDOW`].
    pub fn new(lowest: u64, width: u32, strict: bool) -> Self {
        let floor = lowest.saturating_sub(1);
        let width = if strict { width.min(MAX_STRICT_WINDOW) } else { width };
        Self { highest: floor, floor, width, seen: strict.then(|| Seen::new(width)) }
    }

    /// The same numbers under another policy. What was received before is not remembered across the
    /// change, so in strict mode everything up to the highest number is too late from then on.
    pub fn reshape(&mut self, width: u32, strict: bool) {
        let shape = Self::new(1, width, strict);
        if (shape.width, strict) != (self.width, self.seen.is_some()) {
            let reach = if strict { 0 } else { u64::from(shape.width) };
            let floor = self.floor.max(self.highest.saturating_sub(reach));
            *self = Self { floor, highest: self.highest, ..shape };
        }
    }

    /// nextPN: one more than the highest number received; `u64::MAX` also when that is 2^64.
    pub const fn next_pn(&self) -> u64 {
        self.highest.saturating_add(1)
    }

    /// lowestPN: frames below it are too late; `u64::MAX` also when it is 2^64.
    pub const fn lowest_pn(&self) -> u64 {
        self.floor.saturating_add(1)
    }

    /// The packet number under XPN of a frame that carries `word` (§10.6.2).
    #[inline]
    pub const fn recover(&self, word: u32) -> u64 {
        pn::recover(self.floor.wrapping_add(1), word)
    }

    /// What [`recover`](Self::recover) will say once `pn` was accepted: a batch looks ahead with it.
    #[inline]
    pub(crate) fn recover_after(&self, pn: u64, word: u32) -> u64 {
        pn::recover(self.floor_after(pn).wrapping_add(1), word)
    }

    /// Below lowestPN, or in strict mode seen before.
    #[inline]
    pub fn refuses(&self, pn: u64) -> bool {
        pn <= self.floor || self.seen.as_ref().is_some_and(|seen| pn <= self.highest && seen.contains(pn))
    }

    /// Below lowestPN, where a number of 0 counts as 2^64 (§10.6): the test for a delayed frame.
    #[inline]
    pub const fn delays(&self, pn: u64) -> bool {
        pn != 0 && pn <= self.floor
    }

    /// A frame with this number was valid: moves nextPN and lowestPN.
    #[inline]
    pub fn accept(&mut self, pn: u64, _proof: IcvValid) {
        self.advance(pn);
        if let Some(seen) = &mut self.seen {
            seen.insert(pn);
        }
        self.floor = self.floor_after(pn);
    }

    /// Raises lowestPN to `pn`, and nextPN when it was below; never lowers them (updLowestPN, §10.7).
    pub fn raise_lowest(&mut self, pn: u64) {
        let floor = pn.saturating_sub(1).max(self.floor);
        self.advance(floor);
        self.floor = floor;
    }

    fn floor_after(&self, pn: u64) -> u64 {
        let highest = self.highest.max(pn);
        self.floor.max(highest.saturating_sub(u64::from(self.width)))
    }

    fn advance(&mut self, pn: u64) {
        if pn > self.highest {
            if let Some(seen) = &mut self.seen {
                seen.forget(self.highest, pn);
            }
            self.highest = pn;
        }
    }
}

/// What is left to a successor: highest, floor, width, and which were seen.
impl ReplayWindow {
    /// Leaves its numbers.
    pub(crate) fn pack(&self, out: &mut Parcel) {
        (self.highest, self.floor).pack(out);
        self.width.pack(out);
        self.seen.as_ref().map(|seen| seen.words.to_vec()).pack(out);
    }

    /// A window with the numbers that another one left, and this policy: where that is another one, as after
    /// [`reshape`](Self::reshape). `None` when no window leaves such numbers.
    pub(crate) fn unpack(from: &mut Opened<'_>, (width, strict): (u32, bool)) -> Option<Self> {
        let (highest, floor) = Carry::unpack(from)?;
        let (was, words): (u32, Option<Vec<u64>>) = (Carry::unpack(from)?, Carry::unpack(from)?);
        let mut this = Self { highest, floor, ..Self::new(1, was, words.is_some()) };
        let reach = u64::from(this.width);
        if floor > highest || highest - floor > reach {
            return None;
        }
        if let (Some(seen), Some(words)) = (&mut this.seen, words) {
            if seen.words.len() != words.len() {
                return None;
            }
            seen.words = words.into();
        }
        this.reshape(width, strict);
        Some(this)
    }
}

/// One bit per packet number modulo the ring's size. Bits of numbers above the highest are clear in every
/// word that the window can reach, because a word is cleared whole when the highest number enters it.
#[derive(Debug)]
struct Seen {
    /// A power of two words, at least 64 numbers more than the window, so that the word just entered and
    /// the window's last never share one.
    words: Box<[u64]>,
}

impl Seen {
    fn new(width: u32) -> Self {
        let words = usize::try_from(width / 64).unwrap_or(usize::MAX).saturating_add(2).next_power_of_two();
        Self { words: vec![0; words].into() }
    }

    fn contains(&self, pn: u64) -> bool {
        self.words.get(self.slot(pn / 64)).is_some_and(|word| word & bit(pn) != 0)
    }

    fn insert(&mut self, pn: u64) {
        let slot = self.slot(pn / 64);
        if let Some(word) = self.words.get_mut(slot) {
            *word |= bit(pn);
        }
    }

    /// Clears the words that numbers above `highest`, up to `pn`, enter.
    fn forget(&mut self, highest: u64, pn: u64) {
        let (from, to) = (highest / 64, pn / 64);
        let all = u64::try_from(self.words.len()).unwrap_or(u64::MAX);
        for block in from.max(to.saturating_sub(all)) + 1..=to {
            let slot = self.slot(block);
            if let Some(word) = self.words.get_mut(slot) {
                *word = 0;
            }
        }
    }

    fn slot(&self, block: u64) -> usize {
        // The length is a power of two: the low bits of a truncated block number are enough.
        let mask = self.words.len() - 1;
        usize::try_from(block & u64::try_from(mask).unwrap_or(0)).unwrap_or(0)
    }
}

fn bit(pn: u64) -> u64 {
    1 << (pn % 64)
}
