//! `quadspan restart`: another process takes over under traffic, and neither hosts nor the far gateway lose anything by it.
//!
//! Needs root and the Debian packages that `./test` installs; skipped loudly without, and failed under `CI=true`.

#![expect(clippy::print_stdout, reason = "what was measured, for those who ask")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop; a JSON value that is not there is null"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use gateway::clock;
use gateway::lab::traffic::{
    tcp::TcpStreamRun,
    udp::{UdpFlow, UdpOptions, UdpReport, UdpRun},
};
use net::Instant;
use serde_json::Value;
use support::gateway::Gateway;
use support::shell::{must, overruns, ping, until};
use support::sites::{Plan, Sites};

const PATIENCE: Duration = Duration::from_secs(30);
/// However starved the machine is, it comes back.
const LONGEST_GAP: Duration = Duration::from_secs(30);
/// Where nobody was kept from working for longer than this, nothing may be lost and nobody may have noticed.
const KEPT_UP: Duration = Duration::from_millis(200);

/// 50 ms, three times: 150 ms of silence are noticed, where the machine lets anybody be so quick.
const BFD: &str = "[connection.attachment.bfd]\nmin_tx = \"50ms\"\nmin_rx = \"50ms\"\nmultiplier = 3\n";
const SLOW_BFD: &str = "[connection.attachment.bfd]\nmin_tx = \"1s\"\nmin_rx = \"1s\"\nmultiplier = 5\n";

/// Numbered datagrams both ways and a stream of TCP.
struct Traffic {
    there: UdpRun,
    back: UdpRun,
    stream: TcpStreamRun,
}

impl Traffic {
    fn start(sites: &Sites) -> Self {
        let namespace = |name| sites.lab.namespace(name).unwrap();
        let run = |from, to, address: &str, port| {
            let flow =
                |at: u16| UdpFlow { to: address.parse().unwrap(), source_port: 20_000 + at, packet: 400 };
            let options = UdpOptions { flows: (0..8).map(flow).collect(), rate: 800, port };
            UdpRun::start(namespace(from), namespace(to), &options).unwrap()
        };
        let (there, back) = (run("h-a", "h-b", "10.2.0.2", 7001), run("h-b", "h-a", "10.1.0.2", 7002));
        let to = "10.2.0.2".parse().unwrap();
        let rate = Some(20_000_000);
        let stream = TcpStreamRun::start(namespace("h-a"), namespace("h-b"), to, rate, PATIENCE).unwrap();
        Self { there, back, stream }
    }

    fn stop(self, what: &str) -> [UdpReport; 2] {
        let stream = self.stream.stop().unwrap();
        let reports = [self.there, self.back].map(|run| run.stop().unwrap());
        for (way, report) in ["there", "back"].into_iter().zip(&reports) {
            let totals = report.totals();
            println!(
                "{what}, {way}: sent {} lost {} twice {} longest gap {:?}",
                totals.sent, totals.lost, totals.duplicated, report.longest_gap
            );
            assert!(totals.received > 500 && totals.damaged == 0, "{what}, {way}: {totals:?}");
            assert!(report.longest_gap < LONGEST_GAP, "{what}, {way}: {:?}", report.longest_gap);
        }
        println!("{what}: TCP waited {:?} at most", stream.longest_wait);
        assert!(stream.is_complete(), "{what}: {stream:?}");
        reports
    }
}

/// Enough traffic has crossed since.
fn let_pass(gateway: &Gateway) {
    let octets = || gateway.api("connections")["items"][0]["tx_octets"].as_u64().unwrap();
    let before = octets();
    until("traffic passes", PATIENCE, || (octets() > before + 400_000).then_some(()));
}

