//! Opening ports: the device is locked, so that no other gateway has it ([`Locks`]), and taken away from the kernel's own stack ([`HandsOff`]), then a driver is put on it. TAP
//! devices are made where there are none ([`Taps`]); at their far end the kernel's stack is who the gateway talks to. The
//! device of a tunnel is left alone: its datagrams are the kernel's (`tunnel`).

mod hands_off;
mod locks;
mod pair;
mod start;
mod supplies;
mod taps;
mod tunnel;
mod xdp;

use std::{collections::BTreeMap, io};

use anyhow::{Context, Result};
use config::{
    Config,
    model::{Io, Port as PortConfig, RxRing},
};
use dataplane::{
    PoolSizes, WorkerId,
    port::{Heirloom, Port, af_packet, tap},
};
use net::MacAddr;
use sys::sysctl;

use crate::assemble::{Device, HostTap};

pub use hands_off::{HandsOff, kernel_addresses, why_not_addresses};
pub use locks::{Locks, holder};
pub use start::{open_all, open_hosts, take_over};
pub use supplies::Supplies;
pub use taps::Taps;

/// What the kernel says of each device that the configuration names; those that are not there are left out.
pub fn devices(config: &Config, taps: &Taps) -> BTreeMap<String, Device> {
    let packet = |port: &PortConfig| {
        let (mac, mtu) = (sys::interface::mac(&port.device).ok()?, sys::interface::mtu(&port.device).ok()?);
        Some(Device {
            mac: MacAddr(mac),
            mtu: u16::try_from(mtu).unwrap_or(u16::MAX),
            // An AF_XDP socket has a queue to itself.
            shared: port.io != Io::AfXdp,
            udp_segments: af_packet::udp_segments(),
        })
    };
    let device = |port: &PortConfig| match port.io {
        Io::Tap => taps.device(&port.device),
        Io::Auto | Io::AfPacket | Io::AfXdp => packet(port),
    };
    config.ports.iter().filter_map(|port| Some((port.device.clone(), device(port)?))).collect()
}

/// Opens a worker's part of a port of `config`, or goes on with what a predecessor `left`; says whether it does.
///
/// # Errors
/// When the device is missing or may not be opened: with what to do about it.
pub fn open(
    config: &Config,
    port: &PortConfig,
    offload: bool,
    worker: WorkerId,
    workers: u16,
    pool: PoolSizes,
    (supplies, left): (&mut Supplies, Option<Heirloom>),
) -> Result<(Box<dyn Port>, bool)> {
    if let Some(underlay) = &port.underlay {
        return tunnel::open(port, underlay, left);
    }
    if port.io == Io::Tap {
        return supplies.taps.open(&port.device, left);
    }
    // A queue has one socket: a successor has it when its predecessor is gone.
    if port.io == Io::AfXdp
        && left.is_none()
        && let Some(opened) = xdp::open(config, port, worker, supplies)
    {
        return Ok((opened, false));
    }
    let options = packet_options(port, offload, workers, pool);
    if let Some(left) = left {
        match af_packet::AfPacketPort::adopt(&options, left) {
            Ok(adopted) => return Ok((Box::new(adopted), true)),
            Err(why) => not_adopted(port, &why),
        }
    }
    let opened = af_packet::AfPacketPort::open(&options).with_context(|| {
        format!(
            "port \"{}\": cannot open a packet socket on {} for worker {}: it takes CAP_NET_RAW and CAP_NET_ADMIN, and a device that is there",
            port.name, port.device, worker.0
        )
    })?;
    Ok((Box::new(opened), false))
}

/// A predecessor had it otherwise: frames that wait there are lost, and nothing else.
fn not_adopted(port: &PortConfig, why: &io::Error) {
    tracing::info!(event = "port.not_adopted", port = port.name, why = %why, "opened anew");
}

fn packet_options(port: &PortConfig, offload: bool, workers: u16, pool: PoolSizes) -> af_packet::Options {
    af_packet::Options {
        device: port.device.clone(),
        ring: match port.rx_ring {
            RxRing::Auto => af_packet::Ring::Auto,
            RxRing::V3 => af_packet::Ring::V3,
            RxRing::V2 => af_packet::Ring::V2,
        },
        ring_octets: usize::try_from(port.ring_kib).unwrap_or(usize::MAX).saturating_mul(1024),
        offload,
        qdisc_bypass: port.qdisc_bypass,
        largest_frame: pool.small_frame,
        fanout: (workers > 1)
            .then(|| af_packet::Share { group: fanout_group(&port.device), members: workers }),
    }
}

