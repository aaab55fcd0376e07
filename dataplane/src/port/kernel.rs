//! What the drivers over `sys` share: the kernel's words into ours.
//!
//! The virtio-net header (VIRTIO 1.2 §5.1.6) travels beside the octets, not in front of them, so a frame's buffer
//! begins with the destination address here as everywhere.

use std::io;

use sys::{VnetHeader, fault::Fault};

use super::PortError;
use crate::{Frame, Pool, offload::Layout};

/// Why a port failed; `None` when it did not, but only has nothing to take or no room now.
pub(super) fn port_error(error: &io::Error) -> Option<PortError> {
    match Fault::of(error) {
        Fault::Busy => None,
        Fault::Down => Some(PortError::Down),
        Fault::Gone => Some(PortError::Gone),
        Fault::Frame => Some(PortError::Os(error.raw_os_error().unwrap_or(0))),
    }
}

/// The header for a frame that goes to the kernel.
///
/// `hdr_len` is how much the kernel keeps in one piece, so that it can cut without copying; it is looked for only in
/// super-frames, whose headers the kernel reads anyway.
pub(super) fn header(frame: &Frame) -> VnetHeader {
    let headers = frame.offload.gso.and_then(|_| Layout::parse(&frame.buf)).map_or(0, |l| l.payload);
    frame.offload.encode(u16::try_from(headers).unwrap_or(u16::MAX))
}

/// Octets of a frame, for a counter.
pub(super) fn octets(frame: &Frame) -> u64 {
    u64::try_from(frame.buf.len()).unwrap_or(u64::MAX)
}

/// Takes all buffers back. How many frames went.
pub(super) fn discard(frames: &mut Vec<Frame>, pool: &mut Pool) -> u64 {
    let gone = u64::try_from(frames.len()).unwrap_or(u64::MAX);
    frames.drain(..).for_each(|frame| pool.recycle(frame));
    gone
}
