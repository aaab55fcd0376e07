//! Two sites, each an ordinary Linux host behind a real gateway, joined by MACsec channels on veth pairs:
//! `h-a` – `gw-a` = channels = `gw-b` – `h-b`, as [`Topology::two_sites`] builds them.

use std::fmt::Write as _;
use std::time::Duration;

use gateway::clock;
use gateway::lab::traffic::udp::{UdpFlow, UdpOptions, UdpRun};
use gateway::lab::wire::{Ends, Wire};
use gateway::lab::{Lab, Node, Topology};
use parking_lot::MutexGuard;
use serde_json::Value;

use super::gateway::{Folder, Gateway};
use super::shell::{must, sh, until};
use super::{TURN, able, skipped, vlan};

/// What the two sites agree on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) channels: u8,
    pub(crate) workers: u8,
    /// Octets behind the MAC header on the channels' links.
    pub(crate) channel_mtu: u32,
    pub(crate) attachment_mtu: u16,
    pub(crate) cipher: &'static str,
    pub(crate) encrypt: bool,
    /// VLANs in clear in front of the SecTAG.
    pub(crate) clear_tags: &'static [u16],
    /// VLAN of the LANs.
    pub(crate) lan_vlan: Option<u16>,
    /// A wire instead of a router; hosts get 10.9.0.1 and 10.9.0.2.
    pub(crate) transparent: bool,
    /// Gateway A's interfaces are its own kernel's, too: `qlan`, `qch1`...
    pub(crate) host: bool,
    /// Gateway A's LAN is the TAP `tap1`: its host is the kernel of `gw-a`.
    pub(crate) lan_tap: bool,
    /// Gateway A's channels are on TAPs, `tch1`..., which somebody has to bridge to `ch1`...
    pub(crate) channel_tap: bool,
    /// Keys come from MKA: for each channel the CAK of `1-1.cak` (site, channel) under the CKN of `1-1.ckn`, which are the
    /// same at both sites; and these lines behind `[channel.macsec.mka]`. Otherwise SAKs are static.
    pub(crate) mka: Option<&'static str>,
    /// A bridge in the node `wire` joins the two ends of each channel (`br1`...), which can be told to eat EAPOL.
    pub(crate) bridged: bool,
    /// More lines of gateway A's `[runtime]`.
    pub(crate) runtime: &'static str,
    /// More lines of the connection, such as its protection.
    pub(crate) connection: &'static str,
    /// More lines of the ports of channels, at A and at B. Where there are none, those of [`CHANNEL_PORT`].
    pub(crate) channel_port: [&'static str; 2],
    /// More lines of the ports of LANs.
    pub(crate) lan_port: &'static str,
    /// More lines of each attachment.
    pub(crate) attachment: &'static str,
    /// The sites learn each other's LANs by BGP on each attachment, in each family.
    pub(crate) bgp: bool,
    /// More lines of each BGP neighbour.
    pub(crate) neighbor: &'static str,
    /// Channels go through wires of ours, which can be made bad.
    pub(crate) wired: bool,
}

/// An environment variable with lines for all ports of channels, to run whole suites in another way:
/// `QUADSPAN_TEST_CHANNEL_PORT='io = "af_xdp"' cargo test -p gateway --test ports`.
const CHANNEL_PORT: &str = "QUADSPAN_TEST_CHANNEL_PORT";

impl Plan {
    /// What most users have.
    pub(crate) const DEFAULT: Self = Self {
        channels: 2,
        workers: 1,
        channel_mtu: 1600,
        attachment_mtu: 1500,
        cipher: "gcm-aes-xpn-256",
        encrypt: true,
        clear_tags: &[],
        lan_vlan: None,
        transparent: false,
        host: false,
        lan_tap: false,
        channel_tap: false,
        mka: None,
        bridged: false,
        runtime: "",
        connection: "",
        channel_port: ["", ""],
        lan_port: "",
        attachment: "",
        bgp: false,
        neighbor: "",
        wired: false,
    };
}

