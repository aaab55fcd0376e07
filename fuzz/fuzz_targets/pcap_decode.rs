#![no_main]

#[path = "../bodies/pcap_decode.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| body::pcap_decode(octets));
