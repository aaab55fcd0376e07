//! Intervals, the Poll Sequence, jitter, and peers that want less.

use super::*;
use BfdState::{Down, Up};

const SECOND: Duration = Duration::from_secs(1);

/// RFC 5880 §6.8.3: not faster than once a second until Up; slower if that is configured.
#[test]
fn it_starts_slowly() {
    for (min_tx, least, most) in [(10, ms(750), ms(1001)), (2000, ms(1500), ms(2001))] {
        let mut one = One::new(timers(min_tx, 50, 3));
        let sent = one.pass(Duration::from_secs(60), None);
        assert!(sent.len() > 20 && gaps(&sent).iter().all(|gap| (least..=most).contains(gap)));
        assert!(sent.iter().all(|(_, control)| control.desired_min_tx >= SECOND));
    }
}

/// §6.8.7: 75 to 100 %, or to 90 % when the multiplier is 1; evenly spread.
#[test]
fn intervals_are_jittered() {
    for (multiplier, least, most) in [(3, 75, 100), (1, 75, 90)] {
        let mut one = One::up(timers(100, 100, multiplier));
        let saying = Control { required_min_rx: ms(100), ..says(Up) };
        one.pass(SECOND, Some(saying));
        let gaps = gaps(&one.pass(Duration::from_secs(60), Some(saying)));
        let slack = Duration::from_micros(2);
        assert!(gaps.iter().all(|gap| (ms(least)..=ms(most) + slack).contains(gap)), "{gaps:?}");
        let fifth = (ms(most) - ms(least)) / 5;
        assert!(
            gaps.iter().any(|gap| *gap < ms(least) + fifth) && gaps.iter().any(|gap| *gap > ms(most) - fifth)
        );
    }
}

/// §6.8.2, §6.8.7: the larger of what we want to send and what the peer can receive.
#[test]
fn the_slower_side_sets_the_pace() {
    for (min_tx, remote_rx, interval) in [(50, 300, 300), (300, 50, 300), (10, 10, 10), (30_000, 1, 30_000)] {
        let mut one = One::new(timers(min_tx, 50, 3));
        one.bring_up();
        one.hear(Control { required_min_rx: ms(remote_rx), ..says(Up) }).unwrap();
        assert_eq!(one.status().tx_interval, Some(ms(interval)));
    }
}

/// §6.8.3: the intervals change with Up, so P is set until F comes; on the periodic packets, not on more of them.
#[test]
fn going_up_takes_a_poll_sequence() {
    let mut one = One::new(timers(50, 50, 3));
    one.hear(says(Down)).unwrap();
    one.hear(says(BfdState::Init)).unwrap();
    let polls = one.pass(SECOND, Some(says(Up)));
    assert!(polls.len() > 15 && polls.len() < 30, "{}", polls.len());
    assert!(polls.iter().all(|(_, control)| control.poll && control.desired_min_tx == ms(50)));
    one.hear(Control { is_final: true, ..says(Up) }).unwrap();
    assert!(one.pass(SECOND, Some(says(Up))).iter().all(|(_, control)| !control.poll));
}

/// §6.8.3: slower sending waits for the Final; until then the peer counts on the old pace.
#[test]
fn slower_sending_waits_for_the_final() {
    let mut one = One::up(timers(50, 50, 3));
    one.session.set_timers(timers(400, 50, 3), BfdMode::Follow, one.now);
    let sent = one.pass(SECOND, Some(says(Up)));
    assert!(sent.len() > 15, "still every 50 ms: {}", sent.len());
    assert!(sent.iter().all(|(_, control)| control.poll && control.desired_min_tx == ms(400)));
    one.hear(Control { is_final: true, ..says(Up) }).unwrap();
    assert_eq!(one.status().tx_interval, Some(ms(400)));
    assert!(one.pass(SECOND, Some(says(Up))).len() <= 4);
}

/// §6.8.3: faster failing waits for the Final; until then the peer sends at the old pace.
#[test]
fn a_shorter_detection_time_waits_for_the_final() {
    let mut one = One::up(timers(50, 300, 3));
    assert_eq!(one.status().detection, Some(ms(900)));
    one.session.set_timers(timers(50, 50, 3), BfdMode::Follow, one.now);
    one.pass(ms(100), Some(says(Up)));
    assert_eq!(one.status().detection, Some(ms(900)));
    one.hear(Control { is_final: true, ..says(Up) }).unwrap();
    assert_eq!(one.status().detection, Some(ms(150)));
}

/// §6.8.3: the other two directions are safe at once.
#[test]
fn faster_sending_and_a_longer_detection_time_are_used_at_once() {
    let mut one = One::up(timers(400, 50, 3));
    one.session.set_timers(timers(50, 300, 3), BfdMode::Follow, one.now);
    let status = one.status();
    assert_eq!((status.tx_interval, status.detection), (Some(ms(50)), Some(ms(900))));
    let sent = one.pass(ms(200), Some(says(Up)));
    assert!(
        sent.len() >= 3 && sent.iter().all(|(_, control)| control.poll && control.required_min_rx == ms(300))
    );
}

