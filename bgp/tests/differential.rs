//! Our reading of UPDATEs beside that of two codecs that none of our own code had a hand in: `rustbgpd-wire`, which
//! decides after RFC 7606 as ours does, and `netgauze-bgp-pkt`, which reads and writes.
//!
//! The same octets must give the same routes with the same attributes, and damaged ones the same treatment. Where the
//! two differ and we keep our reading, [`argued`] says why, one reason for each.
//!
//! Each run reads the same cases: another codec's opinion of a message that nobody has thought of yet is news, and
//! news is not for whoever builds us. Other and more cases, to look for some:
//! `QUADSPAN_CASES=200000 cargo test --release -p bgp --test differential`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and counts small numbers"
)]

mod strategies;

use std::{
    collections::BTreeSet,
    env,
    net::{IpAddr, Ipv4Addr},
};

use bgp::{
    Family,
    wire::{
        attributes::{Attributes, NextHop},
        community::ExtendedCommunity,
        emit::{self, EmitContext},
        fault::{Fault, FaultKind, Treatment},
        header::{HEADER_LEN, MAX_LEN, MAX_LEN_EXTENDED},
        update::{self, Announced, Update, UpdateContext},
    },
};
use net::IpNet;
use netgauze_bgp_pkt::{BgpMessage, wire::deserializer::BgpParsingContext};
use netgauze_parse_utils::{WritablePdu, reader::SliceReader, traits::ParseFromWithOneInput};
use proptest::{collection::vec, prelude::*, sample::Index, test_runner::RngSeed};
use rustbgpd_wire::{
    AsPathSegment, DecodeError, ErrorDisposition, ParsedUpdate, PathAttribute, Prefix, UpdateMessage,
    validate::validate_update_attributes,
};

/// Types that the oracle looks into and that pass through us as they are.
const PASSED_ON: [u8; 20] = [22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 33, 34, 36, 37, 38, 39, 40, 41, 42, 128];
const MP: [u8; 2] = [14, 15];

/// What becomes of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Verdict {
    Reset,
    Read {
        withdrawn: BTreeSet<IpNet>,
        /// Announced, with attributes that are wrong.
        lost: BTreeSet<IpNet>,
        routes: BTreeSet<IpNet>,
    },
}

