//! VLAN tags in clear, between the source address and the SecTAG ("WAN MACsec").
//!
//! They are put on and taken off below the SecY, so they are neither encrypted nor authenticated and not
//! part of the AAD, and the AAD stays contiguous in the buffer. Anybody on the path can rewrite them:
//! [`strip`] holds a received frame to the VLANs that its channel was configured with and reports
//! nothing from them. No clause of 802.1AE asks for this; by layering it is 802.1Q below 802.1AE.

use net::{PacketBuf, VlanTag};
use zerocopy::IntoBytes;

/// Octets of the two addresses.
const ADDRESSES: usize = 12;
/// At most one service and one customer tag.
pub const MAX_CLEAR_TAGS: usize = 2;

/// Why [`strip`] refused a frame.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum ClearTagError {
    /// It has fewer VLAN tags than its channel, or is shorter than its addresses.
    #[error("a VLAN tag is missing")]
    Missing,
    /// It belongs to another VLAN.
    #[error("the frame belongs to VLAN {0}")]
    OtherVlan(u16),
}

/// Puts up to two `tags`, outermost first, between the source address and what follows it.
///
/// False, with the frame unchanged, when the headroom is too small, the frame shorter than its
/// addresses, or there are more than [`MAX_CLEAR_TAGS`] tags.
#[must_use]
pub fn push(frame: &mut PacketBuf, tags: &[VlanTag]) -> bool {
    let room = tags.len() * VlanTag::LEN;
    let Some(&addresses) = frame.first_chunk::<ADDRESSES>() else { return false };
    if tags.len() > MAX_CLEAR_TAGS || frame.push_front(room).is_none() {
        return false;
    }
    if let Some((front, rest)) = frame.split_first_chunk_mut() {
        *front = addresses;
        for (octets, tag) in rest.chunks_exact_mut(VlanTag::LEN).zip(tags) {
            octets.copy_from_slice(tag.as_bytes());
        }
    }
    true
}

/// Takes the VLAN tags off the front of `frame`, one for each of `expected`, outermost first.
///
/// The VLAN identifiers must be the expected ones; priority, drop eligibility and which of the two tag
/// types it is may differ, for bridges on the way change them.
///
/// # Errors
/// [`ClearTagError`], with the frame unchanged.
pub fn strip(frame: &mut PacketBuf, expected: &[VlanTag]) -> Result<(), ClearTagError> {
    let &addresses = frame.first_chunk::<ADDRESSES>().ok_or(ClearTagError::Missing)?;
    for (n, expected) in expected.iter().enumerate() {
        let tag = frame.get(n * VlanTag::LEN..).and_then(VlanTag::outermost).ok_or(ClearTagError::Missing)?;
        if tag.id() != expected.id() {
            return Err(ClearTagError::OtherVlan(tag.id()));
        }
    }
    if frame.pull_front(expected.len() * VlanTag::LEN)
        && let Some(front) = frame.first_chunk_mut()
    {
        *front = addresses;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use net::{EtherType, VlanId};

    use super::*;

    fn tag(tpid: EtherType, id: u16) -> VlanTag {
        VlanTag::new(tpid, VlanId::new(id).unwrap())
    }

    fn frame() -> PacketBuf {
        PacketBuf::copy_of(b"ddddddssssss\x88\xe5rest", 8, 0)
    }

    #[test]
    fn tags_go_on_and_come_off() {
        let (outer, inner) = (tag(EtherType::SERVICE_VLAN, 100), tag(EtherType::VLAN, 4094));
        for tags in [&[][..], &[inner], &[outer, inner]] {
            let mut buf = frame();
            assert!(push(&mut buf, tags));
            assert_eq!(buf.len(), frame().len() + 4 * tags.len());
            assert_eq!(VlanTag::outermost(&buf), tags.first().copied());
            assert_eq!(strip(&mut buf, tags), Ok(()));
            assert_eq!(*buf, *frame());
        }
    }

    #[test]
    fn pushing_needs_room_and_addresses() {
        let tags = [tag(EtherType::VLAN, 1); 3];
        let mut buf = frame();
        assert!(!push(&mut buf, &tags));
        assert_eq!(*buf, *frame());
        let mut tight = PacketBuf::copy_of(&frame(), 7, 0);
        assert!(!push(&mut tight, &tags[..2]));
        assert_eq!(*tight, *frame());
        assert!(!push(&mut PacketBuf::copy_of(b"ddddddsssss", 64, 0), &tags[..1]));
    }

    // A11: the receiver is bound to its VLAN, not to what a frame says.
    #[test]
    fn a_frame_of_another_vlan_is_refused_and_stays_as_it_was() {
        let mut buf = frame();
        assert!(push(&mut buf, &[tag(EtherType::SERVICE_VLAN, 100), tag(EtherType::VLAN, 200)]));
        let before = buf.to_vec();
        let expect = |a: u16, b: u16| [tag(EtherType::VLAN, a), tag(EtherType::VLAN, b)];
        assert_eq!(strip(&mut buf, &expect(101, 200)), Err(ClearTagError::OtherVlan(100)));
        assert_eq!(strip(&mut buf, &expect(100, 201)), Err(ClearTagError::OtherVlan(200)));
        assert_eq!(*buf, *before);
        let third = [expect(100, 200).as_slice(), &expect(1, 1)[..1]].concat();
        assert_eq!(strip(&mut buf, &third), Err(ClearTagError::Missing));
        assert_eq!(strip(&mut frame(), &third[..1]), Err(ClearTagError::Missing));
        for len in 0..20 {
            let mut short = PacketBuf::copy_of(&before[..len], 0, 0);
            assert_eq!(strip(&mut short, &expect(100, 200)), Err(ClearTagError::Missing), "{len}");
        }
        assert_eq!(strip(&mut buf, &expect(100, 200)), Ok(()), "the tag type does not matter");
        assert_eq!(*buf, *frame());
    }
}
