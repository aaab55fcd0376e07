//! Whose frame is this? A port's tags to the channel or interface that they belong to.

use net::{EtherType, VlanTag};

use crate::{ChannelId, Frame, InterfaceId, vlan};

/// Who gets a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Owner {
    Channel(ChannelId),
    Interface(InterfaceId),
}

/// The owners on one port (or inside one channel), by zero, one or two VLAN identifiers.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    /// Sorted by key.
    owners: Vec<(u32, Owner)>,
    /// Who gets frames with tags that nobody else claimed: a transparent wire, or a channel in clear.
    trunk: Option<Owner>,
}

impl Demux {
    /// Frames that carry exactly these identifiers, outer first, belong to `owner`.
    pub(crate) fn add(&mut self, ids: &[u16], owner: Owner, trunk: bool) {
        let at = self.owners.partition_point(|(key, _)| *key < key_of(ids));
        self.owners.insert(at, (key_of(ids), owner));
        if trunk && ids.is_empty() {
            self.trunk = Some(owner);
        }
    }

    /// The owner of `frame`, whose tags are taken off as far as they said so. `None`: nobody's.
    pub(crate) fn claim(&self, frame: &mut Frame) -> Option<Owner> {
        let Some(outer) = VlanTag::outermost(&frame.buf) else { return self.find(&[]) };
        let inner = inner_id(&frame.buf);
        if let Some(inner) = inner
            && let Some(owner) = self.find(&[outer.id(), inner])
        {
            return (vlan::pop(frame) && vlan::pop(frame)).then_some(owner);
        }
        if let Some(owner) = self.find(&[outer.id()]) {
            return vlan::pop(frame).then_some(owner);
        }
        let wire = matches!(self.trunk, Some(Owner::Interface(_)));
        if outer.id() == 0 && inner.is_none() && !wire {
            // A priority tag names no VLAN (802.1Q §6.9): the frame is untagged. A transparent wire carries it as it is.
            return self.find(&[]).filter(|_| vlan::pop(frame));
        }
        self.trunk
    }

    fn find(&self, ids: &[u16]) -> Option<Owner> {
        let key = key_of(ids);
        let at = self.owners.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        self.owners.get(at).map(|(_, owner)| *owner)
    }
}

fn inner_id(frame: &[u8]) -> Option<u16> {
    let [t0, t1, c0, c1] = *frame.get(16..)?.first_chunk::<4>()?;
    let tpid = EtherType::new(u16::from_be_bytes([t0, t1]));
    tpid.is_vlan().then(|| u16::from_be_bytes([c0, c1]) & 0x0fff)
}

/// 0 for no tag; otherwise both identifiers plus one, so that no two lists share a key.
fn key_of(ids: &[u16]) -> u32 {
    ids.iter().fold(0, |key, &id| key << 16 | (u32::from(id) + 1))
}

#[cfg(test)]
mod tests {
    use net::{PacketBuf, VlanId};

    use super::*;

    fn frame(ids: &[u16]) -> Frame {
        let mut frame = Frame::new(PacketBuf::copy_of(&[0x08; 60], 16, 0));
        for &id in ids.iter().rev() {
            let tag = VlanId::new(id)
                .map_or(VlanTag::with_tci(EtherType::VLAN, 0), |id| VlanTag::new(EtherType::VLAN, id));
            assert!(vlan::push(&mut frame, tag));
        }
        frame
    }

    #[test]
    fn the_longest_list_of_tags_wins_and_is_taken_off() {
        let (a, b, c) =
            (Owner::Channel(ChannelId(1)), Owner::Interface(InterfaceId(2)), Owner::Channel(ChannelId(3)));
        let mut demux = Demux::default();
        demux.add(&[100, 200], a, false);
        demux.add(&[100], b, false);
        demux.add(&[], c, false);
        //  tags on the frame, owner, octets that are left
        for (tags, owner, left) in [
            (&[100, 200][..], Some(a), 60),
            (&[100, 201], Some(b), 64),
            (&[100], Some(b), 60),
            (&[], Some(c), 60),
            (&[0], Some(c), 60),
            (&[7], None, 64),
            (&[200, 100], None, 68),
        ] {
            let mut frame = frame(tags);
            assert_eq!((demux.claim(&mut frame), frame.buf.len()), (owner, left), "{tags:?}");
        }
    }

    #[test]
    fn a_transparent_wire_takes_tagged_frames_as_they_are() {
        let mut demux = Demux::default();
        demux.add(&[], Owner::Interface(InterfaceId(0)), true);
        let mut tagged = frame(&[7, 8]);
        assert_eq!(demux.claim(&mut tagged), Some(Owner::Interface(InterfaceId(0))));
        assert_eq!(tagged.buf.len(), 68);
    }
}
