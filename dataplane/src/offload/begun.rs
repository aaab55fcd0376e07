//! Whether a begun checksum is one that its sender may have begun.
//!
//! Where it is to be written is said beside the frame, by whoever sent it: a host's kernel, or a guest that has the other end of a
//! TAP in its own hands (VIRTIO 1.2 §5.1.6.2). The sum is written when the frame leaves, behind all that was decided by its
//! headers: a place in front of its transport header would be a way to change addresses behind the reverse-path check, or the
//! attachment's VLAN tag. So the place is looked at once, when the frame comes in, and only of frames with a begun checksum.

use net::{
    EtherType,
    ipv4::{Ipv4, protocol},
    ipv6::Ipv6,
    udp::Udp,
    virtio::Checksum,
};
use zerocopy::FromBytes;

use super::{BadOffload, Transport, layout::behind_tags};
use crate::{
    Frame,
    flow::{Fragment, Upper},
};

/// Refuses a frame whose begun checksum is not where a checksum can be: TCP's and UDP's are in their headers, which follow the IP
/// header and its extensions. What UDP carries (VXLAN, GENEVE) may have a checksum of its own that was begun while the outer one
/// is whole or zero. Of other protocols (GRE, IP in IP, ICMPv6) no more is known than that it is behind all that; of what
/// is not IP, that it is behind the EtherType.
///
/// # Errors
/// [`BadOffload`]; the frame is unchanged in any case.
#[inline]
pub fn check_begun(frame: &Frame) -> Result<(), BadOffload> {
    let Checksum::Partial { start, offset } = frame.offload.checksum else { return Ok(()) };
    let (start, field) = (usize::from(start), usize::from(start) + usize::from(offset));
    let is_sound = field + 2 <= frame.buf.len() && is_where_one_can_be(&frame.buf, start, field - start);
    is_sound.then_some(()).ok_or(BadOffload)
}

fn is_where_one_can_be(frame: &[u8], start: usize, offset: usize) -> bool {
    let Some((ethertype, l3)) = behind_tags(frame, usize::MAX) else { return false };
    let packet = frame.get(l3..).unwrap_or_default();
    let upper = match ethertype {
        EtherType::IPV4 => Ipv4::ref_from_prefix(packet).ok().map(|(header, _)| Upper::of_v4(header, packet)),
        EtherType::IPV6 => Ipv6::ref_from_prefix(packet).ok().map(|(header, _)| Upper::of_v6(header, packet)),
        _ => return start >= l3,
    };
    let Some(upper) = upper else { return false };
    let l4 = frame.len() - upper.octets.len();
    let own = |transport: Transport| start == l4 && offset == usize::from(transport.checksum_offset());
    match (upper.fragment, upper.protocol) {
        (Fragment::Whole, protocol::TCP) => own(Transport::Tcp),
        (Fragment::Whole, protocol::UDP) => own(Transport::Udp) || start >= l4 + Udp::LEN,
        (Fragment::Whole | Fragment::First | Fragment::Later, _) => start >= l4,
    }
}
