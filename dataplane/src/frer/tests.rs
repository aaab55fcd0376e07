//! The recovery function against the standard's pseudo-code, written down as it stands there.

use net::Instant;

use super::*;
use crate::chance::Rng;

/// §7.4.3 and §7.4.4 word by word: an array that is shifted, ticks that are counted down.
struct Standard {
    frer_seq_rcvy_history_length: i32,
    frer_seq_rcvy_reset_ticks: u64,
    frer_seq_rcvy_take_no_sequence: bool,
    recov_seq_num: i32,
    sequence_history: Vec<bool>,
    /// Beside the standard (maintenance request 376): places that belong to numbers after the last reset.
    known: Vec<bool>,
    take_any: bool,
    remaining_ticks: u64,
    counters: RecoveryCounters,
}

const RECOV_SEQ_SPACE: i32 = 65_536;

impl Standard {
    fn begin(params: &RecoveryParams) -> Self {
        let length = i32::from(params.history_length.get());
        let mut this = Self {
            frer_seq_rcvy_history_length: length,
            frer_seq_rcvy_reset_ticks: u64::try_from(params.reset.as_millis()).unwrap(),
            frer_seq_rcvy_take_no_sequence: params.take_no_sequence,
            recov_seq_num: 0,
            sequence_history: vec![],
            known: vec![],
            take_any: false,
            remaining_ticks: 0,
            counters: RecoveryCounters::default(),
        };
        this.sequence_recovery_reset();
        this
    }

    fn sequence_recovery_reset(&mut self) {
        self.recov_seq_num = RECOV_SEQ_SPACE - 1;
        self.sequence_history = vec![false; usize::try_from(self.frer_seq_rcvy_history_length).unwrap()];
        self.known = self.sequence_history.clone();
        self.take_any = true;
        self.remaining_ticks = 0;
        self.counters.resets += 1;
    }

    fn shift_sequence_history(&mut self, new_value: bool) {
        let last = self.sequence_history.pop().unwrap();
        if self.known.pop().unwrap() && !last {
            self.counters.lost += 1;
        }
        self.sequence_history.insert(0, new_value);
        self.known.insert(0, true);
    }

    fn tick(&mut self) {
        if self.remaining_ticks > 0 {
            self.remaining_ticks -= 1;
            if self.remaining_ticks == 0 {
                self.sequence_recovery_reset();
            }
        }
    }

    fn accept(&mut self) -> Verdict {
        self.counters.passed += 1;
        self.remaining_ticks = self.frer_seq_rcvy_reset_ticks;
        Verdict::Pass
    }

    fn vector_recovery_algorithm(&mut self, sequence_number: Option<u16>) -> Verdict {
        let Some(sequence_number) = sequence_number else {
            self.counters.tagless += 1;
            if self.frer_seq_rcvy_take_no_sequence {
                return self.accept();
            }
            self.counters.discarded += 1;
            return Verdict::Tagless;
        };
        let sequence_number = i32::from(sequence_number);
        let mut delta = (sequence_number - self.recov_seq_num).rem_euclid(RECOV_SEQ_SPACE);
        if delta >= RECOV_SEQ_SPACE / 2 {
            delta -= RECOV_SEQ_SPACE;
        }
        if self.take_any {
            self.take_any = false;
            self.sequence_history[0] = true;
            self.known[0] = true;
            self.recov_seq_num = sequence_number;
            self.accept()
        } else if delta >= self.frer_seq_rcvy_history_length || delta <= -self.frer_seq_rcvy_history_length {
            self.counters.rogue += 1;
            Verdict::Rogue
        } else if delta <= 0 {
            let place = usize::try_from(-delta).unwrap();
            if self.sequence_history[place] {
                self.counters.discarded += 1;
                return Verdict::Duplicate;
            }
            self.sequence_history[place] = true;
            self.counters.out_of_order += 1;
            self.accept()
        } else {
            if delta != 1 {
                self.counters.out_of_order += 1;
            }
            for _ in 1..delta {
                self.shift_sequence_history(false);
            }
            self.shift_sequence_history(true);
            self.recov_seq_num = sequence_number;
            self.accept()
        }
    }
}

/// A number within `reach` of `center`, modulo 2^16.
fn near(rng: &mut Rng, center: u16, reach: u64) -> u16 {
    let offset = u16::try_from(rng.below(2 * reach + 1)).unwrap_or(0);
    center.wrapping_add(offset).wrapping_sub(u16::try_from(reach).unwrap_or(0))
}

