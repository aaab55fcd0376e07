//! Virtual time: [`World::run`] lets frames travel and timers fire in their order, and watches what nobody may ever do.
//!
//! Each protected frame that a gateway sends under a key that MKA gave it is held against all that were sent before: a
//! packet number is used once per key, over restarts too.

use core::time::Duration;
use std::collections::{BTreeMap, HashSet};

use dataplane::{Batch, Dataplane, Event, Fault, Frame, PortId};
use macsec::{
    KeyId,
    mka::{MkaEvent, Rng},
};
use net::{Instant, earliest};

use crate::{
    Side::{self, Left, Right},
    World, arp_reply,
    gateways::gateway,
};

/// A frame on its way to a port.
#[derive(Debug)]
pub(crate) struct Parcel {
    due: Instant,
    to: Side,
    port: PortId,
    octets: Vec<u8>,
}

/// Which packet numbers were used under which key.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    /// The key that a side has on a channel under an association number.
    keys: BTreeMap<(u8, u16, u8), KeyId>,
    used: HashSet<(KeyId, u8, u16, u32)>,
    /// How many frames were looked at.
    seen: u64,
}

impl Nonces {
    fn learn(&mut self, side: Side, event: &Event) {
        if let Event::Mka(
            channel,
            MkaEvent::Secured { key_id, an, .. } | MkaEvent::Rekeyed { key_id, an, .. },
        ) = event
        {
            self.keys.insert((side.number(), channel.0, an.get()), *key_id);
        }
    }

    fn check(&mut self, side: Side, channel: u16, frame: &[u8]) {
        let at =
            frame.windows(2).position(|pair| pair == [0x88, 0xe5]).filter(|at| [12, 16, 20].contains(at));
        let Some(tag) = at.and_then(|at| frame[at + 2..].first_chunk::<6>()) else { return };
        let [tci, _, pn @ ..] = *tag;
        let Some(key) = self.keys.get(&(side.number(), channel, tci & 3)) else { return };
        self.seen += 1;
        let fresh = self.used.insert((*key, side.number(), channel, u32::from_be_bytes(pn)));
        assert!(fresh, "{side:?} uses packet number {pn:?} twice under key {key}");
    }
}

impl World {
    /// Until `time` has passed: timers fire, frames cross. What the hosts got, ARP aside.
    pub fn run(&mut self, time: Duration) -> Vec<(Side, Vec<u8>)> {
        let (end, mut delivered) = (self.now.after(time), vec![]);
        let mut spins = 0;
        for side in [Left, Right] {
            self.gather(side, &mut delivered);
        }
        while let Some(next) = self.next_due().filter(|next| *next <= end) {
            spins = if next > self.now { 0 } else { spins + 1 };
            assert!(spins < 10_000, "time stands still at {}", self.now);
            self.now = self.now.max(next);
            match self.flight.front() {
                Some(parcel) if parcel.due <= self.now => self.deliver(&mut delivered),
                _ => self.fire(&mut delivered),
            }
        }
        self.now = end;
        delivered
    }

    /// Runs until `done`, for `limit` at most. How long that took, and what the hosts got.
    pub fn run_until(
        &mut self,
        limit: Duration,
        mut done: impl FnMut(&mut Self) -> bool,
    ) -> (Duration, Vec<(Side, Vec<u8>)>) {
        let (start, mut delivered) = (self.now, vec![]);
        while !done(self) {
            assert!(
                self.now.since(start) <= limit,
                "not within {limit:?}: {:#?}",
                self.told.iter().rev().take(20).collect::<Vec<_>>()
            );
            delivered.extend(self.run(Duration::from_millis(1)));
        }
        (self.now.since(start), delivered)
    }

    /// A host sends frames now; they are on their way when this returns.
    pub fn offer(&mut self, from: Side, frames: impl IntoIterator<Item = Vec<u8>>) {
        let (due, port) = (self.now, self.lan());
        for octets in frames {
            self.flight.push_front(Parcel { due, to: from, port, octets });
        }
    }

    /// Somebody on the wire sends a frame to a side's channel port.
    pub fn forge(&mut self, to: Side, channel: u8, octets: Vec<u8>) {
        self.flight.push_front(Parcel { due: self.now, to, port: PortId(u16::from(channel)), octets });
    }

    /// Power cut: it neither hears nor says anything any more.
    pub fn kill(&mut self, side: Side) {
        self.dead[place(side)] = true;
    }

