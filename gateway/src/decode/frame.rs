//! What kind of frame it is: protected, with or without tags in clear in front of the SecTAG, or something else.
//!
//! Equipment that sends VLAN tags in clear leaves them out of what is authenticated (they go on below the SecY), so they
//! are taken off here and the rest is put together as the SecY saw it.

use macsec::wire::{BadTag, SecTag};
use net::EtherType;

/// Tags in clear that are looked through.
const MOST_TAGS: usize = 2;
/// The tag type that was used for outer tags before 802.1ad.
const OLD_SERVICE_VLAN: u16 = 0x9100;
/// Values below are lengths of 802.3 frames, not types (IEEE 802.3 §3.2.6).
const FIRST_TYPE: u16 = 0x0600;
/// Octets of the two addresses.
const ADDRESSES: usize = 12;

/// A frame, sorted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// It has a SecTAG.
    Protected(Protected),
    /// It has a SecTAG that breaks a rule of 802.1AE §9.12.
    BadTag(BadTag),
    /// It has none; this is its type behind the tags.
    Other(Type),
}

/// A frame with a valid SecTAG.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Protected {
    /// VLAN identifiers of the tags in front of the SecTAG, outer first.
    pub(super) clear_tags: Vec<u16>,
    /// The frame without those tags.
    pub(super) octets: Vec<u8>,
    /// Its SecTAG.
    pub(super) tag: SecTag,
}

/// What a frame without SecTAG carries.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Type {
    /// An EtherType.
    Ether(u16),
    /// A length: 802.2 LLC follows.
    Llc,
    /// Too short to have one.
    Runt,
}

impl core::fmt::Display for Type {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Ether(number) => write!(f, "{number:#06x}"),
            Self::Llc => f.write_str("llc"),
            Self::Runt => f.write_str("runt"),
        }
    }
}

/// Sorts a frame (from the destination address on, without FCS).
pub(super) fn sort(frame: &[u8]) -> Kind {
    let mut clear_tags = Vec::new();
    let mut at = ADDRESSES;
    loop {
        let rest = frame.get(at..).unwrap_or_default();
        let Some(number) = number(rest) else { return Kind::Other(Type::Runt) };
        if number == EtherType::MACSEC.get() {
            return protected(frame, at, clear_tags);
        }
        if !is_tag(number) || clear_tags.len() == MOST_TAGS {
            let kind = if number < FIRST_TYPE { Type::Llc } else { Type::Ether(number) };
            return Kind::Other(kind);
        }
        let Some(control) = rest.get(2..).and_then(self::number) else { return Kind::Other(Type::Runt) };
        clear_tags.push(control & 0x0fff);
        at += 4;
    }
}

/// The EtherType behind the tags, and the frame without them, when what follows may be an MKPDU: EAPOL version 3 or
/// later, packet type 5 (802.1X-2020 §11.3).
pub(super) fn mka(frame: &[u8]) -> Option<(EtherType, Vec<u8>)> {
    let mut at = ADDRESSES;
    for _ in 0..=MOST_TAGS {
        let rest = frame.get(at..)?;
        let number = number(rest)?;
        if is_tag(number) {
            at += 4;
            continue;
        }
        let &[_, _, version, packet] = rest.first_chunk::<4>()?;
        let alike = version >= 3 && packet == 5;
        return alike
            .then(|| (EtherType::new(number), [frame.get(..ADDRESSES).unwrap_or_default(), rest].concat()));
    }
    None
}

fn protected(frame: &[u8], at: usize, clear_tags: Vec<u16>) -> Kind {
    let parts = (frame.get(..ADDRESSES), frame.get(at..));
    let octets = [parts.0.unwrap_or_default(), parts.1.unwrap_or_default()].concat();
    match SecTag::decode(&octets) {
        Some(Ok(tag)) => Kind::Protected(Protected { clear_tags, octets, tag }),
        Some(Err(bad)) => Kind::BadTag(bad),
        // The type says MACsec, so this is a tag without room for anything else.
        None => Kind::BadTag(BadTag::Truncated),
    }
}

fn number(octets: &[u8]) -> Option<u16> {
    octets.first_chunk().map(|&octets| u16::from_be_bytes(octets))
}

fn is_tag(number: u16) -> bool {
    EtherType::new(number).is_vlan() || number == OLD_SERVICE_VLAN
}

/// The frame without its last four octets when those are the right FCS for it (IEEE 802.3 §3.2.9).
pub(super) fn without_fcs(frame: &[u8]) -> Option<&[u8]> {
    let (body, fcs) = frame.split_last_chunk()?;
    (crc32(body) == u32::from_le_bytes(*fcs)).then_some(body)
}

/// Bit by bit: it only runs on frames that did not validate.
fn crc32(octets: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 != 0 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    let octet = |crc: u32, &octet: &u8| (0..8).fold(crc ^ u32::from(octet), step);
    !octets.iter().fold(u32::MAX, octet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32_agrees_with_its_check_value() {
        // The check value of CRC-32 in every catalogue.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let mut frame = b"123456789".to_vec();
        frame.extend(0xcbf4_3926_u32.to_le_bytes());
        assert_eq!(without_fcs(&frame), Some(&b"123456789"[..]));
        frame[0] ^= 1;
        assert_eq!(without_fcs(&frame), None);
        assert_eq!(without_fcs(b"123"), None);
    }

    #[test]
    fn tags_in_clear_are_looked_through_up_to_two() {
        let secured = [&[0x88, 0xe5, 0x00, 5, 0, 0, 0, 1][..], &[7; 21]].concat();
        for tags in 0..=3_usize {
            let mut frame = vec![0x02; 12];
            let types = [[0x88, 0xa8], [0x81, 0x00], [0x91, 0x00]];
            for (at, tag) in types.iter().take(tags).enumerate() {
                frame.extend(tag);
                frame.extend([0xf0, u8::try_from(at).unwrap() + 1]);
            }
            frame.extend(&secured);
            if tags == 3 {
                assert_eq!(sort(&frame), Kind::Other(Type::Ether(0x9100)));
                continue;
            }
            let Kind::Protected(found) = sort(&frame) else { panic!("{tags} tags") };
            assert_eq!(found.clear_tags, (1..=u16::try_from(tags).unwrap()).collect::<Vec<_>>());
            assert_eq!(found.octets, [&[0x02; 12][..], &secured].concat());
        }
    }

    #[test]
    fn everything_else_has_a_name() {
        let frame = |rest: &[u8]| [&[0x02; 12][..], rest].concat();
        for (rest, expected) in [
            (&[0x88, 0x8e][..], "0x888e"),
            (&[0x08, 0x00, 1], "0x0800"),
            (&[0x00, 0x26], "llc"),
            (&[0x08], "runt"),
            (&[0x81, 0x00, 0x00], "runt"),
            (&[0x81, 0x00, 0x00, 0x05, 0x86, 0xdd], "0x86dd"),
        ] {
            let Kind::Other(kind) = sort(&frame(rest)) else { panic!("{rest:?}") };
            assert_eq!(kind.to_string(), expected);
        }
        assert_eq!(sort(&frame(&[0x88, 0xe5])), Kind::BadTag(BadTag::Truncated));
        assert_eq!(sort(&[]), Kind::Other(Type::Runt));
    }
}
