//! VLAN tags on and off a frame, without moving more than its two addresses.

use net::VlanTag;
use zerocopy::IntoBytes;

use crate::{Frame, offload::moved};

const MACS: usize = 12;
/// By how much a tag moves the rest of the frame, and with it where a partial checksum starts.
const SHIFT: i16 = 4;

/// Takes the outermost tag off. False, and unchanged, when the frame is too short to have one.
#[must_use]
pub(crate) fn pop(frame: &mut Frame) -> bool {
    if frame.buf.len() < MACS + VlanTag::LEN {
        return false;
    }
    frame.buf.copy_within(..MACS, VlanTag::LEN);
    frame.offload = moved(frame.offload, -SHIFT);
    frame.buf.pull_front(VlanTag::LEN)
}

/// Puts a tag on, outermost. False, and unchanged, when there is no headroom or no header to put it behind.
#[must_use]
pub(crate) fn push(frame: &mut Frame, tag: VlanTag) -> bool {
    if frame.buf.len() < MACS || frame.buf.push_front(VlanTag::LEN).is_none() {
        return false;
    }
    frame.buf.copy_within(VlanTag::LEN..VlanTag::LEN + MACS, 0);
    if let Some(room) = frame.buf.get_mut(MACS..MACS + VlanTag::LEN) {
        room.copy_from_slice(tag.as_bytes());
    }
    frame.offload = moved(frame.offload, SHIFT);
    true
}

#[cfg(test)]
mod tests {
    use net::{EtherType, PacketBuf, VlanId, virtio::Checksum};

    use super::*;

    #[test]
    fn push_then_pop_is_identity_and_moves_the_checksum_start() {
        let octets: Vec<u8> = (0..64).collect();
        let mut frame = Frame::new(PacketBuf::copy_of(&octets, 8, 0));
        frame.offload.checksum = Checksum::Partial { start: 34, offset: 16 };
        let tag = VlanTag::new(EtherType::VLAN, VlanId::new(100).unwrap());
        assert!(push(&mut frame, tag));
        assert_eq!(VlanTag::outermost(&frame.buf), Some(tag));
        assert_eq!(&frame.buf[..12], &octets[..12]);
        assert_eq!(frame.offload.checksum, Checksum::Partial { start: 38, offset: 16 });
        assert!(pop(&mut frame));
        assert_eq!(&*frame.buf, &octets[..]);
        assert_eq!(frame.offload.checksum, Checksum::Partial { start: 34, offset: 16 });
    }

    #[test]
    fn frames_without_room_stay_as_they_are() {
        let tag = VlanTag::new(EtherType::VLAN, VlanId::new(1).unwrap());
        let mut cramped = Frame::new(PacketBuf::copy_of(&[0; 20], 3, 0));
        assert!(!push(&mut cramped, tag));
        assert_eq!(cramped.buf.len(), 20);
        let mut runt = Frame::new(PacketBuf::copy_of(&[0; 15], 8, 0));
        assert!(!pop(&mut runt));
        assert_eq!(runt.buf.len(), 15);
    }
}
