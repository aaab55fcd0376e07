//! Whose frame is this? A port's tags to the channel or interface that they belong to.

use net::VlanTag;

use crate::{ChannelId, Frame, InterfaceId, vlan};

/// Who gets a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Owner {
    Channel(ChannelId),
    Interface(InterfaceId),
}

/// The owners on one port (or inside one channel), by zero, one or two VLAN tags. A customer's tag and a service tag of
/// the same identifier are different VLANs (802.1Q §9.4).
#[derive(Debug, Default)]
pub(crate) struct Demux {
    /// Sorted by key.
    owners: Vec<(u64, Owner)>,
    /// Who gets frames with tags that nobody else claimed: a transparent wire, or a channel in clear.
    trunk: Option<Owner>,
}

impl Demux {
    /// Frames that carry exactly these tags, outer first, priorities aside, belong to `owner`.
    pub(crate) fn add(&mut self, tags: &[VlanTag], owner: Owner, trunk: bool) {
        let at = self.owners.partition_point(|(key, _)| *key < key_of(tags));
        self.owners.insert(at, (key_of(tags), owner));
        if trunk && tags.is_empty() {
            self.trunk = Some(owner);
        }
    }

    /// The owner of `frame`, whose tags are taken off as far as they said so. `None`: nobody's.
    pub(crate) fn claim(&self, frame: &mut Frame) -> Option<Owner> {
        let Some(outer) = VlanTag::outermost(&frame.buf) else { return self.find(&[]) };
        let inner = frame.buf.get(VlanTag::LEN..).and_then(VlanTag::outermost);
        if let Some(inner) = inner
            && let Some(owner) = self.find(&[outer, inner])
        {
            return (vlan::pop(frame) && vlan::pop(frame)).then_some(owner);
        }
        if let Some(owner) = self.find(&[outer]) {
            return vlan::pop(frame).then_some(owner);
        }
        let wire = matches!(self.trunk, Some(Owner::Interface(_)));
        if outer.id() == 0 && inner.is_none() && !wire {
            // A priority tag names no VLAN (802.1Q §6.9): the frame is untagged. A transparent wire carries it as it is.
            return self.find(&[]).filter(|_| vlan::pop(frame));
        }
        self.trunk
    }

    fn find(&self, tags: &[VlanTag]) -> Option<Owner> {
        let key = key_of(tags);
        let at = self.owners.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        self.owners.get(at).map(|(_, owner)| *owner)
    }
}

/// Type and identifier of each tag in 32 bits. No type is 0, so no two lists share a key.
fn key_of(tags: &[VlanTag]) -> u64 {
    tags.iter().fold(0, |key, tag| key << 32 | u64::from(tag.tpid.get()) << 16 | u64::from(tag.id()))
}

#[cfg(test)]
mod tests {
    use net::{EtherType, PacketBuf};

    use super::*;

    const fn c(id: u16) -> VlanTag {
        VlanTag::with_tci(EtherType::VLAN, id)
    }

    const fn s(id: u16) -> VlanTag {
        VlanTag::with_tci(EtherType::SERVICE_VLAN, id)
    }

    fn frame(tags: &[VlanTag]) -> Frame {
        let mut frame = Frame::new(PacketBuf::copy_of(&[0x08; 60], 16, 0));
        for &tag in tags.iter().rev() {
            assert!(vlan::push(&mut frame, tag));
        }
        frame
    }

    #[test]
    fn the_longest_list_of_tags_wins_and_is_taken_off() {
        let (a, b, none) =
            (Owner::Channel(ChannelId(1)), Owner::Interface(InterfaceId(2)), Owner::Channel(ChannelId(3)));
        let mut demux = Demux::default();
        demux.add(&[c(100), c(200)], a, false);
        demux.add(&[c(100)], b, false);
        demux.add(&[], none, false);
        //  tags on the frame, owner, octets that are left
        for (tags, owner, left) in [
            (&[c(100), c(200)][..], Some(a), 60),
            (&[c(0x6064), c(0xe0c8)], Some(a), 60),
            (&[c(100), c(201)], Some(b), 64),
            (&[c(100)], Some(b), 60),
            (&[], Some(none), 60),
            (&[c(0)], Some(none), 60),
            (&[c(7)], None, 64),
            (&[c(200), c(100)], None, 68),
        ] {
            let mut frame = frame(tags);
            assert_eq!((demux.claim(&mut frame), frame.buf.len()), (owner, left), "{tags:?}");
        }
    }

    #[test]
    fn ieee_802_1q_9_4_a_service_tag_is_not_a_customers_tag() {
        let (service, customer, both) =
            (Owner::Channel(ChannelId(1)), Owner::Channel(ChannelId(2)), Owner::Channel(ChannelId(3)));
        let mut demux = Demux::default();
        demux.add(&[s(100)], service, false);
        demux.add(&[c(200)], customer, false);
        demux.add(&[s(300), c(7)], both, false);
        for (tags, owner) in [
            (&[s(100)][..], Some(service)),
            (&[c(100)], None),
            (&[c(200)], Some(customer)),
            (&[s(200)], None),
            (&[s(300), c(7)], Some(both)),
            (&[c(300), c(7)], None),
            (&[s(300), s(7)], None),
        ] {
            assert_eq!(demux.claim(&mut frame(tags)), owner, "{tags:?}");
        }
    }

    #[test]
    fn a_transparent_wire_takes_tagged_frames_as_they_are() {
        let mut demux = Demux::default();
        demux.add(&[], Owner::Interface(InterfaceId(0)), true);
        let mut tagged = frame(&[s(7), c(8)]);
        assert_eq!(demux.claim(&mut tagged), Some(Owner::Interface(InterfaceId(0))));
        assert_eq!(tagged.buf.len(), 68);
    }
}
