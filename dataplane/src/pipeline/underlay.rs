//! Tunnels below channels: which flow a frame is of and how urgent, before nobody can see it, and what the path carries.

use macsec::SecyPolicy;
use net::{Dscp, Instant, IpNet};

use super::{ChannelId, Dataplane, Frame, Place, PortId};
use crate::{
    ChannelSetup, ConnectionSetup, Fault, InterfaceId, InterfaceSetup, flow::flow_hash_l2,
    precedence::dscp_of,
};

impl Dataplane {
    /// Writes beside a frame some bits of the hash of its flow, and its DSCP, when the channel's port asks for them.
    pub(super) fn describe(&self, channel: ChannelId, frame: &mut Frame) {
        let port = self.channel(channel).map(|channel| channel.port.index());
        if port.and_then(|port| self.ports.get(port)).is_some_and(|port| port.caps.flows) {
            // The upper half: the lower bits chose the attachment, and all flows here have them in common.
            frame.flow = u16::try_from(flow_hash_l2(&frame.buf) >> 16).unwrap_or(0);
            // What is no packet, or has no mark of its own, keeps what its maker gave it.
            if !(frame.control && frame.dscp == Dscp::CS6) {
                frame.dscp = dscp_of(&frame.buf);
            }
        }
    }

    /// The path below a port now carries `octets` behind the Ethernet header of a frame: attachments on its channels
    /// take packets of at most what is left of that, or of their own MTU when that is less. True when it is less for any: then it
    /// is worth a look, now and then, whether the path carries more again.
    pub fn set_path(&mut self, port: PortId, octets: u16) -> bool {
        if let Some(state) = self.ports.get_mut(port.index()) {
            state.path = Some(octets);
        }
        self.path_moved = true;
        let mut narrows = false;
        for (interface, setup) in self.interfaces.iter_mut().zip(&self.setup.interfaces) {
            let below = self.setup.channels.iter().enumerate();
            let below = below.filter(|(at, _)| self.setup.is_on(setup.place, ChannelId::at(*at)));
            let room = below.filter_map(|(_, channel)| {
                let path = self.ports.get(channel.port.index())?.path?;
                Some((channel.port, room(channel, setup, path)))
            });
            // Of a LAG the narrowest member counts: flows change members.
            let (mut here, mut least) = (false, u16::MAX);
            room.for_each(|(on, room)| (here, least) = (here || on == port, least.min(room)));
            if here {
                let connection = self.setup.connections.get(setup.connection.index());
                let inside = if connection.is_some_and(ConnectionSetup::tags) { R_TAG } else { 0 };
                let mtu = setup.mtu.min(least.saturating_sub(inside));
                let clamp = setup.mss_clamp;
                interface.facts.mtu = mtu;
                interface.facts.mss = [clamp.limit(mtu, false), clamp.limit(mtu, true)];
                narrows |= mtu < setup.mtu;
            }
        }
        narrows
    }
}

/// A link of IPv6 carries packets of 1280 octets (RFC 8200 §5), and no sender ever makes them shorter because a router says so
/// (RFC 8201 §4). Below that, longer ones would be lost for ever: the attachment becomes a reserve, which carries them, and IPv4,
/// only where nothing better is left, and it says why.
impl Dataplane {
    /// Whether attachments are to be judged by new paths.
    pub(super) fn path_deadline(&self) -> Option<Instant> {
        self.path_moved.then_some(Instant::ZERO)
    }

    /// Judges attachments by what their paths carry.
    pub(super) fn tend_paths(&mut self, now: Instant) {
        if !core::mem::take(&mut self.path_moved) {
            return;
        }
        for at in 0..self.interfaces.len() {
            let (Some(one), Some(setup)) = (self.interfaces.get(at), self.setup.interfaces.get(at)) else {
                continue;
            };
            let narrow =
                one.facts.mtu < IPV6_LEAST && setup.addresses.iter().any(|net| matches!(net, IpNet::V6(_)));
            let known = one.faults.has(Fault::NarrowPath);
            if setup.is_attachment() && self.foreign_owner(setup.place).is_none() && narrow != known {
                self.set_attachment_fault(InterfaceId::at(at), Fault::NarrowPath, narrow, now);
            }
        }
    }
}

/// Octets of the largest IP packet of an attachment on a channel whose port carries `octets`.
fn room(channel: &ChannelSetup, attachment: &InterfaceSetup, octets: u16) -> u16 {
    let tagged = matches!(attachment.place, Place::Attachment { vlan: Some(_), .. });
    let inner = if tagged { VLAN_TAG } else { 0 };
    // All clear tags are octets of the datagram; there is no first one that fits beside the MTU.
    let outer = VLAN_TAG.saturating_mul(u16::try_from(channel.clear_tags.len()).unwrap_or(0));
    octets.saturating_sub(inner + outer + protection(&channel.secy))
}

/// Octets of SecTAG and ICV (802.1AE-2018 §9.3, §9.8).
const fn protection(secy: &SecyPolicy) -> u16 {
    match (secy.protect_frames, secy.include_sci) {
        (false, _) => 0,
        (true, false) => 8 + 16,
        (true, true) => 16 + 16,
    }
}

/// Octets of a packet that every link of IPv6 carries (RFC 8200 §5).
const IPV6_LEAST: u16 = 1280;
/// Octets of a redundancy tag (802.1CB-2017 §7.8).
const R_TAG: u16 = 6;
/// Octets of a VLAN tag (802.1Q §9).
const VLAN_TAG: u16 = 4;
