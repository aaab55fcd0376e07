//! Which frames must not wait behind others: what routers and key servers say to each other, a few frames a second on which
//! everything else depends.
//!
//! Four questions, each asked of octets alone:
//! - [`is_marked`]: does a program of this host say that it is network control (DSCP CS6 or CS7, RFC 4594 §3.1)?
//! - [`dscp_of`]: what does the packet inside a frame ask of the network?
//! - [`may_be_control`]: could a frame in clear be for the gateway's own protocols? Of what comes when there is more than can be carried,
//!   only such frames are looked at; whether they are really for us is decided as ever.
//! - [`Wanted::has`]: the same, of a frame that is still in a port's ring. Protected ones show nothing but their length.
//!
//! Whether there *is* more than can be carried is for [`Backlog`] to tell.

mod backlog;

use net::{
    Dscp, EtherType, Ethernet, VlanTag,
    icmp::v6::{NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION},
    ipv4::protocol,
};

use crate::{
    bfd::{MULTIHOP_PORT, SINGLE_HOP_PORT},
    frer::rtag,
    stamp,
};

pub use backlog::Backlog;

/// How near a port is to losing frames in its ring.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Pressure {
    /// What waits can be carried.
    #[default]
    None,
    /// Half of the room is taken: whatever is no control is dropped, once it has been validated.
    High,
    /// Nearly all of it is: what is too long for BFD and keepalives is dropped unseen.
    Severe,
}

impl Pressure {
    /// Of a ring that is at least so many eighths full, as it can tell.
    pub fn of(filled: impl Fn(u16) -> bool) -> Self {
        match (filled(7), filled(4)) {
            (true, _) => Self::Severe,
            (false, true) => Self::High,
            (false, false) => Self::None,
        }
    }
}

/// What a port's frames are, as far as the outside of a frame shows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Wanted {
    /// EtherTypes that are always control: those of MKA on ports with channels.
    pub always: Vec<EtherType>,
    /// Frames with a SecTAG may hold control.
    pub protected: bool,
}

impl Wanted {
    /// Whether a frame of `length` octets that begins with these is to be had under this pressure; the rest is dropped where it lies.
    pub fn has(&self, pressure: Pressure, octets: &[u8], length: usize) -> bool {
        let octets = untagged(octets);
        match ethertype(octets) {
            Some(EtherType::MACSEC) if self.protected => pressure < Pressure::Severe || length <= SHORT,
            Some(kind) if self.always.contains(&kind) => true,
            _ => may_be_control(octets),
        }
    }
}

/// A frame of this host's own stack: ARP and ND, and what a program marked CS6 or CS7, as BGP speakers do.
pub(crate) fn is_marked(octets: &[u8]) -> bool {
    let octets = untagged(octets);
    let (Some(kind), Some(l3)) = (ethertype(octets), octets.get(Ethernet::LEN..)) else { return false };
    let class = match (kind, l3) {
        (EtherType::IPV4, [_, tos, ..]) => tos >> 5,
        (EtherType::IPV6, [first, ..]) => first >> 1 & 0b111,
        _ => 0,
    };
    class >= INTERNETWORK || kind == EtherType::ARP || is_neighbor_message(kind, l3)
}

/// The DSCP of the IP packet in a frame in clear, behind VLAN tags and a redundancy tag; best effort of what is no IP.
pub(crate) fn dscp_of(octets: &[u8]) -> Dscp {
    let mut octets = untagged(octets);
    if ethertype(octets) == Some(rtag::ETHERTYPE) {
        octets = octets.get(rtag::LEN..).unwrap_or_default();
    }
    let packet = match ethertype(octets) {
        Some(EtherType::IPV4 | EtherType::IPV6) => octets.get(Ethernet::LEN..),
        Some(_) | None => None,
    };
    packet.and_then(Dscp::of).unwrap_or_default()
}

/// A frame in clear, tags or not, by its EtherType and ports: neighbours' messages, link aggregation, BFD, BGP, probes.
pub(crate) fn may_be_control(octets: &[u8]) -> bool {
    let octets = untagged(octets);
    let (Some(kind), Some(l3)) = (ethertype(octets), octets.get(Ethernet::LEN..)) else { return false };
    match kind {
        EtherType::ARP | EtherType::SLOW => true,
        EtherType::IPV4 | EtherType::IPV6 => is_neighbor_message(kind, l3) || has_control_port(kind, l3),
        _ => false,
    }
}

fn is_neighbor_message(kind: EtherType, l3: &[u8]) -> bool {
    let message = || {
        l3.get(V6_HEADER).is_some_and(|kind| matches!(*kind, NEIGHBOR_SOLICITATION | NEIGHBOR_ADVERTISEMENT))
    };
    kind == EtherType::IPV6 && l3.get(6) == Some(&protocol::ICMPV6) && message()
}

fn has_control_port(kind: EtherType, l3: &[u8]) -> bool {
    let (next, at) = match (kind, l3) {
        // Later fragments have no ports, and none of these protocols sends any.
        (EtherType::IPV4, [first, _, _, _, _, _, high, low, ..]) if high & 0x1f == 0 && *low == 0 => {
            (l3.get(9), usize::from(first & 0x0f) * 4)
        }
        (EtherType::IPV6, _) => (l3.get(6), V6_HEADER),
        _ => return false,
    };
    let port = |at: usize| Some(u16::from_be_bytes(*l3.get(at..)?.first_chunk()?));
    let (from, to) = (port(at).unwrap_or(0), port(at + 2).unwrap_or(0));
    match next.copied() {
        Some(protocol::UDP) => {
            matches!(to, SINGLE_HOP_PORT | MULTIHOP_PORT | stamp::PORT) || from == stamp::PORT
        }
        Some(protocol::TCP) => from == BGP || to == BGP,
        _ => false,
    }
}

/// The frame from behind its tags on, as if its addresses stood in front.
fn untagged(mut octets: &[u8]) -> &[u8] {
    for _ in 0..TAGS {
        if VlanTag::outermost(octets).is_none() {
            break;
        }
        octets = octets.get(VlanTag::LEN..).unwrap_or_default();
    }
    octets
}

fn ethertype(octets: &[u8]) -> Option<EtherType> {
    Ethernet::split(octets).map(|(header, _)| header.ethertype)
}

/// A protected frame of at most so many octets may be BFD's, a probe, or a keepalive: 112 octets of authenticated STAMP (RFC 8762 §4.3) in
/// UDP over IPv6, two tags, SecTAG and ICV are 218.
const SHORT: usize = 256;
/// IP precedence "internetwork control": CS6 (RFC 2474 §4.2.2).
const INTERNETWORK: u8 = 6;
/// BGP's TCP port (RFC 4271 §3).
const BGP: u16 = 179;
/// Octets of an IPv6 header.
const V6_HEADER: usize = 40;
/// Tags that are looked behind: two clear ones, one more of a customer's.
const TAGS: usize = 3;

#[cfg(test)]
mod tests;
