//! From what a speaker learnt to a forwarding table: next hops are resolved, equal ones are shared, and what the
//! configuration says goes before what neighbours say.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use bgp::{PeerId, PerFamily, RouteChange, RouteNextHop, wire::attributes::NextHop};
use dataplane::{
    ConnectionTables, Hop, InterfaceId, RouteSet, Target,
    group::{MAX_MEMBERS, Weight},
    protection::weights,
};
use net::IpNet;

/// Where a neighbour is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) interface: InterfaceId,
    pub(super) address: IpAddr,
    /// Whether it keeps a seat among those that share flows over next hops of a family, also while it has no route: then
    /// a route that comes or goes moves no flow of the others. For attachments only.
    pub(super) seats: PerFamily<bool>,
}

/// Where packets can go, in one order.
type Way = (InterfaceId, IpAddr);

/// The routes of one connection.
#[derive(Debug)]
pub(super) struct Routes {
    set: RouteSet,
    subnets: Vec<(IpNet, InterfaceId)>,
    /// What the channel below each interface carries, where the configuration says so.
    capacities: BTreeMap<InterfaceId, u64>,
    peers: BTreeMap<PeerId, Place>,
    /// The last next hops, and what they are: most routes lead where the one before led.
    last: Option<(Vec<RouteNextHop>, Option<Target>)>,
}

impl Routes {
    /// `base` is what the configuration says; the later of two for one prefix counts.
    pub(super) fn new(
        base: Vec<(IpNet, Target)>,
        subnets: Vec<(IpNet, InterfaceId)>,
        capacities: BTreeMap<InterfaceId, u64>,
    ) -> Self {
        Self { set: RouteSet::new(base), subnets, capacities, peers: BTreeMap::new(), last: None }
    }

    /// The configuration says something else.
    pub(super) fn rebase(&mut self, base: Vec<(IpNet, Target)>) {
        self.set.rebase(base);
    }

    /// Whose routes are gone already.
    pub(super) fn remove_peer(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
        self.last = None;
    }

    pub(super) fn add_peer(&mut self, peer: PeerId, place: Place) {
        self.peers.insert(peer, place);
        self.last = None;
    }

    /// Takes a change in; it counts from the next [`tables`](Self::tables) on.
    pub(super) fn apply(&mut self, change: &RouteChange) {
        let target = match change {
            RouteChange::Use { next_hops, .. } => self.known(next_hops),
            RouteChange::Gone { .. } => None,
        };
        match target {
            Some(target) => self.set.learn(change.prefix(), target),
            None => self.set.forget(change.prefix()),
        };
    }

    pub(super) const fn is_changed(&self) -> bool {
        self.set.is_changed()
    }

    /// The tables of now.
    pub(super) fn tables(&mut self) -> Arc<ConnectionTables> {
        self.set.tables()
    }

    /// How many prefixes were learnt.
    pub(super) fn learned(&self) -> usize {
        self.set.len()
    }

    /// What is done with packets to exactly this prefix, as far as it was learnt, and whether it counts: the
    /// configuration may say something else.
    pub(super) fn of(&self, prefix: &IpNet) -> Option<(&Target, bool)> {
        Some((self.set.learned(prefix)?, !self.set.is_fixed(prefix)))
    }

    /// The longest prefix that holds `address`, learnt or not.
    pub(super) fn lookup(&self, address: IpAddr) -> Option<IpNet> {
        self.set.longest(address)
    }

