//! A frame: its octets with room at both ends, and what is still to be done on it.

use arrayvec::ArrayVec;
use net::{Dscp, PacketBuf, virtio::Offload};

/// Frames that a port hands over, and a worker forwards, in one go.
pub const BATCH: usize = 64;

/// About how many octets of super-frames a port hands over in one go: what was read is then still in the processor's cache when it is
/// cut, protected and sent. A whole one makes 44 frames of MTU 1500.
pub const BATCH_OCTETS: usize = 64 * 1024;

/// Up to [`BATCH`] frames, on the stack.
pub type Batch = ArrayVec<Frame, BATCH>;

/// One Ethernet frame (from the destination address on, without FCS), or a super-frame: a TCP or UDP
/// segment train of up to 64 KiB with its headers once (see [`net::virtio::Gso`]).
#[derive(Debug)]
pub struct Frame {
    /// The octets.
    pub buf: PacketBuf,
    /// Checksum and segmentation work that is not done yet. It is the default for all that came from
    /// a wire; only hosts with offloads (TAP, virtio-net headers) leave work behind.
    pub offload: Offload,
    /// Some bits of the hash of the flow inside, for ports that spread flows over several ways
    /// ([`crate::PortCaps::flows`]), which cannot see it behind the protection. 0 when nobody said.
    pub flow: u16,
    /// The DSCP of the packet inside, for the same ports: their outer headers repeat it. 0 when nobody said.
    pub dscp: Dscp,
    /// What the gateway itself (or a routing program beside it) has to say to a neighbour: key agreement, BFD, BGP, probes, ARP and ND.
    /// It leaves before what is on its way through, and waits where that is dropped.
    pub control: bool,
}

impl Frame {
    /// A frame with nothing left to do on it.
    pub fn new(buf: PacketBuf) -> Self {
        Self { buf, offload: Offload::default(), flow: 0, dscp: Dscp::BEST_EFFORT, control: false }
    }

    /// How much of [`BATCH_OCTETS`] it takes: nothing, if it is no super-frame.
    pub(crate) fn share(&self) -> usize {
        if self.offload.gso.is_some() { self.buf.len() } else { 0 }
    }

    /// A frame of the gateway's own that must not wait behind others ([`Frame::control`]), marked as network control.
    pub fn of_control(buf: PacketBuf) -> Self {
        Self { control: true, dscp: Dscp::CS6, ..Self::new(buf) }
    }

    /// Other octets, that go the way of this frame.
    pub(crate) const fn along(&self, buf: PacketBuf, offload: Offload) -> Self {
        Self { buf, offload, flow: self.flow, dscp: self.dscp, control: self.control }
    }
}

impl AsMut<PacketBuf> for Frame {
    fn as_mut(&mut self) -> &mut PacketBuf {
        &mut self.buf
    }
}
