//! One neighbour: the state machine of RFC 4861 §7.3.2. Pure: what is to be done about a transition is returned.

use core::{net::IpAddr, time::Duration};

use net::{Instant, MacAddr};

/// RFC 4861 §10 RETRANS_TIMER: between two questions.
pub(super) const RETRANSMIT: Duration = Duration::from_secs(1);
/// RFC 4861 §10 MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT: questions without an answer.
pub(super) const MAX_QUESTIONS: u8 = 3;
/// RFC 4861 §10 DELAY_FIRST_PROBE_TIME: how long a used, unconfirmed neighbour may still confirm itself.
pub(super) const DELAY_FIRST_PROBE: Duration = Duration::from_secs(5);
/// RFC 4861 §10 REACHABLE_TIME; each confirmation lasts a random half to one and a half of it (§6.3.2).
pub(super) const REACHABLE: Duration = Duration::from_secs(30);
/// Not used for this long, an entry may be pushed out by a new one.
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// Between two times that other workers are told of an entry, in the long run, and what may be told at once.
const TELL: Duration = Duration::from_millis(100);
const TOLD_AT_ONCE: Duration = Duration::from_secs(1);
/// Deadlines are rounded up to this, so that many entries wake the owner once.
const TICK: u64 = 10_000_000;

/// How sure we are of a neighbour (RFC 4861 §7.3.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NeighborState {
    /// Asked for; no answer yet.
    Incomplete,
    /// It answered a question of ours lately.
    Reachable,
    /// Its address is known, but nobody knows whether it is still there. It is used all the same.
    Stale,
    /// Stale, and used a moment ago: soon to be asked.
    Delay,
    /// Asked whether it is still there; used until the last question goes unanswered.
    Probe,
}

impl NeighborState {
    /// The name in tables and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::Reachable => "reachable",
            Self::Stale => "stale",
            Self::Delay => "delay",
            Self::Probe => "probe",
        }
    }
}

/// What an elapsed deadline asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Due {
    /// Nothing is due.
    Nothing,
    /// The next question is to be sent.
    Ask,
    /// The last question went unanswered: the entry is to be removed.
    GiveUp,
}

/// What a message says of a neighbour, and how far it may be believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Claim {
    /// The address that it tells; `None` in an advertisement without one.
    pub(super) mac: Option<MacAddr>,
    /// It answers a question of ours: the way there and back works.
    pub(super) confirms: bool,
    /// It may replace another address (RFC 4861 §7.2.5); ARP always may (RFC 826).
    pub(super) replaces: bool,
}

/// A neighbour.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) ip: IpAddr,
    /// Zero while incomplete.
    pub(super) mac: MacAddr,
    pub(super) state: NeighborState,
    /// Reachable: until when. Incomplete, Delay, Probe: when the next step is due. Stale: never.
    pub(super) deadline: Instant,
    /// Last confirmed, or made.
    pub(super) since: Instant,
    /// Last used by a frame.
    pub(super) used: Option<Instant>,
    /// Questions sent or about to be sent since the last answer.
    pub(super) questions: u8,
    /// A question waits to be sent.
    pub(super) asking: bool,
    /// When all that other workers were told of it is paid back.
    told: Instant,
}

impl Entry {
    /// A neighbour that is asked for from now on.
    pub(super) fn incomplete(ip: IpAddr, now: Instant) -> Self {
        Self {
            questions: 1,
            deadline: due(now, RETRANSMIT),
            used: Some(now),
            ..Self::stale(ip, MacAddr::ZERO, now)
        }
        .in_state(NeighborState::Incomplete)
    }

    /// A neighbour that told its address unasked.
    pub(super) const fn stale(ip: IpAddr, mac: MacAddr, now: Instant) -> Self {
        Self {
            ip,
            mac,
            state: NeighborState::Stale,
            deadline: Instant::FAR_FUTURE,
            since: now,
            used: None,
            questions: 0,
            asking: false,
            told: Instant::ZERO,
        }
    }

    const fn in_state(mut self, state: NeighborState) -> Self {
        self.state = state;
        self
    }

    /// A frame goes there now. The MAC address, when there is one, and whether a deadline was set.
    #[inline]
    pub(super) fn take(&mut self, now: Instant) -> (Option<MacAddr>, bool) {
        self.used = Some(now);
        match self.state {
            NeighborState::Incomplete => (None, false),
            NeighborState::Delay | NeighborState::Probe => (Some(self.mac), false),
            NeighborState::Reachable if now < self.deadline => (Some(self.mac), false),
            NeighborState::Reachable | NeighborState::Stale => {
                self.state = NeighborState::Delay;
                self.deadline = due(now, DELAY_FIRST_PROBE);
                (Some(self.mac), true)
            }
        }
    }

