//! Out: tags, cutting, protecting, joining, and the ports' transmit queues.
//!
//! Nothing leaves by a channel except through [`Dataplane::protect_queues`], MKPDUs aside: fail closed.

use macsec::TxRefusal;

use super::{Blame, Dataplane, Event, Facts, blame_of, ingress::octets};
use crate::{
    BATCH, ChannelId, DropReason, Frame, InterfaceId, Place, PortId, WorkerId,
    channel::Queued,
    offload::{Coalescer, SegmentError, finish_checksum, segment},
    vlan,
};

/// Trains of all ports together that stay open from one batch to the next: each has one of the few big buffers.
const TRAINS_KEPT: usize = 16;

impl Dataplane {
    /// Sends a whole untagged frame out by an interface that this worker serves. It counts there once nothing but the port
    /// can refuse it: on a LAN here, on an attachment when its SecY has protected it.
    pub(super) fn emit(&mut self, interface: InterfaceId, mut frame: Frame) {
        let Some(facts) = self.facts(interface) else { return self.pool.recycle(frame) };
        let octets = octets(&frame);
        let (Place::Lan { vlan, .. } | Place::Attachment { vlan, .. }) = facts.place;
        if vlan.is_some_and(|tag| !vlan::push(&mut frame, tag)) {
            return self.drop(blame_of(facts.place), DropReason::Oversized, frame);
        }
        match facts.place {
            Place::Lan { port, .. } => {
                if self.leave_by_lan(&facts, port, frame) {
                    self.count_sent(interface, octets);
                }
            }
            Place::Attachment { channel, .. } => self.leave_by_channel(interface, channel, frame),
        }
    }

    fn count_sent(&mut self, interface: InterfaceId, octets: u64) {
        if let Some(one) = self.interfaces.get_mut(interface.index()) {
            one.counters.tx_frames += 1;
            one.counters.tx_octets += octets;
        }
    }

    /// False when the frame was dropped.
    fn leave_by_lan(&mut self, facts: &Facts, port: PortId, frame: Frame) -> bool {
        let Some(state) = self.ports.get_mut(port.index()) else {
            self.pool.recycle(frame);
            return false;
        };
        self.waiting.add(port);
        match &mut state.coalescer {
            Some(_) if frame.control => state.queue(frame),
            Some(coalescer) => {
                if !self.coalescing.contains(&port) {
                    self.coalescing.push(port);
                }
                coalescer.push(frame, &mut self.pool, &mut state.transmit);
            }
            None if state.caps.offload => state.queue(frame),
            None => {
                self.finish_offload(blame_of(facts.place), frame);
                let mut segments = core::mem::take(&mut self.segments);
                let sent = !segments.is_empty();
                if let Some(state) = self.ports.get_mut(port.index()) {
                    segments.drain(..).for_each(|frame| state.queue(frame));
                }
                self.segments = segments;
                return sent;
            }
        }
        true
    }

    /// Queues a frame for a port as it is.
    pub(super) fn queue(&mut self, port: PortId, frame: Frame) {
        self.waiting.add(port);
        match self.ports.get_mut(port.index()) {
            Some(port) => port.queue(frame),
            None => self.pool.recycle(frame),
        }
    }

    /// Cuts and completes a frame so that it can stand on a wire, into `self.segments`.
    pub(super) fn finish_offload(&mut self, blame: Blame, mut frame: Frame) {
        if frame.offload.gso.is_none() {
            if finish_checksum(&mut frame).is_err() {
                return self.drop(blame, DropReason::BadOffload, frame);
            }
            return self.segments.push(frame);
        }
        let began = self.stages.begin();
        let cut = segment(&frame, &mut self.pool, &mut self.segments);
        if let (Ok(count), Some(time)) = (&cut, self.stages.since(began)) {
            self.stages.times.cut.add(*count, time);
        }
        match cut {
            Ok(_) => self.pool.recycle(frame),
            Err(SegmentError::BadOffload(_)) => self.drop(blame, DropReason::BadOffload, frame),
            Err(SegmentError::NoBuffer | SegmentError::NoRoom) => {
                self.drop(blame, DropReason::NoBuffer, frame)
            }
        }
    }

