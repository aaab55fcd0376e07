//! BGP and BFD of a connection: who we are, who the neighbours are, what passes.

use core::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
    time::Duration,
};

use net::IpNet;
use serde::{Serialize, Serializer};

use super::{BfdMode, GracefulRestart, Interface, LimitAction, Role, RouteOrigin, RouteSource, Verdict};
use crate::{
    raw::time::{Period, serialize_period},
    secret::{Secret, SecretRef},
};

/// Who we are to all neighbours of a connection.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Bgp {
    /// Our AS number, not one of the reserved ones.
    pub asn: u32,
    /// Our BGP identifier, not 0.0.0.0.
    pub router_id: Ipv4Addr,
    /// What we announce of our own.
    pub announce: Vec<Announce>,
    /// The most equal routes that share traffic, 1 to 64.
    pub multipath: u8,
    /// Whether they may come from different neighbouring ASes.
    pub multipath_across_as: bool,
    /// Whether MED is compared whatever AS routes come from.
    pub always_compare_med: bool,
}

/// Something of our own that is announced.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Announce {
    /// The subnets of the LANs.
    Lans,
    /// The subnets of the attachments.
    Attachments,
    /// The static routes.
    Static,
    /// This prefix, no bits behind its length.
    Prefix(IpNet),
}

/// A BGP neighbour.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Neighbor {
    /// What screens and logs call it, unique within the connection.
    pub name: String,
    /// Where it is.
    pub on: Interface,
    /// Its address: in a subnet of the interface, or link-local.
    pub address: IpAddr,
    /// Its AS number.
    pub asn: u32,
    /// Our AS number towards it, when it is not that of the connection.
    pub local_asn: Option<u32>,
    /// A remark for people.
    pub description: Option<String>,
    /// Password for TCP-MD5.
    pub password: Option<Password>,
    /// Hold time to propose: whole seconds, 3 to 65535.
    #[serde(serialize_with = "serialize_period")]
    pub hold: Duration,
    /// Time between KEEPALIVEs: whole seconds, at most a third of the hold time.
    #[serde(serialize_with = "serialize_period")]
    pub keepalive: Duration,
    /// Time between attempts to connect.
    #[serde(serialize_with = "serialize_period")]
    pub connect_retry: Duration,
    /// Longest time to leave it alone after it broke the protocol.
    #[serde(serialize_with = "serialize_period")]
    pub back_off: Duration,
    /// Never connect, only accept.
    pub passive: bool,
    /// TTL 255 both ways (RFC 5082).
    pub ttl_security: bool,
    /// Exchange IPv4 routes.
    pub ipv4: bool,
    /// Exchange IPv6 routes. One of the two is true.
    pub ipv6: bool,
    /// What to take; `None`: from an external neighbour nothing, from an internal one everything (RFC 8212).
    pub import: Option<RouteFilter>,
    /// What to announce; likewise.
    pub export: Option<RouteFilter>,
    /// The most prefixes to take.
    pub max_in: MaxIn,
    /// The most prefixes to announce.
    pub max_out: MaxOut,
    /// Our role (RFC 9234); external neighbours only.
    pub role: Option<Role>,
    /// Refuse a neighbour that does not tell its role.
    pub strict_role: bool,
    /// Graceful restart.
    pub graceful_restart: GracefulRestart,
    /// How long it shall keep our routes while we restart: whole seconds, at most 4095.
    #[serde(serialize_with = "serialize_period")]
    pub restart_time: Duration,
    /// Offer RFC 8538.
    pub restart_over_notification: bool,
    /// Longest use of stale routes once its session is back.
    #[serde(serialize_with = "serialize_period")]
    pub stale_time: Duration,
    /// How often our own AS may be in its paths.
    pub allow_own_as: u8,
    /// Replace its AS in paths to it by ours.
    pub replace_as: bool,
    /// Take private AS numbers out of paths to it.
    pub remove_private_as: bool,
    /// Its paths must begin with its own AS.
    pub enforce_first_as: bool,
    /// Take routes with an AS_SET.
    pub accept_as_sets: bool,
    /// Announce ourselves as next hop to an internal neighbour.
    pub next_hop_self: bool,
    /// Take IPv4 prefixes with IPv6 next hops (RFC 8950).
    pub ipv4_over_ipv6: bool,
    /// Offer messages of up to 65,535 octets (RFC 8654).
    pub extended_messages: bool,
    /// What BFD of its attachment or LAN does to the session; off when there is none.
    pub bfd: BfdMode,
}

/// A password of 1 to 80 octets for TCP-MD5.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Password {
    /// Where it was read from.
    pub from: SecretRef,
    /// The password. Not even a fingerprint of it is shown: people choose words, and words can be guessed from one.
    #[serde(skip)]
    pub secret: Secret,
}

/// What to take from a neighbour, or to announce to it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteFilter {
    /// Everything as it is.
    Accept,
    /// Nothing.
    Refuse,
    /// What this policy says (place in [`Connection::policies`](super::Connection::policies)).
    Policy(usize),
}

/// A number of prefixes for each family; `None`: as many as there are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Limits {
    /// IPv4 prefixes.
    pub ipv4: Option<u32>,
    /// IPv6 prefixes.
    pub ipv6: Option<u32>,
}

/// The most prefixes to take.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct MaxIn {
    /// How many.
    pub limits: Limits,
    /// Warn at this many per cent, 1 to 100.
    pub warn_percent: u8,
    /// What happens beyond.
    pub action: LimitAction,
    /// After [`LimitAction::Shut`]: start again after this time.
    #[serde(serialize_with = "optional_time")]
    pub restart: Option<Duration>,
}

