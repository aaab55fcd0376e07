//! What BIRD reads, and the topology that the kernel routes in: addresses, AS numbers and BFD times of the demo.

use std::fmt::Write as _;

use gateway::{
    demo::{standing::Mode, theatre::CHANNELS},
    lab::{End, Topology},
};
use net::IpNet;

/// The two wired sites, whose gateways are plain routers.
pub(crate) fn topology(channel_mtu: u32) -> Topology {
    let mut topology = Topology::two_wired_sites(CHANNELS, channel_mtu);
    for node in topology.nodes.iter_mut().filter(|node| node.name.starts_with("gw-")) {
        let mut router = node.clone().forwarding();
        for scope in ["all", "default"] {
            for family in ["ipv4", "ipv6"] {
                let key = format!("net/{family}/conf/{scope}/ignore_routes_with_linkdown");
                router = router.setting(&key, "1");
            }
            router = router.setting(&format!("net/ipv4/conf/{scope}/rp_filter"), "0");
        }
        *node = router;
    }
    for end in topology.links.iter_mut().flat_map(|link| &mut link.ends) {
        address(end);
    }
    topology
}

/// As the demo's configuration gives them to the gateways.
fn address(end: &mut End) {
    let Some(site) = end.node.strip_prefix("gw-").map(number) else { return };
    end.quiet = false;
    end.addresses = match end.device.strip_prefix("ch") {
        Some(channel) => {
            vec![
                net(&format!("169.254.{channel}.{site}/30")),
                net(&format!("fd00:100:{channel}::{site}/126")),
            ]
        }
        None => vec![net(&format!("10.{site}.0.1/24")), net(&format!("fd00:{site}::1/64"))],
    };
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap_or_else(|_| unreachable!("{text} is an address"))
}

/// 1 for site a, 2 for site b.
pub(crate) fn number(letter: &str) -> u8 {
    if letter == "a" { 1 } else { 2 }
}

/// The prefixes of the LAN that is not the site's.
pub(crate) fn far(letter: &str) -> [String; 2] {
    let far = 3 - number(letter);
    [format!("10.{far}.0.0/24"), format!("fd00:{far}::/64")]
}

/// `bird.conf` of a site; `drained` channels are shut down gracefully (RFC 8326).
pub(crate) fn bird(letter: &str, mode: Mode, drained: &[String]) -> String {
    let (own, far) = (number(letter), 3 - number(letter));
    let merge = if mode == Mode::Ecmp { "merge paths yes limit 8;" } else { "" };
    let mut text = format!(
        "log stderr all;\ntimeformat log iso long us;\nrouter id 192.0.2.{own};\n\
         protocol device {{ scan time 1; }}\n\
         protocol direct {{ ipv4; ipv6; interface \"lan1\"; check link yes; }}\n\
         protocol kernel k4 {{ {merge} ipv4 {{ import none; export where source = RTS_BGP; }}; }}\n\
         protocol kernel k6 {{ {merge} ipv6 {{ import none; export where source = RTS_BGP; }}; }}\n\
         protocol bfd {{ interface \"ch*\" {{ interval 50 ms; multiplier 3; }}; }}\n\
         template bgp far {{ local as 6500{own}; direct; bfd on; check link yes; debug {{ states }}; hold time 90;\n\
         connect delay time 1; connect retry time 1; error wait time 1, 2; error forget time 5; }}\n"
    );
    for channel in 1..=CHANNELS {
        let name = format!("ch{channel}");
        let leave = drained.contains(&name);
        let preference = if mode == Mode::ActiveStandby { 200 - channel } else { 100 };
        let import = format!(
            "import filter {{ bgp_local_pref = {}; if (65535, 0) ~ bgp_community then bgp_local_pref = 0; accept; }};",
            if leave { 0 } else { preference }
        );
        let tell = if leave { "bgp_community.add((65535, 0));" } else { "" };
        let export = format!("export filter {{ if source != RTS_DEVICE then reject; {tell} accept; }};");
        for (family, peer) in
            [("4", format!("169.254.{channel}.{far}")), ("6", format!("fd00:100:{channel}::{far}"))]
        {
            let afi = if family == "4" { "ipv4" } else { "ipv6" };
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "protocol bgp {name}_{family} from far {{ neighbor {peer} as 6500{far}; interface \"{name}\";\n\
                 {afi} {{ next hop self; {import} {export} }}; }}"
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drained_channel_is_told_and_its_routes_are_last() {
        let plain = bird("a", Mode::Ecmp, &[]);
        let drained = bird("a", Mode::Ecmp, &["ch2".to_owned()]);
        assert_eq!(plain.matches("bgp_local_pref = 100").count(), 8);
        assert_eq!(drained.matches("bgp_local_pref = 100").count(), 6);
        assert_eq!(drained.matches("bgp_community.add").count(), 2);
        assert!(bird("b", Mode::ActiveStandby, &[]).contains("bgp_local_pref = 199"));
    }

    #[test]
    fn the_gateways_route_and_the_hosts_stay() {
        let topology = topology(1600);
        topology.check().unwrap();
        let ends = topology.links.iter().flat_map(|link| &link.ends);
        let gateways: Vec<&End> = ends.filter(|end| end.node == "gw-a").collect();
        assert_eq!(gateways.len(), 5);
        assert!(gateways.iter().all(|end| !end.quiet && end.addresses.len() == 2));
        assert!(topology.nodes.iter().filter(|node| node.forwarding).count() == 2);
    }
}
