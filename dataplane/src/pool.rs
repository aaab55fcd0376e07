//! Buffers, made once and used for ever.
//!
//! Each worker has a [`Pool`]: two plain stacks of buffers, small ones that hold a frame of the largest
//! MTU, big ones that hold a super-frame. Buffers move with frames, also to other workers, so stacks run
//! full on one side and empty on the other: a [`Depot`], shared and lock-free, evens them out a chunk at a
//! time. When everything is in flight, [`Pool::small`] says `None` and the frame is dropped and
//! counted: memory never grows with load.
//!
//! What the gateway itself has to say must go out also then, or a flood in one connection would end the channels of all. So each
//! pool keeps a few small buffers aside, which only [`Pool::for_control`] and [`Pool::for_link`] give away; the first ones that come
//! back take their place.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;
use net::PacketBuf;

use crate::Frame;

/// Octets kept free before a received frame: SecTAG with SCI (16), two clear tags (8), an inner VLAN tag (4),
/// a R-TAG (6), and an outer Ethernet/IPv6/UDP/VXLAN header (14 + 4 + 40 + 8 + 8), rounded up.
pub const HEADROOM: usize = 128;
/// Octets kept free after a received frame: the ICV (16) and some more.
pub const TAILROOM: usize = 32;

/// Buffers moved between a pool and the depot at a time.
const CHUNK: usize = 64;
/// Of all small buffers, one in so many may lie in one pool: what goes round in a worker stays in the caches of its processor. There
/// are 4096 for each worker, so enough is left for the others.
const SHARE: usize = 8;
/// The most small ones that lie in one pool: some trains cut into segments, a megabyte.
const KEPT: usize = 8 * CHUNK;

/// Of all small buffers, one in so many is kept aside by each pool for the gateway's own frames.
const RESERVED: usize = 32;
/// The most that one pool keeps aside: what the sessions of a large gateway say at once.
const RESERVE: usize = 2 * CHUNK;

/// How many buffers of which size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PoolSizes {
    /// Largest frame (octets from the destination address on) that a small buffer holds, head and tail room aside.
    pub small_frame: usize,
    /// Number of small buffers over all workers.
    pub small_count: usize,
    /// Largest super-frame that a big buffer holds, head and tail room aside.
    pub big_frame: usize,
    /// Number of big buffers over all workers.
    pub big_count: usize,
}

impl Default for PoolSizes {
    /// MTU 1500 with room for tags; super-frames of 64 KiB.
    fn default() -> Self {
        Self { small_frame: 1792, small_count: 4096, big_frame: 65_536 + 64, big_count: 160 }
    }
}

/// All the buffers of a gateway that no worker holds.
#[derive(Debug)]
pub struct Depot {
    small: ArrayQueue<PacketBuf>,
    big: ArrayQueue<PacketBuf>,
    sizes: PoolSizes,
}

impl Depot {
    /// Makes all buffers. This is the only allocation of packet memory there is.
    pub fn new(sizes: PoolSizes) -> Arc<Self> {
        let fill = |count: usize, frame: usize| {
            let queue = ArrayQueue::new(count.max(1));
            for _ in 0..count {
                let _kept = queue.push(PacketBuf::with_capacity(HEADROOM + frame + TAILROOM, HEADROOM));
            }
            queue
        };
        let (small, big) =
            (fill(sizes.small_count, sizes.small_frame), fill(sizes.big_count, sizes.big_frame));
        Arc::new(Self { small, big, sizes })
    }

    /// The sizes that it was made with.
    pub fn sizes(&self) -> PoolSizes {
        self.sizes
    }

    /// Small and big buffers that lie here now.
    pub fn free(&self) -> (usize, usize) {
        (self.small.len(), self.big.len())
    }
}

/// One worker's buffers.
#[derive(Debug)]
pub struct Pool {
    depot: Arc<Depot>,
    small: Vec<PacketBuf>,
    big: Vec<PacketBuf>,
    /// Small ones for the gateway's own frames: full, but while all others are in flight.
    reserve: Vec<PacketBuf>,
    /// How many those are when it is full.
    reserved: usize,
}

