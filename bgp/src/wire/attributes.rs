//! Path attributes as one value: what a route carries, the same for every prefix it was announced with.
//!
//! The attributes that nearly every route has are fields; the rest sits behind one pointer
//! ([`Attributes::rare`]), because a table holds this value a hundred thousand times. Equal attributes
//! compare and hash equal whichever way they were built: an empty rare part is no rare part.

use super::{
    as_path::AsPath,
    community::{Community, ExtendedCommunity, LargeCommunity},
};
use crate::types::Asn;
use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use std::sync::LazyLock;

/// ORIGIN (RFC 4271 section 5.1.1).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Origin {
    /// Interior to the originating AS; preferred.
    #[default]
    Igp,
    /// Learned by EGP.
    Egp,
    /// Learned by other means.
    Incomplete,
}

impl Origin {
    /// The number on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Igp => 0,
            Self::Egp => 1,
            Self::Incomplete => 2,
        }
    }

    /// The origin with this number.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Igp),
            1 => Some(Self::Egp),
            2 => Some(Self::Incomplete),
            _ => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Igp => "igp",
            Self::Egp => "egp",
            Self::Incomplete => "incomplete",
        })
    }
}

/// Where to send packets for a route.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum NextHop {
    /// NEXT_HOP, or MP_REACH_NLRI with four octets.
    V4(Ipv4Addr),
    /// MP_REACH_NLRI with 16 or 32 octets (RFC 2545, and RFC 8950 for IPv4 prefixes).
    V6 {
        /// The global address; a link-local one when the peer gave nothing else.
        global: Ipv6Addr,
        /// The link-local address, when both were given.
        link_local: Option<Ipv6Addr>,
    },
}

impl NextHop {
    /// The address to resolve: the global one.
    pub const fn address(&self) -> IpAddr {
        match self {
            Self::V4(address) => IpAddr::V4(*address),
            Self::V6 { global, .. } => IpAddr::V6(*global),
        }
    }

    /// False for addresses that can never forward: unspecified, loopback, multicast, broadcast and class
    /// E, and IPv4 addresses dressed as IPv6 (RFC 4271 section 6.3, semantic correctness).
    pub fn is_plausible(&self) -> bool {
        match self {
            Self::V4(address) => {
                let [first, ..] = address.octets();
                first != 0 && first != 127 && first < 224
            }
            Self::V6 { global, .. } => {
                !(global.is_unspecified()
                    || global.is_loopback()
                    || global.is_multicast()
                    || global.to_ipv4_mapped().is_some())
            }
        }
    }
}

impl From<Ipv4Addr> for NextHop {
    fn from(address: Ipv4Addr) -> Self {
        Self::V4(address)
    }
}

impl From<IpAddr> for NextHop {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(global) => Self::V6 { global, link_local: None },
        }
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6 { global, link_local: None } => global.fmt(f),
            Self::V6 { global, link_local: Some(local) } => write!(f, "{global} ({local})"),
        }
    }
}

/// AGGREGATOR (RFC 4271 section 5.1.7).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Aggregator {
    /// Who aggregated.
    pub asn: Asn,
    /// Which router.
    pub address: Ipv4Addr,
}

/// An attribute nobody here knows, carried along because its sender asked for it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct UnknownAttribute {
    /// Its type code.
    pub code: u8,
    /// Its value.
    pub value: Box<[u8]>,
}

/// What few routes carry.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Rare {
    /// Who aggregated the route.
    pub aggregator: Option<Aggregator>,
    /// ORIGINATOR_ID (RFC 4456); internal sessions only.
    pub originator: Option<Ipv4Addr>,
    /// CLUSTER_LIST (RFC 4456); internal sessions only.
    pub clusters: Box<[u32]>,
    /// Extended communities.
    pub extended: Box<[ExtendedCommunity]>,
    /// Large communities.
    pub large: Box<[LargeCommunity]>,
    /// Only to Customer: the AS that first sent the route down (RFC 9234 section 5).
    pub otc: Option<Asn>,
    /// Optional transitive attributes we do not know, by ascending code; passed on with the Partial bit.
    pub unknown: Box<[UnknownAttribute]>,
    /// Codes of optional transitive attributes that we know and that came with the Partial bit: somebody on the way did
    /// not know them, and nobody may say otherwise later (RFC 4271 section 5).
    pub partial: Box<[u8]>,
}

