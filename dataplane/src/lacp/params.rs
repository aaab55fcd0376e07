//! What is configured of a LAG.

use net::MacAddr;

/// The Actor: our end of a LAG.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LacpParams {
    /// Actor_System_Priority.
    pub system_priority: u16,
    /// Actor_System: an individual MAC address.
    pub system: MacAddr,
    /// Actor_Admin_Aggregator_Key, the same for all members.
    pub key: u16,
    /// LACP_Activity: Active LACP; without it nothing is sent before the partner has spoken.
    pub active: bool,
    /// LACP_Timeout: Short_Timeout, which also asks the partner for a LACPDU every second.
    pub short_timeout: bool,
}

/// One member's port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MemberParams {
    /// Actor_Port_Number: at least 1, no other port of the system has it.
    pub number: u16,
    /// Actor_Port_Priority.
    pub priority: u16,
}
