//! Published vectors: IEEE 802.1AE-2018 Annex C and those beside it, octet by octet, with every backend.

use macsec::{
    An, Backend, CipherSuite, ConfidentialityOffset, Delivered, KeyId, Protected, ReceiveSaParams, RxDrop,
    RxVerdict, Sak, Salt, Sci, SecY, SecyPolicy, Ssci, TransmitSaParams, ValidateFrames, clear_tags,
    pn::recover,
};
use net::{MacAddr, PacketBuf, VlanTag};
use serde::Deserialize;

use crate::support::{NOW, dirty, frames_counted};

#[derive(Clone, Deserialize)]
struct Vector {
    name: String,
    cipher: String,
    key: String,
    salt: Option<String>,
    ssci: Option<String>,
    sci: Option<String>,
    sci_explicit: Option<bool>,
    pn: Option<String>,
    sectag_fields: Option<TagFields>,
    sectag_offset: Option<usize>,
    mode: Option<String>,
    plain_frame: Option<String>,
    protected_frame: String,
    expect: String,
}

#[derive(Clone, Deserialize)]
struct TagFields {
    es: u8,
    scb: u8,
    an: u8,
}

fn load(text: &str) -> Vec<Vector> {
    serde_json::from_str(text).unwrap()
}

fn annex_c() -> Vec<Vector> {
    load(include_str!("../vectors/ieee_8021ae_annex_c.json"))
}

fn dpdk() -> Vec<Vector> {
    load(include_str!("../vectors/dpdk_inline_macsec_extra.json"))
}

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect()
}

fn number(hex: &str) -> u64 {
    u64::from_str_radix(hex, 16).unwrap()
}

impl Vector {
    fn suite(&self) -> CipherSuite {
        self.cipher.parse().unwrap()
    }

    fn sak(&self) -> Sak {
        Sak::from_hex(&self.key).unwrap()
    }

    /// 0200..: somebody else, where the vector names nobody.
    fn sci(&self) -> Sci {
        self.sci.as_ref().map_or(Sci::from_u64(0x0200_0000_0000_0001), |sci| sci.parse().unwrap())
    }

    fn an(&self) -> An {
        self.sectag_fields.as_ref().map_or_else(An::default, |tag| An::new(tag.an).unwrap())
    }

    fn pn(&self) -> u64 {
        self.pn.as_ref().map_or(1, |pn| number(pn)).max(1)
    }

    fn ssci(&self) -> Ssci {
        Ssci(self.ssci.as_ref().map_or(0, |ssci| u32::try_from(number(ssci)).unwrap()))
    }

    fn salt(&self) -> Salt {
        Salt(self.salt.as_ref().map_or([0; 12], |salt| octets(salt).try_into().unwrap()))
    }

    fn encrypted(&self) -> bool {
        self.mode.as_deref() == Some("confidentiality")
    }

    /// Its VLAN tags in clear, outermost first.
    fn clear_tags(&self) -> Vec<VlanTag> {
        let frame = octets(&self.protected_frame);
        let count = self.sectag_offset.map_or(0, |offset| (offset - 12) / 4);
        (0..count).map(|n| VlanTag::outermost(&frame[4 * n..]).unwrap()).collect()
    }

    fn plain(&self) -> PacketBuf {
        let mut plain = dirty(&octets(self.plain_frame.as_ref().unwrap()));
        clear_tags::strip(&mut plain, &self.clear_tags()).unwrap();
        plain
    }

    fn protected(&self) -> PacketBuf {
        let mut frame = dirty(&octets(&self.protected_frame));
        clear_tags::strip(&mut frame, &self.clear_tags()).unwrap();
        frame
    }

    fn sender(&self, backend: Backend) -> SecY {
        let tag = self.sectag_fields.as_ref().unwrap();
        let policy = SecyPolicy {
            include_sci: self.sci_explicit.unwrap(),
            end_station: tag.es == 1,
            scb: tag.scb == 1,
            backend,
            ..SecyPolicy::new(self.sci())
        };
        let mut secy = SecY::new(policy, NOW).unwrap();
        let params = TransmitSaParams {
            sak: &self.sak(),
            suite: self.suite(),
            encrypt: self.encrypted(),
            offset: ConfidentialityOffset::Zero,
            key_id: KeyId::default(),
            next_pn: self.pn(),
            pn_limit: None,
            ssci: self.ssci(),
            salt: self.salt(),
        };
        secy.create_transmit_sa(self.an(), &params, NOW).unwrap();
        secy.enable_transmit_sa(self.an(), NOW).unwrap();
        secy
    }

