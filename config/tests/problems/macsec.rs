//! Channels, their SecY, their keys.

use config::Code;

use crate::Case;

const SECOND_TX: &str = "key = { file = \"ch2-out\" }";
const SECOND_RX: &str = "key = { file = \"ch2-in\" }";
const MACSEC_2: &str = "cipher = \"gcm-aes-256\"";

pub(crate) const CHANNELS: &[Case] = &[
    (Code::ChannelOverlap, &[("port = \"wan2\"", "port = ‸\"wan1\"")], "same tags in clear"),
    (
        Code::ChannelOverlap,
        &[("clear_tags = []", "clear_tags = [7]"), ("port = \"wan2\"", "port = \"wan1\"\nclear_tags = ‸[7]")],
        "same tags",
    ),
    (Code::Offset, &[("include_sci = true", "confidentiality_offset = ‸30")], "gcm-aes-xpn-256 has no"),
    (
        Code::Offset,
        &[(MACSEC_2, "cipher = \"gcm-aes-256\"\nconfidentiality_offset = ‸50\nencrypt = false")],
        "without encryption",
    ),
    (Code::ReplayWindow, &[("replay_window = 0", "replay_window = ‸1073741824")], "0 to 1073741823"),
    (Code::ValidateTooWeak, &[("include_sci = true", "validate = ‸\"check\"")], "must-secure"),
    (Code::ValidateTooWeak, &[("include_sci = true", "validate = ‸\"disabled\"")], "must-secure"),
    (Code::ValidateTooWeak, &[("include_sci = true", "validate = ‸\"null\"")], "must-secure"),
    (
        Code::SciNeeded,
        &[
            ("include_sci = true", "include_sci = ‸false"),
            (
                "[[channel]]\nname = \"ch2\"",
                "[[channel.macsec.static.rx]]\nsci = \"02000000bb09:0001\"\nan = 0\nkey = { file = \"third\" }\nsalt = \"000102030405060708090a0b\"\nssci = 3\n[[channel]]\nname = \"ch2\"",
            ),
        ],
        "include_sci = true",
    ),
    (
        Code::SciForm,
        &[("include_sci = true", "include_sci = ‸true\nend_station = true")],
        "leaves the SCI out",
    ),
    (
        Code::SciForm,
        &[(
            "include_sci = true\nsci = \"02000000aa01:0001\"",
            "end_station = true\nsci = ‸\"02000000aa01:0002\"",
        )],
        "port identifier 1, not 2",
    ),
    (
        Code::SciForm,
        &[(MACSEC_2, "cipher = \"gcm-aes-256\"\nend_station = true\nport_id = ‸3")],
        "port identifier 1, not 3",
    ),
    (
        Code::SciForm,
        &[(MACSEC_2, "cipher = \"gcm-aes-256\"\nscb = true\nport_id = ‸1")],
        "port identifier 0, not 1",
    ),
    (Code::SciForm, &[(MACSEC_2, "cipher = \"gcm-aes-256\"\nend_station = true\nscb = ‸true")], "choose one"),
    (Code::SciForm, &[("include_sci = true", "port_id = ‸2")], "an SCI has its own"),
    (
        Code::SciForm,
        &[
            (MACSEC_2, "cipher = \"gcm-aes-256\"\nend_station = true"),
            ("peer = [\"169.254.11.2\"]", "peer = [\"169.254.11.2\"]\nmac = ‸\"02:00:00:00:00:07\""),
        ],
        "another source MAC",
    ),
    (Code::MacsecOff, &[("policy = \"must-secure\"", "policy = ‸\"off\"")], "everything in clear"),
    (
        Code::ShouldSecure,
        &[("policy = \"must-secure\"", "policy = ‸\"should-secure\"")],
        "falls back to clear text",
    ),
    (Code::Weakened, &[("include_sci = true", "encrypt = ‸false")], "can read it"),
    (Code::Weakened, &[("include_sci = true", "replay_protect = ‸false")], "sent again"),
];

