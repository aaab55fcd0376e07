//! Which member of a group carries a flow: resilient hashing.
//!
//! A flow's hash picks one of 512 buckets. Each bucket has an order of preference over all members, fixed when the
//! group is made; the first live one carries its flows. So a member that dies moves
//! the flows of its own buckets and no others, and when it returns only those come back.
//!
//! The orders come from weighted rendezvous hashing (every member draws a number per bucket, the best draw per
//! weight wins), held to exact shares: with all members live each has its share of the buckets by
//! weight, give or take one, and the buckets of a dead member are shared among the others just as exactly.
//! Without that, chance alone would load one of four equal members 10 % above its share.
//!
//! All of this happens when a group is made, which is on the control plane's time ([`Preferences`]). Members that come
//! and go change one word; per frame there is one look into a table, one more for each dead member in between.

use core::num::NonZeroU8;
use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::flow::fold;

/// Members that a group may have.
pub const MAX_MEMBERS: usize = 64;
/// Buckets of every group: a member's share is right to about 0.2 % of the traffic.
pub const BUCKETS: usize = 512;

/// How much of the traffic a member gets, against the other members' weights: 1..=255.
pub type Weight = NonZeroU8;

/// A member of a group: its position in the weights that the group was made with, below [`MAX_MEMBERS`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MemberIndex(u8);

impl MemberIndex {
    /// The member at `position`; `None` from [`MAX_MEMBERS`] on.
    pub fn new(position: usize) -> Option<Self> {
        u8::try_from(position).ok().filter(|_| position < MAX_MEMBERS).map(Self)
    }

    /// Its position.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Its position, to index a slice with.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Its bit in a set of members.
    pub fn bit(self) -> u64 {
        1_u64.checked_shl(u32::from(self.0)).unwrap_or(0)
    }
}

/// More than [`MAX_MEMBERS`] weights were given.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a group has at most {MAX_MEMBERS} members")]
pub struct TooManyMembers;

/// A bucket's members, most preferred first.
type Preference = ArrayVec<MemberIndex, MAX_MEMBERS>;

/// What each bucket prefers, for members of certain weights. It depends on nothing else, so groups of the same weights
/// can share one; it never changes, so they can across threads.
#[derive(Debug, Default)]
pub struct Preferences {
    /// By rank: the members that the buckets prefer most, then the next best ones, and so on. One rank is 512 octets in a
    /// row, and nearly all choices are made in the first.
    ranks: Vec<[MemberIndex; BUCKETS]>,
    members: u64,
}

impl Preferences {
    /// For one member per weight.
    ///
    /// # Errors
    /// [`TooManyMembers`] beyond [`MAX_MEMBERS`] weights.
    pub fn new(weights: &[Weight]) -> Result<Self, TooManyMembers> {
        let all: ArrayVec<MemberIndex, MAX_MEMBERS> = (0..weights.len())
            .map(|at| MemberIndex::new(at).ok_or(TooManyMembers))
            .collect::<Result<_, _>>()?;
        let mut ranks = vec![[MemberIndex(0); BUCKETS]; all.len()];
        for (bucket, preference) in preferences(weights, &all).iter().enumerate() {
            for (rank, member) in ranks.iter_mut().zip(preference) {
                if let Some(place) = rank.get_mut(bucket) {
                    *place = *member;
                }
            }
        }
        Ok(Self { ranks, members: all.iter().fold(0, |set, member| set | member.bit()) })
    }

    /// The member of `live` (bit `i` for member `i`) that carries flows with this hash; `None` when none is live.
    #[inline]
    pub fn choose(&self, live: u64, hash: u32) -> Option<MemberIndex> {
        let bucket = usize::try_from(hash).unwrap_or(0) % BUCKETS;
        let preferred = self.ranks.iter().filter_map(|rank| rank.get(bucket).copied());
        preferred.into_iter().find(|member| member.bit() & live != 0)
    }
}

/// Members that share the flows. No member is live until [`set_live`](Self::set_live) says so.
#[derive(Clone, Debug)]
pub struct Group {
    preferences: Arc<Preferences>,
    live: u64,
}

impl Group {
    /// A group with one member per weight; with none it never chooses anything.
    ///
    /// # Errors
    /// [`TooManyMembers`] beyond [`MAX_MEMBERS`] weights.
    pub fn new(weights: &[Weight]) -> Result<Self, TooManyMembers> {
        Ok(Self { preferences: Arc::new(Preferences::new(weights)?), live: 0 })
    }

    /// Sets which members are live: bit `i` for member `i`; bits of members that do not exist are ignored. True when that changed anything.
    pub fn set_live(&mut self, live: u64) -> bool {
        let live = live & self.preferences.members;
        core::mem::replace(&mut self.live, live) != live
    }

    /// The live members, one bit each.
    pub const fn live(&self) -> u64 {
        self.live
    }

