//! A ring that is full because nobody looked for a while, and one that is full because more comes than can be carried.
//!
//! After a pause (a planned restart, a machine with other things to do) the ring of a port holds a backlog that the worker can carry within
//! milliseconds, and then every frame in it is worth carrying. Only a ring that stays full while the worker empties it says that the
//! worker is too slow, and from then on what need not be carried is given up early ([`Pressure`]), for as long as that goes on.

use core::time::Duration;

use net::Instant;

use super::Pressure;

/// What one port's ring was like lately.
#[derive(Clone, Debug, Default)]
pub struct Backlog {
    /// Frames that were taken since the ring was last found with room.
    taken: usize,
    /// Until when a full ring counts at once: more came than could be carried not long ago.
    until: Option<Instant>,
}

impl Backlog {
    /// What to do about a ring of `depth` frames that is under this pressure now: none, as long as what waits there may only be
    /// a backlog.
    pub fn judge(&mut self, pressure: Pressure, depth: usize, now: Instant) -> Pressure {
        if pressure == Pressure::None {
            self.taken = 0;
            return Pressure::None;
        }
        if self.taken < depth.saturating_mul(RINGS) && self.until.is_none_or(|until| until <= now) {
            return Pressure::None;
        }
        self.until = Some(now.after(CALM));
        pressure
    }

    /// So many frames were taken from the ring, to be carried.
    pub const fn took(&mut self, frames: usize) {
        self.taken = self.taken.saturating_add(frames);
    }
}

/// A ring that is still half full when so many times its depth were taken is not about to be emptied: whoever takes four
/// frames while three come has emptied half of a full one by then. That is some milliseconds of work.
const RINGS: usize = 2;
/// As long after a ring was last too full, more than can be carried is what is expected.
const CALM: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const DEPTH: usize = 100;

    #[test]
    fn a_backlog_is_carried_and_a_ring_that_stays_full_is_relieved() {
        let (mut ring, start) = (Backlog::default(), Instant::ZERO);
        for _ in 0..DEPTH * RINGS {
            assert_eq!(ring.judge(Pressure::Severe, DEPTH, start), Pressure::None);
            ring.took(1);
        }
        assert_eq!(ring.judge(Pressure::High, DEPTH, start), Pressure::High);
        assert_eq!(ring.judge(Pressure::Severe, DEPTH, start), Pressure::Severe);
    }

    #[test]
    fn room_means_that_it_was_a_backlog() {
        let mut ring = Backlog::default();
        for _ in 0..10 {
            ring.took(DEPTH * RINGS - 1);
            assert_eq!(ring.judge(Pressure::Severe, DEPTH, Instant::ZERO), Pressure::None);
            assert_eq!(ring.judge(Pressure::None, DEPTH, Instant::ZERO), Pressure::None);
        }
    }

    #[test]
    fn who_had_too_much_lately_does_not_wait_again() {
        let (mut ring, start) = (Backlog::default(), Instant::ZERO);
        ring.took(DEPTH * RINGS);
        assert_eq!(ring.judge(Pressure::High, DEPTH, start), Pressure::High);
        assert_eq!(ring.judge(Pressure::None, DEPTH, start), Pressure::None);
        let (soon, late) = (start.after(CALM / 2), start.after(CALM * 2));
        assert_eq!(ring.judge(Pressure::High, DEPTH, soon), Pressure::High);
        assert_eq!(ring.judge(Pressure::None, DEPTH, soon), Pressure::None);
        assert_eq!(ring.judge(Pressure::High, DEPTH, late), Pressure::None);
    }
}
