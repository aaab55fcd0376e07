//! All ports of one LAG, and the one Aggregator that they may join.

use std::collections::VecDeque;

use net::{Instant, earliest};

use super::{
    LacpEvent, LacpParams, MemberParams, MemberStatus, Refusal,
    mux::MuxState,
    pdu::{LACPDU_LEN, Lacpdu, MARKER_LEN, Marker, Pdu},
    port::Port,
    receive::ReceiveState,
    selection::{Selected, select},
    state::PortState,
};

/// Events that wait to be fetched, for each member; older ones are dropped beyond it.
const EVENTS: usize = 16;
/// Answers to markers that wait to be fetched, for each member.
const RESPONSES: usize = 4;
/// A change runs through all machines in fewer rounds than this for each member.
const ROUNDS: usize = 8;

/// LACP on all members of one LAG. Members are counted from 0, at most 64.
#[derive(Debug)]
pub struct Aggregator {
    pub(super) ports: Vec<Port>,
    events: VecDeque<(usize, LacpEvent)>,
    responses: VecDeque<(usize, Marker)>,
}

impl Aggregator {
    /// Nobody is heard, and no port is enabled.
    pub fn new(params: &LacpParams, members: &[MemberParams]) -> Self {
        Self {
            ports: members.iter().map(|member| Port::new(params, member)).collect(),
            events: VecDeque::with_capacity(EVENTS * members.len()),
            responses: VecDeque::with_capacity(RESPONSES * members.len()),
        }
    }

    /// port_enabled: the member's link is up and its SecY may send, or not any more.
    pub fn set_enabled(&mut self, member: usize, enabled: bool, now: Instant) {
        let Some(port) = self.ports.get_mut(member) else { return };
        if core::mem::replace(&mut port.enabled, enabled) != enabled {
            port.receive_enabled(now);
            self.settle(now);
        }
    }

    /// Takes a member out of service, or back into it.
    pub fn set_standby(&mut self, member: usize, standby: bool, now: Instant) {
        let Some(port) = self.ports.get_mut(member) else { return };
        if core::mem::replace(&mut port.standby, standby) != standby {
            self.settle(now);
        }
    }

    /// Hears what follows the header of a Slow Protocols frame.
    ///
    /// # Errors
    /// What is wrong with it; then it was counted, and nothing else.
    pub fn handle_pdu(&mut self, member: usize, payload: &[u8], now: Instant) -> Result<(), Refusal> {
        let Some(port) = self.ports.get_mut(member) else { return Err(Refusal::Unknown) };
        match Pdu::decode(payload) {
            Ok(Pdu::Lacp(pdu)) => self.hear(member, &pdu, now),
            Ok(Pdu::Marker(Marker { is_response: true, .. })) => port.counters.responses_rx += 1,
            Ok(Pdu::Marker(marker)) => {
                port.counters.markers_rx += 1;
                if port.responses.allow(now) && self.responses.len() < self.responses.capacity() {
                    self.responses.push_back((member, marker.response()));
                }
            }
            Err(why) => {
                match why {
                    Refusal::Illegal => port.counters.illegal_rx += 1,
                    Refusal::Unknown => port.counters.unknown_rx += 1,
                }
                return Err(why);
            }
        }
        Ok(())
    }

    fn hear(&mut self, member: usize, pdu: &Lacpdu, now: Instant) {
        // port_moved (§6.4.8): a partner's port that was on a disabled member of ours is on this one now.
        let moved = |at: usize, port: &Port| {
            at != member
                && port.receive == ReceiveState::PortDisabled
                && !port.actor.state.has(PortState::DEFAULTED)
                && (port.partner.system_id(), port.partner.port) == (pdu.actor.system_id(), pdu.actor.port)
        };
        self.ports
            .iter_mut()
            .enumerate()
            .filter(|(at, port)| moved(*at, port))
            .for_each(|(_, port)| port.initialize());
        if let Some(port) = self.ports.get_mut(member) {
            port.hear(pdu, now);
        }
        self.settle(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|due| due <= now) {
            for port in &mut self.ports {
                port.receive_timeout(now);
                port.wait_timeout(now);
            }
            self.settle(now);
        }
    }

    /// Lets the machines move until none has anything to do, and tells what came of it.
    pub(super) fn settle(&mut self, now: Instant) {
        for _ in 0..ROUNDS * self.ports.len() {
            let mut moved = select(&mut self.ports);
            let ready = self.is_ready();
            for port in &mut self.ports {
                moved |= port.advance(ready, now);
            }
            if !moved {
                break;
            }
        }
        let events = &mut self.events;
        for (at, port) in self.ports.iter_mut().enumerate() {
            port.follow(now);
            port.news(now, |event| {
                if events.len() == events.capacity() {
                    events.pop_front();
                }
                events.push_back((at, event));
            });
        }
    }

    /// Ready (§6.4.14.1): all that wait have waited long enough; or all there are, those on standby aside, are here.
    fn is_ready(&self) -> bool {
        let here = |port: &Port| {
            port.selected == Selected::Standby
                || port.selected == Selected::Selected && port.mux != MuxState::Detached
        };
        self.ports.iter().all(Port::is_ready) || self.ports.iter().all(here)
    }

    /// The next LACPDU to send, and by which member.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<(usize, [u8; LACPDU_LEN])> {
        let mut each = self.ports.iter_mut().enumerate();
        let (at, port) = each.find_map(|(at, port)| port.takes_turn(now).then_some((at, port)))?;
        port.counters.lacpdus_tx += 1;
        Some((at, Lacpdu::of(port.actor, port.partner).encode()))
    }

    /// The next answer to a marker, and by which member.
    pub fn poll_response(&mut self) -> Option<(usize, [u8; MARKER_LEN])> {
        let (at, marker) = self.responses.pop_front()?;
        if let Some(port) = self.ports.get_mut(at) {
            port.counters.responses_tx += 1;
        }
        Some((at, marker.encode()))
    }

    /// The next thing that people should know, and of which member.
    pub fn poll_event(&mut self) -> Option<(usize, LacpEvent)> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout), and then [`poll_transmit`](Self::poll_transmit), wants to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waiting = (!self.responses.is_empty()).then_some(Instant::ZERO);
        self.ports.iter().map(Port::due).fold(waiting, earliest)
    }

    /// The members that frames are taken from, one bit each.
    pub fn collecting(&self) -> u64 {
        self.set_of(Port::collects)
    }

    /// The members that frames are sent by, one bit each.
    pub fn distributing(&self) -> u64 {
        self.set_of(Port::distributes)
    }

    fn set_of(&self, is: impl Fn(&Port) -> bool) -> u64 {
        let members = self.ports.iter().enumerate().filter(|(_, port)| is(port));
        members.fold(0, |set, (at, _)| {
            set | u32::try_from(at).map_or(0, |at| 1_u64.checked_shl(at).unwrap_or(0))
        })
    }

    /// What people see of each member.
    pub fn status(&self) -> Vec<MemberStatus> {
        self.ports.iter().map(Port::status).collect()
    }
}
