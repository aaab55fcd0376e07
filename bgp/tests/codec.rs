//! Properties of the codec: what is emitted parses to itself, and no input makes it panic.
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

use bgp::{
    Asn,
    wire::{
        emit::{self, EmitContext},
        header::{self, HEADER_LEN, MAX_LEN, MAX_LEN_EXTENDED},
        notification::Notification,
        open::Open,
        refresh::RouteRefresh,
        update::{self, Announced, UpdateContext},
    },
};
use proptest::{collection::vec, prelude::*, sample::Index};
use std::net::Ipv4Addr;
use strategies::{context, net, routes};

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn announced_routes_parse_to_themselves((family, attributes, prefixes) in routes()) {
        let to = EmitContext { four_octet_as: true, max_len: MAX_LEN_EXTENDED };
        let mut seen = Vec::new();
        for message in emit::announce(family, &attributes, &prefixes, to).expect("room") {
            let frame = header::split(&message, MAX_LEN_EXTENDED).expect("a header").expect("a message");
            let update = update::parse(frame.body, &context(true)).expect("readable");
            prop_assert_eq!(&update.faults, &[]);
            let Announced::Routes(groups) = update.announced else { panic!("withdrawn") };
            for group in groups {
                prop_assert_eq!(&group.attributes, &attributes);
                seen.extend(group.prefixes);
            }
        }
        prop_assert_eq!(seen, prefixes);
    }

    // RFC 6793: a path through a two-octet session comes out as it went in, wide aggregator included.
    #[test]
    fn narrow_sessions_lose_nothing((family, mut attributes, prefixes) in routes()) {
        // An aggregator with a narrow number makes AS4_PATH stale (section 4.2.3): none here.
        attributes.change_rare(|rare| rare.aggregator = None);
        let to = EmitContext { four_octet_as: false, max_len: MAX_LEN_EXTENDED };
        for message in emit::announce(family, &attributes, &prefixes, to).expect("room") {
            let update = update::parse(&message[HEADER_LEN..], &context(false)).expect("readable");
            let Announced::Routes(groups) = update.announced else { panic!("{:?}", update.faults) };
            prop_assert!(groups.iter().all(|group| group.attributes == attributes));
        }
    }

    #[test]
    fn withdrawn_prefixes_parse_to_themselves((family, _, prefixes) in routes()) {
        let to = EmitContext { four_octet_as: true, max_len: MAX_LEN };
        let mut seen = Vec::new();
        for message in emit::withdraw(family, &prefixes, to) {
            seen.extend(update::parse(&message[HEADER_LEN..], &context(true)).expect("readable").withdrawn);
        }
        prop_assert_eq!(seen, prefixes);
    }

    #[test]
    fn random_octets_never_panic(octets in vec(any::<u8>(), 0..200), wide in any::<bool>()) {
        let _ = header::split(&octets, MAX_LEN);
        let _ = Open::parse(&octets);
        let _ = RouteRefresh::parse(&octets, wide);
        let _ = Notification::parse(&octets).map(|note| note.to_string());
        let _ = update::parse(&octets, &context(wide));
    }

    // Nearly right is where parsers break: flip, cut and repeat octets of a good message.
    #[test]
    fn damaged_updates_never_panic_and_never_become_other_prefix_lengths(
        (family, attributes, prefixes) in routes(),
        damage in vec((any::<Index>(), any::<u8>()), 1..6),
        cut in any::<Index>(),
        wide in any::<bool>(),
    ) {
        let to = EmitContext { four_octet_as: wide, max_len: MAX_LEN };
        let Ok(messages) = emit::announce(family, &attributes, &prefixes, to) else { return Ok(()) };
        let mut body = messages[0][HEADER_LEN..].to_vec();
        for (at, octet) in damage {
            let at = at.index(body.len());
            body[at] = octet;
        }
        body.truncate(cut.index(body.len()) + 1);
        if let Ok(update) = update::parse(&body, &context(wide)) {
            prop_assert!(update.withdrawn.iter().all(|prefix| *prefix == prefix.trunc()));
        }
    }

    #[test]
    fn damaged_opens_never_panic(octets in vec(any::<u8>(), 0..80)) {
        let mut body = vec![4, 0xfd, 0xe9, 0, 90, 192, 0, 2, 1, u8::try_from(octets.len()).expect("short")];
        body.extend_from_slice(&octets);
        if let Ok(open) = Open::parse(&body) {
            // What we could read, we can say again.
            prop_assert_eq!(Open::parse(&open.emit()).map(|again| again.asn), Ok(open.asn));
        }
    }

    // RFC 7606: a well-framed attribute list with a readable NLRI field never ends the session, whatever
    // the attributes hold. Exempt are the multiprotocol attributes and unknown well-known ones.
    #[test]
    fn no_attribute_value_ends_the_session(
        attributes in vec((any::<u8>(), 1..=40_u8, vec(any::<u8>(), 0..40)), 0..12),
        internal in any::<bool>(),
        wide in any::<bool>(),
    ) {
        let mut list = Vec::new();
        for (flags, code, value) in attributes.into_iter().filter(|(_, code, _)| !matches!(code, 14 | 15)) {
            let known = matches!(code, 1..=10 | 16..=18 | 32 | 35);
            let flags = if known { flags & 0xef } else { flags & 0xef | 0x80 };
            list.extend_from_slice(&[flags, code, value.len() as u8]);
            list.extend(value);
        }
        let len = u16::try_from(list.len()).expect("short").to_be_bytes();
        let body = [&[0, 0][..], &len, &list, &[24, 203, 0, 113]].concat();
        let context = UpdateContext { internal, first_as: Some(Asn(65001)), accept_as_sets: false, ..context(wide) };
        let update = update::parse(&body, &context);
        prop_assert!(update.is_ok(), "{:?}", update);
        // And the prefix is never lost: it is announced, or withdrawn.
        let prefixes = match update.expect("just checked").announced {
            Announced::Routes(groups) => groups.into_iter().flat_map(|group| group.prefixes).collect(),
            Announced::TreatAsWithdraw(prefixes) => prefixes,
        };
        prop_assert_eq!(prefixes, vec![net(Ipv4Addr::new(203, 0, 113, 0).into(), 24)]);
    }
}
