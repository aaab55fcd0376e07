//! From what a speaker learnt to a forwarding table: next hops are resolved, equal ones are shared, and what the
//! configuration says goes before what neighbours say.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use bgp::{Family, PeerId, RouteChange, RouteNextHop, rib::PrefixMap, wire::attributes::NextHop};
use dataplane::{ConnectionTables, Hop, InterfaceId, Target};
use net::IpNet;

/// Where a neighbour is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) interface: InterfaceId,
    pub(super) address: IpAddr,
}

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
        let hops: BTreeMap<_, _> = hops.map(|hop| ((hop.interface, hop.gateway), hop)).collect();
        (!hops.is_empty()).then(|| Target::Via(hops.into_values().collect()))
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
            other => other.address(),
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