    fn receiver(&self, backend: Backend, validate: ValidateFrames) -> SecY {
        let own = Sci::new(MacAddr([2; 6]), 1);
        let mut secy = SecY::new(SecyPolicy { backend, validate, ..SecyPolicy::new(own) }, NOW).unwrap();
        secy.create_receive_sc(self.sci(), NOW).unwrap();
        self.install(&mut secy, self.pn());
        secy
    }

    /// Its receive SA, from this packet number on.
    fn install(&self, secy: &mut SecY, lowest_pn: u64) {
        let params = ReceiveSaParams {
            sak: &self.sak(),
            suite: self.suite(),
            offset: ConfidentialityOffset::Zero,
            key_id: KeyId::default(),
            lowest_pn,
            ssci: self.ssci(),
            salt: self.salt(),
        };
        secy.create_receive_sa(self.sci(), self.an(), &params, NOW).unwrap();
        secy.enable_receive_sa(self.sci(), self.an(), NOW).unwrap();
    }

    fn validates_to_plain(&self, backend: Backend) {
        let mut secy = self.receiver(backend, ValidateFrames::Strict);
        let mut frame = self.protected();
        assert_eq!(secy.validate(&mut frame), RxVerdict::Deliver(Delivered::Ok), "{} {backend}", self.name);
        assert_eq!(*frame, *self.plain(), "{} {backend}", self.name);
        let status = secy.status();
        assert_eq!((status.receive[0].counters.in_pkts_ok, frames_counted(&status)), (1, 1));
    }

    fn protects_exactly(&self, backend: Backend) {
        let mut secy = self.sender(backend);
        let mut frame = self.plain();
        let expected = if self.encrypted() { Protected::Encrypted } else { Protected::Protected };
        assert_eq!(secy.protect(&mut frame), Ok(expected), "{} {backend}", self.name);
        assert_eq!(*frame, *self.protected(), "{} {backend}", self.name);
        let mut tagged = dirty(&frame);
        assert!(clear_tags::push(&mut tagged, &self.clear_tags()));
        assert_eq!(*tagged, octets(&self.protected_frame), "{} {backend}", self.name);
    }
}

// 802.1AE-2018 Annex C.1 to C.8.
#[test]
fn annex_c_is_met_octet_by_octet_both_ways() {
    let vectors = annex_c();
    assert_eq!(vectors.len(), 32);
    for (vector, backend) in vectors.iter().flat_map(|v| Backend::ALL.map(|backend| (v, backend))) {
        vector.protects_exactly(backend);
        vector.validates_to_plain(backend);
    }
}

// Trap 4 among them: three frames have none, one and two VLAN tags in clear.
#[test]
fn frames_of_dpdk_are_met_octet_by_octet_both_ways() {
    let vectors: Vec<Vector> = dpdk().into_iter().filter(|v| v.expect == "valid").collect();
    assert_eq!(vectors.len(), 16);
    for (vector, backend) in vectors.iter().flat_map(|v| Backend::ALL.map(|backend| (v, backend))) {
        vector.protects_exactly(backend);
        vector.validates_to_plain(backend);
    }
}

#[test]
fn wrong_frames_of_dpdk_are_refused_for_the_stated_reason() {
    let vectors: Vec<Vector> = dpdk().into_iter().filter(|v| v.expect != "valid").collect();
    assert_eq!(vectors.len(), 13);
    for (vector, backend) in vectors.iter().flat_map(|v| Backend::ALL.map(|backend| (v, backend))) {
        for validate in [ValidateFrames::Strict, ValidateFrames::Check] {
            let mut secy = vector.receiver(backend, validate);
            let verdict = secy.validate(&mut vector.protected());
            let status = secy.status();
            let (secy, sc) = (&status.counters, &status.receive[0].counters);
            let (expected, counter) = match (vector.expect.as_str(), validate) {
                ("invalid", _) => (RxVerdict::Drop(RxDrop::NotValid), sc.in_pkts_not_valid),
                ("bad-tag", _) => (RxVerdict::Drop(RxDrop::BadTag), secy.in_pkts_bad_tag),
                ("not-macsec", ValidateFrames::Strict) => {
                    (RxVerdict::Drop(RxDrop::NoTag), secy.in_pkts_no_tag)
                }
                ("not-macsec", _) => (RxVerdict::Deliver(Delivered::Untagged), secy.in_pkts_untagged),
                (other, _) => panic!("unknown expectation {other}"),
            };
            assert_eq!(verdict, expected, "{} {backend} {validate:?}", vector.name);
            assert_eq!((counter, frames_counted(&status)), (1, 1), "{}", vector.name);
        }
    }
}

fn listed(list: &str) -> Vec<Vector> {
    dpdk().into_iter().filter(|v| v.name.contains(list)).collect()
}

