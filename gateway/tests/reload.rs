//! A configuration that changes under traffic: what can be done without a restart is done without a lost packet, what cannot
//! is named, and a file with an error changes nothing.
//!
//! Needs root and the Debian packages that `./test` installs; skipped loudly without, and failed under `CI=true`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod support;

use std::thread;

use support::edge::{Edge, ONE_SESSION, Setting, TWO_SESSIONS};
use support::peers::{Daemon, Peering};
use support::shell::{must, ping};

const OURS: &str = "10.1.0.0/24";
const THEIRS: &str = "203.0.113.0/24";

/// Does something while a host pings the far end; every echo comes back.
fn without_loss<T>(edge: &Edge, act: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        let pings = scope.spawn(|| must(&edge.lab, "host", "ping -n -q -c 400 -i 0.01 203.0.113.1"));
        let done = act();
        let told = pings.join().unwrap();
        assert!(told.contains("400 received"), "{told}\n{}", edge.gateway.log());
        done
    })
}

/// What `quadspan reload` says; it ends well.
fn reloaded(edge: &Edge) -> String {
    let done = edge.gateway.cli(&["reload"]);
    assert_eq!(done.status, Some(0), "{}\n{}", done.text, edge.gateway.log());
    done.text
}

#[test]
fn neighbours_routes_and_policies_change_under_traffic() {
    let first = TWO_SESSIONS.split_inclusive("[[connection.neighbor]]").take(2).collect::<String>();
    let first = first.strip_suffix("[[connection.neighbor]]").unwrap();
    let second = TWO_SESSIONS.strip_prefix(first).unwrap();
    let Some(edge) = Edge::start("reload::neighbours", first) else { return };
    let peer = edge.peer(Daemon::Bird, &Peering { two_sessions: true, ..Peering::default() });
    edge.await_up("r1");
    edge.await_that("routes cross", || edge.uses(THEIRS) && peer.learned(&edge.lab, OURS));
    ping(&edge.lab, "host", 3, "203.0.113.1");
    assert_eq!(reloaded(&edge), "nothing differs\n");

    // A neighbour is added; asked first.
    edge.gateway.configure(second);
    let plan = edge.gateway.says("reload --dry-run");
    assert_eq!(plan, "  neighbor blue/r2 is added\n1 change; `quadspan reload` makes them\n");
    assert_eq!(edge.gateway.api("bgp")["items"].as_array().unwrap().len(), 1, "nothing was done yet");
    without_loss(&edge, || {
        assert_eq!(reloaded(&edge), "  neighbor blue/r2 is added\nreloaded: 1 change\n");
        edge.await_up("r2");
        edge.await_that("IPv6 routes cross", || {
            edge.uses("2001:db8:b::/48") && peer.learned(&edge.lab, "fd00:1::/64")
        });
    });
    ping(&edge.lab, "host", 2, "2001:db8:b::1");

    // A static route, and it is announced.
    edge.gateway.configure("[[connection.route]]\nprefix = \"10.99.0.0/16\"\nvia = \"unreachable\"\n");
    edge.gateway.rewrite("announce = [\"lans\"]", "announce = [\"lans\", \"static\"]");
    without_loss(&edge, || {
        let told = reloaded(&edge);
        assert!(
            told.contains("route blue/10.99.0.0/16 is added") && told.contains("announces lans, static"),
            "{told}"
        );
        edge.await_that("it is announced", || peer.learned(&edge.lab, "10.99.0.0/16"));
    });
    let refused = support::shell::sh(&edge.lab, "host", "ping -n -c 1 -W 2 10.99.0.1").text;
    assert!(refused.contains("Unreachable"), "{refused}");

    // A policy: the session stays, and only what it says is told.
    edge.gateway.configure(
        "[[connection.policy]]\nname = \"own\"\n[[connection.policy.rule]]\nprefix = [\"10.1.0.0/24\", \"fd00:1::/64\"]\n",
    );
    edge.gateway
        .rewrite(first, &first.replace("export = \"accept\"", "export = \"own\"\ndescription = \"first\""));
    without_loss(&edge, || {
        let told = reloaded(&edge);
        assert!(told.contains("its session stays, its routes are looked at again"), "{told}");
        edge.await_that("it is withdrawn", || !peer.learned(&edge.lab, "10.99.0.0/16"));
        assert!(peer.learned(&edge.lab, OURS));
    });
    assert_eq!((edge.ends("r1"), edge.ends("r2")), (0, 0), "{}", edge.gateway.log());

    // What the two ends have to agree on anew is told before: this one hurts, and only this one.
    edge.gateway.rewrite("name = \"r2\"\n", "name = \"r2\"\nhold = \"30s\"\n");
    let plan = edge.gateway.says("reload --dry-run");
    assert!(plan.starts_with("! neighbor blue/r2 changes, and its session starts anew\n"), "{plan}");
    let before = edge.past("r2");
    without_loss(&edge, || {
        reloaded(&edge);
        edge.await_again("another session", "r2", before);
    });
    assert_eq!(edge.ends("r1"), 0);

    // It is removed again.
    edge.gateway.rewrite("[[connection.neighbor]]\non = \"ch1\"\naddress = \"2001:db8:ffff::2\"\nname = \"r2\"\nhold = \"30s\"\nasn = 65002\nconnect_retry = \"1s\"\nimport = \"accept\"\nexport = \"accept\"\n", "");
    without_loss(&edge, || assert!(reloaded(&edge).starts_with("! neighbor blue/r2 is removed")));
    edge.await_that("its routes are gone", || !edge.uses("2001:db8:b::/48"));
    assert!(peer.log().contains("Peer de-configured"), "{}", peer.log());
    assert_eq!(edge.gateway.api("bgp")["items"].as_array().unwrap().len(), 1);
    edge.end();
}

