//! What an operator does to neighbours of a gateway that runs: shutdown with a word, BFD off and on; and BFD with a router of
//! the customer's on a LAN.
//!
//! Needs root and the Debian packages that `./test` installs; skipped loudly without, and failed under `CI=true`.

mod support;

use nix::sys::signal::Signal;
use serde_json::Value;
use support::edge::{Edge, FAR, ONE_SESSION, Setting};
use support::gateway::{Folder, Gateway};
use support::peers::{Daemon, Peer, Peering};
use support::shell::{must, ping};

const THEIRS: &str = "203.0.113.0/24";

// RFC 9003.
#[test]
fn a_neighbour_is_shut_down_with_a_word_and_stays_down_until_it_is_enabled() {
    let Some(edge) = Edge::start("bgp_commands::shutdown", ONE_SESSION) else { return };
    let peer = edge.peer(Daemon::Bird, &Peering::default());
    edge.await_up("r1");
    edge.await_that("routes cross", || edge.uses(THEIRS) && peer.learned(&edge.lab, "10.1.0.0/24"));
    let done = edge.gateway.cli(&["bgp", "shutdown", "r1", "--text", "new optics, back at 14:00 & sorry"]);
    assert!(done.status == Some(0) && done.text.starts_with("blue/r1: shut down, until"), "{done:?}");
    edge.await_that("it is down", || edge.neighbor("r1")["reason"] == "shut_down");
    assert!(!edge.uses(THEIRS), "its routes are gone");
    let said = peer.ask(&edge.lab, "show protocols all peer");
    assert!(said.contains("new optics, back at 14:00 & sorry"), "{said}");
    assert!(edge.gateway.says("show bgp").contains("shut down by an operator: new optics"));
    let status = edge.gateway.cli(&["status", "--exit-code"]);
    let told = "neighbor/blue/r1 no BGP session, as planned: shut down by an operator: new optics";
    assert!(status.status == Some(8) && status.text.contains(told), "{status:?}");
    // It is not let in, nor started by other wishes.
    let refused = edge.gateway.cli(&["bgp", "clear", "r1"]);
    assert!(refused.status == Some(1) && refused.text.contains("bgp enable"), "{refused:?}");
    assert_eq!(edge.gateway.cli(&["reload"]).status, Some(0));
    assert_eq!(edge.neighbor("r1")["reason"], "shut_down");
    edge.gateway.says("bgp enable r1");
    edge.await_up("r1");
    edge.await_that("routes are back", || edge.uses(THEIRS));
    assert!(!edge.gateway.says("status").contains("neighbor/"));
    assert_eq!(edge.gateway.cli(&["bgp", "enable", "r1"]).status, Some(1), "it runs already");
    edge.end();
}

// RFC 5880 §6.8.16, RFC 5882 §4.2: nobody takes it for a failure. (BIRD 2.0 does, and ends its BGP session.)
#[test]
fn bfd_is_switched_off_and_on_and_nothing_else_happens() {
    let bgp = format!("announce = [\"lans\"]\n{ONE_SESSION}");
    let attachment = "[connection.attachment.bfd]\nmin_tx = \"100ms\"\n";
    let setting = Setting { attachment, bgp: &bgp, ..Setting::PLAIN };
    let Some(edge) = Edge::start_with("bgp_commands::bfd", setting) else { return };
    must(&edge.lab, "peer", "ip address flush dev eth0");
    let folder = Folder::new();
    let mut far = Gateway::new(&folder, "peer", "far", 1, FAR);
    far.start(&edge.lab);
    edge.await_up("r1");
    edge.await_that("its prefix is known", || edge.uses(THEIRS));
    let has = |gateway: &Gateway, peer: &str, state: &str| {
        let list = gateway.api("bfd");
        list["items"].as_array().unwrap().iter().any(|one| one["peer"] == peer && one["state"] == state)
    };
    let both =
        |ours: &str, theirs: &str| has(&edge.gateway, "10.255.0.2", ours) && has(&far, "10.255.0.1", theirs);
    edge.await_that("BFD is up", || both("up", "up"));
    // Both call: the first session may have been one half of a collision.
    let sessions = |gateway: &Gateway| gateway.api("bgp")["items"][0]["sessions"].clone();
    let before = [&edge.gateway, &far].map(sessions);
    let done = edge.gateway.says("bfd disable ch1");
    assert!(done.starts_with("blue/ch1: switched off, until"), "{done}");
    edge.await_that("both are down", || both("admin_down", "down"));
    assert!(edge.gateway.says("show bfd").contains("switched off here; traffic does not depend on it"));
    assert!(
        far.says("show bfd").contains("the peer's operator switched it off; traffic does not depend on it")
    );
    ping(&edge.lab, "host", 3, "10.255.0.2");
    edge.gateway.says("bfd enable blue/ch1");
    edge.await_that("BFD is up again", || both("up", "up"));
    assert_eq!([&edge.gateway, &far].map(sessions), before, "{}\n{}", edge.gateway.log(), far.log());
    assert!([&edge.gateway, &far].iter().all(|gateway| gateway.events("attachment.down").is_empty()));
    let unknown = edge.gateway.cli(&["bfd", "disable", "ch9"]);
    assert!(unknown.status == Some(1) && unknown.text.contains("ch9"), "{unknown:?}");
    assert!(edge.gateway.cli(&["bfd", "disable", "blue/lan"]).text.contains("no BFD session runs"));
    far.end();
    edge.end();
}

