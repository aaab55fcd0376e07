//! What a lab consists of: nodes with their routes, links with an end at each of two nodes.
//!
//! Plain values. [`Topology::check`] finds what cannot be built before anything is; [`Topology::two_sites`] is the shape
//! that the demo and most tests use.

use std::collections::BTreeSet;
use std::net::IpAddr;

use net::{IpNet, MacAddr};

use super::error::LabError;

/// Everything that a lab is built of.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    /// The nodes, each a network namespace.
    pub nodes: Vec<Node>,
    /// The links between them, each a veth pair.
    pub links: Vec<Link>,
}

/// A node: one network stack.
#[derive(Clone, Debug)]
pub struct Node {
    /// Unique in the lab: `gw-a`.
    pub name: String,
    /// Whether the node's own kernel forwards packets: a plain router. Gateways under test leave this off.
    pub forwarding: bool,
    /// Routes of the node's kernel.
    pub routes: Vec<Route>,
    /// Kernel settings below `/proc/sys`, slashes between the parts, written before any interface exists.
    pub settings: Vec<(String, String)>,
}

/// A route of a node's kernel.
#[derive(Clone, Debug)]
pub struct Route {
    /// Where to.
    pub prefix: IpNet,
    /// The neighbours to go through; several share the flows (by addresses and ports).
    pub via: Vec<IpAddr>,
}

/// A veth pair.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its two ends.
    pub ends: [End; 2],
}

/// One end of a link: an interface of a node.
#[derive(Clone, Debug)]
pub struct End {
    /// The node it is in.
    pub node: String,
    /// The interface's name there, at most 15 octets.
    pub device: String,
    /// Its hardware address; the kernel chooses one otherwise.
    pub mac: Option<MacAddr>,
    /// Octets of payload in a frame, without the Ethernet header.
    pub mtu: u32,
    /// Addresses of the node's kernel on it.
    pub addresses: Vec<IpNet>,
    /// Keep the node's kernel silent on it: no IPv6 of its own, so no frame but those of whoever opens it raw.
    pub quiet: bool,
}

impl Node {
    /// A node that forwards nothing, without routes.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), forwarding: false, routes: Vec::new(), settings: Vec::new() }
    }

    /// The node's kernel forwards packets, and shares flows by addresses and ports where it has a choice.
    #[must_use]
    pub fn forwarding(mut self) -> Self {
        self.forwarding = true;
        self
    }

    /// Adds a route through one or more neighbours.
    #[must_use]
    pub fn route(mut self, prefix: IpNet, via: impl Into<Vec<IpAddr>>) -> Self {
        self.routes.push(Route { prefix, via: via.into() });
        self
    }

    /// Adds a kernel setting, such as `net/ipv4/tcp_congestion_control`.
    #[must_use]
    pub fn setting(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }
}

impl End {
    /// Interface `device` of `node`: MTU 1500, no address, the kernel's choice of hardware address.
    pub fn new(node: impl Into<String>, device: impl Into<String>) -> Self {
        Self {
            node: node.into(),
            device: device.into(),
            mac: None,
            mtu: 1500,
            addresses: Vec::new(),
            quiet: false,
        }
    }

    /// Gives it this hardware address.
    #[must_use]
    pub fn mac(mut self, mac: MacAddr) -> Self {
        self.mac = Some(mac);
        self
    }

    /// Gives it this MTU, in octets.
    #[must_use]
    pub fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = mtu;
        self
    }

    /// Adds an address, host bits included: `10.1.0.2/24`.
    #[must_use]
    pub fn address(mut self, address: IpNet) -> Self {
        self.addresses.push(address);
        self
    }

    /// Keeps the kernel silent on it.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }
}

impl Topology {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node.
    #[must_use]
    pub fn node(mut self, node: Node) -> Self {
        self.nodes.push(node);
        self
    }

