//! The table against its plain definition, under random operations.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and counts small numbers"
)]

use bgp::{
    Asn, Family, PeerId,
    decision::{Candidate, DecisionRules, Outcome, PeerFacts, decide},
    rib::{Path, Rib},
    wire::{
        as_path::AsPath,
        attributes::{Attributes, NextHop},
    },
};
use net::{IpNet, Ipv4Net};
use proptest::{collection::vec, prelude::*};
use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

const PEERS: u16 = 5;

#[derive(Clone, Debug)]
enum Op {
    Insert { prefix: u8, peer: u16, med: u32, hops: usize, refused: bool },
    Remove { prefix: u8, peer: u16 },
    Sweep { peer: u16 },
    Reimport { peer: u16, refuse_med: u32 },
}

fn op() -> impl Strategy<Value = Op> {
    let peer = 1..=PEERS;
    prop_oneof![
        6 => (0..6_u8, peer.clone(), 0..3_u32, 1..3_usize, prop::bool::weighted(0.2))
            .prop_map(|(prefix, peer, med, hops, refused)| Op::Insert { prefix, peer, med, hops, refused }),
        3 => (0..6_u8, peer.clone()).prop_map(|(prefix, peer)| Op::Remove { prefix, peer }),
        1 => peer.clone().prop_map(|peer| Op::Sweep { peer }),
        1 => (peer, 0..3_u32).prop_map(|(peer, refuse_med)| Op::Reimport { peer, refuse_med }),
    ]
}

fn net(n: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new(Ipv4Addr::new(10, n, 0, 0), 16).unwrap())
}

fn facts(peer: u16) -> PeerFacts {
    let address = Ipv4Addr::from(0x0a00_0000 + u32::from(peer)).into();
    PeerFacts { internal: peer == 5, router_id: 100 - u32::from(peer), address, asn: Asn(65001) }
}

fn attributes(peer: u16, med: u32, hops: usize) -> Attributes {
    let mut attributes = Attributes::local(NextHop::V4(Ipv4Addr::new(10, 0, 0, 1)));
    // Peers 1 and 2 are of one AS, 3 to 5 of another.
    let neighbor = if peer < 3 { 65001 } else { 65002 };
    attributes.as_path = AsPath::sequence(&vec![Asn(neighbor); hops]);
    attributes.med = Some(med);
    attributes
}

type Plain = BTreeMap<IpNet, BTreeMap<PeerId, (Attributes, bool)>>;

/// Who is used for a prefix, best first, by looking at everything.
fn plain_choice(plain: &Plain, prefix: &IpNet, rules: &DecisionRules) -> Vec<(PeerId, Attributes)> {
    let Some(paths) = plain.get(prefix) else { return Vec::new() };
    let usable: Vec<_> = paths.iter().filter(|(_, (_, accepted))| *accepted).collect();
    let candidates: Vec<_> = usable
        .iter()
        .map(|(peer, (attributes, _))| Candidate { peer: **peer, attributes, facts: facts(peer.0) })
        .collect();
    let outcomes = decide(&candidates, rules);
    let pick = |wanted: fn(&Outcome) -> bool| {
        let chosen = candidates.iter().zip(&outcomes).filter(move |(_, outcome)| wanted(outcome));
        chosen.map(|(one, _)| (one.peer, one.attributes.clone())).collect::<Vec<_>>()
    };
    let best = pick(|outcome| *outcome == Outcome::Best);
    [best, pick(|outcome| matches!(outcome, Outcome::Multipath(_)))].concat()
}

fn used(rib: &Rib, prefix: &IpNet) -> Vec<(PeerId, Attributes)> {
    let paths = rib.get(prefix).map(|destination| destination.in_use()).unwrap_or_default();
    paths.iter().map(|path| (path.peer, Attributes::clone(path.accepted.as_ref().unwrap()))).collect()
}

fn apply(rib: &mut Rib, plain: &mut Plain, op: &Op) -> Vec<IpNet> {
    match *op {
        Op::Insert { prefix, peer, med, hops, refused } => {
            let value = attributes(peer, med, hops);
            plain.entry(net(prefix)).or_default().insert(PeerId(peer), (value.clone(), !refused));
            let received = rib.intern(value);
            let accepted = (!refused).then(|| Arc::clone(&received));
            let path = Path { received, accepted, since: 0, peer: PeerId(peer), epoch: 0 };
            let effect = rib.insert(net(prefix), path);
            if effect.changed { vec![net(prefix)] } else { vec![] }
        }
        Op::Remove { prefix, peer } => {
            let known = plain.entry(net(prefix)).or_default().remove(&PeerId(peer)).is_some();
            let effect = rib.remove(&net(prefix), PeerId(peer));
            assert_eq!(effect.added, -i8::from(known));
            if effect.changed { vec![net(prefix)] } else { vec![] }
        }
        Op::Sweep { peer } => {
            plain.values_mut().for_each(|paths| drop(paths.remove(&PeerId(peer))));
            let swept = rib.sweep(Family::Ipv4, PeerId(peer), |_| true);
            swept.into_iter().filter(|(_, changed)| *changed).map(|(prefix, _)| prefix).collect()
        }
        Op::Reimport { peer, refuse_med } => {
            for paths in plain.values_mut() {
                if let Some((value, accepted)) = paths.get_mut(&PeerId(peer)) {
                    *accepted = value.med != Some(refuse_med);
                }
            }
            rib.reimport(Family::Ipv4, PeerId(peer), |_, path, _| {
                (path.received.med != Some(refuse_med)).then(|| Arc::clone(&path.received))
            })
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_is_what_its_definition_says_after_every_operation(
        ops in vec(op(), 1..60),
        max_paths in 1..4_u8,
    ) {
        let rules = DecisionRules { max_paths, ..DecisionRules::default() };
        let mut rib = Rib::new(rules);
        (1..=PEERS).for_each(|peer| rib.know(PeerId(peer), facts(peer)));
        let mut plain = Plain::new();
        for op in &ops {
            let before: Vec<_> = (0..6).map(|n| used(&rib, &net(n))).collect();
            let changed = apply(&mut rib, &mut plain, op);
            for (n, before) in (0..6).zip(before) {
                let after = used(&rib, &net(n));
                prop_assert_eq!(&after, &plain_choice(&plain, &net(n), &rules), "{:?} after {:?}", net(n), op);
                // What changed is told, and what did not is not.
                prop_assert_eq!(changed.contains(&net(n)), before != after, "{:?} after {:?}", net(n), op);
            }
            let known = plain.values().filter(|paths| !paths.is_empty()).count();
            prop_assert_eq!(rib.len(Family::Ipv4), known);
            for peer in (1..=PEERS).map(PeerId) {
                let accepts = |paths: &&BTreeMap<PeerId, (Attributes, bool)>| {
                    paths.get(&peer).is_some_and(|(_, accepted)| *accepted)
                };
                let accepted = plain.values().filter(accepts).count();
                prop_assert_eq!(rib.accepted(peer, Family::Ipv4) as usize, accepted, "{} after {:?}", peer, op);
            }
        }
    }
}
