//! `[connection.bgp]`, `[[connection.neighbor]]`, `[[connection.policy]]` and `[connection.attachment.bfd]`.

use core::{
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};
use std::borrow::Cow;

use net::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::{Spanned, de::DeValue};

use super::{
    kinds::{Address, Int, List, Name, Prefix, Vlan, texts},
    macsec::KeyPlace,
    section::{section, words},
    time::Lasting,
    tree::{Kind, quoted, suggest, wrong_type},
};
use crate::{
    model::{Community, LargeCommunity, PrefixRange},
    problem::{Code, Report},
};

type Asn = Int<u32, 1, 4_294_967_295>;
type Number = Int<u32, 0, 4_294_967_295>;

section! {
    /// BGP of a connection: who we are and what we announce.
    pub(crate) Bgp = "[connection.bgp]" {
        /// Our AS number.
        asn: Asn => required;
        /// Our BGP identifier. Default: the first IPv4 address of the LANs, then of the attachments.
        router_id: RouterId => optional;
        /// What we announce: `lans` (their subnets), `attachments` (theirs), `static` (static routes), and prefixes.
        announce: List<Announced> => optional;
        /// The most equal routes that share the traffic of a prefix.
        multipath: Int<u8, 1, 64> => default(16);
        /// Routes may share traffic although they come from different neighbouring ASes.
        multipath_across_as: bool => default(false);
        /// Compare MED whatever AS the routes come from.
        always_compare_med: bool => default(false);
    }
}

section! {
    /// A BGP neighbour.
    pub(crate) Neighbor = "[[connection.neighbor]]" {
        /// Where it is: the channel of an attachment, or the port of a LAN.
        on: Name => required;
        /// VLAN of that LAN, where the connection has several on the port.
        vlan: Vlan => optional;
        /// What screens and logs call it. Default: its address and where it is.
        name: Name => optional;
        /// Its address. Default: the first `peer` of the attachment.
        address: Address => optional;
        /// Its AS number.
        asn: Asn => required;
        /// Our AS number towards it, when it is not that of the connection.
        local_asn: Asn => optional;
        /// A remark for people.
        description: Remark => optional;
        /// Where the password for TCP-MD5 (RFC 2385) is. Default: none.
        password: KeyPlace => optional;
        /// Hold time to propose. Default: what the profile says, 90 s otherwise.
        hold: Lasting<3_000, 65_535_000> => optional;
        /// Time between KEEPALIVEs. Default: what the profile says, a third of the hold time otherwise.
        keepalive: Lasting<1_000, 21_845_000> => optional;
        /// Time between attempts to connect.
        connect_retry: Lasting<1_000, 3_600_000> => optional;
        /// Longest time to leave it alone after it broke the protocol; the first time it is a second.
        back_off: Lasting<1_000, 3_600_000> => optional;
        /// Wait for the neighbour to connect.
        passive: bool => default(false);
        /// Send with TTL 255 and take nothing that a router has forwarded (GTSM, RFC 5082).
        ttl_security: bool => default(false);
        /// Which routes to exchange. Default: those of the family of its address.
        families: List<Family> => optional;
        /// What to take: `accept`, `refuse`, or the name of a policy. Without it an external neighbour gives nothing.
        import: Name => optional;
        /// What to announce: likewise. Without it an external neighbour gets nothing (RFC 8212).
        export: Name => optional;
        /// The most prefixes to take.
        max_in: MaxIn => optional;
        /// The most prefixes to announce. Default: what the profile says.
        max_out: MaxOut => optional;
        /// Our role towards it (RFC 9234): keeps routes from leaking.
        role: Role => optional;
        /// Refuse a neighbour that does not tell its role.
        strict_role: bool => default(false);
        /// How much of graceful restart (RFC 4724) to do. Default: `helper`, but `off` where the profile advises it.
        graceful_restart: GracefulRestart => optional;
        /// How long it shall keep our routes while we restart (`unplanned` and `full`).
        restart_time: Lasting<1_000, 4_095_000> => optional;
        /// Keep routes over a NOTIFICATION too (RFC 8538).
        restart_over_notification: bool => default(false);
        /// Longest use of stale routes once its session is back.
        stale_time: Lasting<1_000, 86_400_000> => optional;
        /// How often our own AS may be in its paths: sites of one AS behind one cloud.
        allow_own_as: Int<u8, 0, 10> => default(0);
        /// Replace its AS in paths to it by ours, so that it takes routes of its own other sites.
        replace_as: bool => default(false);
        /// Take private AS numbers out of paths to it.
        remove_private_as: bool => default(false);
        /// Its paths must begin with its own AS.
        enforce_first_as: bool => default(true);
        /// Take routes with an AS_SET, against RFC 9774.
        accept_as_sets: bool => default(false);
        /// Announce ourselves as next hop (internal neighbours).
        next_hop_self: bool => default(false);
        /// Take IPv4 prefixes with IPv6 next hops (RFC 8950).
        ipv4_over_ipv6: bool => default(false);
        /// Offer messages of up to 65,535 octets (RFC 8654).
        extended_messages: bool => default(false);
        /// What BFD does to the session. Default: the mode of the BFD of its attachment or LAN.
        bfd: BfdMode => optional;
    }
}

