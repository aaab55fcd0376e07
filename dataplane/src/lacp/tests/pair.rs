//! Two systems on links that lose, delay, go and come back. Seeds decide everything; each failure names its seed.

use std::collections::BTreeMap;

use super::*;
use net::carry::Parcel;

use crate::chance::Rng;

const MEMBERS: usize = 3;

struct Pair {
    seed: u64,
    rng: Rng,
    now: Instant,
    sides: [Aggregator; 2],
    /// On their way, by arrival: to which side, on which member.
    flying: BTreeMap<(Instant, u64), (usize, usize, [u8; LACPDU_LEN])>,
    count: u64,
    /// Of 100 LACPDUs so many are lost.
    loss: u64,
    up: [bool; MEMBERS],
    /// What each side heard last on each member.
    heard: [[Option<PortState>; MEMBERS]; 2],
    /// When each side's members last spoke.
    spoke: [[Vec<Instant>; MEMBERS]; 2],
}

impl Pair {
    fn new(seed: u64, ours: &LacpParams, theirs: &LacpParams) -> Self {
        let count = u16::try_from(MEMBERS).unwrap();
        Self {
            seed,
            rng: Rng::new(seed),
            now: Instant::ZERO,
            sides: [Aggregator::new(ours, &members(count)), Aggregator::new(theirs, &members(count))],
            flying: BTreeMap::new(),
            count: 0,
            loss: 0,
            up: [false; MEMBERS],
            heard: [[None; MEMBERS]; 2],
            spoke: Default::default(),
        }
    }

    /// The link of a member goes, or comes back, for both sides. What was on its way is lost.
    fn set_link(&mut self, member: usize, up: bool) {
        self.up[member] = up;
        self.flying.retain(|_, (_, on, _)| *on != member);
        for side in 0..2 {
            self.sides[side].set_enabled(member, up, self.now);
            if !up {
                self.heard[side][member] = None;
            }
        }
        self.carry();
    }

    /// What both sides have to say goes on its way; then all that must hold is looked at.
    fn carry(&mut self) {
        for side in 0..2 {
            while let Some((member, octets)) = self.sides[side].poll_transmit(self.now) {
                self.spoke[side][member].push(self.now);
                if self.up[member] && self.rng.below(100) >= self.loss {
                    self.count += 1;
                    let arrival = self.now.after(ms(1));
                    self.flying.insert((arrival, self.count), (1 - side, member, octets));
                }
            }
            while self.sides[side].poll_event().is_some() {}
        }
        self.check();
    }

    fn check(&self) {
        for side in 0..2 {
            let lag = &self.sides[side];
            assert_eq!(lag.distributing() & !lag.collecting(), 0, "seed {}", self.seed);
            for member in 0..MEMBERS {
                let distributes = lag.distributing() >> member & 1 == 1;
                let collects = self.heard[side][member].is_some_and(|state| state.has(PortState::COLLECTING));
                assert!(
                    !distributes || self.up[member] && collects,
                    "seed {}: sends into the dark",
                    self.seed
                );
            }
        }
    }

    /// Time goes on until `until`.
    fn run(&mut self, until: Instant) {
        for _ in 0..1_000_000 {
            let flying = self.flying.first_key_value().map(|((arrival, _), _)| *arrival);
            let due = self.sides.iter().map(Aggregator::poll_timeout).fold(flying, net::earliest);
            let Some(next) = due.filter(|due| *due <= until) else {
                self.now = until;
                return;
            };
            assert!(next >= self.now || next == Instant::ZERO, "seed {}: time goes back", self.seed);
            self.now = self.now.max(next);
            while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (side, member, octets) = entry.remove();
                let Ok(Pdu::Lacp(pdu)) = Pdu::decode(&octets) else { panic!("seed {}", self.seed) };
                self.heard[side][member] = Some(pdu.actor.state);
                self.sides[side].handle_pdu(member, &octets, self.now).unwrap();
            }
            self.sides.iter_mut().for_each(|side| side.handle_timeout(self.now));
            self.carry();
        }
        panic!("seed {}: it never comes to rest", self.seed);
    }

    fn run_for(&mut self, time: Duration) {
        self.run(self.now.after(time));
    }

    fn distributing(&self) -> [u64; 2] {
        [self.sides[0].distributing(), self.sides[1].distributing()]
    }
}

