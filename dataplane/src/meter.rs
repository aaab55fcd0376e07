//! A connection's bandwidth: a policer that all workers share, and that can be set to another rate while frames pass.
//!
//! Virtual scheduling, as the Generic Cell Rate Algorithm of ITU-T I.371 does it: one word holds when the frames that passed so far would
//! have left a line of this rate. A frame passes while that is at most [`BURST`] ahead of now. No locks: workers compare and
//! swap the word; a connection without a rate costs one read.

use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use net::Instant;

/// How far ahead of its rate a connection may be: a few super-frames of 64 KiB at 20 Mbit/s, which TCP needs to
/// fill a line that drops instead of queueing.
pub const BURST: Duration = Duration::from_millis(100);

/// One direction of a connection.
#[derive(Debug, Default)]
pub struct Meter {
    /// Octets that fit into 8 ms, which is Mbit/s times 1000; 0: as many as come.
    rate: AtomicU64,
    /// When the line would be free, in nanoseconds since [`Instant::ZERO`].
    free_at: AtomicU64,
}

impl Meter {
    /// A rate in Mbit/s from now on; `None`: no limit.
    pub fn set(&self, mbps: Option<u32>) {
        self.rate.store(mbps.map_or(0, u64::from), Ordering::Relaxed);
    }

    /// The rate in Mbit/s.
    pub fn mbps(&self) -> Option<u32> {
        u32::try_from(self.rate.load(Ordering::Relaxed)).ok().filter(|rate| *rate > 0)
    }

    /// Whether a frame of so many octets may pass now. It counts if so.
    pub fn allow(&self, octets: usize, now: Instant) -> bool {
        let Some(mbps) = self.mbps() else { return true };
        // 8 bits, at so many bits a microsecond.
        let cost = u64::try_from(octets).unwrap_or(u64::MAX).saturating_mul(8000) / u64::from(mbps);
        let now = now.as_nanos();
        let latest = now.saturating_add(u64::try_from(BURST.as_nanos()).unwrap_or(u64::MAX));
        let take = |free_at: u64| (free_at <= latest).then(|| free_at.max(now).saturating_add(cost));
        self.free_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

/// Both directions of a connection, each with the same rate.
#[derive(Debug, Default)]
pub struct Meters {
    /// From its LANs to its attachments.
    pub out: Meter,
    /// From its attachments to its LANs.
    pub back: Meter,
}

impl Meters {
    /// A rate for each direction, in Mbit/s; `None`: no limit.
    pub fn set(&self, mbps: Option<u32>) {
        self.out.set(mbps);
        self.back.set(mbps);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    proptest! {
        /// Its definition: in any stretch of time, no more than rate times time, the burst, and one frame.
        #[test]
        fn no_stretch_of_time_sees_more_than_the_rate(
            mbps in 1_u32..100_000,
            frames in prop::collection::vec((0_u64..3_000_000, 60_usize..65_000), 1..200),
        ) {
            let meter = Meter::default();
            meter.set(Some(mbps));
            let (mut now, mut passed) = (1_000_000_000, Vec::new());
            for (wait, octets) in frames {
                now += wait;
                if meter.allow(octets, at(now)) {
                    passed.push((now, octets));
                }
            }
            for from in 0..passed.len() {
                let mut sum = 0_u64;
                for (then, octets) in &passed[from..] {
                    let stretch = then - passed[from].0 + u64::try_from(BURST.as_nanos()).unwrap();
                    // What was let in before this frame fits; the frame itself may reach over.
                    prop_assert!(u128::from(sum) * 8000 <= u128::from(stretch) * u128::from(mbps) + u128::from(mbps) * 200);
                    sum += u64::try_from(*octets).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_line_that_is_offered_twice_its_rate_passes_half() {
        let meter = Meter::default();
        meter.set(Some(100));
        // 1250 octets every 50 us are 200 Mbit/s.
        let passed = (0..200_000_u64).filter(|step| meter.allow(1250, at(step * 50_000))).count();
        assert!((100_000..101_100).contains(&passed), "{passed}");
    }

    #[test]
    fn the_rate_changes_while_frames_pass_and_none_is_no_limit() {
        let meter = Meter::default();
        assert_eq!(meter.mbps(), None);
        assert!((0..10_000).all(|_| meter.allow(1500, at(0))));
        meter.set(Some(1));
        let first = (0..100).filter(|_| meter.allow(1250, at(0))).count();
        assert_eq!(first, 11, "10 ms each, 100 ms ahead");
        meter.set(None);
        assert!(meter.allow(1500, at(0)));
        meter.set(Some(1000));
        // What was passed at the old rate is remembered as time, no longer than that.
        assert!(meter.allow(1500, at(30_000_000)));
        assert_eq!(meter.mbps(), Some(1000));
    }
}
