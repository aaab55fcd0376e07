//! What the kernel says of links, as it happens: carrier lost or regained, a device deleted or made again.
//!
//! Two senses. A netlink socket in the group RTNLGRP_LINK (rtnetlink(7)) hears of devices that come, go and change; its
//! messages are only the trigger, the state is then read afresh. But the kernel may tell of a lost carrier up to a
//! second late, so each driver is also asked every [`GLANCE`], with one system call. And everything is read afresh
//! every [`LOOK`], so that nothing missed leaves a wrong belief for long.

use std::time::Duration;

use futures_util::StreamExt;
use rtnetlink::{
    MulticastGroup, new_multicast_connection,
    packet_core::NetlinkPayload,
    packet_route::{RouteNetlinkMessage, link::LinkAttribute},
};
use sys::interface::CarrierProbe;
use tokio::{sync::mpsc, time::MissedTickBehavior};

/// Every state is read at least this often, whatever the kernel says.
const LOOK: Duration = Duration::from_secs(1);
/// Each driver is asked for its carrier this often. A link that dies is left within about this time.
const GLANCE: Duration = Duration::from_millis(4);

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
/// When the kernel gives no netlink socket, or no more descriptors.
pub async fn watch(
    devices: Vec<String>,
    changes: mpsc::UnboundedSender<(usize, Link)>,
) -> std::io::Result<()> {
    let (connection, _handle, mut messages) = new_multicast_connection(&[MulticastGroup::Link])?;
    let _pump = tokio::spawn(connection);
    let mut watched =
        devices.iter().map(|device| Watched::new(device)).collect::<std::io::Result<Vec<_>>>()?;
    let (mut glance, mut look) = (tokio::time::interval(GLANCE), tokio::time::interval(LOOK));
    glance.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let stale: Vec<usize> = tokio::select! {
            _ = look.tick() => (0..watched.len()).collect(),
            _ = glance.tick() => (0..watched.len()).filter(|&at| watched.get(at).is_some_and(Watched::moved)).collect(),
            Some((message, _)) = messages.next() => concerned(&message.payload, &devices).into_iter().collect(),
        };
        for at in stale {
            if let Some(link) = watched.get_mut(at).and_then(Watched::read)
                && changes.send((at, link)).is_err()
            {
                return Ok(());
            }
        }
    }
}

/// A device and what was last known of it.
struct Watched {
    device: String,
    probe: CarrierProbe,
    known: Option<Link>,
}

impl Watched {
    fn new(device: &str) -> std::io::Result<Self> {
        Ok(Self { device: device.to_owned(), probe: CarrierProbe::new(device)?, known: None })
    }

    /// Whether the driver says something else than what is known. Drivers that do not know the question say nothing.
    fn moved(&self) -> bool {
        match self.probe.look() {
            Ok(Some(carrier)) => carrier != matches!(self.known, Some(Link::Up { .. })),
            Ok(None) => false,
            Err(_) => self.known != Some(Link::Gone),
        }
    }

    /// Reads the state afresh: the new one, when it is news.
    fn read(&mut self) -> Option<Link> {
        let link = Link::read(&self.device);
        (self.known.replace(link) != Some(link)).then_some(link)
    }
}

/// The device that the message is about, by its position in the list.
fn concerned(payload: &NetlinkPayload<RouteNetlinkMessage>, devices: &[String]) -> Option<usize> {
    let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link)) =
        payload
    else {
        return None;
    };
    link.attributes.iter().find_map(|attribute| {
        let LinkAttribute::IfName(name) = attribute else { return None };
        devices.iter().position(|device| device == name)
    })
}
