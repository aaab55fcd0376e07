//! One gateway with a LAN host, and a BGP speaker of somebody else's at the far end of a channel:
//! `host` – `gw` – `peer`. MACsec is off: what is tested is BGP over an attachment.

use std::time::Duration;

use gateway::lab::{End, Lab, Node, Topology, missing_privilege};
use net::MacAddr;
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;

use super::gateway::{Folder, Gateway};
use super::peers::{Daemon, PROGRAMS, Peer, Peering};
use super::shell::{missing, must, until};
use super::skipped;

static TURN: Mutex<()> = Mutex::new(());
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

impl Edge {
    /// Builds the lab and starts the gateway with these neighbours; `None` when this machine cannot, which is then said
    /// loudly. The password `md5` is `correct-horse`.
    pub(crate) fn start(test: &str, neighbors: &str) -> Option<Self> {
        Self::start_announcing(test, "[\"lans\"]", neighbors)
    }

    /// As [`Edge::start`], announcing this.
    pub(crate) fn start_announcing(test: &str, announce: &str, neighbors: &str) -> Option<Self> {
        Self::start_with(test, "", "", &format!("announce = {announce}\n{neighbors}"))
    }

    /// The whole of it: words for the interconnect, for the attachment, and from `[connection.bgp]` on.
    pub(crate) fn start_with(test: &str, interconnect: &str, attachment: &str, bgp: &str) -> Option<Self> {
        let lacking = missing(&[&PROGRAMS[..], &["ip", "ping", "timeout"]].concat());
        if !lacking.is_empty() {
            skipped(test, &format!("these programs are missing: {}", lacking.join(", ")));
            return None;
        }
        if let Some(missing) = missing_privilege() {
            skipped(test, &missing.to_string());
            return None;
        }
        let turn = TURN.lock();
        let (folder, lab) = (Folder::new(), Lab::build(&topology()).unwrap());
        must(&lab, "peer", "ip address add 203.0.113.1/32 dev lo; ip address add 2001:db8:b::1/128 dev lo");
        folder.key("md5", "correct-horse\n");
        let text = configuration(interconnect, attachment, bgp);
        let mut gateway = Gateway::new(&folder, "gw", "edge", 1, &text);
        gateway.start(&lab);
        Some(Self { gateway, lab, folder, _turn: turn })
    }

    /// Starts a speaker at the far end.
    pub(crate) fn peer(&self, daemon: Daemon, peering: &Peering) -> Peer {
        Peer::start(&self.lab, self.folder.path(), "peer", daemon, peering)
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

fn topology() -> Topology {
    let host = Node::new("host")
        .route("0.0.0.0/0".parse().unwrap(), ["10.1.0.1".parse().unwrap()])
        .route("::/0".parse().unwrap(), ["fd00:1::1".parse().unwrap()]);
    let host_end = End::new("host", "eth0")
        .address("10.1.0.2/24".parse().unwrap())
        .address("fd00:1::2/64".parse().unwrap());
    let peer_end = End::new("peer", "eth0")
        .address("10.255.0.2/30".parse().unwrap())
        .address("2001:db8:ffff::2/64".parse().unwrap());
    let mac = |last| MacAddr([2, 0, 0, 0, 0x0e, last]);
    Topology::new()
        .node(host)
        .node(Node::new("gw"))
        .node(Node::new("peer"))
        .link(host_end, End::new("gw", "lan1").mac(mac(0)).quiet())
        .link(peer_end, End::new("gw", "ch1").mac(mac(1)).quiet())
}

fn configuration(interconnect: &str, attachment: &str, bgp: &str) -> String {
    format!(
        "[[port]]\nname = \"lan\"\ndevice = \"lan1\"\n[[port]]\nname = \"p1\"\ndevice = \"ch1\"\n\
         [[interconnect]]\nname = \"x\"\n{interconnect}\
         [[channel]]\nname = \"ch1\"\ninterconnect = \"x\"\nport = \"p1\"\n[channel.macsec]\npolicy = \"off\"\n\
         [[connection]]\nname = \"blue\"\ninterconnect = \"x\"\n\
         [[connection.attachment]]\nchannel = \"ch1\"\naddress = [\"10.255.0.1/30\", \"2001:db8:ffff::1/64\"]\n\
         peer = [\"10.255.0.2\", \"2001:db8:ffff::2\"]\n{attachment}\
         [[connection.lan]]\nport = \"lan\"\naddress = [\"10.1.0.1/24\", \"fd00:1::1/64\"]\n\
         [connection.bgp]\nasn = 65001\nrouter_id = \"192.0.2.1\"\n{bgp}"
    )
}
