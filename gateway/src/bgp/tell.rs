//! Events of the speakers as lines of the log: what an operator would tell a colleague, with names.

use bgp::{Event, LimitDirection, LimitLevel, PeerId, SessionEnd};
use net::{Instant, earliest};
use tracing::{info, warn};

use crate::talk::Talk;

/// What a neighbour may have as many of as it likes is limited, each kind by itself: its sessions that come and go, the
/// faults in what it sends, its prefixes at a limit, its routes that it did not bring back.
#[derive(Debug, Default)]
pub(super) struct Talks([Talk<Event>; 4]);

impl Talks {
    /// This happened. `Some` when it is to be logged: for how many of its kind the line stands.
    pub(super) fn tell(&mut self, event: &Event, now: Instant) -> Option<u64> {
        match kind_of(event).and_then(|kind| self.0.get_mut(kind)) {
            Some(talk) => talk.tell(event, now),
            None => Some(1),
        }
    }

    /// When [`rest`](Self::rest) has something.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.iter().map(Talk::due).fold(None, earliest)
    }

    /// What is to be logged now that nothing of its kind happened for a while, and for how many it stands.
    pub(super) fn rest(&mut self, now: Instant) -> impl Iterator<Item = (Event, u64)> {
        self.0.iter_mut().filter_map(move |talk| talk.rest(now))
    }
}

/// Events of which a neighbour can have as many as it likes, by kind.
const fn kind_of(event: &Event) -> Option<usize> {
    match event {
        Event::Up { .. }
        | Event::Down { was_up: true, .. }
        | Event::Down { end: SessionEnd::PeerFault(_) | SessionEnd::PeerSaid(_), .. } => Some(0),
        Event::Fault { .. } => Some(1),
        Event::Limit { .. } => Some(2),
        Event::StaleDropped { .. } => Some(3),
        Event::Down { .. }
        | Event::State { .. }
        | Event::EndOfRib { .. }
        | Event::TooLarge { .. }
        | Event::SelectionDone => None,
    }
}

/// Tells an event of a speaker. `name` is how people call the neighbour, `lost` why nothing reaches it, if that is so; a line
/// stands for so many `changes` of its kind.
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
            warn!(event = "bgp.fault", neighbor = name(*peer), fault = %fault, changes, "further ones of this kind are counted only");
        }
        Event::Limit { peer, family, direction, level, used, max } => {
            let direction = if *direction == LimitDirection::In { "in" } else { "out" };
            let level = if *level == LimitLevel::Near { "near" } else { "exceeded" };
            warn!(event = "bgp.limit", neighbor = name(*peer), family = %family, direction, level, used, max, changes);
        }
        Event::StaleDropped { peer, family, routes } => {
            info!(event = "bgp.stale_dropped", neighbor = name(*peer), family = %family, routes, changes);
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

    use bgp::{
        Family,
        wire::fault::{Fault, FaultKind},
    };

    use super::*;

    const PEER: PeerId = PeerId(1);

    fn down(was_up: bool) -> Event {
        Event::Down { peer: PEER, end: SessionEnd::Closed, was_up, routes_kept: false }
    }

    /// Ten seconds of an event, a hundred times a second: lines, and for how many they stand.
    fn storm(talks: &mut Talks, event: &Event, now: &mut Instant) -> (u64, u64) {
        let (mut lines, mut told) = (0, 0);
        for _ in 0..1000 {
            *now = now.after(Duration::from_millis(10));
            if let Some(changes) = talks.tell(event, *now) {
                (lines, told) = (lines + 1, told + changes);
            }
        }
        (lines, told)
    }

    #[test]
    fn what_a_neighbour_does_too_often_is_counted_and_how_it_ends_is_told() {
        let fault = Fault { kind: FaultKind::Origin, attribute: Some(1) };
        let limit = Event::Limit {
            peer: PEER,
            family: Family::Ipv4,
            direction: LimitDirection::In,
            level: LimitLevel::Near,
            used: 8,
            max: 10,
        };
        let stale = Event::StaleDropped { peer: PEER, family: Family::Ipv6, routes: 3 };
        for event in [down(true), Event::Fault { peer: PEER, fault }, limit, stale] {
            let (mut talks, mut now) = (Talks::default(), Instant::ZERO);
            let (lines, told) = storm(&mut talks, &event, &mut now);
            assert!((10..=21).contains(&lines), "{lines} of {event:?}");
            assert_eq!(talks.rest(now).count(), 0, "it goes on");
            // Another kind has lines of its own.
            let other = if event == down(true) { stale_of(1) } else { down(true) };
            assert_eq!(talks.tell(&other, now), Some(1));
            let quiet = talks.due().unwrap();
            let rest: Vec<_> = talks.rest(quiet).collect();
            let [(last, changes)] = &rest[..] else { panic!("{rest:?}") };
            assert_eq!((last, told + changes), (&event, 1000));
            assert!(talks.rest(quiet).next().is_none() && talks.due().is_none());
        }
        // An attempt that failed without a word is no news, and stands for nothing.
        assert!(kind_of(&down(false)).is_none());
    }

    fn stale_of(routes: usize) -> Event {
        Event::StaleDropped { peer: PEER, family: Family::Ipv4, routes }
    }
}
