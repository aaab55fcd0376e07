//! What two gateways say of BGP sessions that do not come up, when several things are wrong at once: each neighbour gets its own reason.
//!
//! Needs root and the tools; skipped loudly without, and failed under `CI=true`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod support;

use std::time::Duration;

use serde_json::Value;
use support::gateway::Gateway;
use support::shell::until;
use support::sites::{Plan, Sites};

const PATIENCE: Duration = Duration::from_secs(40);

/// The session over IPv4 on a channel, or the one at this address.
fn neighbor(gateway: &Gateway, address: &str) -> Value {
    let list = gateway.api("bgp");
    let found = list["items"].as_array().unwrap().iter().find(|one| one["address"] == address);
    found.unwrap().clone()
}

/// Waits until a neighbour's reason has all of these words.
fn says(gateway: &Gateway, address: &str, words: &[&str]) {
    let mut last = Value::Null;
    let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until("the reason", PATIENCE, || {
            last = neighbor(gateway, address);
            let detail = last["detail"].as_str().unwrap_or_default();
            words.iter().all(|word| detail.contains(word)).then_some(())
        });
    }));
    assert!(seen.is_ok(), "{address} should say {words:?}: {last:#}");
}

fn detail(gateway: &Gateway, address: &str) -> String {
    neighbor(gateway, address)["detail"].as_str().unwrap_or_default().to_owned()
}

// RFC 4271 §6.2, RFC 2385.
#[test]
fn every_neighbour_gets_its_own_reason() {
    let plan = Plan { channels: 4, bgp: true, ..Plan::DEFAULT };
    let Some(mut sites) = Sites::build("bgp_reasons::every_neighbour", plan) else { return };
    sites.folder.key("right", "correct-horse\n");
    sites.folder.key("wrong", "battery-staple\n");
    let at = |own: u8, channel: u8| {
        format!("address = \"169.254.{channel}.{}\"\nasn = 6500{}\n", 3 - own, 3 - own)
    };
    let signed = |line: String, file: &str| format!("{line}password = {{ file = \"{file}\" }}\n");
    // Channel 1: B takes A for AS 65099. Channel 2: another password. Channel 3: none at B. Channel 4: B is somebody else.
    for channel in [1, 2, 3, 4] {
        sites.a.rewrite(&at(1, channel), &signed(at(1, channel), "right"));
    }
    sites.b.rewrite(&at(2, 1), &signed(at(2, 1).replace("asn = 65001", "asn = 65099"), "right"));
    sites.b.rewrite(&at(2, 2), &signed(at(2, 2), "wrong"));
    sites.b.rewrite("\"169.254.4.2/30\"", "\"169.254.4.6/30\"");
    sites.b.rewrite("peer = [\"169.254.4.1\"", "peer = [\"169.254.4.5\"");
    sites.b.rewrite(&at(2, 4), &signed(at(2, 4).replace("169.254.4.1", "169.254.4.5"), "right"));
    sites.a.start(&sites.lab);
    sites.b.start(&sites.lab);
    says(&sites.a, "169.254.1.2", &["peer sent 2/2 OPEN error, bad peer AS", "another AS of us than 65001"]);
    says(&sites.b, "169.254.1.1", &["neighbour says AS 65001, we expect 65099"]);
    says(&sites.a, "169.254.2.2", &["wrong MD5 signature: the passwords differ"]);
    says(&sites.a, "169.254.3.2", &["without an MD5 signature: the neighbour has no password"]);
    says(&sites.b, "169.254.3.1", &["with an MD5 signature: the neighbour has a password"]);
    says(&sites.a, "169.254.4.2", &["no route to host"]);
    // They stay so: no reset by a neighbour that leaves us alone, no guess about another one.
    let watched = gateway::clock::now();
    while gateway::clock::now().since(watched) < Duration::from_secs(8) {
        for (gateway, address) in [(&sites.a, "169.254.1.2"), (&sites.b, "169.254.1.1")] {
            let said = detail(gateway, address);
            assert!(said.contains("bad peer AS") && !said.contains("MD5"), "{address}: {said}");
        }
        assert!(!detail(&sites.a, "169.254.4.2").contains("MD5"));
        std::thread::park_timeout(Duration::from_millis(200));
    }
    let (two, three) = (detail(&sites.a, "169.254.2.2"), detail(&sites.a, "169.254.3.2"));
    assert!(two.contains("differ") && !two.contains("no password"), "{two}");
    assert!(three.contains("no password") && !three.contains("differ"), "{three}");
    for channel in ["ch1", "ch4"] {
        let told = sites.a.events("bgp.md5");
        let of = |line: &&Value| {
            line["neighbor"].as_str().unwrap().ends_with(&format!("169.254.{}.2", &channel[2..]))
        };
        assert!(!told.iter().any(|line| of(&line)), "{told:?}");
    }
    // Whatever BGP says, the far end of channel 4 has another address than we believe.
    for (gateway, from, ours) in
        [(&sites.a, "169.254.4.6", "169.254.4.0/30"), (&sites.b, "169.254.4.1", "169.254.4.4/30")]
    {
        let told = format!("ARP from {from} arrives, and nobody answers inside {ours}");
        until(&told, PATIENCE, || gateway.says("status").contains(&told).then_some(()));
        assert_eq!(gateway.says("status").matches("! interface/").count(), 1);
    }
    println!("{}\n{}", sites.a.says("status"), sites.b.says("show bgp"));
    sites.end();
}

// RFC 9003.
#[test]
fn what_is_the_matter_now_comes_before_what_was() {
    let plan = Plan {
        channels: 1,
        bgp: true,
        attachment: "bfd = {}\n",
        neighbor: "bfd = \"follow\"\n",
        ..Plan::DEFAULT
    };
    let Some(mut sites) = Sites::build("bgp_reasons::what_is_the_matter", plan) else { return };
    sites.a.start(&sites.lab);
    sites.b.start(&sites.lab);
    sites.wait_sessions(2);
    sites.b.end();
    let before = "it said 6/2 cease, administrative shutdown: \"gateway stopped\"";
    until("the end is told", PATIENCE, || {
        let last = neighbor(&sites.a, "169.254.1.2")["last_notification_in"].clone();
        last["why"].as_str().unwrap_or_default().contains("gateway stopped").then_some(())
    });
    says(&sites.a, "169.254.1.2", &["; before, ", before]);
    let now = detail(&sites.a, "169.254.1.2");
    assert!(!now.starts_with("peer sent") && now.find("; before, ") > Some(0), "{now}");
    println!("{}", sites.a.says("show bgp"));
    sites.a.end();
}

#[test]
fn a_link_that_was_never_there_has_its_reason() {
    let plan = Plan { channels: 1, bgp: true, mka: Some(""), ..Plan::DEFAULT };
    let Some(mut sites) = Sites::build("bgp_reasons::a_link_that_was_never_there", plan) else { return };
    sites.a.start(&sites.lab);
    says(&sites.a, "169.254.1.2", &["the link is down: mka_down"]);
    sites.a.end();
}
