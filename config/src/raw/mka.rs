//! `[[channel.macsec.key]]` and `[channel.macsec.mka]`: key agreement (IEEE 802.1X-2020 §9).

use std::borrow::Cow;

use net::{EtherType, MacAddr};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::{Spanned, de::DeValue};

use super::{
    kinds::{AnyMac, Int, List},
    macsec::{Cipher, KeyPlace},
    section::{section, words},
    time::{Lasting, Moment, Period},
    tree::{Kind, quoted, wrong_type},
};
use crate::{
    problem::{Code, Report},
    secret::{SecretRef, hex},
};

section! {
    /// A key of MKA: a CAK and its name. Of the keys that have started, the newest is used.
    pub(crate) MkaKey = "[[channel.macsec.key]]" {
        /// Its name: 1 to 32 octets in hexadecimal digits, or where they are, such as { file = "keys/ch1.ckn" }.
        ckn: CknKind => required;
        /// Where the CAK is: 16 or 32 octets in hexadecimal digits.
        cak: KeyPlace => required;
        /// When it starts. Default: it has started, before every key with a start.
        start: Moment => optional;
        /// When it ends. Default: never.
        end: Moment => optional;
        /// Used only when no other key has a peer.
        fallback: bool => default(false);
    }
}

section! {
    /// How MKA works.
    pub(crate) Mka = "[channel.macsec.mka]" {
        /// Key Server Priority: the lowest becomes key server; 255 never does.
        priority: Int<u8, 0, 255> => default(16);
        /// Highest version of MKA that is spoken.
        version: Int<u8, 1, 3> => default(3);
        /// Time between MKPDUs when nothing happens.
        hello: Lasting<100, 60_000> => default(Period::millis(2000));
        /// Silence after which a peer is gone: three hellos of the slowest member.
        life: Lasting<300, 600_000> => default(Period::millis(6000));
        /// Refuse frames that were delayed for more than two seconds; hellos come every 500 ms then.
        delay_protect: bool => default(false);
        /// Destination address of MKPDUs. Default: the PAE group address, 01:80:c2:00:00:03.
        destination: AnyMac => optional;
        /// EtherType of MKPDUs.
        ethertype: MkaType => default(EtherType::EAPOL.get());
        /// Fill up short CKNs with zero octets to 32, as some peers do.
        ckn_padding: bool => default(false);
        /// Send an ICV indicator. Default `auto`, as the peers do, or what the profile says.
        icv_indicator: IcvIndicator => optional;
        /// Announce our cipher suites.
        announce: bool => default(true);
        /// As key server, make a new SAK this often. Default: only when one is needed.
        rekey: Lasting<1000, 2_592_000_000> => optional;
        /// The longest that a peer may suspend MKA for a restart of its control plane; "0s": not at all.
        suspension_limit: Lasting<0, 3_600_000> => default(Period::millis(120_000));
        /// Cipher suites that may be used, the one we like best first. Default: `cipher` alone.
        ciphers: List<Cipher> => optional;
    }
}

words! {
    /// Whether an ICV indicator announces the ICV of MKPDUs.
    pub enum IcvIndicator {
        /// As the peers do.
        Auto = "auto",
        /// Always.
        Always = "always",
        /// Never.
        Never = "never",
    }
}

/// The name of a CAK, or where it is.
#[derive(Clone, Debug)]
pub(crate) enum CknPlace {
    /// These octets, 1 to 32.
    Octets(Vec<u8>),
    /// There.
    There(SecretRef),
}

/// Most octets of a CKN (802.1X-2020 §9.3.1).
pub(crate) const LONGEST_CKN: usize = 32;

/// What a CKN is written as.
#[derive(Debug)]
pub(crate) enum CknKind {}

impl JsonSchema for CknKind {
    fn schema_name() -> Cow<'static, str> {
        "CknPlace".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let octets = json_schema!({ "type": "string", "examples": ["71736368312d32303237"] });
        json_schema!({ "anyOf": [octets, generator.subschema_for::<KeyPlace>()] })
    }
}

impl Kind for CknKind {
    type Value = CknPlace;
    const EXAMPLE: &'static str = "\"71736368312d32303237\"";

    fn read(value: &Spanned<DeValue<'_>>, report: &mut Report) -> Option<CknPlace> {
        if value.get_ref().as_table().is_some() {
            return KeyPlace::read(value, report).map(CknPlace::There);
        }
        let Some(text) = value.get_ref().as_str() else {
            wrong_type::<Self>(value, "hexadecimal digits in quotes, or a reference,", report);
            return None;
        };
        let octets = hex(text).map(|octets| octets.to_vec()).unwrap_or_default();
        if (1..=LONGEST_CKN).contains(&octets.len()) {
            return Some(CknPlace::Octets(octets));
        }
        report.add(Code::Malformed, value.span().into(), format!("{} is not a CKN", quoted(text))).help(
            "a CKN is 1 to 32 octets, written as pairs of hexadecimal digits; both ends write the same",
        );
        None
    }
}

/// An EtherType that may carry MKPDUs.
#[derive(Debug)]
pub(crate) enum MkaType {}

impl JsonSchema for MkaType {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "MkaType".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Int::<u16, 0x600, 0xffff>::json_schema(generator)
    }
}

impl Kind for MkaType {
    type Value = u16;
    const EXAMPLE: &'static str = "0x888e";

    fn read(value: &Spanned<DeValue<'_>>, report: &mut Report) -> Option<u16> {
        /// What a channel sends besides MKPDUs: what they are told apart by cannot be theirs as well.
        const TAKEN: [EtherType; 6] = [
            EtherType::MACSEC,
            EtherType::VLAN,
            EtherType::SERVICE_VLAN,
            EtherType::IPV4,
            EtherType::IPV6,
            EtherType::ARP,
        ];
        let number = Int::<u16, 0x600, 0xffff>::read(value, report)?;
        if TAKEN.iter().all(|taken| taken.get() != number) {
            return Some(number);
        }
        report
            .add(
                Code::OutOfRange,
                value.span().into(),
                format!("EtherType {number:#06x} has another meaning"),
            )
            .help("MKPDUs have 0x888e, or what the peer is set to, such as 0x876f");
        None
    }
}

/// Where MKPDUs go when nothing is said: the PAE group address (802.1X-2020 Table 11-1).
pub(crate) const DESTINATION: MacAddr = MacAddr::PAE_GROUP;
