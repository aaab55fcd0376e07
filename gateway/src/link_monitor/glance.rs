//! Asking drivers for their carrier, where the kernel tells of a loss too late.
//!
//! The kernel's link watch lets a lost carrier wait for up to a second when another link changed within the last one,
//! whoever's it was (`net/core/link_watch.c`); several links that die together are told of a second apart. Not so for
//! devices that stand on another one (a VLAN, a macvlan, an end of a veth pair): those it tells of at once. They
//! are known by their IFLA_LINK, the number of that other device. So only the others are asked, every [`GLANCE`], with one
//! system call each; where there are none, the thread sleeps.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::Thread,
    time::Duration,
};

use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use sys::interface::CarrierProbe;
use tokio::sync::mpsc::WeakUnboundedSender;

use super::Watched;

/// Each driver is asked this often. A link that dies is left within about this time.
const GLANCE: Duration = Duration::from_millis(4);

/// The thread that asks. It is a thread because 250 wake-ups a second cost a runtime several times more. It ends with this.
pub(super) struct Glance {
    devices: Vec<Watched>,
    shared: Arc<Shared>,
    thread: Thread,
}

struct Shared {
    /// By device: its driver is to be asked.
    ask: Vec<AtomicBool>,
    over: AtomicBool,
}

impl Glance {
    /// Asks the drivers of urgent devices, and sends the position of one whose answer changed.
    pub(super) fn start(devices: &[Watched], tell: WeakUnboundedSender<usize>) -> io::Result<Self> {
        let probe = |one: &Watched| one.urgent.then(|| CarrierProbe::new(&one.device)).transpose();
        let probes = devices.iter().map(probe).collect::<io::Result<Vec<_>>>()?;
        // Until more is known of a device it is asked.
        let ask = devices.iter().map(|one| AtomicBool::new(one.urgent)).collect();
        let shared = Arc::new(Shared { ask, over: AtomicBool::new(false) });
        let work = {
            let shared = shared.clone();
            move || work(&shared, &probes, &tell)
        };
        let thread = std::thread::Builder::new().name("links".to_owned()).spawn(work)?.thread().clone();
        Ok(Self { devices: devices.to_vec(), shared, thread })
    }

    /// Learns from what the kernel says of a device whether its driver has to be asked. The positions at which the device
    /// is one of ours: tunnels share theirs.
    pub(super) fn consider(&self, link: &LinkMessage) -> Vec<usize> {
        let name = link.attributes.iter().find_map(|attribute| {
            let LinkAttribute::IfName(name) = attribute else { return None };
            Some(name)
        });
        let mut places = Vec::new();
        let each = self.devices.iter().zip(&self.shared.ask).enumerate();
        for (at, (one, asked)) in each.filter(|(_, (one, _))| Some(&one.device) == name) {
            let ask = one.urgent && !is_told_at_once(link);
            if asked.swap(ask, Ordering::Relaxed) != ask {
                self.thread.unpark();
            }
            places.push(at);
        }
        places
    }
}

impl Drop for Glance {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }
}

/// `linkwatch_urgent_event` of the kernel: the device stands on another one.
fn is_told_at_once(link: &LinkMessage) -> bool {
    let is_other =
        |one: &LinkAttribute| matches!(one, LinkAttribute::Link(below) if *below != link.header.index);
    link.attributes.iter().any(is_other)
}

fn work(shared: &Shared, probes: &[Option<CarrierProbe>], tell: &WeakUnboundedSender<usize>) {
    let mut answers = vec![None; probes.len()];
    while !shared.over.load(Ordering::Relaxed) {
        let mut asked = false;
        for (at, ((probe, ask), answer)) in probes.iter().zip(&shared.ask).zip(&mut answers).enumerate() {
            let Some(probe) = probe.as_ref().filter(|_| ask.load(Ordering::Relaxed)) else {
                *answer = None;
                continue;
            };
            asked = true;
            let now = Some(probe.look().ok().flatten());
            if answer.is_some()
                && *answer != now
                && let Some(tell) = tell.upgrade()
            {
                // Nobody listening is noticed by who started us.
                let _sent = tell.send(at);
            }
            *answer = now;
        }
        if asked {
            sys::rest(GLANCE);
        } else {
            std::thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str, index: u32, below: Option<u32>) -> LinkMessage {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.attributes.push(LinkAttribute::IfName(name.to_owned()));
        link.attributes.extend(below.map(LinkAttribute::Link));
        link
    }

    #[test]
    fn only_channels_of_whose_carrier_the_kernel_tells_late_are_asked() {
        let (sender, _heard) = tokio::sync::mpsc::unbounded_channel();
        let watched = |device: &str, urgent| Watched { device: device.to_owned(), tunnel: None, urgent };
        let glance =
            Glance::start(&[watched("nic", true), watched("lan", false)], sender.downgrade()).unwrap();
        let asked = || glance.shared.ask.iter().map(|ask| ask.load(Ordering::Relaxed)).collect::<Vec<_>>();
        assert_eq!(asked(), [true, false], "nothing is known yet");
        for (name, index, below, at, ask) in [
            ("nic", 3, None, &[0][..], true),
            ("nic", 3, Some(7), &[0], false),
            // Both ends of a veth pair may have one number, each in its own namespace.
            ("nic", 3, Some(3), &[0], true),
            ("lan", 4, None, &[1], true),
            ("other", 5, Some(9), &[], true),
        ] {
            assert_eq!(glance.consider(&message(name, index, below)), at, "{name}");
            assert_eq!(asked(), [ask, false], "{name} {below:?}");
        }
    }
}
