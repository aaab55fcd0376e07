//! `[channel.macsec]` and its keys.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::{Spanned, de::DeValue};

use super::{
    kinds::{AnyPath, Handle, Int, List, Salt, SciText},
    mka::{Mka, MkaKey},
    section::{section, words},
    tree::{Kind, wrong_type},
};
use crate::{
    problem::{Code, Report},
    secret::SecretRef,
};

section! {
    /// How a channel is protected.
    pub(crate) Macsec = "[channel.macsec]" {
        /// What happens to traffic that MACsec does not protect.
        policy: Policy => default(Policy::MustSecure);
        /// The cipher suite; both ends must use the same.
        cipher: Cipher => default(Cipher::GcmAesXpn256);
        /// Encrypt; false protects the integrity only.
        encrypt: bool => default(true);
        /// Octets of every frame left in clear: 0, 30 or 50. XPN suites know only 0.
        confidentiality_offset: Offset => default(0);
        /// What happens to received frames that are not valid.
        validate: Validate => default(Validate::Strict);
        /// Refuse frames that are older than the replay window.
        replay_protect: bool => default(true);
        /// How far frames may overtake each other, in packets. Default 0, or what the profile says.
        replay_window: Int<u32, 0, 4_294_967_295> => optional;
        /// Also refuse duplicates inside the window (stricter than 802.1AE).
        replay_strict: bool => default(false);
        /// Put the SCI into every frame. Default true, but for the forms `end_station` and `scb`.
        include_sci: bool => optional;
        /// Send the End Station form: no SCI, receivers take the source MAC with port identifier 1.
        end_station: bool => default(false);
        /// Send the Single Copy Broadcast form of EPON: no SCI, port identifier 0.
        scb: bool => default(false);
        /// Port identifier of our SCI, behind the MAC address of the device.
        port_id: Int<u16, 1, 65_535> => default(1);
        /// Our whole SCI, where it is not made of the MAC address of the device.
        sci: SciText => optional;
        /// Keys that are set by hand and stay.
        static_keys["static"]: StaticKeys => optional;
        /// Keys of MKA, which agrees on everything else by itself.
        key: List<MkaKey> => optional;
        /// How MKA works, where its defaults do not suit the peer.
        mka: Mka => optional;
    }
}

words! {
    /// What happens to traffic that MACsec does not protect.
    pub enum Policy {
        /// No MACsec, no traffic.
        MustSecure = "must-secure",
        /// Clear text where MACsec is not available.
        ShouldSecure = "should-secure",
        /// Everything in clear.
        Off = "off",
    }
}

words! {
    /// Cipher suites of IEEE 802.1AE-2018 (§14.5 to §14.8).
    pub enum Cipher {
        /// GCM-AES-128: 16 octets of key, 32-bit packet numbers.
        GcmAes128 = "gcm-aes-128",
        /// GCM-AES-256: 32 octets of key, 32-bit packet numbers.
        GcmAes256 = "gcm-aes-256",
        /// GCM-AES-XPN-128: 16 octets of key, 64-bit packet numbers.
        GcmAesXpn128 = "gcm-aes-xpn-128",
        /// GCM-AES-XPN-256: 32 octets of key, 64-bit packet numbers.
        GcmAesXpn256 = "gcm-aes-xpn-256",
    }
}

words! {
    /// validateFrames of IEEE 802.1AE-2018 (§10.7.8).
    pub enum Validate {
        /// Frames that are not valid are dropped.
        Strict = "strict",
        /// They are counted and delivered where they can be.
        Check = "check",
        /// Nothing is validated.
        Disabled = "disabled",
        /// Frames pass as they are; sending is not protected either.
        Null = "null",
    }
}

section! {
    /// Keys that are set by hand and stay.
    pub(crate) StaticKeys = "[channel.macsec.static]" {
        /// Keys to send with; the first one is used.
        tx: List<TxKey> => optional;
        /// Keys to receive with.
        rx: List<RxKey> => optional;
    }
}

