//! LAGs.

use config::model as words;
use dataplane::{
    LagId, LagSnapshot,
    lacp::{ChurnState, MemberCounters, MemberStatus, PortInfo, PortState},
};

use super::{channel::state, named, word};
use crate::api::{
    model::{Counts, Lag, LagMember, LagPort},
    source::Facts,
};

/// All LAGs.
pub(crate) fn lags(facts: &Facts) -> Vec<Lag> {
    facts.config.lags.iter().enumerate().map(|(at, lag)| one(facts, LagId::at(at), lag)).collect()
}

fn one(facts: &Facts, id: LagId, lag: &words::Lag) -> Lag {
    let mut seen = facts.reports.iter().flat_map(|report| &report.snapshot.lags);
    let seen: Option<&LagSnapshot> = seen.find(|seen| seen.lag == id);
    let (state, reason) = state(seen.map(|seen| seen.faults));
    let members = seen.map_or(&[][..], |seen| &seen.members);
    let partner = partner(members);
    let setup = facts.setup.lags.get(id.index());
    let names = lag.members.iter().map(words::Ref::name);
    Lag {
        name: lag.name.clone(),
        state,
        reason,
        since: seen.map(|seen| facts.wall_of(seen.since)),
        distributing: members.iter().filter(|member| member.distributes).count(),
        min_links: lag.min_links,
        mode: word(&lag.mode),
        timers: word(&lag.timers),
        system: setup.map(|setup| system(setup.lacp.system_priority, setup.lacp.system)).unwrap_or_default(),
        key: lag.key,
        partner: partner.map(|info| system(info.system_priority, info.system)),
        partner_key: partner.map(|info| info.key),
        members: names.zip(members).map(|(name, member)| of_member(facts, name, member)).collect(),
    }
}

/// Who the LAG leads to: the partner of those that carry frames, or of any that hears one.
fn partner(members: &[MemberStatus]) -> Option<&PortInfo> {
    let heard = || members.iter().filter(|member| hears(member));
    let carries = heard().find(|member| member.distributes);
    carries.or_else(|| heard().next()).map(|member| &member.partner)
}

const fn hears(member: &MemberStatus) -> bool {
    !member.actor.state.has(PortState::DEFAULTED)
}

fn of_member(facts: &Facts, channel: &str, seen: &MemberStatus) -> LagMember {
    LagMember {
        channel: channel.to_owned(),
        enabled: seen.enabled,
        collecting: seen.collects,
        distributing: seen.distributes,
        selected: seen.selected.label().to_owned(),
        mux: seen.mux.label().to_owned(),
        since: facts.wall_of(seen.since),
        receive: seen.receive.label().to_owned(),
        periodic: seen.periodic.label().to_owned(),
        actor: port(&seen.actor),
        partner: hears(seen).then(|| port(&seen.partner)),
        heard: seen.heard.map(|heard| facts.wall_of(heard)),
        actor_churn: seen.actor_churn == ChurnState::Churn,
        partner_churn: seen.partner_churn == ChurnState::Churn,
        counters: counters(&seen.counters),
    }
}

fn port(info: &PortInfo) -> LagPort {
    LagPort {
        system: system(info.system_priority, info.system),
        key: info.key,
        port: info.port,
        port_priority: info.port_priority,
        state: info.state.names().map(str::to_owned).collect(),
    }
}

fn system(priority: u16, mac: net::MacAddr) -> String {
    format!("{priority}-{mac}")
}

fn counters(seen: &MemberCounters) -> Counts {
    named([
        ("lacpdus_rx", seen.lacpdus_rx),
        ("lacpdus_tx", seen.lacpdus_tx),
        ("markers_rx", seen.markers_rx),
        ("marker_responses_rx", seen.responses_rx),
        ("marker_responses_tx", seen.responses_tx),
        ("unknown_rx", seen.unknown_rx),
        ("illegal_rx", seen.illegal_rx),
        ("actor_sync_transitions", seen.actor_syncs),
        ("partner_sync_transitions", seen.partner_syncs),
        ("actor_churns", seen.actor_churns),
        ("partner_churns", seen.partner_churns),
    ])
}