    fn leave_by_channel(&mut self, attachment: InterfaceId, named: ChannelId, mut frame: Frame) {
        let Some(channel) = self.member_for(named, &frame) else {
            return self.drop(Blame::Channel(named), DropReason::NotDistributing, frame);
        };
        if self.is_rehearsed(channel) {
            return self.drop(Blame::Channel(channel), DropReason::Rehearsal, frame);
        }
        self.describe(channel, &mut frame);
        self.finish_offload(Blame::Channel(channel), frame);
        let full = match self.channels.get_mut(channel.index()) {
            Some(Some(state)) => {
                self.segments.drain(..).for_each(|frame| state.enqueue(Queued { attachment, frame }));
                state.queue.len() >= BATCH
            }
            _ => {
                for frame in self.segments.drain(..) {
                    self.pool.recycle(frame);
                }
                false
            }
        };
        if full {
            self.protect_queue(channel);
        }
    }

    pub(super) fn protect_queues(&mut self) {
        for at in 0..self.channels.len() {
            self.protect_queue(ChannelId::at(at));
        }
    }

    /// Protects what waits for a channel, a batch at a time, and queues it for the channel's port.
    fn protect_queue(&mut self, id: ChannelId) {
        let Some(Some(channel)) = self.channels.get_mut(id.index()) else { return };
        if channel.queue.is_empty() {
            return;
        }
        channel.control = 0;
        let mut queue = core::mem::take(&mut channel.queue);
        for chunk in queue.chunks_mut(BATCH) {
            self.protect_chunk(id, chunk);
        }
        // Frames that were refused are marked by an empty buffer; the rest goes to the port, in PN order.
        for Queued { frame, .. } in queue.drain(..) {
            if frame.buf.is_empty() {
                self.pool.recycle(frame);
            } else {
                self.leave_in_order(id, frame);
            }
        }
        if let Some(Some(channel)) = self.channels.get_mut(id.index()) {
            channel.queue = queue;
        }
    }

    fn protect_chunk(&mut self, id: ChannelId, chunk: &mut [Queued]) {
        let Some(Some(channel)) = self.channels.get_mut(id.index()) else { return };
        let mut lens = [0; BATCH];
        for (len, queued) in lens.iter_mut().zip(chunk.iter()) {
            *len = octets(&queued.frame);
        }
        let mut verdicts = [Err(TxRefusal::NoTransmitSa); BATCH];
        if let Some(verdicts) = verdicts.get_mut(..chunk.len()) {
            let began = self.stages.begin();
            channel.secy.protect_batch(chunk, verdicts);
            if let Some(time) = self.stages.since(began) {
                self.stages.times.protect.add(chunk.len(), time);
            }
        }
        for ((Queued { attachment, frame }, verdict), len) in chunk.iter_mut().zip(verdicts).zip(lens) {
            match verdict {
                Ok(_) => {
                    channel.counters.tx_frames += 1;
                    channel.counters.tx_octets += len;
                    if let Some(one) = self.interfaces.get_mut(attachment.index()) {
                        one.counters.tx_frames += 1;
                        one.counters.tx_octets += len - one.facts.tag_len();
                    }
                }
                Err(why) => {
                    channel.drops.count(tx_reason(why));
                    frame.buf.truncate(0);
                }
            }
        }
        self.watch_numbers(id);
    }

    /// Tells the control plane about packet numbers that run low.
    fn watch_numbers(&mut self, id: ChannelId) {
        let Some(Some(channel)) = self.channels.get_mut(id.index()) else { return };
        let low = channel.asks_for_numbers().then(|| channel.secy.next_pn()).flatten();
        let exhausting = channel.secy.pending_pn_exhaustion().filter(|an| channel.news_of_exhaustion(*an));
        if exhausting.is_some()
            && let Some(mka) = &mut channel.mka
        {
            mka.hurry();
        }
        if let Some((an, _)) = low {
            self.tell(Event::PnReservationLow(id, an));
        }
        if let Some(an) = exhausting {
            self.tell(Event::PnExhaustionPending(id, an));
        }
    }

    /// A frame that the SecY is done with: clear tags, and to the port, in the order of packet numbers.
    fn leave_in_order(&mut self, id: ChannelId, mut frame: Frame) {
        let Some(Some(channel)) = self.channels.get(id.index()) else { return self.pool.recycle(frame) };
        match (channel.push_clear_tags(&mut frame), self.ports.get_mut(channel.port.index())) {
            (Ok(()), Some(state)) => {
                self.waiting.add(channel.port);
                state.transmit.push(frame);
            }
            (Ok(()), None) => self.pool.recycle(frame),
            (Err(reason), _) => self.drop(Blame::Channel(id), reason, frame),
        }
    }

