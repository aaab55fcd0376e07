use dataplane::Fault;
use proptest::prelude::*;

use super::*;
use crate::api::testbed::{break_channel, facts};

fn at(ms: u64) -> Instant {
    Instant::ZERO.after(Duration::from_millis(ms))
}

fn drain(channel: u16) -> Drain {
    Drain::new(ChannelId(channel), Timestamp::UNIX_EPOCH, (None, false), at(0))
}

/// Looks every 200 ms, with so many frames at each look; the phases told.
fn phases(frames: impl IntoIterator<Item = u64>) -> Vec<(u64, Phase)> {
    let (mut one, mut told) = (drain(0), vec![]);
    for (step, frames) in frames.into_iter().enumerate() {
        let now = (u64::try_from(step).unwrap() + 1) * 200;
        if one.look(frames, at(now)) {
            told.push((now, one.phase));
        }
    }
    told
}

#[test]
fn a_channel_is_safe_when_nothing_passed_for_a_second_and_not_before() {
    assert_eq!(phases([7; 10]), [(1200, Phase::Safe)]);
    assert_eq!(phases([10, 20, 30, 31, 31, 31, 31, 31, 31]), [(1800, Phase::Safe)]);
    // One packet a second is traffic.
    assert_eq!(phases((0..60).map(|step| step / 5)), []);
}

#[test]
fn traffic_that_stays_is_told_and_may_leave_yet_or_come_back() {
    let story = (0..100).map(|step: u64| step.min(80) * 10).chain([900]).chain([900; 10]);
    assert_eq!(
        phases(story),
        [(15_000, Phase::Stays), (17_200, Phase::Safe), (20_200, Phase::Moving), (21_200, Phase::Safe)]
    );
}

proptest! {
    /// Safe, by its definition: the number of frames did not move within the last second.
    #[test]
    fn safe_is_its_definition(steps in prop::collection::vec((50_u64..600, 0_u64..3), 1..60)) {
        let mut one = drain(0);
        let (mut now, mut frames, mut seen) = (0, 0, Vec::<(u64, u64)>::new());
        for (wait, more) in steps {
            now += wait;
            frames += more;
            one.look(frames, at(now));
            seen.push((now, frames));
            let same = seen.iter().rev().take_while(|(_, then)| *then == frames).last().map_or(now, |(then, _)| *then);
            prop_assert_eq!(one.phase == Phase::Safe, now - same >= 1000, "{:?}", seen);
        }
    }
}

#[test]
fn the_last_live_channel_and_a_second_planned_work_are_refused() {
    let allowed = |facts: &crate::api::Facts, drains: &[Drain], channel| {
        allow(&facts.config, &facts.setup, &facts.reports, drains, (ChannelId(channel), None))
    };
    let mut facts = facts();
    assert_eq!(allowed(&facts, &[], 1), Ok(()));
    assert_eq!(allowed(&facts, &[drain(0)], 1), Err(NoDrain::PlannedWork("ch1".to_owned())));
    assert_eq!(allowed(&facts, &[drain(1)], 1), Ok(()), "the same work");
    assert_eq!(allowed(&facts, &[], 0), Err(NoDrain::LastLive("wire".to_owned())), "it has no other");
    break_channel(&mut facts, 0, Fault::NoCarrier);
    assert_eq!(allowed(&facts, &[], 1), Err(NoDrain::LastLive("blue".to_owned())));
    assert_eq!(allowed(&facts, &[], 0), Ok(()), "nothing lives on it");
}
