//! Packets against the figures of the RFCs; a sender and a reflector over a path that loses, delays, reorders and duplicates.

use core::time::Duration;

use net::Instant;
use proptest::prelude::*;

use super::*;
use crate::chance::Rng;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn wall(unix: u64) -> WallClock {
    WallClock { start: Ntp::from_unix(Duration::from_secs(unix)), error: ErrorEstimate::of(ms(5), true) }
}

fn key(port: u16) -> SessionKey {
    SessionKey { address: [169, 254, 0, 1].into(), port }
}

fn modes() -> [Mode; 2] {
    [Mode::Unauthenticated, Mode::Authenticated(HmacKey::new(&[0x0b; 20]))]
}

/// What a path does to probes.
#[derive(Clone, Copy, Debug, Default)]
struct Path {
    out: u64,
    back: u64,
    /// Up to this many microseconds more, drawn for each packet.
    vary_out: u64,
    vary_back: u64,
    /// Each in 1000.
    lose_out: u64,
    lose_back: u64,
    duplicate_back: u64,
    /// The reflector holds each probe for so long.
    residence: u64,
}

/// What was really lost.
#[derive(Default)]
struct Truth {
    lost_out: u32,
    lost_back: u32,
    duplicated: u32,
}

/// Runs a session for so many seconds; the reflector's clock is an hour ahead.
fn run(mode: &Mode, path: Path, seconds: u64, seed: u64) -> (Report, Vec<Report>, Truth) {
    let params = SenderParams { mode: mode.clone(), interval: ms(20), timeout: ms(500), ssid: 7 };
    let (mut sender, mut reflector) = (Sender::new(params, Instant::ZERO), Reflector::new(mode.clone()));
    let (ours, theirs) = (wall(1_800_000_000), wall(1_800_003_600));
    let (mut rng, mut truth) = (Rng::new(seed), Truth::default());
    let (mut flying, mut reports) = (Vec::<(u64, bool, Vec<u8>)>::new(), vec![]);
    // Steps of 100 microseconds.
    for step in 0..seconds * 10_000 + 20_000 {
        let micros = step * 100;
        let now = Instant::ZERO.after(Duration::from_micros(micros));
        let mut packet = [0xa5; 200];
        if step < seconds * 10_000
            && let Some(len) = sender.poll_transmit(&mut packet, &ours, now)
        {
            if rng.below(1000) < path.lose_out {
                truth.lost_out += 1;
            } else {
                let at = micros + path.out + rng.below(path.vary_out + 1);
                flying.push((at, true, packet[..len].to_vec()));
            }
        }
        let (due, later): (Vec<_>, Vec<_>) = flying.into_iter().partition(|(at, ..)| *at <= micros);
        flying = later;
        for (_, out, mut packet) in due {
            if !out {
                // Duplicates are refused, and count as such.
                let _known = sender.handle_packet(&packet, now);
                continue;
            }
            let sent = now.after(Duration::from_micros(path.residence));
            reflector.reflect(&mut packet, (key(5000), 64), &theirs, (now, sent)).unwrap();
            if rng.below(1000) < path.lose_back {
                truth.lost_back += 1;
                continue;
            }
            let at = micros + path.residence + path.back + rng.below(path.vary_back + 1);
            if rng.below(1000) < path.duplicate_back {
                truth.duplicated += 1;
                flying.push((at + 300, false, packet.clone()));
            }
            flying.push((at, false, packet));
        }
        sender.handle_timeout(now);
        reports.extend(sender.poll_report());
    }
    let sum = reports.iter().fold(Report::default(), |sum, one| sum.with(one));
    (sum, reports, truth)
}

