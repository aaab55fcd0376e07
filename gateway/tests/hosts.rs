//! Two real gateways between ordinary Linux hosts: what their users would try, with the tools they would use.
//!
//! Every test builds its own network (`support/sites.rs`), one at a time, and takes it down again. Needs root and the
//! tools; skipped loudly without, and failed under `CI=true`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop"
)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use gateway::lab::traffic::udp::{UdpFlow, UdpOptions, UdpRun};
use gateway::lab::{Lab, Process};
use support::able;
use support::gateway::Gateway;
use support::shell::{background, iperf, must, overruns, ping, sh, until};
use support::sites::{Plan, Sites};

#[test]
fn tcp_with_offloads_on_crosses_in_both_directions_and_families() {
    let Some(sites) = Sites::start("hosts::tcp_with_offloads_on", Plan::DEFAULT) else { return };
    for host in ["h-a", "h-b"] {
        let features = must(&sites.lab, host, "ethtool -k eth0");
        assert!(
            features.contains("tcp-segmentation-offload: on"),
            "as a host has it by default:\n{features}"
        );
    }
    for (client, server, address) in both_ways() {
        let run = iperf(&sites.lab, client, server, address, "-t 1");
        // Without segments put together this would be far below; with every second one lost, too.
        assert!(run.rate > 20e6, "{client} to {address}: {run:?}");
    }
    sites.assert_clean();
    sites.end();
}

