//! Ports: where frames come in and go out.
//!
//! A [`Port`] moves batches and never waits: the worker sleeps on the ports' file descriptors. A port
//! counts, and never logs. When its device goes down or away it says so with a [`PortError`], and the gateway
//! gives the worker a new port once the device is back.
//!
//! [`memory`] joins two ports inside a process, for tests and benches. `af_packet`, `af_xdp` and `tap` are the
//! drivers over `sys`, and `udp` the one for VXLAN tunnels.

pub mod af_packet;
pub mod af_xdp;
mod kernel;
pub mod memory;
#[cfg(test)]
mod pressure_tests;
pub mod tap;
#[cfg(test)]
mod tests;
pub mod udp;

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

use net::carry::{Opened, Parcel};

use crate::{Batch, Frame, Pool, Pressure, Wanted};

/// Control frames that wait for room in the kernel at most; a channel has a few a second.
pub const CONTROL_KEPT: usize = 256;
/// Frames that one call of [`Port::relieve`] looks at, at most.
pub const LOOKS: usize = 256;
/// Fewer frames than this are not worth [`Port::gather`].
pub const WORTH_GATHERING: usize = sys::BulkSender::WORTH;

/// What a port can take over from us.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PortCaps {
    /// Frames may carry work ([`net::virtio::Offload`]): partial checksums and super-frames of TCP.
    pub offload: bool,
    /// Super-frames of UDP too.
    pub udp_segments: bool,
    /// It spreads flows over several ways, and wants [`Frame::flow`] of what it is given.
    pub flows: bool,
}

/// What a port turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PortKind {
    /// A packet socket with a receive ring of TPACKET_V2.
    PacketV2,
    /// A packet socket with a receive ring of TPACKET_V3.
    PacketV3,
    /// AF_XDP in the driver, which reads and writes our memory.
    XdpZeroCopy,
    /// AF_XDP in the driver, each frame copied once by the kernel.
    XdpCopy,
    /// As [`Self::XdpCopy`], and frames leave by the driver's bulk transmit, without a socket.
    XdpBulk,
    /// AF_XDP in the stack, behind most of what it could save.
    XdpGeneric,
    /// A queue of a TAP device.
    Tap,
    /// A VXLAN tunnel by UDP sockets.
    Vxlan,
    /// A queue in this process's memory.
    Memory,
}

impl PortKind {
    /// The driver's name in tables and JSON, as the configuration has it.
    pub const fn io(self) -> &'static str {
        match self {
            Self::PacketV2 | Self::PacketV3 => "af_packet",
            Self::XdpZeroCopy | Self::XdpBulk | Self::XdpCopy | Self::XdpGeneric => "af_xdp",
            Self::Tap => "tap",
            Self::Vxlan => "vxlan",
            Self::Memory => "memory",
        }
    }

    /// What kind of rings it has, where there are several: the version of the receive ring as the configuration has it, or how near AF_XDP
    /// comes to the device.
    pub const fn ring(self) -> Option<&'static str> {
        match self {
            Self::PacketV2 => Some("v2"),
            Self::PacketV3 => Some("v3"),
            Self::XdpZeroCopy => Some("zero-copy"),
            Self::XdpBulk => Some("bulk"),
            Self::XdpCopy => Some("copy"),
            Self::XdpGeneric => Some("generic"),
            Self::Tap | Self::Vxlan | Self::Memory => None,
        }
    }
}

/// A port's own counters. Frames and octets as they crossed it: a super-frame is one frame.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PortCounters {
    /// Frames received.
    pub rx_frames: u64,
    /// Octets received, from the destination address on, without FCS.
    pub rx_octets: u64,
    /// Frames that the kernel dropped because the receive ring was full.
    pub rx_ring_full: u64,
    /// Frames dropped unseen, so that control frames are not lost among them.
    pub rx_shed: u64,
    /// Frames dropped because they did not fit the ring's slot.
    pub rx_truncated: u64,
    /// Frames dropped because no buffer was free.
    pub rx_no_buffer: u64,
    /// Frames dropped because the virtio-net header made no sense.
    pub rx_bad_offload: u64,
    /// Frames sent.
    pub tx_frames: u64,
    /// Octets sent.
    pub tx_octets: u64,
    /// Frames that the kernel did not take.
    pub tx_refused: u64,
    /// Tunnels: datagrams dropped because they carry no VXLAN header with a network, or no frame.
    pub rx_bad_header: u64,
    /// Tunnels: frames dropped because they are of another network.
    pub rx_unknown_vni: u64,
    /// Tunnels: datagrams dropped because they are not from the peer.
    pub rx_unknown_source: u64,
    /// Tunnels: frames dropped because the path does not carry them.
    pub tx_too_long: u64,
}

/// Why a port cannot be used any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PortError {
    /// The interface is administratively down. It may come back.
    #[error("the interface is down")]
    Down,
    /// The interface was deleted. One of the same name may come back.
    #[error("the interface is gone")]
    Gone,
    /// A tunnel's peer cannot be reached. It works again once there is a route.
    #[error("there is no route to the peer")]
    NoRoute,
    /// The kernel refused with this error number.
    #[error("the kernel refused with error {0}")]
    Os(i32),
}

