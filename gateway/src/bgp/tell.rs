//! Events of the speakers as lines of the log: what an operator would tell a colleague, with names.

use bgp::{Event, LimitDirection, LimitLevel, PeerId, SessionEnd};
use tracing::{info, warn};

/// The neighbour, when the event is one of those that it can have as many of as it likes.
pub(super) const fn session_of(event: &Event) -> Option<PeerId> {
    match event {
        Event::Up { peer, .. }
        | Event::Down { peer, was_up: true, .. }
        | Event::Down { peer, end: SessionEnd::PeerFault(_) | SessionEnd::PeerSaid(_), .. } => Some(*peer),
        Event::Down { .. }
        | Event::State { .. }
        | Event::Fault { .. }
        | Event::Limit { .. }
        | Event::EndOfRib { .. }
        | Event::StaleDropped { .. }
        | Event::TooLarge { .. }
        | Event::SelectionDone => None,
    }
}

/// Tells an event of a speaker. `name` is how people call the neighbour, `lost` why nothing reaches it, if that is so; a line
/// about a session stands for so many `changes`.
pub(super) fn tell(event: &Event, name: impl Fn(PeerId) -> String, lost: Option<&str>, changes: u64) {
    match event {
        Event::Up { peer, agreed } => info!(
            event = "bgp.up",
            neighbor = name(*peer),
            asn = agreed.peer_asn.0,
            router_id = %agreed.peer_id,
            hold = agreed.hold_time.as_secs(),
            ipv4 = agreed.families.ipv4,
            ipv6 = agreed.families.ipv6,
            changes,
        ),
        Event::Down { peer, end, was_up: true, routes_kept } => {
            warn!(event = "bgp.down", neighbor = name(*peer), why = why(end, lost), routes_kept, changes);
        }
        Event::Down { peer, end, was_up: false, .. } => failed(&name(*peer), end, changes),
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
fn failed(name: &str, end: &SessionEnd, changes: u64) {
    match end {
        SessionEnd::PeerFault(_) | SessionEnd::PeerSaid(_) => {
            warn!(event = "bgp.refused", neighbor = name, why = %end, changes);
        }
        SessionEnd::HoldTimer
        | SessionEnd::SendHoldTimer
        | SessionEnd::Closed
        | SessionEnd::PathLost
        | SessionEnd::Collision
        | SessionEnd::Local(_) => tracing::debug!(event = "bgp.attempt", neighbor = name, why = %end),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use net::Instant;

    use super::*;
    use crate::talk::Talk;

    #[test]
    fn a_neighbour_that_flaps_is_counted_and_how_it_ends_is_told() {
        let end =
            |was_up| Event::Down { peer: PeerId(1), end: SessionEnd::Closed, was_up, routes_kept: false };
        let (mut talk, mut now, mut lines, mut told) = (Talk::default(), Instant::ZERO, 0, 0);
        assert!(session_of(&end(true)).is_some() && session_of(&end(false)).is_none());
        // Ten seconds, a hundred times a second.
        for _ in 0..1000 {
            now = now.after(Duration::from_millis(10));
            if let Some(changes) = talk.tell(&end(true), now) {
                (lines, told) = (lines + 1, told + changes);
            }
        }
        assert!((10..=21).contains(&lines), "{lines}");
        assert!(talk.rest(now).is_none(), "it goes on");
        let quiet = talk.due().unwrap();
        let (event, changes) = talk.rest(quiet).unwrap();
        assert_eq!((event, told + changes), (end(true), 1000));
        assert!(talk.rest(quiet).is_none() && talk.due().is_none());
    }
}
