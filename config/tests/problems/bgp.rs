//! BGP and BFD: neighbours, policies, what the clouds refuse.

use config::Code;

use crate::Case;

/// The first neighbour of the base.
const FIRST: &str = "on = \"ch1\"\nasn = 64513\n";
const SECOND: &str = "address = \"fd00:10::2\"";
/// Where BFD of the attachment on ch2 can be put in.
const CH2: &str = "peer = [\"169.254.11.2\"]\n";
/// The attachment on ch1 with its peer of IPv4 alone, or with room for a second router.
const ONLY_IPV4: (&str, &str) = ("peer = [\"169.254.10.2\", \"fd00:10::2\"]", "peer = [\"169.254.10.2\"]");
const WIDE: (&str, &str) = ("169.254.10.1/30", "169.254.10.1/29");
const OTHER: &str = "on = \"ch1\"\naddress = ‸\"169.254.10.3\"\nasn = 64513\n";
/// BFD of the attachment on ch1.
const STRICT: (&str, &str) = ("mtu = 1500\n", "mtu = 1500\nbfd = { mode = \"strict\" }\n");
const FOLLOW: (&str, &str) = ("mtu = 1500\n", "mtu = 1500\nbfd = { mode = \"follow\" }\n");
/// A tag that every cloud takes.
const TAGGED: (&str, &str) = ("channel = \"ch2\"", "channel = \"ch2\"\nvlan = 1100");
const VLAN: (&str, &str) = ("vlan = 100", "vlan = 1100");
const MTU: (&str, &str) = ("mtu = 1500\n", "");

const AWS: (&str, &str) = ("profile = \"quadspan\"", "profile = \"aws-dx\"");
const GCP: (&str, &str) = ("profile = \"quadspan\"", "profile = \"gcp-cci\"");
const AZURE: (&str, &str) = ("profile = \"quadspan\"", "profile = \"azure-er-direct\"");

