//! Opening ports: the device is taken away from the kernel's own stack, then a driver is put on it.
//!
//! The kernel sees every frame that a packet socket sees. It must neither answer nor forward what the gateway owns, so
//! each device that a port takes loses IPv6, answers no ARP, forwards nothing, and accepts nothing whose way back leads
//! elsewhere (ip-sysctl: `disable_ipv6`, `arp_ignore` 8, `forwarding` 0, `rp_filter` 1). What was set before is put
//! back when the gateway ends in an orderly way. The device of a tunnel is left alone: its datagrams are the kernel's.

use anyhow::{Context, Result};
use config::model::{AcceptFrom, Io, Port as PortConfig, RxRing, Underlay};
use dataplane::{
    PoolSizes, WorkerId,
    port::{Port, af_packet, tap, udp},
    underlay::{Tunnel, Vni},
};
use sys::sysctl;

use crate::assemble::HostTap;

/// What is set on a device while the gateway has it.
const HANDS_OFF: &[(&str, &str)] = &[
    ("net/ipv6/conf/{}/disable_ipv6", "1"),
    ("net/ipv4/conf/{}/forwarding", "0"),
    ("net/ipv4/conf/{}/arp_ignore", "8"),
    ("net/ipv4/conf/{}/rp_filter", "1"),
];

/// Keeps the kernel's own stack off a device, until dropped.
#[derive(Debug)]
pub struct HandsOff {
    device: String,
    before: Vec<(String, String)>,
}

impl HandsOff {
    /// Takes the device away from the kernel's stack. What cannot be set (a kernel without IPv6, a read-only `/proc`)
    /// is returned as a list of keys, for the log.
    pub fn of(device: &str) -> (Self, Vec<String>) {
        let (mut before, mut failed) = (Vec::new(), Vec::new());
        for (key, wanted) in HANDS_OFF {
            let key = key.replace("{}", device);
            match sysctl::read(&key) {
                Ok(old) if old.trim() == *wanted => {}
                Ok(old) if sysctl::write(&key, wanted).is_ok() => before.push((key, old.trim().to_owned())),
                Ok(_) | Err(_) => failed.push(key),
            }
        }
        (Self { device: device.to_owned(), before }, failed)
    }

    /// The device.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Takes the device away again where somebody gave it back: whoever writes `net.ipv4.ip_forward`, a container
    /// engine for example, writes `forwarding` of every device (ip-sysctl). Returns the keys that had changed.
    pub fn hold(&self) -> Vec<String> {
        let keys = HANDS_OFF.iter().map(|(key, wanted)| (key.replace("{}", &self.device), wanted));
        let changed =
            |(key, wanted): &(String, &&str)| sysctl::read(key).is_ok_and(|now| now.trim() != **wanted);
        let taken_back = |(key, wanted): (String, &&str)| sysctl::write(&key, wanted).is_ok().then_some(key);
        keys.filter(changed).filter_map(taken_back).collect()
    }
}

impl Drop for HandsOff {
    fn drop(&mut self) {
        for (key, old) in &self.before {
            // The device may be gone by now, and its settings with it.
            let _restored = sysctl::write(key, old);
        }
    }
}

/// Opens a worker's part of a port.
///
/// # Errors
/// When the device is missing or may not be opened: with what to do about it.
pub fn open(
    port: &PortConfig,
    offload: bool,
    worker: WorkerId,
    workers: u16,
    pool: PoolSizes,
) -> Result<Box<dyn Port>> {
    if let Some(underlay) = &port.underlay {
        return open_tunnel(port, underlay);
    }
    if port.io == Io::Tap {
        return open_tap(&port.device);
    }
    let options = af_packet::Options {
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
        fanout: (workers > 1).then(|| fanout_group(&port.device)),
    };
    let opened = af_packet::AfPacketPort::open(&options).with_context(|| {
        format!(
            "port \"{}\": cannot open a packet socket on {} for worker {}: it takes CAP_NET_RAW and CAP_NET_ADMIN, and a device that is there",
            port.name, port.device, worker.0
        )
    })?;
    Ok(Box::new(opened))
}

fn open_tunnel(port: &PortConfig, underlay: &Underlay) -> Result<Box<dyn Port>> {
    let options = udp::Options {
        device: port.device.clone(),
        local: underlay.local,
        port: underlay.port,
        tunnel: Tunnel {
            remote: underlay.remote,
            vni: Vni::new(underlay.vni).context("a VNI has 24 bits")?,
            any_source: underlay.accept_from == AcceptFrom::Any,
            source_ports: underlay.source_ports,
        },
    };
    let opened = udp::UdpPort::open(&options).with_context(|| {
        format!(
            "port \"{}\": cannot open the tunnel's UDP sockets on {}: the device must be there, and no other program (nor a vxlan device of the kernel) may have {} port {}",
            port.name, port.device, underlay.local, underlay.port
        )
    })?;
    Ok(Box::new(opened))
}

/// A number that all workers' sockets on one device share, and other devices do not.
fn fanout_group(device: &str) -> u16 {
    let index = sys::interface::index(device).unwrap_or(0);
    u16::try_from(index & 0xffff).unwrap_or(0) ^ u16::try_from(std::process::id() & 0xffff).unwrap_or(0)
}

fn open_tap(device: &str) -> Result<Box<dyn Port>> {
    let port = tap::TapPort::open(device).with_context(|| {
        format!("cannot open the TAP device {device}: it takes CAP_NET_ADMIN and /dev/net/tun")
    })?;
    sys::interface::set_up(port.name(), true).with_context(|| format!("cannot set {device} up"))?;
    Ok(Box::new(port))
}

/// Makes the TAP by which the host's own stack uses an interface, gives it the interface's addresses, and sets it up.
///
/// # Errors
/// When the kernel refuses.
pub async fn open_host(host: &HostTap) -> Result<Box<dyn Port>> {
    let port = tap::TapPort::open(&host.name)
        .with_context(|| format!("cannot make the TAP device {}", host.name))?;
    let name = port.name().to_owned();
    sys::interface::set_mac(&name, host.mac.0)
        .with_context(|| format!("cannot set the MAC address of {name}"))?;
    sys::interface::set_mtu(&name, u32::from(host.mtu))
        .with_context(|| format!("cannot set the MTU of {name}"))?;
    // Duplicate address detection would ask the far side about an address that the worker answers for.
    let _best_effort = sysctl::write(&format!("net/ipv6/conf/{name}/accept_dad"), "0");
    sys::interface::set_up(&name, true).with_context(|| format!("cannot set {name} up"))?;
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let pump = tokio::spawn(connection);
    let index = sys::interface::index(&name)?;
    for net in &host.addresses {
        let add = handle.address().add(index, net.addr(), net.prefix_len()).execute().await;
        add.with_context(|| format!("cannot give {name} the address {net}"))?;
    }
    pump.abort();
    Ok(Box::new(port))
}
