//! The state machine of one connection, RFC 4271 clause 8, as one function without bytes or sockets.
//!
//! [`step`] takes a state and an event and gives the next state and what to do. It is total: every pair
//! is written out. Timers, messages and TCP belong to [`crate::session`]; which of two connections
//! survives a collision, and how long to stay away from a peer that misbehaves (DampPeerOscillations and
//! the IdleHoldTimer of clause 8.1.3), belong to [`crate::peer`].
//!
//! Where it differs from the letter of the RFC:
//! - A failed dial leads to Active, not to Idle: our listening side must not shut because our dialling
//!   side failed. The next dial waits for the ConnectRetryTimer as before.
//! - A NOTIFICATION is never answered with one, in any state (clause 6.4 forbids it, clause 8.2.2 asks for
//!   it in OpenSent).
//! - DelayOpen (an optional attribute) is not there.
//!
//! Added: event 29 of RFC 9687, and ROUTE-REFRESH (RFC 2918), which behaves like an UPDATE.

use core::fmt;

/// The states of clause 8.2.2.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum State {
    /// Does nothing, refuses everything.
    #[default]
    Idle,
    /// A TCP connection is being opened.
    Connect,
    /// Waits for the next try, or for the peer to connect.
    Active,
    /// Our OPEN is out.
    OpenSent,
    /// Theirs was good; waits for their KEEPALIVE.
    OpenConfirm,
    /// Routes flow.
    Established,
}

impl State {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Idle, Self::Connect, Self::Active, Self::OpenSent, Self::OpenConfirm, Self::Established];

    /// There is a TCP connection.
    pub const fn is_connected(self) -> bool {
        matches!(self, Self::OpenSent | Self::OpenConfirm | Self::Established)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "Idle",
            Self::Connect => "Connect",
            Self::Active => "Active",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::Established => "Established",
        })
    }
}

/// What can happen, with the numbers of clause 8.1.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Event {
    /// 1, 3: begin, and dial.
    Start,
    /// 4, 5: begin, and wait to be called.
    StartPassive,
    /// 2, 8: end, with a Cease.
    Stop,
    /// 9
    ConnectRetryExpires,
    /// 10: nothing heard for too long.
    HoldExpires,
    /// 11: time for a KEEPALIVE.
    KeepaliveExpires,
    /// 29 (RFC 9687): nothing could be sent for too long.
    SendHoldExpires,
    /// 16, 17: a TCP connection is there, by our call or theirs.
    TcpOpen,
    /// 18: it failed or was closed.
    TcpFails,
    /// 19: a good OPEN, which survived collision detection.
    Open,
    /// 21
    HeaderError,
    /// 22
    OpenError,
    /// 23: the other connection of a collision is kept.
    CollisionDump,
    /// 24: NOTIFICATION, unsupported version.
    NotifyVersion,
    /// 25: any other NOTIFICATION.
    Notification,
    /// 26
    Keepalive,
    /// 27
    Update,
    /// 28, and a malformed ROUTE-REFRESH (RFC 7313 section 5).
    UpdateError,
    /// ROUTE-REFRESH (RFC 2918).
    Refresh,
}

impl Event {
    /// All of them, for tables.
    pub const ALL: [Self; 19] = [
        Self::Start,
        Self::StartPassive,
        Self::Stop,
        Self::ConnectRetryExpires,
        Self::HoldExpires,
        Self::KeepaliveExpires,
        Self::SendHoldExpires,
        Self::TcpOpen,
        Self::TcpFails,
        Self::Open,
        Self::HeaderError,
        Self::OpenError,
        Self::CollisionDump,
        Self::NotifyVersion,
        Self::Notification,
        Self::Keepalive,
        Self::Update,
        Self::UpdateError,
        Self::Refresh,
    ];
}

/// What to do, in order.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Action {
    /// Open a TCP connection.
    Dial,
    /// Close it, after everything queued was sent.
    HangUp,
    /// Send our OPEN.
    SendOpen,
    /// Send a KEEPALIVE.
    SendKeepalive,
    /// Send the NOTIFICATION that goes with the event.
    Notify,
    /// Send Finite State Machine Error with the subcode of the state (RFC 6608).
    NotifyUnexpected,
    /// Set the ConnectRetryTimer, with jitter.
    ArmConnectRetry,
    /// Set the HoldTimer to its large value: the OPEN exchange must end some time.
    ArmOpenWait,
    /// Set HoldTimer and KeepaliveTimer to what was agreed on.
    ArmNegotiated,
    /// Set the HoldTimer again.
    RestartHold,
    /// Stop all timers.
    StopTimers,
    /// The session is up.
    ComeUp,
    /// The session was up and is no more.
    GoDown,
    /// Hand the message to the routing table.
    Deliver,
}

