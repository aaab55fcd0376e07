//! From what a speaker learnt to a forwarding table: next hops are resolved, equal ones are shared, and what the
//! configuration says goes before what neighbours say.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use bgp::{Family, PeerId, PerFamily, RouteChange, RouteNextHop, rib::PrefixMap, wire::attributes::NextHop};
use dataplane::{ConnectionTables, Hop, InterfaceId, Target, group::MAX_MEMBERS};
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

/// Hops in the order of their places.
type Hops = BTreeMap<(InterfaceId, IpAddr), Hop>;

/// The routes of one connection.
#[derive(Debug)]
pub(super) struct Routes {
    /// What the configuration says; the later of two for one prefix counts.
    base: Vec<(IpNet, Target)>,
    subnets: Vec<(IpNet, InterfaceId)>,
    peers: BTreeMap<PeerId, Place>,
    learned: PrefixMap<u32>,
    targets: Targets,
    changed: bool,
}

impl Routes {
    pub(super) fn new(base: Vec<(IpNet, Target)>, subnets: Vec<(IpNet, InterfaceId)>) -> Self {
        Self {
            base,
            subnets,
            peers: BTreeMap::new(),
            learned: PrefixMap::default(),
            targets: Targets::default(),
            changed: false,
        }
    }

    /// The configuration says something else.
    pub(super) fn rebase(&mut self, base: Vec<(IpNet, Target)>) {
        self.changed |= self.base != base;
        self.base = base;
    }

    /// Whose routes are gone already.
    pub(super) fn remove_peer(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
    }

    pub(super) fn add_peer(&mut self, peer: PeerId, place: Place) {
        self.peers.insert(peer, place);
    }

    /// Takes a change in; it counts from the next [`build`](Self::build) on.
    pub(super) fn apply(&mut self, change: &RouteChange) {
        let target = match change {
            RouteChange::Use { next_hops, .. } => self.target(next_hops),
            RouteChange::Gone { .. } => None,
        };
        let id = target.map(|target| self.targets.take(target));
        let before = match id {
            Some(id) => self.learned.insert(change.prefix(), id),
            None => self.learned.remove(&change.prefix()),
        };
        if let Some(before) = before {
            self.targets.release(before);
        }
        self.changed |= before != id;
    }

    /// True once after something changed.
    pub(super) const fn take_changed(&mut self) -> bool {
        core::mem::replace(&mut self.changed, false)
    }

    pub(super) const fn is_changed(&self) -> bool {
        self.changed
    }

    /// The table of now.
    pub(super) fn build(&self) -> ConnectionTables {
        let learned =
            self.learned.iter().filter_map(|(prefix, id)| Some((prefix, self.targets.get(*id)?.clone())));
        ConnectionTables::build(learned.chain(self.base.iter().cloned()))
    }

    /// How many prefixes were learnt.
    pub(super) fn learned(&self) -> usize {
        self.learned.len(Family::Ipv4) + self.learned.len(Family::Ipv6)
    }

    /// What is done with packets to exactly this prefix, as far as it was learnt, and whether it counts: the
    /// configuration may say something else.
    pub(super) fn of(&self, prefix: &IpNet) -> Option<(&Target, bool)> {
        let target = self.targets.get(*self.learned.get(prefix)?)?;
        Some((target, !self.base.iter().any(|(own, _)| own == prefix)))
    }

    /// The longest prefix that holds `address`, learnt or not.
    pub(super) fn lookup(&self, address: IpAddr) -> Option<IpNet> {
        let own = self.base.iter().map(|(net, _)| *net).filter(|net| net.contains(&address));
        let learned = self.learned.lookup(address).map(|(net, _)| net);
        own.chain(learned).max_by_key(IpNet::prefix_len)
    }

