//! How long things take where other things run too.

use std::time::Duration;

use crate::clock;

/// Turns, at least and at most.
const TURNS: core::ops::RangeInclusive<usize> = 25..=2000;

/// Nanoseconds that one of the `items` of a turn takes: the turn behind which a quarter of all turns are faster. Slower ones
/// were mostly kept waiting by somebody else; the very fastest are luck.
///
/// `prepare` runs before each turn and is not counted.
pub(super) fn per_item<S>(
    budget: Duration,
    items: usize,
    state: &mut S,
    mut prepare: impl FnMut(&mut S),
    mut work: impl FnMut(&mut S),
) -> f64 {
    let began = clock::now();
    let mut turns = Vec::with_capacity(64);
    while turns.len() < *TURNS.end() && (turns.len() < *TURNS.start() || clock::now().since(began) < budget) {
        prepare(state);
        let before = clock::now();
        work(state);
        turns.push(clock::now().since(before));
    }
    let items = u32::try_from(items.max(1)).unwrap_or(u32::MAX);
    quantile(&mut turns, 25).as_secs_f64() * 1e9 / f64::from(items)
}

/// What so many per cent of all are not above; zero of none.
pub(super) fn quantile(all: &mut [Duration], percent: usize) -> Duration {
    all.sort_unstable();
    let at = all.len().saturating_sub(1) * percent.min(100) / 100;
    all.get(at).copied().unwrap_or_default()
}

/// A count as a number with a point; exact up to 2^53.
pub(super) fn real(count: u64) -> f64 {
    let half = |bits: u64| f64::from(u32::try_from(bits & 0xffff_ffff).unwrap_or(u32::MAX));
    half(count >> 32) * 4_294_967_296.0 + half(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_places_in_order() {
        let mut all: Vec<_> = (1..=101).rev().map(Duration::from_millis).collect();
        let at = |all: &mut [Duration], percent| quantile(all, percent).as_millis();
        assert_eq!([0, 25, 50, 99, 100].map(|percent| at(&mut all, percent)), [1, 26, 51, 100, 101]);
        assert_eq!(quantile(&mut [], 50), Duration::ZERO);
    }

    #[test]
    fn counts_stay_what_they_are() {
        for (count, is) in
            [(0, 0.0), (7, 7.0), (1 << 32, 4_294_967_296.0), ((1 << 40) + 1, 1_099_511_627_777.0)]
        {
            assert!((real(count) - is).abs() < 1e-9, "{count}");
        }
    }

    #[test]
    fn only_the_work_is_counted_and_it_is_done_often_enough() {
        let mut counts = (0, 0);
        let ns = per_item(Duration::ZERO, 10, &mut counts, |c| c.0 += 1, |c| c.1 += 1);
        assert_eq!(counts, (25, 25));
        assert!((0.0..1e6).contains(&ns), "{ns}");
    }
}
