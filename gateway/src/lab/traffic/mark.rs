//! The octets that give clear text away, and the pattern that fills payloads.

use std::sync::OnceLock;

use memchr::memmem::Finder;

/// Every payload of the lab contains these octets, followed by a [`Kind`]'s. They are in no protocol header, and by
/// chance in encrypted octets once in 2^128 places.
pub const MARK: &[u8; 16] = b"<quadspan-clear>";

/// Which traffic a mark belongs to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// Echo requests and replies.
    Ping,
    /// A TCP stream.
    Tcp,
    /// Numbered datagrams.
    Udp,
}

impl Kind {
    /// The octet after the mark.
    #[must_use]
    pub const fn octet(self) -> u8 {
        match self {
            Self::Ping => b'p',
            Self::Tcp => b't',
            Self::Udp => b'u',
        }
    }
}

/// Finds marks in frames.
#[derive(Clone, Debug)]
pub struct Marks(Finder<'static>);

impl Default for Marks {
    fn default() -> Self {
        Self(Finder::new(MARK))
    }
}

impl Marks {
    /// The kind of the first mark in `frame`; `None` when it contains none. A mark that is cut off before its kind
    /// counts as TCP, the only traffic that is cut anywhere.
    #[must_use]
    pub fn find(&self, frame: &[u8]) -> Option<Kind> {
        let behind = self.0.find(frame)?.checked_add(MARK.len())?;
        match frame.get(behind) {
            Some(b'p') => Some(Kind::Ping),
            Some(b'u') => Some(Kind::Udp),
            _ => Some(Kind::Tcp),
        }
    }
}

/// What fills a payload: octets that look random, are the same for the same seed, and contain a mark every
/// [`MARK_EVERY`] octets, so that no full-size segment is without one.
#[must_use]
pub fn pattern(kind: Kind, seed: u64, octets: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut out = Vec::with_capacity(octets.saturating_add(MARK_EVERY));
    while out.len() < octets {
        out.extend_from_slice(MARK);
        out.push(kind.octet());
        while out.len() % MARK_EVERY != 0 {
            out.push(xorshift(&mut state));
        }
    }
    out.truncate(octets);
    out
}

/// Distance of two marks in a [`pattern`], in octets.
pub const MARK_EVERY: usize = 256;

/// A pattern that a stream repeats. Its length is prime, so a stream that lost or repeated a whole number of segments,
/// pages or buffers does not match any more.
#[must_use]
pub(super) fn stream_pattern() -> &'static [u8] {
    static PATTERN: OnceLock<Vec<u8>> = OnceLock::new();
    PATTERN.get_or_init(|| pattern(Kind::Tcp, 0x5175_6164_7370_616e, STREAM_PERIOD))
}

/// The smallest prime above 2^20.
const STREAM_PERIOD: usize = 1_048_583;

/// Marsaglia's xorshift64, one octet at a time: cheap, and good enough to notice a wrong octet.
fn xorshift(state: &mut u64) -> u8 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    let [.., high] = state.to_le_bytes();
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_wherever_it_is_and_nowhere_else() {
        let marks = Marks::default();
        for (kind, at) in [(Kind::Ping, 0), (Kind::Tcp, 1), (Kind::Udp, 1483)] {
            let mut frame = vec![0xa5; at];
            frame.extend_from_slice(MARK);
            assert_eq!(marks.find(&frame[..at + 15]), None);
            frame.push(kind.octet());
            assert_eq!(marks.find(&frame), Some(kind));
        }
        assert_eq!(marks.find(&[0; 1514]), None);
        assert_eq!(marks.find(MARK), Some(Kind::Tcp));
    }

    #[test]
    fn every_piece_of_a_pattern_contains_a_mark() {
        let marks = Marks::default();
        let stream = stream_pattern();
        assert_eq!(stream.len(), STREAM_PERIOD);
        assert!(stream.windows(MARK_EVERY * 2).step_by(97).all(|piece| marks.find(piece).is_some()));
        assert_eq!(pattern(Kind::Udp, 7, 100), pattern(Kind::Udp, 7, 100));
        assert_ne!(pattern(Kind::Udp, 7, 100), pattern(Kind::Udp, 8, 100));
    }

    #[test]
    fn the_period_of_the_stream_is_prime() {
        assert!((2..=1024).all(|divisor| !STREAM_PERIOD.is_multiple_of(divisor)));
    }
}
