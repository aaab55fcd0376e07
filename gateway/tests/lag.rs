//! A LAG of two channels beside a third channel, between two real gateways under numbered traffic: members that are cut, drained and
//! come back, and a LAG that loses all.
//!
//! Every test builds its own network (`support/sites.rs`), one at a time. Needs root and the tools; skipped loudly without, and failed
//! under `CI=true`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod support;

use std::time::Duration;

use gateway::lab::traffic::udp::{UdpReport, UdpRun};
use gateway::lab::wire::{Impairment, Way};
use serde_json::Value;
use support::gateway::Gateway;
use support::shell::until;
use support::sites::{Plan, Sites};

const PATIENCE: Duration = Duration::from_secs(30);
const BFD: &str = "bfd = {}\n";
const PLAN: Plan = Plan { channels: 3, workers: 2, mka: Some(""), attachment: BFD, ..Plan::DEFAULT };
const FLOWS: u16 = 24;

#[test]
fn a_member_that_is_cut_moves_its_own_flows_and_a_drain_loses_nothing() {
    let Some(sites) = start("lag::a_member_that_is_cut_moves_its_own_flows", "") else { return };
    await_members(&sites, 2);
    shown(&sites);

    let runs = sites.traffic(FLOWS);
    await_carried(&sites, "ch1");
    sites.lab.cut("gw-a", "ch1").unwrap();
    await_members(&sites, 1);
    await_carried(&sites, "ch2");
    sites.lab.heal("gw-a", "ch1").unwrap();
    await_members(&sites, 2);
    await_carried(&sites, "ch1");
    for (report, way) in stop(runs) {
        let totals = report.totals();
        let hurt = report.flows.iter().filter(|flow| !flow.lost.is_empty()).count();
        println!("cut, {way}: {totals:?}, {hurt} of {FLOWS} flows, longest gap {:?}", report.longest_gap);
        assert!(totals.received > 1000 && (totals.duplicated, totals.damaged) == (0, 0), "{way}: {totals:?}");
        // About a third of the flows were on the member. A loaded machine may learn late of the carrier, but not by LACP's 3 s.
        assert!(hurt <= usize::from(FLOWS) * 2 / 3, "{way}: {hurt} flows lost something");
        assert!(totals.lost < totals.sent / 20, "{way}: {totals:?}");
    }

    let runs = sites.traffic(FLOWS);
    await_carried(&sites, "ch1");
    let told = sites.a.cli(&["drain", "ch1"]);
    assert!(told.status == Some(0) && told.text.contains("ch1: safe to work on"), "{}", told.text);
    await_members(&sites, 1);
    await_carried(&sites, "ch2");
    let member = sites.a.api("lags")["items"][0]["members"][0].clone();
    assert_eq!((&member["selected"], &member["mux"]), (&"standby".into(), &"detached".into()), "{member}");
    are_refused(
        &sites.a,
        &[
            ("drain ch2", "drained already"),
            ("drill ch1", "nothing to rehearse"),
            ("drill ch2", "drained already"),
        ],
    );
    assert!(sites.a.says("undrain ch1").contains("may carry traffic again"));
    await_members(&sites, 2);
    await_carried(&sites, "ch1");
    for (report, way) in stop(runs) {
        let totals = report.totals();
        println!("drain, {way}: {totals:?}");
        let got = (totals.lost, totals.duplicated, totals.damaged, totals.refused);
        assert_eq!(got, (0, 0, 0, 0), "{way}: {totals:?} {} | {}", sites.a.drops(), sites.b.drops());
    }
    // All the time the attachment had been live, and BFD on the LAG up.
    for gateway in [&sites.a, &sites.b] {
        assert!(gateway.events("attachment.down").is_empty() && gateway.events("bfd.down").is_empty());
    }
    sites.assert_clean();
    sites.end();
}

