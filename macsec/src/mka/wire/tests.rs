//! The wire format from both ends: what is emitted is parsed back, what is random is survived.

use net::Writer;
use proptest::prelude::*;

use super::*;
use crate::{
    an::An,
    key::{Ckn, KeyId},
    sci::Sci,
    suite::ConfidentialityOffset,
};

fn member() -> impl Strategy<Value = MemberId> {
    any::<[u8; 12]>().prop_map(MemberId)
}

fn basic() -> impl Strategy<Value = Basic> {
    let flags = (any::<u8>(), any::<u8>(), any::<bool>(), any::<bool>(), 0u8..4);
    let ids =
        (any::<u64>(), member(), any::<u32>(), any::<u32>(), proptest::collection::vec(any::<u8>(), 1..=32));
    (flags, ids).prop_map(|((version, priority, key_server, macsec_desired, capability), ids)| Basic {
        version,
        priority,
        key_server,
        macsec_desired,
        capability: MacsecCapability::from_bits(capability),
        sci: Sci::from_u64(ids.0),
        member: ids.1,
        message: ids.2,
        agility: ids.3,
        ckn: Ckn::new(&ids.4).unwrap(),
    })
}

fn list() -> impl Strategy<Value = PeerList> {
    let peer = (member(), any::<u32>()).prop_map(|(member, message)| PeerId { member, message });
    (any::<u8>(), proptest::collection::vec(peer, 0..40))
        .prop_map(|(server_ssci, peers)| PeerList { server_ssci, peers })
}

fn key_use() -> impl Strategy<Value = KeyUse> {
    (0u8..4, any::<bool>(), any::<bool>(), any::<[u8; 16]>(), any::<u32>()).prop_map(
        |(an, tx, rx, id, lowest_pn)| KeyUse {
            an: An::from_low_bits(an),
            tx,
            rx,
            key_id: KeyId(id),
            lowest_pn,
        },
    )
}

fn sak_use() -> impl Strategy<Value = SakUse> {
    let keys = proptest::option::of((key_use(), key_use()));
    (any::<bool>(), any::<bool>(), any::<bool>(), keys).prop_map(
        |(plain_tx, plain_rx, delay_protect, keys)| {
            let keys = keys.map(|(latest, old)| KeysInUse { latest, old });
            SakUse { plain_tx, plain_rx, delay_protect, keys }
        },
    )
}

fn distributed() -> impl Strategy<Value = DistributedSak> {
    let octets = |len| proptest::collection::vec(any::<u8>(), len);
    let short = (any::<u32>(), octets(24)).prop_map(|(number, wrapped)| (number, None, wrapped));
    let long = (any::<u32>(), any::<u64>(), prop_oneof![octets(24), octets(40)])
        .prop_map(|(number, suite, wrapped)| (number, Some(suite), wrapped));
    let key = proptest::option::of(prop_oneof![short, long]);
    let offset = prop_oneof![
        Just(Confidentiality::IntegrityOnly),
        Just(Confidentiality::From(ConfidentialityOffset::Zero)),
        Just(Confidentiality::From(ConfidentialityOffset::Thirty)),
        Just(Confidentiality::From(ConfidentialityOffset::Fifty)),
    ];
    (0u8..4, offset, key).prop_map(|(an, confidentiality, key)| DistributedSak {
        an: An::from_low_bits(an),
        confidentiality,
        key: key.map(|(number, suite, wrapped)| DistributedKey { number, suite, wrapped }),
    })
}

fn announcement() -> impl Strategy<Value = Announcement> {
    let offer = (0u8..4, any::<u64>())
        .prop_map(|(bits, id)| SuiteOffer { capability: MacsecCapability::from_bits(bits), id });
    let suites = proptest::collection::vec(offer, 0..8).prop_map(Tlv::CipherSuites);
    let other = (0u8..112, proptest::collection::vec(any::<u8>(), 0..80))
        .prop_map(|(kind, value)| Tlv::Other { kind, value });
    proptest::collection::vec(prop_oneof![suites, other], 0..6).prop_map(|tlvs| Announcement { tlvs })
}

fn others() -> impl Strategy<Value = Vec<OtherSet>> {
    let kinds = prop_oneof![Just(5u8), Just(6), 9u8..=254];
    let body = proptest::collection::vec(any::<u8>(), 0..50);
    let flags = (any::<u8>(), any::<u8>().prop_map(|third| third & 0xf0));
    proptest::collection::btree_map(kinds, (flags, body), 0..5).prop_map(|sets| {
        sets.into_iter().map(|(kind, (flags, body))| OtherSet { kind, flags, body }).collect()
    })
}

fn xpn() -> impl Strategy<Value = XpnSet> {
    (any::<u8>(), any::<u32>(), any::<u32>()).prop_map(|(suspension, latest_high, old_high)| XpnSet {
        suspension,
        latest_high,
        old_high,
    })
}

