//! What people see of a LAG's ports: states, times, counters, and why one was left.

use core::fmt;

use net::Instant;

use super::{ChurnState, MuxState, PeriodicState, PortInfo, ReceiveState, Selected, selection::Kept};

/// Why a port carries frames no longer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Left {
    /// Its link went down, or its SecY has no key.
    Disabled,
    /// The partner fell silent.
    Silence,
    /// The partner no longer says that its end is in step, or that it takes frames.
    Partner,
    /// Our Selection Logic took it out.
    Unselected(Kept),
    /// An operator drained it.
    Standby,
}

impl Left {
    /// The name in JSON and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Silence => "silence",
            Self::Partner => "partner",
            Self::Unselected(Kept::Unheard) => "unheard",
            Self::Unselected(Kept::Loopback) => "loopback",
            Self::Unselected(Kept::OtherPartner) => "other_partner",
            Self::Standby => "standby",
        }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "its link is down, or it has no key",
            Self::Silence => "the partner fell silent",
            Self::Partner => "the partner took its end out",
            Self::Unselected(Kept::Unheard) => "nobody speaks LACP at the other end",
            Self::Unselected(Kept::Loopback) => "it hears this system itself: a loop",
            Self::Unselected(Kept::OtherPartner) => "it leads to another system than the other members",
            Self::Standby => "drained",
        })
    }
}

/// What a LAG has to tell of a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LacpEvent {
    /// Frames are sent by it from now on.
    Joined,
    /// Frames are sent by it no longer.
    Left(Left),
    /// It leads to this system now, which is another one than before.
    Partner(PortInfo),
    /// It is kept out of the LAG.
    KeptOut(Kept),
    /// It was not in step for a minute (true), or is now: our end (`actor`) or the partner's.
    Churn {
        /// Our end.
        actor: bool,
        /// It began.
        begins: bool,
    },
}

/// aAggPortStats (802.1AX-2014 §7.3.3), and what the debug information of §7.3.4 counts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MemberCounters {
    /// LACPDUs received.
    pub lacpdus_rx: u64,
    /// Markers received.
    pub markers_rx: u64,
    /// Marker Responses received.
    pub responses_rx: u64,
    /// Slow Protocols that we do not speak.
    pub unknown_rx: u64,
    /// Malformed PDUs.
    pub illegal_rx: u64,
    /// LACPDUs sent.
    pub lacpdus_tx: u64,
    /// Marker Responses sent.
    pub responses_tx: u64,
    /// How often our Synchronization became true.
    pub actor_syncs: u64,
    /// How often the partner's did.
    pub partner_syncs: u64,
    /// How often our end came to churn.
    pub actor_churns: u64,
    /// How often the partner's did.
    pub partner_churns: u64,
}

/// A member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MemberStatus {
    /// port_enabled: its link is up and its SecY may send.
    pub enabled: bool,
    /// What we say of it.
    pub actor: PortInfo,
    /// What the partner says of its end (or the configuration, when the state is Defaulted).
    pub partner: PortInfo,
    /// Whether it may join the Aggregator.
    pub selected: Selected,
    /// The Receive machine.
    pub receive: ReceiveState,
    /// The Periodic Transmission machine.
    pub periodic: PeriodicState,
    /// The Mux machine.
    pub mux: MuxState,
    /// Since when the Mux machine is in this state.
    pub since: Instant,
    /// When the last LACPDU came.
    pub heard: Option<Instant>,
    /// The Actor Churn Detection machine.
    pub actor_churn: ChurnState,
    /// The Partner Churn Detection machine.
    pub partner_churn: ChurnState,
    /// Frames from it are taken.
    pub collects: bool,
    /// Frames are sent by it.
    pub distributes: bool,
    /// PDUs and transitions.
    pub counters: MemberCounters,
}