/// §6.5: a Final that answers an older Poll, or none, ends nothing.
#[test]
fn only_a_poll_that_was_sent_can_be_answered() {
    let mut one = One::up(timers(50, 50, 3));
    one.session.set_timers(timers(400, 50, 3), BfdMode::Follow, one.now);
    one.hear(Control { is_final: true, ..says(Up) }).unwrap();
    assert_eq!(one.status().tx_interval, Some(ms(50)), "no P left yet");
    one.pass(ms(100), Some(says(Up)));
    one.session.set_timers(timers(500, 50, 3), BfdMode::Follow, one.now);
    one.hear(Control { is_final: true, ..says(Up) }).unwrap();
    assert_eq!(one.status().tx_interval, Some(ms(50)), "it answers the Poll with 400 ms");
    one.pass(ms(100), Some(says(Up)));
    one.hear(Control { is_final: true, ..says(Up) }).unwrap();
    assert_eq!(one.status().tx_interval, Some(ms(500)));
}

/// §6.8.12: a new multiplier needs no Poll, but is told before its time.
#[test]
fn another_multiplier_is_told_at_once() {
    let mut one = One::up(timers(50, 50, 3));
    one.session.set_timers(timers(50, 50, 7), BfdMode::Follow, one.now);
    let sent = one.sent();
    assert_eq!((sent.len(), sent[0].multiplier.get(), sent[0].poll), (1, 7, false));
}

/// §6.8.3: "the local system MUST honor the new interval immediately", and send at once if that is over.
#[test]
fn a_peer_that_can_receive_faster_is_served_at_once() {
    let mut one = One::up(timers(50, 50, 3));
    one.pass(SECOND, Some(Control { required_min_rx: Duration::from_secs(10), ..says(Up) }));
    assert_eq!(one.pass(SECOND, Some(Control { required_min_rx: Duration::from_secs(10), ..says(Up) })), []);
    one.hear(says(Up)).unwrap();
    assert_eq!(one.session.poll_timeout(), Some(one.now));
    one.session.handle_timeout(one.now);
    assert_eq!(one.sent().len(), 1);
}

/// §6.8.3 the other way: a peer that asks for less gets less from now on.
#[test]
fn a_peer_that_wants_less_gets_less_at_once() {
    let mut one = One::up(timers(50, 50, 3));
    let wants_less = Control { required_min_rx: Duration::from_secs(2), ..says(Up) };
    one.hear(wants_less).unwrap();
    let sent = one.pass(Duration::from_secs(1), Some(wants_less));
    assert!(sent.is_empty(), "{sent:?}");
}

/// §6.8.7: "if bfd.RemoteMinRxInterval is zero": no periodic packets, but Polls are answered.
#[test]
fn a_peer_that_wants_nothing_gets_nothing_but_answers() {
    let mut one = One::up(timers(50, 50, 3));
    let deaf = Control { required_min_rx: Duration::ZERO, ..says(Up) };
    assert_eq!(one.pass(Duration::from_secs(5), Some(deaf)), []);
    one.hear(Control { poll: true, ..deaf }).unwrap();
    assert!(matches!(one.sent()[..], [Control { is_final: true, .. }]));
    // It is still expected to send: silence is noticed, and the next one may find us again.
    one.pass(ms(200), None);
    assert_eq!(one.session.state(), Down);
    assert!(one.pass(Duration::from_secs(5), None).len() > 3);
}

/// §6.6, §6.8.7: in the peer's Demand mode we are silent while both are Up, except to poll, and still watch it.
#[test]
fn the_peers_demand_mode_is_honoured() {
    let mut one = One::up(timers(50, 50, 3));
    let demanding = Control { demand: true, ..says(Up) };
    one.hear(demanding).unwrap();
    assert_eq!(one.pass(SECOND, Some(demanding)), []);
    one.session.set_timers(timers(80, 50, 3), BfdMode::Follow, one.now);
    let polls = one.pass(SECOND, Some(demanding));
    assert!(polls.len() > 5 && polls.iter().all(|(_, control)| control.poll));
    one.hear(Control { is_final: true, ..demanding }).unwrap();
    assert_eq!(one.pass(SECOND, Some(demanding)), []);
    one.pass(ms(151), None);
    assert_eq!(one.session.state(), Down, "its own packets must still come");
    assert!(one.pass(Duration::from_secs(3), None).len() >= 3, "no Demand mode unless both are Up");
}

/// Intervals and multipliers out of range are refused where they are made.
#[test]
fn timers_have_limits() {
    assert!(BfdTimers::new(ms(10), Duration::from_secs(30), 255).is_ok());
    for (tx, rx) in [(ms(9), ms(50)), (ms(50), ms(30_001)), (Duration::MAX, ms(50)), (ms(50), Duration::ZERO)]
    {
        assert_eq!(BfdTimers::new(tx, rx, 3), Err(BfdTimersError::Interval));
    }
    assert_eq!(BfdTimers::new(ms(50), ms(50), 0), Err(BfdTimersError::Multiplier));
    let cut = BfdTimers::new(Duration::from_nanos(50_000_999), ms(50), 3).unwrap();
    assert_eq!(cut.min_tx(), ms(50), "the wire has whole microseconds");
}
