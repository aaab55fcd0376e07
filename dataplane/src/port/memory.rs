//! Two ports joined inside the process: what one sends, the other receives. For tests, simulations and benches.

use std::{os::fd::BorrowedFd, sync::Arc};

use crossbeam::queue::ArrayQueue;

use super::{LOOKS, Port, PortCaps, PortCounters, PortError, PortKind, kernel};
use crate::{Batch, Frame, Pool, Pressure, Wanted};

/// One end of a wire in memory.
#[derive(Debug)]
pub struct MemoryPort {
    inbox: Arc<ArrayQueue<Frame>>,
    outbox: Arc<ArrayQueue<Frame>>,
    caps: PortCaps,
    counters: PortCounters,
}

/// Both ends of a wire that holds at most `depth` frames each way; more are refused and counted.
pub fn pair(depth: usize, caps: PortCaps) -> (MemoryPort, MemoryPort) {
    let (left, right) = (Arc::new(ArrayQueue::new(depth.max(1))), Arc::new(ArrayQueue::new(depth.max(1))));
    let end = |inbox: &Arc<_>, outbox: &Arc<_>| MemoryPort {
        inbox: Arc::clone(inbox),
        outbox: Arc::clone(outbox),
        caps,
        counters: PortCounters::default(),
    };
    (end(&left, &right), end(&right, &left))
}

impl Port for MemoryPort {
    fn receive(&mut self, batch: &mut Batch, _pool: &mut Pool) -> Result<usize, PortError> {
        let before = batch.len();
        while !batch.is_full() {
            let Some(frame) = self.inbox.pop() else { break };
            self.counters.rx_frames += 1;
            self.counters.rx_octets += u64::try_from(frame.buf.len()).unwrap_or(u64::MAX);
            batch.push(frame);
        }
        Ok(batch.len() - before)
    }

    fn send(&mut self, frames: &mut Vec<Frame>, pool: &mut Pool) -> Result<(), PortError> {
        let room = self.outbox.capacity().saturating_sub(self.outbox.len()).min(frames.len());
        for frame in frames.drain(..room) {
            self.counters.tx_frames += 1;
            self.counters.tx_octets += kernel::octets(&frame);
            // Only this end pushes, so there is as much room as was seen.
            let _room = self.outbox.push(frame);
        }
        self.counters.tx_refused += super::keep_control(frames, pool);
        Ok(())
    }

    fn pressure(&self) -> Pressure {
        Pressure::of(|eighths| self.inbox.len() * 8 >= self.inbox.capacity() * usize::from(eighths))
    }

    fn relieve(
        &mut self,
        batch: &mut Batch,
        pool: &mut Pool,
        wanted: &Wanted,
        pressure: Pressure,
    ) -> Result<usize, PortError> {
        let mut looked = 0;
        while looked < LOOKS && !batch.is_full() {
            let Some(frame) = self.inbox.pop() else { break };
            looked += 1;
            if wanted.has(pressure, &frame.buf, frame.buf.len()) {
                self.counters.rx_frames += 1;
                self.counters.rx_octets += kernel::octets(&frame);
                batch.push(frame);
            } else {
                self.counters.rx_shed += 1;
                pool.recycle(frame);
            }
        }
        Ok(looked)
    }

    fn depth(&self) -> usize {
        self.inbox.capacity()
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn caps(&self) -> PortCaps {
        self.caps
    }

    fn kind(&self) -> PortKind {
        PortKind::Memory
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Depot, PoolSizes};

    #[test]
    fn what_one_end_sends_the_other_receives_and_a_full_wire_refuses() {
        let mut pool = Pool::new(Depot::new(PoolSizes::default()));
        let (mut a, mut b) = pair(2, PortCaps::default());
        let mut frames: Vec<_> = (0..3).map(|_| Frame::new(pool.small().unwrap())).collect();
        frames[0].buf.extend_from_slice(b"first");
        a.send(&mut frames, &mut pool).unwrap();
        assert_eq!((frames.len(), a.counters().tx_frames, a.counters().tx_refused), (0, 2, 1));
        let mut batch = Batch::new();
        assert_eq!(b.receive(&mut batch, &mut pool), Ok(2));
        assert_eq!(&*batch[0].buf, b"first");
        assert_eq!(a.receive(&mut batch, &mut pool), Ok(0));
    }
}
