//! RFC 7606 as a table: one broken attribute a line, and what becomes of the routes.

use super::{
    attributes::{Attributes, NextHop, Origin},
    community::Community,
    emit::{self, EmitContext, TooLarge},
    fault::{Fault, FaultKind, Reset, Treatment},
    header::{self, HEADER_LEN},
    update::{self, Announced, Update, UpdateContext},
};
use crate::types::{Asn, Family, PerFamily};
use net::IpNet;

const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xe9];
const HOP: &[u8] = &[0x40, 3, 4, 10, 0, 0, 1];
const NET: &[u8] = &[24, 203, 0, 113];
const V6_HOP: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

fn external() -> UpdateContext {
    UpdateContext {
        internal: false,
        four_octet_as: true,
        families: PerFamily::both(true),
        ipv4_over_ipv6: false,
        first_as: Some(Asn(65001)),
        accept_as_sets: false,
        discard: Vec::new(),
    }
}

fn internal() -> UpdateContext {
    UpdateContext { internal: true, first_as: None, ..external() }
}

fn body(withdrawn: &[u8], attributes: &[&[u8]], nlri: &[u8]) -> Vec<u8> {
    let list = attributes.concat();
    let mut out = u16::try_from(withdrawn.len()).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(withdrawn);
    out.extend_from_slice(&u16::try_from(list.len()).unwrap().to_be_bytes());
    out.extend_from_slice(&list);
    out.extend_from_slice(nlri);
    out
}

fn read(attributes: &[&[u8]], nlri: &[u8], context: &UpdateContext) -> Result<Update, Reset> {
    update::parse(&body(&[], attributes, nlri), context)
}

