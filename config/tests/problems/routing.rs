//! Connections, addresses, routes, MTUs, profiles.

use config::Code;

use crate::Case;

const MACSEC_2: &str = "cipher = \"gcm-aes-256\"";
const LAN: &str = "[[connection.lan]]\n";
const INTERCONNECT: &str = "[[interconnect]]\n";

pub(crate) const CONNECTIONS: &[Case] = &[
    (
        Code::NoAttachment,
        &[("[[connection]]", "‸[[connection]]\nname = \"red\"\ninterconnect = \"to-b\"\n[[connection]]")],
        "`red` has no attachment",
    ),
    (
        Code::ForeignChannel,
        &[
            (INTERCONNECT, "[[interconnect]]\nname = \"to-c\"\n[[interconnect]]\n"),
            ("name = \"ch2\"\ninterconnect = \"to-b\"", "name = \"ch2\"\ninterconnect = \"to-c\""),
            ("channel = \"ch2\"", "channel = ‸\"ch2\""),
        ],
        "belongs to interconnect `to-c`",
    ),
    (Code::AttachmentOverlap, &[("channel = \"ch2\"", "channel = ‸\"ch1\"")], "on channel `ch1` already"),
    (
        Code::AttachmentOverlap,
        &[
            (
                "[[connection]]",
                "[[connection]]\nname = \"red\"\ninterconnect = \"to-b\"\n[[connection.attachment]]\nchannel = \"ch1\"\nvlan = 100\naddress = [\"10.9.0.1/24\"]\n[[connection]]",
            ),
            ("vlan = 100\naddress = [\"169", "vlan = ‸100\naddress = [\"169"),
        ],
        "have VLAN 100",
    ),
    (
        Code::AttachmentOverlap,
        &[
            (
                "[[connection]]",
                "[[connection]]\nname = \"red\"\ninterconnect = \"to-b\"\n[[connection.attachment]]\nchannel = \"ch2\"\naddress = [\"10.9.0.1/24\"]\n[[connection]]",
            ),
            ("ch2\"\naddress = [\"169", "ch2\"\naddress = [\"169"),
            (
                "mtu = 1500\n[[connection.attachment]]\nchannel = ",
                "mtu = 1500\n[[connection.attachment]]\nchannel = ‸",
            ),
        ],
        "are untagged",
    ),
    (
        Code::LanOverlap,
        &[
            (
                LAN,
                "[[connection.lan]]\nport = \"lan1\"\nvlan = 20\naddress = [\"10.8.0.1/24\"]\n[[connection.lan]]\n",
            ),
            ("vlan = 20\naddress = [\"10.1", "vlan = ‸20\naddress = [\"10.1"),
        ],
        "two LANs on port `lan1` have VLAN 20",
    ),
    (
        Code::LanOverlap,
        &[
            (
                "[[connection]]",
                "[[connection]]\nname = \"red\"\ninterconnect = \"to-b\"\nmode = \"transparent\"\n[[connection.attachment]]\nchannel = \"ch1\"\nvlan = 5\n[[connection.lan]]\nport = \"lan1\"\n[[connection]]",
            ),
            ("vlan = 20", "vlan = ‸20"),
        ],
        "an untagged wire takes every frame",
    ),
    (
        Code::Transparent,
        &[
            ("name = \"blue\"", "name = \"blue\"\nmode = \"transparent\""),
            ("address = [\"169.254.11.1/30\"]", "address = ‸[\"169.254.11.1/30\"]"),
        ],
        "no use for addresses",
    ),
    (
        Code::Transparent,
        &[
            ("name = \"blue\"", "name = \"blue\"\nmode = \"transparent\""),
            ("[[connection.route]]\nprefix = \"10.2", "‸[[connection.route]]\nprefix = \"10.2"),
        ],
        "no use for routes",
    ),
    (
        Code::Transparent,
        &[(
            "[[connection]]",
            "‸[[connection]]\nname = \"red\"\ninterconnect = \"to-b\"\nmode = \"transparent\"\n[[connection.attachment]]\nchannel = \"ch1\"\nvlan = 5\n[[connection]]",
        )],
        "exactly one [[connection.lan]]",
    ),
    (
        Code::NoAddress,
        &[(
            "[[connection.attachment]]\nchannel = \"ch2\"\naddress = [\"169.254.11.1/30\"]\npeer = [\"169.254.11.2\"]",
            "‸[[connection.attachment]]\nchannel = \"ch2\"",
        )],
        "needs our address",
    ),
    (
        Code::NoAddress,
        &[(
            "[[connection.lan]]\nport = \"lan1\"\nvlan = 20\naddress = [\"10.1.0.1/24\", \"fd00:1::1/64\"]",
            "‸[[connection.lan]]\nport = \"lan1\"",
        )],
        "needs our address",
    ),
];

