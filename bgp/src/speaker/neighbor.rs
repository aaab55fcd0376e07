//! What the speaker keeps for each peer beside its sessions.

use super::{config::PeerConfig, last_words::LastWords};
use crate::{
    error::SessionEnd,
    negotiate::{Negotiated, SessionParams},
    peer::Peer,
    rib::PrefixMap,
    types::{Asn, Family, PerFamily},
    wire::{attributes::Attributes, fault::FaultKind},
};
use core::time::Duration;
use net::{Instant, IpNet};
use std::{collections::BTreeMap, sync::Arc};

/// Why there are stale paths: each waits for an end of its own, at the latest for this time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stale {
    /// The session was lost (RFC 4724): until the End-of-RIB.
    Restart(Instant),
    /// The peer tells everything again (RFC 7313): until it says that this was everything.
    Refresh(Instant),
}

impl Stale {
    pub(super) const fn until(self) -> Instant {
        match self {
            Self::Restart(until) | Self::Refresh(until) => until,
        }
    }
}

/// Routes of one family from the peer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Inbound {
    /// Prefixes in the table.
    pub(super) count: u32,
    /// Those among them that were announced on a session that was lost, and not again since: they go soon, and do
    /// not count for the limit.
    pub(super) left_over: u32,
    /// Paths of an earlier epoch are stale.
    pub(super) epoch: u8,
    /// What becomes of stale paths that nothing refreshes.
    pub(super) stale: Option<Stale>,
    /// All routes of this session have come.
    pub(super) end_of_rib: bool,
    /// The warning level was reported.
    pub(super) warned: bool,
    /// That there are more than the limit allows was reported.
    pub(super) exceeded: bool,
    /// Prefixes were left out because of the limit.
    pub(super) overflowed: bool,
}

/// Routes of one family to the peer.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    /// End-of-RIB is to be sent when nothing is pending.
    pub(super) end_of_rib_due: bool,
    /// We have to ask for its routes again.
    pub(super) request_due: bool,
    /// It has asked for ours again, and the answer has not begun.
    pub(super) answer_due: bool,
    /// The answer to an earlier request is under way; its end is said when nothing is pending.
    pub(super) answering: bool,
    /// The warning level was reported.
    pub(super) warned: bool,
    /// The limit was reported.
    pub(super) exceeded: bool,
}

/// Routes that are not announced because their attributes are too large: collected for a moment, then told once.
#[derive(Debug, Default)]
pub(super) struct Refused {
    news: Option<(IpNet, u64)>,
    /// When they are told; no news are told before.
    pub(super) due: Option<Instant>,
    quiet_until: Instant,
}

impl Refused {
    /// From the first one to the telling.
    const COLLECT: Duration = Duration::from_secs(1);
    /// Between two tellings.
    const QUIET: Duration = Duration::from_secs(60);

    pub(super) fn note(&mut self, prefix: IpNet, now: Instant) {
        let (_, routes) = self.news.get_or_insert((prefix, 0));
        *routes = routes.saturating_add(1);
        let due = now.after(Self::COLLECT).max(self.quiet_until);
        self.due.get_or_insert(due);
    }

    /// One of them, and how many there were since the last telling, when it is time to tell.
    pub(super) fn take(&mut self, now: Instant) -> Option<(IpNet, u64)> {
        self.due.take_if(|due| *due <= now)?;
        self.quiet_until = now.after(Self::QUIET);
        self.news.take()
    }
}

#[derive(Debug)]
pub(super) struct Neighbor {
    pub(super) config: Arc<PeerConfig>,
    pub(super) peer: Peer,
    pub(super) local_asn: Asn,
    /// The terms of the session that is up.
    pub(super) agreed: Option<Box<Negotiated>>,
    pub(super) inbound: PerFamily<Inbound>,
    pub(super) outbound: PerFamily<Outbound>,
    /// What the peer was told.
    pub(super) told: PrefixMap<Arc<Attributes>>,
    /// Prefixes to look at again for this peer; true to tell them again even if nothing changed.
    pub(super) pending: PrefixMap<bool>,
    /// Prefixes that the out-limit holds back.
    pub(super) held: PrefixMap<()>,
    /// Prefixes whose attributes are too large.
    pub(super) too_large: PrefixMap<()>,
    /// Those that an operator has not been told of.
    pub(super) refused: Refused,
    /// Traffic is being moved away.
    pub(super) draining: bool,
    /// The next end of session drops the routes whatever was agreed on.
    pub(super) drop_routes: bool,
    /// There was a session since this process started.
    pub(super) has_been_up: bool,
    /// After a restart of ours, its routes are waited for.
    pub(super) awaited: bool,
    pub(super) faults: BTreeMap<FaultKind, u64>,
    pub(super) last_end: Option<(Instant, SessionEnd)>,
    pub(super) last_words: LastWords,
    pub(super) sessions: u64,
}

impl Inbound {
    /// Prefixes that count for the limit.
    pub(super) const fn used(&self) -> u32 {
        self.count.saturating_sub(self.left_over)
    }

    /// Forgets what the limit has done: the session is over.
    pub(super) const fn forget_limit(&mut self) {
        (self.warned, self.exceeded, self.overflowed) = (false, false, false);
    }

    /// When stale paths go.
    pub(super) fn stale_until(&self) -> Option<Instant> {
        self.stale.map(Stale::until)
    }
}

impl Neighbor {
    /// It restarts gracefully: with its session, or since that ended.
    pub(super) fn may_restart(&self) -> bool {
        let kept = |family| matches!(self.inbound.of(family).stale, Some(Stale::Restart(_)));
        match &self.agreed {
            Some(agreed) => agreed.graceful_restart.is_some(),
            None => Family::ALL.into_iter().any(kept),
        }
    }

    pub(super) fn carries(&self, family: Family) -> bool {
        self.agreed.as_ref().is_some_and(|agreed| *agreed.families.of(family))
    }

    /// What its sessions are made with from now on, and the one that is up as far as it can.
    pub(super) fn set_params(&mut self, params: SessionParams) {
        self.peer.set_params(params);
        if let (Some(agreed), Some(now)) = (&mut self.agreed, self.peer.negotiated()) {
            agreed.keepalive = now.keepalive;
        }
    }

    /// Looks at `prefix` again before the next writing.
    pub(super) fn mark(&mut self, prefix: IpNet) {
        self.pending.upsert(prefix, |known| ((), known.is_none().then_some(false)));
    }

    /// Forgets what was told: the session is over.
    pub(super) fn forget_told(&mut self) {
        self.told = PrefixMap::default();
        self.pending = PrefixMap::default();
        self.held = PrefixMap::default();
        self.too_large = PrefixMap::default();
        self.outbound = PerFamily::default();
    }

    /// There is something to say apart from what is queued on the session.
    pub(super) fn has_news(&self) -> bool {
        let due = |out: &Outbound| out.end_of_rib_due || out.request_due || out.answer_due || out.answering;
        self.agreed.is_some()
            && (!self.pending.is_empty() || due(&self.outbound.ipv4) || due(&self.outbound.ipv6))
    }
}
