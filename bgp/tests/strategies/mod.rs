//! Random routes, as the codec can carry them.
#![allow(dead_code, reason = "not every test uses every part")]

use bgp::{
    Asn, Family, PerFamily,
    wire::{
        as_path::AsPath,
        attributes::{Aggregator, Attributes, NextHop, Origin, UnknownAttribute},
        community::{Community, ExtendedCommunity, LargeCommunity},
        update::UpdateContext,
    },
};
use net::IpNet;
use proptest::{collection::vec, option, prelude::*};
use std::net::{Ipv4Addr, Ipv6Addr};

/// An internal session on which everything was agreed.
pub(crate) fn context(four_octet_as: bool) -> UpdateContext {
    UpdateContext {
        internal: true,
        four_octet_as,
        families: PerFamily::both(true),
        ipv4_over_ipv6: true,
        first_as: None,
        accept_as_sets: true,
        discard: Vec::new(),
    }
}

fn as_path() -> impl Strategy<Value = AsPath> {
    vec(prop_oneof![1..70_000_u32, 4_200_000_000..4_200_000_009_u32], 0..300)
        .prop_map(|numbers| AsPath::sequence(&numbers.into_iter().map(Asn).collect::<Vec<_>>()))
}

fn next_hop(family: Family) -> BoxedStrategy<NextHop> {
    let v6 = (any::<u64>(), option::of(any::<u64>())).prop_map(|(global, local)| NextHop::V6 {
        global: Ipv6Addr::from((0x2001_0db8_u128 << 96) | u128::from(global)),
        link_local: local.map(|local| Ipv6Addr::from((0xfe80_u128 << 112) | u128::from(local))),
    });
    let v4 = any::<[u8; 3]>().prop_map(|[a, b, c]| NextHop::V4(Ipv4Addr::new(10, a, b, c)));
    match family {
        Family::Ipv4 => prop_oneof![v4, v6].boxed(),
        Family::Ipv6 => v6.boxed(),
    }
}

fn prefixes(family: Family) -> BoxedStrategy<Vec<IpNet>> {
    match family {
        Family::Ipv4 => vec((any::<u32>(), 0..=32_u8), 1..200)
            .prop_map(|all| {
                all.into_iter().map(|(bits, len)| net(Ipv4Addr::from(bits).into(), len)).collect()
            })
            .boxed(),
        Family::Ipv6 => vec((any::<u128>(), 0..=128_u8), 1..200)
            .prop_map(|all| {
                all.into_iter().map(|(bits, len)| net(Ipv6Addr::from(bits).into(), len)).collect()
            })
            .boxed(),
    }
}

pub(crate) fn net(address: std::net::IpAddr, len: u8) -> IpNet {
    IpNet::new(address, len).expect("a length in range").trunc()
}

prop_compose! {
    fn attributes(family: Family)(
        as_path in as_path(),
        next_hop in next_hop(family),
        origin in 0..3_u8,
        med in option::of(any::<u32>()),
        local_pref in option::of(any::<u32>()),
        atomic_aggregate in any::<bool>(),
        communities in vec(any::<u32>(), 0..20),
        aggregator in option::of((1..=u32::MAX, any::<u32>())),
        extended in vec(any::<[u8; 8]>(), 0..10),
        large in proptest::collection::btree_set(any::<(u32, u32, u32)>(), 0..10),
        otc in option::of(any::<u32>()),
        originator in option::of(any::<u32>()),
        clusters in vec(any::<u32>(), 0..5),
        unknown in proptest::collection::btree_map(19..=255_u8, vec(any::<u8>(), 0..300), 0..3),
    ) -> Attributes {
        let mut all = Attributes::local(next_hop);
        all.origin = Origin::from_code(origin).expect("0 to 2");
        all.as_path = as_path;
        all.med = med;
        all.local_pref = local_pref;
        all.atomic_aggregate = atomic_aggregate;
        all.communities = communities.into_iter().map(Community).collect();
        all.change_rare(|rare| {
            rare.aggregator = aggregator.map(|(asn, address)| Aggregator { asn: Asn(asn), address: address.into() });
            rare.originator = originator.map(Ipv4Addr::from);
            rare.clusters = clusters.into();
            rare.extended = extended.into_iter().map(ExtendedCommunity).collect();
            rare.large = large.into_iter().map(|(global, local1, local2)| LargeCommunity { global, local1, local2 }).collect();
            rare.otc = otc.map(Asn);
            // Types we know are not unknown, and AIGP (26) is never kept.
            rare.unknown = unknown.into_iter().filter(|(code, _)| !matches!(code, 26 | 32 | 35))
                .map(|(code, value)| UnknownAttribute { code, value: value.into() }).collect();
        });
        all
    }
}

pub(crate) fn routes() -> impl Strategy<Value = (Family, Attributes, Vec<IpNet>)> {
    prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)]
        .prop_flat_map(|family| (Just(family), attributes(family), prefixes(family)))
}
