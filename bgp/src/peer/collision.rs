//! Which of two connections to the same neighbour lives (RFC 4271 clause 6.8).

use super::{Direction, Link, Peer, PeerEvent};
use crate::{error::SessionEnd, fsm::State, negotiate::Negotiated, types::RouterId};
use core::time::Duration;
use net::Instant;

impl Peer {
    /// RFC 4271 clause 6.8: an OPEN has come on link `at`.
    pub(super) fn collide(&mut self, at: usize, peer_id: RouterId, now: Instant) {
        let connected = |(other, link): &(usize, &Link)| *other != at && link.session.state().is_connected();
        let Some((rival, link)) = self.links.iter().enumerate().find(connected) else { return };
        let settled = self.up_since.is_some_and(|since| now.since(since) >= SETTLED);
        if link.session.state() == State::Established && settled {
            if self.peer_can_restart() {
                // RFC 4724 section 5: handled as a failure of TCP, so that the routes stay.
                return self.drop_link(rival, SessionEnd::Closed, now);
            }
            return self.dump(at, now);
        }
        let loser = if self.is_winner(at, peer_id) { rival } else { at };
        self.dump(loser, now);
    }

    /// The connection made by the side with the larger identifier stays; RFC 6286 section 2.3: with equal
    /// identifiers, by the side with the larger AS number.
    fn is_winner(&self, at: usize, peer_id: RouterId) -> bool {
        let ours = (self.params.router_id, self.params.local_asn) > (peer_id, self.params.peer_asn);
        let wanted = if ours { Direction::Outgoing } else { Direction::Incoming };
        self.links.get(at).is_some_and(|link| link.direction == wanted)
    }

    fn dump(&mut self, at: usize, now: Instant) {
        self.links.iter_mut().skip(at).take(1).for_each(|link| link.session.dump(now));
    }

    fn peer_can_restart(&self) -> bool {
        self.negotiated().is_some_and(|agreed| agreed.graceful_restart.is_some())
    }

    pub(super) fn come_up(&mut self, at: usize, agreed: Box<Negotiated>, now: Instant) {
        for other in (0..self.links.len()).filter(|other| *other != at) {
            let talks = self.links.get(other).is_some_and(|link| link.session.state().is_connected());
            // A connection that the peer will prefer, once it has our OPEN, must not be closed from here.
            if !(talks && self.is_winner(other, agreed.peer_id)) {
                self.dump(other, now);
                // Its end comes before our beginning: it may have been the session until now.
                self.settle_link(other, now);
            }
        }
        self.up_since = Some(now);
        self.events.push_back(PeerEvent::Up(agreed));
    }
}

/// A session younger than this may be one half of a simultaneous open.
const SETTLED: Duration = Duration::from_secs(5);
