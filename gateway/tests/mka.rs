//! MKA between two real gateways: first frames, rollovers under traffic, a gateway that is killed, keys that differ.
//!
//! Needs root and the tools; skipped loudly without, and failed under `CI=true`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod support;

use std::time::Duration;

use gateway::clock;
use gateway::lab::{
    Topology,
    traffic::udp::{BUCKET, UdpFlow, UdpOptions, UdpRun},
};
use support::shell::{must, ping, until};
use support::sites::{Plan, Sites};

const PLAN: Plan = Plan { channels: 1, mka: Some(""), ..Plan::DEFAULT };
const PATIENCE: Duration = Duration::from_secs(20);

/// Datagrams every two milliseconds from A's host to B's and back.
fn traffic(sites: &Sites) -> [UdpRun; 2] {
    [("h-a", "h-b", "10.2.0.2"), ("h-b", "h-a", "10.1.0.2")].map(|(from, to, address)| {
        let flow =
            |number: u16| UdpFlow { to: address.parse().unwrap(), source_port: 42_000 + number, packet: 200 };
        let options = UdpOptions { flows: (0..4_u16).map(flow).collect(), rate: 500, port: 7000 };
        UdpRun::start(sites.lab.namespace(from).unwrap(), sites.lab.namespace(to).unwrap(), &options).unwrap()
    })
}

/// From `moment` to the first arrival after it, both ways.
fn until_arrival(runs: [UdpRun; 2], moment: net::Instant) -> Duration {
    let first = |run: UdpRun| {
        let report = run.stop().unwrap();
        let ends = |at: usize| report.started.after(BUCKET * u32::try_from(at + 1).unwrap());
        let arrived =
            report.buckets.iter().enumerate().filter(|(_, count)| **count > 0).map(|(at, _)| ends(at));
        arrived.filter(|at| *at > moment.after(BUCKET)).min().unwrap().since(moment)
    };
    runs.map(first).into_iter().max().unwrap()
}

/// Waits until a good number of frames has crossed in both directions.
fn flows(sites: &Sites) {
    let accepted = || [&sites.a, &sites.b].map(|gateway| gateway.counted("ch1").of("in_pkts_ok"));
    let before = accepted();
    until("traffic flows both ways", PATIENCE, || {
        accepted().iter().zip(&before).all(|(now, then)| *now > then + 100).then_some(())
    });
}

fn says(sites: &Sites, what: &str) -> bool {
    sites.a.cli(&["show", "mka", "ch1"]).text.contains(what)
}

#[test]
fn the_first_frame_crosses_soon_after_the_start_and_hosts_meet() {
    for (clear_tags, cipher, workers) in [(&[][..], "gcm-aes-xpn-256", 1), (&[2100, 17], "gcm-aes-128", 2)] {
        let plan = Plan { channels: 2, clear_tags, cipher, workers, ..PLAN };
        let Some(sites) = Sites::start("mka::the_first_frame", plan) else { return };
        for channel in ["ch1", "ch2"] {
            for gateway in [&sites.a, &sites.b] {
                let mka = gateway.mka(channel);
                assert!(mka["secured"] == true && mka["diagnoses"].as_array().unwrap().is_empty(), "{mka}");
                assert_eq!(mka["key"]["suite"], cipher);
            }
            let [a, b] = [&sites.a, &sites.b].map(|gateway| gateway.mka(channel)["key"]["key_id"].clone());
            assert_eq!(a, b);
        }
        ping(&sites.lab, "h-a", 3, "-M do -s 1472 10.2.0.2");
        ping(&sites.lab, "h-b", 3, "fd00:1::2");
        assert!(sites.a.log().contains("mka.secured") && sites.b.log().contains("mka.peer_up"));
        sites.assert_clean();
        sites.end();
    }
}