section! {
    /// The most prefixes to take from a neighbour.
    pub(crate) MaxIn = "[connection.neighbor.max_in]" {
        /// IPv4 prefixes.
        ipv4: Number => optional;
        /// IPv6 prefixes.
        ipv6: Number => optional;
        /// Warn at this many per cent.
        warn: Int<u8, 1, 100> => default(80);
        /// What happens beyond: `warn` takes them, `hold` takes no more, `shut` ends the session. So it is too when a reload lowers the limit:
        /// `hold` keeps what is there.
        action: LimitAction => default(LimitAction::Hold);
        /// After `shut`, start again after this time. Default: when asked to.
        restart: Lasting<1_000, 86_400_000> => optional;
    }
}

section! {
    /// The most prefixes to announce to a neighbour: what it would end the session for is never sent.
    pub(crate) MaxOut = "[connection.neighbor.max_out]" {
        /// IPv4 prefixes.
        ipv4: Number => optional;
        /// IPv6 prefixes.
        ipv6: Number => optional;
        /// Warn at this many per cent.
        warn: Int<u8, 1, 100> => default(80);
    }
}

section! {
    /// BFD with the peers of an attachment, or with the BGP neighbours on a LAN (RFC 5880, 5881).
    pub(crate) Bfd = "[connection.attachment.bfd]" {
        /// What a session does to the attachment and to BGP; on a LAN to BGP only.
        mode: BfdMode => default(BfdMode::Follow);
        /// Shortest time between packets we send. Default: what the profile says, 300 ms otherwise.
        min_tx: Lasting<10, 30_000> => optional;
        /// Shortest time between packets we take. Default: the same.
        min_rx: Lasting<10, 30_000> => optional;
        /// How many packets in a row may be lost. Default: what the profile says, 3 otherwise.
        multiplier: Int<u8, 1, 255> => optional;
    }
}

section! {
    /// A policy: the first rule that matches decides.
    pub(crate) Policy = "[[connection.policy]]" {
        /// Its name.
        name: Name => required;
        /// What happens to what no rule matches: `accept` or `refuse`.
        otherwise: Verdict => default(Verdict::Refuse);
        /// Its rules.
        rule: List<Rule> => optional;
    }
}

