//! Every screen, as it is at 80 columns, at 120, and without a terminal.
//!
//! The expected texts are files in `screens/`; `QUADSPAN_UPDATE_SCREENS=1` writes them anew, to be read before they are
//! committed.

use std::{collections::BTreeMap, env, fs, path::Path, time::Duration};

use dataplane::{
    DropReason, Fault, QualityStatus,
    stamp::{Report, Why},
};
use jiff::Timestamp;

use super::*;
use crate::{
    api::{
        self, event,
        model::{
            BgpDown, BgpFamily, BgpNeighbor, ClassCount, Hop, Redundancy, Route, RouteAction, RouteExport,
            RouteOrigin, RoutePath, RouteStory, RouteWorker, RunningConfig,
        },
        testbed::{KEY, break_channel, facts, mka_facts, records},
        testbed_bfd::bfd_facts,
    },
    decode::{
        CknSummary, KeySummary, MacsecCounts, MemberSummary, MkpduCounts, SaSummary, SakSummary, Summary,
    },
};

fn now() -> Timestamp {
    facts().wall
}

/// Holds a screen at every width against its file.
fn holds(name: &str, screen: impl Fn(&Look) -> String) {
    for width in [Some(80), Some(120), None] {
        let text = screen(&Look { width, colour: false, now: now() });
        if let Some(width) = width {
            let longest = text.lines().max_by_key(|line| line.chars().count()).unwrap_or_default();
            let prose = longest.starts_with("! ")
                || ["macsec", "mka", "config", "bfd", "bgp-neighbor", "route-story"].contains(&name);
            let wrapped = longest.chars().count() <= width || prose;
            assert!(wrapped, "{name} at {width}: {longest}");
        }
        let file = format!(
            "src/show/screens/{name}-{}.txt",
            width.map_or_else(|| "plain".to_owned(), |width| width.to_string())
        );
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        if env::var_os("QUADSPAN_UPDATE_SCREENS").is_some() {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, &text).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
        assert_eq!(text, expected, "{}", file.display());
    }
}

/// One channel is down, some frames were dropped.
fn broken() -> api::Facts {
    let mut facts = facts();
    break_channel(&mut facts, 0, Fault::NoCarrier);
    facts.reports[0].snapshot.channels[0].drops.add(DropReason::MacsecLate, 12_345);
    facts.reports[1].snapshot.ports[0].drops.add(DropReason::NoRoute, 4);
    facts
}

#[test]
fn status_of_a_gateway_that_is_well() {
    holds("status", |look| status(look, &api::status(&facts())));
}

#[test]
fn status_of_a_gateway_that_is_not() {
    holds("status-degraded", |look| status(look, &api::status(&broken())));
}

#[test]
fn channels_screen() {
    holds("channels", |look| channels(look, &api::channels(&broken())));
}

#[test]
fn connections_screen() {
    holds("connections", |look| connections(look, &api::connections(&broken())));
}

#[test]
fn connections_screen_with_protection() {
    let mut all = api::connections(&broken());
    let counters = [("Passed", 123_456), ("Discarded", 123_440), ("Lost", 2), ("OutOfOrder", 7)];
    let counters = counters.map(|(name, count)| (format!("frerCpsSeqRcvy{name}Packets"), count));
    let mut standby = all[0].clone();
    all[0].protection = "duplicate".to_owned();
    let mut seen =
        Redundancy { sent: 200_000, classes: vec![], counters: counters.into(), latent_error: true };
    all[0].redundancy = Some(seen.clone());
    let mut classes = standby.clone();
    let class = |name: &str, sent| ClassCount { name: name.to_owned(), sent };
    (seen.classes, seen.latent_error) = (vec![class("voice", 199_000), class("till", 1000)], false);
    (classes.protection, classes.redundancy) = ("ecmp".to_owned(), Some(seen));
    standby.protection = "active-standby".to_owned();
    standby.active = Some(standby.attachments[0].channel.clone());
    all.truncate(1);
    all.extend([standby, classes]);
    holds("protection", |look| connections(look, &all));
}

