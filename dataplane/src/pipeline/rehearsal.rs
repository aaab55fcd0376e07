//! Drills: a channel behaves as if its carrier was lost, and what dies of it is counted.
//!
//! Neither direction carries anything while a drill lasts, key agreement aside, so that the end of the drill is the end of it.

use net::{EtherType, Ethernet, Instant, ipv4::Ipv4, ipv6::Ipv6};

use super::{Blame, Dataplane, Facts};
use crate::{ChannelId, DropReason, Fault, Frame, frer::rtag};

/// What a drill did to a channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rehearsal {
    /// It lasts.
    pub active: bool,
    /// When it began.
    pub began: Instant,
    /// Frames that the far end still sent by the channel, and that were on their way through.
    pub lost: u64,
    /// When the last one of these came.
    pub last: Option<Instant>,
}

impl Dataplane {
    /// Begins, or ends, a drill on a channel of this worker's.
    pub fn rehearse(&mut self, id: ChannelId, active: bool, now: Instant) {
        let Some(channel) = self.channel_mut(id) else { return };
        match &mut channel.rehearsal {
            Some(one) if one.active || !active => one.active = active,
            place => *place = active.then_some(Rehearsal { active, began: now, lost: 0, last: None }),
        }
        let active_one = |one: &crate::channel::Channel| one.rehearsal.is_some_and(|one| one.active);
        self.rehearsing = self.channels.iter().flatten().any(active_one);
        self.set_channel_fault(id, Fault::Drill, active, now);
    }

    /// Takes a frame that came by a channel during its drill; gives others back.
    pub(super) fn miss(&mut self, facts: &Facts, blame: Blame, frame: Frame, now: Instant) -> Option<Frame> {
        let Blame::Channel(channel) = blame else { return Some(frame) };
        let through = self.is_through(facts, &frame);
        let active = |one: &&mut Rehearsal| one.active;
        let drill = self.channel_mut(channel).and_then(|one| one.rehearsal.as_mut()).filter(active);
        let Some(drill) = drill else { return Some(frame) };
        if through {
            drill.lost += 1;
            drill.last = Some(now);
        }
        self.drop(blame, DropReason::Rehearsal, frame);
        None
    }

    /// A frame on its way through, as far as its addresses tell.
    fn is_through(&self, facts: &Facts, frame: &Frame) -> bool {
        let Some((header, l3)) = Ethernet::split(&frame.buf) else { return false };
        let destination = match header.ethertype {
            EtherType::IPV4 => Ipv4::parse(l3).map(|(ip, _)| ip.destination().into()),
            EtherType::IPV6 => Ipv6::parse(l3).map(|(ip, _)| ip.destination().into()),
            rtag::ETHERTYPE => return true,
            _ => return facts.kind == crate::ConnectionKind::Transparent,
        };
        let own = |address| self.is_own_address(facts, address) || super::local::is_of_link(address);
        destination.is_some_and(|address| !own(address))
    }

    /// Whether a channel is silent now because of a drill.
    pub(super) fn is_rehearsed(&self, id: ChannelId) -> bool {
        self.rehearsing && self.channel(id).is_some_and(|one| one.rehearsal.is_some_and(|one| one.active))
    }
}
