//! A sorted map from prefixes, one tree per family so that an IPv4 key takes five octets.
//!
//! A B-tree and not a trie: exact match is what a RIB does, its order is what people and tests see, its
//! memory grows in small steps, and the rare longest-prefix question of an operator is 33 exact ones.

use crate::types::Family;
use core::net::IpAddr;
use net::{IpNet, Ipv4Net, Ipv6Net};
use std::collections::{BTreeMap, btree_map::Entry};

/// A map from prefixes to `T`.
#[derive(Clone, Debug)]
pub struct PrefixMap<T> {
    v4: BTreeMap<Ipv4Net, T>,
    v6: BTreeMap<Ipv6Net, T>,
}

impl<T> Default for PrefixMap<T> {
    fn default() -> Self {
        Self { v4: BTreeMap::new(), v6: BTreeMap::new() }
    }
}

impl<T> PrefixMap<T> {
    /// The value of `prefix`.
    pub fn get(&self, prefix: &IpNet) -> Option<&T> {
        match prefix {
            IpNet::V4(net) => self.v4.get(net),
            IpNet::V6(net) => self.v6.get(net),
        }
    }

    /// True when `prefix` has a value.
    pub fn contains(&self, prefix: &IpNet) -> bool {
        self.get(prefix).is_some()
    }

    /// Sets the value of `prefix`; gives the old one.
    pub fn insert(&mut self, prefix: IpNet, value: T) -> Option<T> {
        match prefix {
            IpNet::V4(net) => self.v4.insert(net, value),
            IpNet::V6(net) => self.v6.insert(net, value),
        }
    }

    /// Takes the value of `prefix` out.
    pub fn remove(&mut self, prefix: &IpNet) -> Option<T> {
        match prefix {
            IpNet::V4(net) => self.v4.remove(net),
            IpNet::V6(net) => self.v6.remove(net),
        }
    }

    /// Changes the value of `prefix` in place, or puts the value of `fresh` there. Gives what the one that
    /// ran gives.
    pub fn upsert<R>(&mut self, prefix: IpNet, change: impl FnOnce(Option<&mut T>) -> (R, Option<T>)) -> R {
        match prefix {
            IpNet::V4(net) => upsert_in(self.v4.entry(net), change),
            IpNet::V6(net) => upsert_in(self.v6.entry(net), change),
        }
    }

    /// Changes the value of `prefix`, and removes it when `change` says so with false.
    pub fn update<R>(&mut self, prefix: &IpNet, change: impl FnOnce(&mut T) -> (R, bool)) -> Option<R> {
        match prefix {
            IpNet::V4(net) => update_in(self.v4.entry(*net), change),
            IpNet::V6(net) => update_in(self.v6.entry(*net), change),
        }
    }

    /// How many prefixes of `family` have a value.
    pub fn len(&self, family: Family) -> usize {
        match family {
            Family::Ipv4 => self.v4.len(),
            Family::Ipv6 => self.v6.len(),
        }
    }

    /// True when there is nothing of either family.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Everything, in order: IPv4 first, by address, then by length.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, &T)> {
        let v4 = self.v4.iter().map(|(net, value)| (IpNet::V4(*net), value));
        v4.chain(self.v6.iter().map(|(net, value)| (IpNet::V6(*net), value)))
    }

    /// Everything of one family, in order.
    pub fn of(&self, family: Family) -> impl Iterator<Item = (IpNet, &T)> {
        let v4 = (family == Family::Ipv4).then(|| self.v4.iter());
        let v6 = (family == Family::Ipv6).then(|| self.v6.iter());
        let v4 = v4.into_iter().flatten().map(|(net, value)| (IpNet::V4(*net), value));
        v4.chain(v6.into_iter().flatten().map(|(net, value)| (IpNet::V6(*net), value)))
    }

    /// Looks at everything of `family`, may change it, and removes what `keep` is false for.
    pub fn retain(&mut self, family: Family, mut keep: impl FnMut(IpNet, &mut T) -> bool) {
        match family {
            Family::Ipv4 => self.v4.retain(|net, value| keep(IpNet::V4(*net), value)),
            Family::Ipv6 => self.v6.retain(|net, value| keep(IpNet::V6(*net), value)),
        }
    }

    /// Takes the first entry out.
    pub fn pop_first(&mut self) -> Option<(IpNet, T)> {
        let first = self.v4.pop_first().map(|(net, value)| (IpNet::V4(net), value));
        first.or_else(|| self.v6.pop_first().map(|(net, value)| (IpNet::V6(net), value)))
    }

    /// Takes everything of `family` out.
    pub fn clear(&mut self, family: Family) {
        match family {
            Family::Ipv4 => self.v4.clear(),
            Family::Ipv6 => self.v6.clear(),
        }
    }

    /// The longest prefix with a value that holds `address`.
    pub fn lookup(&self, address: IpAddr) -> Option<(IpNet, &T)> {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        (0..=longest).rev().find_map(|len| {
            let prefix = IpNet::new(address, len).ok()?.trunc();
            self.get(&prefix).map(|value| (prefix, value))
        })
    }
}

fn upsert_in<K: Ord, T, R>(
    entry: Entry<'_, K, T>,
    change: impl FnOnce(Option<&mut T>) -> (R, Option<T>),
) -> R {
    match entry {
        Entry::Occupied(mut entry) => change(Some(entry.get_mut())).0,
        Entry::Vacant(entry) => {
            let (result, fresh) = change(None);
            if let Some(fresh) = fresh {
                entry.insert(fresh);
            }
            result
        }
    }
}

fn update_in<K: Ord, T, R>(entry: Entry<'_, K, T>, change: impl FnOnce(&mut T) -> (R, bool)) -> Option<R> {
    match entry {
        Entry::Occupied(mut entry) => {
            let (result, keep) = change(entry.get_mut());
            if !keep {
                entry.remove();
            }
            Some(result)
        }
        Entry::Vacant(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn order_is_by_family_then_address_then_length() {
        let mut map = PrefixMap::default();
        for (n, text) in
            ["::/0", "10.0.0.0/8", "0.0.0.0/0", "10.0.0.0/16", "9.0.0.0/8"].into_iter().enumerate()
        {
            map.insert(net(text), n);
        }
        let seen: Vec<_> = map.iter().map(|(prefix, _)| prefix.to_string()).collect();
        assert_eq!(seen, ["0.0.0.0/0", "9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/16", "::/0"]);
        assert_eq!(map.pop_first().unwrap().0, net("0.0.0.0/0"));
        assert_eq!((map.len(Family::Ipv4), map.len(Family::Ipv6)), (3, 1));
    }

    #[test]
    fn lookup_finds_the_longest() {
        let mut map = PrefixMap::default();
        for text in ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"] {
            map.insert(net(text), text);
        }
        for (address, found) in [
            ("10.1.2.3", Some("10.1.0.0/16")),
            ("10.2.2.3", Some("10.0.0.0/8")),
            ("11.0.0.1", Some("0.0.0.0/0")),
            ("2001:db8::1", Some("2001:db8::/32")),
            ("2001:db9::1", None),
        ] {
            assert_eq!(map.lookup(address.parse().unwrap()).map(|(_, text)| *text), found, "{address}");
        }
    }
}
