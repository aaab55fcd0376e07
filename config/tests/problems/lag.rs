//! LAGs and the attachments on them.

use config::Code;

use crate::Case;

const SECTION: &str = "[[connection]]";
const ON_CH2: &str = "channel = \"ch2\"";
const ON_LAG: (&str, &str) = (ON_CH2, "lag = \"l1\"");
const ATTACHMENT_2: &str = "[[connection.attachment]]\nchannel = \"ch2\"\naddress = [\"169.254.11.1/30\"]\npeer = [\"169.254.11.2\"]\n";

pub(crate) const LAGS: &[Case] = &[
    (
        Code::LagMember,
        &[(SECTION, "[[lag]]\nname = \"l1\"\nmembers = ‸[]\n[[connection]]"), ON_LAG],
        "without members",
    ),
    (
        Code::LagMember,
        &[(SECTION, "[[lag]]\nname = \"l1\"\nmembers = [\"ch2\", ‸\"ch1\"]\n[[connection]]"), ON_LAG],
        "used by an attachment already",
    ),
    (
        Code::LagMember,
        &[
            (
                SECTION,
                "[[lag]]\nname = \"l1\"\nmembers = [\"ch2\"]\n[[lag]]\nname = \"l2\"\nmembers = [‸\"ch2\"]\n[[connection]]",
            ),
            ON_LAG,
        ],
        "used by a LAG already",
    ),
    (
        Code::LagMember,
        &[
            ("port = \"wan2\"", "port = \"wan1\"\nclear_tags = [5]"),
            (SECTION, "[[lag]]\nname = \"l1\"\nmembers = [\"ch2\", ‸\"ch1\"]\n[[connection]]"),
            ON_LAG,
        ],
        "on the same port",
    ),
    (
        Code::LagMember,
        &[
            ("[[interconnect]]\n", "[[interconnect]]\nname = \"to-c\"\n[[interconnect]]\n"),
            ("name = \"ch2\"\ninterconnect = \"to-b\"", "name = \"ch2\"\ninterconnect = \"to-c\""),
            (SECTION, "[[lag]]\nname = \"l1\"\nmembers = [\"ch2\", ‸\"ch1\"]\n[[connection]]"),
            ON_LAG,
        ],
        "another interconnect",
    ),
    (
        Code::LagMtu,
        &[(SECTION, "[[lag]]\nname = \"l1\"\nmembers = [\"ch2\", ‸\"ch1\"]\n[[connection]]"), ON_LAG],
        "same `mtu`",
    ),
    (
        Code::LagMinLinks,
        &[(SECTION, "[[lag]]\nname = \"l1\"\nmembers = [\"ch2\"]\nmin_links = ‸2\n[[connection]]"), ON_LAG],
        "there are 1 members",
    ),
    (
        Code::LagKey,
        &[
            (
                SECTION,
                "[[lag]]\nname = \"l1\"\nmembers = [\"ch2\"]\n[[lag]]\nname = \"l2\"\nmembers = [\"ch1\"]\nkey = ‸1\n[[connection]]",
            ),
            ON_LAG,
        ],
        "have the key 1",
    ),
    (
        Code::LagOrChannel,
        &[
            (SECTION, "[[lag]]\nname = \"l1\"\nmembers = [\"ch2\"]\n[[connection]]"),
            (ON_CH2, "channel = \"ch2\"\nlag = ‸\"l1\""),
        ],
        "on a channel or on a LAG",
    ),
    (
        Code::UnusedLag,
        &[(SECTION, "[[lag]]\nname = ‸\"l1\"\nmembers = [\"ch2\"]\n[[connection]]"), (ATTACHMENT_2, "")],
        "no connection uses LAG `l1`",
    ),
    (
        Code::LagWire,
        &[
            (
                SECTION,
                "[[lag]]\nname = \"l1\"\nmembers = [\"ch2\"]\n[[connection]]\nname = \"red\"\ninterconnect = \"to-b\"\nmode = \"transparent\"\n[[connection.attachment]]\nlag = ‸\"l1\"\n[[connection.lan]]\nport = \"lan1\"\nvlan = 7\n[[connection]]",
            ),
            (ATTACHMENT_2, ""),
        ],
        "give the attachment a `vlan`",
    ),
    (
        Code::MissingKey,
        &[(
            "mtu = 1500\n[[connection.attachment]]\nchannel = \"ch2\"",
            "mtu = 1500\n‸[[connection.attachment]]",
        )],
        "or lag = \"lag1\"",
    ),
    (
        Code::UnknownReference,
        &[
            (SECTION, "[[lag]]\nname = \"l1\"\nmembers = [\"ch2\"]\n[[connection]]"),
            (ON_CH2, "lag = ‸\"l2\""),
        ],
        "there is no LAG called `l2`",
    ),
    (
        Code::DuplicateName,
        &[
            (SECTION, "[[lag]]\nname = ‸\"ch1\"\nmembers = [\"ch2\"]\n[[connection]]"),
            (ON_CH2, "lag = \"ch1\""),
        ],
        "a channel is called `ch1` too",
    ),
    (
        Code::AttachmentOverlap,
        &[
            (
                SECTION,
                "[[lag]]\nname = \"l1\"\nmembers = [\"ch2\"]\n[[connection]]\nname = \"red\"\ninterconnect = \"to-b\"\n[[connection.attachment]]\nlag = \"l1\"\naddress = [\"10.9.0.1/24\"]\n[[connection]]",
            ),
            (ON_CH2, "lag = ‸\"l1\""),
        ],
        "on LAG `l1` are untagged",
    ),
    (
        Code::SciForm,
        &[
            ("cipher = \"gcm-aes-256\"", "cipher = \"gcm-aes-256\"\nend_station = ‸true"),
            (SECTION, "[[lag]]\nname = \"l1\"\nmembers = [\"ch2\"]\n[[connection]]"),
            ON_LAG,
        ],
        "one source MAC address",
    ),
    (
        Code::UnknownWord,
        &[
            (SECTION, "[[lag]]\nname = \"l1\"\nmembers = [\"ch2\"]\nmode = ‸\"pasive\"\n[[connection]]"),
            ON_LAG,
        ],
        "did you mean `passive`",
    ),
    (
        Code::NotYet,
        &[
            (SECTION, "[[lag]]\nname = \"l1\"\nmembers = [\"ch2\"]\nmode = ‸\"static\"\n[[connection]]"),
            ON_LAG,
        ],
        "speaks LACP",
    ),
    (
        Code::ProfileRefuses,
        &[
            ("profile = \"quadspan\"", "profile = \"aws-dx\""),
            (
                SECTION,
                "[[lag]]\nname = \"l1\"\nmembers = [\"ch2\", \"a\", \"b\", \"c\", ‸\"d\"]\n[[connection]]",
            ),
            ON_LAG,
        ],
        "more than 4 links",
    ),
    (
        Code::ProfileWarns,
        &[
            ("profile = \"quadspan\"", "profile = \"gcp-cci\""),
            ("channel = \"ch1\"\nvlan = 100", "channel = ‸\"ch1\"\nvlan = 100"),
            (SECTION, "[[lag]]\nname = \"l1\"\nmembers = [\"ch2\"]\n[[connection]]"),
            ("channel = \"ch2\"\n", "lag = \"l1\"\nvlan = 101\n"),
        ],
        "speaks LACP on every link",
    ),
];
