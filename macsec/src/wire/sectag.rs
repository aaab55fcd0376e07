//! The SecTAG: 8 octets, or 16 with the SCI, after the source address (802.1AE-2018 §9.3 to §9.9).
//!
//! ```text
//!  12    13    14      15   16..20  20..28        28..
//! | 88 | e5 | TCI,AN | SL |  PN   | SCI if SC=1 | secure data | ICV (16) | padding of short frames
//! ```
//!
//! [`SecTag::decode`] holds a frame to every rule of §9.12, so what it returns can be used without further
//! checks: the secure data and the ICV lie inside the frame.
//!
//! Ethernet pads frames to 60 octets, after the ICV. The short length SL exists to find the ICV before the
//! padding; what follows it is ignored.

use net::{EtherType, MacAddr};

use crate::{aead::ICV_LEN, an::An, sci::Sci};

/// Secure data of at least this many octets has SL = 0; shorter data has its length there (§9.7).
pub const MIN_SECURE_DATA: usize = 48;

const VERSION: u8 = 0x80;
const ES: u8 = 0x40;
const SC: u8 = 0x20;
const SCB: u8 = 0x10;
const E: u8 = 0x08;
const C: u8 = 0x04;

/// How a frame says whose it is: the ES, SC and SCB bits, and the SCI when SC is set (§9.5, §9.9).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChannelForm {
    /// SC: the SCI follows the packet number.
    Explicit(Sci),
    /// ES alone: the source address and port 00-01.
    EndStation,
    /// SCB, with or without ES: the source address and port 00-00.
    SingleCopyBroadcast {
        /// The ES bit beside it.
        end_station: bool,
    },
    /// None of the three: the one peer that the KaY knows, not the source address (§10.6.1).
    Peer,
}

impl ChannelForm {
    /// The SCI of a frame from `source`; `None` when only the KaY can tell.
    #[inline]
    pub const fn sci(self, source: MacAddr) -> Option<Sci> {
        match self {
            Self::Explicit(sci) => Some(sci),
            Self::EndStation => Some(Sci::new(source, Sci::END_STATION_PORT)),
            Self::SingleCopyBroadcast { .. } => Some(Sci::new(source, Sci::SCB_PORT)),
            Self::Peer => None,
        }
    }

    /// Octets of a SecTAG of this form: 16 with the SCI, 8 without.
    pub const fn tag_len(self) -> usize {
        match self {
            Self::Explicit(_) => SecTag::MAX_LEN,
            Self::EndStation | Self::SingleCopyBroadcast { .. } | Self::Peer => SecTag::MIN_LEN,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Explicit(_) => SC,
            Self::EndStation => ES,
            Self::SingleCopyBroadcast { end_station: true } => ES | SCB,
            Self::SingleCopyBroadcast { end_station: false } => SCB,
            Self::Peer => 0,
        }
    }
}

/// A SecTAG that passed every rule, and how much secure data follows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SecTag {
    /// Whose frame it is.
    pub channel: ChannelForm,
    /// E: the secure data is encrypted.
    pub encrypted: bool,
    /// C: the secure data is not the user data, so it is useless without validation.
    pub changed: bool,
    /// Which SA.
    pub an: An,
    /// The low 32 bits of the packet number. 0 is legal only under XPN, which the tag does not show.
    pub pn: u32,
    /// Octets of secure data, which for all four suites is also the length of the user data.
    pub secure_len: usize,
}

/// Why a frame with the MACsec EtherType has no valid SecTAG (§9.12). All of them count as InPktsBadTag.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum BadTag {
    /// Too short for what the tag says it holds.
    #[error("the frame is shorter than its SecTAG says")]
    Truncated,
    /// V is set: a version we do not know.
    #[error("the version bit is set")]
    Version,
    /// SC together with ES or SCB.
    #[error("an explicit SCI together with ES or SCB")]
    Channel,
    /// C without E, which no suite produces.
    #[error("changed text without encryption")]
    ChangedInClear,
    /// Bits 7 and 8 of the SL octet.
    #[error("reserved bits in the short length octet")]
    ReservedBits,
    /// SL of 48 or more.
    #[error("a short length of 48 or more")]
    ShortLength,
    /// A packet number of 0 under a suite with 32-bit packet numbers.
    #[error("a packet number of 0")]
    ZeroPn,
}

impl SecTag {
    /// Octets of the addresses before it.
    pub const OFFSET: usize = 12;
    /// Octets without SCI.
    pub const MIN_LEN: usize = 8;
    /// Octets with SCI.
    pub const MAX_LEN: usize = 16;

