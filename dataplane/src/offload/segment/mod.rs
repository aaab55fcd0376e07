//! Cutting a super-frame into the frames that it stands for.
//!
//! Each segment gets a copy of all headers and its share of the data. What differs from segment to
//! segment: lengths, IPv4 identification (one more each, as the host's own stack would count), TCP sequence
//! number, FIN and PSH (on the last only), CWR (on the first only, RFC 3168 §6.1.2, when the super-frame says
//! so), and the checksums. The sum over what does not differ is made once ([`Common`]).

use net::{
    PacketBuf,
    ipv4::Ipv4,
    ipv6::Ipv6,
    tcp::{Tcp, flag},
    udp::Udp,
    virtio::{Checksum, Gso, GsoKind, Offload},
};
use zerocopy::FromBytes;

use super::{
    BadOffload,
    layout::{Family, Layout, Transport},
    sum::{Common, copy_and_sum},
};
use crate::{Frame, Pool};

/// Why a super-frame was not cut. Nothing was appended, and no buffer is missing from the pool.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SegmentError {
    /// Its headers do not fit together, or it is no super-frame: drop it.
    #[error(transparent)]
    BadOffload(#[from] BadOffload),
    /// The pool ran out of buffers.
    #[error("no buffer is free")]
    NoBuffer,
    /// The output has no room for all segments: try again with an empty one. Drop the frame when the
    /// empty one is too small too.
    #[error("no room for all segments")]
    NoRoom,
}

/// Cuts the super-frame `frame` into complete frames with [`HEADROOM`](crate::HEADROOM), appends them to `out`,
/// and says how many. `frame` stays with the caller. All or nothing; `out` never grows beyond its capacity.
///
/// # Errors
/// See [`SegmentError`]. `BadOffload` means: no segmentation is asked for; or headers of another kind; or a
/// checksum that is neither begun at the transport header nor known to be right; or several segments with
/// SYN, RST or URG.
pub fn segment(frame: &Frame, pool: &mut Pool, out: &mut Vec<Frame>) -> Result<usize, SegmentError> {
    let train = Train::of(frame)?;
    if out.capacity() - out.len() < train.count {
        return Err(SegmentError::NoRoom);
    }
    let before = out.len();
    for at in 0..train.count {
        let Some(segment) = train.cut(at, pool) else {
            out.drain(before..).for_each(|segment| pool.recycle(segment));
            return Err(SegmentError::NoBuffer);
        };
        out.push(segment);
    }
    Ok(train.count)
}

/// A super-frame whose headers fit together, and what of them changes from segment to segment.
struct Train<'a> {
    layout: Layout,
    headers: &'a [u8],
    data: &'a [u8],
    /// Octets of data in each segment but the last.
    size: usize,
    /// Segments: at least one, which may be empty.
    count: usize,
    common: Common,
    /// IPv4 identification of the first segment.
    id: u16,
    /// TCP sequence number of the first segment.
    sequence: u32,
    /// TCP header length and flags.
    flags: u16,
    /// Flags that only the first segment carries.
    first_only: u16,
    /// The super-frame, whose way all segments go.
    whole: &'a Frame,
}

impl<'a> Train<'a> {
    fn of(frame: &'a Frame) -> Result<Self, BadOffload> {
        let gso = frame.offload.gso.filter(|gso| gso.size > 0).ok_or(BadOffload)?;
        let layout = Layout::parse(&frame.buf).ok_or(BadOffload)?;
        if !fits(gso.kind, &layout) || !may_be_cut(frame.offload.checksum, &layout) {
            return Err(BadOffload);
        }
        Self::read(frame, gso, layout).filter(Self::flags_allow).ok_or(BadOffload)
    }

    fn read(frame: &'a Frame, gso: Gso, layout: Layout) -> Option<Self> {
        let headers = frame.buf.get(..layout.payload)?;
        let data = frame.buf.get(layout.payload..layout.end)?;
        let size = usize::from(gso.size);
        let id = match layout.family {
            Family::V4 => Ipv4::ref_from_prefix(headers.get(layout.l3..)?).ok()?.0.id.get(),
            Family::V6 => 0,
        };
        let (sequence, flags) = match layout.transport {
            Transport::Tcp => tcp_fields(headers.get(layout.l4..)?)?,
            Transport::Udp => (0, 0),
        };
        Some(Self {
            layout,
            headers,
            data,
            size,
            count: data.len().div_ceil(size).max(1),
            common: Common::of(headers, &layout)?,
            id,
            sequence,
            flags,
            whole: frame,
            first_only: if gso.ecn { u16::from(flag::CWR) } else { 0 },
        })
    }