fn attribute(flags: u8, kind: u8, value: &[u8]) -> Vec<u8> {
    [&[flags | 0x10, kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

fn reach(family: [u8; 3], hop: &[u8], nlri: &[u8]) -> Vec<u8> {
    let hop_len = u8::try_from(hop.len()).unwrap();
    attribute(0x80, 14, &[&family[..], &[hop_len], hop, &[0], nlri].concat())
}

/// What became of a route with one more attribute: the worst treatment any fault got.
fn reaction(extra: &[u8], context: &UpdateContext) -> (Option<FaultKind>, Treatment) {
    match read(&[ORIGIN, PATH, HOP, extra], NET, context) {
        Err(reset) => (Some(reset.fault.kind), Treatment::ResetSession),
        Ok(update) => {
            let worst = update.faults.iter().max_by_key(|fault| fault.kind.treatment());
            let kind = worst.map(|fault| fault.kind);
            let treatment = kind.map_or(Treatment::Ignore, FaultKind::treatment);
            let withdrawn = matches!(update.announced, Announced::TreatAsWithdraw(_));
            assert_eq!(withdrawn, treatment == Treatment::TreatAsWithdraw, "{:?}", update.faults);
            (kind, treatment)
        }
    }
}

// RFC 7606 section 7 for external neighbours, and the RFCs that came with attributes of their own.
#[test]
fn external_attributes_are_treated_as_the_table_says() {
    use FaultKind as F;
    type Line = (&'static str, u8, u8, &'static [u8], Option<F>);
    #[rustfmt::skip]
    let table: &[Line] = &[
        ("LOCAL_PREF, any length",          0x40, 5, &[0; 3], Some(F::InternalOnly)),
        ("LOCAL_PREF, odd flags",           0xc0, 5, &[0; 4], Some(F::InternalOnly)),
        ("ORIGINATOR_ID",                   0x80, 9, &[1; 4], Some(F::InternalOnly)),
        ("CLUSTER_LIST",                    0x80, 10, &[1; 4], Some(F::InternalOnly)),
        ("MED",                             0x80, 4, &[0; 4], None),
        ("MED, short",                      0x80, 4, &[0; 3], Some(F::Length)),
        ("MED, transitive",                 0xc0, 4, &[0; 4], Some(F::Flags)),
        ("ATOMIC_AGGREGATE",                0x40, 6, &[], None),
        ("ATOMIC_AGGREGATE, long",          0x40, 6, &[1], Some(F::MinorLength)),
        ("ATOMIC_AGGREGATE, optional",      0xc0, 6, &[], Some(F::Flags)),
        ("AGGREGATOR",                      0xc0, 7, &[0, 0, 0, 1, 1, 1, 1, 1], None),
        ("AGGREGATOR, partial",             0xe0, 7, &[0, 0, 0, 1, 1, 1, 1, 1], None),
        ("AGGREGATOR, narrow",              0xc0, 7, &[0, 1, 1, 1, 1, 1], Some(F::MinorLength)),
        ("AGGREGATOR, AS 0",                0xc0, 7, &[0, 0, 0, 0, 1, 1, 1, 1], Some(F::AggregatorZero)),
        ("AGGREGATOR, nontransitive",       0x80, 7, &[0, 0, 0, 1, 1, 1, 1, 1], Some(F::Flags)),
        ("COMMUNITIES",                     0xc0, 8, &[0; 8], None),
        ("COMMUNITIES, empty",              0xc0, 8, &[], Some(F::Length)),
        ("COMMUNITIES, 6 octets",           0xc0, 8, &[0; 6], Some(F::Length)),
        ("COMMUNITIES, well-known",         0x40, 8, &[0; 4], Some(F::Flags)),
        ("EXTENDED_COMMUNITIES",            0xc0, 16, &[0; 16], None),
        ("EXTENDED_COMMUNITIES, 12 octets", 0xc0, 16, &[0; 12], Some(F::Length)),
        ("AS4_PATH",                        0xc0, 17, &[2, 1, 0, 0, 0, 1], Some(F::NotForThisSession)),
        ("AS4_AGGREGATOR",                  0xc0, 18, &[0; 8], Some(F::NotForThisSession)),
        ("PMSI_TUNNEL, passed on",          0xc0, 22, &[0; 5], None),
        ("TUNNEL_ENCAPSULATION, junk",      0xc0, 23, &[0, 1, 0xff, 0xff], None),
        ("AIGP, ignored",                   0x80, 26, &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 1], None),
        ("AIGP, transitive, ignored",       0xc0, 26, &[1, 0, 11], None),
        ("LARGE_COMMUNITY",                 0xc0, 32, &[0; 24], None),
        ("LARGE_COMMUNITY, empty",          0xc0, 32, &[], Some(F::Length)),
        ("LARGE_COMMUNITY, 16 octets",      0xc0, 32, &[0; 16], Some(F::Length)),
        ("LARGE_COMMUNITY, nontransitive",  0x80, 32, &[0; 12], Some(F::Flags)),
        ("OTC",                             0xc0, 35, &[0, 0, 0, 1], None),
        ("OTC, empty",                      0xc0, 35, &[], Some(F::Length)),
        ("OTC, nontransitive",              0x80, 35, &[0, 0, 0, 1], Some(F::Flags)),
        ("PREFIX_SID, junk",                0xc0, 40, &[1, 0, 0xff], None),
        ("ATTR_SET, junk",                  0xc0, 128, &[0, 0], None),
        ("unknown transitive",              0xc0, 250, &[1], None),
        ("unknown nontransitive",           0x80, 251, &[1], None),
        ("unknown well-known",              0x40, 252, &[1], Some(F::UnknownWellKnown)),
        ("reserved type 255, well-known",   0x00, 255, &[], Some(F::UnknownWellKnown)),
        ("ORIGIN again",                    0x40, 1, &[2], Some(F::Duplicate)),
        ("ORIGIN again, malformed",         0xc0, 1, &[9, 9], Some(F::Duplicate)),
        ("MP_UNREACH, cut short",           0x80, 15, &[0, 2, 1, 64, 0x20], Some(F::Multiprotocol)),
        ("MP_UNREACH, two octets",          0x80, 15, &[0, 2], Some(F::Multiprotocol)),
        ("MP_UNREACH, flags",               0xc0, 15, &[0, 2, 1], Some(F::Flags)),
        ("MP_UNREACH, VPNv4",               0x80, 15, &[0, 1, 128, 0xff], Some(F::FamilyNotAgreed)),
        ("MP_REACH, empty",                 0x80, 14, &[], Some(F::Multiprotocol)),
        ("MP_REACH, family unknown",        0x80, 14, &[0x40, 4, 85, 4, 1, 2, 3, 4, 0, 99], Some(F::FamilyNotAgreed)),
    ];
    for (name, flags, kind, value, expected) in table {
        let got = reaction(&attribute(*flags, *kind, value), &external());
        let treatment = expected.map_or(Treatment::Ignore, FaultKind::treatment);
        assert_eq!(got, (*expected, treatment), "{name}");
    }
}

// RFC 7606 sections 7.5, 7.9, 7.10: inside the AS these attributes count, and are held to their lengths.
#[test]
fn internal_attributes_are_held_to_their_lengths() {
    use FaultKind as F;
    #[rustfmt::skip]
    let table: &[(u8, u8, &[u8], Option<F>)] = &[
        (0x40, 5, &[0; 4], None),
        (0x40, 5, &[0; 3], Some(F::Length)),
        (0xc0, 5, &[0; 4], Some(F::Flags)),
        (0x80, 9, &[1; 4], None),
        (0x80, 9, &[1; 5], Some(F::Length)),
        (0x80, 10, &[1; 8], None),
        (0x80, 10, &[], Some(F::Length)),
        (0x80, 10, &[1; 6], Some(F::Length)),
    ];
    for (flags, kind, value, expected) in table {
        let got = reaction(&attribute(*flags, *kind, value), &internal());
        assert_eq!(got.0, *expected, "{kind} {value:?}");
    }
    let empty_path = read(&[ORIGIN, &[0x40, 2, 0], HOP], NET, &internal()).unwrap();
    assert!(matches!(empty_path.announced, Announced::Routes(groups) if groups.len() == 1));
}

// RFC 7606 sections 5.3 and 7.11: every next hop length for every family we can agree on.
#[test]
fn multiprotocol_next_hops_fit_their_family_or_reset() {
    let local = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let both = [V6_HOP, local].concat();
    let v4_over_v6 = UpdateContext { ipv4_over_ipv6: true, ..external() };
    let (v6_net, v4_net): (&[u8], &[u8]) = (&[32, 0x20, 1, 0x0d, 0xb8], &[8, 10]);
    for len in 0..=48_usize {
        let hop: Vec<u8> = both.iter().chain(&local).copied().take(len).collect();
        let ok = |family: [u8; 3], nlri: &[u8], context: &UpdateContext| {
            read(&[&reach(family, &hop, nlri), ORIGIN, PATH], &[], context).is_ok()
        };
        assert_eq!(ok([0, 2, 1], v6_net, &external()), matches!(len, 16 | 32), "IPv6, {len}");
        assert_eq!(ok([0, 1, 1], v4_net, &external()), len == 4, "IPv4, {len}");
        // RFC 8950.
        assert_eq!(ok([0, 1, 1], v4_net, &v4_over_v6), matches!(len, 4 | 16 | 32), "IPv4 over IPv6, {len}");
    }
}

fn next_hop_of(hop: &[u8]) -> Result<NextHop, Vec<FaultKind>> {
    let update = read(&[&reach([0, 2, 1], hop, &[0]), ORIGIN, PATH], &[], &external()).unwrap();
    match update.announced {
        Announced::Routes(groups) => Ok(groups[0].attributes.next_hop),
        Announced::TreatAsWithdraw(_) => Err(update.faults.iter().map(|fault| fault.kind).collect()),
    }
}

// RFC 2545 section 3.
#[test]
fn a_link_local_next_hop_is_kept_beside_the_global_one_or_instead_of_it() {
    let local: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let (global_address, local_address) = (V6_HOP.into(), local.into());
    let both = NextHop::V6 { global: global_address, link_local: Some(local_address) };
    let only_local = NextHop::V6 { global: local_address, link_local: None };
    assert_eq!(next_hop_of(&[V6_HOP, local].concat()), Ok(both));
    assert_eq!(next_hop_of(&[[0; 16], local].concat()), Ok(only_local));
    assert_eq!(next_hop_of(&[local, local].concat()), Ok(only_local));
    assert_eq!(next_hop_of(&local), Ok(only_local));
    let global_only = NextHop::V6 { global: global_address, link_local: None };
    assert_eq!(next_hop_of(&[V6_HOP, [0; 16]].concat()), Ok(global_only));
    let mut mapped = [0; 16];
    mapped[10..].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 1]);
    let mut loopback = [0; 16];
    loopback[15] = 1;
    for bad in [[0; 16], loopback, mapped] {
        assert_eq!(next_hop_of(&bad), Err(vec![FaultKind::NextHop]));
    }
}

