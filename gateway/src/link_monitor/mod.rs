//! What the kernel says of links, as it happens: carrier lost or regained, a device deleted or made again.
//!
//! Two senses. A netlink socket in the group RTNLGRP_LINK (rtnetlink(7)) hears of devices that come, go and change; its
//! messages are only the trigger, the state is then read afresh. But of some devices the kernel tells a lost
//! carrier up to a second late; where that matters, the driver is asked every few milliseconds (`glance`). And everything is read afresh every
//! [`LOOK`], so that nothing missed leaves a wrong belief for long.
//!
//! A tunnel stands on a device and on a route to its peer: whether there is one is asked by connecting a datagram socket,
//! which sends nothing.
//!
//! Should netlink fail, that is logged and counted ([`Health`]), and [`LOOK`] is all there is until it works again.

mod glance;

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use config::model::{Io, Port, PortRole};
use dataplane::Fault;
use futures_util::{StreamExt, TryStreamExt};
use rtnetlink::{
    MulticastGroup, new_multicast_connection,
    packet_core::NetlinkPayload,
    packet_route::{RouteNetlinkMessage, link::LinkMessage},
};
use tokio::sync::mpsc;
use tracing::warn;

use glance::Glance;

/// Every state is read at least this often, whatever the kernel says.
const LOOK: Duration = Duration::from_secs(1);

/// What a port stands on.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The name of its device.
    pub device: String,
    /// A tunnel's two addresses: there must be a way from the one to the other by the device.
    pub tunnel: Option<(IpAddr, IpAddr)>,
    /// A lost carrier must be known within milliseconds: there are others to send by.
    pub urgent: bool,
}

