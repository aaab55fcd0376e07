//! Which route to use: RFC 4271 clause 9.1.2.2 as a pure function that also says why.
//!
//! The candidates stand in a row; each rule sends some away, until one is left. MED is only compared among
//! routes from the same neighbouring AS, so there is no order between any two routes: a rule looks at all
//! that are still standing, and never at a pair alone. Candidates that came through all rules up to the
//! tie-breakers may be used together (multipath).

use crate::{rib::PeerId, types::Asn, wire::attributes::Attributes};
use core::{fmt, net::IpAddr};

/// What the decision needs to know of where a route came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerFacts {
    /// The neighbour is in our AS.
    pub internal: bool,
    /// The peer's identifier, as a number.
    pub router_id: u32,
    /// The peer's address.
    pub address: IpAddr,
    /// The peer's AS.
    pub asn: Asn,
}

/// How to choose.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DecisionRules {
    /// Compare MED whatever AS the routes come from.
    pub always_compare_med: bool,
    /// A route without MED is worse than any with one; otherwise it counts as zero.
    pub missing_med_is_worst: bool,
    /// The most routes to use at once; 1 switches multipath off.
    pub max_paths: u8,
    /// Routes may be used together although they come from different neighbouring ASes.
    pub multipath_across_as: bool,
}

impl Default for DecisionRules {
    fn default() -> Self {
        Self {
            always_compare_med: false,
            missing_med_is_worst: false,
            max_paths: 16,
            multipath_across_as: false,
        }
    }
}

/// A route that could be used.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Where it came from.
    pub peer: PeerId,
    /// What it carries, after import.
    pub attributes: &'a Attributes,
    /// About its peer.
    pub facts: PeerFacts,
}

/// The rule that decided against a route.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Rule {
    /// A route of our own comes first.
    Local,
    /// Higher LOCAL_PREF.
    LocalPref,
    /// Shorter AS_PATH (clause 9.1.2.2 a).
    AsPathLength,
    /// Lower ORIGIN (b).
    Origin,
    /// Lower MED from the same neighbouring AS (c).
    Med,
    /// External before internal (d).
    External,
    /// Lower identifier of the peer, or of the originator (f; RFC 4456 section 9).
    RouterId,
    /// Shorter CLUSTER_LIST (RFC 4456 section 9).
    ClusterList,
    /// Lower address of the peer (g).
    PeerAddress,
    /// Peers with the same address on different interfaces: the one configured first.
    PeerNumber,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "our own route comes first",
            Self::LocalPref => "lower local preference",
            Self::AsPathLength => "longer AS path",
            Self::Origin => "worse origin",
            Self::Med => "higher MED from the same AS",
            Self::External => "internal, and an external route is there",
            Self::RouterId => "higher router identifier",
            Self::ClusterList => "longer cluster list",
            Self::PeerAddress => "higher peer address",
            Self::PeerNumber => "peer was configured later",
        })
    }
}

/// What became of a candidate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It is the one that is announced to others.
    Best,
    /// It carries traffic beside the best one; `Rule` is the tie-breaker that kept it from being that.
    Multipath(Rule),
    /// It is not used, because of this rule.
    Lost(Rule),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Best => f.write_str("best"),
            Self::Multipath(_) => f.write_str("used beside the best"),
            Self::Lost(rule) => write!(f, "not used: {rule}"),
        }
    }
}

/// The outcome for each of `candidates`, in their order.
pub fn decide(candidates: &[Candidate<'_>], rules: &DecisionRules) -> Vec<Outcome> {
    let mut row = Row { candidates, lost: vec![None; candidates.len()] };
    row.keep_lowest(Rule::Local, |one| one.peer != PeerId::LOCAL);
    row.keep_lowest(Rule::LocalPref, |one| u32::MAX - one.attributes.preference());
    row.keep_lowest(Rule::AsPathLength, |one| one.attributes.as_path.hops());
    row.keep_lowest(Rule::Origin, |one| one.attributes.origin);
    row.compare_meds(rules);
    row.keep_lowest(Rule::External, |one| one.facts.internal);
    // Clause 9.1.2.2 e, the interior cost, is the same for all: next hops are on attached networks.
    let equals = row.lost.clone();
    row.keep_lowest(Rule::RouterId, |one| tie_breakers(one).0);
    row.keep_lowest(Rule::ClusterList, |one| tie_breakers(one).1);
    row.keep_lowest(Rule::PeerAddress, |one| tie_breakers(one).2);
    row.keep_lowest(Rule::PeerNumber, |one| tie_breakers(one).3);
    row.outcomes(&equals, rules)
}

struct Row<'a> {
    candidates: &'a [Candidate<'a>],
    lost: Vec<Option<Rule>>,
}