/// The next state, and what to do on the way there.
#[expect(clippy::too_many_lines, reason = "the standard's table, all pairs in one place")]
pub const fn step(state: State, event: Event) -> (State, &'static [Action]) {
    use {Action as A, Event as E, State as S};
    const NOTHING: &[A] = &[];
    const CALL: &[A] = &[A::ArmConnectRetry, A::Dial];
    const CALL_AGAIN: &[A] = &[A::HangUp, A::ArmConnectRetry, A::Dial];
    const WAIT: &[A] = &[A::StopTimers, A::ArmConnectRetry];
    const GREET: &[A] = &[A::StopTimers, A::SendOpen, A::ArmOpenWait];
    const END: &[A] = &[A::StopTimers, A::HangUp];
    const END_TOLD: &[A] = &[A::Notify, A::StopTimers, A::HangUp];
    const END_UNEXPECTED: &[A] = &[A::NotifyUnexpected, A::StopTimers, A::HangUp];
    const DOWN: &[A] = &[A::StopTimers, A::HangUp, A::GoDown];
    const DOWN_TOLD: &[A] = &[A::Notify, A::StopTimers, A::HangUp, A::GoDown];
    const DOWN_UNEXPECTED: &[A] = &[A::NotifyUnexpected, A::StopTimers, A::HangUp, A::GoDown];

    match state {
        S::Idle => match event {
            E::Start => (S::Connect, CALL),
            E::StartPassive => (S::Active, NOTHING),
            E::TcpOpen => (S::Idle, &[A::HangUp]),
            E::Stop
            | E::ConnectRetryExpires
            | E::HoldExpires
            | E::KeepaliveExpires
            | E::SendHoldExpires
            | E::TcpFails
            | E::Open
            | E::HeaderError
            | E::OpenError
            | E::CollisionDump
            | E::NotifyVersion
            | E::Notification
            | E::Keepalive
            | E::Update
            | E::UpdateError
            | E::Refresh => (S::Idle, NOTHING),
        },
        S::Connect => match event {
            E::Start | E::StartPassive => (S::Connect, NOTHING),
            E::ConnectRetryExpires => (S::Connect, CALL_AGAIN),
            E::TcpOpen => (S::OpenSent, GREET),
            E::TcpFails => (S::Active, WAIT),
            E::Stop
            | E::HoldExpires
            | E::KeepaliveExpires
            | E::SendHoldExpires
            | E::Open
            | E::HeaderError
            | E::OpenError
            | E::CollisionDump
            | E::NotifyVersion
            | E::Notification
            | E::Keepalive
            | E::Update
            | E::UpdateError
            | E::Refresh => (S::Idle, END),
        },
        S::Active => match event {
            E::Start | E::StartPassive => (S::Active, NOTHING),
            E::ConnectRetryExpires => (S::Connect, CALL),
            E::TcpOpen => (S::OpenSent, GREET),
            E::TcpFails => (S::Active, WAIT),
            E::Stop
            | E::HoldExpires
            | E::KeepaliveExpires
            | E::SendHoldExpires
            | E::Open
            | E::HeaderError
            | E::OpenError
            | E::CollisionDump
            | E::NotifyVersion
            | E::Notification
            | E::Keepalive
            | E::Update
            | E::UpdateError
            | E::Refresh => (S::Idle, END),
        },
        S::OpenSent => match event {
            E::Start | E::StartPassive | E::TcpOpen => (S::OpenSent, NOTHING),
            E::TcpFails => (S::Active, WAIT),
            E::Open => (S::OpenConfirm, &[A::SendKeepalive, A::ArmNegotiated]),
            E::Stop
            | E::HoldExpires
            | E::SendHoldExpires
            | E::HeaderError
            | E::OpenError
            | E::CollisionDump => (S::Idle, END_TOLD),
            E::NotifyVersion | E::Notification => (S::Idle, END),
            E::ConnectRetryExpires
            | E::KeepaliveExpires
            | E::Keepalive
            | E::Update
            | E::UpdateError
            | E::Refresh => (S::Idle, END_UNEXPECTED),
        },
        S::OpenConfirm => match event {
            E::Start | E::StartPassive | E::TcpOpen => (S::OpenConfirm, NOTHING),
            E::KeepaliveExpires => (S::OpenConfirm, &[A::SendKeepalive]),
            E::Keepalive => (S::Established, &[A::RestartHold, A::ComeUp]),
            E::Stop
            | E::HoldExpires
            | E::SendHoldExpires
            | E::HeaderError
            | E::OpenError
            | E::CollisionDump => (S::Idle, END_TOLD),
            E::TcpFails | E::NotifyVersion | E::Notification => (S::Idle, END),
            E::ConnectRetryExpires | E::Open | E::Update | E::UpdateError | E::Refresh => {
                (S::Idle, END_UNEXPECTED)
            }
        },
        S::Established => match event {
            E::Start | E::StartPassive | E::TcpOpen => (S::Established, NOTHING),
            E::KeepaliveExpires => (S::Established, &[A::SendKeepalive]),
            E::Keepalive => (S::Established, &[A::RestartHold]),
            E::Update | E::Refresh => (S::Established, &[A::RestartHold, A::Deliver]),
            E::Stop
            | E::HoldExpires
            | E::SendHoldExpires
            | E::HeaderError
            | E::UpdateError
            | E::CollisionDump => (S::Idle, DOWN_TOLD),
            E::TcpFails | E::NotifyVersion | E::Notification => (S::Idle, DOWN),
            E::ConnectRetryExpires | E::Open | E::OpenError => (S::Idle, DOWN_UNEXPECTED),
        },
    }
}

#[cfg(test)]
mod tests;
