//! The shape of the text; names and ports.

use config::Code;

use crate::Case;

const MACSEC_2: &str = "cipher = \"gcm-aes-256\"";
const INTERCONNECT: &str = "[[interconnect]]\n";
const PORT: &str = "[[port]]\n";

pub(crate) const SHAPE: &[Case] = &[
    (Code::Syntax, &[("name = \"here\"", "name = ‸here")], "TOML"),
    (Code::Syntax, &[("name = \"here\"", "name = \"here\"\n‸name = \"there\"")], "stand only once"),
    (
        Code::UnknownKey,
        &[("device = \"eth1\"", "device = \"eth1\"\n‸queues = 4")],
        "its keys are name, device",
    ),
    (Code::UnknownKey, &[("io = \"af_packet\"", "‸ringkib = 512")], "`ring_kib`"),
    (Code::UnknownKey, &[("[runtime]", "[‸runtimes]")], "did you mean `runtime`"),
    (Code::UnknownKey, &[("{ file = \"ch1-in\" }", "{ ‸flie = \"ch1-in\" }")], "did you mean `file`"),
    (Code::WrongType, &[("workers = 2", "workers = ‸\"2\"")], "a number is needed here, not a string"),
    (Code::WrongType, &[("include_sci = true", "include_sci = ‸1")], "true or false"),
    (Code::WrongType, &[("peer = [\"169.254.11.2\"]", "peer = ‸\"169.254.11.2\"")], "brackets"),
    (Code::WrongType, &[("[[interconnect]]", "‸[interconnect]")], "two brackets"),
    (Code::WrongType, &[("name = \"here\"", "name = ‸7")], "text in quotes"),
    (Code::MissingKey, &[("[[port]]\nname = \"lan1\"", "‸[[port]]")], "`name` is missing in [[port]]"),
    (Code::MissingKey, &[("schema = 1\n", "‸")], "add schema = 1"),
    (
        Code::MissingKey,
        &[("prefix = \"10.3.0.0/24\"\n", ""), ("via = \"attachments\"\n[[", "via = \"attachments\"\n‸[[")],
        "`prefix`",
    ),
    (Code::UnknownWord, &[("\"gcm-aes-256\"", "‸\"gcm-aes-xpn-265\"")], "did you mean `gcm-aes-xpn-256`"),
    (Code::UnknownWord, &[("\"attachments\"", "‸\"everywhere\"")], "the address of a neighbour"),
    (Code::UnknownWord, &[("profile = \"quadspan\"", "profile = ‸\"ibm\"")], "azure-er-direct"),
    (Code::Malformed, &[("\"02000000bb02:0001", "‸\"02000000bb02")], "is not an SCI"),
    (Code::Malformed, &[("\"10.1.0.1/24\"", "‸\"10.1.0.1\"")], "has no prefix length"),
    (Code::Malformed, &[("\"169.254.11.2\"", "‸\"169.254.11.2/30\"")], "only the address belongs here"),
    (Code::Malformed, &[("device = \"eth1\"", "device = ‸\"a-very-long-interface\"")], "1 to 15 octets"),
    (Code::Malformed, &[("name = \"ch1\"", "name = ‸\"ch 1\"")], "is not a name"),
    (Code::Malformed, &[("salt = \"00", "salt = ‸\"")], "22 hexadecimal digits, not 24"),
    (Code::Malformed, &[("{ file = \"ch2-in\" }", "‸{ file = \"a\", env = \"B\" }")], "exactly one place"),
    (Code::Malformed, &[("{ file = \"ch2-in\" }", "‸{}")], "exactly one place"),
    (Code::Malformed, &[("mtu = 1536", "clear_tag_type = ‸\"802.1ad\"")], "without `clear_tags`"),
    (Code::Malformed, &[("via = \"attachments\"", "via = ‸[]")], "empty"),
    (Code::Malformed, &[("mtu = 1536", "peer_mac = ‸\"01:80:c2:00:00:03\"")], "group address"),
    (Code::OutOfRange, &[("workers = 2", "workers = ‸65")], "from 1 to 64"),
    (Code::OutOfRange, &[("vlan = 20", "vlan = ‸4095")], "from 1 to 4094"),
    (Code::OutOfRange, &[("replay_window = 0", "replay_window = ‸99999999999999999999")], "from 0"),
    (Code::OutOfRange, &[("clear_tags = []", "clear_tags = [1, 2, ‸3]")], "more than two"),
    (Code::OutOfRange, &[(MACSEC_2, "cipher = \"gcm-aes-256\"\nconfidentiality_offset = ‸40")], "0, 30"),
    (Code::NotYet, &[("io = \"af_packet\"", "io = ‸\"af_xdp\"")], "use \"af_packet\""),
    (
        Code::Malformed,
        &[("name = \"blue\"", "name = \"blue\"\nquality = { loss = ‸\"2\" }")],
        "is not a share",
    ),
    (
        Code::OutOfRange,
        &[("name = \"blue\"", "name = \"blue\"\nquality = { leave_after = ‸65 }")],
        "from 1 to 64",
    ),
    (Code::OutOfRange, &[("name = \"blue\"", "name = \"blue\"\nquality = { interval = ‸\"9ms\" }")], "10ms"),
    (Code::UnknownWord, &[("name = \"blue\"", "name = \"blue\"\nquality = { action = ‸\"flee\" }")], "leave"),
    (
        Code::QualityPeer,
        &[
            ("name = \"blue\"", "name = \"blue\"\nquality = {}"),
            ("peer = [\"169.254.11.2\"]\n", ""),
            ("[[connection.attachment]]\nchannel = \"ch2\"", "‸[[connection.attachment]]\nchannel = \"ch2\""),
        ],
        "without a `peer`",
    ),
    (
        Code::Malformed,
        &[("name = \"blue\"", "name = \"blue\"\nduplicate = ‸{ history = 64 }")],
        "without protection = \"duplicate\"",
    ),
    (
        Code::Malformed,
        &[("name = \"blue\"", "name = \"blue\"\nprotection = \"duplicate\"\nstandby = ‸{ revert = false }")],
        "without protection = \"active-standby\"",
    ),
    (
        Code::OutOfRange,
        &[("name = \"blue\"", "name = \"blue\"\nprotection = \"duplicate\"\nduplicate = { history = ‸1 }")],
        "from 2 to 32768",
    ),
    (Code::SchemaVersion, &[("schema = 1", "schema = ‸2")], "does not know schema 2"),
];

