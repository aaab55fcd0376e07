//! Frames that no key opened yet, and those behind them that one did, in the order of the capture.
//!
//! A capture may show frames under a SAK a little before the MKPDU that distributes it: queues of a NIC are written
//! one after the other, and the first of several such MKPDUs may have been lost to the capture but not to the
//! peers. So with CAKs given, a frame waits for a key a while before it is given up. Opened frames stay behind it,
//! so that what is written is in order.
//!
//! Invariant: frames, octets and time are limited, so memory does not grow with the capture.

use core::mem;
use std::collections::VecDeque;

use super::decoder::{Opened, SaId};

/// Nanoseconds of the capture that a frame waits: longer than an MKA Life Time, after which nobody would still use
/// a key that others have not got.
const LONGEST: u64 = 10_000_000_000;
/// Frames in the queue.
const MOST_FRAMES: usize = 4096;
/// Octets in the queue.
const MOST_OCTETS: usize = 16 << 20;

/// A frame that no key opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Pending {
    /// When it was captured.
    pub(super) nanoseconds: u64,
    pub(super) id: SaId,
    /// The packet number in its SecTAG.
    pub(super) pn: u32,
    /// The frame as it was captured, without an announced FCS.
    pub(super) frame: Vec<u8>,
    /// Some key was tried when it came.
    pub(super) tried: bool,
}

#[derive(Debug)]
enum Entry {
    Opened(u64, Opened),
    Pending(Pending),
}

impl Entry {
    const fn octets(&self) -> usize {
        match self {
            Self::Opened(_, opened) => opened.octets.len(),
            Self::Pending(pending) => pending.frame.len(),
        }
    }
}

/// What comes out at the front.
#[derive(Debug)]
pub(super) enum Left {
    /// An opened frame, and when it was captured.
    Opened(u64, Opened),
    /// No key came for it.
    GivenUp(Pending),
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    entries: VecDeque<Entry>,
    octets: usize,
}

impl Waiting {
    pub(super) fn push_opened(&mut self, nanoseconds: u64, opened: Opened) {
        self.push(Entry::Opened(nanoseconds, opened));
    }

    pub(super) fn push_pending(&mut self, pending: Pending) {
        self.push(Entry::Pending(pending));
    }

    fn push(&mut self, entry: Entry) {
        self.octets += entry.octets();
        self.entries.push_back(entry);
    }

    /// Gives every frame that waits to `open`; those that it opens wait no longer.
    pub(super) fn retry(&mut self, mut open: impl FnMut(&Pending) -> Option<Opened>) {
        for entry in &mut self.entries {
            let Entry::Pending(pending) = entry else { continue };
            let Some(opened) = open(pending) else { continue };
            let opened = Entry::Opened(pending.nanoseconds, opened);
            let before = mem::replace(entry, opened).octets();
            self.octets = self.octets.saturating_sub(before).saturating_add(entry.octets());
        }
    }

    /// What leaves the queue at this time, if anything; `None` for the time: everything does.
    pub(super) fn pop(&mut self, now: Option<u64>) -> Option<Left> {
        let full = self.entries.len() > MOST_FRAMES || self.octets > MOST_OCTETS;
        let leaves = match self.entries.front()? {
            Entry::Opened(..) => true,
            Entry::Pending(pending) => {
                full || now.is_none_or(|now| now.saturating_sub(pending.nanoseconds) > LONGEST)
            }
        };
        let entry = self.entries.pop_front_if(|_| leaves)?;
        self.octets = self.octets.saturating_sub(entry.octets());
        Some(match entry {
            Entry::Opened(nanoseconds, opened) => Left::Opened(nanoseconds, opened),
            Entry::Pending(pending) => Left::GivenUp(pending),
        })
    }
}
