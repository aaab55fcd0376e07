//! What arrives by a channel and belongs elsewhere: a far end with another address, cables that are crossed.

use core::{net::IpAddr, time::Duration};

use dataplane::{ChannelId, InterfaceSnapshot, neighbor::NeighborState};
use macsec::mka::Diagnosis;

use super::reasons::degraded;
use crate::{
    api::{model::Reason, source::Facts},
    names,
};

/// For so long after it was heard last, somebody with another address is there.
const FRESH: Duration = Duration::from_secs(60);

/// Attachments where somebody asks from beyond their subnets, and nobody answers within them.
pub(super) fn far_ends(facts: &Facts) -> Vec<Reason> {
    let all = facts.config.connections.iter().enumerate();
    let attachments = all.flat_map(|(connection, one)| {
        one.attachments
            .iter()
            .enumerate()
            .map(move |(at, attachment)| (attachment, facts.interface_id(connection, at)))
    });
    let far_end = |(attachment, id): (&config::model::Attachment, _)| {
        let views: Vec<_> = facts.interface(id).map(|(_, seen)| seen).collect();
        let (from, at) = views.iter().filter_map(|seen| seen.off_link).max_by_key(|(_, at)| *at)?;
        if facts.now.since(at) >= FRESH || views.iter().any(|seen| answers(seen, from)) {
            return None;
        }
        let is_like = |own: &&net::IpNet| own.addr().is_ipv4() == from.is_ipv4();
        let ours: Vec<_> =
            attachment.addresses.iter().filter(is_like).map(|own| own.trunc().to_string()).collect();
        let (asks, ours) = (if from.is_ipv4() { "ARP" } else { "ND" }, ours.join(", "));
        let message = format!(
            "{asks} from {from} arrives, and nobody answers inside {ours}: has the far end another address, or is it another line's? \
             compare `address` and `peer` of both ends"
        );
        let subject = format!("interface/{}", names::interface(&facts.config, id));
        Some(degraded(subject, "far_end_address", message))
    };
    attachments.filter_map(far_end).collect()
}

/// Somebody of this family has an address where we look for it: others may be on the way, too.
fn answers(seen: &InterfaceSnapshot, like: IpAddr) -> bool {
    let global = |ip: IpAddr| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    seen.neighbors.iter().any(|one| {
        one.ip.is_ipv4() == like.is_ipv4() && global(one.ip) && one.state == NeighborState::Reachable
    })
}

/// A peer that speaks of a CKN which is that of another channel of ours: its end of the line is in the wrong place.
pub(super) fn crossed(facts: &Facts, at: ChannelId, what: &Diagnosis) -> Option<String> {
    let Diagnosis::UnknownCkn { ckn, .. } = what else { return None };
    let has = |other: ChannelId| {
        let mka = facts.channel(other).and_then(|seen| seen.mka.as_ref());
        // Either end may fill it up with zeros.
        mka.is_some_and(|mka| mka.participants.iter().any(|one| one.ckn.padded() == ckn.padded()))
    };
    let mut others = facts.config.channels.iter().enumerate();
    let (_, other) = others.find(|(other, _)| ChannelId::at(*other) != at && has(ChannelId::at(*other)))?;
    let own = &facts.config.channels.get(at.index())?.name;
    Some(format!("it is the CKN of our channel {0}: are the cables of {own} and {0} crossed?", other.name))
}

#[cfg(test)]
mod tests {
    use dataplane::InterfaceId;

    use super::*;
    use crate::api::{testbed::facts, view::status};

    #[test]
    fn a_far_end_with_another_address_is_named_unless_somebody_answers() {
        let told = |facts: &Facts| {
            let all = status(facts).reasons.into_iter().filter(|one| one.reason == "far_end_address");
            all.map(|one| (one.subject, one.message)).collect::<Vec<_>>()
        };
        let mut facts = facts();
        assert_eq!(told(&facts), []);
        let of = facts.config.connections[0].attachments[0].addresses[0];
        let from: IpAddr = "192.0.2.77".parse().unwrap();
        let seen = (from, facts.now);
        for report in &mut facts.reports {
            let one = report.snapshot.interfaces.iter_mut().find(|one| one.interface == InterfaceId::at(0));
            let one = one.unwrap();
            one.neighbors.clear();
            one.off_link = Some(seen);
        }
        let all = told(&facts);
        let [(subject, message)] = &all[..] else { panic!("{all:?}") };
        assert!(subject.starts_with("interface/"), "{subject}");
        let words = format!("ARP from 192.0.2.77 arrives, and nobody answers inside {}", of.trunc());
        assert!(message.starts_with(&words), "{message}");
        // It is long ago; or somebody else is where we look for the far end.
        let (now, later) = (facts.now, facts.now.after(FRESH));
        facts.now = later;
        assert_eq!(told(&facts), []);
        facts.now = now;
        let answer = dataplane::neighbor::NeighborEntry {
            ip: of.addr(),
            mac: None,
            state: NeighborState::Reachable,
            age: Duration::ZERO,
        };
        facts.reports[0].snapshot.interfaces[0].neighbors.push(answer);
        assert_eq!(told(&facts), []);
    }
}
