//! From chosen to announced: who may hear of a route, in what form, and why somebody did not.

use super::config::PeerConfig;
use crate::{
    decision::PeerFacts,
    negotiate::Negotiated,
    policy::{Ruling, Source},
    rib::{Path, PeerId},
    types::{Asn, Family},
    wire::{
        attributes::{Attributes, DEFAULT_LOCAL_PREF, NextHop},
        capability::Role,
        community::Community,
    },
};
use core::fmt;
use net::IpNet;

/// Why a route is not announced to a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotSent {
    /// There is no session.
    NotUp,
    /// The session does not carry this family.
    FamilyNotAgreed,
    /// There is no route in use.
    NoRoute,
    /// The route came from this peer.
    LearnedFromIt,
    /// Both the route and the peer are internal (RFC 4271 clause 9.2).
    InternalToInternal,
    /// A well-known community forbids it (RFC 1997).
    Community(Community),
    /// The peer is external and has no export policy (RFC 8212).
    NoPolicy,
    /// The export policy said no.
    Policy(Ruling),
    /// The route came down once and must not go up or across (RFC 9234 section 5).
    RouteLeak,
    /// We have no address to announce as next hop for this family.
    NoNextHop,
    /// The limit for this peer is reached: one more, and it might end the session.
    OutLimit,
    /// The attributes do not fit into a message.
    TooLarge,
    /// It is on its way: not written yet, or our routes are not complete yet after a restart.
    Waiting,
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUp => f.write_str("no session"),
            Self::FamilyNotAgreed => f.write_str("family not agreed on"),
            Self::NoRoute => f.write_str("no usable route"),
            Self::LearnedFromIt => f.write_str("the best route came from this peer"),
            Self::InternalToInternal => f.write_str("internal routes are not passed to internal peers"),
            Self::Community(community) => write!(f, "community {community}"),
            Self::NoPolicy => f.write_str("no export policy for this external peer (RFC 8212)"),
            Self::Policy(_) => f.write_str("refused by export policy"),
            Self::RouteLeak => f.write_str("would be a route leak (RFC 9234)"),
            Self::NoNextHop => f.write_str("no address of ours to announce as next hop"),
            Self::OutLimit => f.write_str("held back, the prefix limit for this peer is reached"),
            Self::TooLarge => f.write_str("attributes too large for one message"),
            Self::Waiting => f.write_str("not written yet"),
        }
    }
}

/// RFC 2545 section 2: a link-local address means nothing to somebody on another link.
const fn beyond_the_link(hop: NextHop) -> Option<NextHop> {
    match hop {
        NextHop::V4(_) => Some(hop),
        NextHop::V6 { global, .. } if global.is_unicast_link_local() => None,
        NextHop::V6 { global, .. } => Some(NextHop::V6 { global, link_local: None }),
    }
}

/// What export needs to know of the session a route goes out on.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExportContext<'a> {
    pub(super) to: PeerId,
    pub(super) config: &'a PeerConfig,
    pub(super) agreed: &'a Negotiated,
    pub(super) local_asn: Asn,
    pub(super) facts: &'a [PeerFacts],
    /// Traffic is being moved away from this peer.
    pub(super) draining: bool,
}