impl Row<'_> {
    fn standing(&self) -> impl Iterator<Item = &Candidate<'_>> {
        let pairs = self.candidates.iter().zip(&self.lost);
        pairs.filter(|(_, lost)| lost.is_none()).map(|(candidate, _)| candidate)
    }

    fn keep_lowest<K: Ord>(&mut self, rule: Rule, key: impl Fn(&Candidate<'_>) -> K) {
        let Some(lowest) = self.standing().map(&key).min() else { return };
        for (candidate, lost) in self.candidates.iter().zip(&mut self.lost) {
            if lost.is_none() && key(candidate) > lowest {
                *lost = Some(rule);
            }
        }
    }

    fn compare_meds(&mut self, rules: &DecisionRules) {
        let missing = if rules.missing_med_is_worst { u64::from(u32::MAX) + 1 } else { 0 };
        let med = |one: &Candidate<'_>| one.attributes.med.map_or(missing, u64::from);
        if rules.always_compare_med {
            return self.keep_lowest(Rule::Med, med);
        }
        let rivals: Vec<_> =
            self.standing().map(|one| (one.attributes.as_path.neighbor(), med(one))).collect();
        for (candidate, lost) in self.candidates.iter().zip(&mut self.lost) {
            let neighbor = candidate.attributes.as_path.neighbor();
            let beaten = rivals.iter().any(|(other, value)| *other == neighbor && *value < med(candidate));
            if lost.is_none() && beaten {
                *lost = Some(Rule::Med);
            }
        }
    }

    fn outcomes(&self, equals: &[Option<Rule>], rules: &DecisionRules) -> Vec<Outcome> {
        let best = self.standing().next();
        let neighbor = best.and_then(|best| best.attributes.as_path.neighbor());
        let beside = best.is_some_and(|best| best.peer != PeerId::LOCAL);
        let fits = |one: &Candidate<'_>| {
            beside && (rules.multipath_across_as || one.attributes.as_path.neighbor() == neighbor)
        };
        let equal = self.candidates.iter().zip(equals).filter(|(_, lost)| lost.is_none());
        let mut together: Vec<_> =
            equal.filter(|(one, _)| fits(one)).map(|(one, _)| tie_breakers(one)).collect();
        // The limit takes the first by the tie-breakers, whatever order the candidates stand in.
        together.sort_unstable();
        together.truncate(usize::from(rules.max_paths.max(1)));
        let outcome = |(candidate, lost): (&Candidate<'_>, &Option<Rule>)| match *lost {
            None => Outcome::Best,
            Some(rule) if together.contains(&tie_breakers(candidate)) => Outcome::Multipath(rule),
            Some(rule) => Outcome::Lost(rule),
        };
        self.candidates.iter().zip(&self.lost).map(outcome).collect()
    }
}