    /// The state as it is at `now`: a confirmation that ran out unused is Stale.
    pub(super) fn state_at(&self, now: Instant) -> NeighborState {
        let ran_out = self.state == NeighborState::Reachable && now >= self.deadline;
        if ran_out { NeighborState::Stale } else { self.state }
    }

    /// Steps on when the deadline has passed.
    pub(super) fn expire(&mut self, now: Instant) -> Due {
        match self.state {
            NeighborState::Incomplete | NeighborState::Probe if now >= self.deadline => {
                if self.questions >= MAX_QUESTIONS {
                    return Due::GiveUp;
                }
                self.questions += 1;
            }
            NeighborState::Delay if now >= self.deadline => {
                self.state = NeighborState::Probe;
                self.questions = 1;
            }
            NeighborState::Incomplete
            | NeighborState::Probe
            | NeighborState::Delay
            | NeighborState::Reachable
            | NeighborState::Stale => return Due::Nothing,
        }
        self.deadline = due(now, RETRANSMIT);
        Due::Ask
    }

    /// When `expire` has something to do; `None` when only a frame can wake the entry.
    pub(super) const fn timer(&self) -> Option<Instant> {
        match self.state {
            NeighborState::Incomplete | NeighborState::Delay | NeighborState::Probe => Some(self.deadline),
            NeighborState::Reachable | NeighborState::Stale => None,
        }
    }

    /// Hears `claim` (RFC 4861 §7.2.5, §7.2.3). True when it changed the address or confirmed the entry.
    /// `reachable` is how long a confirmation lasts.
    pub(super) fn hear(&mut self, claim: Claim, now: Instant, reachable: Duration) -> bool {
        let mac = match (self.state, claim.mac) {
            (NeighborState::Incomplete, None) => return false,
            (_, mac) => mac.unwrap_or(self.mac),
        };
        let differs = mac != self.mac;
        if differs && !claim.replaces && self.state != NeighborState::Incomplete {
            // RFC 4861 §7.2.5 (I): another address without leave to replace shakes our trust, and that is all.
            if self.state == NeighborState::Reachable {
                self.become_stale();
                self.asking = false;
            }
            return false;
        }
        self.mac = mac;
        if claim.confirms {
            self.state = NeighborState::Reachable;
            self.deadline = now.after(reachable);
            self.since = now;
            self.questions = 0;
            self.asking = false;
        } else if differs {
            self.since = now;
            // What was about to be asked is asked all the same: the host's own stack may wait for the answer, too.
            self.become_stale();
        }
        claim.confirms || differs
    }

    /// The link went down: whoever is in use is asked at once, the others when they are used. True when it is to be asked.
    pub(super) fn doubt(&mut self, now: Instant) -> bool {
        match self.state {
            NeighborState::Incomplete | NeighborState::Probe => return false,
            NeighborState::Reachable | NeighborState::Stale | NeighborState::Delay => {}
        }
        self.become_stale();
        let in_use = !self.is_idle(now);
        if in_use {
            self.state = NeighborState::Probe;
            self.questions = 1;
            self.deadline = due(now, RETRANSMIT);
        }
        in_use
    }

    const fn become_stale(&mut self) {
        self.state = NeighborState::Stale;
        self.deadline = Instant::FAR_FUTURE;
        self.questions = 0;
    }

    /// Whether what was heard of it may be told to other workers, who must not be kept busy by a station that never stops speaking.
    pub(super) fn may_be_told(&mut self, now: Instant) -> bool {
        let told = self.told.max(now);
        let allowed = told.since(now) < TOLD_AT_ONCE;
        if allowed {
            self.told = told.after(TELL);
        }
        allowed
    }

    /// Whether a new entry may take this one's place: not asked for, and idle.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let settled = matches!(self.state, NeighborState::Reachable | NeighborState::Stale);
        settled && self.used.is_none_or(|used| now.since(used) >= IDLE)
    }
}

fn due(now: Instant, delay: Duration) -> Instant {
    let ticks = now.after(delay).as_nanos().div_ceil(TICK);
    Instant::from_nanos(ticks.saturating_mul(TICK))
}
