//! What the speaker shows: each peer in one value, each route with its whole story.

use super::{
    LastWords, Speaker,
    export::{ExportContext, NotSent},
    import::{ImportContext, Refusal, describe},
    inbound::peer_role,
    neighbor::Neighbor,
};
use crate::{
    decision::{self, Outcome},
    error::SessionEnd,
    fsm::State,
    negotiate::Negotiated,
    peer::Standing,
    policy::Ruling,
    rib::{Destination, Path, PeerId},
    session::MessageCounts,
    types::{Family, PerFamily},
    wire::{attributes::Attributes, fault::FaultKind},
};
use net::{Instant, IpNet};
use std::{collections::BTreeMap, sync::Arc};

/// Prefix counts of one family.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FamilyStatus {
    /// Prefixes received and kept, refused ones included.
    pub received: u32,
    /// Those among them that the policy accepted.
    pub accepted: u32,
    /// The limit for what is received.
    pub received_max: Option<u32>,
    /// Some were left out because of it.
    pub overflowed: bool,
    /// When stale ones among them go.
    pub stale_until: Option<Instant>,
    /// The peer has sent all its routes.
    pub end_of_rib: bool,
    /// Prefixes announced.
    pub announced: usize,
    /// The limit for them.
    pub announced_max: Option<u32>,
    /// Prefixes held back because of it.
    pub held_back: usize,
    /// Prefixes to look at before the peer knows everything.
    pub pending: usize,
}

/// A peer at a glance.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerStatus {
    /// Its number.
    pub id: PeerId,
    /// What people call it.
    pub name: String,
    /// Where its session stands.
    pub state: State,
    /// Whether it may have one.
    pub standing: Standing,
    /// Since when it is up.
    pub up_since: Option<Instant>,
    /// What was agreed on.
    pub agreed: Option<Negotiated>,
    /// Why and when the last session or attempt ended.
    pub last_end: Option<(Instant, SessionEnd)>,
    /// The last NOTIFICATIONs.
    pub last_words: LastWords,
    /// Sessions that came up so far.
    pub sessions: u64,
    /// Messages received.
    pub messages_in: MessageCounts,
    /// Messages sent.
    pub messages_out: MessageCounts,
    /// Faults in UPDATEs of this session, by kind.
    pub faults: BTreeMap<FaultKind, u64>,
    /// Prefixes.
    pub families: PerFamily<FamilyStatus>,
    /// Traffic is being moved away from it.
    pub draining: bool,
}

/// The story of one path to a prefix.
#[derive(Clone, Debug, PartialEq)]
pub struct PathStory {
    /// From whom it came.
    pub peer: PeerId,
    /// As it came.
    pub received: Arc<Attributes>,
    /// As it is used; `None` when it was refused.
    pub accepted: Option<Arc<Attributes>>,
    /// By which line it was accepted, or why it was refused.
    pub import: Result<Ruling, Refusal>,
    /// The same in words.
    pub import_text: String,
    /// What the decision made of it; `None` when it was refused.
    pub outcome: Option<Outcome>,
    /// When it came, in seconds since the start.
    pub since: u32,
    /// Its peer has not confirmed it since a restart or the begin of a refresh.
    pub stale: bool,
}

/// Whether and how a peer hears of a prefix.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportStory {
    /// Who.
    pub peer: PeerId,
    /// What it was told, last; `None` when nothing, or a withdrawal.
    pub told: Option<Arc<Attributes>>,
    /// By which line of the policy it is announced, or why it is not.
    pub export: Result<Ruling, NotSent>,
    /// The same in words.
    pub text: String,
}

/// Everything about one prefix.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Which.
    pub prefix: IpNet,
    /// All paths, those in use first.
    pub paths: Vec<PathStory>,
    /// All peers.
    pub exports: Vec<ExportStory>,
}

impl Speaker {
    /// A peer at a glance.
    pub fn status(&self, peer: PeerId) -> Option<PeerStatus> {
        let neighbor = self.neighbors.get(&peer)?;
        let (messages_in, messages_out) = neighbor.peer.counts();
        Some(PeerStatus {
            id: peer,
            name: neighbor.config.name.clone(),
            state: neighbor.peer.state(),
            standing: self.standing(peer)?,
            up_since: neighbor.peer.up_since(),
            agreed: neighbor.agreed.as_deref().cloned(),
            last_end: neighbor.last_end.clone(),
            last_words: neighbor.last_words.clone(),
            sessions: neighbor.sessions,
            messages_in,
            messages_out,
            faults: neighbor.faults.clone(),
            families: PerFamily {
                ipv4: self.family_status(peer, neighbor, Family::Ipv4),
                ipv6: self.family_status(peer, neighbor, Family::Ipv6),
            },
            draining: neighbor.draining,
        })
    }

