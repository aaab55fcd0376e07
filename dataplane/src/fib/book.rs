//! The routes of one family as the control plane keeps them, and the table that follows them.
//!
//! Two lists, sorted: what is *fixed* (the configuration) goes before what was *learnt*, prefix by prefix. A table that was handed out
//! never changes; the next one shares with it all that did not. Few changes are patched in; when many
//! routes changed, or the table changes its form, it is built from scratch, which then is the cheaper way and is
//! bounded by the same factor.

use core::{fmt, ops::Bound};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use net::{Ipv4Net, Ipv6Net};

use super::{
    Fib, LARGE, NextHopId, SMALL,
    build::{Route, Span, flatten},
    edit::{Editor, Source},
    key::Key,
    ranges::Ranges,
    trie::NONE,
};

/// Patching one prefix costs about as much as building so many routes from scratch.
const PATCH_COSTS: usize = 8;

/// A prefix of one family; host bits are zero.
pub(crate) trait Prefix: Copy + Ord + fmt::Debug {
    /// Its addresses as numbers.
    type Key: Key;
    /// The prefix of `len` bits that `address` lies in.
    fn new(address: Self::Key, len: u32) -> Self;
    /// Its first address.
    fn address(self) -> Self::Key;
    /// Its length in bits.
    fn len(self) -> u8;
}

macro_rules! prefix {
    ($net:ty, $key:ty) => {
        impl Prefix for $net {
            type Key = $key;

            fn new(address: $key, len: u32) -> Self {
                let len = u8::try_from(len.min(<$key>::BITS)).unwrap_or_default();
                Self::new_assert(address.into(), len).trunc()
            }

            fn address(self) -> $key {
                self.addr().to_bits()
            }

            fn len(self) -> u8 {
                self.prefix_len()
            }
        }
    };
}

prefix!(Ipv4Net, u32);
prefix!(Ipv6Net, u128);

/// The routes of one family.
#[derive(Debug)]
pub(crate) struct Book<N: Prefix> {
    lists: Lists<N>,
    changed: Vec<N>,
    /// So many changed that nobody wrote down which.
    all_changed: bool,
    table: Table<N::Key>,
}

#[derive(Debug)]
struct Lists<N> {
    learned: BTreeMap<N, NextHopId>,
    fixed: BTreeMap<N, NextHopId>,
    /// Those of both lists that are broad ([`Key::BROAD`]).
    broad: BTreeSet<N>,
}

#[derive(Debug)]
enum Table<K> {
    Small(Arc<Ranges<K>>),
    Large(Box<Editor<K>>),
}

impl<N: Prefix> Book<N> {
    /// No routes.
    pub(crate) fn new() -> Self {
        Self {
            lists: Lists { learned: BTreeMap::new(), fixed: BTreeMap::new(), broad: BTreeSet::new() },
            changed: Vec::new(),
            all_changed: false,
            table: Table::Small(Arc::new(Ranges::new())),
        }
    }

    /// Sets what is fixed for `prefix`, or that nothing is; gives what was.
    pub(crate) fn fix(&mut self, prefix: N, id: Option<NextHopId>) -> Option<NextHopId> {
        let before = replace(&mut self.lists.fixed, prefix, id);
        self.follow(prefix, before != id);
        before
    }

    /// Sets what was learnt of `prefix`, or that it is gone; gives what was known before.
    pub(crate) fn learn(&mut self, prefix: N, id: Option<NextHopId>) -> Option<NextHopId> {
        let before = replace(&mut self.lists.learned, prefix, id);
        self.follow(prefix, before != id);
        before
    }

    fn follow(&mut self, prefix: N, changed: bool) {
        if changed {
            self.note(prefix);
            self.lists.index(prefix);
        }
    }

    pub(crate) const fn is_changed(&self) -> bool {
        self.all_changed || !self.changed.is_empty()
    }