pub(crate) const ROUTING: &[Case] = &[
    (
        Code::AddressOverlap,
        &[("\"169.254.11.1/30\"", "‸\"169.254.10.1/29\"")],
        "169.254.10.0/29 overlaps with 169.254.10.0/30",
    ),
    (Code::AddressOverlap, &[("\"fd00:1::1/64\"", "‸\"fd00:10::7/64\"")], "overlaps"),
    (Code::NotAHost, &[("\"10.1.0.1/24\"", "‸\"10.1.0.0/24\"")], "address of the network itself"),
    (Code::NotAHost, &[("\"10.1.0.1/24\"", "‸\"10.1.0.255/24\"")], "broadcast address"),
    (Code::NotAHost, &[("\"fd00:1::1/64\"", "‸\"fd00:1::/64\"")], "anycast"),
    (Code::NotAHost, &[("\"fd00:1::1/64\"", "‸\"ff02::1/64\"")], "multicast"),
    (Code::NotAHost, &[("\"10.1.0.1/24\"", "‸\"127.0.0.1/24\"")], "loopback"),
    (Code::NotAHost, &[("\"169.254.11.2\"", "‸\"169.254.11.3\"")], "broadcast address"),
    (Code::PeerOffLink, &[("\"169.254.11.2\"", "‸\"169.254.11.9\"")], "subnets are 169.254.11.0/30"),
    (Code::PeerOffLink, &[("[\"169.254.11.2\"]", "[\"169.254.11.2\", ‸\"fd00:11::2\"]")], "in no subnet"),
    (Code::PeerIsSelf, &[("\"169.254.11.2\"", "‸\"169.254.11.1\"")], "our own address"),
    (Code::PeerAmbiguous, &[("\"fd00:10::2\"]", "\"fd00:10::2\", ‸\"fd00:10::3\"]")], "a second IPv6 peer"),
    (Code::HostBits, &[("\"10.2.0.0/24\"", "‸\"10.2.0.1/24\"")], "write 10.2.0.0/24"),
    (Code::NextHop, &[("\"10.1.0.254\"", "‸\"10.9.0.254\"")], "in no subnet"),
    (Code::NextHop, &[("\"10.1.0.254\"", "‸\"10.1.0.1\"")], "our own address"),
    (Code::NextHop, &[("\"10.1.0.254\"", "‸\"10.1.0.255\"")], "broadcast"),
    (Code::NextHop, &[("\"10.1.0.254\"", "‸\"fd00:1::9\"")], "cannot have an IPv6 next hop"),
    (
        Code::NextHop,
        &[("prefix = \"10.3.0.0/24\"\nvia = \"10.1.0.254\"", "prefix = \"fd00:3::/64\"\nvia = ‸\"fe80::1\"")],
        "any interface",
    ),
    (
        Code::NoPeer,
        &[(
            "prefix = \"10.3.0.0/24\"\nvia = \"10.1.0.254\"",
            "prefix = \"fd00:3::/64\"\nvia = [\"ch1\", ‸\"ch2\"]",
        )],
        "no IPv6 peer",
    ),
    (
        Code::NoPeer,
        &[
            ("peer = [\"169.254.10.2\", \"fd00:10::2\"]\n", ""),
            ("peer = [\"169.254.11.2\"]\n", ""),
            ("\"attachments\"", "‸\"attachments\""),
        ],
        "no attachment has an IPv4 peer",
    ),
    (Code::DuplicateRoute, &[("\"10.3.0.0/24\"", "‸\"10.2.0.0/24\"")], "a second route to 10.2.0.0/24"),
    (Code::Ipv6Mtu, &[("mtu = 1500", "mtu = ‸1200")], "1280"),
    (Code::Ipv6Mtu, &[("vlan = 20", "vlan = 20\nmtu = ‸1279")], "1280"),
    (Code::Ipv6Mtu, &[("mtu = 1536", "mtu = ‸1300"), ("mtu = 1500\n", "")], "MTU of 1264"),
    (
        Code::MtuChain,
        &[("mtu = 1500", "mtu = ‸1501")],
        "1501 (IP) + 4 (VLAN tag) + 32 (SecTAG and ICV) = 1537 octets, but channel `ch1` carries 1536",
    ),
    (
        Code::MtuChain,
        &[("mtu = 1500", "mtu = ‸1500"), ("name = \"blue\"", "name = \"blue\"\nprotection = \"duplicate\"")],
        "1500 (IP) + 6 (redundancy tag) + 4 (VLAN tag) + 32 (SecTAG and ICV) = 1542 octets",
    ),
    (
        Code::ProfileRefuses,
        &[("profile = \"quadspan\"", "profile = \"aws-dx\""), ("mtu = 1500", "mtu = ‸1400")],
        "use 1500, 8500, 9001",
    ),
    (
        Code::ProfileRefuses,
        &[("profile = \"quadspan\"", "profile = \"aws-interconnect\""), ("vlan = 100", "vlan = ‸100")],
        "from 1025 to 4094",
    ),
    (
        Code::ProfileRefuses,
        &[("profile = \"quadspan\"", "profile = \"gcp-cci\""), ("clear_tags = []", "clear_tags = ‸[5]")],
        "tags in clear",
    ),
    (
        Code::ProfileRefuses,
        &[
            ("profile = \"quadspan\"", "profile = \"gcp-cci\""),
            ("include_sci = true", "include_sci = ‸false"),
        ],
        "without an SCI",
    ),
    (
        Code::ProfileRefuses,
        &[("profile = \"quadspan\"", "profile = \"aws-dx\""), (MACSEC_2, "cipher = ‸\"gcm-aes-128\"")],
        "use gcm-aes-xpn-256 or gcm-aes-256",
    ),
    (
        Code::ProfileRefuses,
        &[
            ("profile = \"quadspan\"", "profile = \"azure-er-direct\""),
            ("[[connection.attachment]]\nchannel = \"ch2\"", "‸[[connection.attachment]]\nchannel = \"ch2\""),
        ],
        "untagged",
    ),
    (
        Code::ProfileWarns,
        &[
            ("profile = \"quadspan\"", "profile = \"azure-er-direct\""),
            ("channel = \"ch2\"", "channel = \"ch2\"\nvlan = 7"),
            ("[[channel.macsec.static.tx]]", "[[channel.macsec.‸static.tx]]"),
        ],
        "by MKA",
    ),
];