/// The most prefixes to announce.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct MaxOut {
    /// How many.
    pub limits: Limits,
    /// Warn at this many per cent, 1 to 100.
    pub warn_percent: u8,
}

/// BFD with the peers of an attachment, or with the BGP neighbours on a LAN.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Bfd {
    /// Shortest time between packets we send: 10 ms to 30 s.
    #[serde(serialize_with = "serialize_period")]
    pub min_tx: Duration,
    /// Shortest time between packets we take: 10 ms to 30 s.
    #[serde(serialize_with = "serialize_period")]
    pub min_rx: Duration,
    /// How many packets in a row may be lost, from 1.
    pub multiplier: u8,
    /// What a session does to the attachment and to BGP.
    pub mode: BfdMode,
}

/// A policy: the first rule that matches decides.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Policy {
    /// Unique within the connection; neither `accept` nor `refuse`.
    pub name: String,
    /// What happens to what no rule matches.
    pub otherwise: Verdict,
    /// Its rules.
    #[serde(rename = "rule")]
    pub rules: Vec<Rule>,
}

/// A rule of a policy. Conditions that are not given hold.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Rule {
    /// What to call it.
    pub name: String,
    /// The prefix is in one of these; `None`: any. An empty list matches nothing.
    pub prefixes: Option<Vec<PrefixRange>>,
    /// One of these is on the route.
    pub communities: Vec<Community>,
    /// One of these is on the route.
    pub large_communities: Vec<LargeCommunity>,
    /// The neighbouring AS.
    pub from_as: Option<u32>,
    /// The originating AS.
    pub origin_as: Option<u32>,
    /// An AS in the path.
    pub contains_as: Option<u32>,
    /// Where we have it from.
    pub source: Option<RouteSource>,
    /// Its ORIGIN.
    pub origin: Option<RouteOrigin>,
    /// What the rule says.
    pub action: Verdict,
    /// Set LOCAL_PREF.
    pub local_pref: Option<u32>,
    /// Set MED.
    pub med: Option<u32>,
    /// Prepend this many times.
    pub prepend: u8,
    /// Set ORIGIN.
    pub set_origin: Option<RouteOrigin>,
    /// Take all communities off first.
    pub clear_communities: bool,
    /// Take these off.
    pub remove_communities: Vec<Community>,
    /// Put these on.
    pub add_communities: Vec<Community>,
    /// Take these off.
    pub remove_large: Vec<LargeCommunity>,
    /// Put these on.
    pub add_large: Vec<LargeCommunity>,
}

/// Prefixes inside `net` with lengths from `ge` to `le`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PrefixRange {
    /// The covering prefix, no bits behind its length.
    pub net: IpNet,
    /// Shortest length, at least that of `net`.
    pub ge: u8,
    /// Longest length, at least `ge`.
    pub le: u8,
}

impl fmt::Display for PrefixRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.net.fmt(f)?;
        match (self.ge == self.net.prefix_len(), self.le == self.net.prefix_len()) {
            (true, true) => Ok(()),
            (true, false) => write!(f, " le {}", self.le),
            (false, _) => write!(f, " ge {} le {}", self.ge, self.le),
        }
    }
}

impl Serialize for PrefixRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A community of RFC 1997 as one number: AS in the upper half.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Community(pub u32);

/// Well-known communities: RFC 1997, RFC 7999, RFC 8326.
const WELL_KNOWN: [(&str, u32); 5] = [
    ("no-export", 0xffff_ff01),
    ("no-advertise", 0xffff_ff02),
    ("no-export-subconfed", 0xffff_ff03),
    ("blackhole", 0xffff_029a),
    ("graceful-shutdown", 0xffff_0000),
];

impl FromStr for Community {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some((_, value)) = WELL_KNOWN.iter().find(|(name, _)| *name == text) {
            return Ok(Self(*value));
        }
        let [high, low] = numbers::<u16, 2>(text).ok_or(())?;
        Ok(Self(u32::from(high) << 16 | u32::from(low)))
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match WELL_KNOWN.iter().find(|(_, value)| *value == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{}:{}", self.0 >> 16, self.0 & 0xffff),
        }
    }
}

impl Serialize for Community {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A large community of RFC 8092.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct LargeCommunity(pub [u32; 3]);

impl FromStr for LargeCommunity {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        numbers::<u32, 3>(text).map(Self).ok_or(())
    }
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [global, local1, local2] = self.0;
        write!(f, "{global}:{local1}:{local2}")
    }
}

impl Serialize for LargeCommunity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `N` numbers joined by colons.
fn numbers<T: FromStr, const N: usize>(text: &str) -> Option<[T; N]> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|octet| octet.is_ascii_digit());
    let parts: Vec<T> = text
        .split(':')
        .map(|part| digits(part).then(|| part.parse().ok()).flatten())
        .collect::<Option<_>>()?;
    parts.try_into().ok()
}

fn optional_time<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(Period).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_read_as_they_are_written() {
        for text in ["7224:7300", "0:0", "65535:65535", "no-export", "graceful-shutdown", "blackhole"] {
            assert_eq!(text.parse::<Community>().unwrap().to_string(), text);
        }
        // RFC 8326: 65535:0 is GRACEFUL_SHUTDOWN.
        assert_eq!("65535:0".parse::<Community>().unwrap().to_string(), "graceful-shutdown");
        for text in ["65536:1", "1", "1:2:3", "a:b", "+1:2", "1:", ""] {
            assert_eq!(text.parse::<Community>(), Err(()), "{text}");
        }
        assert_eq!("4294967295:0:7".parse::<LargeCommunity>().unwrap().to_string(), "4294967295:0:7");
        assert!(
            "4294967296:0:7".parse::<LargeCommunity>().is_err() && "1:2".parse::<LargeCommunity>().is_err()
        );
    }
}
