//! Which attachments of a connection carry its traffic, of those that are live.
//!
//! | mode | who carries |
//! | --- | --- |
//! | `ecmp` | all live ones, each in proportion to its capacity ([`weights`]); [`crate::group`] spreads the flows |
//! | `active-standby` | one, the [`Standby`] machine's choice |
//! | `duplicate` | the two best live ones, each frame on both ([`two_best`]); [`crate::frer`] removes the copies |
//!
//! With `ecmp` and `active-standby` some packets may be duplicated all the same: those of [`Classes`], by DSCP and prefix.
//!
//! All of it is pure: which members are live comes in as bits, time comes in as `now`. A member is the place of an attachment in
//! its connection.
//!
//! # Order of frames
//! `ecmp`: frames of one flow keep their order unless the member that carries it dies or comes back. `active-standby`: unless
//! the active one changes. `duplicate`: a frame may overtake others when the path that was ahead loses some and the
//! other path's copies come later; never by more than the difference of the two delays. Classes: as `duplicate` among packets of
//! the connection's classes, which share one sequence of numbers; as the connection's mode among all others. Between a packet of a class
//! and one of none nothing is promised, not even of one flow: they take different ways.

mod classes;
mod standby;
#[cfg(test)]
mod tests;

use core::num::NonZeroU8;

pub use classes::{ClassParams, Classes, MAX_CLASSES};
pub use standby::{Standby, StandbyLeft, StandbyParams};

use crate::group::{MAX_MEMBERS, Weight};

/// How much a member is preferred: the higher, the more. Of equals the first one in the configuration is preferred.
pub type Preference = u32;

/// The most preferred of the members in `among`, bit `i` for member `i`.
pub fn best(preferences: &[Preference], among: u64) -> Option<usize> {
    let there = preferences.iter().take(MAX_MEMBERS).enumerate().filter(|(at, _)| among >> at & 1 == 1);
    // The first of equals: `min_by_key` keeps it.
    there.min_by_key(|(_, preference)| core::cmp::Reverse(**preference)).map(|(at, _)| at)
}

/// The two most preferred members of those in `live`, one bit each; one bit, or none, when there are no more.
pub fn two_best(preferences: &[Preference], live: u64) -> u64 {
    let Some(first) = best(preferences, live).map(bit) else { return 0 };
    first | best(preferences, live & !first).map_or(0, bit)
}

/// The weight of each member of an `ecmp` group by its capacity, in any unit: exact where the ratios fit in 1..=255, else the
/// nearest that do. Members of unknown capacity (`None`) count as the smallest that is known.
pub fn weights(capacities: &[Option<u64>]) -> Vec<Weight> {
    let least = capacities.iter().flatten().copied().filter(|&capacity| capacity > 0).min().unwrap_or(1);
    let known: Vec<_> =
        capacities.iter().map(|capacity| capacity.filter(|&one| one > 0).unwrap_or(least)).collect();
    let unit = known.iter().copied().fold(0, gcd).max(1);
    let most = known.iter().map(|one| one / unit).max().unwrap_or(1);
    let weight = |&capacity: &u64| {
        let parts = u128::from(capacity / unit);
        let scaled =
            if most <= 255 { parts } else { (parts * 255 + u128::from(most) / 2) / u128::from(most) };
        u8::try_from(scaled).ok().and_then(NonZeroU8::new).unwrap_or(Weight::MIN)
    };
    known.iter().map(weight).collect()
}

/// A member's bit.
fn bit(member: usize) -> u64 {
    u32::try_from(member).ok().and_then(|member| 1_u64.checked_shl(member)).unwrap_or(0)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