section! {
    /// A rule: when all it asks for holds, it decides, and what it sets is set.
    pub(crate) Rule = "[[connection.policy.rule]]" {
        /// What to call it when somebody asks why.
        name: Name => optional;
        /// Prefixes, such as `10.0.0.0/8`, `10.0.0.0/8 le 24`, `10.0.0.0/8 ge 16 le 24`.
        prefix: List<Range> => optional;
        /// One of these communities is on the route.
        community: List<CommunityText> => optional;
        /// One of these large communities is on the route.
        large_community: List<LargeCommunityText> => optional;
        /// The route came from this neighbouring AS.
        from_as: Asn => optional;
        /// This AS originated it.
        origin_as: Asn => optional;
        /// This AS is in the path.
        contains_as: Asn => optional;
        /// Where we have it from.
        source: RouteSource => optional;
        /// Its ORIGIN.
        origin: RouteOrigin => optional;
        /// `accept` or `refuse`.
        action: Verdict => default(Verdict::Accept);
        /// Set LOCAL_PREF.
        local_pref: Number => optional;
        /// Set MED.
        med: Number => optional;
        /// Put our AS in front this many times more (export), or the neighbour's (import).
        prepend: Int<u8, 0, 32> => default(0);
        /// Set ORIGIN.
        set_origin: RouteOrigin => optional;
        /// Take all communities off first.
        clear_communities: bool => default(false);
        /// Take these communities off.
        remove_community: List<CommunityText> => optional;
        /// Put these communities on.
        add_community: List<CommunityText> => optional;
        /// Take these large communities off.
        remove_large_community: List<LargeCommunityText> => optional;
        /// Put these large communities on.
        add_large_community: List<LargeCommunityText> => optional;
    }
}

words! {
    /// An address family.
    pub enum Family {
        /// IPv4 unicast.
        Ipv4 = "ipv4",
        /// IPv6 unicast.
        Ipv6 = "ipv6",
    }
}

words! {
    /// What happens when a neighbour announces too many prefixes.
    pub enum LimitAction {
        /// All are taken; the log says so.
        Warn = "warn",
        /// No more are taken until there is room.
        Hold = "hold",
        /// The session ends.
        Shut = "shut",
    }
}

words! {
    /// What BFD does to an attachment and to BGP sessions.
    pub enum BfdMode {
        /// There is none, or it does nothing.
        Off = "off",
        /// What was up and goes down takes the attachment and the session down.
        Follow = "follow",
        /// The attachment and the session also wait until BFD is up.
        Strict = "strict",
    }
}

words! {
    /// How much of graceful restart to do.
    pub enum GracefulRestart {
        /// Routes go with the session.
        Off = "off",
        /// Keep the neighbour's routes while it restarts.
        Helper = "helper",
        /// Also ask it to keep ours when this gateway dies; one that is stopped says goodbye.
        Unplanned = "unplanned",
        /// Also ask it to keep ours when this gateway is stopped.
        Full = "full",
    }
}

words! {
    /// Our role towards a neighbour (RFC 9234).
    pub enum Role {
        /// We give it transit.
        Provider = "provider",
        /// It gives us transit.
        Customer = "customer",
        /// We exchange our own and our customers' routes.
        Peer = "peer",
        /// We are a route server.
        RouteServer = "route-server",
        /// It is a route server.
        RouteServerClient = "route-server-client",
    }
}

words! {
    /// What a policy says.
    pub enum Verdict {
        /// The route passes.
        Accept = "accept",
        /// It does not.
        Refuse = "refuse",
    }
}

words! {
    /// Where we have a route from.
    pub enum RouteSource {
        /// It is our own.
        Own = "own",
        /// From a neighbour in our AS.
        Internal = "internal",
        /// From a neighbour in another AS.
        External = "external",
    }
}

words! {
    /// ORIGIN of RFC 4271.
    pub enum RouteOrigin {
        /// IGP.
        Igp = "igp",
        /// EGP.
        Egp = "egp",
        /// INCOMPLETE.
        Incomplete = "incomplete",
    }
}

texts! {
    /// A BGP identifier.
    RouterId: Ipv4Addr = "\"192.0.2.1\"", router_id;
    /// A remark.
    Remark: String = "\"Direct Connect, router 1\"", remark;
    /// A prefix and the lengths meant inside it.
    Range: PrefixRange = "\"10.0.0.0/8 le 24\"", range;
    /// A community (RFC 1997).
    CommunityText: Community = "\"7224:7300\"", community;
    /// A large community (RFC 8092).
    LargeCommunityText: LargeCommunity = "\"64512:1:2\"", large_community;
}

fn router_id(text: &str) -> Result<Ipv4Addr, String> {
    match Ipv4Addr::from_str(text) {
        Ok(id) if !id.is_unspecified() => Ok(id),
        Ok(_) | Err(_) => {
            Err("is not a BGP identifier: it is written like an IPv4 address, not 0.0.0.0".into())
        }
    }
}

