//! Three canned cloud edges, set up as their documentation says, against a gateway with their profile; and what it
//! takes to live with them: limits, silent paths, maintenance, the same link-local addresses on several links.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod support;

use std::time::Duration;

use nix::sys::signal::Signal;
use support::edge::{Edge, Setting};
use support::peers::{Daemon, Peering};
use support::shell::{must, ping, until};

const PATIENCE: Duration = Duration::from_secs(20);
const BFD: &str = "[connection.attachment.bfd]\n";

fn hops(edge: &Edge, prefix: &str) -> Vec<String> {
    let list = edge.gateway.api("routes");
    let found = list["items"].as_array().unwrap().iter().find(|route| route["prefix"] == prefix);
    let hops = found.and_then(|route| route["hops"].as_array());
    let hops = hops.into_iter().flatten().filter_map(|hop| hop["interface"].as_str());
    hops.map(str::to_owned).collect()
}

/// AWS Direct Connect: TTL 1, MD5, graceful restart 120 s, BFD 300 ms x 3, 100 prefixes and no more.
#[test]
fn aws_never_sees_the_prefix_that_would_end_the_session_and_a_silent_path_ends_it_at_once() {
    let statics: String = (0..120)
        .map(|at| format!("[[connection.route]]\nprefix = \"10.64.{at}.0/24\"\nvia = \"unreachable\"\n"))
        .collect();
    let bgp = format!(
        "announce = [\"lans\", \"static\"]\n[[connection.neighbor]]\non = \"ch1\"\nname = \"r1\"\nasn = 64512\n\
         password = {{ file = \"md5\" }}\nconnect_retry = \"1s\"\nimport = \"accept\"\nexport = \"accept\"\n{statics}"
    );
    let setting =
        Setting { profile: "aws-dx", attachment: BFD, bgp: &bgp, vlan: Some(100), ..Setting::PLAIN };
    let Some(edge) = Edge::start_with("bgp_clouds::aws", setting) else { return };
    let peering = Peering {
        asn: 64_512,
        password: Some("correct-horse"),
        hold: 90,
        restarts: true,
        top: "bfd\n profile dx\n  receive-interval 300\n  transmit-interval 300\n  detect-multiplier 3\n !\n!\n",
        more: " neighbor @PEER@ bfd\n neighbor @PEER@ bfd profile dx\n",
        prefixes: vec!["203.0.113.0/24".to_owned()],
        ..Peering::default()
    };
    let peer = edge.peer(Daemon::Frr, &peering);
    let folder = edge.folder.path().join("peer-peer");
    must(
        &edge.lab,
        "peer",
        &format!(
            "vtysh --vty_socket {0} --config_dir {0} -c 'conf t' -c 'router bgp 64512' -c 'address-family ipv4 unicast' \
             -c 'neighbor 10.255.0.1 maximum-prefix 100'",
            folder.display()
        ),
    );
    edge.await_up("r1");
    let family = || edge.neighbor("r1")["families"][0].clone();
    edge.await_that("100 of 121 are announced", || {
        family()["announced"] == 100 && family()["held_back"] == 21
    });
    edge.await_that("BFD is up", || !edge.gateway.events("bfd.up").is_empty());
    edge.await_that("the session lasts", || {
        edge.neighbor("r1")["state"] == "established" && edge.uses("203.0.113.0/24")
    });
    ping(&edge.lab, "host", 2, "203.0.113.1");
    let before = edge.sessions("r1");
    let downs = edge.gateway.bgp_ends().len();

    // Silence: TCP would wait for 90 s.
    peer.signal("bfdd", Signal::SIGSTOP);
    until("BFD ends the session", PATIENCE, || (edge.gateway.bgp_ends().len() > downs).then_some(()));
    let down = edge.gateway.bgp_ends().pop().unwrap();
    assert!(down["why"].as_str().unwrap().contains("BFD down"), "RFC 9384: {down}");
    assert!(!edge.uses("203.0.113.0/24"), "its routes went at once");
    peer.signal("bfdd", Signal::SIGCONT);
    edge.await_that("back", || edge.sessions("r1") > before && edge.uses("203.0.113.0/24"));
    edge.end();
}

/// Google Cloud Router: keepalive 20, hold 60, BFD 1000 ms x 5, graceful restart, a /29, MED on everything.
#[test]
fn google_gets_med_keeps_its_slow_bfd_and_restarts_its_tasks() {
    let bgp = "announce = [\"lans\"]\n[[connection.policy]]\nname = \"to-google\"\n[[connection.policy.rule]]\n\
               name = \"ours\"\nsource = \"own\"\nmed = 100\n\
               [[connection.neighbor]]\non = \"ch1\"\nname = \"r1\"\nasn = 16550\nconnect_retry = \"1s\"\n\
               families = [\"ipv4\", \"ipv6\"]\nimport = \"accept\"\nexport = \"to-google\"\n";
    let setting =
        Setting { profile: "gcp-cci", attachment: BFD, bgp, vlan: Some(200), length: 29, ..Setting::PLAIN };
    let Some(edge) = Edge::start_with("bgp_clouds::google", setting) else { return };
    let peering = Peering {
        asn: 16_550,
        hold: 60,
        restarts: true,
        top: "protocol bfd bfd1 { interface \"*\" { interval 1000 ms; multiplier 5; }; }\n",
        more: " bfd on;\n",
        ..Peering::default()
    };
    let mut peer = edge.peer(Daemon::Bird, &peering);
    edge.await_up("r1");
    edge.await_that("routes are there", || {
        edge.uses("203.0.113.0/24") && peer.learned(&edge.lab, "10.1.0.0/24")
    });
    let told = peer.ask(&edge.lab, "show route 10.1.0.0/24 all");
    assert!(told.contains("BGP.med: 100"), "{told}");
    let timers = edge.neighbor("r1");
    assert_eq!((&timers["hold_seconds"], &timers["keepalive_seconds"]), (&60.into(), &20.into()));
    assert_eq!(timers["graceful_restart"], "helper");
    edge.await_that("BFD is up", || !edge.gateway.events("bfd.up").is_empty());
    // RFC 4724: a task restarts well within five seconds, and nothing is lost.
    let before = edge.sessions("r1");
    peer.crash("bird");
    edge.await_that("it is down", || edge.neighbor("r1")["state"] != "established");
    assert!(edge.uses("203.0.113.0/24"), "stale and used");
    peer.recover(&edge.lab);
    edge.await_that("it is back", || {
        edge.sessions("r1") > before && edge.neighbor("r1")["families"][0]["stale_until"].is_null()
    });
    assert!(edge.uses("203.0.113.0/24"));
    ping(&edge.lab, "host", 2, "203.0.113.1");
    edge.end();
}

