//! Channels across a routed network: two real gateways, two routers between them, hosts behind them, VXLAN in UDP over
//! IPv4 and over IPv6 (RFC 7348).
//!
//! `h-a` – `gw-a` – `r1` – `r2` – `gw-b` – `h-b`

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod support;

use std::time::Duration;

use gateway::lab::{End, Lab, Node, Topology};
use support::able;
use support::gateway::{Folder, Gateway};
use support::shell::{background, iperf, must, ping, sh, until};

const PATIENCE: Duration = Duration::from_secs(30);
const TOOLS: [&str; 7] = ["ip", "ping", "iperf3", "tcpdump", "timeout", "ss", "ethtool"];

/// What the tunnel runs over; static keys over IPv4, MKA over IPv6.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Family {
    V4,
    V6,
}

impl Family {
    const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The underlay address of site 1 or 2.
    const fn end(self, site: u8) -> &'static str {
        match (self, site) {
            (Self::V4, 1) => "192.0.2.1",
            (Self::V4, _) => "198.51.100.1",
            (Self::V6, 1) => "2001:db8:a::1",
            (Self::V6, _) => "2001:db8:b::1",
        }
    }

    /// Octets in front of the inner frame's payload.
    const fn outer(self) -> u32 {
        match self {
            Self::V4 => 50,
            Self::V6 => 70,
        }
    }
}

/// Both sites. Fields are dropped in this order.
struct Sites {
    a: Gateway,
    b: Gateway,
    lab: Lab,
    _folder: Folder,
}

impl Sites {
    /// `None`, said loudly, when this machine cannot.
    fn start(test: &str, family: Family) -> Option<Self> {
        Self::start_with(test, family, "")
    }

    /// With more keys of the tunnel.
    fn start_with(test: &str, family: Family, tunnel: &str) -> Option<Self> {
        if !able(test, &TOOLS) {
            return None;
        }
        let (folder, lab) = (Folder::new(), Lab::build(&topology()).unwrap());
        for site in [1, 2] {
            folder.key(&format!("{site}.sak"), &format!("{site:02x}").repeat(32));
        }
        folder.key("cak", &"c5".repeat(32));
        let gateway = |site: &str, number| {
            Gateway::new(&folder, &format!("gw-{site}"), site, 1, &configuration(family, number, tunnel))
        };
        let (a, b) = (gateway("a", 1), gateway("b", 2));
        let mut sites = Self { a, b, lab, _folder: folder };
        sites.a.start(&sites.lab);
        sites.b.start(&sites.lab);
        sites.wait_reachable();
        Some(sites)
    }

    fn wait_reachable(&self) {
        for to in ["10.2.0.2", "fd00:2::2"] {
            until(&format!("h-a reaches {to}: {} | {}", self.a.drops(), self.b.drops()), PATIENCE, || {
                (sh(&self.lab, "h-a", &format!("ping -n -c 1 -W 1 {to}")).status == Some(0)).then_some(())
            });
        }
    }

    /// `{"name": "wan", ..}` of gateway A's ports.
    fn port(&self) -> serde_json::Value {
        let list = self.a.api("ports");
        list["items"].as_array().unwrap().iter().find(|one| one["name"] == "wan").unwrap().clone()
    }
}

#[test]
fn hosts_reach_each_other_through_a_tunnel_over_ipv4_and_ipv6() {
    for family in Family::BOTH {
        let Some(mut sites) = Sites::start("vxlan::hosts_reach_each_other", family) else { return };
        ping(&sites.lab, "h-a", 5, "10.2.0.2");
        ping(&sites.lab, "h-b", 5, "fd00:1::2");
        // An attachment takes what the device carries, less the tunnel's headers, SecTAG and ICV.
        let most = 1500 - family.outer() - 32;
        ping(&sites.lab, "h-a", 2, &format!("-M do -s {} 10.2.0.2", most - 28));
        let more = sh(&sites.lab, "h-a", &format!("ping -n -c 1 -W 2 -M do -s {} 10.2.0.2", most - 27));
        assert!(
            more.text.contains(&format!("mtu = {most}")) || more.text.contains("too long"),
            "{}",
            more.text
        );
        for direction in ["", "-R"] {
            let run = iperf(&sites.lab, "h-a", "h-b", "10.2.0.2", &format!("-t 1 -P 4 {direction}"));
            assert!(run.received > 1_000_000, "{run:?}");
        }
        sites.a.counted("ch").assert_clean("A");
        sites.b.counted("ch").assert_clean("B");
        on_the_wire(&sites, family);
        hostile(&sites, family);
        screens(&sites, family);
        // The sockets of a tunnel go on too, with their ports.
        sites.a.restart();
        ping(&sites.lab, "h-a", 20, "-i 0.02 10.2.0.2");
        sites.a.counted("ch").assert_clean("A");
        sites.a.end();
        sites.b.end();
    }
}

