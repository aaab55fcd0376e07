//! Key exchanges in captures: made by another implementation, and by two of our own gateways.

use core::time::Duration;

use macsec::{
    An, Cak, CipherSuite, Ckn, Sci, SecY, SecyPolicy,
    mka::{Kay, KayParams, KeyEntry, RekeyAnswer},
};
use net::{Instant, MacAddr, PacketBuf};
use proptest::prelude::*;
use serde_json::Value;

use super::{
    tests::{capture, frames, octets},
    *,
};

const CAPTURES: &str = include_str!("vectors/mka_captures.json");

/// A capture that this code did not make.
struct Case {
    name: String,
    ckn: String,
    cak: String,
    frames: Vec<Vec<u8>>,
    value: Value,
}

fn cases() -> Vec<Case> {
    let file: Value = serde_json::from_str(CAPTURES).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let case = |value: &Value| Case {
        name: text(&value["name"]),
        ckn: text(&value["ckn"]),
        cak: text(&value["cak"]),
        frames: list(&value["frames"]),
        value: value.clone(),
    };
    file["captures"].as_array().unwrap().iter().map(case).collect()
}

fn list(value: &Value) -> Vec<Vec<u8>> {
    value.as_array().unwrap().iter().map(|hex| octets(hex.as_str().unwrap())).collect()
}

fn decoder(pairs: &[(&str, &str)]) -> Decoder {
    let texts = |choose: fn(&(&str, &str)) -> String| -> Vec<KeyText> {
        pairs.iter().map(|pair| choose(pair).parse().unwrap()).collect()
    };
    let caks = read_caks(&texts(|pair| pair.0.to_owned()), &texts(|pair| pair.1.to_owned())).unwrap();
    Decoder::with_caks(&caks)
}

fn run(file: &[u8], decoder: Decoder) -> (Summary, Vec<Vec<u8>>) {
    let mut clear = Vec::new();
    let summary = decode(file, decoder, Some(ClearWriter::new(&mut clear).unwrap())).unwrap();
    let (mkpdu, macsec) = (summary.mkpdu, summary.macsec);
    let parts = mkpdu.icv_valid + mkpdu.icv_invalid + mkpdu.unknown_ckn + mkpdu.malformed;
    assert_eq!(mkpdu.total, parts, "{summary:?}");
    assert_eq!(macsec.total, macsec.valid + macsec.invalid + macsec.no_key, "{summary:?}");
    assert_eq!(macsec.valid, u64::try_from(frames(&clear).len()).unwrap());
    let other: u64 = summary.other.values().sum();
    assert_eq!(summary.frames, mkpdu.total + macsec.total + other);
    (summary, frames(&clear))
}

// 802.1X-2020 §6.2.1, §9.3.3, §9.8, §11.11 and 802.1AE-2018 §14, computed by OpenSSL.
#[test]
fn captures_of_another_implementation_are_read_to_the_last_frame() {
    for case in cases() {
        let mut decoder = decoder(&[(&case.ckn, &case.cak)]);
        decoder.reveal_saks();
        let (summary, clear) = run(&capture(&case.frames), decoder);
        let (mkpdu, macsec) = (summary.mkpdu, summary.macsec);
        let counts = serde_json::json!([
            [mkpdu.total, mkpdu.icv_valid, mkpdu.icv_invalid, mkpdu.unknown_ckn],
            [macsec.total, macsec.valid, macsec.invalid, macsec.no_key],
            summary.members.len(),
        ]);
        let expected = [&case.value["mkpdu"], &case.value["macsec"], &case.value["members"]];
        assert_eq!(counts, serde_json::json!(expected), "{} {summary:#?}", case.name);
        let saks: Vec<_> = summary
            .saks
            .iter()
            .map(|sak| {
                serde_json::json!({
                    "ki": sak.ki, "an": sak.an, "cipher": sak.cipher, "sak": sak.sak, "frames": sak.frames,
                })
            })
            .collect();
        assert_eq!(Value::Array(saks), case.value["saks"], "{}", case.name);
        assert_eq!(clear, list(&case.value["plain"]), "{}: in the order of the capture", case.name);
    }
}