// RFC 7606 section 5.2.
#[test]
fn a_fault_in_a_message_without_reachable_prefixes_resets() {
    let bad_med = attribute(0x80, 4, &[0; 3]);
    let reset = read(&[ORIGIN, PATH, &bad_med], &[], &external()).unwrap_err();
    assert_eq!(reset.notification.cause.codes(), (3, 5));
    // A discarded attribute is not enough for that.
    assert!(read(&[ORIGIN, PATH, &attribute(0x40, 6, &[1])], &[], &external()).is_ok());
    // A lone MP_UNREACH_NLRI with wrong flags withdraws what it names.
    let unreach = attribute(0xc0, 15, &[0, 2, 1, 0]);
    let update = read(&[&unreach], &[], &external()).unwrap();
    assert_eq!(update.withdrawn, ["::/0".parse::<IpNet>().unwrap()]);
    // With unreadable octets behind it, it may hide anything.
    assert!(read(&[&attribute(0x80, 15, &[0, 2, 1, 0]), &[0x40]], &[], &external()).is_err());
}

// RFC 7606 section 3 h and j.
// RFC 7606 sections 4 and 5.3: what an attribute that is cut short held is lost. Prefixes must not be lost.
#[test]
fn an_attribute_that_is_cut_short_costs_the_routes_and_a_multiprotocol_one_the_session() {
    let cut = |kind: u8| read(&[ORIGIN, PATH, HOP, &[0x80, kind, 200, 0, 2, 1]], NET, &external());
    for kind in [4, 9, 200] {
        let update = cut(kind).unwrap();
        assert!(matches!(update.announced, Announced::TreatAsWithdraw(lost) if lost.len() == 1), "{kind}");
    }
    for kind in [14, 15] {
        let reset = cut(kind).unwrap_err();
        assert_eq!((reset.fault.kind, reset.fault.attribute), (FaultKind::Multiprotocol, Some(kind)));
    }
}