fn params(length: u16, reset_ms: u64) -> RecoveryParams {
    RecoveryParams {
        history_length: HistoryLength::new(length).unwrap(),
        reset: Duration::from_millis(reset_ms),
        take_no_sequence: false,
        latent: None,
    }
}

/// One random life of a stream, step by step beside the model.
fn agree(seed: u64, length: u16, steps: u32) {
    let mut rng = Rng::new(seed);
    let mut params = params(length, 1 + rng.below(40));
    params.take_no_sequence = rng.below(2) == 0;
    let (mut model, mut now) = (Standard::begin(&params), Instant::ZERO);
    let mut recovery = SequenceRecovery::new(params, now);
    // Around the wrap as often as anywhere else.
    let mut next = u16::try_from(rng.below(65_536)).unwrap();
    if rng.below(2) == 0 {
        next = near(&mut rng, 0, u64::from(length));
    }
    for step in 0..steps {
        let sequence = match rng.below(16) {
            0..=5 => {
                next = next.wrapping_add(1);
                Some(next)
            }
            6..=8 => Some(next),
            9 => Some(near(&mut rng, next, 4)),
            10 => Some(near(&mut rng, next, u64::from(length) + 2)),
            // The history's edges.
            11 => Some(near(&mut rng, next.wrapping_sub(length), 2)),
            12 => {
                next = near(&mut rng, next.wrapping_add(length), 2);
                Some(next)
            }
            13 => Some(u16::try_from(rng.below(65_536)).unwrap()),
            14 => None,
            _ => {
                for _ in 0..rng.below(60) {
                    now = now.after(Duration::from_millis(1));
                    model.tick();
                }
                if rng.below(8) == 0 {
                    recovery.handle_timeout(now);
                    recovery.reset();
                    model.sequence_recovery_reset();
                } else if rng.below(2) == 0 {
                    recovery.handle_timeout(now);
                }
                continue;
            }
        };
        let (got, right) = (recovery.recover(sequence, now), model.vector_recovery_algorithm(sequence));
        assert_eq!(got, right, "seed {seed}, length {length}, step {step}: {sequence:?}");
        assert_eq!(
            recovery.counters(),
            &model.counters,
            "seed {seed}, length {length}, step {step}: {sequence:?}"
        );
    }
}

#[test]
fn section_7_4_3_4_is_the_standards_pseudo_code_over_thousands_of_seeds() {
    for seed in 0..6000 {
        let lengths = [2, 3, 7, 31, 63, 64, 65, 100, 128, 500];
        let length = lengths[usize::try_from(seed).unwrap() % lengths.len()];
        agree(seed, length, 400);
    }
}

#[test]
fn the_longest_histories_agree_too() {
    for seed in 0..6 {
        agree(seed, 0x8000, 120);
        agree(seed, 0x7fff, 120);
    }
}

/// §7.4.4 as it stands there: two counters that are counted down by ticks of a millisecond, and a difference.
struct StandardLatent {
    params: LatentErrorParams,
    cur_base_difference: i128,
    test_ticks: u128,
    reset_ticks: u128,
    signal: bool,
    resets: u64,
}

impl StandardLatent {
    fn begin(params: LatentErrorParams) -> Self {
        let (test_ticks, reset_ticks) = (params.period.as_millis(), params.reset_period.as_millis());
        Self { params, cur_base_difference: 0, test_ticks, reset_ticks, signal: false, resets: 1 }
    }

    fn difference(&self, passed: u64, discarded: u64) -> i128 {
        i128::from(passed) * (i128::from(self.params.paths) - 1) - i128::from(discarded)
    }

    fn tick(&mut self, counters: &RecoveryCounters) {
        let difference = self.difference(counters.passed, counters.discarded);
        self.test_ticks -= 1;
        if self.test_ticks == 0 {
            let diff = (self.cur_base_difference - difference).abs();
            self.signal = diff > i128::from(self.params.difference);
            self.test_ticks = self.params.period.as_millis();
        }
        self.reset_ticks -= 1;
        if self.reset_ticks == 0 {
            self.cur_base_difference = difference;
            self.resets += 1;
            self.reset_ticks = self.params.reset_period.as_millis();
        }
    }
}