/// RFC 8326: planned work lasts, whoever comes meanwhile.
#[test]
fn a_neighbour_that_a_reload_brings_to_a_drained_channel_is_drained_too() {
    let first = TWO_SESSIONS.split_inclusive("[[connection.neighbor]]").take(2).collect::<String>();
    let first = first.strip_suffix("[[connection.neighbor]]").unwrap();
    let Some(edge) = Edge::start("reload::drained", first) else { return };
    let _peer = edge.peer(Daemon::Bird, &Peering { two_sessions: true, ..Peering::default() });
    edge.await_up("r1");
    edge.gateway.says("drain ch1 --force --no-wait");
    edge.await_that("r1 is drained", || edge.neighbor("r1")["draining"] == true);
    edge.gateway.configure(TWO_SESSIONS.strip_prefix(first).unwrap());
    reloaded(&edge);
    edge.await_up("r2");
    assert_eq!(
        (&edge.neighbor("r1")["draining"], &edge.neighbor("r2")["draining"]),
        (&true.into(), &true.into())
    );
    edge.gateway.says("undrain ch1");
    edge.await_that("both are back", || {
        edge.neighbor("r1")["draining"] == false && edge.neighbor("r2")["draining"] == false
    });
    edge.end();
}

#[test]
fn a_file_with_an_error_and_one_that_needs_a_restart_change_nothing() {
    let Some(edge) = Edge::start("reload::nothing", ONE_SESSION) else { return };
    let peer = edge.peer(Daemon::Bird, &Peering::default());
    edge.await_up("r1");
    edge.await_that("routes cross", || edge.uses(THEIRS) && peer.learned(&edge.lab, OURS));
    ping(&edge.lab, "host", 1, "203.0.113.1");
    let before = edge.gateway.api("config");

    edge.gateway.rewrite("name = \"r1\"\n", "name = \"r1\"\nhlod = \"30s\"\n");
    let broken = without_loss(&edge, || edge.gateway.cli(&["reload"]));
    assert_eq!(broken.status, Some(3), "{}", broken.text);
    assert!(
        broken.text.contains("QS0002")
            && broken.text.contains("edge.toml:")
            && broken.text.contains("nothing has changed"),
        "{}",
        broken.text
    );
    assert_eq!(edge.gateway.api("config")["config"], before["config"]);
    let said = edge.gateway.says("status");
    assert!(said.contains("! config not reloaded at") && said.contains("QS0002"), "{said}");
    let failed = &edge.gateway.events("config.reload_failed")[0];
    assert!(failed["why"].as_str().unwrap().contains(":"), "{failed}");

    // The same by a signal, as systemd would.
    edge.gateway.hang_up();
    edge.await_that("it is told again", || edge.gateway.events("config.reload_failed").len() == 2);

    // Mended, but with another port: named, and nothing is done, not even what could be.
    edge.gateway.rewrite("hlod = \"30s\"\n", "hold = \"30s\"\n");
    edge.gateway.rewrite("device = \"lan1\"\n", "device = \"lan1\"\nring_kib = 512\n");
    let stuck = without_loss(&edge, || edge.gateway.cli(&["reload"]));
    assert_eq!(stuck.status, Some(1), "{}", stuck.text);
    assert!(stuck.text.contains("! needs a restart: port lan: ring"), "{}", stuck.text);
    assert!(stuck.text.contains("`quadspan restart` brings the file into use"), "{}", stuck.text);
    assert_eq!(edge.gateway.cli(&["reload", "--dry-run"]).status, Some(6), "not as if nothing was to do");
    assert_eq!(edge.ends("r1"), 0);

    // Mended altogether: it counts, and nobody complains any more.
    edge.gateway.rewrite("ring_kib = 512\n", "");
    let before = edge.past("r1");
    edge.gateway.hang_up();
    edge.await_that("it is told", || !edge.gateway.events("config.reloaded").is_empty());
    edge.await_again("a session with the other timer", "r1", before);
    assert!(!edge.gateway.says("status").contains("not reloaded"));
    edge.end();
}