fn restart_both(sites: &mut Sites, what: &str) -> [UdpReport; 2] {
    let traffic = Traffic::start(sites);
    let_pass(&sites.b);
    let mut restarts = Vec::new();
    for round in 0..3 {
        let one = if round == 1 { &mut sites.b } else { &mut sites.a };
        let asked = clock::now();
        let told = one.restart();
        restarts.push((asked, clock::now()));
        println!("{what}: {} ms still, {} ms in all", told["still_ms"], told["took_ms"]);
        let_pass(&sites.a);
        let_pass(&sites.b);
    }
    let reports = traffic.stop(what);
    let lost: u64 = reports.iter().map(|report| report.totals().lost).sum();
    assert!(
        !kept_up(&reports) || lost == 0,
        "{what}: {lost}; {} | {}\n{}",
        sites.a.drops(),
        sites.b.drops(),
        where_lost(sites, &reports, &restarts)
    );
    reports
}

/// When what was lost had been sent, and between what; what the hosts' sockets, and all processors' queues, lost since they began.
fn where_lost(sites: &Sites, reports: &[UdpReport], restarts: &[(Instant, Instant)]) -> String {
    let begin = reports[0].started;
    let restarts = restarts.iter().map(|(from, to)| (from.since(begin), to.since(begin))).collect::<Vec<_>>();
    let lost = |report: &UdpReport| {
        let each = report.flows.iter().enumerate().filter(|(_, flow)| !flow.lost.is_empty());
        each.map(|(at, flow)| (at, flow.lost.iter().map(|at| at.since(begin)).collect::<Vec<_>>())).collect()
    };
    let lost = reports.iter().map(lost).collect::<Vec<Vec<_>>>();
    let sockets = ["h-a", "h-b"].map(|node| overruns(&sites.lab, node));
    let queues = fs::read_to_string("/proc/net/softnet_stat").unwrap_or_default();
    format!(
        "restarts at {restarts:?}; lost, by flow, at {lost:?}; by sockets {sockets:?}; by queues:\n{queues}"
    )
}

/// Whether the machine let everybody work all the time: what else is seen means something only then.
fn kept_up(reports: &[UdpReport]) -> bool {
    reports.iter().all(|report| report.longest_gap < KEPT_UP)
}

/// How often a gateway told of something bad.
fn troubles(gateway: &Gateway) -> Vec<Value> {
    ["bfd.down", "mka.lost", "mka.peer_down", "mka.refused", "attachment.down", "gateway.began_anew"]
        .into_iter()
        .flat_map(|event| gateway.events(event))
        .collect()
}

fn assert_untroubled(sites: &Sites, before: &[usize; 2], what: &str) {
    for (gateway, before) in [&sites.a, &sites.b].into_iter().zip(before) {
        let told = troubles(gateway);
        assert_eq!(told.len(), *before, "{what}: {:?}\n{}", told.last(), gateway.log());
    }
}

fn members(gateway: &Gateway) -> (Value, Value) {
    let mka = gateway.mka("ch1");
    (mka["participants"][0]["member"].clone(), mka["key"]["key_id"].clone())
}