    /// Adds a link between two ends.
    #[must_use]
    pub fn link(mut self, one: End, other: End) -> Self {
        self.links.push(Link { ends: [one, other] });
        self
    }

    /// Two sites: `h-a` – `gw-a` = `channels` links = `gw-b` – `h-b`.
    ///
    /// The hosts have `10.1.0.2/24`, `fd00:1::2/64` and `10.2.0.2/24`, `fd00:2::2/64` on `eth0`, and the `.1` as their
    /// way out. The gateways have `lan1` and `ch1`... without addresses, and their kernels keep silent: they belong to
    /// the gateways under test. Gateway A's hardware addresses start with `02:00:00:00:0a`, B's with `02:00:00:00:0b`;
    /// the last octet is 0 for the LAN and the number of the channel otherwise.
    #[must_use]
    pub fn two_sites(channels: u8, channel_mtu: u32) -> Self {
        let mut topology = Self::new();
        for (site, number) in [("a", 1), ("b", 2)] {
            let far = 3 - number;
            let host = Node::new(format!("h-{site}"))
                .route(subnet4([10, far, 0, 0], 24), [IpAddr::from([10, number, 0, 1])])
                .route(subnet6(far, 0, 64), [lan6(number, 1)]);
            let host_end = End::new(format!("h-{site}"), "eth0")
                .address(subnet4([10, number, 0, 2], 24))
                .address(IpNet::new_assert(lan6(number, 2), 64));
            let gateway = format!("gw-{site}");
            let lan = End::new(&gateway, "lan1").mac(Self::gateway_mac(number, 0)).quiet();
            topology = topology.node(host).node(Node::new(&gateway)).link(host_end, lan);
        }
        for channel in 1..=channels {
            let [a, b] = Self::channel_ends(channel, channel_mtu);
            topology = topology.link(a, b);
        }
        topology
    }

    /// [`Topology::two_sites`] with a node [`Topology::WIRE`] in the middle of every channel: `ch1` of gateway A leads to
    /// `ch1-a` there, `ch1` of gateway B to `ch1-b`. Somebody has to carry frames between the two
    /// ([`super::wire::Wire`]).
    #[must_use]
    pub fn two_wired_sites(channels: u8, channel_mtu: u32) -> Self {
        let all: Vec<u8> = (1..=channels).collect();
        Self::two_sites_wired_at(channels, channel_mtu, &all)
    }

    /// [`Topology::two_wired_sites`], but only the channels in `wired` go through the middle; the others are cables.
    #[must_use]
    pub fn two_sites_wired_at(channels: u8, channel_mtu: u32, wired: &[u8]) -> Self {
        let mut topology = Self::two_sites(0, channel_mtu).node(Node::new(Self::WIRE));
        for channel in 1..=channels {
            let [a, b] = Self::channel_ends(channel, channel_mtu);
            if !wired.contains(&channel) {
                topology = topology.link(a, b);
                continue;
            }
            for (gateway, letter) in [(a, 'a'), (b, 'b')] {
                let end = End::new(Self::WIRE, format!("ch{channel}-{letter}")).mtu(channel_mtu).quiet();
                topology = topology.link(gateway, end);
            }
        }
        topology
    }

    /// The node in the middle of [`Topology::two_wired_sites`].
    pub const WIRE: &str = "wire";

    /// What a channel has at gateway A and at gateway B.
    fn channel_ends(channel: u8, mtu: u32) -> [End; 2] {
        [("gw-a", 1), ("gw-b", 2)].map(|(node, number)| {
            let mac = Self::gateway_mac(number, channel);
            End::new(node, format!("ch{channel}")).mac(mac).mtu(mtu).quiet()
        })
    }

    /// The hardware address of [`Topology::two_sites`] for site 1 (A) or 2 (B): 0 is the LAN, others are channels.
    #[must_use]
    pub const fn gateway_mac(site: u8, channel: u8) -> MacAddr {
        MacAddr([0x02, 0, 0, 0, 9 + site, channel])
    }