/// The attributes of a route.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Attributes {
    /// How the route came to be.
    pub origin: Origin,
    /// Who carried it.
    pub as_path: AsPath,
    /// Where packets go.
    pub next_hop: NextHop,
    /// MULTI_EXIT_DISC: the neighbour's preference among its links, lower is better.
    pub med: Option<u32>,
    /// LOCAL_PREF: this AS's preference, higher is better.
    pub local_pref: Option<u32>,
    /// ATOMIC_AGGREGATE.
    pub atomic_aggregate: bool,
    /// Communities, in the order they came.
    pub communities: Box<[Community]>,
    rare: Option<Box<Rare>>,
}

impl Attributes {
    /// A route of our own: origin IGP, empty path, this next hop.
    pub fn local(next_hop: NextHop) -> Self {
        Self {
            origin: Origin::Igp,
            as_path: AsPath::default(),
            next_hop,
            med: None,
            local_pref: None,
            atomic_aggregate: false,
            communities: Box::default(),
            rare: None,
        }
    }

    /// What few routes carry; all empty for most.
    pub fn rare(&self) -> &Rare {
        static NOTHING: LazyLock<Rare> = LazyLock::new(Rare::default);
        self.rare.as_deref().unwrap_or(&NOTHING)
    }

    /// Changes what few routes carry.
    pub fn change_rare(&mut self, change: impl FnOnce(&mut Rare)) {
        let mut rare = self.rare.take().map_or_else(Rare::default, |rare| *rare);
        change(&mut rare);
        self.rare = (rare != Rare::default()).then(|| Box::new(rare));
    }

    /// Local preference for comparison: 100 when there is none.
    pub fn preference(&self) -> u32 {
        self.local_pref.unwrap_or(DEFAULT_LOCAL_PREF)
    }

    /// True when the route carries `community`.
    pub fn has_community(&self, community: Community) -> bool {
        self.communities.contains(&community)
    }

    /// Adds `community` unless it is there.
    pub fn add_community(&mut self, community: Community) {
        if !self.has_community(community) {
            let mut all = core::mem::take(&mut self.communities).into_vec();
            all.push(community);
            self.communities = all.into_boxed_slice();
        }
    }

    /// Removes the communities for which `condemned` is true.
    pub fn remove_communities(&mut self, condemned: impl Fn(Community) -> bool) {
        if self.communities.iter().any(|community| condemned(*community)) {
            let mut all = core::mem::take(&mut self.communities).into_vec();
            all.retain(|community| !condemned(*community));
            self.communities = all.into_boxed_slice();
        }
    }

    /// Octets on the heap that this value holds, for reports about memory.
    pub fn heap_octets(&self) -> usize {
        let rare = self.rare.as_ref().map_or(0, |rare| {
            size_of::<Rare>()
                .saturating_add(size_of_val(&*rare.clusters))
                .saturating_add(size_of_val(&*rare.extended))
                .saturating_add(size_of_val(&*rare.large))
                .saturating_add(size_of_val(&*rare.partial))
                .saturating_add(
                    rare.unknown.iter().map(|one| size_of_val(one).saturating_add(one.value.len())).sum(),
                )
        });
        self.as_path.as_wide().len().saturating_add(size_of_val(&*self.communities)).saturating_add(rare)
    }
}

/// What a route without LOCAL_PREF counts as.
pub const DEFAULT_LOCAL_PREF: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4271 section 6.3: semantic correctness of NEXT_HOP.
    #[test]
    fn next_hops_that_cannot_forward_are_implausible() {
        for bad in [
            "0.0.0.0",
            "127.0.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::",
            "::1",
            "ff02::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(!NextHop::from(bad.parse::<IpAddr>().unwrap()).is_plausible(), "{bad}");
        }
        for good in ["169.254.1.1", "10.0.0.1", "100.64.0.1", "fe80::1", "2001:db8::1", "fd00::1"] {
            assert!(NextHop::from(good.parse::<IpAddr>().unwrap()).is_plausible(), "{good}");
        }
    }

    #[test]
    fn an_emptied_rare_part_equals_none() {
        let plain = Attributes::local(NextHop::V4(Ipv4Addr::new(10, 0, 0, 1)));
        let mut changed = plain.clone();
        changed.change_rare(|rare| rare.otc = Some(Asn(1)));
        assert_ne!(plain, changed);
        changed.change_rare(|rare| rare.otc = None);
        assert_eq!(plain, changed);
    }

    #[test]
    fn communities_are_added_once_and_removed_by_choice() {
        let mut route = Attributes::local(NextHop::V4(Ipv4Addr::new(10, 0, 0, 1)));
        let (low, high) = (Community::new(7224, 7100), Community::new(7224, 7300));
        for community in [low, high, low] {
            route.add_community(community);
        }
        assert_eq!(*route.communities, [low, high]);
        route.remove_communities(|community| community == low);
        assert_eq!(*route.communities, [high]);
    }
}