#[test]
fn traffic_starts_within_a_second_of_the_processes() {
    let Some(mut sites) = Sites::build("mka::traffic_starts", PLAN) else { return };
    // Hosts know their gateways already, as they do in life.
    for (host, own) in [("h-a", 1), ("h-b", 2)] {
        let gateway = Topology::gateway_mac(own, 0);
        must(&sites.lab, host, &format!("ip neighbour replace 10.{own}.0.1 lladdr {gateway} dev eth0"));
    }
    let runs = traffic(&sites);
    sites.a.start(&sites.lab);
    let begun = clock::now();
    sites.b.start(&sites.lab);
    let last = clock::now();
    flows(&sites);
    let took = until_arrival(runs, last);
    println!(
        "the second process said that it runs after {:?}; from then to traffic both ways: {took:?}",
        last.since(begun)
    );
    assert!(took < Duration::from_secs(1), "{took:?}");
    sites.end();
}

#[test]
fn sak_rolls_under_traffic_lose_nothing() {
    let Some(sites) = Sites::start("mka::sak_rolls", PLAN) else { return };
    let runs = traffic(&sites);
    let key = || sites.a.mka("ch1")["key"]["key_id"].clone();
    for _ in 0..5 {
        let before = key();
        let done = sites.a.cli(&["rekey", "ch1"]);
        assert!(done.status == Some(0) && done.text.contains("fresh SAK"), "{done:?}");
        until("another SAK", PATIENCE, || (key() != before).then_some(()));
    }
    // At once again: it is not forgotten, it waits for the last rollover.
    let before = key();
    assert_eq!(sites.a.api_post("channels/ch1/rekey")["answer"], "queued");
    until("another SAK", PATIENCE, || (key() != before).then_some(()));
    let other = sites.b.cli(&["rekey", "ch1"]);
    assert!(other.status == Some(1) && other.text.contains("key server is"), "{other:?}");
    assert_eq!(sites.a.cli(&["rekey", "ch7"]).status, Some(1));
    for report in runs.map(|run| run.stop().unwrap()) {
        let totals = report.totals();
        assert!(totals.sent > 2000, "{totals:?}");
        assert_eq!(
            (totals.lost, totals.duplicated, totals.reordered, totals.damaged),
            (0, 0, 0, 0),
            "{totals:?}"
        );
    }
    assert_eq!(sites.b.mka("ch1")["rekeys"], 7);
    assert!(sites.b.log().matches("mka.rekeyed").count() == 6 && sites.a.log().contains("asked for"));
    sites.assert_clean();
    sites.end();
}

#[test]
fn a_key_that_starts_takes_over_and_loses_nothing() {
    let Some(mut sites) = Sites::build("mka::a_key_that_starts", PLAN) else { return };
    let start = jiff::Timestamp::try_from(clock::wall()).unwrap() + Duration::from_secs(12);
    for gateway in [&sites.a, &sites.b] {
        gateway.configure(&format!(
            "[[channel.macsec.key]]\nckn = \"1234\"\ncak = {{ file = \"next.cak\" }}\nstart = \"{start}\"\n"
        ));
    }
    sites.folder.key("next.cak", &"0e".repeat(32));
    sites.a.start(&sites.lab);
    sites.b.start(&sites.lab);
    sites.wait_reachable();
    assert!(says(&sites, "ckn 1234 starts in"));
    let runs = traffic(&sites);
    flows(&sites);
    assert_eq!(sites.a.mka("ch1")["principal"], "c1c1c1c1c1c1c1c1");
    next_key_carries(&sites, runs);
    assert!(sites.a.log().contains("another CAK is principal"));
    sites.assert_clean();
    sites.end();
}

/// The key of CKN 1234 takes over at both ends, and the traffic loses nothing by it.
fn next_key_carries(sites: &Sites, runs: [UdpRun; 2]) {
    for gateway in [&sites.a, &sites.b] {
        until("the new key carries", PATIENCE, || (gateway.mka("ch1")["key"]["ckn"] == "1234").then_some(()));
    }
    flows(sites);
    for report in runs.map(|run| run.stop().unwrap()) {
        let totals = report.totals();
        assert_eq!((totals.lost, totals.duplicated, totals.damaged), (0, 0, 0), "{totals:?}");
    }
}

