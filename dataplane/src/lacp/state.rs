//! What one end says of a port (§6.4.2.3): system and port identifiers, the key, and eight bits of state.

use core::fmt;

use net::MacAddr;

/// Actor_State or Partner_State: eight bits, the standard's names.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct PortState(pub u8);

impl PortState {
    /// LACP_Activity: it sends without being asked to.
    pub const ACTIVITY: Self = Self(0x01);
    /// LACP_Timeout: Short_Timeout; without it, Long_Timeout.
    pub const TIMEOUT: Self = Self(0x02);
    /// Aggregation: the link may be one of several; without it, it stands alone (Individual).
    pub const AGGREGATION: Self = Self(0x04);
    /// Synchronization: the port is attached to the right Aggregator.
    pub const SYNCHRONIZATION: Self = Self(0x08);
    /// Collecting: frames are taken.
    pub const COLLECTING: Self = Self(0x10);
    /// Distributing: frames are sent.
    pub const DISTRIBUTING: Self = Self(0x20);
    /// Defaulted: what it knows of its partner is configured, not heard.
    pub const DEFAULTED: Self = Self(0x40);
    /// Expired: the partner fell silent.
    pub const EXPIRED: Self = Self(0x80);

    /// The bits by the names that screens use, from the first one on.
    pub const NAMES: [(Self, &'static str); 8] = [
        (Self::ACTIVITY, "ACT"),
        (Self::TIMEOUT, "STO"),
        (Self::AGGREGATION, "AGG"),
        (Self::SYNCHRONIZATION, "SYN"),
        (Self::COLLECTING, "COL"),
        (Self::DISTRIBUTING, "DIS"),
        (Self::DEFAULTED, "DEF"),
        (Self::EXPIRED, "EXP"),
    ];

    /// True when all of these bits are set.
    pub const fn has(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }

    /// Sets or clears these bits.
    pub const fn set(&mut self, bits: Self, on: bool) {
        if on {
            self.0 |= bits.0;
        } else {
            self.0 &= !bits.0;
        }
    }

    /// Both sets of bits.
    #[must_use]
    pub const fn with(self, bits: Self) -> Self {
        Self(self.0 | bits.0)
    }

    /// The names of the bits that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(bit, _)| self.has(*bit)).map(|(_, name)| name)
    }
}

impl fmt::Display for PortState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.names().enumerate() {
            if at > 0 {
                f.write_str("+")?;
            }
            f.write_str(name)?;
        }
        if self.0 == 0 { f.write_str("-") } else { Ok(()) }
    }
}

impl fmt::Debug for PortState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A port as its own end, or the other one, describes it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PortInfo {
    /// System_Priority: the first half of the System Identifier (§6.3.2).
    pub system_priority: u16,
    /// System: the second half.
    pub system: MacAddr,
    /// Key: ports of one system and one key may be aggregated (§6.3.5).
    pub key: u16,
    /// Port_Priority: the first half of the Port Identifier (§6.3.4).
    pub port_priority: u16,
    /// Port: the second half; 0 is nobody's.
    pub port: u16,
    /// State.
    pub state: PortState,
}

impl PortInfo {
    /// The System Identifier.
    pub const fn system_id(&self) -> (u16, MacAddr) {
        (self.system_priority, self.system)
    }

    /// All that names port and system, and whether the link may be aggregated: what Selection looks at (§6.4.9, update_Selected).
    pub(super) fn names_same(&self, other: &Self) -> bool {
        let bits = |one: &Self| one.state.has(PortState::AGGREGATION);
        self.system_id() == other.system_id()
            && (self.key, self.port_priority, self.port) == (other.key, other.port_priority, other.port)
            && bits(self) == bits(other)
    }

    /// Who a link leads to, as far as aggregation is concerned (§6.3.6.1): an Individual link counts with its port.
    pub(super) fn link_id(&self) -> (u16, MacAddr, u16, Option<(u16, u16)>) {
        let alone = !self.state.has(PortState::AGGREGATION);
        (self.system_priority, self.system, self.key, alone.then_some((self.port_priority, self.port)))
    }
}
