//! What the kernel's counters say of segments that it refuses.
//!
//! TCP-MD5 (RFC 2385) drops what is not signed as it should be, and GTSM (RFC 5082) what may have come from afar, without a word to
//! anybody. The kernel only counts, for all sockets together; so what is found here is said of every neighbour that it could be: those
//! whose session is not up, with a password or without one, with `ttl_security` or without, as the counter fits.

use net::Instant;
use sys::tcp;
use tracing::warn;

use core::time::Duration;

/// How often the counters are looked at while a session is missing.
const LOOK: Duration = Duration::from_secs(1);

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
                "segments arrive with a TTL below 255: likely the neighbour has no TTL security; turn it on there (GTSM, `ttl-security hops 1`), or remove `ttl_security` here"
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

/// Looks at the counters now and then.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    before: Option<tcp::Refusals>,
    next: Option<Instant>,
}

impl Refusals {
    /// When [`look`](Self::look) wants to be called, as long as a session is missing.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.next
    }

    /// What was refused since the last look, if it is time for one.
    pub(super) fn look(&mut self, missing: bool, now: Instant) -> Vec<Refusal> {
        if !missing {
            // What happens to sessions that are up is not looked for; start again from then on.
            (self.before, self.next) = (None, None);
            return Vec::new();
        }
        if self.next.is_some_and(|next| next > now) {
            return Vec::new();
        }
        self.next = Some(now.after(LOOK));
        // A kernel that does not count, or hides its counters, has nothing to say.
        let counters = tcp::refusals().unwrap_or_default();
        let since = self.before.replace(counters).map(|before| counters.since(before)).unwrap_or_default();
        let kinds = [
            (since.not_found, Refusal::Missing),
            (since.unexpected, Refusal::Unexpected),
            (since.failure, Refusal::Wrong),
            (since.min_ttl, Refusal::Ttl),
        ];
        kinds.into_iter().filter(|(count, _)| *count > 0).map(|(_, kind)| kind).collect()
    }
}