#[test]
fn the_document_has_the_shape_that_was_promised() {
    let case = &cases()[1];
    let (summary, _) = run(&capture(&case.frames), decoder(&[(&case.ckn, &case.cak)]));
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!((&json["frames"], &json["mkpdu"]["icv_valid"]), (&19.into(), &7.into()));
    let first = &json["saks"][0];
    // The capture's second record but three, at four seconds.
    assert_eq!(first["distributed_at"], "1970-01-01T00:00:04Z");
    assert_eq!((&first["an"], &first["cipher"]), (&0.into(), &"gcm-aes-xpn-256".into()));
    assert_eq!(first["sak"], Value::Null, "never, unless asked for");
    let member = &json["members"][0];
    assert_eq!(member["sci"], "02:00:00:00:0a:01/0001");
    assert_eq!((&member["key_server"], &member["priority"]), (&true.into(), &16.into()));
    assert_eq!((&member["version"], &member["mkpdus"]), (&3.into(), &3.into()));
    // Neither the CAK nor any SAK is anywhere.
    let text = format!("{json} {summary:?}");
    for secret in [&case.cak[..16], &case.value["saks"][0]["sak"].as_str().unwrap()[..16]] {
        assert!(!text.contains(secret));
    }
}

#[test]
fn a_wrong_cak_opens_nothing_and_is_named() {
    for case in cases() {
        let wrong = "5a".repeat(case.cak.len() / 2);
        let (summary, clear) = run(&capture(&case.frames), decoder(&[(&case.ckn, &wrong)]));
        assert_eq!((summary.mkpdu.icv_valid, summary.macsec.valid), (0, 0), "{}", case.name);
        assert_eq!(summary.macsec.no_key, summary.macsec.total);
        assert!(clear.is_empty() && summary.saks.is_empty() && summary.members.is_empty());
        let given: Vec<_> = summary.ckns.iter().filter(|ckn| ckn.given).collect();
        assert!(given.len() == 1 && given[0].icv_invalid > 0 && given[0].icv_valid == 0, "{summary:?}");
    }
}

#[test]
fn an_unknown_ckn_is_counted_and_shown() {
    let case = &cases()[0];
    for pairs in [&[][..], &[("ab", &*case.cak)]] {
        let (summary, _) = run(&capture(&case.frames), decoder(pairs));
        assert_eq!((summary.mkpdu.total, summary.mkpdu.unknown_ckn), (6, 6));
        let offered = summary.ckns.iter().find(|ckn| !ckn.given).unwrap();
        assert_eq!((offered.ckn.as_str(), offered.unknown), (case.ckn.as_str(), 6));
        assert_eq!(summary.ckns.len(), pairs.len() + 1, "what was given and not seen is in the list");
        assert_eq!((summary.macsec.no_key, summary.macsec.valid), (3, 0));
    }
}

#[test]
fn several_exchanges_in_one_capture_are_kept_apart() {
    let cases = cases();
    let all: Vec<_> = cases.iter().flat_map(|case| case.frames.clone()).collect();
    let pairs: Vec<_> = cases.iter().map(|case| (&*case.ckn, &*case.cak)).collect();
    let (summary, clear) = run(&capture(&all), decoder(&pairs));
    let plain: Vec<_> = cases.iter().flat_map(|case| list(&case.value["plain"])).collect();
    assert_eq!((clear.len(), summary.saks.len(), summary.members.len()), (plain.len(), 4, 7));
    assert_eq!(clear, plain);
    // The group whose CAK nobody has.
    assert_eq!((summary.macsec.no_key, summary.macsec.invalid), (1, 0));
}

#[test]
fn a_capture_that_begins_too_late_is_read_from_the_next_key_on() {
    let case = &cases()[1];
    // Behind the MKPDU that distributes the first SAK.
    let (summary, clear) = run(&capture(&case.frames[5..]), decoder(&[(&case.ckn, &case.cak)]));
    assert_eq!(summary.saks.len(), 1);
    assert_eq!((clear.len(), summary.macsec.no_key, summary.macsec.invalid), (3, 7, 0), "{summary:#?}");
}

#[test]
fn a_capture_cut_anywhere_gives_what_there_was() {
    for case in cases() {
        let file = capture(&case.frames);
        let (whole, _) = run(&file, decoder(&[(&case.ckn, &case.cak)]));
        for len in (24..file.len()).step_by(7) {
            let (summary, _) = run(&file[..len], decoder(&[(&case.ckn, &case.cak)]));
            assert!(summary.frames <= whole.frames && summary.macsec.valid <= whole.macsec.valid);
            assert_eq!(summary.truncated, summary.problem.is_some());
        }
    }
}

#[test]
fn mkpdus_that_the_capture_shortened_are_malformed() {
    let case = &cases()[0];
    let short: Vec<_> = case.frames.iter().map(|frame| &frame[..frame.len().min(70)]).collect();
    let (summary, clear) = run(&capture(short), decoder(&[(&case.ckn, &case.cak)]));
    // The first one has 20 octets of Ethernet padding and fits.
    assert_eq!((summary.mkpdu.total, summary.mkpdu.malformed), (6, 6), "{summary:?}");
    assert!(clear.is_empty());
}

