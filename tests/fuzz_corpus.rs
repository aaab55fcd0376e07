//! Every octet string that fuzzing found worth keeping, through the same functions, on the stable toolchain.
//!
//! `fuzz/corpus/TARGET/*` is the committed corpus; a crash that was mended leaves its input there. Each file is also
//! replayed cut short and with an octet changed, so that the corpus is worth a little more than itself.

use std::fs;

use world::{fuzz, house::root};

#[path = "../fuzz/bodies/pcap_decode.rs"]
mod pcap_decode;

/// What a target does with the octets.
type Body = fn(&[u8]);

const TARGETS: [(&str, Body); 12] = [
    ("bfd", fuzz::bfd),
    ("bgp_update", fuzz::bgp_update),
    ("config", fuzz::config),
    ("kay", fuzz::kay),
    ("lacp", fuzz::lacp),
    ("mkpdu", fuzz::mkpdu),
    ("neighbor", fuzz::neighbor),
    ("offload", fuzz::offload),
    ("pcap_decode", pcap_decode::pcap_decode),
    ("pipeline", fuzz::pipeline),
    ("sectag", fuzz::sectag),
    ("secy_pair", fuzz::secy_pair),
];

#[test]
fn every_target_has_a_corpus_and_it_passes() {
    for (target, body) in TARGETS {
        let files = corpus(target);
        assert!(files.len() >= 3, "{target}: only {} files", files.len());
        for (name, octets) in files {
            println!("{target}/{name}");
            body(&octets);
            body(&octets[..octets.len() / 2]);
            let mut changed = octets;
            if let Some(octet) = changed.iter_mut().rev().nth(3) {
                *octet ^= 0x10;
                body(&changed);
            }
        }
    }
}

#[test]
fn every_target_of_the_fuzz_package_is_replayed_here() {
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("fuzz/Cargo.toml");
    let manifest: toml::Table = manifest.parse().expect("a manifest is TOML");
    let bins = manifest["bin"].as_array().expect("targets");
    let mut names: Vec<_> = bins.iter().filter_map(|bin| bin["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, TARGETS.map(|(name, _)| name));
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = root().join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let read = |entry: fs::DirEntry| {
        (
            entry.file_name().to_string_lossy().into_owned(),
            fs::read(entry.path()).expect("a file of the corpus"),
        )
    };
    let mut files: Vec<_> = entries.map(|entry| read(entry.expect("an entry"))).collect();
    files.sort();
    files
}