pub(crate) const BGP: &[Case] = &[
    (
        Code::BgpMissing,
        &[
            ("[connection.bgp]\nasn = 65001\nannounce = [\"lans\", \"10.2.0.0/24\"]\n", ""),
            ("[[connection.neighbor]]\non", "‸[[connection.neighbor]]\non"),
        ],
        "add [connection.bgp]",
    ),
    (
        Code::RouterId,
        &[
            ("\"169.254.10.1/30\", ", ""),
            ("[\"169.254.10.2\", ", "["),
            ("\"169.254.11.1/30\"", "\"fd00:11::1/126\""),
            ("\"169.254.11.2\"", "\"fd00:11::2\""),
            ("\"10.1.0.1/24\", ", ""),
            ("[connection.bgp]", "‸[connection.bgp]"),
        ],
        "add router_id",
    ),
    (Code::DuplicateNeighbor, &[(SECOND, "address = ‸\"169.254.10.2\"")], "a second neighbour 169.254.10.2"),
    // The only LAN of a port is the same with and without its VLAN, and a VLAN says nothing of an attachment.
    (
        Code::DuplicateNeighbor,
        &[
            (FIRST, "on = \"lan1\"\naddress = \"10.1.0.9\"\nasn = 64513\n"),
            ("on = \"ch1\"\naddress = \"fd00:10::2\"", "on = \"lan1\"\nvlan = 20\naddress = ‸\"10.1.0.9\""),
        ],
        "a second neighbour 10.1.0.9",
    ),
    (
        Code::DuplicateNeighbor,
        &[(SECOND, "vlan = 7\naddress = ‸\"169.254.10.2\"")],
        "a second neighbour 169.254.10.2",
    ),
    (
        Code::DuplicateName,
        &[
            (SECOND, "address = \"fd00:10::2\"\nname = ‸\"r1\""),
            (FIRST, "on = \"ch1\"\nasn = 64513\nname = \"r1\"\n"),
        ],
        "are called `r1`",
    ),
    (
        Code::DuplicateName,
        &[("name = \"out\"", "name = \"out\"\n[[connection.policy]]\nname = ‸\"out\"")],
        "two policies",
    ),
    (Code::DuplicateName, &[("name = \"out\"", "name = ‸\"accept\"")], "always there"),
    (Code::ReservedAsn, &[("asn = 65001", "asn = ‸23456")], "64512 to 65534"),
    (Code::ReservedAsn, &[(FIRST, "on = \"ch1\"\nasn = ‸65535\n")], "65535"),
    (Code::OutOfRange, &[("asn = 65001", "asn = ‸0")], "1 to 4294967295"),
    (Code::OutOfRange, &[(FIRST, "on = \"ch1\"\nasn = 64513\nhold = ‸\"2s\"\n")], "3s"),
    (Code::Malformed, &[(FIRST, "on = \"ch1\"\nasn = 64513\nhold = ‸\"90\"\n")], "not a duration"),
    (Code::WrongType, &[(FIRST, "on = \"ch1\"\nasn = 64513\nhold = ‸90\n")], "duration in quotes"),
    (Code::BgpTimers, &[(FIRST, "on = \"ch1\"\nasn = 64513\nhold = \"90s\"\nkeepalive = ‸\"31s\"\n")], "30s"),
    (
        Code::BgpTimers,
        &[(FIRST, "on = \"ch1\"\nasn = 64513\nhold = ‸\"3500ms\"\n")],
        "whole number of seconds",
    ),
    (Code::Password, &[("{ file = \"md5\" }", "‸{ file = \"md5-empty\" }")], "is empty"),
    (Code::Password, &[("{ file = \"md5\" }", "‸{ file = \"md5-long\" }")], "80 octets"),
    (Code::Password, &[("{ file = \"md5\" }", "‸{ file = \"md5-lines\" }")], "several lines"),
    (Code::SecretNotFound, &[("{ file = \"md5\" }", "‸{ file = \"absent\" }")], "that the neighbour has"),
    (Code::LiteralSecret, &[("{ file = \"md5\" }", "‸\"secret\"")], "file of its own"),
    (
        Code::NoRoutePolicy,
        &[
            (
                "import = \"accept\"\nexport = \"out\"\n[[connection.neighbor]]\n",
                "import = \"accept\"\n‸[[connection.neighbor]]\n",
            ),
            ("‸[[connection.neighbor]]", "[[connection.neighbor]]"),
            ("[[connection.neighbor]]\non = \"ch1\"\nasn", "‸[[connection.neighbor]]\non = \"ch1\"\nasn"),
        ],
        "without `export`",
    ),
    (
        Code::NextHopMissing,
        &[(FIRST, "on = \"ch2\"\nasn = 64513\nfamilies = [\"ipv4\", ‸\"ipv6\"]\n")],
        "no IPv6 address",
    ),
    (Code::Malformed, &[(FIRST, "on = \"ch1\"\nasn = 64513\nfamilies = ‸[]\n")], "families is empty"),
    (Code::Role, &[(FIRST, "on = \"ch1\"\nasn = 65001\nrole = ‸\"customer\"\n")], "our own AS"),
    (Code::Role, &[(FIRST, "on = \"ch1\"\nasn = 64513\nstrict_role = ‸true\n")], "without a role"),
    (
        Code::BfdMissing,
        &[(FIRST, "on = \"ch1\"\nasn = 64513\nbfd = ‸\"strict\"\n")],
        "[connection.attachment.bfd]",
    ),
    (Code::BfdPeer, &[(CH2, "‸[connection.attachment.bfd]\n")], "without a `peer`"),
    (
        Code::BfdPeer,
        &[("[[connection.lan]]\n", "[[connection.lan]]\nbfd = ‸{}\n")],
        "without a BGP neighbour",
    ),
    (
        Code::BfdNever,
        &[ONLY_IPV4, STRICT, (SECOND, "address = ‸\"fd00:10::2\"")],
        "add \"fd00:10::2\" to `peer`",
    ),
    (Code::BfdNever, &[WIDE, STRICT, (FIRST, OTHER)], "instead of 169.254.10.2"),
    (Code::BfdUnwatched, &[ONLY_IPV4, FOLLOW, (SECOND, "address = ‸\"fd00:10::2\"")], "does not watch it"),
    (
        Code::BfdNever,
        &[ONLY_IPV4, FOLLOW, (SECOND, "address = \"fd00:10::2\"\nbfd = ‸\"strict\"")],
        "for ever",
    ),
    (
        Code::OutOfRange,
        &[(CH2, "peer = [\"169.254.11.2\"]\n[connection.attachment.bfd]\nmin_tx = ‸\"9ms\"\n")],
        "10ms",
    ),
    (
        Code::UnusedPolicy,
        &[("name = \"out\"", "name = \"out\"\n[[connection.policy]]\nname = ‸\"spare\"")],
        "`spare`",
    ),
    (
        Code::NeighborPlace,
        &[
            (
                "[[connection.lan]]\n",
                "[[connection.lan]]\nport = \"lan1\"\nvlan = 21\naddress = [\"10.8.0.1/24\"]\n[[connection.lan]]\n",
            ),
            (FIRST, "on = ‸\"lan1\"\naddress = \"10.1.0.9\"\nasn = 64513\n"),
        ],
        "vlan = 20",
    ),
    (Code::UnknownReference, &[(FIRST, "on = ‸\"ch3\"\nasn = 64513\n")], "did you mean `ch"),
    (Code::UnknownReference, &[("export = \"out\"", "export = ‸\"outt\"")], "did you mean `out`"),
    (Code::PeerOffLink, &[(SECOND, "address = ‸\"fd00:10::9\"")], "subnets are"),
    (Code::PeerIsSelf, &[(SECOND, "address = ‸\"fd00:10::1\"")], "our own address"),
    (
        Code::MissingKey,
        &[("[[connection.neighbor]]\non = \"ch1\"\nasn", "‸[[connection.neighbor]]\non = \"lan1\"\nasn")],
        "`address` is missing",
    ),
    (Code::UnknownWord, &[("\"lans\", ", "‸\"lan\", ")], "did you mean `lans`"),
    (Code::HostBits, &[("\"lans\", \"10.2.0.0/24\"", "‸\"10.2.0.1/24\"")], "write 10.2.0.0/24"),
    (Code::Malformed, &[("\"10.0.0.0/8 le 24\"", "‸\"10.0.0.0/8 le 33\"")], "no such lengths"),
    (Code::Malformed, &[("\"7224:7300\"", "‸\"7224\"")], "not a community"),
    (
        Code::Transparent,
        &[
            ("name = \"blue\"", "name = \"blue\"\nmode = \"transparent\""),
            ("[connection.bgp]", "‸[connection.bgp]"),
        ],
        "no use for BGP",
    ),
];