/// Two sites that run. Fields are dropped in this order: gateways, lab, files.
pub(crate) struct Sites {
    pub(crate) a: Gateway,
    pub(crate) b: Gateway,
    wire: Option<Wire>,
    pub(crate) lab: Lab,
    pub(crate) folder: Folder,
    plan: Plan,
    _turn: MutexGuard<'static, ()>,
}

const TOOLS: [&str; 9] = ["ip", "ss", "tc", "ping", "iperf3", "traceroute", "tcpdump", "ethtool", "timeout"];
const PATIENCE: Duration = Duration::from_secs(20);
/// Sessions that were what they are for so long stay so.
const SETTLED: Duration = Duration::from_millis(500);

/// How often the BFD and BGP sessions of a gateway were up and down so far, of those that `of` picks.
pub(crate) fn sessions(gateway: &Gateway, of: impl Fn(&Value) -> bool) -> Vec<String> {
    let list = |what: &str| gateway.api(what)["items"].as_array().unwrap().clone();
    let bfd = list("bfd").into_iter().filter(&of);
    let bfd = bfd.map(|one| {
        format!("bfd {} {} up {} down {}", one["interface"], one["peer"], one["ups"], one["downs"])
    });
    let bgp = list("bgp").into_iter().filter(&of);
    let bgp = bgp.map(|one| format!("bgp {} {} {}", one["name"], one["state"], one["sessions"]));
    bfd.chain(bgp).collect()
}

impl Sites {
    /// Waits until so many sessions of BFD, and as many of BGP, are up at each site, and stay so.
    pub(crate) fn wait_sessions(&self, count: usize) {
        for gateway in [&self.a, &self.b] {
            let up = |what: &str, state: &str| {
                let all = gateway.api(what);
                all["items"].as_array().unwrap().iter().filter(|one| one["state"] == state).count()
            };
            until("all sessions are up", Duration::from_secs(30), || {
                (up("bfd", "up") == count && up("bgp", "established") == count).then_some(())
            });
        }
        // Both ends call: one session of two may still be given up for the other.
        let mut last = (Vec::new(), clock::now());
        until("sessions stay as they are", Duration::from_secs(30), || {
            let seen = [&self.a, &self.b].map(|one| sessions(one, |_| true)).concat();
            if seen != last.0 {
                last = (seen, clock::now());
            }
            (clock::now().since(last.1) >= SETTLED).then_some(())
        });
    }

    /// Builds and starts both sites and waits until their hosts reach each other; `None` when this machine cannot,
    /// which is then said loudly.
    pub(crate) fn start(test: &str, plan: Plan) -> Option<Self> {
        let mut sites = Self::build(test, plan)?;
        sites.a.start(&sites.lab);
        sites.b.start(&sites.lab);
        sites.wait_reachable();
        Some(sites)
    }

    /// Builds both sites; their gateways do not run yet.
    pub(crate) fn build(test: &str, plan: Plan) -> Option<Self> {
        if !able(test, &TOOLS) {
            return None;
        }
        let turn = TURN.lock();
        let folder = Folder::new();
        let lab = Lab::build(&topology(plan)).unwrap();
        if plan.bridged {
            (1..=plan.channels).for_each(|channel| bridge(&lab, channel));
        }
        for site in ["h-a", "h-b"] {
            if let Err(why) = prepare_host(&lab, &folder, site, plan) {
                skipped(test, &why);
                return None;
            }
        }
        for number in [1, 2] {
            for channel in 1..=plan.channels {
                let octets = if plan.cipher.ends_with("256") { 32 } else { 16 };
                let key = format!("{:02x}", number * 16 + channel).repeat(octets);
                folder.key(&format!("{number}-{channel}.sak"), &key);
                folder.key(&format!("{number}-{channel}.ckn"), &format!("c{channel}").repeat(8));
                folder.key(&format!("{number}-{channel}.cak"), &format!("a{channel}").repeat(32));
            }
        }
        let gateway = |site: &str, number| {
            Gateway::new(&folder, &format!("gw-{site}"), site, plan.workers, &configuration(plan, number))
        };
        let (a, b) = (gateway("a", 1), gateway("b", 2));
        let wire = plan.wired.then(|| start_wire(&lab, plan));
        Some(Self { a, b, wire, lab, folder, plan, _turn: turn })
    }

