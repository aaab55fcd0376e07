//! `active-standby`: one member carries everything; the others wait.
//!
//! Rules, in this order:
//! 1. When the active member dies, the most preferred *settled* live one takes over at once; when none is settled,
//!    the most preferred live one: any path is better than none.
//! 2. A more preferred member takes over again (reverts) after it has been live without a break for the revert delay and the
//!    hold-down.
//! 3. Nothing else moves traffic.
//!
//! A member that failed is not settled before it has been live for the hold-down. One that never failed is settled and may
//! revert as soon as it is live: at the start links come up in any order, and that is no reason to wait.
//!
//! So a link that flaps faster than hold-down and revert delay carries no traffic while another one is settled: each
//! failure of it moves traffic at most once, and reverts happen at most once in a revert delay.

use core::time::Duration;

use net::{
    Instant,
    carry::{Carry, Opened, Parcel},
    earliest,
};

use super::{Preference, best, bit};
use crate::group::MAX_MEMBERS;

/// How patient the choice is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StandbyParams {
    /// How long a member that failed must be live before it is trusted.
    pub hold_down: Duration,
    /// How long a more preferred member must be live before traffic goes back to it; `None`: it stays where it is.
    pub revert_delay: Option<Duration>,
}

impl Default for StandbyParams {
    /// 10 s of hold-down, 60 s before traffic goes back.
    fn default() -> Self {
        Self { hold_down: Duration::from_secs(10), revert_delay: Some(Duration::from_secs(60)) }
    }
}

#[derive(Clone, Copy, Debug)]
struct Member {
    preference: Preference,
    /// Live since then; `None`: dead.
    live_since: Option<Instant>,
    failed_before: bool,
}

/// The choice of one connection.
#[derive(Clone, Debug)]
pub struct Standby {
    params: StandbyParams,
    members: Vec<Member>,
    active: Option<usize>,
}

/// A choice that a predecessor in another process left: since when each member was live and whether it had failed before, and which one
/// carried the traffic.
#[derive(Clone, Debug)]
pub struct StandbyLeft((Vec<(Option<Instant>, bool)>, Option<usize>));

impl Standby {
    /// Members with these preferences, none of them live. Those beyond the 64th are left out.
    pub fn new(params: StandbyParams, preferences: impl IntoIterator<Item = Preference>) -> Self {
        let member = |preference| Member { preference, live_since: None, failed_before: false };
        let members = preferences.into_iter().take(MAX_MEMBERS).map(member).collect();
        Self { params, members, active: None }
    }

    /// The member that carries the traffic; `None` when none is live.
    pub const fn active(&self) -> Option<usize> {
        self.active
    }

    /// Leaves its choice, and since when each member is live, to a successor in another process.
    pub fn pack(&self, out: &mut Parcel) {
        let members: Vec<_> = self.members.iter().map(|one| (one.live_since, one.failed_before)).collect();
        (members, self.active).pack(out);
    }

    /// What a predecessor left.
    pub fn unpack(from: &mut Opened<'_>) -> Option<StandbyLeft> {
        <(Vec<(Option<Instant>, bool)>, Option<usize>) as Carry>::unpack(from).map(StandbyLeft)
    }

    /// Goes on with it, if it was chosen among as many. False when it was not: nothing changes then.
    pub fn resume(&mut self, StandbyLeft((members, active)): StandbyLeft) -> bool {
        let fits = members.len() == self.members.len() && active.is_none_or(|active| active < members.len());
        if fits {
            for (member, left) in self.members.iter_mut().zip(members) {
                (member.live_since, member.failed_before) = left;
            }
            self.active = active;
        }
        fits
    }

    /// Says which members are live, bit `i` for member `i`. True when the active one is another now.
    pub fn set_live(&mut self, live: u64, now: Instant) -> bool {
        for (at, member) in self.members.iter_mut().enumerate() {
            match (member.live_since, live & bit(at) != 0) {
                (None, true) => member.live_since = Some(now),
                (Some(_), false) => {
                    member.live_since = None;
                    member.failed_before = true;
                }
                (None, false) | (Some(_), true) => {}
            }
        }
        self.choose(now)
    }

    /// Does what is due: reverts. True when the active one is another now.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        self.choose(now)
    }

    /// When [`handle_timeout`](Self::handle_timeout) would move traffic.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let active = self.members.get(self.active?)?.preference;
        let preferred = self.members.iter().filter(|member| member.preference > active);
        preferred.fold(None, |due, member| earliest(due, self.reverts_at(member)))
    }

    fn choose(&mut self, now: Instant) -> bool {
        let before = self.active;
        let stays = self.active.filter(|&at| self.is_live(at));
        self.active = match stays {
            Some(active) => Some(self.revert(active, now)),
            None => self.take_over(now),
        };
        self.active != before
    }

    /// Rule 1.
    fn take_over(&self, now: Instant) -> Option<usize> {
        let settled = |member: &Member| self.settles_at(member).is_some_and(|at| at <= now);
        self.best_of(settled).or_else(|| self.best_of(|member| member.live_since.is_some()))
    }

    /// Rule 2.
    fn revert(&self, active: usize, now: Instant) -> usize {
        let preference = self.members.get(active).map_or(0, |member| member.preference);
        let due = |member: &Member| {
            member.preference > preference && self.reverts_at(member).is_some_and(|at| at <= now)
        };
        self.best_of(due).unwrap_or(active)
    }

    fn best_of(&self, fits: impl Fn(&Member) -> bool) -> Option<usize> {
        let among = self.members.iter().enumerate().filter(|(_, member)| fits(member));
        let among = among.fold(0, |bits, (at, _)| bits | bit(at));
        // At most 64 on the stack.
        let preferences: arrayvec::ArrayVec<_, MAX_MEMBERS> =
            self.members.iter().map(|member| member.preference).collect();
        best(&preferences, among)
    }

    fn is_live(&self, at: usize) -> bool {
        self.members.get(at).is_some_and(|member| member.live_since.is_some())
    }

    /// From when on a live member is trusted.
    fn settles_at(&self, member: &Member) -> Option<Instant> {
        let since = member.live_since?;
        Some(if member.failed_before { since.after(self.params.hold_down) } else { since })
    }

    /// From when on a live member may take traffic from a less preferred one that is live too.
    fn reverts_at(&self, member: &Member) -> Option<Instant> {
        let (since, delay) = (member.live_since?, self.params.revert_delay?);
        let wait = if member.failed_before { delay.max(self.params.hold_down) } else { Duration::ZERO };
        Some(since.after(wait))
    }
}
