//! BGP against speakers that other people wrote, over a real gateway: FRR, BIRD, GoBGP, OpenBGPD, ExaBGP.
//!
//! Each test builds its own network (`support/edge.rs`), one at a time. Needs root and the Debian packages that `./test`
//! installs; skipped loudly without, and failed under `CI=true`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod support;

use std::time::Duration;

use serde_json::Value;
use support::edge::{Edge, ONE_SESSION, TWO_SESSIONS};
use support::gateway::{Folder, Gateway};
use support::peers::{Daemon, Peer, Peering};
use support::shell::{must, ping, sh, until};

const PATIENCE: Duration = Duration::from_secs(20);
const PASSWORD: &str = "password = { file = \"md5\" }\n";

/// Routes of both families are there, both ways, and packets follow them.
fn exchanged(edge: &Edge, peer: &Peer) {
    edge.await_that("the gateway uses both prefixes", || {
        edge.uses("203.0.113.0/24") && edge.uses("2001:db8:b::/48")
    });
    for prefix in ["10.1.0.0/24", "fd00:1::/64"] {
        edge.await_that(&format!("the peer learns {prefix}\n{}", peer.log()), || {
            peer.learned(&edge.lab, prefix)
        });
    }
}

/// With each password or none: sessions, routes, packets.
fn routes_cross(name: &str, daemon: Daemon, installs: bool) {
    for password in [None, Some("correct-horse")] {
        let two_sessions = daemon == Daemon::Openbgpd;
        let text = if two_sessions { TWO_SESSIONS } else { ONE_SESSION };
        let text = match password {
            Some(_) => text.replace("connect_retry", &format!("{PASSWORD}connect_retry")),
            None => text.to_owned(),
        };
        let Some(edge) = Edge::start(&format!("bgp_peers::{name}"), &text) else { return };
        let peer = edge.peer(daemon, &Peering { password, two_sessions, ..Peering::default() });
        edge.await_up("r1");
        exchanged(&edge, &peer);
        if !installs {
            // This speaker keeps its routes to itself: the way back is put there by hand.
            must(
                &edge.lab,
                "peer",
                "ip route add 10.1.0.0/24 via 10.255.0.1; ip route add fd00:1::/64 via 2001:db8:ffff::1",
            );
        }
        until("packets follow the routes", PATIENCE, || {
            (sh(&edge.lab, "host", "ping -n -c 1 -W 1 203.0.113.1").status == Some(0)).then_some(())
        });
        ping(&edge.lab, "host", 3, "203.0.113.1");
        ping(&edge.lab, "host", 3, "2001:db8:b::1");
        let signed = edge.neighbor("r1")["password"].as_bool().unwrap();
        assert_eq!(signed, password.is_some());
        assert!(edge.gateway.bgp_ends().is_empty(), "{}", edge.gateway.log());
        assert!(!edge.gateway.log().contains("correct-horse"), "no password in the log");
        edge.end();
    }
}

#[test]
fn routes_cross_with_frr() {
    routes_cross("routes_cross_with_frr", Daemon::Frr, true);
}

#[test]
fn routes_cross_with_bird() {
    routes_cross("routes_cross_with_bird", Daemon::Bird, true);
}

#[test]
fn routes_cross_with_gobgp() {
    routes_cross("routes_cross_with_gobgp", Daemon::Gobgp, false);
}

#[test]
fn routes_cross_with_openbgpd() {
    routes_cross("routes_cross_with_openbgpd", Daemon::Openbgpd, false);
}

#[test]
fn routes_cross_with_exabgp() {
    routes_cross("routes_cross_with_exabgp", Daemon::Exabgp, false);
}

