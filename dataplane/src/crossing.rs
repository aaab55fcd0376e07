//! What one worker hands to another.
//!
//! A frame that a worker received may have to leave by a channel, or a TAP, that another worker owns. It
//! crosses in a bounded single-producer ring (in `gateway`), in batches, at the point where only the owner can go on.

use core::net::IpAddr;

use net::MacAddr;

use crate::{Frame, Hop, InterfaceId};

/// The ways out of a packet that leaves twice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pair {
    /// The first way.
    pub first: Hop,
    /// The second, if there is one.
    pub second: Option<Hop>,
    /// Which of the connection's classes it is of; 0 when all of it is duplicated.
    pub class: usize,
}

/// One item on its way to another worker.
#[derive(Debug)]
pub enum Crossing {
    /// A routed packet behind 14 octets for the Ethernet header; find the neighbour and send it.
    Route {
        /// Out by this interface.
        interface: InterfaceId,
        /// To this neighbour on it.
        gateway: IpAddr,
        /// The packet.
        frame: Frame,
    },
    /// A whole frame to send as it is.
    Emit {
        /// Out by this interface.
        interface: InterfaceId,
        /// The frame.
        frame: Frame,
    },
    /// A whole frame for the host's own stack.
    Host {
        /// The interface that it came in by.
        interface: InterfaceId,
        /// The frame.
        frame: Frame,
    },
    /// A BFD packet for a session of the other worker's.
    Bfd {
        /// The interface that it came in by.
        interface: InterfaceId,
        /// The frame.
        frame: Frame,
    },
    /// A routed packet that is to be duplicated; number it and send it by both.
    Twice {
        /// Its ways out.
        pair: Pair,
        /// The packet.
        frame: Frame,
    },
    /// A packet that came with a redundancy tag; see whether it is the first of its number.
    Recover {
        /// The attachment that it came in by.
        interface: InterfaceId,
        /// Its number.
        sequence: u16,
        /// The packet, without the tag.
        frame: Frame,
    },
    /// A neighbour on a LAN was heard.
    Neighbor {
        /// On this interface.
        interface: InterfaceId,
        /// Its IP address.
        ip: IpAddr,
        /// Its MAC address.
        mac: MacAddr,
    },
}

impl Crossing {
    /// Whether it must not wait behind what is on its way through: it has a ring of its own.
    pub const fn is_control(&self) -> bool {
        match self {
            Self::Host { .. } | Self::Bfd { .. } | Self::Neighbor { .. } => true,
            Self::Route { frame, .. }
            | Self::Emit { frame, .. }
            | Self::Twice { frame, .. }
            | Self::Recover { frame, .. } => frame.control,
        }
    }

    /// The frame in it, if any.
    pub fn into_frame(self) -> Option<Frame> {
        match self {
            Self::Route { frame, .. }
            | Self::Emit { frame, .. }
            | Self::Host { frame, .. }
            | Self::Bfd { frame, .. }
            | Self::Twice { frame, .. }
            | Self::Recover { frame, .. } => Some(frame),
            Self::Neighbor { .. } => None,
        }
    }
}
