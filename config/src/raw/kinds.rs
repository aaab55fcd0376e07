//! The kinds of values that keys take. Each is a type without values: it only says how to read and
//! how to describe.

use core::{
    any::type_name,
    marker::PhantomData,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};
use std::{borrow::Cow, path::PathBuf};

use net::{IpNet, MacAddr, VlanId};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::{
    Spanned,
    de::{DeInteger, DeValue},
};

use super::tree::{At, Kind, quoted, suggest, wrong_type};
use crate::{
    model::Sci,
    problem::{Code, Report},
};

type Value<'a> = Spanned<DeValue<'a>>;

/// A word out of `known`; the common part of every enum.
pub(crate) fn word<'v, K: Kind>(
    value: &'v Value<'_>,
    known: &[&str],
    later: &[(&str, &str)],
    report: &mut Report,
) -> Option<&'v str> {
    let Some(text) = value.get_ref().as_str() else {
        wrong_type::<K>(value, "a word in quotes", report);
        return None;
    };
    let span = value.span().into();
    if let Some((_, why)) = later.iter().find(|(word, _)| *word == text) {
        report.add(Code::NotYet, span, format!("{} is not part of this version", quoted(text))).help(*why);
        return None;
    }
    if !known.contains(&text) {
        let found =
            report.add(Code::UnknownWord, span, format!("{} is not one of the words here", quoted(text)));
        suggest(found, text, known, "one of");
        return None;
    }
    Some(text)
}

/// Makes kinds that are texts with a rule: `fn(&str) -> Result<T, String>`.
macro_rules! texts {
    ($($(#[doc = $doc:literal])+ $name:ident: $value:ty = $example:literal, $parse:expr;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub(crate) enum $name {}

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "examples": [$example.trim_matches('"')] })
            }
        }

        impl $crate::raw::Kind for $name {
            type Value = $value;
            const EXAMPLE: &'static str = $example;

            fn read(
                value: &toml::Spanned<toml::de::DeValue<'_>>,
                report: &mut $crate::problem::Report,
            ) -> Option<$value> {
                $crate::raw::kinds::text::<Self, $value>(value, $parse, report)
            }
        }
    )+};
}

pub(crate) use texts;

/// A text that follows a rule; what [`texts!`] makes kinds with.
pub(crate) fn text<K: Kind, T>(
    value: &Value<'_>,
    parse: fn(&str) -> Result<T, String>,
    report: &mut Report,
) -> Option<T> {
    let Some(text) = value.get_ref().as_str() else {
        wrong_type::<K>(value, "a text in quotes", report);
        return None;
    };
    match parse(text) {
        Ok(parsed) => Some(parsed),
        Err(why) => {
            report
                .add(Code::Malformed, value.span().into(), format!("{} {why}", quoted(text)))
                .help(format!("for example {}", K::EXAMPLE));
            None
        }
    }
}

texts! {
    /// A name that screens, metrics and other sections use.
    Name: String = "\"blue\"", name;
    /// A network interface of Linux.
    Device: String = "\"ens1f0\"", device;
    /// An absolute path.
    AbsolutePath: PathBuf = "\"/var/lib/quadspan\"", absolute_path;
    /// A path, relative to the file it stands in.
    AnyPath: PathBuf = "\"keys/ch1.sak\"", any_path;
    /// A filter for logs.
    Filter: String = "\"info\"", filter;
    /// The name of a credential or of an environment variable.
    Handle: String = "\"ch1-sak\"", handle;
    /// A MAC address of one station.
    Mac: MacAddr = "\"02:00:5e:10:00:01\"", unicast_mac;
    /// A MAC address of one station or of a group.
    AnyMac: MacAddr = "\"01:80:c2:00:00:03\"", any_mac;
    /// An address with the length of its subnet.
    InterfaceAddress: IpNet = "\"169.254.10.1/30\"", network;
    /// A destination.
    Prefix: IpNet = "\"10.2.0.0/24\"", network;
    /// An IPv4 or IPv6 address.
    Address: IpAddr = "\"169.254.10.2\"", address;
    /// An address and a port.
    Endpoint: SocketAddr = "\"127.0.0.1:9477\"", endpoint;
    /// A secure channel identifier.
    SciText: Sci = "\"02005e100001:0001\"", |text| Sci::from_str(text).map_err(|why| why.to_string());
    /// Twelve octets for the nonces of an XPN suite.
    Salt: [u8; 12] = "\"0102030405060708090a0b0c\"", salt;
}

