//! Sending many datagrams with few calls: consecutive ones of one length become a train (`UDP_SEGMENT`), and several
//! trains go with one `sendmmsg`.
//!
//! The kernel cuts a train where the device cannot, behind all the work that it does per packet. A train must fit one IP
//! packet's length field, holds at most 64 datagrams, and only its last may be shorter.
#![expect(unsafe_code, reason = "sendmmsg takes arrays of pointers")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use libc::{c_uint, iovec, mmsghdr};

use super::{MAX_SEGMENTS, MAX_TRAIN, UDP_SEGMENT, UdpSocket};

/// The most messages, and the most datagrams, that one call looks at.
const MESSAGES: usize = 64;
const PIECES: usize = 1024;

/// What became of some datagrams.
#[derive(Debug)]
#[must_use = "datagrams after `sent` were not sent"]
pub struct TrainsSent {
    /// How many datagrams from the front were sent.
    pub sent: usize,
    /// Why the next ones were not, and how many those are (a whole train), when there is a reason.
    pub stopped: Option<(io::Error, usize)>,
}

/// The arrays of `sendmmsg`, allocated once.
pub struct UdpTrains {
    pieces: Box<[iovec; PIECES]>,
    messages: Box<[mmsghdr; MESSAGES]>,
    controls: Box<[SegmentControl; MESSAGES]>,
    /// Datagrams of each message.
    counts: [usize; MESSAGES],
}

// SAFETY: the pointers in the arrays are written and read only inside `send`; between calls nobody follows them.
unsafe impl Send for UdpTrains {}

impl UdpTrains {
    /// Empty arrays.
    #[must_use]
    pub fn new() -> Self {
        let empty = iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        // SAFETY: mmsghdr is integers and raw pointers, for all of which zero is a value.
        let message: mmsghdr = unsafe { std::mem::zeroed() };
        Self {
            pieces: Box::new([empty; PIECES]),
            messages: Box::new([message; MESSAGES]),
            controls: Box::new([SegmentControl::new(); MESSAGES]),
            counts: [0; MESSAGES],
        }
    }

    /// Sends `datagrams` in their order through the connected `socket` without blocking: as trains when `trains`, each by
    /// itself otherwise. It may stop before the end without a reason; then the caller calls again with the rest.
    pub fn send<'a>(
        &mut self,
        socket: &UdpSocket,
        datagrams: impl IntoIterator<Item = &'a [u8]>,
        trains: bool,
    ) -> TrainsSent {
        let messages = self.lay(datagrams, trains);
        let mut done = 0;
        while done < messages {
            match self.call(socket, done, messages) {
                Ok(0) => return self.stopped(done, io::ErrorKind::WouldBlock.into()),
                Ok(more) => done += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.stopped(done, error),
            }
        }
        TrainsSent { sent: self.datagrams(messages), stopped: None }
    }

    fn stopped(&self, done: usize, error: io::Error) -> TrainsSent {
        let count = self.counts.get(done).copied().unwrap_or(0);
        TrainsSent { sent: self.datagrams(done), stopped: Some((error, count)) }
    }

    fn datagrams(&self, messages: usize) -> usize {
        self.counts.iter().take(messages).sum()
    }

    /// Fills the arrays and says how many messages there are. What does not fit is left for the next call.
    fn lay<'a>(&mut self, datagrams: impl IntoIterator<Item = &'a [u8]>, trains: bool) -> usize {
        let mut open: Option<Train> = None;
        let (mut messages, mut used) = (0, 0);
        for datagram in datagrams {
            let joins = trains && open.as_mut().is_some_and(|train| train.takes(datagram.len()));
            if used == PIECES || (!joins && messages == MESSAGES) {
                break;
            }
            if !joins {
                self.close(messages, used, open.take());
                open = Some(Train::starting(used, datagram.len()));
                messages += 1;
            }
            if let Some(piece) = self.pieces.get_mut(used) {
                *piece = iovec { iov_base: datagram.as_ptr().cast_mut().cast(), iov_len: datagram.len() };
            }
            used += 1;
        }
        self.close(messages, used, open);
        messages
    }

    /// Writes message number `messages - 1`, whose pieces end before `used`.
    fn close(&mut self, messages: usize, used: usize, train: Option<Train>) {
        let (Some(train), Some(at)) = (train, messages.checked_sub(1)) else { return };
        let Some(pieces) = self.pieces.get_mut(train.first..used) else { return };
        let (Some(message), Some(control), Some(count)) =
            (self.messages.get_mut(at), self.controls.get_mut(at), self.counts.get_mut(at))
        else {
            return;
        };
        *count = pieces.len();
        message.msg_hdr.msg_iov = pieces.as_mut_ptr();
        message.msg_hdr.msg_iovlen = pieces.len();
        if pieces.len() > 1 {
            control.size = u16::try_from(train.size).unwrap_or(u16::MAX);
            message.msg_hdr.msg_control = std::ptr::from_mut(control).cast();
            message.msg_hdr.msg_controllen = size_of::<SegmentControl>();
        } else {
            message.msg_hdr.msg_control = std::ptr::null_mut();
            message.msg_hdr.msg_controllen = 0;
        }
    }

    fn call(&mut self, socket: &UdpSocket, from: usize, until: usize) -> io::Result<usize> {
        let messages = self.messages.get_mut(from..until).unwrap_or_default();
        let count = c_uint::try_from(messages.len()).unwrap_or_default();
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: `count` messages, which `close` pointed at pieces and control data that we own; the pieces point at
        // datagrams that the caller of `send` still borrows. The kernel only reads all of them.
        let sent = unsafe { libc::sendmmsg(fd, messages.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

impl Default for UdpTrains {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for UdpTrains {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UdpTrains").finish_non_exhaustive()
    }
}

/// A message that is being laid.
struct Train {
    first: usize,
    size: usize,
    octets: usize,
    count: usize,
    /// A shorter datagram ended it.
    ended: bool,
}

impl Train {
    const fn starting(first: usize, size: usize) -> Self {
        Self { first, size, octets: size, count: 1, ended: size == 0 }
    }

    /// Whether one more datagram of `len` octets fits; then it is counted.
    const fn takes(&mut self, len: usize) -> bool {
        let fits = !self.ended
            && len > 0
            && len <= self.size
            && self.count < MAX_SEGMENTS
            && self.octets + len <= MAX_TRAIN;
        if fits {
            self.octets += len;
            self.count += 1;
            self.ended = len < self.size;
        }
        fits
    }
}

/// The ancillary data that makes a train: header, size, padding.
#[derive(Clone, Copy)]
#[repr(C)]
struct SegmentControl {
    header: libc::cmsghdr,
    size: u16,
    padding: [u16; 3],
}

impl SegmentControl {
    fn new() -> Self {
        // SAFETY: cmsghdr is integers, for which zero is a value.
        let mut header: libc::cmsghdr = unsafe { std::mem::zeroed() };
        header.cmsg_len = size_of::<libc::cmsghdr>() + size_of::<u16>();
        header.cmsg_level = libc::SOL_UDP;
        header.cmsg_type = UDP_SEGMENT;
        Self { header, size: 0, padding: [0; 3] }
    }
}