#[test]
fn events_screen() {
    let facts = facts();
    let (records, _) = records().since(0);
    let all: Vec<_> = records.iter().map(|one| event(&facts.config, &facts.setup, one)).collect();
    holds("events", |look| events(look, &all));
}

#[test]
fn quality_screen() {
    let mut facts = facts();
    let last = Report { sent: 20, received: 19, lost_out: 1, ..measured(1_250, 4_800) };
    let path = |bad, last| QualityStatus {
        peer: "169.254.1.2".parse().unwrap(),
        open: true,
        bad,
        since: facts.now,
        leave: bad.is_none(),
        last,
        reflected: 12_345,
        refused: 0,
    };
    let [good, bad, closed] = [
        path(None, Some(measured(310, 900))),
        path(Some(Why::Loss), Some(last)),
        QualityStatus { open: false, ..path(None, None) },
    ];
    for (at, one) in [good, bad, closed].into_iter().enumerate() {
        facts.reports[0].snapshot.interfaces[at].quality = Some(one);
    }
    holds("quality", |look| quality(look, &api::quality(&facts)));
}

#[test]
fn runtime_screen() {
    let all = api::runtime(&facts());
    holds("runtime", |look| runtime(look, &all));
}

#[test]
fn a_while_is_the_difference_of_two_documents() {
    let before = api::runtime(&facts());
    let mut after = before.clone();
    let busy = &mut after[0];
    busy.ran_ns += 1_000_000_000;
    busy.working_ns += 250_000_000;
    busy.receive.calls += 10;
    busy.receive.frames += 640;
    busy.stages[0].frames += 64;
    busy.stages[0].ns += 6_400;
    let between = runtime_between(&before, after.clone());
    assert_eq!((between[0].ran_ns, between[0].working_ns), (1_000_000_000, 250_000_000));
    let line = runtime(&Look::plain(now()), &between);
    assert!(line.contains("25.0 %") && line.contains(" 64.0 "), "{line}");
    assert!(line.contains("receive       100  100.0 %"), "{line}");
    // A worker that was not there before is shown as it is.
    assert_eq!(runtime_between(&[], after.clone()), after);
}

/// A second of twenty probes, with these round trips.
fn measured(rtt_us: u64, max_us: u64) -> Report {
    let us = Duration::from_micros;
    Report {
        sent: 20,
        received: 20,
        rtt_min: us(rtt_us / 2),
        rtt_max: us(max_us),
        rtt_sum: us(rtt_us * 20),
        jitter_out_sum: us(rtt_us),
        jitter_count: 19,
        ..Report::default()
    }
}

#[test]
fn ports_screen() {
    holds("ports", |look| ports(look, &api::ports(&broken())));
}

#[test]
fn drops_screen() {
    holds("drops", |look| drops(look, &api::drops(&broken())));
}

#[test]
fn routes_screen() {
    holds("routes", |look| {
        routes(look, &api::routes(&broken(), Default::default(), &Default::default()).items)
    });
}

#[test]
fn neighbors_screen() {
    holds("neighbors", |look| neighbors(look, &api::neighbors(&broken())));
}

#[test]
fn bfd_screen() {
    holds("bfd", |look| bfd(look, &api::bfd(&bfd_facts())));
}

#[test]
fn macsec_screen() {
    holds("macsec", |look| {
        let mut channels = api::macsec(&broken());
        // What does AES-GCM depends on the processor.
        channels.iter_mut().for_each(|channel| channel.backend = "aws-lc".to_owned());
        macsec(look, &channels)
    });
}

#[test]
fn mka_screen() {
    holds("mka", |look| mka(look, &api::mka(&mka_facts())));
}

