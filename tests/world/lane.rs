//! One direction of a channel: what it does to frames, and what it saw.

use core::time::Duration;

use net::Instant;

/// What becomes of the frames of one direction.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Lane {
    /// Nothing comes through, and nobody notices.
    pub dead: bool,
    /// Only key agreement comes through: who sends has no key that the other side accepts.
    pub mute: bool,
    /// Of a million frames so many are lost.
    pub loss: u32,
    /// A frame takes so much longer than on others.
    pub more: Duration,
    /// The last frame that chance took: when, and its length.
    pub took: Option<(Instant, usize)>,
}

impl Lane {
    /// Whether a frame comes through.
    pub(crate) fn passes(&mut self, frame: &[u8], now: Instant, dice: &mut Dice) -> bool {
        if self.loss > 0 && dice.below(1_000_000) < u64::from(self.loss) {
            self.took = Some((now, frame.len()));
            return false;
        }
        let is_mka = || frame.get(12..14) == Some(&[0x88, 0x8e]);
        !self.dead && (!self.mute || is_mka())
    }
}

/// Random numbers, the same for the same seed: Vigna's xorshift64*.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Any seed will do.
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// One of `0..limit`.
    pub const fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % limit
    }

    /// Whether something happens that does once in so many times.
    pub const fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}
