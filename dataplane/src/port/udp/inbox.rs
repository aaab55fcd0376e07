//! What was received and is not yet handed over.
//!
//! Trains of one flow have datagrams of one length, again and again. So the next train is expected to have the length of
//! the last large one, and the kernel is given as many buffers of just that length: a train that is as expected
//! lies in its frames at once. Any other is gathered in one large buffer and copied out frame by frame.
//!
//! One read takes several messages: trains, or where none are expected, more that are likely to be one datagram each. One that
//! brings less than there was room for has emptied the socket, so the same call does not ask again. The worker does, in its next
//! round: what comes while frames are handled is found without sleeping, and sleeping costs more than asking.

use std::{io::IoSliceMut, iter};

use arrayvec::ArrayVec;
use net::PacketBuf;
use sys::udp::{UdpIntake, UdpReceived, UdpSocket};

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
/// Messages of one read while they are likely to be one datagram each.
const MANY: usize = 8;
/// Messages of one read while trains are expected: two fill a batch.
const TRAINS: usize = 2;

/// Reads without a train after which one is no longer expected.
const PATIENCE: u8 = 16;

/// Received datagrams.
#[derive(Debug)]
pub(super) struct Inbox {
    intake: UdpIntake,
    /// What the last read brought, in its order: `count` messages, of which those before `current` were taken.
    messages: Box<[Message]>,
    current: usize,
    count: usize,
    /// The last read found less than there was room for.
    drained: bool,
    /// Octets of a datagram that is expected; 0 when nothing is known.
    expected: usize,
    /// Reads in which a train is still expected.
    busy: u8,
}

/// One received message: a datagram, or a train.
#[derive(Debug)]
struct Message {
    /// Buffers that wait for a datagram each, or hold one: it begins where a frame's VXLAN header would.
    slots: ArrayVec<PacketBuf, DATAGRAMS>,
    /// How many of them were given, and how many octets of each.
    given: usize,
    room: usize,
    /// The large buffer.
    rest: Box<[u8]>,
    /// What was read lies in the slots, one datagram in each; in the large buffer otherwise.
    in_slots: bool,
    /// Octets that were read, of each datagram but the last, and where the next one begins.
    octets: usize,
    segment: usize,
    at: usize,
}

/// Buffers of the pool that an inbox keeps at most.
pub const KEPT: usize = TRAINS * DATAGRAMS + (MANY - TRAINS) * FEW;

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            intake: UdpIntake::new(),
            messages: iter::repeat_with(Message::new).take(MANY).collect(),
            current: 0,
            count: 0,
            drained: false,
            expected: 0,
            busy: 0,
        }
    }

    /// Gives all buffers back; what was read in them is gone.
    pub(super) fn give_back(&mut self, pool: &mut Pool) {
        for message in &mut self.messages {
            message.slots.drain(..).for_each(|buf| pool.give(buf));
            (message.at, message.octets, message.given) = (0, 0, 0);
        }
    }

    /// Datagrams wait to be taken.
    pub(super) fn holds_frames(&self) -> bool {
        let waiting = self.messages.get(self.current..self.count).unwrap_or_default();
        waiting.iter().any(Message::holds_frames)
    }

    /// Nothing waited any more when the socket was last read.
    pub(super) const fn is_drained(&self) -> bool {
        self.drained
    }

    /// Reads the next datagrams or trains; nothing may be held.
    pub(super) fn read(
        &mut self,
        socket: &UdpSocket,
        tunnel: &Tunnel,
        pool: &mut Pool,
        counters: &mut PortCounters,
    ) -> Result<(), PortError> {
        (self.current, self.count, self.drained) = (0, 0, true);
        let (messages, slots) = match (self.expected, self.busy) {
            (0, _) => (MANY, 0),
            (_, 0) => (MANY, FEW),
            (expected, _) => (TRAINS, DATAGRAMS.min(LARGEST / expected)),
        };
        let messages = self.messages.get_mut(..messages).unwrap_or_default();
        for message in messages.iter_mut() {
            message.prepare(slots, self.expected, pool);
        }
        match self.intake.receive(socket, messages.iter_mut().map(Message::pieces)) {
            Ok((came, room)) => {
                (self.count, self.drained) = (came, came < room);
                self.sort(tunnel, counters);
                Ok(())
            }
            Err(error) => kernel::port_error(&error).map_or(Ok(()), Err),
        }
    }

    /// Looks through what came, and learns what to expect next.
    fn sort(&mut self, tunnel: &Tunnel, counters: &mut PortCounters) {
        let mut train = false;
        for (at, message) in self.messages.iter_mut().take(self.count).enumerate() {
            let Some(received) = self.intake.received(at) else { continue };
            let datagrams = message.begin(received, tunnel, counters);
            train |= datagrams > FEW;
            if datagrams > 0 && (self.expected == 0 || (datagrams > FEW && message.octets >= LARGE)) {
                self.expected = message.segment.min(LARGEST / FEW);
            }
        }
        self.busy = if train { PATIENCE } else { self.busy.saturating_sub(1) };
    }

    /// The next frame of what was read; `None`, and counted, when it is none.
    pub(super) fn take(
        &mut self,
        tunnel: &Tunnel,
        pool: &mut Pool,
        counters: &mut PortCounters,
    ) -> Option<Frame> {
        while self.messages.get(self.current).is_some_and(|message| !message.holds_frames()) {
            self.current += 1;
        }
        self.messages.get_mut(self.current)?.take(tunnel, pool, counters)
    }
}

