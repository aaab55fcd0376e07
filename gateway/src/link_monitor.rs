//! What the kernel says of links, as it happens: carrier lost or regained, a device deleted or made again.
//!
//! Two senses. A netlink socket in the group RTNLGRP_LINK (rtnetlink(7)) hears of devices that come, go and change; its
//! messages are only the trigger, the state is then read afresh. But the kernel may tell of a lost carrier up to a
//! second late, so each driver is also asked every [`GLANCE`], with one system call. And everything is read afresh
//! every [`LOOK`], so that nothing missed leaves a wrong belief for long. A tunnel stands on a device and on a route to
//! its peer: whether there is one is asked by connecting a datagram socket, which sends nothing.

use std::{net::IpAddr, time::Duration};

use config::model::Port;
use futures_util::StreamExt;
use rtnetlink::{
    MulticastGroup, new_multicast_connection,
    packet_core::NetlinkPayload,
    packet_route::{RouteNetlinkMessage, link::LinkAttribute},
};
use sys::interface::CarrierProbe;
use tokio::sync::mpsc;

/// Every state is read at least this often, whatever the kernel says.
const LOOK: Duration = Duration::from_secs(1);
/// Each driver is asked for its carrier this often. A link that dies is left within about this time.
const GLANCE: Duration = Duration::from_millis(4);

/// What a port stands on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Watched {
    /// The device.
    pub device: String,
    /// A tunnel's two addresses: there must be a way from the one to the other by the device.
    pub tunnel: Option<(IpAddr, IpAddr)>,
}

impl Watched {
    /// What this port stands on.
    pub fn of(port: &Port) -> Self {
        let tunnel = port.underlay.map(|underlay| (underlay.local, underlay.remote));
        Self { device: port.device.clone(), tunnel }
    }

    /// Reads its state.
    pub fn link(&self) -> Link {
        match (Link::read(&self.device), self.tunnel) {
            (Link::Up { index }, Some((local, remote)))
                if sys::udp::route(&self.device, local, remote).is_err() =>
            {
                Link::NoRoute { index }
            }
            (link, _) => link,
        }
    }
}

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
    /// Up, with carrier, but a tunnel's peer cannot be reached by it.
    NoRoute {
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
            Self::Up { index } | Self::NoCarrier { index } | Self::NoRoute { index } => Some(index),
            Self::Gone => None,
        }
    }
}

/// Watches what ports stand on and sends each change as `(position in the list, new state)`, the first state of each included.
/// Ends when nobody listens any more.
///
/// # Errors
/// When the kernel gives no netlink socket, or no more descriptors.
pub async fn watch(
    watched: Vec<Watched>,
    changes: mpsc::UnboundedSender<(usize, Link)>,
) -> std::io::Result<()> {
    let (connection, _handle, mut messages) = new_multicast_connection(&[MulticastGroup::Link])?;
    let _pump = tokio::spawn(connection);
    let devices: Vec<String> = watched.iter().map(|one| one.device.clone()).collect();
    let mut glances = glance(&devices)?;
    let mut known: Vec<Option<Link>> = vec![None; devices.len()];
    let mut look = tokio::time::interval(LOOK);
    loop {
        let stale = tokio::select! {
            _ = look.tick() => 0..devices.len(),
            Some(at) = glances.recv() => at..at + 1,
            Some((message, _)) = messages.next() => {
                // Tunnels share devices, and one's route may lead by another's: all are looked at.
                if concerned(&message.payload, &devices) { 0..devices.len() } else { 0..0 }
            }
        };
        for at in stale {
            let (Some(one), Some(known)) = (watched.get(at), known.get_mut(at)) else { continue };
            let link = one.link();
            if known.replace(link) != Some(link) && changes.send((at, link)).is_err() {
                return Ok(());
            }
        }
    }
}

/// A thread that asks each driver every [`GLANCE`] and sends the position of a device whose answer changed. It ends
/// soon after nobody listens any more. It is a thread because 250 wake-ups a second cost a runtime several times more.
fn glance(devices: &[String]) -> std::io::Result<mpsc::UnboundedReceiver<usize>> {
    let probes =
        devices.iter().map(|device| CarrierProbe::new(device)).collect::<std::io::Result<Vec<_>>>()?;
    let (sender, receiver) = mpsc::unbounded_channel();
    let work = move || {
        let mut answers = vec![None; probes.len()];
        while !sender.is_closed() {
            for (at, (probe, answer)) in probes.iter().zip(&mut answers).enumerate() {
                let now = Some(probe.look().ok().flatten());
                if answer.is_some() && *answer != now {
                    // Nobody listening is noticed by the loop.
                    let _sent = sender.send(at);
                }
                *answer = now;
            }
            sys::rest(GLANCE);
        }
    };
    std::thread::Builder::new().name("links".to_owned()).spawn(work)?;
    Ok(receiver)
}

/// Whether the message is about one of the devices.
fn concerned(payload: &NetlinkPayload<RouteNetlinkMessage>, devices: &[String]) -> bool {
    let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link)) =
        payload
    else {
        return false;
    };
    let is_ours = |attribute: &LinkAttribute| matches!(attribute, LinkAttribute::IfName(name) if devices.contains(name));
    link.attributes.iter().any(is_ours)
}
