//! Lanes in memory: what they do to numbered frames, by seed.

use dataplane::{Depot, PoolSizes};
use net::PacketBuf;

use super::super::quantity::{Rate, Share};
use super::*;

const SIZES: PoolSizes = PoolSizes { small_frame: 200, small_count: 8192, big_frame: 1000, big_count: 0 };

/// A lane, its buffers and a clock.
struct Bed {
    lane: Lane,
    pool: Pool,
    now: Instant,
    out: Vec<Frame>,
}

impl Bed {
    fn new(seed: u64, impairment: Impairment) -> Self {
        let mut pool = Pool::new(Depot::new(SIZES));
        let mut lane = Lane::new(seed);
        lane.set(impairment, &mut pool);
        Self { lane, pool, now: Instant::ZERO, out: Vec::new() }
    }

    /// Frames `numbers`, one each `spacing`, and what is due meanwhile.
    fn offer(&mut self, numbers: std::ops::Range<u32>, spacing: Duration) {
        for number in numbers {
            self.wait(spacing);
            let mut buf = self.pool.small().unwrap();
            assert!(buf.extend_from_slice(&[0; 14]) && buf.extend_from_slice(&number.to_be_bytes()));
            assert!(buf.extend_from_slice(&[0; 82]));
            let frame = std::iter::once(Frame::new(buf));
            self.lane.handle_frames(frame, &mut self.pool, self.now, &mut self.out);
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.lane.handle_timeout(self.now, &mut self.out);
    }

    /// The numbers that came out, buffers back to the pool.
    fn numbers(&mut self) -> Vec<u32> {
        let number = |buf: &PacketBuf| u32::from_be_bytes(buf[14..18].try_into().unwrap());
        let numbers = self.out.iter().map(|frame| number(&frame.buf)).collect();
        self.out.drain(..).for_each(|frame| self.pool.recycle(frame));
        numbers
    }
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_clear_lane_passes_everything_at_once_and_counts_lengths() {
    let mut bed = Bed::new(1, Impairment::default());
    bed.offer(0..100, Duration::ZERO);
    assert_eq!(bed.numbers(), (0..100).collect::<Vec<_>>());
    assert_eq!((bed.lane.counters().received, bed.lane.counters().passed), (100, 100));
    assert_eq!((bed.lane.lengths()[100], bed.lane.poll_timeout()), (100, None));
}

#[test]
fn a_black_hole_swallows_all_that_comes_and_all_that_is_on_its_way() {
    let mut bed = Bed::new(1, Impairment { delay: MS, ..Impairment::default() });
    bed.offer(0..3, Duration::ZERO);
    bed.lane.set(Impairment { blackhole: true, ..Impairment::default() }, &mut bed.pool);
    bed.offer(3..10, MS);
    assert_eq!((bed.numbers(), bed.lane.counters().blackholed), (vec![], 10));
    bed.lane.set(Impairment::default(), &mut bed.pool);
    bed.offer(10..11, MS);
    assert_eq!(bed.numbers(), [10]);
}

/// 20 000 draws of chance p: five standard deviations are 5 sqrt(n p (1 - p)).
#[test]
fn shares_are_held_and_the_seed_repeats_them() {
    let some = Impairment { loss: Share::percent(5), ..Impairment::default() };
    let lost = |seed| {
        let mut bed = Bed::new(seed, some);
        let mut came = Vec::new();
        for thousand in 0..20 {
            bed.offer(thousand * 1000..(thousand + 1) * 1000, Duration::ZERO);
            came.extend(bed.numbers());
        }
        let counters = bed.lane.counters();
        assert_eq!(counters.lost + counters.passed, 20_000);
        assert!((845..1155).contains(&counters.lost), "{counters:?}");
        assert!(came.is_sorted());
        came
    };
    assert_eq!(lost(7), lost(7));
    assert_ne!(lost(7), lost(8));
}

#[test]
fn copies_and_turned_bits_are_made_and_counted() {
    let both =
        Impairment { duplicate: Share::percent(10), corrupt: Share::percent(10), ..Impairment::default() };
    let mut bed = Bed::new(3, both);
    bed.offer(0..2000, Duration::ZERO);
    let counters = bed.lane.counters();
    assert!((133..267).contains(&counters.duplicated) && (133..267).contains(&counters.corrupted));
    assert_eq!(counters.passed, 2000 + counters.duplicated);
    let wrong = |frame: &&Frame| {
        let ones: u32 = frame.buf[18..].iter().map(|octet| octet.count_ones()).sum();
        assert!(ones <= 1 && frame.buf[..14] == [0; 14], "one bit, and not in the header");
        ones == 1
    };
    let seen = count(bed.out.iter().filter(wrong).count());
    // 82 of 86 octets are zeroes that show it; some of those frames came twice.
    assert!(seen > counters.corrupted / 2 && seen < counters.corrupted * 2, "{seen} of {counters:?}");
}

#[test]
fn delay_is_exact_and_keeps_the_order_even_with_jitter() {
    let mut bed = Bed::new(4, Impairment { delay: MS * 20, ..Impairment::default() });
    bed.offer(0..10, MS);
    assert_eq!((bed.numbers(), bed.lane.poll_timeout()), (vec![], Some(Instant::ZERO.after(MS * 21))));
    bed.wait(MS * 11);
    assert_eq!(bed.numbers(), [0]);
    bed.wait(MS * 9);
    assert_eq!(bed.numbers(), (1..10).collect::<Vec<_>>());
    let jitter = Impairment { delay: MS * 20, jitter: MS * 10, ..Impairment::default() };
    bed.lane.set(jitter, &mut bed.pool);
    bed.offer(0..200, MS);
    bed.wait(MS * 30);
    assert_eq!(bed.numbers(), (0..200).collect::<Vec<_>>());
}

#[test]
fn jitter_reorders_only_when_asked_and_loses_nothing() {
    let jitter = Impairment { delay: MS * 20, jitter: MS * 10, reorder: true, ..Impairment::default() };
    let mut bed = Bed::new(5, jitter);
    bed.offer(0..200, MS);
    bed.wait(MS * 30);
    let mut came = bed.numbers();
    assert!(!came.is_sorted());
    came.sort_unstable();
    assert_eq!(came, (0..200).collect::<Vec<_>>());
}

#[test]
fn healing_lets_nobody_overtake_what_is_on_its_way() {
    let mut bed = Bed::new(6, Impairment { delay: MS * 5, ..Impairment::default() });
    bed.offer(0..5, MS);
    bed.lane.set(Impairment::default(), &mut bed.pool);
    bed.offer(5..12, MS);
    bed.wait(MS * 5);
    assert_eq!(bed.numbers(), (0..12).collect::<Vec<_>>());
    assert_eq!(bed.lane.poll_timeout(), None);
}

/// 100 octets and 24 around them at 992 kbit/s: a frame per millisecond.
#[test]
fn a_rate_is_kept_and_its_queue_is_bounded() {
    let slow = Impairment {
        rate: Some(Rate::bits_per_second(992_000)),
        queue: super::super::impairment::Queue(1240),
        ..Impairment::default()
    };
    let mut bed = Bed::new(7, slow);
    bed.offer(0..100, Duration::ZERO);
    assert_eq!(bed.lane.counters().queue_full, 90, "ten of 124 octets fit");
    bed.wait(MS * 5);
    assert_eq!(bed.numbers(), [0, 1, 2, 3, 4]);
    bed.offer(100..200, MS / 2);
    bed.wait(MS * 20);
    // 50 ms of frames, and the ten that the queue holds.
    let came = bed.numbers().len();
    assert!((59..=66).contains(&came), "{came}");
}

#[test]
fn what_waits_is_bounded_and_every_buffer_comes_back() {
    let mut bed = Bed::new(8, Impairment { delay: MS * 1000, ..Impairment::default() });
    bed.offer(0..5000, Duration::ZERO);
    let counters = bed.lane.counters();
    assert_eq!(counters.queue_full, 5000 - count(WAITING));
    bed.wait(MS * 1000);
    assert_eq!(bed.numbers().len(), WAITING);
    let (held, _) = bed.pool.held();
    assert_eq!(held + bed.pool.free().0, SIZES.small_count);
}

#[test]
fn a_copy_needs_a_buffer_and_the_frame_does_not() {
    let mut bed = Bed::new(9, Impairment { duplicate: Share::ALL, ..Impairment::default() });
    let mut hoard: Vec<_> = std::iter::from_fn(|| bed.pool.small()).collect();
    bed.pool.give(hoard.pop().unwrap());
    bed.offer(0..1, Duration::ZERO);
    assert_eq!((bed.numbers(), bed.lane.counters().no_buffer), (vec![0], 1));
}
