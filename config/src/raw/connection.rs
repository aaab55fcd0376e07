//! `[[connection]]` with its attachments, LANs and routes.

use core::{net::IpAddr, str::FromStr};
use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::{Spanned, de::DeValue};

use super::{
    bgp::{Bfd, Bgp, Neighbor, Policy},
    kinds::{Address, Device, Int, InterfaceAddress, List, Mac, Name, Prefix, Vlan},
    marking::CodePoint,
    quality::Quality,
    section::{section, words},
    time::{Lasting, Period},
    tree::{At, Kind, quoted, suggest, wrong_type},
};
use crate::{
    model::MssClamp,
    problem::{Code, Report},
};

section! {
    /// One customer's domain across an interconnect.
    pub(crate) Connection = "[[connection]]" {
        /// Its name in this file.
        name: Name => required;
        /// The interconnect it crosses.
        interconnect: Name => required;
        /// Route packets, or pass frames as a wire does.
        mode: Mode => default(Mode::Routed);
        /// How the attachments share the traffic.
        protection: Protection => default(Protection::Ecmp);
        /// How patient `active-standby` is.
        standby: Standby => optional;
        /// How the copies of `duplicate` are told from new frames, and which packets it is for when not for all.
        duplicate: Duplicate => optional;
        /// Bandwidth in Mbit/s, each way; what is more is dropped. Default: no limit.
        rate: Int<u32, 1, 400_000> => optional;
        /// How good each path is measured to be, and what follows from it.
        quality: Quality => optional;
        /// Lower the MSS of TCP connections that pass: to what fits, to a number, or not at all.
        mss_clamp: Mss => default(MssClamp::Off);
        /// Where the connection meets its channels.
        attachment: List<Attachment> => optional;
        /// Where it meets the customer.
        lan: List<Lan> => optional;
        /// Static routes.
        route: List<Route> => optional;
        /// BGP: who we are and what we announce.
        bgp: Bgp => optional;
        /// BGP neighbours, on attachments and LANs.
        neighbor: List<Neighbor> => optional;
        /// Policies that neighbours name: what to take and what to announce.
        policy: List<Policy> => optional;
    }
}

impl Attachment {
    /// The name of what it is on.
    pub(crate) fn link(&self) -> Option<&At<String>> {
        self.channel.as_ref().or(self.lag.as_ref())
    }
}

words! {
    /// What a connection carries.
    pub enum Mode {
        /// IP packets, routed by a table of its own.
        Routed = "routed",
        /// Ethernet frames, unchanged, between one LAN and the far LAN.
        Transparent = "transparent",
    }
}

words! {
    /// How the attachments of a connection share the traffic.
    pub enum Protection {
        /// Every flow takes one of the live attachments.
        Ecmp = "ecmp",
        /// The most preferred live attachment takes everything.
        ActiveStandby = "active-standby",
        /// Every frame takes the two most preferred live attachments, and the far end removes the copies.
        Duplicate = "duplicate",
    }
}

section! {
    /// For protection = "active-standby".
    pub(crate) Standby = "[connection.standby]" {
        /// How long an attachment that failed must be live before it is trusted again.
        hold_down: Lasting<0, 86_400_000> => default(Period::millis(10_000));
        /// How long a more preferred attachment must be live before traffic goes back to it.
        revert_delay: Lasting<0, 86_400_000> => default(Period::millis(60_000));
        /// Whether traffic goes back at all while the attachment that carries it lives.
        revert: bool => default(true);
    }
}

section! {
    /// For protection = "duplicate", or for classes with another one (IEEE 802.1CB).
    pub(crate) Duplicate = "[connection.duplicate]" {
        /// Frames that one path may be behind the other (frerSeqRcvyHistoryLength).
        history: Int<u16, 2, 32_768> => default(8192);
        /// Without a frame for so long, any number is the next one (frerSeqRcvyResetMSec).
        reset: Lasting<10, 60_000> => default(Period::millis(1000));
        /// Missing copies within 30 s that are no error yet (frerSeqRcvyLatentErrorDifference). Where fewer packets than this are sent twice
        /// in that time, nothing is ever told: set it lower there.
        latent_error_difference: Int<u32, 0, 4_294_967_295> => default(100);
        /// How often copies are counted (frerSeqRcvyLatentErrorPeriod).
        latent_error_period: Lasting<100, 3_600_000> => default(Period::millis(2000));
        /// With protection = "ecmp" or "active-standby": the packets that are duplicated all the same.
        class: List<DuplicateClass> => optional;
    }
}

section! {
    /// Packets that are duplicated on a connection that is not. All keys that are given must fit, by one element each; the first class
    /// that a packet fits is its class.
    pub(crate) DuplicateClass = "[[connection.duplicate.class]]" {
        /// Its name on screens and in metrics.
        name: Name => required;
        /// Packets with one of these DSCPs: numbers from 0 to 63, or names such as `EF`, `AF41` or `CS6`.
        dscp: List<CodePoint> => optional;
        /// Packets from one of these prefixes.
        source: List<Prefix> => optional;
        /// Packets to one of these prefixes.
        destination: List<Prefix> => optional;
    }
}