impl Watched {
    /// The device of a port. A LAN has no other to send by, and the link of a TAP is the gateway itself.
    pub fn of(port: &Port) -> Self {
        let urgent = port.role == PortRole::Channel && port.io != Io::Tap;
        let tunnel = port.underlay.map(|underlay| (underlay.local, underlay.remote));
        Self { device: port.device.clone(), tunnel, urgent }
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

/// How the monitor does, for whoever asks.
#[derive(Debug, Default)]
pub struct Health {
    failures: AtomicU64,
    fails: AtomicBool,
}

impl Health {
    /// How often netlink failed so far.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// False while the kernel does not tell of links.
    pub fn works(&self) -> bool {
        !self.fails.load(Ordering::Relaxed)
    }

    /// Counts a failure, and says how many there were.
    pub(crate) fn failed(&self) -> u64 {
        self.fails.store(true, Ordering::Relaxed);
        self.failures.fetch_add(1, Ordering::Relaxed) + 1
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
    /// What speaks against the port on it.
    pub const fn fault(self) -> Option<Fault> {
        match self {
            Self::Up { .. } => None,
            Self::NoCarrier { .. } => Some(Fault::NoCarrier),
            Self::NoRoute { .. } => Some(Fault::NoRoute),
            Self::Gone => Some(Fault::PortDown),
        }
    }

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

/// Watches the devices and sends each change as `(position in the list, new state)`, the first state of each included.
/// Ends when nobody listens any more; whatever fails is tried again.
pub async fn watch(
    devices: Vec<Watched>,
    changes: mpsc::UnboundedSender<(usize, Link)>,
    health: Arc<Health>,
) {
    let mut beliefs = Beliefs { devices: devices.clone(), known: vec![None; devices.len()], changes };
    supervise(&mut beliefs, &health, LOOK, || open(&devices)).await;
}

/// Hears with what `open` gives until that fails; then looks once every `pause` until it can be opened again.
async fn supervise(
    beliefs: &mut Beliefs,
    health: &Health,
    pause: Duration,
    mut open: impl FnMut() -> io::Result<Heard>,
) {
    loop {
        let why = match open() {
            Ok(heard) => {
                health.fails.store(false, Ordering::Relaxed);
                match hear(beliefs, heard).await {
                    Ended::NobodyListens => return,
                    Ended::Silent => "the netlink socket is closed".to_owned(),
                }
            }
            Err(error) => error.to_string(),
        };
        let failures = health.failed();
        warn!(
            event = "link_monitor.failed",
            why, failures, "links are looked at every second until the kernel tells of them again"
        );
        if !beliefs.look(0..beliefs.devices.len()) {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

enum Ended {
    NobodyListens,
    Silent,
}

async fn hear(beliefs: &mut Beliefs, mut heard: Heard) -> Ended {
    let mut look = tokio::time::interval(LOOK);
    loop {
        let stale = tokio::select! {
            _ = look.tick() => 0..beliefs.devices.len(),
            next = heard.recv() => match next {
                Some(at) => at..at + 1,
                None => return Ended::Silent,
            },
        };
        if !beliefs.look(stale) {
            return Ended::NobodyListens;
        }
    }
}

/// Positions of devices that may have changed; ends with the sense that they come from.
type Heard = mpsc::UnboundedReceiver<usize>;

/// What was last told of each device.
struct Beliefs {
    devices: Vec<Watched>,
    known: Vec<Option<Link>>,
    changes: mpsc::UnboundedSender<(usize, Link)>,
}

impl Beliefs {
    /// Reads the state of these devices and tells what changed. False when nobody listens any more.
    fn look(&mut self, stale: core::ops::Range<usize>) -> bool {
        for at in stale {
            let (Some(device), Some(known)) = (self.devices.get(at), self.known.get_mut(at)) else {
                continue;
            };
            let link = device.link();
            if known.replace(link) != Some(link) && self.changes.send((at, link)).is_err() {
                return false;
            }
        }
        !self.changes.is_closed()
    }
}

/// Both senses; they end when nobody listens.
fn open(devices: &[Watched]) -> io::Result<Heard> {
    let (connection, handle, mut messages) = new_multicast_connection(&[MulticastGroup::Link])?;
    let (sender, heard) = mpsc::unbounded_channel();
    let glance = Glance::start(devices, sender.downgrade())?;
    tokio::spawn(connection);
    tokio::spawn(async move {
        // Of what is there already no message comes unasked.
        let mut links = handle.link().get().execute();
        while let Ok(Some(link)) = links.try_next().await {
            glance.consider(&link);
        }
        loop {
            let message = tokio::select! {
                () = sender.closed() => return,
                message = messages.next() => message,
            };
            let Some((message, _)) = message else { return };
            let stale = link_in(&message.payload).map(|link| glance.consider(link)).unwrap_or_default();
            if stale.into_iter().any(|at| sender.send(at).is_err()) {
                return;
            }
        }
    });
    Ok(heard)
}

const fn link_in(payload: &NetlinkPayload<RouteNetlinkMessage>) -> Option<&LinkMessage> {
    match payload {
        NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link),
        ) => Some(link),
        NetlinkPayload::InnerMessage(_)
        | NetlinkPayload::Done(_)
        | NetlinkPayload::Error(_)
        | NetlinkPayload::Noop
        | NetlinkPayload::Overrun(_)
        | _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn a_monitor_that_fails_is_counted_and_started_again_and_looks_in_the_meantime() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (changes, mut told) = mpsc::unbounded_channel();
        let mut beliefs = Beliefs {
            devices: vec![Watched { device: "lo".to_owned(), tunnel: None, urgent: false }],
            known: vec![None],
            changes,
        };
        let health = Arc::new(Health::default());
        // Refused, closed at once, and then one that works.
        let (works, heard) = mpsc::unbounded_channel();
        let mut senses = VecDeque::from([
            Err(io::Error::from_raw_os_error(24)),
            Ok(mpsc::unbounded_channel().1),
            Ok(heard),
        ]);
        let (seen, during) = (health.clone(), health.clone());
        let mut failures = vec![];
        runtime.block_on(async {
            let supervised = supervise(&mut beliefs, &health, Duration::from_millis(1), || {
                failures.push((seen.failures(), seen.works()));
                senses.pop_front().unwrap()
            });
            let work = async {
                let first = told.recv().await;
                assert!(matches!(first, Some((0, Link::Up { .. } | Link::NoCarrier { .. }))), "{first:?}");
                while during.failures() < 2 || !during.works() {
                    tokio::task::yield_now().await;
                }
                drop(told);
                works.send(0).unwrap();
            };
            futures_util::future::join(supervised, work).await;
        });
        assert_eq!(failures, [(0, true), (1, false), (2, false)]);
    }
}
