//! What the kernel says of links, as it happens: carrier lost or regained, a device deleted or made again.
//!
//! One netlink socket in the group RTNLGRP_LINK (rtnetlink(7)). The kernel's messages are only the trigger: the state is
//! then read afresh, so that a message lost to a full socket cannot leave a wrong belief for longer than until the next
//! look, which happens at least every [`LOOK`].

use std::{collections::BTreeMap, time::Duration};

use futures_util::StreamExt;
use rtnetlink::{
    MulticastGroup, new_multicast_connection,
    packet_core::NetlinkPayload,
    packet_route::{RouteNetlinkMessage, link::LinkAttribute},
};
use tokio::sync::mpsc;

/// The state is read at least this often, whatever the kernel says.
const LOOK: Duration = Duration::from_secs(1);

/// The state of a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Link {
    /// Up, with carrier.
    Up {
        /// The kernel's number of it: another number is another device of the same name.
        index: u32,
    },
    /// There, but administratively down or without carrier.
    NoCarrier {
        /// The kernel's number of it.
        index: u32,
    },
    /// Not there.
    Gone,
}

impl Link {
    /// Reads the state of the device with this name.
    pub fn read(device: &str) -> Self {
        let Ok(index) = sys::interface::index(device) else { return Self::Gone };
        match sys::interface::carrier(device) {
            Ok(true) => Self::Up { index },
            Ok(false) => Self::NoCarrier { index },
            Err(_) => Self::Gone,
        }
    }

    /// The kernel's number of the device, when it is there.
    pub const fn index(self) -> Option<u32> {
        match self {
            Self::Up { index } | Self::NoCarrier { index } => Some(index),
            Self::Gone => None,
        }
    }
}

/// Watches the devices and sends each change as `(position in the list, new state)`, the first state of each included.
/// Ends when nobody listens any more.
///
/// # Errors
/// When the kernel gives no netlink socket.
pub async fn watch(devices: Vec<String>, changes: mpsc::UnboundedSender<(usize, Link)>) -> std::io::Result<()> {
    let (connection, _handle, mut messages) = new_multicast_connection(&[MulticastGroup::Link])?;
    let _pump = tokio::spawn(connection);
    let mut known: BTreeMap<usize, Link> = BTreeMap::new();
    loop {
        for (at, device) in devices.iter().enumerate() {
            let link = Link::read(device);
            if known.insert(at, link) != Some(link) && changes.send((at, link)).is_err() {
                return Ok(());
            }
        }
        // Sleep until the kernel says something about one of ours, or for a while.
        let ours = async {
            while let Some((message, _)) = messages.next().await {
                if concerns(&message.payload, &devices) {
                    return;
                }
            }
            std::future::pending::<()>().await;
        };
        // Time being over is as good a reason to look as any.
        let _timely = tokio::time::timeout(LOOK, ours).await;
    }
}

fn concerns(payload: &NetlinkPayload<RouteNetlinkMessage>, devices: &[String]) -> bool {
    let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link)) = payload else {
        return false;
    };
    link.attributes.iter().any(|attribute| matches!(attribute, LinkAttribute::IfName(name) if devices.contains(name)))
}
