//! The choice against its definition, under random histories, millisecond by millisecond.

use core::time::Duration;

use net::Instant;
use proptest::prelude::*;

use super::*;

fn ms(ms: u64) -> Instant {
    Instant::ZERO.after(Duration::from_millis(ms))
}

fn params(hold_down: u64, revert: Option<u64>) -> StandbyParams {
    StandbyParams {
        hold_down: Duration::from_millis(hold_down),
        revert_delay: revert.map(Duration::from_millis),
    }
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Die(usize),
    Return(usize),
    Flap(usize),
    Only(u64),
    Wait(u64),
}

fn operation(members: usize) -> impl Strategy<Value = Operation> {
    prop_oneof![
        3 => (0..members).prop_map(Operation::Die),
        4 => (0..members).prop_map(Operation::Return),
        1 => (0..members).prop_map(Operation::Flap),
        1 => any::<u64>().prop_map(Operation::Only),
        6 => (0_u64..40).prop_map(Operation::Wait),
    ]
}

/// The definition: for each member the whole history of (when, live), and the rules of `standby.rs` read off it.
struct Reference {
    params: StandbyParams,
    preferences: Vec<Preference>,
    history: Vec<Vec<(Instant, bool)>>,
    active: Option<usize>,
}

impl Reference {
    fn new(params: StandbyParams, preferences: &[Preference]) -> Self {
        Self {
            params,
            preferences: preferences.to_vec(),
            history: vec![vec![]; preferences.len()],
            active: None,
        }
    }

    fn live(&self, member: usize) -> bool {
        self.history[member].last().is_some_and(|(_, live)| *live)
    }

    fn failures(&self, member: usize) -> usize {
        self.history[member].iter().filter(|(_, live)| !live).count()
    }

    /// Live without a break for `time`.
    fn has_been_live_for(&self, member: usize, time: Duration, now: Instant) -> bool {
        self.live(member) && now.since(self.history[member].last().unwrap().0) >= time
    }

    fn first_by_preference(&self, fits: impl Fn(usize) -> bool) -> Option<usize> {
        let mut order: Vec<_> = (0..self.preferences.len()).collect();
        order.sort_by_key(|&at| (u32::MAX - self.preferences[at], at));
        order.into_iter().find(|&at| fits(at))
    }

    fn set(&mut self, live: u64, now: Instant) {
        for member in 0..self.preferences.len() {
            let is = live >> member & 1 == 1;
            if is != self.live(member) {
                self.history[member].push((now, is));
            }
        }
        self.look(now);
    }

    fn look(&mut self, now: Instant) {
        let StandbyParams { hold_down, revert_delay } = self.params;
        if let Some(active) = self.active.filter(|&active| self.live(active)) {
            let Some(revert_delay) = revert_delay else { return };
            let better = self.first_by_preference(|at| {
                let trusted = self.live(at) && self.failures(at) == 0
                    || self.has_been_live_for(at, revert_delay, now)
                        && self.has_been_live_for(at, hold_down, now);
                trusted && self.preferences[at] > self.preferences[active]
            });
            self.active = better.or(Some(active));
        } else {
            let settled =
                |at| self.live(at) && self.failures(at) == 0 || self.has_been_live_for(at, hold_down, now);
            self.active =
                self.first_by_preference(settled).or_else(|| self.first_by_preference(|at| self.live(at)));
        }
    }
}

