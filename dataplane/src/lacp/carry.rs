//! From one process of a gateway to the next: the partner hears the same port go on, and sees nothing of a restart (§6.4.8).
//!
//! LACP has no graceful restart, and needs none: what makes a port is what it says of itself, what it heard, and until when it
//! waits. Whoever has all that is the port. The Actor's identifiers are the configuration's; where they are others now, it is
//! another port, and begins anew.

use net::{
    Instant,
    carry::{Carry, Opened, Parcel},
};

use super::{
    Aggregator,
    churn::{Churn, ChurnState},
    mux::MuxState,
    periodic::PeriodicState,
    port::Port,
    receive::ReceiveState,
    selection::{Kept, Selected},
    state::{PortInfo, PortState},
};

impl Aggregator {
    /// Leaves what makes a member's port. There is none: nothing.
    pub fn leave(&self, member: usize, out: &mut Parcel) {
        if let Some(port) = self.ports.get(member) {
            port.pack(out);
        }
    }

    /// Goes on with members' ports as they were left, their links being as they are now; all at once, since what one does depends on
    /// the others. How many do: one that was another port begins anew.
    pub fn resume(&mut self, left: &[(usize, Vec<u8>)], now: Instant) -> usize {
        let mut resumed = 0;
        for (member, left) in left {
            let port = self.ports.get_mut(*member);
            let goes_on = port.and_then(|port| port.resume(&mut Opened::new(left), now)).is_some();
            resumed += usize::from(goes_on);
        }
        self.settle(now);
        resumed
    }
}

impl Port {
    fn pack(&self, out: &mut Parcel) {
        ((self.enabled, self.standby), (self.actor, self.partner)).pack(out);
        (self.selected, self.ntt).pack(out);
        (self.receive, (self.periodic, self.mux)).pack(out);
        (self.actor_churn, self.partner_churn).pack(out);
        ((self.current_while, self.periodic_timer), (self.wait_while, self.grace)).pack(out);
        self.sent.iter().for_each(|sent| sent.pack(out));
        self.stands().pack(out);
    }

    fn resume(&mut self, from: &mut Opened<'_>, now: Instant) -> Option<()> {
        let (ends, (actor, partner)): ((bool, bool), (PortInfo, PortInfo)) = Carry::unpack(from)?;
        let selected = Carry::unpack(from)?;
        let machines = Carry::unpack(from)?;
        let churns = Carry::unpack(from)?;
        let timers = Carry::unpack(from)?;
        let mut sent = self.sent;
        for one in &mut sent {
            *one = Carry::unpack(from)?;
        }
        let stands = Carry::unpack(from)?;
        if !actor.names_same(&self.actor) {
            return None;
        }
        for bit in LEARNT {
            self.actor.state.set(bit, actor.state.has(bit));
        }
        // Who is held back stays so until somebody says otherwise.
        let (enabled, standby) = ends;
        (self.standby, self.partner) = (standby, partner);
        (self.selected, self.ntt) = selected;
        (self.receive, (self.periodic, self.mux)) = machines;
        (self.actor_churn, self.partner_churn) = churns;
        ((self.current_while, self.periodic_timer), (self.wait_while, self.grace)) = timers;
        self.sent = sent;
        self.stand(stands);
        // The partner is told where we ask for another pace, or speak unasked where we did not.
        self.ntt |= CONFIGURED.iter().any(|bit| self.actor.state.has(*bit) != actor.state.has(*bit));
        if enabled != self.enabled {
            self.receive_enabled(now);
        }
        Some(())
    }
}

/// What a port says of itself that follows from what it heard; the other bits follow from the configuration.
const LEARNT: [PortState; 5] = [
    PortState::SYNCHRONIZATION,
    PortState::COLLECTING,
    PortState::DISTRIBUTING,
    PortState::DEFAULTED,
    PortState::EXPIRED,
];
const CONFIGURED: [PortState; 2] = [PortState::ACTIVITY, PortState::TIMEOUT];

net::carry!(PortState(_));
net::carry!(PortInfo { system_priority, system, key, port_priority, port, state });
net::carry!(Churn { state, due, count });
net::carry!(ReceiveState = PortDisabled 0, Expired 1, Defaulted 2, Current 3);
net::carry!(PeriodicState = NoPeriodic 0, FastPeriodic 1, SlowPeriodic 2);
net::carry!(MuxState = Detached 0, Waiting 1, Attached 2, Collecting 3, Distributing 4);
net::carry!(ChurnState = NoChurn 0, Monitor 1, Churn 2);
net::carry!(Kept = Unheard 0, Loopback 1, OtherPartner 2);

impl Carry for Selected {
    fn pack(&self, out: &mut Parcel) {
        let (standby, kept) = match self {
            Self::Selected => (false, None),
            Self::Standby => (true, None),
            Self::Unselected(why) => (false, Some(*why)),
        };
        (standby, kept).pack(out);
    }

    fn unpack(from: &mut Opened<'_>) -> Option<Self> {
        let (standby, kept): (bool, Option<Kept>) = Carry::unpack(from)?;
        Some(match kept {
            Some(why) => Self::Unselected(why),
            None if standby => Self::Standby,
            None => Self::Selected,
        })
    }
}