const fn both_ways() -> [(&'static str, &'static str, &'static str); 4] {
    [
        ("h-a", "h-b", "10.2.0.2"),
        ("h-b", "h-a", "10.1.0.2"),
        ("h-a", "h-b", "fd00:2::2"),
        ("h-b", "h-a", "fd00:1::2"),
    ]
}

#[test]
fn udp_crosses_without_loss() {
    let Some(sites) = Sites::start("hosts::udp_crosses", Plan::DEFAULT) else { return };
    for (client, server, address) in both_ways() {
        let before = overruns(&sites.lab, server);
        let run = iperf(&sites.lab, client, server, address, "-u -b 20M -l 1400 -t 1");
        let lost = run.lost.saturating_sub(overruns(&sites.lab, server) - before);
        let drops = format!("{} | {}", sites.a.drops(), sites.b.drops());
        assert!(run.packets > 1000 && lost * 100 <= run.packets, "{address}: {lost} of {run:?}; {drops}");
    }
    sites.assert_clean();
    sites.end();
}

#[test]
fn pings_of_every_size_up_to_the_mtu_cross_and_larger_ones_in_fragments() {
    let Some(sites) = Sites::start("hosts::pings_of_every_size", Plan::DEFAULT) else { return };
    for size in [0, 1, 17, 18, 46, 100, 512, 1399, 1471, 1472] {
        ping(&sites.lab, "h-a", 3, &format!("-M do -s {size} 10.2.0.2"));
    }
    for size in [0, 1, 17, 100, 1451, 1452, 5000] {
        ping(&sites.lab, "h-b", 3, &format!("-s {size} fd00:1::2"));
    }
    ping(&sites.lab, "h-a", 5, "-s 8000 10.2.0.2");
    sites.assert_clean();
    sites.end();
}

#[test]
fn a_1400_octet_channel_is_found_out_by_both_families() {
    let plan = Plan { attachment_mtu: 1400, ..Plan::DEFAULT };
    let Some(sites) = Sites::start("hosts::a_1400_octet_channel", plan) else { return };
    // TCP first, while no host knows: the sender has to learn from the gateway (RFC 1191, RFC 8201).
    for (client, server, address) in both_ways() {
        must(&sites.lab, server, "ip route flush cache; ip -6 route flush cache");
        let run = iperf(&sites.lab, client, server, address, "-t 1");
        assert!(run.rate > 10e6, "{client} to {address}: {run:?}");
        let route = must(&sites.lab, client, &format!("ip route get {address}"));
        assert!(route.contains("mtu 1400"), "{route}");
    }
    for host in ["h-a", "h-b"] {
        must(&sites.lab, host, "ip route flush cache; ip -6 route flush cache");
    }
    // RFC 792: the router says what fits.
    let refused = sh(&sites.lab, "h-a", "ping -n -c 1 -W 2 -M do -s 1472 10.2.0.2");
    let said = refused.text.to_lowercase();
    assert!(refused.status != Some(0) && said.contains("mtu") && said.contains("1400"), "{}", refused.text);
    ping(&sites.lab, "h-a", 1, "-M do -s 1372 10.2.0.2");
    let refused = sh(&sites.lab, "h-a", "ping -n -c 1 -W 2 -M do -s 1373 10.2.0.2");
    assert!(refused.status != Some(0), "1401 octets cannot pass: {}", refused.text);
    // What is too big is gone, once for each end that has to learn it; then both cut to 1400.
    until("both hosts know", PATIENCE, || {
        let pinged = sh(&sites.lab, "h-a", "ping -n -c 1 -W 1 -s 1452 fd00:2::2");
        (pinged.status == Some(0)).then_some(())
    });
    ping(&sites.lab, "h-a", 3, "-s 1452 fd00:2::2");
    // A packet that may be cut, and is not cut by its sender, is cut by the gateway (RFC 791 §3.2).
    must(&sites.lab, "h-a", "ip route flush cache");
    ping(&sites.lab, "h-a", 5, "-M dont -s 1472 10.2.0.2");
    sites.assert_clean();
    sites.end();
}

#[test]
fn traceroute_shows_both_gateways_and_they_answer_pings() {
    let Some(sites) = Sites::start("hosts::traceroute", Plan { channels: 1, ..Plan::DEFAULT }) else {
        return;
    };
    for (target, first, second) in
        [("10.2.0.2", "10.1.0.1", "169.254.1.2"), ("fd00:2::2", "fd00:1::1", "fd00:ff:1::2")]
    {
        let family = if target.contains(':') { "-6" } else { "-4" };
        let traced = must(&sites.lab, "h-a", &format!("traceroute {family} -n -q 1 -w 2 -N 1 {target}"));
        let hops: Vec<_> = traced.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(hops, [first, second, target], "{traced}");
    }
    for own in ["10.1.0.1", "fd00:1::1", "10.2.0.1", "fd00:2::1"] {
        ping(&sites.lab, "h-a", 3, own);
    }
    sites.assert_clean();
    sites.end();
}

#[test]
fn a_lan_on_a_vlan_works_like_one_without() {
    let plan = Plan { lan_vlan: Some(30), ..Plan::DEFAULT };
    let Some(sites) = Sites::start("hosts::a_lan_on_a_vlan", plan) else { return };
    for (client, server, address) in both_ways() {
        let run = iperf(&sites.lab, client, server, address, "-t 1");
        assert!(run.rate > 20e6, "{client} to {address}: {run:?}");
    }
    ping(&sites.lab, "h-a", 3, "-M do -s 1472 10.2.0.2");
    sites.assert_clean();
    sites.end();
}

#[test]
fn a_wire_carries_frames_as_they_are_tagged_or_not() {
    for lan_vlan in [None, Some(30)] {
        let plan = Plan { transparent: true, lan_vlan, ..Plan::DEFAULT };
        let Some(sites) = Sites::start("hosts::a_wire_carries_frames", plan) else { return };
        for size in [0, 1, 18, 1472] {
            ping(&sites.lab, "h-a", 2, &format!("-M do -s {size} 10.9.0.2"));
        }
        ping(&sites.lab, "h-b", 2, "-s 8000 10.9.0.1");
        for (client, server, address) in [("h-a", "h-b", "10.9.0.2"), ("h-b", "h-a", "10.9.0.1")] {
            let run = iperf(&sites.lab, client, server, address, "-t 1");
            assert!(run.rate > 20e6, "VLAN {lan_vlan:?}, {client} to {address}: {run:?}");
        }
        // The hosts see each other, not the gateways.
        let far = must(&sites.lab, "h-b", "ip -br link show eth0");
        let far = far.split_whitespace().nth(2).unwrap();
        let known = must(&sites.lab, "h-a", "ip neighbour show 10.9.0.2");
        assert!(known.contains(far), "{far} {known}");
        let traced = must(&sites.lab, "h-a", "traceroute -n -q 1 -w 2 -N 1 10.9.0.2");
        assert_eq!(traced.lines().count(), 2, "no hop between: {traced}");
        sites.assert_clean();
        sites.end();
    }
}

#[test]
fn tags_in_clear_and_every_suite_work_between_gateways() {
    for (clear_tags, cipher, encrypt) in [
        (&[2100][..], "gcm-aes-256", true),
        (&[2100, 17], "gcm-aes-xpn-256", true),
        (&[], "gcm-aes-xpn-128", false),
        (&[2100, 17], "gcm-aes-128", false),
    ] {
        let plan = Plan { clear_tags, cipher, encrypt, ..Plan::DEFAULT };
        let Some(sites) = Sites::start("hosts::tags_in_clear_and_every_suite", plan) else { return };
        for (client, server, address) in &both_ways()[1..3] {
            let run = iperf(&sites.lab, client, server, address, "-t 1");
            assert!(run.rate > 20e6, "{plan:?}, {client} to {address}: {run:?}");
        }
        ping(&sites.lab, "h-a", 2, "-M do -s 1472 10.2.0.2");
        let counted: Vec<_> = ["ch1", "ch2"].map(|channel| sites.a.counted(channel)).into();
        let sum = |name: &str| counted.iter().map(|one| one.of(name)).sum::<u64>();
        let (used, unused) = match encrypt {
            true => (sum("out_pkts_encrypted"), sum("out_pkts_protected")),
            false => (sum("out_pkts_protected"), sum("out_pkts_encrypted")),
        };
        assert!(used > 100 && unused == 0, "{plan:?}: {counted:?}");
        sites.assert_clean();
        sites.end();
    }
}

#[test]
fn two_workers_share_the_work() {
    let plan = Plan { workers: 2, ..Plan::DEFAULT };
    let Some(sites) = Sites::start("hosts::two_workers", plan) else { return };
    for (client, server, address) in both_ways() {
        let run = iperf(&sites.lab, client, server, address, "-t 1 -P 4");
        assert!(run.rate > 20e6, "{client} to {address}: {run:?}");
    }
    for target in ["10.2.0.2", "10.1.0.1", "10.2.0.1", "fd00:2::1"] {
        ping(&sites.lab, "h-a", 3, target);
    }
    let workers = sites.a.api("status")["workers"].as_array().unwrap().len();
    assert_eq!(workers, 2);
    sites.assert_clean();
    sites.end();
}

/// A TAP for the LAN and one for each attachment give the gateway's own kernel what is addressed to it.
#[test]
fn the_gateways_own_kernel_talks_tcp_through_its_taps() {
    let plan = Plan { channels: 1, host: true, ..Plan::DEFAULT };
    let Some(sites) = Sites::start("hosts::the_gateways_own_kernel", plan) else { return };
    let addresses = must(&sites.lab, "gw-a", "ip -br address");
    assert!(addresses.contains("qlan") && addresses.contains("10.1.0.1/24"), "{addresses}");
    must(&sites.lab, "gw-a", "ip route add 10.2.0.0/24 via 169.254.1.2 dev qch1");
    must(&sites.lab, "gw-a", "ip -6 route add fd00:2::/64 via fd00:ff:1::2 dev qch1");
    must(
        &sites.lab,
        "h-b",
        "ip route add 169.254.1.0/30 via 10.2.0.1; ip -6 route add fd00:ff:1::/126 via fd00:2::1",
    );
    for (client, server, address) in [
        ("h-a", "gw-a", "10.1.0.1"),
        ("h-a", "gw-a", "fd00:1::1"),
        ("h-b", "gw-a", "169.254.1.1"),
        ("h-b", "gw-a", "10.1.0.1"),
        ("h-b", "gw-a", "fd00:1::1"),
        ("gw-a", "h-a", "10.1.0.2"),
        ("gw-a", "h-b", "10.2.0.2"),
        ("gw-a", "h-b", "fd00:2::2"),
    ] {
        for more in ["-t 1", "-t 1 -R"] {
            let run = iperf(&sites.lab, client, server, address, more);
            assert!(run.rate > 10e6, "{client} to {address} {more}: {run:?}");
        }
    }
    // Pings are answered by the worker, and by nobody else.
    for target in ["10.1.0.1", "fd00:1::1"] {
        ping(&sites.lab, "h-a", 5, target);
        ping(&sites.lab, "h-b", 5, target);
    }
    assert_eq!(kernel_count(&sites.lab, "gw-a", "Icmp", "OutMsgs"), 0, "the kernel stays silent");
    // Nor does it answer who has its address: it hears answers only.
    must(
        &sites.lab,
        "h-a",
        "ip neighbour change fd00:1::1 dev eth0 nud probe; ip neighbour change 10.1.0.1 dev eth0 nud probe",
    );
    ping(&sites.lab, "h-a", 2, "fd00:1::1");
    let counted = must(&sites.lab, "gw-a", "grep Icmp6OutNeighborAdvertisements /proc/net/snmp6");
    assert_eq!(counted.split_whitespace().nth(1), Some("0"), "{counted}");
    for (client, server, address) in both_ways() {
        let run = iperf(&sites.lab, client, server, address, "-t 1");
        assert!(run.rate > 20e6, "{client} to {address}: {run:?}");
    }
    sites.assert_clean();
    sites.end();
}

/// A kernel that would forward and answer, if it were let: forwarding on, an address on the LAN's device, a way out.
#[test]
fn the_kernel_neither_forwards_nor_answers_what_the_gateway_does() {
    let Some(mut sites) = Sites::build("hosts::the_kernel_neither_forwards", Plan::DEFAULT) else { return };
    must(
        &sites.lab,
        "gw-a",
        "echo 1 >/proc/sys/net/ipv4/ip_forward; ip address add 10.1.0.99/24 dev lan1
         ip link add away0 type veth peer name away1; ip link set away0 up; ip link set away1 up
         ip address add 192.0.2.1/24 dev away0; ip neighbour add 192.0.2.2 lladdr 02:00:00:00:00:99 dev away0
         ip route add default via 192.0.2.2",
    );
    sites.a.start(&sites.lab);
    sites.b.start(&sites.lab);
    sites.wait_reachable();
    let held = |when: &str| {
        ping(&sites.lab, "h-a", 10, "10.2.0.2");
        ping(&sites.lab, "h-b", 10, "10.1.0.2");
        ping(&sites.lab, "h-a", 10, "10.1.0.1");
        for (counters, name) in [("Ip", "ForwDatagrams"), ("Icmp", "OutMsgs"), ("Tcp", "OutRsts")] {
            assert_eq!(kernel_count(&sites.lab, "gw-a", counters, name), 0, "{when}: {counters} {name}");
        }
    };
    held("forwarding was on when the gateway came");
    let run = iperf(&sites.lab, "h-a", "h-b", "10.2.0.2", "-t 1");
    assert!(run.rate > 20e6, "{run:?}");
    // Whoever writes this switch turns forwarding on for every interface (ip-sysctl), as container engines do.
    must(&sites.lab, "gw-a", "echo 0 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv4/ip_forward");
    for device in ["lan1", "ch1", "ch2"] {
        until(&format!("{device} is taken back"), Duration::from_secs(10), || {
            let on = must(&sites.lab, "gw-a", &format!("cat /proc/sys/net/ipv4/conf/{device}/forwarding"));
            (on.trim() == "0").then_some(())
        });
    }
    held("it was turned on while the gateway ran");
    sites.assert_clean();
    sites.end();
}

/// A counter of a node's kernel, as in `/proc/net/snmp`.
fn kernel_count(lab: &Lab, node: &str, group: &str, name: &str) -> u64 {
    let text = must(lab, node, "cat /proc/net/snmp");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(group)?.strip_prefix(": "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let found = names.split(' ').zip(values.split(' ')).find(|(known, _)| *known == name);
    found.unwrap().1.parse().unwrap()
}

/// One packet number twice under one key is the end of GCM (NIST SP 800-38D §8.3); one that is too low is no traffic.
#[test]
fn a_gateway_killed_under_traffic_comes_back_behind_its_packet_numbers() {
    let Some(mut sites) = Sites::start("hosts::a_gateway_killed", Plan::DEFAULT) else { return };
    let captures = ["ch1", "ch2"].map(|device| Sniffer::start(&sites, device));
    let run = {
        let flow = |number: u16| UdpFlow {
            to: if number.is_multiple_of(2) { "10.2.0.2" } else { "fd00:2::2" }.parse().unwrap(),
            source_port: 41_000 + number,
            packet: 300,
        };
        let options = UdpOptions { flows: (0..16).map(flow).collect(), rate: 2000, port: 7000 };
        UdpRun::start(sites.lab.namespace("h-a").unwrap(), sites.lab.namespace("h-b").unwrap(), &options)
            .unwrap()
    };
    for _ in 0..2 {
        flows_over_both(&sites);
        let sent = sent_by(&sites.a);
        sites.a.kill();
        let reserved = reserved(&sites.a);
        assert!(sent.iter().all(|pn| *pn <= reserved[0].max(reserved[1])), "{sent:?} {reserved:?}");
        sites.a.start(&sites.lab);
        sites.wait_reachable();
        flows_over_both(&sites);
        for (now, then) in sent_by(&sites.a).iter().zip(&sent) {
            assert!(now > then, "{now} after {then}");
        }
        let lowest = *reserved.iter().min().unwrap();
        assert!(sent_by(&sites.a).iter().all(|pn| *pn > lowest), "{reserved:?}");
        // B took the jump: nothing was late or not valid to it.
        sites.assert_clean();
        // The other end, too: what it receives went on without it.
        sites.b.kill();
        sites.b.start(&sites.lab);
        sites.wait_reachable();
    }
    flows_over_both(&sites);
    let totals = run.stop().unwrap().totals();
    assert_eq!((totals.damaged, totals.duplicated), (0, 0), "{totals:?}");
    sites.assert_clean();
    for (capture, next_pn) in captures.into_iter().zip(sent_by(&sites.a)) {
        let mut seen = BTreeSet::new();
        let numbers = capture.packet_numbers("02:00:00:00:0a", u32::try_from(next_pn - 1).unwrap());
        assert!(numbers.len() > 500, "{}", numbers.len());
        for pn in &numbers {
            assert!(seen.insert(*pn), "packet number {pn} was used twice");
        }
        // Two restarts, each of which went on behind everything that was reserved.
        let jumps = numbers.windows(2).filter(|pair| pair[1] > pair[0] + (1 << 20)).count();
        assert_eq!(jumps, 2, "restarts in the capture");
        assert!(numbers.is_sorted(), "a veth pair reorders nothing");
    }
    sites.end();
}

/// Echo requests that the kernel of a node took for itself.
fn echoes_taken(sites: &Sites, node: &str) -> u64 {
    let text = must(&sites.lab, node, "grep ^Icmp: /proc/net/snmp");
    let [names, counts] = &text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    let at = names.split(' ').position(|name| name == "InEchos").unwrap();
    counts.split(' ').nth(at).unwrap().parse().unwrap()
}

#[test]
fn an_address_of_the_kernels_on_a_ports_device_is_warned_of() {
    let plan = Plan { channels: 1, ..Plan::DEFAULT };
    let Some(mut sites) = Sites::build("hosts::an_address_of_the_kernels", plan) else { return };
    // Where A is managed from, an address that was left on the LAN's device, and the setting of some distributions.
    let manage = "ip link set lo up; ip address add 192.0.2.1/32 dev lo
                  ip link add m0 type veth peer name m1; ip link set m0 up; ip link set m1 up
                  ip route add default dev m0; ip address add 198.51.100.1/24 dev lan1";
    must(&sites.lab, "gw-a", &format!("{manage}; echo 2 > /proc/sys/net/ipv4/conf/all/rp_filter"));
    sites.a.start(&sites.lab);
    sites.b.start(&sites.lab);
    sites.wait_reachable();
    let (log, other) = (sites.a.log(), sites.b.log());
    assert!(log.contains("port.kernel_address") && !other.contains("port.kernel_address"), "{log}");
    let warned =
        |sites: &Sites| sites.a.api("status")["reasons"].to_string().contains("ip address flush dev lan1");
    assert!(warned(&sites));
    let knock = |sites: &Sites| {
        let before = echoes_taken(sites, "gw-a");
        sh(&sites.lab, "h-a", "ip route replace 192.0.2.1 via 10.1.0.1; ping -n -c 2 -i 0.2 -W 1 192.0.2.1");
        echoes_taken(sites, "gw-a") - before
    };
    assert!(knock(&sites) > 0, "this is what the warning is of");
    // The remedy that it names. The loose check is as strict as the other on a device without address.
    must(&sites.lab, "gw-a", "ip address flush dev lan1");
    assert_eq!((knock(&sites), warned(&sites)), (0, false));
    sites.end();
}

#[test]
fn what_was_received_is_on_disk_soon_so_that_a_killed_gateway_accepts_no_old_frames() {
    let plan = Plan { channels: 1, ..Plan::DEFAULT };
    let Some(mut sites) = Sites::start("hosts::what_was_received_is_on_disk_soon", plan) else { return };
    must(&sites.lab, "h-a", "ping -n -q -f -c 300 10.2.0.2");
    let accepted = sites.b.counted("ch1").received_pn[0];
    assert!(accepted > 300, "{accepted}");
    // Numbers are noted every second; with what a busy machine adds this is far from the ten of a slow one.
    let noted = || -> Option<u64> {
        let text = std::fs::read_to_string(sites.b.state().join("packet-numbers.json")).ok()?;
        let numbers: serde_json::Value = serde_json::from_str(&text).ok()?;
        numbers["receive"].as_object()?.values().next()?.as_u64()
    };
    // The window of 64 frames is still open behind what was accepted last.
    until("what was accepted is noted", Duration::from_secs(4), || {
        noted().filter(|lowest| lowest + 64 >= accepted)
    });
    sites.b.kill();
    sites.b.start(&sites.lab);
    sites.wait_reachable();
    sites.assert_clean();
    sites.end();
}

const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until A has sent a good number of frames on each channel.
fn flows_over_both(sites: &Sites) {
    let before = sent_by(&sites.a);
    until("traffic flows over both", PATIENCE, || {
        let now = sent_by(&sites.a);
        now.iter().zip(&before).all(|(now, then)| *now > then + 200).then_some(())
    });
}

fn sent_by(gateway: &Gateway) -> [u64; 2] {
    ["ch1", "ch2"].map(|channel| gateway.counted(channel).next_pn)
}

/// The last number that each transmit SA may have used, from the gateway's state.
fn reserved(gateway: &Gateway) -> Vec<u64> {
    let text = std::fs::read_to_string(gateway.state().join("packet-numbers.json")).unwrap();
    let numbers: serde_json::Value = serde_json::from_str(&text).unwrap();
    numbers["transmit"].as_object().unwrap().values().map(|last| last.as_u64().unwrap()).collect()
}

/// tcpdump at gateway B's end of a channel, where every frame of A is seen.
struct Sniffer {
    tcpdump: Process,
    file: std::path::PathBuf,
}

impl Sniffer {
    fn start(sites: &Sites, device: &str) -> Self {
        let file = sites.folder.path().join(format!("{device}.pcap"));
        let name = file.to_str().unwrap();
        let arguments =
            ["-i", device, "-U", "-s", "64", "-B", "16384", "-Z", "root", "-w", name, "ether proto 0x88e5"];
        let tcpdump = background(&sites.lab, "gw-b", "tcpdump", &arguments);
        until("tcpdump looks", PATIENCE, || {
            ping(&sites.lab, "h-a", 1, "10.2.0.2");
            std::fs::metadata(&file).ok().filter(|file| file.len() >= 24)
        });
        Self { tcpdump, file }
    }

    /// The packet numbers in the SecTAGs (802.1AE §9.8) of what a station whose MAC address starts so sent, in order;
    /// `last` is one that was sent when all was over: a busy machine writes it late.
    fn packet_numbers(mut self, from: &str, last: u32) -> Vec<u32> {
        let from: Vec<u8> = from.split(':').map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect();
        let numbers = until("all is written", PATIENCE, || {
            let numbers = packet_numbers(&std::fs::read(&self.file).unwrap(), &from);
            numbers.iter().any(|pn| *pn >= last).then_some(numbers)
        });
        self.tcpdump.terminate(PATIENCE).unwrap();
        numbers
    }
}

/// Packet numbers in a pcap file, which may end in the middle of a frame.
fn packet_numbers(file: &[u8], from: &[u8]) -> Vec<u32> {
    let (mut rest, mut numbers) = (&file[24..], Vec::new());
    while let Some((header, more)) = rest.split_at_checked(16) {
        let kept = u32::from_ne_bytes(header[8..12].try_into().unwrap());
        let Some((frame, more)) = more.split_at_checked(usize::try_from(kept).unwrap()) else { break };
        if frame[6..].starts_with(from) && frame[12..14] == [0x88, 0xe5] {
            numbers.push(u32::from_be_bytes(frame[16..20].try_into().unwrap()));
        }
        rest = more;
    }
    numbers
}

#[test]
fn a_checksum_begun_in_the_headers_is_refused_where_it_comes_in() {
    // VIRTIO 1.2 §5.1.6.2, by a sender that shares no line with ours and a kernel that checks what arrives.
    if !able("hosts::a_checksum_begun_in_the_headers", &["python3"]) {
        return;
    }
    for lan_vlan in [None, Some(7)] {
        let plan = Plan { lan_vlan, ..Plan::DEFAULT };
        let Some(sites) = Sites::start("hosts::a_checksum_begun_in_the_headers", plan) else { return };
        let script = sites.folder.path().join("begun.py");
        std::fs::write(&script, include_str!("support/begun.py")).unwrap();
        let known = must(&sites.lab, "h-a", "ip -6 neigh show fd00:1::1");
        let words: Vec<_> = known.split_whitespace().collect();
        let after = |word: &str| words[words.iter().position(|one| *one == word).unwrap() + 1];
        let (device, mac) = (after("dev"), after("lladdr"));
        let begun = |start: u8, offset: u8| {
            let ends = "fd00:1::2 fd00:2::2";
            let run = format!("python3 {} {device} {mac} {ends} {start} {offset}", script.display());
            must(&sites.lab, "h-a", &run).trim().to_owned()
        };
        assert_eq!(begun(54, 2), "answered", "where ICMPv6 has it");
        // Source and destination, the attachment's tag to be, a MAC address.
        let bad = [(20, 2), (22, 30), (0, 10), (0, 0)].map(|(start, offset)| begun(start, offset));
        let taken = bad.iter().filter(|said| *said == "silent").count();
        assert!(taken > 0 && !bad.contains(&"answered".to_owned()), "{bad:?}");
        let counted = || sites.a.drops().contains(&format!("\"bad_offload\" {taken};")).then_some(());
        until(&format!("{taken} are counted: {}", sites.a.drops()), PATIENCE, counted);
        ping(&sites.lab, "h-a", 3, "fd00:2::2");
        sites.end();
    }
}
