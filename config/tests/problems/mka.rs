//! MKA: keys and settings of key agreement. Channel `ch2` of the base gets MKA keys in place of its static ones.

use config::Code;

use crate::Case;

/// The static keys of `ch2`.
const STATIC: &str = "[[channel.macsec.static.tx]]\nan = 0\nkey = { file = \"ch2-out\" }\n[[channel.macsec.static.rx]]\nsci = \"02000000bb02:0001\"\nan = 0\nkey = { file = \"ch2-in\" }\n";

/// What stands for them: keys, each the inside of its section, and MKA settings.
macro_rules! keys {
    ($($key:literal),+ $(; $mka:literal)?) => {
        (STATIC, concat!($("[[channel.macsec.key]]\n", $key, "\n",)+ $("[channel.macsec.mka]\n", $mka, "\n",)?))
    };
}

const ONE: &str = "[[channel.macsec.key]]\nckn = \"0001\"\ncak = { file = \"a\" }\n";
const AWS: (&str, &str) = ("profile = \"quadspan\"", "profile = \"aws-dx\"");
const GCP: (&str, &str) = ("profile = \"quadspan\"", "profile = \"gcp-cci\"");

pub(crate) const KEYS: &[Case] = &[
    (Code::Malformed, &[keys!("ckn = ‸\"abc\"\ncak = { file = \"a\" }")], "pairs of hexadecimal digits"),
    (Code::Malformed, &[keys!("ckn = ‸\"\"\ncak = { file = \"a\" }")], "1 to 32 octets"),
    (
        Code::Malformed,
        &[keys!(
            "ckn = ‸\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20\"\ncak = { file = \"a\" }"
        )],
        "1 to 32 octets",
    ),
    (Code::WrongType, &[keys!("ckn = ‸7\ncak = { file = \"a\" }")], "in quotes, or a reference"),
    (Code::UnknownKey, &[keys!("ckn = { ‸flie = \"x\" }\ncak = { file = \"a\" }")], "did you mean `file`"),
    (Code::UnknownKey, &[keys!("ckn = \"01\"\ncak = { file = \"a\" }\n‸fallbak = true")], "`fallback`"),
    (Code::UnknownKey, &[keys!("ckn = \"01\"\ncak = { file = \"a\" }"; "‸prioritty = 3")], "`priority`"),
    (Code::MissingKey, &[(STATIC, "‸[[channel.macsec.key]]\ncak = { file = \"a\" }\n")], "`ckn` is missing"),
    (Code::MissingKey, &[(STATIC, "‸[[channel.macsec.key]]\nckn = \"01\"\n")], "`cak` is missing"),
    (
        Code::LiteralSecret,
        &[keys!("ckn = \"01\"\ncak = ‸\"00112233445566778899aabbccddeeff\"")],
        "a file of its own",
    ),
    (
        Code::SecretNotFound,
        &[keys!("ckn = ‸{ file = \"absent\" }\ncak = { file = \"a\" }")],
        "quadspan keygen --out keys/ch1",
    ),
    (Code::KeyMalformed, &[keys!("ckn = \"01\"\ncak = ‸{ file = \"md5-empty\" }")], "is empty"),
    (Code::SecretWorldReadable, &[keys!("ckn = \"01\"\ncak = ‸{ file = \"world\" }")], "chmod 600"),
    (
        Code::KeyMalformed,
        &[keys!("ckn = ‸{ file = \"garbage\" }\ncak = { file = \"a\" }")],
        "does not hold a CKN",
    ),
    (Code::KeyLength, &[keys!("ckn = \"01\"\ncak = ‸{ file = \"odd\" }")], "the CAK has 10 octets"),
    (
        Code::Malformed,
        &[keys!("ckn = \"01\"\ncak = { file = \"a\" }\nstart = ‸2027-01-01T02:00:00")],
        "time zone",
    ),
    (Code::Malformed, &[keys!("ckn = \"01\"\ncak = { file = \"a\" }\nstart = ‸\"tomorrow\"")], "RFC 3339"),
    (
        Code::Malformed,
        &[keys!("ckn = \"01\"\ncak = { file = \"a\" }\nend = ‸02:00:00")],
        "2027-01-01T02:00:00Z",
    ),
    (Code::WrongType, &[keys!("ckn = \"01\"\ncak = { file = \"a\" }\nstart = ‸12")], "a date and time"),
    (
        Code::KeyTimes,
        &[keys!(
            "ckn = \"01\"\ncak = { file = \"a\" }\nstart = 2020-01-01T00:00:00Z\nend = ‸2020-01-01T00:00:00Z"
        )],
        "ends before it starts",
    ),
    (Code::NoKeys, &[(STATIC, "‸[channel.macsec.mka]\npriority = 0\n")], "quadspan keygen"),
    (
        Code::KeyKinds,
        &[(
            STATIC,
            concat!(
                "‸[[channel.macsec.key]]\nckn = \"01\"\ncak = { file = \"a\" }\n",
                "[[channel.macsec.static.tx]]\nan = 0\nkey = { file = \"b\" }\n[[channel.macsec.static.rx]]\nsci = \"02000000bb02:0001\"\nan = 0\nkey = { file = \"c\" }\n"
            ),
        )],
        "MKA and static keys",
    ),
    (
        Code::KeysUnused,
        &[
            ("cipher = \"gcm-aes-256\"", "cipher = \"gcm-aes-256\"\npolicy = \"off\""),
            (STATIC, "‸[[channel.macsec.key]]\nckn = \"01\"\ncak = { file = \"a\" }\n"),
        ],
        "its policy is off",
    ),
    (
        Code::DuplicateCkn,
        &[keys!("ckn = \"0001\"\ncak = { file = \"a\" }", "ckn = ‸\"00:01\"\ncak = { file = \"b\" }")],
        "the same CKN",
    ),
    (
        Code::DuplicateCkn,
        &[
            keys!("ckn = \"0001\"\ncak = { file = \"a\" }", "ckn = ‸\"000100\"\ncak = { file = \"b\" }"; "ckn_padding = true"),
        ],
        "the same CKN",
    ),
    (Code::CknIsCak, &[keys!("ckn = ‸{ file = \"a\" }\ncak = { file = \"a\" }")], "sent in clear"),
    (
        Code::CknIsCak,
        &[keys!("ckn = \"01\"\ncak = { file = \"a\" }", "ckn = ‸{ file = \"a\" }\ncak = { file = \"b\" }")],
        "sent in clear",
    ),
    (
        Code::CknCakFiles,
        &[keys!("ckn = ‸{ file = \"k.cak\" }\ncak = { file = \"a\" }")],
        "name the `.ckn` file",
    ),
    (Code::CknCakFiles, &[keys!("ckn = \"01\"\ncak = ‸{ file = \"k.ckn\" }")], "name the `.cak` file"),
    (
        Code::SameCak,
        &[keys!("ckn = \"0001\"\ncak = { file = \"a\" }", "ckn = \"0002\"\ncak = ‸{ file = \"a\" }")],
        "another CKN as well",
    ),
    (
        Code::FallbackKeys,
        &[keys!(
            "ckn = \"01\"\ncak = { file = \"a\" }\nfallback = true",
            "ckn = \"02\"\ncak = { file = \"b\" }\nfallback = ‸true"
        )],
        "are the fallback",
    ),
    (
        Code::KeyGap,
        &[keys!("ckn = \"01\"\ncak = { file = \"a\" }\nstart = ‸2099-01-01T00:00:00+01:00")],
        "starts before 2098-12-31T23:00:00Z",
    ),
    (
        Code::KeyGap,
        &[keys!(
            "ckn = \"01\"\ncak = { file = \"a\" }\nend = 2098-01-01T00:00:00Z",
            "ckn = \"02\"\ncak = { file = \"b\" }\nstart = ‸\"2099-01-01T00:00:00Z\""
        )],
        "no key from 2098-01-01T00:00:00Z to 2099-01-01T00:00:00Z",
    ),
    (
        Code::KeyGap,
        &[(
            STATIC,
            "‸[[channel.macsec.key]]\nckn = \"01\"\ncak = { file = \"a\" }\nend = 2020-01-01T00:00:00Z\n",
        )],
        "has ended",
    ),
    (Code::ShortCak, &[keys!("ckn = \"01\"\ncak = ‸{ file = \"short\" }")], "128 bits"),
];