// RFC 5082.
#[test]
fn ttl_security_lets_neighbours_on_the_link_in_and_nobody_else() {
    let secure = ONE_SESSION.replace("connect_retry", "ttl_security = true\nconnect_retry");
    for daemon in [Daemon::Bird, Daemon::Frr, Daemon::Gobgp] {
        let Some(edge) = Edge::start("bgp_peers::ttl_security", &secure) else { return };
        let peer = edge.peer(daemon, &Peering { gtsm: true, ..Peering::default() });
        edge.await_up("r1");
        exchanged(&edge, &peer);
        drop(peer);
        edge.end();
    }
    // A neighbour that sends with TTL 1 looks as if it were 254 hops away.
    let Some(edge) = Edge::start("bgp_peers::ttl_security", &secure) else { return };
    let _peer = edge.peer(Daemon::Bird, &Peering::default());
    // BIRD listens with TTL 255, so connections of ours do come about; what it says on them is dropped by the kernel, again and again.
    let dropped = || {
        let text = must(&edge.lab, "gw", "nstat -asz TcpExtTCPMinTTLDrop | awk '/MinTTL/ { print $2 }'");
        text.trim().parse::<u64>().unwrap()
    };
    edge.await_that("what comes from afar is dropped", || dropped() >= 8);
    let neighbor = edge.neighbor("r1");
    assert!(neighbor["sessions"] == 0 && neighbor["messages_in"] == 0, "{neighbor}");
    // The kernel only counts; what that means, and what to do, is told.
    edge.await_that("why", || edge.neighbor("r1")["reason"] == "ttl_too_low");
    let told = edge.gateway.says("show bgp");
    assert!(
        told.contains("! blue/r1: segments arrive with a TTL below 255")
            && told.contains("remove `ttl_security` here"),
        "{told}"
    );
    assert!(edge.gateway.events("bgp.ttl").iter().any(|line| line["neighbor"] == "blue/r1"));
    edge.end();
}

// RFC 2385; the kernel only counts, and says nothing.
#[test]
fn passwords_that_do_not_match_are_called_by_their_name() {
    let signed = ONE_SESSION.replace("connect_retry", &format!("{PASSWORD}connect_retry"));
    for (ours, theirs, reason) in [
        (signed.as_str(), Some("another"), "md5_wrong"),
        (signed.as_str(), None, "md5_missing"),
        (ONE_SESSION, Some("another"), "md5_unexpected"),
    ] {
        let Some(edge) = Edge::start("bgp_peers::passwords", ours) else { return };
        let _peer = edge.peer(Daemon::Bird, &Peering { password: theirs, ..Peering::default() });
        edge.await_that(reason, || edge.neighbor("r1")["reason"] == reason);
        let said = edge.gateway.events("bgp.md5");
        assert!(said.iter().any(|line| line["kind"] == reason && line["neighbor"] == "blue/r1"), "{said:?}");
        assert!(
            edge.gateway.says("show bgp").contains("! blue/r1: segments arrive with"),
            "{}",
            edge.gateway.says("show bgp")
        );
        edge.end();
    }
}

/// Linux lets a key be changed under a live connection; what was refused meanwhile is sent again.
#[test]
fn both_ends_change_the_password_and_the_session_stays() {
    let signed = ONE_SESSION.replace("connect_retry", &format!("{PASSWORD}connect_retry"));
    let Some(edge) = Edge::start("bgp_peers::both_ends_change", &signed) else { return };
    must(&edge.lab, "peer", "ip address flush dev eth0");
    let far = Folder::new();
    far.key("md5", "correct-horse\n");
    let text = "[[interconnect]]\nname = \"x\"\n[[port]]\nname = \"p1\"\ndevice = \"eth0\"\n\
        [[channel]]\nname = \"ch1\"\ninterconnect = \"x\"\nport = \"p1\"\n[channel.macsec]\npolicy = \"off\"\n\
        [[connection]]\nname = \"blue\"\ninterconnect = \"x\"\n\
        [[connection.attachment]]\nchannel = \"ch1\"\naddress = [\"10.255.0.2/30\"]\npeer = [\"10.255.0.1\"]\n\
        [connection.bgp]\nasn = 65002\nannounce = [\"203.0.113.0/24\"]\n\
        [[connection.neighbor]]\non = \"ch1\"\nasn = 65001\npassword = { file = \"md5\" }\nhold = \"30s\"\nkeepalive = \"1s\"\n\
        connect_retry = \"1s\"\nimport = \"accept\"\nexport = \"accept\"\n";
    let mut other = Gateway::new(&far, "peer", "far", 1, text);
    other.start(&edge.lab);
    edge.await_that("routes cross", || edge.uses("203.0.113.0/24"));
    for folder in [&edge.folder, &far] {
        folder.key("md5", "the-next-one\n");
    }
    assert!(edge.gateway.says("bgp rekey r1").contains("blue/r1"));
    assert!(other.says("bgp rekey 10.255.0.1").contains("blue/10.255.0.1%ch1"));
    let heard = || edge.neighbor("r1")["messages_in"].as_u64().unwrap();
    let before = heard();
    edge.await_that("keepalives cross", || heard() >= before + 3);
    assert_eq!((edge.ends("r1"), other.bgp_ends().len()), (0, 0), "{}", edge.gateway.log());
    // The next session is signed with it from its first segment on.
    let before = edge.past("r1");
    other.says("bgp clear 10.255.0.1");
    edge.await_again("another session", "r1", before);
    other.end();
    edge.end();
}

