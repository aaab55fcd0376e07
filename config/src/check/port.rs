//! Ports, interconnects and the process.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::collections::{BTreeMap, BTreeSet};

use super::{names::Names, tunnel, values};
use crate::{
    model::{Interconnect, Port, PortRole, Runtime},
    problem::{Code, Report, Span},
    raw::{self, At, Document, items},
};

pub(super) fn check(document: &Document, names: &Names<'_>, report: &mut Report) -> Option<Vec<Port>> {
    devices(document, report);
    tunnel::check(document, names, report);
    let roles = roles(document, names, report);
    let sure = all_known(document, names);
    let build = |(at, port): (usize, &At<raw::Port>)| {
        let role = roles.get(&at).copied().unwrap_or(PortRole::Unused);
        model(&port.value, role, sure, report)
    };
    // Every port is looked at, so that every warning comes out; only then does one `None` decide.
    items(&document.port).iter().enumerate().map(build).collect::<Vec<_>>().into_iter().collect()
}

fn model(port: &raw::Port, role: PortRole, sure: bool, report: &mut Report) -> Option<Port> {
    let name = port.name.as_ref()?;
    if role == PortRole::Unused && sure {
        report
            .add(Code::UnusedPort, name.span, format!("nothing uses port `{}`", name.value))
            .help("give it to a channel or a LAN, or remove it");
    }
    Some(Port {
        name: name.value.clone(),
        device: port.device.as_ref()?.value.clone(),
        io: port.io(),
        rx_ring: port.rx_ring(),
        offload: port.offload() && role != PortRole::Channel,
        ring_kib: port.ring_kib(),
        qdisc_bypass: port.qdisc_bypass(),
        role,
        underlay: match &port.underlay {
            Some(underlay) => Some(tunnel::model(&underlay.value)?),
            None => None,
        },
    })
}

/// False when a use of a port leads nowhere: then any port may be the one that was meant.
fn all_known(document: &Document, names: &Names<'_>) -> bool {
    let of_channels = items(&document.channel).iter().map(|at| at.value.port.as_ref());
    let lans = items(&document.connection).iter().flat_map(|connection| items(&connection.value.lan));
    let mut uses = of_channels.chain(lans.map(|at| at.value.port.as_ref()));
    uses.all(|name| name.is_some_and(|name| names.ports.place(&name.value).is_some()))
}

/// One device, one port: two would read each other's frames. Tunnels leave a device to the kernel and share it, but not
/// with a port that takes it away. Devices that the gateway makes for the host must not have the name of a port's device either.
fn devices(document: &Document, report: &mut Report) {
    let mut seen: BTreeMap<&str, (Span, bool)> = BTreeMap::new();
    for port in items(&document.port) {
        let Some(device) = &port.value.device else { continue };
        let tunnel = port.value.underlay.is_some() || port.value.is_wrong("underlay");
        match seen.get(device.value.as_str()) {
            Some((_, true)) if tunnel => {}
            Some((first, _)) => {
                report
                    .add(
                        Code::DeviceUsedTwice,
                        device.span,
                        format!("two ports open device `{}`", device.value),
                    )
                    .label("again here")
                    .also(*first, "first here")
                    .help("let both users name the same port, or correct the device");
            }
            None => {
                seen.insert(&device.value, (device.span, tunnel));
            }
        }
    }
    for (host, device, here) in host_devices(document) {
        if !host {
            report
                .add(Code::HostDevice, device.span, "`host_device` names a device that is not made")
                .help("add host = true")
                .also(here, "in this section");
        }
        if let Some((first, _)) = seen.insert(&device.value, (device.span, false)) {
            report
                .add(Code::HostDevice, device.span, format!("device `{}` is needed twice", device.value))
                .also(first, "first here")
                .help("give the host device a name of its own, or leave it to the gateway");
        }
    }
}

/// Every `host_device`, whether its section wants one, and where that section is.
fn host_devices(document: &Document) -> Vec<(bool, &At<String>, Span)> {
    let mut found = Vec::new();
    for connection in items(&document.connection) {
        for attachment in items(&connection.value.attachment) {
            let device = attachment.value.host_device.iter();
            found.extend(device.map(|device| (attachment.value.host(), device, attachment.span)));
        }
        for lan in items(&connection.value.lan) {
            found.extend(lan.value.host_device.iter().map(|device| (lan.value.host(), device, lan.span)));
        }
    }
    found
}

