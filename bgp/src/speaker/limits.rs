//! How many prefixes a peer may send, and what happens beyond that.

use super::{
    Event, LimitDirection, LimitLevel, Speaker,
    config::{InLimit, InLimitAction, calm_below, share},
};
use crate::{
    rib::PeerId,
    types::Family,
    wire::notification::{Cause, Cease, Notification},
};
use core::time::Duration;
use net::{Instant, IpNet};

impl Speaker {
    /// Whether the limit lets another prefix in. Prefixes that are there already may always change.
    pub(super) fn admit(&mut self, peer: PeerId, prefix: &IpNet, now: Instant) -> bool {
        let family = Family::of(prefix);
        let Some(neighbor) = self.neighbors.get_mut(&peer) else { return false };
        if neighbor.agreed.is_none() {
            return false; // an earlier prefix of this message has ended the session
        }
        let Some(limit) = neighbor.config.family(family).in_limit else { return true };
        let inbound = neighbor.inbound.of_mut(family);
        let (used, epoch) = (inbound.used().saturating_add(1), inbound.epoch);
        if used < share(limit.max, limit.warn_percent) {
            return true;
        }
        let known = self.rib.get(prefix).and_then(|destination| destination.of(peer));
        if known.is_some_and(|path| path.epoch == epoch || inbound.left_over == 0) {
            return true;
        }
        let exceeded = used > limit.max;
        self.report(peer, family, limit, used);
        let Some(inbound) = self.inbound(peer, family).filter(|_| exceeded) else { return true };
        match limit.action {
            InLimitAction::Warn => true,
            InLimitAction::Hold => {
                inbound.overflowed = true;
                false
            }
            InLimitAction::Shut(restart) => {
                self.shut(peer, family, limit.max, restart, now);
                false
            }
        }
    }

    /// The limit is another one: what was taken before counts as if it had come now. What is there stays, unless the
    /// session ends.
    pub(super) fn weigh_again(&mut self, peer: PeerId, family: Family, now: Instant) {
        let Some(neighbor) = self.neighbors.get(&peer).filter(|neighbor| neighbor.agreed.is_some()) else {
            return;
        };
        let used = neighbor.inbound.of(family).used();
        let limit = neighbor.config.family(family).in_limit;
        let Some(limit) = limit.filter(|limit| used >= share(limit.max, limit.warn_percent)) else { return };
        self.report(peer, family, limit, used);
        if let InLimitAction::Shut(restart) = limit.action
            && used > limit.max
        {
            self.shut(peer, family, limit.max, restart, now);
            self.drain(peer, now);
        }
    }

    /// Says, once, that the warning level is reached or the limit exceeded.
    fn report(&mut self, peer: PeerId, family: Family, limit: InLimit, used: u32) {
        let Some(inbound) = self.inbound(peer, family) else { return };
        let exceeded = used > limit.max;
        let reported = if exceeded { &mut inbound.exceeded } else { &mut inbound.warned };
        if !core::mem::replace(reported, true) {
            let level = if exceeded { LimitLevel::Exceeded } else { LimitLevel::Near };
            let direction = LimitDirection::In;
            self.events.push_back(Event::Limit { peer, family, direction, level, used, max: limit.max });
        }
    }

    /// RFC 4486 section 4: the data names the family and the limit.
    fn shut(&mut self, peer: PeerId, family: Family, max: u32, restart: Option<Duration>, now: Instant) {
        let code = family.code();
        let data = [&code.afi.to_be_bytes()[..], &[code.safi], &max.to_be_bytes()].concat();
        let note = Notification::with_data(Cause::Cease(Cease::MaxPrefixes), &data);
        if let Some(neighbor) = self.neighbors.get_mut(&peer) {
            // The rest of what was read is not looked at; the end of the session follows as an event.
            neighbor.drop_routes = true;
            neighbor.agreed = None;
            match restart {
                Some(delay) => neighbor.peer.hold(note, now.after(delay), now),
                None => neighbor.peer.stop(note, now),
            }
        }
    }

    /// There are fewer prefixes than before, or the limit is another one: what was reported may be over, and what was
    /// left out is asked for where there is room.
    pub(super) fn make_room(&mut self, peer: PeerId, family: Family) {
        let Some(neighbor) = self.neighbors.get_mut(&peer) else { return };
        let limit = neighbor.config.family(family).in_limit;
        let inbound = neighbor.inbound.of_mut(family);
        let used = inbound.used();
        inbound.warned &= limit.is_some_and(|limit| used >= calm_below(share(limit.max, limit.warn_percent)));
        inbound.exceeded &= limit.is_some_and(|limit| used >= calm_below(limit.max));
        let room = limit.is_none_or(|limit| used < limit.max || limit.action == InLimitAction::Warn);
        if inbound.overflowed && room && self.request_refresh(peer, family) {
            self.inbound(peer, family).into_iter().for_each(|inbound| inbound.overflowed = false);
        }
    }

    /// Whether the peer announced `prefix` on a session that was lost, and not again since.
    pub(super) fn is_left_over(&self, peer: PeerId, prefix: &IpNet) -> bool {
        let Some(neighbor) = self.neighbors.get(&peer) else { return false };
        let inbound = neighbor.inbound.of(Family::of(prefix));
        let path = || self.rib.get(prefix).and_then(|destination| destination.of(peer));
        inbound.left_over > 0 && path().is_some_and(|path| path.epoch != inbound.epoch)
    }
}