    /// Everything that was learnt and counts, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (IpNet, &Target)> {
        let shadowed = |prefix: &IpNet| self.base.iter().any(|(own, _)| own == prefix);
        self.learned
            .iter()
            .filter(move |(prefix, _)| !shadowed(prefix))
            .filter_map(|(prefix, id)| Some((prefix, self.targets.get(*id)?)))
    }

    fn target(&self, next_hops: &[RouteNextHop]) -> Option<Target> {
        let weights = weights(next_hops);
        let hops = next_hops.iter().zip(weights).filter_map(|(hop, weight)| self.hop(hop, weight));
        // In one order whatever the best one is: flows stay where they are when only that changes.
        let hops: Hops = hops.map(|hop| ((hop.interface, hop.gateway), hop)).collect();
        let kept = self.kept_seats(&hops);
        (!hops.is_empty())
            .then(|| Target::Via(hops.into_iter().chain(kept).collect::<Hops>().into_values().collect()))
    }

    /// The attachments without a route, each as a hop that carries nothing, when all hops are such attachments.
    fn kept_seats(&self, hops: &Hops) -> Hops {
        let family = |place: &Place| {
            hops.keys()
                .all(|(_, gateway)| if gateway.is_ipv4() { place.seats.ipv4 } else { place.seats.ipv6 })
        };
        let seats: BTreeMap<_, _> =
            self.peers.values().filter(|place| family(place)).map(|place| (place.interface, place)).collect();
        let taken: BTreeSet<_> = hops.keys().map(|(interface, _)| *interface).collect();
        if !taken.iter().all(|interface| seats.contains_key(interface)) || seats.len() > MAX_MEMBERS {
            return Hops::new();
        }
        let free = seats.into_values().filter(|place| !taken.contains(&place.interface));
        free.map(|&Place { interface, address: gateway, .. }| {
            ((interface, gateway), Hop { interface, gateway, weight: 0 })
        })
        .collect()
    }

    /// RFC 4271 §5.1.3: the next hop is on a network we are on. One that is not (an internal neighbour passed it on as
    /// it was) is reached through the neighbour itself.
    fn hop(&self, hop: &RouteNextHop, weight: u8) -> Option<Hop> {
        let place = self.peers.get(&hop.peer)?;
        let gateway = match hop.address {
            // RFC 2545 §3: the link-local address, when there is one, is on the link of the session.
            NextHop::V6 { link_local: Some(link_local), global }
                if self.subnet_of(global.into()).is_none() =>
            {
                return Some(Hop { interface: place.interface, gateway: link_local.into(), weight });
            }
            NextHop::V4(_) | NextHop::V6 { .. } => hop.address.address(),
        };
        let link_local = matches!(gateway, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if link_local {
            return Some(Hop { interface: place.interface, gateway, weight });
        }
        Some(match self.subnet_of(gateway) {
            Some(interface) => Hop { interface, gateway, weight },
            None => Hop { interface: place.interface, gateway: place.address, weight },
        })
    }

    fn subnet_of(&self, address: IpAddr) -> Option<InterfaceId> {
        self.subnets.iter().find(|(net, _)| net.contains(&address)).map(|(_, interface)| *interface)
    }
}

/// Shares in proportion to the link bandwidths, when every hop tells one; equal shares otherwise.
fn weights(next_hops: &[RouteNextHop]) -> Vec<u8> {
    let bandwidths: Option<Vec<u64>> = next_hops.iter().map(|hop| hop.bandwidth).collect();
    let most = bandwidths.iter().flatten().copied().max().unwrap_or(0);
    let Some(bandwidths) = bandwidths.filter(|_| most > 0) else { return vec![1; next_hops.len()] };
    let share = |bandwidth: u64| {
        let scaled = u128::from(bandwidth) * 255 / u128::from(most);
        u8::try_from(scaled).unwrap_or(u8::MAX).max(1)
    };
    bandwidths.into_iter().map(share).collect()
}

