//! Why the gateway is not well: what connections, devices and BGP neighbours give as reasons.

use std::time::Duration;

use dataplane::{ChannelId, ChannelSetup, Fault, PortId};
use macsec::mka::Diagnosis;
use net::Ethernet;

use super::bgp;
use crate::api::{
    model::{BgpNeighbor, ChannelState, Connection, ConnectionState, Reason, Severity},
    source::Facts,
};
use crate::{bgp::report::NeighborReport, key_agreement::remedy};

/// Attachments of a connection that are named; of the others there is the number.
const NAMED: usize = 4;
/// A neighbour that was never up has so long after the start, or the reload that added it, with both ends, keys and BFD still to agree.
const STARTING: Duration = Duration::from_secs(15);

pub(super) fn degraded(subject: String, reason: &str, message: String) -> Reason {
    Reason { severity: Severity::Degraded, subject, reason: reason.to_owned(), message }
}

/// How many attachments carry traffic, when not all do, and what is with the others.
pub(super) fn connection(connection: &Connection) -> Option<Reason> {
    let out = out(connection);
    let message = match connection.state {
        ConnectionState::Up => return None,
        ConnectionState::Degraded => {
            format!("{} of {} attachments live; {out}", connection.live, connection.total)
        }
        ConnectionState::Down => format!("no attachment is live, nothing gets through; {out}"),
    };
    let reason = connection.reason.as_deref().unwrap_or_default();
    Some(degraded(format!("connection/{}", connection.name), reason, message))
}

/// The attachments that are out, with their reasons; those with the same one together.
fn out(connection: &Connection) -> String {
    let all = connection.attachments.iter().filter(|one| one.state != ChannelState::Live);
    let all: Vec<_> = all.collect();
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for one in all.iter().take(NAMED) {
        let why = one.reason.as_deref().unwrap_or("unknown");
        let name =
            one.vlan.map_or_else(|| one.channel.clone(), |vlan| format!("{} vlan {vlan}", one.channel));
        let twice = connection.attachments.iter().filter(|other| other.channel == one.channel).count() > 1;
        let name = if twice { name } else { one.channel.clone() };
        match groups.iter_mut().find(|(known, _)| *known == why) {
            Some((_, names)) => names.push(name),
            None => groups.push((why, vec![name])),
        }
    }
    let mut texts: Vec<_> =
        groups.into_iter().map(|(why, names)| format!("{}: {why}", names.join(", "))).collect();
    if let Some(more) = all.len().checked_sub(NAMED).filter(|more| *more > 0) {
        texts.push(format!("and {more} more"));
    }
    texts.join("; ")
}

/// Devices whose MTU was lowered below what a channel on them was started with. Of a tunnel the path tells.
pub(super) fn narrow_devices(facts: &Facts) -> Vec<Reason> {
    let ports = facts.config.ports.iter().zip(&facts.devices).enumerate();
    let ports = ports.filter(|(_, (port, _))| port.underlay.is_none());
    let reason = |(at, (port, device)): (usize, (&config::model::Port, &crate::api::DeviceFacts))| {
        let on_it = facts.setup.channels.iter().filter(|one| one.port == PortId::at(at));
        let (has, needs) = (device.mtu?, on_it.map(needs).max()?);
        let message = format!(
            "its device {0} carries {has} octets, the channel needs {needs}; longer frames are lost: `ip link set {0} mtu {needs}`",
            port.device
        );
        let narrow = usize::try_from(has).is_ok_and(|has| has < needs);
        narrow.then(|| degraded(format!("port/{}", port.name), "device_mtu", message))
    };
    ports.filter_map(reason).collect()
}

/// What a channel asks of its device. The first clear tag fits beside the MTU (IEEE 802.3 §3.2.7), further ones do not.
fn needs(channel: &ChannelSetup) -> usize {
    let further_tags = 4 * channel.clear_tags.len().saturating_sub(1);
    channel.secy.max_frame.saturating_sub(Ethernet::LEN) + further_tags
}

