//! A participant's member identifier and message numbers (802.1X-2020 §9.4.2).
//!
//! The identifier is random and new at every start, so nothing that was said to or by an earlier one counts.
//! The message number rises with every MKPDU; before it would wrap, a new identifier is chosen. A peer proves
//! that it is alive by naming our identifier with an *acceptably recent* message number; the standard does not
//! say how recent. Here: one sent within the last life time.

use std::collections::VecDeque;

use core::time::Duration;
use net::Instant;

use super::wire::MemberId;

/// Fills a buffer with random octets that nobody can guess: member identifiers and SAKs are made of them.
pub type Rng = Box<dyn FnMut(&mut [u8]) + Send>;

/// How many sent message numbers are remembered; more than [`pace`](super::pace) allows in a life time.
const REMEMBERED: usize = 512;

/// Who a participant is towards its peers.
#[derive(Debug)]
pub(super) struct Identity {
    member: MemberId,
    /// The last message number used; 0 before the first.
    message: u32,
    sent: VecDeque<(u32, Instant)>,
}

/// How a peer's idea of our message number fits ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Recency {
    /// We sent it not long ago: the peer is alive.
    Recent,
    /// We sent it long ago, if at all: may be a replay.
    Stale,
    /// We have not sent it yet: somebody else uses our identifier.
    Future,
}

impl Identity {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let mut identity = Self { member: MemberId::default(), message: 0, sent: VecDeque::new() };
        identity.renew(rng);
        identity
    }

    /// Becomes somebody else.
    pub(super) fn renew(&mut self, rng: &mut Rng) {
        rng(&mut self.member.0);
        self.message = 0;
        self.sent.clear();
    }

    pub(super) const fn member(&self) -> MemberId {
        self.member
    }

    /// The last message number used.
    pub(super) const fn message(&self) -> u32 {
        self.message
    }

    /// True when another MKPDU needs another identifier first.
    pub(super) const fn exhausted(&self) -> bool {
        self.message == u32::MAX
    }

    /// Moves on to the next message number.
    pub(super) fn take_message(&mut self, now: Instant) {
        self.message = self.message.saturating_add(1);
        if self.sent.len() >= REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back((self.message, now));
    }

    /// What a peer that names our identifier with `message` proves.
    pub(super) fn recency(&self, message: u32, now: Instant, life: Duration) -> Recency {
        if message > self.message {
            return Recency::Future;
        }
        let oldest = self.sent.iter().find(|(_, at)| now.since(*at) <= life);
        match oldest {
            Some((oldest, _)) if message >= *oldest => Recency::Recent,
            Some(_) | None => Recency::Stale,
        }
    }
}

net::carry!(Identity { member, message, sent });

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        let mut next = 0u8;
        let mut rng: Rng = Box::new(move |room| {
            next += 1;
            room.fill(next);
        });
        Identity::new(&mut rng)
    }

    // §9.4.3: acceptably recent is what was sent within a life time.
    #[test]
    fn a_message_is_recent_for_a_life_time_and_not_before_it_was_sent() {
        let (life, at) = (Duration::from_secs(6), |s| Instant::ZERO.after(Duration::from_secs(s)));
        let mut us = identity();
        assert_eq!(us.recency(1, at(0), life), Recency::Future);
        assert_eq!(us.recency(0, at(0), life), Recency::Stale);
        for second in 0..10 {
            us.take_message(at(second));
        }
        // Messages 1 to 10 were sent in seconds 0 to 9.
        for (message, expected) in [
            (0, Recency::Stale),
            (4, Recency::Stale),
            (5, Recency::Recent),
            (10, Recency::Recent),
            (11, Recency::Future),
        ] {
            assert_eq!(us.recency(message, at(10), life), expected, "{message}");
        }
        assert_eq!(us.recency(10, at(16), life), Recency::Stale);
    }

    // §9.4.2: message numbers never wrap; another identifier starts again at 1.
    #[test]
    fn message_numbers_end_instead_of_wrapping() {
        let mut us = Identity { message: u32::MAX - 1, ..identity() };
        let before = us.member();
        us.take_message(Instant::ZERO);
        assert!(us.exhausted() && us.message() == u32::MAX);
        us.take_message(Instant::ZERO);
        assert_eq!(us.message(), u32::MAX);
        let mut rng: Rng = Box::new(|room| room.fill(9));
        us.renew(&mut rng);
        us.take_message(Instant::ZERO);
        assert!(us.member() != before && us.message() == 1);
    }

    #[test]
    fn what_is_remembered_of_messages_is_bounded() {
        let mut us = identity();
        for _ in 0..10_000 {
            us.take_message(Instant::ZERO);
        }
        assert_eq!(us.sent.len(), REMEMBERED);
    }
}