/// A key chain grows while it is used: no restart, and the new key takes over when it starts.
#[test]
fn a_key_that_a_reload_brings_takes_over_and_loses_nothing() {
    let Some(sites) = Sites::start("mka::a_key_that_a_reload_brings", PLAN) else { return };
    let runs = traffic(&sites);
    flows(&sites);
    sites.folder.key("next.cak", &"0e".repeat(32));
    let start = jiff::Timestamp::try_from(clock::wall()).unwrap() + Duration::from_secs(5);
    for gateway in [&sites.a, &sites.b] {
        gateway.configure(&format!(
            "[[channel.macsec.key]]\nckn = \"1234\"\ncak = {{ file = \"next.cak\" }}\nstart = \"{start}\"\n"
        ));
        let told = gateway.says("reload");
        assert!(told.contains("channel ch1 its key chain changes: 2 instead of 1 CAKs"), "{told}");
    }
    next_key_carries(&sites, runs);
    sites.assert_clean();
    sites.end();
}

#[test]
fn a_gateway_that_was_killed_forwards_again_within_a_second() {
    let Some(mut sites) = Sites::start("mka::a_gateway_that_was_killed", PLAN) else { return };
    for (victim, given_up) in [("a", false), ("b", false), ("a", true), ("b", true)] {
        let runs = traffic(&sites);
        flows(&sites);
        let lab = &sites.lab;
        let (gateway, other) = match victim {
            "a" => (&mut sites.a, &sites.b),
            _ => (&mut sites.b, &sites.a),
        };
        let told = other.log().matches("mka.peer_down").count();
        gateway.kill();
        if given_up {
            until("it is given up", PATIENCE, || {
                (other.log().matches("mka.peer_down").count() > told).then_some(())
            });
        }
        let begun = clock::now();
        gateway.start(lab);
        let back = clock::now();
        flows(&sites);
        let took = until_arrival(runs, back);
        println!(
            "{victim} killed, given up {given_up}: the new process said that it runs after {:?}; from then to traffic both ways: {took:?}",
            back.since(begun)
        );
        assert!(took < Duration::from_secs(1), "{victim}: {took:?}");
    }
    sites.end();
}

#[test]
fn keys_that_differ_are_named_and_carry_nothing() {
    for (file, hex, sentence, remedy) in [
        ("2-1.cak", "b1".repeat(32), "ICV failure for CKN c1c1c1c1c1c1c1c1", "same cak"),
        ("2-1.ckn", "dd".repeat(8), "unknown CKN dddddddddddddddd", "same ckn"),
    ] {
        let Some(mut sites) = Sites::build("mka::keys_that_differ", PLAN) else { return };
        sites.folder.key(file, &hex);
        sites.a.start(&sites.lab);
        sites.b.start(&sites.lab);
        until("the screen says why", PATIENCE, || {
            (says(&sites, sentence) && says(&sites, remedy)).then_some(())
        });
        assert!(says(&sites, "NOT SECURED"));
        let status = sites.a.cli(&["status", "--exit-code"]);
        assert!(status.status == Some(8) && status.text.contains(sentence), "{status:?}");
        assert!(sites.a.log().contains(sentence) && sites.a.log().contains(remedy));
        let pinged = support::shell::sh(&sites.lab, "h-a", "ping -n -c 2 -i 0.2 -W 1 10.2.0.2");
        assert_ne!(pinged.status, Some(0));
        let rekey = sites.a.cli(&["rekey", "ch1"]);
        assert!(rekey.status == Some(1) && rekey.text.contains("no live peer"), "{rekey:?}");
        // The right key and a new start: all is well.
        sites.b.kill();
        sites.folder.key("2-1.cak", &"a1".repeat(32));
        sites.folder.key("2-1.ckn", &"c1".repeat(8));
        sites.b.start(&sites.lab);
        sites.wait_reachable();
        sites.end();
    }
}

