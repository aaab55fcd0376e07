//! Sending: what the dataplane left behind goes where it belongs.
//!
//! Most ports are given their frames batch by batch. Some send best together: AF_XDP ports by one call for frames of all of them, which costs hardly
//! more for a hundred than for a dozen ([`dataplane::port::Port::gather`]), and tunnels in trains, which are filled by the frames that come next. Their
//! frames wait in the dataplane's queues while more come. They leave when there are [`ENOUGH`], and after a round over all ports that brought
//! no more of them, in which a control frame was among them, or after which they are so few that a call would not pay.
//!
//! Likewise a long train towards a LAN waits for segments of the same super-frame that are still to come, and leaves after a round that brought none.
//! Nothing of either is left when a worker sleeps.

use dataplane::{Event, PortId, port::WORTH_GATHERING};

use super::{News, Stage, Worker};
use crate::clock;

/// Frames that are not kept waiting for more: about three trains of 64 KiB at an MTU of 1500.
const ENOUGH: usize = 96;

impl Worker {
    /// Sends, hands over and tells everything.
    pub(super) fn settle(&mut self) {
        self.dataplane.close_trains();
        self.send_frames();
        // Where a port was lost, others are to send in its place, and may be lost as well.
        for _ in 0..=self.ports.len() {
            if !self.flush() {
                break;
            }
            self.send_frames();
        }
        self.pass_on();
    }

    /// As [`Self::settle`], but frames of ports that gather may wait for more, until [`Self::flush`], and trains too, until they do not grow
    /// any more.
    pub(super) fn settle_and_gather(&mut self) {
        self.send_frames();
        self.pass_on();
    }

    /// What is for other workers, and for the control plane.
    fn pass_on(&mut self) {
        self.hand_over();
        while let Some(event) = self.dataplane.poll_event() {
            let news = if let Event::Moved(moved) = event {
                // Frames have gone their new way when this is told.
                self.send_frames();
                self.flush();
                News::Moved(moved, clock::now())
            } else {
                News::Dataplane(event)
            };
            (self.news)(news);
        }
    }

    fn send_frames(&mut self) {
        let before = self.keeper.counts().send.frames;
        self.held.clear();
        while let Some(id) = self.dataplane.poll_transmit() {
            if matches!(self.ports.get(id.index()), Some(Some(port)) if port.gathers()) {
                if !self.gathering.contains(&id) {
                    self.gathering.push(id);
                }
            } else {
                self.send_by(id);
            }
        }
        for &id in &self.held {
            self.dataplane.keep_waiting(id);
        }
        let sent = self.keeper.counts().send.frames - before;
        self.keeper.lap(Stage::Send, usize::try_from(sent).unwrap_or(0));
    }

    /// Sends what waits for a port. True when the port was lost.
    fn send_by(&mut self, id: PortId) -> bool {
        let (lost, path) = match (self.ports.get_mut(id.index()), self.dataplane.transmit(id)) {
            (Some(Some(port)), Some((frames, pool))) if !frames.is_empty() => {
                self.keeper.counts().send.count(frames.len());
                let sent = port.send(frames, pool);
                if !frames.is_empty() {
                    self.held.push(id);
                }
                (sent.err(), port.path_news())
            }
            (Some(Some(_)), _) => return false,
            _ => (None, None),
        };
        if let Some(octets) = path {
            self.hear_of_path(id, octets, clock::now());
        }
        if let Some(error) = lost {
            self.lose(id, error);
        }
        if !matches!(self.ports.get(id.index()), Some(Some(_))) {
            self.dataplane.drop_unsent(id);
        }
        lost.is_some()
    }

    /// Frames that wait for more.
    pub(super) fn gathered(&mut self) -> usize {
        let mut count = 0;
        for &id in &self.gathering {
            count += self.dataplane.transmit(id).map_or(0, |(frames, _)| frames.len());
        }
        count
    }

    /// Sends what was gathered when it is enough.
    pub(super) fn flush_when_enough(&mut self) {
        if self.gathered() >= ENOUGH {
            self.flush();
        }
    }

    /// After a round over all ports, before which so many had been gathered: sends them unless it is worth waiting for more. Says how many
    /// wait.
    pub(super) fn flush_unless_worth_waiting(&mut self, before: usize) -> usize {
        let gathered = self.gathered();
        if gathered > before && gathered >= WORTH_GATHERING && !self.is_control_waiting() {
            return gathered;
        }
        self.flush();
        0
    }

    /// After a round over all ports: trains leave that did not grow in it.
    pub(super) fn send_idle_trains(&mut self) {
        if self.dataplane.close_idle_trains() {
            self.keeper.begin();
            self.send_frames();
            self.keeper.end();
        }
    }

    /// Whether a control frame is among what was gathered.
    fn is_control_waiting(&mut self) -> bool {
        self.gathering.iter().any(|&id| {
            self.dataplane.transmit(id).is_some_and(|(frames, _)| frames.iter().any(|frame| frame.control))
        })
    }

    /// Sends all that was gathered: together when that is worth it, each port its own otherwise, and what cannot leave together. True when
    /// a port was lost.
    pub(super) fn flush(&mut self) -> bool {
        if self.gathering.is_empty() {
            return false;
        }
        let frames = self.gathered();
        self.keeper.begin();
        let mut gathering = core::mem::take(&mut self.gathering);
        if frames >= WORTH_GATHERING {
            for &id in &gathering {
                self.gather(id);
            }
            // Any of them sends for all, but which of them still can is for them to say.
            for id in &gathering {
                if let Some(Some(port)) = self.ports.get_mut(id.index()) {
                    port.send_gathered();
                }
            }
        }
        let mut lost = false;
        for id in gathering.drain(..) {
            lost |= self.send_by(id);
        }
        self.gathering = gathering;
        for &id in &self.held {
            self.dataplane.keep_waiting(id);
        }
        self.keeper.lap(Stage::Send, frames);
        self.keeper.end();
        lost
    }

    fn gather(&mut self, id: PortId) {
        if let (Some(Some(port)), Some((frames, pool))) =
            (self.ports.get_mut(id.index()), self.dataplane.transmit(id))
        {
            let waited = frames.len();
            port.gather(frames, pool);
            let gathered = waited - frames.len();
            if gathered > 0 {
                self.keeper.counts().send.count(gathered);
            }
        }
    }
}