#[test]
fn status_of_a_gateway_whose_channel_waits_for_a_key() {
    let facts = || {
        let mut facts = mka_facts();
        break_channel(&mut facts, 0, Fault::MkaDown);
        facts
    };
    let channels = api::channels(&facts());
    assert_eq!(channels[0].reason.as_deref(), Some("mka_down"));
    let status = api::status(&facts());
    let said: Vec<_> = status.reasons.iter().map(|reason| reason.message.as_str()).collect();
    assert!(said.iter().any(|text| text.contains("MKA has agreed on no key")), "{said:?}");
    assert!(
        said.iter().any(|text| text.contains("CLEAR TEXT (SHOULD-SECURE)") && text.contains("CAK differs")),
        "{said:?}"
    );
}

#[test]
fn config_screen() {
    let running = RunningConfig {
        file: "/etc/quadspan/quadspan.toml".to_owned(),
        config: serde_json::to_value(&*facts().config).unwrap(),
    };
    let text = config(&running);
    assert!(!text.contains(&KEY[8..32]), "{text}");
    assert!(
        text.find("[site]") < text.find("[[port]]") && text.find("[[channel]]") < text.find("[[connection]]")
    );
    holds("config", |_| config(&running));
}

#[test]
fn decoded_screen() {
    let sa = |an| SaSummary {
        sci: Some("02:00:5e:10:00:01/0001".to_owned()),
        source: None,
        an,
        total: 100_000,
        valid: 99_990,
        invalid: 10,
        no_key: 0,
        encrypted: 100_000,
        key: Some("0123456789abcdef".to_owned()),
        suite: Some("gcm-aes-xpn-256".to_owned()),
        ssci: Some(1),
        confidentiality_offset: Some(0),
        first_pn: Some(4_294_967_290),
        last_pn: Some(4_295_067_290),
        pn_proven: an == 0,
        duplicates: 3,
        reordered: 2,
        gaps: 1,
        clear_tags: vec![vec![100, 200]],
    };
    let key = |frames| KeySummary {
        fingerprint: "0123456789abcdef".to_owned(),
        suite: "gcm-aes-xpn-256".to_owned(),
        frames,
    };
    let summary = Summary {
        lacp: vec![],
        frames: 200_100,
        mkpdu: MkpduCounts::default(),
        members: Vec::new(),
        saks: Vec::new(),
        ckns: Vec::new(),
        macsec: MacsecCounts {
            total: 200_003,
            valid: 199_980,
            invalid: 23,
            bad_tag: 3,
            cut: 1,
            with_fcs: 2,
            ..MacsecCounts::default()
        },
        channels: vec![sa(0), sa(1)],
        keys: vec![key(199_980), key(0)],
        other: BTreeMap::from([("0x888e".to_owned(), 97)]),
        other_links: BTreeMap::new(),
        bad_tags: BTreeMap::from([("the version bit is set".to_owned(), 3)]),
        truncated: false,
        problem: None,
    };
    holds("decoded", |look| decoded(look, &summary));
}

#[test]
fn decoded_key_exchange_screen() {
    let member = |mi: u8, key_server| MemberSummary {
        mi: format!("{mi:02x}").repeat(12),
        sci: format!("02:00:5e:10:00:{mi:02x}/0001"),
        source: format!("02:00:5e:10:00:{mi:02x}"),
        ckn: "71736368312d32303237".to_owned(),
        priority: mi,
        version: 3,
        key_server,
        mkpdus: 312,
    };
    let sak = |an, number: u8, frames| SakSummary {
        ki: format!("{}{number:08x}", "10".repeat(12)),
        an,
        cipher: "gcm-aes-xpn-256".to_owned(),
        distributed_at: format!("2026-11-22T03:0{number}:00.125Z"),
        ckn: "71736368312d32303237".to_owned(),
        key_server: "02:00:5e:10:00:10/0001".to_owned(),
        confidentiality_offset: Some(0),
        fingerprint: "0123456789abcdef".to_owned(),
        frames,
        sak: None,
    };
    let ckn = |ckn: &str, given, counts: [u64; 3]| CknSummary {
        ckn: ckn.to_owned(),
        given,
        icv_valid: counts[0],
        icv_invalid: counts[1],
        unknown: counts[2],
    };
    let summary = Summary {
        lacp: vec![],
        frames: 5000,
        mkpdu: MkpduCounts { total: 640, icv_valid: 624, icv_invalid: 3, unknown_ckn: 12, malformed: 1 },
        members: vec![member(0x10, true), member(0x20, false)],
        saks: vec![sak(0, 1, 4000), sak(1, 2, 0)],
        ckns: vec![
            ckn("71736368312d32303237", true, [624, 3, 0]),
            ckn("ab", false, [0, 0, 12]),
            ckn("cd", true, [0, 0, 0]),
        ],
        macsec: MacsecCounts { total: 4000, valid: 4000, ..MacsecCounts::default() },
        channels: Vec::new(),
        keys: Vec::new(),
        other: BTreeMap::new(),
        other_links: BTreeMap::new(),
        bad_tags: BTreeMap::new(),
        truncated: false,
        problem: None,
    };
    holds("decoded-mka", |look| decoded(look, &summary));
}