fn endpoint(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "is not an address with a port: write 127.0.0.1:9477 or [::1]:9477".to_owned())
}

fn name(text: &str) -> Result<String, String> {
    let fits = text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if fits {
        Ok(text.into())
    } else {
        Err("is not a name: 1 to 63 letters, digits, `.`, `_` and `-`, a letter or digit first".into())
    }
}

/// The kernel's rule, `dev_valid_name`: 1 to 15 octets, no `/`, `:` or white space, neither `.` nor `..`.
fn device(text: &str) -> Result<String, String> {
    let fits = (1..=15).contains(&text.len())
        && !matches!(text, "." | "..")
        && !text.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control());
    if fits {
        Ok(text.into())
    } else {
        Err("is not an interface name: 1 to 15 octets, no `/`, `:` or spaces".into())
    }
}

fn any_path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') { Err("is not a path".into()) } else { Ok(text.into()) }
}

fn absolute_path(text: &str) -> Result<PathBuf, String> {
    any_path(text)
        .and_then(|path| if path.is_absolute() { Ok(path) } else { Err("does not start with `/`".into()) })
}

fn filter(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if fits { Ok(text.into()) } else { Err("is not a log filter".into()) }
}

fn handle(text: &str) -> Result<String, String> {
    // Both end up as names in a directory or in the environment, where these have meanings.
    let fits = !text.is_empty() && !text.contains(['/', '=', '\0']) && !matches!(text, "." | "..");
    if fits { Ok(text.into()) } else { Err("is not a name: no `/` and no `=`".into()) }
}

fn unicast_mac(text: &str) -> Result<MacAddr, String> {
    let mac = any_mac(text)?;
    if mac.is_group() {
        return Err("is a group address; one station's is needed (even first octet)".into());
    }
    Ok(mac)
}

fn any_mac(text: &str) -> Result<MacAddr, String> {
    let mac = MacAddr::from_str(text).map_err(|_| "is not a MAC address: six pairs of hexadecimal digits")?;
    if mac == MacAddr::ZERO { Err("is the address of nobody".into()) } else { Ok(mac) }
}

fn network(text: &str) -> Result<IpNet, String> {
    IpNet::from_str(text).map_err(|_| {
        if IpAddr::from_str(text).is_ok() {
            "has no prefix length".into()
        } else {
            "is not an address with a prefix length".into()
        }
    })
}

fn address(text: &str) -> Result<IpAddr, String> {
    IpAddr::from_str(text).map_err(|_| {
        if IpNet::from_str(text).is_ok() {
            "has a prefix length; only the address belongs here".into()
        } else {
            "is not an IPv4 or IPv6 address".into()
        }
    })
}

fn salt(text: &str) -> Result<[u8; 12], String> {
    let octets = crate::secret::hex(text).ok_or("is not made of pairs of hexadecimal digits")?;
    let found = octets.len() * 2;
    <[u8; 12]>::try_from(&octets[..]).map_err(|_| format!("has {found} hexadecimal digits, not 24"))
}

/// A number from `MIN` to `MAX`.
#[derive(Debug)]
pub(crate) struct Int<T, const MIN: i64, const MAX: i64>(PhantomData<T>);

impl<T, const MIN: i64, const MAX: i64> JsonSchema for Int<T, MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}_{MIN}_{MAX}", type_name::<T>()).into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

impl<T: TryFrom<i64>, const MIN: i64, const MAX: i64> Kind for Int<T, MIN, MAX> {
    type Value = T;
    const EXAMPLE: &'static str = "1500";