section! {
    /// A connection on one channel, or on one LAG.
    pub(crate) Attachment = "[[connection.attachment]]" {
        /// The channel; or else `lag`.
        channel: Name => optional;
        /// The LAG; or else `channel`.
        lag: Name => optional;
        /// VLAN inside the ciphertext. Default: untagged.
        vlan: Vlan => optional;
        /// Our addresses with the lengths of their subnets.
        address: List<InterfaceAddress> => optional;
        /// The far end's addresses, at most one for each of IPv4 and IPv6.
        peer: List<Address> => optional;
        /// Largest IP packet in octets. Default: what the channel leaves.
        mtu: Int<u16, 68, 65_535> => optional;
        /// Which attachment is preferred, where the protection makes a difference: the higher one.
        preference: Int<u32, 0, 65_535> => default(100);
        /// Our MAC address. Default: that of the channel's device.
        mac: Mac => optional;
        /// Give the host's own network stack this interface, by a TAP device.
        host: bool => default(false);
        /// Name of that device.
        host_device: Device => optional;
        /// BFD with the peers: finds a path that died in silence.
        bfd: Bfd => optional;
    }
}

section! {
    /// Where a connection meets the customer.
    pub(crate) Lan = "[[connection.lan]]" {
        /// The port.
        port: Name => required;
        /// VLAN on the port. Default: untagged.
        vlan: Vlan => optional;
        /// Our addresses with the lengths of their subnets.
        address: List<InterfaceAddress> => optional;
        /// Largest IP packet in octets. Default: the MTU of the device.
        mtu: Int<u16, 68, 65_535> => optional;
        /// Our MAC address. Default: that of the port's device.
        mac: Mac => optional;
        /// Give the host's own network stack this interface, by a TAP device.
        host: bool => default(false);
        /// Name of that device.
        host_device: Device => optional;
        /// BFD with the BGP neighbours there: ends their sessions when they fall silent.
        bfd: Bfd => optional;
    }
}

section! {
    /// A static route.
    pub(crate) Route = "[[connection.route]]" {
        /// Where to.
        prefix: Prefix => required;
        /// Over what: `attachments` (the peers of all live ones), a list of channels and LAGs, the address of a
        /// neighbour, `blackhole` or `unreachable`.
        via: Via => required;
    }
}

/// What a route leads to, as written.
#[derive(Clone, Debug)]
pub(crate) enum Via {
    Attachments,
    Channels(Vec<At<String>>),
    Neighbor(IpAddr),
    Blackhole,
    Unreachable,
}

const VIA_WORDS: [&str; 3] = ["attachments", "blackhole", "unreachable"];

impl JsonSchema for Via {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Via".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let neighbor = Address::json_schema(generator);
        let channels = List::<Name>::json_schema(generator);
        json_schema!({ "anyOf": [{ "enum": VIA_WORDS }, neighbor, channels] })
    }
}

impl Kind for Via {
    type Value = Self;
    const EXAMPLE: &'static str = "\"attachments\"";

    fn read(value: &Spanned<DeValue<'_>>, report: &mut Report) -> Option<Self> {
        if value.get_ref().as_array().is_some() {
            return List::<Name>::read(value, report).map(Self::Channels);
        }
        let Some(text) = value.get_ref().as_str() else {
            wrong_type::<Self>(value, "a word, an address or a list of channels", report);
            return None;
        };
        match text {
            "attachments" => Some(Self::Attachments),
            "blackhole" => Some(Self::Blackhole),
            "unreachable" => Some(Self::Unreachable),
            address => match IpAddr::from_str(address) {
                Ok(address) => Some(Self::Neighbor(address)),
                Err(_) => {
                    let message =
                        format!("{} is neither a next hop nor the address of a neighbour", quoted(text));
                    let found = report.add(Code::UnknownWord, value.span().into(), message);
                    suggest(
                        found,
                        text,
                        &VIA_WORDS,
                        "an address, a list of channels such as [\"ch1\", \"ch2\"], or one of",
                    );
                    None
                }
            },
        }
    }
}

/// Whether and how the MSS of TCP is lowered.
#[derive(Debug)]
pub(crate) enum Mss {}

const MSS_WORDS: [&str; 2] = ["auto", "off"];

impl JsonSchema for Mss {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Mss".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "enum": MSS_WORDS }, Int::<u16, 88, 65_495>::json_schema(generator)] })
    }
}

impl Kind for Mss {
    type Value = MssClamp;
    const EXAMPLE: &'static str = "\"auto\"";

    fn read(value: &Spanned<DeValue<'_>>, report: &mut Report) -> Option<MssClamp> {
        if value.get_ref().is_integer() {
            return Int::<u16, 88, 65_495>::read(value, report).map(MssClamp::Limit);
        }
        match super::kinds::word::<Self>(value, &MSS_WORDS, &[], report)? {
            "auto" => Some(MssClamp::Auto),
            _ => Some(MssClamp::Off),
        }
    }
}
