//! Policy as values: prefix lists, conditions, changes. No language, no loops, no surprises.
//!
//! A policy is a list of statements; the first one that matches decides, and what it sets is set. What no
//! statement matches gets the policy's last word. So "by which line" always has one answer, which is what
//! an operator asks ([`Ruling`]). A statement sees the route as it is in the table; it cannot see what
//! another statement would do.

use crate::{
    types::Asn,
    wire::{
        as_path::AsPath,
        attributes::{Attributes, Origin},
        community::{Community, LargeCommunity},
    },
};
use core::fmt;
use net::IpNet;

/// One line of a prefix list: prefixes inside `net` with a length from `ge` to `le`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PrefixRule {
    /// The covering prefix.
    pub net: IpNet,
    /// Shortest length that matches.
    pub ge: u8,
    /// Longest length that matches.
    pub le: u8,
}

impl PrefixRule {
    /// Exactly `net`.
    pub fn exact(net: IpNet) -> Self {
        let net = net.trunc();
        Self { net, ge: net.prefix_len(), le: net.prefix_len() }
    }

    /// `net` and everything inside it.
    pub fn or_longer(net: IpNet) -> Self {
        let net = net.trunc();
        Self { net, ge: net.prefix_len(), le: net.max_prefix_len() }
    }

    /// True when `prefix` is meant.
    pub fn matches(&self, prefix: &IpNet) -> bool {
        (self.ge..=self.le).contains(&prefix.prefix_len()) && self.net.contains(prefix)
    }
}

/// A condition on the AS path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PathCondition {
    /// Holds this AS somewhere.
    Contains(Asn),
    /// Was originated by this AS.
    OriginatedBy(Asn),
    /// Came from this neighbouring AS.
    From(Asn),
    /// Is empty: originated here.
    Empty,
    /// Has at least this many hops.
    AtLeast(usize),
    /// Holds an AS reserved for private use (RFC 6996).
    ContainsPrivate,
}

impl PathCondition {
    fn matches(self, path: &AsPath) -> bool {
        match self {
            Self::Contains(asn) => path.count(asn) > 0,
            Self::OriginatedBy(asn) => path.origin() == Some(asn),
            Self::From(asn) => path.neighbor() == Some(asn),
            Self::Empty => path.is_empty(),
            Self::AtLeast(hops) => path.hops() >= hops,
            Self::ContainsPrivate => path.asns().any(Asn::is_private),
        }
    }
}

/// Where a route came from, as far as policy cares.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// Our own route.
    Local,
    /// A neighbour in our AS.
    Internal,
    /// A neighbour in another AS.
    External,
}

/// All of these must hold; an empty list holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Conditions {
    /// The prefix matches one of these lines; `None` for any prefix. An empty list matches nothing.
    pub prefixes: Option<Vec<PrefixRule>>,
    /// The route has one of these communities, if any are listed.
    pub communities: Vec<Community>,
    /// The route has one of these large communities, if any are listed.
    pub large_communities: Vec<LargeCommunity>,
    /// The AS path meets all of these.
    pub as_path: Vec<PathCondition>,
    /// The route came from here.
    pub source: Option<Source>,
    /// ORIGIN is this.
    pub origin: Option<Origin>,
}

impl Conditions {
    fn hold(&self, prefix: &IpNet, attributes: &Attributes, source: Source) -> bool {
        let large = || attributes.rare().large.iter().any(|one| self.large_communities.contains(one));
        self.source.is_none_or(|wanted| wanted == source)
            && self.origin.is_none_or(|wanted| wanted == attributes.origin)
            && self.prefixes.as_ref().is_none_or(|list| list.iter().any(|rule| rule.matches(prefix)))
            && (self.communities.is_empty()
                || attributes.communities.iter().any(|one| self.communities.contains(one)))
            && (self.large_communities.is_empty() || large())
            && self.as_path.iter().all(|condition| condition.matches(&attributes.as_path))
    }
}

/// What to do with MED.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MedChange {
    /// Set it.
    Set(u32),
    /// Take it off.
    Remove,
}

/// What to change on a route.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// LOCAL_PREF.
    pub local_pref: Option<u32>,
    /// MED.
    pub med: Option<MedChange>,
    /// Put our own AS in front this many times more (export), or the neighbour's (import).
    pub prepend: u8,
    /// ORIGIN.
    pub origin: Option<Origin>,
    /// Take all communities off first.
    pub clear_communities: bool,
    /// Take these off.
    pub remove_communities: Vec<Community>,
    /// Put these on.
    pub add_communities: Vec<Community>,
    /// Take these off.
    pub remove_large: Vec<LargeCommunity>,
    /// Put these on.
    pub add_large: Vec<LargeCommunity>,
}

