//! Captures made of published vectors: every suite, opened, altered, cut, without key, in every disguise.

use core::fmt::Write as _;
use std::collections::BTreeMap;

use dataplane::lacp::{Lacpdu, PortInfo, PortState};
use macsec::{
    An, CipherSuite, ConfidentialityOffset, Sak, Salt, Sci, SecY, SecyPolicy, Ssci, TransmitSaParams,
};
use net::{Instant, MacAddr, PacketBuf};
use proptest::prelude::*;
use serde_json::Value;

use super::*;

const ANNEX_C: &str = include_str!("../../../macsec/tests/vectors/ieee_8021ae_annex_c.json");
const DPDK: &str = include_str!("../../../macsec/tests/vectors/dpdk_inline_macsec_extra.json");
const SCAPY: &str = include_str!("../../../macsec/tests/vectors/scapy_macsec.json");

/// A published frame.
struct Vector {
    name: String,
    /// As for `--sak`, everything given.
    key: String,
    protected: Vec<u8>,
    plain: Vec<u8>,
    sci: Option<Sci>,
    expect: String,
}

fn vectors(json: &str) -> Vec<Vector> {
    let list: Vec<Value> = serde_json::from_str(json).unwrap();
    list.iter().map(vector).collect()
}

fn vector(value: &Value) -> Vector {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    let mut key = text("key").unwrap_or_else(|| "00".repeat(16));
    if let (Some(salt), Some(ssci)) = (text("salt"), text("ssci")) {
        write!(key, ",salt={salt},ssci=0x{}", ssci.trim_start_matches("0x")).unwrap();
        if let Some(high) = text("pn").filter(|pn| pn.len() == 16) {
            write!(key, ",pn-high=0x{}", &high[..8]).unwrap();
        }
    }
    // A SecY never sees tags in clear, so its user's frame has none; published plain frames do.
    let mut plain = octets(&text("plain_frame").unwrap_or_default());
    let tags = value["sectag_offset"].as_u64().map_or(0, |offset| usize::try_from(offset).unwrap() - 12);
    plain.drain(plain.len().min(12)..plain.len().min(12 + tags));
    Vector {
        name: text("name").unwrap(),
        key,
        protected: octets(&text("protected_frame").unwrap_or_default()),
        plain,
        sci: text("sci").and_then(|sci| sci.parse().ok()),
        expect: text("expect").unwrap(),
    }
}

