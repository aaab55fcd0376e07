//! Frames that wait for neighbours who have not answered yet: how many a worker keeps, over all its interfaces.
//!
//! Each interface has limits of its own ([`NeighborLimits`](crate::neighbor::NeighborLimits)), but there may be hundreds, and
//! buffers are the same for all. A scan of silent addresses in many LANs must not take what everybody forwards with, nor may
//! one in a single LAN keep the first packet of another one out. So a worker holds an eighth of its share of the small buffers, and
//! when that is used up the interface that holds most gives up its oldest frame.

use super::{Dataplane, blame_of};
use crate::{DropReason, InterfaceId, Pool, Setup};

/// Of a worker's share of the small buffers, one in so many may be held.
const SHARE: usize = 8;

/// How many frames each interface holds.
#[derive(Debug)]
pub(super) struct Held {
    each: Vec<u16>,
    all: usize,
    most: usize,
}

impl Held {
    /// Nothing yet; each worker has the same share of the buffers.
    pub(super) fn of(setup: &Setup, pool: &Pool) -> Self {
        let share = pool.small_count() / usize::from(setup.workers.max(1));
        Self::none_of(setup.interfaces.len(), share)
    }

    fn none_of(interfaces: usize, buffers: usize) -> Self {
        Self { each: vec![0; interfaces], all: 0, most: (buffers / SHARE).max(1) }
    }

    /// An interface holds so many now.
    fn note(&mut self, interface: InterfaceId, frames: usize) {
        if let Some(one) = self.each.get_mut(interface.index()) {
            let frames = u16::try_from(frames).unwrap_or(u16::MAX);
            self.all = self.all + usize::from(frames) - usize::from(*one);
            *one = frames;
        }
    }

    /// The interface that holds most, when all together hold too many.
    fn too_much(&self) -> Option<InterfaceId> {
        if self.all <= self.most {
            return None;
        }
        let each = self.each.iter().enumerate();
        each.max_by_key(|(_, frames)| **frames).map(|(at, _)| InterfaceId::at(at))
    }
}

impl Dataplane {
    /// Counts again what an interface holds, after frames came or went.
    pub(super) fn note_held(&mut self, interface: InterfaceId) {
        if let Some(one) = self.interfaces.get(interface.index()) {
            self.held.note(interface, one.neighbors.frames_held());
        }
    }

    /// A frame came to be held by `interface`: another one goes, if that is one too many.
    pub(super) fn hold_no_more_than_share(&mut self, interface: InterfaceId) {
        self.note_held(interface);
        let Some(fullest) = self.held.too_much() else { return };
        // What the fullest holds may be all released, and leave with this batch; then it is the newcomer's turn.
        for from in [fullest, interface] {
            let Some(one) = self.interfaces.get_mut(from.index()) else { continue };
            let place = one.facts.place;
            if let Some(frame) = one.neighbors.give_up_oldest() {
                self.note_held(from);
                return self.drop(blame_of(place), DropReason::NeighborUnresolved, frame);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_is_asked_and_only_when_all_together_hold_too_many() {
        let (a, b) = (InterfaceId(0), InterfaceId(2));
        let mut held = Held::none_of(3, 8 * 10);
        held.note(a, 4);
        held.note(b, 6);
        assert_eq!(held.too_much(), None);
        held.note(a, 5);
        assert_eq!(held.too_much(), Some(b));
        held.note(b, 2);
        assert_eq!((held.all, held.too_much()), (7, None));
        held.note(a, 9);
        assert_eq!(held.too_much(), Some(a));
        // No interface of this gateway.
        held.note(InterfaceId(7), 100);
        assert_eq!(held.all, 11);
    }

    #[test]
    fn a_share_too_small_to_be_divided_still_holds_a_frame() {
        let mut held = Held::none_of(1, 3);
        held.note(InterfaceId(0), 1);
        assert_eq!(held.too_much(), None);
    }
}
