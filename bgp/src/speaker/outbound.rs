//! From the tables to the peer: prefixes to look at become as few UPDATEs as they need.
//!
//! Prefixes are taken in order, some thousand at a time; those with equal attributes share messages, in
//! the order in which their attributes were first met. Withdrawals go first. When nothing is left to look
//! at, End-of-RIB and the end of a refresh follow.

use super::{
    Event, LimitDirection, LimitLevel, NotSent, Speaker,
    config::{calm_below, share},
    export::ExportContext,
    neighbor::Neighbor,
    refresh::{begin_refreshes, end_refresh},
};
use crate::{
    policy::Ruling,
    rib::{Path, PeerId, Rib},
    types::{Family, PerFamily},
    wire::{
        attributes::Attributes,
        emit::{self, EmitContext},
        header::MessageType,
    },
};
use net::{Instant, IpNet};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Prefixes looked at for one call of [`Speaker::poll_transmit`].
const BATCH: usize = 4096;

/// Prefixes that share attributes, and so messages.
struct Bundle {
    family: Family,
    attributes: Arc<Attributes>,
    prefixes: Vec<IpNet>,
}

/// What goes out in one batch.
#[derive(Default)]
struct Batch {
    withdrawn: PerFamily<Vec<IpNet>>,
    bundles: Vec<Bundle>,
    /// Where the bundle of an attribute value is; values are interned, so their place names them.
    places: HashMap<(*const Attributes, Family), usize>,
}

impl Batch {
    fn announce(&mut self, prefix: IpNet, attributes: Arc<Attributes>) {
        let family = Family::of(&prefix);
        let next = self.bundles.len();
        let place = *self.places.entry((Arc::as_ptr(&attributes), family)).or_insert(next);
        match self.bundles.get_mut(place) {
            Some(bundle) => bundle.prefixes.push(prefix),
            None => self.bundles.push(Bundle { family, attributes, prefixes: vec![prefix] }),
        }
    }
}

/// Forms already made, by the accepted route, the line of the policy, and what else matters.
type Made = HashMap<(*const Attributes, PeerId, Ruling, Family), Result<Arc<Attributes>, NotSent>>;

impl Speaker {
    /// Queues the next UPDATEs on the session of `peer`.
    pub(super) fn tell(&mut self, peer: PeerId, now: Instant) {
        let Some(neighbor) = self.neighbors.get_mut(&peer) else { return };
        let Some(agreed) = neighbor.agreed.clone() else { return };
        begin_refreshes(neighbor, now);
        let config = Arc::clone(&neighbor.config);
        let facts = self.rib.facts().to_vec();
        let (mut batch, mut made) = (Batch::default(), Made::new());
        for _ in 0..BATCH {
            let Some((prefix, again)) = neighbor.pending.pop_first() else { break };
            let (local_asn, draining) = (neighbor.local_asn, neighbor.draining);
            let context = ExportContext {
                to: peer,
                config: &config,
                agreed: &agreed,
                local_asn,
                facts: &facts,
                draining,
            };
            let form = form(&mut self.rib, &context, &prefix, &mut made);
            decide(peer, neighbor, prefix, form, again, &mut batch, &mut self.events);
        }
        emit_batch(neighbor, batch, agreed.emit_context(), now);
        release_held(neighbor);
        finish(neighbor, now);
    }
}

/// The form in which `prefix` is to be announced, or why not.
fn form(
    rib: &mut Rib,
    context: &ExportContext<'_>,
    prefix: &IpNet,
    made: &mut Made,
) -> Result<Arc<Attributes>, NotSent> {
    let best: Option<Path> = rib.get(prefix).and_then(|destination| destination.best()).cloned();
    let (path, accepted) = best
        .and_then(|path| path.accepted.clone().map(|accepted| (path, accepted)))
        .ok_or(NotSent::NoRoute)?;
    let ruling = context.check(prefix, &path, &accepted)?;
    let family = Family::of(prefix);
    let key = (Arc::as_ptr(&accepted), path.peer, ruling, family);
    if let Some(known) = made.get(&key) {
        return known.clone();
    }
    let fresh = context.make(family, ruling, &path, &accepted).map(|attributes| rib.intern(attributes));
    made.insert(key, fresh.clone());
    fresh
}

fn decide(
    peer: PeerId,
    neighbor: &mut Neighbor,
    prefix: IpNet,
    form: Result<Arc<Attributes>, NotSent>,
    again: bool,
    batch: &mut Batch,
    events: &mut VecDeque<Event>,
) {
    let family = Family::of(&prefix);
    neighbor.too_large.remove(&prefix);
    let Ok(attributes) = form else {
        neighbor.held.remove(&prefix);
        if neighbor.told.remove(&prefix).is_some() {
            batch.withdrawn.of_mut(family).push(prefix);
        }
        return;
    };
    if is_excess(neighbor, &prefix) {
        neighbor.told.remove(&prefix);
        batch.withdrawn.of_mut(family).push(prefix);
        has_room(peer, neighbor, family, events);
        return;
    }
    let told = neighbor.told.get(&prefix);
    if !again && told.is_some_and(|told| Arc::ptr_eq(told, &attributes)) {
        neighbor.held.remove(&prefix);
        return;
    }
    if told.is_none() && !has_room(peer, neighbor, family, events) {
        neighbor.held.insert(prefix, ());
        return;
    }
    neighbor.held.remove(&prefix);
    neighbor.told.insert(prefix, Arc::clone(&attributes));
    batch.announce(prefix, attributes);
}

