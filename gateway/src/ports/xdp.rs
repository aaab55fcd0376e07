//! AF_XDP ports: what may be one, and what is left when it cannot.
//!
//! Whoever asks for AF_XDP gets the best that there is, and is told when that is not what was meant: native, then the kernel's
//! generic way, then a packet socket. A port that takes less from the network than it should would be worse than a slow one, so a device
//! that takes VLAN tags out is left to packet sockets, which put them back.

use anyhow::Result;
use config::{
    Config,
    model::{Mode, Port as PortConfig, PortRole},
};
use dataplane::{
    WorkerId,
    port::{Port, af_xdp},
};
use net::EtherType;
use sys::Claim;
use tracing::warn;

use super::Supplies;

/// Opens a port by AF_XDP, with what its worker's ports share; `None` when that cannot be, which was logged.
pub(super) fn open(
    config: &Config,
    port: &PortConfig,
    worker: WorkerId,
    supplies: &mut Supplies,
) -> Option<Box<dyn Port>> {
    let opened = match options(config, port, supplies) {
        Ok(options) => af_xdp::AfXdpPort::open(&options, supplies.bulk(worker))
            .map_err(|why| format!("{why}{}", remedy(&why))),
        Err(why) => Err(why),
    };
    match opened {
        Ok(opened) => {
            if let Some(why) = opened.why_generic() {
                warn!(
                    event = "port.io", port = port.name, device = port.device, worker = worker.0,
                    wanted = "af_xdp", got = "af_xdp generic", why = %why, "slower than a packet socket on some drivers"
                );
            }
            Some(Box::new(opened))
        }
        Err(why) => {
            warn!(
                event = "port.io",
                port = port.name,
                device = port.device,
                worker = worker.0,
                wanted = "af_xdp",
                got = "af_packet",
                why
            );
            None
        }
    }
}

fn options(config: &Config, port: &PortConfig, supplies: &mut Supplies) -> Result<af_xdp::Options, String> {
    let device = &port.device;
    let unreadable = |why: std::io::Error| why.to_string();
    if needs_tags(config, port) && sys::interface::takes_tags_out(device).map_err(unreadable)? {
        return Err(format!(
            "{device} takes VLAN tags out of frames, where AF_XDP cannot find them: run `ethtool -K {device} rxvlan off`, and on a veth \
             pair `txvlan off` at the other end"
        ));
    }
    let mtu = sys::interface::mtu(device).map_err(unreadable)?;
    Ok(af_xdp::Options {
        device: device.clone(),
        claim: claim(config, port).map_err(unreadable)?,
        largest_frame: usize::try_from(supplies.largest_mtu(&port.name, mtu))
            .unwrap_or(usize::MAX)
            .saturating_add(HEADER),
        ring_octets: usize::try_from(port.ring_kib).unwrap_or(usize::MAX).saturating_mul(1024),
    })
}

/// Which frames are ours: LLDP, LACP and their like stay the kernel's.
fn claim(config: &Config, port: &PortConfig) -> std::io::Result<Claim> {
    if carries_others(config, port) {
        return Ok(Claim::Everything);
    }
    let mut types = vec![EtherType::MACSEC.get(), EtherType::EAPOL.get()];
    let channels = config.channels.iter().filter(|channel| channel.port.name() == port.name);
    // Some equipment has its own for MKPDUs.
    types.extend(channels.filter_map(|channel| Some(channel.macsec.mka.as_ref()?.ethertype.get())));
    types.sort_unstable();
    types.dedup();
    Ok(Claim::Station { mac: sys::interface::mac(&port.device)?, types })
}

/// Whether it matters what VLAN a frame is of. Of a channel without tags it does not: other VLANs' frames have not its key.
fn needs_tags(config: &Config, port: &PortConfig) -> bool {
    let mut channels = config.channels.iter().filter(|channel| channel.port.name() == port.name);
    port.role == PortRole::Lan || channels.any(|channel| !channel.clear_tags.is_empty())
}

/// Whether frames for other stations are ours to carry.
fn carries_others(config: &Config, port: &PortConfig) -> bool {
    let mut wires = config.connections.iter().filter(|connection| connection.mode == Mode::Transparent);
    wires.any(|connection| {
        let lan = connection.lans.iter().any(|lan| lan.port.name() == port.name);
        lan || port.role == PortRole::Channel
    })
}

/// What to do about it, where that is known.
fn remedy(why: &std::io::Error) -> &'static str {
    match why.raw_os_error() {
        Some(1) => ": it takes CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW",
        Some(16) => ": another XDP program is on the device, see `ip link show`",
        Some(105) => ": the memory may not be locked, it takes CAP_IPC_LOCK or a larger LimitMEMLOCK",
        _ => "",
    }
}

/// Octets of an Ethernet header and two tags.
const HEADER: usize = 14 + 2 * 4;
