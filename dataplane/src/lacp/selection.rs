//! Selection Logic (§6.4.14): which ports may join the LAG's one Aggregator.
//!
//! A port is selected anew only when its Mux machine is DETACHED, so that a partner that changed is let go before it is taken again.

use super::{
    mux::MuxState,
    port::Port,
    receive::ReceiveState,
    state::{PortInfo, PortState},
};

/// The variable of the same name (§6.4.8).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Selected {
    /// It may join.
    Selected,
    /// It could, and is held back: an operator drained it.
    Standby,
    /// It may not.
    Unselected(Kept),
}

/// Why a port is not selected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kept {
    /// Nobody speaks LACP at the other end, or not any more.
    Unheard,
    /// It hears this very system: a loop.
    Loopback,
    /// The system (or its key) is another one than that of the other members: cabled wrongly, or the partner wants them apart.
    OtherPartner,
}

impl Selected {
    /// The name in tables and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Selected => "selected",
            Self::Standby => "standby",
            Self::Unselected(Kept::Unheard) => "unheard",
            Self::Unselected(Kept::Loopback) => "loopback",
            Self::Unselected(Kept::OtherPartner) => "other_partner",
        }
    }
}

/// Who the links of a port lead to.
type LinkId = (u16, net::MacAddr, u16, Option<(u16, u16)>);

/// Selects among all ports of a LAG. True when anything changed.
pub(super) fn select(ports: &mut [Port]) -> bool {
    let chosen = chosen(ports);
    let mut moved = false;
    for port in ports {
        let wish = wish(port, chosen);
        let may = port.mux == MuxState::Detached || wish != Selected::Selected;
        if may && wish != port.selected {
            port.selected = wish;
            moved = true;
        }
    }
    moved
}

fn wish(port: &Port, chosen: Option<LinkId>) -> Selected {
    match candidate(port) {
        // Nobody can tell anything new of it.
        _ if !port.enabled => port.selected,
        Err(why) => Selected::Unselected(why),
        Ok(_) if port.standby => Selected::Standby,
        Ok(id) if Some(id) == chosen => Selected::Selected,
        Ok(_) => Selected::Unselected(Kept::OtherPartner),
    }
}

/// Who the port's links lead to, if it could be selected. A port that is disabled, or whose partner is late, keeps what it has.
fn candidate(port: &Port) -> Result<LinkId, Kept> {
    let hears = |info: &PortInfo| info.system_id() == port.actor.system_id();
    match port.receive {
        _ if port.actor.state.has(PortState::DEFAULTED) => Err(Kept::Unheard),
        ReceiveState::Defaulted => Err(Kept::Unheard),
        _ if hears(&port.partner) => Err(Kept::Loopback),
        ReceiveState::Current | ReceiveState::Expired | ReceiveState::PortDisabled => {
            Ok(port.partner.link_id())
        }
    }
}

/// The partner of the Aggregator: the one that a port in it has; else the one that most ports hear, the first of them when
/// several are heard as often.
fn chosen(ports: &[Port]) -> Option<LinkId> {
    let within =
        |port: &&Port| port.enabled && port.selected == Selected::Selected && port.mux != MuxState::Detached;
    let kept = ports.iter().filter(within).find_map(|port| candidate(port).ok());
    if kept.is_some() {
        return kept;
    }
    let heard = || ports.iter().filter(|port| port.enabled).filter_map(|port| candidate(port).ok());
    let votes = |id: LinkId| heard().filter(|other| *other == id).count();
    // `max_by_key` takes the last of equals.
    heard().rev().max_by_key(|id| votes(*id))
}