    /// The member that carries flows with this hash (see [`crate::flow::flow_hash`]); `None` when no member is live.
    #[inline]
    pub fn choose(&self, hash: u32) -> Option<MemberIndex> {
        self.preferences.choose(self.live, hash)
    }

    /// How many of the [`BUCKETS`] `member` carries now: its share of the flows.
    pub fn share(&self, member: MemberIndex) -> usize {
        let buckets = 0..u32::try_from(BUCKETS).unwrap_or(0);
        buckets.filter(|&bucket| self.choose(bucket) == Some(member)).count()
    }
}

/// Buckets whose preferences agree so far, and the members that they have not placed yet.
struct Part {
    buckets: Vec<usize>,
    left: ArrayVec<MemberIndex, MAX_MEMBERS>,
}

/// The preferences of all buckets: the members share the buckets by weight, then within the buckets of each member
/// the others share them as its successors, and so on until all are placed.
fn preferences(weights: &[Weight], all: &[MemberIndex]) -> Vec<Preference> {
    let mut preferences = vec![Preference::new(); BUCKETS];
    let mut parts = vec![Part { buckets: (0..BUCKETS).collect(), left: all.iter().copied().collect() }];
    while let Some(part) = parts.pop() {
        for (member, buckets) in share_out(&part, weights) {
            for &bucket in &buckets {
                if let Some(preference) = preferences.get_mut(bucket) {
                    preference.push(member);
                }
            }
            let left = part.left.iter().copied().filter(|&other| other != member).collect();
            parts.push(Part { buckets, left });
        }
    }
    preferences
}

/// Gives each bucket of `part` to one of the members that are left: their shares are exact, and among those whose
/// share is not used up the best draw wins the bucket.
fn share_out(part: &Part, weights: &[Weight]) -> Vec<(MemberIndex, Vec<usize>)> {
    let weight =
        |member: MemberIndex| weights.get(member.index()).map_or(1, |weight| u64::from(weight.get()));
    let mut quotas = quotas(part, weight);
    let mut given: Vec<_> = part.left.iter().map(|&member| (member, Vec::new())).collect();
    for &bucket in &part.buckets {
        let open = quotas.iter_mut().zip(&mut given).filter(|(quota, _)| **quota > 0);
        let best = open.min_by(|(_, (a, _)), (_, (b, _))| {
            draw(bucket, *a, weight(*a)).total_cmp(&draw(bucket, *b, weight(*b)))
        });
        if let Some((quota, (_, buckets))) = best {
            *quota -= 1;
            buckets.push(bucket);
        }
    }
    given.retain(|(_, buckets)| !buckets.is_empty());
    given
}

/// How many buckets of `part` each member that is left gets: its share by weight, rounded up or down such that all
/// add up. Where rounding starts is drawn (systematic sampling), so that no member gains by its position.
fn quotas(part: &Part, weight: impl Fn(MemberIndex) -> u64) -> ArrayVec<u64, MAX_MEMBERS> {
    let buckets = u64::try_from(part.buckets.len()).unwrap_or(0);
    let total: u64 = part.left.iter().map(|&member| weight(member)).sum();
    let first = part.buckets.first().and_then(|&bucket| u64::try_from(bucket).ok()).unwrap_or(0);
    let members = part.left.iter().fold(0, |set, member| set | member.bit());
    let offset = mix(first ^ members.rotate_left(17)).checked_rem(total).unwrap_or(0);
    let mut heavier = 0;
    let mut up_to = |weight: u64| {
        heavier += weight;
        (buckets * heavier + offset).checked_div(total).unwrap_or(0)
    };
    let mut before = up_to(0);
    part.left
        .iter()
        .map(|&member| {
            let here = up_to(weight(member));
            here - core::mem::replace(&mut before, here)
        })
        .collect()
}

/// What `member` draws for `bucket`; the lowest wins, each member in proportion to its weight
/// (exponentially distributed with the weight as rate: Efraimidis and Spirakis 2006).
fn draw(bucket: usize, member: MemberIndex, weight: u64) -> f64 {
    let [a, b, c, d, ..] =
        mix(u64::try_from(bucket).unwrap_or(0) << 8 | u64::from(member.get())).to_be_bytes();
    let uniform = (f64::from(u32::from_be_bytes([a, b, c, d])) + 0.5) / 4_294_967_296.0;
    -uniform.ln() / u32::try_from(weight).map_or(1.0, f64::from)
}

