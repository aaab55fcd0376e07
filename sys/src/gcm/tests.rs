//! AES-GCM against the portable library, which shares no line with it, and against the specification's own cases.

use aes_gcm::{AeadInOut, Aes128Gcm, Aes256Gcm, KeyInit, Nonce};

use super::*;

fn portable(key: &[u8], nonce: &[u8; 12], aad: &[u8], text: &mut [u8]) -> [u8; 16] {
    let nonce = Nonce::from(*nonce);
    if key.len() == 16 {
        let key = Aes128Gcm::new_from_slice(key).unwrap();
        key.encrypt_inout_detached(&nonce, aad, text.into()).unwrap().into()
    } else {
        let key = Aes256Gcm::new_from_slice(key).unwrap();
        key.encrypt_inout_detached(&nonce, aad, text.into()).unwrap().into()
    }
}

/// Octets without a pattern that a mistake could share.
fn octets(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

fn agree(key_len: usize, aad_len: usize, text_len: usize) {
    let seed = u64::try_from(key_len * 1_000_003 + aad_len * 1009 + text_len).unwrap();
    let key = octets(key_len, seed);
    let Some(own) = GcmKey::new(&key) else { return };
    let nonce: [u8; 12] = octets(12, seed + 1).try_into().unwrap();
    let (aad, plain) = (octets(aad_len, seed + 2), octets(text_len, seed + 3));
    let (mut theirs, mut ours) = (plain.clone(), plain.clone());
    let tag = portable(&key, &nonce, &aad, &mut theirs);
    assert_eq!(own.seal(&nonce, &aad, &mut ours), tag, "tag of {key_len}/{aad_len}/{text_len}");
    assert_eq!(ours, theirs, "cipher text of {key_len}/{aad_len}/{text_len}");
    assert!(own.open(&nonce, &aad, &mut ours, &tag));
    assert_eq!(ours, plain);
}

#[test]
fn this_test_is_about_something_where_the_processor_can_do_it() {
    assert_eq!(GcmKey::new(&[0; 16]).is_some(), is_supported());
    assert!(GcmKey::new(&[0; 24]).is_none());
    assert!(GcmKey::new(&[]).is_none());
}

// Every length around blocks, vectors and strides.
#[test]
fn it_agrees_with_the_portable_library_at_every_length() {
    for key_len in [16, 32] {
        (0..=600).for_each(|text| agree(key_len, 28, text));
        (0..=600).for_each(|aad| agree(key_len, aad, 70));
        for aad in [0, 1, 15, 16, 17, 48, 63, 64, 65, 80, 255, 256, 257] {
            for text in
                [0, 1, 16, 52, 64, 65, 240, 255, 256, 257, 500, 512, 513, 767, 768, 1448, 8948, 65_535]
            {
                agree(key_len, aad, text);
            }
        }
    }
}

// McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test case 16 (AES-256) and 4 (AES-128).
#[test]
fn it_does_the_cases_of_the_specification() {
    let hex = |text: &str| -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|two| u8::from_str_radix(core::str::from_utf8(two).unwrap(), 16).unwrap())
            .collect()
    };
    let plain = hex(concat!(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72",
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    ));
    let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let nonce: [u8; 12] = hex("cafebabefacedbaddecaf888").try_into().unwrap();
    let key = "feffe9928665731c6d6a8f9467308308";
    let cases = [
        (hex(key), "42831ec2217774244b7221b784d0d49c", "5bc94fbc3221a5db94fae95ae7121a47"),
        (hex(&key.repeat(2)), "522dc1f099567d07f47f37a32a84427d", "76fc6ece0f4e1768cddf8853bb2d551b"),
    ];
    for (key, first, tag) in cases {
        let Some(own) = GcmKey::new(&key) else { return };
        let mut text = plain.clone();
        assert_eq!(own.seal(&nonce, &aad, &mut text).to_vec(), hex(tag));
        assert_eq!(text[..16], hex(first));
    }
}

#[test]
fn one_bit_anywhere_is_found() {
    let Some(key) = GcmKey::new(&[7; 32]) else { return };
    let (nonce, aad, plain) = ([9; 12], octets(28, 1), octets(300, 2));
    let mut cipher = plain.clone();
    let tag = key.seal(&nonce, &aad, &mut cipher);
    for bit in 0..300 * 8 {
        let mut changed = cipher.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!key.open(&nonce, &aad, &mut changed, &tag), "text bit {bit}");
        assert!(changed.iter().all(|&octet| octet == 0), "nothing is left of a text that is wrong");
    }
    for bit in 0..28 * 8 {
        let mut changed = aad.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!key.open(&nonce, &changed, &mut cipher.clone(), &tag), "associated bit {bit}");
    }
    for bit in 0..16 * 8 {
        let mut changed = tag;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!key.open(&nonce, &aad, &mut cipher.clone(), &changed), "tag bit {bit}");
    }
}
