//! How much a port may say, and that what is wrong changes nothing.

use super::*;

#[test]
fn ieee_802_1ax_6_4_16_at_most_three_lacpdus_in_a_second() {
    let mut lag = enabled(&ACTIVE_FAST, 1, at(0));
    let mut sent: Vec<u64> = vec![0];
    // A partner that never has the right picture of us is corrected each time, but not too often.
    for time in 1..5_000 {
        let mut wrong = Lacpdu {
            version: 1,
            actor: partner_port(1, WILLING),
            partner: lag.status()[0].actor,
            collector_max_delay: 0,
        };
        wrong.partner.key = 99;
        lag.handle_pdu(0, &wrong.encode(), at(time)).unwrap();
        lag.handle_timeout(at(time));
        sent.extend(drain(&mut lag, at(time)).iter().map(|_| time));
    }
    for (first, fourth) in sent.iter().zip(sent.iter().skip(3)) {
        assert!(fourth - first >= 1_000, "{first} ms and {fourth} ms: four within a second");
    }
    assert!(sent.len() >= 12, "{} in five seconds", sent.len());
}

#[test]
fn what_waits_for_its_turn_is_in_the_deadline() {
    let mut lag = enabled(&ACTIVE_FAST, 1, at(0));
    bring_up(&mut lag, 0, at(10));
    drain(&mut lag, at(10));
    bring_up(&mut lag, 0, at(20));
    lag.set_standby(0, true, at(20));
    let early = drain(&mut lag, at(20)).len();
    lag.set_standby(0, false, at(30));
    lag.set_standby(0, true, at(40));
    assert!(early + drain(&mut lag, at(40)).len() <= 2);
    let due = lag.poll_timeout().unwrap();
    assert!(due > at(40) && due <= at(1_020), "{due}");
    lag.handle_timeout(due);
    assert_eq!(drain(&mut lag, due).len(), 1);
}

#[test]
fn ieee_802_1ax_6_5_4_2_markers_are_answered_and_not_more_than_ten_a_second() {
    let mut lag = enabled(&ACTIVE_FAST, 2, at(0));
    let marker = Marker { is_response: false, port: 3, system: THEIRS, transaction: 77 };
    lag.handle_pdu(1, &marker.encode(), at(10)).unwrap();
    assert_eq!(lag.poll_timeout(), Some(Instant::ZERO), "at once");
    let (member, answer) = lag.poll_response().unwrap();
    assert_eq!((member, Pdu::decode(&answer)), (1, Ok(Pdu::Marker(Marker { is_response: true, ..marker }))));
    let mut answers = 0;
    for _ in 0..100 {
        lag.handle_pdu(1, &marker.encode(), at(20)).unwrap();
        answers += usize::from(lag.poll_response().is_some());
    }
    assert_eq!(answers, 9);
    lag.handle_pdu(1, &Marker { is_response: true, ..marker }.encode(), at(30)).unwrap();
    assert_eq!(lag.poll_response(), None, "an answer is not answered");
    let counters = lag.status()[1].counters;
    assert_eq!((counters.markers_rx, counters.responses_rx, counters.responses_tx), (101, 1, 10));
}

#[test]
fn what_is_refused_is_counted_and_changes_nothing() {
    let mut lag = enabled(&ACTIVE_FAST, 1, at(0));
    bring_up(&mut lag, 0, at(100));
    let before = lag.status()[0];
    assert_eq!(lag.handle_pdu(0, &[1, 1, 1, 20, 0], at(200)), Err(Refusal::Illegal));
    assert_eq!(lag.handle_pdu(0, &[], at(200)), Err(Refusal::Illegal));
    assert_eq!(lag.handle_pdu(0, &[3; 60], at(200)), Err(Refusal::Unknown));
    assert_eq!(lag.handle_pdu(5, &[1; 110], at(200)), Err(Refusal::Unknown));
    let after = lag.status()[0];
    assert_eq!((after.counters.illegal_rx, after.counters.unknown_rx), (2, 1));
    assert_eq!(MemberStatus { counters: before.counters, ..after }, before);
}

#[test]
fn events_that_nobody_fetches_do_not_pile_up() {
    let mut lag = enabled(&ACTIVE_FAST, 1, at(0));
    for time in 1..1_000 {
        bring_up(&mut lag, 0, at(time * 10));
        lag.set_enabled(0, false, at(time * 10 + 1));
        lag.set_enabled(0, true, at(time * 10 + 2));
    }
    assert!(told(&mut lag).len() <= 16);
}