/// Destination port 4789, source ports of the dynamic range, DF, and nothing that can be read.
fn on_the_wire(sites: &Sites, family: Family) {
    let filter = format!("udp and src host {}", family.end(1));
    let _traffic = background(&sites.lab, "h-a", "ping", &["-n", "-i", "0.02", "-c", "500", "10.2.0.2"]);
    let seen = must(&sites.lab, "r1", &format!("timeout 20 tcpdump -n -v -c 10 -i m {filter} 2>/dev/null"));
    let to = format!("> {}.4789:", family.end(2));
    assert_eq!(seen.matches(&to).count(), 10, "{seen}");
    for line in seen.lines().filter(|line| line.contains(&to)) {
        let from = line.split(&to).next().unwrap().trim().rsplit('.').next().unwrap();
        assert!(from.trim().parse::<u16>().unwrap() >= 49_152, "{line}");
    }
    if family == Family::V4 {
        assert_eq!(seen.matches("flags [DF]").count(), 10, "{seen}");
    }
    assert!(!seen.contains("10.2.0.2"), "{seen}");
}

/// Anybody can send datagrams; none of them gets in, and each is counted where it belongs.
fn hostile(sites: &Sites, family: Family) {
    let end = family.end(1);
    let count = |reason: &str| sites.port()["drops"][reason].as_u64().unwrap_or(0);
    must(&sites.lab, "r1", &format!("bash -c 'for i in 1 2 3; do echo junk > /dev/udp/{end}/4789; done'"));
    until("three datagrams of a stranger are counted", PATIENCE, || {
        (count("vxlan_unknown_source") == 3).then_some(())
    });
    // The peer's own address, by a process that is not its gateway: no header, another network, no SecTAG.
    let header = r"\x08\x00\x00\x00\x00\x00";
    let frame = r"\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00body";
    for datagram in [
        r"\x00junk-junk-junk".to_owned(),
        format!(r"{header}\x07\x00{frame}"),
        format!(r"{header}\x2a\x00{frame}"),
    ] {
        must(&sites.lab, "gw-b", &format!("bash -c \"printf '{datagram}' > /dev/udp/{end}/4789\""));
    }
    until("each is counted by its reason", PATIENCE, || {
        let clear = sites.a.counted("ch").drops.get("macsec_no_tag").copied().unwrap_or(0);
        ((count("vxlan_bad_header"), count("vxlan_unknown_vni"), clear) == (1, 1, 1)).then_some(())
    });
    ping(&sites.lab, "h-a", 3, "10.2.0.2");
}

fn screens(sites: &Sites, family: Family) {
    let port = sites.port();
    assert_eq!(port["io"], "vxlan");
    assert_eq!(port["tunnel"]["remote"], family.end(2));
    assert_eq!(port["tunnel"]["vni"], 42);
    assert_eq!(port["tunnel"]["carries"], 1500 - family.outer());
    assert_eq!((&port["mac"], &port["state"]), (&"02:00:00:0a:00:01".into(), &"up".into()));
}

#[test]
fn a_narrow_network_between_is_found_out_and_senders_are_told() {
    for family in Family::BOTH {
        let Some(sites) = Sites::start("vxlan::a_narrow_network_between", family) else { return };
        for router in ["r1", "r2"] {
            must(&sites.lab, router, "ip link set dev m mtu 1400");
        }
        // The first large frame is lost to the router, which tells; the next ones are told by us.
        let most = 1400 - family.outer() - 32;
        until("the host is told what the path carries", PATIENCE, || {
            let script = format!("ping -n -c 1 -W 1 -M do -s {} 10.2.0.2", most - 28 + 20);
            sh(&sites.lab, "h-a", &script).text.contains(&format!("mtu = {most}")).then_some(())
        });
        ping(&sites.lab, "h-a", 2, &format!("-M do -s {} 10.2.0.2", most - 28));
        for direction in ["", "-R"] {
            let run = iperf(&sites.lab, "h-a", "h-b", "10.2.0.2", &format!("-t 1 {direction}"));
            assert!(run.received > 1_000_000, "{run:?}");
        }
        assert!(sites.a.log().contains("port.path_mtu"), "{}", sites.a.log());
        assert_eq!(sites.port()["tunnel"]["carries"], 1400 - family.outer());
    }
}

