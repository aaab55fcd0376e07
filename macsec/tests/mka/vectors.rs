//! Published vectors: IEEE 802.1X-2020 Annex G, RFC 4493, SP 800-38B, RFC 3394, and what Android tests with.

use std::collections::BTreeMap;

use macsec::{
    Cak, Ckn, KeyId, Salt, Sci, Ssci,
    mka::{
        kdf::{CakKeys, Prf, kdf},
        keywrap,
    },
};
use serde::Deserialize;

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect()
}

#[derive(Deserialize)]
struct KdfVector {
    name: String,
    op: String,
    inputs: BTreeMap<String, serde_json::Value>,
    expected: String,
    conforms_to_standard: bool,
}

impl KdfVector {
    fn octets(&self, name: &str) -> Vec<u8> {
        octets(self.inputs[name].as_str().unwrap())
    }

    fn len(&self) -> usize {
        usize::try_from(self.inputs["length_bits"].as_u64().unwrap()).unwrap() / 8
    }

    fn keys(&self) -> CakKeys {
        let (cak, ckn) = (Cak::new(&self.octets("cak")).unwrap(), self.octets("ckn"));
        CakKeys::derive(&cak, &Ckn::new(&ckn).unwrap()).unwrap()
    }

    fn compute(&self) -> Vec<u8> {
        match self.op.as_str() {
            "kdf" => {
                let prf = Prf::new(&self.octets("key")).unwrap();
                let label = self.inputs["label_ascii"].as_str().unwrap();
                kdf(&prf, label.as_bytes(), &[&self.octets("context")], self.len()).to_vec()
            }
            "kek" => self.keys().kek().to_vec(),
            // The ICK itself is not shown by the crate; the KDF that makes it is.
            "ick" => {
                let prf = Prf::new(&self.octets("cak")).unwrap();
                let mut context = self.octets("ckn");
                context.resize(16, 0);
                let ick = kdf(&prf, b"IEEE8021 ICK", &[&context], self.len());
                let probe = b"any MKPDU";
                assert_eq!(self.keys().icv(probe), Prf::new(&ick).unwrap().mac(&[probe]), "{}", self.name);
                ick.to_vec()
            }
            "sak" => {
                let cak = Cak::new(&self.octets("cak")).unwrap();
                let keys = CakKeys::derive(&cak, &Ckn::new(b"any").unwrap()).unwrap();
                let number = u32::try_from(self.inputs["kn"].as_u64().unwrap()).unwrap();
                let list = self.inputs["mi_list"].as_array().unwrap();
                let members: Vec<u8> =
                    list.iter().flat_map(|member| octets(member.as_str().unwrap())).collect();
                let nonce = self.octets("ks_nonce");
                keys.generate_sak(&nonce, &members, number, self.len()).to_vec()
            }
            "wrap_sak" => keywrap::wrap(self.keys().kek(), &self.octets("sak")).unwrap(),
            "icv_nonstandard_unpadded_ckn" => self.keys().icv(&self.octets("message")).to_vec(),
            other => panic!("{other}"),
        }
    }
}

// 802.1X-2020 Annex G: G.1 KDF, G.4 KEK, G.5 ICK, G.6 SAK, for 128 and 256 bits.
#[test]
fn annex_g_and_the_android_vectors_hold() {
    let vectors: Vec<KdfVector> = serde_json::from_str(include_str!("../vectors/mka_kdf.json")).unwrap();
    assert_eq!(vectors.len(), 14);
    for vector in &vectors {
        // The two that leave out the padding of the CKN must come out differently: trap 21.
        let same = vector.compute() == octets(&vector.expected);
        assert_eq!(same, vector.conforms_to_standard, "{}", vector.name);
    }
    assert_eq!(vectors.iter().filter(|vector| vector.conforms_to_standard).count(), 12);
}

#[derive(Deserialize)]
struct CmacVector {
    name: String,
    key: String,
    message: String,
    tag: String,
}

