//! The replay window against plain definitions: the standard's two numbers, and a set of what was seen.

use std::collections::BTreeSet;

use macsec::{
    aead::{IcvValid, OpenJob},
    replay::{MAX_STRICT_WINDOW, ReplayWindow},
};
use proptest::prelude::*;

/// What a backend would say of a frame that is right.
fn proof() -> IcvValid {
    let (nonce, icv) = ([0; 12], [0; 16]);
    OpenJob { nonce, aad: &[], text: &mut [], icv: &icv, valid: true }.proof().unwrap()
}

/// 802.1AE-2018 §10.6, literally: numbers in 128 bits, so that 2^64 is one of them.
struct Plain {
    next: u128,
    lowest: u128,
    width: u128,
    seen: Option<BTreeSet<u128>>,
}

impl Plain {
    fn new(lowest: u64, width: u32, strict: bool) -> Self {
        let lowest = u128::from(lowest);
        Self { next: lowest, lowest, width: u128::from(width), seen: strict.then(BTreeSet::new) }
    }

    fn refuses(&self, pn: u64) -> bool {
        let pn = u128::from(pn);
        pn < self.lowest || self.seen.as_ref().is_some_and(|seen| seen.contains(&pn))
    }

    fn accept(&mut self, pn: u64) {
        let pn = u128::from(pn);
        if let Some(seen) = &mut self.seen {
            seen.insert(pn);
        }
        self.next = self.next.max(pn + 1);
        self.lowest = self.lowest.max(self.next.saturating_sub(self.width));
    }

    fn raise_lowest(&mut self, pn: u64) {
        self.lowest = self.lowest.max(u128::from(pn));
        self.next = self.next.max(self.lowest);
    }
}

/// A number near the window: below, inside, above, far above.
#[derive(Clone, Debug)]
enum Step {
    Behind(u64),
    Ahead(u64),
    RaiseLowest(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..200u64).prop_map(Step::Behind),
        6 => (0..8u64).prop_map(Step::Ahead),
        1 => (0..100_000u64).prop_map(Step::Ahead),
        1 => any::<u64>().prop_map(Step::Ahead),
        1 => (0..300u64).prop_map(Step::RaiseLowest),
    ];
    prop::collection::vec(step, 1..200)
}

fn agrees(lowest: u64, width: u32, strict: bool, steps: Vec<Step>) {
    let mut window = ReplayWindow::new(lowest, width, strict);
    let mut plain = Plain::new(lowest, width, strict);
    for step in steps {
        let next = u64::try_from(plain.next).unwrap_or(u64::MAX);
        let pn = match step {
            Step::Behind(by) => next.saturating_sub(by).max(1),
            Step::Ahead(by) => next.saturating_add(by),
            Step::RaiseLowest(by) => {
                let pn = next.saturating_sub(150).saturating_add(by);
                window.raise_lowest(pn);
                plain.raise_lowest(pn);
                continue;
            }
        };
        assert_eq!(window.refuses(pn), plain.refuses(pn), "{pn:#x} from {lowest:#x} window {width}");
        if !plain.refuses(pn) {
            window.accept(pn, proof());
            plain.accept(pn);
        }
        assert_eq!(u128::from(window.next_pn()), plain.next.min(u64::MAX.into()));
        assert_eq!(u128::from(window.lowest_pn()), plain.lowest.min(u64::MAX.into()));
    }
}

fn lowest() -> impl Strategy<Value = u64> {
    prop_oneof![1..1000u64, Just(0xffff_ff80), (1..1000u64).prop_map(|n| u64::MAX - n)]
}

proptest! {
    #[test]
    fn the_window_is_the_standards(lowest in lowest(), width in prop_oneof![0..200u32, any::<u32>()], steps in steps()) {
        agrees(lowest, width, false, steps);
    }

    #[test]
    fn the_strict_window_also_refuses_what_it_has_seen(
        lowest in lowest(), width in prop_oneof![0..200u32, 0..=MAX_STRICT_WINDOW], steps in steps()
    ) {
        agrees(lowest, width, true, steps);
    }
}

#[test]
fn window_edges_are_exact() {
    for width in [0, 1, 31, 32, 63, 64, 65, 127, 128, 129, 1000] {
        for strict in [false, true] {
            let mut window = ReplayWindow::new(1, width, strict);
            window.accept(5000, proof());
            assert_eq!(window.lowest_pn(), 5001 - u64::from(width));
            let lowest = window.lowest_pn();
            assert!(window.refuses(lowest - 1));
            assert_eq!(window.refuses(lowest), strict && width == 1, "{width} {strict}");
            assert_eq!(window.refuses(5000), strict || width == 0);
        }
    }
}

// §10.6: 0 stands for 2^64, which is not delayed.
#[test]
fn a_packet_number_of_0_is_not_delayed() {
    let window = ReplayWindow::new(100, 0, false);
    assert!(window.delays(99) && !window.delays(100) && !window.delays(0));
}