#[test]
fn empty_lists_say_so() {
    let look = Look::plain(now());
    for (text, expected) in [
        (channels(&look, &[]), "no channels are configured\n"),
        (connections(&look, &[]), "no connections are configured\n"),
        (ports(&look, &[]), "no ports are configured\n"),
        (drops(&look, &[]), "nothing was dropped\n"),
        (routes(&look, &[]), "there are no routes\n"),
        (bfd(&look, &[]), "no BFD sessions are configured\n"),
        (neighbors(&look, &[]), "no neighbours are known\n"),
        (macsec(&look, &[]), "no channels are configured\n"),
        (
            mka(&look, &[]),
            "no channel has MKA: keys are static, or frames cross in clear, by [channel.macsec]; `quadspan show macsec` has each\n",
        ),
    ] {
        assert_eq!(text, expected);
    }
}

#[test]
fn a_channel_without_macsec_says_where_that_is_written() {
    let mut channels = api::macsec(&facts());
    channels.truncate(1);
    (channels[0].policy, channels[0].protect_frames) = ("off".to_owned(), false);
    let text = macsec(&Look::plain(now()), &channels);
    assert!(text.starts_with("ch1   CLEAR TEXT   off\n"), "{text}");
    assert!(
        text.contains("`policy = \"off\"` in its [channel.macsec]") && text.lines().count() == 2,
        "{text}"
    );
}

#[test]
fn clear_text_is_shouted() {
    let look = Look::plain(now());
    let mut all = api::channels(&facts());
    assert!(channels(&look, &all).contains("SHOULD-SECURE"));
    all[0].macsec.clear_text = true;
    all[1].macsec.secured = false;
    let text = channels(&look, &all);
    assert!(text.contains("CLEAR TEXT") && text.contains("NOT SECURED"), "{text}");
}

fn neighbor(name: &str, state: &str) -> BgpNeighbor {
    let family = |family: &str| BgpFamily {
        family: family.to_owned(),
        agreed: state == "established",
        received: 12_345,
        accepted: 12_000,
        received_max: None,
        overflowed: false,
        end_of_rib: true,
        stale_until: None,
        announced: 100,
        announced_max: Some(100),
        held_back: 0,
        pending: 0,
    };
    let up = state == "established";
    BgpNeighbor {
        connection: "blue".to_owned(),
        name: name.to_owned(),
        interface: "blue/ch1".to_owned(),
        address: "169.254.1.2".parse().unwrap(),
        description: Some("Direct Connect, router 1".to_owned()),
        asn: 64_512,
        local_asn: 65_001,
        state: state.to_owned(),
        reason: (!up).then(|| "md5_wrong".to_owned()),
        detail: (!up).then(|| "segments arrive with a wrong MD5 signature: the passwords differ".to_owned()),
        since: now() - Duration::from_secs(754),
        router_id: up.then(|| "192.0.2.1".to_owned()),
        hold_seconds: up.then_some(90),
        keepalive_seconds: up.then_some(30),
        password: true,
        ttl_security: false,
        bfd: "follow".to_owned(),
        graceful_restart: "helper".to_owned(),
        sessions: 3,
        last_down: Some(BgpDown {
            at: now() - Duration::from_secs(800),
            why: "hold timer expired: nothing heard from the peer".to_owned(),
        }),
        last_failure: (!up)
            .then(|| BgpDown { at: now() - Duration::from_secs(4), why: "Connection refused".to_owned() }),
        last_notification_in: Some(BgpDown {
            at: now() - Duration::from_secs(4000),
            why: "Cease, administrative shutdown: \"fibre work until 04:00\"".to_owned(),
        }),
        last_notification_out: Some(BgpDown {
            at: now() - Duration::from_secs(800),
            why: "hold timer expired".to_owned(),
        }),
        messages_in: 4321,
        updates_in: 12_400,
        updates_out: 102,
        messages_out: 1234,
        families: vec![family("ipv4"), family("ipv6")],
        faults: BTreeMap::new(),
        draining: false,
    }
}