fn theirs(params: LacpParams) -> LacpParams {
    LacpParams { system: THEIRS, key: 9, ..params }
}

#[test]
fn both_ends_agree_within_two_round_trips_when_all_members_are_there() {
    for (ours, fast) in [(true, true), (false, true), (true, false), (false, false)] {
        let params = LacpParams { active: ours, short_timeout: fast, ..ACTIVE_FAST };
        let mut pair = Pair::new(1, &params, &theirs(LacpParams { short_timeout: fast, ..ACTIVE_FAST }));
        (0..MEMBERS).for_each(|member| pair.set_link(member, true));
        pair.run_for(ms(20));
        assert_eq!(pair.distributing(), [7, 7], "active {ours} fast {fast}");
    }
}

#[test]
fn two_passive_ends_never_agree() {
    let passive = LacpParams { active: false, ..ACTIVE_FAST };
    let mut pair = Pair::new(1, &passive, &theirs(passive));
    (0..MEMBERS).for_each(|member| pair.set_link(member, true));
    pair.run_for(ms(100_000));
    assert_eq!((pair.distributing(), pair.count), ([0, 0], 0));
}

#[test]
fn a_silent_failure_is_found_after_three_seconds_by_fast_ends_and_heals() {
    let mut pair = Pair::new(1, &ACTIVE_FAST, &theirs(ACTIVE_FAST));
    (0..MEMBERS).for_each(|member| pair.set_link(member, true));
    pair.run_for(ms(500));
    // One direction of one member: the end that is not heard is told so by the other.
    pair.loss = 100;
    pair.run_for(ms(2_000));
    assert_eq!(pair.distributing(), [7, 7]);
    pair.run_for(ms(1_500));
    assert_eq!(pair.distributing(), [0, 0]);
    pair.loss = 0;
    pair.run_for(ms(1_100));
    assert_eq!(pair.distributing(), [7, 7]);
}

#[test]
fn whatever_happens_it_heals_and_never_talks_too_much() {
    for seed in 0..150 {
        let mut rng = Rng::new(seed ^ 0xabcd);
        let mut flag = || rng.below(2) == 1;
        let ours = LacpParams { active: flag(), short_timeout: flag(), ..ACTIVE_FAST };
        let mut pair = Pair::new(seed, &ours, &theirs(LacpParams { short_timeout: flag(), ..ACTIVE_FAST }));
        for _ in 0..60 {
            let member = usize::try_from(pair.rng.below(3)).unwrap();
            match pair.rng.below(6) {
                0 => pair.set_link(member, true),
                1 => pair.set_link(member, false),
                2 => pair.loss = [0, 10, 60, 100][usize::try_from(pair.rng.below(4)).unwrap()],
                3 => {
                    let (side, standby) =
                        (usize::try_from(pair.rng.below(2)).unwrap(), pair.rng.below(2) == 1);
                    pair.sides[side].set_standby(member, standby, pair.now);
                    pair.carry();
                }
                _ => {
                    let time = ms(1 << pair.rng.below(14));
                    pair.run_for(time);
                }
            }
        }
        pair.loss = 0;
        for member in 0..MEMBERS {
            pair.set_link(member, false);
            pair.set_link(member, true);
            pair.sides.iter_mut().for_each(|side| side.set_standby(member, false, pair.now));
        }
        pair.carry();
        pair.run_for(ms(5_000));
        assert_eq!(pair.distributing(), [7, 7], "seed {seed}: {:#?}", pair.sides[0].status());
        for spoke in pair.spoke.iter().flatten() {
            for (first, fourth) in spoke.iter().zip(spoke.iter().skip(3)) {
                assert!(fourth.since(*first) >= ms(1_000), "seed {seed}: four within a second");
            }
        }
    }
}

#[test]
fn a_drain_of_one_member_loses_nothing_and_touches_no_other() {
    let mut pair = Pair::new(1, &ACTIVE_FAST, &theirs(ACTIVE_FAST));
    (0..MEMBERS).for_each(|member| pair.set_link(member, true));
    pair.run_for(ms(5_000));
    pair.sides[0].set_standby(1, true, pair.now);
    // Until the other end stopped sending, we take what it sends.
    while pair.sides[1].distributing() == 7 {
        assert_eq!(pair.sides[0].collecting(), 7);
        assert_eq!(pair.sides[0].distributing(), 5);
        pair.carry();
        pair.run_for(ms(1) / 4);
    }
    pair.run_for(ms(1_500));
    assert_eq!((pair.distributing(), pair.sides[0].collecting()), ([5, 5], 5));
    pair.sides[0].set_standby(1, false, pair.now);
    pair.carry();
    pair.run_for(ms(1_100));
    assert_eq!(pair.distributing(), [7, 7]);
}

