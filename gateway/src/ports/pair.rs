//! The host's end of an interface without `/dev/net/tun`: a veth pair instead of a TAP.
//!
//! Containers and namespaces of ordinary users often have no `/dev/net/tun`, or one that only root may open, and every
//! right over their own network. There a pair of virtual Ethernet devices does what a TAP does: the host's stack has one
//! end, the worker has the other by a packet socket. The names are made from the interface's number, so that the pair a
//! killed gateway leaves behind is found and made anew at the next start.

use anyhow::{Context, Result, bail};
use dataplane::port::af_packet::{AfPacketPort, Options, Ring};
use net::{Ethernet, VlanTag};
use rtnetlink::{Handle, LinkVeth};
use tracing::info;

use super::HandsOff;
use crate::assemble::HostTap;

/// Makes the pair; gives the name of the host's end, which is down, and the worker's end as a port.
///
/// # Errors
/// When the kernel refuses, or somebody else's device has the name.
pub(super) async fn open(host: &HostTap, netlink: &Handle) -> Result<(String, AfPacketPort)> {
    let number = host.interface.0;
    let (ours, theirs) = (ours(host), format!("qspan{number}"));
    let name = if host.name.contains('%') { theirs } else { host.name.clone() };
    if let Ok(index) = sys::interface::index(&ours) {
        // What a gateway left that was killed; its other end goes with it.
        netlink.link().del(index).execute().await.with_context(|| format!("cannot remove the old {ours}"))?;
    }
    if sys::interface::index(&name).is_ok() {
        bail!("the device {name} is somebody else's");
    }
    let pair = LinkVeth::new(&name, &ours).mtu(host.mtu.into()).build();
    netlink.link().add(pair).execute().await.with_context(|| format!("cannot make {name} and {ours}"))?;
    sys::interface::set_mtu(&ours, host.mtu.into())
        .with_context(|| format!("cannot set the MTU of {ours}"))?;
    // The device goes with the pair: there is nothing to be given back.
    core::mem::forget(HandsOff::of(&ours));
    sys::interface::set_up(&ours, true).with_context(|| format!("cannot set {ours} up"))?;
    let options = options(host);
    let port = AfPacketPort::open(&options).with_context(|| format!("cannot open {}", options.device))?;
    info!(event = "port.host_pair", device = name, "a veth pair: /dev/net/tun cannot be opened");
    Ok((name, port))
}

/// How the worker's end is opened.
pub(super) fn options(host: &HostTap) -> Options {
    Options {
        device: ours(host),
        ring: Ring::Auto,
        ring_octets: RING_OCTETS,
        offload: true,
        qdisc_bypass: false,
        largest_frame: usize::from(host.mtu) + Ethernet::LEN + VlanTag::LEN,
        fanout: None,
    }
}

/// The name of the worker's end.
fn ours(host: &HostTap) -> String {
    format!("qsworker{}", host.interface.0)
}

/// Control traffic only.
const RING_OCTETS: usize = 512 * 1024;