impl Message {
    fn new() -> Self {
        Self {
            slots: ArrayVec::new(),
            given: 0,
            room: 0,
            rest: vec![0; LARGEST].into_boxed_slice(),
            in_slots: false,
            octets: 0,
            segment: 1,
            at: 0,
        }
    }

    const fn holds_frames(&self) -> bool {
        self.at < self.octets
    }

    /// Makes buffers ready: as many as `wanted`, if datagrams of `expected` octets fit.
    fn prepare(&mut self, wanted: usize, expected: usize, pool: &mut Pool) {
        (self.at, self.octets) = (0, 0);
        while self.slots.len() < wanted {
            let Some(mut buf) = pool.small() else { break };
            buf.reset(HEADROOM - Vxlan::LEN);
            self.slots.push(buf);
        }
        let fits = |buf: &PacketBuf| buf.tailroom() >= expected + TAILROOM;
        self.given = if self.slots.first().is_some_and(fits) { wanted.min(self.slots.len()) } else { 0 };
        self.room = expected;
    }

    /// Where the kernel may write. What goes beyond the slots lies where it belongs once all is gathered.
    fn pieces(&mut self) -> impl Iterator<Item = IoSliceMut<'_>> {
        let Self { slots, given, room, rest, .. } = self;
        let beyond = rest.get_mut(*given * *room..).unwrap_or_default();
        let slots = slots.iter_mut().take(*given);
        slots
            .map(|slot| IoSliceMut::new(slot.spare_mut().get_mut(..*room).unwrap_or_default()))
            .chain(iter::once(IoSliceMut::new(beyond)))
    }

    /// Begins with what was received. How many datagrams there are to take; none, and counted, when it is not for us.
    fn begin(&mut self, received: UdpReceived, tunnel: &Tunnel, counters: &mut PortCounters) -> usize {
        let UdpReceived { octets, segment, source, truncated } = received;
        let datagrams = octets.div_ceil(segment);
        if truncated {
            counters.rx_truncated += many(datagrams);
        } else if !tunnel.admits(source) {
            counters.rx_unknown_source += many(datagrams.max(1));
        } else if octets == 0 {
            counters.rx_bad_header += 1;
        } else {
            (self.octets, self.segment) = (octets, segment);
            let alike = segment == self.room || (datagrams == 1 && segment < self.room);
            self.in_slots = alike && datagrams <= self.given;
            if !self.in_slots {
                self.gather();
            }
            return datagrams;
        }
        0
    }

    /// Puts what lies in the slots in front of the rest.
    fn gather(&mut self) {
        let mut at = 0;
        for slot in self.slots.iter_mut().take(self.given) {
            let len = self.room.min(self.octets - at);
            let (to, from) = (self.rest.get_mut(at..at + len), slot.spare_mut().get(..len));
            if let (Some(to), Some(from)) = (to, from) {
                to.copy_from_slice(from);
            }
            at += len;
        }
    }

    /// The next frame of what was read; `None`, and counted, when it is none.
    fn take(&mut self, tunnel: &Tunnel, pool: &mut Pool, counters: &mut PortCounters) -> Option<Frame> {
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
