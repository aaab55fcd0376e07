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

/// Fills a buffer with random octets.
pub(super) type Rng = Box<dyn FnMut(&mut [u8]) + Send>;

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

    #[cfg(test)]
    pub(super) const fn set_message(&mut self, message: u32) {
        self.message = message;
    }
}
