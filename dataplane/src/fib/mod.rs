//! The forwarding tables: from a destination address to the next hop of the longest matching prefix.
//!
//! A connection has one [`Fib4`] and one [`Fib6`]. They never change, and are shared between workers behind an `Arc`;
//! new routes mean new tables, which share with the old ones all that did not change.
//!
//! # How
//! Routes are first flattened into [`ranges`]: the sorted list of addresses at which the answer changes. A
//! table of a few routes stays that list: it costs a few hundred octets, and most connections have a few routes.
//! A bigger one becomes a [`trie`]: a flat root for the first octet, or for the first two above some hundred routes, then
//! nodes of 256 slots that store each run of equal slots once and find it by counting bits, and leaves that hold the last few
//! ranges. Everything is generic over the address's width: IPv4 and IPv6 differ in [`key`] alone.
//!
//! The control plane keeps the routes in a [`book`], which knows what changed since the last table. Few changes are
//! [`edit`]ed into a trie, in time that does not depend on how many routes there are; its memory is in chunks
//! ([`slab`]) that tables share until one is written.
//!
//! # Invariants
//! 1. The answer is that of the longest prefix that covers the address (RFC 1812 §5.2.4.3, RFC 4291 §2.3), whatever the form.
//! 2. The same routes in the same order give the same table. Of two routes for one prefix the later counts.
//! 3. A table that was changed has the nodes and leaves of one that is built from the same routes.
//! 4. A lookup allocates nothing and takes at most one step per octet of the address.

mod book;
mod build;
mod edit;
mod key;
mod ranges;
mod slab;
mod trie;

use core::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use net::{Ipv4Net, Ipv6Net};

pub(crate) use self::book::Book;
use self::{
    build::Route,
    key::Key,
    ranges::Ranges,
    trie::{NONE, Trie},
};

/// A next hop, as an index into the caller's own table of them: 0..=[`NextHopId::MAX`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NextHopId(u32);

impl NextHopId {
    /// The largest identifier: two short of 2^31, because an entry keeps a bit for itself and a value for "no route".
    pub const MAX: u32 = NONE - 1;

    /// The identifier with this number; `None` above [`MAX`](Self::MAX).
    pub const fn new(id: u32) -> Option<Self> {
        if id <= Self::MAX { Some(Self(id)) } else { None }
    }

    /// Its number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Its number, to index a slice with.
    pub const fn index(self) -> usize {
        wide(self.0)
    }

    const fn from_entry(entry: u32) -> Option<Self> {
        Self::new(entry)
    }
}

/// A `u32` as an index: the gateway runs on machines with 32-bit addresses or wider.
const fn wide(value: u32) -> usize {
    #[expect(
        clippy::as_conversions,
        reason = "usize has at least 32 bits (asserted below); From is not const"
    )]
    {
        value as usize
    }
}
const _: () = assert!(usize::BITS >= u32::BITS);

/// Tables of up to this many routes, at most twice as many ranges, stay a list.
const SMALL: usize = 8;
/// Tables of more routes than this have a root of 65,536 entries (256 KiB) instead of 256 (1 KiB).
const LARGE: usize = 512;
const _: () = assert!(SMALL < LARGE);

/// One table over addresses of type `K`; a clone is the same table.
#[derive(Clone, Debug)]
enum Fib<K> {
    Small(Arc<Ranges<K>>),
    Large(Trie<K>),
}

impl<K: Key> Fib<K> {
    fn lookup(&self, key: K) -> Option<NextHopId> {
        NextHopId::from_entry(match self {
            Self::Small(ranges) => ranges.lookup(key),
            Self::Large(trie) => trie.lookup(key),
        })
    }

    fn memory_octets(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Small(ranges) => size_of::<Ranges<K>>() + ranges.memory_octets(),
                Self::Large(trie) => trie.memory_octets(),
            }
    }
}

/// The IPv4 forwarding table of a connection.
#[derive(Clone, Debug)]
pub struct Fib4(Fib<u32>);

impl Fib4 {
    /// The table of now.
    pub(crate) fn renew(book: &mut Book<Ipv4Net>) -> Self {
        Self(book.renew())
    }

    /// The table of `routes`. Host bits of a prefix are ignored; of two routes for one prefix the later counts.
    pub fn build(routes: impl IntoIterator<Item = (Ipv4Net, NextHopId)>) -> Self {
        let route = |(net, id): (Ipv4Net, NextHopId)| Route::new(net.addr().to_bits(), net.prefix_len(), id);
        Self(book::build(routes.into_iter().map(route).collect()))
    }

    /// The next hop of the longest prefix that covers `destination`; `None` when no prefix does.
    #[inline]
    pub fn lookup(&self, destination: Ipv4Addr) -> Option<NextHopId> {
        self.0.lookup(destination.to_bits())
    }

    /// Octets of memory that the table takes.
    pub fn memory_octets(&self) -> usize {
        self.0.memory_octets()
    }
}

/// The IPv6 forwarding table of a connection.
#[derive(Clone, Debug)]
pub struct Fib6(Fib<u128>);

impl Fib6 {
    /// The table of now.
    pub(crate) fn renew(book: &mut Book<Ipv6Net>) -> Self {
        Self(book.renew())
    }

    /// The table of `routes`. Host bits of a prefix are ignored; of two routes for one prefix the later counts.
    pub fn build(routes: impl IntoIterator<Item = (Ipv6Net, NextHopId)>) -> Self {
        let route = |(net, id): (Ipv6Net, NextHopId)| Route::new(net.addr().to_bits(), net.prefix_len(), id);
        Self(book::build(routes.into_iter().map(route).collect()))
    }

    /// The next hop of the longest prefix that covers `destination`; `None` when no prefix does.
    #[inline]
    pub fn lookup(&self, destination: Ipv6Addr) -> Option<NextHopId> {
        self.0.lookup(destination.to_bits())
    }

    /// Octets of memory that the table takes.
    pub fn memory_octets(&self) -> usize {
        self.0.memory_octets()
    }
}

impl Default for Fib4 {
    /// A table without routes.
    fn default() -> Self {
        Self::build([])
    }
}

impl Default for Fib6 {
    /// A table without routes.
    fn default() -> Self {
        Self::build([])
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