impl Pool {
    /// A pool that draws on `depot`.
    pub fn new(depot: Arc<Depot>) -> Self {
        let kept = (depot.sizes.small_count / SHARE).clamp(2 * CHUNK, KEPT);
        let reserved = (depot.sizes.small_count / RESERVED).min(RESERVE);
        let mut reserve = Vec::with_capacity(reserved);
        reserve.extend(core::iter::from_fn(|| depot.small.pop()).take(reserved));
        // Big ones are few, and what lies idle in some pools must never be all of them.
        let (small, big) = (Vec::with_capacity(kept), Vec::with_capacity(2 * CHUNK));
        Self { depot, small, big, reserve, reserved }
    }

    /// An empty buffer with [`HEADROOM`] for a frame of up to `PoolSizes::small_frame` octets.
    /// `None` when all are in flight.
    pub fn small(&mut self) -> Option<PacketBuf> {
        Self::take(&mut self.small, &self.depot.small)
    }

    /// As [`small`](Self::small), for what the gateway says to its neighbours: BFD, probes, ARP and ND. When all others are in flight
    /// it is one of those kept aside, but for the last quarter, which is for [`for_link`](Self::for_link).
    pub fn for_control(&mut self) -> Option<PacketBuf> {
        let beside = self.reserved / 4;
        self.small().or_else(|| self.reserved_one(beside))
    }

    /// As [`for_control`](Self::for_control), to the last one: for what a channel stands on, MKPDUs and LACPDUs. They come at a pace
    /// that nobody outside sets, while the other end of a LAN decides how many questions there are for ARP and ND.
    pub fn for_link(&mut self) -> Option<PacketBuf> {
        self.small().or_else(|| self.reserved_one(0))
    }

    /// One of those kept aside, if more than so many are there.
    fn reserved_one(&mut self, left: usize) -> Option<PacketBuf> {
        if self.reserve.len() <= left {
            return None;
        }
        let mut buf = self.reserve.pop()?;
        buf.reset(HEADROOM);
        Some(buf)
    }

    /// An empty buffer with [`HEADROOM`] for a super-frame. `None` when all are in flight.
    pub fn big(&mut self) -> Option<PacketBuf> {
        Self::take(&mut self.big, &self.depot.big)
    }

    /// The smallest kind of buffer that holds a frame of `len` octets with room at both ends; `None` when none
    /// does, or none is left.
    pub fn for_len(&mut self, len: usize) -> Option<PacketBuf> {
        let sizes = self.depot.sizes;
        match len {
            len if len <= sizes.small_frame => self.small(),
            len if len <= sizes.big_frame => self.big(),
            _ => None,
        }
    }

    /// Takes a frame's buffer back.
    pub fn recycle(&mut self, frame: Frame) {
        self.give(frame.buf);
    }

    /// Takes a buffer back. A buffer of a foreign size (from a test) is freed.
    pub fn give(&mut self, buf: PacketBuf) {
        let sizes = self.depot.sizes;
        let room = buf.capacity().saturating_sub(HEADROOM + TAILROOM);
        if room == sizes.small_frame {
            if self.reserve.len() < self.reserved {
                return self.reserve.push(buf);
            }
            Self::put(&mut self.small, &self.depot.small, buf);
        } else if room == sizes.big_frame {
            Self::put(&mut self.big, &self.depot.big, buf);
        }
    }

    /// Small and big buffers that this pool holds now, those kept aside included.
    pub fn held(&self) -> (usize, usize) {
        (self.small.len() + self.reserve.len(), self.big.len())
    }

    /// Small buffers that there are in all pools together, in flight or not.
    pub fn small_count(&self) -> usize {
        self.depot.sizes.small_count
    }

    /// Small and big buffers that lie in the depot, in nobody's hands.
    pub fn free(&self) -> (usize, usize) {
        self.depot.free()
    }

    fn take(stack: &mut Vec<PacketBuf>, depot: &ArrayQueue<PacketBuf>) -> Option<PacketBuf> {
        if stack.is_empty() {
            stack.extend(core::iter::from_fn(|| depot.pop()).take(CHUNK));
        }
        let mut buf = stack.pop()?;
        buf.reset(HEADROOM);
        Some(buf)
    }

