//! Linux's own `vxlan` with `macsec` on it as the far end of a tunnel: a Debian kernel in a small VM (`support/vm.rs`).
//!
//! VM (`vxlan0`, `macsec0`) – `wire` (a router between two subnets) – `gw` – `host`

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod support;

use std::time::Duration;

use gateway::lab::{End, Lab, Node, Topology};
use support::gateway::{Folder, Gateway};
use support::guest::{boot_in_wire, with_guest};
use support::shell::{measured, must, until};
use support::vm::VmError;

const TEST: &str = "linux_vxlan::a_tunnel_and_a_kernel_agree_over_ipv4_and_ipv6";

#[test]
fn a_tunnel_and_a_kernel_agree_over_ipv4_and_ipv6() {
    with_guest(TEST, &["ip", "ping", "iperf3", "timeout"], gateway_and_kernel);
}

/// Our end and the guest's, in one family.
struct Ends {
    gateway: &'static str,
    guest: &'static str,
    more: &'static str,
}

const FAMILIES: [Ends; 2] = [
    Ends { gateway: "192.0.2.1", guest: "198.51.100.1", more: "" },
    Ends { gateway: "2001:db8:a::1", guest: "2001:db8:b::1", more: "udp6zerocsumtx" },
];

fn gateway_and_kernel() -> Result<(), VmError> {
    let (folder, lab) = (Folder::new(), Lab::build(&topology()).unwrap());
    must(
        &lab,
        "wire",
        "ip tuntap add vm mode tap vnet_hdr; ip link set vm up; ip address add 198.51.100.254/24 dev vm
         ip address add 2001:db8:b::fe/64 dev vm nodad",
    );
    let mut guest = boot_in_wire(&lab, GUEST_MAC)?;
    guest.must(
        "echo 0 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 0 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6 \
         ; ip link set eth0 up && ip address add 198.51.100.1/24 dev eth0 && ip address add 2001:db8:b::1/64 dev eth0 nodad \
         && ip route add 192.0.2.0/24 via 198.51.100.254 && ip -6 route add 2001:db8:a::/64 via 2001:db8:b::fe",
    )?;
    for (at, ends) in FAMILIES.iter().enumerate() {
        let mut gateway = gateway_for(ends, &folder, at);
        gateway.start(&lab);
        guest.must(&format!(
            "ip link add vxlan0 address {VXLAN_MAC} type vxlan id 42 local {} remote {} dstport 4789 nolearning {} \
             && ip link set vxlan0 up",
            ends.guest, ends.gateway, ends.more
        ))?;
        guest.must(&format!(
            "secy_up link=vxlan0 cipher=gcm-aes-256 encrypt=on tag=sci sci=0200000000bb0001 peer_sci=0200000000aa0001 \
             tx_key={} rx_key={} address=169.254.1.2/30",
            "22".repeat(32),
            "11".repeat(32)
        ))?;
        guest.must("ip route add 10.1.0.0/24 via 169.254.1.1")?;
        guest.must("until_true 20 ping -c 1 -W 1 10.1.0.2 && ping -c 12 -i 0.02 -W 5 10.1.0.2")?;
        must(&lab, "host", "ping -n -c 12 -i 0.02 -W 5 169.254.1.2");
        // Whole frames: what is left of 1500 octets under either header, SecTAG and ICV.
        let most = if at == 0 { 1418 } else { 1398 } - 28;
        must(&lab, "host", &format!("ping -n -c 3 -i 0.1 -W 5 -M do -s {most} 169.254.1.2"));
        for more in ["-t 1", "-t 1 -R"] {
            // 1451: port 5201; 0A: listening.
            guest.must("iperf3 -s -1 -D && until_true 10 grep -q ':1451 .* 0A ' /proc/net/tcp6")?;
            let text = must(&lab, "host", &format!("iperf3 -J -c 169.254.1.2 --connect-timeout 9000 {more}"));
            assert!(measured(&text).received >= 200_000, "{text}");
        }
        let counted = gateway.counted("ch");
        counted.assert_clean("gateway");
        assert!(counted.of("in_pkts_ok") > 100, "{counted:?}");
        until("the guest refused nothing", Duration::from_secs(10), || {
            let theirs = guest.must("counters").ok()?;
            let bad = ["InPktsInvalid", "InPktsNotValid", "InPktsLate", "InPktsNotUsingSA", "InPktsUnusedSA"];
            let clean = |name: &&str| theirs.lines().any(|line| line == format!("rxsc {name} 0"));
            bad.iter().all(clean).then_some(())
        });
        guest.must("secy_down && ip link del vxlan0")?;
        gateway.end();
    }
    Ok(())
}

const GUEST_MAC: &str = "52:54:00:aa:00:01";
const VXLAN_MAC: &str = "02:00:00:00:00:bb";

/// `wire` – `gw` – `host`; the VM comes later, on a TAP device of `wire`.
fn topology() -> Topology {
    let net = |text: &str| text.parse().unwrap();
    let ip = |text: &str| text.parse().unwrap();
    let gateway = Node::new("gw")
        .route(net("198.51.100.0/24"), [ip("192.0.2.254")])
        .route(net("2001:db8:b::/64"), [ip("2001:db8:a::fe")]);
    let host = Node::new("host").route(net("169.254.0.0/16"), [ip("10.1.0.1")]);
    Topology::new()
        .node(Node::new("wire").forwarding())
        .node(gateway)
        .node(host)
        .link(
            End::new("wire", "a").address(net("192.0.2.254/24")).address(net("2001:db8:a::fe/64")),
            End::new("gw", "wan1").address(net("192.0.2.1/24")).address(net("2001:db8:a::1/64")),
        )
        .link(End::new("gw", "lan1").quiet(), End::new("host", "eth0").address(net("10.1.0.2/24")))
}

fn gateway_for(ends: &Ends, folder: &Folder, number: usize) -> Gateway {
    folder.key("guest.sak", &"22".repeat(32));
    folder.key("gateway.sak", &"11".repeat(32));
    let text = format!(
        r#"[[interconnect]]
name = "x"
[[port]]
name = "lan"
device = "lan1"
[[port]]
name = "wan"
device = "wan1"
underlay = {{ kind = "vxlan", local = "{}", remote = "{}", vni = 42, mac = "02:00:00:00:00:aa" }}
[[channel]]
name = "ch"
interconnect = "x"
port = "wan"
[channel.macsec]
cipher = "gcm-aes-256"
replay_window = 64
[[channel.macsec.static.tx]]
an = 0
key = {{ file = "gateway.sak" }}
[[channel.macsec.static.rx]]
sci = "0200000000bb:0001"
an = 0
key = {{ file = "guest.sak" }}
[[connection]]
name = "blue"
interconnect = "x"
[[connection.attachment]]
channel = "ch"
address = ["169.254.1.1/30"]
peer = ["169.254.1.2"]
[[connection.lan]]
port = "lan"
address = ["10.1.0.1/24"]
"#,
        ends.gateway, ends.guest
    );
    Gateway::new(folder, "gw", &format!("gw-{number}"), 1, &text)
}
