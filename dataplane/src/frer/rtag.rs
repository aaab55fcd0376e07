//! The redundancy tag, §7.8: EtherType F1-C1, two reserved octets, the sequence number.
//!
//! It stands where a VLAN tag would, behind the addresses and the attachment's own VLAN tag: the sender puts it on before that
//! tag, the receiver takes it off after it.

use net::EtherType;

use crate::{Frame, offload::moved};

/// The EtherType of a R-TAG, Table 7-1.
pub const ETHERTYPE: EtherType = EtherType::new(0xf1c1);
/// Octets that it adds to a frame.
pub const LEN: usize = 6;

const MACS: usize = 12;
/// By how much it moves the rest of the frame, and with it where a partial checksum starts.
const SHIFT: i16 = 6;

/// Puts a tag on. False, and unchanged, when there is no headroom or no header to put it behind.
#[must_use]
pub fn push(frame: &mut Frame, sequence: u16) -> bool {
    if frame.buf.len() < MACS + 2 || frame.buf.push_front(LEN).is_none() {
        return false;
    }
    frame.buf.copy_within(LEN..LEN + MACS, 0);
    if let Some(room) = frame.buf.get_mut(MACS..MACS + LEN) {
        let [e0, e1] = ETHERTYPE.get().to_be_bytes();
        let [s0, s1] = sequence.to_be_bytes();
        // Reserved octets are sent as zeros.
        room.copy_from_slice(&[e0, e1, 0, 0, s0, s1]);
    }
    frame.offload = moved(frame.offload, SHIFT);
    true
}

/// Takes the tag off and gives its sequence number. `None`, and unchanged, when the frame has none, or nothing behind it.
/// The reserved octets are ignored, as they must be.
#[must_use]
pub fn pop(frame: &mut Frame) -> Option<u16> {
    let &[e0, e1, _, _, s0, s1, _, _] = frame.buf.get(MACS..)?.first_chunk::<8>()?;
    if u16::from_be_bytes([e0, e1]) != ETHERTYPE.get() {
        return None;
    }
    frame.buf.copy_within(..MACS, LEN);
    frame.offload = moved(frame.offload, -SHIFT);
    frame.buf.pull_front(LEN).then(|| u16::from_be_bytes([s0, s1]))
}

#[cfg(test)]
mod tests {
    use net::{PacketBuf, virtio::Checksum};

    use super::*;

    #[test]
    fn section_7_8_octet_by_octet() {
        let octets: Vec<u8> = (0..64).collect();
        let mut frame = Frame::new(PacketBuf::copy_of(&octets, 8, 0));
        frame.offload.checksum = Checksum::Partial { start: 34, offset: 16 };
        assert!(push(&mut frame, 0x1234));
        assert_eq!(&frame.buf[..12], &octets[..12]);
        assert_eq!(&frame.buf[12..18], &[0xf1, 0xc1, 0, 0, 0x12, 0x34]);
        assert_eq!(&frame.buf[18..], &octets[12..]);
        assert_eq!(frame.offload.checksum, Checksum::Partial { start: 40, offset: 16 });
        frame.buf[14..16].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(pop(&mut frame), Some(0x1234));
        assert_eq!(&*frame.buf, &octets[..]);
        assert_eq!(frame.offload.checksum, Checksum::Partial { start: 34, offset: 16 });
    }

    #[test]
    fn frames_without_a_whole_tag_stay_as_they_are() {
        let mut cramped = Frame::new(PacketBuf::copy_of(&[0; 20], 5, 0));
        assert!(!push(&mut cramped, 1));
        let mut tagged = Frame::new(PacketBuf::copy_of(&[7; 20], 6, 0));
        assert!(push(&mut tagged, 1));
        let whole = tagged.buf.to_vec();
        for len in 0..20 {
            let mut short = Frame::new(PacketBuf::copy_of(&whole[..len], 0, 0));
            assert_eq!((pop(&mut short), short.buf.len()), (None, len));
        }
        let mut other = Frame::new(PacketBuf::copy_of(&[7; 60], 0, 0));
        assert_eq!((pop(&mut other), other.buf.len()), (None, 60));
    }
}
