//! What people see of a session: states, times, counters, and why it went down.

use core::{fmt, net::IpAddr, time::Duration};

use net::Instant;

use super::{BfdMode, BfdState, BfdTimers, Diagnostic, Guard, Hops, RefusalCounters};

/// Why a session is not Up any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BfdLoss {
    /// Nothing valid was heard: the path, or the peer, is gone.
    Silence {
        /// For this long.
        heard_ago: Duration,
        /// This much was allowed.
        detection: Duration,
    },
    /// The peer says that it is down, for this reason.
    PeerDown(Diagnostic),
    /// The peer's operator switched the session off.
    PeerAdminDown,
    /// Our operator did.
    AdminDown,
}

impl BfdLoss {
    /// The name in JSON and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Silence { .. } => "silence",
            Self::PeerDown(_) => "peer_down",
            Self::PeerAdminDown => "peer_admin_down",
            Self::AdminDown => "admin_down",
        }
    }
}

impl fmt::Display for BfdLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: &Duration| time.as_secs_f64() * 1e3;
        match self {
            Self::Silence { heard_ago, detection } => write!(
                f,
                "nothing heard for {:.0} ms, {:.0} ms are allowed: the path or the peer is gone",
                ms(heard_ago),
                ms(detection)
            ),
            Self::PeerDown(Diagnostic::ControlDetectionTimeExpired) => {
                f.write_str("the peer says that it heard nothing from us: what we send gets lost")
            }
            Self::PeerDown(why) => write!(f, "the peer says that it is down ({why})"),
            Self::PeerAdminDown => f.write_str("the peer's operator switched the session off"),
            Self::AdminDown => f.write_str("switched off here"),
        }
    }
}

/// What a session has to tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BfdEvent {
    /// It is Up.
    Up,
    /// It was Up, and is not any more.
    Down {
        /// Why.
        loss: BfdLoss,
        /// The peer's C bit: its BFD does not share the fate of its control plane, so forwarding there is dead, too
        /// (RFC 5882 §4.3.2).
        peer_independent: bool,
    },
    /// It was not Up, and the peer now says that its operator switched it off: silence has a harmless reason.
    PeerAdminDown,
}

/// One change of state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BfdChange {
    /// When.
    pub at: Instant,
    /// From this state.
    pub from: BfdState,
    /// To this one.
    pub to: BfdState,
    /// Why, when it was a loss.
    pub loss: Option<BfdLoss>,
}

/// What a session counts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct BfdCounters {
    /// Packets handed out to be sent.
    pub tx: u64,
    /// Packets accepted.
    pub rx: u64,
    /// Packets refused.
    pub refused: RefusalCounters,
    /// How often it went Up.
    pub ups: u64,
    /// How often it left Up.
    pub downs: u64,
}

/// All that can be said of a session.
#[derive(Clone, Debug)]
pub struct BfdStatus {
    /// Our address.
    pub own: IpAddr,
    /// The peer's.
    pub peer: IpAddr,
    /// How far away it is.
    pub hops: Hops,
    /// What its state means for the path.
    pub mode: BfdMode,
    /// Whether it speaks against the path now.
    pub fault: bool,
    /// Whether it ever was Up, or was switched off since.
    pub guard: Guard,
    /// Its state.
    pub state: BfdState,
    /// Since when.
    pub since: Instant,
    /// Our diagnostic.
    pub diagnostic: Diagnostic,
    /// The peer's state, as it said last.
    pub remote_state: BfdState,
    /// The peer's diagnostic, as it said last.
    pub remote_diagnostic: Diagnostic,
    /// Our name for it.
    pub discriminator: u32,
    /// The peer's name for it; 0: not known.
    pub remote_discriminator: u32,
    /// As configured.
    pub timers: BfdTimers,
    /// Packets leave every so often, less jitter; `None`: the peer wants none now.
    pub tx_interval: Option<Duration>,
    /// Silence for this long is a failure; `None`: nothing was heard yet.
    pub detection: Option<Duration>,
    /// The peer's Desired Min TX Interval.
    pub remote_min_tx: Duration,
    /// The peer's Required Min RX Interval.
    pub remote_min_rx: Duration,
    /// The peer's Detect Mult; 0: not known.
    pub remote_multiplier: u8,
    /// The peer's C bit: its BFD survives a restart of its control plane.
    pub remote_independent: bool,
    /// When the last valid packet came.
    pub heard: Option<Instant>,
    /// The longest time between two valid packets since it is Up.
    pub longest_gap: Duration,
    /// Packets.
    pub counters: BfdCounters,
    /// The last changes of state, oldest first.
    pub history: Vec<BfdChange>,
}