#[test]
fn rfc_8762_4_2_1_and_4_3_1_octet_by_octet() {
    let request = Request {
        sequence: 0x0102_0304,
        sent: Ntp(0x1111_1111_2222_2222),
        error: ErrorEstimate { synchronized: true, ptp: false, scale: 3, multiplier: 9 },
        ssid: 0xabcd,
    };
    let mut packet = [0xa5; 60];
    assert_eq!(request.write(&mut packet, &Mode::Unauthenticated), Ok(44));
    let head = [1, 2, 3, 4, 0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x22, 0x22, 0x83, 9, 0xab, 0xcd];
    assert_eq!(packet[..16], head);
    assert_eq!((&packet[16..44], &packet[44..]), (&[0; 28][..], &[0xa5; 16][..]));
    let reply = Reply {
        sequence: 5,
        sent: Ntp(0x3333_3333_4444_4444),
        error: ErrorEstimate { synchronized: false, ptp: false, scale: 1, multiplier: 2 },
        received: Ntp(0x5555_5555_6666_6666),
        request,
        ttl: 255,
    };
    assert_eq!(reply.write(&mut packet, &Mode::Unauthenticated), Ok(44));
    let right = [
        &[0, 0, 0, 5][..],
        &[0x33, 0x33, 0x33, 0x33, 0x44, 0x44, 0x44, 0x44, 1, 2, 0xab, 0xcd],
        &[0x55, 0x55, 0x55, 0x55, 0x66, 0x66, 0x66, 0x66],
        &[1, 2, 3, 4, 0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x22, 0x22, 0x83, 9, 0, 0, 255, 0, 0, 0],
    ];
    assert_eq!(packet[..44], right.concat()[..]);
}

#[test]
fn rfc_8762_4_2_2_and_4_3_2_where_each_field_stands() {
    let [_, mode] = modes();
    let request = Request { sequence: 1, sent: Ntp(2), error: ErrorEstimate::of(ms(1), true), ssid: 3 };
    let reply = Reply {
        sequence: 0x0a0b_0c0d,
        sent: Ntp(0x1111_1111_1111_1111),
        error: request.error,
        received: Ntp(0x2222_2222_2222_2222),
        request,
        ttl: 64,
    };
    let mut packet = [0xa5; AUTHENTICATED_LEN];
    assert_eq!(reply.write(&mut packet, &mode), Ok(112));
    assert_eq!((packet[0], packet[16], packet[32], packet[51], packet[71]), (0x0a, 0x11, 0x22, 1, 2));
    assert_eq!(packet[80], 64);
    for zeros in [4..16, 28..32, 40..48, 52..64, 74..80, 81..96] {
        assert!(packet[zeros.clone()].iter().all(|&octet| octet == 0), "{zeros:?}");
    }
    assert_eq!(Reply::parse(&packet, &mode), Ok(reply));
    let mut packet = [0xa5; AUTHENTICATED_LEN];
    request.write(&mut packet, &mode).unwrap();
    assert_eq!((packet[3], packet[23], packet[27]), (1, 2, 3));
    assert!(packet[28..96].iter().all(|&octet| octet == 0));
    for at in 0..packet.len() {
        packet[at] ^= 1;
        assert_eq!(Request::parse(&packet, &mode), Err(Refusal::NotAuthentic), "octet {at}");
        packet[at] ^= 1;
    }
    assert_eq!(Request::parse(&packet, &mode), Ok(request));
}

#[test]
fn packets_that_are_wrong_are_refused_with_the_reason() {
    for mode in modes() {
        let mut packet = [0; 112];
        let request = Request { sequence: 0, sent: Ntp(1), error: ErrorEstimate::of(ms(1), true), ssid: 0 };
        let len = request.write(&mut packet, &mode).unwrap();
        for short in 0..len {
            assert_eq!(Request::parse(&packet[..short], &mode), Err(Refusal::Short));
            assert_eq!(Reply::parse(&packet[..short], &mode), Err(Refusal::Short));
            assert_eq!(request.write(&mut [0; 112][..short], &mode), Err(Refusal::NoRoom));
        }
    }
    assert_eq!(Request::parse(&[0; 44], &Mode::Unauthenticated), Err(Refusal::BadErrorEstimate));
}

#[test]
fn rfc_8972_4_unknown_tlvs_come_back_flagged() {
    let mut packet = [0; 60];
    let request = Request { sequence: 0, sent: Ntp(1), error: ErrorEstimate::of(ms(1), true), ssid: 9 };
    request.write(&mut packet, &Mode::Unauthenticated).unwrap();
    packet[44..60].copy_from_slice(&[0, 1, 0, 4, 1, 2, 3, 4, 0, 200, 0, 9, 5, 6, 7, 8]);
    let now = Instant::ZERO;
    let mut reflector = Reflector::new(Mode::Unauthenticated);
    reflector.reflect(&mut packet, (key(1), 3), &wall(0), (now, now)).unwrap();
    assert_eq!(packet[44..60], [0x80, 1, 0, 4, 1, 2, 3, 4, 0xc0, 200, 0, 9, 5, 6, 7, 8]);
    assert_eq!(Reply::parse(&packet, &Mode::Unauthenticated).unwrap().request, request);
}