/// What all members leave.
fn left(lag: &Aggregator) -> Vec<(usize, Vec<u8>)> {
    let each = (0..MEMBERS).map(|member| {
        let mut left = Parcel::new();
        lag.leave(member, &mut left);
        (member, left.as_octets().to_vec())
    });
    each.collect()
}

/// The process at this end ends in order, and the next one goes on where it was, with links as they are.
fn hand_over(pair: &mut Pair, side: usize, params: &LacpParams) {
    let count = u16::try_from(MEMBERS).unwrap();
    let mut next = Aggregator::new(params, &members(count));
    let left = left(&pair.sides[side]);
    (0..MEMBERS).for_each(|member| next.set_enabled(member, pair.up[member], pair.now));
    assert_eq!(next.resume(&left, pair.now), MEMBERS, "seed {}", pair.seed);
    pair.sides[side] = next;
}

/// §6.4: whatever state it is in, a LAG that is handed over every second does all that one does that is not, at the same time, and
/// says it in the same LACPDUs.
#[test]
fn a_partner_cannot_tell_that_a_lag_was_handed_over() {
    for seed in 0..60 {
        let mut played = [false, true].map(|restarts| {
            let mut rng = Rng::new(seed);
            let params = LacpParams { short_timeout: rng.below(2) == 0, ..ACTIVE_FAST };
            let mut pair = Pair::new(seed, &params, &theirs(params));
            pair.loss = rng.below(30);
            for _ in 0..40 {
                let member = usize::try_from(rng.below(3)).unwrap();
                match rng.below(4) {
                    0 => pair.set_link(member, !pair.up[member]),
                    1 => pair.sides[0].set_standby(member, rng.below(2) == 0, pair.now),
                    _ => {}
                }
                pair.carry();
                if restarts {
                    hand_over(&mut pair, 0, &params);
                }
                pair.run_for(ms(1 + rng.below(2000)));
            }
            (pair.spoke, pair.heard, pair.sides.map(|side| (side.collecting(), side.distributing())))
        });
        let [never, often] = &mut played;
        assert_eq!(never, often, "seed {seed}");
    }
}

#[test]
fn who_has_other_identifiers_or_was_cut_short_begins_anew() {
    let mut pair = Pair::new(1, &ACTIVE_FAST, &theirs(ACTIVE_FAST));
    (0..MEMBERS).for_each(|member| pair.set_link(member, true));
    pair.run_for(ms(20));
    let (whole, now) = (left(&pair.sides[0]), pair.now);
    for cut in 0..whole[0].1.len() {
        let mut next = enabled(&ACTIVE_FAST, 3, now);
        let resumed = next.resume(&[(0, whole[0].1[..cut].to_vec())], now);
        assert_eq!((resumed, next.distributing()), (0, 0), "{cut}");
    }
    for params in [LacpParams { key: 8, ..ACTIVE_FAST }, LacpParams { system_priority: 1, ..ACTIVE_FAST }] {
        let mut next = enabled(&params, 3, now);
        assert_eq!((next.resume(&whole, now), next.distributing()), (0, 0), "{params:?}");
    }
    let mut next = enabled(&ACTIVE_FAST, 3, now);
    assert_eq!((next.resume(&whole, now), next.distributing()), (3, 7));
    assert!(drain(&mut next, now).is_empty(), "and it has nothing to say");
    let slow = LacpParams { short_timeout: false, ..ACTIVE_FAST };
    let mut next = enabled(&slow, 3, at(1020));
    assert_eq!((next.resume(&whole, at(1020)), next.distributing()), (3, 7));
    let told = drain(&mut next, at(1020));
    assert!(told.len() == 3 && !told[0].1.actor.state.has(PortState::TIMEOUT), "another pace is told");
    let mut cut = enabled(&ACTIVE_FAST, 3, now);
    cut.set_enabled(1, false, now);
    assert_eq!((cut.resume(&whole, now), cut.distributing()), (3, 5), "a link that went meanwhile");
}
