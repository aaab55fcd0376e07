//! A worker that leaves everything to its successor in another process.
//!
//! First it rests: it takes nothing from its ports any more, where frames wait for the successor, but finishes what it began, and what
//! other workers hand over. When all have done so twice nothing is on its way between them. Then it leaves: it tells where
//! everything stands, and waits for the decision. It sends nothing meanwhile, so whoever goes on, it or its successor, finds every packet
//! number where it was.

use crossbeam::channel::{Receiver, Sender};
use dataplane::{Batch, ChannelId, ConnectionId, InterfaceId, PortId, port::Heirloom};
use net::carry::{Opened, Parcel};

use super::Worker;
use crate::clock;

/// A step towards a successor.
pub enum Step {
    /// What it would go on with the ports by.
    Heirlooms(Sender<Vec<(PortId, Heirloom)>>),
    /// Take nothing from the ports any more: what the other workers hand over is still done.
    Rest(Sender<()>),
    /// Tell it everything; then end, or go on if it does not come to be.
    Leave(Sender<Left>, Receiver<Decision>),
    /// Go on: there is none.
    GoOn,
}

/// How a handover ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// The successor has everything: this worker must not send another frame.
    End,
    /// There is none: this worker goes on as if nothing had been.
    GoOn,
}

/// What a worker leaves to a successor: a parcel for each thing that it has.
#[derive(Debug, Default)]
pub struct Left {
    /// Channels that it owns.
    pub channels: Vec<(ChannelId, Parcel)>,
    /// All interfaces, as far as it knows them.
    pub interfaces: Vec<(InterfaceId, Parcel)>,
    /// Connections that it decides for.
    pub connections: Vec<(ConnectionId, Parcel)>,
    /// Where its ports stand.
    pub ports: Vec<(PortId, Parcel)>,
}

impl Worker {
    pub(super) fn towards_successor(&mut self, step: Step) {
        match step {
            // Whoever asked may have given up.
            Step::Heirlooms(reply) => drop(reply.send(self.heirlooms())),
            Step::Rest(reply) => {
                self.rest();
                let _sent = reply.send(());
            }
            Step::Leave(reply, decision) => {
                self.rest();
                let _sent = reply.send(self.leave());
                // Whoever is gone has decided nothing: the successor did not come to be.
                match decision.recv().unwrap_or(Decision::GoOn) {
                    Decision::End => (self.stop, self.given_up) = (true, true),
                    Decision::GoOn => self.resting = false,
                }
            }
            Step::GoOn => self.resting = false,
        }
    }

    fn heirlooms(&self) -> Vec<(PortId, Heirloom)> {
        let each = self.ports.iter().enumerate();
        let each = each.filter_map(|(at, port)| Some((PortId::at(at), port.as_ref()?.heirloom().ok()??)));
        each.collect()
    }

    /// Takes nothing new, and finishes what was begun.
    fn rest(&mut self) {
        self.resting = true;
        for at in 0..self.ports.len() {
            while self.take_batch(PortId::at(at), clock::now()) {}
        }
        self.take_crossings(clock::now());
        self.settle();
    }

    fn leave(&mut self) -> Left {
        let (setup, now) = (self.dataplane.setup().clone(), clock::now());
        let mut left = Left::default();
        for id in (0..setup.channels.len()).map(ChannelId::at) {
            let mut parcel = Parcel::new();
            if self.dataplane.leave_channel(id, &mut parcel) {
                left.channels.push((id, parcel));
            }
        }
        for id in (0..setup.interfaces.len()).map(InterfaceId::at) {
            let mut parcel = Parcel::new();
            self.dataplane.leave_interface(id, &mut parcel, now);
            left.interfaces.push((id, parcel));
        }
        for id in (0..setup.connections.len()).map(ConnectionId::at) {
            let mut parcel = Parcel::new();
            if self.dataplane.leave_connection(id, &mut parcel) {
                left.connections.push((id, parcel));
            }
        }
        for (at, port) in self.ports.iter_mut().enumerate() {
            if let Some(port) = port {
                let mut parcel = Parcel::new();
                port.leave(&mut parcel);
                left.ports.push((PortId::at(at), parcel));
            }
        }
        left
    }

    /// Throws away what waits in a port that was opened while the predecessor still had its own: that one has forwarded it.
    pub fn forget_waiting(&mut self, id: PortId) {
        let Some(Some(port)) = self.ports.get_mut(id.index()) else { return };
        let (depth, mut forgotten) = (port.depth(), 0);
        while forgotten < depth {
            let mut batch = Batch::new();
            let more = port.receive(&mut batch, self.dataplane.pool()).is_ok_and(|count| count > 0);
            forgotten += batch.len();
            for frame in batch.drain(..) {
                self.dataplane.pool().recycle(frame);
            }
            if !more {
                return;
            }
        }
    }

    /// Goes on with a port where its predecessor stood, before it runs. False when it cannot, and then the port is of no use.
    pub fn resume_port(&mut self, id: PortId, left: &[u8]) -> bool {
        let port = self.ports.get_mut(id.index()).and_then(Option::as_mut);
        port.is_some_and(|port| port.resume(&mut Opened::new(left)))
    }
}
