//! What the kernel's counters say of passwords.
//!
//! TCP-MD5 (RFC 2385) drops what is not signed as it should be, without a word to anybody. The kernel only counts, for
//! all sockets together; so what is found here is said of every neighbour that it could be: those whose
//! session is not up, with a password or without one, as the counter fits.

use net::Instant;
use sys::tcp::{Md5Counters, md5_counters};

use core::time::Duration;

/// How often the counters are looked at while a session is missing.
const LOOK: Duration = Duration::from_secs(1);

/// What is wrong with the signatures that arrive.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Mismatch {
    /// Ours expects one, theirs has none.
    Missing,
    /// Theirs has one, ours expects none.
    Unexpected,
    /// They differ.
    Wrong,
}

impl Mismatch {
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
        }
    }

    /// A word for programs.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Missing => "md5_missing",
            Self::Unexpected => "md5_unexpected",
            Self::Wrong => "md5_wrong",
        }
    }

    /// Whether it can be about a neighbour with a password, or without one.
    pub(super) const fn fits(self, password: bool) -> bool {
        match self {
            Self::Missing | Self::Wrong => password,
            Self::Unexpected => !password,
        }
    }
}

/// Looks at the counters now and then.
#[derive(Debug, Default)]
pub(super) struct Signatures {
    before: Option<Md5Counters>,
    next: Option<Instant>,
}

impl Signatures {
    /// When [`look`](Self::look) wants to be called, as long as a session is missing.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.next
    }

    /// What was refused since the last look, if it is time for one.
    pub(super) fn look(&mut self, missing: bool, now: Instant) -> Vec<Mismatch> {
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
        let counters = md5_counters().unwrap_or_default();
        let since = self.before.replace(counters).map(|before| counters.since(before)).unwrap_or_default();
        let kinds = [
            (since.not_found, Mismatch::Missing),
            (since.unexpected, Mismatch::Unexpected),
            (since.failure, Mismatch::Wrong),
        ];
        kinds.into_iter().filter(|(count, _)| *count > 0).map(|(_, kind)| kind).collect()
    }
}
