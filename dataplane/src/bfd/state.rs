//! States and the transition table (RFC 5880 §6.2, §6.8.6), and the diagnostic codes (§4.1).

use core::fmt;

/// The state of a session (RFC 5880 §4.1).
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum BfdState {
    /// Switched off by an operator.
    AdminDown,
    /// Nothing is known of the peer, or it is not reachable.
    #[default]
    Down,
    /// The peer is heard, and does not hear us yet.
    Init,
    /// Both hear each other.
    Up,
}

impl BfdState {
    /// All, by their code on the wire.
    pub const ALL: [Self; 4] = [Self::AdminDown, Self::Down, Self::Init, Self::Up];

    /// The state after hearing that the peer is in `remote` (§6.8.6).
    #[must_use]
    pub const fn on_remote(self, remote: Self) -> Self {
        match (self, remote) {
            // A session that is switched off hears nothing.
            (Self::AdminDown, Self::AdminDown | Self::Down | Self::Init | Self::Up) => Self::AdminDown,
            (Self::Down | Self::Init | Self::Up, Self::AdminDown) => Self::Down,
            (Self::Down, Self::Down) => Self::Init,
            (Self::Down, Self::Init) => Self::Up,
            (Self::Down, Self::Up) => Self::Down,
            (Self::Init, Self::Down) => Self::Init,
            (Self::Init, Self::Init | Self::Up) => Self::Up,
            (Self::Up, Self::Down) => Self::Down,
            (Self::Up, Self::Init | Self::Up) => Self::Up,
        }
    }

    /// The name in tables and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::AdminDown => "admin_down",
            Self::Down => "down",
            Self::Init => "init",
            Self::Up => "up",
        }
    }

    /// Its two bits on the wire.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::AdminDown => 0,
            Self::Down => 1,
            Self::Init => 2,
            Self::Up => 3,
        }
    }

    /// The state with the lowest two bits of `code`.
    pub(super) const fn from_code(code: u8) -> Self {
        match code & 3 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }
}

impl fmt::Display for BfdState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Why a system's session changed its state the last time (RFC 5880 §4.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Diagnostic {
    /// 0.
    #[default]
    None,
    /// 1: it heard nothing for its detection time.
    ControlDetectionTimeExpired,
    /// 2.
    EchoFunctionFailed,
    /// 3: its neighbour said that the session is down.
    NeighborSignaledSessionDown,
    /// 4.
    ForwardingPlaneReset,
    /// 5.
    PathDown,
    /// 6.
    ConcatenatedPathDown,
    /// 7: an operator.
    AdministrativelyDown,
    /// 8.
    ReverseConcatenatedPathDown,
    /// 9 to 31, which no RFC 5880 system sends.
    Reserved(u8),
}

impl Diagnostic {
    /// The five bits on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::ControlDetectionTimeExpired => 1,
            Self::EchoFunctionFailed => 2,
            Self::NeighborSignaledSessionDown => 3,
            Self::ForwardingPlaneReset => 4,
            Self::PathDown => 5,
            Self::ConcatenatedPathDown => 6,
            Self::AdministrativelyDown => 7,
            Self::ReverseConcatenatedPathDown => 8,
            Self::Reserved(code) => code & 0x1f,
        }
    }

    /// The diagnostic with the lowest five bits of `code`.
    pub const fn from_code(code: u8) -> Self {
        match code & 0x1f {
            0 => Self::None,
            1 => Self::ControlDetectionTimeExpired,
            2 => Self::EchoFunctionFailed,
            3 => Self::NeighborSignaledSessionDown,
            4 => Self::ForwardingPlaneReset,
            5 => Self::PathDown,
            6 => Self::ConcatenatedPathDown,
            7 => Self::AdministrativelyDown,
            8 => Self::ReverseConcatenatedPathDown,
            other => Self::Reserved(other),
        }
    }

    /// The standard's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "No Diagnostic",
            Self::ControlDetectionTimeExpired => "Control Detection Time Expired",
            Self::EchoFunctionFailed => "Echo Function Failed",
            Self::NeighborSignaledSessionDown => "Neighbor Signaled Session Down",
            Self::ForwardingPlaneReset => "Forwarding Plane Reset",
            Self::PathDown => "Path Down",
            Self::ConcatenatedPathDown => "Concatenated Path Down",
            Self::AdministrativelyDown => "Administratively Down",
            Self::ReverseConcatenatedPathDown => "Reverse Concatenated Path Down",
            Self::Reserved(_) => "Reserved",
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

net::carry!(BfdState = AdminDown 0, Down 1, Init 2, Up 3);

impl net::carry::Carry for Diagnostic {
    fn pack(&self, out: &mut net::carry::Parcel) {
        self.code().pack(out);
    }

    fn unpack(from: &mut net::carry::Opened<'_>) -> Option<Self> {
        u8::unpack(from).map(Self::from_code)
    }
}