impl Changes {
    /// Makes the changes; `asn` is what prepending puts in front.
    pub fn apply(&self, attributes: &mut Attributes, asn: Asn) {
        if self.local_pref.is_some() {
            attributes.local_pref = self.local_pref;
        }
        match self.med {
            Some(MedChange::Set(med)) => attributes.med = Some(med),
            Some(MedChange::Remove) => attributes.med = None,
            None => {}
        }
        attributes.origin = self.origin.unwrap_or(attributes.origin);
        if self.prepend > 0 {
            attributes.as_path = attributes.as_path.prepend(asn, self.prepend);
        }
        attributes.remove_communities(|one| self.clear_communities || self.remove_communities.contains(&one));
        self.add_communities.iter().for_each(|one| attributes.add_community(*one));
        if !self.remove_large.is_empty() || !self.add_large.is_empty() {
            attributes.change_rare(|rare| {
                let kept = rare.large.iter().filter(|one| !self.remove_large.contains(one)).copied();
                let mut large: Vec<_> = kept.collect();
                let fresh: Vec<_> =
                    self.add_large.iter().filter(|one| !large.contains(one)).copied().collect();
                large.extend(fresh);
                rare.large = large.into_boxed_slice();
            });
        }
    }
}

/// One line of a policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Statement {
    /// What to call it when somebody asks why.
    pub name: String,
    /// When it applies.
    pub when: Conditions,
    /// What it changes, if it accepts.
    pub set: Changes,
    /// Whether it accepts.
    pub accept: bool,
}

/// A policy for one direction of one peer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Policy {
    /// The first that matches decides.
    pub statements: Vec<Statement>,
    /// What happens when none matches.
    pub accept_otherwise: bool,
}

/// What a policy says about a route.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ruling {
    /// The statement that decided, counted from zero; `None` for the last word.
    pub line: Option<usize>,
    /// Whether the route is accepted.
    pub accept: bool,
}

impl Policy {
    /// A policy that accepts everything as it is.
    pub fn accept_all() -> Self {
        Self { statements: Vec::new(), accept_otherwise: true }
    }

    /// What it says about this route.
    pub fn rule(&self, prefix: &IpNet, attributes: &Attributes, source: Source) -> Ruling {
        let hit = |(line, statement): (usize, &Statement)| {
            let holds = statement.when.hold(prefix, attributes, source);
            holds.then_some(Ruling { line: Some(line), accept: statement.accept })
        };
        let found = self.statements.iter().enumerate().find_map(hit);
        found.unwrap_or(Ruling { line: None, accept: self.accept_otherwise })
    }

    /// Makes the changes of the line that decided.
    pub fn apply(&self, ruling: Ruling, attributes: &mut Attributes, asn: Asn) {
        if let Some(statement) = ruling.line.and_then(|line| self.statements.get(line)) {
            statement.set.apply(attributes, asn);
        }
    }

    /// The ruling in words.
    pub fn describe(&self, ruling: Ruling) -> RulingText<'_> {
        RulingText { policy: self, ruling }
    }
}

/// A ruling that can be printed. Made by [`Policy::describe`].
#[derive(Clone, Copy, Debug)]
pub struct RulingText<'a> {
    policy: &'a Policy,
    ruling: Ruling,
}