fn remark(text: &str) -> Result<String, String> {
    let fits = (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits { Ok(text.into()) } else { Err("is not a remark: one line of 1 to 200 characters".into()) }
}

fn community(text: &str) -> Result<Community, String> {
    Community::from_str(text).map_err(|()| {
        "is not a community: two numbers up to 65535 joined by a colon, or a well-known name".into()
    })
}

fn large_community(text: &str) -> Result<LargeCommunity, String> {
    LargeCommunity::from_str(text)
        .map_err(|()| "is not a large community: three numbers up to 4294967295 joined by colons".into())
}

fn range(text: &str) -> Result<PrefixRange, String> {
    let mut words = text.split_ascii_whitespace();
    let net =
        words.next().and_then(|word| IpNet::from_str(word).ok()).ok_or("does not begin with a prefix")?;
    let (own, longest) = (net.prefix_len(), net.max_prefix_len());
    let (mut ge, mut le) = (None, None);
    while let Some(word) = words.next() {
        let bound = words.next().and_then(|number| number.parse::<u8>().ok());
        let bound = bound.ok_or("has no length behind `ge` or `le`")?;
        match word {
            "ge" if ge.is_none() => ge = Some(bound),
            "le" if le.is_none() => le = Some(bound),
            _ => return Err("takes `ge` and `le` only, each once".into()),
        }
    }
    // As everywhere: `ge` alone goes up to host routes, `le` alone begins at the prefix itself.
    let shortest = ge.unwrap_or(own);
    let longest_meant = le.unwrap_or_else(|| if ge.is_some() { longest } else { own });
    if shortest < own || longest_meant < shortest || longest_meant > longest {
        return Err(format!("has no such lengths: {own} <= ge <= le <= {longest}"));
    }
    Ok(PrefixRange { net: net.trunc(), ge: shortest, le: longest_meant })
}

/// Something that is announced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Announced {
    Lans,
    Attachments,
    Static,
    Prefix(IpNet),
}

const ANNOUNCED: [&str; 3] = ["lans", "attachments", "static"];

impl JsonSchema for Announced {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Announced".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "enum": ANNOUNCED }, Prefix::json_schema(generator)] })
    }
}

impl Kind for Announced {
    type Value = Self;
    const EXAMPLE: &'static str = "\"lans\"";

    fn read(value: &Spanned<DeValue<'_>>, report: &mut Report) -> Option<Self> {
        let Some(text) = value.get_ref().as_str() else {
            wrong_type::<Self>(value, "a word or a prefix in quotes", report);
            return None;
        };
        match text {
            "lans" => Some(Self::Lans),
            "attachments" => Some(Self::Attachments),
            "static" => Some(Self::Static),
            prefix if IpNet::from_str(prefix).is_ok() || IpAddr::from_str(prefix).is_ok() => {
                Prefix::read(value, report).map(Self::Prefix)
            }
            other => {
                let message = format!("{} is nothing that can be announced", quoted(other));
                let found = report.add(Code::UnknownWord, value.span().into(), message);
                suggest(found, other, &ANNOUNCED, "a prefix, or one of");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_lengths_read_as_in_every_prefix_list() {
        for (text, expected) in [
            ("10.0.0.0/8", Ok((8, 8))),
            ("10.0.0.0/8 le 24", Ok((8, 24))),
            ("10.0.0.0/8 ge 16", Ok((16, 32))),
            ("10.0.0.0/8 ge 16 le 24", Ok((16, 24))),
            ("fd00::/8 ge 48", Ok((48, 128))),
            ("10.0.0.0/8 ge 4", Err(())),
            ("10.0.0.0/8 le 33", Err(())),
            ("10.0.0.0/8 ge 24 le 16", Err(())),
            ("10.0.0.0/8 le", Err(())),
            ("10.0.0.0/8 lt 5", Err(())),
            ("10.0.0.0/8 le 16 le 17", Err(())),
            ("10.0.0.0", Err(())),
            ("", Err(())),
        ] {
            assert_eq!(range(text).map(|range| (range.ge, range.le)).map_err(drop), expected, "{text}");
        }
    }
}
