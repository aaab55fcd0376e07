//! ROUTE-REFRESH, both ways (RFC 2918, RFC 7313).
//!
//! Nothing is queued here when a message comes: what has to be said is remembered, once for each family, and said when
//! the peer has taken everything that was said before. So a peer that asks without end, or does not read, costs
//! nothing but its own octets.

use super::{
    Speaker,
    neighbor::{Neighbor, Stale},
};
use crate::{
    rib::PeerId,
    types::Family,
    wire::{
        header::{self, MessageType},
        refresh::{RefreshKind, RouteRefresh},
    },
};
use net::Instant;

impl Speaker {
    /// Asks for all routes of a family again; false when the peer cannot do that.
    pub(super) fn request_refresh(&mut self, peer: PeerId, family: Family) -> bool {
        let Some(neighbor) = self.neighbors.get_mut(&peer) else { return false };
        let able = neighbor.agreed.as_ref().is_some_and(|agreed| agreed.refresh) && neighbor.carries(family);
        neighbor.outbound.of_mut(family).request_due |= able;
        able
    }

    pub(super) fn take_refresh(&mut self, peer: PeerId, refresh: RouteRefresh, now: Instant) {
        let Some(neighbor) = self.neighbors.get_mut(&peer) else { return };
        // RFC 2918 section 4: families that were not agreed on are ignored.
        let Some(family) = refresh.family.family().filter(|family| neighbor.carries(*family)) else { return };
        let Some(agreed) = &neighbor.agreed else { return };
        let (enhanced, restarts) = (agreed.enhanced_refresh, agreed.graceful_restart.is_some());
        let longest = neighbor.config.stale_time;
        let inbound = neighbor.inbound.of_mut(family);
        match refresh.kind {
            RefreshKind::Request => neighbor.outbound.of_mut(family).answer_due = true,
            // RFC 7313 section 4: a begin before the End-of-RIB that a graceful restart waits for is ignored, and so
            // is an end without a begin. Between both, what does not come again is stale.
            RefreshKind::Begin if enhanced && restarts && !inbound.end_of_rib => {}
            RefreshKind::Begin if enhanced && inbound.stale.is_none() => {
                inbound.epoch = inbound.epoch.wrapping_add(1);
                inbound.stale = Some(Stale::Refresh(now.after(longest)));
            }
            RefreshKind::End if matches!(inbound.stale, Some(Stale::Refresh(_))) => {
                self.sweep_stale(peer, family);
            }
            RefreshKind::Begin | RefreshKind::End | RefreshKind::Other(_) => {}
        }
    }
}

/// Says what is due: requests of ours, and the begin of an answer to one of the peer's. However many requests came
/// there is one answer, and one more behind it for those that came while it was under way.
pub(super) fn begin_refreshes(neighbor: &mut Neighbor, now: Instant) {
    for family in Family::ALL {
        let outbound = neighbor.outbound.of_mut(family);
        if core::mem::take(&mut outbound.request_due) {
            send_refresh(neighbor, family, RefreshKind::Request, now);
        }
        let outbound = neighbor.outbound.of_mut(family);
        // RFC 7313 section 4: not before the End-of-RIB. What was told until then is on its way for the first time.
        if outbound.answer_due && !outbound.answering && !outbound.end_of_rib_due {
            (outbound.answer_due, outbound.answering) = (false, true);
            answer(neighbor, family, now);
        }
    }
}

/// Everything of a family that the peer was told is told again.
fn answer(neighbor: &mut Neighbor, family: Family, now: Instant) {
    if neighbor.agreed.as_ref().is_some_and(|agreed| agreed.enhanced_refresh) {
        send_refresh(neighbor, family, RefreshKind::Begin, now);
    }
    let Neighbor { told, pending, .. } = neighbor;
    told.of(family).for_each(|(prefix, _)| {
        pending.insert(prefix, true);
    });
}

/// Everything of a family was told again.
pub(super) fn end_refresh(neighbor: &mut Neighbor, family: Family, now: Instant) {
    let answered = core::mem::take(&mut neighbor.outbound.of_mut(family).answering);
    if answered && neighbor.agreed.as_ref().is_some_and(|agreed| agreed.enhanced_refresh) {
        send_refresh(neighbor, family, RefreshKind::End, now);
    }
}

fn send_refresh(neighbor: &mut Neighbor, family: Family, kind: RefreshKind, now: Instant) {
    let body = RouteRefresh { family: family.code(), kind }.emit();
    let message = header::emit(MessageType::RouteRefresh, &body);
    neighbor.peer.send(MessageType::RouteRefresh, &message, now);
}