/// Azure ExpressRoute: 60/180, two sessions that share traffic, maintenance told by a longer AS path.
#[test]
fn azure_moves_traffic_by_prepending_and_back() {
    let neighbor = |at: u8| {
        format!(
            "[[connection.neighbor]]\non = \"ch{at}\"\nname = \"r{at}\"\nasn = 12076\nconnect_retry = \"1s\"\n\
             import = \"accept\"\nexport = \"accept\"\n"
        )
    };
    let bgp = format!("announce = [\"lans\"]\n{}{}", neighbor(1), neighbor(2));
    let setting =
        Setting { profile: "azure-er-direct", bgp: &bgp, vlan: Some(300), links: 2, ..Setting::PLAIN };
    let Some(edge) = Edge::start_with("bgp_clouds::azure", setting) else { return };
    let peering = |link| Peering {
        asn: 12_076,
        link,
        hold: 180,
        prefixes: vec!["203.0.113.0/24".to_owned()],
        top: "route-map LONG permit 10\n set as-path prepend 12076 12076\n!\n",
        ..Peering::default()
    };
    let _peers = [0, 1].map(|link| edge.peer(Daemon::Frr, &peering(link)));
    let both = vec!["blue/ch1".to_owned(), "blue/ch2".to_owned()];
    edge.await_that("both carry traffic", || hops(&edge, "203.0.113.0/24") == both);
    assert_eq!(edge.neighbor("r1")["hold_seconds"], 180);
    let maintain = |words: &str| {
        let folder = edge.folder.path().join("peer-peer");
        must(
            &edge.lab,
            "peer",
            &format!(
                "vtysh --vty_socket {0} --config_dir {0} -c 'conf t' -c 'router bgp 12076' -c 'address-family ipv4 unicast' \
                 -c '{words} neighbor 10.255.0.1 route-map LONG out'; \
                 vtysh --vty_socket {0} --config_dir {0} -c 'clear bgp 10.255.0.1 soft out'",
                folder.display()
            ),
        );
    };
    maintain("");
    edge.await_that("traffic left the first", || hops(&edge, "203.0.113.0/24") == ["blue/ch2"]);
    let story = edge.gateway.says("show routes 203.0.113.0/24 --why");
    assert!(story.contains("not used: longer AS path"), "{story}");
    ping(&edge.lab, "host", 2, "203.0.113.1");
    maintain("no");
    edge.await_that("both again", || hops(&edge, "203.0.113.0/24") == both);
    let ended = edge.gateway.bgp_ends();
    assert!(ended.is_empty(), "{ended:?}");
    edge.end();
}

// RFC 4007 §6: a link-local address says nothing without its link. RFC 2545 §3: nor need there be another next hop.
#[test]
fn the_same_link_local_neighbour_stands_on_two_links() {
    let neighbor = |at: u8| {
        format!(
            "[[connection.neighbor]]\non = \"ch{at}\"\nname = \"r{at}\"\naddress = \"fe80::2\"\nasn = 65002\n\
             connect_retry = \"1s\"\nimport = \"accept\"\nexport = \"accept\"\n"
        )
    };
    let bgp = format!("announce = [\"lans\"]\n{}{}", neighbor(1), neighbor(2));
    let Some(edge) =
        Edge::start_with("bgp_clouds::link_local", Setting { bgp: &bgp, links: 2, ..Setting::PLAIN })
    else {
        return;
    };
    let peers = [0, 1].map(|link| {
        let node = if link == 0 { "peer" } else { "peer2" };
        must(&edge.lab, node, "ip address add fe80::2/64 dev eth0 nodad");
        let whole = format!(
            "log stderr all;\nrouter id 192.0.2.{};\nprotocol device {{ scan time 1; }}\n\
             protocol kernel k6 {{ ipv6 {{ import none; export where source = RTS_BGP; }}; }}\n\
             protocol static s6 {{ ipv6; route 2001:db8:b::/48 blackhole; }}\n\
             protocol bgp peer {{\n local fe80::2 as 65002; neighbor fe80::ff:fe00:e0{}%eth0 as 65001;\n \
             hold time 9; connect delay time 1; connect retry time 2;\n ipv6 {{ import all; export where source = RTS_STATIC; }};\n}}\n",
            link + 2,
            link + 1
        );
        edge.peer(Daemon::Bird, &Peering { link, whole: Some(whole), ..Peering::default() })
    });
    edge.await_up("r1");
    edge.await_up("r2");
    edge.await_that("both carry traffic", || hops(&edge, "2001:db8:b::/48") == ["blue/ch1", "blue/ch2"]);
    for peer in &peers {
        edge.await_that(&peer.log(), || peer.learned(&edge.lab, "fd00:1::/64"));
    }
    ping(&edge.lab, "host", 4, "2001:db8:b::1");
    edge.end();
}