    /// Why `prefix` is where it is: every path, accepted or refused by what, used or not because of what,
    /// and who hears of it.
    pub fn explain(&self, prefix: &IpNet) -> Explanation {
        let prefix = prefix.trunc();
        let destination = self.rib.get(&prefix);
        let paths =
            destination.map(|destination| self.path_stories(&prefix, destination)).unwrap_or_default();
        let best = destination.and_then(|destination| destination.best());
        let exports =
            self.neighbors.iter().map(|(id, one)| self.export_story(*id, one, &prefix, best)).collect();
        Explanation { prefix, paths, exports }
    }

    fn path_stories(&self, prefix: &IpNet, destination: &Destination) -> Vec<PathStory> {
        let candidates = destination.candidates(self.rib.facts());
        let outcomes = decision::decide(&candidates, self.rib.rules());
        let outcome_of = |peer: PeerId| {
            let pairs = candidates.iter().zip(&outcomes);
            pairs.clone().find(|(one, _)| one.peer == peer).map(|(_, outcome)| *outcome)
        };
        destination.paths().iter().map(|path| self.path_story(prefix, path, outcome_of(path.peer))).collect()
    }

    fn path_story(&self, prefix: &IpNet, path: &Path, outcome: Option<Outcome>) -> PathStory {
        let neighbor = self.neighbors.get(&path.peer);
        let import = neighbor.map_or(Ok(Ruling { line: None, accept: true }), |neighbor| {
            self.import_context(neighbor).check(prefix, &path.received)
        });
        let policy = neighbor.and_then(|neighbor| neighbor.config.import.as_ref());
        let import_text = match import {
            _ if path.peer == PeerId::LOCAL => "our own route".to_owned(),
            Ok(ruling) | Err(Refusal::Policy(ruling)) => describe(policy, ruling),
            Err(refusal) => refusal.to_string(),
        };
        let epoch = neighbor.map_or(path.epoch, |neighbor| neighbor.inbound.of(Family::of(prefix)).epoch);
        PathStory {
            peer: path.peer,
            received: Arc::clone(&path.received),
            accepted: path.accepted.clone(),
            import,
            import_text,
            outcome,
            since: path.since,
            stale: path.epoch != epoch,
        }
    }

    fn import_context<'a>(&self, neighbor: &'a Neighbor) -> ImportContext<'a> {
        ImportContext {
            config: &neighbor.config,
            local_asn: neighbor.local_asn,
            speaker_asn: self.config.asn,
            router_id: self.config.router_id,
            peer_role: peer_role(neighbor),
            draining: neighbor.draining,
        }
    }

    fn export_story(
        &self,
        peer: PeerId,
        neighbor: &Neighbor,
        prefix: &IpNet,
        best: Option<&Path>,
    ) -> ExportStory {
        let export = self.export_verdict(peer, neighbor, prefix, best);
        let text = match export {
            Ok(ruling) | Err(NotSent::Policy(ruling)) => describe(neighbor.config.export.as_ref(), ruling),
            Err(reason) => reason.to_string(),
        };
        ExportStory { peer, told: neighbor.told.get(prefix).cloned(), export, text }
    }

    fn export_verdict(
        &self,
        peer: PeerId,
        neighbor: &Neighbor,
        prefix: &IpNet,
        best: Option<&Path>,
    ) -> Result<Ruling, NotSent> {
        let agreed = neighbor.agreed.as_deref().ok_or(NotSent::NotUp)?;
        let path = best.ok_or(NotSent::NoRoute)?;
        let accepted = path.accepted.as_deref().ok_or(NotSent::NoRoute)?;
        let context = ExportContext {
            to: peer,
            config: &neighbor.config,
            agreed,
            local_asn: neighbor.local_asn,
            facts: self.rib.facts(),
            draining: neighbor.draining,
        };
        let ruling = context.check(prefix, path, accepted)?;
        context.make(Family::of(prefix), ruling, path, accepted)?;
        if neighbor.held.contains(prefix) {
            return Err(NotSent::OutLimit);
        }
        if neighbor.too_large.contains(prefix) {
            return Err(NotSent::TooLarge);
        }
        if neighbor.pending.contains(prefix) {
            return Err(NotSent::Waiting);
        }
        Ok(ruling)
    }

    fn family_status(&self, peer: PeerId, neighbor: &Neighbor, family: Family) -> FamilyStatus {
        let (inbound, config) = (neighbor.inbound.of(family), neighbor.config.family(family));
        FamilyStatus {
            received: inbound.count,
            accepted: self.rib.accepted(peer, family),
            received_max: config.in_limit.map(|limit| limit.max),
            overflowed: inbound.overflowed,
            stale_until: inbound.stale_until(),
            end_of_rib: inbound.end_of_rib,
            announced: neighbor.told.len(family),
            announced_max: config.out_limit.map(|limit| limit.max),
            held_back: neighbor.held.len(family),
            pending: neighbor.pending.len(family),
        }
    }
}
