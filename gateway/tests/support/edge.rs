//! One gateway with a LAN host, and a BGP speaker of somebody else's at the far end of a channel:
//! `host` – `gw` – `peer`. MACsec is off: what is tested is BGP over an attachment.

use std::time::Duration;

use gateway::lab::{End, Lab, Node, Topology};
use net::MacAddr;
use parking_lot::MutexGuard;
use serde_json::Value;

use super::gateway::{Folder, Gateway};
use super::peers::{Daemon, PROGRAMS, Peer, Peering};
use super::shell::{must, until};
use super::{TURN, able, skipped};

const PATIENCE: Duration = Duration::from_secs(40);

/// The gateway, its lab, and what is needed to keep them.
pub(crate) struct Edge {
    pub(crate) gateway: Gateway,
    pub(crate) lab: Lab,
    pub(crate) folder: Folder,
    _turn: MutexGuard<'static, ()>,
}

/// The neighbour in the words of the configuration, where nothing is said otherwise.
pub(crate) const ONE_SESSION: &str = "[[connection.neighbor]]\non = \"ch1\"\nname = \"r1\"\nasn = 65002\n\
    families = [\"ipv4\", \"ipv6\"]\nconnect_retry = \"1s\"\nimport = \"accept\"\nexport = \"accept\"\n";

/// A session for each family.
pub(crate) const TWO_SESSIONS: &str = "[[connection.neighbor]]\non = \"ch1\"\nname = \"r1\"\nasn = 65002\n\
    connect_retry = \"1s\"\nimport = \"accept\"\nexport = \"accept\"\n\
    [[connection.neighbor]]\non = \"ch1\"\naddress = \"2001:db8:ffff::2\"\nname = \"r2\"\nasn = 65002\n\
    connect_retry = \"1s\"\nimport = \"accept\"\nexport = \"accept\"\n";

/// How the edge is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'s> {
    pub(crate) profile: &'s str,
    /// More words for each attachment.
    pub(crate) attachment: &'s str,
    /// From `[connection.bgp]` on, behind AS number and router id.
    pub(crate) bgp: &'s str,
    pub(crate) vlan: Option<u16>,
    /// Channels, each to a node of its own: `peer`, `peer2`.
    pub(crate) links: u8,
    /// Length of the IPv4 subnets of the attachments.
    pub(crate) length: u8,
}

impl Setting<'_> {
    pub(crate) const PLAIN: Self =
        Self { profile: "quadspan", attachment: "", bgp: "", vlan: None, links: 1, length: 30 };
}

impl Edge {
    /// Builds the lab and starts the gateway with these neighbours; `None` when this machine cannot, which is then said
    /// loudly. The password `md5` is `correct-horse`.
    pub(crate) fn start(test: &str, neighbors: &str) -> Option<Self> {
        Self::start_announcing(test, "[\"lans\"]", neighbors)
    }

    /// As [`Edge::start`], announcing this.
    pub(crate) fn start_announcing(test: &str, announce: &str, neighbors: &str) -> Option<Self> {
        let bgp = format!("announce = {announce}\n{neighbors}");
        Self::start_with(test, Setting { bgp: &bgp, ..Setting::PLAIN })
    }

    /// The whole of it.
    pub(crate) fn start_with(test: &str, setting: Setting<'_>) -> Option<Self> {
        if !able(test, &[&PROGRAMS[..], &["ip", "ping", "timeout"]].concat()) {
            return None;
        }
        let turn = TURN.lock();
        let (folder, lab) = (Folder::new(), Lab::build(&topology(setting)).unwrap());
        for link in 0..setting.links {
            let node = node(link);
            must(
                &lab,
                &node,
                "ip address add 203.0.113.1/32 dev lo; ip address add 2001:db8:b::1/128 dev lo",
            );
            if let Some(vlan) = setting.vlan
                && let Err(why) = onto_vlan(&lab, &folder, link, vlan, setting)
            {
                skipped(test, &why);
                return None;
            }
        }
        folder.key("md5", "correct-horse\n");
        let mut gateway = Gateway::new(&folder, "gw", "edge", 1, &configuration(setting));
        gateway.start(&lab);
        Some(Self { gateway, lab, folder, _turn: turn })
    }

