//! Whether a session speaks against its path (RFC 5882 §3.2, §4.2, §4.3).
//!
//! A peer that was never Up may not speak BFD at all. One that says AdminDown was switched off by its operator, and one that
//! we switched off ourselves says nothing: neither means that the path is bad, so traffic stays (RFC 5882 §4.2), until the
//! session is Up again and takes up its watch.

use super::{BfdMode, BfdState};

/// What a session's silence would mean.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Guard {
    /// The session was never Up.
    #[default]
    Waiting,
    /// The session was Up: when it is not any more, the path is bad.
    Watching,
    /// One side was switched off after that: nothing follows from silence, until it is Up again.
    Excused,
}

impl Guard {
    /// After the session went Up.
    #[must_use]
    pub const fn on_up(self) -> Self {
        Self::Watching
    }

    /// After the peer said AdminDown. One that never was Up is still waited for.
    #[must_use]
    pub const fn on_remote_admin_down(self) -> Self {
        match self {
            Self::Waiting => Self::Waiting,
            Self::Watching | Self::Excused => Self::Excused,
        }
    }

    /// True when the path must not be used.
    pub fn is_fault(self, mode: BfdMode, state: BfdState) -> bool {
        match (self, mode) {
            (Self::Waiting, BfdMode::Strict) | (Self::Watching, _) => state != BfdState::Up,
            (Self::Waiting, BfdMode::Follow) | (Self::Excused, _) => false,
        }
    }

    /// The name in tables and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Watching => "watching",
            Self::Excused => "excused",
        }
    }
}

net::carry!(Guard = Waiting 0, Watching 1, Excused 2);
