//! What a peer and we said last when a session, or an attempt at one, ended.

use crate::{
    error::SessionEnd,
    wire::notification::{Cause, Cease, Notification},
};
use net::Instant;

/// The last NOTIFICATIONs, and when they went over the wire.
///
/// Attempts that fail later without a word leave them: why an operator shut the session down (RFC 9003) is worth more
/// than that nobody answers since. So does a note that only says that a connection is not wanted, for each attempt may
/// be answered by one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LastWords {
    /// From the peer.
    pub heard: Option<(Instant, Notification)>,
    /// To it.
    pub told: Option<(Instant, Notification)>,
}

impl LastWords {
    /// A session, or an attempt at one, ended like this.
    pub(super) fn note(&mut self, end: &SessionEnd, now: Instant) {
        for (place, note) in [(&mut self.heard, end.heard()), (&mut self.told, end.told())] {
            let Some(note) = note else { continue };
            let known = place.as_ref();
            if !is_about_a_connection(&note) || known.is_none_or(|(_, old)| is_about_a_connection(old)) {
                *place = Some((now, note));
            }
        }
    }
}

const fn is_about_a_connection(note: &Notification) -> bool {
    matches!(note.cause, Cause::Cease(Cease::Collision | Cease::ConnectionRejected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    // RFC 9003, RFC 4486 section 4.
    #[test]
    fn words_about_a_session_outlive_attempts_that_fail_and_nothing_else() {
        let at = |seconds| Instant::ZERO.after(Duration::from_secs(seconds));
        let shut = Notification::cease_with_text(Cease::AdminShutdown, "fibre work until 04:00");
        let rejected = Notification::cease(Cease::ConnectionRejected);
        let reset = Notification::cease(Cease::AdminReset);
        let mut words = LastWords::default();
        for (second, end, heard) in [
            (1, SessionEnd::PeerSaid(rejected.clone()), Some((1, &rejected))),
            (2, SessionEnd::PeerSaid(shut.clone()), Some((2, &shut))),
            (3, SessionEnd::Closed, Some((2, &shut))),
            (4, SessionEnd::PeerSaid(rejected.clone()), Some((2, &shut))),
            (5, SessionEnd::Collision, Some((2, &shut))),
            (6, SessionEnd::HoldTimer, Some((2, &shut))),
            (7, SessionEnd::PeerSaid(reset.clone()), Some((7, &reset))),
        ] {
            words.note(&end, at(second));
            let expected = heard.map(|(second, note)| (at(second), note.clone()));
            assert_eq!(words.heard, expected, "second {second}");
        }
        assert_eq!(words.told, Some((at(6), Notification::new(Cause::HoldTimer))));
        words.note(&SessionEnd::Local(shut.clone()), at(8));
        assert_eq!(words.told, Some((at(8), shut)));
    }
}