/// What the clouds' documentation states.
pub(crate) const CLOUDS: &[Case] = &[
    (Code::ProfileRefuses, &[AWS, (FIRST, "on = \"ch1\"\nasn = 64513\nttl_security = ‸true\n")], "TTL 1"),
    (Code::ProfileRefuses, &[AWS, TAGGED, ("{ file = \"md5\" }", "‸{ file = \"md5-short\" }")], "6 to 80"),
    (
        Code::ProfileWarns,
        &[
            AWS,
            TAGGED,
            ("password = { file = \"md5\" }\n", ""),
            ("[[connection.neighbor]]\non", "‸[[connection.neighbor]]\non"),
        ],
        "makes up a password",
    ),
    (
        Code::ProfileWarns,
        &[AWS, TAGGED, (FIRST, "on = \"ch1\"\nasn = 64513\nmax_out = { ipv4 = ‸200 }\n")],
        "takes 100 IPv4 prefixes",
    ),
    (
        Code::ProfileWarns,
        &[
            AWS,
            TAGGED,
            (CH2, "peer = [\"169.254.11.2\"]\n[connection.attachment.bfd]\n"),
            (FIRST, "on = \"ch2\"\nasn = 64513\ngraceful_restart = ‸\"helper\"\n"),
        ],
        "beside BFD",
    ),
    (
        Code::ProfileWarns,
        &[AWS, TAGGED, (CH2, "peer = [\"169.254.11.2\"]\n[connection.attachment.bfd]\nmin_tx = ‸\"50ms\"\n")],
        "300ms will be agreed on",
    ),
    (
        Code::ProfileRefuses,
        &[GCP, (FIRST, "on = \"ch1\"\nasn = 64513\nhold = ‸\"30s\"\n")],
        "hold = \"1m\" or more",
    ),
    (
        Code::ProfileRefuses,
        &[GCP, (CH2, "peer = [\"169.254.11.2\"]\n[connection.attachment.bfd]\nmultiplier = ‸3\n")],
        "use 5 to 16",
    ),
    (
        Code::ProfileRefuses,
        &[AZURE, TAGGED, ("{ file = \"md5\" }", "‸{ file = \"md5-spaces\" }")],
        "25 letters and digits",
    ),
    (Code::ProfileRefuses, &[AZURE, ("asn = 65001", "asn = ‸65515")], "as yours"),
    (
        Code::ProfileWarns,
        &[
            AZURE,
            TAGGED,
            VLAN,
            MTU,
            ("password = { file = \"md5\" }\n", ""),
            ("password = { file = \"md5\" }\n", ""),
            (FIRST, "on = \"ch1\"\nasn = ‸64513\n"),
        ],
        "12076",
    ),
];
