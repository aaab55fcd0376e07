//! What the tests of this crate share: a source of keys, and a configuration to break.
#![allow(dead_code, reason = "each test file uses its part")]

use core::time::Duration;
use std::time::SystemTime;

use config::{Loaded, Problems, SecretError, SecretRef, SecretSource, secret::Zeroizing};

/// Keys by their reference. What nothing is said about is a 32-octet key made of its name, so that different
/// references are different keys.
pub(crate) struct Keys;

impl SecretSource for Keys {
    fn read(&self, reference: &SecretRef) -> Result<Zeroizing<String>, SecretError> {
        let name = match reference {
            SecretRef::File(path) => path.display().to_string(),
            SecretRef::Credential(name) | SecretRef::Env(name) => name.clone(),
        };
        let text = match name.as_str() {
            "absent" => return Err(SecretError::NotFound),
            "world" => return Err(SecretError::WorldReadable { mode: 0o644 }),
            "denied" => return Err(SecretError::Denied),
            "garbage" => "not a key: 0123".to_owned(),
            "odd" => "00112233445566778899".to_owned(),
            "short" => "00112233445566778899aabbccddeeff\n".to_owned(),
            "md5" => "CorrectHorse\n".to_owned(),
            "md5-spaces" => "correct horse\n".to_owned(),
            "md5-empty" => "\n".to_owned(),
            "md5-long" => "x".repeat(81),
            "md5-lines" => "one\ntwo\n".to_owned(),
            "md5-short" => "abcde".to_owned(),
            name => key_text(name),
        };
        Ok(Zeroizing::new(text))
    }
}

/// The key that [`Keys`] gives for a name.
pub(crate) fn key_text(name: &str) -> String {
    let mut state = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    });
    (0..4)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{state:016x}")
        })
        .collect()
}

pub(crate) fn load(text: &str) -> Result<Loaded, Problems> {
    // 2026-01-01.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    config::load_at("site.toml", text, &Keys, now)
}

/// Every problem of `text`, whether or not it loads.
pub(crate) fn problems(text: &str) -> Problems {
    load(text).map_or_else(|problems| problems, |loaded| loaded.warnings)
}

/// The examples that stand beside the crate, by name.
pub(crate) const EXAMPLES: [(&str, &str); 7] = [
    ("minimal.toml", include_str!("../../examples/minimal.toml")),
    ("two-sites-a.toml", include_str!("../../examples/two-sites-a.toml")),
    ("two-sites-b.toml", include_str!("../../examples/two-sites-b.toml")),
    ("across-a-network.toml", include_str!("../../examples/across-a-network.toml")),
    ("google-lag.toml", include_str!("../../examples/google-lag.toml")),
    ("transparent.toml", include_str!("../../examples/transparent.toml")),
    ("vlan-in-clear.toml", include_str!("../../examples/vlan-in-clear.toml")),
];

/// A valid configuration with a bit of everything; tests change one thing in it.
pub(crate) const BASE: &str = r#"schema = 1
[site]
name = "here"
[runtime]
workers = 2
pin = [0, 1]
[[port]]
name = "lan1"
device = "eth0"
[[port]]
name = "wan1"
device = "eth1"
[[port]]
name = "wan2"
device = "eth2"
io = "af_packet"
[[interconnect]]
name = "to-b"
profile = "quadspan"
[[channel]]
name = "ch1"
interconnect = "to-b"
port = "wan1"
clear_tags = []
mtu = 1536
[channel.macsec]
policy = "must-secure"
cipher = "gcm-aes-xpn-256"
replay_window = 0
include_sci = true
sci = "02000000aa01:0001"
[[channel.macsec.static.tx]]
an = 0
key = { file = "ch1-out" }
salt = "000102030405060708090a0b"
ssci = 1
[[channel.macsec.static.rx]]
sci = "02000000bb01:0001"
an = 0
key = { file = "ch1-in" }
salt = "000102030405060708090a0b"
ssci = 2
[[channel]]
name = "ch2"
interconnect = "to-b"
port = "wan2"
[channel.macsec]
cipher = "gcm-aes-256"
[[channel.macsec.static.tx]]
an = 0
key = { file = "ch2-out" }
[[channel.macsec.static.rx]]
sci = "02000000bb02:0001"
an = 0
key = { file = "ch2-in" }
[[connection]]
name = "blue"
interconnect = "to-b"
[[connection.attachment]]
channel = "ch1"
vlan = 100
address = ["169.254.10.1/30", "fd00:10::1/126"]
peer = ["169.254.10.2", "fd00:10::2"]
mtu = 1500
[[connection.attachment]]
channel = "ch2"
address = ["169.254.11.1/30"]
peer = ["169.254.11.2"]
[[connection.lan]]
port = "lan1"
vlan = 20
address = ["10.1.0.1/24", "fd00:1::1/64"]
[[connection.route]]
prefix = "10.2.0.0/24"
via = "attachments"
[[connection.route]]
prefix = "10.3.0.0/24"
via = "10.1.0.254"
[connection.bgp]
asn = 65001
announce = ["lans", "10.2.0.0/24"]
[[connection.policy]]
name = "out"
[[connection.policy.rule]]
prefix = ["10.0.0.0/8 le 24"]
med = 50
add_community = ["7224:7300"]
[[connection.neighbor]]
on = "ch1"
asn = 64513
password = { file = "md5" }
import = "accept"
export = "out"
[[connection.neighbor]]
on = "ch1"
address = "fd00:10::2"
asn = 64513
password = { file = "md5" }
import = "accept"
export = "out"
"#;

/// `BASE` with the first `from` of each pair replaced. Each must be there.
pub(crate) fn base_with(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(BASE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the base has no {from:?}");
        text.replacen(from, to, 1)
    })
}
