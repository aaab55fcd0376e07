//! Packet numbers: handed out once each, recovered from 32 bits on the wire, never wrapped.
//!
//! Under one key a packet number makes the nonce, so using one twice gives the key away. The only source
//! of transmit packet numbers is [`PacketNumbers::take`]; it cannot be cloned, only moves forward, and
//! ends for good at the suite's last number (2^32 - 1 or 2^64 - 1) or at the limit that its owner set,
//! whichever comes first (802.1AE-2018 §10.5.2). The limit exists because a gateway with a static SAK
//! must not start again from 1 after a restart: it reserves a range on disk before using it.

use crate::suite::CipherSuite;

/// The source of one transmit SA's packet numbers.
#[derive(Debug)]
pub struct PacketNumbers {
    /// The next to hand out. 0 stands for 2^64: used up.
    next: u64,
    /// The last that may be handed out now.
    last: u64,
    /// The last the suite allows.
    end: u64,
}

impl PacketNumbers {
    /// Packet numbers from `next` (not 0) to `limit` or the suite's last, whichever is lower.
    pub fn new(suite: CipherSuite, next: u64, limit: Option<u64>) -> Option<Self> {
        let end = suite.last_pn();
        let last = limit.unwrap_or(end).min(end);
        (next != 0 && next <= end).then_some(Self { next, last, end })
    }

    /// The next packet number, at most once each; `None` when they are used up or the limit is reached.
    #[inline]
    pub fn take(&mut self) -> Option<u64> {
        let pn = self.next;
        self.usable().then(|| {
            // After the very last one this becomes 0, which is not usable and cannot be raised.
            self.next = pn.wrapping_add(1);
            pn
        })
    }

    /// Whether [`take`](Self::take) would give one.
    #[inline]
    pub fn usable(&self) -> bool {
        // 0 - 1 is the greatest number, so 2^64 is never below the limit.
        self.next.wrapping_sub(1) < self.last
    }

    /// nextPN: what the next frame gets. `u64::MAX` also when even that one is used up.
    pub const fn next_pn(&self) -> u64 {
        if self.next == 0 { u64::MAX } else { self.next }
    }

    /// The last number that may be used now.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// The highest number that may have been used; 0 for none.
    pub const fn used(&self) -> u64 {
        self.next.wrapping_sub(1)
    }

    /// Raises nextPN to `pn`; never lowers it (updNextPN, §10.7).
    pub fn raise_next(&mut self, pn: u64) {
        if self.next != 0 {
            self.next = self.next.max(pn);
        }
    }

    /// Numbers up to and including `limit` may be used from now on; the suite's last stays the end.
    pub fn set_limit(&mut self, limit: u64) {
        self.last = limit.min(self.end);
    }

    /// How many may still be taken before the limit.
    pub const fn remaining(&self) -> u64 {
        if self.next == 0 { 0 } else { self.last.saturating_sub(self.next - 1) }
    }
}

/// The packet number whose low half `word` came in a frame, given the lowest acceptable one (§10.6.2).
///
/// Right for every number from `lowest` to `lowest` + 2^31. At the end of the number space it wraps, and 0
/// then stands for 2^64; such numbers are below `lowest`.
#[inline]
pub const fn recover(lowest: u64, word: u32) -> u64 {
    let crossed = lowest & LOW_TOP_BIT != 0 && word >> 31 == 0;
    let high = if crossed { (lowest & HIGH).wrapping_add(1 << 32) } else { lowest & HIGH };
    #[expect(clippy::as_conversions, reason = "widening; From is not const")]
    let low = word as u64;
    high | low
}

const LOW_TOP_BIT: u64 = 1 << 31;
const HIGH: u64 = 0xffff_ffff_0000_0000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // Trap 20: fail closed.
    #[test]
    fn numbers_end_at_the_suites_last_one_and_never_wrap() {
        for suite in [CipherSuite::GcmAes128, CipherSuite::GcmAesXpn256] {
            let last = suite.last_pn();
            let mut pns = PacketNumbers::new(suite, last - 1, None).unwrap();
            assert_eq!((pns.take(), pns.take()), (Some(last - 1), Some(last)));
            for _ in 0..3 {
                assert_eq!((pns.take(), pns.usable(), pns.remaining()), (None, false, 0));
                pns.set_limit(u64::MAX);
                pns.raise_next(5);
            }
        }
    }

    #[test]
    fn a_limit_holds_until_it_is_raised() {
        let mut pns = PacketNumbers::new(CipherSuite::GcmAes256, 10, Some(11)).unwrap();
        assert_eq!((pns.take(), pns.take(), pns.take()), (Some(10), Some(11), None));
        pns.set_limit(12);
        assert_eq!((pns.remaining(), pns.take(), pns.take()), (1, Some(12), None));
        assert!(PacketNumbers::new(CipherSuite::GcmAes256, 0, None).is_none());
        assert!(PacketNumbers::new(CipherSuite::GcmAes256, 1 << 32, None).is_none());
    }

    #[test]
    fn the_next_number_only_ever_rises() {
        let mut pns = PacketNumbers::new(CipherSuite::GcmAesXpn128, 100, None).unwrap();
        pns.raise_next(50);
        assert_eq!(pns.take(), Some(100));
        pns.raise_next(200);
        assert_eq!((pns.take(), pns.next_pn()), (Some(200), 201));
    }

    proptest! {
        // §10.6.2 said plainly: the number nearest above `lowest`, within 2^31, that ends in `word`.
        #[test]
        fn recovery_agrees_with_its_plain_definition(lowest in 1u64.., ahead in 0u64..=(1 << 31)) {
            if let Some(pn) = lowest.checked_add(ahead) {
                #[expect(clippy::as_conversions, reason = "the low half is what travels")]
                let word = pn as u32;
                // At exactly 2^31 ahead of a number whose top bit is clear the rule still finds it.
                prop_assert_eq!(recover(lowest, word), pn);
            }
        }
    }
}