// RFC 5880 §6.8.3: new timers are agreed on with a Poll Sequence, and the session stays up.
#[test]
fn bfd_timers_change_while_the_session_stays_up() {
    let bgp = format!("announce = [\"lans\"]\n{ONE_SESSION}");
    let attachment = "[connection.attachment.bfd]\nmin_tx = \"100ms\"\n";
    let Some(edge) = Edge::start_with("reload::bfd", Setting { attachment, bgp: &bgp, ..Setting::PLAIN })
    else {
        return;
    };
    let top = "protocol bfd { interface \"eth0\" { min rx interval 50 ms; min tx interval 50 ms; }; }\n";
    let peer = edge.peer(Daemon::Bird, &Peering { top, more: " bfd on;", ..Peering::default() });
    edge.await_up("r1");
    edge.await_that("routes cross", || edge.uses(THEIRS) && peer.learned(&edge.lab, OURS));
    let session = |key: &str| {
        let list = edge.gateway.api("bfd");
        let all = list["items"].as_array().unwrap();
        all.iter().find(|one| one["peer"] == "10.255.0.2").unwrap()[key].clone()
    };
    edge.await_that("BFD is up", || session("state") == "up" && session("tx_interval_us") == 100_000);
    edge.gateway.rewrite("min_tx = \"100ms\"\n", "min_tx = \"60ms\"\nmultiplier = 5\n");
    let told = without_loss(&edge, || {
        let told = reloaded(&edge);
        edge.await_that("faster", || session("tx_interval_us") == 60_000);
        told
    });
    assert!(told.contains("BFD blue/ch1 10.255.0.2 runs with other timers"), "{told}");
    edge.await_that("the peer knows", || {
        let said = peer.ask(&edge.lab, "show bfd sessions");
        said.lines().any(|line| line.contains("10.255.0.1") && line.contains("Up") && line.contains("0.300"))
    });
    assert_eq!((session("downs"), session("multiplier")), (0.into(), 5.into()));
    assert_eq!(edge.ends("r1"), 0);
    edge.end();
}