    /// What was learnt of exactly this prefix.
    pub(crate) fn learned(&self, prefix: &N) -> Option<NextHopId> {
        self.lists.learned.get(prefix).copied()
    }

    /// Everything that was learnt, in order.
    pub(crate) fn all_learned(&self) -> impl Iterator<Item = (N, NextHopId)> {
        self.lists.learned.iter().map(|(prefix, id)| (*prefix, *id))
    }

    pub(crate) fn learned_len(&self) -> usize {
        self.lists.learned.len()
    }

    /// All prefixes for which something is fixed.
    pub(crate) fn all_fixed(&self) -> impl Iterator<Item = N> {
        self.lists.fixed.keys().copied()
    }

    pub(crate) fn is_fixed(&self, prefix: &N) -> bool {
        self.lists.fixed.contains_key(prefix)
    }

    /// The longest prefix that holds `address`, learnt or fixed.
    pub(crate) fn longest(&self, address: N::Key) -> Option<N> {
        let whole = N::new(address, N::Key::BITS);
        let longest = |list| longest(list, whole, 0).map(|(prefix, _)| prefix);
        longest(&self.lists.learned).max(longest(&self.lists.fixed))
    }

    /// The table of now. Costs in proportion to what changed.
    pub(super) fn renew(&mut self) -> Fib<N::Key> {
        let mut changed = core::mem::take(&mut self.changed);
        let all_changed = core::mem::take(&mut self.all_changed);
        let form = form(self.lists.len());
        match &mut self.table {
            Table::Large(editor) if !all_changed && form == Form::Trie(editor.is_flat()) => {
                if changed.iter().any(is_broad) {
                    editor.set_broad(flatten(self.lists.broad()));
                    changed.retain(|prefix| !is_broad(prefix));
                }
                editor.patch(&outermost(changed), &self.lists);
            }
            Table::Small(_) | Table::Large(_) => self.table = Table::build(self.lists.all()),
        }
        self.table.fib()
    }

    #[cfg(test)]
    pub(super) fn editor(&self) -> Option<&Editor<N::Key>> {
        match &self.table {
            Table::Large(editor) => Some(editor),
            Table::Small(_) => None,
        }
    }

    #[cfg(test)]
    pub(super) const fn source(&self) -> &impl Source<N::Key> {
        &self.lists
    }

    fn note(&mut self, prefix: N) {
        if self.all_changed {
            return;
        }
        self.changed.push(prefix);
        if self.changed.len() * PATCH_COSTS > self.lists.len() {
            self.all_changed = true;
            self.changed = Vec::new();
        }
    }
}

impl<N: Prefix> Lists<N> {
    fn index(&mut self, prefix: N) {
        if !is_broad(&prefix) {
            return;
        }
        if self.learned.contains_key(&prefix) || self.fixed.contains_key(&prefix) {
            self.broad.insert(prefix);
        } else {
            self.broad.remove(&prefix);
        }
    }
}

impl<N: Prefix> Source<N::Key> for Lists<N> {
    fn len(&self) -> usize {
        self.learned.len() + self.fixed.len()
    }

    fn all(&self) -> Vec<Route<N::Key>> {
        let mut all = Vec::with_capacity(self.len());
        all.extend(self.learned.iter().map(route));
        all.extend(self.fixed.iter().map(route));
        all
    }

    fn broad(&self) -> Vec<Route<N::Key>> {
        let of = |prefix| {
            self.fixed.get_key_value(prefix).or_else(|| self.learned.get_key_value(prefix)).map(route)
        };
        self.broad.iter().filter_map(of).collect()
    }

    fn inside(&self, span: Span<N::Key>) -> Vec<Route<N::Key>> {
        let from = N::new(span.first, N::Key::BITS - span.host_bits);
        let inside = |list: &BTreeMap<N, NextHopId>, all: &mut Vec<Route<N::Key>>| {
            let behind = list.range(from..).take_while(|(prefix, _)| prefix.address() <= span.last());
            all.extend(behind.map(route));
        };
        let mut all = Vec::new();
        inside(&self.learned, &mut all);
        inside(&self.fixed, &mut all);
        all
    }

