//! Which attachments may carry traffic: what speaks against each, and who is chosen then.

use core::{net::IpAddr, time::Duration};

use net::{Instant, earliest};

use super::{Dataplane, Event, Interface, Moved, protection::carriers};
use crate::{ChannelId, Fault, Faults, InterfaceId, Place, PortId, channel::Channel, neighbor::Neighbors};

impl Dataplane {
    /// Says that something speaks, or no longer speaks, against a channel: carrier, MKA, BFD, an operator.
    pub fn set_channel_fault(&mut self, channel: ChannelId, fault: Fault, present: bool, now: Instant) {
        let Some(Some(state)) = self.channels.get_mut(channel.index()) else { return };
        if !state.set_fault(fault, present, now) {
            return;
        }
        if let Some((lag, _)) = state.lag {
            return self.member_changed(lag, now);
        }
        for at in 0..self.interfaces.len() {
            let on_channel = |one: &Interface| matches!(one.facts.place, Place::Attachment { channel: c, .. } if c == channel);
            if self.interfaces.get(at).is_some_and(on_channel) {
                self.judge(InterfaceId::at(at), now);
            }
        }
        self.refresh_liveness(now);
    }

    /// As [`set_channel_fault`](Self::set_channel_fault), for one attachment alone.
    pub fn set_attachment_fault(
        &mut self,
        attachment: InterfaceId,
        fault: Fault,
        present: bool,
        now: Instant,
    ) {
        if let Some(one) = self.interfaces.get_mut(attachment.index()) {
            one.faults.set(fault, present);
            self.judge(attachment, now);
            self.refresh_liveness(now);
        }
    }

    /// Carrier or state of a port's device changed: a fault, or none, for all channels on it; neighbours on its LANs are not taken to
    /// be there any more.
    pub fn set_port_fault(&mut self, port: PortId, fault: Option<Fault>, now: Instant) {
        let mut back = false;
        for at in 0..self.channels.len() {
            if matches!(self.channels.get(at), Some(Some(channel)) if channel.port == port) {
                let down = |faults: Faults| {
                    [Fault::PortDown, Fault::NoCarrier, Fault::NoRoute].iter().any(|one| faults.has(*one))
                };
                back |=
                    fault.is_none() && self.channel(ChannelId::at(at)).is_some_and(|one| down(one.faults()));
                for one in [Fault::PortDown, Fault::NoCarrier, Fault::NoRoute] {
                    self.set_channel_fault(ChannelId::at(at), one, fault == Some(one), now);
                }
            }
        }
        if back {
            self.link_up_for_mka(port, now);
        }
        if fault.is_some() {
            self.doubt_lans(port, now);
        }
    }

    fn doubt_lans(&mut self, port: PortId, now: Instant) {
        for (at, one) in self.interfaces.iter_mut().enumerate() {
            if matches!(one.facts.place, Place::Lan { port: on, .. } if on == port) {
                one.neighbors.doubt_all(now);
                self.neighbor_deadline = earliest(self.neighbor_deadline, one.neighbors.poll_timeout());
                self.stirred.push(InterfaceId::at(at));
            }
        }
    }

    pub(super) fn judge_security(&mut self, channel: ChannelId, now: Instant) {
        let secured = match self.channels.get(channel.index()) {
            Some(Some(channel)) => channel.secy.mac_operational(),
            _ => return,
        };
        self.set_channel_fault(channel, Fault::NotSecured, !secured, now);
    }

    /// Packet numbers end while frames are sent, and are reserved while others wait: MAC_Operational follows (§10.5).
    pub(super) fn watch_security(&mut self, now: Instant) {
        let moved =
            |channel: &Channel| channel.secy.mac_operational() == channel.faults().has(Fault::NotSecured);
        for at in 0..self.channels.len() {
            if matches!(self.channels.get(at), Some(Some(channel)) if moved(channel)) {
                self.judge_security(ChannelId::at(at), now);
            }
        }
    }

    /// All that speaks against an attachment: its channel's (or LAG's) faults and its own.
    pub(super) fn faults_of(&self, interface: InterfaceId) -> Faults {
        let Some(one) = self.interfaces.get(interface.index()) else { return Faults::NONE };
        let below = match one.facts.place {
            Place::Attachment { channel, .. } => self.channel(channel).map_or(Faults::NONE, |channel| {
                let lag = channel.lag.and_then(|(lag, _)| self.lag(lag));
                lag.map_or_else(|| channel.faults(), |lag| lag.faults)
            }),
            Place::Lan { .. } => Faults::NONE,
        };
        below.or(one.faults)
    }

    /// Publishes whether an attachment is live.
    pub(super) fn judge(&mut self, interface: InterfaceId, now: Instant) {
        self.damp(interface, now);
        let faults = self.faults_of(interface);
        self.open_path_for_bfd(interface, faults);
        self.open_path_for_probes(interface, faults, now);
        let opened = self.turn(interface, faults);
        let cleared = self.against(interface, faults.first());
        let moves = self.board.put(interface, faults);
        if opened == Some(true) || moves && faults.is_live() {
            self.greet_peers(interface, now);
        }
        if !moves {
            // Whoever follows the link, as BGP does, must not wait for one that is back.
            if let (Some(_), Some(fault)) = (opened, faults.first()) {
                self.tell(Event::AttachmentStays(interface, fault));
            }
            return;
        }
        if let Some(one) = self.interfaces.get_mut(interface.index()) {
            one.since = now;
        }
        let event = faults
            .first()
            .map_or(Event::AttachmentUp(interface), |fault| Event::AttachmentDown(interface, fault));
        self.tell(event);
        let silent = self.silence_of(interface, now);
        self.tell(Event::Moved(Moved { at: now, interface, fault: faults.first(), cleared, silent }));
    }

