//! What BFD sessions tell, in the log.

use core::net::IpAddr;

use dataplane::bfd::{BfdEvent, BfdLoss};
use tracing::{info, warn};

/// Logs what a session of `attachment` with `peer` told.
pub(crate) fn log(attachment: &str, peer: IpAddr, event: BfdEvent) {
    match event {
        BfdEvent::Up => info!(event = "bfd.up", attachment, peer = %peer),
        BfdEvent::PeerAdminDown => info!(event = "bfd.peer_admin_down", attachment, peer = %peer),
        BfdEvent::Down(why @ (BfdLoss::PeerAdminDown | BfdLoss::AdminDown)) => {
            info!(event = "bfd.down", attachment, peer = %peer, why = why.label(), "{why}");
        }
        BfdEvent::Down(why @ (BfdLoss::Silence { .. } | BfdLoss::PeerDown(_))) => {
            warn!(event = "bfd.down", attachment, peer = %peer, why = why.label(), "{why}");
        }
    }
}