section! {
    /// A key to send with.
    pub(crate) TxKey = "[[channel.macsec.static.tx]]" {
        /// Association number.
        an: Int<u8, 0, 3> => required;
        /// Where the key is.
        key: KeyPlace => required;
        /// Salt of 12 octets, 24 hexadecimal digits (XPN suites only).
        salt: Salt => optional;
        /// Short SCI of the sender (XPN suites only).
        ssci: Int<u32, 1, 4_294_967_295> => optional;
    }
}

section! {
    /// A key to receive with.
    pub(crate) RxKey = "[[channel.macsec.static.rx]]" {
        /// The SCI of the peer's secure channel.
        sci: SciText => required;
        /// Association number.
        an: Int<u8, 0, 3> => required;
        /// Where the key is.
        key: KeyPlace => required;
        /// Salt of 12 octets, 24 hexadecimal digits (XPN suites only).
        salt: Salt => optional;
        /// Short SCI of the peer (XPN suites only).
        ssci: Int<u32, 1, 4_294_967_295> => optional;
    }
}

/// A confidentiality offset.
#[derive(Debug)]
pub(crate) enum Offset {}

impl JsonSchema for Offset {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Offset".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": [0, 30, 50] })
    }
}

impl Kind for Offset {
    type Value = u8;
    const EXAMPLE: &'static str = "0";

    fn read(value: &Spanned<DeValue<'_>>, report: &mut Report) -> Option<u8> {
        let offset = Int::<u8, 0, 50>::read(value, report)?;
        if matches!(offset, 0 | 30 | 50) {
            return Some(offset);
        }
        report
            .add(
                Code::OutOfRange,
                value.span().into(),
                format!("a confidentiality offset of {offset} does not exist"),
            )
            .help("write 0, 30 (shows IPv4 headers) or 50 (shows IPv6 headers)");
        None
    }
}

section! {
    /// Where a key is; exactly one of the three.
    pub(crate) KeyTable = "a key reference" {
        /// A file with the key in hexadecimal digits; relative to the configuration file.
        file: AnyPath => optional;
        /// A credential that systemd passed (LoadCredential=).
        credential: Handle => optional;
        /// An environment variable.
        env: Handle => optional;
    }
}

/// A reference to a key, never the key.
#[derive(Debug)]
pub(crate) enum KeyPlace {}

impl JsonSchema for KeyPlace {
    fn schema_name() -> Cow<'static, str> {
        "KeyPlace".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = KeyTable::json_schema(generator);
        schema.insert("minProperties".into(), 1.into());
        schema.insert("maxProperties".into(), 1.into());
        schema
    }
}

impl Kind for KeyPlace {
    type Value = SecretRef;
    const EXAMPLE: &'static str = "{ file = \"keys/ch1.sak\" }";

    fn read(value: &Spanned<DeValue<'_>>, report: &mut Report) -> Option<SecretRef> {
        let span = value.span().into();
        if value.get_ref().as_str().is_some() || value.get_ref().as_integer().is_some() {
            report
                .add(Code::LiteralSecret, span, "keys do not stand in the configuration")
                .label("a key, or something like it")
                .help("put the key into a file of its own (chmod 600) and write { file = \"…\" } here, or { credential = \"…\" }, or { env = \"…\" }");
            return None;
        }
        let Some(table) = value.get_ref().as_table() else {
            wrong_type::<Self>(value, "a reference to a key", report);
            return None;
        };
        let given = table.len();
        let table = KeyTable::read_table(table, span, report);
        let place = match (table.file, table.credential, table.env) {
            (Some(file), None, None) => Some(SecretRef::File(file.value)),
            (None, Some(credential), None) => Some(SecretRef::Credential(credential.value)),
            (None, None, Some(env)) => Some(SecretRef::Env(env.value)),
            _ => None,
        };
        if place.is_none() && given != 1 {
            report
                .add(Code::Malformed, span, "a key is in exactly one place: `file`, `credential` or `env`")
                .help(format!("for example {}", Self::EXAMPLE));
        }
        place
    }
}