#[test]
fn a_password_is_changed_while_the_neighbour_starts_anew_for_it() {
    let signed = ONE_SESSION.replace("connect_retry", &format!("{PASSWORD}connect_retry"));
    let Some(edge) = Edge::start("bgp_peers::a_password_is_changed", &signed) else { return };
    let peering = Peering { password: Some("correct-horse"), hold: 30, ..Peering::default() };
    let peer = edge.peer(Daemon::Frr, &peering);
    edge.await_up("r1");
    exchanged(&edge, &peer);
    edge.folder.key("md5", "the-next-one\n");
    assert!(edge.gateway.says("bgp rekey r1").contains("blue/r1"));
    // FRR ends a session whose password is changed, and calls again.
    must(
        &edge.lab,
        "peer",
        &format!(
            "vtysh --vty_socket {0} --config_dir {0} -c 'conf t' -c 'router bgp 65002' -c 'neighbor 10.255.0.1 password the-next-one'",
            edge.folder.path().join("peer-peer").display()
        ),
    );
    edge.await_that("up with the new password", || {
        edge.neighbor("r1")["state"] == "established" && peer.learned(&edge.lab, "10.1.0.0/24")
    });
    edge.end();
}

#[test]
fn sessions_come_back_whatever_ended_them() {
    let Some(edge) = Edge::start("bgp_peers::sessions_come_back", ONE_SESSION) else { return };
    let mut peer = edge.peer(Daemon::Bird, &Peering::default());
    edge.await_up("r1");
    exchanged(&edge, &peer);
    // An operator.
    let before = edge.past("r1");
    assert!(edge.gateway.says("bgp clear 10.255.0.2").contains("starts again"));
    edge.await_again("a second session", "r1", before);
    exchanged(&edge, &peer);
    let ended = edge.gateway.bgp_ends();
    let cleared = |line: &Value| line["why"].as_str().unwrap().contains("cleared by the operator");
    assert!(ended.iter().any(cleared), "{ended:?}");
    // Their operator, with a word (RFC 9003).
    let before = edge.past("r1");
    peer.ask(&edge.lab, "restart peer");
    edge.await_again("a third session", "r1", before);
    exchanged(&edge, &peer);
    // A crash.
    let before = edge.past("r1");
    peer.crash("bird");
    edge.await_that("it is down", || edge.neighbor("r1")["state"] != "established");
    peer.recover(&edge.lab);
    edge.await_again("a fourth session", "r1", before);
    exchanged(&edge, &peer);
    // A link: told at once, not by the hold timer.
    let before = edge.past("r1");
    must(&edge.lab, "peer", "ip link set eth0 down");
    edge.await_that("the link is the reason", || edge.neighbor("r1")["reason"] == "link_down");
    assert!(!edge.uses("203.0.113.0/24"), "routes went with the link");
    let why = edge.neighbor("r1")["last_down"]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("the link is down"), "{why}");
    must(&edge.lab, "peer", "ip link set eth0 up; ip address replace 2001:db8:ffff::2/64 dev eth0 nodad");
    edge.await_again("a fifth session", "r1", before);
    exchanged(&edge, &peer);
    edge.end();
}

#[test]
fn a_gateway_that_ends_says_goodbye() {
    let Some(mut edge) = Edge::start("bgp_peers::goodbye", ONE_SESSION) else { return };
    let peer = edge.peer(Daemon::Bird, &Peering { hold: 90, ..Peering::default() });
    edge.await_up("r1");
    exchanged(&edge, &peer);
    edge.gateway.end();
    until("the peer knows", PATIENCE, || {
        let said = peer.ask(&edge.lab, "show protocols all peer");
        (said.contains("Administrative shutdown") || !peer.learned(&edge.lab, "10.1.0.0/24")).then_some(())
    });
}

fn many(count: u8) -> Vec<String> {
    (0..count).map(|at| format!("203.0.{at}.0/24")).collect()
}

