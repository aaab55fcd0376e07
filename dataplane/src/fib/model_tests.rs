//! A table that is changed and changed again, against one that is built from scratch and against the plain definition.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    book::{Book, Prefix},
    edit::{Editor, Source},
    *,
};
use crate::flow::fold;

fn id(number: u32) -> NextHopId {
    NextHopId::new(number).unwrap()
}

/// The longest of all prefixes that cover the address; of two for one prefix the fixed one.
fn naive<N: Prefix>(learned: &BTreeMap<N, u32>, fixed: &BTreeMap<N, u32>, key: N::Key) -> Option<NextHopId> {
    let covers = |prefix: &N| {
        let span = build::Span::new(prefix.address(), prefix.len());
        span.first <= key && key <= span.last()
    };
    let all = learned.iter().chain(fixed).filter(|(prefix, _)| covers(prefix));
    // Of two of one length the later one.
    all.max_by_key(|(prefix, _)| prefix.len()).map(|(_, hop)| id(*hop))
}

/// Both ends of each prefix, and what is just outside.
fn edges<N: Prefix>(prefixes: &[N]) -> Vec<N::Key> {
    let one = |prefix: &N| {
        let span = build::Span::new(prefix.address(), prefix.len());
        [Some(span.first), Some(span.last()), span.last().next()]
    };
    prefixes.iter().flat_map(one).flatten().collect()
}

#[derive(Clone, Debug)]
enum Step<N> {
    Learn(N, u32),
    Forget(usize),
    Fix(N, u32),
    Renew,
}

fn steps<N: Prefix + 'static>(
    prefix: impl Strategy<Value = N> + Clone,
) -> impl Strategy<Value = Vec<Step<N>>> {
    let step = prop_oneof![
        12 => (prefix.clone(), 0_u32..4).prop_map(|(prefix, hop)| Step::Learn(prefix, hop)),
        8 => any::<usize>().prop_map(Step::Forget),
        1 => (prefix, 4_u32..6).prop_map(|(prefix, hop)| Step::Fix(prefix, hop)),
        5 => Just(Step::Renew),
    ];
    prop::collection::vec(step, 1..120)
}

/// Begins with `many` routes, so that a few steps are patches; holds every table against its own time until the end.
fn play<N: Prefix>(many: &[N], steps: &[Step<N>], keys: impl Fn(&[N]) -> Vec<N::Key>) {
    let mut book: Book<N> = Book::new();
    let (mut learned, mut fixed) = (BTreeMap::new(), BTreeMap::new());
    let mut kept = Vec::new();
    for prefix in many {
        book.learn(*prefix, Some(id(7)));
        learned.insert(*prefix, 7);
    }
    let mut touched = Vec::new();
    for step in steps.iter().chain([&Step::Renew]) {
        match step {
            Step::Learn(prefix, hop) => {
                let before = book.learn(*prefix, Some(id(*hop)));
                assert_eq!(before.map(NextHopId::get), learned.insert(*prefix, *hop));
                touched.push(*prefix);
            }
            Step::Forget(at) => {
                let Some(prefix) = learned.keys().nth(at % learned.len().max(1)).copied() else { continue };
                assert_eq!(book.learn(prefix, None).map(NextHopId::get), learned.remove(&prefix));
                touched.push(prefix);
            }
            Step::Fix(prefix, hop) => {
                book.fix(*prefix, Some(id(*hop)));
                fixed.insert(*prefix, *hop);
                touched.push(*prefix);
            }
            Step::Renew => {
                let fib = book.renew();
                let answers: Vec<_> = keys(&touched)
                    .into_iter()
                    .map(|key| {
                        let answer = fib.lookup(key);
                        assert_eq!(answer, naive(&learned, &fixed, key), "{key:x?} after {touched:?}");
                        (key, answer)
                    })
                    .collect();
                kept.push((fib, answers));
                // Some tables are given up early, so that their memory is used again.
                if kept.len() % 3 == 0 {
                    kept.remove(kept.len() / 2);
                }
            }
        }
    }
    for (fib, answers) in &kept {
        assert!(answers.iter().all(|(key, answer)| fib.lookup(*key) == *answer), "a table changed");
    }
    book.check_form();
}

impl<N: Prefix> Book<N> {
    /// Invariant 3: patched, the trie has what a fresh one has.
    fn check_form(&self) {
        let Some(editor) = self.editor() else { return };
        let (broad, others) = self.source().all().into_iter().partition(Route::is_broad);
        let fresh = Editor::build(&build::flatten(others), build::flatten(broad), editor.is_flat());
        assert_eq!(editor.live(), fresh.live(), "nodes, leaves, entries outside");
    }
}

fn crowded4() -> impl Strategy<Value = Ipv4Net> + Clone {
    let octet = prop_oneof![4 => Just(0_u8), 4 => Just(10), 1 => Just(255), 3 => any::<u8>()];
    (prop::array::uniform4(octet), 0_u8..=32)
        .prop_map(|(octets, len)| Ipv4Net::new_assert(octets.into(), len).trunc())
}