pub(super) fn octets(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn key(text: &str) -> GivenKey {
    text.parse::<KeyText>().unwrap().read().unwrap()
}

/// A classic capture of these frames.
pub(super) fn capture<F: AsRef<[u8]>>(frames: impl IntoIterator<Item = F>) -> Vec<u8> {
    let mut file = [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 65535, 1].map(u32::to_be_bytes).concat();
    for (at, frame) in frames.into_iter().enumerate() {
        let len = u32::try_from(frame.as_ref().len()).unwrap();
        file.extend([u32::try_from(at).unwrap(), 0, len, len].map(u32::to_be_bytes).concat());
        file.extend(frame.as_ref());
    }
    file
}

fn run(file: &[u8], keys: &[&str]) -> (Summary, Vec<u8>) {
    let mut decoder = Decoder::default();
    keys.iter().for_each(|text| decoder.add_key(key(text)));
    let mut clear = Vec::new();
    let summary = decode(file, decoder, Some(ClearWriter::new(&mut clear).unwrap())).unwrap();
    let counts = summary.macsec;
    assert_eq!(counts.total, counts.valid + counts.invalid + counts.no_key, "{summary:?}");
    for sa in &summary.channels {
        assert_eq!(sa.total, sa.valid + sa.invalid + sa.no_key, "{sa:?}");
    }
    (summary, clear)
}

fn counts(file: &[u8], keys: &[&str]) -> (u64, u64, u64) {
    let counts = run(file, keys).0.macsec;
    (counts.valid, counts.invalid, counts.no_key)
}

/// The frames of a capture.
pub(super) fn frames(file: &[u8]) -> Vec<Vec<u8>> {
    let mut capture = Capture::open(file).unwrap();
    let mut frames = Vec::new();
    while let Some(packet) = capture.next_packet().unwrap() {
        frames.push(packet.octets.to_vec());
    }
    frames
}

/// A SecY that sends with one key.
struct Sender(SecY);

const SAK: &str = "000102030405060708090a0b0c0d0e0f";
const SALT: &str = "0102030405060708090a0b0c";
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

impl Sender {
    fn new(
        suite: CipherSuite,
        next_pn: u64,
        change: impl FnOnce(&mut SecyPolicy, &mut TransmitSaParams<'_>),
    ) -> Self {
        let sak = Sak::from_hex(&SAK.repeat(suite.key_len() / 16)).unwrap();
        let mut policy = SecyPolicy::new(Sci::new(MAC, 1));
        let salt = Salt([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        let mut params = TransmitSaParams {
            sak: &sak,
            suite,
            encrypt: true,
            offset: ConfidentialityOffset::Zero,
            key_id: macsec::KeyId::default(),
            next_pn,
            pn_limit: None,
            ssci: Ssci(2),
            salt,
        };
        change(&mut policy, &mut params);
        let mut secy = SecY::new(policy, Instant::ZERO).unwrap();
        let an = An::new(1).unwrap();
        secy.create_transmit_sa(an, &params, Instant::ZERO).unwrap();
        secy.enable_transmit_sa(an, Instant::ZERO).unwrap();
        Self(secy)
    }

    fn send(&mut self, frame: &[u8]) -> Vec<u8> {
        let mut buf = PacketBuf::copy_of(frame, 64, 64);
        self.0.protect(&mut buf).unwrap();
        buf.to_vec()
    }
}

fn plain(len: usize) -> Vec<u8> {
    let mut frame = [&[2, 0, 0, 0, 0, 9][..], &MAC.0, &[0x08, 0x00]].concat();
    frame.resize(len, 0x5a);
    frame
}

// IEEE 802.1AE-2018 Annex C, and frames of DPDK and scapy: valid ones give the plain frame, octet for octet.
#[test]
fn published_frames_are_opened_and_the_others_refused() {
    let mut opened = 0;
    for vector in
        [ANNEX_C, DPDK, SCAPY].into_iter().flat_map(vectors).filter(|vector| !vector.protected.is_empty())
    {
        // Keys without a place of their own, so that a missing SCI must be found.
        let (summary, clear) = run(&capture([&vector.protected]), &[&vector.key]);
        let expected = match vector.expect.as_str() {
            "valid" => (1, 0),
            "not-macsec" => (0, 0),
            _ => (0, 1),
        };
        assert_eq!((summary.macsec.valid, summary.macsec.invalid), expected, "{}: {summary:?}", vector.name);
        if expected == (1, 0) {
            assert_eq!(frames(&clear), [vector.plain], "{}", vector.name);
            let sci = summary.channels[0].sci.clone().unwrap();
            assert_eq!(Some(sci), vector.sci.map(|sci| sci.to_string()), "{}", vector.name);
            opened += 1;
        }
    }
    assert_eq!(opened, 32 + 16 + 12);
}

#[test]
fn any_altered_bit_makes_a_frame_invalid() {
    for vector in vectors(ANNEX_C).iter().step_by(3) {
        for at in (0..vector.protected.len() * 8).filter(|at| !(96..112).contains(at)) {
            let mut frame = vector.protected.clone();
            frame[at / 8] ^= 1 << (at % 8);
            let (valid, invalid, no_key) = counts(&capture([frame]), &[&vector.key]);
            assert_eq!((valid, invalid, no_key), (0, 1, 0), "{} bit {at}", vector.name);
        }
    }
}

#[test]
fn frames_of_an_sa_that_no_key_belongs_to_have_no_key() {
    let (a, b) = (&vectors(ANNEX_C)[0], &vectors(ANNEX_C)[4]);
    let file = capture([&a.protected, &b.protected]);
    assert_eq!(counts(&file, &[]), (0, 0, 2));
    assert_eq!(counts(&file, &[&a.key]), (1, 0, 1), "the key has its place");
    assert_eq!(counts(&file, &[&b.key, &a.key]), (2, 0, 0));
    // A key that fits nowhere may be meant for any of them.
    assert_eq!(counts(&file, &[SAK]), (0, 2, 0));
    let elsewhere = format!("{SAK},sci=02:00:00:00:00:77/0001");
    assert_eq!(counts(&file, &[&elsewhere]), (0, 0, 2));
    let here = format!("{SAK},sci={},an=2", a.sci.unwrap());
    assert_eq!(counts(&file, &[&here]), (0, 1, 1));
    let other_an = format!("{SAK},sci={},an=3", a.sci.unwrap());
    assert_eq!(counts(&file, &[&other_an]), (0, 0, 2));
}

#[test]
fn lacpdus_inside_the_ciphertext_and_in_clear_are_listed_by_port() {
    let lacpdu = |port, state| {
        let actor = PortInfo { system: MAC, port, state: PortState(state), ..PortInfo::default() };
        let pdu = Lacpdu { version: 1, actor, partner: PortInfo::default(), collector_max_delay: 0 };
        [&[1, 0x80, 0xc2, 0, 0, 2][..], &MAC.0, &[0x88, 0x09], &pdu.encode()].concat()
    };
    let mut sender = Sender::new(CipherSuite::GcmAes128, 1, |_, _| {});
    let frames = [
        sender.send(&lacpdu(1, 0x07)),
        sender.send(&plain(80)),
        sender.send(&lacpdu(1, 0x0f)),
        sender.send(&lacpdu(1, 0x0f)),
        lacpdu(2, 0x07),
    ];
    let (summary, _) = run(&capture(frames), &[SAK]);
    let told: Vec<_> = summary
        .lacp
        .iter()
        .map(|one| (one.port, one.sci.as_deref(), one.pdus, one.changes, one.state.as_str()))
        .collect();
    assert_eq!(
        told,
        [(1, Some("02:00:00:00:00:01/0001"), 3, 1, "ACT+STO+AGG+SYN"), (2, None, 1, 0, "ACT+STO+AGG"),]
    );
    let screen = crate::show::decoded(&crate::show::Look::plain(jiff::Timestamp::UNIX_EPOCH), &summary);
    assert!(screen.contains("LACP SYSTEM") && screen.contains("in clear"), "{screen}");
}

#[test]
fn an_altered_frame_among_good_ones_is_counted_with_its_sa() {
    let mut sender = Sender::new(CipherSuite::GcmAes128, 7, |_, _| {});
    let mut frames: Vec<_> = (0..10).map(|_| sender.send(&plain(100))).collect();
    frames[4][60] ^= 1;
    frames.swap(6, 7);
    frames.remove(2);
    frames.push(frames[0].clone());
    let (summary, _) = run(&capture(frames), &[SAK]);
    let [sa] = &summary.channels[..] else { panic!("{summary:?}") };
    assert_eq!((sa.total, sa.valid, sa.invalid, sa.no_key, sa.encrypted), (10, 9, 1, 0, 10));
    assert_eq!((sa.first_pn, sa.last_pn, sa.duplicates, sa.reordered, sa.gaps), (Some(7), Some(7), 1, 1, 2));
    assert_eq!((sa.sci.as_deref(), sa.an), (Some("02:00:00:00:00:01/0001"), 1));
    assert_eq!(sa.key, Some(Sak::from_hex(SAK).unwrap().fingerprint().to_string()));
}

#[test]
fn a_wrong_key_opens_nothing_and_packet_numbers_are_called_unproven() {
    let mut sender = Sender::new(CipherSuite::GcmAes256, 100, |_, _| {});
    let file = capture((0..3).map(|_| sender.send(&plain(80))));
    let (summary, clear) = run(&file, &[&"ab".repeat(32)]);
    let sa = &summary.channels[0];
    assert_eq!((sa.invalid, sa.pn_proven, sa.first_pn, sa.last_pn), (3, false, Some(100), Some(102)));
    assert!(frames(&clear).is_empty());
}

// §9.5, §9.9: every way of naming the sender, or of not naming it.
#[test]
fn frames_without_sci_are_opened() {
    type Form = fn(&mut SecyPolicy);
    let forms: [(Form, Option<&str>); 4] = [
        (|_| {}, None),
        (|policy| policy.include_sci = false, Some("02:00:00:00:00:01")),
        (|policy| (policy.include_sci, policy.end_station) = (false, true), None),
        (
            |policy| {
                (policy.include_sci, policy.scb, policy.sci) = (false, true, Sci::new(MAC, Sci::SCB_PORT))
            },
            None,
        ),
    ];
    for suite in CipherSuite::ALL {
        for (form, source) in &forms {
            let mut sender = Sender::new(suite, 5, |policy, _| form(policy));
            let file = capture((0..3).map(|_| sender.send(&plain(70))));
            let mut text = SAK.repeat(suite.key_len() / 16);
            if suite.is_xpn() {
                write!(text, ",salt={SALT}").unwrap();
            }
            let (summary, clear) = run(&file, &[&text]);
            assert_eq!((summary.macsec.valid, summary.channels.len()), (3, 1), "{suite} {summary:?}");
            assert_eq!(summary.channels[0].source.as_deref(), *source);
            assert_eq!(frames(&clear), vec![plain(70); 3]);
        }
    }
}

// §10.7.25: nobody says which offset is used, so all three are tried; integrity only is in the SecTAG.
#[test]
fn every_offset_and_integrity_only_are_found_out() {
    for octets in [0, 30, 50] {
        for encrypt in [true, false] {
            let offset = ConfidentialityOffset::new(octets).unwrap();
            let mut sender = Sender::new(CipherSuite::GcmAes128, 1, |_, params| {
                (params.offset, params.encrypt) = (offset, encrypt);
            });
            let sizes = [60, 61, 90, 300];
            let (summary, clear) = run(&capture(sizes.map(|len| sender.send(&plain(len)))), &[SAK]);
            assert_eq!(summary.macsec.valid, 4, "{octets} {encrypt} {summary:?}");
            assert_eq!(frames(&clear), sizes.map(plain));
            let expected = encrypt.then_some(octets);
            assert_eq!(summary.channels[0].confidentiality_offset, expected, "{summary:?}");
        }
    }
}

// §10.6.2: 32 of 64 bits are in the frame.
#[test]
fn the_upper_half_of_packet_numbers_is_found_and_followed() {
    let text = format!("{SAK},salt={SALT}");
    for (start, high) in [(1, None), (0x3_ffff_fffe, None), (0x0123_4567_ffff_fffd, Some("0x1234567"))] {
        let mut sender = Sender::new(CipherSuite::GcmAesXpn128, start, |_, _| {});
        let mut frames: Vec<_> = (0..6).map(|_| sender.send(&plain(64))).collect();
        frames.swap(2, 4);
        let text = high.map_or_else(|| text.clone(), |high| format!("{text},ssci=2,pn-high={high}"));
        let (summary, _) = run(&capture(frames), &[&text]);
        let sa = &summary.channels[0];
        assert_eq!((sa.valid, sa.first_pn, sa.last_pn), (6, Some(start), Some(start + 5)), "{summary:?}");
        assert_eq!((sa.gaps, sa.duplicates, sa.ssci), (0, 0, Some(2)));
    }
    let mut sender = Sender::new(CipherSuite::GcmAesXpn128, 0x0123_4567_0000_0001, |_, _| {});
    assert_eq!(counts(&capture([sender.send(&plain(64))]), &[&text]), (0, 1, 0), "too far to be found");
}

#[test]
fn a_rekey_is_followed_to_the_next_key_even_on_the_same_an() {
    let mut before = Sender::new(CipherSuite::GcmAes128, 900, |_, _| {});
    let other = Sak::from_hex(&"77".repeat(16)).unwrap();
    let mut after = SecY::new(SecyPolicy::new(Sci::new(MAC, 1)), Instant::ZERO).unwrap();
    let params = TransmitSaParams {
        sak: &other,
        suite: CipherSuite::GcmAes128,
        encrypt: true,
        offset: ConfidentialityOffset::Zero,
        key_id: macsec::KeyId::default(),
        next_pn: 1,
        pn_limit: None,
        ssci: Ssci(0),
        salt: Salt::default(),
    };
    after.create_transmit_sa(An::new(1).unwrap(), &params, Instant::ZERO).unwrap();
    after.enable_transmit_sa(An::new(1).unwrap(), Instant::ZERO).unwrap();
    let mut after = Sender(after);
    let mut frames: Vec<_> = (0..3).map(|_| before.send(&plain(64))).collect();
    frames.extend((0..3).map(|_| after.send(&plain(64))));
    let (summary, _) = run(&capture(frames), &[SAK, &"77".repeat(16)]);
    let sa = &summary.channels[0];
    assert_eq!((sa.valid, sa.first_pn, sa.last_pn, sa.gaps, sa.duplicates), (6, Some(900), Some(3), 0, 0));
    assert_eq!(summary.keys.iter().map(|key| key.frames).collect::<Vec<_>>(), [3, 3]);
}

#[test]
fn what_stands_around_the_frame_is_found_out() {
    let mut sender = Sender::new(CipherSuite::GcmAes128, 1, |_, _| {});
    let tagged = |frame: Vec<u8>, tags: &[u8]| [&frame[..12], tags, &frame[12..]].concat();
    let short = sender.send(&plain(40));
    let padded = [short, vec![0; 9]].concat();
    let with_fcs = {
        let frame = sender.send(&plain(90));
        let fcs = crc32(&frame);
        [frame, fcs.to_le_bytes().to_vec()].concat()
    };
    let one = tagged(sender.send(&plain(80)), &[0x81, 0, 0, 100]);
    let two = tagged(sender.send(&plain(80)), &[0x88, 0xa8, 0, 7, 0x81, 0, 0xe0, 100]);
    let (summary, clear) = run(&capture([padded, with_fcs, one, two]), &[SAK]);
    assert_eq!((summary.macsec.valid, summary.macsec.with_fcs), (4, 1), "{summary:?}");
    assert_eq!(frames(&clear), [plain(40), plain(90), plain(80), plain(80)]);
    assert_eq!(summary.channels[0].clear_tags, [vec![7, 100], vec![100]]);
}

/// As in IEEE 802.3 §3.2.9, by long division.
fn crc32(octets: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for bit in octets.iter().flat_map(|octet| (0..8).map(move |bit| u32::from(octet >> bit & 1))) {
        crc = if (crc ^ bit) & 1 != 0 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    }
    !crc
}

#[test]
fn everything_else_in_a_capture_is_counted_by_its_type() {
    let frame = |rest: &[u8]| [&[2; 12][..], rest].concat();
    let file = capture([
        frame(&[0x88, 0x8e, 3, 0]),
        frame(&[0x88, 0x8e, 2, 5]),
        frame(&[0x81, 0x00, 0, 1, 0x08, 0x06]),
        frame(&[0, 3, 0x42, 0x42, 3]),
        vec![1, 2, 3],
        frame(&[0x88, 0xe5, 0x80, 0, 0, 0, 0, 1]),
    ]);
    let (summary, _) = run(&file, &[SAK]);
    let expected = BTreeMap::from([("0x888e", 2), ("0x0806", 1), ("llc", 1), ("runt", 1)]);
    assert_eq!(summary.other, expected.into_iter().map(|(name, count)| (name.to_owned(), count)).collect());
    assert_eq!((summary.frames, summary.macsec.invalid, summary.macsec.bad_tag), (6, 1, 1));
    assert_eq!(summary.bad_tags.len(), 1);

    let mut other_link = file;
    other_link[23] = 113;
    let (summary, _) = run(&other_link, &[SAK]);
    assert_eq!((summary.other_links.get(&113), summary.macsec.total), (Some(&6), 0));
}

#[test]
fn frames_that_the_capture_shortened_are_not_called_valid() {
    let mut sender = Sender::new(CipherSuite::GcmAes128, 1, |_, _| {});
    let mut file = capture([sender.send(&plain(200)), sender.send(&plain(200))]);
    let snapped = 24 + 16 + 232 + 8;
    file.truncate(file.len() - 100);
    file[snapped + 3] -= 100;
    let (summary, _) = run(&file, &[SAK]);
    assert_eq!((summary.macsec.valid, summary.macsec.invalid, summary.macsec.cut), (1, 1, 1), "{summary:?}");
    assert!(!summary.truncated);
}

#[test]
fn a_capture_cut_at_any_octet_gives_what_there_was() {
    let mut sender = Sender::new(CipherSuite::GcmAesXpn256, 1, |_, _| {});
    let file = capture((0..4).map(|_| sender.send(&plain(64))));
    let record = (file.len() - 24) / 4;
    let text = format!("{SAK}{SAK},salt={SALT},ssci=2");
    for len in 24..file.len() {
        let (summary, _) = run(&file[..len], &[&text]);
        let whole = u64::try_from((len - 24) / record).unwrap();
        assert_eq!((summary.frames, summary.macsec.valid), (whole, whole), "{len}");
        assert_eq!(summary.truncated, (len - 24) % record != 0, "{len}");
        assert_eq!(summary.problem.is_some(), summary.truncated);
    }
    for len in 0..24 {
        assert!(decode::<_, Vec<u8>>(&file[..len], Decoder::default(), None).is_err(), "{len}");
    }
}

#[test]
fn opened_frames_keep_their_time_and_say_where_they_are_from() {
    let vector = &vectors(ANNEX_C)[0];
    let (_, clear) = run(&capture([&vector.protected, &vector.protected]), &[&vector.key]);
    // Read by another implementation.
    let mut reader = pcap_file::pcapng::PcapNgReader::new(&clear[..]).unwrap();
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        if let pcap_file::pcapng::Block::EnhancedPacket(packet) = block.unwrap().into_owned() {
            packets.push((packet.timestamp.as_secs(), format!("{:?}", packet.options)));
        }
    }
    assert_eq!(packets.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1]);
    assert!(packets[0].1.contains("macsec sci=12:15:35:24:c0:89/5e81 an=2 pn=2999092325"), "{packets:?}");
}

#[test]
fn the_document_has_the_promised_shape() {
    let vector = &vectors(ANNEX_C)[0];
    let (summary, _) = run(&capture([&vector.protected]), &[&vector.key]);
    let json = serde_json::to_value(summary).unwrap();
    assert_eq!(json["frames"], 1);
    assert_eq!(json["macsec"]["total"], 1);
    assert_eq!(json["channels"][0]["an"], 2);
    assert_eq!((&json["truncated"], &json["problem"]), (&Value::Bool(false), &Value::Null));
    assert!(!json.to_string().contains(&vector.key[..16]), "no key in it");
}

#[test]
fn more_sas_than_can_be_listed_are_still_counted() {
    let frame = |at: u32| {
        let [a, b, c, d] = at.to_be_bytes();
        [&[2; 12][..], &[0x88, 0xe5, 0x20, 1, 0, 0, 0, 1, 2, 0, a, b, c, d, 0, 1, 9], &[0; 16]].concat()
    };
    let (summary, _) = run(&capture((0..10_100).map(frame)), &[]);
    assert_eq!(
        (summary.channels.len(), summary.macsec.total, summary.macsec.unlisted),
        (10_000, 10_100, 100)
    );
    assert_eq!(summary.macsec.no_key, 10_100);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_frames_never_panic_and_count_once(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..8),
        tagged in any::<bool>(),
    ) {
        let frames = frames.into_iter().map(|mut frame| {
            if tagged && frame.len() > 14 {
                frame[12..14].copy_from_slice(&[0x88, 0xe5]);
            }
            frame
        });
        let (summary, _) = run(&capture(frames), &[SAK]);
        let other: u64 = summary.other.values().sum();
        prop_assert_eq!(summary.frames, summary.macsec.total + summary.mkpdu.total + other);
        prop_assert_eq!(summary.macsec.valid, 0);
    }
}