// Per-peer limits: RFC 4486 §4 (maximum number of prefixes).
#[test]
fn too_many_prefixes_are_held_or_end_the_session_as_configured() {
    let peering = Peering { prefixes: many(8), ..Peering::default() };
    let hold = format!("{ONE_SESSION}max_in = {{ ipv4 = 5, action = \"hold\" }}\n");
    let Some(edge) = Edge::start("bgp_peers::too_many_prefixes", &hold) else { return };
    let _peer = edge.peer(Daemon::Bird, &peering);
    edge.await_up("r1");
    edge.await_that("five are taken", || edge.neighbor("r1")["families"][0]["received"] == 5);
    assert_eq!(edge.neighbor("r1")["families"][0]["overflowed"], true);
    assert!(
        edge.gateway
            .events("bgp.limit")
            .iter()
            .any(|line| line["level"] == "exceeded" && line["direction"] == "in")
    );
    assert_eq!(edge.neighbor("r1")["state"], "established");
    edge.end();

    let shut = format!("{ONE_SESSION}max_in = {{ ipv4 = 5, action = \"shut\", restart = \"1h\" }}\n");
    let Some(edge) = Edge::start("bgp_peers::too_many_prefixes", &shut) else { return };
    let peer = edge.peer(Daemon::Bird, &peering);
    edge.await_that("it is held down", || edge.neighbor("r1")["reason"] == "held");
    assert!(!edge.uses("203.0.0.0/24"));
    let said = peer.ask(&edge.lab, "show protocols all peer");
    assert!(said.contains("Maximum number of prefixes reached"), "{said}");
    edge.end();

    // Without `restart` it stays down until somebody lets it run, and is told how.
    let for_good = format!("{ONE_SESSION}max_in = {{ ipv4 = 5, action = \"shut\" }}\n");
    let Some(edge) = Edge::start("bgp_peers::too_many_prefixes", &for_good) else { return };
    let peer = edge.peer(Daemon::Bird, &peering);
    edge.await_that("it is shut down", || edge.neighbor("r1")["reason"] == "max_prefixes");
    let screen = edge.gateway.says("show bgp");
    assert!(
        screen.contains("more than 5 ipv4 prefixes") && screen.contains("bgp enable blue/r1"),
        "{screen}"
    );
    drop(peer);
    let _fewer = edge.peer(Daemon::Bird, &Peering { prefixes: many(2), ..Peering::default() });
    edge.gateway.says("bgp enable blue/r1");
    edge.await_up("r1");
    edge.end();
}

#[test]
fn more_routes_than_one_answer_of_the_api_has_are_all_shown() {
    let Some(edge) = Edge::start("bgp_peers::pages", ONE_SESSION) else { return };
    let prefixes = (0..12_000u32).map(|at| format!("20.{}.{}.0/24", at / 256, at % 256)).collect();
    let _peer = edge.peer(Daemon::Bird, &Peering { prefixes, ..Peering::default() });
    edge.await_up("r1");
    edge.await_that("all are there", || edge.neighbor("r1")["families"][0]["received"] == 12_000);
    edge.await_that("all are used", || edge.gateway.api("routes")["unlisted"] == 2_000);
    let first = edge.gateway.api("routes?limit=1000000");
    let learnt =
        |list: &Value| list["items"].as_array().unwrap().iter().filter(|one| one["origin"] == "bgp").count();
    assert_eq!((learnt(&first), &first["unlisted"]), (10_000, &serde_json::json!(2_000)));
    let shown = edge.gateway.says("show routes");
    let lines = shown.lines().filter(|line| line.contains(" 20.") || line.starts_with("20.")).count();
    assert_eq!(lines, 12_000);
    let whole: Value = serde_json::from_str(&edge.gateway.says("--json show routes")).unwrap();
    assert_eq!((learnt(&whole), whole.get("next")), (12_000, None));
    edge.end();
}

