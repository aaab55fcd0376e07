//! What a BGP neighbour may cost, and how many prefixes cross, over a real gateway.
//!
//! Needs root and the Debian packages that `./test` installs; skipped loudly without, and failed under `CI=true`.

mod support;

use support::edge::{Edge, ONE_SESSION, Setting};
use support::peers::{Daemon, Peering};
use support::shell::must;

/// RFC 2918, RFC 7313: requests come faster than anything, and nothing is read, for longer than the other neighbour's
/// hold time.
#[test]
fn a_neighbour_that_asks_for_routes_without_end_harms_nobody() {
    let neighbor = |at: u8| {
        format!(
            "[[connection.neighbor]]\non = \"ch{at}\"\nname = \"r{at}\"\nasn = 65002\nfamilies = [\"ipv4\", \"ipv6\"]\n\
             connect_retry = \"1s\"\nimport = \"accept\"\nexport = \"accept\"\n"
        )
    };
    let statics: String = (0..200)
        .map(|at| format!("[[connection.route]]\nprefix = \"10.64.{at}.0/24\"\nvia = \"unreachable\"\n"))
        .collect();
    let bgp = format!("announce = [\"lans\", \"static\"]\n{}{}{statics}", neighbor(1), neighbor(2));
    let Some(edge) =
        Edge::start_with("bgp_bounds::refresh", Setting { bgp: &bgp, links: 2, ..Setting::PLAIN })
    else {
        return;
    };
    let _calm = edge.peer(Daemon::Bird, &Peering { link: 1, hold: 9, ..Peering::default() });
    edge.await_up("r2");
    edge.await_that("its routes are used", || edge.uses("203.0.113.0/24"));
    let (sessions, before) = (edge.sessions("r2"), edge.gateway.memory_kib());
    let script = edge.folder.path().join("refresh_flood.py");
    std::fs::write(&script, include_str!("support/refresh_flood.py")).unwrap();
    let said = must(&edge.lab, "peer", &format!("python3 {} 10.255.0.1 15", script.display()));
    let grown = edge.gateway.memory_kib().saturating_sub(before);
    println!("{} and {grown} KiB", said.trim());
    let requests: u64 = said.split_whitespace().next().unwrap().parse().unwrap();
    assert!(requests > 10_000, "{said}");
    assert!(grown < 64 * 1024, "{grown} KiB for {said}");
    assert_eq!((edge.ends("r2"), edge.sessions("r2")), (0, sessions), "{}", edge.gateway.log());
    assert!(edge.uses("203.0.113.0/24"));
    edge.end();
}

/// Limits, and what no neighbour is ever told, change by a reload; sessions stay.
#[test]
fn limits_follow_a_reload_and_the_session_stays() {
    let statics: String = (0..12)
        .map(|at| format!("[[connection.route]]\nprefix = \"10.64.{at}.0/24\"\nvia = \"unreachable\"\n"))
        .collect();
    let limits = |taken: u8, told: u8| {
        format!("max_in = {{ ipv4 = {taken}, action = \"hold\" }}\nmax_out = {{ ipv4 = {told} }}\n")
    };
    let text = format!("{ONE_SESSION}{}{statics}", limits(5, 50));
    let Some(edge) = Edge::start_announcing("bgp_bounds::reload", "[\"lans\", \"static\"]", &text) else {
        return;
    };
    let prefixes = (0..8).map(|at| format!("203.0.{at}.0/24")).collect();
    let peer = edge.peer(Daemon::Bird, &Peering { prefixes, ..Peering::default() });
    edge.await_up("r1");
    let ipv4 = |key: &str| edge.neighbor("r1")["families"][0][key].clone();
    edge.await_that("five are taken, 13 told", || {
        ipv4("received") == 5 && ipv4("overflowed") == true && ipv4("announced") == 13
    });
    let sessions = edge.sessions("r1");
    edge.await_that("the last is there", || peer.learned(&edge.lab, "10.64.11.0/24"));

    edge.gateway.rewrite(&limits(5, 50), &limits(20, 10));
    assert!(edge.gateway.says("reload").contains("its session stays"));
    edge.await_that("the rest is taken, the excess taken back", || {
        ipv4("received") == 8 && ipv4("overflowed") == false && ipv4("announced") == 10
    });
    edge.await_that("it hears of that", || !peer.learned(&edge.lab, "10.64.11.0/24"));
    assert!(peer.learned(&edge.lab, "10.64.0.0/24"));

    let more =
        format!("{}keepalive = \"1s\"\nenforce_first_as = false\naccept_as_sets = true\n", limits(20, 10));
    edge.gateway.rewrite(&limits(20, 10), &more);
    edge.gateway.rewrite("connect_retry = \"1s\"", "connect_retry = \"2s\"");
    let told = edge.gateway.says("reload");
    assert!(told.contains("its session stays"), "{told}");
    edge.await_that("all is there", || ipv4("received") == 8);
    assert_eq!((edge.ends("r1"), edge.sessions("r1")), (0, sessions), "{}", edge.gateway.log());
    edge.end();
}