    /// The SecTAG of a frame (from the destination address, without FCS): `None` when it has none,
    /// otherwise the tag or the rule it breaks. Whether a packet number of 0 is one, the SA must say.
    #[inline]
    pub fn decode(frame: &[u8]) -> Option<Result<Self, BadTag>> {
        let (_, tagged) = frame.split_at_checked(Self::OFFSET)?;
        let [high, low, ..] = *tagged else { return None };
        let ethertype = u16::from_be_bytes([high, low]);
        (ethertype == EtherType::MACSEC.get()).then(|| Self::decode_tagged(tagged))
    }

    /// `tagged` starts with the MACsec EtherType.
    fn decode_tagged(tagged: &[u8]) -> Result<Self, BadTag> {
        let &[_, _, tci, sl, p0, p1, p2, p3] = tagged.first_chunk().ok_or(BadTag::Truncated)?;
        if tci & VERSION != 0 {
            return Err(BadTag::Version);
        }
        if tci & (E | C) == C {
            return Err(BadTag::ChangedInClear);
        }
        if sl & 0xc0 != 0 {
            return Err(BadTag::ReservedBits);
        }
        let channel = channel(tci, tagged)?;
        Ok(Self {
            channel,
            encrypted: tci & E != 0,
            changed: tci & C != 0,
            an: An::from_low_bits(tci),
            pn: u32::from_be_bytes([p0, p1, p2, p3]),
            secure_len: secure_len(sl, tagged.len(), channel.tag_len())?,
        })
    }

    /// Writes the tag at the front of `room`: EtherType, TCI and AN, SL, PN, and the SCI if explicit.
    /// False when `room` is shorter than that.
    #[inline]
    #[must_use]
    pub fn encode(&self, room: &mut [u8]) -> bool {
        let [high, low] = EtherType::MACSEC.get().to_be_bytes();
        let encrypted = if self.encrypted { E } else { 0 };
        let changed = if self.changed { C } else { 0 };
        let tci = self.channel.bits() | encrypted | changed | self.an.get();
        let short = u8::try_from(self.secure_len).ok().filter(|_| self.secure_len < MIN_SECURE_DATA);
        let [p0, p1, p2, p3] = self.pn.to_be_bytes();
        let Some((fixed, rest)) = room.split_first_chunk_mut() else { return false };
        *fixed = [high, low, tci, short.unwrap_or(0), p0, p1, p2, p3];
        let ChannelForm::Explicit(sci) = self.channel else { return true };
        rest.first_chunk_mut().is_some_and(|room| {
            *room = sci.octets();
            true
        })
    }
}

/// §9.12: ES and SCB exclude SC. An explicit SCI must be there in full.
#[inline]
fn channel(tci: u8, tagged: &[u8]) -> Result<ChannelForm, BadTag> {
    match (tci & SC != 0, tci & ES != 0, tci & SCB != 0) {
        (true, false, false) => {
            let (_, sci) = tagged.split_at_checked(SecTag::MIN_LEN).ok_or(BadTag::Truncated)?;
            let sci = sci.first_chunk().ok_or(BadTag::Truncated)?;
            Ok(ChannelForm::Explicit(Sci::from_octets(*sci)))
        }
        (true, ..) => Err(BadTag::Channel),
        (false, end_station, true) => Ok(ChannelForm::SingleCopyBroadcast { end_station }),
        (false, true, false) => Ok(ChannelForm::EndStation),
        (false, false, false) => Ok(ChannelForm::Peer),
    }
}

