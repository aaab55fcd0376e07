//! What to try on a frame: a key alone does not open it.
//!
//! The nonce takes the sender's SCI and the packet number, under XPN its short SCI and the upper half of the packet
//! number; what is encrypted depends on the confidentiality offset. Whatever was not given is tried: the ICV says when
//! the guess was right, and then the next frame of the SA begins with what worked for the last one.

use macsec::{CipherSuite, ConfidentialityOffset, Sci, Ssci, offline::Attempt, wire::SecTag};
use net::MacAddr;

use super::keys::GivenKey;

/// Short SCIs tried when none was given. They count from 1 in the order of the SCIs that share a key (§10.7.13).
const SSCIS: core::ops::RangeInclusive<u32> = 1..=8;
/// Short SCIs tried on frames under a SAK that very many members share.
const MOST_SSCIS: u32 = 100;
/// Upper halves tried on the first frames of an SA when none was given.
const HIGHS: core::ops::RangeInclusive<u64> = 0..=255;
/// Port numbers tried when a SecTAG names no SCI and none was given: what a single peer usually has.
const PORTS: [u16; 2] = [Sci::END_STATION_PORT, Sci::SCB_PORT];
const OFFSETS: [ConfidentialityOffset; 3] =
    [ConfidentialityOffset::Zero, ConfidentialityOffset::Thirty, ConfidentialityOffset::Fifty];

/// Whose frame it is, as far as it says so itself.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Sender {
    /// The SecTAG holds the SCI, or says how to make it of the source address (§9.9).
    Named(Sci),
    /// Only the receiver's KaY knows the SCI; this is the source address.
    Unnamed(MacAddr),
}

/// What opened the last frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Fit {
    /// Place of the key in the list.
    pub(super) key: usize,
    /// All that was tried with it.
    pub(super) attempt: Attempt,
}

/// What is tried with `key` on a frame, the likeliest first. `last` is what opened the SA's last frame, when that
/// was with this key; `search` allows the long list.
pub(super) fn attempts(
    key: &GivenKey,
    sender: Sender,
    tag: &SecTag,
    last: Option<&Attempt>,
    search: bool,
) -> Vec<Attempt> {
    let numbers = packet_numbers(key, tag.pn, last, search);
    let mut list = Vec::new();
    for &pn in &numbers {
        // The same again with another packet number: nearly always right.
        list.extend(last.map(|&last| Attempt { pn, ..last }));
    }
    for sci in scis(key, sender) {
        for ssci in sscis(key, sci) {
            for offset in offsets(key, tag) {
                list.extend(numbers.iter().map(|&pn| Attempt { sci, pn, ssci, salt: key.salt, offset }));
            }
        }
    }
    list
}

fn scis(key: &GivenKey, sender: Sender) -> Vec<Sci> {
    let senders = key.found.as_ref().and_then(|found| found.senders.as_ref());
    if let (Sender::Unnamed(mac), Some(senders)) = (sender, senders) {
        // The key exchange says which SCI the address has.
        return senders.keys().copied().filter(|sci| sci.mac() == mac).collect();
    }
    match (sender, key.sci) {
        (Sender::Named(sci), _) => vec![sci],
        (Sender::Unnamed(_), Some(sci)) => vec![sci],
        (Sender::Unnamed(mac), None) if key.key.suite().is_xpn() => {
            vec![Sci::new(mac, Sci::END_STATION_PORT)]
        }
        (Sender::Unnamed(mac), None) => PORTS.map(|port| Sci::new(mac, port)).to_vec(),
    }
}

fn sscis(key: &GivenKey, sci: Sci) -> Vec<Ssci> {
    let found = key.found.as_ref();
    let assigned = found.and_then(|found| found.senders.as_ref()?.get(&sci).copied());
    match key.ssci {
        _ if !key.key.suite().is_xpn() => vec![Ssci::default()],
        Some(ssci) => vec![ssci],
        None => {
            // What the members' SCIs give (§10.7.13), then the others: a capture may miss a member.
            let most = found.map_or(*SSCIS.end(), |found| found.sharers.clamp(*SSCIS.end(), MOST_SSCIS));
            let others = (*SSCIS.start()..=most).map(Ssci).filter(|ssci| Some(*ssci) != assigned);
            assigned.into_iter().chain(others).collect()
        }
    }
}

fn offsets(key: &GivenKey, tag: &SecTag) -> Vec<ConfidentialityOffset> {
    match key.offset {
        // Nothing is encrypted, so nothing depends on it.
        _ if !tag.encrypted => vec![ConfidentialityOffset::Zero],
        Some(offset) => vec![offset],
        None if key.key.suite().allows_offsets() => OFFSETS.to_vec(),
        None => vec![ConfidentialityOffset::Zero],
    }
}

/// Whole packet numbers that end in `word`.
fn packet_numbers(key: &GivenKey, word: u32, last: Option<&Attempt>, search: bool) -> Vec<u64> {
    let low = u64::from(word);
    let suite: CipherSuite = key.key.suite();
    if !suite.is_xpn() {
        // §9.12: 0 is no packet number.
        return if word == 0 { Vec::new() } else { vec![low] };
    }
    let with = |high: u64| high << 32 | low;
    match (last, key.pn_high.map(u64::from)) {
        (Some(last), _) => {
            let near = nearest(last.pn, word);
            let neighbours = [Some(near), near.checked_add(1 << 32), near.checked_sub(1 << 32)];
            neighbours.into_iter().flatten().collect()
        }
        // The first frames may stand on both sides of a change of the upper half.
        (None, Some(high)) => vec![with(high), with(high.wrapping_add(1) & 0xffff_ffff)],
        (None, None) if search => HIGHS.map(with).collect(),
        (None, None) => vec![low],
    }
}

/// The number nearest to `last` that ends in `word`: a capture holds frames out of order, so unlike in §10.6.2 it may
/// be a lower one.
fn nearest(last: u64, word: u32) -> u64 {
    let [.., a, b, c, d] = last.to_be_bytes();
    let ahead = word.wrapping_sub(u32::from_be_bytes([a, b, c, d]));
    if ahead < 1 << 31 {
        last.checked_add(u64::from(ahead))
    } else {
        last.checked_sub(u64::from(ahead.wrapping_neg()))
    }
    .unwrap_or_else(|| u64::from(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_number_may_be_on_either_side_of_a_wrap() {
        for (last, word, expected) in [
            (1, 5, 5),
            (5, 1, 1),
            (0xffff_fff0, 0x10, 0x1_0000_0010),
            (0x1_0000_0010, 0xffff_fff0, 0xffff_fff0),
            (0x7_8000_0000, 0x8000_0000, 0x7_8000_0000),
            (u64::MAX, 0, 0),
            (3, 0xffff_ffff, 0xffff_ffff),
        ] {
            assert_eq!(nearest(last, word), expected, "{last:x} {word:x}");
        }
    }
}