/// A number that all workers' sockets on one device share, and other devices do not.
fn fanout_group(device: &str) -> u16 {
    let index = sys::interface::index(device).unwrap_or(0);
    u16::try_from(index & 0xffff).unwrap_or(0) ^ u16::try_from(std::process::id() & 0xffff).unwrap_or(0)
}

/// What is set on the TAP of an interface. Its addresses may stand on other TAPs too, and a neighbour on one may
/// have an address that is ours on another (clouds number all their links from 169.254.0.0/16): who may
/// send what is the worker's to judge, and it hands over only what is for the interface's own addresses. Duplicate
/// address detection would ask the far side about an address that the worker answers for (ip-sysctl).
const HOST: &[(&str, &str)] = &[
    ("net/ipv6/conf/{}/accept_dad", "0"),
    ("net/ipv6/conf/{}/accept_ra", "0"),
    ("net/ipv4/conf/{}/rp_filter", "2"),
    ("net/ipv4/conf/{}/accept_local", "1"),
    ("net/ipv4/conf/{}/forwarding", "0"),
    ("net/ipv6/conf/{}/forwarding", "0"),
];

/// Makes the TAP (or the pair) by which the host's own stack uses an interface, gives it the interface's addresses, and sets it up.
/// Gives its name too, as the kernel completed it.
///
/// # Errors
/// When the kernel refuses.
pub async fn open_host(
    host: &HostTap,
    left: Option<(Heirloom, String)>,
) -> Result<(String, Box<dyn Port>, bool)> {
    if let Some((left, device)) = left {
        // It is what it is called by: everything below was done to it.
        match adopt_host(host, left) {
            Ok(port) => return Ok((device, port, true)),
            Err(why) => tracing::info!(event = "port.not_adopted", port = host.name, why = %why, "made anew"),
        }
    }
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let pump = tokio::spawn(connection);
    let (name, port) = host_port(host, &handle).await?;
    sys::interface::set_mac(&name, host.mac.0)
        .with_context(|| format!("cannot set the MAC address of {name}"))?;
    sys::interface::set_mtu(&name, u32::from(host.mtu))
        .with_context(|| format!("cannot set the MTU of {name}"))?;
    for (key, wanted) in HOST {
        // Without IPv6 in the kernel there is nothing to set.
        let _best_effort = sysctl::write(&key.replace("{}", &name), wanted);
    }
    sys::interface::set_up(&name, true).with_context(|| format!("cannot set {name} up"))?;
    let index = sys::interface::index(&name)?;
    for net in &host.addresses {
        let add = handle.address().add(index, net.addr(), net.prefix_len()).execute().await;
        add.with_context(|| format!("cannot give {name} the address {net}"))?;
    }
    pump.abort();
    Ok((name, port, false))
}

fn adopt_host(host: &HostTap, left: Heirloom) -> io::Result<Box<dyn Port>> {
    if [tap::SINGLE, tap::SEVERAL].contains(&left.facts.as_str()) {
        return Ok(Box::new(tap::TapPort::adopt(left)?));
    }
    Ok(Box::new(af_packet::AfPacketPort::adopt(&pair::options(host), left)?))
}

/// A TAP, or, where `/dev/net/tun` cannot be opened, a pair; with the name of the host's end.
async fn host_port(host: &HostTap, netlink: &rtnetlink::Handle) -> Result<(String, Box<dyn Port>)> {
    let refused = match tap::TapPort::open(&host.name) {
        Ok(port) => return Ok((port.name().to_owned(), Box::new(port))),
        Err(error) => error,
    };
    if matches!(refused.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound) {
        match pair::open(host, netlink).await {
            Ok((name, port)) => return Ok((name, Box::new(port))),
            Err(error) => tracing::debug!(event = "port.host_pair", device = host.name, "{error:#}"),
        }
    }
    Err(refused).with_context(|| format!("cannot make the TAP device {}", host.name))
}
