//! From received to accepted: the checks every route passes, and why one did not.

use super::config::PeerConfig;
use crate::{
    policy::{Policy, Ruling, Source},
    types::{Asn, RouterId},
    wire::{attributes::Attributes, capability::Role, community::Community},
};
use core::fmt;
use net::IpNet;

/// Why a received route is not used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The peer is external and has no import policy (RFC 8212).
    NoPolicy,
    /// The import policy said no.
    Policy(Ruling),
    /// Our own AS is in the path, more often than allowed (RFC 4271 clause 9.1.2).
    OwnAs(Asn),
    /// We originated or reflected it ourselves (RFC 4456 section 8).
    Reflected,
    /// The next hop is one of our own addresses (RFC 4271 clause 6.3).
    NextHopIsOurs,
    /// The next hop is not on a network shared with the peer (RFC 4271 clause 6.3).
    NextHopNotConnected,
    /// The prefix cannot be routed: loopback, multicast, class E.
    Martian,
    /// The route was leaked: it came up, or across, after it had gone down (RFC 9234 section 5).
    RouteLeak,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPolicy => f.write_str("no import policy for this external peer (RFC 8212)"),
            Self::Policy(_) => f.write_str("refused by import policy"),
            Self::OwnAs(asn) => write!(f, "our own AS {asn} is in the path"),
            Self::Reflected => f.write_str("our own route, reflected"),
            Self::NextHopIsOurs => f.write_str("next hop is our own address"),
            Self::NextHopNotConnected => f.write_str("next hop is not on the network shared with the peer"),
            Self::Martian => f.write_str("prefix that cannot be routed"),
            Self::RouteLeak => f.write_str("route leak, by its OTC attribute (RFC 9234)"),
        }
    }
}

/// What import needs to know of the session a route came on.
#[derive(Clone, Copy, Debug)]
pub(super) struct ImportContext<'a> {
    pub(super) config: &'a PeerConfig,
    pub(super) local_asn: Asn,
    /// Our AS number towards everybody else.
    pub(super) speaker_asn: Asn,
    pub(super) router_id: RouterId,
    pub(super) peer_role: Option<Role>,
    /// Traffic is being moved away from this peer.
    pub(super) draining: bool,
}

impl ImportContext<'_> {
    fn is_internal(&self) -> bool {
        self.local_asn == self.config.asn
    }

    /// Whether the route may be used, and by which line of the policy.
    pub(super) fn check(&self, prefix: &IpNet, attributes: &Attributes) -> Result<Ruling, Refusal> {
        self.check_path(attributes)?;
        self.check_next_hop(attributes)?;
        if is_martian(prefix) {
            return Err(Refusal::Martian);
        }
        let source = if self.is_internal() { Source::Internal } else { Source::External };
        match &self.config.import {
            None if self.is_internal() => Ok(Ruling { line: None, accept: true }),
            None => Err(Refusal::NoPolicy),
            Some(policy) => match policy.rule(prefix, attributes, source) {
                ruling if ruling.accept => Ok(ruling),
                ruling => Err(Refusal::Policy(ruling)),
            },
        }
    }

    /// The route as it is used.
    pub(super) fn make(&self, ruling: Ruling, received: &Attributes) -> Attributes {
        let mut attributes = received.clone();
        if let Some(Role::Provider | Role::Peer | Role::RouteServer) = self.peer_role
            && attributes.rare().otc.is_none()
        {
            // RFC 9234 section 5, ingress 3.
            attributes.change_rare(|rare| rare.otc = Some(self.config.asn));
        }
        if let Some(policy) = &self.config.import {
            policy.apply(ruling, &mut attributes, self.config.asn);
        }
        // RFC 8326 section 4.2: what is about to go away is used only when there is nothing else.
        if self.draining || received.has_community(Community::GRACEFUL_SHUTDOWN) {
            attributes.local_pref = Some(0);
        }
        attributes
    }

    fn check_path(&self, attributes: &Attributes) -> Result<(), Refusal> {
        let allowed = usize::from(self.config.allow_own_as);
        // We are in our AS under whatever number this peer knows us. A peer that is in it, and external by that other
        // number, has it in all its paths.
        let ours = Some(self.speaker_asn).filter(|ours| *ours != self.config.asn);
        for own in core::iter::once(self.local_asn).chain(ours) {
            if attributes.as_path.count(own) > allowed {
                return Err(Refusal::OwnAs(own));
            }
        }
        let rare = attributes.rare();
        let ours = self.router_id.bits();
        if rare.originator.is_some_and(|id| id.to_bits() == ours) || rare.clusters.contains(&ours) {
            return Err(Refusal::Reflected);
        }
        // RFC 9234 section 5, ingress 1 and 2.
        match (rare.otc, self.peer_role) {
            (Some(_), Some(Role::Customer | Role::RouteServerClient)) => Err(Refusal::RouteLeak),
            (Some(otc), Some(Role::Peer)) if otc != self.config.asn => Err(Refusal::RouteLeak),
            _ => Ok(()),
        }
    }

    fn check_next_hop(&self, attributes: &Attributes) -> Result<(), Refusal> {
        let address = attributes.next_hop.address();
        if self.config.own_addresses.contains(&address) {
            return Err(Refusal::NextHopIsOurs);
        }
        let link_local = match address {
            core::net::IpAddr::V4(_) => false,
            core::net::IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        let networks = &self.config.connected;
        let anywhere = self.is_internal() || networks.is_empty() || link_local;
        if anywhere || networks.iter().any(|network| network.contains(&address)) {
            return Ok(());
        }
        Err(Refusal::NextHopNotConnected)
    }
}

/// The policy's words for a ruling; the default of a peer that needs none.
pub(super) fn describe(policy: Option<&Policy>, ruling: Ruling) -> String {
    policy.map_or_else(|| "accepted, no policy".to_owned(), |policy| policy.describe(ruling).to_string())
}

/// RFC 6890 prefixes that never are destinations between networks. 169.254/16 and fd00::/8 are fine here.
fn is_martian(prefix: &IpNet) -> bool {
    match prefix {
        IpNet::V4(net) => {
            let [first, ..] = net.network().octets();
            first >= 224 || first == 127 || (first == 0 && net.prefix_len() > 0)
        }
        IpNet::V6(net) => {
            let address = net.network();
            address.is_multicast()
                || address.is_unicast_link_local()
                || (net.prefix_len() == 128 && (address.is_loopback() || address.is_unspecified()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn martians_are_what_no_network_is() {
        for bad in [
            "127.0.0.0/8",
            "127.1.2.0/24",
            "224.0.0.0/4",
            "240.0.0.0/8",
            "0.0.0.0/8",
            "ff02::/16",
            "fe80::/64",
            "::1/128",
        ] {
            assert!(is_martian(&bad.parse().unwrap()), "{bad}");
        }
        for good in [
            "0.0.0.0/0",
            "::/0",
            "169.254.0.0/16",
            "100.64.0.0/10",
            "10.0.0.0/8",
            "fd00::/8",
            "2001:db8::/32",
            "0.0.0.0/0",
        ] {
            assert!(!is_martian(&good.parse().unwrap()), "{good}");
        }
    }
}