// 802.1X-2020 §9.4.2, RFC 5880 §6.8.1, 802.1AE §10.5.2: the same member, the same session, the next packet number.
#[test]
fn with_mka_and_bfd_a_restart_is_not_noticed() {
    for workers in [1, 2] {
        let what = format!("MKA, BFD, {workers} workers");
        let plan = Plan { workers, mka: Some(""), attachment: SLOW_BFD, ..Plan::DEFAULT };
        let Some(mut sites) = Sites::start("handover::mka", plan) else { return };
        let up = |one: &Gateway| {
            let list = one.api("bfd")["items"].as_array().unwrap().clone();
            !list.is_empty() && list.iter().all(|one| one["state"] == "up")
        };
        until("BFD is up", PATIENCE, || (up(&sites.a) && up(&sites.b)).then_some(()));
        let before = [troubles(&sites.a).len(), troubles(&sites.b).len()];
        let were = [members(&sites.a), members(&sites.b)];
        let sessions = |one: &Gateway| one.api("bfd")["items"][0]["discriminator"].clone();
        let named = [sessions(&sites.a), sessions(&sites.b)];
        let reports = restart_both(&mut sites, &what);
        if !kept_up(&reports) {
            println!("{what}: the machine did not keep up");
            sites.end();
            continue;
        }
        assert_untroubled(&sites, &before, &what);
        assert_eq!(
            [members(&sites.a), members(&sites.b)],
            were,
            "{what}: the same members with the same SAK"
        );
        assert_eq!([sessions(&sites.a), sessions(&sites.b)], named, "{what}: the same BFD sessions");
        // Frames waited, and none was repeated.
        for report in &reports {
            assert_eq!(report.totals().duplicated, 0, "{what}: {:?}", report.totals());
        }
        sites.assert_clean();
        // Keys are made as before.
        let server = if sites.a.mka("ch1")["key_server"]["ours"] == true { &sites.a } else { &sites.b };
        let key = members(server).1;
        server.says("rekey ch1");
        until("another SAK", PATIENCE, || (members(server).1 != key).then_some(()));
        ping(&sites.lab, "h-a", 20, "-i 0.02 10.2.0.2");
        sites.assert_clean();
        sites.end();
    }
}

// The SCI that a device's address makes (802.1AE §10.7.1) is read anew by a successor: its SAs cannot go on then, and that is said.
#[test]
fn what_did_not_go_on_is_named_by_the_answer() {
    let plan = Plan { mka: Some(""), ..Plan::DEFAULT };
    let Some(mut sites) = Sites::start("handover::anew", plan) else { return };
    assert_eq!(sites.a.restart()["began_anew"], Value::Array(vec![]));
    must(&sites.lab, "gw-a", "ip link set ch2 address 02:00:00:00:00:77");
    let told = sites.a.restart();
    let anew = told["began_anew"].as_array().unwrap();
    assert_eq!((anew.len(), &anew[0]["subject"]), (1, &"channel ch2".into()), "{told}");
    let why = anew[0]["message"].as_str().unwrap();
    assert!(why.contains("its SCI was") && why.contains("02:00:00:00:00:77"), "{told}");
    sites.wait_reachable();
    assert_eq!(sites.a.restart()["began_anew"], Value::Array(vec![]), "it goes on from there");
    sites.end();
}

#[test]
fn fast_bfd_does_not_flap_either_where_the_machine_keeps_up() {
    let plan = Plan { mka: Some(""), attachment: BFD, ..Plan::DEFAULT };
    let Some(mut sites) = Sites::start("handover::fast_bfd", plan) else { return };
    let reports = restart_both(&mut sites, "BFD 50 ms x 3");
    let downs = sites.a.events("bfd.down").len() + sites.b.events("bfd.down").len();
    // Two busy cores may be too slow for 150 ms at any time: traffic goes on in any case.
    println!("BFD went down {downs} times");
    assert!(reports.iter().all(|report| report.totals().received > 1000));
    sites.end();
}

// NIST SP 800-38D §8.3: a SAK of the configuration goes on with its next number, within what is reserved on disk.
#[test]
fn static_saks_go_on_with_the_next_packet_number() {
    let Some(mut sites) = Sites::start("handover::static", Plan::DEFAULT) else { return };
    let reserved = |one: &Gateway| fs::read_to_string(one.state().join("packet-numbers.json")).unwrap();
    let numbers = |one: &Gateway| one.counted("ch1").next_pn;
    let transmit = |text: &str| text.split("receive").next().unwrap().to_owned();
    let (before, on_disk) = (numbers(&sites.a), transmit(&reserved(&sites.a)));
    restart_both(&mut sites, "static SAKs");
    let after = numbers(&sites.a);
    assert!(after > before && after < before + (1 << 20), "{before} {after}: no gap, as after a crash");
    assert_eq!(transmit(&reserved(&sites.a)), on_disk, "nothing new had to be reserved");
    sites.assert_clean();
    // Whoever comes after a crash starts behind all that the successors used.
    sites.a.end();
    sites.a.start(&sites.lab);
    sites.wait_reachable();
    assert!(numbers(&sites.a) > after);
    sites.assert_clean();
    sites.end();
}

