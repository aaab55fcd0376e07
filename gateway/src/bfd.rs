//! What BFD sessions tell: to people in the log, and to BGP.

use core::net::IpAddr;

use dataplane::{
    InterfaceId,
    bfd::{BfdEvent, BfdLoss},
};
use tracing::{info, warn};

use crate::bgp::PathNews;

/// What BGP is to know of it. A session that somebody switched off says nothing of the path (RFC 5882 §4.2).
pub(crate) const fn news(interface: InterfaceId, peer: IpAddr, event: BfdEvent) -> Option<PathNews> {
    let (up, control_plane_independent) = match event {
        BfdEvent::Up => (true, false),
        BfdEvent::Down { loss: BfdLoss::Silence { .. } | BfdLoss::PeerDown(_), peer_independent } => {
            (false, peer_independent)
        }
        BfdEvent::Down { loss: BfdLoss::PeerAdminDown | BfdLoss::AdminDown, .. }
        | BfdEvent::PeerAdminDown => return None,
    };
    Some(PathNews { interface, peer, up, control_plane_independent })
}

/// Logs what a session of `attachment` with `peer` told.
pub(crate) fn log(attachment: &str, peer: IpAddr, event: BfdEvent) {
    match event {
        BfdEvent::Up => info!(event = "bfd.up", attachment, peer = %peer),
        BfdEvent::PeerAdminDown => info!(event = "bfd.peer_admin_down", attachment, peer = %peer),
        BfdEvent::Down { loss: why @ (BfdLoss::PeerAdminDown | BfdLoss::AdminDown), .. } => {
            info!(event = "bfd.down", attachment, peer = %peer, why = why.label(), "{why}");
        }
        BfdEvent::Down { loss: why @ (BfdLoss::Silence { .. } | BfdLoss::PeerDown(_)), .. } => {
            warn!(event = "bfd.down", attachment, peer = %peer, why = why.label(), "{why}");
        }
    }
}