#[test]
fn a_frame_waits_for_its_key_only_for_a_while() {
    let case = &cases()[1];
    // The frame in front of its key comes 100 s before it: times are seconds in the record headers.
    let mut file = capture(&case.frames);
    let mut at = 24;
    for number in 0..case.frames.len() {
        let seconds = u32::try_from(if number > 3 { 100 + number } else { number }).unwrap();
        file[at..at + 4].copy_from_slice(&seconds.to_be_bytes());
        at += 16 + case.frames[number].len();
    }
    let (summary, clear) = run(&file, decoder(&[(&case.ckn, &case.cak)]));
    assert_eq!((summary.macsec.valid, summary.macsec.no_key), (9, 2), "{summary:#?}");
    assert_eq!(clear, list(&case.value["plain"])[1..]);
}

#[test]
fn frames_nobody_has_a_key_for_do_not_pile_up() {
    let case = &cases()[1];
    let foreign = case.frames.last().unwrap();
    let mut all = vec![foreign.clone(); 20_000];
    all.splice(10_000..10_000, case.frames.iter().cloned());
    let (summary, clear) = run(&capture(&all), decoder(&[(&case.ckn, &case.cak)]));
    assert_eq!((clear.len(), summary.macsec.no_key, summary.macsec.invalid), (10, 20_001, 0));
}

/// Two gateways on one wire, and everything that passes between them.
struct Link {
    kays: Vec<Kay>,
    secys: Vec<SecY>,
    now: Instant,
    tape: Vec<Vec<u8>>,
    plain: Vec<Vec<u8>>,
}

const CKN: &str = "71756164";
const CAK: &str = "c0ffeec0ffeec0ffeec0ffeec0ffeec0c0ffeec0ffeec0ffeec0ffeec0ffeec0";

impl Link {
    fn new(members: u8, suite: CipherSuite) -> Self {
        let mut link = Self {
            kays: Vec::new(),
            secys: Vec::new(),
            now: Instant::ZERO,
            tape: Vec::new(),
            plain: Vec::new(),
        };
        for member in 1..=members {
            let sci = Sci::new(MacAddr([2, 0, 0, 0, 0, member]), 1);
            let params = KayParams { suites: vec![suite], ..KayParams::new(sci) };
            let mut state = u64::from(member);
            let rng = move |room: &mut [u8]| {
                for octet in room {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    *octet = state.to_be_bytes()[0];
                }
            };
            let mut kay = Kay::new(params, Box::new(rng), link.now);
            let key = KeyEntry::new(Ckn::from_hex(CKN).unwrap(), Cak::from_hex(CAK).unwrap());
            kay.set_keys(vec![key], link.now);
            link.kays.push(kay);
            link.secys.push(SecY::new(SecyPolicy::new(sci), link.now).unwrap());
        }
        link
    }

