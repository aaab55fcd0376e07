//! Ports, and everything that was dropped.

use config::model as words;
use dataplane::{
    DropCounters, DropReason, Fault, PortId,
    port::{PortCounters, PortKind},
};

use super::{counts, named, word};
use crate::{
    api::{
        model::{Drop, Port, PortState, PortTunnel},
        source::{DeviceFacts, Facts},
    },
    link_monitor::Link,
};

/// All ports of the configuration.
pub(crate) fn ports(facts: &Facts) -> Vec<Port> {
    let each = facts.config.ports.iter().enumerate();
    each.map(|(at, port)| one(facts, at, port)).collect()
}

fn one(facts: &Facts, at: usize, port: &words::Port) -> Port {
    let device = facts.devices.get(at).copied().unwrap_or(GONE);
    let reason = device.link.fault().map(|fault| fault.label().to_owned());
    let opened = |report: &&crate::worker::Report| report.ports.get(at).is_some_and(Option::is_some);
    let (kind, counters) = (kind(facts, at), port_counters(facts, at));
    Port {
        name: port.name.clone(),
        device: port.device.clone(),
        role: word(&port.role),
        io: kind.map_or_else(|| word(&port.io), |kind| kind.io().to_owned()),
        wanted_io: kind.and_then(|kind| instead(port, kind)),
        tunnel: port.underlay.map(|underlay| tunnel(facts, at, &underlay)),
        ring: kind.and_then(PortKind::ring).map(str::to_owned),
        vnet: facts.setup.ports.get(at).is_some_and(|port| port.caps.offload),
        workers: facts.reports.iter().filter(opened).map(|report| report.snapshot.worker.0).collect(),
        state: if reason.is_none() { PortState::Up } else { PortState::Down },
        reason,
        carrier: matches!(device.link, Link::Up { .. } | Link::NoRoute { .. }),
        mac: device.mac.map(|mac| mac.to_string()),
        mtu: device.mtu,
        rx_frames: counters.rx_frames,
        rx_octets: counters.rx_octets,
        tx_frames: counters.tx_frames,
        tx_octets: counters.tx_octets,
        losses: named([
            ("rx_ring_full", counters.rx_ring_full),
            ("rx_shed", counters.rx_shed),
            ("rx_truncated", counters.rx_truncated),
            ("rx_no_buffer", counters.rx_no_buffer),
            ("rx_bad_offload", counters.rx_bad_offload),
            ("tx_refused", counters.tx_refused),
            ("rx_bad_header", counters.rx_bad_header),
            ("rx_unknown_vni", counters.rx_unknown_vni),
            ("rx_unknown_source", counters.rx_unknown_source),
            ("tx_too_long", counters.tx_too_long),
        ]),
        drops: counts(&port_drops(facts, PortId::at(at))),
    }
}

/// What speaks against a port.
pub(super) fn fault_of(facts: &Facts, port: PortId) -> Option<&'static str> {
    facts.devices.get(port.index()).and_then(|device| device.link.fault()).map(Fault::label)
}

/// What a worker opened, whatever the configuration left open.
fn kind(facts: &Facts, at: usize) -> Option<PortKind> {
    let mut opened = facts.reports.iter().filter_map(|report| report.ports.get(at).copied().flatten());
    opened.next().map(|(kind, _)| kind)
}

/// What the configuration asks for, when a worker opened something else.
fn instead(port: &words::Port, kind: PortKind) -> Option<String> {
    let as_wanted = matches!(kind, PortKind::XdpBulk | PortKind::XdpCopy | PortKind::XdpZeroCopy);
    (port.io == words::Io::AfXdp && !as_wanted).then(|| word(&port.io))
}

fn tunnel(facts: &Facts, at: usize, underlay: &words::Underlay) -> PortTunnel {
    let told = |report: &crate::worker::Report| report.snapshot.ports.get(at)?.path;
    PortTunnel {
        local: underlay.local.to_string(),
        remote: underlay.remote.to_string(),
        vni: underlay.vni,
        udp_port: underlay.port,
        source_ports: underlay.source_ports,
        dscp: underlay.dscp.to_string(),
        carries: facts.reports.iter().find_map(told),
    }
}

const GONE: DeviceFacts = DeviceFacts { link: Link::Gone, mac: None, mtu: None };

fn port_counters(facts: &Facts, at: usize) -> PortCounters {
    let each = facts.reports.iter().filter_map(|report| report.ports.get(at).copied().flatten());
    each.fold(PortCounters::default(), |sum, (_, one)| PortCounters {
        rx_frames: sum.rx_frames + one.rx_frames,
        rx_octets: sum.rx_octets + one.rx_octets,
        rx_ring_full: sum.rx_ring_full + one.rx_ring_full,
        rx_shed: sum.rx_shed + one.rx_shed,
        rx_truncated: sum.rx_truncated + one.rx_truncated,
        rx_no_buffer: sum.rx_no_buffer + one.rx_no_buffer,
        rx_bad_offload: sum.rx_bad_offload + one.rx_bad_offload,
        tx_frames: sum.tx_frames + one.tx_frames,
        tx_octets: sum.tx_octets + one.tx_octets,
        tx_refused: sum.tx_refused + one.tx_refused,
        rx_bad_header: sum.rx_bad_header + one.rx_bad_header,
        rx_unknown_vni: sum.rx_unknown_vni + one.rx_unknown_vni,
        rx_unknown_source: sum.rx_unknown_source + one.rx_unknown_source,
        tx_too_long: sum.tx_too_long + one.tx_too_long,
    })
}

fn port_drops(facts: &Facts, id: PortId) -> DropCounters {
    let mut sum = DropCounters::default();
    let seen = facts.reports.iter().flat_map(|report| &report.snapshot.ports).filter(|port| port.port == id);
    for (reason, count) in seen.flat_map(|port| port.drops.iter()) {
        sum.add(reason, count);
    }
    sum
}

/// Everything that was dropped, the most frequent first.
pub(crate) fn drops(facts: &Facts) -> Vec<Drop> {
    let mut all = Vec::new();
    for channel in facts.reports.iter().flat_map(|report| &report.snapshot.channels) {
        let name = facts.config.channels.get(channel.channel.index()).map_or("?", |channel| &channel.name);
        add(&mut all, "channel", name, &channel.drops);
    }
    for at in 0..facts.setup.ports.len() {
        // Ports beyond those of the configuration are the host's TAPs.
        let name = facts.config.ports.get(at).map_or("host", |port| &port.name);
        add(&mut all, "port", name, &port_drops(facts, PortId::at(at)));
    }
    all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| (&a.name, &a.reason).cmp(&(&b.name, &b.reason))));
    all
}

fn add(all: &mut Vec<Drop>, scope: &str, name: &str, drops: &DropCounters) {
    let dropped = drops.iter().filter(|(_, count)| *count > 0);
    all.extend(dropped.map(|(reason, count)| Drop {
        scope: scope.to_owned(),
        name: name.to_owned(),
        reason: reason.label().to_owned(),
        count,
        help: DropReason::help(reason).trim().to_owned(),
    }));
}
