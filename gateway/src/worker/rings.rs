//! The rings between workers: bounded, one writer and one reader each, and two of them each way, so that control does not wait behind, nor
//! is lost among, what is on its way through.

use dataplane::Crossing;
use rtrb::{Consumer, Producer};
use sys::Waker;

/// Frames (and news of neighbours) that may wait in one ring.
pub const RING: usize = 1024;

/// The rings to and from all the other workers.
#[derive(Default)]
pub struct Rings {
    /// By worker; `None` for this worker itself.
    pub to: Vec<Option<Way>>,
    /// What the others send: first of all rings for control, then those for the rest.
    pub from: [Vec<Consumer<Crossing>>; 2],
}

/// The way to another worker.
#[derive(Debug)]
pub struct Way {
    /// Crossings that must not wait behind others, and those.
    rings: [Producer<Crossing>; 2],
    waker: Waker,
}

impl Way {
    /// Wakes the worker at its end.
    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    /// Gives it back when the ring is full.
    pub(super) fn push(&mut self, crossing: Crossing) -> Result<(), Crossing> {
        let [control, rest] = &mut self.rings;
        // Anybody on a LAN can send as much to the host as they please: half of the room stays for the rest of control, BFD above all.
        let crowded = matches!(crossing, Crossing::Host { .. }) && control.slots() <= RING / 2;
        let ring = if crossing.is_control() && !crowded { control } else { rest };
        ring.push(crossing).map_err(|rtrb::PushError::Full(crossing)| crossing)
    }
}

/// Rings from each worker to each other.
pub fn rings(wakers: &[Waker]) -> Vec<Rings> {
    let count = wakers.len();
    let mut all: Vec<Rings> = (0..count).map(|_| Rings::default()).collect();
    for from in 0..count {
        for (to, waker) in wakers.iter().enumerate() {
            if from == to {
                all.get_mut(from).into_iter().for_each(|rings| rings.to.push(None));
                continue;
            }
            let ((control, heard), (rest, taken)) =
                (rtrb::RingBuffer::new(RING), rtrb::RingBuffer::new(RING));
            if let Some(rings) = all.get_mut(from) {
                rings.to.push(Some(Way { rings: [control, rest], waker: waker.clone() }));
            }
            if let Some(rings) = all.get_mut(to) {
                let [first, second] = &mut rings.from;
                first.push(heard);
                second.push(taken);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use dataplane::{Frame, InterfaceId};
    use net::PacketBuf;
    use sys::Poller;

    use super::*;

    #[test]
    fn what_is_for_the_host_leaves_room_for_bfd() {
        let poller = Poller::new().unwrap();
        let wakers = [1, 2].map(|token| Waker::new(&poller, token).unwrap());
        let mut all = rings(&wakers);
        let way = all.first_mut().and_then(|rings| rings.to.get_mut(1)?.as_mut()).unwrap();
        let frame = || Frame::new(PacketBuf::with_capacity(64, 0));
        let interface = InterfaceId(0);
        let taken = (0..3 * RING).filter(|_| way.push(Crossing::Host { interface, frame: frame() }).is_ok());
        assert_eq!(taken.count(), RING / 2 + RING, "half of the one, and all of the other");
        let taken = (0..RING).filter(|_| way.push(Crossing::Bfd { interface, frame: frame() }).is_ok());
        assert_eq!(taken.count(), RING / 2);
    }
}
