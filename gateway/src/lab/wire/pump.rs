//! The thread that moves frames between the two ends of each wire.
//!
//! It sleeps until an end has frames, one is due in a lane, or there is an order. Frames move in batches, from a
//! memory-mapped ring to one system call, in buffers that were made at the start.
//!
//! A cable waits for no processor: where the thread may, it runs before all ordinary ones (`SCHED_FIFO`). A wire that is
//! late loses frames of a full ring that no cable would, and BFD takes that for a broken path. So nothing here may turn
//! in circles: every round begins asleep, and whatever woke it is taken away by one look, or two after an error.

use std::time::Duration;

use crossbeam::channel::{Receiver, Sender};
use dataplane::port::{Port, PortError};
use dataplane::{Batch, Depot, Frame, Pool, PoolSizes};
use net::Instant;
use sys::process::set_realtime;
use sys::{Poller, Ready, Waker};

use super::impairment::Impairment;
use super::lane::{Lane, LaneCounters};
use crate::clock;

/// What the thread is asked to do.
pub(super) enum Order {
    /// Do this to the frames of a lane from now on, and say so when it holds.
    Set { lane: usize, impairment: Impairment, done: Sender<()> },
    /// Tell about all lanes.
    Report(Sender<Vec<LaneReport>>),
    /// Let what is due go, and end.
    Stop,
}

/// A lane as it is.
#[derive(Clone, Debug)]
pub struct LaneReport {
    /// What it does to its frames.
    pub impairment: Impairment,
    /// What became of them.
    pub counters: LaneCounters,
    /// Frames that came out, by length in octets.
    pub lengths: Vec<u64>,
    /// Frames that the far end did not take: its link was down, or its queue full.
    pub refused: u64,
    /// Frames that came too fast for this thread.
    pub missed: u64,
}

/// The thread's own.
pub(super) struct Pump {
    /// Both ends of the first wire, of the second, and so on.
    ports: Vec<Option<Box<dyn Port>>>,
    /// Lane `i` goes from port `i` to the other end of its wire.
    lanes: Vec<Lane>,
    pool: Pool,
    poller: Poller,
    waker: Waker,
    orders: Receiver<Order>,
    out: Vec<Frame>,
    stop: bool,
}

impl Pump {
    /// A thread's own for these ports, two for each wire.
    ///
    /// # Errors
    /// When the kernel gives no more descriptors.
    pub(super) fn new(
        ports: Vec<Box<dyn Port>>,
        largest_frame: usize,
        seed: u64,
        orders: Receiver<Order>,
    ) -> std::io::Result<(Self, Waker)> {
        let poller = Poller::new()?;
        let waker = Waker::new(&poller, WAKE)?;
        for (token, port) in (0..).zip(&ports) {
            if let Some(fd) = port.fd() {
                poller.add(fd, token)?;
            }
        }
        let lanes = (0..).zip(&ports).map(|(lane, _)| Lane::new(seed.wrapping_add(lane))).collect();
        let sizes = PoolSizes { small_frame: largest_frame, small_count: BUFFERS, ..PoolSizes::default() };
        let this = Self {
            ports: ports.into_iter().map(Some).collect(),
            lanes,
            pool: Pool::new(Depot::new(sizes)),
            poller,
            waker: waker.clone(),
            orders,
            out: Vec::with_capacity(OUT),
            stop: false,
        };
        Ok((this, waker))
    }

    /// Moves frames until told to stop.
    pub(super) fn run(mut self) {
        // Without the right to it this is a thread like others.
        let _first = set_realtime(0, Some(FIRST));
        let mut ready: Vec<Ready> = Vec::with_capacity(64);
        while !self.stop {
            let now = clock::now();
            if self.poller.wait(&mut ready, self.rest(now)).is_err() {
                // None is expected. Who cannot sleep must not go on in front of everybody.
                return;
            }
            self.waker.reset();
            self.take_orders();
            for _ in 0..ROUNDS {
                if !self.round(&ready) {
                    break;
                }
            }
            self.let_due_out(clock::now());
        }
    }

    /// How long there is nothing to do unless something happens.
    fn rest(&self, now: Instant) -> Option<Duration> {
        let due = self.lanes.iter().filter_map(Lane::poll_timeout).min();
        due.map(|due| due.since(now))
    }

    /// A batch from each end that was ready. False when there was none.
    fn round(&mut self, ready: &[Ready]) -> bool {
        let now = clock::now();
        let ends = ready.iter().filter_map(|ready| usize::try_from(ready.token).ok());
        let mut busy = false;
        for at in ends {
            busy |= self.take_batch(at, now);
        }
        busy
    }