#[test]
fn a_stateful_reflector_counts_each_session_by_itself_and_a_new_one_from_zero() {
    let (mut reflector, now) = (Reflector::new(Mode::Unauthenticated), Instant::ZERO);
    let mut number = |port: u16, ssid: u16, sequence: u32| {
        let mut packet = [0; 44];
        let request = Request { sequence, sent: Ntp(1), error: ErrorEstimate::of(ms(1), true), ssid };
        request.write(&mut packet, &Mode::Unauthenticated).unwrap();
        reflector.reflect(&mut packet, (key(port), 3), &wall(0), (now, now)).unwrap();
        Reply::parse(&packet, &Mode::Unauthenticated).unwrap().sequence
    };
    assert_eq!(
        [number(1, 1, 0), number(1, 1, 5), number(1, 2, 9), number(2, 1, 0), number(1, 1, 6)],
        [0, 1, 0, 0, 2]
    );
    assert_eq!([number(1, 1, 0), number(1, 1, 1)], [0, 1], "the sender started again");
    for port in 10..30 {
        assert_eq!(number(port, 1, 4), 0, "sessions beyond the limit push out the oldest");
    }
}

#[test]
fn a_clean_path_is_measured_to_the_microsecond() {
    for mode in modes() {
        let path = Path { out: 10_000, back: 30_000, residence: 2_000, ..Path::default() };
        let (sum, reports, _) = run(&mode, path, 10, 1);
        assert_eq!((sum.sent, sum.received, sum.lost_out, sum.lost_back), (500, 500, 0, 0));
        assert_eq!(reports.len(), 11, "one a second, and an empty one at the end");
        // Replies are looked at every 100 microseconds.
        for rtt in [sum.rtt_min, sum.rtt_max, sum.rtt().unwrap()] {
            assert!(rtt.abs_diff(ms(40)) <= Duration::from_micros(101), "{rtt:?}");
        }
        assert!(sum.jitter().unwrap() <= Duration::from_micros(1), "{:?}", sum.jitter());
    }
}

#[test]
fn jitter_is_told_for_the_direction_that_has_it() {
    let out = Path { out: 10_000, back: 10_000, vary_out: 9_000, ..Path::default() };
    let back = Path { vary_back: 9_000, vary_out: 0, ..out };
    let (there, _, _) = run(&Mode::Unauthenticated, out, 20, 3);
    let (here, _, _) = run(&Mode::Unauthenticated, back, 20, 3);
    // Two numbers drawn from 0..9 ms differ by 3 ms in the mean.
    for (with, without) in
        [(there.jitter_out_sum, there.jitter_back_sum), (here.jitter_back_sum, here.jitter_out_sum)]
    {
        let (with, without) = (with / there.jitter_count, without / there.jitter_count);
        assert!(with.abs_diff(ms(3)) < Duration::from_micros(350), "{with:?}");
        assert!(without < Duration::from_micros(120), "{without:?}");
    }
}

#[test]
fn reordered_and_duplicated_replies_are_counted_and_not_lost() {
    let path = Path { out: 5_000, back: 5_000, vary_back: 60_000, duplicate_back: 200, ..Path::default() };
    let (sum, _, truth) = run(&Mode::Unauthenticated, path, 20, 5);
    assert_eq!((sum.sent, sum.received, sum.lost_out, sum.lost_back), (1000, 1000, 0, 0));
    assert_eq!(sum.duplicates, truth.duplicated);
    assert!(sum.reordered > 200, "{}", sum.reordered);
}

#[test]
fn replies_that_come_after_the_timeout_are_lost() {
    let path = Path { out: 300_000, back: 1_300_000, ..Path::default() };
    let (sum, _, _) = run(&Mode::Unauthenticated, path, 5, 5);
    assert_eq!((sum.sent, sum.received), (250, 0));
}

