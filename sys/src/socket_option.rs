//! Socket options that neither `nix` nor `socket2` wraps, as two typed calls.
#![expect(unsafe_code, reason = "setsockopt and getsockopt take pointers")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, socklen_t};

/// Plain memory without padding and without pointers: every bit pattern is a value.
///
/// # Safety
/// The implementor promises exactly that; the kernel may then fill such a value or read it octet by octet.
pub(crate) unsafe trait Plain: Copy + 'static {}

// SAFETY: integers have no padding, no pointers and no invalid patterns; so do these structs made only of integers,
// whose fields fill them completely (the assertions below count them).
unsafe impl Plain for c_int {}
// SAFETY: as above.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for libc::tpacket_req {}
// SAFETY: as above.
unsafe impl Plain for libc::tpacket_req3 {}
// SAFETY: as above.
unsafe impl Plain for libc::tpacket_stats_v3 {}
// SAFETY: as above.
unsafe impl Plain for libc::packet_mreq {}
// SAFETY: as above.
unsafe impl Plain for libc::tpacket2_hdr {}
// SAFETY: as above; its union has one variant.
unsafe impl Plain for libc::tpacket3_hdr {}
// SAFETY: as above.
unsafe impl Plain for libc::tpacket_hdr_v1 {}

const _: () = assert!(size_of::<libc::tpacket_req>() == 4 * 4);
const _: () = assert!(size_of::<libc::tpacket_req3>() == 7 * 4);
const _: () = assert!(size_of::<libc::tpacket_stats_v3>() == 3 * 4);
const _: () = assert!(size_of::<libc::packet_mreq>() == 4 + 2 + 2 + 8);
const _: () = assert!(size_of::<libc::tpacket2_hdr>() == 3 * 4 + 2 * 2 + 2 * 4 + 2 * 2 + 4);
const _: () = assert!(size_of::<libc::tpacket3_hdr>() == 6 * 4 + 2 * 2 + 12 + 8);
const _: () = assert!(size_of::<libc::tpacket_hdr_v1>() == 4 * 4 + 8 + 2 * 8);

/// Sets option `name` of `level` to `value`.
///
/// # Errors
/// Whatever the kernel answers; `ENOPROTOOPT` when it does not know the option.
pub(crate) fn set<T: Plain>(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`, which outlives the call; the kernel only reads it.
    let code = unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), octets::<T>())
    };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads option `name` of `level` into `value`; fields that an older kernel does not know keep what they held.
///
/// # Errors
/// Whatever the kernel answers.
pub(crate) fn read<T: Plain>(fd: BorrowedFd<'_>, level: c_int, name: c_int, mut value: T) -> io::Result<T> {
    let mut length = octets::<T>();
    // SAFETY: the pointer and the length describe `value`, which outlives the call; the kernel writes at most
    // `length` octets, and `Plain` says that any octets make a value.
    let code = unsafe {
        libc::getsockopt(fd.as_raw_fd(), level, name, std::ptr::from_mut(&mut value).cast(), &raw mut length)
    };
    if code == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

#[expect(clippy::as_conversions, reason = "a constant context; option structs are a few dozen octets")]
const fn octets<T>() -> socklen_t {
    size_of::<T>() as socklen_t
}