    /// Remembers what speaks against it. Gives what did before, when nothing does any more.
    fn against(&mut self, interface: InterfaceId, fault: Option<Fault>) -> Option<Fault> {
        let before = core::mem::replace(&mut self.interfaces.get_mut(interface.index())?.against, fault);
        before.filter(|_| fault.is_none())
    }

    /// Whether frames can leave, when that is news. True: who waits for BFD must be met before.
    fn turn(&mut self, interface: InterfaceId, faults: Faults) -> Option<bool> {
        let open = !faults.is_cut();
        let one = self.interfaces.get_mut(interface.index())?;
        let was_open = core::mem::replace(&mut one.open, open);
        (open != was_open).then_some(open)
    }

    /// An attachment that was lost again and again is held back when it returns.
    fn damp(&mut self, interface: InterfaceId, now: Instant) {
        let broken = self.faults_of(interface).is_broken();
        let Some(one) = self.interfaces.get_mut(interface.index()) else { return };
        let hold = one.damper.note(broken, now);
        one.faults.set(Fault::Flapping, one.damper.holds(now));
        if let Some(hold) = hold {
            self.damped = earliest(self.damped, one.damper.until());
            let losses = one.damper.losses();
            self.tell(Event::Flapping(interface, losses, hold));
        }
    }

    pub(super) const fn damping_deadline(&self) -> Option<Instant> {
        self.damped
    }

    /// Lets attachments go that waited for long enough.
    pub(super) fn tend_damping(&mut self, now: Instant) {
        if self.damped.is_none_or(|due| due > now) {
            return;
        }
        for at in 0..self.interfaces.len() {
            if self.interfaces.get_mut(at).is_some_and(|one| one.damper.release(now)) {
                self.judge(InterfaceId::at(at), now);
            }
        }
        self.damped = self.interfaces.iter().fold(None, |due, one| earliest(due, one.damper.until()));
        self.refresh_liveness(now);
        self.finish(now);
    }

    /// How long nothing was heard on an attachment's channel, or any member of its LAG.
    fn silence_of(&self, interface: InterfaceId, now: Instant) -> Option<Duration> {
        let Place::Attachment { channel, .. } = self.facts(interface)?.place else { return None };
        let lag = self.channel(channel)?.lag.and_then(|(lag, _)| self.setup.lags.get(lag.index()));
        let members = lag.map_or(&[][..], |lag| &lag.members).iter().map(|member| member.channel);
        let heard = members.chain([channel]).filter_map(|one| self.channel(one)?.heard).max();
        Some(now.since(heard?))
    }

    /// Asks for the neighbours that routes lead to by this interface, so that the first frames need not wait for them.
    pub(super) fn meet_peers(&mut self, interface: InterfaceId, now: Instant) {
        self.ask_peers(interface, |neighbors, gateway| neighbors.meet(gateway, now), now);
    }

    /// As [`meet_peers`](Self::meet_peers), and asks again for those that are known: the link, or its key, is another.
    pub(super) fn greet_peers(&mut self, interface: InterfaceId, now: Instant) {
        self.ask_peers(interface, |neighbors, gateway| neighbors.greet(gateway, now), now);
    }

    fn ask_peers(&mut self, interface: InterfaceId, ask: impl Fn(&mut Neighbors, IpAddr), now: Instant) {
        let Some(one) = self.interfaces.get_mut(interface.index()) else { return };
        let tables = self.tables.connections.get(one.facts.connection.index());
        for (_, gateway) in tables.map_or(&[][..], |tables| tables.neighbors_on(interface)) {
            ask(&mut one.neighbors, *gateway);
        }
        // With BGP no route leads there before its session is up, and that session is with them.
        for peer in self.bfd.near_peers(interface) {
            ask(&mut one.neighbors, peer);
        }
        // The next timeout, which is now, lets them ask.
        self.stirred.push(interface);
        self.neighbor_deadline = Some(now);
    }

    /// Chooses among group members again when any worker's attachment came or went.
    pub fn refresh_liveness(&mut self, now: Instant) {
        // What moves after this look is seen by the next one.
        let epoch = self.board.epoch();
        if self.epoch != epoch {
            self.epoch = epoch;
            self.decide(now);
            self.choose_again(|_| true);
        }
    }

    /// Chooses among group members again in the connections at these places.
    pub(super) fn choose_again(&mut self, wanted: impl Fn(usize) -> bool) {
        let board = &self.board;
        for (at, state) in self.connections.iter_mut().enumerate().filter(|(at, _)| wanted(*at)) {
            let groups = self.tables.connections.get(at).map_or(&[][..], |tables| tables.groups());
            let protected = state.protected.as_ref();
            state.live.clear();
            state.live.extend(groups.iter().map(|group| {
                let members = group.hops.iter().map(|hop| (hop.interface, hop.carries));
                carriers(protected, board, &self.interfaces, members)
            }));
            state.twice.clear();
            if let Some(protected) = protected.filter(|one| one.has_classes()) {
                state.twice.extend(groups.iter().map(|group| {
                    let members = group.hops.iter().map(|hop| (hop.interface, hop.carries));
                    protected.carriers_of_classes(board, &self.interfaces, members)
                }));
            }
            if let Some(wire) = &mut state.wire {
                let members = wire.attachments.iter().map(|one| (*one, true));
                wire.group.set_live(carriers(protected, board, &self.interfaces, members));
            }
        }
    }
}