    /// Starts a speaker at the far end.
    pub(crate) fn peer(&self, daemon: Daemon, peering: &Peering) -> Peer {
        Peer::start(&self.lab, self.folder.path(), &node(peering.link), daemon, peering)
    }

    /// A neighbour as the API shows it.
    pub(crate) fn neighbor(&self, name: &str) -> Value {
        let list = self.gateway.api("bgp");
        let found = list["items"].as_array().unwrap().iter().find(|one| one["name"] == name);
        found.unwrap_or_else(|| panic!("no neighbour {name}: {list}")).clone()
    }

    /// Waits until a session is up.
    pub(crate) fn await_up(&self, name: &str) {
        self.await_that(&format!("{name} is up"), || self.neighbor(name)["state"] == "established");
    }

    /// How many sessions there were with a neighbour. Both ends call: any that was up for a moment only may have been one half of a
    /// collision, so this may have grown without an end ([`Edge::ends`]).
    pub(crate) fn sessions(&self, name: &str) -> u64 {
        self.neighbor(name)["sessions"].as_u64().unwrap()
    }

    /// How often a session with a neighbour ended, other than as one half of a collision.
    pub(crate) fn ends(&self, name: &str) -> usize {
        let neighbor = format!("blue/{name}");
        self.gateway.bgp_ends().iter().filter(|line| line["neighbor"] == neighbor.as_str()).count()
    }

    /// How many sessions there were with a neighbour, and how many of them ended, for [`Edge::await_again`].
    pub(crate) fn past(&self, name: &str) -> (u64, usize) {
        (self.sessions(name), self.ends(name))
    }

    /// Waits until the session of then has ended and another one is up.
    pub(crate) fn await_again(&self, what: &str, name: &str, (sessions, ends): (u64, usize)) {
        self.await_that(what, || {
            let now = self.neighbor(name);
            self.ends(name) > ends
                && now["state"] == "established"
                && now["sessions"].as_u64() > Some(sessions)
        });
    }

    /// Waits until `done`; what everybody says stands in the message otherwise.
    pub(crate) fn await_that(&self, what: &str, done: impl Fn() -> bool) {
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(what, PATIENCE, || done().then_some(()));
        }));
        assert!(seen.is_ok(), "{what}\n{:#}\n{}", self.gateway.api("bgp"), self.gateway.log());
    }

    /// Whether the gateway forwards to `prefix` as it learnt by BGP.
    pub(crate) fn uses(&self, prefix: &str) -> bool {
        let list = self.gateway.api("routes");
        let mut all = list["items"].as_array().unwrap().iter();
        all.any(|route| route["prefix"] == prefix && route["origin"] == "bgp")
    }

    /// Ends the gateway in order.
    pub(crate) fn end(mut self) {
        self.gateway.end();
    }
}

/// Another gateway at the far end, with BFD at 100 ms: it announces 203.0.113.0/24.
pub(crate) const FAR: &str = "[[interconnect]]\nname = \"x\"\n[[port]]\nname = \"p1\"\ndevice = \"eth0\"\n\
    [[channel]]\nname = \"ch1\"\ninterconnect = \"x\"\nport = \"p1\"\n[channel.macsec]\npolicy = \"off\"\n\
    [[connection]]\nname = \"blue\"\ninterconnect = \"x\"\n\
    [[connection.attachment]]\nchannel = \"ch1\"\naddress = [\"10.255.0.2/30\"]\npeer = [\"10.255.0.1\"]\n\
    [connection.attachment.bfd]\nmin_tx = \"100ms\"\n\
    [connection.bgp]\nasn = 65002\nannounce = [\"203.0.113.0/24\"]\n\
    [[connection.neighbor]]\non = \"ch1\"\nname = \"r1\"\nasn = 65001\nconnect_retry = \"1s\"\n\
    import = \"accept\"\nexport = \"accept\"\n";