pub(crate) const SETTINGS: &[Case] = &[
    (Code::OutOfRange, &[keys!("ckn = \"01\"\ncak = { file = \"a\" }"; "priority = ‸256")], "0 to 255"),
    (Code::OutOfRange, &[keys!("ckn = \"01\"\ncak = { file = \"a\" }"; "version = ‸4")], "1 to 3"),
    (
        Code::OutOfRange,
        &[keys!("ckn = \"01\"\ncak = { file = \"a\" }"; "hello = ‸\"99ms\"")],
        "from 100ms to 1m",
    ),
    (
        Code::OutOfRange,
        &[keys!("ckn = \"01\"\ncak = { file = \"a\" }"; "rekey = ‸\"31d\"")],
        "from 1s to 30d",
    ),
    (
        Code::OutOfRange,
        &[keys!("ckn = \"01\"\ncak = { file = \"a\" }"; "ethertype = ‸0x88e5")],
        "another meaning",
    ),
    (Code::Malformed, &[keys!("ckn = \"01\"\ncak = { file = \"a\" }"; "rekey = ‸\"1 hour\"")], "8h"),
    (Code::WrongType, &[keys!("ckn = \"01\"\ncak = { file = \"a\" }"; "hello = ‸2000")], "in quotes"),
    (
        Code::Malformed,
        &[keys!("ckn = \"01\"\ncak = { file = \"a\" }"; "destination = ‸\"pae\"")],
        "MAC address",
    ),
    (
        Code::UnknownWord,
        &[keys!("ckn = \"01\"\ncak = { file = \"a\" }"; "icv_indicator = ‸\"alwasy\"")],
        "`always`",
    ),
    (Code::MkaTimers, &[keys!("ckn = \"01\"\ncak = { file = \"a\" }"; "life = ‸\"5s\"")], "life = \"6s\""),
    (
        Code::MkaTimers,
        &[keys!("ckn = \"01\"\ncak = { file = \"a\" }"; "hello = ‸\"2001ms\"")],
        "life = \"6s3ms\"",
    ),
    (
        Code::MkaTimers,
        &[keys!("ckn = \"01\"\ncak = { file = \"a\" }"; "life = ‸\"1499ms\"\ndelay_protect = true")],
        "three hellos of 500ms",
    ),
    (Code::CipherList, &[keys!("ckn = \"01\"\ncak = { file = \"a\" }"; "ciphers = ‸[]")], "name one"),
    (
        Code::CipherList,
        &[keys!("ckn = \"01\"\ncak = { file = \"a\" }"; "ciphers = [\"gcm-aes-256\", ‸\"gcm-aes-256\"]")],
        "stands twice",
    ),
    (
        Code::CipherList,
        &[keys!("ckn = \"01\"\ncak = { file = \"a\" }"; "ciphers = ‸[\"gcm-aes-128\", \"gcm-aes-256\"]")],
        "begins with gcm-aes-128",
    ),
    (
        Code::Offset,
        &[
            ("cipher = \"gcm-aes-256\"", "confidentiality_offset = ‸30"),
            keys!("ckn = \"01\"\ncak = { file = \"a\" }"; "ciphers = [\"gcm-aes-256\", \"gcm-aes-xpn-256\"]"),
        ],
        "gcm-aes-xpn-256 has no",
    ),
    (
        Code::ReplayWindow,
        &[
            ("cipher = \"gcm-aes-256\"", "replay_window = ‸1073741824"),
            keys!("ckn = \"01\"\ncak = { file = \"a\" }"; "ciphers = [\"gcm-aes-256\", \"gcm-aes-xpn-256\"]"),
        ],
        "0 to 1073741823",
    ),
];

