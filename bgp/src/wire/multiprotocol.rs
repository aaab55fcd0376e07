//! MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760) for unicast, with the next hops of RFC 2545 and RFC 8950.

use super::{attributes::NextHop, nlri, update::UpdateContext};
use crate::types::{AfiSafi, Family};
use core::net::{Ipv4Addr, Ipv6Addr};
use net::{IpNet, Malformed, Reader, Writer};

/// What an MP_REACH_NLRI announces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Reach {
    pub(super) next_hop: NextHop,
    pub(super) prefixes: Vec<IpNet>,
}

/// Reads MP_REACH_NLRI; `None` when its family was not agreed on.
///
/// # Errors
/// [`Malformed`] when it cannot be read, a next hop length that does not fit the family included (RFC
/// 7606 section 7.11): the prefixes cannot be trusted then.
pub(super) fn parse_reach(value: &[u8], context: &UpdateContext) -> Result<Option<Reach>, Malformed> {
    let mut reader = Reader::new(value);
    let code = AfiSafi { afi: reader.u16()?, safi: reader.u8()? };
    let hop = {
        let len = reader.u8()?;
        reader.take(usize::from(len))?
    };
    let _reserved = reader.u8()?;
    let Some(family) = code.family().filter(|family| *context.families.of(*family)) else { return Ok(None) };
    let next_hop = parse_next_hop(hop, family, context.ipv4_over_ipv6)?;
    let prefixes = nlri::parse(reader.rest(), family)?;
    Ok(Some(Reach { next_hop, prefixes }))
}

fn parse_next_hop(hop: &[u8], family: Family, ipv4_over_ipv6: bool) -> Result<NextHop, Malformed> {
    if let (Family::Ipv4, Ok(octets)) = (family, <[u8; 4]>::try_from(hop)) {
        return Ok(NextHop::V4(Ipv4Addr::from(octets)));
    }
    if family == Family::Ipv4 && !ipv4_over_ipv6 {
        return Err(Malformed);
    }
    let (global, rest) = hop.split_first_chunk::<16>().ok_or(Malformed)?;
    let global = Ipv6Addr::from(*global);
    let link_local = match rest {
        [] => None,
        rest => Some(Ipv6Addr::from(<[u8; 16]>::try_from(rest).map_err(|_| Malformed)?)),
    };
    // RFC 2545 section 3: the second address, if there is one, is link-local. A peer without a global
    // address sends zeros or the link-local one in its place; then that is all there is.
    Ok(match link_local.filter(Ipv6Addr::is_unicast_link_local) {
        Some(local) if global.is_unspecified() || global == local => {
            NextHop::V6 { global: local, link_local: None }
        }
        link_local => NextHop::V6 { global, link_local },
    })
}

/// Reads MP_UNREACH_NLRI; `None` when its family was not agreed on.
///
/// # Errors
/// [`Malformed`] when it cannot be read (RFC 7606 section 7.12).
pub(super) fn parse_unreach(
    value: &[u8],
    context: &UpdateContext,
) -> Result<Option<(Family, Vec<IpNet>)>, Malformed> {
    let mut reader = Reader::new(value);
    let code = AfiSafi { afi: reader.u16()?, safi: reader.u8()? };
    let family = code.family().filter(|family| *context.families.of(*family));
    family.map(|family| Ok((family, nlri::parse(reader.rest(), family)?))).transpose()
}

/// The value of MP_REACH_NLRI up to the prefixes.
pub(super) fn emit_reach_head(family: Family, next_hop: NextHop, out: &mut Writer) {
    out.u16(family.code().afi);
    out.u8(family.code().safi);
    match next_hop {
        NextHop::V4(address) => {
            out.u8(4);
            out.put(&address.octets());
        }
        NextHop::V6 { global, link_local: None } => {
            out.u8(16);
            out.put(&global.octets());
        }
        NextHop::V6 { global, link_local: Some(local) } => {
            out.u8(32);
            out.put(&global.octets());
            out.put(&local.octets());
        }
    }
    out.u8(0);
}

/// The value of MP_UNREACH_NLRI up to the prefixes.
pub(super) fn emit_unreach_head(family: Family, out: &mut Writer) {
    out.u16(family.code().afi);
    out.u8(family.code().safi);
}
