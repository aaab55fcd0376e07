//! How sessions end, by whose fault.

use crate::wire::notification::{Cause, Cease, Notification};
use core::fmt;

/// Why a connection or a session is over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SessionEnd {
    /// The peer broke the protocol; we told it how.
    PeerFault(Notification),
    /// The peer ended it, with these words.
    PeerSaid(Notification),
    /// Nothing was heard for the hold time: the peer, or the path, is gone.
    HoldTimer,
    /// Nothing could be sent for the send hold time: the peer does not read (RFC 9687).
    SendHoldTimer,
    /// TCP closed or failed without a word.
    Closed,
    /// BFD found the path dead, and it may be a restart of the peer: ended without a word, as a failure of TCP would.
    PathLost,
    /// The other of two connections was kept.
    Collision,
    /// We asked for it: an operator, a limit, BFD.
    Local(Notification),
}

impl SessionEnd {
    /// True when the peer should be left alone for a while, longer each time: it, or we, sent something
    /// that the other could not accept, and would do so again.
    pub const fn is_fault(&self) -> bool {
        match self {
            Self::PeerFault(_) | Self::SendHoldTimer => true,
            Self::PeerSaid(note) => !matches!(note.cause, Cause::Cease(_) | Cause::HoldTimer),
            Self::HoldTimer | Self::Closed | Self::PathLost | Self::Collision | Self::Local(_) => false,
        }
    }

    /// The NOTIFICATION that the peer hears at this end.
    pub fn told(&self) -> Option<Notification> {
        match self {
            Self::PeerFault(note) | Self::Local(note) => Some(note.clone()),
            Self::HoldTimer => Some(Notification::new(Cause::HoldTimer)),
            Self::SendHoldTimer => Some(Notification::new(Cause::SendHoldTimer)),
            Self::Collision => Some(Notification::cease(Cease::Collision)),
            Self::PeerSaid(_) | Self::Closed | Self::PathLost => None,
        }
    }

    /// The one that we heard.
    pub fn heard(&self) -> Option<Notification> {
        match self {
            Self::PeerSaid(note) => Some(note.clone()),
            Self::PeerFault(_)
            | Self::HoldTimer
            | Self::SendHoldTimer
            | Self::Closed
            | Self::PathLost
            | Self::Collision
            | Self::Local(_) => None,
        }
    }

    /// True when graceful restart lets the routes stay (RFC 4724 section 4.2, RFC 8538 section 4).
    /// `over_notification` says that both sides announced the N bit.
    pub fn keeps_routes(&self, over_notification: bool) -> bool {
        match self {
            Self::Closed | Self::PathLost | Self::Collision => true,
            Self::HoldTimer | Self::SendHoldTimer => over_notification,
            Self::PeerFault(note) | Self::PeerSaid(note) | Self::Local(note) => {
                over_notification && note.cause != Cause::Cease(Cease::HardReset)
            }
        }
    }
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerFault(note) => write!(f, "peer broke the protocol, told it {note}"),
            Self::PeerSaid(note) => write!(f, "peer sent {note}"),
            Self::HoldTimer => f.write_str("hold timer expired: nothing heard from the peer"),
            Self::SendHoldTimer => f.write_str("send hold timer expired: the peer does not read"),
            Self::Closed => f.write_str("connection closed"),
            Self::PathLost => {
                f.write_str("BFD down; it may be a restart of the peer, so its routes stay a while")
            }
            Self::Collision => f.write_str("the other of two connections was kept"),
            Self::Local(note) => write!(f, "ended by us, {note}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4724 section 4.2, RFC 8538 sections 3 and 4.
    #[test]
    fn routes_stay_only_over_ends_that_graceful_restart_covers() {
        let cease = Notification::cease(Cease::AdminReset);
        let hard = cease.hard_reset();
        //                                        plain  with N
        let table = [
            (SessionEnd::Closed, true, true),
            (SessionEnd::PathLost, true, true),
            (SessionEnd::HoldTimer, false, true),
            (SessionEnd::PeerSaid(cease.clone()), false, true),
            (SessionEnd::PeerSaid(hard.clone()), false, false),
            (SessionEnd::Local(cease), false, true),
            (SessionEnd::Local(hard), false, false),
        ];
        for (end, plain, with_n) in table {
            assert_eq!((end.keeps_routes(false), end.keeps_routes(true)), (plain, with_n), "{end}");
        }
    }
}