    /// Lets everybody say what is to be said, and hear it.
    fn settle(&mut self) {
        let mut frame = PacketBuf::with_capacity(1600, 0);
        loop {
            let mut silent = true;
            for at in 0..self.kays.len() {
                let pn = self.secys[at].next_pn();
                self.kays[at].note_pns(pn, self.now);
                while let Some(action) = self.kays[at].poll_action() {
                    action.apply(&mut self.secys[at], self.now).unwrap();
                }
                while self.kays[at].poll_event().is_some() {}
                while self.kays[at].poll_transmit(&mut frame) {
                    silent = false;
                    self.tape.push(frame.to_vec());
                    for other in (0..self.kays.len()).filter(|&other| other != at) {
                        self.kays[other].handle_mkpdu(&frame, self.now);
                    }
                    frame.reset(0);
                }
            }
            if silent {
                return;
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.now.after(time);
        self.settle();
        while let Some(due) = self.kays.iter().filter_map(Kay::poll_timeout).min().filter(|due| *due <= until)
        {
            self.now = self.now.max(due);
            for kay in &mut self.kays {
                kay.handle_timeout(self.now);
            }
            self.settle();
        }
        self.now = until;
    }

    /// Everybody sends a frame.
    fn talk(&mut self) {
        for at in 0..self.secys.len() {
            let number = u8::try_from(self.plain.len() % 200).unwrap();
            let mut frame = PacketBuf::copy_of(&[number; 90], 64, 64);
            self.secys[at].protect(&mut frame).unwrap();
            self.tape.push(frame.to_vec());
            self.plain.push(vec![number; 90]);
        }
    }
}

#[test]
fn what_our_own_gateways_say_is_read_through_every_rekey() {
    for suite in CipherSuite::ALL {
        for members in [2, 4] {
            let mut link = Link::new(members, suite);
            link.run(Duration::from_secs(5));
            for round in 0..6 {
                for _ in 0..3 {
                    link.talk();
                    link.run(Duration::from_millis(900));
                }
                if round < 5 {
                    let server = link.kays.iter_mut().map(|kay| kay.rekey(link.now));
                    let answers: Vec<_> = server.collect();
                    assert!(answers.contains(&RekeyAnswer::Started), "{answers:?}");
                    link.talk();
                    link.settle();
                    link.run(Duration::from_secs(7));
                }
            }
            let (summary, clear) = run(&capture(&link.tape), decoder(&[(CKN, CAK)]));
            assert_eq!(summary.mkpdu.total, summary.mkpdu.icv_valid, "{suite}");
            assert_eq!(summary.macsec.valid, summary.macsec.total, "{suite} {summary:#?}");
            assert_eq!(clear, link.plain);
            assert_eq!(summary.members.len(), usize::from(members));
            assert!(
                summary.saks.len() >= 6 && summary.saks.iter().all(|sak| sak.cipher == suite.to_string())
            );
            assert_eq!(summary.saks.iter().map(|sak| sak.frames).sum::<u64>(), summary.macsec.valid);
            // An association number comes round to a second key, and nothing is taken for the first one's.
            let numbers: Vec<_> = summary.saks.iter().map(|sak| sak.an).collect();
            assert!(numbers.iter().filter(|&&an| an == numbers[0]).count() >= 2, "{numbers:?}");
            assert_eq!(summary.channels.iter().map(|sa| sa.duplicates + sa.gaps).sum::<u64>(), 0);
        }
    }
}

#[test]
fn pcapng_and_unannounced_frame_check_sequences_make_no_difference() {
    use pcap_file::pcapng::{
        PcapNgBlock, PcapNgWriter,
        blocks::{
            enhanced_packet::EnhancedPacketBlock,
            interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption},
        },
    };
    let case = &cases()[0];
    let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
    // if_tsresol: nanoseconds, which is what the writer counts in.
    let options = vec![InterfaceDescriptionOption::IfTsResol(9)];
    let interface =
        InterfaceDescriptionBlock { linktype: pcap_file::DataLink::ETHERNET, snaplen: 0, options };
    writer.write_block(&interface.into_block()).unwrap();
    for frame in &case.frames {
        let data = [&frame[..], &[0xde, 0xad, 0xbe, 0xef][..4 * usize::from(frame[16..18] == [0x88, 0x8e])]]
            .concat();
        let packet = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::from_secs(1_800_000_000),
            original_len: u32::try_from(data.len()).unwrap(),
            data: data.into(),
            options: Vec::new(),
        };
        writer.write_block(&packet.into_block()).unwrap();
    }
    let (summary, clear) = run(&writer.into_inner(), decoder(&[(&case.ckn, &case.cak)]));
    assert_eq!((summary.mkpdu.icv_valid, clear), (5, list(&case.value["plain"])));
    assert!(summary.saks[0].distributed_at.starts_with("2027-01-15T08:00:00"), "{:?}", summary.saks);
}

#[test]
fn sas_of_members_and_of_strangers_are_told_apart() {
    let case = &cases()[1];
    let mut all = case.frames.clone();
    // A member's frame that somebody changed: its key is known, so it is invalid and not without key.
    let mut changed = all[8].clone();
    changed[60] ^= 1;
    all.insert(9, changed);
    let (summary, _) = run(&capture(&all), decoder(&[(&case.ckn, &case.cak)]));
    assert_eq!((summary.macsec.invalid, summary.macsec.no_key), (1, 1), "{summary:#?}");
    let an = |an: u8| summary.channels.iter().filter(|sa| sa.an == An::new(an).unwrap().get()).count();
    assert_eq!((an(0), an(1)), (4, 3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_exchanges_never_panic_and_count_once(
        which in 0_usize..3,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let case = &cases()[which];
        let mut all = case.frames.clone();
        for (frame, octet, to) in changes {
            let frame = frame.index(all.len());
            let at = octet.index(all[frame].len());
            all[frame][at] = to;
        }
        let (summary, _) = run(&capture(&all), decoder(&[(&case.ckn, &case.cak)]));
        prop_assert_eq!(summary.frames, u64::try_from(all.len()).unwrap());
    }
}
