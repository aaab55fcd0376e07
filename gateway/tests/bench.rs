//! `quadspan bench` as an operator runs it: the gateways in namespaces included, where this user may have some.
//!
//! Skipped loudly without the right to namespaces, and failed under `CI=true`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod support;

use std::{
    fs,
    process::{Command, Stdio},
};

use serde_json::Value;
use support::{able, gateway::Folder};

fn bench(words: &[&str]) -> (Value, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quadspan"));
    let done = command.args(["--json", "bench", "--seconds", "1"]).args(words).stdin(Stdio::null()).output();
    let done = done.unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let document = serde_json::from_str(&text);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    (document.unwrap_or_else(|why| panic!("{why}: {text}{said}")), done.status.code())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

#[test]
fn it_measures_memory_and_gateways_and_judges_a_promise() {
    if !able("bench::figures", &[]) {
        return;
    }
    let (document, code) = bench(&[]);
    assert_eq!((code, document["kind"].as_str()), (Some(0), Some("Bench")));
    let figures = &document["figures"];
    // Four suites and one or two other libraries, four sizes; how much each costs is for a quiet machine to say.
    let crypto = figures["crypto"].as_array().unwrap();
    assert!([20, 24].contains(&crypto.len()), "{}", crypto.len());
    assert!(crypto.iter().all(|one| number(&one["protect_ns"]) > 0.0 && number(&one["aead_ns"]) > 0.0));
    let capacity = figures["capacity"].as_array().unwrap();
    let octets: Vec<_> = capacity.iter().map(|one| number(&one["octets"])).collect();
    assert_eq!(octets, [64.0, 512.0, 1460.0, 8960.0]);
    assert!(capacity.iter().all(|one| number(&one["own_ns"]) > 0.0 && number(&one["most_mpps"]) > 0.0));
    // Two sizes, and 2, 4 and 8 workers as far as there are processors; how much faster is for a quiet machine to say.
    let processors = number(&figures["machine"]["processors"]);
    let counts = [2.0, 4.0, 8.0].into_iter().filter(|count| *count <= processors);
    let expected: Vec<_> =
        [64.0, 1460.0].iter().flat_map(|size| counts.clone().map(|one| (*size, one))).collect();
    let scaling = figures["scaling"].as_array().unwrap();
    let tried: Vec<_> = scaling.iter().map(|one| (number(&one["octets"]), number(&one["workers"]))).collect();
    assert_eq!(tried, expected);
    for one in scaling {
        assert!(number(&one["alone_mpps"]) > 0.0 && number(&one["together_mpps"]) > 0.0, "{one}");
        assert!(number(&one["times"]) > 0.0 && number(&one["waited_percent"]) >= 0.0, "{one}");
    }
    let rig = &figures["rig"];
    assert!(rig.is_object(), "no gateways in namespaces: {}", figures["no_rig"]);
    assert!(number(&rig["tcp_gbit_per_s"]) > 0.0 && number(&rig["small_arrived"]) > 0.0, "{rig}");
    let stages: Vec<_> = rig["stages"].as_array().unwrap().iter().map(|one| one[0].clone()).collect();
    assert!(stages.contains(&"forward".into()) && stages.contains(&"send".into()), "{rig}");
    assert!(figures["promise"].is_null());
}

#[test]
fn a_promise_that_no_machine_keeps_is_broken() {
    let folder = Folder::new();
    let file = folder.path().join("promise.toml");
    let text = "schema = 1\n[site]\nname = \"a\"\n[[port]]\nname = \"lan\"\ndevice = \"eth0\"\n[[port]]\nname = \"wan\"\ndevice = \"eth1\"\n\
         [[interconnect]]\nname = \"x\"\n[[channel]]\nname = \"ch\"\ninterconnect = \"x\"\nport = \"wan\"\nmtu = 1600\n\
         [channel.macsec]\npolicy = \"off\"\n\
         [[connection]]\nname = \"blue\"\ninterconnect = \"x\"\nrate = 400000\n\
         [[connection.attachment]]\nchannel = \"ch\"\nvlan = 100\naddress = [\"169.254.1.1/30\"]\npeer = [\"169.254.1.2\"]\n\
         [[connection.lan]]\nport = \"lan\"\naddress = [\"10.1.0.1/24\"]\n";
    fs::write(&file, text).unwrap();
    let (document, code) = bench(&["--no-rig", "--config", file.to_str().unwrap()]);
    let promise = &document["figures"]["promise"];
    assert_eq!((promise["verdict"].as_str(), code), (Some("broken"), Some(8)), "{promise}");
    assert!((number(&promise["promised_gbit_per_s"]) - 400.0).abs() < 1e-9);
    assert!(document["figures"]["rig"].is_null());
}
