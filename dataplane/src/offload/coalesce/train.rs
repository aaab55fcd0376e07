//! One held flow: its first segment as it came, or the super-frame that it has become.

use net::{
    Ethernet, PacketBuf, VlanTag,
    ipv4::Ipv4,
    ipv6::Ipv6,
    tcp::{Tcp, flag},
    udp::Udp,
    virtio::{Checksum, Gso, GsoKind, Offload},
};
use zerocopy::FromBytes;

use super::{
    LONG,
    part::{Key, Part, same_headers},
};
use crate::{
    Frame, Pool, TAILROOM,
    offload::{
        layout::{Family, Layout, Transport},
        sum::{Common, copy_and_sum, pseudo_header},
    },
};

/// The largest IP packet that is joined: Linux cuts what is 65,536 octets with its Ethernet header (and a tag) or longer
/// into segments in software, and a socket past the queueing discipline refuses it.
const MAX_L3: usize = 65_535 - Ethernet::LEN - VlanTag::LEN;
/// Datagrams in a train, as in the kernel (`UDP_GRO_CNT_MAX`).
const MAX_DATAGRAMS: usize = 64;

/// What became of a frame that was offered to a train.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Joined {
    /// It was copied into the train, which may go on.
    Open,
    /// It was copied into the train, which ends with it.
    Complete,
    /// It does not continue the train. It may start another one.
    No,
    /// Its checksum is wrong.
    Corrupt,
}

#[derive(Debug)]
pub(super) struct Train {
    key: Key,
    frame: Frame,
    first: Part,
    /// Segments so far.
    count: usize,
    /// Where the data of all segments ends. The headers are corrected when the train leaves.
    end: usize,
    /// PSH on the last segment.
    pushed: bool,
    /// Known from the second segment on.
    common: Option<Common>,
    /// Something joined since this was last asked.
    grew: bool,
}

impl Train {
    pub(super) fn new(frame: Frame, key: Key, first: Part) -> Self {
        Self { key, frame, first, count: 1, end: first.layout.end, pushed: false, common: None, grew: true }
    }

    /// Whether it is worth keeping open for more.
    pub(super) const fn is_long(&self) -> bool {
        self.count >= LONG
    }