    fn read(value: &Value<'_>, report: &mut Report) -> Option<T> {
        let Some(integer) = value.get_ref().as_integer() else {
            wrong_type::<Self>(value, "a number", report);
            return None;
        };
        let number = number(integer).filter(|number| (MIN..=MAX).contains(number));
        let fits = number.and_then(|number| T::try_from(number).ok());
        if fits.is_none() {
            report
                .add(Code::OutOfRange, value.span().into(), format!("{integer} is out of range"))
                .label(format!("{MIN} to {MAX}"))
                .help(format!("write a number from {MIN} to {MAX}"));
        }
        fits
    }
}

/// `None` when it does not even fit 64 bits.
fn number(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// The version of the language.
#[derive(Debug)]
pub(crate) enum SchemaVersion {}

impl JsonSchema for SchemaVersion {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SchemaVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "const": 1 })
    }
}

impl Kind for SchemaVersion {
    type Value = ();
    const EXAMPLE: &'static str = "1";

    fn read(value: &Value<'_>, report: &mut Report) -> Option<()> {
        let Some(integer) = value.get_ref().as_integer() else {
            wrong_type::<Self>(value, "a number", report);
            return None;
        };
        if number(integer) != Some(1) {
            report
                .add(
                    Code::SchemaVersion,
                    value.span().into(),
                    format!("this program does not know schema {integer}"),
                )
                .help("write schema = 1, or use the version of the program that the file was written for");
        }
        Some(())
    }
}

/// A VLAN that may be named, 1 to 4094 (802.1Q Table 9-2).
#[derive(Debug)]
pub(crate) enum Vlan {}

impl JsonSchema for Vlan {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Vlan".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Int::<u16, 1, 4094>::json_schema(generator)
    }
}

impl Kind for Vlan {
    type Value = VlanId;
    const EXAMPLE: &'static str = "100";

    fn read(value: &Value<'_>, report: &mut Report) -> Option<VlanId> {
        Int::<u16, 1, 4094>::read(value, report).and_then(VlanId::new)
    }
}

/// `true` or `false`.
impl Kind for bool {
    type Value = Self;
    const EXAMPLE: &'static str = "true";

    fn read(value: &Value<'_>, report: &mut Report) -> Option<Self> {
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            wrong_type::<Self>(value, "true or false", report);
        }
        flag
    }
}

/// A list of one kind of values, or of sections.
#[derive(Debug)]
pub(crate) struct List<K>(PhantomData<K>);

impl<K: JsonSchema> JsonSchema for List<K> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("List_of_{}", K::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": generator.subschema_for::<K>() })
    }
}

impl<K: Kind> Kind for List<K> {
    type Value = Vec<At<K::Value>>;
    const EXAMPLE: &'static str = K::EXAMPLE;

    /// `None` when one element is wrong, after all of them were looked at: half a list is not checked further.
    fn read(value: &Value<'_>, report: &mut Report) -> Option<Self::Value> {
        let Some(array) = value.get_ref().as_array() else {
            if value.get_ref().as_table().is_some() && K::EXAMPLE.starts_with("[[") {
                report
                    .add(
                        Code::WrongType,
                        value.span().into(),
                        "there may be several of these: a list of tables is needed",
                    )
                    .help(format!("write {} with two brackets", K::EXAMPLE));
            } else {
                wrong_list::<K>(value, report);
            }
            return None;
        };
        let read = |element: &Value<'_>| {
            let span = element.span().into();
            K::read(element, report).map(|value| At { value, span })
        };
        array.iter().map(read).collect::<Vec<_>>().into_iter().collect()
    }
}

fn wrong_list<K: Kind>(value: &Value<'_>, report: &mut Report) {
    let found = value.get_ref().type_str();
    let finding =
        report.add(Code::WrongType, value.span().into(), format!("a list is needed here, not one {found}"));
    if K::EXAMPLE.starts_with("[[") {
        finding.help(format!("write a section {}", K::EXAMPLE));
    } else {
        finding.help(format!("put it in brackets: [{}]", K::EXAMPLE));
    }
}

/// The elements of a list that may be absent.
pub(crate) fn items<T>(field: &Option<At<Vec<At<T>>>>) -> &[At<T>] {
    field.as_ref().map_or(&[], |list| &list.value)
}
