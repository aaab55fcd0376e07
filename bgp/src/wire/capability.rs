//! Capabilities (RFC 5492): what each side of a session can do.
//!
//! A capability we do not know survives as bytes and is otherwise ignored. One that we know with an
//! impossible length is an error only where ignoring it would leave the two sides with different ideas
//! of the session (multiprotocol, four-octet AS, role); the others are kept as unknown.

use crate::types::{AfiSafi, Asn, Family, PerFamily};
use core::fmt;
use net::{Malformed, Reader, Writer};

/// How a provider, a customer, a peer or a route server sees itself on a session (RFC 9234 section 3).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Role {
    /// Sells transit to the other side.
    Provider,
    /// A route server at an exchange.
    RouteServer,
    /// A client of a route server.
    RouteServerClient,
    /// Buys transit from the other side.
    Customer,
    /// Exchanges own and customers' routes.
    Peer,
}

impl Role {
    const ALL: [Self; 5] =
        [Self::Provider, Self::RouteServer, Self::RouteServerClient, Self::Customer, Self::Peer];

    /// The number on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Provider => 0,
            Self::RouteServer => 1,
            Self::RouteServerClient => 2,
            Self::Customer => 3,
            Self::Peer => 4,
        }
    }

    /// The role with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.code() == code)
    }

    /// What the other side must be (RFC 9234 section 4.2, table 2).
    #[must_use]
    pub const fn counterpart(self) -> Self {
        match self {
            Self::Provider => Self::Customer,
            Self::Customer => Self::Provider,
            Self::RouteServer => Self::RouteServerClient,
            Self::RouteServerClient => Self::RouteServer,
            Self::Peer => Self::Peer,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Provider => "provider",
            Self::RouteServer => "route server",
            Self::RouteServerClient => "route server client",
            Self::Customer => "customer",
            Self::Peer => "peer",
        })
    }
}

/// The graceful restart capability (RFC 4724 section 3, RFC 8538 section 2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct GracefulRestart {
    /// R: the sender has restarted and wants our routes before it speaks.
    pub restarting: bool,
    /// N: it keeps routes over a NOTIFICATION too (RFC 8538).
    pub notification: bool,
    /// Seconds until its session should be back, 0 to 4095.
    pub restart_time: u16,
    /// Per family it takes part in: whether it kept its forwarding state (F).
    pub families: PerFamily<Option<bool>>,
}

/// One capability.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Capability {
    /// 1: exchanges this family (RFC 4760).
    Multiprotocol(AfiSafi),
    /// 2: answers ROUTE-REFRESH (RFC 2918).
    RouteRefresh,
    /// 5: next hops of another family, as (family, AFI of the next hop) (RFC 8950).
    ExtendedNextHop(Vec<(AfiSafi, u16)>),
    /// 6: messages up to 65535 octets (RFC 8654).
    ExtendedMessage,
    /// 9: its role (RFC 9234). The number is kept: one we do not know is a mismatch, not an absence.
    Role(u8),
    /// 64 (RFC 4724).
    GracefulRestart(GracefulRestart),
    /// 65: its AS number (RFC 6793).
    FourOctetAs(Asn),
    /// 70: marks begin and end of a refresh (RFC 7313).
    EnhancedRouteRefresh,
    /// Anything else.
    Unknown {
        /// Its code.
        code: u8,
        /// Its value.
        value: Vec<u8>,
    },
}

