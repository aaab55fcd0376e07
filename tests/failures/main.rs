//! Two gateways, four links, random failures, virtual time: links that go down, die in silence in one direction or both, lose
//! frames, or flap; planned work; gateways that start anew; all at once. Links differ in length in each direction.
//!
//! Both gateways are whole: MACsec, MKA, BFD at 50 ms x 3, path quality. Hosts send numbered datagrams all the time, each flow
//! with a length of its own, so the wires tell which channel carried what. After every datagram and at the end it must hold:
//!
//! 1. No loop: a datagram crosses once, with `duplicate` twice at most, and arrives at the other side only.
//! 2. No black hole: what was sent later than detection and switch after the last failure arrives, while any path lives; what is
//!    planned, and what is mended, loses nothing at all.
//! 3. Nothing arrives twice.
//! 4. Datagrams of a flow that one channel carries keep their order; with `ecmp` a flow changes its channel only when that
//!    one may not carry it any more, or another one is back.
//! 5. What is lossy is left while something better lives.
//! 6. No false alarm: nobody takes a sound channel out of use.
//!
//! `QUADSPAN_SEEDS=1000 cargo test -p scenarios --test failures` plays more, `QUADSPAN_SEED=17` that one.

mod oracle;
mod play;

use core::time::Duration;

use dataplane::{Protection, frer::RecoveryParams, protection::StandbyParams};
use play::{Mode, Play};
use world::Side::{self, Left, Right};

/// Histories of each mode by default, and how long each is.
const SEEDS: u64 = 2;
const LENGTH: Duration = Duration::from_secs(32);

#[test]
fn whatever_fails_no_datagram_is_lost_for_longer_than_detection_and_switch_nor_loops_nor_comes_twice() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let one = number("QUADSPAN_SEED");
    let seeds = one.map_or(0..number("QUADSPAN_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    for mode in [Mode::Ecmp, Mode::Standby, Mode::Duplicate] {
        let (mut judged, mut sent, mut longest) = (0, 0, Duration::ZERO);
        for seed in seeds.clone() {
            let verdict = history(mode, seed);
            judged += verdict.judged;
            sent += verdict.sent;
            longest = longest.max(verdict.longest);
        }
        println!(
            "{mode:?}: {sent} datagrams, {judged} had to arrive; at most {longest:?} after a failure one did not"
        );
        assert!(
            one.is_some() || judged * 2 > sent,
            "{mode:?}: most datagrams have to arrive, not {judged} of {sent}"
        );
        assert!(mode == Mode::Duplicate || one.is_some() || !longest.is_zero(), "failures were felt");
    }
}

fn history(mode: Mode, seed: u64) -> oracle::Verdict {
    let mut play = Play::begin(mode, seed);
    let end = play.now().after(LENGTH);
    while play.now() < end {
        play.misfortune();
        let time = play.dice().below(2500);
        play.run(Duration::from_millis(time));
    }
    play.end()
}

fn protection(mode: Mode) -> fn(Side, u8) -> Protection {
    match mode {
        Mode::Ecmp => |_, _| Protection::Ecmp,
        Mode::Standby => |side, channels| {
            let standby = StandbyParams {
                hold_down: Duration::from_millis(500),
                revert_delay: Some(Duration::from_millis(800)),
            };
            Protection::ActiveStandby { standby, preferences: preferences(side, channels) }
        },
        Mode::Duplicate => |side, channels| Protection::Duplicate {
            recovery: RecoveryParams::default(),
            preferences: preferences(side, channels),
        },
    }
}

/// The sides need not agree.
fn preferences(side: Side, channels: u8) -> Vec<u32> {
    let order = (0..u32::from(channels)).map(|at| 100 - at);
    match side {
        Left => order.collect(),
        Right => order.rev().collect(),
    }
}