#[test]
fn a_path_too_narrow_for_ipv6_makes_a_reserve_of_the_attachment_and_says_why() {
    for family in Family::BOTH {
        let Some(sites) = Sites::start("vxlan::a_path_too_narrow_for_ipv6", family) else { return };
        let routers = |mtu: u32| {
            for router in ["r1", "r2"] {
                must(&sites.lab, router, &format!("ip link set dev m mtu {mtu}"));
            }
        };
        let attachment = || {
            let connections = sites.a.api("connections");
            let one = &connections["items"][0]["attachments"][0];
            (one["state"].clone(), one["reason"].clone())
        };
        assert_eq!(attachment(), ("live".into(), serde_json::Value::Null));
        // What a router said is believed for ten minutes otherwise.
        for version in ["ipv4", "ipv6"] {
            must(&sites.lab, "gw-a", &format!("sysctl -w net.{version}.route.mtu_expires=10"));
        }
        routers(1300);
        let most = 1300 - family.outer() - 32;
        let long = format!("ping -n -c 1 -W 1 -M do -s {} 10.2.0.2", most - 28 + 20);
        until("the attachment is a reserve", PATIENCE, || {
            sh(&sites.lab, "h-a", &long);
            (attachment() == ("reserve".into(), "narrow_path".into())).then_some(())
        });
        assert!(sites.a.log().contains("1280 octets that IPv6 needs"), "{}", sites.a.log());
        // It has nothing better, so what fits still crosses, of both versions.
        ping(&sites.lab, "h-a", 3, &format!("-M do -s {} 10.2.0.2", most - 28));
        ping(&sites.lab, "h-a", 3, "fd00:2::2");
        routers(1500);
        // Nobody sends anything: the gateway looks by its own clock.
        until("it is live again", PATIENCE, || (attachment().0 == "live").then_some(()));
        ping(&sites.lab, "h-a", 2, &format!("-M do -s {} fd00:2::2", 1280 - 48));
    }
}

#[test]
fn a_killed_gateway_comes_back_and_a_lost_route_takes_the_channel_down() {
    for family in Family::BOTH {
        let Some(mut sites) = Sites::start("vxlan::a_killed_gateway", family) else { return };
        must(&sites.lab, "gw-b", "ip link add spare type veth peer name spare2");
        let said = sites.b.twin_refused(&sites.lab, ["lan1", "spare"]);
        assert!(said.contains("cannot have the tunnel end ") && said.contains("kill "), "{said}");
        sites.b.kill();
        sites.b.start(&sites.lab);
        sites.wait_reachable();
        sites.a.kill();
        sites.a.start(&sites.lab);
        sites.wait_reachable();

        let (prefix, via) = match family {
            Family::V4 => ("198.51.100.0/24", "192.0.2.254"),
            Family::V6 => ("2001:db8:b::/64", "2001:db8:a::fe"),
        };
        must(&sites.lab, "gw-a", &format!("ip route del {prefix}"));
        until("the channel is down without a route", PATIENCE, || {
            let list = sites.a.api("channels");
            (list["items"][0]["reason"] == "no_route").then_some(())
        });
        assert_eq!(sites.port()["reason"], "no_route");
        must(&sites.lab, "gw-a", &format!("ip route add {prefix} via {via}"));
        until("the channel is live again", PATIENCE, || sites.a.counted("ch").live.then_some(()));
        sites.wait_reachable();

        must(&sites.lab, "r1", "ip link set dev a down");
        until("the channel is down without carrier", PATIENCE, || {
            let list = sites.a.api("channels");
            (list["items"][0]["state"] == "down").then_some(())
        });
    }
}