impl Capability {
    /// Reads one capability's value.
    ///
    /// # Errors
    /// [`Malformed`] when the length makes the session ambiguous.
    pub fn parse(code: u8, value: &[u8]) -> Result<Self, Malformed> {
        Ok(match (code, value) {
            (1, [a, b, _, safi]) => {
                Self::Multiprotocol(AfiSafi { afi: u16::from_be_bytes([*a, *b]), safi: *safi })
            }
            (65, [a, b, c, d]) => Self::FourOctetAs(Asn(u32::from_be_bytes([*a, *b, *c, *d]))),
            (9, [role]) => Self::Role(*role),
            (1 | 9 | 65, _) => return Err(Malformed),
            (2, []) => Self::RouteRefresh,
            (5, entries) => match parse_next_hops(entries) {
                Ok(list) => Self::ExtendedNextHop(list),
                Err(Malformed) => Self::unknown(code, value),
            },
            (6, []) => Self::ExtendedMessage,
            (64, value) => match parse_restart(value) {
                Ok(restart) => Self::GracefulRestart(restart),
                Err(Malformed) => Self::unknown(code, value),
            },
            (70, []) => Self::EnhancedRouteRefresh,
            (code, value) => Self::unknown(code, value),
        })
    }

    fn unknown(code: u8, value: &[u8]) -> Self {
        Self::Unknown { code, value: value.to_vec() }
    }

    /// Appends code, length and value to `out`. The value of an unknown one is cut at 255 octets.
    pub fn emit(&self, out: &mut Writer) {
        let (code, value) = self.parts();
        let value = value.get(..value.len().min(255)).unwrap_or_default();
        out.u8(code);
        out.u8(u8::try_from(value.len()).unwrap_or(0));
        out.put(value);
    }

    fn parts(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Multiprotocol(family) => (1, [&family.afi.to_be_bytes()[..], &[0, family.safi]].concat()),
            Self::RouteRefresh => (2, Vec::new()),
            Self::ExtendedNextHop(list) => {
                let entry = |(family, hop): &(AfiSafi, u16)| {
                    [&family.afi.to_be_bytes()[..], &[0, family.safi], &hop.to_be_bytes()].concat()
                };
                (5, list.iter().flat_map(entry).collect())
            }
            Self::ExtendedMessage => (6, Vec::new()),
            Self::Role(role) => (9, vec![*role]),
            Self::GracefulRestart(restart) => (64, emit_restart(restart)),
            Self::FourOctetAs(asn) => (65, asn.0.to_be_bytes().to_vec()),
            Self::EnhancedRouteRefresh => (70, Vec::new()),
            Self::Unknown { code, value } => (*code, value.clone()),
        }
    }
}

fn parse_next_hops(value: &[u8]) -> Result<Vec<(AfiSafi, u16)>, Malformed> {
    let mut reader = Reader::new(value);
    let mut list = Vec::new();
    while !reader.is_empty() {
        let (afi, safi, hop) = (reader.u16()?, reader.u16()?, reader.u16()?);
        // The SAFI field is two octets wide here, unlike everywhere else (RFC 8950 section 4).
        list.push((AfiSafi { afi, safi: u8::try_from(safi).map_err(|_| Malformed)? }, hop));
    }
    Ok(list)
}

const RESTARTING: u16 = 0x8000;
const NOTIFICATION: u16 = 0x4000;
const RESTART_TIME: u16 = 0x0fff;
const FORWARDING: u8 = 0x80;

fn parse_restart(value: &[u8]) -> Result<GracefulRestart, Malformed> {
    let mut reader = Reader::new(value);
    let head = reader.u16()?;
    let mut families = PerFamily::default();
    while !reader.is_empty() {
        let (afi, safi, flags) = (reader.u16()?, reader.u8()?, reader.u8()?);
        if let Some(family) = (AfiSafi { afi, safi }).family() {
            *families.of_mut(family) = Some(flags & FORWARDING != 0);
        }
    }
    Ok(GracefulRestart {
        restarting: head & RESTARTING != 0,
        notification: head & NOTIFICATION != 0,
        restart_time: head & RESTART_TIME,
        families,
    })
}

fn emit_restart(restart: &GracefulRestart) -> Vec<u8> {
    let mut head = restart.restart_time.min(RESTART_TIME);
    if restart.restarting {
        head |= RESTARTING;
    }
    if restart.notification {
        head |= NOTIFICATION;
    }
    let mut out = Writer::new();
    out.u16(head);
    for (family, forwarding) in restart.families.iter() {
        if let Some(forwarding) = forwarding {
            out.u16(family.code().afi);
            out.u8(family.code().safi);
            out.u8(if *forwarding { FORWARDING } else { 0 });
        }
    }
    out.into_vec()
}