#[test]
fn all_prefixes_of_a_broken_update_are_withdrawn() {
    let v6 = reach([0, 2, 1], &V6_HOP, &[32, 0x20, 1, 0x0d, 0xb8]);
    let update = read(&[&v6, PATH, HOP, &attribute(0x40, 6, &[1])], NET, &external()).unwrap();
    let expected: Vec<IpNet> = ["203.0.113.0/24", "2001:db8::/32"].map(|net| net.parse().unwrap()).to_vec();
    assert_eq!(update.announced, Announced::TreatAsWithdraw(expected));
    let kinds: Vec<_> = update.faults.iter().map(|fault| fault.kind).collect();
    assert_eq!(kinds, [FaultKind::MinorLength, FaultKind::Missing]);
}

#[test]
fn classic_and_multiprotocol_prefixes_keep_their_own_next_hops() {
    let v6 = reach([0, 2, 1], &V6_HOP, &[32, 0x20, 1, 0x0d, 0xb8]);
    let update = read(&[&v6, ORIGIN, PATH, HOP], NET, &external()).unwrap();
    let Announced::Routes(groups) = update.announced else { panic!("withdrawn") };
    let hops: Vec<_> = groups.iter().map(|group| group.attributes.next_hop.to_string()).collect();
    assert_eq!(hops, ["10.0.0.1", "2001:db8::1"]);
}

// RFC 4724 section 2.
#[test]
fn end_of_rib_is_an_empty_update_of_its_family() {
    let plain = external();
    for family in Family::ALL {
        let octets = emit::end_of_rib(family);
        let update = update::parse(&octets[HEADER_LEN..], &plain).unwrap();
        assert_eq!(update.end_of_rib, Some(family));
    }
    assert_eq!(read(&[ORIGIN, PATH, HOP], NET, &plain).unwrap().end_of_rib, None);
    assert_eq!(read(&[ORIGIN, PATH, HOP], &[], &plain).unwrap().end_of_rib, None);
    assert_eq!(update::parse(&body(&[0], &[], &[]), &plain).unwrap().end_of_rib, None);
}

// RFC 4760 section 8: without IPv4 unicast agreed on, classic fields carry nothing.
#[test]
fn classic_prefixes_need_ipv4_to_be_agreed_on() {
    let v6_only = UpdateContext { families: PerFamily { ipv4: false, ipv6: true }, ..external() };
    let update = update::parse(&body(NET, &[ORIGIN, PATH, HOP], NET), &v6_only).unwrap();
    assert_eq!((update.withdrawn, update.announced), (vec![], Announced::Routes(vec![])));
    assert_eq!(update.faults[0].kind, FaultKind::FamilyNotAgreed);
}