    /// The wires of all channels, `ch1` first.
    pub(crate) fn wire(&self) -> &Wire {
        self.wire.as_ref().unwrap()
    }

    /// The far host's IPv4 address, seen from A.
    pub(crate) const fn host_b(&self) -> &'static str {
        if self.plan.transparent { "10.9.0.2" } else { "10.2.0.2" }
    }

    /// The far host's IPv4 address, seen from B.
    pub(crate) const fn host_a(&self) -> &'static str {
        if self.plan.transparent { "10.9.0.1" } else { "10.1.0.2" }
    }

    /// Waits until a ping crosses in both directions and, where they have it, in both families.
    pub(crate) fn wait_reachable(&self) {
        let six: &[_] =
            if self.plan.transparent { &[] } else { &[("h-a", "fd00:2::2"), ("h-b", "fd00:1::2")] };
        for &(from, to) in [("h-a", self.host_b()), ("h-b", self.host_a())].iter().chain(six) {
            until(&format!("{from} reaches {to}: {} | {}", self.a.drops(), self.b.drops()), PATIENCE, || {
                let pinged = sh(&self.lab, from, &format!("ping -n -c 1 -W 1 {to}"));
                (pinged.status == Some(0)).then_some(())
            });
        }
    }

    /// What [`super::gateway::Counted::assert_clean`] holds, for all channels of both; and packets crossed at all.
    pub(crate) fn assert_clean(&self) {
        for (whose, gateway) in [("A", &self.a), ("B", &self.b)] {
            let channels = (1..=self.plan.channels).map(|at| gateway.counted(&format!("ch{at}")));
            let accepted: u64 =
                channels.inspect(|one| one.assert_clean(whose)).map(|one| one.of("in_pkts_ok")).sum();
            assert!(accepted > 0, "{whose} accepted nothing");
        }
    }

    /// From now on the bridge of a channel passes EAPOL on, or eats it and nothing else.
    pub(crate) fn pass_eapol(&self, channel: u8, passes: bool) {
        let mask = if passes { 8 } else { 0 };
        must(
            &self.lab,
            Topology::WIRE,
            &format!("ip link set br{channel} type bridge group_fwd_mask {mask}"),
        );
    }

    /// Numbered packets, 500 a second each way in so many flows, in both families.
    pub(crate) fn traffic(&self, flows: u16) -> [UdpRun; 2] {
        [("h-a", "h-b", 2_u8), ("h-b", "h-a", 1)].map(|(from, to, far)| {
            let to_address = |number: u16| match number % 2 {
                0 => format!("10.{far}.0.2"),
                _ => format!("fd00:{far}::2"),
            };
            let flow = |number: u16| UdpFlow {
                to: to_address(number).parse().unwrap(),
                source_port: 41_000 + number,
                packet: 300,
            };
            let options = UdpOptions { flows: (0..flows).map(flow).collect(), rate: 500, port: 7000 };
            let namespace = |node| self.lab.namespace(node).unwrap();
            UdpRun::start(namespace(from), namespace(to), &options).unwrap()
        })
    }

    /// Ends both in order.
    pub(crate) fn end(mut self) {
        self.a.end();
        self.b.end();
    }
}

/// Joins a channel's ends. As most carriers' equipment, a bridge passes EAPOL on only when told to (802.1D Table 7-10).
fn bridge(lab: &Lab, channel: u8) {
    let (bridge, ends) = (format!("br{channel}"), [format!("ch{channel}-a"), format!("ch{channel}-b")]);
    must(lab, Topology::WIRE, &format!("ip link add {bridge} type bridge mcast_snooping 0 group_fwd_mask 8"));
    must(lab, Topology::WIRE, &format!("echo 1 > /proc/sys/net/ipv6/conf/{bridge}/disable_ipv6"));
    for end in &ends {
        must(lab, Topology::WIRE, &format!("ip link set {end} master {bridge}"));
    }
    must(lab, Topology::WIRE, &format!("ip link set {bridge} up"));
}