/// The families a list of capabilities announces; plain IPv4 unicast when it announces none (RFC 4760
/// section 8: without the capability, a BGP-4 speaker exchanges IPv4 unicast).
pub fn families(capabilities: &[Capability]) -> PerFamily<bool> {
    let mut found = PerFamily::both(false);
    let mut any = false;
    for capability in capabilities {
        if let Capability::Multiprotocol(code) = capability {
            any = true;
            if let Some(family) = code.family() {
                *found.of_mut(family) = true;
            }
        }
    }
    if any { found } else { PerFamily { ipv4: true, ipv6: false } }
}

/// True when the list says that IPv4 prefixes may come with IPv6 next hops (RFC 8950).
pub fn ipv4_over_ipv6(capabilities: &[Capability]) -> bool {
    capabilities.iter().any(|capability| match capability {
        Capability::ExtendedNextHop(list) => list.contains(&(Family::Ipv4.code(), 2)),
        Capability::Multiprotocol(_)
        | Capability::RouteRefresh
        | Capability::ExtendedMessage
        | Capability::Role(_)
        | Capability::GracefulRestart(_)
        | Capability::FourOctetAs(_)
        | Capability::EnhancedRouteRefresh
        | Capability::Unknown { .. } => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(capability: &Capability) -> Capability {
        let mut out = Writer::new();
        capability.emit(&mut out);
        let octets = out.into_vec();
        assert_eq!(usize::from(octets[1]), octets.len() - 2);
        Capability::parse(octets[0], &octets[2..]).unwrap()
    }

    #[test]
    fn what_is_emitted_parses_to_itself() {
        let restart = GracefulRestart {
            restarting: true,
            notification: false,
            restart_time: 120,
            families: PerFamily { ipv4: Some(true), ipv6: Some(false) },
        };
        let all = [
            Capability::Multiprotocol(Family::Ipv6.code()),
            Capability::RouteRefresh,
            Capability::ExtendedNextHop(vec![(Family::Ipv4.code(), 2)]),
            Capability::ExtendedMessage,
            Capability::Role(3),
            Capability::GracefulRestart(restart),
            Capability::FourOctetAs(Asn(4_200_000_001)),
            Capability::EnhancedRouteRefresh,
            Capability::Unknown { code: 231, value: vec![1, 2, 3] },
        ];
        for capability in &all {
            assert_eq!(&round_trip(capability), capability);
        }
    }

    // RFC 5492 section 3: what is not known is ignored; RFC 4760 and 6793 fix their lengths.
    #[test]
    fn lengths_that_make_a_session_ambiguous_are_errors_and_others_are_not() {
        for (code, value) in [(1, &[0, 1, 0][..]), (1, &[]), (65, &[0, 1]), (9, &[])] {
            assert_eq!(Capability::parse(code, value), Err(Malformed), "{code} {value:?}");
        }
        for (code, value) in [(2, &[1][..]), (5, &[0]), (64, &[0]), (64, &[0, 0, 1]), (70, &[9]), (6, &[0])] {
            let parsed = Capability::parse(code, value).unwrap();
            assert_eq!(parsed, Capability::Unknown { code, value: value.to_vec() });
        }
    }

    #[test]
    fn no_multiprotocol_capability_means_ipv4_only() {
        assert_eq!(families(&[]), PerFamily { ipv4: true, ipv6: false });
        let v6 = [Capability::Multiprotocol(Family::Ipv6.code())];
        assert_eq!(families(&v6), PerFamily { ipv4: false, ipv6: true });
    }

    // RFC 9234 section 4.2, table 2.
    #[test]
    fn roles_pair_up() {
        for role in Role::ALL {
            assert_eq!(role.counterpart().counterpart(), role);
            assert_eq!(Role::from_code(role.code()), Some(role));
        }
        assert_eq!(Role::from_code(5), None);
    }
}
