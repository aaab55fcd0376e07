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
        if !core::mem::replace(&mut self.resting, true) {
            // Nobody forwards until all is done: this thread is waited for.
            self.pulse.begin_hurried();
        }
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

#[cfg(test)]
mod tests {
    use core::{net::Ipv4Addr, num::NonZeroU32, time::Duration};
    use std::sync::Arc;

    use dataplane::{
        Batch, Board, ConnectionId, ConnectionKind, ConnectionSetup, ConnectionTables, Dataplane, Depot,
        Frame, InterfaceSetup, MssClamp, Place, Pool, PoolSizes, PortSetup, Protection, Setup, Tables,
        Target, WorkerId,
        bfd::{
            BfdMode, BfdParams, BfdState, BfdStatus, BfdTimers, Control, Diagnostic, Hops, write_datagram,
        },
        port::{Port as _, PortCaps, memory},
    };
    use net::{EtherType, Ethernet, Instant, MacAddr};

    use super::*;

    const OWN: (Ipv4Addr, MacAddr) = (Ipv4Addr::new(10, 1, 0, 1), MacAddr([2, 0, 0, 0, 0, 1]));
    const PEER: (Ipv4Addr, MacAddr) = (Ipv4Addr::new(10, 1, 0, 2), MacAddr([2, 0, 0, 0, 0, 2]));

    /// A LAN with a router that speaks BFD.
    fn dataplane() -> Dataplane {
        let ms = Duration::from_millis;
        let timers = BfdTimers::new(ms(50), ms(50), 3).unwrap();
        let bfd = BfdParams {
            peer: PEER.0.into(),
            timers,
            mode: BfdMode::Follow,
            hops: Hops::One,
            independent: true,
        };
        let setup = Setup {
            lags: vec![],
            workers: 1,
            ports: vec![PortSetup { owner: None, caps: PortCaps::default() }],
            channels: vec![],
            interfaces: vec![InterfaceSetup {
                connection: ConnectionId(0),
                place: Place::Lan { port: PortId(0), vlan: None },
                mac: OWN.1,
                mtu: 1500,
                addresses: vec!["10.1.0.1/24".parse().unwrap()],
                mss_clamp: MssClamp::Off,
                host: None,
                bfd: vec![bfd],
            }],
            connections: vec![ConnectionSetup::new(ConnectionKind::Routed, Protection::Ecmp)],
        };
        let depot = Depot::new(PoolSizes { small_count: 256, big_count: 1, ..PoolSizes::default() });
        let mut one =
            Dataplane::new(WorkerId(0), Arc::new(setup), Board::new(1), Pool::new(depot), 1).unwrap();
        let routes = vec![
            ("10.1.0.0/24".parse().unwrap(), Target::OnLink(InterfaceId(0))),
            ("10.1.0.1/32".parse().unwrap(), Target::Local(InterfaceId(0))),
        ];
        let connections = vec![ConnectionTables::build(routes).into()];
        drop(one.set_tables(Arc::new(Tables { generation: 1, connections })));
        one
    }

    fn status(worker: &Worker) -> BfdStatus {
        worker.dataplane.snapshot(clock::now()).interfaces[0].bfd[0].clone()
    }

    /// What the router says, as a frame.
    fn said(worker: &mut Worker, state: BfdState) -> Frame {
        let control = Control {
            diagnostic: Diagnostic::None,
            state,
            poll: false,
            is_final: false,
            control_plane_independent: false,
            demand: false,
            multiplier: 3.try_into().unwrap(),
            my_discriminator: NonZeroU32::new(9).unwrap(),
            your_discriminator: NonZeroU32::new(status(worker).discriminator),
            desired_min_tx: Duration::from_millis(50),
            required_min_rx: Duration::from_millis(50),
            required_min_echo_rx: Duration::ZERO,
        };
        let mut frame = Frame::new(worker.dataplane.pool().small().unwrap());
        write_datagram(&mut frame.buf, (PEER.0.into(), 50_000), (OWN.0.into(), 3784), &control).unwrap();
        let header = Ethernet { destination: OWN.1, source: PEER.1, ethertype: EtherType::IPV4 };
        let room = frame.buf.push_front(Ethernet::LEN).unwrap();
        room.copy_from_slice(&[&header.destination.0[..], &header.source.0, &[8, 0]].concat());
        frame
    }

    /// A peer's packets wait where a worker that rests does not look: it must not take them for silence.
    #[test]
    fn a_worker_that_rests_declares_nobody_dead() {
        let (mut worker, _mailbox) = Worker::new(dataplane(), Box::new(|_| {})).unwrap();
        let (port, mut far) = memory::pair(8, PortCaps::default());
        worker.set_port(PortId(0), Box::new(port)).unwrap();
        for state in [BfdState::Down, BfdState::Init, BfdState::Up] {
            let mut batch = Batch::new();
            batch.push(said(&mut worker, state));
            worker.dataplane.handle_batch(PortId(0), &mut batch, Instant::ZERO);
        }
        assert_eq!(status(&worker).state, BfdState::Up);
        let packet = said(&mut worker, BfdState::Up);
        far.send(&mut vec![packet], worker.dataplane.pool()).unwrap();
        // Nothing was heard for longer than 150 ms; but what is heard now is good for as long.
        let later = core::iter::repeat_with(|| clock::now().after(Duration::from_millis(149)))
            .find(|later| worker.dataplane.is_judgement_due(*later))
            .unwrap();
        worker.resting = true;
        worker.pass_time(later);
        assert_eq!(status(&worker).state, BfdState::Up, "nobody looked");
        worker.resting = false;
        worker.pass_time(later);
        assert_eq!(status(&worker).state, BfdState::Up, "it had spoken");
        worker.pass_time(clock::now().after(Duration::from_secs(1)));
        assert_eq!(status(&worker).state, BfdState::Down);
    }
}
