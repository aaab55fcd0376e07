//! Receive machine (§6.4.12, Figure 6-18), and the functions that it calls (§6.4.9).
//!
//! INITIALIZE is left at once and LACP_DISABLED never entered (there is no LAG without LACP), so neither is a state here.

use net::Instant;

use super::{
    LONG_TIMEOUT, SHORT_TIMEOUT,
    pdu::Lacpdu,
    port::Port,
    selection::{Kept, Selected},
    state::{PortInfo, PortState},
};

/// A state of the machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReceiveState {
    /// The port is not enabled.
    PortDisabled,
    /// The partner fell silent, or was not heard yet; it is asked to speak fast.
    Expired,
    /// Nobody spoke: what is known of the partner is the configuration's.
    Defaulted,
    /// The partner was heard in time.
    Current,
}

impl ReceiveState {
    /// The name in tables and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::PortDisabled => "port_disabled",
            Self::Expired => "expired",
            Self::Defaulted => "defaulted",
            Self::Current => "current",
        }
    }
}

/// Partner_Admin: nobody, on a link that stands alone. Short_Timeout, so that an active port calls once a second, and a partner that
/// comes is heard at once.
const PARTNER_ADMIN: PortInfo = PortInfo {
    system_priority: 0,
    system: net::MacAddr::ZERO,
    key: 0,
    port_priority: 0,
    port: 0,
    state: PortState::TIMEOUT,
};

impl Port {
    /// BEGIN, or port_moved: the actions of INITIALIZE, then PORT_DISABLED.
    pub(super) const fn initialize(&mut self) {
        self.selected = Selected::Unselected(Kept::Unheard);
        self.record_default();
        self.actor.state.set(PortState::EXPIRED, false);
        self.receive = ReceiveState::PortDisabled;
        self.current_while = None;
        self.partner.state.set(PortState::SYNCHRONIZATION, false);
    }

    /// port_enabled changed.
    pub(super) fn receive_enabled(&mut self, now: Instant) {
        if self.enabled {
            // What the partner knows of us is old, or nothing: it need not wait for the first period to end.
            self.ntt = true;
            self.expire(now);
        } else {
            self.receive = ReceiveState::PortDisabled;
            self.current_while = None;
            self.partner.state.set(PortState::SYNCHRONIZATION, false);
        }
    }

    /// current_while_timer, when it has expired.
    pub(super) fn receive_timeout(&mut self, now: Instant) {
        if self.current_while.is_none_or(|due| due > now) {
            return;
        }
        match self.receive {
            ReceiveState::Current => self.expire(now),
            ReceiveState::Expired => {
                self.receive = ReceiveState::Defaulted;
                self.current_while = None;
                if !self.partner.names_same(&PARTNER_ADMIN) {
                    self.selected = Selected::Unselected(Kept::Unheard);
                }
                self.record_default();
                self.actor.state.set(PortState::EXPIRED, false);
            }
            ReceiveState::PortDisabled | ReceiveState::Defaulted => self.current_while = None,
        }
    }

    /// EXPIRED.
    fn expire(&mut self, now: Instant) {
        self.receive = ReceiveState::Expired;
        self.partner.state.set(PortState::SYNCHRONIZATION, false);
        self.partner.state.set(PortState::TIMEOUT, true);
        self.current_while = Some(now.after(SHORT_TIMEOUT));
        self.actor.state.set(PortState::EXPIRED, true);
    }

    /// CURRENT: a LACPDU came. Nothing is heard on a port that is not enabled.
    pub(super) fn receive_pdu(&mut self, pdu: &Lacpdu, now: Instant) {
        if self.receive == ReceiveState::PortDisabled {
            return;
        }
        self.update_selected(pdu);
        self.update_ntt(pdu);
        self.record_pdu(pdu);
        let timeout = if self.actor.state.has(PortState::TIMEOUT) { SHORT_TIMEOUT } else { LONG_TIMEOUT };
        self.current_while = Some(now.after(timeout));
        self.actor.state.set(PortState::EXPIRED, false);
        self.receive = ReceiveState::Current;
    }

    /// update_Selected: another partner than before must be selected anew.
    fn update_selected(&mut self, pdu: &Lacpdu) {
        if !pdu.actor.names_same(&self.partner) {
            self.selected = Selected::Unselected(Kept::Unheard);
        }
    }

    /// update_NTT: the partner has an old picture of us.
    fn update_ntt(&mut self, pdu: &Lacpdu) {
        let compared = PortState::ACTIVITY
            .with(PortState::TIMEOUT)
            .with(PortState::SYNCHRONIZATION)
            .with(PortState::AGGREGATION);
        let differs = (pdu.partner.state.0 ^ self.actor.state.0) & compared.0 != 0;
        self.ntt |= differs || !pdu.partner.names_same(&self.actor);
    }

    /// recordPDU.
    fn record_pdu(&mut self, pdu: &Lacpdu) {
        let theirs = pdu.actor.state;
        let knows_us = pdu.partner.names_same(&self.actor);
        let alone = !theirs.has(PortState::AGGREGATION);
        let speaks = theirs.has(PortState::ACTIVITY)
            || self.actor.state.has(PortState::ACTIVITY) && pdu.partner.state.has(PortState::ACTIVITY);
        let synchronized = (knows_us || alone) && theirs.has(PortState::SYNCHRONIZATION) && speaks;
        self.partner = pdu.actor;
        self.partner.state.set(PortState::SYNCHRONIZATION, synchronized);
        self.actor.state.set(PortState::DEFAULTED, false);
    }

    /// recordDefault. Synchronization is set so that a port without a partner may stand alone; ours never do, as the Selection
    /// Logic leaves them out.
    const fn record_default(&mut self) {
        self.partner = PARTNER_ADMIN;
        self.partner.state.set(PortState::SYNCHRONIZATION, true);
        self.actor.state.set(PortState::DEFAULTED, true);
    }
}
