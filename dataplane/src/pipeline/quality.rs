//! Path quality: STAMP probes (RFC 8762) out, replies in, probes of neighbours reflected, and what follows from the measure.
//!
//! Probes travel as any packet of our own: neighbour, tag, SecY, by their own attachment and no other. A path of bad quality
//! is a reserve ([`Faults::is_reserve`]): probes go on, so that it can be found good again.

use core::{net::IpAddr, time::Duration};

use net::{Dscp, Instant, earliest};

use super::{Blame, Dataplane, Event, Facts, local::push_header};
use crate::{
    DropReason, Fault, Faults, Frame, InterfaceId, Place,
    bfd::Datagram,
    stamp::{
        self, ErrorEstimate, Mode, Ntp, Quality, Reflector, Report, Sender, SenderParams, SessionKey,
        Thresholds, WallClock, Why,
    },
};

/// The UDP port that our probes leave from, and their replies come back to.
const SOURCE_PORT: u16 = 49_862;
/// RFC 8762 §4.2.1 wants 255, so that the reflector can tell how many routers were on the way.
const HOPS: u8 = 255;
/// The longest probe that is reflected, in octets of UDP payload.
const LONGEST: usize = 1400;

/// How the quality of an attachment's path is measured and judged.
#[derive(Clone, Debug)]
pub struct QualityParams {
    /// Who reflects.
    pub peer: IpAddr,
    /// With or without HMAC, both directions.
    pub mode: Mode,
    /// Between probes, 10 ms or more.
    pub interval: Duration,
    /// A later reply is a lost one; at most 1 s.
    pub timeout: Duration,
    /// Session identifier (RFC 8972 §3), not 0.
    pub ssid: u16,
    /// What is good enough.
    pub thresholds: Thresholds,
    /// A bad path is a reserve; otherwise it is only told.
    pub leave: bool,
}

/// An attachment's measurement.
#[derive(Clone, Debug)]
pub struct QualityStatus {
    /// Who reflects.
    pub peer: IpAddr,
    /// Probes can leave.
    pub open: bool,
    /// Why the path is bad.
    pub bad: Option<Why>,
    /// Since when it is bad, or good.
    pub since: Instant,
    /// A bad path is a reserve.
    pub leave: bool,
    /// Its last second.
    pub last: Option<Report>,
    /// Other people's probes that were reflected.
    pub reflected: u64,
    /// Probes and replies that were refused.
    pub refused: u64,
}

/// One attachment that is measured.
#[derive(Debug)]
pub(super) struct Probing {
    interface: InterfaceId,
    own: IpAddr,
    params: QualityParams,
    sender: Sender,
    reflector: Reflector,
    quality: Quality,
    open: bool,
    since: Instant,
    last: Option<Report>,
    refused: u64,
}

/// What was not said yet: 1970, and anything may be wrong with it.
pub(super) const NO_WALL: WallClock = WallClock {
    start: Ntp(0),
    error: ErrorEstimate { synchronized: false, ptp: false, scale: 31, multiplier: 255 },
};

/// Orders of the control plane.
impl Dataplane {
    /// Measures an attachment's path from now on, and reflects its peer's probes. Nothing happens when another worker owns its channel, or it
    /// has no address in the peer's family.
    pub fn measure(&mut self, interface: InterfaceId, params: QualityParams, now: Instant) {
        let mine =
            |place: Place| matches!(place, Place::Attachment { .. }) && self.foreign_owner(place).is_none();
        let setup = self.setup.interfaces.get(interface.index()).filter(|one| mine(one.place));
        let Some(own) = setup.and_then(|one| one.address_for(params.peer)) else { return };
        let QualityParams { interval, timeout, ssid, .. } = params;
        let sender = SenderParams { mode: params.mode.clone(), interval, timeout, ssid };
        self.probing.push(Probing {
            interface,
            own,
            sender: Sender::new(sender, now),
            reflector: Reflector::new(params.mode.clone()),
            quality: Quality::new(params.thresholds),
            open: false,
            since: now,
            last: None,
            refused: 0,
            params,
        });
        self.open_path_for_probes(interface, self.faults_of(interface), now);
    }

    /// What time of day it is: for the stamps in probes.
    pub const fn set_wall(&mut self, wall: WallClock) {
        self.wall = wall;
    }
}

/// What frames and time do.
impl Dataplane {
    pub(super) const fn quality_deadline(&self) -> Option<Instant> {
        self.probe_due
    }

    /// Probes are made only when frames can leave; what was measured before says nothing about a path that is back.
    pub(super) fn open_path_for_probes(&mut self, interface: InterfaceId, faults: Faults, now: Instant) {
        let open = !faults.is_cut();
        let Some(one) = self.probing.iter_mut().find(|one| one.interface == interface) else { return };
        if core::mem::replace(&mut one.open, open) != open && open {
            one.sender.resume(now);
            one.quality.forget();
        }
        self.refresh_probe_due();
    }

    fn refresh_probe_due(&mut self) {
        let open = self.probing.iter().filter(|one| one.open);
        self.probe_due = open.fold(None, |due, one| earliest(due, one.sender.poll_timeout()));
    }

    /// Closes windows and sends probes that are due. True when there was anything.
    pub(super) fn tend_quality(&mut self, now: Instant) -> bool {
        if self.probe_due.is_none_or(|due| due > now) {
            return false;
        }
        for at in 0..self.probing.len() {
            self.judge_path(at, now);
            self.send_probe(at, now);
        }
        self.refresh_probe_due();
        true
    }