/// Both, step by step, and after each millisecond of waiting.
fn agree(
    params: StandbyParams,
    preferences: &[Preference],
    operations: &[Operation],
) -> Result<(), TestCaseError> {
    let mut machine = Standby::new(params, preferences.iter().copied());
    let mut reference = Reference::new(params, preferences);
    let (mut live, mut now) = (0_u64, 0_u64);
    for &operation in operations {
        let before = machine.active();
        let steps = match operation {
            Operation::Die(at) => vec![live & !(1 << at)],
            Operation::Return(at) => vec![live | 1 << at],
            Operation::Flap(at) => vec![live ^ 1 << at, live],
            Operation::Only(bits) => vec![bits],
            Operation::Wait(time) => {
                for _ in 0..time {
                    now += 1;
                    reference.look(ms(now));
                    // The machine is called only when it asked to be.
                    if machine.poll_timeout().is_some_and(|due| due <= ms(now)) {
                        prop_assert!(machine.handle_timeout(ms(now)), "woken for nothing");
                    }
                    prop_assert_eq!(machine.active(), reference.active, "at {} ms", now);
                }
                continue;
            }
        };
        for step in steps {
            live = step;
            machine.set_live(live, ms(now));
            reference.set(live, ms(now));
            prop_assert_eq!(machine.active(), reference.active, "{:?} at {} ms", operation, now);
        }
        let active = machine.active();
        let known = live & (1_u64.checked_shl(u32::try_from(preferences.len()).unwrap()).unwrap() - 1);
        prop_assert_eq!(active.is_some(), known != 0, "one carries as long as one lives");
        prop_assert!(active.is_none_or(|at| live >> at & 1 == 1), "a dead one carries");
        // Only a death or a more preferred one moves traffic.
        if let (Some(before), Some(after)) = (before, active)
            && before != after
            && live >> before & 1 == 1
            && !matches!(operation, Operation::Flap(_))
        {
            prop_assert!(preferences[after] > preferences[before]);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_choice_is_its_definition_step_by_step(
        hold_down in 0_u64..60,
        revert in prop::option::of(0_u64..80),
        preferences in prop::collection::vec(0_u32..4, 1..=5),
        operations in prop::collection::vec(operation(5), 1..40),
    ) {
        agree(params(hold_down, revert), &preferences, &operations)?;
    }

    #[test]
    fn two_best_is_the_head_of_the_sorted_list(preferences in prop::collection::vec(0_u32..5, 0..=9), live: u64) {
        let mut order: Vec<_> = (0..preferences.len()).filter(|at| live >> at & 1 == 1).collect();
        order.sort_by_key(|&at| (u32::MAX - preferences[at], at));
        let right = order.iter().take(2).fold(0, |bits, at| bits | 1_u64 << at);
        prop_assert_eq!(two_best(&preferences, live), right);
        prop_assert_eq!(best(&preferences, live), order.first().copied());
    }

    #[test]
    fn weights_keep_the_ratio_of_capacities(capacities in prop::collection::vec(1_u64..400_000, 1..9)) {
        let weights = weights(&capacities.iter().copied().map(Some).collect::<Vec<_>>());
        let most = *capacities.iter().max().unwrap();
        let scale = f64::from(weights.iter().max().unwrap().get());
        for (capacity, weight) in capacities.iter().zip(&weights) {
            let share = f64::from(u32::try_from(*capacity).unwrap()) / f64::from(u32::try_from(most).unwrap());
            let right = (share * scale).max(1.0);
            prop_assert!((f64::from(weight.get()) - right).abs() <= 0.51, "{capacities:?}: {weights:?}");
        }
    }
}

#[test]
fn weights_of_usual_links() {
    let gbps = |all: &[u64]| {
        let capacities: Vec<_> = all.iter().map(|&one| (one > 0).then_some(one * 1000)).collect();
        weights(&capacities).into_iter().map(Weight::get).collect::<Vec<_>>()
    };
    assert_eq!(gbps(&[10, 10, 10, 10]), [1, 1, 1, 1]);
    assert_eq!(gbps(&[10, 100, 400]), [1, 10, 40]);
    assert_eq!(gbps(&[1, 100, 0]), [1, 100, 1], "unknown counts as the smallest");
    assert_eq!(gbps(&[1, 1000]), [1, 255]);
    assert_eq!(gbps(&[0, 0]), [1, 1]);
    assert!(gbps(&[]).is_empty());
}

#[test]
fn a_story_of_two_links() {
    let mut choice = Standby::new(params(10_000, Some(60_000)), [200, 100]);
    // The standby is up first; the preferred one never failed, so nothing waits.
    assert!(choice.set_live(0b10, ms(0)) && choice.active() == Some(1));
    assert!(choice.set_live(0b11, ms(300)) && choice.active() == Some(0));
    // It dies: the other takes over in the same call.
    assert!(choice.set_live(0b10, ms(1000)) && choice.active() == Some(1));
    // It returns, and must stay for a minute.
    assert!(!choice.set_live(0b11, ms(5000)));
    assert_eq!(choice.poll_timeout(), Some(ms(65_000)));
    assert!(!choice.handle_timeout(ms(64_999)));
    assert!(choice.handle_timeout(ms(65_000)) && choice.active() == Some(0));
    assert_eq!(choice.poll_timeout(), None);
}

#[test]
fn a_link_that_flaps_twenty_times_a_second_moves_traffic_once() {
    let mut choice = Standby::new(params(10_000, Some(60_000)), [200, 100]);
    choice.set_live(0b11, ms(0));
    let moves = (1..1200_u64).filter(|at| choice.set_live(0b10 | at & 1 ^ 1, ms(at * 25))).count();
    assert_eq!((moves, choice.active()), (1, Some(1)));
}

#[test]
fn one_in_hold_down_carries_only_when_nothing_else_lives() {
    let mut choice = Standby::new(params(10_000, None), [300, 200, 100]);
    choice.set_live(0b111, ms(0));
    choice.set_live(0b110, ms(1000));
    choice.set_live(0b111, ms(1100));
    assert_eq!(choice.active(), Some(1));
    assert!(choice.set_live(0b101, ms(1200)));
    assert_eq!(choice.active(), Some(2), "0 is more preferred, but failed a moment ago");
    assert!(choice.set_live(0b001, ms(1300)));
    assert_eq!(choice.active(), Some(0), "any path is better than none");
    assert!(!choice.set_live(0b111, ms(90_000)) && choice.poll_timeout().is_none(), "it never reverts");
}

#[test]
fn a_successor_stays_where_its_predecessor_was_for_as_long_as_that_would_have() {
    let made = |members: usize| {
        Standby::new(params(10, Some(50)), (0..members).map(|at| 100 - u32::try_from(at).unwrap()))
    };
    let mut before = made(2);
    before.set_live(0b11, ms(0));
    before.set_live(0b10, ms(5));
    before.set_live(0b11, ms(20));
    assert_eq!((before.active(), before.poll_timeout()), (Some(1), Some(ms(70))));
    let mut parcel = net::carry::Parcel::new();
    before.pack(&mut parcel);
    let left = |octets: &[u8]| Standby::unpack(&mut net::carry::Opened::new(octets));
    let mut after = made(2);
    assert!(after.resume(left(parcel.as_octets()).unwrap()));
    assert!(!after.set_live(0b11, ms(30)), "nothing is news");
    assert_eq!((after.active(), after.poll_timeout()), (Some(1), Some(ms(70))));
    assert!(after.handle_timeout(ms(70)) && after.active() == Some(0));
    assert!(!made(3).resume(left(parcel.as_octets()).unwrap()), "others to choose from");
    assert!(left(&[]).is_none());
}
