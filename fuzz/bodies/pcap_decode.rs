//! Captures from anywhere. It lies here, and not in the `world` of the tests, so that `world` need not build the gateway.

use gateway::decode::{ClearWriter, Decoder, KeyText, decode, read_caks};

/// CKNs and CAKs of the key exchanges in the corpus.
const CAKS: [[&str; 2]; 3] = [
    ["96437a9331", "135bd758b0ee5c11c55ff6ab19fdb199"],
    ["00c0ffee", "ff0123456789abcdef0123456789abcdef0123456789abcdef00112233445566"],
    ["0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20", "00112233445566778899aabbccddeeff"],
];

/// Whatever the file holds there is a summary or a clear error, and no more is opened than was there.
pub fn pcap_decode(octets: &[u8]) {
    let [ckns, caks] = [0, 1].map(|at| CAKS.iter().map(|pair| text(pair[at])).collect::<Vec<_>>());
    let mut decoder = Decoder::with_caks(&read_caks(&ckns, &caks).expect("pairs in hexadecimal"));
    for key in ["42".repeat(16), "42".repeat(32)] {
        decoder.add_key(text(&key).read().expect("a key in hexadecimal"));
    }
    let clear = ClearWriter::new(Vec::new()).expect("memory takes all");
    if let Ok(summary) = decode(octets, decoder, Some(clear)) {
        let counts = &summary.macsec;
        assert!(counts.total <= summary.frames, "{summary:?}");
        assert!(counts.valid + counts.invalid + counts.no_key <= counts.total, "{summary:?}");
        let mka = &summary.mkpdu;
        let parts = mka.icv_valid + mka.icv_invalid + mka.unknown_ckn + mka.malformed;
        assert_eq!(mka.total, parts, "{summary:?}");
        assert!(mka.total + counts.total <= summary.frames, "{summary:?}");
    }
}

fn text(text: &str) -> KeyText {
    text.parse().unwrap_or_else(|never| match never {})
}