// RFC 4271 section 6.3, RFC 9774 section 3.
#[test]
fn the_path_must_start_with_the_neighbour_and_hold_no_set() {
    let foreign: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xea];
    let set: &[u8] = &[0x40, 2, 12, 2, 1, 0, 0, 0xfd, 0xe9, 1, 1, 0, 0, 0, 1];
    for (path, kind) in
        [(foreign, FaultKind::FirstAs), (&[0x40, 2, 0], FaultKind::FirstAs), (set, FaultKind::AsSet)]
    {
        let update = read(&[ORIGIN, path, HOP], NET, &external()).unwrap();
        assert_eq!(update.faults.iter().map(|fault| fault.kind).collect::<Vec<_>>(), [kind]);
    }
    let lax = UpdateContext { first_as: None, accept_as_sets: true, ..external() };
    for path in [foreign, set] {
        assert_eq!(read(&[ORIGIN, path, HOP], NET, &lax).unwrap().faults, []);
    }
}

// RFC 6793 sections 4.2.2 and 4.2.3.
#[test]
fn wide_numbers_survive_a_narrow_session() {
    let narrow = UpdateContext { four_octet_as: false, first_as: None, ..external() };
    let mut route = Attributes::local(NextHop::V4([10, 0, 0, 1].into()));
    route.as_path = super::as_path::AsPath::sequence(&[Asn(65001), Asn(4_200_000_000)]);
    route.change_rare(|rare| {
        let address = [10, 0, 0, 1].into();
        rare.aggregator = Some(super::attributes::Aggregator { asn: Asn(4_200_000_000), address });
    });
    let context = EmitContext { four_octet_as: false, max_len: header::MAX_LEN };
    let prefixes = ["203.0.113.0/24".parse().unwrap()];
    let messages = emit::announce(Family::Ipv4, &route, &prefixes, context).unwrap();
    let update = update::parse(&messages[0][HEADER_LEN..], &narrow).unwrap();
    let Announced::Routes(groups) = update.announced else { panic!("{:?}", update.faults) };
    assert_eq!(groups[0].attributes, route);
    // An old speaker that aggregated on the way makes both AS4 attributes stale.
    let again = [0xc0, 7, 6, 0, 7, 9, 9, 9, 9];
    let as4 = [0xc0, 17, 6, 2, 1, 0, 1, 0, 0];
    let update = read(&[ORIGIN, &[0x40, 2, 4, 2, 1, 0x5b, 0xa0], HOP, &again, &as4], NET, &narrow).unwrap();
    let Announced::Routes(groups) = update.announced else { panic!("{:?}", update.faults) };
    assert_eq!(groups[0].attributes.as_path.to_string(), "23456");
}

// RFC 6793 section 6: a malformed AS4_PATH is dropped and the path stays as it was.
#[test]
fn a_malformed_as4_path_costs_nothing_but_itself() {
    let narrow = UpdateContext { four_octet_as: false, ..external() };
    for as4 in [&[2, 2, 0, 0, 0, 1][..], &[9], &[2, 1, 0, 0, 0, 0]] {
        let path = [0x40, 2, 4, 2, 1, 0xfd, 0xe9];
        let update = read(&[ORIGIN, &path, HOP, &attribute(0xc0, 17, as4)], NET, &narrow).unwrap();
        assert_eq!(update.faults[0].kind, FaultKind::MinorLength);
        assert!(matches!(update.announced, Announced::Routes(groups) if groups.len() == 1));
    }
}

// RFC 9774 section 3: a set is as unwanted in AS4_PATH as in AS_PATH.
#[test]
fn a_set_in_as4_path_withdraws_unless_it_is_taken() {
    let strict = UpdateContext { four_octet_as: false, ..external() };
    let lax = UpdateContext { accept_as_sets: true, ..strict.clone() };
    for kind in [1, 4] {
        let path = [0x40, 2, 4, 2, 1, 0xfd, 0xe9];
        let as4 = attribute(0xc0, 17, &[2, 1, 0, 0, 0xfd, 0xe9, kind, 1, 0, 1, 0, 0]);
        let update = read(&[ORIGIN, &path, HOP, &as4], NET, &strict).unwrap();
        assert_eq!(update.faults, [Fault::new(FaultKind::AsSet, 17)]);
        assert!(matches!(update.announced, Announced::TreatAsWithdraw(lost) if lost.len() == 1));
        assert_eq!(read(&[ORIGIN, &path, HOP, &as4], NET, &lax).unwrap().faults, []);
    }
}