#[test]
fn what_a_neighbour_would_end_the_session_for_is_never_sent() {
    let statics: String = (0..12)
        .map(|at| format!("[[connection.route]]\nprefix = \"10.64.{at}.0/24\"\nvia = \"unreachable\"\n"))
        .collect();
    let text = format!("{ONE_SESSION}max_out = {{ ipv4 = 10 }}\n{statics}");
    // FRR ends the session at the eleventh.
    let peering = Peering { more: " neighbor @PEER@ description limited\n", ..Peering::default() };
    let family = |edge: &Edge| edge.neighbor("r1")["families"][0].clone();
    let Some(edge) = Edge::start_announcing("bgp_peers::out_limit", "[\"lans\", \"static\"]", &text) else {
        return;
    };
    let peer = edge.peer(Daemon::Frr, &peering);
    must(
        &edge.lab,
        "peer",
        &format!(
            "vtysh --vty_socket {0} --config_dir {0} -c 'conf t' -c 'router bgp 65002' -c 'address-family ipv4 unicast' -c 'neighbor 10.255.0.1 maximum-prefix 10'",
            edge.folder.path().join("peer-peer").display()
        ),
    );
    edge.await_that("ten are announced, three held back", || {
        let family = family(&edge);
        family["announced"] == 10 && family["held_back"] == 3
    });
    assert!(edge.gateway.bgp_ends().is_empty(), "what the peer would end it for did not come");
    let levels = edge.gateway.events("bgp.limit");
    assert!(levels.iter().any(|line| line["level"] == "near" && line["direction"] == "out"), "{levels:?}");
    assert!(edge.gateway.says("show bgp").contains("3 ipv4 prefixes are held back"));
    assert!(edge.gateway.says("show routes 10.64.11.0/24 --why").contains("held back, the prefix limit"));
    drop(peer);
    edge.end();
}

// RFC 4724: their control plane restarts, ours helps.
#[test]
fn routes_of_a_neighbour_that_restarts_stay_and_carry_traffic() {
    for (daemon, program) in [(Daemon::Bird, "bird"), (Daemon::Frr, "bgpd")] {
        let text = format!("{ONE_SESSION}graceful_restart = \"helper\"\n");
        let Some(edge) = Edge::start("bgp_peers::routes_of_a_neighbour_that_restarts", &text) else { return };
        let mut peer = edge.peer(daemon, &Peering { restarts: true, ..Peering::default() });
        edge.await_up("r1");
        exchanged(&edge, &peer);
        ping(&edge.lab, "host", 1, "203.0.113.1");
        let before = edge.sessions("r1");
        edge.await_that("restart was agreed on", || edge.neighbor("r1")["graceful_restart"] == "helper");
        peer.crash(program);
        edge.await_that("it is down", || edge.neighbor("r1")["state"] != "established");
        assert!(edge.uses("203.0.113.0/24"), "{daemon:?}: its routes are stale and stay");
        assert!(!edge.neighbor("r1")["families"][0]["stale_until"].is_null());
        ping(&edge.lab, "host", 2, "203.0.113.1");
        peer.recover(&edge.lab);
        edge.await_that("it is back", || edge.sessions("r1") > before);
        edge.await_that("nothing is stale", || edge.neighbor("r1")["families"][0]["stale_until"].is_null());
        assert!(edge.uses("203.0.113.0/24"), "{daemon:?}");
        exchanged(&edge, &peer);
        ping(&edge.lab, "host", 2, "203.0.113.1");
        edge.end();
    }
}

// RFC 2918, RFC 7313.
#[test]
fn routes_are_told_again_when_somebody_asks() {
    for daemon in [Daemon::Bird, Daemon::Frr, Daemon::Gobgp] {
        let Some(edge) = Edge::start("bgp_peers::routes_are_told_again", ONE_SESSION) else { return };
        let peer = edge.peer(daemon, &Peering::default());
        edge.await_up("r1");
        exchanged(&edge, &peer);
        let heard = || edge.neighbor("r1")["messages_in"].as_u64().unwrap();
        let before = heard();
        assert!(edge.gateway.says("bgp refresh r1").contains("again"));
        edge.await_that("it answers", || heard() >= before + 2);
        let ask = match daemon {
            Daemon::Bird => "reload in peer",
            Daemon::Frr => "clear bgp 10.255.0.1 soft in",
            Daemon::Gobgp | Daemon::Openbgpd | Daemon::Exabgp => "neighbor 10.255.0.1 softresetin",
        };
        let sent = || edge.neighbor("r1")["messages_out"].as_u64().unwrap();
        let before = sent();
        peer.ask(&edge.lab, ask);
        edge.await_that("we answer", || sent() > before);
        exchanged(&edge, &peer);
        assert_eq!(edge.ends("r1"), 0, "{daemon:?}: the session stayed");
        edge.end();
    }
}
