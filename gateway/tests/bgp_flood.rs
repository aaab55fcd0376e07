//! A BGP neighbour that does harm, over a real gateway: what it does to itself stays with it.
//!
//! Needs root and the Debian packages that `./test` installs; skipped loudly without, and failed under `CI=true`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod support;

use support::edge::{Edge, Setting};
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
        Edge::start_with("bgp_flood::refresh", Setting { bgp: &bgp, links: 2, ..Setting::PLAIN })
    else {
        return;
    };
    let _calm = edge.peer(Daemon::Bird, &Peering { link: 1, hold: 9, ..Peering::default() });
    edge.await_up("r2");
    edge.await_that("its routes are used", || edge.uses("203.0.113.0/24"));
    let before = edge.gateway.memory_kib();
    let script = edge.folder.path().join("refresh_flood.py");
    std::fs::write(&script, include_str!("support/refresh_flood.py")).unwrap();
    let said = must(&edge.lab, "peer", &format!("python3 {} 10.255.0.1 15", script.display()));
    let grown = edge.gateway.memory_kib().saturating_sub(before);
    println!("{} and {grown} KiB", said.trim());
    let requests: u64 = said.split_whitespace().next().unwrap().parse().unwrap();
    assert!(requests > 10_000, "{said}");
    assert!(grown < 64 * 1024, "{grown} KiB for {said}");
    assert_eq!((edge.ends("r2"), edge.sessions("r2")), (0, 1), "{}", edge.gateway.log());
    assert!(edge.uses("203.0.113.0/24"));
    edge.end();
}