/// RFC 2983 §4.1 at the near end, RFC 6040 §4.1 (compatibility mode) for ECN, RFC 4594 §3.1 for what the gateway itself says.
#[test]
fn the_outer_header_says_how_urgent_the_packet_inside_is_and_nothing_of_ecn() {
    for (family, tunnel, marks) in [
        (Family::V4, "", [0, 0x88, 0xb8]),
        (Family::V6, "", [0, 0x88, 0xb8]),
        (Family::V4, ", dscp = \"AF11\"", [0x28; 3]),
    ] {
        let Some(mut sites) = Sites::start_with("vxlan::the_outer_header", family, tunnel) else { return };
        // Echoes that waited for the processor together leave as one segment train: a capture is to see its datagrams.
        must(&sites.lab, "gw-a", "ethtool -K wan1 tx-udp-segmentation off");
        // Best effort, AF41 with ECT(1), EF with CE: each of a length of its own.
        let kinds = [(700, 0), (500, 0x89), (300, 0xbb)];
        let pings = kinds.map(|(size, tos)| {
            let script = format!("ping -n -q -i 0.1 -c 300 -s {size} -Q {tos} 10.2.0.2");
            background(&sites.lab, "h-a", "sh", &["-c", &script])
        });
        let filter = format!("udp and src host {}", family.end(1));
        let seen = must(
            &sites.lab,
            "r1",
            &format!("timeout 30 tcpdump -n -t -v -s 200 -c 200 -i m {filter} 2>/dev/null"),
        );
        let frames = outer_headers(&seen, family);
        for ((size, _), mark) in kinds.into_iter().zip(marks) {
            // Both IP headers are 20 octets; ICMP, Ethernet, SecTAG and ICV.
            let marks: Vec<_> = frames.iter().filter(|one| one.1 == size + 28 + 14 + 32).collect();
            assert!(marks.len() > 5 && marks.iter().all(|one| one.0 == mark), "{size}: {marks:?}\n{seen}");
        }
        let lengths = kinds.map(|(size, _)| size + 28 + 14 + 32);
        let ours: Vec<_> = frames.iter().filter(|one| !lengths.contains(&one.1)).collect();
        assert!(ours.len() > 5 && ours.iter().all(|one| one.0 == 0xc0), "{ours:?}\n{seen}");
        // EAPOL version 3, packet type 5: MKA (802.1X-2020 Table 11-3).
        assert!(family == Family::V4 || seen.contains("(5) v3, len "), "{seen}");
        // Inside nothing changed on the way.
        let inner = must(
            &sites.lab,
            "h-b",
            "timeout 30 tcpdump -n -t -v -c 30 -i eth0 icmp and src host 10.1.0.2 2>/dev/null",
        );
        assert!(inner.contains("tos 0xbb,CE") && inner.contains("tos 0x89,ECT(1)"), "{inner}");
        drop(pings);
        sites.a.end();
        sites.b.end();
    }
}

/// TOS or traffic class of each outer header, and the length of the frame in its datagram.
fn outer_headers(seen: &str, family: Family) -> Vec<(u32, usize)> {
    let number = |line: &str, before: &str| {
        let rest = line.split(before).nth(1)?;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let text = rest[..end].to_owned();
        text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok())
    };
    // Lines of the datagram's content are indented, or begin with an address.
    let lines = seen.lines().filter(|line| line.starts_with("IP"));
    let lines = lines.map(|line| match family {
        Family::V4 => (number(line, "tos ").unwrap(), number(line, ", length ").unwrap() - 36),
        Family::V6 => (number(line, "class ").unwrap_or(0), number(line, "payload length: ").unwrap() - 16),
    });
    lines.map(|(mark, length)| (mark, usize::try_from(length).unwrap())).collect()
}

