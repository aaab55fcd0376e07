//! Rings between workers: bounded, one for each pair and direction, so that nobody waits for anybody.

use dataplane::Crossing;
use rtrb::{Consumer, Producer};
use sys::Waker;

/// Frames (and news of neighbours) that may wait between two workers.
pub const RING: usize = 1024;

/// The rings to and from all the other workers.
#[derive(Default)]
pub struct Rings {
    /// By worker; `None` for this worker itself.
    pub to: Vec<Option<(Producer<Crossing>, Waker)>>,
    /// What the others send.
    pub from: Vec<Consumer<Crossing>>,
}

/// Rings from each worker to each other.
pub fn rings(wakers: &[Waker]) -> Vec<Rings> {
    let count = wakers.len();
    let mut all: Vec<Rings> = (0..count).map(|_| Rings::default()).collect();
    for from in 0..count {
        for (to, waker) in wakers.iter().enumerate() {
            let ring = (from != to).then(|| rtrb::RingBuffer::new(RING));
            let (producer, consumer) =
                ring.map_or((None, None), |(p, c)| (Some((p, waker.clone())), Some(c)));
            if let Some(rings) = all.get_mut(from) {
                rings.to.push(producer);
            }
            if let (Some(rings), Some(consumer)) = (all.get_mut(to), consumer) {
                rings.from.push(consumer);
            }
        }
    }
    all
}
