//! A packet buffer with room at both ends, so that headers and trailers are added without copying.
//!
//! ```text
//! 0        start                 end        capacity
//! | headroom | the packet's octets | tailroom |
//! ```
//!
//! Invariant: `start <= end <= capacity`. Growing fails (with `None` or `false`) instead of moving
//! octets: whoever allocates a buffer plans its room. Octets that a growth exposes hold whatever was
//! there before; the caller writes all of them.

use core::{
    fmt,
    ops::{Deref, DerefMut},
};

/// Octets of one packet with spare room before and after them.
pub struct PacketBuf {
    data: Box<[u8]>,
    start: usize,
    end: usize,
}

impl PacketBuf {
    /// An empty packet in a new buffer of `capacity` octets, `headroom` of them before it.
    /// A headroom beyond the capacity becomes the capacity.
    pub fn with_capacity(capacity: usize, headroom: usize) -> Self {
        let start = headroom.min(capacity);
        Self { data: vec![0; capacity].into_boxed_slice(), start, end: start }
    }

    /// A packet that holds a copy of `octets`, with the given room around them. For tests and control frames.
    pub fn copy_of(octets: &[u8], headroom: usize, tailroom: usize) -> Self {
        let mut buf = Self::with_capacity(headroom + octets.len() + tailroom, headroom);
        buf.extend_from_slice(octets);
        buf
    }

    /// Empties the packet and leaves `headroom` octets (at most the capacity) before it.
    pub fn reset(&mut self, headroom: usize) {
        self.start = headroom.min(self.data.len());
        self.end = self.start;
    }

    /// Size of the whole buffer in octets.
    pub fn capacity(&self) -> usize {
        self.data.len()
    }

    /// Octets free before the packet.
    pub fn headroom(&self) -> usize {
        self.start
    }

    /// Octets free after the packet.
    pub fn tailroom(&self) -> usize {
        self.data.len() - self.end
    }

    /// Grows the packet by `count` octets at its front and returns them; `None` when the headroom is too small.
    pub fn push_front(&mut self, count: usize) -> Option<&mut [u8]> {
        self.start = self.start.checked_sub(count)?;
        self.data.get_mut(self.start..self.start + count)
    }

    /// Grows the packet by `count` octets at its back and returns them; `None` when the tailroom is too small.
    pub fn push_back(&mut self, count: usize) -> Option<&mut [u8]> {
        let end = self.end.checked_add(count).filter(|&end| end <= self.data.len())?;
        let begin = core::mem::replace(&mut self.end, end);
        self.data.get_mut(begin..end)
    }

    /// Cuts `count` octets off the front; false (and unchanged) when the packet is shorter.
    #[must_use]
    pub fn pull_front(&mut self, count: usize) -> bool {
        let enough = count <= self.len();
        if enough {
            self.start += count;
        }
        enough
    }

    /// Shortens the packet to `len` octets; does nothing when it is not longer.
    pub fn truncate(&mut self, len: usize) {
        self.end = self.end.min(self.start.saturating_add(len));
    }

    /// Appends a copy of `octets`; false (and unchanged) when the tailroom is too small.
    pub fn extend_from_slice(&mut self, octets: &[u8]) -> bool {
        self.push_back(octets.len()).is_some_and(|room| {
            room.copy_from_slice(octets);
            true
        })
    }

    /// All octets from the packet's start to the end of the buffer: where a port receives into.
    /// [`set_len`](Self::set_len) then says how many of them became the packet.
    pub fn spare_mut(&mut self) -> &mut [u8] {
        self.data.get_mut(self.start..).unwrap_or_default()
    }

    /// Makes the packet `len` octets long, counted from its start; longer than the buffer becomes all of it.
    pub fn set_len(&mut self, len: usize) {
        self.end = self.start.saturating_add(len).min(self.data.len());
    }
}

impl Deref for PacketBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.data.get(self.start..self.end).unwrap_or_default()
    }
}

impl DerefMut for PacketBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.data.get_mut(self.start..self.end).unwrap_or_default()
    }
}

impl AsMut<Self> for PacketBuf {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

impl fmt::Debug for PacketBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PacketBuf({} + {} + {})", self.headroom(), self.len(), self.tailroom())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_shrinks_at_both_ends() {
        let mut buf = PacketBuf::copy_of(b"payload", 4, 2);
        buf.push_front(4).unwrap().copy_from_slice(b"head");
        buf.push_back(2).unwrap().copy_from_slice(b"!!");
        assert_eq!(&*buf, b"headpayload!!");
        assert!(buf.pull_front(4));
        buf.truncate(7);
        assert_eq!(&*buf, b"payload");
    }

    #[test]
    fn refuses_to_grow_past_its_room_and_stays_as_it_was() {
        let mut buf = PacketBuf::copy_of(b"abc", 1, 1);
        assert!(buf.push_front(2).is_none());
        assert!(buf.push_back(2).is_none());
        assert!(buf.push_back(usize::MAX).is_none());
        assert!(!buf.pull_front(4));
        assert!(!buf.extend_from_slice(b"de"));
        assert_eq!(&*buf, b"abc");
    }

    #[test]
    fn receives_into_its_spare_room() {
        let mut buf = PacketBuf::with_capacity(10, 4);
        buf.spare_mut()[..3].copy_from_slice(b"abc");
        buf.set_len(3);
        assert_eq!(&*buf, b"abc");
        buf.set_len(100);
        assert_eq!(buf.len(), 6);
        buf.reset(100);
        assert_eq!((buf.headroom(), buf.len(), buf.tailroom()), (10, 0, 0));
    }
}