// The key server just distributes no SAK then, so the other end has to find out by itself.
#[test]
fn cipher_suites_that_differ_are_named_at_both_ends() {
    let Some(mut sites) = Sites::build("mka::cipher_suites", PLAN) else { return };
    sites.b.rewrite(PLAN.cipher, "gcm-aes-128");
    sites.a.start(&sites.lab);
    sites.b.start(&sites.lab);
    for (gateway, offered, ours) in
        [(&sites.a, "gcm-aes-128", PLAN.cipher), (&sites.b, PLAN.cipher, "gcm-aes-128")]
    {
        let sentence = format!("it offers {offered}; ours: {ours}");
        let remedy = "give both ends a suite in common";
        until("the screen says why", PATIENCE, || {
            let screen = gateway.says("show mka ch1");
            (screen.contains(&sentence) && screen.contains(remedy)).then_some(())
        });
        let status = gateway.cli(&["status", "--exit-code"]);
        assert!(status.status == Some(8) && status.text.contains(&sentence), "{status:?}");
        until("so does the log", PATIENCE, || gateway.log().contains(&sentence).then_some(()));
        let told = gateway.events("mka.diagnosis");
        assert!(told.iter().any(|event| event["code"] == "cipher_not_supported"), "{told:?}");
    }
    sites.b.rewrite("gcm-aes-128", PLAN.cipher);
    sites.b.kill();
    sites.b.start(&sites.lab);
    sites.wait_reachable();
    until("all is well", PATIENCE, || (!sites.a.says("show mka ch1").contains("ours: gcm")).then_some(()));
    // Back so soon that nobody has missed it, and with another suite: the SAK of before is nobody else's any more.
    sites.b.kill();
    sites.b.rewrite(PLAN.cipher, "gcm-aes-128");
    sites.b.start(&sites.lab);
    for (gateway, offered, ours) in
        [(&sites.a, "gcm-aes-128", PLAN.cipher), (&sites.b, PLAN.cipher, "gcm-aes-128")]
    {
        let sentence = format!("it offers {offered}; ours: {ours}");
        until("the status says why", PATIENCE, || {
            let status = gateway.cli(&["status", "--exit-code"]);
            (status.status == Some(8) && status.text.contains(&sentence)).then_some(())
        });
        println!("{}", gateway.says("status"));
    }
    sites.end();
}

#[test]
fn crossed_cables_are_called_so() {
    let plan = Plan { channels: 2, ..PLAN };
    let Some(mut sites) = Sites::build("mka::crossed_cables", plan) else { return };
    for (device, other) in [
        ("device = \"ch1\"", "device = \"x\""),
        ("device = \"ch2\"", "device = \"ch1\""),
        ("device = \"x\"", "device = \"ch2\""),
    ] {
        sites.b.rewrite(device, other);
    }
    sites.a.start(&sites.lab);
    sites.b.start(&sites.lab);
    for gateway in [&sites.a, &sites.b] {
        for (own, other) in [("ch1", "ch2"), ("ch2", "ch1")] {
            let words =
                format!("it is the CKN of our channel {other}: are the cables of {own} and {other} crossed?");
            until(&words, PATIENCE, || {
                let screen = gateway.says(&format!("show mka {own}"));
                (screen.contains(&words) && gateway.says("status").contains(&words)).then_some(())
            });
        }
    }
    println!("{}\n{}", sites.a.says("status"), sites.a.says("show mka ch1"));
    sites.end();
}

#[test]
fn a_peer_that_is_not_there_is_named_too() {
    let Some(mut sites) = Sites::build("mka::a_peer_that_is_not_there", PLAN) else { return };
    sites.a.start(&sites.lab);
    until("the screen says why", PATIENCE, || says(&sites, "no MKPDU seen").then_some(()));
    until("so does the log", PATIENCE, || sites.a.log().contains("nothing_heard").then_some(()));
    sites.b.start(&sites.lab);
    sites.wait_reachable();
    sites.b.kill();
    until("the loss is noticed", PATIENCE, || sites.a.log().contains("mka.lost").then_some(()));
    assert!(sites.a.log().contains("mka.peer_down") && sites.a.log().contains("mka_down"));
    sites.a.end();
}

