//! Super-frames: work that a host left to us is done here, and made for it.
//!
//! # What
//! A host with offloads hands over segment trains of up to 64 KiB with their headers once, and transport
//! checksums that are only begun. On a wire every segment needs its own headers and its whole checksum.
//! [`check_begun`] looks whether a begun checksum is where one can be. [`segment`] cuts a train,
//! [`finish_checksum`] ends a begun checksum, [`largest_l3`] says what an MTU is compared with. In the other
//! direction [`Coalescer`] joins consecutive segments of a flow to a train again, so that the receiving host pays
//! for its stack once per train (what Linux calls GRO). [`clamp_mss`] is the one place that reads TCP options,
//! for the MSS clamp of a tunnel.
//!
//! # Why
//! The cost of a packet in a host's stack is per packet, not per octet: with trains on both sides of a
//! gateway, TCP runs several times faster on the same machine.
//!
//! # Invariants
//! 1. Cutting what was joined gives the same frames again, octet for octet (IPv4 identifications of packets
//!    with DF aside, which mean nothing: RFC 6864 §4.1).
//! 2. A wrong checksum is never made right: a segment joins only after its checksum was verified, and a train
//!    is cut only when its checksum is begun ([`Checksum::Partial`]) or known to be right.
//! 3. What was decided by a frame's headers stays true: nothing in front of its transport header is written
//!    because its sender said so.
//! 4. The frames of one flow leave in the order in which they came.
//! 5. No buffer is lost: each one that comes in goes out or back to the pool. Nothing here allocates.
//! 6. Each octet of data is read and written at most once, and summed on the way.
//!
//! # Clauses
//! VIRTIO 1.2 §5.1.6 (what a virtio-net header asks for), RFC 9293 §3.1 and §3.7.1 (TCP header, MSS),
//! RFC 768, RFC 791, RFC 8200, RFC 3168 §6.1.2 (CWR), RFC 6864 (identification), RFC 1624 (checksum update).

mod begun;
mod coalesce;
mod layout;
mod mss;
mod segment;
mod sum;
#[cfg(test)]
mod testing;

use net::virtio::{Checksum, Offload};

use crate::Frame;

pub use begun::check_begun;
pub use coalesce::Coalescer;
pub use layout::{Family, Layout, Transport};
pub use mss::clamp_mss;
pub use segment::{SegmentError, segment};

/// The frame's headers, and the work that is said to be left on it, do not fit together.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the frame's headers do not fit the work that is left on it")]
pub struct BadOffload;

/// Ends a begun checksum in place, so that `frame` can go on a wire: [`Checksum::Partial`] becomes
/// [`Checksum::Valid`]. A frame without begun checksum stays as it is.
///
/// Where it is written is what the frame's sender said: [`check_begun`] was asked when the frame came in.
///
/// A checksum field 6 octets into its header is UDP's: there a checksum of 0 is sent as 0xffff (RFC 768).
///
/// # Errors
/// [`BadOffload`] when the field is not inside the frame, or the frame is a super-frame (which
/// [`segment`] ends). The frame is unchanged then.
pub fn finish_checksum(frame: &mut Frame) -> Result<(), BadOffload> {
    let Checksum::Partial { start, offset } = frame.offload.checksum else { return Ok(()) };
    if frame.offload.gso.is_some() {
        return Err(BadOffload);
    }
    let summed = frame.buf.get_mut(usize::from(start)..).ok_or(BadOffload)?;
    let checksum = match !sum::sum(summed) {
        0 if offset == Transport::Udp.checksum_offset() => u16::MAX,
        checksum => checksum,
    };
    let field = summed.get_mut(usize::from(offset)..).and_then(|rest| rest.first_chunk_mut::<2>());
    *field.ok_or(BadOffload)? = checksum.to_be_bytes();
    frame.offload.checksum = Checksum::Valid;
    Ok(())
}

/// Octets of the largest packet (IP header and all behind it) that `frame` becomes on a wire: of its largest
/// segment when it is a super-frame, of itself otherwise. This is what an MTU is compared with.
/// Ethernet padding behind an IP packet does not count. A frame that is not IP counts whole, without its
/// Ethernet header and VLAN tags.
pub fn largest_l3(frame: &Frame) -> usize {
    let whole = layout::l3_len(&frame.buf);
    let Some(gso) = frame.offload.gso else { return whole };
    let Some(layout) = Layout::parse(&frame.buf) else { return whole };
    whole.min((layout.payload - layout.l3).saturating_add(usize::from(gso.size)))
}

/// What `offload` says after the headers in front of the transport header grew by `by` octets (shrank when
/// negative), as when a VLAN tag was pushed: a begun checksum starts that much later.
#[must_use]
pub const fn moved(offload: Offload, by: i16) -> Offload {
    match offload.checksum {
        Checksum::Partial { start, offset } => {
            let start = start.saturating_add_signed(by);
            Offload { checksum: Checksum::Partial { start, offset }, gso: offload.gso }
        }
        Checksum::Unchecked | Checksum::Valid => offload,
    }
}

#[cfg(test)]
mod tests;