const CUSTOMER: &str = "[[connection.neighbor]]\non = \"lan\"\nname = \"customer\"\naddress = \"10.1.0.2\"\nasn = 65010\n\
    connect_retry = \"1s\"\nimport = \"accept\"\nexport = \"accept\"\nbfd = \"follow\"\n\
    [connection.lan.bfd]\nmin_tx = \"100ms\"\n";

const ROUTER: &str = "log stderr all;\nrouter id 192.0.2.9;\nprotocol device { scan time 1; }\n\
    protocol bfd { interface \"eth0\" { min rx interval 100 ms; min tx interval 100 ms; multiplier 3; }; }\n\
    protocol static s4 { ipv4; route 10.77.0.0/16 blackhole; }\n\
    protocol bgp customer {\n local 10.1.0.2 as 65010; neighbor 10.1.0.1 as 65001; bfd on; hold time 90;\n \
    connect delay time 1; connect retry time 2; error wait time 1,2;\n \
    ipv4 { import all; export where source = RTS_STATIC; };\n}\n";

// RFC 5881, RFC 5882 §4.3: a router that falls silent loses its session; its neighbours on the LAN lose nothing.
#[test]
fn a_customers_router_that_falls_silent_is_found_and_its_lan_lives_on() {
    let Some(edge) = Edge::start("bgp_commands::lan", CUSTOMER) else { return };
    let peering = Peering { whole: Some(ROUTER.to_owned()), ..Peering::default() };
    let router = Peer::start(&edge.lab, edge.folder.path(), "host", Daemon::Bird, &peering);
    edge.await_up("customer");
    edge.await_that("its route is used", || edge.uses("10.77.0.0/16"));
    let bfd = || edge.gateway.api("bfd")["items"][0].clone();
    edge.await_that("BFD is up", || bfd()["state"] == "up");
    assert_eq!((bfd()["interface"].as_str(), bfd()["peer"].as_str()), (Some("blue/lan"), Some("10.1.0.2")));
    router.signal("bird", Signal::SIGSTOP);
    edge.await_that("its session ends long before the hold time", || {
        edge.neighbor("customer")["state"] != "established"
    });
    assert!(!edge.uses("10.77.0.0/16"));
    let why = edge.neighbor("customer")["last_down"]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("BFD"), "{why}");
    // The kernel beside it answers still: the LAN is used as before.
    ping(&edge.lab, "host", 3, "10.1.0.1");
    assert_eq!(bfd()["fault"], false, "{}", bfd());
    assert!(edge.gateway.events("attachment.down").iter().all(|line| line["attachment"] != "blue/lan"));
    router.signal("bird", Signal::SIGCONT);
    edge.await_up("customer");
    edge.await_that("its route is back", || edge.uses("10.77.0.0/16"));
    edge.end();
}

/// What the far end knows of the LAN and of what is behind it.
fn knows(far: &Gateway, prefix: &str) -> bool {
    let list = far.api("routes");
    let all = list.get("items").and_then(Value::as_array);
    all.into_iter().flatten().any(|route| route["prefix"] == prefix && route["origin"] == "bgp")
}

// A LAN without a link is no place to send packets to: somebody else may have another way.
#[test]
fn a_lan_without_a_link_is_not_announced() {
    let bgp = format!(
        "announce = [\"lans\", \"static\"]\n{ONE_SESSION}[[connection.route]]\nprefix = \"10.66.0.0/16\"\nvia = \"10.1.0.2\"\n"
    );
    let setting = Setting { bgp: &bgp, ..Setting::PLAIN };
    let Some(edge) = Edge::start_with("bgp_commands::lan_down", setting) else { return };
    must(&edge.lab, "peer", "ip address flush dev eth0");
    let folder = Folder::new();
    let mut far = Gateway::new(&folder, "peer", "far", 1, FAR);
    far.start(&edge.lab);
    edge.await_up("r1");
    // The session has IPv4 alone.
    let known =
        |wanted: bool| ["10.1.0.0/24", "10.66.0.0/16"].iter().all(|prefix| knows(&far, prefix) == wanted);
    edge.await_that("the far end knows the LAN", || known(true));
    ping(&edge.lab, "host", 2, "10.1.0.1");
    let up = edge.neighbor("r1")["sessions"].clone();
    // The host's end goes down: ours has no carrier.
    must(&edge.lab, "host", "ip link set eth0 down");
    edge.await_that("the far end knows it no longer", || known(false));
    let routes = edge.gateway.says("show routes");
    assert!(routes.contains("(down: no_carrier, not announced)"), "{routes}");
    let told = edge.gateway.events("bgp.withheld");
    let [told] = &told[..] else { panic!("{told:?}") };
    assert_eq!((told["interface"].as_str(), told["why"].as_str()), (Some("blue/lan"), Some("no_carrier")));
    assert_eq!(told["prefixes"], "10.1.0.0/24 10.66.0.0/16 fd00:1::/64");
    // A reload changes nothing of it.
    assert_eq!(edge.gateway.cli(&["reload"]).status, Some(0));
    assert!(known(false));
    must(&edge.lab, "host", "ip link set eth0 up");
    edge.await_that("the far end knows it again", || known(true));
    assert_eq!(edge.gateway.events("bgp.announced_again").len(), 1);
    assert_eq!(edge.neighbor("r1")["sessions"], up, "the session has nothing to do with it");
    assert!(!edge.gateway.says("show routes").contains("down:"));
    far.end();
    edge.end();
}