    fn put(stack: &mut Vec<PacketBuf>, depot: &ArrayQueue<PacketBuf>, buf: PacketBuf) {
        if stack.len() == stack.capacity() {
            // Those that have lain longest.
            for buf in stack.drain(..CHUNK) {
                // The depot has room for every buffer ever made; a refusal would only free this one.
                let _kept = depot.push(buf);
            }
        }
        stack.push(buf);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for buf in self.small.drain(..).chain(self.reserve.drain(..)) {
            let _kept = self.depot.small.push(buf);
        }
        for buf in self.big.drain(..) {
            let _kept = self.depot.big.push(buf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: PoolSizes = PoolSizes { small_frame: 100, small_count: 300, big_frame: 1000, big_count: 2 };

    #[test]
    fn buffers_go_round_between_two_workers_and_none_is_lost() {
        let depot = Depot::new(SIZES);
        let (mut a, mut b) = (Pool::new(depot.clone()), Pool::new(depot.clone()));
        for _ in 0..50 {
            let taken: Vec<_> = core::iter::from_fn(|| a.small()).collect();
            assert!(taken.len() >= 300 - 2 * CHUNK - 2 * (300 / RESERVED), "only {}", taken.len());
            taken.into_iter().for_each(|buf| b.give(buf));
        }
        drop((a, b));
        assert_eq!(depot.free(), (300, 2));
    }

    #[test]
    fn a_returned_buffer_is_empty_again() {
        let mut pool = Pool::new(Depot::new(SIZES));
        let mut buf = pool.for_len(1000).unwrap();
        assert!(buf.push_front(HEADROOM).is_some());
        pool.give(buf);
        let buf = pool.big().unwrap();
        assert_eq!((buf.len(), buf.headroom(), buf.tailroom()), (0, HEADROOM, 1000 + TAILROOM));
        assert!(pool.for_len(1001).is_none());
    }
    #[test]
    fn what_data_cannot_have_goes_to_control_and_the_last_of_it_to_links() {
        let depot = Depot::new(PoolSizes { small_count: 4096, ..SIZES });
        let mut pool = Pool::new(depot.clone());
        let mut data: Vec<_> = core::iter::from_fn(|| pool.for_len(60)).collect();
        assert_eq!((data.len(), pool.held().0, pool.free().0), (4096 - RESERVE, RESERVE, 0));
        // A flood of questions takes three quarters and no more.
        let mut control: Vec<_> = core::iter::from_fn(|| pool.for_control()).collect();
        assert_eq!(control.len(), RESERVE * 3 / 4);
        let links: Vec<_> = core::iter::from_fn(|| pool.for_link()).collect();
        assert_eq!(links.len(), RESERVE / 4);
        for buf in control.iter().chain(&links) {
            assert_eq!((buf.len(), buf.headroom()), (0, HEADROOM));
        }
        // Whatever comes back is kept aside first, whoever had it; then there is something for data again.
        let (_rest, back) = (control.split_off(10), data.split_off(data.len() - RESERVE - 1));
        for buf in back.into_iter().take(RESERVE) {
            pool.give(buf);
            assert!(pool.small().is_none());
        }
        control.drain(..).for_each(|buf| pool.give(buf));
        assert_eq!(core::iter::from_fn(|| pool.small()).count(), 10);
        assert!(pool.for_control().is_some());
    }

    #[test]
    fn while_there_are_others_nothing_is_taken_from_what_is_kept_aside() {
        let depot = Depot::new(PoolSizes { small_count: 4096, ..SIZES });
        let mut pools = [Pool::new(depot.clone()), Pool::new(depot.clone())];
        for pool in &mut pools {
            for _ in 0..1000 {
                let (a, b) = (pool.for_control().unwrap(), pool.for_link().unwrap());
                assert_eq!(pool.reserve.len(), RESERVE);
                pool.give(a);
                pool.give(b);
            }
        }
        drop(pools);
        assert_eq!(depot.free(), (4096, 2));
    }
}