#[test]
fn bgp_screen() {
    let mut full = neighbor("fd00:100:1::2%ch1", "established");
    full.families.truncate(1);
    full.families[0].held_back = 7;
    let all = [neighbor("169.254.1.2%ch1", "established"), full, neighbor("dx2", "active")];
    holds("bgp", |look| bgp(look, &all));
}

#[test]
fn bgp_page() {
    let mut up = neighbor("169.254.1.2%ch1", "established");
    up.families[1].stale_until = Some(now() + Duration::from_secs(100));
    up.faults.insert("attribute flags".to_owned(), 2);
    holds("bgp-neighbor", |look| bgp_pages(look, &[up.clone(), neighbor("dx2", "active")]));
}

#[test]
fn route_story_screen() {
    let hop = Hop {
        interface: "blue/ch1".to_owned(),
        gateway: "169.254.1.2".parse().unwrap(),
        weight: 1,
        live: true,
    };
    let path = |neighbor: &str, accepted: bool, outcome: Option<&str>, why: Option<&str>| RoutePath {
        neighbor: neighbor.to_owned(),
        since: now() - Duration::from_secs(65),
        as_path: "64512 65010".to_owned(),
        next_hop: "169.254.1.2".parse().unwrap(),
        local_pref: 100,
        med: Some(50),
        origin: "igp".to_owned(),
        communities: vec!["7224:7100".to_owned()],
        accepted,
        import: if accepted { "accepted by line 1 \"sites\"" } else { "our own AS 65001 is in the path" }
            .to_owned(),
        outcome: outcome.map(str::to_owned),
        why: why.map(str::to_owned),
        stale: neighbor == "c",
    };
    let export = |neighbor: &str, announced: bool, why: &str| RouteExport {
        neighbor: neighbor.to_owned(),
        announced,
        why: why.to_owned(),
    };
    let story = RouteStory {
        connection: "blue".to_owned(),
        prefix: "10.9.0.0/16".parse().unwrap(),
        route: Some(Route {
            connection: "blue".to_owned(),
            prefix: "10.9.0.0/16".parse().unwrap(),
            origin: RouteOrigin::Bgp,
            action: RouteAction::Via,
            interface: None,
            hops: vec![hop],
            reason: None,
        }),
        workers: vec![
            RouteWorker { worker: 0, generation: 7, current: true },
            RouteWorker { worker: 1, generation: 6, current: false },
        ],
        paths: vec![
            path("a", true, Some("best"), None),
            path("b", true, Some("multipath"), Some("higher router identifier")),
            path("c", true, Some("lost"), Some("longer AS path")),
            path("d", false, None, None),
        ],
        exports: vec![
            export("a", false, "the best route came from this peer"),
            export("b", true, "accepted by default, no line matched"),
        ],
    };
    holds("route-story", |look| route_stories(look, std::slice::from_ref(&story)));
    assert_eq!(route_stories(&Look::plain(now()), &[]), "there is no such route\n");
}
