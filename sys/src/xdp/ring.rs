//! The four rings of an AF_XDP socket (kernel documentation, networking/af_xdp): one side writes entries and moves the
//! producer, the other reads them and moves the consumer. Both are free-running 32-bit counts.
//!
//! What the other side's count says is bounded by the ring's size before it is believed.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::mmap::Mapping;
use crate::socket_option::Plain;

/// One ring of entries `T`, seen from one side of it.
#[derive(Debug)]
pub(super) struct Ring<T> {
    memory: Mapping,
    offsets: libc::xdp_ring_offset,
    size: u32,
    /// Our own count: what was written or read, told to the kernel or not yet.
    ours: u32,
    /// The other side's, as last seen.
    theirs: u32,
    entry: std::marker::PhantomData<T>,
}

impl<T: Plain> Ring<T> {
    /// The ring of `size` entries, a power of two, that the kernel has at `page` of the socket.
    ///
    /// # Errors
    /// Whatever `mmap` answers.
    pub(super) fn map(
        socket: BorrowedFd<'_>,
        page: libc::off_t,
        offsets: libc::xdp_ring_offset,
        size: u32,
    ) -> io::Result<Self> {
        let entries = usize::try_from(size).unwrap_or(0).saturating_mul(size_of::<T>());
        let octets = usize::try_from(offsets.desc).map_err(io::Error::other)?.saturating_add(entries);
        let memory = Mapping::at(socket, page, octets)?;
        Ok(Self { memory, offsets, size, ours: 0, theirs: 0, entry: std::marker::PhantomData })
    }

    /// For the side that writes: how many entries there is room for.
    pub(super) fn room(&mut self) -> u32 {
        self.theirs = self.load(self.offsets.consumer);
        self.size.saturating_sub(self.ours.wrapping_sub(self.theirs))
    }

    /// Writes the next entry; [`Self::room`] said that there is room. The kernel sees it with [`Self::publish`].
    pub(super) fn write(&mut self, entry: T) {
        self.memory.put(self.place(self.ours), entry);
        self.ours = self.ours.wrapping_add(1);
    }

    /// Tells the kernel of everything written.
    pub(super) fn publish(&self) {
        if let Some(word) = self.word(self.offsets.producer) {
            word.store(self.ours, Ordering::Release);
        }
    }

    /// Whether the kernel has still to take what was published.
    pub(super) fn is_behind(&self) -> bool {
        self.load(self.offsets.consumer) != self.ours
    }

    /// For the side that reads: how many entries wait, as far as was last looked; looks again when there are none.
    pub(super) fn waiting(&mut self) -> u32 {
        if self.theirs == self.ours {
            self.theirs = self.load(self.offsets.producer);
        }
        self.theirs.wrapping_sub(self.ours).min(self.size)
    }

    /// Looks again how many entries wait.
    pub(super) fn look(&mut self) -> u32 {
        self.theirs = self.load(self.offsets.producer);
        self.waiting()
    }

    /// For the side that reads: how many entries wait now, and of how many at most.
    pub(super) fn filling(&self) -> (u32, u32) {
        (self.load(self.offsets.producer).wrapping_sub(self.ours), self.size)
    }

    /// The entry `ahead` of the next one.
    pub(super) fn peek(&self, ahead: u32) -> Option<T> {
        self.memory.copy(self.place(self.ours.wrapping_add(ahead)))
    }

    /// Goes on by `count` entries; the kernel gets their room back with [`Self::give_back`].
    pub(super) fn advance(&mut self, count: u32) {
        self.ours = self.ours.wrapping_add(count);
    }

    /// Gives the kernel the room of everything read.
    pub(super) fn give_back(&self) {
        if let Some(word) = self.word(self.offsets.consumer) {
            word.store(self.ours, Ordering::Release);
        }
    }

    /// Whether the kernel sleeps until a system call tells it of what was published.
    pub(super) fn wants_waking(&self) -> bool {
        self.load(self.offsets.flags) & libc::XDP_RING_NEED_WAKEUP != 0
    }

    fn load(&self, offset: u64) -> u32 {
        self.word(offset).map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn word(&self, offset: u64) -> Option<&AtomicU32> {
        self.memory.word(usize::try_from(offset).ok()?)
    }

    fn place(&self, count: u32) -> usize {
        let at = usize::try_from(count & (self.size - 1)).unwrap_or(0);
        usize::try_from(self.offsets.desc).unwrap_or(usize::MAX).saturating_add(at * size_of::<T>())
    }
}