prop_compose! {
    fn mkpdu()(
        basic in basic(),
        live in proptest::option::of(list()),
        potential in proptest::option::of(list()),
        sak_use in proptest::option::of(sak_use()),
        distributed_sak in proptest::option::of(distributed()),
        announcement in proptest::option::of(announcement()),
        xpn in proptest::option::of(xpn()),
        icv_indicator in any::<bool>(),
        others in others(),
    ) -> Mkpdu {
        Mkpdu {
            basic, live, potential, sak_use, distributed_sak, announcement, xpn, icv_indicator, others,
        }
    }
}

fn emitted(mkpdu: &Mkpdu) -> Vec<u8> {
    let mut out = Writer::new();
    mkpdu.emit(&mut out);
    out.into_vec()
}

proptest! {
    // §11.11.1: a multiple of four octets, by ascending type, and nothing is lost on the way.
    #[test]
    fn parse_gives_back_what_emit_wrote(mkpdu in mkpdu()) {
        let octets = emitted(&mkpdu);
        prop_assert_eq!(octets.len() % 4, 0);
        prop_assert_eq!(Mkpdu::parse(&octets), Ok(mkpdu));
    }

    #[test]
    fn what_parses_emits_something_that_parses_to_the_same(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(parsed) = Mkpdu::parse(&octets) {
            prop_assert_eq!(Mkpdu::parse(&emitted(&parsed)), Ok(parsed));
        }
    }

    #[test]
    fn a_damaged_mkpdu_is_parsed_or_refused(mkpdu in mkpdu(), at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut octets = emitted(&mkpdu);
        let at = at.index(octets.len());
        octets[at] = with;
        if let Ok(parsed) = Mkpdu::parse(&octets) {
            prop_assert_eq!(Mkpdu::parse(&emitted(&parsed)), Ok(parsed));
        }
        octets.truncate(at);
        let _ = Mkpdu::parse(&octets);
    }
}

// Figure 11-8, octet by octet, from a dirty start.
#[test]
fn the_basic_parameter_set_reads_like_its_figure() {
    let basic = Basic {
        version: 3,
        priority: 0x10,
        key_server: true,
        macsec_desired: true,
        capability: MacsecCapability::Confidentiality,
        sci: Sci::from_u64(0x0200_0000_0001_0001),
        member: MemberId(*b"member ident"),
        message: 0x0102_0304,
        agility: Basic::AGILITY,
        ckn: Ckn::new(b"name!").unwrap(),
    };
    let octets = emitted(&Mkpdu::new(basic));
    let expected = [
        &[3, 0x10, 0x80 | 0x40 | 0x20, 28 + 5][..],
        &[2, 0, 0, 0, 0, 1, 0, 1],
        b"member ident",
        &[1, 2, 3, 4, 0x00, 0x80, 0xc2, 0x01],
        b"name!\0\0\0",
    ]
    .concat();
    assert_eq!(octets, expected);
}

// Figure 11-10: which bit is which.
#[test]
fn sak_use_reads_like_its_figure() {
    let key = |an, tx, rx, fill, lowest_pn| KeyUse {
        an: An::new(an).unwrap(),
        tx,
        rx,
        key_id: KeyId([fill; 16]),
        lowest_pn,
    };
    let mut mkpdu = Mkpdu::new(Basic {
        version: 3,
        priority: 0,
        key_server: false,
        macsec_desired: false,
        capability: MacsecCapability::NotImplemented,
        sci: Sci::from_u64(0),
        member: MemberId([0; 12]),
        message: 1,
        agility: Basic::AGILITY,
        ckn: Ckn::new(&[1; 4]).unwrap(),
    });
    let basic_len = emitted(&mkpdu).len();
    mkpdu.sak_use = Some(SakUse {
        plain_tx: false,
        plain_rx: true,
        delay_protect: true,
        keys: Some(KeysInUse { latest: key(2, false, true, 0xaa, 7), old: key(1, true, true, 0xbb, 9) }),
    });
    let octets = emitted(&mkpdu);
    let set = &octets[basic_len..];
    assert_eq!(set[..4], [3, 0x80 | 0x10 | 0x04 | 0x02 | 0x01, 0x40 | 0x10, 40]);
    assert_eq!(set[4..24], [&[0xaa; 16][..], &[0, 0, 0, 7]].concat()[..]);
    assert_eq!(set[24..], [&[0xbb; 16][..], &[0, 0, 0, 9]].concat()[..]);
    // A body of more than 40 octets is a later version's.
    let mut longer = octets.clone();
    longer[basic_len + 3] = 44;
    longer.extend_from_slice(&[1, 2, 3, 4]);
    assert_eq!(Mkpdu::parse(&longer).unwrap().sak_use, mkpdu.sak_use);
    longer[basic_len + 3] = 36;
    assert!(Mkpdu::parse(&longer[..basic_len + 40]).is_err());
}
