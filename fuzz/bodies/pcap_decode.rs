//! Captures from anywhere. It lies here, and not in the `world` of the tests, so that `world` need not build the gateway.

use gateway::decode::{ClearWriter, Decoder, KeyText, decode};

/// Whatever the file holds there is a summary or a clear error, and no more is opened than was there.
pub fn pcap_decode(octets: &[u8]) {
    let mut decoder = Decoder::default();
    for key in ["42".repeat(16), "42".repeat(32)] {
        let text: KeyText = key.parse().unwrap_or_else(|never| match never {});
        decoder.add_key(text.read().expect("a key in hexadecimal"));
    }
    let clear = ClearWriter::new(Vec::new()).expect("memory takes all");
    if let Ok(summary) = decode(octets, decoder, Some(clear)) {
        let counts = &summary.macsec;
        assert!(counts.total <= summary.frames, "{summary:?}");
        assert!(counts.valid + counts.invalid + counts.no_key <= counts.total, "{summary:?}");
    }
}
