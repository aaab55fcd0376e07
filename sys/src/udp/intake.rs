//! Receiving many datagrams with few calls: `recvmmsg`, and each of its messages may be a whole train (`UDP_GRO`).
//!
//! The call ends at the first message that nothing waits for. So one that brings fewer messages than there were buffers for
//! has emptied the socket, and the next one would only say so again.
#![expect(unsafe_code, reason = "recvmmsg takes arrays of pointers, and ancillary data is read through one")]

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};

use libc::{c_int, c_uint, iovec, mmsghdr, sockaddr_storage};

use super::{UDP_GRO, UdpSocket};

/// The most messages, and the most pieces, of one call.
const MESSAGES: usize = 8;
const PIECES: usize = 1024;

/// One message of a call of [`UdpIntake::receive`]: one datagram, or a train.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UdpReceived {
    /// Octets in the pieces.
    pub octets: usize,
    /// Octets of each datagram but the last, which may be shorter. At least 1.
    pub segment: usize,
    /// Who sent it; `None` when the kernel does not say.
    pub source: Option<IpAddr>,
    /// The pieces were too small for all of it.
    pub truncated: bool,
}

/// The arrays of `recvmmsg`, allocated once.
pub struct UdpIntake {
    pieces: Box<[iovec; PIECES]>,
    messages: Box<[mmsghdr; MESSAGES]>,
    sources: Box<[sockaddr_storage; MESSAGES]>,
    controls: Box<[Control; MESSAGES]>,
}

// SAFETY: the pointers in the arrays are written and read only inside `receive`; between calls nobody follows those to pieces,
// and the others point into the boxes beside them.
unsafe impl Send for UdpIntake {}

impl UdpIntake {
    /// Empty arrays.
    #[must_use]
    pub fn new() -> Self {
        let empty = iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        // SAFETY: mmsghdr is integers and raw pointers, for all of which zero is a value.
        let message: mmsghdr = unsafe { std::mem::zeroed() };
        // SAFETY: sockaddr_storage is integers.
        let source: sockaddr_storage = unsafe { std::mem::zeroed() };
        Self {
            pieces: Box::new([empty; PIECES]),
            messages: Box::new([message; MESSAGES]),
            sources: Box::new([source; MESSAGES]),
            controls: Box::new([Control([0; CONTROL_WORDS]); MESSAGES]),
        }
    }

    /// Receives what waits without blocking: each message into one of `buffers`, which is filled piece by piece and should have room
    /// for 65,535 octets. Buffers, or pieces, that are more than the arrays hold are not used. How many messages came and into how many
    /// buffers they could have; [`received`](Self::received) tells of each.
    ///
    /// # Errors
    /// `EAGAIN` when nothing waits.
    pub fn receive<'a, B>(
        &mut self,
        socket: &UdpSocket,
        buffers: impl IntoIterator<Item = B>,
    ) -> io::Result<(usize, usize)>
    where
        B: IntoIterator<Item = IoSliceMut<'a>>,
    {
        let count = self.lay(buffers);
        let messages = self.messages.get_mut(..count).unwrap_or_default();
        let (fd, most) = (socket.as_fd().as_raw_fd(), c_uint::try_from(count).unwrap_or_default());
        // SAFETY: `most` messages, which `lay` pointed at sources and control words that we own and at pieces that the caller
        // of this function has lent for its whole length; all may be written by the lengths given. Without a time limit.
        let came = unsafe {
            libc::recvmmsg(fd, messages.as_mut_ptr(), most, libc::MSG_DONTWAIT, std::ptr::null_mut())
        };
        let came = usize::try_from(came).map_err(|_| io::Error::last_os_error())?;
        Ok((came, count))
    }

    /// The message number `at` of those that the last call received.
    #[must_use]
    pub fn received(&self, at: usize) -> Option<UdpReceived> {
        let (message, source) = (self.messages.get(at)?, self.sources.get(at)?);
        let octets = usize::try_from(message.msg_len).ok()?;
        Some(UdpReceived {
            octets,
            segment: segment_size(&message.msg_hdr).unwrap_or(octets).max(1),
            source: address(source, message.msg_hdr.msg_namelen),
            truncated: message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        })
    }

    /// Points messages at buffers; how many.
    fn lay<'a, B>(&mut self, buffers: impl IntoIterator<Item = B>) -> usize
    where
        B: IntoIterator<Item = IoSliceMut<'a>>,
    {
        let mut free = self.pieces.iter_mut();
        let rooms = self.messages.iter_mut().zip(self.sources.iter_mut()).zip(self.controls.iter_mut());
        let mut count = 0;
        for (((message, source), control), buffer) in rooms.zip(buffers) {
            let first = free.as_slice().as_ptr().cast_mut();
            let mut pieces = 0;
            for (place, mut piece) in free.by_ref().zip(buffer) {
                *place = iovec { iov_base: piece.as_mut_ptr().cast(), iov_len: piece.len() };
                pieces += 1;
            }
            if pieces == 0 {
                break;
            }
            let header = &mut message.msg_hdr;
            header.msg_name = std::ptr::from_mut(source).cast();
            header.msg_namelen = c_uint::try_from(size_of::<sockaddr_storage>()).unwrap_or_default();
            header.msg_iov = first;
            header.msg_iovlen = pieces;
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = size_of::<Control>();
            header.msg_flags = 0;
            count += 1;
        }
        count
    }
}

impl Default for UdpIntake {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for UdpIntake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UdpIntake").finish_non_exhaustive()
    }
}

/// The address that the kernel wrote, with so many octets.
fn address(from: &sockaddr_storage, octets: c_uint) -> Option<IpAddr> {
    let enough = |size: usize| usize::try_from(octets).is_ok_and(|octets| octets >= size);
    let at = std::ptr::from_ref(from);
    match c_int::from(from.ss_family) {
        libc::AF_INET if enough(size_of::<libc::sockaddr_in>()) => {
            // SAFETY: of this family, in storage that is aligned and large enough for every family.
            let v4 = unsafe { *at.cast::<libc::sockaddr_in>() };
            Some(Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes()).into())
        }
        libc::AF_INET6 if enough(size_of::<libc::sockaddr_in6>()) => {
            // SAFETY: as above.
            let v6 = unsafe { *at.cast::<libc::sockaddr_in6>() };
            Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

/// The segment size that the kernel put beside a train.
fn segment_size(message: &libc::msghdr) -> Option<usize> {
    // SAFETY: the kernel left the message with the ancillary data that its lengths describe.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !next.is_null() {
        // SAFETY: not null, hence inside the control words, which are aligned for it.
        let header = unsafe { *next };
        if header.cmsg_level == libc::SOL_UDP && header.cmsg_type == UDP_GRO {
            // SAFETY: the data follows its header.
            let data = unsafe { libc::CMSG_DATA(next) };
            // SAFETY: the kernel writes an int for this kind (udp_cmsg_recv), which may be unaligned for all we know.
            let size: c_int = unsafe { data.cast::<c_int>().read_unaligned() };
            return usize::try_from(size).ok().filter(|size| *size > 0);
        }
        // SAFETY: as for the first.
        next = unsafe { libc::CMSG_NXTHDR(message, next) };
    }
    None
}

/// Ancillary data, aligned for its headers.
#[derive(Clone, Copy)]
#[repr(C)]
struct Control([u64; CONTROL_WORDS]);
const CONTROL_WORDS: usize = 8;