/// §9.12: with SL the secure data has that length and may be followed by padding; without SL it
/// is all there is before the ICV, at least 48 octets.
#[inline]
fn secure_len(sl: u8, tagged_len: usize, tag_len: usize) -> Result<usize, BadTag> {
    let room = tagged_len.checked_sub(tag_len + ICV_LEN).ok_or(BadTag::Truncated)?;
    match usize::from(sl) {
        0 if room >= MIN_SECURE_DATA => Ok(room),
        0 => Err(BadTag::Truncated),
        short if short >= MIN_SECURE_DATA => Err(BadTag::ShortLength),
        short if short <= room => Ok(short),
        _ => Err(BadTag::Truncated),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(tci: u8, sl: u8, after_tag: usize) -> Vec<u8> {
        let mut frame = vec![0x02; 12];
        frame.extend([0x88, 0xe5, tci, sl, 0, 0, 0, 1]);
        frame.resize(frame.len() + after_tag, 0xa5);
        frame
    }

    fn secure_len(frame: &[u8]) -> Result<usize, BadTag> {
        SecTag::decode(frame).unwrap().map(|tag| tag.secure_len)
    }

    // Trap 7, §9.12.
    #[test]
    fn every_broken_rule_has_its_name() {
        for (tci, sl, expected) in [
            (0x8c, 0, BadTag::Version),
            (0x6c, 0, BadTag::Channel),
            (0x3c, 0, BadTag::Channel),
            (0x7c, 0, BadTag::Channel),
            (0x04, 0, BadTag::ChangedInClear),
            (0x0c, 0x80, BadTag::ReservedBits),
            (0x0c, 0x41, BadTag::ReservedBits),
            (0x0c, 48, BadTag::ShortLength),
            (0x0c, 63, BadTag::ShortLength),
        ] {
            assert_eq!(secure_len(&frame(tci, sl, 100)), Err(expected), "tci {tci:02x} sl {sl}");
        }
    }

    // §9.12: the exact edges of both lengths, with and without SCI.
    #[test]
    fn lengths_are_held_to_the_octet() {
        for (tci, sci) in [(0x00, 0), (0x0c, 0), (0x20, 8), (0x2c, 8)] {
            assert_eq!(secure_len(&frame(tci, 0, sci + 48 + 16)), Ok(48));
            assert_eq!(secure_len(&frame(tci, 0, sci + 47 + 16)), Err(BadTag::Truncated));
            assert_eq!(secure_len(&frame(tci, 47, sci + 47 + 16)), Ok(47));
            assert_eq!(secure_len(&frame(tci, 1, sci + 1 + 16)), Ok(1));
            assert_eq!(secure_len(&frame(tci, 1, sci + 16)), Err(BadTag::Truncated));
            assert_eq!(secure_len(&frame(tci, 0, sci)), Err(BadTag::Truncated));
        }
        assert_eq!(secure_len(&frame(0x20, 1, 4)), Err(BadTag::Truncated));
    }

    // Trap 8: 60 octets is the least Ethernet sends, so the tail is padding and SL finds the ICV.
    #[test]
    fn padding_after_the_icv_is_ignored() {
        let padded = frame(0x00, 10, 10 + 16 + 14);
        assert_eq!((padded.len(), secure_len(&padded)), (60, Ok(10)));
    }

    #[test]
    fn frames_without_the_ethertype_have_no_tag() {
        for len in 0..14 {
            assert_eq!(SecTag::decode(&frame(0, 0, 0)[..len]), None, "{len}");
        }
        for len in 14..20 {
            assert_eq!(SecTag::decode(&frame(0, 0, 0)[..len]), Some(Err(BadTag::Truncated)), "{len}");
        }
        let mut other = frame(0, 0, 100);
        other[13] = 0xe4;
        assert_eq!(SecTag::decode(&other), None);
    }

    // Trap 1, Table in §9.9 and §10.6.1.
    #[test]
    fn the_channel_comes_from_the_tag_or_the_source_or_the_kay() {
        let source = MacAddr([2; 6]);
        for (tci, expected) in [
            (0x40, Some(Sci::new(source, 1))),
            (0x10, Some(Sci::new(source, 0))),
            (0x50, Some(Sci::new(source, 0))),
            (0x20, Some(Sci::from_u64(0xa5a5_a5a5_a5a5_a5a5))),
            (0x00, None),
        ] {
            let tag = SecTag::decode(&frame(tci, 0, 100)).unwrap().unwrap();
            assert_eq!(tag.channel.sci(source), expected, "tci {tci:02x}");
        }
    }

    prop_compose! {
        fn any_tag()(form in 0..5u8, sci in any::<u64>(), bits in 0..3u8, an in 0..4usize, pn in any::<u32>(),
                     secure_len in 1..200usize) -> SecTag {
            let channel = match form {
                0 => ChannelForm::Explicit(Sci::from_u64(sci)),
                1 => ChannelForm::EndStation,
                2 => ChannelForm::SingleCopyBroadcast { end_station: false },
                3 => ChannelForm::SingleCopyBroadcast { end_station: true },
                _ => ChannelForm::Peer,
            };
            SecTag { channel, encrypted: bits != 0, changed: bits == 2, an: An::ALL[an], pn, secure_len }
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(tag in any_tag()) {
            let mut room = [0xa5; SecTag::MAX_LEN];
            prop_assert!(tag.encode(&mut room));
            prop_assert!(!tag.encode(&mut room[..tag.channel.tag_len() - 1].to_vec()));
            let mut frame = vec![0x5a; 12];
            frame.extend(&room[..tag.channel.tag_len()]);
            frame.resize(frame.len() + tag.secure_len + ICV_LEN, 0xa5);
            prop_assert_eq!(SecTag::decode(&frame), Some(Ok(tag)));
        }

        #[test]
        fn whatever_decodes_fits_its_frame(octets in prop::collection::vec(any::<u8>(), 0..120), tagged in any::<bool>()) {
            let mut frame = octets;
            if tagged && frame.len() >= 14 {
                frame[12..14].copy_from_slice(&[0x88, 0xe5]);
            }
            if let Some(Ok(tag)) = SecTag::decode(&frame) {
                let used = SecTag::OFFSET + tag.channel.tag_len() + tag.secure_len + ICV_LEN;
                prop_assert!(tag.secure_len >= 1 && used <= frame.len());
            }
        }
    }
}