pub(crate) const CLOUDS: &[Case] = &[
    (Code::ProfileRefuses, &[AWS, keys!("ckn = ‸\"0001\"\ncak = { file = \"a\" }")], "64 hexadecimal digits"),
    (
        Code::ProfileRefuses,
        &[AWS, keys!("ckn = { file = \"n\" }\ncak = ‸{ file = \"short\" }")],
        "a CAK of 32 digits",
    ),
    (
        Code::ProfileRefuses,
        &[
            ("profile = \"quadspan\"", "profile = \"azure-er-direct\""),
            (
                STATIC,
                "[[channel.macsec.key]]\nckn = \"01\"\ncak = { file = \"a\" }\n‸[[channel.macsec.key]]\nckn = \"02\"\ncak = { file = \"b\" }\n",
            ),
        ],
        "more than 1 MKA keys",
    ),
    (
        Code::ProfileRefuses,
        &[
            GCP,
            (
                STATIC,
                "‸[[channel.macsec.key]]\nckn = \"01\"\ncak = { file = \"a\" }\n[[channel.macsec.key]]\nckn = \"02\"\ncak = { file = \"b\" }\nstart = 2020-01-01T00:00:00Z\n",
            ),
        ],
        "without a start",
    ),
    (
        Code::ProfileRefuses,
        &[
            GCP,
            keys!(
                "ckn = \"01\"\ncak = { file = \"a\" }\nstart = 2020-01-01T05:59:00Z",
                "ckn = \"02\"\ncak = { file = \"b\" }\nstart = 2020-01-01T00:00:00Z"
            ),
            ("start = 2020-01-01T05:59:00Z", "start = ‸2020-01-01T05:59:00Z"),
        ],
        "six hours apart",
    ),
    (
        Code::ProfileWarns,
        &[
            GCP,
            ("mtu = 1500\n", ""),
            ("mtu = 1536", "mtu = 9000"),
            ("channel = \"ch2\"", "channel = \"ch2\"\nvlan = 7"),
            keys!("ckn = \"01\"\ncak = { file = \"a\" }"; "icv_indicator = ‸\"never\""),
        ],
        "expects an ICV indicator",
    ),
    (
        Code::ProfileRefuses,
        &[AWS, (STATIC, ONE), (ONE, "[channel.macsec.mka]\nciphers = [\"gcm-aes-256\", ‸\"gcm-aes-128\"]\n")],
        "use gcm-aes-xpn-256 or gcm-aes-256",
    ),
];