#[test]
fn a_lag_below_min_links_is_left_and_the_record_says_why() {
    let Some(sites) = start("lag::a_lag_below_min_links_is_left", "min_links = 2\n") else { return };
    await_members(&sites, 2);
    let runs = sites.traffic(FLOWS);
    await_carried(&sites, "ch1");
    sites.lab.cut("gw-a", "ch2").unwrap();
    let state = |gateway: &Gateway| {
        let list = gateway.api("connections");
        let one = &list["items"][0]["attachments"][0];
        (one["channel"].clone(), one["state"].clone(), one["reason"].clone())
    };
    let down = ("bundle".into(), "down".into(), "lacp_down".into());
    until("both ends leave the LAG", PATIENCE, || {
        (state(&sites.a) == down && state(&sites.b) == down).then_some(())
    });
    await_carried(&sites, "ch3");
    let refused = sites.a.cli(&["drain", "ch1"]);
    assert_eq!(refused.status, Some(0), "of a LAG that is down a member may go: {}", refused.text);
    sites.a.says("undrain ch1");
    let record = sites.a.says("show events bundle");
    assert!(record.contains("left lacp_down") && record.contains("LACP bundle: ch2 left"), "{record}");
    assert!(record.contains("port p2: no carrier; then LACP bundle: ch2 left"), "{record}");
    sites.lab.heal("gw-a", "ch2").unwrap();
    await_members(&sites, 2);
    until("the LAG is live again", PATIENCE, || (state(&sites.a).1 == "live").then_some(()));
    let refused = sites.a.cli(&["drain", "ch1"]);
    assert!(
        refused.text.contains("fewer members that carry frames than its `min_links`"),
        "{}",
        refused.text
    );
    // Without any member the reason is what they have in common.
    for channel in ["ch1", "ch2"] {
        sites.lab.cut("gw-a", channel).unwrap();
    }
    until("the LAG has no carrier", PATIENCE, || (state(&sites.a).2 == "no_carrier").then_some(()));
    for (report, way) in stop(runs) {
        println!("min_links, {way}: {:?}", report.totals());
        assert!(report.totals().received > 1000, "{way}");
    }
    sites.end();
}

// 802.1AX-2014 §6.4.4: a member whose carrier stays up is left after Short_Timeout, whatever else is there.
#[test]
fn a_member_that_falls_silent_is_left_by_lacp_and_comes_back() {
    let plan = Plan { wired: true, attachment: "", ..PLAN };
    let Some(sites) = start_with("lag::a_member_that_falls_silent", "", plan) else { return };
    await_members(&sites, 2);
    let hole = Impairment { blackhole: true, ..Impairment::default() };
    sites.wire().set(0, Way::Both, hole).unwrap();
    await_members(&sites, 1);
    let silent = |gateway: &Gateway| gateway.events("lacp.left").iter().any(|one| one["why"] == "silence");
    assert!(silent(&sites.a) && silent(&sites.b), "{} {}", sites.a.log(), sites.b.log());
    let runs = sites.traffic(FLOWS);
    await_carried(&sites, "ch2");
    sites.wire().set(0, Way::Both, Impairment::default()).unwrap();
    await_members(&sites, 2);
    await_carried(&sites, "ch1");
    for (report, way) in stop(runs) {
        println!("after silence, {way}: {:?}", report.totals());
        assert_eq!(
            report.totals().lost,
            0,
            "{way}: nothing was sent into the silent member: {:?}",
            report.totals()
        );
    }
    assert!(sites.a.events("attachment.down").is_empty(), "{}", sites.a.log());
    sites.end();
}