    /// Whether anything joined since this was last asked.
    pub(super) const fn grew(&mut self) -> bool {
        core::mem::replace(&mut self.grew, false)
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// Offers the next frame of the flow. The train is as it was unless the answer is `Open` or `Complete`.
    pub(super) fn join(&mut self, next: &Frame, part: &Part, pool: &mut Pool) -> Joined {
        if !self.is_continued_by(next, part) {
            return Joined::No;
        }
        let copied = match self.common {
            Some(common) => self.append(next, part, common),
            None => self.enlarge(next, part, pool),
        };
        if let Err(joined) = copied {
            return joined;
        }
        self.count += 1;
        self.end += part.layout.data_len();
        self.pushed = part.is_last();
        self.grew = true;
        let short = part.layout.data_len() < self.size();
        if short || self.pushed { Joined::Complete } else { Joined::Open }
    }

    /// The frame that leaves: the only segment unchanged, or the super-frame.
    pub(super) fn finish(mut self) -> Frame {
        if let Some(offload) = self.write_headers() {
            self.frame.offload = offload;
        }
        self.frame
    }

    /// Octets of data in each segment but the last.
    fn size(&self) -> usize {
        self.first.layout.data_len()
    }

    fn is_continued_by(&self, next: &Frame, part: &Part) -> bool {
        let (one, other) = (&self.first.layout, &part.layout);
        let octets = self.end - one.payload;
        let full = self.end + other.data_len() > one.l3 + MAX_L3
            || (one.transport == Transport::Udp && self.count >= MAX_DATAGRAMS);
        !full
            && other.data_len() <= self.size()
            && self.first.is_followed_by(part, octets, self.count)
            && same_headers(&self.frame.buf, &next.buf, one)
    }

    /// Moves the first segment to a big buffer and the second one behind it.
    fn enlarge(&mut self, next: &Frame, part: &Part, pool: &mut Pool) -> Result<(), Joined> {
        let mut big = pool.big().ok_or(Joined::No)?;
        match self.copy_both(&mut big, next, part) {
            Ok(common) => {
                self.common = Some(common);
                pool.give(core::mem::replace(&mut self.frame.buf, big));
                Ok(())
            }
            Err(joined) => {
                pool.give(big);
                Err(joined)
            }
        }
    }

    /// The first segment's checksum was not looked at until now. When it is wrong, that segment leaves alone.
    fn copy_both(&self, big: &mut PacketBuf, next: &Frame, part: &Part) -> Result<Common, Joined> {
        let layout = &self.first.layout;
        let headers = self.frame.buf.get(..layout.payload).ok_or(Joined::No)?;
        let common = Common::of(headers, layout).ok_or(Joined::No)?;
        if !big.extend_from_slice(headers) {
            return Err(Joined::No);
        }
        match copy_data(big, &self.frame, &self.first, common) {
            Ok(()) => copy_data(big, next, part, common)?,
            Err(_) => return Err(Joined::No),
        }
        Ok(common)
    }

    fn append(&mut self, next: &Frame, part: &Part, common: Common) -> Result<(), Joined> {
        let before = self.frame.buf.len();
        let copied = copy_data(&mut self.frame.buf, next, part, common);
        if copied.is_err() {
            self.frame.buf.truncate(before);
        }
        copied
    }

    /// Makes the headers say what the super-frame is. `None` for a single segment, which stays as it is.
    fn write_headers(&mut self) -> Option<Offload> {
        self.common?;
        let layout = Layout { end: self.end, ..self.first.layout };
        let headers = self.frame.buf.get_mut(..layout.payload)?;
        let len = u16::try_from(layout.end - layout.l4).ok()?;
        let pseudo = pseudo_header(headers, &layout, len)?;
        let packet = headers.get_mut(layout.l3..)?;
        match layout.family {
            Family::V4 => {
                Ipv4::from_mut(packet)?.set_total_len(u16::try_from(layout.end - layout.l3).ok()?);
            }
            Family::V6 => Ipv6::from_mut(packet)?.set_payload_len(len),
        }
        let transport = packet.get_mut(layout.l4 - layout.l3..)?;
        match layout.transport {
            Transport::Tcp => {
                let header = Tcp::from_mut(transport)?;
                header.checksum.set(pseudo);
                header.flags |= if self.pushed { flag::PSH } else { 0 };
            }
            Transport::Udp => {
                let header = Udp::mut_from_prefix(transport).ok()?.0;
                header.checksum.set(pseudo);
                header.len.set(len);
            }
        }
        self.offload(&layout)
    }

    fn offload(&self, layout: &Layout) -> Option<Offload> {
        let kind = match (layout.transport, layout.family) {
            (Transport::Tcp, Family::V4) => GsoKind::TcpV4,
            (Transport::Tcp, Family::V6) => GsoKind::TcpV6,
            (Transport::Udp, Family::V4 | Family::V6) => GsoKind::Udp,
        };
        let gso = Gso { kind, size: u16::try_from(self.size()).ok()?, ecn: false };
        let start = u16::try_from(layout.l4).ok()?;
        let checksum = Checksum::Partial { start, offset: layout.transport.checksum_offset() };
        Some(Offload { checksum, gso: Some(gso) })
    }
}

/// Appends the data of one segment to `big`: `No` when it does not fit, `Corrupt` when its checksum is wrong.
fn copy_data(big: &mut PacketBuf, frame: &Frame, part: &Part, common: Common) -> Result<(), Joined> {
    let data = frame.buf.get(part.layout.payload..part.layout.end).ok_or(Joined::No)?;
    if big.tailroom() < data.len() + TAILROOM {
        return Err(Joined::No);
    }
    let room = big.push_back(data.len()).ok_or(Joined::No)?;
    let right = part.is_right(common, copy_and_sum(room, data));
    right.then_some(()).ok_or(Joined::Corrupt)
}