fn start_wire(lab: &Lab, plan: Plan) -> Wire {
    let ends = |channel| Ends { a: format!("ch{channel}-a"), b: format!("ch{channel}-b") };
    let ends: Vec<_> = (1..=plan.channels).map(ends).collect();
    Wire::start(lab.namespace(Topology::WIRE).unwrap(), &ends, plan.channel_mtu, 1).unwrap()
}

fn topology(plan: Plan) -> Topology {
    let build = if plan.wired || plan.bridged { Topology::two_wired_sites } else { Topology::two_sites };
    let mut topology = build(plan.channels, plan.channel_mtu);
    if plan.lan_vlan.is_some() || plan.transparent {
        // Addresses come later, on what `prepare_host` makes.
        for node in topology.nodes.iter_mut().filter(|node| node.name.starts_with("h-")) {
            *node = Node::new(&node.name);
        }
        for end in topology.links.iter_mut().flat_map(|link| &mut link.ends) {
            if end.node.starts_with("h-") {
                end.addresses.clear();
            }
        }
    }
    topology
}

/// Addresses where the topology's plain ones do not fit: on a VLAN, or in one subnet across the wire.
fn prepare_host(lab: &Lab, folder: &Folder, node: &str, plan: Plan) -> Result<(), String> {
    let (own, far) = if node == "h-a" { (1, 2) } else { (2, 1) };
    let device = match plan.lan_vlan {
        Some(vlan) => vlan::tag(lab, folder, node, "eth0", vlan)?,
        None => "eth0".to_owned(),
    };
    if plan.transparent {
        must(lab, node, &format!("ip address add 10.9.0.{own}/24 dev {device}"));
    } else if plan.lan_vlan.is_some() {
        let script = format!(
            "ip address add 10.{own}.0.2/24 dev {device}; ip route add 10.{far}.0.0/24 via 10.{own}.0.1
             ip address add fd00:{own}::2/64 dev {device} nodad; ip route add fd00:{far}::/64 via fd00:{own}::1"
        );
        must(lab, node, &script);
    }
    Ok(())
}

/// The configuration of site 1 or 2, as a user would write it.
fn configuration(plan: Plan, own: u8) -> String {
    let lan = if plan.lan_tap && own == 1 { "device = \"tap1\"\nio = \"tap\"" } else { "device = \"lan1\"" };
    let runtime = if own == 1 { plan.runtime } else { "" };
    let mut text = format!(
        "{runtime}\n[[interconnect]]\nname = \"x\"\n[[port]]\nname = \"lan\"\n{lan}\n{}\n",
        plan.lan_port
    );
    for channel in 1..=plan.channels {
        text += &channel_text(plan, own, channel);
    }
    let mode = if plan.transparent { "transparent" } else { "routed" };
    let _ = writeln!(
        text,
        "[[connection]]\nname = \"blue\"\ninterconnect = \"x\"\nmode = \"{mode}\"\n{}",
        plan.connection
    );
    for channel in 1..=plan.channels {
        text += &attachment_text(plan, own, channel);
    }
    text + &lan_text(plan, own) + &if plan.bgp { bgp_text(plan, own) } else { String::new() }
}

fn bgp_text(plan: Plan, own: u8) -> String {
    let far = 3 - own;
    let mut text =
        format!("[connection.bgp]\nasn = 6500{own}\nrouter_id = \"192.0.2.{own}\"\nannounce = [\"lans\"]\n");
    for channel in 1..=plan.channels {
        for address in [format!("169.254.{channel}.{far}"), format!("fd00:ff:{channel}::{far}")] {
            let _ = write!(
                text,
                "[[connection.neighbor]]\non = \"ch{channel}\"\naddress = \"{address}\"\nasn = 6500{far}\n\
                 connect_retry = \"1s\"\nimport = \"accept\"\nexport = \"accept\"\n{}",
                plan.neighbor
            );
        }
    }
    text
}