// 802.1AX-2014 §6.4.4: who is silent for Short_Timeout_Time is left, also when the link stays up.
#[test]
fn a_drill_on_a_member_has_both_ends_move_its_flows() {
    let Some(sites) = start("lag::a_drill_on_a_member", "") else { return };
    await_members(&sites, 2);
    let runs = sites.traffic(FLOWS);
    await_carried(&sites, "ch1");
    let told: Value = serde_json::from_str(&sites.a.says("drill ch1 --for 12s --json")).unwrap();
    eprintln!("{told}");
    let told = &told[0];
    assert!(told["frames_per_second"].as_u64() > Some(0) && told["lost"].as_u64() > Some(0), "{told}");
    assert_eq!(told["far_end_stayed"], false, "{told}");
    assert!(told["far_end_moved_us"].as_u64().is_some_and(|us| us < 10_000_000), "{told}");
    assert!(told["switched_us"].as_u64().is_some_and(|us| us < 1_000_000), "{told}");
    let carried = told["carried_by"].as_array().unwrap();
    assert!(carried.iter().any(|one| one["channel"] == "ch2"), "{told}");
    assert!(told["back_after_us"].is_u64(), "{told}");
    await_members(&sites, 2);
    await_carried(&sites, "ch1");
    for (report, way) in stop(runs) {
        let totals = report.totals();
        eprintln!("drill, {way}: {totals:?}");
        // What this gateway sent moved before the drill began; what the far end sent died for three seconds, and its own flows only.
        let hurt = report.flows.iter().filter(|flow| !flow.lost.is_empty()).count();
        assert!(hurt <= usize::from(FLOWS) * 2 / 3, "{way}: {hurt} flows lost something");
    }
    // A connection on a LAG: its members and the other channel, each in its turn.
    let told = sites.a.cli(&["--json", "drill", "blue", "--for", "1s"]);
    let end = told.text.rfind(']').map_or(0, |at| at + 1);
    let all: Value =
        serde_json::from_str(&told.text[..end]).unwrap_or_else(|why| panic!("{why}: {}", told.text));
    let channels: Vec<_> = all.as_array().unwrap().iter().map(|one| one["channel"].clone()).collect();
    assert_eq!(channels, ["ch1", "ch2", "ch3"], "{}", told.text);
    sites.end();
}

// A whole LAG: its members go on, so that it is a reserve, and the attachment on it is left in both directions before anybody cuts it.
#[test]
fn a_whole_lag_is_drained_as_one_channel_and_loses_nothing() {
    let Some(mut sites) = start("lag::a_whole_lag_is_drained", "min_links = 2\n") else { return };
    await_members(&sites, 2);
    let left = |sites: &Sites| sites.a.events("lacp.left").len() + sites.b.events("lacp.left").len();
    let before = left(&sites);
    let runs = sites.traffic(FLOWS);
    await_carried(&sites, "ch1");
    // Static routes: the far end chooses for itself, and is drained, too.
    sites.a.says("drain bundle --no-wait");
    for gateway in [&sites.b, &sites.a] {
        let told = gateway.says("drain bundle");
        assert!(told.contains("bundle: safe to work on"), "{told}");
    }
    await_carried(&sites, "ch3");
    let attachment = |sites: &Sites| sites.a.api("connections")["items"][0]["attachments"][0].clone();
    let one = attachment(&sites);
    assert_eq!((&one["channel"], &one["reason"]), (&"bundle".into(), &"drained".into()));
    are_refused(
        &sites.a,
        &[
            ("drain ch1", "drained with all members"),
            ("undrain ch2", "`quadspan undrain bundle`"),
            ("drain ch3", "drained already"),
            ("drill bundle", "drained already"),
        ],
    );
    let drained = sites.a.events("channel.drained");
    assert_eq!(drained.len(), 1, "one line for the LAG: {drained:?}");
    assert_eq!((&drained[0]["lag"], &drained[0]["members"]), (&"bundle".into(), &"ch1, ch2".into()));
    let state = |gateway: &Gateway| {
        let list = gateway.api("channels");
        let each = list["items"].as_array().unwrap();
        each.iter().filter(|one| one["drain"].is_object()).count()
    };
    assert_eq!((state(&sites.a), left(&sites)), (2, before), "LACP does not hear of it");
    for channel in ["ch1", "ch2"] {
        sites.lab.cut("gw-a", channel).unwrap();
    }
    for (report, way) in stop(runs) {
        let totals = report.totals();
        println!("a whole LAG, {way}: {totals:?}");
        assert!(totals.received > 500 && totals.lost == 0, "{way}: {totals:?}");
    }
    for channel in ["ch1", "ch2"] {
        sites.lab.heal("gw-a", channel).unwrap();
    }
    await_members(&sites, 2);
    // It outlives the process, and is one drain still.
    sites.a.restart();
    assert_eq!(state(&sites.a), 2);
    assert!(sites.a.says("undrain bundle").contains("may carry traffic again"));
    assert!(sites.b.says("undrain bundle").contains("may carry traffic again"));
    assert_eq!((state(&sites.a), state(&sites.b)), (0, 0));
    until("the LAG is live again", PATIENCE, || (attachment(&sites)["state"] == "live").then_some(()));
    sites.end();
}