/// The node at the far end of a link.
fn node(link: u8) -> String {
    if link == 0 { "peer".to_owned() } else { format!("peer{}", link + 1) }
}

fn topology(setting: Setting<'_>) -> Topology {
    let host = Node::new("host")
        .route("0.0.0.0/0".parse().unwrap(), ["10.1.0.1".parse().unwrap()])
        .route("::/0".parse().unwrap(), ["fd00:1::1".parse().unwrap()]);
    let host_end = End::new("host", "eth0")
        .address("10.1.0.2/24".parse().unwrap())
        .address("fd00:1::2/64".parse().unwrap());
    let mac = |last| MacAddr([2, 0, 0, 0, 0x0e, last]);
    let topology = Topology::new()
        .node(host)
        .node(Node::new("gw"))
        .link(host_end, End::new("gw", "lan1").mac(mac(0)).quiet());
    (0..setting.links).fold(topology, |topology, link| {
        let mut end = End::new(node(link), "eth0");
        if setting.vlan.is_none() {
            end =
                addresses(link, setting).into_iter().fold(end, |end, one| end.address(one.parse().unwrap()));
        }
        let ours = End::new("gw", format!("ch{}", link + 1)).mac(mac(link + 1)).quiet();
        topology.node(Node::new(node(link))).link(end, ours)
    })
}

/// The far end's addresses.
fn addresses(link: u8, setting: Setting<'_>) -> [String; 2] {
    [format!("10.255.{link}.2/{}", setting.length), format!("2001:db8:fff{}::2/64", six(link))]
}

/// The last digit of a link's IPv6 network.
pub(crate) fn six(link: u8) -> char {
    if link == 0 { 'f' } else { 'e' }
}

/// Puts the far end's addresses into a VLAN.
fn onto_vlan(lab: &Lab, folder: &Folder, link: u8, vlan: u16, setting: Setting<'_>) -> Result<(), String> {
    let node = node(link);
    let device = super::vlan::tag(lab, folder, &node, "eth0", vlan)?;
    let [four, six] = addresses(link, setting);
    must(lab, &node, &format!("ip address add {four} dev {device}; ip address add {six} dev {device} nodad"));
    Ok(())
}

fn configuration(setting: Setting<'_>) -> String {
    // What begins with a section of its own has no BGP.
    let bgp_head = match setting.bgp.starts_with("[connection.quality]") {
        true => "",
        false => "[connection.bgp]\nasn = 65001\nrouter_id = \"192.0.2.1\"\n",
    };
    let Setting { profile, attachment, bgp, vlan, links, length } = setting;
    let vlan = vlan.map_or_else(String::new, |vlan| format!("vlan = {vlan}\n"));
    let channel = |link: u8| {
        let at = link + 1;
        format!(
            "[[port]]\nname = \"p{at}\"\ndevice = \"ch{at}\"\n[[channel]]\nname = \"ch{at}\"\ninterconnect = \"x\"\n\
             port = \"p{at}\"\n[channel.macsec]\npolicy = \"off\"\n"
        )
    };
    let attach = |link: u8| {
        let (at, six) = (link + 1, six(link));
        format!(
            "[[connection.attachment]]\nchannel = \"ch{at}\"\n{vlan}\
             address = [\"10.255.{link}.1/{length}\", \"2001:db8:fff{six}::1/64\"]\n\
             peer = [\"10.255.{link}.2\", \"2001:db8:fff{six}::2\"]\n{attachment}"
        )
    };
    format!(
        "[[interconnect]]\nname = \"x\"\nprofile = \"{profile}\"\n[[port]]\nname = \"lan\"\ndevice = \"lan1\"\n{}\
         [[connection]]\nname = \"blue\"\ninterconnect = \"x\"\n{}\
         [[connection.lan]]\nport = \"lan\"\naddress = [\"10.1.0.1/24\", \"fd00:1::1/64\"]\n\
         {bgp_head}{bgp}",
        (0..links).map(channel).collect::<String>(),
        (0..links).map(attach).collect::<String>()
    )
}
