//! Joining consecutive segments of a flow to a super-frame: what Linux calls generic receive offload.
//!
//! # How
//! The first segment of a flow is held as it came. When the next frame continues it, both move to a big
//! buffer, and what follows is appended there: one copy per octet, the checksum verified on the way. The
//! train leaves when something does not continue it, when it is complete, or when the batch ends: a long one may be kept open
//! for the next batch ([`Coalescer::flush_short`]), for what a sender cut from one super-frame does not always come in one.
//!
//! # What joins
//! The rules of the kernel's GRO, and no others. TCP: the same Ethernet header and tags, IP header (TOS and
//! with it ECN, TTL, DF, flow label), ports, acknowledgment, window, options; the next sequence number; ACK
//! alone of all flags, PSH on the last; as much data as the first segment has, less on the last. UDP:
//! the same without what is TCP's, and only when the port outside can cut it again. IPv4 identifications count
//! up by one, or DF is set and they mean nothing (RFC 6864 §4.1). No fragments, no IPv4 options, no IPv6
//! extension headers.
//!
//! # Invariants
//! 1. A segment with a wrong checksum leaves alone and unchanged, with the headers it came with.
//! 2. A frame that does not join leaves behind what is held of its flow, and a frame whose flow cannot be
//!    told (a fragment) behind all that is held between its addresses.
//! 3. At most [`FLOWS`] flows are held; the oldest one makes room.

mod part;
mod train;

use arrayvec::ArrayVec;

use self::{
    part::{Key, Part, between_same},
    train::{Joined, Train},
};
use super::layout::{Layout, Transport};
use crate::{Frame, Pool, port::PortCaps};

/// Flows held at a time, as in the kernel's GRO.
const FLOWS: usize = 8;

/// Segments of a train that is long: worth keeping open for more.
const LONG: usize = 16;

/// Joins the frames of one batch on their way to one port, or of several batches.
///
/// [`push`](Self::push) each frame, then [`flush`](Self::flush). Whoever calls reserves room in `out` for
/// all frames pushed, so that it does not grow: no more come out than went in.
#[derive(Debug)]
pub struct Coalescer {
    caps: PortCaps,
    /// Oldest first.
    trains: ArrayVec<Train, FLOWS>,
}

impl Coalescer {
    /// For frames that go to a port with these capabilities. Nothing joins when it cannot take super-frames,
    /// and no UDP when it cannot take those of UDP.
    pub fn new(caps: PortCaps) -> Self {
        Self { caps, trains: ArrayVec::new() }
    }

    /// Takes a frame. It joins what is held of its flow (its buffer then goes to `pool`), or is held, or is
    /// appended to `out` at once, behind what was held of its flow.
    pub fn push(&mut self, frame: Frame, pool: &mut Pool, out: &mut Vec<Frame>) {
        if !self.caps.offload {
            out.push(frame);
            return;
        }
        let Some(layout) = Layout::parse(&frame.buf) else {
            self.release_between(&frame, out);
            out.push(frame);
            return;
        };
        let Some(key) = Key::of(&frame.buf, &layout) else {
            out.push(frame);
            return;
        };
        let held = self.trains.iter().position(|train| train.key() == &key);
        match (held, self.part(&frame, layout)) {
            (Some(at), Some(part)) => self.join(at, frame, key, part, pool, out),
            (None, Some(part)) => self.hold(frame, key, part, out),
            (held, None) => {
                if let Some(at) = held {
                    self.release(at, out);
                }
                out.push(frame);
            }
        }
    }

    /// Appends all that is held to `out`, oldest flow first.
    pub fn flush(&mut self, out: &mut Vec<Frame>) {
        out.extend(self.trains.drain(..).map(Train::finish));
    }

    /// As [`flush`](Self::flush), but of the trains that are long the oldest stay, `keep` of them at most. Returns how many stay.
    pub fn flush_short(&mut self, keep: usize, out: &mut Vec<Frame>) -> usize {
        let mut stay = 0;
        while let Some(train) = self.trains.get(stay) {
            if train.is_long() && stay < keep {
                stay += 1;
            } else {
                self.release(stay, out);
            }
        }
        stay
    }

    /// Appends what nothing joined since this was last called to `out`. Returns how many trains stay.
    pub fn flush_idle(&mut self, out: &mut Vec<Frame>) -> usize {
        let mut stay = 0;
        while let Some(train) = self.trains.get_mut(stay) {
            if train.grew() {
                stay += 1;
            } else {
                self.release(stay, out);
            }
        }
        stay
    }

    /// The frame as a part of a train, if it may be one.
    fn part(&self, frame: &Frame, layout: Layout) -> Option<Part> {
        match layout.transport {
            Transport::Tcp => Part::of(frame, layout),
            Transport::Udp if self.caps.udp_segments => Part::of(frame, layout),
            Transport::Udp => None,
        }
    }

    fn join(&mut self, at: usize, frame: Frame, key: Key, part: Part, pool: &mut Pool, out: &mut Vec<Frame>) {
        let Some(train) = self.trains.get_mut(at) else {
            out.push(frame);
            return;
        };
        match train.join(&frame, &part, pool) {
            Joined::Open => pool.recycle(frame),
            Joined::Complete => {
                self.release(at, out);
                pool.recycle(frame);
            }
            Joined::Corrupt => {
                self.release(at, out);
                out.push(frame);
            }
            Joined::No => {
                self.release(at, out);
                self.hold(frame, key, part, out);
            }
        }
    }

    fn hold(&mut self, frame: Frame, key: Key, part: Part, out: &mut Vec<Frame>) {
        if part.is_last() {
            out.push(frame);
            return;
        }
        if self.trains.is_full() {
            self.release(0, out);
        }
        self.trains.push(Train::new(frame, key, part));
    }

    fn release(&mut self, at: usize, out: &mut Vec<Frame>) {
        if let Some(train) = self.trains.pop_at(at) {
            out.push(train.finish());
        }
    }

    /// Releases all that `frame`, which has no layout, might belong to.
    fn release_between(&mut self, frame: &Frame, out: &mut Vec<Frame>) {
        let mut at = 0;
        while let Some(train) = self.trains.get(at) {
            if between_same(&frame.buf, train.key()) {
                self.release(at, out);
            } else {
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod batch_tests;
#[cfg(test)]
mod tests;