pub(crate) const KEYS: &[Case] = &[
    (Code::LiteralSecret, &[("{ file = \"ch1-in\" }", "‸\"00112233445566778899aabbccddeeff\"")], "chmod 600"),
    (Code::LiteralSecret, &[("{ file = \"ch1-in\" }", "‸12345")], "do not stand in"),
    (
        Code::SecretNotFound,
        &[("{ file = \"ch1-in\" }", "‸{ file = \"absent\" }")],
        "file `absent` does not exist",
    ),
    (
        Code::SecretNotFound,
        &[("{ file = \"ch1-in\" }", "‸{ credential = \"absent\" }")],
        "LoadCredential=absent",
    ),
    (Code::SecretNotFound, &[("{ file = \"ch1-in\" }", "‸{ env = \"absent\" }")], "set absent"),
    (Code::SecretWorldReadable, &[("{ file = \"ch1-in\" }", "‸{ file = \"world\" }")], "chmod 600 world"),
    (Code::SecretUnreadable, &[("{ file = \"ch1-in\" }", "‸{ file = \"denied\" }")], "may not be read"),
    (Code::KeyMalformed, &[("{ file = \"ch1-in\" }", "‸{ file = \"garbage\" }")], "openssl rand"),
    (
        Code::KeyLength,
        &[("{ file = \"ch1-in\" }", "‸{ file = \"short\" }")],
        "16 octets, gcm-aes-xpn-256 needs 32",
    ),
    (
        Code::KeyLength,
        &[(MACSEC_2, "cipher = \"gcm-aes-128\""), ("{ file = \"ch2-in\" }", "‸{ file = \"ch2-in\" }")],
        "needs 16",
    ),
    (
        Code::XpnMissing,
        &[(
            "[[channel.macsec.static.tx]]\nan = 0\nkey = { file = \"ch1-out\" }\nsalt = \"000102030405060708090a0b\"\n",
            "‸[[channel.macsec.static.tx]]\nan = 0\nkey = { file = \"ch1-out\" }\n",
        )],
        "`salt` is missing",
    ),
    (
        Code::XpnMissing,
        &[("[[channel.macsec.static.tx]]", "‸[[channel.macsec.static.tx]]"), ("ssci = 1\n", "")],
        "`ssci` is missing",
    ),
    (
        Code::XpnUnexpected,
        &[(SECOND_TX, "key = { file = \"ch2-out\" }\nssci = ‸1")],
        "gcm-aes-256 has no `ssci`",
    ),
    (
        Code::SameSender,
        &[("{ file = \"ch1-in\" }", "‸{ file = \"ch1-out\" }"), ("ssci = 2", "ssci = 1")],
        "both ends of channel `ch1`",
    ),
    (Code::SameSci, &[("sci = \"02000000bb01:0001\"", "sci = ‸\"02000000aa01:0001\"")], "is our own"),
    (
        Code::DuplicateAn,
        &[(
            SECOND_TX,
            "key = { file = \"ch2-out\" }\n[[channel.macsec.static.tx]]\nan = ‸0\nkey = { file = \"next\" }",
        )],
        "to send with",
    ),
    (
        Code::DuplicateAn,
        &[(
            SECOND_RX,
            "key = { file = \"ch2-in\" }\n[[channel.macsec.static.rx]]\nsci = \"02000000bb02:0001\"\nan = ‸0\nkey = { file = \"next\" }",
        )],
        "of this SCI",
    ),
    (
        Code::NonceReuse,
        &[(
            SECOND_TX,
            "key = { file = \"ch2-out\" }\n[[channel.macsec.static.tx]]\nan = 1\nkey = ‸{ file = \"ch2-out\" }",
        )],
        "has this key twice",
    ),
    (
        Code::NonceReuse,
        &[
            (MACSEC_2, ""),
            (
                "[[channel.macsec.static.tx]]\nan = 0\nkey = { file = \"ch2-out\" }",
                "[[channel.macsec.static.tx]]\nan = 0\nkey = ‸{ file = \"ch1-out\" }\nsalt = \"000102030405060708090a0b\"\nssci = 1",
            ),
        ],
        "channels `ch1` and `ch2`",
    ),
    (
        Code::NonceReuse,
        &[
            ("cipher = \"gcm-aes-xpn-256\"", "cipher = \"gcm-aes-256\""),
            ("salt = \"000102030405060708090a0b\"\nssci = 1\n", ""),
            ("salt = \"000102030405060708090a0b\"\nssci = 2\n", ""),
            (SECOND_RX, "key = ‸{ file = \"ch1-in\" }"),
            ("02000000bb02:0001", "02000000bb01:0001"),
        ],
        "SCI 02000000bb01:0001",
    ),
    (
        Code::NoKeys,
        &[
            (
                "[[channel.macsec.static.rx]]\nsci = \"02000000bb02:0001\"\nan = 0\nkey = { file = \"ch2-in\" }\n",
                "",
            ),
            (
                "[[channel.macsec.static.tx]]\nan = 0\nkey = { file = \"ch2-out\" }",
                "[[channel.macsec.‸static.tx]]\nan = 0\nkey = { file = \"ch2-out\" }",
            ),
        ],
        "no key to receive with",
    ),
    (
        Code::NoKeys,
        &[(
            "[channel.macsec]\ncipher = \"gcm-aes-256\"\n[[channel.macsec.static.tx]]\nan = 0\nkey = { file = \"ch2-out\" }\n[[channel.macsec.static.rx]]\nsci = \"02000000bb02:0001\"\nan = 0\nkey = { file = \"ch2-in\" }",
            "‸[channel.macsec]",
        )],
        "channel `ch2` has no key",
    ),
    (
        Code::NoKeys,
        &[(
            "[[channel.macsec.static.tx]]\nan = 0\nkey = { file = \"ch2-out\" }\n[[channel.macsec.static",
            "[[channel.macsec.‸static",
        )],
        "no key to send with",
    ),
    (
        Code::KeysUnused,
        &[
            ("policy = \"must-secure\"", "policy = \"off\""),
            ("[[channel.macsec.static.tx]]", "[[channel.macsec.‸static.tx]]"),
        ],
        "its policy is off",
    ),
];