pub(crate) const NAMES: &[Case] = &[
    (Code::MetricsAddress, &[("workers = 2", "workers = 2\nmetrics = ‸\"0.0.0.0:9477\"")], "every address"),
    (Code::MetricsAddress, &[("workers = 2", "workers = 2\nmetrics = ‸\"[ff02::1]:9477\"")], "group"),
    (Code::MetricsAddress, &[("workers = 2", "workers = 2\nmetrics = ‸\"127.0.0.1:0\"")], "no port"),
    (Code::Malformed, &[("workers = 2", "workers = 2\nmetrics = ‸\"localhost\"")], "address with a port"),
    (Code::DuplicateName, &[("name = \"wan2\"", "name = ‸\"wan1\"")], "two ports"),
    (Code::DuplicateName, &[("name = \"ch2\"", "name = ‸\"ch1\"")], "two channels"),
    (
        Code::DuplicateName,
        &[
            (INTERCONNECT, "[[interconnect]]\nname = \"to-b\"\n[[interconnect]]\n"),
            ("[[interconnect]]\nname = \"to-b\"\nprofile", "[[interconnect]]\nname = ‸\"to-b\"\nprofile"),
        ],
        "two interconnects",
    ),
    (Code::DuplicateName, &[("\"attachments\"", "[\"ch1\", ‸\"ch1\"]")], "stands twice"),
    (Code::UnknownReference, &[("port = \"lan1\"", "port = ‸\"lna1\"")], "did you mean `lan1`"),
    (
        Code::UnknownReference,
        &[("port = \"wan2\"", "port = ‸\"internet\"")],
        "ports are called lan1, wan1, wan2",
    ),
    (Code::UnknownReference, &[("channel = \"ch2\"", "channel = ‸\"ch9\"")], "no channel called"),
    (
        Code::UnknownReference,
        &[("name = \"ch1\"\ninterconnect = \"to-b\"", "name = \"ch1\"\ninterconnect = ‸\"to-c\"")],
        "`to-b`",
    ),
    (Code::UnknownReference, &[("\"attachments\"", "[\"ch1\", ‸\"ch7\"]")], "no attachment on a channel"),
    (Code::DeviceUsedTwice, &[("device = \"eth2\"", "device = ‸\"eth1\"")], "two ports open device `eth1`"),
    (
        Code::UnusedPort,
        &[(PORT, "[[port]]\nname = ‸\"spare\"\ndevice = \"eth9\"\n[[port]]\n")],
        "nothing uses",
    ),
    (
        Code::UnusedInterconnect,
        &[(INTERCONNECT, "[[interconnect]]\nname = ‸\"to-c\"\n[[interconnect]]\n")],
        "has no channel",
    ),
    (
        Code::UnusedChannel,
        &[
            ("name = \"ch2\"", "name = ‸\"ch2\""),
            (
                "[[connection.attachment]]\nchannel = \"ch2\"\naddress = [\"169.254.11.1/30\"]\npeer = [\"169.254.11.2\"]\n",
                "",
            ),
        ],
        "no connection uses channel `ch2`",
    ),
    (Code::PortRoles, &[("port = \"lan1\"", "port = ‸\"wan1\"")], "underlay of a channel"),
    (Code::Pins, &[("pin = [0, 1]", "pin = ‸[0]")], "1 CPUs for 2 workers"),
    (Code::Pins, &[("pin = [0, 1]", "pin = [3, ‸3]")], "CPU 3 is given to two"),
    (Code::HostDevice, &[("port = \"lan1\"", "port = \"lan1\"\nhost_device = ‸\"blue0\"")], "host = true"),
    (
        Code::HostDevice,
        &[("port = \"lan1\"", "port = \"lan1\"\nhost = true\nhost_device = ‸\"eth0\"")],
        "needed twice",
    ),
];

