//! Keys for MKA on the command line: made by `keygen`, used by `check` and `decode`, printed by nobody.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test crate: the helpers, too, end the test when something is not as it should be"
)]

#[path = "support/binary.rs"]
mod binary;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use binary::{Ended, Folder, capture, command, ended, octets, quadspan};
use serde_json::Value;

/// Runs the program in a folder.
fn within(folder: &Folder, args: &[&str]) -> Ended {
    ended(command().current_dir(&folder.0).args(args))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap().trim().to_owned()
}

#[test]
fn a_new_key_is_in_files_of_its_own_and_not_on_the_screen() {
    let folder = Folder::new("keygen");
    let made = within(&folder, &["keygen", "--out", "keys/ch1"]);
    assert_eq!(made.code, 0, "{made:?}");
    let (ckn, cak) = (folder.path("keys/ch1.ckn"), folder.path("keys/ch1.cak"));
    assert_eq!((mode(&ckn), mode(&cak), mode(&folder.path("keys"))), (0o600, 0o600, 0o700));
    let (ckn, cak) = (read(&ckn), read(&cak));
    assert_eq!((ckn.len(), cak.len()), (64, 64));
    assert!(ckn != cak && cak.bytes().all(|digit| digit.is_ascii_hexdigit()));
    for at in (0..64).step_by(8) {
        let part = &cak[at..at + 8];
        assert!(!made.out.contains(part) && !made.err.contains(part), "a part of the key was printed");
    }
    assert!(made.out.starts_with("[[channel.macsec.key]]\n") && made.out.contains(&ckn), "{made:?}");

    let again = within(&folder, &["keygen", "-o", "keys/ch1"]);
    assert!(again.code == 1 && again.err.contains("never overwritten"), "{again:?}");
    assert_eq!((read(&folder.path("keys/ch1.ckn")), read(&folder.path("keys/ch1.cak"))), (ckn, cak));
    // With half of a pair there, the other half is not made.
    fs::remove_file(folder.path("keys/ch1.ckn")).unwrap();
    assert_eq!(within(&folder, &["keygen", "-o", "keys/ch1"]).code, 1);
    assert!(!folder.path("keys/ch1.ckn").exists());
}

#[test]
fn a_link_is_not_written_through() {
    let folder = Folder::new("keygen-link");
    std::os::unix::fs::symlink(folder.path("elsewhere"), folder.path("ch1.cak")).unwrap();
    assert_eq!(within(&folder, &["keygen", "-o", "ch1"]).code, 1);
    assert!(!folder.path("elsewhere").exists() && !folder.path("ch1.ckn").exists());
}