    /// No stack asks to cut these: a copy of each in every segment would be wrong.
    fn flags_allow(&self) -> bool {
        self.count == 1 || self.flags & u16::from(flag::SYN | flag::RST | flag::URG) == 0
    }

    /// Segment number `at`; `None` when no buffer is free.
    fn cut(&self, at: usize, pool: &mut Pool) -> Option<Frame> {
        let from = at * self.size;
        let data = self.data.get(from..self.data.len().min(from + self.size))?;
        let mut buf = pool.for_len(self.headers.len() + data.len())?;
        if self.write(&mut buf, at, data).is_none() {
            pool.give(buf);
            return None;
        }
        let offload = Offload { checksum: Checksum::Valid, gso: None };
        Some(self.whole.along(buf, offload))
    }

    fn write(&self, buf: &mut PacketBuf, at: usize, data: &[u8]) -> Option<()> {
        let room = buf.push_back(self.headers.len() + data.len())?;
        let (headers, room) = room.split_at_mut_checked(self.headers.len())?;
        headers.copy_from_slice(self.headers);
        let sum = copy_and_sum(room, data);
        let packet = headers.get_mut(self.layout.l3..)?;
        self.patch_network(packet, at, data.len())?;
        let transport = packet.get_mut(self.layout.l4 - self.layout.l3..)?;
        match self.layout.transport {
            Transport::Tcp => self.patch_tcp(transport, at, data.len(), sum),
            Transport::Udp => self.patch_udp(transport, data.len(), sum),
        }
    }

    fn patch_network(&self, packet: &mut [u8], at: usize, data_len: usize) -> Option<()> {
        let len = packet.len() + data_len;
        match self.layout.family {
            Family::V4 => {
                let header = Ipv4::from_mut(packet)?;
                header.set_total_len(u16::try_from(len).ok()?);
                // Modulo 2^16, as the number itself.
                header.set_id(self.id.wrapping_add(u16::try_from(at & 0xffff).ok()?));
            }
            Family::V6 => {
                Ipv6::from_mut(packet)?.set_payload_len(u16::try_from(len - Ipv6::LEN).ok()?);
            }
        }
        Some(())
    }

    fn patch_tcp(&self, transport: &mut [u8], at: usize, data_len: usize, data_sum: u16) -> Option<()> {
        let len = u16::try_from(transport.len() + data_len).ok()?;
        let sequence = self.sequence.wrapping_add(u32::try_from(at * self.size).ok()?);
        let flags = self.flags_of(at);
        let header = Tcp::from_mut(transport)?;
        header.sequence.set(sequence);
        [_, header.flags] = flags.to_be_bytes();
        header.checksum.set(!self.common.tcp(sequence, flags, len, data_sum));
        Some(())
    }

    fn flags_of(&self, at: usize) -> u16 {
        let first_only = if at == 0 { 0 } else { self.first_only };
        let last_only = if at + 1 == self.count { 0 } else { u16::from(flag::FIN | flag::PSH) };
        self.flags & !(first_only | last_only)
    }

    fn patch_udp(&self, transport: &mut [u8], data_len: usize, data_sum: u16) -> Option<()> {
        let len = u16::try_from(Udp::LEN + data_len).ok()?;
        let header = Udp::mut_from_prefix(transport).ok()?.0;
        header.len.set(len);
        // RFC 768: a checksum of 0 is sent as all ones, because 0 says that there is none.
        header.checksum.set(match !self.common.udp(len, data_sum) {
            0 => u16::MAX,
            checksum => checksum,
        });
        Some(())
    }
}

fn fits(kind: GsoKind, layout: &Layout) -> bool {
    match kind {
        GsoKind::TcpV4 => layout.transport == Transport::Tcp && layout.family == Family::V4,
        GsoKind::TcpV6 => layout.transport == Transport::Tcp && layout.family == Family::V6,
        GsoKind::Udp => layout.transport == Transport::Udp,
    }
}

/// VIRTIO 1.2 §5.1.6.2: a super-frame's checksum is begun. Linux also hands over trains that it verified. One that
/// nobody verified must not get new, right checksums.
fn may_be_cut(checksum: Checksum, layout: &Layout) -> bool {
    match checksum {
        Checksum::Valid => true,
        Checksum::Unchecked => false,
        Checksum::Partial { start, offset } => {
            usize::from(start) == layout.l4 && offset == layout.transport.checksum_offset()
        }
    }
}

/// Sequence number, and the word of header length and flags.
fn tcp_fields(transport: &[u8]) -> Option<(u32, u16)> {
    let header = Tcp::ref_from_prefix(transport).ok()?.0;
    let flags = u16::from_be_bytes(*transport.get(12..)?.first_chunk()?);
    Some((header.sequence.get(), flags))
}

#[cfg(test)]
mod tests;
