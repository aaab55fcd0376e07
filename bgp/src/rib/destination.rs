//! Everything known about one prefix: the paths to it, the ones in use first.

use super::PeerId;
use crate::{
    decision::{self, Candidate, DecisionRules, Outcome, PeerFacts},
    wire::attributes::Attributes,
};
use core::slice;
use std::sync::Arc;

/// A route of one peer to one prefix: its Adj-RIB-In entry and, once accepted, its Loc-RIB candidate.
#[derive(Clone, Debug)]
pub struct Path {
    /// As it was received.
    pub received: Arc<Attributes>,
    /// As it came out of import; `None` when import refused it.
    pub accepted: Option<Arc<Attributes>>,
    /// When it came, in whole seconds since the start.
    pub since: u32,
    /// From whom.
    pub peer: PeerId,
    /// The peer's epoch when it came; a path of an earlier epoch is stale.
    pub epoch: u8,
}

const _: () = assert!(size_of::<Path>() == 24, "a million of these are in memory");

#[derive(Clone, Debug)]
enum Paths {
    One(Path),
    Many(Box<[Path]>),
}

const _: () = assert!(size_of::<Paths>() == 24, "one path needs no allocation of its own");

/// The paths to one prefix. Never empty while in a table.
#[derive(Clone, Debug)]
pub struct Destination {
    paths: Paths,
    /// How many paths at the front are in use; the first of them is the best.
    used: u8,
}

/// How to rank the paths.
#[derive(Clone, Copy, Debug)]
pub struct Ranking<'a> {
    /// What is known of each peer, by number.
    pub facts: &'a [PeerFacts],
    /// How to choose.
    pub rules: &'a DecisionRules,
}

/// The paths in use, to see whether they changed.
#[derive(Debug, Eq, PartialEq)]
struct InUse(Option<Mark>, Vec<Mark>);

/// Who, and which attributes. Attributes are interned: the same place means the same value.
type Mark = (PeerId, *const Attributes);

impl Destination {
    /// A destination with its first path.
    pub fn new(path: Path) -> Self {
        let used = u8::from(path.accepted.is_some());
        Self { paths: Paths::One(path), used }
    }

    /// All paths, those in use first.
    pub fn paths(&self) -> &[Path] {
        match &self.paths {
            Paths::One(path) => slice::from_ref(path),
            Paths::Many(paths) => paths,
        }
    }

    /// The paths that carry traffic.
    pub fn in_use(&self) -> &[Path] {
        self.paths().get(..usize::from(self.used)).unwrap_or_default()
    }

    /// The path that others are told about.
    pub fn best(&self) -> Option<&Path> {
        self.in_use().first()
    }

    /// The path of `peer`.
    pub fn of(&self, peer: PeerId) -> Option<&Path> {
        self.paths().iter().find(|path| path.peer == peer)
    }

    /// Puts `path` in, in place of the one of the same peer. True when the paths in use changed.
    pub fn insert(&mut self, path: Path, ranking: Ranking<'_>) -> bool {
        let before = self.mark();
        match self.paths_mut().iter_mut().find(|other| other.peer == path.peer) {
            Some(other) => {
                // A route that is only repeated is as old as it was.
                let same = Arc::ptr_eq(&other.received, &path.received);
                *other = Path { since: if same { other.since } else { path.since }, ..path };
            }
            None => self.push(path),
        }
        self.rank(ranking);
        before != self.mark()
    }

    /// Takes the paths out that `condemned` names. Gives how many, and whether the paths in use changed;
    /// the destination may be empty then.
    pub fn remove(&mut self, condemned: impl Fn(&Path) -> bool, ranking: Ranking<'_>) -> (usize, bool) {
        let count = self.paths().iter().filter(|path| condemned(path)).count();
        if count == 0 {
            return (0, false);
        }
        let before = self.mark();
        let kept: Box<[Path]> = self.paths().iter().filter(|path| !condemned(path)).cloned().collect();
        self.paths = Paths::Many(kept);
        self.shrink();
        self.rank(ranking);
        (count, before != self.mark())
    }

    /// Changes what import made of the path of `peer`. True when the paths in use changed.
    pub fn reconsider(
        &mut self,
        peer: PeerId,
        import: impl FnOnce(&Path) -> Option<Arc<Attributes>>,
        ranking: Ranking<'_>,
    ) -> bool {
        let before = self.mark();
        match self.paths_mut().iter_mut().find(|path| path.peer == peer) {
            Some(path) => path.accepted = import(path),
            None => return false,
        }
        self.rank(ranking);
        before != self.mark()
    }

    /// Ranks again, after something about peers or rules changed. True when the paths in use changed.
    pub fn rerank(&mut self, ranking: Ranking<'_>) -> bool {
        let before = self.mark();
        self.rank(ranking);
        before != self.mark()
    }

    /// True when there are no paths left.
    pub fn is_empty(&self) -> bool {
        self.paths().is_empty()
    }

    /// The candidates among the paths, for the decision and for explanations.
    pub fn candidates<'a>(&'a self, facts: &'a [PeerFacts]) -> Vec<Candidate<'a>> {
        self.paths().iter().filter_map(|path| candidate(path, facts)).collect()
    }

    fn paths_mut(&mut self) -> &mut [Path] {
        match &mut self.paths {
            Paths::One(path) => slice::from_mut(path),
            Paths::Many(paths) => paths,
        }
    }

    fn push(&mut self, path: Path) {
        let mut all = Vec::with_capacity(self.paths().len().saturating_add(1));
        all.extend_from_slice(self.paths());
        all.push(path);
        self.paths = Paths::Many(all.into_boxed_slice());
    }

    /// A single path needs no box.
    fn shrink(&mut self) {
        if let Paths::Many(paths) = &self.paths
            && let [only] = &**paths
        {
            self.paths = Paths::One(only.clone());
        }
    }

    fn mark(&self) -> InUse {
        let mark = |path: &Path| (path.peer, path.accepted.as_ref().map_or(core::ptr::null(), Arc::as_ptr));
        let (best, others) = match self.in_use() {
            [] => (None, &[][..]),
            [best, others @ ..] => (Some(mark(best)), others),
        };
        InUse(best, others.iter().map(mark).collect())
    }

    /// Sorts the paths: best, used beside it, others; and counts those in use.
    fn rank(&mut self, ranking: Ranking<'_>) {
        if let [only] = self.paths() {
            self.used = u8::from(only.accepted.is_some());
            return;
        }
        let outcomes = decision::decide(&self.candidates(ranking.facts), ranking.rules);
        let places: Vec<_> =
            self.candidates(ranking.facts).iter().map(|one| one.peer).zip(outcomes).collect();
        let place = |path: &Path| {
            let outcome = places.iter().find(|(peer, _)| *peer == path.peer).map(|(_, outcome)| *outcome);
            let class = match outcome {
                Some(Outcome::Best) => 0,
                Some(Outcome::Multipath(_)) => 1,
                Some(Outcome::Lost(_)) => 2,
                None => 3,
            };
            (class, path.peer)
        };
        let used = places.iter().filter(|(_, outcome)| !matches!(outcome, Outcome::Lost(_))).count();
        self.paths_mut().sort_by_key(place);
        self.used = u8::try_from(used).unwrap_or(u8::MAX);
    }
}

fn candidate<'a>(path: &'a Path, facts: &[PeerFacts]) -> Option<Candidate<'a>> {
    let attributes = path.accepted.as_deref()?;
    let facts = *facts.get(path.peer.index())?;
    Some(Candidate { peer: path.peer, attributes, facts })
}