impl ExportContext<'_> {
    fn is_internal(&self) -> bool {
        self.local_asn == self.config.asn
    }

    fn source(&self, path: &Path) -> Source {
        match self.facts.get(path.peer.index()) {
            _ if path.peer == PeerId::LOCAL => Source::Local,
            Some(facts) if facts.internal => Source::Internal,
            _ => Source::External,
        }
    }

    /// Whether the peer may hear of `path`, with `attributes` as accepted, and by which line of the policy.
    pub(super) fn check(
        &self,
        prefix: &IpNet,
        path: &Path,
        attributes: &Attributes,
    ) -> Result<Ruling, NotSent> {
        if !*self.agreed.families.of(Family::of(prefix)) {
            return Err(NotSent::FamilyNotAgreed);
        }
        if path.peer == self.to {
            return Err(NotSent::LearnedFromIt);
        }
        let source = self.source(path);
        if source == Source::Internal && self.is_internal() {
            return Err(NotSent::InternalToInternal);
        }
        self.check_communities(attributes)?;
        // RFC 9234 section 5, egress 2.
        if attributes.rare().otc.is_some()
            && matches!(self.agreed.peer_role, Some(Role::Provider | Role::Peer | Role::RouteServer))
        {
            return Err(NotSent::RouteLeak);
        }
        match &self.config.export {
            None if self.is_internal() => Ok(Ruling { line: None, accept: true }),
            None => Err(NotSent::NoPolicy),
            Some(policy) => match policy.rule(prefix, attributes, source) {
                ruling if ruling.accept => Ok(ruling),
                ruling => Err(NotSent::Policy(ruling)),
            },
        }
    }

    fn check_communities(&self, attributes: &Attributes) -> Result<(), NotSent> {
        let stays = |community: &Community| match *community {
            Community::NO_ADVERTISE => true,
            Community::NO_EXPORT | Community::NO_EXPORT_SUBCONFED => !self.is_internal(),
            _ => false,
        };
        let found = attributes.communities.iter().copied().find(stays);
        found.map_or(Ok(()), |community| Err(NotSent::Community(community)))
    }

    /// The route as the peer hears it.
    pub(super) fn make(
        &self,
        family: Family,
        ruling: Ruling,
        path: &Path,
        attributes: &Attributes,
    ) -> Result<Attributes, NotSent> {
        let mut out = attributes.clone();
        let source = self.source(path);
        out.next_hop = self.next_hop(family, source, attributes)?;
        if self.is_internal() {
            out.local_pref = Some(attributes.local_pref.unwrap_or(DEFAULT_LOCAL_PREF));
        } else {
            self.cross_the_border(source, &mut out);
        }
        if let Some(policy) = &self.config.export {
            policy.apply(ruling, &mut out, self.local_asn);
        }
        if !self.is_internal() {
            // Policy may set a preference only inside the AS (RFC 4271 clause 5.1.5).
            out.local_pref = None;
        }
        if self.draining {
            self.config.drain.apply(&mut out, self.local_asn);
            out.add_community(Community::GRACEFUL_SHUTDOWN);
        }
        Ok(out)
    }

    fn next_hop(&self, family: Family, source: Source, attributes: &Attributes) -> Result<NextHop, NotSent> {
        let ours = self.config.family(family).next_hop;
        let unchanged = self.is_internal() && source != Source::Local && !self.config.next_hop_self;
        let hop = if unchanged { beyond_the_link(attributes.next_hop) } else { ours };
        let hop = hop.filter(NextHop::is_plausible).ok_or(NotSent::NoNextHop)?;
        let fits = match (family, hop) {
            (Family::Ipv4, NextHop::V4(_)) | (Family::Ipv6, NextHop::V6 { .. }) => true,
            (Family::Ipv4, NextHop::V6 { .. }) => self.agreed.ipv4_over_ipv6,
            (Family::Ipv6, NextHop::V4(_)) => false,
        };
        if fits { Ok(hop) } else { Err(NotSent::NoNextHop) }
    }

    /// What changes when a route leaves the AS.
    fn cross_the_border(&self, source: Source, out: &mut Attributes) {
        if source != Source::Local {
            // RFC 4271 clause 5.1.4: a MED goes no further than to the AS it was meant for.
            out.med = None;
        }
        if self.config.remove_private_as {
            out.as_path = out.as_path.retain(|asn| !asn.is_private());
        }
        if self.config.replace_as {
            let (theirs, ours) = (self.config.asn, self.local_asn);
            out.as_path = out.as_path.map(|asn| if asn == theirs { ours } else { asn });
        }
        out.as_path = out.as_path.prepend(self.local_asn, 1);
        out.local_pref = None;
        let down =
            matches!(self.agreed.peer_role, Some(Role::Customer | Role::Peer | Role::RouteServerClient));
        out.change_rare(|rare| {
            rare.originator = None;
            rare.clusters = Box::default();
            // RFC 4360 section 6.
            if rare.extended.iter().any(|community| !community.is_transitive()) {
                rare.extended = rare.extended.iter().filter(|one| one.is_transitive()).copied().collect();
            }
            if down && rare.otc.is_none() {
                // RFC 9234 section 5, egress 1.
                rare.otc = Some(self.local_asn);
            }
        });
    }
}