/// Targets, each once, with a number and a count of its users.
#[derive(Debug, Default)]
struct Targets {
    numbers: HashMap<Target, u32>,
    slots: Vec<Option<(Target, u32)>>,
    free: Vec<u32>,
}

impl Targets {
    fn take(&mut self, target: Target) -> u32 {
        if let Some(&number) = self.numbers.get(&target) {
            if let Some((_, users)) = self.slot(number) {
                *users += 1;
            }
            return number;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        self.numbers.insert(target.clone(), number);
        if let Some(slot) = usize::try_from(number).ok().and_then(|at| self.slots.get_mut(at)) {
            *slot = Some((target, 1));
        }
        number
    }

    fn release(&mut self, number: u32) {
        let Some((_, users)) = self.slot(number) else { return };
        *users -= 1;
        if *users > 0 {
            return;
        }
        let slot = usize::try_from(number).ok().and_then(|at| self.slots.get_mut(at));
        if let Some((target, _)) = slot.and_then(Option::take) {
            self.numbers.remove(&target);
            self.free.push(number);
        }
    }

    fn slot(&mut self, number: u32) -> Option<&mut (Target, u32)> {
        self.slots.get_mut(usize::try_from(number).ok()?)?.as_mut()
    }

    fn get(&self, number: u32) -> Option<&Target> {
        self.slots.get(usize::try_from(number).ok()?)?.as_ref().map(|(target, _)| target)
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
        let mut routes = Routes::new(base, subnets);
        for (id, interface, address) in [(1, 0, "169.254.1.2"), (2, 1, "169.254.2.2"), (3, 1, "fe80::2")] {
            let (address, seats) = (address.parse().unwrap(), PerFamily::both(false));
            let place = Place { interface: InterfaceId(interface), address, seats };
            routes.add_peer(PeerId(id), place);
        }
        routes
    }

    fn hops(routes: &Routes, prefix: &str) -> Vec<(u16, String, u8)> {
        let Some((Target::Via(hops), _)) = routes.of(&net(prefix)) else { return Vec::new() };
        hops.iter().map(|hop| (hop.interface.0, hop.gateway.to_string(), hop.weight)).collect()
    }

    #[test]
    fn equal_routes_share_in_an_order_that_does_not_depend_on_the_best() {
        let mut routes = routes();
        let (a, b) = (hop(1, "169.254.1.2", None), hop(2, "169.254.2.2", None));
        routes.apply(&used("10.9.0.0/16", vec![b.clone(), a.clone()]));
        assert!(routes.take_changed() && !routes.take_changed());
        let both = [(0, "169.254.1.2".to_owned(), 1), (1, "169.254.2.2".to_owned(), 1)];
        assert_eq!(hops(&routes, "10.9.0.0/16"), both);
        routes.apply(&used("10.9.0.0/16", vec![a, b]));
        assert!(!routes.is_changed(), "another best, the same hops: nothing to build");
        routes.apply(&RouteChange::Gone { prefix: net("10.9.0.0/16") });
        assert!(routes.take_changed() && routes.learned() == 0);
        assert!(routes.targets.slots.iter().all(Option::is_none) && routes.targets.numbers.is_empty());
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
    fn bandwidths_become_weights_when_all_tell_theirs() {
        let weights_of = |a, b| {
            let mut routes = routes();
            routes.apply(&used("10.9.0.0/16", vec![hop(1, "169.254.1.2", a), hop(2, "169.254.2.2", b)]));
            hops(&routes, "10.9.0.0/16").iter().map(|hop| hop.2).collect::<Vec<_>>()
        };
        assert_eq!(weights_of(Some(10_000_000_000), Some(5_000_000_000)), [255, 127]);
        assert_eq!(weights_of(Some(10_000_000_000), Some(1)), [255, 1]);
        assert_eq!(weights_of(Some(10_000_000_000), None), [1, 1]);
        assert_eq!(weights_of(Some(0), Some(0)), [1, 1]);
    }
}
