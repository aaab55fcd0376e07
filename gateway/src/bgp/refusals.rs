//! What the kernel's counters say of segments that it refuses.
//!
//! TCP-MD5 (RFC 2385) drops what is not signed as it should be, and GTSM (RFC 5082) what may have come from afar, without a word to
//! anybody. The kernel only counts, for all sockets together; so what is found here is said of every neighbour that it could be: those
//! whose session is not up, with a password or without one, with `ttl_security` or without, as the counter fits. It is a guess, so it is
//! forgotten when the counter stands still, and one guess does not hide another ([`Guesses`]). A single segment with a low TTL is none: anybody can
//! send one, which is what GTSM is for.

use net::Instant;
use sys::tcp;
use tracing::warn;

use core::time::Duration;

/// How often the counters are looked at while a session is missing.
const LOOK: Duration = Duration::from_secs(1);

/// How long a guess stands after the last segment that was counted: longer than a peer's TCP waits between two of its first calls.
const LAPSE: Duration = Duration::from_secs(30);
/// Segments with a low TTL so close to each other are a neighbour's that calls again and again.
const AGAIN: Duration = Duration::from_secs(10);

/// What is wrong with the segments that arrive.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Refusal {
    /// Ours expects a signature, theirs has none.
    Missing,
    /// Theirs has one, ours expects none.
    Unexpected,
    /// They differ.
    Wrong,
    /// They have fewer hops left than a neighbour's on the link has: it sends with another TTL, or somebody else does.
    Ttl,
}

impl Refusal {
    /// In words that say what to do.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Missing => {
                "segments arrive without an MD5 signature: the neighbour has no password; give it ours, or remove `password` here"
            }
            Self::Unexpected => {
                "segments arrive with an MD5 signature: the neighbour has a password; add `password` here"
            }
            Self::Wrong => "segments arrive with a wrong MD5 signature: the passwords differ",
            Self::Ttl => {
                "segments arrive with a TTL below 255: the neighbour has no TTL security (turn it on there: GTSM, `ttl-security hops 1`), or somebody who is not on the link sends to us; if the neighbour knows no TTL security, remove `ttl_security` here"
            }
        }
    }

    /// A word for programs.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Missing => "md5_missing",
            Self::Unexpected => "md5_unexpected",
            Self::Wrong => "md5_wrong",
            Self::Ttl => "ttl_too_low",
        }
    }

    /// Whether it can be about a neighbour with a password, and with TTL security, or without.
    pub(super) const fn fits(self, password: bool, ttl_security: bool) -> bool {
        match self {
            Self::Missing | Self::Wrong => password,
            Self::Unexpected => !password,
            Self::Ttl => ttl_security,
        }
    }

    /// Logs it of a neighbour.
    pub(super) fn tell(self, neighbor: &str) {
        let (kind, words) = (self.word(), self.words());
        match self {
            Self::Missing | Self::Unexpected | Self::Wrong => {
                warn!(event = "bgp.md5", neighbor, kind, "{words}")
            }
            Self::Ttl => warn!(event = "bgp.ttl", neighbor, kind, "{words}"),
        }
    }
}

/// What was counted lately that can be one neighbour's.
#[derive(Debug, Default)]
pub(super) struct Guesses(Vec<(Refusal, Instant)>);

impl Guesses {
    /// Something was counted. True when that is new.
    pub(super) fn add(&mut self, kind: Refusal, now: Instant) -> bool {
        let known = self.0.iter_mut().find(|(each, _)| *each == kind);
        let new = known.is_none();
        match known {
            Some((_, last)) => *last = now,
            None => self.0.push((kind, now)),
        }
        self.0.sort_unstable_by_key(|(kind, _)| *kind);
        new
    }

    /// Forgets what was not counted for long.
    pub(super) fn forget(&mut self, now: Instant) {
        self.0.retain(|(_, last)| now.since(*last) < LAPSE);
    }

    /// A word for programs, of the most likely one, and what to do, of all.
    pub(super) fn reason(&self) -> Option<(&'static str, String)> {
        let (first, _) = self.0.first()?;
        let words: Vec<_> = self.0.iter().map(|(kind, _)| kind.words()).collect();
        Some((first.word(), words.join("; or: ")))
    }
}

/// Looks at the counters now and then.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    before: Option<tcp::Refusals>,
    next: Option<Instant>,
    /// When a low TTL was last counted.
    low: Option<Instant>,
}

impl Refusals {
    /// When [`look`](Self::look) wants to be called, as long as a session is missing.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.next
    }

    /// What was refused since the last look; `None` when it is not time for one.
    pub(super) fn look(&mut self, missing: bool, now: Instant) -> Option<Vec<Refusal>> {
        if !missing {
            // What happens to sessions that are up is not looked for; start again from then on.
            *self = Self::default();
            return None;
        }
        if self.next.is_some_and(|next| next > now) {
            return None;
        }
        self.next = Some(now.after(LOOK));
        // A kernel that does not count, or hides its counters, has nothing to say.
        let counters = tcp::refusals().unwrap_or_default();
        let since = self.before.replace(counters).map(|before| counters.since(before)).unwrap_or_default();
        let kinds = [
            (since.not_found, Refusal::Missing),
            (since.unexpected, Refusal::Unexpected),
            (since.failure, Refusal::Wrong),
            (u64::from(self.is_low_again(since.min_ttl, now)), Refusal::Ttl),
        ];
        Some(kinds.into_iter().filter(|(count, _)| *count > 0).map(|(_, kind)| kind).collect())
    }

    /// Whether segments with a low TTL came now, and in an earlier look not long ago.
    fn is_low_again(&mut self, count: u64, now: Instant) -> bool {
        if count == 0 {
            return false;
        }
        self.low.replace(now).is_some_and(|last| now.since(last) <= AGAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::default().after(Duration::from_secs(seconds))
    }

    #[test]
    fn a_guess_is_told_once_stands_beside_others_and_is_forgotten() {
        let mut guesses = Guesses::default();
        assert_eq!(guesses.reason(), None);
        assert!(guesses.add(Refusal::Ttl, at(0)) && guesses.add(Refusal::Wrong, at(20)));
        assert!(!guesses.add(Refusal::Wrong, at(25)));
        let (word, words) = guesses.reason().unwrap();
        assert_eq!(word, "md5_wrong");
        assert!(words.contains(Refusal::Wrong.words()) && words.contains(Refusal::Ttl.words()));
        guesses.forget(at(31));
        assert_eq!(guesses.reason(), Some(("md5_wrong", Refusal::Wrong.words().to_owned())));
        guesses.forget(at(60));
        assert_eq!(guesses.reason(), None);
        assert!(guesses.add(Refusal::Wrong, at(61)), "it is told again");
    }

    #[test]
    fn one_segment_from_afar_says_nothing() {
        let mut refusals = Refusals::default();
        let counted = [(0, 1), (1, 0), (30, 2), (35, 1), (60, 1), (61, 0), (70, 3)];
        let told = counted.map(|(second, count)| refusals.is_low_again(count, at(second)));
        assert_eq!(told, [false, false, false, true, false, false, true]);
    }
}
