//! What a peer is told to be, and what it tells its owner.

use crate::{
    error::SessionEnd,
    fsm::State,
    negotiate::Negotiated,
    wire::{fault::Fault, refresh::RouteRefresh, update::Update},
};
use core::time::Duration;
use net::Instant;

/// Who opened a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Direction {
    /// We did.
    Outgoing,
    /// The peer did.
    Incoming,
}

/// How the liveness of the path (BFD) rules the session.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum PathWatch {
    /// It does not.
    #[default]
    Off,
    /// The session ends when the path goes down, and may start before it is up.
    Follow,
    /// The session also waits until the path is up.
    Strict,
}

/// How to keep a connection to a peer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeerTimers {
    /// Never dial.
    pub passive: bool,
    /// How long to stay away after the first fault; doubled for each further one.
    pub back_off: Duration,
    /// The longest time to stay away.
    pub back_off_max: Duration,
    /// A session that was up for this long clears the record of faults.
    pub stable_after: Duration,
    /// What path liveness does to the session.
    pub path_watch: PathWatch,
}

impl Default for PeerTimers {
    fn default() -> Self {
        Self {
            passive: false,
            back_off: Duration::from_secs(1),
            back_off_max: Duration::from_secs(60),
            stable_after: Duration::from_secs(60),
            path_watch: PathWatch::Off,
        }
    }
}

/// Whether the peer may have a session at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// No: stopped, or not started yet.
    Stopped,
    /// Not before this time: it, or a limit, gave reason to stay away.
    HeldUntil(Instant),
    /// Not before the link, or the path, is up.
    AwaitsPath,
    /// Yes.
    Runs,
}

/// What a peer tells its owner.
#[derive(Clone, Debug, PartialEq)]
pub enum PeerEvent {
    /// Open a TCP connection; speak of it by this number.
    Dial(u32),
    /// Close a connection, after these last octets if they can still be written.
    HangUp(u32, Vec<u8>),
    /// The furthest state of any link changed.
    Moved(State, State),
    /// A session is up.
    Up(Box<Negotiated>),
    /// Routes.
    Update(Update),
    /// A refresh.
    Refresh(RouteRefresh),
    /// What ended the session, in detail.
    Broken(Fault),
    /// A connection is over.
    Ended {
        /// Why.
        end: SessionEnd,
        /// What had been agreed on, if a session was up on it.
        was_up: Option<Box<Negotiated>>,
    },
}

/// Why a connection of the peer's was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unwelcome {
    /// The peer is stopped.
    #[error("the peer is administratively down")]
    Stopped,
    /// It is left alone for a while.
    #[error("the peer is held down")]
    Held,
    /// The path is not up.
    #[error("the path to the peer is not up")]
    NoPath,
    /// There is no such peer.
    #[error("no such peer")]
    Unknown,
}
