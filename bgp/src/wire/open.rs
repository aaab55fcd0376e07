//! OPEN (RFC 4271 sections 4.2 and 6.2) with capabilities, and with the extended form of RFC 9072.
//!
//! Parsing checks everything that needs no knowledge of the peer: version, hold time, identifier, AS 0.
//! Whether the AS number is the right one is the session's question.

use super::{
    capability::Capability,
    notification::{Cause, Notification, OpenError},
};
use crate::types::{Asn, RouterId};
use core::net::Ipv4Addr;
use net::{Malformed, Reader, Writer};

/// The only version there is.
const VERSION: u8 = 4;
/// The optional parameter that holds capabilities (RFC 5492 section 4).
const CAPABILITIES: u8 = 2;
/// As first parameter type: the lengths that follow are two octets wide (RFC 9072 section 2).
const EXTENDED: u8 = 255;

/// An OPEN message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Open {
    /// The sender's AS number: from the four-octet capability when there is one.
    pub asn: Asn,
    /// Seconds it proposes as hold time: 0, or 3 and more.
    pub hold_time: u16,
    /// Its identifier.
    pub router_id: RouterId,
    /// What it can do, in its order.
    pub capabilities: Vec<Capability>,
}

impl Open {
    /// True when the sender uses four-octet AS numbers (RFC 6793).
    pub fn four_octet_as(&self) -> bool {
        self.four_octet_asn().is_some()
    }

    fn four_octet_asn(&self) -> Option<Asn> {
        four_octet(&self.capabilities)
    }

    /// Reads the body of an OPEN.
    ///
    /// # Errors
    /// The NOTIFICATION that RFC 4271 section 6.2 (RFC 5492, 6286, 7607) asks for.
    pub fn parse(body: &[u8]) -> Result<Self, Notification> {
        let mut reader = Reader::new(body);
        let (version, my_as, hold_time, id, length) =
            parse_fixed(&mut reader).map_err(|_| refuse(OpenError::Unspecific))?;
        if version != VERSION {
            // The data is the largest version we have (section 6.2).
            return Err(Notification::with_data(
                Cause::Open(OpenError::Version),
                &u16::from(VERSION).to_be_bytes(),
            ));
        }
        let capabilities = parse_parameters(length, reader.rest())?;
        let asn = four_octet(&capabilities).unwrap_or_else(|| Asn(u32::from(my_as)));
        if asn.is_zero() || my_as == 0 {
            return Err(refuse(OpenError::PeerAs)); // RFC 7607 section 2
        }
        if matches!(hold_time, 1 | 2) {
            return Err(refuse(OpenError::HoldTime));
        }
        let router_id = RouterId::new(Ipv4Addr::from(id)).ok_or_else(|| refuse(OpenError::Identifier))?;
        Ok(Self { asn, hold_time, router_id, capabilities })
    }

    /// The body of this OPEN. All capabilities go into one parameter, the extended form is used only when
    /// they do not fit otherwise (RFC 9072 section 2).
    pub fn emit(&self) -> Vec<u8> {
        let mut list = Writer::new();
        self.capabilities.iter().for_each(|capability| capability.emit(&mut list));
        let list = list.into_vec();
        let mut out = Writer::new();
        out.u8(VERSION);
        out.u16(self.asn.two_octets());
        out.u16(self.hold_time);
        out.u32(self.router_id.bits());
        match (u8::try_from(list.len()), u8::try_from(list.len().saturating_add(2))) {
            (Ok(0), _) => out.u8(0),
            (Ok(inner), Ok(outer)) => {
                out.put(&[outer, CAPABILITIES, inner]);
                out.put(&list);
            }
            _ => {
                let len = u16::try_from(list.len()).unwrap_or(u16::MAX);
                out.put(&[255, EXTENDED]);
                out.u16(len.saturating_add(3));
                out.u8(CAPABILITIES);
                out.u16(len);
                out.put(&list);
            }
        }
        out.into_vec()
    }
}

/// Version, AS, hold time, identifier, length of the parameters.
fn parse_fixed(reader: &mut Reader<'_>) -> Result<(u8, u16, u16, [u8; 4], u8), Malformed> {
    Ok((reader.u8()?, reader.u16()?, reader.u16()?, reader.array()?, reader.u8()?))
}

fn four_octet(capabilities: &[Capability]) -> Option<Asn> {
    capabilities.iter().find_map(|capability| match capability {
        Capability::FourOctetAs(asn) => Some(*asn),
        Capability::Multiprotocol(_)
        | Capability::RouteRefresh
        | Capability::ExtendedNextHop(_)
        | Capability::ExtendedMessage
        | Capability::Role(_)
        | Capability::GracefulRestart(_)
        | Capability::EnhancedRouteRefresh
        | Capability::Unknown { .. } => None,
    })
}