    /// Says what cannot be built: a name used twice, an end at a node that is not there, a name that is none.
    ///
    /// # Errors
    /// [`LabError::Topology`] with the first such thing.
    pub fn check(&self) -> Result<(), LabError> {
        let fail = |text: String| Err(LabError::Topology(text));
        let mut names = BTreeSet::new();
        for node in &self.nodes {
            if !names.insert(node.name.as_str()) {
                return fail(format!("two nodes are called {}", node.name));
            }
        }
        let mut devices = BTreeSet::from_iter(names.iter().map(|&name| (name, "lo")));
        for end in self.links.iter().flat_map(|l| &l.ends) {
            if !names.contains(end.node.as_str()) {
                return fail(format!("interface {} is at node {}, which is not there", end.device, end.node));
            }
            if !sys::interface::is_name(&end.device) {
                return fail(format!("{:?} cannot be the name of an interface", end.device));
            }
            if !devices.insert((&end.node, &end.device)) {
                return fail(format!("node {} has two interfaces called {}", end.node, end.device));
            }
        }
        Ok(())
    }
}

fn subnet4(octets: [u8; 4], length: u8) -> IpNet {
    IpNet::new_assert(IpAddr::from(octets), length)
}

/// Address `host` in `fd00:<site>::/64`.
fn lan6(site: u8, host: u16) -> IpAddr {
    IpAddr::from([0xfd00, u16::from(site), 0, 0, 0, 0, 0, host])
}

fn subnet6(site: u8, host: u16, length: u8) -> IpNet {
    IpNet::new_assert(lan6(site, host), length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sites_can_be_built_and_have_every_link() {
        let topology = Topology::two_sites(4, 1600);
        topology.check().unwrap();
        assert_eq!((topology.nodes.len(), topology.links.len()), (4, 6));
        let last = &topology.links[5].ends[1];
        assert_eq!((last.node.as_str(), last.device.as_str(), last.mtu), ("gw-b", "ch4", 1600));
        assert_eq!(last.mac, Some("02:00:00:00:0b:04".parse().unwrap()));
        let host = &topology.links[0].ends[0];
        assert_eq!(host.addresses, ["10.1.0.2/24".parse().unwrap(), "fd00:1::2/64".parse().unwrap()]);
        assert_eq!(topology.nodes[0].routes[1].prefix, "fd00:2::/64".parse().unwrap());
    }

    #[test]
    fn wired_sites_have_a_node_in_the_middle_of_each_channel() {
        let topology = Topology::two_wired_sites(2, 1600);
        topology.check().unwrap();
        assert_eq!((topology.nodes.len(), topology.links.len()), (5, 6));
        let ends = topology.links[5].ends.clone().map(|end| format!("{}/{}", end.node, end.device));
        assert_eq!(ends, ["gw-b/ch2", "wire/ch2-b"]);
        let mixed = Topology::two_sites_wired_at(2, 1600, &[2]);
        mixed.check().unwrap();
        assert_eq!(mixed.links.len(), 5);
        assert_eq!(mixed.links[2].ends.clone().map(|end| end.node), ["gw-a", "gw-b"]);
    }

    #[test]
    fn what_cannot_be_built_is_named() {
        let two = || Topology::new().node(Node::new("a")).node(Node::new("b"));
        for (topology, part) in [
            (two().node(Node::new("a")), "two nodes are called a"),
            (two().link(End::new("a", "x"), End::new("c", "x")), "node c, which is not there"),
            (two().link(End::new("a", "x"), End::new("a", "x")), "two interfaces called x"),
            (two().link(End::new("a", "lo"), End::new("b", "x")), "two interfaces called lo"),
            (two().link(End::new("a", "sixteen-chars-xx"), End::new("b", "x")), "cannot be the name"),
        ] {
            let error = topology.check().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
