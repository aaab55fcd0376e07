//! ICMP (RFC 792) and ICMPv6 (RFC 4443) headers, with the Neighbor Discovery messages of RFC 4861 that a
//! router needs to find and answer neighbours.

use core::net::Ipv6Addr;

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    byteorder::big_endian::{U16, U32},
};

use crate::MacAddr;

/// Types and codes of RFC 792 that the gateway sends or answers.
pub mod v4 {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 3;
    /// Echo request.
    pub const ECHO: u8 = 8;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Code of [`UNREACHABLE`]: network.
    pub const CODE_NET: u8 = 0;
    /// Code of [`UNREACHABLE`]: host.
    pub const CODE_HOST: u8 = 1;
    /// Code of [`UNREACHABLE`]: port.
    pub const CODE_PORT: u8 = 3;
    /// Code of [`UNREACHABLE`]: fragmentation needed and DF set (RFC 1191).
    pub const CODE_FRAGMENTATION_NEEDED: u8 = 4;
    /// Code of [`UNREACHABLE`]: administratively prohibited (RFC 1812).
    pub const CODE_PROHIBITED: u8 = 13;
}

/// Types and codes of RFC 4443 and RFC 4861.
pub mod v6 {
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 1;
    /// Packet too big.
    pub const TOO_BIG: u8 = 2;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Echo request.
    pub const ECHO: u8 = 128;
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 129;
    /// Router solicitation.
    pub const ROUTER_SOLICITATION: u8 = 133;
    /// Neighbor solicitation.
    pub const NEIGHBOR_SOLICITATION: u8 = 135;
    /// Neighbor advertisement.
    pub const NEIGHBOR_ADVERTISEMENT: u8 = 136;
    /// Redirect.
    pub const REDIRECT: u8 = 137;
    /// Code of [`UNREACHABLE`]: no route.
    pub const CODE_NO_ROUTE: u8 = 0;
    /// Code of [`UNREACHABLE`]: address.
    pub const CODE_ADDRESS: u8 = 3;
    /// Code of [`UNREACHABLE`]: port.
    pub const CODE_PORT: u8 = 4;
    /// Code of [`UNREACHABLE`]: administratively prohibited.
    pub const CODE_PROHIBITED: u8 = 1;
}

/// The eight octets that every ICMP and ICMPv6 message the gateway handles begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Icmp {
    /// Message type: see [`v4`] and [`v6`].
    pub kind: u8,
    /// Code within the type.
    pub code: u8,
    /// Checksum (ICMPv6: with pseudo-header).
    pub checksum: U16,
    /// Identifier and sequence of an echo, MTU of a too-big, zero elsewhere.
    pub rest: U32,
}
const _: () = assert!(size_of::<Icmp>() == Icmp::LEN);

impl Icmp {
    /// Octets on the wire.
    pub const LEN: usize = 8;

    /// The header and the body; `None` when the message is shorter than a header.
    pub fn split(message: &[u8]) -> Option<(&Self, &[u8])> {
        Self::ref_from_prefix(message).ok()
    }
}

/// The body after [`Icmp`] of a Neighbor Solicitation or Advertisement (RFC 4861 §4.3, §4.4): the target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NeighborMessage {
    /// Whose link-layer address is asked for or told.
    pub target: Ipv6Addr,
    /// Source (solicitation) or target (advertisement) link-layer address option, when there.
    pub link_layer: Option<MacAddr>,
}

impl NeighborMessage {
    /// Advertisement flag in [`Icmp::rest`]: the sender is a router.
    pub const ROUTER: u32 = 0x8000_0000;
    /// Advertisement flag: answers a solicitation.
    pub const SOLICITED: u32 = 0x4000_0000;
    /// Advertisement flag: replace what is cached.
    pub const OVERRIDE: u32 = 0x2000_0000;

    /// Reads the body; `kind` is the ICMPv6 type. `None` when an option is empty or runs past the end, or
    /// the target is a group address (RFC 4861 §7.1).
    pub fn parse(kind: u8, body: &[u8]) -> Option<Self> {
        let (target, mut options) = body.split_first_chunk::<16>()?;
        let wanted = if kind == v6::NEIGHBOR_SOLICITATION { 1 } else { 2 };
        let mut link_layer = None;
        while let [option, units, ..] = *options {
            let (whole, rest) =
                options.split_at_checked(usize::from(units) * 8).filter(|(w, _)| !w.is_empty())?;
            if option == wanted
                && let Some((mac, _)) = whole.get(2..)?.split_first_chunk::<6>()
            {
                link_layer = Some(MacAddr(*mac));
            }
            options = rest;
        }
        let target = Ipv6Addr::from_octets(*target);
        (options.is_empty() && !target.is_multicast()).then_some(Self { target, link_layer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_solicitation_gives_its_target_and_source_address() {
        let mut body = "fe80::1".parse::<Ipv6Addr>().unwrap().octets().to_vec();
        body.extend_from_slice(&[1, 1, 2, 0, 0, 0, 0, 9]);
        let message = NeighborMessage::parse(v6::NEIGHBOR_SOLICITATION, &body).unwrap();
        assert_eq!(message.link_layer, Some(MacAddr([2, 0, 0, 0, 0, 9])));
        // RFC 4861 §4.6: an option of length 0, or longer than the message, makes the packet invalid.
        for units in [0, 2] {
            body[17] = units;
            assert_eq!(NeighborMessage::parse(v6::NEIGHBOR_SOLICITATION, &body), None);
        }
        assert_eq!(NeighborMessage::parse(v6::NEIGHBOR_ADVERTISEMENT, &body[..15]), None);
    }
}