/// What each port is used for. A port with a channel must not be a LAN as well: the only way out of a
/// channel's port is through its SecY.
fn roles(document: &Document, names: &Names<'_>, report: &mut Report) -> BTreeMap<usize, PortRole> {
    let mut channels = BTreeMap::new();
    for channel in items(&document.channel) {
        let Some(name) = &channel.value.port else { continue };
        if let Some(at) = names.ports.place(&name.value) {
            channels.entry(at).or_insert(name.span);
        }
    }
    let mut roles: BTreeMap<_, _> = channels.keys().map(|at| (*at, PortRole::Channel)).collect();
    for lan in items(&document.connection).iter().flat_map(|connection| items(&connection.value.lan)) {
        let Some(name) = &lan.value.port else { continue };
        let Some(at) = names.ports.place(&name.value) else { continue };
        if let Some(channel) = channels.get(&at) {
            report
                .add(
                    Code::PortRoles,
                    name.span,
                    format!("port `{}` is the underlay of a channel", name.value),
                )
                .label("and a LAN here")
                .also(*channel, "its channel")
                .help("use another port for the LAN: what leaves a channel's port must be protected");
        } else {
            roles.insert(at, PortRole::Lan);
        }
    }
    roles
}

pub(super) fn interconnects(
    document: &Document,
    names: &Names<'_>,
    report: &mut Report,
) -> Option<Vec<Interconnect>> {
    let place = |name: &Option<At<String>>| names.interconnects.place(&name.as_ref()?.value);
    // When a use leads nowhere, any interconnect may be the one that was meant: `None`.
    let with_channels: Option<BTreeSet<_>> =
        items(&document.channel).iter().map(|at| place(&at.value.interconnect)).collect();
    let with_connections: Option<BTreeSet<_>> =
        items(&document.connection).iter().map(|at| place(&at.value.interconnect)).collect();
    let build = |(at, interconnect): (usize, &At<raw::Interconnect>)| {
        let name = interconnect.value.name.as_ref()?;
        let lacks = |users: &Option<BTreeSet<_>>| users.as_ref().is_some_and(|users| !users.contains(&at));
        let missing = [(&with_channels, "channel"), (&with_connections, "connection")];
        if let Some((_, what)) = missing.into_iter().find(|(users, _)| lacks(users)) {
            report
                .add(
                    Code::UnusedInterconnect,
                    name.span,
                    format!("interconnect `{}` has no {what}", name.value),
                )
                .help(format!("add a [[{what}]] with interconnect = \"{}\", or remove it", name.value));
        }
        Some(Interconnect { name: name.value.clone(), profile: interconnect.value.profile() })
    };
    items(&document.interconnect).iter().enumerate().map(build).collect::<Vec<_>>().into_iter().collect()
}

pub(super) fn runtime(document: &Document, report: &mut Report) -> Option<Runtime> {
    let defaults = raw::Runtime::default();
    let runtime = document.runtime.as_ref().map_or(&defaults, |runtime| &runtime.value);
    pins(runtime, report);
    Some(Runtime {
        workers: runtime.workers(),
        pin: values(&runtime.pin),
        state_dir: runtime.state_dir(),
        socket: runtime.socket(),
        metrics: metrics(runtime, report),
        log: runtime.log(),
        log_format: runtime.log_format(),
        aead: runtime.aead(),
    })
}

/// Everywhere, a group and port 0 are no addresses to be reached at.
fn metrics(runtime: &raw::Runtime, report: &mut Report) -> Option<SocketAddr> {
    let at = runtime.metrics.as_ref()?;
    let (ip, port) = (at.value.ip(), at.value.port());
    let what = if ip.is_unspecified() {
        "means every address of this machine"
    } else if ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        "is the address of a group"
    } else if port == 0 {
        "has no port"
    } else {
        return Some(at.value);
    };
    report.add(Code::MetricsAddress, at.span, format!("{} {what}", at.value)).help(
        "metrics are served without a password: name one address, 127.0.0.1:9477 or one of a network for management",
    );
    None
}

fn pins(runtime: &raw::Runtime, report: &mut Report) {
    let Some(list) = &runtime.pin else { return };
    let workers = usize::from(runtime.workers());
    if list.value.len() != workers && !runtime.is_wrong("workers") {
        report
            .add(Code::Pins, list.span, format!("{} CPUs for {workers} workers", list.value.len()))
            .help("list one CPU per worker, or leave `pin` out");
    }
    for (at, cpu) in list.value.iter().enumerate() {
        if list.value.iter().take(at).any(|before| before.value == cpu.value) {
            report
                .add(Code::Pins, cpu.span, format!("CPU {} is given to two workers", cpu.value))
                .help("two workers on one CPU take turns; give each its own");
        }
    }
}