fn topology() -> Topology {
    let net = |text: &str| text.parse().unwrap();
    let ip = |text: &str| text.parse().unwrap();
    let mut topology = Topology::new();
    for (site, number) in [("a", 1), ("b", 2)] {
        let far = 3 - number;
        let host = Node::new(format!("h-{site}"))
            .route(net(&format!("10.{far}.0.0/24")), [ip(&format!("10.{number}.0.1"))])
            .route(net(&format!("fd00:{far}::/64")), [ip(&format!("fd00:{number}::1"))]);
        let host_end = End::new(format!("h-{site}"), "eth0")
            .address(net(&format!("10.{number}.0.2/24")))
            .address(net(&format!("fd00:{number}::2/64")));
        let gateway = format!("gw-{site}");
        topology = topology.node(host).link(host_end, End::new(&gateway, "lan1").quiet());
    }
    let gateway_a = Node::new("gw-a")
        .route(net("198.51.100.0/24"), [ip("192.0.2.254")])
        .route(net("2001:db8:b::/64"), [ip("2001:db8:a::fe")]);
    let gateway_b = Node::new("gw-b")
        .route(net("192.0.2.0/24"), [ip("198.51.100.254")])
        .route(net("2001:db8:a::/64"), [ip("2001:db8:b::fe")]);
    let router_1 = Node::new("r1")
        .forwarding()
        .route(net("198.51.100.0/24"), [ip("203.0.113.2")])
        .route(net("2001:db8:b::/64"), [ip("2001:db8:c::2")]);
    let router_2 = Node::new("r2")
        .forwarding()
        .route(net("192.0.2.0/24"), [ip("203.0.113.1")])
        .route(net("2001:db8:a::/64"), [ip("2001:db8:c::1")]);
    let end = |node: &str, device: &str, v4: &str, v6: &str| {
        End::new(node, device).address(net(v4)).address(net(v6))
    };
    topology
        .node(gateway_a)
        .node(router_1)
        .node(router_2)
        .node(gateway_b)
        .link(
            end("gw-a", "wan1", "192.0.2.1/24", "2001:db8:a::1/64"),
            end("r1", "a", "192.0.2.254/24", "2001:db8:a::fe/64"),
        )
        .link(
            end("r1", "m", "203.0.113.1/24", "2001:db8:c::1/64"),
            end("r2", "m", "203.0.113.2/24", "2001:db8:c::2/64"),
        )
        .link(
            end("r2", "b", "198.51.100.254/24", "2001:db8:b::fe/64"),
            end("gw-b", "wan1", "198.51.100.1/24", "2001:db8:b::1/64"),
        )
}

/// The configuration of site 1 or 2.
fn configuration(family: Family, own: u8, tunnel: &str) -> String {
    let far = 3 - own;
    let (local, remote) = (family.end(own), family.end(far));
    let letter = |site: u8| if site == 1 { 'a' } else { 'b' };
    let own_letter = letter(own);
    let keys = match family {
        Family::V4 => static_keys(own, far, letter(far)),
        Family::V6 => "[[channel.macsec.key]]\nckn = \"0242\"\ncak = { file = \"cak\" }\n".to_owned(),
    };
    format!(
        r#"[[interconnect]]
name = "x"
[[port]]
name = "lan"
device = "lan1"
[[port]]
name = "wan"
device = "wan1"
underlay = {{ kind = "vxlan", local = "{local}", remote = "{remote}", vni = 42, mac = "02:00:00:0{own_letter}:00:01"{tunnel} }}
[[channel]]
name = "ch"
interconnect = "x"
port = "wan"
[channel.macsec]
replay_window = 1024
{keys}[[connection]]
name = "blue"
interconnect = "x"
[[connection.attachment]]
channel = "ch"
address = ["169.254.1.{own}/30", "fd00:ff::{own}/126"]
peer = ["169.254.1.{far}", "fd00:ff::{far}"]
bfd = {{}}
[[connection.lan]]
port = "lan"
address = ["10.{own}.0.1/24", "fd00:{own}::1/64"]
[[connection.route]]
prefix = "10.{far}.0.0/24"
via = "attachments"
[[connection.route]]
prefix = "fd00:{far}::/64"
via = "attachments"
"#
    )
}

fn static_keys(own: u8, far: u8, far_letter: char) -> String {
    let salt = "0102030405060708090a0b0c";
    format!(
        "[[channel.macsec.static.tx]]\nan = 0\nkey = {{ file = \"{own}.sak\" }}\nsalt = \"{salt}\"\nssci = {own}\n\
         [[channel.macsec.static.rx]]\nsci = \"0200000{far_letter}0001:0001\"\nan = 0\n\
         key = {{ file = \"{far}.sak\" }}\nsalt = \"{salt}\"\nssci = {far}\n"
    )
}