/// Channels that have a key of before, which a peer cannot share any more: the key server keeps its SAK when the other end comes back
/// with other settings before anybody has missed it. Where there is no key, the channel is down, and says why.
pub(super) fn unshared_keys(facts: &Facts) -> Vec<Reason> {
    let reason = |(at, channel): (usize, &config::model::Channel)| {
        let seen = facts.channel(ChannelId::at(at)).filter(|seen| !seen.faults.has(Fault::MkaDown))?;
        let what = seen.mka.as_ref()?.diagnoses.iter().find(|what| is_unshared(what))?;
        let message = format!(
            "its key is of no use to the peer: {what}; {}; see `quadspan show mka {}`",
            remedy(what),
            channel.name
        );
        Some(degraded(format!("channel/{}", channel.name), what.code(), message))
    };
    facts.config.channels.iter().enumerate().filter_map(reason).collect()
}

const fn is_unshared(what: &Diagnosis) -> bool {
    matches!(
        what,
        Diagnosis::CipherNotSupported { .. }
            | Diagnosis::CipherNotAccepted { .. }
            | Diagnosis::CapabilityTooLow { .. }
            | Diagnosis::SakNotTaken { .. }
    )
}

/// BGP neighbours without a session.
pub(super) fn neighbors(facts: &Facts) -> Vec<Reason> {
    let Some(reports) = &facts.neighbors else {
        let message =
            "did not answer in time: it is overloaded, or stuck; routes stay as they are".to_owned();
        return vec![degraded("bgp".to_owned(), "bgp_silent", message)];
    };
    let reason = |report: &NeighborReport| {
        let is_new = report.status.sessions == 0 && facts.now.since(report.added) < STARTING;
        bgp(facts, std::slice::from_ref(report)).first().and_then(|one| neighbor(one, is_new))
    };
    reports.iter().filter_map(reason).collect()
}

