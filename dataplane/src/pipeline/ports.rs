//! Ports as the workers drive them: what waits to be sent, and what of their frames is wanted when too many come.

use super::Dataplane;
use crate::{
    DropCounters, DropReason, Frame, InterfaceId, Pool, PortCaps, PortId, Wanted, demux::Demux,
    offload::Coalescer,
};

/// A port as the pipeline sees it.
#[derive(Debug)]
pub(super) struct PortState {
    pub(super) demux: Demux,
    pub(super) caps: PortCaps,
    pub(super) transmit: Vec<Frame>,
    pub(super) drops: DropCounters,
    pub(super) coalescer: Option<Coalescer>,
    /// What is looked at under pressure.
    pub(super) wanted: Wanted,
    /// What the path below it carries, when it was told.
    pub(super) path: Option<u16>,
    /// This port is the host's TAP for that interface.
    pub(super) host_of: Option<InterfaceId>,
}

impl PortState {
    /// Queues a frame, or a control frame in front of all that is on its way through: not for protected frames, whose numbers have an order.
    pub(super) fn queue(&mut self, frame: Frame) {
        if frame.control {
            let ahead = self.transmit.iter().take_while(|one| one.control).count();
            self.transmit.insert(ahead, frame);
        } else {
            self.transmit.push(frame);
        }
    }
}

impl Dataplane {
    /// A port for which frames wait, or may have waited; each is named once for what came to wait, or was
    /// [kept](Self::keep_waiting). Their frames are in [`transmit`](Self::transmit).
    pub fn poll_transmit(&mut self) -> Option<PortId> {
        self.waiting.take()
    }

    /// This port had no room for all that waits: it is to be named again.
    pub fn keep_waiting(&mut self, port: PortId) {
        self.waiting.add(port);
    }

    /// Frames that wait to be sent by this port. The worker empties it.
    pub fn transmit(&mut self, port: PortId) -> Option<(&mut Vec<Frame>, &mut Pool)> {
        let port = self.ports.get_mut(port.index())?;
        Some((&mut port.transmit, &mut self.pool))
    }

    /// Whether there are channels on this port.
    pub fn has_channels(&self, port: PortId) -> bool {
        self.ports.get(port.index()).is_some_and(|port| !port.wanted.always.is_empty())
    }

    /// The buffers, and what of a port's frames to take under pressure: see [`handle_pressed`](Self::handle_pressed).
    pub fn intake(&mut self, port: PortId) -> Option<(&Wanted, &mut Pool)> {
        Some((&self.ports.get(port.index())?.wanted, &mut self.pool))
    }

    /// Drops, and counts, what still waits for a port after the worker sent what it could: the port is not there.
    pub fn drop_unsent(&mut self, port: PortId) {
        let Some(state) = self.ports.get_mut(port.index()) else { return };
        for frame in state.transmit.drain(..) {
            self.pool.recycle(frame);
            state.drops.count(DropReason::PortDown);
        }
    }
}