#[test]
fn duplicate_delivers_each_number_once_across_a_restart() {
    let plan = Plan { connection: "protection = \"duplicate\"\n", mka: Some(""), ..Plan::DEFAULT };
    let Some(mut sites) = Sites::start("handover::duplicate", plan) else { return };
    let reports = restart_both(&mut sites, "duplicate");
    for report in &reports {
        assert_eq!(report.totals().duplicated, 0, "{:?}", report.totals());
    }
    sites.assert_clean();
    sites.end();
}

#[test]
fn a_tap_stays_and_so_does_what_waits_in_it() {
    for workers in [1, 2] {
        let plan = Plan { workers, lan_tap: true, channels: 1, ..Plan::DEFAULT };
        let Some(mut sites) = Sites::build("handover::tap", plan) else { return };
        sites.a.start(&sites.lab);
        sites.b.start(&sites.lab);
        let address = "ip address add 10.1.0.2/24 dev tap1; ip route add 10.2.0.0/24 via 10.1.0.1";
        must(&sites.lab, "gw-a", address);
        let reaches = || {
            let pinged = support::shell::sh(&sites.lab, "gw-a", "ping -n -c 1 -W 1 10.2.0.2");
            (pinged.status == Some(0)).then_some(())
        };
        until("the far host answers", PATIENCE, reaches);
        let index = || support::shell::sh(&sites.lab, "gw-a", "cat /sys/class/net/tap1/ifindex").text;
        let before = index();
        sites.a.restart();
        sites.a.restart();
        assert_eq!(index(), before, "the very device, with the address that somebody gave it");
        ping(&sites.lab, "gw-a", 20, "-i 0.02 10.2.0.2");
        sites.end();
    }
}

/// A program that a gateway may run.
fn program(sites: &Sites, name: &str, text: &str, mode: u32) -> String {
    let path = sites.folder.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}

#[test]
fn whatever_is_wrong_with_a_successor_the_gateway_goes_on() {
    let plan = Plan { mka: Some(""), ..Plan::DEFAULT };
    let Some(mut sites) = Sites::start("handover::failures", plan) else { return };
    let before = [troubles(&sites.a).len(), troubles(&sites.b).len()];
    let traffic = Traffic::start(&sites);
    let own = env!("CARGO_BIN_EXE_quadspan");
    let short = |descriptors: u32| format!("#!/bin/sh\nulimit -n {descriptors}\nexec {own} \"$@\"\n");
    let mut refused = 0;
    let mut refuses = |sites: &Sites, binary: Option<&str>, why: &str| {
        let arguments: Vec<_> =
            ["restart"].into_iter().chain(binary.into_iter().flat_map(|one| ["--binary", one])).collect();
        let told = sites.a.cli(&arguments);
        assert_eq!(told.status, Some(1), "{why}: {}", told.text);
        assert!(told.text.contains("not restarted") && told.text.contains(why), "{why}: {}", told.text);
        refused += 1;
    };
    refuses(&sites, Some("/etc/passwd"), "cannot run");
    refuses(&sites, Some("/bin/false"), "knows no handover");
    let echo = program(&sites, "echo", "#!/bin/sh\ncat >&0\nexit 0\n", 0o755);
    refuses(&sites, Some(&echo), "knows no handover");
    let loose = program(&sites, "loose", "#!/bin/sh\n", 0o777);
    refuses(&sites, Some(&loose), "nobody else can write");
    for (name, descriptors) in [("few", 8), ("more", 17), ("most", 23)] {
        let starved = program(&sites, name, &short(descriptors), 0o755);
        refuses(&sites, Some(&starved), "");
    }
    // A file with an error; one that takes a stop and a start.
    sites.a.rewrite("[[interconnect]]", "nonsense = 1\n[[interconnect]]");
    refuses(&sites, None, "`quadspan check` says which");
    sites.a.rewrite("nonsense = 1\n", "");
    sites.a.rewrite("a-state", "a-other-state");
    refuses(&sites, None, "state_dir");
    sites.a.rewrite("a-other-state", "a-state");
    assert_eq!(sites.a.events("gateway.not_handed_over").len(), refused);
    let_pass(&sites.a);
    let_pass(&sites.b);
    // And then it works.
    sites.a.restart();
    let_pass(&sites.a);
    let reports = traffic.stop("failures");
    if kept_up(&reports) {
        assert_untroubled(&sites, &before, "failures");
    }
    sites.assert_clean();
    sites.end();
}