// 802.1AX-2014 §6.4: the successor is the port that was; the partner sees the same Actor in the same state, and flows stay on their
// members. It stays so where a member is drained, which the partner goes on hearing of as not in step.
#[test]
fn a_lag_goes_on_across_restarts_of_both_ends() {
    let Some(mut sites) = start("lag::a_lag_goes_on_across_restarts", "") else { return };
    await_members(&sites, 2);
    restart(&mut sites, "both members");
    assert!(sites.a.says("drain ch1").contains("safe to work on"));
    await_members(&sites, 1);
    restart(&mut sites, "one drained");
    sites.a.says("undrain ch1");
    await_members(&sites, 2);
    sites.end();
}

// The successor has the port on standby from its predecessor, and nobody who remembers why.
#[test]
fn a_member_whose_drain_is_forgotten_carries_frames_again() {
    let Some(mut sites) = start("lag::a_member_whose_drain_is_forgotten", "") else { return };
    await_members(&sites, 2);
    assert!(sites.a.says("drain ch1").contains("safe to work on"));
    await_members(&sites, 1);
    sites.a.garble("drains.json");
    sites.a.restart();
    assert_eq!(sites.a.events("channel.drain_forgotten").len(), 1);
    await_members(&sites, 2);
    sites.end();
}

// Without MKA a channel leaves no KaY, and its port of LACP all the same.
#[test]
fn a_lag_whose_members_have_static_keys_goes_on_across_restarts_of_both_ends() {
    let test = "lag::a_lag_whose_members_have_static_keys_goes_on";
    let Some(mut sites) = start_with(test, "", Plan { mka: None, ..PLAN }) else { return };
    await_members(&sites, 2);
    restart(&mut sites, "static keys");
    sites.end();
}

/// Each of these commands fails, and says why in these words.
fn are_refused(gateway: &Gateway, wishes: &[(&str, &str)]) {
    for (wish, why) in wishes {
        let refused = gateway.cli(&wish.split(' ').collect::<Vec<_>>());
        assert!(refused.status == Some(1) && refused.text.contains(why), "{wish}: {}", refused.text);
    }
}

/// Restarts both sites under traffic, A twice. Where the machine let everybody work, nobody lost a packet; nobody left the LAG, ever.
fn restart(sites: &mut Sites, what: &str) {
    const NEWS: [&str; 4] = ["lacp.left", "lacp.joined", "lacp.kept_out", "attachment.down"];
    let told =
        |sites: &Sites| [&sites.a, &sites.b].map(|gateway| NEWS.map(|event| gateway.events(event).len()));
    let distributing = |sites: &Sites| sites.a.api("lags")["items"][0]["distributing"].clone();
    let (before, members) = (told(sites), distributing(sites));
    let runs = sites.traffic(FLOWS);
    await_carried(sites, "ch2");
    for round in 0..3 {
        let one = if round == 1 { &mut sites.b } else { &mut sites.a };
        let handed = one.restart();
        eprintln!("{what}: {} ms still, {} ms in all", handed["still_ms"], handed["took_ms"]);
        await_carried(sites, "ch2");
        assert_eq!(distributing(sites), members, "{what}");
    }
    // Longer than Short_Timeout_Time: whoever was to fall silent has.
    let heard = || sites.a.api("lags")["items"][0]["members"][1]["counters"]["lacpdus_rx"].as_u64();
    let before_that = heard();
    until("five LACPDUs", PATIENCE, || (heard() >= before_that.map(|count| count + 5)).then_some(()));
    assert_eq!((distributing(sites), told(sites)), (members, before), "{what}: {}", sites.b.log());
    for (report, way) in stop(runs) {
        let totals = report.totals();
        eprintln!("{what}, {way}: {totals:?}, longest gap {:?}", report.longest_gap);
        let kept_up = report.longest_gap < Duration::from_millis(200);
        assert!(totals.received > 1000 && (!kept_up || totals.lost == 0), "{what}, {way}: {totals:?}");
    }
}