    fn judge_path(&mut self, at: usize, now: Instant) {
        let Some(one) = self.probing.get_mut(at).filter(|one| one.open) else { return };
        one.sender.handle_timeout(now);
        let Some(report) = one.sender.poll_report() else { return };
        one.last = Some(report);
        if !one.quality.handle_report(&report) {
            return;
        }
        one.since = now;
        let (interface, bad, leave) = (one.interface, one.quality.bad(), one.params.leave);
        self.tell(Event::Quality { interface, bad, report });
        if leave {
            self.set_attachment_fault(interface, Fault::Quality, bad.is_some(), now);
        }
    }

    fn send_probe(&mut self, at: usize, now: Instant) {
        let wall = self.wall;
        let Some(one) = self.probing.get_mut(at).filter(|one| one.open) else { return };
        let mut probe = [0; stamp::AUTHENTICATED_LEN];
        let Some(len) = one.sender.poll_transmit(&mut probe, &wall, now) else { return };
        let (interface, from, to) = (one.interface, (one.own, SOURCE_PORT), (one.params.peer, stamp::PORT));
        self.send_measured(interface, from, to, probe.get(..len).unwrap_or_default(), now);
    }

    /// Without a buffer the packet is lost, as if on the way.
    fn send_measured(
        &mut self,
        interface: InterfaceId,
        from: (IpAddr, u16),
        to: (IpAddr, u16),
        payload: &[u8],
        now: Instant,
    ) {
        let Some(mut buf) = self.pool.for_control() else { return };
        let written = crate::bfd::write_udp(&mut buf, from, to, (HOPS, 0), payload)
            .is_some_and(|ethertype| push_header(&mut buf, ethertype));
        // It must not wait here, but measure the way that traffic goes: in the network it is best effort, inside and outside.
        let frame = Frame { dscp: Dscp::BEST_EFFORT, ..Frame::of_control(buf) };
        if written {
            self.send_to(interface, to.0, frame, now);
        } else {
            self.pool.recycle(frame);
        }
    }

    /// Takes a packet for one of our addresses, if it is a probe or a reply on an attachment that is measured; gives it back
    /// otherwise.
    pub(super) fn take_probe(
        &mut self,
        facts: &Facts,
        blame: Blame,
        frame: Frame,
        now: Instant,
    ) -> Option<Frame> {
        if self.probing.is_empty() {
            return Some(frame);
        }
        let l3 = frame.buf.get(net::Ethernet::LEN..).unwrap_or_default();
        let port = Datagram::udp_port(l3).filter(|port| [stamp::PORT, SOURCE_PORT].contains(port));
        let at = self.probing.iter().position(|one| one.interface == facts.id);
        let (Some(port), Some(at)) = (port, at) else { return Some(frame) };
        let frame = self.with_checksum(blame, frame)?;
        let l3 = frame.buf.get(net::Ethernet::LEN..).unwrap_or_default();
        let done = match Datagram::parse(l3) {
            Ok(datagram) if port == SOURCE_PORT => self
                .probing
                .get_mut(at)
                .is_some_and(|one| one.sender.handle_packet(datagram.payload, now).is_ok()),
            // From beyond the link anybody could have replies made, which are control frames.
            Ok(datagram) if !self.is_on_link(facts, datagram.source) => false,
            Ok(datagram) => {
                let mut reply = [0; LONGEST];
                let from = (datagram.source, datagram.source_port);
                let to = datagram.destination;
                self.reflect(at, (&datagram, &mut reply), now)
                    .map(|len| {
                        self.send_measured(
                            facts.id,
                            (to, stamp::PORT),
                            from,
                            reply.get(..len).unwrap_or_default(),
                            now,
                        );
                    })
                    .is_some()
            }
            Err(_) => false,
        };
        if done {
            self.pool.recycle(frame);
        } else {
            if let Some(one) = self.probing.get_mut(at) {
                one.refused += 1;
            }
            self.drop(blame, DropReason::ProbeRefused, frame);
        }
        None
    }

    fn is_on_link(&self, facts: &Facts, source: IpAddr) -> bool {
        self.interfaces.get(facts.id.index()).is_some_and(|one| one.neighbors.is_neighbor(source))
    }

    /// Writes the reply to a probe; its length.
    fn reflect(
        &mut self,
        at: usize,
        (probe, reply): (&Datagram<'_>, &mut [u8]),
        now: Instant,
    ) -> Option<usize> {
        let wall = self.wall;
        let reply = reply.get_mut(..probe.payload.len())?;
        reply.copy_from_slice(probe.payload);
        let session = SessionKey { address: probe.source, port: probe.source_port };
        let one = self.probing.get_mut(at)?;
        one.reflector.reflect(reply, (session, probe.hops), &wall, (now, now)).ok()?;
        Some(reply.len())
    }

    /// Why an attachment's path is bad, when this worker says so.
    pub(super) fn bad_quality(&self, interface: InterfaceId) -> Option<Why> {
        self.probing.iter().find(|one| one.interface == interface)?.quality.bad()
    }

    /// Takes over a predecessor's verdict on a path: it stays bad until it has been good for long enough.
    pub(super) fn resume_quality(&mut self, interface: InterfaceId, bad: Option<Why>, now: Instant) {
        let Some(one) = self.probing.iter_mut().find(|one| one.interface == interface) else { return };
        if bad.is_none() {
            return;
        }
        one.quality.resume(bad);
        if one.params.leave {
            self.set_attachment_fault(interface, Fault::Quality, true, now);
        }
    }

    /// An attachment's measurement, when this worker runs it.
    pub(super) fn quality_of(&self, interface: InterfaceId) -> Option<QualityStatus> {
        let one = self.probing.iter().find(|one| one.interface == interface)?;
        Some(QualityStatus {
            peer: one.params.peer,
            open: one.open,
            bad: one.quality.bad(),
            since: one.since,
            leave: one.params.leave,
            last: one.last,
            reflected: one.reflector.counters().0,
            refused: one.refused,
        })
    }
}
