//! A memory mapping shared with the kernel, with checked access.
//!
//! The kernel may write any part of the mapping at any time, except those that the ring protocol has handed to us.
//! So plain references into it exist only through [`Mapping::bytes`], which is unsafe to call: the caller states
//! which status word proves that the range is ours. Everything else is an atomic word or a copy.
#![expect(unsafe_code, reason = "maps memory and makes slices of it")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;

use crate::socket_option::Plain;

/// Memory shared with the kernel through a descriptor; unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    octets: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and `Mapping` gives out shared access only as atomics,
// copies, or through the unsafe `bytes`, whose callers argue for themselves.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps the first `octets` octets of `fd`, readable and writable, shared.
    ///
    /// # Errors
    /// Whatever `mmap` answers; `EINVAL` for zero octets or a length that is not what the ring holds.
    pub(crate) fn new(fd: BorrowedFd<'_>, octets: usize) -> io::Result<Self> {
        Self::at(fd, 0, octets)
    }

    /// As [`Self::new`], from an offset that stands for one of several rings.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn at(fd: BorrowedFd<'_>, offset: libc::off_t, octets: usize) -> io::Result<Self> {
        Self::map(fd.as_raw_fd(), libc::MAP_SHARED, offset, octets)
    }

    /// Memory of our own, zeroed, to be shared with the kernel.
    ///
    /// # Errors
    /// `ENOMEM`; `EINVAL` for zero octets.
    pub(crate) fn own(octets: usize) -> io::Result<Self> {
        Self::map(-1, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, 0, octets)
    }

    fn map(fd: libc::c_int, flags: libc::c_int, offset: libc::off_t, octets: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a null hint lets the kernel choose an unused range, so no memory of ours is replaced.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), octets, protection, flags, fd, offset) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Self { start, octets })
    }

    /// The aligned 32-bit word at `offset`; `None` outside the mapping or when not aligned.
    pub(crate) fn word(&self, offset: usize) -> Option<&AtomicU32> {
        if !offset.is_multiple_of(align_of::<AtomicU32>()) || !self.holds(offset, size_of::<AtomicU32>()) {
            return None;
        }
        // SAFETY: `holds` says that four octets at `offset` lie in the mapping.
        let word = unsafe { self.start.add(offset) };
        // SAFETY: the start is page-aligned and the offset a multiple of four, so the word is aligned; it stays
        // mapped as long as `self` is borrowed, and both sides touch status words only atomically.
        Some(unsafe { AtomicU32::from_ptr(word.cast().as_ptr()) })
    }

    /// A copy of the `T` at `offset`; `None` when it does not lie inside the mapping.
    pub(crate) fn copy<T: Plain>(&self, offset: usize) -> Option<T> {
        if !self.holds(offset, size_of::<T>()) {
            return None;
        }
        // SAFETY: `holds` says that the octets of a `T` at `offset` lie in the mapping.
        let at = unsafe { self.start.add(offset) };
        // SAFETY: readable as just said; the read asks for no alignment; `Plain` says that any octets make a `T`.
        Some(unsafe { at.cast::<T>().as_ptr().read_unaligned() })
    }

    /// The `octets` octets at `offset`; `None` when they do not lie inside the mapping.
    ///
    /// # Safety
    /// The kernel must not write this range as long as the slice lives: its ring slot must be ours.
    pub(crate) unsafe fn bytes(&self, offset: usize, octets: usize) -> Option<&[u8]> {
        if !self.holds(offset, octets) {
            return None;
        }
        // SAFETY: `holds` says that the range lies in the mapping.
        let at = unsafe { self.start.add(offset) };
        // SAFETY: in the mapping, initialised (the kernel zeroes ring pages), mapped as long as `self` is borrowed,
        // and not written meanwhile, as the caller promises.
        Some(unsafe { std::slice::from_raw_parts(at.as_ptr(), octets) })
    }

    /// As [`Self::bytes`], to be written.
    ///
    /// # Safety
    /// The kernel must neither read nor write this range as long as the slice lives.
    pub(crate) unsafe fn bytes_mut(&mut self, offset: usize, octets: usize) -> Option<&mut [u8]> {
        if !self.holds(offset, octets) {
            return None;
        }
        // SAFETY: `holds` says that the range lies in the mapping.
        let at = unsafe { self.start.add(offset) };
        // SAFETY: as in `bytes`; and nobody else has a reference, for `self` is borrowed exclusively.
        Some(unsafe { std::slice::from_raw_parts_mut(at.as_ptr(), octets) })
    }

    /// Puts a `T` at `offset`; nothing happens when it does not lie inside the mapping. Whoever reads it there must be
    /// told by an atomic word.
    pub(crate) fn put<T: Plain>(&mut self, offset: usize, value: T) {
        if !self.holds(offset, size_of::<T>()) {
            return;
        }
        // SAFETY: `holds` says that the octets of a `T` at `offset` lie in the mapping.
        let at = unsafe { self.start.add(offset) };
        // SAFETY: writable as just said; the write asks for no alignment; no reference into the mapping is alive, for
        // `self` is borrowed exclusively.
        unsafe { at.cast::<T>().as_ptr().write_unaligned(value) };
    }

    /// Where it is, for requests that tell the kernel so.
    pub(crate) fn address(&self) -> u64 {
        u64::try_from(self.start.as_ptr().addr()).unwrap_or(0)
    }

    /// Octets of it.
    pub(crate) const fn octets(&self) -> usize {
        self.octets
    }

    /// Whether `octets` octets at `offset` lie inside the mapping.
    fn holds(&self, offset: usize, octets: usize) -> bool {
        offset.checked_add(octets).is_some_and(|end| end <= self.octets)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `new` mapped; every reference into it borrows `self`, so none is left.
        let _ = unsafe { libc::munmap(self.start.as_ptr().cast(), self.octets) };
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::sync::atomic::Ordering;

    use nix::sys::memfd::{MFdFlags, memfd_create};

    use super::*;

    #[test]
    fn nothing_outside_the_mapping_can_be_reached() {
        let file = memfd_create(c"mapping", MFdFlags::MFD_CLOEXEC).unwrap();
        nix::unistd::ftruncate(&file, 4096).unwrap();
        let mapping = Mapping::new(file.as_fd(), 4096).unwrap();
        mapping.word(4092).unwrap().store(0x0102_0304, Ordering::Release);
        assert_eq!(mapping.copy::<libc::c_int>(4092), Some(0x0102_0304));
        assert_eq!(mapping.copy::<libc::c_int>(4093), None);
        assert_eq!(mapping.copy::<libc::c_int>(usize::MAX), None);
        assert!(mapping.word(4096).is_none());
        assert!(mapping.word(2).is_none(), "not aligned");
        // SAFETY: no kernel ring here, nobody writes.
        let whole = unsafe { mapping.bytes(0, 4096) };
        // SAFETY: as above.
        let past = unsafe { mapping.bytes(1, 4096) };
        assert_eq!(whole.map(<[u8]>::len), Some(4096));
        assert!(past.is_none());
    }
}