/// Whether another prefix may be announced; reports when the limit comes near or is reached.
fn has_room(peer: PeerId, neighbor: &mut Neighbor, family: Family, events: &mut VecDeque<Event>) -> bool {
    let Some(limit) = neighbor.config.family(family).out_limit else { return true };
    let used = u32::try_from(neighbor.told.len(family)).unwrap_or(u32::MAX).saturating_add(1);
    let outbound = neighbor.outbound.of_mut(family);
    let exceeded = used > limit.max;
    let near = used >= share(limit.max, limit.warn_percent);
    let level = match (exceeded, near) {
        (true, _) if !core::mem::replace(&mut outbound.exceeded, true) => LimitLevel::Exceeded,
        (false, true) if !core::mem::replace(&mut outbound.warned, true) => LimitLevel::Near,
        _ => return !exceeded,
    };
    let direction = LimitDirection::Out;
    events.push_back(Event::Limit { peer, family, direction, level, used, max: limit.max });
    !exceeded
}

fn emit_batch(neighbor: &mut Neighbor, batch: Batch, context: EmitContext, now: Instant) {
    for (family, prefixes) in batch.withdrawn.iter() {
        send_all(neighbor, &emit::withdraw(family, prefixes, context), now);
    }
    for bundle in batch.bundles {
        match emit::announce(bundle.family, &bundle.attributes, &bundle.prefixes, context) {
            Ok(messages) => send_all(neighbor, &messages, now),
            Err(emit::TooLarge) => {
                // The peer may know an earlier, smaller form of the route: that one is over.
                send_all(neighbor, &emit::withdraw(bundle.family, &bundle.prefixes, context), now);
                for prefix in bundle.prefixes {
                    neighbor.told.remove(&prefix);
                    neighbor.too_large.insert(prefix, ());
                    neighbor.refused.note(prefix, now);
                }
            }
        }
    }
}

/// The limit may be another one: marks what was announced beyond it to be taken back. Prefixes go from the end of the
/// order, so that a default route stays.
pub(super) fn hold_excess(neighbor: &mut Neighbor, family: Family) {
    let outbound = neighbor.outbound.of_mut(family);
    (outbound.warned, outbound.exceeded) = (false, false);
    let Some(limit) = neighbor.config.family(family).out_limit else { return };
    let Neighbor { told, held, .. } = neighbor;
    for (prefix, _) in told.of(family).skip(usize::try_from(limit.max).unwrap_or(usize::MAX)) {
        held.insert(prefix, ());
    }
}

/// Announced, held, and still too much.
fn is_excess(neighbor: &Neighbor, prefix: &IpNet) -> bool {
    let family = Family::of(prefix);
    let limit = neighbor.config.family(family).out_limit;
    let max = limit.map_or(usize::MAX, |limit| usize::try_from(limit.max).unwrap_or(usize::MAX));
    neighbor.told.len(family) > max && neighbor.held.contains(prefix) && neighbor.told.contains(prefix)
}

fn send_all(neighbor: &mut Neighbor, messages: &[Vec<u8>], now: Instant) {
    messages.iter().for_each(|message| neighbor.peer.send(MessageType::Update, message, now));
}

/// Withdrawals have made room below the limit: look again at as many as fit.
fn release_held(neighbor: &mut Neighbor) {
    for family in Family::ALL {
        let Some(limit) = neighbor.config.family(family).out_limit else { continue };
        let used = neighbor.told.len(family);
        let max = usize::try_from(limit.max).unwrap_or(usize::MAX);
        let room = max.saturating_sub(used);
        let freed: Vec<_> = neighbor.held.of(family).take(room).map(|(prefix, ())| prefix).collect();
        let outbound = neighbor.outbound.of_mut(family);
        let used = u32::try_from(used).unwrap_or(u32::MAX);
        outbound.exceeded &= neighbor.held.len(family) > freed.len() || used >= calm_below(limit.max);
        outbound.warned &= used >= calm_below(share(limit.max, limit.warn_percent));
        for prefix in freed {
            neighbor.held.remove(&prefix);
            neighbor.mark(prefix);
        }
    }
}

fn finish(neighbor: &mut Neighbor, now: Instant) {
    for family in Family::ALL {
        if neighbor.pending.len(family) > 0 {
            continue;
        }
        if core::mem::take(&mut neighbor.outbound.of_mut(family).end_of_rib_due) {
            neighbor.peer.send(MessageType::Update, &emit::end_of_rib(family), now);
        }
        end_refresh(neighbor, family, now);
    }
}