    /// Everything that was learnt and counts, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (IpNet, &Target)> {
        self.set.iter().filter(|(prefix, _)| !self.set.is_fixed(prefix))
    }

    fn known(&mut self, next_hops: &[RouteNextHop]) -> Option<Target> {
        if let Some((hops, target)) = &self.last
            && hops == next_hops
        {
            return target.clone();
        }
        let target = self.target(next_hops);
        self.last = Some((next_hops.to_vec(), target.clone()));
        target
    }

    fn target(&self, next_hops: &[RouteNextHop]) -> Option<Target> {
        let ways = next_hops.iter().filter_map(|hop| Some((self.way(hop)?, hop.bandwidth)));
        // In one order whatever the best one is: flows stay where they are when only that changes.
        let ways: BTreeMap<Way, Option<u64>> = ways.collect();
        let seats: BTreeSet<Way> = ways.keys().copied().chain(self.kept_seats(&ways)).collect();
        let hop = |(seat, weight): (&Way, u8)| {
            let &(interface, gateway) = seat;
            Hop { interface, gateway, weight, carries: ways.contains_key(seat) }
        };
        let weights = self.weights(&seats, &ways);
        (!ways.is_empty()).then(|| Target::Via(seats.iter().zip(weights).map(hop).collect()))
    }

    /// Shares in proportion to the link bandwidths, when every way tells one; by the capacities of the channels otherwise,
    /// as static routes have them, with or without a route.
    fn weights(&self, seats: &BTreeSet<Way>, ways: &BTreeMap<Way, Option<u64>>) -> Vec<u8> {
        let are_told = ways.values().all(|bandwidth| bandwidth.is_some_and(|one| one > 0));
        let carries = |seat: &Way| match ways.get(seat) {
            Some(bandwidth) if are_told => *bandwidth,
            None if are_told => None,
            Some(_) | None => self.capacities.get(&seat.0).copied(),
        };
        weights(&seats.iter().map(carries).collect::<Vec<_>>()).into_iter().map(Weight::get).collect()
    }

    /// The attachments without a route when all ways are by such attachments.
    fn kept_seats(&self, ways: &BTreeMap<Way, Option<u64>>) -> Vec<Way> {
        let family = |place: &Place| {
            ways.keys()
                .all(|(_, gateway)| if gateway.is_ipv4() { place.seats.ipv4 } else { place.seats.ipv6 })
        };
        let seats: BTreeMap<_, _> =
            self.peers.values().filter(|place| family(place)).map(|place| (place.interface, place)).collect();
        let taken: BTreeSet<_> = ways.keys().map(|(interface, _)| *interface).collect();
        if !taken.iter().all(|interface| seats.contains_key(interface)) || seats.len() > MAX_MEMBERS {
            return Vec::new();
        }
        let free = seats.into_values().filter(|place| !taken.contains(&place.interface));
        free.map(|place| (place.interface, place.address)).collect()
    }

    /// RFC 4271 §5.1.3: the next hop is on a network we are on. One that is not (an internal neighbour passed it on as
    /// it was) is reached through the neighbour itself.
    fn way(&self, hop: &RouteNextHop) -> Option<Way> {
        let place = self.peers.get(&hop.peer)?;
        let gateway = match hop.address {
            // RFC 2545 §3: the link-local address, when there is one, is on the link of the session.
            NextHop::V6 { link_local: Some(link_local), global }
                if self.subnet_of(global.into()).is_none() =>
            {
                return Some((place.interface, link_local.into()));
            }
            NextHop::V4(_) | NextHop::V6 { .. } => hop.address.address(),
        };
        let link_local = matches!(gateway, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if link_local {
            return Some((place.interface, gateway));
        }
        Some(match self.subnet_of(gateway) {
            Some(interface) => (interface, gateway),
            None => (place.interface, place.address),
        })
    }

    fn subnet_of(&self, address: IpAddr) -> Option<InterfaceId> {
        self.subnets.iter().find(|(net, _)| net.contains(&address)).map(|(_, interface)| *interface)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn hop(peer: u16, address: &str, bandwidth: Option<u64>) -> RouteNextHop {
        let address = match address.parse().unwrap() {
            IpAddr::V4(address) => NextHop::V4(address),
            IpAddr::V6(global) => NextHop::V6 { global, link_local: None },
        };
        RouteNextHop { peer: PeerId(peer), address, bandwidth }
    }

    fn used(prefix: &str, next_hops: Vec<RouteNextHop>) -> RouteChange {
        RouteChange::Use { prefix: net(prefix), next_hops }
    }

    /// Two neighbours, each on a link of its own, and a LAN.
    fn routes() -> Routes {
        let base = vec![(net("10.1.0.0/24"), Target::OnLink(InterfaceId(2)))];
        let subnets = vec![
            (net("169.254.1.0/30"), InterfaceId(0)),
            (net("169.254.2.0/30"), InterfaceId(1)),
            (net("10.1.0.0/24"), InterfaceId(2)),
        ];
        let mut routes = Routes::new(base, subnets, BTreeMap::new());
        for (id, interface, address) in [(1, 0, "169.254.1.2"), (2, 1, "169.254.2.2"), (3, 1, "fe80::2")] {
            let (address, seats) = (address.parse().unwrap(), PerFamily::both(false));
            let place = Place { interface: InterfaceId(interface), address, seats };
            routes.add_peer(PeerId(id), place);
        }
        routes
    }

    /// Interface, neighbour and share of each; the share of what carries nothing is 0.
    fn hops(routes: &Routes, prefix: &str) -> Vec<(u16, String, u8)> {
        let Some((Target::Via(hops), _)) = routes.of(&net(prefix)) else { return Vec::new() };
        let share = |hop: &Hop| if hop.carries { hop.weight } else { 0 };
        hops.iter().map(|hop| (hop.interface.0, hop.gateway.to_string(), share(hop))).collect()
    }

    #[test]
    fn equal_routes_share_in_an_order_that_does_not_depend_on_the_best() {
        let mut routes = routes();
        let (a, b) = (hop(1, "169.254.1.2", None), hop(2, "169.254.2.2", None));
        routes.apply(&used("10.9.0.0/16", vec![b.clone(), a.clone()]));
        assert!(routes.is_changed());
        routes.tables();
        assert!(!routes.is_changed());
        let both = [(0, "169.254.1.2".to_owned(), 1), (1, "169.254.2.2".to_owned(), 1)];
        assert_eq!(hops(&routes, "10.9.0.0/16"), both);
        routes.apply(&used("10.9.0.0/16", vec![a, b]));
        assert!(!routes.is_changed(), "another best, the same hops: nothing to build");
        routes.apply(&RouteChange::Gone { prefix: net("10.9.0.0/16") });
        assert!(routes.is_changed() && routes.learned() == 0);
    }

    #[test]
    fn an_attachment_without_a_route_keeps_its_seat() {
        let mut routes = routes();
        for (id, interface, address) in [(1, 0, "169.254.1.2"), (2, 1, "169.254.2.2")] {
            let seats = PerFamily { ipv4: true, ipv6: false };
            let place = Place { interface: InterfaceId(interface), address: address.parse().unwrap(), seats };
            routes.add_peer(PeerId(id), place);
        }
        let (a, b) = (hop(1, "169.254.1.2", None), hop(2, "169.254.2.2", None));
        let seat = |interface, address: &str, weight| (interface, address.to_owned(), weight);
        for (next_hops, found) in [(vec![a.clone(), b.clone()], [1, 1]), (vec![a], [1, 0]), (vec![b], [0, 1])]
        {
            routes.apply(&used("10.9.0.0/16", next_hops));
            let found = [seat(0, "169.254.1.2", found[0]), seat(1, "169.254.2.2", found[1])];
            assert_eq!(hops(&routes, "10.9.0.0/16"), found);
        }
        // A router on the LAN shares with nobody, and the other family has no seats here.
        routes.apply(&used("10.8.0.0/16", vec![hop(1, "10.1.0.7", None)]));
        assert_eq!(hops(&routes, "10.8.0.0/16"), [seat(2, "10.1.0.7", 1)]);
        routes.apply(&used("fd00::/48", vec![hop(1, "fe80::2", None)]));
        assert_eq!(hops(&routes, "fd00::/48"), [seat(0, "fe80::2", 1)]);
        routes.apply(&RouteChange::Gone { prefix: net("10.9.0.0/16") });
        assert_eq!(hops(&routes, "10.9.0.0/16"), [], "nobody has a route");
    }

    /// Flows are spread by the shares of all seats: one that forgot its own would move the others' flows.
    #[test]
    fn a_seat_keeps_its_share_by_capacity() {
        let mut routes = routes();
        for (id, interface, address) in [(1, 0, "169.254.1.2"), (2, 1, "169.254.2.2")] {
            let seats = PerFamily { ipv4: true, ipv6: false };
            let place = Place { interface: InterfaceId(interface), address: address.parse().unwrap(), seats };
            routes.add_peer(PeerId(id), place);
        }
        routes.capacities = [(InterfaceId(0), 100_000), (InterfaceId(1), 10_000)].into();
        let (a, b) = (hop(1, "169.254.1.2", None), hop(2, "169.254.2.2", None));
        for (next_hops, carries) in
            [(vec![a.clone(), b.clone()], [true, true]), (vec![a], [true, false]), (vec![b], [false, true])]
        {
            routes.apply(&used("10.9.0.0/16", next_hops));
            let Some((Target::Via(hops), _)) = routes.of(&net("10.9.0.0/16")) else { panic!("it is there") };
            let found: Vec<_> = hops.iter().map(|hop| (hop.weight, hop.carries)).collect();
            assert_eq!(found, [(10, carries[0]), (1, carries[1])]);
        }
    }

    #[test]
    fn the_configuration_goes_before_neighbours() {
        let mut routes = routes();
        for prefix in ["10.1.0.0/24", "10.1.0.0/25"] {
            routes.apply(&used(prefix, vec![hop(1, "169.254.1.2", None)]));
        }
        assert_eq!(routes.of(&net("10.1.0.0/24")).map(|(_, counts)| counts), Some(false));
        assert_eq!(routes.iter().map(|(prefix, _)| prefix).collect::<Vec<_>>(), [net("10.1.0.0/25")]);
        assert_eq!(routes.lookup("10.1.0.200".parse().unwrap()), Some(net("10.1.0.0/24")));
        assert_eq!(routes.lookup("10.1.0.100".parse().unwrap()), Some(net("10.1.0.0/25")));
        assert_eq!(routes.lookup("10.2.0.1".parse().unwrap()), None);
    }

    // RFC 4271 §5.1.3, RFC 2545 §3.
    #[test]
    fn next_hops_are_found_on_the_network_they_are_on() {
        let mut routes = routes();
        for (prefix, hop, found) in [
            // A third router on the LAN.
            ("10.2.0.0/16", hop(1, "10.1.0.7", None), (2, "10.1.0.7")),
            // An internal neighbour passed it on as it was: through the neighbour.
            ("10.3.0.0/16", hop(2, "192.0.2.99", None), (1, "169.254.2.2")),
            ("fd00::/48", hop(3, "fe80::2", None), (1, "fe80::2")),
        ] {
            routes.apply(&used(prefix, vec![hop]));
            assert_eq!(hops(&routes, prefix), [(found.0, found.1.to_owned(), 1)], "{prefix}");
        }
        let address =
            NextHop::V6 { global: "2001:db8::2".parse().unwrap(), link_local: "fe80::2".parse().ok() };
        routes.apply(&used("fd01::/48", vec![RouteNextHop { peer: PeerId(3), address, bandwidth: None }]));
        assert_eq!(hops(&routes, "fd01::/48"), [(1, "fe80::2".to_owned(), 1)]);
    }

    #[test]
    fn bandwidths_become_weights_when_all_tell_theirs_and_capacities_otherwise() {
        let weights_of = |capacities: &[(u16, u64)], a, b| {
            let mut routes = routes();
            routes.capacities = capacities.iter().map(|(at, carries)| (InterfaceId(*at), *carries)).collect();
            routes.apply(&used("10.9.0.0/16", vec![hop(1, "169.254.1.2", a), hop(2, "169.254.2.2", b)]));
            hops(&routes, "10.9.0.0/16").iter().map(|hop| hop.2).collect::<Vec<_>>()
        };
        let channels = [(0, 10_000), (1, 100_000)];
        assert_eq!(weights_of(&[], Some(10_000_000_000), Some(5_000_000_000)), [2, 1]);
        assert_eq!(weights_of(&channels, Some(10_000_000_000), Some(1)), [255, 1]);
        assert_eq!(weights_of(&[], Some(10_000_000_000), None), [1, 1]);
        assert_eq!(weights_of(&[], Some(0), Some(0)), [1, 1]);
        assert_eq!(weights_of(&channels, None, None), [1, 10]);
        assert_eq!(weights_of(&channels, Some(10_000_000_000), None), [1, 10]);
        assert_eq!(weights_of(&[(1, 400_000)], None, None), [1, 1], "unknown counts as the smallest");
    }
}