#[test]
fn what_the_file_says_otherwise_by_now_takes_effect_and_the_rest_goes_on() {
    let plan = Plan { mka: Some(""), ..Plan::DEFAULT };
    let Some(mut sites) = Sites::start("handover::changed", plan) else { return };
    let member = members(&sites.a);
    let traffic = Traffic::start(&sites);
    let_pass(&sites.b);
    // Another channel name is another channel; another ring is opened anew; two workers instead of one, and three instead of two.
    sites.a.rewrite("workers = 1", "workers = 2");
    sites.a.restart();
    let_pass(&sites.a);
    // Sockets of before are of no use to two workers: what came by theirs meanwhile counts once at most, or nearly so.
    let reports = traffic.stop("two workers from now on");
    let lost: u64 = reports.iter().map(|report| report.totals().lost).sum();
    assert!(!kept_up(&reports) || lost < 100, "{lost}: {}", sites.a.log());
    assert_eq!(members(&sites.a), member);
    for workers in ["three", "two"] {
        let [from, to] = if workers == "three" { ["2", "3"] } else { ["3", "2"] };
        sites.a.rewrite(&format!("workers = {from}"), &format!("workers = {to}"));
        let traffic = Traffic::start(&sites);
        let_pass(&sites.b);
        sites.a.restart();
        let_pass(&sites.a);
        // Who shares a device's frames with others shares all of them: none comes twice.
        let reports = traffic.stop(&format!("{workers} workers from now on"));
        let totals: Vec<_> = reports.iter().map(|report| report.totals()).collect();
        assert!(totals.iter().all(|one| one.received > 0 && one.duplicated == 0), "{totals:?}");
    }
    sites.assert_clean();
    sites.end();
}

/// A LAN, be it a TAP: whoever has it, a second gateway does not start, and touches nothing.
#[test]
fn a_device_has_one_gateway_whoever_that_is_by_now() {
    for lan_tap in [false, true] {
        let plan = Plan { mka: Some(""), channels: 1, lan_tap, ..Plan::DEFAULT };
        let Some(mut sites) = Sites::build("handover::one_gateway", plan) else { return };
        sites.b.start(&sites.lab);
        sites.a.start(&sites.lab);
        let lan = if lan_tap { "tap1" } else { "lan1" };
        let refused = |sites: &Sites| {
            let (said, pid) = (sites.a.twin_refused(&sites.lab, [lan, lan]), sites.a.pid());
            let parts =
                [format!("device {lan}"), format!("process {pid} (program quadspan"), format!("kill {pid}")];
            assert!(parts.iter().all(|part| said.contains(part)), "{parts:?}: {said}");
            assert!(sites.a.counted("ch1").live, "{said}");
        };
        until("the channel is live", PATIENCE, || sites.a.counted("ch1").live.then_some(()));
        refused(&sites);
        for _ in 0..2 {
            sites.a.restart();
            refused(&sites);
        }
        // A supervisor starts it again at once.
        sites.a.kill();
        sites.a.start(&sites.lab);
        sites.end();
    }
}