/// What decides among routes that are equally good; the number of the peer makes it unique.
fn tie_breakers(one: &Candidate<'_>) -> (u32, usize, IpAddr, PeerId) {
    let rare = one.attributes.rare();
    let router_id = rare.originator.map_or(one.facts.router_id, u32::from);
    (router_id, rare.clusters.len(), one.facts.address, one.peer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{
        as_path::AsPath,
        attributes::{NextHop, Origin},
    };
    use core::net::Ipv4Addr;

    fn route(path: &[u32]) -> Attributes {
        let mut attributes = Attributes::local(NextHop::V4(Ipv4Addr::new(10, 0, 0, 1)));
        attributes.as_path = AsPath::sequence(&path.iter().copied().map(Asn).collect::<Vec<_>>());
        attributes
    }

    fn from(peer: u16, attributes: &Attributes) -> Candidate<'_> {
        let address = Ipv4Addr::from(0x0a00_0000 + u32::from(peer)).into();
        let facts = PeerFacts { internal: false, router_id: u32::from(peer), address, asn: Asn(65001) };
        Candidate { peer: PeerId(peer), attributes, facts }
    }

    fn with(change: impl FnOnce(&mut Attributes)) -> Attributes {
        let mut attributes = route(&[65001, 65009]);
        change(&mut attributes);
        attributes
    }

    // Clause 9.1.2.2: each line differs from the plain route in one thing, which decides against it.
    #[test]
    fn each_rule_decides_in_its_turn() {
        let plain = with(|_| {});
        let table = [
            (with(|route| route.local_pref = Some(99)), Rule::LocalPref),
            (route(&[65001, 65008, 65009]), Rule::AsPathLength),
            (with(|route| route.origin = Origin::Egp), Rule::Origin),
            (with(|route| route.med = Some(1)), Rule::Med),
        ];
        for (worse, rule) in &table {
            // The worse one has the lower identifier, so only the rule can be the reason.
            let outcomes = decide(&[from(1, worse), from(2, &plain)], &DecisionRules::default());
            assert_eq!(outcomes, [Outcome::Lost(*rule), Outcome::Best]);
        }
        let mut internal = from(1, &plain);
        internal.facts.internal = true;
        let outcomes = decide(&[internal, from(2, &plain)], &DecisionRules::default());
        assert_eq!(outcomes, [Outcome::Lost(Rule::External), Outcome::Best]);
        let local = with(|route| route.local_pref = Some(1));
        let outcomes = decide(&[from(1, &plain), from(0, &local)], &DecisionRules::default());
        assert_eq!(outcomes, [Outcome::Lost(Rule::Local), Outcome::Best]);
    }

    // Clause 9.1.2.2 f and g; what ties up to there is used together.
    #[test]
    fn tie_breakers_choose_the_best_among_equals() {
        let plain = with(|_| {});
        let single = DecisionRules { max_paths: 1, ..DecisionRules::default() };
        let (one, two) = (from(1, &plain), from(2, &plain));
        assert_eq!(decide(&[two, one], &single), [Outcome::Lost(Rule::RouterId), Outcome::Best]);
        assert_eq!(
            decide(&[two, one], &DecisionRules::default()),
            [Outcome::Multipath(Rule::RouterId), Outcome::Best]
        );
        let mut same_id = two;
        same_id.facts.router_id = 1;
        assert_eq!(decide(&[same_id, one], &single), [Outcome::Lost(Rule::PeerAddress), Outcome::Best]);
        same_id.facts.address = one.facts.address;
        assert_eq!(decide(&[same_id, one], &single), [Outcome::Lost(Rule::PeerNumber), Outcome::Best]);
    }

    // Clause 9.1.2.2 c: MED does not order routes of different ASes, so adding one can change the choice
    // between two others. The outcome must not depend on the order in which they stand.
    #[test]
    fn med_is_compared_within_one_neighbouring_as_and_in_any_order() {
        let a = with(|route| route.med = Some(10));
        let mut b = route(&[65002, 65009]);
        b.med = Some(20);
        let c = with(|route| route.med = Some(5));
        let single = DecisionRules { max_paths: 1, ..DecisionRules::default() };
        let all = [from(1, &a), from(2, &b), from(3, &c)];
        let expected = [Outcome::Lost(Rule::Med), Outcome::Best, Outcome::Lost(Rule::RouterId)];
        assert_eq!(decide(&all, &single), expected);
        let turned = [all[2], all[1], all[0]];
        assert_eq!(decide(&turned, &single), [expected[2], expected[1], expected[0]]);
        let always = DecisionRules { always_compare_med: true, ..single };
        assert_eq!(decide(&all, &always)[2], Outcome::Best);
    }

    #[test]
    fn a_missing_med_is_zero_or_worst() {
        let (none, some) = (with(|_| {}), with(|route| route.med = Some(7)));
        let worst = DecisionRules { missing_med_is_worst: true, ..DecisionRules::default() };
        assert_eq!(decide(&[from(1, &none), from(2, &some)], &DecisionRules::default())[0], Outcome::Best);
        assert_eq!(decide(&[from(1, &none), from(2, &some)], &worst)[1], Outcome::Best);
    }

    #[test]
    fn multipath_stays_within_its_limits() {
        let (plain, other) = (with(|_| {}), route(&[65002, 65009]));
        let all = [from(1, &plain), from(2, &plain), from(3, &plain), from(4, &other)];
        let two = DecisionRules { max_paths: 2, ..DecisionRules::default() };
        let kinds = |outcomes: Vec<Outcome>| {
            outcomes.into_iter().filter(|outcome| !matches!(outcome, Outcome::Lost(_))).count()
        };
        assert_eq!(kinds(decide(&all, &two)), 2);
        let turned = [all[2], all[1], all[0]];
        let lost = Outcome::Lost(Rule::RouterId);
        assert_eq!(decide(&turned, &two), [lost, Outcome::Multipath(Rule::RouterId), Outcome::Best]);
        assert_eq!(kinds(decide(&all, &DecisionRules::default())), 3);
        let across = DecisionRules { multipath_across_as: true, ..DecisionRules::default() };
        assert_eq!(kinds(decide(&all, &across)), 4);
    }
}