// 802.1X-2020 §9.18.
#[test]
fn a_suspended_channel_carries_on_without_mka_and_takes_it_up_again() {
    let plan = Plan { mka: Some("hello = \"500ms\"\nlife = \"2s\""), bridged: true, ..PLAN };
    let Some(sites) = Sites::start("mka::a_suspended_channel", plan) else { return };
    let unknown = sites.a.cli(&["mka", "suspend", "ch7"]);
    assert!(unknown.status == Some(1) && unknown.text.contains("no channel `ch7`"), "{unknown:?}");
    let runs = traffic(&sites);
    flows(&sites);
    // The key server begins a suspension, another member asks it to.
    for (asker, words) in [(&sites.a, "is suspended for 15 s"), (&sites.b, "is asked to suspend MKA")] {
        until("both have settled", PATIENCE, || {
            [&sites.a, &sites.b].iter().all(|one| one.mka("ch1")["state"] == "retired").then_some(())
        });
        let key = sites.a.mka("ch1")["key"]["key_id"].clone();
        let done = asker.cli(&["mka", "suspend", "ch1", "--for", "15s"]);
        assert!(done.status == Some(0) && done.text.contains(words), "{done:?}");
        until("both know of it", PATIENCE, || {
            let suspended = |one: &support::gateway::Gateway| one.mka("ch1")["suspended_ms"].is_u64();
            (suspended(&sites.a) && suspended(&sites.b)).then_some(())
        });
        assert!(sites.b.cli(&["show", "mka"]).text.contains("suspended for "));
        sites.pass_eapol(1, false);
        let heard = || [&sites.a, &sites.b].map(|one| one.mka("ch1")["participants"][0]["in_mkpdu"].clone());
        let before = until("the last MKPDU is through", PATIENCE, || {
            let now = heard();
            (sites.a.mka("ch1")["suspended_ms"].as_u64().unwrap() < 12_500).then_some(now)
        });
        // Three life times in silence, and as much is left: when it is over, the silence must be, too.
        until("most of it has passed", PATIENCE, || {
            (sites.a.mka("ch1")["suspended_ms"].as_u64().unwrap() < 6500).then_some(())
        });
        assert_eq!(heard(), before, "the bridge eats EAPOL");
        flows(&sites);
        sites.pass_eapol(1, true);
        for one in [&sites.a, &sites.b] {
            until("MKA is taken up", PATIENCE, || one.mka("ch1")["suspended_ms"].is_null().then_some(()));
            until("a life time goes by", PATIENCE, || {
                let count = |value: &serde_json::Value| value.as_u64().unwrap();
                (heard().iter().zip(&before).all(|(now, then)| count(now) > count(then) + 6)).then_some(())
            });
            let mka = one.mka("ch1");
            assert!(mka["secured"] == true && mka["key"]["key_id"] == key, "{mka}");
            assert!(
                !one.log().contains("mka.peer_down") && one.log().contains("mka.resumed"),
                "{}",
                one.log()
            );
        }
    }
    let before = sites.a.mka("ch1")["key"]["key_id"].clone();
    assert_eq!(sites.a.cli(&["rekey", "ch1"]).status, Some(0));
    until("another SAK", PATIENCE, || (sites.a.mka("ch1")["key"]["key_id"] != before).then_some(()));
    // While a rollover is on its way nothing is suspended.
    let early = sites.a.cli(&["mka", "suspend", "ch1"]);
    assert!(early.status == Some(1) && early.text.contains("just being agreed on"), "{early:?}");
    for report in runs.map(|run| run.stop().unwrap()) {
        let totals = report.totals();
        assert!(totals.sent > 5000, "{totals:?}");
        assert_eq!((totals.lost, totals.duplicated, totals.damaged), (0, 0, 0), "{totals:?}");
    }
    sites.assert_clean();
    // Without a suspension the same silence is the end of the channel.
    sites.pass_eapol(1, false);
    until("the channel is given up", PATIENCE, || sites.a.log().contains("mka.lost").then_some(()));
    let alone = sites.a.cli(&["mka", "suspend", "ch1"]);
    assert!(alone.status == Some(1) && alone.text.contains("no live peer"), "{alone:?}");
    sites.end();
}

#[test]
fn a_timer_rekeys_by_itself() {
    let Some(sites) =
        Sites::start("mka::a_timer", Plan { mka: Some("rekey = \"60s\"\npriority = 7"), ..PLAN })
    else {
        return;
    };
    let mka = sites.a.mka("ch1");
    assert!(mka["key"]["replaced_at"].is_string() && mka["key_server"]["priority"] == 7, "{mka}");
    assert!(says(&sites, "replaced in"));
    sites.end();
}