// §10.6: the old and the new SA of one SC side by side.
#[test]
fn dpdks_rekeying_loses_nothing() {
    let vectors = listed("list_mcs_rekey_vectors");
    for pair in vectors.chunks(2) {
        let [old, new] = pair else { panic!("pairs") };
        let mut secy = old.receiver(Backend::AwsLc, ValidateFrames::Strict);
        new.install(&mut secy, 1);
        for vector in [new, old] {
            let mut frame = vector.protected();
            assert_eq!(secy.validate(&mut frame), RxVerdict::Deliver(Delivered::Ok), "{}", vector.name);
            assert_eq!(*frame, *vector.plain());
        }
    }
}

// §10.6.2, traps 3 and 28: PN 2, 4b, 32, 3 without XPN, and fffffffe, 1_00000062, 1_00000058, 1_00000002 with.
#[test]
fn dpdks_replay_sequences_follow_the_window() {
    let vectors = listed("list_mcs_anti_replay_vectors");
    let (plain, xpn) = vectors.split_at(4);
    // (which, window, which of the four are accepted)
    for (sequence, window, accepted) in [
        (plain, 0, [true, true, false, false]),
        (plain, 32, [true, true, true, false]),
        (plain, 100, [true, true, true, true]),
        (xpn, 0, [true, true, false, false]),
        (xpn, 32, [true, true, true, false]),
        (xpn, 200, [true, true, true, true]),
    ] {
        let first = &sequence[0];
        let mut secy = first.receiver(Backend::AwsLc, ValidateFrames::Strict);
        secy.set_policy(SecyPolicy { replay_window: window, ..*secy.policy() }).unwrap();
        for (vector, accepted) in sequence.iter().zip(accepted) {
            let late = RxVerdict::Drop(RxDrop::Late);
            let expected = if accepted { RxVerdict::Deliver(Delivered::Ok) } else { late };
            assert_eq!(secy.validate(&mut vector.protected()), expected, "{} window {window}", vector.name);
        }
    }
}

#[test]
fn frames_of_a_live_linux_peer_validate_and_altered_ones_do_not() {
    let vectors = load(include_str!("../vectors/scapy_macsec.json"));
    assert_eq!(vectors.len(), 14);
    for (vector, backend) in vectors.iter().flat_map(|v| Backend::ALL.map(|backend| (v, backend))) {
        let protected = octets(&vector.protected_frame);
        let tag = macsec::wire::SecTag::decode(&protected).unwrap().unwrap();
        // scapy does not list the association number.
        let fields = Some(TagFields { es: 0, scb: 0, an: tag.an.get() });
        let mut secy =
            Vector { sectag_fields: fields, ..vector.clone() }.receiver(backend, ValidateFrames::Strict);
        let mut frame = vector.protected();
        if vector.expect == "valid" {
            assert_eq!(secy.validate(&mut frame), RxVerdict::Deliver(Delivered::Ok), "{}", vector.name);
            assert_eq!(*frame, *vector.plain(), "{}", vector.name);
        } else {
            assert_eq!(secy.validate(&mut frame), RxVerdict::Drop(RxDrop::NotValid), "{}", vector.name);
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Derivation {
    PnRecovery { lowest_pn: String, rx_pn32: String, recovered_pn: String },
    Salt { ks_mi: String, kn: u32, salt: String },
    Ssci { scis: Vec<String>, ssci: std::collections::BTreeMap<String, u32> },
}

// §10.6.2 Table 10-2, §10.7.28, §10.7.13; traps 3, 27 and 28.
#[test]
fn packet_numbers_salts_and_sscis_are_derived_as_published() {
    let text = include_str!("../vectors/xpn_derivations.json");
    let derivations: Vec<Derivation> = serde_json::from_str(text).unwrap();
    assert_eq!(derivations.len(), 18);
    for derivation in derivations {
        match derivation {
            Derivation::PnRecovery { lowest_pn, rx_pn32, recovered_pn } => {
                let word = u32::try_from(number(&rx_pn32)).unwrap();
                assert_eq!(recover(number(&lowest_pn), word), number(&recovered_pn), "{lowest_pn} {rx_pn32}");
            }
            Derivation::Salt { ks_mi, kn, salt } => {
                let key = KeyId::new(octets(&ks_mi).try_into().unwrap(), kn);
                assert_eq!(Salt::for_key(key).0, *octets(&salt), "{ks_mi} {kn}");
            }
            Derivation::Ssci { scis, ssci } => {
                let sharing: Vec<Sci> = scis.iter().map(|sci| sci.parse().unwrap()).collect();
                for (sci, expected) in ssci {
                    assert_eq!(Ssci::assign(sci.parse().unwrap(), &sharing), Some(Ssci(expected)));
                }
            }
        }
    }
}
