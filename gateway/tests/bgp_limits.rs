//! A limit that a reload lowers below what a neighbour has announced, a neighbour that a reload adds, and the last words of one that is shut
//! down at its own end.
//!
//! Needs root and the Debian packages that `./test` installs; skipped loudly without, and failed under `CI=true`.

#![expect(clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod support;

use serde_json::Value;
use support::edge::{Edge, ONE_SESSION, TWO_SESSIONS};
use support::peers::{Daemon, Peering};

const PREFIXES: [&str; 3] = ["203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24"];

/// Has the configuration say `after` instead of `before`, from now on.
fn reload(edge: &Edge, before: &str, after: &str) {
    edge.gateway.rewrite(before, after);
    let done = edge.gateway.cli(&["reload"]);
    assert_eq!(done.status, Some(0), "{}\n{}", done.text, edge.gateway.log());
}

fn received(edge: &Edge) -> Value {
    edge.neighbor("r1")["families"][0]["received"].clone()
}

#[test]
fn a_limit_that_is_lowered_acts_on_what_is_there() {
    let limit = |max: u32, action: &str| format!("max_in = {{ ipv4 = {max}, action = \"{action}\" }}\n");
    let at_first = limit(100, "warn");
    let text = ONE_SESSION.replace("connect_retry", &format!("{at_first}connect_retry"));
    let Some(edge) = Edge::start("bgp_limits::lowered", &text) else { return };
    let prefixes = PREFIXES.map(str::to_owned).to_vec();
    let _peer = edge.peer(Daemon::Bird, &Peering { prefixes, ..Peering::default() });
    edge.await_up("r1");
    edge.await_that("all are there", || received(&edge) == 3);
    let sessions = edge.sessions("r1");
    let levels = || -> Vec<String> {
        let lines = edge.gateway.events("bgp.limit");
        lines.iter().map(|line| format!("{} {} of {}", line["level"], line["used"], line["max"])).collect()
    };
    assert_eq!(levels(), [""; 0]);

    // What is too much is said, and nothing else happens.
    let warn = limit(2, "warn");
    reload(&edge, &at_first, &warn);
    edge.await_that("it is told", || levels() == ["\"exceeded\" 3 of 2"]);
    let hold = limit(2, "hold");
    reload(&edge, &warn, &hold);
    edge.await_that("it is told", || levels().len() == 2);
    assert_eq!((received(&edge), edge.sessions("r1")), (3.into(), sessions), "what is there stays");

    // The session ends, and what to do is told, also after a reload that raises the limit again.
    let (shut, raised) = (limit(2, "shut"), limit(9, "shut"));
    reload(&edge, &hold, &shut);
    edge.await_that("it is shut down", || edge.neighbor("r1")["reason"] == "max_prefixes");
    assert!(PREFIXES.iter().all(|prefix| !edge.uses(prefix)), "{:#}", edge.gateway.api("routes"));
    reload(&edge, &shut, &raised);
    let told = edge.gateway.says("show bgp r1");
    assert!(
        told.contains("it sent more than 2 ipv4 prefixes") && told.contains("bgp enable blue/r1"),
        "{told}"
    );
    assert!(told.contains("we said last") && told.contains("maximum number of prefixes"), "{told}");
    edge.gateway.says("bgp enable r1");
    edge.await_up("r1");
    edge.await_that("all are there", || received(&edge) == 3);

    // Shut down for a while, and let in before that is over.
    let for_a_while = "max_in = { ipv4 = 2, action = \"shut\", restart = \"1h\" }\n";
    reload(&edge, &raised, for_a_while);
    edge.await_that("it is shut down", || edge.neighbor("r1")["reason"] == "held");
    reload(&edge, for_a_while, &at_first);
    let told = edge.gateway.says("show bgp r1");
    assert!(told.contains("by max_in for a while: it sent more than 2 ipv4 prefixes"), "{told}");
    edge.gateway.says("bgp enable r1");
    edge.await_up("r1");
    edge.end();
}

#[test]
fn a_neighbour_that_a_reload_adds_has_time_to_come_up() {
    let (first, second) = TWO_SESSIONS.split_at(TWO_SESSIONS.rfind("[[connection.neighbor]]").unwrap_or(0));
    let Some(edge) = Edge::start("bgp_limits::added", first) else { return };
    let _peer = edge.peer(Daemon::Bird, &Peering::default());
    edge.await_up("r1");
    edge.await_that("all is well", || edge.gateway.cli(&["status", "--exit-code"]).status == Some(0));
    // One that nobody answers for.
    edge.gateway.configure(second);
    assert_eq!(edge.gateway.cli(&["reload"]).status, Some(0));
    let status = edge.gateway.cli(&["status", "--exit-code"]);
    let told = "neighbor/blue/r2 no BGP session yet, it is coming up: ";
    assert!(status.status == Some(0) && status.text.contains(told), "{status:?}");
    edge.await_that("that is over", || edge.gateway.cli(&["status", "--exit-code"]).status == Some(8));
    let reasons = edge.gateway.api("status")["reasons"].clone();
    let mut about = reasons.as_array().into_iter().flatten();
    assert!(
        about.any(|one| one["subject"] == "neighbor/blue/r2" && one["severity"] == "degraded"),
        "{reasons:#}"
    );
    edge.end();
}

// RFC 9003.
#[test]
fn what_a_neighbours_operator_said_is_there_as_long_as_nothing_else_is_said() {
    let Some(edge) = Edge::start("bgp_limits::words", ONE_SESSION) else { return };
    let peer = edge.peer(Daemon::Bird, &Peering::default());
    edge.await_up("r1");
    let words = "new fibre, back at 04:00";
    peer.ask(&edge.lab, &format!("disable peer \"{words}\""));
    let said = |name: &str| edge.neighbor("r1")[name]["why"].as_str().is_some_and(|why| why.contains(words));
    edge.await_that("it is told", || said("last_notification_in"));
    // Attempts go on, and fail.
    edge.await_that("nobody answers", || !edge.neighbor("r1")["last_failure"].is_null());
    assert!(said("last_notification_in"));
    let told = edge.gateway.says("show bgp r1");
    assert!(told.contains("last failure") && told.contains(words), "{told}");
    assert!(edge.gateway.says("status").contains(words), "{}", edge.gateway.says("status"));
    peer.ask(&edge.lab, "enable peer");
    edge.await_up("r1");
    assert!(said("last_notification_in") && edge.neighbor("r1")["last_failure"].is_null());
    edge.end();
}