#[test]
fn cmac_vectors_hold_and_a_changed_bit_is_noticed() {
    let vectors: Vec<CmacVector> = serde_json::from_str(include_str!("../vectors/cmac.json")).unwrap();
    assert_eq!(vectors.len(), 10);
    for vector in &vectors {
        let (prf, message) = (Prf::new(&octets(&vector.key)).unwrap(), octets(&vector.message));
        let mut tag: [u8; 16] = octets(&vector.tag).try_into().unwrap();
        assert_eq!(prf.mac(&[&message]), tag, "{}", vector.name);
        let (head, tail) = message.split_at(message.len() / 2);
        assert_eq!(prf.mac(&[head, tail]), tag, "{}", vector.name);
        assert!(prf.verify(&message, &tag));
        tag[15] ^= 1;
        assert!(!prf.verify(&message, &tag));
    }
    assert!(Prf::new(&[0; 24]).is_none() && Prf::new(&[]).is_none());
}

#[derive(Deserialize)]
struct WrapVector {
    name: String,
    kek: String,
    plain: String,
    wrapped: String,
}

#[test]
fn key_wrap_vectors_hold_for_the_keks_that_mka_has() {
    let vectors: Vec<WrapVector> =
        serde_json::from_str(include_str!("../vectors/rfc3394_keywrap.json")).unwrap();
    assert_eq!(vectors.len(), 7);
    let mut held = 0;
    for vector in &vectors {
        let (kek, plain, wrapped) = (octets(&vector.kek), octets(&vector.plain), octets(&vector.wrapped));
        if kek.len() == 24 {
            // No CAK has 24 octets (802.1X-2020 §9.3).
            assert_eq!(keywrap::wrap(&kek, &plain), None);
            assert_eq!(keywrap::unwrap(&kek, &wrapped), None);
            continue;
        }
        assert_eq!(keywrap::wrap(&kek, &plain).unwrap(), wrapped, "{}", vector.name);
        assert_eq!(keywrap::unwrap(&kek, &wrapped).unwrap().to_vec(), plain, "{}", vector.name);
        for at in 0..wrapped.len() {
            let mut changed = wrapped.clone();
            changed[at] ^= 0x10;
            assert_eq!(keywrap::unwrap(&kek, &changed), None, "{} {at}", vector.name);
        }
        held += 1;
    }
    assert!(held >= 4, "{held}");
    for len in 0..64 {
        let none = keywrap::unwrap(&[7; 16], &vec![3; len]);
        assert_eq!(none, None, "{len}");
    }
}

#[derive(Deserialize)]
struct Derivation {
    kind: String,
    ks_mi: Option<String>,
    kn: Option<u32>,
    salt: Option<String>,
    scis: Option<Vec<String>>,
    ssci: Option<BTreeMap<String, u32>>,
}

// 802.1AE-2018 §10.7.13, §10.7.28; traps 27 and 28.
#[test]
fn salts_and_sscis_are_those_of_the_vectors() {
    let vectors: Vec<Derivation> =
        serde_json::from_str(include_str!("../vectors/xpn_derivations.json")).unwrap();
    let mut counted = (0, 0);
    for vector in vectors {
        match vector.kind.as_str() {
            "salt" => {
                let member = octets(&vector.ks_mi.unwrap()).try_into().unwrap();
                let salt = Salt::for_key(KeyId::new(member, vector.kn.unwrap()));
                assert_eq!(salt.0.to_vec(), octets(&vector.salt.unwrap()));
                counted.0 += 1;
            }
            "ssci" => {
                let scis: Vec<Sci> = vector.scis.unwrap().iter().map(|sci| sci.parse().unwrap()).collect();
                for (sci, ssci) in vector.ssci.unwrap() {
                    assert_eq!(Ssci::assign(sci.parse().unwrap(), &scis), Some(Ssci(ssci)));
                }
                counted.1 += 1;
            }
            _ => {}
        }
    }
    assert_eq!(counted, (4, 2));
}
