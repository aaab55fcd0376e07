//! The whole gateway on one screen, and why it is not well.

use dataplane::WorkerId;

use super::{channels, connections, drops, ports, reasons, wiring};
use crate::api::{
    model::{Channel, ChannelState, Health, Port, PortState, Reason, Severity, Status, Worker},
    source::Facts,
};

/// Drops that are shown.
const TOP_DROPS: usize = 5;
/// From here on a new SAK is due (PendingPNExhaustion): three quarters of the packet numbers are used.
const EXHAUSTION: (u64, u64) = (3, 4);

/// The whole gateway.
pub(crate) fn status(facts: &Facts) -> Status {
    let (connections, channels, ports) = (connections(facts), channels(facts), ports(facts));
    let mut reasons = silent_workers(facts);
    reasons.extend(facts.alerts.iter().cloned());
    reasons.extend(channels.iter().flat_map(channel_reasons));
    reasons.extend(reasons::unshared_keys(facts));
    reasons.extend(ports.iter().filter_map(port_reason));
    reasons.extend(reasons::narrow_devices(facts));
    reasons.extend(wiring::far_ends(facts));
    reasons.extend(connections.iter().filter_map(reasons::connection));
    reasons.extend(reasons::neighbors(facts));
    let degraded = reasons.iter().any(|reason| reason.severity == Severity::Degraded);
    let uptime = facts.wall.duration_since(facts.started).as_secs();
    Status {
        site: facts.config.site.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        config_file: facts.config_file.display().to_string(),
        started: facts.started,
        uptime_seconds: u64::try_from(uptime).unwrap_or(0),
        state: if degraded { Health::Degraded } else { Health::Ok },
        reasons,
        workers: facts.reports.iter().map(worker).collect(),
        connections,
        channels,
        ports,
        drops: drops(facts).into_iter().take(TOP_DROPS).collect(),
    }
}

fn worker(report: &crate::worker::Report) -> Worker {
    let ((small, big), _) = report.snapshot.buffers;
    Worker {
        worker: report.snapshot.worker.0,
        route_generation: report.snapshot.generation,
        small_buffers_held: small,
        big_buffers_held: big,
    }
}

fn silent_workers(facts: &Facts) -> Vec<Reason> {
    let answered = |id| facts.reports.iter().any(|report| report.snapshot.worker == id);
    let silent = (0..facts.setup.workers).map(WorkerId).filter(|&id| !answered(id));
    let reason = |WorkerId(id)| Reason {
        severity: Severity::Degraded,
        subject: format!("worker/{id}"),
        reason: "worker_silent".to_owned(),
        message: "did not answer in time: it is overloaded, or stuck".to_owned(),
    };
    silent.map(reason).collect()
}

fn channel_reasons(channel: &Channel) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut add = |severity, reason: &str, message: String| {
        let subject = format!("channel/{}", channel.name);
        reasons.push(Reason { severity, subject, reason: reason.to_owned(), message });
    };
    match (channel.state, channel.reason.as_deref()) {
        (ChannelState::Down, Some(reason)) => add(Severity::Degraded, reason, why_down(channel, reason)),
        (ChannelState::Reserve, Some("drained")) => {
            let message = channel.drain.as_ref().map_or_else(String::new, |drain| drain.message.clone());
            add(Severity::Warning, "drained", format!("drained: {message}"));
        }
        (ChannelState::Reserve, Some(reason)) => add(Severity::Degraded, reason, why_down(channel, reason)),
        (ChannelState::Down | ChannelState::Reserve, None)
        | (ChannelState::Live | ChannelState::Unknown, _) => {}
    }
    let macsec = &channel.macsec;
    if macsec.clear_text && macsec.policy == "should_secure" {
        let why = macsec.diagnosis.as_deref().unwrap_or("MKA has agreed on no key yet");
        let message = format!(
            "CLEAR TEXT (SHOULD-SECURE): frames are sent and accepted without MACsec until there is a key: {why}"
        );
        add(Severity::Warning, "clear_text", message);
    } else if macsec.clear_text {
        add(
            Severity::Warning,
            "clear_text",
            "CLEAR TEXT: frames leave without MACsec, as configured".to_owned(),
        );
    } else if macsec.policy == "should_secure" {
        let now =
            if macsec.secured { "frames leave protected now" } else { "there is no key to send with now" };
        let clear = if macsec.accepts_clear_text {
            "are accepted"
        } else {
            "are sent and accepted when there is no key"
        };
        let message = format!("SHOULD-SECURE: frames in clear {clear}, as configured; {now}");
        add(Severity::Warning, "should_secure", message);
    }
    if let Some(next_pn) = macsec.next_pn.filter(|&pn| pn / EXHAUSTION.0 >= macsec.pn_limit / EXHAUSTION.1) {
        let left = macsec.pn_limit.saturating_sub(next_pn);
        let message = if macsec.mka {
            format!(
                "the SAK has {left} packet numbers left, and MKA made no fresh one: see `quadspan show mka {}`",
                channel.name
            )
        } else {
            format!("the SAK has {left} packet numbers left; traffic stops then: configure a new SAK")
        };
        add(Severity::Degraded, "pn_exhaustion", message);
    }
    reasons
}

fn why_down(channel: &Channel, reason: &str) -> String {
    let port = &channel.port;
    match reason {
        "no_carrier" => format!(
            "down: port {port} has no carrier, or its device is set down; look at the cable, the far end, and `ip link`"
        ),
        "port_down" => {
            format!("down: the device of port {port} is gone or cannot be used; see `quadspan show ports`")
        }
        "mka_down" => {
            let why =
                channel.macsec.diagnosis.as_deref().unwrap_or("it has only begun, or the peer has gone");
            format!("down: MKA has agreed on no key: {why}; see `quadspan show mka {}`", channel.name)
        }
        "not_secured" => "down: MACsec is required and there is no key to send with".to_owned(),
        other => format!("down: {}", other.replace('_', " ")),
    }
}

/// Ports of channels are spoken for by their channels.
fn port_reason(port: &Port) -> Option<Reason> {
    (port.state == PortState::Down && port.role == "lan").then(|| {
        let what = if port.reason.as_deref() == Some("no_carrier") { "has no carrier" } else { "is gone" };
        Reason {
            severity: Severity::Degraded,
            subject: format!("port/{}", port.name),
            reason: port.reason.clone().unwrap_or_default(),
            message: format!("down: its device {} {what}", port.device),
        }
    })
}
