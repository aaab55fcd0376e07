//! Classes that are duplicated, and the DSCPs that they and tunnels name.

use config::Code;

use crate::Case;

/// Where a connection's own keys end.
const HERE: &str = "interconnect = \"to-b\"\n[[connection.attachment]]\nchannel = \"ch1\"";

/// `HERE` with these keys.
macro_rules! with {
    ($text:expr) => {
        concat!("interconnect = \"to-b\"\n", $text, "\n[[connection.attachment]]\nchannel = \"ch1\"")
    };
}

/// `HERE` with classes.
macro_rules! classes {
    ($text:expr) => {
        with!(concat!("duplicate = { class = [", $text, "] }"))
    };
}

/// `HERE` with one class.
macro_rules! class {
    ($text:expr) => {
        classes!(concat!("{ name = \"voice\", ", $text, " }"))
    };
}

pub(crate) const CLASSES: &[Case] = &[
    (Code::Malformed, &[(HERE, with!("duplicate = ‸{ reset = \"1s\" }"))], "[[connection.duplicate.class]]"),
    (Code::UnknownWord, &[(HERE, class!("dscp = [‸\"EF1\"]"))], "did you mean `EF`"),
    (Code::UnknownWord, &[(HERE, class!("dscp = [‸\"gold\"]"))], "a number from 0 to 63 without quotes"),
    (Code::UnknownWord, &[(HERE, class!("dscp = [‸\"46\"]"))], "without quotes"),
    (Code::OutOfRange, &[(HERE, class!("dscp = [46, ‸64]"))], "from 0 to 63"),
    (Code::WrongType, &[(HERE, class!("dscp = ‸\"EF\""))], "brackets"),
    (Code::WrongType, &[(HERE, class!("dscp = [‸true]"))], "a number or a name"),
    (Code::UnknownKey, &[(HERE, class!("‸prefix = [\"10.0.0.0/8\"]"))], "destination"),
    (Code::MissingKey, &[(HERE, classes!("‸{ dscp = [\"EF\"] }"))], "`name`"),
    (Code::HostBits, &[(HERE, class!("source = [‸\"10.1.0.1/24\"]"))], "10.1.0.0/24"),
    (Code::Malformed, &[(HERE, class!("source = [‸\"10.1.0.1\"]"))], "no prefix length"),
    (Code::Class, &[(HERE, classes!("‸{ name = \"voice\" }"))], "dscp = [\"EF\"]"),
    (Code::Class, &[(HERE, class!("dscp = [\"EF\", 8, ‸46]"))], "DSCP EF (46) stands twice"),
    (
        Code::Class,
        &[(HERE, class!("destination = [\"10.2.0.0/16\", ‸\"10.2.3.0/24\"]"))],
        "10.2.3.0/24 is part of 10.2.0.0/16",
    ),
    (
        Code::Class,
        &[(HERE, class!("destination = [\"fd00:2::/48\", ‸\"fd00:2::/48\"]"))],
        "remove the smaller one",
    ),
    (
        Code::Class,
        &[(HERE, class!("source = [\"10.1.0.0/24\", ‸\"fd00:1::/64\"], destination = [\"10.2.0.0/24\"]"))],
        "add an IPv6 prefix to `destination`",
    ),
    (
        Code::Class,
        &[(HERE, class!("source = [\"10.1.0.0/24\"], destination = [\"10.2.0.0/24\", ‸\"::/0\"]"))],
        "add an IPv6 prefix to `source`",
    ),
    (
        Code::Class,
        &[(
            HERE,
            classes!(
                "{ name = \"a\", dscp = [\"EF\", \"CS6\"] }, ‸{ name = \"b\", dscp = [46], source = [\"10.1.0.0/24\"] }"
            ),
        )],
        "an earlier one takes them all",
    ),
    (
        Code::Class,
        &[(
            HERE,
            classes!(
                "{ name = \"a\", source = [\"10.0.0.0/8\"] }, ‸{ name = \"b\", dscp = [46], source = [\"10.1.0.0/24\"] }"
            ),
        )],
        "put the narrower class first",
    ),
    (
        Code::DuplicateName,
        &[(HERE, classes!("{ name = \"a\", dscp = [1] }, { name = ‸\"a\", dscp = [2] }"))],
        "two classes are called `a`",
    ),
    (
        Code::Class,
        &[(
            HERE,
            with!("protection = \"duplicate\"\nduplicate = { class = [‸{ name = \"a\", dscp = [\"EF\"] }] }"),
        )],
        "whatever its class",
    ),
    (
        Code::Transparent,
        &[(
            HERE,
            with!("mode = \"transparent\"\nduplicate = { class = [‸{ name = \"a\", dscp = [\"EF\"] }] }"),
        )],
        "classes are of IP packets",
    ),
    (
        Code::ProfileRefuses,
        &[
            (HERE, classes!("‸{ name = \"a\", dscp = [\"EF\"] }")),
            ("profile = \"quadspan\"", "profile = \"aws-dx\""),
        ],
        "redundancy tags",
    ),
    (
        Code::ProfileRefuses,
        &[
            (HERE, with!("protection = ‸\"duplicate\"")),
            ("profile = \"quadspan\"", "profile = \"azure-er-direct\""),
        ],
        "only another Quadspan",
    ),
    // The tag has room on every attachment, also for packets of no class.
    (
        Code::MtuChain,
        &[("mtu = 1500", "mtu = ‸1500"), (HERE, class!("dscp = [\"EF\"]"))],
        "6 (redundancy tag)",
    ),
    (
        Code::UnknownWord,
        &[(
            "device = \"eth2\"\nio = \"af_packet\"",
            "device = \"eth2\"\nunderlay = { kind = \"vxlan\", local = \"192.0.2.1\", remote = \"192.0.2.2\", vni = 1, source_ports = 1, dscp = ‸\"coppy\" }",
        )],
        "did you mean `copy`",
    ),
    (
        Code::OutOfRange,
        &[(
            "device = \"eth2\"\nio = \"af_packet\"",
            "device = \"eth2\"\nunderlay = { kind = \"vxlan\", local = \"192.0.2.1\", remote = \"192.0.2.2\", vni = 1, source_ports = 1, dscp = ‸64 }",
        )],
        "from 0 to 63",
    ),
];
