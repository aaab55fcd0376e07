//! LAGs: the members, and what both ends say of each.

use super::{
    links::state,
    look::Look,
    table::{number, table, text},
    units::{ago, count},
};
use crate::api::model::{ChannelState, Lag, LagMember, LagPort};

/// All LAGs, a row for each member.
pub fn lags(look: &Look, lags: &[Lag]) -> String {
    let columns = [
        text("LAG"),
        text("CHANNEL"),
        text("STATE"),
        text("SINCE").rank(2),
        text("ACTOR"),
        text("PARTNER"),
        text("PARTNER SYSTEM").rank(1),
        number("KEY").rank(3),
        number("PORT").rank(3),
        number("PDUS RX").rank(4),
        number("PDUS TX").rank(4),
        text("HEARD").rank(5),
    ];
    let rows: Vec<_> =
        lags.iter().flat_map(|lag| lag.members.iter().map(|member| row(look, lag, member))).collect();
    let table = table(look, &columns, &rows, "no LAGs are configured: add [[lag]]");
    let notes: String = lags.iter().map(|lag| note(look, lag)).collect();
    let gap = if notes.is_empty() { "" } else { "\n" };
    table + gap + &look.paint(&notes)
}

fn row(look: &Look, lag: &Lag, member: &LagMember) -> Vec<String> {
    let pdus = |name: &str| count(member.counters.get(name).copied().unwrap_or(0));
    let partner = member.partner.as_ref();
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        lag.name.clone(),
        member.channel.clone(),
        how(member),
        ago(Some(member.since), look.now),
        bits(&member.actor),
        or_none(partner.map(bits)),
        or_none(partner.map(|port| port.system.clone())),
        or_none(partner.map(|port| port.key.to_string())),
        or_none(partner.map(|port| port.port.to_string())),
        pdus("lacpdus_rx"),
        pdus("lacpdus_tx"),
        or_none(member.heard.map(|heard| ago(Some(heard), look.now))),
    ]
}

/// What a member does, and what keeps it from more.
fn how(member: &LagMember) -> String {
    let why = match (member.enabled, member.selected.as_str()) {
        (false, _) => Some("no link or key"),
        (true, "selected") if member.receive == "expired" => Some("partner silent"),
        (true, "selected") => None,
        (true, kept) => Some(kept),
    };
    match why {
        Some(why) if !member.distributing => format!("{} {}", member.mux, why.replace('_', " ")),
        _ => member.mux.clone(),
    }
}

fn bits(port: &LagPort) -> String {
    if port.state.is_empty() { "-".to_owned() } else { port.state.join(" ") }
}

/// The LAG as a whole, and what somebody should look at.
fn note(look: &Look, lag: &Lag) -> String {
    let carried = format!("{} of {} members carry frames", lag.distributing, lag.members.len());
    let least = if lag.min_links > 1 { format!(", {} must", lag.min_links) } else { String::new() };
    let mut lines = vec![format!(
        "{} {} {}: {carried}{least}; {} {}, system {}, key {}",
        lag.name,
        state(lag.state, lag.reason.as_deref()),
        ago(lag.since, look.now),
        lag.mode,
        lag.timers,
        lag.system,
        lag.key
    )];
    for member in &lag.members {
        let churns = match (member.actor_churn, member.partner_churn) {
            (false, false) => None,
            (true, false) => Some("our end"),
            (false, true) => Some("the partner's end"),
            (true, true) => Some("neither end"),
        };
        if let Some(who) = churns {
            let verb = if who.starts_with("neither") { "is" } else { "is not" };
            lines.push(format!("! {}: {who} {verb} in step for a minute or more (churn)", member.channel));
        }
        let bad: u64 =
            ["illegal_rx", "unknown_rx"].iter().filter_map(|name| member.counters.get(*name)).sum();
        if bad > 0 {
            lines.push(format!("! {}: {} PDUs were refused", member.channel, count(bad)));
        }
    }
    if lag.state == ChannelState::Unknown {
        lines.push(format!("! {}: its worker did not answer", lag.name));
    }
    lines.join("\n") + "\n"
}