/// The second channel's port as a tunnel: what follows its device.
const WAN2: &str = "device = \"eth2\"\nio = \"af_packet\"";
/// And the keys of a channel that lets frames overtake each other.
const WINDOW: (&str, &str) = ("cipher = \"gcm-aes-256\"", "cipher = \"gcm-aes-256\"\nreplay_window = 64");

macro_rules! tunnel {
    ($($keys:literal)*) => {
        concat!("device = \"eth2\"\nunderlay = { kind = \"vxlan\", ", $($keys,)* " }")
    };
}

pub(crate) const TUNNELS: &[Case] = &[
    (
        Code::MissingKey,
        &[
            (
                WAN2,
                "device = \"eth2\"\nunderlay = ‸{ kind = \"vxlan\", local = \"192.0.2.1\", remote = \"192.0.2.2\" }",
            ),
            WINDOW,
        ],
        "`vni`",
    ),
    (
        Code::NotYet,
        &[
            (
                WAN2,
                "device = \"eth2\"\nunderlay = { kind = ‸\"geneve\", local = \"192.0.2.1\", remote = \"192.0.2.2\", vni = 1 }",
            ),
            WINDOW,
        ],
        "use \"vxlan\"",
    ),
    (
        Code::OutOfRange,
        &[(WAN2, tunnel!("local = \"192.0.2.1\", remote = \"192.0.2.2\", vni = ‸16777216")), WINDOW],
        "from 0 to 16777215",
    ),
    (
        Code::OutOfRange,
        &[
            (WAN2, tunnel!("local = \"192.0.2.1\", remote = \"192.0.2.2\", vni = 1, source_ports = ‸0")),
            WINDOW,
        ],
        "from 1 to 64",
    ),
    (
        Code::Malformed,
        &[(WAN2, tunnel!("local = \"192.0.2.1\", remote = ‸\"there\", vni = 1")), WINDOW],
        "is not an IPv4",
    ),
    (
        Code::UnknownWord,
        &[
            (WAN2, tunnel!("local = \"192.0.2.1\", remote = \"192.0.2.2\", vni = 1, accept_from = ‸\"all\"")),
            WINDOW,
        ],
        "any",
    ),
    (
        Code::TunnelAddress,
        &[(WAN2, tunnel!("local = \"192.0.2.1\", remote = ‸\"2001:db8::2\", vni = 1")), WINDOW],
        "one address family",
    ),
    (
        Code::TunnelAddress,
        &[(WAN2, tunnel!("local = \"192.0.2.1\", remote = ‸\"192.0.2.1\", vni = 1")), WINDOW],
        "to ourselves",
    ),
    (
        Code::TunnelAddress,
        &[(WAN2, tunnel!("local = ‸\"0.0.0.0\", remote = \"192.0.2.2\", vni = 1")), WINDOW],
        "no address",
    ),
    (
        Code::TunnelAddress,
        &[(WAN2, tunnel!("local = \"192.0.2.1\", remote = ‸\"239.1.1.1\", vni = 1")), WINDOW],
        "a group",
    ),
    (
        Code::TunnelAddress,
        &[(WAN2, tunnel!("local = \"fe80::1\", remote = ‸\"fe80::2\", vni = 1")), WINDOW],
        "link-local",
    ),
    (
        Code::TunnelOverlap,
        &[
            (
                "device = \"eth1\"",
                "device = \"eth2\"\nunderlay = { kind = \"vxlan\", local = \"192.0.2.1\", remote = \"192.0.2.2\", vni = 1, source_ports = 1 }",
            ),
            (WAN2, tunnel!("local = ‸\"192.0.2.1\", remote = \"192.0.2.3\", vni = 2")),
            WINDOW,
        ],
        "a UDP port of its own",
    ),
    (
        Code::DeviceUsedTwice,
        &[
            (
                WAN2,
                "device = ‸\"eth1\"\nunderlay = { kind = \"vxlan\", local = \"192.0.2.1\", remote = \"192.0.2.2\", vni = 1 }",
            ),
            WINDOW,
        ],
        "name the same port",
    ),
    (
        Code::TunnelRole,
        &[
            (
                WAN2,
                "device = \"eth2\"\nio = ‸\"af_packet\"\nunderlay = { kind = \"vxlan\", local = \"192.0.2.1\", remote = \"192.0.2.2\", vni = 1 }",
            ),
            WINDOW,
        ],
        "leave `io` out",
    ),
    (
        Code::TunnelRole,
        &[
            (
                "device = \"eth0\"",
                "device = \"eth0\"\nunderlay = { kind = \"vxlan\", local = \"192.0.2.1\", remote = \"192.0.2.2\", vni = 1 }",
            ),
            ("port = \"lan1\"", "port = ‸\"lan1\""),
        ],
        "cross it in clear",
    ),
    (
        Code::Overtaking,
        &[
            (WAN2, tunnel!("local = \"192.0.2.1\", remote = \"192.0.2.2\", vni = 1")),
            ("cipher = \"gcm-aes-256\"", "cipher = \"gcm-aes-256\"\nreplay_window = ‸0"),
        ],
        "replay_window = 1024",
    ),
];