#[test]
fn a_reply_to_another_session_or_with_another_stamp_does_not_count() {
    let params = SenderParams { mode: Mode::Unauthenticated, interval: ms(20), timeout: ms(500), ssid: 7 };
    let mut sender = Sender::new(params, Instant::ZERO);
    let mut packet = [0; 44];
    assert_eq!(sender.poll_transmit(&mut packet, &wall(0), Instant::ZERO), Some(44));
    assert_eq!(sender.poll_transmit(&mut [0; 44], &wall(0), Instant::ZERO), None, "one at a time");
    let mut reflector = Reflector::new(Mode::Unauthenticated);
    reflector.reflect(&mut packet, (key(1), 3), &wall(0), (Instant::ZERO, Instant::ZERO)).unwrap();
    for (at, why) in [(15, Refusal::OtherSession), (27, Refusal::Unexpected), (30, Refusal::Unexpected)] {
        let mut altered = packet;
        altered[at] ^= 1;
        assert_eq!(sender.handle_packet(&altered, Instant::ZERO), Err(why), "octet {at}");
    }
    assert_eq!(sender.handle_packet(&packet, Instant::ZERO), Ok(()));
    assert_eq!(sender.handle_packet(&packet, Instant::ZERO), Err(Refusal::Unexpected));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn loss_is_told_apart_by_direction(lose_out in 0_u64..300, lose_back in 0_u64..300, seed: u64) {
        let path = Path { out: 3_000, back: 4_000, lose_out, lose_back, ..Path::default() };
        let (sum, _, truth) = run(&Mode::Unauthenticated, path, 10, seed);
        prop_assert_eq!(sum.sent, 500);
        prop_assert_eq!(sum.lost(), truth.lost_out + truth.lost_back);
        // What was lost behind the very last answer has no direction.
        let unknown = truth.lost_out + truth.lost_back - sum.lost_out.min(truth.lost_out) - sum.lost_back.min(truth.lost_back);
        prop_assert!(sum.lost_out <= truth.lost_out && sum.lost_back <= truth.lost_back);
        prop_assert!(unknown <= 12, "{} of {}", unknown, sum.lost());
    }

    #[test]
    fn the_judge_is_its_definition(
        seconds in prop::collection::vec((0_u32..60, 0_u64..40, 0_u64..20), 1..120),
        bad_windows in 1_u8..6,
        good_windows in 1_u8..12,
        recover_percent in 0_u8..=100,
    ) {
        let thresholds = Thresholds {
            loss_ppm: Some(100_000),
            rtt: Some(ms(25)),
            jitter: Some(ms(12)),
            bad_windows,
            good_windows,
            recover_percent,
        };
        let mut judge = Quality::new(thresholds);
        // All that was reported since the last turn.
        let (mut since, mut bad) = (Vec::<(u32, u32, u64, u64)>::new(), false);
        for (received, rtt, jitter) in seconds {
            let received = received.min(50);
            let report = Report {
                sent: 50,
                received,
                rtt_sum: ms(rtt) * received,
                jitter_out_sum: ms(jitter) * received,
                jitter_count: received,
                ..Report::default()
            };
            since.push((50, received, rtt * u64::from(received), jitter * u64::from(received)));
            let exceeds = |count: u8, percent: u64| {
                let last = since.len().checked_sub(usize::from(count)).map(|from| &since[from..])?;
                let sent: u64 = last.iter().map(|one| u64::from(one.0)).sum();
                let got: u64 = last.iter().map(|one| u64::from(one.1)).sum();
                let (rtt, jitter): (u64, u64) = (last.iter().map(|one| one.2).sum(), last.iter().map(|one| one.3).sum());
                // Means are whole nanoseconds, rounded down.
                let mean = |sum: u64| (sum * 1_000_000).checked_div(got).unwrap_or(0);
                Some((sent - got) * 10 * 100 > sent * percent || mean(rtt) * 100 > 25_000_000 * percent || mean(jitter) * 100 > 12_000_000 * percent)
            };
            let turns = if bad {
                exceeds(good_windows, u64::from(recover_percent)) == Some(false)
            } else {
                exceeds(bad_windows, 100) == Some(true)
            };
            prop_assert_eq!(judge.handle_report(&report), turns);
            if turns {
                bad = !bad;
                since.clear();
            }
            prop_assert_eq!(judge.bad().is_some(), bad);
        }
    }
}

#[test]
fn five_percent_loss_is_left_and_a_clean_path_is_taken_back() {
    let mut judge = Quality::new(Thresholds::default());
    let second = |received| Report { sent: 50, received, ..Report::default() };
    assert!([50, 49, 50, 49, 50].iter().all(|&one| !judge.handle_report(&second(one))), "1 % is allowed");
    let turned = (0..3).position(|_| judge.handle_report(&second(47)));
    assert!(turned.is_some() && judge.bad() == Some(Why::Loss));
    let seconds = (1..60).find(|_| judge.handle_report(&second(50)));
    assert_eq!((seconds, judge.bad()), (Some(10), None));
    assert!(!judge.handle_report(&Report::default()), "nothing sent, nothing said");
}