fn channel_text(plan: Plan, own: u8, channel: u8) -> String {
    let (device, mtu, sci) = match plan.channel_tap && own == 1 {
        true => {
            let sci = Topology::gateway_mac(own, channel).to_string().replace(':', "");
            let device = format!("device = \"tch{channel}\"\nio = \"tap\"");
            (device, format!("mtu = {}\n", plan.channel_mtu), format!("sci = \"{sci}:0001\"\n"))
        }
        false => {
            let [a, b] = plan.channel_port;
            let lines = if own == 1 { a } else { b }.to_owned();
            let lines =
                if lines.is_empty() { std::env::var(CHANNEL_PORT).unwrap_or_default() } else { lines };
            (format!("device = \"ch{channel}\"\n{lines}"), String::new(), String::new())
        }
    };
    let head = format!(
        "[[port]]\nname = \"p{channel}\"\n{device}\n\
         [[channel]]\nname = \"ch{channel}\"\ninterconnect = \"x\"\nport = \"p{channel}\"\nclear_tags = {:?}\n{mtu}\
         [channel.macsec]\n{sci}cipher = \"{}\"\nencrypt = {}\nreplay_window = 64\n",
        plan.clear_tags, plan.cipher, plan.encrypt,
    );
    if let Some(settings) = plan.mka {
        return head
            + &format!(
                "[[channel.macsec.key]]\nckn = {{ file = \"{own}-{channel}.ckn\" }}\ncak = {{ file = \"{own}-{channel}.cak\" }}\n\
                 [channel.macsec.mka]\n{settings}\n"
            );
    }
    let far = 3 - own;
    let mac = Topology::gateway_mac(far, channel).to_string().replace(':', "");
    let xpn = |ssci: u8| match plan.cipher.contains("xpn") {
        true => format!("salt = \"0102030405060708090a0b0c\"\nssci = {ssci}\n"),
        false => String::new(),
    };
    head + &format!(
        "[[channel.macsec.static.tx]]\nan = 0\nkey = {{ file = \"{own}-{channel}.sak\" }}\n{}\
         [[channel.macsec.static.rx]]\nsci = \"{mac}:0001\"\nan = 0\nkey = {{ file = \"{far}-{channel}.sak\" }}\n{}",
        xpn(own),
        xpn(far),
    )
}

fn attachment_text(plan: Plan, own: u8, channel: u8) -> String {
    let preference = 200 - channel;
    let mut text =
        format!("[[connection.attachment]]\nchannel = \"ch{channel}\"\npreference = {preference}\n");
    if !plan.transparent {
        let far = 3 - own;
        let _ = write!(
            text,
            "vlan = 100\nmtu = {}\n\
             address = [\"169.254.{channel}.{own}/30\", \"fd00:ff:{channel}::{own}/126\"]\n\
             peer = [\"169.254.{channel}.{far}\", \"fd00:ff:{channel}::{far}\"]\n",
            plan.attachment_mtu
        );
        if plan.host && own == 1 {
            let _ = write!(text, "host = true\nhost_device = \"qch{channel}\"\n");
        }
    }
    text + plan.attachment
}

fn lan_text(plan: Plan, own: u8) -> String {
    let mut text = String::from("[[connection.lan]]\nport = \"lan\"\n");
    if plan.transparent {
        return text;
    }
    if let Some(vlan) = plan.lan_vlan {
        let _ = writeln!(text, "vlan = {vlan}");
    }
    if plan.host && own == 1 {
        text += "host = true\nhost_device = \"qlan\"\n";
    }
    let far = 3 - own;
    let _ = writeln!(text, "address = [\"10.{own}.0.1/24\", \"fd00:{own}::1/64\"]");
    if plan.bgp {
        return text;
    }
    let _ = write!(
        text,
        "[[connection.route]]\nprefix = \"10.{far}.0.0/24\"\nvia = \"attachments\"\n\
         [[connection.route]]\nprefix = \"fd00:{far}::/64\"\nvia = \"attachments\"\n"
    );
    text
}
