//! Sending many frames with one system call: `sendmmsg` on a packet socket.
//!
//! Each message is two pieces, the virtio-net header (when the socket has one) and the frame, so nothing is copied on
//! this side. The kernel stops at the first message it cannot take and does not say why until it is asked to start
//! with that one; so [`TxBatch::send`] goes on behind a frame that was refused for its own sake (too long, malformed
//! header), and stops at an error that the next frame would meet as well (no room, interface down or gone).
//!
//! Why not `PACKET_TX_RING`: see `sys/examples/packet_rates.rs` and the numbers there. It also hands its slots back
//! when a veth peer orphans the buffer, which may be before the receiver has read it.
#![expect(unsafe_code, reason = "sendmmsg takes arrays of pointers")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_uint, iovec, mmsghdr};

use crate::fault::Fault;
use crate::{VNET_HEADER_OCTETS, VnetHeader};

/// The most frames that one call of [`TxBatch::send`] looks at.
pub const TX_BATCH: usize = 64;

/// A frame to send.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Its virtio-net header; `None` means nothing is offloaded. Must be `None` on a socket without the header.
    pub vnet: Option<VnetHeader>,
    /// The frame from its Ethernet header on, VLAN tags included.
    pub data: &'a [u8],
}

/// What became of a batch.
#[derive(Debug)]
#[must_use = "frames after `taken` were not sent"]
pub struct Sent {
    /// How many frames from the front are done with: the kernel took them or refused them.
    pub taken: usize,
    /// Bit `i` is set when frame `i` was refused for its own sake. Those below `taken` without a bit were sent.
    pub refused: u64,
    /// Why the frame at `taken` was not sent, when there is one.
    pub stopped: Option<io::Error>,
}

impl Sent {
    /// How many frames the kernel took.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.taken.saturating_sub(usize::try_from(self.refused.count_ones()).unwrap_or(usize::MAX))
    }
}

/// The message arrays of `sendmmsg`, allocated once.
pub struct TxBatch {
    /// Owned copies of the headers: the pieces point here.
    headers: Box<[VnetHeader; TX_BATCH]>,
    /// Two per message: header, frame. The header's piece is empty on a socket without headers.
    pieces: Box<[iovec; 2 * TX_BATCH]>,
    messages: Box<[mmsghdr; TX_BATCH]>,
    vnet_header: bool,
}

// SAFETY: the pointers in the arrays are written and read only inside `send`; between calls nobody follows them.
unsafe impl Send for TxBatch {}

impl TxBatch {
    /// Arrays for a socket that was opened with (`vnet_header`) or without virtio-net headers.
    #[must_use]
    pub fn new(vnet_header: bool) -> Self {
        let empty = iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        // SAFETY: mmsghdr is integers and raw pointers, for all of which zero is a value.
        let message: mmsghdr = unsafe { std::mem::zeroed() };
        Self {
            headers: Box::new([[0; VNET_HEADER_OCTETS]; TX_BATCH]),
            pieces: Box::new([empty; 2 * TX_BATCH]),
            messages: Box::new([message; TX_BATCH]),
            vnet_header,
        }
    }

    /// Sends up to [`TX_BATCH`] `frames` through `socket` without blocking; more are not looked at.
    ///
    /// With `PACKET_QDISC_BYPASS` a full device queue shows as `ENOBUFS` here: that frame is lost unless it is given
    /// to a later call. Frames with a virtio-net header for a socket without are refused.
    pub fn send<'a>(
        &mut self,
        socket: BorrowedFd<'_>,
        frames: impl IntoIterator<Item = Outgoing<'a>>,
    ) -> Sent {
        let mut wrong = 0;
        let mut count = 0;
        let (pairs, _) = self.pieces.as_chunks_mut::<2>();
        let slots = self.messages.iter_mut().zip(pairs).zip(self.headers.iter_mut());
        for (frame, ((message, pieces), header)) in frames.into_iter().zip(slots) {
            *header = frame.vnet.unwrap_or_default();
            if frame.vnet.is_some() && !self.vnet_header {
                wrong |= 1 << count;
            }
            let octets = if self.vnet_header { VNET_HEADER_OCTETS } else { 0 };
            *pieces = [
                iovec { iov_base: header.as_mut_ptr().cast(), iov_len: octets },
                iovec { iov_base: frame.data.as_ptr().cast_mut().cast(), iov_len: frame.data.len() },
            ];
            message.msg_hdr.msg_iov = pieces.as_mut_ptr();
            message.msg_hdr.msg_iovlen = 2;
            count += 1;
        }
        self.push(socket, count, wrong)
    }

    /// Hands the first `count` messages to the kernel, in as few calls as it lets us. Those with a bit in `refused`
    /// are left out.
    fn push(&mut self, socket: BorrowedFd<'_>, count: usize, mut refused: u64) -> Sent {
        let mut taken = 0;
        while taken < count {
            let ahead = refused >> taken;
            if ahead & 1 != 0 {
                taken += 1;
                continue;
            }
            let clean = usize::try_from(ahead.trailing_zeros()).unwrap_or(TX_BATCH);
            let until = count.min(taken + clean);
            match self.call(socket, taken, until) {
                Ok(0) => {
                    // Not known to happen; but a caller must be able to rely on progress or a reason.
                    let stopped = Some(io::ErrorKind::WouldBlock.into());
                    return Sent { taken, refused: refused & below(taken), stopped };
                }
                Ok(more) => taken += more,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if Fault::of(&e) == Fault::Frame => {
                    refused |= 1 << taken;
                    taken += 1;
                }
                Err(e) => return Sent { taken, refused: refused & below(taken), stopped: Some(e) },
            }
        }
        Sent { taken, refused, stopped: None }
    }

    fn call(&mut self, socket: BorrowedFd<'_>, from: usize, until: usize) -> io::Result<usize> {
        let messages = self.messages.get_mut(from..until).unwrap_or_default();
        let count = c_uint::try_from(messages.len()).unwrap_or_default();
        // SAFETY: `count` messages, each with two pieces; `send` pointed the first into `headers`, which we own, and
        // the second at a frame that its caller still borrows. The kernel only reads the pieces.
        let sent =
            unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

impl std::fmt::Debug for TxBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TxBatch").field("vnet_header", &self.vnet_header).finish_non_exhaustive()
    }
}

/// The bits below `count`.
fn below(count: usize) -> u64 {
    u32::try_from(count).ok().and_then(|shift| 1u64.checked_shl(shift)).map_or(u64::MAX, |bit| bit - 1)
}