fn cases() -> ProptestConfig {
    let wished = env::var("QUADSPAN_CASES").ok().and_then(|cases| cases.parse().ok());
    let rng_seed = if wished.is_some() { RngSeed::Random } else { RngSeed::Fixed(7606) };
    let cases = wished.unwrap_or(2000);
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

fn our_verdict(update: Update) -> Verdict {
    let withdrawn = update.withdrawn.into_iter().collect();
    let (lost, routes) = match update.announced {
        Announced::Routes(groups) => {
            (BTreeSet::new(), groups.into_iter().flat_map(|group| group.prefixes).collect())
        }
        Announced::TreatAsWithdraw(lost) => (lost.into_iter().collect(), BTreeSet::new()),
    };
    Verdict::Read { withdrawn, lost, routes }
}

/// The oracle's reading, and the worst that it found wrong with a type that both look into.
struct Theirs {
    update: ParsedUpdate,
    worst: Option<ErrorDisposition>,
}

fn read_theirs(body: &[u8], context: &UpdateContext) -> Result<Theirs, DecodeError> {
    let raw = UpdateMessage::decode(&mut bytes::Bytes::copy_from_slice(body), body.len())?;
    let read = raw.parse_revised(context.four_octet_as, context.internal, false, &[])?;
    let passed_on = |code: u8| {
        is_framed(body) && PASSED_ON.contains(&code) && attributes(body).any(|(_, found, _)| found == code)
    };
    let found = read.malformed.iter().filter(|one| !passed_on(one.type_code)).map(|one| one.disposition);
    let update = read.update;
    let (has_mp, has_nlri) = (reach(&update).is_some(), !update.announced.is_empty());
    let valid =
        validate_update_attributes(&update.attributes, has_mp || has_nlri, has_nlri, !context.internal);
    let worst = found.chain(valid.err().map(|error| error.disposition)).max();
    Ok(Theirs { update, worst })
}

fn reach(update: &ParsedUpdate) -> Option<&rustbgpd_wire::MpReachNlri> {
    update.attributes.iter().find_map(|one| match one {
        PathAttribute::MpReachNlri(reach) => Some(&**reach),
        _ => None,
    })
}

fn net(prefix: Prefix) -> IpNet {
    match prefix {
        Prefix::V4(one) => IpNet::new(one.addr.into(), one.len),
        Prefix::V6(one) => IpNet::new(one.addr.into(), one.len),
    }
    .expect("a length in range")
}

fn their_verdict(theirs: &Theirs) -> Verdict {
    let update = &theirs.update;
    let mut withdrawn: BTreeSet<_> = update.withdrawn.iter().map(|one| net(Prefix::V4(one.prefix))).collect();
    let mut announced: BTreeSet<_> = update.announced.iter().map(|one| net(Prefix::V4(one.prefix))).collect();
    for one in &update.attributes {
        match one {
            PathAttribute::MpReachNlri(reach) => {
                announced.extend(reach.announced.iter().map(|one| net(one.prefix)));
            }
            PathAttribute::MpUnreachNlri(unreach) => {
                withdrawn.extend(unreach.withdrawn.iter().map(|one| net(one.prefix)));
            }
            _ => {}
        }
    }
    match theirs.worst {
        Some(ErrorDisposition::SessionReset) => Verdict::Reset,
        Some(ErrorDisposition::TreatAsWithdraw) => {
            Verdict::Read { withdrawn, lost: announced, routes: BTreeSet::new() }
        }
        Some(ErrorDisposition::AttributeDiscard) | None => {
            Verdict::Read { withdrawn, lost: BTreeSet::new(), routes: announced }
        }
    }
}

/// Why our reading stays although the oracle's is another one.
fn argued(body: &[u8], ours: &[Fault], reset: bool) -> Option<&'static str> {
    let has = |kind| ours.iter().any(|fault| fault.kind == kind);
    if has(FaultKind::FamilyNotAgreed) {
        return Some(
            "RFC 4760 section 7 lets one ignore a family that was not agreed on; the oracle does not know the session",
        );
    }
    if has(FaultKind::UnknownWellKnown) {
        return Some("RFC 4271 section 6.3 ends the session, and RFC 7606 does not revise that");
    }
    if has(FaultKind::Duplicate) {
        return Some("RFC 7606 section 3 g: only the first one counts; the oracle also judges the others");
    }
    if reset && ours.iter().all(|fault| fault.kind.treatment() < Treatment::ResetSession) {
        return Some("RFC 7606 section 5.2: with nothing reachable, nobody knows what the fault is about");
    }
    if attributes(body).any(|(flags, code, _)| MP.contains(&code) && flags & 0xc0 != 0x80) && !ours.is_empty()
    {
        return Some("RFC 7606 section 3 c: wrong flags mean treat-as-withdraw, also those of MP_REACH_NLRI");
    }
    if ours.iter().any(|fault| fault.kind == FaultKind::Missing && fault.attribute == Some(3)) {
        return Some(
            "RFC 4271 section 5.1.3: NEXT_HOP is mandatory, also from inside, where the oracle lets it go",
        );
    }
    if has(FaultKind::InternalOnly) {
        return Some(
            "RFC 7606 sections 7.5, 7.9, 7.10: from outside it is dropped, whatever else is wrong with it",
        );
    }
    if attributes(body).any(|(flags, code, _)| {
        flags & 0x20 != 0 && flags & 0x40 == 0 && (code < 16 || PASSED_ON.contains(&code))
    }) {
        return Some("no RFC gives Partial a meaning where Transitive is 0");
    }
    let reserved = |code, value: &[u8]| match code {
        3 => value.first().is_some_and(|first| *first == 0 || *first >= 240),
        14 => value.get(4..16) == Some(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        _ => false,
    };
    if attributes(body).any(|(_, code, value)| reserved(code, value)) {
        return Some(
            "RFC 4271 section 6.3: net 0, class E, or IPv4 dressed as IPv6, is no host; the oracle takes it",
        );
    }
    let only_local = |value: &[u8]| value.get(3) == Some(&16) && value.get(4..6).is_some_and(is_link_local);
    if attributes(body).any(|(_, code, value)| code == 14 && only_local(value)) {
        return Some(
            "a link-local next hop alone: draft-ietf-idr-linklocal-capability, and what routers send; the oracle wants it agreed",
        );
    }
    let local = |value: &[u8]| value.get(3) == Some(&32) && !value.get(20..22).is_some_and(is_link_local);
    if attributes(body).any(|(_, code, value)| code == 14 && local(value)) {
        return Some(
            "RFC 2545 section 3: a second next hop that is not link-local is none; the global one counts",
        );
    }
    None
}

fn is_link_local(octets: &[u8]) -> bool {
    octets[0] == 0xfe && octets[1] & 0xc0 == 0x80
}

/// The attributes of an UPDATE, when they fit in.
fn section(body: &[u8]) -> &[u8] {
    let number = |at: usize| Some(usize::from(*body.get(at)?) << 8 | usize::from(*body.get(at + 1)?));
    let start = 4 + number(0).unwrap_or_default();
    number(start - 2).and_then(|len| body.get(start..start + len)).unwrap_or_default()
}

/// All lengths add up: no attribute is cut short.
fn is_framed(body: &[u8]) -> bool {
    let len = |(flags, _, value): (u8, u8, &[u8])| value.len() + if flags & 0x10 == 0 { 3 } else { 4 };
    attributes(body).map(len).sum::<usize>() == section(body).len()
}

/// Flags, type and value of each attribute, as far as lengths go.
fn attributes(body: &[u8]) -> impl Iterator<Item = (u8, u8, &[u8])> {
    let mut rest = section(body);
    core::iter::from_fn(move || {
        let (&[flags, code, ..], long) = (rest.first_chunk::<3>()?, rest[0] & 0x10 != 0);
        let head = if long { 4 } else { 3 };
        let len = rest.get(2..head)?.iter().fold(0, |len, octet| len << 8 | usize::from(*octet));
        let value = rest.get(head..head + len)?;
        rest = &rest[head + len..];
        Some((flags, code, value))
    })
}

/// Each attribute that the oracle read is what we read.
fn compare(ours: &Attributes, theirs: &ParsedUpdate, family: Family) -> Result<(), TestCaseError> {
    let rare = ours.rare();
    for one in &theirs.attributes {
        match one {
            PathAttribute::Origin(origin) => prop_assert_eq!(ours.origin.code(), *origin as u8),
            PathAttribute::AsPath(path) => {
                let numbers: Vec<_> = ours.as_path.asns().map(|asn| asn.0).collect();
                prop_assert_eq!(numbers, path.asns().collect::<Vec<_>>());
                let is_set = |one: &AsPathSegment| matches!(one, AsPathSegment::AsSet(_));
                prop_assert_eq!(ours.as_path.has_set(), path.segments.iter().any(is_set));
            }
            PathAttribute::Med(med) => prop_assert_eq!(ours.med, Some(*med)),
            PathAttribute::LocalPref(preference) => prop_assert_eq!(ours.local_pref, Some(*preference)),
            PathAttribute::AtomicAggregate => prop_assert!(ours.atomic_aggregate),
            PathAttribute::Aggregator(them) => {
                let us = rare.aggregator.map(|one| (one.asn.0, one.address));
                prop_assert_eq!(us, Some((them.asn, them.router_id)));
            }
            PathAttribute::Communities(them) => {
                prop_assert_eq!(&ours.communities.iter().map(|one| one.0).collect::<Vec<_>>(), them);
            }
            PathAttribute::ExtendedCommunities(them) => {
                let us: Vec<_> = rare.extended.iter().map(|one| u64::from_be_bytes(one.0)).collect();
                prop_assert_eq!(us, them.iter().map(|one| one.as_u64()).collect::<Vec<_>>());
            }
            PathAttribute::LargeCommunities(them) => {
                let us = rare.large.iter().map(|one| (one.global, one.local1, one.local2));
                let them = them.iter().map(|one| (one.global_admin, one.local_data1, one.local_data2));
                prop_assert_eq!(us.collect::<Vec<_>>(), them.collect::<Vec<_>>());
            }
            PathAttribute::OriginatorId(them) => prop_assert_eq!(rare.originator, Some(*them)),
            PathAttribute::ClusterList(them) => {
                let us: Vec<Ipv4Addr> = rare.clusters.iter().map(|one| (*one).into()).collect();
                prop_assert_eq!(&us, them);
            }
            PathAttribute::OnlyToCustomer(them) => prop_assert_eq!(rare.otc.map(|asn| asn.0), Some(*them)),
            PathAttribute::NextHop(them) if theirs.attributes.iter().all(|one| one.type_code() != 14) => {
                prop_assert_eq!(ours.next_hop, NextHop::V4(*them));
            }
            _ => {}
        }
    }
    let (Some(reach), NextHop::V6 { global, link_local }) = (reach(theirs), ours.next_hop) else {
        return Ok(());
    };
    prop_assert!(
        family == Family::Ipv6 || reach.announced.iter().all(|one| matches!(one.prefix, Prefix::V4(_)))
    );
    prop_assert_eq!(IpAddr::V6(global), reach.next_hop);
    prop_assert_eq!(link_local, reach.link_local_next_hop);
    Ok(())
}

fn external(attributes: &mut Attributes) {
    attributes.local_pref = None;
    attributes.change_rare(|rare| {
        rare.originator = None;
        rare.clusters = Box::default();
    });
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn what_we_send_is_read_alike((family, mut attributes, prefixes) in strategies::routes()) {
        // Types that nobody has assigned.
        attributes.change_rare(|rare| {
            rare.unknown = rare.unknown.iter().filter(|one| (130..240).contains(&one.code)).cloned().collect();
        });
        let context = strategies::context(true);
        let to = EmitContext { four_octet_as: true, max_len: MAX_LEN_EXTENDED };
        for message in emit::announce(family, &attributes, &prefixes, to).expect("room") {
            let body = &message[HEADER_LEN..];
            let theirs = read_theirs(body, &context).expect("readable");
            let ours = update::parse(body, &context).expect("readable");
            prop_assert_eq!(theirs.worst, None);
            prop_assert_eq!(our_verdict(ours), their_verdict(&theirs));
            compare(&attributes, &theirs.update, family)?;
        }
    }

    #[test]
    fn what_another_codec_reads_and_writes_again_is_what_it_was(
        (family, mut attributes, mut prefixes) in strategies::routes(),
    ) {
        // It takes no groups for prefixes of hosts.
        prefixes.retain(|prefix| match prefix.addr() {
            IpAddr::V4(address) => address.octets()[0] < 224,
            IpAddr::V6(address) => address.octets()[0] < 0xf0,
        });
        // What passes through us unread, that codec may look into, and forget what it takes for reserved.
        attributes.change_rare(|rare| {
            rare.unknown = Box::default();
            let route_target = |one: &ExtendedCommunity| {
                let [_, _, value @ ..] = one.0;
                let mut octets = [0, 2, 0, 0, 0, 0, 0, 0];
                octets[2..].copy_from_slice(&value);
                ExtendedCommunity(octets)
            };
            rare.extended = rare.extended.iter().map(route_target).collect();
        });
        let to = EmitContext { four_octet_as: true, max_len: MAX_LEN };
        let Ok(messages) = emit::announce(family, &attributes, &prefixes, to) else { return Ok(()) };
        for message in messages {
            let mut asked = BgpParsingContext::asn2_default();
            asked.set_asn4(true);
            let read = BgpMessage::parse(&mut SliceReader::new(&message), &mut asked);
            let read = read.map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
            let mut again = Vec::new();
            read.write(&mut again).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
            let context = strategies::context(true);
            let (one, two) = (&message[HEADER_LEN..], &again[HEADER_LEN..]);
            prop_assert_eq!(update::parse(one, &context), update::parse(two, &context));
        }
    }

    #[test]
    fn damaged_messages_are_treated_alike(
        (family, mut attributes, mut prefixes) in strategies::routes(),
        damage in vec((any::<Index>(), any::<u8>()), 1..4),
        at_the_front in any::<bool>(),
        four_octet_as in any::<bool>(),
        internal in any::<bool>(),
    ) {
        prefixes.truncate(5);
        attributes.change_rare(|rare| rare.unknown = Box::default());
        if !internal {
            external(&mut attributes);
        }
        let to = EmitContext { four_octet_as, max_len: MAX_LEN };
        let Ok(messages) = emit::announce(family, &attributes, &prefixes, to) else { return Ok(()) };
        let mut body = messages[0][HEADER_LEN..].to_vec();
        let reach = if at_the_front { body.len().min(60) } else { body.len() };
        for (at, octet) in damage {
            body[at.index(reach)] = octet;
        }
        let context = UpdateContext { internal, accept_as_sets: false, ..strategies::context(four_octet_as) };
        let (ours, faults, reset) = match update::parse(&body, &context) {
            Ok(update) => (our_verdict(update.clone()), update.faults, false),
            Err(reset) => (Verdict::Reset, vec![reset.fault], true),
        };
        let theirs = read_theirs(&body, &context);
        let verdict = theirs.as_ref().map_or(Verdict::Reset, their_verdict);
        if argued(&body, &faults, reset).is_none() {
            prop_assert_eq!(ours, verdict, "{:?} {:?}: {:02x?}", faults, theirs.err(), body);
        }
    }
}
