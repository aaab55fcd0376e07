//! The BFD sessions of this worker: their packets out of the traffic and into it, their verdict on attachments.
//!
//! A session runs in the worker that alone sends by its interface. Packets for it that another worker received (on a LAN
//! that all share, or over several hops) cross to it. What a session sends goes as any packet of our own goes: neighbour,
//! tags, SecY. Faults of an attachment do not stop it, or no session would ever come back.

use core::net::IpAddr;

use net::{Ethernet, Instant};

use super::{Blame, Dataplane, Event, Facts, blame_of, local::push_header};
use crate::{
    Crossing, DropReason, Fault, Faults, Frame, InterfaceId, InterfaceSetup, Place, WorkerId,
    bfd::{
        BfdMode, BfdParams, BfdTimers, Datagram, Hops, OWN_LINK, Outgoing, SINGLE_HOP_PORT, write_datagram,
    },
    offload::finish_checksum,
};

/// Orders of the control plane.
impl Dataplane {
    /// Other timers, and another meaning, for a session of this worker's. False when there is none with this peer.
    pub fn set_bfd(
        &mut self,
        session: (InterfaceId, IpAddr),
        timers: BfdTimers,
        mode: BfdMode,
        now: Instant,
    ) -> bool {
        let known = self.bfd.set_timers(session, timers, mode, now);
        self.finish(now);
        known
    }

    /// Runs a session of this worker's as it is configured anew. False when there is none with this peer.
    pub fn set_bfd_params(&mut self, interface: InterfaceId, params: &BfdParams, now: Instant) -> bool {
        let known = self.bfd.set_params(interface, params, now);
        self.finish(now);
        known
    }

    /// Switches a session of this worker's off, or on again. False when there is none with this peer.
    pub fn set_bfd_admin_down(&mut self, session: (InterfaceId, IpAddr), down: bool, now: Instant) -> bool {
        let known = self.bfd.set_admin_down(session, down, now);
        self.finish(now);
        known
    }

    /// When a BFD session has something to do next: part of [`poll_timeout`](Self::poll_timeout), and the part that a peer waits for.
    pub const fn bfd_deadline(&self) -> Option<Instant> {
        self.bfd.poll_timeout()
    }

    /// True when [`handle_timeout`](Self::handle_timeout) with this `now` would declare a BFD peer dead: whoever calls looks
    /// at all ports first, for its packets may wait there.
    pub fn is_judgement_due(&self, now: Instant) -> bool {
        self.bfd.is_judgement_due(now)
    }
}

/// What frames and time do.
impl Dataplane {
    /// A packet with its checksum: a peer on this machine leaves that to whoever is last. `None`: it cannot be had, and the packet
    /// is dropped.
    pub(super) fn with_checksum(&mut self, blame: Blame, mut frame: Frame) -> Option<Frame> {
        if finish_checksum(&mut frame).is_ok() {
            return Some(frame);
        }
        self.drop(blame, DropReason::BadOffload, frame);
        None
    }

    /// Takes a packet for one of our addresses, if it is for a BFD session; gives it back otherwise.
    pub(super) fn take_bfd(
        &mut self,
        facts: &Facts,
        blame: Blame,
        frame: Frame,
        now: Instant,
    ) -> Option<Frame> {
        let l3 = frame.buf.get(Ethernet::LEN..).unwrap_or_default();
        let Some(port) = Datagram::port_of(l3) else { return Some(frame) };
        let Some(worker) = self.bfd_worker(facts, port, l3) else { return Some(frame) };
        if worker != self.me {
            self.crossings.push((worker, Crossing::Bfd { interface: facts.id, frame }));
            return None;
        }
        let frame = self.with_checksum(blame, frame)?;
        self.hear_bfd(facts, blame, frame, now);
        None
    }

    /// A packet that this worker's sessions are to hear. It ends here.
    pub(super) fn hear_bfd(&mut self, facts: &Facts, blame: Blame, frame: Frame, now: Instant) {
        let l3 = frame.buf.get(Ethernet::LEN..).unwrap_or_default();
        match self.bfd.handle_datagram(facts.id, facts.connection, l3, now) {
            Ok(()) => self.pool.recycle(frame),
            Err(_) => self.drop(blame, DropReason::BfdRefused, frame),
        }
    }

    /// Who runs the sessions that a packet may be for; `None` when none are configured: then the host may speak BFD. What no session of
    /// another worker's can want is refused here: it must not take up room in the rings between workers.
    fn bfd_worker(&self, facts: &Facts, port: u16, l3: &[u8]) -> Option<WorkerId> {
        let (source, hops) = Datagram::sender(l3)?;
        if port == SINGLE_HOP_PORT {
            let setup = self.setup.interfaces.get(facts.id.index())?;
            let mut near = setup.bfd.iter().filter(|one| one.hops == Hops::One).peekable();
            near.peek()?;
            let wanted = hops == OWN_LINK && near.any(|one| one.peer == source);
            return Some(if wanted { self.setup.runs_on(setup) } else { self.me });
        }
        let far = |one: &&InterfaceSetup| {
            one.connection == facts.connection
                && one.bfd.iter().any(|one| one.hops != Hops::One && one.peer == source)
        };
        self.setup.interfaces.iter().find(far).map(|one| self.setup.runs_on(one))
    }

    /// Lets the sessions do what is due. True when there was anything.
    pub(super) fn tend_bfd(&mut self, now: Instant) -> bool {
        let due = self.bfd.poll_timeout().is_some_and(|due| due <= now);
        self.bfd.handle_timeout(now);
        due
    }

    /// Sends, tells and judges what the sessions want.
    pub(super) fn serve_bfd(&mut self, now: Instant) {
        while let Some(out) = self.bfd.poll_transmit() {
            self.send_bfd(&out, now);
        }
        while let Some((interface, peer, event)) = self.bfd.poll_event() {
            self.tell(Event::Bfd(interface, peer, event));
        }
        while let Some((interface, fault)) = self.bfd.poll_verdict() {
            // On a LAN there may be others beside the peer that is lost: only its routes go.
            let attachment = self.interfaces.get(interface.index());
            let attachment = attachment.filter(|one| matches!(one.facts.place, Place::Attachment { .. }));
            let known = attachment.map(|one| one.faults.has(Fault::BfdDown));
            if known.is_some_and(|known| known != fault) {
                self.set_attachment_fault(interface, Fault::BfdDown, fault, now);
            }
        }
    }

    fn send_bfd(&mut self, out: &Outgoing, now: Instant) {
        let Some(facts) = self.facts(out.interface) else { return };
        // Without a buffer the packet is lost, as if on the way.
        let Some(mut buf) = self.pool.for_control() else {
            return self.count(blame_of(facts.place), DropReason::NoBuffer);
        };
        let written = write_datagram(&mut buf, out.source, out.destination, &out.control)
            .is_some_and(|ethertype| push_header(&mut buf, ethertype));
        let frame = Frame::of_control(buf);
        match out.hops {
            _ if !written => self.pool.recycle(frame),
            Hops::One => self.send_to(facts.id, out.destination.0, frame, now),
            Hops::Several { .. } => self.send_own(&facts, out.destination.0, frame, now),
        }
    }

    /// Sessions make packets only when frames can leave.
    pub(super) fn open_path_for_bfd(&mut self, interface: InterfaceId, faults: Faults) {
        self.bfd.set_path_open(interface, !faults.is_cut());
    }
}