    /// An MKPDU, which passes beside the SecY and has no number: clear tags, and to the port.
    pub(super) fn leave_beside(&mut self, id: ChannelId, mut frame: Frame) {
        let Some(channel) = self.channel(id) else { return self.pool.recycle(frame) };
        let port = channel.port;
        match channel.push_clear_tags(&mut frame) {
            Ok(()) => self.queue(port, frame),
            Err(reason) => self.drop(Blame::Channel(id), reason, frame),
        }
    }

    /// From now on long trains stay open from one batch to the next, until one of the two verbs below is called: the first after
    /// each round over all ports, the second before nothing may come for a while.
    pub const fn keep_trains_open(&mut self) {
        self.keeps_trains = true;
    }

    /// Trains that nothing joined since the last call leave. True when there were any.
    pub fn close_idle_trains(&mut self) -> bool {
        self.close_trains_by(|coalescer, out| coalescer.flush_idle(out))
    }

    /// All trains leave. True when there were any.
    pub fn close_trains(&mut self) -> bool {
        self.close_trains_by(|coalescer, out| {
            coalescer.flush(out);
            0
        })
    }

    /// The end of a batch.
    pub(super) fn flush_coalescers(&mut self) {
        let mut left = if self.keeps_trains { TRAINS_KEPT } else { 0 };
        self.close_trains_by(|coalescer, out| {
            let stay = coalescer.flush_short(left, out);
            left -= stay;
            stay
        });
    }

    /// `close` says how many trains of a port stay.
    fn close_trains_by(&mut self, mut close: impl FnMut(&mut Coalescer, &mut Vec<Frame>) -> usize) -> bool {
        let mut left = false;
        let (ports, waiting) = (&mut self.ports, &mut self.waiting);
        self.coalescing.retain(|&port| {
            let Some(state) = ports.get_mut(port.index()) else { return false };
            let Some(coalescer) = &mut state.coalescer else { return false };
            let before = state.transmit.len();
            let stay = close(coalescer, &mut state.transmit);
            if state.transmit.len() > before {
                waiting.add(port);
                left = true;
            }
            stay > 0
        });
        left
    }

    /// The other worker that alone can send by this place, if it is another.
    pub(super) fn foreign_owner(&self, place: Place) -> Option<WorkerId> {
        let owner = match place {
            Place::Attachment { channel, .. } => {
                self.setup.channels.get(channel.index()).map(|channel| channel.owner)
            }
            Place::Lan { port, .. } => self.setup.ports.get(port.index()).and_then(|port| port.owner),
        };
        owner.filter(|&owner| owner != self.me)
    }

    /// True when every worker opened this port.
    pub(super) fn is_shared(&self, port: PortId) -> bool {
        self.setup.ports.get(port.index()).is_some_and(|port| port.owner.is_none())
    }
}

const fn tx_reason(why: TxRefusal) -> DropReason {
    match why {
        TxRefusal::NoTransmitSa => DropReason::MacsecNoTransmitSa,
        TxRefusal::PnExhausted => DropReason::MacsecPnExhausted,
        TxRefusal::TooLong => DropReason::MacsecTooLong,
        TxRefusal::NoRoom => DropReason::Oversized,
        TxRefusal::TooShort => DropReason::Runt,
        TxRefusal::Cipher => DropReason::MacsecCipher,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_a_secy_has_a_reason_of_its_own() {
        let all = [
            (TxRefusal::NoTransmitSa, DropReason::MacsecNoTransmitSa),
            (TxRefusal::PnExhausted, DropReason::MacsecPnExhausted),
            (TxRefusal::TooLong, DropReason::MacsecTooLong),
            (TxRefusal::NoRoom, DropReason::Oversized),
            (TxRefusal::TooShort, DropReason::Runt),
            (TxRefusal::Cipher, DropReason::MacsecCipher),
        ];
        assert_eq!(all.map(|(why, _)| tx_reason(why)), all.map(|(_, reason)| reason));
    }
}