/// Two sites whose `ch1` and `ch2` are the LAG `bundle`, with these lines; `ch3` stands alone.
fn start(test: &str, lag: &str) -> Option<Sites> {
    start_with(test, lag, PLAN)
}

fn start_with(test: &str, lag: &str, plan: Plan) -> Option<Sites> {
    let bfd = plan.attachment;
    let mut sites = Sites::build(test, plan)?;
    for (own, gateway) in [(1, &sites.a), (2, &sites.b)] {
        let far = 3 - own;
        gateway.rewrite(
            "[[connection.attachment]]\nchannel = \"ch1\"\n",
            "[[connection.attachment]]\nlag = \"bundle\"\n",
        );
        let second = format!(
            "[[connection.attachment]]\nchannel = \"ch2\"\npreference = 198\nvlan = 100\nmtu = 1500\n\
             address = [\"169.254.2.{own}/30\", \"fd00:ff:2::{own}/126\"]\n\
             peer = [\"169.254.2.{far}\", \"fd00:ff:2::{far}\"]\n{bfd}"
        );
        gateway.rewrite(&second, "");
        let section =
            format!("[[lag]]\nname = \"bundle\"\nmembers = [\"ch1\", \"ch2\"]\n{lag}[[connection]]\n");
        gateway.rewrite("[[connection]]\n", &section);
    }
    sites.a.start(&sites.lab);
    sites.b.start(&sites.lab);
    sites.wait_reachable();
    Some(sites)
}

fn stop(runs: [UdpRun; 2]) -> Vec<(UdpReport, &'static str)> {
    runs.into_iter().zip(["A to B", "B to A"]).map(|(run, way)| (run.stop().unwrap(), way)).collect()
}

/// So many members distribute, at both ends.
fn await_members(sites: &Sites, count: u64) {
    until(&format!("{count} members distribute: {} {}", sites.a.log(), sites.b.log()), PATIENCE, || {
        let have = |gateway: &Gateway| gateway.api("lags")["items"][0]["distributing"].as_u64();
        (have(&sites.a) == Some(count) && have(&sites.b) == Some(count)).then_some(())
    });
}

/// A channel carries more than its own protocols do in that time.
fn await_carried(sites: &Sites, channel: &str) {
    let frames = || {
        let list = sites.a.api("channels");
        let one =
            list["items"].as_array().unwrap().iter().find(|one| one["name"] == channel).unwrap().clone();
        one["tx_frames"].as_u64().unwrap() + one["rx_frames"].as_u64().unwrap()
    };
    let before = frames();
    until(&format!("{channel} carries traffic"), PATIENCE, || (frames() > before + 200).then_some(()));
}

/// The screens, the document and the metrics agree.
fn shown(sites: &Sites) {
    let screen = sites.a.says("show lag");
    eprintln!("{screen}");
    assert!(screen.contains("distributing") && screen.contains("ACT STO AGG SYN COL DIS"), "{screen}");
    assert!(screen.contains("2 of 2 members carry frames"), "{screen}");
    let lag: Value = sites.a.api("lags")["items"][0].clone();
    assert_eq!(lag["partner"], "32768-02:00:00:00:0b:01", "{lag}");
    let page = sites.a.page();
    assert!(page.contains("quadspan_lag_members_distributing{lag=\"bundle\"} 2"), "{page}");
    assert!(page.contains("quadspan_lag_member_collecting{lag=\"bundle\",channel=\"ch2\"} 1"), "{page}");
    let config = sites.a.says("show config");
    assert!(config.contains("[[lag]]") && config.contains("lag = \"bundle\""), "{config}");
}