    /// A new process takes the place of the one before, which kept nothing.
    pub fn restart(&mut self, side: Side) {
        self.lives += 1;
        let mut fresh = gateway(side, &self.plan, &self.depot, (self.lives, self.now));
        for channel in 0..self.channels {
            let fault = self.cut[usize::from(channel)].then_some(Fault::NoCarrier);
            fresh.set_port_fault(PortId(u16::from(channel)), fault, self.now);
        }
        *self.at(side) = fresh;
        self.dead[place(side)] = false;
    }

    /// Frames that went out protected under keys of MKA, all checked.
    pub fn protected_frames(&self) -> u64 {
        self.nonces.seen
    }

    fn alive(&self, side: Side) -> bool {
        !self.dead[place(side)]
    }

    fn next_due(&self) -> Option<Instant> {
        let flight = self.flight.front().map(|parcel| parcel.due);
        let timers = [Left, Right].into_iter().filter(|side| self.alive(*side));
        timers.map(|side| self.gateways[place(side)].poll_timeout()).fold(flight, earliest)
    }

    fn deliver(&mut self, delivered: &mut Vec<(Side, Vec<u8>)>) {
        let Some(Parcel { to, port, octets, .. }) = self.flight.pop_front() else { return };
        if !self.alive(to) {
            return;
        }
        let now = self.now;
        let gateway = self.at(to);
        let Some(mut buf) = gateway.pool().for_len(octets.len()) else { panic!("the pool is dry") };
        assert!(buf.extend_from_slice(&octets));
        let mut batch = Batch::new();
        batch.push(Frame::new(buf));
        gateway.handle_batch(port, &mut batch, now);
        self.gather(to, delivered);
    }

    fn fire(&mut self, delivered: &mut Vec<(Side, Vec<u8>)>) {
        let now = self.now;
        for side in [Left, Right].into_iter().filter(|side| self.alive(*side)).collect::<Vec<_>>() {
            if self.at(side).poll_timeout().is_some_and(|due| due <= now) {
                self.at(side).handle_timeout(now);
            }
            self.gather(side, delivered);
        }
    }

    /// What a gateway left behind goes its way.
    fn gather(&mut self, side: Side, delivered: &mut Vec<(Side, Vec<u8>)>) {
        while let Some(event) = self.at(side).poll_event() {
            self.nonces.learn(side, &event);
            self.told.push((self.now, side, event));
        }
        for port in 0..=u16::from(self.channels) {
            for octets in sent(self.at(side), PortId(port)) {
                if PortId(port) != self.lan() {
                    self.cross(side, port, octets);
                } else if let Some(answer) = arp_reply(side, &octets) {
                    self.flight.push_front(Parcel {
                        due: self.now,
                        to: side,
                        port: PortId(port),
                        octets: answer,
                    });
                } else {
                    delivered.push((side, octets));
                }
            }
        }
    }

    fn cross(&mut self, from: Side, channel: u16, octets: Vec<u8>) {
        self.nonces.check(from, channel, &octets);
        if self.recording {
            self.wire[usize::from(channel)].push(octets.clone());
        }
        let at = usize::from(channel);
        let lane = &mut self.lanes[at][place(from)];
        let passes = lane.passes(&octets, self.now, &mut self.dice);
        if self.cut[at] || !passes {
            return;
        }
        let due = self.now.after(self.delay + lane.more);
        let parcel = Parcel { due, to: from.other(), port: PortId(channel), octets };
        // Behind all that are due by then; lanes differ in length.
        let ahead = self.flight.iter().rev().take_while(|other| other.due > due).count();
        self.flight.insert(self.flight.len() - ahead, parcel);
    }
}

fn sent(gateway: &mut Dataplane, port: PortId) -> Vec<Vec<u8>> {
    let Some((frames, pool)) = gateway.transmit(port) else { return vec![] };
    let octets = |frame: Frame| {
        let octets = frame.buf.to_vec();
        pool.recycle(frame);
        octets
    };
    frames.drain(..).map(octets).collect()
}

pub(crate) const fn place(side: Side) -> usize {
    match side {
        Left => 0,
        Right => 1,
    }
}

/// SplitMix64: looks random, and is the same for the same seed.
pub(crate) fn random(mut state: u64) -> Rng {
    Box::new(move |room| {
        for octet in room {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            [*octet, ..] = (z ^ z >> 31).to_be_bytes();
        }
    })
}