impl fmt::Display for RulingText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.ruling.accept { "accepted" } else { "refused" };
        match self.ruling.line.and_then(|line| Some((line, self.policy.statements.get(line)?))) {
            Some((line, statement)) => {
                write!(f, "{verdict} by line {} \"{}\"", line.saturating_add(1), statement.name)
            }
            None => write!(f, "{verdict} by default, no line matched"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::attributes::NextHop;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn route() -> Attributes {
        let mut attributes = Attributes::local(NextHop::V4([10, 0, 0, 1].into()));
        attributes.as_path = AsPath::sequence(&[Asn(65001), Asn(64512), Asn(3)]);
        attributes.communities = [Community::new(7224, 7100), Community::new(1, 1)].into();
        attributes
    }

    fn statement(name: &str, when: Conditions, accept: bool) -> Statement {
        Statement { name: name.to_owned(), when, set: Changes::default(), accept }
    }

    #[test]
    fn prefix_rules_match_by_net_and_length() {
        let rule = PrefixRule { net: net("10.0.0.0/8"), ge: 16, le: 24 };
        #[rustfmt::skip]
        let table = [
            ("10.1.0.0/16", true), ("10.1.1.0/24", true), ("10.0.0.0/8", false),
            ("10.1.1.0/25", false), ("11.0.0.0/16", false), ("::/16", false),
        ];
        for (prefix, expected) in table {
            assert_eq!(rule.matches(&net(prefix)), expected, "{prefix}");
        }
        assert!(PrefixRule::exact(net("10.0.0.0/8")).matches(&net("10.0.0.0/8")));
        assert!(!PrefixRule::exact(net("10.0.0.0/8")).matches(&net("10.0.0.0/9")));
        assert!(PrefixRule::or_longer(net("2001:db8::/32")).matches(&net("2001:db8::1/128")));
    }

    #[test]
    fn each_condition_can_say_no() {
        let (prefix, route) = (net("10.0.0.0/8"), route());
        #[rustfmt::skip]
        let table = [
            (Conditions::default(), true),
            (Conditions { prefixes: Some(vec![]), ..Default::default() }, false),
            (Conditions { prefixes: Some(vec![PrefixRule::exact(prefix)]), ..Default::default() }, true),
            (Conditions { communities: vec![Community::new(1, 1), Community::new(2, 2)], ..Default::default() }, true),
            (Conditions { communities: vec![Community::new(2, 2)], ..Default::default() }, false),
            (Conditions { large_communities: vec![LargeCommunity { global: 1, local1: 2, local2: 3 }], ..Default::default() }, false),
            (Conditions { as_path: vec![PathCondition::From(Asn(65001)), PathCondition::OriginatedBy(Asn(3))], ..Default::default() }, true),
            (Conditions { as_path: vec![PathCondition::Empty], ..Default::default() }, false),
            (Conditions { as_path: vec![PathCondition::AtLeast(3), PathCondition::ContainsPrivate], ..Default::default() }, true),
            (Conditions { as_path: vec![PathCondition::Contains(Asn(9))], ..Default::default() }, false),
            (Conditions { source: Some(Source::Local), ..Default::default() }, false),
            (Conditions { origin: Some(Origin::Igp), ..Default::default() }, true),
        ];
        for (when, expected) in table {
            assert_eq!(when.hold(&prefix, &route, Source::External), expected, "{when:?}");
        }
    }

    #[test]
    fn the_first_line_that_matches_decides_and_says_so() {
        let policy = Policy {
            statements: vec![
                statement(
                    "no default",
                    Conditions {
                        prefixes: Some(vec![PrefixRule::exact(net("0.0.0.0/0"))]),
                        ..Default::default()
                    },
                    false,
                ),
                statement("rest", Conditions::default(), true),
                statement("never", Conditions::default(), false),
            ],
            accept_otherwise: false,
        };
        let refused = policy.rule(&net("0.0.0.0/0"), &route(), Source::External);
        assert_eq!(policy.describe(refused).to_string(), "refused by line 1 \"no default\"");
        let accepted = policy.rule(&net("10.0.0.0/8"), &route(), Source::External);
        assert_eq!(policy.describe(accepted).to_string(), "accepted by line 2 \"rest\"");
        let silent = Policy::default();
        let ruling = silent.rule(&net("10.0.0.0/8"), &route(), Source::External);
        assert_eq!(silent.describe(ruling).to_string(), "refused by default, no line matched");
    }

    #[test]
    fn changes_are_made_in_their_order() {
        let mut attributes = route();
        let set = Changes {
            local_pref: Some(200),
            med: Some(MedChange::Set(50)),
            prepend: 2,
            origin: Some(Origin::Incomplete),
            remove_communities: vec![Community::new(1, 1)],
            add_communities: vec![Community::new(7224, 7300)],
            add_large: vec![LargeCommunity { global: 1, local1: 2, local2: 3 }],
            ..Default::default()
        };
        set.apply(&mut attributes, Asn(65002));
        assert_eq!(attributes.as_path.to_string(), "65002 65002 65001 64512 3");
        assert_eq!(
            (attributes.local_pref, attributes.med, attributes.origin),
            (Some(200), Some(50), Origin::Incomplete)
        );
        assert_eq!(*attributes.communities, [Community::new(7224, 7100), Community::new(7224, 7300)]);
        assert_eq!(attributes.rare().large.len(), 1);
        Changes { clear_communities: true, med: Some(MedChange::Remove), ..Default::default() }
            .apply(&mut attributes, Asn(1));
        assert_eq!((attributes.communities.len(), attributes.med), (0, None));
    }
}
