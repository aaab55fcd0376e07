//! `duplicate`: a forwarded packet leaves by two attachments with one sequence number, and enters once. Either each packet of a
//! connection does, or those of its classes.
//!
//! The numbers of a connection are one sequence in each direction, so one worker gives them and one takes them: the owner of the
//! connection. Packets that another worker received cross to it first (`Crossing::Twice`, `Crossing::Recover`), and
//! from there to the owners of the channels. A super-frame is cut before it is numbered: each segment is a frame of its own on
//! two wires. What the gateway itself sends (ARP, ND, ICMP errors, what the host's stack sends) belongs to one attachment
//! and carries no number; the far end takes it without one. So it does with packets of no class: whether a frame has a tag decides, on
//! each attachment and for each frame alone, and classes need not be the same at both ends. A far end that duplicates nothing itself drops
//! what has a tag, and says so (`unexpected_redundancy_tag`).

use core::net::IpAddr;

use net::{EtherType, Ethernet, Instant};

use super::{Blame, ConnectionState, Dataplane, Facts, blame_of, protection::Redundancy};
use crate::{
    ConnectionId, Crossing, DropReason, Frame, InterfaceId, Pair, Place,
    frer::{Verdict, rtag},
    tables::Hop,
};

/// One or two ways out for one packet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Exit {
    One(InterfaceId, IpAddr),
    Two(Pair),
}

impl Exit {
    /// The way of what leaves once.
    pub(super) const fn first(&self) -> (InterfaceId, IpAddr) {
        match self {
            Self::One(interface, gateway) => (*interface, *gateway),
            Self::Two(Pair { first, .. }) => (first.interface, first.gateway),
        }
    }
}

impl Dataplane {
    /// The two attachments for a packet that is to be duplicated and goes to this group; `None` when it leaves once.
    #[inline]
    pub(super) fn pair(
        &self,
        state: &ConnectionState,
        (at, hops): (usize, &[Hop]),
        l3: &[u8],
    ) -> Option<Exit> {
        let redundancy = state.protected.as_ref()?.redundancy.as_ref()?;
        let (carriers, class) = match &redundancy.classes {
            None => (&state.live, 0),
            Some(classes) => (&state.twice, classes.of(l3)?),
        };
        let live = *carriers.get(at)?;
        let at = |bits: u64| usize::try_from(bits.trailing_zeros()).ok().and_then(|at| hops.get(at)).copied();
        let first = at(live)?;
        if !matches!(self.facts(first.interface)?.place, Place::Attachment { .. }) {
            return None;
        }
        Some(Exit::Two(Pair { first, second: at(live & live.wrapping_sub(1)), class }))
    }

    /// What both ways out carry: the facts of the first, with the smaller MTU.
    pub(super) fn narrower(&self, exit: &Exit) -> Option<Facts> {
        let mut out = self.facts(exit.first().0)?;
        if let Exit::Two(Pair { second: Some(second), .. }) = exit {
            out.mtu = out.mtu.min(self.facts(second.interface).map_or(u16::MAX, |second| second.mtu));
        }
        Some(out)
    }

    /// Sends a packet, behind room for an Ethernet header, by all its ways out.
    pub(super) fn send_by(&mut self, exit: Exit, frame: Frame, now: Instant) {
        match exit {
            Exit::One(interface, gateway) => {
                self.count_through(interface, false);
                self.send_to(interface, gateway, frame, now);
            }
            Exit::Two(pair) => {
                self.count_through(pair.first.interface, false);
                pair.second.into_iter().for_each(|second| self.count_through(second.interface, false));
                self.send_twice(pair, frame, now);
            }
        }
    }

    /// A frame on its way through came in (or leaves) by an interface.
    pub(super) fn count_through(&mut self, interface: InterfaceId, inward: bool) {
        if let Some(one) = self.interfaces.get_mut(interface.index()) {
            one.counters.rx_transit += u64::from(inward);
            one.counters.tx_transit += u64::from(!inward);
        }
    }