fn crowded6() -> impl Strategy<Value = Ipv6Net> + Clone {
    let octet = prop_oneof![8 => Just(0_u8), 1 => Just(255), 1 => any::<u8>()];
    (prop::array::uniform16(octet), 0_u8..=128)
        .prop_map(|(octets, len)| Ipv6Net::new_assert(octets.into(), len).trunc())
}

/// So many prefixes of middling length, all over 10.0.0.0/8 or fd00::/8.
fn many4(count: u32) -> Vec<Ipv4Net> {
    let net = |at: u32| Ipv4Net::new_assert((0x0a00_0000 | at << 9).into(), 24).trunc();
    (0..count).map(net).collect()
}

fn many6(count: u32) -> Vec<Ipv6Net> {
    let net = |at: u32| Ipv6Net::new_assert((0xfd_u128 << 120 | u128::from(at) << 78).into(), 56).trunc();
    (0..count).map(net).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn changed_tables_agree_with_the_definition_v4(
        many in prop_oneof![Just(0_u32), Just(6), Just(300), Just(509), Just(800)],
        steps in steps(crowded4()),
        strays in prop::collection::vec(any::<u32>(), 8),
    ) {
        play(&many4(many), &steps, |touched| edges(touched).into_iter().chain(strays.clone()).collect());
    }

    #[test]
    fn changed_tables_agree_with_the_definition_v6(
        many in prop_oneof![Just(0_u32), Just(6), Just(300), Just(509), Just(800)],
        steps in steps(crowded6()),
        strays in prop::collection::vec(any::<u128>(), 8),
    ) {
        play(&many6(many), &steps, |touched| edges(touched).into_iter().chain(strays.clone()).collect());
    }
}

/// Pseudo-random numbers that are the same in every run.
fn numbers() -> impl Iterator<Item = u64> {
    (1_u64..).map(|i| fold(i.wrapping_mul(0x9e37_79b9_7f4a_7c15), 0xd6e8_feb8_6659_fd93))
}

#[test]
fn a_large_table_that_churns_stays_what_a_fresh_one_is_and_does_not_grow() {
    let mut random = numbers();
    let mut prefix = || {
        let number = random.next().unwrap();
        let len = 14 + u8::try_from(number >> 59).unwrap() % 15;
        let address = Ipv4Addr::from_bits(u32::try_from(number & 0x3fff_ffff).unwrap());
        (Ipv4Net::new_assert(address, len).trunc(), u32::try_from(number >> 40 & 7).unwrap())
    };
    let mut book = Book::new();
    let mut there: Vec<Ipv4Net> = Vec::new();
    for _ in 0..40_000 {
        let (net, hop) = prefix();
        if book.learn(net, Some(id(hop))).is_none() {
            there.push(net);
        }
    }
    let mut fibs = vec![book.renew()];
    let begun = fibs[0].memory_octets();
    for round in 0..300_usize {
        for step in 0..20_usize {
            let at = (round * 7919 + step * 104_729) % there.len();
            let (net, hop) = prefix();
            book.learn(std::mem::replace(&mut there[at], net), None);
            if book.learn(net, Some(id(hop))).is_some() {
                there.swap_remove(at);
            }
        }
        fibs.push(book.renew());
        if fibs.len() > 4 {
            fibs.remove(0);
        }
    }
    book.check_form();
    let (fib, fresh) = (book.renew(), build(&book));
    for net in &there {
        for key in [net.network().to_bits(), net.broadcast().to_bits(), net.broadcast().to_bits() ^ 0x100] {
            assert_eq!(fib.lookup(key), fresh.lookup(key), "{net}");
        }
    }
    assert!(fib.memory_octets() < begun * 5 / 4, "{} octets, at first {begun}", fib.memory_octets());
}

fn build<N: Prefix>(book: &Book<N>) -> Fib<N::Key> {
    book::build(book.source().all())
}

#[test]
fn a_default_route_that_changes_leaves_the_tree_alone() {
    let mut book = Book::new();
    for net in many4(2000) {
        book.learn(net, Some(id(1)));
    }
    let default: Ipv4Net = "0.0.0.0/0".parse().unwrap();
    let trie = |book: &mut Book<Ipv4Net>| match book.renew() {
        Fib::Large(trie) => trie,
        Fib::Small(_) => panic!("2000 routes are many"),
    };
    let before = trie(&mut book);
    book.learn(default, Some(id(2)));
    let after = trie(&mut book);
    let stray = Ipv4Addr::new(9, 9, 9, 9).to_bits();
    assert_eq!((before.lookup(stray), after.lookup(stray)), (NONE, 2));
    assert!(Arc::ptr_eq(&before.roots, &after.roots));
    book.learn(default, None);
    assert_eq!(trie(&mut book).lookup(stray), NONE);
}
