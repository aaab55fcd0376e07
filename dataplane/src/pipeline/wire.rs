//! Transparent connections: an Ethernet wire from a LAN interface to the far end's.
//!
//! Nothing is looked up and nothing is changed: a flow stays on one attachment, chosen by its hash, as long as
//! that attachment is live. Pause frames end at each link by their nature (802.3 §31B.1), and LACPDUs where a LAG would take them for its own;
//! all else crosses.

use net::{EtherType, Ethernet, Instant, MacAddr, VlanTag};

use super::{Blame, Dataplane, Facts};
use crate::{Crossing, DropReason, Frame, InterfaceId, Place, flow::flow_hash_l2, offload::Layout};

const PAUSE: MacAddr = MacAddr([0x01, 0x80, 0xc2, 0x00, 0x00, 0x01]);

impl Dataplane {
    pub(super) fn over_the_wire(&mut self, facts: &Facts, blame: Blame, frame: Frame, now: Instant) {
        let Some((header, _)) = Ethernet::split(&frame.buf) else {
            return self.drop(blame, DropReason::Runt, frame);
        };
        if header.destination == PAUSE {
            return self.drop(blame, DropReason::NotForwardable, frame);
        }
        let Some(out) = self.far_side(facts, &frame) else {
            return self.drop(blame, DropReason::NoLiveAttachment, frame);
        };
        let Some(out_facts) = self.facts(out) else { return self.pool.recycle(frame) };
        if Ethernet::split(&frame.buf)
            .is_some_and(|(header, _)| self.is_mistaken_for_lacp(out_facts.place, header))
        {
            return self.drop(blame, DropReason::NotForwardable, frame);
        }
        if longest(&frame) > room(&out_facts, &frame) {
            return self.drop(blame, DropReason::TooBig, frame);
        }
        self.count_through(facts.id, true);
        if !self.is_within_rate(facts, &frame, now) {
            return self.drop(blame, DropReason::Policed, frame);
        }
        self.count_through(out, false);
        match self.foreign_owner(out_facts.place) {
            Some(owner) => self.crossings.push((owner, Crossing::Emit { interface: out, frame })),
            None => self.emit(out, frame),
        }
    }

    fn far_side(&self, facts: &Facts, frame: &Frame) -> Option<InterfaceId> {
        let wire = self.connections.get(facts.connection.index())?.wire.as_ref()?;
        match facts.place {
            Place::Attachment { .. } => wire.lan,
            Place::Lan { .. } => {
                let member = wire.group.choose(flow_hash_l2(&frame.buf))?;
                wire.attachments.get(member.index()).copied()
            }
        }
    }
}

/// Octets that may follow the Ethernet header on that interface's wire. On a LAN a customer tag fits beside the MTU, as
/// every Ethernet device takes it (802.3 §3.2.7), unless the interface adds one of its own.
fn room(out: &Facts, frame: &Frame) -> usize {
    let tagged = Ethernet::split(&frame.buf).is_some_and(|(header, _)| header.ethertype == EtherType::VLAN);
    let beside = if tagged && matches!(out.place, Place::Lan { vlan: None, .. }) { VlanTag::LEN } else { 0 };
    usize::from(out.mtu) + beside
}

/// Octets behind the Ethernet header of the longest frame that this becomes on a wire: tags and padding count.
fn longest(frame: &Frame) -> usize {
    let whole = frame.buf.len().saturating_sub(Ethernet::LEN);
    let Some((gso, layout)) = frame.offload.gso.zip(Layout::parse(&frame.buf)) else { return whole };
    whole.min(layout.payload.saturating_sub(Ethernet::LEN) + usize::from(gso.size))
}