    fn around(&self, span: Span<N::Key>) -> u32 {
        let Some(len) = (N::Key::BITS - span.host_bits).checked_sub(1) else { return NONE };
        let outer = N::new(span.first, len);
        let learned = longest(&self.learned, outer, N::Key::BROAD);
        let fixed = longest(&self.fixed, outer, N::Key::BROAD);
        // Of two for one prefix the fixed one, which comes last.
        let longer = [learned, fixed].into_iter().flatten().max_by_key(|(prefix, _)| *prefix);
        longer.map_or(NONE, |(_, id)| id.get())
    }
}

fn replace<N: Prefix>(
    list: &mut BTreeMap<N, NextHopId>,
    prefix: N,
    id: Option<NextHopId>,
) -> Option<NextHopId> {
    match id {
        Some(id) => list.insert(prefix, id),
        None => list.remove(&prefix),
    }
}

/// The longest prefix on the list that is `inner` or around it, of `shortest` bits at least.
///
/// In the order of the list a prefix around `inner` lies before it, and all between the two lies inside the outer one. So the one just
/// before `inner` is around it, or what is around both has no more bits than they share.
fn longest<N: Prefix>(list: &BTreeMap<N, NextHopId>, mut inner: N, shortest: u32) -> Option<(N, NextHopId)> {
    loop {
        let (before, id) = list.range((Bound::Unbounded, Bound::Included(inner))).next_back()?;
        let shared = (before.address() ^ inner.address()).leading_zeros().min(u32::from(inner.len()));
        if u32::from(before.len()) <= shared {
            return (u32::from(before.len()) >= shortest).then_some((*before, *id));
        }
        if shared < shortest {
            return None;
        }
        inner = N::new(inner.address(), shared);
    }
}

fn is_broad<N: Prefix>(prefix: &N) -> bool {
    u32::from(prefix.len()) < N::Key::BROAD
}

fn route<N: Prefix>((prefix, id): (&N, &NextHopId)) -> Route<N::Key> {
    Route::new(prefix.address(), prefix.len(), *id)
}

/// Those that lie in no other one, in order.
fn outermost<N: Prefix>(mut changed: Vec<N>) -> Vec<Span<N::Key>> {
    changed.sort_unstable();
    let mut spans: Vec<Span<N::Key>> = Vec::with_capacity(changed.len());
    for prefix in changed {
        if spans.last().is_none_or(|outer| outer.last() < prefix.address()) {
            spans.push(Span::new(prefix.address(), prefix.len()));
        }
    }
    spans
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    List,
    /// With a flat root?
    Trie(bool),
}

const fn form(routes: usize) -> Form {
    if routes <= SMALL { Form::List } else { Form::Trie(routes > LARGE) }
}

impl<K: Key> Table<K> {
    fn build(routes: Vec<Route<K>>) -> Self {
        match form(routes.len()) {
            Form::List => {
                let mut ranges = flatten(routes);
                ranges.shrink();
                Self::Small(Arc::new(ranges))
            }
            Form::Trie(is_flat) => {
                let (broad, others) = routes.into_iter().partition(Route::is_broad);
                Self::Large(Box::new(Editor::build(&flatten(others), flatten(broad), is_flat)))
            }
        }
    }

    fn fib(&mut self) -> Fib<K> {
        match self {
            Self::Small(ranges) => Fib::Small(Arc::clone(ranges)),
            Self::Large(editor) => Fib::Large(editor.share()),
        }
    }
}

/// The table of `routes`; of two for one prefix the later counts.
pub(super) fn build<K: Key>(routes: Vec<Route<K>>) -> Fib<K> {
    Table::build(routes).fib()
}