    /// Numbers a packet, or each segment of one, and sends it by both.
    pub(super) fn send_twice(&mut self, pair: Pair, frame: Frame, now: Instant) {
        let Pair { first, second, class } = pair;
        let Some(facts) = self.facts(first.interface) else { return self.pool.recycle(frame) };
        let owner = self.redundancy_owner(facts.connection);
        if let Some(owner) = owner.filter(|&owner| owner != self.me) {
            return self.crossings.push((owner, Crossing::Twice { pair, frame }));
        }
        self.finish_offload(blame_of(facts.place), frame);
        core::mem::swap(&mut self.segments, &mut self.numbered);
        let mut numbered = core::mem::take(&mut self.numbered);
        for mut frame in numbered.drain(..) {
            let sequence = self.next_sequence(facts.connection, class);
            if !rtag::push(&mut frame, sequence) {
                self.drop(blame_of(facts.place), DropReason::Oversized, frame);
                continue;
            }
            let copy = second.and_then(|second| Some((second, self.copy_of(&second, &frame)?)));
            self.send_to(first.interface, first.gateway, frame, now);
            if let Some((second, copy)) = copy {
                self.send_to(second.interface, second.gateway, copy, now);
            }
        }
        self.numbered = numbered;
    }

    /// A frame with a redundancy tag: its first copy goes on without, the others end here (802.1CB §7.4.3).
    pub(super) fn input_tagged(&mut self, facts: &Facts, blame: Blame, mut frame: Frame, now: Instant) {
        let Some(owner) = self.redundancy_owner(facts.connection) else {
            return self.drop(blame, DropReason::UnexpectedRedundancyTag, frame);
        };
        let from_far_end = matches!(facts.place, Place::Attachment { .. });
        let sequence = if from_far_end { rtag::pop(&mut frame) } else { None };
        let Some(sequence) = sequence else {
            return self.drop(blame, DropReason::UnexpectedRedundancyTag, frame);
        };
        if owner == self.me {
            return self.recover(facts, blame, (sequence, frame), now);
        }
        self.crossings.push((owner, Crossing::Recover { interface: facts.id, sequence, frame }));
    }

    /// The owner's part of [`input_tagged`](Self::input_tagged).
    pub(super) fn recover(
        &mut self,
        facts: &Facts,
        blame: Blame,
        (sequence, frame): (u16, Frame),
        now: Instant,
    ) {
        let Some(redundancy) = self.redundancy(facts.connection) else {
            return self.drop(blame, DropReason::UnexpectedRedundancyTag, frame);
        };
        match redundancy.recovery.recover(Some(sequence), now) {
            Verdict::Pass => {}
            Verdict::Duplicate => {
                self.count_through(facts.id, true);
                return self.drop(blame, DropReason::Duplicate, frame);
            }
            Verdict::Rogue | Verdict::Tagless => return self.drop(blame, DropReason::RogueSequence, frame),
        }
        match Ethernet::split(&frame.buf).map(|(header, _)| header.ethertype) {
            Some(EtherType::IPV4) => self.input_v4(facts, blame, frame, now),
            Some(EtherType::IPV6) => self.input_v6(facts, blame, frame, now),
            Some(_) | None => self.drop(blame, DropReason::UnknownEtherType, frame),
        }
    }

    fn next_sequence(&mut self, connection: ConnectionId, class: usize) -> u16 {
        let Some(redundancy) = self.redundancy(connection) else { return 0 };
        if let Some(sent) = redundancy.sent.get_mut(class) {
            *sent += 1;
        }
        redundancy.generation.take()
    }

    fn redundancy(&mut self, connection: ConnectionId) -> Option<&mut Redundancy> {
        self.connections.get_mut(connection.index())?.protected.as_mut()?.redundancy.as_deref_mut()
    }

    /// `None` when there is no buffer: the first copy goes alone.
    fn copy_of(&mut self, hop: &Hop, frame: &Frame) -> Option<Frame> {
        let Some(mut buf) = self.pool.for_len(frame.buf.len()) else {
            if let Some(facts) = self.facts(hop.interface) {
                self.count(blame_of(facts.place), DropReason::NoBuffer);
            }
            return None;
        };
        if !buf.extend_from_slice(&frame.buf) {
            self.pool.give(buf);
            return None;
        }
        Some(frame.along(buf, frame.offload))
    }

    /// Who numbers and recovers for this connection; `None` when nothing of it is duplicated.
    fn redundancy_owner(&self, connection: ConnectionId) -> Option<crate::WorkerId> {
        let protected = self.connections.get(connection.index())?.protected.as_ref()?;
        protected.redundancy.is_some().then_some(protected.owner)
    }
}