fn refuse(why: OpenError) -> Notification {
    Notification::new(Cause::Open(why))
}

fn parse_parameters(length: u8, rest: &[u8]) -> Result<Vec<Capability>, Notification> {
    // RFC 9072 section 2: the type octet 255 decides; the length octet in front of it is then ignored.
    let (extended, rest) = match rest {
        [EXTENDED, high, low, rest @ ..] if length != 0 => {
            let wide = usize::from(u16::from_be_bytes([*high, *low]));
            (true, rest.get(..wide).filter(|all| all.len() == rest.len()))
        }
        rest => (false, Some(rest).filter(|all| all.len() == usize::from(length))),
    };
    // A length that disagrees with the message is malformed, without a subcode of its own.
    let mut parameters = Reader::new(rest.ok_or_else(|| refuse(OpenError::Unspecific))?);
    let mut capabilities = Vec::new();
    while !parameters.is_empty() {
        let (kind, mut value) =
            parse_parameter(&mut parameters, extended).map_err(|_| refuse(OpenError::Unspecific))?;
        if kind != CAPABILITIES {
            return Err(refuse(OpenError::OptionalParameter));
        }
        while !value.is_empty() {
            let one = parse_capability(&mut value).map_err(|_| refuse(OpenError::Unspecific))?;
            capabilities.push(one);
        }
    }
    Ok(capabilities)
}

fn parse_parameter<'a>(reader: &mut Reader<'a>, extended: bool) -> Result<(u8, Reader<'a>), Malformed> {
    let kind = reader.u8()?;
    let len = if extended { usize::from(reader.u16()?) } else { usize::from(reader.u8()?) };
    Ok((kind, reader.sub(len)?))
}

fn parse_capability(reader: &mut Reader<'_>) -> Result<Capability, Malformed> {
    let (code, len) = (reader.u8()?, reader.u8()?);
    Capability::parse(code, reader.take(usize::from(len))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Family;

    fn open(capabilities: Vec<Capability>) -> Open {
        let router_id = RouterId::new(Ipv4Addr::new(192, 0, 2, 1)).unwrap();
        Open { asn: Asn(65001), hold_time: 90, router_id, capabilities }
    }

    #[test]
    fn what_is_emitted_parses_to_itself() {
        let few = vec![Capability::Multiprotocol(Family::Ipv4.code()), Capability::FourOctetAs(Asn(65001))];
        // RFC 9072: 40 capabilities of 10 octets need the extended form.
        let many = vec![Capability::Unknown { code: 200, value: vec![7; 8] }; 40];
        for capabilities in [vec![], few, many] {
            let open = open(capabilities);
            assert_eq!(Open::parse(&open.emit()), Ok(open));
        }
    }

    #[test]
    fn a_four_octet_number_wins_over_as_trans() {
        let mut wide = open(vec![Capability::FourOctetAs(Asn(4_200_000_000))]);
        wide.asn = Asn(4_200_000_000);
        let octets = wide.emit();
        assert_eq!(octets[1..3], 23456_u16.to_be_bytes());
        assert_eq!(Open::parse(&octets).unwrap().asn, wide.asn);
    }

    // RFC 4271 section 6.2.
    #[test]
    fn each_bad_field_has_its_subcode() {
        let good = open(vec![]).emit();
        //            offset, octets, subcode
        let cases: [(usize, &[u8], u8); 7] = [
            (0, &[3], 1),
            (1, &[0, 0], 2),
            (3, &[0, 1], 6),
            (3, &[0, 2], 6),
            (5, &[0, 0, 0, 0], 3),
            (9, &[4], 0),
            (9, &[255], 0),
        ];
        for (at, octets, subcode) in cases {
            let mut bad = good.clone();
            bad[at..at + octets.len()].copy_from_slice(octets);
            assert_eq!(Open::parse(&bad).unwrap_err().cause.codes(), (2, subcode), "{at} {octets:?}");
        }
        assert!(Open::parse(&good[..9]).is_err());
    }

    #[test]
    fn capabilities_may_come_in_several_parameters() {
        let mut octets = open(vec![]).emit();
        octets[9] = 8;
        octets.extend_from_slice(&[2, 2, 2, 0, 2, 2, 70, 0]);
        let parsed = Open::parse(&octets).unwrap();
        assert_eq!(parsed.capabilities, [Capability::RouteRefresh, Capability::EnhancedRouteRefresh]);
    }
}