#[test]
fn section_7_4_4_is_the_standards_arithmetic_over_hundreds_of_seeds() {
    let (mut signals, mut silences) = (0, 0);
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let latent = LatentErrorParams {
            difference: rng.below(30),
            period: Duration::from_millis(1 + rng.below(30)),
            paths: u8::try_from(2 + rng.below(3)).unwrap(),
            reset_period: Duration::from_millis(1 + rng.below(200)),
        };
        let params = RecoveryParams { latent: Some(latent), ..params(64, 1 + rng.below(100)) };
        let mut recovery = SequenceRecovery::new(params, Instant::ZERO);
        let mut model = StandardLatent::begin(latent);
        let (mut now, mut sequence, mut copies) = (Instant::ZERO, 0_u16, u64::from(latent.paths));
        for step in 0..400 {
            // Paths die and come back; copies come in any number.
            copies = if rng.below(40) == 0 { rng.below(5) } else { copies };
            for _ in 0..rng.below(4) {
                (0..copies).for_each(|_| {
                    recovery.recover(Some(sequence), now);
                });
                sequence = sequence.wrapping_add(1);
            }
            now = now.after(Duration::from_millis(1));
            let before = recovery.latent_error();
            recovery.handle_timeout(now);
            model.tick(recovery.counters());
            let got = (recovery.latent_error(), recovery.counters().latent_error_resets);
            assert_eq!(got, (model.signal, model.resets), "seed {seed}, step {step}: {latent:?}");
            let told = if model.signal { Event::LatentError } else { Event::LatentErrorOver };
            assert_eq!(
                recovery.poll_event(),
                (before != model.signal).then_some(told),
                "seed {seed}, step {step}"
            );
            *(if model.signal { &mut signals } else { &mut silences }) += 1;
        }
    }
    assert!(signals > 2000 && silences > 2000, "both happen: {signals}, {silences}");
}

#[test]
fn two_interleaved_copies_over_the_wrap_pass_once_each() {
    let mut recovery = SequenceRecovery::new(params(64, 1000), Instant::ZERO);
    let passed = (0..200_000_u32)
        .flat_map(|at| [Some(at), at.checked_sub(40)])
        .flatten()
        .filter(|at| {
            let sequence = u16::try_from(at & 0xffff).unwrap();
            recovery.recover(Some(sequence), Instant::ZERO) == Verdict::Pass
        })
        .count();
    let counters = recovery.counters();
    assert_eq!(passed, 200_000);
    assert_eq!((counters.passed, counters.discarded), (200_000, 199_960));
    assert_eq!((counters.lost, counters.rogue, counters.out_of_order), (0, 0, 0));
}

#[test]
fn what_leaves_the_history_unseen_is_lost_but_not_what_was_before_the_stream() {
    let mut recovery = SequenceRecovery::new(params(8, 1000), Instant::ZERO);
    for sequence in [100, 101, 103, 104, 105, 106, 107, 108, 109] {
        assert_eq!(recovery.recover(Some(sequence), Instant::ZERO), Verdict::Pass);
        assert_eq!(recovery.counters().lost, 0, "{sequence}: request 376");
    }
    recovery.recover(Some(110), Instant::ZERO);
    assert_eq!(recovery.counters().lost, 1, "102 is not within the last eight");
    assert_eq!(recovery.recover(Some(102), Instant::ZERO), Verdict::Rogue);
}

#[test]
fn a_restarted_sender_is_rogue_until_the_reset_timeout_and_not_longer() {
    let ms = |ms| Instant::ZERO.after(Duration::from_millis(ms));
    let mut recovery = SequenceRecovery::new(params(16, 50), Instant::ZERO);
    assert_eq!(recovery.recover(Some(30_000), ms(0)), Verdict::Pass);
    for at in 1..50 {
        assert_eq!(recovery.recover(Some(at), ms(u64::from(at))), Verdict::Rogue);
    }
    assert_eq!(recovery.poll_timeout(), Some(ms(50)), "rogues do not restart the timer");
    assert_eq!(recovery.recover(Some(50), ms(50)), Verdict::Pass);
    assert_eq!(recovery.recover(Some(50), ms(50)), Verdict::Duplicate);
    assert_eq!(recovery.counters().resets, 2);
}