// `keys/` would be the hidden `keys/.ckn`, and a mistyped folder one that nobody looks for.
#[test]
fn keygen_wants_a_name_and_a_folder_that_is_there() {
    let folder = Folder::new("keygen-name");
    fs::create_dir(folder.path("there")).unwrap();
    for out in ["there/", "there", "new/", ".", "there/.."] {
        let told = within(&folder, &["keygen", "--out", out]);
        assert!(told.code == 2 && told.err.contains("name the key, too: --out "), "{out}: {told:?}");
    }
    let far = folder.path("nowhere/dir/ch1");
    for out in [far.to_str().unwrap(), "no/where/ch1", "/nowhere-at-all/ch1"] {
        let told = within(&folder, &["keygen", "--out", out]);
        assert!(told.code == 1 && told.err.contains("there is no folder "), "{out}: {told:?}");
        assert!(told.err.contains("mkdir -p -m 700 "), "{out}: {told:?}");
    }
    assert_eq!(fs::read_dir(folder.path("there")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(folder.path(".")).unwrap().count(), 1, "nothing was made");
    assert_eq!(within(&folder, &["keygen", "--out", "keys/ch1"]).code, 0, "one folder is");
    assert_eq!(within(&folder, &["keygen", "--out", "there/ch1"]).code, 0);
}

#[test]
fn what_keygen_prints_is_a_configuration_and_both_ends_compare_a_fingerprint() {
    let folder = Folder::new("keygen-config");
    folder.config();
    let example = read(&folder.path("quadspan.toml"));
    let (head, rest) = example.split_once("[[channel.macsec.static.tx]]").unwrap();
    let (_, tail) = rest.split_once("[[connection]]").unwrap();
    let first = within(&folder, &["keygen", "-o", "keys/a"]);
    let second = within(&folder, &["keygen", "-o", "keys/b", "--start", "2027-01-01T03:00:00+01:00"]);
    folder.put("mka.toml", format!("{head}{}{}\n[[connection]]{tail}", first.out, second.out));
    let check = within(&folder, &["check", "mka.toml"]);
    assert!(check.code == 0 && check.err.is_empty(), "{check:?}");
    assert!(second.out.contains("start = 2027-01-01T02:00:00Z"), "{second:?}");

    let third = within(&folder, &["keygen", "-o", "keys/c", "--json"]).json();
    assert_eq!((&third["kind"], &third["bits"]), (&"Keygen".into(), &256.into()));
    assert_eq!(third["ckn"], read(&folder.path("keys/c.ckn")));
    let fingerprint = third["fingerprint"].as_str().unwrap();
    assert!(
        fingerprint.len() == 16 && fingerprint.bytes().all(|digit| digit.is_ascii_hexdigit()),
        "{fingerprint}"
    );
    assert!(third["snippet"].as_str().unwrap().contains(fingerprint));
}

#[test]
fn keys_that_have_not_started_are_warned_of() {
    let folder = Folder::new("keygen-late");
    folder.config();
    let example = read(&folder.path("quadspan.toml"));
    let (head, rest) = example.split_once("[[channel.macsec.static.tx]]").unwrap();
    let (_, tail) = rest.split_once("[[connection]]").unwrap();
    let key = within(&folder, &["keygen", "-o", "keys/a", "--start", "2999-01-01T00:00:00Z"]).out;
    folder.put("mka.toml", format!("{head}{key}\n[[connection]]{tail}"));
    let check = within(&folder, &["check", "mka.toml"]);
    assert!(check.code == 0 && check.err.contains("QS0320"), "{check:?}");
}

#[test]
fn the_length_follows_bits_or_cipher() {
    let folder = Folder::new("keygen-bits");
    for (args, digits) in [
        (&["--bits", "128"][..], 32),
        (&["--bits", "256"], 64),
        (&["--cipher", "gcm-aes-xpn-128"], 32),
        (&["--cipher", "gcm-aes-256"], 64),
    ] {
        let stem = format!("key-{}", args[1]);
        let made = within(&folder, &[&["keygen", "-o", &stem], args].concat());
        assert_eq!((made.code, read(&folder.path(&format!("{stem}.cak"))).len()), (0, digits), "{made:?}");
    }
    for wrong in [&["--bits", "192"][..], &["--bits", "128", "--cipher", "gcm-aes-256"], &["--start", "soon"]]
    {
        assert_eq!(within(&folder, &[&["keygen", "-o", "x"], wrong].concat()).code, 2, "{wrong:?}");
    }
    // Without a name it is called after its CKN.
    let made = within(&folder, &["keygen", "--json"]).json();
    let name = format!("mka-{}.cak", &made["ckn"].as_str().unwrap()[..8]);
    assert_eq!((&made["cak_file"], folder.path(&name).exists()), (&name.as_str().into(), true));
}

/// The exchanges of `gateway/src/decode/vectors`, by place: CKN, CAK, capture, all of it.
fn exchange(at: usize) -> (String, String, Vec<u8>, Value) {
    let file: Value = serde_json::from_str(include_str!("../src/decode/vectors/mka_captures.json")).unwrap();
    let value = file["captures"][at].clone();
    let frames: Vec<_> =
        value["frames"].as_array().unwrap().iter().map(|hex| octets(hex.as_str().unwrap())).collect();
    let text = |name: &str| value[name].as_str().unwrap().to_owned();
    (text("ckn"), text("cak"), capture(&frames), value)
}

#[test]
fn a_capture_is_read_with_a_cak() {
    let folder = Folder::new("decode-mka");
    let (ckn, cak, file, value) = exchange(1);
    let file = folder.put("a.pcap", file);
    let (ckn_file, cak_file) = (folder.put("ckn", &ckn), folder.put("cak", &cak));
    let by_file = [format!("@{ckn_file}"), format!("@{cak_file}")];
    for pair in [[&ckn, &cak], [&by_file[0], &by_file[1]]] {
        let args = ["decode", &file, "--ckn", pair[0], "--cak", pair[1], "--json"];
        let ended = quadspan(&args);
        let json = ended.json();
        let list = |part: &str, names: [&str; 4]| -> Value {
            names.iter().map(|name| json[part][*name].clone()).collect::<Vec<_>>().into()
        };
        assert_eq!(list("mkpdu", ["total", "icv_valid", "icv_invalid", "unknown_ckn"]), value["mkpdu"]);
        assert_eq!(list("macsec", ["total", "valid", "invalid", "no_key"]), value["macsec"]);
        assert_eq!(json["saks"].as_array().unwrap().len(), 2);
        assert!(!ended.out.contains(&cak[..12]));
        assert!(!ended.out.contains(&value["saks"][0]["sak"].as_str().unwrap()[..12]));
    }
    let clear = folder.path("clear.pcapng").display().to_string();
    let told = quadspan(&["decode", &file, "--ckn", &ckn, "--cak", &cak, "-w", &clear]);
    assert!(told.code == 0 && told.out.contains("8 MKPDUs: 7 with a valid ICV"), "{told:?}");
    assert!(told.out.contains("! 1 MKPDUs name CKN 6f74686572"), "{told:?}");
    let written = fs::read(&clear).unwrap();
    let plain = octets(value["plain"][0].as_str().unwrap());
    assert!(written.windows(plain.len()).any(|octets| octets == plain));
    let shown = quadspan(&["decode", &file, "--ckn", &ckn, "--cak", &cak, "--show-keys", "--json"]).json();
    assert_eq!(shown["saks"][1]["sak"], value["saks"][1]["sak"]);
}

#[test]
fn decode_says_what_is_wrong_with_a_cak_and_never_repeats_it() {
    let folder = Folder::new("decode-cak");
    let (ckn, _, file, _) = exchange(0);
    let file = folder.put("a.pcap", file);
    let secret = "deadbeefdeadbeefdeadbeefdeadbeef";
    let open = folder.put("open", secret);
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let open = format!("@{open}");
    for (args, said) in [
        (&["--ckn", &ckn][..], "in pairs"),
        (&["--ckn", "0", "--cak", secret], "--ckn must be"),
        (&["--ckn", &ckn, "--cak", &secret[1..]], "--cak must be"),
        (&["--ckn", &ckn, "--cak", &open], "chmod o="),
        (&["--ckn", &ckn, "--cak", "@/nonexistent"], "does not exist"),
    ] {
        let ended = quadspan(&[&["decode", &file], args].concat());
        assert!(ended.code == 2 && ended.err.contains(said), "{ended:?}");
        assert!(!ended.err.contains("deadbeef"), "{ended:?}");
    }
    let wrong = quadspan(&["decode", &file, "--ckn", &ckn, "--cak", secret]);
    assert!(wrong.code == 0 && wrong.out.contains("the CAK is another one"), "{wrong:?}");
    assert!(!wrong.out.contains("deadbeef"));
}
