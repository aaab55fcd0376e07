//! Events of the speakers as lines of the log: what an operator would tell a colleague, with names.

use bgp::{Event, LimitDirection, LimitLevel, PeerId, SessionEnd};
use tracing::{info, warn};

/// Tells an event of a speaker. `name` is how people call the neighbour, `lost` why nothing reaches it, if that is so.
pub(super) fn tell(event: &Event, name: impl Fn(PeerId) -> String, lost: Option<&str>) {
    match event {
        Event::Up { peer, agreed } => info!(
            event = "bgp.up",
            neighbor = name(*peer),
            asn = agreed.peer_asn.0,
            router_id = %agreed.peer_id,
            hold = agreed.hold_time.as_secs(),
            ipv4 = agreed.families.ipv4,
            ipv6 = agreed.families.ipv6,
        ),
        Event::Down { peer, end, was_up: true, routes_kept } => {
            warn!(event = "bgp.down", neighbor = name(*peer), why = why(end, lost), routes_kept);
        }
        Event::Down { peer, end, was_up: false, .. } => failed(&name(*peer), end),
        Event::Fault { peer, fault } => {
            warn!(event = "bgp.fault", neighbor = name(*peer), fault = %fault, "further ones of this kind are counted only");
        }
        Event::Limit { peer, family, direction, level, used, max } => {
            let direction = if *direction == LimitDirection::In { "in" } else { "out" };
            let level = if *level == LimitLevel::Near { "near" } else { "exceeded" };
            warn!(event = "bgp.limit", neighbor = name(*peer), family = %family, direction, level, used, max);
        }
        Event::StaleDropped { peer, family, routes } => {
            info!(event = "bgp.stale_dropped", neighbor = name(*peer), family = %family, routes);
        }
        Event::TooLarge { peer, prefix, routes } => {
            warn!(event = "bgp.too_large", neighbor = name(*peer), prefix = %prefix, routes);
        }
        Event::State { peer, from, to } => {
            tracing::debug!(event = "bgp.state", neighbor = name(*peer), from = ?from, to = ?to);
        }
        Event::EndOfRib { peer, family } => {
            tracing::debug!(event = "bgp.end_of_rib", neighbor = name(*peer), family = %family);
        }
        Event::SelectionDone => info!(event = "bgp.selection_done"),
    }
}

/// Why a session ended, in words.
pub(super) fn why(end: &SessionEnd, lost: Option<&str>) -> String {
    match (end, lost) {
        (SessionEnd::Closed, Some(lost)) => lost.to_owned(),
        _ => end.to_string(),
    }
}

/// An attempt that failed is news only when somebody said why.
fn failed(name: &str, end: &SessionEnd) {
    match end {
        SessionEnd::PeerFault(_) | SessionEnd::PeerSaid(_) => {
            warn!(event = "bgp.refused", neighbor = name, why = %end);
        }
        SessionEnd::HoldTimer
        | SessionEnd::SendHoldTimer
        | SessionEnd::Closed
        | SessionEnd::PathLost
        | SessionEnd::Collision
        | SessionEnd::Local(_) => tracing::debug!(event = "bgp.attempt", neighbor = name, why = %end),
    }
}