    fn take_batch(&mut self, at: usize, now: Instant) -> bool {
        let (Some(Some(port)), Some(lane)) = (self.ports.get_mut(at), self.lanes.get_mut(at)) else {
            return false;
        };
        let mut batch = Batch::new();
        let received = port.receive(&mut batch, &mut self.pool);
        lane.handle_frames(batch.drain(..), &mut self.pool, now, &mut self.out);
        self.send(at);
        if matches!(received, Err(PortError::Gone | PortError::Os(_))) {
            // A closed descriptor leaves the poller by itself.
            self.ports.get_mut(at).map(Option::take);
        }
        received.is_ok_and(|count| count > 0)
    }

    fn let_due_out(&mut self, now: Instant) {
        for at in 0..self.lanes.len() {
            if let Some(lane) = self.lanes.get_mut(at) {
                lane.handle_timeout(now, &mut self.out);
            }
            self.send(at);
        }
    }

    /// Sends what came out of lane `at` at the other end of its wire.
    fn send(&mut self, at: usize) {
        if self.out.is_empty() {
            return;
        }
        match self.ports.get_mut(at ^ 1) {
            // An end that is down takes nothing, and counts it.
            Some(Some(port)) => drop(port.send(&mut self.out, &mut self.pool)),
            _ => self.out.drain(..).for_each(|frame| self.pool.recycle(frame)),
        }
    }

    fn take_orders(&mut self) {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Set { lane, impairment, done } => {
                    if let Some(lane) = self.lanes.get_mut(lane) {
                        lane.set(impairment, &mut self.pool);
                    }
                    // Whoever asked may have given up.
                    let _told = done.send(());
                }
                Order::Report(reply) => drop(reply.send(self.report())),
                Order::Stop => self.stop = true,
            }
        }
    }

    fn report(&self) -> Vec<LaneReport> {
        let counters = |at: usize| match self.ports.get(at) {
            Some(Some(port)) => port.counters(),
            _ => dataplane::port::PortCounters::default(),
        };
        let one = |(at, lane): (usize, &Lane)| LaneReport {
            impairment: lane.impairment(),
            counters: lane.counters(),
            lengths: lane.lengths().to_vec(),
            refused: counters(at ^ 1).tx_refused,
            missed: counters(at).rx_ring_full + counters(at).rx_no_buffer + counters(at).rx_truncated,
        };
        self.lanes.iter().enumerate().map(one).collect()
    }
}

/// Buffers of all lanes together: two full ones.
const BUFFERS: usize = 2 * super::lane::WAITING;
/// Frames that a lane lets out at a time without the list having to grow.
const OUT: usize = super::lane::WAITING + dataplane::BATCH;
/// Rounds over the ends that were ready before orders are looked at again.
const ROUNDS: usize = 16;
/// The thread's real-time priority: behind a gateway's pacemaker, and no more than a worker that is late is lent.
const FIRST: u8 = 1;
/// The token by which the poller calls the waker; ends have their index.
const WAKE: u64 = 1 << 32;

#[cfg(test)]
mod tests {
    use crossbeam::channel::{bounded, unbounded};
    use dataplane::port::{PortCaps, memory};
    use net::PacketBuf;

    use super::super::quantity::Share;
    use super::*;

    #[test]
    fn frames_cross_both_ways_and_orders_change_one_lane_only() {
        let (mut near, left) = memory::pair(64, PortCaps::default());
        let (right, mut far) = memory::pair(64, PortCaps::default());
        let (orders, taken) = unbounded();
        let ports: Vec<Box<dyn Port>> = vec![Box::new(left), Box::new(right)];
        let (mut pump, _waker) = Pump::new(ports, 1600, 1, taken).unwrap();
        let ready: Vec<Ready> =
            (0..2).map(|token| Ready { token, readable: true, writable: false, failed: false }).collect();
        let mut pool = Pool::new(Depot::new(PoolSizes::default()));
        let mut cross = |pump: &mut Pump| {
            for port in [&mut near, &mut far] {
                let frame = || Frame::new(PacketBuf::copy_of(&[9; 60], 0, 0));
                port.send(&mut vec![frame(), frame()], &mut pool).unwrap();
            }
            while pump.round(&ready) {}
            [&mut near, &mut far].map(|port| port.receive(&mut Batch::new(), &mut pool).unwrap())
        };
        assert_eq!(cross(&mut pump), [2, 2]);
        let (done, told) = bounded(1);
        let impairment = Impairment { loss: Share::ALL, ..Impairment::default() };
        orders.send(Order::Set { lane: 0, impairment, done }).unwrap();
        pump.take_orders();
        told.try_recv().unwrap();
        assert_eq!(cross(&mut pump), [2, 0], "lane 0 leads to the far port");
        let report = pump.report();
        assert_eq!((report[0].counters.lost, report[1].counters.lost), (2, 0));
        assert_eq!(report[1].lengths[60], 4);
    }
}
