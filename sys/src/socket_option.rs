//! Socket options that neither `nix` nor `socket2` wraps, as two typed calls.
#![expect(unsafe_code, reason = "setsockopt and getsockopt take pointers")]

use std::io;
use std::net::SocketAddr;
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

// SAFETY: as above.
unsafe impl Plain for libc::xdp_umem_reg {}
// SAFETY: as above.
unsafe impl Plain for libc::xdp_mmap_offsets {}
// SAFETY: as above.
unsafe impl Plain for libc::xdp_statistics {}
// SAFETY: as above.
unsafe impl Plain for libc::xdp_options {}
// SAFETY: as above.
unsafe impl Plain for libc::xdp_desc {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl Plain for [u32; MEMINFO] {}

// SAFETY: as above.
unsafe impl Plain for Md5Signature {}

const _: () = assert!(size_of::<libc::tpacket_req>() == 4 * 4);
const _: () = assert!(size_of::<libc::tpacket_req3>() == 7 * 4);
const _: () = assert!(size_of::<libc::tpacket_stats_v3>() == 3 * 4);
const _: () = assert!(size_of::<libc::packet_mreq>() == 4 + 2 + 2 + 8);
const _: () = assert!(size_of::<libc::tpacket2_hdr>() == 3 * 4 + 2 * 2 + 2 * 4 + 2 * 2 + 4);
const _: () = assert!(size_of::<libc::tpacket3_hdr>() == 6 * 4 + 2 * 2 + 12 + 8);
const _: () = assert!(size_of::<libc::tpacket_hdr_v1>() == 4 * 4 + 8 + 2 * 8);
const _: () = assert!(size_of::<libc::xdp_umem_reg>() == 2 * 8 + 4 * 4);
const _: () = assert!(size_of::<libc::xdp_mmap_offsets>() == 4 * 4 * 8);
const _: () = assert!(size_of::<libc::xdp_statistics>() == 6 * 8);
const _: () = assert!(size_of::<libc::xdp_options>() == 4);
const _: () = assert!(size_of::<libc::xdp_desc>() == 8 + 2 * 4);

/// `struct tcp_md5sig` of linux/tcp.h.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Md5Signature {
    /// `struct sockaddr_storage`.
    address: [u8; 128],
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface: c_int,
    key: [u8; 80],
}

impl Md5Signature {
    /// For one address, or for the network of `length` bits that it is in; `None` when the key does not fit.
    pub(crate) fn new(address: SocketAddr, length: Option<u8>, key: &[u8]) -> Option<Self> {
        const HAS_PREFIX: u8 = 1;
        let mut this = Self {
            address: [0; 128],
            flags: if length.is_some() { HAS_PREFIX } else { 0 },
            prefix_length: length.unwrap_or(0),
            key_length: u16::try_from(key.len()).ok()?,
            interface: 0,
            key: [0; 80],
        };
        this.key.get_mut(..key.len())?.copy_from_slice(key);
        // ip(7), ipv6(7): family, port, then the address; behind port and flow label for IPv6.
        let (family, at, octets) = match address {
            SocketAddr::V4(v4) => (libc::AF_INET, 4, v4.ip().octets().to_vec()),
            SocketAddr::V6(v6) => (libc::AF_INET6, 8, v6.ip().octets().to_vec()),
        };
        this.address.first_chunk_mut::<2>()?.copy_from_slice(&u16::try_from(family).ok()?.to_ne_bytes());
        this.address.get_mut(at..at + octets.len())?.copy_from_slice(&octets);
        Some(this)
    }

    /// Leaves no copy of the key behind.
    pub(crate) fn wipe(&mut self) {
        self.key.fill(0);
        std::hint::black_box(&self.key);
    }
}

/// `SK_MEMINFO_VARS` of linux/sock_diag.h; the last one is `SK_MEMINFO_DROPS`.
const MEMINFO: usize = 9;

/// How much of what came to a socket the kernel has thrown away since it was opened. It wraps.
///
/// # Errors
/// `ENOPROTOOPT` before Linux 4.12.
pub(crate) fn dropped(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let [.., drops] = read(fd, libc::SOL_SOCKET, libc::SO_MEMINFO, [0; MEMINFO])?;
    Ok(drops)
}

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
