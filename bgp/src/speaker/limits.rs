//! How many prefixes a peer may send, and what happens beyond that.

use super::{
    Event, LimitDirection, LimitLevel, Speaker,
    config::{InLimitAction, calm_below, share},
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
        let reported = if exceeded { &mut inbound.exceeded } else { &mut inbound.warned };
        if !core::mem::replace(reported, true) {
            let level = if exceeded { LimitLevel::Exceeded } else { LimitLevel::Near };
            let direction = LimitDirection::In;
            self.events.push_back(Event::Limit { peer, family, direction, level, used, max: limit.max });
        }
        inbound.overflowed |= exceeded && limit.action == InLimitAction::Hold;
        match limit.action {
            _ if !exceeded => true,
            InLimitAction::Warn => true,
            InLimitAction::Hold => false,
            InLimitAction::Shut(restart) => {
                self.shut(peer, family, limit.max, restart, now);
                false
            }
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