fn neighbor(one: &BgpNeighbor, is_new: bool) -> Option<Reason> {
    if one.state == "established" {
        return None;
    }
    let name = format!("{}/{}", one.connection, one.name);
    let word = one.reason.as_deref().unwrap_or("connecting");
    let why = one.detail.as_deref().unwrap_or("no answer yet");
    let shut = word == "shut_down";
    let starting = is_new && !shut;
    let message = match (shut, starting) {
        (true, _) => format!("no BGP session, as planned: {why}; `quadspan bgp enable {name}` ends that"),
        (false, true) => format!("no BGP session yet, it is coming up: {why}"),
        (false, false) => format!("no BGP session: {why}; see `quadspan show bgp {}`", one.name),
    };
    let (severity, word) =
        if starting { (Severity::Warning, "coming_up") } else { (Severity::Degraded, word) };
    Some(Reason { severity, ..degraded(format!("neighbor/{name}"), word, message) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::bgp::fsm::State;
    use net::Instant;

    use super::*;
    use crate::api::{
        model::Health,
        source::conflict_alert,
        testbed::{break_channel, config_with_bgp, facts},
        testbed_bgp::neighbor_report,
        view::{connections, status},
    };
    use crate::events::Conflict;

    /// The only reason that degrades, and the health that goes with it.
    fn only(facts: &Facts) -> Reason {
        let status = status(facts);
        assert_eq!(status.state, Health::Degraded);
        let all = status.reasons.into_iter().filter(|one| one.severity == Severity::Degraded);
        let all: Vec<_> = all.collect();
        let [one] = &all[..] else { panic!("{all:?}") };
        one.clone()
    }

    fn with_neighbor(state: State, reason: Option<(&'static str, &str)>) -> Facts {
        let reason = reason.map(|(word, text)| (word, text.to_owned()));
        let report = NeighborReport { reason, ..neighbor_report(state) };
        Facts { config: Arc::new(config_with_bgp()), neighbors: Some(vec![report]), ..facts() }
    }

    #[test]
    fn a_neighbour_without_a_session_is_named_with_the_reason() {
        assert_eq!(status(&with_neighbor(State::Established, None)).state, Health::Ok);
        let refused = only(&with_neighbor(State::Active, Some(("no_connection", "Connection refused"))));
        assert_eq!(
            (refused.subject.as_str(), refused.reason.as_str()),
            ("neighbor/blue/dx", "no_connection")
        );
        assert_eq!(refused.message, "no BGP session: Connection refused; see `quadspan show bgp dx`");
        let shut =
            only(&with_neighbor(State::Idle, Some(("shut_down", "shut down by an operator: new fibre"))));
        assert_eq!(shut.reason, "shut_down");
        assert_eq!(
            shut.message,
            "no BGP session, as planned: shut down by an operator: new fibre; `quadspan bgp enable blue/dx` ends that"
        );
        // One that waits to be called, and nobody calls.
        let waits = only(&with_neighbor(State::Active, Some(("connecting", "no answer yet"))));
        assert_eq!(waits.reason, "connecting");
    }

    #[test]
    fn just_after_the_start_or_a_reload_neighbours_have_time() {
        let mut facts = with_neighbor(State::Active, Some(("connecting", "no answer yet")));
        let age = |seconds: u64| Instant::from_nanos(facts.now.as_nanos() - seconds * 1_000_000_000);
        let (young, old) = (age(14), age(15));
        // The gateway has run for an hour: it is the neighbour that is new.
        let mut first = |added, sessions| {
            let report = &mut facts.neighbors.as_mut().unwrap()[0];
            (report.added, report.status.sessions) = (added, sessions);
            let status = status(&facts);
            let of = status.reasons.into_iter().find(|one| one.subject == "neighbor/blue/dx").unwrap();
            (status.state, of.severity, of.reason)
        };
        assert_eq!(first(young, 0), (Health::Ok, Severity::Warning, "coming_up".to_owned()));
        let connecting = || "connecting".to_owned();
        assert_eq!(first(young, 1), (Health::Degraded, Severity::Degraded, connecting()), "it was up");
        assert_eq!(first(old, 0), (Health::Degraded, Severity::Degraded, connecting()));
    }

    #[test]
    fn bgp_that_does_not_answer_is_told() {
        let told = only(&Facts { neighbors: None, ..facts() });
        assert_eq!((told.subject.as_str(), told.reason.as_str()), ("bgp", "bgp_silent"));
    }

    #[test]
    fn a_device_that_carries_less_than_its_channel_needs_is_told() {
        let mut facts = facts();
        facts.devices[2].mtu = Some(1599);
        let told = only(&facts);
        assert_eq!((told.subject.as_str(), told.reason.as_str()), ("port/wan1", "device_mtu"));
        assert_eq!(
            told.message,
            "its device eth2 carries 1599 octets, the channel needs 1600; longer frames are lost: `ip link set eth2 mtu 1600`"
        );
        facts.devices[2].mtu = Some(9000);
        facts.devices[3].mtu = Some(1600);
        assert_eq!(status(&facts).state, Health::Ok, "the one clear tag of ch2 has its place beside the MTU");
        facts.devices[2].mtu = None;
        assert_eq!(status(&facts).state, Health::Ok, "of a device that is gone its link tells");
    }

    #[test]
    fn attachments_that_are_out_are_named_until_there_are_many() {
        let mut facts = facts();
        break_channel(&mut facts, 1, Fault::BfdDown);
        let mut all = connections(&facts);
        let mut blue = all.swap_remove(0);
        assert_eq!(connection(&blue).unwrap().message, "1 of 2 attachments live; ch2: bfd_down");
        let out = blue.attachments[1].clone();
        for at in 3..8 {
            let reason = Some(if at == 3 { "drained" } else { "bfd_down" }.to_owned());
            blue.attachments.push(crate::api::model::Attachment {
                channel: format!("ch{at}"),
                reason,
                ..out.clone()
            });
        }
        blue.total = 7;
        assert_eq!(
            connection(&blue).unwrap().message,
            "1 of 7 attachments live; ch2, ch4, ch5: bfd_down; ch3: drained; and 2 more"
        );
        // The same channel with two VLANs.
        let other = crate::api::model::Attachment { vlan: Some(101), ..out };
        blue.attachments.truncate(2);
        blue.attachments.push(other);
        blue.total = 3;
        assert!(connection(&blue).unwrap().message.ends_with("; ch2 vlan 100, ch2 vlan 101: bfd_down"));
    }

    #[test]
    fn an_address_that_two_stations_have_is_told_with_what_to_do() {
        let mut facts = facts();
        facts.alerts.push(conflict_alert(&Conflict {
            interface: "blue/ch1".to_owned(),
            address: "169.254.1.1".parse().unwrap(),
            mac: Some("02:00:5e:bb:00:01".to_owned()),
            at: facts.now,
        }));
        let told = only(&facts);
        assert_eq!((told.subject.as_str(), told.reason.as_str()), ("interface/blue/ch1", "address_conflict"));
        assert!(told.message.starts_with("169.254.1.1 of 02:00:5e:bb:00:01 is ours, too: give "), "{told:?}");
        assert!(told.message.contains("the same file"), "{told:?}");
    }
}