#[test]
fn section_7_4_4_a_path_that_dies_is_told_though_nothing_is_lost() {
    let latent = LatentErrorParams::default();
    let params = RecoveryParams { latent: Some(latent), ..params(64, 10_000) };
    let mut recovery = SequenceRecovery::new(params, Instant::ZERO);
    let (mut now, mut told, mut sequence) = (Instant::ZERO, vec![], 0_u16);
    for second in 0..100 {
        for _ in 0..200 {
            let copies = if (40..60).contains(&second) { 1 } else { 2 };
            (0..copies).for_each(|_| {
                recovery.recover(Some(sequence), now);
            });
            sequence = sequence.wrapping_add(1);
        }
        now = now.after(Duration::from_secs(1));
        recovery.handle_timeout(now);
        told.extend(recovery.poll_event().map(|event| (second, event)));
    }
    let counters = recovery.counters();
    assert_eq!((counters.passed, counters.lost, counters.rogue), (20_000, 0, 0));
    // Tests are every 2 s, a new base every 30 s.
    assert_eq!(counters.latent_error_resets, 4);
    let [(first, Event::LatentError), .., (last, Event::LatentErrorOver)] = told[..] else {
        panic!("{told:?}");
    };
    assert!((40..=42).contains(&first) && (60..=91).contains(&last), "{told:?}");
    assert!(!recovery.latent_error());
}

// A number is all that the standard knows (LatentErrorTest, §7.4.4.4), and each reset begins to count anew (§7.4.4.3).
#[test]
fn section_7_4_4_what_is_sparse_wants_a_smaller_difference() {
    for (difference, told) in [(100, false), (10, true)] {
        let latent = LatentErrorParams { difference, ..LatentErrorParams::default() };
        let params = RecoveryParams { latent: Some(latent), ..params(64, 10_000) };
        let mut recovery = SequenceRecovery::new(params, Instant::ZERO);
        // Two packets a second, each with one copy only.
        for half_seconds in 0..300_u16 {
            let now = Instant::ZERO.after(Duration::from_millis(500) * u32::from(half_seconds));
            recovery.recover(Some(half_seconds), now);
            recovery.handle_timeout(now);
        }
        assert_eq!(recovery.poll_event(), told.then_some(Event::LatentError), "{difference}");
    }
}

#[test]
fn only_lengths_that_the_number_space_allows() {
    let lengths = [0, 1, 2, 0x8000, 0x8001].map(|length| HistoryLength::new(length).map(HistoryLength::get));
    assert_eq!(lengths, [None, None, Some(2), Some(0x8000), None]);
}

#[test]
fn counters_carry_the_names_of_section_10_8() {
    let named = RecoveryCounters { lost: 7, ..RecoveryCounters::default() }.named();
    assert!(named.iter().all(|(name, _)| name.starts_with("frerCpsSeqRcvy")));
    assert_eq!(named.iter().filter(|(_, count)| *count == 7).count(), 1);
}

// §7.4.3.4: what a predecessor delivered is not delivered again; what has another length begins anew.
#[test]
fn a_successor_delivers_nothing_twice_and_misses_nothing() {
    let (params, now) = (RecoveryParams::default(), Instant::ZERO.after(Duration::from_millis(1)));
    let mut before = SequenceRecovery::new(params, now);
    for number in [65_530_u16, 65_531, 65_535, 3] {
        assert_eq!(before.recover(Some(number), now), Verdict::Pass);
    }
    let mut parcel = net::carry::Parcel::new();
    before.pack(&mut parcel);
    let mut after = SequenceRecovery::new(params, now);
    after.resume(&mut net::carry::Opened::new(parcel.as_octets()));
    for (number, expected) in [
        (65_531, Verdict::Duplicate),
        (65_532, Verdict::Pass),
        (3, Verdict::Duplicate),
        (4, Verdict::Pass),
        (20_000, Verdict::Rogue),
    ] {
        assert_eq!(after.recover(Some(number), now), expected, "{number}");
    }
    let short = RecoveryParams { history_length: HistoryLength::new(64).unwrap(), ..params };
    let mut other = SequenceRecovery::new(short, now);
    other.resume(&mut net::carry::Opened::new(parcel.as_octets()));
    assert_eq!(other.recover(Some(20_000), now), Verdict::Pass, "it began anew");
    let mut generation = SequenceGeneration::new();
    generation.resume(65_535);
    assert_eq!((generation.take(), generation.take()), (65_535, 0));
}
