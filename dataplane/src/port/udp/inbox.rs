//! What was received and is not yet handed over.
//!
//! Trains of one flow have datagrams of one length, again and again. So the next train is expected to have the length of
//! the last large one, and the kernel is given as many buffers of just that length: a train that is as expected
//! lies in its frames at once. Any other is gathered in one large buffer and copied out frame by frame.

use std::io::IoSliceMut;

use arrayvec::ArrayVec;
use net::PacketBuf;
use sys::udp::{UdpReceived, UdpSocket};

use super::{super::kernel, PortCounters, PortError, many};
use crate::{
    DropReason, Frame, HEADROOM, Pool, TAILROOM,
    underlay::{Tunnel, Vxlan},
};

/// The most datagrams of one train (`UDP_GRO_CNT_MAX` of Linux).
const DATAGRAMS: usize = 64;
/// The largest train, or datagram, that there can be.
const LARGEST: usize = 65_536;
/// A train of so many octets says what to expect next; less is copied at little cost.
const LARGE: usize = 8192;
/// Buffers that are given for what is likely to be one datagram.
const FEW: usize = 2;

/// Reads without a train after which one is no longer expected.
const PATIENCE: u8 = 16;

/// Received datagrams.
#[derive(Debug)]
pub(super) struct Inbox {
    /// Buffers that wait for a datagram each, or hold one: it begins where a frame's VXLAN header would.
    slots: ArrayVec<PacketBuf, DATAGRAMS>,
    /// Octets of a datagram that is expected; 0 when nothing is known.
    expected: usize,
    /// Reads in which a train is still expected.
    busy: u8,
    /// The large buffer.
    rest: Box<[u8]>,
    /// What was read lies in the slots, one datagram in each; in the large buffer otherwise.
    in_slots: bool,
    /// Octets that were read, of each datagram but the last, and where the next one begins.
    octets: usize,
    segment: usize,
    at: usize,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            slots: ArrayVec::new(),
            expected: 0,
            busy: 0,
            rest: vec![0; LARGEST].into_boxed_slice(),
            in_slots: false,
            octets: 0,
            segment: 1,
            at: 0,
        }
    }

    /// Datagrams wait to be taken.
    pub(super) const fn holds_frames(&self) -> bool {
        self.at < self.octets
    }

    /// Reads the next datagram or train; nothing may be held. False when nothing waits.
    pub(super) fn read(
        &mut self,
        socket: &UdpSocket,
        tunnel: &Tunnel,
        pool: &mut Pool,
        counters: &mut PortCounters,
    ) -> Result<bool, PortError> {
        let slots = self.prepare(pool);
        let mut pieces: ArrayVec<IoSliceMut<'_>, { DATAGRAMS + 1 }> = ArrayVec::new();
        for slot in self.slots.iter_mut().take(slots) {
            pieces.push(IoSliceMut::new(slot.spare_mut().get_mut(..self.expected).unwrap_or_default()));
        }
        // What goes beyond the slots lies where it belongs once all is gathered.
        let beyond = slots * self.expected;
        pieces.push(IoSliceMut::new(self.rest.get_mut(beyond..).unwrap_or_default()));
        let received = socket.receive(&mut pieces);
        drop(pieces);
        match received {
            Ok(received) => {
                self.begin(received, slots, tunnel, counters);
                Ok(true)
            }
            Err(error) => kernel::port_error(&error).map_or(Ok(false), Err),
        }
    }

    /// Makes buffers ready for what is expected, and says how many.
    fn prepare(&mut self, pool: &mut Pool) -> usize {
        let wanted = match (self.expected, self.busy) {
            (0, _) => 0,
            (_, 0) => FEW,
            (expected, _) => DATAGRAMS.min(LARGEST / expected),
        };
        while self.slots.len() < wanted {
            let Some(mut buf) = pool.small() else { break };
            buf.reset(HEADROOM - Vxlan::LEN);
            self.slots.push(buf);
        }
        let fits = |buf: &PacketBuf| buf.tailroom() >= self.expected + TAILROOM;
        if self.slots.first().is_some_and(fits) { wanted.min(self.slots.len()) } else { 0 }
    }

    fn begin(&mut self, received: UdpReceived, slots: usize, tunnel: &Tunnel, counters: &mut PortCounters) {
        let UdpReceived { octets, segment, source, truncated } = received;
        (self.at, self.octets, self.segment) = (0, octets, segment);
        let datagrams = octets.div_ceil(segment);
        if truncated {
            counters.rx_truncated += many(datagrams);
        } else if !tunnel.admits(source) {
            counters.rx_unknown_source += many(datagrams.max(1));
        } else if octets == 0 {
            counters.rx_bad_header += 1;
        } else {
            return self.sort(slots, datagrams);
        }
        self.octets = 0;
    }

    fn sort(&mut self, slots: usize, datagrams: usize) {
        let alike = self.segment == self.expected || (datagrams == 1 && self.segment < self.expected);
        self.in_slots = alike && datagrams <= slots;
        if !self.in_slots {
            self.gather(slots);
        }
        self.busy = if datagrams > FEW { PATIENCE } else { self.busy.saturating_sub(1) };
        if self.expected == 0 || (datagrams > FEW && self.octets >= LARGE) {
            self.expected = self.segment.min(LARGEST / FEW);
        }
    }

    /// Puts what lies in the slots in front of the rest.
    fn gather(&mut self, slots: usize) {
        let mut at = 0;
        for slot in self.slots.iter_mut().take(slots) {
            let len = self.expected.min(self.octets - at);
            let (to, from) = (self.rest.get_mut(at..at + len), slot.spare_mut().get(..len));
            if let (Some(to), Some(from)) = (to, from) {
                to.copy_from_slice(from);
            }
            at += len;
        }
    }

    /// The next frame of what was read; `None`, and counted, when it is none.
    pub(super) fn take(
        &mut self,
        tunnel: &Tunnel,
        pool: &mut Pool,
        counters: &mut PortCounters,
    ) -> Option<Frame> {
        let (from, len) = (self.at, self.segment.min(self.octets - self.at));
        self.at += len;
        let taken = if self.in_slots {
            self.take_slot(from / self.segment, len, tunnel, pool)
        } else {
            copy(self.rest.get(from..from + len).unwrap_or_default(), tunnel, pool)
        };
        match taken {
            Ok(buf) => {
                counters.rx_frames += 1;
                counters.rx_octets += many(buf.len());
                return Some(Frame::new(buf));
            }
            Err(DropReason::VxlanUnknownVni) => counters.rx_unknown_vni += 1,
            Err(DropReason::NoBuffer) => counters.rx_no_buffer += 1,
            Err(_) => counters.rx_bad_header += 1,
        }
        None
    }

    /// Takes the buffer of a slot, and puts an empty one there.
    fn take_slot(
        &mut self,
        slot: usize,
        len: usize,
        tunnel: &Tunnel,
        pool: &mut Pool,
    ) -> Result<PacketBuf, DropReason> {
        let slot = self.slots.get_mut(slot).ok_or(DropReason::NoBuffer)?;
        tunnel.open(slot.spare_mut().get(..len).unwrap_or_default())?;
        let mut fresh = pool.small().ok_or(DropReason::NoBuffer)?;
        fresh.reset(HEADROOM - Vxlan::LEN);
        let mut buf = core::mem::replace(slot, fresh);
        buf.set_len(len);
        // It holds a whole header, or it would not have been opened.
        let _pulled = buf.pull_front(Vxlan::LEN);
        Ok(buf)
    }
}

fn copy(data: &[u8], tunnel: &Tunnel, pool: &mut Pool) -> Result<PacketBuf, DropReason> {
    let inner = tunnel.open(data)?;
    let mut buf = pool.for_len(inner.len()).ok_or(DropReason::NoBuffer)?;
    if buf.extend_from_slice(inner) {
        Ok(buf)
    } else {
        pool.give(buf);
        Err(DropReason::NoBuffer)
    }
}