/// By what a successor in another process goes on with a port: the frames that wait in the kernel are then not lost, and a TAP
/// stays.
#[derive(Debug)]
pub struct Heirloom {
    /// Its descriptors, opened once more.
    pub descriptors: Vec<OwnedFd>,
    /// With which options it was opened: who wants others opens a port of its own.
    pub facts: String,
}

/// Where frames come in and go out. Used by one worker at a time.
pub trait Port: Send {
    /// Appends waiting frames until the batch is full or has about [`crate::BATCH_OCTETS`] of super-frames, buffers from `pool`. Returns how many; 0 = nothing waits.
    fn receive(&mut self, batch: &mut Batch, pool: &mut Pool) -> Result<usize, PortError>;

    /// Sends `frames`; their buffers go back to `pool`. What the kernel does not take now is counted in `tx_refused` and gone, but for
    /// control frames ([`Frame::control`]): up to [`CONTROL_KEPT`] of them stay in `frames`, in their order, for the next call. With an
    /// error none stays.
    fn send(&mut self, frames: &mut Vec<Frame>, pool: &mut Pool) -> Result<(), PortError>;

    /// Whether frames are better sent together, at the moment: with those of other ports ([`gather`](Self::gather)), or with its own that
    /// come right behind them.
    fn gathers(&self) -> bool {
        false
    }

    /// Has frames from the front wait for one call that sends those of several ports, and takes them out of `frames`; what it leaves there is to
    /// be sent by [`send`](Self::send), behind [`send_gathered`](Self::send_gathered). Worth it for [`WORTH_GATHERING`] frames of all ports together.
    fn gather(&mut self, _frames: &mut Vec<Frame>, _pool: &mut Pool) {}

    /// Sends what was gathered, by this port and by those that it gathers with.
    fn send_gathered(&mut self) {}

    /// How near to losing what comes: see [`relieve`](Self::relieve). A port that cannot tell is never near.
    fn pressure(&self) -> Pressure {
        Pressure::None
    }

    /// Takes waiting frames as [`receive`](Self::receive) does, but only those that `wanted` wants under this pressure; the others are
    /// dropped where they lie, and counted in `rx_shed`. Returns how many of both: at most [`LOOKS`], 0 = nothing waits.
    fn relieve(
        &mut self,
        batch: &mut Batch,
        pool: &mut Pool,
        wanted: &Wanted,
        pressure: Pressure,
    ) -> Result<usize, PortError> {
        let _everything = (wanted, pressure);
        self.receive(batch, pool)
    }

    /// How many frames may wait to be received at most, as far as that is known: who took so many has seen all that waited.
    fn depth(&self) -> usize {
        usize::from(u16::MAX)
    }

    /// Gives back the buffers of the pool that it keeps ready: it is about to be dropped.
    fn give_back(&mut self, _pool: &mut Pool) {}

    /// Becomes readable when frames wait. `None` for ports in memory, which are always asked.
    fn fd(&self) -> Option<BorrowedFd<'_>>;

    /// What may be left to do on frames that are sent here.
    fn caps(&self) -> PortCaps;

    /// What it is.
    fn kind(&self) -> PortKind;

    /// The counters so far.
    fn counters(&self) -> PortCounters;

    /// True when [`holds_frames`](Self::holds_frames) may ever be true, so that only such ports are asked.
    fn may_hold_frames(&self) -> bool {
        false
    }

    /// True when [`receive`](Self::receive) has frames that the descriptor does not tell of.
    fn holds_frames(&self) -> bool {
        false
    }

    /// Octets that may now follow the Ethernet header of a frame that is sent here, when that changed since it was last
    /// asked: a tunnel's path may carry less than its device, and routers tell so only when it is used.
    fn path_news(&mut self) -> Option<u16> {
        None
    }

    /// Looks for [`path_news`](Self::path_news) now: a port with little to send looks seldom by itself, and what a router told is
    /// forgotten after some minutes.
    fn look_again(&mut self) {}

    /// By what a successor goes on with it; `None` when a successor has to open its own.
    ///
    /// # Errors
    /// When there are no more descriptors.
    fn heirloom(&self) -> io::Result<Option<Heirloom>> {
        Ok(None)
    }

    /// Says where it stands, for the successor that [`resume`](Self::resume)s there. It must not be used any more, unless the
    /// successor never does.
    fn leave(&mut self, out: &mut Parcel) {
        let _nothing = out;
    }

    /// Goes on where the predecessor stood. False when that is no place to go on from.
    fn resume(&mut self, from: &mut Opened<'_>) -> bool {
        let _nothing = from;
        true
    }
}

/// What the kernel has no room for now: control frames stay, in their order, everything else goes. How many went.
fn keep_control(frames: &mut Vec<Frame>, pool: &mut Pool) -> u64 {
    let (mut kept, mut gone) = (0, 0);
    let goes = |frame: &mut Frame| {
        let stays = frame.control && kept < CONTROL_KEPT;
        kept += usize::from(stays);
        !stays
    };
    for frame in frames.extract_if(.., goes) {
        pool.recycle(frame);
        gone += 1;
    }
    gone
}