/// All bits of the result depend on all bits of `number`.
fn mix(number: u64) -> u64 {
    let once = fold(number ^ 0x2545_f491_4f6c_dd1d, 0x9e37_79b9_7f4a_7c15);
    fold(once ^ 0xd6e8_feb8_6659_fd93, 0xa076_1d64_78bd_642f)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weights(weights: &[u8]) -> Vec<Weight> {
        weights.iter().map(|&weight| Weight::new(weight).unwrap()).collect()
    }

    fn group(given: &[u8], live: u64) -> Group {
        let mut group = Group::new(&weights(given)).unwrap();
        group.set_live(live);
        group
    }

    /// What each bucket chooses.
    fn choices(group: &Group) -> Vec<Option<MemberIndex>> {
        (0..u32::try_from(BUCKETS).unwrap()).map(|hash| group.choose(hash)).collect()
    }

    fn shares(group: &Group, members: usize) -> Vec<usize> {
        (0..members).map(|at| group.share(MemberIndex::new(at).unwrap())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_death_moves_its_own_buckets_and_a_return_brings_them_back(
            given in prop::collection::vec(1_u8..=255, 1..=12),
            live: u64,
            victim in 0_usize..12,
        ) {
            let victim = MemberIndex::new(victim % given.len()).unwrap();
            let mut group = group(&given, live | victim.bit());
            let before = choices(&group);
            let all = group.live();
            prop_assert!(group.set_live(all & !victim.bit()));
            for (before, after) in before.iter().zip(choices(&group)) {
                if *before == Some(victim) {
                    prop_assert_ne!(after, Some(victim));
                    prop_assert_eq!(after.is_some(), group.live() != 0);
                } else {
                    prop_assert_eq!(*before, after);
                }
            }
            prop_assert!(group.set_live(all));
            prop_assert_eq!(choices(&group), before);
        }

        #[test]
        fn choices_depend_on_who_lives_and_not_on_what_happened(
            given in prop::collection::vec(1_u8..=255, 0..=12),
            history in prop::collection::vec(any::<u64>(), 0..8),
            live: u64,
        ) {
            let fresh = group(&given, live);
            let mut old = group(&given, 0);
            history.iter().chain([&live]).for_each(|&live| {
                old.set_live(live);
            });
            prop_assert_eq!(choices(&old), choices(&fresh));
            prop_assert_eq!(old.live(), fresh.live());
            for choice in choices(&fresh).into_iter().flatten() {
                prop_assert_ne!(choice.bit() & fresh.live(), 0, "a dead member was chosen");
            }
        }

        #[test]
        fn with_all_live_each_has_its_share_give_or_take_one(given in prop::collection::vec(1_u8..=255, 1..=64)) {
            let group = group(&given, u64::MAX);
            let total: usize = given.iter().map(|&weight| usize::from(weight)).sum();
            for (share, &weight) in shares(&group, given.len()).into_iter().zip(&given) {
                let exact = BUCKETS * usize::from(weight);
                prop_assert!(share * total < exact + total && exact < (share + 1) * total, "{share} for {weight} of {total}");
            }
        }
    }

    #[test]
    fn the_load_of_a_dead_member_is_shared_as_exactly() {
        for (weights, live, right) in [
            (&[1, 1, 1, 1][..], 0b1111, &[128, 128, 128, 128][..]),
            (&[1, 1, 1, 1], 0b1101, &[171, 0, 171, 170]),
            (&[3, 1, 1], 0b111, &[307, 102, 103]),
            (&[3, 1, 1], 0b101, &[384, 0, 128]),
            (&[3, 1, 1], 0b110, &[0, 256, 256]),
        ] {
            let shares = shares(&group(weights, live), weights.len());
            for (share, right) in shares.iter().zip(right) {
                assert!(share.abs_diff(*right) <= 1, "{weights:?} {live:#b}: {shares:?}, not about {right}");
            }
        }
    }

    #[test]
    fn two_deaths_leave_a_fair_rest() {
        let shares = shares(&group(&[1; 8], 0b1010_1111), 8);
        // 85.3 each; the third choice is made in groups of about nine buckets, each off by less than one.
        assert!(shares.iter().all(|&share| share == 0 || (78..=93).contains(&share)), "{shares:?}");
        assert_eq!(shares.iter().sum::<usize>(), BUCKETS);
    }

    #[test]
    fn no_member_gains_by_its_position() {
        // Most members are dead, so choices come from deep in the preferences, where parts are single buckets.
        let shares = shares(&group(&[1; 32], 0xc000_0003), 32);
        for at in [0, 1, 30, 31] {
            assert!((100..=156).contains(&shares[at]), "{shares:?}");
        }
    }

    #[test]
    fn a_change_is_told_once_and_unknown_members_are_ignored() {
        let mut group = group(&[1, 1], 0);
        assert_eq!(group.choose(7), None);
        assert!(group.set_live(0b101));
        assert!(!group.set_live(0b1001));
        assert_eq!((group.live(), group.choose(7)), (1, MemberIndex::new(0)));
        let mut nobody = Group::new(&[]).unwrap();
        assert!(!nobody.set_live(u64::MAX));
        assert_eq!(nobody.choose(1), None);
    }

    #[test]
    fn sixty_four_members_and_no_more() {
        let group = group(&[1; MAX_MEMBERS], u64::MAX);
        assert!(shares(&group, MAX_MEMBERS).iter().all(|&share| share == 8));
        assert_eq!(Group::new(&weights(&[1; MAX_MEMBERS + 1])).err(), Some(TooManyMembers));
    }
}