#[test]
fn unwanted_attributes_are_dropped_but_never_the_needed_ones() {
    let context = UpdateContext { discard: vec![1, 3, 8, 14, 250], ..external() };
    let update =
        read(&[ORIGIN, PATH, HOP, &attribute(0xc0, 8, &[0; 4]), &attribute(0x40, 250, &[])], NET, &context)
            .unwrap();
    assert_eq!(update.faults.iter().map(|fault| fault.kind).collect::<Vec<_>>(), [FaultKind::Unwanted; 2]);
    let Announced::Routes(groups) = update.announced else { panic!("withdrawn") };
    assert_eq!((groups.len(), groups[0].attributes.communities.len()), (1, 0));
}

#[test]
fn many_prefixes_are_cut_into_messages_that_are_full_but_not_too_long() {
    let mut route = Attributes::local(NextHop::V4([10, 0, 0, 1].into()));
    route.origin = Origin::Incomplete;
    let prefixes: Vec<IpNet> = (0..5000_u32)
        .map(|n| IpNet::new(std::net::Ipv4Addr::from(0x0a00_0000 + (n << 8)).into(), 24).unwrap())
        .collect();
    let context = EmitContext { four_octet_as: true, max_len: header::MAX_LEN };
    let messages = emit::announce(Family::Ipv4, &route, &prefixes, context).unwrap();
    assert_eq!(messages.len(), 5);
    assert!(messages.iter().all(|message| message.len() <= header::MAX_LEN));
    let withdrawals = emit::withdraw(Family::Ipv4, &prefixes, context);
    let mut seen = Vec::new();
    for message in &withdrawals {
        assert!(message.len() <= header::MAX_LEN);
        seen.extend(update::parse(&message[HEADER_LEN..], &internal()).unwrap().withdrawn);
    }
    assert_eq!(seen, prefixes);
}

#[test]
fn attributes_that_leave_no_room_are_refused_and_not_sent_in_pieces() {
    let mut route = Attributes::local(NextHop::V4([10, 0, 0, 1].into()));
    route.communities = (0..1020).map(Community).collect();
    let context = EmitContext { four_octet_as: true, max_len: header::MAX_LEN };
    let net = ["203.0.113.0/24".parse().unwrap()];
    assert_eq!(emit::announce(Family::Ipv4, &route, &net, context), Err(TooLarge));
    let wide = EmitContext { max_len: header::MAX_LEN_EXTENDED, ..context };
    assert_eq!(emit::announce(Family::Ipv4, &route, &net, wide).unwrap().len(), 1);
}

// RFC 4271 section 5: the Partial bit of what is passed on is never taken back, and never set for others.
#[test]
fn the_partial_bit_of_what_is_passed_on_stays_as_it_was() {
    let values: [(u8, &[u8]); 5] = [
        (7, &[0, 0, 0, 1, 10, 0, 0, 1]),
        (8, &[0, 1, 0, 2]),
        (16, &[0, 2, 0, 1, 0, 0, 0, 1]),
        (32, &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]),
        (35, &[0, 0, 0xfd, 0xe9]),
    ];
    for partial in [0, 0x20] {
        for (kind, value) in values {
            // Beside one whose bit is the other way round.
            let (other, other_value) = if kind == 8 { values[3] } else { values[1] };
            let (mut mine, mut its) =
                (attribute(0xc0 | partial, kind, value), attribute(0xe0 & !partial, other, other_value));
            if other < kind {
                core::mem::swap(&mut mine, &mut its);
            }
            let update = read(&[ORIGIN, PATH, HOP, &mine, &its], NET, &external()).unwrap();
            let Announced::Routes(groups) = update.announced else { panic!("{:?}", update.faults) };
            let context = EmitContext { four_octet_as: true, max_len: header::MAX_LEN };
            let sent =
                emit::announce(Family::Ipv4, &groups[0].attributes, &groups[0].prefixes, context).unwrap();
            let has = |flags: u8, kind: u8, value: &[u8]| {
                let wanted = [&[flags, kind, u8::try_from(value.len()).unwrap()][..], value].concat();
                sent[0].windows(wanted.len()).any(|octets| octets == wanted)
            };
            assert!(has(0xc0 | partial, kind, value), "{kind} {partial}: {sent:x?}");
            assert!(has(0xe0 & !partial, other, other_value), "{other} beside {kind} {partial}: {sent:x?}");
        }
    }
}
